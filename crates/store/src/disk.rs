//! One directory of a disk, as much of it as the journal needs.
//!
//! Faults are put in below this line, so that a simulation runs the code that ships. What an implementation has to
//! promise is what POSIX does: what was written is on the disk after [`DiskFile::sync_data`], what a name stands
//! for after [`Disk::sync_directory`], and before that anything may be lost in any order.

use std::fmt::Debug;
use std::io;

/// A directory that belongs to the journal alone.
pub trait Disk: Debug + Send + Sync + 'static {
    /// An open file.
    type File: DiskFile;

    /// The names of all files, in any order.
    fn list(&self) -> io::Result<Vec<String>>;

    /// Makes a new file of `bytes` bytes, all zero, whose room is its own: `StorageFull` comes here, not when it
    /// is written.
    ///
    /// # Errors
    ///
    /// `AlreadyExists` if there is a file of that name. After any error there is no new file.
    fn create(&self, name: &str, bytes: u64) -> io::Result<Self::File>;

    /// Opens a file for reading and writing.
    fn open(&self, name: &str) -> io::Result<Self::File>;

    /// Gives a file another name, which nothing has yet.
    fn rename(&self, from: &str, to: &str) -> io::Result<()>;

    /// Removes a file.
    fn remove(&self, name: &str) -> io::Result<()>;

    /// Makes names durable: every create, rename and remove before it.
    fn sync_directory(&self) -> io::Result<()>;

    /// How many bytes new files may still take.
    fn free_bytes(&self) -> io::Result<u64>;

    /// Sixteen bytes that nobody else has, for the identity of a new journal.
    fn identity(&self) -> io::Result<[u8; 16]>;

    /// The file as a person would look for it, for messages.
    fn path(&self, name: &str) -> String {
        name.to_owned()
    }
}

/// An open file. Its methods may be called from several threads at once.
pub trait DiskFile: Debug + Send + Sync + 'static {
    /// Its size in bytes.
    fn bytes(&self) -> io::Result<u64>;

    /// Reads from `offset` on and says how much; less than asked for only at the end of the file.
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize>;

    /// These bytes are read soon. A disk that can fetch them meanwhile does; nothing else depends on it.
    fn will_read(&self, offset: u64, bytes: u64) {
        let _ = (offset, bytes);
    }

    /// Writes all of it at `offset`. After an error any part of it may have been written.
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()>;

    /// Makes what was written durable, with what is needed to read it again.
    ///
    /// After an error nothing is known of what was written since the last success, and a later success says
    /// nothing of it either: the kernel may have let go of it.
    fn sync_data(&self) -> io::Result<()>;
}
