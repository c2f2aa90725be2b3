//! Rules about every text file: nothing in them is true on one machine only.

use crate::assert_none;
use crate::files;

/// Folders of the machines this is developed on, and hosts packages are fetched from. They are spelled in two halves so
/// that this file passes its own test.
const LOCAL_NAMES: &[(&str, &str)] = &[
    ("/wo", "rk/"),
    ("/ro", "ot/"),
    ("/ho", "me/"),
    ("/tmp/", "wt"),
    ("crates", ".io"),
    ("pypi", ".org"),
    ("registry.npm", "js"),
    ("deb.deb", "ian"),
];

/// Cargo writes the registry's name into the lock file itself.
const WRITTEN_BY_TOOLS: &[&str] = &["Cargo.lock", "fuzz/Cargo.lock"];

#[test]
fn nothing_is_true_on_one_machine_only() {
    let mut violations = Vec::new();
    let files = files::all();
    for file in files.iter().filter(|file| !WRITTEN_BY_TOOLS.contains(&file.path.as_str())) {
        for (index, line) in file.text.lines().enumerate() {
            for (first, second) in LOCAL_NAMES {
                let name = format!("{first}{second}");
                if line.contains(&name) {
                    violations.push(format!("{}:{}: {name}", file.path, index + 1));
                }
            }
        }
    }
    assert_none("No paths of one machine and no registry hosts", &violations);
}
