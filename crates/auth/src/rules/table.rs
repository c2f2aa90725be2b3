//! Rules in the form in which they are asked.

use super::grants::{Grants, Season};
use super::pattern::HeadEnd;
use super::{Actions, Conditions, Effect, NamePattern, Names, QosSet, Rule, TopicPattern, User};
use crate::decision::{Action, Decision, Reach, Rights};
use crate::identity::Identity;
use std::collections::HashMap;
use std::sync::Arc;
use thiserror::Error;

/// An ordered list of rules, ready to be asked. Cloning shares it.
#[derive(Clone, Debug)]
pub struct RuleSet {
    pub(super) table: Arc<Table>,
    pub(super) season: Arc<Season>,
    /// They were written in other words than ours.
    is_foreign: bool,
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
    /// What is looked at for every message, in the order of the rules: first a gate, then what few questions get to.
    pub(super) gates: Box<[Gate]>,
    pub(super) tests: Box<[Test]>,
    /// The rules themselves, to find out whom they are about and to explain.
    pub(super) rules: Box<[Rule]>,
    finder: Finder,
    /// What decides where no rule does.
    otherwise: Decision,
}

/// What most questions do not get past: 24 bytes and no pointer, so that a long list of rules is gone through at
/// about a nanosecond each.
#[derive(Clone, Copy, Debug)]
pub(super) struct Gate {
    pub(super) actions: Actions,
    qos: QosSet,
    head: HeadEnd,
}

/// The part of a rule that is about the topic, not about the client.
#[derive(Debug)]
pub(super) struct Test {
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
        let gates = rules.iter().map(Gate::new).collect();
        let tests = rules.iter().map(Test::new).collect();
        let otherwise = Decision { allowed: false, ..otherwise };
        let table = Arc::new(Table { gates, tests, rules: rules.into(), finder, otherwise });
        Ok(Self { table, season: Arc::default(), is_foreign: false })
    }

    /// The same rules, which were written in other words than ours: a remedy in ours would not be understood there.
    #[must_use]
    pub fn foreign(self) -> Self {
        Self { is_foreign: true, ..self }
    }

    pub(crate) fn is_foreign(&self) -> bool {
        self.is_foreign
    }

    /// The same rules, for which nothing holds that was prepared for another generation.
    #[must_use]
    pub fn at_generation(self, generation: u64) -> Self {
        Self { season: Arc::new(Season::new(generation)), ..self }
    }

    /// The rules in their order.
    pub fn rules(&self) -> &[Rule] {
        &self.table.rules
    }

    /// The generation these rules are for; zero if none was given.
    pub fn generation(&self) -> u64 {
        self.season.generation
    }

    /// Goes through the rules for a client, so that its questions are answered quickly.
    pub fn prepare(&self, identity: &mut Identity) {
        identity.grants = Some(self.season.share(self.grants(identity)));
    }

    /// Whether the rules have been gone through for this client.
    pub fn has_prepared(&self, identity: &Identity) -> bool {
        identity.grants.as_ref().is_some_and(|grants| grants.are_of(&self.season))
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
            Some(grants) if grants.are_of(&self.season) => grants.rights(&self.table, identity.names()),
            _ => self.grants(identity).rights(&self.table, identity.names()),
        }
    }

    /// What a client receives whatever the topic is: what its first rule about deliveries allows, if that is about
    /// all topics.
    pub fn reach(&self, identity: &Identity) -> Reach {
        let grants = self.grants(identity);
        let first = grants.first_about_deliveries(&self.table).map(|number| &self.table.tests[number]);
        match first {
            Some(test) if test.allows => test.topics.reach(),
            _ => Reach::Asked,
        }
    }

    /// The number of the rule that decides.
    pub(crate) fn deciding(&self, identity: &Identity, action: &Action<'_>) -> Option<usize> {
        let question = Question::from(action);
        match &identity.grants {
            Some(grants) if grants.are_of(&self.season) => {
                grants.deciding(&self.table, identity.names(), &question)
            }
            _ => self.grants(identity).deciding(&self.table, identity.names(), &question),
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
        Grants::new(&self.table, &self.season, &rules)
    }

    /// What a decision leaves unsaid: which parts of a subscription are not delivered, and which rules nearly allow
    /// what none allows.
    pub(crate) fn notes(&self, identity: &Identity, action: &Action<'_>) -> Vec<String> {
        let deciding = self.deciding(identity, action);
        let above = deciding.unwrap_or(self.table.rules.len());
        let rules = self.table.rules.iter().zip(&self.table.gates).zip(&self.table.tests).take(above);
        match (deciding.map(|number| self.table.tests[number].allows), action) {
            (Some(true), Action::Subscribe { filter, .. }) => {
                let denies = rules.filter(|((rule, gate), test)| {
                    gate.actions.meets(Actions::RECEIVE) && test.withholds(rule, identity, filter)
                });
                denies.map(|((rule, _), _)| rule.note("is not delivered")).take(NOTES_MAX).collect()
            }
            (None, _) => {
                let question = Question::from(action);
                let near = rules.filter(|(_, test)| test.allows_topics(identity, &question));
                let near = near
                    .filter_map(|((rule, gate), _)| Some((rule, gate.misses(rule, identity, &question)?)));
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

impl Gate {
    fn new(rule: &Rule) -> Self {
        // A delivery has no QoS, so a rule that denies some of them is not about it.
        let is_partial_deny = rule.effect == Effect::Deny && rule.qos != QosSet::ALL;
        let actions = if is_partial_deny { rule.actions.without(Actions::RECEIVE) } else { rule.actions };
        Self { actions, qos: rule.qos, head: rule.topics.head_end() }
    }

    /// Whether the rule may be about the question; the topics have to be looked at.
    pub(super) fn lets_through(&self, question: &Question<'_>) -> bool {
        self.actions.meets(question.actions)
            && self.qos.meets(question.qos)
            && self.head.may_be_in(question.target.text())
    }

    /// Why a rule about the topic is not about the question: another client, another action, another QoS.
    fn misses(&self, rule: &Rule, identity: &Identity, question: &Question<'_>) -> Option<&'static str> {
        let is_about_action = self.actions.meets(question.actions);
        match (rule.conditions.hold(identity), is_about_action, self.qos.meets(question.qos)) {
            (false, true, true) => Some("is about other clients"),
            (true, false, _) => Some("is about other actions"),
            (true, true, false) => Some("is about other QoS"),
            _ => None,
        }
    }
}

impl Test {
    fn new(rule: &Rule) -> Self {
        Self { allows: rule.effect == Effect::Allow, topics: rule.topics.clone() }
    }

    /// Whether it is about the topic or the filter.
    pub(super) fn is_about(&self, names: Names<'_>, question: &Question<'_>) -> bool {
        question.target.is_of(&self.topics, names)
    }

    /// Whether it denies deliveries of a subscription that is granted.
    fn withholds(&self, rule: &Rule, identity: &Identity, filter: &str) -> bool {
        !self.allows
            && rule.conditions.hold(identity)
            && self.topics.can_be_filled(identity.names())
            && self.topics.meets(identity.names(), filter)
    }

    /// Whether it allows something on the topic or the filter.
    fn allows_topics(&self, identity: &Identity, question: &Question<'_>) -> bool {
        let names = identity.names();
        self.allows && self.topics.can_be_filled(names) && self.is_about(names, question)
    }
}

impl<'a> Target<'a> {
    fn text(self) -> &'a str {
        match self {
            Target::Topic(text) | Target::Filter(text) => text,
        }
    }

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
        for group in identity.groups.iter() {
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
