//! Which filters and names are valid, and which filter matches which name.

use noctule_topic::{FilterError, NameError, TopicFilter, TopicName, matches};
use proptest::prelude::*;

use crate::words;

fn parse_error(text: &str) -> FilterError {
    TopicFilter::parse(text).expect_err(text)
}

#[test]
fn mqtt_4_7_1_1_hash_stands_alone_at_the_end() {
    for filter in ["#", "/#", "a/#", "a//#", "+/#", "$SYS/#"] {
        assert_eq!(TopicFilter::parse(filter).unwrap().as_str(), filter);
    }
    for (filter, depth) in [("#/a", 0), ("a/#/b", 1), ("#/#", 0), ("a/#/", 1)] {
        assert_eq!(parse_error(filter), FilterError::HashBeforeEnd { depth }, "{filter}");
    }
    for (filter, depth) in [("a#", 0), ("#a", 0), ("a/b#", 1), ("##", 0), ("a/+#", 1)] {
        assert_eq!(parse_error(filter), FilterError::WildcardInLevel { depth }, "{filter}");
    }
}

#[test]
fn mqtt_4_7_1_2_plus_fills_a_whole_level() {
    for filter in ["+", "+/a", "a/+", "a/+/b", "+/+/+", "/+", "+/"] {
        assert_eq!(TopicFilter::parse(filter).unwrap().as_str(), filter);
    }
    for (filter, depth) in [("a+", 0), ("+a", 0), ("a/b+/c", 1), ("++", 0), ("a/b/+c", 2)] {
        assert_eq!(parse_error(filter), FilterError::WildcardInLevel { depth }, "{filter}");
    }
}

/// The same two rules, as MQTT 3.1.1 numbers them.
#[test]
fn mqtt311_4_7_1_2_and_4_7_1_3_wildcards_fill_whole_levels() {
    assert_eq!(parse_error("sport/tennis#"), FilterError::WildcardInLevel { depth: 1 });
    assert_eq!(parse_error("sport/tennis/#/ranking"), FilterError::HashBeforeEnd { depth: 2 });
    assert_eq!(parse_error("sport+"), FilterError::WildcardInLevel { depth: 0 });
}

#[test]
fn mqtt_4_7_0_1_and_3_3_2_2_names_have_no_wildcards() {
    for name in ["+", "#", "a/+", "a/#", "a+b", "a#"] {
        assert_eq!(TopicName::check(name), Err(NameError::Wildcard), "{name}");
    }
}

#[test]
fn mqtt_4_7_3_1_names_and_filters_have_a_character() {
    assert_eq!(parse_error(""), FilterError::Empty);
    assert_eq!(TopicName::check(""), Err(NameError::Empty));
    assert!(TopicFilter::parse("/").is_ok());
    assert!(TopicName::check("/").is_ok());
    assert!(TopicName::check(" ").is_ok());
}

#[test]
fn mqtt_4_7_3_2_names_and_filters_have_no_nul() {
    for text in ["\0", "a\0", "a/\0/b"] {
        assert_eq!(parse_error(text), FilterError::Nul);
        assert_eq!(TopicName::check(text), Err(NameError::Nul));
    }
}

#[test]
fn mqtt_4_7_3_3_names_and_filters_fit_in_a_packet() {
    let longest = "x".repeat(65_535);
    assert!(TopicFilter::parse(&longest).is_ok());
    assert!(TopicName::check(&longest).is_ok());

    let too_long = "ü".repeat(32_768);
    assert_eq!(parse_error(&too_long), FilterError::TooLong { bytes: 65_536 });
    assert_eq!(TopicName::check(&too_long), Err(NameError::TooLong { bytes: 65_536 }));
}

#[test]
fn mqtt_4_7_3_4_matching_neither_normalises_nor_substitutes() {
    // The letter with its accent as one character and as two.
    assert!(!matches("caf\u{e9}", "cafe\u{301}"));
    assert!(!matches("a", "A"));
    assert!(!matches("a/b", "a//b"));
    assert!(!matches("a", "a/"));
    assert!(!matches("a b", "a  b"));
    assert!(matches("caf\u{e9}/+", "caf\u{e9}/ "));
}

#[test]
fn mqtt_4_7_2_1_leading_wildcards_do_not_match_dollar_topics() {
    for filter in ["#", "+", "+/monitor/Clients", "+/#"] {
        assert!(!matches(filter, "$SYS/monitor/Clients"), "{filter}");
        assert!(!matches(filter, "$SYS"), "{filter}");
    }
    assert!(matches("$SYS/#", "$SYS/monitor/Clients"));
    assert!(matches("$SYS/#", "$SYS"));
    assert!(matches("$SYS/monitor/+", "$SYS/monitor/Clients"));
    assert!(matches("a/+", "a/$b"));
    assert!(matches("a/#", "a/$b"));
}

/// The examples of the standard's section on topic wildcards, and their neighbours.
#[test]
fn filters_match_what_the_standard_says() {
    let cases = [
        ("sport/tennis/player1/#", "sport/tennis/player1", true),
        ("sport/tennis/player1/#", "sport/tennis/player1/ranking", true),
        ("sport/tennis/player1/#", "sport/tennis/player1/score/wimbledon", true),
        ("sport/tennis/player1/#", "sport/tennis/player10", false),
        ("sport/#", "sport", true),
        ("sport/#", "sports", false),
        ("sport/tennis/+", "sport/tennis/player1", true),
        ("sport/tennis/+", "sport/tennis/player1/ranking", false),
        ("sport/tennis/+", "sport/tennis", false),
        ("sport/+", "sport", false),
        ("sport/+", "sport/", true),
        ("+/+", "/finance", true),
        ("/+", "/finance", true),
        ("+", "/finance", false),
        ("#", "/finance", true),
        ("#", "/", true),
        ("+/#", "a", true),
        ("a/+/#", "a", false),
        ("a/+/#", "a/", true),
        ("+/b/#", "a/b", true),
        ("a", "a", true),
        ("a", "a/b", false),
        ("a/b", "a", false),
    ];
    for (filter, topic, expected) in cases {
        assert_eq!(matches(filter, topic), expected, "{filter} {topic}");
        assert_eq!(TopicFilter::parse(filter).unwrap().matches(topic), expected, "{filter} {topic}");
    }
}

#[test]
fn levels_are_counted_and_bounded() {
    let filter = words::parsed("a//+/#");
    assert_eq!(filter.levels().collect::<Vec<_>>(), ["a", "", "+", "#"]);
    assert_eq!(filter.check_levels(4), Ok(()));
    assert_eq!(filter.check_levels(3), Err(FilterError::TooManyLevels { levels: 4, max: 3 }));
}

#[test]
fn filters_know_whether_they_have_wildcards() {
    for (filter, expected) in [("a/b", false), ("$SYS/x", false), ("a/+/b", true), ("#", true)] {
        assert_eq!(words::parsed(filter).has_wildcards(), expected, "{filter}");
    }
}

#[test]
fn filters_print_as_they_were_written() {
    assert_eq!(words::parsed("a/+/ü#".trim_end_matches('#')).to_string(), "a/+/ü");
}

#[test]
fn errors_say_what_to_look_at() {
    let filters = [
        ("", "the topic filter is empty"),
        ("a\0", "the topic filter contains the character U+0000"),
        ("a/#/b", "`#` stands in level 1 of the topic filter and is not the last one"),
        ("a/b+", "a wildcard does not stand alone in level 1 of the topic filter"),
    ];
    for (filter, message) in filters {
        assert_eq!(parse_error(filter).to_string(), message);
    }
    let names = [
        ("", "the topic name is empty"),
        ("a/+", "the topic name contains a wildcard"),
        ("a\0", "the topic name contains the character U+0000"),
    ];
    for (name, message) in names {
        assert_eq!(TopicName::check(name).unwrap_err().to_string(), message);
    }
    let too_long = NameError::TooLong { bytes: 70_000 };
    assert_eq!(too_long.to_string(), "the topic name has 70000 bytes, at most 65535 fit in a packet");
    let too_deep = FilterError::TooManyLevels { levels: 9, max: 8 };
    assert_eq!(too_deep.to_string(), "the topic filter has 9 levels, at most 8 are allowed here");
}

proptest! {
    /// Said once more in another way: by the levels, with positions.
    #[test]
    fn any_text_is_a_filter_exactly_by_the_rules(text in "[ab+#/\0]{0,6}") {
        let levels: Vec<&str> = text.split('/').collect();
        let is_valid = !text.is_empty()
            && !text.contains('\0')
            && levels.iter().all(|level| level.len() == 1 || !level.contains(['+', '#']))
            && levels.iter().rev().skip(1).all(|level| !level.contains('#'));
        prop_assert_eq!(TopicFilter::parse(&text).is_ok(), is_valid);
    }

    /// Every name is a filter that matches just itself.
    #[test]
    fn a_name_is_a_filter_that_matches_itself(name in words::topic(), other in words::topic()) {
        prop_assert!(TopicName::check(&name).is_ok());
        let filter = TopicFilter::parse(&name).unwrap();
        prop_assert!(filter.matches(&name));
        prop_assert_eq!(filter.matches(&other), name == other);
    }
}
