//! The effective configuration as a `noctule.toml`, with where each value came from.

use std::fmt::Write as _;

use super::Loaded;

/// Every key with its value and origin. The text is itself a valid `noctule.toml` of the same meaning.
pub fn show(loaded: &Loaded) -> String {
    let lines: Vec<(&str, String, String)> = loaded
        .settings()
        .map(|setting| {
            let line = format!("{} = {}", setting.key.name_in_section(), setting.value);
            (setting.key.section(), line, setting.origin.to_string())
        })
        .collect();
    let width = lines.iter().map(|(_, line, _)| line.chars().count()).max().unwrap_or(0).min(COLUMN_MAX);

    let mut text = String::new();
    let mut current = "";
    for (section, line, origin) in lines {
        if section != current {
            let _ = writeln!(text, "\n[{section}]");
            current = section;
        }
        let _ = writeln!(text, "{line:width$}  # {origin}");
    }
    text
}

/// Origins stand in one column as long as it is not further right than this.
const COLUMN_MAX: usize = 60;
