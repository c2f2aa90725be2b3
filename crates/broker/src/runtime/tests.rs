//! Whole turns of a shard with real sockets, one after the other, so that what happens between two of them can be seen.

use super::*;
use crate::config::{Config, Tls};
use crate::data_dir::DataDir;
use crate::entrance::Entrance;
use crate::{Parts, access, assemble};
use noctule_session::Limits;
use noctule_transport::{ClientTls, ServerIdentity, Stream, WhatFollows};
use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::Path;

/// A broker of one shard that works when it is told to.
struct Turns {
    runtime: Runtime,
    events: Events,
    tls: SocketAddr,
    tcp: SocketAddr,
    /// Closed, it would stop the broker.
    _hand: UnixStream,
}

impl Turns {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut config = Config {
            listen: ["tls://127.0.0.1:0", "tcp://127.0.0.1:0"].map(|url| url.parse().unwrap()).into(),
            tls: certificate(folder.path()),
            shards: 1,
            sys_interval: None,
            limits: Limits { durability: Durability::Memory, ..Limits::default() },
            ..Config::default()
        };
        let entrances = Entrance::open_all(&config).unwrap();
        let addresses = entrances.iter().map(|entrance| entrance.listener.url().to_string());
        let addresses: Vec<SocketAddr> =
            addresses.map(|url| url.rsplit_once('/').unwrap().1.parse().unwrap()).collect();
        config.limits.memory_bytes_max = 1 << 30;
        let (signals, hand) = Signals::by_hand().unwrap();
        let parts = Parts {
            connections_max: 1000,
            signals,
            entrances,
            access: access::load(&config, 1).unwrap().access,
            reloading: None,
        };
        let (mut runtimes, _) = assemble(&config, parts, DataDir::none(), None).unwrap();
        let runtime = runtimes.pop().unwrap();
        let (events, [tls, tcp]) = (Events::with_capacity(EVENTS_PER_TURN), [addresses[0], addresses[1]]);
        Self { runtime, events, tls, tcp, _hand: hand }
    }

    fn turn(&mut self) {
        self.runtime.wait(&mut self.events).unwrap();
        self.runtime.turn();
    }

    /// A client that has been let in.
    fn connect(&mut self, client_id: u8) -> TcpStream {
        let mut socket = TcpStream::connect(self.tcp).unwrap();
        socket.set_nonblocking(true).unwrap();
        socket.write_all(&[&b"\x10\x0d\0\x04MQTT\x04\x02\0\0\0\x01"[..], &[client_id]].concat()).unwrap();
        while said(&mut socket) != b"\x20\x02\0\0" {
            self.turn();
        }
        // What follows CONNECT is looked at in the turn after it.
        socket.write_all(b"\xc0\0").unwrap();
        while said(&mut socket) != b"\xd0\0" {
            self.turn();
        }
        socket
    }

    /// A client that has said hello, and whom nobody has heard yet.
    fn say_hello(&self, tls: &ClientTls) -> Stream {
        let mut stream = Stream::dial(self.tls, None).unwrap();
        stream.dial_tls(tls, "broker.lan").unwrap();
        assert!(stream.flush().unwrap(), "a hello fits into the kernel's buffer");
        stream
    }
}

/// A certificate and its key in this folder.
fn certificate(folder: &Path) -> Tls {
    let made = rcgen::generate_simple_self_signed(["broker.lan".to_owned()]).unwrap();
    let path = |name: &str| folder.join(name).to_str().unwrap().to_owned();
    let (certificate, key) = (path("server.pem"), path("server.key"));
    fs::write(&certificate, made.cert.pem()).unwrap();
    fs::write(&key, made.signing_key.serialize_pem()).unwrap();
    Tls { certificate: vec![certificate], key: vec![key], ..Tls::default() }
}

/// What has come by now.
fn said(socket: &mut TcpStream) -> Vec<u8> {
    let mut buffer = [0; 64];
    match socket.read(&mut buffer) {
        Ok(length) => buffer[..length].to_vec(),
        Err(error) => {
            assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
            Vec::new()
        }
    }
}

/// Whether the server has answered the hello.
fn is_answered(stream: &mut Stream) -> bool {
    while !stream.is_open() && !matches!(stream.read(&mut [0; 64]).unwrap(), Read::WouldBlock) {}
    stream.is_open()
}

#[test]
fn in_a_hello_storm_every_established_client_is_served_between_two_private_key_operations() {
    let mut turns = Turns::new();
    let mut established: Vec<TcpStream> = (b'A'..b'A' + 50).map(|id| turns.connect(id)).collect();
    let tls = ClientTls::new(&ServerIdentity::Unchecked, None, WhatFollows::Mqtt).unwrap();
    let mut storm: Vec<Stream> = (0..200).map(|_| turns.say_hello(&tls)).collect();
    let (mut turns_taken, mut left) = (0, storm.len());
    while !storm.is_empty() {
        for socket in &mut established {
            socket.write_all(b"\xc0\0").unwrap();
        }
        turns.turn();
        turns_taken += 1;
        for socket in &mut established {
            assert_eq!(said(socket), b"\xd0\0", "every one of them is served in turn {turns_taken}");
        }
        storm.retain_mut(|stream| !is_answered(stream));
        assert!(left - storm.len() <= 1, "two hellos were answered in turn {turns_taken}");
        left = storm.len();
        assert!(turns_taken < 2 * 200, "{left} hellos are not answered");
    }
    assert!(turns_taken >= 200);
}
