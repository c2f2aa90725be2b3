//! A client that tells what it sees, in words that can be compared.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use noctule_codec::{
    Ack, Connect, Decoder, Packet, PacketId, Properties, Property, ProtocolVersion, Publish, QoS, ReasonCode,
    Subscribe, SubscribeFilters, SubscriptionOptions, Will,
};

use super::brokers::Subject;

/// What bytes of MQTT go through.
pub(crate) trait Wire: Read + Write {}

impl<S: Read + Write> Wire for S {}

/// One connection.
pub(crate) struct Client {
    wire: Box<dyn Wire>,
    version: ProtocolVersion,
    received: Vec<u8>,
    next_id: u16,
    /// Messages that have come and nobody has asked for.
    messages: Vec<String>,
    /// Whether deliveries are acknowledged.
    pub(crate) acknowledges: bool,
}

/// What a CONNECT says.
#[derive(Clone, Copy)]
pub(crate) struct Hello<'a> {
    pub(crate) version: ProtocolVersion,
    pub(crate) client_id: &'a str,
    pub(crate) clean_start: bool,
    pub(crate) keep_alive: u16,
    pub(crate) user_name: Option<&'a str>,
    pub(crate) password: Option<&'a str>,
    pub(crate) will: Option<&'a str>,
}

/// The answer to it.
#[derive(Debug, Default)]
pub(crate) struct Welcome {
    pub(crate) is_in: bool,
    /// The reason code of CONNACK, if there was one.
    pub(crate) code: Option<u8>,
    pub(crate) session_present: bool,
    pub(crate) client_id: Option<String>,
    pub(crate) keep_alive: Option<u16>,
    pub(crate) receive_maximum: Option<u16>,
    pub(crate) maximum_qos: Option<u8>,
    pub(crate) retain_available: bool,
}

/// What a client sees.
#[derive(Debug, PartialEq, Eq)]
enum Seen {
    ConnAck,
    Message { text: String, qos: QoS, packet_id: Option<PacketId> },
    Ack(ReasonCode),
    Release(PacketId),
    SubAck(Vec<ReasonCode>),
    Pong,
    Other,
}

impl<'a> Hello<'a> {
    /// A clean 3.1.1 client without user name.
    pub(crate) fn new(client_id: &'a str) -> Self {
        Self {
            version: ProtocolVersion::V3_1_1,
            client_id,
            clean_start: true,
            keep_alive: 60,
            user_name: None,
            password: None,
            will: None,
        }
    }

    pub(crate) fn v5(self) -> Self {
        Self { version: ProtocolVersion::V5, ..self }
    }

    pub(crate) fn v31(self) -> Self {
        Self { version: ProtocolVersion::V3_1, ..self }
    }

    pub(crate) fn user(self, user_name: &'a str, password: &'a str) -> Self {
        Self { user_name: Some(user_name), password: Some(password), ..self }
    }

    pub(crate) fn durable(self) -> Self {
        Self { clean_start: false, ..self }
    }
}

impl Client {
    /// Over TCP, to the first port.
    pub(super) fn dial(subject: &Subject) -> Option<Self> {
        Self::dial_port(subject.ports[0])
    }

    pub(crate) fn dial_port(port: u16) -> Option<Self> {
        Self::dial_at(SocketAddr::from(([127, 0, 0, 1], port)))
    }

    pub(crate) fn dial_at(address: SocketAddr) -> Option<Self> {
        let socket = TcpStream::connect(address).ok()?;
        socket.set_read_timeout(Some(PATIENCE)).expect("a socket");
        socket.set_nodelay(true).expect("a socket");
        Some(Self::over(socket))
    }

    /// Over anything else.
    pub(crate) fn over(wire: impl Wire + 'static) -> Self {
        Self {
            wire: Box::new(wire),
            version: ProtocolVersion::V5,
            received: Vec::new(),
            next_id: 1,
            messages: Vec::new(),
            acknowledges: true,
        }
    }

    /// A connection that has been let in.
    pub(super) fn connected(subject: &Subject, hello: Hello<'_>) -> Self {
        let mut client = Self::dial(subject).expect("the broker listens");
        assert!(client.connect(hello).is_in, "{} is let in", hello.client_id);
        client
    }

    /// Says CONNECT.
    pub(crate) fn connect(&mut self, hello: Hello<'_>) -> Welcome {
        self.version = hello.version;
        let properties = match (hello.clean_start, hello.version) {
            (false, ProtocolVersion::V5) => Properties::new().with(Property::SessionExpiryInterval(3600)),
            _ => Properties::EMPTY,
        };
        let will = hello.will.map(|topic| Will {
            topic,
            payload: b"gone",
            qos: QoS::AtMostOnce,
            retain: false,
            properties: Properties::EMPTY,
        });
        self.send(&Packet::Connect(Connect {
            version: hello.version,
            clean_start: hello.clean_start,
            keep_alive_seconds: hello.keep_alive,
            client_id: hello.client_id,
            will,
            user_name: hello.user_name,
            password: hello.password.map(str::as_bytes),
            properties,
        }));
        let mut welcome = Welcome::default();
        self.look(|packet| {
            let Packet::ConnAck(ack) = packet else { return Seen::Other };
            let properties = &ack.properties;
            welcome = Welcome {
                is_in: !ack.reason_code.is_error(),
                code: Some(ack.reason_code as u8),
                session_present: ack.session_present,
                client_id: properties.assigned_client_identifier().map(str::to_owned),
                keep_alive: properties.server_keep_alive(),
                receive_maximum: properties.receive_maximum(),
                maximum_qos: properties.maximum_qos().map(|qos| qos as u8),
                retain_available: properties.retain_available().unwrap_or(true),
            };
            Seen::ConnAck
        });
        welcome
    }

    /// Subscribes; what is granted.
    pub(crate) fn subscribe(&mut self, filter: &str, qos: QoS) -> String {
        let packet_id = self.packet_id();
        let mut filters = SubscribeFilters::default();
        filters.push(filter, SubscriptionOptions { qos, ..SubscriptionOptions::default() });
        self.send(&Packet::Subscribe(Subscribe { packet_id, properties: Properties::EMPTY, filters }));
        match self.see_until(|seen| matches!(seen, Seen::SubAck(_))) {
            Some(Seen::SubAck(codes)) => format!("{filter}: {codes:?}"),
            _ => format!("{filter}: closed"),
        }
    }

    /// Publishes, and waits for what the broker says to it; `closed` if that is the end.
    pub(crate) fn publish(&mut self, topic: &str, payload: &str, qos: QoS, retain: bool) -> String {
        let packet_id = (qos > QoS::AtMostOnce).then(|| self.packet_id());
        let properties = Properties::EMPTY;
        let payload = payload.as_bytes();
        self.send(&Packet::Publish(Publish {
            dup: false,
            qos,
            retain,
            topic,
            packet_id,
            properties,
            payload,
        }));
        let Some(packet_id) = packet_id else {
            return if self.ping() { "sent" } else { "closed" }.into();
        };
        let answer = self.see_until(|seen| matches!(seen, Seen::Ack(_)));
        let Some(Seen::Ack(code)) = answer else { return "closed".into() };
        if qos == QoS::ExactlyOnce && !code.is_error() {
            let (reason_code, properties) = (ReasonCode::Success, Properties::EMPTY);
            self.send(&Packet::PubRel(Ack { packet_id, reason_code, properties }));
            self.see_until(|seen| matches!(seen, Seen::Ack(_)));
        }
        if code.is_error() { format!("refused 0x{:02X}", code as u8) } else { "acknowledged".into() }
    }

    /// What has been delivered by now; `closed` at the end if that was the end.
    pub(crate) fn heard(&mut self) -> Vec<String> {
        let mut heard = Vec::new();
        loop {
            // At the first answer a message may still be on its way between threads of the broker.
            let is_open = self.ping() && self.ping();
            let more = std::mem::take(&mut self.messages);
            let is_all = more.is_empty() || !self.acknowledges;
            heard.extend(more);
            if !is_open {
                heard.push("closed".into());
                return heard;
            }
            // Acknowledging may have let more follow.
            if is_all {
                return heard;
            }
        }
    }

    /// Whether the broker has closed the connection.
    pub(crate) fn is_closed(&mut self) -> bool {
        !self.ping()
    }

    /// Waits for the next message.
    pub(crate) fn next_message(&mut self) -> Option<String> {
        if self.messages.is_empty() {
            self.see_until(|seen| matches!(seen, Seen::Message { .. }));
        }
        (!self.messages.is_empty()).then(|| self.messages.remove(0))
    }

    /// Goes away without a word.
    pub(crate) fn vanish(self) {}

    /// Whether the broker answers a ping. Everything that it had sent before has come then.
    fn ping(&mut self) -> bool {
        self.send(&Packet::PingReq);
        self.see_until(|seen| *seen == Seen::Pong).is_some()
    }

    /// Looks at packets until one is as wanted, and keeps messages.
    fn see_until(&mut self, is_wanted: impl Fn(&Seen) -> bool) -> Option<Seen> {
        loop {
            let seen = self.look(see)?;
            match &seen {
                Seen::Message { text, qos, packet_id } => {
                    self.messages.push(text.clone());
                    self.acknowledge(*qos, *packet_id);
                }
                Seen::Release(packet_id) => {
                    let (packet_id, reason_code) = (*packet_id, ReasonCode::Success);
                    self.send(&Packet::PubComp(Ack {
                        packet_id,
                        reason_code,
                        properties: Properties::EMPTY,
                    }));
                }
                _ => {}
            }
            if is_wanted(&seen) {
                return Some(seen);
            }
        }
    }

    fn acknowledge(&mut self, qos: QoS, packet_id: Option<PacketId>) {
        let Some(packet_id) = packet_id.filter(|_| self.acknowledges) else { return };
        let ack = Ack { packet_id, reason_code: ReasonCode::Success, properties: Properties::EMPTY };
        self.send(&if qos == QoS::AtLeastOnce { Packet::PubAck(ack) } else { Packet::PubRec(ack) });
    }

    fn packet_id(&mut self) -> PacketId {
        self.next_id += 1;
        PacketId::new(self.next_id).expect("not zero")
    }

    fn send(&mut self, packet: &Packet<'_>) {
        let mut bytes = Vec::new();
        packet.encode(self.version, &mut bytes).expect("test packets can be encoded");
        let _ = self.wire.write_all(&bytes).and_then(|()| self.wire.flush());
    }

    /// Looks at the next packet; `None` once the broker has closed the connection.
    fn look<T>(&mut self, look: impl FnOnce(&Packet<'_>) -> T) -> Option<T> {
        loop {
            forgive(&mut self.received);
            let mut decoder = Decoder::client(self.version, u32::MAX);
            if let Some((packet, length)) = decoder.decode(&self.received).expect("brokers send packets") {
                let is_end = matches!(packet, Packet::Disconnect(_));
                let seen = look(&packet);
                self.received.drain(..length);
                return (!is_end).then_some(seen);
            }
            let mut buffer = [0; 65_536];
            match self.wire.read(&mut buffer) {
                Ok(0) => return None,
                Ok(length) => self.received.extend_from_slice(&buffer[..length]),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return said_nothing(&error),
            }
        }
    }
}

fn see(packet: &Packet<'_>) -> Seen {
    match packet {
        Packet::Publish(publish) => Seen::Message {
            text: format!(
                "{} {} q{}{}",
                publish.topic,
                String::from_utf8_lossy(publish.payload),
                publish.qos as u8,
                if publish.retain { " retained" } else { "" }
            ),
            qos: publish.qos,
            packet_id: publish.packet_id,
        },
        Packet::PubAck(ack) | Packet::PubRec(ack) | Packet::PubComp(ack) => Seen::Ack(ack.reason_code),
        Packet::PubRel(ack) => Seen::Release(ack.packet_id),
        Packet::SubAck(ack) => Seen::SubAck(ack.reason_codes.to_vec()),
        Packet::PingResp => Seen::Pong,
        _ => Seen::Other,
    }
}

/// mosquitto acknowledges a payload that is too long with Packet too large, a code that PUBACK does not have
/// [MQTT-3.4.2-1]. We say Implementation specific error.
fn forgive(received: &mut [u8]) {
    if let [0x40, 3, _, _, code @ 0x95, ..] = received {
        *code = ReasonCode::ImplementationSpecificError as u8;
    }
}

/// A connection that was reset has ended; one on which nothing comes is a broker that owes an answer.
fn said_nothing<T>(error: &io::Error) -> Option<T> {
    let is_silence = matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut);
    assert!(!is_silence, "the broker sent nothing");
    None
}

/// How long a broker may take to answer.
const PATIENCE: Duration = Duration::from_secs(15);
