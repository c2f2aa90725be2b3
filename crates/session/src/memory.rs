//! How much memory publications and sessions hold, counted where they begin and where they end.
//!
//! A publication is shared by everybody it is owed to, so only its own life says what it costs: one gauge, one
//! addition, one subtraction, whatever the fan-out. A session counts its will, its subscriptions and the room of
//! its queue, each time one of them has changed.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Bytes held by everything that counts on this gauge.
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

impl MemoryShare {
    /// Counts so many bytes from now on.
    pub fn resize(&mut self, bytes: u64) {
        if bytes > self.bytes {
            self.gauge.0.fetch_add(bytes - self.bytes, Ordering::Relaxed);
        } else if bytes < self.bytes {
            self.gauge.0.fetch_sub(self.bytes - bytes, Ordering::Relaxed);
        }
        self.bytes = bytes;
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
        let mut second = second;
        second.resize(50);
        assert_eq!(gauge.bytes(), 50);
        second.resize(7);
        assert_eq!(gauge.bytes(), 7);
        drop(second);
        assert_eq!(gauge.bytes(), 0);
    }
}
