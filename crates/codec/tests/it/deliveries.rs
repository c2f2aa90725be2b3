//! The fast path for deliveries writes what the slow one writes.

use crate::generate::{binary, packet_id, properties, qos, text};
use crate::support::{EVERY_VERSION, config, encode};
use noctule_codec::{
    Delivery, Packet, PacketType, Properties, Property, PropertyPlace, ProtocolVersion, Publish, QoS, Role,
};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

const PUBLISH: PropertyPlace = PropertyPlace::Packet(PacketType::Publish);

proptest! {
    #![proptest_config(config(1_000))]

    #[test]
    fn a_delivery_gives_the_bytes_of_the_publish(
        (topic, payload, qos, packet_id) in (text(), binary(), qos(), packet_id()),
        (dup, retain) in any::<(bool, bool)>(),
        received in properties(PUBLISH, Role::Client, ProtocolVersion::V5),
        message_expiry_interval in option::of(any::<u32>()),
        topic_alias in option::of(1_u16..),
        subscription_identifiers in vec(1..=268_435_455_u32, 0..6),
    ) {
        let forwarded = received.forwarded();
        let packet_id = Some(packet_id).filter(|_| qos != QoS::AtMostOnce);
        let delivery = Delivery {
            topic, payload, dup, qos, retain, packet_id,
            forwarded: forwarded.borrow(),
            message_expiry_interval, topic_alias,
            subscription_identifiers: &subscription_identifiers,
        };

        let mut own = Properties::new();
        message_expiry_interval.map(Property::MessageExpiryInterval).into_iter().for_each(|it| own.push(it));
        topic_alias.map(Property::TopicAlias).into_iter().for_each(|it| own.push(it));
        subscription_identifiers.iter().for_each(|it| own.push(Property::SubscriptionIdentifier(*it)));
        let properties = forwarded.iter().fold(own, Properties::with);
        let publish = Packet::from(Publish { dup, qos, retain, topic, packet_id, properties, payload });

        for version in EVERY_VERSION {
            let mut out = Vec::new();
            delivery.encode(version, &mut out).expect("it fits");
            prop_assert_eq!(out.len(), delivery.encoded_len(version));
            prop_assert_eq!(out, encode(&publish, version));
        }
    }

    #[test]
    fn forwarded_is_what_the_standard_lists_and_in_order(
        received in properties(PUBLISH, Role::Server, ProtocolVersion::V5),
    ) {
        let is_forwarded = |property: &Property<'_>| matches!(
            property,
            Property::PayloadFormatIndicator(_) | Property::ContentType(_) | Property::ResponseTopic(_)
                | Property::CorrelationData(_) | Property::UserProperty(..)
        );
        let expected = received.iter().filter(is_forwarded).fold(Properties::new(), Properties::with);
        prop_assert_eq!(received.forwarded(), expected.borrow());
        prop_assert_eq!(expected.forwarded(), expected.borrow(), "once forwarded, nothing more goes");
    }
}
