//! Retained messages: how they reach new subscriptions, and how they are forgotten when they expire.

use crate::Change;
use crate::resident::RetainedPhase;
use crate::shard::{Shard, Turn};
use crate::timers::Timer;
use noctule_auth::Action;
use noctule_codec::QoS;
use noctule_session::{Offer, Publication, SubscriptionIds};
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

impl Shard {
    /// Takes retained messages from the tree while the session has room for them. A value is read when it
    /// takes its place in the window, never earlier, so it is never older than a live one already sent.
    pub(crate) fn transmit_retained(&mut self, slot: usize, turn: &mut Turn<'_>) {
        let mut visits = RETAINED_VISITS_PER_TURN;
        while visits > 0 {
            if !self.sessions[slot].session.has_window_room(&self.limits) {
                return;
            }
            let Some(mut phase) = self.sessions[slot].retained.pop_front() else { return };
            if !phase.is_open {
                return self.sessions[slot].retained.push_front(phase);
            }
            self.advance_phase(slot, &mut phase, &mut visits, turn);
            if !phase.cursor.is_done() {
                self.sessions[slot].retained.push_front(phase);
            }
        }
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
        let (qos, no_local, id) = (phase.qos, phase.no_local, phase.id);
        phase.cursor.advance(&directory.retained, slice, |_, message| {
            self.offer_retained(slot, message, (qos, no_local, id), turn)
        });
    }

    /// Sends one retained message, and says whether there is room for another.
    fn offer_retained(
        &mut self,
        slot: usize,
        message: &Arc<Publication>,
        (granted, no_local, id): (QoS, bool, Option<u32>),
        turn: &mut Turn<'_>,
    ) -> ControlFlow<()> {
        let resident = &mut self.sessions[slot];
        let is_own = no_local && *message.publisher == *resident.session.client_id;
        if is_own || message.is_expired(turn.now) {
            return ControlFlow::Continue(());
        }
        if !self.is_permitted(slot, &Action::Receive { topic: &message.topic }) {
            return ControlFlow::Continue(());
        }
        let offer = Offer {
            message: Arc::clone(message),
            qos: message.qos.min(granted),
            retain: true,
            subscription_ids: id.map_or(SubscriptionIds::None, SubscriptionIds::One),
            group: None,
        };
        let session = &mut self.sessions[slot].session;
        session.offer_retained(offer, &mut self.session_fx);
        session.transmit(turn.now, &self.limits, &mut self.session_fx);
        match session.has_window_room(&self.limits) {
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
        let is_done = cursor.advance(&turn.directory.retained, SWEEP_VISITS, |_, message| {
            sweep.has_work |= message.expires_at.is_some();
            if message.is_expired(now) {
                changes.push(Change::Forget { topic: message.topic.clone(), message: message.number });
            }
            ControlFlow::Continue(())
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
/// Nodes looked at in one go.
const RETAINED_VISITS_PER_SLICE: usize = 256;
/// Time between two slices of the sweep.
const SWEEP_INTERVAL_MILLIS: u64 = 1000;
/// Retained messages looked at in one slice of the sweep.
const SWEEP_VISITS: usize = 16_384;
