//! `noctule store`: looking at a journal, checking it, copying it, with and without a broker beside.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;

use noctule_codec::{Publish, QoS, ReasonCode};
use rustix::fs::{FlockOperation, flock};
use serde_json::Value;

use super::client::{Client, EMPTY, Heard};
use super::files::{FRAME_HEADER, Segment, segments};
use super::start;
use crate::support::{folder, noctule, outcome};

/// Leaves a journal with a session of two subscriptions that is owed three messages, two retained messages and a group
/// that is owed one. The broker runs until the caller ends it.
fn fill(address: SocketAddr) {
    let mut panel = Client::durable(address, "panel");
    panel.subscribe("boiler/+", QoS::AtLeastOnce);
    panel.subscribe("pump", QoS::ExactlyOnce);
    panel.leave();
    let mut worker = Client::durable(address, "worker");
    worker.subscribe("$share/workers/job", QoS::AtLeastOnce);
    worker.leave();
    let mut sensor = Client::clean(address, "sensor");
    for payload in ["81", "82", "83"] {
        sensor.publish("boiler/temperature", payload, QoS::AtLeastOnce);
    }
    sensor.publish("job", "dig", QoS::AtLeastOnce);
    sensor.retain("name", "old faithful", QoS::AtLeastOnce);
    sensor.retain("place", "cellar", QoS::AtLeastOnce);
}

/// What `noctule store` prints as JSON, with its exit code.
fn store(folder: &Path, arguments: &[&str]) -> (i32, Value) {
    let (code, stdout, stderr) =
        outcome(&mut noctule(folder, &[&["store"], arguments, &["--json"]].concat()));
    let report = serde_json::from_str(&stdout).unwrap_or_else(|error| panic!("{error}: {stdout}{stderr}"));
    (code, report)
}

#[test]
fn stat_says_what_is_remembered_while_a_broker_runs_and_after() {
    let folder = folder("store_stat");
    let (broker, address) = start(&folder, &[]);
    fill(address);
    let check = |is_running: bool| {
        let (code, stat) = store(&folder, &["stat"]);
        assert_eq!((code, &stat["is_running"]), (0, &is_running.into()));
        let numbers =
            ["sessions", "subscriptions", "queued_messages", "retained_messages", "groups", "group_messages"];
        assert_eq!(numbers.map(|name| stat[name].as_u64().expect("a number")), [2, 3, 3, 2, 1, 1], "{stat}");
        assert_eq!((&stat["segments"], &stat["segment_bytes"]), (&1.into(), &(1 << 20).into()));
        let bytes = |name: &str| stat[name].as_u64().expect("a number");
        assert!(bytes("disk_bytes") > bytes("segment_bytes"), "spare files count: {stat}");
        assert!(0 < bytes("live_bytes") && bytes("live_bytes") < 2 * bytes("record_bytes"), "{stat}");
        assert_eq!(stat["oldest_segment"]["file"], "./noctule-data/journal/0000000000000001.seg");
        assert!(stat["damage"].as_array().expect("a list").is_empty());
    };
    check(true);
    broker.end();
    check(false);

    let (code, text, stderr) = outcome(&mut noctule(&folder, &["store", "stat"]));
    assert_eq!((code, stderr.as_str()), (0, ""));
    let stable = text.lines().filter(|line| !line.contains(" B") && !line.contains("iB"));
    let expected = "\
journal of ./noctule-data (no broker uses it)
  sessions      2 with 3 subscriptions
  queued        3 messages
  retained      2 messages
  groups        1, owed 1 message";
    assert_eq!(stable.collect::<Vec<_>>().join("\n"), expected, "{text}");
}

#[test]
fn verify_calls_a_good_journal_good_and_leaves_it_as_it_is() {
    let folder = folder("store_verify");
    let (broker, address) = start(&folder, &[]);
    fill(address);
    let (code, found) = store(&folder, &["verify"]);
    assert_eq!((code, &found["is_whole"], &found["is_running"]), (0, &true.into(), &true.into()), "{found}");
    broker.kill();

    // A write that was interrupted is no damage.
    let mut segment = Segment::only(&folder);
    let last = segment.frames().pop().expect("frames");
    segment.bytes[last.end - 1] ^= 1;
    segment.write();
    let (code, found) = store(&folder, &["verify"]);
    assert_eq!((code, &found["is_whole"]), (0, &true.into()));
    assert_eq!(found["torn"]["offset"], last.start);
    let (_, text, _) = outcome(&mut noctule(&folder, &["store", "verify"]));
    for part in ["(no broker uses it)", "torn tail", "nobody was told of them", "WHOLE"] {
        assert!(text.contains(part), "{part} is missing in:\n{text}");
    }
    assert_eq!(fs::read(&segment.path).expect("a segment"), segment.bytes, "it only looks");
}

#[test]
fn verify_names_file_and_offset_of_damage_and_exits_with_1() {
    let folder = folder("store_damage");
    let (broker, address) = start(&folder, &[]);
    fill(address);
    broker.end();
    let mut segment = Segment::only(&folder);
    let (at, frame) = (segment.find(b"old faithful"), segment.frame_with(b"old faithful"));
    segment.bytes[at] ^= 1;
    segment.write();
    let (code, found) = store(&folder, &["verify"]);
    let damage = &found["damage"][0];
    assert_eq!((code, &found["is_whole"]), (1, &false.into()));
    assert_eq!(
        (&damage["file"], &damage["offset"], &damage["bytes"]),
        (&"./noctule-data/journal/0000000000000001.seg".into(), &frame.start.into(), &frame.len().into())
    );
    let (code, text, stderr) = outcome(&mut noctule(&folder, &["store", "verify"]));
    assert_eq!((code, stderr.as_str()), (1, "noctule: the journal is damaged; the report says where\n"));
    for part in ["DAMAGED", "0001.seg at offset ", "retained messages is lost", "--recover"] {
        assert!(text.contains(part), "{part} is missing in:\n{text}");
    }
    let (code, stat) = store(&folder, &["stat"]);
    assert_eq!((code, stat["damage"].as_array().map(Vec::len)), (0, Some(1)));
    let (code, _, stderr) = outcome(&mut noctule(&folder, &["store", "backup", "copy"]));
    assert_eq!(code, 1);
    assert!(stderr.contains("is damaged at offset"), "{stderr}");
    assert!(!folder.join("copy").exists() && !folder.join("copy.incomplete").exists());
}

/// Records whose checksum is right and that say nothing this release knows.
#[test]
fn verify_reads_every_record() {
    let folder = folder("store_records");
    let (broker, address) = start(&folder, &[]);
    fill(address);
    broker.end();
    let mut segment = Segment::only(&folder);
    let frame = segment.frame_with(b"old faithful");
    segment.bytes[frame.start + FRAME_HEADER] = 200;
    segment.seal(&frame);
    segment.write();
    let (code, found) = store(&folder, &["verify"]);
    assert_eq!((code, &found["damage"][0]["offset"]), (1, &frame.start.into()), "{found}");

    // The operator's word helps here as well.
    let (code, _, stderr) =
        outcome(&mut noctule(&folder, &["--log", "off", "--listen", "tcp://127.0.0.1:0"]));
    assert_eq!(code, 1);
    assert!(stderr.contains(&format!("offset {}", frame.start)) && stderr.contains("--recover"), "{stderr}");
    let (_broker, address) = start(&folder, &["--recover"]);
    assert_eq!(Client::durable(address, "panel").take_all(3), ["81", "82", "83"]);
}

#[test]
fn a_backup_of_a_stopped_broker_can_be_started() {
    let folder = folder("store_backup");
    let (broker, address) = start(&folder, &[]);
    fill(address);
    broker.end();
    let (code, copied) = store(&folder, &["backup", "copy"]);
    assert_eq!((code, &copied["is_running"], &copied["destination"]), (0, &false.into(), &"copy".into()));
    fs::remove_dir_all(folder.join("noctule-data")).expect("it is not needed");
    check_the_copy(&folder, "copy");

    let (code, _, stderr) =
        outcome(&mut noctule(&folder, &["store", "backup", "copy", "--data-dir", "copy"]));
    assert_eq!(
        (code, stderr.as_str()),
        (2, "noctule: copy is there already; a backup makes a directory of its own\n")
    );
    let (code, _, stderr) = outcome(&mut noctule(&folder, &["store", "stat"]));
    let expected =
        "noctule: there is no journal in ./noctule-data; name the folder of a broker with --data-dir\n";
    assert_eq!((code, stderr.as_str()), (2, expected));
    let mut command = noctule(&folder, &["store", "stat"]);
    assert_eq!(outcome(command.env("NOCTULE_DATA_DIR", "copy")).0, 0, "where a broker would look");
}

fn check_the_copy(folder: &Path, copy: &str) {
    let (broker, address) = start(folder, &["--data-dir", copy]);
    assert_eq!(Client::durable(address, "panel").take_all(3), ["81", "82", "83"]);
    assert_eq!(Client::durable(address, "worker").take_all(1), ["dig"]);
    let mut clean = Client::clean(address, "clean");
    clean.subscribe("place", QoS::AtMostOnce);
    assert_eq!(clean.take_all(1), ["cellar"]);
    broker.end();
}

/// Segments are freed and used again all the time, but not while a backup copies. What was acknowledged before a
/// backup began is in it, in order and whole.
#[test]
fn backups_of_a_busy_broker_hold_what_was_acknowledged_before() {
    let folder = folder("store_busy");
    let (broker, address) = start(&folder, &["--shards", "2", "--set", "limits.journal_bytes_max=16MiB"]);
    let mut ledger = Client::durable(address, "ledger");
    ledger.subscribe("ledger", QoS::AtLeastOnce);
    ledger.leave();
    let load = Load::default();
    let mut backups = Vec::new();
    thread::scope(|scope| {
        scope.spawn(|| load.churn(address));
        scope.spawn(|| load.publish(address));
        for number in 0..4 {
            // Until the journal has turned since the last copy.
            let oldest = segments(&folder).remove(0);
            while oldest.exists() && load.is_going() {
                thread::yield_now();
            }
            let (name, before) = (format!("copy-{number}"), load.acknowledged());
            let (code, stdout, stderr) = outcome(&mut noctule(&folder, &["store", "backup", &name]));
            if code != 0 || !stdout.contains("(a broker uses it)") {
                load.stop();
            }
            assert_eq!(code, 0, "{stdout}{stderr}");
            backups.push((name, before));
        }
        load.stop();
    });
    broker.kill();
    for (name, before) in backups {
        let (code, found) = store(&folder, &["verify", "--data-dir", &name]);
        assert_eq!((code, &found["torn"]), (0, &Value::Null), "{found}");
        let (_broker, address) = start(&folder, &["--data-dir", &name]);
        let mut ledger = Client::durable(address, "ledger");
        assert!(ledger.session_present);
        let came = ledger.take(before);
        let numbers = came.iter().map(|message| message.payload.parse::<usize>().expect("a number"));
        assert!(numbers.eq(0..before), "{name} has other messages than the first {before}");
    }
}

/// What `noctule store` does to be left alone, and what a broker does then.
#[test]
fn nothing_is_freed_while_the_journal_is_read() {
    let folder = folder("store_pinned");
    let (_broker, address) = start(&folder, &["--set", "limits.journal_bytes_max=32MiB"]);
    let pin = fs::File::open(folder.join("noctule-data/pin")).expect("the broker has made it");
    flock(&pin, FlockOperation::LockShared).expect("nobody else has it for long");
    let oldest = segments(&folder).remove(0);
    let load = Load::default();
    thread::scope(|scope| {
        scope.spawn(|| load.churn(address));
        // It would be freed as soon as the journal has more than three of its largest segments.
        while segments(&folder).len() < 7 && oldest.exists() {
            thread::yield_now();
        }
        let is_kept = oldest.exists();
        drop(pin);
        while is_kept && oldest.exists() {
            thread::yield_now();
        }
        load.stop();
        assert!(is_kept, "it was freed while somebody read");
    });
}

/// Whether the next publication was taken. A journal that is small may be full while nothing of it is freed.
fn is_taken(publisher: &mut Client) -> bool {
    match publisher.hear_ack() {
        Heard::PubAck(_, ReasonCode::Success) => true,
        Heard::PubAck(_, ReasonCode::QuotaExceeded) => false,
        heard => panic!("{heard:?}"),
    }
}

/// Clients that keep a broker busy.
#[derive(Default)]
struct Load {
    is_over: AtomicBool,
    acknowledged: AtomicUsize,
}

impl Load {
    /// Many messages that are delivered at once, so that their segments are freed soon.
    fn churn(&self, address: SocketAddr) {
        let mut subscriber = Client::durable(address, "churn");
        subscriber.subscribe("churn", QoS::AtLeastOnce);
        let mut publisher = Client::clean(address, "churn publisher");
        let payload = "x".repeat(20_000);
        while self.is_going() {
            for _ in 0..10 {
                publisher.say(&Publish {
                    topic: "churn",
                    payload: payload.as_bytes(),
                    qos: QoS::AtLeastOnce,
                    ..EMPTY
                });
            }
            subscriber.take((0..10).filter(|_| is_taken(&mut publisher)).count());
        }
    }

    /// Messages that nobody receives, one after the other.
    fn publish(&self, address: SocketAddr) {
        let mut publisher = Client::clean(address, "publisher");
        while self.is_going() {
            let payload = self.acknowledged().to_string();
            let (topic, payload, qos) = ("ledger", payload.as_bytes(), QoS::AtLeastOnce);
            publisher.say(&Publish { topic, payload, qos, ..EMPTY });
            self.acknowledged.fetch_add(usize::from(is_taken(&mut publisher)), Ordering::AcqRel);
        }
    }

    fn acknowledged(&self) -> usize {
        self.acknowledged.load(Ordering::Acquire)
    }

    fn is_going(&self) -> bool {
        !self.is_over.load(Ordering::Acquire)
    }

    fn stop(&self) {
        self.is_over.store(true, Ordering::Release);
    }
}
