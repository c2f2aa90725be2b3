//! The head of an HTTP message, and what a listener asks of a request.

use super::{Origins, WebSocketError};

/// What a request has to ask for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WebSocketRules {
    /// The path, as in [`ListenUrl::websocket_path`](crate::ListenUrl::websocket_path); `/*` is every path.
    pub path: String,
    /// Pages of other hosts that may connect.
    pub origins: Origins,
}

/// The head of a message as far as it has come.
#[derive(Default)]
pub(super) struct Head(Vec<u8>);

impl Head {
    /// Adds received bytes. Once the head is complete, gives it out with the number of `bytes` that belong to it.
    pub(super) fn complete(&mut self, bytes: &[u8]) -> Result<Option<(Vec<u8>, usize)>, WebSocketError> {
        // What ends a head is an empty line; who sends single bytes pays for looking for it.
        let end = bytes.iter().enumerate().filter(|(_, byte)| **byte == b'\n').map(|(at, _)| at + 1);
        for end in end.clone() {
            if self.is_ended_by(&bytes[..end]) {
                let mut head = std::mem::take(&mut self.0);
                head.extend_from_slice(&bytes[..end]);
                return if head.len() <= HEAD_BYTES_MAX { Ok(Some((head, end))) } else { Err(too_long()) };
            }
        }
        if self.0.len() + bytes.len() > HEAD_BYTES_MAX {
            return Err(too_long());
        }
        self.0.extend_from_slice(bytes);
        Ok(None)
    }

    /// The same for a request, which begins with a word in capitals.
    pub(super) fn complete_request(
        &mut self,
        bytes: &[u8],
    ) -> Result<Option<(Vec<u8>, usize)>, WebSocketError> {
        match bytes.first() {
            Some(first) if self.0.is_empty() && !matches!(first, b'A'..=b'Z' | b'\r' | b'\n') => {
                Err(WebSocketError::NotHttp(spoken(*first)))
            }
            _ => self.complete(bytes),
        }
    }

    /// Whether `part`, which ends in a line feed, ends the head.
    fn is_ended_by(&self, part: &[u8]) -> bool {
        let mut backwards =
            part.iter().rev().chain(self.0.iter().rev()).skip(1).filter(|byte| **byte != b'\r');
        backwards.next() == Some(&b'\n')
    }
}

/// What begins with this byte instead of an HTTP request.
fn spoken(first: u8) -> &'static str {
    match first {
        0x10 => "MQTT without WebSocket",
        0x16 => "TLS",
        _ => "something else",
    }
}

fn too_long() -> WebSocketError {
    WebSocketError::Refused { status: 431, why: format!("the request is longer than {HEAD_BYTES_MAX} bytes") }
}

/// Cookies and tokens of a browser fit; what is kept before anybody is known is bounded.
const HEAD_BYTES_MAX: usize = 8 << 10;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_ends_with_an_empty_line_wherever_it_is_split() {
        for (message, end) in [("GET / HTTP/1.1\r\nHost: a\r\n\r\nrest", 27), ("GET /\nHost: a\n\nrest", 15)]
        {
            let message = message.as_bytes();
            for split in 0..message.len() {
                let mut head = Head::default();
                let first = head.complete(&message[..split]).unwrap();
                let (found, used) = match first {
                    Some(complete) => complete,
                    None => {
                        let (found, used) =
                            head.complete(&message[split..]).unwrap().expect("the end is there");
                        (found, used + split)
                    }
                };
                assert_eq!((found.as_slice(), used), (&message[..end], end), "split at {split}");
            }
        }
    }

    #[test]
    fn what_is_no_request_is_told_by_its_first_byte() {
        for (bytes, spoken) in [
            (&b"\x10\x0d\0\x04MQTT"[..], "MQTT without WebSocket"),
            (b"\x16\x03\x01", "TLS"),
            (b"\0", "something else"),
        ] {
            let error = Head::default().complete_request(bytes).unwrap_err();
            assert_eq!(error, WebSocketError::NotHttp(spoken));
        }
        let mut head = Head::default();
        for part in [&b""[..], b"\r\n", b"GET", b" /mqtt", b"\x10"] {
            assert!(head.complete_request(part).unwrap().is_none(), "{part:?}");
        }
    }

    #[test]
    fn a_head_has_8192_bytes_at_most() {
        let mut longest = vec![b'a'; HEAD_BYTES_MAX - 4];
        longest.extend_from_slice(b"\r\n\r\n");
        assert!(Head::default().complete(&longest).unwrap().is_some());
        longest.insert(0, b'a');
        assert!(Head::default().complete(&longest).is_err());
        let mut head = Head::default();
        assert!(head.complete(&[b'a'; HEAD_BYTES_MAX]).unwrap().is_none());
        assert!(head.complete(b"a").is_err());
    }
}
