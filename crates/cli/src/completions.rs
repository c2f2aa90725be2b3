//! `noctule completions`: what a shell has to know to complete command lines, made from the command line itself.
//!
//! What is offered comes from the same declarations that clap parses and, for the tools, from the table of flags that
//! their parser reads. The tools are completed under mosquitto's names too.

use std::io::{self, Write as _};

use clap::builder::{PossibleValuesParser, TypedValueParser as _};
use clap::{Arg, ArgMatches, Command, ValueHint};
use clap_complete::{Shell, generate};
use noctule_tools::Program;

use crate::failure::Failure;
use crate::passwd::mosquitto as passwd;
use crate::{command, tools};

/// The command.
pub(crate) fn command() -> Command {
    let shells = PossibleValuesParser::new(["bash", "zsh", "fish"]);
    let shells = shells.map(|name| name.parse::<Shell>().expect("clap_complete knows these"));
    Command::new(NAME)
        .about("Prints what a shell needs to complete the commands of noctule and of the tools under mosquitto's names")
        .arg(Arg::new(SHELL).value_name("SHELL").required(true).value_parser(shells).help("The shell"))
        .after_help(AFTER_HELP)
}

/// Prints the completions of one shell.
pub(crate) fn completions(matches: &ArgMatches) -> Result<(), Failure> {
    let shell = *matches.get_one::<Shell>(SHELL).expect("clap requires it");
    let scripts = programs().into_iter().map(|(name, command)| (name, script(shell, name, command)));
    let scripts =
        if shell == Shell::Zsh { zsh(scripts) } else { scripts.map(|(_, script)| script).collect() };
    let mut out = io::stdout().lock();
    out.write_all(scripts.as_bytes())?;
    Ok(out.flush()?)
}

fn script(shell: Shell, name: &str, command: Command) -> String {
    let mut script = Vec::new();
    generate(shell, &mut with_hints(command), name, &mut script);
    String::from_utf8(script).expect("it is made of our texts")
}

/// One script for all: zsh finds the completions of several commands in one file, whose text is the function that it
/// calls first.
fn zsh(scripts: impl Iterator<Item = (&'static str, String)>) -> String {
    let (names, functions): (Vec<_>, String) =
        scripts.map(|(name, script)| (name, zsh_functions(&script))).unzip();
    let bound: String = names.iter().map(|name| format!("compdef _{name} {name}\n")).collect();
    format!("#compdef {}\n{functions}\n{bound}{ZSH_FIRST_CALL}", names.join(" "))
}

/// What a script defines: without its first line, and without its end, which knows of one command only. Single letters
/// are not written together, which the tools do not understand, and what follows a command is its own: `-V` of `sub` is
/// not that of `noctule`.
fn zsh_functions(script: &str) -> String {
    let (_, functions) = script.split_once('\n').unwrap_or(("", script));
    let (functions, _) = functions.split_once(ZSH_END).unwrap_or((functions, ""));
    let apart = functions.replace("_arguments_options=(-s ", "_arguments_options=(");
    apart.replacen(ZSH_ARGUMENTS, &format!("{ZSH_ARGUMENTS} -A '-*'"), 1)
}

/// Every program that is completed, with its command line.
fn programs() -> Vec<(&'static str, Command)> {
    let linked = Program::commands().filter_map(|(name, _)| {
        let program = Program { is_linked: true, ..Program::command(name)? };
        let name = program.linked_name()?;
        Some((name, tools::command(name, program)))
    });
    let others = [("noctule", command::command()), (passwd::NAME, passwd::command())];
    others.into_iter().chain(linked).collect()
}

/// Offers files and folders where they are wanted, and nowhere else.
fn with_hints(command: Command) -> Command {
    let command = command.mut_args(|arg| match arg.get_value_hint() {
        ValueHint::Unknown | ValueHint::AnyPath if arg.get_action().takes_values() => {
            let hint = hint(arg.get_value_names().and_then(|names| names.first()).map_or("", |name| name));
            arg.value_hint(hint)
        }
        _ => arg,
    });
    command.mut_subcommands(with_hints)
}

/// What a value is, by what help calls it.
fn hint(called: &str) -> ValueHint {
    match called {
        "FILE" | "PATH" | "DEST" => ValueHint::FilePath,
        "DIR" | "FOLDER" => ValueHint::DirPath,
        _ => ValueHint::Other,
    }
}

/// How a script for zsh begins to say what can be written; first it says it of the whole program.
const ZSH_ARGUMENTS: &str = "_arguments \"${_arguments_options[@]}\"";
/// Where the end of a script for zsh begins.
const ZSH_END: &str = "\nif [ \"$funcstack[1]\" = ";
/// Found in a folder, the file is called as the function `_noctule`, for whichever command comes first.
const ZSH_FIRST_CALL: &str = "\
if [ \"$funcstack[1]\" = _noctule ]; then
    if [ \"${service#mosquitto_}\" != \"$service\" ]; then
        \"_$service\" \"$@\"
    else
        _noctule \"$@\"
    fi
fi
";

pub(crate) const NAME: &str = "completions";
const SHELL: &str = "shell";
const AFTER_HELP: &str = "\
Examples:
  source <(noctule completions bash)                                  # bash, in ~/.bashrc
  noctule completions zsh > \"${fpath[1]}/_noctule\"                  # zsh, then start it anew
  noctule completions fish > ~/.config/fish/completions/noctule.fish  # fish";
