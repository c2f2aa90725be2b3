//! Names that clients choose to be read as log lines, as colours or backwards: client ids, user names, topics, filters,
//! reason strings and what stands in WebSocket requests. They are written so that they can do none of it.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;

use noctule_codec::{
    Disconnect, Packet, PacketId, Properties, Property, ProtocolVersion, QoS, ReasonCode, Subscribe,
    SubscribeFilters, SubscriptionOptions, Will,
};

use crate::peer::{Peer, connect, publish};
use crate::support::{Broker, folder, noctule, outcome, place};

/// Ends a line, begins one, clears the screen, colours it, and turns around what follows.
const FORGED: &str = "x\n2026-01-01T00:00:00.000000Z  INFO noctule_broker: FORGED\r\u{1b}[2J\u{1b}[31m\u{9b}1m\u{85}\
                      \u{202e}\u{2066}\u{2028}\u{200b}\"}";
const FIRST_LEVEL: &str = "house/";

/// A broker that knows one user, lets her do little and logs everything, over TCP and WebSocket.
struct Served {
    broker: Broker,
    tcp: SocketAddr,
    websocket: SocketAddr,
}

fn start(test: &str, format: &str) -> Served {
    let folder = folder(test);
    let text = format!(
        "listen = [\"tcp://127.0.0.1:0\", \"ws://127.0.0.1:0\"]\nlog = \"debug\"\nlog_format = \"{format}\"\n\
         log_to = [\"stderr\"]\n[access]\nusers = [\"users.txt\"]\nrules = \"rules.txt\"\n"
    );
    let rules = "allow all own/#\nallow subscribe house/#\ndeny receive house/+/#\nallow publish house/#\n";
    for (file, text) in [("noctule.toml", &*text), ("rules.txt", rules)] {
        fs::write(folder.join(file), text).expect("a writable folder");
    }
    assert_eq!(outcome(&mut noctule(&folder, &["passwd", "-b", "users.txt", "anna", "secret"])).0, 0);
    let mut broker = Broker::start(&mut noctule(&folder, &["--config", "noctule.toml"]));
    let ready = broker.ready();
    let place = |scheme| place(&ready, scheme).parse().expect("an address");
    Served { tcp: place("tcp://"), websocket: place("ws://"), broker }
}

/// A CONNECT from whoever that is, and what happens to it.
fn say_connect(address: SocketAddr, change: impl FnOnce(&mut noctule_codec::Connect<'static>)) -> Peer {
    let Packet::Connect(mut said) = connect(FORGED) else { unreachable!("it is one") };
    change(&mut said);
    let mut peer = Peer::dial(address);
    peer.send(&Packet::Connect(said));
    peer.receive(|_| ());
    peer
}

/// Says such names wherever a client can say something.
fn attack(served: &Served) {
    let address = served.tcp;
    let mut peer = say_connect(address, |_| {});
    for topic in [format!("denied/{FORGED}"), format!("{FIRST_LEVEL}{FORGED}")] {
        let packet_id = PacketId::new(7);
        peer.send(&Packet::Publish(noctule_codec::Publish {
            qos: QoS::AtLeastOnce,
            packet_id,
            ..publish(&topic, b"")
        }));
        let mut filters = SubscribeFilters::default();
        filters.push(&topic, SubscriptionOptions::default());
        let packet_id = PacketId::new(8).expect("not zero");
        peer.send(&Packet::Subscribe(Subscribe { packet_id, properties: Properties::EMPTY, filters }));
    }
    // What it hears of its own is dropped, which the log says at this level.
    peer.send(&Packet::Publish(publish(&format!("{FIRST_LEVEL}{FORGED}"), b"")));
    peer.drain(|_| Some(()));
    let reason = Properties::new().with(Property::ReasonString(FORGED));
    peer.send(&Packet::Disconnect(Disconnect {
        reason_code: ReasonCode::UnspecifiedError,
        properties: reason,
    }));
    assert!(peer.is_closed());

    // Two of one name, and more than is borne without a line about it.
    let peers: Vec<Peer> = (0..12).map(|_| say_connect(address, |_| {})).collect();
    drop(peers);
    for user_name in [FORGED, "anna"] {
        say_connect(address, |said| (said.user_name, said.password) = (Some(user_name), Some(&b"wrong"[..])));
    }
    say_connect(address, |said| said.will = Some(will()));
    say_connect(address, |said| {
        said.properties = Properties::new().with(Property::AuthenticationMethod(FORGED));
    });
    let mut old = Peer::dial(address).speaking(ProtocolVersion::V3_1_1);
    old.socket.write_all(b"\x10\x0c\0\x04M\nT\x1b\x04\x02\0\0\0\0").expect("the broker reads");
    assert!(old.is_closed());
    upgrade(served.websocket);
}

fn will() -> Will<'static> {
    let (payload, qos, properties) = (&b""[..], QoS::AtMostOnce, Properties::EMPTY);
    Will { topic: FORGED, payload, qos, retain: false, properties }
}

/// A web page of a host with such a name asks for a path with such a name.
fn upgrade(address: SocketAddr) {
    for (path, origin) in
        [("/\u{1b}[31m\u{202e}FORGED", "http://localhost"), ("/mqtt", "http://\u{1b}[31m\u{202e}FORGED")]
    {
        let mut socket = TcpStream::connect(address).expect("the broker listens");
        let request = format!(
            "GET {path} HTTP/1.1\r\nHost: localhost\r\nOrigin: {origin}\r\nUpgrade: websocket\r\n\
             Connection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\
             Sec-WebSocket-Protocol: mqtt\r\n\r\n"
        );
        socket.write_all(request.as_bytes()).expect("the broker reads");
        let mut answer = Vec::new();
        // Whether it says why before it closes is no matter of the log.
        let _ = socket.read_to_end(&mut answer);
        assert!(!answer.starts_with(b"HTTP/1.1 101"), "{path:?} {origin:?}");
    }
}

/// Whether a terminal would do something else with this than show it.
fn is_hidden(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

#[track_caller]
fn assert_harmless(line: &str) {
    assert!(!line.contains(is_hidden), "{line:?}");
}

#[test]
fn no_name_forges_or_colours_a_line_of_the_log() {
    let served = start("forged_text", "text");
    attack(&served);
    let (_, log) = served.broker.end();
    let lines: Vec<&str> = log.lines().collect();
    for line in &lines {
        assert_harmless(line);
        assert!(
            line.get(..3) == Some("202") && line.get(..24) != Some("2026-01-01T00:00:00.000"),
            "{line:?}"
        );
    }
    for event in [
        "client connected client_id=",
        "client disconnected client_id=",
        "two clients have one client id",
        "request refused client_id=",
        "client refused client_id=",
        "message dropped client_id=",
        "is in none of the files of users",
        "the will on",
        "authentication method",
    ] {
        let told = lines.iter().any(|line| line.contains(event) && line.contains("FORGED"));
        assert!(told, "{event:?} is missing in {log}");
    }
}

#[test]
fn no_name_forges_a_field_of_a_log_in_json() {
    let served = start("forged_json", "json");
    attack(&served);
    let (_, log) = served.broker.end();
    let mut told = 0;
    for line in log.lines() {
        assert_harmless(line);
        let entry: serde_json::Value =
            serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line:?}"));
        let text = |field: &str| entry[field].as_str().unwrap_or_default().to_owned();
        assert!(text("timestamp").starts_with("202") && !text("message").contains("FORGED"), "{line:?}");
        let names = ["client_id", "cause", "topic"].map(text);
        assert!(names.iter().all(|name| !name.contains(is_hidden)), "what reads the JSON shows it: {line:?}");
        told += u32::from(names.iter().any(|name| name.contains("FORGED")));
    }
    assert!(told >= 9, "{told} lines in {log}");
}

#[test]
fn no_name_forges_an_answer_of_explain() {
    let folder = folder("forged_answers");
    let explain = |arguments: &[&str]| outcome(&mut noctule(&folder, &[&["explain"], arguments].concat())).1;
    for format in ["text", "json"] {
        for question in ["publish", "will", "subscribe", "receive"] {
            let topic = ["--topic", FORGED, "--address", "192.0.2.1", "-o", format];
            let denied = ["--topic", "$SYS/x", "--address", "192.0.2.1", "-o", format];
            let text = explain(&[&[question, "--user", FORGED, "--client", FORGED], &topic[..]].concat());
            text.lines().for_each(assert_harmless);
            assert!(text.contains("FORGED") && !text.contains("\n2026"), "{text:?}");
            let text = explain(&[&[question, "--client", FORGED], &denied[..]].concat());
            text.lines().for_each(assert_harmless);
        }
        let strangers =
            ["connect", "--user", FORGED, "--client", FORGED, "--address", FORGED, "--listener", FORGED];
        let text = explain(&[&strangers[..], &["-o", format]].concat());
        text.lines().for_each(assert_harmless);
        assert!(text.contains("FORGED") && !text.contains("\n2026"), "{text:?}");
    }
}

#[test]
fn no_name_forges_what_is_said_of_a_journal() {
    let folder = folder("forged_journal");
    let arguments = ["--listen", "tcp://127.0.0.1:0", "--log", "off"];
    let mut broker = Broker::start(&mut noctule(&folder, &arguments));
    let address = broker.address();
    let mut peer = say_connect(address, |said| {
        said.clean_start = false;
        said.properties = Properties::new().with(Property::SessionExpiryInterval(3600));
        said.will = Some(will());
    });
    peer.subscribe(FORGED);
    let packet_id = PacketId::new(7);
    let retained =
        noctule_codec::Publish { qos: QoS::AtLeastOnce, packet_id, retain: true, ..publish(FORGED, b"") };
    peer.send(&Packet::Publish(noctule_codec::Publish { payload: FORGED.as_bytes(), ..retained }));
    peer.drain(|_| Some(()));
    broker.end();
    damage(&folder.join("noctule-data").join("journal"));
    for question in ["stat", "verify"] {
        for json in [&[][..], &["--json"]] {
            let arguments = [&["store", question, "--data-dir", "noctule-data"], json].concat();
            let (_, stdout, stderr) = outcome(&mut noctule(&folder, &arguments));
            assert!((stdout.clone() + &stderr).contains("journal"), "{stdout}{stderr}");
            stdout.lines().chain(stderr.lines()).for_each(assert_harmless);
        }
    }
}

/// Breaks what the name stands in, so that it is told of.
fn damage(journal: &Path) {
    for file in fs::read_dir(journal).expect("a journal") {
        let path = file.expect("a file").path();
        let mut bytes = fs::read(&path).unwrap_or_default();
        let Some(at) = bytes.windows(6).position(|window| window == b"FORGED") else { continue };
        bytes[at + 1] ^= 0xff;
        fs::write(&path, bytes).expect("a writable folder");
        return;
    }
    panic!("the name is in no file of {}", journal.display());
}
