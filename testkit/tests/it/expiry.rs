//! Message expiry: what waits grows old, what was sent does not.

use noctule_codec::{Packet, Properties, Property, ProtocolVersion, Publish, QoS};
use noctule_engine::Drop;
use noctule_session::{DropReason, Limits};
use noctule_testkit::sim::{ConnectOptions, Sim, VERSIONS, ack, payloads, publish, texts};

use ProtocolVersion::{V3_1_1, V5};
use QoS::{AtLeastOnce, AtMostOnce, ExactlyOnce};

fn lasting(payload: &'static str, qos: QoS, seconds: u32) -> Publish<'static> {
    let properties = Properties::new().with(Property::MessageExpiryInterval(seconds));
    let id = if qos == AtMostOnce { 0 } else { 1 };
    Publish { properties, ..publish("a", payload.as_bytes(), qos, id) }
}

fn durable(client_id: &str) -> ConnectOptions<'_> {
    ConnectOptions::durable(V5, client_id, u32::MAX)
}

fn reasons(drops: &[Drop]) -> Vec<(&str, DropReason)> {
    drops.iter().map(|drop| (&*drop.client_id, drop.reason)).collect()
}

#[test]
fn mqtt5_3_3_2_6_the_interval_is_forwarded_less_the_time_of_waiting() {
    let mut sim = Sim::new();
    let subscriber = sim.connect_with(&durable("subscriber"));
    sim.subscribe(subscriber, "a", AtLeastOnce);
    let publisher = sim.connect(V5, "publisher");
    sim.exchange_publish(publisher, lasting("at once", AtLeastOnce, 60));
    assert_eq!(sim.deliveries(subscriber)[0].properties.message_expiry_interval(), Some(60));

    sim.cut(subscriber);
    sim.exchange_publish(publisher, lasting("later", AtLeastOnce, 60));
    sim.publish(publisher, "a", "for ever", AtLeastOnce);
    sim.advance(12_000);
    let subscriber = sim.connect_with(&durable("subscriber"));
    let deliveries = sim.deliveries(subscriber);
    assert_eq!(payloads(&deliveries), ["later", "for ever"]);
    assert_eq!(deliveries[0].properties.message_expiry_interval(), Some(48));
    assert_eq!(deliveries[1].properties.message_expiry_interval(), None);
}

#[test]
fn mqtt5_3_3_2_5_what_expires_in_the_queue_is_not_delivered_but_recorded() {
    for version in VERSIONS {
        for qos in [AtLeastOnce, ExactlyOnce] {
            let mut sim = Sim::new();
            let options = ConnectOptions::durable(version, "subscriber", u32::MAX);
            let subscriber = sim.connect_with(&options);
            sim.subscribe(subscriber, "a", qos);
            sim.cut(subscriber);
            let publisher = sim.connect(V5, "publisher");
            sim.exchange_publish(publisher, lasting("short", qos, 5));
            sim.exchange_publish(publisher, lasting("long", qos, 50));
            sim.advance(5_000);
            let subscriber = sim.connect_with(&options);
            assert_eq!(payloads(&sim.deliveries(subscriber)), ["long"]);
            assert_eq!(reasons(&sim.drops), [("subscriber", DropReason::Expired)]);
        }
    }
}

#[test]
fn mqtt5_3_3_2_5_a_message_expires_while_the_window_is_full() {
    let mut sim = Sim::new();
    let subscriber = sim.connect_with(&durable("subscriber").with(Property::ReceiveMaximum(1)));
    sim.subscribe(subscriber, "a", AtLeastOnce);
    let publisher = sim.connect(V5, "publisher");
    for (payload, seconds) in [("sent", 5), ("short", 5), ("long", 50)] {
        sim.exchange_publish(publisher, lasting(payload, AtLeastOnce, seconds));
    }
    let first = sim.expect_publish(subscriber);
    sim.advance(6_000);
    sim.acknowledge(subscriber, &first);
    sim.run();
    let deliveries = sim.deliveries(subscriber);
    assert_eq!(payloads(&deliveries), ["long"]);
    assert_eq!(deliveries[0].properties.message_expiry_interval(), Some(44));
    assert_eq!(reasons(&sim.drops), [("subscriber", DropReason::Expired)]);
}

/// Bug 18 of the list: emqx 17698 and 17702.
#[test]
fn bug_18_mqtt5_4_3_3_7_what_was_sent_does_not_expire() {
    for qos in [AtLeastOnce, ExactlyOnce] {
        let mut sim = Sim::new();
        let subscriber = sim.connect_with(&durable("subscriber"));
        sim.subscribe(subscriber, "a", qos);
        let publisher = sim.connect(V5, "publisher");
        sim.exchange_publish(publisher, lasting("sent", qos, 5));
        assert!(!sim.expect_publish(subscriber).dup);
        sim.cut(subscriber);
        sim.advance(60_000);
        let subscriber = sim.connect_with(&durable("subscriber"));
        let again = sim.expect_publish(subscriber);
        assert!(again.dup);
        assert_eq!(again.properties.message_expiry_interval(), Some(0), "never above what is left");
        assert_eq!(sim.drops, []);
    }
}

#[test]
fn mqtt5_4_3_3_13_an_exchange_is_completed_although_its_message_has_expired() {
    let mut sim = Sim::new();
    let subscriber = sim.connect_with(&durable("subscriber"));
    sim.subscribe(subscriber, "a", ExactlyOnce);
    let publisher = sim.connect(V5, "publisher");
    sim.send(publisher, &Packet::Publish(lasting("sent", ExactlyOnce, 5)));
    assert_eq!(sim.expect(publisher), Packet::PubRec(ack(1)));
    let id = sim.expect_publish(subscriber).packet_id.expect("QoS 2").get();
    sim.advance(60_000);
    sim.send(publisher, &Packet::PubRel(ack(1)));
    assert_eq!(sim.expect(publisher), Packet::PubComp(ack(1)));
    sim.send(subscriber, &Packet::PubRec(ack(id)));
    assert_eq!(sim.expect(subscriber), Packet::PubRel(ack(id)));
    sim.cut(subscriber);
    sim.advance(60_000);
    let subscriber = sim.connect_with(&durable("subscriber"));
    assert_eq!(sim.drain(subscriber), [Packet::PubRel(ack(id))]);
}

#[test]
fn mqtt5_3_3_2_5_qos_0_expires_behind_a_client_that_does_not_read() {
    let mut sim = Sim::new();
    let subscriber = sim.connect(V5, "subscriber");
    sim.subscribe(subscriber, "a", AtMostOnce);
    sim.wire(subscriber).reads_at_most = Some(0);
    let publisher = sim.connect(V5, "publisher");
    sim.exchange_publish(publisher, lasting("short", AtMostOnce, 5));
    sim.exchange_publish(publisher, lasting("long", AtMostOnce, 50));
    sim.advance(10_000);
    sim.wire(subscriber).reads_at_most = None;
    sim.run();
    let deliveries = sim.deliveries(subscriber);
    assert_eq!(payloads(&deliveries), ["long"]);
    assert_eq!(deliveries[0].properties.message_expiry_interval(), Some(40));
    assert_eq!(reasons(&sim.drops), [("subscriber", DropReason::Expired)]);
}

#[test]
fn mqtt5_3_3_2_6_a_retained_message_is_sent_with_what_is_left_and_ends_with_it() {
    let mut sim = Sim::new();
    let publisher = sim.connect(V5, "publisher");
    sim.exchange_publish(publisher, Publish { retain: true, ..lasting("x", AtLeastOnce, 10) });
    sim.advance(4_000);
    let early = sim.connect(V5, "early");
    sim.subscribe(early, "a", AtLeastOnce);
    let deliveries = sim.deliveries(early);
    assert_eq!(texts(&deliveries), [("a", "x")]);
    assert_eq!(deliveries[0].properties.message_expiry_interval(), Some(6));

    sim.advance(6_000);
    for (client_id, filter) in [("exact", "a"), ("wildcard", "#")] {
        let late = sim.connect(V3_1_1, client_id);
        sim.subscribe(late, filter, AtLeastOnce);
        assert_eq!(sim.drain(late), []);
    }
    sim.advance(5_000);
    assert_eq!(
        (
            sim.directory().retained.read(noctule_topic::retained::RetainedTree::len),
            sim.directory().retained_bytes()
        ),
        (0, 0)
    );
}

#[test]
fn an_expired_retained_message_that_was_replaced_is_not_forgotten() {
    let mut sim = Sim::new();
    let publisher = sim.connect(V5, "publisher");
    sim.exchange_publish(publisher, Publish { retain: true, ..lasting("old", AtLeastOnce, 3) });
    sim.advance(2_500);
    sim.retain(publisher, "a", "new", AtLeastOnce);
    sim.advance(60_000);
    let subscriber = sim.connect(V5, "subscriber");
    sim.subscribe(subscriber, "a", AtLeastOnce);
    assert_eq!(payloads(&sim.deliveries(subscriber)), ["new"]);
}

#[test]
fn messages_that_waited_longer_than_the_configured_age_are_dropped_and_recorded() {
    let mut sim = Sim::with_limits(Limits { queue_age_seconds_max: 10, ..Limits::default() });
    let subscriber = sim.connect_with(&durable("subscriber"));
    sim.subscribe(subscriber, "a", AtLeastOnce);
    sim.cut(subscriber);
    let publisher = sim.connect(V5, "publisher");
    sim.publish(publisher, "a", "old", AtLeastOnce);
    sim.advance(6_000);
    sim.publish(publisher, "a", "young", AtLeastOnce);
    sim.advance(6_000);
    let subscriber = sim.connect_with(&durable("subscriber"));
    assert_eq!(payloads(&sim.deliveries(subscriber)), ["young"]);
    assert_eq!(reasons(&sim.drops), [("subscriber", DropReason::TooOld)]);
}
