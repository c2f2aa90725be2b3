//! UNSUBSCRIBE on the wire.

use crate::decoder::Origin;
use crate::encoder::Body;
use crate::wire::{self, Reader};
use crate::{
    DecodeError, EncodeError, PacketType, Properties, PropertyPlace, ProtocolVersion, Unsubscribe,
    UnsubscribeFilters,
};

impl<'a> Unsubscribe<'a> {
    pub(crate) fn decode(mut body: Reader<'a>, origin: Origin) -> Result<Self, DecodeError> {
        let place = PropertyPlace::Packet(PacketType::Unsubscribe);
        Ok(Self {
            packet_id: body.packet_id(PacketType::Unsubscribe)?,
            properties: Properties::decode(&mut body, origin.version, place, origin.sender)?,
            filters: UnsubscribeFilters::decode(body.rest())?,
        })
    }
}

impl Body for Unsubscribe<'_> {
    fn len(&self, version: ProtocolVersion) -> usize {
        2 + self.properties.section_len(version) + self.filters.as_bytes().len()
    }

    fn write(&self, version: ProtocolVersion, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        wire::put_packet_id(self.packet_id, out);
        self.properties.write(version, out);
        out.extend_from_slice(self.filters.as_bytes());
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{
        Client, EVERY_VERSION, V3_1, V3_1_1, V5, assert_decodes, assert_encodes, assert_refused, assert_same,
        frame, id,
    };
    use crate::{Property, ReasonCode};

    fn unsubscribe(filters: &[&str]) -> Unsubscribe<'static> {
        let filters = filters.iter().copied().collect();
        Unsubscribe { packet_id: id(0x0A0B), properties: Properties::EMPTY, filters }
    }

    #[test]
    fn filters_in_each_version() {
        let filters = b"\x00\x03a/#\x00\x01+";
        for version in [V3_1, V3_1_1] {
            let bytes = frame(0xA2, &[b"\x0A\x0B", &filters[..]].concat());
            assert_same(Client, version, &bytes, unsubscribe(&["a/#", "+"]));
        }
        let bytes = frame(0xA2, &[b"\x0A\x0B\x00", &filters[..]].concat());
        assert_same(Client, V5, &bytes, unsubscribe(&["a/#", "+"]));

        let properties = Properties::new().with(Property::UserProperty("k", "v"));
        let packet = Unsubscribe { properties, ..unsubscribe(&["a"]) };
        let bytes = frame(0xA2, b"\x0A\x0B\x07\x26\x00\x01k\x00\x01v\x00\x01a");
        assert_same(Client, V5, &bytes, packet.clone());
        assert_encodes(V3_1_1, packet, &frame(0xA2, b"\x0A\x0B\x00\x01a"));
    }

    #[test]
    fn v3_1_may_send_it_again_with_dup() {
        assert_decodes(Client, V3_1, &frame(0xAA, b"\x0A\x0B\x00\x01a"), unsubscribe(&["a"]));
    }

    #[test]
    fn mqtt_3_10_1_1_the_flags_are_0010() {
        for flags in (0..16).filter(|flags| *flags != 0b0010) {
            let packet_type = PacketType::Unsubscribe;
            let error = DecodeError::FixedHeaderFlags { packet_type, flags };
            for version in EVERY_VERSION.into_iter().filter(|version| (flags, *version) != (0b1010, V3_1)) {
                assert_refused(Client, version, &[0xA0 | flags], error, ReasonCode::MalformedPacket);
            }
        }
    }

    #[test]
    fn mqtt_3_10_3_2_at_least_one_filter() {
        let error = DecodeError::NoTopicFilter { packet_type: PacketType::Unsubscribe };
        assert_refused(Client, V3_1_1, b"\xA2\x02\x0A\x0B", error, ReasonCode::ProtocolError);
        assert_refused(Client, V5, b"\xA2\x03\x0A\x0B\x00", error, ReasonCode::ProtocolError);
    }

    #[test]
    fn mqtt_3_10_3_1_filters_are_utf8() {
        let field = "a topic filter";
        for version in EVERY_VERSION {
            let properties: &[u8] = if version == V5 { &[0] } else { &[] };
            let bytes = |filter: &[u8]| frame(0xA2, &[b"\x0A\x0B", properties, filter].concat());
            let error = DecodeError::NotUtf8 { field };
            assert_refused(Client, version, &bytes(b"\x00\x01\xFF"), error, ReasonCode::MalformedPacket);
            let error = DecodeError::NulCharacter { field };
            assert_refused(Client, version, &bytes(b"\x00\x01\x00"), error, ReasonCode::MalformedPacket);
        }
    }

    #[test]
    fn mqtt_2_2_1_3_a_packet_identifier_of_zero() {
        let error = DecodeError::PacketIdZero { packet_type: PacketType::Unsubscribe };
        for version in EVERY_VERSION {
            let bytes = frame(0xA2, b"\x00\x00\x00\x00\x01a");
            assert_refused(Client, version, &bytes, error, ReasonCode::ProtocolError);
        }
    }
}
