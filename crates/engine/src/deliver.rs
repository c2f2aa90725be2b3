//! Routing a publication to sessions, and what a session gets to send.

use crate::directory::Interest;
use crate::mail::{Mail, Target};
use crate::resident::Resident;
use crate::shard::{Shard, Turn};
use crate::{Directory, FrameTarget, Subscriber};
use noctule_auth::Action;
use noctule_codec::QoS;
use noctule_session::{DropReason, Offer, Publication, SessionNumber, SubscriptionIds};
use std::sync::Arc;

/// Who gets one publication: one entry per session, in the order of homes and sessions.
#[derive(Debug, Default)]
pub(crate) struct Targets {
    entries: Vec<(Subscriber, Interest)>,
    merged: Vec<(Target, bool)>,
}

impl Targets {
    /// Finds the sessions that want a publication. Overlapping subscriptions of one session become one
    /// delivery with the highest QoS and all identifiers [MQTT-3.3.4-2, -4]. Says how many nodes it visited.
    pub(crate) fn collect(
        &mut self,
        directory: &Directory,
        message: &Publication,
        publisher: Option<SessionNumber>,
    ) -> usize {
        self.entries.clear();
        self.merged.clear();
        let visits = directory.filters.for_each_match(&message.topic, |subscriber, interest| {
            // No Local keeps a publication from its own publisher [MQTT-3.8.3-3].
            if !(interest.options.no_local && publisher == Some(subscriber.session)) {
                self.entries.push((subscriber, *interest));
            }
        });
        // One filter's subscribers come in order; only several filters need sorting.
        if !self.entries.is_sorted_by_key(|(subscriber, _)| *subscriber) {
            self.entries.sort_by_key(|(subscriber, _)| *subscriber);
        }
        for (subscriber, interest) in &self.entries {
            match self.merged.last_mut() {
                Some((target, durable)) if target.subscriber == *subscriber => {
                    target.add(interest);
                    *durable |= interest.durable;
                }
                _ => self.merged.push((Target::new(*subscriber, interest), interest.durable)),
            }
        }
        visits
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.merged.is_empty()
    }

    /// Whether a session that survives a restart is owed the publication above QoS 0.
    pub(crate) fn has_durable(&self, qos: QoS) -> bool {
        self.merged.iter().any(|(target, durable)| *durable && target.qos.min(qos) > QoS::AtMostOnce)
    }

    /// What durable sessions are owed, for the publication's record.
    pub(crate) fn durable(&self, message: &Publication) -> Vec<FrameTarget> {
        let durable = self.merged.iter().filter(|(_, durable)| *durable);
        let owed = durable.map(|(target, _)| FrameTarget {
            session: target.subscriber.session,
            qos: target.qos.min(message.qos),
            retain: target.retains(message),
            subscription_ids: target.subscription_ids.clone(),
        });
        owed.filter(|owed| owed.qos > QoS::AtMostOnce).collect()
    }
}

impl Target {
    /// A session with the first of its subscriptions that match.
    pub(crate) fn new(subscriber: Subscriber, interest: &Interest) -> Self {
        let mut target = Self {
            subscriber,
            qos: QoS::AtMostOnce,
            retain_as_published: false,
            subscription_ids: SubscriptionIds::None,
        };
        target.add(interest);
        target
    }

    /// The RETAIN flag of the delivery [MQTT-3.3.1-12], [MQTT-3.3.1-13].
    fn retains(&self, message: &Publication) -> bool {
        message.retain && self.retain_as_published
    }

    fn add(&mut self, interest: &Interest) {
        self.qos = self.qos.max(interest.options.qos);
        self.retain_as_published |= interest.options.retain_as_published;
        if interest.id > 0 {
            self.subscription_ids.add(interest.id);
        }
    }
}

impl Shard {
    /// Delivers to the sessions that live here and mails the rest, one piece of mail per shard.
    pub(crate) fn deliver_route(
        &mut self,
        message: &Arc<Publication>,
        targets: &mut Targets,
        turn: &mut Turn<'_>,
    ) {
        let mut targets = targets.merged.drain(..).map(|(target, _)| target).peekable();
        while let Some(target) = targets.next() {
            let home = target.subscriber.home;
            if home == self.config.id {
                self.deliver(message, target, turn);
                continue;
            }
            let mut there = vec![target];
            while let Some(target) = targets.next_if(|target| target.subscriber.home == home) {
                there.push(target);
            }
            turn.fx.mail.push((home, Mail::Deliver { message: Arc::clone(message), targets: there }));
        }
    }

    pub(crate) fn deliver_all(
        &mut self,
        message: &Arc<Publication>,
        targets: Vec<Target>,
        turn: &mut Turn<'_>,
    ) {
        for target in targets {
            self.deliver(message, target, turn);
        }
    }

    /// Gives a publication to a session of this shard.
    fn deliver(&mut self, message: &Arc<Publication>, target: Target, turn: &mut Turn<'_>) {
        // An entry for a session that has ended is void.
        if self.resident(target.subscriber).is_none() {
            return;
        }
        let slot = target.subscriber.slot as usize;
        let offer = Offer {
            message: Arc::clone(message),
            qos: message.qos.min(target.qos),
            retain: target.retains(message),
            subscription_ids: target.subscription_ids,
            group: None,
        };
        if !self.is_permitted(slot, &Action::Receive { topic: &message.topic }) {
            self.sessions[slot].session.refuse(offer, DropReason::NotAuthorized, &mut self.session_fx);
            return self.collect(slot, turn);
        }
        self.offer(slot, offer, turn);
    }

    /// Lets a session take a message and send what it can.
    pub(crate) fn offer(&mut self, slot: usize, offer: Offer, turn: &mut Turn<'_>) {
        let session = &mut self.sessions[slot].session;
        session.offer(offer, &self.limits, &mut self.session_fx);
        session.transmit(turn.now, &self.limits, &mut self.session_fx);
        self.collect(slot, turn);
    }

    /// Moves on whatever the session has room for: what it is owed, then retained messages of new
    /// subscriptions, then what its shared groups hold back.
    pub(crate) fn transmit(&mut self, slot: usize, turn: &mut Turn<'_>) {
        let session = &mut self.sessions[slot].session;
        session.transmit(turn.now, &self.limits, &mut self.session_fx);
        if !self.sessions[slot].retained.is_empty() {
            self.transmit_retained(slot, turn);
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
