//! `cargo xtask instructions`: how many instructions a message costs, counted by callgrind.
//!
//! Clocks on a shared machine differ by a third from hour to hour; counts do not, so a change of a few percent shows.
//! A workload of the testkit (`hot_path`) runs twice, with N messages and with twice as many: the difference divided by
//! N is the cost of one, without what goes before. The figures that are kept belong to one compiler and one processor
//! family; after a change of either, `--keep` makes new ones.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context, Result, ensure};

use crate::project::{self, Project};
use crate::setup;

/// What is done with the counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Then {
    /// They are compared with those that are kept.
    Compare,
    /// They are kept from now on.
    Keep,
}

/// Instructions per message by workload.
type Counts = BTreeMap<String, f64>;

/// Counts, prints the table, and fails if a workload has become dearer than it may.
pub(crate) fn run(project: &Project, then: Then) -> Result<ExitCode> {
    setup::install_programs(project, setup::VALGRIND)?;
    let build = ["build", "--release", "--package", "noctule-testkit", "--example", "instructions"];
    project::run(&mut project.cargo(build))?;
    let program = project.target().join("release/examples/instructions");
    let file = project.path(KEPT);
    let kept = read(&file)?;
    let mut counts = Counts::new();
    for workload in workloads(project, &program)? {
        counts.insert(workload.clone(), per_message(project, &program, &workload)?);
    }
    print(&counts, &kept);
    if then == Then::Keep {
        fs::write(&file, written(&counts)).with_context(|| format!("cannot write {}", file.display()))?;
        println!("\nkept in {KEPT}");
        return Ok(ExitCode::SUCCESS);
    }
    Ok(judge(&counts, &kept))
}

/// The program says what it can do.
fn workloads(project: &Project, program: &Path) -> Result<Vec<String>> {
    let output = project.command(program).output().context("cannot start the example")?;
    let names: Vec<String> = String::from_utf8(output.stdout)?.lines().map(str::to_owned).collect();
    ensure!(!names.is_empty(), "the example names no workloads");
    Ok(names)
}

fn per_message(project: &Project, program: &Path, workload: &str) -> Result<f64> {
    let once = collected(project, program, workload, MESSAGES)?;
    let twice = collected(project, program, workload, 2 * MESSAGES)?;
    Ok((twice - once) / f64::from(MESSAGES))
}

/// Instructions of one run.
fn collected(project: &Project, program: &Path, workload: &str, messages: u32) -> Result<f64> {
    let mut command = project.command("valgrind");
    command.args(["--tool=callgrind", "--callgrind-out-file=/dev/null"]).arg(program);
    let output = command.arg(workload).arg(messages.to_string()).output().context("cannot start valgrind")?;
    let text = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "valgrind ended with {}: {text}", output.status);
    collected_in(&text).with_context(|| format!("valgrind counted nothing: {text}"))
}

/// From the line `==PID== Collected : COUNT`.
fn collected_in(text: &str) -> Option<f64> {
    let line = text.lines().find(|line| line.contains("Collected : "))?;
    line.rsplit(' ').next()?.parse().ok()
}

fn print(counts: &Counts, kept: &Counts) {
    println!("{:<18} {:>12} {:>12} {:>8}", "workload", "instructions", "kept", "change");
    for (workload, count) in counts {
        let (kept, change) = match kept.get(workload) {
            Some(kept) => (format!("{kept:.0}"), format!("{:+.1} %", 100.0 * (count / kept - 1.0))),
            None => ("-".to_owned(), "-".to_owned()),
        };
        println!("{workload:<18} {count:>12.0} {kept:>12} {change:>8}");
    }
    println!("\nParts, as differences:");
    for (part, whole, others) in PARTS {
        let of = |name: &str| counts.get(name).copied().unwrap_or(f64::NAN);
        let rest = of(whole) - others.iter().map(|name| of(name)).sum::<f64>();
        println!("{part:<60} {rest:>8.0}  = {whole} - {}", others.join(" - "));
    }
}

fn judge(counts: &Counts, kept: &Counts) -> ExitCode {
    let worse = worse(counts, kept);
    for line in &worse {
        println!("{line}");
    }
    if worse.is_empty() {
        println!("\nno workload costs more than {PERCENT_MAX} % above what is kept in {KEPT}");
        return ExitCode::SUCCESS;
    }
    println!("\nfind out why, or keep the new counts: cargo xtask instructions --keep");
    ExitCode::FAILURE
}

/// A sentence for each workload that costs more than it may.
fn worse(counts: &Counts, kept: &Counts) -> Vec<String> {
    let dearer = counts.iter().filter_map(|(workload, count)| {
        let kept = kept.get(workload)?;
        let percent = 100.0 * (count / kept - 1.0);
        (*count > kept * (1.0 + PERCENT_MAX / 100.0)).then(|| {
            format!(
                "{workload}: {count:.0} instructions per message, {percent:.1} % more than the {kept:.0} kept"
            )
        })
    });
    dearer.collect()
}

/// Without the file nothing is kept yet.
fn read(file: &Path) -> Result<Counts> {
    if !file.exists() {
        return Ok(Counts::new());
    }
    let text = fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
    parse(&text).with_context(|| format!("{} is not understood", file.display()))
}

fn parse(text: &str) -> Result<Counts> {
    let table: toml::Table = text.parse()?;
    let number = |(workload, value): (String, toml::Value)| {
        let count = value.as_integer().with_context(|| format!("{workload} is no whole number"))?;
        Ok((workload, count as f64))
    };
    table.into_iter().map(number).collect()
}

fn written(counts: &Counts) -> String {
    let lines = counts.iter().map(|(workload, count)| format!("{workload} = {count:.0}\n"));
    HEADER.to_owned() + &lines.collect::<String>()
}

const KEPT: &str = "docs/instructions.toml";

const HEADER: &str = "\
# Instructions per message, counted by callgrind; docs/benchmarks.md says what each workload is.
# Written by: cargo xtask instructions --keep

";

/// What one workload costs beyond others.
const PARTS: [(&str, &str, &[&str]); 4] = [
    ("accept and route, route kept", "nobody", &["decode"]),
    ("search for a route, beyond a kept one", "nobody-searched", &["nobody"]),
    ("deliver and flush", "p2p-qos0", &["nobody", "encode"]),
    ("QoS 1: packet ids, PUBACK from and to both ends", "p2p-qos1", &["p2p-qos0"]),
];

/// Percent above what is kept that a workload may cost. The hash seeds of a process are worth less than one percent.
const PERCENT_MAX: f64 = 5.0;
const MESSAGES: u32 = 20_000;

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(entries: &[(&str, f64)]) -> Counts {
        entries.iter().map(|(name, count)| ((*name).to_owned(), *count)).collect()
    }

    #[test]
    fn what_is_written_is_read_again() {
        let some = counts(&[("decode", 525.0), ("p2p-qos0", 3208.0)]);
        assert_eq!(parse(&written(&some)).unwrap(), some);
        assert!(parse("decode = \"many\"").is_err());
    }

    #[test]
    fn only_more_than_five_percent_is_told() {
        let kept = counts(&[("decode", 100.0), ("encode", 100.0), ("old", 1.0)]);
        let now = counts(&[("decode", 105.0), ("encode", 106.0), ("new", 9.0)]);
        let worse = worse(&now, &kept);
        assert_eq!(worse.len(), 1, "{worse:?}");
        assert!(worse[0].starts_with("encode: 106 instructions per message, 6.0 %"), "{worse:?}");
    }

    #[test]
    fn callgrind_is_understood() {
        let text = "==7== Events    : Ir\n==7== Collected : 65328336\n==7==\n";
        assert_eq!(collected_in(text), Some(65_328_336.0));
        assert_eq!(collected_in("==7== Command: x\n"), None);
    }
}
