//! A file that knows which of its bytes are on the disk.

use super::random::Random;
use std::io;

/// What can be read, what is on the disk, and the writes between the two.
#[derive(Clone, Debug)]
pub(super) struct File {
    visible: Vec<u8>,
    durable: Vec<u8>,
    dirty: Vec<Write>,
}

#[derive(Clone, Debug)]
struct Write {
    offset: usize,
    bytes: Vec<u8>,
}

/// A disk writes this much at once or not at all, as a rule; a careful program does not rely on it.
const SECTOR_BYTES: usize = 512;

impl File {
    pub(super) fn new(bytes: usize) -> Self {
        Self { visible: vec![0; bytes], durable: Vec::new(), dirty: Vec::new() }
    }

    pub(super) fn durable(content: Vec<u8>) -> Self {
        Self { durable: content.clone(), visible: content, dirty: Vec::new() }
    }

    pub(super) fn content(&self) -> &Vec<u8> {
        &self.visible
    }

    pub(super) fn bytes(&self) -> u64 {
        self.visible.len() as u64
    }

    pub(super) fn read(&self, buffer: &mut [u8], offset: u64) -> usize {
        let from = self.visible.len().min(offset as usize);
        let bytes = buffer.len().min(self.visible.len() - from);
        buffer[..bytes].copy_from_slice(&self.visible[from..from + bytes]);
        bytes
    }

    pub(super) fn write(&mut self, bytes: &[u8], offset: u64) -> io::Result<()> {
        let offset = offset as usize;
        let Some(place) = self.visible.get_mut(offset..offset + bytes.len()) else {
            return Err(io::Error::new(io::ErrorKind::StorageFull, "only room that was allocated is there"));
        };
        place.copy_from_slice(bytes);
        self.dirty.push(Write { offset, bytes: bytes.to_vec() });
        Ok(())
    }

    pub(super) fn sync(&mut self) {
        self.durable.resize(self.visible.len(), 0);
        for write in self.dirty.drain(..) {
            write.apply(&mut self.durable, 0..write.bytes.len());
        }
    }

    /// The kernel has tried to write and lets go of what did not work.
    pub(super) fn forget(&mut self, random: &mut Random) {
        let visible = std::mem::take(&mut self.visible);
        self.settle(visible.len(), random);
        self.durable.clone_from(&self.visible);
        self.visible = visible;
    }

    pub(super) fn power_cut(&mut self, random: &mut Random) {
        let bytes = self.visible.len();
        self.settle(bytes, random);
        self.durable.clone_from(&self.visible);
    }

    /// Lets each write that is not on the disk survive wholly, in part or not at all, in any order. What was
    /// never synced may even have no room.
    fn settle(&mut self, bytes: usize, random: &mut Random) {
        let mut disk = std::mem::take(&mut self.durable);
        if disk.len() < bytes && random.flip() {
            disk.resize(bytes, 0);
        }
        while !self.dirty.is_empty() {
            let write = self.dirty.swap_remove(random.below(self.dirty.len()));
            write.survive(&mut disk, random);
        }
        self.visible = disk;
    }
}

impl Write {
    fn survive(&self, disk: &mut [u8], random: &mut Random) {
        match random.below(4) {
            0 => {}
            1 => self.apply(disk, 0..self.bytes.len()),
            2 => self.apply(disk, 0..random.below(self.bytes.len() + 1)),
            _ => self.survive_in_sectors(disk, random),
        }
    }

    fn survive_in_sectors(&self, disk: &mut [u8], random: &mut Random) {
        let mut from = 0;
        while from < self.bytes.len() {
            let sector_end = (self.offset + from) / SECTOR_BYTES * SECTOR_BYTES + SECTOR_BYTES;
            let to = self.bytes.len().min(sector_end - self.offset);
            if random.flip() {
                self.apply(disk, from..to);
            }
            from = to;
        }
    }

    fn apply(&self, disk: &mut [u8], part: std::ops::Range<usize>) {
        let bytes = &self.bytes[part.clone()];
        if let Some(place) = disk.get_mut(self.offset + part.start..self.offset + part.end) {
            place.copy_from_slice(bytes);
        }
    }
}
