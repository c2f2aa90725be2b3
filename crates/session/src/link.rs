//! The part of a session that lives and dies with one connection.

use crate::output::{HeldPing, Outgoing, Output, Wire};
use crate::{AliasesIn, AliasesOut, DropReason, Durability, Instant, OutgoingPublish, Pace, Terms};
use noctule_codec::{Connect, ProtocolVersion};
use std::sync::Arc;

/// A connection as the runtime names it. The generation tells a reused slot from its former owner.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnectionId {
    /// A small number, reused.
    pub slot: u32,
    /// How often the slot was reused.
    pub generation: u32,
}

/// The connection of a session.
#[derive(Debug)]
pub struct Link {
    /// Which connection.
    pub connection: ConnectionId,
    /// What the client can read.
    pub wire: Wire,
    /// What it was offered; a client of ours has none.
    pub terms: Option<Arc<Terms>>,
    /// What waits to be sent to it.
    pub output: Output,
    /// Aliases the client has given.
    pub aliases_in: AliasesIn,
    /// Messages the client lets be in flight at once.
    pub receive_maximum: u16,
    /// Acknowledgements of publications of the client that wait for their records.
    pub acks_promised: u16,
    /// How safe their records have to be, at most.
    pub acks_wait_for: Durability,
    /// Deliveries that wait for their records, or behind one that does.
    pub publishes_promised: u32,
    /// SUBACKs and UNSUBACKs that wait until what they tell of is in force everywhere.
    pub subscriptions_promised: u16,
    /// More packet ids are being reserved.
    pub is_reserving_ids: bool,
    /// The session was there before this connection.
    pub is_resumed: bool,
    /// QoS 1 and 2 publications of the client on this connection that have had neither PUBACK nor PUBCOMP
    /// [MQTT-3.3.4-7].
    pub unacknowledged: u16,
    /// Whether the client wants reason strings and user properties on any packet [MQTT-3.1.2-29].
    pub request_problem_information: bool,
    /// Longest silence allowed, in milliseconds, one and a half keep alives; 0: none.
    pub silence_millis_max: u32,
    /// How fast the client may still go.
    pub pace: Pace,
    /// When the client was last heard of.
    pub last_heard: Instant,
    /// The Session Expiry Interval it asked for at CONNECT, in seconds; a DISCONNECT cannot raise it from 0.
    pub connect_expiry_interval: u32,
}

impl Link {
    /// The connection that a CONNECT opens; `keep_alive_seconds` is the value in force.
    pub fn new(
        connection: ConnectionId,
        connect: &Connect<'_>,
        keep_alive_seconds: u16,
        terms: Arc<Terms>,
        now: Instant,
    ) -> Self {
        let limits = &terms.limits;
        let properties = &connect.properties;
        let alias_maximum = properties.topic_alias_maximum().unwrap_or(0).min(limits.topic_alias_maximum_out);
        let receive_maximum = match connect.version {
            ProtocolVersion::V5 => {
                properties.receive_maximum().unwrap_or(u16::MAX).min(limits.inflight_messages_max)
            }
            _ => limits.inflight_messages_max_v3,
        };
        Self {
            connection,
            wire: Wire {
                version: connect.version,
                packet_bytes_max: properties.maximum_packet_size().unwrap_or(u32::MAX),
                aliases: AliasesOut::new(alias_maximum),
                mount_bytes: u16::try_from(terms.mount_point.len()).unwrap_or(u16::MAX),
            },
            terms: Some(terms),
            output: Output::default(),
            aliases_in: AliasesIn::default(),
            receive_maximum,
            acks_promised: 0,
            acks_wait_for: Durability::Memory,
            publishes_promised: 0,
            subscriptions_promised: 0,
            is_reserving_ids: false,
            is_resumed: false,
            unacknowledged: 0,
            request_problem_information: properties.request_problem_information().unwrap_or(true),
            silence_millis_max: u32::from(keep_alive_seconds) * 1500,
            pace: Pace::default(),
            last_heard: now,
            connect_expiry_interval: connect.session_expiry_interval(),
        }
    }

    /// A client's own connection, before CONNACK has told what the server accepts.
    pub(crate) fn to_server(version: ProtocolVersion, now: Instant) -> Self {
        Self {
            connection: ConnectionId { slot: 0, generation: 0 },
            wire: Wire::new(version, u32::MAX, AliasesOut::default()),
            terms: None,
            output: Output::default(),
            aliases_in: AliasesIn::default(),
            receive_maximum: 0,
            acks_promised: 0,
            acks_wait_for: Durability::Memory,
            publishes_promised: 0,
            subscriptions_promised: 0,
            is_reserving_ids: false,
            is_resumed: false,
            unacknowledged: 0,
            request_problem_information: true,
            silence_millis_max: 0,
            pace: Pace::default(),
            last_heard: now,
            connect_expiry_interval: 0,
        }
    }

    /// One publication of the client fewer is unacknowledged. One that an earlier connection brought was never
    /// counted here [MQTT-4.9.0-1].
    pub fn acknowledged(&mut self) {
        self.unacknowledged = self.unacknowledged.saturating_sub(1);
    }

    /// Why the client cannot be sent this PUBLISH, ever. Most clients can be sent everything.
    #[inline(always)]
    pub(crate) fn cause_not_to_send(&self, publish: &OutgoingPublish, now: Instant) -> Option<DropReason> {
        match self.wire.takes_everything() {
            true => None,
            false => self.look_for_cause(publish, now),
        }
    }

    #[cold]
    fn look_for_cause(&self, publish: &OutgoingPublish, now: Instant) -> Option<DropReason> {
        if self.wire.mount_bytes > 0 && !self.is_mounted(&publish.message.topic) {
            return Some(DropReason::NotAuthorized);
        }
        self.wire.is_oversize(publish, now).then_some(DropReason::Oversize)
    }

    /// Whether a topic is below the mount point. One that is not comes of a subscription that was made elsewhere: the
    /// client has no name for it.
    fn is_mounted(&self, topic: &str) -> bool {
        let mount_point = self.terms.as_ref().map_or("", |terms| &terms.mount_point);
        topic.strip_prefix(mount_point).is_some_and(|rest| !rest.is_empty())
    }

    /// Sends a packet that was promised.
    pub fn keep_promise(&mut self, outgoing: Outgoing) {
        match outgoing {
            Outgoing::Publish(_) => self.publishes_promised = self.publishes_promised.saturating_sub(1),
            Outgoing::PingResp => self.output.held_ping = HeldPing::None,
            _ => {}
        }
        self.send(outgoing);
    }

    /// Queues a packet for the peer.
    pub fn send(&mut self, outgoing: Outgoing) {
        self.output.push(outgoing);
    }
}
