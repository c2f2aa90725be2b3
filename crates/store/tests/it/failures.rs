//! A failure is never told as success, and nothing is lost by one.

use crate::support::{Journal, body};
use noctule_store::simulated::{Call, Fault, Operation, SimulatedDisk};
use noctule_store::{CommitError, Position, ReadError, State};
use std::io::ErrorKind;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

const FIRST: &str = "0000000000000001.seg";

/// The next writes of this many frames' bytes fail after their first bytes.
fn fail_writes(disk: &SimulatedDisk, file: &'static str, part: usize) {
    disk.fail_when(move |call| {
        let is_write = matches!(call.operation, Operation::Write { .. }) && call.file == file;
        is_write.then_some(Fault::WritesPart { bytes: part, kind: ErrorKind::Other })
    });
}

/// The next `count` syncs of files fail and forget. Gives how many syncs there have been since.
fn fail_syncs(disk: &SimulatedDisk, count: u64) -> Arc<AtomicU64> {
    let syncs = Arc::new(AtomicU64::new(0));
    let counted = syncs.clone();
    disk.fail_when(move |call| {
        let is_failing =
            call.operation == Operation::SyncData && counted.fetch_add(1, Ordering::Relaxed) < count;
        is_failing.then_some(Fault::SyncForgets)
    });
    syncs
}

#[test]
fn a_failed_write_is_made_again_at_the_same_place() {
    for part in [0, 1, 30, 1000] {
        let disk = SimulatedDisk::new(1);
        let mut journal = Journal::open(&disk);
        journal.say(b"durable");
        fail_writes(&disk, FIRST, part);
        let first = journal.append(&body(1, 300));
        let failed = journal.committer().commit(true);
        let Err(CommitError::Io { operation, file, .. }) = failed else { panic!("{failed:?}") };
        assert_eq!((operation, file.as_str()), ("write to", FIRST));
        assert_eq!(journal.opened.appender.state(), State::Failing);
        assert_eq!(journal.opened.appender.durable(), first);
        let second = journal.append(b"later");
        journal.committer().commit(true).expect_err("it still fails");

        disk.heal();
        journal.committer().commit(true).expect("it works again");
        assert_eq!(journal.opened.appender.state(), State::Open);
        assert_eq!((journal.read(first), journal.read(second)), (body(1, 300), b"later".to_vec()));
        assert_eq!(journal.committer().segments().len(), 1);
        let again = Journal::open(&disk.power_cut(part as u64));
        assert_eq!(again.bodies(), [b"durable".to_vec(), body(1, 300), b"later".to_vec()]);
    }
}

#[test]
fn after_a_failed_write_the_next_starts_at_the_last_durable_frame() {
    let disk = SimulatedDisk::new(1);
    let mut journal = Journal::open(&disk);
    journal.append(b"written and not synced");
    journal.committer().commit(false).expect("it is written");
    fail_writes(&disk, FIRST, 0);
    journal.append(b"fails");
    journal.committer().commit(true).expect_err("it fails");
    disk.heal();
    let committed = journal.committer().commit(true).expect("it works again");
    assert_eq!(committed.bytes, 24 + 22 + 24 + 5);
}

#[test]
fn a_failed_sync_is_not_repeated_and_everything_goes_into_a_fresh_segment() {
    let disk = SimulatedDisk::new(1);
    let mut journal = Journal::open(&disk);
    let durable = journal.say(b"durable");
    let written = journal.append(b"written");
    journal.committer().commit(false).expect("it is written");
    let lost = journal.append(b"lost by the kernel");
    fail_syncs(&disk, 1);
    let committed = journal.committer().commit(true).expect("the fresh segment is synced");
    assert_eq!(committed.durable, journal.opened.appender.end());
    let segments = journal.committer().segments();
    assert_eq!(segments.len(), 2);
    assert_eq!((segments[0].end, segments[1].start), (written, written));
    assert_eq!(journal.opened.appender.state(), State::Open);
    for (place, text) in [(durable, &b"durable"[..]), (written, b"written"), (lost, b"lost by the kernel")] {
        assert_eq!(journal.read(place), text);
    }
    disk.fail_when(|call| {
        assert!(call.operation != Operation::SyncData || call.file != FIRST, "it is never synced again");
        None
    });
    journal.say(b"goes on");
    for seed in 0..10 {
        let texts = [&b"durable"[..], b"written", b"lost by the kernel", b"goes on"];
        assert_eq!(Journal::open(&disk.copy().power_cut(seed)).bodies(), texts);
    }
}

#[test]
fn what_only_the_kernel_of_a_failed_sync_still_shows_is_written_again_by_the_next_life() {
    let disk = SimulatedDisk::new(1);
    let mut journal = Journal::open(&disk);
    journal.append(b"forgotten");
    let durable = journal.opened.appender.durable();
    fail_syncs(&disk, u64::MAX);
    journal.committer().commit(true).expect_err("nothing can be synced");
    assert_eq!(journal.opened.appender.durable(), durable);
    // The kernel shows it, the disk may not have it, and no write is waiting.
    let disk = disk.kill();
    let again = Journal::open(&disk);
    assert_eq!(again.bodies(), [b"forgotten"]);
    for seed in 0..10 {
        let mut again = Journal::open(&disk.kill());
        assert_eq!(again.bodies()[0], b"forgotten");
        again.say(b"more");
        assert_eq!(Journal::open(&disk.power_cut(seed)).bodies()[0], b"forgotten");
    }
}

#[test]
fn a_second_failed_sync_ends_writing_until_a_restart() {
    let disk = SimulatedDisk::new(1);
    let mut journal = Journal::open(&disk);
    journal.say(b"durable");
    let above = journal.append(b"above");
    let syncs = fail_syncs(&disk, 2);
    let failed = journal.committer().commit(true);
    assert!(matches!(failed, Err(CommitError::ReadOnly { .. })), "{failed:?}");
    assert_eq!(journal.opened.appender.state(), State::ReadOnly);
    assert_eq!(journal.opened.appender.durable(), above);
    let calls = disk.calls();
    journal.append(b"more");
    journal.committer().commit(true).expect_err("nothing is written any more");
    journal.committer().release(above).expect_err("nothing is freed any more");
    journal.committer().prepare_spare().expect_err("nothing is made any more");
    assert_eq!((disk.calls(), syncs.load(Ordering::Relaxed)), (calls, 2));
    assert_eq!(journal.read(Position::FIRST), b"durable");
    let mut again = Journal::open(&disk.power_cut(1));
    assert_eq!(again.bodies()[0], b"durable");
    again.say(b"works again");
}

#[test]
fn two_failed_syncs_with_a_success_between_them_are_two_first_ones() {
    let disk = SimulatedDisk::new(1);
    let mut journal = Journal::open(&disk);
    for round in 0..4 {
        fail_syncs(&disk, 1);
        journal.say(&body(round, 50));
        disk.heal();
    }
    assert_eq!(journal.committer().segments().len(), 5);
    assert_eq!(Journal::open(&disk.power_cut(1)).frames.len(), 4);
}

#[test]
fn names_that_could_not_be_synced_end_writing() {
    let disk = SimulatedDisk::new(1);
    let mut journal = Journal::open(&disk);
    disk.fail_when(|call| (call.operation == Operation::SyncDirectory).then_some(Fault::SyncForgets));
    journal.append(&body(1, 5000));
    journal.append(&body(2, 5000));
    let failed = journal.committer().commit(true);
    let Err(CommitError::ReadOnly { cause }) = failed else { panic!("{failed:?}") };
    assert!(cause.contains("sync the directory"), "{cause}");
    assert_eq!(journal.opened.appender.state(), State::ReadOnly);
}

#[test]
fn a_frame_that_has_to_move_is_not_there_until_it_is_written_again() {
    let no_fresh_segment = |call: &Call<'_>| call.operation == Operation::Rename;
    let no_frames_in_it = |call: &Call<'_>| {
        let is_frames = matches!(call.operation, Operation::Write { offset: 4096, .. });
        is_frames && call.file == "0000000000000002.seg"
    };
    for is_failing in [no_fresh_segment as fn(&Call<'_>) -> bool, no_frames_in_it] {
        let disk = SimulatedDisk::new(1);
        let mut journal = Journal::open(&disk);
        journal.say(b"durable");
        let place = journal.append(b"moves");
        journal.committer().commit(false).expect("it is written");
        assert_eq!(journal.read(place), b"moves");
        fail_syncs(&disk, 1);
        disk.fail_when(move |call| is_failing(call).then_some(Fault::Fails(ErrorKind::PermissionDenied)));
        let failed = journal.committer().commit(true);
        assert!(matches!(failed, Err(CommitError::Io { .. })), "{failed:?}");
        let mut text = Vec::new();
        let early = journal.opened.reader.read(place, &mut text);
        assert!(matches!(early, Err(ReadError::NotWritten)), "{early:?}");
        disk.heal();
        journal.committer().commit(true).expect("it works again");
        assert_eq!(journal.read(place), b"moves");
    }
}

#[test]
fn a_release_that_fails_is_made_again() {
    let disk = SimulatedDisk::new(1);
    let mut journal = Journal::open(&disk);
    let places: Vec<Position> = (0..40).map(|number| journal.say(&body(number, 500))).collect();
    let before = journal.committer().segments();
    disk.fail_when(|call| (call.operation == Operation::Remove).then_some(Fault::Fails(ErrorKind::Other)));
    journal.committer().release(places[39]).expect_err("the disk refuses");
    let kept = journal.committer().segments();
    assert!(kept.len() > 1 && before.ends_with(&kept), "{kept:?}");
    assert_eq!(journal.opened.appender.state(), State::Open);
    disk.heal();
    journal.committer().release(places[39]).expect("the disk is willing");
    assert_eq!(journal.committer().segments().len(), 1);
    journal.say(b"goes on");
}

#[test]
fn what_cannot_be_read_or_comes_back_wrong_once_is_not_damaged() {
    let disk = SimulatedDisk::new(1);
    let mut journal = Journal::open(&disk);
    let place = journal.say(b"said");
    let flips = Fault::FlipsBit { bit: 25 * 8 };
    disk.fail_call(disk.calls() + 1, flips);
    assert_eq!(journal.read(place), b"said");
    let read = |fault| {
        disk.heal();
        disk.fail_when(move |call| matches!(call.operation, Operation::Read { .. }).then_some(fault));
        journal.opened.reader.read(place, &mut Vec::new())
    };
    let unreadable = read(Fault::Fails(ErrorKind::Other));
    assert!(matches!(unreadable, Err(ReadError::Io { offset: 4096, .. })), "{unreadable:?}");
    let damaged = read(flips);
    assert!(matches!(damaged, Err(ReadError::Damaged { offset: 4096, .. })), "{damaged:?}");
}
