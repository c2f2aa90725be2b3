//! Why a WebSocket ends: what the peer did, and the number it is told.

use thiserror::Error;

/// A WebSocket that cannot go on.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum WebSocketError {
    /// The request is not taken.
    #[error("WebSocket: {why}")]
    Refused {
        /// The HTTP status it was answered with.
        status: u16,
        /// What is wrong, as the client was told.
        why: String,
    },
    /// What came is no request.
    #[error("WebSocket: the client speaks {0}; it needs WebSocket to connect here")]
    NotHttp(&'static str),
    /// The server did not take our request.
    #[error("WebSocket: the server answered {0}")]
    NotTaken(String),
    /// A frame is not what RFC 6455 allows.
    #[error("WebSocket: {0}")]
    BrokenFrame(&'static str),
    /// MQTT is not sent as text [MQTT-6.0.0-1].
    #[error("WebSocket: a text frame came; MQTT comes in binary ones [MQTT-6.0.0-1]")]
    Text,
    /// Many frames without content.
    #[error("WebSocket: too many empty frames in a row")]
    EmptyFrames,
}

impl WebSocketError {
    /// The number in the close frame that tells the peer (RFC 6455 §7.4.1); `None` before there are frames.
    pub(crate) fn close_code(&self) -> Option<u16> {
        match self {
            Self::Refused { .. } | Self::NotHttp(_) | Self::NotTaken(_) => None,
            Self::BrokenFrame(_) => Some(1002),
            Self::Text => Some(1003),
            Self::EmptyFrames => Some(1008),
        }
    }
}
