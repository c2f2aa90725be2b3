//! A server that is a few lines of test.

use super::{PATIENCE, within};
use noctule_client::{Properties, ProtocolVersion, ReasonCode};
use noctule_codec::{ConnAck, Decoder, Packet};
use std::net::SocketAddr;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

/// The server's end of one connection.
pub(crate) struct Peer {
    stream: TcpStream,
    decoder: Decoder,
    bytes: Vec<u8>,
}

pub(crate) async fn listen() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("bound");
    (listener, address)
}

impl Peer {
    pub(crate) async fn accept(listener: &TcpListener) -> Self {
        let (stream, _) = within("a client", listener.accept()).await.expect("a client");
        Self { stream, decoder: Decoder::server(u32::MAX), bytes: Vec::new() }
    }

    /// The next packet of the client in `look`'s words.
    pub(crate) async fn hear<T>(&mut self, look: impl Fn(&Packet<'_>) -> T) -> T {
        loop {
            if let Some((packet, length)) = self.decoder.decode(&self.bytes).expect("packets") {
                let seen = look(&packet);
                self.bytes.drain(..length);
                return seen;
            }
            let mut more = [0; 512];
            let read = within("a packet", self.stream.read(&mut more)).await.expect("open");
            assert!(read > 0, "the client has left");
            self.bytes.extend_from_slice(&more[..read]);
        }
    }

    pub(crate) async fn say(&mut self, packet: &Packet<'_>) {
        let mut bytes = Vec::new();
        packet.encode(ProtocolVersion::V5, &mut bytes).expect("a short packet");
        self.stream.write_all(&bytes).await.expect("open");
    }

    pub(crate) async fn let_in(&mut self, properties: Properties<'_>) {
        let (session_present, reason_code) = (false, ReasonCode::Success);
        self.say(&Packet::ConnAck(ConnAck { session_present, reason_code, properties })).await;
    }

    /// Whether the client closes the connection without another packet.
    pub(crate) async fn sees_its_client_leave(mut self) -> bool {
        let mut rest = Vec::new();
        let read = tokio::time::timeout(PATIENCE, self.stream.read_to_end(&mut rest)).await;
        matches!(read, Ok(Ok(0) | Err(_)))
    }
}
