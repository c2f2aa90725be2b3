//! PUBLISH on the wire.

use crate::decoder::Origin;
use crate::encoder::{self, Body};
use crate::wire::{self, Reader};
use crate::{
    DecodeError, EncodeError, PacketId, PacketType, Properties, PropertyPlace, ProtocolVersion, Publish, QoS,
};

const DUP: u8 = 0b1000;
const RETAIN: u8 = 0b0001;
const TOPIC_NAME: &str = "the topic name";

impl<'a> Publish<'a> {
    /// The flags have been checked with the fixed header.
    pub(crate) fn decode(flags: u8, mut body: Reader<'a>, origin: Origin) -> Result<Self, DecodeError> {
        let qos = QoS::from_bits(flags >> 1 & 0b11).ok_or(DecodeError::PublishQoS)?;
        let topic = body.topic_name(TOPIC_NAME)?;
        let packet_id = match qos {
            QoS::AtMostOnce => None,
            _ => Some(body.packet_id(PacketType::Publish)?),
        };
        let place = PropertyPlace::Packet(PacketType::Publish);
        let properties = Properties::decode(&mut body, origin.version, place, origin.sender)?;
        if topic.is_empty() && properties.topic_alias().is_none() {
            return Err(DecodeError::TopicNameEmpty { field: TOPIC_NAME });
        }
        Ok(Self {
            dup: flags & DUP != 0,
            qos,
            retain: flags & RETAIN != 0,
            topic,
            packet_id,
            properties,
            payload: body.rest(),
        })
    }

    pub(crate) const fn first_byte(&self) -> u8 {
        first_byte(self.dup, self.qos, self.retain)
    }
}

impl Body for Publish<'_> {
    fn len(&self, version: ProtocolVersion) -> usize {
        head_len(self.topic, self.qos) + self.properties.section_len(version) + self.payload.len()
    }

    fn write(&self, version: ProtocolVersion, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        write_head(self.topic, self.qos, self.packet_id, out)?;
        self.properties.write(version, out);
        out.extend_from_slice(self.payload);
        Ok(())
    }
}

pub(crate) const fn first_byte(dup: bool, qos: QoS, retain: bool) -> u8 {
    let dup = if dup { DUP } else { 0 };
    let retain = if retain { RETAIN } else { 0 };
    encoder::first_byte(PacketType::Publish, dup | (qos as u8) << 1 | retain)
}

/// Topic and packet identifier, in bytes.
pub(crate) const fn head_len(topic: &str, qos: QoS) -> usize {
    let packet_id_len = if matches!(qos, QoS::AtMostOnce) { 0 } else { 2 };
    wire::binary_len(topic.as_bytes()) + packet_id_len
}

/// A packet identifier stands there exactly where the QoS is above 0 [MQTT-2.2.1-2].
pub(crate) fn write_head(
    topic: &str,
    qos: QoS,
    packet_id: Option<PacketId>,
    out: &mut Vec<u8>,
) -> Result<(), EncodeError> {
    wire::put_string(topic, TOPIC_NAME, out)?;
    if qos != QoS::AtMostOnce {
        wire::put_packet_id(packet_id.ok_or(EncodeError::PacketIdMissing)?, out);
    }
    Ok(())
}
