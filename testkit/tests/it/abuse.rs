//! Clients that ask for more than their share: rates, and fights for a client id.

use noctule_codec::ProtocolVersion::{V3_1_1, V5};
use noctule_codec::{Packet, ProtocolVersion, QoS, ReasonCode};
use noctule_engine::Event;
use noctule_session::Limits;
use noctule_testkit::sim::{ConnectOptions, Sim, SimOptions, publish};

fn sim_with(limits: Limits) -> Sim {
    Sim::with(SimOptions { limits, ..SimOptions::default() })
}

fn client(version: ProtocolVersion) -> ConnectOptions<'static> {
    ConnectOptions { version, client_id: "client", ..ConnectOptions::default() }
}

fn contested(sim: &Sim) -> Vec<[&str; 2]> {
    let events = sim.events.iter().filter_map(|event| match event {
        Event::Contested { addresses, .. } => Some(addresses.each_ref().map(|address| &**address)),
        _ => None,
    });
    events.collect()
}

#[test]
fn two_clients_that_fight_for_a_client_id_are_told_once_and_slowed_down() {
    for version in [V3_1_1, V5] {
        let mut sim = sim_with(Limits { takeovers_undelayed_max: 3, ..Limits::default() });
        let mut wires = vec![sim.connect_with(&client(version))];
        for takeover in 1..=4 {
            wires.push(sim.connect_with(&client(version)));
            assert_eq!(contested(&sim).len(), usize::from(takeover > 3), "takeover {takeover}");
        }
        assert_eq!(contested(&sim), [["127.0.0.1:3", "127.0.0.1:4"]]);

        let next = sim.dial(&client(version));
        assert_eq!(sim.receive(next), None, "it waits");
        sim.expect_alive(wires[4]);
        sim.advance(5_000);
        assert!(matches!(sim.expect(next), Packet::ConnAck(connack) if !connack.reason_code.is_error()));
        sim.expect_end(wires[4], ReasonCode::SessionTakenOver);
        assert_eq!(contested(&sim).len(), 1, "it is told once");
        assert_eq!(sim.stats().takeovers_delayed, 1);
    }
}

#[test]
fn of_a_thousand_contenders_each_is_let_in_within_5_s_and_others_are_served_meanwhile() {
    let limits = Limits { takeovers_undelayed_max: 3, connect_timeout_ms: 1000, ..Limits::default() };
    let mut sim = sim_with(limits);
    let others = sim.connect(V5, "others");
    sim.subscribe(others, "own", QoS::AtMostOnce);
    (0..5).for_each(|_| _ = sim.connect_with(&client(V5)));
    let wires: Vec<usize> = (0..1000).map(|_| sim.dial(&client(V5))).collect();
    for _ in 0..10 {
        sim.publish(others, "own", "ping", QoS::AtMostOnce);
        assert_eq!(sim.payloads(others), ["ping"]);
        sim.advance(500);
    }
    for wire in &wires {
        assert!(matches!(sim.expect(*wire), Packet::ConnAck(ack) if !ack.reason_code.is_error()));
    }
    assert_eq!(wires.iter().filter(|wire| !sim.is_closed(**wire)).count(), 1, "the last one stays");
    assert_eq!(contested(&sim).len(), 1);
}

#[test]
fn without_that_limit_every_takeover_happens_at_once() {
    let mut sim = sim_with(Limits { takeovers_undelayed_max: 0, ..Limits::default() });
    (0..50).for_each(|_| _ = sim.connect_with(&client(V5)));
    assert_eq!((sim.stats().takeovers, contested(&sim).len()), (49, 0));
}

#[test]
fn a_client_that_never_keeps_to_its_rate_is_disconnected_in_the_end() {
    for version in [V3_1_1, V5] {
        let limits = Limits { messages_per_second_max: 10, rate_pause_ms_max: 2_000, ..Limits::default() };
        let mut sim = sim_with(limits.clone());
        let wire = sim.connect_with(&client(version));
        for _ in 0..15 {
            sim.queue(wire, &Packet::Publish(publish("t", b"", QoS::AtMostOnce, 0)));
        }
        sim.run();
        sim.advance(10_000);
        sim.expect_alive(wire);
        assert!(sim.stats().pauses > 0, "it was not read for a while");
        for _ in 0..100 {
            sim.queue(wire, &Packet::Publish(publish("t", b"", QoS::AtMostOnce, 0)));
        }
        sim.run();
        sim.advance(1_900);
        assert!(!sim.is_closed(wire));
        sim.advance(300);
        sim.expect_end(wire, ReasonCode::MessageRateTooHigh);
        assert!(sim.stats().publishes_received < 50, "{:?}", sim.stats().publishes_received);
    }
}
