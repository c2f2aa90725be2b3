//! What a client tells its application.

use crate::AckMismatch;
use noctule_codec::{DecodeError, PacketId, PacketType, Properties, QoS, ReasonCode};

/// Names a publication or a request of this client; never used again, not by a restored client either.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Token(pub u64);

/// Something that has happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// The server has let the client in.
    Connected {
        /// The session goes on; where it does not, the server has no subscriptions of this client.
        session_present: bool,
        /// The properties of CONNACK.
        properties: Properties<'static>,
    },
    /// The server does not let the client in. Close the stream after the next flush.
    Refused {
        /// Why; 3.x return codes as the reason codes that mean the same.
        reason_code: ReasonCode,
        /// The properties of CONNACK.
        properties: Properties<'static>,
    },
    /// A step of enhanced authentication, to be answered by [`Client::auth`](super::Client::auth).
    Auth {
        /// Success ends a re-authentication.
        reason_code: ReasonCode,
        /// The properties of AUTH.
        properties: Properties<'static>,
    },
    /// A message came. It has been acknowledged [MQTT-4.5.0-2], unless it has a [`Receipt`].
    Message(Delivery),
    /// The server sent a publication again that has been delivered before; it was not delivered
    /// [MQTT-4.3.3-10], and was answered if the application had acknowledged it.
    Repeated {
        /// Under which id.
        packet_id: PacketId,
        /// Its DUP flag; a server that repeats sets it [MQTT-3.3.1-1].
        dup: bool,
        /// It came twice on this connection, where nothing is to be sent again [MQTT-4.4.0-1].
        same_connection: bool,
    },
    /// A publication is settled; nothing more is heard of it.
    Published {
        /// Which.
        token: Token,
        /// The id of the acknowledgement that ended it, if one did.
        packet_id: Option<PacketId>,
        /// How it ended.
        outcome: PublishOutcome,
        /// The properties of the acknowledgement that ended it: reason string, user properties.
        properties: Properties<'static>,
    },
    /// The answer to SUBSCRIBE.
    Subscribed {
        /// Which request.
        token: Token,
        /// One per filter, in their order: the granted QoS or why not.
        reason_codes: Vec<ReasonCode>,
        /// The properties of SUBACK.
        properties: Properties<'static>,
    },
    /// The answer to UNSUBSCRIBE.
    Unsubscribed {
        /// Which request.
        token: Token,
        /// One per filter, in their order; none in 3.x.
        reason_codes: Vec<ReasonCode>,
        /// The properties of UNSUBACK.
        properties: Properties<'static>,
    },
    /// The connection ended before a SUBSCRIBE or UNSUBSCRIBE was answered; it may have been carried out.
    RequestLost {
        /// Which request.
        token: Token,
    },
    /// An acknowledgement came that answers nothing this client knows. That is no error: the other end may
    /// not have heard the end of an earlier exchange.
    Stray {
        /// What came.
        packet_type: PacketType,
        /// Its id.
        packet_id: PacketId,
    },
    /// The connection is over. Close the stream after the next flush.
    Disconnected {
        /// Why.
        cause: DisconnectCause,
    },
}

impl Event {
    /// A publication that ended without an answer that says more.
    pub(super) const fn published(token: Token, outcome: PublishOutcome) -> Self {
        Self::Published { token, packet_id: None, outcome, properties: Properties::EMPTY }
    }
}

/// A message from the server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delivery {
    /// The topic name, aliases resolved.
    pub topic: Box<str>,
    /// The application message.
    pub payload: Box<[u8]>,
    /// The QoS of this delivery.
    pub qos: QoS,
    /// The RETAIN flag.
    pub retain: bool,
    /// The server may have sent it before.
    pub dup: bool,
    /// Present above QoS 0.
    pub packet_id: Option<PacketId>,
    /// Present above QoS 0 where the application acknowledges: what it does that with.
    pub receipt: Option<Receipt>,
    /// The properties of PUBLISH.
    pub properties: Properties<'static>,
}

/// Names a delivery of this client, to be acknowledged by [`Client::acknowledge`](super::Client::acknowledge).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Receipt(pub(super) u64);

/// How a publication ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PublishOutcome {
    /// QoS 0: it has been written.
    Sent,
    /// The server has it: PUBACK or PUBCOMP.
    Acknowledged(ReasonCode),
    /// The server does not take it: PUBACK or PUBREC with an error.
    Refused(ReasonCode),
    /// It was never sent, or must not be sent again.
    NotSent(NotSent),
}

/// Why a publication was not sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotSent {
    /// Its Message Expiry Interval ran out while it waited.
    Expired,
    /// It is above the server's Maximum Packet Size [MQTT-3.2.2-15].
    PacketTooLarge,
    /// It is above the server's Maximum QoS [MQTT-3.2.2-11].
    QoSNotSupported,
    /// The server keeps no retained messages [MQTT-3.2.2-14].
    RetainNotSupported,
    /// QoS 0: too much waits to be sent.
    OutputFull,
    /// QoS 0: the connection ended first.
    ConnectionEnded,
}

/// Why a connection is over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DisconnectCause {
    /// The application asked for it, and DISCONNECT is written.
    Requested,
    /// The server said DISCONNECT.
    Server {
        /// Why.
        reason_code: ReasonCode,
        /// The properties of DISCONNECT.
        properties: Properties<'static>,
    },
    /// The server broke a rule.
    Violation(Violation),
    /// CONNACK did not come in time.
    NoConnAck,
    /// Nothing came in time after PINGREQ.
    NoPingResp,
    /// The stream ended.
    ConnectionLost,
}

/// A rule that the server broke.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Violation {
    /// The bytes are no packet.
    #[error("{0}")]
    Malformed(DecodeError),
    /// Something came before CONNACK [MQTT-3.2.0-1].
    #[error("the server sent {packet_type} before CONNACK")]
    FirstPacket {
        /// What came.
        packet_type: PacketType,
    },
    /// A second CONNACK [MQTT-3.2.0-2].
    #[error("the server sent a second CONNACK")]
    SecondConnAck,
    /// Session present after a clean start [MQTT-3.2.2-2].
    #[error("the server has a session although the client started clean")]
    SessionPresentAfterCleanStart,
    /// Session present, but this client has no session [MQTT-3.2.2-4].
    #[error("the server has a session that this client knows nothing of")]
    UnknownSession,
    /// A packet that only a client sends.
    #[error("the server sent {packet_type}, which only a client sends")]
    WrongDirection {
        /// What came.
        packet_type: PacketType,
    },
    /// More unacknowledged publications than this client takes [MQTT-3.3.4-9].
    #[error("the server sent more than {receive_maximum} unacknowledged publications")]
    ReceiveMaximumExceeded {
        /// What this client takes.
        receive_maximum: u16,
    },
    /// [MQTT-3.3.2-11].
    #[error("topic alias {alias} is above the maximum of {alias_maximum}")]
    TopicAliasAboveMaximum {
        /// What came.
        alias: u16,
        /// What this client takes.
        alias_maximum: u16,
    },
    /// An alias that stands for no topic on this connection.
    #[error("topic alias {alias} stands for no topic on this connection")]
    TopicAliasUnknown {
        /// What came.
        alias: u16,
    },
    /// A publication under the id of one that is not released [MQTT-2.2.1-4].
    #[error("the server used packet id {packet_id} again before it was released")]
    PacketIdInUse {
        /// The id.
        packet_id: u16,
    },
    /// An acknowledgement of another QoS or another step.
    #[error("{0}")]
    AckMismatch(#[from] AckMismatch),
    /// SUBACK or UNSUBACK for a request that does not exist [MQTT-3.8.4-2], [MQTT-3.10.4-4].
    #[error("{packet_type} with packet id {packet_id} answers no request")]
    UnknownRequest {
        /// What came.
        packet_type: PacketType,
        /// Its id.
        packet_id: u16,
    },
    /// Not one reason code per filter [MQTT-3.8.4-6], [MQTT-3.11.3-1].
    #[error("{packet_type} has {reason_codes} reason codes for {filters} filters")]
    ReasonCodeCount {
        /// What came.
        packet_type: PacketType,
        /// How many codes it has.
        reason_codes: usize,
        /// How many filters the request had.
        filters: usize,
    },
    /// AUTH without a method in CONNECT, or with another one [MQTT-4.12.0-5], [MQTT-4.12.0-6].
    #[error("the server sent AUTH for an authentication method that CONNECT did not name")]
    UnexpectedAuth,
}

impl Violation {
    /// The reason code a 5.0 server is told.
    pub const fn reason_code(&self) -> ReasonCode {
        match self {
            Self::Malformed(error) => error.reason_code(),
            Self::ReceiveMaximumExceeded { .. } => ReasonCode::ReceiveMaximumExceeded,
            Self::TopicAliasAboveMaximum { .. } => ReasonCode::TopicAliasInvalid,
            _ => ReasonCode::ProtocolError,
        }
    }
}
