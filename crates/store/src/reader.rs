//! Reads single frames back by their position, beside the committer.
//!
//! A file may be freed and used again while it is read. That is noticed by the checksum, whose seed is the
//! segment's own, and the table is asked again before anything is called damaged. Only what comes back twice from
//! the same place and is not whole is damaged: a bit may flip on its way from the disk.

use crate::appender::Appender;
use crate::disk::{Disk, DiskFile};
use crate::format::{FRAME_HEADER_BYTES, FrameHeader};
use crate::table::{Place, Segment, Table};
use crate::{Position, ReadError};
use std::io;
use std::sync::Arc;

/// Reads frames by position. Clones are cheap; each may be used by a thread of its own.
#[derive(Debug)]
pub struct Reader<D: Disk> {
    pub(crate) appender: Arc<Appender>,
    pub(crate) table: Arc<Table<D::File>>,
    pub(crate) disk: Arc<D>,
}

/// What is read at first; most frames are smaller, so one call is enough for them.
const FIRST_READ_BYTES: usize = 4096;

impl<D: Disk> Reader<D> {
    /// Reads the body of the frame at `position` into `body`, which is emptied first.
    ///
    /// # Errors
    ///
    /// [`ReadError::NotWritten`] if it is not on the disk (any more: after a failed sync frames move), so that
    /// asking again later helps; [`ReadError::Released`] if its segment has been freed; [`ReadError::Damaged`]
    /// also for a position at which no frame begins.
    pub fn read(&self, position: Position, body: &mut Vec<u8>) -> Result<(), ReadError> {
        let mut segment = self.find(position)?;
        let mut is_second = false;
        loop {
            if read_frame(&segment, position, body)
                .map_err(|source| self.failed(&segment, position, source))?
            {
                return Ok(());
            }
            let again = self.find(position)?;
            let is_same = Arc::ptr_eq(&again, &segment);
            if is_same && is_second {
                return Err(self.not_whole(&segment, position));
            }
            (segment, is_second) = (again, is_same);
        }
    }

    fn find(&self, position: Position) -> Result<Arc<Segment<D::File>>, ReadError> {
        if position >= self.appender.written() {
            return Err(ReadError::NotWritten);
        }
        match self.table.find(position) {
            Place::In(segment) => Ok(segment),
            Place::Released => Err(ReadError::Released),
            Place::Nowhere => Err(ReadError::NotWritten),
        }
    }

    /// What lies above the durable position may have to be written again; only below it something is damaged.
    fn not_whole(&self, segment: &Segment<D::File>, position: Position) -> ReadError {
        if position >= self.appender.durable() {
            return ReadError::NotWritten;
        }
        ReadError::Damaged { file: self.disk.path(&segment.name), offset: segment.offset_of(position) }
    }

    fn failed(&self, segment: &Segment<D::File>, position: Position, source: io::Error) -> ReadError {
        let offset = segment.offset_of(position);
        ReadError::Io { file: self.disk.path(&segment.name), offset, source }
    }
}

impl<D: Disk> Clone for Reader<D> {
    fn clone(&self) -> Self {
        Self { appender: self.appender.clone(), table: self.table.clone(), disk: self.disk.clone() }
    }
}

/// Leaves the body of the frame in `body` if there is a whole frame at `position`.
fn read_frame<F: DiskFile>(segment: &Segment<F>, position: Position, body: &mut Vec<u8>) -> io::Result<bool> {
    let offset = segment.offset_of(position);
    let room = segment.bytes.saturating_sub(offset);
    if room < FRAME_HEADER_BYTES {
        return Ok(false);
    }
    body.clear();
    body.resize(FIRST_READ_BYTES.min(room as usize), 0);
    let first = segment.file.read_at(body, offset)?;
    if first < FRAME_HEADER_BYTES as usize {
        return Ok(false);
    }
    let header = FrameHeader::decode(body);
    if header.position != position || header.frame_bytes() > room {
        return Ok(false);
    }
    let bytes = header.frame_bytes() as usize;
    body.resize(bytes, 0);
    if bytes > first && segment.file.read_at(&mut body[first..], offset + first as u64)? < bytes - first {
        return Ok(false);
    }
    if !header.is_whole(body, segment.seed, position) {
        return Ok(false);
    }
    body.drain(..FRAME_HEADER_BYTES as usize);
    Ok(true)
}
