//! The kernel's end of a connection: a TCP or unix socket that never blocks.

use std::io::{self, Read as _, Write as _};
use std::net::Shutdown;

use mio::event::Source;
use mio::net::{TcpStream, UnixStream};
use mio::{Interest, Registry, Token};

/// One connected socket.
#[derive(Debug)]
pub(crate) enum Socket {
    Tcp(TcpStream),
    Unix(UnixStream),
}

/// What the kernel did with a buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Moved {
    Bytes(usize),
    WouldBlock,
}

impl Socket {
    /// Reads once. 0 bytes into a buffer that is not empty are the end of the stream.
    pub(crate) fn read(&mut self, buffer: &mut [u8]) -> io::Result<Moved> {
        moved(|| match self {
            Self::Tcp(socket) => socket.read(buffer),
            Self::Unix(socket) => socket.read(buffer),
        })
    }

    /// Writes once; fewer bytes than there are may be taken.
    pub(crate) fn write(&mut self, bytes: &[u8]) -> io::Result<Moved> {
        moved(|| match self {
            Self::Tcp(socket) => socket.write(bytes),
            Self::Unix(socket) => socket.write(bytes),
        })
    }

    /// Sends the acknowledgement that the kernel would delay. It is a matter of speed, so that a failure is none.
    pub(crate) fn acknowledge_at_once(&self) {
        #[cfg(target_os = "linux")]
        if let Self::Tcp(socket) = self {
            let _ = rustix::net::sockopt::set_tcp_quickack(socket, true);
        }
    }

    /// Ends sending. A peer that has already gone is no error.
    pub(crate) fn shutdown(&mut self) -> io::Result<()> {
        let done = match self {
            Self::Tcp(socket) => socket.shutdown(Shutdown::Write),
            Self::Unix(socket) => socket.shutdown(Shutdown::Write),
        };
        match done {
            Err(error) if error.kind() == io::ErrorKind::NotConnected => Ok(()),
            done => done,
        }
    }

    fn source(&mut self) -> &mut dyn Source {
        match self {
            Self::Tcp(socket) => socket,
            Self::Unix(socket) => socket,
        }
    }
}

impl Source for Socket {
    fn register(&mut self, registry: &Registry, token: Token, interests: Interest) -> io::Result<()> {
        self.source().register(registry, token, interests)
    }

    fn reregister(&mut self, registry: &Registry, token: Token, interests: Interest) -> io::Result<()> {
        self.source().reregister(registry, token, interests)
    }

    fn deregister(&mut self, registry: &Registry) -> io::Result<()> {
        self.source().deregister(registry)
    }
}

/// Repeats what a signal interrupted.
fn moved(mut step: impl FnMut() -> io::Result<usize>) -> io::Result<Moved> {
    loop {
        match step() {
            Ok(bytes) => return Ok(Moved::Bytes(bytes)),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(Moved::WouldBlock),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}
