//! May you: ordered rules, and what they say.
//!
//! # Precedence
//!
//! Rules have an order, that of their file. **The first rule that is about the question decides; if none is, the
//! answer is no.**
//!
//! A rule is about a question if all of this holds:
//!
//! - the client fulfils every [condition](Conditions) of the rule;
//! - the rule names the [action](Actions);
//! - the rule has the QoS asked for ([`QosSet`]);
//! - publishing, wills, deliveries: the rule's pattern *matches the topic*;
//!   SUBSCRIBE: the rule's pattern *covers the filter*, that is, matches every topic that the filter matches.
//!
//! # Subscriptions
//!
//! It follows that SUBSCRIBE is granted if one allow rule covers the filter and no deny rule above it covers the
//! filter as well. How the filter is spelled does not matter (`#` and `+/#` say the same), and two rules that cover
//! it only together do not grant it. A deny rule about a part of the filter does not refuse the subscription: it
//! takes effect at delivery, where every message is asked for by its topic. So whatever was
//! subscribed to, and whenever, no message is delivered that the rules of now do not allow by its topic.
//!
//! `#` and `+/…` do not cover topics that begin with `$` [MQTT-4.7.2-1]; `$SYS/#` needs a rule of its own. A shared
//! subscription is decided by its filter.
//!
//! # Invariants
//!
//! - A [`RuleSet`] never changes. It is shared, and exchanged as a whole.
//! - The numbers of the rules about a client are kept with its identity. They only save time: answers without them are
//!   the same.
//! - The time of an answer is bounded by the number of rules about the client times the length of the topic.

mod conditions;
mod file;
mod grants;
mod names;
mod pattern;
mod table;

pub use conditions::{Conditions, User};
pub use file::parse;
pub(crate) use file::quoted;
pub(crate) use grants::Grants;
pub use names::{AddressPattern, NamePattern};
pub(crate) use pattern::Names;
pub use pattern::{PatternError, TopicPattern};
use std::sync::Arc;
pub use table::{RULES_MAX, RuleSet, TooManyRules};

/// A line that allows or denies.
#[derive(Clone, Debug)]
pub struct Rule {
    /// Allows or denies.
    pub effect: Effect,
    /// What clients do.
    pub actions: Actions,
    /// At which QoS.
    pub qos: QosSet,
    /// On which topics.
    pub topics: TopicPattern,
    /// Which clients.
    pub conditions: Conditions,
    /// The rule in words, as it was written.
    pub text: Arc<str>,
    /// The file it is written in, or what stands for one.
    pub file: Arc<str>,
    /// The line in that file; zero if it has none.
    pub line: u32,
}

/// What a rule does with what it is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Allows it.
    Allow,
    /// Denies it.
    Deny,
}

/// A set of things that clients do.
///
/// `publish` includes wills and retained messages, `subscribe` includes deliveries; the others are parts of these, to
/// be allowed or denied by themselves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Actions(u8);

/// A set of QoS.
///
/// It is about the QoS a client asks for, in PUBLISH, will and SUBSCRIBE. A delivery has none: a rule for some QoS
/// allows deliveries like a rule for all, and denies none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QosSet(u8);

impl Actions {
    /// Publishing, as a will or not, retained or not.
    pub const PUBLISH: Self = Self(Self::PUBLICATION | Self::WILL.0);
    /// Publishing retained messages, as a will or not.
    pub const RETAIN: Self = Self(1 << 1);
    /// Leaving a will and having it published.
    pub const WILL: Self = Self(1 << 2);
    /// Subscribing and receiving.
    pub const SUBSCRIBE: Self = Self(Self::SUBSCRIPTION.0 | Self::RECEIVE.0);
    /// Receiving.
    pub const RECEIVE: Self = Self(1 << 4);
    /// SUBSCRIBE alone, without anything that it brings.
    pub const SUBSCRIPTION: Self = Self(1 << 3);
    /// Everything.
    pub const ALL: Self = Self(Self::PUBLISH.0 | Self::RETAIN.0 | Self::SUBSCRIBE.0);

    const PUBLICATION: u8 = 1 << 0;

    /// These and those.
    #[must_use]
    pub const fn and(self, others: Self) -> Self {
        Self(self.0 | others.0)
    }

    /// Whether they have something in common.
    pub const fn meets(self, others: Self) -> bool {
        self.0 & others.0 != 0
    }

    /// What a publication is.
    const fn of_publication(retain: bool) -> Self {
        Self(if retain { Self::PUBLICATION | Self::RETAIN.0 } else { Self::PUBLICATION })
    }

    /// What a will is.
    const fn of_will(retain: bool) -> Self {
        if retain { Self::WILL.and(Self::RETAIN) } else { Self::WILL }
    }

    const fn without(self, others: Self) -> Self {
        Self(self.0 & !others.0)
    }
}

impl QosSet {
    /// Every QoS.
    pub const ALL: Self = Self(0b111);
    /// No QoS.
    pub const NONE: Self = Self(0);

    /// This one and those.
    #[must_use]
    pub const fn with(self, qos: noctule_codec::QoS) -> Self {
        Self(self.0 | 1 << qos as u8)
    }

    const fn meets(self, others: Self) -> bool {
        self.0 & others.0 != 0
    }
}

impl Rule {
    /// Where it is written, as `FILE:LINE`.
    pub fn source(&self) -> String {
        match self.line {
            0 => self.file.to_string(),
            line => format!("{}:{line}", self.file),
        }
    }

    fn note(&self, what: &str) -> String {
        format!("`{}` ({}) {what}", self.text, self.source())
    }
}
