//! Topics and filters over a small alphabet, so that random ones meet.

use noctule_topic::TopicFilter;
use proptest::prelude::*;

/// Words that are empty, equal, begin alike, sort around the separator or begin with `$`.
pub(crate) const WORDS: [&str; 6] = ["", "a", "b", "ab", "$s", "\u{1}"];

/// A topic name of one to five levels.
pub(crate) fn topic() -> impl Strategy<Value = String> {
    prop::collection::vec(prop::sample::select(&WORDS), 1..=5)
        .prop_map(|words| words.join("/"))
        .prop_filter("a topic has a character", |topic| !topic.is_empty())
}

/// A valid filter of one to five levels, most of them with wildcards.
pub(crate) fn filter() -> impl Strategy<Value = TopicFilter> {
    let level = prop_oneof![2 => prop::sample::select(&WORDS), 1 => Just("+")];
    (prop::collection::vec(level, 0..=4), any::<bool>())
        .prop_map(|(mut levels, ends_with_hash)| {
            if ends_with_hash {
                levels.push("#");
            }
            levels.join("/")
        })
        .prop_filter_map("a filter has a character", |text| TopicFilter::parse(&text).ok())
}

/// The filter `text`, which is valid.
pub(crate) fn parsed(text: &str) -> TopicFilter {
    TopicFilter::parse(text).unwrap()
}

/// Every sequence of one to `levels_max` words, joined.
pub(crate) fn all_joined(words: &[&str], levels_max: usize) -> Vec<String> {
    let mut all: Vec<String> = Vec::new();
    let mut longest: Vec<String> = words.iter().map(ToString::to_string).collect();
    for _ in 0..levels_max {
        all.extend_from_slice(&longest);
        longest = longest
            .iter()
            .flat_map(|begin| words.iter().map(move |word| format!("{begin}/{word}")))
            .collect();
    }
    all
}
