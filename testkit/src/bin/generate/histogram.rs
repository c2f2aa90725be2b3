//! A histogram of durations with bounded error and fixed size.

use std::time::Duration;

/// Each power of two is divided into this many buckets, so a value is off by at most 1/64.
const STEPS: u64 = 64;
const STEP_BITS: u32 = STEPS.trailing_zeros();

/// Counts durations in buckets that grow with the value.
pub(crate) struct Histogram {
    buckets: Vec<u64>,
    count: u64,
    max: Duration,
}

impl Histogram {
    pub(crate) fn new() -> Self {
        let buckets = bucket(u64::MAX) + 1;
        Self { buckets: vec![0; buckets], count: 0, max: Duration::ZERO }
    }

    pub(crate) fn record(&mut self, duration: Duration) {
        let nanoseconds = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
        self.buckets[bucket(nanoseconds)] += 1;
        self.count += 1;
        self.max = self.max.max(duration);
    }

    /// The duration that this share (0 to 1) of all recorded ones does not exceed; zero if there are none.
    pub(crate) fn quantile(&self, share: f64) -> Duration {
        let rank = (self.count as f64 * share).ceil() as u64;
        let mut seen = 0;
        for (index, count) in self.buckets.iter().enumerate() {
            seen += count;
            if seen >= rank.max(1) {
                return Duration::from_nanos(upper_end(index)).min(self.max);
            }
        }
        self.max
    }

    pub(crate) fn max(&self) -> Duration {
        self.max
    }
}

fn bucket(value: u64) -> usize {
    let shift = (u64::BITS - value.leading_zeros()).saturating_sub(STEP_BITS + 1);
    (u64::from(shift) * STEPS + (value >> shift)) as usize
}

/// The largest value that falls into this bucket.
fn upper_end(index: usize) -> u64 {
    let index = index as u64;
    let shift = (index / STEPS).saturating_sub(1);
    let lowest_bits = (1_u64 << shift) - 1;
    ((index - shift * STEPS) << shift) | lowest_bits
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_value_lies_in_its_bucket() {
        let mut value = 0_u64;
        while value < u64::MAX / 2 {
            let index = bucket(value);
            assert!(upper_end(index) >= value, "{value}");
            assert!(upper_end(index) - value <= value / STEPS, "{value}");
            assert_eq!(bucket(upper_end(index)), index, "{value}");
            assert_eq!(bucket(upper_end(index) + 1), index + 1, "{value}");
            value += value / 97 + 1;
        }
    }

    #[test]
    fn quantiles_are_those_of_what_was_recorded() {
        let mut histogram = Histogram::new();
        assert_eq!(histogram.quantile(0.5), Duration::ZERO);
        for microseconds in 1..=1000 {
            histogram.record(Duration::from_micros(microseconds));
        }
        for (share, expected) in [(0.5, 500.0), (0.99, 990.0), (0.001, 1.0)] {
            let found = histogram.quantile(share).as_secs_f64() * 1e6;
            assert!((found / expected - 1.0).abs() < 0.02, "{share}: {found}");
        }
        assert_eq!(histogram.quantile(1.0), Duration::from_millis(1));
    }
}
