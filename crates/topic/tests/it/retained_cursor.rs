//! A look-up in slices finds what a look-up in one go finds, also while the tree changes.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;

use noctule_topic::{RetainedCursor, RetainedTree, TopicFilter};
use proptest::prelude::*;

use crate::words::{self, parsed};

#[derive(Clone, Debug)]
enum Event {
    Advance { visits_max: usize, topics_max: usize },
    Next { visits_max: usize },
    Insert(String),
    Remove(String),
    RemoveExisting(prop::sample::Index),
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        2 => (0..6_usize, 1..4_usize)
            .prop_map(|(visits_max, topics_max)| Event::Advance { visits_max, topics_max }),
        1 => (0..4_usize).prop_map(|visits_max| Event::Next { visits_max }),
        1 => words::topic().prop_map(Event::Insert),
        1 => words::topic().prop_map(Event::Remove),
        1 => any::<prop::sample::Index>().prop_map(Event::RemoveExisting),
    ]
}

/// A look-up in slices, with what the tree must hold at each moment.
struct Run {
    tree: RetainedTree<u32>,
    present: BTreeMap<String, u32>,
    throughout: BTreeSet<String>,
    reported: Vec<String>,
    filter: TopicFilter,
    cursor: RetainedCursor,
}

impl Run {
    fn new(topics: BTreeSet<String>, filter: &TopicFilter) -> Self {
        let mut run = Self {
            tree: RetainedTree::new(),
            present: BTreeMap::new(),
            throughout: BTreeSet::new(),
            reported: Vec::new(),
            filter: filter.clone(),
            cursor: RetainedCursor::new(filter),
        };
        for topic in topics {
            run.insert(&topic);
            run.throughout.insert(topic);
        }
        run
    }

    fn apply(&mut self, event: &Event) {
        match event {
            Event::Advance { visits_max, topics_max } => _ = self.advance(*visits_max, *topics_max),
            Event::Next { visits_max } => self.next(*visits_max),
            Event::Insert(topic) => self.insert(topic),
            Event::Remove(topic) => self.remove(topic),
            Event::RemoveExisting(index) if !self.present.is_empty() => {
                let topic = self.present.keys().nth(index.index(self.present.len())).unwrap().clone();
                self.remove(&topic);
            }
            Event::RemoveExisting(_) => {}
        }
    }

    fn advance(&mut self, visits_max: usize, topics_max: usize) -> bool {
        let visited_before = self.cursor.nodes_visited();
        let mut reported = Vec::new();
        let is_done = self.cursor.advance(&self.tree, visits_max, |topic, value| {
            reported.push((topic.to_owned(), *value));
            if reported.len() == topics_max { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        });
        assert_eq!(is_done, self.cursor.is_done());
        assert!(reported.len() <= topics_max);
        assert!(self.cursor.nodes_visited() - visited_before <= visits_max.max(1));
        reported.into_iter().for_each(|(topic, value)| self.note(topic, value));
        is_done
    }

    fn next(&mut self, visits_max: usize) {
        let visited_before = self.cursor.nodes_visited();
        let mut visits_left = visits_max;
        let found = self.cursor.next(&self.tree, &mut visits_left).map(|(topic, value)| (topic, *value));
        assert_eq!(self.cursor.nodes_visited() - visited_before, visits_max - visits_left);
        match found {
            Some((topic, value)) => self.note(topic, value),
            None => assert!(self.cursor.is_done() || visits_left == 0),
        }
    }

    fn note(&mut self, topic: String, value: u32) {
        assert_eq!(self.present.get(&topic), Some(&value), "reported with its present value");
        assert!(self.filter.matches(&topic), "{topic}");
        self.reported.push(topic);
    }

    fn insert(&mut self, topic: &str) {
        let version = self.present.get(topic).map_or(0, |version| version + 1);
        self.present.insert(topic.to_owned(), version);
        self.tree.insert(topic, version);
    }

    fn remove(&mut self, topic: &str) {
        self.present.remove(topic);
        self.throughout.remove(topic);
        self.tree.remove(topic);
    }

    /// Ends the look-up and checks what it reported over all slices.
    fn finish(mut self) {
        let slices_max = 10_000;
        let is_done = (0..slices_max).any(|_| self.advance(1, 1));
        assert!(is_done, "still going after {slices_max} slices");
        assert!(self.advance(1, 1), "done stays done");

        let reported: BTreeSet<String> = self.reported.iter().cloned().collect();
        assert_eq!(reported.len(), self.reported.len(), "reported twice: {:?}", self.reported);
        for topic in self.throughout {
            assert_eq!(reported.contains(&topic), self.filter.matches(&topic), "{topic}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_000, ..ProptestConfig::default() })]

    #[test]
    fn what_exists_throughout_is_reported_once(
        topics in prop::collection::btree_set(words::topic(), 0..60),
        filter in words::filter(),
        events in prop::collection::vec(event(), 0..60),
    ) {
        let mut run = Run::new(topics, &filter);
        for event in &events {
            run.apply(event);
        }
        run.finish();
    }

    #[test]
    fn who_follows_finds_what_the_other_has_passed_and_nothing_else(
        topics in prop::collection::btree_set(words::topic(), 0..60),
        filter in words::filter(),
        events in prop::collection::vec(event(), 0..60),
        visits_max in 0..4_usize,
    ) {
        let mut run = Run::new(topics, &filter);
        let mut follower = run.cursor.from_the_start();
        let mut found = BTreeSet::new();
        for event in &events {
            run.apply(event);
            follower.follow(&run.cursor, &run.tree, visits_max, |topic, _| _ = found.insert(topic.to_owned()));
            let mut wrong = found.intersection(&run.throughout).filter(|topic| !run.reported.contains(topic));
            prop_assert_eq!(wrong.next(), None);
        }
        while !follower.follow(&run.cursor, &run.tree, 1, |topic, _| _ = found.insert(topic.to_owned())) {}
        let mut passed = run.reported.iter().filter(|topic| run.throughout.contains(*topic));
        prop_assert_eq!(passed.find(|topic| !found.contains(*topic)), None);
    }
}

#[test]
fn one_topic_at_a_time_reaches_all_of_them() {
    const TOPICS: usize = 10_000;
    let mut tree = RetainedTree::new();
    for number in 0..TOPICS {
        tree.insert(&format!("site{}/device{number}", number % 7), number);
    }
    let mut cursor = RetainedCursor::new(&parsed("#"));
    let mut seen = vec![false; TOPICS];
    let nodes = tree.size().nodes + 1;
    let mut visits_left = nodes + 1;
    for (_, number) in std::iter::from_fn(|| cursor.next(&tree, &mut visits_left)) {
        assert!(!std::mem::replace(&mut seen[*number], true));
    }
    assert!(cursor.is_done() && seen.iter().all(|seen| *seen));
    assert_eq!((cursor.nodes_visited(), visits_left), (nodes, 1));
}

#[test]
fn a_look_up_says_it_is_done_with_its_last_topic() {
    let mut tree = RetainedTree::new();
    tree.insert("a", ());
    let mut cursor = RetainedCursor::new(&parsed("#"));
    // The root and its child.
    assert!(cursor.advance(&tree, 2, |_, ()| ControlFlow::Break(())));
    assert!(
        RetainedCursor::new(&parsed("#"))
            .advance(&RetainedTree::<()>::new(), 1, |_, ()| ControlFlow::Break(()))
    );
}

#[test]
fn a_look_up_goes_on_when_the_tree_is_emptied() {
    let mut tree = RetainedTree::new();
    for topic in ["a/b", "a/c", "b"] {
        tree.insert(topic, ());
    }
    let mut cursor = RetainedCursor::new(&parsed("a/+"));
    assert!(cursor.next(&tree, &mut 10).is_some());
    for topic in ["a/b", "a/c", "b"] {
        tree.remove(topic);
    }
    assert_eq!(cursor.next(&tree, &mut 10), None);
    assert!(cursor.is_done());
}

#[test]
fn a_word_that_went_is_not_taken_for_the_one_that_came() {
    let (before, after) = (["x/a", "x/b"], ["z/c", "z/d", "z/e", "x/f"]);
    for filter in ["x/+", "x/#", "+/+", "#"].map(parsed) {
        let mut tree = RetainedTree::new();
        before.iter().for_each(|topic| _ = tree.insert(topic, ()));
        let mut cursor = RetainedCursor::new(&filter);
        assert!(cursor.next(&tree, &mut 10).is_some());

        // The words of the new topics take the places of those that went, before `x` comes back.
        before.iter().for_each(|topic| _ = tree.remove(topic));
        after.iter().for_each(|topic| _ = tree.insert(topic, ()));
        let is_done = cursor.advance(&tree, 100, |topic, ()| {
            assert!(after.contains(&topic) && filter.matches(topic), "{filter}: {topic}");
            ControlFlow::Continue(())
        });
        assert!(is_done);
    }
}
