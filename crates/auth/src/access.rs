//! Backends and rules together: what a broker asks.
//!
//! # When nothing is configured
//!
//! - Clients from this machine come in without password and may do everything.
//! - Others need a user name and a password. As long as there are no rules, they may publish and subscribe on every
//!   topic that does not begin with `$`, below a first level that they name: `#`, `+/…` and `$SYS/#` need a rule.
//!
//! As soon as there are rules, only these count.
//!
//! A listener may have backends and rules of its own; then those of all others do not hold for its clients.

use crate::admission::{Anonymous, AnonymousFrom, Backend, Backends, Verdict};
use crate::decision::{Action, Authority, Credentials, Decision, Reach, Rights};
use crate::identity::{Identity, Origin};
use crate::rules::{Actions, AddressPattern, Conditions, Effect, QosSet, Rule, RuleSet, TopicPattern};
use std::borrow::Cow;
use std::sync::Arc;

/// Who may come in, and what they may do. It never changes: another configuration is another one of these, with
/// another generation.
#[derive(Clone, Debug)]
pub struct Access {
    /// For every listener that has none of its own.
    common: Part,
    /// For listeners by name.
    own: Vec<(Box<str>, Part)>,
}

/// Who comes in by some listeners, and what they may do then.
#[derive(Clone, Debug)]
struct Part {
    backends: Backends,
    rules: RuleSet,
}

impl Access {
    /// Backends and rules. `generation` must not have been given to an `Access` with other ones.
    pub fn new(backends: Backends, rules: RuleSet, generation: u64) -> Self {
        Self { common: Part { backends, rules: rules.at_generation(generation) }, own: Vec::new() }
    }

    /// The same, but for clients of the listener of this name, for whom only these backends and rules hold.
    #[must_use]
    pub fn with_listener(mut self, name: &str, backends: Backends, rules: RuleSet) -> Self {
        let rules = rules.at_generation(self.generation());
        self.own.push((name.into(), Part { backends, rules }));
        self
    }

    /// What holds when nothing is configured.
    pub fn unconfigured() -> Self {
        let anonymous = Backend::Anonymous(Self::anonymous_on_this_machine());
        Self::new(Backends::new(vec![anonymous], REMEDY), Self::unconfigured_rules(), 0)
    }

    /// Who comes in without password when nothing else is configured: whoever is on this machine.
    pub fn anonymous_on_this_machine() -> Anonymous {
        Anonymous {
            from: AnonymousFrom::ThisMachine,
            listeners: Vec::new(),
            believes_names: true,
            source: BUILT_IN.into(),
        }
    }

    /// What clients may do as long as no rules are configured.
    pub fn unconfigured_rules() -> RuleSet {
        let on_this_machine =
            Conditions { addresses: vec![AddressPattern::ThisMachine], ..Conditions::default() };
        let local = "clients on this machine may do everything";
        let remote = "without rules, clients may publish and subscribe below a first level that they name";
        let anywhere = TopicPattern::each_first_level;
        let rules = vec![
            rule(local, Actions::ALL, TopicPattern::everything(), on_this_machine),
            rule(remote, Actions::ALL, anywhere(), Conditions::default()),
        ];
        let otherwise =
            "without rules, `$` topics and filters that begin with a wildcard are for this machine only";
        RuleSet::new(rules, Decision::deny(otherwise, BUILT_IN)).expect("two are few")
    }

    /// Allows everything, `$` topics and `#` too, to everybody who has come in.
    pub fn no_rules() -> RuleSet {
        let text = "without rules, clients may do everything";
        let rules = vec![rule(text, Actions::ALL, TopicPattern::everything(), Conditions::default())];
        RuleSet::new(rules, Decision::deny("there is no rule", BUILT_IN)).expect("one is few")
    }

    /// The rules for clients from there.
    pub fn rules(&self, origin: &Origin) -> &RuleSet {
        &self.part(origin).1.rules
    }

    /// The backends for clients from there.
    pub fn backends(&self, origin: &Origin) -> &Backends {
        &self.part(origin).1.backends
    }

    /// A client that has been let in before, by what was kept of it: its groups and rights are what they are now.
    pub fn identity(&self, client_id: Arc<str>, user_name: Option<Box<str>>, origin: Origin) -> Identity {
        let mut identity = Identity { origin, ..Identity::new(client_id, user_name) };
        self.prepare(&mut identity);
        identity
    }

    /// What holds for clients from there, and its number.
    fn part(&self, origin: &Origin) -> (u64, &Part) {
        let name = || origin.listener.name();
        let own = (1..).zip(&self.own).find(|(_, (listener, _))| **listener == *name());
        own.map_or((0, &self.common), |(number, (_, part))| (number, part))
    }

    /// The client with its groups and rights of now.
    pub(crate) fn current<'a>(&self, identity: &'a Identity) -> Cow<'a, Identity> {
        if self.rules(&identity.origin).has_prepared(identity) {
            return Cow::Borrowed(identity);
        }
        let mut identity = identity.clone();
        self.prepare(&mut identity);
        Cow::Owned(identity)
    }
}

impl Authority for Access {
    fn connect(&self, credentials: &Credentials<'_>) -> Decision {
        match self.admit(credentials) {
            Verdict::Decided(admission) => admission.decision,
            Verdict::NeedsWork(work) => work.run().decision,
        }
    }

    fn admit(&self, credentials: &Credentials<'_>) -> Verdict {
        let (_, Part { backends, rules }) = self.part(credentials.origin);
        backends.admit(credentials, Some(rules))
    }

    fn certain_name(&self, origin: &Origin) -> Option<String> {
        self.backends(origin).certain_name(origin)
    }

    fn permit(&self, identity: &Identity, action: &Action<'_>) -> Decision {
        self.rules(&identity.origin).permit(&self.current(identity), action)
    }

    fn allows(&self, identity: &Identity, action: &Action<'_>) -> bool {
        self.rules(&identity.origin).allows(&self.current(identity), action)
    }

    fn rights(&self, identity: &Identity) -> Option<Rights> {
        let (number, part) = self.part(&identity.origin);
        let Rights(rights) = part.rules.rights(&self.current(identity));
        // The same numbers mean other rules in another part.
        Some(Rights(rights.wrapping_add(number.wrapping_mul(PARTS_APART))))
    }

    fn reach(&self, identity: &Identity) -> Reach {
        self.rules(&identity.origin).reach(&self.current(identity))
    }

    fn prepare(&self, identity: &mut Identity) {
        let (_, Part { backends, rules }) = self.part(&identity.origin);
        let groups = identity.user_name.as_deref().map(|name| backends.groups(name));
        identity.groups = groups.unwrap_or_default();
        rules.prepare(identity);
    }

    fn keeps(&self, identity: &Identity) -> Decision {
        self.backends(&identity.origin).keeps(identity)
    }

    fn generation(&self) -> u64 {
        self.common.rules.generation()
    }
}

fn rule(text: &str, actions: Actions, topics: TopicPattern, conditions: Conditions) -> Rule {
    Rule {
        effect: Effect::Allow,
        actions,
        qos: QosSet::ALL,
        topics,
        conditions,
        text: text.into(),
        file: BUILT_IN.into(),
        line: 0,
    }
}

/// Far enough apart, modulo two to the 64th, that a few parts do not meet by accident.
const PARTS_APART: u64 = 0x9e37_79b9_7f4a_7c15;
/// The source of what nobody has configured.
const BUILT_IN: &str = "built in";
/// What lets in a client that was refused where nothing is configured.
const REMEDY: &str = "`noctule passwd USERS NAME` makes a user, and `noctule --access-users USERS` knows it";
