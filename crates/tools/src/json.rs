//! JSON with the layout of mosquitto's tools: members in their order, repeated names kept, tabs where it is pretty.

use crate::numbers::json_number;
use crate::preview::is_plain;
use std::fmt::Write as _;

/// A JSON value that keeps what a map would lose: the order of members, and names that come twice.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Json {
    Null,
    Bool(bool),
    /// A number as it is written.
    Number(String),
    Text(String),
    Array(Vec<Json>),
    Object(Vec<(String, Json)>),
}

/// How values are laid out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Layout {
    /// On one line, without blanks.
    Compact,
    /// The same, for a terminal too: what would do something to it is escaped.
    Plain,
    /// A line for each member, indented by tabs.
    Pretty,
}

impl Json {
    /// Reads a text that is one JSON value.
    pub(crate) fn parse(text: &[u8]) -> Option<Self> {
        let text = String::from_utf8_lossy(text);
        let mut reader = Reader { rest: text.strip_prefix(BYTE_ORDER_MARK).unwrap_or(&text) };
        let value = reader.value(0)?;
        reader.skip_blanks();
        reader.rest.is_empty().then_some(value)
    }

    pub(crate) fn integer(value: impl Into<u64>) -> Self {
        Self::Number(value.into().to_string())
    }

    /// Appends the value.
    pub(crate) fn write(&self, layout: Layout, out: &mut String) {
        self.write_at(0, layout, out);
    }

    fn write_at(&self, depth: usize, layout: Layout, out: &mut String) {
        match self {
            Self::Null => out.push_str("null"),
            Self::Bool(value) => out.push_str(if *value { "true" } else { "false" }),
            Self::Number(digits) => out.push_str(digits),
            Self::Text(text) => write_text(text, layout, out),
            Self::Array(items) => {
                out.push('[');
                for (place, item) in items.iter().enumerate() {
                    if place > 0 {
                        out.push_str(if layout == Layout::Pretty { ", " } else { "," });
                    }
                    item.write_at(depth + 1, layout, out);
                }
                out.push(']');
            }
            Self::Object(members) => write_object(members, depth, layout, out),
        }
    }
}

fn write_object(members: &[(String, Json)], depth: usize, layout: Layout, out: &mut String) {
    let is_pretty = layout == Layout::Pretty;
    out.push_str(if is_pretty { "{\n" } else { "{" });
    for (place, (name, value)) in members.iter().enumerate() {
        if is_pretty {
            indent(depth + 1, out);
        }
        write_text(name, layout, out);
        out.push_str(if is_pretty { ":\t" } else { ":" });
        value.write_at(depth + 1, layout, out);
        if place + 1 < members.len() {
            out.push(',');
        }
        if is_pretty {
            out.push('\n');
        }
    }
    if is_pretty {
        indent(depth, out);
    }
    out.push('}');
}

fn indent(depth: usize, out: &mut String) {
    out.extend(std::iter::repeat_n('\t', depth));
}

fn write_text(text: &str, layout: Layout, out: &mut String) {
    out.push('"');
    for character in text.chars() {
        match character {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            // Writing to a string does not fail.
            other if other < ' ' || layout == Layout::Plain && !is_plain(other) => {
                let _ = write!(out, "\\u{:04x}", u32::from(other));
            }
            other => out.push(other),
        }
    }
    out.push('"');
}

/// What is left of a text that is read as mosquitto's tools read it: strictly, but that control characters may stand
/// where the standard wants blanks or escapes, and zeros in front of a number.
struct Reader<'a> {
    rest: &'a str,
}

impl Reader<'_> {
    fn value(&mut self, depth: usize) -> Option<Json> {
        self.skip_blanks();
        if depth > DEPTH_MAX {
            return None;
        }
        match self.rest.as_bytes().first()? {
            b'"' => self.text().map(Json::Text),
            b'[' => self.array(depth),
            b'{' => self.object(depth),
            b'-' | b'0'..=b'9' => self.number(),
            _ => [("null", Json::Null), ("true", Json::Bool(true)), ("false", Json::Bool(false))]
                .into_iter()
                .find_map(|(name, value)| self.take(name).map(|()| value)),
        }
    }

    fn array(&mut self, depth: usize) -> Option<Json> {
        let mut items = Vec::new();
        self.list(("[", "]"), |reader| {
            items.push(reader.value(depth + 1)?);
            Some(())
        })?;
        Some(Json::Array(items))
    }

    fn object(&mut self, depth: usize) -> Option<Json> {
        let mut members = Vec::new();
        self.list(("{", "}"), |reader| {
            let name = reader.text()?;
            reader.skip_blanks();
            reader.take(":")?;
            members.push((name, reader.value(depth + 1)?));
            Some(())
        })?;
        Some(Json::Object(members))
    }

    /// What stands between brackets, separated by commas.
    fn list(
        &mut self,
        (begin, end): (&str, &str),
        mut item: impl FnMut(&mut Self) -> Option<()>,
    ) -> Option<()> {
        self.take(begin)?;
        self.skip_blanks();
        if self.take(end).is_some() {
            return Some(());
        }
        loop {
            self.skip_blanks();
            item(self)?;
            self.skip_blanks();
            if self.take(end).is_some() {
                return Some(());
            }
            self.take(",")?;
        }
    }

    /// An integer keeps all its digits.
    fn number(&mut self) -> Option<Json> {
        let (number, rest) = self.rest.split_at(number_length(self.rest.as_bytes()));
        self.rest = rest;
        let digits = number.strip_prefix('-').unwrap_or(number);
        let is_plain = digits == "0" || !digits.starts_with('0');
        let is_integer = digits.bytes().all(|byte| byte.is_ascii_digit());
        let value: f64 = number.parse().ok()?;
        Some(Json::Number(if is_plain && is_integer { number.to_owned() } else { json_number(value) }))
    }

    fn text(&mut self) -> Option<String> {
        self.take("\"")?;
        let mut text = String::new();
        loop {
            let (plain, rest) = self.rest.split_at(self.rest.find(['"', '\\'])?);
            text.push_str(plain);
            self.rest = &rest[1..];
            if rest.starts_with('"') {
                return Some(text);
            }
            text.push(self.escaped()?);
        }
    }

    fn escaped(&mut self) -> Option<char> {
        let letter = self.rest.chars().next()?;
        self.rest = &self.rest[letter.len_utf8()..];
        match letter {
            '"' | '\\' | '/' => Some(letter),
            'b' => Some('\u{8}'),
            'f' => Some('\u{c}'),
            'n' => Some('\n'),
            'r' => Some('\r'),
            't' => Some('\t'),
            'u' => self.unicode(),
            _ => None,
        }
    }

    /// A character by its number, or by the two of a surrogate pair.
    fn unicode(&mut self) -> Option<char> {
        let first = self.hexadecimal()?;
        if !(0xD800..0xDC00).contains(&first) {
            return char::from_u32(first);
        }
        self.take("\\u")?;
        let second = self.hexadecimal()?.checked_sub(0xDC00).filter(|second| *second < 0x400)?;
        char::from_u32(0x1_0000 + ((first - 0xD800) << 10) + second)
    }

    fn hexadecimal(&mut self) -> Option<u32> {
        let digits =
            self.rest.get(..4).filter(|digits| digits.bytes().all(|byte| byte.is_ascii_hexdigit()))?;
        self.rest = &self.rest[4..];
        u32::from_str_radix(digits, 16).ok()
    }

    fn take(&mut self, wanted: &str) -> Option<()> {
        self.rest = self.rest.strip_prefix(wanted)?;
        Some(())
    }

    fn skip_blanks(&mut self) {
        self.rest = self.rest.trim_start_matches(|character| ('\u{1}'..=' ').contains(&character));
    }
}

/// How many bytes of a text are a number.
fn number_length(text: &[u8]) -> usize {
    let digits = |from: usize| from + text[from..].iter().take_while(|byte| byte.is_ascii_digit()).count();
    let is = |place: usize, bytes: &[u8]| text.get(place).is_some_and(|byte| bytes.contains(byte));
    let mut end = digits(usize::from(is(0, b"-")));
    if is(end, b".") {
        end = digits(end + 1);
    }
    if is(end, b"eE") {
        let exponent = end + 1 + usize::from(is(end + 1, b"+-"));
        if digits(exponent) > exponent {
            end = digits(exponent);
        }
    }
    end
}

/// Some write it in front of a text.
const BYTE_ORDER_MARK: char = '\u{feff}';
/// Values within values; mosquitto's tools read no more either.
const DEPTH_MAX: usize = 1000;

#[cfg(test)]
mod tests {
    use super::*;

    fn again(text: &str, layout: Layout) -> String {
        let mut out = String::new();
        Json::parse(text.as_bytes()).expect("JSON").write(layout, &mut out);
        out
    }

    #[test]
    fn order_and_repeated_names_are_kept() {
        let text = r#"{"b":1,"a":[true,null,-2],"b":{"c":"x"}}"#;
        assert_eq!(again(text, Layout::Compact), text);
    }

    #[test]
    fn numbers_and_texts_are_written_anew() {
        assert_eq!(
            again(r#" [1.50, 1e3, 18446744073709551615, "\u00fc\/\u0001\n"] "#, Layout::Compact),
            "[1.5,1000,18446744073709551615,\"ü/\\u0001\\n\"]"
        );
        for (text, anew) in [
            ("123456789012345678901234567890", "123456789012345678901234567890"),
            ("-0", "-0"),
            ("0", "0"),
            ("1e400", "null"),
            ("0.1e+1", "1"),
            (r#""\ud83d\ude00""#, "\"\u{1f600}\""),
        ] {
            assert_eq!(again(text, Layout::Compact), anew);
        }
    }

    #[test]
    fn nothing_happens_to_a_terminal() {
        let text = "\"a\u{9b}2J\u{7f}\u{202e}\u{2028}ü\u{1f600}\"";
        assert_eq!(again(text, Layout::Plain), "\"a\\u009b2J\\u007f\\u202e\\u2028ü\u{1f600}\"");
        assert_eq!(again(text, Layout::Compact), text);
    }

    /// What mosquitto's tools take, too: devices send it.
    #[test]
    fn some_things_may_be_amiss() {
        for (text, anew) in [
            ("\u{feff} {}", "{}"),
            ("\u{1}[ 007 , 1. , -.5 ]\n", "[7,1,-0.5]"),
            ("\"a\tb\nc\"", "\"a\\tb\\nc\""),
        ] {
            assert_eq!(again(text, Layout::Compact), anew);
        }
        let nested = |depth| "[".repeat(depth) + &"]".repeat(depth);
        assert!(
            Json::parse(nested(1000).as_bytes()).is_some() && Json::parse(nested(1002).as_bytes()).is_none()
        );
    }

    #[test]
    fn pretty_is_one_member_a_line_and_arrays_on_one() {
        let text = again(r#"{"a":1,"b":{"c":[1,{"d":2}]},"e":{}}"#, Layout::Pretty);
        assert_eq!(
            text,
            "{\n\t\"a\":\t1,\n\t\"b\":\t{\n\t\t\"c\":\t[1, {\n\t\t\t\t\"d\":\t2\n\t\t\t}]\n\t},\n\t\"e\":\t{\n\t}\n}"
        );
    }

    #[test]
    fn what_is_no_json_is_refused() {
        let texts = [
            "", "{", "hello", "{} x", "\u{1}", "{}\0", "[1,]", "[1 2]", "{\"a\"}", "{1:2}", "nullx", "-",
            "+1", ".5",
        ];
        let strings = [
            "\"a",
            r#""\x""#,
            r#""\u12""#,
            r#""\ud83d""#,
            r#""\ud83d\u0041""#,
            r#""\ude00""#,
            "1e",
            "1.5e+",
            "0x1",
        ];
        for text in texts.into_iter().chain(strings) {
            assert_eq!(Json::parse(text.as_bytes()), None, "{text}");
        }
    }
}
