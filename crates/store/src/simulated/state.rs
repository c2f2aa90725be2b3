//! The content of a simulated disk: files, names, and which of both are durable.

use super::fault::{Call, Fault, Operation};
use super::file::File;
use super::random::Random;
use std::collections::BTreeMap;
use std::fmt;
use std::io;

type ChooseFault = Box<dyn FnMut(&Call<'_>) -> Option<Fault> + Send>;

pub(super) struct State {
    pub(super) life: u64,
    pub(super) calls: u64,
    pub(super) capacity: Option<u64>,
    pub(super) faults: Vec<ChooseFault>,
    /// The first call without power.
    pub(super) power_until: u64,
    pub(super) names: BTreeMap<String, u64>,
    durable_names: BTreeMap<String, u64>,
    changes: Vec<NameChange>,
    files: BTreeMap<u64, File>,
    inodes: u64,
    random: Random,
}

#[derive(Clone, Debug)]
enum NameChange {
    Create { name: String, inode: u64 },
    Rename { from: String, to: String, inode: u64 },
    Remove { name: String },
}

impl NameChange {
    fn apply(self, names: &mut BTreeMap<String, u64>) {
        match self {
            Self::Create { name, inode } => {
                names.insert(name, inode);
            }
            Self::Rename { from, to, inode } => {
                if names.get(&from) == Some(&inode) {
                    names.remove(&from);
                }
                names.insert(to, inode);
            }
            Self::Remove { name } => {
                names.remove(&name);
            }
        }
    }
}

impl State {
    pub(super) fn new(seed: u64) -> Self {
        Self {
            life: 0,
            calls: 0,
            capacity: None,
            faults: Vec::new(),
            power_until: u64::MAX,
            names: BTreeMap::new(),
            durable_names: BTreeMap::new(),
            changes: Vec::new(),
            files: BTreeMap::new(),
            inodes: 0,
            random: Random::new(seed),
        }
    }

    /// Counts a call and says what is to go wrong with it.
    pub(super) fn count(&mut self, file: &str, operation: Operation) -> io::Result<Option<Fault>> {
        self.calls += 1;
        if self.calls >= self.power_until {
            return Err(io::Error::other("the power is off"));
        }
        let call = Call { number: self.calls, file, operation };
        Ok(self.faults.iter_mut().find_map(|fault| fault(&call)))
    }

    pub(super) fn create(&mut self, name: &str, bytes: u64) -> io::Result<u64> {
        if self.names.contains_key(name) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        if bytes > self.free_bytes() {
            return Err(io::ErrorKind::StorageFull.into());
        }
        let inode = self.add(File::new(bytes as usize));
        self.change(NameChange::Create { name: name.to_owned(), inode });
        Ok(inode)
    }

    pub(super) fn inode(&self, name: &str) -> io::Result<u64> {
        self.names.get(name).copied().ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    pub(super) fn name_of(&self, inode: u64) -> &str {
        self.names.iter().find(|(_, named)| **named == inode).map_or("", |(name, _)| name)
    }

    pub(super) fn file(&mut self, inode: u64) -> io::Result<&mut File> {
        self.files.get_mut(&inode).ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    pub(super) fn rename(&mut self, from: &str, to: &str) -> io::Result<()> {
        let inode = self.inode(from)?;
        self.change(NameChange::Rename { from: from.to_owned(), to: to.to_owned(), inode });
        Ok(())
    }

    pub(super) fn remove(&mut self, name: &str) -> io::Result<()> {
        self.inode(name)?;
        self.change(NameChange::Remove { name: name.to_owned() });
        Ok(())
    }

    pub(super) fn sync_directory(&mut self, fault: Option<Fault>) -> io::Result<()> {
        if fault == Some(Fault::SyncForgets) {
            let mut names = std::mem::take(&mut self.durable_names);
            self.settle_names(&mut names);
            self.durable_names = names;
            return Err(io::Error::other("the names could not be written"));
        }
        self.durable_names.clone_from(&self.names);
        self.changes.clear();
        Ok(())
    }

    pub(super) fn sync_data(&mut self, inode: u64, fault: Option<Fault>) -> io::Result<()> {
        let Some(file) = self.files.get_mut(&inode) else { return Err(io::ErrorKind::NotFound.into()) };
        if fault == Some(Fault::SyncForgets) {
            file.forget(&mut self.random);
            return Err(io::Error::other("the data could not be written"));
        }
        file.sync();
        Ok(())
    }

    pub(super) fn free_bytes(&self) -> u64 {
        let taken: u64 = self.names.values().filter_map(|inode| self.files.get(inode)).map(File::bytes).sum();
        self.capacity.unwrap_or(UNBOUNDED).saturating_sub(taken)
    }

    pub(super) fn identity(&mut self) -> [u8; 16] {
        let mut identity = [0; 16];
        identity[..8].copy_from_slice(&self.random.next().to_le_bytes());
        identity[8..].copy_from_slice(&self.random.next().to_le_bytes());
        identity
    }

    pub(super) fn power_cut(&mut self, seed: u64) {
        self.random = Random::new(seed);
        let mut names = std::mem::take(&mut self.durable_names);
        self.settle_names(&mut names);
        self.files.retain(|inode, _| names.values().any(|named| named == inode));
        for file in self.files.values_mut() {
            file.power_cut(&mut self.random);
        }
        self.durable_names.clone_from(&names);
        self.names = names;
    }

    pub(super) fn copy(&self) -> Self {
        let mut copy = Self::new(0);
        copy.random = self.random.clone();
        copy.capacity = self.capacity;
        for (name, inode) in &self.names {
            copy.set_content(
                name,
                self.files.get(inode).map(|file| file.content().clone()).unwrap_or_default(),
            );
        }
        copy
    }

    pub(super) fn content(&self, name: &str) -> Option<&Vec<u8>> {
        Some(self.files.get(self.names.get(name)?)?.content())
    }

    pub(super) fn set_content(&mut self, name: &str, content: Vec<u8>) {
        let inode = self.add(File::durable(content));
        self.names.insert(name.to_owned(), inode);
        self.durable_names.insert(name.to_owned(), inode);
    }

    pub(super) fn lose(&mut self, name: &str) {
        self.names.remove(name);
        self.durable_names.remove(name);
    }

    fn add(&mut self, file: File) -> u64 {
        self.inodes += 1;
        self.files.insert(self.inodes, file);
        self.inodes
    }

    fn change(&mut self, change: NameChange) {
        change.clone().apply(&mut self.names);
        self.changes.push(change);
    }

    /// Lets each change of a name survive or not.
    fn settle_names(&mut self, names: &mut BTreeMap<String, u64>) {
        for change in std::mem::take(&mut self.changes) {
            if self.random.flip() {
                change.apply(names);
            }
        }
    }
}

impl fmt::Debug for State {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = formatter.debug_struct("State");
        debug.field("life", &self.life).field("calls", &self.calls).field("names", &self.names);
        debug.finish_non_exhaustive()
    }
}

/// What is free on a disk without end.
const UNBOUNDED: u64 = 1 << 50;
