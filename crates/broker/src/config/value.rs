//! The value of a key, as it is shown.

use std::fmt;
use std::time::Duration;

use super::units::{show_duration, show_size};

/// The value of a key. Its [`Display`](fmt::Display) form is what `noctule.toml` takes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// `true` or `false`.
    Boolean(bool),
    /// A number of things.
    Number(u64),
    /// A number of bytes.
    Size(u64),
    /// A length of time.
    Duration(Duration),
    /// A length of time without end.
    Forever,
    /// A text.
    Text(String),
    /// Several texts.
    List(Vec<String>),
}

impl Value {
    /// What the environment and the command line take: without quotes, lists separated by commas.
    pub fn plain(&self) -> String {
        match self {
            Self::Boolean(switch) => switch.to_string(),
            Self::Number(number) => number.to_string(),
            Self::Size(bytes) => show_size(*bytes),
            Self::Duration(duration) => show_duration(*duration),
            Self::Forever => FOREVER.into(),
            Self::Text(text) => text.clone(),
            Self::List(items) => items.join(","),
        }
    }
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Boolean(_) | Self::Number(_) => f.write_str(&self.plain()),
            Self::List(items) => write!(f, "{}", toml::Value::from(items.clone())),
            _ => write!(f, "{}", toml::Value::from(self.plain())),
        }
    }
}

/// How a length of time without end is written.
pub(super) const FOREVER: &str = "forever";
