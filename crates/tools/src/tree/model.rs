//! Topics as a tree, fed with messages.
//!
//! Invariants:
//! - Nodes are only added; a parent stands before its children.
//! - At most [`TOPICS_MAX`] topics are kept, in levels of together [`NAMES_BYTES_MAX`] bytes, and of each payload its
//!   beginning, or all of it while all of them together have at most [`VALUES_BYTES_MAX`]. What is left out is counted.
//! - No node is deeper than [`LEVELS_MAX`], so that paths may be followed without a second thought; what a topic has
//!   more stands in the name of its last level.

use noctule_client::machine::Delivery;
use noctule_codec::QoS;
use std::collections::BTreeMap;
use std::time::Duration;

/// Names a node of a tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct NodeId(usize);

/// The tree of topics.
#[derive(Debug)]
pub(super) struct Tree {
    /// The first is above all topics and has no name.
    nodes: Vec<Node>,
    topics: usize,
    messages: u64,
    left_out: u64,
    keeps: Keeps,
    /// Bytes of the names of nodes.
    name_bytes: usize,
    /// Bytes of payloads that are kept.
    value_bytes: usize,
}

/// How much of a payload is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Keeps {
    /// What a line has room for.
    Beginning,
    /// All of it.
    Whole,
}

/// A level of topics.
#[derive(Debug)]
pub(super) struct Node {
    /// The level as it is written, which may be empty.
    pub(super) name: Box<str>,
    parent: Option<NodeId>,
    children: BTreeMap<Box<str>, NodeId>,
    /// Messages on this topic and below it.
    pub(super) messages_below: u64,
    /// Present where there were messages on this very topic.
    pub(super) last: Option<Last>,
}

/// What was said last on a topic, and how often anything was.
#[derive(Clone, Debug)]
pub(super) struct Last {
    /// The payload or its beginning.
    pub(super) value: Box<[u8]>,
    /// The length of the payload.
    pub(super) bytes: usize,
    pub(super) qos: QoS,
    /// The broker has a message of this topic, as far as is known.
    pub(super) is_retained: bool,
    pub(super) messages: u64,
    pub(super) at: Duration,
}

impl Tree {
    pub(super) fn new(keeps: Keeps) -> Self {
        let root =
            Node { name: "".into(), parent: None, children: BTreeMap::new(), messages_below: 0, last: None };
        Self { nodes: vec![root], topics: 0, messages: 0, left_out: 0, keeps, name_bytes: 0, value_bytes: 0 }
    }

    /// Takes a message.
    pub(super) fn hear(&mut self, message: &Delivery, now: Duration) {
        self.messages += 1;
        let Some(id) = self.place(&message.topic) else {
            self.left_out += 1;
            return;
        };
        let node = &mut self.nodes[id.0];
        let (messages, was_retained, bytes_before) = node
            .last
            .as_ref()
            .map_or((0, false, 0), |last| (last.messages, last.is_retained, last.value.len()));
        self.topics += usize::from(messages == 0);
        let payload = &message.payload;
        let others = self.value_bytes - bytes_before;
        let kept = match self.keeps {
            Keeps::Whole if others + payload.len() <= VALUES_BYTES_MAX => payload.len(),
            _ => payload.len().min(VALUE_BYTES_MAX),
        };
        self.value_bytes = others + kept;
        // A message that is not to be retained leaves the one that is.
        let is_retained = if message.retain { !payload.is_empty() } else { was_retained };
        node.last = Some(Last {
            value: payload[..kept].into(),
            bytes: payload.len(),
            qos: message.qos,
            is_retained,
            messages: messages + 1,
            at: now,
        });
        self.count_up(id);
    }

    /// Topics that have had messages.
    pub(super) fn topics(&self) -> usize {
        self.topics
    }

    /// Messages, those left out too.
    pub(super) fn messages(&self) -> u64 {
        self.messages
    }

    /// Messages on topics for which there was no room.
    pub(super) fn left_out(&self) -> u64 {
        self.left_out
    }

    pub(super) fn root(&self) -> NodeId {
        NodeId(0)
    }

    pub(super) fn node(&self, id: NodeId) -> &Node {
        &self.nodes[id.0]
    }

    /// The nodes below, in the order of their names.
    pub(super) fn children(&self, id: NodeId) -> impl DoubleEndedIterator<Item = NodeId> {
        self.node(id).children.values().copied()
    }

    pub(super) fn is_leaf(&self, id: NodeId) -> bool {
        self.node(id).children.is_empty()
    }

    /// The node above, if that has a name.
    pub(super) fn parent(&self, id: NodeId) -> Option<NodeId> {
        self.node(id).parent.filter(|parent| *parent != self.root())
    }

    /// The whole topic.
    pub(super) fn topic(&self, id: NodeId) -> String {
        let mut levels: Vec<&str> = Vec::new();
        let mut next = Some(id);
        while let Some(id) = next {
            levels.push(&self.node(id).name);
            next = self.parent(id);
        }
        levels.reverse();
        levels.join("/")
    }

    /// Every node below the root with its depth, parents before their children.
    pub(super) fn walk(&self, is_open: impl Fn(NodeId) -> bool) -> Vec<(NodeId, usize)> {
        let mut rows = Vec::new();
        let mut open: Vec<(NodeId, usize)> = self.children(self.root()).rev().map(|id| (id, 0)).collect();
        while let Some((id, depth)) = open.pop() {
            rows.push((id, depth));
            if is_open(id) {
                open.extend(self.children(id).rev().map(|id| (id, depth + 1)));
            }
        }
        rows
    }

    /// The node of a topic, made if there is room.
    fn place(&mut self, topic: &str) -> Option<NodeId> {
        let mut id = self.root();
        for level in topic.splitn(LEVELS_MAX, '/') {
            id = match self.node(id).children.get(level).copied() {
                Some(child) => child,
                None => self.add(id, level)?,
            };
        }
        (self.node(id).last.is_some() || self.topics < TOPICS_MAX).then_some(id)
    }

    fn add(&mut self, parent: NodeId, name: &str) -> Option<NodeId> {
        let name_bytes = self.name_bytes + name.len();
        if self.topics >= TOPICS_MAX || self.nodes.len() >= NODES_MAX || name_bytes > NAMES_BYTES_MAX {
            return None;
        }
        self.name_bytes = name_bytes;
        let id = NodeId(self.nodes.len());
        let node = Node {
            name: name.into(),
            parent: Some(parent),
            children: BTreeMap::new(),
            messages_below: 0,
            last: None,
        };
        self.nodes.push(node);
        self.nodes[parent.0].children.insert(name.into(), id);
        Some(id)
    }

    fn count_up(&mut self, id: NodeId) {
        let mut next = Some(id);
        while let Some(id) = next {
            let node = &mut self.nodes[id.0];
            node.messages_below += 1;
            next = node.parent;
        }
    }
}

/// Topics that are kept.
const TOPICS_MAX: usize = 100_000;
/// Levels that are kept, of all topics.
const NODES_MAX: usize = 4 * TOPICS_MAX;
/// Bytes that their names may have together. Each is kept twice.
const NAMES_BYTES_MAX: usize = 32 << 20;
/// Levels of one topic. The standard allows 65,535.
const LEVELS_MAX: usize = 100;
/// The beginning of a payload that is kept.
const VALUE_BYTES_MAX: usize = 512;
/// Payloads that are kept whole have together at most so many bytes; of further ones there is the beginning.
const VALUES_BYTES_MAX: usize = 1 << 30;

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::testing::message;

    /// A tree that has heard these topics and payloads, each a second after the one before.
    pub(crate) fn tree(messages: &[(&str, &str)]) -> Tree {
        let mut tree = Tree::new(Keeps::Whole);
        for (second, (topic, payload)) in (0..).zip(messages) {
            tree.hear(&message(topic, payload.as_bytes(), false), Duration::from_secs(second));
        }
        tree
    }

    fn topics(tree: &Tree) -> Vec<String> {
        tree.walk(|_| true).into_iter().map(|(id, _)| tree.topic(id)).collect()
    }

    #[test]
    fn topics_stand_in_order_below_one_another() {
        let tree = tree(&[("b", "1"), ("a/c", "2"), ("/x", "3"), ("a", "4"), ("a/c", "5"), ("a//d", "6")]);
        assert_eq!(topics(&tree), ["", "/x", "a", "a/", "a//d", "a/c", "b"]);
        assert_eq!((tree.topics(), tree.messages(), tree.left_out()), (5, 6, 0));
        let below: Vec<u64> =
            tree.walk(|_| true).into_iter().map(|(id, _)| tree.node(id).messages_below).collect();
        assert_eq!(below, [1, 1, 4, 1, 1, 2, 1]);
    }

    #[test]
    fn the_retained_mark_is_what_the_broker_has() {
        let mut tree = Tree::new(Keeps::Beginning);
        let id = NodeId(1);
        for (payload, retain, is_retained) in
            [("1", false, false), ("2", true, true), ("3", false, true), ("", true, false), ("4", true, true)]
        {
            tree.hear(&message("a", payload.as_bytes(), retain), Duration::ZERO);
            let last = tree.node(id).last.as_ref().expect("a message");
            assert_eq!((last.is_retained, &*last.value), (is_retained, payload.as_bytes()), "{payload}");
        }
        assert_eq!(tree.node(id).last.as_ref().map(|last| last.messages), Some(5));
    }

    #[test]
    fn of_a_value_there_is_the_beginning_or_all() {
        let long = [b'x'; 10_000];
        for (keeps, kept) in [(Keeps::Beginning, VALUE_BYTES_MAX), (Keeps::Whole, long.len())] {
            let mut tree = Tree::new(keeps);
            tree.hear(&message("a", &long, false), Duration::ZERO);
            let last = |tree: &Tree| tree.node(NodeId(1)).last.clone().expect("a message");
            assert_eq!(
                (last(&tree).value.len(), last(&tree).bytes, tree.value_bytes),
                (kept, long.len(), kept)
            );
            tree.hear(&message("a", b"short", false), Duration::ZERO);
            assert_eq!((&*last(&tree).value, tree.value_bytes), (&b"short"[..], 5));
            tree.value_bytes = VALUES_BYTES_MAX;
            tree.hear(&message("b", &long, false), Duration::ZERO);
            let id = NodeId(2);
            assert_eq!(tree.node(id).last.as_ref().map(|last| last.value.len()), Some(VALUE_BYTES_MAX));
        }
    }

    #[test]
    fn what_is_kept_has_bounds() {
        let mut tree = Tree::new(Keeps::Beginning);
        for number in 0..=TOPICS_MAX {
            tree.hear(&message(&format!("t/{number}"), b"", false), Duration::ZERO);
        }
        assert_eq!((tree.topics(), tree.left_out()), (TOPICS_MAX, 1));
        tree.hear(&message("t/7", &[b'x'; 10_000], false), Duration::ZERO);
        assert_eq!(tree.left_out(), 1, "topics that are there go on");
        let mut tree = Tree::new(Keeps::Beginning);
        for number in 0..1000 {
            tree.hear(&message(&format!("{number:065535}"), b"x", false), Duration::ZERO);
        }
        assert_eq!((tree.topics(), tree.left_out()), (512, 488));
        let topic = "/".repeat(60_000);
        let mut tree = Tree::new(Keeps::Beginning);
        tree.hear(&message(&topic, b"x", false), Duration::ZERO);
        assert_eq!((tree.nodes.len(), tree.topics()), (1 + LEVELS_MAX, 1));
        assert_eq!(tree.topic(NodeId(LEVELS_MAX)), topic);
    }
}
