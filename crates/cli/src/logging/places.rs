//! Writing log lines to several places.
//!
//! A file is opened anew after SIGHUP, so that who rotates logs can move it away and tell the broker.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use noctule_broker::config::LogPlace;
use signal_hook::consts::SIGHUP;

use crate::failure::Failure;

/// All places for log lines. A place that fails takes no line from the others.
pub(super) struct Places {
    list: Vec<Place>,
    /// SIGHUP has come.
    is_to_reopen: Arc<AtomicBool>,
}

enum Place {
    Stderr,
    Stdout,
    File { path: PathBuf, file: File },
}

impl Places {
    pub(super) fn open(places: &[LogPlace]) -> Result<Self, Failure> {
        let list = places.iter().map(Place::open).collect::<Result<Vec<_>, _>>()?;
        let is_to_reopen = Arc::new(AtomicBool::new(false));
        if list.iter().any(|place| matches!(place, Place::File { .. })) {
            signal_hook::flag::register(SIGHUP, Arc::clone(&is_to_reopen))?;
        }
        Ok(Self { list, is_to_reopen })
    }
}

impl Write for Places {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        if self.is_to_reopen.swap(false, Ordering::Relaxed) {
            self.list.iter_mut().for_each(Place::reopen);
        }
        for place in &mut self.list {
            // There is nobody to tell but these places themselves.
            let _ = place.write_all(line);
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Place {
    fn open(place: &LogPlace) -> Result<Self, Failure> {
        Ok(match place {
            LogPlace::Stderr => Self::Stderr,
            LogPlace::Stdout => Self::Stdout,
            LogPlace::File(path) => {
                let failed = |source| Failure::LogFile { path: path.clone(), source };
                Self::File { path: path.clone(), file: open_file(path).map_err(failed)? }
            }
        })
    }

    /// A file that cannot be opened anew is written to where it is.
    fn reopen(&mut self) {
        if let Self::File { path, file } = self
            && let Ok(anew) = open_file(path)
        {
            *file = anew;
        }
    }

    fn write_all(&mut self, line: &[u8]) -> io::Result<()> {
        match self {
            Self::Stderr => io::stderr().write_all(line),
            Self::Stdout => io::stdout().write_all(line),
            Self::File { file, .. } => file.write_all(line),
        }
    }
}

fn open_file(path: &Path) -> io::Result<File> {
    OpenOptions::new().append(true).create(true).mode(FILE_MODE).open(path)
}

/// Names of clients and topics are not for everybody.
const FILE_MODE: u32 = 0o640;
