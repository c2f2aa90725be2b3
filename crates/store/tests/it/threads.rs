//! Shards append, one thread commits and frees, others read, all at once.

use crate::support::{Journal, SMALL, body};
use noctule_store::simulated::SimulatedDisk;
use noctule_store::{Appender, Position, ReadError, Reader};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

const APPENDERS: u64 = 3;
const FRAMES: u64 = 400;

type Appended = Mutex<BTreeMap<Position, Vec<u8>>>;

fn append_all(appender: &Appender, shard: u64, appended: &Appended) {
    for turn in 0..FRAMES / 2 {
        let bodies =
            [0, 1].map(|half| body((shard << 32) + turn * 2 + half, 20 + (turn as usize * 37) % 700));
        let mut places = Vec::new();
        let end = appender.append(bodies.iter().map(Vec::as_slice), &mut places);
        let mut appended = appended.lock().unwrap_or_else(PoisonError::into_inner);
        appended.extend(places.into_iter().zip(bodies));
        drop(appended);
        // A shard stops while too much waits for the disk.
        while appender.pending_bytes() > 20_000 && appender.durable() < end {
            std::thread::yield_now();
        }
    }
}

/// Reads frames until told to stop and says how many it has read.
fn read_some(
    reader: &Reader<SimulatedDisk>,
    appender: &Appender,
    appended: &Appended,
    is_over: &AtomicBool,
) -> usize {
    let (mut read, mut text) = (0, Vec::new());
    while !is_over.load(Ordering::Acquire) {
        let durable = appender.durable();
        let sample: Vec<_> = {
            let appended = appended.lock().unwrap_or_else(PoisonError::into_inner);
            appended
                .range(..durable)
                .rev()
                .step_by(7)
                .take(20)
                .map(|(at, body)| (*at, body.clone()))
                .collect()
        };
        for (place, body) in sample {
            match reader.read(place, &mut text) {
                Ok(()) => assert_eq!(text, body),
                Err(ReadError::Released) => {}
                Err(error) => panic!("{place}: {error}"),
            }
            read += 1;
        }
    }
    read
}

#[test]
fn appending_committing_freeing_and_reading_at_once() {
    let disk = SimulatedDisk::new(1);
    let mut journal = Journal::open(&disk);
    let (appender, reader) = (journal.opened.appender.clone(), journal.opened.reader.clone());
    let (appended, is_over) = (Appended::default(), AtomicBool::new(false));
    std::thread::scope(|threads| {
        let (appended, is_over) = (&appended, &is_over);
        let readers: Vec<_> = (0..2)
            .map(|_| {
                let (reader, appender) = (reader.clone(), appender.clone());
                threads.spawn(move || read_some(&reader, &appender, appended, is_over))
            })
            .collect();
        let shards: Vec<_> = (0..APPENDERS)
            .map(|shard| {
                let appender = appender.clone();
                threads.spawn(move || append_all(&appender, shard, appended))
            })
            .collect();
        let mut round = 0;
        while !shards.iter().all(std::thread::ScopedJoinHandle::is_finished)
            || appender.durable() < appender.end()
        {
            round += 1;
            journal.committer().commit(round % 3 == 0).expect("nothing fails");
            if round % 10 == 0 {
                let before = appender.durable().get().saturating_sub(40_000);
                journal.committer().release(Position::new(before)).expect("nothing fails");
            }
        }
        is_over.store(true, Ordering::Release);
        let read: usize = readers.into_iter().map(|reader| reader.join().expect("it reads")).sum();
        assert!(read > 100, "{read}");
    });
    let again = Journal::try_open(&disk.power_cut(1), SMALL, false).expect("it opens");
    let appended = appended.into_inner().unwrap_or_else(PoisonError::into_inner);
    assert_eq!(appended.len() as u64, APPENDERS * FRAMES);
    let first = Position::new(again.frames[0].0);
    let expected: Vec<_> = appended.range(first..).map(|(at, body)| (at.get(), body.clone())).collect();
    assert_eq!(again.frames, expected);
}
