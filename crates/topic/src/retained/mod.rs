//! From a topic filter to the retained topics it matches.
//!
//! The topics are a tree of their levels. Each node has its children by word, in an order that lasts as
//! long as the words do; a look-up walks the children that fit and can stop behind any of them. Sizes,
//! times and what was weighed are in `docs/design/topic.md`.
//!
//! # Invariants
//!
//! - Every node but the two roots has a child or a value; the removal of the last of them removes the node
//!   and, with the last node that uses it, the word.

mod cursor;

use std::iter;

pub use cursor::RetainedCursor;

use crate::tables::{Arena, LevelId, Levels, Slot, SmallMap};

/// Retained messages, or whatever `V` is, by topic.
#[derive(Debug)]
pub struct RetainedTree<V> {
    nodes: Arena<Node<V>>,
    root: Slot,
    /// Topics that begin with `$` have a root of their own, because wildcards at the front of a filter do
    /// not match them [MQTT-4.7.2-1].
    dollar_root: Slot,
    levels: Levels,
    len: usize,
}

#[derive(Debug)]
struct Node<V> {
    value: Option<V>,
    children: SmallMap<LevelId, Slot>,
}

impl<V> RetainedTree<V> {
    /// A tree without topics.
    pub fn new() -> Self {
        let mut nodes = Arena::new();
        let root = nodes.insert(Node::default());
        let dollar_root = nodes.insert(Node::default());
        Self { nodes, root, dollar_root, levels: Levels::new(), len: 0 }
    }

    /// The number of topics.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there is no topic.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The number of things the tree keeps memory for.
    pub fn size(&self) -> TreeSize {
        TreeSize { topics: self.len, nodes: self.nodes.len() - 2, words: self.levels.len() }
    }

    /// The value of `topic`.
    pub fn get(&self, topic: &str) -> Option<&V> {
        self.nodes.get(self.find(topic)?).value.as_ref()
    }

    /// The value of `topic`, to be changed in place.
    pub fn get_mut(&mut self, topic: &str) -> Option<&mut V> {
        let node = self.find(topic)?;
        self.nodes.get_mut(node).value.as_mut()
    }

    /// Sets the value of `topic`, a valid topic name, and returns the one it had.
    ///
    /// A topic takes memory for each level that no other topic has at its place, about as much as for 50
    /// bytes of text; whoever accepts topics from strangers bounds their levels.
    pub fn insert(&mut self, topic: &str, value: V) -> Option<V> {
        let mut node = self.root_of(topic);
        for word in topic.split('/') {
            node = match self.child(node, word) {
                Some(child) => child,
                None => self.add_child(node, word),
            };
        }
        let old = self.nodes.get_mut(node).value.replace(value);
        self.len += usize::from(old.is_none());
        old
    }

    /// Removes `topic` and returns its value.
    pub fn remove(&mut self, topic: &str) -> Option<V> {
        let mut ancestors = vec![self.root_of(topic)];
        for word in topic.split('/') {
            let parent = *ancestors.last().expect("begins with the root");
            ancestors.push(self.child(parent, word)?);
        }
        let node = ancestors.pop().expect("begins with the root");
        let value = self.nodes.get_mut(node).value.take()?;
        self.len -= 1;
        self.prune(node, ancestors, topic);
        Some(value)
    }

    /// All topics with their values, those that begin with `$` too, in no particular order.
    pub fn iter(&self) -> impl Iterator<Item = (String, &V)> {
        [false, true].into_iter().flat_map(move |begins_with_dollar| {
            let mut cursor = RetainedCursor::of_all(begins_with_dollar);
            iter::from_fn(move || cursor.next(self, &mut { usize::MAX }))
        })
    }

    /// Removes `node` and its ancestors up to the first that is still needed.
    fn prune(&mut self, mut node: Slot, mut ancestors: Vec<Slot>, topic: &str) {
        for word in topic.rsplit('/') {
            if !self.nodes.get(node).is_unused() {
                return;
            }
            let parent = ancestors.pop().expect("one ancestor per level");
            self.remove_child(parent, word, node);
            node = parent;
        }
    }

    fn root_of(&self, topic: &str) -> Slot {
        if topic.starts_with('$') { self.dollar_root } else { self.root }
    }

    fn find(&self, topic: &str) -> Option<Slot> {
        topic.split('/').try_fold(self.root_of(topic), |node, word| self.child(node, word))
    }

    fn child(&self, parent: Slot, word: &str) -> Option<Slot> {
        let level = self.levels.find(word)?;
        self.nodes.get(parent).children.get(level).copied()
    }

    fn add_child(&mut self, parent: Slot, word: &str) -> Slot {
        let level = self.levels.acquire(word);
        let child = self.nodes.insert(Node::default());
        self.nodes.get_mut(parent).children.insert(level, child);
        child
    }

    fn remove_child(&mut self, parent: Slot, word: &str, child: Slot) {
        let level = self.levels.find(word).expect("every node holds its level");
        self.nodes.get_mut(parent).children.remove(level);
        self.nodes.remove(child);
        self.levels.release(word);
    }
}

impl<V> Default for RetainedTree<V> {
    fn default() -> Self {
        Self::new()
    }
}

impl<V> Node<V> {
    fn is_unused(&self) -> bool {
        self.value.is_none() && self.children.is_empty()
    }
}

impl<V> Default for Node<V> {
    fn default() -> Self {
        Self { value: None, children: SmallMap::None }
    }
}

/// The parts of a [`RetainedTree`], as numbers; all are zero when it is empty.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TreeSize {
    /// Topics with a value.
    pub topics: usize,
    /// Nodes, one for each different beginning of a topic up to a level; roots are not counted.
    pub nodes: usize,
    /// Different words between the slashes.
    pub words: usize,
}
