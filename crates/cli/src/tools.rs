//! `noctule pub`, `sub` and `request`, and the same under mosquitto's names. Their flags are not clap's: they come from
//! the table in `noctule-tools`.

use std::ffi::OsString;
use std::hash::{BuildHasher as _, Hasher as _, RandomState};
use std::io::{self, BufReader, BufWriter, IsTerminal as _};
use std::path::Path;
use std::process::ExitCode;

use clap::Command;
use jiff::Zoned;
use noctule_tools::{Output, Program, World};

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

/// Runs a tool on the streams of this process.
pub(crate) fn run(program: Program, arguments: impl Iterator<Item = OsString>) -> ExitCode {
    let world = World {
        stdin: Box::new(BufReader::new(io::stdin())),
        stdout: Output::new(BufWriter::new(io::stdout())),
        stderr: Output::new(io::stderr()),
        stdout_is_terminal: io::stdout().is_terminal(),
        stderr_is_terminal: io::stderr().is_terminal(),
        now: Zoned::now,
        environment: |name| std::env::var_os(name),
        random: || RandomState::new().build_hasher().finish(),
        process_id: std::process::id(),
    };
    noctule_tools::run(program, arguments, world).into()
}

/// The tools, for the list in `noctule --help`. They are called before clap reads the command line.
pub(crate) fn commands() -> impl Iterator<Item = Command> {
    Program::commands().map(|(name, about)| Command::new(name).about(about).disable_help_flag(true))
}
