//! PUBACK, PUBREC, PUBREL and PUBCOMP on the wire: one shape, different reason codes.

use crate::decoder::Origin;
use crate::encoder::Body;
use crate::reason::ReasonCodes;
use crate::wire::{self, Reader};
use crate::{
    Ack, DecodeError, EncodeError, PacketType, Properties, PropertyPlace, ProtocolVersion, ReasonCode,
};

/// PUBACK [MQTT-3.4.2-1] and PUBREC [MQTT-3.5.2-1].
const fn codes_of_receipt(packet_type: PacketType) -> ReasonCodes {
    ReasonCodes {
        packet_type,
        from_either: &[
            ReasonCode::Success,
            ReasonCode::UnspecifiedError,
            ReasonCode::ImplementationSpecificError,
            ReasonCode::NotAuthorized,
            ReasonCode::TopicNameInvalid,
            ReasonCode::PacketIdentifierInUse,
            ReasonCode::QuotaExceeded,
            ReasonCode::PayloadFormatInvalid,
        ],
        from_server: &[ReasonCode::NoMatchingSubscribers],
        from_client: &[],
    }
}

/// PUBREL [MQTT-3.6.2-1] and PUBCOMP [MQTT-3.7.2-1].
const fn codes_of_release(packet_type: PacketType) -> ReasonCodes {
    ReasonCodes {
        packet_type,
        from_either: &[ReasonCode::Success, ReasonCode::PacketIdentifierNotFound],
        from_server: &[],
        from_client: &[],
    }
}

impl<'a> Ack<'a> {
    /// Reason code and properties may be missing from the end; then they are Success and none.
    pub(crate) fn decode(
        packet_type: PacketType,
        mut body: Reader<'a>,
        origin: Origin,
    ) -> Result<Self, DecodeError> {
        let mut ack = Self {
            packet_id: body.packet_id(packet_type)?,
            reason_code: ReasonCode::Success,
            properties: Properties::EMPTY,
        };
        if !body.is_empty() && origin.version == ProtocolVersion::V5 {
            let codes = match packet_type {
                PacketType::PubAck | PacketType::PubRec => codes_of_receipt(packet_type),
                _ => codes_of_release(packet_type),
            };
            ack.reason_code = codes.decode(body.u8("the reason code")?, origin.sender)?;
        }
        if !body.is_empty() {
            let place = PropertyPlace::Packet(packet_type);
            ack.properties = Properties::decode(&mut body, origin.version, place, origin.sender)?;
        }
        body.finish(packet_type)?;
        Ok(ack)
    }
}

impl Body for Ack<'_> {
    fn len(&self, version: ProtocolVersion) -> usize {
        match self.form(version) {
            Form::Id => 2,
            Form::IdAndCode => 3,
            Form::Whole => 3 + self.properties.section_len(version),
        }
    }

    fn write(&self, version: ProtocolVersion, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        wire::put_packet_id(self.packet_id, out);
        let form = self.form(version);
        if form != Form::Id {
            out.push(self.reason_code.as_u8());
        }
        if form == Form::Whole {
            self.properties.write(version, out);
        }
        Ok(())
    }
}

/// How much of an acknowledgement is written.
#[derive(PartialEq)]
enum Form {
    Id,
    IdAndCode,
    Whole,
}

impl Ack<'_> {
    fn form(&self, version: ProtocolVersion) -> Form {
        match version {
            ProtocolVersion::V3_1 | ProtocolVersion::V3_1_1 => Form::Id,
            ProtocolVersion::V5 if !self.properties.is_empty() => Form::Whole,
            ProtocolVersion::V5 if self.reason_code == ReasonCode::Success => Form::Id,
            ProtocolVersion::V5 => Form::IdAndCode,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{
        Client, EVERY_VERSION, Server, V3_1, V3_1_1, V5, assert_decodes, assert_encodes, assert_refused,
        assert_same, frame, id,
    };
    use crate::{Packet, Property};

    type Kind = fn(Ack<'static>) -> Packet<'static>;

    /// The four kinds with their first byte and an error they all may report in 5.0.
    const KINDS: [(PacketType, u8, Kind, ReasonCode); 4] = [
        (PacketType::PubAck, 0x40, Packet::PubAck, ReasonCode::QuotaExceeded),
        (PacketType::PubRec, 0x50, Packet::PubRec, ReasonCode::NotAuthorized),
        (PacketType::PubRel, 0x62, Packet::PubRel, ReasonCode::PacketIdentifierNotFound),
        (PacketType::PubComp, 0x70, Packet::PubComp, ReasonCode::PacketIdentifierNotFound),
    ];

    fn ack(reason_code: ReasonCode, properties: Properties<'static>) -> Ack<'static> {
        Ack { packet_id: id(0x0102), reason_code, properties }
    }

    fn why() -> Properties<'static> {
        Properties::new().with(Property::ReasonString("why"))
    }

    #[test]
    fn success_is_the_packet_identifier_alone() {
        for (_, first_byte, kind, _) in KINDS {
            for version in EVERY_VERSION {
                for sender in [Client, Server] {
                    let packet = kind(ack(ReasonCode::Success, Properties::EMPTY));
                    assert_same(sender, version, &[first_byte, 2, 1, 2], packet);
                }
            }
        }
    }

    #[test]
    fn a_reason_without_properties_is_one_byte_more() {
        for (_, first_byte, kind, code) in KINDS {
            let packet = kind(ack(code, Properties::EMPTY));
            assert_same(Client, V5, &[first_byte, 3, 1, 2, code.as_u8()], packet);
        }
    }

    #[test]
    fn the_long_forms_of_the_same_are_read() {
        for (_, first_byte, kind, code) in KINDS {
            let success = kind(ack(ReasonCode::Success, Properties::EMPTY));
            assert_decodes(Client, V5, &[first_byte, 3, 1, 2, 0], success.clone());
            assert_decodes(Client, V5, &[first_byte, 4, 1, 2, 0, 0], success);
            let failure = kind(ack(code, Properties::EMPTY));
            assert_decodes(Client, V5, &[first_byte, 4, 1, 2, code.as_u8(), 0], failure);
        }
    }

    #[test]
    fn properties_need_the_reason_in_front() {
        for (_, first_byte, kind, _) in KINDS {
            let bytes = frame(first_byte, b"\x01\x02\x00\x06\x1F\x00\x03why");
            assert_same(Server, V5, &bytes, kind(ack(ReasonCode::Success, why())));
        }
    }

    #[test]
    fn the_older_versions_have_the_packet_identifier_alone() {
        for version in [V3_1, V3_1_1] {
            for (packet_type, first_byte, kind, code) in KINDS {
                assert_encodes(version, kind(ack(code, why())), &[first_byte, 2, 1, 2]);
                for remaining_length in [0, 1, 3, 4, 127] {
                    let error = DecodeError::RemainingLength { packet_type, remaining_length, expected: 2 };
                    let bytes = [first_byte, remaining_length as u8];
                    assert_refused(Client, version, &bytes, error, ReasonCode::MalformedPacket);
                }
            }
        }
    }

    #[test]
    fn a_packet_identifier_of_zero_acknowledges_nothing() {
        for (packet_type, first_byte, _, _) in KINDS {
            for version in EVERY_VERSION {
                let error = DecodeError::PacketIdZero { packet_type };
                assert_refused(Client, version, &[first_byte, 2, 0, 0], error, ReasonCode::ProtocolError);
            }
        }
    }

    #[test]
    fn what_is_cut_short_or_left_over_is_malformed() {
        for (packet_type, first_byte, _, _) in KINDS {
            for (body, error) in [
                (&b""[..], DecodeError::FieldBeyondEnd { field: "the packet identifier" }),
                (b"\x01", DecodeError::FieldBeyondEnd { field: "the packet identifier" }),
                (b"\x01\x02\x00\x01", DecodeError::FieldBeyondEnd { field: "the property section" }),
                (b"\x01\x02\x00\x00!", DecodeError::TrailingBytes { packet_type, bytes: 1 }),
            ] {
                let bytes = frame(first_byte, body);
                assert_refused(Client, V5, &bytes, error, ReasonCode::MalformedPacket);
            }
        }
    }
}
