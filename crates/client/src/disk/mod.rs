//! The outbox on disk: what this client is responsible for survives the process.
//!
//! A task of its own takes the machine's changes and makes them durable. The driver waits for them before it sends what
//! follows from them, and `publish` before it says that this client has the message.
//!
//! Invariants:
//! - Nothing that follows from a change is sent before the change is durable.
//! - A failure of the disk is tried again and never passed over: until it succeeds nothing is sent.

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
}

impl Disk {
    pub(crate) fn new() -> Self {
        Self { wake: Notify::new(), durable: watch::channel(0).0, is_ending: AtomicBool::new(false) }
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
}

/// Makes changes durable until the client has ended.
pub(crate) async fn run(shared: Arc<Shared>, mut log: Log) {
    let Some(disk) = &shared.disk else { return };
    loop {
        disk.wake.notified().await;
        loop {
            let (position, changes) = shared.with(|core, _| core.take_changes());
            if changes.is_empty() {
                break;
            }
            let bytes = record::encode_all(&changes, &shared.clock);
            log = until_done(log, move |log| log.append(&bytes)).await;
            disk.durable.send_replace(position);
        }
        if log.is_worth_rewriting() {
            log = rewrite(&shared, disk, log).await;
        }
        if disk.is_ending.load(Ordering::Relaxed) {
            return;
        }
    }
}

/// Replaces the log by what makes the present state.
async fn rewrite(shared: &Shared, disk: &Disk, log: Log) -> Log {
    let (position, changes) = shared.with(|core, _| (core.take_changes().0, core.snapshot()));
    let bytes = record::encode_all(&changes, &shared.clock);
    let log = until_done(log, move |log| log.replace(&bytes)).await;
    disk.durable.send_replace(position);
    log
}

/// Does something with the log where blocking is allowed, again and again until it succeeds.
async fn until_done<F>(mut log: Log, work: F) -> Log
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
        let Err(error) = result else { return log };
        tracing::error!(%error, "the outbox cannot be written; nothing is sent until it can");
        tokio::time::sleep(PAUSE).await;
    }
}

/// Between two attempts to write.
const PAUSE: Duration = Duration::from_secs(1);
