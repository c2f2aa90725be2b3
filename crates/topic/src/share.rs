//! Shared subscriptions: `$share/NAME/FILTER`.

use crate::filter::{FilterError, TOPIC_BYTES_MAX, TopicFilter, check_filter, has_wildcards};

/// What a client writes in SUBSCRIBE or UNSUBSCRIBE: a topic filter, or a share name and a filter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Subscription<'a> {
    share_name: Option<&'a str>,
    filter: &'a str,
}

impl<'a> Subscription<'a> {
    /// Takes `text` apart and checks both halves.
    ///
    /// A text is shared when its first level is exactly `$share` [MQTT-4.8.2-1]; `$sharefoo/x` is an
    /// ordinary filter.
    ///
    /// # Errors
    ///
    /// [`FilterError::ShareNameEmpty`], [`FilterError::ShareNameWildcard`],
    /// [`FilterError::ShareFilterMissing`] [MQTT-4.8.2-2], or what [`TopicFilter::parse`] says of the
    /// filter; levels in errors are counted from the beginning of the filter, not of `text`.
    pub fn check(text: &'a str) -> Result<Self, FilterError> {
        let subscription = Self::split(text)?;
        check_filter(subscription.filter)?;
        Ok(subscription)
    }

    /// Like [`check`](Self::check), and keeps a copy.
    ///
    /// # Errors
    /// The same.
    pub fn parse(text: &'a str) -> Result<ParsedFilter, FilterError> {
        let Self { share_name, filter } = Self::split(text)?;
        Ok(ParsedFilter { share_name: share_name.map(Into::into), filter: TopicFilter::parse(filter)? })
    }

    /// The name between `$share/` and the filter.
    pub fn share_name(&self) -> Option<&'a str> {
        self.share_name
    }

    /// The filter that topics are matched with.
    pub fn filter(&self) -> &'a str {
        self.filter
    }

    /// Whether the filter has a `+` or a `#`.
    pub fn has_wildcards(&self) -> bool {
        has_wildcards(self.filter)
    }

    fn split(text: &'a str) -> Result<Self, FilterError> {
        if text.len() > TOPIC_BYTES_MAX {
            return Err(FilterError::TooLong { bytes: text.len() });
        }
        let Some(rest) = text.strip_prefix(SHARE_PREFIX).and_then(|rest| rest.strip_prefix('/')) else {
            return Ok(Self { share_name: None, filter: text });
        };
        let (share_name, filter) = rest.split_once('/').unwrap_or((rest, ""));
        check_share_name(share_name)?;
        if filter.is_empty() {
            return Err(FilterError::ShareFilterMissing);
        }
        Ok(Self { share_name: Some(share_name), filter })
    }
}

/// A checked subscription: the name of its shared subscription group, if any, and its filter.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ParsedFilter {
    /// The name between `$share/` and the filter; without `/`, `+` and `#`, and not empty.
    pub share_name: Option<Box<str>>,
    /// The filter that topics are matched with.
    pub filter: TopicFilter,
}

fn check_share_name(name: &str) -> Result<(), FilterError> {
    if name.is_empty() {
        return Err(FilterError::ShareNameEmpty);
    }
    match name.bytes().find(|byte| matches!(byte, 0 | b'+' | b'#')) {
        None => Ok(()),
        Some(0) => Err(FilterError::Nul),
        Some(_) => Err(FilterError::ShareNameWildcard),
    }
}

const SHARE_PREFIX: &str = "$share";
