//! PINGREQ and its answer.
//!
//! A PINGRESP stands behind what needs nothing of the client: messages that are read back from the journal, those whose
//! records are on their way to the disk, and the SUBACK and the retained messages of a new subscription. So who has the
//! answer has them. It waits for the broker's own work alone, never for an acknowledgement, nor until the client reads.

use crate::directory::Subscriber;
use crate::resident::Resident;
use crate::shard::{Shard, Turn};
use noctule_session::HeldPing;

impl Shard {
    /// Answers a client that asks whether the broker is there, once what is to come before is on its way. A second ping
    /// does not wait behind the first.
    pub(crate) fn handle_pingreq(&mut self, slot: usize, turn: &mut Turn<'_>) {
        let has_to_wait = self.is_work_under_way(slot);
        let link = self.sessions[slot].session.link.as_deref_mut();
        match link.map(|link| &mut link.output.held_ping) {
            Some(held @ HeldPing::None) if has_to_wait => *held = HeldPing::Waiting,
            _ => self.answer_ping(slot, turn),
        }
    }

    /// Answers the ping that waits, unless more comes before it.
    pub(crate) fn answer_waiting_ping(&mut self, slot: usize, turn: &mut Turn<'_>) {
        if !self.is_work_under_way(slot) {
            self.let_ping_go(slot, turn);
        }
    }

    /// Contents that were asked for cannot be read now; they come when they can. A ping does not wait for a disk
    /// that fails.
    pub fn delay_contents(&mut self, subscriber: Subscriber, turn: &mut Turn<'_>) {
        if self.resident(subscriber).is_some() {
            self.let_ping_go(subscriber.slot as usize, turn);
        }
    }

    /// Answers the ping that waits, if there is one.
    pub(crate) fn let_ping_go(&mut self, slot: usize, turn: &mut Turn<'_>) {
        let link = self.sessions[slot].session.link.as_deref_mut();
        if let Some(held @ HeldPing::Waiting) = link.map(|link| &mut link.output.held_ping) {
            *held = HeldPing::None;
            self.answer_ping(slot, turn);
        }
    }

    fn answer_ping(&mut self, slot: usize, turn: &mut Turn<'_>) {
        self.sessions[slot].session.answer_ping(&mut self.session_fx);
        self.collect(slot, turn);
    }

    /// Whether something comes for the session that needs nothing of its client.
    fn is_work_under_way(&mut self, slot: usize) -> bool {
        let Resident { session, retained, is_loading, .. } = &mut self.sessions[slot];
        let is_subscribing = session.link.as_ref().is_some_and(|link| link.subscriptions_promised > 0);
        *is_loading || is_subscribing || (retained.has_open() && session.has_window_room(&self.limits))
    }
}
