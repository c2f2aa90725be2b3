//! One connection of the probe: its socket, what waits to be written, and how far its handshake is.
//!
//! Nothing here knows what messages mean. Bytes that were read come out as whole packets through [`Client::decode`];
//! bytes to be written go into [`Output`] and leave with at most one write per turn.

use std::io;
use std::time::Duration;
use std::vec::IntoIter;

use noctule_codec::{DecodeError, Decoder, Packet, PacketId, ProtocolVersion};
use noctule_transport::{Read, Stream, Write};

use crate::frames::FIRST_PACKET_ID;

/// One connection.
#[derive(Debug)]
pub(crate) struct Client {
    stream: Option<Stream>,
    decoder: Decoder,
    pub(crate) stage: Stage,
    pub(crate) role: Role,
    /// The beginning of a packet whose rest has not come.
    partial: Vec<u8>,
    pub(crate) output: Output,
    /// When its connection was begun, since the run began.
    pub(crate) dialled_at: Duration,
    /// The broker had a session for it.
    pub(crate) session_present: bool,
}

/// How far a connection is.
#[derive(Debug)]
pub(crate) enum Stage {
    /// CONNECT is on its way.
    Greeting { filters: IntoIter<String> },
    /// A SUBSCRIBE is on its way, with more filters to follow.
    Subscribing { filters: IntoIter<String>, packet_id: PacketId, is_refused: bool },
    /// Messages may flow.
    Ready,
    /// DISCONNECT is on its way since then, the broker is to close.
    Leaving { since: Duration },
    /// There is no connection any more.
    Ended,
}

/// What a connection is there for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    /// Publishes, by number.
    Publisher(u32),
    /// Receives, by number.
    Subscriber(u32),
    /// Is just there.
    Idle,
}

/// Bytes that wait to be written.
#[derive(Debug, Default)]
pub(crate) struct Output {
    pub(crate) bytes: Vec<u8>,
    /// This many of them have been written.
    written: usize,
    /// The socket takes no more; readiness tells when it does again.
    pub(crate) is_blocked: bool,
    /// It is on the driver's list.
    pub(crate) is_dirty: bool,
}

impl Client {
    /// A client without a connection.
    pub(crate) fn new(version: ProtocolVersion, role: Role, dialled_at: Duration) -> Self {
        Self {
            stream: None,
            decoder: Decoder::client(version, u32::MAX),
            stage: Stage::Ended,
            role,
            partial: Vec::new(),
            output: Output::default(),
            dialled_at,
            session_present: false,
        }
    }

    /// Begins the handshake on a stream that may not be connected yet.
    pub(crate) fn greet(&mut self, stream: Stream, filters: Vec<String>, connect: Vec<u8>) {
        self.stream = Some(stream);
        self.stage = Stage::Greeting { filters: filters.into_iter() };
        // Writable comes with the connection.
        self.output = Output { bytes: connect, is_blocked: true, ..Output::default() };
    }

    pub(crate) fn stream_mut(&mut self) -> Option<&mut Stream> {
        self.stream.as_mut()
    }

    /// Closes the socket.
    pub(crate) fn end(&mut self) {
        self.stream = None;
        self.stage = Stage::Ended;
        self.partial = Vec::new();
        self.output = Output::default();
    }

    pub(crate) fn is_ready(&self) -> bool {
        matches!(self.stage, Stage::Ready)
    }

    pub(crate) fn is_ended(&self) -> bool {
        matches!(self.stage, Stage::Ended)
    }

    pub(crate) fn is_in_handshake(&self) -> bool {
        matches!(self.stage, Stage::Greeting { .. } | Stage::Subscribing { .. })
    }

    /// Reads once. The incomplete packet of the last time stands at the beginning of the buffer again, and
    /// [`Read::Bytes`] counts it.
    pub(crate) fn read(&mut self, buffer: &mut Vec<u8>) -> io::Result<Read> {
        let Some(stream) = &mut self.stream else { return Ok(Read::WouldBlock) };
        let begin = self.partial.len();
        if buffer.len() < 2 * begin {
            buffer.resize(2 * begin, 0);
        }
        buffer[..begin].copy_from_slice(&self.partial);
        Ok(match stream.read(&mut buffer[begin..])? {
            Read::Bytes(count) => Read::Bytes(begin + count),
            other => other,
        })
    }

    /// The packet at the front of `bytes` with its length.
    pub(crate) fn decode<'a>(&mut self, bytes: &'a [u8]) -> Result<Option<(Packet<'a>, usize)>, DecodeError> {
        self.decoder.decode(bytes)
    }

    /// Keeps what is incomplete for the next read.
    pub(crate) fn keep(&mut self, rest: &[u8]) {
        self.partial.clear();
        self.partial.extend_from_slice(rest);
    }

    /// Writes once what waits. Returns whether a write was made.
    pub(crate) fn flush(&mut self) -> io::Result<bool> {
        let output = &mut self.output;
        if output.is_blocked || output.is_empty() {
            return Ok(false);
        }
        let Some(stream) = &mut self.stream else { return Ok(false) };
        match stream.write(&output.bytes[output.written..])? {
            Write::Bytes(count) => output.take(count),
            Write::WouldBlock => output.is_blocked = true,
        }
        Ok(true)
    }

    /// Says the last bytes, as far as the socket takes them at once, and ends sending.
    pub(crate) fn finish(&mut self, farewell: &[u8]) {
        if let Some(stream) = &mut self.stream
            && self.output.is_empty()
        {
            // The run is over; a connection that breaks now breaks unnoticed.
            let _ = stream.write(farewell);
            let _ = stream.shutdown();
        }
    }
}

impl Output {
    pub(crate) fn is_empty(&self) -> bool {
        self.written == self.bytes.len()
    }

    /// How much waits, in bytes.
    pub(crate) fn len(&self) -> usize {
        self.bytes.len() - self.written
    }

    fn take(&mut self, count: usize) {
        self.written += count;
        if self.is_empty() {
            self.bytes.clear();
            self.written = 0;
            return;
        }
        // The socket took less than there was, so it would block now.
        self.is_blocked = true;
        if self.written > self.bytes.len() / 2 {
            self.bytes.drain(..self.written);
            self.written = 0;
        }
    }
}

impl Stage {
    /// The next SUBSCRIBE's filters, and the stage that waits for its answer; `Ready` when there are none.
    pub(crate) fn next_filters(&mut self) -> Option<(Vec<String>, PacketId)> {
        let (filters, packet_id, is_refused) = match std::mem::replace(self, Self::Ready) {
            Self::Greeting { filters } => (filters, FIRST_PACKET_ID, false),
            Self::Subscribing { filters, packet_id, is_refused } => (filters, packet_id.next(), is_refused),
            other => {
                *self = other;
                return None;
            }
        };
        let mut filters = filters;
        let chunk: Vec<String> = filters.by_ref().take(FILTERS_PER_SUBSCRIBE).collect();
        if chunk.is_empty() {
            return None;
        }
        *self = Self::Subscribing { filters, packet_id, is_refused };
        Some((chunk, packet_id))
    }
}

/// Filters in one SUBSCRIBE; some brokers refuse packets in which a thousand filters of ours fit.
const FILTERS_PER_SUBSCRIBE: usize = 200;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters_go_out_in_chunks_and_then_all_is_ready() {
        let filters: Vec<String> = (0..401).map(|number| number.to_string()).collect();
        let mut stage = Stage::Greeting { filters: filters.clone().into_iter() };
        let (mut sent, mut chunks) = (Vec::new(), Vec::new());
        while let Some((chunk, packet_id)) = stage.next_filters() {
            chunks.push((chunk.len(), packet_id.get()));
            sent.extend(chunk);
        }
        assert_eq!((sent, chunks), (filters, vec![(200, 1), (200, 2), (1, 3)]));
        assert!(matches!(stage, Stage::Ready));
    }

    #[test]
    fn a_stage_that_is_over_is_not_changed() {
        let mut stage = Stage::Ended;
        assert!(stage.next_filters().is_none());
        assert!(matches!(stage, Stage::Ended));
    }

    #[test]
    fn partly_written_bytes_are_kept() {
        let mut output = Output { bytes: (0..10).collect(), ..Output::default() };
        output.take(3);
        assert_eq!(
            (output.len(), output.is_blocked, &output.bytes[output.written..]),
            (7, true, &[3, 4, 5, 6, 7, 8, 9][..])
        );
        output.take(5);
        assert_eq!((&output.bytes[..], output.written), (&[8, 9][..], 0));
        output.take(2);
        assert!(output.is_empty() && output.bytes.is_empty());
    }
}
