//! Measures what a commit costs on a real directory.
//!
//! ```sh
//! cargo run --release -p noctule-store --example commit -- DIRECTORY [--seconds N]
//! ```
//!
//! Each line is one run in a journal of its own: batches of so many frames, one write and one sync for each batch,
//! as fast as they go. Segments come from the file system as it gives them (`preallocated`: allocated, never
//! written), or have been written before (`recycled`). Last comes how long it takes to open a journal of 1 GiB.

use noctule_store::{Directory, Opened, Options, Position, Prepared};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

type Failure = Box<dyn std::error::Error>;

const BATCHES: [usize; 4] = [1, 16, 128, 1024];
const BODY_BYTES: [usize; 2] = [100, 4096];
/// Released behind this, so that the journal turns in place.
const KEPT_BYTES: u64 = 64 << 20;
const RECOVERED_BYTES: u64 = 1 << 30;
/// All segments have one size, so that only their blocks differ.
const OPTIONS: Options = Options {
    segment_bytes: 32 << 20,
    first_segment_bytes: 32 << 20,
    journal_bytes_max: 0,
    indexed_bytes_min: 0,
    index_share: 8,
};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Blocks {
    Preallocated,
    Recycled,
}

fn main() -> Result<(), Failure> {
    let (path, time) = arguments()?;
    let mut out = std::io::stdout().lock();
    writeln!(out, "blocks        frames   body  commits/s  frames/s    MB/s   p50 µs   p99 µs")?;
    for body_bytes in BODY_BYTES {
        for frames in BATCHES {
            for blocks in [Blocks::Preallocated, Blocks::Recycled] {
                let times = run(&path, time, frames, body_bytes, blocks)?;
                writeln!(out, "{}", line(blocks, frames, body_bytes, times))?;
            }
        }
        let (bytes, elapsed) = recover(&path, body_bytes)?;
        let rate = bytes as f64 / 1e6 / elapsed.as_secs_f64();
        writeln!(out, "opened again with {:.0} MB: {elapsed:.2?}, {rate:.0} MB/s", bytes as f64 / 1e6)?;
    }
    Ok(())
}

fn arguments() -> Result<(PathBuf, Duration), Failure> {
    let mut arguments = std::env::args().skip(1);
    let path = arguments.next().ok_or("which directory?")?;
    let seconds = match (arguments.next().as_deref(), arguments.next()) {
        (None, _) => 3,
        (Some("--seconds"), Some(seconds)) => seconds.parse()?,
        _ => return Err("DIRECTORY [--seconds N]".into()),
    };
    Ok((path.into(), Duration::from_secs(seconds)))
}

/// How long each commit took.
fn run(
    path: &Path,
    time: Duration,
    frames: usize,
    body_bytes: usize,
    blocks: Blocks,
) -> Result<Vec<Duration>, Failure> {
    let path = path.join("noctule-commit");
    std::fs::remove_dir_all(&path).ok();
    let directory = Directory::open(&path)?;
    let mut journal = noctule_store::open(directory, OPTIONS, false, &mut |_, _| Ok(()), &mut |_, _| {})?;
    let body = vec![0x5a; body_bytes];
    if blocks == Blocks::Recycled {
        warm_up(&mut journal)?;
    }
    let mut times = Vec::new();
    let begin = Instant::now();
    let mut places = Vec::new();
    while begin.elapsed() < time {
        places.clear();
        journal.appender.append(std::iter::repeat_n(body.as_slice(), frames), &mut places);
        let start = Instant::now();
        journal.committer.commit(true)?;
        times.push(start.elapsed());
        if blocks == Blocks::Recycled {
            turn(&mut journal)?;
        }
    }
    drop(journal);
    std::fs::remove_dir_all(&path)?;
    Ok(times)
}

/// How long it takes to open a journal of so many bytes that the kernel still has in memory.
fn recover(path: &Path, body_bytes: usize) -> Result<(u64, Duration), Failure> {
    let path = path.join("noctule-commit");
    let open = || {
        noctule_store::open(Directory::open(&path)?, OPTIONS, false, &mut |_, _| Ok(()), &mut |_, _| {})
            .map_err(Failure::from)
    };
    let mut journal = open()?;
    let body = vec![0x5a; body_bytes];
    while journal.appender.durable().get() < RECOVERED_BYTES {
        journal.appender.append(std::iter::repeat_n(body.as_slice(), 256), &mut Vec::new());
        journal.committer.commit(true)?;
    }
    drop(journal);
    let begin = Instant::now();
    let bytes = open()?.report.bytes;
    let elapsed = begin.elapsed();
    std::fs::remove_dir_all(&path)?;
    Ok((bytes, elapsed))
}

/// Writes the blocks of the first segments once.
fn warm_up(journal: &mut Opened<Directory>) -> Result<(), Failure> {
    let body = vec![0; 1 << 20];
    while journal.appender.durable().get() < 2 * KEPT_BYTES {
        journal.appender.append([body.as_slice()], &mut Vec::new());
        journal.committer.commit(true)?;
        while journal.committer.prepare_spare()? == Prepared::More {}
        turn(journal)?;
    }
    Ok(())
}

fn turn(journal: &mut Opened<Directory>) -> Result<(), Failure> {
    let behind = journal.appender.durable().get().saturating_sub(KEPT_BYTES);
    journal.committer.release(Position::new(behind))?;
    Ok(())
}

fn line(blocks: Blocks, frames: usize, body_bytes: usize, mut times: Vec<Duration>) -> String {
    times.sort_unstable();
    let all: Duration = times.iter().sum();
    let commits = times.len() as f64 / all.as_secs_f64();
    let at = |part: f64| times[((times.len() - 1) as f64 * part) as usize].as_secs_f64() * 1e6;
    let frames_each_second = commits * frames as f64;
    let megabytes = frames_each_second * (body_bytes + 24) as f64 / 1e6;
    let blocks = format!("{blocks:?}").to_lowercase();
    format!(
        "{blocks:<13} {frames:>6} {body_bytes:>6} {commits:>10.0} {frames_each_second:>9.0} {megabytes:>7.1} \
         {:>8.0} {:>8.0}",
        at(0.50),
        at(0.99)
    )
}
