//! A session: what the broker keeps while the client is away, and the client while the broker is.
//!
//! The fields change only in [`Session::apply`]. The connection in [`Session::link`] is the exception: it
//! dies with its socket and nothing of it is remembered.

use crate::change::SessionChange;
use crate::{Inbound, Instant, Link, Offer, Outbound, StoredWill, Subscriptions};
use noctule_codec::PacketId;
use std::sync::Arc;

/// The number of a session: never used again, so that an entry for an ended session is void.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SessionNumber(pub u64);

/// What one end keeps for one client id [MQTT-4.1.0-1]. A [`Client`](crate::client::Client) uses the two lists
/// and the expiry; the rest is the broker's.
#[derive(Debug)]
pub struct Session {
    /// Its number.
    pub number: SessionNumber,
    /// The client identifier, which names it [MQTT-3.1.3-2].
    pub client_id: Arc<str>,
    /// Seconds by which it outlives its connection; `u32::MAX`: for ever.
    pub session_expiry_interval: u32,
    /// What the client has subscribed to.
    pub subscriptions: Subscriptions,
    /// What the client is owed.
    pub outbound: Outbound,
    /// QoS 2 identifiers the client has not released.
    pub inbound: Inbound,
    /// What to publish when the connection ends abnormally.
    pub will: Option<Arc<StoredWill>>,
    /// The connection, while there is one.
    pub link: Option<Box<Link>>,
    /// When the will is to be published, once the connection has ended.
    pub will_due: Option<Instant>,
    /// When the session ends, once the connection has ended.
    pub expires_at: Option<Instant>,
}

impl Session {
    /// A session without state.
    pub fn new(number: SessionNumber, client_id: Arc<str>) -> Self {
        Self {
            number,
            client_id,
            session_expiry_interval: 0,
            subscriptions: Subscriptions::default(),
            outbound: Outbound::default(),
            inbound: Inbound::default(),
            will: None,
            link: None,
            will_due: None,
            expires_at: None,
        }
    }

    /// Whether it outlives its connection, so that its changes are worth recording.
    pub fn is_durable(&self) -> bool {
        self.session_expiry_interval > 0
    }

    /// When the connection ended, as far as something still depends on it.
    pub fn detached_at(&self) -> Option<Instant> {
        let expiry = self.expires_at.map(|at| (at, self.session_expiry_interval));
        let will = || Some((self.will_due?, self.will.as_ref()?.delay_seconds));
        let (due, seconds) = expiry.or_else(will)?;
        Some(Instant::from_millis(due.as_millis().saturating_sub(u64::from(seconds) * 1000)))
    }

    /// What it costs to keep, in bytes, without the publications it is owed: these are shared.
    pub fn bytes(&self) -> u64 {
        let subscriptions = self.subscriptions.filter_bytes() * FILTER_COPIES
            + self.subscriptions.len() as u64 * SUBSCRIPTION_FLAT_BYTES;
        let will = self.will.as_ref().map_or(0, |will| will.bytes());
        SESSION_FLAT_BYTES + self.client_id.len() as u64 + subscriptions + will + self.outbound.room_bytes()
    }

    /// Leaves contents it is owed to the journal: all of them while the client is away, otherwise those that are
    /// far behind.
    pub fn let_go(&mut self, done: &mut Vec<Arc<crate::Publication>>) {
        self.outbound.let_go(self.link.is_some(), done);
    }

    /// Lets its empty queues keep no places. Who sends again pays for new ones, so this is for a session that
    /// rests.
    pub fn give_back_room(&mut self) {
        self.outbound.give_back_room();
        self.inbound.give_back_room();
        if let Some(link) = &mut self.link {
            link.output.give_back_room();
        }
    }

    /// The only place where the state of a session changes.
    pub fn apply(&mut self, change: &SessionChange) {
        match change {
            SessionChange::Owed { message, qos, retain, subscription_ids, group } => {
                let (message, subscription_ids) = (Arc::clone(message), subscription_ids.clone());
                self.owe(Offer { message, qos: *qos, retain: *retain, subscription_ids, group: *group });
            }
            SessionChange::Held { delivered, position } => {
                self.outbound.hold((**delivered).clone(), *position);
            }
            SessionChange::Begun { message, packet_id } => self.outbound.begin(*message, *packet_id),
            SessionChange::Received { packet_id } => self.outbound.receive(*packet_id),
            SessionChange::Settled { message, packet_id, .. } => self.outbound.settle(*message, *packet_id),
            SessionChange::InboundTaken { packet_id } => self.inbound.insert(*packet_id),
            SessionChange::InboundReleased { packet_id } => {
                self.inbound.remove(*packet_id);
            }
            SessionChange::Subscribed { filter, subscription, .. } => {
                self.subscriptions.insert(filter, *subscription);
            }
            // What follows from these is not kept in the session.
            SessionChange::IdsReserved { .. }
            | SessionChange::RetainedSent { .. }
            | SessionChange::RetainedGiven { .. } => {}
            SessionChange::Unsubscribed { filter } => self.subscriptions.remove(filter),
            SessionChange::ExpirySet { session_expiry_interval } => {
                self.session_expiry_interval = *session_expiry_interval;
            }
            SessionChange::WillSet { will } => self.will.clone_from(will),
            SessionChange::Restarted => {
                self.outbound.restart();
                self.inbound.clear();
            }
        }
    }

    /// Comes back after a crash or a stop, made of its records. One that was connected may have been sent messages
    /// that no record marks as sent; no packet id is used again before the last one that was reserved.
    pub fn recover(&mut self, ids_up_to: Option<PacketId>, was_connected: bool) {
        self.outbound.end_of_records();
        if let Some(up_to) = ids_up_to {
            self.outbound.pass_over_ids(up_to);
        }
        if was_connected {
            self.outbound.suspect();
        }
    }

    /// What [`SessionChange::Owed`] does, without a reference to the message more than is kept.
    pub(crate) fn owe(&mut self, offer: Offer) {
        self.outbound.push(offer.owed());
    }

    /// The same of what the record of the publication says: the delivery stands where that does, wherever else the
    /// message has been recorded meanwhile.
    pub(crate) fn owe_as_published(&mut self, offer: Offer) {
        let mut owed = offer.owed();
        owed.stand_with_publication();
        self.outbound.push(owed);
    }
}

/// The flat cost of a session in bytes, its connection included.
const SESSION_FLAT_BYTES: u64 = 1024;
/// The flat cost of a subscription in bytes, here and in the index.
const SUBSCRIPTION_FLAT_BYTES: u64 = 128;
/// The session and the index each have the text of a filter.
const FILTER_COPIES: u64 = 2;
