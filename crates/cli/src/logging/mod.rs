//! Where log lines go, and how they look.
//!
//! A thread of their own writes the lines. Where nobody reads standard error (a stopped terminal, a log driver
//! that hangs) lines are lost and counted, and the broker goes on.

mod places;
mod time;

use std::env;
use std::io::{self, IsTerminal as _};

use noctule_broker::config::{Config, LogFilter, LogFormat, LogPlace};
use tracing_appender::non_blocking::{NonBlocking, NonBlockingBuilder, WorkerGuard};
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::{Layer, SubscriberExt as _};
use tracing_subscriber::registry::Registry;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{fmt, reload};

use crate::failure::Failure;
use places::Places;
use time::LocalTime;

/// The log of the process. What is logged is written until this is dropped.
pub(crate) struct Log {
    _guard: WorkerGuard,
    filter: Filter,
}

/// Changes what is logged.
#[derive(Clone)]
pub(crate) struct Filter(reload::Handle<Targets, Registry>);

impl Log {
    /// What changes what is logged.
    pub(crate) fn filter(&self) -> Filter {
        self.filter.clone()
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
pub(crate) fn start(config: &Config) -> Result<Log, Failure> {
    let places = Places::open(&config.log_to)?;
    let (writer, guard) =
        NonBlockingBuilder::default().buffered_lines_limit(LINES_WAITING_MAX).lossy(true).finish(places);
    let (targets, handle) = reload::Layer::new(targets(&config.log));
    let lines = lines(config, writer).with_filter(targets);
    tracing_subscriber::registry().with(lines).init();
    Ok(Log { _guard: guard, filter: Filter(handle) })
}

fn targets(filter: &LogFilter) -> Targets {
    Targets::new().with_default(filter.level()).with_targets(filter.targets().iter().cloned())
}

/// What makes lines of events.
fn lines(config: &Config, writer: NonBlocking) -> Box<dyn Layer<Registry> + Send + Sync> {
    let lines = fmt::layer().with_writer(writer).with_ansi(is_colourful(&config.log_to));
    match (config.log_format, config.log_time_format.as_str()) {
        (LogFormat::Json, _) => lines.json().flatten_event(true).boxed(),
        (LogFormat::Text, "") => lines.boxed(),
        (LogFormat::Text, "none") => lines.without_time().boxed(),
        (LogFormat::Text, format) => lines.with_timer(LocalTime::new(format)).boxed(),
    }
}

/// Colour is for people at a terminal who have not asked for none (<https://no-color.org>).
fn is_colourful(places: &[LogPlace]) -> bool {
    places == [LogPlace::Stderr]
        && io::stderr().is_terminal()
        && env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

/// Lines that wait to be written; more than these are lost.
const LINES_WAITING_MAX: usize = 10_000;
