//! What is appended and committed comes back.

use crate::support::{Journal, body};
use noctule_store::simulated::{Fault, Operation, SimulatedDisk};
use noctule_store::{Options, Position, Prepared, ReadError, State};
use std::io::ErrorKind;

#[test]
fn what_was_committed_comes_back_in_order_with_its_positions() {
    let disk = SimulatedDisk::new(1);
    let mut journal = Journal::open(&disk);
    assert_eq!(journal.report().files, []);
    let mut places = Vec::new();
    let end = journal.opened.appender.append([&b"one"[..], b"two"], &mut places);
    assert_eq!(places, [Position::new(1), Position::new(28)]);
    assert_eq!(end, Position::new(55));
    assert_eq!(journal.opened.appender.durable(), Position::FIRST);
    let committed = journal.committer().commit(true).expect("it is written");
    assert_eq!((committed.durable, committed.bytes), (end, 54));
    assert_eq!(journal.opened.appender.durable(), end);

    let again = Journal::open(&disk.power_cut(7));
    assert_eq!(again.frames, [(1, b"one".to_vec()), (28, b"two".to_vec())]);
    assert_eq!(again.opened.appender.end(), end);
    assert_eq!((again.report().frames, again.report().bytes), (2, 54));
}

#[test]
fn written_and_not_synced_survives_the_process_and_may_be_lost_with_the_power() {
    let disk = SimulatedDisk::new(1);
    let mut journal = Journal::open(&disk);
    journal.append(b"one");
    let committed = journal.committer().commit(false).expect("it is written");
    assert_eq!((committed.written.get(), committed.durable.get()), (28, 1));
    assert_eq!(journal.opened.appender.pending_bytes(), 27);
    let survivor = disk.copy();
    assert_eq!(Journal::open(&survivor).bodies(), [b"one"]);
    let lost = (0..20).filter(|seed| {
        let disk = SimulatedDisk::new(1);
        let mut journal = Journal::open(&disk);
        journal.append(b"one");
        journal.committer().commit(false).expect("it is written");
        Journal::open(&disk.power_cut(*seed)).frames.is_empty()
    });
    assert!((1..20).contains(&lost.count()));
}

#[test]
fn what_survived_the_process_is_durable_once_the_next_has_opened_it() {
    let disk = SimulatedDisk::new(1);
    let mut journal = Journal::open(&disk);
    journal.append(b"one");
    journal.committer().commit(false).expect("it is written");
    let disk = disk.kill();
    assert_eq!(Journal::open(&disk).bodies(), [b"one"]);
    for seed in 0..20 {
        let disk = disk.copy();
        assert_eq!(Journal::open(&disk.power_cut(seed)).bodies(), [b"one"]);
    }
}

#[test]
fn a_process_that_has_ended_writes_no_more() {
    let disk = SimulatedDisk::new(1);
    let mut old = Journal::open(&disk);
    let mut new = Journal::open(&disk.kill());
    new.say(b"new");
    old.append(b"old");
    old.committer().commit(true).expect_err("it has ended");
    assert_eq!(new.read(Position::FIRST), b"new");
}

#[test]
fn frames_roll_from_segment_to_segment_and_are_released_from_the_oldest_on() {
    let disk = SimulatedDisk::new(1);
    let mut journal = Journal::open(&disk);
    let places: Vec<Position> = (0..40).map(|number| journal.say(&body(number, 500))).collect();
    let segments = journal.committer().segments();
    assert!(segments.len() > 4, "{segments:?}");
    assert_eq!(segments[0].start, Position::FIRST);
    for pair in segments.windows(2) {
        assert_eq!((pair[0].end, pair[0].number + 1), (pair[1].start, pair[1].number));
    }
    for (number, place) in places.iter().enumerate() {
        assert_eq!(journal.read(*place), body(number as u64, 500));
    }

    let cut = segments[2].start;
    let released = journal.committer().release(Position::new(cut.get() + 1)).expect("it is freed");
    assert_eq!(released.segments, 2);
    assert_eq!(journal.committer().segments(), segments[2..]);
    let mut text = Vec::new();
    let gone = journal.opened.reader.read(places[0], &mut text);
    assert!(matches!(gone, Err(ReadError::Released)), "{gone:?}");

    let again = Journal::open(&disk.power_cut(3));
    let kept: Vec<u64> = places.iter().map(|place| place.get()).filter(|place| *place >= cut.get()).collect();
    assert_eq!(again.frames.iter().map(|(place, _)| *place).collect::<Vec<_>>(), kept);
}

#[test]
fn freed_files_are_used_again_and_their_old_frames_never_come_back() {
    let disk = SimulatedDisk::new(1);
    let mut journal = Journal::open(&disk);
    let mut last = Position::NOWHERE;
    for number in 0..400 {
        last = journal.say(&body(number, 700));
        // Sometimes early, sometimes late in a segment.
        if number % 3 == 0 {
            journal.committer().release(last).expect("it is freed");
        }
        if number == 20 {
            disk.fail_when(|call| {
                (call.operation == Operation::Create).then_some(Fault::Fails(ErrorKind::Other))
            });
        }
    }
    assert_eq!(journal.opened.appender.state(), State::Open, "no more files were needed");
    assert!(journal.committer().bytes() <= 6 * 8192, "{}", journal.committer().bytes());
    assert!(disk.names().len() <= 6, "{:?}", disk.names());
    let again = Journal::open(&disk.kill());
    assert_eq!(again.frames.last(), Some(&(last.get(), body(399, 700))));
    let numbers: Vec<u64> = again.frames.iter().map(|(_, found)| found[0].into()).collect();
    assert!(numbers.windows(2).all(|pair| pair[0] + 1 == pair[1] || pair == [255, 0]), "{numbers:?}");
}

#[test]
fn a_frame_larger_than_a_segment_gets_one_of_its_size() {
    let disk = SimulatedDisk::new(1);
    let mut journal = Journal::open(&disk);
    journal.say(b"small");
    let large = journal.say(&body(7, 100_000));
    let small = journal.say(b"small again");
    assert_eq!(journal.read(large), body(7, 100_000));
    assert_eq!(journal.read(small), b"small again");
    let again = Journal::open(&disk.power_cut(1));
    assert_eq!(again.bodies(), [b"small".to_vec(), body(7, 100_000), b"small again".to_vec()]);
}

#[test]
fn segments_start_small_and_grow_fourfold_to_an_eighth_of_the_room() {
    let sizes = |capacity: Option<u64>, options: Options| {
        let disk = SimulatedDisk::new(1);
        disk.set_capacity(capacity);
        let mut journal = Journal::try_open(&disk, options, false).expect("it opens");
        let mut number = 0;
        while journal.committer().segments().len() < 6 && journal.opened.appender.state() == State::Open {
            number += 1;
            journal.say(&body(number, 60_000));
        }
        let sizes: Vec<u64> = journal.committer().segments().iter().map(|info| info.bytes >> 10).collect();
        assert!(capacity.is_none_or(|capacity| journal.committer().bytes() <= capacity));
        sizes
    };
    assert_eq!(sizes(None, Options::default())[..6], [1024, 1024, 4096, 4096, 16384, 16384]);
    let small = sizes(Some(64 << 20), Options::default());
    assert_eq!(small[..6], [1024, 1024, 4096, 4096, 8192, 8192]);
    let bounded = Options { journal_bytes_max: 4 << 20, ..Options::default() };
    assert_eq!(sizes(None, bounded)[..4], [512; 4]);
    let tiny = Options { journal_bytes_max: 1 << 20, ..Options::default() };
    assert_eq!(sizes(None, tiny), [256; 3]);
}

#[test]
fn positions_that_are_not_written_yet_and_that_no_frame_begins_at() {
    let mut journal = Journal::open(&SimulatedDisk::new(1));
    let place = journal.append(b"one");
    let mut text = Vec::new();
    let early = journal.opened.reader.read(place, &mut text);
    assert!(matches!(early, Err(ReadError::NotWritten)), "{early:?}");
    journal.committer().commit(true).expect("it is written");
    assert_eq!(journal.read(place), b"one");
    let wrong = journal.opened.reader.read(Position::new(place.get() + 3), &mut text);
    assert!(matches!(wrong, Err(ReadError::Damaged { offset: 4099, .. })), "{wrong:?}");
}

#[test]
fn a_journal_that_was_closed_has_nothing_to_cut_and_no_frame_of_its_own() {
    let disk = SimulatedDisk::new(1);
    let mut journal = Journal::open(&disk);
    journal.say(b"one");
    journal.append(b"two");
    journal.opened.committer.close().expect("it is written");
    let again = Journal::open(&disk.power_cut(5));
    assert_eq!(again.bodies(), [b"one", b"two"]);
    assert_eq!(again.report().torn, None);
    assert_eq!(
        noctule_store::verify(disk.kill(), &mut |_, _| Ok(()), &mut |_, _| {}).expect("it is read").frames,
        2
    );
}

#[test]
fn a_file_that_has_become_a_segment_is_touched_no_more() {
    let disk = SimulatedDisk::new(1);
    let mut journal = Journal::open(&disk);
    journal.say(b"one");
    let late = journal.committer().spare_to_touch().expect("it works").expect("nothing is touched yet");
    let segments = journal.committer().segments().len();
    for number in 2..6 {
        journal.say(&body(number, 3000));
    }
    assert!(journal.committer().segments().len() > segments, "the file was needed");
    let calls = disk.calls();
    assert!(!late.step(), "there is nothing left to do");
    assert_eq!(disk.calls(), calls);
    assert_eq!(Journal::open(&disk.kill()).bodies().len(), 5);
}

#[test]
fn spare_files_are_made_ahead_of_need_and_only_for_a_journal_that_is_used() {
    let disk = SimulatedDisk::new(1);
    let mut journal = Journal::open(&disk);
    let fresh = disk.names();
    while journal.committer().prepare_spare().expect("it works") == Prepared::More {}
    assert_eq!(disk.names(), fresh);
    journal.say(b"one");
    while journal.committer().prepare_spare().expect("it works") == Prepared::More {}
    assert_eq!(disk.names().len(), 3);
    let calls = disk.calls();
    assert_eq!(journal.committer().prepare_spare().expect("it works"), Prepared::Done);
    assert_eq!(disk.calls(), calls, "nothing is prepared twice");
    // Nor after a restart: the files say what has been done to them.
    let disk = disk.kill();
    let mut journal = Journal::open(&disk);
    let calls = disk.calls();
    assert_eq!(journal.committer().prepare_spare().expect("it works"), Prepared::Done);
    assert_eq!(disk.calls(), calls, "nothing is prepared twice");
    disk.fail_when(|call| (call.operation == Operation::Create).then_some(Fault::Fails(ErrorKind::Other)));
    journal.say(&body(2, 3000));
    journal.append(&body(3, 3000));
    journal.committer().commit(true).expect("the next file is there");
    assert_eq!(journal.committer().segments().len(), 2);
    assert_eq!(Journal::open(&disk.kill()).frames.len(), 3);
}
