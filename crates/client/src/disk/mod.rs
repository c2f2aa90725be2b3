//! The outbox on disk: what this client is responsible for survives the process.
//!
//! A task of its own takes the machine's changes and makes them durable. The driver waits for them before it sends what
//! follows from them, and `publish` before it says that this client has the message.
//!
//! Invariants:
//! - Nothing that follows from a change is sent before the change is durable.
//! - A failure of the disk is tried again and never passed over: until it succeeds nothing is sent. Who closes the
//!   client waits for it as long as for the server.

mod log;
mod record;

pub use log::OutboxError;
pub(crate) use log::{Log, Stored};

use crate::shared::Shared;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::sync::{Notify, watch};

/// What the builder was told about the outbox on disk.
#[derive(Clone, Debug)]
pub(crate) struct DiskOptions {
    pub(crate) folder: PathBuf,
}

/// What the writer and those who wait for it share.
#[derive(Debug)]
pub(crate) struct Disk {
    wake: Notify,
    /// How many changes are durable.
    durable: watch::Sender<u64>,
    is_ending: AtomicBool,
    /// Whether the folder is free for others.
    is_free: watch::Sender<bool>,
}

impl Disk {
    pub(crate) fn new() -> Self {
        let (durable, is_free) = (watch::channel(0).0, watch::channel(false).0);
        Self { wake: Notify::new(), durable, is_ending: AtomicBool::new(false), is_free }
    }

    /// There may be changes.
    pub(crate) fn wake(&self) {
        self.wake.notify_one();
    }

    /// Waits until so many changes are durable.
    pub(crate) async fn reached(&self, position: u64) {
        self.wake();
        // The other end is in `self`.
        let _ = self.durable.subscribe().wait_for(|durable| *durable >= position).await;
    }

    /// No changes come any more.
    pub(crate) fn end(&self) {
        self.is_ending.store(true, Ordering::Relaxed);
        self.wake();
    }

    /// Waits until another client may use the folder.
    pub(crate) async fn freed(&self) {
        // The other end is in `self`.
        let _ = self.is_free.subscribe().wait_for(|is_free| *is_free).await;
    }

    fn is_ending(&self) -> bool {
        self.is_ending.load(Ordering::Relaxed)
    }
}

/// Makes changes durable until the client has ended, and gives the folder back then.
pub(crate) async fn run(shared: Arc<Shared>, log: Log) {
    let Some(disk) = &shared.disk else { return };
    let _freed = Freed(disk);
    write_changes(&shared, disk, log).await;
}

/// Says that the folder is free, however the writer ends: its runtime may end before it.
struct Freed<'a>(&'a Disk);

impl Drop for Freed<'_> {
    fn drop(&mut self) {
        self.0.is_free.send_replace(true);
    }
}

async fn write_changes(shared: &Shared, disk: &Disk, mut log: Log) {
    loop {
        disk.wake.notified().await;
        loop {
            let (position, changes) = shared.with(|core, _| core.take_changes());
            if changes.is_empty() {
                break;
            }
            let bytes = record::encode_all(&changes, &shared.clock);
            let Some(written) = until_done(disk, log, move |log| log.append(&bytes)).await else { return };
            log = written;
            disk.durable.send_replace(position);
        }
        if log.is_worth_rewriting() {
            let Some(written) = rewrite(shared, disk, log).await else { return };
            log = written;
        }
        if disk.is_ending() {
            return;
        }
    }
}

/// Replaces the log by what makes the present state.
async fn rewrite(shared: &Shared, disk: &Disk, log: Log) -> Option<Log> {
    let (position, changes) = shared.with(|core, _| (core.take_changes().0, core.snapshot()));
    let bytes = record::encode_all(&changes, &shared.clock);
    let log = until_done(disk, log, move |log| log.replace(&bytes)).await?;
    disk.durable.send_replace(position);
    Some(log)
}

/// Does something with the log where blocking is allowed, again and again until it succeeds. `None` if it does not
/// and the client has ended: then nobody waits for it, and nothing that follows from it was sent.
async fn until_done<F>(disk: &Disk, mut log: Log, work: F) -> Option<Log>
where
    F: Fn(&mut Log) -> Result<(), OutboxError> + Send + Sync + 'static,
{
    let work = Arc::new(work);
    loop {
        let once = Arc::clone(&work);
        let done = tokio::task::spawn_blocking(move || {
            let result = once(&mut log);
            (log, result)
        });
        let result;
        (log, result) = match done.await {
            Ok(done) => done,
            // The runtime ends; nobody waits for the rest.
            Err(_) => return std::future::pending().await,
        };
        let Err(error) = result else { return Some(log) };
        if disk.is_ending() {
            tracing::error!(%error, "the outbox cannot be written, and the client ends without that");
            return None;
        }
        tracing::error!(%error, "the outbox cannot be written; nothing is sent until it can");
        let over = tokio::time::Instant::now() + PAUSE;
        while !disk.is_ending() && tokio::time::timeout_at(over, disk.wake.notified()).await.is_ok() {}
    }
}

/// Between two attempts to write.
const PAUSE: Duration = Duration::from_secs(1);
