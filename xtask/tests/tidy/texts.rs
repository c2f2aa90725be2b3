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

/// The page whose threats each name the tests that show what stops them.
const SECURITY: &str = "docs/security.md";
/// Nothing else in that page has so many underscores.
const UNDERSCORES_OF_A_TEST: usize = 4;

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

/// Whether this is how a test is called.
fn is_test_name(word: &str) -> bool {
    let is_plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    word.chars().all(is_plain) && word.matches('_').count() >= UNDERSCORES_OF_A_TEST
}

#[test]
fn every_test_that_the_page_about_security_names_is_there() {
    let files = files::all();
    let page = files.iter().find(|file| file.path == SECURITY).expect("the page");
    let sources: Vec<&str> =
        files.iter().filter(|file| file.path.ends_with(".rs")).map(|file| &*file.text).collect();
    let names: Vec<&str> = page.text.split('`').filter(|word| is_test_name(word)).collect();
    assert!(names.len() > 40, "the page has its tests in backticks: {names:?}");
    let is_missing = |name: &&&str| !sources.iter().any(|text| text.contains(&format!("fn {name}(")));
    let missing: Vec<String> = names.iter().filter(is_missing).map(ToString::to_string).collect();
    assert_none("Every test that docs/security.md names is there", &missing);
}

#[test]
fn every_threat_names_a_test() {
    let files = files::all();
    let page = files.iter().find(|file| file.path == SECURITY).expect("the page");
    let (_, table) = page.text.split_once("| Threat |").expect("the table");
    let rows = table.lines().skip(2).take_while(|line| line.starts_with('|'));
    let shows = |row: &str| row.rsplit('|').nth(1).is_some_and(|tests| tests.split('`').any(is_test_name));
    let bare: Vec<String> = rows.filter(|row| !shows(row)).map(str::to_owned).collect();
    assert_none("Every threat in docs/security.md names a test that shows what stops it", &bare);
}
