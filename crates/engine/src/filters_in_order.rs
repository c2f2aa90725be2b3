//! Something for each of many topic filters, in the order in which it was added.
//!
//! A client can have as many filters as it likes, and it changes one with a few bytes. So nothing here looks at all of
//! them: a SUBSCRIBE of 60,000 filters costs 60,000 steps.

use hashbrown::HashMap;
use std::collections::BTreeMap;
use std::sync::Arc;

/// A list of filters with something for each, without a filter twice.
#[derive(Debug)]
pub(crate) struct FiltersInOrder<T> {
    by_place: BTreeMap<Place, (Arc<str>, T)>,
    places: HashMap<Arc<str>, Place>,
    next: Place,
}

/// Where a filter stands in the order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Place(u64);

impl<T> FiltersInOrder<T> {
    /// Adds a filter at the end; if it is there already, it leaves its place.
    pub(crate) fn push(&mut self, filter: &str, value: T) {
        self.remove(filter);
        let place = self.next;
        self.next = Place(place.0 + 1);
        self.put_back(place, filter.into(), value);
    }

    /// Takes a filter out, and says whether it was the first.
    pub(crate) fn remove(&mut self, filter: &str) -> bool {
        let Some(place) = self.places.remove(filter) else { return false };
        let was_first = self.first() == Some(place);
        self.by_place.remove(&place);
        was_first
    }

    /// Whether a filter is there.
    pub(crate) fn contains(&self, filter: &str) -> bool {
        self.places.contains_key(filter)
    }

    /// What there is for a filter.
    pub(crate) fn get_mut(&mut self, filter: &str) -> Option<&mut T> {
        self.by_place.get_mut(self.places.get(filter)?).map(|(_, value)| value)
    }

    /// The filters in their order, with what there is for them.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&Arc<str>, &T)> {
        self.by_place.values().map(|(filter, value)| (filter, value))
    }

    /// Whether there is none.
    pub(crate) fn is_empty(&self) -> bool {
        self.by_place.is_empty()
    }

    /// The place of the first filter.
    pub(crate) fn first(&self) -> Option<Place> {
        self.by_place.first_key_value().map(|(place, _)| *place)
    }

    /// The place of what is added next, behind all others.
    pub(crate) fn end(&self) -> Place {
        self.next
    }

    /// Takes out the first filter.
    pub(crate) fn pop_first(&mut self) -> Option<(Place, Arc<str>, T)> {
        let (place, (filter, value)) = self.by_place.pop_first()?;
        self.places.remove(&filter);
        Some((place, filter, value))
    }

    /// Puts a filter where it was.
    pub(crate) fn put_back(&mut self, place: Place, filter: Arc<str>, value: T) {
        self.places.insert(Arc::clone(&filter), place);
        self.by_place.insert(place, (filter, value));
    }
}

impl<T> Default for FiltersInOrder<T> {
    fn default() -> Self {
        Self { by_place: BTreeMap::new(), places: HashMap::new(), next: Place::default() }
    }
}
