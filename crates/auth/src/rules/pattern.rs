//! The topics a rule is about: a topic filter in which names of the client may stand for levels.
//!
//! A pattern is compiled to pieces that are taken from the left of a topic one after the other. No piece has a
//! choice, so nothing is ever tried twice: the time is bounded by the length of the topic.

use crate::decision::Reach;
use noctule_topic::{FilterError, TopicFilter, covers};
use std::borrow::Cow;
use thiserror::Error;

/// The topics a rule is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopicPattern {
    kind: Kind,
    /// As it was written.
    text: Box<str>,
    /// What every matching topic begins with.
    head: Box<str>,
    /// What follows, from left to right.
    rest: Box<[Piece]>,
    uses_user: bool,
    uses_client: bool,
}

/// The last eight bytes, or fewer, of what every matching topic begins with: enough to see that most topics do not.
#[derive(Clone, Copy, Debug)]
pub(super) struct HeadEnd {
    bytes: u64,
    mask: u64,
    at: u32,
}

/// The names that a pattern may be filled with.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Names<'a> {
    pub(crate) user: Option<&'a str>,
    pub(crate) client: &'a str,
}

/// Why a text is no topic pattern.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum PatternError {
    /// It is no topic filter.
    #[error(transparent)]
    Filter(#[from] FilterError),
    /// `%u` or `%c` shares its level with other characters.
    #[error("`%u` or `%c` must be the only text of its level, and shares {level:?} with other characters")]
    NameInLevel {
        /// The level.
        level: Box<str>,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// What a topic filter matches.
    Filter,
    /// A topic filter whose names may be anything that keeps its shape: mosquitto's patterns.
    LooseFilter,
    /// One topic filter, and what is spelled like it: it matches no topic that it does not spell.
    Literal,
    /// All topics, those that begin with `$` too.
    Everything,
    /// What `NAME/#` matches, for every NAME that does not begin with `$`. It is a family of filters: it covers what
    /// one of them covers, and so no filter that begins with a wildcard.
    EachFirstLevel,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Piece {
    Text(Box<str>),
    User,
    Client,
    /// `+`: up to the next `/`.
    Level,
    /// `/#`: nothing, or `/` and whatever follows.
    Below,
    /// `#` alone.
    All,
}

impl TopicPattern {
    /// All topics, those that begin with `$` too.
    pub fn everything() -> Self {
        Self::of_kind(Kind::Everything, "#")
    }

    /// Which topics it matches for sure.
    pub(super) fn reach(&self) -> Reach {
        match self.kind {
            Kind::Everything => Reach::Everything,
            Kind::EachFirstLevel => Reach::Ordinary,
            Kind::Filter | Kind::LooseFilter if &*self.text == "#" => Reach::Ordinary,
            Kind::Filter | Kind::LooseFilter | Kind::Literal => Reach::Asked,
        }
    }

    /// All topics but those that begin with `$`; of filters, it covers those whose first level is no wildcard.
    pub fn each_first_level() -> Self {
        Self::of_kind(Kind::EachFirstLevel, "NAME/#")
    }

    /// A topic filter in which `%` is a character like any other.
    ///
    /// # Errors
    /// It is no topic filter.
    pub fn filter(text: &str) -> Result<Self, PatternError> {
        TopicFilter::parse(text)?;
        Ok(Self::compile(Kind::Filter, text, false))
    }

    /// One topic filter as it is spelled: it covers no other, not even a narrower one.
    ///
    /// # Errors
    /// It is no topic filter.
    pub fn literal(text: &str) -> Result<Self, PatternError> {
        TopicFilter::parse(text)?;
        let head: Box<str> = text.into();
        Ok(Self {
            kind: Kind::Literal,
            text: head.clone(),
            head,
            rest: Box::default(),
            uses_user: false,
            uses_client: false,
        })
    }

    /// A topic filter in which a level `%u` stands for the user name and a level `%c` for the client id.
    ///
    /// A name that is empty or contains `/`, `+` or `#`, or that begins with `$` and would be the first level, fills
    /// no level: the rule is not about that client.
    ///
    /// # Errors
    /// It is no topic filter, or `%u` or `%c` shares its level with other characters.
    pub fn with_names(text: &str) -> Result<Self, PatternError> {
        TopicFilter::parse(text)?;
        let is_shared = |level: &&str| level.len() > 2 && (level.contains("%u") || level.contains("%c"));
        if let Some(level) = text.split('/').find(is_shared) {
            return Err(PatternError::NameInLevel { level: level.into() });
        }
        Ok(Self::compile(Kind::Filter, text, true))
    }

    /// A topic filter in which `%u` and `%c` stand for user name and client id wherever they are, as mosquitto reads
    /// its patterns. A name may fill several levels.
    ///
    /// # Errors
    /// It is no topic filter.
    pub fn with_names_anywhere(text: &str) -> Result<Self, PatternError> {
        TopicFilter::parse(text)?;
        Ok(Self::compile(Kind::LooseFilter, text, true))
    }

    /// As it was written.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether it stands for something else for each user.
    pub fn uses_user(&self) -> bool {
        self.uses_user
    }

    /// Whether it stands for something else for each client id.
    pub fn uses_client(&self) -> bool {
        self.uses_client
    }

    /// What most topics can be told from.
    pub(super) fn head_end(&self) -> HeadEnd {
        let at = self.head.len().saturating_sub(8);
        let mut bytes = [0; 8];
        let end = &self.head.as_bytes()[at..];
        bytes[..end.len()].copy_from_slice(end);
        let mask = u64::MAX.checked_shr(64 - 8 * end.len() as u32).unwrap_or(0);
        let at = u32::try_from(at).expect("a filter has at most 65,535 bytes");
        HeadEnd { bytes: u64::from_le_bytes(bytes), mask, at }
    }

    /// Whether its names can be filled in.
    pub(crate) fn can_be_filled(&self, names: Names<'_>) -> bool {
        let can_fill = |name: &str, place: &str| {
            let hides_topics = name.starts_with('$') && self.text.starts_with(place);
            let is_unfit = name.is_empty() || name.contains(['/', '+', '#']) || hides_topics;
            self.kind == Kind::LooseFilter || !is_unfit
        };
        let fits_user = || names.user.is_some_and(|user| can_fill(user, "%u"));
        (!self.uses_user || fits_user()) && (!self.uses_client || can_fill(names.client, "%c"))
    }

    /// Whether it stands for this topic. Names must be such that they [can be filled in](Self::can_be_filled).
    pub(crate) fn matches(&self, names: Names<'_>, topic: &str) -> bool {
        let mut left = topic.as_bytes();
        // Comparing nothing is not free: memcmp of an empty slice, whose pointer leads nowhere, takes 40 ns.
        if !self.head.is_empty() {
            let Some(behind) = left.strip_prefix(self.head.as_bytes()) else { return false };
            left = behind;
        } else if self.kind != Kind::Everything && left.first() == Some(&b'$') {
            // What begins with a wildcard [MQTT-4.7.2-1] or a name matches no topic that begins with `$`.
            return false;
        }
        for piece in &self.rest {
            let Some(next) = piece.take(names, left) else { return false };
            left = next;
        }
        left.is_empty()
    }

    /// Whether it stands for every topic that this filter matches.
    pub(crate) fn covers(&self, names: Names<'_>, filter: &str) -> bool {
        match self.kind {
            Kind::Everything => true,
            Kind::EachFirstLevel => !filter.starts_with(['+', '#', '$']),
            Kind::Literal => *self.text == *filter,
            Kind::Filter | Kind::LooseFilter => covers(&*self.filled(names), filter),
        }
    }

    /// Whether it stands for a topic that this filter matches.
    pub(crate) fn meets(&self, names: Names<'_>, filter: &str) -> bool {
        match self.kind {
            Kind::Everything => true,
            Kind::EachFirstLevel => !filter.starts_with('$'),
            Kind::Literal => *self.text == *filter,
            Kind::Filter | Kind::LooseFilter => filters_meet(&self.filled(names), filter),
        }
    }

    /// The topic filter that it is for these names.
    pub(crate) fn filled(&self, names: Names<'_>) -> Cow<'_, str> {
        if !self.uses_user && !self.uses_client {
            return Cow::Borrowed(&self.text);
        }
        let mut filled = self.head.to_string();
        for piece in &self.rest {
            filled += piece.text(names);
        }
        Cow::Owned(filled)
    }

    fn of_kind(kind: Kind, text: &str) -> Self {
        let rest = [Piece::All].into();
        Self { kind, text: text.into(), head: "".into(), rest, uses_user: false, uses_client: false }
    }

    fn compile(kind: Kind, text: &str, has_names: bool) -> Self {
        let mut pieces = Pieces::default();
        for (depth, level) in text.split('/').enumerate() {
            if depth > 0 {
                pieces.text.push('/');
            }
            match level {
                "+" => pieces.push(Piece::Level),
                "#" if depth == 0 => pieces.push(Piece::All),
                "#" => {
                    pieces.text.pop();
                    pieces.push(Piece::Below);
                }
                _ if has_names => pieces.push_level(level),
                _ => pieces.text += level,
            }
        }
        let uses = |piece| pieces.done.contains(&piece);
        let (uses_user, uses_client) = (uses(Piece::User), uses(Piece::Client));
        let (head, rest) = pieces.finish();
        Self { kind, text: text.into(), head, rest, uses_user, uses_client }
    }
}

impl HeadEnd {
    /// Whether the text may begin with the head. Texts that end within eight bytes always may.
    pub(super) fn may_be_in(&self, text: &str) -> bool {
        let rest = text.as_bytes().get(self.at as usize..).unwrap_or_default();
        rest.first_chunk().is_none_or(|bytes| (u64::from_le_bytes(*bytes) ^ self.bytes) & self.mask == 0)
    }
}

/// Whether there is a topic that both filters match.
fn filters_meet(a: &str, b: &str) -> bool {
    let begins_with_wildcard = |filter: &str| filter.starts_with(['+', '#']);
    if (a.starts_with('$') && begins_with_wildcard(b)) || (b.starts_with('$') && begins_with_wildcard(a)) {
        return false;
    }
    let (mut a, mut b) = (a.split('/'), b.split('/'));
    loop {
        match (a.next(), b.next()) {
            (Some("#"), _) | (_, Some("#")) | (None, None) => return true,
            (Some(a), Some(b)) if a == b || a == "+" || b == "+" => {}
            _ => return false,
        }
    }
}

impl Piece {
    /// What is left of a topic behind this piece; `None` if the topic goes on otherwise.
    fn take<'a>(&self, names: Names<'_>, topic: &'a [u8]) -> Option<&'a [u8]> {
        match self {
            Self::Text(text) => topic.strip_prefix(text.as_bytes()),
            Self::User => topic.strip_prefix(names.user?.as_bytes()),
            Self::Client => topic.strip_prefix(names.client.as_bytes()),
            Self::Level => {
                let end = topic.iter().position(|byte| *byte == b'/').unwrap_or(topic.len());
                Some(&topic[end..])
            }
            Self::Below => matches!(topic.first(), None | Some(b'/')).then_some(&[]),
            Self::All => Some(&[]),
        }
    }

    /// What it is in a topic filter.
    fn text<'a>(&'a self, names: Names<'a>) -> &'a str {
        match self {
            Self::Text(text) => text,
            Self::User => names.user.unwrap_or_default(),
            Self::Client => names.client,
            Self::Level => "+",
            Self::Below => "/#",
            Self::All => "#",
        }
    }
}

/// Pieces on their way into a pattern, and text that is not yet one.
#[derive(Default)]
struct Pieces {
    text: String,
    done: Vec<Piece>,
}

impl Pieces {
    fn push(&mut self, piece: Piece) {
        if !self.text.is_empty() {
            self.done.push(Piece::Text(std::mem::take(&mut self.text).into()));
        }
        self.done.push(piece);
    }

    /// A level without wildcards, in which names may stand.
    fn push_level(&mut self, level: &str) {
        let mut left = level;
        while let Some(at) = left.find('%') {
            let (before, rest) = left.split_at(at);
            self.text += before;
            let name = match rest.get(..2) {
                Some("%u") => Some(Piece::User),
                Some("%c") => Some(Piece::Client),
                _ => None,
            };
            left = &rest[if name.is_some() { 2 } else { 1 }..];
            match name {
                Some(name) => self.push(name),
                None => self.text.push('%'),
            }
        }
        self.text += left;
    }

    /// The text everything begins with, and what follows.
    fn finish(mut self) -> (Box<str>, Box<[Piece]>) {
        if !self.text.is_empty() {
            self.done.push(Piece::Text(self.text.into()));
        }
        match self.done.first() {
            Some(Piece::Text(head)) => (head.clone(), self.done[1..].into()),
            _ => ("".into(), self.done.into()),
        }
    }
}
