//! What the tools share: reading the values of their flags, and printing what they found.

use std::io::{self, Write as _};
use std::str::FromStr;
use std::time::Duration;

use clap::ArgMatches;
use noctule_probe::ProtocolVersion;
use serde::Serialize;

use crate::failure::Failure;

pub(crate) fn print(report: &(impl Serialize + std::fmt::Display), as_json: bool) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    if as_json {
        serde_json::to_writer(&mut out, report).map_err(io::Error::from)?;
        writeln!(out)?;
    } else {
        writeln!(out, "{report}")?;
    }
    Ok(out.flush()?)
}

/// Prints a text for a person, and ends its last line.
pub(crate) fn print_text(text: &str) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    writeln!(out, "{text}")?;
    Ok(out.flush()?)
}

pub(crate) fn version(text: &str) -> Result<ProtocolVersion, Failure> {
    match text {
        "3.1" => Ok(ProtocolVersion::V3_1),
        "3.1.1" => Ok(ProtocolVersion::V3_1_1),
        "5" | "5.0" => Ok(ProtocolVersion::V5),
        _ => Err(usage(&format!("--mqtt {text}: it is 3.1, 3.1.1 or 5"))),
    }
}

pub(crate) fn seconds(matches: &ArgMatches, flag: &str) -> Result<Option<Duration>, Failure> {
    let Some(text) = text(matches, flag) else { return Ok(None) };
    let seconds = text.parse().ok().and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    match seconds {
        Some(duration) => Ok(Some(duration)),
        None => Err(usage(&format!("--{flag} {text}: it is a number of seconds, such as 10 or 0.5"))),
    }
}

pub(crate) fn number<T: FromStr>(matches: &ArgMatches, flag: &str) -> Result<Option<T>, Failure> {
    let Some(text) = text(matches, flag) else { return Ok(None) };
    match text.parse() {
        Ok(number) => Ok(Some(number)),
        Err(_) => Err(usage(&format!("--{flag} {text}: it is a whole number that is not too large"))),
    }
}

pub(crate) fn parse<T: FromStr<Err: std::fmt::Display>>(flag: &str, text: &str) -> Result<T, Failure> {
    text.parse().map_err(|error| usage(&format!("--{flag} {text}: {error}")))
}

/// The value of a flag; none where the command does not have it or it was not given.
pub(crate) fn text<'a>(matches: &'a ArgMatches, flag: &str) -> Option<&'a str> {
    matches.try_get_one::<String>(flag).ok().flatten().map(String::as_str)
}

pub(crate) fn set<T>(option: &mut T, value: Option<T>) {
    if let Some(value) = value {
        *option = value;
    }
}

pub(crate) fn usage(text: &str) -> Failure {
    Failure::Usage(text.to_owned())
}
