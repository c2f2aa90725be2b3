//! Files with secrets in them: read with suspicion, written so that nobody ever sees half of one.

use rustix::fs::{FlockOperation, flock};
use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _, fchown};
use std::path::{Path, PathBuf};
use thiserror::Error;

/// The content of a file with secrets.
#[derive(Debug)]
pub struct Secret {
    /// Its text.
    pub text: String,
    /// Who else can read it, if somebody should not.
    pub warning: Option<String>,
}

/// Why a file with secrets is not read.
#[derive(Debug, Error)]
pub enum SecretError {
    /// The operating system does not let us, or the file is no text.
    #[error("the file cannot be read: {0}")]
    Unreadable(#[from] io::Error),
    /// Somebody else decides where it is.
    #[error("the file is a link of user {owner}, who could make it another file; name the file itself")]
    ForeignLink {
        /// The number of that user.
        owner: u32,
    },
}

/// Reads a file with secrets.
///
/// # Errors
/// It cannot be read, or is a link that belongs to somebody else than this process or root.
pub fn read_secret(path: &Path) -> Result<Secret, SecretError> {
    let warning = look_at(path)?;
    let text = fs::read_to_string(path)?;
    Ok(Secret { text, warning })
}

/// Looks at a file with secrets that somebody else reads, and says who else can, if somebody should not.
///
/// # Errors
/// It is not there, or is a link that belongs to somebody else than this process or root.
pub fn look_at(path: &Path) -> Result<Option<String>, SecretError> {
    refuse_foreign_link(path)?;
    let mode = fs::metadata(path)?.mode();
    Ok((mode & EVERYBODY != 0).then(|| {
        let path = path.display();
        format!("{path} has secrets in it and can be used by everybody; `chmod o= {path}` changes that")
    }))
}

/// Somebody else's link is not followed.
fn refuse_foreign_link(path: &Path) -> Result<(), SecretError> {
    let link = fs::symlink_metadata(path)?;
    let owner = link.uid();
    let is_foreign = link.is_symlink() && owner != 0 && owner != rustix::process::geteuid().as_raw();
    if is_foreign { Err(SecretError::ForeignLink { owner }) } else { Ok(()) }
}

/// Changes the text of a file, as [`write_secret`] writes it; a file that is not there has none. Two changes at a time
/// follow each other. Says whether there was a change.
///
/// # Errors
/// The file cannot be read or replaced, is somebody else's link, or `change` fails.
pub fn change_secret<E: From<io::Error>>(
    path: &Path,
    change: impl FnOnce(&str) -> Result<Option<String>, E>,
) -> Result<bool, E> {
    let (path, folder) = lock(path)?;
    let text = match fs::read_to_string(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
        text => text?,
    };
    let Some(text) = change(&text)? else { return Ok(false) };
    replace(&path, &text)?;
    folder.sync_all()?;
    Ok(true)
}

/// Writes a file anew, whatever was in it. It is replaced as a whole, so that whoever reads it meanwhile, and whoever
/// starts after a crash, finds it as it was or as it is to be. A new file can be read by its owner alone; one that was
/// there keeps its owner and its permissions.
///
/// # Errors
/// The file cannot be replaced, or is somebody else's link.
pub fn write_secret(path: &Path, text: &str) -> io::Result<()> {
    let (path, folder) = lock(path)?;
    replace(&path, text)?;
    folder.sync_all()
}

/// Where a file really is, and its folder, which is this process's alone until it is dropped.
fn lock(path: &Path) -> io::Result<(PathBuf, File)> {
    match refuse_foreign_link(path) {
        Err(SecretError::Unreadable(error)) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        Err(link @ SecretError::ForeignLink { .. }) => return Err(io::Error::other(link)),
        Err(SecretError::Unreadable(_)) | Ok(()) => {}
    }
    let path = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    let folder = File::open(folder.unwrap_or(Path::new(".")))?;
    flock(&folder, FlockOperation::LockExclusive)?;
    Ok((path, folder))
}

fn replace(path: &Path, text: &str) -> io::Result<()> {
    let new = beside(path);
    // One that is left behind by a crash goes, and nothing that somebody else has put there is written to.
    let _ = fs::remove_file(&new);
    let mut file = OpenOptions::new().write(true).create_new(true).mode(OWNER_ALONE).open(&new)?;
    if let Ok(old) = fs::metadata(path) {
        file.set_permissions(fs::Permissions::from_mode(old.mode() & 0o777))?;
        // Only root can give a file away; for all others it is theirs already, or becomes theirs.
        let _ = fchown(&file, Some(old.uid()), Some(old.gid()));
    }
    let written = file.write_all(text.as_bytes()).and_then(|()| file.sync_all());
    written.and_then(|()| fs::rename(&new, path)).inspect_err(|_| drop(fs::remove_file(&new)))
}

/// The name of the file that takes the place of this one.
fn beside(path: &Path) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(".new");
    name.into()
}

/// A new salt, or other bytes that nobody can guess.
///
/// # Errors
/// The operating system has none.
pub fn random_bytes<const N: usize>() -> io::Result<[u8; N]> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes)?;
    Ok(bytes)
}

const OWNER_ALONE: u32 = 0o600;
/// What everybody may do with a file.
const EVERYBODY: u32 = 0o007;

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().mode() & 0o777
    }

    fn append(text: &'static str) -> impl FnOnce(&str) -> io::Result<Option<String>> {
        move |old| Ok(Some(format!("{old}{text}")))
    }

    #[test]
    fn a_new_file_is_the_owners_and_an_old_one_keeps_its_permissions() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("users");
        assert!(change_secret(&path, append("a")).unwrap());
        assert_eq!(mode(&path), 0o600);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        assert!(change_secret(&path, append("b")).unwrap());
        assert_eq!((mode(&path), fs::read_to_string(&path).unwrap()), (0o640, "ab".to_owned()));
        assert!(!change_secret(&path, |_| io::Result::Ok(None)).unwrap());
        assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 1, "nothing is left beside it");
    }

    #[test]
    fn a_link_stays_a_link() {
        let folder = tempfile::tempdir().unwrap();
        let (file, link) = (folder.path().join("users"), folder.path().join("link"));
        symlink(&file, &link).unwrap();
        fs::write(&file, "a").unwrap();
        assert!(change_secret(&link, append("b")).unwrap());
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        assert_eq!(read_secret(&link).unwrap().text, "ab");
    }

    #[test]
    fn what_stands_in_the_place_of_the_new_file_is_not_written_to() {
        let folder = tempfile::tempdir().unwrap();
        let (file, trap) = (folder.path().join("users"), folder.path().join("trap"));
        fs::write(&trap, "untouched").unwrap();
        symlink(&trap, folder.path().join("users.new")).unwrap();
        assert!(change_secret(&file, append("a")).unwrap());
        assert_eq!(fs::read_to_string(&trap).unwrap(), "untouched");
        assert_eq!(fs::read_to_string(&file).unwrap(), "a");
    }

    #[test]
    fn who_else_can_read_it_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("users");
        fs::write(&path, "a").unwrap();
        for (mode, is_warned) in [(0o600, false), (0o640, false), (0o644, true), (0o602, true)] {
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            assert_eq!(read_secret(&path).unwrap().warning.is_some(), is_warned, "{mode:o}");
        }
    }

    #[test]
    fn two_changes_at_a_time_follow_each_other() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("users");
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| (0..25).for_each(|_| assert!(change_secret(&path, append("x")).unwrap())));
            }
        });
        assert_eq!(fs::read_to_string(&path).unwrap().len(), 100);
    }
}
