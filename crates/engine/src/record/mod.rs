//! What is worth remembering across a restart, in the order in which it happened.
//!
//! `encode.rs` and `decode.rs` have the bytes, which `docs/design/journal.md` lists; `wire.rs` has what both need.

mod brief;
mod decode;
mod encode;
mod frames;
#[cfg(test)]
pub(crate) mod testing;
mod wire;

pub use brief::brief;
pub use decode::{RecordError, content, contents, has_one_receiver, is_in_parts, moved_bytes, part};
pub use frames::Frames;

use noctule_auth::Origin;
use noctule_codec::{PacketId, QoS};
use noctule_session::{
    Delivered, GroupNumber, Instant, MessageNumber, Payload, Place, Publication, SessionChange,
    SessionNumber, SubscriptionIds,
};
use std::sync::Arc;

/// One entry of the journal. No entry names a shard.
#[derive(Clone, Debug)]
pub enum Record {
    /// A publication was accepted. Everything it owes to anybody is in this one record.
    Published(Box<Frame>),
    /// A part of the payload of a publication. It means nothing without the record that says where its parts stand,
    /// which comes behind them.
    Part(PayloadPart),
    /// The content of a publication, said again; it owes nothing to anybody.
    Moved(Arc<Publication>),
    /// The retained message of its topic, said again.
    Retained(Arc<Publication>),
    /// A session was opened for a client id, or has a connection again.
    SessionOpened {
        /// Its number.
        session: SessionNumber,
        /// The client id.
        client_id: Arc<str>,
        /// Who opened it, for the permissions that are asked for while the client is away.
        user_name: Option<Box<str>>,
        /// Where that client came from.
        origin: Box<Origin>,
    },
    /// Something changed in a session.
    Session {
        /// Which.
        session: SessionNumber,
        /// What.
        change: SessionChange,
    },
    /// The connection of a session ended.
    SessionDetached {
        /// Which session.
        session: SessionNumber,
        /// When.
        at: Instant,
    },
    /// A session ended, and with it everything it was owed.
    SessionEnded {
        /// Which.
        session: SessionNumber,
    },
    /// A number stands for a shared group. Several numbers may stand for one.
    GroupNamed {
        /// The number.
        group: GroupNumber,
        /// The share name.
        share_name: Box<str>,
        /// The filter.
        filter: Box<str>,
    },
    /// A group is still owed a message, said again with its content.
    GroupOwed {
        /// The group.
        group: GroupNumber,
        /// The message.
        message: Arc<Publication>,
    },
    /// A member of a shared group took a message that the group was owed.
    GroupTaken {
        /// The member.
        session: SessionNumber,
        /// What it took, and from which group.
        delivered: Delivered,
    },
    /// A message returned from a member to its group.
    GroupReturned {
        /// The group.
        group: GroupNumber,
        /// The message.
        message: MessageNumber,
    },
    /// A group is done with a message: a member settled it, or it was given up.
    GroupDropped {
        /// The group.
        group: GroupNumber,
        /// The message.
        message: MessageNumber,
    },
}

/// A part of a payload that is too long to be recorded in one piece.
#[derive(Clone, Debug)]
pub struct PayloadPart {
    /// The publication.
    pub message: MessageNumber,
    /// Where in the payload it begins.
    pub from: u64,
    /// Its bytes.
    pub bytes: Payload,
    /// Learns where it stands.
    pub place: Arc<Place>,
}

/// A publication with everybody it is owed to.
#[derive(Clone, Debug)]
pub struct Frame {
    /// The message.
    pub message: Arc<Publication>,
    /// The QoS 2 identifier it came under, of a session that survives its connection.
    pub inbound: Option<(SessionNumber, PacketId)>,
    /// It replaces or clears the retained message of its topic.
    pub retained: bool,
    /// It is the will of this session, which thereby has none.
    pub will_of: Option<SessionNumber>,
    /// Durable sessions it is owed to above QoS 0.
    pub owed: Vec<FrameTarget>,
    /// Shared groups it is owed to above QoS 0.
    pub groups: Vec<GroupNumber>,
}

/// A durable session that a publication is owed to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FrameTarget {
    /// Which.
    pub session: SessionNumber,
    /// The QoS of the delivery.
    pub qos: QoS,
    /// The RETAIN flag of the delivery.
    pub retain: bool,
    /// The subscriptions it answers.
    pub subscription_ids: SubscriptionIds,
}
