//! A copy of a data directory, with which a broker can start.

use super::{OnProgress, UpkeepError, Visit, journal_of};
use crate::data_dir::LOCK;
use noctule_store::{Directory, backup_from_outside};
use serde::Serialize;
use std::ffi::OsString;
use std::fs::{self, DirBuilder, File};
use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

/// What was copied.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Copied {
    /// The data directory.
    pub data_dir: PathBuf,
    /// A broker used it meanwhile.
    pub is_running: bool,
    /// The copy, which is a data directory as well.
    pub destination: PathBuf,
    /// Segments in it.
    pub segments: usize,
    /// Groups of records that were written together.
    pub frames: u64,
    /// Bytes of records.
    pub record_bytes: u64,
}

/// Copies a data directory as it is at this moment to a place that is not there yet. The copy is complete and has
/// been read back once the destination has its name.
///
/// # Errors
/// See [`UpkeepError`]. Nothing is left behind then, unless the process is killed.
pub fn backup(
    data_dir: &Path,
    destination: &Path,
    on_progress: &mut OnProgress<'_>,
) -> Result<Copied, UpkeepError> {
    let visit = Visit::begin(data_dir)?;
    let parts = make_room(destination)?;
    let copied = copy(&visit, &parts, on_progress).and_then(|report| {
        let failed = unwritable(destination);
        fs::rename(&parts, destination).map_err(&failed)?;
        sync_names(parent(destination)).map_err(&failed)?;
        Ok(report)
    });
    if copied.is_err() {
        // The first error is the one to tell of.
        let _ = fs::remove_dir_all(&parts);
    }
    let report = copied?;
    Ok(Copied {
        data_dir: visit.data_dir,
        is_running: visit.is_running,
        destination: destination.to_owned(),
        segments: report.files.len(),
        frames: report.frames,
        record_bytes: report.bytes,
    })
}

/// Makes the directory in which the copy grows, for its owner alone.
fn make_room(destination: &Path) -> Result<PathBuf, UpkeepError> {
    if fs::symlink_metadata(destination).is_ok() {
        return Err(UpkeepError::Taken { path: destination.to_owned() });
    }
    let mut parts = OsString::from(destination);
    parts.push(".incomplete");
    let parts = PathBuf::from(parts);
    match DirBuilder::new().mode(0o700).create(&parts) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            Err(UpkeepError::Leftover { path: parts })
        }
        made => made.map_err(unwritable(&parts)).map(|()| parts),
    }
}

fn copy(
    visit: &Visit,
    parts: &Path,
    on_progress: &mut OnProgress<'_>,
) -> Result<noctule_store::Report, UpkeepError> {
    let failed = unwritable(parts);
    // It says how long connections have been lost when a broker starts with the copy.
    match fs::copy(visit.data_dir.join(LOCK), parts.join(LOCK)) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed(error)),
        _ => {}
    }
    let journal = Directory::open(&journal_of(parts)).map_err(&failed)?;
    let report = backup_from_outside(visit.journal()?, journal, on_progress)?;
    sync_names(parts).map_err(&failed)?;
    Ok(report)
}

fn unwritable(path: &Path) -> impl Fn(io::Error) -> UpkeepError {
    let path = path.to_owned();
    move |source| UpkeepError::Unwritable { path: path.clone(), source }
}

fn sync_names(directory: &Path) -> io::Result<()> {
    File::open(directory)?.sync_all()
}

fn parent(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}
