//! The files of the repository: everything below the root that `.gitignore` does not name.

use std::fs;
use std::path::{Path, PathBuf};

/// One text file.
pub(crate) struct File {
    /// Relative to the root, with `/` between the parts.
    pub(crate) path: String,
    pub(crate) text: String,
}

impl File {
    /// Name of the crate's folder under `crates/` if this is one of its files.
    pub(crate) fn crate_folder(&self) -> Option<&str> {
        self.path.strip_prefix("crates/")?.split('/').next()
    }

    /// True for a Rust source of a crate's library or binary; its `#[cfg(test)]` parts included.
    pub(crate) fn is_in_src(&self) -> bool {
        let mut parts = self.path.split('/');
        parts.next() == Some("crates") && parts.nth(1) == Some("src") && self.path.ends_with(".rs")
    }

    /// True for what ends up in the product.
    pub(crate) fn is_product_source(&self) -> bool {
        self.is_in_src() && !self.is_test()
    }

    /// True for a source that holds nothing but tests or measurements.
    pub(crate) fn is_test(&self) -> bool {
        let folders = ["/tests/", "/benches/", "/examples/"];
        self.path.ends_with("/tests.rs") || folders.iter().any(|folder| self.path.contains(folder))
    }
}

/// Every text file, in order of path. Files that are not UTF-8 are no text.
pub(crate) fn all() -> Vec<File> {
    let root = root();
    let ignored = ignored_paths(&root);
    let mut found = Vec::new();
    collect(&root, &root, &ignored, &mut found);
    found.sort_by(|a: &File, b: &File| a.path.cmp(&b.path));
    found
}

/// Every Rust source, in order of path.
pub(crate) fn rust_sources() -> Vec<File> {
    all().into_iter().filter(|file| file.path.ends_with(".rs")).collect()
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("xtask lies in the repository's root").to_path_buf()
}

/// The entries of `.gitignore` that name one place; patterns are only used for what is no text.
fn ignored_paths(root: &Path) -> Vec<PathBuf> {
    let gitignore = fs::read_to_string(root.join(".gitignore")).expect("the repository has a .gitignore");
    let places = gitignore.lines().filter_map(|line| line.strip_prefix('/'));
    places.map(|place| root.join(place)).chain([root.join(".git")]).collect()
}

fn collect(root: &Path, folder: &Path, ignored: &[PathBuf], found: &mut Vec<File>) {
    for entry in fs::read_dir(folder).expect("the repository can be read") {
        let entry = entry.expect("the repository can be read");
        let path = entry.path();
        let kind = entry.file_type().expect("the repository can be read");
        if ignored.contains(&path) {
            continue;
        }
        if kind.is_dir() {
            collect(root, &path, ignored, found);
        } else if kind.is_file()
            && let Ok(text) = fs::read_to_string(&path)
        {
            let relative = path.strip_prefix(root).expect("the walk started at the root");
            found.push(File { path: relative.to_string_lossy().into_owned(), text });
        }
    }
}
