//! `noctule store`: the journal of a data directory from outside.

mod command;
mod progress;

use std::path::PathBuf;

use clap::ArgMatches;
use noctule_broker::config::{Argument, KEYS, Sources, load};
use noctule_broker::upkeep;

use crate::failure::Failure;
use crate::values::print;
use progress::Progress;

pub(crate) use command::command;

/// Does what was asked for and prints what came of it.
pub(crate) fn store(matches: &ArgMatches) -> Result<(), Failure> {
    let (name, matches) = matches.subcommand().expect("clap asks for one of the declared commands");
    let data_dir = data_dir(matches)?;
    let as_json = matches.get_flag(command::JSON);
    let mut progress = Progress::new();
    let mut on_progress = |done, all| progress.show(done, all);
    match name {
        command::STAT => {
            let stat = upkeep::stat(&data_dir, &mut on_progress)?;
            drop(progress);
            print(&stat, as_json)
        }
        command::VERIFY => {
            let found = upkeep::verify(&data_dir, &mut on_progress)?;
            drop(progress);
            print(&found, as_json)?;
            if found.is_whole { Ok(()) } else { Err(Failure::Damaged) }
        }
        command::BACKUP => {
            let destination = matches.get_one::<PathBuf>(command::DEST).expect("clap asks for it");
            let copied = upkeep::backup(&data_dir, destination, &mut on_progress)?;
            drop(progress);
            print(&copied, as_json)
        }
        _ => unreachable!("clap refuses commands that are not declared"),
    }
}

/// Where a broker that is started here with this file and environment keeps its data.
fn data_dir(matches: &ArgMatches) -> Result<PathBuf, Failure> {
    let key = KEYS.iter().find(|key| key.name == command::DATA_DIR).expect("it is a key");
    let flag = matches.get_one::<String>(command::DATA_DIR);
    let sources = Sources {
        mosquitto: None,
        file: matches.get_one::<PathBuf>(command::CONFIG).cloned(),
        environment: std::env::vars_os().collect(),
        command_line: flag.map(|value| Argument::Flag(key, vec![value.clone()])).into_iter().collect(),
    };
    Ok(load(&sources).map_err(Failure::Configuration)?.config.data_dir)
}
