//! kill -9, at random and at every step of a recovery.

use std::fs;
use std::path::Path;

use noctule_codec::{Publish, QoS, ReasonCode};

use super::client::{Client, EMPTY, Heard};
use super::{SERVE, start, started, strace};
use crate::support::{Broker, folder, noctule, outcome};

/// Mixed load of QoS 1 and 2, online and offline, with retained messages, groups and wills: nothing acknowledged is
/// lost, nothing of QoS 2 doubled.
#[test]
fn kill_9_loses_nothing_that_was_acknowledged() {
    let folder = folder("kill_rounds");
    for (seed, mqtt, shards) in
        [("11", "5", "1"), ("12", "5", "2"), ("13", "3.1.1", "1"), ("14", "3.1.1", "2")]
    {
        let broker = format!(
            "{} --listen tcp://127.0.0.1:{{port}} --data-dir {{dir}} --log warn --shards {shards}",
            env!("CARGO_BIN_EXE_noctule")
        );
        let arguments =
            ["prove", "durability", "--rounds", "5", "--seconds", "0.4", "--patience", "2", "--seed", seed];
        let mut command = noctule(&folder, &arguments);
        let (code, stdout, stderr) = outcome(command.args(["--mqtt", mqtt, "--broker", &broker]));
        assert_eq!(code, 0, "MQTT {mqtt}, {shards} shards:\n{stdout}\n{stderr}");
    }
}

/// A broker that dies in the middle of coming back comes back all the same.
#[test]
fn kill_9_at_every_step_of_a_recovery_loses_nothing() {
    let folder = folder("kill_recovery");
    let (broker, address) = start(&folder, &["--shards", "2"]);
    for client_id in ["panel", "clock"] {
        let mut panel = Client::durable(address, client_id);
        panel.subscribe("boiler/+", QoS::ExactlyOnce);
    }
    let mut sensor = Client::clean(address, "sensor");
    let payloads: Vec<String> = (0..50).map(|n| format!("message {n}")).collect();
    for payload in &payloads {
        sensor.publish("boiler/temperature", payload, QoS::AtLeastOnce);
    }
    sensor.retain("boiler/name", "old faithful", QoS::AtLeastOnce);
    broker.kill();

    let mut kills = 0;
    for call in ["pwrite64", "fdatasync", "fsync", "openat", "renameat"] {
        for step in 1.. {
            if let Some(broker) = start_and_die_at(&folder, call, step) {
                broker.kill();
                break;
            }
            kills += 1;
        }
    }
    assert!(kills > 10, "only {kills} recoveries were interrupted");

    let (_broker, address) = start(&folder, &["--shards", "2"]);
    for client_id in ["panel", "clock"] {
        let mut panel = Client::durable(address, client_id);
        assert!(panel.session_present);
        let expected: Vec<&str> = payloads.iter().map(String::as_str).chain(["old faithful"]).collect();
        assert_eq!(panel.take_all(51), expected);
    }
    let mut clean = Client::clean(address, "clean");
    clean.subscribe("boiler/name", QoS::AtMostOnce);
    assert_eq!(clean.take_all(1), ["old faithful"]);
}

/// Long publications are recorded in parts: what was acknowledged of them is there, whole.
#[test]
fn kill_9_keeps_long_publications() {
    let folder = folder("kill_long");
    let (broker, address) = start(&folder, &["--shards", "2"]);
    Client::durable(address, "panel").subscribe("camera/+", QoS::ExactlyOnce);
    let mut camera = Client::clean(address, "camera");
    let long = |digit: &str| digit.repeat(3 << 20);
    camera.publish("camera/one", &long("1"), QoS::AtLeastOnce);
    camera.publish("camera/two", "short", QoS::AtLeastOnce);
    camera.publish("camera/one", &long("3"), QoS::ExactlyOnce);
    camera.retain("kept", &long("4"), QoS::AtLeastOnce);
    broker.kill();

    let (_broker, address) = start(&folder, &["--shards", "2"]);
    let mut panel = Client::durable(address, "panel");
    let given = panel.take_all(3);
    assert!(given == [long("1"), "short".to_owned(), long("3")], "not what was published");
    let mut clean = Client::clean(address, "clean");
    clean.subscribe("kept", QoS::AtMostOnce);
    assert!(clean.take_all(1) == [long("4")], "not what was retained");
}

/// The disk fails once: what was promised before and after is there.
#[test]
fn a_sync_that_fails_costs_nothing_that_was_acknowledged() {
    for (call, nth) in
        [("fdatasync", 3), ("fdatasync", 5), ("fdatasync", 8), ("pwrite64", 9), ("pwrite64", 12)]
    {
        let folder = folder(&format!("failing_{call}_{nth}"));
        let inject = format!("inject={call}:error=EIO:when={nth}");
        let trace = format!("trace={call}");
        let options = ["-o", "trace", "-e", &trace, "-e", &inject];
        let (broker, address) =
            started(&mut strace(&folder, &options, &[&SERVE[..], &["--shards", "1"]].concat()));
        let mut panel = Client::durable(address, "panel");
        panel.subscribe("boiler", QoS::ExactlyOnce);
        panel.leave();
        let mut sensor = Client::clean(address, "sensor");
        let mut kept = Vec::new();
        for number in 0..20 {
            let payload = number.to_string();
            let id = sensor.say(&Publish {
                topic: "boiler",
                payload: payload.as_bytes(),
                qos: QoS::AtLeastOnce,
                ..EMPTY
            });
            match sensor.hear_ack() {
                Heard::PubAck(acknowledged, ReasonCode::Success) if acknowledged == id => kept.push(payload),
                Heard::PubAck(..) => {}
                heard => panic!("{heard:?}"),
            }
        }
        broker.kill();
        let trace = fs::read_to_string(folder.join("trace")).expect("a trace");
        assert!(trace.contains("EIO (Input/output error) (INJECTED)"), "{call} {nth}: {trace}");
        assert!(kept.len() > 10, "{call} {nth}: it goes on");
        let (_broker, address) = start(&folder, &[]);
        assert_eq!(Client::durable(address, "panel").take_all(kept.len()), kept, "{call} {nth}");
    }
}

/// Starts a broker that is killed when a thread of it makes this system call for the nth time. Gives it back if it was
/// ready before that.
fn start_and_die_at(folder: &Path, call: &str, nth: u32) -> Option<Broker> {
    let inject = format!("inject={call}:signal=KILL:when={nth}");
    let trace = format!("trace={call}");
    let options = ["-o", "/dev/null", "-e", &trace, "-e", &inject];
    let mut command = strace(folder, &options, &[&SERVE[..], &["--shards", "2"]].concat());
    let mut broker = Broker::start(&mut command);
    let is_ready = !broker.line().is_empty();
    is_ready.then_some(broker)
}
