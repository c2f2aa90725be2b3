//! What a reader sees when the ground moves between its look at the table and its read of the file.

use crate::support::{SMALL, body};
use noctule_store::simulated::{Fault, Operation, SimulatedDisk, SimulatedFile};
use noctule_store::{Appender, Committer, Disk, DiskFile, Opened, Position, ReadError};
use std::io;
use std::sync::{Arc, Mutex, PoisonError};

type Meanwhile = Arc<Mutex<Option<Box<dyn FnOnce() + Send>>>>;

/// A disk on which something happens just before the next read.
#[derive(Clone)]
struct Hooked {
    disk: SimulatedDisk,
    meanwhile: Meanwhile,
}

struct HookedFile {
    file: SimulatedFile,
    meanwhile: Meanwhile,
}

impl std::fmt::Debug for Hooked {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.disk.fmt(formatter)
    }
}

impl std::fmt::Debug for HookedFile {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.file.fmt(formatter)
    }
}

impl Hooked {
    fn hook(&self, file: SimulatedFile) -> HookedFile {
        HookedFile { file, meanwhile: self.meanwhile.clone() }
    }
}

impl Disk for Hooked {
    type File = HookedFile;

    fn list(&self) -> io::Result<Vec<String>> {
        self.disk.list()
    }
    fn create(&self, name: &str, bytes: u64) -> io::Result<HookedFile> {
        Ok(self.hook(self.disk.create(name, bytes)?))
    }
    fn open(&self, name: &str) -> io::Result<HookedFile> {
        Ok(self.hook(self.disk.open(name)?))
    }
    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.disk.rename(from, to)
    }
    fn remove(&self, name: &str) -> io::Result<()> {
        self.disk.remove(name)
    }
    fn sync_directory(&self) -> io::Result<()> {
        self.disk.sync_directory()
    }
    fn free_bytes(&self) -> io::Result<u64> {
        self.disk.free_bytes()
    }
    fn identity(&self) -> io::Result<[u8; 16]> {
        self.disk.identity()
    }
}

impl DiskFile for HookedFile {
    fn bytes(&self) -> io::Result<u64> {
        self.file.bytes()
    }
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let meanwhile = self.meanwhile.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(meanwhile) = meanwhile {
            meanwhile();
        }
        self.file.read_at(buffer, offset)
    }
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.file.write_at(bytes, offset)
    }
    fn sync_data(&self) -> io::Result<()> {
        self.file.sync_data()
    }
}

fn open(disk: &SimulatedDisk) -> (Opened<Hooked>, Meanwhile) {
    let meanwhile = Meanwhile::default();
    let hooked = Hooked { disk: disk.clone(), meanwhile: meanwhile.clone() };
    let opened = noctule_store::open(hooked, SMALL, false, &mut |_, _| Ok(()), &mut |_, _| {});
    (opened.expect("it opens"), meanwhile)
}

fn append(appender: &Appender, body: &[u8]) {
    appender.append([body], &mut Vec::new());
}

/// Commits until every file has been written anew, and frees what is before `before`.
fn turn(committer: &mut Committer<Hooked>, append: impl Fn(&[u8]), before: Position) {
    for number in 0..40 {
        append(&body(number, 900));
        committer.commit(true).expect("it is written");
        committer.release(before).expect("it is freed");
    }
}

#[test]
fn a_frame_whose_file_is_used_again_has_been_released() {
    let (opened, meanwhile) = open(&SimulatedDisk::new(1));
    let (appender, reader, mut committer) = (opened.appender, opened.reader, opened.committer);
    appender.append([&b"soon gone"[..]], &mut Vec::new());
    committer.commit(true).expect("it is written");
    *meanwhile.lock().expect("nobody panicked") = Some(Box::new(move || {
        turn(&mut committer, |body| append(&appender, body), Position::new(u64::MAX));
    }));
    let gone = reader.read(Position::FIRST, &mut Vec::new());
    assert!(matches!(gone, Err(ReadError::Released)), "{gone:?}");
}

#[test]
fn a_frame_that_has_moved_is_read_where_it_is_now() {
    let disk = SimulatedDisk::new(1);
    let (opened, meanwhile) = open(&disk);
    let (appender, reader, mut committer) = (opened.appender, opened.reader, opened.committer);
    appender.append([&b"moves"[..]], &mut Vec::new());
    committer.commit(false).expect("it is written");
    *meanwhile.lock().expect("nobody panicked") = Some(Box::new(move || {
        let mut is_first = true;
        disk.fail_when(move |call| {
            let fails = call.operation == Operation::SyncData && std::mem::take(&mut is_first);
            fails.then_some(Fault::SyncForgets)
        });
        turn(&mut committer, |body| append(&appender, body), Position::FIRST);
    }));
    let mut text = Vec::new();
    reader.read(Position::FIRST, &mut text).expect("it is there");
    assert_eq!(text, b"moves");
}
