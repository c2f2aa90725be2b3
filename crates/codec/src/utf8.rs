//! The one check of text: UTF-8, no U+0000, and no wildcards where a topic name is meant.
//!
//! `std` refuses surrogates and overlong forms [MQTT-1.5.4-1]. Everything else is text: U+10FFFF, the
//! non-characters, control characters and a byte-order mark, which stays where it is [MQTT-1.5.4-3].

use crate::DecodeError;

/// A UTF-8 string without U+0000 [MQTT-1.5.4-2].
pub(crate) fn text<'a>(bytes: &'a [u8], field: &'static str) -> Result<&'a str, DecodeError> {
    let text = std::str::from_utf8(bytes).map_err(|_| DecodeError::NotUtf8 { field })?;
    if scan(bytes).nul {
        return Err(DecodeError::NulCharacter { field });
    }
    Ok(text)
}

/// Text without `+` and `#` [MQTT-3.3.2-2]; it may be empty, which is the caller's to judge.
pub(crate) fn topic_name<'a>(bytes: &'a [u8], field: &'static str) -> Result<&'a str, DecodeError> {
    let text = std::str::from_utf8(bytes).map_err(|_| DecodeError::NotUtf8 { field })?;
    let found = scan(bytes);
    if found.nul {
        return Err(DecodeError::NulCharacter { field });
    }
    if found.wildcard {
        return Err(DecodeError::WildcardInTopicName { field });
    }
    Ok(text)
}

struct Found {
    nul: bool,
    wildcard: bool,
}

/// Looks for the three bytes that matter. In UTF-8 they never stand inside of another character.
///
/// There is no early exit, so that the compiler turns the loop into vector instructions.
fn scan(bytes: &[u8]) -> Found {
    let mut found = Found { nul: false, wildcard: false };
    for &byte in bytes {
        found.nul |= byte == 0;
        found.wildcard |= (byte == b'+') | (byte == b'#');
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ReasonCode;

    #[test]
    fn mqtt_1_5_4_1_text_is_well_formed_utf8() {
        let refused: [(&str, &[u8]); 14] = [
            ("a continuation byte alone", b"a\x80"),
            ("a two-byte character without its end", b"a\xC3"),
            ("a two-byte character with a wrong end", b"\xC3("),
            ("a three-byte character without its end", b"\xE2\x82"),
            ("a four-byte character without its end", b"\xF0\x9F\xA6"),
            ("the first surrogate U+D800", b"\xED\xA0\x80"),
            ("the last surrogate U+DFFF", b"\xED\xBF\xBF"),
            ("a pair of surrogates", b"\xED\xA0\x81\xED\xB0\x81"),
            ("U+0000 in two bytes", b"\xC0\x80"),
            ("a slash in two bytes", b"\xC0\xAF"),
            ("the euro sign in four bytes", b"\xF0\x82\x82\xAC"),
            ("U+110000, one after the last", b"\xF4\x90\x80\x80"),
            ("five bytes", b"\xF8\x88\x80\x80\x80"),
            ("a byte that is never used", b"\xFF"),
        ];
        for (what, bytes) in refused {
            let error = DecodeError::NotUtf8 { field: "it" };
            assert_eq!(text(bytes, "it"), Err(error), "{what}");
            assert_eq!(topic_name(bytes, "it"), Err(error), "{what}");
            assert_eq!(error.reason_code(), ReasonCode::MalformedPacket);
        }
    }

    #[test]
    fn every_other_character_is_text() {
        let accepted = [
            ("nothing", ""),
            ("control characters", "\u{1}\u{7F}\u{80}\u{9F}"),
            ("the last before the surrogates", "\u{D7FF}"),
            ("the first after the surrogates", "\u{E000}"),
            ("a non-character", "\u{FFFF}"),
            ("another non-character", "\u{FDD0}"),
            ("U+10FFFF", "\u{10FFFF}"),
            ("several scripts", "größe/温度/🦇"),
        ];
        for (what, accepted) in accepted {
            assert_eq!(text(accepted.as_bytes(), "it"), Ok(accepted), "{what}");
            assert_eq!(topic_name(accepted.as_bytes(), "it"), Ok(accepted), "{what}");
        }
    }

    #[test]
    fn mqtt_1_5_4_3_a_byte_order_mark_is_kept() {
        for with_mark in ["\u{FEFF}a", "a\u{FEFF}b", "\u{FEFF}"] {
            assert_eq!(text(with_mark.as_bytes(), "it"), Ok(with_mark));
        }
        assert_eq!(text(b"\xEF\xBB\xBF", "it"), Ok("\u{FEFF}"));
    }

    /// The scan works on whole vectors, so each place within several of them is tried.
    fn at_every_place(byte: u8, check: impl Fn(&[u8])) {
        for filler in [&b"x"[..], "é".as_bytes(), "🦇".as_bytes()] {
            for before in 0..40 {
                for after in [0, 1, 17] {
                    let mut bytes = filler.repeat(before);
                    bytes.push(byte);
                    bytes.extend(filler.repeat(after));
                    check(&bytes);
                }
            }
        }
    }

    #[test]
    fn mqtt_1_5_4_2_text_has_no_u0000_anywhere() {
        at_every_place(0, |bytes| {
            let error = DecodeError::NulCharacter { field: "it" };
            assert_eq!(text(bytes, "it"), Err(error), "{bytes:?}");
            assert_eq!(topic_name(bytes, "it"), Err(error), "{bytes:?}");
            assert_eq!(error.reason_code(), ReasonCode::MalformedPacket);
        });
    }

    #[test]
    fn mqtt_3_3_2_2_a_topic_name_has_no_wildcard_anywhere() {
        for wildcard in [b'+', b'#'] {
            at_every_place(wildcard, |bytes| {
                let error = DecodeError::WildcardInTopicName { field: "it" };
                assert_eq!(topic_name(bytes, "it"), Err(error), "{bytes:?}");
                assert_eq!(error.reason_code(), ReasonCode::TopicNameInvalid);
                assert!(text(bytes, "it").is_ok(), "a wildcard is text: {bytes:?}");
            });
        }
    }

    #[test]
    fn characters_beside_the_refused_ones_are_accepted() {
        for byte in (0x01..0x80_u8).filter(|byte| ![b'+', b'#'].contains(byte)) {
            at_every_place(byte, |bytes| assert!(topic_name(bytes, "it").is_ok(), "{bytes:?}"));
        }
    }
}
