//! Configurations of other brokers, read as ours.
//!
//! An [`Import`] is the text of a `noctule.toml` and a report that says of every line of the other configuration what
//! became of it. The text says of each of its lines where it comes from, so that whoever reads it can name the line of
//! the other configuration instead. Whether a value is allowed is checked there and not here: a value is refused here
//! only if it cannot be translated.

pub mod mosquitto;
mod report;
mod settings;

pub use report::{Entry, Place, Problem, Report, Verdict};

use std::path::PathBuf;

/// A configuration of another broker, as ours.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Import {
    /// The file it was read from.
    pub file: PathBuf,
    /// The text of a `noctule.toml`.
    pub toml: String,
    /// Where each line of that text comes from; `None`: it is the other broker's default.
    pub origins: Vec<Option<Place>>,
    /// What became of each line.
    pub report: Report,
    /// What is wrong with it, in the order of its lines. With any of these the text is not the whole of it.
    pub problems: Vec<Problem>,
}
