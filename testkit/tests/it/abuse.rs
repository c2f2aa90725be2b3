//! Clients that ask for more than their share: rates, and fights for a client id.

use noctule_codec::ProtocolVersion::{V3_1_1, V5};
use noctule_codec::{Packet, ProtocolVersion, QoS, ReasonCode};
use noctule_engine::Event;
use noctule_session::{ConnectQueue, Limits, Meters, Rates, Terms};
use noctule_testkit::sim::{ConnectOptions, Sim, SimOptions, connect, publish};
use std::sync::Arc;

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

/// Connections that come at once and wait in these queues, each with its CONNECT.
fn storm(sim: &mut Sim, queues: &[&Arc<ConnectQueue>], clients: usize) -> Vec<usize> {
    let mut dial = || {
        let queues = queues.iter().map(|queue| Arc::clone(queue)).collect();
        let wire = sim.open_behind(&Arc::default(), Vec::new(), queues);
        sim.send(wire, &connect(V5, &format!("storm-{wire}")));
        wire
    };
    (0..clients).map(|_| dial()).collect()
}

/// What was answered to the first of these connections that have an answer.
fn answers(sim: &mut Sim, wires: &[usize]) -> Vec<ReasonCode> {
    let answer = |wire: &usize| match sim.receive(*wire)? {
        Packet::ConnAck(connack) => Some(connack.reason_code),
        packet => panic!("{packet:?} instead of CONNACK"),
    };
    wires.iter().map_while(answer).collect()
}

#[test]
fn a_connect_storm_is_let_in_at_the_pace_and_in_its_order_and_others_are_served_meanwhile() {
    for shards in [1, 3] {
        let mut sim = Sim::with(SimOptions {
            limits: Limits { connect_timeout_ms: 1_000, ..Limits::default() },
            shards,
            ..SimOptions::default()
        });
        let others = sim.connect(V5, "others");
        sim.subscribe(others, "own", QoS::AtMostOnce);
        let queue = Arc::new(ConnectQueue::new(100));
        let wires = storm(&mut sim, &[&queue], 600);
        let mut let_in = answers(&mut sim, &wires).len();
        assert_eq!(let_in, 101, "a second's worth at once");
        for _ in 0..49 {
            sim.advance(100);
            let more = answers(&mut sim, &wires[let_in..]);
            assert!(more.iter().all(|code| !code.is_error()), "nobody who waits is too slow");
            assert_eq!(more.len(), 10, "and then the pace");
            let_in += more.len();
            assert!(
                wires[let_in..].iter().all(|wire| sim.receive(*wire).is_none()),
                "in the order of the storm"
            );
            sim.publish(others, "own", "ping", QoS::AtMostOnce);
            assert_eq!(sim.payloads(others), ["ping"]);
        }
        sim.advance(100);
        assert_eq!(answers(&mut sim, &wires[let_in..]).len(), 600 - let_in);
        assert_eq!(sim.stats().connects_delayed, 499);
    }
}

#[test]
fn whoever_would_wait_too_long_in_a_storm_is_told_to_come_again() {
    for version in [V3_1_1, V5] {
        let mut sim = sim_with(Limits { connect_wait_ms_max: 1_000, ..Limits::default() });
        let queue = Arc::new(ConnectQueue::new(10));
        let wires = storm(&mut sim, &[&queue], 21);
        let late = sim.open_behind(&Arc::default(), Vec::new(), vec![Arc::clone(&queue)]);
        sim.send(late, &connect(version, "late"));
        let told =
            if version == V5 { ReasonCode::ConnectionRateExceeded } else { ReasonCode::ServerUnavailable };
        assert_eq!(answers(&mut sim, &[late]), [told]);
        assert!(sim.is_closed(late));
        sim.advance(1_000);
        assert_eq!(answers(&mut sim, &wires), [ReasonCode::Success; 21]);
        sim.advance(100);
        let again = sim.open_behind(&Arc::default(), Vec::new(), vec![queue]);
        sim.send(again, &connect(version, "late"));
        assert!(matches!(sim.receive(again), Some(Packet::ConnAck(ack)) if !ack.reason_code.is_error()));
    }
}

#[test]
fn a_client_waits_for_its_turn_at_its_listener_and_at_the_broker() {
    let mut sim = Sim::new();
    let (broker, listener) = (Arc::new(ConnectQueue::new(100)), Arc::new(ConnectQueue::new(10)));
    let wires = storm(&mut sim, &[&listener, &broker], 31);
    assert_eq!(answers(&mut sim, &wires).len(), 11, "the listener is the slower one");
    let elsewhere = storm(&mut sim, &[&broker], 150);
    assert_eq!(answers(&mut sim, &elsewhere).len(), 70, "what it has let wait counts for the broker too");
    sim.advance(1_000);
    assert_eq!(answers(&mut sim, &wires[11..]).len(), 10);
    assert_eq!(answers(&mut sim, &elsewhere[70..]).len(), 80);
}

/// Sends so many publications on each of these connections, and says how many the broker has read at once.
fn read_of(sim: &mut Sim, wires: &[usize], publications: usize) -> u64 {
    let before = sim.stats().publishes_received;
    for wire in wires {
        for _ in 0..publications {
            sim.queue(*wire, &Packet::Publish(publish("t", b"payload", QoS::AtMostOnce, 0)));
        }
    }
    sim.run();
    sim.stats().publishes_received - before
}

#[test]
fn the_connections_of_a_listener_or_an_address_share_its_rates() {
    let rates = Rates { messages_per_second_max: 10, ..Rates::default() };
    let meters = Arc::new(Meters::new(rates));
    let (mut sim, terms) = (Sim::new(), Arc::<Terms>::default());
    let wires: Vec<usize> = ["a", "b", "c"]
        .into_iter()
        .map(|client_id| {
            let wire = sim.open_sharing(&terms, vec![Arc::clone(&meters)]);
            sim.send(wire, &connect(V5, client_id));
            sim.expect(wire);
            wire
        })
        .collect();
    let read = read_of(&mut sim, &wires, 20);
    assert!((10..=13).contains(&read), "{read} of 60 at once");
    let others = sim.connect(V5, "others");
    assert_eq!(read_of(&mut sim, &[others], 20), 20, "nobody else waits");
    sim.advance(10_000);
    assert_eq!(sim.stats().publishes_received, 80, "nothing is lost");
}

#[test]
fn the_clients_of_a_user_share_its_rates() {
    let mut sim = Sim::new();
    sim.set_user_rates(Rates { bytes_per_second_max: 200, ..Rates::default() });
    let client = |user_name, client_id| ConnectOptions {
        user_name: Some(user_name),
        client_id,
        version: V5,
        ..ConnectOptions::default()
    };
    let wires = ["a", "b"].map(|client_id| sim.connect_with(&client("anna", client_id)));
    let other = sim.connect_with(&client("bert", "c"));
    // A publication has 13 bytes.
    let read = read_of(&mut sim, &wires, 40);
    assert!((14..=18).contains(&read), "{read} of 80 at once");
    let read = read_of(&mut sim, &[other], 10);
    assert_eq!(read, 10, "another user has rates of its own");
}

#[test]
fn a_user_that_connects_too_often_is_told_so() {
    for version in [V3_1_1, V5] {
        let mut sim = Sim::new();
        sim.set_user_rates(Rates { connects_per_second_max: 3, ..Rates::default() });
        let anna = ConnectOptions { user_name: Some("anna"), ..client(version) };
        let mut answers = Vec::new();
        for _ in 0..20 {
            let wire = sim.dial(&anna);
            let Packet::ConnAck(connack) = sim.expect(wire) else { panic!("no CONNACK") };
            answers.push(connack.reason_code);
        }
        let admitted = answers.iter().filter(|code| !code.is_error()).count();
        assert!((3..=4).contains(&admitted), "{answers:?}");
        let told =
            if version == V5 { ReasonCode::ConnectionRateExceeded } else { ReasonCode::ServerUnavailable };
        assert!(answers.iter().all(|code| !code.is_error() || *code == told), "{answers:?}");
        sim.connect(version, "nobody");
        sim.advance(1_000);
        sim.connect_with(&anna);
    }
}
