//! `noctule spy` between clients and a broker.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::process::{Child, ChildStdout, Stdio};

use super::ours::Place;
use crate::support::{Broker, noctule, outcome};

/// A spy in front of the broker of a place; it ends with the test.
struct Spy {
    child: Child,
    stdout: BufReader<ChildStdout>,
    port: String,
}

impl Spy {
    fn new(place: &Place, more: &[&str]) -> Self {
        Self::before(place, &format!("mqtt://127.0.0.1:{}", place.port), more)
    }

    /// A spy in front of another server.
    fn before(place: &Place, url: &str, more: &[&str]) -> Self {
        let mut command = noctule(&place.folder, &["spy", "--listen", "127.0.0.1:0", "--to", url]);
        let mut child = command.args(more).stdout(Stdio::piped()).spawn().expect("the binary");
        let stdout = BufReader::new(child.stdout.take().expect("a pipe"));
        let mut spy = Self { child, stdout, port: String::new() };
        let line = spy.line();
        let (_, rest) = line.split_once("127.0.0.1:").expect("an address");
        spy.port = rest.chars().take_while(char::is_ascii_digit).collect();
        spy
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        assert!(self.stdout.read_line(&mut line).expect("UTF-8") > 0, "the spy has ended");
        line
    }

    /// What is told of one connection until it has ended, without the time.
    fn told(&mut self) -> Vec<String> {
        let mut lines: Vec<String> = Vec::new();
        while !lines.last().is_some_and(|line| line.contains(" ended: ")) {
            let line = self.line();
            let (time, rest) = line.trim_end().split_once(' ').expect("a time and more");
            assert_eq!(time.len(), "07:08:09.500000".len(), "{line}");
            lines.push(rest.to_owned());
        }
        lines
    }
}

impl Drop for Spy {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn every_packet_of_both_sides_is_shown() {
    let place = Place::new("spy");
    let mut spy = Spy::new(&place, &["--payload-bytes", "3"]);
    let words = [
        "pub",
        "-h",
        "127.0.0.1",
        "-p",
        &spy.port,
        "-i",
        "me",
        "-V",
        "5",
        "-t",
        "a/b",
        "-m",
        "hello",
        "-q",
        "1",
    ];
    let (code, _, stderr) = outcome(&mut noctule(&place.folder, &words));
    assert_eq!((code, &*stderr), (0, ""));
    let told = spy.told();
    let wanted = [
        "#1 opened from 127.0.0.1:",
        "#1 -> CONNECT 20 B version=\"5.0\" client_id=\"me\" clean_start=true keep_alive_seconds=60 \
         properties={\"receive-maximum\":20}",
        "#1 <- CONNACK ",
        "#1 -> PUBLISH 15 B topic=\"a/b\" qos=1 retain=false dup=false packet_id=1 payload_bytes=5 payload=\"hel…\"",
        "#1 <- PUBACK ",
        "#1 -> DISCONNECT ",
        "#1 ",
        "#1 ",
        "#1 ended: ",
    ];
    assert_eq!(told.len(), wanted.len(), "{told:#?}");
    for (line, wanted) in told.iter().zip(wanted) {
        assert!(line.starts_with(wanted), "{wanted} is wanted in {told:#?}");
    }
    for side in ["#1 -> closed", "#1 <- closed"] {
        assert!(told.iter().any(|line| line == side), "{told:#?}");
    }
}

/// Clients speak plain MQTT, whatever the spy speaks with the broker.
#[test]
fn the_broker_is_reached_over_tls_and_over_websocket() {
    let place = Place::new("spy_ways");
    let made = outcome(&mut noctule(&place.folder, &["tls", "init", "--dir", "tls", "--name", "localhost"]));
    assert_eq!(made.0, 0, "{made:?}");
    let listeners =
        ["--listen", "tls://localhost:0", "--listen", "wss://localhost:0", "--listen", "ws://localhost:0"];
    let files = ["--set", "tls.certificate=tls/server.pem", "--set", "tls.key=tls/server.key"];
    let data = ["serve", "--data-dir", "more"];
    let mut broker = Broker::start(&mut noctule(&place.folder, &[&data[..], &listeners, &files].concat()));
    let ready = broker.ready();
    let port =
        |scheme: &str| crate::support::place(&ready, scheme).rsplit(':').next().expect("a port").to_owned();
    let (tls, wss, ws) = (port("tls://"), port("wss://"), port("ws://"));
    for (url, more) in [
        (format!("mqtts://localhost:{tls}"), &["--cafile", "tls/ca.pem"][..]),
        (format!("wss://localhost:{wss}"), &["--cafile", "tls/ca.pem"]),
        (format!("ws://localhost:{ws}"), &[]),
    ] {
        let mut spy = Spy::before(&place, &url, more);
        let payload = "x".repeat(20_000);
        std::fs::write(place.folder.join("payload"), &payload).expect("a writable folder for tests");
        let words = ["request", "-h", "127.0.0.1", "-p", &spy.port, "-t", "q", "-e", "q", "-f", "payload"];
        let (code, stdout, stderr) = outcome(&mut noctule(&place.folder, &words));
        assert_eq!((code, stdout.trim_end() == payload), (0, true), "{url}: {stderr}");
        let told = spy.told();
        for wanted in
            ["#1 -> CONNECT ", "#1 <- CONNACK ", "#1 <- SUBACK ", "#1 -> PUBLISH 20", "#1 <- PUBLISH 20"]
        {
            assert!(
                told.iter().any(|line| line.starts_with(wanted)),
                "{url}: {wanted} is wanted in {told:#?}"
            );
        }
    }
    // Whom it does not believe it does not speak to.
    let mut spy = Spy::before(&place, &format!("mqtts://localhost:{tls}"), &[]);
    let (code, ..) =
        outcome(&mut noctule(&place.folder, &["pub", "-h", "127.0.0.1", "-p", &spy.port, "-t", "a", "-n"]));
    assert_ne!(code, 0);
    assert!(spy.line().contains("#1 opened from"));
    let line = spy.line();
    assert!(line.contains("#1 no way to the server: ") && line.contains("certificate"), "{line}");
}

#[test]
fn a_password_is_never_shown() {
    let place = Place::new("spy_password");
    let mut spy = Spy::new(&place, &["--json"]);
    let words = ["pub", "-h", "127.0.0.1", "-p", &spy.port, "-u", "me", "-P", "s3cret", "-t", "a", "-n"];
    outcome(&mut noctule(&place.folder, &words));
    let mut lines = vec![spy.line()];
    while !lines.last().is_some_and(|line| line.contains("\"event\":\"ended\"")) {
        lines.push(spy.line());
    }
    assert!(lines[1].contains(r#""user_name":"me","password":"(hidden)""#), "{lines:#?}");
    assert!(!lines.concat().contains("s3cret"), "{lines:#?}");
    for line in lines {
        let json: serde_json::Value = serde_json::from_str(&line).expect("JSON");
        assert!(json["time"].is_string() && json["connection"] == 1, "{line}");
    }
}

#[test]
fn malformed_packets_are_named_and_passed_on() {
    let place = Place::new("spy_malformed");
    let mut spy = Spy::new(&place, &[]);
    let mut client = TcpStream::connect(format!("127.0.0.1:{}", spy.port)).expect("the spy listens");
    client.write_all(b"\x10\x0D\x00\x04MQTT\x05\x02\x00\x3C\x00\x00\x00").expect("it reads");
    // QoS 3.
    client.write_all(b"\x36\x04\x00\x01tx").expect("it reads");
    let mut answers = Vec::new();
    client.read_to_end(&mut answers).expect("the broker ends it");
    drop(client);
    assert!(answers.starts_with(b"\x20"), "{answers:02X?}");
    let told = spy.told();
    let malformed = told.iter().find(|line| line.contains("MALFORMED")).expect("it is named");
    assert!(malformed.starts_with("#1 -> MALFORMED PUBLISH 6 B: "), "{malformed}");
    assert!(malformed.ends_with("; raw=\"6\\u0004\\u0000\\u0001tx\""), "{malformed}");
    // The broker has had it too: it says what it thinks of it.
    assert!(told.iter().any(|line| line.starts_with("#1 <- DISCONNECT")), "{told:#?}");
}

#[test]
fn a_broker_that_is_not_there_is_told_of() {
    let place = Place::new("spy_nobody");
    let url = "mqtt://127.0.0.1:1";
    let mut command = noctule(&place.folder, &["spy", "--listen", "127.0.0.1:0", "--to", url]);
    let mut child = command.stdout(Stdio::piped()).spawn().expect("the binary");
    let stdout = BufReader::new(child.stdout.take().expect("a pipe"));
    let mut spy = Spy { child, stdout, port: String::new() };
    let line = spy.line();
    let (_, rest) = line.split_once("127.0.0.1:").expect("an address");
    let port: String = rest.chars().take_while(char::is_ascii_digit).collect();
    let mut client = TcpStream::connect(format!("127.0.0.1:{port}")).expect("the spy listens");
    assert_eq!(client.read_to_end(&mut Vec::new()).expect("it ends"), 0);
    assert!(spy.line().contains("#1 opened from"));
    assert!(spy.line().contains("#1 no way to the server: "));
}

#[test]
fn where_to_and_nothing_else() {
    let place = Place::new("spy_usage");
    for (words, error) in [
        (["--to", "mqtt://u:p@h"], "Error: The URL for --to names the broker only; "),
        (["--to", "mqtt://h/topic"], "Error: The URL for --to names the broker only; "),
        (["--to", "http://h"], "Error: unsupported URL scheme.\n"),
        (["--payload-bytes", "x"], "Error: Invalid number of bytes 'x'.\n"),
        (["-u", "me"], "Error: Unknown option '-u'.\n"),
    ] {
        let (code, _, stderr) = outcome(&mut noctule(&place.folder, &[&["spy"], &words[..]].concat()));
        assert_eq!((code, stderr.starts_with(error)), (1, true), "{words:?}: {stderr}");
    }
}
