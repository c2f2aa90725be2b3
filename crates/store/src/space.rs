//! Files that are ready to become segments, and how large they should be.
//!
//! One spare file is the reserve: it is taken only when no other can be made, and then the journal is full for
//! everything but what makes room. Segments start small and grow fourfold, and none is larger than an eighth of
//! what there is, so that a small disk is not taken by two of them.

use crate::disk::{Disk, DiskFile};
use crate::format::SEGMENT_HEADER_BYTES;
use crate::names::Name;
use crate::touch::{TOUCHED, Touch};
use crate::trouble::Trouble;
use std::io;
use std::sync::Arc;

/// How much room the journal takes, and in pieces of what size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// The size segments grow to.
    pub segment_bytes: u64,
    /// The size of the first segment, small so that a new journal is there at once.
    pub first_segment_bytes: u64,
    /// What all files together may take. 0: as much as the disk has.
    pub journal_bytes_max: u64,
    /// Segments of this size and above get an index, so that a start does not have to read all of them.
    pub indexed_bytes_min: u64,
    /// An index takes one of so many bytes of its segment at most. Where it would take more it is not worth having.
    pub index_share: u64,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            segment_bytes: 64 << 20,
            first_segment_bytes: 1 << 20,
            journal_bytes_max: 0,
            indexed_bytes_min: 16 << 20,
            index_share: 8,
        }
    }
}

/// A file that is ready to become a segment.
#[derive(Debug)]
pub(crate) struct Spare<F> {
    pub(crate) name: String,
    pub(crate) bytes: u64,
    pub(crate) file: Arc<F>,
    touch: Arc<Touch<F>>,
}

/// The spare files, the smallest first.
#[derive(Debug)]
pub(crate) struct Space<D: Disk> {
    disk: Arc<D>,
    options: Options,
    spares: Vec<Spare<D::File>>,
    next_name: u64,
}

/// How many spare files are made: the next segment and the reserve.
pub(crate) const SPARES_MADE: usize = 2;
/// How many are kept. One more, or a journal that turns would forever remove the file it frees a little after it
/// has made another, and never write to blocks that have been written before.
const SPARES_KEPT: usize = SPARES_MADE + 1;

/// Segments are not smaller than this unless the options say so.
const SEGMENT_BYTES_MIN: u64 = 256 << 10;
/// Segments are not larger than this part of the room there is.
const SEGMENTS_IN_ROOM: u64 = 8;
const GROWTH: u64 = 4;
/// A block of the file system; sizes are whole numbers of them.
const BLOCK_BYTES: u64 = 4096;

impl<D: Disk> Space<D> {
    /// Takes over the spare files that are there and removes those that are too many or of no use.
    pub(crate) fn open(disk: Arc<D>, options: Options, names: &[Name]) -> Self {
        let spares = names.iter().filter_map(|name| match name {
            Name::Spare(number) => Some(*number),
            Name::Segment(_) | Name::Index(_) => None,
        });
        let next_name = spares.clone().max().map_or(1, |last| last.saturating_add(1));
        let mut space = Self { disk, options, spares: Vec::new(), next_name };
        for number in spares {
            space.adopt(Name::Spare(number).text());
        }
        space.discard_orphans(names);
        space
    }

    /// Removes indexes whose segments were freed just before a crash.
    fn discard_orphans(&self, names: &[Name]) {
        for name in names {
            if let Name::Index(number) = name
                && names.binary_search(&Name::Segment(*number)).is_err()
            {
                self.discard(&name.text());
            }
        }
    }

    /// Whether a segment of this size is worth an index.
    pub(crate) fn is_indexed(&self, segment_bytes: u64) -> bool {
        segment_bytes >= self.options.indexed_bytes_min
    }

    /// How much the index of a segment of this size may take.
    pub(crate) fn index_bytes_max(&self, segment_bytes: u64) -> u64 {
        segment_bytes / self.options.index_share.max(1)
    }

    /// Keeps a file of an earlier life, if it is of use. One that cannot be read is not worth an error.
    fn adopt(&mut self, name: String) {
        match self.look_at(name) {
            Ok(spare) if spare.bytes >= self.bytes_min() && self.spares.len() < SPARES_KEPT => {
                self.put_back(spare);
            }
            Ok(Spare { name, .. }) | Err(name) => self.discard(&name),
        }
    }

    fn look_at(&self, name: String) -> Result<Spare<D::File>, String> {
        let look = || {
            let file = self.disk.open(&name)?;
            let mut first = [0; TOUCHED.len()];
            file.read_at(&mut first, 0)?;
            io::Result::Ok((file.bytes()?, file, first != [0; TOUCHED.len()]))
        };
        match look() {
            Ok((bytes, file, is_touched)) => {
                Ok(Spare::new(name, bytes, Arc::new(file), if is_touched { bytes } else { 0 }))
            }
            Err(_) => Err(name),
        }
    }

    /// Bytes of all spare files.
    pub(crate) fn bytes(&self) -> u64 {
        self.spares.iter().map(|spare| spare.bytes).sum()
    }

    pub(crate) fn count(&self) -> usize {
        self.spares.len()
    }

    /// Whether one of the files holds this much.
    pub(crate) fn fits(&self, least: u64) -> bool {
        self.spares.last().is_some_and(|largest| largest.bytes >= least)
    }

    /// The smallest spare file that holds `least` bytes. Nobody touches it any more.
    pub(crate) fn take(&mut self, least: u64) -> Option<Spare<D::File>> {
        let index = self.spares.iter().position(|spare| spare.bytes >= least)?;
        let spare = self.spares.remove(index);
        spare.touch.end();
        Some(spare)
    }

    pub(crate) fn put_back(&mut self, spare: Spare<D::File>) {
        self.spares.push(spare);
        self.spares.sort_by_key(|spare| spare.bytes);
    }

    /// Removes a file that is of no use (any more).
    pub(crate) fn discard(&self, name: &str) {
        // It is not missed, and the next start tries again.
        self.disk.remove(name).ok();
    }

    /// Makes one more spare file of at least `least` bytes, where segments take `segments_bytes` and the last is
    /// of `last_bytes`.
    pub(crate) fn make(&mut self, least: u64, last_bytes: u64, segments_bytes: u64) -> Result<(), Trouble> {
        let name = Name::Spare(self.next_name).text();
        let failed = |source| Trouble::new("create", self.disk.path(&name), source);
        let taken = segments_bytes + self.bytes();
        let free = self.free_bytes(taken).map_err(failed)?;
        let bytes = self.wanted(last_bytes, taken, free).max(least.next_multiple_of(BLOCK_BYTES));
        if bytes > free {
            let full = io::Error::new(
                io::ErrorKind::StorageFull,
                format!("another segment of {bytes} bytes is needed, and there are {free} bytes for it"),
            );
            return Err(failed(full));
        }
        let file = Arc::new(self.disk.create(&name, bytes).map_err(failed)?);
        self.next_name += 1;
        self.put_back(Spare::new(name, bytes, file, 0));
        Ok(())
    }

    /// Makes a spare file of a segment that nobody needs any more, or removes it. Afterwards its name is gone for
    /// good, so that segments are always forgotten in their order.
    pub(crate) fn recycle(
        &mut self,
        name: &str,
        file: &Arc<D::File>,
        bytes: u64,
        taken: u64,
        last_bytes: u64,
    ) -> Result<(), Trouble> {
        let failed = |source| Trouble::new("free", self.disk.path(name), source);
        let free = self.free_bytes(taken).map_err(failed)?;
        let wanted = self.wanted(last_bytes, taken, free);
        let is_right = (wanted / 2..=wanted * 2).contains(&bytes);
        if self.spares.is_empty() || is_right && self.spares.len() < SPARES_KEPT {
            let spare = Name::Spare(self.next_name).text();
            self.disk.rename(name, &spare).map_err(failed)?;
            self.next_name += 1;
            self.put_back(Spare::new(spare, bytes, file.clone(), bytes));
        } else {
            self.disk.remove(name).map_err(failed)?;
        }
        self.sync_names()
    }

    pub(crate) fn sync_names(&self) -> Result<(), Trouble> {
        self.disk.sync_directory().map_err(|source| Trouble::names(self.disk.path(""), source))
    }

    /// A spare file whose blocks have not all been written once. One that could not be written is removed.
    pub(crate) fn untouched(&mut self) -> Result<Option<Arc<Touch<D::File>>>, Trouble> {
        for index in 0..self.spares.len() {
            if let Some(source) = self.spares[index].touch.take_failure() {
                let spare = self.spares.remove(index);
                self.discard(&spare.name);
                return Err(Trouble::new("write", self.disk.path(&spare.name), source));
            }
        }
        Ok(self.spares.iter().map(|spare| &spare.touch).find(|touch| touch.has_more()).cloned())
    }

    /// How many bytes files may still take that are not made yet, where segments take `segments_bytes`. A disk that
    /// does not say has no room.
    pub(crate) fn makeable_bytes(&self, segments_bytes: u64) -> u64 {
        self.free_bytes(segments_bytes + self.bytes()).unwrap_or(0)
    }

    fn free_bytes(&self, taken: u64) -> io::Result<u64> {
        let free = self.disk.free_bytes()?;
        Ok(match self.options.journal_bytes_max {
            0 => free,
            max => free.min(max.saturating_sub(taken)),
        })
    }

    /// The size the next segment should have. Powers of two, so that a file that is freed is of use again though
    /// the room on the disk has changed a little.
    fn wanted(&self, last_bytes: u64, taken: u64, free: u64) -> u64 {
        let grown = if last_bytes == 0 { self.options.first_segment_bytes } else { last_bytes * GROWTH };
        let share = taken.saturating_add(free) / SEGMENTS_IN_ROOM;
        let share = if share == 0 { 0 } else { 1 << share.ilog2() };
        let bytes = grown.min(self.options.segment_bytes).min(share).max(self.bytes_min());
        bytes.next_multiple_of(BLOCK_BYTES)
    }

    fn bytes_min(&self) -> u64 {
        let asked = self.options.first_segment_bytes.min(self.options.segment_bytes);
        asked.clamp(SEGMENT_HEADER_BYTES + BLOCK_BYTES, SEGMENT_BYTES_MIN)
    }
}

impl<F: DiskFile> Spare<F> {
    /// A file whose blocks have been written once up to `touched`.
    fn new(name: String, bytes: u64, file: Arc<F>, touched: u64) -> Self {
        let touch = Touch::new(file.clone(), bytes, touched);
        Self { name, bytes, file, touch }
    }
}
