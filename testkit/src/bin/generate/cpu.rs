//! What another process has used of the processor, from `/proc`.

use std::fs;
use std::ops::Sub;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};

/// Processor time used since a process began, or between two such readings.
#[derive(Clone, Copy, Debug)]
pub(crate) struct CpuTime {
    /// On the processor, to the nanosecond, all threads.
    pub(crate) total: Duration,
    /// Ticks in user code; coarse, only their proportion to `system` is used.
    pub(crate) user: u64,
    /// Ticks in the kernel.
    pub(crate) system: u64,
}

impl CpuTime {
    /// Reads what this process has used so far. A thread that has ended takes its time with it, also one that ends
    /// while this is read.
    pub(crate) fn of_process(pid: u32) -> Result<Self> {
        let process = Path::new("/proc").join(pid.to_string());
        let mut total = Duration::ZERO;
        let threads = process.join("task");
        for thread in fs::read_dir(&threads).with_context(|| format!("no process {pid}"))? {
            let Ok(schedstat) = fs::read_to_string(thread?.path().join("schedstat")) else { continue };
            let nanoseconds = schedstat.split(' ').next().and_then(|word| word.parse().ok());
            total += Duration::from_nanos(nanoseconds.context("schedstat begins with a number")?);
        }
        let stat = fs::read_to_string(process.join("stat")).with_context(|| format!("no process {pid}"))?;
        let (user, system) = user_and_system(&stat).context("stat has the fields of proc(5)")?;
        Ok(Self { total, user, system })
    }

    /// The share of user code, 0 to 1.
    pub(crate) fn user_share(&self) -> f64 {
        self.user as f64 / (self.user + self.system).max(1) as f64
    }
}

impl Sub for CpuTime {
    type Output = Self;

    fn sub(self, earlier: Self) -> Self {
        Self {
            total: self.total.saturating_sub(earlier.total),
            user: self.user.saturating_sub(earlier.user),
            system: self.system.saturating_sub(earlier.system),
        }
    }
}

/// Fields 14 and 15 of `/proc/PID/stat`. The second field, the program's name in parentheses, may hold spaces.
fn user_and_system(stat: &str) -> Option<(u64, u64)> {
    let (_, after_name) = stat.rsplit_once(") ")?;
    let mut fields = after_name.split(' ').skip(11);
    Some((fields.next()?.parse().ok()?, fields.next()?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_spaces_and_parentheses_does_not_move_the_fields() {
        let stat = "7 (a ) b) S 1 7 7 0 -1 4194560 100 200 0 0 31 14 5 6 20 0 1 0";
        assert_eq!(user_and_system(stat), Some((31, 14)));
    }

    #[test]
    fn this_process_can_be_read_while_threads_come_and_go() {
        let pid = std::process::id();
        for _ in 0..200 {
            let thread = std::thread::spawn(|| ());
            assert!(CpuTime::of_process(pid).unwrap().total > Duration::ZERO);
            thread.join().unwrap();
        }
    }

    #[test]
    fn no_such_process_is_an_error() {
        assert!(CpuTime::of_process(u32::MAX).is_err());
    }
}
