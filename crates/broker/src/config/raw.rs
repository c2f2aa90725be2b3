//! A value as it was written, before its key says what it means.

use std::fmt;

use toml::de::DeValue;

/// A value as it was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Raw {
    /// Text of an environment variable or a flag, which may stand for any type.
    Plain(String),
    /// A quoted string of the file.
    Quoted(String),
    /// A whole number of the file.
    Integer(i128),
    /// A boolean of the file.
    Boolean(bool),
    /// An array of the file.
    List(Vec<Raw>),
    /// Something of the file that no key takes, as it is called.
    Other(String),
}

impl Raw {
    pub(super) fn from_toml(value: &DeValue<'_>) -> Self {
        match value {
            DeValue::String(text) => Self::Quoted(text.to_string()),
            DeValue::Integer(number) => match i128::from_str_radix(number.as_str(), number.radix()) {
                Ok(number) => Self::Integer(number),
                Err(_) => Self::Other(format!("the number {number}")),
            },
            DeValue::Boolean(switch) => Self::Boolean(*switch),
            DeValue::Array(items) => {
                Self::List(items.iter().map(|item| Self::from_toml(item.get_ref())).collect())
            }
            DeValue::Float(number) => Self::Other(format!("the fraction {number}")),
            DeValue::Datetime(time) => Self::Other(format!("the date {time}")),
            DeValue::Table(_) => Self::Other("a table".into()),
        }
    }

    /// The text of a string or of an untyped source.
    pub(super) fn text(&self) -> Option<&str> {
        match self {
            Self::Plain(text) | Self::Quoted(text) => Some(text),
            _ => None,
        }
    }

    pub(super) fn boolean(&self) -> Option<bool> {
        match self {
            Self::Boolean(switch) => Some(*switch),
            Self::Plain(text) => text.parse().ok(),
            _ => None,
        }
    }

    /// A whole number; negative ones and those beyond 64 bits are none, like other text.
    pub(super) fn number(&self) -> Option<u64> {
        match self {
            Self::Integer(number) => u64::try_from(*number).ok(),
            Self::Plain(text) => text.parse().ok(),
            _ => None,
        }
    }

    /// The elements of a list; untyped text is split at commas.
    pub(super) fn list(&self) -> Option<Vec<Raw>> {
        match self {
            Self::List(items) => Some(items.clone()),
            Self::Plain(text) => Some(text.split(',').map(|item| Self::Plain(item.trim().into())).collect()),
            _ => None,
        }
    }
}

/// What was found, as a person is told.
impl fmt::Display for Raw {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Plain(text) | Self::Quoted(text) => write!(f, "{text:?}"),
            Self::Integer(number) => write!(f, "{number}"),
            Self::Boolean(switch) => write!(f, "{switch}"),
            Self::List(_) => f.write_str("an array"),
            Self::Other(name) => f.write_str(name),
        }
    }
}
