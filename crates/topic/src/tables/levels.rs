//! The words between slashes, each stored once and known by its place.

use super::{Arena, Hash32, Keyed, Seed, Slot, Stripes};

/// The place of a word while any edge of a tree uses it.
///
/// Also an order among words, which has nothing to do with their letters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct LevelId(Slot);

#[derive(Debug)]
pub(crate) struct Levels {
    places: Stripes<Place>,
    levels: Arena<Level>,
}

/// A word with the number of edges that have it, with the last of which it goes. Most words are short and need no
/// memory of their own; there may be a million, so the number stands where it takes no room.
#[derive(Debug)]
enum Level {
    Short { edges: u32, len: u8, bytes: [u8; SHORT_BYTES_MAX] },
    Long { edges: u32, word: Box<str> },
}

#[derive(Debug)]
struct Place {
    hash: Hash32,
    level: Slot,
}

impl Levels {
    pub(crate) fn new() -> Self {
        Self { places: Stripes::new(), levels: Arena::new() }
    }

    pub(crate) fn len(&self) -> usize {
        self.levels.len()
    }

    pub(crate) fn find(&self, word: &str) -> Option<LevelId> {
        self.find_hashed(word, self.places.hash(word))
    }

    pub(crate) fn word(&self, level: LevelId) -> &str {
        self.levels.get(level.0).word()
    }

    /// The place of `word`, which one more edge uses.
    pub(crate) fn acquire(&mut self, word: &str) -> LevelId {
        let hash = self.places.hash(word);
        if let Some(LevelId(level)) = self.find_hashed(word, hash) {
            *self.levels.get_mut(level).edges_mut() += 1;
            return LevelId(level);
        }
        let level = self.levels.insert(Level::new(word));
        self.places.insert(Place { hash, level });
        LevelId(level)
    }

    /// One edge with `word` is gone.
    pub(crate) fn release(&mut self, word: &str) {
        let hash = self.places.hash(word);
        let LevelId(slot) = self.find_hashed(word, hash).expect("every edge holds its level");
        let edges = self.levels.get_mut(slot).edges_mut();
        *edges -= 1;
        if *edges == 0 {
            self.levels.remove(slot);
            self.places.remove(hash, |place| place.level == slot);
        }
    }

    fn find_hashed(&self, word: &str, hash: Hash32) -> Option<LevelId> {
        let is_it =
            |place: &Place| place.hash == hash && self.levels.get(place.level).bytes() == word.as_bytes();
        self.places.find(hash, is_it).map(|place| LevelId(place.level))
    }
}

impl Level {
    /// A word that one edge has.
    fn new(word: &str) -> Self {
        let edges = 1;
        let mut bytes = [0; SHORT_BYTES_MAX];
        match bytes.get_mut(..word.len()) {
            Some(front) => {
                front.copy_from_slice(word.as_bytes());
                Self::Short { edges, len: word.len() as u8, bytes }
            }
            None => Self::Long { edges, word: word.into() },
        }
    }

    fn bytes(&self) -> &[u8] {
        match self {
            Self::Short { len, bytes, .. } => &bytes[..usize::from(*len)],
            Self::Long { word, .. } => word.as_bytes(),
        }
    }

    fn edges_mut(&mut self) -> &mut u32 {
        match self {
            Self::Short { edges, .. } | Self::Long { edges, .. } => edges,
        }
    }

    fn word(&self) -> &str {
        match self {
            Self::Short { .. } => str::from_utf8(self.bytes()).expect("the bytes of a word are kept whole"),
            Self::Long { word, .. } => word,
        }
    }
}

impl Default for Level {
    fn default() -> Self {
        Self::new("")
    }
}

impl Keyed for Place {
    fn hash(&self, _: &Seed) -> Hash32 {
        self.hash
    }
}

/// As many as make a short word as large as a long one.
const SHORT_BYTES_MAX: usize = 18;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_of_all_lengths_come_back() {
        let mut levels = Levels::new();
        let words: Vec<String> = (0..60).map(|len| "ü".repeat(len / 2) + &"x".repeat(len % 2)).collect();
        let ids: Vec<LevelId> = words.iter().map(|word| levels.acquire(word)).collect();
        for (word, id) in words.iter().zip(&ids) {
            assert_eq!(levels.find(word), Some(*id));
            assert_eq!(levels.word(*id), word);
        }
        assert_eq!((levels.len(), levels.find("y")), (60, None));
    }

    #[test]
    fn a_word_stays_until_its_last_edge_is_gone() {
        let mut levels = Levels::new();
        let id = levels.acquire("a");
        assert_eq!(levels.acquire("a"), id);
        levels.release("a");
        assert_eq!(levels.find("a"), Some(id));
        levels.release("a");
        assert_eq!((levels.find("a"), levels.len()), (None, 0));
    }

    #[test]
    fn a_short_word_is_as_large_as_a_long_one() {
        assert_eq!(size_of::<Level>(), 24);
    }
}
