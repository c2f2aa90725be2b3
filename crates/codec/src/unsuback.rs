//! UNSUBACK on the wire.

use crate::decoder::Origin;
use crate::encoder::Body;
use crate::reason::ReasonCodes;
use crate::wire::{self, Reader};
use crate::{
    DecodeError, EncodeError, PacketType, Properties, PropertyPlace, ProtocolVersion, ReasonCode, UnsubAck,
};

/// [MQTT-3.11.3-2]
const REASON_CODES: ReasonCodes = ReasonCodes {
    packet_type: PacketType::UnsubAck,
    from_either: &[],
    from_server: &[
        ReasonCode::Success,
        ReasonCode::NoSubscriptionExisted,
        ReasonCode::UnspecifiedError,
        ReasonCode::ImplementationSpecificError,
        ReasonCode::NotAuthorized,
        ReasonCode::TopicFilterInvalid,
        ReasonCode::PacketIdentifierInUse,
    ],
    from_client: &[],
};

impl<'a> UnsubAck<'a> {
    /// In 3.x the length has been checked, so that no code is left to read.
    pub(crate) fn decode(mut body: Reader<'a>, origin: Origin) -> Result<Self, DecodeError> {
        let place = PropertyPlace::Packet(PacketType::UnsubAck);
        let packet_id = body.packet_id(PacketType::UnsubAck)?;
        let properties = Properties::decode(&mut body, origin.version, place, origin.sender)?;
        let reason_codes = body.rest().iter().map(|code| REASON_CODES.decode(*code, origin.sender));
        Ok(Self { packet_id, properties, reason_codes: reason_codes.collect::<Result<_, _>>()? })
    }
}

impl Body for UnsubAck<'_> {
    fn len(&self, version: ProtocolVersion) -> usize {
        match version {
            ProtocolVersion::V5 => 2 + self.properties.section_len(version) + self.reason_codes.len(),
            ProtocolVersion::V3_1 | ProtocolVersion::V3_1_1 => 2,
        }
    }

    fn write(&self, version: ProtocolVersion, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        wire::put_packet_id(self.packet_id, out);
        if version == ProtocolVersion::V5 {
            self.properties.write(version, out);
            out.extend(self.reason_codes.iter().map(|reason_code| reason_code.as_u8()));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Property;
    use crate::testing::{
        EVERY_VERSION, Server, V3_1, V3_1_1, V5, assert_encodes, assert_refused, assert_same, frame, id,
    };

    fn unsuback(reason_codes: &'static [ReasonCode]) -> UnsubAck<'static> {
        UnsubAck { packet_id: id(0x0102), properties: Properties::EMPTY, reason_codes: reason_codes.into() }
    }

    #[test]
    fn mqtt_3_11_3_1_codes_in_their_order() {
        let packet =
            unsuback(&[ReasonCode::NoSubscriptionExisted, ReasonCode::Success, ReasonCode::NotAuthorized]);
        assert_same(Server, V5, b"\xB0\x06\x01\x02\x00\x11\x00\x87", packet);
        let properties = Properties::new().with(Property::ReasonString("r"));
        let packet = UnsubAck { properties, ..unsuback(&[ReasonCode::Success]) };
        assert_same(Server, V5, &frame(0xB0, b"\x01\x02\x04\x1F\x00\x01r\x00"), packet);
    }

    #[test]
    fn the_older_versions_have_no_codes() {
        for version in [V3_1, V3_1_1] {
            assert_same(Server, version, b"\xB0\x02\x01\x02", unsuback(&[]));
            let properties = Properties::new().with(Property::ReasonString("r"));
            let packet = UnsubAck { properties, ..unsuback(&[ReasonCode::NotAuthorized]) };
            assert_encodes(version, packet, b"\xB0\x02\x01\x02");

            let packet_type = PacketType::UnsubAck;
            let error = DecodeError::RemainingLength { packet_type, remaining_length: 3, expected: 2 };
            assert_refused(Server, version, &[0xB0, 3], error, ReasonCode::MalformedPacket);
        }
    }

    #[test]
    fn a_packet_identifier_of_zero_answers_nothing() {
        for version in EVERY_VERSION {
            let error = DecodeError::PacketIdZero { packet_type: PacketType::UnsubAck };
            assert_refused(Server, version, b"\xB0\x02\x00\x00", error, ReasonCode::ProtocolError);
        }
    }
}
