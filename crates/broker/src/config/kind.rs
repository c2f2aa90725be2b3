//! What a key takes, and the field of [`Config`] it goes to.
//!
//! A [`Kind`] holds the allowed range and the field together, so a checked value has only one place to go and
//! no value goes anywhere unchecked.

use std::fmt::Display;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use noctule_codec::{ProtocolVersion, QoS};
use noctule_transport::{ListenUrl, ListenUrlError, TlsVersion};

use super::raw::Raw;
use super::units::{parse_duration, parse_size, show_duration, show_size};
use super::value::{FOREVER, Value};
use super::{
    AnonymousClients, AttemptsMax, CertificateField, Config, Http, LogFilter, LogFilterError, LogFormat,
    LogPlace, TlsClients, WithoutRules,
};
use noctule_session::{Durability, DurabilityRule, Versions};

/// What a key takes and where it goes: into `C`.
pub(super) enum Kind<C: 'static = Config> {
    /// `true` or `false`.
    Switch(Field<bool, C>),
    /// A number of things.
    Number { range: RangeInclusive<u64>, field: Field<dyn Number, C> },
    /// A number of bytes.
    Size { range: RangeInclusive<u64>, field: Field<dyn Number, C> },
    /// A length of time; the range and the field count in `unit`.
    Duration { unit: Unit, range: RangeInclusive<u64>, field: Field<dyn Number, C> },
    /// A length of time in seconds whose largest value means "for ever".
    Lifetime(Field<u32, C>),
    /// One of a few words.
    Word(Field<dyn Word, C>),
    /// A text that passes `check`.
    Text { allowed: &'static str, check: fn(&str) -> bool, field: Field<String, C> },
    /// Texts that are not empty.
    Texts { allowed: &'static str, field: Field<Vec<String>, C> },
    /// A file or folder.
    Path(Field<PathBuf, C>),
    /// A log filter.
    Log(Field<LogFilter, C>),
    /// Places for log lines.
    LogPlaces(Field<Vec<LogPlace>, C>),
    /// Places to listen.
    Listen(Field<Vec<ListenUrl>, C>),
    /// One place to listen.
    Url(Field<Option<ListenUrl>, C>),
    /// Versions of the protocol.
    Versions(Field<Versions, C>),
    /// Rules of durability.
    Rules(Field<Vec<DurabilityRule>, C>),
}

/// A field of a configuration.
pub(super) struct Field<T: ?Sized + 'static, C: 'static = Config> {
    pub(super) get: fn(&C) -> &T,
    pub(super) get_mut: fn(&mut C) -> &mut T,
}

/// What a field counts in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unit {
    Milliseconds,
    Seconds,
}

/// Why a value is not taken.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Refusal {
    /// The element of a list that is at fault.
    pub(super) element: Option<usize>,
    /// What was found and what is allowed.
    pub(super) message: String,
}

impl<C: Default> Kind<C> {
    /// The value `config` holds.
    pub(super) fn read(&self, config: &C) -> Value {
        match self {
            Self::Switch(field) => Value::Boolean(*(field.get)(config)),
            Self::Number { field, .. } => Value::Number((field.get)(config).get()),
            Self::Size { field, .. } => Value::Size((field.get)(config).get()),
            Self::Duration { unit, field, .. } => Value::Duration(unit.duration((field.get)(config).get())),
            Self::Lifetime(field) => show_lifetime(*(field.get)(config)),
            Self::Word(field) => Value::Text((field.get)(config).word().into()),
            Self::Text { field, .. } => Value::Text((field.get)(config).clone()),
            Self::Texts { field, .. } => Value::List((field.get)(config).clone()),
            Self::Path(field) => Value::Text((field.get)(config).display().to_string()),
            Self::Log(field) => Value::Text((field.get)(config).to_string()),
            Self::LogPlaces(field) => {
                Value::List((field.get)(config).iter().map(LogPlace::to_string).collect())
            }
            Self::Listen(field) => {
                Value::List((field.get)(config).iter().map(ListenUrl::to_string).collect())
            }
            Self::Url(field) => {
                Value::Text((field.get)(config).as_ref().map(ListenUrl::to_string).unwrap_or_default())
            }
            Self::Versions(field) => Value::List(version_names(*(field.get)(config))),
            Self::Rules(field) => {
                Value::List((field.get)(config).iter().map(DurabilityRule::to_string).collect())
            }
        }
    }

    /// Checks `raw` and puts it into `config`, which is as it was if the value is refused. A list may be
    /// refused for several of its elements.
    pub(super) fn write(&self, config: &mut C, raw: &Raw) -> Result<(), Vec<Refusal>> {
        let refused = || vec![Refusal::of_all(format!("found {raw}, allowed is {}", self.allowed()))];
        match self {
            Self::Switch(field) => *(field.get_mut)(config) = raw.boolean().ok_or_else(refused)?,
            Self::Number { range, field } => {
                let number = raw.number().filter(|number| range.contains(number));
                (field.get_mut)(config).set(number.ok_or_else(refused)?);
            }
            Self::Size { range, field } => {
                let bytes = size(raw).filter(|bytes| range.contains(bytes));
                (field.get_mut)(config).set(bytes.ok_or_else(refused)?);
            }
            Self::Duration { unit, range, field } => {
                let amount = duration(raw).and_then(|duration| unit.amount(duration));
                let amount = amount.filter(|amount| range.contains(amount));
                (field.get_mut)(config).set(amount.ok_or_else(refused)?);
            }
            Self::Lifetime(field) => *(field.get_mut)(config) = lifetime(raw).ok_or_else(refused)?,
            Self::Word(field) => {
                let known = raw.text().is_some_and(|word| (field.get_mut)(config).set_word(word));
                return if known { Ok(()) } else { Err(refused()) };
            }
            Self::Text { check, field, .. } => {
                let text = raw.text().filter(|text| check(text)).ok_or_else(refused)?;
                *(field.get_mut)(config) = text.into();
            }
            Self::Texts { field, .. } => {
                let items = raw.list().ok_or_else(refused)?;
                *(field.get_mut)(config) = texts(&items)?;
            }
            Self::Path(field) => {
                let text = raw.text().filter(|text| is_path(text)).ok_or_else(refused)?;
                *(field.get_mut)(config) = text.into();
            }
            Self::Log(field) => {
                let filter = raw.text().ok_or_else(refused)?.parse();
                *(field.get_mut)(config) =
                    filter.map_err(|error: LogFilterError| vec![Refusal::of_all(error.to_string())])?;
            }
            Self::LogPlaces(field) => {
                let items = raw.list().filter(|items| !items.is_empty()).ok_or_else(refused)?;
                *(field.get_mut)(config) = parsed(&items)?;
            }
            Self::Listen(field) => {
                // None is enough where there are listeners with tables of their own.
                let items = raw.list().ok_or_else(refused)?;
                *(field.get_mut)(config) = listen_urls(&items)?;
            }
            Self::Url(field) => {
                let url = listen_url(raw, &[])
                    .map_err(|reason| vec![Refusal::of_all(format!("{raw}: {reason}"))])?;
                *(field.get_mut)(config) = Some(url);
            }
            Self::Versions(field) => {
                let items = raw.list().filter(|items| !items.is_empty()).ok_or_else(refused)?;
                *(field.get_mut)(config) = versions(&items)?;
            }
            Self::Rules(field) => {
                let items = raw.list().ok_or_else(refused)?;
                *(field.get_mut)(config) = parsed(&items)?;
            }
        }
        Ok(())
    }

    /// What the key takes, as a person is told.
    pub(super) fn allowed(&self) -> String {
        match self {
            Self::Switch(_) => "true or false".into(),
            Self::Number { range, .. } if range.start() == range.end() => range.start().to_string(),
            Self::Number { range, .. } => {
                format!("a whole number from {} to {}", range.start(), range.end())
            }
            Self::Size { range, .. } => {
                let (start, end) = (show_size(*range.start()), show_size(*range.end()));
                format!("a size from {start} to {end}, written like \"8MiB\"")
            }
            Self::Duration { unit, range, .. } => {
                let [start, end] = [range.start(), range.end()].map(|end| show_duration(unit.duration(*end)));
                format!("a duration{} from {start} to {end}, written like \"10s\"", unit.in_whole())
            }
            Self::Lifetime(_) => "a duration in whole seconds, written like \"7d\", or \"forever\"".into(),
            Self::Word(field) => quoted_words((field.get)(&C::default()).words()),
            Self::Text { allowed, .. } | Self::Texts { allowed, .. } => (*allowed).into(),
            Self::Path(_) => "a path".into(),
            Self::Log(_) => "a text like \"info\" or \"warn,noctule_broker=debug\"".into(),
            Self::LogPlaces(_) => "an array of at least one place, like [\"stderr\"]".into(),
            Self::Listen(_) => LISTEN_ALLOWED.into(),
            Self::Url(_) => "a URL, like \"tls://0.0.0.0:8883\"".into(),
            Self::Versions(_) => "an array of \"3.1\", \"3.1.1\" and \"5.0\"".into(),
            Self::Rules(_) => "an array of rules, like [\"sensors/#=memory\", \"alarms/#=disk\"]".into(),
        }
    }

    /// Whether the flag of the key may be given several times.
    pub(super) fn is_list(&self) -> bool {
        let is_places = matches!(self, Self::Listen(_) | Self::LogPlaces(_));
        is_places || matches!(self, Self::Rules(_) | Self::Versions(_) | Self::Texts { .. })
    }
}

impl Refusal {
    fn of_all(message: String) -> Self {
        Self { element: None, message }
    }

    fn of_element<R: Display>(index: usize, raw: &Raw, reason: R) -> Self {
        Self { element: Some(index), message: format!("{raw}: {reason}") }
    }
}

impl Unit {
    pub(super) fn duration(self, amount: u64) -> Duration {
        match self {
            Self::Milliseconds => Duration::from_millis(amount),
            Self::Seconds => Duration::from_secs(amount),
        }
    }

    /// The amount of this unit, if it is whole. Durations are written in whole milliseconds.
    fn amount(self, duration: Duration) -> Option<u64> {
        match self {
            Self::Milliseconds => u64::try_from(duration.as_millis()).ok(),
            Self::Seconds => (duration.subsec_nanos() == 0).then_some(duration.as_secs()),
        }
    }

    /// Milliseconds are the finest unit there is to write.
    fn in_whole(self) -> &'static str {
        match self {
            Self::Milliseconds => "",
            Self::Seconds => " in whole seconds",
        }
    }
}

/// Whether `text` can be a path: something, and nothing a file system cannot name.
fn is_path(text: &str) -> bool {
    !text.is_empty() && !text.contains('\0')
}

/// A size; a plain number counts bytes.
fn size(raw: &Raw) -> Option<u64> {
    raw.number().or_else(|| parse_size(raw.text()?))
}

/// A duration; a plain number counts seconds.
fn duration(raw: &Raw) -> Option<Duration> {
    raw.number().map(Duration::from_secs).or_else(|| parse_duration(raw.text()?))
}

fn lifetime(raw: &Raw) -> Option<u32> {
    if raw.text() == Some(FOREVER) {
        return Some(u32::MAX);
    }
    let seconds = duration(raw).and_then(|duration| Unit::Seconds.amount(duration))?;
    u32::try_from(seconds).ok()
}

fn show_lifetime(seconds: u32) -> Value {
    match seconds {
        u32::MAX => Value::Forever,
        seconds => Value::Duration(Duration::from_secs(seconds.into())),
    }
}

fn listen_urls(items: &[Raw]) -> Result<Vec<ListenUrl>, Vec<Refusal>> {
    let mut urls = Vec::with_capacity(items.len());
    let mut refusals = Vec::new();
    for (index, item) in items.iter().enumerate() {
        match listen_url(item, &urls) {
            Ok(url) => urls.push(url),
            Err(reason) => refusals.push(Refusal::of_element(index, item, reason)),
        }
    }
    if refusals.is_empty() { Ok(urls) } else { Err(refusals) }
}

fn texts(items: &[Raw]) -> Result<Vec<String>, Vec<Refusal>> {
    let mut texts = Vec::with_capacity(items.len());
    let mut refusals = Vec::new();
    for (index, item) in items.iter().enumerate() {
        match item.text().filter(|text| is_path(text)) {
            Some(text) => texts.push(text.into()),
            None => refusals.push(Refusal::of_element(index, item, "not a text")),
        }
    }
    if refusals.is_empty() { Ok(texts) } else { Err(refusals) }
}

/// Elements that are texts with a form of their own.
fn parsed<T: FromStr<Err: Display>>(items: &[Raw]) -> Result<Vec<T>, Vec<Refusal>> {
    let mut values = Vec::with_capacity(items.len());
    let mut refusals = Vec::new();
    for (index, item) in items.iter().enumerate() {
        match item.text().unwrap_or_default().parse() {
            Ok(value) => values.push(value),
            Err(reason) => refusals.push(Refusal::of_element(index, item, reason)),
        }
    }
    if refusals.is_empty() { Ok(values) } else { Err(refusals) }
}

fn listen_url(item: &Raw, before: &[ListenUrl]) -> Result<ListenUrl, String> {
    let text = item.text().ok_or("not a URL such as \"tcp://localhost:1883\"")?;
    let url: ListenUrl = text.parse().map_err(|error: ListenUrlError| error.to_string())?;
    // Port 0 is another port each time.
    if url.port() != Some(0) && before.contains(&url) { Err("it is there twice".into()) } else { Ok(url) }
}

fn versions(items: &[Raw]) -> Result<Versions, Vec<Refusal>> {
    let mut versions = Versions { v3_1: false, v3_1_1: false, v5: false };
    let mut refusals = Vec::new();
    for (index, item) in items.iter().enumerate() {
        match item.text() {
            Some("3.1") => versions.v3_1 = true,
            Some("3.1.1") => versions.v3_1_1 = true,
            Some("5.0" | "5") => versions.v5 = true,
            _ => refusals.push(Refusal::of_element(index, item, "not a version of MQTT such as \"3.1.1\"")),
        }
    }
    if refusals.is_empty() { Ok(versions) } else { Err(refusals) }
}

fn version_names(versions: Versions) -> Vec<String> {
    let known = [ProtocolVersion::V3_1, ProtocolVersion::V3_1_1, ProtocolVersion::V5];
    known.into_iter().filter(|version| versions.have(*version)).map(|it| Versions::name(it).into()).collect()
}

/// What `listen` takes.
pub(super) const LISTEN_ALLOWED: &str = "an array of at least one URL, like [\"tcp://localhost:1883\"]";

/// `"a"`, `"a" or "b"`, `"a", "b" or "c"`.
fn quoted_words(words: Vec<&'static str>) -> String {
    let quoted: Vec<String> = words.into_iter().map(|word| format!("{word:?}")).collect();
    match quoted.split_last() {
        Some((last, rest)) if !rest.is_empty() => format!("{} or {last}", rest.join(", ")),
        _ => quoted.concat(),
    }
}

/// A field that holds a number. The range of its key lies within what the field can hold.
pub(super) trait Number {
    fn get(&self) -> u64;
    /// Sets the number, or the largest one the field can hold.
    fn set(&mut self, number: u64);
}

impl Number for u16 {
    fn get(&self) -> u64 {
        (*self).into()
    }
    fn set(&mut self, number: u64) {
        *self = Self::try_from(number).unwrap_or(Self::MAX);
    }
}

impl Number for u32 {
    fn get(&self) -> u64 {
        (*self).into()
    }
    fn set(&mut self, number: u64) {
        *self = Self::try_from(number).unwrap_or(Self::MAX);
    }
}

impl Number for u64 {
    fn get(&self) -> u64 {
        *self
    }
    fn set(&mut self, number: u64) {
        *self = number;
    }
}

impl Number for AttemptsMax {
    fn get(&self) -> u64 {
        self.0.into()
    }
    fn set(&mut self, number: u64) {
        self.0.set(number);
    }
}

/// `None` is written as 0.
impl Number for Option<u32> {
    fn get(&self) -> u64 {
        self.map_or(0, u64::from)
    }
    fn set(&mut self, number: u64) {
        *self = (number != 0).then(|| u32::try_from(number).unwrap_or(u32::MAX));
    }
}

/// Counts milliseconds; `None` is written as 0.
impl Number for Option<Duration> {
    fn get(&self) -> u64 {
        self.map_or(0, |duration| u64::try_from(duration.as_millis()).unwrap_or(u64::MAX))
    }
    fn set(&mut self, number: u64) {
        *self = (number != 0).then(|| Duration::from_millis(number));
    }
}

impl Number for QoS {
    fn get(&self) -> u64 {
        *self as u64
    }
    fn set(&mut self, number: u64) {
        *self = match number {
            0 => Self::AtMostOnce,
            1 => Self::AtLeastOnce,
            _ => Self::ExactlyOnce,
        };
    }
}

/// A field that holds one of a few words.
pub(super) trait Word {
    fn words(&self) -> Vec<&'static str>;
    fn word(&self) -> &'static str;
    /// Whether `word` is one of them and has been set.
    fn set_word(&mut self, word: &str) -> bool;
}

/// A type whose values have names.
pub(super) trait Named: Copy + PartialEq + 'static {
    const NAMES: &'static [(&'static str, Self)];
}

impl<T: Named> Word for T {
    fn words(&self) -> Vec<&'static str> {
        T::NAMES.iter().map(|(word, _)| *word).collect()
    }
    fn word(&self) -> &'static str {
        T::NAMES.iter().find(|(_, value)| value == self).map_or("", |(word, _)| word)
    }
    fn set_word(&mut self, word: &str) -> bool {
        let known = T::NAMES.iter().find(|(name, _)| *name == word);
        known.inspect(|(_, value)| *self = *value).is_some()
    }
}

/// `None`: as it is elsewhere.
impl<T: Named> Word for Option<T> {
    fn words(&self) -> Vec<&'static str> {
        T::NAMES.iter().map(|(word, _)| *word).collect()
    }
    fn word(&self) -> &'static str {
        T::NAMES.iter().find(|(_, value)| Some(value) == self.as_ref()).map_or("", |(word, _)| word)
    }
    fn set_word(&mut self, word: &str) -> bool {
        let known = T::NAMES.iter().find(|(name, _)| *name == word);
        known.inspect(|(_, value)| *self = Some(*value)).is_some()
    }
}

impl Named for TlsVersion {
    const NAMES: &'static [(&'static str, Self)] = &[("1.2", Self::Tls1_2), ("1.3", Self::Tls1_3)];
}

impl Named for Http {
    const NAMES: &'static [(&'static str, Self)] = &[("off", Self::Off)];
}

impl Named for TlsClients {
    const NAMES: &'static [(&'static str, Self)] =
        &[("none", Self::None), ("optional", Self::Optional), ("required", Self::Required)];
}

impl Named for AnonymousClients {
    const NAMES: &'static [(&'static str, Self)] =
        &[("never", Self::Never), ("loopback", Self::Loopback), ("always", Self::Always)];
}

impl Named for WithoutRules {
    const NAMES: &'static [(&'static str, Self)] =
        &[("first_level", Self::FirstLevel), ("everything", Self::Everything)];
}

impl Named for CertificateField {
    const NAMES: &'static [(&'static str, Self)] = &[
        ("none", Self::None),
        ("common_name", Self::CommonName),
        ("alternative_name", Self::AlternativeName),
        ("fingerprint", Self::Fingerprint),
        ("subject", Self::Subject),
    ];
}

impl Named for Durability {
    const NAMES: &'static [(&'static str, Self)] = &Self::NAMES;
}

impl Named for LogFormat {
    const NAMES: &'static [(&'static str, Self)] = &[("text", Self::Text), ("json", Self::Json)];
}
