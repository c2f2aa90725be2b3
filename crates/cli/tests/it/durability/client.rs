//! A client in the words of a test: it says what is to be said and tells what it heard.

use std::net::SocketAddr;

use noctule_codec::{
    Ack, Connect, Disconnect, Packet, PacketId, Properties, Property, ProtocolVersion, Publish, QoS,
    ReasonCode, Subscribe, SubscribeFilters, SubscriptionOptions, Will,
};

use crate::peer::Peer;

/// A connected client.
pub(super) struct Client {
    pub(super) peer: Peer,
    /// The broker had a session for it.
    pub(super) session_present: bool,
    next_id: PacketId,
}

/// How a client introduces itself.
pub(super) struct Hello<'a> {
    pub(super) version: ProtocolVersion,
    pub(super) client_id: &'a str,
    pub(super) clean_start: bool,
    /// In seconds; 3.x has no say in it.
    pub(super) expiry: u32,
    pub(super) will: Option<Will<'a>>,
}

/// A packet from the broker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Heard {
    Message(Message),
    PubAck(u16, ReasonCode),
    PubRec(u16, ReasonCode),
    PubRel(u16),
    PubComp(u16, ReasonCode),
    SubAck(ReasonCode),
    Disconnect(ReasonCode),
    Pong,
    Other,
}

/// A PUBLISH from the broker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Message {
    pub(super) topic: String,
    pub(super) payload: String,
    pub(super) qos: QoS,
    pub(super) dup: bool,
    pub(super) retain: bool,
    pub(super) packet_id: u16,
    /// Seconds it has left.
    pub(super) expiry: Option<u32>,
}

impl<'a> Hello<'a> {
    /// A client whose session is kept for ever.
    pub(super) fn durable(client_id: &'a str) -> Self {
        Self { version: ProtocolVersion::V5, client_id, clean_start: false, expiry: u32::MAX, will: None }
    }

    /// A client whose session ends with its connection.
    pub(super) fn clean(client_id: &'a str) -> Self {
        Self { clean_start: true, expiry: 0, ..Self::durable(client_id) }
    }

    pub(super) fn connect(self, address: SocketAddr) -> Client {
        let mut client = self.ask(address);
        let answer = client.peer.receive(|packet| match packet {
            Packet::ConnAck(ack) => (ack.reason_code, ack.session_present),
            packet => panic!("{packet:?} instead of CONNACK"),
        });
        let (reason_code, session_present) = answer.expect("CONNACK");
        assert_eq!(reason_code, ReasonCode::Success);
        Client { session_present, ..client }
    }

    /// Sends CONNECT and does not wait for the answer.
    pub(super) fn ask(self, address: SocketAddr) -> Client {
        let mut peer = Peer::dial(address).speaking(self.version);
        let properties = match self.version {
            ProtocolVersion::V5 => Properties::new().with(Property::SessionExpiryInterval(self.expiry)),
            _ => Properties::EMPTY,
        };
        peer.send(&Packet::Connect(Connect {
            version: self.version,
            clean_start: self.clean_start,
            keep_alive_seconds: 0,
            client_id: self.client_id,
            will: self.will,
            user_name: None,
            password: None,
            properties,
        }));
        Client { peer, session_present: false, next_id: PacketId::new(1).expect("not zero") }
    }
}

impl Client {
    /// A client whose session is kept for ever.
    pub(super) fn durable(address: SocketAddr, client_id: &str) -> Self {
        Hello::durable(client_id).connect(address)
    }

    /// A client whose session ends with its connection.
    pub(super) fn clean(address: SocketAddr, client_id: &str) -> Self {
        Hello::clean(client_id).connect(address)
    }

    /// Leaves in order.
    pub(super) fn leave(mut self) {
        self.peer.send(&Packet::Disconnect(Disconnect {
            reason_code: ReasonCode::Success,
            properties: Properties::EMPTY,
        }));
        assert!(self.peer.is_closed());
    }

    /// What the broker says next; `None` once it has closed the connection.
    pub(super) fn hear(&mut self) -> Option<Heard> {
        self.peer.receive(|packet| match packet {
            Packet::Publish(publish) => Heard::Message(Message::of(publish)),
            Packet::PubAck(ack) => Heard::PubAck(ack.packet_id.get(), ack.reason_code),
            Packet::PubRec(ack) => Heard::PubRec(ack.packet_id.get(), ack.reason_code),
            Packet::PubRel(ack) => Heard::PubRel(ack.packet_id.get()),
            Packet::PubComp(ack) => Heard::PubComp(ack.packet_id.get(), ack.reason_code),
            Packet::SubAck(ack) => Heard::SubAck(ack.reason_codes[0]),
            Packet::Disconnect(disconnect) => Heard::Disconnect(disconnect.reason_code),
            Packet::PingResp => Heard::Pong,
            _ => Heard::Other,
        })
    }

    /// Subscribes and waits for the answer.
    pub(super) fn subscribe(&mut self, filter: &str, qos: QoS) {
        self.say_subscribe(filter, qos);
        loop {
            match self.hear().expect("SUBACK") {
                Heard::SubAck(code) => return assert!(!code.is_error(), "{filter}: {code:?}"),
                Heard::Message(_) => {}
                heard => panic!("{heard:?} instead of SUBACK"),
            }
        }
    }

    /// Sends SUBSCRIBE and does not wait for the answer; its packet identifier.
    pub(super) fn say_subscribe(&mut self, filter: &str, qos: QoS) -> u16 {
        let mut filters = SubscribeFilters::default();
        filters.push(filter, SubscriptionOptions { qos, ..SubscriptionOptions::default() });
        let packet_id = self.take_id();
        self.peer.send(&Packet::Subscribe(Subscribe { packet_id, properties: Properties::EMPTY, filters }));
        packet_id.get()
    }

    /// Publishes and waits until nothing of it is open.
    pub(super) fn publish(&mut self, topic: &str, payload: &str, qos: QoS) {
        self.settle(topic, payload, qos, false);
    }

    /// Publishes a retained message and waits until nothing of it is open.
    pub(super) fn retain(&mut self, topic: &str, payload: &str, qos: QoS) {
        self.settle(topic, payload, qos, true);
    }

    fn settle(&mut self, topic: &str, payload: &str, qos: QoS, retain: bool) {
        let id = self.say(&Publish { topic, payload: payload.as_bytes(), qos, retain, ..EMPTY });
        match qos {
            QoS::AtMostOnce => self.ping(),
            QoS::AtLeastOnce => assert_eq!(self.hear_ack(), Heard::PubAck(id, ReasonCode::Success)),
            QoS::ExactlyOnce => {
                assert_eq!(self.hear_ack(), Heard::PubRec(id, ReasonCode::Success));
                self.say_ack(id, Packet::PubRel);
                assert_eq!(self.hear_ack(), Heard::PubComp(id, ReasonCode::Success));
            }
        }
    }

    /// Sends PUBLISH under an identifier of this client, which is returned, and does not wait.
    pub(super) fn say(&mut self, publish: &Publish<'_>) -> u16 {
        let packet_id = (publish.qos != QoS::AtMostOnce).then(|| self.take_id());
        self.peer.send(&Packet::Publish(Publish { packet_id, ..publish.clone() }));
        packet_id.map_or(0, PacketId::get)
    }

    /// Sends PUBLISH again under the identifier it had.
    pub(super) fn repeat(&mut self, publish: &Publish<'_>, id: u16) {
        let packet_id = PacketId::new(id);
        self.peer.send(&Packet::Publish(Publish { dup: true, packet_id, ..publish.clone() }));
    }

    /// Sends PUBACK, PUBREC, PUBREL or PUBCOMP.
    pub(super) fn say_ack(&mut self, id: u16, packet: fn(Ack<'static>) -> Packet<'static>) {
        self.peer.send(&packet(ack(id)));
    }

    /// The next acknowledgement, whatever messages come before it. "Nobody subscribes" counts as success.
    pub(super) fn hear_ack(&mut self) -> Heard {
        let success =
            |code| if code == ReasonCode::NoMatchingSubscribers { ReasonCode::Success } else { code };
        loop {
            match self.hear().expect("an acknowledgement") {
                Heard::Message(_) => {}
                Heard::PubAck(id, code) => return Heard::PubAck(id, success(code)),
                Heard::PubRec(id, code) => return Heard::PubRec(id, success(code)),
                heard => return heard,
            }
        }
    }

    /// Waits for this many messages and settles each.
    pub(super) fn take(&mut self, count: usize) -> Vec<Message> {
        let mut messages = Vec::with_capacity(count);
        let mut open = 0;
        while messages.len() < count || open > 0 {
            match self.hear().expect("more messages") {
                Heard::Message(message) => {
                    open += self.answer(&message);
                    messages.push(message);
                }
                Heard::PubRel(id) => {
                    self.say_ack(id, Packet::PubComp);
                    open = open.saturating_sub(1);
                }
                heard => panic!("{heard:?} instead of message {} of {count}", messages.len()),
            }
        }
        messages
    }

    /// The next message, which is not settled.
    pub(super) fn hear_message(&mut self) -> Message {
        match self.hear() {
            Some(Heard::Message(message)) => message,
            heard => panic!("{heard:?} instead of a message"),
        }
    }

    /// Takes this many messages and makes sure that nothing follows them; their payloads.
    pub(super) fn take_all(&mut self, count: usize) -> Vec<String> {
        let messages = self.take(count);
        self.ping();
        messages.into_iter().map(|message| message.payload).collect()
    }

    /// Settles a message; whether PUBREL is to follow.
    fn answer(&mut self, message: &Message) -> usize {
        match message.qos {
            QoS::AtMostOnce => 0,
            QoS::AtLeastOnce => {
                self.say_ack(message.packet_id, Packet::PubAck);
                0
            }
            QoS::ExactlyOnce => {
                self.say_ack(message.packet_id, Packet::PubRec);
                1
            }
        }
    }

    /// Everything said so far has been heard, and no message comes before the answer. A PUBREL may: a broker that
    /// was killed does not know that it has been answered.
    pub(super) fn ping(&mut self) {
        self.peer.send(&Packet::PingReq);
        loop {
            match self.hear() {
                Some(Heard::PubRel(id)) => self.say_ack(id, Packet::PubComp),
                heard => return assert_eq!(heard, Some(Heard::Pong)),
            }
        }
    }

    fn take_id(&mut self) -> PacketId {
        let id = self.next_id;
        self.next_id = id.next();
        id
    }
}

impl Message {
    fn of(publish: &Publish<'_>) -> Self {
        Self {
            topic: publish.topic.to_owned(),
            payload: String::from_utf8_lossy(publish.payload).into_owned(),
            qos: publish.qos,
            dup: publish.dup,
            retain: publish.retain,
            packet_id: publish.packet_id.map_or(0, PacketId::get),
            expiry: publish.properties.message_expiry_interval(),
        }
    }
}

/// A QoS 0 message without anything.
pub(super) const EMPTY: Publish<'_> = Publish {
    dup: false,
    qos: QoS::AtMostOnce,
    retain: false,
    topic: "",
    packet_id: None,
    properties: Properties::EMPTY,
    payload: b"",
};

fn ack(id: u16) -> Ack<'static> {
    let packet_id = PacketId::new(id).expect("an identifier that was used");
    Ack { packet_id, reason_code: ReasonCode::Success, properties: Properties::EMPTY }
}
