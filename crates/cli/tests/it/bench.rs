//! `noctule bench` against the real broker: every scenario ends clean and leaves nothing behind.

use std::path::Path;

use serde_json::Value;

use crate::peer::Peer;
use crate::support::{Broker, folder, noctule, outcome};

/// A broker on a free port, and its URL.
fn broker(name: &str) -> (Broker, String) {
    let mut command = noctule(&folder(name), &["--listen", "tcp://127.0.0.1:0", "--log", "off"]);
    let mut broker = Broker::start(&mut command);
    let url = format!("mqtt://{}", broker.address());
    (broker, url)
}

/// Exit code, standard output and standard error of `noctule bench`, which needs no folder of its own.
fn bench(arguments: &[&str]) -> (i32, String, String) {
    let anywhere = Path::new(env!("CARGO_TARGET_TMPDIR"));
    outcome(&mut noctule(anywhere, &[&["bench"], arguments].concat()))
}

fn clean_json(url: &str, arguments: &[&str]) -> Value {
    let (code, stdout, stderr) = bench(&[arguments, &["--url", url, "--json"]].concat());
    assert_eq!((code, stderr.as_str()), (0, ""), "{arguments:?}: {stdout}");
    let report: Value = serde_json::from_str(&stdout).expect("one JSON object");
    assert_eq!((&report["schema"], &report["is_clean"]), (&1.into(), &true.into()), "{report}");
    report
}

#[test]
fn p2p_for_a_second() {
    let (broker, url) = broker("bench_p2p");
    let pid = broker.child.id().to_string();
    let arguments = ["p2p", "--url", &url, "--seconds", "1", "--warm-up", "0.1", "--pid", &pid, "--qos", "1"];
    let (code, text, stderr) = bench(&arguments);
    assert_eq!((code, stderr.as_str()), (0, ""), "{text}");
    for part in [
        "p2p at mqtt://127.0.0.1:",
        "QoS 1, 16 B, 100 to 100, 100 topics, closed loop, window 16",
        "copies delivered in",
        "latency     p50",
        "CPU-microseconds per message",
        "memory ",
        "clean: nothing lost",
    ] {
        assert!(text.contains(part), "{part} is missing in:\n{text}");
    }
}

#[test]
fn every_scenario_is_clean_and_says_what_it_measured() {
    let (broker, url) = broker("bench_scenarios");
    let pid = broker.child.id().to_string();
    let short = ["--seconds", "0.2", "--warm-up", "0.05", "--pid", &pid];
    let few = ["--publishers", "4", "--subscribers", "4"];
    for (arguments, phases) in [
        ([&["p2p", "--rate", "500", "--mqtt", "5"], &short[..], &few].concat(), &["traffic"][..]),
        ([&["fan-out", "--subscribers", "30", "--qos", "2"], &short[..]].concat(), &["traffic"]),
        ([&["fan-in", "--publishers", "30", "--mqtt", "3.1"], &short[..]].concat(), &["traffic"]),
        ([&["shared", "--qos", "1"], &short[..], &few].concat(), &["traffic"]),
        ([&["wildcard", "--filters", "500"], &short[..], &few].concat(), &["subscribe", "traffic"]),
        (
            ["connections", "--connections", "50", "--seconds", "0.2", "--pid", &pid].to_vec(),
            &["open", "hold"],
        ),
        ([&["connect-rate", "--at-a-time", "4"], &short[..]].concat(), &["connect"]),
        ([&["connect-rate", "--reconnect", "--mqtt", "5"], &short[..]].concat(), &["connect"]),
        (["retained", "--messages", "500", "--pid", &pid].to_vec(), &["publish", "receive"]),
        (["retained", "--messages", "500", "--qos", "2"].to_vec(), &["publish", "receive"]),
        (["queue", "--messages", "500", "--subscribers", "3", "--topics", "3"].to_vec(), &["fill", "drain"]),
        (["queue", "--messages", "200", "--qos", "2", "--mqtt", "5"].to_vec(), &["fill", "drain"]),
    ] {
        let report = clean_json(&url, &arguments);
        assert_eq!(report["scenario"], arguments[0]);
        let found = report["phases"].as_array().expect("a list");
        let names: Vec<&str> = found.iter().filter_map(|phase| phase["name"].as_str()).collect();
        assert_eq!(names, phases, "{report}");
        assert!(found.iter().all(|phase| phase["messages"].as_u64() > Some(0)), "{report}");
    }
    assert_nothing_is_left(&url);
}

/// The first publication a new subscriber gets is its own: no retained message of an earlier run.
/// Payloads are longer than what one write through TLS or WebSocket takes.
#[test]
fn a_broker_is_measured_through_tls_and_websocket() {
    let place = folder("bench_doors");
    let (code, _, stderr) = outcome(&mut noctule(&place, &["tls", "init", "--name", "127.0.0.1"]));
    assert_eq!(code, 0, "{stderr}");
    let authority = place.join("tls/ca.pem").display().to_string();
    for (door, scheme) in [("ws", "ws"), ("tls", "mqtts"), ("wss", "wss")] {
        let listen = format!("{door}://127.0.0.1:0");
        let tls = ["--set", "tls.certificate=tls/server.pem", "--set", "tls.key=tls/server.key"];
        let mut command = noctule(&place, &[&["--listen", &listen, "--log", "off"], &tls[..]].concat());
        let mut broker = Broker::start(&mut command);
        let ready = broker.ready();
        let (_, rest) = ready.rsplit_once("://").expect("where it listens");
        let url = format!("{scheme}://{rest}");
        let load = ["--payload", "300000", "--publishers", "2", "--subscribers", "2", "--window", "2"];
        let short = ["p2p", "--qos", "1", "--seconds", "0.3", "--warm-up", "0.1"];
        let trust = ["--ca", authority.as_str()];
        let trust = if door == "ws" { &trust[..0] } else { &trust };
        let report = clean_json(&url, &[&short[..], &load, trust].concat());
        assert!(report["messages"]["received"].as_u64() > Some(0), "{report}");
    }
}

#[test]
fn a_certificate_is_believed_only_if_somebody_says_so() {
    let (code, _, stderr) = bench(&["p2p", "--url", "mqtts://127.0.0.1:1"]);
    assert!(code != 0 && stderr.contains("--ca FILE says who has signed"), "{code}: {stderr}");
}

fn assert_nothing_is_left(url: &str) {
    let mut peer = Peer::connect(url["mqtt://".len()..].parse().expect("an address"), "witness");
    peer.subscribe("bench/#");
    peer.round_trip("bench/end");
}

#[test]
fn a_comparison_prints_ratios() {
    let ((_first, first), (_second, second)) = (broker("bench_first"), broker("bench_second"));
    let other = format!("other={second}");
    let arguments = ["p2p", "--seconds", "0.1", "--warm-up", "0", "--rounds", "2", "--name", "one"];
    let (code, text, stderr) = bench(&[&arguments[..], &["--url", &first, "--vs", &other]].concat());
    assert_eq!((code, stderr.as_str()), (0, ""), "{text}");
    assert!(text.contains("p2p, median of 2 rounds, ratios to one"), "{text}");
    assert!(text.contains("  one ") && text.contains("  other ") && text.contains("x 1.00"), "{text}");
}

#[test]
fn losses_are_exit_code_1() {
    let mut command = noctule(
        &folder("bench_losses"),
        &["--listen", "tcp://127.0.0.1:0", "--log", "off", "--set", "limits.queue_messages_max=100"],
    );
    let mut broker = Broker::start(&mut command);
    let url = format!("mqtt://{}", broker.address());
    let (code, text, stderr) = bench(&["queue", "--messages", "500", "--url", &url]);
    assert_eq!(code, 1, "{text}");
    assert!(text.contains("LOST          400 copies") && text.contains("NOT CLEAN"), "{text}");
    assert!(stderr.starts_with("noctule: the run was not clean"), "{stderr}");
}

#[test]
fn a_broker_that_is_not_there_is_exit_code_1() {
    let (code, stdout, stderr) = bench(&["p2p", "--url", "mqtt://127.0.0.1:1"]);
    assert_eq!((code, stdout.as_str()), (1, ""), "{stderr}");
    assert!(stderr.contains("cannot reach 127.0.0.1:1") && stderr.contains("--url"), "{stderr}");
}

#[test]
fn a_wrong_command_line_is_exit_code_2_and_says_what_is_right() {
    for (arguments, part) in [
        (&[][..], "Usage: noctule bench <SCENARIO>"),
        (&["p3p"], "p2p"),
        (&["p2p", "--connections", "5"], "--connections"),
        (&["p2p", "--qos", "3"], "--qos 3: it is 0, 1 or 2"),
        (&["p2p", "--mqtt", "4"], "--mqtt 4: it is 3.1, 3.1.1 or 5"),
        (&["p2p", "--url", "localhost"], "--url localhost: write it as mqtt://HOST:PORT"),
        (&["p2p", "--seconds=-1"], "--seconds -1: it is a number of seconds"),
        (&["p2p", "--seconds", "x"], "--seconds x: it is a number of seconds"),
        (&["p2p", "--window", "70000"], "--window 70000: it is a whole number"),
        (&["p2p", "--window", "1", "--rate", "1"], "give one of them"),
        (&["p2p", "--rounds", "3"], "add --vs NAME=URL"),
        (&["p2p", "--vs", "mqtt://localhost"], "write it as NAME=mqtt://HOST:PORT"),
        (&["p2p", "--source", "here"], "--source here"),
        (&["queue", "--qos", "0"], "use --qos 1 or --qos 2"),
    ] {
        let (code, stdout, stderr) = bench(arguments);
        assert_eq!((code, stdout.as_str()), (2, ""), "{arguments:?}: {stderr}");
        assert!(stderr.contains(part), "{arguments:?}: {stderr}");
    }
}

#[test]
fn help_has_examples_units_and_defaults() {
    let (code, text, _) = bench(&["--help"]);
    assert_eq!(code, 0);
    for part in ["Scenarios:", "connect-rate", "Examples:", "noctule bench p2p --qos 1", "Exit codes:"] {
        assert!(text.contains(part), "{part} is missing in:\n{text}");
    }
    let (code, text, _) = bench(&["p2p", "--help"]);
    let words = text.split_whitespace().collect::<Vec<_>>().join(" ");
    assert_eq!(code, 0);
    for part in [
        "Examples:",
        "Units: rates are per second",
        "--publishers <N> Publishing connections [default: 100]",
        "at QoS 0 the delivery alone closes the window [default: 16]",
        "--payload <BYTES>",
        "--vs <NAME=URL[,pid=PID]>",
    ] {
        assert!(words.contains(part), "{part} is missing in:\n{text}");
    }
    assert!(!text.contains("--connections"), "{text}");
}
