//! What is logged: a level, and other levels for parts of the program.

use std::fmt;
use std::str::FromStr;

use thiserror::Error;
use tracing::level_filters::LevelFilter;

/// A level for everything, and levels for targets (module paths such as `noctule_broker`).
///
/// Written as `info`, `warn,noctule_broker=debug` or `noctule_broker=trace`; without a level for everything
/// it is `info`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogFilter {
    level: LevelFilter,
    targets: Vec<(String, LevelFilter)>,
}

/// Why a text is no [`LogFilter`].
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum LogFilterError {
    /// A part is no level.
    #[error("{level:?} is no level; allowed are off, error, warn, info, debug, trace")]
    BadLevel {
        /// The part as written.
        level: String,
    },
    /// What stands before `=` is no module path.
    #[error("{target:?} is no target; write for example noctule_broker=debug")]
    BadTarget {
        /// The target as written.
        target: String,
    },
    /// The level for everything, or for one target, is there twice.
    #[error("{part:?} sets a level that is already set")]
    Twice {
        /// The second one.
        part: String,
    },
}

impl LogFilter {
    /// The level of everything that has no level of its own.
    pub fn level(&self) -> LevelFilter {
        self.level
    }

    /// Targets with levels of their own. The longest that matches a message decides.
    pub fn targets(&self) -> &[(String, LevelFilter)] {
        &self.targets
    }
}

impl Default for LogFilter {
    fn default() -> Self {
        Self { level: LevelFilter::INFO, targets: Vec::new() }
    }
}

impl FromStr for LogFilter {
    type Err = LogFilterError;

    fn from_str(text: &str) -> Result<Self, LogFilterError> {
        let mut level = None;
        let mut targets: Vec<(String, LevelFilter)> = Vec::new();
        for part in text.split(',').map(str::trim) {
            let twice = match part.split_once('=') {
                None => level.replace(parse_level(part)?).is_some(),
                Some((target, level)) => {
                    let twice = targets.iter().any(|(known, _)| known == target);
                    targets.push((parse_target(target)?, parse_level(level)?));
                    twice
                }
            };
            if twice {
                return Err(LogFilterError::Twice { part: part.into() });
            }
        }
        Ok(Self { level: level.unwrap_or(LevelFilter::INFO), targets })
    }
}

impl fmt::Display for LogFilter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.level)?;
        self.targets.iter().try_for_each(|(target, level)| write!(f, ",{target}={level}"))
    }
}

fn parse_level(text: &str) -> Result<LevelFilter, LogFilterError> {
    LEVELS
        .into_iter()
        .find(|level| level.to_string().eq_ignore_ascii_case(text))
        .ok_or_else(|| LogFilterError::BadLevel { level: text.into() })
}

fn parse_target(text: &str) -> Result<String, LogFilterError> {
    let good = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b':');
    if text.is_empty() || !text.bytes().all(good) {
        return Err(LogFilterError::BadTarget { target: text.into() });
    }
    Ok(text.into())
}

const LEVELS: [LevelFilter; 6] = [
    LevelFilter::OFF,
    LevelFilter::ERROR,
    LevelFilter::WARN,
    LevelFilter::INFO,
    LevelFilter::DEBUG,
    LevelFilter::TRACE,
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters_are_read_and_shown() {
        for (text, shown) in [
            ("info", "info"),
            ("OFF", "off"),
            ("warn,noctule_broker=debug", "warn,noctule_broker=debug"),
            ("noctule_broker::turn=trace", "info,noctule_broker::turn=trace"),
            (" a=error , warn ", "warn,a=error"),
        ] {
            let filter: LogFilter = text.parse().unwrap_or_else(|error| panic!("{text}: {error}"));
            assert_eq!(filter.to_string(), shown);
            assert_eq!(shown.parse(), Ok(filter));
        }
    }

    #[test]
    fn bad_filters_say_what_is_wrong() {
        use LogFilterError as E;
        for (text, error) in [
            ("", E::BadLevel { level: String::new() }),
            ("loud", E::BadLevel { level: "loud".into() }),
            ("3", E::BadLevel { level: "3".into() }),
            ("info,", E::BadLevel { level: String::new() }),
            ("a=loud", E::BadLevel { level: "loud".into() }),
            ("=info", E::BadTarget { target: String::new() }),
            ("a b=info", E::BadTarget { target: "a b".into() }),
            ("info,warn", E::Twice { part: "warn".into() }),
            ("a=info,a=warn", E::Twice { part: "a=warn".into() }),
        ] {
            assert_eq!(text.parse::<LogFilter>(), Err(error), "{text}");
        }
    }
}
