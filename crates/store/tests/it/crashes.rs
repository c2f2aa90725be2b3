//! The power is cut, or a call fails, at every call of the disk in a story in which everything happens.

use crate::ledger::Ledger;
use crate::support::{Journal, SMALL, body};
use noctule_store::simulated::{Fault, Operation, SimulatedDisk};
use noctule_store::{Prepared, State};
use std::io::ErrorKind;

/// Everything a journal does: begins, grows, rolls over, is indexed, is freed and used again, syncs and does not,
/// takes a frame larger than a segment, is closed and opened again. Whatever fails is passed over, as the broker does.
fn story(disk: &SimulatedDisk, ledger: &mut Ledger) -> Option<Journal> {
    let mut journal = Journal::try_open(disk, SMALL, false).ok()?;
    let mut number = 0;
    for round in 0..3 {
        for _ in 0..14 {
            number += 1;
            ledger.append(&journal, &body(number, 8 + (number as usize * 131) % 900));
            if number % 3 == 0 {
                ledger.commit(&mut journal, number % 9 != 0);
            }
        }
        journal.committer().prepare_spare().ok();
        ledger.append(&journal, &body(1000 + round, 9000));
        ledger.append(&journal, &body(2000 + round, 20));
        ledger.commit(&mut journal, true);
        journal.index();
        let half = ledger.appended.len() / 2;
        ledger.release(&mut journal, half);
    }
    journal.opened.committer.close().ok();
    // Only after a success is everything known to be durable; what is known less of is checked less.
    ledger.durable = ledger.durable.max(journal.opened.appender.durable().get());
    let again = Journal::try_open(disk, SMALL, false).ok()?;
    ledger.check(&again.frames, "opened again without a crash");
    ledger.restart(&again);
    journal = again;
    ledger.append(&journal, b"after the restart");
    ledger.commit(&mut journal, true);
    Some(journal)
}

/// How many calls the story takes when all goes well.
fn calls_of_the_story() -> u64 {
    let disk = SimulatedDisk::new(1);
    story(&disk, &mut Ledger::default()).expect("all goes well");
    disk.calls()
}

/// After the crash the journal opens, keeps its promises, takes more, and keeps that over another crash.
fn goes_on(disk: &SimulatedDisk, ledger: &mut Ledger, seed: u64, context: &str) {
    let mut journal = ledger.reopen(disk, SMALL, context);
    for number in 0..4 {
        ledger.append(&journal, &body(5000 + number, 100 + 300 * number as usize));
    }
    assert!(ledger.commit(&mut journal, true), "{context}");
    ledger.append(&journal, b"not synced");
    ledger.commit(&mut journal, false);
    ledger.read_back(&mut journal, context);
    ledger.reopen(&disk.power_cut(seed + 100), SMALL, &format!("{context}, second crash"));
}

#[test]
fn the_power_may_go_at_every_call() {
    for call in 1..=calls_of_the_story() + 1 {
        for seed in 0..6 {
            let disk = SimulatedDisk::new(1);
            disk.cut_power_at(call);
            let mut ledger = Ledger::default();
            story(&disk, &mut ledger);
            let context = format!("power cut at call {call}, seed {seed}");
            goes_on(&disk.power_cut(seed), &mut ledger, seed, &context);
        }
    }
}

#[test]
fn the_process_may_end_at_every_call() {
    for call in 1..=calls_of_the_story() + 1 {
        let disk = SimulatedDisk::new(1);
        disk.cut_power_at(call);
        let mut ledger = Ledger::default();
        story(&disk, &mut ledger);
        goes_on(&disk.kill(), &mut ledger, call, &format!("killed at call {call}"));
    }
}

#[test]
fn the_power_may_go_again_at_every_call_of_recovery() {
    for call in (1..=calls_of_the_story()).step_by(3) {
        let disk = SimulatedDisk::new(1);
        disk.cut_power_at(call);
        let mut ledger = Ledger::default();
        story(&disk, &mut ledger);
        let disk = disk.power_cut(call);
        let mut recovery_call = 0;
        loop {
            let mut ledger = ledger.clone();
            let disk = disk.copy();
            recovery_call += 1;
            disk.cut_power_at(recovery_call);
            let is_through = Journal::try_open(&disk, SMALL, false).is_ok();
            let context = format!("power cut at call {call} and at call {recovery_call} of recovery");
            goes_on(&disk.power_cut(recovery_call), &mut ledger, call, &context);
            if is_through {
                break;
            }
        }
    }
}

/// Every kind of failure that a call of this kind can have.
fn faults(operation: Operation) -> Vec<Fault> {
    let fails = [Fault::Fails(ErrorKind::Other), Fault::Fails(ErrorKind::StorageFull)];
    let kind = ErrorKind::Other;
    match operation {
        Operation::Write { bytes, .. } => {
            let parts = [0, 1, bytes / 2, bytes].map(|bytes| Fault::WritesPart { bytes, kind });
            fails.into_iter().chain(parts).collect()
        }
        Operation::SyncData | Operation::SyncDirectory => vec![fails[0], Fault::SyncForgets],
        Operation::Bytes | Operation::FreeBytes | Operation::List | Operation::Read { .. } => {
            vec![fails[0]]
        }
        _ => fails.to_vec(),
    }
}

#[test]
fn every_call_may_fail() {
    let operations = operations_of_the_story();
    for (index, operation) in operations.iter().enumerate() {
        for fault in faults(*operation) {
            let call = index as u64 + 1;
            let context = format!("call {call}, {operation:?}, has {fault:?}");
            let disk = SimulatedDisk::new(call);
            disk.fail_call(call, fault);
            let mut ledger = Ledger::default();
            let journal = story(&disk, &mut ledger);
            disk.heal();
            if let Some(mut journal) = journal {
                recovers_without_restart(&mut journal, &mut ledger, &context);
            }
            goes_on(&disk.power_cut(call), &mut ledger, call, &context);
        }
    }
}

/// One failed call never costs more than one commit, except where the names of files are uncertain.
fn recovers_without_restart(journal: &mut Journal, ledger: &mut Ledger, context: &str) {
    ledger.append(journal, b"after the failure");
    if journal.opened.appender.state() == State::ReadOnly {
        assert!(context.contains("SyncDirectory"), "{context}");
        return;
    }
    assert!(ledger.commit(journal, true), "{context}");
    assert_eq!(journal.opened.appender.state(), State::Open, "{context}");
    while journal.committer().prepare_spare().expect("nothing fails any more") == Prepared::More {}
    ledger.read_back(journal, context);
}

fn operations_of_the_story() -> Vec<Operation> {
    let disk = SimulatedDisk::new(1);
    let (sender, operations) = std::sync::mpsc::sync_channel(10_000);
    disk.fail_when(move |call| {
        sender.try_send(call.operation).expect("the story is shorter");
        None
    });
    story(&disk, &mut Ledger::default()).expect("all goes well");
    disk.heal();
    operations.try_iter().collect()
}
