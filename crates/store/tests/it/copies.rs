//! Backups, of a running journal and of one that nobody uses.

use crate::support::{Journal, SMALL, body};
use noctule_store::simulated::{Fault, Operation, SimulatedDisk};
use noctule_store::{BackupError, OpenError, Position, backup, backup_from_outside};

fn running(frames: u64) -> (SimulatedDisk, Journal) {
    let disk = SimulatedDisk::new(1);
    let mut journal = Journal::open(&disk);
    for number in 0..frames {
        journal.say(&body(number, 500));
    }
    (disk, journal)
}

#[test]
fn a_backup_of_a_running_journal_holds_what_was_durable() {
    let (_, mut journal) = running(30);
    journal.append(b"written and not durable");
    journal.committer().commit(false).expect("it is written");
    let copy = SimulatedDisk::new(2);
    let mut progress = Vec::new();
    let report = backup(&journal.opened.reader, copy.clone(), &mut |done, all| progress.push((done, all)))
        .expect("it is copied");
    assert_eq!((report.frames, report.torn, report.damage.len()), (30, None, 0));
    let (done, all) = progress.last().expect("it is told");
    assert!(done == all && *all > 30 * 524, "{done} of {all}");
    journal.say(b"after the backup");

    let mut restored = Journal::open(&copy.power_cut(1));
    let expected: Vec<_> = (0..30).map(|number| body(number, 500)).collect();
    assert_eq!(restored.bodies(), expected);
    restored.say(b"goes on");
    assert_eq!(Journal::open(&copy.kill()).frames.len(), 31);
}

#[test]
fn a_backup_of_a_journal_without_frames_can_be_opened() {
    let (_, journal) = running(0);
    let copy = SimulatedDisk::new(2);
    backup(&journal.opened.reader, copy.clone(), &mut |_, _| {}).expect("it is copied");
    Journal::open(&copy).say(b"first");
}

#[test]
fn nothing_is_freed_while_a_backup_copies() {
    let (_, mut journal) = running(30);
    let reader = journal.opened.reader.clone();
    let end = journal.opened.appender.end();
    let mut freed = Vec::new();
    let copy = SimulatedDisk::new(2);
    let report = backup(&reader, copy, &mut |_, _| {
        freed.push(journal.opened.committer.release(end).expect("nothing fails").segments);
    });
    assert_eq!(report.expect("it is copied").frames, 30);
    assert!(freed.len() > 1 && freed.iter().all(|freed| *freed == 0), "{freed:?}");
    assert!(journal.committer().release(end).expect("it is freed").segments > 1);
}

#[test]
fn frames_that_moved_after_a_failed_sync_are_copied_once() {
    let (disk, mut journal) = running(3);
    let failing = disk.calls();
    disk.fail_when(move |call| {
        (call.operation == Operation::SyncData && call.number < failing + 3).then_some(Fault::SyncForgets)
    });
    journal.say(b"moved");
    let copy = SimulatedDisk::new(2);
    backup(&journal.opened.reader, copy.clone(), &mut |_, _| {}).expect("it is copied");
    assert_eq!(Journal::open(&copy).bodies()[3], b"moved");
}

#[test]
fn a_journal_nobody_uses_is_copied_whole_or_not_at_all() {
    let (disk, journal) = running(30);
    drop(journal);
    let disk = disk.kill();
    let copy = SimulatedDisk::new(2);
    let report = backup_from_outside(disk.copy(), copy.clone(), &mut |_, _| {}).expect("it is copied");
    assert_eq!((report.frames, Journal::open(&copy).frames.len()), (30, 30));

    let again = backup_from_outside(disk.copy(), copy, &mut |_, _| {});
    assert!(matches!(again, Err(BackupError::NotEmpty { .. })), "{again:?}");

    let name = "0000000000000001.seg";
    let mut content = disk.content(name).expect("it is there");
    content[4200] ^= 4;
    disk.set_content(name, content);
    let damaged = backup_from_outside(disk, SimulatedDisk::new(2), &mut |_, _| {});
    assert!(matches!(damaged, Err(BackupError::Open(OpenError::Damaged(_)))), "{damaged:?}");
}

#[test]
fn a_copy_that_cannot_be_read_back_is_no_backup() {
    let (_, journal) = running(30);
    let mut segments = journal.opened.committer.segments();
    // Nothing behind the last segment's frames says that they were durable.
    for bad in [segments.remove(0).number, segments.remove(segments.len() - 1).number] {
        let copy = SimulatedDisk::new(2);
        copy.fail_when(move |call| {
            let is_frames = matches!(call.operation, Operation::Read { offset: 4096, .. });
            let is_bad = is_frames && call.file == format!("{bad:016x}.seg");
            is_bad.then_some(Fault::FlipsBit { bit: 200 })
        });
        let outcome = backup(&journal.opened.reader, copy, &mut |_, _| {});
        assert!(matches!(outcome, Err(BackupError::Damaged(_))), "{bad}: {outcome:?}");
    }
    let small = SimulatedDisk::new(2);
    small.set_capacity(Some(9000));
    let outcome = backup(&journal.opened.reader, small, &mut |_, _| {});
    assert!(matches!(outcome, Err(BackupError::Open(OpenError::Io { .. }))), "{outcome:?}");
}

#[test]
fn reading_a_copy_does_not_need_the_spare_files() {
    let (disk, journal) = running(30);
    drop(journal);
    for name in disk.names().iter().filter(|name| name.ends_with(".spare")) {
        disk.lose(name);
    }
    let mut again = Journal::try_open(&disk.kill(), SMALL, false).expect("it opens");
    assert_eq!(again.frames.len(), 30);
    assert_eq!(again.read(Position::FIRST), body(0, 500));
    again.say(&body(31, 5000));
}

/// Has the disk written to while it is read: of one byte the first reader sees what was there before.
fn write_meanwhile(disk: &SimulatedDisk, byte: u64) {
    let mut is_there = false;
    disk.heal();
    disk.fail_when(move |call| {
        let Operation::Read { offset, bytes } = call.operation else { return None };
        let sees = call.file.ends_with(".seg") && (offset..offset + bytes as u64).contains(&byte);
        let is_first = sees && !is_there;
        is_there |= sees;
        is_first.then(|| Fault::FlipsBit { bit: (byte - offset) as usize * 8 })
    });
}

#[test]
fn a_frame_that_is_written_while_it_is_looked_at_is_not_damaged() {
    let (disk, _journal) = running(3);
    // Within the checksum of the first frame, of which the two behind it say that it had been durable.
    let byte = 4096 + 5;
    write_meanwhile(&disk, byte);
    let verified = noctule_store::verify(disk.clone(), &mut |_, _| Ok(()), &mut |_, _| {});
    let report = verified.expect("it is read");
    assert_eq!((report.frames, &report.damage[..]), (3, &[][..]));
    let copy = SimulatedDisk::new(2);
    write_meanwhile(&disk, byte);
    backup_from_outside(disk, copy.clone(), &mut |_, _| {}).expect("it is copied");
    assert_eq!(Journal::open(&copy).frames.len(), 3);
}
