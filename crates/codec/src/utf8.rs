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
