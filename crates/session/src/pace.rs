//! How fast one client may make the broker work: messages, bytes and matching, each with an allowance a second.
//!
//! A client that goes beyond is not read for as long as its debt takes to be paid; what it sends waits in its
//! own socket, and nobody else notices. What it shares with others ([`Meters`]) is charged alike.

use crate::{Instant, Limits, Meters};
use std::sync::Arc;

/// What one connection has left of its allowances. They are counted from the first time that one is touched;
/// until then they are full and take no memory.
#[derive(Clone, Debug, Default)]
pub struct Pace(Option<Box<Allowances>>);

#[derive(Clone, Debug)]
struct Allowances {
    messages: Allowance,
    bytes: Allowance,
    visits: Allowance,
    /// What the client shares with others.
    shared: Vec<Arc<Meters>>,
    /// Since when it is over its rates, and until when it was not read the last time.
    over: Option<(Instant, Instant)>,
}

/// A client that is over its rates.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pause {
    /// When it may be read again.
    pub until: Instant,
    /// It has been over its rates for as long as is borne.
    pub is_too_long: bool,
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
        if limits.messages_per_second_max == 0 && limits.bytes_per_second_max == 0 && self.0.is_none() {
            return;
        }
        let allowances = self.allowances(limits, now);
        allowances.messages.take(u64::from(is_publish), now);
        allowances.bytes.take(bytes as u64, now);
        allowances.shared.iter().for_each(|meters| meters.charge_packet(is_publish, bytes, now));
    }

    /// Charges these too, which the client shares with others.
    pub fn share(&mut self, meters: Vec<Arc<Meters>>, limits: &Limits, now: Instant) {
        if !meters.is_empty() {
            self.allowances(limits, now).shared = meters;
        }
    }

    /// Counts anew, by other limits.
    pub fn restart(&mut self, limits: &Limits, now: Instant) {
        let shared = self.0.take().map(|allowances| allowances.shared).unwrap_or_default();
        self.share(shared, limits, now);
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
        let Allowances { messages, bytes, visits, shared, .. } = self.0.as_deref()?;
        let own = [messages, bytes, visits].into_iter().filter_map(Allowance::paid_at).max();
        let shared = shared.iter().filter_map(|meters| meters.paused_until(now)).max();
        own.max(shared).filter(|until| *until > now)
    }

    /// The same for who would read it now. A client that is over its rates again as soon as it is read counts as being
    /// over them all the time.
    #[inline]
    pub fn pause(&mut self, limits: &Limits, now: Instant) -> Option<Pause> {
        if self.0.is_none() { None } else { self.look_for_pause(limits, now) }
    }

    fn look_for_pause(&mut self, limits: &Limits, now: Instant) -> Option<Pause> {
        let until = self.paused_until(now)?;
        let over = &mut self.0.as_deref_mut()?.over;
        let since =
            over.filter(|(_, end)| now.millis_since(*end) < RELIEF_MILLIS).map_or(now, |(since, _)| since);
        *over = Some((since, until));
        let borne = limits.rate_pause_ms_max;
        Some(Pause { until, is_too_long: borne > 0 && now.millis_since(since) >= borne })
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
            shared: Vec::new(),
            over: None,
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

/// A client that keeps within its rates for so long has done with the past.
const RELIEF_MILLIS: u64 = 1000;
/// Nodes of the filter index that the match of one publication may visit without being charged.
const VISITS_FREE: usize = 128;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Rates;

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
    fn what_is_shared_is_paid_by_all() {
        let rates = Rates { messages_per_second_max: 10, ..Rates::default() };
        let (meters, limits) = (Arc::new(Meters::new(rates)), limits(0, 0, 0));
        let mut paces = [Pace::default(), Pace::default()];
        for pace in &mut paces {
            pace.share(vec![Arc::clone(&meters)], &limits, at(5000));
        }
        (0..6).for_each(|_| paces.iter_mut().for_each(|it| it.charge_packet(true, 1, &limits, at(5000))));
        let [one, other] = &mut paces;
        assert_eq!(one.paused_until(at(5000)), Some(at(5200)));
        other.restart(&limits, at(5000));
        assert_eq!(other.paused_until(at(5000)), Some(at(5200)), "a restart does not forget the others");
    }

    #[test]
    fn a_client_that_never_keeps_to_its_rate_is_borne_for_some_time() {
        let limits = Limits { rate_pause_ms_max: 3000, ..limits(10, 0, 0) };
        let mut pace = Pace::default();
        let mut now = at(0);
        let too_long_at = loop {
            (0..20).for_each(|_| pace.charge_packet(true, 1, &limits, now));
            let pause = pace.pause(&limits, now).expect("it is over its rate");
            if pause.is_too_long {
                break now;
            }
            now = pause.until;
        };
        assert_eq!(too_long_at, at(3000));

        let (mut pace, mut now) = (Pace::default(), at(0));
        for _ in 0..100 {
            (0..20).for_each(|_| pace.charge_packet(true, 1, &limits, now));
            let pause = pace.pause(&limits, now).expect("it is over its rate");
            assert!(!pause.is_too_long, "it rests in between");
            now = pause.until + RELIEF_MILLIS;
        }
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
