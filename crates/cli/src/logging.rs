//! Logs on standard error.
//!
//! A thread of their own writes the lines. Where nobody reads standard error (a stopped terminal, a log driver
//! that hangs) lines are lost and counted, and the broker goes on.

use std::env;
use std::io::{self, IsTerminal as _};

use noctule_broker::config::{LogFilter, LogFormat};
use tracing_appender::non_blocking::{NonBlockingBuilder, WorkerGuard};
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{Registry, fmt, reload};

/// The log of the process. What is logged is written until this is dropped.
pub(crate) struct Log {
    _guard: WorkerGuard,
    filter: reload::Handle<Targets, Registry>,
}

/// Changes what is logged.
#[derive(Clone)]
pub(crate) struct Filter(reload::Handle<Targets, Registry>);

impl Log {
    /// What changes what is logged.
    pub(crate) fn filter(&self) -> Filter {
        Filter(self.filter.clone())
    }
}

impl Filter {
    /// Has this be logged from now on.
    pub(crate) fn set(&self, filter: &LogFilter) {
        // It fails only if nobody logs any more.
        let _ = self.0.reload(targets(filter));
    }
}

/// Starts logging; to be called once per process.
pub(crate) fn start(filter: &LogFilter, format: LogFormat) -> Log {
    let (stderr, guard) = NonBlockingBuilder::default()
        .buffered_lines_limit(LINES_WAITING_MAX)
        .lossy(true)
        .finish(io::stderr());
    let (targets, handle) = reload::Layer::new(targets(filter));
    let registry = tracing_subscriber::registry().with(targets);
    let lines = fmt::layer().with_writer(stderr);
    match format {
        LogFormat::Text => registry.with(lines.with_ansi(is_colourful())).init(),
        LogFormat::Json => registry.with(lines.json().flatten_event(true)).init(),
    }
    Log { _guard: guard, filter: handle }
}

fn targets(filter: &LogFilter) -> Targets {
    Targets::new().with_default(filter.level()).with_targets(filter.targets().iter().cloned())
}

/// Colour is for people at a terminal who have not asked for none (<https://no-color.org>).
fn is_colourful() -> bool {
    io::stderr().is_terminal() && env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

/// Lines that wait to be written; more than these are lost.
const LINES_WAITING_MAX: usize = 10_000;
