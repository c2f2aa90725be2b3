//! What a call of the disk is, and what can go wrong with it.

use std::io;

/// A call, as a fault may be chosen by it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Call<'a> {
    /// The how many-th call of the disk it is, from 1.
    pub number: u64,
    /// The file, or nothing where the directory is meant.
    pub file: &'a str,
    /// What is to be done.
    pub operation: Operation,
}

/// What is to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "each is the method of its name")]
pub enum Operation {
    List,
    Create,
    Open,
    Rename,
    Remove,
    SyncDirectory,
    FreeBytes,
    Bytes,
    Read { offset: u64, bytes: usize },
    Write { offset: u64, bytes: usize },
    SyncData,
}

/// What goes wrong with a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// It fails and has done nothing.
    Fails(io::ErrorKind),
    /// A write fails and has written its first bytes, all of them if it has no more.
    WritesPart {
        /// How many bytes.
        bytes: usize,
        /// With what error.
        kind: io::ErrorKind,
    },
    /// A sync fails, and the kernel lets go of what it could not write, as Linux does: it can still be read, it
    /// may or may not be on the disk, and later syncs succeed without it.
    SyncForgets,
    /// A read gives a wrong bit and no error.
    FlipsBit {
        /// The bit, counted from the start of what is read.
        bit: usize,
    },
}
