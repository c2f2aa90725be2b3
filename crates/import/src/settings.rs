//! The text of a `noctule.toml`, line by line with where each comes from.

use crate::Place;
use std::fmt;

/// A value as `noctule.toml` has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Value {
    Switch(bool),
    Number(u64),
    Text(String),
    Texts(Vec<String>),
}

/// The settings of one table. A key that is set again is replaced where it stands.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Settings {
    list: Vec<Setting>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Setting {
    key: &'static str,
    value: Value,
    origin: Option<Place>,
}

/// A text that grows by lines.
#[derive(Debug, Default)]
pub(crate) struct Text {
    pub(crate) toml: String,
    pub(crate) origins: Vec<Option<Place>>,
}

impl Settings {
    /// Sets a key.
    pub(crate) fn set(&mut self, key: &'static str, value: impl Into<Value>, origin: Option<Place>) {
        let setting = Setting { key, value: value.into(), origin };
        match self.list.iter_mut().find(|known| known.key == key) {
            Some(known) => *known = setting,
            None => self.list.push(setting),
        }
    }

    /// Sets a key that nobody has set.
    pub(crate) fn set_default(&mut self, key: &'static str, value: impl Into<Value>) {
        if !self.has(key) {
            self.set(key, value, None);
        }
    }

    /// Takes over what the other ones set and these do not.
    pub(crate) fn set_defaults(&mut self, defaults: &Self) {
        let missing = defaults.list.iter().filter(|default| !self.has(default.key)).cloned();
        self.list.extend(missing.collect::<Vec<_>>());
    }

    pub(crate) fn has(&self, key: &str) -> bool {
        self.list.iter().any(|setting| setting.key == key)
    }

    pub(crate) fn get(&self, key: &str) -> Option<(&Value, Option<&Place>)> {
        let setting = self.list.iter().find(|setting| setting.key == key)?;
        Some((&setting.value, setting.origin.as_ref()))
    }

    /// Whether the key is set to `true`.
    pub(crate) fn is_on(&self, key: &str) -> bool {
        self.get(key).is_some_and(|(value, _)| *value == Value::Switch(true))
    }

    /// The text that the key is set to.
    pub(crate) fn text(&self, key: &str) -> Option<&str> {
        match self.get(key) {
            Some((Value::Text(text), _)) => Some(text),
            _ => None,
        }
    }

    /// The line that sets the key.
    pub(crate) fn origin(&self, key: &str) -> Option<Place> {
        self.get(key).and_then(|(_, origin)| origin.cloned())
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.list.is_empty()
    }
}

impl Text {
    /// A line that sets nothing.
    pub(crate) fn write_line(&mut self, line: &str, origin: Option<&Place>) {
        self.toml.push_str(line);
        self.toml.push('\n');
        self.origins.push(origin.cloned());
    }

    /// Keys that contain their section: those without one first, then section by section.
    pub(crate) fn write_sections(&mut self, settings: &Settings) {
        let mut sections: Vec<&str> = settings.list.iter().map(|setting| section(setting.key)).collect();
        sections.sort_unstable();
        sections.dedup();
        for name in sections {
            if !name.is_empty() {
                self.write_line("", None);
                self.write_line(&format!("[{name}]"), None);
            }
            settings
                .list
                .iter()
                .filter(|setting| section(setting.key) == name)
                .for_each(|setting| self.write(setting));
        }
    }

    /// One more table of an array.
    pub(crate) fn write_table(&mut self, name: &str, settings: &Settings, origin: Option<&Place>) {
        self.write_line("", None);
        self.write_line(&format!("[[{name}]]"), origin);
        settings.list.iter().for_each(|setting| self.write(setting));
    }

    fn write(&mut self, Setting { key, value, origin }: &Setting) {
        let name = key.rsplit('.').next().unwrap_or(key);
        let comment = match origin {
            Some(place) => place.to_string().replace(char::is_control, "?"),
            None => "mosquitto's default".into(),
        };
        self.write_line(&format!("{name} = {value}  # {comment}"), origin.as_ref());
    }
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Switch(switch) => write!(f, "{switch}"),
            Self::Number(number) => write!(f, "{number}"),
            Self::Text(text) => write!(f, "{}", toml::Value::from(text.as_str())),
            Self::Texts(texts) => write!(f, "{}", toml::Value::from(texts.clone())),
        }
    }
}

impl From<bool> for Value {
    fn from(switch: bool) -> Self {
        Self::Switch(switch)
    }
}

impl From<u64> for Value {
    fn from(number: u64) -> Self {
        Self::Number(number)
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::Text(text.into())
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<Vec<String>> for Value {
    fn from(texts: Vec<String>) -> Self {
        Self::Texts(texts)
    }
}

/// The section a key stands in; empty for the top.
fn section(key: &str) -> &str {
    key.rsplit_once('.').map_or("", |(section, _)| section)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_stand_in_their_sections_and_lines_know_where_they_come_from() {
        let place = Place { file: std::path::Path::new("a.conf").into(), line: 7 };
        let mut settings = Settings::default();
        settings.set("limits.b", 1_u64, Some(place.clone()));
        settings.set("a", "x\"y", None);
        settings.set("limits.b", 2_u64, Some(place.clone()));
        settings.set_default("limits.b", 3_u64);
        settings.set("limits.c", vec!["p".to_owned()], None);
        let mut text = Text::default();
        text.write_sections(&settings);
        text.write_table("listener", &settings, Some(&place));
        let lines: Vec<&str> = text.toml.lines().collect();
        assert_eq!(lines[0], "a = 'x\"y'  # mosquitto's default");
        assert_eq!(lines[1..3], ["", "[limits]"]);
        assert_eq!(lines[3], "b = 2  # a.conf:7");
        assert_eq!(lines[4], "c = [\"p\"]  # mosquitto's default");
        assert_eq!(lines[6], "[[listener]]");
        assert_eq!(lines.len(), text.origins.len());
        assert_eq!([&text.origins[3], &text.origins[6]], [&Some(place.clone()), &Some(place)]);
    }
}
