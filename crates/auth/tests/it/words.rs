//! Topics, filters and clients over a small alphabet, so that random ones meet.

use noctule_auth::{Address, Groups, Identity, Origin};
use proptest::prelude::*;
use std::sync::LazyLock;

/// Levels of topics. No filter has a `z`, so it stands for every word that no filter knows.
pub(crate) const WORDS: [&str; 6] = ["", "a", "b", "u", "$s", "z"];

/// Every topic of one to four levels.
pub(crate) fn all_topics() -> &'static [String] {
    static ALL: LazyLock<Vec<String>> = LazyLock::new(all_joined);
    &ALL
}

fn all_joined() -> Vec<String> {
    let mut all: Vec<String> = Vec::new();
    let mut longest: Vec<String> = WORDS.iter().map(ToString::to_string).collect();
    for _ in 0..4 {
        all.extend_from_slice(&longest);
        longest = longest
            .iter()
            .flat_map(|begin| WORDS.iter().map(move |word| format!("{begin}/{word}")))
            .collect();
    }
    all.retain(|topic| !topic.is_empty());
    all
}

/// A filter of one to three levels, `#` included, made of these levels.
pub(crate) fn filter_of(levels: &'static [&'static str]) -> impl Strategy<Value = String> {
    let level = prop_oneof![3 => prop::sample::select(levels), 1 => Just("+")];
    (prop::collection::vec(level, 0..=3), any::<bool>())
        .prop_map(|(mut levels, ends_with_hash)| {
            levels.truncate(if ends_with_hash { 2 } else { 3 });
            if ends_with_hash {
                levels.push("#");
            }
            levels.join("/")
        })
        .prop_filter("a filter has a character", |filter| !filter.is_empty())
}

/// Clients with and without user, in a group, from here and there, and with names that fill no level.
pub(crate) fn clients() -> Vec<Identity> {
    let client = |client_id: &str, user_name: Option<&str>, groups: &[&str], address: &str| {
        let mut identity = Identity::new(client_id, user_name.map(Into::into));
        identity.groups = groups.iter().copied().collect();
        identity.origin = Origin { address: Address::parse(address), ..Origin::default() };
        identity
    };
    vec![
        client("a", None, &[], "127.0.0.1"),
        client("a", Some("u"), &["g"], "10.0.0.1"),
        client("b", Some("u"), &["g", "h"], "10.0.0.1"),
        client("b", Some("a"), &[], "11.0.0.1"),
        client("a/b", Some("+"), &["h"], "10.0.0.2"),
        client("$s", Some("$s"), &[], "[::1]:7"),
        client("#", Some(""), &["g"], "unix:x"),
    ]
}

/// The names of a file.
pub(crate) fn groups(names: &[&str]) -> Groups {
    names.iter().copied().collect()
}
