//! Packets as bytes, made once by the codec and patched where messages differ.

use noctule_codec::{
    Ack, Connect, Disconnect, Packet, PacketId, Properties, Property, ProtocolVersion, Publish, QoS,
    ReasonCode, Subscribe, SubscribeFilters, SubscriptionOptions,
};

use crate::load::TOPIC_DIGITS;

/// The PUBLISH of one publisher up to its payload.
#[derive(Debug)]
pub(crate) struct PublishHead {
    bytes: Vec<u8>,
    /// Where the topic's number stands.
    digits_at: usize,
    /// Where the packet identifier stands; nowhere at QoS 0.
    packet_id_at: Option<usize>,
    /// The topic it stands at.
    topic: u32,
}

/// What a PUBLISH is, apart from its topic.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PublishShape {
    pub(crate) version: ProtocolVersion,
    pub(crate) qos: QoS,
    pub(crate) retain: bool,
    pub(crate) payload_bytes: usize,
}

impl PublishHead {
    /// The head for a topic whose digits stand at `digits_in_topic`.
    pub(crate) fn new(shape: PublishShape, topic: u32, name: &str, digits_in_topic: usize) -> Self {
        let payload = vec![0; shape.payload_bytes];
        let mut bytes = encoded(shape.version, &publish(shape, name, &payload));
        bytes.truncate(bytes.len() - payload.len());
        let properties = usize::from(shape.version == ProtocolVersion::V5);
        let packet_id_at = (shape.qos != QoS::AtMostOnce).then(|| bytes.len() - properties - PACKET_ID_BYTES);
        let name_at = packet_id_at.unwrap_or(bytes.len() - properties) - name.len();
        Self { bytes, digits_at: name_at + digits_in_topic, packet_id_at, topic }
    }

    /// Appends the head for this topic and packet identifier; the payload is to follow.
    pub(crate) fn write(&mut self, topic: u32, packet_id: Option<PacketId>, out: &mut Vec<u8>) {
        if topic != self.topic {
            self.topic = topic;
            write_digits(topic, &mut self.bytes[self.digits_at..][..TOPIC_DIGITS]);
        }
        if let (Some(at), Some(packet_id)) = (self.packet_id_at, packet_id) {
            self.bytes[at..][..PACKET_ID_BYTES].copy_from_slice(&packet_id.get().to_be_bytes());
        }
        out.extend_from_slice(&self.bytes);
    }
}

/// The four acknowledgements of success.
#[derive(Debug)]
pub(crate) struct Acks {
    pub(crate) puback: AckFrame,
    pub(crate) pubrec: AckFrame,
    pub(crate) pubrel: AckFrame,
    pub(crate) pubcomp: AckFrame,
}

/// An acknowledgement without its packet identifier, which comes last.
#[derive(Debug)]
pub(crate) struct AckFrame([u8; ACK_BYTES]);

impl Acks {
    pub(crate) fn new(version: ProtocolVersion) -> Self {
        let frame = |packet: fn(Ack<'static>) -> Packet<'static>| {
            let ack = Ack {
                packet_id: FIRST_PACKET_ID,
                reason_code: ReasonCode::Success,
                properties: Properties::EMPTY,
            };
            let bytes = encoded(version, &packet(ack));
            AckFrame(bytes.try_into().expect("success without properties takes four bytes in every version"))
        };
        Self {
            puback: frame(Packet::PubAck),
            pubrec: frame(Packet::PubRec),
            pubrel: frame(Packet::PubRel),
            pubcomp: frame(Packet::PubComp),
        }
    }
}

impl AckFrame {
    pub(crate) fn write(&self, packet_id: PacketId, out: &mut Vec<u8>) {
        let [first_byte, length, ..] = self.0;
        let [high, low] = packet_id.get().to_be_bytes();
        out.extend_from_slice(&[first_byte, length, high, low]);
    }
}

/// How a client introduces itself.
#[derive(Debug)]
pub(crate) struct Introduction<'a> {
    pub(crate) version: ProtocolVersion,
    pub(crate) client_id: &'a str,
    /// The session outlives the connection, and an earlier one is taken up.
    pub(crate) is_durable: bool,
    pub(crate) user_name: Option<&'a str>,
    pub(crate) password: Option<&'a str>,
}

/// A CONNECT without keep alive.
pub(crate) fn connect(introduction: &Introduction<'_>) -> Vec<u8> {
    let mut properties = Properties::new();
    if introduction.is_durable && introduction.version == ProtocolVersion::V5 {
        properties.push(Property::SessionExpiryInterval(DURABLE_SECONDS));
    }
    let connect = Connect {
        version: introduction.version,
        clean_start: !introduction.is_durable,
        keep_alive_seconds: 0,
        client_id: introduction.client_id,
        will: None,
        user_name: introduction.user_name,
        password: introduction.password.map(str::as_bytes),
        properties,
    };
    encoded(introduction.version, &Packet::Connect(connect))
}

/// A SUBSCRIBE that asks for the same QoS for every filter.
pub(crate) fn subscribe(
    version: ProtocolVersion,
    packet_id: PacketId,
    filters: &[String],
    qos: QoS,
) -> Vec<u8> {
    let options = SubscriptionOptions { qos, ..SubscriptionOptions::default() };
    let filters: SubscribeFilters<'_> = filters.iter().map(|filter| (filter.as_str(), options)).collect();
    encoded(version, &Packet::Subscribe(Subscribe { packet_id, properties: Properties::EMPTY, filters }))
}

/// A PUBLISH without payload that clears the retained message of a topic, at QoS 0.
pub(crate) fn clear_retained(version: ProtocolVersion, topic: &str) -> Vec<u8> {
    let shape = PublishShape { version, qos: QoS::AtMostOnce, retain: true, payload_bytes: 0 };
    encoded(version, &publish(shape, topic, &[]))
}

pub(crate) fn ping(version: ProtocolVersion) -> Vec<u8> {
    encoded(version, &Packet::PingReq)
}

/// A DISCONNECT that ends the connection in order.
pub(crate) fn disconnect(version: ProtocolVersion) -> Vec<u8> {
    let reason_code = ReasonCode::NORMAL_DISCONNECTION;
    encoded(version, &Packet::Disconnect(Disconnect { reason_code, properties: Properties::EMPTY }))
}

fn publish<'a>(shape: PublishShape, topic: &'a str, payload: &'a [u8]) -> Packet<'a> {
    Packet::Publish(Publish {
        dup: false,
        qos: shape.qos,
        retain: shape.retain,
        topic,
        packet_id: Some(FIRST_PACKET_ID),
        properties: Properties::EMPTY,
        payload,
    })
}

/// Appends a packet of ours.
pub(crate) fn write(version: ProtocolVersion, packet: &Packet<'_>, out: &mut Vec<u8>) {
    packet.encode(version, out).expect("names are short and payloads are within MQTT's limit");
}

fn encoded(version: ProtocolVersion, packet: &Packet<'_>) -> Vec<u8> {
    let mut bytes = Vec::new();
    write(version, packet, &mut bytes);
    bytes
}

fn write_digits(mut number: u32, out: &mut [u8]) {
    for digit in out.iter_mut().rev() {
        *digit = b'0' + (number % 10) as u8;
        number /= 10;
    }
}

/// 1, the first packet identifier there is.
pub(crate) const FIRST_PACKET_ID: PacketId = match PacketId::new(1) {
    Some(packet_id) => packet_id,
    None => unreachable!(),
};

/// The largest payload a PUBLISH of ours carries: what MQTT allows, less room for the head.
pub(crate) const PAYLOAD_BYTES_MAX: usize = 268_435_455 - 1024;

const PACKET_ID_BYTES: usize = 2;
const ACK_BYTES: usize = 4;

/// How long a durable session of ours outlives its connection, should the probe be killed: an hour.
pub(crate) const DURABLE_SECONDS: u32 = 3_600;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::{Filter, Load, Spread};

    #[test]
    fn a_patched_head_is_what_the_codec_writes() {
        let load = Load {
            publishers: 1,
            subscribers: 1,
            topics: 1_000,
            spread: Spread::Pairs,
            filter: Filter::Exact,
            run: 1,
            homes_apart: None,
        };
        for version in [ProtocolVersion::V3_1, ProtocolVersion::V3_1_1, ProtocolVersion::V5] {
            for qos in [QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce] {
                for payload_bytes in [0, 16, 300, 70_000] {
                    let shape = PublishShape { version, qos, retain: true, payload_bytes };
                    let mut head = PublishHead::new(shape, 0, &load.topic(0), load.digits_at());
                    for topic in [0, 7, 987, 0] {
                        let mut found = Vec::new();
                        head.write(topic, Some(FIRST_PACKET_ID), &mut found);
                        let payload = vec![b'x'; payload_bytes];
                        found.extend_from_slice(&payload);
                        assert_eq!(found, encoded(version, &publish(shape, &load.topic(topic), &payload)));
                    }
                }
            }
        }
    }

    #[test]
    fn acknowledgements_carry_their_identifier() {
        for version in [ProtocolVersion::V3_1_1, ProtocolVersion::V5] {
            let (acks, mut out) = (Acks::new(version), Vec::new());
            let packet_id = PacketId::new(0x0102).expect("not 0");
            for frame in [&acks.puback, &acks.pubrec, &acks.pubrel, &acks.pubcomp] {
                frame.write(packet_id, &mut out);
            }
            assert_eq!(out, [0x40, 2, 1, 2, 0x50, 2, 1, 2, 0x62, 2, 1, 2, 0x70, 2, 1, 2]);
        }
    }
}
