//! What a broker's process uses, from `/proc`.

use std::collections::BTreeMap;
use std::fs;
use std::time::Duration;

use anyhow::{Context, Result};

use super::brokers::Broker;

/// Resident memory in bytes.
pub(super) fn resident_bytes(broker: &Broker) -> Result<f64> {
    let status = fs::read_to_string(format!("/proc/{}/status", broker.pid()))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kibibytes: f64 =
        line.and_then(|line| line.trim().strip_suffix(" kB")).context("no VmRSS")?.parse()?;
    Ok(kibibytes * 1024.0)
}

/// What the threads of the journal have written so far.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Written {
    /// Frames and headers of segments.
    pub(super) bytes: f64,
    /// One for each commit.
    pub(super) writes: f64,
    /// What was written ahead of need and afterwards: zeros into new files, and indexes.
    pub(super) prepared_bytes: f64,
}

/// What the journal of one of ours has written so far.
pub(super) fn journal_written(broker: &Broker) -> Result<Written> {
    let mut written = Written::default();
    for thread in fs::read_dir(format!("/proc/{}/task", broker.pid()))? {
        let thread = thread?.path();
        let name = fs::read_to_string(thread.join("comm"))?;
        let figure = |name| figure_of(&fs::read_to_string(thread.join("io"))?, name);
        match name.trim_end() {
            "keeper" | "library" => {
                written.bytes += figure("wchar:")?;
                written.writes += figure("syscw:")?;
            }
            "preparer" => written.prepared_bytes += figure("wchar:")?,
            _ => {}
        }
    }
    Ok(written)
}

impl Written {
    /// Everything.
    pub(super) fn bytes_all(&self) -> f64 {
        self.bytes + self.prepared_bytes
    }
}

fn figure_of(text: &str, name: &str) -> Result<f64> {
    let figure = text.lines().find_map(|line| line.strip_prefix(name));
    Ok(figure.with_context(|| format!("no {name}"))?.trim().parse()?)
}

/// Processor time of each thread so far.
pub(super) fn thread_times(broker: &Broker) -> Result<BTreeMap<String, Duration>> {
    let mut times = BTreeMap::new();
    for thread in fs::read_dir(format!("/proc/{}/task", broker.pid()))? {
        let thread = thread?;
        let text = fs::read_to_string(thread.path().join("schedstat"))?;
        let nanoseconds = text.split(' ').next().unwrap_or_default().parse()?;
        times.insert(thread.file_name().to_string_lossy().into_owned(), Duration::from_nanos(nanoseconds));
    }
    Ok(times)
}

/// Processor time that each thread has used between two looks, the busiest first.
pub(super) fn used_between(
    before: &BTreeMap<String, Duration>,
    after: &BTreeMap<String, Duration>,
) -> Vec<Duration> {
    let used = |(thread, time): (&String, &Duration)| {
        time.saturating_sub(before.get(thread).copied().unwrap_or_default())
    };
    let mut used: Vec<Duration> = after.iter().map(used).collect();
    used.sort_unstable_by(|one, other| other.cmp(one));
    used
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn threads_are_told_apart_and_the_busiest_comes_first() {
        let times = |entries: &[(&str, u64)]| {
            entries.iter().map(|(name, ms)| ((*name).to_owned(), Duration::from_millis(*ms))).collect()
        };
        let (before, after) = (times(&[("1", 10), ("2", 5)]), times(&[("1", 12), ("2", 9), ("3", 1)]));
        assert_eq!(used_between(&before, &after), [4, 2, 1].map(Duration::from_millis));
    }
}
