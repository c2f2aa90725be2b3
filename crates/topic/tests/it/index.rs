//! The filter index against a list of filters and the ten-line matcher, over random changes.

use std::collections::{BTreeMap, BTreeSet};

use noctule_topic::index::IndexSize;
use noctule_topic::{FilterIndex, TopicFilter, matches};
use proptest::prelude::*;

use crate::words::{self, parsed};

type Key = (u16, u64);

/// What an index must be like: the pairs themselves.
#[derive(Default)]
struct Model(BTreeMap<(TopicFilter, Key), u32>);

impl Model {
    fn matches(&self, topic: &str) -> Vec<(Key, u32)> {
        let matching = self.0.iter().filter(|((filter, _), _)| matches(filter.as_str(), topic));
        let mut found: Vec<(Key, u32)> = matching.map(|((_, key), value)| (*key, *value)).collect();
        found.sort_unstable();
        found
    }

    fn filters(&self) -> BTreeSet<&TopicFilter> {
        self.0.keys().map(|(filter, _)| filter).collect()
    }
}

fn found(index: &FilterIndex<Key, u32>, topic: &str) -> Vec<(Key, u32)> {
    let mut found = Vec::new();
    index.for_each_match(topic, |key, value| found.push((key, *value)));
    found.sort_unstable();
    found
}

#[derive(Clone, Debug)]
enum Change {
    Insert(TopicFilter, Key, u32),
    Remove(TopicFilter, Key),
}

fn change() -> impl Strategy<Value = Change> {
    let key = (0..2_u16, 0..3_u64);
    prop_oneof![
        3 => (words::filter(), key.clone(), any::<u32>())
            .prop_map(|(filter, key, value)| Change::Insert(filter, key, value)),
        1 => (words::filter(), key).prop_map(|(filter, key)| Change::Remove(filter, key)),
    ]
}

proptest! {
    #[test]
    fn an_index_agrees_with_the_rule(
        changes in prop::collection::vec(change(), 0..80),
        topics in prop::collection::vec(words::topic(), 1..20),
    ) {
        let mut index = FilterIndex::new();
        let mut model = Model::default();
        for change in changes {
            match change {
                Change::Insert(filter, key, value) => {
                    prop_assert_eq!(index.insert(&filter, key, value), model.0.insert((filter.clone(), key), value));
                    prop_assert_eq!(index.get(filter.as_str(), key), Some(&value));
                }
                Change::Remove(filter, key) => {
                    prop_assert_eq!(index.remove(filter.as_str(), key), model.0.remove(&(filter.clone(), key)));
                    prop_assert_eq!(index.get(filter.as_str(), key), None);
                }
            }
            prop_assert_eq!(index.len(), model.0.len());
        }
        for topic in &topics {
            prop_assert_eq!(found(&index, topic), model.matches(topic), "{}", topic);
        }
        let wildcards = model.filters().iter().filter(|filter| filter.has_wildcards()).count();
        prop_assert_eq!(index.filters(), model.filters().len());
        prop_assert_eq!(index.wildcard_filters(), wildcards);
        for ((filter, key), value) in &model.0 {
            prop_assert_eq!(index.get(filter.as_str(), *key), Some(value));
        }
    }

    #[test]
    fn what_all_filters_needed_is_free_when_they_are_gone(
        filters in prop::collection::vec(words::filter(), 0..60),
        order in any::<prop::sample::Index>(),
    ) {
        let mut index = FilterIndex::new();
        for (number, filter) in filters.iter().enumerate() {
            index.insert(filter, number, ());
        }
        let first = order.index(filters.len().max(1));
        let (front, back) = filters.split_at(first);
        for (number, filter) in back.iter().chain(front).enumerate() {
            let key = (number + first) % filters.len();
            prop_assert_eq!(index.remove(filter.as_str(), key), Some(()));
        }
        prop_assert!(index.is_empty());
        prop_assert_eq!(index.size(), IndexSize::default());
    }

    /// A match visits each node at most once, and the root.
    #[test]
    fn a_match_visits_no_more_nodes_than_there_are(
        filters in prop::collection::vec(words::filter(), 0..60),
        topic in words::topic(),
    ) {
        let mut index = FilterIndex::new();
        for filter in &filters {
            index.insert(filter, 0, ());
        }
        let visited = index.for_each_match(&topic, |_, ()| {});
        prop_assert!(visited <= index.size().nodes + 1);
    }
}

#[test]
fn replacing_a_subscription_is_one_change() {
    for filter in ["a/b", "a/+", "#"].map(parsed) {
        let mut index = FilterIndex::new();
        assert_eq!(index.insert(&filter, (0, 1), 10), None);
        assert_eq!(index.insert(&filter, (0, 1), 11), Some(10));
        assert_eq!(index.len(), 1);
        assert_eq!(found(&index, "a/b"), [((0, 1), 11)]);
    }
}

#[test]
fn mqtt_4_7_2_1_leading_wildcards_do_not_find_dollar_topics() {
    let mut index = FilterIndex::new();
    for (number, filter) in ["#", "+/#", "+/x", "$SYS/#", "$SYS/+", "$SYS/x"].iter().enumerate() {
        index.insert(&parsed(filter), (0, number as u64), 0);
    }
    let keys: Vec<u64> = found(&index, "$SYS/x").iter().map(|((_, number), _)| *number).collect();
    assert_eq!(keys, [3, 4, 5]);
}

#[test]
fn removing_what_is_not_there_changes_nothing() {
    let mut index = FilterIndex::new();
    index.insert(&parsed("a/+/b"), (0, 1), 1);
    index.insert(&parsed("a/b"), (0, 1), 2);
    let size = index.size();
    for (filter, key) in [
        ("a/+/b", (0, 2)),
        ("a/+", (0, 1)),
        ("a/+/#", (0, 1)),
        ("a/+/b/#", (0, 1)),
        ("+/+/b", (0, 1)),
        ("a/b", (0, 2)),
        ("a", (0, 1)),
        ("a/#/b", (0, 1)),
        ("", (0, 1)),
        ("#", (0, 1)),
    ] {
        assert_eq!(index.remove(filter, key), None, "{filter}");
        assert_eq!(index.get(filter, key), None, "{filter}");
    }
    assert_eq!((index.size(), index.len()), (size, 2));
}

#[test]
fn filters_share_the_nodes_and_words_they_have_in_common() {
    let mut index = FilterIndex::new();
    for filter in ["a/b/+", "a/b/#", "a/+/b", "a/b"] {
        index.insert(&parsed(filter), (0, 0), 0);
    }
    // a, a/b, a/b/+, a/+, a/+/b; the words a and b.
    let expected = IndexSize { exact_filters: 1, wildcard_filters: 3, nodes: 5, words: 2 };
    assert_eq!(index.size(), expected);
}

/// With a list that is shifted on each change this would take minutes.
#[test]
fn a_filter_takes_a_hundred_thousand_subscribers() {
    const SUBSCRIBERS: u64 = 100_000;
    for filter in ["a/b", "a/+"].map(parsed) {
        let mut index = FilterIndex::new();
        for number in 0..SUBSCRIBERS {
            let scattered = number * 7_919 % SUBSCRIBERS;
            assert_eq!(index.insert(&filter, (0, scattered), 0), None);
        }
        assert_eq!(index.filters(), 1);
        let mut count = 0;
        index.for_each_match("a/b", |_, _| count += 1);
        assert_eq!(count, SUBSCRIBERS);
        for number in 0..SUBSCRIBERS {
            assert_eq!(index.remove(filter.as_str(), (0, number)), Some(0));
        }
        assert_eq!(index.size(), IndexSize::default());
    }
}
