//! The thread that writes the journal.
//!
//! It commits whatever has gathered as soon as the commit before is done: while the disk is busy with one batch
//! the next one gathers, so the busier the broker is, the more promises share a sync. Nobody waits for a timer.
//!
//! It also gives space back. Bytes that clients have the broker write earn the right to write as many bytes
//! again; with that right the oldest segment is freed, after the shards have said again what still counts of it.
//! So the journal never writes more than twice what it was given, and its size settles at about twice of what
//! counts.

use super::bell::Call;
use super::{Chore, Job, Journal};
use crate::archive::for_shards;
use crate::shared::{Parcel, Shared};
use noctule_engine::ShardId;
use noctule_session::Position;
use noctule_store::{Committer, Directory, State};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::SyncSender;
use std::time::{Duration, Instant};
use tracing::{debug, error, info, warn};

/// Writes the journal.
pub(crate) struct Keeper {
    committer: Committer<Directory>,
    /// Who touches the files of next segments and indexes full ones.
    preparer: SyncSender<Chore>,
    shared: Arc<Shared>,
    journal: Arc<Journal>,
    /// What was in the journal when the broker started earns nothing.
    first: u64,
    /// Segments in front of this are damaged, or behind damage, and are freed whatever that costs: then the next
    /// start finds none.
    damaged_before: Option<u64>,
    /// Everything before this is being said again, to be freed.
    reclaiming: Option<Reclaiming>,
    /// How much reclaim has gained since a full journal began to turn.
    round: Option<Round>,
    /// A full journal rests, because a whole round gained next to nothing.
    rest: Option<Rest>,
    /// What was said of the journal last.
    said: State,
    has_to_prepare: bool,
    /// The preparer has something to do.
    is_preparing: bool,
    alive_noted: Option<Instant>,
}

#[derive(Clone, Copy, Debug)]
struct Reclaiming {
    before: Position,
    /// What has to be said again stands in front of this: parts are freed with what they are parts of.
    limit: Position,
    /// How much of the segment counts is seen by how much is said again.
    segment_bytes: u64,
    again_bytes: u64,
}

/// One turn of a journal that is full: everything in front of `until` is freed once.
#[derive(Clone, Copy, Debug)]
struct Round {
    until: Position,
    segments_bytes: u64,
    gained: u64,
}

/// A full journal is left alone until clients have changed something of what counts.
#[derive(Clone, Copy, Debug)]
struct Rest {
    until: Instant,
    fresh_bytes: u64,
    owed_bytes: u64,
}

impl Keeper {
    pub(crate) fn new(
        committer: Committer<Directory>,
        preparer: SyncSender<Chore>,
        shared: Arc<Shared>,
        journal: Arc<Journal>,
        is_damaged: bool,
    ) -> Self {
        let first = journal.appender.end().get();
        Self {
            first,
            damaged_before: is_damaged.then_some(first),
            committer,
            preparer,
            shared,
            journal,
            reclaiming: None,
            round: None,
            rest: None,
            said: State::Open,
            has_to_prepare: true,
            is_preparing: false,
            alive_noted: None,
        }
    }

    /// Works until it is told to stop, and ends the journal so that nothing of it is in doubt.
    pub(crate) fn run(mut self) {
        self.leave_damage();
        // What an earlier life has left undone is done though nobody is connected yet.
        self.journal.bell.ring_soon();
        while self.journal.bell.wait(self.patience()) != Call::Stop {
            self.commit();
            self.tell_shards();
            self.reclaim();
            self.prepare();
            self.note_alive();
        }
        self.commit();
        if let Err(cause) = self.committer.close() {
            error!(%cause, "the journal could not be ended in order; nothing acknowledged is lost");
        }
    }

    /// Behind damage that was passed the journal goes on elsewhere.
    fn leave_damage(&mut self) {
        if self.damaged_before.is_some() {
            if let Err(cause) = self.committer.begin_anew() {
                error!(%cause, "the journal cannot be written; what has to be recorded is refused until it can");
            }
            self.journal.bell.ring_soon();
        }
    }

    /// How long to wait for a call.
    fn patience(&self) -> Option<Duration> {
        match self.said {
            // Nothing that is connected has to be given an age.
            State::Open if self.shared.directory.clients() == 0 && self.damaged_before.is_none() => None,
            _ => Some(SECOND),
        }
    }

    /// Notes once a second that the broker is alive, while somebody is connected: should it end without a word,
    /// that is when connections were lost, so that wills are delayed and sessions expire from then.
    fn note_alive(&mut self) {
        if self.alive_noted.is_none_or(|noted| noted.elapsed() >= SECOND) {
            self.alive_noted = Some(Instant::now());
            self.shared.data_dir.note_alive(self.shared.now());
        }
    }

    /// Writes what has gathered, and syncs it where that is the rule or somebody waits for it. Who waits for the
    /// kernel alone does not wait for the sync.
    fn commit(&mut self) {
        let [os, disk] = &self.journal.is_wanted;
        let (os, disk) = (os.swap(false, Ordering::AcqRel), disk.swap(false, Ordering::AcqRel));
        self.committer.set_dues(self.shared.directory.dues_bytes());
        let syncs = self.journal.syncs || disk;
        if os || !syncs {
            self.commit_to(false);
            self.tell_shards();
        }
        if syncs {
            self.commit_to(true);
        }
    }

    fn commit_to(&mut self, sync: bool) {
        match self.committer.commit(sync) {
            Ok(committed) => self.has_to_prepare |= committed.bytes > 0,
            Err(cause) if self.said == State::Open => {
                error!(%cause, "the journal cannot be written; what has to be recorded is refused until it can");
            }
            Err(cause) => debug!(%cause, "the journal still cannot be written"),
        }
        self.say_state();
    }

    /// Tells the shards, and the log, whether the journal takes records.
    fn say_state(&mut self) {
        let state = self.journal.appender.state();
        if state == self.said {
            return;
        }
        self.said = state;
        let (for_shards, bytes) = (for_shards(state), self.committer.bytes());
        self.shared.directory.journal.set(for_shards);
        match state {
            State::Open => info!("the journal takes records again"),
            State::Full => warn!(
                bytes,
                "the journal is full: publications that have to be recorded are refused; give its disk room or \
                 raise limits.journal_bytes_max"
            ),
            State::Failing => warn!("the journal is tried again every second"),
            State::ReadOnly => error!("the journal is read-only until the broker is started again"),
        }
    }

    fn tell_shards(&self) {
        for (shard, waiting) in (0..).map(ShardId).zip(&self.journal.waiting) {
            if waiting.swap(0, Ordering::AcqRel) > 0 {
                self.shared.mailbox(shard).put([Parcel::Committed]);
            }
        }
    }

    /// Frees the oldest segment, once everybody has said again what counts of it.
    fn reclaim(&mut self) {
        let reclaiming = self.reclaiming;
        match reclaiming {
            None if self.is_worth_reclaiming() => self.begin_reclaiming(),
            Some(reclaiming) if self.is_restated() => self.free(reclaiming),
            _ => {}
        }
    }

    fn free(&mut self, reclaiming: Reclaiming) {
        if self.journal.spans.limit(reclaiming.before) != Some(reclaiming.limit) {
            // Parts were recorded meanwhile.
            self.reclaiming = None;
            return;
        }
        let before = noctule_store::Position::new(reclaiming.before.0);
        match self.shared.data_dir.unless_pinned(|| self.committer.release(before)) {
            None => return debug!("the oldest segment of the journal is kept: another process reads it"),
            Some(Err(cause)) => {
                return warn!(%cause, "a segment of the journal cannot be freed; it is tried again");
            }
            Some(Ok(_)) => {}
        }
        self.reclaiming = None;
        self.journal.spans.forget(reclaiming.before);
        self.journal.jobs.put(Job::Forget);
        let again = self.again_bytes() - reclaiming.again_bytes;
        let gained = reclaiming.segment_bytes.saturating_sub(again);
        debug!(again, gained, "the oldest segment of the journal is freed");
        self.note_gain(reclaiming, gained);
        self.note_end_of_damage(reclaiming.before);
        self.say_state();
        self.journal.bell.ring_soon();
    }

    fn note_end_of_damage(&mut self, freed: Position) {
        if self.damaged_before.take_if(|before| *before <= freed.0).is_some() {
            info!(
                "the journal is whole again: what was damaged in it is gone, and it needs no --recover any more"
            );
        }
    }

    /// A full journal turns once. Where that gains next to nothing, all of it counts, and turning it again would
    /// only wear the disk.
    fn note_gain(&mut self, reclaiming: Reclaiming, gained: u64) {
        let Some(round) = &mut self.round else { return };
        round.segments_bytes += reclaiming.segment_bytes;
        round.gained += gained;
        let Round { until, segments_bytes, gained } = *round;
        if reclaiming.before < until {
            return;
        }
        self.round = None;
        if gained < segments_bytes / GAIN_WORTH_A_ROUND {
            let owed_bytes = self.owed_bytes();
            self.rest = Some(Rest {
                until: Instant::now() + REST,
                fresh_bytes: self.fresh_bytes() + segments_bytes / GAIN_WORTH_A_ROUND,
                owed_bytes: owed_bytes - owed_bytes / GAIN_WORTH_A_ROUND,
            });
        }
    }

    fn is_resting(&self) -> bool {
        let still = |rest: Rest| {
            rest.until > Instant::now()
                && self.fresh_bytes() < rest.fresh_bytes
                && self.owed_bytes() >= rest.owed_bytes
        };
        self.rest.is_some_and(still)
    }

    /// Something that becomes less when much of the journal counts no more.
    fn owed_bytes(&self) -> u64 {
        self.shared.directory.dues_bytes() + self.shared.directory.retained_bytes()
    }

    fn is_worth_reclaiming(&self) -> bool {
        let segments = self.committer.segments();
        let [oldest, rest @ ..] = &segments[..] else { return false };
        if rest.is_empty() {
            return false;
        }
        if self.damaged_before.is_some() {
            return true;
        }
        if self.journal.appender.state() == State::Full {
            return !self.is_resting();
        }
        let largest = segments.iter().map(|segment| segment.bytes).max().unwrap_or(oldest.bytes);
        let is_large = self.committer.bytes() > SEGMENTS_KEPT * largest;
        is_large && self.again_bytes() <= self.fresh_bytes()
    }

    fn fresh_bytes(&self) -> u64 {
        (self.journal.appender.end().get() - self.first).saturating_sub(self.again_bytes())
    }

    fn again_bytes(&self) -> u64 {
        self.journal.again_bytes.load(Ordering::Relaxed)
    }

    fn begin_reclaiming(&mut self) {
        let segments = self.committer.segments();
        let Some(oldest) = segments.first() else { return };
        let before = Position(oldest.end.get());
        let Some(limit) = self.journal.spans.limit(before) else { return };
        let again_bytes = self.again_bytes();
        match self.journal.appender.state() {
            State::Full if self.round.is_none() => {
                let until = Position(self.journal.appender.end().get());
                self.round = Some(Round { until, segments_bytes: 0, gained: 0 });
            }
            State::Full => {}
            _ => self.round = None,
        }
        self.reclaiming = Some(Reclaiming { before, limit, segment_bytes: oldest.bytes, again_bytes });
        let shards = self.journal.waiting.len() as u64;
        self.journal.restated.missing.store(shards, Ordering::Release);
        self.journal.restated.position.store(0, Ordering::Release);
        for shard in (0..self.shared.shards()).map(ShardId) {
            self.shared.mailbox(shard).put([Parcel::Restate(limit)]);
        }
    }

    /// Whether everything that counts stands, durable, elsewhere.
    fn is_restated(&mut self) -> bool {
        let restated = &self.journal.restated;
        if restated.missing.load(Ordering::Acquire) > 0 {
            return false;
        }
        let position = restated.position.load(Ordering::Acquire);
        if self.journal.appender.durable().get() < position
            && let Err(cause) = self.committer.commit(true)
        {
            debug!(%cause, "what was said again is not durable yet");
        }
        self.journal.appender.durable().get() >= position
    }

    /// Makes the next segment's file ahead of need. Its blocks are written by another thread, so that no commit waits
    /// for that. The same thread indexes full segments.
    fn prepare(&mut self) {
        let has_prepared = self.journal.is_prepared.swap(false, Ordering::AcqRel);
        self.is_preparing &= !has_prepared;
        if !self.has_to_prepare && !has_prepared && self.said == State::Open {
            return;
        }
        self.has_to_prepare = false;
        let spare = self.committer.spare_to_touch();
        // If it has something to do already it calls when that is done.
        if !self.is_preparing {
            let chore = match spare {
                Ok(Some(touch)) => Some(Chore::Touch(touch)),
                Ok(None) => self.committer.segment_to_index().map(Chore::Index),
                Err(cause) => {
                    debug!(%cause, "no segment can be made ahead");
                    None
                }
            };
            self.is_preparing = chore.is_some_and(|chore| self.preparer.try_send(chore).is_ok());
        }
        self.say_state();
    }
}

/// Between two signs of life, and two tries to write what cannot be written.
const SECOND: Duration = Duration::from_secs(1);
/// A round of a full journal that gains less than this part of it is followed by a rest, until as much of it has
/// changed.
const GAIN_WORTH_A_ROUND: u64 = 16;
/// The longest rest: what counts no more without a word from anybody, such as what expires, is found then.
const REST: Duration = Duration::from_secs(600);
/// A journal of so many segments is not worth the work.
const SEGMENTS_KEPT: u64 = 3;
