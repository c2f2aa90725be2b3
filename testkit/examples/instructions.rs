//! Deals with messages on the hot path and does nothing else, so that callgrind can count instructions.
//!
//! `instructions WORKLOAD MESSAGES`; without arguments it names the workloads. `cargo xtask instructions` runs each
//! with N messages and with twice as many: the difference divided by N is what one message costs.

#![expect(clippy::print_stdout, reason = "a command talks to its user")]

use anyhow::Context as _;
use noctule_testkit::hot_path::Workload;

/// The allocator of the binary.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> anyhow::Result<()> {
    let mut arguments = std::env::args().skip(1);
    let Some(name) = arguments.next() else {
        Workload::ALL.iter().for_each(|workload| println!("{}", workload.name));
        return Ok(());
    };
    let workload = Workload::named(&name).with_context(|| format!("no workload {name}"))?;
    let messages = arguments.next().context("how many messages?")?.parse()?;
    workload.prepare().run(messages);
    Ok(())
}
