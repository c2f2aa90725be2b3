//! Listeners that offer different things: mount points, versions, client ids, bounds.

use noctule_auth::admission::{Admission, Verdict};
use noctule_auth::{Action, Authority, Credentials, Decision, Identity, Origin};
use noctule_codec::ProtocolVersion::{V3_1, V3_1_1, V5};
use noctule_codec::{Packet, ProtocolVersion, QoS, ReasonCode, SubscriptionOptions};
use noctule_session::{ClientIds, DropReason, Limits, Terms, Versions};
use noctule_testkit::sim::{
    ConnectOptions, Sim, SimOptions, VERSIONS, in_many_worlds, publish, subscribe_with, texts, unsubscribe,
    will,
};
use std::sync::Arc;

use QoS::{AtLeastOnce, AtMostOnce};

fn mounted(mount_point: &str) -> Arc<Terms> {
    Arc::new(Terms { mount_point: mount_point.into(), ..Terms::default() })
}

fn with_client_ids(client_ids: ClientIds) -> Arc<Terms> {
    Arc::new(Terms { client_ids, ..Terms::default() })
}

/// A client that comes through a listener with these terms.
#[track_caller]
fn connect_on(sim: &mut Sim, terms: &Arc<Terms>, options: &ConnectOptions<'_>) -> usize {
    let wire = sim.open_on(terms);
    sim.send(wire, &Packet::Connect(options.packet()));
    match sim.expect(wire) {
        Packet::ConnAck(connack) if !connack.reason_code.is_error() => wire,
        packet => panic!("CONNECT was answered by {packet:?}"),
    }
}

fn client(version: ProtocolVersion, client_id: &str) -> ConnectOptions<'_> {
    ConnectOptions { version, client_id, ..ConnectOptions::default() }
}

/// What a CONNECT is answered.
fn answer(sim: &mut Sim, terms: &Arc<Terms>, options: &ConnectOptions<'_>) -> (ReasonCode, Option<String>) {
    let wire = sim.open_on(terms);
    sim.send(wire, &Packet::Connect(options.packet()));
    let Packet::ConnAck(connack) = sim.expect(wire) else { panic!("no CONNACK") };
    let assigned = connack.properties.assigned_client_identifier().map(str::to_owned);
    assert_eq!(sim.is_closed(wire), connack.reason_code.is_error());
    (connack.reason_code, assigned)
}

#[test]
fn a_mount_point_is_a_world_of_its_own() {
    in_many_worlds(3, |options| {
        let mut sim = Sim::with(options);
        let hall = mounted("hall/");
        let [inside, other] = ["inside", "other"].map(|id| connect_on(&mut sim, &hall, &client(V5, id)));
        let outside = sim.connect(V5, "outside");
        sim.subscribe(inside, "#", AtMostOnce);
        sim.subscribe(outside, "#", AtMostOnce);

        sim.publish(other, "door", "open", AtMostOnce);
        sim.publish(outside, "door", "not seen", AtMostOnce);
        sim.publish(outside, "hall/lamp", "on", AtMostOnce);
        assert_eq!(texts(&sim.deliveries(inside)), [("door", "open"), ("lamp", "on")]);
        let seen = texts(&sim.deliveries(outside));
        assert_eq!(seen, [("hall/door", "open"), ("door", "not seen"), ("hall/lamp", "on")]);
    });
}

#[test]
fn retained_messages_shared_subscriptions_and_wills_have_the_prefix_too() {
    for version in VERSIONS {
        let mut sim = Sim::new();
        let hall = mounted("hall/");
        let outside = sim.connect(V5, "outside");
        sim.subscribe(outside, "hall/#", AtMostOnce);
        let dying = client(version, "dying").with_will(will("will", "gone"));
        let dying = connect_on(&mut sim, &hall, &dying);
        let inside = connect_on(&mut sim, &hall, &client(version, "inside"));
        sim.retain(inside, "kept", "value", AtLeastOnce);
        sim.subscribe(inside, "kept", AtLeastOnce);
        assert_eq!(texts(&sim.deliveries(inside)), [("kept", "value")], "{version:?}");
        sim.subscribe(inside, "will", AtMostOnce);
        sim.cut(dying);
        assert_eq!(texts(&sim.deliveries(inside)), [("will", "gone")], "{version:?}");
        assert_eq!(texts(&sim.deliveries(outside)), [("hall/kept", "value"), ("hall/will", "gone")]);

        sim.subscribe(inside, "$share/group/jobs", AtMostOnce);
        sim.publish(outside, "hall/jobs", "one", AtMostOnce);
        sim.publish(outside, "jobs", "elsewhere", AtMostOnce);
        assert_eq!(texts(&sim.deliveries(inside)), [("jobs", "one")], "{version:?}");
    }
}

#[test]
fn what_was_subscribed_below_a_mount_point_can_be_unsubscribed() {
    let mut sim = Sim::new();
    let hall = mounted("hall/");
    let inside = connect_on(&mut sim, &hall, &client(V5, "inside"));
    for filter in ["door", "$share/group/door"] {
        sim.subscribe(inside, filter, AtMostOnce);
        sim.send(inside, &unsubscribe(9, &[filter]));
        let Packet::UnsubAck(answer) = sim.expect(inside) else { panic!("no UNSUBACK") };
        assert_eq!(*answer.reason_codes, [ReasonCode::Success], "{filter}");
    }
    sim.publish(inside, "door", "open", AtMostOnce);
    assert_eq!(sim.deliveries(inside), []);
}

/// Aliases are the client's business: they stand for what it sees.
#[test]
fn topic_aliases_work_below_a_mount_point() {
    use noctule_codec::Property;
    let mut sim = Sim::new();
    let hall = mounted("hall/");
    let inside = connect_on(&mut sim, &hall, &client(V5, "inside").with(Property::TopicAliasMaximum(4)));
    sim.subscribe(inside, "#", AtMostOnce);
    for topic in ["door", ""] {
        let mut packet = publish(topic, b"open", AtMostOnce, 0);
        packet.properties.push(Property::TopicAlias(1));
        sim.send(inside, &Packet::Publish(packet));
    }
    let deliveries = sim.deliveries(inside);
    let topics: Vec<_> = deliveries.iter().map(|it| (it.topic, it.properties.topic_alias())).collect();
    assert_eq!(topics, [("door", Some(1)), ("", Some(1))]);
}

/// A prefix that ends within a level cannot stand before a wildcard.
#[test]
fn a_wildcard_behind_a_prefix_without_slash_is_no_filter() {
    let mut sim = Sim::new();
    let hall = mounted("hall");
    let inside = connect_on(&mut sim, &hall, &client(V5, "inside"));
    sim.subscribe(inside, "/a", AtMostOnce);
    sim.send(inside, &noctule_testkit::sim::subscribe(3, &[("#", AtMostOnce)]));
    sim.expect_end(inside, ReasonCode::TopicFilterInvalid);
}

/// A session keeps its subscriptions as they were made. Through another listener its client is given only what it has
/// a name for there.
#[test]
fn a_session_that_comes_through_another_listener_gets_what_is_below_its_mount_point() {
    for qos in [AtMostOnce, AtLeastOnce] {
        let mut sim = Sim::new();
        let [hall, yard] = ["hall/", "yard/"].map(mounted);
        let durable = ConnectOptions::durable(V5, "roamer", 100);
        let wire = connect_on(&mut sim, &hall, &durable);
        sim.subscribe(wire, "door", AtLeastOnce);
        sim.cut(wire);

        let wire = connect_on(&mut sim, &yard, &durable);
        sim.subscribe(wire, "gate", AtLeastOnce);
        let outside = sim.connect(V5, "outside");
        sim.publish(outside, "hall/door", "one", qos);
        sim.publish(outside, "yard/gate", "two", qos);
        assert_eq!(texts(&sim.deliveries(wire)), [("gate", "two")], "{qos:?}");
        let drops: Vec<_> = sim.drops.iter().map(|drop| (&*drop.topic, drop.reason)).collect();
        assert_eq!(drops, [("hall/door", DropReason::NotAuthorized)]);
        sim.cut(wire);

        let wire = connect_on(&mut sim, &hall, &durable);
        sim.publish(outside, "hall/door", "three", qos);
        assert_eq!(texts(&sim.deliveries(wire)), [("door", "three")], "{qos:?}");
    }
}

#[test]
fn a_listener_accepts_its_versions_and_tells_the_others() {
    let terms =
        |v3_1, v3_1_1, v5| Arc::new(Terms { versions: Versions { v3_1, v3_1_1, v5 }, ..Terms::default() });
    for (terms, accepted) in [
        (terms(true, true, true), VERSIONS.to_vec()),
        (terms(false, true, true), vec![V3_1_1, V5]),
        (terms(true, false, false), vec![V3_1]),
        (terms(false, false, true), vec![V5]),
    ] {
        for version in VERSIONS {
            let mut sim = Sim::new();
            let (code, _) = answer(&mut sim, &terms, &client(version, "a"));
            let expected = match accepted.contains(&version) {
                true => ReasonCode::Success,
                false => ReasonCode::UnsupportedProtocolVersion,
            };
            assert_eq!(code, expected, "{version:?}");
        }
    }
}

#[test]
fn client_ids_begin_as_the_listener_says_and_so_do_assigned_ones() {
    let terms = with_client_ids(ClientIds { prefix: "hall-".into(), ..ClientIds::default() });
    for version in VERSIONS {
        let mut sim = Sim::new();
        assert_eq!(answer(&mut sim, &terms, &client(version, "hall-1")).0, ReasonCode::Success);
        let refused = ReasonCode::ClientIdentifierNotValid;
        assert_eq!(answer(&mut sim, &terms, &client(version, "yard-1")).0, refused);
    }
    let mut sim = Sim::new();
    let (code, assigned) = answer(&mut sim, &terms, &client(V5, ""));
    let assigned = assigned.expect("an assigned client id");
    assert!(code == ReasonCode::Success && assigned.starts_with("hall-noctule-"), "{assigned}");
    assert_eq!(answer(&mut sim, &terms, &client(V5, &assigned)).0, ReasonCode::Success, "it comes back");
}

#[test]
fn a_listener_gives_away_client_ids_of_its_own_or_none() {
    let auto = ClientIds { assigned_prefix: "auto-".into(), ..ClientIds::default() };
    let (code, assigned) = answer(&mut Sim::new(), &with_client_ids(auto), &client(V5, ""));
    assert_eq!(code, ReasonCode::Success);
    assert!(assigned.is_some_and(|id| id.starts_with("auto-")));

    let none = with_client_ids(ClientIds { may_be_empty: false, ..ClientIds::default() });
    for version in [V3_1_1, V5] {
        let (code, _) = answer(&mut Sim::new(), &none, &client(version, ""));
        assert_eq!(code, ReasonCode::ClientIdentifierNotValid, "{version:?}");
        assert_eq!(answer(&mut Sim::new(), &none, &client(version, "a")).0, ReasonCode::Success);
    }
}

#[test]
fn a_user_name_can_take_the_place_of_the_client_id() {
    let terms = with_client_ids(ClientIds { are_user_names: true, ..ClientIds::default() });
    for version in VERSIONS {
        let mut sim = Sim::new();
        let named = |client_id| ConnectOptions { user_name: Some("anna"), ..client(version, client_id) };
        let first = connect_on(&mut sim, &terms, &named("one"));
        let ids: Vec<_> = sim.sessions().map(|session| session.client_id.to_string()).collect();
        assert_eq!(ids, ["anna"], "{version:?}");
        connect_on(&mut sim, &terms, &named("two"));
        sim.expect_end(first, ReasonCode::SessionTakenOver);
        assert_eq!(answer(&mut sim, &terms, &client(version, "one")).0, ReasonCode::NotAuthorized);
    }
}

/// Says who everybody is, as a certificate does.
struct Certain;

impl Authority for Certain {
    fn connect(&self, _: &Credentials<'_>) -> Decision {
        Decision::allow("the certificate is valid", "test")
    }

    fn admit(&self, credentials: &Credentials<'_>) -> Verdict {
        let mut identity = credentials.identity();
        identity.user_name = self.certain_name(credentials.origin).map(Into::into);
        let (decision, identity) = (self.connect(credentials), Some(identity));
        Verdict::Decided(Admission { decision, identity, upgrade: None })
    }

    fn certain_name(&self, _: &Origin) -> Option<String> {
        Some("machine".to_owned())
    }

    fn permit(&self, _: &Identity, _: &Action<'_>) -> Decision {
        Decision::allow("everything", "test")
    }
}

#[test]
fn the_name_of_a_certificate_can_take_the_place_of_the_client_id_whatever_connect_says() {
    let terms = with_client_ids(ClientIds { are_user_names: true, ..ClientIds::default() });
    let mut sim = Sim::with(SimOptions { authority: Arc::new(Certain), ..SimOptions::default() });
    let first = connect_on(&mut sim, &terms, &client(V5, "one"));
    let ids: Vec<_> = sim.sessions().map(|session| session.client_id.to_string()).collect();
    assert_eq!(ids, ["machine"]);
    let other_name = ConnectOptions { user_name: Some("anna"), ..client(V5, "two") };
    connect_on(&mut sim, &terms, &other_name);
    sim.expect_end(first, ReasonCode::SessionTakenOver);
}

/// Lets everybody in and nobody do anything.
struct Closed;

impl Authority for Closed {
    fn connect(&self, _: &Credentials<'_>) -> Decision {
        Decision::allow("come in", "test")
    }

    fn permit(&self, _: &Identity, _: &Action<'_>) -> Decision {
        Decision::deny("nothing is allowed", "test")
    }
}

#[test]
fn a_client_is_told_of_topics_as_it_names_them_without_the_mount_point() {
    let mut sim = Sim::with(SimOptions { authority: Arc::new(Closed), ..SimOptions::default() });
    let terms = mounted("cellar/");
    let mut told = Vec::new();
    let with_will = client(V5, "a").with_will(will("gone", ""));
    let wire = sim.open_on(&terms);
    sim.send(wire, &Packet::Connect(with_will.packet()));
    let Packet::ConnAck(connack) = sim.expect(wire) else { panic!("no CONNACK") };
    told.extend(connack.properties.reason_string().map(str::to_owned));

    let wire = connect_on(&mut sim, &terms, &client(V5, "a"));
    sim.send(wire, &Packet::Publish(publish("secret", b"", AtLeastOnce, 1)));
    let Packet::PubAck(puback) = sim.expect(wire) else { panic!("no PUBACK") };
    told.extend(puback.properties.reason_string().map(str::to_owned));
    sim.send(wire, &subscribe_with(1, "secret/#", SubscriptionOptions::default(), None));
    let Packet::SubAck(suback) = sim.expect(wire) else { panic!("no SUBACK") };
    told.extend(suback.properties.reason_string().map(str::to_owned));
    sim.send(wire, &subscribe_with(2, "secret#", SubscriptionOptions::default(), None));
    let Packet::Disconnect(disconnect) = sim.expect(wire) else { panic!("no DISCONNECT") };
    told.extend(disconnect.properties.reason_string().map(str::to_owned));

    assert_eq!(told.len(), 4, "{told:?}");
    assert!(told.iter().all(|text| !text.contains("cellar")), "{told:?}");
}

#[test]
fn each_listener_announces_and_holds_its_own_bounds() {
    let limits = Limits {
        maximum_qos: AtMostOnce,
        retain_available: false,
        topic_alias_maximum: 0,
        packet_bytes_max: 200,
        keep_alive_seconds_max: 9,
        ..Limits::default()
    };
    let terms = Arc::new(Terms { limits, ..Terms::default() });
    let mut sim = Sim::new();
    let wire = sim.open_on(&terms);
    sim.send(wire, &Packet::Connect(client(V5, "a").packet()));
    let Packet::ConnAck(connack) = sim.expect(wire) else { panic!("no CONNACK") };
    let properties = &connack.properties;
    assert_eq!(properties.maximum_qos(), Some(AtMostOnce));
    assert_eq!(properties.retain_available(), Some(false));
    assert_eq!(properties.topic_alias_maximum(), None);
    assert_eq!(properties.maximum_packet_size(), Some(200));
    assert_eq!(properties.server_keep_alive(), Some(9));
    let granted =
        sim.subscribe_with(wire, "t", SubscriptionOptions { qos: AtLeastOnce, ..Default::default() }, None);
    assert_eq!(granted, ReasonCode::GRANTED_QOS_0);
    sim.send(wire, &Packet::Publish(publish("t", &[0; 300], AtMostOnce, 0)));
    sim.expect_end(wire, ReasonCode::PacketTooLarge);

    let wire = connect_on(&mut sim, &terms, &client(V5, "b"));
    sim.send(wire, &Packet::Publish(publish("t", b"", AtLeastOnce, 1)));
    sim.expect_end(wire, ReasonCode::QoSNotSupported);
    let wire = sim.connect(V5, "c");
    let accepted = sim.publish(wire, "t", "p", AtLeastOnce);
    assert_eq!(accepted, ReasonCode::NoMatchingSubscribers, "others are offered more");
}
