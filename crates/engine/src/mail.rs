//! What shards tell each other, as plain values.

use crate::directory::Subscriber;
use noctule_codec::{Packet, QoS, ReasonCode};
use noctule_session::{ConnectionId, GroupNumber, Outgoing, Publication, SubscriptionIds};
use std::sync::Arc;

/// The number of a shard, from 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ShardId(pub u16);

/// One session that a publication goes to, with everything its overlapping subscriptions say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// The session.
    pub subscriber: Subscriber,
    /// The highest granted QoS among them [MQTT-3.3.4-2].
    pub qos: QoS,
    /// One of them wants the RETAIN flag as published.
    pub retain_as_published: bool,
    /// Their identifiers [MQTT-3.3.4-3].
    pub subscription_ids: SubscriptionIds,
}

/// A message from shard to shard.
#[derive(Clone, Debug)]
pub enum Mail {
    /// A publication and the sessions of the receiving shard that it goes to.
    Deliver {
        /// The publication.
        message: Arc<Publication>,
        /// Who gets it.
        targets: Vec<Target>,
    },
    /// A shared group gives a publication to one of its members.
    Share {
        /// The group.
        group: GroupNumber,
        /// The publication.
        message: Arc<Publication>,
        /// The member.
        target: Target,
        /// The group has more waiting.
        has_more: bool,
    },
    /// Nobody could take this publication, or a member gives it back: it waits with its group.
    Backlog {
        /// The group.
        group: GroupNumber,
        /// The publication.
        message: Arc<Publication>,
    },
    /// A member of a group can take more.
    Room {
        /// The group.
        group: GroupNumber,
        /// The member.
        member: Subscriber,
        /// How many messages.
        places: u16,
    },
    /// A member left the group; without members its backlog ends.
    Left {
        /// The group.
        group: GroupNumber,
    },
}

/// A packet that waits for records to become durable. It dies with its connection.
#[derive(Clone, Debug)]
pub struct Promise {
    /// Who gets it.
    pub connection: ConnectionId,
    /// What.
    pub packet: Outgoing,
    /// What else happens then.
    pub then: Then,
}

/// What happens when a promise is kept.
#[derive(Clone, Debug, Default)]
pub enum Then {
    /// Nothing more.
    #[default]
    Nothing,
    /// Everything behind the CONNACK may leave.
    Open,
    /// One acknowledgement of a publication fewer is outstanding.
    AckLeft,
    /// The subscriptions are in force everywhere: their retained messages may follow.
    Retained,
}

/// Why the broker ends a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// What a 5.0 client is told.
    pub reason_code: ReasonCode,
    /// Why, in words for a person.
    pub cause: String,
}

impl Promise {
    /// Whether it may be kept only after grace: the change of subscriptions behind it is visible, every other
    /// shard has finished a turn that began after that, and the mail of this shard has been drained. Then no
    /// publication that was routed before can still arrive.
    pub fn needs_grace(&self) -> bool {
        let is_unsuback =
            matches!(&self.packet, Outgoing::Packet(packet) if matches!(**packet, Packet::UnsubAck(_)));
        is_unsuback || matches!(self.then, Then::Retained)
    }
}

impl Violation {
    /// The connection ends with this code for this cause. A cause that repeats what a client wrote can be of
    /// any length; it is cut to what a person reads and a reason string can hold.
    pub fn new(reason_code: ReasonCode, cause: impl Into<String>) -> Self {
        let mut cause = cause.into();
        if cause.len() > CAUSE_BYTES_MAX {
            cause.truncate(cause.floor_char_boundary(CAUSE_BYTES_MAX));
            cause.push('…');
        }
        Self { reason_code, cause }
    }
}

/// The longest cause, in bytes; a reason string ends at 65,535.
const CAUSE_BYTES_MAX: usize = 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_cause_is_cut_between_characters() {
        let cause = |text: &str| Violation::new(ReasonCode::ProtocolError, text).cause;
        assert_eq!(cause("short"), "short");
        assert_eq!(cause(&"x".repeat(1024)), "x".repeat(1024));
        assert_eq!(cause(&"x".repeat(1025)), "x".repeat(1024) + "…");
        assert_eq!(cause(&"€".repeat(70_000)), "€".repeat(341) + "…");
    }
}
