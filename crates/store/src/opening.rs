//! Opens a journal, or only looks at it.

use crate::OpenError;
use crate::appender::Appender;
use crate::committer::Committer;
use crate::disk::Disk;
use crate::reader::Reader;
use crate::recovery::{self, Care, OnFrame, OnProgress};
use crate::report::Report;
use crate::space::{Options, Space};
use crate::table::Table;
use crate::trouble::Trouble;
use std::sync::Arc;

/// An open journal.
#[derive(Debug)]
pub struct Opened<D: Disk> {
    /// For everybody who has something to remember.
    pub appender: Arc<Appender>,
    /// For the one thread that writes.
    pub committer: Committer<D>,
    /// For whoever reads single frames back.
    pub reader: Reader<D>,
    /// What was found.
    pub report: Report,
}

/// Opens the journal in this directory, which nobody else may use, or begins a new one.
///
/// Every whole frame goes to `on_frame`, in order, with its position; all of them are durable when this returns. Of a
/// segment that has an index the frames come as they were made [`Brief`](crate::Brief), and are not looked at.
/// The rest of interrupted writes is cut and reported. `on_progress` hears how many bytes of how many are read.
///
/// # Errors
///
/// [`OpenError::Damaged`] if something cannot be read that had been durable, [`OpenError::Frame`] if `on_frame`
/// refuses what was read. With `pass_damage`, the operator's word, every byte is read, what is damaged is left out and
/// reported instead, and reading goes on at the next whole frame; nothing is repaired, so the word is needed again
/// until the segments concerned are released.
pub fn open<D: Disk>(
    disk: D,
    options: Options,
    pass_damage: bool,
    on_frame: &mut OnFrame<'_>,
    on_progress: &mut OnProgress<'_>,
) -> Result<Opened<D>, OpenError> {
    let disk = Arc::new(disk);
    let care = if pass_damage { Care::PassesDamage } else { Care::TrustsIndexes };
    let found = recovery::read(&disk, care, on_frame, on_progress)?;
    found.make_durable()?;
    let new_identity =
        || disk.identity().map_err(|source| Trouble::new("read random bytes for", disk.path(""), source));
    let identity = found.identity.map_or_else(new_identity, Ok)?;
    let space = Space::open(disk.clone(), options, &found.names);
    let appender = Arc::new(Appender::new(found.end));
    let table = Arc::new(Table::new(found.segments));
    let reader = Reader { appender: appender.clone(), table: table.clone(), disk: disk.clone() };
    let committer = Committer::start(appender.clone(), table, disk, space, identity)?;
    Ok(Opened { appender, committer, reader, report: found.report })
}

/// Reads a whole journal, every byte of it, without changing anything and reports what it holds and what is wrong with
/// it. Damage is in the report, and so is every frame that `on_frame` refuses.
///
/// Another process may write the journal meanwhile, but must not free segments.
///
/// # Errors
///
/// If the disk fails or the journal is of another format.
pub fn verify<D: Disk>(
    disk: D,
    on_frame: &mut OnFrame<'_>,
    on_progress: &mut OnProgress<'_>,
) -> Result<Report, OpenError> {
    let found = recovery::read(&Arc::new(disk), Care::PassesDamage, on_frame, on_progress)?;
    Ok(found.report)
}
