//! `noctule pub`, `sub` and `request`, and the same under mosquitto's names. Their flags are not clap's: they come from
//! the table in `noctule-tools`.

use std::ffi::OsString;
use std::hash::{BuildHasher as _, Hasher as _, RandomState};
use std::io::{self, BufReader, BufWriter, IsTerminal as _};
use std::path::Path;
use std::process::ExitCode;

use clap::{Arg, ArgAction, Command};
use jiff::Zoned;
use noctule_tools::flags::{Flag, Takes};
use noctule_tools::{Output, Program, World, help};

/// The tool that the program was called as, if it was, and its arguments.
pub(crate) fn called() -> Option<(Program, std::env::ArgsOs)> {
    let mut arguments = std::env::args_os();
    let path = arguments.next()?;
    let name = Path::new(&path).file_name()?.to_str()?;
    if let Some(program) = Program::linked_as(name) {
        return Some((program, arguments));
    }
    let command = arguments.next()?;
    Some((Program::command(command.to_str()?)?, arguments))
}

/// The tool whose help is asked for with `noctule help TOOL`, which is not clap's to tell.
pub(crate) fn asked_about() -> Option<Program> {
    let mut words = std::env::args_os().skip(1);
    let is_asked = words.next()? == "help";
    Program::command(words.next()?.to_str()?).filter(|_| is_asked)
}

/// Runs a tool on the streams of this process.
pub(crate) fn run(program: Program, arguments: impl Iterator<Item = OsString>) -> ExitCode {
    let world = World {
        stdin: Box::new(BufReader::new(io::stdin())),
        stdout: Output::new(BufWriter::new(io::stdout())),
        stderr: Output::new(io::stderr()),
        stdout_is_terminal: io::stdout().is_terminal() && can_be_drawn_on(),
        stderr_is_terminal: io::stderr().is_terminal() && can_be_drawn_on(),
        now: Zoned::now,
        environment: |name| std::env::var_os(name),
        random: || RandomState::new().build_hasher().finish(),
        process_id: std::process::id(),
    };
    noctule_tools::run(program, arguments, world).into()
}

/// Whether a terminal does what it is told instead of writing it.
fn can_be_drawn_on() -> bool {
    std::env::var_os("TERM").is_some_and(|name| !name.is_empty() && name != "dumb")
}

/// The tools as clap sees them: for the list in `noctule --help` and for completions. They are called before clap reads
/// the command line.
pub(crate) fn commands() -> impl Iterator<Item = Command> {
    Program::commands().filter_map(|(name, _)| Program::command(name).map(|program| command(name, program)))
}

/// A tool under one of its names.
pub(crate) fn command(name: &'static str, program: Program) -> Command {
    let file = program.tool.has_file().then(|| Arg::new(FILE).value_name(FILE));
    Command::new(name)
        .about(program.about())
        .disable_help_flag(true)
        .disable_version_flag(true)
        .args(Flag::of(program.tool).map(arg))
        .args(file)
}

/// A flag by its own names; those of other tools are understood and not offered.
fn arg(flag: &'static Flag) -> Arg {
    let arg = Arg::new(flag.names[0]).help(flag.help);
    let arg = flag.names.iter().fold(arg, |arg, name| match name.strip_prefix("--") {
        Some(long) => arg.long(long),
        None => arg.short(name.chars().nth(1)),
    });
    match flag.takes {
        Takes::Nothing | Takes::Help | Takes::Version => arg.action(ArgAction::SetTrue),
        Takes::Word { .. } | Takes::Property => {
            let values = help::values(flag);
            let arg = arg.action(ArgAction::Append).value_names(values).num_args(values.len());
            if flag.offers.is_empty() { arg } else { arg.value_parser(flag.offers.to_vec()) }
        }
    }
}

/// Name of the argument for a tool's file.
const FILE: &str = "FILE";
