//! Copies a journal into another directory, from within the process that writes it or from another one.
//!
//! A backup of a running journal is what a crash at that moment would have left: everything durable when it
//! began. While it copies nothing is freed, so the journal may grow; everything else goes on. The copy is read
//! from its first frame to its last before the backup is called good.

use crate::disk::{Disk, DiskFile};
use crate::format::{SEGMENT_HEADER_BYTES, offset_of};
use crate::names::Name;
use crate::reader::Reader;
use crate::recovery::{self, Care, OnProgress};
use crate::report::Report;
use crate::table::Segment;
use crate::trouble::Trouble;
use crate::{Damage, OpenError, Position};
use std::io;
use std::sync::Arc;
use thiserror::Error;

/// Why there is no backup.
#[derive(Debug, Error)]
pub enum BackupError {
    /// The journal cannot be read or is damaged, or a disk failed.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// There is a journal where the backup should go.
    #[error("{directory} holds a journal already; give the backup a directory of its own")]
    NotEmpty {
        /// The directory.
        directory: String,
    },
    /// The copy is not what the journal was.
    #[error("the copy is not whole: {0}. Try again; if it stays so, check both disks")]
    Damaged(Damage),
}

/// How much is copied at once.
const COPY_BYTES: usize = 1 << 20;

/// Copies a running journal, up to where it is durable now, and says what the copy holds.
///
/// The destination should get its final name from the caller only after this: a copy that was interrupted can
/// look like a shorter journal.
///
/// # Errors
///
/// See [`BackupError`]; the journal is as it was, and what is in the destination is worth nothing.
pub fn backup<S: Disk, D: Disk>(
    source: &Reader<S>,
    destination: D,
    on_progress: &mut OnProgress<'_>,
) -> Result<Report, BackupError> {
    let pinned = source.table.pin();
    // After the pin: every segment before this position is among the pinned ones.
    let durable = source.appender.durable();
    copy(&*source.disk, &pinned.segments, durable, destination, on_progress)
}

/// Copies a journal that nobody uses, or that another process writes to which frees no segment meanwhile.
///
/// # Errors
///
/// As [`backup`], and if the journal is damaged.
pub fn backup_from_outside<S: Disk, D: Disk>(
    source: S,
    destination: D,
    on_progress: &mut OnProgress<'_>,
) -> Result<Report, BackupError> {
    let source = Arc::new(source);
    let reading = &mut |done, all| on_progress(done, 3 * all);
    let found = recovery::read(&source, Care::ReadsAll, &mut |_, _| Ok(()), reading)?;
    let copying = &mut |done, all| on_progress(all / 2 + done, all / 2 * 3);
    copy(&*source, &found.segments, found.end, destination, copying)
}

fn copy<S: Disk, D: Disk>(
    source: &S,
    segments: &[Arc<Segment<S::File>>],
    end: Position,
    destination: D,
    on_progress: &mut OnProgress<'_>,
) -> Result<Report, BackupError> {
    refuse_a_journal(&destination)?;
    let bytes_of = |segment: &Segment<S::File>| {
        let end = segment.end().map_or(end, |sealed| sealed.min(end));
        offset_of(end.max(segment.start()), segment.start())
    };
    let bytes_all: u64 = segments.iter().map(|segment| bytes_of(segment)).sum();
    let mut bytes_done = 0;
    for segment in segments {
        let file = create(&destination, segment, bytes_of(segment))?;
        let mut on_bytes = |bytes| {
            bytes_done += bytes;
            on_progress(bytes_done, 2 * bytes_all);
        };
        copy_file(source, segment, &destination, &file, bytes_of(segment), &mut on_bytes)?;
    }
    let names = |error| Trouble::names(destination.path(""), error);
    destination.sync_directory().map_err(|error| OpenError::from(names(error)))?;
    let mut reading = |done, all| on_progress(all + done, 2 * all);
    read_back(destination, end, &mut reading)
}

/// The copy has to hold everything up to `end`. That nothing in it is damaged is not enough: the last frames of a
/// journal may be broken and pass for the rest of an interrupted write.
fn read_back<D: Disk>(
    destination: D,
    end: Position,
    on_progress: &mut OnProgress<'_>,
) -> Result<Report, BackupError> {
    let destination = Arc::new(destination);
    let copy = recovery::read(&destination, Care::PassesDamage, &mut |_, _| Ok(()), on_progress)?;
    if let Some(damage) = copy.report.damage.first() {
        return Err(BackupError::Damaged(damage.clone()));
    }
    if let Some(last) = copy.segments.last().filter(|_| copy.end != end) {
        let offset = offset_of(copy.end, last.start());
        let what = "the copy ends before the journal does".to_owned();
        let bytes = end.get().saturating_sub(copy.end.get());
        return Err(BackupError::Damaged(Damage { file: destination.path(&last.name), offset, bytes, what }));
    }
    Ok(copy.report)
}

fn refuse_a_journal<D: Disk>(destination: &D) -> Result<(), BackupError> {
    let failed = |error| OpenError::from(Trouble::new("list", destination.path(""), error));
    let names = destination.list().map_err(failed)?;
    if names.iter().any(|name| Name::parse(name).is_some()) {
        return Err(BackupError::NotEmpty { directory: destination.path("") });
    }
    Ok(())
}

fn create<F, D: Disk>(destination: &D, segment: &Segment<F>, bytes: u64) -> Result<D::File, OpenError> {
    let failed = |error| Trouble::new("create", destination.path(&segment.name), error);
    Ok(destination.create(&segment.name, bytes.max(SEGMENT_HEADER_BYTES)).map_err(failed)?)
}

fn copy_file<S: Disk, D: Disk>(
    source: &S,
    segment: &Segment<S::File>,
    destination: &D,
    file: &D::File,
    bytes: u64,
    on_bytes: &mut dyn FnMut(u64),
) -> Result<(), OpenError> {
    let unreadable = |error| Trouble::new("read", source.path(&segment.name), error);
    let unwritable = |error| Trouble::new("write to", destination.path(&segment.name), error);
    let mut buffer = vec![0; COPY_BYTES];
    let mut at = 0;
    while at < bytes {
        let part = COPY_BYTES.min((bytes - at) as usize);
        let read = segment.file.read_at(&mut buffer[..part], at).map_err(unreadable)?;
        if read < part {
            return Err(unreadable(io::ErrorKind::UnexpectedEof.into()).into());
        }
        file.write_at(&buffer[..part], at).map_err(unwritable)?;
        at += part as u64;
        on_bytes(part as u64);
    }
    Ok(file.sync_data().map_err(unwritable)?)
}
