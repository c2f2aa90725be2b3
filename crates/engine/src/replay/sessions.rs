//! Sessions as their records make them.

use super::phases::{Phases, RememberedPhase};
use noctule_auth::Origin;
use noctule_codec::PacketId;
use noctule_session::{
    DropReason, GroupNumber, Instant, MessageNumber, Owed, Phase, Session, SessionChange, SessionNumber,
    Settlement,
};
use std::sync::Arc;

/// A session that a restart brings back.
#[derive(Debug)]
pub struct RememberedSession {
    /// What it was, without a connection. What it is owed has no content in memory.
    pub session: Session,
    /// Who opened it last.
    pub user_name: Option<Box<str>>,
    /// Where that client came from.
    pub origin: Origin,
    /// Its connection had not ended when the records do. With the broker's end it has.
    pub is_connected: bool,
    /// When its last connection ended; `None` while there was one.
    pub detached_at: Option<Instant>,
    /// The subscriptions that still bring retained messages, in the order in which they do.
    pub retained_phases: Vec<RememberedPhase>,
}

/// A session on the way there.
#[derive(Debug)]
pub(super) struct Replayed {
    session: Session,
    /// A record that was not said again may come before the one that opens it.
    is_opened: bool,
    user_name: Option<Box<str>>,
    origin: Origin,
    ids_up_to: Option<PacketId>,
    is_connected: bool,
    detached_at: Option<Instant>,
    phases: Phases,
}

impl Replayed {
    pub(super) fn new(number: SessionNumber) -> Self {
        Self {
            session: Session::new(number, Arc::default()),
            is_opened: false,
            user_name: None,
            origin: Origin::default(),
            ids_up_to: None,
            is_connected: false,
            detached_at: None,
            phases: Phases::default(),
        }
    }

    /// It has a connection, the first or another one.
    pub(super) fn open(&mut self, client_id: Arc<str>, user_name: Option<Box<str>>, origin: Origin) {
        self.session.client_id = client_id;
        (self.user_name, self.origin) = (user_name, origin);
        self.is_opened = true;
        self.is_connected = true;
        self.detached_at = None;
    }

    /// Its connection has ended.
    pub(super) fn detach(&mut self, at: Instant) {
        self.is_connected = false;
        self.detached_at = Some(at);
    }

    pub(super) fn apply(&mut self, change: &SessionChange) {
        self.session.apply(change);
    }

    /// Notes what of a change is not kept in the session.
    pub(super) fn note(&mut self, change: &SessionChange) {
        match change {
            SessionChange::IdsReserved { up_to } => self.ids_up_to = Some(*up_to),
            SessionChange::Subscribed { filter, brings_retained: true, .. } => self.phases.open(filter),
            SessionChange::RetainedGiven { filter, messages } => self.phases.go_on(filter, messages),
            SessionChange::RetainedSent { filter } | SessionChange::Unsubscribed { filter } => {
                self.phases.end(filter);
            }
            // What may have been sent was given before, and is only said again.
            SessionChange::Held { delivered, .. }
                if delivered.retain && delivered.phase == Phase::Waiting && !delivered.is_maybe_sent =>
            {
                self.phases.give(delivered.number);
            }
            _ => {}
        }
    }

    /// What a group is done with once this change is applied.
    pub(super) fn settles_for_group(&self, change: &SessionChange) -> Option<(GroupNumber, MessageNumber)> {
        let SessionChange::Settled { message, packet_id, .. } = change else { return None };
        let outbound = &self.session.outbound;
        let owed = match packet_id {
            Some(packet_id) => outbound.find(*packet_id),
            None => outbound.find_waiting(*message),
        };
        Some((owed?.group()?, owed?.number))
    }

    /// It no longer holds what it took of a group.
    pub(super) fn lose(&mut self, group: GroupNumber, message: MessageNumber) {
        let is_it = |owed: &&Owed| owed.number == message && owed.group() == Some(group);
        let lost = self.session.outbound.iter().find(is_it).map(Owed::packet_id);
        lost.into_iter().for_each(|packet_id| self.drop_delivery(message, packet_id));
    }

    /// The session, if it was ever opened.
    pub(super) fn finish(mut self) -> Option<RememberedSession> {
        if !self.is_opened {
            return None;
        }
        self.drop_lost();
        self.session.recover(self.ids_up_to, self.is_connected);
        Some(RememberedSession {
            session: self.session,
            user_name: self.user_name,
            origin: self.origin,
            is_connected: self.is_connected,
            detached_at: self.detached_at,
            retained_phases: self.phases.finish(),
        })
    }

    /// What has no content anywhere cannot be sent. A QoS 2 delivery that has begun is completed instead: the client
    /// may have it, and keeps its packet id until PUBREL.
    fn drop_lost(&mut self) {
        let lost = self.session.outbound.iter().filter(|owed| owed.is_lost());
        let lost: Vec<_> = lost.map(|owed| (owed.number, owed.packet_id(), owed.exchange())).collect();
        for (message, packet_id, exchange) in lost {
            match exchange {
                Some(packet_id) => self.session.apply(&SessionChange::Received { packet_id }),
                None => self.drop_delivery(message, packet_id),
            }
        }
    }

    fn drop_delivery(&mut self, message: MessageNumber, packet_id: Option<PacketId>) {
        // A session does not look at how a delivery ended.
        let settlement = Settlement::Dropped(DropReason::SessionEnded);
        self.session.apply(&SessionChange::Settled { message, packet_id, settlement });
    }
}
