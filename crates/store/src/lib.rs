//! The journal: what was appended and made durable comes back after a crash, whole, in order, once.
//!
//! Bodies are opaque bytes; nothing here knows what they say. [`open`] reads a journal and gives three handles:
//! an [`Appender`] that all threads share, a [`Committer`] that one thread owns, and a [`Reader`]. Everything is
//! synchronous: nothing here starts a thread, reads a clock or waits for anything but the disk.
//!
//! - A frame has its [`Position`] when it is appended and keeps it.
//! - What [`Appender::durable`] covers survives a power cut. What a crash leaves behind it is a prefix of what
//!   was appended, never a part of a frame, never anything else.
//! - A failure is never forgotten and never told as success: everything above the durable position is kept in
//!   memory until a sync covers it.
//!
//! `docs/design/journal.md` has the bytes and the reasons.

mod appender;
mod backup;
mod committer;
mod directory;
mod disk;
mod error;
mod format;
mod index;
mod names;
mod opening;
mod position;
mod reader;
mod recovery;
mod report;
mod scan;
pub mod simulated;
mod space;
mod table;
mod touch;
mod trouble;
mod window;

pub use appender::{Appender, State};
pub use backup::{BackupError, backup, backup_from_outside};
pub use committer::{Committed, Committer, Prepared, Released, SegmentInfo};
pub use directory::{Directory, DirectoryFile};
pub use disk::{Disk, DiskFile};
pub use error::{CommitError, Damage, OpenError, ReadError};
pub use format::{BODY_BYTES_MAX, FRAME_HEADER_BYTES};
pub use index::{Brief, Indexing};
pub use opening::{Opened, open, verify};
pub use position::Position;
pub use reader::Reader;
pub use recovery::{OnFrame, OnProgress};
pub use report::{Report, SegmentFile, Torn};
pub use space::Options;
pub use touch::Touch;
