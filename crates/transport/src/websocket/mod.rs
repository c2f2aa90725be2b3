//! WebSocket (RFC 6455) as a filter of bytes: frames outside, MQTT inside.
//!
//! The payload of binary messages is one stream of bytes whose frames mean nothing: one frame may hold many
//! packets and a packet may span many frames [MQTT-6.0.0-1], [MQTT-6.0.0-2]. A server sends each packet in a frame of
//! its own all the same: there are clients that take one packet of a frame and leave the others until something else
//! comes (paho-mqtt for C). Payload is unmasked where it was read and given out at once, whatever length the frame
//! says it has. What is kept between two calls is the head of the HTTP request until it is complete (8 KiB at most),
//! and later part of a frame header or of a control frame (125 bytes at most).

mod error;
mod frames;
mod mask;
mod offer;
mod origin;
mod request;
mod response;

use std::sync::Arc;

pub use error::WebSocketError;
pub use frames::PacketLen;
pub(crate) use offer::WebSocketOffer;
pub use origin::Origins;
pub use request::WebSocketRules;

use frames::{Frames, Role};
use request::Head;

/// One WebSocket.
pub(crate) struct WebSocket(State);

enum State {
    /// The server waits for the request.
    Asked(Box<Asked>),
    /// The client waits for the response.
    Asking(Box<Asking>),
    Open(Frames),
}

struct Asked {
    rules: Arc<WebSocketRules>,
    packet_len: PacketLen,
    /// It came from this machine.
    is_loopback: bool,
    head: Head,
}

struct Asking {
    offer: WebSocketOffer,
    head: Head,
}

impl Asked {
    /// Takes part of the request; answers it once it is complete, and then says how many of these bytes it had.
    fn receive(&mut self, bytes: &[u8], out: &mut Vec<u8>) -> Result<Option<usize>, WebSocketError> {
        let answered = self.head.complete_request(bytes).and_then(|complete| match complete {
            None => Ok(None),
            Some((head, used)) => {
                response::respond(&head, &self.rules, self.is_loopback, out).map(|()| Some(used))
            }
        });
        if let Err(WebSocketError::Refused { status, why }) = &answered {
            response::refuse(*status, why, out);
        }
        answered
    }
}

/// What came of received bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Unframed {
    /// So many bytes of payload stand at the start of the buffer.
    pub(crate) length: usize,
    /// The peer has closed; what follows is nobody's.
    pub(crate) is_closed: bool,
}

impl WebSocket {
    /// The server's end of a connection that has just been accepted.
    pub(crate) fn server(rules: Arc<WebSocketRules>, packet_len: PacketLen, is_loopback: bool) -> Self {
        Self(State::Asked(Box::new(Asked { rules, packet_len, is_loopback, head: Head::default() })))
    }

    /// The client's end. `out` gets the request.
    pub(crate) fn client(host: &str, path: &str, out: &mut Vec<u8>) -> Self {
        let offer = WebSocketOffer::new(host, path, out);
        Self(State::Asking(Box::new(Asking { offer, head: Head::default() })))
    }

    /// Whether both have agreed, so that frames may be sent.
    pub(crate) fn is_open(&self) -> bool {
        matches!(self.0, State::Open(_))
    }

    /// Takes received bytes and moves the payload among them to the start. `out` gets what is to be answered;
    /// `backlog` is how much waits to be sent already, which pings add nothing to when it is long.
    ///
    /// # Errors
    /// What the peer did wrong. `out` then ends with what tells it.
    pub(crate) fn receive(
        &mut self,
        bytes: &mut [u8],
        backlog: usize,
        out: &mut Vec<u8>,
    ) -> Result<Unframed, WebSocketError> {
        let start = match &mut self.0 {
            State::Open(frames) => return frames.receive(bytes, backlog, out),
            State::Asked(asked) => match asked.receive(bytes, out)? {
                None => return Ok(Unframed { length: 0, is_closed: false }),
                Some(used) => {
                    self.0 = State::Open(Frames::new(Role::Server, Some(asked.packet_len)));
                    used
                }
            },
            State::Asking(asking) => match asking.head.complete(bytes)? {
                None => return Ok(Unframed { length: 0, is_closed: false }),
                Some((head, used)) => {
                    asking.offer.check(&head)?;
                    self.0 = State::Open(Frames::new(Role::Client, None));
                    used
                }
            },
        };
        bytes.copy_within(start.., 0);
        let rest = bytes.len() - start;
        self.receive(&mut bytes[..rest], backlog, out)
    }

    /// Makes binary frames of `payload`, and says how many bytes they take; fewer than all only where a packet has just
    /// begun. Before the WebSocket is open there is nothing to frame.
    pub(crate) fn frame(&mut self, payload: &[u8], out: &mut Vec<u8>) -> usize {
        match &mut self.0 {
            State::Open(frames) => frames.frame(payload, out),
            _ => 0,
        }
    }

    /// Says that nothing more comes from this side, once.
    pub(crate) fn close(&mut self, out: &mut Vec<u8>) {
        if let State::Open(frames) = &mut self.0 {
            frames.close(out);
        }
    }
}
