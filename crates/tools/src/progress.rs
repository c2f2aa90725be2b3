//! A line on a terminal that says how far a tool has come.

use crate::world::World;
use std::io::Write as _;
use std::time::Duration;

/// The line, where standard error is a terminal and the user wants to hear of it.
#[derive(Debug)]
pub(crate) struct Progress {
    is_shown: bool,
}

impl Progress {
    pub(crate) fn new(is_quiet: bool, world: &World) -> Self {
        Self { is_shown: world.stderr_is_terminal && !is_quiet }
    }

    /// Whether anybody sees it.
    pub(crate) fn is_shown(&self) -> bool {
        self.is_shown
    }

    /// Writes the line anew.
    pub(crate) fn show(&self, line: &str, world: &mut World) {
        if self.is_shown {
            // Without standard error there is nobody to tell.
            let _ = write!(world.stderr, "\r{line}\x1B[K").and_then(|()| world.stderr.flush());
        }
    }

    /// Takes the line away.
    pub(crate) fn clear(&self, world: &mut World) {
        self.show("", world);
    }
}

/// A count of bytes in the largest unit that leaves a number before the point.
pub(crate) fn bytes(count: u64) -> String {
    let units = ["B", "KiB", "MiB", "GiB", "TiB"];
    let mut value = count as f64;
    let mut unit = 0;
    while value >= 1024.0 && unit + 1 < units.len() {
        (value, unit) = (value / 1024.0, unit + 1);
    }
    if unit == 0 { format!("{count} B") } else { format!("{value:.1} {}", units[unit]) }
}

/// A number and what it counts.
pub(crate) fn counted(count: u64, one: &str) -> String {
    if count == 1 { format!("1 {one}") } else { format!("{count} {one}s") }
}

/// Hours, minutes and seconds, the hours only where there are any.
pub(crate) fn clock(time: Duration) -> String {
    let seconds = time.as_secs();
    let (hours, minutes, seconds) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    if hours > 0 { format!("{hours}:{minutes:02}:{seconds:02}") } else { format!("{minutes}:{seconds:02}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_as_people_read_them() {
        for (count, text) in [(0, "0 B"), (1023, "1023 B"), (1536, "1.5 KiB"), (5 << 30, "5.0 GiB")] {
            assert_eq!(bytes(count), text);
        }
        assert_eq!((counted(1, "message"), counted(0, "message")), ("1 message".into(), "0 messages".into()));
        for (seconds, text) in [(5, "0:05"), (65, "1:05"), (3_725, "1:02:05")] {
            assert_eq!(clock(Duration::from_secs(seconds)), text);
        }
    }
}
