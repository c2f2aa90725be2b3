//! What is wrong in a file of users or rules, and where.

use std::sync::Arc;
use thiserror::Error;

/// A mistake in a file, with its place.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{file}:{line}:{column}: {problem}")]
pub struct FileError {
    /// The file, as the operator named it.
    pub file: Arc<str>,
    /// The line, counted from one.
    pub line: u32,
    /// The character in that line, counted from one.
    pub column: u32,
    /// What is wrong, and what would be right.
    pub problem: Box<str>,
}

/// A line that is being read, for errors that name their place.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Line<'a> {
    pub(crate) file: &'a Arc<str>,
    /// Counted from one.
    pub(crate) number: u32,
    pub(crate) text: &'a str,
}

impl<'a> Line<'a> {
    /// The lines of a file, line ends removed.
    pub(crate) fn all(file: &'a Arc<str>, text: &'a str) -> impl Iterator<Item = Self> {
        (1..).zip(text.lines()).map(move |(number, text)| Self { file, number, text })
    }

    /// A mistake at this byte of the line.
    pub(crate) fn error(&self, byte: usize, problem: impl Into<Box<str>>) -> FileError {
        let before = self.text.char_indices().take_while(|(at, _)| *at < byte).count();
        let column = u32::try_from(before + 1).unwrap_or(u32::MAX);
        FileError { file: Arc::clone(self.file), line: self.number, column, problem: problem.into() }
    }

    /// Where a slice of the line begins.
    pub(crate) fn at(&self, slice: &str) -> usize {
        (slice.as_ptr() as usize).saturating_sub(self.text.as_ptr() as usize)
    }
}
