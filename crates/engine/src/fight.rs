//! Two clients with one client id: each takes the session over from the other, comes back, and so on for ever.
//!
//! The standard has the newer one win [MQTT-3.1.4-3]. That is right for a client whose old connection is dead, so the
//! first takeovers of a minute happen at once. After that a fight is recognised: it is told once, with both addresses,
//! and whoever comes next waits before it may take over, longer each time and at most 5 s. Nobody is refused, the one
//! that is connected is served in between, and what the fight costs is bounded.

use crate::Event;
use crate::connection::State;
use crate::shard::{Shard, Turn};
use hashbrown::HashMap;
use noctule_session::{ConnectionId, Instant};
use std::sync::Arc;

/// The client ids that were taken over lately.
#[derive(Debug, Default)]
pub(crate) struct Fights(HashMap<Box<str>, Fight>);

#[derive(Debug)]
struct Fight {
    since: Instant,
    /// The last takeover.
    last: Instant,
    takeovers: u32,
    /// The last one that waits is let in then.
    next: Instant,
    is_told: bool,
}

impl Shard {
    /// Until when a client waits that would take over another one's session; `None`: it need not.
    pub(crate) fn delay_takeover(
        &mut self,
        id: ConnectionId,
        client_id: &str,
        now: Instant,
    ) -> Option<Instant> {
        let free = self.limits.takeovers_undelayed_max;
        let is_connected = || {
            let slot = self.sessions.find(client_id);
            slot.is_some_and(|slot| self.sessions[slot].session.link.is_some())
        };
        if free == 0 || self.fights.0.is_empty() || !is_connected() {
            return None;
        }
        let fight = self.fights.0.get_mut(client_id)?;
        let connection = self.connections.get_mut(id.slot as usize)?.as_deref_mut()?;
        let State::Handshaking(handshake) = &mut connection.state else { return None };
        if let Some(until) = handshake.waits_until {
            return (until > now).then_some(until);
        }
        let until = fight.place(free, now)?;
        handshake.waits_until = Some(until);
        self.stats.takeovers_delayed += 1;
        Some(until)
    }

    /// The client of this connection takes over a session that another one is connected to.
    pub(crate) fn note_takeover(&mut self, slot: usize, winner: ConnectionId, turn: &mut Turn<'_>) {
        let free = self.limits.takeovers_undelayed_max;
        let session = &self.sessions[slot].session;
        let (Some(link), client_id) = (&session.link, Arc::clone(&session.client_id)) else { return };
        if free == 0 {
            return;
        }
        let loser = link.connection;
        self.fights.make_room(turn.now);
        let fight = self.fights.0.entry((*client_id).into()).or_insert_with(|| Fight::new(turn.now));
        if fight.takes_over(free, turn.now) {
            let addresses = [loser, winner].map(|id| self.address_of(id));
            Self::event(turn, Event::Contested { client_id, addresses });
        }
    }
}

impl Fights {
    /// Forgets the fights that are over, and in the worst case one that is not.
    fn make_room(&mut self, now: Instant) {
        if self.0.len() < FIGHTS_MAX {
            return;
        }
        self.0.retain(|_, fight| !fight.is_over(now));
        if self.0.len() >= FIGHTS_MAX
            && let Some(any) = self.0.keys().next().cloned()
        {
            self.0.remove(&any);
        }
    }
}

impl Fight {
    fn new(now: Instant) -> Self {
        Self { since: now, last: now, takeovers: 0, next: now, is_told: false }
    }

    /// Notes a takeover. Says whether that makes it a fight to be told of.
    fn takes_over(&mut self, free: u32, now: Instant) -> bool {
        if self.is_over(now) || (!self.is_told && now.millis_since(self.since) >= MINUTE_MILLIS) {
            *self = Self::new(now);
        }
        self.last = now;
        self.takeovers = self.takeovers.saturating_add(1);
        let is_to_be_told = !self.is_told && self.takeovers > free;
        self.is_told |= is_to_be_told;
        is_to_be_told
    }

    /// When the next one that comes is let in; `None`: at once.
    fn place(&mut self, free: u32, now: Instant) -> Option<Instant> {
        if self.takeovers <= free || self.is_over(now) {
            return None;
        }
        let step = (u64::from(self.takeovers - free) * DELAY_STEP_MILLIS).min(DELAY_MILLIS_MAX);
        self.next = (self.next.max(now) + step).min(now + DELAY_MILLIS_MAX);
        Some(self.next)
    }

    fn is_over(&self, now: Instant) -> bool {
        now.millis_since(self.last) > MINUTE_MILLIS
    }
}

const MINUTE_MILLIS: u64 = 60_000;
/// By so much longer waits the next one each time.
const DELAY_STEP_MILLIS: u64 = 250;
/// Nobody waits longer.
const DELAY_MILLIS_MAX: u64 = 5_000;
/// Fights that are known at a time.
const FIGHTS_MAX: usize = 1024;

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> Instant {
        Instant::from_millis(1_000_000 + millis)
    }

    #[test]
    fn a_fight_is_told_once_and_begins_anew_after_a_minute_of_peace() {
        let mut fight = Fight::new(at(0));
        let told: Vec<bool> = (0..8).map(|second| fight.takes_over(3, at(second * 1000))).collect();
        assert_eq!(told, [false, false, false, true, false, false, false, false]);
        assert!(!fight.takes_over(3, at(200_000)));
        assert_eq!(fight.takeovers, 1);
    }

    #[test]
    fn takeovers_now_and_then_are_no_fight() {
        let mut fight = Fight::new(at(0));
        for takeover in 0..1000 {
            let now = at(takeover * 20_000);
            assert!(!fight.takes_over(3, now) && fight.place(3, now).is_none());
        }
    }

    #[test]
    fn who_comes_waits_longer_each_time_and_never_longer_than_5_s() {
        let mut fight = Fight::new(at(0));
        let mut waits = Vec::new();
        for _ in 0..40 {
            let now = fight.next.max(fight.last);
            fight.takes_over(3, now);
            waits.extend(fight.place(3, now).map(|until| until.millis_since(now)));
        }
        assert_eq!(waits[..3], [250, 500, 750]);
        assert_eq!(waits.iter().max(), Some(&DELAY_MILLIS_MAX));
    }

    #[test]
    fn of_thousands_that_come_at_once_none_waits_longer_than_5_s() {
        let mut fight = Fight::new(at(0));
        (0..4).for_each(|_| _ = fight.takes_over(3, at(0)));
        let last = (0..5000).filter_map(|_| fight.place(3, at(10))).max();
        assert_eq!(last, Some(at(10 + DELAY_MILLIS_MAX)));
    }

    #[test]
    fn fights_that_are_known_are_bounded() {
        let mut fights = Fights::default();
        for client in 0..FIGHTS_MAX * 3 {
            fights.make_room(at(client as u64));
            let fight = fights.0.entry(client.to_string().into()).or_insert_with(|| Fight::new(at(0)));
            fight.takes_over(3, at(client as u64));
        }
        assert_eq!(fights.0.len(), FIGHTS_MAX);
    }
}
