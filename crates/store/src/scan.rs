//! Reads the frames of one segment and finds the whole ones behind a broken one.

use crate::Position;
use crate::disk::DiskFile;
use crate::format::{
    BODY_BYTES_MAX, FRAME_HEADER_BYTES, FrameHeader, SEGMENT_HEADER_BYTES, Seed, SegmentHeader, find_frame,
    position_at,
};
use crate::window::{Unreadable, Window};
use std::io;

/// A segment file that is read from its first frame on.
#[derive(Debug)]
pub(crate) struct Scan<'a, F> {
    window: Window<'a, F>,
    start: Position,
    seed: Seed,
    file_bytes: u64,
}

/// A whole frame.
#[derive(Debug)]
pub(crate) struct Frame<'a> {
    pub(crate) position: Position,
    /// How far the journal was durable when it was written.
    pub(crate) durable: Position,
    pub(crate) body: &'a [u8],
    /// The offset behind it.
    pub(crate) end: u64,
}

/// What stands behind the last whole frame.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Rest {
    /// The offset of the first whole frame in it.
    pub(crate) first_whole: Option<u64>,
    /// How far its whole frames say that the journal was durable.
    pub(crate) durable: Position,
    /// The offset behind the last thing in it that looks like a frame of this segment.
    pub(crate) end: u64,
}

const ZEROS: [u8; SEARCH_BYTES] = [0; SEARCH_BYTES];
const SEARCH_BYTES: usize = 4096;
/// The bytes of a frame header behind those that are searched for; they may lie in the next piece.
const OVERLAP_BYTES: usize = 16;

impl<'a, F: DiskFile> Scan<'a, F> {
    pub(crate) fn new(file: &'a F, header: &SegmentHeader, unreadable: Unreadable) -> io::Result<Self> {
        let window = Window::new(file, unreadable)?;
        let file_bytes = window.file_bytes();
        Ok(Self { window, start: header.start, seed: header.seed(), file_bytes })
    }

    pub(crate) fn position_at(&self, offset: u64) -> Position {
        position_at(offset, self.start)
    }

    /// Whether there is a whole frame at `offset` by now.
    pub(crate) fn is_whole_now(&mut self, offset: u64) -> io::Result<bool> {
        self.window.forget();
        Ok(self.frame_at(offset)?.is_some())
    }

    /// The frame at `offset`, if there is a whole one.
    pub(crate) fn frame_at(&mut self, offset: u64) -> io::Result<Option<Frame<'_>>> {
        let position = self.position_at(offset);
        let Some(header) = self.header_at(offset)? else { return Ok(None) };
        let end = offset + header.frame_bytes();
        if header.position != position || end > self.file_bytes {
            return Ok(None);
        }
        let bytes = header.frame_bytes() as usize;
        let frame = self.window.get(offset, bytes)?;
        if frame.len() < bytes || !header.is_whole(frame, self.seed, position) {
            return Ok(None);
        }
        let body = &frame[FRAME_HEADER_BYTES as usize..];
        Ok(Some(Frame { position, durable: header.durable, body, end }))
    }

    /// The first whole frame that begins in `from..to`.
    pub(crate) fn next_whole(&mut self, from: u64, to: u64) -> io::Result<Option<u64>> {
        let mut at = from;
        while let Some(candidate) = self.next_candidate(at, to)? {
            if self.frame_at(candidate)?.is_some() {
                return Ok(Some(candidate));
            }
            at = candidate + 1;
        }
        Ok(None)
    }

    /// Everything from `from` on that looks like a frame of this segment.
    pub(crate) fn rest(&mut self, from: u64) -> io::Result<Rest> {
        let mut rest = Rest { first_whole: None, durable: Position::NOWHERE, end: from };
        let mut at = from;
        while let Some(candidate) = self.next_candidate(at, self.file_bytes)? {
            if let Some(frame) = self.frame_at(candidate)? {
                rest.first_whole.get_or_insert(candidate);
                rest.durable = rest.durable.max(frame.durable);
                rest.end = rest.end.max(frame.end);
                at = frame.end;
            } else {
                rest.end = rest.end.max(self.claimed_end(candidate)?);
                at = candidate + 1;
            }
        }
        Ok(rest)
    }

    /// Where what looks like a frame would end, if its length can be true.
    fn claimed_end(&mut self, offset: u64) -> io::Result<u64> {
        let file_bytes = self.file_bytes;
        let bytes = self.header_at(offset)?.map_or(FRAME_HEADER_BYTES, |header| header.frame_bytes());
        Ok(file_bytes.min(offset + if offset + bytes > file_bytes { FRAME_HEADER_BYTES } else { bytes }))
    }

    /// The header at `offset`, if there is one that could be true.
    fn header_at(&mut self, offset: u64) -> io::Result<Option<FrameHeader>> {
        let bytes = self.window.get(offset, FRAME_HEADER_BYTES as usize)?;
        if bytes.len() < FRAME_HEADER_BYTES as usize {
            return Ok(None);
        }
        let header = FrameHeader::decode(bytes);
        Ok((header.body_bytes as usize <= BODY_BYTES_MAX).then_some(header))
    }

    /// The next offset in `from..to` where a position stands that belongs there.
    fn next_candidate(&mut self, from: u64, to: u64) -> io::Result<Option<u64>> {
        let mut at = from.max(SEGMENT_HEADER_BYTES);
        while at < to.min(self.file_bytes) {
            let bytes = self.window.get(at, SEARCH_BYTES + OVERLAP_BYTES)?;
            let searched = to.min(at + SEARCH_BYTES as u64);
            // Most of an unused segment; a comparison of blocks costs nothing beside one of each eight bytes.
            let is_zero = bytes.len() >= SEARCH_BYTES && bytes[..SEARCH_BYTES] == ZEROS;
            let is_zero = is_zero && bytes[SEARCH_BYTES..].iter().all(|byte| *byte == 0);
            if !is_zero && let Some(found) = find_frame(bytes, at, at..searched, self.start) {
                return Ok(Some(found));
            }
            at = searched;
        }
        Ok(None)
    }
}
