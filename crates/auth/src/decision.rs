//! The questions that can be asked and the form of their answer.

use noctule_codec::QoS;
use std::borrow::Cow;
use std::sync::Arc;

/// What a client presents at CONNECT.
#[derive(Clone, Copy, Debug)]
pub struct Credentials<'a> {
    /// The client identifier, assigned ones included.
    pub client_id: &'a str,
    /// User name.
    pub user_name: Option<&'a str>,
    /// Password.
    pub password: Option<&'a [u8]>,
    /// The address it connects from, as text.
    pub address: &'a str,
}

/// A client that has been let in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The client identifier.
    pub client_id: Arc<str>,
    /// User name.
    pub user_name: Option<Box<str>>,
}

/// What a client wants to do.
#[derive(Clone, Copy, Debug)]
pub enum Action<'a> {
    /// Publish on a topic.
    Publish {
        /// The topic name.
        topic: &'a str,
        /// The QoS.
        qos: QoS,
        /// Whether it becomes the retained message.
        retain: bool,
    },
    /// Leave a will on a topic, and have it published.
    Will {
        /// The topic name.
        topic: &'a str,
        /// The QoS.
        qos: QoS,
        /// Whether it becomes the retained message.
        retain: bool,
    },
    /// Subscribe to a filter, without its `$share/…`.
    Subscribe {
        /// The topic filter.
        filter: &'a str,
        /// The QoS asked for.
        qos: QoS,
    },
    /// Receive a publication on a topic.
    Receive {
        /// The topic name.
        topic: &'a str,
    },
}

/// An answer, and where it comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision {
    /// Whether it is allowed.
    pub allowed: bool,
    /// The rule that decided, in words a person can look up.
    pub rule: Cow<'static, str>,
    /// Where that rule is written.
    pub source: Cow<'static, str>,
}

/// Identities with the same rights get the same answer to every question, so one answer serves them all.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Rights(pub u64);

/// Decides about clients.
pub trait Authority {
    /// May this client connect?
    fn connect(&self, credentials: &Credentials<'_>) -> Decision;
    /// May this client do that?
    fn permit(&self, identity: &Identity, action: &Action<'_>) -> Decision;
    /// The rights of a client, where its answers may be kept for it and its like; `None`: it is asked for
    /// each time.
    fn rights(&self, _: &Identity) -> Option<Rights> {
        None
    }
    /// Changes whenever an answer may have changed; what was kept before counts no more.
    fn generation(&self) -> u64 {
        0
    }
}

/// Allows everything to everybody.
#[derive(Clone, Copy, Debug, Default)]
pub struct AllowAll;

impl Decision {
    /// Allowed by this rule.
    pub const fn allow(rule: &'static str, source: &'static str) -> Self {
        Self { allowed: true, rule: Cow::Borrowed(rule), source: Cow::Borrowed(source) }
    }

    /// Refused by this rule.
    pub const fn deny(rule: &'static str, source: &'static str) -> Self {
        Self { allowed: false, rule: Cow::Borrowed(rule), source: Cow::Borrowed(source) }
    }
}

impl Authority for AllowAll {
    fn connect(&self, _: &Credentials<'_>) -> Decision {
        Decision::allow("everybody may connect", "built in")
    }

    fn permit(&self, _: &Identity, _: &Action<'_>) -> Decision {
        Decision::allow("everybody may do everything", "built in")
    }

    fn rights(&self, _: &Identity) -> Option<Rights> {
        Some(Rights(0))
    }
}
