//! Which segment has which positions: written by the committer, read by readers and backups.
//!
//! Segments stand in order of their numbers and each ends where the next begins. The lock is held for a look at
//! the list, never over a call of the disk.

use crate::Position;
use crate::format::{Seed, SegmentHeader, offset_of};
use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// An open segment file and what it holds.
#[derive(Debug)]
pub(crate) struct Segment<F> {
    pub(crate) name: String,
    pub(crate) header: SegmentHeader,
    pub(crate) seed: Seed,
    /// The size of the file.
    pub(crate) bytes: u64,
    pub(crate) file: Arc<F>,
    /// Where the next segment begins; [`UNSEALED`] while this one is written to.
    end: AtomicU64,
    /// Bytes of its index, or what is kept free for one; [`UNINDEXED`] until one was tried.
    index_bytes: AtomicU64,
}

const UNSEALED: u64 = u64::MAX;
const UNINDEXED: u64 = u64::MAX;

impl<F> Segment<F> {
    pub(crate) fn new(name: String, header: SegmentHeader, bytes: u64, file: Arc<F>) -> Self {
        Self {
            name,
            header,
            seed: header.seed(),
            bytes,
            file,
            end: AtomicU64::new(UNSEALED),
            index_bytes: AtomicU64::new(UNINDEXED),
        }
    }

    pub(crate) fn start(&self) -> Position {
        self.header.start
    }

    /// Where it ends, unless it is being written to.
    pub(crate) fn end(&self) -> Option<Position> {
        let end = self.end.load(Ordering::Acquire);
        (end != UNSEALED).then_some(Position::new(end))
    }

    /// Nothing at or behind `end` is ever read from this segment again.
    pub(crate) fn seal(&self, end: Position) {
        self.end.store(end.get(), Ordering::Release);
    }

    /// Whether nobody has tried yet to give it an index.
    pub(crate) fn is_unindexed(&self) -> bool {
        self.index_bytes.load(Ordering::Acquire) == UNINDEXED
    }

    /// Its index takes this much; 0 if it has none and is not to get one.
    pub(crate) fn set_index_bytes(&self, bytes: u64) {
        self.index_bytes.store(bytes, Ordering::Release);
    }

    /// Bytes of all its files.
    fn bytes_all(&self) -> u64 {
        match self.index_bytes.load(Ordering::Acquire) {
            UNINDEXED => self.bytes,
            index_bytes => self.bytes + index_bytes,
        }
    }

    pub(crate) fn offset_of(&self, position: Position) -> u64 {
        offset_of(position, self.start())
    }
}

/// All segments of a running journal, the oldest first.
#[derive(Debug)]
pub(crate) struct Table<F> {
    inner: Mutex<Inner<F>>,
}

#[derive(Debug)]
struct Inner<F> {
    segments: VecDeque<Arc<Segment<F>>>,
    /// While there is one, no segment is freed: somebody copies them.
    pins: usize,
}

/// What [`Table::find`] has to say of a position.
#[derive(Debug)]
pub(crate) enum Place<F> {
    In(Arc<Segment<F>>),
    /// Its segment has been freed.
    Released,
    /// No segment has it, or not yet again.
    Nowhere,
}

impl<F> Table<F> {
    pub(crate) fn new(segments: impl IntoIterator<Item = Arc<Segment<F>>>) -> Self {
        Self { inner: Mutex::new(Inner { segments: segments.into_iter().collect(), pins: 0 }) }
    }

    pub(crate) fn find(&self, position: Position) -> Place<F> {
        let inner = self.lock();
        // The last that begins at or before it: one that begins at the same position and is not last is empty.
        let behind = inner.segments.partition_point(|segment| segment.start() <= position);
        match behind.checked_sub(1).map(|index| &inner.segments[index]) {
            None => Place::Released,
            Some(segment) if segment.end().is_some_and(|end| end <= position) => Place::Nowhere,
            Some(segment) => Place::In(segment.clone()),
        }
    }

    pub(crate) fn push(&self, segment: Arc<Segment<F>>) {
        self.lock().segments.push_back(segment);
    }

    /// The oldest segment, if it may be freed: it holds nothing at or behind `before` and nobody copies it.
    pub(crate) fn oldest_before(&self, before: Position) -> Option<Arc<Segment<F>>> {
        let inner = self.lock();
        let oldest =
            inner.segments.front().filter(|segment| segment.end().is_some_and(|end| end <= before))?;
        // The last is never freed: it says how far the journal has come.
        (inner.pins == 0 && inner.segments.len() > 1).then(|| oldest.clone())
    }

    pub(crate) fn remove_oldest(&self) {
        self.lock().segments.pop_front();
    }

    pub(crate) fn all(&self) -> Vec<Arc<Segment<F>>> {
        self.lock().segments.iter().cloned().collect()
    }

    /// Whether this segment has not been freed.
    pub(crate) fn has(&self, segment: &Arc<Segment<F>>) -> bool {
        self.lock().segments.iter().any(|known| Arc::ptr_eq(known, segment))
    }

    /// Bytes of all segments and of their indexes.
    pub(crate) fn bytes(&self) -> u64 {
        self.lock().segments.iter().map(|segment| segment.bytes_all()).sum()
    }

    /// All segments, none of which is freed before the pin is gone.
    pub(crate) fn pin(self: &Arc<Self>) -> Pinned<F> {
        let mut inner = self.lock();
        inner.pins += 1;
        Pinned { segments: inner.segments.iter().cloned().collect(), table: self.clone() }
    }

    fn lock(&self) -> MutexGuard<'_, Inner<F>> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Segments that stay while this lives.
#[derive(Debug)]
pub(crate) struct Pinned<F> {
    pub(crate) segments: Vec<Arc<Segment<F>>>,
    table: Arc<Table<F>>,
}

impl<F> Drop for Pinned<F> {
    fn drop(&mut self) {
        self.table.lock().pins -= 1;
    }
}
