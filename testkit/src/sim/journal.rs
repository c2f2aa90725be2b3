//! The journal of a simulated broker: the code that ships, on a simulated disk. What the broker's two threads do is
//! cut into steps here, and the seed decides when each of them happens.

use super::SimOptions;
use noctule_broker::archive::{Archive, NotYet, Scratch, Spans, Unread, for_shards};
use noctule_engine::{Content, Directory, JournalState, Record, Request, ShardId, Subscriber, brief};
use noctule_session::{Durability, Instant, MemoryGauge, MessageNumber, Missing, Position};
use noctule_store::simulated::SimulatedDisk;
use noctule_store::{Appender, CommitError, Committer, Opened, Prepared, State};
use std::collections::VecDeque;
use std::sync::Arc;

/// How a broker ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Crash {
    /// Its process is killed; the kernel goes on.
    Kill,
    /// The machine loses its power.
    PowerCut,
    /// It is told to stop.
    Stop,
}

/// What comes to a shard from the journal.
#[derive(Debug)]
pub(super) enum FromJournal {
    Contents(Subscriber, Vec<Content>),
    Unreadable(Subscriber),
    Places(Vec<(MessageNumber, Position)>),
    Restate(Position),
}

/// Something that the journal could do now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum JournalStep {
    /// Reads for a session, or moves what is about to be freed.
    Read,
    /// Tries again what could not be read.
    ReadAgain,
    /// Frees what was said again.
    Free,
    /// Makes a segment ahead of need, or the index of a full one.
    Prepare,
    /// Has the shards say again what still counts of the oldest segment.
    Reclaim,
    /// Tries again what failed.
    Retry,
    /// Writes what was appended.
    Write,
    /// Writes what was appended, and makes it durable.
    Sync,
}

/// The journal in one life of the broker.
pub(super) struct Journal {
    appender: Arc<Appender>,
    committer: Committer<SimulatedDisk>,
    archive: Archive<SimulatedDisk>,
    spans: Spans,
    scratch: Scratch,
    shards: u16,
    /// Everything is made durable; otherwise only what somebody waits for.
    syncs: bool,
    jobs: VecDeque<Job>,
    /// The first job waits until more than this is written.
    unwritten: Option<noctule_store::Position>,
    /// What the disk could not read.
    unread: Unread<Job, Instant>,
    reclaiming: Option<Reclaiming>,
    /// Bytes that were appended since the last reclaim began, but for those that say again what was there.
    fresh_bytes: u64,
    reclaims_after: u64,
    has_to_prepare: bool,
    has_failed: bool,
    /// When something that failed is tried again.
    retry_at: Option<Instant>,
    /// A full journal has been tried to be given room since the last retry.
    has_made_room: bool,
    /// Segments that were freed.
    pub(super) freed: usize,
}

enum Job {
    Load { shard: ShardId, subscriber: Subscriber, missing: VecDeque<Missing>, contents: Vec<Content> },
    Move { shard: ShardId, missing: VecDeque<Missing>, places: Vec<(MessageNumber, Position)> },
    Forget,
}

impl Job {
    /// Whether it has something for a session.
    fn has_contents(&self) -> bool {
        matches!(self, Self::Load { contents, .. } if !contents.is_empty())
    }
}

/// How far the shards have come with saying again what is about to be freed.
struct Reclaiming {
    before: Position,
    limit: Position,
    shards_missing: u16,
    position: Position,
}

impl Journal {
    pub(super) fn new(opened: Opened<SimulatedDisk>, spans: Spans, options: &SimOptions) -> Self {
        let Opened { appender, committer, reader, .. } = opened;
        Self {
            appender,
            committer,
            archive: Archive::new(reader),
            spans,
            scratch: Scratch::default(),
            shards: options.shards,
            syncs: options.durability == Durability::Disk,
            jobs: VecDeque::new(),
            unwritten: None,
            unread: Unread::default(),
            reclaiming: None,
            fresh_bytes: 0,
            reclaims_after: options.reclaim_after_bytes,
            has_to_prepare: true,
            has_failed: false,
            retry_at: None,
            has_made_room: false,
            freed: 0,
        }
    }

    /// Gives records their places and says where the journal reaches then.
    pub(super) fn append(&mut self, records: &mut Vec<Record>) -> Position {
        let before = self.appender.end().get();
        let end = self.scratch.append(&self.appender, &self.spans, records);
        self.fresh_bytes += (end.0 - before).saturating_sub(self.scratch.again_bytes());
        end
    }

    /// How far the kernel has the journal, and the disk.
    pub(super) fn committed(&self) -> (Position, Position) {
        (Position(self.appender.written().get()), Position(self.appender.durable().get()))
    }

    /// Whether the kernel has everything, or the disk if everything is to be synced.
    pub(super) fn is_at_rest(&self) -> bool {
        let committed = if self.syncs { self.appender.durable() } else { self.appender.written() };
        committed == self.appender.end()
    }

    /// Takes what a shard wants.
    pub(super) fn ask(&mut self, shard: ShardId, request: Request) {
        match request {
            Request::Load { subscriber, missing } => {
                let (missing, contents) = (missing.into(), Vec::new());
                self.jobs.push_back(Job::Load { shard, subscriber, missing, contents });
            }
            Request::Move { contents } => {
                let (missing, places) = (contents.into(), Vec::new());
                self.jobs.push_back(Job::Move { shard, missing, places });
            }
            Request::Abandoned { message } => self.spans.abandon(message),
            Request::Restated { position } => {
                if let Some(reclaiming) = &mut self.reclaiming {
                    reclaiming.shards_missing -= 1;
                    reclaiming.position = reclaiming.position.max(position);
                }
            }
        }
    }

    /// When something that failed is tried again.
    pub(super) fn next_timeout(&self) -> Option<Instant> {
        self.retry_at.into_iter().chain(self.unread.next_due()).min()
    }

    /// What could be done now; `waits` says whether a shard waits for the disk.
    pub(super) fn steps(&self, now: Instant, waits: bool) -> impl Iterator<Item = JournalStep> {
        let can_read = !self.jobs.is_empty() && self.unwritten.is_none_or(|at| self.appender.written() > at);
        let end = self.appender.end();
        let has_to_sync =
            (self.syncs || waits) && self.appender.durable() < end || !self.is_restated_durable();
        let steps = [
            (JournalStep::Read, can_read),
            (JournalStep::ReadAgain, self.unread.next_due().is_some_and(|at| at <= now)),
            (JournalStep::Free, !self.has_failed && self.can_free()),
            (JournalStep::Prepare, !self.has_failed && self.has_to_prepare),
            (JournalStep::Reclaim, !self.has_failed && self.is_worth_reclaiming()),
            (JournalStep::Retry, self.retry_at.is_some_and(|at| at <= now)),
            (JournalStep::Sync, !self.has_failed && has_to_sync),
            (JournalStep::Write, !self.has_failed && self.appender.written() < end),
        ];
        steps.into_iter().filter(|(_, is_possible)| *is_possible).map(|(step, _)| step)
    }

    /// Does one of the steps and hands what comes of it to the shards.
    pub(super) fn take_step(
        &mut self,
        step: JournalStep,
        now: Instant,
        directory: &Directory,
        mut hand: impl FnMut(ShardId, FromJournal),
    ) {
        self.committer.set_dues(directory.dues_bytes());
        match step {
            JournalStep::Read => {
                self.unwritten = None;
                let job = self.jobs.pop_front();
                job.into_iter().for_each(|job| self.read(job, now, &directory.memory, &mut hand));
            }
            JournalStep::ReadAgain => {
                let job = self.unread.due(now);
                job.into_iter().for_each(|job| self.read(job, now, &directory.memory, &mut hand));
            }
            JournalStep::Free => self.free(),
            JournalStep::Prepare => self.prepare(),
            JournalStep::Reclaim => self.begin_reclaiming(&mut hand),
            JournalStep::Retry => {
                self.has_made_room = false;
                self.commit(true);
                self.prepare();
            }
            JournalStep::Write => self.commit(false),
            JournalStep::Sync => self.commit(true),
        }
        let is_well = self.appender.state() == State::Open && !self.has_failed;
        if is_well {
            self.retry_at = None;
        } else if self.retry_at.is_none_or(|at| at <= now) {
            self.retry_at = Some(now + RETRY_MILLIS);
        }
        directory.journal.set(self.state());
    }

    fn state(&self) -> JournalState {
        for_shards(self.appender.state())
    }

    /// Writes what is left and ends the journal so that nothing of it is in doubt.
    pub(super) fn close(mut self) -> Result<(), CommitError> {
        self.committer.commit(true)?;
        self.committer.close()
    }

    fn commit(&mut self, sync: bool) {
        let committed = self.committer.commit(sync);
        self.has_failed = committed.is_err();
        self.has_to_prepare |= committed.is_ok_and(|committed| committed.bytes > 0);
    }

    fn prepare(&mut self) {
        let has_indexed = self.committer.segment_to_index().is_some_and(|segment| {
            // A segment without an index is read.
            segment.write(&mut |body, out| brief(body, out).ok()).is_ok()
        });
        self.has_to_prepare = matches!(self.committer.prepare_spare(), Ok(Prepared::More)) || has_indexed;
    }

    /// Does a job, as far as what it reads is written and the disk gives it.
    fn read(
        &mut self,
        mut job: Job,
        now: Instant,
        memory: &MemoryGauge,
        hand: &mut impl FnMut(ShardId, FromJournal),
    ) {
        match (self.work_on(&mut job, memory), job) {
            (Err(NotYet::NotWritten), job) => {
                self.unwritten = Some(self.appender.written());
                self.jobs.push_front(job);
            }
            (Err(NotYet::Unreadable(cause)), job) if !job.has_contents() => {
                if let Job::Load { shard, subscriber, .. } = job {
                    hand(shard, FromJournal::Unreadable(subscriber));
                }
                self.unread.set_aside(now + RETRY_MILLIS, job, &cause);
            }
            // A session sends what there is and asks for the rest again.
            (_, Job::Load { shard, subscriber, contents, .. }) => {
                hand(shard, FromJournal::Contents(subscriber, contents));
            }
            (_, Job::Move { shard, places, .. }) => hand(shard, FromJournal::Places(places)),
            (_, Job::Forget) => {}
        }
        self.archive.give_back_room();
        self.unread.done();
    }

    fn work_on(&mut self, job: &mut Job, memory: &MemoryGauge) -> Result<(), NotYet> {
        match job {
            Job::Load { missing, contents, .. } => {
                while let Some(next) = missing.front() {
                    contents.push(self.archive.load(*next, memory)?);
                    missing.pop_front();
                }
            }
            Job::Move { missing, places, .. } => {
                while let Some(next) = missing.front() {
                    let moved = self.archive.move_content(*next, &self.appender, &self.spans)?;
                    places.extend(moved.map(|moved| (next.number, moved.position)));
                    missing.pop_front();
                }
            }
            Job::Forget => self.archive.forget_moves(),
        }
        Ok(())
    }

    /// In production a journal has to grow first; here whatever can be reclaimed is.
    fn is_worth_reclaiming(&self) -> bool {
        let is_full = self.appender.state() == State::Full && !self.has_made_room;
        let has_to = self.fresh_bytes >= self.reclaims_after || is_full;
        self.reclaiming.is_none() && has_to && self.can_begin_reclaiming()
    }

    fn can_begin_reclaiming(&self) -> bool {
        let segments = self.committer.segments();
        segments.len() > 1 && self.spans.limit(Position(segments[0].end.get())).is_some()
    }

    fn begin_reclaiming(&mut self, hand: &mut impl FnMut(ShardId, FromJournal)) {
        let Some(oldest) = self.committer.segments().into_iter().next() else { return };
        let before = Position(oldest.end.get());
        let Some(limit) = self.spans.limit(before) else { return };
        (self.fresh_bytes, self.has_made_room) = (0, true);
        self.reclaiming =
            Some(Reclaiming { before, limit, shards_missing: self.shards, position: Position::NOWHERE });
        self.jobs.push_back(Job::Forget);
        for shard in (0..self.shards).map(ShardId) {
            hand(shard, FromJournal::Restate(limit));
        }
    }

    /// Whether nothing that was said again has still to become durable.
    fn is_restated_durable(&self) -> bool {
        let is_missing =
            |it: &Reclaiming| it.shards_missing == 0 && it.position.0 > self.appender.durable().get();
        !self.reclaiming.as_ref().is_some_and(is_missing)
    }

    fn can_free(&self) -> bool {
        let is_restated = self.reclaiming.as_ref().is_some_and(|it| it.shards_missing == 0);
        is_restated && self.is_restated_durable()
    }

    fn free(&mut self) {
        let Some(Reclaiming { before, limit, .. }) = &self.reclaiming else { return };
        if self.spans.limit(*before) != Some(*limit) {
            self.reclaiming = None;
            return;
        }
        match self.committer.release(noctule_store::Position::new(before.0)) {
            Ok(released) => {
                self.freed += released.segments;
                self.spans.forget(*before);
                self.reclaiming = None;
            }
            Err(_) => self.has_failed = true,
        }
    }
}

/// What failed is tried again after this.
const RETRY_MILLIS: u64 = 1000;
