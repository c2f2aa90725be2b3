//! PINGRESP stands behind the messages that need nothing of the client: a client that has it has them.

use noctule_codec::{Packet, Property, ProtocolVersion, QoS, ReasonCode};
use noctule_store::simulated::{Fault, Operation};
use noctule_testkit::sim::{
    ConnectOptions, Durability, Sim, SimOptions, disconnect, publish, subscribe, unsubscribe,
};
use std::io::ErrorKind;

use ProtocolVersion::V5;
use QoS::{AtLeastOnce, AtMostOnce, ExactlyOnce};

fn sim(seed: u64) -> Sim {
    let (durability, shards) = (Durability::Disk, 1 + 2 * (seed % 2) as u16);
    Sim::with(SimOptions { seed, shards, shuffled: true, durability, ..SimOptions::default() })
}

fn panel() -> ConnectOptions<'static> {
    ConnectOptions::durable(V5, "panel", 3600)
}

/// A durable subscriber that is away and owed messages.
fn owe(sim: &mut Sim, qos: QoS, count: usize) {
    let wire = sim.connect_with(&panel());
    sim.subscribe(wire, "a", ExactlyOnce);
    sim.send(wire, &disconnect(ReasonCode::NORMAL_DISCONNECTION));
    let sensor = sim.connect(V5, "sensor");
    for _ in 0..count {
        sim.publish(sensor, "a", "owed", qos);
    }
}

/// What a client has been sent: how many PUBLISH packets before the first PINGRESP, and how many of both in all.
fn around_the_first_answer(sim: &mut Sim, wire: usize) -> (usize, usize, usize) {
    let packets = sim.drain(wire);
    let is_answer = |packet: &&Packet<'_>| matches!(packet, Packet::PingResp);
    let publishes =
        |packets: &[Packet<'_>]| packets.iter().filter(|packet| matches!(packet, Packet::Publish(_))).count();
    let first = packets.iter().position(|packet| is_answer(&packet)).expect("a ping is answered");
    (publishes(&packets[..first]), publishes(&packets), packets.iter().filter(is_answer).count())
}

/// A client that finds so many retained messages, and pings right behind its SUBSCRIBE.
fn subscribe_and_ping(sim: &mut Sim, retained: usize) -> usize {
    let sensor = sim.connect(V5, "sensor");
    for number in 0..retained {
        sim.retain(sensor, &format!("r/{number}"), "x", AtMostOnce);
    }
    let wire = sim.connect(V5, "display");
    sim.queue(wire, &subscribe(1, &[("r/#", AtMostOnce)]));
    sim.queue(wire, &Packet::PingReq);
    wire
}

#[test]
fn messages_that_are_read_back_from_the_journal_come_first() {
    for qos in [AtLeastOnce, ExactlyOnce] {
        for seed in 0..30 {
            let mut sim = sim(seed);
            owe(&mut sim, qos, 20);
            let wire = sim.open();
            sim.queue(wire, &Packet::Connect(panel().packet()));
            sim.queue(wire, &Packet::PingReq);
            sim.run();
            assert_eq!(around_the_first_answer(&mut sim, wire), (20, 20, 1), "{qos:?}, seed {seed}");
        }
    }
}

#[test]
fn deliveries_whose_records_are_not_on_the_disk_yet_come_first() {
    for seed in 0..30 {
        let mut sim = sim(seed);
        let wire = sim.connect_with(&panel());
        sim.subscribe(wire, "a", ExactlyOnce);
        let sensor = sim.connect(V5, "sensor");
        sim.queue(sensor, &Packet::Publish(publish("a", b"x", ExactlyOnce, 1)));
        let promised =
            |sim: &Sim| sim.sessions().filter_map(|it| it.link.as_ref()).any(|it| it.publishes_promised > 0);
        sim.run_while(|sim| !promised(sim));
        assert!(promised(&sim), "seed {seed}");
        sim.queue(wire, &Packet::PingReq);
        sim.run();
        assert_eq!(around_the_first_answer(&mut sim, wire), (1, 1, 1), "seed {seed}");
    }
}

#[test]
fn retained_messages_of_a_new_subscription_come_first() {
    for seed in 0..4 {
        let mut sim = sim(seed);
        let wire = subscribe_and_ping(&mut sim, 6000);
        sim.run();
        assert_eq!(around_the_first_answer(&mut sim, wire), (6000, 6000, 1), "seed {seed}");
    }
}

#[test]
fn a_ping_does_not_wait_for_a_subscription_that_is_taken_back() {
    for seed in 0..30 {
        let mut sim = sim(seed);
        let wire = subscribe_and_ping(&mut sim, 100);
        sim.queue(wire, &unsubscribe(2, &["r/#"]));
        sim.run();
        assert_eq!(around_the_first_answer(&mut sim, wire).2, 1, "seed {seed}");
    }
}

#[test]
fn a_ping_does_not_wait_for_acknowledgements() {
    let mut sim = sim(0);
    owe(&mut sim, AtLeastOnce, 500);
    let sensor = sim.connect(V5, "sensor");
    sim.retain(sensor, "r", "x", AtLeastOnce);
    let wire = sim.connect_with(&panel().with(Property::ReceiveMaximum(10)));
    sim.queue(wire, &subscribe(1, &[("r", AtLeastOnce)]));
    sim.queue(wire, &Packet::PingReq);
    sim.run();
    assert_eq!(around_the_first_answer(&mut sim, wire), (10, 10, 1));
}

#[test]
fn every_ping_is_answered_once() {
    for seed in 0..30 {
        let mut sim = sim(seed);
        owe(&mut sim, ExactlyOnce, 20);
        let wire = sim.open();
        sim.queue(wire, &Packet::Connect(panel().packet()));
        for _ in 0..1000 {
            sim.queue(wire, &Packet::PingReq);
        }
        sim.run();
        let (_, publishes, answers) = around_the_first_answer(&mut sim, wire);
        assert_eq!((publishes, answers), (20, 1000), "seed {seed}");
    }
}

#[test]
fn a_ping_does_not_wait_for_a_disk_that_fails() {
    let mut sim = sim(1);
    owe(&mut sim, AtLeastOnce, 20);
    sim.disk().fail_when(|call| {
        matches!(call.operation, Operation::Read { .. }).then_some(Fault::Fails(ErrorKind::Other))
    });
    let wire = sim.connect_with(&panel());
    for _ in 0..3 {
        sim.queue(wire, &Packet::PingReq);
        sim.advance(2_000);
        assert_eq!(around_the_first_answer(&mut sim, wire), (0, 0, 1));
    }
    sim.disk().heal();
    sim.advance(2_000);
    assert_eq!(sim.deliveries(wire).len(), 20);
}
