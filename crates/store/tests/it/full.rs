//! A full disk stops publications, not the journal, and room that comes back is used without a restart.

use crate::ledger::Ledger;
use crate::support::{Journal, SMALL, body};
use noctule_store::simulated::SimulatedDisk;
use noctule_store::{CommitError, Options, State};

const ACKNOWLEDGEMENT_BYTES: usize = 40;

/// Publishes until the journal says that it is full, and checks that nothing failed.
fn fill(journal: &mut Journal, ledger: &mut Ledger) {
    for number in 0..10_000 {
        if journal.opened.appender.state() != State::Open {
            assert_eq!(journal.opened.appender.state(), State::Full);
            return;
        }
        ledger.append(journal, &body(number, 700));
        assert!(ledger.commit(journal, true));
    }
    panic!("it never got full");
}

/// Acknowledges until the reserve is used up; says how many bytes it took.
fn use_the_reserve(journal: &mut Journal, ledger: &mut Ledger) -> usize {
    for number in 0..10_000 {
        ledger.append(journal, &body(number, ACKNOWLEDGEMENT_BYTES));
        if !ledger.commit(journal, true) {
            return number as usize * ACKNOWLEDGEMENT_BYTES;
        }
        assert_eq!(journal.opened.appender.state(), State::Full);
    }
    panic!("the reserve has no end");
}

fn journals() -> [(SimulatedDisk, Options); 2] {
    let small_disk = SimulatedDisk::new(1);
    small_disk.set_capacity(Some(10 * 8192));
    let bounded = Options { journal_bytes_max: 10 * 8192, ..SMALL };
    [(small_disk, SMALL), (SimulatedDisk::new(1), bounded)]
}

#[test]
fn a_full_journal_keeps_a_reserve_and_goes_on_when_segments_are_released() {
    for (disk, options) in journals() {
        let mut ledger = Ledger::default();
        let mut journal = Journal::try_open(&disk, options, false).expect("it opens");
        for _ in 0..5 {
            fill(&mut journal, &mut ledger);
            assert!(journal.committer().bytes() <= 10 * 8192);
            let reserve = use_the_reserve(&mut journal, &mut ledger);
            assert!(reserve > 4096, "{reserve} bytes are little for making room");
            let failed = journal.committer().commit(true);
            assert!(matches!(failed, Err(CommitError::Full { .. })), "{failed:?}");

            let most = ledger.appended.len() - 5;
            ledger.release(&mut journal, most);
            assert!(ledger.commit(&mut journal, true));
            assert_eq!(journal.opened.appender.state(), State::Open);
            ledger.read_back(&mut journal, "after room was made");
        }
        ledger.reopen(&disk.power_cut(1), options, "after being full");
    }
}

#[test]
fn a_full_journal_goes_on_when_the_disk_has_room_again() {
    let by_commit = |journal: &mut Journal| drop(journal.committer().commit(true));
    let by_preparing = |journal: &mut Journal| drop(journal.committer().prepare_spare());
    for tries_by in [by_commit as fn(&mut Journal), by_preparing] {
        let (disk, options) = journals()[0].clone();
        let mut ledger = Ledger::default();
        let mut journal = Journal::try_open(&disk, options, false).expect("it opens");
        fill(&mut journal, &mut ledger);
        tries_by(&mut journal);
        assert_eq!(journal.opened.appender.state(), State::Full);
        disk.set_capacity(None);
        tries_by(&mut journal);
        assert_eq!(journal.opened.appender.state(), State::Open);
    }
}

#[test]
fn a_commit_that_found_no_room_is_made_again_when_there_is_some() {
    let (disk, options) = journals()[0].clone();
    let mut ledger = Ledger::default();
    let mut journal = Journal::try_open(&disk, options, false).expect("it opens");
    fill(&mut journal, &mut ledger);
    use_the_reserve(&mut journal, &mut ledger);
    let kept = journal.opened.appender.pending_bytes();
    assert!(kept > 0);
    disk.set_capacity(None);
    journal.committer().prepare_spare().expect("it looks for room");
    assert_eq!(journal.opened.appender.state(), State::Full, "until everything is written");
    assert!(ledger.commit(&mut journal, true));
    assert_eq!(journal.opened.appender.state(), State::Open);
    assert_eq!(journal.opened.appender.pending_bytes(), 0);
    ledger.reopen(&disk.power_cut(1), options, "after being full");
}

#[test]
fn a_journal_opens_on_a_disk_without_any_room() {
    for (disk, options) in journals() {
        let mut ledger = Ledger::default();
        let mut journal = Journal::try_open(&disk, options, false).expect("it opens");
        fill(&mut journal, &mut ledger);
        use_the_reserve(&mut journal, &mut ledger);
        let disk = disk.power_cut(2);
        let mut journal = ledger.reopen(&disk, options, "on a full disk");
        assert_eq!(journal.opened.appender.state(), State::Full);
        let last = journal.opened.appender.end();
        journal.committer().release(last).expect("it is freed");
        assert_eq!(journal.opened.appender.state(), State::Open);
        journal.say(b"goes on");
    }
}

#[test]
fn it_begins_and_works_in_64_mib() {
    let disk = SimulatedDisk::new(1);
    disk.set_capacity(Some(64 << 20));
    let mut journal = Journal::try_open(&disk, Options::default(), false).expect("it opens");
    for number in 0..200 {
        let last = journal.say(&body(number, 500_000));
        journal.committer().prepare_spare().expect("there is room");
        assert_eq!(journal.opened.appender.state(), State::Open);
        journal.committer().release(last).expect("it is freed");
    }
    assert!(journal.committer().bytes() <= 32 << 20, "{}", journal.committer().bytes());
}

#[test]
fn a_new_journal_needs_room_for_a_segment_and_the_reserve() {
    let disk = SimulatedDisk::new(1);
    disk.set_capacity(Some(8192));
    let mut journal = Journal::open(&disk);
    assert_eq!(journal.opened.appender.state(), State::Full);
    journal.say(b"only what has to be");
    let disk = SimulatedDisk::new(1);
    disk.set_capacity(Some(8191));
    let error = Journal::try_open(&disk, SMALL, false).err().expect("there is no room at all");
    assert!(error.to_string().contains("cannot create"), "{error}");
}

#[test]
fn what_is_due_keeps_its_room() {
    let options = Options { journal_bytes_max: 64 * 8192, ..SMALL };
    let mut journal = Journal::try_open(&SimulatedDisk::new(1), options, false).expect("it opens");
    // Less room would do for Open than there has to be to get there again from Full.
    let stories = [
        (40, State::Open),
        (61, State::Open),
        (62, State::Full),
        (61, State::Full),
        (60, State::Open),
        (100, State::Full),
        (0, State::Open),
    ];
    for (segments, state) in stories {
        journal.committer().set_dues(segments * 8192);
        journal.committer().commit(true).expect("there is nothing to write");
        assert_eq!(journal.opened.appender.state(), state, "{segments} segments are due");
    }
}
