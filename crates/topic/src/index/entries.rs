//! The subscribers of one filter, sorted by key.
//!
//! Most filters have one subscriber and need no memory beside the filter for it. A few are kept in a
//! sorted slice of exactly their size; many in a B-tree, so that the hundred-thousandth subscriber of a
//! filter costs no more than logarithmic time.

use std::collections::BTreeMap;
use std::ops::Bound;

#[derive(Debug, Default)]
pub(super) enum Entries<K, V> {
    #[default]
    None,
    One(K, V),
    Few(Box<[(K, V)]>),
    #[expect(clippy::box_collection, reason = "the few large sets should not widen the many small ones")]
    Many(Box<BTreeMap<K, V>>),
}

impl<K: Copy + Ord, V: Copy> Entries<K, V> {
    pub(super) fn is_empty(&self) -> bool {
        matches!(self, Self::None)
    }

    pub(super) fn get(&self, key: K) -> Option<&V> {
        match self {
            Self::None => None,
            Self::One(only, value) => (*only == key).then_some(value),
            Self::Few(few) => find(few, &key).ok().map(|at| &few[at].1),
            Self::Many(many) => many.get(&key),
        }
    }

    /// Sets the value of `key` and returns the one it had.
    pub(super) fn insert(&mut self, key: K, value: V) -> Option<V> {
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
    pub(super) fn remove(&mut self, key: K) -> Option<V> {
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

    /// Reports the entries with keys above `after` in order, one for each of `budget`, and says whether
    /// these were the last.
    ///
    /// `after` and `budget` move along, so that a further call goes on behind the last one reported.
    pub(super) fn report(
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
            Self::Few(few) => {
                let first = begin.map_or(0, |begin| few.partition_point(|(key, _)| *key <= begin));
                few[first..].iter().all(|(key, value)| take(*key, value))
            }
            Self::Many(many) => {
                let begin = begin.map_or(Bound::Unbounded, Bound::Excluded);
                many.range((begin, Bound::Unbounded)).all(|(key, value)| take(*key, value))
            }
        }
    }
}

impl<K: Copy + Ord, V: Copy> FromIterator<(K, V)> for Entries<K, V> {
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

/// Above this the entries move into a B-tree, at half of it back: shifting 64 entries of 24 bytes is one
/// copy of 1.5 KiB.
const FEW_MAX: usize = 64;
