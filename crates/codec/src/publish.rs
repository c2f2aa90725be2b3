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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{
        Client, EVERY_VERSION, Server, V3_1, V3_1_1, V5, assert_encodes, assert_refused, assert_same, frame,
        id,
    };
    use crate::{Packet, Property, ReasonCode};

    fn publish(qos: QoS) -> Publish<'static> {
        Publish {
            dup: false,
            qos,
            retain: false,
            topic: "a/b",
            packet_id: (qos != QoS::AtMostOnce).then(|| id(0x1234)),
            properties: Properties::EMPTY,
            payload: b"hi",
        }
    }

    #[test]
    fn every_flag_in_every_version_and_direction() {
        let cases = [
            (0x30, publish(QoS::AtMostOnce)),
            (0x31, Publish { retain: true, ..publish(QoS::AtMostOnce) }),
            (0x32, publish(QoS::AtLeastOnce)),
            (0x33, Publish { retain: true, ..publish(QoS::AtLeastOnce) }),
            (0x34, publish(QoS::ExactlyOnce)),
            (0x35, Publish { retain: true, ..publish(QoS::ExactlyOnce) }),
            (0x3A, Publish { dup: true, ..publish(QoS::AtLeastOnce) }),
            (0x3B, Publish { dup: true, retain: true, ..publish(QoS::AtLeastOnce) }),
            (0x3C, Publish { dup: true, ..publish(QoS::ExactlyOnce) }),
            (0x3D, Publish { dup: true, retain: true, ..publish(QoS::ExactlyOnce) }),
        ];
        for version in EVERY_VERSION {
            for (first_byte, packet) in &cases {
                let packet_id: &[u8] = if packet.packet_id.is_some() { &[0x12, 0x34] } else { &[] };
                let properties: &[u8] = if version == V5 { &[0] } else { &[] };
                let bytes = frame(*first_byte, &[b"\x00\x03a/b", packet_id, properties, b"hi"].concat());
                for sender in [Client, Server] {
                    assert_same(sender, version, &bytes, packet.clone());
                }
            }
        }
    }

    #[test]
    fn properties_stand_between_packet_id_and_payload() {
        let properties =
            Properties::new().with(Property::TopicAlias(2)).with(Property::UserProperty("k", "v"));
        let packet = Publish { properties, ..publish(QoS::AtLeastOnce) };
        let bytes = frame(0x32, b"\x00\x03a/b\x12\x34\x0A\x23\x00\x02\x26\x00\x01k\x00\x01vhi");
        assert_same(Client, V5, &bytes, packet.clone());
        assert_encodes(V3_1_1, packet, &frame(0x32, b"\x00\x03a/b\x12\x34hi"));
    }

    #[test]
    fn a_payload_may_be_empty_or_large() {
        assert_same(
            Client,
            V3_1_1,
            b"\x30\x03\x00\x01a",
            Publish { topic: "a", payload: b"", ..publish(QoS::AtMostOnce) },
        );
        let payload = vec![0xAA; 300_000];
        let packet = Publish { payload: &payload, ..publish(QoS::AtMostOnce) };
        assert_same(Client, V3_1_1, &frame(0x30, &[b"\x00\x03a/b", &payload[..]].concat()), packet);
    }

    #[test]
    fn mqtt_3_3_1_4_qos_3() {
        for first_byte in [0x36, 0x37, 0x3E, 0x3F] {
            for version in EVERY_VERSION {
                let error = DecodeError::PublishQoS;
                assert_refused(Client, version, &[first_byte], error, ReasonCode::MalformedPacket);
            }
        }
    }

    #[test]
    fn mqtt_3_3_1_2_dup_with_qos_0() {
        for first_byte in [0x38, 0x39] {
            for version in EVERY_VERSION {
                let error = DecodeError::DupWithQoS0;
                assert_refused(Server, version, &[first_byte], error, ReasonCode::MalformedPacket);
            }
        }
    }

    #[test]
    fn mqtt_3_3_2_1_a_topic_name_is_utf8() {
        for (topic, error) in [
            (&b"\x00\x02\xC0\x80"[..], DecodeError::NotUtf8 { field: TOPIC_NAME }),
            (b"\x00\x02a\x00", DecodeError::NulCharacter { field: TOPIC_NAME }),
            (b"\x00\x04a", DecodeError::FieldBeyondEnd { field: TOPIC_NAME }),
            (b"\x00", DecodeError::FieldBeyondEnd { field: TOPIC_NAME }),
            (b"", DecodeError::FieldBeyondEnd { field: TOPIC_NAME }),
        ] {
            for version in EVERY_VERSION {
                let bytes = frame(0x30, topic);
                assert_refused(Client, version, &bytes, error, ReasonCode::MalformedPacket);
            }
        }
    }

    #[test]
    fn mqtt_3_3_2_2_a_topic_name_has_no_wildcards() {
        for topic in ["#", "a/#", "+", "a/+/b", "a+", "b#"] {
            let bytes = frame(0x30, &[&[0, topic.len() as u8], topic.as_bytes(), &[0]].concat());
            for version in EVERY_VERSION {
                let error = DecodeError::WildcardInTopicName { field: TOPIC_NAME };
                assert_refused(Client, version, &bytes, error, ReasonCode::TopicNameInvalid);
            }
        }
    }

    #[test]
    fn mqtt_4_7_3_1_an_empty_topic_needs_an_alias() {
        let error = DecodeError::TopicNameEmpty { field: TOPIC_NAME };
        for version in [V3_1, V3_1_1] {
            assert_refused(Client, version, b"\x30\x03\x00\x00!", error, ReasonCode::ProtocolError);
        }
        assert_refused(Client, V5, b"\x30\x04\x00\x00\x00!", error, ReasonCode::ProtocolError);

        let properties = Properties::new().with(Property::TopicAlias(0x0102));
        let packet = Publish { topic: "", properties, payload: b"!", ..publish(QoS::AtMostOnce) };
        for sender in [Client, Server] {
            assert_same(sender, V5, b"\x30\x07\x00\x00\x03\x23\x01\x02!", packet.clone());
        }
    }

    #[test]
    fn mqtt_2_2_1_3_a_packet_identifier_of_zero() {
        let error = DecodeError::PacketIdZero { packet_type: PacketType::Publish };
        for version in EVERY_VERSION {
            for first_byte in [0x32, 0x34] {
                let bytes = frame(first_byte, b"\x00\x01a\x00\x00\x00");
                assert_refused(Client, version, &bytes, error, ReasonCode::ProtocolError);
            }
        }
        let error = DecodeError::FieldBeyondEnd { field: "the packet identifier" };
        assert_refused(Client, V5, &frame(0x32, b"\x00\x01a\x01"), error, ReasonCode::MalformedPacket);
    }

    #[test]
    fn mqtt_2_2_1_2_at_qos_0_no_packet_identifier_is_written() {
        let packet = Publish { packet_id: Some(id(7)), ..publish(QoS::AtMostOnce) };
        assert_encodes(V3_1_1, packet, &frame(0x30, b"\x00\x03a/bhi"));
    }

    #[test]
    fn above_qos_0_a_packet_identifier_is_needed() {
        for qos in [QoS::AtLeastOnce, QoS::ExactlyOnce] {
            let packet = Packet::from(Publish { packet_id: None, ..publish(qos) });
            let mut out = b"before".to_vec();
            assert_eq!(packet.encode(V5, &mut out), Err(EncodeError::PacketIdMissing));
            assert_eq!(out, b"before", "nothing was added");
        }
    }

    #[test]
    fn the_payload_format_is_not_checked_here() {
        // A server may check it or not (section 3.3.2.3.2); it has to forward it in any case [MQTT-3.3.2-4].
        let bytes = frame(0x30, b"\x00\x01a\x02\x01\x01\xFF\xFE");
        let properties = Properties::new().with(Property::PayloadFormatIndicator(true));
        let packet = Publish { topic: "a", properties, payload: b"\xFF\xFE", ..publish(QoS::AtMostOnce) };
        assert_same(Client, V5, &bytes, packet);
    }
}
