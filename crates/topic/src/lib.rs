//! Topic names and topic filters: what they may look like, which of them match, and the two tables
//! every publication and every subscription goes through.
//!
//! - [`filter`]: [`TopicFilter`] and [`TopicName`], and [`filter::matches`], the rule itself in ten
//!   lines; everything faster in this crate is tested against it.
//! - [`share`]: takes `$share/NAME/FILTER` apart.
//! - [`index`]: [`FilterIndex`], from a topic to the subscriptions that match it.
//! - [`retained`]: [`RetainedTree`], from a filter to the retained topics it matches.
//! - [`cover`]: whether one filter matches everything another one matches.
//!
//! # Invariants
//!
//! - Nothing here knows clients, packets, time or locks; keys and values are the caller's.
//! - Matching neither normalises nor substitutes [MQTT-4.7.3-4]: names are compared byte by byte, and
//!   an empty level is a level.
//! - Both look-ups can stop after a given number of steps and go on later. What they remember in
//!   between is a place among topics, never one in memory, so the tables may change meanwhile.
//! - Nothing recurses by depth: a topic may have as many levels as it has room for.

pub mod cover;
pub mod filter;
pub mod index;
pub mod retained;
pub mod share;
mod tables;

pub use cover::covers;
pub use filter::{FilterError, NameError, TopicFilter, TopicName, matches};
pub use index::{FilterIndex, MatchCursor};
pub use retained::{RetainedCursor, RetainedTree};
pub use share::{ParsedFilter, Subscription};
