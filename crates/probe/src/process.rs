//! What a process uses of the processor and of memory, from `/proc`.
//!
//! Processor time is known twice: as the sum over the threads that are there, to the nanosecond, and for the process
//! with the threads that have ended, to the hundredth of a second. See [`CpuTime::since`].

use std::fs;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Serialize;

use crate::Error;

/// A process that is watched.
#[derive(Debug)]
pub(crate) struct Process {
    pid: u32,
    folder: PathBuf,
    memory: Memory,
}

/// Processor time used since a process began.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct CpuTime {
    /// Of the threads that are there.
    threads: Duration,
    /// Of all threads there ever were, in whole [`TICK`]s.
    process: Duration,
}

/// Resident memory of the broker's process, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Memory {
    /// Before the first connection.
    pub before: u64,
    /// The most that was seen, looking ten times a second.
    pub peak: u64,
    /// At the end of the last phase, while the connections are still there.
    pub after: u64,
}

/// What the broker's process used of the processor in a phase.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct ProcessCost {
    /// Processor time in seconds.
    pub cpu_seconds: f64,
    /// Processors used, 1.0 for one core.
    pub cores: f64,
    /// Processor time per message of the phase, in microseconds.
    pub cpu_us_per_message: f64,
}

impl Process {
    /// Begins to watch a process.
    pub(crate) fn watch(pid: u32) -> Result<Self, Error> {
        let folder = Path::new("/proc").join(pid.to_string());
        let resident = resident(&folder).map_err(|source| Error::Process { pid, source })?;
        Ok(Self { pid, folder, memory: Memory { before: resident, peak: resident, after: resident } })
    }

    /// Processor time used since the process began.
    pub(crate) fn cpu(&self) -> Result<CpuTime, Error> {
        CpuTime::read(&self.folder).map_err(|source| Error::Process { pid: self.pid, source })
    }

    /// Looks at the memory. A process that is gone has none; that it is gone shows elsewhere.
    pub(crate) fn look(&mut self) {
        if let Ok(bytes) = resident(&self.folder) {
            self.memory.after = bytes;
            self.memory.peak = self.memory.peak.max(bytes);
        }
    }

    pub(crate) fn memory(&self) -> Memory {
        self.memory
    }
}

impl ProcessCost {
    pub(crate) fn new(cpu: Duration, duration: Duration, messages: u64) -> Self {
        let cpu_seconds = cpu.as_secs_f64();
        Self {
            cpu_seconds,
            cores: cpu_seconds / duration.as_secs_f64().max(f64::MIN_POSITIVE),
            cpu_us_per_message: cpu_seconds * 1e6 / messages.max(1) as f64,
        }
    }
}

impl CpuTime {
    /// What this program has used; nothing where `/proc` does not say.
    pub(crate) fn own() -> Self {
        Self::read(Path::new("/proc/self")).unwrap_or_default()
    }

    /// What was used since. The exact sum lacks the threads that have ended meanwhile, the coarse one may be a tick too
    /// large, so it counts where it is larger by more than that.
    pub(crate) fn since(self, earlier: Self) -> Duration {
        let threads = self.threads.saturating_sub(earlier.threads);
        let process = self.process.saturating_sub(earlier.process);
        threads.max(process.saturating_sub(TICK))
    }

    fn read(folder: &Path) -> io::Result<Self> {
        let stat = fs::read_to_string(folder.join("stat"))?;
        let ticks = ticks_in(&stat).ok_or(ErrorKind::InvalidData)?;
        Ok(Self { threads: threads(folder)?, process: TICK * ticks })
    }
}

fn threads(folder: &Path) -> io::Result<Duration> {
    let mut total = Duration::ZERO;
    for thread in fs::read_dir(folder.join("task"))? {
        // A thread may end while the list is read.
        let Ok(text) = fs::read_to_string(thread?.path().join("schedstat")) else { continue };
        let nanoseconds = text.split(' ').next().and_then(|word| word.parse().ok());
        total += Duration::from_nanos(nanoseconds.ok_or(ErrorKind::InvalidData)?);
    }
    Ok(total)
}

/// Fields 14 and 15, see proc(5). The second field, the program's name in parentheses, may hold spaces.
fn ticks_in(stat: &str) -> Option<u32> {
    let (_, after_name) = stat.rsplit_once(") ")?;
    let mut fields = after_name.split(' ').skip(11);
    let (user, system): (u32, u32) = (fields.next()?.parse().ok()?, fields.next()?.parse().ok()?);
    user.checked_add(system)
}

fn resident(folder: &Path) -> io::Result<u64> {
    let status = fs::read_to_string(folder.join("status"))?;
    resident_in(&status).ok_or(ErrorKind::InvalidData.into())
}

/// `VmRSS:      1234 kB`, see proc(5).
fn resident_in(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kibibytes: u64 = line.trim().strip_suffix(" kB")?.parse().ok()?;
    Some(kibibytes * 1024)
}

/// What `/proc/PID/stat` counts in, on every Linux: USER_HZ is 100.
const TICK: Duration = Duration::from_millis(10);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_can_be_read_while_threads_come_and_go() {
        let mut process = Process::watch(std::process::id()).expect("this process");
        for _ in 0..100 {
            let thread = std::thread::spawn(|| ());
            let cpu = process.cpu().expect("this process");
            assert!(cpu.since(CpuTime::default()) > Duration::ZERO);
            thread.join().expect("an empty thread");
        }
        process.look();
        let memory = process.memory();
        assert!(memory.peak >= memory.before && memory.after > 0, "{memory:?}");
        assert!(CpuTime::own().since(CpuTime::default()) > Duration::ZERO);
    }

    #[test]
    fn no_such_process_is_an_error_that_names_it() {
        let text = Process::watch(u32::MAX).expect_err("no such process").to_string();
        assert!(text.contains("4294967295") && text.contains("--pid"), "{text}");
    }

    #[test]
    fn threads_that_have_ended_are_counted() {
        let time = |threads, process| CpuTime {
            threads: Duration::from_micros(threads),
            process: Duration::from_micros(process),
        };
        let since = |later: CpuTime, earlier| later.since(earlier).as_micros();
        assert_eq!(since(time(5_123, 10_000), time(1_000, 0)), 4_123, "a tick says nothing");
        assert_eq!(since(time(1_000, 90_000), time(5_000, 10_000)), 70_000, "a thread has ended");
        assert_eq!(since(time(1_000, 10_000), time(5_000, 10_000)), 0);
    }

    #[test]
    fn a_name_with_spaces_and_parentheses_does_not_move_the_fields() {
        let stat = "7 (a ) b) S 1 7 7 0 -1 4194560 100 200 0 0 31 14 5 6 20 0 1 0";
        assert_eq!(ticks_in(stat), Some(45));
        assert_eq!(ticks_in("7 (a) S 1"), None);
    }

    #[test]
    fn resident_memory_is_in_bytes() {
        assert_eq!(resident_in("Name:\tx\nVmRSS:\t    1234 kB\nThreads:\t1\n"), Some(1_263_616));
        assert_eq!(resident_in("Name:\tx\n"), None);
    }

    #[test]
    fn a_cost_is_per_message_and_per_second() {
        let cost = ProcessCost::new(Duration::from_secs(1), Duration::from_secs(2), 500_000);
        assert_eq!((cost.cpu_seconds, cost.cores, cost.cpu_us_per_message), (1.0, 0.5, 2.0));
        assert_eq!(ProcessCost::new(Duration::ZERO, Duration::ZERO, 0).cpu_us_per_message, 0.0);
    }
}
