//! The folder of everything the broker keeps, used by one broker at a time.

use crate::Error;
use noctule_session::Instant;
use rustix::fs::{FlockOperation, flock};
use rustix::io::{Errno, retry_on_intr};
use std::fs::{DirBuilder, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, FileExt as _, OpenOptionsExt as _};
use std::path::Path;

/// A locked data directory, or none where nothing is kept. The lock ends with the process, however that ends.
#[derive(Debug)]
pub(crate) struct DataDir(Option<Files>);

#[derive(Debug)]
struct Files {
    lock: File,
    /// Locked, for a moment or for others, while nothing of the journal may be freed.
    pin: File,
}

/// While it lives, a broker that uses the directory frees nothing of its journal.
#[derive(Debug)]
pub(crate) struct Pin {
    _file: Option<File>,
}

impl DataDir {
    /// Makes the directory for its owner alone, if need be, and locks it.
    pub(crate) fn open(path: &Path) -> Result<Self, Error> {
        if path.exists() && !path.is_dir() {
            return Err(Error::NotADirectory { path: path.to_owned() });
        }
        let failed = |source| Error::DataDir { path: path.to_owned(), source };
        DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(failed)?;
        let lock = open_or_create(&path.join(LOCK)).map_err(failed)?;
        match flock(&lock, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {
                let pin = open_or_create(&path.join(PIN)).map_err(failed)?;
                Ok(Self(Some(Files { lock, pin })))
            }
            Err(Errno::WOULDBLOCK) => Err(Error::DataDirInUse { path: path.to_owned() }),
            Err(error) => Err(failed(error.into())),
        }
    }

    /// That of a broker that keeps nothing, which needs no place to write to.
    pub(crate) fn none() -> Self {
        Self(None)
    }

    /// Frees something of the journal, unless another process reads it.
    pub(crate) fn unless_pinned<T>(&self, free: impl FnOnce() -> T) -> Option<T> {
        let Some(Files { pin, .. }) = &self.0 else { return Some(free()) };
        flock(pin, FlockOperation::NonBlockingLockExclusive).ok()?;
        let freed = free();
        // Whoever reads waits for this; it cannot fail, and the next one to free something holds it anyway.
        let _ = flock(pin, FlockOperation::Unlock);
        Some(freed)
    }

    /// When the broker that used it last was known to be alive.
    pub(crate) fn last_alive(&self) -> Instant {
        let mut millis = [0; 8];
        let Some(Files { lock, .. }) = &self.0 else { return Instant::default() };
        let read = lock.read_exact_at(&mut millis, 0);
        Instant::from_millis(read.map_or(0, |()| u64::from_le_bytes(millis)))
    }

    /// Notes that the broker is alive. It is not synced: a process that is killed leaves it to the kernel, and
    /// after a power cut it is at most as old as the kernel's patience.
    pub(crate) fn note_alive(&self, now: Instant) {
        if let Some(Files { lock, .. }) = &self.0
            && let Err(cause) = lock.write_all_at(&now.as_millis().to_le_bytes(), 0)
        {
            tracing::debug!(%cause, "the sign of life cannot be written");
        }
    }
}

impl Pin {
    /// Waits for what is just being freed and keeps the rest. A directory that nobody may write to has no broker.
    pub(crate) fn set(data_dir: &Path) -> io::Result<Self> {
        let path = data_dir.join(PIN);
        let file = match File::open(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => match open_or_create(&path) {
                Err(error) if error.kind() == io::ErrorKind::ReadOnlyFilesystem => {
                    return Ok(Self { _file: None });
                }
                created => created?,
            },
            opened => opened?,
        };
        retry_on_intr(|| flock(&file, FlockOperation::LockShared))?;
        Ok(Self { _file: Some(file) })
    }
}

/// Whether a broker uses this directory.
pub(crate) fn is_in_use(data_dir: &Path) -> io::Result<bool> {
    let lock = match File::open(data_dir.join(LOCK)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        opened => opened?,
    };
    match flock(&lock, FlockOperation::NonBlockingLockShared) {
        Ok(()) => Ok(false),
        Err(Errno::WOULDBLOCK) => Ok(true),
        Err(error) => Err(error.into()),
    }
}

fn open_or_create(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.create(true).truncate(false).read(true).write(true).mode(0o600).open(path)
}

/// Held by the broker that uses the directory, and the place of its signs of life.
pub(crate) const LOCK: &str = "lock";
/// Held by whoever reads the journal beside a broker.
const PIN: &str = "pin";

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    #[test]
    fn one_broker_at_a_time_and_for_its_owner_alone() {
        let folder = tempfile::tempdir().expect("a writable folder");
        let path = folder.path().join("data");
        let first = DataDir::open(&path).expect("the first may");
        assert!(matches!(DataDir::open(&path), Err(Error::DataDirInUse { .. })));
        drop(first);
        DataDir::open(&path).expect("the next may, once the first is gone");
        let mode = |path: &Path| path.metadata().expect("it is there").permissions().mode() & 0o777;
        assert_eq!((mode(&path), mode(&path.join("lock"))), (0o700, 0o600));
    }

    #[test]
    fn nothing_is_freed_while_somebody_reads() {
        let folder = tempfile::tempdir().expect("a writable folder");
        let path = folder.path().join("data");
        let broker = DataDir::open(&path).expect("it can be made");
        assert!(is_in_use(&path).expect("it is there"));
        let pins = [Pin::set(&path), Pin::set(&path)].map(|pin| pin.expect("several may read"));
        assert_eq!(broker.unless_pinned(|| "freed"), None);
        drop(pins);
        assert_eq!(broker.unless_pinned(|| "freed"), Some("freed"));
        Pin::set(&path).expect("what is freed is freed at once");
        drop(broker);
        assert!(!is_in_use(&path).expect("it is there"));
    }
}
