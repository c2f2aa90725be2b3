//! What one filter covers of another: a table, and the definition over all topics of a small alphabet.

use noctule_topic::{covers, matches};
use proptest::prelude::*;

use crate::words;

/// All filters of up to three levels before an optional `#`, each with what it matches among all topics
/// of up to five levels, over words that are empty, named, begin with `$` or appear in no filter.
fn filters_with_matches() -> Vec<(String, Vec<bool>)> {
    let mut topics = words::all_joined(&["", "a", "$b", "z"], 5);
    topics.retain(|topic| !topic.is_empty());
    let mut filters = words::all_joined(&["", "a", "$b", "+"], 3);
    filters.extend(filters.clone().iter().map(|filter| format!("{filter}/#")));
    filters.push("#".to_owned());
    filters.retain(|filter| !filter.is_empty());
    filters
        .into_iter()
        .map(|filter| {
            let matched = topics.iter().map(|topic| matches(&filter, topic)).collect();
            (filter, matched)
        })
        .collect()
}

#[test]
fn a_filter_covers_another_exactly_if_it_matches_all_its_topics() {
    let filters = filters_with_matches();
    for (wide, wide_matches) in &filters {
        for (narrow, narrow_matches) in &filters {
            let expected = wide_matches.iter().zip(narrow_matches).all(|(wide, narrow)| *wide || !narrow);
            assert_eq!(covers(wide, narrow), expected, "{wide} covers {narrow}");
        }
    }
}

#[test]
fn coverage_by_example() {
    let cases = [
        ("#", "a/b", true),
        ("#", "+/+", true),
        ("#", "$SYS/x", false),
        ("$SYS/#", "$SYS/+", true),
        ("a/#", "a", true),
        ("a/+", "a/b", true),
        ("a/+", "a/#", false),
        ("a/b", "a/+", false),
        ("a/+/#", "a/#", false),
        // Every topic has a first level, so these say the same.
        ("+/#", "#", true),
        ("/+/#", "/#", true),
        ("+/+/#", "#", false),
    ];
    for (wide, narrow, expected) in cases {
        assert_eq!(covers(wide, narrow), expected, "{wide} covers {narrow}");
        assert_eq!(covers(words::parsed(wide), words::parsed(narrow)), expected);
    }
}

#[test]
fn coverage_of_deep_filters_ends() {
    let deep = "+/".repeat(30_000) + "#";
    assert!(covers(&deep, &deep));
    assert!(covers("#", &deep));
    assert!(!covers(&deep, "#"));
}

proptest! {
    #[test]
    fn what_the_narrow_filter_matches_the_wide_one_does_too(
        wide in words::filter(),
        narrow in words::filter(),
        topic in words::topic(),
    ) {
        if covers(&wide, &narrow) && narrow.matches(&topic) {
            prop_assert!(wide.matches(&topic));
        }
    }

    #[test]
    fn a_filter_covers_itself_and_what_its_own_cover_covers(
        first in words::filter(),
        second in words::filter(),
        third in words::filter(),
    ) {
        prop_assert!(covers(&first, &first));
        if covers(&first, &second) && covers(&second, &third) {
            prop_assert!(covers(&first, &third));
        }
    }

    /// A name is the narrowest filter there is: to cover it is to match it.
    #[test]
    fn covering_a_name_is_matching_it(filter in words::filter(), name in words::topic()) {
        prop_assert_eq!(covers(&filter, &name), filter.matches(&name));
    }
}
