//! What the journal writes, and how much room it takes, while most of what is published is soon done with.

use std::fs;
use std::path::Path;

use noctule_codec::{Publish, QoS};

use super::client::{Client, EMPTY, Heard};
use super::files::segments;
use super::start;
use crate::support::{Broker, folder};

/// A tenth of the journal is retained and stays as it is, the rest passes through it, for ten turns of it.
#[test]
fn the_journal_writes_and_holds_little_more_than_what_it_is_given() {
    let folder = folder("space");
    let (broker, address) = start(&folder, &["--shards", "2", "--set", "limits.journal_bytes_max=32MiB"]);
    let mut sensor = Client::clean(address, "sensor");
    let mut panel = Client::durable(address, "panel");
    panel.subscribe("boiler", QoS::AtLeastOnce);
    for number in 0..RETAINED {
        sensor.retain(&format!("kept/{number}"), &"r".repeat(PAYLOAD_BYTES), QoS::AtLeastOnce);
    }
    let before = written(&broker);
    let (payload, mut published) = ("x".repeat(PAYLOAD_BYTES), 0);
    while published < 10 * TURN_BYTES {
        for _ in 0..10 {
            let (topic, payload, qos) = ("boiler", payload.as_bytes(), QoS::AtLeastOnce);
            sensor.say(&Publish { topic, payload, qos, ..EMPTY });
        }
        (0..10).for_each(|_| assert!(matches!(sensor.hear_ack(), Heard::PubAck(..))));
        panel.take(10);
        published += 10 * PAYLOAD_BYTES;
    }
    let written = written(&broker) - before;
    assert!(written > published, "{written} bytes are not all that was written");
    assert!(written * 10 <= published * 22, "{written} bytes were written for {published}");
    // What it has answered is settled, and one more round gives back what that leaves.
    panel.ping();
    let sizes = sizes(&folder);
    let (held, largest) = (sizes.iter().sum::<u64>(), sizes.iter().max().expect("a segment"));
    let room = 2 * (RETAINED * PAYLOAD_BYTES) as u64 + 3 * largest;
    assert!(held <= room + largest, "{held} bytes are held, in segments of up to {largest}");
}

/// Bytes that the threads of the journal have handed to the kernel.
fn written(broker: &Broker) -> usize {
    let threads = fs::read_dir(format!("/proc/{}/task", broker.child.id())).expect("a running broker");
    let threads = threads.map(|thread| thread.expect("a thread").path());
    let is_of_the_journal = |thread: &std::path::PathBuf| {
        let name = fs::read_to_string(thread.join("comm")).unwrap_or_default();
        ["keeper", "library", "preparer"].contains(&name.trim_end())
    };
    threads.filter(is_of_the_journal).map(|thread| written_by(&thread)).sum()
}

fn written_by(thread: &Path) -> usize {
    let figures = fs::read_to_string(thread.join("io")).expect("a thread that runs");
    let figure = figures.lines().find_map(|line| line.strip_prefix("wchar: ")).expect("it is told");
    figure.parse().expect("a number")
}

fn sizes(folder: &Path) -> Vec<u64> {
    let sizes = segments(folder).into_iter().filter_map(|path| fs::metadata(path).ok());
    sizes.map(|file| file.len()).collect()
}

const PAYLOAD_BYTES: usize = 50_000;
/// 1.6 MB.
const RETAINED: usize = 32;
/// Reclaim begins above three segments of 4 MiB.
const TURN_BYTES: usize = 16 << 20;
