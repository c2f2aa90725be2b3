//! The same on a real directory.

use crate::support::body;
use noctule_store::{Committed, Directory, Disk, DiskFile, Opened, Options, Position, Prepared};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

/// A directory that is gone with the test; the journal's own is made in it.
struct Folder(TempDir);

impl Folder {
    fn new() -> Self {
        Self(tempfile::tempdir().expect("a writable folder"))
    }

    fn path(&self) -> PathBuf {
        self.0.path().join("journal")
    }

    fn directory(&self) -> Directory {
        Directory::open(&self.path()).expect("it can be made")
    }
}

const OPTIONS: Options = Options {
    segment_bytes: 1 << 20,
    first_segment_bytes: 1 << 18,
    journal_bytes_max: 0,
    indexed_bytes_min: 0,
    index_share: 4,
};

fn open(folder: &Folder) -> (Opened<Directory>, Vec<Vec<u8>>) {
    let mut bodies = Vec::new();
    let mut on_frame = |_: Position, body: &[u8]| {
        bodies.push(body.to_vec());
        Ok(())
    };
    let opened = noctule_store::open(folder.directory(), OPTIONS, false, &mut on_frame, &mut |_, _| {});
    (opened.expect("it opens"), bodies)
}

fn say(opened: &mut Opened<Directory>, body: &[u8]) -> Committed {
    opened.appender.append([body], &mut Vec::new());
    opened.committer.commit(true).expect("it is written")
}

fn mode(path: &Path) -> u32 {
    path.metadata().expect("it is there").permissions().mode() & 0o777
}

#[test]
fn a_journal_in_a_real_directory() {
    let folder = Folder::new();
    let (mut opened, found) = open(&folder);
    assert!(found.is_empty());
    for number in 0..60 {
        say(&mut opened, &body(number, 50_000));
        while opened.committer.prepare_spare().expect("there is room") == Prepared::More {}
    }
    let end = say(&mut opened, b"last").durable;
    assert!(
        opened.committer.release(Position::new(end.get() - 1_000_000)).expect("it is freed").segments > 0
    );
    assert!(opened.committer.segments().len() > 1);
    let names = folder.directory().list().expect("it can be read");
    assert!(names.iter().all(|name| mode(&folder.path().join(name)) == 0o600), "{names:?}");
    assert_eq!(mode(&folder.path()), 0o700);
    // The room is there before it is written.
    let blocks =
        |path: PathBuf| std::os::unix::fs::MetadataExt::blocks(&path.metadata().expect("it is there"));
    let allocated: u64 = names.iter().map(|name| blocks(folder.path().join(name)) * 512).sum();
    assert!(allocated >= opened.committer.bytes(), "{allocated}");
    drop(opened);

    let (opened, found) = open(&folder);
    assert_eq!(found.last().map(Vec::as_slice), Some(&b"last"[..]));
    assert!(found.len() > 18, "{}", found.len());
    assert_eq!(opened.appender.end(), end);
    opened.committer.close().expect("it is written");
    let report = noctule_store::verify(folder.directory(), &mut |_, _| Ok(()), &mut |_, _| {})
        .expect("it can be read");
    assert_eq!((report.frames, report.torn), (found.len() as u64, None));
}

#[test]
fn files_are_new_or_are_not_made() {
    let folder = Folder::new();
    let directory = folder.directory();
    let file = directory.create("one", 10_000).expect("it is new");
    assert_eq!(file.bytes().expect("it is there"), 10_000);
    let again = directory.create("one", 10).expect_err("it is there");
    assert_eq!(again.kind(), std::io::ErrorKind::AlreadyExists);
    let endless = directory.create("two", 1 << 60).expect_err("no disk has that");
    assert!(!folder.path().join("two").exists(), "{endless}");
    let mut buffer = [1; 20];
    assert_eq!(file.read_at(&mut buffer, 9_990).expect("it can be read"), 10);
    assert_eq!(buffer[..10], [0; 10]);
    assert_ne!(directory.identity().expect("random"), directory.identity().expect("random"));
    assert!(directory.free_bytes().expect("it is known") > 0);
    assert_eq!(directory.path("one"), folder.path().join("one").display().to_string());
}

#[test]
fn a_backup_from_one_directory_into_another() {
    let (folder, copy) = (Folder::new(), Folder::new());
    let (mut opened, _) = open(&folder);
    for number in 0..20 {
        say(&mut opened, &body(number, 50_000));
    }
    let report = noctule_store::backup(&opened.reader, copy.directory(), &mut |_, _| {});
    assert_eq!(report.expect("it is copied").frames, 20);
    assert_eq!(open(&copy).1.len(), 20);
}
