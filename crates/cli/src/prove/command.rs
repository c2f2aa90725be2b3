//! The command line of `noctule prove`.

use clap::{Arg, ArgAction, Command};

/// `prove` with what can be proven.
pub(crate) fn command() -> Command {
    Command::new("prove")
        .about("Shows whether a broker keeps its promises; kills it to find out")
        .subcommand_required(true)
        .arg_required_else_help(true)
        .disable_help_subcommand(true)
        .subcommand(durability())
}

fn durability() -> Command {
    let flags = FLAGS.iter().map(|flag| {
        let arg = Arg::new(flag.name).long(flag.name).help(flag.help);
        match flag.value_name {
            None => arg.action(ArgAction::SetTrue),
            Some(value_name) if flag.name == MQTT => arg.value_name(value_name).alias(MQTT_ALIAS),
            Some(value_name) => arg.value_name(value_name),
        }
    });
    Command::new(DURABILITY)
        .about("Does an acknowledgement survive kill -9? Starts a broker, loads it, kills it, looks what comes back")
        .args(flags)
        .after_help(AFTER_HELP)
}

struct Flag {
    name: &'static str,
    /// None for a switch.
    value_name: Option<&'static str>,
    help: &'static str,
}

const FLAGS: &[Flag] = &[
    Flag {
        name: BROKER,
        value_name: Some("NAME|CMD"),
        help: "`noctule` (this program), `mosquitto` (from the search path), or a command in which {port}, {dir} and \
               {config} are replaced; quotes keep spaces, no shell is involved [default: noctule]",
    },
    Flag {
        name: BROKER_CONFIG,
        value_name: Some("FILE"),
        help: "Configuration for the broker; {port} and {dir} are replaced in it, and {config} in the command is its \
               copy",
    },
    Flag {
        name: DATA_DIR,
        value_name: Some("DIR"),
        help: "Where a folder for the broker's data is made, and removed at the end: choose the disk to be judged \
               [default: .]",
    },
    Flag {
        name: KEEP,
        value_name: None,
        help: "Leave the folder with data, configuration and log where it is",
    },
    Flag { name: ROUNDS, value_name: Some("N"), help: "Kills under load [default: 10]" },
    Flag {
        name: SECONDS,
        value_name: Some("S"),
        help: "How long the load runs before a kill, on average, in seconds [default: 1]",
    },
    Flag {
        name: RATE,
        value_name: Some("N"),
        help: "Publications per second of all publishers together, at most [default: 2000]",
    },
    Flag { name: MQTT, value_name: Some("3.1.1|5"), help: "Version all clients speak [default: 5]" },
    Flag {
        name: SEED,
        value_name: Some("N"),
        help: "Where chance begins; the report prints it. The same seed kills at about the same moments",
    },
    Flag {
        name: PORT,
        value_name: Some("N"),
        help: "Where the broker listens on 127.0.0.1 if its command has no {port} [default: a free one below 32768]",
    },
    Flag {
        name: PATIENCE,
        value_name: Some("S"),
        help: "Without progress for so long, what is missing is not waited for any more; at the end three times as \
               long, in seconds [default: 1]",
    },
    Flag { name: JSON, value_name: None, help: "Print one JSON object; docs/prove.md describes it" },
];

const AFTER_HELP: &str = "\
Examples:
  noctule prove durability
  noctule prove durability --data-dir /srv --rounds 100
  noctule prove durability --broker mosquitto
  noctule prove durability --broker 'mybroker --port {port} --data {dir}' --mqtt 3.1.1

Exit codes:
  0  nothing acknowledged was lost, and nothing of QoS 2 came twice
  1  something was lost or doubled, or the broker did not come back
  2  the trial could not be run; nothing is said about the broker";

pub(super) const DURABILITY: &str = "durability";
pub(super) const BROKER: &str = "broker";
pub(super) const BROKER_CONFIG: &str = "broker-config";
pub(super) const DATA_DIR: &str = "data-dir";
pub(super) const KEEP: &str = "keep";
pub(super) const ROUNDS: &str = "rounds";
pub(super) const SECONDS: &str = "seconds";
pub(super) const RATE: &str = "rate";
pub(super) const MQTT: &str = "mqtt";
pub(super) const SEED: &str = "seed";
pub(super) const PORT: &str = "port";
pub(super) const PATIENCE: &str = "patience";
pub(super) const JSON: &str = "json";

/// What other tools call it.
const MQTT_ALIAS: &str = "mqtt-version";
