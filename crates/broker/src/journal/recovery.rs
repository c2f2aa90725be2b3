//! Opening the journal: what it remembers, and the handles with which it goes on.

use crate::Error;
use crate::upkeep::journal_of;
use noctule_engine::{Remembered, Replay};
use noctule_session::Position;
use noctule_store::{Directory, Opened, Options};
use std::path::Path;
use std::time::{Duration, Instant};
use tracing::{info, warn};

/// A journal that was read.
pub(crate) struct Recovered {
    /// What it remembers.
    pub(crate) remembered: Remembered,
    /// The handles with which it goes on.
    pub(crate) opened: Opened<Directory>,
}

/// Reads the journal of a data directory, or begins one.
pub(crate) fn open(data_dir: &Path, options: Options, pass_damage: bool) -> Result<Recovered, Error> {
    let path = journal_of(data_dir);
    let directory = Directory::open(&path).map_err(|source| Error::DataDir { path: path.clone(), source })?;
    let mut replay = Replay::default();
    let mut progress = Progress::new(Instant::now());
    let mut on_frame = |position: noctule_store::Position, body: &[u8]| {
        replay.apply_frame(Position(position.get()), body).map_err(|cause| cause.to_string())
    };
    let opened = noctule_store::open(directory, options, pass_damage, &mut on_frame, &mut |done, all| {
        if progress.is_due(Instant::now()) {
            let percent = (done * 100).checked_div(all).unwrap_or(100);
            info!(percent, megabytes = all >> 20, "reading the journal");
        }
    });
    let opened = opened.map_err(|source| Error::Journal { source })?;
    let report = &opened.report;
    if let Some(torn) = &report.torn {
        info!(
            file = torn.file,
            offset = torn.offset,
            bytes = torn.bytes,
            "the end of the journal was cut: a crash interrupted it"
        );
    }
    for damage in &report.damage {
        warn!(%damage, "the journal is damaged, and it was said to go on without that");
    }
    let remembered = replay.finish();
    info!(
        sessions = remembered.sessions.len(),
        retained = remembered.retained.len(),
        frames = report.frames,
        bytes = report.bytes,
        "the journal was read"
    );
    Ok(Recovered { remembered, opened })
}

/// Says how far the reading has come, once it takes longer than a moment.
struct Progress {
    due: Instant,
}

impl Progress {
    fn new(now: Instant) -> Self {
        Self { due: now + PROGRESS }
    }

    fn is_due(&mut self, now: Instant) -> bool {
        let is_due = now >= self.due;
        if is_due {
            self.due = now + PROGRESS;
        }
        is_due
    }
}

/// Progress is shown so often.
const PROGRESS: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn progress_is_told_after_a_second_and_then_once_a_second() {
        let start = Instant::now();
        let mut progress = Progress::new(start);
        let times = [0, 999, 1000, 1001, 1999, 2000, 5000];
        let told = times.map(|millis| progress.is_due(start + Duration::from_millis(millis)));
        assert_eq!(told, [false, false, true, false, false, true, true]);
    }
}
