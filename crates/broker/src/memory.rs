//! How much memory the process may use: the machine's, or less where its control group says so.

use std::fs;

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

const CGROUP_2: &str = "/sys/fs/cgroup/memory.max";
const CGROUP_1: &str = "/sys/fs/cgroup/memory/memory.limit_in_bytes";
const ASSUMED_BYTES: u64 = 1 << 30;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_machine_says_how_much_it_has() {
        let text = "MemTotal:       24576000 kB\nMemFree:        1 kB\n";
        assert_eq!(total_bytes(text), Some(24_576_000 * 1024));
        assert_eq!(total_bytes("MemFree: 1 kB\n"), None);
        assert!(usable_bytes() > 1 << 20);
    }
}
