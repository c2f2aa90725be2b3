//! The command line of `noctule store`.

use std::path::PathBuf;

use clap::{Arg, ArgAction, Command, value_parser};

/// `store` with what can be done.
pub(crate) fn command() -> Command {
    Command::new("store")
        .about("Looks at the journal of a broker, checks it, copies it; the broker may run meanwhile")
        .subcommand_required(true)
        .arg_required_else_help(true)
        .disable_help_subcommand(true)
        .subcommand(
            Command::new(STAT)
                .about("Says how much space the journal takes and what it remembers")
                .args(shared_args()),
        )
        .subcommand(
            Command::new(VERIFY)
                .about("Reads everything and says whether it is what was written; if not, which file is damaged where")
                .args(shared_args())
                .after_help(VERIFY_EXIT_CODES),
        )
        .subcommand(
            Command::new(BACKUP)
                .about("Copies the journal as it is at this moment into a new folder that a broker can start with")
                .arg(
                    Arg::new(DEST)
                        .value_name("DEST")
                        .required(true)
                        .value_parser(value_parser!(PathBuf))
                        .help("Where the copy goes; there must be nothing yet"),
                )
                .args(shared_args()),
        )
}

fn shared_args() -> [Arg; 3] {
    [
        Arg::new(DATA_DIR)
            .long("data-dir")
            .value_name("DIR")
            .help("Folder of the broker [default: what noctule serve would use]"),
        Arg::new(CONFIG)
            .long("config")
            .value_name("FILE")
            .value_parser(value_parser!(PathBuf))
            .help("Configuration file that names the folder; none is read without this or NOCTULE_CONFIG"),
        Arg::new(JSON)
            .long(JSON)
            .action(ArgAction::SetTrue)
            .help("Prints one JSON object; docs/store.md describes it"),
    ]
}

const VERIFY_EXIT_CODES: &str = "\
Exit codes:
  0  everything is what was written
  1  something is damaged, or the journal cannot be read
  2  the command line is wrong, or there is no journal";

pub(super) const STAT: &str = "stat";
pub(super) const VERIFY: &str = "verify";
pub(super) const BACKUP: &str = "backup";
pub(super) const DEST: &str = "dest";
/// The name of the key, whose flag it is.
pub(super) const DATA_DIR: &str = "data_dir";
pub(super) const CONFIG: &str = "config";
pub(super) const JSON: &str = "json";
