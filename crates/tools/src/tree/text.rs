//! The tree without a terminal: as text, or as a JSON object for each topic.

use super::model::{Last, NodeId, Tree};
use crate::json::{Json, Layout};
use crate::preview::{self, ago, plain, preview};
use crate::progress::counted;
use base64ct::{Base64, Encoding as _};
use std::time::Duration;

/// The tree as text, a level a line.
pub(super) fn tree(tree: &Tree, now: Duration) -> String {
    let mut out = String::new();
    push_children(tree, tree.root(), "", now, &mut out);
    if tree.left_out() > 0 {
        out.push_str(&format!("({} on further topics)\n", counted(tree.left_out(), "message")));
    }
    out
}

/// A JSON object a line, for each topic that has had messages.
pub(super) fn json_lines(tree: &Tree, now: Duration) -> String {
    let mut out = String::new();
    for (id, _) in tree.walk(|_| true) {
        if let Some(last) = &tree.node(id).last {
            topic_json(tree.topic(id), last, now).write(Layout::Plain, &mut out);
            out.push('\n');
        }
    }
    out
}

fn push_children(tree: &Tree, parent: NodeId, margin: &str, now: Duration, out: &mut String) {
    let mut children = tree.children(parent).peekable();
    while let Some(id) = children.next() {
        let (branch, below) = match (tree.parent(id), children.peek()) {
            (None, _) => ("", ""),
            (_, None) => ("└─ ", "   "),
            _ => ("├─ ", "│  "),
        };
        out.push_str(&format!("{margin}{branch}{}\n", line(tree, id, now)));
        push_children(tree, id, &format!("{margin}{below}"), now, out);
    }
}

fn line(tree: &Tree, id: NodeId, now: Duration) -> String {
    let node = tree.node(id);
    let name = plain(&node.name, NAME_CHARACTERS_MAX);
    let Some(last) = &node.last else { return name };
    let value = preview(&last.value, VALUE_CHARACTERS_MAX);
    let value = if last.bytes == 0 { "(empty)".to_owned() } else { value };
    let retained = if last.is_retained { "retained, " } else { "" };
    let age = ago(now.saturating_sub(last.at).as_secs());
    format!("{name} = {value}  ({retained}{}, {age} ago)", counted(last.messages, "message"))
}

fn topic_json(topic: String, last: &Last, now: Duration) -> Json {
    let member = |name: &str, value| (name.to_owned(), value);
    let age = (now.saturating_sub(last.at).as_secs_f64() * 1000.0).round() / 1000.0;
    let payload = match preview::text(&last.value, last.value.len() < last.bytes) {
        Some(text) => member("payload", Json::Text(text.to_owned())),
        None => member("payload_base64", Json::Text(Base64::encode_string(&last.value))),
    };
    Json::Object(vec![
        member("topic", Json::Text(topic)),
        member("messages", Json::integer(last.messages)),
        member("qos", Json::integer(last.qos as u8)),
        member("retained", Json::Bool(last.is_retained)),
        member("age_seconds", Json::Number(age.to_string())),
        member("payload_bytes", Json::integer(last.bytes as u64)),
        payload,
    ])
}

/// How much of a level and of a value a line has.
const NAME_CHARACTERS_MAX: usize = 200;
const VALUE_CHARACTERS_MAX: usize = 80;

#[cfg(test)]
mod tests {
    use super::super::model::tests::tree as heard;
    use super::*;
    use crate::testing::message;

    #[test]
    fn a_tree_as_text() {
        let mut example = heard(&[
            ("line1/temp", "20"),
            ("line1/temp", "21.5"),
            ("line2", "on"),
            ("line1/raw/x", "\x1b\u{1}"),
        ]);
        example.hear(&message("line1/raw/y", b"", false), Duration::from_secs(4));
        example.hear(&message("line2", b"off", true), Duration::from_secs(5));
        let lines = [
            "line1",
            "├─ raw",
            "│  ├─ x = ··  (1 message, 2 s ago)",
            "│  └─ y = (empty)  (1 message, 1 s ago)",
            "└─ temp = 21.5  (2 messages, 4 s ago)",
            "line2 = off  (retained, 2 messages, 0 s ago)",
        ];
        assert_eq!(tree(&example, Duration::from_secs(5)), lines.join("\n") + "\n");
    }

    #[test]
    fn an_object_for_each_topic() {
        let mut example = heard(&[("a/b", "ü\n"), ("c", "1")]);
        example.hear(&message("d", b"\xFF\x00", false), Duration::from_millis(500));
        assert_eq!(
            json_lines(&example, Duration::from_millis(1_500)),
            concat!(
                r#"{"topic":"a/b","messages":1,"qos":0,"retained":false,"age_seconds":1.5,"#,
                r#""payload_bytes":3,"payload":"ü\n"}"#,
                "\n",
                r#"{"topic":"c","messages":1,"qos":0,"retained":false,"age_seconds":0.5,"#,
                r#""payload_bytes":1,"payload":"1"}"#,
                "\n",
                r#"{"topic":"d","messages":1,"qos":0,"retained":false,"age_seconds":1,"#,
                r#""payload_bytes":2,"payload_base64":"/wA="}"#,
                "\n"
            )
        );
    }
}
