//! What ours has beyond Debian's tools, and where it is meant to differ from them.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use crate::support::{Broker, folder, noctule, outcome};

/// A broker with three ways in, and a folder of its own.
pub(super) struct Place {
    pub(super) folder: PathBuf,
    pub(super) broker: Option<Broker>,
    pub(super) port: String,
    websocket_port: String,
}

impl Place {
    pub(super) fn new(test: &str) -> Self {
        let folder = folder(&format!("tools_{test}"));
        let listeners = ["tcp://127.0.0.1:0", "ws://127.0.0.1:0", "unix:mqtt.sock"];
        let listeners = listeners.iter().flat_map(|listener| ["--listen", *listener]);
        let arguments: Vec<&str> = ["serve"].into_iter().chain(listeners).collect();
        let mut broker = Broker::start(noctule(&folder, &arguments).stdin(Stdio::null()));
        let ready = broker.ready();
        let port = |scheme: &str| {
            let (_, rest) = ready.split_once(&format!("{scheme}://127.0.0.1:")).expect("an address");
            rest.split(|letter: char| !letter.is_ascii_digit()).next().expect("a port").to_owned()
        };
        let (port, websocket_port) = (port("tcp"), port("ws"));
        Self { folder, broker: Some(broker), port, websocket_port }
    }

    /// A tool as a command of `noctule`, at the TCP port of the broker.
    pub(super) fn tool(&self, line: &str) -> Command {
        let words: Vec<&str> = line.split_whitespace().collect();
        let mut command = noctule(&self.folder, &words[..1]);
        command.args(["-h", "127.0.0.1", "-p", &self.port]).args(&words[1..]).stdin(Stdio::null());
        command
    }

    pub(super) fn said(&self, line: &str) -> (i32, String, String) {
        outcome(&mut self.tool(line))
    }

    /// A line that goes well; what it prints.
    pub(super) fn printed(&self, line: &str) -> String {
        let (code, stdout, stderr) = self.said(line);
        assert_eq!((code, &*stderr), (0, ""), "{line}: {stdout}");
        stdout
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if let Some(broker) = self.broker.take() {
            drop(broker.kill());
        }
    }
}

#[test]
fn a_tool_is_a_command_too() {
    let place = Place::new("command");
    assert_eq!(place.printed("pub -t a/b -m hello -r -q 1"), "");
    assert_eq!(place.printed("sub -t a/+ -C 1 -v"), "a/b hello\n");
    assert_eq!(place.printed("request -t q -e q -m x"), "x\n");
    assert_eq!(place.printed("sub --hostname 127.0.0.1 --topic a/b --count 1 --format %p"), "hello\n");

    let (code, help, _) = outcome(&mut noctule(&place.folder, &["pub", "--help"]));
    assert_eq!(code, 0, "{help}");
    assert!(
        help.contains("Usage: noctule pub ") && help.contains("Examples:") && help.contains("--repeat-delay")
    );
    let (_, list, _) = outcome(&mut noctule(&place.folder, &["--help"]));
    assert!(list.contains("request"), "{list}");
    let (code, _, stderr) = place.said("pub --bogus");
    assert_eq!(
        (code, &*stderr),
        (1, "Error: Unknown option '--bogus'.\n\nUse 'noctule pub --help' to see usage.\n")
    );
}

#[test]
fn every_way_to_the_broker() {
    let place = Place::new("ways");
    place.printed("pub -t a -m hello -r -q 1");
    let ways = [
        vec!["sub", "--unix", "mqtt.sock", "-t", "a", "-C", "1"],
        vec!["sub", "-h", "127.0.0.1", "-p", &place.websocket_port, "--ws", "-t", "a", "-C", "1"],
    ];
    let url = format!("ws://127.0.0.1:{}/a", place.websocket_port);
    for words in ways.into_iter().chain([vec!["sub", "-L", &url, "-C", "1"]]) {
        let (code, stdout, stderr) = outcome(&mut noctule(&place.folder, &words));
        assert_eq!((code, &*stdout), (0, "hello\n"), "{words:?}: {stderr}");
    }
}

#[test]
fn a_message_counts_as_received_once_it_is_printed() {
    let place = Place::new("acknowledged");
    for version in ["311", "5"] {
        let session = format!("-c -i keeper{version} -V {version} -t jobs/# -q 1");
        place.printed(&format!("sub {session} -E"));
        for number in 1..=3 {
            place.printed(&format!("pub -t jobs/1 -m {number} -q 1"));
        }
        assert_eq!(place.printed(&format!("sub {session} -C 1")), "1\n");
        assert_eq!(
            place.printed(&format!("sub {session} -C 2")),
            "2\n3\n",
            "what was not printed is still there"
        );
    }
}

/// mosquitto's tools let the user wait for an answer that never comes.
#[test]
fn a_broker_that_wants_another_method_is_told_of() {
    let place = Place::new("auth");
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let port = listener.local_addr().expect("an address").port().to_string();
    std::thread::spawn(move || {
        for mut client in listener.incoming().flatten() {
            // CONNECT fits into one segment; AUTH follows: 0x18, and the method.
            let _ = client.read(&mut [0; 4096]);
            let _ = client.write_all(b"\xF0\x0A\x18\x08\x15\x00\x05SCRAM");
            let _ = client.read(&mut [0; 4096]);
        }
    });
    for tool in
        ["pub -t a -m x", "sub -t a", "request -t a -e b -m x", "record -", "tree --json", "replay /dev/null"]
    {
        let said = |more: &str| place.said(&format!("{tool} -p {port} -V 5 {more}"));
        let (code, _, stderr) = said("-D connect authentication-method SCRAM");
        let wanted = "Error: The broker asks for the next step of authentication by SCRAM, which this tool";
        assert!(
            stderr.contains(wanted) && stderr.contains("Leave out -D connect authentication-method"),
            "{tool}: {stderr}"
        );
        assert_eq!(code, 11, "{tool}");
        let (code, _, stderr) = said("");
        assert!(
            stderr.contains("AUTH for an authentication method that CONNECT did not name"),
            "{tool}: {stderr}"
        );
        assert_eq!(code, 2, "{tool}");
    }
}

/// A broker that lets a client in and then breaks a rule, whoever comes and how often.
fn ruleless_broker() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let port = listener.local_addr().expect("an address").port().to_string();
    std::thread::spawn(move || {
        for mut client in listener.incoming().flatten() {
            let _ = client.read(&mut [0; 4096]);
            // CONNACK with a code that MQTT 3.1.1 does not have.
            let _ = client.write_all(b"\x20\x02\x00\x63");
            let _ = client.read(&mut [0; 4096]);
        }
    });
    port
}

#[test]
fn nobody_comes_back_to_a_broker_that_breaks_the_rules() {
    let place = Place::new("ruleless");
    let port = ruleless_broker();
    for tool in [
        "pub -t a -l",
        "pub -t a -m x",
        "sub -t a",
        "record - -V 311",
        "top -V 311",
        "replay /dev/null -V 311",
    ] {
        let (code, _, stderr) = place.said(&format!("{tool} -p {port}"));
        assert_eq!(code, 2, "{tool}: {stderr}");
    }
}

/// Whoever came back would throw the other one out, who comes back in turn.
#[test]
fn a_client_whose_place_is_taken_leaves_it() {
    let place = Place::new("taken");
    let start = |version: &str| {
        let line = format!("sub -t a -i twin -V {version} -d");
        place.tool(&line).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the binary")
    };
    let mut first = start("5");
    let mut lines = BufReader::new(first.stdout.take().expect("a pipe")).lines();
    assert!(lines.any(|line| line.expect("UTF-8").contains("received SUBACK")));
    place.printed("pub -t a -m x -i twin -V 5 -q 1");
    let output = first.wait_with_output().expect("it ends");
    let stderr = String::from_utf8(output.stderr).expect("UTF-8");
    assert_eq!((output.status.code(), stderr.contains("Session taken over")), (Some(7), true), "{stderr}");
}

/// What was not printed is not lost: it is not acknowledged.
#[test]
fn a_full_disk_is_told_of() {
    let place = Place::new("full_disk");
    let full = || std::fs::OpenOptions::new().write(true).open("/dev/full").expect("a device of Linux");
    let session = "-c -i keeper -q 1 -t jobs";
    place.printed(&format!("sub {session} -E"));
    place.printed("pub -t jobs -m 1 -q 1 -r");
    for line in [
        &*format!("sub {session} -C 1"),
        "sub -t jobs --message-rate",
        "request -t q -e q -m x",
        "tree",
        "top -C 1",
        "spy --listen 0",
        "record -",
    ] {
        let (code, _, stderr) = outcome(place.tool(line).stdout(full()));
        assert_eq!(
            (code, stderr.contains("cannot be written: No space left")),
            (1, true),
            "{line}: {stderr}"
        );
    }
    assert_eq!(place.printed(&format!("sub {session} -C 1 -R")), "1\n");
}

/// The broker takes the connection and says nothing.
#[test]
fn w_holds_also_before_the_broker_has_answered() {
    let place = Place::new("silent");
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let port = listener.local_addr().expect("an address").port();
    for (line, code) in [("sub -t a", 255), ("tree", 27), ("top --json", 27)] {
        let (ended, stdout, stderr) = place.said(&format!("{line} -W 1 -p {port}"));
        assert_eq!((ended, &*stdout), (code, ""), "{line}: {stderr}");
    }
}

#[test]
fn an_options_file_is_named_in_any_way() {
    let place = Place::new("named");
    std::fs::write(place.folder.join("flags"), "-t from/file\n-r\n").expect("a writable folder for tests");
    std::fs::write(place.folder.join("pw"), "secret\n").expect("a writable folder for tests");
    for (line, payload) in [
        ("pub -o flags -m 1", "1"),
        ("pub -m 2 --options-file=flags", "2"),
        ("pub -u u --pw-file pw -m -o --options-file flags", "-o"),
    ] {
        place.printed(&format!("{line} -q 1"));
        assert_eq!(place.printed("sub -t from/file -C 1 -W 5"), format!("{payload}\n"), "{line}");
    }
    let (code, _, stderr) = place.said("pub -t a -m x -o none");
    assert_eq!(
        (code, stderr.starts_with("Error: the options file none cannot be read: ")),
        (1, true),
        "{stderr}"
    );
}

#[test]
fn json_is_that_of_2_1() {
    let place = Place::new("json");
    place.printed("pub -t a -m {} -r -q 1 -D publish user-property k v -D publish user-property k w");
    let json = place.printed("sub -t a -C 1 -V 5 -F %J");
    let (head, tail) = json.split_once(",\"topic\"").expect("a topic");
    assert!(head.starts_with("{\"tst\":\"20") && !head.contains('Z'), "{head}");
    assert_eq!(
        tail,
        ":\"a\",\"qos\":0,\"retain\":true,\"payloadlen\":2,\"properties\":{\
         \"user-properties\":[{\"k\":\"v\"},{\"k\":\"w\"}]},\"payload\":{}}\n"
    );
}

#[test]
fn what_mosquitto_2_1_has_more() {
    let place = Place::new("more");
    let latency = place.printed("request -t q -e q -m x --latency");
    assert!(latency.starts_with("x\nLatency: ") && latency.ends_with("s\n"), "{latency}");

    place.printed("pub -t w/a -m 1 -r -q 1");
    place.printed("pub -t w/b -m 2 -r -q 1");
    let watched = place.printed("sub -t w/# -w -v -C 2");
    assert_eq!(
        watched,
        "\u{1b}[2J\u{1b}[1;1HBroker: 127.0.0.1\n\u{1b}[2;1H\u{1b}[Kw/a 1\n\u{1b}[2;1H\n\
         \u{1b}[3;1H\u{1b}[Kw/b 2\n\u{1b}[3;1H\n"
    );

    let (code, rate, _) = place.said("sub -t w/# --message-rate -W 2");
    assert_eq!((code, rate.lines().next()), (27, Some("2")), "{rate}");

    assert_eq!(place.printed("sub -t w/# -v -C 1 -V 5 --retain-handling always"), "w/a 1\n");
    assert_eq!(
        place.said("sub -t w/# -v -W 1 -V 5 --retain-handling never"),
        (27, String::new(), "Timed out\n".into())
    );
    let options = place.folder.join("options");
    std::fs::write(&options, "-t w/c\n-m two words\n").expect("a writable folder for tests");
    place.printed("pub -r -q 1 -o options");
    assert_eq!(place.printed("sub -t w/c -C 1"), "two words\n");
}

/// What mosquitto 2.0.11 does not do as its own pages say.
#[test]
fn where_mosquitto_is_wrong() {
    let place = Place::new("right");
    std::fs::write(place.folder.join("text"), "from a file").expect("a writable folder for tests");
    assert_eq!(place.printed("request -t q -e q -f text -q 1"), "from a file\n");
    let mut request = place
        .tool("request -t q -e q -s")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("the binary");
    request.stdin.take().expect("a pipe").write_all(b"from stdin").expect("it reads");
    assert_eq!(request.wait_with_output().expect("the binary").stdout, b"from stdin\n");

    place.printed("pub -t r/a -m 1 -r -q 1");
    assert_eq!(place.printed("sub -t r/# -C 1 -v --random-filter 100"), "r/a 1\n");
    assert_eq!(place.printed("sub -t r/# --remove-retained -C 1 -v"), "r/a 1\n");
    assert_eq!(place.said("sub -t r/# -W 1"), (27, String::new(), "Timed out\n".into()));
    place.printed("pub -t r/b -m 1 -r -q 1");
    assert_eq!(
        place.printed("sub -t r/# --remove-retained --retained-only -v"),
        "r/b 1\n",
        "it ends by itself"
    );
    let (code, _, stderr) = place.said("pub -t a -m x --psk 12 --psk-identity i");
    assert!(code == 1 && stderr.contains("not supported: use certificates"), "{stderr}");
    let failed = place.said("pub -t a/b -m x -D publish response-topic a/#");
    assert_eq!(failed.0, 1, "what could not be published is a failure: {failed:?}");
}

#[test]
fn passwords_come_from_files_and_variables_too() {
    let place = Place::new("passwords");
    let write = |name: &str, text: &str| {
        std::fs::write(place.folder.join(name), text).expect("a writable folder for tests");
    };
    write("pw", "secret\r\nmore\n");
    place.printed("pub -t a -m x -u u --pw-file pw");
    let (code, _, stderr) = place.said("pub -t a -m x -u u --pw-file none");
    assert!(code == 1 && stderr.starts_with("Error: the password cannot be read from none: "), "{stderr}");
    let said = outcome(place.tool("pub -t a -m x -u u --pw-env SECRET").env("SECRET", "x"));
    assert_eq!(said.0, 0, "{said:?}");
    let (code, _, stderr) = place.said("pub -t a -m x -u u --pw-env SECRET");
    assert!(code == 1 && stderr.contains("no variable SECRET"), "{stderr}");
}

#[test]
fn options_files_of_mosquitto_and_then_ours() {
    let place = Place::new("options");
    let write = |name: &str, text: &str| {
        let path = place.folder.join("home/.config").join(name);
        std::fs::create_dir_all(path.parent().expect("a folder")).expect("a writable folder for tests");
        std::fs::write(path, text).expect("a writable folder for tests");
    };
    write("mosquitto_pub", "-m mosquitto's\n-r\n");
    write("noctule/pub", "-q 1\n-t from/file\n");
    let said = outcome(place.tool("pub").env("HOME", place.folder.join("home")));
    assert_eq!(said.0, 0, "{said:?}");
    assert_eq!(place.printed("sub -t from/# -C 1 -v"), "from/file mosquitto's\n");
}

#[test]
fn a_subscriber_comes_back_and_ends_in_order() {
    use rustix::process::{Pid, Signal, kill_process};
    let mut place = Place::new("back");
    place.printed("pub -t a -m before -r -q 1");
    let mut sub = place.tool("sub -t a -v -d -i back").stdout(Stdio::piped()).spawn().expect("the binary");
    let mut lines = BufReader::new(sub.stdout.take().expect("a pipe")).lines();
    let mut wait_for = |wanted: &str| {
        lines
            .find(|line| line.as_ref().expect("UTF-8").contains(wanted))
            .unwrap_or_else(|| panic!("no {wanted}"))
    };
    drop(wait_for("a before"));
    drop(place.broker.take().expect("a broker").kill());
    restart(&mut place);
    drop(wait_for("received CONNACK (0)"));
    drop(wait_for("a before"));
    kill_process(Pid::from_child(&sub), Signal::TERM).expect("a running tool");
    drop(wait_for("sending DISCONNECT"));
    assert_eq!(sub.wait().expect("a child").code(), Some(0));
}

/// The broker again, at the port it had.
pub(super) fn restart(place: &mut Place) {
    let listener = format!("tcp://127.0.0.1:{}", place.port);
    let mut broker =
        Broker::start(noctule(&place.folder, &["serve", "--listen", &listener]).stdin(Stdio::null()));
    drop(broker.ready());
    place.broker = Some(broker);
}
