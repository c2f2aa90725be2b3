//! The runtime around the engine: sockets, turns, timers, configuration and `$SYS`.
//!
//! The engine decides; this crate owns the machine. [`run`] takes a [`Config`], opens the listeners and works
//! in turns until it is told to stop. One turn is `Runtime::turn`: the order of its lines
//! is the promise that an acknowledgement makes.

mod accepting;
pub mod access;
pub mod archive;
pub mod config;
mod data_dir;
mod entrance;
mod gate;
mod journal;
mod ledger;
mod locks;
mod mailbox;
mod memory;
mod pauses;
mod reload;
mod runtime;
mod shared;
mod signals;
mod sockets;
mod spans;
mod sync;
mod sys;
pub mod testing;
mod threads;
mod tls_files;
pub mod upkeep;
mod watch;

pub use config::Config;
pub use reload::Reloads;

use accepting::Accepting;
use archive::{Archive, NotYet, Spans};
use config::Problems;
use data_dir::DataDir;
use entrance::Entrance;
use journal::{JournalThreads, Recovered};
use mio::{Poll, Token, Waker};
use noctule_auth::Access;
use noctule_engine::{Content, Restorer, Shard, ShardId, Start, Turn};
use noctule_session::{Durability, Instant, MessageNumber, Missing, Position, Publication};
use noctule_store::{Directory, ReadError};
use noctule_transport::{
    BindError, CertificateError, ListenUrl, OpenFileLimit, TlsSetupError, raise_open_file_limit,
};
use reload::Reloading;
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
    /// A file of certificates or keys cannot be used.
    #[error(transparent)]
    Certificate(#[from] CertificateError),
    /// TLS cannot be set up with what was given.
    #[error(transparent)]
    Tls(#[from] TlsSetupError),
    /// A listener with TLS has no certificate.
    #[error(
        "{url} needs a certificate; name its file in tls.certificate and that of its key in tls.key, or in its \
         [[listener]]"
    )]
    NoCertificate {
        /// The listener.
        url: ListenUrl,
    },
    /// A key is not read.
    #[error("{path}: {cause}", path = path.display())]
    Key {
        /// Its file.
        path: PathBuf,
        /// Why not.
        cause: access::secrets::SecretError,
    },
    /// Certificates and keys do not pair.
    #[error("tls.certificate names {certificates} files and tls.key {keys}; each certificate needs its key")]
    CertificatesWithoutKeys {
        /// Files of certificates.
        certificates: usize,
        /// Files of keys.
        keys: usize,
    },
    /// More listeners than there are numbers for.
    #[error("there are {listeners} listeners, and no more than {} can be", entrance::LISTENERS_MAX)]
    TooManyListeners {
        /// How many the configuration has.
        listeners: usize,
    },
    /// Nobody is there to have signed the clients' certificates.
    #[error("tls.client_certificates needs the authority that signs them; name its file in tls.client_ca")]
    NoClientCa,
    /// The files that say who may come in are wrong.
    #[error("{0}")]
    Access(Problems),
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
    /// The journal cannot be opened.
    #[error("{source}")]
    Journal {
        /// What is wrong, where, and what to do.
        source: noctule_store::OpenError,
    },
    /// The journal was read, but not once more.
    #[error("{source}; nothing is lost by that. Check the disk, then start again")]
    Unread {
        /// Where the disk failed.
        source: ReadError,
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
pub fn run(config: Config) -> Result<(), Error> {
    run_with(config, None)
}

/// The same, and SIGHUP has the configuration read anew.
///
/// # Errors
/// See [`Error`].
pub fn run_and_reload(config: Config, source: Box<dyn Reloads>) -> Result<(), Error> {
    run_with(config, Some(source))
}

fn run_with(config: Config, source: Option<Box<dyn Reloads>>) -> Result<(), Error> {
    let open_files = raise_open_file_limit();
    let access = load_access(&config)?;
    let data_dir = open_data_dir(&config)?;
    let signals = Signals::new().map_err(Error::Poll)?;
    let broker = Assembled::new(config, source, Outside { open_files, access, data_dir, signals })?;
    let ready = format!("noctule {} ready: mqtt {}", env!("CARGO_PKG_VERSION"), broker.places());
    writeln!(std::io::stdout(), "{ready}").map_err(Error::Ready)?;
    broker.serve()
}

/// What a broker is given from outside.
struct Outside {
    open_files: OpenFileLimit,
    access: Access,
    data_dir: DataDir,
    signals: Signals,
}

/// A broker that listens, and serves once it is told to.
struct Assembled {
    runtimes: Vec<Runtime>,
    journal: Option<JournalThreads>,
    listens_at: Vec<ListenUrl>,
    is_pinned: bool,
}

impl Assembled {
    fn new(mut config: Config, source: Option<Box<dyn Reloads>>, outside: Outside) -> Result<Self, Error> {
        let Outside { open_files, access, data_dir, signals } = outside;
        let entrances = Entrance::open_all(&config)?;
        let listens_at = entrances.iter().map(|entrance| entrance.listener.url().clone()).collect();
        let connections_max = connections_max(&config, open_files)?;
        if config.limits.memory_bytes_max == 0 {
            config.limits.memory_bytes_max = memory::usable_bytes() / 2;
        }
        info!(bytes = config.limits.memory_bytes_max, "memory for publications");
        let recovered = open_journal(&config)?;
        let reloading = source.map(|source| Reloading::new(source, config.clone(), open_files));
        let parts = Parts { connections_max, signals, entrances, access, reloading };
        let (runtimes, journal) = assemble(&config, parts, data_dir, recovered)?;
        info!(shards = runtimes.len(), "threads that serve sessions");
        Ok(Self { runtimes, journal, listens_at, is_pinned: config.pin_shards })
    }

    /// Where it listens, in one line.
    fn places(&self) -> String {
        let places: Vec<String> = self.listens_at.iter().map(ListenUrl::to_string).collect();
        places.join(" ")
    }

    /// Serves on this thread, and on others that have ended when it returns, until it is told to stop.
    fn serve(self) -> Result<(), Error> {
        let stopped = threads::run(self.runtimes, self.is_pinned).map_err(Error::Poll);
        self.journal.into_iter().for_each(JournalThreads::stop);
        stopped?;
        info!("stopped");
        Ok(())
    }
}

/// Reads who may come in and what they may do.
fn load_access(config: &Config) -> Result<Access, Error> {
    let loaded = access::load(config, 1).map_err(Error::Access)?;
    for warning in &loaded.warnings {
        warn!("{warning}");
    }
    Ok(loaded.access)
}

/// Locks the data directory. A broker that keeps nothing goes on where it cannot make one.
fn open_data_dir(config: &Config) -> Result<DataDir, Error> {
    match DataDir::open(&config.data_dir) {
        Err(cause @ (Error::DataDir { .. } | Error::NotADirectory { .. }))
            if config.limits.durability == Durability::Memory =>
        {
            info!(%cause, "nothing is kept, so it goes on without");
            Ok(DataDir::none())
        }
        opened => opened,
    }
}

/// Reads the journal, unless nothing is to be remembered.
fn open_journal(config: &Config) -> Result<Option<Recovered>, Error> {
    if config.limits.durability == Durability::Memory {
        warn!("durability is memory: sessions, queued and retained messages are lost when the broker stops");
        return Ok(None);
    }
    let journal_bytes_max = config.journal_bytes_max;
    let options = noctule_store::Options { journal_bytes_max, ..noctule_store::Options::default() };
    journal::open(&config.data_dir, options, config.recover).map(Some)
}

/// What the runtimes are made of.
struct Parts {
    connections_max: usize,
    signals: Signals,
    entrances: Vec<Entrance>,
    access: Access,
    reloading: Option<Reloading>,
}

/// The runtimes of all shards, connected with each other and with the journal, and with everything that it
/// remembers. The first one is the front.
fn assemble(
    config: &Config,
    Parts { connections_max, mut signals, entrances, access, reloading }: Parts,
    data_dir: DataDir,
    recovered: Option<Recovered>,
) -> Result<(Vec<Runtime>, Option<JournalThreads>), Error> {
    let polls =
        (0..shards(config)).map(|_| Poll::new()).collect::<io::Result<Vec<_>>>().map_err(Error::Poll)?;
    let wakers = polls.iter().map(|poll| Waker::new(poll.registry(), runtime::MAILBOX));
    let wakers = wakers.collect::<io::Result<Vec<_>>>().map_err(Error::Poll)?;
    let latest = recovered.as_ref().map_or(Instant::default(), |recovered| recovered.remembered.latest);
    let start = Start::new(latest, data_dir.last_alive(), time_of_day());
    let (limits, drops_max) = (config.limits.clone(), config.drop_ledger_entries_max);
    let access = (access, config.access.attempts_per_minute_max.0);
    let shared = Arc::new(Shared::new(limits, drops_max, wakers, start.now, data_dir, access));
    let (remembered, journal) = match recovered {
        None => (None, None),
        Some(Recovered { remembered, opened }) => {
            let syncs = config.limits.durability == Durability::Disk;
            let spans = Spans::new(remembered.spans.iter().copied());
            let (threads, reader) =
                JournalThreads::new(opened, spans, &shared, syncs).map_err(Error::Poll)?;
            (Some((remembered, reader)), Some(threads))
        }
    };
    let registry = polls[0].registry();
    signals.register(registry, STOP, RELOAD).map_err(Error::Poll)?;
    shared.directory.set_user_rates(config.user_rates);
    let (pace, address_rates) = (config.connects_per_second_max, config.address_rates);
    let accepting =
        Accepting::new(entrances, registry, connections_max, pace, address_rates).map_err(Error::Poll)?;
    let sys = config.sys_interval.map(SysRounds::new);
    reloading.iter().for_each(|reloading| reloading.watch(&shared));
    let mut front = Some(Front { accepting, signals, sys, reloading });
    let ids = (0..).map(ShardId);
    let handle = || journal.as_ref().map(JournalThreads::journal);
    let runtime = |(poll, id)| Runtime::new(id, poll, Arc::clone(&shared), handle(), front.take());
    let mut runtimes: Vec<Runtime> = polls.into_iter().zip(ids).map(runtime).collect();
    if let Some((remembered, reader)) = remembered {
        let (runtimes, archive) = (&mut runtimes, Archive::new(reader));
        let mut machine = Machine { runtimes, archive, shared: &shared, unread: None };
        remembered.restore(&shared.directory, shared.shards(), start.lost_at, &mut machine);
        machine.unread.map_or(Ok(()), |source| Err(Error::Unread { source }))?;
    }
    Ok((runtimes, journal))
}

/// The runtimes while they are given back what the journal remembers.
struct Machine<'a> {
    runtimes: &'a mut [Runtime],
    archive: Archive<Directory>,
    shared: &'a Shared,
    /// Why something that is not lost could not be read.
    unread: Option<ReadError>,
}

impl Restorer for Machine<'_> {
    fn turn(&mut self, shard: ShardId, work: impl FnOnce(&mut Shard, &mut Turn<'_>)) {
        self.runtimes[usize::from(shard.0)].prepare(work);
    }

    fn read(&mut self, number: MessageNumber, position: Position) -> Option<Arc<Publication>> {
        match self.archive.load(Missing { number, position }, &self.shared.directory.memory) {
            Ok(Content::Found(message)) => Some(message),
            Ok(Content::Lost(_)) | Err(NotYet::NotWritten) => None,
            Err(NotYet::Unreadable(cause)) => {
                self.unread.get_or_insert(cause);
                None
            }
        }
    }
}

fn time_of_day() -> Instant {
    let since_1970 = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    Instant::from_millis(u64::try_from(since_1970.as_millis()).unwrap_or(u64::MAX))
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
