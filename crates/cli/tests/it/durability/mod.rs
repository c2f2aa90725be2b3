//! What outlives a broker: the real process, killed, cut open and put together again.

mod client;
mod damage;
mod files;
mod full;
mod kill;
mod order;
mod restart;
mod space;
mod store;
mod trace;

use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;

use crate::support::{Broker, noctule};

/// The arguments of a broker on a free port that says everything on standard error.
const SERVE: [&str; 4] = ["--listen", "tcp://127.0.0.1:0", "--log", "info"];

/// A broker in the folder of a test.
fn start(folder: &Path, arguments: &[&str]) -> (Broker, SocketAddr) {
    started(noctule(folder, &SERVE).args(arguments))
}

fn started(command: &mut Command) -> (Broker, SocketAddr) {
    let mut broker = Broker::start(command);
    let address = broker.address();
    (broker, address)
}

/// `noctule` with `arguments` in `folder` under strace. It is the child; strace hangs on to it and ends with it.
fn strace(folder: &Path, options: &[&str], arguments: &[&str]) -> Command {
    let mut command = Command::new("strace");
    command.current_dir(folder).args(["-D", "-f"]).args(options);
    command.arg(env!("CARGO_BIN_EXE_noctule")).args(arguments);
    command
}
