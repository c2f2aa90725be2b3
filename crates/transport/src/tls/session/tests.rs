//! Records as they come: whole, in two pieces split anywhere, and byte by byte.

use rcgen::{CertificateParams, KeyPair};
use rustls::ClientConnection;
use std::path::Path;
use std::time::SystemTime;

use super::*;
use crate::tls::{
    Certificate, ClientCertificates, ClientTls, ServerIdentity, ServerTls, WhatFollows, backend, provider,
};

/// Both configurations, for TLS 1.3 and for 1.2.
fn configs() -> [(Arc<ServerConfig>, Arc<ClientConfig>); 2] {
    let key = KeyPair::generate().unwrap();
    let params = CertificateParams::new(vec!["broker.lan".to_owned()]).unwrap();
    let pem = params.self_signed(&key).unwrap().pem();
    let (path, key) = (Path::new("a.pem"), key.serialize_pem());
    let now = SystemTime::now();
    let certificate = Certificate::from_pem((path, pem.as_bytes()), (path, key.as_bytes()), now).unwrap();
    let server = ServerTls::new(&[certificate], &ClientCertificates::NotAsked, WhatFollows::Mqtt).unwrap();
    let client = ClientTls::new(&ServerIdentity::Unchecked, None, WhatFollows::Mqtt).unwrap();
    let new = (*client.config).clone();
    let mut provider = (*provider()).clone();
    provider.cipher_suites.retain(|suite| suite.tls13().is_none());
    provider.kx_groups = vec![backend::kx_group::X25519];
    let old = ClientConfig::builder_with_provider(Arc::new(provider))
        .with_protocol_versions(&[&rustls::version::TLS12])
        .unwrap()
        .dangerous()
        .with_custom_certificate_verifier(
            crate::tls::client::verifier(&ServerIdentity::Unchecked, &crate::tls::provider()).unwrap(),
        )
        .with_no_client_auth();
    [(Arc::clone(&server.config), Arc::new(new)), (server.config, Arc::new(old))]
}

/// A server and a client whose bytes to the server come in pieces of `piece` bytes, the first of each flight
/// split at `first`.
struct Pair {
    server: Tls,
    client: ClientConnection,
    first: usize,
    piece: usize,
    received: Vec<u8>,
    hellos: u32,
}

impl Pair {
    fn new((server, client): &(Arc<ServerConfig>, Arc<ClientConfig>), first: usize, piece: usize) -> Self {
        let client = ClientConnection::new(Arc::clone(client), "broker.lan".try_into().unwrap()).unwrap();
        let server = Tls::server(Arc::clone(server)).unwrap();
        Self { server, client, first, piece, received: Vec::new(), hellos: 0 }
    }

    /// Carries everything both have to say.
    fn carry(&mut self) {
        loop {
            let mut flight = Vec::new();
            while self.client.wants_write() {
                self.client.write_tls(&mut flight).unwrap();
            }
            if flight.is_empty() {
                return;
            }
            let (first, rest) = flight.split_at(self.first.min(flight.len()));
            let pieces = Some(first).into_iter().filter(|first| !first.is_empty());
            let records: Vec<u8> =
                pieces.chain(rest.chunks(self.piece)).flat_map(|piece| self.give(piece)).collect();
            let mut records = records.as_slice();
            while !records.is_empty() {
                self.client.read_tls(&mut records).unwrap();
                self.client.process_new_packets().unwrap();
            }
        }
    }

    fn give(&mut self, piece: &[u8]) -> Vec<u8> {
        let (mut plaintext, mut records) = ([0; 64], Vec::new());
        let opened = if self.server.has_unused() {
            let incoming = [self.server.take_unused().as_slice(), piece].concat();
            self.server.open(incoming, &mut plaintext, &mut records).unwrap()
        } else {
            self.server.open_slice(&mut piece.to_vec(), &mut plaintext, &mut records).unwrap()
        };
        match opened {
            Opened::Plaintext(length) => self.received.extend_from_slice(&plaintext[..length]),
            Opened::Hello => {
                self.hellos += 1;
                self.server.answer(&mut records).unwrap();
            }
        }
        while self.server.has_surplus() {
            let length = self.server.take_surplus(&mut plaintext);
            self.received.extend_from_slice(&plaintext[..length]);
        }
        records
    }

    fn say(&mut self, text: &[u8]) {
        std::io::Write::write_all(&mut self.client.writer(), text).unwrap();
        self.carry();
    }
}

fn converse(mut pair: Pair) {
    pair.carry();
    assert!(pair.server.is_open() && !pair.client.is_handshaking());
    assert_eq!(pair.hellos, 1);
    pair.say(b"call");
    pair.say(&[7; 100]);
    assert_eq!(pair.received, [b"call".as_slice(), &[7; 100]].concat());
    assert!(!pair.server.has_unused(), "an idle connection keeps nothing");
    assert_eq!((pair.server.unused.capacity(), pair.server.surplus.capacity()), (0, 0));

    let mut records = Vec::new();
    pair.server.seal(b"echo", &mut records).unwrap();
    pair.server.close(&mut records).unwrap();
    pair.client.read_tls(&mut records.as_slice()).unwrap();
    pair.client.process_new_packets().unwrap();
    let mut echo = Vec::new();
    std::io::Read::read_to_end(&mut pair.client.reader(), &mut echo).unwrap();
    assert_eq!(echo, b"echo");

    pair.client.send_close_notify();
    pair.carry();
    assert!(pair.server.is_peer_done());
}

#[test]
fn every_flight_may_be_split_anywhere() {
    for config in &configs() {
        // The hello is the longest flight of the client, and of little more than 1,200 bytes.
        for first in (0..1300).step_by(13).chain(0..12) {
            converse(Pair::new(config, first, usize::MAX));
        }
    }
}

#[test]
fn single_bytes_are_enough() {
    for config in &configs() {
        converse(Pair::new(config, 0, 1));
    }
}

#[test]
fn a_client_asked_for_another_hello_waits_twice() {
    for piece in [1, usize::MAX] {
        // A client remembers which group a server wanted.
        let [config, _] = configs();
        let mut provider = (*provider()).clone();
        provider.kx_groups = vec![backend::kx_group::SECP384R1];
        let mut server = ServerConfig::builder_with_provider(Arc::new(provider))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_cert_resolver(Arc::clone(&config.0.cert_resolver));
        server.alpn_protocols = config.0.alpn_protocols.clone();
        let mut pair = Pair::new(&(Arc::new(server), config.1), 0, piece);
        pair.carry();
        assert!(pair.server.is_open());
        assert_eq!(pair.hellos, 2, "pieces of {piece}");
    }
}

#[test]
fn plaintext_that_does_not_fit_waits() {
    let [config, _] = configs();
    let mut pair = Pair::new(&config, 0, usize::MAX);
    pair.carry();
    let long: Vec<u8> = (0..40_000).map(|at| (at % 251) as u8).collect();
    pair.say(&long);
    assert!(pair.received == long);
    assert_eq!(pair.server.surplus.capacity(), 0);
}

#[test]
fn what_is_sealed_before_the_handshake_is_refused() {
    let [config, _] = configs();
    assert!(Tls::server(config.0).unwrap().seal(b"early", &mut Vec::new()).is_err());
}

/// What an idle connection costs here: with 1,280 bytes an allocator's step ends, and the next one is 256 bytes longer.
#[test]
fn an_idle_connection_fits_its_step() {
    assert!(size_of::<Tls>() <= 1_280);
}
