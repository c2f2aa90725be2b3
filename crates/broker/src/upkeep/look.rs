//! What a journal holds, and whether it is whole.

use super::{OnProgress, UpkeepError, Visit, journal_of};
use noctule_engine::{Record, Remembered, Replay};
use noctule_session::{MessageNumber, Position};
use noctule_store::{Damage, Report};
use serde::Serialize;
use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};

/// What the journal of a data directory takes and remembers.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Stat {
    /// The data directory.
    pub data_dir: PathBuf,
    /// A broker uses it.
    pub is_running: bool,
    /// Bytes of all files of the journal, those that are ready to be used included.
    pub disk_bytes: u64,
    /// Segments that hold records.
    pub segments: usize,
    /// Bytes of these segments' files.
    pub segment_bytes: u64,
    /// Bytes of records in them.
    pub record_bytes: u64,
    /// About how many of these bytes still count; the others go when their segment is freed.
    pub live_bytes: u64,
    /// The segment that is freed next.
    pub oldest_segment: Option<OldestSegment>,
    /// Sessions that outlive their connections.
    pub sessions: usize,
    /// Subscriptions of these sessions.
    pub subscriptions: usize,
    /// Messages that sessions are owed, each counted for each session.
    pub queued_messages: usize,
    /// Retained messages.
    pub retained_messages: usize,
    /// Shared groups.
    pub groups: usize,
    /// Messages that groups are owed and no member holds.
    pub group_messages: usize,
    /// What had been durable and cannot be read; nothing of it is counted.
    pub damage: Vec<Flaw>,
}

/// A segment that is freed next.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct OldestSegment {
    /// The file, with its path.
    pub file: String,
    /// Its size.
    pub bytes: u64,
}

/// What reading a whole journal has found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Found {
    /// The data directory.
    pub data_dir: PathBuf,
    /// A broker uses it.
    pub is_running: bool,
    /// Nothing is damaged.
    pub is_whole: bool,
    /// Segments that were read.
    pub segments: usize,
    /// Groups of records that were written together.
    pub frames: u64,
    /// Records that were read and understood.
    pub records: u64,
    /// Bytes of records, with what holds them together.
    pub record_bytes: u64,
    /// The rest of a write that was interrupted; or, of a running broker, that is not complete. Nobody was told of it,
    /// and the next start cuts it.
    pub torn: Option<Flaw>,
    /// What had been durable and cannot be read.
    pub damage: Vec<Flaw>,
}

/// A place that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Flaw {
    /// The file, with its path.
    pub file: String,
    /// Where in it.
    pub offset: u64,
    /// Bytes of records that cannot be read because of it. 0 if that is not known.
    pub bytes: u64,
    /// What is wrong there.
    pub what: String,
}

/// Reads the journal of a data directory and says what it takes and remembers.
///
/// # Errors
/// See [`UpkeepError`]. Damage is none.
pub fn stat(data_dir: &Path, on_progress: &mut OnProgress<'_>) -> Result<Stat, UpkeepError> {
    let visit = Visit::begin(data_dir)?;
    let mut replay = Replay::default();
    let mut on_frame = |position: noctule_store::Position, body: &[u8]| {
        replay.apply_frame(Position(position.get()), body).map_err(|cause| cause.to_string())
    };
    let report = noctule_store::verify(visit.journal()?, &mut on_frame, on_progress)?;
    let remembered = replay.finish();
    let sessions = &remembered.sessions;
    Ok(Stat {
        disk_bytes: disk_bytes(data_dir)?,
        segments: report.files.len(),
        segment_bytes: report.files.iter().map(|segment| segment.bytes).sum(),
        record_bytes: report.bytes,
        live_bytes: live_bytes(&remembered),
        oldest_segment: oldest(&report),
        sessions: sessions.len(),
        subscriptions: sessions.iter().map(|session| session.session.subscriptions.len()).sum(),
        queued_messages: sessions.iter().map(|session| session.session.outbound.len()).sum(),
        retained_messages: remembered.retained.len(),
        groups: remembered.groups.len(),
        group_messages: remembered.groups.iter().map(|group| group.waiting.len()).sum(),
        damage: flaws(&report),
        data_dir: visit.data_dir,
        is_running: visit.is_running,
    })
}

/// Reads everything the journal of a data directory holds, and checks that it is what was written and that every
/// record can be understood.
///
/// # Errors
/// See [`UpkeepError`]. Damage is none.
pub fn verify(data_dir: &Path, on_progress: &mut OnProgress<'_>) -> Result<Found, UpkeepError> {
    let visit = Visit::begin(data_dir)?;
    let mut records = 0;
    let mut on_frame = |_, body: &[u8]| {
        records += count_records(body)?;
        Ok(())
    };
    let report = noctule_store::verify(visit.journal()?, &mut on_frame, on_progress)?;
    let torn = report.torn.as_ref().map(|torn| Flaw {
        file: torn.file.clone(),
        offset: torn.offset,
        bytes: torn.bytes,
        what: "the rest of a write that was interrupted".to_owned(),
    });
    Ok(Found {
        is_whole: report.damage.is_empty(),
        segments: report.files.len(),
        frames: report.frames,
        records,
        record_bytes: report.bytes,
        torn,
        damage: flaws(&report),
        data_dir: visit.data_dir,
        is_running: visit.is_running,
    })
}

/// How many records there are, if all of them can be understood.
fn count_records(body: &[u8]) -> Result<u64, String> {
    let mut records = 0;
    let mut rest = body;
    while !rest.is_empty() {
        (_, rest) = Record::decode(rest).map_err(|cause| cause.to_string())?;
        records += 1;
    }
    Ok(records)
}

fn disk_bytes(data_dir: &Path) -> Result<u64, UpkeepError> {
    let path = journal_of(data_dir);
    let files = fs::read_dir(&path).map_err(|source| UpkeepError::Unreadable { path, source })?;
    // A file may vanish meanwhile.
    Ok(files.filter_map(|file| Some(file.ok()?.metadata().ok()?.len())).sum())
}

/// Contents that are owed or retained, each once, and what says to whom.
fn live_bytes(remembered: &Remembered) -> u64 {
    let mut contents: HashMap<MessageNumber, u64> = HashMap::new();
    let mut deliveries = 0;
    for session in &remembered.sessions {
        for owed in session.session.outbound.iter() {
            contents.insert(owed.number, u64::from(owed.delivered().bytes));
            deliveries += 1;
        }
    }
    let retained = remembered.retained.iter().map(|message| (message.number, message.bytes()));
    contents.extend(retained);
    let sessions = remembered.sessions.len() as u64;
    contents.values().sum::<u64>() + deliveries * DELIVERY_BYTES + sessions * SESSION_BYTES
}

fn oldest(report: &Report) -> Option<OldestSegment> {
    let first = report.files.first()?;
    Some(OldestSegment { file: first.file.clone(), bytes: first.bytes })
}

fn flaws(report: &Report) -> Vec<Flaw> {
    let flaw = |Damage { file, offset, bytes, what }| Flaw { file, offset, bytes, what };
    report.damage.iter().cloned().map(flaw).collect()
}

/// About what the journal needs to say of a delivery, beside the content.
const DELIVERY_BYTES: u64 = 24;
/// About what it needs to say of a session that is owed nothing.
const SESSION_BYTES: u64 = 128;
