//! The journal as the shards use it: they append, wait, and ask for what they left there.
//!
//! Three threads work behind it. The [`keeper`] writes what was appended and makes it durable; the [`library`] reads
//! back what sessions left in the journal, and moves what is about to be freed; the preparer writes the blocks of the
//! next segment's file once, ahead of need, and the indexes of those that are full. Shards hear from the first two
//! through their mailboxes.

mod bell;
mod jobs;
mod keeper;
mod library;
mod recovery;
mod threads;

pub(crate) use recovery::{Recovered, open};
pub(crate) use threads::JournalThreads;

use crate::archive::{Scratch, Spans};
use bell::Bell;
use jobs::Jobs;
use noctule_engine::{Record, Request, Shard, ShardId, Subscriber};
use noctule_session::{Durability, Missing, Position};
use noctule_store::{Appender, Directory, DirectoryFile, Indexing, Touch};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// What all shards share of the journal.
#[derive(Debug)]
pub(crate) struct Journal {
    appender: Arc<Appender>,
    spans: Spans,
    /// Everything is synced; otherwise only what somebody waits for.
    syncs: bool,
    /// Somebody waits for the kernel alone, or for the disk.
    is_wanted: [AtomicBool; 2],
    bell: Bell,
    jobs: Jobs,
    /// Up to where each shard has called for a commit; 0 once it is told of one.
    waiting: Box<[AtomicU64]>,
    /// Bytes appended that say again what the journal had already.
    again_bytes: AtomicU64,
    restated: Restated,
    /// The preparer has done what it was given; there may be more.
    is_prepared: AtomicBool,
    is_stopping: AtomicBool,
}

/// How far the shards have come with recording again what is about to be freed.
#[derive(Debug, Default)]
pub(crate) struct Restated {
    missing: AtomicU64,
    position: AtomicU64,
}

/// Work for the preparer.
#[derive(Debug)]
pub(crate) enum Chore {
    /// Write the blocks of a spare file once.
    Touch(Arc<Touch<DirectoryFile>>),
    /// Write the index of a segment.
    Index(Indexing<Directory>),
}

/// Work for the library.
#[derive(Debug)]
pub(crate) enum Job {
    /// Read contents for a session.
    Load { shard: ShardId, subscriber: Subscriber, missing: Vec<Missing> },
    /// Record contents again and tell where.
    Move { shard: ShardId, contents: Vec<Missing> },
    /// Where contents were moved to is no longer of interest: their segment is free.
    Forget,
    /// There is nothing more to do.
    Stop,
}

impl Journal {
    pub(crate) fn new(appender: Arc<Appender>, spans: Spans, syncs: bool, shards: u16) -> Self {
        Self {
            appender,
            spans,
            syncs,
            is_wanted: [AtomicBool::new(false), AtomicBool::new(false)],
            bell: Bell::default(),
            jobs: Jobs::default(),
            waiting: (0..shards).map(|_| AtomicU64::new(0)).collect(),
            again_bytes: AtomicU64::new(0),
            restated: Restated::default(),
            is_prepared: AtomicBool::new(false),
            is_stopping: AtomicBool::new(false),
        }
    }

    /// Gives records their places, tells publications theirs, and says where the journal reaches then.
    pub(crate) fn append(&self, records: &mut Vec<Record>, scratch: &mut Scratch) -> Position {
        let end = scratch.append(&self.appender, &self.spans, records);
        self.again_bytes.fetch_add(scratch.again_bytes(), Ordering::Relaxed);
        end
    }

    /// Has what was appended written: at once if a shard waits for that and has not called yet, otherwise soon. So
    /// what nobody waits for has no commit of its own, while the one before it is on its way.
    pub(crate) fn ring(&self, id: ShardId, shard: &Shard) {
        let waits = [Durability::Os, Durability::Disk].map(|level| shard.waits_for(level));
        let up_to = waits.iter().flatten().max().map_or(0, |position| position.0);
        if self.waiting[usize::from(id.0)].fetch_max(up_to, Ordering::AcqRel) >= up_to {
            return self.bell.ring_soon();
        }
        for (wanted, _) in self.is_wanted.iter().zip(waits).filter(|(_, waits)| waits.is_some()) {
            wanted.store(true, Ordering::Release);
        }
        self.bell.ring_now();
    }

    /// Up to where the kernel has everything, and the disk.
    pub(crate) fn committed(&self) -> (Position, Position) {
        let [written, durable] = [self.appender.written(), self.appender.durable()];
        (Position(written.get()), Position(durable.get()))
    }

    /// Passes on what a shard wants.
    pub(crate) fn ask(&self, shard: ShardId, request: Request) {
        let job = match request {
            Request::Load { subscriber, missing } => Job::Load { shard, subscriber, missing },
            Request::Move { contents } => Job::Move { shard, contents },
            Request::Abandoned { message } => return self.spans.abandon(message),
            Request::Restated { position } => {
                self.restated.position.fetch_max(position.0, Ordering::AcqRel);
                self.restated.missing.fetch_sub(1, Ordering::AcqRel);
                return self.bell.ring_now();
            }
        };
        self.jobs.put(job);
    }

    /// Ends the threads, once nobody appends any more.
    pub(crate) fn stop(&self) {
        self.is_stopping.store(true, Ordering::Release);
        self.jobs.put(Job::Stop);
        self.bell.stop();
    }
}
