//! Where something stands in the journal.

use std::sync::atomic::{AtomicU64, Ordering};

/// A position in the journal: where a record is to be found. The session does not know what it counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position(pub u64);

impl Position {
    /// What has not been recorded stands nowhere.
    pub const NOWHERE: Self = Self(0);

    /// Whether it has been recorded.
    pub fn is_somewhere(self) -> bool {
        self != Self::NOWHERE
    }

    /// This one, or the other if this is nowhere.
    #[must_use]
    pub fn or(self, other: Self) -> Self {
        if self.is_somewhere() { self } else { other }
    }
}

/// The position of something that is shared and learns later where it was recorded, or is recorded anew.
#[derive(Debug, Default)]
pub struct Place(AtomicU64);

impl Place {
    /// Where it is.
    pub fn get(&self) -> Position {
        Position(self.0.load(Ordering::Relaxed))
    }

    /// It has been recorded there.
    pub fn set(&self, position: Position) {
        self.0.store(position.0, Ordering::Relaxed);
    }
}
