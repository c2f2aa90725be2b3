//! Reads a file from front to back through a buffer.

use crate::disk::DiskFile;
use std::io;

/// What to do about bytes that the disk does not give.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unreadable {
    /// The error is told.
    Fails,
    /// They count as zeros, which are never a frame.
    IsZero,
}

/// A part of a file in memory, which moves on.
#[derive(Debug)]
pub(crate) struct Window<'a, F> {
    file: &'a F,
    file_bytes: u64,
    unreadable: Unreadable,
    base: u64,
    buffer: Vec<u8>,
    /// The disk works ahead up to there.
    asked: u64,
}

/// How much is read at once.
pub(crate) const WINDOW_BYTES: usize = 1 << 20;

/// How far the disk may work ahead.
const AHEAD_BYTES: u64 = 8 << 20;

/// The piece that is lost with an unreadable sector.
const PIECE_BYTES: usize = 4096;

impl<'a, F: DiskFile> Window<'a, F> {
    pub(crate) fn new(file: &'a F, unreadable: Unreadable) -> io::Result<Self> {
        Ok(Self { file, file_bytes: file.bytes()?, unreadable, base: 0, buffer: Vec::new(), asked: 0 })
    }

    /// The size of the file.
    pub(crate) fn file_bytes(&self) -> u64 {
        self.file_bytes
    }

    /// `bytes` bytes from `offset` on, or fewer at the end of the file.
    pub(crate) fn get(&mut self, offset: u64, bytes: usize) -> io::Result<&[u8]> {
        let end = self.base + self.buffer.len() as u64;
        if offset < self.base || offset + bytes as u64 > end {
            self.fill(offset, bytes.max(WINDOW_BYTES))?;
        }
        let from = (offset - self.base) as usize;
        let to = self.buffer.len().min(from + bytes);
        Ok(&self.buffer[from..to])
    }

    /// What is asked for next is read again: the file may have been written to.
    pub(crate) fn forget(&mut self) {
        self.buffer.clear();
    }

    fn fill(&mut self, offset: u64, bytes: usize) -> io::Result<()> {
        let there = self.file_bytes.saturating_sub(offset);
        self.ask_ahead(offset + bytes as u64);
        self.base = offset;
        self.buffer.resize((bytes as u64).min(there) as usize, 0);
        let read = match self.file.read_at(&mut self.buffer, offset) {
            Err(_) if self.unreadable == Unreadable::IsZero => self.fill_in_pieces(offset),
            outcome => outcome?,
        };
        self.buffer.truncate(read);
        Ok(())
    }

    /// Has the disk work ahead of this offset while what it gave before is looked at.
    fn ask_ahead(&mut self, offset: u64) {
        if offset + AHEAD_BYTES > self.asked {
            self.file.will_read(offset.max(self.asked), AHEAD_BYTES);
            self.asked = offset.max(self.asked) + AHEAD_BYTES;
        }
    }

    fn fill_in_pieces(&mut self, offset: u64) -> usize {
        let mut at = offset;
        for piece in self.buffer.chunks_mut(PIECE_BYTES) {
            if self.file.read_at(piece, at).is_err() {
                piece.fill(0);
            }
            at += piece.len() as u64;
        }
        self.buffer.len()
    }
}
