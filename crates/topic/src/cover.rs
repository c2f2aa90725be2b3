//! Whether one filter matches everything another one matches.

use crate::filter::begins_with_wildcard;

/// Whether every topic that `narrow` matches is matched by `wide` too.
///
/// Both must be valid topic filters. A permission for `wide` then allows a subscription to `narrow`.
/// Filters that begin with a wildcard match no topic that begins with `$` [MQTT-4.7.2-1], so `#` does
/// not cover `$SYS/#`.
pub fn covers(wide: impl AsRef<str>, narrow: impl AsRef<str>) -> bool {
    let wide = wide.as_ref();
    let narrow = spelled_out(narrow.as_ref());
    if begins_with_wildcard(wide) && narrow.starts_with('$') {
        return false;
    }
    let mut narrow_levels = narrow.split('/');
    for wide_level in wide.split('/') {
        match (wide_level, narrow_levels.next()) {
            ("#", _) => return true,
            // `#` in `narrow` stands for any number of further levels, also none; only `#` has them all.
            (_, Some("#") | None) => return false,
            ("+", Some(_)) => {}
            (literal, Some(level)) if literal == level => {}
            _ => return false,
        }
    }
    narrow_levels.next().is_none()
}

/// `#` matches its parent level too, except where there is no such topic: every topic has a first level,
/// and the parent of `/#` would be the empty topic [MQTT-4.7.3-1]. There `#` means at least one level.
fn spelled_out(filter: &str) -> &str {
    match filter {
        "#" => "+/#",
        "/#" => "/+/#",
        _ => filter,
    }
}
