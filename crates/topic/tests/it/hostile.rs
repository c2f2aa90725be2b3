//! Filters and topics chosen to be expensive.

use std::ops::ControlFlow;

use noctule_topic::index::IndexSize;
use noctule_topic::{FilterIndex, MatchCursor, RetainedCursor, RetainedTree};

use crate::words::{self, parsed};

const LEVELS: usize = 16;
const MIXES: u32 = 1 << LEVELS;

/// All 65,536 mixes of `a` and `+` over 16 levels; the one without `+` is an exact filter.
fn filter_bomb() -> FilterIndex<u32, ()> {
    let mut index = FilterIndex::new();
    for mix in 0..MIXES {
        index.insert(&parsed(&filter_of(mix)), mix, ());
    }
    index
}

fn filter_of(mix: u32) -> String {
    let levels: Vec<&str> = (0..LEVELS).map(|level| if mix >> level & 1 == 1 { "+" } else { "a" }).collect();
    levels.join("/")
}

#[test]
fn a_filter_bomb_costs_at_most_one_visit_per_node() {
    let mut index = filter_bomb();
    let topic = ["a"; LEVELS].join("/");

    let mut reported = 0;
    let visited = index.for_each_match(&topic, |_, ()| reported += 1);
    assert_eq!(reported, MIXES);
    // The whole binary tree with its root, without the one leaf that is an exact filter.
    assert_eq!(visited, 131_070);
    assert_eq!(visited, index.size().nodes + 1);

    slices_are_bounded(&index, &topic);

    for mix in 0..MIXES {
        assert_eq!(index.remove(&filter_of(mix), mix), Some(()));
    }
    assert_eq!(index.size(), IndexSize::default());
}

fn slices_are_bounded(index: &FilterIndex<u32, ()>, topic: &str) {
    const STEPS_MAX: usize = 256;
    let mut cursor = MatchCursor::new(topic);
    let steps = index.size().nodes + 1 + 65_536;
    let mut reported_total = 0;
    for slice in 1..=steps.div_ceil(STEPS_MAX) {
        let visited_before = cursor.nodes_visited();
        let mut reported = 0;
        let is_done = cursor.advance(index, STEPS_MAX, |_, ()| reported += 1);
        assert!(cursor.nodes_visited() - visited_before + reported <= STEPS_MAX);
        assert_eq!(is_done, slice == steps.div_ceil(STEPS_MAX));
        reported_total += reported;
    }
    assert_eq!(reported_total, 65_536);
}

/// The deepest filters of `+` that fit in a packet must not exhaust the stack.
#[test]
fn the_deepest_filters_and_topics_work() {
    let depth = 32_768;
    let topic = "/".repeat(depth - 1);
    let filters = [vec!["+"; depth].join("/"), "/".repeat(depth - 1), format!("{}#", "/".repeat(depth - 2))];
    let mut index = FilterIndex::new();
    for (key, filter) in filters.iter().enumerate() {
        index.insert(&parsed(filter), key, ());
    }
    let mut reported = Vec::new();
    index.for_each_match(&topic, |key, ()| reported.push(key));
    reported.sort_unstable();
    assert_eq!(reported, [0, 1, 2]);

    let mut cursor = MatchCursor::new(&topic);
    let mut count = 0;
    let slices_max = (index.size().nodes + 4).div_ceil(4_096);
    assert!((0..slices_max).any(|_| cursor.advance(&index, 4_096, |_, ()| count += 1)));
    assert_eq!(count, 3);

    for (key, filter) in filters.iter().enumerate() {
        assert_eq!(index.remove(filter, key), Some(()));
    }
    assert_eq!(index.size(), IndexSize::default());
}

#[test]
fn the_deepest_retained_topics_work() {
    let depth = 32_768;
    let topic = "/".repeat(depth - 1);
    let mut tree = RetainedTree::new();
    tree.insert(&topic, ());
    for filter in [vec!["+"; depth].join("/"), format!("{}#", "/".repeat(depth - 2)), topic.clone()] {
        let mut cursor = RetainedCursor::new(&parsed(&filter));
        let mut topics = Vec::new();
        cursor.advance(&tree, usize::MAX, |topic, ()| {
            topics.push(topic.to_owned());
            ControlFlow::Continue(())
        });
        assert!(topics == [topic.as_str()] && cursor.is_done());
    }
}

/// A packet has room for 65,535 slashes.
#[test]
fn the_deepest_topic_of_all_works() {
    let topic = "/".repeat(65_535);
    let below = "/".repeat(65_533) + "#";
    let mut index = FilterIndex::new();
    index.insert(&parsed(&topic), 0, ());
    index.insert(&parsed(&below), 1, ());
    let mut reported = Vec::new();
    index.for_each_match(&topic, |key, ()| reported.push(key));
    assert_eq!(reported, [0, 1]);

    let mut tree = RetainedTree::new();
    tree.insert(&topic, ());
    assert!(tree.iter().all(|(found, ())| found == topic));
    let mut cursor = RetainedCursor::new(&parsed(&below));
    assert!(cursor.next(&tree, &mut usize::MAX.clone()).is_some_and(|(found, ())| found == topic));
    assert_eq!(tree.remove(&topic), Some(()));
    assert_eq!(tree.size(), Default::default());
}

/// `+/+/…/x` over a full tree in which no topic ends with `x`.
#[test]
fn a_retained_look_up_visits_no_node_twice() {
    let mut tree = RetainedTree::new();
    for topic in words::all_joined(&["a", "b", "c"], 7) {
        tree.insert(&topic, ());
    }
    for filter in ["+/+/+/+/+/+/x", "+/+/+/+/+/+/+/x", "+/+/+/x/#", "+/x/+/x/+/x/+"].map(parsed) {
        let mut cursor = RetainedCursor::new(&filter);
        let nodes = tree.size().nodes + 1;
        let mut advance = || cursor.advance(&tree, 256, |_, ()| panic!("nothing matches"));
        assert!((0..nodes.div_ceil(256)).any(|_| advance()), "{filter}");
        assert!(cursor.nodes_visited() <= nodes, "{filter}: {}", cursor.nodes_visited());
    }
}
