//! A disk in memory that forgets, tears and fails as real ones do, and the same way each time.
//!
//! It knows what has been synced. [`SimulatedDisk::power_cut`] lets everything else survive wholly, in part or
//! not at all, each write and each name for itself; [`SimulatedDisk::kill`] is the end of a process, after which
//! the kernel still has everything. Both leave the handles of the old life dead, so that a forgotten thread of it
//! cannot write into the next. Every call has a number, from 1 on, at which it can be made to fail or the power
//! can be cut.

mod fault;
mod file;
mod random;
mod state;

pub use fault::{Call, Fault, Operation};

use crate::disk::{Disk, DiskFile};
use state::State;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// A disk in memory. Clones are handles to the same disk in the same life.
#[derive(Clone, Debug)]
pub struct SimulatedDisk {
    state: Arc<Mutex<State>>,
    life: u64,
}

/// An open file of a [`SimulatedDisk`].
#[derive(Clone, Debug)]
pub struct SimulatedFile {
    disk: SimulatedDisk,
    inode: u64,
}

impl SimulatedDisk {
    /// An empty disk without end. The seed decides what is lost where nothing else does.
    pub fn new(seed: u64) -> Self {
        Self { state: Arc::new(Mutex::new(State::new(seed))), life: 0 }
    }

    /// All files together take at most so many bytes from now on; `None` is no bound. What is there stays.
    pub fn set_capacity(&self, bytes: Option<u64>) {
        self.state().capacity = bytes;
    }

    /// How many calls there have been.
    pub fn calls(&self) -> u64 {
        self.state().calls
    }

    /// The call of this number fails.
    pub fn fail_call(&self, number: u64, fault: Fault) {
        self.fail_when(move |call| (call.number == number).then_some(fault));
    }

    /// Every call fails for which the function, asked before each, has a fault.
    pub fn fail_when(&self, fault: impl FnMut(&Call<'_>) -> Option<Fault> + Send + 'static) {
        self.state().faults.push(Box::new(fault));
    }

    /// From the call of this number on there is no power: everything fails until [`Self::power_cut`].
    pub fn cut_power_at(&self, number: u64) {
        self.state().power_until = number;
    }

    /// No call fails any more.
    pub fn heal(&self) {
        let mut state = self.state();
        state.faults.clear();
        state.power_until = u64::MAX;
    }

    /// The power goes and comes back: what was not synced survives as the seed decides. Faults end. Gives the
    /// handle of the next life.
    #[must_use]
    pub fn power_cut(&self, seed: u64) -> Self {
        self.state().power_cut(seed);
        self.next_life()
    }

    /// The process ends, the machine does not: everything written is there, synced or not. Faults end. Gives the
    /// handle of the next life.
    #[must_use]
    pub fn kill(&self) -> Self {
        self.next_life()
    }

    /// A disk of its own with the same content, on which nothing is uncertain.
    #[must_use]
    pub fn copy(&self) -> Self {
        let copy = self.state().copy();
        Self { state: Arc::new(Mutex::new(copy)), life: 0 }
    }

    /// What a file holds, as a process would read it.
    pub fn content(&self, name: &str) -> Option<Vec<u8>> {
        self.state().content(name).cloned()
    }

    /// Replaces or makes a file, durably.
    pub fn set_content(&self, name: &str, content: Vec<u8>) {
        self.state().set_content(name, content);
    }

    /// Removes a file, durably.
    pub fn lose(&self, name: &str) {
        self.state().lose(name);
    }

    /// The names there are, in order.
    pub fn names(&self) -> Vec<String> {
        self.state().names.keys().cloned().collect()
    }

    fn next_life(&self) -> Self {
        self.heal();
        let mut state = self.state();
        state.life += 1;
        Self { state: self.state.clone(), life: state.life }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The disk, after the call has been counted, and what is to go wrong with it.
    fn call(&self, file: &str, operation: Operation) -> io::Result<(MutexGuard<'_, State>, Option<Fault>)> {
        let state = self.state();
        self.count(state, file, operation)
    }

    fn count<'a>(
        &self,
        mut state: MutexGuard<'a, State>,
        file: &str,
        operation: Operation,
    ) -> io::Result<(MutexGuard<'a, State>, Option<Fault>)> {
        if state.life != self.life {
            return Err(io::Error::other("this process has ended"));
        }
        match state.count(file, operation)? {
            Some(Fault::Fails(kind)) => Err(kind.into()),
            other => Ok((state, other)),
        }
    }
}

impl SimulatedFile {
    /// The disk, after the call has been counted under the name the file has now.
    fn call(&self, operation: Operation) -> io::Result<(MutexGuard<'_, State>, Option<Fault>)> {
        let state = self.disk.state();
        let name = state.name_of(self.inode).to_owned();
        self.disk.count(state, &name, operation)
    }
}

impl Disk for SimulatedDisk {
    type File = SimulatedFile;

    fn list(&self) -> io::Result<Vec<String>> {
        let (state, _) = self.call("", Operation::List)?;
        Ok(state.names.keys().cloned().collect())
    }

    fn create(&self, name: &str, bytes: u64) -> io::Result<SimulatedFile> {
        let (mut state, _) = self.call(name, Operation::Create)?;
        let inode = state.create(name, bytes)?;
        Ok(SimulatedFile { disk: self.clone(), inode })
    }

    fn open(&self, name: &str) -> io::Result<SimulatedFile> {
        let (state, _) = self.call(name, Operation::Open)?;
        let inode = state.inode(name)?;
        Ok(SimulatedFile { disk: self.clone(), inode })
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.call(from, Operation::Rename)?.0.rename(from, to)
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.call(name, Operation::Remove)?.0.remove(name)
    }

    fn sync_directory(&self) -> io::Result<()> {
        let (mut state, fault) = self.call("", Operation::SyncDirectory)?;
        state.sync_directory(fault)
    }

    fn free_bytes(&self) -> io::Result<u64> {
        let (state, _) = self.call("", Operation::FreeBytes)?;
        Ok(state.free_bytes())
    }

    fn identity(&self) -> io::Result<[u8; 16]> {
        Ok(self.state().identity())
    }
}

impl DiskFile for SimulatedFile {
    fn bytes(&self) -> io::Result<u64> {
        let (mut state, _) = self.call(Operation::Bytes)?;
        Ok(state.file(self.inode)?.bytes())
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let (mut state, fault) = self.call(Operation::Read { offset, bytes: buffer.len() })?;
        let read = state.file(self.inode)?.read(buffer, offset);
        if let Some(Fault::FlipsBit { bit }) = fault
            && let Some(byte) = buffer[..read].get_mut(bit / 8)
        {
            *byte ^= 1 << (bit % 8);
        }
        Ok(read)
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        let operation = Operation::Write { offset, bytes: bytes.len() };
        let (mut state, fault) = self.call(operation)?;
        let file = state.file(self.inode)?;
        match fault {
            Some(Fault::WritesPart { bytes: part, kind }) => {
                file.write(&bytes[..part.min(bytes.len())], offset)?;
                Err(kind.into())
            }
            _ => file.write(bytes, offset),
        }
    }

    fn sync_data(&self) -> io::Result<()> {
        let (mut state, fault) = self.call(Operation::SyncData)?;
        state.sync_data(self.inode, fault)
    }
}
