//! `noctule serve`.

use std::path::{Path, PathBuf};

use clap::ArgMatches;
use noctule_broker::Reloads;
use noctule_broker::config::{Config, LogFilter, Problems, Sources, load};

use crate::command::{RECOVER, sources};
use crate::failure::Failure;
use crate::logging::{self, Filter};

/// Runs the broker until it is told to stop.
pub(crate) fn serve(matches: &ArgMatches) -> Result<(), Failure> {
    let sources = sources(matches);
    let loaded = load(&sources).map_err(Failure::Configuration)?;
    let log = logging::start(&loaded.config)?;
    for warning in &loaded.warnings {
        tracing::warn!("{warning}");
    }
    if loaded.file.is_none() && Path::new(USUAL_FILE).exists() {
        tracing::warn!(
            "{USUAL_FILE} is in this folder but not read; start with --config {USUAL_FILE} to use it"
        );
    }
    let recover = matches.get_flag(RECOVER);
    let reload = Reload { sources, file: loaded.file, filter: log.filter() };
    Ok(noctule_broker::run_and_reload(Config { recover, ..loaded.config }, Box::new(reload))?)
}

/// Reads the same sources again: the file as it is then, with the command line and the environment of the start.
struct Reload {
    sources: Sources,
    file: Option<PathBuf>,
    filter: Filter,
}

impl Reloads for Reload {
    fn load(&mut self) -> Result<Config, Problems> {
        load(&self.sources).map(|loaded| loaded.config)
    }

    fn files(&self) -> Vec<PathBuf> {
        self.file.iter().cloned().collect()
    }

    fn set_log(&mut self, filter: &LogFilter) {
        self.filter.set(filter);
    }
}

/// How a configuration file is usually called.
const USUAL_FILE: &str = "noctule.toml";
