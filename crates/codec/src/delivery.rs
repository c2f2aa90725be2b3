//! The fast way to write a PUBLISH to a subscriber.

use crate::encoder::{self, Body};
use crate::{EncodeError, PacketId, Properties, Property, ProtocolVersion, QoS, publish, wire};

/// One delivery of a publication: what all subscribers get, and what differs from one to the next.
///
/// [`Packet::Publish`](crate::Packet::Publish) with the same properties in the order expiry, alias,
/// subscription identifiers, forwarded properties gives the same bytes; this spares putting such a section
/// together for each subscriber. For 3.x everything from `forwarded` on is left out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delivery<'a> {
    /// The topic name; empty where `topic_alias` stands for it.
    pub topic: &'a str,
    /// The application message.
    pub payload: &'a [u8],
    /// This delivery has been attempted before [MQTT-3.3.1-1].
    pub dup: bool,
    /// The QoS of this delivery.
    pub qos: QoS,
    /// The RETAIN flag.
    pub retain: bool,
    /// Present exactly where the QoS is above 0 [MQTT-2.2.1-2].
    pub packet_id: Option<PacketId>,
    /// What the publisher sent along, by [`Properties::forwarded`].
    pub forwarded: Properties<'a>,
    /// What is left of the message's lifetime, in seconds [MQTT-3.3.2-6].
    pub message_expiry_interval: Option<u32>,
    /// The alias of the topic, from 1 to the receiver's Topic Alias Maximum [MQTT-3.3.2-11].
    pub topic_alias: Option<u16>,
    /// The identifiers of all matching subscriptions of the receiver, each 1 to 268,435,455 [MQTT-3.3.4-4].
    pub subscription_identifiers: &'a [u32],
}

impl Delivery<'_> {
    /// Appends the PUBLISH to `out`.
    pub fn encode(&self, version: ProtocolVersion, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        let first_byte = publish::first_byte(self.dup, self.qos, self.retain);
        encoder::write_packet(first_byte, self, version, out)
    }

    /// Appends the PUBLISH without its payload, which has to follow it.
    pub fn encode_head(&self, version: ProtocolVersion, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        let start = out.len();
        let first_byte = publish::first_byte(self.dup, self.qos, self.retain);
        encoder::write_fixed_header(first_byte, self.len(version), out)?;
        self.write_head(version, out).inspect_err(|_| out.truncate(start))
    }

    /// How many bytes [`encode`](Self::encode) appends, or would append if the packet were not too large.
    pub fn encoded_len(&self, version: ProtocolVersion) -> usize {
        encoder::packet_len(self.len(version))
    }

    /// What stands between the fixed header and the payload.
    #[inline(always)]
    fn write_head(&self, version: ProtocolVersion, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        publish::write_head(self.topic, self.qos, self.packet_id, out)?;
        if version == ProtocolVersion::V5 {
            self.write_properties(out)?;
        }
        Ok(())
    }

    fn properties_len(&self) -> usize {
        let expiry = if self.message_expiry_interval.is_some() { 5 } else { 0 };
        let alias = if self.topic_alias.is_some() { 3 } else { 0 };
        let identifiers = self.subscription_identifiers.iter();
        let identifiers: usize =
            identifiers.map(|id| 1 + wire::variable_byte_integer_len(*id as usize)).sum();
        expiry + alias + identifiers + self.forwarded.as_bytes().len()
    }

    fn write_properties(&self, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        wire::put_variable_byte_integer(self.properties_len() as u32, out);
        if let Some(seconds) = self.message_expiry_interval {
            Property::MessageExpiryInterval(seconds).write(out)?;
        }
        if let Some(alias) = self.topic_alias {
            Property::TopicAlias(alias).write(out)?;
        }
        for identifier in self.subscription_identifiers {
            Property::SubscriptionIdentifier(*identifier).write(out)?;
        }
        out.extend_from_slice(self.forwarded.as_bytes());
        Ok(())
    }
}

impl Body for Delivery<'_> {
    fn len(&self, version: ProtocolVersion) -> usize {
        let section = match version {
            ProtocolVersion::V5 => {
                let bytes = self.properties_len();
                wire::variable_byte_integer_len(bytes) + bytes
            }
            _ => 0,
        };
        publish::head_len(self.topic, self.qos) + section + self.payload.len()
    }

    fn write(&self, version: ProtocolVersion, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        self.write_head(version, out)?;
        out.extend_from_slice(self.payload);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{EVERY_VERSION, Server, V3_1_1, V5, assert_same, frame, id};
    use crate::{Packet, Publish};

    fn delivery() -> Delivery<'static> {
        Delivery {
            topic: "a/b",
            payload: b"hi",
            dup: false,
            qos: QoS::AtMostOnce,
            retain: false,
            packet_id: None,
            forwarded: Properties::EMPTY,
            message_expiry_interval: None,
            topic_alias: None,
            subscription_identifiers: &[],
        }
    }

    fn everything() -> Delivery<'static> {
        Delivery {
            dup: true,
            qos: QoS::AtLeastOnce,
            retain: true,
            packet_id: Some(id(0x0102)),
            forwarded: Properties::new().with(Property::UserProperty("k", "v")),
            message_expiry_interval: Some(60),
            topic_alias: Some(3),
            subscription_identifiers: &[1, 300],
            ..delivery()
        }
    }

    /// The same as a packet.
    fn publish<'a>(delivery: &Delivery<'a>) -> Packet<'a> {
        let mut properties = Properties::new();
        let expiry = delivery.message_expiry_interval.map(Property::MessageExpiryInterval);
        let alias = delivery.topic_alias.map(Property::TopicAlias);
        let identifiers = delivery.subscription_identifiers.iter().copied();
        expiry.into_iter().chain(alias).for_each(|property| properties.push(property));
        identifiers.for_each(|identifier| properties.push(Property::SubscriptionIdentifier(identifier)));
        delivery.forwarded.iter().for_each(|property| properties.push(property));
        Packet::Publish(Publish {
            dup: delivery.dup,
            qos: delivery.qos,
            retain: delivery.retain,
            topic: delivery.topic,
            packet_id: delivery.packet_id,
            properties,
            payload: delivery.payload,
        })
    }

    fn encode(delivery: &Delivery<'_>, version: ProtocolVersion) -> Vec<u8> {
        let mut out = Vec::new();
        delivery.encode(version, &mut out).expect("it fits");
        assert_eq!(out.len(), delivery.encoded_len(version));
        out
    }

    #[test]
    fn a_delivery_is_the_publish_with_the_same_properties() {
        for delivery in [
            delivery(),
            everything(),
            Delivery { topic: "", ..everything() },
            Delivery { message_expiry_interval: Some(0), ..delivery() },
            Delivery { topic_alias: Some(65_535), ..delivery() },
            Delivery { subscription_identifiers: &[127, 128, 268_435_455], ..delivery() },
            Delivery { subscription_identifiers: &[5; 200], ..delivery() },
            Delivery { payload: &[0; 200], ..everything() },
        ] {
            assert_same(Server, V5, &encode(&delivery, V5), publish(&delivery));
            for version in EVERY_VERSION {
                let mut out = Vec::new();
                publish(&delivery).encode(version, &mut out).expect("it fits");
                assert_eq!(encode(&delivery, version), out, "{version:?} {delivery:?}");
            }
        }
    }

    #[test]
    fn the_order_is_expiry_alias_identifiers_forwarded() {
        let properties = b"\x14\x02\x00\x00\x00\x3C\x23\x00\x03\x0B\x01\x0B\xAC\x02\x26\x00\x01k\x00\x01v";
        let bytes = frame(0x3B, &[b"\x00\x03a/b\x01\x02", &properties[..], b"hi"].concat());
        assert_eq!(encode(&everything(), V5), bytes);
        assert_eq!(encode(&everything(), V3_1_1), frame(0x3B, b"\x00\x03a/b\x01\x02hi"));
    }

    #[test]
    fn a_head_is_everything_but_the_payload() {
        for delivery in [delivery(), everything(), Delivery { payload: &[7; 300], ..everything() }] {
            for version in EVERY_VERSION {
                let mut out = b"before".to_vec();
                delivery.encode_head(version, &mut out).expect("it fits");
                assert_eq!([&out[6..], delivery.payload].concat(), encode(&delivery, version));
            }
        }
    }

    #[test]
    fn what_cannot_be_written_leaves_nothing_behind() {
        let property = crate::PropertyId::TopicAlias;
        let no_alias = Delivery { topic_alias: Some(0), ..everything() };
        let no_packet_id = Delivery { packet_id: None, ..everything() };
        for (delivery, error) in [
            (no_alias, EncodeError::PropertyValue { property, value: 0 }),
            (no_packet_id, EncodeError::PacketIdMissing),
        ] {
            let mut out = b"before".to_vec();
            assert_eq!(delivery.encode(V5, &mut out), Err(error));
            assert_eq!(out, b"before");
            assert_eq!(delivery.encode_head(V5, &mut out), Err(error));
            assert_eq!(out, b"before");
        }
    }
}
