//! `noctule serve`.

use std::path::Path;

use clap::ArgMatches;
use noctule_broker::config::{Config, load};

use crate::command::{RECOVER, sources};
use crate::failure::Failure;
use crate::logging;

/// Runs the broker until it is told to stop.
pub(crate) fn serve(matches: &ArgMatches) -> Result<(), Failure> {
    let sources = sources(matches);
    let loaded = load(&sources).map_err(Failure::Configuration)?;
    let _log = logging::start(&loaded.config)?;
    for warning in &loaded.warnings {
        tracing::warn!("{warning}");
    }
    if loaded.file.is_none() && Path::new(USUAL_FILE).exists() {
        tracing::warn!(
            "{USUAL_FILE} is in this folder but not read; start with --config {USUAL_FILE} to use it"
        );
    }
    let recover = matches.get_flag(RECOVER);
    Ok(noctule_broker::run(Config { recover, ..loaded.config })?)
}

/// How a configuration file is usually called.
const USUAL_FILE: &str = "noctule.toml";
