//! The bytes of one connection: its socket, the beginning of a packet whose rest has not come, and what waits to be
//! written.
//!
//! Nothing here knows what packets mean. What was read comes out as whole packets through [`Connection::decode`];
//! what is to be written goes into [`Output`] and leaves with at most one write per call of [`Connection::flush`].

use std::io;

use noctule_codec::{DecodeError, Decoder, Packet, ProtocolVersion};
use noctule_transport::{Read, Stream, WRITE_BYTES_MAX, Write};

/// A socket with what surrounds it; without a socket before it is opened and after it is closed.
#[derive(Debug)]
pub(crate) struct Connection {
    stream: Option<Stream>,
    decoder: Decoder,
    /// The beginning of a packet whose rest has not come.
    partial: Vec<u8>,
    pub(crate) output: Output,
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

impl Connection {
    /// Without a socket yet.
    pub(crate) fn new(version: ProtocolVersion) -> Self {
        Self {
            stream: None,
            decoder: Decoder::client(version, u32::MAX),
            partial: Vec::new(),
            output: Output::default(),
        }
    }

    /// Takes a stream that may not be connected yet, and what is to be said first.
    pub(crate) fn open(&mut self, stream: Stream, greeting: Vec<u8>) {
        self.stream = Some(stream);
        // Writable comes with the connection.
        self.output = Output { bytes: greeting, is_blocked: true, ..Output::default() };
    }

    pub(crate) fn stream_mut(&mut self) -> Option<&mut Stream> {
        self.stream.as_mut()
    }

    /// Closes the socket and forgets what was on its way in or out.
    pub(crate) fn close(&mut self) {
        self.stream = None;
        self.partial = Vec::new();
        self.output = Output::default();
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
        let was_open = stream.is_open();
        let read = stream.read(&mut buffer[begin..])?;
        // Readiness does not tell when a handshake below is done.
        if !was_open && stream.is_open() {
            self.output.is_blocked = false;
        }
        Ok(match read {
            Read::Bytes { length, more } => Read::Bytes { length: begin + length, more },
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

    /// Writes what waits. Returns whether a write was made.
    pub(crate) fn flush(&mut self) -> io::Result<bool> {
        let output = &mut self.output;
        let Some(stream) = &mut self.stream else { return Ok(false) };
        if output.is_blocked {
            return Ok(false);
        }
        if output.is_empty() {
            return Ok(stream.wants_write() && stream.flush()?);
        }
        while !output.is_blocked && !output.is_empty() {
            match stream.write(&output.bytes[output.written..])? {
                Write::Bytes(count) => output.take(count),
                Write::WouldBlock => output.is_blocked = true,
            }
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
        // A socket that takes less than there is would block now; TLS and WebSocket take so much at a time.
        self.is_blocked = count != WRITE_BYTES_MAX;
        if self.written > self.bytes.len() / 2 {
            self.bytes.drain(..self.written);
            self.written = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
