//! `noctule.toml`: which keys it sets, and where in the file.

use std::ops::Range;
use std::path::Path;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::listener::LISTENER_KEYS;
use super::load::{Assignment, Table};
use super::raw::Raw;
use super::unknown::{is_section, unknown_key, unknown_listener_key};
use super::{KEYS, Place, Problem};

/// Reads the keys of `text` in the order of the file. A text that is not TOML yields only problems.
pub(super) fn read_assignments(
    path: &Path,
    text: &str,
    assignments: &mut Vec<Assignment>,
    tables: &mut Vec<Table>,
    problems: &mut Vec<Problem>,
) {
    let mut reader = Reader { path, text, assignments, tables, problems };
    let (document, errors) = DeTable::parse_recoverable(text);
    if errors.is_empty() {
        reader.read_table("", document.get_ref());
    }
    for error in errors {
        // Where the file ends too early there is no span.
        let span = error.span().unwrap_or(text.len()..text.len());
        reader.problem(span, format!("not TOML: {}", error.message()));
    }
}

struct Reader<'a> {
    path: &'a Path,
    text: &'a str,
    assignments: &'a mut Vec<Assignment>,
    tables: &'a mut Vec<Table>,
    problems: &'a mut Vec<Problem>,
}

impl Reader<'_> {
    /// Reads what stands under `section`, which is empty for the top of the file.
    fn read_table(&mut self, section: &str, table: &DeTable<'_>) {
        for (key, value) in table {
            let name = if section.is_empty() {
                key.get_ref().to_string()
            } else {
                format!("{section}.{}", key.get_ref())
            };
            self.read_entry(&name, key.span(), value);
        }
    }

    fn read_entry(&mut self, name: &str, key_span: Range<usize>, value: &Spanned<DeValue<'_>>) {
        if let Some(key) = KEYS.iter().position(|key| key.name == name) {
            self.assignments.push(self.assignment(key, value));
            return;
        }
        match value.get_ref() {
            DeValue::Array(tables) if name == LISTENER => self.read_listeners(tables),
            _ if name == LISTENER => {
                let found = Raw::from_toml(value.get_ref());
                let message = format!("{name}: found {found}, allowed are tables that begin with [[{name}]]");
                self.problem(value.span(), message);
            }
            DeValue::Table(table) if is_section(name) => self.read_table(name, table),
            _ if is_section(name) => {
                let found = Raw::from_toml(value.get_ref());
                self.problem(value.span(), format!("{name}: found {found}, allowed is a table of keys"));
            }
            _ => self.problem(key_span, unknown_key(name)),
        }
    }

    fn read_listeners(&mut self, tables: &[Spanned<DeValue<'_>>]) {
        for item in tables {
            let DeValue::Table(table) = item.get_ref() else {
                let found = Raw::from_toml(item.get_ref());
                self.problem(item.span(), format!("{LISTENER}: found {found}, allowed is a table of keys"));
                continue;
            };
            let mut assignments = Vec::new();
            for (key, value) in table {
                let name = format!("{LISTENER}.{}", key.get_ref());
                match LISTENER_KEYS.iter().position(|key| key.name == name) {
                    Some(key) => assignments.push(self.assignment(key, value)),
                    None => self.problem(key.span(), unknown_listener_key(&name)),
                }
            }
            self.tables.push(Table { place: self.place(item.span()), assignments });
        }
    }

    fn assignment(&self, key: usize, value: &Spanned<DeValue<'_>>) -> Assignment {
        let elements = match value.get_ref() {
            DeValue::Array(items) => items.iter().map(|item| self.place(item.span())).collect(),
            _ => Vec::new(),
        };
        Assignment { key, raw: Raw::from_toml(value.get_ref()), place: self.place(value.span()), elements }
    }

    fn problem(&mut self, span: Range<usize>, message: String) {
        let place = self.place(span);
        self.problems.push(Problem { place, message });
    }

    fn place(&self, span: Range<usize>) -> Place {
        let before = self.text.get(..span.start).unwrap_or(self.text);
        let line_start = before.rfind('\n').map_or(0, |line_break| line_break + 1);
        Place::File {
            path: self.path.into(),
            line: before.matches('\n').count() + 1,
            column: before[line_start..].chars().count() + 1,
        }
    }
}

/// The name of the tables of listeners.
const LISTENER: &str = "listener";
