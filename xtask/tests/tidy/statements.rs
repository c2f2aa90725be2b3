//! Every normative statement, for a server or a client, has a test that carries its number in its name.
//!
//! A name begins its numbers with `mqtt5_`, `mqtt311_`, or `mqtt_` where the statement is the same in both:
//! `mqtt5_3_1_2_24_…` is [MQTT-3.1.2-24] of 5.0, `mqtt311_4_6_0_2_and_3_…` two statements of 3.1.1. The
//! statements are in `docs/conformance/`, those without a test in `open.csv` there with the reason.

use std::collections::{BTreeMap, BTreeSet};

use crate::assert_none;
use crate::files::{self, File};

/// The statements of one version: number without `MQTT-`, and who must obey.
type Statements = BTreeMap<String, String>;

#[test]
fn statements_have_a_test_or_a_reason() {
    let files = files::all();
    let names = test_names();
    let mut missing = Vec::new();
    for (version, prefix) in [("mqtt5", "mqtt5"), ("mqtt311", "mqtt311")] {
        let statements = statements(&files, version);
        let open = open(&files, version);
        let covered: BTreeSet<String> =
            names.iter().flat_map(|name| statements_in(name, prefix, &statements)).collect();
        for (id, side) in &statements {
            if !covered.contains(id) && !open.contains(id) {
                missing.push(format!("{version} {id} ({side}) has no test and is not listed in open.csv"));
            }
        }
        missing.extend(
            open.intersection(&covered).map(|id| format!("{version} {id} is listed as open and has a test")),
        );
        let unknown = open.iter().filter(|id| !statements.contains_key(*id));
        missing.extend(unknown.map(|id| format!("{version} {id} in open.csv is no statement")));
    }
    assert_none("Every normative statement has a test with its number, or a reason", &missing);
}

#[test]
fn numbers_in_names_are_read_as_statements() {
    let known: Statements =
        ["3.1.2-4", "3.10.4-1", "3.10.4-2", "4.2-1"].map(|id| (id.to_owned(), "server".to_owned())).into();
    let read = |name| statements_in(name, "mqtt5", &known);
    assert_eq!(read("mqtt5_3_10_4_1_2_removed_filters"), ["3.10.4-1", "3.10.4-2"]);
    assert_eq!(read("mqtt5_3_1_2_4_and_4_2_1_both"), ["3.1.2-4", "4.2-1"]);
    assert_eq!(read("mqtt_3_1_2_4_of_both"), ["3.1.2-4"]);
    assert_eq!(read("mqtt311_3_1_2_4_and_mqtt5_3_10_4_2_each"), ["3.10.4-2"]);
    assert_eq!(read("bug_9_rmqtt_18"), [""; 0]);
}

fn test_names() -> Vec<String> {
    let sources = files::rust_sources();
    let lines = sources.iter().flat_map(|file| file.text.lines());
    let code = lines.map(str::trim_start).map(|line| line.strip_prefix("async ").unwrap_or(line));
    let names = code.filter_map(|line| line.strip_prefix("fn ")?.split_once('(').map(|(name, _)| name));
    names.map(str::to_owned).collect()
}

fn table<'a>(files: &'a [File], name: &str) -> impl Iterator<Item = (&'a str, &'a str)> {
    let path = format!("docs/conformance/{name}.csv");
    let file = files.iter().find(|file| file.path == path).unwrap_or_else(|| panic!("{path} is there"));
    file.text.lines().skip(1).filter_map(|line| line.split_once(','))
}

fn statements(files: &[File], version: &str) -> Statements {
    let rows = table(files, version).filter_map(|(id, rest)| {
        let (side, _) = rest.split_once(',')?;
        Some((id.strip_prefix("MQTT-")?.to_owned(), side.to_owned()))
    });
    rows.collect()
}

fn open(files: &[File], version: &str) -> BTreeSet<String> {
    let rows = table(files, "open").filter(|(row_version, _)| *row_version == version);
    rows.filter_map(|(_, rest)| Some(rest.split_once(',')?.0.to_owned())).collect()
}

/// The statements of one version that a test's name carries.
fn statements_in(name: &str, prefix: &str, known: &Statements) -> Vec<String> {
    let mut found = Vec::new();
    let mut words = name.split('_').peekable();
    while let Some(word) = words.next() {
        if word != prefix && word != "mqtt" {
            continue;
        }
        let mut numbers = Vec::new();
        while let Some(number) =
            words.next_if(|word| *word == "and" || word.bytes().all(|byte| byte.is_ascii_digit()))
        {
            numbers.extend((number != "and").then_some(number));
        }
        found.extend(read_numbers(&numbers, None, known).unwrap_or_default());
    }
    found
}

/// Reads numbers as sections followed by their statements, however they can be read completely.
fn read_numbers(numbers: &[&str], section: Option<&str>, known: &Statements) -> Option<Vec<String>> {
    if numbers.is_empty() {
        return Some(Vec::new());
    }
    let begin = (1..numbers.len().min(SECTION_NUMBERS_MAX + 1)).rev().find_map(|length| {
        let section = numbers[..length].join(".");
        read_statement(&section, &numbers[length..], known)
    });
    begin.or_else(|| read_statement(section?, numbers, known))
}

fn read_statement(section: &str, numbers: &[&str], known: &Statements) -> Option<Vec<String>> {
    let id = format!("{section}-{}", numbers.first()?);
    if !known.contains_key(&id) {
        return None;
    }
    let mut rest = read_numbers(&numbers[1..], Some(section), known)?;
    rest.insert(0, id);
    Some(rest)
}

/// A section has at most this many numbers, as in 3.1.2.
const SECTION_NUMBERS_MAX: usize = 3;
