//! The journal's bytes: segment headers and frames, as `docs/design/journal.md` lays them out.
//!
//! Nothing here reads or writes a file. All numbers are little endian. Within a segment the offset of a frame and
//! its position say the same: they differ by what the segment's header says.

use crate::Position;
use crc32c::{crc32c, crc32c_append};
use std::ops::Range;

/// Bytes of a segment before its first frame; one page, so that a header is rewritten without touching frames.
pub(crate) const SEGMENT_HEADER_BYTES: u64 = 4096;
/// Bytes of a frame before its body, which the journal takes for every frame on top of what the body has.
pub const FRAME_HEADER_BYTES: u64 = 24;
/// The version of what is written. Version 1, in which a session's record did not say where its client came from, is
/// read as well.
pub(crate) const FORMAT_VERSION: u32 = 3;
/// The oldest version that is read.
const FORMAT_VERSION_MIN: u32 = 1;

/// How many bytes the body of a frame may have, at most. Four times the largest packet of MQTT; a length above it
/// is a broken length.
pub const BODY_BYTES_MAX: usize = 1 << 30;

/// What tells this journal from every other.
pub(crate) type Identity = [u8; 16];

const MAGIC: [u8; 8] = *b"noctjrnl";

/// What a segment says of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SegmentHeader {
    pub(crate) identity: Identity,
    pub(crate) number: u64,
    pub(crate) start: Position,
}

/// Why 4,096 bytes are no header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum HeaderError {
    Magic,
    Checksum,
    Version(u32),
}

impl SegmentHeader {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut bytes = vec![0; SEGMENT_HEADER_BYTES as usize];
        bytes[..8].copy_from_slice(&MAGIC);
        bytes[8..12].copy_from_slice(&FORMAT_VERSION.to_le_bytes());
        bytes[16..32].copy_from_slice(&self.identity);
        bytes[32..40].copy_from_slice(&self.number.to_le_bytes());
        bytes[40..48].copy_from_slice(&self.start.get().to_le_bytes());
        let checksum = header_checksum(&bytes);
        bytes[12..16].copy_from_slice(&checksum.to_le_bytes());
        bytes
    }

    /// Reads a header. The checksum is asked before the version: it stands at the same place in every version, and
    /// a damaged version number must not send an operator looking for another release.
    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, HeaderError> {
        if bytes.len() < SEGMENT_HEADER_BYTES as usize || bytes[..8] != MAGIC {
            return Err(HeaderError::Magic);
        }
        if header_checksum(bytes) != u32_at(bytes, 12) {
            return Err(HeaderError::Checksum);
        }
        match u32_at(bytes, 8) {
            FORMAT_VERSION_MIN..=FORMAT_VERSION => Ok(Self::decode_unchecked(bytes)),
            other => Err(HeaderError::Version(other)),
        }
    }

    /// Whether the bytes of a header are of the version that is written.
    pub(crate) fn is_of_this_version(bytes: &[u8]) -> bool {
        bytes.get(8..12) == Some(&FORMAT_VERSION.to_le_bytes())
    }

    /// What the fields say, true or not.
    pub(crate) fn decode_unchecked(bytes: &[u8]) -> Self {
        let mut identity = Identity::default();
        identity.copy_from_slice(&bytes[16..32]);
        Self { identity, number: u64_at(bytes, 32), start: Position::new(u64_at(bytes, 40)) }
    }

    pub(crate) fn seed(&self) -> Seed {
        Seed(crc32c_append(crc32c(&self.identity), &self.number.to_le_bytes()))
    }
}

fn header_checksum(bytes: &[u8]) -> u32 {
    crc32c_append(crc32c(&bytes[..12]), &bytes[16..SEGMENT_HEADER_BYTES as usize])
}

/// Where the checksums of a segment's frames begin, so that a frame of another segment, of an earlier life of the
/// file or of another journal is not taken for one of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Seed(u32);

impl Seed {
    fn checksum(self, covered: &[u8]) -> u32 {
        crc32c_append(self.0, covered)
    }
}

/// The first 24 bytes of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FrameHeader {
    pub(crate) body_bytes: u32,
    checksum: u32,
    pub(crate) position: Position,
    pub(crate) durable: Position,
}

impl FrameHeader {
    /// Reads the header at the start of `bytes`, which has at least 24 of them.
    pub(crate) fn decode(bytes: &[u8]) -> Self {
        Self {
            body_bytes: u32_at(bytes, 0),
            checksum: u32_at(bytes, 4),
            position: Position::new(u64_at(bytes, 8)),
            durable: Position::new(u64_at(bytes, 16)),
        }
    }

    /// Bytes of the frame with its body.
    pub(crate) fn frame_bytes(&self) -> u64 {
        FRAME_HEADER_BYTES + u64::from(self.body_bytes)
    }

    /// Whether `frame`, all bytes of it, is what was written at `position` of the segment with this seed.
    pub(crate) fn is_whole(&self, frame: &[u8], seed: Seed, position: Position) -> bool {
        self.position == position && self.durable <= position && self.checksum == seed.checksum(&frame[8..])
    }
}

/// Appends a frame without checksum to a buffer; [`seal`] completes it.
pub(crate) fn push_frame(frames: &mut Vec<u8>, position: Position, body: &[u8]) {
    assert!(body.len() <= BODY_BYTES_MAX, "a frame's body has {} bytes, more than any packet", body.len());
    frames.extend_from_slice(&(body.len() as u32).to_le_bytes());
    frames.extend_from_slice(&[0; 4]);
    frames.extend_from_slice(&position.get().to_le_bytes());
    frames.extend_from_slice(&[0; 8]);
    frames.extend_from_slice(body);
}

/// How many bytes of frames, from `at` on, fit into `room` without cutting one, and the size of the next frame
/// that does not.
pub(crate) fn frames_that_fit(frames: &[u8], at: usize, room: u64) -> (usize, Option<u64>) {
    let mut end = at;
    while end < frames.len() {
        let bytes = FrameHeader::decode(&frames[end..]).frame_bytes();
        if (end - at) as u64 + bytes > room {
            return (end - at, Some(bytes));
        }
        end += bytes as usize;
    }
    (end - at, None)
}

/// Completes frames for the segment with this seed: how far the journal was durable, and the checksums.
pub(crate) fn seal(frames: &mut [u8], seed: Seed, durable: Position) {
    let mut rest = frames;
    while !rest.is_empty() {
        let bytes = FrameHeader::decode(rest).frame_bytes() as usize;
        let (frame, behind) = rest.split_at_mut(bytes);
        frame[16..24].copy_from_slice(&durable.get().to_le_bytes());
        let checksum = seed.checksum(&frame[8..]);
        frame[4..8].copy_from_slice(&checksum.to_le_bytes());
        rest = behind;
    }
}

/// The next offset in `within` where the eight bytes of a position say just what belongs there, as a frame header
/// of this segment would. `bytes` stand at `offset` of the segment that begins at `start`.
pub(crate) fn find_frame(bytes: &[u8], offset: u64, within: Range<u64>, start: Position) -> Option<u64> {
    (within.start..within.end).find(|at| {
        let field = (at - offset) as usize + 8;
        bytes.get(field..field + 8).is_some_and(|field| u64_at(field, 0) == position_at(*at, start).get())
    })
}

/// The position of a frame at this offset of a segment that begins at `start`.
pub(crate) fn position_at(offset: u64, start: Position) -> Position {
    Position::new(start.get() + (offset - SEGMENT_HEADER_BYTES))
}

/// The offset of a frame at this position in a segment that begins at `start`.
pub(crate) fn offset_of(position: Position, start: Position) -> u64 {
    SEGMENT_HEADER_BYTES + (position.get() - start.get())
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(*bytes[at..].first_chunk().expect("the caller has a whole header"))
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(*bytes[at..].first_chunk().expect("the caller has a whole header"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEADER: SegmentHeader =
        SegmentHeader { identity: *b"0123456789abcdef", number: 7, start: Position::new(0x1234) };

    /// CRC-32C bit by bit, as its definition says.
    fn crc_by_definition(parts: &[&[u8]]) -> u32 {
        let mut crc = u32::MAX;
        for byte in parts.iter().copied().flatten() {
            crc ^= u32::from(*byte);
            for _ in 0..8 {
                crc = if crc & 1 == 1 { (crc >> 1) ^ 0x82f6_3b78 } else { crc >> 1 };
            }
        }
        !crc
    }

    #[test]
    fn a_header_has_the_bytes_of_the_page() {
        let bytes = HEADER.encode();
        assert_eq!(bytes.len(), 4096);
        assert_eq!(bytes[..12], *b"noctjrnl\x03\0\0\0");
        let checksum = crc_by_definition(&[&bytes[..12], &bytes[16..]]);
        assert_eq!(bytes[12..16], checksum.to_le_bytes());
        assert_eq!(bytes[16..48], *b"0123456789abcdef\x07\0\0\0\0\0\0\0\x34\x12\0\0\0\0\0\0");
        assert!(bytes[48..].iter().all(|byte| *byte == 0));
        assert_eq!(SegmentHeader::decode(&bytes), Ok(HEADER));
        assert_eq!(SegmentHeader::decode(&bytes[..4095]), Err(HeaderError::Magic));
    }

    #[test]
    fn earlier_versions_are_read_as_well() {
        let mut bytes = HEADER.encode();
        let ours = [1, 2, 3].map(|version| (version, Ok(HEADER)));
        let others = [0, 4].map(|version| (version, Err(HeaderError::Version(version.into()))));
        for (version, expected) in ours.into_iter().chain(others) {
            bytes[8] = version;
            let checksum = header_checksum(&bytes);
            bytes[12..16].copy_from_slice(&checksum.to_le_bytes());
            assert_eq!(SegmentHeader::decode(&bytes), expected);
        }
    }

    #[test]
    fn a_frame_has_the_bytes_of_the_page() {
        let mut frame = Vec::new();
        push_frame(&mut frame, Position::new(0x1234), b"body");
        seal(&mut frame, HEADER.seed(), Position::new(0x1200));
        assert_eq!(frame[..4], [4, 0, 0, 0]);
        assert_eq!(frame[8..], *b"\x34\x12\0\0\0\0\0\0\0\x12\0\0\0\0\0\0body");
        // Seeding with a checksum is going on behind what it covers.
        let number = 7_u64.to_le_bytes();
        let checksum = crc_by_definition(&[b"0123456789abcdef", &number, &frame[8..]]);
        assert_eq!(frame[4..8], checksum.to_le_bytes());
        let header = FrameHeader::decode(&frame);
        assert!(header.is_whole(&frame, HEADER.seed(), Position::new(0x1234)));
        assert!(!header.is_whole(&frame, HEADER.seed(), Position::new(0x1235)));
        let other = SegmentHeader { number: 8, ..HEADER }.seed();
        assert!(!header.is_whole(&frame, other, Position::new(0x1234)));
    }

    #[test]
    fn frames_are_not_cut_to_fit() {
        let mut frames = Vec::new();
        for body in [&b"one"[..], b"three", b""] {
            push_frame(&mut frames, Position::FIRST, body);
        }
        let cases = [(0, (0, Some(27))), (26, (0, Some(27))), (27, (27, Some(29)))];
        for (room, fits) in cases {
            assert_eq!(frames_that_fit(&frames, 0, room), fits, "{room}");
        }
        assert_eq!(frames_that_fit(&frames, 27, 53), (53, None));
        assert_eq!(frames_that_fit(&frames, 80, 0), (0, None));
    }
}
