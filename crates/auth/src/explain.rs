//! Why: the same decisions, with what led to them.

use crate::Access;
use crate::decision::{Action, Credentials, Decision};
use crate::identity::Identity;
use crate::rules::quoted;
use std::fmt;

/// An answer with its reasons, for a person.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Explanation {
    /// What was asked.
    pub question: String,
    /// The answer, its rule and its source.
    pub decision: Decision,
    /// What else matters: who was asked before, what is not delivered, what nearly allows it.
    pub notes: Vec<String>,
}

impl Access {
    /// May this client connect? A password that is not given is taken for the right one; one that is given is
    /// checked, which takes its time.
    pub fn explain_connect(&self, credentials: &Credentials<'_>) -> Explanation {
        let Credentials { client_id, user_name, address, .. } = credentials;
        let user = user_name.map_or("without user name".to_owned(), |name| format!("as user {name:?}"));
        let question = format!("may client {client_id:?} connect from {} {user}?", address.escape_debug());
        let (decision, notes) = self.backends(credentials.origin).explain(credentials);
        Explanation { question, decision, notes }
    }

    /// May this client do that?
    pub fn explain(&self, identity: &Identity, action: &Action<'_>) -> Explanation {
        let identity = &*self.current(identity);
        let rules = self.rules(&identity.origin);
        let mut decision = rules.permit(identity, action);
        if !decision.allowed && decision.remedy.is_empty() && !rules.is_foreign() {
            decision.remedy = remedy(identity, action).into();
        }
        let client = format!("client {:?}{}", identity.client_id, Who(identity));
        let question = format!("may {client} {}?", What(action));
        Explanation { question, decision, notes: rules.notes(identity, action) }
    }
}

impl fmt::Display for Explanation {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { question, decision, notes } = self;
        let answer = if decision.allowed { "allowed" } else { "denied" };
        writeln!(formatter, "question: {question}")?;
        writeln!(formatter, "answer:   {answer}")?;
        writeln!(formatter, "rule:     {}", decision.rule)?;
        writeln!(formatter, "source:   {}", decision.source)?;
        if !decision.cause.is_empty() {
            writeln!(formatter, "cause:    {}", decision.cause)?;
        }
        for note in notes {
            writeln!(formatter, "note:     {note}")?;
        }
        if !decision.remedy.is_empty() {
            writeln!(formatter, "remedy:   {}", decision.remedy)?;
        }
        Ok(())
    }
}

/// The user and the groups of a client.
struct Who<'a>(&'a Identity);

impl fmt::Display for Who<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Identity { user_name, groups, origin, .. } = self.0;
        if let Some(user_name) = user_name {
            write!(formatter, ", user {user_name:?}")?;
        }
        if !groups.is_empty() {
            write!(formatter, " in {}", groups.iter().collect::<Vec<_>>().join(", "))?;
        }
        write!(formatter, ", from {}", origin.address)
    }
}

/// What a client wants to do.
struct What<'a>(&'a Action<'a>);

impl fmt::Display for What<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let retained = |retain| if retain { ", retained" } else { "" };
        match *self.0 {
            Action::Publish { topic, qos, retain } => {
                write!(formatter, "publish on {topic:?} at QoS {}{}", qos as u8, retained(retain))
            }
            Action::Will { topic, qos, retain } => {
                write!(formatter, "leave a will on {topic:?} at QoS {}{}", qos as u8, retained(retain))
            }
            Action::Subscribe { filter, qos } => {
                write!(formatter, "subscribe to {filter:?} at QoS {}", qos as u8)
            }
            Action::Receive { topic } => write!(formatter, "receive {topic:?}"),
        }
    }
}

/// A line that allows it, unless a name has characters that are not shown: whoever copied such a line would not see
/// what it says.
fn remedy(identity: &Identity, action: &Action<'_>) -> String {
    let rule = rule_for(identity, action);
    let is_shown = |c: char| matches!(c, '"' | '\'' | '\\') || c.escape_debug().eq([c]);
    match rule.chars().all(is_shown) {
        true => format!("above it, the rule `{rule}`"),
        false => "above it, a rule with wildcards: a name has characters that are not shown".to_owned(),
    }
}

/// The line that allows it.
fn rule_for(identity: &Identity, action: &Action<'_>) -> String {
    let (word, topic) = match *action {
        Action::Publish { topic, .. } => ("publish", topic),
        Action::Will { topic, .. } => ("will", topic),
        Action::Subscribe { filter, .. } => ("subscribe", filter),
        Action::Receive { topic } => ("receive", topic),
    };
    let who = match &identity.user_name {
        Some(user_name) => format!("user={}", quoted(user_name)),
        None => format!("anonymous client={}", quoted(&identity.client_id)),
    };
    format!("allow {word} {} {who}", quoted(topic))
}
