//! The date and time letters of `strftime` in the locale C, which scripts expect whatever the user's language.

use jiff::Zoned;

/// What `%` and this letter say of a moment. A letter that means nothing comes back with its percent sign.
pub(crate) fn format(letter: u8, moment: &Zoned) -> String {
    let pattern = match letter {
        b's' => return moment.timestamp().as_second().to_string(),
        b'%' => return "%".to_owned(),
        b'n' => return "\n".to_owned(),
        b't' => return "\t".to_owned(),
        b'c' => "%a %b %e %H:%M:%S %Y".to_owned(),
        b'x' | b'D' => "%m/%d/%y".to_owned(),
        b'X' | b'T' => "%H:%M:%S".to_owned(),
        b'r' => "%I:%M:%S %p".to_owned(),
        _ if LETTERS.contains(&letter) => format!("%{}", char::from(letter)),
        _ => return format!("%{}", char::from(letter)),
    };
    moment.strftime(&pattern).to_string()
}

/// Letters that the date library knows and that mean the same there.
const LETTERS: &[u8] = b"aAbBCdeFgGhHIjklmMpPRSuUVwWyYzZ";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_as_in_the_locale_c() {
        let moment: Zoned = "2026-03-05T07:08:09.5+01:00[Europe/Berlin]".parse().expect("a moment");
        let cases = [
            ('c', "Thu Mar  5 07:08:09 2026"),
            ('x', "03/05/26"),
            ('X', "07:08:09"),
            ('r', "07:08:09 AM"),
            ('p', "AM"),
            ('P', "am"),
            ('s', "1772690889"),
            ('z', "+0100"),
            ('Z', "CET"),
            ('F', "2026-03-05"),
            ('T', "07:08:09"),
            ('j', "064"),
            ('k', " 7"),
            ('C', "20"),
            ('%', "%"),
            ('q', "%q"),
            ('E', "%E"),
        ];
        for (letter, text) in cases {
            assert_eq!(format(letter as u8, &moment), text, "{letter}");
        }
    }
}
