//! What can change in a session. State changes only by applying these, now and after a restart.

use crate::{Delivered, GroupNumber, MessageNumber, Position, Publication, StoredWill, SubscriptionIds};
use noctule_codec::{PacketId, QoS, ReasonCode, SubscriptionOptions};
use std::sync::Arc;

/// One step in the life of a session.
#[derive(Clone, Debug)]
pub enum SessionChange {
    /// A message joins what the session is owed.
    Owed {
        /// The publication.
        message: Arc<Publication>,
        /// The QoS of this delivery.
        qos: QoS,
        /// The RETAIN flag of this delivery.
        retain: bool,
        /// The subscriptions it answers.
        subscription_ids: SubscriptionIds,
        /// The shared group that gave it to this session.
        group: Option<GroupNumber>,
    },
    /// A delivery as it is now, which joins what the session is owed or replaces what was known of it.
    Held {
        /// The delivery.
        delivered: Box<Delivered>,
        /// Where its content is.
        position: Position,
    },
    /// The session may use the packet ids up to this one before the next are reserved.
    IdsReserved {
        /// The last of them.
        up_to: PacketId,
    },
    /// A waiting delivery has taken a place in the window under this packet id.
    Begun {
        /// The publication.
        message: MessageNumber,
        /// The id it travels under.
        packet_id: PacketId,
    },
    /// PUBREC has come for a QoS 2 delivery.
    Received {
        /// The id it travels under.
        packet_id: PacketId,
    },
    /// A delivery is over.
    Settled {
        /// The publication.
        message: MessageNumber,
        /// The id it travelled under, if it was sent above QoS 0.
        packet_id: Option<PacketId>,
        /// How it ended.
        settlement: Settlement,
    },
    /// A QoS 2 publication of the client was accepted under this id.
    InboundTaken {
        /// The id, until PUBREL.
        packet_id: PacketId,
    },
    /// The client has released the id.
    InboundReleased {
        /// The id.
        packet_id: PacketId,
    },
    /// A subscription was made or replaced.
    Subscribed {
        /// The filter as the client wrote it, with `$share/…`.
        filter: Box<str>,
        /// Its options.
        subscription: Subscription,
        /// It still brings retained messages.
        brings_retained: bool,
    },
    /// A subscription has brought the retained messages it asked for.
    RetainedSent {
        /// The filter as the client wrote it.
        filter: Box<str>,
    },
    /// Some of the retained messages that a subscription has brought, said again. It goes on to bring the others.
    RetainedGiven {
        /// The filter as the client wrote it.
        filter: Box<str>,
        /// The messages.
        messages: Box<[MessageNumber]>,
    },
    /// A subscription was removed.
    Unsubscribed {
        /// The filter as the client wrote it.
        filter: Box<str>,
    },
    /// How long the session outlives its connection, in seconds.
    ExpirySet {
        /// `u32::MAX`: for ever.
        session_expiry_interval: u32,
    },
    /// The will of the current connection; `None` once it was published or dropped [MQTT-3.1.2-10].
    WillSet {
        /// The will.
        will: Option<Arc<StoredWill>>,
    },
    /// The peer's half of the session is gone: what it has not acknowledged is owed as new, and its packet
    /// identifiers mean nothing any more. Only a client's session lives on after that [MQTT-3.2.2-5].
    Restarted,
}

/// How a delivery ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Settlement {
    /// The client acknowledged it.
    Acknowledged,
    /// The client refused it with this code, which counts as acknowledged [MQTT-4.4.0-2].
    Rejected(ReasonCode),
    /// A QoS 0 message was sent.
    Sent,
    /// The broker dropped it.
    Dropped(DropReason),
}

/// Why the broker did not deliver a message. Every drop is counted and recorded under one of these.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum DropReason {
    /// Its Message Expiry Interval ran out while it waited.
    Expired,
    /// It waited longer than `limits.queue_age_max`.
    TooOld,
    /// The session's queue was full.
    QueueFull,
    /// The client did not read, and the message was QoS 0.
    OutputFull,
    /// It is longer than the client's Maximum Packet Size [MQTT-3.1.2-25], or its payload than
    /// `limits.payload_bytes_max`.
    Oversize,
    /// A permission refuses it.
    NotAuthorized,
    /// The client refused it with an error code.
    RejectedByClient,
    /// Its session ended first.
    SessionEnded,
    /// The shared subscription had nobody left to serve.
    GroupEnded,
    /// The topic name is not accepted.
    TopicNameInvalid,
    /// The broker's room for retained messages is used up.
    RetainedFull,
    /// The broker's memory for publications is used up.
    MemoryFull,
    /// The journal has no room, or its disk fails.
    JournalFull,
    /// Its content in the journal is damaged.
    Damaged,
}

impl DropReason {
    /// All of them, in the order in which they are listed.
    pub const ALL: [Self; 14] = [
        Self::Expired,
        Self::TooOld,
        Self::QueueFull,
        Self::OutputFull,
        Self::Oversize,
        Self::NotAuthorized,
        Self::RejectedByClient,
        Self::SessionEnded,
        Self::GroupEnded,
        Self::TopicNameInvalid,
        Self::RetainedFull,
        Self::MemoryFull,
        Self::JournalFull,
        Self::Damaged,
    ];

    /// The name under which it is counted.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Expired => "expired",
            Self::TooOld => "too_old",
            Self::QueueFull => "queue_full",
            Self::OutputFull => "output_full",
            Self::Oversize => "oversize",
            Self::NotAuthorized => "not_authorized",
            Self::RejectedByClient => "rejected_by_client",
            Self::SessionEnded => "session_ended",
            Self::GroupEnded => "group_ended",
            Self::TopicNameInvalid => "topic_name_invalid",
            Self::RetainedFull => "retained_full",
            Self::MemoryFull => "memory_full",
            Self::JournalFull => "journal_full",
            Self::Damaged => "damaged",
        }
    }
}

/// A subscription as its session keeps it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Subscription {
    /// Its options; the QoS is the granted one.
    pub options: SubscriptionOptions,
    /// Its identifier, 1 to 268,435,455.
    pub id: Option<u32>,
}
