//! What became of each line of another broker's configuration.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

/// A line of a file.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Place {
    /// The file.
    pub file: Arc<Path>,
    /// The line, from 1.
    pub line: usize,
}

/// Something that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Where.
    pub place: Place,
    /// What was found and what is right.
    pub message: String,
}

/// What became of each line, in their order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// One per line that is not empty and no comment.
    pub entries: Vec<Entry>,
}

/// What became of one line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The line.
    pub place: Place,
    /// Its text. Secrets are left out.
    pub text: String,
    /// What became of it.
    pub verdict: Verdict,
    /// Which keys say it now, or why none does.
    pub note: String,
    /// The broker must not be started without it: it would let in, or show, more than the line allowed.
    pub is_vital: bool,
}

/// What became of a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It says the same here.
    Kept,
    /// It is said in another way here.
    Translated,
    /// It says what is so anyway, or what has no meaning here.
    NotNeeded,
    /// It cannot be had.
    Refused,
}

impl Report {
    /// The lines that were refused.
    pub fn refused(&self) -> impl Iterator<Item = &Entry> {
        self.entries.iter().filter(|entry| entry.verdict == Verdict::Refused)
    }

    /// How many lines there are of each verdict, for a person.
    pub fn summary(&self) -> String {
        let count = |verdict| self.entries.iter().filter(|entry| entry.verdict == verdict).count();
        let counts = Verdict::ALL.map(|verdict| format!("{} {}", count(verdict), verdict.name()));
        format!("{} lines: {}", self.entries.len(), counts.join(", "))
    }
}

impl Verdict {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Kept, Self::Translated, Self::NotNeeded, Self::Refused];

    /// How it is called.
    pub fn name(self) -> &'static str {
        match self {
            Self::Kept => "kept",
            Self::Translated => "translated",
            Self::NotNeeded => "no longer needed",
            Self::Refused => "refused",
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.file.display(), self.line)
    }
}

impl fmt::Display for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { place, text, verdict, note, .. } = self;
        write!(f, "{place}: {text}\n    {}: {note}", verdict.name())
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.entries.iter().try_for_each(|entry| writeln!(f, "{entry}"))?;
        writeln!(f, "{}", self.summary())
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place, self.message)
    }
}
