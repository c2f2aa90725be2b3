//! What may come once messages flow, reduced to what the probe looks at.
//!
//! There are two ways to it. Every packet can be read by the codec and turned into an [`Incoming`]. The two kinds that
//! come by the million, acknowledgements of four bytes and publications of our own topics without properties, are
//! recognised by [`Recogniser`] as they stand there, which takes a third off the instructions the probe spends on a
//! message (964 to 625 at QoS 0, 1,840 to 1,115 at QoS 2, by callgrind).
//! What it recognises it reads exactly as the codec would; whatever looks different is left to the codec.

use noctule_codec::{Packet, PacketId, PacketType, ProtocolVersion, QoS, ReasonCode};

use crate::load::{Load, TOPIC_DIGITS};

/// A packet on a connection that is open.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Incoming<'a> {
    Delivery(Delivery<'a>),
    /// PUBACK, PUBREC, PUBREL or PUBCOMP.
    Ack {
        packet: PacketType,
        packet_id: PacketId,
        reason_code: ReasonCode,
    },
    Pong,
    /// Something a broker must not send now, by its name.
    Unasked(&'static str),
}

/// A PUBLISH.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Delivery<'a> {
    pub(crate) qos: QoS,
    pub(crate) packet_id: Option<PacketId>,
    /// The number of the topic; none if it is not of this run.
    pub(crate) topic: Option<u32>,
    pub(crate) payload: &'a [u8],
}

/// Recognises the usual packets of a run.
#[derive(Debug)]
pub(crate) struct Recogniser {
    version: ProtocolVersion,
    /// A topic of this run with its length; the digits of its number differ.
    topic: Vec<u8>,
    digits_at: usize,
}

impl<'a> Incoming<'a> {
    /// What the codec read.
    pub(crate) fn new(packet: &Packet<'a>, load: &Load) -> Self {
        let ack = |kind, ack: &noctule_codec::Ack<'_>| Self::Ack {
            packet: kind,
            packet_id: ack.packet_id,
            reason_code: ack.reason_code,
        };
        match packet {
            Packet::Publish(publish) => Self::Delivery(Delivery {
                qos: publish.qos,
                packet_id: publish.packet_id,
                topic: load.topic_number(publish.topic),
                payload: publish.payload,
            }),
            Packet::PubAck(packet) => ack(PacketType::PubAck, packet),
            Packet::PubRec(packet) => ack(PacketType::PubRec, packet),
            Packet::PubRel(packet) => ack(PacketType::PubRel, packet),
            Packet::PubComp(packet) => ack(PacketType::PubComp, packet),
            Packet::PingResp => Self::Pong,
            Packet::ConnAck(_) => Self::Unasked("CONNACK"),
            Packet::SubAck(_) => Self::Unasked("SUBACK"),
            Packet::UnsubAck(_) => Self::Unasked("UNSUBACK"),
            Packet::Auth(_) => Self::Unasked("AUTH"),
            Packet::Connect(_)
            | Packet::Subscribe(_)
            | Packet::Unsubscribe(_)
            | Packet::PingReq
            | Packet::Disconnect(_) => Self::Unasked("packet"),
        }
    }
}

impl Recogniser {
    pub(crate) fn new(version: ProtocolVersion, load: &Load) -> Self {
        let name = load.topic(0);
        let length = u16::try_from(name.len()).expect("topics of a run have 36 bytes");
        let topic = [&length.to_be_bytes(), name.as_bytes()].concat();
        Self { version, topic, digits_at: load.digits_at() + LENGTH_BYTES }
    }

    /// The packet at the front of `bytes` with its length, if it is all there and one of the usual ones.
    pub(crate) fn read<'a>(&self, bytes: &'a [u8]) -> Option<(Incoming<'a>, usize)> {
        match *bytes.first()? {
            first_byte @ PUBLISH..=PUBLISH_LAST => self.publish(first_byte, bytes),
            PUBACK => acknowledgement(PacketType::PubAck, bytes),
            PUBREC => acknowledgement(PacketType::PubRec, bytes),
            PUBREL => acknowledgement(PacketType::PubRel, bytes),
            PUBCOMP => acknowledgement(PacketType::PubComp, bytes),
            _ => None,
        }
    }

    fn publish<'a>(&self, first_byte: u8, bytes: &'a [u8]) -> Option<(Incoming<'a>, usize)> {
        let (body_at, end) = body(bytes)?;
        let body = bytes.get(body_at..end)?;
        let (topic, mut rest) = body.split_at_checked(self.topic.len())?;
        let number = self.topic_number(topic)?;
        let qos = QoS::from_bits(first_byte >> 1 & 0b11)?;
        let mut packet_id = None;
        if qos != QoS::AtMostOnce {
            let (id, after) = rest.split_first_chunk()?;
            (packet_id, rest) = (Some(PacketId::new(u16::from_be_bytes(*id))?), after);
        } else if first_byte & DUP != 0 {
            return None;
        }
        if self.version == ProtocolVersion::V5 {
            rest = rest.strip_prefix(&NO_PROPERTIES)?;
        }
        Some((Incoming::Delivery(Delivery { qos, packet_id, topic: Some(number), payload: rest }), end))
    }

    fn topic_number(&self, topic: &[u8]) -> Option<u32> {
        let (digits_at, digits_end) = (self.digits_at, self.digits_at + TOPIC_DIGITS);
        let is_ours =
            topic[..digits_at] == self.topic[..digits_at] && topic[digits_end..] == self.topic[digits_end..];
        if is_ours { number(&topic[digits_at..digits_end]) } else { None }
    }
}

fn acknowledgement(packet: PacketType, bytes: &[u8]) -> Option<(Incoming<'_>, usize)> {
    let &[_, ACK_REMAINING_LENGTH, high, low, ..] = bytes else { return None };
    let packet_id = PacketId::new(u16::from_be_bytes([high, low]))?;
    Some((Incoming::Ack { packet, packet_id, reason_code: ReasonCode::Success }, ACK_BYTES))
}

/// Where the body of a packet begins and ends, for lengths below two mebibytes in their shortest form.
fn body(bytes: &[u8]) -> Option<(usize, usize)> {
    let (mut length, mut shift) = (0, 0);
    for at in 1..=LENGTH_DIGITS_MAX {
        let byte = *bytes.get(at)?;
        length |= usize::from(byte & 0x7F) << shift;
        if byte & 0x80 == 0 {
            let is_shortest = at == 1 || byte != 0;
            return is_shortest.then_some((at + 1, at + 1 + length));
        }
        shift += 7;
    }
    None
}

/// The number that ASCII digits stand for.
pub(crate) fn number(digits: &[u8]) -> Option<u32> {
    digits.iter().try_fold(0_u32, |number, &digit| {
        digit.is_ascii_digit().then(|| number.wrapping_mul(10).wrapping_add(u32::from(digit - b'0')))
    })
}

const PUBLISH: u8 = 0x30;
const PUBLISH_LAST: u8 = 0x3F;
const DUP: u8 = 0b1000;
const PUBACK: u8 = 0x40;
const PUBREC: u8 = 0x50;
/// With the flags it must have [MQTT-3.6.1-1].
const PUBREL: u8 = 0x62;
const PUBCOMP: u8 = 0x70;

const NO_PROPERTIES: [u8; 1] = [0];
const LENGTH_BYTES: usize = 2;
const LENGTH_DIGITS_MAX: usize = 3;
const ACK_REMAINING_LENGTH: u8 = 2;
const ACK_BYTES: usize = 4;

#[cfg(test)]
mod tests {
    use noctule_codec::Decoder;

    use super::*;
    use crate::frames::{FIRST_PACKET_ID, PublishHead, PublishShape};
    use crate::load::{Filter, Spread};

    const VERSIONS: [ProtocolVersion; 3] =
        [ProtocolVersion::V3_1, ProtocolVersion::V3_1_1, ProtocolVersion::V5];

    fn load() -> Load {
        let (spread, filter) = (Spread::Pairs, Filter::Exact);
        Load { publishers: 1, subscribers: 1, topics: 2_000, spread, filter, run: 0xBA7, homes_apart: None }
    }

    fn publish(version: ProtocolVersion, qos: QoS, payload: &[u8], topic: u32) -> Vec<u8> {
        let shape = PublishShape { version, qos, retain: false, payload_bytes: payload.len() };
        let mut head = PublishHead::new(shape, 0, &load().topic(0), load().digits_at());
        let mut bytes = Vec::new();
        head.write(topic, Some(FIRST_PACKET_ID), &mut bytes);
        bytes.extend_from_slice(payload);
        bytes
    }

    /// The recogniser says nothing, or what the codec says.
    fn assert_agrees(version: ProtocolVersion, bytes: &[u8]) -> bool {
        let (load, mut decoder) = (load(), Decoder::client(version, u32::MAX));
        let Some((found, length)) = Recogniser::new(version, &load).read(bytes) else { return false };
        let (packet, expected_length) =
            decoder.decode(bytes).expect("what is recognised is right").expect("and whole");
        assert_eq!(
            (found, length),
            (Incoming::new(&packet, &load), expected_length),
            "{version:?} {bytes:?}"
        );
        true
    }

    #[test]
    fn our_publications_are_recognised() {
        for version in VERSIONS {
            for qos in [QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce] {
                for size in [0, 1, 16, 81, 82, 130, 16_300, 16_384, 70_000] {
                    let mut bytes = publish(version, qos, &vec![b'x'; size], 1_234);
                    for end in 0..bytes.len().min(200) {
                        assert!(!assert_agrees(version, &bytes[..end]), "{end} bytes are not all");
                    }
                    bytes.push(0x40);
                    assert!(assert_agrees(version, &bytes), "{version:?} {qos:?} {size}");
                }
            }
        }
    }

    #[test]
    fn acknowledgements_of_success_are_recognised() {
        for version in VERSIONS {
            for first_byte in [0x40, 0x50, 0x62, 0x70] {
                assert!(assert_agrees(version, &[first_byte, 2, 1, 2, 0]));
                assert!(!assert_agrees(version, &[first_byte, 2, 0, 0]));
                assert!(!assert_agrees(version, &[first_byte, 2, 1]));
                assert!(!assert_agrees(version, &[first_byte, 3, 0, 1, 0x97]));
            }
        }
    }

    #[test]
    fn a_changed_byte_never_makes_it_disagree_with_the_codec() {
        for version in VERSIONS {
            for qos in [QoS::AtMostOnce, QoS::AtLeastOnce] {
                let bytes = publish(version, qos, b"payload", 7);
                for at in 0..bytes.len() {
                    for value in 0..=255 {
                        let mut changed = bytes.clone();
                        changed[at] = value;
                        changed.extend_from_slice(&[0; 300]);
                        assert_agrees(version, &changed);
                    }
                }
                let mut longer = bytes.clone();
                longer.splice(1..2, [bytes[1] | 0x80, 0]);
                assert!(!assert_agrees(version, &longer), "a length that is not the shortest");
            }
        }
    }
}
