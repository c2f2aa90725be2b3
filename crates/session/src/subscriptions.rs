//! The subscriptions of one session.
//!
//! Most sessions have exactly one, which stands where it is and needs no table: that is what an idle connection
//! costs. A session with more keeps a hash table, since a client may have tens of thousands.

use crate::Subscription;
use hashbrown::HashMap;
use noctule_codec::SubscriptionOptions;

/// Subscriptions by filter as the client wrote it, `$share/…` included.
#[derive(Clone, Debug, Default)]
pub struct Subscriptions(Kept);

#[derive(Clone, Debug, Default)]
enum Kept {
    #[default]
    None,
    One(Box<str>, Subscription),
    Many(Box<Table>),
}

#[derive(Clone, Debug, Default)]
struct Table {
    by_filter: HashMap<Box<str>, Packed>,
    with_wildcards: u32,
    filter_bytes: u64,
}

/// A subscription in a table of thousands, in 8 bytes.
#[derive(Clone, Copy, Debug)]
struct Packed {
    options: SubscriptionOptions,
    /// Its identifier; 0: none.
    id: u32,
}

impl Subscriptions {
    /// How many there are.
    pub fn len(&self) -> usize {
        match &self.0 {
            Kept::None => 0,
            Kept::One(..) => 1,
            Kept::Many(table) => table.by_filter.len(),
        }
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        matches!(self.0, Kept::None)
    }

    /// The one with exactly this filter.
    pub fn get(&self, filter: &str) -> Option<Subscription> {
        match &self.0 {
            Kept::None => None,
            Kept::One(only, subscription) => (**only == *filter).then_some(*subscription),
            Kept::Many(table) => table.by_filter.get(filter).map(|packed| (*packed).into()),
        }
    }

    /// Whether there is one with exactly this filter.
    pub fn contains(&self, filter: &str) -> bool {
        self.get(filter).is_some()
    }

    /// How many have wildcards.
    pub fn with_wildcards(&self) -> u32 {
        match &self.0 {
            Kept::None => 0,
            Kept::One(filter, _) => u32::from(has_wildcards(filter)),
            Kept::Many(table) => table.with_wildcards,
        }
    }

    /// Bytes of their filters.
    pub fn filter_bytes(&self) -> u64 {
        match &self.0 {
            Kept::None => 0,
            Kept::One(filter, _) => filter.len() as u64,
            Kept::Many(table) => table.filter_bytes,
        }
    }

    /// All of them, in no particular order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, Subscription)> {
        let (one, many) = match &self.0 {
            Kept::None => (None, None),
            Kept::One(filter, subscription) => (Some((&**filter, *subscription)), None),
            Kept::Many(table) => (None, Some(table.iter())),
        };
        one.into_iter().chain(many.into_iter().flatten())
    }

    /// Their filters, in no particular order.
    pub fn filters(&self) -> impl Iterator<Item = &str> {
        self.iter().map(|(filter, _)| filter)
    }

    /// Their filters, in no particular order, to keep.
    pub fn into_filters(self) -> impl Iterator<Item = Box<str>> {
        let (one, many) = match self.0 {
            Kept::None => (None, None),
            Kept::One(filter, _) => (Some(filter), None),
            Kept::Many(table) => (None, Some(table.by_filter.into_keys())),
        };
        one.into_iter().chain(many.into_iter().flatten())
    }

    /// Makes or replaces the one with this filter.
    pub(crate) fn insert(&mut self, filter: &str, subscription: Subscription) {
        self.0 = match std::mem::take(&mut self.0) {
            Kept::None => Kept::One(filter.into(), subscription),
            Kept::One(only, _) if *only == *filter => Kept::One(only, subscription),
            Kept::One(only, its) => {
                let mut table = Box::new(Table::default());
                table.insert(only, its);
                table.insert(filter.into(), subscription);
                Kept::Many(table)
            }
            Kept::Many(mut table) => {
                table.insert(filter.into(), subscription);
                Kept::Many(table)
            }
        };
    }

    /// Ends the one with this filter, if there is one.
    pub(crate) fn remove(&mut self, filter: &str) {
        self.0 = match std::mem::take(&mut self.0) {
            Kept::One(only, _) if *only == *filter => Kept::None,
            Kept::Many(mut table) => {
                table.remove(filter);
                table.into_kept()
            }
            other => other,
        };
    }
}

impl Table {
    fn iter(&self) -> impl Iterator<Item = (&str, Subscription)> {
        self.by_filter.iter().map(|(filter, packed)| (&**filter, (*packed).into()))
    }

    fn insert(&mut self, filter: Box<str>, subscription: Subscription) {
        let (bytes, with_wildcards) = (filter.len() as u64, u32::from(has_wildcards(&filter)));
        if self.by_filter.insert(filter, subscription.into()).is_none() {
            self.filter_bytes += bytes;
            self.with_wildcards += with_wildcards;
        }
    }

    fn remove(&mut self, filter: &str) {
        if self.by_filter.remove(filter).is_some() {
            self.filter_bytes -= filter.len() as u64;
            self.with_wildcards -= u32::from(has_wildcards(filter));
        }
        // A session that once held 100,000 filters does not keep their table.
        if self.by_filter.capacity() > 4 * self.by_filter.len().max(16) {
            self.by_filter.shrink_to_fit();
        }
    }

    /// The form that fits what is left.
    fn into_kept(mut self: Box<Self>) -> Kept {
        if self.by_filter.len() > 1 {
            return Kept::Many(self);
        }
        let last = self.by_filter.drain().next();
        last.map_or(Kept::None, |(filter, packed)| Kept::One(filter, packed.into()))
    }
}

impl From<Subscription> for Packed {
    fn from(Subscription { options, id }: Subscription) -> Self {
        Self { options, id: id.unwrap_or(0) }
    }
}

impl From<Packed> for Subscription {
    fn from(Packed { options, id }: Packed) -> Self {
        Self { options, id: Some(id).filter(|id| *id > 0) }
    }
}

/// Whether the filter of a subscription has wildcards; a share name cannot.
pub fn has_wildcards(filter: &str) -> bool {
    filter.contains(['+', '#'])
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    proptest! {
        #[test]
        fn they_are_a_map_that_counts(
            changes in prop::collection::vec(("[ab]{0,2}[+#]?", prop::option::weighted(0.6, 1..9_u32)), 0..60),
        ) {
            let mut subscriptions = Subscriptions::default();
            let mut model = BTreeMap::new();
            for (filter, id) in changes {
                match id {
                    Some(_) => {
                        let subscription = Subscription { id, ..Subscription::default() };
                        subscriptions.insert(&filter, subscription);
                        model.insert(filter.clone(), subscription);
                    }
                    None => {
                        subscriptions.remove(&filter);
                        model.remove(&filter);
                    }
                }
                prop_assert_eq!(subscriptions.get(&filter), model.get(&filter).copied());
                prop_assert_eq!(subscriptions.contains(&filter), id.is_some());
                prop_assert_eq!(subscriptions.len(), model.len());
                prop_assert_eq!(subscriptions.is_empty(), model.is_empty());
                let bytes: usize = model.keys().map(String::len).sum();
                prop_assert_eq!(subscriptions.filter_bytes(), bytes as u64);
                let with_wildcards = model.keys().filter(|filter| has_wildcards(filter)).count();
                prop_assert_eq!(subscriptions.with_wildcards() as usize, with_wildcards);
                let all = subscriptions.iter().map(|(filter, its)| (filter.to_owned(), its));
                prop_assert_eq!(all.collect::<BTreeMap<_, _>>(), model.clone());
                let mut filters: Vec<Box<str>> = subscriptions.clone().into_filters().collect();
                filters.sort_unstable();
                prop_assert!(filters.iter().map(|filter| &**filter).eq(model.keys().map(|filter| &**filter)));
                prop_assert_eq!(matches!(subscriptions.0, Kept::Many(_)), model.len() > 1);
            }
        }
    }

    #[test]
    fn subscriptions_are_small() {
        assert_eq!(size_of::<Subscriptions>(), size_of::<(Box<str>, Subscription)>());
        assert_eq!(size_of::<(Box<str>, Packed)>(), 24);
    }
}
