//! Writes what was appended and makes it durable.
//!
//! Invariants:
//! - A segment begins only when everything before it is durable, and its header and its name are durable before
//!   its first frame is written. So a name ending in `.seg` always stands for a whole header, and a frame that is
//!   missing before a later segment is damage, never the trace of a crash.
//! - Every frame above the durable position is kept in memory. Whatever fails, it is written again at the same
//!   position: into the same segment after a failed write, into another after a failed sync.
//! - After a failed sync that file is never synced again: the kernel may have let go of what it could not write,
//!   and the next sync would succeed without it.

use crate::appender::{Appender, State};
use crate::disk::{Disk, DiskFile};
use crate::format::{
    FRAME_HEADER_BYTES, Identity, SEGMENT_HEADER_BYTES, SegmentHeader, frames_that_fit, seal,
};
use crate::index::Indexing;
use crate::names::Name;
use crate::space::{SPARES_MADE, Space, Spare};
use crate::table::{Segment, Table};
use crate::touch::Touch;
use crate::trouble::{Kind, Trouble};
use crate::{CommitError, Position};
use std::sync::Arc;

/// Writes the journal. One thread owns it and calls [`commit`](Self::commit) as long as there is something to do.
#[derive(Debug)]
pub struct Committer<D: Disk> {
    appender: Arc<Appender>,
    table: Arc<Table<D::File>>,
    disk: Arc<D>,
    space: Space<D>,
    identity: Identity,
    /// The segment that is written to. `None`: the last one is never touched again, the next begins a new one.
    current: Option<Arc<Segment<D::File>>>,
    /// The number and the size of the last segment that was begun; 0 if there is none.
    last_number: u64,
    last_bytes: u64,
    /// Every frame from the durable position on, as far as it was taken.
    kept: Vec<u8>,
    durable: Position,
    /// Where the next write goes. Goes back to the durable position when something fails.
    written: Position,
    /// A segment was sealed, and may have no index yet.
    may_index: bool,
    /// Failed syncs of segments since the last that succeeded.
    sync_failures: u32,
    /// Room that is spoken for.
    dues: u64,
    /// What the last commit has made of the state, if it failed.
    failed: Option<State>,
    /// Why nothing is written any more.
    read_only: Option<String>,
}

/// What a commit has done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Committed {
    /// Behind everything the kernel has.
    pub written: Position,
    /// Behind everything the disk has.
    pub durable: Position,
    /// Bytes of frames that this commit wrote.
    pub bytes: u64,
}

/// A segment as [`Committer::segments`] lists it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SegmentInfo {
    /// Its number, which no other ever has.
    pub number: u64,
    /// The position of its first frame.
    pub start: Position,
    /// The position behind its last frame.
    pub end: Position,
    /// The size of its file.
    pub bytes: u64,
}

/// What [`Committer::release`] has freed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Released {
    /// How many segments.
    pub segments: usize,
    /// The sizes of their files.
    pub bytes: u64,
}

/// What [`Committer::prepare_spare`] leaves to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Prepared {
    /// Something was done and there is more.
    More,
    /// Nothing is left to prepare.
    Done,
}

/// More memory than this is given back once it is not needed.
const KEPT_CAPACITY_MAX: usize = 8 << 20;

impl<D: Disk> Committer<D> {
    /// Goes on behind `end`, up to which everything is durable, in the last of the table's segments unless that
    /// is sealed.
    pub(crate) fn start(
        appender: Arc<Appender>,
        table: Arc<Table<D::File>>,
        disk: Arc<D>,
        space: Space<D>,
        identity: Identity,
    ) -> Result<Self, Trouble> {
        let end = appender.end();
        let last = table.all().pop();
        let mut committer = Self {
            appender,
            table,
            disk,
            space,
            identity,
            last_number: last.as_ref().map_or(0, |last| last.header.number),
            last_bytes: last.as_ref().map_or(0, |last| last.bytes),
            current: last.filter(|last| last.end().is_none()),
            kept: Vec::new(),
            durable: end,
            written: end,
            may_index: true,
            sync_failures: 0,
            dues: 0,
            failed: None,
            read_only: None,
        };
        if committer.last_number == 0 {
            committer.begin_segment(FRAME_HEADER_BYTES)?;
        }
        committer.look_ahead();
        Ok(committer)
    }

    /// Writes everything appended so far and, if `sync`, makes it durable.
    ///
    /// # Errors
    ///
    /// What was appended stays in memory and is written by the next call at the same positions;
    /// [`Appender::state`] says what may be appended meanwhile.
    pub fn commit(&mut self, sync: bool) -> Result<Committed, CommitError> {
        self.check_writable()?;
        self.appender.take(&mut self.kept);
        let before = self.written;
        self.write_and_sync(sync).map_err(|trouble| self.fail(trouble))?;
        self.failed = None;
        self.look_ahead();
        let bytes = self.written.get().saturating_sub(before.get());
        Ok(Committed { written: self.written, durable: self.durable, bytes })
    }

    /// What was taken will need so many bytes more to come to an end, in records that are never refused. The
    /// journal is full before they have no room.
    pub fn set_dues(&mut self, bytes: u64) {
        self.dues = bytes;
    }

    /// All segments, the oldest first. The last is being written.
    pub fn segments(&self) -> Vec<SegmentInfo> {
        let info = |segment: &Arc<Segment<D::File>>| SegmentInfo {
            number: segment.header.number,
            start: segment.start(),
            end: segment.end().unwrap_or(self.written),
            bytes: segment.bytes,
        };
        self.table.all().iter().map(info).collect()
    }

    /// Bytes that all files of the journal take, spare ones included.
    pub fn bytes(&self) -> u64 {
        self.table.bytes() + self.space.bytes()
    }

    /// Has the journal go on in a segment of its own, so that all others can be freed.
    ///
    /// # Errors
    /// As [`commit`](Self::commit).
    pub fn begin_anew(&mut self) -> Result<Committed, CommitError> {
        self.appender.append_mark();
        self.commit(true)
    }

    /// Frees the oldest segments that hold nothing at or behind `before`, in their order. Some become spare
    /// files. Nothing is freed that is not durable, nor while a backup copies. What was said again of them at the
    /// end of the journal has to be durable before this is called.
    ///
    /// # Errors
    ///
    /// What was freed before the failure stays freed. Unless the names of files became uncertain, the state is
    /// what it was and the next call tries again.
    pub fn release(&mut self, before: Position) -> Result<Released, CommitError> {
        self.check_writable()?;
        let mut released = Released::default();
        while let Some(oldest) = self.table.oldest_before(before) {
            debug_assert!(oldest.end() <= Some(self.durable), "a segment is sealed when it is durable");
            let recycled =
                self.space.recycle(&oldest.name, &oldest.file, oldest.bytes, self.bytes(), self.last_bytes);
            recycled.map_err(|trouble| match trouble.kind {
                Kind::Names => self.fail(trouble),
                _ => trouble.into(),
            })?;
            self.table.remove_oldest();
            self.space.discard(&Name::Index(oldest.header.number).text());
            released.segments += 1;
            released.bytes += oldest.bytes;
        }
        self.look_ahead();
        Ok(released)
    }

    /// Makes the next segment's file ahead of need, and gives it to be touched: by this thread while there is nothing
    /// to commit, or by another one. When the journal is full it looks for room.
    ///
    /// # Errors
    ///
    /// A file could not be touched, and is gone. That no file can be made is no error but [`State::Full`].
    pub fn spare_to_touch(&mut self) -> Result<Option<Arc<Touch<D::File>>>, CommitError> {
        self.check_writable()?;
        // A journal nobody writes to stays small.
        if self.durable == Position::FIRST {
            return Ok(None);
        }
        self.look_ahead();
        Ok(self.space.untouched()?)
    }

    /// Makes the next segment's file ahead of need and touches a little of it. To be called until it is
    /// [`Prepared::Done`].
    ///
    /// # Errors
    ///
    /// As [`spare_to_touch`](Self::spare_to_touch).
    pub fn prepare_spare(&mut self) -> Result<Prepared, CommitError> {
        let Some(touch) = self.spare_to_touch()? else { return Ok(Prepared::Done) };
        touch.step();
        // What fails is told at once.
        match self.space.untouched()? {
            Some(_) => Ok(Prepared::More),
            None => Ok(Prepared::Done),
        }
    }

    /// The oldest segment that should have an index and has none, to be read and indexed by another thread, so that
    /// the next start need not read it. None while there is no room to spare.
    pub fn segment_to_index(&mut self) -> Option<Indexing<D>> {
        if !self.may_index || self.appender.state() != State::Open {
            return None;
        }
        let segments = self.table.all().into_iter();
        let mut missing = segments.filter(|segment| {
            segment.end().is_some() && segment.is_unindexed() && self.space.is_indexed(segment.bytes)
        });
        let Some(segment) = missing.next() else {
            self.may_index = false;
            return None;
        };
        let bytes_max = self.space.index_bytes_max(segment.bytes);
        // The next segment's file comes first.
        let has_room = self.space.makeable_bytes(self.table.bytes()) >= self.last_bytes + bytes_max;
        has_room.then(|| Indexing::new(self.disk.clone(), self.table.clone(), segment, bytes_max))
    }

    /// Writes and syncs everything and says at the end of the journal that it did, so that after this any damage
    /// is known from the rest of an interrupted write.
    pub fn close(mut self) -> Result<(), CommitError> {
        self.commit(true)?;
        if self.durable > Position::FIRST && self.room() >= FRAME_HEADER_BYTES {
            self.appender.append_mark();
            self.commit(true)?;
        }
        Ok(())
    }

    fn check_writable(&self) -> Result<(), CommitError> {
        match &self.read_only {
            Some(cause) => Err(CommitError::ReadOnly { cause: cause.clone() }),
            None => Ok(()),
        }
    }

    fn write_and_sync(&mut self, sync: bool) -> Result<(), Trouble> {
        loop {
            match self.try_write_and_sync(sync) {
                // Once more, from memory, into a fresh segment.
                Err(trouble) if trouble.kind == Kind::Sync && self.sync_failures == 1 => {}
                outcome => return outcome,
            }
        }
    }

    fn try_write_and_sync(&mut self, sync: bool) -> Result<(), Trouble> {
        while let Some(frame_bytes) = self.write_what_fits()? {
            self.sync_current()?;
            self.seal_current(self.durable);
            self.begin_segment(frame_bytes)?;
        }
        if sync { self.sync_current() } else { Ok(()) }
    }

    /// Writes as much as the current segment takes and gives the size of the next frame, if there is one left.
    fn write_what_fits(&mut self) -> Result<Option<u64>, Trouble> {
        let from = (self.written.get() - self.durable.get()) as usize;
        let (bytes, next) = frames_that_fit(&self.kept, from, self.room());
        let Some(current) = self.current.as_ref().filter(|_| bytes > 0) else {
            return Ok(next);
        };
        let run = &mut self.kept[from..from + bytes];
        seal(run, current.seed, self.durable);
        let written = current.file.write_at(run, current.offset_of(self.written));
        written.map_err(|source| Trouble::new("write to", self.disk.path(&current.name), source))?;
        self.written = Position::new(self.written.get() + bytes as u64);
        self.appender.set_written(self.written);
        Ok(next)
    }

    /// Bytes of frames that the current segment still takes.
    fn room(&self) -> u64 {
        self.current.as_ref().map_or(0, |current| current.bytes - current.offset_of(self.written))
    }

    /// Makes durable what has been written. If that fails, the segment ends where it was durable before.
    fn sync_current(&mut self) -> Result<(), Trouble> {
        let Some(current) = self.current.as_ref().filter(|_| self.written > self.durable) else {
            return Ok(());
        };
        if let Err(source) = current.file.sync_data() {
            let trouble = Trouble::sync(self.disk.path(&current.name), source);
            self.sync_failures += 1;
            self.seal_current(self.durable);
            self.written = self.durable;
            return Err(trouble);
        }
        self.sync_failures = 0;
        self.forget_kept();
        self.durable = self.written;
        self.appender.set_durable(self.durable);
        Ok(())
    }

    fn forget_kept(&mut self) {
        self.kept.drain(..(self.written.get() - self.durable.get()) as usize);
        if self.kept.is_empty() && self.kept.capacity() > KEPT_CAPACITY_MAX {
            self.kept = Vec::new();
        }
    }

    fn seal_current(&mut self, end: Position) {
        if let Some(current) = self.current.take() {
            current.seal(end);
        }
    }

    /// Begins a segment at the durable position with room for a frame of this size.
    fn begin_segment(&mut self, frame_bytes: u64) -> Result<(), Trouble> {
        let spare = self.next_file(SEGMENT_HEADER_BYTES + frame_bytes)?;
        let number = self.last_number + 1;
        let header = SegmentHeader { identity: self.identity, number, start: self.durable };
        if let Err(trouble) = self.write_header(&spare, &header) {
            if trouble.is_full() {
                self.space.put_back(spare);
            } else {
                self.space.discard(&spare.name);
            }
            return Err(trouble);
        }
        let name = Name::Segment(number).text();
        if let Err(source) = self.disk.rename(&spare.name, &name) {
            let trouble = Trouble::new("rename", self.disk.path(&spare.name), source);
            self.space.put_back(spare);
            return Err(trouble);
        }
        self.space.sync_names()?;
        let segment = Arc::new(Segment::new(name, header, spare.bytes, spare.file));
        (self.last_number, self.last_bytes) = (number, spare.bytes);
        self.table.push(segment.clone());
        self.may_index = true;
        self.current = Some(segment);
        Ok(())
    }

    fn write_header(&mut self, spare: &Spare<D::File>, header: &SegmentHeader) -> Result<(), Trouble> {
        let path = || self.disk.path(&spare.name);
        spare
            .file
            .write_at(&header.encode(), 0)
            .map_err(|source| Trouble::new("write to", path(), source))?;
        let synced = spare.file.sync_data().map_err(|source| Trouble::sync(path(), source));
        self.sync_failures += u32::from(synced.is_err());
        synced
    }

    /// A file for the next segment: not the reserve, unless there is no other way.
    fn next_file(&mut self, least: u64) -> Result<Spare<D::File>, Trouble> {
        while self.space.count() < SPARES_MADE || !self.space.fits(least) {
            match self.space.make(least, self.last_bytes, self.table.bytes()) {
                Err(trouble) if !(trouble.is_full() && self.space.fits(least)) => return Err(trouble),
                Err(_) => {
                    self.appender.set_state(State::Full);
                    break;
                }
                Ok(()) => {}
            }
        }
        Ok(self.space.take(least).expect("the loop ends only when one fits"))
    }

    /// Knows before a segment is full whether there will be another, so that publications are
    /// refused while there is still room for everything else.
    fn look_ahead(&mut self) {
        let half_used = self.current.as_ref().is_none_or(|current| self.room() < current.bytes / 2);
        self.keep_spares(if half_used { SPARES_MADE } else { SPARES_MADE - 1 });
    }

    fn keep_spares(&mut self, count: usize) {
        let mut state = State::Open;
        while self.space.count() < count && state == State::Open {
            if let Err(trouble) = self.space.make(0, self.last_bytes, self.table.bytes()) {
                state = if trouble.is_full() { State::Full } else { State::Failing };
            }
        }
        if state == State::Open && !self.has_room_for_dues() {
            state = State::Full;
        }
        // What could not be written counts until a commit has written it.
        self.appender.set_state(self.failed.unwrap_or(state));
    }

    /// Whether what is due fits beside what reclaim needs to say a segment again. Where it did not, there has to be
    /// one segment more, or the state would change with every acknowledgement.
    fn has_room_for_dues(&self) -> bool {
        if self.dues == 0 {
            return true;
        }
        let segments = if self.appender.state() == State::Full { 3 } else { 2 };
        let needed = self.dues + segments * self.last_bytes;
        let there = self.room() + self.space.bytes();
        there >= needed || there + self.space.makeable_bytes(self.table.bytes()) >= needed
    }

    /// Everything above the durable position is written again, by the next commit or after a restart.
    fn fail(&mut self, trouble: Trouble) -> CommitError {
        self.written = self.durable;
        let state = match trouble.kind {
            Kind::Full => State::Full,
            Kind::Io => State::Failing,
            Kind::Sync | Kind::Names => State::ReadOnly,
        };
        self.failed = Some(state);
        self.appender.set_state(state);
        if state == State::ReadOnly {
            let cause = trouble.cause();
            self.read_only = Some(cause.clone());
            return CommitError::ReadOnly { cause };
        }
        trouble.into()
    }
}
