//! Deals with messages on the hot path and does nothing else, so that callgrind can count instructions.
//!
//! `cargo xtask instructions` runs it twice, with N messages and with twice as many: the difference divided by N is
//! what one message costs, without what goes before.

use noctule_testkit::hot_path::Workload;

/// The allocator of the binary.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> anyhow::Result<()> {
    let mut arguments = std::env::args().skip(1);
    let name = arguments.next().unwrap_or_default();
    let messages: u64 = arguments.next().unwrap_or_default().parse()?;
    let workload = Workload::named(&name).ok_or_else(|| anyhow::anyhow!("no workload {name}"))?;
    workload.prepare().run(messages);
    Ok(())
}
