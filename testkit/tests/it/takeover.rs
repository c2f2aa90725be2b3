//! Two connections with one client id: the second takes over [MQTT-3.1.4-3], [MQTT-3.1.4-2] of 3.1.1.

use noctule_codec::ProtocolVersion::{V3_1_1, V5};
use noctule_codec::{Packet, ProtocolVersion, QoS, ReasonCode, Will};
use noctule_session::Limits;
use noctule_testkit::sim::{
    ConnectOptions, Sim, SimOptions, VERSIONS, ack, publish, subscribe, will, will_after,
};
use std::collections::HashMap;

fn client(version: ProtocolVersion) -> ConnectOptions<'static> {
    ConnectOptions { version, client_id: "client", ..ConnectOptions::default() }
}

fn durable(version: ProtocolVersion) -> ConnectOptions<'static> {
    ConnectOptions::durable(version, "client", 100)
}

#[test]
fn mqtt5_3_1_4_3_and_mqtt311_3_1_4_2_the_old_client_is_disconnected() {
    for old in VERSIONS {
        for new in VERSIONS {
            for shards in [1, 3] {
                let mut sim = Sim::with(SimOptions { shards, ..SimOptions::default() });
                let first = sim.connect_with(&client(old));
                let second = sim.connect_with(&client(new));
                sim.expect_end(first, ReasonCode::SessionTakenOver);
                sim.expect_alive(second);
                assert_eq!(sim.stats().takeovers, 1);
                assert_eq!(sim.stats().clients_connected, 1);
            }
        }
    }
}

#[test]
fn bug_11_nanomq_2336_the_wire_codes_of_takeover_and_alias_0() {
    let mut sim = Sim::new();
    let first = sim.connect_with(&client(V5));
    let second = sim.connect_with(&client(V5));
    assert_eq!(sim.wire(first).unread()[0], 0xe0);
    assert_eq!(sim.wire(first).unread()[2], 0x8e);
    // PUBLISH on "t" with Topic Alias 0.
    sim.send_bytes(second, &[0x30, 7, 0, 1, b't', 3, 0x23, 0, 0]);
    assert_eq!(sim.wire(second).unread()[0], 0xe0);
    assert_eq!(sim.wire(second).unread()[2], 0x94);
    assert!(sim.is_closed(second));
}

#[test]
fn nothing_more_is_read_from_a_client_that_was_taken_over() {
    for version in VERSIONS {
        let mut sim = Sim::new();
        let watcher = sim.watch("t");
        let first = sim.connect_with(&client(version));
        let second = sim.open();
        sim.wire(first).reads_at_most = Some(0);
        sim.send(second, &Packet::Connect(client(version).packet()));
        sim.send(first, &Packet::Publish(publish("t", b"late", QoS::AtMostOnce, 0)));
        sim.wire(first).reads_at_most = None;
        sim.run();
        sim.expect_end(first, ReasonCode::SessionTakenOver);
        assert_eq!(sim.payloads(watcher), [""; 0], "{version:?}");
    }
}

#[test]
fn the_session_is_handed_over_with_what_it_is_owed() {
    for version in VERSIONS {
        let mut sim = Sim::new();
        let first = sim.connect_with(&durable(version));
        sim.subscribe(first, "t", QoS::AtLeastOnce);
        let publisher = sim.connect(V5, "publisher");
        sim.publish(publisher, "t", "one", QoS::AtLeastOnce);
        let (second, connack) = sim.connack(&durable(version));
        assert_eq!(connack.session_present, version != ProtocolVersion::V3_1);
        sim.publish(publisher, "t", "two", QoS::AtLeastOnce);
        assert_eq!(sim.payloads(second), ["one", "two"], "{version:?}");
        assert_eq!(sim.payloads(first), ["one"]);
    }
}

#[test]
fn a_clean_start_takes_over_without_the_session() {
    for version in VERSIONS {
        let mut sim = Sim::new();
        let first = sim.connect_with(&durable(version));
        sim.subscribe(first, "t", QoS::AtLeastOnce);
        let (second, connack) = sim.connack(&client(version));
        assert!(!connack.session_present);
        let publisher = sim.connect(V5, "publisher");
        sim.publish(publisher, "t", "p", QoS::AtLeastOnce);
        assert_eq!(sim.payloads(second), [""; 0]);
        sim.expect_end(first, ReasonCode::SessionTakenOver);
    }
}

#[test]
fn bug_2_emqx_18565_a_session_without_expiry_ends_with_its_connection_and_its_will_is_sent() {
    for shards in [1, 3] {
        let mut sim = Sim::with(SimOptions { shards, ..SimOptions::default() });
        let watcher = sim.watch("will");
        let first = sim.connect_with(&client(V5).with_will(will_after("will", "gone", 60)));
        sim.subscribe(first, "t", QoS::AtLeastOnce);
        let (second, connack) = sim.connack(&ConnectOptions { clean_start: false, ..client(V5) });
        assert!(!connack.session_present, "its expiry was 0");
        assert_eq!(sim.payloads(watcher), ["gone"], "no session, no delay");
        let publisher = sim.connect(V5, "publisher");
        sim.publish(publisher, "t", "p", QoS::AtLeastOnce);
        assert_eq!(sim.payloads(second), [""; 0], "the old subscription has ended");
    }
}

#[test]
fn bug_3_emqx_10551_the_will_of_a_3_1_1_client_is_sent_on_takeover() {
    for clean_start in [true, false] {
        let mut sim = Sim::new();
        let watcher = sim.watch("will");
        let options = ConnectOptions { clean_start, ..client(V3_1_1) };
        sim.connect_with(&options.clone().with_will(will("will", "gone")));
        sim.connect_with(&options);
        assert_eq!(sim.payloads(watcher), ["gone"], "clean session {clean_start}");
    }
}

#[test]
fn bug_5_flashmq_84_wills_after_a_takeover() {
    // (session expiry, will delay, clean start of the new client, whether the will is published)
    for (expiry, delay, clean_start, is_published) in [
        (0, 0, false, true),
        (0, 0, true, true),
        (0, 10, false, true),
        (0, 10, true, true),
        (100, 0, false, true),
        (100, 0, true, true),
        (100, 10, false, false),
        (100, 10, true, true),
    ] {
        for new in VERSIONS {
            let mut sim = Sim::new();
            let watcher = sim.watch("will");
            let old = ConnectOptions::durable(V5, "client", expiry);
            sim.connect_with(&old.with_will(will_after("will", "gone", delay)));
            let second = sim.connect_with(&ConnectOptions { clean_start, ..durable(new) });
            let expected: &[&str] = if is_published { &["gone"] } else { &[] };
            assert_eq!(sim.payloads(watcher), expected, "{expiry} {delay} {clean_start} {new:?}");
            // Neither later nor a second time.
            sim.advance(1_000_000);
            sim.cut(second);
            sim.advance(1_000_000);
            assert_eq!(sim.payloads(watcher), [""; 0], "{expiry} {delay} {clean_start} {new:?}");
        }
    }
}

#[test]
fn the_will_of_the_new_client_is_its_own() {
    for version in VERSIONS {
        let mut sim = Sim::new();
        let watcher = sim.watch("will");
        sim.connect_with(&durable(version).with_will(will("will", "first")));
        let second = sim.connect_with(&durable(version).with_will(will("will", "second")));
        assert_eq!(sim.payloads(watcher), ["first"]);
        sim.cut(second);
        assert_eq!(sim.payloads(watcher), ["second"]);
    }
}

/// What the clients of a race have in common.
struct Race {
    seed: u64,
    shards: u16,
    clients: usize,
    /// Seconds; 0: every session ends with its connection.
    session_expiry: u32,
}

#[test]
fn bug_17_emqx_6396_nothing_is_lost_in_a_takeover_race() {
    for shards in [1, 3] {
        for seed in 1..6 {
            run_race(&Race { seed, shards, clients: 150, session_expiry: 100 });
            run_race(&Race { seed, shards, clients: 150, session_expiry: 0 });
        }
    }
}

#[test]
fn thousands_of_connects_with_one_client_id_leave_one_connection_that_works() {
    for shards in [1, 3] {
        run_race(&Race { seed: 7, shards, clients: 2_000, session_expiry: 100 });
    }
}

/// Many clients connect under one id at once, each with a will of its own, while messages come for it. Nobody is slowed
/// down, so that they meet in every way.
fn run_race(race: &Race) {
    let limits = Limits { takeovers_undelayed_max: 0, ..Limits::default() };
    let (seed, shards) = (race.seed, race.shards);
    let options = SimOptions { seed, shards, limits, shuffled: true, ..SimOptions::default() };
    let mut sim = Sim::with(options);
    let owner = ConnectOptions::durable(V5, "client", race.session_expiry);
    let first = sim.connect_with(&owner);
    sim.subscribe(first, "t", QoS::AtLeastOnce);
    let watcher = sim.watch("will");
    let publisher = sim.connect(V5, "publisher");

    let names: Vec<String> = (0..race.clients).map(|n| n.to_string()).collect();
    let mut racers = vec![first];
    for (n, name) in names.iter().enumerate() {
        let last_word = Will { qos: QoS::AtLeastOnce, ..will("will", name) };
        let wire = sim.open();
        sim.queue(wire, &Packet::Connect(owner.clone().with_will(last_word).packet()));
        racers.push(wire);
        if n % 16 == 0 {
            let id = u16::try_from(n / 16 + 1).expect("few messages");
            sim.queue(publisher, &Packet::Publish(publish("t", name.as_bytes(), QoS::AtLeastOnce, id)));
        }
    }
    sim.run();

    let winner = the_one_that_stays(&mut sim, &racers);
    every_other_will_is_published_once(&mut sim, watcher, &names, winner, &racers);
    assert_eq!(sim.stats().clients_connected, 3, "winner, watcher and publisher");
    assert_eq!(sim.stats().sessions, 3);
    if race.session_expiry > 0 {
        let messages = names.iter().step_by(16);
        the_session_is_whole(&mut sim, winner, publisher, messages.cloned().collect());
    } else {
        assert_eq!(sim.stats().subscriptions, 1, "only the watcher's");
        sim.send(winner, &subscribe(1, &[("t", QoS::AtLeastOnce)]));
        sim.expect_alive(winner);
    }
}

/// Every connection got a CONNACK and then 0x8E, or was refused before its CONNACK left, but for one.
fn the_one_that_stays(sim: &mut Sim, racers: &[usize]) -> usize {
    let open: Vec<usize> = racers.iter().copied().filter(|wire| !sim.is_closed(*wire)).collect();
    assert_eq!(open.len(), 1, "one connection stays");
    for wire in racers.iter().copied().filter(|wire| *wire != open[0]) {
        let last = sim.drain(wire).pop();
        let is_told = match &last {
            Some(Packet::Disconnect(it)) => it.reason_code == ReasonCode::SessionTakenOver,
            Some(Packet::ConnAck(it)) => it.reason_code == ReasonCode::ServerBusy,
            _ => false,
        };
        assert!(is_told, "{wire} was told {last:?}");
    }
    open[0]
}

fn every_other_will_is_published_once(
    sim: &mut Sim,
    watcher: usize,
    names: &[String],
    winner: usize,
    racers: &[usize],
) {
    let mut wills: HashMap<String, usize> = HashMap::new();
    loop {
        let packets = sim.drain(watcher);
        if packets.is_empty() {
            break;
        }
        for packet in packets {
            let Packet::Publish(publish) = packet else { panic!("unexpected {packet:?}") };
            *wills.entry(String::from_utf8_lossy(publish.payload).into_owned()).or_default() += 1;
            sim.send(watcher, &Packet::PubAck(ack(publish.packet_id.expect("QoS 1").get())));
        }
    }
    // The first connection had no will, so the wills are one place behind the connections.
    for (name, wire) in names.iter().zip(&racers[1..]) {
        let expected = usize::from(*wire != winner);
        assert_eq!(wills.get(name).copied().unwrap_or(0), expected, "the will of {name}");
    }
}

/// The winner has, in order, every message that nobody acknowledged, and goes on receiving.
fn the_session_is_whole(sim: &mut Sim, winner: usize, publisher: usize, mut expected: Vec<String>) {
    assert_eq!(sim.payloads(winner), expected);
    assert_eq!(sim.drain(publisher).len(), expected.len(), "every publication is acknowledged");
    sim.publish(publisher, "t", "after", QoS::AtLeastOnce);
    assert_eq!(sim.payloads(winner), ["after"]);
    // None of them has been acknowledged, so the next connection finds them all.
    let next = sim.connect_with(&durable(V5));
    expected.push("after".to_owned());
    assert_eq!(sim.payloads(next), expected);
}
