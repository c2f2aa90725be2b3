//! `noctule tls`: what a listener with TLS needs, for those who have no authority of their own.

mod command;
mod files;
mod init;
mod names;

use std::path::PathBuf;

use clap::ArgMatches;

use crate::failure::Failure;
use crate::values::{number, print_text};

pub(crate) use command::command;
pub(crate) use init::InitError;

/// Does what was asked for and prints what there is now.
pub(crate) fn tls(matches: &ArgMatches) -> Result<(), Failure> {
    match matches.subcommand() {
        Some((command::INIT, matches)) => init(matches),
        _ => unreachable!("clap asks for one of the declared commands"),
    }
}

fn init(matches: &ArgMatches) -> Result<(), Failure> {
    let dir = matches.get_one::<PathBuf>(command::DIR).expect("it has a default").clone();
    let given = matches.get_many::<String>(command::NAME).into_iter().flatten().cloned();
    let names = match given.collect::<Vec<_>>() {
        none if none.is_empty() => names::of_this_machine(),
        given => given,
    };
    let days = number(matches, command::DAYS)?.unwrap_or(init::DAYS);
    let made = init::Request { dir, names, days, is_forced: matches.get_flag(command::FORCE) }.carry_out()?;
    print_text(&made.to_string())
}
