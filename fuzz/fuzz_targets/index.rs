//! The filter index and the retained tree against the ten-line matcher.
//!
//! The input is a script of filters and topics over a small alphabet: filters are added and removed, topics
//! are looked up, and both structures must agree with `matches` each time, in one go and in slices.
#![no_main]

use libfuzzer_sys::fuzz_target;
use noctule_topic::{
    FilterIndex, MatchCursor, RetainedCursor, RetainedTree, TopicFilter, TopicName, matches,
};
use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;

fuzz_target!(|input: &[u8]| {
    let mut world = World::default();
    for line in input.split(|byte| *byte == 0) {
        let Some((step, letters)) = line.split_first() else { continue };
        world.play(*step, &text(letters));
    }
});

#[derive(Default)]
struct World {
    index: FilterIndex<u8, u8>,
    filters: BTreeSet<(String, u8)>,
    tree: RetainedTree<u8>,
    topics: BTreeMap<String, u8>,
}

impl World {
    fn play(&mut self, step: u8, text: &str) {
        let key = step / 6 % 4;
        match (step % 6, TopicFilter::parse(text)) {
            (0 | 1, Ok(filter)) => {
                self.index.insert(&filter, key, step);
                self.filters.insert((text.to_owned(), key));
            }
            (2, Ok(_)) => {
                let known = self.filters.remove(&(text.to_owned(), key));
                assert_eq!(self.index.remove(text, key).is_some(), known);
            }
            (3, Ok(filter)) => self.look_up_retained(&filter, usize::from(key) + 1),
            (4, _) if TopicName::check(text).is_ok() => {
                self.tree.insert(text, step);
                self.topics.insert(text.to_owned(), step);
            }
            (5, _) if TopicName::check(text).is_ok() => self.look_up(text, usize::from(key) + 1),
            _ => {}
        }
        assert_eq!(self.index.len(), self.filters.len());
        assert_eq!(self.tree.len(), self.topics.len());
    }

    fn look_up(&self, topic: &str, slice: usize) {
        let expected: Vec<u8> =
            sorted(self.filters.iter().filter(|(filter, _)| matches(filter, topic)).map(|(_, key)| *key));
        let mut found = Vec::new();
        self.index.for_each_match(topic, |key, _| found.push(key));
        assert_eq!(sorted(found), expected, "{topic}");
        let mut sliced = Vec::new();
        let mut cursor = MatchCursor::new(topic);
        while !cursor.advance(&self.index, slice, |key, _| sliced.push(key)) {}
        assert_eq!(sorted(sliced), expected, "{topic} in slices of {slice}");
    }

    fn look_up_retained(&self, filter: &TopicFilter, slice: usize) {
        let expected: Vec<&str> =
            self.topics.keys().filter(|topic| filter.matches(topic)).map(String::as_str).collect();
        let mut found = Vec::new();
        let mut cursor = RetainedCursor::new(filter);
        while !cursor.advance(&self.tree, slice, |topic, value| {
            assert_eq!(self.topics.get(topic), Some(value));
            found.push(topic.to_owned());
            ControlFlow::Continue(())
        }) {}
        found.sort();
        assert_eq!(found, expected, "{filter}");
    }
}

/// Letters of a small alphabet, so that filters and topics meet.
fn text(letters: &[u8]) -> String {
    letters.iter().map(|letter| ['a', 'b', '/', '/', '+', '#', '$'][usize::from(*letter) % 7]).collect()
}

fn sorted(keys: impl IntoIterator<Item = u8>) -> Vec<u8> {
    let mut keys: Vec<u8> = keys.into_iter().collect();
    keys.sort_unstable();
    keys
}
