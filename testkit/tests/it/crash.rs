//! Whole brokers with clients of every kind over a network that breaks, while the broker crashes at every place
//! where something can happen: what was acknowledged is there, thousands of times over.
//!
//! A seed decides everything, as in `chaos.rs`: `NOCTULE_SEED=…` runs one again and prints its log,
//! `NOCTULE_SEEDS=n` runs n of them.

use crate::chaos::{Chaos, seeds};
use noctule_testkit::sim::{Crash, Durability, Fault, SimOptions};

#[test]
fn every_promise_outlives_crashes_on_one_shard() {
    survives_crashes(1, Durability::Disk, 700);
}

#[test]
fn every_promise_outlives_crashes_on_three_shards() {
    survives_crashes(3, Durability::Disk, 700);
}

#[test]
fn every_promise_outlives_the_process_where_the_kernel_is_trusted() {
    survives_crashes(3, Durability::Os, 200);
}

fn survives_crashes(shards: u16, durability: Durability, seeds_default: u64) {
    let mut failed = Vec::new();
    for seed in seeds(seeds_default) {
        let sim = SimOptions { seed, shards, durability, ..SimOptions::default() };
        let mut crashes = Crashes { chaos: Chaos::with(sim, None, 300), durability };
        let faults = crashes.run();
        if std::env::var_os("DEV").is_some() {
            if !faults.is_empty() {
                failed.push((seed, faults));
            }
            continue;
        }
        assert!(
            faults.is_empty(),
            "{}seed {seed} with {shards} shards: {faults:#?}\nagain, with the log: NOCTULE_SEED={seed} cargo test \
             -p noctule-testkit --test it crash::every_promise",
            crashes.chaos.log()
        );
    }
    for (seed, faults) in &failed {
        let t = format!("{faults:?}");
        println!("SEED {seed}/{shards}: {}", t.chars().take(1000).collect::<String>());
    }
    assert!(failed.is_empty(), "{}", failed.len());
}

/// A chaotic world whose broker crashes.
struct Crashes {
    chaos: Chaos,
    durability: Durability,
}

impl Crashes {
    /// Everything that goes wrong, then peace, then one more crash, then judgement.
    fn run(&mut self) -> Vec<Fault> {
        for _ in 0..25 {
            if self.chaos.random.one_in(4) {
                self.threaten();
            }
            self.chaos.act();
            let pause = self.chaos.random.below(200) as u64;
            self.chaos.world.run_for(pause);
            self.come_back();
            if !self.chaos.world.sim.is_down()
                && self.chaos.random.one_in(3)
                && let Err(difference) = self.chaos.world.sim.check_journal()
            {
                return vec![Fault::Wrong(difference)];
            }
        }
        self.chaos.world.calm();
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
        let Self { chaos: Chaos { world, random, .. }, durability } = self;
        if !world.sim.is_down() {
            return;
        }
        world.run_for(random.below(1500) as u64);
        if *durability == Durability::Disk && random.one_in(3) {
            world.sim.cut_power_after(random.below(30) as u64);
        }
        world.restart();
    }

    fn crash(&mut self) -> Crash {
        match self.chaos.random.below(5) {
            0 => Crash::Stop,
            1 | 2 if self.durability == Durability::Disk => Crash::PowerCut,
            _ => Crash::Kill,
        }
    }

    /// Everything that is owed arrives in bounded time, and the journal says what memory has.
    fn settle(&mut self) -> Option<Fault> {
        let is_settled = (0..40).any(|_| {
            self.chaos.world.run_for(1_000);
            self.come_back();
            self.chaos.world.is_settled()
        });
        if !is_settled {
            let what = self.chaos.world.describe();
            return Some(Fault::Wrong(format!("not everything owed arrived:\n{what}")));
        }
        self.chaos.world.sim.check_journal().err().map(Fault::Wrong)
    }
}
