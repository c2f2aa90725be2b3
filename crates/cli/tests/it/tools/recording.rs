//! `noctule record` and `replay`: what is recorded is published again as it was.

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::process::{Child, ChildStdout, Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use super::ours::{Place, restart};
use super::terminal::Terminal;
use crate::support::outcome;

/// A tool that is running, and what it prints.
struct Running {
    child: Child,
    stdout: BufReader<ChildStdout>,
}

impl Running {
    /// Starts a tool with `-d` and waits until its subscription is answered.
    fn subscribed(command: &mut Command) -> Self {
        let command = command.arg("-d").stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("the binary");
        let stdout = BufReader::new(child.stdout.take().expect("a pipe"));
        let mut running = Self { child, stdout };
        running.wait_for("received SUBACK");
        running
    }

    fn wait_for(&mut self, text: &str) {
        let mut line = String::new();
        while !line.contains(text) {
            line.clear();
            assert!(self.stdout.read_line(&mut line).expect("UTF-8") > 0, "it ended before {text}");
        }
    }

    /// The same of a tool that goes on saying what it does.
    fn ended_with_output(mut self) -> (i32, String) {
        self.stdout.read_to_end(&mut Vec::new()).expect("a pipe");
        self.ended()
    }

    /// The exit code and standard error, once it has ended.
    fn ended(self) -> (i32, String) {
        let output = self.child.wait_with_output().expect("the binary");
        (output.status.code().expect("an exit code"), String::from_utf8(output.stderr).expect("UTF-8"))
    }
}

fn lines(place: &Place, file: &str) -> Vec<Value> {
    let text = fs::read_to_string(place.folder.join(file)).expect("a recording");
    assert!(text.ends_with('\n'), "{text}");
    text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
}

/// The messages of a recording, with the time taken out and the beginning of topics changed.
fn messages(place: &Place, file: &str, (from, to): (&str, &str)) -> Vec<Value> {
    let mut messages = lines(place, file).split_off(1);
    for message in &mut messages {
        let topic = message["topic"].as_str().expect("a topic").replacen(from, to, 1);
        message["topic"] = topic.into();
        assert!(message.as_object_mut().expect("an object").remove("at").is_some_and(|at| at.is_number()));
    }
    messages
}

#[test]
fn what_is_recorded_comes_again_as_it_was() {
    let place = Place::new("record");
    fs::write(place.folder.join("payload"), [0xFF, 0, b'\n', 0x80]).expect("a file");
    let recorder = Running::subscribed(&mut place.tool("record one.jsonl -t boiler/# -C 4"));
    let properties = "-D publish content-type text/plain -D publish user-property k v";
    place.printed(&format!("pub -t boiler/temp -m 21.5 -q 2 -r -V 5 {properties}"));
    let properties = "-D publish correlation-data id -D publish response-topic back";
    place.printed(&format!("pub -t boiler/raw -f payload -q 1 -V 5 {properties}"));
    place.printed("pub -t boiler/note -m größe");
    place.printed("pub -t boiler -n");
    let (code, stderr) = recorder.ended();
    assert_eq!(code, 0, "{stderr}");
    assert!(stderr.starts_with("recorded 4 messages, 15 B, "), "{stderr}");

    let first = &lines(&place, "one.jsonl")[0];
    assert_eq!((&first["noctule-recording"], &first["filters"][0]), (&1.into(), &"boiler/#".into()));
    let wanted: Vec<Value> = [
        r#"{"topic":"boiler/temp","qos":2,"retain":true,"payload":"21.5",
            "properties":{"content-type":"text/plain","user-properties":[["k","v"]]}}"#,
        r#"{"topic":"boiler/raw","qos":1,"retain":false,"payload-base64":"/wAKgA==",
            "properties":{"response-topic":"back","correlation-data":"id"}}"#,
        r#"{"topic":"boiler/note","qos":0,"retain":false,"payload":"größe"}"#,
        r#"{"topic":"boiler","qos":0,"retain":false,"payload":""}"#,
    ]
    .iter()
    .map(|line| serde_json::from_str(line).expect("JSON"))
    .collect();
    assert_eq!(messages(&place, "one.jsonl", ("", "")), wanted);

    let recorder = Running::subscribed(&mut place.tool("record two.jsonl -t copy/of/# -C 4"));
    let (code, _, stderr) = place.said("replay one.jsonl --speed max --map boiler=copy/of");
    assert_eq!(code, 0, "{stderr}");
    assert!(stderr.starts_with("replayed 4 messages, up to "), "{stderr}");
    assert_eq!(recorder.ended().0, 0);
    assert_eq!(messages(&place, "two.jsonl", ("copy/of", "boiler")), wanted);
    assert_eq!(place.printed("sub -t copy/of/temp -C 1"), "21.5\n", "it is retained");
}

#[test]
fn ctrl_c_leaves_a_whole_file() {
    let place = Place::new("interrupted");
    let mut recorder = Running::subscribed(&mut place.tool("record day.jsonl"));
    place.printed("pub -t a -m 1 -q 1");
    recorder.wait_for("sending PUBACK");
    kill_process(Pid::from_child(&recorder.child), Signal::INT).expect("a running tool");
    let (code, stderr) = recorder.ended();
    assert_eq!((code, stderr.starts_with("recorded 1 message, 1 B, ")), (0, true), "{stderr}");
    assert_eq!(messages(&place, "day.jsonl", ("", "")).len(), 1);
}

#[test]
fn progress_in_a_terminal() {
    let place = Place::new("record_terminal");
    let words = ["record", "day.jsonl", "-h", "127.0.0.1", "-p", &place.port, "-t", "a/#"];
    let terminal = Terminal::new(&place.folder, (60, 6), &words);
    terminal.wait_for_text("recording: 0 messages, 0 B, 0:0");
    // It says nothing of the subscription; a retained message comes whenever that is made.
    place.printed("pub -t a/b -m 12345 -r -q 1");
    terminal.wait_for_text("recording: 1 message, 5 B, 0:");
    terminal.press(&["C-c"]);
    let screen = terminal.wait_for_text("ended with 0");
    assert!(screen[0].starts_with("recorded 1 message, 5 B, 0:"), "{screen:#?}");
    assert_eq!(messages(&place, "day.jsonl", ("", ""))[0]["payload"], "12345");

    let words = ["replay", "day.jsonl", "-h", "127.0.0.1", "-p", &place.port, "--map", "a=c"];
    drop(terminal);
    let terminal = Terminal::new(&place.folder, (60, 6), &words);
    let screen = terminal.wait_for_text("ended with 0");
    assert!(screen[0].starts_with("replayed 1 message, up to 0:0"), "{screen:#?}");
}

/// What the broker had not acknowledged is published again, in its place.
#[test]
fn a_replay_goes_on_behind_a_restart_of_the_broker() {
    let mut place = Place::new("replay_restart");
    let line = |n: u32| {
        let at = f64::from(n) / 50.0;
        format!("{{\"at\":{at},\"topic\":\"n/{n}\",\"qos\":2,\"payload\":\"{n}\"}}\n")
    };
    let recording: String = (0..MESSAGES).map(line).collect();
    fs::write(place.folder.join("day.jsonl"), recording).expect("a writable folder for tests");
    place.printed("sub -c -i keeper -t n/+ -q 2 -E");
    let command = &mut place.tool("replay day.jsonl -d -M 5");
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the binary");
    let stdout = BufReader::new(child.stdout.take().expect("a pipe"));
    let mut replay = Running { child, stdout };
    replay.wait_for("'n/20'");
    drop(place.broker.take().expect("a broker").kill());
    restart(&mut place);
    let (code, stderr) = replay.ended_with_output();
    assert_eq!(code, 0, "{stderr}");
    assert!(stderr.contains("The connection was lost; trying again."), "{stderr}");
    assert!(stderr.contains(&format!("replayed {MESSAGES} messages")), "{stderr}");
    // A replay has no session that would outlive its connection, so the broker may have something twice.
    let (_, got, _) = place.said("sub -c -i keeper -t n/+ -q 2 -W 3 -F %p");
    let mut seen: Vec<u32> = Vec::new();
    for number in got.lines().map(|line| line.parse().expect("a number")) {
        if !seen.contains(&number) {
            seen.push(number);
        }
    }
    assert_eq!(seen, (0..MESSAGES).collect::<Vec<_>>());
}

#[test]
fn what_is_there_is_replaced_only_if_told_so() {
    let place = Place::new("replaced");
    place.printed("pub -t a -m new -r -q 1");
    fs::write(place.folder.join("day.jsonl"), "old").expect("a file");
    let (code, _, stderr) = place.said("record day.jsonl -C 1");
    assert_eq!(
        (code, &*stderr),
        (1, "Error: day.jsonl is there already; name another file, or replace it with --force.\n")
    );
    assert_eq!(place.said("record day.jsonl --force --quiet -C 1"), (0, String::new(), String::new()));
    assert_eq!(lines(&place, "day.jsonl")[1]["payload"], "new");
}

#[test]
fn a_recording_is_edited_by_hand_and_read_from_standard_input() {
    let place = Place::new("edited");
    let replay = |text: &str| {
        let mut command = place.tool("replay - --speed 0");
        let command = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("the binary");
        // A tool that has found something wrong no longer reads.
        let _ = child.stdin.take().expect("a pipe").write_all(text.as_bytes());
        let output = child.wait_with_output().expect("the binary");
        (output.status.code(), String::from_utf8(output.stderr).expect("UTF-8"))
    };
    let (code, stderr) =
        replay("{\"topic\":\"x\",\"payload\":\"1\",\"retain\":true}\n\n{\"topic\":\"y\",\"qos\":1}");
    assert_eq!((code, stderr.starts_with("replayed 2 messages")), (Some(0), true), "{stderr}");
    assert_eq!(place.printed("sub -t x -C 1"), "1\n");

    let (code, stderr) = replay("{\"topic\":\"x\"}\n{\"topic\":\"x\",\"qos\":7}\n");
    assert_eq!(code, Some(1));
    assert!(stderr.contains("Error: line 2 of -: qos is 7; 0, 1 and 2 are possible."), "{stderr}");
}

#[test]
fn wrong_command_lines_say_what_is_wanted() {
    let place = Place::new("record_usage");
    for (line, error) in [
        ("record", "Error: A file must be given; - is standard input or output.\n"),
        ("record a b", "Error: Unknown option 'b'.\n"),
        ("replay none.jsonl", "Error: none.jsonl cannot be read: "),
        ("replay a --speed -1", "Error: Invalid speed '-1', a number or max is wanted.\n"),
        ("replay a --map x", "Error: Invalid --map argument 'x', FROM=TO is wanted.\n"),
        (
            "replay a -D publish content-type x",
            "Error: A recording has the properties of its messages; -D publish cannot be used.\n",
        ),
        ("replay a -q 1", "Error: Unknown option '-q'.\n"),
    ] {
        let (code, _, stderr) = place.said(line);
        assert_eq!((code, stderr.starts_with(error)), (1, true), "{line}: {stderr}");
    }
    let (code, _, stderr) = place.said("replay .");
    assert_eq!((code, stderr.contains("Error: . cannot be read: ")), (1, true), "{stderr}");
    let (code, help, _) = outcome(&mut place.tool("record --help"));
    assert_eq!((code, help.contains("Usage: noctule record FILE")), (0, true), "{help}");
}

/// Of a recording that takes four seconds.
const MESSAGES: u32 = 200;
