//! One set of packet types for the three versions, shaped like 5.0.
//!
//! Older versions leave the newer fields empty: their property sections are empty and their reason codes
//! are translated by `decode` and `encode`, so that code above this crate has one case instead of three.
//! Everything a packet carries borrows from the bytes it was read from; what outlives them is copied by
//! whoever keeps it.

use crate::filters::{SubscribeFilters, UnsubscribeFilters};
use crate::{PacketId, PacketType, Properties, ProtocolVersion, QoS, ReasonCode};
use std::borrow::Cow;

/// Any MQTT control packet.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the variants carry the names of the standard")]
pub enum Packet<'a> {
    Connect(Connect<'a>),
    ConnAck(ConnAck<'a>),
    Publish(Publish<'a>),
    PubAck(Ack<'a>),
    PubRec(Ack<'a>),
    PubRel(Ack<'a>),
    PubComp(Ack<'a>),
    Subscribe(Subscribe<'a>),
    SubAck(SubAck<'a>),
    Unsubscribe(Unsubscribe<'a>),
    UnsubAck(UnsubAck<'a>),
    PingReq,
    PingResp,
    Disconnect(Disconnect<'a>),
    Auth(Auth<'a>),
}

/// CONNECT: a client asks for a session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Connect<'a> {
    /// The version the client speaks from here on.
    pub version: ProtocolVersion,
    /// Any earlier session is discarded. In 3.x this is the Clean Session flag.
    pub clean_start: bool,
    /// Longest silence of the client in seconds; 0 turns the check off.
    pub keep_alive_seconds: u16,
    /// The client identifier, empty where the server is to assign one.
    pub client_id: &'a str,
    /// The message to publish when the connection ends without a normal DISCONNECT.
    pub will: Option<Will<'a>>,
    /// User name.
    pub user_name: Option<&'a str>,
    /// Password; 5.0 allows one without a user name.
    pub password: Option<&'a [u8]>,
    /// Properties of CONNECT; empty in 3.x.
    pub properties: Properties<'a>,
}

/// The will inside a CONNECT.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Will<'a> {
    /// Where it is published.
    pub topic: &'a str,
    /// What is published.
    pub payload: &'a [u8],
    /// At which QoS.
    pub qos: QoS,
    /// Whether it becomes the retained message of its topic.
    pub retain: bool,
    /// Properties of the will; empty in 3.x.
    pub properties: Properties<'a>,
}

/// CONNACK: the answer to CONNECT. In 3.x the reason code travels as one of the six return codes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConnAck<'a> {
    /// The server had a session for this client; 3.1 does not say.
    pub session_present: bool,
    /// Success or the cause of the refusal.
    pub reason_code: ReasonCode,
    /// Properties of CONNACK; empty in 3.x.
    pub properties: Properties<'a>,
}

/// PUBLISH: a publication on its way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Publish<'a> {
    /// This may be a re-delivery of an earlier attempt by the same sender.
    pub dup: bool,
    /// The QoS of this delivery.
    pub qos: QoS,
    /// The RETAIN flag.
    pub retain: bool,
    /// The topic name; empty only where a topic alias stands for it.
    pub topic: &'a str,
    /// Present exactly where the QoS is above 0 [MQTT-2.2.1-2].
    pub packet_id: Option<PacketId>,
    /// Properties of PUBLISH; empty in 3.x.
    pub properties: Properties<'a>,
    /// The application message.
    pub payload: &'a [u8],
}

/// PUBACK, PUBREC, PUBREL and PUBCOMP. In 3.x the reason code is Success.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ack<'a> {
    /// The identifier of the PUBLISH [MQTT-2.2.1-5].
    pub packet_id: PacketId,
    /// What became of it.
    pub reason_code: ReasonCode,
    /// Properties; empty in 3.x.
    pub properties: Properties<'a>,
}

/// SUBSCRIBE: at least one filter with its options [MQTT-3.8.3-2].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subscribe<'a> {
    /// Repeated by SUBACK.
    pub packet_id: PacketId,
    /// Properties of SUBSCRIBE; empty in 3.x.
    pub properties: Properties<'a>,
    /// The filters in their order. Their wildcards are not checked here; `noctule-topic` does.
    pub filters: SubscribeFilters<'a>,
}

/// SUBACK: one reason code per filter [MQTT-3.8.4-6].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SubAck<'a> {
    /// The identifier of the SUBSCRIBE.
    pub packet_id: PacketId,
    /// Properties of SUBACK; empty in 3.x.
    pub properties: Properties<'a>,
    /// Reason codes in the order of the filters [MQTT-3.9.3-1].
    pub reason_codes: Cow<'a, [ReasonCode]>,
}

/// UNSUBSCRIBE: at least one filter [MQTT-3.10.3-2].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unsubscribe<'a> {
    /// Repeated by UNSUBACK.
    pub packet_id: PacketId,
    /// Properties of UNSUBSCRIBE; empty in 3.x.
    pub properties: Properties<'a>,
    /// The filters in their order.
    pub filters: UnsubscribeFilters<'a>,
}

/// UNSUBACK: one reason code per filter; 3.x has none and they are not sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnsubAck<'a> {
    /// The identifier of the UNSUBSCRIBE.
    pub packet_id: PacketId,
    /// Properties of UNSUBACK; empty in 3.x.
    pub properties: Properties<'a>,
    /// Reason codes in the order of the filters [MQTT-3.11.3-1].
    pub reason_codes: Cow<'a, [ReasonCode]>,
}

/// DISCONNECT: the last packet of a connection. In 3.x only a client sends one, with reason code 0.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Disconnect<'a> {
    /// Why.
    pub reason_code: ReasonCode,
    /// Properties of DISCONNECT; empty in 3.x.
    pub properties: Properties<'a>,
}

/// AUTH: a step of enhanced authentication; 5.0 only.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Auth<'a> {
    /// Success, continue or re-authenticate.
    pub reason_code: ReasonCode,
    /// Properties of AUTH.
    pub properties: Properties<'a>,
}

impl Connect<'_> {
    /// How long the session outlives its connection, in seconds; `u32::MAX` means for ever.
    ///
    /// In 3.x a session with Clean Session 0 has no end of its own and one with Clean Session 1 ends with
    /// its connection, which is what the two extremes of 5.0 say.
    pub fn session_expiry_interval(&self) -> u32 {
        match self.version {
            ProtocolVersion::V5 => self.properties.session_expiry_interval().unwrap_or(0),
            _ if self.clean_start => 0,
            _ => u32::MAX,
        }
    }
}

impl Packet<'_> {
    /// Which kind of packet this is.
    pub const fn packet_type(&self) -> PacketType {
        match self {
            Self::Connect(_) => PacketType::Connect,
            Self::ConnAck(_) => PacketType::ConnAck,
            Self::Publish(_) => PacketType::Publish,
            Self::PubAck(_) => PacketType::PubAck,
            Self::PubRec(_) => PacketType::PubRec,
            Self::PubRel(_) => PacketType::PubRel,
            Self::PubComp(_) => PacketType::PubComp,
            Self::Subscribe(_) => PacketType::Subscribe,
            Self::SubAck(_) => PacketType::SubAck,
            Self::Unsubscribe(_) => PacketType::Unsubscribe,
            Self::UnsubAck(_) => PacketType::UnsubAck,
            Self::PingReq => PacketType::PingReq,
            Self::PingResp => PacketType::PingResp,
            Self::Disconnect(_) => PacketType::Disconnect,
            Self::Auth(_) => PacketType::Auth,
        }
    }
}

/// The four kinds of [`Ack`] have one type, so they have no conversion.
macro_rules! packet_from {
    ($($packet:ident)*) => {
        $(impl<'a> From<$packet<'a>> for Packet<'a> {
            fn from(packet: $packet<'a>) -> Self {
                Self::$packet(packet)
            }
        })*
    };
}

packet_from!(Connect ConnAck Publish Subscribe SubAck Unsubscribe UnsubAck Disconnect Auth);
