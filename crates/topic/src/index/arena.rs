//! Numbered slots whose memory grows and shrinks in small steps.
//!
//! Slots live in chunks of [`CHUNK_SLOTS`]. Growing never moves more than one chunk, so that no insert
//! pays for the size of the whole table, and a chunk without occupied slots gives its memory back. New
//! values go to the first chunk with room, which lets later chunks run empty.

use std::collections::BTreeSet;
use std::num::NonZeroU32;

/// The number of an occupied slot; free numbers are used again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Slot(NonZeroU32);

#[derive(Debug)]
pub(super) struct Arena<T> {
    chunks: Vec<Chunk<T>>,
    chunks_with_room: BTreeSet<usize>,
    len: usize,
}

#[derive(Debug)]
struct Chunk<T> {
    slots: Vec<T>,
    free: Vec<u16>,
}

impl<T: Default> Arena<T> {
    pub(super) fn new() -> Self {
        Self { chunks: Vec::new(), chunks_with_room: BTreeSet::new(), len: 0 }
    }

    pub(super) fn len(&self) -> usize {
        self.len
    }

    pub(super) fn get(&self, slot: Slot) -> &T {
        let (chunk, offset) = slot.place();
        &self.chunks[chunk].slots[offset]
    }

    pub(super) fn get_mut(&mut self, slot: Slot) -> &mut T {
        let (chunk, offset) = slot.place();
        &mut self.chunks[chunk].slots[offset]
    }

    pub(super) fn insert(&mut self, value: T) -> Slot {
        let number = self.chunk_with_room();
        let chunk = &mut self.chunks[number];
        let offset = chunk.insert(value);
        if chunk.is_full() {
            self.chunks_with_room.remove(&number);
        }
        self.len += 1;
        Slot::at(number, offset)
    }

    pub(super) fn remove(&mut self, slot: Slot) -> T {
        let (number, offset) = slot.place();
        let chunk = &mut self.chunks[number];
        let value = std::mem::take(&mut chunk.slots[offset]);
        chunk.free.push(offset as u16);
        if chunk.free.len() == chunk.slots.len() {
            *chunk = Chunk::new();
        }
        self.chunks_with_room.insert(number);
        self.len -= 1;
        self.drop_empty_chunks_at_end();
        value
    }

    fn chunk_with_room(&mut self) -> usize {
        if let Some(&number) = self.chunks_with_room.first() {
            return number;
        }
        let number = self.chunks.len();
        self.chunks.push(Chunk::new());
        self.chunks_with_room.insert(number);
        number
    }

    fn drop_empty_chunks_at_end(&mut self) {
        while self.chunks.last().is_some_and(|chunk| chunk.slots.is_empty()) {
            self.chunks.pop();
            self.chunks_with_room.remove(&self.chunks.len());
        }
    }
}

impl<T> Chunk<T> {
    fn new() -> Self {
        Self { slots: Vec::new(), free: Vec::new() }
    }

    fn is_full(&self) -> bool {
        self.free.is_empty() && self.slots.len() == CHUNK_SLOTS
    }

    fn insert(&mut self, value: T) -> usize {
        if let Some(offset) = self.free.pop() {
            let offset = usize::from(offset);
            self.slots[offset] = value;
            return offset;
        }
        self.slots.push(value);
        self.slots.len() - 1
    }
}

impl Slot {
    fn at(chunk: usize, offset: usize) -> Self {
        let number = u32::try_from(chunk * CHUNK_SLOTS + offset + 1).ok().and_then(NonZeroU32::new);
        Self(number.expect("2^32 slots need more memory than their owners are allowed"))
    }

    fn place(self) -> (usize, usize) {
        let index = self.0.get() as usize - 1;
        (index / CHUNK_SLOTS, index % CHUNK_SLOTS)
    }
}

const CHUNK_SLOTS: usize = 512;
