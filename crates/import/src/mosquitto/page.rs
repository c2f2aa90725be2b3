//! The table of options in `docs/mosquitto.md`.

use super::options::{Group, KnownOption, OPTIONS};
use std::fmt::Write as _;

/// The table of all options, in Markdown, group by group.
pub fn options_page() -> String {
    let mut page = String::new();
    for group in Group::ALL {
        let _ = writeln!(page, "\n### {}\n\n| Option | becomes |\n|---|---|", group.title());
        for option in OPTIONS.iter().filter(|option| option.group == group) {
            write_row(&mut page, option);
        }
    }
    page
}

fn write_row(page: &mut String, option: &KnownOption) {
    let prefix = match option.treatment.word().as_str() {
        "" => String::new(),
        word => format!("*{word}*: "),
    };
    let _ = writeln!(page, "| `{}` | {prefix}{} |", option.name, option.becomes);
}

impl Group {
    /// All groups, in the order of the table.
    pub const ALL: [Self; 9] = [
        Self::Listeners,
        Self::Access,
        Self::Tls,
        Self::State,
        Self::Limits,
        Self::Log,
        Self::Process,
        Self::Plugins,
        Self::Bridges,
    ];

    fn title(self) -> &'static str {
        match self {
            Self::Listeners => "Listeners",
            Self::Access => "Who may come in",
            Self::Tls => "TLS",
            Self::State => "What is kept",
            Self::Limits => "Limits",
            Self::Log => "Log and $SYS",
            Self::Process => "The process",
            Self::Plugins => "Plugins",
            Self::Bridges => "Bridges",
        }
    }
}
