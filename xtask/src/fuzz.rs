//! `cargo xtask fuzz`: runs the targets of `fuzz/`, which lies outside the workspace because it needs nightly.
//!
//! What a run finds new goes to `fuzz/corpus/TARGET` (not tracked); what every run starts from is `fuzz/seeds/TARGET`.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail, ensure};

use crate::project::{self, Project};
use crate::tools;

/// What to fuzz, and how long.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Options {
    /// One target, or all of them in turn.
    target: Option<String>,
    /// Run time of each target in seconds.
    seconds: u32,
}

const SECONDS_DEFAULT: u32 = 60;

impl Options {
    /// Reads `[TARGET] [--seconds N]` in any order.
    pub(crate) fn parse(words: &[&str]) -> Result<Self> {
        let mut options = Self { target: None, seconds: SECONDS_DEFAULT };
        let mut words = words.iter();
        while let Some(&word) = words.next() {
            if word == "--seconds" {
                let number = words.next().context("--seconds needs a number")?;
                options.seconds =
                    number.parse().with_context(|| format!("--seconds: not a number: {number}"))?;
            } else if word.starts_with('-') || options.target.is_some() {
                bail!("fuzz: unexpected argument {word}; usage: cargo xtask fuzz [TARGET] [--seconds N]");
            } else {
                options.target = Some(word.to_owned());
            }
        }
        Ok(options)
    }
}

/// Fuzzes each chosen target; the first that finds a failure ends the run with the command that reproduces it.
pub(crate) fn run(project: &Project, options: &Options) -> Result<()> {
    let known = targets(&project.path("fuzz/fuzz_targets"))?;
    let chosen = match &options.target {
        Some(target) if known.contains(target) => vec![target.clone()],
        Some(target) => bail!("no fuzz target {target}; there are: {}", known.join(", ")),
        None => known,
    };
    let program = tools::CARGO_FUZZ.installed(project)?;
    for target in &chosen {
        println!("\n=== fuzz {target} for {} s", options.seconds);
        run_target(project, &program, target, options.seconds)?;
    }
    println!("\n{} targets, {} s each, no failure", chosen.len(), options.seconds);
    Ok(())
}

fn targets(folder: &Path) -> Result<Vec<String>> {
    let entries = fs::read_dir(folder).with_context(|| format!("cannot list {}", folder.display()))?;
    let mut names = Vec::new();
    for entry in entries {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "rs") {
            names.extend(path.file_stem().map(|stem| stem.to_string_lossy().into_owned()));
        }
    }
    names.sort();
    ensure!(!names.is_empty(), "no fuzz targets in {}", folder.display());
    Ok(names)
}

fn run_target(project: &Project, program: &Path, target: &str, seconds: u32) -> Result<()> {
    let corpus = project.path(&format!("fuzz/corpus/{target}"));
    fs::create_dir_all(&corpus).with_context(|| format!("cannot create {}", corpus.display()))?;
    let seeds = project.path(&format!("fuzz/seeds/{target}"));

    let mut command = project.command("rustup");
    // rustup picks the toolchain; what the stable cargo above us has set would override it.
    command.env_remove("RUSTUP_TOOLCHAIN").env_remove("CARGO").env_remove("RUSTC");
    command.args(["run", "nightly"]).arg(program).args(["run", target]).arg(corpus);
    if seeds.is_dir() {
        command.arg(seeds);
    }
    command.arg("--").arg(format!("-max_total_time={seconds}"));
    project::run(&mut command)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn target_and_seconds_in_any_order() {
        let expected = Options { target: Some("decoder".to_owned()), seconds: 600 };
        assert_eq!(Options::parse(&["decoder", "--seconds", "600"]).unwrap(), expected);
        assert_eq!(Options::parse(&["--seconds", "600", "decoder"]).unwrap(), expected);
        assert_eq!(Options::parse(&[]).unwrap(), Options { target: None, seconds: SECONDS_DEFAULT });
    }

    #[test]
    fn wrong_arguments_are_refused() {
        for words in [&["--seconds"][..], &["--seconds", "ten"], &["one", "two"], &["--minutes", "1"]] {
            assert!(Options::parse(words).is_err(), "{words:?}");
        }
    }
}
