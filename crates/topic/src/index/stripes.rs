//! A hash table cut into stripes, so that it grows and shrinks a little at a time.
//!
//! One table of a million entries takes tens of milliseconds to double; a stripe of it takes a fraction
//! of a millisecond. The hash is seeded per table, because clients choose what is stored.

use std::hash::BuildHasher;

use hashbrown::{DefaultHashBuilder, HashTable};

/// What a [`Stripes`] table holds: a value that carries its own key.
pub(super) trait Keyed {
    /// The hash of the key; equal to what [`Stripes::hash`] gives for the key itself.
    fn hash(&self, hasher: &DefaultHashBuilder) -> u64;
}

#[derive(Debug)]
pub(super) struct Stripes<T> {
    tables: Box<[HashTable<T>]>,
    hasher: DefaultHashBuilder,
    len: usize,
}

impl<T: Keyed> Stripes<T> {
    pub(super) fn new() -> Self {
        let tables = (0..STRIPES).map(|_| HashTable::new()).collect();
        Self { tables, hasher: DefaultHashBuilder::default(), len: 0 }
    }

    pub(super) fn len(&self) -> usize {
        self.len
    }

    pub(super) fn hash(&self, key: impl std::hash::Hash) -> u64 {
        self.hasher.hash_one(key)
    }

    pub(super) fn find(&self, hash: u64, is_it: impl FnMut(&T) -> bool) -> Option<&T> {
        self.tables[stripe(hash)].find(hash, is_it)
    }

    pub(super) fn find_mut(&mut self, hash: u64, is_it: impl FnMut(&T) -> bool) -> Option<&mut T> {
        self.tables[stripe(hash)].find_mut(hash, is_it)
    }

    /// Adds a value whose key is not in the table.
    pub(super) fn insert(&mut self, hash: u64, value: T) {
        let Self { tables, hasher, len } = self;
        tables[stripe(hash)].insert_unique(hash, value, |value| value.hash(hasher));
        *len += 1;
    }

    pub(super) fn remove(&mut self, hash: u64, is_it: impl FnMut(&T) -> bool) -> Option<T> {
        let Self { tables, hasher, len } = self;
        let table = &mut tables[stripe(hash)];
        let (value, _) = table.find_entry(hash, is_it).ok()?.remove();
        *len -= 1;
        // Half of the room stays free, so that the next inserts do not grow the table at once.
        if table.len() < table.capacity() / 8 {
            table.shrink_to(table.len() * 2, |value| value.hash(hasher));
        }
        Some(value)
    }
}

/// The table itself uses the lowest bits and the highest seven.
fn stripe(hash: u64) -> usize {
    (hash >> 40) as usize % STRIPES
}

const STRIPES: usize = 256;
