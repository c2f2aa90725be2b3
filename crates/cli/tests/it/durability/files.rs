//! A look into the files of the journal, and a knife. The bytes are those of `docs/design/journal.md`.

use std::fs;
use std::ops::Range;
use std::path::{Path, PathBuf};

/// Bytes of a segment's header.
pub(super) const HEADER: usize = 4096;
/// Bytes of a frame's header.
pub(super) const FRAME_HEADER: usize = 24;

/// A segment of a journal that nobody uses.
pub(super) struct Segment {
    pub(super) path: PathBuf,
    pub(super) bytes: Vec<u8>,
}

impl Segment {
    /// The only segment of the broker that ran in this folder.
    pub(super) fn only(folder: &Path) -> Self {
        let mut paths = segments(folder);
        assert_eq!(paths.len(), 1, "{paths:?}");
        let path = paths.remove(0);
        let bytes = fs::read(&path).expect("a segment");
        Self { path, bytes }
    }

    /// Where its frames are.
    pub(super) fn frames(&self) -> Vec<Range<usize>> {
        let mut frames = Vec::new();
        let mut at = HEADER;
        while let Some(end) = self.frame_end(at) {
            frames.push(at..end);
            at = end;
        }
        frames
    }

    /// Where the frame is that has these bytes in it.
    pub(super) fn frame_with(&self, part: &[u8]) -> Range<usize> {
        let at = self.find(part);
        self.frames().into_iter().find(|frame| frame.contains(&at)).expect("it stands in a frame")
    }

    /// Where these bytes stand first.
    pub(super) fn find(&self, part: &[u8]) -> usize {
        self.bytes.windows(part.len()).position(|window| window == part).expect("it stands in the journal")
    }

    /// Gives a changed frame the checksum it needs.
    pub(super) fn seal(&mut self, frame: &Range<usize>) {
        let seed = crc32c::crc32c(&self.bytes[16..40]);
        let checksum = crc32c::crc32c_append(seed, &self.bytes[frame.start + 8..frame.end]);
        self.bytes[frame.start + 4..frame.start + 8].copy_from_slice(&checksum.to_le_bytes());
    }

    /// Puts the changed bytes where the file was.
    pub(super) fn write(&self) {
        fs::write(&self.path, &self.bytes).expect("a writable segment");
    }

    fn frame_end(&self, at: usize) -> Option<usize> {
        let u64_at = |at: usize| Some(u64::from_le_bytes(*self.bytes.get(at..)?.first_chunk()?));
        let body = u32::from_le_bytes(*self.bytes.get(at..)?.first_chunk()?) as usize;
        let position = u64_at(40)? + (at - HEADER) as u64;
        (u64_at(at + 8)? == position).then_some(at + FRAME_HEADER + body)
    }
}

/// The journal of the broker that ran in this folder.
pub(super) fn journal(folder: &Path) -> PathBuf {
    folder.join("noctule-data/journal")
}

/// Its segments, oldest first.
pub(super) fn segments(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(journal(folder)).expect("a journal");
    let paths = entries.map(|entry| entry.expect("a name").path());
    let mut segments: Vec<PathBuf> =
        paths.filter(|path| path.extension().is_some_and(|extension| extension == "seg")).collect();
    segments.sort();
    segments
}
