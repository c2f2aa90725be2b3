//! What is wrong with a configuration, where, and what to do.

use std::fmt;
use std::path::PathBuf;

/// Everything that is wrong with a configuration; at least one thing. Shown one per line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problems(pub(super) Vec<Problem>);

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Where it is.
    pub place: Place,
    /// What was found and what is allowed.
    pub message: String,
}

/// Where a value comes from or should have come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// A place in a file.
    File {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// The character in the line, from 1.
        column: usize,
    },
    /// A file as a whole.
    WholeFile(PathBuf),
    /// What another broker does when its file says nothing.
    Implied(PathBuf),
    /// An environment variable, by name.
    Environment(String),
    /// A flag of the command line, as it was written.
    CommandLine(String),
}

impl Problems {
    /// These, in the order in which they are shown; at least one.
    pub(crate) fn of(mut problems: Vec<Problem>) -> Self {
        problems.sort_by_key(|problem| problem.place.order());
        Self(problems)
    }

    /// These, in the order file, environment, command line; none is not an error.
    pub(super) fn none_or(mut problems: Vec<Problem>) -> Result<(), Self> {
        problems.sort_by_key(|problem| problem.place.order());
        if problems.is_empty() { Ok(()) } else { Err(Self(problems)) }
    }

    /// What is wrong, in the order file, environment, command line.
    pub fn as_slice(&self) -> &[Problem] {
        &self.0
    }
}

impl Place {
    /// Whether what is shown of the place says which key is meant.
    pub(super) fn names_the_key(&self) -> bool {
        matches!(self, Self::Environment(_) | Self::CommandLine(_))
    }

    /// Reports go through the file from top to bottom, then the environment, then the command line.
    pub(super) fn order(&self) -> (u8, usize, usize) {
        match self {
            Self::WholeFile(_) | Self::Implied(_) => (0, 0, 0),
            Self::File { line, column, .. } => (0, *line, *column),
            Self::Environment(_) => (1, 0, 0),
            Self::CommandLine(_) => (2, 0, 0),
        }
    }
}

impl std::error::Error for Problems {}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.0.iter().enumerate() {
            let line_break = if index == 0 { "" } else { "\n" };
            write!(f, "{line_break}{problem}")?;
        }
        Ok(())
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place, self.message)
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File { path, line, column } => write!(f, "{}:{line}:{column}", path.display()),
            Self::WholeFile(path) => write!(f, "{}", path.display()),
            Self::Implied(path) => write!(f, "{} (by default)", path.display()),
            Self::Environment(name) => f.write_str(name),
            Self::CommandLine(flag) => f.write_str(flag),
        }
    }
}
