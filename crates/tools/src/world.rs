//! What a tool has from outside: streams, the time, chance, the environment.

use jiff::Zoned;
use std::ffi::OsString;
use std::fmt;
use std::io::{self, BufRead, Write};
use std::sync::{Arc, Mutex, PoisonError};

/// Everything outside of a tool but the network and files.
pub struct World {
    /// Standard input.
    pub stdin: Box<dyn BufRead + Send>,
    /// Standard output.
    pub stdout: Output,
    /// Standard error.
    pub stderr: Output,
    /// Whether standard output is a terminal that can be drawn on.
    pub stdout_is_terminal: bool,
    /// Whether standard error is one.
    pub stderr_is_terminal: bool,
    /// The time of day where the user is.
    pub now: fn() -> Zoned,
    /// A variable of the environment.
    pub environment: fn(&str) -> Option<OsString>,
    /// A number that is another one each time.
    pub random: fn() -> u64,
    /// The number of this process.
    pub process_id: u32,
}

/// A stream that messages and debug lines are written to.
#[derive(Clone)]
pub struct Output(Arc<Mutex<Box<dyn Write + Send>>>);

impl Output {
    /// Writes to this stream.
    pub fn new(stream: impl Write + Send + 'static) -> Self {
        Self(Arc::new(Mutex::new(Box::new(stream))))
    }
}

impl Write for Output {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).flush()
    }
}

impl World {
    /// Writes a line to standard error. Without that there is nobody left to tell; the exit code still does.
    pub(crate) fn complain(&mut self, line: &str) {
        let _ = writeln!(self.stderr, "{line}");
    }

    /// A folder or a value from the environment, if it is set and text.
    pub(crate) fn variable(&self, name: &str) -> Option<String> {
        (self.environment)(name)?.into_string().ok()
    }
}

impl fmt::Debug for World {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("World").field("process_id", &self.process_id).finish_non_exhaustive()
    }
}
