//! `cargo xtask test`: the steps that decide whether a change is good.
//!
//! Every step runs even when an earlier one failed, so one run shows everything there is to mend. The last line counts
//! the steps: `N passed, N failed`. Nothing is skipped silently: what a step needs and cannot get is a failure.

use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};

use crate::project::{self, Project};
use crate::{setup, tools};

/// All steps in the order they run. A new step is one line.
const STEPS: &[Step] = &[
    Step { name: "setup", extent: Extent::Full, run: setup::install_missing },
    Step { name: "format", extent: Extent::Fast, run: format },
    Step { name: "lints", extent: Extent::Fast, run: lints },
    Step { name: "tests", extent: Extent::Fast, run: tests },
    Step { name: "documentation", extent: Extent::Fast, run: documentation },
    Step { name: "licences and dependencies", extent: Extent::Full, run: dependencies },
    Step { name: "release build", extent: Extent::Full, run: release_build },
    Step { name: "interoperability", extent: Extent::Full, run: interoperability },
];

/// How much of the list a run covers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Extent {
    /// What needs nothing but the Rust toolchain.
    Fast,
    /// Everything.
    Full,
}

struct Step {
    name: &'static str,
    /// The smallest run this step belongs to.
    extent: Extent,
    run: fn(&Project) -> Result<()>,
}

struct Outcome {
    name: &'static str,
    duration: Duration,
    result: Result<()>,
}

/// Runs the steps of this extent and prints what came of each.
pub(crate) fn run(project: &Project, extent: Extent) -> ExitCode {
    let steps = STEPS.iter().filter(|step| extent == Extent::Full || step.extent == Extent::Fast);
    let outcomes: Vec<Outcome> = steps.map(|step| run_step(project, step)).collect();
    let failed = outcomes.iter().filter(|outcome| outcome.result.is_err()).count();

    println!("\n=== summary");
    for outcome in &outcomes {
        println!("{}", outcome.line());
    }
    println!("{} passed, {failed} failed", outcomes.len() - failed);
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn run_step(project: &Project, step: &Step) -> Outcome {
    println!("\n=== {}", step.name);
    let started = Instant::now();
    let result = (step.run)(project);
    let outcome = Outcome { name: step.name, duration: started.elapsed(), result };
    println!("{}", outcome.line());
    outcome
}

impl Outcome {
    fn line(&self) -> String {
        let seconds = self.duration.as_secs_f64();
        match &self.result {
            Ok(()) => format!("ok      {seconds:6.1} s  {}", self.name),
            Err(error) => format!("FAILED  {seconds:6.1} s  {}: {error:#}", self.name),
        }
    }
}

fn format(project: &Project) -> Result<()> {
    project::run(&mut project.cargo(["fmt", "--all", "--check"]))
}

fn lints(project: &Project) -> Result<()> {
    project::run(&mut project.cargo(["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"]))
}

fn tests(project: &Project) -> Result<()> {
    project::run(&mut project.cargo(["test", "--workspace", "--no-fail-fast"]))
}

fn documentation(project: &Project) -> Result<()> {
    let mut command = project.cargo(["doc", "--workspace", "--no-deps"]);
    project::run(command.env("RUSTDOCFLAGS", "-D warnings"))
}

/// Licences, bans and sources follow from what is in the repository. Known vulnerabilities come from a database that
/// has to be fetched, so they are checked only where it is present, and the output says which case it was.
fn dependencies(project: &Project) -> Result<()> {
    let deny = tools::CARGO_DENY.installed(project)?;
    // It looks at the packages of every platform, and builds here have fetched those of this one only.
    project::run(&mut project.cargo(["fetch", "--locked"]))?;
    let mut checks = vec!["--offline", "check", "licenses", "bans", "sources"];
    if tools::has_advisory_database() {
        checks.push("advisories");
    } else {
        println!("advisories: NOT CHECKED, the advisory database is not on this machine (cargo deny fetch)");
    }
    project::run(project.command(deny).args(checks))
}

fn release_build(project: &Project) -> Result<()> {
    project::run(&mut project.cargo(["build", "--release", "--package", "noctule"]))?;
    let binary = project.release_binary();
    ensure!(binary.is_file(), "the build left no {}", binary.display());
    Ok(())
}

/// Other people's clients against the broker as a user gets it.
fn interoperability(project: &Project) -> Result<()> {
    for shards in ["1", "2", "3"] {
        println!("--- {shards} shards");
        let mut command = project.command("python3");
        command.arg("interop/run.py").arg("--broker").arg(project.release_binary());
        project::run(command.arg("--peers").arg(project.peers()).args(["--shards", shards]))?;
    }
    Ok(())
}
