//! The command line of `noctule tls`.

use std::path::PathBuf;

use clap::{Arg, ArgAction, Command, value_parser};

/// `tls` with what can be done.
pub(crate) fn command() -> Command {
    Command::new("tls")
        .about("Makes certificates for listeners with TLS")
        .subcommand_required(true)
        .arg_required_else_help(true)
        .disable_help_subcommand(true)
        .subcommand(
            Command::new(INIT)
                .about("Makes an authority and the certificate of a server, and says how to use them")
                .args(init_args())
                .after_help(INIT_HELP),
        )
}

fn init_args() -> [Arg; 4] {
    [
        Arg::new(DIR)
            .long("dir")
            .value_name("DIR")
            .value_parser(value_parser!(PathBuf))
            .default_value("tls")
            .help("Folder of the files; it is made if it is missing"),
        Arg::new(NAME).long("name").value_name("HOST").action(ArgAction::Append).help(
            "Host name or address that clients connect to; repeatable [default: those of this machine]",
        ),
        Arg::new(DAYS)
            .long("days")
            .value_name("N")
            .help("Days for which the server's certificate holds [default: 730]"),
        Arg::new(FORCE)
            .long("force")
            .action(ArgAction::SetTrue)
            .help("Replaces files that are there; clients then need the new ca.pem"),
    ]
}

const INIT_HELP: &str = "\
Exit codes:
  0  the files have been made
  1  a file is there already or cannot be written
  2  the command line is wrong";

pub(super) const INIT: &str = "init";
pub(super) const DIR: &str = "dir";
pub(super) const NAME: &str = "name";
pub(super) const DAYS: &str = "days";
pub(super) const FORCE: &str = "force";
