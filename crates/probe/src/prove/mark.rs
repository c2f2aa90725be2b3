//! What a payload carries so that a publication is known again, and a changed one is seen.
//!
//! Sixteen bytes say which publication it is; what follows is made from its sequence, so that a payload of one
//! publication cannot pass for another's, nor a torn one for a whole one.

/// Which publication it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Mark {
    /// Number of the publisher.
    pub(crate) publisher: u32,
    /// Number of the topic among the publisher's.
    pub(crate) topic: u32,
    /// Place in the order in which the publisher sent, from 0, over all its topics.
    pub(crate) sequence: u64,
}

impl Mark {
    /// The whole payload, 16 to 271 bytes.
    pub(crate) fn payload(self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(MARK_BYTES + FILLING_BYTES_MAX);
        bytes.extend_from_slice(&self.publisher.to_be_bytes());
        bytes.extend_from_slice(&self.topic.to_be_bytes());
        bytes.extend_from_slice(&self.sequence.to_be_bytes());
        bytes.extend(filling(self.sequence));
        bytes
    }

    /// Reads a payload; none if it is not exactly what [`payload`](Self::payload) makes.
    pub(crate) fn read(payload: &[u8]) -> Option<Self> {
        let (publisher, rest) = payload.split_first_chunk()?;
        let (topic, rest) = rest.split_first_chunk()?;
        let (sequence, rest) = rest.split_first_chunk()?;
        let sequence = u64::from_be_bytes(*sequence);
        let is_whole = filling(sequence).eq(rest.iter().copied());
        is_whole.then_some(Self {
            publisher: u32::from_be_bytes(*publisher),
            topic: u32::from_be_bytes(*topic),
            sequence,
        })
    }
}

fn filling(sequence: u64) -> impl Iterator<Item = u8> {
    let length = sequence.wrapping_mul(97) % FILLING_BYTES_MAX as u64;
    (0..length).map(move |at| sequence.wrapping_add(at) as u8)
}

const MARK_BYTES: usize = 16;
const FILLING_BYTES_MAX: usize = 256;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_is_read_back_and_nothing_else_is_taken_for_one() {
        for sequence in [0, 1, 2, 77, 1 << 40, u64::MAX] {
            let mark = Mark { publisher: 3, topic: 9, sequence };
            let payload = mark.payload();
            assert_eq!(Mark::read(&payload), Some(mark));
            assert_eq!(Mark::read(&[&payload[..], b"x"].concat()), None);
            assert!((0..payload.len()).all(|length| Mark::read(&payload[..length]).is_none()), "{sequence}");
        }
    }

    #[test]
    fn a_changed_filling_is_seen() {
        let mut payload = Mark { publisher: 0, topic: 0, sequence: 1 }.payload();
        *payload.last_mut().expect("97 bytes of filling") ^= 1;
        assert_eq!(Mark::read(&payload), None);
    }
}
