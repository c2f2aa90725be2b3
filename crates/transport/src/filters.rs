//! What stands between a socket and MQTT: TLS, WebSocket or both, and the bytes they have made.
//!
//! Reading goes socket, TLS, WebSocket, and every step works on the reader's buffer. Writing goes the other way
//! and ends in the outbox, which keeps the order of everything that leaves and is empty unless the kernel is
//! full.

use std::{fmt, io};

use crate::socket::{Moved, Socket};
use crate::tls::{Opened, Tls};
use crate::websocket::WebSocket;
use crate::{READ_BYTES_GOOD, Read, WRITE_BYTES_MAX, Write};

/// The filters of one connection.
#[derive(Default)]
pub(crate) struct Filters {
    pub(crate) tls: Option<Box<Tls>>,
    pub(crate) websocket: Option<WebSocket>,
    /// Bytes that the kernel has not taken.
    pub(crate) outbox: Vec<u8>,
    /// Bytes that go into the outbox by way of TLS, once its handshake is done.
    pub(crate) unsealed: Vec<u8>,
    is_peer_done: bool,
    /// The socket ends when the outbox is empty.
    is_ending: bool,
}

impl Filters {
    pub(crate) fn is_open(&self) -> bool {
        self.tls.as_ref().is_none_or(|tls| tls.is_open())
            && self.websocket.as_ref().is_none_or(WebSocket::is_open)
    }

    pub(crate) fn wants_write(&self) -> bool {
        !self.outbox.is_empty()
    }

    /// See [`crate::Stream::read`].
    pub(crate) fn read(&mut self, socket: &mut Socket, buffer: &mut [u8]) -> io::Result<Read> {
        if self.is_peer_done {
            return Ok(Read::Closed);
        }
        let read = self.read_filtered(socket, buffer);
        // What a filter has to say leaves also when it is the reason why the stream ends. A peer that takes
        // nothing any more shows at the next call; what it has sent still counts.
        let _ = self.send_unsealed().and_then(|()| self.flush(socket));
        read
    }

    /// See [`crate::Stream::answer_hello`].
    pub(crate) fn answer_hello(&mut self, socket: &mut Socket) -> io::Result<()> {
        let Some(tls) = &mut self.tls else { return Ok(()) };
        let answered = tls.answer(&mut self.outbox).map_err(broken);
        let sent = self.flush(socket);
        answered?;
        sent.map(drop)
    }

    /// See [`crate::Stream::write`].
    pub(crate) fn write(&mut self, socket: &mut Socket, bytes: &[u8]) -> io::Result<Write> {
        // A client that has just connected asks for its WebSocket now.
        self.send_unsealed()?;
        if !self.flush(socket)? || !self.is_open() || self.is_ending {
            return Ok(Write::WouldBlock);
        }
        let bytes = &bytes[..bytes.len().min(WRITE_BYTES_MAX)];
        let mut taken = bytes.len();
        match (&mut self.websocket, &mut self.tls) {
            _ if bytes.is_empty() => {}
            (None, None) => self.outbox.extend_from_slice(bytes),
            (None, Some(tls)) => tls.seal(bytes, &mut self.outbox).map_err(broken)?,
            (Some(websocket), None) => taken = websocket.frame(bytes, &mut self.outbox),
            (Some(websocket), Some(tls)) => {
                let mut frames = Vec::with_capacity(bytes.len() + FRAME_OVERHEAD_BYTES);
                taken = websocket.frame(bytes, &mut frames);
                tls.seal(&frames, &mut self.outbox).map_err(broken)?;
            }
        }
        self.flush(socket)?;
        Ok(Write::Bytes(taken))
    }

    /// See [`crate::Stream::flush`].
    pub(crate) fn flush(&mut self, socket: &mut Socket) -> io::Result<bool> {
        let mut sent = 0;
        while sent < self.outbox.len() {
            match socket.write(&self.outbox[sent..])? {
                Moved::Bytes(bytes) => sent += bytes,
                Moved::WouldBlock => {
                    self.outbox.drain(..sent);
                    return Ok(false);
                }
            }
        }
        if sent > 0 {
            self.outbox = Vec::new();
            if self.is_ending {
                socket.shutdown()?;
            }
        }
        Ok(true)
    }

    /// See [`crate::Stream::shutdown`].
    pub(crate) fn shutdown(&mut self, socket: &mut Socket) -> io::Result<()> {
        if self.is_ending {
            return Ok(());
        }
        if self.is_open() {
            self.websocket.iter_mut().for_each(|websocket| websocket.close(&mut self.unsealed));
            self.send_unsealed()?;
            if let Some(tls) = &mut self.tls {
                tls.close(&mut self.outbox).map_err(broken)?;
            }
        }
        self.is_ending = true;
        if self.outbox.is_empty() { socket.shutdown() } else { self.flush(socket).map(drop) }
    }

    fn read_filtered(&mut self, socket: &mut Socket, buffer: &mut [u8]) -> io::Result<Read> {
        let read = match &mut self.tls {
            Some(tls) => read_tls(tls, socket, buffer, &mut self.outbox)?,
            None => match socket.read(buffer)? {
                Moved::Bytes(0) if !buffer.is_empty() => Read::Closed,
                Moved::Bytes(length) => Read::Bytes { length, more: length == buffer.len() },
                Moved::WouldBlock => Read::WouldBlock,
            },
        };
        let (Read::Bytes { length, more }, Some(websocket)) = (read, &mut self.websocket) else {
            return Ok(read);
        };
        let backlog = self.outbox.len();
        let unframed =
            websocket.receive(&mut buffer[..length], backlog, &mut self.unsealed).map_err(broken)?;
        self.is_peer_done = unframed.is_closed;
        // The end comes with the next read, behind what came before it.
        Ok(Read::Bytes { length: unframed.length, more: more || unframed.is_closed })
    }

    /// Moves what the WebSocket has to say into the outbox.
    fn send_unsealed(&mut self) -> io::Result<()> {
        match &mut self.tls {
            _ if self.unsealed.is_empty() => return Ok(()),
            None => self.outbox.append(&mut self.unsealed),
            Some(tls) if tls.is_open() => tls.seal(&self.unsealed, &mut self.outbox).map_err(broken)?,
            // A client's request for a WebSocket waits for TLS.
            Some(_) => return Ok(()),
        }
        self.unsealed = Vec::new();
        Ok(())
    }
}

impl fmt::Debug for Filters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Filters")
            .field("tls", &self.tls.is_some())
            .field("websocket", &self.websocket.is_some())
            .field("outbox", &self.outbox.len())
            .finish_non_exhaustive()
    }
}

/// Reads records once, and moves their plaintext to the start of `buffer`.
fn read_tls(
    tls: &mut Tls,
    socket: &mut Socket,
    buffer: &mut [u8],
    records: &mut Vec<u8>,
) -> io::Result<Read> {
    if tls.has_hello() {
        return Ok(Read::Hello);
    }
    if tls.has_surplus() {
        return Ok(Read::Bytes { length: tls.take_surplus(buffer), more: true });
    }
    if tls.is_peer_done() {
        return Ok(Read::Closed);
    }
    let room = buffer.len() / 2;
    let (opened, is_full) = if tls.has_unused() || room < READ_BYTES_GOOD / 2 {
        let mut incoming = tls.take_unused();
        let before = incoming.len();
        let room = room.max(READ_BYTES_GOOD / 2);
        incoming.resize(before + room, 0);
        let moved = socket.read(&mut incoming[before..]);
        let (received, outcome) = received(moved)?;
        incoming.truncate(before + received);
        if let Some(nothing) = outcome {
            incoming.shrink_to_fit();
            tls.keep_unused(incoming);
            return Ok(nothing);
        }
        (tls.open(incoming, buffer, records), received == room)
    } else {
        let (plaintext, incoming) = buffer.split_at_mut(room);
        let (received, outcome) = received(socket.read(incoming))?;
        if let Some(nothing) = outcome {
            return Ok(nothing);
        }
        let room = incoming.len();
        (tls.open_slice(&mut incoming[..received], plaintext, records), received == room)
    };
    match opened.map_err(broken)? {
        Opened::Hello => Ok(Read::Hello),
        Opened::Plaintext(length) => {
            Ok(Read::Bytes { length, more: is_full || tls.has_surplus() || tls.is_peer_done() })
        }
    }
}

/// How much came, and what to say if that is nothing.
fn received(moved: io::Result<Moved>) -> io::Result<(usize, Option<Read>)> {
    Ok(match moved? {
        Moved::Bytes(0) => (0, Some(Read::Closed)),
        Moved::Bytes(bytes) => (bytes, None),
        Moved::WouldBlock => (0, Some(Read::WouldBlock)),
    })
}

fn broken(error: impl std::error::Error + Send + Sync + 'static) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error)
}

/// The longest header of a frame.
const FRAME_OVERHEAD_BYTES: usize = 14;
