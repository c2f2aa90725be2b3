//! A real directory.

use crate::disk::{Disk, DiskFile};
use rustix::fs::{Advice, FallocateFlags, fadvise, fallocate, statvfs};
use rustix::io::{Errno, retry_on_intr};
use rustix::rand::{GetRandomFlags, getrandom};
use std::fs::{DirBuilder, File, OpenOptions};
use std::io;
use std::num::NonZeroU64;
use std::os::unix::fs::{DirBuilderExt as _, FileExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

/// A directory of the file system, for its owner alone (0700, files 0600).
#[derive(Debug)]
pub struct Directory {
    path: PathBuf,
    handle: File,
    /// Files are opened for reading alone.
    is_read_only: bool,
}

/// A file of a [`Directory`].
#[derive(Debug)]
pub struct DirectoryFile(File);

impl Directory {
    /// Opens the directory and makes it if need be, durably.
    ///
    /// # Errors
    ///
    /// Whatever the file system says, for one that a file is in the way.
    pub fn open(path: &Path) -> io::Result<Self> {
        if !path.is_dir() {
            DirBuilder::new().mode(0o700).create(path)?;
            let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
            File::open(parent.unwrap_or(Path::new(".")))?.sync_all()?;
        }
        Ok(Self { path: path.to_owned(), handle: File::open(path)?, is_read_only: false })
    }

    /// Opens the directory to look at it. Its files cannot be written to.
    ///
    /// # Errors
    ///
    /// Whatever the file system says, for one that there is no directory.
    pub fn open_to_read(path: &Path) -> io::Result<Self> {
        Ok(Self { path: path.to_owned(), handle: File::open(path)?, is_read_only: true })
    }

    fn create_file(&self, name: &str) -> io::Result<File> {
        OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(self.path.join(name))
    }
}

impl Disk for Directory {
    type File = DirectoryFile;

    fn list(&self) -> io::Result<Vec<String>> {
        let entries = std::fs::read_dir(&self.path)?;
        let names = entries.map(|entry| Ok(entry?.file_name().into_string().ok()));
        names.filter_map(Result::transpose).collect()
    }

    fn create(&self, name: &str, bytes: u64) -> io::Result<DirectoryFile> {
        let file = self.create_file(name)?;
        match allocate(&file, bytes) {
            Ok(()) => Ok(DirectoryFile(file)),
            Err(error) => {
                // The room it took is wanted back; the first error is the one to tell of.
                std::fs::remove_file(self.path.join(name)).ok();
                Err(error)
            }
        }
    }

    fn open(&self, name: &str) -> io::Result<DirectoryFile> {
        let mut options = OpenOptions::new();
        options.read(true).write(!self.is_read_only).open(self.path.join(name)).map(DirectoryFile)
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        std::fs::rename(self.path.join(from), self.path.join(to))
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        std::fs::remove_file(self.path.join(name))
    }

    fn sync_directory(&self) -> io::Result<()> {
        self.handle.sync_all()
    }

    fn free_bytes(&self) -> io::Result<u64> {
        let all = statvfs(&self.path)?;
        Ok(all.f_bavail.saturating_mul(all.f_frsize))
    }

    fn identity(&self) -> io::Result<[u8; 16]> {
        let mut identity = [0; 16];
        // Up to 256 bytes come whole or not at all.
        retry_on_intr(|| getrandom(&mut identity[..], GetRandomFlags::empty()))?;
        Ok(identity)
    }

    fn path(&self, name: &str) -> String {
        self.path.join(name).display().to_string()
    }
}

impl DiskFile for DirectoryFile {
    fn bytes(&self) -> io::Result<u64> {
        Ok(self.0.metadata()?.len())
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let mut done = 0;
        while done < buffer.len() {
            match self.0.read_at(&mut buffer[done..], offset + done as u64) {
                Ok(0) => break,
                Ok(bytes) => done += bytes,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(done)
    }

    fn will_read(&self, offset: u64, bytes: u64) {
        // Advice that is not taken costs time, nothing else.
        let _ = fadvise(&self.0, offset, NonZeroU64::new(bytes), Advice::WillNeed);
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.0.write_all_at(bytes, offset)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.0.sync_data()
    }
}

/// Gives the file its room. A file system that cannot promise room gets zeros instead, which take it.
fn allocate(file: &File, bytes: u64) -> io::Result<()> {
    match retry_on_intr(|| fallocate(file, FallocateFlags::empty(), 0, bytes)) {
        Ok(()) => Ok(()),
        Err(Errno::OPNOTSUPP) => write_zeros(file, bytes),
        Err(error) => Err(error.into()),
    }
}

fn write_zeros(file: &File, bytes: u64) -> io::Result<()> {
    let zeros = vec![0; 1 << 20];
    let mut offset = 0;
    while offset < bytes {
        let part = zeros.len().min((bytes - offset) as usize);
        file.write_all_at(&zeros[..part], offset)?;
        offset += part as u64;
    }
    Ok(())
}
