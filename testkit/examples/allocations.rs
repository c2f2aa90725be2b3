//! Counts what the hot path allocates per message once its buffers have grown.
//!
//! `cargo run --release -p noctule-testkit --example allocations` prints a line per workload: its name, allocations
//! per message (growing a block counts), and bytes per message. The counting goes around the system's allocator;
//! how many allocations there are does not depend on it.

#![expect(clippy::print_stdout, reason = "a program that prints figures")]

use noctule_testkit::hot_path::Workload;
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};
use std::alloc::System;

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

fn main() {
    for workload in Workload::ALL {
        let mut prepared = workload.prepare();
        prepared.run(MESSAGES_WARM_UP);
        let region = Region::new(ALLOCATOR);
        let messages = prepared.run(MESSAGES) as f64;
        let used = region.change();
        let allocations = (used.allocations + used.reallocations) as f64 / messages;
        let bytes = used.bytes_allocated as f64 / messages;
        println!("{} {allocations:.3} {bytes:.1}", workload.name);
    }
}

const MESSAGES_WARM_UP: u64 = 20_000;
const MESSAGES: u64 = 100_000;
