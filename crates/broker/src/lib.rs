//! Broker.

pub mod config;

pub use config::Config;

use noctule_transport::{BindError, Listener};

/// Why the broker cannot run.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A listener cannot be opened.
    #[error(transparent)]
    Bind(#[from] BindError),
    /// Standard output is gone.
    #[error("the ready line cannot be written: {0}")]
    Ready(#[from] std::io::Error),
}

/// Runs the broker until it is told to stop.
///
/// # Errors
/// See [`Error`].
pub fn run(config: Config) -> Result<(), Error> {
    use std::io::Write as _;
    let Config { listen, .. } = config;
    let listeners: Vec<Listener> =
        listen.iter().map(Listener::bind).collect::<Result<Vec<_>, _>>()?.into_iter().flatten().collect();
    let addresses: Vec<String> =
        listeners.iter().map(|listener| format!("tcp://{}", listener.local_addr())).collect();
    writeln!(std::io::stdout(), "noctule {} ready: mqtt {}", env!("CARGO_PKG_VERSION"), addresses.join(" "))?;
    loop {
        std::thread::park();
    }
}
