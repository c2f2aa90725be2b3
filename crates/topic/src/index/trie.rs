//! Filters with wildcards, as a trie of their levels.
//!
//! A node stands for the levels that lead to it and has 16 bytes. Its `+` child is named in the node;
//! children by word are edges in one flat table of all nodes, from (parent, word) to child. A `#` is
//! not a node but a second set of subscribers in the node before it, because it matches that level too.
//!
//! # Invariants
//!
//! - Every node but the root has a child or subscribers; the walk that removes the last of them removes
//!   the node, its edge and, with the last edge that uses it, the word.
//! - A set of subscribers that exists is not empty.

use crate::tables::{Arena, Hash32, Keyed, LevelId, Levels, Seed, Slot, SmallMap, Stripes};

#[derive(Debug)]
pub(super) struct Trie<K, V> {
    nodes: Arena<Node>,
    root: Slot,
    edges: Stripes<Edge>,
    levels: Levels,
    sets: Arena<SmallMap<K, V>>,
}

#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Node {
    /// The child for the level `+`.
    pub(super) plus: Option<Slot>,
    /// Subscribers of the filter that ends here.
    pub(super) here: Option<Slot>,
    /// Subscribers of the filter that goes on with `#`.
    pub(super) below: Option<Slot>,
    /// The number of children by word.
    pub(super) words: u32,
}

#[derive(Debug)]
struct Edge {
    parent: Slot,
    level: LevelId,
    child: Slot,
}

/// How large the parts of the trie are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct TrieSize {
    pub(super) nodes: usize,
    pub(super) edges: usize,
    pub(super) words: usize,
    pub(super) filters: usize,
}

impl<K: Copy + Ord, V: Copy> Trie<K, V> {
    pub(super) fn new() -> Self {
        let mut nodes = Arena::new();
        let root = nodes.insert(Node::default());
        Self { nodes, root, edges: Stripes::new(), levels: Levels::new(), sets: Arena::new() }
    }

    /// The number of filters.
    pub(super) fn len(&self) -> usize {
        self.sets.len()
    }

    /// The root is not counted.
    pub(super) fn size(&self) -> TrieSize {
        TrieSize {
            nodes: self.nodes.len() - 1,
            edges: self.edges.len(),
            words: self.levels.len(),
            filters: self.sets.len(),
        }
    }

    pub(super) fn root(&self) -> Slot {
        self.root
    }

    pub(super) fn node(&self, node: Slot) -> &Node {
        self.nodes.get(node)
    }

    pub(super) fn entries(&self, set: Slot) -> &SmallMap<K, V> {
        self.sets.get(set)
    }

    pub(super) fn level(&self, word: &str) -> Option<LevelId> {
        self.levels.find(word)
    }

    pub(super) fn child_by_word(&self, parent: Slot, level: LevelId) -> Option<Slot> {
        let hash = self.edges.hash((parent, level));
        self.edges.find(hash, |edge| edge.parent == parent && edge.level == level).map(|edge| edge.child)
    }

    pub(super) fn find(&self, filter: &str) -> Option<&SmallMap<K, V>> {
        let mut node = self.root;
        let (path, end) = split_end(filter);
        for level in path {
            node = self.child(node, level)?;
        }
        self.set_at(node, end).map(|set| self.sets.get(set))
    }

    pub(super) fn insert(&mut self, filter: &str, key: K, value: V) -> Option<V> {
        let mut node = self.root;
        let (path, end) = split_end(filter);
        for level in path {
            node = match self.child(node, level) {
                Some(child) => child,
                None => self.add_child(node, level),
            };
        }
        if let Some(set) = self.set_at(node, end) {
            return self.sets.get_mut(set).insert(key, value);
        }
        let set = self.sets.insert(SmallMap::One(key, value));
        self.set_set(node, end, Some(set));
        None
    }

    pub(super) fn remove(&mut self, filter: &str, key: K) -> Option<V> {
        let (path, end) = split_end(filter);
        let mut nodes = vec![self.root];
        for level in path.clone() {
            let parent = *nodes.last().expect("begins with the root");
            nodes.push(self.child(parent, level)?);
        }
        let node = nodes.pop().expect("begins with the root");
        let set = self.set_at(node, end)?;
        let value = self.sets.get_mut(set).remove(key)?;
        if self.sets.get(set).is_empty() {
            self.sets.remove(set);
            self.set_set(node, end, None);
            self.prune(node, nodes, path);
        }
        Some(value)
    }

    /// Removes `node` and its ancestors up to the first that is still needed.
    fn prune<'f>(
        &mut self,
        mut node: Slot,
        mut ancestors: Vec<Slot>,
        path: impl DoubleEndedIterator<Item = &'f str>,
    ) {
        for level in path.rev() {
            if !self.nodes.get(node).is_unused() {
                return;
            }
            let parent = ancestors.pop().expect("one ancestor per level");
            self.remove_child(parent, level, node);
            node = parent;
        }
    }

    fn child(&self, parent: Slot, level: &str) -> Option<Slot> {
        if level == "+" {
            return self.nodes.get(parent).plus;
        }
        self.child_by_word(parent, self.levels.find(level)?)
    }

    fn add_child(&mut self, parent: Slot, level: &str) -> Slot {
        let child = self.nodes.insert(Node::default());
        if level == "+" {
            self.nodes.get_mut(parent).plus = Some(child);
            return child;
        }
        let level = self.levels.acquire(level);
        self.edges.insert(Edge { parent, level, child });
        self.nodes.get_mut(parent).words += 1;
        child
    }

    fn remove_child(&mut self, parent: Slot, level: &str, child: Slot) {
        self.nodes.remove(child);
        if level == "+" {
            self.nodes.get_mut(parent).plus = None;
            return;
        }
        let id = self.levels.find(level).expect("every edge holds its level");
        let hash = self.edges.hash((parent, id));
        self.edges.remove(hash, |edge| edge.child == child);
        self.levels.release(level);
        self.nodes.get_mut(parent).words -= 1;
    }

    fn set_at(&self, node: Slot, end: End) -> Option<Slot> {
        let node = self.nodes.get(node);
        match end {
            End::Here => node.here,
            End::Below => node.below,
        }
    }

    fn set_set(&mut self, node: Slot, end: End, set: Option<Slot>) {
        let node = self.nodes.get_mut(node);
        match end {
            End::Here => node.here = set,
            End::Below => node.below = set,
        }
    }
}

impl Node {
    fn is_unused(&self) -> bool {
        self.plus.is_none() && self.here.is_none() && self.below.is_none() && self.words == 0
    }
}

impl Keyed for Edge {
    fn hash(&self, seed: &Seed) -> Hash32 {
        seed.hash((self.parent, self.level))
    }
}

/// Which of the two sets of its last node a filter belongs to.
#[derive(Clone, Copy, Debug)]
enum End {
    Here,
    Below,
}

/// The levels that have nodes, and where the filter ends after them.
fn split_end(filter: &str) -> (impl DoubleEndedIterator<Item = &str> + Clone, End) {
    let (path, end) = match filter.strip_suffix('#') {
        Some("") => (None, End::Below),
        Some(path) if path.ends_with('/') => (path.strip_suffix('/'), End::Below),
        _ => (Some(filter), End::Here),
    };
    (path.into_iter().flat_map(|path| path.split('/')), end)
}
