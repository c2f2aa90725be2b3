//! A journal and a list, told the same at random, with failures, crashes and full disks between.

use crate::ledger::Ledger;
use crate::support::{Journal, body};
use noctule_store::simulated::{Fault, Operation, SimulatedDisk};
use noctule_store::{Options, State};
use proptest::prelude::*;
use std::io::ErrorKind;

#[derive(Clone, Debug)]
enum Step {
    Append { bodies: Vec<usize> },
    Commit { sync: bool },
    Release { percent: usize },
    Prepare,
    Index,
    FailSoon { calls: u64, fault: Fault },
    Capacity { segments: Option<u64> },
    PowerCut { seed: u64 },
    PowerCutSoon { calls: u64, seed: u64 },
    Kill,
    Close,
}

fn step() -> impl Strategy<Value = Step> {
    let body_bytes = prop_oneof![6 => 8..600_usize, 1 => 600..12_000_usize];
    prop_oneof![
        8 => prop::collection::vec(body_bytes, 1..6).prop_map(|bodies| Step::Append { bodies }),
        6 => prop::bool::weighted(0.7).prop_map(|sync| Step::Commit { sync }),
        2 => (0..100_usize).prop_map(|percent| Step::Release { percent }),
        1 => Just(Step::Prepare),
        2 => Just(Step::Index),
        2 => (1..8_u64, fault()).prop_map(|(calls, fault)| Step::FailSoon { calls, fault }),
        1 => prop::option::of(4..16_u64).prop_map(|segments| Step::Capacity { segments }),
        1 => any::<u64>().prop_map(|seed| Step::PowerCut { seed }),
        2 => (1..12_u64, any::<u64>()).prop_map(|(calls, seed)| Step::PowerCutSoon { calls, seed }),
        1 => Just(Step::Kill),
        1 => Just(Step::Close),
    ]
}

fn fault() -> impl Strategy<Value = Fault> {
    prop_oneof![
        Just(Fault::Fails(ErrorKind::Other)),
        Just(Fault::Fails(ErrorKind::StorageFull)),
        (0..2000_usize).prop_map(|bytes| Fault::WritesPart { bytes, kind: ErrorKind::Other }),
        Just(Fault::SyncForgets),
    ]
}

/// A story as it is told.
struct Play {
    disk: SimulatedDisk,
    options: Options,
    journal: Option<Journal>,
    ledger: Ledger,
    number: u64,
    /// With what the power comes back if it goes by itself.
    seed: u64,
}

impl Play {
    fn new(options: Options) -> Self {
        let disk = SimulatedDisk::new(3);
        let journal = Journal::try_open(&disk, options, false).ok();
        Self { disk, options, journal, ledger: Ledger::default(), number: 0, seed: 0 }
    }

    fn step(&mut self, step: &Step) {
        match step {
            Step::FailSoon { calls, fault } => {
                // Only writing fails: what a journal does about reads that fail is to say so.
                let (from, fault) = (self.disk.calls() + calls, *fault);
                let mut is_done = false;
                self.disk.fail_when(move |call| {
                    let reads = matches!(call.operation, Operation::Read { .. } | Operation::Bytes);
                    let fails = call.number >= from && !is_done && !reads;
                    is_done |= fails;
                    fails.then_some(fault)
                });
            }
            Step::Capacity { segments } => {
                self.disk.set_capacity(segments.map(|segments| segments * self.options.segment_bytes));
            }
            Step::PowerCut { seed } => self.restart(self.disk.power_cut(*seed)),
            Step::PowerCutSoon { calls, seed } => {
                self.seed = *seed;
                self.disk.cut_power_at(self.disk.calls() + calls);
            }
            Step::Kill => self.restart(self.disk.kill()),
            Step::Close => {
                if let Some(journal) = self.journal.take() {
                    let appender = journal.opened.appender.clone();
                    journal.opened.committer.close().ok();
                    self.ledger.durable = appender.durable().get();
                }
                self.restart(self.disk.power_cut(self.seed));
            }
            _ => self.use_journal(step),
        }
    }

    fn use_journal(&mut self, step: &Step) {
        let Some(journal) = &mut self.journal else { return self.restart(self.disk.power_cut(self.seed)) };
        match step {
            Step::Append { bodies } => {
                for bytes in bodies {
                    self.number += 1;
                    self.ledger.append(journal, &body(self.number, *bytes));
                }
            }
            Step::Commit { sync } => {
                self.ledger.commit(journal, *sync);
                self.ledger.read_back(journal, "after a commit");
            }
            Step::Release { percent } => {
                let index = self.ledger.appended.len() * percent / 100;
                self.ledger.release(journal, index);
            }
            Step::Index => {
                journal.index();
            }
            _ => {
                journal.committer().prepare_spare().ok();
            }
        }
    }

    /// Opens what is there. Where that fails because of a fault, the next step tries again.
    fn restart(&mut self, disk: SimulatedDisk) {
        self.disk = disk;
        self.journal = None;
        // A disk that is too small for one segment is not the point here.
        if Journal::try_open(&self.disk.copy(), self.options, false).is_err() && self.disk.names().is_empty()
        {
            self.disk.set_capacity(None);
        }
        self.journal = Some(self.ledger.reopen(&self.disk, self.options, "after a restart"));
    }

    /// Whatever has happened, a healthy disk with room takes what is appended, or says until when not.
    fn end(mut self) {
        self.disk.heal();
        self.disk.set_capacity(None);
        if let Some(journal) = &mut self.journal
            && journal.opened.appender.state() != State::ReadOnly
        {
            self.ledger.append(journal, b"the end");
            let is_written = self.ledger.commit(journal, true);
            let may_refuse = match journal.opened.appender.state() {
                State::Full => self.options.journal_bytes_max > 0,
                state => state == State::ReadOnly,
            };
            assert!(is_written || may_refuse);
            self.ledger.read_back(journal, "at the end");
        }
        self.restart(self.disk.power_cut(self.seed));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 600, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_journal_keeps_what_a_list_keeps(
        steps in prop::collection::vec(step(), 1..60),
        is_bounded in any::<bool>(),
    ) {
        let journal_bytes_max = if is_bounded { 12 * 8192 } else { 0 };
        let mut play = Play::new(Options { journal_bytes_max, ..crate::support::SMALL });
        for step in &steps {
            play.step(step);
        }
        play.end();
    }
}
