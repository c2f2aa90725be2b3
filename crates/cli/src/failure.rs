//! How a command fails: what the user reads and the exit code.

use std::io::{self, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;

use noctule_broker::config::Problems;
use noctule_broker::upkeep::UpkeepError;
use thiserror::Error;

use crate::passwd::PasswdError;
use crate::tls::InitError;

/// Why a command did not do what it was asked for.
#[derive(Debug, Error)]
pub(crate) enum Failure {
    /// The configuration cannot be used.
    #[error("{0}")]
    Configuration(Problems),
    /// A file that was to be checked has mistakes.
    #[error("{0}")]
    Check(Problems),
    /// The broker could not start or go on.
    #[error("noctule: {0}")]
    Broker(#[from] noctule_broker::Error),
    /// A broker could not be measured.
    #[error("noctule: {0}")]
    Bench(#[from] noctule_probe::Error),
    /// A broker was measured and lost or refused something.
    #[error("noctule: the run was not clean; the report says what was lost, refused or disconnected")]
    Unclean,
    /// A flag has a value it cannot have; the text says what is right.
    #[error("noctule: {0}")]
    Usage(String),
    /// A trial could not be run.
    #[error("noctule: {0}")]
    Prove(#[from] noctule_probe::ProveError),
    /// A trial found a broken promise.
    #[error("noctule: the broker did not keep what it had promised; the report says what")]
    NotDurable,
    /// A file of users was not changed.
    #[error("noctule: {0}")]
    Passwd(#[from] PasswdError),
    /// What was asked about is not allowed, as has been said.
    #[error("denied")]
    Denied,
    /// The file for log lines cannot be used.
    #[error("noctule: the log cannot be written to {}: {source}; choose another place with log_to", path.display())]
    LogFile {
        /// Its path.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// The configuration of another broker could not be turned into ours; the text says why.
    #[error("{0}")]
    Import(String),
    /// A journal could not be looked at or copied.
    #[error("noctule: {0}")]
    Upkeep(#[from] UpkeepError),
    /// A journal is damaged.
    #[error("noctule: the journal is damaged; the report says where")]
    Damaged,
    /// No certificates could be made.
    #[error("noctule: {0}")]
    Tls(#[from] InitError),
    /// A manual page cannot be written.
    #[error("noctule: cannot write {}: {source}; name a folder that you may write to", path.display())]
    Manual {
        /// Its path, or that of the folder.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// Standard output takes nothing.
    #[error("noctule: cannot write to standard output: {0}")]
    Output(#[from] io::Error),
}

impl Failure {
    /// Tells the user and says how the process ends.
    pub(crate) fn report(&self) -> ExitCode {
        // Whoever reads only the first lines, as `| head` does, has got what they wanted.
        if matches!(self, Self::Output(error) if error.kind() == io::ErrorKind::BrokenPipe) {
            return ExitCode::SUCCESS;
        }
        if matches!(self, Self::Denied) {
            return ExitCode::FAILURE;
        }
        // Without standard error there is nobody left to tell; the exit code still does.
        let _ = writeln!(io::stderr(), "{self}");
        match self {
            Self::Configuration(_)
            | Self::Broker(noctule_broker::Error::Access(_))
            | Self::Usage(_)
            | Self::LogFile { .. }
            | Self::Tls(InitError::Name { .. } | InitError::Days { .. })
            | Self::Bench(noctule_probe::Error::Usage(_))
            | Self::Upkeep(UpkeepError::NoJournal { .. } | UpkeepError::Taken { .. })
            | Self::Prove(_) => ExitCode::from(2),
            Self::Check(_)
            | Self::Import(_)
            | Self::Broker(_)
            | Self::Bench(_)
            | Self::Unclean
            | Self::NotDurable
            | Self::Denied
            | Self::Passwd(_)
            | Self::Upkeep(_)
            | Self::Damaged
            | Self::Tls(_)
            | Self::Manual { .. }
            | Self::Output(_) => ExitCode::FAILURE,
        }
    }
}
