//! `cargo xtask mutants`: makes small wrong changes, one after another, and demands that a named test notices.
//!
//! A wrong change may have a test ask for memory without end. The tests get so much and no more, and one that wants
//! more fails.

use std::collections::{BTreeMap, BTreeSet};
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
    ensure_unchanged_passes(project, &mutants)?;
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

/// A test that fails anyway notices nothing. All are run before the first change, so each package is built once for it.
fn ensure_unchanged_passes(project: &Project, mutants: &[Mutant]) -> Result<()> {
    let mut tests = BTreeMap::<&str, BTreeSet<&str>>::new();
    for mutant in mutants {
        tests.entry(&mutant.package).or_default().extend(mutant.tests.iter().map(String::as_str));
    }
    for (package, tests) in tests {
        ensure!(build(project, package)?, "the tests of {package} do not compile without a change");
        ensure!(test(project, package, tests)?, "tests of {package} fail without a change");
    }
    Ok(())
}

/// Whether one of the mutant's tests fails. The file is as it was afterwards, whatever happens.
fn is_caught(project: &Project, mutant: &Mutant) -> Result<bool> {
    let path = project.path(&mutant.file);
    let original = fs::read_to_string(&path).with_context(|| mutant.file.clone())?;
    ensure!(original.matches(&mutant.from).count() == 1, "`from` does not stand in {} once", mutant.file);
    fs::write(&path, original.replacen(&mutant.from, &mutant.to, 1))?;
    let compiles = build(project, &mutant.package);
    let passes = test(project, &mutant.package, mutant.tests.iter().map(String::as_str));
    fs::write(&path, original)?;
    ensure!(compiles?, "it does not compile");
    Ok(!passes?)
}

/// Whether the tests of a package compile. The compiler takes what memory it needs.
fn build(project: &Project, package: &str) -> Result<bool> {
    succeeds(project.command("cargo").args(cargo_test(package)).arg("--no-run"))
}

/// Whether those tests of a package pass whose names contain one of these, within the memory that they have.
fn test<'a>(project: &Project, package: &str, names: impl IntoIterator<Item = &'a str>) -> Result<bool> {
    let limited = format!("ulimit -v {MEMORY_KIB_MAX} && exec \"$@\"");
    let mut command = project.command("sh");
    command.args(["-c", &limited, "sh", "cargo"]).args(cargo_test(package));
    succeeds(command.arg("--").args(names))
}

fn cargo_test(package: &str) -> [&str; 5] {
    ["test", "--quiet", "--package", package, "--tests"]
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
