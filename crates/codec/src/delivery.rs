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

    /// How many bytes [`encode`](Self::encode) appends, or would append if the packet were not too large.
    pub fn encoded_len(&self, version: ProtocolVersion) -> usize {
        encoder::packet_len(self.len(version))
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
        publish::write_head(self.topic, self.qos, self.packet_id, out)?;
        if version == ProtocolVersion::V5 {
            self.write_properties(out)?;
        }
        out.extend_from_slice(self.payload);
        Ok(())
    }
}
