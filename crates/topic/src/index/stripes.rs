//! A hash table cut into stripes, so that it grows and shrinks a little at a time.
//!
//! One table of a million entries takes tens of milliseconds to double; a stripe of it takes a fraction
//! of a millisecond. Everything is decided by 32 bits of the hash, which entries can afford to keep. The
//! hash is seeded per table, because clients choose what is stored.

use std::hash::{BuildHasher, Hash};

use hashbrown::{DefaultHashBuilder, HashTable};

/// What a [`Stripes`] table holds: a value that carries its key, or the hash of it.
pub(super) trait Keyed {
    /// What [`Stripes::hash`] gave for the key.
    fn hash(&self, seed: &Seed) -> Hash32;
}

/// The hash of a key in one table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Hash32(u32);

#[derive(Debug, Default)]
pub(super) struct Seed(DefaultHashBuilder);

#[derive(Debug)]
pub(super) struct Stripes<T> {
    tables: Box<[HashTable<T>]>,
    seed: Seed,
    len: usize,
}

impl<T: Keyed> Stripes<T> {
    pub(super) fn new() -> Self {
        let tables = (0..STRIPES).map(|_| HashTable::new()).collect();
        Self { tables, seed: Seed::default(), len: 0 }
    }

    pub(super) fn len(&self) -> usize {
        self.len
    }

    pub(super) fn hash(&self, key: impl Hash) -> Hash32 {
        self.seed.hash(key)
    }

    pub(super) fn find(&self, hash: Hash32, is_it: impl FnMut(&T) -> bool) -> Option<&T> {
        self.tables[hash.stripe()].find(hash.in_stripe(), is_it)
    }

    /// Adds a value whose key is not in the table.
    pub(super) fn insert(&mut self, value: T) {
        let Self { tables, seed, len } = self;
        let hash = value.hash(seed);
        tables[hash.stripe()].insert_unique(hash.in_stripe(), value, |value| value.hash(seed).in_stripe());
        *len += 1;
    }

    pub(super) fn remove(&mut self, hash: Hash32, is_it: impl FnMut(&T) -> bool) -> Option<T> {
        let Self { tables, seed, len } = self;
        let table = &mut tables[hash.stripe()];
        let (value, _) = table.find_entry(hash.in_stripe(), is_it).ok()?.remove();
        *len -= 1;
        // Half of the room stays free, so that the next inserts do not grow the table at once.
        if table.len() < table.capacity() / 8 {
            table.shrink_to(table.len() * 2, |value| value.hash(seed).in_stripe());
        }
        Some(value)
    }
}

impl Seed {
    pub(super) fn hash(&self, key: impl Hash) -> Hash32 {
        Hash32(self.0.hash_one(key) as u32)
    }
}

impl Hash32 {
    fn stripe(self) -> usize {
        self.0 as usize % STRIPES
    }

    /// What the table of the stripe sees, which looks at the lowest bits and the highest seven.
    fn in_stripe(self) -> u64 {
        let bits = u64::from(self.0) / STRIPES as u64;
        bits | u64::from(self.0) << 32
    }
}

const STRIPES: usize = 256;
