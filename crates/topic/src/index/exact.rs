//! Filters without wildcards: from a topic name straight to its subscribers.
//!
//! The hash table holds only where a filter is, so that its spare room costs little; and a part of the
//! hash, so that it grows without reading any filter and rarely looks at a wrong one.

use crate::tables::{Arena, Hash32, Keyed, Seed, Slot, SmallMap, Stripes};

#[derive(Debug)]
pub(super) struct Exact<K, V> {
    places: Stripes<Place>,
    filters: Arena<Filter<K, V>>,
}

#[derive(Debug)]
struct Filter<K, V> {
    topic: Box<str>,
    entries: SmallMap<K, V>,
}

#[derive(Debug)]
struct Place {
    hash: Hash32,
    filter: Slot,
}

impl<K: Copy + Ord, V: Copy> Exact<K, V> {
    pub(super) fn new() -> Self {
        Self { places: Stripes::new(), filters: Arena::new() }
    }

    /// The number of filters.
    pub(super) fn len(&self) -> usize {
        self.filters.len()
    }

    pub(super) fn find(&self, topic: &str) -> Option<&SmallMap<K, V>> {
        let filter = self.slot_of(topic, self.places.hash(topic))?;
        Some(&self.filters.get(filter).entries)
    }

    pub(super) fn insert(&mut self, topic: &str, key: K, value: V) -> Option<V> {
        let hash = self.places.hash(topic);
        if let Some(filter) = self.slot_of(topic, hash) {
            return self.filters.get_mut(filter).entries.insert(key, value);
        }
        let filter = self.filters.insert(Filter { topic: topic.into(), entries: SmallMap::One(key, value) });
        self.places.insert(Place { hash, filter });
        None
    }

    pub(super) fn remove(&mut self, topic: &str, key: K) -> Option<V> {
        let hash = self.places.hash(topic);
        let filter = self.slot_of(topic, hash)?;
        let entries = &mut self.filters.get_mut(filter).entries;
        let value = entries.remove(key)?;
        if entries.is_empty() {
            self.filters.remove(filter);
            self.places.remove(hash, |place| place.filter == filter);
        }
        Some(value)
    }

    fn slot_of(&self, topic: &str, hash: Hash32) -> Option<Slot> {
        let is_it = |place: &Place| place.hash == hash && *self.filters.get(place.filter).topic == *topic;
        self.places.find(hash, is_it).map(|place| place.filter)
    }
}

impl Keyed for Place {
    fn hash(&self, _: &Seed) -> Hash32 {
        self.hash
    }
}

impl<K, V> Default for Filter<K, V> {
    fn default() -> Self {
        Self { topic: Box::default(), entries: SmallMap::None }
    }
}
