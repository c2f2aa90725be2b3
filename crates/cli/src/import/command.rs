//! The command line of `noctule import`.

use std::path::PathBuf;

use clap::{Arg, Command, value_parser};

/// `noctule import` with what can be imported.
pub(crate) fn command() -> Command {
    Command::new("import")
        .about("Turns the configuration of another broker into ours")
        .subcommand_required(true)
        .arg_required_else_help(true)
        .subcommand(mosquitto())
}

fn mosquitto() -> Command {
    let file = |name: &'static str| Arg::new(name).value_name("FILE").value_parser(value_parser!(PathBuf));
    Command::new("mosquitto")
        .about("Writes a noctule.toml that says what a mosquitto.conf says, and what became of each of its lines")
        .arg(file(FILE).required(true).help("The mosquitto.conf"))
        .arg(file(OUTPUT).long(OUTPUT).help("Writes the configuration there instead of to standard output"))
        .arg(file(REPORT).long(REPORT).help("Writes the report there instead of to standard error"))
        .arg(
            Arg::new(FORMAT)
                .short('o')
                .long(FORMAT)
                .value_name("FORMAT")
                .value_parser(["text", JSON])
                .help("Form of the report [default: text]"),
        )
        .after_help(
            "Exits with 1 if the file has mistakes, which are named, or if a line was refused without which the \
             broker would be more open than before. docs/mosquitto.md says what becomes of each option.",
        )
}

/// Name of the argument for the file to read.
pub(super) const FILE: &str = "file";
/// Name of the flag for where the configuration goes.
pub(super) const OUTPUT: &str = "output";
/// Name of the flag for where the report goes.
pub(super) const REPORT: &str = "report";
/// Name of the flag for the form of the report.
pub(super) const FORMAT: &str = "format";
/// A report for programs.
pub(super) const JSON: &str = "json";
