//! Payloads and names in one line of a screen.

/// A payload as text, if it is text; of one that is cut, within a character too, what is whole.
pub(crate) fn text(payload: &[u8], is_cut: bool) -> Option<&str> {
    match std::str::from_utf8(payload) {
        Ok(text) => Some(text),
        Err(error) if is_cut && error.error_len().is_none() => {
            std::str::from_utf8(&payload[..error.valid_up_to()]).ok()
        }
        Err(_) => None,
    }
}

/// The beginning of a payload as text without control characters, or in hexadecimal where it is no text.
pub(crate) fn preview(payload: &[u8], characters_max: usize) -> String {
    // A payload of which only the beginning is kept may end within a character.
    match text(payload, true).filter(|text| !text.is_empty() || payload.is_empty()) {
        Some(text) => plain(text, characters_max),
        None => {
            let digits = payload.iter().take(characters_max / 2).map(|byte| format!("{byte:02x}"));
            std::iter::once("0x".to_owned()).chain(digits).collect()
        }
    }
}

/// What a broker says, on one line.
pub(crate) fn line(text: &str) -> String {
    plain(text, usize::MAX)
}

/// Text without characters that do something to a terminal instead of standing on it.
pub(crate) fn plain(text: &str, characters_max: usize) -> String {
    let characters = text.chars().take(characters_max);
    characters.map(|character| if is_plain(character) { character } else { '·' }).collect()
}

/// Whether a character only stands there. Control characters move the cursor, or worse; others begin a line, or turn
/// the direction of all that follows.
pub(crate) fn is_plain(character: char) -> bool {
    let turns = matches!(
        character,
        '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}'
    );
    let begins_line = matches!(character, '\u{2028}' | '\u{2029}');
    !(character.is_control() || turns || begins_line)
}

/// How long ago something was, in the largest unit that says it.
pub(crate) fn ago(seconds: u64) -> String {
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3_600 => format!("{} min", seconds / 60),
        3_600..86_400 => format!("{} h", seconds / 3_600),
        _ => format!("{} d", seconds / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn payloads_stay_on_their_line() {
        let cases: [(&[u8], &str); 7] = [
            ("x\u{202e}fdp\u{2028}\u{9b}2J".as_bytes(), "x·fdp··2J"),
            (b"21.5", "21.5"),
            (b"", ""),
            (b"a\r\n\x1b[2Jb", "a···[2Jb"),
            (b"\xFF\x00\x01", "0xff0001"),
            (b"abcdefghijkl", "abcdefghij"),
            // A cut character.
            (b"gr\xC3", "gr"),
        ];
        for (payload, text) in cases {
            assert_eq!(preview(payload, 10), text, "{payload:?}");
        }
    }

    #[test]
    fn ages_have_one_unit() {
        for (seconds, text) in [(0, "0 s"), (59, "59 s"), (60, "1 min"), (7_199, "1 h"), (172_800, "2 d")] {
            assert_eq!(ago(seconds), text);
        }
    }
}
