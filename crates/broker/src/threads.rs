//! The threads of the shards.

use crate::runtime::Runtime;
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};
use std::io;
use std::thread;
use tracing::{error, warn};

/// Runs every shard on a thread of its own, the first one on this thread, until all have stopped. A shard that
/// fails stops the others; one that panics takes the process with it, because half a broker is worse than none.
pub(crate) fn run(mut runtimes: Vec<Runtime>, is_pinned: bool) -> io::Result<()> {
    let rest = runtimes.split_off(1.min(runtimes.len()));
    let mut threads = Vec::new();
    for (runtime, number) in rest.into_iter().zip(1..) {
        let thread = thread::Builder::new().name(format!("shard-{number}"));
        threads.push(thread.spawn(move || run_one(runtime, number, is_pinned))?);
    }
    let first = runtimes.into_iter().next().map_or(Ok(()), |runtime| run_one(runtime, 0, is_pinned));
    let results = threads.into_iter().map(|thread| {
        thread.join().unwrap_or_else(|_| Err(io::Error::other("the thread of a shard panicked")))
    });
    results.fold(first, Result::and)
}

fn run_one(mut runtime: Runtime, number: usize, is_pinned: bool) -> io::Result<()> {
    let _guard = AbortOnPanic;
    if is_pinned && let Err(cause) = pin(number) {
        warn!(%cause, shard = number, "the thread of a shard cannot be bound to a core");
    }
    let result = runtime.run();
    if let Err(cause) = &result {
        error!(%cause, shard = number, "a shard failed");
        runtime.stop_others();
    }
    result
}

/// Binds this thread to one of the cores that the process may use.
fn pin(number: usize) -> io::Result<()> {
    let allowed = sched_getaffinity(None)?;
    let cores: Vec<usize> = (0..CpuSet::MAX_CPU).filter(|core| allowed.is_set(*core)).collect();
    let mut core = CpuSet::new();
    core.set(cores[number % cores.len()]);
    Ok(sched_setaffinity(None, &core)?)
}

/// Ends the process when its thread panics.
pub(crate) struct AbortOnPanic;

impl Drop for AbortOnPanic {
    fn drop(&mut self) {
        if thread::panicking() {
            std::process::abort();
        }
    }
}
