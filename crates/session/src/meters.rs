//! Rates that several connections share: those of one address, of one user or of one listener.
//!
//! A [`Meter`] is one number, when everything that was taken is earned. It lets a second's worth come at once; who
//! goes beyond pays by waiting. Connections of different shards charge it without a lock.

use crate::Instant;
use std::collections::HashMap;
use std::hash::Hash;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// How much there may be in a second; 0: any number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rates {
    /// Connections.
    pub connects_per_second_max: u32,
    /// PUBLISH packets.
    pub messages_per_second_max: u32,
    /// Bytes received.
    pub bytes_per_second_max: u64,
}

/// What some connections have left of their common rates.
#[derive(Debug, Default)]
pub struct Meters {
    connects: Meter,
    messages: Meter,
    bytes: Meter,
}

/// The meters of all addresses, or of all users, that were heard of lately.
#[derive(Debug)]
pub struct MeterTable<K> {
    rates: Rates,
    meters: HashMap<K, Arc<Meters>>,
    /// For those that there is no room for.
    others: Arc<Meters>,
    /// With so many it is looked which ones nobody needs.
    looks_at: usize,
}

/// One rate: a second's worth may come at once, and then as much as it earns.
#[derive(Debug, Default)]
pub(crate) struct Meter {
    per_second: u64,
    /// When everything that was taken is earned, in nanoseconds.
    earned_at: AtomicU64,
}

impl Rates {
    /// Whether there is no limit.
    pub fn are_unlimited(&self) -> bool {
        *self == Self::default()
    }
}

impl Meters {
    /// Meters that nobody has charged.
    pub fn new(rates: Rates) -> Self {
        Self {
            connects: Meter::new(rates.connects_per_second_max.into()),
            messages: Meter::new(rates.messages_per_second_max.into()),
            bytes: Meter::new(rates.bytes_per_second_max),
        }
    }

    /// Takes the place of one connection, if there is one now.
    pub fn take_connect(&self, now: Instant) -> bool {
        let has_place = self.connects.paid_at(now).is_none();
        if has_place {
            self.connects.take(1, now);
        }
        has_place
    }

    /// A packet of this many bytes has come.
    pub fn charge_packet(&self, is_publish: bool, bytes: usize, now: Instant) {
        self.messages.take(is_publish.into(), now);
        self.bytes.take(bytes as u64, now);
    }

    /// When their connections may be read again; `None`: now.
    pub fn paused_until(&self, now: Instant) -> Option<Instant> {
        self.messages.paid_at(now).max(self.bytes.paid_at(now))
    }

    fn are_idle(&self, now: Instant) -> bool {
        let meters = [&self.connects, &self.messages, &self.bytes];
        meters.into_iter().all(|meter| meter.earned_at.load(Ordering::Relaxed) <= nanos(now))
    }
}

impl<K: Eq + Hash> MeterTable<K> {
    /// A table in which everybody has these rates.
    pub fn new(rates: Rates) -> Self {
        let others = Arc::new(Meters::new(rates));
        Self { rates, meters: HashMap::new(), others, looks_at: METERS_KEPT_MIN }
    }

    /// Whether nobody has limits.
    pub fn is_unlimited(&self) -> bool {
        self.rates.are_unlimited()
    }

    /// Gives everybody these rates who is heard of from now on.
    pub fn set_rates(&mut self, rates: Rates) {
        if rates != self.rates {
            *self = Self::new(rates);
        }
    }

    /// The meters of one of them; `None` where there are no limits. Above 65,536 of them at work at a time, all others
    /// share theirs.
    pub fn of(&mut self, key: K, now: Instant) -> Option<Arc<Meters>> {
        if self.is_unlimited() {
            return None;
        }
        if let Some(meters) = self.meters.get(&key) {
            return Some(Arc::clone(meters));
        }
        if self.meters.len() >= self.looks_at {
            self.meters.retain(|_, meters| Arc::strong_count(meters) > 1 || !meters.are_idle(now));
            self.looks_at = (2 * self.meters.len()).clamp(METERS_KEPT_MIN, METERS_MAX);
        }
        if self.meters.len() >= METERS_MAX {
            return Some(Arc::clone(&self.others));
        }
        let meters = Arc::new(Meters::new(self.rates));
        self.meters.insert(key, Arc::clone(&meters));
        Some(meters)
    }
}

impl Meter {
    pub(crate) fn new(per_second: u64) -> Self {
        Self { per_second, earned_at: AtomicU64::new(0) }
    }

    pub(crate) fn per_second(&self) -> u64 {
        self.per_second
    }

    /// Takes one, unless what was taken before is paid only after `latest`. Says when it is: that is the turn of
    /// this one.
    pub(crate) fn take_by(&self, latest: Instant, now: Instant) -> Option<Instant> {
        if self.per_second == 0 {
            return Some(now);
        }
        let (cost, latest) = (self.cost_of(1), nanos(latest));
        let mut paid_at = 0;
        let taken = self.earned_at.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |at| {
            paid_at = at.saturating_sub(SECOND_NANOS);
            (paid_at <= latest).then(|| at.max(nanos(now)).saturating_add(cost))
        });
        taken.ok()?;
        Some(now.max(Instant::from_millis(paid_at.div_ceil(MILLI_NANOS))))
    }

    fn take(&self, amount: u64, now: Instant) {
        if self.per_second == 0 || amount == 0 {
            return;
        }
        let cost = self.cost_of(amount);
        let earn = |at: u64| Some(at.max(nanos(now)).saturating_add(cost));
        let _ = self.earned_at.fetch_update(Ordering::Relaxed, Ordering::Relaxed, earn);
    }

    /// In how many nanoseconds so much is earned.
    fn cost_of(&self, amount: u64) -> u64 {
        let cost = u128::from(amount) * u128::from(SECOND_NANOS) / u128::from(self.per_second);
        u64::try_from(cost).unwrap_or(u64::MAX)
    }

    /// When what was taken beyond a second's worth is paid; `None`: it is.
    fn paid_at(&self, now: Instant) -> Option<Instant> {
        let ahead = self.earned_at.load(Ordering::Relaxed).checked_sub(SECOND_NANOS)?;
        (ahead > nanos(now)).then(|| Instant::from_millis(ahead.div_ceil(MILLI_NANOS)))
    }
}

fn nanos(now: Instant) -> u64 {
    now.as_millis().saturating_mul(MILLI_NANOS)
}

const MILLI_NANOS: u64 = 1_000_000;
const SECOND_NANOS: u64 = 1000 * MILLI_NANOS;
/// A table this small is never looked through.
const METERS_KEPT_MIN: usize = 256;
const METERS_MAX: usize = 65_536;

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> Instant {
        Instant::from_millis(1_000_000 + millis)
    }

    fn rates(connects: u32, messages: u32, bytes: u64) -> Rates {
        Rates {
            connects_per_second_max: connects,
            messages_per_second_max: messages,
            bytes_per_second_max: bytes,
        }
    }

    #[test]
    fn a_second_s_worth_is_free_and_then_the_rate_holds_for_all_together() {
        let meters = Meters::new(rates(0, 10, 0));
        for _ in 0..10 {
            meters.charge_packet(true, 1, at(0));
        }
        assert_eq!(meters.paused_until(at(0)), None);
        meters.charge_packet(true, 1, at(0));
        assert_eq!(meters.paused_until(at(0)), Some(at(100)));
        assert_eq!(meters.paused_until(at(100)), None);
        meters.charge_packet(false, 1, at(100));
        assert_eq!(meters.paused_until(at(100)), None, "only publications are counted");
    }

    #[test]
    fn bytes_are_counted_to_the_last_one() {
        let meters = Meters::new(rates(0, 0, 10_000_000));
        for _ in 0..10_000_000 / 4096 {
            meters.charge_packet(false, 4096, at(0));
        }
        assert_eq!(meters.paused_until(at(0)), None);
        meters.charge_packet(true, 10_000_000, at(0));
        assert_eq!(meters.paused_until(at(0)), Some(at(1000)));
    }

    #[test]
    fn connections_beyond_the_rate_are_not_taken_and_cost_nothing() {
        let meters = Meters::new(rates(2, 0, 0));
        let taken = (0..100).filter(|_| meters.take_connect(at(0))).count();
        assert_eq!(taken, 3, "two a second, and the one that is paid for later");
        assert!(!meters.take_connect(at(499)));
        assert!(meters.take_connect(at(500)));
    }

    #[test]
    fn without_limits_there_are_no_meters() {
        assert!(MeterTable::new(Rates::default()).of("a", at(0)).is_none());
    }

    #[test]
    fn a_table_forgets_who_is_idle_and_is_bounded() {
        let mut table = MeterTable::new(rates(1, 1, 0));
        let busy = table.of(0, at(0)).expect("limits");
        for key in 1..METERS_MAX * 2 {
            let meters = table.of(key, at(key as u64)).expect("limits");
            meters.take_connect(at(key as u64));
        }
        assert!(table.meters.len() <= 4 * 1024, "{}", table.meters.len());
        assert!(Arc::ptr_eq(&busy, &table.of(0, at(0)).expect("limits")), "somebody is connected");

        let mut table = MeterTable::new(rates(1, 1, 0));
        let held: Vec<_> = (0..METERS_MAX + 2).filter_map(|key| table.of(key, at(0))).collect();
        assert_eq!(table.meters.len(), METERS_MAX);
        assert!(Arc::ptr_eq(&held[METERS_MAX], &held[METERS_MAX + 1]), "the rest has one in common");
    }
}
