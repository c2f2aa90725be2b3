//! The runtime around the engine: sockets, turns, timers, configuration and `$SYS`.
//!
//! The engine decides; this crate owns the machine. [`run`] takes a [`Config`], opens the listeners and works
//! in turns until it is told to stop. One turn is `Runtime::turn`: the order of its lines
//! is the promise that an acknowledgement makes.

mod accepting;
pub mod config;
mod data_dir;
mod ledger;
mod locks;
mod mailbox;
mod memory;
mod runtime;
mod shared;
mod signals;
mod sockets;
mod sync;
mod sys;
mod threads;

pub use config::Config;

use accepting::Accepting;
use data_dir::DataDir;
use mio::{Poll, Token, Waker};
use noctule_engine::ShardId;
use noctule_transport::{BindError, Listener, OpenFileLimit, raise_open_file_limit};
use runtime::{Front, Runtime};
use shared::Shared;
use signals::Signals;
use std::io::{self, Write as _};
use std::path::PathBuf;
use std::sync::Arc;
use sys::SysRounds;
use tracing::{info, warn};

/// Why the broker cannot run.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A listener cannot be opened.
    #[error(transparent)]
    Bind(#[from] BindError),
    /// The data directory cannot be made or opened.
    #[error("the data directory {path} cannot be used: {source}; choose another with --data-dir")]
    DataDir {
        /// The directory.
        path: PathBuf,
        /// What the operating system said.
        source: std::io::Error,
    },
    /// Another broker uses the data directory.
    #[error(
        "the data directory {path} is in use by another noctule; stop it or choose another with --data-dir"
    )]
    DataDirInUse {
        /// The directory.
        path: PathBuf,
    },
    /// The limit of open files leaves no room for a connection.
    #[error(
        "{limit} files may be open at once, which leaves none for connections; raise the limit, for example \
         with ulimit -n 65536"
    )]
    OpenFiles {
        /// The limit, raised as far as it can be.
        limit: u64,
    },
    /// The data directory is a file.
    #[error("the data directory {path} is not a directory; choose another with --data-dir")]
    NotADirectory {
        /// Its path.
        path: PathBuf,
    },
    /// Standard output is gone.
    #[error("the ready line cannot be written: {0}")]
    Ready(#[source] std::io::Error),
    /// The readiness loop failed.
    #[error("waiting for events failed: {0}")]
    Poll(#[source] std::io::Error),
}

/// Runs the broker until SIGTERM or SIGINT stops it in order. The first shard runs on this thread.
///
/// # Errors
/// See [`Error`].
pub fn run(mut config: Config) -> Result<(), Error> {
    let open_files = raise_open_file_limit();
    let _data_dir = DataDir::open(&config.data_dir)?;
    let signals = Signals::new().map_err(Error::Poll)?;
    let mut listeners = Vec::new();
    for url in &config.listen {
        listeners.extend(Listener::bind(url)?);
    }
    let addresses: Vec<String> = listeners.iter().map(|l| format!("tcp://{}", l.local_addr())).collect();
    let connections_max = connections_max(&config, open_files)?;
    if config.limits.memory_bytes_max == 0 {
        config.limits.memory_bytes_max = memory::usable_bytes() / 2;
    }
    info!(bytes = config.limits.memory_bytes_max, "memory for publications");
    let runtimes = runtimes(&config, connections_max, signals, listeners).map_err(Error::Poll)?;
    info!(shards = runtimes.len(), "threads that serve sessions");
    warn!(
        "durability is memory: sessions, queued and retained messages are lost when the broker stops; \
         the journal is not there yet"
    );
    let ready = format!("noctule {} ready: mqtt {}", env!("CARGO_PKG_VERSION"), addresses.join(" "));
    writeln!(std::io::stdout(), "{ready}").map_err(Error::Ready)?;
    threads::run(runtimes, config.pin_shards).map_err(Error::Poll)?;
    info!("stopped");
    Ok(())
}

/// The runtimes of all shards, connected with each other. The first one is the front.
fn runtimes(
    config: &Config,
    connections_max: usize,
    mut signals: Signals,
    listeners: Vec<Listener>,
) -> io::Result<Vec<Runtime>> {
    let polls = (0..shards(config)).map(|_| Poll::new()).collect::<io::Result<Vec<_>>>()?;
    let wakers = polls.iter().map(|poll| Waker::new(poll.registry(), runtime::MAILBOX));
    let wakers = wakers.collect::<io::Result<Vec<_>>>()?;
    let shared = Arc::new(Shared::new(config.limits.clone(), config.drop_ledger_entries_max, wakers));
    let registry = polls[0].registry();
    signals.register(registry, STOP, RELOAD)?;
    let accepting = Accepting::new(listeners, registry, connections_max, config.connects_per_second_max)?;
    let mut front = Some(Front { accepting, signals, sys: config.sys_interval.map(SysRounds::new) });
    let ids = (0..).map(ShardId);
    let runtime = |(poll, id)| Runtime::new(id, poll, Arc::clone(&shared), front.take());
    Ok(polls.into_iter().zip(ids).map(runtime).collect())
}

/// As many shards as configured, or as the machine has cores.
fn shards(config: &Config) -> u16 {
    match config.shards {
        0 => {
            let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
            u16::try_from(cores).unwrap_or(config::SHARDS_MAX).min(config::SHARDS_MAX)
        }
        shards => shards,
    }
}

/// As many connections as configured, or as the limit of open files leaves room for.
fn connections_max(config: &Config, open_files: OpenFileLimit) -> Result<usize, Error> {
    let possible = open_files.soft.saturating_sub(FILES_RESERVED);
    if possible == 0 {
        return Err(Error::OpenFiles { limit: open_files.soft });
    }
    let wanted = config.connections_max.map_or(u64::MAX, u64::from);
    if wanted > possible && wanted < u64::MAX {
        warn!(
            "limits.connections_max is {wanted}, but the limit of open files allows only {possible}; \
             raise it with ulimit -n"
        );
    }
    let connections = wanted.min(possible);
    info!(connections, open_files = open_files.soft, "connections that can be served at once");
    Ok(usize::try_from(connections).unwrap_or(usize::MAX))
}

/// Open files kept for everything that is not a client's connection.
const FILES_RESERVED: u64 = 64;
const STOP: Token = Token(0);
const RELOAD: Token = Token(1);
