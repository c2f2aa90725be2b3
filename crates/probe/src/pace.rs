//! When messages are sent.
//!
//! *Closed loop*: each publisher has at most its window of messages in flight, so the broker sets the pace. *Open
//! loop*: message number k is meant to be sent at start + k / rate, whatever the broker does; latency counts from that
//! time, so a broker that stalls is charged for every message that should have been sent meanwhile. In bursts of n, all
//! of a burst are meant to be sent when its first is.

/// How a run is paced.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Pace {
    /// This many messages in flight per publisher.
    Closed { window: u32 },
    /// By the clock.
    Open(Schedule),
}

/// The times of an open loop, in nanoseconds since the run began.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Schedule {
    /// When message 0 is due.
    pub(crate) start: u64,
    /// Messages per second of all publishers together; at least 1.
    pub(crate) rate: u64,
    /// So many of them are due at the same time; at least 1.
    pub(crate) burst: u64,
}

impl Schedule {
    /// How many messages are due by now.
    pub(crate) fn due(&self, now: u64) -> u64 {
        let Some(elapsed) = now.checked_sub(self.start) else { return 0 };
        let due = u128::from(elapsed) * u128::from(self.rate) / u128::from(SECOND);
        (due as u64 / self.burst + 1) * self.burst
    }

    /// When message number `number` is due: the first time at which [`due`](Self::due) counts it.
    pub(crate) fn time_of(&self, number: u64) -> u64 {
        let first = number / self.burst * self.burst;
        let after = (u128::from(first) * u128::from(SECOND)).div_ceil(u128::from(self.rate));
        self.start + after as u64
    }
}

/// Nanoseconds in a second.
pub(crate) const SECOND: u64 = 1_000_000_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_message_is_due_at_its_time_and_not_before() {
        for rate in [1, 3, 7, 1_000, 333_333, 1_000_000, 7_777_777] {
            for burst in [1, 2, 100] {
                let schedule = Schedule { start: 5, rate, burst };
                for number in (0..1_000).chain([rate, 10 * rate, 1 << 32]) {
                    let time = schedule.time_of(number);
                    assert!(schedule.due(time) > number, "{rate}: {number}");
                    assert!(time == 5 || schedule.due(time - 1) <= number, "{rate}: {number}");
                }
            }
        }
    }

    #[test]
    fn a_second_has_as_many_messages_as_the_rate_says() {
        let schedule = Schedule { start: 100, rate: 1_000, burst: 1 };
        assert_eq!((schedule.due(0), schedule.due(99), schedule.due(100)), (0, 0, 1));
        assert_eq!(schedule.due(100 + SECOND - 1), 1_000);
        assert_eq!(schedule.due(100 + 10 * SECOND - 1), 10_000);
    }

    #[test]
    fn all_of_a_burst_are_due_with_its_first() {
        let schedule = Schedule { start: 0, rate: 1_000, burst: 10 };
        let tenth = SECOND / 100;
        assert_eq!([0, tenth - 1, tenth].map(|now| schedule.due(now)), [10, 10, 20]);
        assert_eq!([9, 10, 19].map(|number| schedule.time_of(number)), [0, tenth, tenth]);
    }
}
