//! The command line: commands and flags, the latter made from the table of keys.

use std::path::PathBuf;

use clap::{Arg, ArgAction, ArgMatches, Command, value_parser};
use noctule_broker::config::{Argument, Config, KEYS, Key, Sources};

use crate::{bench, completions, explain, import, manual, passwd, prove, store, tls, tools};

/// The whole command line.
pub(crate) fn command() -> Command {
    Command::new("noctule")
        .version(env!("CARGO_PKG_VERSION"))
        .about("An MQTT broker; without a command it serves")
        .args(setting_args())
        .arg(recover_arg())
        .args_conflicts_with_subcommands(true)
        .after_long_help(keys_help())
        .subcommand(
            Command::new("serve")
                .about("Serves MQTT; the same as no command at all")
                .args(setting_args())
                .arg(recover_arg())
                .after_long_help(keys_help()),
        )
        .subcommand(
            Command::new("config")
                .about("Shows and checks the configuration")
                .subcommand_required(true)
                .arg_required_else_help(true)
                .subcommand(show_command())
                .subcommand(check_command())
                .subcommand(reference_command()),
        )
        .subcommand(import::command())
        .subcommand(bench::command())
        .subcommand(prove::command())
        .subcommand(store::command())
        .subcommand(explain::command())
        .subcommand(passwd::command())
        .subcommand(tls::command())
        .subcommands(tools::commands())
        .subcommand(completions::command())
        .subcommand(manual::command())
}

/// The sources of settings that a command line with [`setting_args`] names.
pub(crate) fn sources(matches: &ArgMatches) -> Sources {
    let flags = KEYS.iter().filter(|key| key.flag.is_some()).filter_map(|key| {
        let values = matches.get_many::<String>(key.name)?;
        Some(Argument::Flag(key, values.cloned().collect()))
    });
    let sets = matches.get_many::<String>(SET).into_iter().flatten().cloned().map(Argument::Set);
    Sources {
        file: matches.get_one::<PathBuf>(CONFIG).cloned(),
        mosquitto: matches.get_one::<PathBuf>(MOSQUITTO).cloned(),
        environment: std::env::vars_os().collect(),
        command_line: flags.chain(sets).collect(),
    }
}

fn show_command() -> Command {
    Command::new("show")
        .about("Prints the effective value of every key and where it came from")
        .args(setting_args())
        .arg(
            Arg::new(JSON)
                .long(JSON)
                .action(ArgAction::SetTrue)
                .help("Prints one JSON object instead of TOML"),
        )
        .after_long_help(keys_help())
}

fn check_command() -> Command {
    Command::new("check")
        .about(
            "Checks a configuration file: exits with 0 if it is right, else with 1 and every mistake in it",
        )
        .arg(
            Arg::new(FILE)
                .value_name("FILE")
                .required_unless_present(MOSQUITTO)
                .value_parser(value_parser!(PathBuf))
                .help("Configuration file"),
        )
        .arg(mosquitto_arg().conflicts_with(FILE))
}

fn reference_command() -> Command {
    Command::new("reference").about("Prints the documentation of every key as Markdown")
}

/// `--config`, the flags of the keys and `--set`.
pub(crate) fn setting_args() -> Vec<Arg> {
    let config = Arg::new(CONFIG)
        .long(CONFIG)
        .value_name("FILE")
        .value_parser(value_parser!(PathBuf))
        .help("Configuration file; none is read without this or NOCTULE_CONFIG");
    let mosquitto = mosquitto_arg().conflicts_with(CONFIG);
    let set = Arg::new(SET)
        .long(SET)
        .value_name("KEY=VALUE")
        .action(ArgAction::Append)
        .help("Sets any key of the configuration; repeatable");
    let defaults = Config::default();
    let flags = KEYS.iter().filter_map(|key| flag(key, &defaults));
    [config, mosquitto].into_iter().chain(flags).chain([set]).collect()
}

fn mosquitto_arg() -> Arg {
    Arg::new(MOSQUITTO)
        .long(MOSQUITTO)
        .value_name("FILE")
        .value_parser(value_parser!(PathBuf))
        .help("A mosquitto.conf that is read instead; docs/mosquitto.md says what becomes of it")
}

/// `--recover` is said for one start; a file would say it again and again.
fn recover_arg() -> Arg {
    Arg::new(RECOVER).long(RECOVER).action(ArgAction::SetTrue).help(
        "Goes on without what is damaged in the journal, and says what that was; without it the broker does \
         not start",
    )
}

fn flag(key: &'static Key, defaults: &Config) -> Option<Arg> {
    let action = if key.is_list() { ArgAction::Append } else { ArgAction::Set };
    let repeatable = if key.is_list() { "; repeatable" } else { "" };
    let help = format!("{}{repeatable} [default: {}]", key.help, key.value(defaults).plain());
    let arg = Arg::new(key.name).long(key.flag_name()).value_name(key.flag?.value_name).action(action);
    Some(arg.long_help(format!("{help}\n\n{}", key.details)).help(help))
}

/// The keys without a flag, for the end of the long help.
fn keys_help() -> String {
    let keys = KEYS.iter().filter(|key| key.flag.is_none());
    let lines = keys.map(|key| format!("  {}\n          {}\n", key.name, key.help));
    let title = "Keys for --set, environment and file (docs/configuration.md describes them):\n";
    std::iter::once(title.to_owned()).chain(lines).collect()
}

/// Name of the flag for the file.
const CONFIG: &str = "config";
/// Name of the flag for a file of mosquitto.
pub(crate) const MOSQUITTO: &str = "mosquitto";
/// Name of the flag for any key.
const SET: &str = "set";
/// Name of the flag that goes on without what is damaged.
pub(crate) const RECOVER: &str = "recover";
/// Name of the flag of `config show`.
pub(crate) const JSON: &str = "json";
/// Name of the argument of `config check`.
pub(crate) const FILE: &str = "file";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        command().debug_assert();
    }

    #[test]
    fn no_key_takes_a_name_of_ours() {
        for key in KEYS {
            assert!(![CONFIG, MOSQUITTO, SET, RECOVER, JSON, FILE].contains(&key.name), "{}", key.name);
        }
    }
}
