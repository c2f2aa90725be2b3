//! The figures without a terminal: a table or a JSON object for each interval.

use super::model::{Count, Counts, Line, SortKey};
use crate::json::{Json, Layout};
use crate::preview::{ago, plain};
use jiff::Zoned;
use std::time::Duration;

/// The figures of one interval as a JSON object on a line.
pub(super) fn json_line(counts: &Counts, sort: SortKey, now: Duration, moment: &Zoned) -> String {
    let topics = counts.lines(sort).iter().map(|line| topic_json(line, now)).collect();
    let mut members = vec![member("time", Json::Text(moment.strftime("%FT%T%.3f%:z").to_string()))];
    members.extend(figures(counts.sum()));
    members.push(member("left_out", Json::integer(counts.left_out())));
    members.push(member("topics", Json::Array(topics)));
    let mut out = String::new();
    Json::Object(members).write(Layout::Plain, &mut out);
    out.push('\n');
    out
}

/// The same as a table, with a line for all together and a blank one behind it.
pub(super) fn table(counts: &Counts, sort: SortKey, now: Duration, moment: &Zoned) -> String {
    let row = |count: &Count| row(count, now, &COLUMNS);
    let mut out = format!("{:>9} {:>11} {:>9} {:>7}  TOPIC\n", "MSG/S", "BYTES/S", "TOTAL", "LAST");
    for line in counts.lines(sort) {
        out.push_str(&format!("{}  {}\n", row(&line.count), plain(&line.topic, TOPIC_CHARACTERS_MAX)));
    }
    out.push_str(&format!("{}  all, {}\n\n", row(counts.sum()), moment.strftime("%T")));
    out
}

/// The figures of a line, in these columns.
pub(super) fn row(count: &Count, now: Duration, columns: &[SortKey]) -> String {
    let cell = |column: &SortKey| in_column(*column, &figure(count, now, *column));
    columns.iter().map(cell).collect::<Vec<_>>().join(" ")
}

/// A text to the right of its column.
pub(super) fn in_column(column: SortKey, text: &str) -> String {
    format!("{text:>width$}", width = width(column))
}

/// How wide a column of figures is.
pub(super) fn width(column: SortKey) -> usize {
    match column {
        SortKey::Rate | SortKey::Total => 9,
        SortKey::Bytes => 11,
        SortKey::Last => 7,
        SortKey::Topic => 0,
    }
}

fn figure(count: &Count, now: Duration, column: SortKey) -> String {
    match column {
        SortKey::Rate => format!("{:.1}", count.message_rate),
        SortKey::Bytes => format!("{:.1}", count.byte_rate),
        SortKey::Total => count.messages.to_string(),
        SortKey::Last if count.messages == 0 => "-".to_owned(),
        SortKey::Last => ago(now.saturating_sub(count.last).as_secs()),
        SortKey::Topic => String::new(),
    }
}

fn topic_json(line: &Line, now: Duration) -> Json {
    let age = now.saturating_sub(line.count.last).as_secs_f64();
    let mut members = vec![member("topic", Json::Text(line.topic.to_string()))];
    members.extend(figures(&line.count));
    members.push(member("last_seen_seconds", number(age)));
    Json::Object(members)
}

fn figures(count: &Count) -> [(String, Json); 4] {
    [
        member("messages_per_second", number(count.message_rate)),
        member("bytes_per_second", number(count.byte_rate)),
        member("messages", Json::integer(count.messages)),
        member("bytes", Json::integer(count.bytes)),
    ]
}

fn member(name: &str, value: Json) -> (String, Json) {
    (name.to_owned(), value)
}

/// To the thousandth.
fn number(value: f64) -> Json {
    Json::Number(((value * 1000.0).round() / 1000.0).to_string())
}

/// The columns of figures, in their order.
pub(super) const COLUMNS: [SortKey; 4] = [SortKey::Rate, SortKey::Bytes, SortKey::Total, SortKey::Last];
/// Longer topics are cut.
const TOPIC_CHARACTERS_MAX: usize = 500;

#[cfg(test)]
mod tests {
    use super::super::model::tests::counted;
    use super::*;

    fn moment() -> Zoned {
        "2026-03-05T07:08:09.5+01:00[Europe/Berlin]".parse().expect("a moment")
    }

    #[test]
    fn an_object_for_each_interval() {
        let counts = counted(&[("a", 10, 3)]);
        assert_eq!(
            json_line(&counts, SortKey::Rate, Duration::from_secs(2), &moment()),
            concat!(
                r#"{"time":"2026-03-05T07:08:09.500+01:00","messages_per_second":1.5,"bytes_per_second":15,"#,
                r#""messages":3,"bytes":30,"left_out":0,"topics":[{"topic":"a","messages_per_second":1.5,"#,
                r#""bytes_per_second":15,"messages":3,"bytes":30,"last_seen_seconds":2}]}"#,
                "\n"
            )
        );
    }

    #[test]
    fn a_table_for_each_interval() {
        let counts = counted(&[("a", 10, 3), ("b/\u{1b}", 1, 1)]);
        let lines = [
            "    MSG/S     BYTES/S     TOTAL    LAST  TOPIC",
            "      1.5        15.0         3     2 s  a",
            "      0.5         0.5         1     1 s  b/·",
            "      2.0        15.5         4     1 s  all, 07:08:09",
            "",
            "",
        ];
        assert_eq!(table(&counts, SortKey::Rate, Duration::from_secs(2), &moment()), lines.join("\n"));
        let nothing = table(&counted(&[]), SortKey::Rate, Duration::from_secs(2), &moment());
        assert!(nothing.contains("      0.0         0.0         0       -  all"), "{nothing}");
    }
}
