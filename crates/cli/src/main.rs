//! The `noctule` binary: the command line in front of the broker and the tools.
//!
//! Standard output carries what was asked for (the ready line, a shown configuration), standard error
//! everything else. Exit codes: 0 all went well, 1 something failed while running, a measured broker lost or refused
//! something or a journal is damaged, 2 the command line or the configuration is wrong or a trial could not be run.

mod bench;
mod command;
mod completions;
mod explain;
mod failure;
mod import;
mod logging;
mod manual;
mod passwd;
mod prove;
mod serve;
mod settings;
mod store;
mod tls;
mod tools;
mod values;

use std::path::Path;
use std::process::ExitCode;

use clap::ArgMatches;

use failure::Failure;

/// Many small allocations from one thread each: what the system allocator is slowest at.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    if is_called(passwd::mosquitto::NAME) {
        return passwd::mosquitto::run(std::env::args_os().skip(1));
    }
    if let Some((program, arguments)) = tools::called() {
        return tools::run(program, arguments);
    }
    if let Some(program) = tools::asked_about() {
        return tools::run(program, ["--help".into()].into_iter());
    }
    // Ends the process with 0 after help and version, with 2 on a wrong command line.
    let matches = command::command().get_matches();
    match run(&matches) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report(),
    }
}

/// Whether the program is linked under this name.
fn is_called(name: &str) -> bool {
    let called = std::env::args_os().next();
    called.is_some_and(|path| Path::new(&path).file_name().is_some_and(|file| file == name))
}

fn run(matches: &ArgMatches) -> Result<(), Failure> {
    match matches.subcommand() {
        None => serve::serve(matches),
        Some(("serve", matches)) => serve::serve(matches),
        Some(("config", matches)) => config(matches),
        Some(("import", matches)) => import::import(matches),
        Some(("bench", matches)) => bench::bench(matches),
        Some(("prove", matches)) => prove::prove(matches),
        Some(("store", matches)) => store::store(matches),
        Some(("explain", matches)) => explain::explain(matches),
        Some(("passwd", matches)) => passwd::passwd(matches),
        Some(("tls", matches)) => tls::tls(matches),
        Some((completions::NAME, matches)) => completions::completions(matches),
        Some((manual::NAME, matches)) => manual::manual(matches),
        Some(_) => unreachable!("clap refuses commands that are not declared"),
    }
}

fn config(matches: &ArgMatches) -> Result<(), Failure> {
    match matches.subcommand() {
        Some(("show", matches)) => settings::show(matches),
        Some(("check", matches)) => settings::check(matches),
        Some(("reference", _)) => settings::reference(),
        _ => unreachable!("clap asks for one of the declared commands"),
    }
}
