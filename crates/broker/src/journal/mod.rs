//! The journal as the shards use it: they append, wait, and ask for what they left there.
//!
//! Two threads work behind it. The [`keeper`] writes what was appended and makes it durable; the [`library`] reads
//! back what sessions left in the journal, and moves what is about to be freed. Shards hear from both through
//! their mailboxes.

mod bell;
mod keeper;
mod library;
mod recovery;
mod threads;

pub(crate) use recovery::{Recovered, open};
pub(crate) use threads::JournalThreads;

use crate::archive::Scratch;
use bell::Bell;
use noctule_engine::{Record, Request, ShardId, Subscriber};
use noctule_session::{Missing, Position};
use noctule_store::Appender;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, mpsc};

/// What all shards share of the journal.
#[derive(Debug)]
pub(crate) struct Journal {
    appender: Arc<Appender>,
    /// Promises wait for the disk; otherwise for the kernel alone.
    waits_for_disk: bool,
    bell: Bell,
    jobs: mpsc::Sender<Job>,
    /// Shards that wait for a commit.
    waiting: Box<[AtomicBool]>,
    /// Bytes appended that say again what the journal had already.
    again_bytes: AtomicU64,
    restated: Restated,
    is_stopping: AtomicBool,
}

/// How far the shards have come with recording again what is about to be freed.
#[derive(Debug, Default)]
pub(crate) struct Restated {
    missing: AtomicU64,
    position: AtomicU64,
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
    pub(crate) fn new(
        appender: Arc<Appender>,
        waits_for_disk: bool,
        jobs: mpsc::Sender<Job>,
        shards: u16,
    ) -> Self {
        Self {
            appender,
            waits_for_disk,
            bell: Bell::default(),
            jobs,
            waiting: (0..shards).map(|_| AtomicBool::new(false)).collect(),
            again_bytes: AtomicU64::new(0),
            restated: Restated::default(),
            is_stopping: AtomicBool::new(false),
        }
    }

    /// Gives records their places, tells publications theirs, and says where the journal reaches then.
    pub(crate) fn append(&self, records: &mut Vec<Record>, scratch: &mut Scratch) -> Position {
        let end = scratch.append(&self.appender, records);
        self.again_bytes.fetch_add(scratch.again_bytes(), Ordering::Relaxed);
        end
    }

    /// Has what was appended written: at once if a shard waits, otherwise soon.
    pub(crate) fn ring(&self, shard: ShardId, is_waiting: bool) {
        if is_waiting {
            self.waiting[usize::from(shard.0)].store(true, Ordering::Release);
            self.bell.ring_now();
        } else {
            self.bell.ring_soon();
        }
    }

    /// Everything before this is kept as promised.
    pub(crate) fn kept(&self) -> Position {
        let kept = if self.waits_for_disk { self.appender.durable() } else { self.appender.written() };
        Position(kept.get())
    }

    /// Passes on what a shard wants.
    pub(crate) fn ask(&self, shard: ShardId, request: Request) {
        let job = match request {
            Request::Load { subscriber, missing } => Job::Load { shard, subscriber, missing },
            Request::Move { contents } => Job::Move { shard, contents },
            Request::Restated { position } => {
                self.restated.position.fetch_max(position.0, Ordering::AcqRel);
                self.restated.missing.fetch_sub(1, Ordering::AcqRel);
                return self.bell.ring_now();
            }
        };
        // The library ends after the shards have.
        let _ = self.jobs.send(job);
    }

    /// Ends both threads, once nobody appends any more.
    pub(crate) fn stop(&self) {
        self.is_stopping.store(true, Ordering::Release);
        let _ = self.jobs.send(Job::Stop);
        self.bell.stop();
    }
}
