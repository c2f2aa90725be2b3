//! `noctule pub`, `sub` and `request`: the flags, the output and the exit codes of mosquitto_pub, mosquitto_sub and
//! mosquitto_rr, on noctule's client library. Linked under those names, the program is those tools.
//!
//! What happens to a command line is a row of steps, one module each:
//!
//! ```text
//! words ─ parse, by the table in flags ─> Settings ─ check ─> connect ─> publish | subscribe | request ─> Ending
//!                                                      messages ─ print, by format and json ─> standard output
//! ```
//!
//! The further tools stand beside them: `record` and `replay` over the format of `recording`, `spy`, and on a terminal
//! `tree` and `top` over `live`, `screen` and `picture`. What they hear comes through a `listener`.
//!
//! Invariants:
//! - [`flags::FLAGS`] is the only place that names a flag: the parser, `--help`, completions and manual pages read it.
//! - `format`, `json`, `strftime` and `numbers` are pure. Input, output, the clock and chance come in as [`World`].
//! - Every text on standard error and every exit code of a run that failed is made in `ending`, but for what is wrong
//!   with a command line, which its rule says, and for the files and places of the further tools, which they name.

mod check;
mod connect;
mod debug;
mod ending;
pub mod flags;
pub mod format;
pub mod help;
mod interrupts;
mod json;
mod listener;
mod live;
mod numbers;
mod options_file;
mod parse;
mod picture;
mod preview;
mod print;
mod program;
mod progress;
mod properties;
mod publish;
mod record;
mod recording;
mod remap;
mod replay;
mod request;
mod screen;
mod search;
mod settings;
mod spy;
mod strftime;
mod subscribe;
#[cfg(test)]
mod testing;
mod top;
mod tree;
mod world;

pub use program::{Program, Tool};
pub use world::{Output, World};

use check::check_possible;
use ending::Ending;
use settings::Settings;
use std::ffi::OsString;
use std::io::Write as _;

/// Runs a tool with these arguments, its own name excluded; gives the exit code.
pub fn run(program: Program, arguments: impl Iterator<Item = OsString>, mut world: World) -> u8 {
    let words: Vec<Vec<u8>> = arguments.map(OsString::into_encoded_bytes).collect();
    let settings = match parse::parse(program, &words, &world) {
        Ok(settings) => settings,
        Err(stop) => return stop.report(program, &mut world),
    };
    let is_quiet = settings.quiet;
    let ending = check_possible(&settings).err().unwrap_or_else(|| start(settings, &mut world));
    ending.report(is_quiet, program, &mut world)
}

/// Runs the tool in a runtime of its own.
fn start(settings: Settings, world: &mut World) -> Ending {
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return Ending::failed(&error.to_string()),
    };
    let ending = runtime.block_on(async {
        match settings.tool {
            Tool::Pub => publish::run(settings, world).await,
            Tool::Sub => subscribe::run(settings, world).await,
            Tool::Request => request::run(settings, world).await,
            Tool::Record => record::run(settings, world).await,
            Tool::Replay => replay::run(settings, world).await,
            Tool::Spy => spy::run(settings, world).await,
            Tool::Tree => tree::run(settings, world).await,
            Tool::Top => top::run(settings, world).await,
        }
    });
    // A thread may still wait for standard input.
    runtime.shutdown_background();
    // Who does not read what is left has been told by the exit code.
    let _ = world.stdout.clone().flush();
    ending
}
