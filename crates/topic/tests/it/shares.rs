//! Filters that begin with `$share`.

use noctule_topic::{FilterError, ParsedFilter, Subscription};
use proptest::prelude::*;

use crate::words;

fn error(text: &str) -> FilterError {
    Subscription::parse(text).expect_err(text)
}

#[test]
fn mqtt_4_8_2_1_a_share_has_a_name() {
    for text in ["$share/", "$share//", "$share//a"] {
        assert_eq!(error(text), FilterError::ShareNameEmpty, "{text}");
    }
}

#[test]
fn mqtt_4_8_2_2_the_name_has_no_wildcard_and_a_filter_follows() {
    for text in ["$share/+/a", "$share/#/a", "$share/a+/a", "$share/#", "$share/a#b/a"] {
        assert_eq!(error(text), FilterError::ShareNameWildcard, "{text}");
    }
    for text in ["$share/a", "$share/a/"] {
        assert_eq!(error(text), FilterError::ShareFilterMissing, "{text}");
    }
    assert_eq!(error("$share/a\0/b"), FilterError::Nul);
}

#[test]
fn the_filter_of_a_share_obeys_the_rules_of_filters() {
    assert_eq!(error("$share/g/a/#/b"), FilterError::HashBeforeEnd { depth: 1 });
    assert_eq!(error("$share/g/a+"), FilterError::WildcardInLevel { depth: 0 });
    assert_eq!(error("$share/g/a\0"), FilterError::Nul);
    let longest_filter = format!("$share/g/{}", "x".repeat(65_535 - 9));
    assert!(Subscription::parse(&longest_filter).is_ok());
    assert_eq!(error(&format!("{longest_filter}x")), FilterError::TooLong { bytes: 65_536 });
}

#[test]
fn shares_come_apart_into_name_and_filter() {
    let cases = [
        ("$share/g/a/b", "g", "a/b"),
        ("$share/g//", "g", "/"),
        ("$share/g/#", "g", "#"),
        ("$share/g w/+/x", "g w", "+/x"),
        ("$share/$share/$SYS/#", "$share", "$SYS/#"),
        ("$share/g//finance", "g", "/finance"),
    ];
    for (text, name, filter) in cases {
        let expected = ParsedFilter { share_name: Some(name.into()), filter: words::parsed(filter) };
        assert_eq!(Subscription::parse(text), Ok(expected), "{text}");
    }
}

#[test]
fn other_dollar_filters_are_ordinary() {
    for text in ["$sharefoo/a", "$shar", "$share", "$Share/g/a", "$SYS/#", "a/$share/g/b", "/$share/g/a"] {
        let expected = ParsedFilter { share_name: None, filter: words::parsed(text) };
        assert_eq!(Subscription::parse(text), Ok(expected), "{text}");
    }
}

#[test]
fn ordinary_filters_obey_their_rules() {
    assert_eq!(error(""), FilterError::Empty);
    assert_eq!(error("a/#/b"), FilterError::HashBeforeEnd { depth: 1 });
}

proptest! {
    #[test]
    fn any_name_and_filter_come_back(name in "[a-z$ ü]{1,5}", filter in words::filter()) {
        let parsed = Subscription::parse(&format!("$share/{name}/{filter}")).unwrap();
        prop_assert_eq!(parsed.share_name.as_deref(), Some(&*name));
        prop_assert_eq!(parsed.filter, filter);
    }
}
