//! How much comes on each topic, interval by interval.
//!
//! Invariant: at most [`TOPICS_MAX`] topics of together [`TOPICS_BYTES_MAX`] bytes are kept; what comes on others
//! counts in the sums alone.

use noctule_client::machine::Delivery;
use std::cmp::Ordering;
use std::collections::HashMap;
use std::time::Duration;

/// What has been counted.
#[derive(Debug, Default)]
pub(super) struct Counts {
    topics: HashMap<Box<str>, Count>,
    /// Of the names of the topics.
    topic_bytes: usize,
    /// Everything together.
    sum: Count,
    interval_began: Duration,
    left_out: u64,
}

/// The figures of a topic, or of all together.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Count {
    pub(super) messages: u64,
    /// Of payloads.
    pub(super) bytes: u64,
    /// In the last interval that has ended, by the second.
    pub(super) message_rate: f64,
    pub(super) byte_rate: f64,
    /// When the last message came.
    pub(super) last: Duration,
    /// In the interval that goes on.
    messages_now: u64,
    bytes_now: u64,
}

/// A topic with its figures.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Line {
    pub(super) topic: Box<str>,
    pub(super) count: Count,
}

/// What lines are ordered by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum SortKey {
    /// Messages a second.
    #[default]
    Rate,
    /// Bytes a second.
    Bytes,
    /// Messages since the beginning.
    Total,
    /// The last message.
    Last,
    /// The topic.
    Topic,
}

impl SortKey {
    /// All of them with the names that flags use, the keys that choose them and the headings they order by.
    pub(crate) const ALL: [(Self, &'static str, char, &'static str); 5] = [
        (Self::Rate, "rate", 'm', "MSG/S"),
        (Self::Bytes, "bytes", 'b', "BYTES/S"),
        (Self::Total, "total", 't', "TOTAL"),
        (Self::Last, "last", 'l', "LAST"),
        (Self::Topic, "topic", 'n', "TOPIC"),
    ];

    /// The largest first, topics by the alphabet; topics decide between equals.
    pub(super) fn compare(self, a: &Line, b: &Line) -> Ordering {
        let (x, y) = (&a.count, &b.count);
        let order = match self {
            Self::Rate => y.message_rate.total_cmp(&x.message_rate),
            Self::Bytes => y.byte_rate.total_cmp(&x.byte_rate),
            Self::Total => y.messages.cmp(&x.messages),
            Self::Last => y.last.cmp(&x.last),
            Self::Topic => Ordering::Equal,
        };
        order.then_with(|| a.topic.cmp(&b.topic))
    }
}

impl Counts {
    pub(super) fn new() -> Self {
        Self::default()
    }

    /// Takes a message.
    pub(super) fn hear(&mut self, message: &Delivery, now: Duration) {
        let bytes = message.payload.len() as u64;
        self.sum.take(bytes, now);
        if let Some(count) = self.topics.get_mut(&message.topic) {
            return count.take(bytes, now);
        }
        let topic_bytes = self.topic_bytes + message.topic.len();
        if self.topics.len() >= TOPICS_MAX || topic_bytes > TOPICS_BYTES_MAX {
            self.left_out += 1;
            return;
        }
        self.topic_bytes = topic_bytes;
        self.topics.entry(message.topic.clone()).or_default().take(bytes, now);
    }

    /// Ends an interval: rates are those of the time since the last end.
    pub(super) fn end_interval(&mut self, now: Duration) {
        let seconds = now.saturating_sub(self.interval_began).as_secs_f64();
        self.interval_began = now;
        self.sum.end_interval(seconds);
        self.topics.values_mut().for_each(|count| count.end_interval(seconds));
    }

    /// All topics, in this order.
    pub(super) fn lines(&self, sort: SortKey) -> Vec<Line> {
        let mut lines: Vec<Line> =
            self.topics.iter().map(|(topic, count)| Line { topic: topic.clone(), count: *count }).collect();
        lines.sort_by(|a, b| sort.compare(a, b));
        lines
    }

    /// Everything together.
    pub(super) fn sum(&self) -> &Count {
        &self.sum
    }

    /// Messages on topics for which there was no room.
    pub(super) fn left_out(&self) -> u64 {
        self.left_out
    }
}

impl Count {
    fn take(&mut self, bytes: u64, now: Duration) {
        self.messages += 1;
        self.messages_now += 1;
        self.bytes += bytes;
        self.bytes_now += bytes;
        self.last = now;
    }

    fn end_interval(&mut self, seconds: f64) {
        let rate = |count: u64| if seconds > 0.0 { count as f64 / seconds } else { 0.0 };
        (self.message_rate, self.byte_rate) = (rate(self.messages_now), rate(self.bytes_now));
        (self.messages_now, self.bytes_now) = (0, 0);
    }
}

/// Topics that are kept.
const TOPICS_MAX: usize = 100_000;
/// Bytes that their names may have together.
const TOPICS_BYTES_MAX: usize = 32 << 20;

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::testing::message;

    /// Counts after two seconds with these topics, payload lengths and numbers of messages.
    pub(crate) fn counted(topics: &[(&str, usize, u64)]) -> Counts {
        let mut counts = Counts::new();
        for (place, (topic, bytes, messages)) in topics.iter().enumerate() {
            for _ in 0..*messages {
                counts.hear(
                    &message(topic, &vec![b'x'; *bytes], false),
                    Duration::from_millis(100 * place as u64),
                );
            }
        }
        counts.end_interval(Duration::from_secs(2));
        counts
    }

    #[test]
    fn rates_are_those_of_the_interval_and_totals_stay() {
        let mut counts = counted(&[("a", 10, 4), ("b", 100, 1)]);
        let line = counts.lines(SortKey::Rate)[0].clone();
        assert_eq!((&*line.topic, line.count.message_rate, line.count.byte_rate), ("a", 2.0, 20.0));
        assert_eq!((counts.sum().message_rate, counts.sum().byte_rate), (2.5, 70.0));
        counts.hear(&message("a", b"", false), Duration::from_secs(2));
        counts.end_interval(Duration::from_secs(6));
        let line = counts.lines(SortKey::Rate)[0].clone();
        assert_eq!((line.count.message_rate, line.count.messages, line.count.bytes), (0.25, 5, 40));
        counts.end_interval(Duration::from_secs(6));
        assert_eq!(counts.sum().message_rate, 0.0, "no time has passed");
    }

    #[test]
    fn each_key_orders() {
        let counts = counted(&[("c", 1, 5), ("b", 50, 1), ("a", 2, 2), ("d", 0, 5)]);
        let cases = [
            (SortKey::Rate, ["c", "d", "a", "b"]),
            (SortKey::Bytes, ["b", "c", "a", "d"]),
            (SortKey::Total, ["c", "d", "a", "b"]),
            (SortKey::Last, ["d", "a", "b", "c"]),
            (SortKey::Topic, ["a", "b", "c", "d"]),
        ];
        for (sort, wanted) in cases {
            let topics: Vec<String> =
                counts.lines(sort).into_iter().map(|line| line.topic.to_string()).collect();
            assert_eq!(topics, wanted, "{sort:?}");
        }
    }

    #[test]
    fn what_is_kept_has_a_bound() {
        let mut counts = Counts::new();
        for number in 0..=TOPICS_MAX {
            counts.hear(&message(&number.to_string(), b"x", false), Duration::ZERO);
        }
        assert_eq!((counts.topics.len(), counts.left_out()), (TOPICS_MAX, 1));
        assert_eq!(counts.sum().messages, TOPICS_MAX as u64 + 1);
        let mut counts = Counts::new();
        for number in 0..1000 {
            counts.hear(&message(&format!("{number:065535}"), b"x", false), Duration::ZERO);
        }
        assert_eq!((counts.topics.len(), counts.left_out()), (512, 488));
    }
}
