//! Where log lines go.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use thiserror::Error;

/// A place for log lines, written as `stderr`, `stdout` or `file:PATH`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LogPlace {
    /// Standard error.
    Stderr,
    /// Standard output, between the ready line and its like.
    Stdout,
    /// The end of a file.
    File(PathBuf),
}

/// Why a text is no [`LogPlace`].
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("it is no place for log lines; allowed are stderr, stdout and file:PATH")]
pub struct LogPlaceError;

impl FromStr for LogPlace {
    type Err = LogPlaceError;

    fn from_str(text: &str) -> Result<Self, LogPlaceError> {
        match text {
            "stderr" => Ok(Self::Stderr),
            "stdout" => Ok(Self::Stdout),
            _ => match text.strip_prefix("file:") {
                Some(path) if !path.is_empty() && !path.contains('\0') => Ok(Self::File(path.into())),
                _ => Err(LogPlaceError),
            },
        }
    }
}

impl fmt::Display for LogPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stderr => f.write_str("stderr"),
            Self::Stdout => f.write_str("stdout"),
            Self::File(path) => write!(f, "file:{}", path.display()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_read_and_shown() {
        for text in ["stderr", "stdout", "file:/var/log/noctule.log", "file:a b"] {
            assert_eq!(text.parse().map(|place: LogPlace| place.to_string()), Ok(text.to_owned()));
        }
        for text in ["", "syslog", "file", "file:", "file:\0", "/var/log/noctule.log"] {
            assert_eq!(text.parse::<LogPlace>(), Err(LogPlaceError), "{text:?}");
        }
    }
}
