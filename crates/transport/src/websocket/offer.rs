//! The client's request for a WebSocket.

use tungstenite::handshake::client::{Response, generate_key};
use tungstenite::handshake::derive_accept_key;
use tungstenite::handshake::machine::TryParse as _;
use tungstenite::http::header::{SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_PROTOCOL};
use tungstenite::http::{HeaderValue, StatusCode};

use super::WebSocketError;

/// What was asked, to compare the answer with.
pub(crate) struct WebSocketOffer {
    accept_key: String,
}

impl WebSocketOffer {
    /// Asks `host` for the WebSocket at `path`.
    pub(super) fn new(host: &str, path: &str, out: &mut Vec<u8>) -> Self {
        let key = generate_key();
        out.extend_from_slice(
            format!(
                "GET {path} HTTP/1.1\r\nHost: {host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
                 Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: mqtt\r\n\r\n"
            )
            .as_bytes(),
        );
        Self { accept_key: derive_accept_key(key.as_bytes()) }
    }

    /// Judges the head of the answer.
    pub(super) fn check(&self, head: &[u8]) -> Result<(), WebSocketError> {
        let response = match Response::try_parse(head) {
            Ok(Some((_, response))) => response,
            Ok(None) => return Err(not_taken("half a response")),
            Err(error) => return Err(not_taken(error)),
        };
        if response.status() != StatusCode::SWITCHING_PROTOCOLS {
            return Err(not_taken(response.status()));
        }
        let header = |name| response.headers().get(name).map(HeaderValue::as_bytes);
        if header(SEC_WEBSOCKET_ACCEPT) != Some(self.accept_key.as_bytes()) {
            return Err(not_taken("with a key that does not belong to the request"));
        }
        if header(SEC_WEBSOCKET_PROTOCOL) != Some(b"mqtt") {
            return Err(not_taken("without the sub-protocol mqtt"));
        }
        Ok(())
    }
}

fn not_taken(why: impl std::fmt::Display) -> WebSocketError {
    WebSocketError::NotTaken(why.to_string())
}
