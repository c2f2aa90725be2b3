//! A journal on a simulated disk, in few words.

use noctule_store::simulated::SimulatedDisk;
use noctule_store::{Committer, OpenError, Opened, Options, Position, Report};

/// Small enough that a few frames fill a segment.
pub(crate) const SMALL: Options = Options {
    segment_bytes: 8192,
    first_segment_bytes: 8192,
    journal_bytes_max: 0,
    indexed_bytes_min: 0,
    index_share: 4,
};

/// What a journal gave back: positions and bodies.
pub(crate) type Frames = Vec<(u64, Vec<u8>)>;

/// An open journal with what it gave back.
pub(crate) struct Journal {
    pub(crate) opened: Opened<SimulatedDisk>,
    pub(crate) frames: Frames,
}

impl Journal {
    pub(crate) fn open(disk: &SimulatedDisk) -> Self {
        Self::try_open(disk, SMALL, false).expect("it opens")
    }

    pub(crate) fn try_open(
        disk: &SimulatedDisk,
        options: Options,
        pass_damage: bool,
    ) -> Result<Self, OpenError> {
        let mut frames = Frames::new();
        let mut on_frame = |position: Position, body: &[u8]| {
            frames.push((position.get(), unbrief(body)));
            Ok(())
        };
        let opened = noctule_store::open(disk.clone(), options, pass_damage, &mut on_frame, &mut |_, _| {})?;
        Ok(Self { opened, frames })
    }

    pub(crate) fn bodies(&self) -> Vec<&[u8]> {
        self.frames.iter().map(|(_, body)| body.as_slice()).collect()
    }

    pub(crate) fn report(&self) -> &Report {
        &self.opened.report
    }

    pub(crate) fn committer(&mut self) -> &mut Committer<SimulatedDisk> {
        &mut self.opened.committer
    }

    pub(crate) fn append(&self, body: &[u8]) -> Position {
        let mut places = Vec::new();
        self.opened.appender.append([body], &mut places);
        places[0]
    }

    /// Appends and commits with a sync, all of which must succeed.
    pub(crate) fn say(&mut self, body: &[u8]) -> Position {
        let position = self.append(body);
        self.committer().commit(true).expect("it is written");
        position
    }

    /// Indexes every segment that should have an index, and says how many have one now.
    pub(crate) fn index(&mut self) -> usize {
        let mut indexed = 0;
        while let Some(segment) = self.committer().segment_to_index() {
            indexed += usize::from(segment.write(&mut brief).is_ok_and(|is_indexed| is_indexed));
        }
        indexed
    }

    pub(crate) fn read(&self, position: Position) -> Vec<u8> {
        let mut body = Vec::new();
        self.opened.reader.read(position, &mut body).expect("it can be read");
        body
    }
}

/// A body of this many bytes that tells its number.
pub(crate) fn body(number: u64, bytes: usize) -> Vec<u8> {
    let mut body = number.to_le_bytes().to_vec();
    body.resize(bytes.max(8), number as u8);
    body
}

/// What an index keeps of a body: its number and its length, or all of it if it is not one of [`body`]'s.
pub(crate) fn brief(bytes: &[u8], out: &mut Vec<u8>) -> Option<()> {
    let number = bytes.first_chunk().map(|number| u64::from_le_bytes(*number));
    if let Some(number) = number.filter(|number| bytes == body(*number, bytes.len())) {
        out.extend_from_slice(BRIEF);
        out.extend_from_slice(&number.to_le_bytes());
        out.extend_from_slice(&(bytes.len() as u32).to_le_bytes());
    } else {
        out.extend_from_slice(bytes);
    }
    Some(())
}

/// The body that [`brief`] has made this of.
pub(crate) fn unbrief(bytes: &[u8]) -> Vec<u8> {
    let Some(made) = bytes.strip_prefix(BRIEF) else { return bytes.to_vec() };
    let (number, length) = made.split_first_chunk().expect("a number and a length");
    let length = u32::from_le_bytes(length.try_into().expect("a length of four bytes"));
    body(u64::from_le_bytes(*number), length as usize)
}

const BRIEF: &[u8] = b"brief";
