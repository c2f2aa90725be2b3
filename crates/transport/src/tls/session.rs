//! One TLS connection as a filter between two byte streams. The only file that uses rustls' unbuffered API.
//!
//! It reads and writes nothing: received records go in, plaintext and records to send come out. What it keeps
//! between two calls is rustls' own state (1,088 bytes, and about 2,400 behind it and in the cipher's library), the
//! part of a record that has not come in full, and plaintext that did not fit into the reader's buffer; an idle
//! connection has neither of the two.
//!
//! Invariant: rustls marks its place in the bytes it has not let go of, so `unused` is passed with every call.

use std::sync::Arc;

use rustls::client::{ClientConfig, UnbufferedClientConnection};
use rustls::pki_types::ServerName;
use rustls::server::{ServerConfig, UnbufferedServerConnection};
use rustls::unbuffered::{ConnectionState, EncodeError, EncryptError, UnbufferedStatus, WriteTraffic};
use rustls::{CommonState, ContentType, HandshakeKind, PeerIncompatible};

use super::{TlsError, TlsRole};

/// One TLS connection.
pub(crate) struct Tls {
    connection: Connection,
    hello: Hello,
    is_peer_done: bool,
    /// Received, and not a whole record yet.
    unused: Vec<u8>,
    /// Plaintext that did not fit into the reader's buffer.
    surplus: Vec<u8>,
}

/// What came of received bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Opened {
    /// So many bytes of plaintext stand at the start of the buffer; none where only TLS itself was spoken.
    Plaintext(usize),
    /// A client's hello is here. Answering it costs a private-key operation, see [`Tls::answer`].
    Hello,
}

enum Connection {
    Server(UnbufferedServerConnection),
    Client(UnbufferedClientConnection),
}

/// How far the server has come with the client's first message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Hello {
    /// It has not come in full.
    Missing,
    /// It is here and nobody has had the time to answer.
    Waiting,
    /// It has been answered, or we are the client.
    Answered,
}

/// Where plaintext goes: into a buffer, and what is too much behind it.
struct Sink<'a> {
    buffer: &'a mut [u8],
    length: usize,
    surplus: &'a mut Vec<u8>,
}

/// What rustls wants next.
enum Step {
    GoOn,
    MoreInput,
    PeerDone,
}

impl Tls {
    /// The server's end of a connection that has just been accepted.
    pub(crate) fn server(config: Arc<ServerConfig>) -> Result<Self, TlsError> {
        let connection = UnbufferedServerConnection::new(config).map_err(TlsError::server)?;
        Ok(Self::new(Connection::Server(connection), Hello::Missing))
    }

    /// The client's end. `records` gets the hello.
    pub(crate) fn client(
        config: Arc<ClientConfig>,
        server: ServerName<'static>,
        records: &mut Vec<u8>,
    ) -> Result<Self, TlsError> {
        let connection = UnbufferedClientConnection::new(config, server).map_err(TlsError::client)?;
        let mut tls = Self::new(Connection::Client(connection), Hello::Answered);
        tls.open(Vec::new(), &mut [], records)?;
        Ok(tls)
    }

    fn new(connection: Connection, hello: Hello) -> Self {
        Self { connection, hello, is_peer_done: false, unused: Vec::new(), surplus: Vec::new() }
    }

    /// Whether the handshake is done, so that [`Tls::seal`] works.
    pub(crate) fn is_open(&self) -> bool {
        !self.state().is_handshaking()
    }

    /// Whether the peer has ended its side, and everything it sent has been given out.
    pub(crate) fn is_peer_done(&self) -> bool {
        self.is_peer_done && self.surplus.is_empty()
    }

    /// Whether plaintext waits that did not fit.
    pub(crate) fn has_surplus(&self) -> bool {
        !self.surplus.is_empty()
    }

    /// Whether a hello waits for its answer.
    pub(crate) fn has_hello(&self) -> bool {
        self.hello == Hello::Waiting
    }

    /// Whether a part of a record is kept, which what comes next has to follow.
    pub(crate) fn has_unused(&self) -> bool {
        !self.unused.is_empty()
    }

    /// Takes what is kept of the received bytes, to have more put behind it and given to [`Tls::open`].
    pub(crate) fn take_unused(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.unused)
    }

    /// Puts back what [`Tls::take_unused`] took, because nothing came.
    pub(crate) fn keep_unused(&mut self, unused: Vec<u8>) {
        self.unused = unused;
    }

    /// The certificate of the peer itself, as DER.
    pub(crate) fn peer_certificate(&self) -> Option<&[u8]> {
        self.state().peer_certificates()?.first().map(AsRef::as_ref)
    }

    /// What was agreed on with ALPN.
    pub(crate) fn application_protocol(&self) -> Option<&[u8]> {
        self.state().alpn_protocol()
    }

    /// Moves plaintext that did not fit before to the start of `buffer`.
    pub(crate) fn take_surplus(&mut self, buffer: &mut [u8]) -> usize {
        let length = self.surplus.len().min(buffer.len());
        buffer[..length].copy_from_slice(&self.surplus[..length]);
        self.surplus.drain(..length);
        if self.surplus.is_empty() {
            self.surplus = Vec::new();
        }
        length
    }

    /// Takes received bytes that follow nothing unused. `incoming` is of no use afterwards.
    ///
    /// # Errors
    /// What the peer did wrong. `records` then ends with the alert that tells it.
    pub(crate) fn open_slice(
        &mut self,
        incoming: &mut [u8],
        plaintext: &mut [u8],
        records: &mut Vec<u8>,
    ) -> Result<Opened, TlsError> {
        debug_assert!(self.unused.is_empty(), "what is unused goes first");
        if self.has_to_wait(incoming) {
            self.unused = incoming.to_vec();
            return Ok(Opened::Hello);
        }
        let (used, length) = self.process(incoming, plaintext, records)?;
        self.unused = incoming[used..].to_vec();
        Ok(Opened::Plaintext(length))
    }

    /// Takes received bytes that begin with what was unused.
    ///
    /// # Errors
    /// As [`Tls::open_slice`].
    pub(crate) fn open(
        &mut self,
        mut incoming: Vec<u8>,
        plaintext: &mut [u8],
        records: &mut Vec<u8>,
    ) -> Result<Opened, TlsError> {
        if self.has_to_wait(&incoming) {
            self.unused = incoming;
            return Ok(Opened::Hello);
        }
        let (used, length) = self.process(&mut incoming, plaintext, records)?;
        incoming.drain(..used);
        incoming.shrink_to_fit();
        self.unused = incoming;
        Ok(Opened::Plaintext(length))
    }

    /// Answers the hello that waits: a private-key operation and a key exchange, 0.1 to 1.5 ms.
    ///
    /// # Errors
    /// As [`Tls::open_slice`].
    pub(crate) fn answer(&mut self, records: &mut Vec<u8>) -> Result<(), TlsError> {
        if self.hello != Hello::Waiting {
            return Ok(());
        }
        if is_older_than_tls_1_2(&self.unused) {
            // rustls names whichever extension it misses first, which helps nobody.
            records.extend_from_slice(&ALERT_PROTOCOL_VERSION);
            return Err(TlsError::server(PeerIncompatible::Tls12NotOffered.into()));
        }
        self.hello = Hello::Answered;
        let (before, was_retried) = (records.len(), self.is_retried());
        let incoming = self.take_unused();
        self.open(incoming, &mut [], records)?;
        // It was only the first part of a hello, or our answer is that we want another one.
        if records.len() == before || (self.is_retried() && !was_retried) {
            self.hello = Hello::Missing;
        }
        Ok(())
    }

    /// Makes records of `bytes`, all of them.
    ///
    /// # Errors
    /// The handshake is not done, or the keys are used up (after 2^24 records of TLS 1.2 with AES-GCM).
    pub(crate) fn seal(&mut self, bytes: &[u8], records: &mut Vec<u8>) -> Result<(), TlsError> {
        self.speak(records, |traffic, records| {
            grow_and_try(records, sealed_bytes(bytes.len()), |room| traffic.encrypt(bytes, room))
        })
    }

    /// Says that nothing more comes from this side.
    ///
    /// # Errors
    /// As [`Tls::seal`].
    pub(crate) fn close(&mut self, records: &mut Vec<u8>) -> Result<(), TlsError> {
        self.speak(records, |traffic, records| {
            grow_and_try(records, RECORD_OVERHEAD_BYTES, |room| traffic.queue_close_notify(room))
        })
    }

    fn state(&self) -> &CommonState {
        match &self.connection {
            Connection::Server(connection) => connection,
            Connection::Client(connection) => connection,
        }
    }

    /// Whether the client was asked for another hello (RFC 8446 §4.1.4).
    fn is_retried(&self) -> bool {
        self.state().handshake_kind() == Some(HandshakeKind::FullWithHelloRetryRequest)
    }

    fn role(&self) -> TlsRole {
        match self.connection {
            Connection::Server(_) => TlsRole::Server,
            Connection::Client(_) => TlsRole::Client,
        }
    }

    /// Whether `incoming` holds a whole record that may be the hello, which is not looked at before its time.
    /// What cannot be one is refused at once, which costs nothing.
    fn has_to_wait(&mut self, incoming: &[u8]) -> bool {
        if self.hello != Hello::Answered && holds_handshake_record(incoming) {
            self.hello = Hello::Waiting;
        }
        self.hello == Hello::Waiting
    }

    /// Goes on until more input is needed. Says how much of it was used and how much plaintext there is.
    fn process(
        &mut self,
        incoming: &mut [u8],
        plaintext: &mut [u8],
        records: &mut Vec<u8>,
    ) -> Result<(usize, usize), TlsError> {
        let was_answered = self.hello == Hello::Answered;
        let first_byte = incoming.first().copied();
        let mut sink = Sink { buffer: plaintext, length: 0, surplus: &mut self.surplus };
        let mut used = 0;
        loop {
            let rest = &mut incoming[used..];
            let (discard, step) = match &mut self.connection {
                Connection::Server(server) => step(server.process_tls_records(rest), &mut sink, records),
                Connection::Client(client) => step(client.process_tls_records(rest), &mut sink, records),
            };
            used += discard;
            match step {
                Ok(Step::GoOn) => {}
                Ok(Step::MoreInput) => return Ok((used, sink.length)),
                Ok(Step::PeerDone) => self.is_peer_done = true,
                Err(error) => {
                    self.alert(&mut incoming[used..], records);
                    let first_byte = first_byte.filter(|_| !was_answered);
                    return Err(TlsError::new(self.role(), error, first_byte));
                }
            }
        }
    }

    /// Puts what rustls has to say about an error behind `records`. It gives that out before it looks at anything
    /// that was received, and must not look again.
    fn alert(&mut self, rest: &mut [u8], records: &mut Vec<u8>) {
        let mut sink = Sink { buffer: &mut [], length: 0, surplus: &mut Vec::new() };
        while self.state().wants_write() {
            let (_, step) = match &mut self.connection {
                Connection::Server(server) => step(server.process_tls_records(rest), &mut sink, records),
                Connection::Client(client) => step(client.process_tls_records(rest), &mut sink, records),
            };
            if step.is_err() {
                return;
            }
        }
    }

    /// Lets `say` put records behind those that rustls wants to send first.
    fn speak(
        &mut self,
        records: &mut Vec<u8>,
        say: impl FnOnce(&mut dyn Traffic, &mut Vec<u8>) -> Result<(), EncryptError>,
    ) -> Result<(), TlsError> {
        let mut unused = self.take_unused();
        let used = self.process(&mut unused, &mut [], records).map(|(used, _)| used)?;
        let role = self.role();
        let said = match &mut self.connection {
            Connection::Server(server) => {
                say_in(server.process_tls_records(&mut unused[used..]), records, say)
            }
            Connection::Client(client) => {
                say_in(client.process_tls_records(&mut unused[used..]), records, say)
            }
        };
        unused.drain(..used);
        self.unused = unused;
        said.map_err(|error| TlsError::new(role, error, None))
    }
}

/// Carries out one state of rustls.
fn step<Data>(
    status: UnbufferedStatus<'_, '_, Data>,
    sink: &mut Sink<'_>,
    records: &mut Vec<u8>,
) -> (usize, Result<Step, rustls::Error>) {
    let mut discard = status.discard;
    let step = match status.state {
        Err(error) => Err(error),
        Ok(ConnectionState::EncodeTlsData(mut data)) => {
            let encoded = grow_and_try(records, RECORD_OVERHEAD_BYTES, |room| data.encode(room));
            encoded.map(|()| Step::GoOn).map_err(|error| rustls::Error::General(error.to_string()))
        }
        Ok(ConnectionState::TransmitTlsData(data)) => {
            // Records count as sent once they are in the stream's outbox, which keeps their order.
            data.done();
            Ok(Step::GoOn)
        }
        Ok(ConnectionState::ReadTraffic(mut traffic)) => loop {
            match traffic.next_record() {
                Some(Ok(record)) => {
                    discard += record.discard;
                    sink.put(record.payload);
                }
                Some(Err(error)) => break Err(error),
                None => break Ok(Step::GoOn),
            }
        },
        Ok(ConnectionState::PeerClosed) => Ok(Step::PeerDone),
        Ok(
            ConnectionState::BlockedHandshake | ConnectionState::WriteTraffic(_) | ConnectionState::Closed,
        ) => Ok(Step::MoreInput),
        // Early data is off (`max_early_data_size` is 0).
        Ok(other) => Err(rustls::Error::General(format!("unexpected state {other:?}"))),
    };
    (discard, step)
}

/// Carries out what can be said to an open connection.
fn say_in<Data>(
    status: UnbufferedStatus<'_, '_, Data>,
    records: &mut Vec<u8>,
    say: impl FnOnce(&mut dyn Traffic, &mut Vec<u8>) -> Result<(), EncryptError>,
) -> Result<(), rustls::Error> {
    match status.state? {
        ConnectionState::WriteTraffic(mut traffic) => {
            say(&mut traffic, records).map_err(|error| rustls::Error::General(error.to_string()))
        }
        // Both sides have closed: there is nobody to speak to.
        ConnectionState::Closed => Ok(()),
        _ => Err(rustls::Error::HandshakeNotComplete),
    }
}

/// [`WriteTraffic`] of a server or of a client.
trait Traffic {
    fn encrypt(&mut self, bytes: &[u8], room: &mut [u8]) -> Result<usize, EncryptError>;
    fn queue_close_notify(&mut self, room: &mut [u8]) -> Result<usize, EncryptError>;
}

impl<Data> Traffic for WriteTraffic<'_, Data> {
    fn encrypt(&mut self, bytes: &[u8], room: &mut [u8]) -> Result<usize, EncryptError> {
        WriteTraffic::encrypt(self, bytes, room)
    }

    fn queue_close_notify(&mut self, room: &mut [u8]) -> Result<usize, EncryptError> {
        WriteTraffic::queue_close_notify(self, room)
    }
}

/// An error that may say how much room is missing.
trait NeedsRoom {
    fn room_needed(&self) -> Option<usize>;
}

impl NeedsRoom for EncodeError {
    fn room_needed(&self) -> Option<usize> {
        match self {
            Self::InsufficientSize(size) => Some(size.required_size),
            Self::AlreadyEncoded => None,
        }
    }
}

impl NeedsRoom for EncryptError {
    fn room_needed(&self) -> Option<usize> {
        match self {
            Self::InsufficientSize(size) => Some(size.required_size),
            Self::EncryptExhausted => None,
        }
    }
}

/// Lets `write` put bytes behind `records`, with `guess` bytes of room and once more with as many as it asks for.
fn grow_and_try<E: NeedsRoom>(
    records: &mut Vec<u8>,
    guess: usize,
    mut write: impl FnMut(&mut [u8]) -> Result<usize, E>,
) -> Result<(), E> {
    let before = records.len();
    records.resize(before + guess, 0);
    let mut written = write(&mut records[before..]);
    if let Some(room) = written.as_ref().err().and_then(NeedsRoom::room_needed) {
        records.resize(before + room, 0);
        written = write(&mut records[before..]);
    }
    records.truncate(before + written.as_ref().map_or(0, |length| *length));
    written.map(drop)
}

impl Sink<'_> {
    fn put(&mut self, bytes: &[u8]) {
        let room = if self.surplus.is_empty() { self.buffer.len() - self.length } else { 0 };
        let (now, later) = bytes.split_at(bytes.len().min(room));
        self.buffer[self.length..self.length + now.len()].copy_from_slice(now);
        self.length += now.len();
        self.surplus.extend_from_slice(later);
    }
}

/// Whether a whole record of the handshake is among the whole records.
fn holds_handshake_record(mut bytes: &[u8]) -> bool {
    while let Some((&[kind, _, _, high, low], body)) = bytes.split_first_chunk() {
        let Some(rest) = body.get(usize::from(u16::from_be_bytes([high, low]))..) else { return false };
        if kind == u8::from(ContentType::Handshake) {
            return true;
        }
        bytes = rest;
    }
    false
}

/// Whether the hello in the first record is of TLS 1.1 or older. Newer ones all say that they are 1.2.
fn is_older_than_tls_1_2(hello: &[u8]) -> bool {
    // Header of the record and of the message, then the version (RFC 8446 §4.1.2).
    matches!(hello, [22, _, _, _, _, 1, _, _, _, major, minor, ..] if (*major, *minor) < (3, 3))
}

/// Room for the records of so much plaintext.
fn sealed_bytes(plaintext: usize) -> usize {
    plaintext + plaintext.div_ceil(RECORD_PLAINTEXT_BYTES) * RECORD_OVERHEAD_BYTES
}

/// The most plaintext of one record (RFC 8446 §5.1).
const RECORD_PLAINTEXT_BYTES: usize = 16 << 10;
/// Header, nonce, kind and tag of a record with any cipher we offer, rounded up.
const RECORD_OVERHEAD_BYTES: usize = 64;
/// A fatal alert that says `protocol_version` (RFC 8446 §6), in a record that every version understands.
const ALERT_PROTOCOL_VERSION: [u8; 7] = [21, 3, 1, 0, 2, 2, 70];

#[cfg(test)]
mod tests;
