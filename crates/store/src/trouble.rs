//! What the disk said, sorted by what has to happen next.

use crate::{CommitError, OpenError};
use std::io;

/// A call of the disk that failed.
#[derive(Debug)]
pub(crate) struct Trouble {
    pub(crate) kind: Kind,
    operation: &'static str,
    /// With its path.
    file: String,
    source: io::Error,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// There is no room: ask again when there is.
    Full,
    /// Ask again.
    Io,
    /// Nothing is known of what was written to this file: write it anew elsewhere.
    Sync,
    /// Nothing is known of which names the disk has: stop.
    Names,
}

impl Trouble {
    /// A call that changes nothing, or can be made again.
    pub(crate) fn new(operation: &'static str, file: String, source: io::Error) -> Self {
        let kind = match source.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Kind::Full,
            _ => Kind::Io,
        };
        Self { kind, operation, file, source }
    }

    pub(crate) fn sync(file: String, source: io::Error) -> Self {
        Self { kind: Kind::Sync, operation: "sync", file, source }
    }

    pub(crate) fn names(directory: String, source: io::Error) -> Self {
        Self { kind: Kind::Names, operation: "sync the directory", file: directory, source }
    }

    /// Whether it is only that there is no room.
    pub(crate) fn is_full(&self) -> bool {
        self.kind == Kind::Full
    }

    /// What it is called where the journal ends because of it.
    pub(crate) fn cause(&self) -> String {
        format!("cannot {} {}: {}", self.operation, self.file, self.source)
    }
}

impl From<Trouble> for CommitError {
    fn from(trouble: Trouble) -> Self {
        let Trouble { kind, operation, file, source } = trouble;
        match kind {
            Kind::Full => Self::Full { source },
            _ => Self::Io { operation, file, source },
        }
    }
}

impl From<Trouble> for OpenError {
    fn from(trouble: Trouble) -> Self {
        let Trouble { operation, file, source, .. } = trouble;
        Self::Io { operation, file, source }
    }
}
