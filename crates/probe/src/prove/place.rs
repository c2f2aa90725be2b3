//! Where a trial keeps the broker's data: a folder of its own, on a file system that the report names.

use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::error::ProveError;

/// The folder of one trial. It is removed at the end, unless it is to be kept.
#[derive(Debug)]
pub(crate) struct Workplace {
    folder: PathBuf,
    keep: bool,
}

/// Where the broker's data lay.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Place {
    /// The folder of the trial.
    pub folder: String,
    /// The type of its file system, such as `ext4`; `unknown` where the system does not say.
    pub file_system: String,
    /// Where that is mounted.
    pub mount_point: String,
    /// The file system lives in memory. What is proven there says nothing of a disk.
    pub is_memory: bool,
}

impl Workplace {
    /// Makes the folder, readable by this user only.
    pub(crate) fn make(parent: &Path, run: u32, keep: bool) -> Result<Self, ProveError> {
        let folder = parent.join(format!("noctule-prove-{run:08x}"));
        // Brokers are started in a folder of their own, so that what they are told must not be relative.
        let folder = std::path::absolute(&folder).unwrap_or(folder);
        let workplace = Self { folder, keep };
        let mut builder = fs::DirBuilder::new();
        builder.mode(0o700).recursive(true);
        let data = workplace.data();
        builder.create(&data).map_err(|source| ProveError::Place {
            action: "make the folder",
            path: data,
            source,
        })?;
        Ok(workplace)
    }

    /// The broker's data directory.
    pub(crate) fn data(&self) -> PathBuf {
        self.folder.join("data")
    }

    /// The broker's configuration file.
    pub(crate) fn config(&self) -> PathBuf {
        self.folder.join("broker.conf")
    }

    /// What the broker prints.
    pub(crate) fn log(&self) -> PathBuf {
        self.folder.join("broker.log")
    }

    /// What to say of it in the report.
    pub(crate) fn place(&self) -> Place {
        let mounts = fs::read("/proc/self/mountinfo").unwrap_or_default();
        let canonical = fs::canonicalize(&self.folder).unwrap_or_else(|_| self.folder.clone());
        let (file_system, mount_point) =
            file_system_of(&mounts, &canonical).unwrap_or(("unknown".to_owned(), "unknown".to_owned()));
        Place {
            folder: self.folder.display().to_string(),
            is_memory: MEMORY_FILE_SYSTEMS.contains(&file_system.as_str()),
            file_system,
            mount_point,
        }
    }
}

impl Drop for Workplace {
    fn drop(&mut self) {
        if !self.keep {
            // The report is out by now; a folder that stays behind is for the user to see.
            let _: io::Result<()> = fs::remove_dir_all(&self.folder);
        }
    }
}

/// Type and mount point of the file system that holds `path`, from `/proc/self/mountinfo`, see proc(5): the last mount
/// with the longest mount point that `path` lies under.
fn file_system_of(mounts: &[u8], path: &Path) -> Option<(String, String)> {
    let mounts = mounts.split(|&byte| byte == b'\n').filter_map(mount);
    let around = mounts.filter(|(_, point)| path.as_os_str().as_bytes().starts_with(point));
    let around = around.filter(|(_, point)| path.starts_with(Path::new(std::ffi::OsStr::from_bytes(point))));
    let (kind, point) = around.max_by_key(|(_, point)| point.len())?;
    Some((kind, String::from_utf8_lossy(&point).into_owned()))
}

/// `36 35 98:0 /mnt1 /mnt2 rw,noatime master:1 - ext3 /dev/root rw`: mount point fifth, type behind the dash.
fn mount(line: &[u8]) -> Option<(String, Vec<u8>)> {
    let mut fields = line.split(|&byte| byte == b' ');
    let point = unescaped(fields.nth(4)?);
    let kind = fields.skip_while(|&field| field != b"-").nth(1)?;
    Some((String::from_utf8_lossy(kind).into_owned(), point))
}

/// Blanks and the like are written as a backslash and three octal digits.
fn unescaped(field: &[u8]) -> Vec<u8> {
    let (mut bytes, mut rest) = (Vec::new(), field);
    while let Some((&first, after)) = rest.split_first() {
        let digits = after.get(..3).and_then(|digits| std::str::from_utf8(digits).ok());
        let escaped = digits.and_then(|digits| u8::from_str_radix(digits, 8).ok());
        match escaped.filter(|_| first == b'\\') {
            Some(byte) => {
                bytes.push(byte);
                rest = &after[3..];
            }
            None => {
                bytes.push(first);
                rest = after;
            }
        }
    }
    bytes
}

const MEMORY_FILE_SYSTEMS: [&str; 2] = ["tmpfs", "ramfs"];

#[cfg(test)]
mod tests {
    use super::*;

    const MOUNTS: &str = "\
22 1 253:0 / / rw,relatime shared:1 - ext4 /dev/vda rw
30 22 0:26 / /dev rw,nosuid shared:2 - devtmpfs udev rw
31 30 0:27 / /dev/shm rw,nosuid shared:3 master:9 - tmpfs tmpfs rw
40 22 0:40 / /mnt/my\\040disk rw - xfs /dev/vdb rw
41 40 0:41 / /mnt/my\\040disk rw - btrfs /dev/vdc rw
";

    #[test]
    fn a_folder_lies_on_the_nearest_mount_around_it() {
        for (path, expected) in [
            ("/srv/x", ("ext4", "/")),
            ("/dev/shm/x", ("tmpfs", "/dev/shm")),
            ("/dev/shmx", ("devtmpfs", "/dev")),
            ("/mnt/my disk/x", ("btrfs", "/mnt/my disk")),
        ] {
            let found = file_system_of(MOUNTS.as_bytes(), Path::new(path)).expect("the root is mounted");
            assert_eq!((found.0.as_str(), found.1.as_str()), expected, "{path}");
        }
        assert_eq!(file_system_of(b"", Path::new("/x")), None);
        assert_eq!(file_system_of(b"\n1 2\n- -\n", Path::new("/x")), None);
    }

    #[test]
    fn a_workplace_is_there_until_it_is_dropped() {
        let parent = tempfile::tempdir().expect("a writable folder");
        let workplace = Workplace::make(parent.path(), 7, false).expect("a writable folder");
        let folder = workplace.folder.clone();
        assert!(workplace.data().is_dir() && folder.ends_with("noctule-prove-00000007"));
        assert_ne!(workplace.place().file_system, "unknown");
        drop(workplace);
        assert!(!folder.exists());

        drop(Workplace::make(parent.path(), 7, true).expect("a writable folder"));
        assert!(folder.exists(), "it is to be kept");
    }

    #[test]
    fn a_folder_that_cannot_be_made_is_an_error_that_names_it() {
        let text = Workplace::make(Path::new("/proc"), 7, false).expect_err("/proc holds no folders of ours");
        let text = text.to_string();
        assert!(text.contains("/proc/noctule-prove-00000007") && text.contains("--data-dir"), "{text}");
    }
}
