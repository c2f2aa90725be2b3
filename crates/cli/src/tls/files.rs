//! The files of an authority and its server, which are written all or not at all.

use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use super::InitError;

/// A file to be written.
pub(super) struct NewFile {
    pub(super) name: &'static str,
    pub(super) text: String,
    /// Only its owner may read it.
    pub(super) is_secret: bool,
}

/// Writes these files into `dir`. Those that are there already are replaced if that is allowed, and otherwise nothing
/// is written.
pub(super) fn write_all(dir: &Path, files: &[NewFile], may_replace: bool) -> Result<(), InitError> {
    let failed = |path: &Path| {
        let path = path.to_owned();
        |source| InitError::File { path, source }
    };
    fs::DirBuilder::new().recursive(true).mode(0o755).create(dir).map_err(failed(dir))?;
    let there = files.iter().map(|file| dir.join(file.name)).find(|path| path.symlink_metadata().is_ok());
    if let Some(path) = there.filter(|_| !may_replace) {
        return Err(InitError::Exists { path });
    }
    for file in files {
        let path = dir.join(file.name);
        write(&path, file).map_err(failed(&path))?;
    }
    Ok(())
}

/// Writes a file beside its place and moves it there, so that nobody ever reads half of it and no link is followed.
fn write(path: &PathBuf, NewFile { text, is_secret, .. }: &NewFile) -> io::Result<()> {
    let beside = path.with_extension("new");
    let _ = fs::remove_file(&beside);
    let mode = if *is_secret { 0o600 } else { 0o644 };
    let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(&beside)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    fs::rename(&beside, path)
}
