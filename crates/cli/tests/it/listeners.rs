//! Every kind of listener of one broker, spoken to by clients of other libraries.

use std::fs;
use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Command, Stdio};

use rcgen::{CertifiedKey, KeyPair, generate_simple_self_signed};
use rustls::pki_types::CertificateDer;
use rustls::{ClientConnection, StreamOwned};
use tungstenite::client::IntoClientRequest as _;
use tungstenite::http::HeaderValue;
use tungstenite::{Message, WebSocket};

use crate::support::{Broker, folder, noctule, outcome, place, tls_client, trusting};

/// Anything bytes of MQTT go through.
trait Wire {
    fn send(&mut self, bytes: &[u8]);
    fn receive(&mut self) -> Vec<u8>;
}

impl<S: Read + Write> Wire for S {
    fn send(&mut self, bytes: &[u8]) {
        self.write_all(bytes).expect("the broker reads");
        self.flush().expect("the broker reads");
    }

    fn receive(&mut self) -> Vec<u8> {
        let mut buffer = vec![0; 1 << 20];
        let length = self.read(&mut buffer).expect("the broker answers");
        assert!(length > 0, "the broker has closed the connection");
        buffer[..length].to_vec()
    }
}

/// Bytes in WebSocket frames of so many at most, which MQTT does not notice [MQTT-6.0.0-2].
struct Framed<S> {
    websocket: WebSocket<S>,
    frame_bytes_max: usize,
}

impl<S: Read + Write> Framed<S> {
    fn open(stream: S, frame_bytes_max: usize) -> Self {
        let mut request = "ws://localhost/mqtt".into_client_request().expect("a request");
        request.headers_mut().insert("Sec-WebSocket-Protocol", HeaderValue::from_static("mqtt"));
        let (websocket, response) = tungstenite::client(request, stream).expect("a WebSocket");
        assert_eq!(response.headers()["Sec-WebSocket-Protocol"], "mqtt", "[MQTT-6.0.0-4]");
        Self { websocket, frame_bytes_max }
    }
}

impl<S: Read + Write> Read for Framed<S> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let Message::Binary(bytes) = self.websocket.read().expect("a frame") else {
            panic!("no binary frame")
        };
        buffer[..bytes.len()].copy_from_slice(&bytes);
        Ok(bytes.len())
    }
}

impl<S: Read + Write> Write for Framed<S> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let length = bytes.len().min(self.frame_bytes_max);
        self.websocket.send(Message::binary(bytes[..length].to_vec())).expect("the broker reads");
        Ok(length)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Says CONNECT, SUBSCRIBE to `a` and PUBLISH there, and hears it all.
fn converse(wire: &mut dyn Wire, client_id: u8) {
    let connect = [b"\x10\x0d\0\x04MQTT\x04\x02\0\x3c\0\x01".as_slice(), &[client_id]].concat();
    for (said, heard) in [
        (connect.as_slice(), b"\x20\x02\0\0".as_slice()),
        (b"\x82\x06\0\x01\0\x01a\0", b"\x90\x03\0\x01\0"),
        (b"\x30\x05\0\x01ahi", b"\x30\x05\0\x01ahi"),
    ] {
        wire.send(said);
        let mut received = Vec::new();
        while received.len() < heard.len() {
            received.extend(wire.receive());
        }
        assert_eq!(received, heard);
    }
}

struct Certified {
    certificate: CertificateDer<'static>,
}

/// Writes `server.pem` and `server.key` for `broker.lan`.
fn certify(folder: &Path) -> Certified {
    let CertifiedKey { cert, signing_key } =
        generate_simple_self_signed(["broker.lan".to_owned(), "localhost".to_owned()])
            .expect("a certificate");
    let key: KeyPair = signing_key;
    fs::write(folder.join("server.pem"), cert.pem()).expect("a writable folder for tests");
    fs::write(folder.join("server.key"), key.serialize_pem()).expect("a writable folder for tests");
    Certified { certificate: cert.der().clone() }
}

fn over_tls(
    address: &str,
    Certified { certificate }: &Certified,
) -> StreamOwned<ClientConnection, TcpStream> {
    StreamOwned::new(
        tls_client(&trusting(certificate)),
        TcpStream::connect(address).expect("the broker listens"),
    )
}

const LISTENERS: &str = r#"
listen = [
    "tcp://127.0.0.1:0", "tls://127.0.0.1:0", "ws://127.0.0.1:0", "wss://127.0.0.1:0", "unix:mqtt.sock",
]
shards = 2
log = "warn"

[tls]
certificate = ["server.pem"]
key = ["server.key"]
"#;

#[test]
fn mqtt_6_0_0_2_one_broker_listens_in_every_way() {
    let folder = folder("listeners");
    let certified = certify(&folder);
    fs::write(folder.join("noctule.toml"), LISTENERS).expect("a writable folder for tests");
    let mut broker = Broker::start(&mut noctule(&folder, &["--config", "noctule.toml"]));
    let ready = broker.ready();
    let place = |scheme| place(&ready, scheme);
    assert!(ready.ends_with(" unix:mqtt.sock"), "{ready}");
    let tcp = |scheme| TcpStream::connect(place(scheme)).expect("the broker listens");
    // Both shards get some, so that some move with what is around them.
    for client_id in b'a'..b'g' {
        converse(&mut tcp("tcp://"), client_id);
        converse(&mut over_tls(place("tls://"), &certified), client_id);
        converse(&mut Framed::open(tcp("ws://"), 1), client_id);
        converse(&mut Framed::open(over_tls(place("wss://"), &certified), 1), client_id);
        converse(&mut UnixStream::connect(folder.join("mqtt.sock")).expect("the broker listens"), client_id);
    }
    let (_, stderr) = broker.end();
    assert!(!stderr.contains("ERROR"), "{stderr}");
    assert!(!folder.join("mqtt.sock").exists());
}

/// A PUBLISH of this length at QoS 0 on `a`, and back.
fn exchange_long(wire: &mut dyn Wire, bytes: usize) {
    converse(wire, b'z');
    let payload: Vec<u8> = (0..bytes).map(|at| (at / 7 % 251) as u8).collect();
    let mut packet = vec![0x30];
    let mut length = bytes + 3;
    while length > 0 {
        let more = if length > 127 { 0x80 } else { 0 };
        packet.push(u8::try_from(length % 128).expect("less than 128") | more);
        length /= 128;
    }
    packet.extend_from_slice(b"\0\x01a");
    packet.extend_from_slice(&payload);
    wire.send(&packet);
    let mut received = Vec::with_capacity(packet.len());
    while received.len() < packet.len() {
        received.extend(wire.receive());
    }
    assert!(received == packet, "{} bytes came back otherwise", received.len());
}

#[test]
fn packets_of_several_mebibytes_pass_both_ways_whatever_is_below() {
    let folder = folder("long_below");
    let certified = certify(&folder);
    fs::write(folder.join("noctule.toml"), LISTENERS).expect("a writable folder for tests");
    let mut broker = Broker::start(&mut noctule(&folder, &["--config", "noctule.toml"]));
    let ready = broker.ready();
    let place = |scheme| place(&ready, scheme);
    const BYTES: usize = 6_000_001;
    exchange_long(&mut over_tls(place("tls://"), &certified), BYTES);
    let tcp = TcpStream::connect(place("ws://")).expect("the broker listens");
    exchange_long(&mut Framed::open(tcp, BYTES), BYTES);
    exchange_long(&mut Framed::open(over_tls(place("wss://"), &certified), BYTES), BYTES);
}

#[test]
fn mosquitto_speaks_tls_with_it() {
    let folder = folder("mosquitto_tls");
    certify(&folder);
    fs::write(folder.join("noctule.toml"), LISTENERS).expect("a writable folder for tests");
    let mut broker = Broker::start(&mut noctule(&folder, &["--config", "noctule.toml"]));
    let ready = broker.ready();
    let port =
        ready.split(' ').find_map(|place| place.strip_prefix("tls://127.0.0.1:")).expect("a TLS listener");
    let large = "x".repeat(300_000);
    fs::write(folder.join("large.txt"), &large).expect("a writable folder for tests");
    let tool = |name: &str, arguments: &[&str]| {
        Command::new(name)
            .current_dir(&folder)
            .args([
                "-h",
                "localhost",
                "-p",
                port,
                "--cafile",
                "server.pem",
                "-V",
                "5",
                "-q",
                "1",
                "-t",
                "boiler",
            ])
            .args(arguments)
            .stdout(Stdio::piped())
            .output()
            .expect("mosquitto's clients have to be installed (Debian package mosquitto-clients)")
    };
    let said = tool("mosquitto_pub", &["-r", "-f", "large.txt"]);
    assert!(said.status.success(), "{}", String::from_utf8_lossy(&said.stderr));
    let heard = tool("mosquitto_sub", &["-C", "1", "-W", "20"]);
    assert!(heard.status.success(), "{}", String::from_utf8_lossy(&heard.stderr));
    assert_eq!(heard.stdout.trim_ascii(), large.as_bytes());
}

#[test]
fn a_listener_that_cannot_speak_tls_says_why() {
    let folder = folder("bad_tls");
    certify(&folder);
    let arguments = |settings: &[&str]| {
        let settings = settings.iter().flat_map(|setting| ["--set", setting]);
        let fixed = ["serve", "--listen", "tls://127.0.0.1:0"];
        fixed.into_iter().chain(settings).map(str::to_owned).collect::<Vec<_>>()
    };
    for (settings, said) in [
        (vec![], "tls://127.0.0.1:0 needs a certificate; name its file in tls.certificate"),
        (vec!["tls.certificate=server.pem"], "tls.certificate names 1 files and tls.key 0"),
        (vec!["tls.certificate=none.pem", "tls.key=server.key"], "none.pem: cannot be read: "),
        (vec!["tls.certificate=server.pem", "tls.key=server.pem"], "server.pem: holds no private key"),
        (
            vec!["tls.certificate=server.pem", "tls.key=server.key", "tls.client_certificates=required"],
            "name its file in tls.client_ca",
        ),
    ] {
        let arguments = arguments(&settings);
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let (code, _, stderr) = outcome(&mut noctule(&folder, &arguments));
        assert_ne!(code, 0);
        assert!(stderr.contains(said), "{stderr:?} should say {said:?}");
    }
}
