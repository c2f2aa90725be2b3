//! From a topic name to the subscriptions that match it.
//!
//! Filters without wildcards, most of them in practice, are one look-up in a hash table. Filters with
//! wildcards are a trie of levels; one publication visits each of its nodes at most once, however the
//! filters are chosen. Sizes, times and what was weighed are in `docs/design/topic.md`.

mod cursor;
mod exact;
mod trie;

pub use cursor::MatchCursor;

use crate::filter::{TopicFilter, has_wildcards};
use crate::tables::SmallMap;
use cursor::Walk;
use exact::Exact;
use trie::Trie;

/// The subscriptions of many subscribers: pairs of a filter and a key, each with a value.
///
/// `K` names a subscriber, `V` holds what the subscription says (QoS and options). One subscriber has
/// one value per filter; inserting again replaces it in one change.
#[derive(Debug)]
pub struct FilterIndex<K, V> {
    exact: Exact<K, V>,
    trie: Trie<K, V>,
    len: usize,
}

impl<K: Copy + Ord, V: Copy> FilterIndex<K, V> {
    /// An index without subscriptions.
    pub fn new() -> Self {
        Self { exact: Exact::new(), trie: Trie::new(), len: 0 }
    }

    /// The number of subscriptions.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there is no subscription.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The number of different filters.
    pub fn filters(&self) -> usize {
        self.exact.len() + self.trie.len()
    }

    /// The number of different filters that have a wildcard.
    pub fn wildcard_filters(&self) -> usize {
        self.trie.len()
    }

    /// The subscription of `key` to exactly this filter.
    pub fn get(&self, filter: &str, key: K) -> Option<&V> {
        self.entries(filter)?.get(key)
    }

    /// Sets the subscription of `key` to `filter` and returns the value it had.
    pub fn insert(&mut self, filter: &TopicFilter, key: K, value: V) -> Option<V> {
        let old = if filter.has_wildcards() {
            self.trie.insert(filter.as_str(), key, value)
        } else {
            self.exact.insert(filter.as_str(), key, value)
        };
        self.len += usize::from(old.is_none());
        old
    }

    /// Ends the subscription of `key` to exactly this filter and returns its value.
    ///
    /// Memory that only this filter needed is free afterwards.
    pub fn remove(&mut self, filter: &str, key: K) -> Option<V> {
        let old = if has_wildcards(filter) {
            self.trie.remove(filter, key)
        } else {
            self.exact.remove(filter, key)
        };
        self.len -= usize::from(old.is_some());
        old
    }

    /// Reports every subscription that matches `topic`, a valid topic name, in no particular order, and
    /// returns the number of trie nodes visited, the root included.
    ///
    /// That number is the cost of the match, and at most one more than [`IndexSize::nodes`]. A
    /// subscriber with several matching filters is reported once for each.
    pub fn for_each_match(&self, topic: &str, report: impl FnMut(K, &V)) -> usize {
        let mut walk = Walk::new();
        walk.advance(self, topic, usize::MAX, report);
        walk.nodes_visited()
    }

    /// The number of things the index keeps memory for.
    pub fn size(&self) -> IndexSize {
        let trie = self.trie.size();
        IndexSize {
            exact_filters: self.exact.len(),
            wildcard_filters: trie.filters,
            nodes: trie.nodes,
            words: trie.words,
        }
    }

    fn entries(&self, filter: &str) -> Option<&SmallMap<K, V>> {
        if has_wildcards(filter) { self.trie.find(filter) } else { self.exact.find(filter) }
    }
}

impl<K: Copy + Ord, V: Copy> Default for FilterIndex<K, V> {
    fn default() -> Self {
        Self::new()
    }
}

/// The parts of a [`FilterIndex`], as numbers; all are zero when it is empty.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct IndexSize {
    /// Filters without wildcards.
    pub exact_filters: usize,
    /// Filters with wildcards.
    pub wildcard_filters: usize,
    /// Nodes of the trie of wildcard filters, without its root.
    pub nodes: usize,
    /// Different words between the slashes of wildcard filters.
    pub words: usize,
}
