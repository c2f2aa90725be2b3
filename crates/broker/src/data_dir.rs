//! The folder of everything the broker keeps, used by one broker at a time.

use crate::Error;
use noctule_session::Instant;
use rustix::fs::{FlockOperation, flock};
use std::fs::{DirBuilder, File, OpenOptions};
use std::os::unix::fs::{DirBuilderExt as _, FileExt as _, OpenOptionsExt as _};
use std::path::Path;

/// A locked data directory. The lock ends with the process, however that ends.
#[derive(Debug)]
pub(crate) struct DataDir {
    lock: File,
}

impl DataDir {
    /// Makes the directory for its owner alone, if need be, and locks it.
    pub(crate) fn open(path: &Path) -> Result<Self, Error> {
        if path.exists() && !path.is_dir() {
            return Err(Error::NotADirectory { path: path.to_owned() });
        }
        let failed = |source| Error::DataDir { path: path.to_owned(), source };
        DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(failed)?;
        let mut options = OpenOptions::new();
        options.create(true).truncate(false).read(true).write(true).mode(0o600);
        let lock = options.open(path.join("lock")).map_err(failed)?;
        match flock(&lock, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(Self { lock }),
            Err(rustix::io::Errno::WOULDBLOCK) => Err(Error::DataDirInUse { path: path.to_owned() }),
            Err(error) => Err(failed(error.into())),
        }
    }

    /// When the broker that used it last was known to be alive.
    pub(crate) fn last_alive(&self) -> Instant {
        let mut millis = [0; 8];
        let read = self.lock.read_exact_at(&mut millis, 0);
        Instant::from_millis(read.map_or(0, |()| u64::from_le_bytes(millis)))
    }

    /// Notes that the broker is alive. It is not synced: a process that is killed leaves it to the kernel, and
    /// after a power cut it is at most as old as the kernel's patience.
    pub(crate) fn note_alive(&self, now: Instant) {
        if let Err(cause) = self.lock.write_all_at(&now.as_millis().to_le_bytes(), 0) {
            tracing::debug!(%cause, "the sign of life cannot be written");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    #[test]
    fn one_broker_at_a_time_and_for_its_owner_alone() {
        let path = std::env::temp_dir().join(format!("noctule-data-dir-{}", std::process::id()));
        let first = DataDir::open(&path).expect("the first may");
        assert!(matches!(DataDir::open(&path), Err(Error::DataDirInUse { .. })));
        drop(first);
        DataDir::open(&path).expect("the next may, once the first is gone");
        let mode = |path: &Path| path.metadata().expect("it is there").permissions().mode() & 0o777;
        assert_eq!((mode(&path), mode(&path.join("lock"))), (0o700, 0o600));
        std::fs::remove_dir_all(&path).expect("it can be removed");
    }
}
