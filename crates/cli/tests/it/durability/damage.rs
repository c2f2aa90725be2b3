//! Journals that a crash or a disk has broken, and what a broker says of them.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::ops::Range;
use std::path::Path;

use noctule_codec::{Packet, QoS};

use super::client::{Client, Heard};
use super::files::{FRAME_HEADER, HEADER, Segment, journal, segments};
use super::{SERVE, start};
use crate::support::{folder, noctule, outcome};

/// Leaves a journal in which "panel" is owed `one`, `two` and `three`, each in a frame of its own, in this order. The
/// broker was killed.
fn leave_three_messages(folder: &Path) -> Segment {
    let (broker, address) = start(folder, &[]);
    let mut panel = Client::durable(address, "panel");
    panel.subscribe("boiler", QoS::AtLeastOnce);
    panel.leave();
    let mut sensor = Client::clean(address, "sensor");
    for payload in ["payload-one", "payload-two", "payload-three"] {
        sensor.publish("boiler", payload, QoS::AtLeastOnce);
    }
    broker.kill();
    Segment::only(folder)
}

/// What panel is owed by a broker that is started now, and what that broker said.
fn owed(folder: &Path, arguments: &[&str], count: usize) -> (Vec<String>, String) {
    let (broker, address) = start(folder, arguments);
    let mut panel = Client::durable(address, "panel");
    assert!(panel.session_present);
    let owed = panel.take_all(count);
    (owed, broker.end().1)
}

/// The start is refused with this exit code and one message.
fn refusal(folder: &Path) -> String {
    let (code, stdout, stderr) = outcome(&mut noctule(folder, &["--log", "off", SERVE[0], SERVE[1]]));
    assert_eq!((code, stdout.as_str()), (1, ""), "{stderr}");
    stderr
}

type Harm = fn(&mut Segment);

/// Whatever an interrupted write leaves, everything before it is there and the cut is in the log. A last frame that is
/// gone without a trace is as if it had never been written.
#[test]
fn torn_tails_of_every_kind_are_cut_and_reported() {
    let cases: [(&str, usize, bool, Harm); 9] = [
        ("nothing_torn", 3, false, |_| {}),
        ("gone", 2, false, |segment| segment.bytes.truncate(last(segment).start)),
        ("cut_before_its_position", 2, false, |segment| segment.bytes.truncate(last(segment).start + 11)),
        ("header_alone", 2, true, |segment| segment.bytes.truncate(last(segment).start + FRAME_HEADER)),
        ("a_byte_too_short", 2, true, |segment| segment.bytes.truncate(last(segment).end - 1)),
        ("zeros_from_its_middle_on", 2, true, |segment| {
            let frame = last(segment);
            segment.bytes[frame.start + frame.len() / 2..].fill(0);
        }),
        ("zeros_at_its_begin", 2, true, |segment| {
            let start = last(segment).start;
            segment.bytes[start..start + 8].fill(0);
        }),
        ("garbage_behind", 3, false, |segment| {
            let end = last(segment).end;
            let garbage = (0..500_u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 13) as u8);
            segment.bytes.splice(end..end + 500, garbage);
        }),
        ("a_frame_repeated_behind", 3, false, |segment| {
            let frame = last(segment);
            let copy = segment.bytes[frame.clone()].to_vec();
            segment.bytes.splice(frame.end..frame.end + copy.len(), copy);
        }),
    ];
    for (name, left, is_said, harm) in cases {
        let folder = folder(&format!("torn_{name}"));
        let mut segment = leave_three_messages(&folder);
        let offset = last(&segment).start;
        harm(&mut segment);
        segment.write();
        let (came, log) = owed(&folder, &[], left);
        assert_eq!(came, ["payload-one", "payload-two", "payload-three"][..left], "{name}");
        let line = log.lines().find(|line| line.contains(CUT));
        assert_eq!(line.is_some(), is_said, "{name}: {log}");
        let place = format!("file=\"{}\" offset={offset}", shown(&segment));
        assert!(line.is_none_or(|line| line.contains(&place)), "{name}: {place} is missing in {line:?}");
        let (_, log) = owed(&folder, &[], 0);
        assert!(!log.contains(CUT), "{name}: what was cut once is gone: {log}");
    }
}

/// What the log says of a torn tail.
const CUT: &str = "the end of the journal was cut: a crash interrupted it";

fn last(segment: &Segment) -> Range<usize> {
    segment.frame_with(b"payload-three")
}

#[test]
fn a_flipped_byte_in_the_middle_stops_the_start_and_recover_goes_on_without_it() {
    let folder = folder("flipped");
    let mut segment = leave_three_messages(&folder);
    let (at, frame) = (segment.find(b"payload-two"), segment.frame_with(b"payload-two"));
    segment.bytes[at] ^= 0x20;
    segment.write();

    let said = refusal(&folder);
    let place = format!("{} is damaged at offset {}:", shown(&segment), frame.start);
    for part in [&place[..], "sessions, queued and retained messages is lost", "from a backup", "--recover"] {
        assert!(said.contains(part), "{part} is missing in: {said}");
    }
    assert_eq!(said.lines().count(), 1, "{said}");

    let (owed, log) = owed(&folder, &["--recover"], 2);
    assert_eq!(owed, ["payload-one", "payload-three"]);
    assert!(log.contains(&place) && log.contains("WARN"), "{log}");
}

/// The log says when the damage is gone; a broker that starts by itself needs no other arguments than before.
#[test]
fn recover_is_said_once() {
    let folder = folder("recovered_once");
    let mut segment = leave_three_messages(&folder);
    let at = segment.find(b"payload-two");
    segment.bytes[at] ^= 0x20;
    segment.write();
    let (mut broker, _) = start(&folder, &["--recover"]);
    let said = BufReader::new(broker.child.stderr.take().expect("a pipe")).lines();
    let is_whole = said.map_while(Result::ok).any(|line| line.contains("the journal is whole again"));
    assert!(is_whole, "it says so");
    assert!(!segment.path.exists(), "the damage is gone with its segment");
    drop(broker);
    let (owed, _) = owed(&folder, &[], 2);
    assert_eq!(owed, ["payload-one", "payload-three"]);
}

/// The path as the broker says it, which runs in the folder.
fn shown(segment: &Segment) -> String {
    let name = segment.path.file_name().expect("a name").to_string_lossy();
    format!("./noctule-data/journal/{name}")
}

/// Every byte of the segment that counts, in steps: the broker starts without it or not at all, and what it gives is
/// what was published.
#[test]
fn no_flipped_byte_becomes_a_payload() {
    let folder = folder("flipped_anywhere");
    let segment = leave_three_messages(&folder);
    let end = segment.frames().last().expect("frames").end;
    let pristine = folder.join("pristine");
    copy_folder(&journal(&folder), &pristine);
    // A prime, so that all fields are met.
    for at in (3..end).step_by((end - HEADER) / 23 * 2 + 1) {
        restore_folder(&pristine, &journal(&folder));
        let mut bytes = segment.bytes.clone();
        bytes[at] ^= 0x10;
        fs::write(&segment.path, bytes).expect("a writable segment");
        let (broker, address) = start(&folder, &["--recover"]);
        let mut panel = Client::durable(address, "panel");
        panel.peer.send(&Packet::PingReq);
        while let Some(heard) = panel.hear() {
            match heard {
                Heard::Message(message) => {
                    assert_eq!(message.topic, "boiler", "byte {at}");
                    let known = ["payload-one", "payload-two", "payload-three"];
                    assert!(known.contains(&message.payload.as_str()), "byte {at}: {message:?}");
                }
                Heard::Pong => break,
                heard => panic!("byte {at}: {heard:?}"),
            }
        }
        broker.kill();
    }
}

/// After a stop in order a broken last frame is no interrupted write.
#[test]
fn after_a_stop_in_order_a_missing_tail_is_damage() {
    let folder = folder("stopped_and_cut");
    leave_three_messages(&folder);
    start(&folder, &[]).0.end();
    let mut segment = Segment::only(&folder);
    let frame = segment.frame_with(b"payload-three");
    segment.bytes[frame.end - 1] ^= 1;
    segment.write();
    let said = refusal(&folder);
    assert!(said.contains(&format!("damaged at offset {}:", frame.start)), "{said}");
}

#[test]
fn a_missing_segment_is_named() {
    let folder = folder("missing_segment");
    let (broker, address) = start(&folder, &[]);
    let mut panel = Client::durable(address, "panel");
    panel.subscribe("boiler", QoS::AtLeastOnce);
    panel.leave();
    let mut sensor = Client::clean(address, "sensor");
    let long = "x".repeat(300_000);
    while segments(&folder).len() < 3 {
        sensor.publish("boiler", &long, QoS::AtLeastOnce);
    }
    broker.kill();
    let missing = &segments(&folder)[1];
    fs::remove_file(missing).expect("a file");
    let said = refusal(&folder);
    let name = missing.file_name().expect("a name").to_string_lossy();
    assert!(said.contains(&name[..]) && said.contains("the file is missing"), "{said}");
}

#[test]
fn a_journal_of_a_later_format_is_refused_with_the_way_out() {
    let folder = folder("later_format");
    let mut segment = leave_three_messages(&folder);
    segment.bytes[8..12].copy_from_slice(&4_u32.to_le_bytes());
    let checksum = crc32c::crc32c_append(crc32c::crc32c(&segment.bytes[..12]), &segment.bytes[16..HEADER]);
    segment.bytes[12..16].copy_from_slice(&checksum.to_le_bytes());
    segment.write();
    let expected = format!(
        "noctule: {} is of journal format 4; this release reads format 3. Start the release that wrote it, or give \
         this one another data directory\n",
        shown(&segment)
    );
    assert_eq!(refusal(&folder), expected);
    // Nor does the operator's word help.
    let (code, _, stderr) =
        outcome(&mut noctule(&folder, &["--log", "off", "--recover", SERVE[0], SERVE[1]]));
    assert_eq!((code, stderr), (1, expected));
}

fn copy_folder(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("a writable folder");
    for entry in fs::read_dir(from).expect("a folder") {
        let entry = entry.expect("a name");
        fs::copy(entry.path(), to.join(entry.file_name())).expect("a copy");
    }
}

fn restore_folder(from: &Path, to: &Path) {
    fs::remove_dir_all(to).expect("a folder");
    copy_folder(from, to);
}
