//! How much memory publications hold, counted where they begin and where they end.
//!
//! A publication is shared by everybody it is owed to, so only its own life says what it costs: one gauge, one
//! addition, one subtraction, whatever the fan-out.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Bytes held by all publications that count on this gauge.
#[derive(Clone, Debug, Default)]
pub struct MemoryGauge(Arc<AtomicU64>);

/// A share of the gauge that is given back when it is dropped.
#[derive(Debug)]
pub struct MemoryShare {
    gauge: MemoryGauge,
    bytes: u64,
}

impl MemoryGauge {
    /// Bytes held now.
    pub fn bytes(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    /// Counts these bytes until the share is dropped.
    pub fn take(&self, bytes: u64) -> MemoryShare {
        self.0.fetch_add(bytes, Ordering::Relaxed);
        MemoryShare { gauge: self.clone(), bytes }
    }
}

impl Drop for MemoryShare {
    fn drop(&mut self) {
        self.gauge.0.fetch_sub(self.bytes, Ordering::Relaxed);
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
        drop(second);
        assert_eq!(gauge.bytes(), 0);
    }
}
