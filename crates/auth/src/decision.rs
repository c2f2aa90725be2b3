//! The questions that can be asked and the form of their answer.

use crate::admission::{Admission, Verdict};
use crate::identity::{Identity, Origin};
use noctule_codec::QoS;
use std::borrow::Cow;
use std::fmt;

/// What a client presents at CONNECT.
#[derive(Clone, Copy)]
pub struct Credentials<'a> {
    /// The client identifier, assigned ones included.
    pub client_id: &'a str,
    /// User name.
    pub user_name: Option<&'a str>,
    /// Password.
    pub password: Option<&'a [u8]>,
    /// The address it connects from, as text.
    pub address: &'a str,
    /// Where it comes from.
    pub origin: &'a Origin,
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
///
/// Rule and source may be told to the client. Cause and remedy are for the operator: they may say whether a user
/// exists, and which file is to be changed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Decision {
    /// Whether it is allowed.
    pub allowed: bool,
    /// The rule that decided, in words a person can look up.
    pub rule: Cow<'static, str>,
    /// Where that rule is written.
    pub source: Cow<'static, str>,
    /// What more the operator is told; empty where the rule says it all.
    pub cause: Cow<'static, str>,
    /// What the operator can do to have it allowed, a command or a line; empty where nothing is missing.
    pub remedy: Cow<'static, str>,
}

/// Identities with the same rights get the same answer to every question about publishing, so one answer serves them
/// all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Rights(pub u64);

/// What a client receives without being asked about each topic.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Reach {
    /// Nothing: each topic is asked for.
    #[default]
    Asked,
    /// Every topic that does not begin with `$`.
    Ordinary,
    /// Every topic.
    Everything,
}

impl Reach {
    /// Whether it is known that the client receives this topic.
    #[inline]
    pub fn includes(self, topic: &str) -> bool {
        match self {
            Self::Asked => false,
            Self::Ordinary => !topic.starts_with('$'),
            Self::Everything => true,
        }
    }
}

/// Decides about clients.
pub trait Authority {
    /// May this client connect? Takes as long as it takes: checking a password may need tens of milliseconds.
    fn connect(&self, credentials: &Credentials<'_>) -> Decision;

    /// Who is this client, and may it connect? Never takes long: what does is returned as work to be done elsewhere.
    fn admit(&self, credentials: &Credentials<'_>) -> Verdict {
        let decision = self.connect(credentials);
        let identity = decision.allowed.then(|| credentials.identity());
        Verdict::Decided(Admission { decision, identity, upgrade: None })
    }

    /// The user name of whoever comes from there, where that does not depend on CONNECT: a certificate says it.
    fn certain_name(&self, _: &Origin) -> Option<String> {
        None
    }

    /// May this client do that, and why?
    fn permit(&self, identity: &Identity, action: &Action<'_>) -> Decision;

    /// May this client do that? The same answer without the reason; it is asked for each delivery.
    fn allows(&self, identity: &Identity, action: &Action<'_>) -> bool {
        self.permit(identity, action).allowed
    }

    /// What the client receives whatever the topic is, so that it need not be asked for each delivery.
    fn reach(&self, _: &Identity) -> Reach {
        Reach::Asked
    }

    /// The rights of a client, where its answers may be kept for it and its like; `None`: it is asked for
    /// each time.
    fn rights(&self, _: &Identity) -> Option<Rights> {
        None
    }

    /// Goes through the rules for an identity that was made elsewhere or before a reload. Answers are the same
    /// without; they take longer.
    fn prepare(&self, _: &mut Identity) {}

    /// Whether a client that was let in before may stay: somebody still knows it. Its password is not asked for
    /// again.
    fn keeps(&self, _: &Identity) -> Decision {
        Decision::allow("whoever was let in may stay", "built in")
    }

    /// Changes whenever an answer may have changed; what was kept before counts no more.
    fn generation(&self) -> u64 {
        0
    }
}

/// Allows everything to everybody.
#[derive(Clone, Copy, Debug, Default)]
pub struct AllowAll;

impl Credentials<'_> {
    /// The client they say it is, which nobody has checked.
    pub fn identity(&self) -> Identity {
        let mut identity = Identity::new(self.client_id, self.user_name.map(Into::into));
        identity.origin = self.origin.clone();
        identity
    }
}

impl fmt::Debug for Credentials<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let password = self.password.map(|_| "…");
        let mut debug = formatter.debug_struct("Credentials");
        debug.field("client_id", &self.client_id).field("user_name", &self.user_name);
        debug.field("password", &password).field("address", &self.address).field("origin", self.origin);
        debug.finish()
    }
}

impl Decision {
    /// Allowed by this rule.
    pub const fn allow(rule: &'static str, source: &'static str) -> Self {
        Self::new(true, rule, source)
    }

    /// Refused by this rule.
    pub const fn deny(rule: &'static str, source: &'static str) -> Self {
        Self::new(false, rule, source)
    }

    const fn new(allowed: bool, rule: &'static str, source: &'static str) -> Self {
        Self {
            allowed,
            rule: Cow::Borrowed(rule),
            source: Cow::Borrowed(source),
            cause: Cow::Borrowed(""),
            remedy: Cow::Borrowed(""),
        }
    }

    /// The line that is logged when a client is refused at CONNECT: client id, address, cause, and what would let it
    /// in. What the client has chosen is quoted and its control characters are escaped.
    pub fn refusal_line(&self, credentials: &Credentials<'_>) -> String {
        let Credentials { client_id, address, .. } = credentials;
        format!("client {client_id:?} from {address} is refused: {}", self.refusal_cause())
    }

    /// Why a client is refused at CONNECT, and what would let it in: for the operator, not for the client.
    pub fn refusal_cause(&self) -> String {
        let cause = if self.cause.is_empty() { &self.rule } else { &self.cause };
        let remedy = if self.remedy.is_empty() { "" } else { "; to let it in: " };
        format!("{cause} ({}){remedy}{}", self.source, self.remedy)
    }

    /// What a client may be told of it: the rule and where it is written.
    pub fn told(&self) -> String {
        format!("{} ({})", self.rule, self.source)
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

    fn reach(&self, _: &Identity) -> Reach {
        Reach::Everything
    }
}
