//! One connection as a stream of bytes that never blocks.

use std::io::{self, Read as _, Write as _};
use std::net::{Shutdown, SocketAddr};

use mio::event::Source;
use mio::net::TcpStream;
use mio::{Interest, Registry, Token};

/// One connection. Dropping it closes the socket.
#[derive(Debug)]
pub struct Stream {
    socket: TcpStream,
}

/// What a read found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Read {
    /// This many bytes are at the start of the buffer; never 0 unless the buffer is empty.
    Bytes(usize),
    /// Nothing to read now; readiness will tell.
    WouldBlock,
    /// The peer has finished sending.
    Closed,
}

/// What a write achieved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Write {
    /// This many bytes from the start of the buffer were taken.
    Bytes(usize),
    /// Nothing can be taken now; readiness will tell.
    WouldBlock,
}

impl Stream {
    pub(crate) fn new(socket: TcpStream) -> Self {
        Self { socket }
    }

    /// Reads once into `buffer`.
    ///
    /// # Errors
    /// What the operating system says, for example `ConnectionReset`. The stream is of no further use then.
    pub fn read(&mut self, buffer: &mut [u8]) -> io::Result<Read> {
        loop {
            match self.socket.read(buffer) {
                Ok(0) if !buffer.is_empty() => return Ok(Read::Closed),
                Ok(bytes) => return Ok(Read::Bytes(bytes)),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(Read::WouldBlock),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Writes once from `bytes`; fewer than all of them may be taken.
    ///
    /// # Errors
    /// What the operating system says, for example `BrokenPipe`. The stream is of no further use then.
    pub fn write(&mut self, bytes: &[u8]) -> io::Result<Write> {
        loop {
            match self.socket.write(bytes) {
                Ok(taken) => return Ok(Write::Bytes(taken)),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(Write::WouldBlock),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Ends sending: the peer gets what was written and then the end of the stream. Reading stays possible.
    ///
    /// Closing at once while unread bytes are waiting makes the kernel send a reset, which can overtake a
    /// last packet in the peer's buffers. Who wants that packet to arrive shuts down first and reads until
    /// [`Read::Closed`] or a time limit of its own.
    ///
    /// # Errors
    /// What the operating system says; a peer that has already gone is no error.
    pub fn shutdown(&mut self) -> io::Result<()> {
        match self.socket.shutdown(Shutdown::Write) {
            Err(error) if error.kind() == io::ErrorKind::NotConnected => Ok(()),
            done => done,
        }
    }

    /// The address at the other end.
    ///
    /// # Errors
    /// `NotConnected` once the peer has gone.
    pub fn peer_addr(&self) -> io::Result<SocketAddr> {
        self.socket.peer_addr()
    }
}

impl Source for Stream {
    fn register(&mut self, registry: &Registry, token: Token, interests: Interest) -> io::Result<()> {
        self.socket.register(registry, token, interests)
    }

    fn reregister(&mut self, registry: &Registry, token: Token, interests: Interest) -> io::Result<()> {
        self.socket.reregister(registry, token, interests)
    }

    fn deregister(&mut self, registry: &Registry) -> io::Result<()> {
        self.socket.deregister(registry)
    }
}
