//! JSON with the layout of mosquitto's tools: members in their order, repeated names kept, tabs where it is pretty.

use crate::numbers::json_number;
use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use std::fmt::{self, Write as _};

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
    /// A line for each member, indented by tabs.
    Pretty,
}

impl Json {
    /// Reads a text that is one JSON value.
    pub(crate) fn parse(text: &[u8]) -> Option<Self> {
        serde_json::from_slice(text).ok()
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
            Self::Text(text) => write_text(text, out),
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
        write_text(name, out);
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

fn write_text(text: &str, out: &mut String) {
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
            control if control < ' ' => {
                let _ = write!(out, "\\u{:04x}", u32::from(control));
            }
            other => out.push(other),
        }
    }
    out.push('"');
}

impl<'de> Deserialize<'de> for Json {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Reader)
    }
}

struct Reader;

impl<'de> Visitor<'de> for Reader {
    type Value = Json;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Json, E> {
        Ok(Json::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Json, E> {
        Ok(Json::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Json, E> {
        Ok(Json::Number(value.to_string()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Json, E> {
        Ok(Json::Number(value.to_string()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Json, E> {
        Ok(Json::Number(json_number(value)))
    }

    fn visit_str<E>(self, value: &str) -> Result<Json, E> {
        Ok(Json::Text(value.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Json, A::Error> {
        let mut array = Vec::new();
        while let Some(item) = items.next_element()? {
            array.push(item);
        }
        Ok(Json::Array(array))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Json, A::Error> {
        let mut object = Vec::new();
        while let Some(member) = members.next_entry()? {
            object.push(member);
        }
        Ok(Json::Object(object))
    }
}

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
        for text in ["", "{", "hello", "{} x", "\u{1}"] {
            assert_eq!(Json::parse(text.as_bytes()), None, "{text}");
        }
    }
}
