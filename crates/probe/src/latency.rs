//! Latencies in a histogram of three significant digits, and their percentiles.

use hdrhistogram::Histogram;
use serde::Serialize;

/// Collects durations in nanoseconds up to an hour; longer ones count as an hour.
#[derive(Debug)]
pub(crate) struct Latencies {
    histogram: Histogram<u64>,
    is_recording: bool,
}

/// Percentiles of latency in microseconds.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Latency {
    /// How many were measured.
    pub count: u64,
    /// Half were at most this.
    pub p50: f64,
    /// 90 % were at most this.
    pub p90: f64,
    /// 99 % were at most this.
    pub p99: f64,
    /// 99.9 % were at most this.
    pub p999: f64,
    /// The longest.
    pub max: f64,
}

impl Latencies {
    pub(crate) fn new() -> Self {
        let histogram = Histogram::new_with_bounds(1, HOUR, SIGNIFICANT_DIGITS);
        Self { histogram: histogram.expect("the bounds are constants in range"), is_recording: false }
    }

    pub(crate) fn record(&mut self, nanoseconds: u64) {
        if self.is_recording {
            self.histogram.saturating_record(nanoseconds);
        }
    }

    /// Forgets everything and begins to record.
    pub(crate) fn start(&mut self) {
        self.histogram.reset();
        self.is_recording = true;
    }

    /// Ends recording; the percentiles, none if nothing was recorded.
    pub(crate) fn stop(&mut self) -> Option<Latency> {
        self.is_recording = false;
        let of = |share| self.histogram.value_at_quantile(share) as f64 / 1e3;
        (!self.histogram.is_empty()).then(|| Latency {
            count: self.histogram.len(),
            p50: of(0.5),
            p90: of(0.9),
            p99: of(0.99),
            p999: of(0.999),
            max: self.histogram.max() as f64 / 1e3,
        })
    }
}

const HOUR: u64 = 3_600_000_000_000;
const SIGNIFICANT_DIGITS: u8 = 3;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_those_of_what_was_recorded() {
        let mut latencies = Latencies::new();
        latencies.record(1);
        latencies.start();
        assert_eq!(latencies.stop(), None, "nothing counts before the start");

        latencies.start();
        (1..=1_000).for_each(|microseconds| latencies.record(microseconds * 1_000));
        let found = latencies.stop().expect("a thousand");
        let expected = [(found.p50, 500.0), (found.p90, 900.0), (found.p99, 990.0), (found.p999, 999.0)];
        for (found, expected) in expected {
            assert!((found / expected - 1.0_f64).abs() < 0.002, "{found} is not {expected}");
        }
        assert!((found.max - 1_000.0).abs() < 1.0);
        assert_eq!(found.count, 1_000);
    }

    #[test]
    fn a_day_counts_as_an_hour() {
        let mut latencies = Latencies::new();
        latencies.start();
        latencies.record(24 * HOUR);
        let found = latencies.stop().expect("one");
        assert!((found.max / 3.6e9 - 1.0).abs() < 0.002, "{found:?}");
    }
}
