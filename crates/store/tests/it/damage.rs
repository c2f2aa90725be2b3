//! Damage is told with file and offset, and never taken for the end of the journal nor for a frame.

use crate::support::{Frames, Journal, SMALL, body};
use noctule_store::simulated::{Fault, Operation, SimulatedDisk};
use noctule_store::{Damage, OpenError, verify};
use std::io::ErrorKind;

const HEADER_BYTES: usize = 4096;

fn segment(number: u64) -> String {
    format!("{number:016x}.seg")
}

fn damage_of(disk: &SimulatedDisk) -> Option<Damage> {
    match Journal::try_open(disk, SMALL, false) {
        Ok(_) => None,
        Err(OpenError::Damaged(damage)) => Some(damage),
        Err(other) => panic!("{other}"),
    }
}

/// Three segments of a few frames, closed as it should be.
fn small_journal() -> (SimulatedDisk, Frames) {
    let disk = SimulatedDisk::new(1);
    let mut journal = Journal::open(&disk);
    for number in 0..22 {
        journal.say(&body(number, 400 + number as usize));
    }
    journal.opened.committer.close().expect("it is written");
    let frames = Journal::open(&disk.copy()).frames;
    assert_eq!(frames.len(), 22);
    (disk.kill(), frames)
}

/// The frames of a segment file: offset and the offset behind.
fn frames_in(content: &[u8], limit: usize) -> Vec<(usize, usize)> {
    let mut frames = Vec::new();
    let mut at = HEADER_BYTES;
    while at < limit {
        let length = u32::from_le_bytes(content[at..at + 4].try_into().expect("four bytes"));
        frames.push((at, at + 24 + length as usize));
        at += 24 + length as usize;
    }
    frames
}

fn with_flipped_bit(disk: &SimulatedDisk, name: &str, offset: usize) -> SimulatedDisk {
    let copy = disk.copy();
    let mut content = copy.content(name).expect("it is there");
    content[offset] ^= 1 << (offset % 8);
    copy.set_content(name, content);
    copy
}

#[test]
fn a_flipped_bit_anywhere_is_found_and_costs_at_most_its_frame() {
    let (disk, all) = small_journal();
    let infos = Journal::open(&disk.copy()).committer().segments();
    assert_eq!(infos.len(), 3);
    for info in &infos {
        let name = segment(info.number);
        let content = disk.content(&name).expect("it is there");
        let limit = HEADER_BYTES + (info.end.get() - info.start.get()) as usize;
        let frames = frames_in(&content, limit);
        // Most of a header is one thing: zeros under its checksum.
        let zeros = (64..HEADER_BYTES).step_by(61);
        for offset in (0..64).chain(zeros).chain(HEADER_BYTES..limit) {
            let damaged = with_flipped_bit(&disk, &name, offset);
            let found = damage_of(&damaged.copy());
            let frame = frames.iter().find(|(from, to)| (*from..*to).contains(&offset));
            let expected = frame.map_or(0, |(from, _)| *from as u64);
            let passed = Journal::try_open(&damaged.copy(), SMALL, true).expect("the word was given");
            if let Some(found) = found {
                assert_eq!((&found.file, found.offset), (&name, expected), "bit in byte {offset}");
                assert!(passed.report().damage.contains(&found), "{:?}", passed.report());
                if offset % 7 == 0 {
                    let verified =
                        verify(damaged, &mut |_, _| Ok(()), &mut |_, _| {}).expect("it can be read");
                    assert_eq!(verified.damage, passed.report().damage);
                }
            } else {
                // Behind the mark of the close nothing says that the mark was durable.
                let is_mark = frame == frames.last() && frame.is_some_and(|(from, to)| to - from == 24);
                assert!(is_mark, "bit in byte {offset} of {name} was not found");
            }
            let lost: Vec<_> = all.iter().filter(|frame| !passed.frames.contains(frame)).collect();
            let lost_place = |(position, _): &(u64, Vec<u8>)| expected + info.start.get() == position + 4096;
            assert!(lost.len() <= 1 && lost.iter().all(|frame| lost_place(frame)), "{offset}: {lost:?}");
            assert!(passed.frames.iter().all(|frame| all.contains(frame)), "a corrupt body came back");
        }
    }
}

#[test]
fn a_broken_header_costs_nothing_with_the_word_of_the_operator() {
    let (disk, all) = small_journal();
    for number in 1..=3 {
        let copy = disk.copy();
        let mut content = copy.content(&segment(number)).expect("it is there");
        content[..HEADER_BYTES].fill(0xa5);
        copy.set_content(&segment(number), content);
        let found = damage_of(&copy.copy()).expect("it is found");
        assert_eq!((found.file, found.offset), (segment(number), 0));
        let mut passed = Journal::try_open(&copy, SMALL, true).expect("the word was given");
        assert_eq!(passed.frames, all);
        passed.say(b"goes on in a segment of its own");
        assert_eq!(passed.committer().segments().last().expect("it is listed").number, 4);
        let again = Journal::try_open(&copy.power_cut(1), SMALL, true).expect("the word was given");
        assert_eq!(again.frames.len(), all.len() + 1);
    }
}

#[test]
fn a_missing_segment_is_named() {
    let (disk, all) = small_journal();
    disk.lose(&segment(2));
    let found = damage_of(&disk.copy()).expect("it is found");
    assert_eq!((found.file.as_str(), found.what.as_str()), (segment(2).as_str(), "the file is missing"));
    assert!(found.bytes > 3000, "{found}");
    let passed = Journal::try_open(&disk, SMALL, true).expect("the word was given");
    assert!(passed.frames.len() < all.len() && passed.frames.iter().all(|frame| all.contains(frame)));
    // The oldest one looks as if it had been released.
    let (disk, _) = small_journal();
    disk.lose(&segment(1));
    assert_eq!(damage_of(&disk), None);
}

#[test]
fn a_shortened_segment_is_damage_unless_it_is_the_last() {
    let (disk, all) = small_journal();
    let second = Journal::open(&disk.copy()).committer().segments()[1];
    let limit = HEADER_BYTES + (second.end.get() - second.start.get()) as usize;
    for bytes in (0..8192).step_by(97) {
        let copy = disk.copy();
        let content = copy.content(&segment(2)).expect("it is there");
        copy.set_content(&segment(2), content[..bytes].to_vec());
        assert_eq!(damage_of(&copy).is_some(), bytes < limit, "{bytes}");

        let copy = disk.copy();
        let content = copy.content(&segment(3)).expect("it is there");
        copy.set_content(&segment(3), content[..bytes].to_vec());
        if bytes < HEADER_BYTES {
            assert!(damage_of(&copy).is_some(), "{bytes}");
        } else {
            let mut journal = Journal::try_open(&copy, SMALL, false).expect("it opens");
            assert!(all.starts_with(&journal.frames));
            journal.say(&body(1, 5000));
        }
    }
}

#[test]
fn a_torn_tail_of_any_length_is_cut_and_never_comes_back() {
    let disk = SimulatedDisk::new(1);
    let mut journal = Journal::open(&disk);
    journal.say(b"durable");
    let first = journal.append(b"a body of some length").get() as usize + HEADER_BYTES - 1;
    for text in [&b"another"[..], b"and a third one", b"x"] {
        journal.append(text);
    }
    journal.committer().commit(true).expect("it is written");
    let end = journal.opened.appender.end().get() as usize + HEADER_BYTES - 1;
    let whole = disk.content(&segment(1)).expect("it is there");
    for from in first..end {
        for to in [from + 1, from + 20, end].map(|to| to.min(end)) {
            let copy = disk.copy();
            let mut content = whole.clone();
            content[from..to].iter_mut().for_each(|byte| *byte ^= 0xff);
            copy.set_content(&segment(1), content);
            let mut torn = Journal::open(&copy);
            let kept = frames_in(&whole, end).iter().filter(|(_, end)| *end <= from).count();
            assert_eq!(torn.frames.len(), kept, "torn from {from} to {to}");
            assert_eq!(torn.frames[..], journal_frames(&whole, end)[..kept]);
            // As long as the frame that was cut, so that the next old one would stand just behind it.
            let same_length = frames_in(&whole, end)[kept];
            torn.say(&vec![b'n'; same_length.1 - same_length.0 - 24]);
            let again = Journal::open(&copy.power_cut(1));
            assert_eq!(again.frames.len(), kept + 1, "torn from {from} to {to}");
        }
    }
}

fn journal_frames(content: &[u8], limit: usize) -> Frames {
    let frame =
        |(from, to): &(usize, usize)| ((from - HEADER_BYTES) as u64 + 1, content[from + 24..*to].to_vec());
    frames_in(content, limit).iter().map(frame).collect()
}

#[test]
fn a_torn_tail_is_reported() {
    let disk = SimulatedDisk::new(1);
    let mut journal = Journal::open(&disk);
    journal.say(b"durable");
    journal.append(b"torn");
    journal.append(b"whole behind it");
    journal.committer().commit(false).expect("it is written");
    let mut content = disk.content(&segment(1)).expect("it is there");
    let torn_at = HEADER_BYTES + 24 + 7;
    content[torn_at + 24] ^= 1;
    disk.set_content(&segment(1), content);
    let before = verify(disk.copy(), &mut |_, _| Ok(()), &mut |_, _| {}).expect("it is read");
    let again = Journal::open(&disk.kill());
    assert_eq!(again.report(), &before);
    let torn = again.report().torn.clone().expect("it is reported");
    assert_eq!((torn.file, torn.offset, torn.bytes), (segment(1), torn_at as u64, 24 + 4 + 24 + 15));
    assert_eq!(Journal::open(&disk.kill()).report().torn, None, "it is cut");
}

#[test]
fn the_last_frame_alone_may_be_torn() {
    let disk = SimulatedDisk::new(1);
    Journal::open(&disk).say(b"torn");
    let mut content = disk.content(&segment(1)).expect("it is there");
    content[HEADER_BYTES + 24] ^= 1;
    disk.set_content(&segment(1), content);
    let again = Journal::open(&disk.kill());
    let torn = again.report().torn.clone().expect("it is reported");
    assert_eq!((torn.offset, torn.bytes), (HEADER_BYTES as u64, 24 + 4));
    let content = disk.content(&segment(1)).expect("it is there");
    assert!(content[HEADER_BYTES..].iter().all(|byte| *byte == 0), "it is cut");
}

#[test]
fn looking_changes_nothing() {
    let (disk, _) = small_journal();
    let damaged = with_flipped_bit(&disk, &segment(2), 5000);
    let before: Vec<_> = damaged.names().iter().map(|name| damaged.content(name)).collect();
    damaged.fail_when(|call| {
        let only_looks = matches!(
            call.operation,
            Operation::List | Operation::Open | Operation::Bytes | Operation::Read { .. }
        );
        (!only_looks).then(|| panic!("{call:?}"))
    });
    let mut progress = Vec::new();
    let report = verify(damaged.clone(), &mut |_, _| Ok(()), &mut |done, all| progress.push((done, all)))
        .expect("it is read");
    assert_eq!((report.files.len(), report.damage.len()), (3, 1));
    assert_eq!(progress.last(), Some(&(3 * 8192, 3 * 8192)));
    let after: Vec<_> = damaged.names().iter().map(|name| damaged.content(name)).collect();
    assert_eq!(before, after);
}

fn set_version(disk: &SimulatedDisk, name: &str, version: u8) {
    let mut content = disk.content(name).expect("it is there");
    content[8] = version;
    let checksum = crc32c::crc32c_append(crc32c::crc32c(&content[..12]), &content[16..HEADER_BYTES]);
    content[12..16].copy_from_slice(&checksum.to_le_bytes());
    disk.set_content(name, content);
}

/// The release that wrote the older segments refuses the newer one, and takes nothing in its own for damage.
#[test]
fn a_journal_of_an_older_format_goes_on_in_a_segment_of_this_one() {
    let (disk, mut frames) = small_journal();
    (1..=3).for_each(|number| set_version(&disk, &segment(number), 2));
    let mut journal = Journal::open(&disk);
    assert_eq!(journal.frames, frames);
    frames.push((journal.say(b"new").get(), b"new".to_vec()));
    let segments = journal.committer().segments();
    assert_eq!((segments.len(), segments[3].start.get()), (4, frames[22].0));
    let version = |number| disk.content(&segment(number)).expect("it is there")[8];
    assert_eq!([1, 2, 3, 4].map(version), [2, 2, 2, 3]);
    assert_eq!(Journal::open(&disk).frames, frames);
}

#[test]
fn another_format_is_refused_with_the_way_out() {
    let (disk, _) = small_journal();
    set_version(&disk, &segment(1), 4);
    for pass_damage in [false, true] {
        let error = Journal::try_open(&disk, SMALL, pass_damage).err().expect("it is refused");
        assert!(matches!(error, OpenError::Version { found: 4, known: 3, .. }), "{error:?}");
        assert!(error.to_string().contains("another data directory"), "{error}");
    }
}

#[test]
fn segments_of_two_journals_are_not_mixed() {
    let (disk, _) = small_journal();
    let stranger = SimulatedDisk::new(99);
    let mut journal = Journal::open(&stranger);
    for number in 0..22 {
        journal.say(&body(number, 400 + number as usize));
    }
    disk.set_content(&segment(2), stranger.content(&segment(2)).expect("it is there"));
    let found = damage_of(&disk).expect("it is found");
    assert_eq!((found.file, found.what.as_str()), (segment(2), "it belongs to another journal"));
}

#[test]
fn what_the_disk_does_not_give_is_an_error_and_with_the_word_of_the_operator_a_loss() {
    let (disk, all) = small_journal();
    let fails = |call: &noctule_store::simulated::Call<'_>| {
        let Operation::Read { offset, bytes } = call.operation else { return None };
        let is_bad = offset < 5000 && offset + bytes as u64 > 4500 && call.file == segment(2);
        is_bad.then_some(Fault::Fails(ErrorKind::Other))
    };
    disk.fail_when(fails);
    let error = Journal::try_open(&disk, SMALL, false).err().expect("it is refused");
    assert!(matches!(error, OpenError::Io { operation: "read", .. }), "{error:?}");
    let passed = Journal::try_open(&disk, SMALL, true).expect("the word was given");
    assert!(passed.frames.len() >= 12 && passed.frames.len() < all.len(), "{}", passed.frames.len());
    assert!(passed.frames.iter().all(|frame| all.contains(frame)));
}

#[test]
fn a_frame_nobody_understands_is_named_and_with_the_word_of_the_operator_left_out() {
    let (disk, all) = small_journal();
    let mut taken = 0;
    let mut on_frame = |position: noctule_store::Position, _: &[u8]| {
        taken += 1;
        if position.get() == all[3].0 { Err("no such record".to_owned()) } else { Ok(()) }
    };
    let (options, on_progress) = (SMALL, &mut |_, _| {});
    let error = noctule_store::open(disk.copy(), options, false, &mut on_frame, on_progress);
    let expected = format!("{}, offset {}: no such record. Restore", segment(1), all[3].0 + 4095);
    let error = error.expect_err("it is refused").to_string();
    assert!(error.starts_with(&expected) && error.contains("--recover"), "{error}");

    let opened =
        noctule_store::open(disk, options, true, &mut on_frame, on_progress).expect("the word was given");
    let [damage] = &opened.report.damage[..] else { panic!("{:?}", opened.report) };
    assert_eq!((damage.offset, damage.what.as_str()), (all[3].0 + 4095, "no such record"));
    assert_eq!(taken, 4 + all.len());
}

#[test]
fn a_wrong_bit_on_the_way_is_no_frame() {
    let (disk, all) = small_journal();
    for bit in (HEADER_BYTES * 8..HEADER_BYTES * 8 + 2000).step_by(37) {
        let copy = disk.copy();
        copy.fail_when(move |call| {
            let is_read = matches!(call.operation, Operation::Read { .. }) && call.file == segment(2);
            is_read.then_some(Fault::FlipsBit { bit })
        });
        let passed = Journal::try_open(&copy, SMALL, true).expect("the word was given");
        assert!(passed.frames.iter().all(|frame| all.contains(frame)), "a corrupt body came back");
    }
}
