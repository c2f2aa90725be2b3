//! The thread that reads the journal: contents that sessions have left there, and contents that are to be moved
//! before their segment is freed.

use super::{Job, Journal};
use crate::shared::{Parcel, Shared};
use noctule_engine::{Content, ShardId, content, moved_bytes};
use noctule_session::{MessageNumber, Missing, Position, Publication};
use noctule_store::{Directory, ReadError, Reader};
use std::collections::HashMap;
use std::sync::atomic::Ordering;
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::Duration;
use tracing::error;

/// Reads the journal.
pub(crate) struct Library {
    reader: Reader<Directory>,
    shared: Arc<Shared>,
    journal: Arc<Journal>,
    jobs: mpsc::Receiver<Job>,
    /// The frame read last, which often has the next message too.
    frame: Vec<u8>,
    frame_at: Position,
    /// Where contents stand that were moved since the last segment was freed.
    moved: HashMap<MessageNumber, Position>,
}

impl Library {
    pub(crate) fn new(
        reader: Reader<Directory>,
        shared: Arc<Shared>,
        journal: Arc<Journal>,
        jobs: mpsc::Receiver<Job>,
    ) -> Self {
        let (frame, frame_at) = (Vec::new(), Position::NOWHERE);
        Self { reader, shared, journal, jobs, frame, frame_at, moved: HashMap::new() }
    }

    /// Works until it is told to stop.
    pub(crate) fn run(mut self) {
        while let Ok(job) = self.jobs.recv() {
            match job {
                Job::Load { shard, subscriber, missing } => {
                    let contents = missing.into_iter().map(|missing| self.load(missing)).collect();
                    self.shared.mailbox(shard).put([Parcel::Contents(Box::new((subscriber, contents)))]);
                }
                Job::Move { shard, contents } => self.move_contents(shard, contents),
                Job::Forget => self.moved.clear(),
                Job::Stop => return,
            }
            // A frame can be as long as the longest packet; it is not kept while there is nothing to do.
            if self.frame.capacity() > FRAME_KEPT {
                self.frame = Vec::new();
                self.frame_at = Position::NOWHERE;
            }
        }
    }

    fn load(&mut self, Missing { number, position }: Missing) -> Content {
        let memory = &self.shared.directory.memory;
        let found = match self.find(position) {
            Ok(()) => content(&self.frame, number).map_err(|cause| cause.to_string()),
            Err(cause) => Err(cause),
        };
        match found {
            Ok(Some(mut message)) => {
                message.share = Some(memory.take(message.bytes()));
                message.place.set(position);
                Content::Found(Arc::<Publication>::new(message))
            }
            Ok(None) => {
                error!(message = number.0, position = position.0, "the journal does not have a message");
                Content::Lost(number)
            }
            Err(cause) => {
                error!(message = number.0, %cause, "a message in the journal cannot be read");
                Content::Lost(number)
            }
        }
    }

    fn move_contents(&mut self, shard: ShardId, contents: Vec<Missing>) {
        let mut places = Vec::with_capacity(contents.len());
        for Missing { number, position } in contents {
            if let Some(place) = self.moved.get(&number).copied().or_else(|| self.move_one(number, position)) {
                self.moved.insert(number, place);
                places.push((number, place));
            }
        }
        self.shared.mailbox(shard).put([Parcel::Places(places)]);
    }

    fn move_one(&mut self, number: MessageNumber, position: Position) -> Option<Position> {
        let mut bytes = Vec::new();
        let moved = match self.find(position) {
            Ok(()) => moved_bytes(&self.frame, number, &mut bytes).map_err(|cause| cause.to_string()),
            Err(cause) => Err(cause),
        };
        match moved {
            Ok(true) => {
                let mut places = Vec::new();
                self.journal.appender.append([&bytes[..]], &mut places);
                self.journal.again_bytes.fetch_add(bytes.len() as u64, Ordering::Relaxed);
                places.first().map(|place| Position(place.get()))
            }
            Ok(false) => None,
            Err(cause) => {
                error!(message = number.0, %cause, "a message in the journal cannot be moved and is lost");
                None
            }
        }
    }

    /// Has the frame at this position at hand. What is not written yet is waited for.
    fn find(&mut self, position: Position) -> Result<(), String> {
        if self.frame_at == position {
            return Ok(());
        }
        self.frame_at = Position::NOWHERE;
        loop {
            match self.reader.read(noctule_store::Position::new(position.0), &mut self.frame) {
                Ok(()) => {
                    self.frame_at = position;
                    return Ok(());
                }
                Err(ReadError::NotWritten { .. }) => {
                    self.journal.bell.ring_now();
                    thread::sleep(UNWRITTEN);
                }
                Err(cause) => return Err(cause.to_string()),
            }
        }
    }
}

/// What was appended is written within about this.
const UNWRITTEN: Duration = Duration::from_millis(1);
/// A frame buffer that is kept.
const FRAME_KEPT: usize = 1 << 20;
