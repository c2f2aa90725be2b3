//! Filters without wildcards: from a topic name straight to its subscribers.

use std::hash::BuildHasher;

use hashbrown::DefaultHashBuilder;

use super::entries::Entries;
use super::stripes::{Keyed, Stripes};

#[derive(Debug)]
pub(super) struct Exact<K, V>(Stripes<Filter<K, V>>);

#[derive(Debug)]
struct Filter<K, V> {
    topic: Box<str>,
    entries: Entries<K, V>,
}

impl<K: Copy + Ord, V: Copy> Exact<K, V> {
    pub(super) fn new() -> Self {
        Self(Stripes::new())
    }

    /// The number of filters.
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    pub(super) fn find(&self, topic: &str) -> Option<&Entries<K, V>> {
        let hash = self.0.hash(topic);
        self.0.find(hash, |filter| *filter.topic == *topic).map(|filter| &filter.entries)
    }

    pub(super) fn insert(&mut self, topic: &str, key: K, value: V) -> Option<V> {
        let hash = self.0.hash(topic);
        if let Some(filter) = self.0.find_mut(hash, |filter| *filter.topic == *topic) {
            return filter.entries.insert(key, value);
        }
        self.0.insert(hash, Filter { topic: topic.into(), entries: Entries::One(key, value) });
        None
    }

    pub(super) fn remove(&mut self, topic: &str, key: K) -> Option<V> {
        let hash = self.0.hash(topic);
        let is_it = |filter: &Filter<K, V>| *filter.topic == *topic;
        let filter = self.0.find_mut(hash, is_it)?;
        let value = filter.entries.remove(key)?;
        if filter.entries.is_empty() {
            self.0.remove(hash, is_it);
        }
        Some(value)
    }
}

impl<K, V> Keyed for Filter<K, V> {
    fn hash(&self, hasher: &DefaultHashBuilder) -> u64 {
        hasher.hash_one(&*self.topic)
    }
}
