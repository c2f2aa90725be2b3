//! What tests say and expect most often, in MQTT's words.

use super::{ConnectOptions, Sim};
use noctule_codec::{
    Ack, ConnAck, Disconnect, Packet, PacketId, Properties, Property, ProtocolVersion, QoS, ReasonCode, Will,
};

/// The three versions, for tests that hold in all of them.
pub const VERSIONS: [ProtocolVersion; 3] =
    [ProtocolVersion::V3_1, ProtocolVersion::V3_1_1, ProtocolVersion::V5];

impl Sim {
    /// Opens a connection and says CONNECT; the answer must be a CONNACK.
    #[track_caller]
    pub fn connack(&mut self, options: &ConnectOptions<'_>) -> (usize, ConnAck<'static>) {
        let wire = self.dial(options);
        match self.expect(wire) {
            Packet::ConnAck(connack) => (wire, connack),
            packet => panic!("CONNECT was answered by {packet:?}"),
        }
    }

    /// Opens a connection that must be refused by CONNACK and closed; says with which code.
    #[track_caller]
    pub fn refusal(&mut self, options: &ConnectOptions<'_>) -> ReasonCode {
        let (wire, connack) = self.connack(options);
        assert!(connack.reason_code.is_error(), "the client was let in: {connack:?}");
        assert!(!connack.session_present, "a refusal has no session");
        assert!(self.is_closed(wire), "a refused connection is closed");
        assert_eq!(self.receive(wire), None, "something follows the refusal");
        connack.reason_code
    }

    /// The broker must have ended the connection: for 5.0 by a DISCONNECT with this code, for 3.x without a
    /// word. What it sent before is passed over.
    #[track_caller]
    pub fn expect_end(&mut self, wire: usize, reason_code: ReasonCode) {
        let last = self.drain(wire).pop();
        assert!(self.is_closed(wire), "the connection goes on; last {last:?}");
        let told = match &last {
            Some(Packet::Disconnect(disconnect)) => Some(disconnect.reason_code),
            _ => None,
        };
        let expected = (self.wire(wire).version == ProtocolVersion::V5).then_some(reason_code);
        assert_eq!(told, expected, "the last packet was {last:?}");
    }

    /// The connection must be open and answer PINGREQ. What it sent before is passed over.
    #[track_caller]
    pub fn expect_alive(&mut self, wire: usize) {
        self.drain(wire);
        self.send(wire, &Packet::PingReq);
        assert_eq!(self.receive(wire), Some(Packet::PingResp), "events {:?}", self.events);
        assert!(!self.is_closed(wire));
    }

    /// A 5.0 client that subscribes to a filter with QoS 2.
    #[track_caller]
    pub fn watch(&mut self, filter: &str) -> usize {
        let watcher = self.connect(ProtocolVersion::V5, "watcher");
        self.subscribe(watcher, filter, QoS::ExactlyOnce);
        watcher
    }

    /// The payloads of all PUBLISH packets that the broker sent and nobody has read.
    pub fn payloads(&mut self, wire: usize) -> Vec<String> {
        let packets = self.drain(wire).into_iter();
        let payloads = packets.filter_map(|packet| match packet {
            Packet::Publish(publish) => Some(String::from_utf8_lossy(publish.payload).into_owned()),
            _ => None,
        });
        payloads.collect()
    }
}

/// An acknowledgement with Success.
pub fn ack(packet_id: u16) -> Ack<'static> {
    let packet_id = PacketId::new(packet_id).expect("test ids are not zero");
    Ack { packet_id, reason_code: ReasonCode::Success, properties: Properties::EMPTY }
}

/// A DISCONNECT.
pub fn disconnect(reason_code: ReasonCode) -> Packet<'static> {
    Packet::Disconnect(Disconnect { reason_code, properties: Properties::EMPTY })
}

/// A DISCONNECT that changes the session expiry, in seconds.
pub fn disconnect_with_expiry(reason_code: ReasonCode, session_expiry_interval: u32) -> Packet<'static> {
    let properties = Properties::new().with(Property::SessionExpiryInterval(session_expiry_interval));
    Packet::Disconnect(Disconnect { reason_code, properties })
}

/// A will with QoS 0, not retained.
pub fn will<'a>(topic: &'a str, payload: &'a str) -> Will<'a> {
    let (payload, properties) = (payload.as_bytes(), Properties::EMPTY);
    Will { topic, payload, qos: QoS::AtMostOnce, retain: false, properties }
}

/// The same with a Will Delay Interval in seconds.
pub fn will_after<'a>(topic: &'a str, payload: &'a str, seconds: u32) -> Will<'a> {
    let properties = Properties::new().with(Property::WillDelayInterval(seconds));
    Will { properties, ..will(topic, payload) }
}

/// A packet byte by byte, with the length it has.
pub fn raw(first_byte: u8, body: &[u8]) -> Vec<u8> {
    let mut bytes = vec![first_byte];
    let mut length = body.len();
    while length > 0x7f {
        bytes.push((length & 0x7f) as u8 | 0x80);
        length >>= 7;
    }
    bytes.push(length as u8);
    bytes.extend_from_slice(body);
    bytes
}

/// A CONNECT byte by byte; `rest` is what follows the keep alive.
pub fn raw_connect(name: &str, level: u8, flags: u8, rest: &[u8]) -> Vec<u8> {
    let mut body = Vec::new();
    body.extend_from_slice(&raw_text(name));
    body.extend_from_slice(&[level, flags, 0, 0]);
    body.extend_from_slice(rest);
    raw(0x10, &body)
}

/// A string or binary field behind its two-byte length.
pub fn raw_text(text: impl AsRef<[u8]>) -> Vec<u8> {
    let text = text.as_ref();
    let length = u16::try_from(text.len()).expect("test strings fit their length");
    [length.to_be_bytes().as_slice(), text].concat()
}
