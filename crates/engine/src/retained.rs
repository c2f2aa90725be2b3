//! Retained messages: how they reach new subscriptions, and how they are forgotten when they expire.

use crate::retained_phases::RetainedPhase;
use crate::shard::{Shard, Turn};
use crate::timers::Timer;
use crate::{Change, Directory};
use hashbrown::HashMap;
use noctule_session::{Offer, Publication, SessionChange, Subscription, SubscriptionIds};
use noctule_topic::{RetainedCursor, TopicFilter};
use std::ops::ControlFlow;
use std::sync::Arc;

/// A walk over all retained messages that forgets the expired ones, a slice a second.
#[derive(Debug, Default)]
pub(crate) struct RetainedSweep {
    cursor: Option<RetainedCursor>,
    /// A message with an expiry was seen, or staged, since the walk began.
    has_work: bool,
    is_armed: bool,
}

/// The retained messages that a turn has accepted and not yet made visible.
#[derive(Debug, Default)]
pub(crate) struct RetainedStaged {
    /// The last one of each topic.
    by_topic: HashMap<Box<str>, Arc<Publication>>,
    /// By how much the directory will grow.
    messages: i64,
    bytes: i64,
}

impl RetainedStaged {
    pub(crate) fn is_empty(&self) -> bool {
        self.by_topic.is_empty()
    }

    /// Adds what is about to be made visible.
    pub(crate) fn stage(&mut self, message: &Arc<Publication>, directory: &Directory) {
        let (messages, bytes) = self.growth(message, directory);
        self.messages += messages;
        self.bytes += bytes;
        self.by_topic.insert(message.topic.as_str().into(), Arc::clone(message));
    }

    /// How many retained messages, of how many bytes, there will be with this one.
    pub(crate) fn totals_with(&self, message: &Publication, directory: &Directory) -> (u64, u64) {
        let (messages, bytes) = self.growth(message, directory);
        (
            directory.retained_messages().saturating_add_signed(self.messages + messages),
            directory.retained_bytes().saturating_add_signed(self.bytes + bytes),
        )
    }

    /// What one message changes: it counts, and the one it replaces counts no more.
    fn growth(&self, message: &Publication, directory: &Directory) -> (i64, i64) {
        let (messages, bytes) = weight(message);
        let kept = || {
            directory.retained.read(|retained| retained.get(&message.topic).map(|message| weight(message)))
        };
        let replaced = self.by_topic.get(message.topic.as_str()).map(|message| weight(message)).or_else(kept);
        let (messages_replaced, bytes_replaced) = replaced.unwrap_or_default();
        (messages - messages_replaced, bytes - bytes_replaced)
    }
}

/// What a message adds to the retained ones of clients; an empty one clears its topic.
fn weight(message: &Publication) -> (i64, i64) {
    let counts = !message.payload.is_empty() && !message.is_of_broker();
    if counts { (1, message.bytes().cast_signed()) } else { (0, 0) }
}

impl Shard {
    /// Takes retained messages from the tree while the session has room for them. A value is read when it
    /// takes its place in the window, never earlier, so it is never older than a live one already sent.
    pub(crate) fn transmit_retained(&mut self, slot: usize, turn: &mut Turn<'_>) {
        // The tree does not show yet what this turn has published, and the live message may be ahead of it. The
        // flush that follows goes on here.
        if !turn.fx.retained_staged.is_empty() {
            return;
        }
        let mut visits = RETAINED_VISITS_PER_TURN;
        while visits > 0 {
            if !self.sessions[slot].session.has_window_room(&self.limits) {
                return;
            }
            let Some((place, filter, mut phase)) = self.sessions[slot].retained.take_open() else { return };
            self.advance_phase(slot, &mut phase, &mut visits, turn);
            let retained = &mut self.sessions[slot].retained;
            match phase.cursor.is_done() {
                true => self.end_phase(slot, &filter, turn),
                false => retained.put_back(place, filter, phase),
            }
        }
    }

    fn end_phase(&mut self, slot: usize, filter: &str, turn: &mut Turn<'_>) {
        self.sessions[slot].retained.give_back_room();
        self.record_session(slot, SessionChange::RetainedSent { filter: filter.into() }, turn);
    }

    fn advance_phase(
        &mut self,
        slot: usize,
        phase: &mut RetainedPhase,
        visits: &mut usize,
        turn: &mut Turn<'_>,
    ) {
        let directory = turn.directory;
        let slice = (*visits).min(RETAINED_VISITS_PER_SLICE);
        *visits -= slice;
        let subscription = phase.subscription;
        let RetainedPhase { cursor, given, .. } = phase;
        let mut offer = |message: &Arc<Publication>| match given.contains(message.number) {
            true => ControlFlow::Continue(()),
            false => self.offer_retained(slot, message, subscription, turn),
        };
        directory.retained.read(|retained| cursor.advance(retained, slice, |_, message| offer(message)));
    }

    /// Sends one retained message, and says whether there is room for another.
    fn offer_retained(
        &mut self,
        slot: usize,
        message: &Arc<Publication>,
        Subscription { options, id }: Subscription,
        turn: &mut Turn<'_>,
    ) -> ControlFlow<()> {
        let resident = &mut self.sessions[slot];
        let is_own = options.no_local && *message.publisher == *resident.session.client_id;
        if is_own || message.is_expired(turn.now) {
            return ControlFlow::Continue(());
        }
        if !self.may_receive(slot, &message.topic) {
            return ControlFlow::Continue(());
        }
        let offer = Offer {
            message: Arc::clone(message),
            qos: message.qos.min(options.qos),
            retain: true,
            subscription_ids: id.map_or(SubscriptionIds::None, SubscriptionIds::One),
            group: None,
        };
        let session = &mut self.sessions[slot].session;
        session.offer_retained(offer, &mut self.session_fx);
        self.send_owed(slot, turn.now);
        match self.sessions[slot].session.has_window_room(&self.limits) {
            true => ControlFlow::Continue(()),
            false => ControlFlow::Break(()),
        }
    }

    /// Sees to it that a retained message is forgotten once it has expired. Until then look-ups pass over it.
    pub(crate) fn sweep_later(&mut self, turn: &Turn<'_>) {
        let sweep = &mut self.retained_sweep;
        sweep.has_work = true;
        if !sweep.is_armed {
            sweep.is_armed = true;
            self.timers.arm(turn.now + SWEEP_INTERVAL_MILLIS, turn.now, Timer::RetainedSweep);
        }
    }

    /// Looks at the next slice of retained messages.
    pub(crate) fn sweep_retained(&mut self, turn: &mut Turn<'_>) {
        let sweep = &mut self.retained_sweep;
        let cursor = sweep.cursor.get_or_insert_with(|| {
            sweep.has_work = false;
            RetainedCursor::new(&TopicFilter::parse("#").expect("# is a filter"))
        });
        let (changes, now) = (&mut turn.fx.changes, turn.now);
        let has_work = &mut sweep.has_work;
        let mut look = |_: &str, message: &Arc<Publication>| {
            *has_work |= message.expires_at.is_some();
            if message.is_expired(now) {
                changes
                    .push(Change::Forget { topic: message.topic.as_str().into(), message: message.number });
            }
            ControlFlow::Continue(())
        };
        let is_done = (0..SWEEP_SLICES).any(|_| {
            turn.directory
                .retained
                .read(|retained| cursor.advance(retained, SWEEP_VISITS_PER_SLICE, &mut look))
        });
        if is_done {
            sweep.cursor = None;
        }
        sweep.is_armed = !is_done || sweep.has_work;
        if sweep.is_armed {
            self.timers.arm(turn.now + SWEEP_INTERVAL_MILLIS, turn.now, Timer::RetainedSweep);
        }
    }
}

/// Nodes of the retained tree looked at for one session before others have their turn.
const RETAINED_VISITS_PER_TURN: usize = 4096;
/// Nodes looked at in one go; meanwhile the tree does not change, so this is about 30 µs.
const RETAINED_VISITS_PER_SLICE: usize = 64;
/// Time between two slices of the sweep.
const SWEEP_INTERVAL_MILLIS: u64 = 1000;
/// Slices of the sweep a second, and nodes looked at in one of them.
const SWEEP_SLICES: usize = 64;
const SWEEP_VISITS_PER_SLICE: usize = 256;
