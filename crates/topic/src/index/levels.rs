//! The words between the slashes of wildcard filters, each stored once and known by its place.

use super::arena::{Arena, Slot};
use super::stripes::{Hash32, Keyed, Seed, Stripes};

/// The place of a word while any edge uses it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct LevelId(Slot);

#[derive(Debug)]
pub(super) struct Levels {
    places: Stripes<Place>,
    levels: Arena<Level>,
}

#[derive(Debug, Default)]
struct Level {
    word: Word,
    /// The edges with this word; the word goes with the last of them.
    edges: u32,
}

/// The bytes of a word. Most words are short and need no memory of their own.
#[derive(Debug)]
enum Word {
    Short { len: u8, bytes: [u8; SHORT_BYTES_MAX] },
    Long(Box<[u8]>),
}

#[derive(Debug)]
struct Place {
    hash: Hash32,
    level: Slot,
}

impl Levels {
    pub(super) fn new() -> Self {
        Self { places: Stripes::new(), levels: Arena::new() }
    }

    pub(super) fn len(&self) -> usize {
        self.levels.len()
    }

    pub(super) fn find(&self, word: &str) -> Option<LevelId> {
        self.find_hashed(word, self.places.hash(word))
    }

    /// The place of `word`, which one more edge uses.
    pub(super) fn acquire(&mut self, word: &str) -> LevelId {
        let hash = self.places.hash(word);
        if let Some(LevelId(level)) = self.find_hashed(word, hash) {
            self.levels.get_mut(level).edges += 1;
            return LevelId(level);
        }
        let level = self.levels.insert(Level { word: Word::new(word), edges: 1 });
        self.places.insert(Place { hash, level });
        LevelId(level)
    }

    /// One edge with `word` is gone.
    pub(super) fn release(&mut self, word: &str) {
        let hash = self.places.hash(word);
        let LevelId(slot) = self.find_hashed(word, hash).expect("every edge holds its level");
        let level = self.levels.get_mut(slot);
        level.edges -= 1;
        if level.edges == 0 {
            self.levels.remove(slot);
            self.places.remove(hash, |place| place.level == slot);
        }
    }

    fn find_hashed(&self, word: &str, hash: Hash32) -> Option<LevelId> {
        let is_it = |place: &Place| {
            place.hash == hash && self.levels.get(place.level).word.bytes() == word.as_bytes()
        };
        self.places.find(hash, is_it).map(|place| LevelId(place.level))
    }
}

impl Word {
    fn new(word: &str) -> Self {
        let mut bytes = [0; SHORT_BYTES_MAX];
        match bytes.get_mut(..word.len()) {
            Some(front) => {
                front.copy_from_slice(word.as_bytes());
                Self::Short { len: word.len() as u8, bytes }
            }
            None => Self::Long(word.as_bytes().into()),
        }
    }

    fn bytes(&self) -> &[u8] {
        match self {
            Self::Short { len, bytes } => &bytes[..usize::from(*len)],
            Self::Long(bytes) => bytes,
        }
    }
}

impl Default for Word {
    fn default() -> Self {
        Self::new("")
    }
}

impl Keyed for Place {
    fn hash(&self, _: &Seed) -> Hash32 {
        self.hash
    }
}

/// As many as make a word as large as three addresses, the least that a long one needs.
const SHORT_BYTES_MAX: usize = 22;
