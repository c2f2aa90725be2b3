//! `cargo xtask mutants`: makes small wrong changes, one after another, and demands that a named test notices.

use std::fs;

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
    let text = fs::read_to_string(project.path("testkit/mutants.toml")).context("testkit/mutants.toml")?;
    let List { mutant: mut mutants } = toml::from_str(&text).context("testkit/mutants.toml")?;
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

/// Whether one of the mutant's tests fails. The file is as it was afterwards, whatever happens.
fn is_caught(project: &Project, mutant: &Mutant) -> Result<bool> {
    let path = project.path(&mutant.file);
    let original = fs::read_to_string(&path).with_context(|| mutant.file.clone())?;
    ensure!(original.matches(&mutant.from).count() == 1, "`from` does not stand in {} once", mutant.file);
    ensure!(test(project, mutant)?, "its tests fail without it");
    fs::write(&path, original.replacen(&mutant.from, &mutant.to, 1))?;
    let compiles = cargo(project, mutant, &["--no-run"]);
    let passes = test(project, mutant);
    fs::write(&path, original)?;
    ensure!(compiles?, "it does not compile");
    Ok(!passes?)
}

/// Whether the mutant's tests pass.
fn test(project: &Project, mutant: &Mutant) -> Result<bool> {
    let tests: Vec<&str> = mutant.tests.iter().map(String::as_str).collect();
    cargo(project, mutant, &[&["--"], &tests[..]].concat())
}

fn cargo(project: &Project, mutant: &Mutant, arguments: &[&str]) -> Result<bool> {
    let mut command = project.command("cargo");
    command.args(["test", "--quiet", "--package", &mutant.package, "--tests"]).args(arguments);
    let output = command.env("RUST_BACKTRACE", "0").output().context("cargo test")?;
    Ok(output.status.success())
}
