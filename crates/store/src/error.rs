//! What can go wrong, said to a person: which file, at which offset, and what to do.

use std::io;
use thiserror::Error;

/// A place of the journal that cannot be read, though it had been made durable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Damage {
    /// The file, with its path.
    pub file: String,
    /// Where in it the damage begins.
    pub offset: u64,
    /// How many bytes of frames cannot be read because of it. 0 if that is not known.
    pub bytes: u64,
    /// What is wrong there.
    pub what: String,
}

impl std::fmt::Display for Damage {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{} is damaged at offset {}: {}", self.file, self.offset, self.what)?;
        match self.bytes {
            0 => Ok(()),
            bytes => write!(formatter, "; {bytes} bytes of records cannot be read"),
        }
    }
}

/// Why a journal does not open.
#[derive(Debug, Error)]
pub enum OpenError {
    /// The disk failed.
    #[error("cannot {operation} {file}: {source}")]
    Io {
        /// What was tried, as a verb.
        operation: &'static str,
        /// The file, with its path.
        file: String,
        /// What the system said.
        source: io::Error,
    },
    /// Something that had been made durable cannot be read.
    #[error(
        "{0}. What is recorded there of sessions, queued and retained messages is lost, and what follows may depend \
         on it. Restore the journal from a backup, or start once with --recover to go on without it"
    )]
    Damaged(Damage),
    /// The journal is of another format.
    #[error(
        "{file} is of journal format {found}; this release reads format {known}. Start the release that wrote it, \
         or give this one another data directory"
    )]
    Version {
        /// The file, with its path.
        file: String,
        /// The format it is of.
        found: u32,
        /// The format this release knows.
        known: u32,
    },
    /// A frame came back as it was written, and who asked for it cannot make sense of it.
    #[error(
        "{file}, offset {offset}: {what}. Restore the journal from a backup, or start once with --recover to go on \
         without what is recorded there"
    )]
    Frame {
        /// The file, with its path.
        file: String,
        /// Where in it the frame begins.
        offset: u64,
        /// What the reader of frames said.
        what: String,
    },
}

/// Why a commit did not do all it was asked to. Nothing is lost: everything appended is kept, and the next commit
/// tries again.
#[derive(Debug, Error)]
pub enum CommitError {
    /// There is no room for what is to be written.
    #[error("no room for the journal: {source}")]
    Full {
        /// What the system said, or that `journal_bytes_max` is reached.
        source: io::Error,
    },
    /// The disk failed.
    #[error("cannot {operation} {file}: {source}")]
    Io {
        /// What was tried, as a verb.
        operation: &'static str,
        /// The file, with its path.
        file: String,
        /// What the system said.
        source: io::Error,
    },
    /// Nothing is written any more until a restart.
    #[error(
        "the journal is read-only until a restart: {cause}. What was not acknowledged is not on the disk; check the \
         disk, then restart"
    )]
    ReadOnly {
        /// The failure after which nothing was written any more.
        cause: String,
    },
}

/// Why a frame could not be read back.
#[derive(Debug, Error)]
pub enum ReadError {
    /// Its segment has been freed.
    #[error("the segment of this position has been freed")]
    Released,
    /// It is not on the disk yet, or has to be written again.
    #[error("nothing is written at this position yet")]
    NotWritten,
    /// It had been made durable and cannot be read, or no frame begins there.
    #[error("{file} is damaged at offset {offset}: no whole frame")]
    Damaged {
        /// The file, with its path.
        file: String,
        /// Where in it.
        offset: u64,
    },
    /// The disk failed.
    #[error("cannot read {file} at offset {offset}: {source}")]
    Io {
        /// The file, with its path.
        file: String,
        /// Where in it.
        offset: u64,
        /// What the system said.
        source: io::Error,
    },
}
