//! Why a run could not begin or go on. What the broker did wrong is no error but a finding, in the report.

use std::io;
use std::net::{IpAddr, SocketAddr};

use thiserror::Error;

/// Why there is no report.
#[derive(Debug, Error)]
pub enum Error {
    /// The options contradict each other; the text says what to change.
    #[error("{0}")]
    Usage(String),
    /// The broker's name has no address.
    #[error("cannot find an address for {host:?}: {source}; correct the name or write the address")]
    Resolve {
        /// The name that was asked for.
        host: String,
        /// What the name service said.
        source: io::Error,
    },
    /// Nobody listens there.
    #[error("cannot reach {address}: {source}; start the broker or say with --url where it listens")]
    Unreachable {
        /// The address that was tried last.
        address: SocketAddr,
        /// What the operating system said.
        source: io::Error,
    },
    /// The source address is not there or has no free port left.
    #[error(
        "no free port on {} for another connection: {source}; each address has about 28,000, so give more of \
         them with --source, for example --source 127.0.0.2,127.0.0.3",
        address.map_or("this machine's address".to_owned(), |address| address.to_string())
    )]
    NoPort {
        /// The source address, if one was chosen.
        address: Option<IpAddr>,
        /// What the operating system said.
        source: io::Error,
    },
    /// The process may not open as many sockets.
    #[error(
        "{needed} connections are needed but only {limit} files may be open; ask for fewer, or raise the \
         limit with `ulimit -n`"
    )]
    OpenFiles {
        /// Connections of the run.
        needed: u64,
        /// The hard limit of this process.
        limit: u64,
    },
    /// TLS cannot be spoken.
    #[error("TLS cannot begin: {0}")]
    Tls(String),
    /// The broker's process cannot be read.
    #[error("cannot read what process {pid} uses: {source}; --pid is the broker's process on this machine")]
    Process {
        /// The process.
        pid: u32,
        /// What the operating system said.
        source: io::Error,
    },
    /// Sockets or readiness failed.
    #[error("the machine cannot go on: {0}")]
    Machine(#[from] io::Error),
}
