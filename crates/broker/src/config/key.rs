//! One key: its names in file, environment and command line, and how it is set.

use std::fmt;

use super::kind::{Kind, Refusal};
use super::load::Assignment;
use super::{Config, Problem, Value};

/// A thing the operator can set; it goes into `C`.
pub struct Key<C: 'static = Config> {
    /// Name in `noctule.toml`, sections separated by dots: `limits.packet_bytes_max`.
    pub name: &'static str,
    /// Its flag. Every key can also be set with `--set KEY=VALUE`.
    pub flag: Option<Flag>,
    /// What it is, in one line.
    pub help: &'static str,
    /// What else there is to know, in Markdown.
    pub details: &'static str,
    /// What a refusal adds to what is allowed; may be empty.
    pub(super) hint: &'static str,
    pub(super) kind: Kind<C>,
}

/// A flag of `noctule serve`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Flag {
    /// What stands for its value in help texts.
    pub value_name: &'static str,
}

impl Key {
    /// The key with this name.
    pub fn by_name(name: &str) -> Option<&'static Self> {
        super::KEYS.iter().find(|key| key.name == name)
    }
}

impl<C: Default> Key<C> {
    /// Its environment variable: `NOCTULE_LIMITS_PACKET_BYTES_MAX`.
    pub fn variable(&self) -> String {
        format!("{VARIABLE_PREFIX}{}", self.name.replace('.', "_").to_ascii_uppercase())
    }

    /// Its flag without the dashes, whether or not there [is one](Self::flag): `data-dir`.
    pub fn flag_name(&self) -> String {
        self.name.replace(['_', '.'], "-")
    }

    /// The section of the file it stands in; empty for the top.
    pub fn section(&self) -> &'static str {
        self.name.rsplit_once('.').map_or("", |(section, _)| section)
    }

    /// Its name within its section.
    pub fn name_in_section(&self) -> &'static str {
        self.name.rsplit_once('.').map_or(self.name, |(_, name)| name)
    }

    /// Whether it takes several values.
    pub fn is_list(&self) -> bool {
        self.kind.is_list()
    }

    /// What it takes, for a person: `a whole number from 1 to 65535`.
    pub fn allowed(&self) -> String {
        self.kind.allowed()
    }

    /// Its value in `config`.
    pub fn value(&self, config: &C) -> Value {
        self.kind.read(config)
    }

    /// Puts the value of `assignment` into `config`.
    pub(super) fn assign(&self, config: &mut C, assignment: &Assignment) -> Result<(), Vec<Problem>> {
        let refusals = self.kind.write(config, &assignment.raw);
        refusals
            .map_err(|refusals| refusals.iter().map(|refusal| self.problem(refusal, assignment)).collect())
    }

    fn problem(&self, refusal: &Refusal, assignment: &Assignment) -> Problem {
        let element = refusal.element.and_then(|index| assignment.elements.get(index));
        let place = element.unwrap_or(&assignment.place).clone();
        let name = if place.names_the_key() { String::new() } else { format!("{}: ", self.name) };
        let hint = if self.hint.is_empty() { String::new() } else { format!(" ({})", self.hint) };
        Problem { place, message: format!("{name}{}{hint}", refusal.message) }
    }
}

impl<C> fmt::Debug for Key<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Key").field(&self.name).finish()
    }
}

/// What the names of environment variables start with.
pub(super) const VARIABLE_PREFIX: &str = "NOCTULE_";

/// The variable that names the file.
pub(super) const CONFIG_VARIABLE: &str = "NOCTULE_CONFIG";
