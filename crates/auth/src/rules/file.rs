//! The file of rules: one rule per line.
//!
//! ```text
//! # The first line that is about the question decides. What no line is about is denied.
//! deny  retain     #                 client=guest-*
//! allow publish    sensors/%u/#      group=sensors qos=0,1
//! allow all        plant/#           group=operators address=10.0.0.0/8
//! allow subscribe  $SYS/#            user=monitor
//! ```
//!
//! A line is `allow` or `deny`, actions, a topic filter, and conditions, all of which have to hold:
//!
//! - Actions, with commas between them: `all`, `publish`, `subscribe`, `retain`, `will`, `receive`; see
//!   [`Actions`](super::Actions).
//! - The topic filter, in which a level may be `%u` (user name) or `%c` (client id).
//! - `user`, `group`, `client`, `cn`, `san`, `listener`: names, or beginnings of names (`sensor-*`); `user=*` is every
//!   client that has a user name, `anonymous` every client that has none.
//! - `fingerprint`: SHA-256 of the client's certificate, hexadecimal, with or without colons.
//! - `address`: addresses, networks (`10.0.0.0/8`), or `loopback`, this machine.
//! - `qos`: the QoS the rule is about.
//!
//! One of the values of a condition has to fit; commas stand between them. What contains spaces, commas or quotes is
//! written between double quotes, in which `\"` is a quote, `\\` a backslash and `*` a star. A line that begins with
//! `#` is a comment; there is none behind a rule, where `#` is a topic filter.

use super::conditions::{Conditions, User};
use super::{Actions, AddressPattern, Effect, NamePattern, QosSet, Rule, TopicPattern};
use crate::file_error::{FileError, Line};
use noctule_codec::QoS;
use std::sync::Arc;

/// Reads a file of rules. `file` is its name, for decisions and errors.
///
/// # Errors
/// Every line that is not understood.
pub fn parse(file: &str, text: &str) -> Result<Vec<Rule>, Vec<FileError>> {
    let file: Arc<str> = file.into();
    let (mut rules, mut errors) = (Vec::new(), Vec::new());
    for line in Line::all(&file, text) {
        match parse_line(&line) {
            Ok(rule) => rules.extend(rule),
            Err(error) => errors.push(error),
        }
    }
    if errors.is_empty() { Ok(rules) } else { Err(errors) }
}

/// Writes a word so that it is read as it is.
pub(crate) fn quoted(word: &str) -> String {
    let is_plain = |c: char| !c.is_whitespace() && !c.is_control() && !matches!(c, '"' | ',' | '=' | '*');
    if !word.is_empty() && word.chars().all(is_plain) {
        return word.to_owned();
    }
    let mut quoted = String::from('"');
    for c in word.chars() {
        if matches!(c, '"' | '\\') {
            quoted.push('\\');
        }
        quoted.push(c);
    }
    quoted + "\""
}

fn parse_line(line: &Line<'_>) -> Result<Option<Rule>, FileError> {
    let text = line.text.trim();
    if text.is_empty() || text.starts_with('#') {
        return Ok(None);
    }
    let words = words(line)?;
    let mut words = words.iter();
    let end = line.text.trim_end().len();
    let mut next =
        |what: &str| words.next().ok_or_else(|| line.error(end, format!("{what} is missing: write {LINE}")));
    let effect = parse_effect(line, next("`allow` or `deny`")?)?;
    let actions = parse_actions(line, next("what is allowed or denied")?)?;
    let topics = next("the topic filter")?;
    let topics_text = topics.text();
    let pattern = TopicPattern::with_names(&topics_text)
        .map_err(|error| line.error(topics.at, format!("{topics_text:?}: {error}")))?;
    let (mut conditions, mut qos) = (Conditions::default(), QosSet::NONE);
    for word in words {
        parse_condition(line, word, &mut conditions, &mut qos)?;
    }
    Ok(Some(Rule {
        effect,
        actions,
        qos: if qos == QosSet::NONE { QosSet::ALL } else { qos },
        topics: pattern,
        conditions,
        text: text.split_whitespace().collect::<Vec<_>>().join(" ").into(),
        file: Arc::clone(line.file),
        line: line.number,
    }))
}

fn parse_effect(line: &Line<'_>, word: &Word) -> Result<Effect, FileError> {
    match word.text().as_str() {
        "allow" => Ok(Effect::Allow),
        "deny" => Ok(Effect::Deny),
        other => Err(line.error(word.at, format!("{other:?} is not a rule: write {LINE}"))),
    }
}

fn parse_actions(line: &Line<'_>, word: &Word) -> Result<Actions, FileError> {
    let mut actions: Option<Actions> = None;
    for part in word.parts() {
        let action = match part.text.as_str() {
            "all" => Actions::ALL,
            "publish" => Actions::PUBLISH,
            "subscribe" => Actions::SUBSCRIBE,
            "retain" => Actions::RETAIN,
            "will" => Actions::WILL,
            "receive" => Actions::RECEIVE,
            other => {
                let problem =
                    format!("{other:?} is no action: all, publish, subscribe, retain, will and receive are");
                return Err(line.error(part.at, problem));
            }
        };
        actions = Some(actions.map_or(action, |actions| actions.and(action)));
    }
    actions.ok_or_else(|| line.error(word.at, "there is no action"))
}

fn parse_condition(
    line: &Line<'_>,
    word: &Word,
    conditions: &mut Conditions,
    qos: &mut QosSet,
) -> Result<(), FileError> {
    let Some((key, values)) = word.split_at_equals() else { return parse_flag(line, word, conditions) };
    for value in values.parts() {
        let wrong = |problem: String| line.error(value.at, problem);
        if value.text.is_empty() && !value.is_quoted {
            return Err(wrong(format!("{key} has no value")));
        }
        match key.as_str() {
            "user" => conditions.user.add(value.name().map_err(wrong)?).map_err(wrong)?,
            "group" => conditions.groups.push(value.name().map_err(wrong)?),
            "client" => conditions.clients.push(value.name().map_err(wrong)?),
            "cn" => conditions.common_names.push(value.name().map_err(wrong)?),
            "san" => conditions.alternative_names.push(value.name().map_err(wrong)?),
            "listener" => conditions.listeners.push(value.name().map_err(wrong)?),
            "fingerprint" => conditions.fingerprints.push(parse_fingerprint(&value.text).map_err(wrong)?),
            "address" => conditions.addresses.push(AddressPattern::parse(&value.text).map_err(wrong)?),
            "qos" => *qos = qos.with(parse_qos(&value.text).map_err(wrong)?),
            _ => return Err(line.error(word.at, format!("{key:?} is no condition: {CONDITIONS} are"))),
        }
    }
    Ok(())
}

fn parse_flag(line: &Line<'_>, word: &Word, conditions: &mut Conditions) -> Result<(), FileError> {
    let text = word.text();
    if text != "anonymous" {
        let problem = format!("{text:?} is no condition: write KEY=VALUE, where KEY is one of {CONDITIONS}");
        return Err(line.error(word.at, problem));
    }
    if conditions.user != User::Anybody {
        return Err(line.error(word.at, BOTH_USERS));
    }
    conditions.user = User::Anonymous;
    Ok(())
}

fn parse_qos(text: &str) -> Result<QoS, String> {
    match text {
        "0" => Ok(QoS::AtMostOnce),
        "1" => Ok(QoS::AtLeastOnce),
        "2" => Ok(QoS::ExactlyOnce),
        _ => Err(format!("{text:?} is no QoS: 0, 1 and 2 are")),
    }
}

fn parse_fingerprint(text: &str) -> Result<NamePattern, String> {
    let digits: String = text.chars().filter(|c| *c != ':').collect::<String>().to_ascii_lowercase();
    if digits.len() != 64 || !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Err(format!("{text:?} is no SHA-256 fingerprint, which has 64 hexadecimal digits"));
    }
    Ok(NamePattern::Exact(digits.into()))
}

impl User {
    fn add(&mut self, name: NamePattern) -> Result<(), String> {
        match self {
            Self::Anonymous => return Err(BOTH_USERS.to_owned()),
            Self::Anybody => *self = Self::Named(vec![name]),
            Self::Named(names) => names.push(name),
        }
        Ok(())
    }
}

/// What stands between spaces, and where it begins; each character with whether it was quoted.
#[derive(Debug, Default)]
struct Word {
    at: usize,
    characters: Vec<(usize, char, bool)>,
}

/// What stands between commas.
struct Part {
    at: usize,
    text: String,
    is_quoted: bool,
    /// Ends with a `*` that is not quoted.
    has_star: bool,
}

/// Takes a line apart.
fn words(line: &Line<'_>) -> Result<Vec<Word>, FileError> {
    let mut words = Vec::new();
    let mut word: Option<Word> = None;
    let mut characters = line.text.char_indices();
    while let Some((at, c)) = characters.next() {
        if c.is_whitespace() {
            words.extend(word.take());
            continue;
        }
        let word = word.get_or_insert_with(|| Word { at, characters: Vec::new() });
        if c != '"' {
            word.characters.push((at, c, false));
            continue;
        }
        // An empty word between quotes is one too.
        word.characters.push((at, '"', false));
        loop {
            match characters.next() {
                Some((_, '"')) => break,
                Some((at, '\\')) => match characters.next() {
                    Some((_, c @ ('"' | '\\'))) => word.characters.push((at, c, true)),
                    _ => return Err(line.error(at, "behind `\\` comes `\"` or `\\`")),
                },
                Some((at, c)) => word.characters.push((at, c, true)),
                None => return Err(line.error(at, "these quotes are not closed")),
            }
        }
    }
    words.extend(word);
    Ok(words)
}

impl Word {
    /// What it says, without quotes.
    fn text(&self) -> String {
        self.characters
            .iter()
            .filter(|(_, c, is_quoted)| *is_quoted || *c != '"')
            .map(|(_, c, _)| c)
            .collect()
    }

    /// The key before the first `=`, and the values behind it.
    fn split_at_equals(&self) -> Option<(String, Self)> {
        let place = self.characters.iter().position(|(_, c, is_quoted)| *c == '=' && !is_quoted)?;
        let (key, values) = self.characters.split_at(place);
        let key = key.iter().map(|(_, c, _)| c).collect();
        Some((key, Self { at: values[0].0 + 1, characters: values[1..].to_vec() }))
    }

    /// What stands between its commas.
    fn parts(&self) -> Vec<Part> {
        let mut at = self.at;
        let parts = self.characters.split(|(_, c, is_quoted)| *c == ',' && !is_quoted);
        let mut part = |characters: &[(usize, char, bool)]| {
            let begin = characters.first().map_or(at, |(at, _, _)| *at);
            at = characters.last().map_or(at, |(at, c, _)| at + c.len_utf8()) + 1;
            Part {
                at: begin,
                text: Self { at: begin, characters: characters.to_vec() }.text(),
                is_quoted: characters.iter().any(|(_, c, is_quoted)| *is_quoted || *c == '"'),
                has_star: characters.last().is_some_and(|(_, c, is_quoted)| *c == '*' && !is_quoted),
            }
        };
        parts.map(&mut part).collect()
    }
}

impl Part {
    /// A name, or how a name begins. A star that is quoted is a character of the name.
    fn name(&self) -> Result<NamePattern, String> {
        match (self.has_star, self.is_quoted) {
            (false, true) => Ok(NamePattern::Exact(self.text.as_str().into())),
            _ => NamePattern::parse(&self.text),
        }
    }
}

const LINE: &str = "`allow ACTIONS FILTER CONDITIONS` or `deny ACTIONS FILTER CONDITIONS`";
const CONDITIONS: &str = "user, group, client, cn, san, fingerprint, address, listener and qos";
const BOTH_USERS: &str = "a client that is anonymous has no user name";
