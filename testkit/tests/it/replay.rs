//! The records of the engine give its sessions back: state changes only by applying them.

use noctule_auth::{Action, Authority, Credentials, Decision, Identity};
use noctule_codec::{Packet, Property, ProtocolVersion, QoS, ReasonCode, SubscriptionOptions};
use noctule_session::Limits;
use noctule_testkit::sim::{
    ConnectOptions, Sim, SimOptions, VERSIONS, ack, check_replay, disconnect_with_expiry, in_many_worlds,
    publish, will,
};
use std::sync::Arc;

use ProtocolVersion::{V3_1_1, V5};
use QoS::{AtLeastOnce, ExactlyOnce};

#[track_caller]
fn replays(sim: &Sim) {
    if let Err(difference) = check_replay(&sim.records, sim.sessions()) {
        panic!("{difference}");
    }
}

#[test]
fn deliveries_in_every_phase_come_back() {
    in_many_worlds(5, |options| {
        for version in VERSIONS {
            let mut sim = Sim::with(options.clone());
            let panel = sim.connect_with(&ConnectOptions::durable(version, "panel", 3600));
            let sensor = sim.connect_with(&ConnectOptions::durable(V5, "sensor", 3600));
            sim.subscribe(panel, "a/+", AtLeastOnce);
            sim.subscribe(panel, "a/#", ExactlyOnce);
            for id in 1..6 {
                sim.send(sensor, &Packet::Publish(publish("a/x", b"m", ExactlyOnce, id)));
                replays(&sim);
            }
            sim.send(panel, &Packet::PubRec(ack(2)));
            sim.send(panel, &Packet::PubRec(ack(3)));
            sim.send(panel, &Packet::PubComp(ack(3)));
            replays(&sim);
            sim.cut(panel);
            sim.send(sensor, &Packet::Publish(publish("a/y", b"later", AtLeastOnce, 9)));
            replays(&sim);
            sim.send(sensor, &Packet::PubRel(ack(1)));
            replays(&sim);
            sim.connect_with(&ConnectOptions::durable(version, "panel", 3600));
            replays(&sim);
        }
    });
}

#[test]
fn the_retain_flag_of_a_delivery_comes_back() {
    let mut sim = Sim::new();
    let panel = sim.connect_with(&ConnectOptions::durable(V5, "panel", 3600));
    let as_published =
        SubscriptionOptions { qos: AtLeastOnce, retain_as_published: true, ..SubscriptionOptions::default() };
    sim.subscribe_with(panel, "a", as_published, Some(7));
    let sensor = sim.connect(V5, "sensor");
    sim.retain(sensor, "a", "kept", AtLeastOnce);
    replays(&sim);
}

#[test]
fn retained_messages_that_a_durable_session_takes_come_back() {
    let mut sim = Sim::new();
    let sensor = sim.connect(V5, "sensor");
    for topic in ["a/1", "a/2", "a/3"] {
        sim.retain(sensor, topic, "kept", ExactlyOnce);
    }
    let panel = sim.connect_with(&ConnectOptions::durable(V5, "panel", 3600));
    sim.subscribe(panel, "a/+", ExactlyOnce);
    replays(&sim);
    sim.send(panel, &Packet::PubRec(ack(1)));
    replays(&sim);
}

#[test]
fn a_session_that_has_ended_is_not_there_again() {
    for version in VERSIONS {
        let mut sim = Sim::new();
        let options = ConnectOptions { version, client_id: "c", ..ConnectOptions::default() };
        let wire = sim.connect_with(&options.clone().with_will(will("w", "gone")));
        replays(&sim);
        sim.cut(wire);
        replays(&sim);
        let wire = sim.connect_with(&ConnectOptions::durable(version, "c", 3600));
        sim.subscribe(wire, "a", AtLeastOnce);
        sim.connect_with(&options);
        replays(&sim);
    }
}

#[test]
fn a_session_whose_expiry_is_taken_away_ends_with_its_connection() {
    let mut sim = Sim::new();
    let wire = sim.connect_with(&ConnectOptions::durable(V5, "c", 3600));
    sim.subscribe(wire, "a", AtLeastOnce);
    sim.send(wire, &disconnect_with_expiry(ReasonCode::Success, 0));
    replays(&sim);

    let wire = sim.connect_with(&ConnectOptions::durable(V5, "c", 3600));
    sim.subscribe(wire, "a", AtLeastOnce);
    sim.cut(wire);
    let wire = sim.connect_with(&ConnectOptions::durable(V5, "c", 0));
    replays(&sim);
    sim.cut(wire);
    replays(&sim);
}

#[test]
fn an_id_that_a_refused_publication_has_taken_comes_back() {
    let limits = Limits { retained_messages_max: 1, ..Limits::default() };
    let mut sim = Sim::with_limits(limits);
    let wire = sim.connect_with(&ConnectOptions::durable(V3_1_1, "c", 3600));
    for (topic, id) in [("a", 1), ("b", 2)] {
        let message = noctule_codec::Publish { retain: true, ..publish(topic, b"m", ExactlyOnce, id) };
        sim.send(wire, &Packet::Publish(message));
    }
    replays(&sim);
}

/// Nobody receives what is below `no/`.
struct Silence;

impl Authority for Silence {
    fn connect(&self, _: &Credentials<'_>) -> Decision {
        Decision::allow("everybody may connect", "test")
    }

    fn permit(&self, _: &Identity, action: &Action<'_>) -> Decision {
        match action {
            Action::Receive { topic } if topic.starts_with("no/") => Decision::deny("silence", "test"),
            _ => Decision::allow("the rest", "test"),
        }
    }
}

#[test]
fn what_a_home_refuses_is_not_owed_again() {
    let mut sim = Sim::with(SimOptions { authority: Arc::new(Silence), ..SimOptions::default() });
    let panel = sim.connect_with(&ConnectOptions::durable(V5, "panel", 3600));
    sim.subscribe(panel, "#", AtLeastOnce);
    let sensor = sim.connect(V5, "sensor");
    sim.publish(sensor, "no/thing", "m", AtLeastOnce);
    replays(&sim);

    let limits = Limits { queue_messages_max: 1, inflight_messages_max: 1, ..Limits::default() };
    let mut sim = Sim::with_limits(limits);
    let panel = sim.connect_with(&ConnectOptions::durable(V5, "panel", 3600));
    sim.subscribe(panel, "#", AtLeastOnce);
    sim.cut(panel);
    let sensor = sim.connect(V5, "sensor");
    for _ in 0..3 {
        sim.publish(sensor, "a", "m", AtLeastOnce);
        replays(&sim);
    }
}

#[test]
fn wills_come_back_until_they_are_published_or_dropped() {
    let mut sim = Sim::new();
    let options = || ConnectOptions::durable(V5, "c", 3600);
    let late = |payload| {
        let properties = noctule_codec::Properties::new().with(Property::WillDelayInterval(10)).into_owned();
        noctule_codec::Will { properties, ..will("w", payload) }
    };
    let wire = sim.connect_with(&options().with_will(late("one")));
    replays(&sim);
    sim.cut(wire);
    replays(&sim);
    sim.advance(11_000);
    replays(&sim);
    let wire = sim.connect_with(&options().with_will(late("two")));
    sim.cut(wire);
    sim.connect_with(&options());
    replays(&sim);
}
