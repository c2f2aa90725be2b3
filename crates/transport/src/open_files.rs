//! The limit of open files, which is the limit of connections.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// How many files, sockets included, this process may have open. `u64::MAX`: no limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OpenFileLimit {
    /// What holds now.
    pub soft: u64,
    /// Up to what the process may raise it.
    pub hard: u64,
}

/// Raises the soft limit of open files to the hard one and says what holds now.
///
/// Shells and service managers usually start programs with a soft limit of 1,024, for the sake of old ones
/// that use `select`. A kernel that declines leaves the limit as it was, which the answer shows.
pub fn raise_open_file_limit() -> OpenFileLimit {
    let mut limit = getrlimit(Resource::Nofile);
    if limit.current != limit.maximum {
        let raised = Rlimit { current: limit.maximum, ..limit };
        if setrlimit(Resource::Nofile, raised).is_ok() {
            limit = getrlimit(Resource::Nofile);
        }
    }
    OpenFileLimit { soft: limit.current.unwrap_or(u64::MAX), hard: limit.maximum.unwrap_or(u64::MAX) }
}
