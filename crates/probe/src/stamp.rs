//! What a payload carries so that the probe knows a message again.
//!
//! The first eight bytes say which message it is, the next eight when it was meant to be sent. A shorter payload
//! carries less, and less is measured: below 16 bytes no latency, below 8 bytes neither duplicates nor order, and
//! losses only by their number.

/// Identity and time of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stamp {
    /// Which flow, see `load`.
    pub(crate) flow: u32,
    /// Place in its flow, from 0.
    pub(crate) sequence: u64,
    /// When it was meant to be sent, in nanoseconds since the run began; none where the payload has no room.
    pub(crate) sent_at: Option<u64>,
}

impl Stamp {
    /// The head of the payload.
    pub(crate) fn bytes(flow: u32, sequence: u64, sent_at: u64) -> [u8; STAMP_BYTES] {
        let identity = u64::from(flow) << SEQUENCE_BITS | (sequence & SEQUENCE_MAX);
        let mut bytes = [0; STAMP_BYTES];
        bytes[..IDENTITY_BYTES].copy_from_slice(&identity.to_be_bytes());
        bytes[IDENTITY_BYTES..].copy_from_slice(&sent_at.to_be_bytes());
        bytes
    }

    /// Reads the head of a payload; none if there is no room for an identity.
    pub(crate) fn read(payload: &[u8]) -> Option<Self> {
        let (identity, rest) = payload.split_first_chunk()?;
        let identity = u64::from_be_bytes(*identity);
        let sent_at = rest.first_chunk().map(|time| u64::from_be_bytes(*time));
        Some(Self { flow: (identity >> SEQUENCE_BITS) as u32, sequence: identity & SEQUENCE_MAX, sent_at })
    }
}

/// A payload of this size says everything.
pub(crate) const STAMP_BYTES: usize = 16;
/// A payload of this size says which message it is.
pub(crate) const IDENTITY_BYTES: usize = 8;
/// Flows have numbers below this.
pub(crate) const FLOWS_MAX: u32 = 1 << (u64::BITS - SEQUENCE_BITS);

const SEQUENCE_BITS: u32 = 40;
const SEQUENCE_MAX: u64 = (1 << SEQUENCE_BITS) - 1;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stamp_is_read_back_as_far_as_there_is_room() {
        let bytes = Stamp::bytes(FLOWS_MAX - 1, SEQUENCE_MAX, u64::MAX);
        let whole = Stamp { flow: FLOWS_MAX - 1, sequence: SEQUENCE_MAX, sent_at: Some(u64::MAX) };
        assert_eq!(Stamp::read(&bytes), Some(whole));
        assert_eq!(Stamp::read(&[&bytes[..], b"filling"].concat()), Some(whole));
        for length in IDENTITY_BYTES..STAMP_BYTES {
            assert_eq!(Stamp::read(&bytes[..length]), Some(Stamp { sent_at: None, ..whole }));
        }
        for length in 0..IDENTITY_BYTES {
            assert_eq!(Stamp::read(&bytes[..length]), None);
        }
    }
}
