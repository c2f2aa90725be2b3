//! `-F`: a format, checked once, and what it says of a message.
//!
//! Three characters begin something: `%` a field of the message, `@` a letter of strftime, `\` a character that is hard
//! to type. Between `%` and its letter may stand `-` (to the left), `0` (padded with zeros), a width, and `.` with a
//! precision. Widths count bytes, as in C. What each letter does with them is what mosquitto_sub 2.0.11 does with them,
//! but for `%j` and `%J`, `%f` and `%d`, which are those of 2.1.

use crate::json::{Json, Layout};
use crate::strftime;
use jiff::Zoned;
use noctule_codec::{Properties, Property, PropertyId};
use std::io::Write as _;

/// A message as it is printed.
#[derive(Clone, Copy, Debug)]
pub struct Shown<'a> {
    /// The topic name.
    pub topic: &'a str,
    /// The application message.
    pub payload: &'a [u8],
    /// The QoS at which it came.
    pub qos: u8,
    /// The RETAIN flag.
    pub retain: bool,
    /// The packet identifier; 0 at QoS 0.
    pub packet_id: u16,
    /// The properties of PUBLISH.
    pub properties: &'a Properties<'a>,
}

/// What is wrong with a format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FormatError {
    /// It ends in the middle of a field.
    IncompleteField,
    /// It ends with a backslash.
    IncompleteEscape,
    /// No field has this letter.
    Field(char),
    /// No escape has this letter.
    Escape(char),
}

impl std::fmt::Display for FormatError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::IncompleteField => f.write_str("Incomplete format specifier."),
            Self::IncompleteEscape => f.write_str("Incomplete escape specifier."),
            Self::Field(letter) => write!(f, "Invalid format specifier '{letter}'."),
            Self::Escape(letter) => write!(f, "Invalid escape specifier '{letter}'."),
        }
    }
}

/// Something that could not be printed; the rest was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unprintable {
    /// `%J` of a payload that is no JSON.
    NotJson {
        /// Where it came.
        topic: String,
    },
    /// `%f` or `%d` of a payload that does not have the length of such a number.
    NotANumber {
        /// How many bytes would be one.
        wanted: usize,
    },
}

impl std::fmt::Display for Unprintable {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::NotJson { topic } => {
                write!(f, "Error: Message payload is not valid JSON on topic {topic}.")
            }
            Self::NotANumber { wanted: 4 } => {
                f.write_str("requested float printing, but non-float data received")
            }
            Self::NotANumber { .. } => f.write_str("requested double printing, but non-double data received"),
        }
    }
}

/// A format that has been checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Format {
    pieces: Vec<Piece>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Piece {
    Byte(u8),
    Field(u8, Space),
    Time(u8),
}

/// How much room a field takes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Space {
    is_left: bool,
    is_zero_padded: bool,
    width: usize,
    precision: Option<usize>,
}

impl Format {
    /// Checks a format.
    ///
    /// # Errors
    /// It ends too early, or names something that does not exist.
    pub fn parse(text: &[u8]) -> Result<Self, FormatError> {
        let mut pieces = Vec::new();
        let mut rest = text;
        while let [first, after @ ..] = rest {
            rest = after;
            pieces.push(match first {
                b'%' => field(&mut rest)?,
                b'@' => match take(&mut rest).ok_or(FormatError::IncompleteField)? {
                    b'@' => Piece::Byte(b'@'),
                    letter => Piece::Time(letter),
                },
                b'\\' => Piece::Byte(escape(take(&mut rest).ok_or(FormatError::IncompleteEscape)?)?),
                byte => Piece::Byte(*byte),
            });
        }
        Ok(Self { pieces })
    }

    /// Appends what the format says of a message that came at this moment.
    ///
    /// # Errors
    /// The first thing that could not be printed. Everything else has been.
    pub fn write(
        &self,
        message: &Shown<'_>,
        now: &Zoned,
        is_pretty: bool,
        out: &mut Vec<u8>,
    ) -> Result<(), Unprintable> {
        let mut outcome = Ok(());
        for piece in &self.pieces {
            match piece {
                Piece::Byte(byte) => out.push(*byte),
                Piece::Time(b'N') => out.extend(nanoseconds(now).into_bytes()),
                Piece::Time(letter) => out.extend(strftime::format(*letter, now).into_bytes()),
                Piece::Field(letter, space) => {
                    let written = write_field(*letter, *space, (message, now, is_pretty), out);
                    outcome = outcome.and(written);
                }
            }
        }
        outcome
    }
}

fn take(rest: &mut &[u8]) -> Option<u8> {
    let (first, after) = rest.split_first()?;
    *rest = after;
    Some(*first)
}

fn field(rest: &mut &[u8]) -> Result<Piece, FormatError> {
    let is_left = skip(b'-', rest);
    let is_zero_padded = skip(b'0', rest);
    let width = number(rest);
    let precision = skip(b'.', rest).then(|| number(rest));
    let letter = take(rest).ok_or(FormatError::IncompleteField)?;
    match letter {
        b'%' => Ok(Piece::Byte(b'%')),
        _ if FIELDS.contains(&letter) => {
            Ok(Piece::Field(letter, Space { is_left, is_zero_padded, width, precision }))
        }
        _ => Err(FormatError::Field(char::from(letter))),
    }
}

fn skip(wanted: u8, rest: &mut &[u8]) -> bool {
    let is_there = rest.first() == Some(&wanted);
    if is_there {
        *rest = &rest[1..];
    }
    is_there
}

fn number(rest: &mut &[u8]) -> usize {
    let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let (number, after) = rest.split_at(digits);
    *rest = after;
    let value = number
        .iter()
        .fold(0_usize, |value, digit| value.saturating_mul(10).saturating_add(usize::from(digit - b'0')));
    value.min(WIDTH_MAX)
}

fn escape(letter: u8) -> Result<u8, FormatError> {
    Ok(match letter {
        b'\\' => b'\\',
        b'0' => 0,
        b'a' => 0x07,
        b'e' => 0x1B,
        b'n' => b'\n',
        b'r' => b'\r',
        b't' => b'\t',
        b'v' => 0x0B,
        _ => return Err(FormatError::Escape(char::from(letter))),
    })
}

fn write_field(
    letter: u8,
    space: Space,
    (message, now, is_pretty): (&Shown<'_>, &Zoned, bool),
    out: &mut Vec<u8>,
) -> Result<(), Unprintable> {
    let properties = message.properties;
    match letter {
        b'A' => space.number_or_blank(properties.topic_alias(), out),
        b'E' => space.number_or_blank(properties.message_expiry_interval(), out),
        b'F' => space.number_or_blank(properties.payload_format_indicator().map(u8::from), out),
        b'S' => space.number_or_blank(properties.subscription_identifier(), out),
        b'l' => space.number(message.payload.len() as u64, out),
        b'm' => space.number(message.packet_id.into(), out),
        b'q' => out.push(b'0' + message.qos),
        b'r' => out.push(b'0' + u8::from(message.retain)),
        b'C' => space.text(properties.content_type().unwrap_or(""), out),
        b'R' => properties.response_topic().into_iter().for_each(|topic| space.text(topic, out)),
        b't' => space.text(message.topic, out),
        b'I' => space.text(&now.strftime("%FT%T%z").to_string(), out),
        b'D' => out.extend_from_slice(properties.correlation_data().unwrap_or(&[])),
        b'P' => write_user_properties(properties, out),
        b'U' => write!(out, "{}.{}", now.timestamp().as_second(), nanoseconds(now)).unwrap_or(()),
        b'p' => space.payload(message.payload, out),
        b'x' => space.hex(message.payload, |digit| digit, out),
        b'X' => space.hex(message.payload, |digit| digit.to_ascii_uppercase(), out),
        b'f' | b'd' => return write_float(letter, space, message.payload, out),
        b'j' | b'J' => {
            let json = message_json(message, now, letter == b'J')?;
            let mut text = String::new();
            json.write(if is_pretty { Layout::Pretty } else { Layout::Compact }, &mut text);
            out.extend(text.into_bytes());
        }
        _ => {}
    }
    Ok(())
}

fn write_user_properties(properties: &Properties<'_>, out: &mut Vec<u8>) {
    let pairs: Vec<String> =
        properties.user_properties().map(|(name, value)| format!("{name}:{value}")).collect();
    out.extend(pairs.join(" ").into_bytes());
}

/// A payload that is a number of IEEE 754, in the order of bytes of this machine.
fn write_float(letter: u8, space: Space, payload: &[u8], out: &mut Vec<u8>) -> Result<(), Unprintable> {
    let wanted = if letter == b'f' { 4 } else { 8 };
    let value = match letter {
        b'f' => payload.try_into().ok().map(|bytes| f64::from(f32::from_ne_bytes(bytes))),
        _ => payload.try_into().ok().map(f64::from_ne_bytes),
    };
    let value = value.ok_or(Unprintable::NotANumber { wanted })?;
    space.digits(&format!("{value:.*}", space.precision.unwrap_or(6)), out);
    Ok(())
}

impl Space {
    fn number(self, value: u64, out: &mut Vec<u8>) {
        self.digits(&value.to_string(), out);
    }

    fn number_or_blank(self, value: Option<impl Into<u64>>, out: &mut Vec<u8>) {
        match value {
            Some(value) => self.number(value.into(), out),
            None => fill(if self.is_zero_padded { b'0' } else { b' ' }, self.width, out),
        }
    }

    /// A number in its room. Zeros stand behind the sign.
    fn digits(self, digits: &str, out: &mut Vec<u8>) {
        let padding = self.width.saturating_sub(digits.len());
        if self.is_left {
            out.extend_from_slice(digits.as_bytes());
            fill(b' ', padding, out);
        } else if self.is_zero_padded {
            let (sign, digits) = digits.split_at(usize::from(digits.starts_with('-')));
            out.extend_from_slice(sign.as_bytes());
            fill(b'0', padding, out);
            out.extend_from_slice(digits.as_bytes());
        } else {
            fill(b' ', padding, out);
            out.extend_from_slice(digits.as_bytes());
        }
    }

    /// A text in its room, cut at its precision. It is never padded with zeros.
    fn text(self, text: &str, out: &mut Vec<u8>) {
        let text = text.as_bytes();
        let text = &text[..self.precision.unwrap_or(text.len()).min(text.len())];
        let padding = self.width.saturating_sub(text.len());
        if !self.is_left {
            fill(b' ', padding, out);
        }
        out.extend_from_slice(text);
        if self.is_left {
            fill(b' ', padding, out);
        }
    }

    /// A payload in its room, cut at its width.
    fn payload(self, payload: &[u8], out: &mut Vec<u8>) {
        let shown = if self.width > 0 { &payload[..payload.len().min(self.width)] } else { payload };
        self.padded(shown.len(), |out| out.extend_from_slice(shown), out);
    }

    /// A payload as hexadecimal digits. With a width, half as many bytes are shown as fit into it.
    fn hex(self, payload: &[u8], case: impl Fn(u8) -> u8, out: &mut Vec<u8>) {
        let shown = if self.width > 0 { &payload[..payload.len().min(self.width) / 2] } else { payload };
        let digits = |out: &mut Vec<u8>| {
            let nibbles = shown.iter().flat_map(|byte| [byte >> 4, byte & 0x0F]);
            out.extend(nibbles.map(|nibble| case(b"0123456789abcdef"[usize::from(nibble)])));
        };
        self.padded(shown.len() * 2, digits, out);
    }

    fn padded(self, length: usize, write: impl Fn(&mut Vec<u8>), out: &mut Vec<u8>) {
        let padding = self.width.saturating_sub(length);
        if !self.is_left {
            fill(if self.is_zero_padded { b'0' } else { b' ' }, padding, out);
        }
        write(out);
        if self.is_left {
            fill(b' ', padding, out);
        }
    }
}

fn fill(byte: u8, count: usize, out: &mut Vec<u8>) {
    out.extend(std::iter::repeat_n(byte, count));
}

fn nanoseconds(now: &Zoned) -> String {
    format!("{:09}", now.timestamp().subsec_nanosecond())
}

/// A message as an object. Its payload is a text, or itself JSON.
fn message_json(message: &Shown<'_>, now: &Zoned, embeds: bool) -> Result<Json, Unprintable> {
    let stamp = now.strftime("%Y-%m-%dT%H:%M:%S.%6f%z").to_string();
    let mut members = vec![
        ("tst".to_owned(), Json::Text(stamp)),
        ("topic".to_owned(), Json::Text(message.topic.to_owned())),
        ("qos".to_owned(), Json::integer(message.qos)),
        ("retain".to_owned(), Json::Bool(message.retain)),
        ("payloadlen".to_owned(), Json::integer(message.payload.len() as u64)),
    ];
    if message.qos > 0 {
        members.push(("mid".to_owned(), Json::integer(message.packet_id)));
    }
    if !message.properties.is_empty() {
        members.push(("properties".to_owned(), properties_json(message.properties)));
    }
    let payload = match (message.payload, embeds) {
        ([], _) => Json::Null,
        (payload, false) => Json::Text(String::from_utf8_lossy(payload).into_owned()),
        (payload, true) => {
            Json::parse(payload).ok_or_else(|| Unprintable::NotJson { topic: message.topic.to_owned() })?
        }
    };
    members.push(("payload".to_owned(), payload));
    Ok(Json::Object(members))
}

/// The properties in their order. User properties are gathered where the first of them stands.
fn properties_json(properties: &Properties<'_>) -> Json {
    let mut members: Vec<(String, Json)> = Vec::new();
    let mut users_are_told = false;
    for property in properties.iter() {
        let value = match property {
            Property::PayloadFormatIndicator(is_text) => Json::integer(u8::from(is_text)),
            Property::MessageExpiryInterval(number) | Property::SubscriptionIdentifier(number) => {
                Json::integer(number)
            }
            Property::TopicAlias(number) => Json::integer(number),
            Property::ContentType(text) | Property::ResponseTopic(text) => Json::Text(text.to_owned()),
            Property::CorrelationData(data) => Json::Text(String::from_utf8_lossy(data).into_owned()),
            Property::UserProperty(..) if !users_are_told => {
                users_are_told = true;
                members.push(("user-properties".to_owned(), users_json(properties)));
                continue;
            }
            _ => continue,
        };
        members.push((property_name(property.id()), value));
    }
    Json::Object(members)
}

fn users_json(properties: &Properties<'_>) -> Json {
    let pair =
        |(name, value): (&str, &str)| Json::Object(vec![(name.to_owned(), Json::Text(value.to_owned()))]);
    Json::Array(properties.user_properties().map(pair).collect())
}

/// The name of a property in lower case with hyphens, as the tools write it.
pub(crate) fn property_name(id: PropertyId) -> String {
    id.name().to_ascii_lowercase().replace(' ', "-")
}

/// Every letter of a field.
const FIELDS: &[u8] = b"ACDEFIJPRSUXdfjlmpqrtx";
/// The widest field; a format that asks for more gets this.
const WIDTH_MAX: usize = 1 << 16;

#[cfg(test)]
mod tests {
    use super::*;

    fn properties() -> Properties<'static> {
        Properties::new()
            .with(Property::UserProperty("k", "v"))
            .with(Property::ContentType("text/plain"))
            .with(Property::CorrelationData(b"cd"))
            .with(Property::UserProperty("k", "w"))
            .with(Property::PayloadFormatIndicator(true))
            .with(Property::ResponseTopic("re/sp"))
            .with(Property::MessageExpiryInterval(599))
    }

    fn shown(format: &str, payload: &[u8], properties: &Properties<'_>) -> String {
        let now: Zoned = "2026-11-22T02:27:33.501053007+01:00[Europe/Berlin]".parse().expect("a moment");
        let message = Shown { topic: "r/b", payload, qos: 1, retain: true, packet_id: 7, properties };
        let mut out = Vec::new();
        let format = Format::parse(format.as_bytes()).expect("a format");
        format.write(&message, &now, false, &mut out).expect("printable");
        String::from_utf8(out).expect("UTF-8")
    }

    /// Each beside what mosquitto_sub 2.0.11 prints.
    #[test]
    fn fields_widths_and_precisions() {
        let cases = [
            (
                "A%5AC%20CD%DE%06EF%05FP%PR%20RS%05S",
                "A     C          text/plainDcdE000599F00001Pk:v k:wR               re/spS00000",
            ),
            ("%-20.3C|%-.2C|%.0C|", "tex                 |te||"),
            ("%3p|%10p|%-10p|%010p|", "hel|     hello|hello     |00000hello|"),
            (
                "%4x|%12x|%-14X|%014x|%5x|%x",
                "6865|        6865|6865          |00000000006865| 6865|68656c6c6f",
            ),
            ("%l %m %q %r %t %-5t| %05l %-5l| %5q", "5 7 1 1 r/b r/b  | 00005 5    | 1"),
            ("%I %U @N", "2026-11-22T02:27:33+0100 1795310853.501053007 501053007"),
            ("@Y @@ %% \\\\ \\t", "2026 @ % \\ \t"),
        ];
        for (format, text) in cases {
            assert_eq!(shown(format, b"hello", &properties()), text, "{format}");
        }
    }

    #[test]
    fn what_is_not_there_leaves_its_room() {
        assert_eq!(shown("[%A%5E%03F%S%4C%R%8R%D%P]", b"", &Properties::EMPTY), "[     000    ]");
    }

    #[test]
    fn json_has_booleans_and_a_plain_offset() {
        assert_eq!(
            shown("%j", b"a\"\0", &Properties::EMPTY),
            "{\"tst\":\"2026-11-22T02:27:33.501053+0100\",\"topic\":\"r/b\",\"qos\":1,\"retain\":true,\
             \"payloadlen\":3,\"mid\":7,\"payload\":\"a\\\"\\u0000\"}"
        );
        let text = shown("%J", b"{\"a\": 1.50}", &properties());
        let properties = "\"properties\":{\"user-properties\":[{\"k\":\"v\"},{\"k\":\"w\"}],\
             \"content-type\":\"text/plain\",\"correlation-data\":\"cd\",\"payload-format-indicator\":1,\
             \"response-topic\":\"re/sp\",\"message-expiry-interval\":599}";
        assert!(text.contains(properties), "{text}");
        assert!(text.ends_with(r#""payload":{"a":1.5}}"#), "{text}");
        assert!(shown("%J", b"", &Properties::EMPTY).ends_with("\"payload\":null}"));
    }

    #[test]
    fn binary_numbers() {
        assert_eq!(
            shown("%f|%8.2f|%-8.1f|%08.2f", &(-1.5_f32).to_ne_bytes(), &Properties::EMPTY),
            "-1.500000|   -1.50|-1.5    |-0001.50"
        );
        assert_eq!(shown("%.3d", &2.5_f64.to_ne_bytes(), &Properties::EMPTY), "2.500");
    }

    #[test]
    fn what_cannot_be_printed_is_told_and_the_rest_printed() {
        let message = Shown {
            topic: "t",
            payload: b"xx",
            qos: 0,
            retain: false,
            packet_id: 0,
            properties: &Properties::EMPTY,
        };
        let now = Zoned::default();
        for (format, wrong, rest) in [
            ("a%Jb", Unprintable::NotJson { topic: "t".into() }, "ab"),
            ("%f%l", Unprintable::NotANumber { wanted: 4 }, "2"),
            ("%d", Unprintable::NotANumber { wanted: 8 }, ""),
        ] {
            let mut out = Vec::new();
            let format = Format::parse(format.as_bytes()).expect("a format");
            assert_eq!(format.write(&message, &now, false, &mut out), Err(wrong));
            assert_eq!(out, rest.as_bytes());
        }
    }

    #[test]
    fn a_wrong_format_is_refused() {
        let cases = [
            ("%", FormatError::IncompleteField),
            ("%-05", FormatError::IncompleteField),
            ("%5.", FormatError::IncompleteField),
            ("@", FormatError::IncompleteField),
            ("\\", FormatError::IncompleteEscape),
            ("%y", FormatError::Field('y')),
            ("%0-5t", FormatError::Field('-')),
            ("\\q", FormatError::Escape('q')),
        ];
        for (format, error) in cases {
            assert_eq!(Format::parse(format.as_bytes()), Err(error), "{format}");
        }
    }
}
