//! One client of a run: who it is, its session, and what it does with a packet.
//!
//! A client outlives its connections. Whether the broker kept its session is asked at each CONNACK; a client whose
//! session is gone subscribes again and goes on, so that one loss is not counted as all later ones. Nothing here
//! opens, waits or reads a clock.

use std::collections::BTreeMap;
use std::time::Duration;

use noctule_codec::{
    ConnAck, Connect, Disconnect, Packet, PacketType, Properties, Property, ProtocolVersion, Publish, QoS,
    ReasonCode, SubAck, Subscribe, SubscribeFilters, SubscriptionOptions, Will,
};

use super::books::{Books, RetainedTopic};
use super::cast::Topics;
use super::inbox::Inbox;
use super::outbox::Outbox;
use super::verdict::Attendance;
use crate::connection::Connection;
use crate::frames::{self, DURABLE_SECONDS, FIRST_PACKET_ID};

/// One client.
#[derive(Debug)]
pub(crate) struct Peer {
    pub(crate) client_id: String,
    version: ProtocolVersion,
    pub(crate) part: Part,
    pub(crate) connection: Connection,
    pub(crate) stage: Stage,
    /// It is to be connected; otherwise it is to leave.
    pub(crate) is_wanted: bool,
    /// Not to be dialled before this time.
    pub(crate) retry_at: Duration,
    /// The broker has confirmed its durable session.
    has_session: bool,
    /// The broker has confirmed its subscription in that session.
    is_subscribed: bool,
    /// The broker refused its subscription.
    pub(crate) is_refused: bool,
    /// A PINGREQ waits for its answer.
    pub(crate) is_pinging: bool,
}

/// What a client is there for.
#[derive(Debug)]
pub(crate) enum Part {
    /// Publishes, with a durable session.
    Publisher(Outbox),
    /// Receives, with a durable session.
    Subscriber(Subscriber),
    /// Receives wills, with a durable session.
    Witness(Inbox, String),
    /// Reads retained values, with a clean start and a session that ends with its connection.
    Reader(BTreeMap<RetainedTopic, u64>, String),
    /// Has a will, and a session that ends with its connection.
    Doomed { topic: String },
}

/// A subscriber, or a member of a group.
#[derive(Debug)]
pub(crate) struct Subscriber {
    pub(crate) inbox: Inbox,
    /// Its number in the books, or its group's.
    pub(crate) receiver: usize,
    pub(crate) attendance: Attendance,
    pub(crate) qos: QoS,
    pub(crate) filter: String,
    /// It is connected only after the broker came back, whatever its class.
    pub(crate) is_away_under_load: bool,
}

/// How far a connection is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    /// There is none.
    Away,
    /// CONNECT is on its way.
    Greeting,
    /// SUBSCRIBE is on its way.
    Subscribing,
    /// Messages may flow.
    Ready,
    /// DISCONNECT is on its way since then.
    Leaving { since: Duration },
}

/// What is to become of the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Onward {
    /// It goes on.
    Stay,
    /// It is to be closed.
    HangUp,
}

impl Peer {
    pub(crate) fn new(client_id: String, version: ProtocolVersion, part: Part) -> Self {
        Self {
            client_id,
            version,
            part,
            connection: Connection::new(version),
            stage: Stage::Away,
            is_wanted: false,
            retry_at: Duration::ZERO,
            has_session: false,
            is_subscribed: false,
            is_refused: false,
            is_pinging: false,
        }
    }

    pub(crate) fn is_ready(&self) -> bool {
        self.stage == Stage::Ready
    }

    /// The CONNECT that a new connection begins with.
    pub(crate) fn greeting(&self) -> Vec<u8> {
        let mut properties = Properties::new();
        if self.version == ProtocolVersion::V5 {
            if self.is_durable() {
                properties.push(Property::SessionExpiryInterval(DURABLE_SECONDS));
            }
            if self.is_slow() {
                properties.push(Property::ReceiveMaximum(SLOW_RECEIVE_MAXIMUM));
            }
        }
        let connect = Connect {
            version: self.version,
            clean_start: !self.is_durable(),
            keep_alive_seconds: 0,
            client_id: &self.client_id,
            will: self.will(),
            user_name: None,
            password: None,
            properties,
        };
        let mut bytes = Vec::new();
        frames::write(self.version, &Packet::Connect(connect), &mut bytes);
        bytes
    }

    /// Takes a packet, answers it, and keeps the books.
    pub(crate) fn take(
        &mut self,
        packet: &Packet<'_>,
        now: Duration,
        topics: &Topics,
        books: &mut Books,
    ) -> Onward {
        match (self.stage, packet) {
            (Stage::Greeting, Packet::ConnAck(connack)) => return self.take_connack(connack, books),
            (Stage::Subscribing, Packet::SubAck(suback)) => self.take_suback(suback, books),
            (_, Packet::Publish(publish)) => self.take_publish(publish, topics, books),
            (_, Packet::PubAck(ack)) => self.take_ack(PacketType::PubAck, ack, now, books),
            (_, Packet::PubRec(ack)) => self.take_ack(PacketType::PubRec, ack, now, books),
            (_, Packet::PubComp(ack)) => self.take_ack(PacketType::PubComp, ack, now, books),
            (_, Packet::PubRel(ack)) => {
                if let Some(inbox) = self.part.inbox() {
                    inbox.take_pubrel(ack.packet_id, &mut self.connection.output.bytes);
                }
            }
            (_, Packet::PingResp) => self.is_pinging = false,
            (_, Packet::Disconnect(disconnect)) => {
                books.incidents.disconnect(format!("DISCONNECT {}", disconnect.reason_code));
                return Onward::HangUp;
            }
            (stage, other) => {
                let name = other.packet_type().name();
                books.incidents.violate(format!("sent {name} to a client that is {stage:?}"));
                return Onward::HangUp;
            }
        }
        Onward::Stay
    }

    /// Does what is due without a packet: publishes, and gives slow answers.
    pub(crate) fn tend(&mut self, now: u64, gives_slow_answers: bool, books: &mut Books) {
        if !self.is_ready() {
            return;
        }
        let out = &mut self.connection.output.bytes;
        match &mut self.part {
            Part::Publisher(outbox) => outbox.publish_due(now, books, out),
            Part::Subscriber(subscriber) if gives_slow_answers => {
                subscriber.inbox.release_one(out);
            }
            _ => {}
        }
    }

    /// Lets a slow subscriber be slow, or quick for once.
    pub(crate) fn set_slow(&mut self, is_slow: bool) {
        let is_of_slow_class = self.is_slow();
        if let Part::Subscriber(subscriber) = &mut self.part {
            subscriber.inbox.set_slow(is_slow && is_of_slow_class, &mut self.connection.output.bytes);
        }
    }

    /// Begins to leave in order, keeping the session.
    pub(crate) fn say_goodbye(&mut self, now: Duration) {
        let (reason_code, properties) = (ReasonCode::NORMAL_DISCONNECTION, Properties::EMPTY);
        let disconnect = Packet::Disconnect(Disconnect { reason_code, properties });
        frames::write(self.version, &disconnect, &mut self.connection.output.bytes);
        self.stage = Stage::Leaving { since: now };
    }

    /// Asks for a sign of life, which comes after all that the broker has written before [MQTT-3.12.4-1].
    pub(crate) fn ping(&mut self) {
        self.is_pinging = true;
        frames::write(self.version, &Packet::PingReq, &mut self.connection.output.bytes);
    }

    /// The connection is gone.
    pub(crate) fn hang_up(&mut self, retry_at: Duration) {
        self.connection.close();
        self.stage = Stage::Away;
        self.retry_at = retry_at;
        self.is_pinging = false;
        if let Some(inbox) = self.part.inbox() {
            inbox.disconnected();
        }
    }

    fn take_connack(&mut self, connack: &ConnAck<'_>, books: &mut Books) -> Onward {
        if connack.reason_code.is_error() {
            books.incidents.refuse(PacketType::ConnAck, connack.reason_code);
            return Onward::HangUp;
        }
        books.activity += 1;
        books.welcomes += 1;
        if self.is_durable() {
            self.take_session(connack.session_present, books);
        }
        if let Part::Publisher(outbox) = &mut self.part {
            outbox.limit(connack.properties.receive_maximum());
            outbox.resume(connack.session_present, books, &mut self.connection.output.bytes);
        }
        if connack.properties.shared_subscription_available() == Some(false) && self.is_member() {
            self.is_refused = true;
            self.is_subscribed = true;
        }
        match self.part.subscription() {
            Some((filter, qos)) if !self.is_subscribed => {
                let bytes = subscribe(self.version, filter, qos);
                self.connection.output.bytes.extend(bytes);
                self.stage = Stage::Subscribing;
            }
            _ => self.stage = Stage::Ready,
        }
        Onward::Stay
    }

    /// Compares what the broker says of the session with what it has confirmed before [MQTT-3.1.2-5].
    fn take_session(&mut self, session_present: bool, books: &mut Books) {
        if self.has_session {
            books.came_back(session_present);
        }
        self.has_session = true;
        if !session_present {
            self.is_subscribed = false;
            if let Some(inbox) = self.part.inbox() {
                inbox.forget();
            }
        }
    }

    fn take_suback(&mut self, suback: &SubAck<'_>, books: &mut Books) {
        books.activity += 1;
        let asked = self.part.subscription().map_or(0, |(_, qos)| qos as u8);
        let code = suback.reason_codes.first().copied().unwrap_or(ReasonCode::UnspecifiedError);
        self.is_refused = code.is_error() || code.as_u8() != asked;
        if self.is_refused {
            books.incidents.note(format!("SUBACK {code} where QoS {asked} was asked for"));
        }
        self.is_subscribed = self.is_durable();
        self.stage = Stage::Ready;
    }

    fn take_publish(&mut self, publish: &Publish<'_>, topics: &Topics, books: &mut Books) {
        let out = &mut self.connection.output.bytes;
        let is_new = match self.part.inbox() {
            Some(inbox) => inbox.take_publish(publish.qos, publish.packet_id, out),
            None => true,
        };
        books.activity += 1;
        if is_new && !self.part.record(publish, topics, books) {
            books
                .incidents
                .note("sent a publication that was changed, or not for this subscriber".to_owned());
        }
    }

    fn take_ack(&mut self, kind: PacketType, ack: &noctule_codec::Ack<'_>, now: Duration, books: &mut Books) {
        let Part::Publisher(outbox) = &mut self.part else {
            return books
                .incidents
                .violate(format!("sent {} to a client that publishes nothing", kind.name()));
        };
        if let Err(what) = outbox.take_ack(kind, ack, now, books, &mut self.connection.output.bytes) {
            books.incidents.violate(format!("{what} ({})", kind.name()));
        }
    }

    fn is_durable(&self) -> bool {
        matches!(self.part, Part::Publisher(_) | Part::Subscriber(_) | Part::Witness(..))
    }

    fn is_slow(&self) -> bool {
        matches!(&self.part, Part::Subscriber(subscriber) if subscriber.attendance == Attendance::Slow)
    }

    /// It shares its subscription with others.
    fn is_member(&self) -> bool {
        matches!(&self.part, Part::Subscriber(subscriber) if subscriber.attendance == Attendance::Shared)
    }

    fn will(&self) -> Option<Will<'_>> {
        let Part::Doomed { topic } = &self.part else { return None };
        let (payload, qos) = (&b"gone"[..], QoS::ExactlyOnce);
        Some(Will { topic, payload, qos, retain: false, properties: Properties::EMPTY })
    }
}

impl Part {
    /// What a PUBLISH is in the books; false if it is nothing that this client may get.
    fn record(&mut self, publish: &Publish<'_>, topics: &Topics, books: &mut Books) -> bool {
        match self {
            Self::Subscriber(subscriber) => {
                let mark = topics.mark_of(publish);
                mark.is_some_and(|mark| books.deliveries.arrived(subscriber.receiver, mark))
            }
            Self::Witness(..) => {
                let number = topics.will_number(publish.topic);
                number.inspect(|&number| books.wills.arrived(number)).is_some()
            }
            // What is published meanwhile comes without the flag and says nothing of what was retained.
            Self::Reader(found, _) if publish.retain => {
                let Some(mark) = topics.mark_of(publish) else { return false };
                found.insert((mark.publisher, mark.topic), mark.sequence);
                true
            }
            Self::Reader(..) => true,
            Self::Publisher(_) | Self::Doomed { .. } => false,
        }
    }

    fn inbox(&mut self) -> Option<&mut Inbox> {
        match self {
            Self::Subscriber(subscriber) => Some(&mut subscriber.inbox),
            Self::Witness(inbox, _) => Some(inbox),
            Self::Publisher(_) | Self::Reader(..) | Self::Doomed { .. } => None,
        }
    }

    fn subscription(&self) -> Option<(&str, QoS)> {
        match self {
            Self::Subscriber(subscriber) => Some((&subscriber.filter, subscriber.qos)),
            Self::Witness(_, filter) => Some((filter, QoS::ExactlyOnce)),
            Self::Reader(_, filter) => Some((filter, QoS::AtMostOnce)),
            Self::Publisher(_) | Self::Doomed { .. } => None,
        }
    }
}

fn subscribe(version: ProtocolVersion, filter: &str, qos: QoS) -> Vec<u8> {
    let options = SubscriptionOptions { qos, ..SubscriptionOptions::default() };
    let filters: SubscribeFilters<'_> = std::iter::once((filter, options)).collect();
    let subscribe = Subscribe { packet_id: FIRST_PACKET_ID, properties: Properties::EMPTY, filters };
    let mut bytes = Vec::new();
    frames::write(version, &Packet::Subscribe(subscribe), &mut bytes);
    bytes
}

/// What a slow subscriber takes at a time, where the version lets it say so.
const SLOW_RECEIVE_MAXIMUM: u16 = 4;

#[cfg(test)]
mod tests {
    use noctule_codec::Decoder;

    use super::super::cast::cast;
    use super::super::mark::Mark;
    use super::*;

    const NOW: Duration = Duration::from_secs(1);

    struct Scene {
        peers: Vec<Peer>,
        topics: Topics,
        books: Books,
    }

    /// Everybody, each with its CONNECT on its way.
    fn scene(version: ProtocolVersion) -> Scene {
        let mut books = Books::default();
        let (mut peers, topics) = cast(version, 1, &mut books);
        peers.iter_mut().for_each(|peer| peer.stage = Stage::Greeting);
        Scene { peers, topics, books }
    }

    impl Scene {
        fn find(&mut self, role: &str) -> &mut Peer {
            let mut peers = self.peers.iter_mut();
            peers.find(|peer| peer.client_id.ends_with(role)).expect("somebody of this role")
        }

        /// Lets the client with this role take a packet; what it answers, and whether it stays.
        fn take(&mut self, role: &str, packet: &Packet<'_>) -> (Vec<u8>, Onward) {
            let mut peers = self.peers.iter_mut();
            let peer = peers.find(|peer| peer.client_id.ends_with(role)).expect("somebody of this role");
            let onward = peer.take(packet, NOW, &self.topics, &mut self.books);
            (std::mem::take(&mut peer.connection.output.bytes), onward)
        }

        /// Connects the client again and lets the broker say whether it has a session; what it answers.
        fn welcome(&mut self, role: &str, session_present: bool) -> Vec<u8> {
            self.find(role).stage = Stage::Greeting;
            let (reason_code, properties) = (ReasonCode::Success, Properties::EMPTY);
            self.take(role, &Packet::ConnAck(ConnAck { session_present, reason_code, properties })).0
        }

        fn subscribed(&mut self, role: &str, code: ReasonCode) {
            let (packet_id, properties) = (FIRST_PACKET_ID, Properties::EMPTY);
            let reason_codes = vec![code].into();
            self.take(role, &Packet::SubAck(SubAck { packet_id, properties, reason_codes }));
        }
    }

    fn publish<'a>(topic: &'a str, payload: &'a [u8], retain: bool) -> Packet<'a> {
        let (properties, qos) = (Properties::EMPTY, QoS::AtMostOnce);
        Packet::Publish(Publish { dup: false, qos, retain, topic, packet_id: None, properties, payload })
    }

    const SUBSCRIBE: u8 = 0x82;
    const GRANTED_1: ReasonCode = match ReasonCode::from_u8(1) {
        Some(code) => code,
        None => unreachable!(),
    };

    #[test]
    fn a_session_that_is_there_is_not_subscribed_to_again() {
        let mut scene = scene(ProtocolVersion::V5);
        assert_eq!(scene.welcome("online-1-0", false)[0], SUBSCRIBE);
        scene.subscribed("online-1-0", GRANTED_1);
        assert!(scene.find("online-1-0").is_ready());
        assert!(scene.welcome("online-1-0", true).is_empty());
        assert!(scene.find("online-1-0").is_ready());
        assert_eq!((scene.books.sessions.owed, scene.books.sessions.present), (1, 1));
    }

    #[test]
    fn a_forgotten_session_is_counted_once_and_subscribed_to_again() {
        let mut scene = scene(ProtocolVersion::V5);
        scene.welcome("online-1-0", false);
        scene.subscribed("online-1-0", GRANTED_1);
        assert_eq!(scene.books.sessions.owed, 0, "the first time nothing was promised");
        assert_eq!(scene.welcome("online-1-0", false)[0], SUBSCRIBE);
        assert_eq!((scene.books.sessions.owed, scene.books.sessions.forgotten), (1, 1));
    }

    #[test]
    fn a_session_whose_subscription_was_never_confirmed_is_subscribed_to() {
        let mut scene = scene(ProtocolVersion::V5);
        scene.welcome("online-1-0", false);
        assert_eq!(scene.welcome("online-1-0", true)[0], SUBSCRIBE);
    }

    #[test]
    fn a_session_that_ends_with_its_connection_is_nobodys_promise() {
        let mut scene = scene(ProtocolVersion::V5);
        for _ in 0..2 {
            assert_eq!(scene.welcome("reader", false)[0], SUBSCRIBE, "a fresh session each time");
            scene.subscribed("reader", ReasonCode::GRANTED_QOS_0);
        }
        assert_eq!(scene.books.sessions.owed, 0);
    }

    #[test]
    fn a_refused_or_lowered_subscription_is_seen() {
        for (code, is_refused) in
            [(GRANTED_1, false), (ReasonCode::GRANTED_QOS_0, true), (ReasonCode::NotAuthorized, true)]
        {
            let mut scene = scene(ProtocolVersion::V5);
            scene.welcome("online-1-0", false);
            scene.subscribed("online-1-0", code);
            assert_eq!(scene.find("online-1-0").is_refused, is_refused, "{code:?}");
        }
    }

    #[test]
    fn only_what_was_retained_counts_for_the_reader() {
        let mut scene = scene(ProtocolVersion::V5);
        let publisher = scene.topics.retained_publisher();
        let mark = Mark { publisher, topic: 3, sequence: 5 };
        let (topic, payload) = (format!("prove/00000001/retained/{publisher}/3"), mark.payload());
        for (retain, count) in [(false, 0), (true, 1)] {
            scene.take("reader", &publish(&topic, &payload, retain));
            let Part::Reader(found, _) = &scene.find("reader").part else { panic!("the reader reads") };
            assert_eq!(found.len(), count);
        }
        assert!(scene.books.incidents.notes().is_empty());
        scene.take("reader", &publish(&topic, &payload[1..], true));
        assert_eq!(scene.books.incidents.notes().len(), 1, "a changed payload");
    }

    #[test]
    fn a_changed_payload_and_a_foreign_topic_are_noted_and_do_not_count() {
        let mut scene = scene(ProtocolVersion::V5);
        scene.books.deliveries.sent(0);
        let payload = Mark { publisher: 0, topic: 1, sequence: 0 }.payload();
        scene.take("online-1-0", &publish("prove/00000001/qos1/0/0", &payload, false));
        scene.take("online-1-0", &publish("prove/00000001/qos1/0/1", b"x", false));
        let received = |scene: &Scene| scene.books.deliveries.verdicts()[0].received;
        assert_eq!((received(&scene), scene.books.incidents.notes()[0].count), (0, 2));
        scene.take("online-1-0", &publish("prove/00000001/qos1/0/1", &payload, false));
        assert_eq!(received(&scene), 1);
    }

    #[test]
    fn a_goodbye_or_a_packet_out_of_place_ends_the_connection() {
        let mut scene = scene(ProtocolVersion::V5);
        let (reason_code, properties) = (ReasonCode::ServerShuttingDown, Properties::EMPTY);
        let goodbye = Packet::Disconnect(Disconnect { reason_code, properties });
        assert_eq!(scene.take("publisher-0", &goodbye).1, Onward::HangUp);
        let (packet_id, properties) = (FIRST_PACKET_ID, Properties::EMPTY);
        let suback = Packet::SubAck(SubAck { packet_id, properties, reason_codes: vec![GRANTED_1].into() });
        assert_eq!(scene.take("publisher-0", &suback).1, Onward::HangUp);
        assert_eq!(scene.books.incidents.disconnects().len() + scene.books.incidents.violations().len(), 2);
    }

    #[test]
    fn greetings_say_who_is_durable_who_is_slow_and_who_is_doomed() {
        let mut scene = scene(ProtocolVersion::V5);
        scene.find("doomed").part = Part::Doomed { topic: "t".to_owned() };
        for (role, is_durable, receive_maximum, has_will) in [
            ("publisher-0", true, None, false),
            ("online-1-0", true, None, false),
            ("slow-2-0", true, Some(SLOW_RECEIVE_MAXIMUM), false),
            ("reader", false, None, false),
            ("doomed", false, None, true),
        ] {
            let bytes = scene.find(role).greeting();
            let (packet, _) =
                Decoder::server(1 << 20).decode(&bytes).expect("a packet").expect("the whole of it");
            let Packet::Connect(connect) = packet else { panic!("{packet:?}") };
            assert_eq!(connect.clean_start, !is_durable, "{role}");
            assert_eq!(connect.session_expiry_interval() > 0, is_durable, "{role}");
            assert_eq!(connect.properties.receive_maximum(), receive_maximum, "{role}");
            assert_eq!(connect.will.is_some(), has_will, "{role}");
        }
    }
}
