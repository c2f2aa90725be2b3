//! What shards tell each other, as plain values.

use crate::directory::{Interest, Subscriber};
use crate::route::Route;
use noctule_codec::ReasonCode;
use noctule_session::{ConnectionId, Durability, GroupNumber, Outgoing, Publication, SessionNumber};
use std::sync::Arc;

/// The number of a shard, from 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ShardId(pub u16);

/// A message from shard to shard. It is moved five times from one shard to another, so it is small.
#[derive(Clone, Debug)]
pub enum Mail {
    /// A publication for sessions of the receiving shard.
    Deliver {
        /// The publication.
        message: Arc<Publication>,
        /// Who gets it, sessions of other shards included.
        route: Arc<Route>,
        /// Whose it is, for No Local.
        publisher: Option<SessionNumber>,
    },
    /// A shared group gives a publication to one of its members.
    Share {
        /// The group.
        group: GroupNumber,
        /// The publication.
        message: Arc<Publication>,
        /// The member.
        member: Subscriber,
        /// What it wants of the group's messages.
        interest: Interest,
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
    /// The sending shard has changed what all see, and asks to be told when nothing routed before that can
    /// come any more.
    Grace {
        /// Who asks.
        from: ShardId,
        /// Which of its questions this is.
        ticket: u64,
    },
    /// Everything of the sending shard that stands in the part of the journal that is to be freed has been sent.
    AllSent,
    /// The answer: everything that the sending shard routed before it saw the change stands in front of this.
    Graced {
        /// The question.
        ticket: u64,
    },
}

impl Mail {
    /// Bytes it keeps from being given back, estimated.
    pub fn bytes(&self) -> u64 {
        let content = match self {
            Self::Deliver { message, .. } | Self::Share { message, .. } | Self::Backlog { message, .. } => {
                message.bytes()
            }
            Self::Room { .. }
            | Self::Left { .. }
            | Self::Grace { .. }
            | Self::Graced { .. }
            | Self::AllSent => 0,
        };
        content + size_of::<Self>() as u64
    }
}

/// A packet that waits for records to become durable. It dies with its connection.
#[derive(Clone, Debug)]
pub struct Promise {
    /// Who gets it.
    pub connection: ConnectionId,
    /// What; nothing where only the shard waits.
    pub packet: Option<Outgoing>,
    /// What else happens then.
    pub then: Then,
    /// How safe the records it tells of have to be before it is kept; memory: it waits for none.
    pub durability: Durability,
    /// It tells of subscriptions, so it is kept only after [grace](crate::Shard::end_turn).
    pub needs_grace: bool,
}

impl Promise {
    /// A packet that waits for records alone.
    pub(crate) fn new(
        connection: ConnectionId,
        packet: Option<Outgoing>,
        then: Then,
        durability: Durability,
    ) -> Self {
        Self { connection, packet, then, durability, needs_grace: false }
    }
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
    /// The session may use the packet ids it has reserved.
    IdsReserved,
    /// The next part of a long publication may follow.
    PartKept,
    /// The subscriptions have ended everywhere.
    Unsubscribed,
    /// The subscriptions are in force everywhere: their retained messages may follow.
    Subscribed,
}

/// Why the broker ends a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// What a 5.0 client is told.
    pub reason_code: ReasonCode,
    /// Why, in words for a person.
    pub cause: String,
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

const _: () = assert!(size_of::<Mail>() <= 48, "it is moved for each message that crosses");
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
