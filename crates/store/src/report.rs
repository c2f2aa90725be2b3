//! What reading a whole journal has found.

use crate::error::Damage;

/// What a journal holds, what was cut from its end and what is damaged.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Frames with a body that were read.
    pub frames: u64,
    /// Bytes of all frames that were read, with their headers.
    pub bytes: u64,
    /// The segments, oldest first.
    pub files: Vec<SegmentFile>,
    /// What stood behind the last whole frame and had never been durable. It is cut, and nobody was told of it.
    pub torn: Option<Torn>,
    /// What had been durable and cannot be read.
    pub damage: Vec<Damage>,
}

/// A file of frames.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SegmentFile {
    /// The file, with its path.
    pub file: String,
    /// Its size, most of which may be unused in the last one.
    pub bytes: u64,
}

/// The rest of writes that a crash interrupted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Torn {
    /// The file, with its path.
    pub file: String,
    /// Where in it the last whole frame ends.
    pub offset: u64,
    /// How many bytes of frames, whole or not, stood behind it.
    pub bytes: u64,
}
