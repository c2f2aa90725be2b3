//! Ctrl-C and SIGTERM, by which a user ends a tool.

use crate::ending::Ending;
use tokio::signal::unix::{Signal, SignalKind, signal};

/// The signals that end a tool in order.
pub(crate) struct Interrupts {
    interrupts: Signal,
    terminations: Signal,
}

impl Interrupts {
    /// From here on the signals no longer end the process.
    pub(crate) fn new() -> Result<Self, Ending> {
        match (signal(SignalKind::interrupt()), signal(SignalKind::terminate())) {
            (Ok(interrupts), Ok(terminations)) => Ok(Self { interrupts, terminations }),
            _ => Err(Ending::failed("signals cannot be received")),
        }
    }

    /// Waits for the next of them. Dropping the future loses none.
    pub(crate) async fn next(&mut self) {
        tokio::select! {
            _ = self.interrupts.recv() => {}
            _ = self.terminations.recv() => {}
        }
    }
}
