//! What was found, for a person.

use super::{Copied, Flaw, Found, Stat};
use std::fmt::{self, Display, Formatter};
use std::path::Path;

impl Display for Stat {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        writeln!(f, "journal of {}", Place(&self.data_dir, self.is_running))?;
        let (disk, segments) = (Bytes(self.disk_bytes), Bytes(self.segment_bytes));
        writeln!(f, "  on the disk   {disk}: {} in use with {segments}", count(self.segments, "segment"))?;
        if let Some(oldest) = &self.oldest_segment {
            writeln!(f, "  freed next    {}, {}", oldest.file, Bytes(oldest.bytes))?;
        }
        let (records, live) = (Bytes(self.record_bytes), Bytes(self.live_bytes));
        writeln!(f, "  records       {records}, of which about {live} count")?;
        let (sessions, subscriptions) = (self.sessions, count(self.subscriptions, "subscription"));
        writeln!(f, "  sessions      {sessions} with {subscriptions}")?;
        writeln!(f, "  queued        {}", count(self.queued_messages, "message"))?;
        writeln!(f, "  retained      {}", count(self.retained_messages, "message"))?;
        write!(f, "  groups        {}, owed {}", self.groups, count(self.group_messages, "message"))?;
        if !self.damage.is_empty() {
            write!(
                f,
                "\n  DAMAGED       in {}; noctule store verify says more",
                count(self.damage.len(), "place")
            )?;
        }
        Ok(())
    }
}

impl Display for Found {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        writeln!(f, "journal of {}", Place(&self.data_dir, self.is_running))?;
        let (records, frames) = (self.records, count(self.segments, "segment"));
        writeln!(f, "  read          {records} records of {} in {frames}", Bytes(self.record_bytes))?;
        if let Some(torn) = &self.torn {
            writeln!(f, "  torn tail     {}", Torn(torn, self.is_running))?;
        }
        if self.is_whole {
            return write!(f, "  WHOLE         every record is what was written");
        }
        for flaw in &self.damage {
            writeln!(f, "  DAMAGED       {flaw}")?;
        }
        write!(
            f,
            "  What these records told of sessions, queued and retained messages is lost, and what follows them"
        )?;
        write!(
            f,
            " may depend on it.\n  Restore a backup, or start once with --recover to go on without them."
        )
    }
}

impl Display for Copied {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        writeln!(f, "backup of {}", Place(&self.data_dir, self.is_running))?;
        let (records, segments) = (Bytes(self.record_bytes), count(self.segments, "segment"));
        writeln!(f, "  copied        {records} of records in {segments}, and read back")?;
        write!(f, "  start it with noctule --data-dir {}", self.destination.display())
    }
}

impl Display for Flaw {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Self { file, offset, bytes, what } = self;
        write!(f, "{file} at offset {offset}: {what}")?;
        match bytes {
            0 => Ok(()),
            bytes => write!(f, "; {bytes} bytes of records cannot be read"),
        }
    }
}

/// A data directory and whether it is in use.
struct Place<'a>(&'a Path, bool);

impl Display for Place<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Self(path, is_running) = self;
        let used = if *is_running { "a broker uses it" } else { "no broker uses it" };
        write!(f, "{} ({used})", path.display())
    }
}

/// A torn tail, and whether somebody is just writing it.
struct Torn<'a>(&'a Flaw, bool);

impl Display for Torn<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Self(Flaw { file, offset, bytes, .. }, is_running) = self;
        write!(f, "{file} from offset {offset} on, {bytes} bytes; ")?;
        f.write_str(match is_running {
            true => "they are being written",
            false => {
                "a crash interrupted their writing, nobody was told of them, and the next start cuts them"
            }
        })
    }
}

/// A number of bytes in the largest unit of which there is one.
struct Bytes(u64);

impl Display for Bytes {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let (mut amount, mut unit) = (self.0 as f64, "B");
        for larger in ["KiB", "MiB", "GiB", "TiB"] {
            if amount < 1024.0 {
                break;
            }
            (amount, unit) = (amount / 1024.0, larger);
        }
        match unit {
            "B" => write!(f, "{amount} B"),
            unit => write!(f, "{amount:.1} {unit}"),
        }
    }
}

fn count(number: usize, what: &str) -> String {
    match number {
        1 => format!("1 {what}"),
        number => format!("{number} {what}s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_have_a_unit_a_person_can_read() {
        for (bytes, text) in [(0, "0 B"), (1023, "1023 B"), (1536, "1.5 KiB"), (64 << 20, "64.0 MiB")] {
            assert_eq!(Bytes(bytes).to_string(), text);
        }
    }
}
