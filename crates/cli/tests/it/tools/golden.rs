//! Each invocation is made twice, by Debian's tool and by ours, with brokers of their own that are in the same state.
//! Standard output, exit code and the first line on standard error have to be the same.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use super::cases::CASES;
use super::socks;
use crate::mosquitto::brokers::{Files, Kind, Subject, until};
use crate::support::{folder, noctule, outcome};

/// What a tool has said and how it ended.
#[derive(Debug, PartialEq, Eq)]
struct Said {
    code: Option<i32>,
    stdout: String,
    first_error: String,
    /// What Debian's mosquitto_sub finds afterwards.
    left: String,
}

/// How an invocation is to be compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Compare {
    Everything,
    /// Packets may cross: the order of lines is free.
    AnyOrder,
    /// Help and versions are each tool's own, and so is standard output.
    OwnText,
    /// The text on standard error is of another kind.
    NoErrors,
    /// It fails; with which code and words depends on how far the connection had come.
    Fails,
}

/// One invocation, read from a line of the table.
#[derive(Debug)]
struct Case {
    line: &'static str,
    compare: Compare,
    tool: &'static str,
    broker: &'static str,
    words: Vec<String>,
    stdin: String,
    afterwards: Vec<String>,
}

/// Whose tools, and the brokers that they talk to.
struct Side {
    bin: PathBuf,
    home: PathBuf,
    open: Subject,
    closed: Subject,
    mosquitto: Subject,
    /// Proxies: one for everybody, one with a password.
    proxies: [u16; 2],
}

#[test]
fn the_tools_say_what_debians_say() {
    let home = folder("tools_golden");
    prepare(&home);
    let debians = Side::new("debian", Path::new("/usr/bin"), &home);
    let ours = Side::new("ours", &home.join("bin"), &home);
    let cases: Vec<Case> = CASES.iter().enumerate().map(Case::read).collect();
    assert!(cases.len() >= 150, "{} invocations", cases.len());

    let (next, failures) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        for _ in 0..WORKERS {
            scope.spawn(|| {
                while let Some(case) = cases.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let (expected, said) = (debians.say(case), ours.say(case));
                    if expected != said {
                        let failure =
                            format!("{}\n  Debian's: {expected:?}\n  ours:     {said:?}", case.line);
                        failures.lock().unwrap_or_else(PoisonError::into_inner).push(failure);
                    }
                }
            });
        }
    });
    let failures = failures.into_inner().unwrap_or_else(PoisonError::into_inner);
    assert!(failures.is_empty(), "{} of {} differ:\n{}", failures.len(), cases.len(), failures.join("\n"));
}

impl Case {
    /// `[~!?^]TOOL[@BROKER] WORDS [<<< STDIN] [;; WORDS OF mosquitto_sub]`
    fn read((number, line): (usize, &&'static str)) -> Self {
        let line: &'static str = line;
        let (compare, rest) = match line.as_bytes()[0] {
            b'~' => (Compare::AnyOrder, &line[1..]),
            b'!' => (Compare::OwnText, &line[1..]),
            b'?' => (Compare::NoErrors, &line[1..]),
            b'^' => (Compare::Fails, &line[1..]),
            _ => (Compare::Everything, line),
        };
        let (rest, afterwards) = rest.split_once(" ;; ").unwrap_or((rest, ""));
        let (rest, stdin) = rest.split_once(" <<< ").unwrap_or((rest, ""));
        let (name, words) = rest.split_once(' ').unwrap_or((rest, ""));
        let (tool, broker) = name.split_once('@').unwrap_or((name, "open"));
        // Two clients with one identifier would throw each other out.
        let id = format!("c{number}");
        let split = |words: &str| split(&words.replace("{ID}", &id));
        let stdin = stdin.replace("\\n", "\n").replace("\\0", "\0");
        Self { line, compare, tool, broker, words: split(words), stdin, afterwards: split(afterwards) }
    }
}

impl Side {
    fn new(name: &str, bin: &Path, home: &Path) -> Self {
        let files: Files = ["server.pem", "server.key", "passwords", "rules"]
            .map(|file| (file, fs::read_to_string(home.join(file)).expect("a file of this test")))
            .into();
        let start = |kind, broker: &str, conf| {
            let subject = Subject::start(kind, &format!("tools_{name}_{broker}"), conf, &files);
            assert!(subject.is_running, "{}", subject.stderr());
            subject
        };
        let side = Self {
            bin: bin.to_owned(),
            home: home.to_owned(),
            open: start(Kind::Noctule, "open", OPEN),
            closed: start(Kind::Noctule, "closed", CLOSED),
            mosquitto: start(Kind::Mosquitto, "open", OPEN),
            proxies: [socks::start(None), socks::start(Some(("u", "p")))],
        };
        side.retain_messages();
        side
    }

    /// What every case finds on the brokers that let everybody in.
    fn retain_messages(&self) {
        for broker in ["open", "mosq"] {
            for line in RETAINED {
                let (words, stdin) = line.split_once(" <<< ").unwrap_or((line, ""));
                let mut command = Command::new("/usr/bin/mosquitto_pub");
                command.args(self.place(broker)).args(["-r", "-q", "1"]).args(split(words));
                let said = finish(&mut command, stdin.replace("\\0", "\0").as_bytes());
                assert_eq!(said.0, Some(0), "{line}: {said:?}");
            }
        }
    }

    fn place(&self, broker: &str) -> Vec<String> {
        let (host, port) = match broker {
            "open" => ("127.0.0.1", self.open.ports[0]),
            "closed" => ("127.0.0.1", self.closed.ports[0]),
            "mosq" => ("127.0.0.1", self.mosquitto.ports[0]),
            "tls" => ("localhost", self.open.ports[1]),
            "othername" => ("127.0.0.1", self.open.ports[1]),
            "none" => return Vec::new(),
            other => panic!("no broker {other}"),
        };
        ["-h", host, "-p", &port.to_string()].map(str::to_owned).into()
    }

    fn say(&self, case: &Case) -> Said {
        let tool = self.bin.join(format!("mosquitto_{}", case.tool));
        let mut command = Command::new(tool);
        command.current_dir(&self.home).env_clear().env("HOME", &self.home);
        if case.words.first().is_some_and(|word| word == "OPTIONS") {
            command.env("XDG_CONFIG_HOME", self.home.join("options"));
        }
        let words = case.words.iter().filter(|word| *word != "OPTIONS").map(|word| self.with_ports(word));
        command.args(self.place(case.broker)).args(words);
        let (code, stdout, stderr) = finish(&mut command, case.stdin.as_bytes());
        let mut lines: Vec<&str> = stdout.lines().collect();
        if case.compare == Compare::AnyOrder {
            lines.sort_unstable();
        }
        let is_own = case.compare == Compare::OwnText;
        let fails = code.is_some_and(|code| code != 0);
        Said {
            code: if case.compare == Compare::Fails { Some(fails.into()) } else { code },
            stdout: if is_own { String::new() } else { without_moments(&lines.join("\n")) },
            first_error: match case.compare {
                Compare::Fails | Compare::NoErrors => String::new(),
                _ => stderr.lines().find(|line| !line.is_empty()).unwrap_or_default().to_owned(),
            },
            left: self.left(case),
        }
    }

    fn with_ports(&self, word: &str) -> String {
        let [proxy, locked] = self.proxies;
        let ports = [("{PORT}", self.open.ports[0]), ("{PROXY}", proxy), ("{LOCKED}", locked)];
        ports.iter().fold(word.to_owned(), |word, (name, port)| word.replace(name, &port.to_string()))
    }

    fn left(&self, case: &Case) -> String {
        if case.afterwards.is_empty() {
            return String::new();
        }
        let mut command = Command::new("/usr/bin/mosquitto_sub");
        command.env_clear().args(self.place(if case.broker == "mosq" { "mosq" } else { "open" }));
        let (code, stdout, _) = finish(command.args(&case.afterwards), b"");
        without_moments(&format!("{code:?} {stdout}"))
    }
}

/// Runs a command to its end; one that does not end is killed and has no code.
fn finish(command: &mut Command, stdin: &[u8]) -> (Option<i32>, String, String) {
    use std::io::{Read as _, Write as _};
    let started = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
    let mut child =
        started.unwrap_or_else(|error| panic!("{command:?} (Debian package mosquitto-clients): {error}"));
    let mut input = child.stdin.take().expect("a pipe");
    // A tool that does not read has ended.
    let _ = input.write_all(stdin);
    drop(input);
    let readers = [pipe(child.stdout.take()), pipe(child.stderr.take())].map(|mut pipe| {
        std::thread::spawn(move || {
            let mut bytes = Vec::new();
            pipe.read_to_end(&mut bytes).expect("a pipe");
            bytes
        })
    });
    let code = code(&mut child);
    let [stdout, stderr] = readers.map(|reader| reader.join().expect("a reader"));
    (code, readable(&stdout), readable(&stderr))
}

fn pipe(stream: Option<impl std::io::Read + Send + 'static>) -> Box<dyn std::io::Read + Send> {
    Box::new(stream.expect("a pipe"))
}

fn code(child: &mut Child) -> Option<i32> {
    let mut status = None;
    until(PATIENCE, || {
        status = child.try_wait().expect("a child");
        status.is_some()
    });
    if status.is_none() {
        child.kill().expect("a child");
        child.wait().expect("a child");
    }
    status?.code()
}

/// Every byte as something that can be compared and read.
fn readable(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| char::from(*byte)).collect()
}

/// Words as a shell splits them: at blanks, but not between single quotes.
fn split(line: &str) -> Vec<String> {
    let (mut words, mut word, mut is_quoted, mut is_begun) = (Vec::new(), String::new(), false, false);
    for character in line.chars() {
        match character {
            '\'' => (is_quoted, is_begun) = (!is_quoted, true),
            ' ' if !is_quoted => {
                if is_begun {
                    words.push(std::mem::take(&mut word));
                }
                is_begun = false;
            }
            other => {
                word.push(other);
                is_begun = true;
            }
        }
    }
    if is_begun {
        words.push(word);
    }
    words
}

/// Leaves out what differs from run to run, and what 2.1 writes otherwise than 2.0.11: the stamp, and `retain`, which
/// is a boolean now. Packet identifiers of requests are each client's own.
fn without_moments(text: &str) -> String {
    let mut text = text.to_owned();
    for (old, new) in [("\"retain\":0", "\"retain\":false"), ("\"retain\":1", "\"retain\":true")] {
        text = text.replace(old, new).replace(&old.replace(':', ":\t"), &new.replace(':', ":\t"));
    }
    for key in ["\"tst\":\"", "\"tst\":\t\""] {
        text = cut_values(&text, key, '"');
    }
    let lines =
        text.lines().map(|line| match line.contains("SUBSCRIBE (") || line.starts_with("Subscribed") {
            true => cut_values(&cut_values(line, "Mid: ", ','), "mid: ", ')'),
            false => line.to_owned(),
        });
    lines.collect::<Vec<_>>().join("\n")
}

/// Replaces what stands between each `key` and the next `end`.
fn cut_values(text: &str, key: &str, end: char) -> String {
    let mut parts = text.split(key);
    let mut out = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let rest = part.find(end).map_or("", |place| &part[place..]);
        out.push_str(key);
        out.push_str(rest);
    }
    out
}

/// Files, links and certificates that the invocations name.
fn prepare(home: &Path) {
    let write = |name: &str, bytes: &[u8]| {
        let path = home.join(name);
        fs::create_dir_all(path.parent().expect("a folder")).expect("a writable folder for tests");
        fs::write(path, bytes).expect("a writable folder for tests");
    };
    write("text", b"from a file");
    write("binary", b"\x00\x01\xFEfile\n");
    write("empty", b"");
    write("rules", b"user u\ntopic readwrite a/#\n");
    write(
        "options/mosquitto_pub",
        b"# the port is said on the command line\n-t o/pub\n   \n-m said in a file\n-r\n",
    );
    write("options/mosquitto_sub", b"-t r/text\n-C 1\n-v\n");
    write("options/mosquitto_rr", b"-q 1\n--bogus\n");
    for (name, tool) in [("pub", "mosquitto_pub"), ("sub", "mosquitto_sub"), ("rr", "mosquitto_rr")] {
        fs::create_dir_all(home.join("bin")).expect("a writable folder for tests");
        let link = symlink(env!("CARGO_BIN_EXE_noctule"), home.join("bin").join(tool));
        link.unwrap_or_else(|error| panic!("{name}: {error}"));
    }
    for (folder, names) in [("tls", "localhost"), ("other", "localhost")] {
        let made = outcome(&mut noctule(home, &["tls", "init", "--dir", folder, "--name", names]));
        assert_eq!(made.0, 0, "{made:?}");
    }
    for file in ["server.pem", "server.key"] {
        fs::copy(home.join("tls").join(file), home.join(file)).expect("a file of this test");
    }
    let mut passwd = Command::new("/usr/bin/mosquitto_passwd");
    let made = outcome(passwd.current_dir(home).args(["-c", "-b", "passwords", "u", "p"]));
    assert_eq!(made.0, 0, "{made:?}");
}

/// Everybody is let in, with and without TLS.
const OPEN: &str = "listener {PORT} 127.0.0.1\nallow_anonymous true\n\
                    listener {PORT2} 127.0.0.1\ncertfile server.pem\nkeyfile server.key\n";
/// One user is let in, and may use one tree.
const CLOSED: &str =
    "listener {PORT} 127.0.0.1\nallow_anonymous false\npassword_file passwords\nacl_file rules\n";

/// What is retained before the first invocation.
const RETAINED: &[&str] = &[
    "-t r/text -m hello",
    "-t r/json -m '{\"a\": 1.50, \"b\":[1,2,{\"c\":null}], \"d\":\"\\u00fc/\\\"\", \"e\":{}, \"f\":1e20, \"g\":-3}'",
    "-t r/loose -m '\u{feff} {\"a\": 01, \"b\": \"x\ty\", \"c\": 1e400, \"d\": [-.5, 1., -0]}'",
    "-t r/escapes -m '[\"\\ud83d\\ude00\\u2603\\b\\f\", {\"a\": [{\"b\": []}]}, [[1]], 1e-7, 0.1]'",
    "-t r/trailing -m '{} x'",
    "-t r/binary -s <<< \\0abc\\0",
    "-t r/utf8 -m 'grün → ☃'",
    "-t r/lines -s <<< one\ntwo\n",
    "-t r/long -m 0123456789012345678901234567890123456789",
    "-t r/props -m with -V 5 -D publish content-type text/plain -D publish correlation-data cd \
     -D publish payload-format-indicator 1 -D publish response-topic re/sp",
    "-t r/users -m with -V 5 -D publish user-property k v -D publish user-property k w",
    "-t tree/a -m 1",
    "-t tree/b -m 2",
    "-t tree/b/c -m 3",
    "-t clear/1/a -m 1",
    "-t clear/1/b -m 2",
    "-t clear/2/a -m 1",
    "-t clear/2/b -m 2",
];

/// Invocations at a time.
const WORKERS: usize = 6;
/// How long one may take.
const PATIENCE: Duration = Duration::from_secs(20);
