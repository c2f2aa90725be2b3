//! The frames of an open WebSocket.

use std::io::Cursor;

use tungstenite::protocol::frame::FrameHeader;
use tungstenite::protocol::frame::coding::{Control, Data, OpCode};

use super::{Unframed, WebSocketError, mask};
use crate::tls::fill_random;

/// Says how long the packet at the front of some bytes is, if they show that.
pub type PacketLen = fn(&[u8]) -> Option<usize>;

/// Where in the stream of frames both sides are.
pub(super) struct Frames {
    role: Role,
    /// What makes each packet that is sent a frame of its own.
    packet_len: Option<PacketLen>,
    /// Bytes still to be sent of a packet whose beginning was.
    unsent: usize,
    /// Part of a header.
    header: [u8; HEADER_BYTES_MAX],
    header_length: u8,
    /// The mask over what is left of the frame, turned to its next byte.
    mask: [u8; 4],
    /// Bytes of payload still to come of the frame.
    left: u64,
    /// Payload of a control frame that has not come in full.
    control: Option<Box<ControlFrame>>,
    /// A message has begun that continues in further frames.
    is_in_message: bool,
    empty_frames: u8,
    is_close_sent: bool,
}

/// Which end we are. A client masks what it sends and a server does not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    Server,
    Client,
}

struct ControlFrame {
    kind: Control,
    payload: Vec<u8>,
}

impl Frames {
    pub(super) fn new(role: Role, packet_len: Option<PacketLen>) -> Self {
        Self {
            role,
            packet_len,
            unsent: 0,
            header: [0; HEADER_BYTES_MAX],
            header_length: 0,
            mask: [0; 4],
            left: 0,
            control: None,
            is_in_message: false,
            empty_frames: 0,
            is_close_sent: false,
        }
    }

    /// See [`super::WebSocket::receive`].
    pub(super) fn receive(
        &mut self,
        bytes: &mut [u8],
        backlog: usize,
        out: &mut Vec<u8>,
    ) -> Result<Unframed, WebSocketError> {
        let received = self.unframe(bytes, backlog, out);
        if let Err(error) = &received
            && let Some(code) = error.close_code()
        {
            self.send_close(&code.to_be_bytes(), out);
        }
        received
    }

    /// A binary frame for each packet, or one for what came of a packet; says how many bytes that took. What is left is
    /// less than the fixed header of a packet. Nothing is sent behind a close frame.
    pub(super) fn frame(&mut self, payload: &[u8], out: &mut Vec<u8>) -> usize {
        if self.is_close_sent {
            return payload.len();
        }
        let mut taken = 0;
        while taken < payload.len() {
            let rest = &payload[taken..];
            if self.unsent == 0 {
                self.unsent = match self.packet_len.map(|packet_len| packet_len(rest)) {
                    Some(Some(packet_bytes)) => packet_bytes,
                    Some(None) if taken > 0 => break,
                    Some(None) | None => rest.len(),
                };
            }
            let length = self.unsent.min(rest.len());
            self.put(OpCode::Data(Data::Binary), &rest[..length], out);
            self.unsent -= length;
            taken += length;
        }
        taken
    }

    /// The close frame of somebody who has said everything.
    pub(super) fn close(&mut self, out: &mut Vec<u8>) {
        self.send_close(&1000_u16.to_be_bytes(), out);
    }

    fn unframe(
        &mut self,
        bytes: &mut [u8],
        backlog: usize,
        out: &mut Vec<u8>,
    ) -> Result<Unframed, WebSocketError> {
        let (mut at, mut length) = (0, 0);
        loop {
            if self.left == 0 && self.control.is_none() && !self.begin_frame(bytes, &mut at)? {
                return Ok(Unframed { length, is_closed: false });
            }
            let here = usize::try_from(self.left).unwrap_or(usize::MAX).min(bytes.len() - at);
            let part = at..at + here;
            mask::apply(&mut bytes[part.clone()], &mut self.mask);
            at += here;
            self.left -= here as u64;
            if let Some(control) = &mut self.control {
                control.payload.extend_from_slice(&bytes[part]);
                if self.left == 0 && self.end_control(backlog, out) {
                    return Ok(Unframed { length, is_closed: true });
                }
            } else {
                bytes.copy_within(part, length);
                length += here;
            }
            if at == bytes.len() && self.left > 0 {
                return Ok(Unframed { length, is_closed: false });
            }
        }
    }

    /// Reads a header, if it is complete, and judges it.
    fn begin_frame(&mut self, bytes: &[u8], at: &mut usize) -> Result<bool, WebSocketError> {
        let known = usize::from(self.header_length);
        let added = (HEADER_BYTES_MAX - known).min(bytes.len() - *at);
        self.header[known..known + added].copy_from_slice(&bytes[*at..*at + added]);
        let mut cursor = Cursor::new(&self.header[..known + added]);
        let parsed = FrameHeader::parse(&mut cursor)
            .map_err(|_| WebSocketError::BrokenFrame("an unknown kind of frame"))?;
        let Some((header, length)) = parsed else {
            self.header_length = u8::try_from(known + added).expect("14 bytes at most");
            *at += added;
            return Ok(false);
        };
        let header_length = usize::try_from(cursor.position()).expect("14 bytes at most");
        *at += header_length - known;
        self.header_length = 0;
        self.judge(&header, length)?;
        self.mask = header.mask.unwrap_or_default();
        self.left = length;
        Ok(true)
    }

    /// What RFC 6455 §5 says about headers, and what MQTT adds.
    fn judge(&mut self, header: &FrameHeader, length: u64) -> Result<(), WebSocketError> {
        let broken = |rule| Err(WebSocketError::BrokenFrame(rule));
        if header.rsv1 || header.rsv2 || header.rsv3 {
            return broken("a frame uses an extension that was not agreed on");
        }
        match self.role {
            Role::Server if header.mask.is_none() => return broken("a client has to mask its frames"),
            Role::Client if header.mask.is_some() => return broken("a server must not mask its frames"),
            _ => {}
        }
        match header.opcode {
            OpCode::Control(_) if !header.is_final => return broken("a control frame is in parts"),
            OpCode::Control(_) if length > CONTROL_BYTES_MAX => return broken("a control frame is too long"),
            OpCode::Control(kind) => {
                self.control = Some(Box::new(ControlFrame { kind, payload: Vec::new() }));
                return Ok(());
            }
            OpCode::Data(Data::Text) => return Err(WebSocketError::Text),
            OpCode::Data(Data::Continue) if !self.is_in_message => {
                return broken("nothing is there to continue");
            }
            OpCode::Data(Data::Binary) if self.is_in_message => {
                return broken("a message begins inside another");
            }
            OpCode::Data(_) => {}
        }
        if length > i64::MAX.unsigned_abs() {
            return broken("a frame is longer than a length can be");
        }
        self.is_in_message = !header.is_final;
        self.empty_frames = if length == 0 { self.empty_frames + 1 } else { 0 };
        if self.empty_frames > EMPTY_FRAMES_MAX {
            return Err(WebSocketError::EmptyFrames);
        }
        Ok(())
    }

    /// A control frame is complete. Says whether it was the last frame.
    fn end_control(&mut self, backlog: usize, out: &mut Vec<u8>) -> bool {
        let Some(control) = self.control.take() else { return false };
        match control.kind {
            // Only the last ping has to be answered (RFC 6455 §5.5.3), and whoever does not read the answers
            // gets no more of them.
            Control::Ping if !self.is_close_sent && backlog + out.len() <= PONG_BACKLOG_BYTES_MAX => {
                self.put(OpCode::Control(Control::Pong), &control.payload, out);
            }
            Control::Close => {
                self.send_close(control.payload.get(..2).unwrap_or_default(), out);
                return true;
            }
            _ => {}
        }
        false
    }

    fn send_close(&mut self, payload: &[u8], out: &mut Vec<u8>) {
        if !self.is_close_sent {
            self.put(OpCode::Control(Control::Close), payload, out);
            self.is_close_sent = true;
        }
    }

    fn put(&self, opcode: OpCode, payload: &[u8], out: &mut Vec<u8>) {
        let mask = (self.role == Role::Client).then(new_mask);
        let header = FrameHeader { opcode, mask, ..FrameHeader::default() };
        header.format(payload.len() as u64, out).expect("a vector takes everything");
        let start = out.len();
        out.extend_from_slice(payload);
        if let Some(mut mask) = mask {
            mask::apply(&mut out[start..], &mut mask);
        }
    }
}

/// A mask that nobody can foresee. A machine without random numbers has spoken no TLS and made no key; there it
/// is all zeros, which is a mask too.
fn new_mask() -> [u8; 4] {
    let mut mask = [0; 4];
    fill_random(&mut mask);
    mask
}

/// Two bytes, a length of eight and a mask of four.
const HEADER_BYTES_MAX: usize = 14;
/// RFC 6455 §5.5.
const CONTROL_BYTES_MAX: u64 = 125;
/// Data frames without content in a row. No client sends any; they would cost us more than the sender.
const EMPTY_FRAMES_MAX: u8 = 32;
/// Pings are answered as long as no more than this waits to be sent.
const PONG_BACKLOG_BYTES_MAX: usize = 4 << 10;

#[cfg(test)]
mod tests;
