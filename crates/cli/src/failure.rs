//! How a command fails: what the user reads and the exit code.

use std::io::{self, Write as _};
use std::process::ExitCode;

use noctule_broker::config::Problems;
use noctule_broker::upkeep::UpkeepError;
use thiserror::Error;

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
    /// A journal could not be looked at or copied.
    #[error("noctule: {0}")]
    Upkeep(#[from] UpkeepError),
    /// A journal is damaged.
    #[error("noctule: the journal is damaged; the report says where")]
    Damaged,
    /// No certificates could be made.
    #[error("noctule: {0}")]
    Tls(#[from] InitError),
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
        // Without standard error there is nobody left to tell; the exit code still does.
        let _ = writeln!(io::stderr(), "{self}");
        match self {
            Self::Configuration(_)
            | Self::Usage(_)
            | Self::Tls(InitError::Name { .. } | InitError::Days { .. })
            | Self::Bench(noctule_probe::Error::Usage(_))
            | Self::Upkeep(UpkeepError::NoJournal { .. } | UpkeepError::Taken { .. })
            | Self::Prove(_) => ExitCode::from(2),
            Self::Check(_)
            | Self::Broker(_)
            | Self::Bench(_)
            | Self::Unclean
            | Self::NotDurable
            | Self::Upkeep(_)
            | Self::Damaged
            | Self::Tls(_)
            | Self::Output(_) => ExitCode::FAILURE,
        }
    }
}
