//! When to try again after a connection has ended, and whether two clients fight over one client id.
//!
//! Invariants:
//! - The delay is drawn from the whole range below the backoff (full jitter), so that many clients that lost the
//!   same server do not come back at the same moment.
//! - After a takeover (0x8E) the delay is never below [`FIGHT_DELAY_MIN_MS`]: two clients under one id would
//!   otherwise throw each other out as fast as they can connect.

use noctule_session::Instant;
use std::collections::VecDeque;
use std::time::Duration;

/// How long to wait before connecting again.
///
/// The n-th attempt in a row waits a random time between nothing and `first × 2ⁿ`, at most `max`. A connection that
/// has lasted ten seconds starts the row anew.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Backoff {
    /// The longest wait before the first attempt.
    pub first: Duration,
    /// The longest wait of all.
    pub max: Duration,
    /// The shortest wait after [`IdConflict::ShortLived`], doubling. Below the default only where the network is
    /// known to break connections all the time. After [`IdConflict::TakenOver`] it is five seconds at least.
    pub short_lived: Duration,
}

impl Default for Backoff {
    /// One second, doubling up to one minute; five seconds after short-lived connections.
    fn default() -> Self {
        let short_lived = Duration::from_millis(FIGHT_DELAY_MIN_MS);
        Self { first: Duration::from_secs(1), max: Duration::from_secs(60), short_lived }
    }
}

/// What speaks for a fight over the client id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IdConflict {
    /// The server has said so: another client connected under this client id (0x8E).
    TakenOver,
    /// Three connections within 60 seconds were closed by the server within ten seconds each. An older server,
    /// which cannot give a reason, does that to a client whose id another one uses.
    ShortLived,
}

/// How a connection or an attempt has ended, as far as it matters here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    /// There was no CONNACK that lets the client in.
    NeverConnected,
    /// The server said that another client has taken the session over.
    TakenOver,
    /// The server has named another one, which is gone to.
    Referred,
    /// Anything else.
    Lost,
}

/// What to do after an ending.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Wait {
    pub(crate) millis: u64,
    pub(crate) conflict: Option<IdConflict>,
}

/// The history of connections, as far as it decides about the next.
#[derive(Debug)]
pub(crate) struct Comeback {
    backoff: Backoff,
    attempts: u32,
    /// Endings in a row that spoke for a conflict.
    conflicts: u32,
    /// Another server has been gone to at once, since a connection has lasted.
    was_referred: bool,
    connected_at: Option<Instant>,
    /// When the latest short-lived connections began.
    short_lived: VecDeque<Instant>,
}

impl Comeback {
    pub(crate) fn new(backoff: Backoff) -> Self {
        let short_lived = VecDeque::with_capacity(SHORT_LIVED_MAX);
        Self { backoff, attempts: 0, conflicts: 0, was_referred: false, connected_at: None, short_lived }
    }

    /// CONNACK has let the client in.
    pub(crate) fn connected(&mut self, now: Instant) {
        self.connected_at = Some(now);
    }

    /// Whether the present connection has lasted.
    pub(crate) fn has_lasted(&self, now: Instant) -> bool {
        self.connected_at.is_some_and(|since| now.millis_since(since) >= SETTLED_MS)
    }

    /// Whether the server has let this client in.
    pub(crate) fn has_connected(&self) -> bool {
        self.connected_at.is_some()
    }

    /// A connection or an attempt has ended. `random` is any number.
    pub(crate) fn ended(&mut self, ending: Ending, now: Instant, random: u64) -> Wait {
        let lasted = self.connected_at.take().map(|since| (since, now.millis_since(since)));
        match lasted {
            Some((_, millis)) if millis >= SETTLED_MS => {
                self.attempts = 0;
                self.conflicts = 0;
                self.was_referred = false;
                self.short_lived.clear();
            }
            Some((since, _)) => self.note_short_lived(since),
            None => {}
        }
        if ending == Ending::Referred && !std::mem::replace(&mut self.was_referred, true) {
            return Wait { millis: 0, conflict: None };
        }
        match self.conflict(ending, now) {
            Some(conflict) => self.wait_out(conflict, random),
            None => self.back_off(random),
        }
    }

    fn note_short_lived(&mut self, since: Instant) {
        if self.short_lived.len() == SHORT_LIVED_MAX {
            self.short_lived.pop_front();
        }
        self.short_lived.push_back(since);
    }

    fn conflict(&self, ending: Ending, now: Instant) -> Option<IdConflict> {
        let oldest = self.short_lived.front().filter(|_| self.short_lived.len() == SHORT_LIVED_MAX);
        let are_many = oldest.is_some_and(|oldest| now.millis_since(*oldest) <= SHORT_LIVED_WITHIN_MS);
        match ending {
            Ending::TakenOver => Some(IdConflict::TakenOver),
            Ending::Lost if are_many => Some(IdConflict::ShortLived),
            _ => None,
        }
    }

    /// At least five seconds, doubling.
    fn wait_out(&mut self, conflict: IdConflict, random: u64) -> Wait {
        let delay_min = match conflict {
            IdConflict::TakenOver => FIGHT_DELAY_MIN_MS,
            IdConflict::ShortLived => millis(self.backoff.short_lived).max(1),
        };
        let delay = delay_min.saturating_mul(1 << self.conflicts.min(DOUBLINGS_MAX));
        let delay = delay.min(delay_min.saturating_mul(FIGHT_DELAY_GROWTH_MAX));
        self.conflicts = self.conflicts.saturating_add(1);
        Wait { millis: delay + random % delay, conflict: Some(conflict) }
    }

    fn back_off(&mut self, random: u64) -> Wait {
        let (first, max) = (millis(self.backoff.first), millis(self.backoff.max));
        let longest = first.saturating_mul(1 << self.attempts.min(DOUBLINGS_MAX)).min(max);
        self.attempts = self.attempts.saturating_add(1);
        Wait { millis: random % (longest + 1), conflict: None }
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX - 1).min(u64::MAX - 1)
}

/// A connection that has lasted as long has settled.
const SETTLED_MS: u64 = 10_000;
/// So many connections that have not settled are suspicious,
const SHORT_LIVED_MAX: usize = 3;
/// if they began within this time.
const SHORT_LIVED_WITHIN_MS: u64 = 60_000;
/// The shortest delay after a takeover.
const FIGHT_DELAY_MIN_MS: u64 = 5_000;
/// Where its doubling ends, before jitter: from five seconds at five minutes.
const FIGHT_DELAY_GROWTH_MAX: u64 = 60;
/// No delay doubles more often.
const DOUBLINGS_MAX: u32 = 16;

#[cfg(test)]
mod tests {
    use super::*;

    fn comeback() -> Comeback {
        let backoff =
            Backoff { first: Duration::from_secs(1), max: Duration::from_secs(8), ..Backoff::default() };
        Comeback::new(backoff)
    }

    fn at(seconds: u64) -> Instant {
        Instant::from_millis(seconds * 1000)
    }

    #[test]
    fn the_longest_delay_doubles_up_to_the_maximum_and_any_shorter_one_is_possible() {
        let longest = [1_000, 2_000, 4_000, 8_000, 8_000, 8_000];
        let mut comeback = comeback();
        for longest in longest {
            let before = comeback.attempts;
            assert_eq!(comeback.ended(Ending::NeverConnected, at(0), longest).millis, longest);
            comeback.attempts = before;
            assert_eq!(comeback.ended(Ending::NeverConnected, at(0), longest + 1).millis, 0, "full jitter");
        }
    }

    #[test]
    fn a_connection_that_has_lasted_starts_the_row_anew() {
        let mut comeback = comeback();
        for _ in 0..5 {
            comeback.ended(Ending::NeverConnected, at(0), 0);
        }
        comeback.connected(at(100));
        assert!(comeback.ended(Ending::Lost, at(110), 999).millis == 999);
        comeback.connected(at(200));
        assert!(comeback.ended(Ending::Lost, at(201), 1_999).millis == 1_999, "one second is not lasting");
    }

    #[test]
    fn after_a_takeover_it_waits_five_seconds_and_doubles() {
        let mut comeback = comeback();
        for (round, least) in [5_000, 10_000, 20_000].into_iter().enumerate() {
            comeback.connected(at(round as u64));
            let wait = comeback.ended(Ending::TakenOver, at(round as u64), 0);
            assert_eq!(wait, Wait { millis: least, conflict: Some(IdConflict::TakenOver) });
        }
        comeback.connected(at(100));
        let wait = comeback.ended(Ending::TakenOver, at(200), u64::MAX);
        assert!((5_000..10_000).contains(&wait.millis), "a long connection forgives: {wait:?}");
    }

    #[test]
    fn three_short_connections_within_a_minute_are_a_conflict() {
        let mut comeback = comeback();
        let mut end = |second| {
            comeback.connected(at(second));
            comeback.ended(Ending::Lost, at(second + 1), 0).conflict
        };
        assert_eq!([end(0), end(10), end(20)], [None, None, Some(IdConflict::ShortLived)]);
        assert_eq!(end(75), None, "the second of them is more than a minute ago");
    }

    #[test]
    fn attempts_that_never_connect_are_no_conflict() {
        let mut comeback = comeback();
        for second in 0..10 {
            let wait = comeback.ended(Ending::NeverConnected, at(second), 0);
            assert_eq!(wait.conflict, None);
        }
    }
}
