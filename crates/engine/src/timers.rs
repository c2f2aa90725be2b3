//! Coarse timers: never early, at most [`TICK_MILLIS`] late.
//!
//! Nothing is ever cancelled. Who is told that its time has come looks whether that is so and arms the timer
//! again if not; the farthest timer is [`HORIZON_MILLIS`] away, so a timer that has lost its meaning is gone
//! within a minute however far off its deadline was.

use noctule_session::{ConnectionId, Instant, SessionNumber};
use std::collections::BTreeMap;

/// Whose time has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Timer {
    /// A connection: time to say CONNECT, or keep alive.
    Connection(ConnectionId),
    /// A connection that has sent something: time to look whether it rests.
    Rest(ConnectionId),
    /// A session without connection: will delay or session expiry.
    Session {
        /// Its place.
        slot: u32,
        /// Its number, which proves that it is still the same one.
        number: SessionNumber,
    },
    /// The retained messages: time to forget expired ones.
    RetainedSweep,
}

/// Timers by the tick at which they fire.
#[derive(Debug, Default)]
pub(crate) struct Timers {
    ticks: BTreeMap<u64, Vec<Timer>>,
}

impl Timers {
    /// Arms a timer for `at`, or for the horizon if that is nearer; says which.
    pub(crate) fn arm(&mut self, at: Instant, now: Instant, timer: Timer) -> Instant {
        let at = at.min(now + HORIZON_MILLIS);
        self.ticks.entry(at.as_millis().div_ceil(TICK_MILLIS)).or_default().push(timer);
        at
    }

    /// When the next timer fires.
    pub(crate) fn next(&self) -> Option<Instant> {
        self.ticks.keys().next().map(|tick| Instant::from_millis(tick * TICK_MILLIS))
    }

    /// A timer that has fired.
    pub(crate) fn pop(&mut self, now: Instant) -> Option<Timer> {
        loop {
            let mut first = self.ticks.first_entry()?;
            if *first.key() > now.as_millis() / TICK_MILLIS {
                return None;
            }
            match first.get_mut().pop() {
                Some(timer) => return Some(timer),
                None => drop(first.remove()),
            }
        }
    }
}

/// Timers fire on multiples of this.
const TICK_MILLIS: u64 = 100;
/// No timer is armed farther ahead than this.
const HORIZON_MILLIS: u64 = 60_000;

#[cfg(test)]
mod tests {
    use super::*;

    fn timer(slot: u32) -> Timer {
        Timer::Connection(ConnectionId { slot, generation: 0 })
    }

    fn at(millis: u64) -> Instant {
        Instant::from_millis(millis)
    }

    #[test]
    fn never_early_and_at_most_one_tick_late() {
        for due in [1_u64, 99, 100, 101, 1_499, 1_500, 1_501] {
            let mut timers = Timers::default();
            timers.arm(at(due), at(0), timer(1));
            let fired = (0..3_000).find(|now| timers.pop(at(*now)).is_some()).expect("it fires");
            assert!((due..due + TICK_MILLIS).contains(&fired), "due {due}, fired {fired}");
        }
    }

    #[test]
    fn fires_in_order_and_once() {
        let mut timers = Timers::default();
        timers.arm(at(500), at(0), timer(2));
        timers.arm(at(200), at(0), timer(1));
        assert_eq!(timers.next(), Some(at(200)));
        assert_eq!(timers.pop(at(199)), None);
        assert_eq!(timers.pop(at(600)), Some(timer(1)));
        assert_eq!(timers.pop(at(600)), Some(timer(2)));
        assert_eq!(timers.pop(at(600)), None);
        assert_eq!(timers.next(), None);
    }

    #[test]
    fn a_far_deadline_is_looked_at_again_within_the_horizon() {
        let mut timers = Timers::default();
        timers.arm(at(u64::MAX), at(0), timer(1));
        assert_eq!(timers.next(), Some(at(HORIZON_MILLIS)));
    }
}
