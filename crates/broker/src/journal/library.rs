//! The thread that reads the journal for the shards.

use super::{Job, Journal};
use crate::archive::{Archive, Moved, NotWritten};
use crate::shared::{Parcel, Shared};
use noctule_engine::ShardId;
use noctule_session::Missing;
use noctule_store::Directory;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// Reads the journal.
pub(crate) struct Library {
    archive: Archive<Directory>,
    shared: Arc<Shared>,
    journal: Arc<Journal>,
}

impl Library {
    pub(crate) fn new(archive: Archive<Directory>, shared: Arc<Shared>, journal: Arc<Journal>) -> Self {
        Self { archive, shared, journal }
    }

    /// Works until it is told to stop.
    pub(crate) fn run(mut self) {
        loop {
            match self.journal.jobs.next() {
                Job::Load { shard, subscriber, missing } => {
                    let load = |missing| {
                        let memory = &self.shared.directory.memory;
                        wait_for(&self.journal, || self.archive.load(missing, memory))
                    };
                    let contents = missing.into_iter().map_while(load).collect();
                    self.shared.mailbox(shard).put([Parcel::Contents(Box::new((subscriber, contents)))]);
                }
                Job::Move { shard, contents } => self.move_contents(shard, contents),
                Job::Forget => self.archive.forget_moves(),
                Job::Stop => return,
            }
            self.archive.give_back_room();
        }
    }

    fn move_contents(&mut self, shard: ShardId, contents: Vec<Missing>) {
        let mut places = Vec::with_capacity(contents.len());
        for missing in contents {
            let appender = &self.journal.appender;
            let moved = wait_for(&self.journal, || self.archive.move_content(missing, appender)).flatten();
            if let Some(Moved { position, bytes }) = moved {
                self.journal.again_bytes.fetch_add(bytes, Ordering::Relaxed);
                places.push((missing.number, position));
            }
        }
        self.shared.mailbox(shard).put([Parcel::Places(places)]);
    }
}

/// Waits until what is to be read is written; not for a broker that stops.
fn wait_for<T>(journal: &Journal, mut read: impl FnMut() -> Result<T, NotWritten>) -> Option<T> {
    loop {
        match read() {
            Ok(found) => return Some(found),
            Err(NotWritten) if journal.is_stopping.load(Ordering::Acquire) => return None,
            Err(NotWritten) => {
                journal.bell.ring_now();
                journal.jobs.rest(UNWRITTEN);
            }
        }
    }
}

/// What was appended is written within about this.
const UNWRITTEN: Duration = Duration::from_millis(1);
