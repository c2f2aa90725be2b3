//! Time as a number: the protocol is told what time it is and never asks.

use std::num::NonZeroU64;
use std::ops::Add;

/// A point on the broker's monotonic clock, in milliseconds since an arbitrary start.
///
/// Kept as one more than that, never 0, so that a time that may be missing takes eight bytes and not sixteen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Instant(NonZeroU64);

impl Instant {
    /// The point this many milliseconds after the start.
    pub const fn from_millis(millis: u64) -> Self {
        Self(NonZeroU64::MIN.saturating_add(millis))
    }

    /// Milliseconds since the start.
    pub const fn as_millis(self) -> u64 {
        self.0.get() - 1
    }

    /// The point this many seconds later.
    #[must_use]
    pub const fn plus_seconds(self, seconds: u32) -> Self {
        Self(self.0.saturating_add(seconds as u64 * 1000))
    }

    /// Milliseconds from `earlier` to this point; 0 if it lies ahead.
    pub const fn millis_since(self, earlier: Self) -> u64 {
        self.0.get().saturating_sub(earlier.0.get())
    }
}

impl Default for Instant {
    /// The start.
    fn default() -> Self {
        Self::from_millis(0)
    }
}

impl Add<u64> for Instant {
    type Output = Self;

    /// The point this many milliseconds later.
    fn add(self, millis: u64) -> Self {
        Self(self.0.saturating_add(millis))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_as_many_milliseconds_as_it_was_made_of() {
        for millis in [0, 1, 1_000, u64::MAX - 1] {
            assert_eq!(Instant::from_millis(millis).as_millis(), millis);
            assert_eq!(Instant::default() + millis, Instant::from_millis(millis));
            assert_eq!(Instant::from_millis(millis).millis_since(Instant::default()), millis);
        }
        assert_eq!(Instant::from_millis(7).plus_seconds(2), Instant::from_millis(2_007));
        assert_eq!(Instant::from_millis(3).millis_since(Instant::from_millis(4)), 0);
        assert_eq!(size_of::<Option<Instant>>(), 8);
    }
}
