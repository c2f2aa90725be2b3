//! The words between the slashes of wildcard filters, each stored once and known by a number.

use hashbrown::DefaultHashBuilder;
use std::hash::BuildHasher;

use super::stripes::{Keyed, Stripes};

/// The number of a word while any edge uses it; free numbers are used again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct LevelId(u32);

#[derive(Debug)]
pub(super) struct Levels {
    words: Stripes<Level>,
    free: Vec<LevelId>,
    next: u32,
}

#[derive(Debug)]
struct Level {
    word: Box<str>,
    id: LevelId,
    /// The edges with this word; the word goes with the last of them.
    edges: u32,
}

impl Levels {
    pub(super) fn new() -> Self {
        Self { words: Stripes::new(), free: Vec::new(), next: 0 }
    }

    pub(super) fn len(&self) -> usize {
        self.words.len()
    }

    pub(super) fn find(&self, word: &str) -> Option<LevelId> {
        let hash = self.words.hash(word);
        self.words.find(hash, |level| *level.word == *word).map(|level| level.id)
    }

    /// The number of `word` for one more edge.
    pub(super) fn acquire(&mut self, word: &str) -> LevelId {
        let hash = self.words.hash(word);
        if let Some(level) = self.words.find_mut(hash, |level| *level.word == *word) {
            level.edges += 1;
            return level.id;
        }
        let id = self.free_id();
        self.words.insert(hash, Level { word: word.into(), id, edges: 1 });
        id
    }

    /// One edge with `word` is gone.
    pub(super) fn release(&mut self, word: &str) {
        let hash = self.words.hash(word);
        let is_it = |level: &Level| *level.word == *word;
        let level = self.words.find_mut(hash, is_it).expect("every edge holds its level");
        level.edges -= 1;
        if level.edges == 0 {
            self.free.push(level.id);
            self.words.remove(hash, is_it);
        }
        if self.words.len() == 0 {
            *self = Self::new();
        }
    }

    fn free_id(&mut self) -> LevelId {
        self.free.pop().unwrap_or_else(|| {
            let id = LevelId(self.next);
            self.next =
                self.next.checked_add(1).expect("2^32 words need more memory than their owners are allowed");
            id
        })
    }
}

impl Keyed for Level {
    fn hash(&self, hasher: &DefaultHashBuilder) -> u64 {
        hasher.hash_one(&*self.word)
    }
}
