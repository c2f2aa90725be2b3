//! `noctule prove durability` from the command line. The judge itself is tested in the probe; here it is whether the
//! command says and returns what it found, against the broker of this binary.

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _};
use std::process::Stdio;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::support::{folder, noctule, outcome};

/// Two short rounds against this binary.
const SHORT: [&str; 10] =
    ["prove", "durability", "--rounds", "2", "--seconds", "0.2", "--patience", "0.5", "--rate", "500"];

#[test]
fn the_report_and_the_exit_code_say_the_same() {
    let folder = folder("prove_report");
    for (seed, mqtt) in [("1", "5"), ("2", "3.1.1")] {
        let arguments = [&SHORT[..], &["--json", "--seed", seed, "--mqtt", mqtt]].concat();
        let (code, stdout, stderr) = outcome(&mut noctule(&folder, &arguments));
        let report: Value = serde_json::from_str(&stdout).unwrap_or_else(|error| panic!("{error}: {stderr}"));
        assert_eq!((code, &report["is_durable"]), (0, &true.into()), "{report}");
        assert!(!stderr.contains("did not keep what it had promised"), "{stderr}");
        assert!(stderr.starts_with("round 1 of 2: "), "{stderr}");
        assert_eq!(
            (&report["schema"], &report["seed"]),
            (&1.into(), &seed.parse::<u64>().expect("a number").into())
        );
        assert_eq!(report["kills"]["under_load"], 2);
        assert!(report["classes"].as_array().expect("a list").iter().all(|class| class["acknowledged"] != 0));
        assert!(report["violations"].as_array().expect("a list").is_empty(), "{report}");
    }
    assert_eq!(fs::read_dir(&folder).expect("the folder of this test").count(), 0, "nothing is left behind");
}

#[test]
fn the_page_says_what_was_done_and_where() {
    let folder = folder("prove_page");
    let (_, text, stderr) =
        outcome(&mut noctule(&folder, &[&SHORT[..], &["--seed", "7", "--keep"]].concat()));
    for part in [
        "durability of noctule: 2 rounds, MQTT 5.0, seed 7",
        "noctule --listen tcp://127.0.0.1:{port} --data-dir {dir} --log warn",
        "prove_page/noctule-prove-",
        "kill -9 ",
        "QoS 1 online ",
        "QoS 2 offline ",
        "retained ",
        "sessions ",
        "wills ",
    ] {
        assert!(text.contains(part), "{part} is missing in:\n{text}{stderr}");
    }
    assert_eq!(fs::read_dir(&folder).expect("the folder of this test").count(), 1, "it is to be kept");
}

#[test]
fn an_interrupt_ends_the_broker_and_removes_the_folder() {
    let folder = folder("prove_interrupt");
    let mut command = noctule(&folder, &["prove", "durability", "--rounds", "1000", "--seconds", "0.2"]);
    let mut child = command.stderr(Stdio::piped()).spawn().expect("the binary");
    let mut stderr = BufReader::new(child.stderr.take().expect("a pipe"));
    let mut line = String::new();
    stderr.read_line(&mut line).expect("a line");
    assert!(line.starts_with("round 1 of 1000: "), "{line}");
    kill_process(Pid::from_child(&child), Signal::TERM).expect("a running trial");
    let mut rest = String::new();
    // Ends when nobody holds the other end any more.
    stderr.read_to_string(&mut rest).expect("UTF-8");
    assert!(rest.ends_with("noctule: interrupted\n"), "{rest}");
    assert_eq!(child.wait().expect("a child of ours").code(), Some(2));
    assert_eq!(fs::read_dir(&folder).expect("the folder of this test").count(), 0, "nothing is left behind");
}

#[test]
fn what_cannot_be_run_is_exit_code_2_and_says_what_is_right() {
    let folder = folder("prove_wrong");
    for (arguments, part) in [
        (&["prove"][..], "Usage: noctule prove <COMMAND>"),
        (&["prove", "durabilty"], "durability"),
        (&["prove", "durability", "--rounds", "0"], "--rounds"),
        (&["prove", "durability", "--rounds", "x"], "--rounds x: it is a whole number"),
        (&["prove", "durability", "--seconds", "x"], "--seconds x: it is a number of seconds"),
        (&["prove", "durability", "--mqtt", "3.1"], "3.1.1 or 5"),
        (&["prove", "durability", "--mqtt-version", "4"], "--mqtt 4"),
        (&["prove", "durability", "--broker", "x"], "{port}"),
        (&["prove", "durability", "--broker", "x '{port}"], "quote ' is not closed"),
        (&["prove", "durability", "--broker", "x {port} {config}"], "--broker-config FILE"),
        (&["prove", "durability", "--broker-config", "none"], "--broker-config none: cannot read it"),
        (&["prove", "durability", "--broker", "no-such-program {port}"], "cannot run \"no-such-program\""),
        (&["prove", "durability", "--broker", "sh -c 'echo {port} is bad; exit 9'"], "is bad"),
        (&["prove", "durability", "--data-dir", "/proc"], "--data-dir"),
    ] {
        let (code, stdout, stderr) = outcome(noctule(&folder, arguments).env("PATH", "/usr/bin:/bin"));
        assert_eq!((code, stdout.as_str()), (2, ""), "{arguments:?}: {stderr}");
        assert!(stderr.contains(part), "{arguments:?}: {stderr}");
    }
}

#[test]
fn help_has_examples_defaults_and_exit_codes() {
    let (code, text, _) = outcome(&mut noctule(&folder("prove_help"), &["prove", "durability", "--help"]));
    let words = text.split_whitespace().collect::<Vec<_>>().join(" ");
    assert_eq!(code, 0);
    for part in [
        "Does an acknowledgement survive kill -9?",
        "--rounds <N> Kills under load [default: 10]",
        "--broker <NAME|CMD>",
        "noctule prove durability --broker mosquitto",
        "Exit codes: 0 nothing acknowledged was lost",
    ] {
        assert!(words.contains(part), "{part} is missing in:\n{text}");
    }
}
