//! Thousands of filters and topics at once, where tables have grown and shrunk and sets have changed form.

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use noctule_topic::{FilterIndex, MatchCursor, RetainedCursor, RetainedTree, TopicFilter};

use crate::words::parsed;

/// A sequence that looks random and is the same in each run.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % end
    }

    fn topic(&mut self) -> String {
        let (site, device) = (self.below(5), self.below(300));
        match self.below(4) {
            0 => format!("site{site}/device{device}"),
            1 => format!("site{site}/device{device}/state"),
            2 => format!("$SYS/site{site}/device{device}"),
            _ => format!("site{site}/a level with a name of its own {device}/state"),
        }
    }

    /// A topic in which some levels have become wildcards.
    fn filter(&mut self) -> TopicFilter {
        let topic = self.topic();
        let mut levels: Vec<&str> = topic.split('/').collect();
        for level in &mut levels {
            if self.below(3) == 0 {
                *level = "+";
            }
        }
        if self.below(4) == 0 {
            levels.truncate(1 + self.below(levels.len() as u64) as usize);
            levels.push("#");
        }
        parsed(&levels.join("/"))
    }
}

type Pairs = BTreeMap<(TopicFilter, u64), u64>;

fn expected(pairs: &Pairs, topic: &str) -> Vec<(u64, u64)> {
    let matching = pairs.iter().filter(|((filter, _), _)| filter.matches(topic));
    let mut found: Vec<(u64, u64)> = matching.map(|((_, key), value)| (*key, *value)).collect();
    found.sort_unstable();
    found
}

fn found(index: &FilterIndex<u64, u64>, topic: &str) -> Vec<(u64, u64)> {
    let mut found = Vec::new();
    index.for_each_match(topic, |key, value| found.push((key, *value)));
    found.sort_unstable();
    found
}

fn found_in_slices(index: &FilterIndex<u64, u64>, topic: &str, steps_max: usize) -> Vec<(u64, u64)> {
    let mut cursor = MatchCursor::new(topic);
    let mut found = Vec::new();
    let slices_max = index.len() + index.size().nodes + 2;
    assert!(
        (0..slices_max).any(|_| cursor.advance(index, steps_max, |key, value| found.push((key, *value))))
    );
    found.sort_unstable();
    found
}

#[test]
fn a_large_index_agrees_with_the_rule_while_it_grows_and_shrinks() {
    let mut numbers = Numbers(7);
    let mut index = FilterIndex::new();
    let mut pairs = Pairs::new();
    for wave in 0..6 {
        for _ in 0..4_000 {
            let (filter, key, value) = (numbers.filter(), numbers.below(20), numbers.below(1_000));
            assert_eq!(index.insert(&filter, key, value), pairs.insert((filter, key), value));
        }
        // Every other wave takes nearly everything away again.
        let kept = if wave % 2 == 1 { 20 } else { pairs.len() };
        while pairs.len() > kept {
            let ((filter, key), value) = pairs.pop_first().expect("more than are kept");
            assert_eq!(index.remove(filter.as_str(), key), Some(value));
        }
        assert_eq!(index.len(), pairs.len());
        for _ in 0..40 {
            let topic = numbers.topic();
            let expected = expected(&pairs, &topic);
            assert_eq!(found(&index, &topic), expected, "{topic}");
            assert_eq!(found_in_slices(&index, &topic, 3), expected, "{topic}");
        }
    }
}

fn look_up(tree: &RetainedTree<u64>, filter: &TopicFilter, visits_max: usize) -> BTreeMap<String, u64> {
    let mut cursor = RetainedCursor::new(filter);
    let mut found = BTreeMap::new();
    let is_done = (0..tree.size().nodes + 2).any(|_| {
        cursor.advance(tree, visits_max, |topic, value| {
            assert_eq!(found.insert(topic.to_owned(), *value), None, "{topic} reported twice");
            ControlFlow::Continue(())
        })
    });
    assert!(is_done);
    found
}

#[test]
fn a_large_tree_agrees_with_the_rule_while_it_grows_and_shrinks() {
    let mut numbers = Numbers(11);
    let mut tree = RetainedTree::new();
    let mut model = BTreeMap::new();
    for wave in 0..6 {
        for _ in 0..3_000 {
            let (topic, value) = (numbers.topic(), numbers.below(1_000));
            assert_eq!(tree.insert(&topic, value), model.insert(topic, value));
        }
        let kept = if wave % 2 == 1 { 20 } else { model.len() };
        while model.len() > kept {
            let (topic, value) = model.pop_last().expect("more than are kept");
            assert_eq!(tree.remove(&topic), Some(value));
        }
        assert_eq!(tree.len(), model.len());
        for _ in 0..40 {
            let filter = numbers.filter();
            let matching = model.iter().filter(|(topic, _)| filter.matches(topic));
            let expected: BTreeMap<String, u64> =
                matching.map(|(topic, value)| (topic.clone(), *value)).collect();
            assert_eq!(look_up(&tree, &filter, usize::MAX), expected, "{filter}");
            assert_eq!(look_up(&tree, &filter, 3), expected, "{filter}");
        }
    }
}

/// The memory that waves of subscribers leave behind does not add up.
#[test]
fn waves_of_filters_and_topics_leave_nothing_behind() {
    let mut index = FilterIndex::new();
    let mut tree = RetainedTree::new();
    for wave in 0..3 {
        let topics: Vec<String> = (0..2_000).map(|number| format!("wave{wave}/{number}/state")).collect();
        let filters: Vec<TopicFilter> = topics.iter().map(|topic| parsed(&format!("{topic}/+"))).collect();
        for (topic, filter) in topics.iter().zip(&filters) {
            index.insert(filter, wave, ());
            tree.insert(topic, ());
        }
        // The wave, its numbers, their states, and a `+` below each of these.
        assert_eq!((index.size().nodes, index.size().words), (1 + 3 * 2_000, 2 + 2_000));
        assert_eq!((tree.size().nodes, tree.size().words), (1 + 2 * 2_000, 2 + 2_000));
        for (topic, filter) in topics.iter().zip(&filters) {
            assert_eq!(index.remove(filter.as_str(), wave), Some(()));
            assert_eq!(tree.remove(topic), Some(()));
        }
        assert_eq!((index.size(), tree.size()), Default::default());
    }
}
