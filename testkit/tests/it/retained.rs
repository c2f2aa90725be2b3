//! Retained messages.

use noctule_codec::{Packet, ProtocolVersion, Publish, QoS, ReasonCode, RetainHandling, SubscriptionOptions};
use noctule_session::{DropReason, Limits};
use noctule_testkit::sim::{
    ConnectOptions, EVERY_QOS, Random, Sim, SimOptions, VERSIONS, in_many_worlds, payloads, publish,
    subscribe, subscribe_with, texts, unsubscribe,
};
use std::collections::BTreeMap;

use ProtocolVersion::{V3_1, V3_1_1, V5};
use QoS::{AtLeastOnce, AtMostOnce, ExactlyOnce};

fn retained(topic: &'static str, payload: &'static str) -> Publish<'static> {
    Publish { retain: true, ..publish(topic, payload.as_bytes(), AtMostOnce, 0) }
}

/// What a fresh client gets when it subscribes.
fn retained_for(sim: &mut Sim, version: ProtocolVersion, filter: &str, qos: QoS) -> Vec<Publish<'static>> {
    let client = sim.connect(version, "fresh");
    sim.subscribe(client, filter, qos);
    let deliveries = sim.deliveries(client);
    sim.cut(client);
    deliveries
}

#[test]
fn mqtt5_3_3_1_5_9_and_mqtt311_3_3_1_5_6_8_a_new_subscription_gets_the_last_retained_message() {
    for version in VERSIONS {
        for published in EVERY_QOS {
            for granted in EVERY_QOS {
                let mut sim = Sim::new();
                let publisher = sim.connect(version, "publisher");
                sim.retain(publisher, "a/b", "old", published);
                sim.retain(publisher, "a/b", "new", published);
                sim.retain(publisher, "a/c", "other", published);
                sim.cut(publisher);
                let deliveries = retained_for(&mut sim, version, "a/b", granted);
                assert_eq!(texts(&deliveries), [("a/b", "new")]);
                assert_eq!(deliveries[0].qos, published.min(granted));
                assert!(deliveries[0].retain && !deliveries[0].dup);
            }
        }
    }
}

#[test]
fn mqtt5_3_3_1_8_and_mqtt311_3_3_1_12_a_message_without_retain_neither_stores_nor_removes() {
    for version in VERSIONS {
        let mut sim = Sim::new();
        let publisher = sim.connect(version, "publisher");
        sim.retain(publisher, "a", "kept", AtLeastOnce);
        sim.publish(publisher, "a", "live", AtLeastOnce);
        sim.publish(publisher, "a", "", AtLeastOnce);
        sim.publish(publisher, "b", "live", AtLeastOnce);
        assert_eq!(texts(&retained_for(&mut sim, version, "#", AtMostOnce)), [("a", "kept")]);
    }
}

#[test]
fn mqtt5_3_3_1_6_7_and_mqtt311_3_3_1_10_11_an_empty_payload_clears_and_is_delivered() {
    for version in VERSIONS {
        for qos in EVERY_QOS {
            let mut sim = Sim::new();
            let publisher = sim.connect(version, "publisher");
            sim.retain(publisher, "a", "x", qos);
            let subscriber = sim.connect(version, "subscriber");
            sim.subscribe(subscriber, "a", qos);
            sim.deliveries(subscriber);
            sim.retain(publisher, "a", "", qos);
            sim.retain(publisher, "never/set", "", qos);
            let cleared = sim.deliveries(subscriber);
            assert_eq!(texts(&cleared), [("a", "")]);
            assert!(!cleared[0].retain);
            assert_eq!(retained_for(&mut sim, version, "#", qos), []);
            assert_eq!(
                (
                    sim.directory().retained.read(noctule_topic::retained::RetainedTree::len),
                    sim.directory().retained_bytes()
                ),
                (0, 0)
            );
        }
    }
}

#[test]
fn mqtt311_3_3_1_7_a_retained_qos_0_message_replaces_one_of_a_higher_qos() {
    for version in VERSIONS {
        let mut sim = Sim::new();
        let publisher = sim.connect(version, "publisher");
        sim.retain(publisher, "a", "2", ExactlyOnce);
        sim.retain(publisher, "a", "0", AtMostOnce);
        let deliveries = retained_for(&mut sim, version, "a", ExactlyOnce);
        assert_eq!((payloads(&deliveries), deliveries[0].qos), (vec!["0"], AtMostOnce));
    }
}

#[test]
fn mqtt311_3_1_2_7_retained_messages_outlive_the_session_of_their_publisher() {
    for version in VERSIONS {
        let mut sim = Sim::new();
        let publisher = sim.connect(version, "publisher");
        sim.retain(publisher, "a", "x", AtLeastOnce);
        sim.cut(publisher);
        sim.advance(3_600_000);
        assert_eq!(payloads(&retained_for(&mut sim, version, "+", AtLeastOnce)), ["x"]);
    }
}

#[test]
fn mqtt5_3_8_4_4_and_mqtt311_3_8_4_3_subscribing_again_brings_the_retained_message_again() {
    for version in VERSIONS {
        let mut sim = Sim::new();
        let publisher = sim.connect(version, "publisher");
        sim.retain(publisher, "a", "x", AtLeastOnce);
        let subscriber = sim.connect(version, "subscriber");
        for _ in 0..3 {
            sim.subscribe(subscriber, "a", AtLeastOnce);
            let deliveries = sim.deliveries(subscriber);
            assert_eq!(payloads(&deliveries), ["x"]);
            assert!(deliveries[0].retain);
        }
    }
}

/// Bug 21 of the list: flashmq 119.
#[test]
fn bug_21_mqtt5_3_3_1_9_10_11_retain_handling_decides_whether_retained_messages_are_sent() {
    let expected = [
        (RetainHandling::Send, [1, 1, 1]),
        (RetainHandling::SendIfNew, [1, 0, 1]),
        (RetainHandling::DoNotSend, [0, 0, 0]),
    ];
    for (retain_handling, counts) in expected {
        let mut sim = Sim::new();
        let publisher = sim.connect(V5, "publisher");
        sim.retain(publisher, "a", "x", AtLeastOnce);
        let subscriber = sim.connect(V5, "subscriber");
        let options = SubscriptionOptions { retain_handling, ..SubscriptionOptions::default() };
        let mut got = Vec::new();
        for round in 0..3 {
            if round == 2 {
                sim.send(subscriber, &unsubscribe(1, &["a"]));
                sim.expect(subscriber);
            }
            sim.subscribe_with(subscriber, "a", options, None);
            got.push(sim.deliveries(subscriber).len());
        }
        assert_eq!(got, counts, "{retain_handling:?}: new, repeated, new again");
    }
}

#[test]
fn mqtt5_3_3_1_10_a_subscription_of_a_resumed_session_is_not_new() {
    let mut sim = Sim::new();
    let publisher = sim.connect(V5, "publisher");
    sim.retain(publisher, "a", "x", AtLeastOnce);
    let durable = ConnectOptions::durable(V5, "subscriber", 100);
    let options =
        SubscriptionOptions { retain_handling: RetainHandling::SendIfNew, ..SubscriptionOptions::default() };
    let subscriber = sim.connect_with(&durable);
    sim.subscribe_with(subscriber, "a", options, None);
    assert_eq!(sim.deliveries(subscriber).len(), 1);
    sim.cut(subscriber);
    let subscriber = sim.connect_with(&durable);
    sim.subscribe_with(subscriber, "a", options, None);
    assert_eq!(sim.deliveries(subscriber).len(), 0);
}

/// Bug 13 of the list, nanomq 1817: each filter brings its own matches and no more.
#[test]
fn bug_13_several_filters_of_one_subscribe_bring_each_retained_message_once_per_match() {
    let mut sim = Sim::new();
    let publisher = sim.connect(V5, "publisher");
    for topic in ["a", "b", "c/d"] {
        sim.retain(publisher, topic, topic, AtMostOnce);
    }
    let subscriber = sim.connect(V5, "subscriber");
    sim.subscribe_all(
        subscriber,
        &[("a", AtMostOnce), ("b", AtMostOnce), ("c/#", AtMostOnce), ("e", AtMostOnce)],
    );
    assert_eq!(texts(&sim.deliveries(subscriber)), [("a", "a"), ("b", "b"), ("c/d", "c/d")]);
    // The same filter twice is one subscription.
    sim.subscribe_all(subscriber, &[("a", AtMostOnce), ("a", AtMostOnce)]);
    assert_eq!(texts(&sim.deliveries(subscriber)), [("a", "a")]);
}

/// Bug 20 of the list: vernemq 1287, mqtt-lib 113.
#[test]
fn bug_20_mqtt5_3_3_4_3_retained_messages_carry_the_identifier_of_their_subscription() {
    let mut sim = Sim::new();
    let publisher = sim.connect(V5, "publisher");
    sim.retain(publisher, "a", "x", AtLeastOnce);
    let subscriber = sim.connect(V5, "subscriber");
    for (filter, id) in [("a", 1), ("+", 268_435_455), ("#", 7)] {
        sim.subscribe_with(subscriber, filter, SubscriptionOptions::default(), Some(id));
        let deliveries = sim.deliveries(subscriber);
        assert_eq!(deliveries.len(), 1);
        assert_eq!(deliveries[0].properties.subscription_identifiers().collect::<Vec<_>>(), [id]);
    }
}

#[test]
fn mqtt5_3_8_3_3_no_local_leaves_out_ones_own_retained_messages() {
    let mut sim = Sim::new();
    let own = sim.connect(V5, "own");
    let other = sim.connect(V5, "other");
    sim.retain(own, "own", "x", AtMostOnce);
    sim.retain(other, "other", "x", AtMostOnce);
    let options = SubscriptionOptions { no_local: true, ..SubscriptionOptions::default() };
    sim.subscribe_with(own, "#", options, None);
    assert_eq!(texts(&sim.deliveries(own)), [("other", "x")]);
}

#[test]
fn mqtt5_4_7_2_1_leading_wildcards_bring_no_retained_dollar_topics() {
    let mut sim = Sim::new();
    sim.publish_own("$SYS/broker/version", b"1");
    let publisher = sim.connect(V5, "publisher");
    sim.retain(publisher, "$own", "x", AtMostOnce);
    sim.retain(publisher, "a", "x", AtMostOnce);
    for (filter, expected) in [
        ("#", &["a"] as &[&str]),
        ("+", &["a"]),
        ("+/#", &["a"]),
        ("+/broker/version", &[]),
        ("$SYS/#", &["$SYS/broker/version"]),
        ("$SYS/+/version", &["$SYS/broker/version"]),
        ("$own", &["$own"]),
    ] {
        let deliveries = retained_for(&mut sim, V3_1_1, filter, AtMostOnce);
        assert_eq!(deliveries.iter().map(|publish| publish.topic).collect::<Vec<_>>(), expected, "{filter}");
    }
}

#[test]
fn a_shared_subscription_brings_no_retained_messages() {
    for version in VERSIONS {
        let mut sim = Sim::new();
        let publisher = sim.connect(V5, "publisher");
        sim.retain(publisher, "a", "x", AtLeastOnce);
        assert_eq!(retained_for(&mut sim, version, "$share/g/a", AtLeastOnce), []);
    }
}

#[test]
fn suback_comes_before_the_retained_messages() {
    in_many_worlds(20, |options| {
        let mut sim = Sim::with(options);
        let publisher = sim.connect(V5, "publisher");
        sim.retain(publisher, "a", "x", AtLeastOnce);
        let subscriber = sim.connect_with(&ConnectOptions::durable(V5, "subscriber", 100));
        sim.send(subscriber, &subscribe(3, &[("a", AtLeastOnce), ("#", AtMostOnce)]));
        assert!(matches!(sim.expect(subscriber), Packet::SubAck(_)));
        assert_eq!(sim.deliveries(subscriber).len(), 2);
    });
}

#[test]
fn the_bound_on_the_count_of_retained_messages_refuses_with_0x97_and_keeps_what_is_there() {
    let mut sim = Sim::with_limits(Limits { retained_messages_max: 2, ..Limits::default() });
    let publisher = sim.connect(V5, "publisher");
    for (topic, payload, expected) in [
        ("a", "1", ReasonCode::NoMatchingSubscribers),
        ("b", "1", ReasonCode::NoMatchingSubscribers),
        ("c", "1", ReasonCode::QuotaExceeded),
        ("a", "2", ReasonCode::NoMatchingSubscribers),
        ("b", "", ReasonCode::NoMatchingSubscribers),
        ("c", "2", ReasonCode::NoMatchingSubscribers),
        ("d", "2", ReasonCode::QuotaExceeded),
        ("d", "", ReasonCode::NoMatchingSubscribers),
    ] {
        for qos in [AtLeastOnce, ExactlyOnce] {
            assert_eq!(sim.retain(publisher, topic, payload, qos), expected, "{topic} {payload:?}");
        }
    }
    assert!(sim.drops.iter().all(|drop| drop.reason == DropReason::RetainedFull));
    assert_eq!(sim.drops.len(), 4);
    let deliveries = retained_for(&mut sim, V5, "#", AtMostOnce);
    assert_eq!(texts(&deliveries), [("a", "2"), ("c", "2")]);
}

#[test]
fn a_refused_retained_message_is_not_routed() {
    for version in VERSIONS {
        let mut sim = Sim::with_limits(Limits { retained_bytes_max: 1000, ..Limits::default() });
        let subscriber = sim.connect(V5, "subscriber");
        sim.subscribe(subscriber, "#", AtMostOnce);
        let publisher = sim.connect(version, "publisher");
        sim.retain(publisher, "a", &"x".repeat(400), AtLeastOnce);
        sim.retain(publisher, "b", &"y".repeat(400), AtLeastOnce);
        sim.publish(publisher, "c", &"z".repeat(4000), AtLeastOnce);
        let topics: Vec<&str> = sim.deliveries(subscriber).iter().map(|publish| publish.topic).collect();
        assert_eq!(topics, ["a", "c"]);
        assert!(sim.directory().retained_bytes() <= 1000);
        sim.retain(publisher, "a", "small", AtLeastOnce);
        sim.retain(publisher, "b", &"y".repeat(400), AtLeastOnce);
        assert_eq!(sim.directory().retained.read(noctule_topic::retained::RetainedTree::len), 2);
    }
}

#[test]
fn replacing_and_clearing_need_no_room_however_fast_they_come() {
    let mut sim = Sim::with_limits(Limits { retained_messages_max: 1, ..Limits::default() });
    let publisher = sim.connect(V5, "publisher");
    for message in
        [retained("a", "1"), retained("a", "2"), retained("a", ""), retained("b", "3"), retained("c", "4")]
    {
        sim.queue(publisher, &Packet::Publish(message));
    }
    sim.run();
    assert_eq!(texts(&retained_for(&mut sim, V5, "#", AtMostOnce)), [("b", "3")]);
    assert_eq!(sim.drops.len(), 1);
}

/// Bug 23 of the list: mosquitto 2887 and 2196.
#[test]
fn bug_23_retained_messages_reach_a_subscriber_completely_whatever_the_queue_limits() {
    for (version, qos) in VERSIONS.into_iter().flat_map(|version| EVERY_QOS.map(|qos| (version, qos))) {
        for reads_at_most in [None, Some(200)] {
            let limits = Limits {
                queue_messages_max: 1,
                queue_bytes_max: 500,
                output_bytes_max: 1000,
                ..Limits::default()
            };
            let mut sim = Sim::with_limits(limits);
            let publisher = sim.connect(V5, "publisher");
            for count in 0..2000 {
                sim.retain(publisher, &format!("t/{count:04}"), "x", ExactlyOnce);
            }
            let subscriber = sim.connect(version, "subscriber");
            sim.wire(subscriber).reads_at_most = reads_at_most;
            sim.subscribe(subscriber, "#", qos);
            let deliveries = sim.deliveries(subscriber);
            assert_eq!(deliveries.len(), 2000, "{version:?} {qos:?} {reads_at_most:?}");
            assert!(deliveries.is_sorted_by_key(|publish| publish.topic));
            assert_eq!(sim.drops, []);
        }
    }
}

/// Bug 23 of the list, as a load test.
#[test]
fn bug_23_a_hundred_thousand_retained_topics_reach_one_subscriber() {
    let limits = Limits { queue_messages_max: 10, output_bytes_max: 10_000, ..Limits::default() };
    let mut sim = Sim::with(SimOptions { limits, shards: 3, ..SimOptions::default() });
    let publisher = sim.connect(V5, "publisher");
    for count in 0..100_000 {
        let topic = format!("site/{}/device/{}", count % 317, count);
        let message = Publish { retain: true, ..publish(&topic, b"x", AtMostOnce, 0) };
        sim.queue(publisher, &Packet::Publish(Publish { qos: AtMostOnce, ..message }));
        if count % 1000 == 999 {
            sim.run();
        }
    }
    assert_eq!(sim.directory().retained.read(noctule_topic::retained::RetainedTree::len), 100_000);
    for (version, qos) in [(V5, AtLeastOnce), (V3_1_1, AtMostOnce), (V3_1, ExactlyOnce)] {
        let subscriber = sim.connect(version, "subscriber");
        sim.wire(subscriber).reads_at_most = Some(4096);
        sim.subscribe(subscriber, "#", qos);
        assert_eq!(sim.deliveries(subscriber).len(), 100_000, "{version:?} {qos:?}");
        sim.cut(subscriber);
    }
    assert_eq!(sim.drops, []);
}

#[test]
fn a_retained_value_never_follows_a_newer_live_one() {
    for qos in EVERY_QOS {
        in_many_worlds(30, |options| {
            let mut random = Random::new(options.seed);
            let mut sim = Sim::with(options);
            let publisher = sim.connect(V5, "publisher");
            for topic in 0..40 {
                sim.retain(publisher, &format!("{topic:02}"), "0", qos);
            }
            let limited = ConnectOptions { client_id: "subscriber", ..ConnectOptions::default() };
            let subscriber = sim.connect_with(&limited.with(noctule_codec::Property::ReceiveMaximum(2)));
            sim.wire(subscriber).reads_at_most = Some(60);
            sim.queue(subscriber, &subscribe(1, &[("#", qos)]));
            let mut newest: BTreeMap<String, u32> = BTreeMap::new();
            for version in 1..100 {
                let topic = format!("{:02}", random.below(40));
                sim.retain(publisher, &topic, &version.to_string(), qos);
                for _ in 0..random.below(3) {
                    match sim.receive(subscriber) {
                        Some(Packet::Publish(publish)) => {
                            check_newest(&mut newest, &publish);
                            sim.acknowledge(subscriber, &publish);
                        }
                        Some(Packet::PubRel(released)) => {
                            let id = released.packet_id.get();
                            sim.queue(subscriber, &Packet::PubComp(noctule_testkit::sim::ack(id)));
                        }
                        _ => {}
                    }
                    sim.run();
                }
            }
            for delivery in sim.deliveries(subscriber) {
                check_newest(&mut newest, &delivery);
            }
            assert_eq!(newest.len(), 40);
            for (topic, version) in newest {
                let kept = sim
                    .directory()
                    .retained
                    .read(|retained| retained.get(&topic).cloned())
                    .expect("all topics are kept");
                assert_eq!(version.to_string().as_bytes(), &*kept.payload, "the last value of {topic}");
            }
        });
    }
}

fn check_newest(newest: &mut BTreeMap<String, u32>, publish: &Publish<'_>) {
    let version = str::from_utf8(publish.payload).expect("text").parse().expect("a number");
    let known = newest.entry(publish.topic.to_owned()).or_insert(version);
    assert!(*known <= version, "{} has {version} after {known}", publish.topic);
    *known = version;
}

#[test]
fn a_retained_value_does_not_follow_a_newer_one_that_came_with_the_acknowledgement_before_it() {
    for payload in ["new", ""] {
        let mut sim = Sim::new();
        let other = sim.connect(V5, "other");
        sim.retain(other, "a", "first", AtLeastOnce);
        sim.retain(other, "b", "old", AtLeastOnce);
        let options = ConnectOptions { client_id: "client", ..ConnectOptions::default() };
        let client = sim.connect_with(&options.with(noctule_codec::Property::ReceiveMaximum(1)));
        sim.subscribe(client, "+", AtLeastOnce);
        let first = sim.expect_publish(client);
        assert_eq!(first.topic, "a");
        // In one piece: b gets a new value, which comes back live at QoS 0, and the window is free again.
        sim.queue(client, &Packet::Publish(retained("b", payload)));
        sim.acknowledge(client, &first);
        sim.run();
        let values = payloads(&sim.deliveries(client));
        assert_eq!(values.first(), Some(&payload));
        assert!(!values.contains(&"old"), "{values:?}");
    }
}

#[test]
fn mqtt5_3_8_4_4_replacing_a_subscription_loses_none_of_its_retained_messages() {
    for retain_handling in [RetainHandling::Send, RetainHandling::SendIfNew, RetainHandling::DoNotSend] {
        let mut sim = Sim::new();
        let publisher = sim.connect(V5, "publisher");
        for count in 0..50 {
            sim.retain(publisher, &format!("{count:02}"), "x", AtLeastOnce);
        }
        let options = ConnectOptions { client_id: "subscriber", ..ConnectOptions::default() };
        let subscriber = sim.connect_with(&options.with(noctule_codec::Property::ReceiveMaximum(5)));
        let first = SubscriptionOptions { qos: AtLeastOnce, ..SubscriptionOptions::default() };
        sim.subscribe_with(subscriber, "#", first, Some(1));
        sim.queue(
            subscriber,
            &subscribe_with(2, "#", SubscriptionOptions { retain_handling, ..first }, Some(2)),
        );
        sim.run();
        let mut topics: Vec<&str> = Vec::new();
        while let Some(packet) = sim.receive(subscriber) {
            if let Packet::Publish(publish) = packet {
                topics.push(publish.topic);
                sim.acknowledge(subscriber, &publish);
                sim.run();
            }
        }
        topics.sort_unstable();
        topics.dedup();
        assert_eq!(topics.len(), 50, "{retain_handling:?}");
    }
}

#[test]
fn unsubscribing_stops_the_retained_messages() {
    let mut sim = Sim::new();
    let publisher = sim.connect(V5, "publisher");
    for count in 0..50 {
        sim.retain(publisher, &count.to_string(), "x", AtLeastOnce);
    }
    let options = ConnectOptions { client_id: "subscriber", ..ConnectOptions::default() };
    let subscriber = sim.connect_with(&options.with(noctule_codec::Property::ReceiveMaximum(5)));
    sim.subscribe(subscriber, "#", AtLeastOnce);
    sim.send(subscriber, &unsubscribe(2, &["#"]));
    let packets = sim.drain(subscriber);
    assert!(matches!(packets.last(), Some(Packet::UnsubAck(_))));
    for packet in packets {
        if let Packet::Publish(publish) = packet {
            sim.acknowledge(subscriber, &publish);
        }
    }
    sim.run();
    assert_eq!(sim.drain(subscriber), []);
}

#[test]
fn a_resumed_session_gets_the_rest_of_its_retained_messages() {
    for version in VERSIONS {
        let mut sim = Sim::new();
        let publisher = sim.connect(V5, "publisher");
        for count in 0..100 {
            sim.retain(publisher, &format!("{count:02}"), "x", AtLeastOnce);
        }
        let durable = ConnectOptions::durable(version, "subscriber", 100);
        let mut subscriber = sim.connect_with(&durable);
        sim.subscribe(subscriber, "#", AtLeastOnce);
        let mut topics = Vec::new();
        for _ in 0..100 {
            for _ in 0..7 {
                let Some(Packet::Publish(publish)) = sim.receive(subscriber) else { break };
                sim.acknowledge(subscriber, &publish);
                topics.push(publish.topic);
            }
            sim.run();
            sim.cut(subscriber);
            subscriber = sim.connect_with(&durable);
        }
        topics.sort_unstable();
        topics.dedup();
        assert_eq!(topics.len(), 100);
    }
}
