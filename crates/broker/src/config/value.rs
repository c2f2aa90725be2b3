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

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Boolean(switch) => write!(f, "{switch}"),
            Self::Number(number) => write!(f, "{number}"),
            Self::Size(bytes) => write!(f, "\"{}\"", show_size(*bytes)),
            Self::Duration(duration) => write!(f, "\"{}\"", show_duration(*duration)),
            Self::Forever => write!(f, "\"{FOREVER}\""),
            Self::Text(text) => write!(f, "{}", toml::Value::from(text.as_str())),
            Self::List(items) => write!(f, "{}", toml::Value::from(items.clone())),
        }
    }
}

/// How a length of time without end is written.
pub(super) const FOREVER: &str = "forever";
