//! The file of `record` and `replay`: JSON Lines, one message a line. docs/tools.md describes every member.
//!
//! Pure: texts in, values out. What is written is read back as the same message; what a person has changed is checked,
//! and refused with what is wrong with it.

use base64ct::{Base64, Encoding as _};
use noctule_client::machine::Delivery;
use noctule_codec::{Properties, Property, QoS};
use noctule_topic::TopicName;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::time::Duration;

/// A message with the time at which it came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Recorded {
    /// Since the beginning of the recording; exact to the microsecond.
    pub(crate) at: Duration,
    pub(crate) topic: String,
    pub(crate) payload: Vec<u8>,
    pub(crate) qos: QoS,
    pub(crate) retain: bool,
    /// Those that belong to the message and not to the connection it came on.
    pub(crate) properties: Properties<'static>,
}

/// What is wrong with a line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct LineError(String);

impl fmt::Display for LineError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The first line of a recording, its end included: what the others mean, when it began, and what was subscribed.
pub(crate) fn first_line(began: &str, filters: &[String]) -> String {
    let head = Head { version: VERSION, began: began.to_owned(), filters: filters.to_vec() };
    // Strings and numbers always have a form in JSON.
    serde_json::to_string(&head).unwrap_or_default() + "\n"
}

/// Reads a line; `None` is one that holds no message: the first one, or a blank one.
///
/// # Errors
/// It is not what docs/tools.md describes, or of a later version.
pub(crate) fn parse_line(line: &[u8]) -> Result<Option<Recorded>, LineError> {
    // Some editors put it in front of a file.
    let line = line.strip_prefix("\u{feff}".as_bytes()).unwrap_or(line);
    match line.trim_ascii() {
        [] => return Ok(None),
        [b'{', ..] => {}
        _ => return Err(LineError("it is no JSON object, which begins with {".to_owned())),
    }
    if is_head(line) {
        let head: Head = serde_json::from_slice(line).map_err(|error| wrong(&error))?;
        return match head.version {
            VERSION => Ok(None),
            other => {
                Err(LineError(format!("recordings of version {other} cannot be read, {VERSION} is known")))
            }
        };
    }
    let line: Line = serde_json::from_slice(line).map_err(|error| wrong(&error))?;
    line.message().map(Some)
}

impl Recorded {
    /// A message as it came.
    pub(crate) fn new(at: Duration, message: &Delivery) -> Self {
        Self {
            at: microseconds(at),
            topic: message.topic.to_string(),
            payload: message.payload.to_vec(),
            qos: message.qos,
            retain: message.retain,
            properties: kept(&message.properties),
        }
    }

    /// Its line, the end included.
    pub(crate) fn line(&self) -> String {
        let (payload, payload_base64) = text_or_base64(&self.payload);
        let line = Line {
            at: self.at.as_micros() as f64 / 1e6,
            topic: self.topic.clone(),
            qos: self.qos as u8,
            retain: self.retain,
            properties: Kept::new(&self.properties),
            payload,
            payload_base64,
        };
        // Strings and finite numbers always have a form in JSON.
        serde_json::to_string(&line).unwrap_or_default() + "\n"
    }
}

/// The first line.
#[derive(Debug, Deserialize, Serialize)]
struct Head {
    #[serde(rename = "noctule-recording")]
    version: u32,
    #[serde(default)]
    began: String,
    #[serde(default)]
    filters: Vec<String>,
}

/// A line as it is written. The payload stands last, where it hides nothing.
#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct Line {
    #[serde(default)]
    at: f64,
    topic: String,
    #[serde(default)]
    qos: u8,
    #[serde(default)]
    retain: bool,
    #[serde(default, skip_serializing_if = "Kept::is_empty")]
    properties: Kept,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    payload: Option<String>,
    #[serde(default, rename = "payload-base64", skip_serializing_if = "Option::is_none")]
    payload_base64: Option<String>,
}

/// Properties under the names of `-D`.
#[derive(Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
struct Kept {
    #[serde(skip_serializing_if = "Option::is_none")]
    payload_format_indicator: Option<u8>,
    #[serde(skip_serializing_if = "Option::is_none")]
    message_expiry_interval: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    content_type: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    response_topic: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    correlation_data: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    correlation_data_base64: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    user_properties: Vec<(String, String)>,
}

impl Line {
    fn message(self) -> Result<Recorded, LineError> {
        let at = Duration::try_from_secs_f64(self.at)
            .map_err(|_| LineError(format!("at is {}, which is no time in seconds", self.at)))?;
        TopicName::check(&self.topic)
            .map_err(|error| LineError(format!("the topic {:?} is none: {error}", self.topic)))?;
        let qos = QoS::from_bits(self.qos)
            .ok_or_else(|| LineError(format!("qos is {}; 0, 1 and 2 are possible", self.qos)))?;
        let payload = bytes("payload", self.payload, self.payload_base64)?.unwrap_or_default();
        let properties = self.properties.properties()?;
        Ok(Recorded {
            at: microseconds(at),
            topic: self.topic,
            payload,
            qos,
            retain: self.retain,
            properties,
        })
    }
}

impl Kept {
    fn new(properties: &Properties<'_>) -> Self {
        let (correlation_data, correlation_data_base64) =
            properties.correlation_data().map_or((None, None), text_or_base64);
        Self {
            payload_format_indicator: properties.payload_format_indicator().map(u8::from),
            message_expiry_interval: properties.message_expiry_interval(),
            content_type: properties.content_type().map(str::to_owned),
            response_topic: properties.response_topic().map(str::to_owned),
            correlation_data,
            correlation_data_base64,
            user_properties: properties
                .user_properties()
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .collect(),
        }
    }

    fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    fn properties(self) -> Result<Properties<'static>, LineError> {
        let is_text = match self.payload_format_indicator {
            None => None,
            Some(0) => Some(false),
            Some(1) => Some(true),
            Some(other) => {
                let text = format!("payload-format-indicator is {other}; 0 and 1 are possible");
                return Err(LineError(text));
            }
        };
        let correlation = bytes("correlation-data", self.correlation_data, self.correlation_data_base64)?;
        let single = [
            is_text.map(Property::PayloadFormatIndicator),
            self.message_expiry_interval.map(Property::MessageExpiryInterval),
            self.content_type.as_deref().map(Property::ContentType),
            self.response_topic.as_deref().map(Property::ResponseTopic),
            correlation.as_deref().map(Property::CorrelationData),
        ];
        let pairs = self.user_properties.iter().map(|(name, value)| Property::UserProperty(name, value));
        let mut properties = Properties::EMPTY;
        for property in single.into_iter().flatten().chain(pairs) {
            properties
                .try_push(property)
                .map_err(|error| LineError(format!("the properties cannot be sent: {error}")))?;
        }
        Ok(properties)
    }
}

/// Whether a line is the first one of a recording. Lines that are no JSON are not, and are refused as messages.
fn is_head(line: &[u8]) -> bool {
    #[derive(Deserialize)]
    struct Mark {
        #[serde(rename = "noctule-recording")]
        version: Option<serde_json::Value>,
    }
    serde_json::from_slice::<Mark>(line).is_ok_and(|mark| mark.version.is_some())
}

/// The properties of a message without those of its connection: topic alias, subscription identifiers.
fn kept(properties: &Properties<'_>) -> Properties<'static> {
    let mut kept = Properties::EMPTY;
    let of_message = |property: &Property<'_>| {
        !matches!(property, Property::TopicAlias(_) | Property::SubscriptionIdentifier(_))
    };
    properties.iter().filter(of_message).for_each(|property| kept.push(property));
    kept
}

fn text_or_base64(bytes: &[u8]) -> (Option<String>, Option<String>) {
    match std::str::from_utf8(bytes) {
        Ok(text) => (Some(text.to_owned()), None),
        Err(_) => (None, Some(Base64::encode_string(bytes))),
    }
}

fn bytes(name: &str, text: Option<String>, base64: Option<String>) -> Result<Option<Vec<u8>>, LineError> {
    match (text, base64) {
        (Some(_), Some(_)) => Err(LineError(format!("there are both {name} and {name}-base64"))),
        (Some(text), None) => Ok(Some(text.into_bytes())),
        (None, Some(base64)) => Base64::decode_vec(&base64)
            .map(Some)
            .map_err(|_| LineError(format!("{name}-base64 is no base64 with padding"))),
        (None, None) => Ok(None),
    }
}

/// The place that the library names is that in the line; which line it is, the caller knows.
fn wrong(error: &serde_json::Error) -> LineError {
    let text = error.to_string();
    LineError(text.replace(" at line 1 column ", " at column "))
}

fn microseconds(at: Duration) -> Duration {
    let micros = at.as_nanos().saturating_add(500) / 1000;
    Duration::from_micros(u64::try_from(micros).unwrap_or(u64::MAX))
}

/// The version of the format.
const VERSION: u32 = 1;

#[cfg(test)]
mod tests {
    use super::*;

    fn message(payload: &[u8]) -> Recorded {
        Recorded {
            at: Duration::from_micros(1_250_417),
            topic: "a/ü".to_owned(),
            payload: payload.to_vec(),
            qos: QoS::AtLeastOnce,
            retain: true,
            properties: Properties::EMPTY,
        }
    }

    fn error(line: &str) -> String {
        parse_line(line.as_bytes()).expect_err(line).to_string()
    }

    #[test]
    fn a_line_is_as_documented() {
        assert_eq!(
            message(b"21.5").line(),
            "{\"at\":1.250417,\"topic\":\"a/ü\",\"qos\":1,\"retain\":true,\"payload\":\"21.5\"}\n"
        );
        assert_eq!(
            message(&[0xFF, 0, b'\n']).line(),
            "{\"at\":1.250417,\"topic\":\"a/ü\",\"qos\":1,\"retain\":true,\"payload-base64\":\"/wAK\"}\n"
        );
        assert_eq!(
            first_line("2026-01-02T03:04:05Z", &["a/#".to_owned()]),
            "{\"noctule-recording\":1,\"began\":\"2026-01-02T03:04:05Z\",\"filters\":[\"a/#\"]}\n"
        );
    }

    #[test]
    fn what_is_written_is_read_back_whatever_the_bytes() {
        let all: Vec<u8> = (0..=255).collect();
        let payloads: [&[u8]; 5] = [b"", b"plain", b"\0\"\\\r\n\x1b", &all, "\u{feff}\u{2028}".as_bytes()];
        let properties = [
            Properties::EMPTY,
            Properties::EMPTY
                .with(Property::PayloadFormatIndicator(true))
                .with(Property::MessageExpiryInterval(u32::MAX))
                .with(Property::ContentType("text/plain"))
                .with(Property::ResponseTopic("answers"))
                .with(Property::CorrelationData(&[0xFE, 1]))
                .with(Property::UserProperty("k", "1"))
                .with(Property::UserProperty("k", "2")),
        ];
        for payload in payloads {
            for properties in &properties {
                let before = Recorded { properties: properties.clone(), ..message(payload) };
                let line = before.line();
                assert_eq!(line.matches('\n').count(), 1, "{line}");
                assert_eq!(parse_line(line.as_bytes()), Ok(Some(before)), "{line}");
            }
        }
    }

    #[test]
    fn what_belongs_to_the_connection_is_left_out() {
        let properties = Properties::EMPTY
            .with(Property::TopicAlias(3))
            .with(Property::MessageExpiryInterval(7))
            .with(Property::SubscriptionIdentifier(9));
        assert_eq!(kept(&properties), Properties::EMPTY.with(Property::MessageExpiryInterval(7)));
    }

    #[test]
    fn a_topic_is_enough() {
        let message = parse_line(b" {\"topic\":\"t\"} \r").expect("a line").expect("a message");
        assert_eq!((message.at, message.qos, message.retain), (Duration::ZERO, QoS::AtMostOnce, false));
        assert!(message.payload.is_empty() && message.properties.is_empty());
    }

    #[test]
    fn lines_without_a_message() {
        for line in [
            "",
            "  \r",
            "\u{feff}",
            "\u{feff}{\"noctule-recording\":1}",
            "{\"noctule-recording\":1}",
            "{\"noctule-recording\":1,\"note\":\"mine\"}",
        ] {
            assert_eq!(parse_line(line.as_bytes()), Ok(None), "{line}");
        }
    }

    #[test]
    fn what_is_wrong_is_named() {
        let cases = [
            ("{\"topic\":\"a/#\"}", "the topic \"a/#\" is none"),
            ("{\"topic\":\"a\",\"qos\":3}", "qos is 3"),
            ("{\"topic\":\"a\",\"at\":-1}", "at is -1"),
            ("{\"topic\":\"a\",\"at\":1e300}", "no time in seconds"),
            ("{\"topic\":\"a\",\"payload\":\"x\",\"payload-base64\":\"eA==\"}", "both payload and"),
            ("{\"topic\":\"a\",\"payload-base64\":\"eA\"}", "no base64"),
            ("{\"topic\":\"a\",\"payloud\":\"x\"}", "unknown field `payloud`"),
            ("{\"topic\":\"a\",\"properties\":{\"payload-format-indicator\":2}}", "0 and 1"),
            ("{\"at\":1}", "missing field `topic`"),
            ("{\"topic\":\"a\"", "at column"),
            ("{\"noctule-recording\":2}", "version 2"),
            ("[0, \"a\", 0, false, {}, \"x\"]", "no JSON object"),
            ("garbage", "no JSON object"),
        ];
        for (line, text) in cases {
            assert!(error(line).contains(text), "{line}: {}", error(line));
        }
    }
}
