//! Matching in slices finds what matching in one go finds.

use std::collections::{BTreeMap, BTreeSet};

use noctule_topic::{FilterIndex, MatchCursor, TopicFilter};
use proptest::prelude::*;

use crate::words::{self, parsed};

/// The value tells the filter and the version, so that a report can be traced to its subscription.
type Value = (u32, u32);
type Index = FilterIndex<u64, Value>;

#[derive(Clone, Debug)]
enum Event {
    Advance { steps_max: usize },
    Insert { filter: prop::sample::Index, key: u64 },
    Remove { filter: prop::sample::Index, key: u64 },
}

fn event() -> impl Strategy<Value = Event> {
    let filter = any::<prop::sample::Index>();
    prop_oneof![
        3 => (0..6_usize).prop_map(|steps_max| Event::Advance { steps_max }),
        1 => (filter.clone(), 0..4_u64).prop_map(|(filter, key)| Event::Insert { filter, key }),
        1 => (filter, 0..4_u64).prop_map(|(filter, key)| Event::Remove { filter, key }),
    ]
}

/// A match in slices, with what the index must hold at each moment.
struct Run<'f> {
    filters: &'f [TopicFilter],
    index: Index,
    present: BTreeMap<(u32, u64), u32>,
    throughout: BTreeSet<(u32, u64)>,
    reported: Vec<(u32, u64)>,
    cursor: MatchCursor<u64>,
}

impl<'f> Run<'f> {
    fn new(filters: &'f [TopicFilter], present: &[(prop::sample::Index, u64)], topic: &str) -> Self {
        let mut run = Self {
            filters,
            index: Index::new(),
            present: BTreeMap::new(),
            throughout: BTreeSet::new(),
            reported: Vec::new(),
            cursor: MatchCursor::new(topic),
        };
        for (filter, key) in present {
            run.insert(filter.index(filters.len()), *key);
        }
        run.throughout = run.present.keys().copied().collect();
        run
    }

    fn apply(&mut self, event: &Event) {
        match event {
            Event::Advance { steps_max } => _ = self.advance(*steps_max),
            Event::Insert { filter, key } => self.insert(filter.index(self.filters.len()), *key),
            Event::Remove { filter, key } => self.remove(filter.index(self.filters.len()), *key),
        }
    }

    fn advance(&mut self, steps_max: usize) -> bool {
        let visited_before = self.cursor.nodes_visited();
        let mut reported = Vec::new();
        let is_done = self.cursor.advance(&self.index, steps_max, |key, value| reported.push((key, *value)));
        assert_eq!(is_done, self.cursor.is_done());
        // Where the place is gone, finding the next one may visit one node more.
        let steps = self.cursor.nodes_visited() - visited_before + reported.len();
        assert!(steps <= steps_max.max(1) + 1, "{steps} steps for {steps_max}");
        for (key, (filter, version)) in reported {
            assert_eq!(self.present.get(&(filter, key)), Some(&version), "reported with its present value");
            assert!(self.filters[filter as usize].matches(self.cursor.topic()));
            self.reported.push((filter, key));
        }
        is_done
    }

    fn insert(&mut self, filter: usize, key: u64) {
        let number = filter as u32;
        let version = self.present.get(&(number, key)).map_or(0, |version| version + 1);
        self.present.insert((number, key), version);
        self.index.insert(&self.filters[filter], key, (number, version));
    }

    fn remove(&mut self, filter: usize, key: u64) {
        let number = filter as u32;
        self.present.remove(&(number, key));
        self.throughout.remove(&(number, key));
        self.index.remove(self.filters[filter].as_str(), key);
    }

    /// Ends the match and checks what it reported over all slices.
    fn finish(mut self) {
        let slices_max = 10_000;
        let is_done = (0..slices_max).any(|_| self.advance(1));
        assert!(is_done, "still going after {slices_max} slices");
        assert!(self.advance(1), "done stays done");

        let reported: BTreeSet<(u32, u64)> = self.reported.iter().copied().collect();
        assert_eq!(reported.len(), self.reported.len(), "reported twice: {:?}", self.reported);
        for (filter, key) in self.throughout {
            let matches = self.filters[filter as usize].matches(self.cursor.topic());
            assert_eq!(reported.contains(&(filter, key)), matches, "{} {key}", self.filters[filter as usize]);
        }
    }
}

fn distinct_filters() -> impl Strategy<Value = Vec<TopicFilter>> {
    prop::collection::btree_set(words::filter(), 1..30).prop_map(|filters| filters.into_iter().collect())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_000, ..ProptestConfig::default() })]

    #[test]
    fn what_exists_throughout_is_reported_once(
        filters in distinct_filters(),
        present in prop::collection::vec((any::<prop::sample::Index>(), 0..4_u64), 0..60),
        topic in words::topic(),
        events in prop::collection::vec(event(), 0..60),
    ) {
        let mut run = Run::new(&filters, &present, &topic);
        for event in &events {
            run.apply(event);
        }
        run.finish();
    }
}

#[test]
fn a_slice_may_end_in_the_middle_of_a_large_set() {
    let filters = [parsed("a/#"), parsed("a/b")];
    for filter in &filters {
        let mut index = FilterIndex::new();
        for key in 0..1_000_u64 {
            index.insert(filter, key, ());
        }
        let mut cursor = MatchCursor::new("a/b");
        let mut reported = Vec::new();
        for slice in 1..=16 {
            let is_done = cursor.advance(&index, 64, |key, ()| reported.push(key));
            assert!(reported.len() <= slice * 64);
            assert_eq!(is_done, slice == 16, "1,000 subscriptions and at most 3 nodes");
            // Gone after it has been reported.
            index.remove(filter.as_str(), slice as u64 - 1);
        }
        reported.sort_unstable();
        assert_eq!(reported, (0..1_000).collect::<Vec<_>>());
    }
}

#[test]
fn a_match_goes_on_when_the_index_is_emptied() {
    let filters: Vec<TopicFilter> = ["a/b/c", "a/#", "a/b/+", "+/b/#", "+/+/+"].map(parsed).into();
    let mut index = FilterIndex::new();
    for (key, filter) in filters.iter().enumerate() {
        index.insert(filter, key, ());
    }
    let mut cursor = MatchCursor::new("a/b/c");
    let mut reported = 0;
    let reached_three = (0..100).any(|_| {
        assert!(!cursor.advance(&index, 1, |_, ()| reported += 1));
        reported == 3
    });
    assert!(reached_three);
    for (key, filter) in filters.iter().enumerate() {
        index.remove(filter.as_str(), key);
    }
    assert!(cursor.advance(&index, 1, |_, ()| reported += 1));
    assert_eq!(reported, 3);
}

#[test]
fn a_match_may_go_on_in_a_copy_of_the_index() {
    let filters: Vec<TopicFilter> = ["#", "a/#", "a/b", "a/+", "+/+", "+/b", "x/+"].map(parsed).into();
    let build = |order: &mut dyn Iterator<Item = usize>| {
        let mut index = FilterIndex::new();
        order.for_each(|key| _ = index.insert(&filters[key], key, ()));
        index
    };
    let copies = [build(&mut (0..7)), build(&mut (0..7).rev())];
    let mut cursor = MatchCursor::new("a/b");
    let mut reported = Vec::new();
    let is_done = (0..100).any(|turn| cursor.advance(&copies[turn % 2], 1, |key, ()| reported.push(key)));
    assert!(is_done);
    reported.sort_unstable();
    assert_eq!(reported, [0, 1, 2, 3, 4, 5]);
}

/// Keys are ordered within one set only: the last one reported says nothing about the next set.
#[test]
fn a_set_that_went_does_not_hide_subscribers_of_the_next() {
    let [gone, stays] = ["a/+", "+/#"].map(parsed);
    let mut index = FilterIndex::new();
    index.insert(&gone, 5, ());
    index.insert(&gone, 6, ());
    index.insert(&stays, 1, ());
    let mut cursor = MatchCursor::new("a/b");
    let mut reported = Vec::new();
    assert!((0..100).any(|_| {
        cursor.advance(&index, 1, |key, ()| reported.push(key));
        reported == [5]
    }));
    index.remove(gone.as_str(), 5);
    index.remove(gone.as_str(), 6);
    assert!(cursor.advance(&index, 100, |key, ()| reported.push(key)));
    assert_eq!(reported, [5, 1]);
}

#[test]
fn a_cursor_knows_its_topic_and_its_cost() {
    let mut index = FilterIndex::new();
    for (key, filter) in ["a/#", "a/+", "b/+"].map(parsed).iter().enumerate() {
        index.insert(filter, key, ());
    }
    let mut cursor = MatchCursor::new("a/b");
    assert_eq!((cursor.topic(), cursor.nodes_visited(), cursor.is_done()), ("a/b", 0, false));
    assert!(cursor.advance(&index, 100, |_, ()| {}));
    // The root, a, a/+.
    assert_eq!((cursor.nodes_visited(), cursor.is_done()), (3, true));
    assert_eq!(index.for_each_match("a/b", |_, ()| {}), 3);
}

#[test]
fn a_copy_of_a_cursor_goes_its_own_way() {
    let mut index = FilterIndex::new();
    for (key, filter) in ["a/b", "a/#", "+/b"].map(parsed).iter().enumerate() {
        index.insert(filter, key, ());
    }
    let mut cursor = MatchCursor::new("a/b");
    let mut first = Vec::new();
    cursor.advance(&index, 1, |key, ()| first.push(key));
    let mut copy = cursor.clone();
    for cursor in [&mut cursor, &mut copy] {
        let mut rest = Vec::new();
        assert!(cursor.advance(&index, 100, |key, ()| rest.push(key)));
        assert_eq!((first.len(), rest.len()), (1, 2));
    }
}

#[test]
fn a_match_in_an_empty_index_ends_at_once() {
    let index: FilterIndex<u64, ()> = FilterIndex::default();
    let mut cursor = MatchCursor::new("a/b");
    assert!((0..2).any(|_| cursor.advance(&index, 1, |_, ()| panic!("there is nothing"))));
    assert_eq!(cursor.nodes_visited(), 1);
}
