//! Attacks below MQTT: on TLS and WebSocket. What they do costs others nothing, and the log says what is wrong.

use std::fs;
use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::process::{Command, Stdio};

use rcgen::{CertifiedKey, generate_simple_self_signed};
use rustls::StreamOwned;
use rustls::pki_types::CertificateDer;

use noctule_codec::{Packet, QoS};

use crate::mosquitto::client::{Client, Hello};
use crate::peer::{Peer, publish};
use crate::support::{Broker, folder, noctule, place, tls_client, trusting};

struct Served {
    broker: Broker,
    folder: PathBuf,
    certificate: CertificateDer<'static>,
    tcp: SocketAddr,
    tls: SocketAddr,
    ws: SocketAddr,
}

fn start(test: &str, rest: &str) -> Served {
    let folder = folder(test);
    let made = generate_simple_self_signed(["broker.lan".to_owned(), "localhost".to_owned()]);
    let CertifiedKey { cert, signing_key } = made.expect("a certificate");
    fs::write(folder.join("server.pem"), cert.pem()).expect("a writable folder for tests");
    fs::write(folder.join("server.key"), signing_key.serialize_pem()).expect("a writable folder for tests");
    let text = format!(
        "listen = [\"tls://127.0.0.1:0\", \"ws://127.0.0.1:0\", \"tcp://127.0.0.1:0\"]\nlog = \"warn\"\nshards = 1\n\
         {rest}\n[tls]\ncertificate = [\"server.pem\"]\nkey = [\"server.key\"]\n"
    );
    fs::write(folder.join("noctule.toml"), text).expect("a writable folder for tests");
    let mut broker = Broker::start(&mut noctule(&folder, &["--config", "noctule.toml"]));
    let ready = broker.ready();
    let place = |scheme| place(&ready, scheme).parse().expect("an address");
    let certificate = cert.der().clone();
    Served { tcp: place("tcp://"), tls: place("tls://"), ws: place("ws://"), broker, folder, certificate }
}

fn bystander(address: SocketAddr) -> Peer {
    let mut peer = Peer::connect(address, "bystander");
    peer.subscribe("bystander");
    peer
}

/// What a client says first.
fn hello(certificate: &CertificateDer<'static>) -> Vec<u8> {
    let mut client = tls_client(&trusting(certificate));
    let mut bytes = Vec::new();
    client.write_tls(&mut bytes).expect("a vector takes everything");
    bytes
}

fn is_closed(socket: &mut TcpStream) -> bool {
    socket.set_read_timeout(Some(std::time::Duration::from_secs(30))).expect("a socket");
    let mut buffer = [0; 65_536];
    loop {
        match socket.read(&mut buffer) {
            Ok(0) => return true,
            Ok(_) => {}
            Err(error) => return error.kind() == ErrorKind::ConnectionReset,
        }
    }
}

#[test]
fn handshakes_that_are_never_finished_are_cut_off_and_nobody_waits() {
    let served = start("half_open_tls", "[limits]\nconnect_timeout = \"1s\"\n");
    let mut others = bystander(served.tcp);
    let bytes = hello(&served.certificate);
    let mut half_open = Vec::new();
    for n in 0..300 {
        let mut socket = TcpStream::connect(served.tls).expect("the broker listens");
        // Nothing, a part of a hello, or all of it and nothing after the answer.
        let said = [0, 1, 5, bytes.len() / 2, bytes.len()][n % 5];
        socket.write_all(&bytes[..said]).expect("the broker reads");
        half_open.push(socket);
        if n % 10 == 0 {
            others.round_trip("bystander");
        }
    }
    assert!(half_open.iter_mut().all(is_closed));
    others.round_trip("bystander");
}

/// One private-key operation a turn, and everybody else is served in the same turn; turn by turn the tests of the
/// broker's runtime show that.
#[test]
fn established_clients_are_served_between_private_key_operations() {
    const HELLOS: usize = 300;
    let served = start("hello_storm", "");
    let mut others = bystander(served.tcp);
    let bytes = hello(&served.certificate);
    let mut storm: Vec<TcpStream> =
        (0..HELLOS).map(|_| TcpStream::connect(served.tls).expect("the broker listens")).collect();
    others.round_trip("bystander");
    for socket in &mut storm {
        socket.write_all(&bytes).expect("the broker reads");
    }
    // Hellos are answered in order, so the last one is answered last.
    let last = storm.last_mut().expect("there are some");
    last.set_nonblocking(true).expect("a socket");
    let mut round_trips = 0;
    while matches!(last.peek(&mut [0]), Err(error) if error.kind() == ErrorKind::WouldBlock) {
        others.round_trip("bystander");
        round_trips += 1;
    }
    assert!(round_trips >= HELLOS / 20, "{round_trips} round trips while {HELLOS} clients said hello");
}

fn upgraded(address: SocketAddr) -> TcpStream {
    let mut socket = TcpStream::connect(address).expect("the broker listens");
    socket
        .write_all(
            b"GET /mqtt HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
              Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\
              Sec-WebSocket-Protocol: mqtt\r\n\r\n",
        )
        .expect("the broker reads");
    let mut answer = Vec::new();
    while !answer.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        socket.read_exact(&mut byte).expect("the broker answers");
        answer.push(byte[0]);
    }
    assert!(answer.starts_with(b"HTTP/1.1 101"), "{}", String::from_utf8_lossy(&answer));
    socket
}

fn resident_bytes(broker: &Broker) -> u64 {
    let statm = fs::read_to_string(format!("/proc/{}/statm", broker.child.id())).expect("a running broker");
    let pages: u64 = statm.split(' ').nth(1).expect("a second field").parse().expect("a number");
    pages * 4096
}

#[test]
fn frames_that_say_they_are_huge_or_are_empty_cost_nobody_anything() {
    let served = start("frame_bombs", "[limits]\nconnect_timeout = \"2s\"\n");
    let mut others = bystander(served.tcp);
    let before = resident_bytes(&served.broker);
    let mask = [0; 4];
    let huge = [&[0x82, 0xff, 0x3f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff][..], &mask].concat();
    let empty_fragment = [&[0x00, 0x80][..], &mask].concat();
    let first_fragment = [&[0x02, 0x80][..], &mask].concat();
    let ping = [&[0x89, 0x80][..], &mask].concat();
    let bombs = [
        [huge, vec![0; 1 << 20]].concat(),
        [first_fragment, empty_fragment.repeat(200_000)].concat(),
        ping.repeat(200_000),
    ];
    let mut sockets: Vec<TcpStream> = Vec::new();
    for bomb in &bombs {
        for _ in 0..4 {
            let mut socket = upgraded(served.ws);
            socket.set_nonblocking(true).expect("a socket");
            // The broker may have had enough and close.
            let _ = socket.write(bomb);
            others.round_trip("bystander");
            socket.set_nonblocking(false).expect("a socket");
            sockets.push(socket);
        }
    }
    let grown = resident_bytes(&served.broker).saturating_sub(before);
    assert!(grown < 64 << 20, "the broker grew by {grown} bytes");
    assert!(sockets.iter_mut().all(is_closed), "no CONNECT came");
    others.round_trip("bystander");
}

/// What waits for a client over TLS waits as plaintext and as records; both are bounded.
#[test]
fn a_subscriber_over_tls_that_never_reads_costs_bounded_memory_and_holds_nobody_up() {
    let served = start("never_reads_tls", "");
    let mut others = bystander(served.tcp);
    let socket = TcpStream::connect(served.tls).expect("the broker listens");
    let tls = StreamOwned::new(tls_client(&trusting(&served.certificate)), socket);
    let mut deaf = Client::over(tls);
    assert!(deaf.connect(Hello::new("deaf")).is_in);
    assert_eq!(deaf.subscribe("bulk", QoS::AtMostOnce), "bulk: [Success]");
    let mut publisher = Peer::connect(served.tcp, "publisher");
    let before = resident_bytes(&served.broker);
    let payload = vec![0; 1 << 20];
    for _ in 0..256 {
        publisher.send(&Packet::Publish(publish("bulk", &payload)));
        others.round_trip("bystander");
    }
    let grown = resident_bytes(&served.broker).saturating_sub(before);
    assert!(grown < 64 << 20, "the broker grew by {grown} bytes");
    drop(deaf);
    others.round_trip("bystander");
}

/// What openssl says on standard error about a connection that it gives up or that is refused.
fn s_client(served: &Served, arguments: &[&str]) -> (bool, String) {
    let mut child = Command::new("openssl")
        .current_dir(&served.folder)
        .args(["s_client", "-quiet", "-no_ign_eof", "-connect", &served.tls.to_string()])
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("openssl has to be installed (Debian package openssl)");
    let mut stdin = child.stdin.take().expect("a pipe");
    // It may have given up already.
    let _ = stdin.write_all(b"\x10\x0d\0\x04MQTT\x04\x02\0\x3c\0\x01a\xe0\0");
    // At the end of its input it would go without waiting for the answer.
    let output = child.wait_with_output().expect("an end");
    drop(stdin);
    (output.stdout.starts_with(b"\x20\x02\0\0"), String::from_utf8_lossy(&output.stderr).into_owned())
}

#[test]
fn what_is_wrong_between_openssl_and_the_broker_is_said_on_both_sides() {
    let served = start("openssl_refused", "");
    let foreign = generate_simple_self_signed(["other.lan".to_owned()]).expect("a certificate");
    fs::write(served.folder.join("foreign.pem"), foreign.cert.pem()).expect("a writable folder for tests");
    let strict = ["-verify_return_error", "-CAfile"];
    let (is_let_in, _) =
        s_client(&served, &[&strict[..], &["server.pem", "-verify_hostname", "broker.lan"]].concat());
    assert!(is_let_in, "the right certificate is believed");
    for (arguments, said) in [
        ([&strict[..], &["server.pem", "-verify_hostname", "other.lan"]].concat(), "hostname mismatch"),
        ([&strict[..], &["foreign.pem"]].concat(), "self-signed certificate"),
        (vec!["-tls1_1", "-cipher", "DEFAULT:@SECLEVEL=0"], "protocol version"),
    ] {
        let (is_let_in, stderr) = s_client(&served, &arguments);
        assert!(!is_let_in, "{arguments:?}");
        assert!(stderr.replace("self signed", "self-signed").contains(said), "{arguments:?}: {stderr}");
    }
    let mut plain = TcpStream::connect(served.tls).expect("the broker listens");
    plain.write_all(b"\x10\x0d\0\x04MQTT\x04\x02\0\x3c\0\x01a").expect("the broker reads");
    assert!(is_closed(&mut plain));
    let (_, log) = served.broker.end();
    for said in [
        "TLS: the client does not trust our certificate",
        "TLS: the client has no version above TLS 1.1; it needs TLS 1.2 or 1.3",
        "TLS: the client speaks MQTT without TLS; it needs TLS to connect here",
    ] {
        assert!(log.contains(said), "{said:?} is missing in {log}");
    }
}
