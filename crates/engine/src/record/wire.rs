//! The numbers that stand for things in the bytes of a record. They never change their meaning.

use core::net::IpAddr;
use noctule_auth::Address;
use noctule_session::{DropReason, Phase};

/// What a record tells of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Kind {
    Published = 1,
    Moved = 2,
    Retained = 3,
    Part = 4,
    SessionOpened = 5,
    SessionDetached = 6,
    SessionEnded = 7,
    GroupNamed = 8,
    GroupOwed = 9,
    GroupTaken = 10,
    GroupReturned = 11,
    GroupDropped = 12,
    Held = 32,
    IdsReserved = 33,
    Begun = 34,
    Received = 35,
    Settled = 36,
    InboundTaken = 37,
    InboundReleased = 38,
    Subscribed = 39,
    RetainedSent = 40,
    Unsubscribed = 41,
    ExpirySet = 42,
    WillSet = 43,
    Restarted = 44,
    RetainedGiven = 45,
}

impl Kind {
    pub(super) const fn from_u8(kind: u8) -> Option<Self> {
        Some(match kind {
            1 => Self::Published,
            2 => Self::Moved,
            3 => Self::Retained,
            4 => Self::Part,
            5 => Self::SessionOpened,
            6 => Self::SessionDetached,
            7 => Self::SessionEnded,
            8 => Self::GroupNamed,
            9 => Self::GroupOwed,
            10 => Self::GroupTaken,
            11 => Self::GroupReturned,
            12 => Self::GroupDropped,
            32 => Self::Held,
            33 => Self::IdsReserved,
            34 => Self::Begun,
            35 => Self::Received,
            36 => Self::Settled,
            37 => Self::InboundTaken,
            38 => Self::InboundReleased,
            39 => Self::Subscribed,
            40 => Self::RetainedSent,
            41 => Self::Unsubscribed,
            42 => Self::ExpirySet,
            43 => Self::WillSet,
            44 => Self::Restarted,
            45 => Self::RetainedGiven,
            _ => return None,
        })
    }

    /// Whether the record begins with the content of a publication.
    pub(super) const fn has_content(self) -> bool {
        matches!(self, Self::Published | Self::Moved | Self::Retained | Self::GroupOwed)
    }
}

/// The number of a phase. What is settled is in no record.
pub(super) const fn phase_bits(phase: Phase) -> u8 {
    match phase {
        Phase::Waiting => 0,
        Phase::Sent => 1,
        Phase::Received => 2,
        Phase::Settled => 3,
    }
}

/// Stands in the place of the phase of what waits and may have been sent before a crash.
pub(super) const MAYBE_SENT: u8 = 3;

/// The phase with this number.
pub(super) const fn phase_from_bits(bits: u8) -> Phase {
    match bits {
        1 => Phase::Sent,
        2 => Phase::Received,
        _ => Phase::Waiting,
    }
}

/// The number of a reason to drop.
pub(super) const fn drop_reason_number(reason: DropReason) -> u8 {
    match reason {
        DropReason::Expired => 0,
        DropReason::TooOld => 1,
        DropReason::QueueFull => 2,
        DropReason::OutputFull => 3,
        DropReason::Oversize => 4,
        DropReason::NotAuthorized => 5,
        DropReason::RejectedByClient => 6,
        DropReason::SessionEnded => 7,
        DropReason::GroupEnded => 8,
        DropReason::TopicNameInvalid => 9,
        DropReason::RetainedFull => 10,
        DropReason::MemoryFull => 11,
        DropReason::JournalFull => 12,
        DropReason::Damaged => 13,
    }
}

/// The reason to drop with this number.
pub(super) fn drop_reason_from_number(number: u8) -> Option<DropReason> {
    DropReason::ALL.into_iter().find(|reason| drop_reason_number(*reason) == number)
}

/// Flags of a publication, a will, a delivery or a target: the lowest two bits are the QoS.
pub(super) const QOS: u8 = 0b11;
/// The RETAIN flag, next to it.
pub(super) const RETAIN: u8 = 1 << 2;
/// A publication or a will that expires.
pub(super) const EXPIRES: u8 = 1 << 3;
/// A publication whose payload stands in parts in front of it.
pub(super) const IN_PARTS: u8 = 1 << 4;
/// Two bits of a delivery or a target: no subscription identifier, one, or (2) several behind their count.
pub(super) const IDS_SHIFT: u8 = 3;
/// A delivery that came from a shared group.
pub(super) const HAS_GROUP: u8 = 1 << 5;
/// Two bits of a delivery: its phase.
pub(super) const PHASE_SHIFT: u8 = 6;
/// A frame that came under a packet identifier.
pub(super) const HAS_INBOUND: u8 = 1;
/// A frame that replaces or clears a retained message.
pub(super) const IS_RETAINED: u8 = 1 << 1;
/// A frame that is a will.
pub(super) const IS_WILL: u8 = 1 << 2;
/// Six bits of a subscription: its options as SUBSCRIBE has them.
pub(super) const OPTIONS: u8 = 0b11_1111;
/// A subscription that brings retained messages.
pub(super) const BRINGS_RETAINED: u8 = 1 << 6;
/// A subscription with an identifier.
pub(super) const HAS_ID: u8 = 1 << 7;

/// A session whose client has a user name. A record of the first version of the format has no other flag.
pub(super) const HAS_USER_NAME: u8 = 1;
/// Two bits: where the client's address is of.
pub(super) const ADDRESS_SHIFT: u8 = 1;
/// A client that came in by a listener with a name.
pub(super) const HAS_LISTENER: u8 = 1 << 3;
/// A client that has shown a certificate.
pub(super) const HAS_CERTIFICATE: u8 = 1 << 4;
/// All of these flags.
pub(super) const OPENED: u8 = 0b1_1111;
/// A certificate with a common name.
pub(super) const HAS_COMMON_NAME: u8 = 1;
/// A certificate with a subject.
pub(super) const HAS_SUBJECT: u8 = 1 << 1;

/// The number of the kind of an address.
pub(super) const fn address_bits(address: Address) -> u8 {
    match address {
        Address::Unknown => 0,
        Address::Local => 1,
        Address::Ip(IpAddr::V4(_)) => 2,
        Address::Ip(IpAddr::V6(_)) => 3,
    }
}

/// How a delivery ended.
pub(super) const ACKNOWLEDGED: u8 = 0;
pub(super) const REJECTED: u8 = 1;
pub(super) const SENT: u8 = 2;
pub(super) const DROPPED: u8 = 3;

/// Kind and length, before the content of every record.
pub(super) const HEADER_BYTES: usize = 5;
/// A number takes seven bits a byte.
pub(super) const NUMBER_BYTES_MAX: usize = 10;
