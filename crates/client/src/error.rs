//! What can go wrong, and what to do about it.

use noctule_codec::{EncodeError, Properties, ReasonCode};
use noctule_session::client::{self as machine, NotSent, RequestError, Violation};
use noctule_topic::{FilterError, NameError};
use std::io;
use std::sync::Arc;
use std::time::Duration;

/// Why there is no connection.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConnectionError {
    /// The server cannot be reached.
    #[error("{place} cannot be reached: {source}")]
    Dial {
        /// Host and port, or the path of a socket.
        place: String,
        /// What did not work.
        step: DialStep,
        /// What the operating system or a library said.
        source: Arc<io::Error>,
    },
    /// The way to the server was not open in time.
    #[error("{place} has not answered within {timeout:?}")]
    Timeout {
        /// Host and port, or the path of a socket.
        place: String,
        /// How long was waited.
        timeout: Duration,
    },
    /// The server does not let this client in.
    #[error("the server refuses this client: {reason_code}{}", Because(reason))]
    Refused {
        /// Why; 3.x return codes as the reason codes that mean the same.
        reason_code: ReasonCode,
        /// Why, in the server's words.
        reason: Option<String>,
    },
    /// The server has ended the connection.
    #[error("the server has ended the connection: {reason_code}{}", Because(reason))]
    Disconnected {
        /// Why.
        reason_code: ReasonCode,
        /// Why, in the server's words.
        reason: Option<String>,
    },
    /// The server wants this client to use another one; see [`ServerReferences`](crate::ServerReferences).
    #[error("the server asks to use another one{}{}", Because(server_reference), Because(reason))]
    UseAnotherServer {
        /// From now on (0x9D), or for a while (0x9C).
        is_for_good: bool,
        /// Which: hosts, each with a port or without one, and spaces between them.
        server_reference: Option<String>,
        /// Why, in the server's words.
        reason: Option<String>,
    },
    /// The [`Authenticator`](crate::Authenticator) does not go on.
    #[error("the authentication has failed: {0}")]
    Authentication(Arc<dyn std::error::Error + Send + Sync>),
    /// The server broke a rule of MQTT.
    #[error("{0}")]
    Violation(#[from] Violation),
    /// The server did not answer CONNECT in time.
    #[error("the server has not answered CONNECT in time")]
    NoConnAck,
    /// The server gave no sign of life after PINGREQ.
    #[error("the server gives no sign of life")]
    NoPingResp,
    /// The stream has ended.
    #[error("the connection was lost{}", Because(source))]
    Lost {
        /// What the operating system said; nothing if the server closed it.
        source: Option<Arc<io::Error>>,
    },
    /// The options cannot be said in CONNECT.
    #[error("the options do not fit into CONNECT: {0}")]
    Options(EncodeError),
    /// This client was closed.
    #[error("the client is closed")]
    Closed,
}

/// What has to work before the first packet can be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum DialStep {
    /// A name was looked up: the server's, the proxy's or that of the address to connect from.
    Lookup,
    /// The server or the proxy was connected to.
    Connect,
    /// The proxy was asked for a way to the server.
    Proxy,
    /// TLS was agreed on.
    Tls,
    /// A WebSocket was asked for.
    WebSocket,
}

/// Why a message was not published.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PublishError {
    /// The topic name is not valid.
    #[error("the topic name is not valid: {0}")]
    Topic(NameError),
    /// The response topic is empty, has wildcards or is no text.
    #[error("the response topic is empty, has wildcards or is no text")]
    ResponseTopic,
    /// A property is too long.
    #[error("a property cannot be sent: {0}")]
    Property(EncodeError),
    /// The payload cannot be made.
    #[error("the payload cannot be made: {0}")]
    Payload(Arc<dyn std::error::Error + Send + Sync>),
    /// QoS 0 is not kept for a later connection.
    #[error("there is no connection, and QoS 0 does not wait for one")]
    NotConnected,
    /// The outbox is full. `publish(..).await` waits instead.
    #[error("the outbox is full")]
    OutboxFull,
    /// It was not sent, and is not owed any more.
    #[error("{}", why_not_sent(*.0))]
    NotSent(NotSent),
    /// The server does not take it.
    #[error("the server refuses the message: {reason_code}{}", Because(reason))]
    Refused {
        /// Why.
        reason_code: ReasonCode,
        /// Why, in the server's words.
        reason: Option<String>,
    },
    /// The client was closed before the server answered. A message above QoS 0 may have arrived.
    #[error("the client is closed")]
    Closed,
}

/// Why there is no subscription.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SubscribeError {
    /// A topic filter is not valid.
    #[error("the topic filter {filter} is not valid: {source}")]
    Filter {
        /// The filter.
        filter: String,
        /// The rule it breaks.
        source: FilterError,
    },
    /// There is nothing to subscribe to.
    #[error("no topic filter was given")]
    NoFilter,
    /// A property of SUBSCRIBE.
    #[error("a property cannot be sent: {0}")]
    Property(EncodeError),
    /// The request cannot be made to this server.
    #[error("{filter} cannot be subscribed: {source}")]
    NotAsked {
        /// The filter.
        filter: String,
        /// Why.
        source: RequestError,
    },
    /// The server does not grant it.
    #[error("the server refuses {filter}: {reason_code}{}", Because(reason))]
    Refused {
        /// The filter.
        filter: String,
        /// Why; 0x80 is all that 3.1.1 says.
        reason_code: ReasonCode,
        /// Why, in the server's words.
        reason: Option<String>,
    },
    /// The client is closed.
    #[error("the client is closed")]
    Closed,
}

impl ConnectionError {
    pub(crate) fn dial(place: &str, (step, source): (DialStep, io::Error)) -> Self {
        Self::Dial { place: place.to_owned(), step, source: Arc::new(source) }
    }

    pub(crate) fn lost(source: Option<io::Error>) -> Self {
        Self::Lost { source: source.map(Arc::new) }
    }

    /// What CONNACK with an error says.
    pub(crate) fn refused(reason_code: ReasonCode, properties: &Properties<'_>) -> Self {
        let refused = |reason_code, reason| Self::Refused { reason_code, reason };
        Self::elsewhere_or(reason_code, properties, refused)
    }

    /// What CONNACK and DISCONNECT have in common.
    fn elsewhere_or(
        reason_code: ReasonCode,
        properties: &Properties<'_>,
        or: impl FnOnce(ReasonCode, Option<String>) -> Self,
    ) -> Self {
        let is_for_good = match reason_code {
            ReasonCode::UseAnotherServer => false,
            ReasonCode::ServerMoved => true,
            _ => return or(reason_code, reason_of(properties)),
        };
        let server_reference = properties.server_reference().map(str::to_owned);
        Self::UseAnotherServer { is_for_good, server_reference, reason: reason_of(properties) }
    }
}

impl From<machine::DisconnectCause> for ConnectionError {
    fn from(cause: machine::DisconnectCause) -> Self {
        use machine::DisconnectCause as Cause;
        match cause {
            Cause::Requested => Self::Closed,
            Cause::Server { reason_code, properties } => {
                let disconnected = |reason_code, reason| Self::Disconnected { reason_code, reason };
                Self::elsewhere_or(reason_code, &properties, disconnected)
            }
            Cause::Violation(violation) => Self::Violation(violation),
            Cause::NoConnAck => Self::NoConnAck,
            Cause::NoPingResp => Self::NoPingResp,
            Cause::ConnectionLost => Self::Lost { source: None },
        }
    }
}

impl From<machine::PublishError> for PublishError {
    fn from(error: machine::PublishError) -> Self {
        match error {
            machine::PublishError::NotConnected => Self::NotConnected,
            machine::PublishError::Topic(source) => Self::Topic(source),
            machine::PublishError::ResponseTopic => Self::ResponseTopic,
            machine::PublishError::NotAccepted(reason) => Self::NotSent(reason),
        }
    }
}

/// What the server adds to a reason code.
pub(crate) fn reason_of(properties: &Properties<'_>) -> Option<String> {
    properties.reason_string().map(str::to_owned)
}

fn why_not_sent(reason: NotSent) -> &'static str {
    match reason {
        NotSent::Expired => "the message has expired before it could be sent",
        NotSent::PacketTooLarge => "the message is above the server's Maximum Packet Size",
        NotSent::QoSNotSupported => "the server does not support this QoS",
        NotSent::RetainNotSupported => "the server keeps no retained messages",
        NotSent::OutputFull => "too much waits to be sent, so the QoS 0 message was dropped",
        NotSent::ConnectionEnded => "the connection ended before the QoS 0 message was sent",
    }
}

/// `: why`, where there is a why.
struct Because<'a, T>(&'a Option<T>);

impl<T: std::fmt::Display> std::fmt::Display for Because<'_, T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.as_ref().map_or(Ok(()), |why| write!(f, ": {why}"))
    }
}
