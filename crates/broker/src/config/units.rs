//! Sizes such as `8MiB` and durations such as `10s`: one number, one unit, no space needed.

use std::time::Duration;

/// Reads a size in bytes: `8MiB`, `256 MiB`, `1024`.
pub(super) fn parse_size(text: &str) -> Option<u64> {
    let (number, unit) = split(text)?;
    let bytes = if unit.is_empty() { 1 } else { factor(&SIZE_UNITS, unit)? };
    number.checked_mul(bytes)
}

/// Writes a size with the largest unit that keeps it whole.
pub(super) fn show_size(bytes: u64) -> String {
    show(&SIZE_UNITS, bytes)
}

/// Reads a duration: `500ms`, `10s`, `5 m`, `2h`, `7d`; without a unit in seconds.
pub(super) fn parse_duration(text: &str) -> Option<Duration> {
    let (number, unit) = split(text)?;
    let milliseconds = if unit.is_empty() { SECOND } else { factor(&DURATION_UNITS, unit)? };
    number.checked_mul(milliseconds).map(Duration::from_millis)
}

/// Writes a duration with the largest unit that keeps it whole. Durations are whole milliseconds here.
pub(super) fn show_duration(duration: Duration) -> String {
    match u64::try_from(duration.as_millis()) {
        Ok(0) => "0s".into(),
        Ok(milliseconds) => show(&DURATION_UNITS, milliseconds),
        Err(_) => format!("{}s", duration.as_secs()),
    }
}

/// The number at the start and the unit behind it.
fn split(text: &str) -> Option<(u64, &str)> {
    let text = text.trim();
    let end = text.bytes().position(|byte| !byte.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    Some((number.parse().ok()?, unit.trim_start()))
}

/// Units have no case: `8mib` can only mean one thing.
fn factor(units: &[(&str, u64)], unit: &str) -> Option<u64> {
    units.iter().find(|(name, _)| name.eq_ignore_ascii_case(unit)).map(|(_, factor)| *factor)
}

fn show(units: &[(&str, u64)], amount: u64) -> String {
    let whole = |factor: u64| amount != 0 && amount.is_multiple_of(factor);
    match units.iter().find(|(_, factor)| whole(*factor)) {
        Some((name, factor)) => format!("{}{name}", amount / factor),
        None => format!("{amount}{}", units.last().map_or("", |(name, _)| name)),
    }
}

/// Largest first. Decimal units are left out: whoever writes `8MB` mostly means `8MiB`, and is asked.
const SIZE_UNITS: [(&str, u64); 6] =
    [("PiB", 1 << 50), ("TiB", 1 << 40), ("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10), ("B", 1)];

const SECOND: u64 = 1000;

/// Largest first, in milliseconds.
const DURATION_UNITS: [(&str, u64); 5] =
    [("d", 86_400 * SECOND), ("h", 3_600 * SECOND), ("m", 60 * SECOND), ("s", SECOND), ("ms", 1)];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read() {
        for (text, bytes) in [
            ("0", 0),
            ("1024", 1024),
            ("10B", 10),
            ("8MiB", 8 << 20),
            ("256 MiB", 256 << 20),
            (" 1gib ", 1 << 30),
            ("3KiB", 3072),
            ("2TiB", 2 << 40),
            ("1PiB", 1 << 50),
        ] {
            assert_eq!(parse_size(text), Some(bytes), "{text}");
        }
    }

    #[test]
    fn what_is_no_size_is_refused() {
        for text in
            ["", " ", "MiB", "8MB", "8M", "8 Mi B", "-1", "+1", "1.5MiB", "8MiB!", "１MiB", "20000PiB"]
        {
            assert_eq!(parse_size(text), None, "{text}");
        }
        assert_eq!(parse_size("18446744073709551616"), None, "beyond 64 bits");
    }

    #[test]
    fn durations_are_read() {
        for (text, milliseconds) in [
            ("0", 0),
            ("10", 10_000),
            ("10s", 10_000),
            ("500ms", 500),
            ("5m", 300_000),
            ("5 M", 300_000),
            ("2h", 7_200_000),
            ("7d", 604_800_000),
        ] {
            assert_eq!(parse_duration(text), Some(Duration::from_millis(milliseconds)), "{text}");
        }
    }

    #[test]
    fn what_is_no_duration_is_refused() {
        for text in ["", "s", "1.5s", "-1s", "10 sec", "1h30m", "1w", "18446744073709551615s"] {
            assert_eq!(parse_duration(text), None, "{text}");
        }
    }

    #[test]
    fn what_is_shown_is_whole_and_read_back() {
        for (bytes, shown) in [
            (0, "0B"),
            (1, "1B"),
            (1023, "1023B"),
            (1536, "1536B"),
            (8 << 20, "8MiB"),
            (1025 << 10, "1025KiB"),
        ] {
            assert_eq!(show_size(bytes), shown);
            assert_eq!(parse_size(shown), Some(bytes));
        }
        for (milliseconds, shown) in
            [(0, "0s"), (1, "1ms"), (1500, "1500ms"), (10_000, "10s"), (90_000, "90s"), (86_400_000, "1d")]
        {
            let duration = Duration::from_millis(milliseconds);
            assert_eq!(show_duration(duration), shown);
            assert_eq!(parse_duration(shown), Some(duration));
        }
    }
}
