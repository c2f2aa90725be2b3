//! Rules about the Rust sources: what the crates that decide must not name, and what keeps files readable.

use std::io::Write;

use crate::assert_none;
use crate::files::{self, File};
use crate::manifests::PURE_CRATES;
use crate::rust_text::{RustText, line_at, paths, words};

/// Paths the crates that decide must not name. Time comes in as an argument.
const MACHINE_PATHS: &[&str] = &[
    "std::env",
    "std::fs",
    "std::net",
    "std::os",
    "std::process",
    "std::sync::Condvar",
    "std::sync::Mutex",
    "std::sync::RwLock",
    "std::sync::mpsc",
    "std::thread",
    "std::time::Instant",
    "std::time::SystemTime",
];

/// Words the crates that decide must not use.
const MACHINE_WORDS: &[&str] = &["async", "await", "mio", "tokio"];

/// Macros and attributes for what is not there yet.
const STUBS: &[&str] = &["todo!(", "unimplemented!(", "#[ignore"];

const LINE_CHARACTERS_MAX: usize = 120;
const FUNCTION_LINES_MAX: usize = 70;

/// How many functions may be longer than that. The number only ever goes down.
const LONG_FUNCTIONS_MAX: usize = 0;

#[test]
fn crates_that_decide_never_touch_the_machine() {
    let mut violations = Vec::new();
    for file in files::rust_sources().iter().filter(|file| is_pure(file)) {
        let text = RustText::new(&file.text);
        for (at, path) in paths(&text.code, "std") {
            if MACHINE_PATHS.iter().any(|forbidden| is_within(&path, forbidden)) {
                violations.push(place(file, at, &path));
            }
        }
        for word in MACHINE_WORDS {
            violations.extend(words(&text.code, word).map(|at| place(file, at, word)));
        }
    }
    assert_none("No async, clock, thread, lock, socket or file where the protocol is decided", &violations);
}

#[test]
fn only_the_codec_names_protocols_on_the_wire() {
    let mut violations = Vec::new();
    let others = files::rust_sources().into_iter().filter(File::is_product_source);
    for file in others.filter(|file| file.crate_folder() != Some("codec")) {
        let text = RustText::new(&file.text);
        for name in ["\"MQIsdp\"", "\"MQTT\""] {
            let found = text.without_comments.match_indices(name);
            violations.extend(found.map(|(at, _)| place(&file, at, name)));
        }
    }
    assert_none("Only the codec knows the protocol names and levels on the wire", &violations);
}

#[test]
fn nothing_is_left_for_later() {
    let mut violations = Vec::new();
    for file in files::rust_sources() {
        let text = RustText::new(&file.text);
        for stub in STUBS {
            violations.extend(text.code.match_indices(stub).map(|(at, _)| place(&file, at, stub)));
        }
    }
    assert_none("No stubs and no ignored tests", &violations);
}

#[test]
fn the_product_never_unwraps() {
    let mut violations = Vec::new();
    for file in files::rust_sources().into_iter().filter(File::is_product_source) {
        let text = RustText::new(&file.text);
        let tests = text.test_ranges();
        let found = text.code.match_indices(".unwrap()").map(|(at, _)| at);
        let outside_tests = found.filter(|at| !tests.iter().any(|range| range.contains(at)));
        violations.extend(outside_tests.map(|at| place(&file, at, "`expect` says which invariant holds")));
    }
    assert_none("No unwrap outside tests", &violations);
}

#[test]
fn each_file_says_what_it_is() {
    let sources = files::rust_sources();
    let silent = sources.iter().filter(|file| !file.text.starts_with("//!"));
    let violations: Vec<String> = silent.map(|file| file.path.clone()).collect();
    assert_none(
        "A source begins with a `//!` paragraph: what it is for, which invariants it keeps",
        &violations,
    );
}

#[test]
fn lines_fit_a_screen() {
    let mut violations = Vec::new();
    for file in files::rust_sources() {
        for (index, line) in file.text.lines().enumerate() {
            let characters = line.chars().count();
            if characters > LINE_CHARACTERS_MAX {
                violations.push(format!("{}:{}: {characters} characters", file.path, index + 1));
            }
        }
    }
    assert_none("A line has at most 120 characters", &violations);
}

/// A test may be a long table of cases; that reads well at any length.
#[test]
fn functions_show_one_decision() {
    let mut long = Vec::new();
    for file in files::rust_sources().into_iter().filter(|file| !file.is_test()) {
        let text = RustText::new(&file.text);
        let tests = text.test_ranges();
        let outside_tests = text
            .functions()
            .into_iter()
            .filter(|function| !tests.iter().any(|range| range.contains(&function.at)));
        for function in outside_tests.filter(|function| function.lines > FUNCTION_LINES_MAX) {
            long.push(place(&file, function.at, &format!("{} has {} lines", function.name, function.lines)));
        }
    }
    assert_eq!(
        long.len().saturating_sub(LONG_FUNCTIONS_MAX),
        0,
        "{} functions are longer than {FUNCTION_LINES_MAX} lines, {LONG_FUNCTIONS_MAX} may be:\n  {}",
        long.len(),
        long.join("\n  ")
    );
}

/// Prints how much is tested; what is enough is for people to judge.
#[test]
fn test_lines_per_code_line() {
    let (mut tests, mut product) = (0_u32, 0_u32);
    for file in files::rust_sources().iter().filter(|file| !file.path.starts_with("xtask/")) {
        let text = RustText::new(&file.text);
        let all = lines_of_code(&text.code);
        if file.is_product_source() {
            let inside: u32 =
                text.test_ranges().into_iter().map(|range| lines_of_code(&text.code[range])).sum();
            (tests, product) = (tests + inside, product + all - inside);
        } else {
            tests += all;
        }
    }
    let ratio = f64::from(tests) / f64::from(product.max(1));
    // Straight to the stream: what a passing test prints is not shown.
    writeln!(std::io::stderr(), "test lines per code line: {ratio:.2} ({tests} / {product})")
        .expect("stderr is open");
}

fn is_pure(file: &File) -> bool {
    file.is_in_src() && file.crate_folder().is_some_and(|folder| PURE_CRATES.contains(&folder))
}

fn is_within(path: &str, forbidden: &str) -> bool {
    path.strip_prefix(forbidden).is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
}

fn place(file: &File, at: usize, what: &str) -> String {
    format!("{}:{}: {what}", file.path, line_at(&file.text, at))
}

fn lines_of_code(code: &str) -> u32 {
    code.lines().map(|line| u32::from(!line.trim().is_empty())).sum()
}
