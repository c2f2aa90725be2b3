//! Where shards leave what is to be remembered, and see how far that has come.
//!
//! One lock is held for as long as it takes to copy the bodies of one turn; it gives every frame its position. No
//! checksum is computed under it and nothing is written. What the committer has done is told through atomics, so
//! looking costs nothing.

use crate::Position;
use crate::format::push_frame;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Takes frames into the journal. Shared by all shards.
#[derive(Debug)]
pub struct Appender {
    pending: Mutex<Pending>,
    end: AtomicU64,
    written: AtomicU64,
    durable: AtomicU64,
    state: AtomicU8,
}

/// Frames that the committer has not taken yet.
#[derive(Debug)]
struct Pending {
    frames: Vec<u8>,
    end: u64,
}

/// Whether the journal takes what is appended, and what may be appended.
///
/// Appending itself never fails: what was applied is never undone. The state is asked before something is applied
/// that would need a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum State {
    /// All is well.
    Open,
    /// There is no room for another segment. What is in reserve is for acknowledgements and for making room;
    /// publications are refused. It ends by itself when there is room.
    Full,
    /// The last write failed. Everything appended is kept in memory and written again by the next commit.
    Failing,
    /// The disk has twice let go of what it was given, or the names of files are uncertain. Nothing more is
    /// written until a restart.
    ReadOnly,
}

impl Appender {
    /// Everything before `end` is durable.
    pub(crate) fn new(end: Position) -> Self {
        Self {
            pending: Mutex::new(Pending { frames: Vec::new(), end: end.get() }),
            end: AtomicU64::new(end.get()),
            written: AtomicU64::new(end.get()),
            durable: AtomicU64::new(end.get()),
            state: AtomicU8::new(State::Open as u8),
        }
    }

    /// Appends one frame for each body, together and in this order, pushes the position of each to `places` and
    /// gives the position behind the last: what is promised about them waits until [`Appender::durable`] is not
    /// below it.
    ///
    /// The bodies are copied under the lock that all shards share, so the iterator must be quick. A body must not
    /// be empty; an empty frame is the journal's own mark.
    ///
    /// # Panics
    ///
    /// If a body is larger than [`BODY_BYTES_MAX`](crate::BODY_BYTES_MAX), which no packet is.
    pub fn append<'a>(
        &self,
        bodies: impl IntoIterator<Item = &'a [u8]>,
        places: &mut Vec<Position>,
    ) -> Position {
        let mut pending = self.lock();
        for body in bodies {
            debug_assert!(!body.is_empty(), "an empty frame would not come back");
            places.push(pending.push(body));
        }
        self.end.store(pending.end, Ordering::Release);
        Position::new(pending.end)
    }

    /// Appends a frame without body, which says nothing but how far the journal was durable.
    pub(crate) fn append_mark(&self) {
        let mut pending = self.lock();
        pending.push(&[]);
        self.end.store(pending.end, Ordering::Release);
    }

    /// Behind everything appended.
    pub fn end(&self) -> Position {
        Position::new(self.end.load(Ordering::Acquire))
    }

    /// Behind everything the kernel has been given: it survives the end of the process.
    pub fn written(&self) -> Position {
        Position::new(self.written.load(Ordering::Acquire))
    }

    /// Behind everything the disk has: it survives a power cut.
    pub fn durable(&self) -> Position {
        Position::new(self.durable.load(Ordering::Acquire))
    }

    /// What may be appended now.
    pub fn state(&self) -> State {
        match self.state.load(Ordering::Acquire) {
            0 => State::Open,
            1 => State::Full,
            2 => State::Failing,
            _ => State::ReadOnly,
        }
    }

    /// Bytes that are kept in memory because the disk does not have them yet.
    pub fn pending_bytes(&self) -> u64 {
        self.end().get().saturating_sub(self.durable().get())
    }

    /// Moves everything pending behind `kept`, without copying where there is nothing to put it behind.
    pub(crate) fn take(&self, kept: &mut Vec<u8>) {
        let mut pending = self.lock();
        if kept.is_empty() {
            std::mem::swap(kept, &mut pending.frames);
        } else {
            kept.append(&mut pending.frames);
        }
    }

    /// Says how far writing has come. It never goes back: what is written again has been written once.
    pub(crate) fn set_written(&self, position: Position) {
        self.written.fetch_max(position.get(), Ordering::AcqRel);
    }

    pub(crate) fn set_durable(&self, position: Position) {
        self.set_written(position);
        self.durable.store(position.get(), Ordering::Release);
    }

    pub(crate) fn set_state(&self, state: State) {
        self.state.store(state as u8, Ordering::Release);
    }

    fn lock(&self) -> MutexGuard<'_, Pending> {
        // Nothing is left half done when an iterator panics between two frames.
        self.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Pending {
    fn push(&mut self, body: &[u8]) -> Position {
        let position = Position::new(self.end);
        let before = self.frames.len();
        push_frame(&mut self.frames, position, body);
        self.end += (self.frames.len() - before) as u64;
        position
    }
}
