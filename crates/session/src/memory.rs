//! How much memory publications and sessions hold, counted where they begin and where they end.
//!
//! A publication is shared by everybody it is owed to, so only its own life says what it costs: one gauge, one
//! addition, one subtraction, whatever the fan-out. A session counts its will, its subscriptions and the room of
//! its queue, each time one of them has changed.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

/// Bytes held by everything that counts on this gauge.
#[derive(Clone, Debug, Default)]
pub struct MemoryGauge(Arc<AtomicI64>);

/// A share of the gauge that is given back when it is dropped.
#[derive(Debug)]
pub struct MemoryShare {
    gauge: MemoryGauge,
    bytes: u64,
}

impl MemoryGauge {
    /// Bytes held now.
    pub fn bytes(&self) -> u64 {
        // Who counts once a turn may count what another has already given back.
        u64::try_from(self.0.load(Ordering::Relaxed)).unwrap_or(0)
    }

    /// Counts what has changed since somebody counted last.
    pub fn add(&self, bytes: i64) {
        self.0.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Counts these bytes until the share is dropped.
    pub fn take(&self, bytes: u64) -> MemoryShare {
        let mut share = MemoryShare { gauge: self.clone(), bytes: 0 };
        share.resize(bytes);
        share
    }
}

impl MemoryShare {
    /// Counts so many bytes from now on.
    pub fn resize(&mut self, bytes: u64) {
        let change = self.recount(bytes);
        if change != 0 {
            self.gauge.add(change);
        }
    }

    /// Counts so many bytes from now on, and leaves it to the caller to [add](MemoryGauge::add) the difference.
    #[must_use]
    pub fn recount(&mut self, bytes: u64) -> i64 {
        let change = bytes.cast_signed() - self.bytes.cast_signed();
        self.bytes = bytes;
        change
    }
}

impl Drop for MemoryShare {
    fn drop(&mut self) {
        self.gauge.add(-self.bytes.cast_signed());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_counts_as_long_as_it_lives() {
        let gauge = MemoryGauge::default();
        let first = gauge.take(100);
        let second = gauge.take(11);
        assert_eq!(gauge.bytes(), 111);
        drop(first);
        assert_eq!(gauge.bytes(), 11);
        let mut second = second;
        second.resize(50);
        assert_eq!(gauge.bytes(), 50);
        second.resize(7);
        assert_eq!(gauge.bytes(), 7);
        drop(second);
        assert_eq!(gauge.bytes(), 0);
    }
}
