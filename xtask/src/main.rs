//! The project's own commands, run as `cargo xtask COMMAND`.
//!
//! `cargo xtask test` is exactly what continuous integration runs; [`steps`] holds its list of steps. What the steps
//! need from outside (other people's MQTT clients, cargo tools) is installed by [`setup`] with pinned versions, so a
//! fresh Debian machine with a Rust toolchain is enough.

#![expect(clippy::print_stdout, reason = "a command talks to its user")]

mod bench;
mod fuzz;
mod instructions;
mod mutants;
mod project;
mod setup;
mod steps;
mod tools;
mod worlds;

use std::process::ExitCode;

use anyhow::{Result, bail};
use project::Project;

const HELP: &str = "\
Usage: cargo xtask COMMAND

Commands:
  test [--fast]                   Run what continuous integration runs; --fast leaves out
                                  what needs installed peers and tools (setup, licences, interop)
  setup                           Install the MQTT clients and brokers the tests talk to
  fuzz [TARGET] [--seconds N]     Run one fuzz target or all of them, N seconds each (default 60)
  worlds [--seeds N] [--from N]   Play more of the simulated worlds of the tests (default: 10000 seeds from
                                  1000 on, 50 seeds a minute): networks, processes and disks that fail
  bench [--quick] [--only NAME[,NAME]] [--seconds N] [--rounds N] [--json FILE]
                                  Measure the broker beside the reference relay and Mosquitto;
                                  docs/benchmarks.md says what and how
  instructions [--keep]           Count instructions per message with callgrind and compare them
                                  with docs/instructions.toml; --keep writes new ones
  mutants [NAME]                  Make small wrong changes, one after another (all, or those whose name
                                  contains NAME), and demand that a test notices each; some 10 minutes
  help                            Show this text
";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match dispatch(&arguments) {
        Ok(code) => code,
        Err(error) => {
            println!("xtask: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn dispatch(arguments: &[String]) -> Result<ExitCode> {
    let project = Project::locate()?;
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["test"] => Ok(steps::run(&project, steps::Extent::Full)),
        ["test", "--fast"] => Ok(steps::run(&project, steps::Extent::Fast)),
        ["setup"] => setup::install_missing(&project).map(|()| ExitCode::SUCCESS),
        ["fuzz", options @ ..] => {
            fuzz::run(&project, &fuzz::Options::parse(options)?).map(|()| ExitCode::SUCCESS)
        }
        ["worlds", options @ ..] => {
            worlds::run(&project, &worlds::Options::parse(options)?).map(|()| ExitCode::SUCCESS)
        }
        ["bench", options @ ..] => {
            bench::run(&project, &bench::Options::parse(options)?).map(|()| ExitCode::SUCCESS)
        }
        ["instructions"] => instructions::run(&project, instructions::Then::Compare),
        ["instructions", "--keep"] => instructions::run(&project, instructions::Then::Keep),
        ["mutants"] => mutants::run(&project, None).map(|()| ExitCode::SUCCESS),
        ["mutants", only] => mutants::run(&project, Some(only)).map(|()| ExitCode::SUCCESS),
        ["help" | "--help" | "-h"] => {
            print!("{HELP}");
            Ok(ExitCode::SUCCESS)
        }
        [] => bail!("no command given\n\n{HELP}"),
        _ => bail!("unknown command: {}\n\n{HELP}", words.join(" ")),
    }
}
