//! How fast one client may make the broker work: messages, bytes and matching, each with an allowance a second.
//!
//! A client that goes beyond is not read for as long as its debt takes to be paid; what it sends waits in its
//! own socket, and nobody else notices.

use crate::{Instant, Limits};

/// What one connection has left of its allowances. They are counted from the first time that one is touched;
/// until then they are full and take no memory.
#[derive(Clone, Debug, Default)]
pub struct Pace(Option<Box<Allowances>>);

#[derive(Clone, Debug)]
struct Allowances {
    messages: Allowance,
    bytes: Allowance,
    visits: Allowance,
}

/// So many a second, with a second's worth saved up at most. It may be overdrawn once, by any amount.
#[derive(Clone, Debug)]
struct Allowance {
    /// 0: no limit.
    per_second: u64,
    /// Thousandths of what may be used now; negative when overdrawn.
    left_milli: i64,
    counted_at: Instant,
}

impl Pace {
    /// A packet of this many bytes has come.
    pub fn charge_packet(&mut self, is_publish: bool, bytes: usize, limits: &Limits, now: Instant) {
        if limits.messages_per_second_max == 0 && limits.bytes_per_second_max == 0 {
            return;
        }
        let allowances = self.allowances(limits, now);
        allowances.messages.take(u64::from(is_publish), now);
        allowances.bytes.take(bytes as u64, now);
    }

    /// A publication was matched. What an ordinary one visits is free; only filters made to be expensive cost.
    pub fn charge_match(&mut self, visits: usize, limits: &Limits, now: Instant) {
        if limits.match_visits_per_second_max == 0 || visits <= VISITS_FREE {
            return;
        }
        self.allowances(limits, now).visits.take((visits - VISITS_FREE) as u64, now);
    }

    /// When the client may be read again; `None`: now.
    pub fn paused_until(&self, now: Instant) -> Option<Instant> {
        let Allowances { messages, bytes, visits } = self.0.as_deref()?;
        let until = [messages, bytes, visits].into_iter().filter_map(Allowance::paid_at).max()?;
        (until > now).then_some(until)
    }

    fn allowances(&mut self, limits: &Limits, now: Instant) -> &mut Allowances {
        self.0.get_or_insert_with(|| Box::new(Allowances::full(limits, now)))
    }
}

impl Allowances {
    fn full(limits: &Limits, now: Instant) -> Self {
        Self {
            messages: Allowance::full(limits.messages_per_second_max.into(), now),
            bytes: Allowance::full(limits.bytes_per_second_max, now),
            visits: Allowance::full(limits.match_visits_per_second_max.into(), now),
        }
    }
}

impl Allowance {
    fn full(per_second: u64, now: Instant) -> Self {
        Self { per_second, left_milli: Self::milli(per_second), counted_at: now }
    }

    fn milli(amount: u64) -> i64 {
        i64::try_from(amount).unwrap_or(i64::MAX / 1000).saturating_mul(1000)
    }

    fn take(&mut self, amount: u64, now: Instant) {
        if self.per_second == 0 || amount == 0 {
            return;
        }
        // Milliseconds times units a second are thousandths of units.
        let earned = now.millis_since(self.counted_at).saturating_mul(self.per_second);
        let earned = i64::try_from(earned).unwrap_or(i64::MAX);
        self.left_milli = self.left_milli.saturating_add(earned).min(Self::milli(self.per_second));
        self.left_milli = self.left_milli.saturating_sub(Self::milli(amount));
        self.counted_at = now;
    }

    /// When an overdrawn allowance is paid back.
    fn paid_at(&self) -> Option<Instant> {
        let debt = u64::try_from(self.left_milli.checked_neg()?).ok().filter(|debt| *debt > 0)?;
        Some(self.counted_at + debt.div_ceil(self.per_second))
    }
}

/// Nodes of the filter index that the match of one publication may visit without being charged.
const VISITS_FREE: usize = 128;

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> Instant {
        Instant::from_millis(millis)
    }

    fn limits(messages: u32, bytes: u64, visits: u32) -> Limits {
        Limits {
            messages_per_second_max: messages,
            bytes_per_second_max: bytes,
            match_visits_per_second_max: visits,
            ..Limits::default()
        }
    }

    #[test]
    fn a_second_s_worth_is_free_and_then_the_rate_holds() {
        let (mut pace, limits) = (Pace::default(), limits(10, 0, 0));
        for _ in 0..10 {
            pace.charge_packet(true, 1, &limits, at(0));
            assert_eq!(pace.paused_until(at(0)), None);
        }
        pace.charge_packet(true, 1, &limits, at(0));
        assert_eq!(pace.paused_until(at(0)), Some(at(100)));
        assert_eq!(pace.paused_until(at(100)), None);
        pace.charge_packet(true, 1, &limits, at(100));
        assert_eq!(pace.paused_until(at(100)), Some(at(200)));
    }

    #[test]
    fn nothing_is_saved_up_beyond_a_second() {
        let (mut pace, limits) = (Pace::default(), limits(10, 0, 0));
        for _ in 0..12 {
            pace.charge_packet(true, 1, &limits, at(1_000_000));
        }
        assert_eq!(pace.paused_until(at(1_000_000)), Some(at(1_000_200)));
    }

    #[test]
    fn packets_that_are_no_publish_cost_bytes_only() {
        let (mut pace, limits) = (Pace::default(), limits(1, 100, 0));
        for _ in 0..10 {
            pace.charge_packet(false, 10, &limits, at(0));
        }
        assert_eq!(pace.paused_until(at(0)), None);
        pace.charge_packet(false, 50, &limits, at(0));
        assert_eq!(pace.paused_until(at(0)), Some(at(500)));
    }

    #[test]
    fn ordinary_matches_are_free_and_expensive_ones_are_paid_for() {
        let (mut pace, limits) = (Pace::default(), limits(0, 0, 1000));
        for _ in 0..10_000 {
            pace.charge_match(VISITS_FREE, &limits, at(0));
        }
        assert_eq!(pace.paused_until(at(0)), None);
        pace.charge_match(VISITS_FREE + 131_000, &limits, at(0));
        assert_eq!(pace.paused_until(at(0)), Some(at(130_000)));
    }

    #[test]
    fn without_limits_nobody_waits() {
        let (mut pace, limits) = (Pace::default(), limits(0, 0, 0));
        pace.charge_packet(true, usize::MAX, &limits, at(0));
        pace.charge_match(usize::MAX, &limits, at(0));
        assert_eq!(pace.paused_until(at(0)), None);
        assert!(pace.0.is_none(), "nothing is counted");
    }
}
