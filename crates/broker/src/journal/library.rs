//! The thread that reads the journal for the shards.
//!
//! Who needs what the disk cannot read waits for it, and nobody else does. A segment is not freed meanwhile, because
//! the shard whose contents are to be moved has not said them again.

use super::{Job, Journal};
use crate::archive::{Archive, Moved, NotYet, Unread};
use crate::shared::{Parcel, Shared};
use noctule_engine::{ShardId, Subscriber};
use noctule_session::Missing;
use noctule_store::{Directory, ReadError};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

/// Reads the journal.
pub(crate) struct Library {
    archive: Archive<Directory>,
    shared: Arc<Shared>,
    journal: Arc<Journal>,
    unread: Unread<Job, Instant>,
}

impl Library {
    pub(crate) fn new(archive: Archive<Directory>, shared: Arc<Shared>, journal: Arc<Journal>) -> Self {
        Self { archive, shared, journal, unread: Unread::default() }
    }

    /// Works until it is told to stop.
    pub(crate) fn run(mut self) {
        loop {
            match self.next() {
                Job::Load { shard, subscriber, missing } => self.load(shard, subscriber, missing),
                Job::Move { shard, contents } => self.move_contents(shard, contents),
                Job::Forget => self.archive.forget_moves(),
                Job::Stop => return,
            }
            self.archive.give_back_room();
            self.unread.done();
        }
    }

    fn next(&mut self) -> Job {
        loop {
            if let Some(job) = self.unread.due(Instant::now()) {
                return job;
            }
            if let Some(job) = self.journal.jobs.next(self.unread.next_due()) {
                return job;
            }
        }
    }

    fn load(&mut self, shard: ShardId, subscriber: Subscriber, missing: Vec<Missing>) {
        let mut contents = Vec::with_capacity(missing.len());
        for next in &missing {
            let Self { archive, shared, journal, .. } = self;
            match wait_for(journal, || archive.load(*next, &shared.directory.memory)) {
                Ok(Some(content)) => contents.push(content),
                Err(cause) if contents.is_empty() => {
                    shared.mailbox(shard).put([Parcel::Unreadable(subscriber)]);
                    return self.set_aside(Job::Load { shard, subscriber, missing }, &cause);
                }
                // The session sends what there is and asks for the rest again.
                Err(_) | Ok(None) => break,
            }
        }
        self.shared.mailbox(shard).put([Parcel::Contents(Box::new((subscriber, contents)))]);
    }

    fn move_contents(&mut self, shard: ShardId, contents: Vec<Missing>) {
        let mut places = Vec::with_capacity(contents.len());
        for missing in &contents {
            let Self { archive, journal, .. } = self;
            match wait_for(journal, || archive.move_content(*missing, &journal.appender, &journal.spans)) {
                Ok(Some(Some(Moved { position, bytes }))) => {
                    journal.again_bytes.fetch_add(bytes, Ordering::Relaxed);
                    places.push((missing.number, position));
                }
                Ok(Some(None)) => {}
                Ok(None) => return,
                // What has been moved is not moved again.
                Err(cause) => return self.set_aside(Job::Move { shard, contents }, &cause),
            }
        }
        self.shared.mailbox(shard).put([Parcel::Places(places)]);
    }

    fn set_aside(&mut self, job: Job, cause: &ReadError) {
        self.unread.set_aside(Instant::now() + UNREADABLE, job, cause);
    }
}

/// Waits until what is to be read is written; not for a broker that stops.
fn wait_for<T>(
    journal: &Journal,
    mut read: impl FnMut() -> Result<T, NotYet>,
) -> Result<Option<T>, ReadError> {
    loop {
        match read() {
            Ok(found) => return Ok(Some(found)),
            Err(NotYet::Unreadable(cause)) => return Err(cause),
            Err(NotYet::NotWritten) if journal.is_stopping.load(Ordering::Acquire) => return Ok(None),
            Err(NotYet::NotWritten) => {
                journal.bell.ring_now();
                journal.jobs.rest(UNWRITTEN);
            }
        }
    }
}

/// What was appended is written within about this.
const UNWRITTEN: Duration = Duration::from_millis(1);
/// What could not be read is tried again after this.
const UNREADABLE: Duration = Duration::from_secs(1);
