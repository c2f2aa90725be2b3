//! The core with a server that is a few lines of test: bytes in, bytes out, time as a number.

use super::*;
use crate::builder::Builder;
use crate::client::Client;
use crate::presence::Presence;
use noctule_codec::{
    Ack, ConnAck, Connect, Decoder, Disconnect, Packet, PacketId, Publish, QoS, SubAck, SubscriptionOptions,
    UnsubAck,
};
use std::borrow::Cow;

const V5: ProtocolVersion = ProtocolVersion::V5;
const T0: Instant = Instant::from_millis(1_000);

/// A core and the end of its stream that a server has.
struct Bench {
    core: Core,
    now: Instant,
    version: ProtocolVersion,
}

impl Bench {
    fn new(builder: Builder) -> Self {
        let options = Arc::new(builder.options(false).expect("valid options"));
        let version = options.version.unwrap_or(V5);
        let core = Core::new(options, watch::channel(State::Connecting).0, Vec::new(), Span::none());
        Self { core, now: T0, version }
    }

    /// A bench whose server has said yes.
    fn connected(builder: Builder) -> Self {
        let mut bench = Self::new(builder);
        bench.connect(false);
        bench
    }

    /// Connects; the CONNECT and what follows CONNACK are returned as text.
    fn connect(&mut self, session_present: bool) -> Vec<String> {
        self.core.begin(self.now).expect("short options");
        let mut sent = self.sent();
        let (reason_code, properties) = (ReasonCode::Success, Properties::EMPTY);
        self.hear(&Packet::ConnAck(ConnAck { session_present, reason_code, properties }));
        sent.extend(self.sent());
        sent
    }

    fn cut(&mut self) -> Next {
        self.core.lost(None, self.now);
        self.core.next(self.now, 0)
    }

    fn hear(&mut self, packet: &Packet<'_>) {
        let mut bytes = Vec::new();
        packet.encode(self.version, &mut bytes).expect("a short packet");
        assert_eq!(self.core.receive(&bytes, self.now), bytes.len());
    }

    /// What the core writes, each packet in a few words.
    fn sent(&mut self) -> Vec<String> {
        let mut bytes = Vec::new();
        let flush = self.core.flush(self.now, usize::MAX, &mut bytes);
        let mut words = Vec::new();
        let mut rest = &bytes[..];
        while !rest.is_empty() {
            let (packet, length) = self.decoder(rest).decode(rest).expect("packets").expect("whole ones");
            words.push(in_words(&packet));
            rest = &rest[length..];
        }
        if flush == Flush::Close {
            words.push("close".into());
        }
        words
    }

    fn decoder(&self, bytes: &[u8]) -> Decoder {
        let mut decoder = Decoder::server(u32::MAX);
        if bytes[0] >> 4 != 1 {
            let connect = Connect {
                version: self.version,
                clean_start: true,
                keep_alive_seconds: 0,
                client_id: "x",
                will: None,
                user_name: None,
                password: None,
                properties: Properties::EMPTY,
            };
            let mut first = Vec::new();
            Packet::Connect(connect).encode(self.version, &mut first).expect("a CONNECT");
            decoder.decode(&first).expect("a CONNECT").expect("whole");
        }
        decoder
    }

    fn publication(&mut self, topic: &str, qos: QoS, packet_id: u16, subscription_ids: &[u32]) {
        let properties = subscription_ids
            .iter()
            .fold(Properties::new(), |all, id| all.with(Property::SubscriptionIdentifier(*id)));
        let publish = Publish {
            dup: false,
            qos,
            retain: false,
            topic,
            packet_id: PacketId::new(packet_id),
            properties,
            payload: b"p",
        };
        self.hear(&Packet::Publish(publish));
    }

    fn ack(&mut self, packet: fn(Ack<'static>) -> Packet<'static>, packet_id: u16, reason_code: ReasonCode) {
        self.hear(&packet(Ack { packet_id: id(packet_id), reason_code, properties: Properties::EMPTY }));
    }

    /// Subscribes without waiting; nothing has been sent.
    fn wish(&mut self, filters: &[&str]) -> StreamId {
        let bounds = Bounds { messages_max: 8, bytes_max: 1 << 20, overflow: Overflow::HoldBack };
        let options = SubscriptionOptions { qos: QoS::AtLeastOnce, ..SubscriptionOptions::default() };
        let filters = filters.iter().map(|filter| ((*filter).to_owned(), None)).collect();
        self.core
            .subscribe(&Wish { filters, options, bounds, properties: Properties::EMPTY }, self.now)
            .expect("valid filters")
    }

    /// Answers the SUBSCRIBE that is written next.
    fn grant(&mut self, packet_id: u16, reason_code: ReasonCode) {
        let reason_codes: Cow<'_, [ReasonCode]> = vec![reason_code].into();
        self.hear(&Packet::SubAck(SubAck {
            packet_id: id(packet_id),
            properties: Properties::EMPTY,
            reason_codes,
        }));
    }

    /// A stream whose filter the server has granted.
    fn stream(&mut self, filter: &str, packet_id: u16) -> StreamId {
        let stream = self.wish(&[filter]);
        assert_eq!(self.sent(), [format!("SUBSCRIBE {packet_id} {filter}")]);
        self.grant(packet_id, ReasonCode::GrantedQoS1);
        stream
    }

    fn take(&mut self, stream: StreamId) -> Option<String> {
        match self.core.poll_next(stream, false, Waker::noop()) {
            Poll::Ready(message) => message.map(|message| message.topic().to_owned()),
            Poll::Pending => Some("nothing yet".into()),
        }
    }

    fn publish(&mut self, topic: &str, qos: QoS) -> oneshot::Receiver<Result<Answer, PublishError>> {
        let message = Message { topic, payload: b"p", qos, ..Message::default() };
        self.core.publish(&message, None, self.now).expect("taken")
    }

    fn state(&self) -> State {
        self.core.state.borrow().clone()
    }
}

fn id(id: u16) -> PacketId {
    PacketId::new(id).expect("ids of tests are not zero")
}

/// The first id of a request; publications use those below.
const FIRST: u16 = 0xF000;

fn in_words(packet: &Packet<'_>) -> String {
    match packet {
        Packet::Connect(connect) => {
            let clean = if connect.clean_start { " clean" } else { "" };
            let will = connect.will.as_ref().map_or(String::new(), |will| format!(" will {}", will.topic));
            format!("CONNECT{clean}{will}")
        }
        Packet::Subscribe(subscribe) => {
            let filters: Vec<&str> = subscribe.filters.iter().map(|(filter, _)| filter).collect();
            format!("SUBSCRIBE {} {}", subscribe.packet_id.get(), filters.join(" "))
        }
        Packet::Unsubscribe(unsubscribe) => {
            let filters: Vec<&str> = unsubscribe.filters.iter().collect();
            format!("UNSUBSCRIBE {} {}", unsubscribe.packet_id.get(), filters.join(" "))
        }
        Packet::Publish(publish) => {
            let dup = if publish.dup { " dup" } else { "" };
            format!("PUBLISH {} {}{dup}", publish.topic, publish.packet_id.map_or(0, PacketId::get))
        }
        Packet::Disconnect(disconnect) => match disconnect.properties.session_expiry_interval() {
            Some(seconds) => format!("DISCONNECT expiry {seconds}"),
            None => "DISCONNECT".into(),
        },
        Packet::PubAck(ack) => format!("PUBACK {}", ack.packet_id.get()),
        Packet::PubRec(ack) => format!("PUBREC {}", ack.packet_id.get()),
        packet => packet.packet_type().to_string(),
    }
}

fn builder() -> Builder {
    Client::builder("mqtt://localhost?clientid=c")
}

#[test]
fn a_subscription_is_asked_for_when_there_is_a_connection_and_granted_by_suback() {
    let mut bench = Bench::new(builder());
    let stream = bench.wish(&["a/+", "b"]);
    assert_eq!(
        bench.connect(false),
        ["CONNECT clean".to_owned(), format!("SUBSCRIBE {FIRST} a/+"), format!("SUBSCRIBE {} b", FIRST + 1)]
    );
    bench.grant(FIRST, ReasonCode::GrantedQoS1);
    assert!(bench.core.poll_open(stream, Waker::noop()).is_pending(), "one of two");
    bench.grant(FIRST + 1, ReasonCode::GRANTED_QOS_0);
    assert!(matches!(bench.core.poll_open(stream, Waker::noop()), Poll::Ready(Ok(()))));
}

#[test]
fn a_refused_filter_ends_its_stream_and_names_the_reason() {
    let mut bench = Bench::connected(builder());
    let stream = bench.wish(&["secret"]);
    bench.sent();
    bench.grant(FIRST, ReasonCode::NotAuthorized);
    let opened = bench.core.poll_open(stream, Waker::noop());
    let Poll::Ready(Err(SubscribeError::Refused { filter, reason_code, .. })) = opened else {
        panic!("{opened:?}")
    };
    assert_eq!((&*filter, reason_code), ("secret", ReasonCode::NotAuthorized));
    assert_eq!(bench.take(stream), None);
    bench.core.drop_stream(stream, T0);
    assert!(bench.sent().is_empty(), "the server has nothing to forget");
}

#[test]
fn a_dropped_stream_is_unsubscribed_also_before_it_was_granted() {
    let mut bench = Bench::connected(builder());
    let stream = bench.wish(&["a"]);
    assert_eq!(bench.sent(), [format!("SUBSCRIBE {FIRST} a")]);
    bench.core.drop_stream(stream, T0);
    assert_eq!(bench.sent(), [format!("UNSUBSCRIBE {} a", FIRST + 1)]);
    bench.grant(FIRST, ReasonCode::GrantedQoS1);
    assert!(bench.sent().is_empty());
    bench.publication("a", QoS::AtLeastOnce, 1, &[1]);
    assert_eq!(bench.sent(), ["PUBACK 1"], "on its way, and nobody waits for it");
    let reason_codes: Cow<'_, [ReasonCode]> = vec![ReasonCode::Success].into();
    let (packet_id, properties) = (id(FIRST + 1), Properties::EMPTY);
    bench.hear(&Packet::UnsubAck(UnsubAck { packet_id, properties, reason_codes }));
    assert_eq!(bench.connect_again(false), ["CONNECT"]);
}

impl Bench {
    fn connect_again(&mut self, session_present: bool) -> Vec<String> {
        self.cut();
        self.connect(session_present)
    }
}

#[test]
fn filters_are_subscribed_anew_exactly_when_the_server_has_no_session() {
    let mut bench = Bench::connected(builder());
    bench.stream("a", FIRST);
    assert_eq!(bench.connect_again(true), ["CONNECT"]);
    assert_eq!(bench.connect_again(false), ["CONNECT".to_owned(), format!("SUBSCRIBE {FIRST} a")]);
    assert_eq!(
        bench.connect_again(true),
        ["CONNECT".to_owned(), format!("SUBSCRIBE {FIRST} a")],
        "its answer was lost"
    );
}

#[test]
fn in_3_1_1_a_clean_session_is_clean_every_time() {
    let mut bench = Bench::connected(builder().version(ProtocolVersion::V3_1_1));
    assert_eq!(bench.connect_again(false), ["CONNECT clean"]);
    let mut bench = Bench::connected(builder().version(ProtocolVersion::V3_1_1).clean_start(false));
    assert_eq!(bench.connect_again(true), ["CONNECT"]);
}

#[test]
fn mqtt_4_5_0_2_a_message_is_acknowledged_when_it_is_taken_or_its_stream_is_gone() {
    let mut bench = Bench::connected(builder());
    let stream = bench.stream("a", FIRST);
    for packet_id in 1..=3 {
        bench.publication("a", QoS::AtLeastOnce, packet_id, &[1]);
    }
    assert!(bench.sent().is_empty());
    assert_eq!(bench.take(stream).as_deref(), Some("a"));
    assert_eq!(bench.sent(), ["PUBACK 1"]);
    bench.core.drop_stream(stream, T0);
    assert_eq!(bench.sent()[..2], ["PUBACK 2", "PUBACK 3"]);
}

#[test]
fn a_message_for_two_streams_is_acknowledged_when_both_have_taken_it() {
    let mut bench = Bench::connected(builder());
    let one = bench.stream("a/+", FIRST);
    let two = bench.stream("a/#", FIRST + 1);
    bench.publication("a/b", QoS::ExactlyOnce, 1, &[1, 2]);
    assert_eq!(bench.take(one).as_deref(), Some("a/b"));
    assert!(bench.sent().is_empty());
    assert_eq!(bench.take(two).as_deref(), Some("a/b"));
    assert_eq!(bench.sent(), ["PUBREC 1"]);
}

fn publication_again() -> Packet<'static> {
    Packet::Publish(Publish {
        dup: true,
        qos: QoS::AtLeastOnce,
        retain: false,
        topic: "a",
        packet_id: PacketId::new(1),
        properties: Properties::EMPTY,
        payload: b"p",
    })
}

#[test]
fn a_message_goes_to_the_filters_it_names() {
    let mut bench = Bench::connected(builder());
    let one = bench.stream("a/+", FIRST);
    let two = bench.stream("a/#", FIRST + 1);
    bench.publication("a/b", QoS::AtMostOnce, 0, &[2]);
    assert_eq!(bench.take(one).as_deref(), Some("nothing yet"));
    assert_eq!(bench.take(two).as_deref(), Some("a/b"));
}

#[test]
fn a_message_taken_after_its_connection_is_delivered_once_and_acknowledged_when_it_comes_again() {
    let mut bench = Bench::connected(builder());
    let stream = bench.stream("a", FIRST);
    bench.publication("a", QoS::AtLeastOnce, 1, &[1]);
    assert_eq!(bench.connect_again(true), ["CONNECT"]);
    assert_eq!(bench.take(stream).as_deref(), Some("a"));
    assert!(bench.sent().is_empty(), "the server has to send it again first");
    bench.hear(&publication_again());
    assert_eq!(bench.sent(), ["PUBACK 1"]);
    assert_eq!(bench.take(stream).as_deref(), Some("nothing yet"));
}

#[test]
fn what_an_unknown_session_brings_waits_for_a_stream_until_the_grace_is_over() {
    let mut bench = Bench::new(builder().clean_start(false));
    bench.connect(true);
    for packet_id in 1..=2 {
        bench.publication(&format!("old/{packet_id}"), QoS::AtLeastOnce, packet_id, &[7]);
    }
    assert!(bench.sent().is_empty());
    let stream = bench.wish(&["old/1"]);
    assert_eq!(bench.take(stream).as_deref(), Some("old/1"));
    assert_eq!(bench.sent(), [format!("SUBSCRIBE {FIRST} old/1"), "PUBACK 1".to_owned()]);
    bench.now = bench.now + 30_000;
    assert_eq!(bench.core.next_timeout(), Some(bench.now));
    bench.core.handle_timeouts(bench.now);
    assert_eq!(bench.sent(), ["PUBACK 2"]);
    bench.publication("old/3", QoS::AtLeastOnce, 3, &[7]);
    assert_eq!(bench.sent(), ["PUBACK 3"], "now what nobody wants is acknowledged at once");
    assert_eq!(bench.core.metrics().unclaimed, 2);
}

#[test]
fn a_handle_tells_the_servers_answer_over_any_number_of_connections() {
    let mut bench = Bench::connected(builder());
    let mut handle = bench.publish("t", QoS::AtLeastOnce);
    assert_eq!(bench.sent(), ["PUBLISH t 1"]);
    assert_eq!(bench.connect_again(true), ["CONNECT", "PUBLISH t 1 dup"]);
    assert!(handle.try_recv().is_err());
    bench.ack(Packet::PubAck, 1, ReasonCode::NoMatchingSubscribers);
    let answer = handle.try_recv().expect("told").expect("a success");
    assert_eq!(answer.reason_code(), ReasonCode::NoMatchingSubscribers);

    let mut handle = bench.publish("t", QoS::ExactlyOnce);
    bench.sent();
    bench.ack(Packet::PubRec, 2, ReasonCode::QuotaExceeded);
    let refused = handle.try_recv().expect("told").expect_err("a refusal");
    assert!(matches!(refused, PublishError::Refused { reason_code: ReasonCode::QuotaExceeded, .. }));
}

#[test]
fn a_qos_0_handle_tells_that_it_was_written() {
    let mut bench = Bench::connected(builder());
    let mut handle = bench.publish("t", QoS::AtMostOnce);
    assert!(handle.try_recv().is_err());
    bench.sent();
    assert!(handle.try_recv().expect("told").is_ok());
    let mut lost = bench.publish("t", QoS::AtMostOnce);
    bench.cut();
    assert!(matches!(lost.try_recv().expect("told"), Err(PublishError::NotSent(_))));
    let message = Message { topic: "t", ..Message::default() };
    let refused = bench.core.publish(&message, None, T0);
    assert!(matches!(refused, Err(PublishError::NotConnected)));
}

#[test]
fn a_takeover_is_a_conflict_that_names_the_client_id() {
    let mut bench = Bench::connected(builder());
    let reason_code = ReasonCode::SessionTakenOver;
    bench.hear(&Packet::Disconnect(Disconnect { reason_code, properties: Properties::EMPTY }));
    assert_eq!(bench.sent(), ["close"]);
    assert_eq!(bench.cut(), Next::TryAgain { millis: 5_000 });
    let State::IdConflict { evidence: IdConflict::TakenOver, client_id, .. } = bench.state() else {
        panic!("{:?}", bench.state())
    };
    assert_eq!(client_id, "c");
}

#[test]
fn a_server_that_knows_no_5_0_is_asked_for_3_1_1() {
    let mut bench = Bench::new(builder());
    bench.core.begin(T0).expect("short options");
    bench.sent();
    let reason_code = ReasonCode::UnsupportedProtocolVersion;
    let properties = Properties::EMPTY;
    bench.hear(&Packet::ConnAck(ConnAck { session_present: false, reason_code, properties }));
    assert_eq!(bench.sent(), ["close"]);
    assert_eq!(bench.cut(), Next::TryAgain { millis: 0 });
    bench.version = ProtocolVersion::V3_1_1;
    bench.connect(false);
    assert!(bench.state().is_connected());

    let mut bench = Bench::new(builder().version(V5));
    bench.core.begin(T0).expect("short options");
    bench.sent();
    let properties = Properties::EMPTY;
    bench.hear(&Packet::ConnAck(ConnAck { session_present: false, reason_code, properties }));
    bench.cut();
    let State::Waiting { cause: ConnectionError::Refused { .. }, .. } = bench.state() else {
        panic!("{:?}", bench.state())
    };
}

#[test]
fn closing_waits_for_what_is_owed_and_says_disconnect_last() {
    let mut bench = Bench::connected(builder());
    let mut handle = bench.publish("t", QoS::AtLeastOnce);
    bench.core.close(Duration::from_secs(5), T0);
    assert_eq!(bench.sent(), ["PUBLISH t 1"]);
    let message = Message { topic: "t", qos: QoS::AtLeastOnce, ..Message::default() };
    assert!(matches!(bench.core.publish(&message, None, T0), Err(PublishError::Closed)));
    bench.ack(Packet::PubAck, 1, ReasonCode::Success);
    assert_eq!(bench.sent(), ["DISCONNECT", "close"], "[MQTT-3.14.4-1], [MQTT-3.14.4-2]");
    assert!(handle.try_recv().expect("told").is_ok());
    assert_eq!(bench.cut(), Next::Stop);
    assert!(matches!(bench.state(), State::Closed { cause: None }));
}

#[test]
fn closing_does_not_wait_for_ever() {
    let mut bench = Bench::connected(builder());
    let mut handle = bench.publish("t", QoS::AtLeastOnce);
    let stream = bench.stream_after_publish();
    bench.core.close(Duration::from_secs(5), bench.now);
    bench.now = bench.now + 5_000;
    assert_eq!(bench.core.next_timeout(), Some(bench.now));
    bench.core.handle_timeouts(bench.now);
    assert_eq!(bench.sent(), ["DISCONNECT", "close"]);
    assert_eq!(bench.cut(), Next::Stop);
    assert!(matches!(handle.try_recv(), Err(oneshot::error::TryRecvError::Closed)));
    assert_eq!(bench.take(stream), None);
}

impl Bench {
    fn stream_after_publish(&mut self) -> StreamId {
        let stream = self.wish(&["a"]);
        assert_eq!(self.sent(), ["PUBLISH t 1".to_owned(), format!("SUBSCRIBE {FIRST} a")]);
        self.grant(FIRST, ReasonCode::GrantedQoS1);
        stream
    }
}

#[test]
fn closing_gives_a_server_up_that_has_not_answered_or_does_not_read() {
    let mut bench = Bench::new(builder());
    bench.core.begin(T0).expect("short options");
    bench.sent();
    assert!(!bench.core.gives_up(T0));
    bench.core.close(Duration::from_secs(5), T0);
    assert!(bench.core.gives_up(T0), "nothing is owed, and nobody has let it in");

    let mut bench = Bench::connected(builder());
    bench.core.close(Duration::ZERO, T0);
    bench.core.handle_timeouts(T0);
    assert!(!bench.core.gives_up(T0 + (LAST_WORDS_MS - 1)) && bench.core.gives_up(T0 + LAST_WORDS_MS));
    assert_eq!(bench.core.next_timeout(), Some(T0 + LAST_WORDS_MS), "and wakes up for it");
}

#[test]
fn a_session_under_a_made_up_id_ends_with_its_client() {
    let mut bench = Bench::connected(Client::builder("mqtt://localhost"));
    bench.core.close(Duration::ZERO, T0);
    assert_eq!(bench.sent(), ["DISCONNECT expiry 0", "close"]);
}

#[test]
fn presence_is_a_will_a_birth_and_a_farewell() {
    let presence = Presence::new("status", "online", "offline");
    let mut bench = Bench::new(builder().presence(presence));
    assert_eq!(bench.connect(false), ["CONNECT clean will status", "PUBLISH status 1"]);
    assert_eq!(
        bench.connect_again(true),
        ["CONNECT will status", "PUBLISH status 1 dup"],
        "one birth that is owed is enough"
    );
    bench.ack(Packet::PubAck, 1, ReasonCode::Success);
    bench.core.close(Duration::from_secs(5), T0);
    assert_eq!(bench.sent(), ["PUBLISH status 2"]);
    bench.ack(Packet::PubAck, 2, ReasonCode::Success);
    assert_eq!(bench.sent(), ["DISCONNECT", "close"]);
}

#[test]
fn a_session_that_the_server_has_forgotten_is_no_reason_to_lose_a_message() {
    let mut bench = Bench::connected(builder());
    bench.publish("t", QoS::ExactlyOnce);
    bench.sent();
    let sent = bench.connect_again(false);
    assert_eq!(sent, ["CONNECT", "PUBLISH t 2"], "as new, without DUP [MQTT-3.2.2-5]");
}
