//! Between shards and a journal, whoever drives both: the broker's threads, or a simulation that has none.
//!
//! [`Scratch`] takes the records of a turn there. The [`Archive`] reads back: contents that sessions have left
//! there, and contents that are to be recorded anew before their segment is freed. What the disk cannot read is
//! not lost: who needs it waits among the [`Unread`] and tries again. Lost is what comes back twice and is not whole.

pub use crate::spans::Spans;

use noctule_engine::{
    Content, Frames, JournalState, PayloadPart, Record, RecordError, Span, content, contents,
    has_one_receiver, is_in_parts, moved_bytes, part,
};
use noctule_session::{MemoryGauge, MessageNumber, Missing, Parts, Payload, Place, Position, Publication};
use noctule_store::{Appender, Disk, FRAME_HEADER_BYTES, ReadError, Reader, State};
use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use tracing::{info, warn};

/// Buffers of one shard for the bytes of its records.
#[derive(Debug, Default)]
pub struct Scratch {
    frames: Frames,
    places: Vec<noctule_store::Position>,
}

impl Scratch {
    /// Gives records their places, tells publications theirs, and says where the journal reaches then. Nothing is
    /// left in the list.
    pub fn append(&mut self, appender: &Appender, spans: &Spans, records: &mut Vec<Record>) -> Position {
        let Self { frames, places } = self;
        places.clear();
        frames.fill(records);
        let end = appender.append(frames.bodies(), places);
        frames.tell_places(records, places.iter().map(|place| Position(place.get())));
        frames.begun().iter().for_each(|(message, first)| spans.begin(*message, *first));
        frames.spans().iter().for_each(|span| spans.end(*span));
        records.clear();
        Position(end.get())
    }

    /// Bytes of the records appended last that say what the journal knew already.
    pub fn again_bytes(&self) -> u64 {
        self.frames.again_bytes()
    }
}

/// What the state of a journal means for shards.
pub fn for_shards(state: State) -> JournalState {
    match state {
        State::Open => JournalState::Open,
        State::Full => JournalState::Full,
        State::Failing | State::ReadOnly => JournalState::Failing,
    }
}

/// Reads messages from a journal.
#[derive(Debug)]
pub struct Archive<D: Disk> {
    reader: Reader<D>,
    /// The frame read last, which often has the next message too.
    frame: Vec<u8>,
    frame_at: Position,
    /// Where the messages of that frame begin in it, by their numbers.
    begins: Vec<(MessageNumber, usize)>,
    /// Where contents stand that were moved since the last segment was freed, and that somebody else may ask for.
    moved: HashMap<MessageNumber, Position>,
    /// A long message that is being moved.
    moving: Option<Moving>,
}

/// A message of which not all parts have been moved.
#[derive(Debug)]
struct Moving {
    message: Publication,
    part_bytes: usize,
    recorded: usize,
    places: Vec<Position>,
    bytes: u64,
}

/// Why a message cannot be read now, though it is not lost.
#[derive(Debug)]
pub enum NotYet {
    /// It is not written; it will be, with the next commit.
    NotWritten,
    /// The disk has failed to read it, and may not the next time.
    Unreadable(ReadError),
}

/// Work that waits until the disk reads what it could not. `T` is a time.
#[derive(Debug)]
pub struct Unread<J, T> {
    /// What was set aside, the next to be tried first.
    waiting: VecDeque<(T, J)>,
    is_told: bool,
}

/// A message that was moved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moved {
    /// Where it stands now.
    pub position: Position,
    /// Bytes that were appended, with the headers of their frames.
    pub bytes: u64,
}

impl<D: Disk> Archive<D> {
    /// Reads through this reader.
    pub fn new(reader: Reader<D>) -> Self {
        let (frame, begins) = (Vec::new(), Vec::new());
        let (frame_at, moved, moving) = (Position::NOWHERE, HashMap::new(), None);
        Self { reader, frame, frame_at, begins, moved, moving }
    }

    /// A message that a session is owed, counted as memory.
    ///
    /// # Errors
    /// It cannot be read yet.
    pub fn load(&mut self, missing: Missing, memory: &MemoryGauge) -> Result<Content, NotYet> {
        let position = missing.position;
        Ok(match self.read(missing)? {
            Ok(Some(mut message)) => {
                message.parts = None;
                message.share = Some(memory.take(message.bytes()));
                message.place.set(position);
                Content::Found(Arc::<Publication>::new(message))
            }
            Ok(None) => lost(missing, "the frame there does not have it"),
            Err(cause) => lost(missing, &cause),
        })
    }

    /// Records a message anew, once for everybody who asks, and says where. One that is lost is nowhere. What was
    /// moved for its one receiver is not remembered: should a failed read have it ask again, it is moved again.
    ///
    /// # Errors
    /// It cannot be read yet.
    pub fn move_content(
        &mut self,
        missing: Missing,
        appender: &Appender,
        spans: &Spans,
    ) -> Result<Option<Moved>, NotYet> {
        let Missing { number, position } = missing;
        if let Some(position) = self.moved.get(&number) {
            return Ok(Some(Moved { position: *position, bytes: 0 }));
        }
        if self.moving.as_ref().is_some_and(|moving| moving.message.number == number) {
            return self.move_parts(appender, spans).map(Some);
        }
        let mut bytes = Vec::new();
        let found = self.find(position)?;
        if found.is_ok() && is_in_parts(self.from(number), number) == Ok(true) {
            return self.begin_moving(missing, appender, spans);
        }
        let moved = found.and_then(|()| {
            moved_bytes(self.from(number), number, &mut bytes).map_err(|cause| cause.to_string())
        });
        match moved {
            Ok(true) => {
                let (position, bytes) = append_frame(&bytes, appender);
                if has_one_receiver(self.from(number), number) != Ok(true) {
                    self.moved.insert(number, position);
                }
                Ok(Some(Moved { position, bytes }))
            }
            Ok(false) => {
                lost(missing, "the frame there does not have it");
                Ok(None)
            }
            Err(cause) => {
                lost(missing, &cause);
                Ok(None)
            }
        }
    }

    /// Reads a message that stands in parts, to be moved.
    fn begin_moving(
        &mut self,
        missing: Missing,
        appender: &Appender,
        spans: &Spans,
    ) -> Result<Option<Moved>, NotYet> {
        let message = match self.read(missing)? {
            Ok(Some(message)) => message,
            Ok(None) => return Ok(None),
            Err(cause) => {
                lost(missing, &cause);
                return Ok(None);
            }
        };
        let parts = message.parts.as_ref().map_or(1, |parts| parts.places.len());
        let part_bytes = message.payload.len().div_ceil(parts).max(1);
        if let Some(given_up) = self.moving.take() {
            spans.abandon(given_up.message.number);
        }
        self.moving = Some(Moving { message, part_bytes, recorded: 0, places: Vec::new(), bytes: 0 });
        self.move_parts(appender, spans).map(Some)
    }

    /// Records the parts of a long message anew, each when the one before it is written, and its record last.
    fn move_parts(&mut self, appender: &Appender, spans: &Spans) -> Result<Moved, NotYet> {
        let Some(mut moving) = self.moving.take() else { return Err(NotYet::NotWritten) };
        while moving.recorded < moving.message.payload.len() {
            let is_written = |place: &Position| place.0 < appender.written().get();
            if !moving.places.last().is_none_or(is_written) {
                self.moving = Some(moving);
                return Err(NotYet::NotWritten);
            }
            moving.record_part(appender, spans);
        }
        let (number, moved) = moving.finish(appender, spans);
        self.moved.insert(number, moved.position);
        Ok(moved)
    }

    /// A segment is free: where its messages were moved to is no longer of interest.
    pub fn forget_moves(&mut self) {
        self.moved = HashMap::new();
    }

    /// Keeps no buffer of the length of the longest message.
    pub fn give_back_room(&mut self) {
        if self.frame.capacity() > FRAME_KEPT {
            self.frame = Vec::new();
            self.frame_at = Position::NOWHERE;
        }
    }

    /// A message with its payload, or why it cannot be read.
    fn read(&mut self, missing: Missing) -> Result<Result<Option<Publication>, String>, NotYet> {
        let Missing { number, position } = missing;
        let found = self.find(position)?;
        let found =
            found.and_then(|()| content(self.from(number), number).map_err(|cause| cause.to_string()));
        match found {
            Ok(Some(message)) if message.is_payload_missing() => self.read_parts(message),
            found => Ok(found),
        }
    }

    /// Puts the payload of a message together.
    fn read_parts(&self, mut message: Publication) -> Result<Result<Option<Publication>, String>, NotYet> {
        let (mut payload, mut frame) = (Vec::new(), Vec::new());
        for place in message.parts.iter().flat_map(|parts| &parts.places) {
            let from = payload.len() as u64;
            if let Err(cause) = read_frame(&self.reader, *place, &mut frame)? {
                return Ok(Err(cause));
            }
            match part(&frame, message.number, from) {
                Ok(Some(bytes)) => payload.extend_from_slice(bytes),
                Ok(None) => return Ok(Err(format!("there is no part of it at {}", place.0))),
                Err(cause) => return Ok(Err(cause.to_string())),
            }
        }
        if payload.len() as u64 != message.payload_bytes() {
            return Ok(Err("its parts are not all of it".to_owned()));
        }
        message.payload = Payload::shared(&Arc::new(payload), 0);
        Ok(Ok(Some(message)))
    }

    /// The bytes of the frame at hand from this message on.
    fn from(&self, number: MessageNumber) -> &[u8] {
        let begin = self.begins.binary_search_by_key(&number, |(number, _)| *number);
        begin.map_or(&[], |place| &self.frame[self.begins[place].1..])
    }

    /// Learns where the messages of the frame are that has been read.
    fn index(&mut self, position: Position) -> Result<(), RecordError> {
        self.begins = contents(&self.frame)?;
        self.begins.sort_unstable();
        self.frame_at = position;
        Ok(())
    }

    /// Has the frame at this position at hand, or says why it is lost.
    fn find(&mut self, position: Position) -> Result<Result<(), String>, NotYet> {
        if self.frame_at == position {
            return Ok(Ok(()));
        }
        self.frame_at = Position::NOWHERE;
        let found = read_frame(&self.reader, position, &mut self.frame)?;
        Ok(found.and_then(|()| self.index(position).map_err(|cause| cause.to_string())))
    }
}

/// Reads the frame at this position, or says why it is lost.
fn read_frame<D: Disk>(
    reader: &Reader<D>,
    position: Position,
    frame: &mut Vec<u8>,
) -> Result<Result<(), String>, NotYet> {
    match reader.read(noctule_store::Position::new(position.0), frame) {
        Ok(()) => Ok(Ok(())),
        Err(ReadError::NotWritten) => Err(NotYet::NotWritten),
        Err(cause @ ReadError::Io { .. }) => Err(NotYet::Unreadable(cause)),
        Err(cause @ (ReadError::Released | ReadError::Damaged { .. })) => Ok(Err(cause.to_string())),
    }
}

impl<J, T: Copy + PartialOrd> Unread<J, T> {
    /// Keeps work for later. The log hears of it once, until [`done`](Self::done) finds that nothing waits any more.
    pub fn set_aside(&mut self, until: T, job: J, cause: &ReadError) {
        self.waiting.push_back((until, job));
        if !std::mem::replace(&mut self.is_told, true) {
            warn!(
                %cause,
                "the journal cannot be read: who needs that waits, nothing is freed that cannot be moved, and it is \
                 tried again every second"
            );
        }
    }

    /// Work that is to be tried again.
    pub fn due(&mut self, now: T) -> Option<J> {
        self.waiting.pop_front_if(|(until, _)| *until <= now).map(|(_, job)| job)
    }

    /// When the next work is to be tried again.
    pub fn next_due(&self) -> Option<T> {
        self.waiting.front().map(|(until, _)| *until)
    }

    /// Work is done, or set aside once more.
    pub fn done(&mut self) {
        if self.waiting.is_empty() && std::mem::take(&mut self.is_told) {
            info!("everything that was needed of the journal could be read");
        }
    }
}

impl<J, T> Default for Unread<J, T> {
    fn default() -> Self {
        Self { waiting: VecDeque::new(), is_told: false }
    }
}

impl Moving {
    fn record_part(&mut self, appender: &Appender, spans: &Spans) {
        let end = self.message.payload.len().min(self.recorded + self.part_bytes);
        let part = PayloadPart {
            message: self.message.number,
            from: self.recorded as u64,
            bytes: self.message.payload.slice(self.recorded..end),
            place: Arc::<Place>::default(),
        };
        let (place, bytes) = append_one(&Record::Part(part), appender);
        self.bytes += bytes;
        if self.places.is_empty() {
            spans.begin(self.message.number, place);
        }
        self.places.push(place);
        self.recorded = end;
    }

    /// Records where the parts stand.
    fn finish(self, appender: &Appender, spans: &Spans) -> (MessageNumber, Moved) {
        let Self { mut message, places, bytes, .. } = self;
        let number = message.number;
        message.parts = Some(Box::new(Parts { bytes: message.payload.len() as u64, places: places.into() }));
        let message = Arc::new(message);
        let (position, own_bytes) = append_one(&Record::Moved(Arc::clone(&message)), appender);
        Span::of(&message, position).into_iter().for_each(|span| spans.end(span));
        (number, Moved { position, bytes: bytes + own_bytes })
    }
}

/// Appends a record in a frame of its own; says where it stands, and the bytes of that frame.
fn append_one(record: &Record, appender: &Appender) -> (Position, u64) {
    let mut body = Vec::new();
    record.encode(&mut body);
    append_frame(&body, appender)
}

/// Appends a frame; says where it stands, and its bytes.
fn append_frame(body: &[u8], appender: &Appender) -> (Position, u64) {
    let mut places = Vec::new();
    appender.append([body], &mut places);
    let place = places.first().map_or(Position::NOWHERE, |place| Position(place.get()));
    (place, FRAME_HEADER_BYTES + body.len() as u64)
}

fn lost(missing: Missing, cause: &str) -> Content {
    let Missing { number, position } = missing;
    warn!(message = number.0, position = position.0, cause, "the journal cannot give back a message");
    Content::Lost(missing)
}

/// A frame buffer that is kept.
const FRAME_KEPT: usize = 1 << 20;

#[cfg(test)]
mod tests {
    use super::*;
    use noctule_codec::QoS;
    use noctule_engine::{Frame, FrameTarget};
    use noctule_session::{SessionNumber, SubscriptionIds};
    use noctule_store::Options;
    use noctule_store::simulated::SimulatedDisk;

    #[test]
    fn a_message_with_several_receivers_is_moved_once_and_only_that_is_remembered() {
        let disk = SimulatedDisk::new(1);
        let opened = noctule_store::open(disk, Options::default(), false, &mut |_, _| Ok(()), &mut |_, _| {});
        let mut opened = opened.expect("the disk is empty");
        let mut records = vec![published(1, 1), published(2, 2)];
        let spans = Spans::new([]);
        Scratch::default().append(&opened.appender, &spans, &mut records);
        opened.committer.commit(true).expect("it is written");
        let mut archive = Archive::new(opened.reader);
        // Both stand in the one frame of their turn.
        let position = Position(noctule_store::Position::FIRST.get());
        for (number, bytes_again) in [(1, true), (2, false)] {
            let missing = Missing { number: MessageNumber(number), position };
            let mut moved = || {
                let moved = archive.move_content(missing, &opened.appender, &spans);
                moved.expect("it is written").expect("it is there").bytes > 0
            };
            assert_eq!([moved(), moved()], [true, bytes_again], "message {number}");
        }
        assert_eq!(archive.moved.keys().copied().collect::<Vec<_>>(), [MessageNumber(2)]);
    }

    /// A publication that so many sessions are owed.
    fn published(number: u64, sessions: u64) -> Record {
        let mut message = Publication::empty(&MemoryGauge::default());
        message.number = MessageNumber(number);
        message.topic = "t".to_owned();
        let owed = |session| FrameTarget {
            session: SessionNumber(session),
            qos: QoS::AtLeastOnce,
            retain: false,
            subscription_ids: SubscriptionIds::None,
        };
        Record::Published(Box::new(Frame {
            message: Arc::new(message),
            inbound: None,
            retained: false,
            will_of: None,
            owed: (1..=sessions).map(owed).collect(),
            groups: Vec::new(),
        }))
    }

    #[test]
    fn what_was_set_aside_is_tried_again_in_its_order_once_its_time_has_come() {
        let cause = ReadError::Released;
        let mut unread = Unread::default();
        assert_eq!(unread.next_due(), None);
        unread.set_aside(10, "first", &cause);
        unread.set_aside(12, "second", &cause);
        assert_eq!((unread.next_due(), unread.due(9)), (Some(10), None));
        assert_eq!((unread.due(12), unread.due(12), unread.due(12)), (Some("first"), Some("second"), None));
    }

    #[test]
    fn the_log_hears_once_of_what_cannot_be_read_and_once_of_its_end() {
        let mut unread = Unread::default();
        for now in 0..3 {
            unread.set_aside(now, (), &ReadError::Released);
            assert!(unread.is_told);
            unread.done();
            assert!(unread.is_told && unread.due(now).is_some(), "it is still waited for");
        }
        unread.done();
        assert!(!unread.is_told);
    }
}
