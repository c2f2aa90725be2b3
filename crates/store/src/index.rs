//! What a start has to know of a segment, in a file of its own: its frames without what stays in the journal.
//!
//! The store does not know what a body says, so whoever uses it makes it [brief](Brief). An index is of a segment
//! that is never written to again, and says whose it is, from where to where, and its own checksum. It is never
//! synced and never repaired: one that is missing, torn or of something else is as good as none, and the segment is
//! read instead.

use crate::disk::{Disk, DiskFile};
use crate::format::{FORMAT_VERSION, SEGMENT_HEADER_BYTES, SegmentHeader};
use crate::names::Name;
use crate::scan::Scan;
use crate::table::{Segment, Table};
use crate::trouble::Trouble;
use crate::window::Unreadable;
use crate::{CommitError, Position};
use crc32c::crc32c;
use std::sync::Arc;

/// Appends to the buffer what a start needs of the body of a frame: something that the one who reads the journal
/// takes for that body. `None` if the body is not what was written.
pub type Brief<'a> = dyn FnMut(&[u8], &mut Vec<u8>) -> Option<()> + 'a;

/// A segment that is to have an index. It may be given to another thread.
#[derive(Debug)]
pub struct Indexing<D: Disk> {
    disk: Arc<D>,
    table: Arc<Table<D::File>>,
    segment: Arc<Segment<D::File>>,
    bytes_max: u64,
}

const MAGIC: [u8; 8] = *b"noctindx";
const HEADER_BYTES: usize = 56;
/// Bytes of an entry before its body: position and length.
const ENTRY_HEADER_BYTES: usize = 12;
/// After so much of a segment it is clear whether its index is worth having.
const TRIED_BYTES: u64 = 1 << 20;

impl<D: Disk> Indexing<D> {
    /// Of a sealed segment. The room counts as taken from now on.
    pub(crate) fn new(
        disk: Arc<D>,
        table: Arc<Table<D::File>>,
        segment: Arc<Segment<D::File>>,
        bytes_max: u64,
    ) -> Self {
        segment.set_index_bytes(bytes_max);
        Self { disk, table, segment, bytes_max }
    }

    /// Reads the segment and writes its index, unless that would be too large to be of use. Says whether there is one
    /// now. If not, nobody tries again before the next start, and nothing is lost but the time that this will take.
    ///
    /// # Errors
    ///
    /// The disk failed; there is no index.
    pub fn write(self, brief: &mut Brief<'_>) -> Result<bool, CommitError> {
        let written = self.try_write(brief);
        self.segment.set_index_bytes(*written.as_ref().unwrap_or(&0));
        Ok(written? > 0)
    }

    fn try_write(&self, brief: &mut Brief<'_>) -> Result<u64, Trouble> {
        let path = || self.disk.path(&self.segment.name);
        let index = self.build(brief).map_err(|source| Trouble::new("read", path(), source))?;
        let Some(index) = index else { return Ok(0) };
        let name = Name::Index(self.segment.header.number).text();
        // One that is there already was of no use.
        self.disk.remove(&name).ok();
        let bytes = index.len() as u64;
        let file = self.disk.create(&name, bytes);
        let written = file.and_then(|file| file.write_at(&index, 0));
        if written.is_err() || !self.table.has(&self.segment) {
            // The segment was freed meanwhile, perhaps before there was an index to remove.
            self.disk.remove(&name).ok();
        }
        written.map_err(|source| Trouble::new("write to", self.disk.path(&name), source))?;
        Ok(bytes)
    }

    /// The bytes of the index. A segment that is not whole has none: it is freed, or damaged.
    fn build(&self, brief: &mut Brief<'_>) -> std::io::Result<Option<Vec<u8>>> {
        let header = &self.segment.header;
        let Some(end) = self.segment.end() else { return Ok(None) };
        let mut index = vec![0; HEADER_BYTES];
        let mut scan = Scan::new(&*self.segment.file, header, Unreadable::Fails)?;
        let mut offset = SEGMENT_HEADER_BYTES;
        while scan.position_at(offset) < end {
            let Some(frame) = scan.frame_at(offset)? else { return Ok(None) };
            offset = frame.end;
            let is_entry = frame.body.is_empty() || push_entry(&mut index, frame.position, frame.body, brief);
            if !is_entry || index.len() as u64 > self.bytes_allowed(offset) {
                return Ok(None);
            }
        }
        seal(&mut index, header, end);
        Ok(Some(index))
    }

    /// How large the index may be after so much of the segment.
    fn bytes_allowed(&self, read: u64) -> u64 {
        if read < TRIED_BYTES { self.bytes_max } else { self.bytes_max * read / self.segment.bytes }
    }
}

fn push_entry(index: &mut Vec<u8>, position: Position, body: &[u8], brief: &mut Brief<'_>) -> bool {
    let start = index.len();
    index.extend_from_slice(&position.get().to_le_bytes());
    index.extend_from_slice(&[0; 4]);
    let is_made = brief(body, index).is_some();
    let Ok(bytes) = u32::try_from(index.len() - start - ENTRY_HEADER_BYTES) else { return false };
    index[start + 8..start + ENTRY_HEADER_BYTES].copy_from_slice(&bytes.to_le_bytes());
    is_made
}

fn seal(index: &mut [u8], header: &SegmentHeader, end: Position) {
    index[..8].copy_from_slice(&MAGIC);
    index[8..12].copy_from_slice(&FORMAT_VERSION.to_le_bytes());
    index[16..HEADER_BYTES].copy_from_slice(&of_segment(header, end));
    let checksum = crc32c(&index[16..]);
    index[12..16].copy_from_slice(&checksum.to_le_bytes());
}

/// What an index says of its segment: whose it is, its number, from where and to where.
fn of_segment(header: &SegmentHeader, end: Position) -> [u8; HEADER_BYTES - 16] {
    let mut bytes = [0; HEADER_BYTES - 16];
    bytes[..16].copy_from_slice(&header.identity);
    bytes[16..24].copy_from_slice(&header.number.to_le_bytes());
    bytes[24..32].copy_from_slice(&header.start.get().to_le_bytes());
    bytes[32..].copy_from_slice(&end.get().to_le_bytes());
    bytes
}

/// An index that was read and is the one of its segment.
#[derive(Debug)]
pub(crate) struct Index(Vec<u8>);

impl Index {
    /// Takes these bytes for the index of the segment with this header, which ends there, if they are.
    pub(crate) fn decode(bytes: Vec<u8>, header: &SegmentHeader, end: Position) -> Option<Self> {
        let is_ours = bytes.len() >= HEADER_BYTES
            && bytes[..8] == MAGIC
            && bytes[8..12] == FORMAT_VERSION.to_le_bytes()
            && bytes[12..16] == crc32c(&bytes[16..]).to_le_bytes()
            && bytes[16..HEADER_BYTES] == of_segment(header, end);
        is_ours.then_some(Self(bytes))
    }

    /// Bytes of its file.
    pub(crate) fn bytes(&self) -> u64 {
        self.0.len() as u64
    }

    /// The frames with a body: positions and what their bodies were made.
    pub(crate) fn entries(&self) -> impl Iterator<Item = (Position, &[u8])> {
        let mut rest = &self.0[HEADER_BYTES..];
        std::iter::from_fn(move || {
            let (position, behind) = rest.split_first_chunk()?;
            let (bytes, behind) = behind.split_first_chunk()?;
            let (body, behind) = behind.split_at_checked(u32::from_le_bytes(*bytes) as usize)?;
            rest = behind;
            Some((Position::new(u64::from_le_bytes(*position)), body))
        })
    }
}

/// Reads the index of the segment with this header, which ends there. One that cannot be read is as good as none.
pub(crate) fn read<D: Disk>(disk: &D, header: &SegmentHeader, end: Position) -> Option<Index> {
    let file = disk.open(&Name::Index(header.number).text()).ok()?;
    let bytes_max = SEGMENT_HEADER_BYTES + (end.get() - header.start.get());
    let bytes = file.bytes().ok().filter(|bytes| *bytes <= bytes_max)?;
    let mut index = vec![0; bytes as usize];
    let read = file.read_at(&mut index, 0).ok()?;
    index.truncate(read);
    Index::decode(index, header, end)
}
