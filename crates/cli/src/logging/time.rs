//! The time of a log line, as the operator wants it.

use std::fmt;

use jiff::Zoned;
use jiff::fmt::strtime;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::FormatTime;

/// Writes the time of the machine's time zone in a format of strftime.
pub(super) struct LocalTime {
    format: String,
}

impl LocalTime {
    /// The configuration has checked the format.
    pub(super) fn new(format: &str) -> Self {
        Self { format: format.into() }
    }
}

impl FormatTime for LocalTime {
    fn format_time(&self, writer: &mut Writer<'_>) -> fmt::Result {
        let time = strtime::format(&self.format, &Zoned::now()).map_err(|_| fmt::Error)?;
        writer.write_str(&time)
    }
}
