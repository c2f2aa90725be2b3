//! `noctule man`: manual pages, one for each command, made from what `--help` is made from: the declarations that clap
//! parses and, for the tools, the table of their flags.

mod page;
mod tool;

use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use clap::{Arg, ArgMatches, Command, value_parser};
use noctule_tools::Program;

use crate::command;
use crate::failure::Failure;

/// The command.
pub(crate) fn command() -> Command {
    Command::new(NAME)
        .about("Prints the manual page of a command, or writes those of all commands into a folder")
        .arg(
            Arg::new(COMMAND)
                .value_name("COMMAND")
                .num_args(0..)
                .help("The command; `config show` has two words [default: noctule itself]"),
        )
        .arg(
            Arg::new(DIR)
                .long(DIR)
                .value_name("DIR")
                .value_parser(value_parser!(PathBuf))
                .conflicts_with(COMMAND)
                .help(
                    "Writes noctule.1, noctule-pub.1 and so on into this folder; it is made if it is missing",
                ),
        )
        .after_help(AFTER_HELP)
}

/// Prints one page, or writes all of them.
pub(crate) fn manual(matches: &ArgMatches) -> Result<(), Failure> {
    let pages = pages();
    if let Some(dir) = matches.get_one::<PathBuf>(DIR) {
        return write_all(dir, &pages);
    }
    let words = matches.get_many::<String>(COMMAND).into_iter().flatten();
    let name = ["noctule"].into_iter().chain(words.map(String::as_str)).collect::<Vec<_>>().join("-");
    let page = pages.iter().find(|page| page.name == name);
    let page = page
        .ok_or_else(|| Failure::Usage(format!("there is no page {name}; noctule --help has the commands")))?;
    let mut out = io::stdout().lock();
    out.write_all(page.text.as_bytes())?;
    Ok(out.flush()?)
}

/// A page under the name by which `man` finds it.
struct Page {
    name: String,
    text: String,
}

/// Every page: that of `noctule`, and below it one for each command.
fn pages() -> Vec<Page> {
    let mut whole = command::command();
    whole.build();
    let mut pages = Vec::new();
    add_pages(&whole, &mut pages);
    pages
}

fn add_pages(command: &Command, pages: &mut Vec<Page>) {
    let name = command.get_bin_name().unwrap_or_else(|| command.get_name()).replace(' ', "-");
    let program = name.strip_prefix("noctule-").and_then(Program::command);
    let text = program.map_or_else(|| page::page(command, &name), tool::page);
    pages.push(Page { name, text });
    let commands = command.get_subcommands().filter(|command| command.get_name() != HELP);
    commands.for_each(|command| add_pages(command, pages));
}

fn write_all(dir: &Path, pages: &[Page]) -> Result<(), Failure> {
    fs::create_dir_all(dir).map_err(|error| unwritten(dir, error))?;
    for page in pages {
        let path = dir.join(format!("{}.{SECTION}", page.name));
        fs::write(&path, &page.text).map_err(|error| unwritten(&path, error))?;
    }
    Ok(())
}

fn unwritten(path: &Path, source: io::Error) -> Failure {
    Failure::Manual { path: path.to_owned(), source }
}

pub(crate) const NAME: &str = "man";
const COMMAND: &str = "command";
const DIR: &str = "dir";
/// clap's own command.
const HELP: &str = "help";
/// That of the manual: commands of users.
const SECTION: &str = "1";
const AFTER_HELP: &str = "\
Examples:
  noctule man pub | man -l -                     # read one
  noctule man --dir /usr/local/share/man/man1    # install all";
