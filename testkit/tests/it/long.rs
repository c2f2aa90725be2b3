//! Long publications, which are recorded in parts: others do not wait for all of them, and they are there or not.

use noctule_codec::{Packet, ProtocolVersion, Publish, QoS, ReasonCode};
use noctule_engine::JournalState;
use noctule_store::simulated::{Fault, Operation};
use noctule_testkit::sim::{
    ConnectOptions, Crash, Durability, Sim, SimOptions, ack, disconnect, payloads, publish, subscribe, texts,
};
use std::io::ErrorKind;

use ProtocolVersion::V5;
use QoS::{AtLeastOnce, AtMostOnce, ExactlyOnce};

const CRASHES: [Crash; 3] = [Crash::Kill, Crash::PowerCut, Crash::Stop];

/// Payloads above ten bytes are recorded in parts.
fn options(seed: u64, shards: u16) -> SimOptions {
    let (shuffled, durability) = (seed > 0, Durability::Disk);
    SimOptions { seed, shards, shuffled, durability, part_bytes: 10, ..SimOptions::default() }
}

fn with_every_end(story: impl Fn(&mut Sim, Crash)) {
    for crash in CRASHES {
        for (seed, shards) in [(0, 1), (0, 3), (1, 1), (2, 3)] {
            story(&mut Sim::with(options(seed, shards)), crash);
        }
    }
}

fn panel() -> ConnectOptions<'static> {
    ConnectOptions::durable(V5, "panel", 3600)
}

/// A durable client has subscribed and gone.
#[track_caller]
fn panel_is_away(sim: &mut Sim, filter: &str) {
    let wire = sim.connect_with(&panel());
    sim.subscribe(wire, filter, ExactlyOnce);
    sim.send(wire, &disconnect(ReasonCode::NORMAL_DISCONNECTION));
}

/// What it is given when it comes back.
fn given_to_panel(sim: &mut Sim) -> Vec<String> {
    let wire = sim.connect_with(&panel());
    payloads(&sim.deliveries(wire)).into_iter().map(str::to_owned).collect()
}

/// 95 bytes: ten parts.
fn long(number: usize) -> String {
    format!("{number:05}{}", "0123456789".repeat(9))
}

fn long_publish(payload: &str, qos: QoS, packet_id: u16) -> Publish<'_> {
    publish("a/long", payload.as_bytes(), qos, packet_id)
}

/// The journal is full of other things: its segments are freed many times over.
fn churn(sim: &mut Sim) {
    let busy = sim.connect_with(&ConnectOptions::durable(V5, "busy", 3600));
    sim.subscribe(busy, "busy", ExactlyOnce);
    let before = sim.segments_freed();
    let publisher = sim.connect(V5, "publisher");
    for number in 0..150 {
        sim.publish(publisher, "busy", &long(number), AtLeastOnce);
        assert_eq!(sim.deliveries(busy).len(), 1);
    }
    assert!(sim.segments_freed() > before + 2, "{} segments", sim.segments_freed() - before);
}

/// What the journal has of publications, in order: "part", "in parts" for the record of a long one, "whole".
fn publications(sim: &Sim) -> Vec<&'static str> {
    let journal = sim.describe_journal();
    let publication = |line: &str| match line.split_once(": ")?.1 {
        record if record.starts_with("Part") => Some("part"),
        record if !record.starts_with("Published") => None,
        record if record.contains("parts: None") => Some("whole"),
        _ => Some("in parts"),
    };
    journal.lines().filter_map(publication).collect()
}

#[test]
fn what_others_wait_for_stands_between_the_parts() {
    let mut sim = Sim::with(options(0, 1));
    panel_is_away(&mut sim, "a/#");
    let (camera, sensor) = (sim.connect(V5, "camera"), sim.connect(V5, "sensor"));
    sim.hold_journal(true);
    let payload = long(1);
    sim.send(camera, &Packet::Publish(long_publish(&payload, AtLeastOnce, 1)));
    sim.send(sensor, &Packet::Publish(publish("a/small", b"small", AtLeastOnce, 1)));
    sim.hold_journal(false);
    assert!(matches!(sim.expect(sensor), Packet::PubAck(_)));
    assert!(matches!(sim.expect(camera), Packet::PubAck(_)));
    let expected = [&["part", "whole"][..], &["part"; 9], &["in parts"]].concat();
    assert_eq!(publications(&sim), expected);
    assert_eq!(given_to_panel(&mut sim), ["small", &payload], "in the order in which they were accepted");
}

#[test]
fn what_follows_on_its_connection_waits() {
    let mut sim = Sim::with(options(0, 1));
    panel_is_away(&mut sim, "a/#");
    let camera = sim.connect(V5, "camera");
    let payload = long(1);
    sim.queue(camera, &Packet::Publish(long_publish(&payload, AtLeastOnce, 1)));
    sim.queue(camera, &Packet::Publish(publish("a/x", b"2", AtLeastOnce, 2)));
    sim.send(camera, &Packet::Publish(publish("b/x", b"3", AtLeastOnce, 3)));
    for id in [1, 2, 3] {
        assert!(matches!(sim.expect(camera), Packet::PubAck(ack) if ack.packet_id.get() == id));
    }
    assert_eq!(given_to_panel(&mut sim), [&payload, "2"]);
}

#[test]
fn two_take_turns() {
    let mut sim = Sim::with(options(0, 1));
    panel_is_away(&mut sim, "a/#");
    let cameras = ["one", "two"].map(|client_id| sim.connect(V5, client_id));
    sim.hold_journal(true);
    let payloads = [long(1), long(2)];
    for (camera, payload) in cameras.iter().zip(&payloads) {
        sim.send(*camera, &Packet::Publish(long_publish(payload, AtLeastOnce, 1)));
    }
    sim.hold_journal(false);
    for camera in cameras {
        assert!(matches!(sim.expect(camera), Packet::PubAck(_)));
    }
    let expected = [&["part"; 19][..], &["in parts", "part", "in parts"]].concat();
    assert_eq!(publications(&sim), expected);
    assert_eq!(given_to_panel(&mut sim), payloads);
}

#[test]
fn nothing_comes_in_parts_that_nobody_durable_is_owed() {
    let mut sim = Sim::with(options(0, 1));
    let live = sim.connect(V5, "live");
    sim.subscribe(live, "a/#", AtLeastOnce);
    panel_is_away(&mut sim, "b/#");
    let camera = sim.connect(V5, "camera");
    sim.publish(camera, "a/long", &long(1), AtLeastOnce);
    sim.publish(camera, "b/long", &long(2), AtMostOnce);
    assert_eq!(sim.deliveries(live).len(), 1);
    assert_eq!(publications(&sim), [""; 0]);
}

#[test]
fn what_was_acknowledged_outlives_every_end() {
    with_every_end(|sim, crash| {
        panel_is_away(sim, "a/#");
        let camera = sim.connect(V5, "camera");
        for (number, qos) in [(1, AtLeastOnce), (2, ExactlyOnce)] {
            sim.publish(camera, "a/long", &long(number), qos);
        }
        sim.retain(camera, "kept", &long(3), AtMostOnce);
        sim.retain(camera, "kept/too", &long(4), ExactlyOnce);
        sim.run();
        sim.crash_and_restart(crash);
        assert_eq!(given_to_panel(sim), [long(1), long(2)]);
        let newcomer = sim.connect(V5, "newcomer");
        sim.subscribe(newcomer, "kept/#", AtLeastOnce);
        let (third, fourth) = (long(3), long(4));
        let mut kept = sim.deliveries(newcomer);
        kept.sort_unstable_by_key(|publish| publish.topic);
        assert_eq!(texts(&kept), [("kept", &*third), ("kept/too", &*fourth)]);
    });
}

#[test]
fn what_is_owed_moves_on_before_its_parts_are_freed() {
    with_every_end(|sim, crash| {
        panel_is_away(sim, "a/#");
        let worker = sim.connect_with(&ConnectOptions::durable(V5, "worker", 3600));
        sim.subscribe(worker, "$share/workers/job", AtLeastOnce);
        sim.send(worker, &disconnect(ReasonCode::NORMAL_DISCONNECTION));
        let camera = sim.connect(V5, "camera");
        sim.publish(camera, "a/long", &long(1), AtLeastOnce);
        sim.retain(camera, "kept", &long(2), AtLeastOnce);
        sim.publish(camera, "job", &long(3), AtLeastOnce);
        for _ in 0..2 {
            churn(sim);
            sim.crash_and_restart(crash);
        }
        assert_eq!(given_to_panel(sim), [long(1)]);
        let newcomer = sim.connect(V5, "newcomer");
        sim.subscribe(newcomer, "kept", AtLeastOnce);
        assert_eq!(payloads(&sim.deliveries(newcomer)), [long(2)]);
        let worker = sim.connect_with(&ConnectOptions::durable(V5, "worker", 3600));
        assert_eq!(payloads(&sim.deliveries(worker)), [long(3)]);
    });
}

/// The power goes with each call of the disk while a long publication is recorded and acknowledged.
#[test]
fn a_power_cut_at_any_call_leaves_all_of_it_or_nothing() {
    let (mut lost, mut kept) = (0, 0);
    for calls in 0..60 {
        let mut sim = Sim::with(options(0, 1));
        panel_is_away(&mut sim, "a/#");
        let camera = sim.connect(V5, "camera");
        sim.publish(camera, "a/before", "before", AtLeastOnce);
        sim.cut_power_after(calls);
        let payload = long(1);
        sim.send(camera, &Packet::Publish(long_publish(&payload, AtLeastOnce, 2)));
        let is_acknowledged = sim.receive(camera).is_some();
        sim.crash_and_restart(Crash::PowerCut);
        let given = given_to_panel(&mut sim);
        assert_eq!(given[0], "before");
        match &given[1..] {
            [] => lost += 1,
            [all] if *all == payload => kept += 1,
            other => panic!("cut after {calls} calls: {other:?}"),
        }
        assert!(
            given.len() == 2 || !is_acknowledged,
            "cut after {calls} calls: what was acknowledged is lost"
        );
    }
    assert!(lost > 10 && kept > 10, "{lost} lost, {kept} kept");
}

#[test]
fn a_publication_whose_connection_ends_was_not_accepted_and_keeps_no_space() {
    let mut sim = Sim::with(options(0, 1));
    panel_is_away(&mut sim, "a/#");
    let camera = sim.connect(V5, "camera");
    sim.hold_journal(true);
    let payload = long(1);
    sim.send(camera, &Packet::Publish(long_publish(&payload, AtLeastOnce, 1)));
    sim.cut(camera);
    sim.hold_journal(false);
    churn(&mut sim);
    assert_eq!(given_to_panel(&mut sim), [""; 0]);
}

#[test]
fn a_session_that_is_taken_over_sends_it_again() {
    let mut sim = Sim::with(options(0, 1));
    panel_is_away(&mut sim, "a/#");
    let camera = ConnectOptions::durable(V5, "camera", 3600);
    let first = sim.connect_with(&camera);
    sim.hold_journal(true);
    let payload = long(1);
    sim.send(first, &Packet::Publish(long_publish(&payload, ExactlyOnce, 1)));
    let second = sim.dial(&camera);
    sim.run();
    sim.hold_journal(false);
    assert!(matches!(sim.expect(second), Packet::ConnAck(_)));
    sim.send(second, &Packet::Publish(Publish { dup: true, ..long_publish(&payload, ExactlyOnce, 1) }));
    assert!(matches!(sim.expect(second), Packet::PubRec(_)));
    sim.send(second, &Packet::PubRel(ack(1)));
    assert!(matches!(sim.expect(second), Packet::PubComp(_)));
    assert_eq!(given_to_panel(&mut sim), [payload]);
}

#[test]
fn it_is_refused_where_the_journal_takes_no_more() {
    let mut sim = Sim::with(options(0, 1));
    panel_is_away(&mut sim, "a/#");
    let camera = sim.connect(V5, "camera");
    sim.hold_journal(true);
    let payload = long(1);
    sim.send(camera, &Packet::Publish(long_publish(&payload, AtLeastOnce, 1)));
    sim.disk().fail_when(|call| {
        matches!(call.operation, Operation::Write { .. }).then_some(Fault::Fails(ErrorKind::Other))
    });
    sim.hold_journal(false);
    sim.advance(2_000);
    assert_eq!(sim.journal_state(), JournalState::Failing);
    // Its shard learns of that with its next turn.
    sim.connect(V5, "somebody");
    let Packet::PubAck(ack) = sim.expect(camera) else { panic!("it is answered") };
    assert_eq!(ack.reason_code, ReasonCode::UnspecifiedError);
    sim.disk().heal();
    sim.advance(2_000);
    assert_eq!(sim.publish(camera, "a/long", &payload, AtLeastOnce), ReasonCode::Success);
    assert_eq!(given_to_panel(&mut sim), [payload]);
}

#[test]
fn who_subscribes_while_it_is_recorded_is_given_it() {
    let mut sim = Sim::with(options(0, 1));
    panel_is_away(&mut sim, "a/#");
    let (camera, newcomer) = (sim.connect(V5, "camera"), sim.connect(V5, "newcomer"));
    sim.hold_journal(true);
    let payload = long(1);
    sim.send(camera, &Packet::Publish(long_publish(&payload, AtLeastOnce, 1)));
    sim.send(newcomer, &subscribe(1, &[("a/#", AtLeastOnce)]));
    assert!(matches!(sim.expect(newcomer), Packet::SubAck(_)));
    sim.hold_journal(false);
    assert_eq!(payloads(&sim.deliveries(newcomer)), [payload]);
}
