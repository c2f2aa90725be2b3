//! What is said about names that are no key: the nearest one that is.

use strsim::damerau_levenshtein;

use super::{KEYS, Key, LISTENER_KEYS};

/// The message for `name`, which is neither a key nor a section.
pub(super) fn unknown_key(name: &str) -> String {
    let name = name.escape_debug();
    match nearest_name(&name.to_string()) {
        Some(nearest) => format!("there is no key {name}; did you mean {nearest}?"),
        None => format!("there is no key {name}; `noctule config show` lists all of them"),
    }
}

/// The message for `name`, which is no key of a listener's table.
pub(super) fn unknown_listener_key(name: &str) -> String {
    let name = name.escape_debug().to_string();
    let keys = LISTENER_KEYS.iter().map(|key| (distance(&name, key.name), key.name));
    match nearest(&name, keys) {
        Some(nearest) => format!("there is no key {name}; did you mean {nearest}?"),
        None => format!("there is no key {name}; docs/configuration.md lists those of [[listener]]"),
    }
}

/// The message for an environment variable that must be a misspelt key. Names that only resemble one are left
/// alone, as they may have another purpose.
pub(super) fn misspelt_variable(name: &str) -> Option<String> {
    let (distance, nearest) = KEYS
        .iter()
        .map(Key::variable)
        .map(|variable| (damerau_levenshtein(name, &variable), variable))
        .min_by_key(|(distance, _)| *distance)?;
    (distance <= VARIABLE_DISTANCE_MAX).then(|| format!("there is no such setting; did you mean {nearest}?"))
}

/// Whether keys stand in the section `name`.
pub(super) fn is_section(name: &str) -> bool {
    sections().any(|section| section == name)
}

fn sections() -> impl Iterator<Item = &'static str> {
    KEYS.iter().map(Key::section).filter(|section| !section.is_empty())
}

/// The key or section whose name is most like `name`, unless nothing is.
fn nearest_name(name: &str) -> Option<&'static str> {
    let keys = KEYS.iter().map(|key| (distance(name, key.name), key.name));
    let sections = sections().chain(["listener"]);
    let sections = sections.map(|section| (damerau_levenshtein(name, section), section));
    nearest(name, keys.chain(sections))
}

fn nearest(name: &str, candidates: impl Iterator<Item = (usize, &'static str)>) -> Option<&'static str> {
    let (distance, nearest) = candidates.min_by_key(|(distance, _)| *distance)?;
    (distance <= name.chars().count() / 3).then_some(nearest)
}

/// Edits between `name` and the key. The right name in the wrong section, or the right words in another
/// order, are one edit away.
fn distance(name: &str, key: &str) -> usize {
    let last = |name: &str| name.rsplit('.').next().unwrap_or_default().to_owned();
    let (last, key_last) = (last(name), last(key));
    let moved = damerau_levenshtein(&last, &key_last);
    let reordered = damerau_levenshtein(&sorted_words(&last), &sorted_words(&key_last));
    damerau_levenshtein(name, key).min(1 + moved).min(1 + reordered)
}

fn sorted_words(name: &str) -> String {
    let mut words: Vec<&str> = name.split('_').collect();
    words.sort_unstable();
    words.join("_")
}

/// Edits between an environment variable and the setting it is taken for.
const VARIABLE_DISTANCE_MAX: usize = 2;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn typos_name_the_nearest_key() {
        for (name, nearest) in [
            ("limits.packet_byte_max", "limits.packet_bytes_max"),
            ("limits.max_packet_bytes", "limits.packet_bytes_max"),
            ("packet_bytes_max", "limits.packet_bytes_max"),
            ("mqtt.packet_bytes_max", "limits.packet_bytes_max"),
            ("limits.maximum_qos", "mqtt.maximum_qos"),
            ("limits.connect_timeout_ms", "limits.connect_timeout"),
            ("limits.keep_alive_seconds_max", "limits.keep_alive_max"),
            ("shard", "shards"),
            ("data-dir", "data_dir"),
            ("limit", "limits"),
            ("Listen", "listen"),
        ] {
            assert_eq!(nearest_name(name), Some(nearest), "{name}");
        }
    }

    #[test]
    fn what_resembles_nothing_gets_no_suggestion() {
        for name in ["", "foo", "persistence", "limits.colour", "allow_anonymous"] {
            assert_eq!(nearest_name(name), None, "{name}");
        }
        assert_eq!(
            unknown_key("foo\u{7}"),
            r"there is no key foo\u{7}; `noctule config show` lists all of them"
        );
    }

    #[test]
    fn only_near_variables_are_taken_for_typos() {
        assert_eq!(
            misspelt_variable("NOCTULE_DURABILTY").as_deref(),
            Some("there is no such setting; did you mean NOCTULE_DURABILITY?")
        );
        // What Kubernetes sets for a service named noctule.
        for name in ["NOCTULE_PORT", "NOCTULE_SERVICE_HOST", "NOCTULE_SERVICE_PORT", "NOCTULE_PORT_1883_TCP"]
        {
            assert_eq!(misspelt_variable(name), None, "{name}");
        }
    }
}
