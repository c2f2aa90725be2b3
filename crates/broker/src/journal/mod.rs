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

pub(crate) use recovery::{Recovered, open, read_content};
pub(crate) use threads::JournalThreads;

use bell::Bell;
use noctule_engine::{Record, Request, ShardId, Subscriber};
use noctule_session::{Missing, Position, Publication};
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
    /// What was moved before is no longer of interest: another segment is about to be freed.
    Forget,
    /// There is nothing more to do.
    Stop,
}

/// Buffers of one shard for the bytes of its records.
#[derive(Debug, Default)]
pub(crate) struct Scratch {
    bytes: Vec<u8>,
    /// Where each frame ends in the bytes, and how many records it and those before it hold.
    frames: Vec<(usize, usize)>,
    places: Vec<noctule_store::Position>,
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
        }
    }

    /// Gives records their places, tells publications theirs, and says where the journal reaches then.
    pub(crate) fn append(&self, records: &mut Vec<Record>, scratch: &mut Scratch) -> Position {
        scratch.clear();
        let mut again = 0;
        for (count, record) in (1..).zip(records.iter()) {
            let before = scratch.bytes.len();
            record.encode(&mut scratch.bytes);
            if is_said_again(record) {
                again += scratch.bytes.len() - before;
            }
            scratch.end_frame_if_full(count);
        }
        scratch.end_frame(records.len());
        if again > 0 {
            self.again_bytes.fetch_add(again as u64, Ordering::Relaxed);
        }
        let mut begin = 0;
        let bodies = scratch.frames.iter().map(|(end, _)| &scratch.bytes[std::mem::replace(&mut begin, *end)..*end]);
        let end = self.appender.append(bodies, &mut scratch.places);
        let mut frames = scratch.frames.iter().zip(&scratch.places).peekable();
        for (number, record) in records.drain(..).enumerate() {
            while frames.next_if(|((_, records), _)| *records <= number).is_some() {}
            if let Some((_, place)) = frames.peek() {
                tell_place(&record, Position(place.get()));
            }
        }
        scratch.shrink();
        Position(end.get())
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
        let _ = self.jobs.send(Job::Stop);
        self.bell.stop();
    }
}

impl Scratch {
    fn clear(&mut self) {
        self.bytes.clear();
        self.frames.clear();
        self.places.clear();
    }

    fn end_frame_if_full(&mut self, records: usize) {
        let begin = self.frames.last().map_or(0, |(end, _)| *end);
        if self.bytes.len() - begin >= FRAME_BYTES {
            self.frames.push((self.bytes.len(), records));
        }
    }

    fn end_frame(&mut self, records: usize) {
        if self.frames.last().is_none_or(|(end, _)| *end < self.bytes.len()) {
            self.frames.push((self.bytes.len(), records));
        }
    }

    fn shrink(&mut self) {
        if self.bytes.capacity() > SCRATCH_KEPT {
            *self = Self::default();
        }
    }
}

/// Whether a record says what the journal knew already, because it is about to forget.
fn is_said_again(record: &Record) -> bool {
    use noctule_session::SessionChange::Held;
    match record {
        Record::Moved(_) | Record::Retained(_) | Record::GroupOwed { .. } => true,
        Record::Session { change, .. } => matches!(change, Held { .. }),
        _ => false,
    }
}

fn tell_place(record: &Record, position: Position) {
    let (Record::Published(_) | Record::Retained(_) | Record::GroupOwed { .. }) = record else { return };
    let tell = |message: &Publication| match record {
        Record::Published(_) => message.place.set(position),
        _ => message.kept.set(position),
    };
    match record {
        Record::Published(frame) => tell(&frame.message),
        Record::Retained(message) | Record::GroupOwed { message, .. } => tell(message),
        _ => {}
    }
}

/// A frame ends with the record that makes it this long. It is what one look-up of a message reads.
const FRAME_BYTES: usize = 64 << 10;
/// A shard keeps buffers up to this size.
const SCRATCH_KEPT: usize = 1 << 20;
