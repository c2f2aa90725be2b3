//! Giving a publication to sessions, and what a session gets to send.

use crate::mail::{Mail, ShardId};
use crate::resident::Resident;
use crate::route::{Route, Target};
use crate::shard::{Shard, Turn};
use noctule_auth::Action;
use noctule_session::{DropReason, Instant, Offer, Publication, SessionNumber};
use std::sync::Arc;

impl Shard {
    /// Mails a publication to other shards, one piece of mail for each: references to it and to its route. Then
    /// delivers to the sessions that live here.
    pub(crate) fn deliver_route(
        &mut self,
        message: Arc<Publication>,
        route: &Arc<Route>,
        publisher: Option<SessionNumber>,
        turn: &mut Turn<'_>,
    ) {
        for home in route.homes().filter(|home| *home != self.config.id) {
            let (message, route) = (Arc::clone(&message), Arc::clone(route));
            turn.fx.mail_to(home, Mail::Deliver { message, route, publisher });
        }
        self.deliver_here(message, route, publisher, turn);
    }

    /// Delivers to the sessions of a route that live here. The last one gets the reference itself: most
    /// publications have one receiver, and counting references costs more than it looks.
    pub(crate) fn deliver_here(
        &mut self,
        message: Arc<Publication>,
        route: &Route,
        publisher: Option<SessionNumber>,
        turn: &mut Turn<'_>,
    ) {
        let Some((last, others)) = route.targets(self.config.id).split_last() else {
            return self.publications.give_back(message);
        };
        for target in others {
            self.deliver(Arc::clone(&message), target, publisher, turn);
        }
        self.deliver(message, last, publisher, turn);
    }

    /// Reads a publisher no further while a shard that it feeds has too much mail. The shard itself goes on.
    pub(crate) fn block_if_full(&mut self, slot: usize, route: &Arc<Route>, turn: &Turn<'_>) {
        if self.leads_to_full(route, turn) {
            self.sessions[slot].blocked_on = Some(Arc::clone(route));
        }
    }

    /// Whether a publisher still feeds a shard that has too much mail.
    pub(crate) fn is_blocked(&mut self, slot: usize, turn: &Turn<'_>) -> bool {
        let Some(route) = self.sessions[slot].blocked_on.take() else { return false };
        self.block_if_full(slot, &route, turn);
        self.sessions[slot].blocked_on.is_some()
    }

    fn leads_to_full(&self, route: &Route, turn: &Turn<'_>) -> bool {
        if route.stays_in(self.config.id) {
            return false;
        }
        let bytes_max = self.limits.mailbox_bytes_max;
        let is_full = |home| turn.directory.mail.bytes(home) + turn.fx.mail_bytes > bytes_max;
        // A message for a group may go to any shard, and by way of another.
        let anywhere = (0..self.config.shards).filter(|_| !route.groups.is_empty()).map(ShardId);
        anywhere.chain(route.homes().filter(|home| *home != self.config.id)).any(is_full)
    }

    /// Gives a publication to a session of this shard.
    fn deliver(
        &mut self,
        message: Arc<Publication>,
        target: &Target,
        publisher: Option<SessionNumber>,
        turn: &mut Turn<'_>,
    ) {
        let Some(target) = target.for_publisher(publisher) else {
            return self.publications.give_back(message);
        };
        // An entry for a session that has ended is void.
        if self.resident(target.subscriber).is_none() {
            return self.publications.give_back(message);
        }
        turn.fx.work += 1;
        let slot = target.subscriber.slot as usize;
        let offer = Offer {
            qos: message.qos.min(target.qos),
            retain: target.retains(&message),
            subscription_ids: target.subscription_ids.clone(),
            group: None,
            message,
        };
        if !self.may_receive(slot, &offer.message.topic) {
            self.sessions[slot].session.refuse(offer, DropReason::NotAuthorized, &mut self.session_fx);
            return self.collect(slot, turn);
        }
        self.offer(slot, offer, turn);
    }

    /// Lets a session take a message and send what it can.
    #[inline(always)]
    pub(crate) fn offer(&mut self, slot: usize, offer: Offer, turn: &mut Turn<'_>) {
        let resident = &mut self.sessions[slot];
        let session = &mut resident.session;
        session.offer(offer, &self.limits, &mut self.session_fx);
        let is_durable = session.is_durable();
        match resident.asks_again {
            false => session.transmit(turn.now, &self.limits, &mut self.session_fx),
            true => self.send_what_is_permitted(slot, turn.now),
        }
        if is_durable {
            self.let_go_later(slot);
        }
        self.collect(slot, turn);
    }

    /// Sends what a session is owed and there is room for.
    #[inline(always)]
    pub(crate) fn send_owed(&mut self, slot: usize, now: Instant) {
        let resident = &mut self.sessions[slot];
        if resident.asks_again || !resident.standing.is_of(self.season) {
            return self.send_what_is_permitted(slot, now);
        }
        resident.session.transmit(now, &self.limits, &mut self.session_fx);
    }

    /// The same where messages were queued by other rules than those of now: each is asked for before it is sent for
    /// the first time. A delivery that has begun is completed.
    #[cold]
    #[inline(never)]
    fn send_what_is_permitted(&mut self, slot: usize, now: Instant) {
        if !self.sessions[slot].standing.is_of(self.season) {
            self.renew_rights(slot);
        }
        let Self { sessions, authority, limits, session_fx, .. } = self;
        let Resident { session, identity, asks_again, .. } = &mut sessions[slot];
        while session.has_output_room(limits) {
            let next = session.next_to_begin();
            let is_denied = next.is_some_and(|message| {
                !authority.allows(identity, &Action::Receive { topic: &message.topic })
            });
            if is_denied {
                session.refuse_next(DropReason::NotAuthorized, session_fx);
            } else if !session.transmit_next(now, limits, session_fx) {
                break;
            }
        }
        *asks_again = session.outbound.waiting_len() > 0;
    }

    /// Moves on whatever the session has room for: what it is owed, then retained messages of new
    /// subscriptions, then what its shared groups hold back.
    pub(crate) fn transmit(&mut self, slot: usize, turn: &mut Turn<'_>) {
        self.send_owed(slot, turn.now);
        // Also for a session that ends with this connection: one that outlived the last has contents in the journal.
        self.ask_for_contents(slot, turn);
        if !self.sessions[slot].retained.is_empty() {
            self.transmit_retained(slot, turn);
            self.answer_waiting_ping(slot, turn);
        }
        self.ask_for_more(slot, turn);
        self.collect(slot, turn);
    }

    /// Whether a flush of the session's connection would find something to send.
    pub(crate) fn has_more(&mut self, slot: usize) -> bool {
        let Resident { session, retained, .. } = &mut self.sessions[slot];
        let waits = session.link.as_ref().is_some_and(|link| !link.output.is_empty());
        waits || (retained.has_open() && session.has_window_room(&self.limits))
    }
}
