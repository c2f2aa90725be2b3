//! SUBACK on the wire.

use crate::decoder::Origin;
use crate::encoder::Body;
use crate::reason::ReasonCodes;
use crate::wire::{self, Reader};
use crate::{
    DecodeError, EncodeError, PacketType, Properties, PropertyPlace, ProtocolVersion, ReasonCode, SubAck,
};

/// [MQTT-3.9.3-2]
const REASON_CODES: ReasonCodes = ReasonCodes {
    packet_type: PacketType::SubAck,
    from_either: &[],
    from_server: &[
        ReasonCode::GRANTED_QOS_0,
        ReasonCode::GrantedQoS1,
        ReasonCode::GrantedQoS2,
        ReasonCode::UnspecifiedError,
        ReasonCode::ImplementationSpecificError,
        ReasonCode::NotAuthorized,
        ReasonCode::TopicFilterInvalid,
        ReasonCode::PacketIdentifierInUse,
        ReasonCode::QuotaExceeded,
        ReasonCode::SharedSubscriptionsNotSupported,
        ReasonCode::SubscriptionIdentifiersNotSupported,
        ReasonCode::WildcardSubscriptionsNotSupported,
    ],
    from_client: &[],
};

/// The return codes of 3.1.1. 3.1 lists no failure, but servers of its time answer with one.
const RETURN_CODES: ReasonCodes = ReasonCodes {
    packet_type: PacketType::SubAck,
    from_either: &[],
    from_server: &[
        ReasonCode::GRANTED_QOS_0,
        ReasonCode::GrantedQoS1,
        ReasonCode::GrantedQoS2,
        ReasonCode::UnspecifiedError,
    ],
    from_client: &[],
};

impl<'a> SubAck<'a> {
    pub(crate) fn decode(mut body: Reader<'a>, origin: Origin) -> Result<Self, DecodeError> {
        let codes = match origin.version {
            ProtocolVersion::V5 => REASON_CODES,
            ProtocolVersion::V3_1 | ProtocolVersion::V3_1_1 => RETURN_CODES,
        };
        let place = PropertyPlace::Packet(PacketType::SubAck);
        let packet_id = body.packet_id(PacketType::SubAck)?;
        let properties = Properties::decode(&mut body, origin.version, place, origin.sender)?;
        let reason_codes = body.rest().iter().map(|code| codes.decode(*code, origin.sender));
        Ok(Self { packet_id, properties, reason_codes: reason_codes.collect::<Result<_, _>>()? })
    }
}

/// The code as this version has it. 3.1 cannot say no; the least it can grant is QoS 0.
const fn code(reason_code: ReasonCode, version: ProtocolVersion) -> u8 {
    match version {
        ProtocolVersion::V3_1 if reason_code.is_error() => ReasonCode::GRANTED_QOS_0.as_u8(),
        ProtocolVersion::V3_1_1 if reason_code.is_error() => ReasonCode::UnspecifiedError.as_u8(),
        _ => reason_code.as_u8(),
    }
}

impl Body for SubAck<'_> {
    fn len(&self, version: ProtocolVersion) -> usize {
        2 + self.properties.section_len(version) + self.reason_codes.len()
    }

    fn write(&self, version: ProtocolVersion, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        wire::put_packet_id(self.packet_id, out);
        self.properties.write(version, out);
        out.extend(self.reason_codes.iter().map(|reason_code| code(*reason_code, version)));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{
        EVERY_VERSION, Server, V3_1, V3_1_1, V5, assert_decodes, assert_encodes, assert_refused, assert_same,
        frame, id,
    };
    use crate::{Packet, Property};

    const GRANTED: [ReasonCode; 3] =
        [ReasonCode::GRANTED_QOS_0, ReasonCode::GrantedQoS1, ReasonCode::GrantedQoS2];

    fn suback(reason_codes: &'static [ReasonCode]) -> SubAck<'static> {
        SubAck { packet_id: id(0x0102), properties: Properties::EMPTY, reason_codes: reason_codes.into() }
    }

    #[test]
    fn mqtt_3_9_3_1_codes_in_their_order() {
        for version in [V3_1, V3_1_1] {
            assert_same(Server, version, b"\x90\x05\x01\x02\x00\x01\x02", suback(&GRANTED));
        }
        assert_same(Server, V5, b"\x90\x06\x01\x02\x00\x00\x01\x02", suback(&GRANTED));
        let properties = Properties::new().with(Property::UserProperty("k", "v"));
        let packet = SubAck { properties, ..suback(&GRANTED[1..2]) };
        assert_same(Server, V5, &frame(0x90, b"\x01\x02\x07\x26\x00\x01k\x00\x01v\x01"), packet.clone());
        assert_encodes(V3_1_1, packet, b"\x90\x03\x01\x02\x01");
    }

    #[test]
    fn each_version_refuses_as_it_can() {
        for code in (0x80..=0xFF).filter_map(ReasonCode::from_u8) {
            let packet = SubAck { reason_codes: vec![code].into(), ..suback(&[]) };
            assert_encodes(V5, packet.clone(), &[0x90, 4, 1, 2, 0, code.as_u8()]);
            assert_encodes(V3_1_1, packet.clone(), &[0x90, 3, 1, 2, 0x80]);
            assert_encodes(V3_1, packet, &[0x90, 3, 1, 2, 0]);
        }
    }

    #[test]
    fn a_client_of_the_older_versions_reads_the_refusal() {
        for version in [V3_1, V3_1_1] {
            let packet = suback(&[ReasonCode::GrantedQoS2, ReasonCode::UnspecifiedError]);
            assert_decodes(Server, version, b"\x90\x04\x01\x02\x02\x80", packet);
        }
    }

    #[test]
    fn mqtt311_3_9_3_2_other_return_codes_are_refused() {
        let (packet_type, sender) = (PacketType::SubAck, Server);
        for version in [V3_1, V3_1_1] {
            for code in (0..=255).filter(|code| ![0, 1, 2, 0x80].contains(code)) {
                let error = DecodeError::ReasonCodeNotAllowed { packet_type, sender, code };
                let bytes = [0x90, 4, 1, 2, 0, code];
                assert_refused(Server, version, &bytes, error, ReasonCode::ProtocolError);
            }
        }
    }

    #[test]
    fn a_packet_identifier_of_zero_answers_nothing() {
        for version in EVERY_VERSION {
            let error = DecodeError::PacketIdZero { packet_type: PacketType::SubAck };
            assert_refused(Server, version, b"\x90\x04\x00\x00\x00\x00", error, ReasonCode::ProtocolError);
        }
    }

    #[test]
    fn a_large_answer_is_read_whole() {
        let reason_codes = vec![ReasonCode::GrantedQoS1; 50_000];
        let packet = Packet::from(SubAck { reason_codes: reason_codes.into(), ..suback(&[]) });
        let bytes = frame(0x90, &[&[1, 2, 0], &[1; 50_000][..]].concat());
        assert_same(Server, V5, &bytes, packet);
    }
}
