//! A hash table cut into stripes, so that it grows and shrinks a little at a time.
//!
//! One table of a million entries takes tens of milliseconds to double; a stripe of it takes a fraction
//! of a millisecond. Everything is decided by 32 bits of the hash, which entries can afford to keep. The
//! hash is seeded per table, because clients choose what is stored.

use std::hash::{BuildHasher, Hash};

use hashbrown::{DefaultHashBuilder, HashTable};

/// What a [`Stripes`] table holds: a value that carries its key, or the hash of it.
pub(crate) trait Keyed {
    /// What [`Stripes::hash`] gave for the key.
    fn hash(&self, seed: &Seed) -> Hash32;
}

/// The hash of a key in one table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Hash32(u32);

#[derive(Debug, Default)]
pub(crate) struct Seed(DefaultHashBuilder);

#[derive(Debug)]
pub(crate) struct Stripes<T> {
    tables: Box<[HashTable<T>]>,
    seed: Seed,
    len: usize,
}

impl<T: Keyed> Stripes<T> {
    pub(crate) fn new() -> Self {
        let tables = (0..STRIPES).map(|_| HashTable::new()).collect();
        Self { tables, seed: Seed::default(), len: 0 }
    }

    pub(crate) fn len(&self) -> usize {
        self.len
    }

    pub(crate) fn hash(&self, key: impl Hash) -> Hash32 {
        self.seed.hash(key)
    }

    pub(crate) fn find(&self, hash: Hash32, is_it: impl FnMut(&T) -> bool) -> Option<&T> {
        self.tables[hash.stripe()].find(hash.in_stripe(), is_it)
    }

    /// Adds a value whose key is not in the table.
    pub(crate) fn insert(&mut self, value: T) {
        let Self { tables, seed, len } = self;
        let hash = value.hash(seed);
        tables[hash.stripe()].insert_unique(hash.in_stripe(), value, |value| value.hash(seed).in_stripe());
        *len += 1;
    }

    pub(crate) fn remove(&mut self, hash: Hash32, is_it: impl FnMut(&T) -> bool) -> Option<T> {
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
    pub(crate) fn hash(&self, key: impl Hash) -> Hash32 {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, PartialEq)]
    struct Number(u32);

    impl Keyed for Number {
        fn hash(&self, seed: &Seed) -> Hash32 {
            seed.hash(self.0)
        }
    }

    const NUMBERS: u32 = 100_000;

    fn filled() -> Stripes<Number> {
        let mut numbers = Stripes::new();
        (0..NUMBERS).for_each(|number| numbers.insert(Number(number)));
        numbers
    }

    fn find(numbers: &Stripes<Number>, number: u32) -> Option<&Number> {
        numbers.find(numbers.hash(number), |candidate| candidate.0 == number)
    }

    #[test]
    fn what_is_inserted_is_found_until_it_is_removed() {
        let mut numbers = filled();
        assert_eq!(numbers.len(), NUMBERS as usize);
        assert_eq!(find(&numbers, NUMBERS), None);
        for number in (0..NUMBERS).step_by(2) {
            let hash = numbers.hash(number);
            assert_eq!(numbers.remove(hash, |candidate| candidate.0 == number), Some(Number(number)));
            assert_eq!(numbers.remove(hash, |candidate| candidate.0 == number), None);
        }
        assert_eq!(numbers.len(), NUMBERS as usize / 2);
        for number in 0..NUMBERS {
            assert_eq!(find(&numbers, number).is_some(), number % 2 == 1, "{number}");
        }
    }

    #[test]
    fn no_stripe_is_much_larger_than_the_others() {
        let largest = filled().tables.iter().map(HashTable::len).max();
        assert!(largest < Some(2 * NUMBERS as usize / STRIPES), "{largest:?}");
    }

    #[test]
    fn memory_returns_with_the_last_entries() {
        let mut numbers = filled();
        for number in 0..NUMBERS {
            let hash = numbers.hash(number);
            numbers.remove(hash, |candidate| candidate.0 == number);
        }
        let capacity: usize = numbers.tables.iter().map(HashTable::capacity).sum();
        assert!(capacity <= 14 * STRIPES, "{capacity}");
    }
}
