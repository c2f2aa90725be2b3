//! How much memory the process may use (the machine's, or less where its control group says so), and when it
//! gives back what it needs no more.

use noctule_session::Instant;
use std::{fs, hint};

/// When a shard's thread lets freed memory go back to the system: every few seconds while it has work, and once
/// more after that.
#[derive(Debug, Default)]
pub(crate) struct Settling {
    worked_at: Option<Instant>,
    due: Option<Instant>,
}

impl Settling {
    /// There was work.
    pub(crate) fn work(&mut self, now: Instant) {
        self.worked_at = Some(now);
        self.due.get_or_insert(now + SETTLE_MILLIS);
    }

    /// When [`is_time`](Self::is_time) wants to be asked next.
    pub(crate) fn due(&self) -> Option<Instant> {
        self.due
    }

    /// Whether it is time to let memory go, which is said once.
    pub(crate) fn is_time(&mut self, now: Instant) -> bool {
        let is_time = self.due.is_some_and(|due| due <= now);
        if is_time {
            self.due = self.worked_at.take().map(|at| at + SETTLE_MILLIS).filter(|due| *due > now);
        }
        is_time
    }
}

/// Has the allocator give back what this thread needs no more. mimalloc keeps the last page of each size, though it is
/// empty (up to 4 MiB for long blocks), and returns what was freed only when it frees a page of its own, which may be
/// never again in a broker that has gone quiet. Before it refuses a block it looks everywhere; nobody can have one of
/// this length. It takes 30 µs when there is nothing to give back.
pub(crate) fn release_freed() {
    let refused = hint::black_box(Vec::<u8>::new()).try_reserve_exact(MORE_THAN_THERE_IS);
    debug_assert!(refused.is_err(), "no machine has so much memory");
}

/// Bytes the process may use. Where nothing can be read, a modest machine is assumed.
pub(crate) fn usable_bytes() -> u64 {
    let machine = fs::read_to_string("/proc/meminfo").ok().and_then(|text| total_bytes(&text));
    let groups = [CGROUP_2, CGROUP_1].into_iter().filter_map(|path| fs::read_to_string(path).ok());
    let group = groups.filter_map(|text| text.trim().parse().ok()).min();
    machine.into_iter().chain(group).min().unwrap_or(ASSUMED_BYTES)
}

/// The `MemTotal` line of `/proc/meminfo`, in bytes.
fn total_bytes(meminfo: &str) -> Option<u64> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib * 1024)
}

/// Longer than a connection needs to come to rest.
const SETTLE_MILLIS: u64 = 5_000;
/// The longest block that a program may ask for.
const MORE_THAN_THERE_IS: usize = isize::MAX.unsigned_abs();
const CGROUP_2: &str = "/sys/fs/cgroup/memory.max";
const CGROUP_1: &str = "/sys/fs/cgroup/memory/memory.limit_in_bytes";
const ASSUMED_BYTES: u64 = 1 << 30;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_settles_while_there_is_work_and_once_after_it() {
        let at = Instant::from_millis;
        let mut settling = Settling::default();
        assert_eq!(settling.due(), None);
        settling.work(at(0));
        settling.work(at(4_000));
        assert!(!settling.is_time(at(4_999)));
        assert_eq!(settling.due(), Some(at(5_000)));
        assert!(settling.is_time(at(5_000)));
        assert_eq!(settling.due(), Some(at(9_000)), "what the last work freed");
        assert!(settling.is_time(at(9_000)) && !settling.is_time(at(9_000)));
        assert_eq!(settling.due(), None);
    }

    #[test]
    fn the_machine_says_how_much_it_has() {
        let text = "MemTotal:       24576000 kB\nMemFree:        1 kB\n";
        assert_eq!(total_bytes(text), Some(24_576_000 * 1024));
        assert_eq!(total_bytes("MemFree: 1 kB\n"), None);
        assert!(usable_bytes() > 1 << 20);
    }
}
