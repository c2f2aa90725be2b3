//! The bytes of an application message.

use std::fmt;
use std::ops::{Deref, Range};
use std::sync::Arc;

/// An application message. A short one has bytes of its own, whose room is used again; a long one shares those of the
/// packet it came in, so that it is copied for nobody.
#[derive(Clone)]
pub struct Payload(Bytes);

#[derive(Clone)]
enum Bytes {
    Own(Vec<u8>),
    Shared(Arc<Vec<u8>>, Range<usize>),
}

impl Payload {
    /// No bytes.
    pub const EMPTY: Self = Self(Bytes::Own(Vec::new()));

    /// Bytes from this place of a packet on, to its end.
    pub fn shared(packet: &Arc<Vec<u8>>, from: usize) -> Self {
        Self(Bytes::Shared(Arc::clone(packet), from.min(packet.len())..packet.len()))
    }

    /// How many bytes it has.
    #[inline(always)]
    pub fn len(&self) -> usize {
        match &self.0 {
            Bytes::Own(bytes) => bytes.len(),
            Bytes::Shared(_, range) => range.len(),
        }
    }

    /// Whether it has none.
    #[inline(always)]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Some of its bytes, which are not copied where they are shared.
    ///
    /// # Panics
    /// If it has no such bytes.
    pub fn slice(&self, range: Range<usize>) -> Self {
        match &self.0 {
            Bytes::Own(bytes) => bytes[range].into(),
            Bytes::Shared(packet, all) => {
                assert!(range.start <= range.end && range.end <= all.len(), "the bytes are there");
                let range = all.start + range.start..all.start + range.end;
                Self(Bytes::Shared(Arc::clone(packet), range))
            }
        }
    }

    /// Adds bytes at the end.
    #[inline(always)]
    pub fn extend_from_slice(&mut self, more: &[u8]) {
        match &mut self.0 {
            Bytes::Own(bytes) => bytes.extend_from_slice(more),
            Bytes::Shared(..) => self.extend_copy(more),
        }
    }

    #[cold]
    fn extend_copy(&mut self, more: &[u8]) {
        *self = [self, more].concat().into();
    }

    /// Has no bytes any more, but room for as many where they were its own.
    #[inline(always)]
    pub fn clear(&mut self) {
        match &mut self.0 {
            Bytes::Own(bytes) => bytes.clear(),
            Bytes::Shared(..) => *self = Self::EMPTY,
        }
    }

    /// Bytes of the room it keeps from others.
    #[inline]
    pub fn capacity(&self) -> usize {
        match &self.0 {
            Bytes::Own(bytes) => bytes.capacity(),
            Bytes::Shared(packet, _) => packet.capacity(),
        }
    }
}

impl Deref for Payload {
    type Target = [u8];

    #[inline(always)]
    fn deref(&self) -> &[u8] {
        match &self.0 {
            Bytes::Own(bytes) => bytes,
            Bytes::Shared(packet, range) => shared(packet, range),
        }
    }
}

/// Apart, because most payloads are not shared.
#[cold]
fn shared<'a>(packet: &'a [u8], range: &Range<usize>) -> &'a [u8] {
    &packet[range.clone()]
}

impl From<Vec<u8>> for Payload {
    fn from(bytes: Vec<u8>) -> Self {
        Self(Bytes::Own(bytes))
    }
}

impl From<&[u8]> for Payload {
    fn from(bytes: &[u8]) -> Self {
        bytes.to_vec().into()
    }
}

impl fmt::Debug for Payload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shared_payload_is_the_end_of_its_packet_and_copied_only_to_be_changed() {
        let packet = Arc::new(b"head and payload".to_vec());
        let mut payload = Payload::shared(&packet, 9);
        assert_eq!(*payload, *b"payload");
        assert_eq!(payload.as_ptr(), packet[9..].as_ptr());
        let slice = payload.slice(3..7);
        assert_eq!((&*slice, slice.as_ptr()), (&b"load"[..], packet[12..].as_ptr()));
        payload.extend_from_slice(b"s");
        assert_eq!(*payload, *b"payloads");
        assert_eq!(**packet, *b"head and payload");
        payload.clear();
        assert!(payload.is_empty() && payload.capacity() > 0, "its own room is kept");
        assert!(Payload::shared(&packet, 99).is_empty());
    }

    #[test]
    fn one_with_bytes_of_its_own_gives_them_as_a_copy() {
        let payload = Payload::from(&b"payload"[..]);
        assert_eq!(*payload.slice(0..3), *b"pay");
    }
}
