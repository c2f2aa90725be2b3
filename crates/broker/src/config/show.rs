//! The effective configuration as a `noctule.toml`, with where each value came from.

use std::fmt::Write as _;

use super::{Loaded, Origin, Value};

/// Every key with its value and origin, and what the tables of listeners set. The text is itself a valid `noctule.toml`
/// of the same meaning.
pub fn show(loaded: &Loaded) -> String {
    let lines = lines(loaded);
    let width = lines.iter().map(Line::width).max().unwrap_or(0).min(COLUMN_MAX);
    let mut text = String::new();
    for line in lines {
        let _ = match line {
            Line::Head(head) => writeln!(text, "\n{head}"),
            Line::Setting { text: setting, origin } => writeln!(text, "{setting:width$}  # {origin}"),
        };
    }
    text
}

enum Line {
    /// Where a section or a table begins.
    Head(String),
    Setting {
        text: String,
        origin: String,
    },
}

impl Line {
    fn setting(name: &str, value: &Value, origin: &Origin) -> Self {
        Self::Setting { text: format!("{name} = {value}"), origin: origin.to_string() }
    }

    fn width(&self) -> usize {
        match self {
            Self::Head(_) => 0,
            Self::Setting { text, .. } => text.chars().count(),
        }
    }
}

fn lines(loaded: &Loaded) -> Vec<Line> {
    let (mut lines, mut section) = (Vec::new(), "");
    for setting in loaded.settings() {
        if setting.key.section() != section {
            section = setting.key.section();
            lines.push(Line::Head(format!("[{section}]")));
        }
        lines.push(Line::setting(setting.key.name_in_section(), &setting.value, setting.origin));
    }
    for table in loaded.listener_settings() {
        lines.push(Line::Head("[[listener]]".into()));
        let settings = table.iter();
        lines.extend(settings.map(|it| Line::setting(it.key.name_in_section(), &it.value, it.origin)));
    }
    lines
}

/// Origins stand in one column as long as it is not further right than this.
const COLUMN_MAX: usize = 60;
