//! What topic names and topic filters may look like, and when a filter matches a name.

use std::fmt;

use thiserror::Error;

/// The most bytes a topic name or a topic filter can have, since its length travels in 16 bits
/// [MQTT-4.7.3-3].
pub const TOPIC_BYTES_MAX: usize = 65_535;

/// A topic filter whose wildcards stand where the standard allows them.
///
/// Not empty [MQTT-4.7.3-1], without U+0000 [MQTT-4.7.3-2], at most [`TOPIC_BYTES_MAX`] bytes
/// [MQTT-4.7.3-3], `#` alone in the last level [MQTT-4.7.1-1], `+` alone in any level
/// [MQTT-4.7.1-2].
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TopicFilter(Box<str>);

impl TopicFilter {
    /// Checks `text` and keeps a copy of it.
    ///
    /// # Errors
    ///
    /// The first rule that `text` breaks, from left to right.
    pub fn parse(text: &str) -> Result<Self, FilterError> {
        check_filter(text)?;
        Ok(Self(text.into()))
    }

    /// The filter as the client wrote it.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether the filter has a `+` or a `#`; if not, it matches exactly one topic.
    pub fn has_wildcards(&self) -> bool {
        has_wildcards(&self.0)
    }

    /// The levels from left to right; there is at least one.
    pub fn levels(&self) -> impl DoubleEndedIterator<Item = &str> + '_ {
        self.0.split('/')
    }

    /// Refuses a filter with more than `max` levels, where `#` counts as one.
    ///
    /// # Errors
    ///
    /// [`FilterError::TooManyLevels`].
    pub fn check_levels(&self, max: usize) -> Result<(), FilterError> {
        let levels = self.levels().count();
        if levels > max {
            return Err(FilterError::TooManyLevels { levels, max });
        }
        Ok(())
    }

    /// Whether the filter matches the topic name; see [`matches()`].
    pub fn matches(&self, topic: &str) -> bool {
        matches(&self.0, topic)
    }
}

impl fmt::Display for TopicFilter {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl AsRef<str> for TopicFilter {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

/// The rules of topic names, as a check: names are read on every publication and rarely kept.
#[derive(Clone, Copy, Debug)]
pub struct TopicName;

impl TopicName {
    /// Checks that `name` can be published to: not empty [MQTT-4.7.3-1], no wildcard
    /// [MQTT-3.3.2-2] [MQTT-4.7.0-1], no U+0000 [MQTT-4.7.3-2], at most [`TOPIC_BYTES_MAX`] bytes
    /// [MQTT-4.7.3-3].
    ///
    /// # Errors
    ///
    /// One [`NameError`] per rule.
    pub fn check(name: &str) -> Result<(), NameError> {
        if name.is_empty() {
            return Err(NameError::Empty);
        }
        if name.len() > TOPIC_BYTES_MAX {
            return Err(NameError::TooLong { bytes: name.len() });
        }
        match name.bytes().find(|byte| matches!(byte, 0 | b'+' | b'#')) {
            None => Ok(()),
            Some(0) => Err(NameError::Nul),
            Some(_) => Err(NameError::Wildcard),
        }
    }
}

/// Why a text is not a topic filter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum FilterError {
    /// It has no character [MQTT-4.7.3-1].
    #[error("the topic filter is empty")]
    Empty,
    /// It contains U+0000 [MQTT-4.7.3-2].
    #[error("the topic filter contains the character U+0000")]
    Nul,
    /// It does not fit in a packet [MQTT-4.7.3-3].
    #[error("the topic filter has {bytes} bytes, at most {TOPIC_BYTES_MAX} fit in a packet")]
    TooLong {
        /// Its length.
        bytes: usize,
    },
    /// `#` is followed by further levels [MQTT-4.7.1-1].
    #[error("`#` stands in level {depth} of the topic filter and is not the last one")]
    HashBeforeEnd {
        /// The level, counted from zero.
        depth: usize,
    },
    /// `+` or `#` shares its level with other characters [MQTT-4.7.1-1] [MQTT-4.7.1-2].
    #[error("a wildcard does not stand alone in level {depth} of the topic filter")]
    WildcardInLevel {
        /// The level, counted from zero.
        depth: usize,
    },
    /// It has more levels than this broker is configured to take.
    #[error("the topic filter has {levels} levels, at most {max} are allowed here")]
    TooManyLevels {
        /// Its number of levels.
        levels: usize,
        /// The number allowed.
        max: usize,
    },
    /// `$share/` is not followed by a name [MQTT-4.8.2-1].
    #[error("the shared subscription has no name: write `$share/NAME/FILTER`")]
    ShareNameEmpty,
    /// The name of a shared subscription contains `+` or `#` [MQTT-4.8.2-2].
    #[error("the name of the shared subscription contains a wildcard")]
    ShareNameWildcard,
    /// The name of a shared subscription is not followed by a filter [MQTT-4.8.2-2].
    #[error("the shared subscription has no topic filter: write `$share/NAME/FILTER`")]
    ShareFilterMissing,
}

/// Why a text is not a topic name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum NameError {
    /// It has no character [MQTT-4.7.3-1].
    #[error("the topic name is empty")]
    Empty,
    /// It contains `+` or `#` [MQTT-3.3.2-2].
    #[error("the topic name contains a wildcard")]
    Wildcard,
    /// It contains U+0000 [MQTT-4.7.3-2].
    #[error("the topic name contains the character U+0000")]
    Nul,
    /// It does not fit in a packet [MQTT-4.7.3-3].
    #[error("the topic name has {bytes} bytes, at most {TOPIC_BYTES_MAX} fit in a packet")]
    TooLong {
        /// Its length.
        bytes: usize,
    },
}

/// Whether `filter` matches `topic`: the definition that every table of this crate is tested against.
///
/// A filter that begins with a wildcard does not match a topic that begins with `$` [MQTT-4.7.2-1].
/// `a/#` matches `a` too.
pub fn matches(filter: &str, topic: &str) -> bool {
    if begins_with_wildcard(filter) && topic.starts_with('$') {
        return false;
    }
    let mut words = topic.split('/');
    for level in filter.split('/') {
        match (level, words.next()) {
            ("#", _) => return true,
            ("+", Some(_)) => {}
            (literal, Some(word)) if literal == word => {}
            _ => return false,
        }
    }
    words.next().is_none()
}

/// Whether `filter` has a `+` or a `#`.
pub(crate) fn has_wildcards(filter: &str) -> bool {
    filter.bytes().any(|byte| matches!(byte, b'+' | b'#'))
}

/// Whether the first level of `filter` is a wildcard.
pub(crate) fn begins_with_wildcard(filter: &str) -> bool {
    filter.starts_with(['+', '#'])
}

pub(crate) fn check_filter(text: &str) -> Result<(), FilterError> {
    if text.is_empty() {
        return Err(FilterError::Empty);
    }
    if text.len() > TOPIC_BYTES_MAX {
        return Err(FilterError::TooLong { bytes: text.len() });
    }
    let mut levels = text.split('/').enumerate().peekable();
    while let Some((depth, level)) = levels.next() {
        check_level(level, depth, levels.peek().is_none())?;
    }
    Ok(())
}

fn check_level(level: &str, depth: usize, is_last: bool) -> Result<(), FilterError> {
    match level {
        "+" => Ok(()),
        "#" if is_last => Ok(()),
        "#" => Err(FilterError::HashBeforeEnd { depth }),
        _ => match level.bytes().find(|byte| matches!(byte, 0 | b'+' | b'#')) {
            None => Ok(()),
            Some(0) => Err(FilterError::Nul),
            Some(_) => Err(FilterError::WildcardInLevel { depth }),
        },
    }
}
