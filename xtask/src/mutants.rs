//! `cargo xtask mutants`: makes small wrong changes, one after another, and demands that a named test notices.
//!
//! A wrong change may have a test ask for memory without end. The tests get so much and no more, and one that wants
//! more fails.

use std::fs;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use serde::Deserialize;

use crate::project::Project;

#[derive(Deserialize)]
struct List {
    mutant: Vec<Mutant>,
}

/// One wrong change.
#[derive(Deserialize)]
struct Mutant {
    name: String,
    file: String,
    from: String,
    to: String,
    package: String,
    /// Parts of the names of the tests to run.
    tests: Vec<String>,
}

/// Runs all mutants, or those whose name contains `only`; fails if one of them is noticed by no test.
pub(crate) fn run(project: &Project, only: Option<&str>) -> Result<()> {
    let mut mutants = listed(project)?;
    mutants.retain(|mutant| only.is_none_or(|only| mutant.name.contains(only)));
    ensure!(!mutants.is_empty(), "no mutant has such a name");
    let mut survivors = Vec::new();
    for mutant in &mutants {
        let is_caught = is_caught(project, mutant).with_context(|| mutant.name.clone())?;
        println!("{} {}", if is_caught { "caught  " } else { "SURVIVED" }, mutant.name);
        if !is_caught {
            survivors.push(mutant.name.as_str());
        }
    }
    ensure!(survivors.is_empty(), "noticed by no test: {}", survivors.join(", "));
    println!("{} mutants, all caught", mutants.len());
    Ok(())
}

fn listed(project: &Project) -> Result<Vec<Mutant>> {
    let text = fs::read_to_string(project.path(LIST)).context(LIST)?;
    Ok(toml::from_str::<List>(&text).context(LIST)?.mutant)
}

/// Whether one of the mutant's tests fails. The file is as it was afterwards, whatever happens.
fn is_caught(project: &Project, mutant: &Mutant) -> Result<bool> {
    let path = project.path(&mutant.file);
    let original = fs::read_to_string(&path).with_context(|| mutant.file.clone())?;
    ensure!(original.matches(&mutant.from).count() == 1, "`from` does not stand in {} once", mutant.file);
    ensure!(build(project, mutant)?, "its tests do not compile without it");
    ensure!(test(project, mutant)?, "its tests fail without it");
    fs::write(&path, original.replacen(&mutant.from, &mutant.to, 1))?;
    let compiles = build(project, mutant);
    let passes = test(project, mutant);
    fs::write(&path, original)?;
    ensure!(compiles?, "it does not compile");
    Ok(!passes?)
}

/// Whether the mutant's tests compile. The compiler takes what memory it needs.
fn build(project: &Project, mutant: &Mutant) -> Result<bool> {
    succeeds(project.command("cargo").args(cargo_test(mutant)).arg("--no-run"))
}

/// Whether the mutant's tests pass, within the memory that they have.
fn test(project: &Project, mutant: &Mutant) -> Result<bool> {
    let limited = format!("ulimit -v {MEMORY_KIB_MAX} && exec \"$@\"");
    let mut command = project.command("sh");
    command.args(["-c", &limited, "sh", "cargo"]).args(cargo_test(mutant));
    succeeds(command.arg("--").args(&mutant.tests))
}

fn cargo_test(mutant: &Mutant) -> [&str; 5] {
    ["test", "--quiet", "--package", &mutant.package, "--tests"]
}

fn succeeds(command: &mut Command) -> Result<bool> {
    let output = command.env("RUST_BACKTRACE", "0").output().context("cargo test")?;
    Ok(output.status.success())
}

/// Address space of a test binary: many times what any of them needs, and less than a small machine has.
const MEMORY_KIB_MAX: u64 = 6 << 20;
const LIST: &str = "testkit/mutants.toml";

#[cfg(test)]
mod tests {
    use super::*;

    /// So a change of the code takes its mutants along.
    #[test]
    fn every_mutant_changes_one_place_that_is_there() {
        let project = Project::locate().unwrap();
        let astray = |mutant: &Mutant| {
            let text = fs::read_to_string(project.path(&mutant.file)).unwrap_or_default();
            text.matches(&mutant.from).count() != 1 || mutant.from == mutant.to
        };
        let mutants = listed(&project).unwrap();
        let astray: Vec<&str> =
            mutants.iter().filter(|it| astray(it)).map(|mutant| mutant.name.as_str()).collect();
        assert!(!mutants.is_empty() && astray.is_empty(), "{astray:?}");
    }
}
