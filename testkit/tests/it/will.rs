//! Wills: published when a connection ends without a normal DISCONNECT, and only then.

use noctule_codec::ProtocolVersion::{V3_1_1, V5};
use noctule_codec::{
    Packet, PacketId, Properties, Property, ProtocolVersion, Publish, QoS, ReasonCode, Subscribe,
    SubscribeFilters, SubscriptionOptions, Will,
};
use noctule_testkit::sim::{
    ConnectOptions, Sim, SimOptions, VERSIONS, connect, disconnect, disconnect_with_expiry, publish, will,
    will_after,
};

const NORMAL: ReasonCode = ReasonCode::NORMAL_DISCONNECTION;

fn mortal(version: ProtocolVersion) -> ConnectOptions<'static> {
    let options = ConnectOptions { version, client_id: "mortal", ..ConnectOptions::default() };
    ConnectOptions { keep_alive_seconds: 10, ..options }.with_will(will("will", "gone"))
}

/// A 5.0 client with a session expiry and a will with a delay, both in seconds.
fn delayed(expiry: u32, delay: u32) -> ConnectOptions<'static> {
    ConnectOptions::durable(V5, "mortal", expiry).with_will(will_after("will", "gone", delay))
}

/// A way in which a connection can end.
type End = (&'static str, fn(&mut Sim, usize));

/// The ways that are no normal DISCONNECT, in every version.
const ABNORMAL: [End; 9] = [
    ("the socket is lost", |sim, wire| sim.cut(wire)),
    ("keep alive runs out", |sim, _| sim.advance(15_100)),
    ("a second CONNECT", |sim, wire| sim.send(wire, &connect(V5, "mortal"))),
    ("a takeover", |sim, _| _ = sim.connect(V5, "mortal")),
    ("a malformed packet", |sim, wire| sim.send_bytes(wire, &[0x36, 0])),
    ("a packet that is too large", |sim, wire| sim.send_bytes(wire, &[0x30, 0xff, 0xff, 0xff, 0x7f])),
    ("a CONNACK", |sim, wire| sim.send_bytes(wire, &[0x20, 2, 0, 0])),
    ("a DISCONNECT with reserved bits", |sim, wire| sim.send_bytes(wire, &[0xe1, 0])),
    ("the broker stops", |sim, _| sim.shut_down()),
];

#[test]
fn mqtt5_3_1_2_8_and_mqtt311_3_1_2_8_every_end_but_a_normal_disconnect_publishes_the_will() {
    for shards in [1, 3] {
        for version in VERSIONS {
            for (name, end) in ABNORMAL {
                let mut sim = Sim::with(SimOptions { shards, ..SimOptions::default() });
                let watcher = sim.watch("will");
                let wire = sim.connect_with(&mortal(version));
                end(&mut sim, wire);
                assert!(sim.is_closed(wire), "{name}");
                assert_eq!(sim.payloads(watcher), ["gone"], "{version:?} on {shards}: {name}");
            }
        }
    }
}

#[test]
fn mqtt5_3_14_4_3_and_mqtt311_3_14_4_3_a_normal_disconnect_discards_the_will() {
    for version in VERSIONS {
        let mut sim = Sim::new();
        let watcher = sim.watch("will");
        let wire = sim.connect_with(&mortal(version));
        sim.send(wire, &disconnect(NORMAL));
        assert!(sim.is_closed(wire));
        sim.cut(wire);
        sim.advance(100_000);
        assert_eq!(sim.payloads(watcher), [""; 0], "{version:?}");
    }
}

#[test]
fn every_other_disconnect_code_publishes_the_will() {
    for code in [0x04, 0x80, 0x81, 0x82, 0x83, 0x90, 0x93, 0x94, 0x95, 0x96, 0x97, 0x98, 0x99] {
        let mut sim = Sim::new();
        let watcher = sim.watch("will");
        let wire = sim.connect_with(&mortal(V5));
        sim.send(wire, &disconnect(ReasonCode::from_u8(code).expect("a known code")));
        assert_eq!(sim.receive(wire), None, "DISCONNECT {code:#04x} is not answered");
        assert!(sim.is_closed(wire));
        assert_eq!(sim.payloads(watcher), ["gone"], "{code:#04x}");
    }
}

#[test]
fn a_disconnect_that_breaks_a_rule_is_no_normal_one() {
    let mut sim = Sim::new();
    let watcher = sim.watch("will");
    let wire = sim.connect_with(&mortal(V5));
    sim.send(wire, &disconnect_with_expiry(NORMAL, 10));
    sim.expect_end(wire, ReasonCode::ProtocolError);
    assert_eq!(sim.payloads(watcher), ["gone"]);
}

#[test]
fn mqtt5_3_1_2_8_a_delayed_will_waits_for_its_delay_or_the_end_of_the_session() {
    // (session expiry, will delay, seconds until the will)
    for (expiry, delay, due) in [
        (0, 0, 0),
        (0, 10, 0),
        (10, 0, 0),
        (10, 5, 5),
        (10, 10, 10),
        (5, 10, 5),
        (u32::MAX, 70, 70),
        (1, u32::MAX, 1),
    ] {
        let mut sim = Sim::new();
        let watcher = sim.watch("will");
        let wire = sim.connect_with(&delayed(expiry, delay));
        sim.advance(20_000);
        sim.cut(wire);
        if due > 0 {
            sim.advance(due * 1000 - 1);
            assert_eq!(sim.payloads(watcher), [""; 0], "early: expiry {expiry} delay {delay}");
            sim.advance(101);
        }
        assert_eq!(sim.payloads(watcher), ["gone"], "expiry {expiry} delay {delay}");
        sim.advance(200_000);
        assert_eq!(sim.payloads(watcher), [""; 0], "twice: expiry {expiry} delay {delay}");
    }
}

#[test]
fn bug_1_mosquitto_1401_a_will_whose_delay_exceeds_the_session_expiry_is_published() {
    let mut sim = Sim::new();
    let watcher = sim.watch("will");
    let wire = sim.connect_with(&delayed(2, 3600));
    sim.cut(wire);
    sim.advance(2_100);
    assert_eq!(sim.payloads(watcher), ["gone"]);
    assert_eq!(sim.stats().sessions, 1, "only the watcher's is left");
}

#[test]
fn bug_4_vernemq_1298_the_will_delay_is_kept() {
    let mut sim = Sim::new();
    let watcher = sim.watch("will");
    let wire = sim.connect_with(&delayed(3600, 5));
    sim.cut(wire);
    sim.advance(4_999);
    assert_eq!(sim.payloads(watcher), [""; 0]);
    sim.advance(101);
    assert_eq!(sim.payloads(watcher), ["gone"]);
}

#[test]
fn mqtt5_3_1_3_9_coming_back_within_the_delay_suppresses_the_will() {
    let mut sim = Sim::new();
    let watcher = sim.watch("will");
    let wire = sim.connect_with(&delayed(100, 5));
    sim.cut(wire);
    sim.advance(4_900);
    let wire = sim.connect_with(&ConnectOptions::durable(V5, "mortal", 100));
    sim.advance(50_000);
    // The new connection has no will, so its end has none either.
    sim.cut(wire);
    sim.advance(50_000);
    assert_eq!(sim.payloads(watcher), [""; 0]);
}

#[test]
fn coming_back_after_the_delay_is_too_late_and_brings_a_will_of_its_own() {
    let mut sim = Sim::new();
    let watcher = sim.watch("will");
    let wire = sim.connect_with(&delayed(100, 5));
    sim.cut(wire);
    sim.advance(5_100);
    let second = ConnectOptions { will: Some(will("will", "again")), ..delayed(100, 0) };
    let wire = sim.connect_with(&second);
    sim.cut(wire);
    assert_eq!(sim.payloads(watcher), ["gone", "again"]);
}

#[test]
fn a_clean_start_within_the_delay_ends_the_session_and_publishes_the_will() {
    let mut sim = Sim::new();
    let watcher = sim.watch("will");
    let wire = sim.connect_with(&delayed(100, 50));
    sim.cut(wire);
    sim.connect(V5, "mortal");
    assert_eq!(sim.payloads(watcher), ["gone"]);
    sim.advance(100_000);
    assert_eq!(sim.payloads(watcher), [""; 0]);
}

#[test]
fn a_disconnect_with_will_counts_the_delay_against_the_expiry_it_sets() {
    // (expiry in DISCONNECT, seconds until the will whose delay is 10)
    for (expiry, due) in [(0, 0), (5, 5), (20, 10)] {
        let mut sim = Sim::new();
        let watcher = sim.watch("will");
        let wire = sim.connect_with(&delayed(100, 10));
        sim.send(wire, &disconnect_with_expiry(ReasonCode::DisconnectWithWill, expiry));
        if due > 0 {
            sim.advance(due * 1000 - 1);
            assert_eq!(sim.payloads(watcher), [""; 0], "early: {expiry}");
            sim.advance(101);
        }
        assert_eq!(sim.payloads(watcher), ["gone"], "{expiry}");
    }
}

#[test]
fn mqtt5_3_1_2_10_and_mqtt311_3_1_2_10_a_published_will_is_gone() {
    for version in VERSIONS {
        let mut sim = Sim::new();
        let watcher = sim.watch("will");
        let durable = ConnectOptions::durable(version, "mortal", 100);
        let wire = sim.connect_with(&durable.clone().with_will(will("will", "gone")));
        sim.cut(wire);
        let wire = sim.connect_with(&durable);
        sim.cut(wire);
        sim.advance(200_000);
        assert_eq!(sim.payloads(watcher), ["gone"], "{version:?}");
    }
}

#[test]
fn mqtt5_3_1_2_7_the_will_is_that_of_the_connection_that_ends() {
    let mut sim = Sim::new();
    let watcher = sim.watch("will");
    for payload in ["first", "second"] {
        let options = ConnectOptions::durable(V5, "mortal", 100).with_will(will("will", payload));
        let wire = sim.connect_with(&options);
        sim.cut(wire);
        assert_eq!(sim.payloads(watcher), [payload]);
    }
}

#[test]
fn mqtt311_3_1_2_12_without_a_will_none_is_published() {
    for version in VERSIONS {
        let mut sim = Sim::new();
        let watcher = sim.watch("#");
        let wire = sim.connect(version, "immortal");
        sim.cut(wire);
        assert_eq!(sim.payloads(watcher), [""; 0]);
    }
}

#[test]
fn mqtt5_3_1_2_14_15_and_mqtt311_3_1_2_16_17_a_will_is_retained_if_it_says_so() {
    for version in VERSIONS {
        for retain in [false, true] {
            let mut sim = Sim::new();
            let wire = sim.connect_with(&mortal(version).with_will(Will { retain, ..will("will", "gone") }));
            sim.cut(wire);
            let watcher = sim.watch("will");
            let found = sim.drain(watcher).into_iter().any(|packet| match packet {
                Packet::Publish(publish) => publish.payload == b"gone" && publish.retain,
                _ => false,
            });
            assert_eq!(found, retain, "{version:?}");
        }
    }
}

#[test]
fn a_retained_will_without_payload_clears_the_retained_message() {
    let mut sim = Sim::new();
    let publisher = sim.connect(V5, "publisher");
    let retained = Publish { retain: true, ..publish("will", b"alive", QoS::AtMostOnce, 0) };
    sim.send(publisher, &Packet::Publish(retained));
    let wire = sim.connect_with(&mortal(V5).with_will(Will { retain: true, ..will("will", "") }));
    assert_eq!(sim.directory().retained.read(noctule_topic::retained::RetainedTree::len), 1);
    sim.cut(wire);
    assert_eq!(sim.directory().retained.read(noctule_topic::retained::RetainedTree::len), 0);
}

#[test]
fn a_will_is_delivered_at_its_qos() {
    for version in VERSIONS {
        for qos in [QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce] {
            let mut sim = Sim::new();
            let watcher = sim.watch("will");
            let wire = sim.connect_with(&mortal(version).with_will(Will { qos, ..will("will", "gone") }));
            sim.cut(wire);
            let Packet::Publish(publish) = sim.expect(watcher) else { panic!("no PUBLISH") };
            assert_eq!((publish.qos, publish.dup, publish.retain), (qos, false, false));
        }
    }
}

#[test]
fn mqtt5_3_1_3_10_the_properties_of_the_will_are_handed_on_in_their_order() {
    let properties = Properties::new()
        .with(Property::UserProperty("b", "1"))
        .with(Property::PayloadFormatIndicator(true))
        .with(Property::UserProperty("a", "2"))
        .with(Property::WillDelayInterval(20))
        .with(Property::ContentType("text"))
        .with(Property::UserProperty("b", "1"))
        .with(Property::ResponseTopic("reply"))
        .with(Property::CorrelationData(b"42"))
        .with(Property::MessageExpiryInterval(30));
    let mut sim = Sim::new();
    let watcher = sim.watch("will");
    let options =
        ConnectOptions::durable(V5, "mortal", 100).with_will(Will { properties, ..will("will", "gone") });
    let wire = sim.connect_with(&options);
    sim.advance(100_000);
    sim.cut(wire);
    sim.advance(20_100);
    let Packet::Publish(publish) = sim.expect(watcher) else { panic!("no PUBLISH") };
    let properties = publish.properties;
    assert_eq!(properties.user_properties().collect::<Vec<_>>(), [("b", "1"), ("a", "2"), ("b", "1")]);
    assert_eq!(properties.payload_format_indicator(), Some(true));
    assert_eq!(properties.content_type(), Some("text"));
    assert_eq!(properties.response_topic(), Some("reply"));
    assert_eq!(properties.correlation_data(), Some(b"42".as_slice()));
    // Its time runs from its publication, not from CONNECT.
    assert_eq!(properties.message_expiry_interval(), Some(30));
    assert_eq!(properties.will_delay_interval(), None);
}

#[test]
fn a_will_follows_everything_its_client_has_published() {
    for shards in [1, 3] {
        for version in VERSIONS {
            for seed in 1..20 {
                let options = SimOptions { seed, shards, shuffled: true, ..SimOptions::default() };
                let mut sim = Sim::with(options);
                let watcher = sim.watch("will");
                let wire = sim.connect_with(&mortal(version));
                for payload in [b"1", b"2", b"3"] {
                    sim.queue(wire, &Packet::Publish(publish("will", payload, QoS::AtLeastOnce, 1)));
                }
                sim.queue_bytes(wire, &[0x36, 0]);
                sim.run();
                assert_eq!(sim.payloads(watcher), ["1", "2", "3", "gone"], "seed {seed}");
            }
        }
    }
}

#[test]
fn mqtt5_3_8_3_3_no_local_keeps_a_will_from_its_own_client() {
    let mut sim = Sim::new();
    let durable = ConnectOptions::durable(V5, "mortal", 100);
    let last_word = Will { qos: QoS::AtLeastOnce, ..will("will", "gone") };
    let wire = sim.connect_with(&durable.clone().with_will(last_word));
    let (qos, no_local) = (QoS::AtLeastOnce, true);
    let mut filters = SubscribeFilters::new();
    filters.push("will", SubscriptionOptions { qos, no_local, ..SubscriptionOptions::default() });
    let packet_id = PacketId::new(1).expect("not zero");
    sim.send(wire, &Packet::Subscribe(Subscribe { packet_id, properties: Properties::EMPTY, filters }));
    let watcher = sim.watch("will");
    let wire = sim.connect_with(&durable);
    assert_eq!(sim.payloads(wire), [""; 0]);
    assert_eq!(sim.payloads(watcher), ["gone"]);
}

#[test]
fn a_client_that_takes_over_may_receive_the_will_it_left() {
    let mut sim = Sim::new();
    let durable = ConnectOptions::durable(V3_1_1, "mortal", 0);
    let wire = sim.connect_with(&durable.clone().with_will(will("will", "gone")));
    sim.subscribe(wire, "will", QoS::AtLeastOnce);
    let last_word = Will { qos: QoS::AtLeastOnce, ..will("will", "gone") };
    sim.connect_with(&durable.clone().with_will(last_word));
    let wire = sim.connect_with(&durable);
    assert_eq!(sim.payloads(wire), ["gone"], "the second will, at QoS 1, waited for its client");
}
