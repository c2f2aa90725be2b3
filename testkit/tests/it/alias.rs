//! Topic aliases, in and out.

use noctule_codec::{Packet, Properties, Property, ProtocolVersion, Publish, QoS, ReasonCode};
use noctule_session::Limits;
use noctule_testkit::sim::{ConnectOptions, Random, Sim, VERSIONS, in_many_worlds, publish, texts};
use std::collections::HashMap;

use ProtocolVersion::V5;
use QoS::{AtLeastOnce, AtMostOnce};

fn with_alias(topic: &'static str, alias: u16, payload: &'static str) -> Packet<'static> {
    let properties = Properties::new().with(Property::TopicAlias(alias));
    Packet::Publish(Publish { properties, ..publish(topic, payload.as_bytes(), AtMostOnce, 0) })
}

// From the client.

#[test]
fn mqtt5_3_3_2_12_every_alias_up_to_the_announced_maximum_is_accepted() {
    let mut sim = Sim::with_limits(Limits { topic_alias_maximum: 4, ..Limits::default() });
    let subscriber = sim.connect(V5, "subscriber");
    sim.subscribe(subscriber, "#", AtMostOnce);
    let publisher = sim.connect(V5, "publisher");
    for (alias, topic) in [(4, "d"), (1, "a"), (3, "c"), (2, "b")] {
        sim.send(publisher, &with_alias(topic, alias, "named"));
    }
    for alias in 1..=4 {
        sim.send(publisher, &with_alias("", alias, "short"));
    }
    sim.send(publisher, &with_alias("e", 1, "anew"));
    sim.send(publisher, &with_alias("", 1, "short"));
    let expected = [
        ("d", "named"),
        ("a", "named"),
        ("c", "named"),
        ("b", "named"),
        ("a", "short"),
        ("b", "short"),
        ("c", "short"),
        ("d", "short"),
        ("e", "anew"),
        ("e", "short"),
    ];
    assert_eq!(texts(&sim.deliveries(subscriber)), expected);
}

/// Bug 11 of the list: nanomq 2336.
#[test]
fn bug_11_mqtt5_3_3_2_8_9_an_alias_of_0_or_above_the_maximum_closes_with_0x94() {
    for (maximum, alias) in [(4, 5), (4, 65_535), (0, 1)] {
        let mut sim = Sim::with_limits(Limits { topic_alias_maximum: maximum, ..Limits::default() });
        let publisher = sim.connect(V5, "publisher");
        sim.send(publisher, &with_alias("a", alias, "x"));
        sim.expect_end(publisher, ReasonCode::TopicAliasInvalid);
    }
    let mut sim = Sim::new();
    let publisher = sim.connect(V5, "publisher");
    // PUBLISH "a" with Topic Alias 0, which the encoder does not write.
    sim.send_bytes(publisher, &[0x30, 7, 0, 1, b'a', 3, 0x23, 0, 0]);
    sim.expect_end(publisher, ReasonCode::TopicAliasInvalid);
}

#[test]
fn mqtt5_3_3_2_7_an_alias_that_was_not_given_on_this_connection_closes() {
    let mut sim = Sim::new();
    let durable = ConnectOptions::durable(V5, "publisher", 100);
    let publisher = sim.connect_with(&durable);
    sim.send(publisher, &with_alias("a", 1, "x"));
    sim.cut(publisher);
    let publisher = sim.connect_with(&durable);
    sim.send(publisher, &with_alias("", 1, "x"));
    sim.expect_end(publisher, ReasonCode::ProtocolError);
}

// Towards the client.

/// A reader of aliases as the standard describes it.
#[derive(Default)]
struct Aliases {
    maximum: u16,
    topics: HashMap<u16, String>,
}

impl Aliases {
    /// The topic of a delivery, and whether its name was left out.
    fn resolve(&mut self, publish: &Publish<'_>) -> (String, bool) {
        let Some(alias) = publish.properties.topic_alias() else {
            assert!(!publish.topic.is_empty());
            return (publish.topic.to_owned(), false);
        };
        assert!((1..=self.maximum).contains(&alias), "[MQTT-3.3.2-11] {alias}");
        if publish.topic.is_empty() {
            return (self.topics[&alias].clone(), true);
        }
        self.topics.insert(alias, publish.topic.to_owned());
        (publish.topic.to_owned(), false)
    }
}

/// A client that accepts so many aliases, subscribed to everything.
fn reader(sim: &mut Sim, maximum: u16) -> usize {
    let options = ConnectOptions { client_id: "reader", ..ConnectOptions::default() };
    let reader = sim.connect_with(&options.with(Property::TopicAliasMaximum(maximum)));
    sim.subscribe(reader, "#", AtLeastOnce);
    reader
}

/// Bug 10 of the list: nanomq 2040.
#[test]
fn bug_10_mqtt5_3_1_2_27_a_client_that_allows_no_alias_gets_none() {
    for version in VERSIONS {
        let mut sim = Sim::new();
        let subscriber = sim.connect(version, "subscriber");
        sim.subscribe(subscriber, "#", AtLeastOnce);
        let publisher = sim.connect(V5, "publisher");
        sim.send(publisher, &with_alias("a", 1, "1"));
        sim.send(publisher, &with_alias("", 1, "2"));
        sim.publish(publisher, "a", "3", AtLeastOnce);
        let deliveries = sim.deliveries(subscriber);
        assert_eq!(texts(&deliveries), [("a", "1"), ("a", "2"), ("a", "3")]);
        assert!(deliveries.iter().all(|publish| publish.properties.topic_alias().is_none()));
    }
}

#[test]
fn mqtt5_3_1_2_26_aliases_are_used_up_to_the_maximum_and_the_oldest_is_given_anew() {
    let mut sim = Sim::new();
    let subscriber = reader(&mut sim, 2);
    let publisher = sim.connect(V5, "publisher");
    let mut sent = Vec::new();
    for topic in ["a", "b", "a", "c", "a", "b"] {
        sim.publish(publisher, topic, "x", AtMostOnce);
        let delivery = sim.expect_publish(subscriber);
        sent.push((delivery.topic, delivery.properties.topic_alias()));
    }
    let expected =
        [("a", Some(1)), ("b", Some(2)), ("", Some(1)), ("c", Some(2)), ("", Some(1)), ("b", Some(2))];
    assert_eq!(sent, expected);
}

#[test]
fn mqtt5_3_3_2_11_what_aliases_stand_for_is_right_at_every_moment() {
    for maximum in [1, 3, 10, u16::MAX] {
        in_many_worlds(10, |options| {
            let mut random = Random::new(options.seed);
            let limits = Limits { topic_alias_maximum_out: 4, ..Limits::default() };
            let mut sim = Sim::with(noctule_testkit::sim::SimOptions { limits, ..options });
            let subscriber = reader(&mut sim, maximum);
            let publisher = sim.connect(V5, "publisher");
            let mut aliases = Aliases { maximum: maximum.min(4), ..Aliases::default() };
            let mut left_out = 0;
            for _ in 0..50 {
                let topic = format!("topic/{}", random.below(6));
                let qos = if random.one_in(2) { AtMostOnce } else { AtLeastOnce };
                sim.publish(publisher, &topic, &topic, qos);
                for delivery in sim.deliveries(subscriber) {
                    let (topic, is_short) = aliases.resolve(&delivery);
                    assert_eq!(topic.as_bytes(), delivery.payload);
                    left_out += u32::from(is_short);
                }
            }
            assert!(left_out > 0);
        });
    }
}

#[test]
fn mqtt5_3_3_2_7_aliases_towards_the_client_end_with_the_connection() {
    let mut sim = Sim::new();
    let options = ConnectOptions::durable(V5, "subscriber", 100).with(Property::TopicAliasMaximum(5));
    let subscriber = sim.connect_with(&options);
    sim.subscribe(subscriber, "#", AtLeastOnce);
    let publisher = sim.connect(V5, "publisher");
    sim.publish(publisher, "a", "1", AtLeastOnce);
    sim.publish(publisher, "a", "2", AtLeastOnce);
    assert_eq!(sim.expect_publish(subscriber).topic, "a");
    assert_eq!(sim.expect_publish(subscriber).topic, "");
    sim.cut(subscriber);

    let subscriber = sim.connect_with(&options);
    let mut aliases = Aliases { maximum: 5, ..Aliases::default() };
    for _ in 0..2 {
        let delivery = sim.expect_publish(subscriber);
        assert!(delivery.dup);
        assert_eq!(aliases.resolve(&delivery).0, "a");
    }
    sim.cut(subscriber);

    let subscriber = sim.connect_with(&ConnectOptions::durable(V5, "subscriber", 100));
    let deliveries = sim.deliveries(subscriber);
    assert_eq!(texts(&deliveries), [("a", "1"), ("a", "2")]);
}

#[test]
fn mqtt5_3_1_2_24_an_alias_does_not_make_a_message_too_long() {
    // A PUBLISH "a" of 100 bytes at QoS 0 has 2 + 3 + 1 + 100 bytes; an alias adds three.
    let mut sim = Sim::new();
    let options = ConnectOptions { client_id: "reader", ..ConnectOptions::default() };
    let options = options.with(Property::TopicAliasMaximum(5)).with(Property::MaximumPacketSize(106));
    let subscriber = sim.connect_with(&options);
    sim.subscribe(subscriber, "#", AtMostOnce);
    let publisher = sim.connect(V5, "publisher");
    let mut aliases = Aliases { maximum: 5, ..Aliases::default() };
    for length in [100, 97, 100, 98, 99] {
        sim.publish(publisher, "a", &"x".repeat(length), AtMostOnce);
        let delivery = sim.expect_publish(subscriber);
        assert_eq!((aliases.resolve(&delivery).0.as_str(), delivery.payload.len()), ("a", length));
    }
    assert_eq!(sim.drops, []);
    sim.publish(publisher, "a", &"x".repeat(101), AtMostOnce);
    assert_eq!(sim.drops.len(), 1);
}
