//! The threads of the journal.

use super::Chore;
use super::Journal;
use super::keeper::Keeper;
use super::library::Library;
use crate::archive::{Archive, Spans};
use crate::shared::Shared;
use crate::threads::AbortOnPanic;
use noctule_engine::brief;
use noctule_store::{Directory, Indexing, Opened, Reader};
use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, sync_channel};
use std::thread::{self, JoinHandle};
use tracing::debug;

/// The running threads of the journal.
pub(crate) struct JournalThreads {
    journal: Arc<Journal>,
    threads: Vec<JoinHandle<()>>,
}

impl JournalThreads {
    /// Starts the threads. Gives back what reads the journal meanwhile.
    pub(crate) fn new(
        opened: Opened<Directory>,
        spans: Spans,
        shared: &Arc<Shared>,
        syncs: bool,
    ) -> io::Result<(Self, Reader<Directory>)> {
        let Opened { appender, committer, reader, report } = opened;
        let is_damaged = !report.damage.is_empty();
        let journal = Arc::new(Journal::new(appender, spans, syncs, shared.shards()));
        let (preparer, chores) = sync_channel(1);
        let keeper = Keeper::new(committer, preparer, Arc::clone(shared), Arc::clone(&journal), is_damaged);
        let library = Library::new(Archive::new(reader.clone()), Arc::clone(shared), Arc::clone(&journal));
        let of_preparer = Arc::clone(&journal);
        let threads = vec![
            spawn("keeper", || keeper.run())?,
            spawn("library", || library.run())?,
            spawn("preparer", move || prepare(&chores, &of_preparer))?,
        ];
        Ok((Self { journal, threads }, reader))
    }

    pub(crate) fn journal(&self) -> Arc<Journal> {
        Arc::clone(&self.journal)
    }

    /// Writes what is left and ends the threads. Nobody appends any more.
    pub(crate) fn stop(self) {
        self.journal.stop();
        for thread in self.threads {
            // One that panics takes the process with it.
            let _ = thread.join();
        }
    }
}

/// Does what the keeper has no time for, one thing after the other.
fn prepare(chores: &Receiver<Chore>, journal: &Journal) {
    for chore in chores {
        match chore {
            Chore::Touch(spare) => while spare.step() && !journal.is_stopping.load(Ordering::Acquire) {},
            Chore::Index(segment) => index(segment),
        }
        // There may be another one, or this one has failed.
        journal.is_prepared.store(true, Ordering::Release);
        journal.bell.ring_soon();
    }
}

/// Has the next start know a segment without reading it.
fn index(segment: Indexing<Directory>) {
    match segment.write(&mut |body, out| brief(body, out).ok()) {
        Ok(is_indexed) => debug!(is_indexed, "a segment of the journal was read for its index"),
        Err(cause) => debug!(%cause, "a segment of the journal has no index; the next start reads it"),
    }
}

fn spawn(name: &str, work: impl FnOnce() + Send + 'static) -> io::Result<JoinHandle<()>> {
    thread::Builder::new().name(name.to_owned()).spawn(move || {
        let _guard = AbortOnPanic;
        work();
    })
}
