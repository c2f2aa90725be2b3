//! The time as the core knows it, as the runtime knows it, and as a later run will.

use noctule_session::Instant;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The clock of one client. It runs evenly; the time of day is read once.
#[derive(Debug)]
pub(crate) struct Clock {
    start: tokio::time::Instant,
    /// The time of day at the start, in milliseconds since 1970.
    day_ms: u64,
}

impl Clock {
    pub(crate) fn start() -> Self {
        let day = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self { start: tokio::time::Instant::now(), day_ms: millis(day) }
    }

    pub(crate) fn now(&self) -> Instant {
        Instant::from_millis(START_MS + millis(self.start.elapsed()))
    }

    /// A time of the core as the runtime knows it.
    pub(crate) fn at(&self, instant: Instant) -> tokio::time::Instant {
        let since = Duration::from_millis(instant.as_millis().saturating_sub(START_MS));
        let far = || tokio::time::Instant::now() + FAR;
        self.start.checked_add(since).unwrap_or_else(far)
    }

    /// A time of the core in milliseconds since 1970.
    pub(crate) fn time_of_day(&self, instant: Instant) -> u64 {
        (self.day_ms + instant.as_millis()).saturating_sub(START_MS)
    }

    /// What [`time_of_day`](Self::time_of_day) has told an earlier run.
    pub(crate) fn instant(&self, time_of_day: u64) -> Instant {
        Instant::from_millis((START_MS + time_of_day).saturating_sub(self.day_ms))
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX / 4).min(u64::MAX / 4)
}

/// Where the core's time starts: late enough that times of earlier runs are above zero. A hundred years.
const START_MS: u64 = 100 * 365 * 24 * 60 * 60 * 1000;
/// A time that does not come, where the runtime's clock cannot say it.
const FAR: Duration = Duration::from_secs(365 * 24 * 60 * 60);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_of_day_means_the_same_in_a_later_run() {
        let start = tokio::time::Instant::now();
        let first = Clock { start, day_ms: 1_000_000 };
        let later = Clock { start, day_ms: 1_060_000 };
        let noon = Instant::from_millis(START_MS + 5_000);
        assert_eq!(first.time_of_day(noon), 1_005_000);
        assert_eq!(later.instant(1_005_000), Instant::from_millis(START_MS - 55_000));
        assert_eq!(first.instant(first.time_of_day(noon)), noon);
    }
}
