//! Rules in the form in which they are asked.

use super::grants::Grants;
use super::{Actions, Conditions, Effect, NamePattern, Names, QosSet, Rule, TopicPattern, User};
use crate::decision::{Action, Decision, Rights};
use crate::identity::Identity;
use std::collections::HashMap;
use std::sync::Arc;
use thiserror::Error;

/// An ordered list of rules, ready to be asked. Cloning shares it.
#[derive(Clone, Debug)]
pub struct RuleSet {
    pub(super) table: Arc<Table>,
    /// What clients are, their groups for one, may differ between generations.
    pub(super) generation: u64,
}

/// There are more rules than [`RULES_MAX`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("there are {rules} rules, and {RULES_MAX} is as many as there may be")]
pub struct TooManyRules {
    /// How many there are.
    pub rules: usize,
}

/// The most rules of one set: their numbers, kept for each client, have 16 bits.
pub const RULES_MAX: usize = 65_535;

#[derive(Debug)]
pub(super) struct Table {
    /// What is looked at for every message, in the order of the rules.
    pub(super) tests: Box<[Test]>,
    /// The rules themselves, to find out whom they are about and to explain.
    pub(super) rules: Box<[Rule]>,
    finder: Finder,
    /// What decides where no rule does.
    otherwise: Decision,
}

/// The part of a rule that is about the question, not about the client.
#[derive(Debug)]
pub(super) struct Test {
    pub(super) actions: Actions,
    qos: QosSet,
    pub(super) allows: bool,
    pub(super) topics: TopicPattern,
}

/// A question in the form in which rules are tested.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Question<'a> {
    pub(super) actions: Actions,
    qos: QosSet,
    target: Target<'a>,
}

#[derive(Clone, Copy, Debug)]
enum Target<'a> {
    Topic(&'a str),
    Filter(&'a str),
}

/// Finds the rules that may be about a client, so that thousands of rules about other users cost nothing.
#[derive(Debug, Default)]
struct Finder {
    by_user: HashMap<Box<str>, Vec<u16>>,
    by_group: HashMap<Box<str>, Vec<u16>>,
    by_client: HashMap<Box<str>, Vec<u16>>,
    others: Vec<u16>,
}

impl RuleSet {
    /// Rules in their order. What none of them is about is denied by `otherwise`.
    ///
    /// # Errors
    /// There are too many.
    pub fn new(rules: Vec<Rule>, otherwise: Decision) -> Result<Self, TooManyRules> {
        if rules.len() > RULES_MAX {
            return Err(TooManyRules { rules: rules.len() });
        }
        let mut finder = Finder::default();
        for (number, rule) in (0..=u16::MAX).zip(&rules) {
            finder.add(number, &rule.conditions);
        }
        let tests = rules.iter().map(Test::new).collect();
        let otherwise = Decision { allowed: false, ..otherwise };
        let table = Arc::new(Table { tests, rules: rules.into(), finder, otherwise });
        Ok(Self { table, generation: 0 })
    }

    /// The same rules, for which nothing holds that was prepared for another generation.
    #[must_use]
    pub fn at_generation(self, generation: u64) -> Self {
        Self { generation, ..self }
    }

    /// The rules in their order.
    pub fn rules(&self) -> &[Rule] {
        &self.table.rules
    }

    /// The generation these rules are for; zero if none was given.
    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// Goes through the rules for a client, so that its questions are answered quickly.
    pub fn prepare(&self, identity: &mut Identity) {
        identity.grants = Some(Arc::new(self.grants(identity)));
    }

    /// Whether the rules have been gone through for this client.
    pub fn has_prepared(&self, identity: &Identity) -> bool {
        identity.grants.as_ref().is_some_and(|grants| grants.are_of(self))
    }

    /// May this client do that, and which rule says so?
    pub fn permit(&self, identity: &Identity, action: &Action<'_>) -> Decision {
        match self.deciding(identity, action) {
            Some(number) => self.decision_of(number),
            None => self.table.otherwise.clone(),
        }
    }

    /// May this client do that?
    pub fn allows(&self, identity: &Identity, action: &Action<'_>) -> bool {
        self.deciding(identity, action).is_some_and(|number| self.table.tests[number].allows)
    }

    /// The rights of a client: the same for all that may publish the same.
    pub fn rights(&self, identity: &Identity) -> Rights {
        match &identity.grants {
            Some(grants) if grants.are_of(self) => grants.rights(),
            _ => self.grants(identity).rights(),
        }
    }

    /// The number of the rule that decides.
    pub(crate) fn deciding(&self, identity: &Identity, action: &Action<'_>) -> Option<usize> {
        let question = Question::from(action);
        match &identity.grants {
            Some(grants) if grants.are_of(self) => grants.deciding(identity.names(), &question),
            _ => self.grants(identity).deciding(identity.names(), &question),
        }
    }

    /// The rules that are about this client.
    pub(crate) fn grants(&self, identity: &Identity) -> Grants {
        let rules = self.table.finder.find(identity);
        let is_about = |number: &u16| {
            let number = usize::from(*number);
            self.table.rules[number].conditions.hold(identity)
                && self.table.tests[number].topics.can_be_filled(identity.names())
        };
        let rules: Vec<u16> = rules.into_iter().filter(is_about).collect();
        Grants::new(self, &rules, identity.names())
    }

    /// What a decision leaves unsaid: which parts of a subscription are not delivered, and which rules nearly allow what
    /// none allows.
    pub(crate) fn notes(&self, identity: &Identity, action: &Action<'_>) -> Vec<String> {
        let deciding = self.deciding(identity, action);
        let above = deciding.unwrap_or(self.table.rules.len());
        let rules = self.table.rules.iter().zip(&self.table.tests).take(above);
        match (deciding.map(|number| self.table.tests[number].allows), action) {
            (Some(true), Action::Subscribe { filter, .. }) => {
                let denies = rules.filter(|(rule, test)| test.withholds(rule, identity, filter));
                denies.map(|(rule, _)| rule.note("is not delivered")).take(NOTES_MAX).collect()
            }
            (None, _) => {
                let question = Question::from(action);
                let near =
                    rules.filter_map(|(rule, test)| Some((rule, test.misses(rule, identity, &question)?)));
                near.map(|(rule, why)| rule.note(why)).take(NOTES_MAX).collect()
            }
            _ => Vec::new(),
        }
    }

    fn decision_of(&self, number: usize) -> Decision {
        let rule = &self.table.rules[number];
        Decision {
            allowed: rule.effect == Effect::Allow,
            rule: rule.text.to_string().into(),
            source: rule.source().into(),
            ..Decision::default()
        }
    }
}

impl Test {
    fn new(rule: &Rule) -> Self {
        let allows = rule.effect == Effect::Allow;
        // A delivery has no QoS, so a rule that denies some of them is not about it.
        let is_partial_deny = !allows && rule.qos != QosSet::ALL;
        let actions = if is_partial_deny { rule.actions.without(Actions::RECEIVE) } else { rule.actions };
        Self { actions, qos: rule.qos, allows, topics: rule.topics.clone() }
    }

    /// Whether it denies deliveries of a subscription that is granted.
    fn withholds(&self, rule: &Rule, identity: &Identity, filter: &str) -> bool {
        !self.allows
            && self.actions.meets(Actions::RECEIVE)
            && rule.conditions.hold(identity)
            && self.topics.can_be_filled(identity.names())
            && self.topics.meets(identity.names(), filter)
    }

    /// Why it does not allow what it would allow to another client, for another action, or at another QoS.
    fn misses(&self, rule: &Rule, identity: &Identity, question: &Question<'_>) -> Option<&'static str> {
        let names = identity.names();
        let is_on_topic = self.topics.can_be_filled(names) && question.target.is_of(&self.topics, names);
        if !self.allows || !is_on_topic {
            return None;
        }
        let is_about_action = self.actions.meets(question.actions);
        match (rule.conditions.hold(identity), is_about_action, self.qos.meets(question.qos)) {
            (false, true, true) => Some("is about other clients"),
            (true, false, _) => Some("is about other actions"),
            (true, true, false) => Some("is about other QoS"),
            _ => None,
        }
    }

    /// Whether it is about the question.
    pub(super) fn is_about(&self, names: Names<'_>, question: &Question<'_>) -> bool {
        self.actions.meets(question.actions)
            && self.qos.meets(question.qos)
            && question.target.is_of(&self.topics, names)
    }
}

impl Target<'_> {
    /// Whether the pattern stands for all of it.
    fn is_of(self, topics: &TopicPattern, names: Names<'_>) -> bool {
        match self {
            Target::Topic(topic) => topics.matches(names, topic),
            Target::Filter(filter) => topics.covers(names, filter),
        }
    }
}

impl<'a> From<&Action<'a>> for Question<'a> {
    fn from(action: &Action<'a>) -> Self {
        let (actions, qos, target) = match *action {
            Action::Publish { topic, qos, retain } => {
                (Actions::of_publication(retain), QosSet::NONE.with(qos), Target::Topic(topic))
            }
            Action::Will { topic, qos, retain } => {
                (Actions::of_will(retain), QosSet::NONE.with(qos), Target::Topic(topic))
            }
            Action::Subscribe { filter, qos } => {
                (Actions::SUBSCRIPTION, QosSet::NONE.with(qos), Target::Filter(filter))
            }
            Action::Receive { topic } => (Actions::RECEIVE, QosSet::ALL, Target::Topic(topic)),
        };
        Self { actions, qos, target }
    }
}

impl Finder {
    /// Keeps a rule under the condition that the fewest clients fulfil.
    fn add(&mut self, number: u16, conditions: &Conditions) {
        let users = match &conditions.user {
            User::Named(names) => exact(names),
            User::Anybody | User::Anonymous => None,
        };
        let (places, names) = match (exact(&conditions.clients), users, exact(&conditions.groups)) {
            (Some(clients), _, _) => (&mut self.by_client, clients),
            (_, Some(users), _) => (&mut self.by_user, users),
            (_, _, Some(groups)) => (&mut self.by_group, groups),
            (None, None, None) => return self.others.push(number),
        };
        for name in names {
            places.entry(name.into()).or_default().push(number);
        }
    }

    /// The rules that may be about a client, in their order.
    fn find(&self, identity: &Identity) -> Vec<u16> {
        let mut found = self.others.clone();
        let mut add = |places: &HashMap<Box<str>, Vec<u16>>, name: &str| {
            found.extend(places.get(name).into_iter().flatten());
        };
        add(&self.by_client, &identity.client_id);
        if let Some(user_name) = &identity.user_name {
            add(&self.by_user, user_name);
        }
        for group in &*identity.groups {
            add(&self.by_group, group);
        }
        found.sort_unstable();
        found.dedup();
        found
    }
}

/// More rules than this are not told.
const NOTES_MAX: usize = 10;

/// The names of a condition that has no other patterns.
fn exact(patterns: &[NamePattern]) -> Option<Vec<&str>> {
    let names = patterns.iter().map(|pattern| match pattern {
        NamePattern::Exact(name) => Some(&**name),
        NamePattern::Prefix(_) => None,
    });
    if patterns.is_empty() { None } else { names.collect() }
}
