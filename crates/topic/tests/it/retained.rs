//! The retained tree against a sorted map, over random changes.

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use noctule_topic::retained::TreeSize;
use noctule_topic::{RetainedCursor, RetainedTree, TopicFilter};
use proptest::prelude::*;

use crate::words::{self, parsed};

fn tree_of<S: AsRef<str>>(topics: &[S]) -> RetainedTree<usize> {
    let mut tree = RetainedTree::new();
    for (number, topic) in topics.iter().enumerate() {
        tree.insert(topic.as_ref(), number);
    }
    tree
}

/// The matching topics in the order they come, and the number of nodes visited for them.
fn look_up<V>(tree: &RetainedTree<V>, filter: &TopicFilter) -> (Vec<String>, usize) {
    let mut cursor = RetainedCursor::new(filter);
    let mut topics = Vec::new();
    let is_done = cursor.advance(tree, usize::MAX, |topic, _| {
        topics.push(topic.to_owned());
        ControlFlow::Continue(())
    });
    assert!(is_done && cursor.is_done());
    (topics, cursor.nodes_visited())
}

/// The matching topics, sorted.
fn found(topics: &[&str], filter: &str) -> Vec<String> {
    let (mut found, _) = look_up(&tree_of(topics), &parsed(filter));
    found.sort();
    found
}

proptest! {
    #[test]
    fn a_tree_is_a_map_from_topics(
        changes in prop::collection::vec((words::topic(), prop::option::of(any::<u32>())), 0..80),
    ) {
        let mut tree = RetainedTree::new();
        let mut model = BTreeMap::new();
        for (topic, value) in changes {
            prop_assert_eq!(tree.get(&topic), model.get(&topic));
            match value {
                Some(value) => prop_assert_eq!(tree.insert(&topic, value), model.insert(topic.clone(), value)),
                None => prop_assert_eq!(tree.remove(&topic), model.remove(&topic)),
            }
            prop_assert_eq!(tree.len(), model.len());
            prop_assert_eq!(tree.is_empty(), model.is_empty());
        }
        let mut all: Vec<(String, u32)> = tree.iter().map(|(topic, value)| (topic, *value)).collect();
        all.sort();
        prop_assert_eq!(all, model.into_iter().collect::<Vec<_>>());
    }

    #[test]
    fn a_look_up_agrees_with_the_rule(
        topics in prop::collection::btree_set(words::topic(), 0..60),
        filter in words::filter(),
    ) {
        let topics: Vec<String> = topics.into_iter().collect();
        let tree = tree_of(&topics);
        let (mut found, visited) = look_up(&tree, &filter);
        found.sort();
        let expected: Vec<String> = topics.iter().filter(|topic| filter.matches(topic)).cloned().collect();
        prop_assert_eq!(found, expected);
        prop_assert!(visited <= tree.size().nodes + 1);
    }
}

#[test]
fn every_filter_finds_its_topics_among_all() {
    let mut topics = words::all_joined(&words::WORDS, 3);
    topics.retain(|topic| !topic.is_empty());
    let tree = tree_of(&topics);
    let mut filters = words::all_joined(&["", "a", "b", "$s", "c", "+"], 3);
    filters.extend(filters.clone().iter().map(|filter| format!("{filter}/#")));
    filters.retain(|filter| !filter.is_empty());
    for filter in filters.iter().map(|filter| parsed(filter)) {
        let expected = topics.iter().filter(|topic| filter.matches(topic)).count();
        assert_eq!(look_up(&tree, &filter).0.len(), expected, "{filter}");
    }
}

#[test]
fn mqtt_4_7_2_1_leading_wildcards_do_not_find_dollar_topics() {
    let topics = ["$", "$SYS", "$SYS/a", "a", "a/$b", "%"];
    assert_eq!(found(&topics, "#"), ["%", "a", "a/$b"]);
    assert_eq!(found(&topics, "+"), ["%", "a"]);
    assert_eq!(found(&topics, "+/a"), Vec::<String>::new());
    assert_eq!(found(&topics, "$SYS/#"), ["$SYS", "$SYS/a"]);
    assert_eq!(found(&topics, "a/+"), ["a/$b"]);
}

#[test]
fn a_hash_finds_its_parent_level() {
    assert_eq!(found(&["a", "a/b", "a/b/c", "ab", "a b"], "a/#"), ["a", "a/b", "a/b/c"]);
}

#[test]
fn what_all_topics_needed_is_free_when_they_are_gone() {
    let mut topics = words::all_joined(&words::WORDS, 3);
    topics.push("a long word that needs memory of its own/a".to_owned());
    let mut tree = tree_of(&topics);
    assert_eq!(tree.size().topics, topics.len());
    for (number, topic) in topics.iter().enumerate().rev() {
        assert_eq!(tree.remove(topic), Some(number));
        assert_eq!(tree.remove(topic), None);
    }
    assert_eq!(tree.size(), TreeSize::default());
}

#[test]
fn topics_share_the_nodes_and_words_they_have_in_common() {
    let tree = tree_of(&["a/b", "a/b/a", "b"]);
    assert_eq!(tree.size(), TreeSize { topics: 3, nodes: 4, words: 2 });
    assert_eq!(tree.get("a"), None);
}

#[test]
fn values_can_be_changed_in_place() {
    let mut tree = tree_of(&["a/b"]);
    *tree.get_mut("a/b").unwrap() = 7;
    assert_eq!(tree.get("a/b"), Some(&7));
    assert_eq!(tree.get_mut("a"), None);
}

#[test]
fn an_exact_filter_visits_one_node_per_level() {
    let topics: Vec<String> = (0..1_000).map(|number| format!("a/{number}")).collect();
    let (found, visited) = look_up(&tree_of(&topics), &parsed("a/500"));
    assert_eq!(found, ["a/500"]);
    assert_eq!(visited, 3);
}

#[test]
fn rare_topics_cost_one_visit_per_choice() {
    let mut tree = RetainedTree::new();
    for device in 0..100 {
        for sensor in 0..100 {
            tree.insert(&format!("device/{device}/sensor{sensor}"), ());
        }
    }
    tree.insert("device/7/cmd", ());
    tree.insert("device/77/cmd", ());
    let (mut found, visited) = look_up(&tree, &parsed("device/+/cmd"));
    found.sort();
    assert_eq!(found, ["device/7/cmd", "device/77/cmd"]);
    // The root, `device`, its children and the hits.
    assert_eq!(visited, 1 + 1 + 100 + 2);
}

#[test]
fn a_prefix_visits_only_what_is_below_it() {
    let mut tree = RetainedTree::new();
    for room in 0..100 {
        for sensor in 0..10 {
            tree.insert(&format!("room{room}/sensor{sensor}"), ());
        }
    }
    let (found, visited) = look_up(&tree, &parsed("room50/#"));
    // The root, the room and its sensors.
    assert_eq!((found.len(), visited), (10, 1 + 1 + 10));
}
