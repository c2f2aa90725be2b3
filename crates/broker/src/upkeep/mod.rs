//! What can be done with a data directory from outside, whether a broker uses it or not: look at its journal, check
//! it, copy it.
//!
//! - Nothing in it is changed.
//! - While one of these works, a broker that uses the directory frees nothing of its journal, which may grow
//!   meanwhile. Everything else goes on.
//! - What a running broker writes while it is read may be seen or not.

mod backup;
mod look;
mod text;

pub use backup::{Copied, backup};
pub use look::{Flaw, Found, OldestSegment, Stat, stat, verify};

use crate::data_dir::{Pin, is_in_use};
use noctule_store::Directory;
use std::io;
use std::path::{Path, PathBuf};

/// Hears how much of how much is done.
pub type OnProgress<'a> = dyn FnMut(u64, u64) + 'a;

/// Why nothing can be said, or nothing was copied.
#[derive(Debug, thiserror::Error)]
pub enum UpkeepError {
    /// There is no journal.
    #[error("there is no journal in {path}; name the folder of a broker with --data-dir")]
    NoJournal {
        /// The data directory.
        path: PathBuf,
    },
    /// The data directory cannot be used.
    #[error("{path} cannot be read: {source}")]
    Unreadable {
        /// What cannot be read.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// The journal cannot be read.
    #[error(transparent)]
    Journal(#[from] noctule_store::OpenError),
    /// There is something where a backup should go.
    #[error("{path} is there already; a backup makes a directory of its own")]
    Taken {
        /// What is there.
        path: PathBuf,
    },
    /// What an interrupted backup left is in the way.
    #[error("{path} is what an interrupted backup left; remove it")]
    Leftover {
        /// What is there.
        path: PathBuf,
    },
    /// The backup cannot be written.
    #[error("{path} cannot be written: {source}")]
    Unwritable {
        /// What cannot be written.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// The journal cannot be copied.
    #[error(transparent)]
    Copy(#[from] noctule_store::BackupError),
}

/// A data directory that is being looked at.
struct Visit {
    data_dir: PathBuf,
    is_running: bool,
    _pin: Pin,
}

impl Visit {
    fn begin(data_dir: &Path) -> Result<Self, UpkeepError> {
        if !journal_of(data_dir).is_dir() {
            return Err(UpkeepError::NoJournal { path: data_dir.to_owned() });
        }
        let failed = |source| UpkeepError::Unreadable { path: data_dir.to_owned(), source };
        let pin = Pin::set(data_dir).map_err(failed)?;
        Ok(Self {
            is_running: is_in_use(data_dir).map_err(failed)?,
            data_dir: data_dir.to_owned(),
            _pin: pin,
        })
    }

    fn journal(&self) -> Result<Directory, UpkeepError> {
        let path = journal_of(&self.data_dir);
        Directory::open_to_read(&path).map_err(|source| UpkeepError::Unreadable { path, source })
    }
}

/// Where the journal of a data directory is.
pub(crate) fn journal_of(data_dir: &Path) -> PathBuf {
    data_dir.join("journal")
}
