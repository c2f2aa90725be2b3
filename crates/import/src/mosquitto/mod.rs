//! Mosquitto's `mosquitto.conf`.
//!
//! # How it is read
//!
//! - [`OPTIONS`] is the one table of all options: what becomes of each, and in which words the report and
//!   `docs/mosquitto.md` say so. An option that is not in it is a mistake, as it is to mosquitto.
//! - Options are taken in their order. What is about listeners is about the listener above it, and above the first one
//!   about the *default listener*, which exists only if something is said about it. When all have been taken, the
//!   listeners are put together: a URL, for example, comes from up to six options.
//! - Where mosquitto's default differs from ours and a client or an operator would notice, it is written down as a
//!   setting of its own, so that the text means here what the file means there.
//!
//! What is understood is what mosquitto 2.0 understands, and the options that 2.1 has added.

mod access;
mod became;
mod broker;
mod draft;
mod finish;
mod lines;
mod listener;
mod log;
mod options;
mod page;

pub use options::{Group, KnownOption, OPTIONS};
pub use page::options_page;

use crate::{Entry, Import, Problem, Report};
use draft::Draft;
use lines::Line;
use std::path::Path;

/// Reads a `mosquitto.conf` and what it includes.
pub fn import(file: &Path) -> Import {
    let (lines, mut problems) = lines::read(file);
    let mut draft = Draft::default();
    let mut report = Report::default();
    for line in &lines {
        match take(&mut draft, line) {
            Ok(entry) => report.entries.push(entry),
            Err(message) => problems.push(Problem { place: line.place.clone(), message }),
        }
    }
    let text = finish::finish(draft, file, &mut problems);
    Import { file: file.into(), toml: text.toml, origins: text.origins, report, problems }
}

/// Takes one line into account and says what became of it.
fn take(draft: &mut Draft, line: &Line) -> Result<Entry, String> {
    let option = KnownOption::by_name(&line.name)
        .ok_or_else(|| format!("mosquitto knows no option {:?}", line.name))?;
    let became = option.treatment.take(draft, line).map_err(|message| format!("{}: {message}", line.name))?;
    Ok(Entry {
        place: line.place.clone(),
        text: option.shown(line),
        verdict: became.verdict,
        note: became.note,
        is_vital: became.is_vital,
    })
}
