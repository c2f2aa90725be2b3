//! A disk that is full or fails: what needs a record is refused before it is applied, everything else goes on, and
//! nothing that was acknowledged is lost.

use noctule_codec::{Packet, ProtocolVersion, QoS, ReasonCode};
use noctule_engine::JournalState;
use noctule_store::simulated::{Fault, Operation};
use noctule_testkit::sim::{
    ConnectOptions, Crash, Durability, Sim, SimOptions, VERSIONS, ack, disconnect, payloads, publish,
    subscribe, unsubscribe, will,
};
use std::io::ErrorKind;

use ProtocolVersion::{V3_1_1, V5};
use QoS::{AtLeastOnce, AtMostOnce, ExactlyOnce};

/// A broker on one shard with a durable session that is away and wants `a/#`, a durable publisher, a clean one, and
/// a durable subscriber to `live`.
struct Stage {
    sim: Sim,
    publisher: usize,
    clean: usize,
    live: usize,
}

impl Stage {
    fn new() -> Self {
        Self::with(V5)
    }

    fn with(version: ProtocolVersion) -> Self {
        let mut sim = Sim::with(SimOptions { durability: Durability::Disk, ..SimOptions::default() });
        let panel = sim.connect_with(&panel());
        sim.subscribe(panel, "a/#", AtLeastOnce);
        sim.send(panel, &disconnect(ReasonCode::NORMAL_DISCONNECTION));
        let publisher = sim.connect_with(&ConnectOptions::durable(version, "publisher", 3600));
        let clean = sim.connect(version, "clean");
        let live = sim.connect_with(&ConnectOptions::durable(version, "live", 3600));
        sim.subscribe(live, "live", ExactlyOnce);
        Self { sim, publisher, clean, live }
    }

    /// Fills the disk with what the session is owed that is away; gives back the payloads that were taken.
    fn fill(&mut self) -> Vec<String> {
        self.fill_with("a/x")
    }

    fn fill_with(&mut self, topic: &str) -> Vec<String> {
        let disk = self.sim.disk();
        let names = disk.names();
        let files = names.iter().filter_map(|name| disk.content(name)).map(|content| content.len() as u64);
        // There is room for one file more: the next segment is not made before it is needed.
        let capacity = files.clone().sum::<u64>() + files.max().unwrap_or(0);
        disk.set_capacity(Some(capacity));
        let mut taken = Vec::new();
        while self.sim.journal_state() == JournalState::Open {
            let payload = format!("{}{}", taken.len(), ".".repeat(100));
            match self.sim.publish(self.publisher, topic, &payload, AtLeastOnce) {
                ReasonCode::Success => taken.push(payload),
                code => assert_eq!(code, ReasonCode::QuotaExceeded),
            }
        }
        assert_eq!(self.sim.journal_state(), JournalState::Full);
        taken
    }

    /// Has every write fail from now on, and lets the broker learn of it.
    fn fail(&mut self) {
        self.sim.disk().fail_when(|call| {
            matches!(call.operation, Operation::Write { .. }).then_some(Fault::Fails(ErrorKind::Other))
        });
        self.sim.send(self.clean, &Packet::Publish(publish("a/x", b"pending", AtLeastOnce, 1)));
        assert_eq!(self.sim.receive(self.clean), None, "a failure is no acknowledgement");
        assert_eq!(self.sim.journal_state(), JournalState::Failing);
    }

    /// The messages that the session which was away is owed.
    fn owed(&mut self) -> Vec<String> {
        let panel = self.sim.connect_with(&panel());
        payloads(&self.sim.deliveries(panel)).into_iter().map(ToOwned::to_owned).collect()
    }
}

fn panel() -> ConnectOptions<'static> {
    ConnectOptions::durable(V5, "panel", 3600)
}

/// What is refused, by which code in 5.0.
fn check_refusals(stage: &mut Stage, code: ReasonCode) {
    let Stage { sim, publisher, .. } = stage;
    for qos in [AtLeastOnce, ExactlyOnce] {
        assert_eq!(sim.publish(*publisher, "a/x", "refused", qos), code, "{qos:?}");
    }
    // The packet id of a durable session needs a record, whoever wants the message.
    assert_eq!(sim.publish(*publisher, "nobody", "refused", ExactlyOnce), code);
    assert_eq!(sim.retain(*publisher, "kept", "refused", AtLeastOnce), code);
    assert_eq!(sim.subscribe_all(*publisher, &[("b", AtMostOnce)]), [code]);
    sim.send(stage.live, &unsubscribe(7, &["live"]));
    match sim.expect(stage.live) {
        Packet::UnsubAck(answer) => assert_eq!(answer.reason_codes[..], [ReasonCode::UnspecifiedError]),
        packet => panic!("UNSUBSCRIBE was answered by {packet:?}"),
    }
    let refused = [
        ConnectOptions::durable(V5, "new", 60),
        ConnectOptions { client_id: "new", ..ConnectOptions::default() }.with_will(will("w", "gone")),
    ];
    for options in refused {
        assert_eq!(sim.refusal(&options), ReasonCode::ServerUnavailable);
    }
    assert_eq!(sim.refusal(&ConnectOptions::durable(V3_1_1, "new", 60)), ReasonCode::ServerUnavailable);
}

/// What goes on all the same.
fn check_the_rest(stage: &mut Stage) {
    let Stage { sim, publisher, live, .. } = stage;
    assert_eq!(sim.publish(*publisher, "live", "at QoS 0", AtMostOnce), ReasonCode::Success);
    assert_eq!(payloads(&sim.deliveries(*live)), ["at QoS 0"]);
    let newcomer = sim.connect(V5, "newcomer");
    sim.subscribe(newcomer, "c", ExactlyOnce);
    let another = sim.connect(V5, "another");
    assert_eq!(sim.publish(another, "c", "clean", ExactlyOnce), ReasonCode::Success);
    assert_eq!(payloads(&sim.deliveries(newcomer)), ["clean"]);
}

#[test]
fn what_needs_a_record_is_refused_while_the_disk_is_full() {
    let mut stage = Stage::new();
    let taken = stage.fill();
    check_refusals(&mut stage, ReasonCode::QuotaExceeded);
    check_the_rest(&mut stage);
    assert!(taken.len() > 10);

    stage.sim.disk().set_capacity(None);
    stage.sim.advance(2_000);
    assert_eq!(stage.sim.journal_state(), JournalState::Open);
    assert_eq!(stage.sim.publish(stage.publisher, "a/x", "later", ExactlyOnce), ReasonCode::Success);
    stage.sim.crash_and_restart(Crash::PowerCut);
    let mut expected = taken;
    expected.push("later".to_owned());
    assert_eq!(stage.owed(), expected);
}

#[test]
fn subscribers_come_to_an_end_while_the_disk_is_full() {
    let mut stage = Stage::new();
    for payload in ["1", "2"] {
        stage.sim.publish(stage.clean, "live", payload, ExactlyOnce);
    }
    stage.fill();
    assert_eq!(payloads(&stage.sim.deliveries(stage.live)), ["1", "2"]);
    stage.sim.crash_and_restart(Crash::PowerCut);
    let live = stage.sim.connect_with(&ConnectOptions::durable(V5, "live", 3600));
    assert_eq!(stage.sim.receive(live), None, "it is owed nothing any more");
}

#[test]
fn room_comes_back_when_a_subscriber_has_what_it_was_owed() {
    let mut stage = Stage::new();
    let taken = stage.fill_with("live");
    assert_eq!(payloads(&stage.sim.deliveries(stage.live)), taken);
    stage.sim.advance(5_000);
    assert_eq!(stage.sim.journal_state(), JournalState::Open);
    assert_eq!(stage.sim.publish(stage.publisher, "a/x", "later", ExactlyOnce), ReasonCode::Success);
    stage.sim.crash_and_restart(Crash::PowerCut);
    assert_eq!(stage.owed(), ["later"]);
}

/// What was taken has its room until it is acknowledged, however small the messages are, whoever wants them, and
/// however often the journal says meanwhile what still counts.
#[test]
fn a_full_journal_can_always_be_emptied() {
    for (away, qos) in [(1, AtLeastOnce), (1, ExactlyOnce), (7, AtLeastOnce), (7, ExactlyOnce)] {
        let mut sim = Sim::with(SimOptions { durability: Durability::Disk, ..SimOptions::default() });
        let ids: Vec<String> = (0..away).map(|number| format!("away-{number}")).collect();
        for id in &ids {
            let session = sim.connect_with(&ConnectOptions::durable(V5, id, 3600));
            sim.subscribe(session, "t", qos);
            sim.send(session, &disconnect(ReasonCode::NORMAL_DISCONNECTION));
        }
        let publisher = sim.connect(V5, "publisher");
        sim.disk().set_capacity(Some(1 << 20));
        let mut taken = 0;
        while sim.publish(publisher, "t", "", AtLeastOnce) == ReasonCode::Success {
            taken += 1;
        }
        assert_eq!(sim.journal_state(), JournalState::Full);
        sim.advance(60_000);
        for id in &ids {
            let session = sim.connect_with(&ConnectOptions::durable(V5, id, 3600));
            assert_eq!(sim.deliveries(session).len(), taken, "{id} of {away} at {qos:?}");
        }
        sim.advance(60_000);
        assert_eq!(sim.journal_state(), JournalState::Open);
        assert_eq!(sim.publish(publisher, "t", "", AtLeastOnce), ReasonCode::Success);
    }
}

#[test]
fn room_comes_back_when_a_client_comes_for_what_it_is_owed() {
    let mut stage = Stage::new();
    let taken = stage.fill();
    let panel = panel().with_will(will("w", "gone"));
    let panel = stage.sim.connect_with(&panel);
    assert_eq!(payloads(&stage.sim.deliveries(panel)), taken);
    stage.sim.advance(5_000);
    assert_eq!(stage.sim.journal_state(), JournalState::Open);
    assert_eq!(stage.sim.publish(stage.publisher, "a/x", "later", ExactlyOnce), ReasonCode::Success);
    assert_eq!(payloads(&stage.sim.deliveries(panel)), ["later"]);
    stage.sim.crash_and_restart(Crash::PowerCut);
    assert_eq!(stage.owed().len(), 0);
}

#[test]
fn what_needs_a_record_is_refused_while_the_disk_fails() {
    let mut stage = Stage::new();
    stage.fail();
    check_refusals(&mut stage, ReasonCode::UnspecifiedError);
    check_the_rest(&mut stage);
    assert_eq!(stage.sim.receive(stage.clean), None, "what waits still waits");

    stage.sim.disk().heal();
    stage.sim.advance(2_000);
    assert!(matches!(stage.sim.expect(stage.clean), Packet::PubAck(ack) if !ack.reason_code.is_error()));
    assert_eq!(stage.sim.journal_state(), JournalState::Open);
    stage.sim.crash_and_restart(Crash::PowerCut);
    assert_eq!(stage.owed(), ["pending"]);
}

#[test]
fn mqtt311_4_8_0_2_clients_of_3_x_are_closed_where_they_cannot_be_told() {
    for version in [ProtocolVersion::V3_1, V3_1_1] {
        for qos in [AtLeastOnce, ExactlyOnce] {
            let Stage { mut sim, publisher, clean, live } = Stage::with(version);
            sim.disk().fail_when(|call| {
                matches!(call.operation, Operation::Write { .. }).then_some(Fault::Fails(ErrorKind::Other))
            });
            sim.send(clean, &Packet::Publish(publish("a/x", b"pending", AtLeastOnce, 1)));
            sim.send(live, &subscribe(1, &[("b", AtLeastOnce)]));
            if version == V3_1_1 {
                assert!(matches!(sim.expect(live), Packet::SubAck(it) if it.reason_codes[0].is_error()));
                sim.send(live, &unsubscribe(2, &["live"]));
            }
            sim.expect_end(live, ReasonCode::UnspecifiedError);
            sim.send(publisher, &Packet::Publish(publish("a/x", b"refused", qos, 1)));
            sim.expect_end(publisher, ReasonCode::UnspecifiedError);
        }
    }
}

#[test]
fn a_failed_sync_is_made_up_for_in_another_segment() {
    let mut stage = Stage::new();
    let mut failures = 1;
    stage.sim.disk().fail_when(move |call| {
        let is_meant = call.operation == Operation::SyncData && failures > 0;
        failures -= u32::from(is_meant);
        is_meant.then_some(Fault::SyncForgets)
    });
    let code = stage.sim.publish(stage.publisher, "a/x", "1", ExactlyOnce);
    assert_eq!((code, stage.sim.journal_state()), (ReasonCode::Success, JournalState::Open));
    stage.sim.crash_and_restart(Crash::PowerCut);
    assert_eq!(stage.owed(), ["1"]);
}

#[test]
fn a_disk_that_syncs_no_more_is_written_to_again_after_a_restart() {
    let mut stage = Stage::new();
    stage.sim.publish(stage.publisher, "a/x", "1", ExactlyOnce);
    stage.sim.disk().fail_when(|call| (call.operation == Operation::SyncData).then_some(Fault::SyncForgets));
    stage.sim.send(stage.clean, &Packet::Publish(publish("a/x", b"2", AtLeastOnce, 1)));
    assert_eq!(stage.sim.receive(stage.clean), None);
    stage.sim.disk().heal();
    stage.sim.advance(10_000);
    assert_eq!(stage.sim.receive(stage.clean), None);
    assert_eq!(stage.sim.journal_state(), JournalState::Failing);
    check_refusals(&mut stage, ReasonCode::UnspecifiedError);

    stage.sim.crash_and_restart(Crash::PowerCut);
    let publisher = stage.sim.connect_with(&ConnectOptions::durable(V5, "publisher", 3600));
    assert_eq!(stage.sim.publish(publisher, "a/x", "3", AtLeastOnce), ReasonCode::Success);
    let owed = stage.owed();
    assert!(owed == ["1", "3"] || owed == ["1", "2", "3"], "{owed:?}");
}

#[test]
fn wills_and_ends_wait_for_the_disk_and_are_not_forgotten() {
    for version in VERSIONS {
        let mut stage = Stage::with(version);
        let watcher = stage.sim.watch("w");
        let options = ConnectOptions::durable(version, "c", 60).with_will(will("w", "gone"));
        let wire = stage.sim.connect_with(&options);
        stage.sim.disk().fail_when(|call| {
            matches!(call.operation, Operation::Write { .. }).then_some(Fault::Fails(ErrorKind::Other))
        });
        stage.sim.cut(wire);
        assert_eq!(stage.sim.receive(watcher), None);
        stage.sim.disk().heal();
        stage.sim.advance(2_000);
        assert_eq!(stage.sim.payloads(watcher), ["gone"]);
    }
}

#[test]
fn a_pubrel_still_releases_while_the_disk_fails() {
    let mut stage = Stage::new();
    stage.sim.send(stage.publisher, &Packet::Publish(publish("a/x", b"1", ExactlyOnce, 7)));
    assert!(matches!(stage.sim.expect(stage.publisher), Packet::PubRec(_)));
    stage.fail();
    stage.sim.send(stage.publisher, &Packet::PubRel(ack(7)));
    assert_eq!(stage.sim.receive(stage.publisher), None, "the end of the id is not on the disk");
    stage.sim.disk().heal();
    stage.sim.advance(2_000);
    assert!(matches!(stage.sim.drain(stage.publisher)[..], [Packet::PubComp(_)]));
}
