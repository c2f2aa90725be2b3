//! SUBSCRIBE on the wire.

use crate::decoder::Origin;
use crate::encoder::Body;
use crate::wire::{self, Reader};
use crate::{
    DecodeError, EncodeError, PacketType, Properties, PropertyPlace, ProtocolVersion, Subscribe,
    SubscribeFilters,
};

impl<'a> Subscribe<'a> {
    pub(crate) fn decode(mut body: Reader<'a>, origin: Origin) -> Result<Self, DecodeError> {
        let place = PropertyPlace::Packet(PacketType::Subscribe);
        Ok(Self {
            packet_id: body.packet_id(PacketType::Subscribe)?,
            properties: Properties::decode(&mut body, origin.version, place, origin.sender)?,
            filters: SubscribeFilters::decode(body.rest(), origin.version)?,
        })
    }
}

impl Body for Subscribe<'_> {
    fn len(&self, version: ProtocolVersion) -> usize {
        2 + self.properties.section_len(version) + self.filters.wire_len()
    }

    fn write(&self, version: ProtocolVersion, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        wire::put_packet_id(self.packet_id, out);
        self.properties.write(version, out);
        self.filters.write(version, out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{
        Client, EVERY_VERSION, V3_1, V3_1_1, V5, assert_decodes, assert_encodes, assert_refused, assert_same,
        frame, id,
    };
    use crate::{Property, QoS, ReasonCode, RetainHandling, SubscriptionOptions};

    fn subscribe(filters: &[(&str, SubscriptionOptions)]) -> Subscribe<'static> {
        let filters = filters.iter().copied().collect();
        Subscribe { packet_id: id(0x0A0B), properties: Properties::EMPTY, filters }
    }

    fn at(qos: QoS) -> SubscriptionOptions {
        SubscriptionOptions { qos, ..SubscriptionOptions::default() }
    }

    #[test]
    fn filters_and_options_in_each_version() {
        let packet = subscribe(&[("a/#", at(QoS::ExactlyOnce)), ("+", at(QoS::AtMostOnce))]);
        let filters = b"\x00\x03a/#\x02\x00\x01+\x00";
        for version in [V3_1, V3_1_1] {
            assert_same(Client, version, &frame(0x82, &[b"\x0A\x0B", &filters[..]].concat()), packet.clone());
        }
        assert_same(Client, V5, &frame(0x82, &[b"\x0A\x0B\x00", &filters[..]].concat()), packet);
    }

    #[test]
    fn options_of_v5() {
        let options = SubscriptionOptions {
            qos: QoS::AtLeastOnce,
            no_local: true,
            retain_as_published: true,
            retain_handling: RetainHandling::DoNotSend,
        };
        let properties = Properties::new().with(Property::SubscriptionIdentifier(200));
        let packet = Subscribe { properties, ..subscribe(&[("a", options)]) };
        assert_same(Client, V5, &frame(0x82, b"\x0A\x0B\x03\x0B\xC8\x01\x00\x01a\x2D"), packet.clone());
        assert_encodes(V3_1_1, packet, &frame(0x82, b"\x0A\x0B\x00\x01a\x01"));
    }

    #[test]
    fn v3_1_may_send_it_again_with_dup() {
        let packet = subscribe(&[("a", at(QoS::AtLeastOnce))]);
        assert_decodes(Client, V3_1, &frame(0x8A, b"\x0A\x0B\x00\x01a\x01"), packet);
    }

    #[test]
    fn mqtt_3_8_1_1_the_flags_are_0010() {
        for flags in (0..16).filter(|flags| *flags != 0b0010) {
            let packet_type = PacketType::Subscribe;
            let error = DecodeError::FixedHeaderFlags { packet_type, flags };
            for version in EVERY_VERSION.into_iter().filter(|version| (flags, *version) != (0b1010, V3_1)) {
                assert_refused(Client, version, &[0x80 | flags], error, ReasonCode::MalformedPacket);
            }
        }
    }

    #[test]
    fn mqtt_3_8_3_2_at_least_one_filter() {
        let error = DecodeError::NoTopicFilter { packet_type: PacketType::Subscribe };
        assert_refused(Client, V3_1_1, b"\x82\x02\x0A\x0B", error, ReasonCode::ProtocolError);
        assert_refused(Client, V5, b"\x82\x03\x0A\x0B\x00", error, ReasonCode::ProtocolError);
    }

    #[test]
    fn mqtt_2_2_1_3_a_packet_identifier_of_zero() {
        let error = DecodeError::PacketIdZero { packet_type: PacketType::Subscribe };
        for version in EVERY_VERSION {
            let bytes = frame(0x82, b"\x00\x00\x00\x00\x01a\x01");
            assert_refused(Client, version, &bytes, error, ReasonCode::ProtocolError);
        }
    }

    #[test]
    fn one_subscription_identifier_is_the_most() {
        let property = crate::PropertyId::SubscriptionIdentifier;
        let place = PropertyPlace::Packet(PacketType::Subscribe);
        let error = DecodeError::PropertyRepeated { property, place };
        let bytes = frame(0x82, b"\x0A\x0B\x04\x0B\x01\x0B\x02\x00\x01a\x01");
        assert_refused(Client, V5, &bytes, error, ReasonCode::ProtocolError);
    }

    #[test]
    fn wildcards_are_not_judged_here() {
        for filter in ["#/a", "a+", "", "$share/g", "$share//t"] {
            let packet = subscribe(&[(filter, at(QoS::AtMostOnce))]);
            let length = [0, filter.len() as u8];
            let bytes = frame(0x82, &[b"\x0A\x0B", &length[..], filter.as_bytes(), &[0]].concat());
            assert_same(Client, V3_1_1, &bytes, packet);
        }
    }
}
