//! The file of an outbox: records with checksums, one behind the other.
//!
//! ```text
//!   "noctule outbox 1\n"   length u32, client id, CRC-32C u32   (length u32, body, CRC-32C u32)*
//! ```
//!
//! Numbers are little-endian; a checksum is that of length and body. A record that ends beyond the file, and a last
//! one whose checksum is wrong, were being written when the machine stopped: they are cut. Damage before the end is an
//! error.

use super::record;
use crate::clock::Clock;
use noctule_session::SessionChange;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// What is wrong with an outbox on disk.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OutboxError {
    /// The operating system refuses something.
    #[error("{path} cannot be {what}: {source}")]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What was to be done.
        what: &'static str,
        /// What the operating system said.
        source: Arc<io::Error>,
    },
    /// Another client uses it.
    #[error("the outbox {path} is in use by another client; give each client its own folder")]
    InUse {
        /// The folder.
        path: PathBuf,
    },
    /// It belongs to another client id.
    #[error("the outbox {path} belongs to client id {found:?}; use that or another folder")]
    OtherClient {
        /// The folder.
        path: PathBuf,
        /// Whose it is.
        found: String,
    },
    /// It is no outbox, or part of it is not what was written.
    #[error("{path} is damaged at byte {offset}: {reason}; move it away to begin without what it holds")]
    Damaged {
        /// The file.
        path: PathBuf,
        /// Where.
        offset: u64,
        /// What is wrong there.
        reason: &'static str,
    },
}

/// An outbox that is open, and locked for others.
#[derive(Debug)]
pub(crate) struct Log {
    folder: PathBuf,
    head: Vec<u8>,
    file: File,
    /// Bytes that are whole and durable.
    bytes: u64,
    /// Bytes after the last rewriting.
    bytes_rewritten: u64,
    _lock: File,
}

/// What an outbox holds.
#[derive(Debug)]
pub(crate) struct Stored {
    pub(crate) log: Log,
    pub(crate) changes: Vec<SessionChange>,
}

impl Log {
    /// Opens the outbox of this client in a folder, and makes it if there is none.
    pub(crate) fn open(folder: &Path, client_id: &str, clock: &Clock) -> Result<Stored, OutboxError> {
        fs::create_dir_all(folder).map_err(|error| io_error(folder, "made", error))?;
        let lock = lock(folder)?;
        let path = folder.join(NAME);
        let head = head(client_id);
        let mut options = OpenOptions::new();
        let file = options.read(true).write(true).create(true).truncate(false).open(&path);
        let mut file = file.map_err(|error| io_error(&path, "opened", error))?;
        let mut text = Vec::new();
        file.read_to_end(&mut text).map_err(|error| io_error(&path, "read", error))?;
        let mut log = Self { folder: folder.into(), head, file, bytes: 0, bytes_rewritten: 0, _lock: lock };
        let changes = log.read(&text, clock)?;
        log.bytes_rewritten = log.bytes;
        Ok(Stored { log, changes })
    }

    /// Adds records and makes them durable.
    pub(crate) fn append(&mut self, records: &[u8]) -> Result<(), OutboxError> {
        let write = |file: &mut File| {
            // Whatever an earlier attempt has left behind the last durable byte is written over.
            file.set_len(self.bytes)?;
            file.seek(SeekFrom::Start(self.bytes))?;
            file.write_all(records)?;
            file.sync_data()
        };
        write(&mut self.file).map_err(|error| io_error(&self.folder.join(NAME), "written", error))?;
        self.bytes += records.len() as u64;
        Ok(())
    }

    /// Whether it holds much that is over.
    pub(crate) fn is_worth_rewriting(&self) -> bool {
        self.bytes > 2 * self.bytes_rewritten + REWRITE_BYTES_MIN
    }

    /// Replaces all records, in one step that a crash does not divide.
    pub(crate) fn replace(&mut self, records: &[u8]) -> Result<(), OutboxError> {
        let (new, path) = (self.folder.join(NEW_NAME), self.folder.join(NAME));
        let write = || {
            let mut options = OpenOptions::new();
            let mut file = options.read(true).write(true).create(true).truncate(true).open(&new)?;
            file.write_all(&self.head)?;
            file.write_all(records)?;
            file.sync_data()?;
            fs::rename(&new, &path)?;
            File::open(&self.folder)?.sync_all()?;
            Ok(file)
        };
        self.file = write().map_err(|error| io_error(&path, "written", error))?;
        self.bytes = (self.head.len() + records.len()) as u64;
        self.bytes_rewritten = self.bytes;
        Ok(())
    }

    /// Reads what is there, and cuts what is not whole.
    fn read(&mut self, text: &[u8], clock: &Clock) -> Result<Vec<SessionChange>, OutboxError> {
        if text.len() < self.head.len() && self.head.starts_with(text) {
            // New, or the machine stopped when it was.
            self.replace(&[])?;
            return Ok(Vec::new());
        }
        let rest = text.strip_prefix(MAGIC).ok_or_else(|| self.damaged(0, "it is no outbox"))?;
        let mut offset = MAGIC.len();
        let Some(Piece::Whole(client_id)) = next(rest) else {
            return Err(self.damaged(offset, "it does not say whose it is"));
        };
        offset += client_id.len() + AROUND_BYTES;
        if !text.starts_with(&self.head) {
            let found = String::from_utf8_lossy(client_id).into_owned();
            return Err(OutboxError::OtherClient { path: self.folder.clone(), found });
        }
        let mut changes = Vec::new();
        while let Some(piece) = next(&text[offset..]) {
            let Piece::Whole(body) = piece else {
                match piece {
                    Piece::Damaged => return Err(self.damaged(offset, "a checksum is wrong")),
                    _ => break,
                }
            };
            let change = record::decode(body, clock);
            changes.push(change.ok_or_else(|| self.damaged(offset, "a record cannot be read"))?);
            offset += body.len() + AROUND_BYTES;
        }
        self.bytes = offset as u64;
        Ok(changes)
    }

    fn damaged(&self, offset: usize, reason: &'static str) -> OutboxError {
        OutboxError::Damaged { path: self.folder.join(NAME), offset: offset as u64, reason }
    }
}

/// What stands at the beginning of some bytes.
enum Piece<'a> {
    Whole(&'a [u8]),
    /// It was being written when the machine stopped.
    Torn,
    Damaged,
}

fn next(bytes: &[u8]) -> Option<Piece<'_>> {
    if bytes.is_empty() {
        return None;
    }
    let Some((length, rest)) = bytes.split_first_chunk::<4>() else { return Some(Piece::Torn) };
    // A file system may have grown the file and not written it.
    if bytes.iter().all(|byte| *byte == 0) {
        return Some(Piece::Torn);
    }
    let body_bytes = u32::from_le_bytes(*length) as usize;
    let Some((body, rest)) = rest.split_at_checked(body_bytes) else { return Some(Piece::Torn) };
    let Some((sum, rest)) = rest.split_first_chunk::<4>() else { return Some(Piece::Torn) };
    let is_right = crc32c::crc32c(&bytes[..4 + body_bytes]) == u32::from_le_bytes(*sum);
    Some(match (is_right, rest.is_empty()) {
        (true, _) => Piece::Whole(body),
        (false, true) => Piece::Torn,
        (false, false) => Piece::Damaged,
    })
}

/// Puts a record around a body.
pub(super) fn push(out: &mut Vec<u8>, body: impl FnOnce(&mut Vec<u8>)) {
    let start = out.len();
    out.extend([0; 4]);
    body(out);
    let length = u32::try_from(out.len() - start - 4).expect("a packet has less than 256 MiB");
    out[start..start + 4].copy_from_slice(&length.to_le_bytes());
    let sum = crc32c::crc32c(&out[start..]);
    out.extend(sum.to_le_bytes());
}

fn head(client_id: &str) -> Vec<u8> {
    let mut head = MAGIC.to_vec();
    push(&mut head, |out| out.extend_from_slice(client_id.as_bytes()));
    head
}

fn lock(folder: &Path) -> Result<File, OutboxError> {
    let path = folder.join(LOCK_NAME);
    let file = File::create(&path).map_err(|error| io_error(&path, "made", error))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(OutboxError::InUse { path: folder.to_owned() }),
        Err(TryLockError::Error(error)) => Err(io_error(&path, "locked", error)),
    }
}

fn io_error(path: &Path, what: &'static str, source: io::Error) -> OutboxError {
    OutboxError::Io { path: path.to_owned(), what, source: Arc::new(source) }
}

const MAGIC: &[u8] = b"noctule outbox 1\n";
const NAME: &str = "outbox";
const NEW_NAME: &str = "outbox.new";
const LOCK_NAME: &str = "lock";
/// Length and checksum of a record.
const AROUND_BYTES: usize = 8;
/// What may be over before it is worth a rewriting.
const REWRITE_BYTES_MIN: u64 = 1 << 20;

#[cfg(test)]
mod tests {
    use super::*;
    use noctule_codec::PacketId;
    use tempfile::TempDir;

    fn taken(ids: &[u16]) -> Vec<u8> {
        let id = |id: &u16| PacketId::new(*id).expect("not zero");
        let changes: Vec<_> =
            ids.iter().map(|it| SessionChange::InboundTaken { packet_id: id(it) }).collect();
        record::encode_all(&changes, &Clock::start())
    }

    fn ids(changes: &[SessionChange]) -> Vec<u16> {
        let id = |change: &SessionChange| match change {
            SessionChange::InboundTaken { packet_id } => packet_id.get(),
            change => panic!("{change:?}"),
        };
        changes.iter().map(id).collect()
    }

    fn folder() -> TempDir {
        tempfile::tempdir().expect("a writable folder")
    }

    fn open(folder: &Path) -> Result<Stored, OutboxError> {
        Log::open(folder, "c", &Clock::start())
    }

    #[test]
    fn what_was_appended_is_there_and_a_torn_end_is_cut_at_every_byte() {
        let folder = folder();
        let mut log = open(folder.path()).expect("a new one").log;
        log.append(&taken(&[1, 2])).expect("room");
        let (whole, torn) = (log.bytes, taken(&[3]));
        drop(log);
        for cut in 0..torn.len() {
            let path = folder.path().join(NAME);
            let mut bytes = fs::read(&path).expect("there");
            bytes.truncate(usize::try_from(whole).expect("short"));
            bytes.extend(&torn[..cut]);
            fs::write(&path, bytes).expect("writable");
            let mut stored = open(folder.path()).expect("a torn end is no damage");
            assert_eq!(ids(&stored.changes), [1, 2]);
            stored.log.append(&taken(&[4])).expect("room");
            drop(stored);
            assert_eq!(ids(&open(folder.path()).expect("whole").changes), [1, 2, 4]);
        }
    }

    #[test]
    fn damage_in_the_middle_is_named_with_its_place() {
        let folder = folder();
        let mut log = open(folder.path()).expect("a new one").log;
        let offset = log.bytes;
        log.append(&taken(&[1, 2])).expect("room");
        drop(log);
        let path = folder.path().join(NAME);
        let mut bytes = fs::read(&path).expect("there");
        bytes[usize::try_from(offset).expect("short") + 5] ^= 1;
        fs::write(&path, bytes).expect("writable");
        let damaged = open(folder.path()).expect_err("damaged");
        assert!(matches!(damaged, OutboxError::Damaged { offset: at, .. } if at == offset), "{damaged}");
    }

    #[test]
    fn it_is_one_clients_and_rewritten_in_one_step() {
        let folder = folder();
        let mut log = open(folder.path()).expect("a new one").log;
        assert!(matches!(open(folder.path()), Err(OutboxError::InUse { .. })));
        log.append(&taken(&[1, 2, 3])).expect("room");
        log.replace(&taken(&[3])).expect("room");
        log.append(&taken(&[4])).expect("room");
        drop(log);
        assert_eq!(ids(&open(folder.path()).expect("whole").changes), [3, 4]);
        let other = Log::open(folder.path(), "d", &Clock::start());
        assert!(matches!(other, Err(OutboxError::OtherClient { found, .. }) if found == "c"));
    }
}
