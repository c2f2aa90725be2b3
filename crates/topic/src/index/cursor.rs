//! The walk through everything that matches one topic, in slices.
//!
//! A walk reports the exact filter first, then visits the trie depth first: at each node the
//! subscribers, then the child by word, then the `+` child. Its place is the sequence of these two
//! choices from the root, and the last subscriber reported there. That place means the same whatever
//! happens to the trie between two slices, so what exists throughout is reported exactly once.

use super::FilterIndex;
use super::trie::Trie;
use crate::tables::{LevelId, Slot, SmallMap};

/// A match of one topic that can stop and go on; see [`MatchCursor::advance`].
#[derive(Clone, Debug)]
pub struct MatchCursor<K> {
    topic: Box<str>,
    walk: Walk<K>,
}

impl<K: Copy + Ord> MatchCursor<K> {
    /// A match of `topic`, a valid topic name, that has not begun.
    pub fn new(topic: &str) -> Self {
        Self { topic: topic.into(), walk: Walk::new() }
    }

    /// Reports further matching subscriptions, in no particular order, and says whether these were the
    /// last.
    ///
    /// A slice takes at most `steps_max` steps, at least one: a step is a node visited or a
    /// subscription reported. Finding the place again costs as many look-ups as the topic's levels so
    /// far, at most the depth of the deepest filter.
    ///
    /// The index may change between two slices. A subscription that exists throughout is reported
    /// exactly once, with the value it has then; one that is added or removed meanwhile may be
    /// reported or not.
    pub fn advance<V: Copy>(
        &mut self,
        index: &FilterIndex<K, V>,
        steps_max: usize,
        report: impl FnMut(K, &V),
    ) -> bool {
        self.walk.advance(index, &self.topic, steps_max.max(1), report)
    }

    /// Whether everything has been reported.
    pub fn is_done(&self) -> bool {
        self.walk.stage == Stage::Done
    }

    /// The topic that is matched.
    pub fn topic(&self) -> &str {
        &self.topic
    }

    /// The nodes visited so far; see [`FilterIndex::for_each_match`].
    pub fn nodes_visited(&self) -> usize {
        self.walk.nodes_visited
    }
}

/// The place of a walk.
#[derive(Clone, Debug)]
pub(super) struct Walk<K> {
    stage: Stage,
    path: Vec<Step>,
    /// The last subscriber reported in the current set.
    after: Option<K>,
    nodes_visited: usize,
}

/// What is reported next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// The exact filter.
    Exact,
    /// The filter that ends with `#` behind the node at the end of the path.
    Below,
    /// The filter that ends in the node at the end of the path.
    Here,
    /// Nothing.
    Done,
}

#[derive(Clone, Copy, Debug)]
struct Step {
    choice: Choice,
    /// The node this step leads to; valid within one slice.
    node: Slot,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Choice {
    Word,
    Plus,
}

impl<K: Copy + Ord> Walk<K> {
    pub(super) fn new() -> Self {
        Self { stage: Stage::Exact, path: Vec::new(), after: None, nodes_visited: 0 }
    }

    pub(super) fn nodes_visited(&self) -> usize {
        self.nodes_visited
    }

    /// Takes steps until `budget`, at least one, is used up; says whether the walk is complete.
    pub(super) fn advance<V: Copy>(
        &mut self,
        index: &FilterIndex<K, V>,
        topic: &str,
        mut budget: usize,
        mut report: impl FnMut(K, &V),
    ) -> bool {
        let mut slice = Slice { index, topic, words: Words::of(topic) };
        self.find_place_again(&mut slice);
        while self.stage != Stage::Done {
            let entries = self.entries(&mut slice);
            let is_reported =
                entries.is_none_or(|entries| entries.report(&mut self.after, &mut budget, &mut report));
            if !is_reported || budget == 0 {
                return false;
            }
            budget -= usize::from(self.step(&mut slice));
        }
        true
    }

    /// Looks up the nodes of the path. Where one is gone, what was below it is gone too, and the walk
    /// goes on behind it.
    fn find_place_again<V: Copy>(&mut self, slice: &mut Slice<'_, K, V>) {
        let mut node = slice.index.trie.root();
        for depth in 0..self.path.len() {
            let Some(child) = slice.child(node, depth, self.path[depth].choice) else {
                self.path.truncate(depth + 1);
                self.after = None;
                self.skip(slice);
                return;
            };
            self.path[depth].node = child;
            node = child;
        }
    }

    fn entries<'i, V: Copy>(&self, slice: &mut Slice<'i, K, V>) -> Option<&'i SmallMap<K, V>> {
        let trie = &slice.index.trie;
        let depth = self.path.len();
        match self.stage {
            Stage::Exact => slice.index.exact.find(slice.topic),
            Stage::Below if depth == 0 && slice.is_hidden() => None,
            Stage::Below => trie.node(self.node(slice)).below.map(|set| trie.entries(set)),
            Stage::Here => {
                let set = trie.node(self.node(slice)).here?;
                slice.words.get(depth).is_none().then(|| trie.entries(set))
            }
            Stage::Done => None,
        }
    }

    /// Goes on to the next set and says whether that meant to visit a node.
    fn step<V: Copy>(&mut self, slice: &mut Slice<'_, K, V>) -> bool {
        self.after = None;
        match self.stage {
            Stage::Exact => self.visit(),
            Stage::Below => {
                self.stage = Stage::Here;
                return false;
            }
            Stage::Here => self.next_node(slice),
            Stage::Done => {}
        }
        self.stage != Stage::Done
    }

    fn next_node<V: Copy>(&mut self, slice: &mut Slice<'_, K, V>) {
        if !self.descend(Choice::Word, slice) && !self.descend(Choice::Plus, slice) {
            self.skip(slice);
        }
    }

    fn descend<V: Copy>(&mut self, choice: Choice, slice: &mut Slice<'_, K, V>) -> bool {
        let Some(node) = slice.child(self.node(slice), self.path.len(), choice) else { return false };
        self.path.push(Step { choice, node });
        self.visit();
        true
    }

    /// Goes to the next node that is not below the current one.
    fn skip<V: Copy>(&mut self, slice: &mut Slice<'_, K, V>) {
        while let Some(step) = self.path.pop() {
            if step.choice == Choice::Word && self.descend(Choice::Plus, slice) {
                return;
            }
        }
        self.stage = Stage::Done;
    }

    fn visit(&mut self) {
        self.stage = Stage::Below;
        self.nodes_visited += 1;
    }

    fn node<V: Copy>(&self, slice: &Slice<'_, K, V>) -> Slot {
        self.path.last().map_or(slice.index.trie.root(), |step| step.node)
    }
}

/// What stays the same within one slice: the index and the topic.
struct Slice<'i, K, V> {
    index: &'i FilterIndex<K, V>,
    topic: &'i str,
    words: Words<'i>,
}

impl<K: Copy + Ord, V: Copy> Slice<'_, K, V> {
    /// Wildcards at the front do not match topics that begin with `$` [MQTT-4.7.2-1].
    fn is_hidden(&self) -> bool {
        self.topic.starts_with('$')
    }

    /// The child of `parent` that matches the topic's level `depth` by `choice`.
    fn child(&mut self, parent: Slot, depth: usize, choice: Choice) -> Option<Slot> {
        let trie = &self.index.trie;
        let node = trie.node(parent);
        match choice {
            Choice::Plus if depth == 0 && self.is_hidden() => None,
            Choice::Plus => node.plus.filter(|_| self.words.get(depth).is_some()),
            Choice::Word if node.words == 0 => None,
            Choice::Word => trie.child_by_word(parent, self.words.get(depth)?.level(trie)?),
        }
    }
}

/// The levels of a topic, cut and looked up when a walk first gets there.
struct Words<'t> {
    seen: Vec<Word<'t>>,
    unseen: Option<&'t str>,
}

struct Word<'t> {
    text: &'t str,
    level: Level,
}

/// What is known of a word.
enum Level {
    NotLookedUp,
    /// No wildcard filter has this word.
    Unused,
    Id(LevelId),
}

impl<'t> Words<'t> {
    fn of(topic: &'t str) -> Self {
        Self { seen: Vec::with_capacity(LEVELS_USUAL), unseen: Some(topic) }
    }

    fn get(&mut self, depth: usize) -> Option<&mut Word<'t>> {
        while self.seen.len() <= depth {
            let (text, unseen) = match self.unseen?.split_once('/') {
                Some((text, rest)) => (text, Some(rest)),
                None => (self.unseen?, None),
            };
            self.unseen = unseen;
            self.seen.push(Word { text, level: Level::NotLookedUp });
        }
        self.seen.get_mut(depth)
    }
}

impl Word<'_> {
    fn level<K: Copy + Ord, V: Copy>(&mut self, trie: &Trie<K, V>) -> Option<LevelId> {
        if let Level::NotLookedUp = self.level {
            self.level = trie.level(self.text).map_or(Level::Unused, Level::Id);
        }
        match self.level {
            Level::Id(id) => Some(id),
            Level::NotLookedUp | Level::Unused => None,
        }
    }
}

/// Room for the levels of most topics, so that a match allocates once.
const LEVELS_USUAL: usize = 12;
