//! What clients do to see the effect of an option, in words that can be compared.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{Ipv6Addr, SocketAddr, TcpStream};
use std::process::Command;
use std::time::{Duration, Instant};

use noctule_codec::QoS::{AtLeastOnce, AtMostOnce, ExactlyOnce};

use super::brokers::{Files, PATIENCE, Subject, pause, until};
use super::client::{Client, Hello};

type Seen = Vec<String>;

pub(super) fn first_port(at: &mut Subject) -> Seen {
    vec![knock(at.ports[0], Hello::new("a"))]
}

pub(super) fn second_port(at: &mut Subject) -> Seen {
    vec![knock(at.ports[0], Hello::new("a")), knock(at.ports[1], Hello::new("b"))]
}

/// Another address of this machine.
pub(super) fn other_address(at: &mut Subject) -> Seen {
    let other = SocketAddr::from(([127, 0, 0, 2], at.ports[0]));
    vec![knock(at.ports[0], Hello::new("a")), knock_at(other, Hello::new("b"))]
}

pub(super) fn ipv6(at: &mut Subject) -> Seen {
    let ipv6 = SocketAddr::from((Ipv6Addr::LOCALHOST, at.ports[0]));
    vec![knock(at.ports[0], Hello::new("a")), knock_at(ipv6, Hello::new("b"))]
}

/// What is said to somebody who asks for a WebSocket, at whatever path, and whether MQTT is spoken over it.
pub(super) fn websocket(at: &mut Subject) -> Seen {
    ["/mqtt", "/", "/some/where"].iter().map(|path| format!("{path}: {}", upgrade(at, path))).collect()
}

fn upgrade(at: &Subject, path: &str) -> String {
    let mut socket = TcpStream::connect(at.address()).expect("the broker listens");
    socket.set_read_timeout(Some(PATIENCE)).expect("a socket");
    let request = format!(
        "GET {path} HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\
         Sec-WebSocket-Protocol: mqtt\r\nOrigin: http://elsewhere.example\r\n\r\n"
    );
    socket.write_all(request.as_bytes()).expect("the broker reads");
    let answer = head_of(&mut socket);
    match answer.lines().next() {
        None => "closed".into(),
        Some(line) if !line.contains(" 101 ") => "refused".into(),
        Some(_) => format!("upgraded, and {}", knock_in_frames(&mut socket)),
    }
}

/// The head of an HTTP answer.
fn head_of(socket: &mut TcpStream) -> String {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") && socket.read(&mut byte).is_ok_and(|length| length == 1) {
        head.extend(byte);
    }
    String::from_utf8_lossy(&head).into_owned()
}

/// CONNECT in two masked frames, whose mask changes nothing, and what comes back in one.
fn knock_in_frames(socket: &mut TcpStream) -> &'static str {
    let (begin, end) = (b"\x10\x0d\0\x04MQ", b"TT\x04\x02\0\x3c\0\x01w");
    for (kind, part) in [(0x02, &begin[..]), (0x80, &end[..])] {
        let length = 0x80 | u8::try_from(part.len()).expect("short");
        socket.write_all(&[&[kind, length, 0, 0, 0, 0], part].concat()).expect("the broker reads");
    }
    let mut answer = [0; 6];
    let is_in = socket.read_exact(&mut answer).is_ok() && answer == *b"\x82\x04\x20\x02\0\0";
    if is_in { "in" } else { "out" }
}

/// A second client while the first one is there. What was there to find the broker ready may still count for a moment.
pub(super) fn two_at_once(at: &mut Subject) -> Seen {
    let is_full = until(Duration::from_secs(3), || {
        let Some(mut first) = Client::dial(at) else { return false };
        first.connect(Hello::new("a")).is_in
            && knock(at.ports[0], Hello::new("b")) == "out"
            && !first.is_closed()
    });
    vec![format!("the second is kept out: {is_full}")]
}

/// What a client below the mount point says is heard outside under its whole name, and the other way round.
pub(super) fn mounted(at: &mut Subject) -> Seen {
    let mut outside = Client::connected(at, Hello::new("outside"));
    let mut inside = Client::dial_port(at.ports[1]).expect("the broker listens");
    inside.connect(Hello { will: Some("gone"), ..Hello::new("inside") });
    let mut seen = vec![outside.subscribe("#", AtLeastOnce), inside.subscribe("#", AtLeastOnce)];
    seen.push(inside.publish("kitchen", "1", AtLeastOnce, false));
    seen.push(outside.publish("house/cellar", "2", AtLeastOnce, false));
    seen.push(outside.publish("cellar", "3", AtLeastOnce, false));
    seen.extend(outside.heard());
    seen.extend(inside.heard());
    inside.vanish();
    seen.extend(outside.next_message());
    seen
}

pub(super) fn versions(at: &mut Subject) -> Seen {
    let knock = |name: &str, hello| format!("{name}: {}", knock(at.ports[0], hello));
    let hello = Hello::new("a");
    vec![knock("3.1", hello.v31()), knock("3.1.1", hello), knock("5.0", hello.v5())]
}

pub(super) fn anonymous(at: &mut Subject) -> Seen {
    vec![knock(at.ports[0], Hello::new("a"))]
}

pub(super) fn anonymous_on_both(at: &mut Subject) -> Seen {
    vec![knock(at.ports[0], Hello::new("a")), knock(at.ports[1], Hello::new("b"))]
}

/// A user with the right password, the wrong one, none, and one that nobody knows; and somebody without a name.
pub(super) fn users(at: &mut Subject) -> Seen {
    let port = at.ports[0];
    let hello = Hello::new("a");
    vec![
        knock(port, hello.user("anna", "secret")),
        knock(port, hello.user("anna", "wrong")),
        knock(port, Hello { user_name: Some("anna"), ..hello }),
        knock(port, hello.user("otto", "secret")),
        knock(port, hello.user("nobody", "secret")),
        knock(port, hello),
    ]
}

/// A file of `mosquitto_passwd`, with a user of each kind of hash.
pub(super) fn passwords() -> Files {
    let folder = crate::support::folder("mosquitto_passwords");
    let path = folder.join("passwords");
    for (option, user) in [("-c", "anna"), ("", "berta")] {
        let options = if option.is_empty() { vec!["-b"] } else { vec![option, "-b"] };
        let made = Command::new("mosquitto_passwd").args(options).arg(&path).args([user, "secret"]).output();
        let made = made.expect("mosquitto_passwd has to be installed (Debian package mosquitto)");
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    }
    vec![("passwords", fs::read_to_string(path).expect("a file"))]
}

/// What two users and somebody without a name may say and hear.
pub(super) fn rights(at: &mut Subject) -> Seen {
    let names = [None, Some("anna"), Some("berta")];
    let mut seen = Vec::new();
    for name in names {
        let id = name.unwrap_or("nobody");
        let mut listener = Client::connected(at, Hello { user_name: name, ..Hello::new(id) });
        let mut speaker = Client::connected(at, Hello { user_name: Some("root"), ..Hello::new("root") });
        seen.push(listener.subscribe("#", AtLeastOnce));
        for topic in ["open/a", "anna/a", "berta/a", "secret/a", "home/nobody"] {
            seen.push(speaker.publish(topic, "root", AtLeastOnce, false));
            seen.push(listener.publish(topic, id, AtLeastOnce, false));
        }
        seen.extend(listener.heard());
    }
    seen
}

pub(super) fn acl() -> Files {
    let text = "topic readwrite open/#\ntopic read home/nobody\n\nuser root\ntopic readwrite #\n\n\
                user anna\ntopic open/#\ntopic deny secret/#\n\npattern readwrite %u/#\npattern read home/%c\n";
    vec![("rights", text.into())]
}

pub(super) fn included() -> Files {
    vec![
        ("conf.d/b.conf", "listener {PORT2} 127.0.0.1\n".into()),
        ("conf.d/unused.txt", "no_option at all\n".into()),
    ]
}

pub(super) fn client_ids(at: &mut Subject) -> Seen {
    ["good-1", "good-", "bad-1", "Good-1", ""].map(|id| knock(at.ports[0], Hello::new(id))).to_vec()
}

/// Two clients with one user name are one client.
pub(super) fn same_user(at: &mut Subject) -> Seen {
    let mut first = Client::connected(at, Hello { user_name: Some("anna"), ..Hello::new("first") });
    let second = Hello { user_name: Some("anna"), ..Hello::new("second") };
    let mut seen = vec![knock(at.ports[0], second), format!("the first is closed: {}", first.is_closed())];
    seen.push(knock(at.ports[0], Hello::new("without-a-name")));
    seen
}

/// The beginning of a client id that the broker has given.
pub(super) fn assigned_id(at: &mut Subject) -> Seen {
    let mut client = Client::dial(at).expect("the broker listens");
    let id = client.connect(Hello::new("").v5()).client_id.unwrap_or_default();
    vec![id.chars().take(6).collect()]
}

pub(super) fn empty_id(at: &mut Subject) -> Seen {
    let hello = Hello::new("");
    vec![knock(at.ports[0], hello), knock(at.ports[0], hello.v5()), knock(at.ports[0], Hello::new("a"))]
}

/// A retained message, a session and what it is owed, after the broker has been stopped in order.
pub(super) fn kept_over_restart(at: &mut Subject) -> Seen {
    let mut away = Client::connected(at, Hello::new("away").durable());
    let mut seen = vec![away.subscribe("a/#", AtLeastOnce)];
    away.vanish();
    let mut speaker = Client::connected(at, Hello::new("speaker"));
    seen.push(speaker.publish("a/b", "kept", AtLeastOnce, true));
    at.restart();
    let mut away = Client::dial(at).expect("the broker listens");
    let welcome = away.connect(Hello::new("away").durable());
    seen.push(format!("present: {}", welcome.session_present));
    // What is read from the disk may come behind the answer to a ping.
    seen.extend(if welcome.session_present { away.next_message() } else { None });
    seen.extend(away.heard());
    let mut other = Client::connected(at, Hello::new("other"));
    seen.push(other.subscribe("a/#", AtMostOnce));
    seen.extend(other.heard());
    seen
}

pub(super) fn kept_in_store(at: &mut Subject) -> Seen {
    kept_as(at, "store", "mosquitto.db")
}

pub(super) fn kept_in_mine(at: &mut Subject) -> Seen {
    kept_as(at, "store", "mine.db")
}

/// Whether something of this name is in a folder after the broker has been stopped.
fn kept_as(at: &mut Subject, folder: &str, name: &str) -> Seen {
    let mut speaker = Client::connected(at, Hello::new("speaker"));
    let mut seen = vec![speaker.publish("a/b", "kept", AtLeastOnce, true)];
    at.stop();
    let entries = fs::read_dir(at.folder.join(folder)).expect("a folder");
    let names = entries.filter_map(Result::ok).map(|entry| entry.file_name().to_string_lossy().into_owned());
    let names: Vec<String> = names.collect();
    seen.push(format!("{name} is there: {}", names.iter().any(|there| there.starts_with(name))));
    seen
}

/// Whether a session is still there two seconds and a bit after its client has gone.
pub(super) fn session_after_a_while(at: &mut Subject) -> Seen {
    let mut away = Client::connected(at, Hello::new("away").durable());
    let mut seen = vec![away.subscribe("a", AtLeastOnce)];
    away.vanish();
    pause(Duration::from_millis(3_500));
    let mut away = Client::dial(at).expect("the broker listens");
    seen.push(format!("present: {}", away.connect(Hello::new("away").durable()).session_present));
    seen
}

pub(super) fn retaining(at: &mut Subject) -> Seen {
    let mut client = Client::dial(at).expect("the broker listens");
    let welcome = client.connect(Hello::new("a").v5());
    let mut seen = vec![format!("available: {}", welcome.retain_available)];
    seen.push(client.publish("a", "1", AtLeastOnce, false));
    seen.push(client.publish("a", "2", AtLeastOnce, true));
    let mut old = Client::connected(at, Hello::new("old"));
    seen.push(old.publish("a", "2", AtLeastOnce, true));
    seen
}

/// Messages of QoS 0 and 1 for a session that is away.
pub(super) fn queued_qos0(at: &mut Subject) -> Seen {
    queue(at, &[("a", "none", 0), ("a", "one", 1)])
}

/// Deliveries to a client that acknowledges nothing, and what the broker announces.
pub(super) fn in_flight(at: &mut Subject) -> Seen {
    let mut seen = Vec::new();
    for hello in [Hello::new("old"), Hello::new("new").v5()] {
        let mut slow = Client::dial(at).expect("the broker listens");
        let welcome = slow.connect(hello);
        seen.push(format!("receive maximum: {:?}", welcome.receive_maximum));
        slow.acknowledges = false;
        seen.push(slow.subscribe("a", AtLeastOnce));
        let mut speaker = Client::connected(at, Hello::new("speaker"));
        for number in 0..30 {
            speaker.publish("a", &number.to_string(), AtLeastOnce, false);
        }
        seen.extend(slow.heard());
    }
    seen
}

pub(super) fn queued(at: &mut Subject) -> Seen {
    let messages: Vec<String> = (0..12).map(|number| number.to_string()).collect();
    queue(at, &messages.iter().map(|text| ("a", text.as_str(), 1)).collect::<Vec<_>>())
}

/// The first of many bytes are kept, and the last are not; a message takes a little more than its payload here.
pub(super) fn queued_bytes(at: &mut Subject) -> Seen {
    let payload = "x".repeat(1_000);
    let kept = queue(at, &[("a", payload.as_str(), 1); 12]).len();
    vec![format!("some are kept: {}", kept > 2), format!("some are not: {}", kept < 9)]
}

fn queue(at: &mut Subject, messages: &[(&str, &str, u8)]) -> Seen {
    let mut away = Client::connected(at, Hello::new("away").durable());
    away.subscribe("a", AtLeastOnce);
    away.vanish();
    let mut speaker = Client::connected(at, Hello::new("speaker"));
    for (topic, payload, qos) in messages {
        speaker.publish(topic, payload, if *qos == 0 { AtMostOnce } else { AtLeastOnce }, false);
    }
    Client::connected(at, Hello::new("away").durable()).heard()
}

pub(super) fn long_packet(at: &mut Subject) -> Seen {
    let payload = "x".repeat(200);
    let mut client = Client::connected(at, Hello::new("a"));
    vec![client.publish("a", "short", AtLeastOnce, false), client.publish("a", &payload, AtLeastOnce, false)]
}

/// A payload that is too long is acknowledged, and nobody gets it.
pub(super) fn long_payload(at: &mut Subject) -> Seen {
    let payload = "x".repeat(101);
    let mut seen = Vec::new();
    for hello in [Hello::new("old"), Hello::new("new").v5()] {
        let mut client = Client::connected(at, hello);
        seen.push(client.subscribe("a", AtLeastOnce));
        seen.push(client.publish("a", &payload[1..], AtLeastOnce, false).to_owned());
        seen.push(client.publish("a", &payload, AtLeastOnce, false));
        seen.extend(client.heard());
    }
    seen
}

pub(super) fn keep_alive(at: &mut Subject) -> Seen {
    let mut seen = Vec::new();
    for keep_alive in [0, 20, 30, 31] {
        let mut new = Client::dial(at).expect("the broker listens");
        let welcome = new.connect(Hello { keep_alive, ..Hello::new("new").v5() });
        let mut old = Client::dial(at).expect("the broker listens");
        let old = old.connect(Hello { keep_alive, ..Hello::new("old") });
        seen.push(format!("{keep_alive}: {:?} {:?}", welcome.keep_alive, old.code));
    }
    seen
}

pub(super) fn highest_qos(at: &mut Subject) -> Seen {
    let mut client = Client::dial(at).expect("the broker listens");
    let welcome = client.connect(Hello::new("a").v5());
    let mut seen = vec![format!("maximum: {:?}", welcome.maximum_qos), client.subscribe("a", ExactlyOnce)];
    seen.push(client.publish("a", "1", AtLeastOnce, false));
    seen.push(client.publish("a", "2", ExactlyOnce, false));
    seen
}

/// Whether the file of the log has something, and the name of a client.
pub(super) fn names_in_file(at: &mut Subject) -> Seen {
    Client::connected(at, Hello::new("somebody-known")).vanish();
    at.stop();
    let log = at.file("broker.log");
    vec![
        format!("is there: {}", at.folder.join("broker.log").exists()),
        format!("names: {}", log.contains("somebody-known")),
    ]
}

/// What a line of the log begins with, as far as it is the same for a month.
pub(super) fn time_in_file(at: &mut Subject) -> Seen {
    at.stop();
    let log = at.file("broker.log");
    vec![log.lines().next().unwrap_or_default().chars().take(9).collect()]
}

/// Whether the broker says something about itself within some seconds.
pub(super) fn sys_messages(at: &mut Subject) -> Seen {
    let mut client = Client::connected(at, Hello::new("a"));
    let mut seen = vec![client.subscribe("$SYS/broker/uptime", AtMostOnce)];
    let start = Instant::now();
    let mut times = 0;
    until(Duration::from_millis(4_500), || {
        times += client.heard().len();
        times >= 3
    });
    seen.push(format!("thrice in time: {}", times >= 3 && start.elapsed() < Duration::from_secs(5)));
    seen
}

/// Whether a client is let in.
pub(super) fn knock(port: u16, hello: Hello<'_>) -> String {
    knock_at(SocketAddr::from(([127, 0, 0, 1], port)), hello)
}

fn knock_at(address: SocketAddr, hello: Hello<'_>) -> String {
    match Client::dial_at(address) {
        None => "nobody listens".into(),
        Some(mut client) => if client.connect(hello).is_in { "in" } else { "out" }.into(),
    }
}
