//! The client's statements, with a server that is a few lines of test.

use super::*;
use noctule_codec::{
    Ack, ConnAck, Decoder, PacketType, Publish, QoS, SubAck, SubscribeFilters, SubscriptionOptions, UnsubAck,
    UnsubscribeFilters,
};
use std::borrow::Cow;

const T0: Instant = Instant::from_millis(1_000);

/// What the client has written, as packets that live as long as the test.
fn written(client: &mut Client) -> Vec<Packet<'static>> {
    written_at(client, T0).0
}

fn written_at(client: &mut Client, now: Instant) -> (Vec<Packet<'static>>, Flush) {
    let version = client.version().unwrap_or(ProtocolVersion::V5);
    let mut out = Vec::new();
    let flush = client.flush(now, usize::MAX, &mut out);
    let mut bytes: &'static [u8] = out.leak();
    let mut packets = Vec::new();
    while !bytes.is_empty() {
        let decoded = match bytes[0] >> 4 {
            1 => Decoder::server(u32::MAX).decode(bytes),
            _ => as_server(version).decode(bytes),
        };
        let (packet, length) = decoded.expect("the client writes packets").expect("whole ones");
        packets.push(packet);
        bytes = &bytes[length..];
    }
    (packets, flush)
}

/// A server's decoder that has seen a CONNECT of this version.
fn as_server(version: ProtocolVersion) -> Decoder {
    let mut connect = Vec::new();
    let options = ConnectOptions { version, client_id: "x".into(), ..ConnectOptions::default() };
    Packet::Connect(options.connect()).encode(version, &mut connect).expect("a CONNECT");
    let mut decoder = Decoder::server(u32::MAX);
    decoder.decode(&connect).expect("a CONNECT").expect("whole");
    decoder
}

fn events(client: &mut Client) -> Vec<Event> {
    std::iter::from_fn(|| client.poll_event()).collect()
}

fn durable(version: ProtocolVersion) -> ConnectOptions {
    ConnectOptions {
        version,
        client_id: "c".into(),
        clean_start: false,
        properties: Properties::new().with(Property::SessionExpiryInterval(3600)),
        ..ConnectOptions::default()
    }
}

fn connack(session_present: bool, properties: Properties<'static>) -> Packet<'static> {
    Packet::ConnAck(ConnAck { session_present, reason_code: ReasonCode::Success, properties })
}

fn connect_with(client: &mut Client, options: ConnectOptions, present: bool, said: Properties<'static>) {
    client.connect(options, T0).expect("short options");
    assert!(matches!(written(client)[..], [Packet::Connect(_)]), "CONNECT comes first and alone");
    client.handle_packet(&connack(present, said), T0);
}

fn connected(options: ConnectOptions, said: Properties<'static>) -> Client {
    let mut client = Client::recording();
    connect_with(&mut client, options, false, said);
    assert!(matches!(events(&mut client)[..], [Event::Connected { session_present: false, .. }]));
    client
}

fn message(topic: &str, qos: QoS) -> Message<'_> {
    Message { topic, payload: b"m", qos, ..Message::default() }
}

fn id(id: u16) -> PacketId {
    PacketId::new(id).expect("test ids are not zero")
}

fn ack(packet_id: u16, reason_code: ReasonCode) -> Ack<'static> {
    Ack { packet_id: id(packet_id), reason_code, properties: Properties::EMPTY }
}

fn ok(packet_id: u16) -> Ack<'static> {
    ack(packet_id, ReasonCode::Success)
}

fn from_server(qos: QoS, packet_id: u16, dup: bool) -> Packet<'static> {
    Packet::Publish(Publish {
        dup,
        qos,
        retain: false,
        topic: "t",
        packet_id: PacketId::new(packet_id),
        properties: Properties::EMPTY,
        payload: b"p",
    })
}

fn violation(client: &mut Client) -> Option<Violation> {
    events(client).into_iter().find_map(|event| match event {
        Event::Disconnected { cause: DisconnectCause::Violation(violation) } => Some(violation),
        _ => None,
    })
}

#[test]
fn mqtt_3_1_0_1_connect_is_the_first_packet_and_nothing_follows_before_connack() {
    let mut client = Client::new();
    client.publish(&message("t", QoS::AtLeastOnce), T0).expect("QoS 1 waits");
    client.connect(durable(ProtocolVersion::V5), T0).expect("short options");
    assert!(matches!(written(&mut client)[..], [Packet::Connect(_)]));
    assert!(written(&mut client).is_empty());
    assert_eq!(client.publish(&message("t", QoS::AtMostOnce), T0), Err(PublishError::NotConnected));
    client.handle_packet(&connack(false, Properties::EMPTY), T0);
    assert!(matches!(written(&mut client)[..], [Packet::Publish(_)]));
}

#[test]
fn mqtt_3_2_0_1_something_else_before_connack_is_a_violation() {
    let mut client = Client::new();
    client.connect(durable(ProtocolVersion::V5), T0).expect("short options");
    written(&mut client);
    client.handle_packet(&Packet::PingResp, T0);
    assert_eq!(violation(&mut client), Some(Violation::FirstPacket { packet_type: PacketType::PingResp }));
    assert_eq!(written_at(&mut client, T0).1, Flush::Close);
}

#[test]
fn mqtt_3_2_0_2_a_second_connack_is_a_violation() {
    let mut client = connected(durable(ProtocolVersion::V5), Properties::EMPTY);
    client.handle_packet(&connack(false, Properties::EMPTY), T0);
    let (packets, flush) = written_at(&mut client, T0);
    assert!(
        matches!(&packets[..], [Packet::Disconnect(last)] if last.reason_code == ReasonCode::ProtocolError)
    );
    assert_eq!(flush, Flush::Close);
    assert_eq!(violation(&mut client), Some(Violation::SecondConnAck));
}

#[test]
fn a_refusal_is_told_and_the_stream_closed() {
    let mut client = Client::new();
    client.connect(durable(ProtocolVersion::V3_1_1), T0).expect("short options");
    written(&mut client);
    let reason_code = ReasonCode::NotAuthorized;
    let properties = Properties::EMPTY;
    client.handle_packet(&Packet::ConnAck(ConnAck { session_present: false, reason_code, properties }), T0);
    assert_eq!(events(&mut client), [Event::Refused { reason_code, properties: Properties::EMPTY }]);
    assert_eq!(written_at(&mut client, T0).1, Flush::Close);
    assert!(events(&mut client).is_empty());
}

#[test]
fn mqtt_3_2_2_4_an_unknown_session_is_a_violation_unless_it_is_wanted() {
    let mut client = Client::new();
    connect_with(&mut client, durable(ProtocolVersion::V5), true, Properties::EMPTY);
    assert_eq!(violation(&mut client), Some(Violation::UnknownSession));

    let mut client = Client::new();
    let options = ConnectOptions { resume_unknown_session: true, ..durable(ProtocolVersion::V5) };
    connect_with(&mut client, options, true, Properties::EMPTY);
    assert!(matches!(events(&mut client)[..], [Event::Connected { session_present: true, .. }]));
}

#[test]
fn mqtt_3_2_2_2_a_session_after_a_clean_start_is_a_violation() {
    let mut client = Client::new();
    let options = ConnectOptions { clean_start: true, ..durable(ProtocolVersion::V5) };
    connect_with(&mut client, options, true, Properties::EMPTY);
    assert_eq!(violation(&mut client), Some(Violation::SessionPresentAfterCleanStart));
}

#[test]
fn mqtt_3_2_2_5_without_a_session_the_unacknowledged_are_sent_as_new() {
    let mut client = connected(durable(ProtocolVersion::V5), Properties::EMPTY);
    let received = client.publish(&message("t", QoS::ExactlyOnce), T0).expect("taken");
    client.publish(&message("u", QoS::AtLeastOnce), T0).expect("taken");
    client.handle_packet(&from_server(QoS::ExactlyOnce, 9, false), T0);
    written(&mut client);
    client.handle_packet(&Packet::PubRec(ok(1)), T0);
    client.connection_lost();
    events(&mut client);

    connect_with(&mut client, durable(ProtocolVersion::V5), false, Properties::EMPTY);
    let told = events(&mut client);
    let outcome = PublishOutcome::Acknowledged(ReasonCode::Success);
    assert!(told.contains(&Event::published(received, outcome)), "PUBREC has handed it over");
    let packets = written(&mut client);
    assert!(matches!(&packets[..], [Packet::Publish(new)] if new.topic == "u" && !new.dup), "{packets:?}");
    client.handle_packet(&from_server(QoS::ExactlyOnce, 9, false), T0);
    assert!(matches!(events(&mut client)[..], [Event::Message(_)]), "its id is a new message");
}

#[test]
fn mqtt_4_4_0_1_and_4_6_0_1_and_mqtt311_2_3_1_3_a_resumed_session_sends_again_with_dup_and_in_order() {
    for version in [ProtocolVersion::V3_1, ProtocolVersion::V3_1_1, ProtocolVersion::V5] {
        let mut client = connected(durable(version), Properties::EMPTY);
        for (topic, qos) in [("a", QoS::AtLeastOnce), ("b", QoS::ExactlyOnce), ("c", QoS::ExactlyOnce)] {
            client.publish(&message(topic, qos), T0).expect("taken");
        }
        let first: Vec<_> = written(&mut client).into_iter().map(|packet| format!("{packet:?}")).collect();
        assert_eq!(first.len(), 3);
        assert!(first.iter().all(|packet| packet.contains("dup: false")), "[MQTT-4.3.2-2], [MQTT-4.3.3-2]");
        client.handle_packet(&Packet::PubRec(ok(2)), T0);
        client.connection_lost();
        client.publish(&message("d", QoS::AtLeastOnce), T0).expect("waits");

        connect_with(&mut client, durable(version), true, Properties::EMPTY);
        let [Packet::Publish(a), Packet::PubRel(b), Packet::Publish(c), Packet::Publish(d)] =
            &written(&mut client)[..]
        else {
            panic!("{version:?}: not what was owed")
        };
        assert_eq!((a.topic, a.dup, a.packet_id), ("a", true, Some(id(1))));
        assert_eq!(b.packet_id, id(2), "no PUBLISH again once PUBREC has come [MQTT-4.3.3-6]");
        assert_eq!((c.topic, c.dup, c.packet_id), ("c", true, Some(id(3))));
        assert_eq!((d.topic, d.dup, d.packet_id), ("d", false, Some(id(4))));
    }
}

#[test]
fn mqtt_3_1_2_4_a_clean_start_forgets_ids_before_the_server_answers() {
    let mut client = connected(durable(ProtocolVersion::V5), Properties::EMPTY);
    client.handle_packet(&from_server(QoS::ExactlyOnce, 9, false), T0);
    client.publish(&message("t", QoS::AtLeastOnce), T0).expect("taken");
    client.connect(ConnectOptions { clean_start: true, ..durable(ProtocolVersion::V5) }, T0).expect("short");
    assert!(client.session().inbound.is_empty());
    assert_eq!(client.unsettled(), 1);
    client.connection_lost();
    // Whatever the server has now, it is not what this client knows.
    connect_with(&mut client, durable(ProtocolVersion::V5), true, Properties::EMPTY);
    assert_eq!(violation(&mut client), Some(Violation::UnknownSession));
}

#[test]
fn mqtt_3_1_2_23_a_session_without_expiry_ends_with_its_connection() {
    let options = ConnectOptions { client_id: "c".into(), ..ConnectOptions::default() };
    let mut client = connected(options.clone(), Properties::EMPTY);
    client.publish(&message("t", QoS::AtLeastOnce), T0).expect("taken");
    written(&mut client);
    client.connection_lost();
    connect_with(&mut client, options, false, Properties::EMPTY);
    assert!(matches!(&written(&mut client)[..], [Packet::Publish(publish)] if !publish.dup));
}

#[test]
fn qos_1_and_2_end_with_their_acknowledgement() {
    let mut client = connected(durable(ProtocolVersion::V5), Properties::EMPTY);
    let one = client.publish(&message("t", QoS::AtLeastOnce), T0).expect("taken");
    let two = client.publish(&message("t", QoS::ExactlyOnce), T0).expect("taken");
    written(&mut client);
    client.handle_packet(&Packet::PubAck(ack(1, ReasonCode::NoMatchingSubscribers)), T0);
    client.handle_packet(&Packet::PubRec(ok(2)), T0);
    let outcome = PublishOutcome::Acknowledged(ReasonCode::NoMatchingSubscribers);
    assert_eq!(events(&mut client), [answered(one, 1, outcome)]);
    assert!(
        matches!(written(&mut client)[..], [Packet::PubRel(ref rel)] if rel.packet_id == id(2)),
        "[MQTT-4.3.3-4]"
    );
    client.handle_packet(&Packet::PubComp(ok(2)), T0);
    let outcome = PublishOutcome::Acknowledged(ReasonCode::Success);
    assert_eq!(events(&mut client), [answered(two, 2, outcome)]);
    assert_eq!(client.unsettled(), 0);
}

/// A publication ended by an acknowledgement with this id.
fn answered(token: Token, packet_id: u16, outcome: PublishOutcome) -> Event {
    let packet_id = Some(id(packet_id));
    Event::Published { token, packet_id, outcome, properties: Properties::EMPTY }
}

#[test]
fn mqtt_4_4_0_2_an_error_ends_a_publication_and_frees_its_place() {
    for (qos, answer) in [
        (QoS::AtLeastOnce, Packet::PubAck(ack(1, ReasonCode::QuotaExceeded))),
        (QoS::ExactlyOnce, Packet::PubRec(ack(1, ReasonCode::QuotaExceeded))),
    ] {
        let said = Properties::new().with(Property::ReceiveMaximum(1));
        let mut client = connected(durable(ProtocolVersion::V5), said);
        let token = client.publish(&message("t", qos), T0).expect("taken");
        client.publish(&message("next", qos), T0).expect("taken");
        assert_eq!(written(&mut client).len(), 1, "[MQTT-4.9.0-2]");
        client.handle_packet(&answer, T0);
        let outcome = PublishOutcome::Refused(ReasonCode::QuotaExceeded);
        assert_eq!(events(&mut client), [answered(token, 1, outcome)]);
        assert!(matches!(&written(&mut client)[..], [Packet::Publish(next)] if next.topic == "next"));
    }
}

#[test]
fn mqtt_3_3_4_7_8_and_4_9_0_3_the_window_holds_publications_back_and_nothing_else() {
    let said = Properties::new().with(Property::ReceiveMaximum(2));
    let mut client = connected(durable(ProtocolVersion::V5), said);
    for _ in 0..5 {
        client.publish(&message("t", QoS::AtLeastOnce), T0).expect("taken");
    }
    client.publish(&message("t", QoS::AtMostOnce), T0).expect("QoS 0 takes no place [MQTT-3.3.4-8]");
    client.ping(T0);
    let packets = written(&mut client);
    assert_eq!(packets.len(), 4, "{packets:?}");
    assert!(matches!(packets[3], Packet::PingReq));
    client.handle_packet(&Packet::PubAck(ok(1)), T0);
    assert_eq!(written(&mut client).len(), 1);
}

#[test]
fn mqtt_4_3_3_10_a_repeated_qos_2_publication_is_answered_and_not_delivered() {
    let mut client = connected(durable(ProtocolVersion::V3_1_1), Properties::EMPTY);
    client.handle_packet(&from_server(QoS::ExactlyOnce, 5, false), T0);
    assert!(matches!(events(&mut client)[..], [Event::Message(_)]));
    written(&mut client);
    client.connection_lost();
    events(&mut client);
    connect_with(&mut client, durable(ProtocolVersion::V3_1_1), true, Properties::EMPTY);
    client.handle_packet(&from_server(QoS::ExactlyOnce, 5, true), T0);
    client.handle_packet(&Packet::PubRel(ok(5)), T0);
    client.handle_packet(&from_server(QoS::ExactlyOnce, 5, false), T0);
    let told = events(&mut client);
    assert!(
        matches!(told[1..], [Event::Repeated { dup: true, same_connection: false, .. }, Event::Message(_)]),
        "after PUBREL the id is a new message [MQTT-4.3.3-12]: {told:?}"
    );
    assert!(matches!(written(&mut client)[..], [Packet::PubRec(_), Packet::PubComp(_), Packet::PubRec(_)]));
}

#[test]
fn mqtt_4_6_0_2_and_3_acknowledgements_leave_in_order_of_arrival() {
    let mut client = connected(durable(ProtocolVersion::V5), Properties::EMPTY);
    for (qos, packet_id) in [(QoS::AtLeastOnce, 3), (QoS::ExactlyOnce, 1), (QoS::AtLeastOnce, 2)] {
        client.handle_packet(&from_server(qos, packet_id, false), T0);
    }
    let [Packet::PubAck(first), Packet::PubRec(second), Packet::PubAck(third)] = &written(&mut client)[..]
    else {
        panic!("not the acknowledgements")
    };
    assert_eq!([first.packet_id, second.packet_id, third.packet_id], [id(3), id(1), id(2)]);
}

#[test]
fn mqtt_3_3_4_9_a_server_above_the_receive_maximum_is_told_0x93() {
    let properties =
        Properties::new().with(Property::SessionExpiryInterval(3600)).with(Property::ReceiveMaximum(2));
    let mut client =
        connected(ConnectOptions { properties, ..durable(ProtocolVersion::V5) }, Properties::EMPTY);
    client.handle_packet(&from_server(QoS::AtLeastOnce, 1, false), T0);
    client.handle_packet(&from_server(QoS::ExactlyOnce, 2, false), T0);
    written(&mut client);
    client.handle_packet(&from_server(QoS::AtLeastOnce, 3, false), T0);
    client.handle_packet(&from_server(QoS::AtLeastOnce, 4, false), T0);
    assert_eq!(violation(&mut client), Some(Violation::ReceiveMaximumExceeded { receive_maximum: 2 }));
    let packets = written(&mut client);
    assert!(
        matches!(&packets[..], [Packet::Disconnect(last)] if last.reason_code == ReasonCode::ReceiveMaximumExceeded)
    );
}

#[test]
fn mqtt_2_2_1_4_a_reused_id_is_a_violation() {
    let mut client = connected(durable(ProtocolVersion::V5), Properties::EMPTY);
    client.handle_packet(&from_server(QoS::ExactlyOnce, 1, false), T0);
    client.handle_packet(&from_server(QoS::AtLeastOnce, 1, false), T0);
    assert_eq!(violation(&mut client), Some(Violation::PacketIdInUse { packet_id: 1 }));
}

#[test]
fn mqtt_3_3_2_7_and_10_aliases_are_understood_up_to_the_maximum_and_end_with_the_connection() {
    let properties =
        Properties::new().with(Property::SessionExpiryInterval(3600)).with(Property::TopicAliasMaximum(2));
    let options = ConnectOptions { properties, ..durable(ProtocolVersion::V5) };
    let with_alias = |topic, alias| {
        let properties = Properties::new().with(Property::TopicAlias(alias)).into_owned();
        let Packet::Publish(publish) = from_server(QoS::AtMostOnce, 0, false) else { unreachable!() };
        Packet::Publish(Publish { topic, properties, ..publish })
    };
    let mut client = connected(options.clone(), Properties::EMPTY);
    client.handle_packet(&with_alias("t", 2), T0);
    client.handle_packet(&with_alias("", 2), T0);
    let topics: Vec<_> = events(&mut client)
        .into_iter()
        .map(|event| match event {
            Event::Message(delivery) => delivery.topic,
            event => panic!("{event:?}"),
        })
        .collect();
    assert_eq!(topics, ["t".into(), "t".into()]);
    client.connection_lost();
    connect_with(&mut client, options.clone(), true, Properties::EMPTY);
    client.handle_packet(&with_alias("", 2), T0);
    assert_eq!(violation(&mut client), Some(Violation::TopicAliasUnknown { alias: 2 }));

    let mut client = connected(options, Properties::EMPTY);
    client.handle_packet(&with_alias("t", 3), T0);
    let broken = Violation::TopicAliasAboveMaximum { alias: 3, alias_maximum: 2 };
    assert_eq!(violation(&mut client), Some(broken));
    assert_eq!(broken.reason_code(), ReasonCode::TopicAliasInvalid);
}

#[test]
fn mqtt_3_2_2_17_and_18_aliases_are_used_as_far_as_the_server_allows() {
    for (said, expected) in [
        (Properties::EMPTY, [("t", None), ("t", None)]),
        (Properties::new().with(Property::TopicAliasMaximum(1)), [("t", Some(1)), ("", Some(1))]),
    ] {
        let mut client = connected(durable(ProtocolVersion::V5), said);
        for _ in 0..2 {
            client.publish(&message("t", QoS::AtLeastOnce), T0).expect("taken");
        }
        let packets = written(&mut client);
        let seen: Vec<_> = packets
            .iter()
            .map(|packet| match packet {
                Packet::Publish(publish) => (publish.topic, publish.properties.topic_alias()),
                packet => panic!("{packet:?}"),
            })
            .collect();
        assert_eq!(seen, expected);
    }
}

#[test]
fn mqtt_3_2_2_11_14_and_15_what_the_server_does_not_take_is_not_sent() {
    let said = Properties::new()
        .with(Property::MaximumQoS(QoS::AtLeastOnce))
        .with(Property::RetainAvailable(false))
        .with(Property::MaximumPacketSize(20));
    let large = Message { payload: &[0; 100], ..message("t", QoS::AtLeastOnce) };
    let retained = Message { retain: true, ..message("t", QoS::AtLeastOnce) };
    let cases = [
        (message("t", QoS::ExactlyOnce), NotSent::QoSNotSupported),
        (retained, NotSent::RetainNotSupported),
        (large, NotSent::PacketTooLarge),
    ];
    for (message, reason) in cases {
        let mut client = connected(durable(ProtocolVersion::V5), said.clone());
        assert_eq!(client.publish(&message, T0), Err(PublishError::NotAccepted(reason)));

        let mut client = Client::new();
        let token = client.publish(&message, T0).expect("no server is known yet");
        connect_with(&mut client, durable(ProtocolVersion::V5), false, said.clone());
        let outcome = PublishOutcome::NotSent(reason);
        assert_eq!(events(&mut client)[1..], [Event::published(token, outcome)]);
        assert!(written(&mut client).is_empty());
    }
}

#[test]
fn mqtt_4_7_0_1_and_3_3_2_14_topics_without_wildcards_only() {
    let mut client = Client::new();
    for topic in ["", "a/+", "#", "a\0"] {
        assert!(matches!(client.publish(&message(topic, QoS::AtLeastOnce), T0), Err(PublishError::Topic(_))));
    }
    let properties = Properties::new().with(Property::ResponseTopic("a/#"));
    let refused = client.publish(&Message { properties, ..message("t", QoS::AtLeastOnce) }, T0);
    assert_eq!(refused, Err(PublishError::ResponseTopic));
}

#[test]
fn mqtt_3_3_4_6_a_client_sends_no_subscription_identifier() {
    let mut client = connected(durable(ProtocolVersion::V5), Properties::EMPTY);
    let properties =
        Properties::new().with(Property::SubscriptionIdentifier(3)).with(Property::ContentType("c"));
    client.publish(&Message { properties, ..message("t", QoS::AtLeastOnce) }, T0).expect("taken");
    let packets = written(&mut client);
    let [Packet::Publish(publish)] = &packets[..] else { panic!("{packets:?}") };
    assert_eq!(publish.properties.subscription_identifier(), None);
    assert_eq!(publish.properties.content_type(), Some("c"));
}

#[test]
fn an_expired_message_is_not_sent_and_a_sent_one_does_not_expire() {
    let said = Properties::new().with(Property::ReceiveMaximum(1));
    let mut client = connected(durable(ProtocolVersion::V5), said.clone());
    let properties = || Properties::new().with(Property::MessageExpiryInterval(1));
    client
        .publish(&Message { properties: properties(), ..message("sent", QoS::AtLeastOnce) }, T0)
        .expect("1");
    let token = client
        .publish(&Message { properties: properties(), ..message("late", QoS::AtLeastOnce) }, T0)
        .expect("2");
    written(&mut client);
    client.connection_lost();
    events(&mut client);
    client.connect(durable(ProtocolVersion::V5), T0 + 5_000).expect("short options");
    written(&mut client);
    client.handle_packet(&connack(true, said), T0 + 5_000);
    assert!(matches!(&written_at(&mut client, T0 + 5_000).0[..], [Packet::Publish(sent)] if sent.dup));
    client.handle_packet(&Packet::PubAck(ok(1)), T0 + 5_000);
    let outcome = PublishOutcome::NotSent(NotSent::Expired);
    assert!(events(&mut client).contains(&Event::published(token, outcome)));
    assert_eq!(client.unsettled(), 0);
}

fn filters(filter: &str) -> SubscribeFilters<'_> {
    [(filter, SubscriptionOptions::default())].into_iter().collect()
}

#[test]
fn mqtt5_2_2_1_3_and_mqtt311_2_3_1_2_requests_take_unused_ids_and_are_answered_by_them() {
    let mut client = connected(durable(ProtocolVersion::V5), Properties::EMPTY);
    client.publish(&message("t", QoS::AtLeastOnce), T0).expect("taken");
    let subscribe = client.subscribe(filters("a"), Properties::EMPTY).expect("sent");
    let unsubscribe = client
        .unsubscribe(["a"].into_iter().collect::<UnsubscribeFilters<'_>>(), Properties::EMPTY)
        .expect("sent");
    let packets = written(&mut client);
    let [Packet::Publish(publish), Packet::Subscribe(first), Packet::Unsubscribe(second)] = &packets[..]
    else {
        panic!("{packets:?}")
    };
    let ids = [publish.packet_id.expect("QoS 1"), first.packet_id, second.packet_id];
    assert!(ids[0] != ids[1] && ids[1] != ids[2] && ids[0] != ids[2], "{ids:?}");
    let properties = Properties::EMPTY;
    let reason_codes: Cow<'_, [ReasonCode]> = vec![ReasonCode::Success].into();
    let suback = SubAck { packet_id: ids[1], properties, reason_codes: reason_codes.clone() };
    client.handle_packet(&Packet::SubAck(suback.clone()), T0);
    let unsuback = UnsubAck { packet_id: ids[2], properties: Properties::EMPTY, reason_codes };
    client.handle_packet(&Packet::UnsubAck(unsuback), T0);
    let told = events(&mut client);
    assert!(
        matches!(&told[..], [Event::Subscribed { token: first, .. }, Event::Unsubscribed { token: second, .. }]
            if (*first, *second) == (subscribe, unsubscribe)),
        "{told:?}"
    );
    client.handle_packet(&Packet::SubAck(suback), T0);
    assert!(matches!(violation(&mut client), Some(Violation::UnknownRequest { .. })), "[MQTT-3.8.4-2]");
}

#[test]
fn mqtt_3_8_4_6_a_suback_has_a_code_per_filter() {
    let mut client = connected(durable(ProtocolVersion::V3_1_1), Properties::EMPTY);
    client.subscribe(filters("a"), Properties::EMPTY).expect("sent");
    let packets = written(&mut client);
    let [Packet::Subscribe(subscribe)] = &packets[..] else { panic!("{packets:?}") };
    client.handle_packet(
        &Packet::SubAck(SubAck {
            packet_id: subscribe.packet_id,
            properties: Properties::EMPTY,
            reason_codes: vec![ReasonCode::Success; 2].into(),
        }),
        T0,
    );
    assert!(matches!(violation(&mut client), Some(Violation::ReasonCodeCount { filters: 1, .. })));
}

#[test]
fn requests_that_cannot_be_right_are_not_sent() {
    let said = Properties::new()
        .with(Property::WildcardSubscriptionAvailable(false))
        .with(Property::SharedSubscriptionAvailable(false))
        .with(Property::SubscriptionIdentifierAvailable(false))
        .with(Property::MaximumPacketSize(40));
    let mut client = connected(durable(ProtocolVersion::V5), said);
    let no_local = SubscriptionOptions { no_local: true, ..SubscriptionOptions::default() };
    let with_id = Properties::new().with(Property::SubscriptionIdentifier(1));
    let cases = [
        (SubscribeFilters::new(), Properties::EMPTY, RequestError::NoFilter),
        ([("$share/g/a", no_local)].into_iter().collect(), Properties::EMPTY, RequestError::NoLocalOnShared),
        (filters("$share/g/a"), Properties::EMPTY, RequestError::NotSupported("shared subscriptions")),
        (filters("a/#"), Properties::EMPTY, RequestError::NotSupported("filters with wildcards")),
        (filters("a"), with_id, RequestError::NotSupported("subscription identifiers")),
        (
            filters("a-topic-filter-of-more-than-forty-characters"),
            Properties::EMPTY,
            RequestError::PacketTooLarge,
        ),
    ];
    for (filters, properties, error) in cases {
        assert_eq!(client.subscribe(filters, properties), Err(error));
    }
    assert!(matches!(client.subscribe(filters("a/#/b"), Properties::EMPTY), Err(RequestError::Filter(_))));
    assert!(written(&mut client).is_empty());
}

#[test]
fn what_dies_with_the_connection_is_reported() {
    let mut client = connected(durable(ProtocolVersion::V5), Properties::EMPTY);
    let request = client.subscribe(filters("a"), Properties::EMPTY).expect("sent");
    let qos0 = client.publish(&message("t", QoS::AtMostOnce), T0).expect("queued");
    client.connection_lost();
    let outcome = PublishOutcome::NotSent(NotSent::ConnectionEnded);
    assert_eq!(
        events(&mut client),
        [
            Event::published(qos0, outcome),
            Event::RequestLost { token: request },
            Event::Disconnected { cause: DisconnectCause::ConnectionLost },
        ]
    );
}

#[test]
fn mqtt_3_1_2_20_and_21_pingreq_leaves_within_the_keep_alive_in_force() {
    for (asked, said, interval) in
        [(10, Properties::EMPTY, 10_000), (60, Properties::new().with(Property::ServerKeepAlive(4)), 4_000)]
    {
        let options = ConnectOptions { keep_alive_seconds: asked, ..durable(ProtocolVersion::V5) };
        let mut client = connected(options, said);
        let due = client.next_timeout().expect("a keep alive is in force");
        assert!(due <= T0 + interval, "{due:?}");
        client.handle_timeouts(Instant::from_millis(due.as_millis() - 1));
        assert!(written_at(&mut client, due).0.is_empty());
        client.handle_timeouts(due);
        assert_eq!(written_at(&mut client, due).0, [Packet::PingReq]);
        client.handle_packet(&Packet::PingResp, due);
        assert!(client.next_timeout() > Some(due));
    }
}

#[test]
fn a_server_that_does_not_answer_pingreq_is_given_up() {
    let mut client = connected(durable(ProtocolVersion::V5), Properties::EMPTY);
    client.ping(T0);
    let due = client.next_timeout().expect("an answer is awaited");
    assert_eq!(due, T0 + 10_000);
    client.handle_packet(&from_server(QoS::AtMostOnce, 0, false), T0 + 9_000);
    client.handle_timeouts(due);
    assert!(client.is_connected(), "whatever comes is a sign of life");
    client.handle_timeouts(T0 + 19_000);
    assert!(events(&mut client).contains(&Event::Disconnected { cause: DisconnectCause::NoPingResp }));
    assert_eq!(written_at(&mut client, T0).1, Flush::Close);
}

#[test]
fn a_server_that_does_not_answer_connect_is_given_up() {
    let mut client = Client::new();
    client.connect(durable(ProtocolVersion::V5), T0).expect("short options");
    written(&mut client);
    client.handle_timeouts(T0 + 10_000);
    assert_eq!(events(&mut client), [Event::Disconnected { cause: DisconnectCause::NoConnAck }]);
}

#[test]
fn a_server_that_is_sending_a_long_packet_is_alive() {
    let mut client = connected(durable(ProtocolVersion::V5), Properties::EMPTY);
    client.ping(T0);
    written(&mut client);
    let mut bytes = Vec::new();
    from_server(QoS::AtLeastOnce, 1, false).encode(ProtocolVersion::V5, &mut bytes).expect("short");
    assert_eq!(client.receive(&bytes[..3], T0 + 9_000), 0);
    client.handle_timeouts(T0 + 18_999);
    assert!(client.is_connected());
    client.handle_timeouts(T0 + 19_000);
    assert!(!client.is_connected());
}

#[test]
fn a_keep_alive_of_0_sends_no_pingreq() {
    let options = ConnectOptions { keep_alive_seconds: 0, ..durable(ProtocolVersion::V5) };
    assert_eq!(connected(options, Properties::EMPTY).next_timeout(), None);
}

#[test]
fn mqtt_3_14_4_1_and_2_nothing_follows_disconnect_and_the_stream_is_closed() {
    let mut client = connected(durable(ProtocolVersion::V3_1_1), Properties::EMPTY);
    client.publish(&message("t", QoS::AtMostOnce), T0).expect("queued");
    client.disconnect(ReasonCode::NORMAL_DISCONNECTION, Properties::EMPTY).expect("connected");
    assert_eq!(client.publish(&message("t", QoS::AtMostOnce), T0), Err(PublishError::NotConnected));
    client.publish(&message("t", QoS::AtLeastOnce), T0).expect("waits for another connection");
    let (packets, flush) = written_at(&mut client, T0);
    assert!(matches!(packets[..], [Packet::Publish(_), Packet::Disconnect(_)]), "{packets:?}");
    assert_eq!(flush, Flush::Close);
    let last = events(&mut client).pop();
    assert_eq!(last, Some(Event::Disconnected { cause: DisconnectCause::Requested }));
}

#[test]
fn mqtt_4_13_2_1_the_servers_disconnect_closes() {
    let mut client = connected(durable(ProtocolVersion::V5), Properties::EMPTY);
    client.publish(&message("t", QoS::AtLeastOnce), T0).expect("taken");
    let reason_code = ReasonCode::SessionTakenOver;
    client.handle_packet(&Packet::Disconnect(Disconnect { reason_code, properties: Properties::EMPTY }), T0);
    assert_eq!(written_at(&mut client, T0), (vec![], Flush::Close));
    let cause = DisconnectCause::Server { reason_code, properties: Properties::EMPTY };
    assert_eq!(events(&mut client), [Event::Disconnected { cause }]);
    assert_eq!(client.unsettled(), 1);
}

#[test]
fn disconnect_can_end_the_session_but_not_begin_one() {
    let expiry = |seconds| Properties::new().with(Property::SessionExpiryInterval(seconds));
    let mut client = connected(durable(ProtocolVersion::V5), Properties::EMPTY);
    client.disconnect(ReasonCode::Success, expiry(0)).expect("connected");
    written(&mut client);
    assert!(!client.session().is_durable());
    let options = ConnectOptions { client_id: "c".into(), ..ConnectOptions::default() };
    let mut client = connected(options, Properties::EMPTY);
    assert_eq!(client.disconnect(ReasonCode::Success, expiry(5)), Err(RequestError::SessionExpiryRaised));
}

#[test]
fn mqtt_4_12_0_5_and_7_and_4_12_1_1_auth_keeps_to_the_method_of_connect() {
    let method = |method| Properties::new().with(Property::AuthenticationMethod(method)).into_owned();
    let auth = |properties| {
        Packet::Auth(noctule_codec::Auth { reason_code: ReasonCode::ContinueAuthentication, properties })
    };
    let mut client = Client::new();
    client
        .connect(ConnectOptions { properties: method("m"), ..ConnectOptions::default() }, T0)
        .expect("short");
    written(&mut client);
    client.handle_packet(&auth(method("m")), T0);
    assert!(matches!(events(&mut client)[..], [Event::Auth { .. }]));
    client.auth(ReasonCode::ContinueAuthentication, method("m")).expect("the same method");
    assert!(matches!(written(&mut client)[..], [Packet::Auth(_)]));
    let refused = client.auth(ReasonCode::ContinueAuthentication, method("n"));
    assert_eq!(refused, Err(RequestError::NoAuthenticationMethod));
    client.handle_packet(&auth(method("n")), T0);
    assert_eq!(violation(&mut client), Some(Violation::UnexpectedAuth));
}

#[test]
fn mqtt5_3_1_2_30_and_4_12_0_3_before_connack_only_auth_to_go_on() {
    let method = || Properties::new().with(Property::AuthenticationMethod("m")).into_owned();
    let mut client = Client::new();
    client.publish(&message("t", QoS::AtLeastOnce), T0).expect("waits");
    let options = ConnectOptions { properties: method(), ..ConnectOptions::default() };
    client.connect(options, T0).expect("short");
    assert!(matches!(written(&mut client)[..], [Packet::Connect(_)]));
    for wrong in [ReasonCode::Success, ReasonCode::ReAuthenticate] {
        assert_eq!(client.auth(wrong, method()), Err(RequestError::AuthReasonCode));
    }
    assert_eq!(client.subscribe(filters("a"), Properties::EMPTY), Err(RequestError::NotConnected));
    client.auth(ReasonCode::ContinueAuthentication, method()).expect("the same method");
    let packets = written(&mut client);
    assert!(matches!(&packets[..], [Packet::Auth(auth)] if auth.reason_code.as_u8() == 0x18), "{packets:?}");
    client.handle_packet(&connack(false, method()), T0);
    client.auth(ReasonCode::ReAuthenticate, method()).expect("connected");
    assert!(matches!(written(&mut client)[..], [Packet::Publish(_), Packet::Auth(_)]));
}

#[test]
fn mqtt_3_8_3_1_and_3_10_3_1_filters_are_utf_8() {
    let mut client = connected(durable(ProtocolVersion::V3_1_1), Properties::EMPTY);
    let filter = "käse/+/🧀";
    client.subscribe(filters(filter), Properties::EMPTY).expect("sent");
    client.unsubscribe([filter].into_iter().collect(), Properties::EMPTY).expect("sent");
    let mut bytes = Vec::new();
    client.flush(T0, usize::MAX, &mut bytes);
    let length = u16::try_from(filter.len()).expect("short").to_be_bytes();
    let field = [&length[..], filter.as_bytes()].concat();
    let found = bytes.windows(field.len()).filter(|window| *window == field).count();
    assert_eq!(found, 2, "{bytes:x?}");
}

#[test]
fn an_assigned_client_id_is_known() {
    let said = Properties::new().with(Property::AssignedClientIdentifier("given")).into_owned();
    let client = connected(ConnectOptions { client_id: "".into(), ..ConnectOptions::default() }, said);
    assert_eq!(client.client_id(), "given");
}

#[test]
fn bytes_in_any_pieces_are_the_same_packets_and_garbage_is_a_violation() {
    let mut bytes = Vec::new();
    for packet in [connack(false, Properties::EMPTY), from_server(QoS::AtLeastOnce, 1, false)] {
        packet.encode(ProtocolVersion::V5, &mut bytes).expect("short packets");
    }
    for piece in 1..bytes.len() {
        let mut client = Client::new();
        client.connect(durable(ProtocolVersion::V5), T0).expect("short options");
        let mut waiting = Vec::new();
        for piece in bytes.chunks(piece) {
            waiting.extend_from_slice(piece);
            let consumed = client.receive(&waiting, T0);
            waiting.drain(..consumed);
        }
        assert!(matches!(events(&mut client)[..], [Event::Connected { .. }, Event::Message(_)]));
    }
    let mut client = connected(durable(ProtocolVersion::V5), Properties::EMPTY);
    assert_eq!(client.receive(&[0xFF; 10], T0), 10);
    assert!(matches!(violation(&mut client), Some(Violation::Malformed(_))));
}

#[test]
fn the_changes_of_a_recording_client_give_its_state_back() {
    let mut client = connected(durable(ProtocolVersion::V5), Properties::EMPTY);
    let mut changes = client.take_changes();
    for qos in [QoS::AtLeastOnce, QoS::ExactlyOnce, QoS::ExactlyOnce, QoS::AtLeastOnce] {
        client.publish(&message("t", qos), T0).expect("taken");
    }
    client.handle_packet(&Packet::PubAck(ok(1)), T0);
    client.handle_packet(&Packet::PubRec(ok(2)), T0);
    client.handle_packet(&from_server(QoS::ExactlyOnce, 7, false), T0);
    changes.append(&mut client.take_changes());
    client.connection_lost();

    let mut restored = Client::restored("c", changes);
    assert_eq!(restored.session().inbound, client.session().inbound);
    let owed = |client: &Client| {
        let owed = client.session().outbound.iter();
        owed.map(|owed| (owed.number, owed.phase(), owed.packet_id())).collect::<Vec<_>>()
    };
    assert_eq!(owed(&restored), owed(&client));
    let from_snapshot = Client::restored("c", restored.snapshot());
    assert_eq!(from_snapshot.session().inbound, client.session().inbound);
    assert_eq!(owed(&from_snapshot), owed(&client));
    assert!(from_snapshot.session().is_durable());
    assert_eq!(owed(&restored).len(), 3);
    connect_with(&mut restored, durable(ProtocolVersion::V5), true, Properties::EMPTY);
    assert!(matches!(
        written(&mut restored)[..],
        [Packet::PubRel(_), Packet::Publish(_), Packet::Publish(_)]
    ));
    let token = restored.publish(&message("t", QoS::AtLeastOnce), T0).expect("taken");
    assert!(owed(&client).iter().all(|(number, ..)| number.0 != token.0), "tokens are never used again");
}

#[test]
fn what_has_waited_too_long_is_not_owed_any_more_but_what_was_sent_is() {
    let said = Properties::new().with(Property::ReceiveMaximum(1));
    let mut client = connected(durable(ProtocolVersion::V5), said);
    client.publish(&message("sent", QoS::AtLeastOnce), T0).expect("taken");
    let waiting = client.publish(&message("old", QoS::AtLeastOnce), T0).expect("taken");
    client.publish(&message("young", QoS::AtLeastOnce), T0 + 500).expect("taken");
    written(&mut client);
    client.connection_lost();
    events(&mut client);
    client.expire(1_000, T0 + 1_001);
    let outcome = PublishOutcome::NotSent(NotSent::Expired);
    assert_eq!(events(&mut client), [Event::published(waiting, outcome)]);
    assert_eq!(client.unsettled(), 2);
}

fn by_hand() -> ConnectOptions {
    ConnectOptions { manual_acks: true, ..durable(ProtocolVersion::V5) }
}

fn receipts(client: &mut Client) -> Vec<Receipt> {
    let receipt = |event| match event {
        Event::Message(delivery) => delivery.receipt,
        _ => None,
    };
    events(client).into_iter().filter_map(receipt).collect()
}

#[test]
fn mqtt_4_6_0_2_and_3_acknowledgements_by_hand_wait_for_those_before_them() {
    let mut client = connected(by_hand(), Properties::EMPTY);
    for (qos, packet_id) in
        [(QoS::AtLeastOnce, 1), (QoS::ExactlyOnce, 2), (QoS::AtLeastOnce, 3), (QoS::ExactlyOnce, 4)]
    {
        client.handle_packet(&from_server(qos, packet_id, false), T0);
    }
    assert!(written(&mut client).is_empty());
    let [first, second, third, fourth] = receipts(&mut client)[..] else { panic!("four deliveries") };
    assert!(client.acknowledge(fourth, ReasonCode::Success));
    assert!(client.acknowledge(third, ReasonCode::Success));
    assert!(written(&mut client).is_empty(), "an earlier one is missing at each QoS");
    assert!(client.acknowledge(first, ReasonCode::Success));
    assert!(!client.acknowledge(first, ReasonCode::Success), "once");
    let packets = written(&mut client);
    assert!(
        matches!(&packets[..], [Packet::PubAck(a), Packet::PubAck(b)] if (a.packet_id, b.packet_id) == (id(1), id(3))),
        "{packets:?}"
    );
    assert!(client.acknowledge(second, ReasonCode::QuotaExceeded));
    let packets = written(&mut client);
    let [Packet::PubRec(refused), Packet::PubRec(taken)] = &packets[..] else { panic!("{packets:?}") };
    assert_eq!((refused.packet_id, refused.reason_code), (id(2), ReasonCode::QuotaExceeded));
    assert_eq!((taken.packet_id, taken.reason_code), (id(4), ReasonCode::Success));
    client.handle_packet(&from_server(QoS::ExactlyOnce, 2, false), T0);
    assert_eq!(receipts(&mut client).len(), 1, "after an error the id is a new message [MQTT-4.3.3-9]");
}

#[test]
fn what_the_application_still_has_is_not_delivered_again_and_its_receipt_stays_good() {
    for qos in [QoS::AtLeastOnce, QoS::ExactlyOnce] {
        let mut client = connected(by_hand(), Properties::EMPTY);
        client.handle_packet(&from_server(qos, 7, false), T0);
        client.handle_packet(&from_server(qos, 7, true), T0);
        let told = events(&mut client);
        let [Event::Message(delivery), Event::Repeated { same_connection: true, .. }] = &told[..] else {
            panic!("{told:?}")
        };
        let receipt = delivery.receipt.expect("by hand");
        assert!(written(&mut client).is_empty());
        client.connection_lost();
        events(&mut client);
        connect_with(&mut client, by_hand(), true, Properties::EMPTY);
        client.handle_packet(&from_server(qos, 7, true), T0);
        assert!(receipts(&mut client).is_empty());
        assert!(client.acknowledge(receipt, ReasonCode::Success));
        assert!(matches!(written(&mut client)[..], [Packet::PubAck(_) | Packet::PubRec(_)]), "{qos:?}");
    }
}

#[test]
fn an_acknowledgement_given_between_connections_answers_the_repetition() {
    for qos in [QoS::AtLeastOnce, QoS::ExactlyOnce] {
        let mut client = connected(by_hand(), Properties::EMPTY);
        client.handle_packet(&from_server(qos, 7, false), T0);
        let [receipt] = receipts(&mut client)[..] else { panic!("one delivery") };
        client.connection_lost();
        assert!(client.acknowledge(receipt, ReasonCode::Success));
        assert!(!client.acknowledge(receipt, ReasonCode::Success), "once");
        connect_with(&mut client, by_hand(), true, Properties::EMPTY);
        assert!(written(&mut client).is_empty(), "the server has to ask again");
        client.handle_packet(&from_server(qos, 7, true), T0);
        assert!(receipts(&mut client).is_empty());
        assert!(matches!(written(&mut client)[..], [Packet::PubAck(_) | Packet::PubRec(_)]), "{qos:?}");
    }
}

#[test]
fn what_the_application_has_let_go_is_delivered_again() {
    let mut client = connected(by_hand(), Properties::EMPTY);
    client.handle_packet(&from_server(QoS::ExactlyOnce, 7, false), T0);
    client.handle_packet(&from_server(QoS::AtLeastOnce, 8, false), T0);
    let [first, second] = receipts(&mut client)[..] else { panic!("two deliveries") };
    client.abandon(first);
    client.connection_lost();
    client.abandon(second);
    connect_with(&mut client, by_hand(), true, Properties::EMPTY);
    client.handle_packet(&from_server(QoS::ExactlyOnce, 7, true), T0);
    client.handle_packet(&from_server(QoS::AtLeastOnce, 8, true), T0);
    assert_eq!(receipts(&mut client).len(), 2);
    assert!(
        !client.acknowledge(first, ReasonCode::Success) && !client.acknowledge(second, ReasonCode::Success)
    );
}

#[test]
fn a_late_acknowledgement_never_reaches_another_session_or_another_message() {
    let mut client = connected(by_hand(), Properties::EMPTY);
    client.handle_packet(&from_server(QoS::AtLeastOnce, 7, false), T0);
    let [late] = receipts(&mut client)[..] else { panic!("one delivery") };
    client.connection_lost();
    connect_with(&mut client, by_hand(), false, Properties::EMPTY);
    client.handle_packet(&from_server(QoS::AtLeastOnce, 7, false), T0);
    assert!(!client.acknowledge(late, ReasonCode::Success), "the session is another");
    let [late] = receipts(&mut client)[..] else { panic!("another message") };
    client.connection_lost();
    connect_with(&mut client, by_hand(), true, Properties::EMPTY);
    client.handle_packet(&from_server(QoS::AtLeastOnce, 7, false), T0);
    assert_eq!(receipts(&mut client).len(), 1, "without DUP it is another message");
    assert!(!client.acknowledge(late, ReasonCode::Success));
    assert!(written(&mut client).is_empty());
}

#[test]
fn mqtt_3_3_4_9_what_waits_for_its_acknowledgement_fills_the_window() {
    let properties =
        Properties::new().with(Property::SessionExpiryInterval(3600)).with(Property::ReceiveMaximum(2));
    let mut client = connected(ConnectOptions { properties, ..by_hand() }, Properties::EMPTY);
    client.handle_packet(&from_server(QoS::AtLeastOnce, 1, false), T0);
    client.handle_packet(&from_server(QoS::AtLeastOnce, 2, false), T0);
    let [first, _] = receipts(&mut client)[..] else { panic!("two deliveries") };
    client.acknowledge(first, ReasonCode::Success);
    written(&mut client);
    client.handle_packet(&from_server(QoS::AtLeastOnce, 3, false), T0);
    assert_eq!(receipts(&mut client).len(), 1, "an acknowledgement makes room");
    client.handle_packet(&from_server(QoS::AtLeastOnce, 4, false), T0);
    assert_eq!(violation(&mut client), Some(Violation::ReceiveMaximumExceeded { receive_maximum: 2 }));
}

#[test]
fn a_server_above_the_receive_maximum_is_borne_with_where_that_is_wanted() {
    let properties =
        Properties::new().with(Property::SessionExpiryInterval(3600)).with(Property::ReceiveMaximum(2));
    let options = ConnectOptions { properties, receive_excess: 1, ..by_hand() };
    let mut client = connected(options, Properties::EMPTY);
    for packet_id in 1..=3 {
        client.handle_packet(&from_server(QoS::AtLeastOnce, packet_id, false), T0);
    }
    assert_eq!(receipts(&mut client).len(), 3);
    client.handle_packet(&from_server(QoS::AtLeastOnce, 4, false), T0);
    assert_eq!(violation(&mut client), Some(Violation::ReceiveMaximumExceeded { receive_maximum: 2 }));
}

#[test]
fn the_servers_answer_comes_with_its_properties() {
    let mut client = connected(durable(ProtocolVersion::V5), Properties::EMPTY);
    let token = client.publish(&message("t", QoS::AtLeastOnce), T0).expect("taken");
    written(&mut client);
    let properties = Properties::new().with(Property::ReasonString("nobody listens")).into_owned();
    let reason_code = ReasonCode::NoMatchingSubscribers;
    client.handle_packet(&Packet::PubAck(Ack { properties: properties.clone(), ..ack(1, reason_code) }), T0);
    let outcome = PublishOutcome::Acknowledged(reason_code);
    assert_eq!(
        events(&mut client),
        [Event::Published { token, packet_id: Some(id(1)), outcome, properties }]
    );
}
