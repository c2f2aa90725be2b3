//! Numbered slots whose memory grows and shrinks in small steps.
//!
//! Slots live in chunks of [`CHUNK_SLOTS`]. Growing never moves more than one chunk, so that no insert
//! pays for the size of the whole table, and a chunk without occupied slots gives its memory back. New
//! values go to the first chunk with room, which lets later chunks run empty.

use std::collections::BTreeSet;
use std::num::NonZeroU32;

/// The number of an occupied slot; free numbers are used again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Slot(NonZeroU32);

#[derive(Debug)]
pub(crate) struct Arena<T> {
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
    pub(crate) fn new() -> Self {
        Self { chunks: Vec::new(), chunks_with_room: BTreeSet::new(), len: 0 }
    }

    pub(crate) fn len(&self) -> usize {
        self.len
    }

    pub(crate) fn get(&self, slot: Slot) -> &T {
        let (chunk, offset) = slot.place();
        &self.chunks[chunk].slots[offset]
    }

    pub(crate) fn get_mut(&mut self, slot: Slot) -> &mut T {
        let (chunk, offset) = slot.place();
        &mut self.chunks[chunk].slots[offset]
    }

    pub(crate) fn insert(&mut self, value: T) -> Slot {
        let number = self.chunk_with_room();
        let chunk = &mut self.chunks[number];
        let offset = chunk.insert(value);
        if chunk.is_full() {
            self.chunks_with_room.remove(&number);
        }
        self.len += 1;
        Slot::at(number, offset)
    }

    pub(crate) fn remove(&mut self, slot: Slot) -> T {
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

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;
    use proptest::prelude::*;

    proptest! {
        #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

        #[test]
        fn a_slot_keeps_its_value_until_it_is_removed(
            changes in prop::collection::vec((0..5_u32, any::<u32>()), 0..3_000),
        ) {
            let mut arena = Arena::new();
            let mut model: HashMap<Slot, u32> = HashMap::new();
            let mut occupied = Vec::new();
            for (kind, number) in changes {
                if kind < 3 {
                    let slot = arena.insert(number);
                    prop_assert_eq!(model.insert(slot, number), None, "an occupied slot is not given away");
                    occupied.push(slot);
                } else if !occupied.is_empty() {
                    let slot = occupied.swap_remove(number as usize % occupied.len());
                    prop_assert_eq!(Some(arena.remove(slot)), model.remove(&slot));
                }
                prop_assert_eq!(arena.len(), model.len());
            }
            for (slot, value) in model {
                prop_assert_eq!(*arena.get(slot), value);
            }
        }
    }

    #[test]
    fn free_slots_are_used_again() {
        let mut arena = Arena::new();
        let slots: Vec<Slot> = (0..2_000_u32).map(|value| arena.insert(value)).collect();
        for slot in slots.iter().step_by(2) {
            arena.remove(*slot);
        }
        for value in 0..1_000 {
            assert!(slots.contains(&arena.insert(value)));
        }
    }

    #[test]
    fn empty_chunks_give_their_memory_back() {
        let mut arena = Arena::new();
        let slots: Vec<Slot> = (0..10 * CHUNK_SLOTS as u32).map(|value| arena.insert(value)).collect();
        for slot in &slots[CHUNK_SLOTS..9 * CHUNK_SLOTS] {
            arena.remove(*slot);
        }
        let capacity: usize = arena.chunks.iter().map(|chunk| chunk.slots.capacity()).sum();
        assert_eq!((arena.len(), capacity), (2 * CHUNK_SLOTS, 2 * CHUNK_SLOTS));

        for slot in slots[..CHUNK_SLOTS].iter().chain(&slots[9 * CHUNK_SLOTS..]) {
            arena.remove(*slot);
        }
        assert!(arena.chunks.is_empty() && arena.chunks_with_room.is_empty());
    }
}
