//! Writing the blocks of a spare file once, ahead of need, by whoever has the time for it.
//!
//! The sync of a block that is there already takes about half the time, because it changes no metadata. A file that
//! has become a segment is never touched again.

use crate::disk::DiskFile;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// A spare file whose blocks are to be written once. It may be given to another thread.
#[derive(Debug)]
pub struct Touch<F> {
    file: Arc<F>,
    bytes: u64,
    touched: Mutex<Touched>,
}

#[derive(Debug)]
struct Touched {
    up_to: u64,
    /// The file is a segment now, or gone.
    is_over: bool,
    failure: Option<io::Error>,
}

impl<F: DiskFile> Touch<F> {
    pub(crate) fn new(file: Arc<F>, bytes: u64, up_to: u64) -> Arc<Self> {
        Arc::new(Self { file, bytes, touched: Mutex::new(Touched { up_to, is_over: false, failure: None }) })
    }

    /// Writes zeros to some blocks that have never been written, which takes a write and a sync of 128 KiB, and
    /// says whether there are more. Whoever needs the file meanwhile waits that long.
    pub fn step(&self) -> bool {
        let mut touched = self.lock();
        if !touched.has_more(self.bytes) {
            return false;
        }
        match self.write(touched.up_to) {
            Ok(up_to) => touched.up_to = up_to,
            Err(cause) => touched.failure = Some(cause),
        }
        touched.has_more(self.bytes)
    }

    fn write(&self, from: u64) -> io::Result<u64> {
        let part = STEP_BYTES.min(self.bytes - from);
        self.file.write_at(&vec![0; part as usize], from)?;
        self.file.sync_data()?;
        if from + part == self.bytes {
            // Not synced: if it is lost, the zeros are written once more.
            self.file.write_at(TOUCHED, 0)?;
        }
        Ok(from + part)
    }

    pub(crate) fn has_more(&self) -> bool {
        self.lock().has_more(self.bytes)
    }

    pub(crate) fn take_failure(&self) -> Option<io::Error> {
        self.lock().failure.take()
    }

    /// The file is needed: nobody touches it from now on.
    pub(crate) fn end(&self) {
        self.lock().is_over = true;
    }

    fn lock(&self) -> MutexGuard<'_, Touched> {
        self.touched.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Touched {
    fn has_more(&self, bytes: u64) -> bool {
        !self.is_over && self.failure.is_none() && self.up_to < bytes
    }
}

/// How much is written at once. The commits of the running segment go on beside it and wait for the same disk: of a
/// mebibyte they noticed 2 to 15 ms, and of 128 KiB hardly more than of another commit.
const STEP_BYTES: u64 = 128 << 10;
/// Stands at the start of a spare file all of whose blocks have been written.
pub(crate) const TOUCHED: &[u8; 8] = b"noctfree";
