//! What becomes of a line, and reading its value.

use super::lines::Line;
use crate::Verdict;
use std::ops::RangeInclusive;

/// What became of a line.
#[derive(Debug)]
pub(super) struct Became {
    pub(super) verdict: Verdict,
    pub(super) note: String,
    pub(super) is_vital: bool,
}

impl Became {
    pub(super) fn kept(note: impl Into<String>) -> Self {
        Self { verdict: Verdict::Kept, note: note.into(), is_vital: false }
    }

    pub(super) fn translated(note: impl Into<String>) -> Self {
        Self { verdict: Verdict::Translated, note: note.into(), is_vital: false }
    }

    pub(super) fn not_needed(note: impl Into<String>) -> Self {
        Self { verdict: Verdict::NotNeeded, note: note.into(), is_vital: false }
    }

    pub(super) fn refused(note: impl Into<String>, is_vital: bool) -> Self {
        Self { verdict: Verdict::Refused, note: note.into(), is_vital }
    }
}

impl Line {
    /// The whole value.
    pub(super) fn text(&self) -> Result<&str, String> {
        if self.value.is_empty() { Err("a value is missing".into()) } else { Ok(&self.value) }
    }

    /// The first word of the value; mosquitto looks at no other one where it wants one.
    pub(super) fn word(&self) -> Result<&str, String> {
        Ok(self.text()?.split_whitespace().next().unwrap_or_default())
    }

    /// `true` or `false`.
    pub(super) fn switch(&self) -> Result<bool, String> {
        match self.word()? {
            "true" | "1" => Ok(true),
            "false" | "0" => Ok(false),
            other => Err(format!("found {other:?}, allowed is true or false")),
        }
    }

    /// A whole number within a range.
    pub(super) fn number(&self, range: RangeInclusive<i64>) -> Result<i64, String> {
        let word = self.word()?;
        word.parse().ok().filter(|number| range.contains(number)).ok_or_else(|| {
            format!("found {word:?}, allowed is a whole number from {} to {}", range.start(), range.end())
        })
    }

    /// The same where negative numbers mean "no limit", which is 0 here.
    pub(super) fn bound(&self) -> Result<u64, String> {
        let number = self.number(i64::from(i32::MIN)..=i64::from(u32::MAX))?;
        Ok(u64::try_from(number).unwrap_or(0))
    }

    /// A number of things or bytes.
    pub(super) fn count(&self) -> Result<u64, String> {
        Ok(self.number(0..=i64::MAX)?.unsigned_abs())
    }
}
