//! `noctule import`: the configuration of another broker as ours, and what became of each of its lines.

mod command;

use std::fs;
use std::io;
use std::path::PathBuf;

use clap::ArgMatches;
use noctule_import::{Entry, Import, mosquitto};
use serde_json::json;

use crate::failure::Failure;

pub(crate) use command::command;

/// Writes our configuration to standard output and the report to standard error, unless told otherwise.
pub(crate) fn import(matches: &ArgMatches) -> Result<(), Failure> {
    let Some(("mosquitto", matches)) = matches.subcommand() else {
        unreachable!("clap asks for one of the declared commands")
    };
    let file: &PathBuf = matches.get_one(command::FILE).expect("clap requires the argument");
    let import = mosquitto::import(file);
    if !import.problems.is_empty() {
        let lines: Vec<String> = import.problems.iter().map(ToString::to_string).collect();
        return Err(Failure::Import(lines.join("\n")));
    }
    write_to(matches.get_one(command::OUTPUT), &import.toml, io::stdout())?;
    let is_json = matches.get_one::<String>(command::FORMAT).is_some_and(|format| format == command::JSON);
    let report = if is_json { report_json(&import) } else { import.report.to_string() };
    write_to(matches.get_one(command::REPORT), &report, io::stderr())?;
    match import.report.refused().filter(|entry| entry.is_vital).count() {
        0 => Ok(()),
        count => Err(Failure::Import(format!(
            "noctule: {count} of the refused lines kept somebody out or something secret; look at them before this \
             configuration is used"
        ))),
    }
}

/// Writes to a file, or else to where there is no file.
fn write_to(file: Option<&PathBuf>, text: &str, mut otherwise: impl io::Write) -> Result<(), Failure> {
    match file {
        None => {
            otherwise.write_all(text.as_bytes())?;
            Ok(otherwise.flush()?)
        }
        Some(path) => fs::write(path, text).map_err(|error| {
            Failure::Import(format!("noctule: {} cannot be written: {error}", path.display()))
        }),
    }
}

/// One object: the lines, and how many of them there are of each kind.
fn report_json(import: &Import) -> String {
    let lines: Vec<_> = import.report.entries.iter().map(entry_json).collect();
    let report = json!({
        "file": import.file.display().to_string(),
        "lines": lines,
        "summary": import.report.summary(),
    });
    format!("{report:#}\n")
}

fn entry_json(entry: &Entry) -> serde_json::Value {
    json!({
        "file": entry.place.file.display().to_string(),
        "line": entry.place.line,
        "text": entry.text,
        "verdict": entry.verdict.name(),
        "note": entry.note,
        "stops_the_broker": entry.is_vital,
    })
}
