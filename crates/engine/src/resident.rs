//! A session with what its shard keeps beside it.

use crate::admission::Standing;
use crate::directory::DUES_OF_DELIVERY;
use crate::retained_phases::RetainedPhases;
use crate::search::Searching;
use crate::timers::{Timer, Timers};
use crate::{Route, Subscriber};
use noctule_auth::Identity;
use noctule_session::{GroupNumber, Instant, MemoryGauge, MemoryShare, Position, Session};
use std::sync::Arc;

/// A session that lives on this shard.
#[derive(Debug)]
pub(crate) struct Resident {
    /// The session.
    pub(crate) session: Session,
    /// Who it was opened by, for permissions.
    pub(crate) identity: Identity,
    /// What was worked out about its rights.
    pub(crate) standing: Standing,
    /// What it is owed was queued by other rules than those of now, or for another client.
    pub(crate) asks_again: bool,
    /// The route of its last publication, while it leads to shards that have too much mail.
    pub(crate) blocked_on: Option<Arc<Route>>,
    /// Its last publication, while the route of that is searched for.
    pub(crate) searching: Option<Box<Searching>>,
    /// Retained messages that subscriptions still bring.
    pub(crate) retained: RetainedPhases,
    /// What concerns its shared subscriptions, from the first one on.
    pub(crate) sharing: Option<Box<Sharing>>,
    /// The journal has been told of it, so it is to be told of its end.
    pub(crate) is_recorded: bool,
    /// Everything the journal knows of it, but for what it is owed, stands here or behind.
    pub(crate) recorded_at: Position,
    /// Contents are being read back.
    pub(crate) is_loading: bool,
    /// It is noted to leave contents to the journal.
    pub(crate) is_letting_go: bool,
    /// What it takes of the broker's memory, and how many places of its queue are counted there.
    share: MemoryShare,
    places_counted: u32,
    /// What it will still take of the journal.
    dues: MemoryShare,
    timer_at: Option<Instant>,
}

/// What a session with shared subscriptions knows about them and their groups.
#[derive(Debug, Default)]
pub(crate) struct Sharing {
    /// How many there are.
    pub(crate) subscriptions: u32,
    /// Groups that have more for this session than it had room for.
    pub(crate) hungry: Vec<GroupNumber>,
    /// Groups that were told that this session has no room.
    pub(crate) busy: Vec<GroupNumber>,
    /// Subscriptions that have been made and are not in force yet.
    pub(crate) joined: Vec<Box<str>>,
}

impl Resident {
    pub(crate) fn new(
        session: Session,
        identity: Identity,
        memory: &MemoryGauge,
        dues: &MemoryGauge,
    ) -> Self {
        Self {
            share: memory.take(session.bytes()),
            places_counted: session.outbound.places(),
            dues: dues.take(dues_of(&session)),
            session,
            identity,
            standing: Standing::default(),
            asks_again: false,
            blocked_on: None,
            searching: None,
            retained: RetainedPhases::default(),
            sharing: None,
            is_recorded: false,
            recorded_at: Position::NOWHERE,
            is_loading: false,
            is_letting_go: false,
            timer_at: None,
        }
    }

    /// Whether it may leave contents it is owed to the journal: its client is away, or far behind.
    pub(crate) fn may_let_go(&self) -> bool {
        let is_far_behind = || self.session.outbound.bytes() > QUEUE_BYTES_IN_MEMORY;
        self.session.is_durable() && (self.session.link.is_none() || is_far_behind())
    }

    /// What concerns its shared subscriptions, to change.
    pub(crate) fn sharing(&mut self) -> &mut Sharing {
        self.sharing.get_or_insert_default()
    }

    /// Counts the session's memory anew, after something in it has changed.
    pub(crate) fn recount(&mut self) {
        self.share.resize(self.session.bytes());
        self.places_counted = self.session.outbound.places();
        self.recount_dues();
    }

    /// The same where only what it is owed can have changed.
    #[inline]
    pub(crate) fn recount_queue(&mut self) {
        if self.session.outbound.places() != self.places_counted {
            return self.recount();
        }
        if self.session.is_durable() {
            self.recount_dues();
        }
    }

    fn recount_dues(&mut self) {
        self.dues.resize(dues_of(&self.session));
    }

    /// Gives back what the session's queues keep for more, where they are empty.
    pub(crate) fn give_back_room(&mut self) {
        self.session.give_back_room();
        self.recount();
    }

    /// When something happens to the session while it has no connection.
    pub(crate) fn due(&self) -> Option<Instant> {
        match (self.session.will_due, self.session.expires_at) {
            (Some(will), Some(expiry)) => Some(will.min(expiry)),
            (will, expiry) => will.or(expiry),
        }
    }

    /// Sees to it that a timer fires when the session is due. One that fires earlier is as good.
    pub(crate) fn arm(&mut self, me: Subscriber, now: Instant, timers: &mut Timers) {
        let Some(due) = self.due() else { return };
        if self.timer_at.is_none_or(|armed| armed > due) {
            timers.arm(due, now, Timer::Session { slot: me.slot, number: me.session });
            self.timer_at = Some(due);
        }
    }

    /// The timer has fired.
    pub(crate) fn disarm(&mut self) {
        self.timer_at = None;
    }
}

/// What a connected session is owed stays in memory up to this.
const QUEUE_BYTES_IN_MEMORY: u64 = 1 << 20;

/// What a session has yet to record of what it is owed.
fn dues_of(session: &Session) -> u64 {
    if session.is_durable() { session.outbound.len() as u64 * DUES_OF_DELIVERY } else { 0 }
}
