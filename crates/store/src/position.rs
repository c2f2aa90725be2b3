//! Where a frame is in the journal, for ever.

use std::fmt;

/// A count of bytes of frames since the journal began. The first frame is at 1.
///
/// A position is given when a frame is appended and never changes, wherever the frame is written. It orders
/// everything that was ever appended, and it is what a promise waits for: an answer about a frame may leave once
/// [`Appender::durable`](crate::Appender::durable) is not below the position behind the frame.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position(u64);

impl Position {
    /// Nowhere: before everything.
    pub const NOWHERE: Self = Self(0);
    /// Where the first frame of a new journal is.
    pub const FIRST: Self = Self(1);

    /// The position with this number of bytes before it, plus one.
    pub const fn new(value: u64) -> Self {
        Self(value)
    }

    /// The number, as it stands in a frame.
    pub const fn get(self) -> u64 {
        self.0
    }
}

impl fmt::Display for Position {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(formatter)
    }
}
