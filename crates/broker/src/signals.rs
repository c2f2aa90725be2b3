//! SIGTERM, SIGINT and SIGHUP as something the readiness loop can wait for.

use mio::event::Source;
use mio::net::UnixStream;
use mio::{Interest, Registry, Token};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::low_level::pipe;
use std::io::{self, Read as _};

/// Two pipes that become readable when a signal has come.
#[derive(Debug)]
pub(crate) struct Signals {
    stop: UnixStream,
    reload: UnixStream,
}

impl Signals {
    /// Catches the signals from now on.
    pub(crate) fn new() -> io::Result<Self> {
        Ok(Self { stop: pipe_of(&[SIGTERM, SIGINT])?, reload: pipe_of(&[SIGHUP])? })
    }

    /// Pipes that no signal comes through.
    #[cfg(test)]
    pub(crate) fn deaf() -> io::Result<Self> {
        Ok(Self { stop: pipe_of(&[])?, reload: pipe_of(&[])? })
    }

    /// Registers both pipes.
    pub(crate) fn register(&mut self, registry: &Registry, stop: Token, reload: Token) -> io::Result<()> {
        self.stop.register(registry, stop, Interest::READABLE)?;
        self.reload.register(registry, reload, Interest::READABLE)
    }

    /// Whether the broker was told to stop since the last time this was asked.
    pub(crate) fn take_stop(&mut self) -> bool {
        take(&mut self.stop)
    }

    /// Whether the broker was told to reload since the last time this was asked.
    pub(crate) fn take_reload(&mut self) -> bool {
        take(&mut self.reload)
    }
}

fn pipe_of(signals: &[i32]) -> io::Result<UnixStream> {
    let (read, write) = std::os::unix::net::UnixStream::pair()?;
    read.set_nonblocking(true)?;
    for signal in signals {
        pipe::register(*signal, write.try_clone()?)?;
    }
    Ok(UnixStream::from_std(read))
}

fn take(pipe: &mut UnixStream) -> bool {
    let mut buffer = [0; 64];
    let mut came = false;
    while matches!(pipe.read(&mut buffer), Ok(n) if n > 0) {
        came = true;
    }
    came
}
