//! A start reads the indexes of full segments in their place, and the segments where an index is of no use.

use crate::support::{Frames, Journal, SMALL, body, brief};
use noctule_store::simulated::{Fault, Operation, SimulatedDisk};
use noctule_store::{OpenError, Options, Position, ReadError};
use std::io::ErrorKind;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// A journal of a few full segments and one that is written to.
fn full_segments(disk: &SimulatedDisk) -> (Journal, Frames) {
    let mut journal = Journal::open(disk);
    let frames = (0..40).map(|number| (journal.say(&body(number, 700)).get(), body(number, 700))).collect();
    assert!(journal.committer().segments().len() > 3);
    (journal, frames)
}

/// Counts the bytes that are read of segments behind their headers.
fn count_reads(disk: &SimulatedDisk) -> Arc<AtomicU64> {
    let read = Arc::new(AtomicU64::new(0));
    let counted = Arc::clone(&read);
    disk.fail_when(move |call| {
        if let Operation::Read { bytes, offset } = call.operation
            && call.file.ends_with(".seg")
            && offset > 0
        {
            counted.fetch_add(bytes as u64, Ordering::Relaxed);
        }
        None
    });
    read
}

#[test]
fn a_start_reads_indexes_and_the_last_segment() {
    let disk = SimulatedDisk::new(1);
    let (mut journal, frames) = full_segments(&disk);
    let full = journal.committer().segments().len() - 1;
    let unindexed = disk.copy();
    let without = count_reads(&unindexed);
    assert_eq!(Journal::open(&unindexed).frames, frames);
    assert!(without.load(Ordering::Relaxed) > 8192 * full as u64 / 2);

    assert_eq!(journal.index(), full);
    let with = count_reads(&disk);
    let again = Journal::open(&disk);
    assert_eq!(again.frames, frames);
    assert!(with.load(Ordering::Relaxed) <= 8192, "only the last segment is read");
    assert_eq!(again.report().frames, frames.len() as u64);
    assert_eq!(again.report().bytes, journal.opened.appender.end().get() - 1);
    for (position, body) in frames {
        assert_eq!(again.read(Position::new(position)), body);
    }
}

#[test]
fn an_index_that_is_not_the_one_of_its_segment_is_as_good_as_none() {
    let disk = SimulatedDisk::new(1);
    let (mut journal, frames) = full_segments(&disk);
    journal.index();
    drop(journal);
    let index = disk.content(INDEX).expect("the first segment has one");
    let mut broken: Vec<Vec<u8>> = (0..=index.len()).map(|bytes| index[..bytes].to_vec()).collect();
    broken.pop();
    broken.extend((0..index.len()).map(|byte| {
        let mut flipped = index.clone();
        flipped[byte] ^= 1 << (byte % 8);
        flipped
    }));
    broken.push(vec![0; index.len()]);
    broken.push(disk.content("0000000000000002.idx").expect("the second has one too"));
    broken.push([&index[..], &[0; 12]].concat());
    for content in broken {
        let disk = disk.copy();
        disk.set_content(INDEX, content);
        assert_eq!(Journal::open(&disk).frames, frames);
        let mut journal = Journal::open(&disk);
        assert_eq!(journal.index(), 1, "it is made anew");
        assert_eq!(disk.content(INDEX).as_ref(), Some(&index));
    }
}

#[test]
fn an_index_is_of_the_journal_that_it_was_made_for() {
    let (one, other) = (SimulatedDisk::new(1), SimulatedDisk::new(2));
    full_segments(&one).0.index();
    let (mut journal, frames) = full_segments(&other);
    journal.index();
    let bytes_read = |disk: SimulatedDisk| {
        let read = count_reads(&disk);
        assert_eq!(Journal::open(&disk).frames, frames);
        read.load(Ordering::Relaxed)
    };
    let with_its_own = bytes_read(other.copy());
    other.set_content(INDEX, one.content(INDEX).expect("it is there"));
    assert!(bytes_read(other) > with_its_own, "the segment was read");
}

#[test]
fn what_is_behind_an_index_is_checked_when_it_is_read_or_looked_for() {
    let disk = SimulatedDisk::new(1);
    let (mut journal, frames) = full_segments(&disk);
    journal.index();
    let mut content = disk.content(SEGMENT).expect("it is there");
    content[4096 + 24 + 300] ^= 1;
    disk.set_content(SEGMENT, content);

    let again = Journal::open(&disk.copy());
    assert_eq!(again.frames, frames);
    let read = again.opened.reader.read(Position::new(frames[0].0), &mut Vec::new());
    let Err(ReadError::Damaged { file, offset }) = read else { panic!("{read:?}") };
    assert_eq!((file.as_str(), offset), (SEGMENT, 4096));

    // Who asks for it gets every byte looked at.
    let verified =
        noctule_store::verify(disk.copy(), &mut |_, _| Ok(()), &mut |_, _| {}).expect("it is read");
    assert_eq!(verified.damage.len(), 1);
    let passed = Journal::try_open(&disk.copy(), SMALL, true).expect("the word was given");
    assert_eq!((passed.frames, &passed.opened.report.damage), (frames[1..].to_vec(), &verified.damage));
    let copied = noctule_store::backup_from_outside(disk, SimulatedDisk::new(3), &mut |_, _| {});
    assert!(copied.is_err(), "damage is not copied");
}

#[test]
fn a_segment_that_is_shorter_than_its_index_says_is_damaged() {
    let disk = SimulatedDisk::new(1);
    full_segments(&disk).0.index();
    let mut content = disk.content(SEGMENT).expect("it is there");
    content.truncate(6000);
    disk.set_content(SEGMENT, content);
    assert!(matches!(Journal::try_open(&disk, SMALL, false), Err(OpenError::Damaged(_))));
}

#[test]
fn an_index_goes_with_its_segment() {
    let disk = SimulatedDisk::new(1);
    let (mut journal, frames) = full_segments(&disk);
    let segments = journal.committer().segments();
    let late = journal.committer().segment_to_index().expect("the first has none");
    journal.index();
    assert!(!disk.names().contains(&INDEX.to_owned()));
    let with_indexes = journal.committer().bytes();
    journal.committer().release(segments[1].end).expect("it is freed");
    // It was being indexed when it was freed, and its file is a spare one now.
    late.write(&mut brief).ok();
    let indexes = |disk: &SimulatedDisk| disk.names().iter().filter(|name| name.ends_with(".idx")).count();
    assert_eq!(indexes(&disk), segments.len() - 3);
    assert!(journal.committer().bytes() < with_indexes);

    // A crash between the two leaves an index that is of nothing.
    disk.set_content(INDEX, b"left behind".to_vec());
    let again = Journal::open(&disk);
    assert_eq!(again.frames, frames[frames.len() - again.frames.len()..]);
    assert_eq!(indexes(&disk), segments.len() - 3);
}

#[test]
fn an_index_counts_as_room_that_is_taken() {
    let disk = SimulatedDisk::new(1);
    let (mut journal, _) = full_segments(&disk);
    let before = journal.committer().bytes();
    let indexing = journal.committer().segment_to_index().expect("the first has none");
    assert_eq!(journal.committer().bytes(), before + 8192 / 4, "what it may take");
    indexing.write(&mut brief).expect("it is written");
    let index = disk.content(INDEX).expect("it is there").len() as u64;
    assert_eq!(journal.committer().bytes(), before + index);

    disk.set_capacity(Some(before + index + 8192));
    assert!(journal.committer().segment_to_index().is_none(), "the next segment needs that room");
}

#[test]
fn what_is_not_worth_an_index_has_none() {
    let disk = SimulatedDisk::new(1);
    let (mut journal, frames) = full_segments(&disk);
    // The bodies as they are.
    let mut all = |body: &[u8], out: &mut Vec<u8>| {
        out.extend_from_slice(body);
        Some(())
    };
    let too_large = journal.committer().segment_to_index().expect("the first has none");
    assert!(!too_large.write(&mut all).expect("nothing fails"));
    let unknown = journal.committer().segment_to_index().expect("the second has none");
    assert!(!unknown.write(&mut |_, _| None).expect("nothing fails"));
    let unreadable = journal.committer().segment_to_index().expect("the third has none");
    disk.fail_call(disk.calls() + 2, Fault::Fails(ErrorKind::Other));
    unreadable.write(&mut brief).expect_err("the disk fails");
    assert!(disk.names().iter().all(|name| !name.ends_with(".idx")));
    assert_eq!(Journal::open(&disk.copy()).frames, frames);
}

#[test]
fn a_journal_that_is_not_large_is_read_whole_and_has_no_indexes() {
    let disk = SimulatedDisk::new(1);
    let (mut journal, frames) = full_segments(&disk);
    let bytes = journal.committer().bytes();
    let options = Options { read_whole_bytes_max: bytes, ..SMALL };
    let mut journal = Journal::try_open(&disk, options, false).expect("it opens");
    assert!(journal.committer().segment_to_index().is_none());

    // It had been larger.
    let mut journal = Journal::open(&disk);
    journal.index();
    drop(journal);
    let mut journal = Journal::try_open(&disk, options, false).expect("it opens");
    assert_eq!(journal.frames, frames);
    assert!(journal.committer().segment_to_index().is_none());
    drop(journal);
    let mut content = disk.content(SEGMENT).expect("it is there");
    content[4096 + 24 + 300] ^= 1;
    disk.set_content(SEGMENT, content);
    assert!(matches!(Journal::try_open(&disk, options, false), Err(OpenError::Damaged(_))));
    Journal::try_open(&disk, SMALL, false).expect("an index is believed");
}

const SEGMENT: &str = "0000000000000001.seg";
const INDEX: &str = "0000000000000001.idx";
