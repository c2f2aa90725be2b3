//! Why there is no proof, neither that a broker keeps its promises nor that it does not.

use std::io;
use std::path::PathBuf;

use thiserror::Error;

/// Why the trial could not be run to an end.
#[derive(Debug, Error)]
pub enum ProveError {
    /// The options contradict each other; the text says what to change.
    #[error("{0}")]
    Usage(String),
    /// A file or folder of the trial cannot be made.
    #[error("cannot {action} {}: {source}; name a folder that can be written to with --data-dir", path.display())]
    Place {
        /// What was tried.
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// The broker's program cannot be run.
    #[error("cannot run {program:?}: {source}; correct the command after --broker")]
    Spawn {
        /// The first word of the command.
        program: String,
        /// What the operating system said.
        source: io::Error,
    },
    /// The broker never served a client.
    #[error("the broker did not start: {why}\n{log}")]
    DidNotStart {
        /// What it did instead.
        why: String,
        /// The end of what it printed.
        log: String,
    },
    /// The broker does not let the probe do what it must.
    #[error("the broker did not serve every client before the first kill, so nothing can be proven: {0}")]
    NotServed(String),
    /// Nothing was acknowledged, so nothing was promised.
    #[error("the broker acknowledged no {what}, so it promised nothing and nothing can be proven")]
    NothingPromised {
        /// The class of publications.
        what: String,
    },
    /// The user has had enough.
    #[error("interrupted")]
    Interrupted,
    /// Every port that was tried is taken.
    #[error("no free port on 127.0.0.1 between {} and {}; name one with --port", .0.start, .0.end - 1)]
    NoPort(std::ops::Range<u16>),
    /// Sockets, readiness or processes failed.
    #[error("the machine cannot go on: {0}")]
    Machine(#[from] io::Error),
}
