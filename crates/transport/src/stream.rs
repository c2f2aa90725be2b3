//! One connection as a stream of bytes that never blocks.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use mio::event::Source;
use mio::{Interest, Registry, Token};

use crate::filters::Filters;
use crate::socket::{Moved, Socket};
use crate::tls::Tls;
use crate::websocket::{PacketLen, WebSocket};
use crate::{ClientTls, PeerIdentity, PeerIdentityError, ServerTls, TlsError, WebSocketRules};

/// One connection: a socket, and what stands between it and MQTT. Dropping it closes the socket.
///
/// TLS and WebSocket are filters that the calls below go through; a plain connection has none and pays a
/// pointer for them. An idle connection owns no buffer.
#[derive(Debug)]
pub struct Stream {
    socket: Socket,
    filters: Option<Box<Filters>>,
}

/// What a read found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Read {
    /// Something came.
    Bytes {
        /// So many bytes are at the start of the buffer. None, where what came carries no content: a handshake,
        /// a ping, the start of a record.
        length: usize,
        /// Another read may find more without being told by readiness. When it is false the kernel had nothing
        /// more a moment ago, so that readiness will tell, except of an end that it has told already.
        more: bool,
    },
    /// A TLS client has said hello, and [`Stream::answer_hello`] is to be called when there is time for it. Until
    /// then every read says this again.
    Hello,
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
    /// Nothing can be taken now; readiness will tell. During a handshake it will not: try again after each read.
    WouldBlock,
}

impl Stream {
    pub(crate) fn new(socket: Socket) -> Self {
        Self { socket, filters: None }
    }

    /// Speaks TLS as a server from now on, before anything has been read.
    ///
    /// # Errors
    /// TLS cannot begin, which is not the client's fault.
    pub fn serve_tls(&mut self, tls: &ServerTls) -> Result<(), TlsError> {
        self.filters_mut().tls = Some(Box::new(Tls::server(Arc::clone(&tls.config))?));
        Ok(())
    }

    /// Has the kernel acknowledge at once what it has received, instead of up to 40 ms later. A peer that holds back
    /// what it writes until then goes on. Other systems than Linux have no such request, and unix sockets no need.
    pub fn acknowledge_at_once(&self) {
        self.socket.acknowledge_at_once();
    }

    /// Speaks WebSocket as a server from now on, inside of TLS if [`Stream::serve_tls`] came before. What `packet_len`
    /// says is a packet is sent in a frame of its own.
    pub fn serve_websocket(&mut self, rules: Arc<WebSocketRules>, packet_len: PacketLen) {
        let is_loopback = self.peer_addr().is_ok_and(|peer| peer.ip().to_canonical().is_loopback());
        self.filters_mut().websocket = Some(WebSocket::server(rules, packet_len, is_loopback));
    }

    /// Speaks TLS as a client from now on. `server` is the host name or address that its certificate is for.
    ///
    /// # Errors
    /// `server` is no name, or TLS cannot begin.
    pub fn dial_tls(&mut self, tls: &ClientTls, server: &str) -> Result<(), TlsError> {
        let name = server.to_owned().try_into();
        let name = name.map_err(|_| TlsError::client(rustls::Error::UnsupportedNameType))?;
        let filters = self.filters_mut();
        filters.tls = Some(Box::new(Tls::client(Arc::clone(&tls.config), name, &mut filters.outbox)?));
        Ok(())
    }

    /// Speaks WebSocket as a client from now on, inside of TLS if [`Stream::dial_tls`] came before. `host` is
    /// what the URL says, with its port.
    pub fn dial_websocket(&mut self, host: &str, path: &str) {
        let filters = self.filters_mut();
        filters.websocket = Some(WebSocket::client(host, path, &mut filters.unsealed));
    }

    /// Reads once into `buffer`, which is scratch as a whole: with TLS, records are read into its second half.
    /// It should have [`READ_BYTES_GOOD`] bytes or more; fewer cost a copy.
    ///
    /// # Errors
    /// What the operating system says, for example `ConnectionReset`, or `InvalidData` with a [`TlsError`] or
    /// [`WebSocketError`](crate::WebSocketError) that says what the peer did wrong. The peer has been told. The
    /// stream is of no further use then.
    pub fn read(&mut self, buffer: &mut [u8]) -> io::Result<Read> {
        if let Some(filters) = &mut self.filters {
            return filters.read(&mut self.socket, buffer);
        }
        Ok(match self.socket.read(buffer)? {
            Moved::Bytes(0) if !buffer.is_empty() => Read::Closed,
            Moved::Bytes(length) => Read::Bytes { length, more: length == buffer.len() },
            Moved::WouldBlock => Read::WouldBlock,
        })
    }

    /// Answers the hello that [`Read::Hello`] spoke of: a private-key operation, 0.1 to 1.5 ms. Reading goes on
    /// afterwards as if more were waiting.
    ///
    /// # Errors
    /// As for [`Stream::read`].
    pub fn answer_hello(&mut self) -> io::Result<()> {
        match &mut self.filters {
            None => Ok(()),
            Some(filters) => filters.answer_hello(&mut self.socket),
        }
    }

    /// Writes once from `bytes`; fewer than all of them may be taken. With WebSocket, what is taken becomes binary
    /// frames: at a server one for each packet, at a client one.
    ///
    /// With TLS or WebSocket what has been taken may wait in the stream, see [`Stream::wants_write`]. Nothing
    /// more is taken then until it has left, so that it is never more than [`WRITE_BYTES_MAX`] and what goes
    /// around it.
    ///
    /// # Errors
    /// What the operating system says, for example `BrokenPipe`. The stream is of no further use then.
    pub fn write(&mut self, bytes: &[u8]) -> io::Result<Write> {
        if let Some(filters) = &mut self.filters {
            return filters.write(&mut self.socket, bytes);
        }
        Ok(match self.socket.write(bytes)? {
            Moved::Bytes(taken) => Write::Bytes(taken),
            Moved::WouldBlock => Write::WouldBlock,
        })
    }

    /// Whether bytes that have been taken wait for the kernel, so that [`Stream::flush`] is to be called when it
    /// is ready.
    pub fn wants_write(&self) -> bool {
        self.filters.as_ref().is_some_and(|filters| filters.wants_write())
    }

    /// Writes what waits, as far as the kernel takes it. Says whether nothing is left.
    ///
    /// # Errors
    /// As for [`Stream::write`].
    pub fn flush(&mut self) -> io::Result<bool> {
        match &mut self.filters {
            None => Ok(true),
            Some(filters) => filters.flush(&mut self.socket),
        }
    }

    /// Whether the handshakes of TLS and WebSocket are done. A plain stream has none.
    pub fn is_open(&self) -> bool {
        self.filters.as_ref().is_none_or(|filters| filters.is_open())
    }

    /// Ends sending: the peer gets what was written and then the end of the stream. Reading stays possible.
    ///
    /// What waits in the stream goes first, so [`Stream::flush`] may be needed to get to the end.
    ///
    /// Closing at once while unread bytes are waiting makes the kernel send a reset, which can overtake a
    /// last packet in the peer's buffers. Who wants that packet to arrive shuts down first and reads until
    /// [`Read::Closed`] or a time limit of its own.
    ///
    /// # Errors
    /// What the operating system says; a peer that has already gone is no error.
    pub fn shutdown(&mut self) -> io::Result<()> {
        match &mut self.filters {
            None => self.socket.shutdown(),
            Some(filters) => filters.shutdown(&mut self.socket),
        }
    }

    /// The address at the other end.
    ///
    /// # Errors
    /// `NotConnected` once the peer has gone, `Unsupported` for a unix socket.
    pub fn peer_addr(&self) -> io::Result<SocketAddr> {
        match &self.socket {
            Socket::Tcp(socket) => socket.peer_addr(),
            Socket::Unix(_) => Err(io::ErrorKind::Unsupported.into()),
        }
    }

    /// Who the peer's certificate says it is; `None` without TLS or without a certificate.
    ///
    /// # Errors
    /// The names cannot be read, though an authority we believe has signed them.
    pub fn peer_identity(&self) -> Result<Option<PeerIdentity>, PeerIdentityError> {
        let certificate = self.filters.as_ref().and_then(|filters| filters.tls.as_ref()?.peer_certificate());
        certificate.map(PeerIdentity::from_der).transpose()
    }

    /// What was agreed on with ALPN, if anything.
    pub fn application_protocol(&self) -> Option<&[u8]> {
        self.filters.as_ref()?.tls.as_ref()?.application_protocol()
    }

    fn filters_mut(&mut self) -> &mut Filters {
        self.filters.get_or_insert_default()
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

/// A buffer of this length lets TLS read without a buffer of its own: room for the longest record twice.
pub const READ_BYTES_GOOD: usize = 40 << 10;
/// One write through TLS or WebSocket takes no more than this.
pub const WRITE_BYTES_MAX: usize = 128 << 10;
