//! How a shard knows, without asking the index, that a route it keeps is still what the index says.
//!
//! Every filter belongs to one counter, and every topic looks at the five counters that a filter matching it
//! can belong to: its own name, and for filters with wildcards the patterns of its first two levels. A change
//! of a filter advances its counter. So a subscription to one's own topic, or below one's own first levels,
//! makes no other route stale.

use std::hash::{BuildHasher as _, RandomState};
use std::sync::atomic::{AtomicU32, Ordering};

/// Counters of changes, by topic name and by the first two levels of wildcard filters.
#[derive(Debug)]
pub struct Generations {
    exact: Box<[AtomicU32]>,
    wildcard: Box<[AtomicU32]>,
    hasher: RandomState,
}

/// The counters that a topic looks at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Watch {
    exact: u32,
    wildcard: [u32; 4],
}

/// The sum of the counters of a topic. They only grow, so the sum is the same only while each of them is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Generation(u32);

impl Default for Generations {
    fn default() -> Self {
        let counters = |count: usize| (0..count).map(|_| AtomicU32::new(0)).collect();
        Self {
            exact: counters(EXACT_COUNTERS),
            wildcard: counters(WILDCARD_COUNTERS),
            hasher: RandomState::new(),
        }
    }
}

impl Generations {
    /// The counters to look at for a topic name.
    pub fn watch(&self, topic: &str) -> Watch {
        let mut levels = topic.split('/').map(Some);
        let (first, second) = (levels.next().flatten(), levels.next().flatten());
        let pairs = [(first, second), (first, None), (None, second), (None, None)];
        Watch { exact: self.exact_place(topic), wildcard: pairs.map(|pair| self.wildcard_place(pair)) }
    }

    /// The generation of the topic that looks at these counters. What the index said before it had it is
    /// older.
    pub fn current(&self, watch: &Watch) -> Generation {
        let exact = self.exact[watch.exact as usize].load(Ordering::Acquire);
        let wildcard =
            watch.wildcard.iter().map(|place| self.wildcard[*place as usize].load(Ordering::Acquire));
        Generation(wildcard.fold(exact, u32::wrapping_add))
    }

    /// The subscriptions of a filter have changed.
    pub fn advance(&self, filter: &str) {
        let counter = match filter.contains(['+', '#']) {
            false => &self.exact[self.exact_place(filter) as usize],
            true => &self.wildcard[self.wildcard_place(pattern(filter)) as usize],
        };
        counter.fetch_add(1, Ordering::Release);
    }

    fn exact_place(&self, topic: &str) -> u32 {
        place(self.hasher.hash_one(topic), EXACT_COUNTERS)
    }

    fn wildcard_place(&self, pair: (Option<&str>, Option<&str>)) -> u32 {
        place(self.hasher.hash_one(pair), WILDCARD_COUNTERS)
    }
}

/// The first two levels of a wildcard filter, as far as they are words.
fn pattern(filter: &str) -> (Option<&str>, Option<&str>) {
    let mut levels = filter.split('/').map(|level| Some(level).filter(|level| !matches!(*level, "+" | "#")));
    (levels.next().flatten(), levels.next().flatten())
}

fn place(hash: u64, counters: usize) -> u32 {
    (hash % counters as u64) as u32
}

/// 256 KiB: a filter without wildcards makes one topic in so many stale that is not its own.
const EXACT_COUNTERS: usize = 1 << 16;
const WILDCARD_COUNTERS: usize = 1 << 14;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_change_is_seen_by_the_topics_it_concerns_and_hardly_by_others() {
        let generations = Generations::default();
        for (filter, topic, other) in [
            ("a/b/c", "a/b/c", "a/b/d"),
            ("a/b/#", "a/b/c", "a/c/c"),
            ("a/b/#", "a/b", "a"),
            ("a/#", "a", "b"),
            ("a/+", "a/x", "b/x"),
            ("+/b", "x/b", "x/c"),
            ("+/b/#", "x/b/c/d", "x/c/b"),
            ("a/+/c", "a/x/c", "b/x/c"),
            ("/+", "/x", "x"),
            ("a//#", "a//x", "a/b/x"),
        ] {
            let look = |topic| generations.current(&generations.watch(topic));
            let before = (look(topic), look(other));
            generations.advance(filter);
            assert_ne!(look(topic), before.0, "{filter} {topic}");
            assert_eq!(look(other), before.1, "{filter} {other}");
        }
    }

    fn levels() -> impl Strategy<Value = String> {
        let level = prop::sample::select(vec!["a", "b", "", "+", "c"]);
        let end = prop::sample::select(vec!["", "/#"]);
        (prop::collection::vec(level, 1..5), end).prop_map(|(levels, end)| levels.join("/") + end)
    }

    proptest! {
        /// No filter changes without every topic that it matches seeing it.
        #[test]
        fn every_topic_that_a_filter_matches_sees_its_change(filter in levels(), topic in levels()) {
            prop_assume!(!filter.is_empty() && !topic.is_empty());
            let topic = topic.replace('+', "a").replace('#', "b");
            let mut index = noctule_topic::FilterIndex::<u32, ()>::new();
            index.insert(&noctule_topic::TopicFilter::parse(&filter).expect("a filter"), 1, ());
            let mut is_matched = false;
            index.for_each_match(&topic, |_, ()| is_matched = true);
            let generations = Generations::default();
            let watch = generations.watch(&topic);
            let before = generations.current(&watch);
            generations.advance(&filter);
            prop_assert!(!is_matched || generations.current(&watch) != before);
        }
    }
}
