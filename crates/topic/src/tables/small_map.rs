//! A sorted map that is small when it holds little.
//!
//! Most filters have one subscriber and most levels one child, which need no memory of their own. A few
//! entries are kept in a sorted slice of exactly their size; many in a B-tree, so that the
//! hundred-thousandth costs no more than logarithmic time.

use std::collections::BTreeMap;
use std::ops::Bound;

#[derive(Debug, Default)]
pub(crate) enum SmallMap<K, V> {
    #[default]
    None,
    One(K, V),
    Few(Box<[(K, V)]>),
    #[expect(clippy::box_collection, reason = "the few large sets should not widen the many small ones")]
    Many(Box<BTreeMap<K, V>>),
}

impl<K: Copy + Ord, V: Copy> SmallMap<K, V> {
    pub(crate) fn is_empty(&self) -> bool {
        matches!(self, Self::None)
    }

    pub(crate) fn get(&self, key: K) -> Option<&V> {
        match self {
            Self::None => None,
            Self::One(only, value) => (*only == key).then_some(value),
            Self::Few(few) => find(few, &key).ok().map(|at| &few[at].1),
            Self::Many(many) => many.get(&key),
        }
    }

    /// Sets the value of `key` and returns the one it had.
    pub(crate) fn insert(&mut self, key: K, value: V) -> Option<V> {
        match self {
            Self::None => {
                *self = Self::One(key, value);
                None
            }
            Self::One(only, old) if *only == key => Some(std::mem::replace(old, value)),
            Self::One(only, old) => {
                let mut both = [(*only, *old), (key, value)];
                both.sort_unstable_by_key(|(key, _)| *key);
                *self = Self::Few(Box::new(both));
                None
            }
            Self::Few(few) => match find(few, &key) {
                Ok(at) => Some(std::mem::replace(&mut few[at].1, value)),
                Err(at) => {
                    let mut entries = std::mem::take(few).into_vec();
                    entries.reserve_exact(1);
                    entries.insert(at, (key, value));
                    *self = entries.into_iter().collect();
                    None
                }
            },
            Self::Many(many) => many.insert(key, value),
        }
    }

    /// Removes `key` and returns its value.
    pub(crate) fn remove(&mut self, key: K) -> Option<V> {
        match self {
            Self::None => None,
            Self::One(only, value) => {
                let value = (*only == key).then_some(*value)?;
                *self = Self::None;
                Some(value)
            }
            Self::Few(few) => {
                let at = find(few, &key).ok()?;
                let mut entries = std::mem::take(few).into_vec();
                let (_, value) = entries.remove(at);
                *self = entries.into_iter().collect();
                Some(value)
            }
            Self::Many(many) => {
                let value = many.remove(&key)?;
                if many.len() <= FEW_MAX / 2 {
                    *self = many.iter().map(|(key, value)| (*key, *value)).collect();
                }
                Some(value)
            }
        }
    }

    /// The entry with the smallest key above `after`.
    pub(crate) fn next(&self, after: Option<K>) -> Option<(K, &V)> {
        match self {
            Self::None => None,
            Self::One(key, value) => after.is_none_or(|after| *key > after).then_some((*key, value)),
            Self::Few(few) => few.get(first_above(few, after)).map(|(key, value)| (*key, value)),
            Self::Many(many) => many.range(range_above(after)).next().map(|(key, value)| (*key, value)),
        }
    }

    /// Reports the entries with keys above `after` in order, one for each of `budget`, and says whether
    /// these were the last.
    ///
    /// `after` and `budget` move along, so that a further call goes on behind the last one reported.
    pub(crate) fn report(
        &self,
        after: &mut Option<K>,
        budget: &mut usize,
        mut report: impl FnMut(K, &V),
    ) -> bool {
        let begin = *after;
        let mut take = |key: K, value: &V| {
            if *budget == 0 {
                return false;
            }
            *budget -= 1;
            *after = Some(key);
            report(key, value);
            true
        };
        match self {
            Self::None => true,
            Self::One(key, value) => begin.is_some_and(|begin| *key <= begin) || take(*key, value),
            Self::Few(few) => few[first_above(few, begin)..].iter().all(|(key, value)| take(*key, value)),
            Self::Many(many) => many.range(range_above(begin)).all(|(key, value)| take(*key, value)),
        }
    }
}

impl<K: Copy + Ord, V: Copy> FromIterator<(K, V)> for SmallMap<K, V> {
    /// The fitting form for entries that come sorted by key.
    fn from_iter<I: IntoIterator<Item = (K, V)>>(sorted: I) -> Self {
        let entries: Vec<(K, V)> = sorted.into_iter().collect();
        match entries[..] {
            [] => Self::None,
            [(key, value)] => Self::One(key, value),
            _ if entries.len() > FEW_MAX => Self::Many(Box::new(entries.into_iter().collect())),
            _ => Self::Few(entries.into_boxed_slice()),
        }
    }
}

fn find<K: Ord, V>(few: &[(K, V)], key: &K) -> Result<usize, usize> {
    few.binary_search_by(|(candidate, _)| candidate.cmp(key))
}

fn first_above<K: Ord, V>(few: &[(K, V)], after: Option<K>) -> usize {
    after.map_or(0, |after| few.partition_point(|(key, _)| *key <= after))
}

fn range_above<K>(after: Option<K>) -> (Bound<K>, Bound<K>) {
    (after.map_or(Bound::Unbounded, Bound::Excluded), Bound::Unbounded)
}

/// Above this the entries move into a B-tree, at half of it back: shifting 64 entries of 24 bytes is one
/// copy of 1.5 KiB.
const FEW_MAX: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Keys enough to pass from one form to the next and back.
    const KEYS: u32 = 3 * FEW_MAX as u32;

    fn all(map: &SmallMap<u32, u32>, after: Option<u32>, entries_max: usize) -> (Vec<(u32, u32)>, bool) {
        let mut found = Vec::new();
        let is_complete =
            map.report(&mut after.clone(), &mut entries_max.clone(), |key, value| found.push((key, *value)));
        (found, is_complete)
    }

    proptest! {
        #[test]
        fn it_is_a_sorted_map(
            changes in prop::collection::vec((0..KEYS, prop::option::weighted(0.7, any::<u32>())), 0..500),
            after in prop::option::of(0..KEYS),
            entries_max in 0..50_usize,
        ) {
            let mut map = SmallMap::None;
            let mut model = BTreeMap::new();
            for (key, value) in changes {
                match value {
                    Some(value) => prop_assert_eq!(map.insert(key, value), model.insert(key, value)),
                    None => prop_assert_eq!(map.remove(key), model.remove(&key)),
                }
                prop_assert_eq!(map.get(key), model.get(&key));
                prop_assert_eq!(map.is_empty(), model.is_empty());
            }
            let expected: Vec<(u32, u32)> =
                model.range(range_above(after)).map(|(key, value)| (*key, *value)).collect();
            prop_assert_eq!(map.next(after).map(|(key, value)| (key, *value)), expected.first().copied());
            prop_assert_eq!(all(&map, after, usize::MAX), (expected.clone(), true));

            let (found, is_complete) = all(&map, after, entries_max);
            prop_assert_eq!(is_complete, expected.len() <= entries_max);
            prop_assert_eq!(&found[..], &expected[..expected.len().min(entries_max)]);
        }
    }

    #[test]
    fn it_takes_the_form_that_fits() {
        let mut map = SmallMap::None;
        for key in 0..KEYS {
            map.insert(key, ());
        }
        assert!(matches!(map, SmallMap::Many(_)));
        for key in 2..KEYS {
            map.remove(key);
        }
        assert!(matches!(map, SmallMap::Few(_)));
        map.remove(0);
        assert!(matches!(map, SmallMap::One(1, ())));
        map.remove(1);
        assert!(map.is_empty());
    }

    /// A subscription as the engine keeps it: a home and a number, QoS with options and an identifier.
    #[test]
    fn one_subscriber_needs_little_more_than_itself() {
        assert_eq!(size_of::<SmallMap<(u16, u32, u64), (u32, bool)>>(), 24);
        assert_eq!(size_of::<SmallMap<u32, u32>>(), 24);
    }
}
