//! mosquitto's `acl_file`, read and decided as mosquitto 2 does.
//!
//! - `topic` lines before the first `user` line are about clients without user name, those behind one about that user.
//!   `pattern` lines are about everybody, wherever they stand; in them `%u` and `%c` stand for user name and client id.
//! - First the `topic` lines of the client decide, then the `pattern` lines; among each, `deny` comes before the
//!   others. What no line is about is denied.
//! - If there are patterns, a client with `+` or `#` in its user name or client id has only what its `topic` lines say.
//! - SUBSCRIBE is always granted; what may be read is decided at delivery.
//!
//! All of it is an order of rules in which the first one decides ([`rules`](crate::rules)), so the same code answers.
//! In one thing we follow mosquitto 2.1, not 2.0: a name at the beginning of a pattern never stands for `$SYS` or
//! another first level with `$`.

use crate::file_error::{FileError, Line};
use crate::rules::{
    Actions, Conditions, Effect, NamePattern, PatternError, QosSet, Rule, TopicPattern, User,
};
use std::sync::Arc;

/// An `acl_file` as rules.
#[derive(Clone, Debug)]
pub struct AclFile {
    /// The rules, in an order in which the first one decides.
    pub rules: Vec<Rule>,
    /// What mosquitto would warn about.
    pub warnings: Vec<FileError>,
}

/// Reads an `acl_file`. `file` is its name, for decisions and errors.
///
/// # Errors
/// Every line that is not understood; mosquitto stops at the first.
pub fn parse_acl(file: &str, text: &str) -> Result<AclFile, Vec<FileError>> {
    let file: Arc<str> = file.into();
    let mut reader = Reader::default();
    let mut errors = Vec::new();
    for line in Line::all(&file, text) {
        errors.extend(reader.read(&line).err());
    }
    if errors.is_empty() { Ok(reader.finish(&file)) } else { Err(errors) }
}

/// What has been read so far.
#[derive(Default)]
struct Reader {
    user: Option<Box<str>>,
    topics: Vec<Rule>,
    patterns: Vec<Rule>,
    warnings: Vec<FileError>,
}

impl Reader {
    /// Words are separated by spaces, and only by these; a comment begins in the first column.
    fn read(&mut self, line: &Line<'_>) -> Result<(), FileError> {
        let text = line.text.trim_ascii_end();
        if text.starts_with('#') {
            return Ok(());
        }
        let text = text.trim_start_matches(' ');
        let (keyword, rest) = text.split_once(' ').unwrap_or((text, ""));
        match keyword {
            "" => Ok(()),
            "user" => self.read_user(line, rest.trim_ascii()),
            "topic" => {
                let mut rule = read_topics(line, rest, TopicPattern::filter)?;
                rule.conditions.user = match &self.user {
                    Some(user) => User::Named(vec![NamePattern::Exact(user.clone())]),
                    None => User::Anonymous,
                };
                self.topics.push(rule);
                Ok(())
            }
            "pattern" => {
                let rule = read_topics(line, rest, TopicPattern::with_names_anywhere)?;
                if !rule.topics.uses_user() && !rule.topics.uses_client() {
                    let problem = "the pattern has neither %c nor %u, so it is about every client";
                    self.warnings.push(line.error(line.at(rest), problem));
                }
                self.patterns.push(rule);
                Ok(())
            }
            other => {
                let problem =
                    format!("{other:?} is not understood: a line begins with user, topic or pattern");
                Err(line.error(line.at(text), problem))
            }
        }
    }

    fn read_user(&mut self, line: &Line<'_>, name: &str) -> Result<(), FileError> {
        if name.is_empty() {
            return Err(line.error(line.text.trim_ascii_end().len(), "the user name is missing"));
        }
        self.user = Some(name.into());
        Ok(())
    }

    fn finish(mut self, file: &Arc<str>) -> AclFile {
        // The lists of two users have no client in common, so one order serves them all.
        self.topics.sort_by_key(is_allowing);
        self.patterns.sort_by_key(is_allowing);
        let guard = (!self.patterns.is_empty()).then(|| guard(file));
        let rules = [subscriptions(file)].into_iter().chain(self.topics).chain(guard).chain(self.patterns);
        AclFile { rules: rules.collect(), warnings: self.warnings }
    }
}

/// `[read|write|readwrite|deny] FILTER`, where FILTER may contain spaces if something stands before it.
fn read_topics(
    line: &Line<'_>,
    text: &str,
    compile: fn(&str) -> Result<TopicPattern, PatternError>,
) -> Result<Rule, FileError> {
    let text = text.trim_start_matches(' ');
    let (access, filter) = match text.split_once(' ') {
        Some((access, filter)) => (access, filter.trim_ascii()),
        None => ("readwrite", text),
    };
    if filter.is_empty() {
        return Err(line.error(line.text.trim_ascii_end().len(), "the topic is missing"));
    }
    let (effect, actions) = match access {
        "read" => (Effect::Allow, Actions::RECEIVE),
        "write" => (Effect::Allow, Actions::PUBLISH),
        "readwrite" => (Effect::Allow, Actions::PUBLISH.and(Actions::RECEIVE)),
        "deny" => (Effect::Deny, Actions::PUBLISH.and(Actions::RECEIVE)),
        other => {
            let problem = format!("{other:?} is no kind of access: read, write, readwrite and deny are");
            return Err(line.error(line.at(text), problem));
        }
    };
    let wrong = |error| line.error(line.at(filter), format!("{filter:?}: {error}"));
    Ok(Rule {
        effect,
        actions,
        qos: QosSet::ALL,
        topics: compile(filter).map_err(wrong)?,
        conditions: Conditions::default(),
        text: line.text.trim_ascii().into(),
        file: Arc::clone(line.file),
        line: line.number,
    })
}

fn is_allowing(rule: &Rule) -> bool {
    rule.effect == Effect::Allow
}

fn subscriptions(file: &Arc<str>) -> Rule {
    of_all_topics(Effect::Allow, Actions::SUBSCRIPTION, "an acl_file grants every SUBSCRIBE", file)
}

/// Without it a client could choose a name that makes a pattern stand for the topics of others.
fn guard(file: &Arc<str>) -> Rule {
    let text = "a name with + or # fits no pattern";
    let mut rule = of_all_topics(Effect::Deny, Actions::PUBLISH.and(Actions::RECEIVE), text, file);
    rule.conditions.name_has_wildcard = true;
    rule
}

fn of_all_topics(effect: Effect, actions: Actions, text: &str, file: &Arc<str>) -> Rule {
    Rule {
        effect,
        actions,
        qos: QosSet::ALL,
        topics: TopicPattern::everything(),
        conditions: Conditions::default(),
        text: text.into(),
        file: Arc::clone(file),
        line: 0,
    }
}
