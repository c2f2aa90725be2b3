//! Whole brokers with clients of every kind over a network that breaks, while the broker crashes at every place
//! where something can happen and its disk fails: what was acknowledged is there, thousands of times over.
//!
//! A seed decides everything, as in `chaos.rs`: `NOCTULE_SEED=…` runs one again and prints its log with everything
//! that was recorded, `NOCTULE_SEEDS=n` runs n of them.

use crate::chaos::{Chaos, Variety, seeds};
use noctule_engine::JournalState;
use noctule_store::simulated::{Call, Fault as DiskFault, Operation};
use noctule_testkit::sim::{Crash, Durability, Entry, Fault, SimOptions};
use std::io::ErrorKind;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

#[test]
fn every_promise_outlives_crashes_on_one_shard() {
    survives(Setup { shards: 1, ..Setup::default() }, 600);
}

#[test]
fn every_promise_outlives_crashes_on_three_shards() {
    survives(Setup::default(), 600);
}

#[test]
fn every_promise_outlives_the_process_where_the_kernel_is_trusted() {
    survives(Setup { durability: Durability::Os, ..Setup::default() }, 200);
}

#[test]
fn every_promise_outlives_a_disk_that_fails_and_fills_up() {
    survives(Setup { has_disk_faults: true, ..Setup::default() }, 600);
}

#[test]
fn the_worlds_see_what_they_are_made_for() {
    let mut seen = Seen::default();
    for seed in 0..WORLDS_SEEN {
        let mut crashes = Crashes::new(seed, Setup { has_disk_faults: seed % 2 == 0, ..Setup::default() });
        assert_eq!(crashes.run(), [], "seed {seed}");
        for entry in &crashes.chaos.world.ledger.entries {
            match entry {
                Entry::Crashed { crash: Crash::Kill } => seen.kills += 1,
                Entry::Crashed { crash: Crash::PowerCut } => seen.power_cuts += 1,
                Entry::Crashed { crash: Crash::Stop } => seen.stops += 1,
                Entry::Refused { .. } => seen.refusals += 1,
                Entry::Delivered { delivery, .. } if delivery.dup => seen.repetitions += 1,
                _ => {}
            }
        }
        seen.segments_freed += crashes.chaos.world.sim.segments_freed_in_all();
        seen.recoveries_cut += crashes.chaos.world.recoveries_cut;
        seen.clocks_behind += crashes.chaos.world.clocks_behind;
        seen.expired_sessions += crashes.chaos.world.ledger.expired_sessions();
        seen.reads_failed += crashes.reads_failed.load(Ordering::Relaxed);
    }
    let Seen { kills, power_cuts, stops, refusals, repetitions, .. } = seen;
    let Seen { segments_freed, recoveries_cut, reads_failed, clocks_behind, expired_sessions, .. } = seen;
    for (what, count, least) in [
        ("kills", kills, 60),
        ("power cuts", power_cuts, 60),
        ("stops", stops, 40),
        ("refused publications", refusals, 10),
        ("repeated deliveries", repetitions, 60),
        ("segments freed", segments_freed, 60),
        ("recoveries cut short", recoveries_cut, 10),
        ("reads that failed", reads_failed, 20),
        ("clocks that were set back", clocks_behind, 30),
        ("sessions that expired while the broker was down", expired_sessions, 8),
    ] {
        assert!(count >= least, "{count} {what} in {WORLDS_SEEN} worlds");
    }
}

/// How often something rare is met differs by a factor of four from sixty worlds to the next sixty.
const WORLDS_SEEN: u64 = 180;

#[derive(Default)]
struct Seen {
    kills: usize,
    power_cuts: usize,
    stops: usize,
    refusals: usize,
    repetitions: usize,
    segments_freed: usize,
    recoveries_cut: usize,
    reads_failed: usize,
    clocks_behind: usize,
    expired_sessions: usize,
}

#[derive(Clone, Copy)]
struct Setup {
    shards: u16,
    durability: Durability,
    has_disk_faults: bool,
}

impl Default for Setup {
    fn default() -> Self {
        Self { shards: 3, durability: Durability::Disk, has_disk_faults: false }
    }
}

/// Runs worlds until some have failed, and shows these.
#[track_caller]
#[expect(clippy::print_stderr, reason = "who runs many seeds does not want to wait for the last one")]
fn survives(setup: Setup, seeds_default: u64) {
    let mut failures = 0;
    for seed in seeds(seeds_default) {
        let mut crashes = Crashes::new(seed, setup);
        let faults = crashes.run();
        if !faults.is_empty() {
            failures += 1;
            eprintln!("{}seed {seed}: {faults:#?}", crashes.chaos.log());
        }
        if failures == FAILURES_SHOWN {
            break;
        }
    }
    let again = "again, with the log: NOCTULE_SEED=… cargo test -p noctule-testkit --test it crash::";
    assert!(failures == 0, "{failures} worlds have failed; {again}");
}

/// A chaotic world whose broker crashes.
struct Crashes {
    chaos: Chaos,
    setup: Setup,
    reads_failed: Arc<AtomicUsize>,
}

impl Crashes {
    fn new(seed: u64, setup: Setup) -> Self {
        let Setup { shards, durability, .. } = setup;
        let sim = SimOptions { seed, shards, durability, ..SimOptions::default() };
        // In every third world not everything is promised of all topics.
        let durability_rules = if seed.is_multiple_of(3) { RULES } else { &[] };
        let variety =
            Variety { bytes_max: BYTES_MAX, has_brief_sessions: true, durability_rules, mangle: None };
        let mut crashes = Self { chaos: Chaos::with(sim, variety), setup, reads_failed: Arc::default() };
        crashes.chaos.world.may_refuse = setup.has_disk_faults;
        crashes
    }

    /// Everything that goes wrong, then peace, then one more crash, then judgement.
    fn run(&mut self) -> Vec<Fault> {
        for _ in 0..25 {
            if self.setup.has_disk_faults && self.chaos.random.one_in(3) {
                self.change_disk();
            }
            if self.setup.has_disk_faults && self.chaos.random.one_in(4) {
                self.spoil_reads();
            }
            if self.chaos.random.one_in(4) {
                self.threaten();
            }
            self.chaos.act();
            let pause = self.chaos.random.below(200) as u64;
            self.chaos.world.run_for(pause);
            self.come_back();
            if self.chaos.random.one_in(3)
                && let Err(difference) = self.check_journal()
            {
                return vec![Fault::Wrong(difference)];
            }
        }
        self.chaos.world.calm();
        self.repair_disk();
        if let Some(fault) = self.settle() {
            return vec![fault];
        }
        let crash = self.crash();
        self.chaos.world.crash_and_recover(crash, 100);
        if let Some(fault) = self.settle() {
            return vec![fault];
        }
        let faults = self.chaos.world.ledger.check(Some(self.chaos.watcher.0));
        if faults.is_empty() { self.chaos.check_retained() } else { faults }
    }

    /// Crashes the broker, now or in the middle of what comes next.
    fn threaten(&mut self) {
        let crash = self.crash();
        let random = &mut self.chaos.random;
        match random.below(3) {
            0 => self.chaos.world.crash(crash),
            1 if crash == Crash::PowerCut => {
                let calls = random.below(20) as u64;
                self.chaos.world.sim.cut_power_after(calls);
            }
            _ => {
                let steps = random.below(200);
                self.chaos.world.crash_after(steps, crash);
            }
        }
    }

    /// Starts a broker that is down, and sometimes cuts the power while it reads its journal.
    fn come_back(&mut self) {
        let Self { chaos: Chaos { world, random, .. }, setup, .. } = self;
        if !world.sim.is_down() {
            return;
        }
        let downtime_max = if random.one_in(4) { 6_000 } else { 1_500 };
        world.run_for(random.below(downtime_max) as u64);
        if setup.durability == Durability::Disk && random.one_in(3) {
            world.sim.cut_power_after(random.below(30) as u64);
        }
        let behind = if random.one_in(4) { random.below(5_000) as u64 } else { 0 };
        world.restart_behind(behind);
    }

    fn crash(&mut self) -> Crash {
        match self.chaos.random.below(5) {
            0 => Crash::Stop,
            1 | 2 if self.setup.durability == Durability::Disk => Crash::PowerCut,
            _ => Crash::Kill,
        }
    }

    /// Lets the disk fail or fill up from now on, or has it repaired.
    fn change_disk(&mut self) {
        let Chaos { world, random, .. } = &mut self.chaos;
        // A broker does not start with a disk that fails.
        if world.sim.is_down() {
            return;
        }
        let disk = world.sim.disk();
        let soon = disk.calls() + 1 + random.below(40) as u64;
        let error = if random.one_in(3) { ErrorKind::StorageFull } else { ErrorKind::Other };
        let bytes = random.below(300);
        match random.below(6) {
            0 => disk.set_capacity(Some(bytes_of(disk) + random.below(9000) as u64)),
            1 => disk.fail_when(move |call| is_write(call).then_some(DiskFault::Fails(error))),
            2 => {
                let part = DiskFault::WritesPart { bytes, kind: error };
                disk.fail_when(move |call| (is_write(call) && call.number % 2 == 0).then_some(part));
            }
            // The kernel forgets what it could not write: once, and the journal goes on elsewhere.
            3 => disk.fail_when(move |call| {
                (call.number == soon && call.operation == Operation::SyncData)
                    .then_some(DiskFault::SyncForgets)
            }),
            4 => disk.fail_when(move |call| (call.number == soon).then_some(DiskFault::Fails(error))),
            _ => self.repair_disk(),
        }
    }

    /// Has some of what is read fail, or come back wrong, until the disk is repaired.
    fn spoil_reads(&mut self) {
        let Chaos { world, random, .. } = &mut self.chaos;
        if world.sim.is_down() {
            return;
        }
        let failures = self.reads_failed.clone();
        // What comes back wrong twice is damaged, so that is never true of two tries in a row.
        let (fault, one_in) = match random.below(3) {
            0 => (DiskFault::FlipsBit { bit: random.below(2400) }, 8),
            1 => (DiskFault::Fails(ErrorKind::Other), 3),
            _ => (DiskFault::Fails(ErrorKind::Other), 1),
        };
        world.sim.disk().fail_when(move |call| {
            let is_meant = is_read(call) && call.number % one_in == 0;
            failures.fetch_add(usize::from(is_meant), Ordering::Relaxed);
            is_meant.then_some(fault)
        });
    }

    fn repair_disk(&mut self) {
        let disk = self.chaos.world.sim.disk();
        disk.heal();
        disk.set_capacity(None);
    }

    /// Everything that is owed arrives in bounded time, and the journal says what memory has.
    fn settle(&mut self) -> Option<Fault> {
        let is_settled = (0..40).any(|_| {
            self.chaos.world.run_for(1_000);
            self.come_back();
            self.start_anew_if_read_only();
            self.chaos.world.is_settled()
        });
        if !is_settled {
            let what = self.chaos.world.describe();
            return Some(Fault::Wrong(format!("not everything owed arrived:\n{what}")));
        }
        self.check_journal().err().map(Fault::Wrong)
    }

    /// A journal that has failed for good is well again after a restart, and no other needs one.
    fn start_anew_if_read_only(&mut self) {
        let world = &mut self.chaos.world;
        world.run_for(1_100);
        if !world.sim.is_down() && world.sim.journal_state() == JournalState::Failing {
            world.crash_and_recover(Crash::Stop, 100);
        }
    }

    /// What a crash would bring back now is what there is, as long as the journal can be written.
    fn check_journal(&self) -> Result<(), String> {
        let sim = &self.chaos.world.sim;
        match !sim.is_down() && sim.is_journal_at_rest() {
            true => sim.check_journal(),
            false => Ok(()),
        }
    }
}

fn is_write(call: &Call<'_>) -> bool {
    matches!(call.operation, Operation::Write { .. })
}

fn is_read(call: &Call<'_>) -> bool {
    matches!(call.operation, Operation::Read { .. })
}

/// What all files of a disk take.
fn bytes_of(disk: &noctule_store::simulated::SimulatedDisk) -> u64 {
    disk.names().iter().filter_map(|name| disk.content(name)).map(|content| content.len() as u64).sum()
}

/// Of each kind of message some are promised less than the rest.
const RULES: &[&str] = &["a/y=memory", "b/x=os", "kept/0=os", "kept/1=memory", "job/#=os"];
/// Messages are up to so long, so that a dozen fill a segment.
const BYTES_MAX: usize = 300;
/// After so many worlds that failed no more are tried.
const FAILURES_SHOWN: usize = 5;
