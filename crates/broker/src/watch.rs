//! Hears when a file of the configuration changes, where `reload_on_change` asks for that.
//!
//! Folders are watched, not files: editors and orchestrators put another file in the place of the old one. What is
//! heard becomes mail for the first shard, which waits a little, since files change one after the other.

use crate::shared::{Parcel, Shared};
use noctule_engine::ShardId;
use notify::{Event, RecommendedWatcher, RecursiveMode, Watcher as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Hears of changes as long as it lives.
pub(crate) struct Watch {
    _watcher: RecommendedWatcher,
}

impl Watch {
    /// Hears when one of these files changes, is replaced or comes to be.
    pub(crate) fn new(files: Vec<PathBuf>, shared: &Arc<Shared>) -> notify::Result<Self> {
        // Events have whole paths.
        let absolute = |file: PathBuf| std::path::absolute(&file).unwrap_or(file);
        let files: Vec<PathBuf> = files.into_iter().map(absolute).collect();
        let mut folders: Vec<PathBuf> = files.iter().map(|file| folder(file).to_owned()).collect();
        folders.sort_unstable();
        folders.dedup();
        let shared = Arc::clone(shared);
        let mut watcher = notify::recommended_watcher(move |event: notify::Result<Event>| {
            if event.is_ok_and(|event| is_about(&event, &files)) {
                shared.mailbox(ShardId(0)).put([Parcel::FilesChanged]);
            }
        })?;
        for folder in folders {
            watcher.watch(&folder, RecursiveMode::NonRecursive)?;
        }
        Ok(Self { _watcher: watcher })
    }
}

fn folder(file: &Path) -> &Path {
    file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Whether an event changes one of these files. Kubernetes replaces all files of a folder by a link whose name begins
/// with two dots.
fn is_about(event: &Event, files: &[PathBuf]) -> bool {
    let is_change = !event.kind.is_access();
    is_change
        && event.paths.iter().any(|path| {
            let name = path.file_name();
            let is_link = name.is_some_and(|name| name.to_string_lossy().starts_with(".."));
            is_link || files.iter().any(|file| file.file_name() == name && folder(file) == folder(path))
        })
}

#[cfg(test)]
mod tests {
    use super::*;
    use notify::EventKind;
    use notify::event::{AccessKind, CreateKind, ModifyKind};

    #[test]
    fn changes_of_the_files_are_told_from_others() {
        let files = ["noctule.toml", "tls/server.pem", "/etc/ca.pem"].map(PathBuf::from);
        let event = |kind, path: &str| Event { paths: vec![path.into()], ..Event::new(kind) };
        let (modified, created) = (EventKind::Modify(ModifyKind::Any), EventKind::Create(CreateKind::Any));
        for (path, is_ours) in [
            ("./noctule.toml", true),
            ("tls/server.pem", true),
            ("/etc/ca.pem", true),
            ("/etc/..data", true),
            ("tls/noctule.toml", false),
            ("./noctule.toml.swp", false),
        ] {
            assert_eq!(is_about(&event(modified, path), &files), is_ours, "{path}");
            assert_eq!(is_about(&event(created, path), &files), is_ours, "{path}");
            assert!(!is_about(&event(EventKind::Access(AccessKind::Any), path), &files), "{path} is read");
        }
    }
}
