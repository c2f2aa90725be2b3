//! `noctule prove`: reads the flags, lets the probe run its trial, prints what it found.

mod command;

use std::io::{self, IsTerminal as _, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{SystemTime, UNIX_EPOCH};

use clap::ArgMatches;
use noctule_probe::{BrokerCommand, Proof, ProveError, ProveOptions, Watch, prove as run};
use signal_hook::consts::{SIGINT, SIGTERM};

use crate::failure::Failure;
use crate::values::{number, print, seconds, set, text, usage, version};

pub(crate) use command::command;

/// Runs the trial, prints the report, and fails if a promise was broken.
pub(crate) fn prove(matches: &ArgMatches) -> Result<(), Failure> {
    let (name, matches) = matches.subcommand().expect("clap asks for what is to be proven");
    debug_assert_eq!(name, command::DURABILITY);
    let options = options(matches)?;
    let interrupted = Arc::new(AtomicBool::new(false));
    for signal in [SIGINT, SIGTERM] {
        signal_hook::flag::register(signal, Arc::clone(&interrupted)).map_err(ProveError::Machine)?;
    }
    // A terminal has the progress bar.
    let (mut stderr, mut nowhere) = (io::stderr(), io::sink());
    let lines: &mut dyn Write = if stderr.is_terminal() { &mut nowhere } else { &mut stderr };
    let proof: Proof = run(&options, Watch { lines, interrupted: &interrupted })?;
    print(&proof, matches.get_flag(command::JSON))?;
    if proof.is_durable { Ok(()) } else { Err(Failure::NotDurable) }
}

fn options(matches: &ArgMatches) -> Result<ProveOptions, Failure> {
    let broker = broker(matches)?;
    let data_dir = PathBuf::from(text(matches, command::DATA_DIR).unwrap_or("."));
    let seed = number(matches, command::SEED)?.unwrap_or_else(any_seed);
    let mut options = ProveOptions::new(broker, data_dir, seed);
    options.keep = matches.get_flag(command::KEEP);
    set(&mut options.rounds, number(matches, command::ROUNDS)?);
    set(&mut options.load, seconds(matches, command::SECONDS)?);
    set(&mut options.rate, number(matches, command::RATE)?);
    set(&mut options.version, text(matches, command::MQTT).map(version).transpose()?);
    options.port = number(matches, command::PORT)?;
    set(&mut options.patience, seconds(matches, command::PATIENCE)?);
    Ok(options)
}

fn broker(matches: &ArgMatches) -> Result<BrokerCommand, Failure> {
    let mut broker = match text(matches, command::BROKER).unwrap_or("noctule") {
        "noctule" => BrokerCommand::noctule(own_program()?),
        "mosquitto" => BrokerCommand::mosquitto(),
        command => BrokerCommand::parse(command)?,
    };
    if let Some(file) = text(matches, command::BROKER_CONFIG) {
        broker.config = Some(read(Path::new(file))?);
    }
    Ok(broker)
}

fn own_program() -> Result<String, Failure> {
    let program = std::env::current_exe().map_err(ProveError::Machine)?;
    program.into_os_string().into_string().map_err(|path| {
        usage(&format!("this program lies at {}, which is no UTF-8; write --broker CMD", path.display()))
    })
}

fn read(file: &Path) -> Result<String, Failure> {
    std::fs::read_to_string(file).map_err(|error| {
        usage(&format!("--{} {}: cannot read it: {error}", command::BROKER_CONFIG, file.display()))
    })
}

/// Short enough to be typed again.
fn any_seed() -> u64 {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    since_epoch.as_millis() as u64 % 1_000_000
}
