//! Queues whose contents are left to the journal: they come back in order, as far as they are still wanted.

use noctule_codec::{Packet, Properties, Property, ProtocolVersion, QoS, ReasonCode};
use noctule_session::DropReason;
use noctule_store::OpenError;
use noctule_store::simulated::{Fault, Operation};
use noctule_testkit::sim::{
    ConnectOptions, Crash, Durability, Sim, SimOptions, disconnect, payloads, publish,
};
use std::io::ErrorKind;

use ProtocolVersion::V5;
use QoS::{AtLeastOnce, ExactlyOnce};

fn sim(seed: u64, shards: u16) -> Sim {
    let durability = Durability::Disk;
    Sim::with(SimOptions { seed, shards, shuffled: seed > 0, durability, ..SimOptions::default() })
}

fn panel() -> ConnectOptions<'static> {
    ConnectOptions::durable(V5, "panel", 3600)
}

/// A durable subscriber that is away.
fn go_away(sim: &mut Sim) {
    let wire = sim.connect_with(&panel());
    sim.subscribe(wire, "a/#", ExactlyOnce);
    sim.send(wire, &disconnect(ReasonCode::NORMAL_DISCONNECTION));
}

/// Messages in both QoS that the subscriber is owed, and their payloads.
fn owe(sim: &mut Sim, count: usize, bytes: usize) -> Vec<String> {
    let sensor = sim.connect(V5, "sensor");
    let payloads: Vec<_> = (0..count).map(|number| format!("{number}{}", ".".repeat(bytes))).collect();
    for (number, payload) in payloads.iter().enumerate() {
        let qos = if number % 3 == 0 { AtLeastOnce } else { ExactlyOnce };
        sim.publish(sensor, "a/x", payload, qos);
    }
    payloads
}

/// How many deliveries have their contents in the journal alone, and how many there are.
fn left(sim: &Sim) -> (usize, usize) {
    let owed: Vec<_> = sim.sessions().flat_map(|session| session.outbound.iter()).collect();
    (owed.iter().filter(|owed| owed.is_missing()).count(), owed.len())
}

#[track_caller]
fn expect_all(sim: &mut Sim, wire: usize, expected: &[String]) {
    let deliveries = sim.deliveries(wire);
    assert_eq!(payloads(&deliveries), expected);
}

#[test]
fn a_queue_comes_back_in_order() {
    for (seed, shards) in [(0, 1), (1, 3)] {
        let mut sim = sim(seed, shards);
        go_away(&mut sim);
        let expected = owe(&mut sim, 1000, 20);
        assert_eq!(left(&sim), (1000, 1000));
        let memory = sim.directory().memory.bytes();
        assert!(memory < 150_000, "{memory} bytes for 1,000 messages");
        let wire = sim.connect_with(&panel());
        expect_all(&mut sim, wire, &expected);
        assert_eq!(left(&sim), (0, 0));
    }
}

#[test]
fn a_queue_comes_back_after_a_crash_and_after_its_segments_were_freed() {
    for (seed, shards) in [(0, 1), (1, 1), (2, 3)] {
        let mut sim = sim(seed, shards);
        go_away(&mut sim);
        let expected = owe(&mut sim, 100, 50);
        for crash in [Crash::Kill, Crash::PowerCut, Crash::Stop] {
            churn(&mut sim);
            assert_eq!(sim.check_journal(), Ok(()));
            sim.crash_and_restart(crash);
        }
        let wire = sim.connect_with(&panel());
        expect_all(&mut sim, wire, &expected);
    }
}

/// A session that its client resumes for one connection only: what it is owed is in the journal all the same
/// [MQTT-3.1.2-5].
#[test]
fn a_queue_comes_back_to_a_client_that_lets_its_session_end() {
    for (seed, shards) in [(0, 1), (1, 3)] {
        let mut sim = sim(seed, shards);
        go_away(&mut sim);
        let mut expected = owe(&mut sim, 1000, 20);
        let wire = sim.connect_with(&ConnectOptions::durable(V5, "panel", 0));
        expect_all(&mut sim, wire, &expected);
        expected = owe(&mut sim, 10, 20);
        expect_all(&mut sim, wire, &expected);
        assert_eq!(left(&sim), (0, 0));
    }
}

#[test]
fn what_such_a_client_has_not_taken_yet_outlives_its_segments() {
    for (seed, shards) in [(0, 1), (1, 1), (2, 3)] {
        let mut sim = sim(seed, shards);
        go_away(&mut sim);
        let expected = owe(&mut sim, 1000, 20);
        let wire =
            sim.connect_with(&ConnectOptions::durable(V5, "panel", 0).with(Property::ReceiveMaximum(1)));
        assert!(left(&sim).0 > 500, "most of it is left to the journal");
        churn(&mut sim);
        assert_eq!(sim.check_journal(), Ok(()));
        expect_all(&mut sim, wire, &expected);
        assert_eq!(sim.stats().drops[DropReason::Damaged as usize], 0);
    }
}

#[test]
fn such_a_session_is_gone_after_a_crash() {
    for crash in [Crash::Kill, Crash::PowerCut, Crash::Stop] {
        let mut sim = sim(0, 1);
        go_away(&mut sim);
        owe(&mut sim, 1000, 20);
        sim.connect_with(&ConnectOptions::durable(V5, "panel", 0).with(Property::ReceiveMaximum(1)));
        churn(&mut sim);
        sim.crash_and_restart(crash);
        let (_, connack) = sim.connack(&panel());
        assert!(!connack.session_present, "after {crash:?}");
        assert_eq!(left(&sim), (0, 0));
    }
}

/// Fills segments with what nobody is owed any more, so that old ones are freed.
fn churn(sim: &mut Sim) {
    let busy = sim.connect_with(&ConnectOptions::durable(V5, "busy", 3600));
    sim.subscribe(busy, "b", AtLeastOnce);
    let sensor = sim.connect(V5, "sensor");
    for _ in 0..150 {
        sim.publish(sensor, "b", &".".repeat(300), AtLeastOnce);
        assert_eq!(sim.deliveries(busy).len(), 1);
    }
    assert!(sim.segments_freed() > 5, "{} segments were freed", sim.segments_freed());
}

#[test]
fn a_client_that_is_far_behind_is_served_from_the_journal() {
    let mut sim = sim(0, 1);
    let slow = ConnectOptions { ..panel() }.with(Property::ReceiveMaximum(3));
    let wire = sim.connect_with(&slow);
    sim.subscribe(wire, "a/#", ExactlyOnce);
    let expected = owe(&mut sim, 900, 2000);
    let (missing, owed) = left(&sim);
    assert!(missing > 100 && owed == 900, "{missing} of {owed} are left to the journal");
    expect_all(&mut sim, wire, &expected);
}

#[test]
fn what_has_expired_meanwhile_is_not_sent() {
    let mut sim = sim(0, 1);
    go_away(&mut sim);
    let sensor = sim.connect(V5, "sensor");
    for number in 0..300_u16 {
        let payload = number.to_string();
        let mut message = publish("a/x", payload.as_bytes(), AtLeastOnce, 1);
        if number % 2 == 0 {
            message.properties = Properties::new().with(Property::MessageExpiryInterval(10)).into_owned();
        }
        sim.exchange_publish(sensor, message);
    }
    sim.advance(11_000);
    let wire = sim.connect_with(&panel());
    let expected: Vec<_> =
        (0..300).filter(|number| number % 2 == 1).map(|number| number.to_string()).collect();
    expect_all(&mut sim, wire, &expected);
    assert_eq!(sim.drops.iter().filter(|drop| drop.reason == DropReason::Expired).count(), 150);
    assert_eq!(left(&sim), (0, 0));
}

#[test]
fn what_is_too_long_for_the_client_meanwhile_is_not_sent() {
    let mut sim = sim(0, 1);
    go_away(&mut sim);
    let sensor = sim.connect(V5, "sensor");
    for number in 0..300 {
        let length = if number % 3 == 0 { 500 } else { 5 };
        sim.publish(sensor, "a/x", &".".repeat(length), ExactlyOnce);
    }
    let wire = sim.connect_with(&panel().with(Property::MaximumPacketSize(100)));
    assert_eq!(sim.deliveries(wire).len(), 200);
    assert_eq!(sim.drops.iter().filter(|drop| drop.reason == DropReason::Oversize).count(), 100);
    assert_eq!(left(&sim), (0, 0));
}

#[test]
fn a_takeover_at_any_time_of_the_reading_loses_nothing() {
    for seed in 1..40 {
        let mut sim = sim(seed, 1 + 2 * (seed % 2) as u16);
        go_away(&mut sim);
        let expected = owe(&mut sim, 300, 5);
        let first = sim.open();
        sim.queue(first, &Packet::Connect(panel().packet()));
        sim.run_while(|sim| sim.sessions().any(|it| *it.client_id == *"panel" && it.link.is_none()));
        sim.run_steps(2 * seed as usize);
        let (wire, _) = sim.connack(&panel());
        let mut seen: Vec<String> = sim.payloads(first);
        seen.extend(payloads(&sim.deliveries(wire)).iter().map(|payload| (*payload).to_owned()));
        // What the first connection was sent comes again.
        let behind = seen.len() - expected.len();
        assert_eq!(seen[behind..], expected, "seed {seed}");
    }
}

#[test]
fn a_session_that_ends_at_any_time_of_the_reading_gets_nothing() {
    for seed in 1..30 {
        let mut sim = sim(seed, 1 + 2 * (seed % 2) as u16);
        go_away(&mut sim);
        owe(&mut sim, 300, 5);
        let first = sim.open();
        sim.queue(first, &Packet::Connect(panel().packet()));
        sim.run_while(|sim| sim.sessions().any(|it| *it.client_id == *"panel" && it.link.is_none()));
        sim.run_steps(2 * seed as usize);
        let wire = sim.connect_with(&ConnectOptions { clean_start: true, ..panel() });
        assert_eq!(sim.receive(wire), None);
        assert_eq!(left(&sim), (0, 0));
        assert_eq!(sim.check_journal(), Ok(()), "seed {seed}");
    }
}

#[test]
fn a_message_that_is_damaged_is_dropped_and_everything_else_comes() {
    for bit in [0, 100, 200, 300, 400, 500] {
        let mut sim = sim(0, 1);
        go_away(&mut sim);
        let mut expected = owe(&mut sim, 50, 30);
        // Each message has a frame of its own, and they are read one after the other.
        let mut offsets = Vec::new();
        sim.disk().fail_when(move |call| {
            let Operation::Read { offset, .. } = call.operation else { return None };
            if !offsets.contains(&offset) {
                offsets.push(offset);
            }
            (offsets.get(21) == Some(&offset)).then_some(Fault::FlipsBit { bit })
        });
        let wire = sim.connect_with(&panel());
        let deliveries = sim.deliveries(wire);
        expected.remove(21);
        assert_eq!(payloads(&deliveries), expected);
        assert_eq!(sim.stats().drops[DropReason::Damaged as usize], 1);
        assert_eq!(left(&sim), (0, 0), "it is not owed any more");
    }
}

#[test]
fn what_the_disk_cannot_read_is_waited_for_by_who_needs_it() {
    for (seed, shards) in [(0, 1), (1, 3)] {
        let mut sim = sim(seed, shards);
        let other = || ConnectOptions::durable(V5, "other", 3600);
        let wire = sim.connect_with(&other());
        sim.subscribe(wire, "b", ExactlyOnce);
        sim.send(wire, &disconnect(ReasonCode::NORMAL_DISCONNECTION));
        go_away(&mut sim);
        let expected = owe(&mut sim, 20, 30);
        let sensor = sim.connect(V5, "sensor");
        sim.publish(sensor, "b", "behind them", ExactlyOnce);
        // All but the first ten messages of one session, and none of the other one.
        let (from, to) = (place_of(&sim, b"9....."), place_of(&sim, b"behind them"));
        assert_eq!(from.0, to.0, "they stand in one file");
        let unreadable = from.1..to.1 - 100;
        sim.disk().fail_when(move |call| {
            let Operation::Read { offset, .. } = call.operation else { return None };
            unreadable.contains(&offset).then_some(Fault::Fails(ErrorKind::Other))
        });
        let wire = sim.connect_with(&panel());
        expect_all(&mut sim, wire, &expected[..10]);
        let another = sim.connect_with(&other());
        assert_eq!(payloads(&sim.deliveries(another)), ["behind them"]);
        sim.advance(60_000);
        assert_eq!(payloads(&sim.deliveries(wire)), [""; 0]);

        sim.disk().heal();
        sim.advance(1_000);
        expect_all(&mut sim, wire, &expected[10..]);
        assert_eq!(sim.stats().drops[DropReason::Damaged as usize], 0);
        assert_eq!(left(&sim), (0, 0));
    }
}

#[test]
fn a_bit_that_flips_on_its_way_from_the_disk_is_no_damage() {
    let mut sim = sim(0, 1);
    go_away(&mut sim);
    let expected = owe(&mut sim, 50, 30);
    let mut reads = 0;
    sim.disk().fail_when(move |call| {
        reads += usize::from(matches!(call.operation, Operation::Read { .. }));
        (reads % 2 == 1).then_some(Fault::FlipsBit { bit: 300 })
    });
    let wire = sim.connect_with(&panel());
    expect_all(&mut sim, wire, &expected);
}

#[test]
fn a_segment_that_cannot_be_read_is_not_freed() {
    for crash in [Crash::Kill, Crash::PowerCut] {
        let mut sim = sim(0, 3);
        go_away(&mut sim);
        let expected = owe(&mut sim, 1, 30);
        sim.disk().fail_when(|call| {
            matches!(call.operation, Operation::Read { .. }).then_some(Fault::Fails(ErrorKind::Other))
        });
        let busy = sim.connect_with(&ConnectOptions::durable(V5, "busy", 3600));
        sim.subscribe(busy, "b", ExactlyOnce);
        let sensor = sim.connect(V5, "sensor");
        let churn = |sim: &mut Sim| {
            for _ in 0..200 {
                sim.publish(sensor, "b", &".".repeat(200), ExactlyOnce);
                assert_eq!(sim.deliveries(busy).len(), 1);
                sim.advance(100);
            }
        };
        churn(&mut sim);
        assert_eq!(sim.segments_freed(), 0);
        sim.disk().heal();
        sim.advance(1_000);
        churn(&mut sim);
        assert!(sim.segments_freed() > 4, "{} segments were freed", sim.segments_freed());
        sim.crash_and_restart(crash);
        let wire = sim.connect_with(&panel());
        expect_all(&mut sim, wire, &expected);
    }
}

#[test]
fn a_broker_does_not_start_on_a_damaged_journal() {
    let mut options = SimOptions { durability: Durability::Disk, ..SimOptions::default() };
    // What has an index is not looked at before somebody needs it.
    options.journal.read_whole_bytes_max = u64::MAX;
    let mut sim = Sim::with(options);
    go_away(&mut sim);
    owe(&mut sim, 50, 30);
    sim.crash(Crash::Kill);
    damage(&sim, b"21....");
    let Err(OpenError::Damaged(damage)) = sim.restart() else { panic!("it started") };
    assert!(damage.file.ends_with(".seg") && damage.offset > 4096, "{damage}");
    assert!(sim.is_down());
}

/// Changes the first place on the disk with these bytes.
#[track_caller]
fn damage(sim: &Sim, bytes: &[u8]) {
    let disk = sim.disk();
    let (name, offset) = place_of(sim, bytes);
    let mut content = disk.content(&name).expect("it is listed");
    content[offset as usize] ^= 1;
    disk.set_content(&name, content);
}

/// The first place on the disk with these bytes: the file and the offset.
#[track_caller]
fn place_of(sim: &Sim, bytes: &[u8]) -> (String, u64) {
    let disk = sim.disk();
    for name in disk.names() {
        let content = disk.content(&name).expect("it is listed");
        if let Some(at) = content.windows(bytes.len()).position(|window| window == bytes) {
            return (name, at as u64);
        }
    }
    panic!("these bytes are nowhere")
}
