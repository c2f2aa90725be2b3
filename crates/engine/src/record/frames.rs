//! The records of one turn as the bodies of frames.

use super::Record;
use crate::Span;
use noctule_session::{MessageNumber, Position, Publication, SessionChange};

/// Makes frames of records, and tells publications where they stand.
#[derive(Debug, Default)]
pub struct Frames {
    bytes: Vec<u8>,
    ends: Vec<End>,
    again_bytes: u64,
    begun: Vec<(MessageNumber, Position)>,
    spans: Vec<Span>,
}

/// Where a frame ends.
#[derive(Clone, Copy, Debug)]
struct End {
    /// In the bytes.
    byte: usize,
    /// Among the records.
    record: usize,
}

impl Frames {
    /// Becomes the frames of these records. A frame ends with the record that makes it long, so that one look-up
    /// of a message does not read a whole burst.
    pub fn fill(&mut self, records: &[Record]) {
        self.clear();
        for (number, record) in (1..).zip(records) {
            let before = self.bytes.len();
            record.encode(&mut self.bytes);
            if says_again(record) {
                self.again_bytes += (self.bytes.len() - before) as u64;
            }
            let is_long = self.bytes.len() - self.last_end() >= FRAME_BYTES;
            if is_long || number == records.len() {
                self.ends.push(End { byte: self.bytes.len(), record: number });
            }
        }
    }

    /// The bodies of the frames, in order.
    pub fn bodies(&self) -> impl Iterator<Item = &[u8]> {
        let begins = [0].into_iter().chain(self.ends.iter().map(|end| end.byte));
        begins.zip(&self.ends).map(|(begin, end)| &self.bytes[begin..end.byte])
    }

    /// Bytes of records that say what the journal knew already, because it is about to forget.
    pub fn again_bytes(&self) -> u64 {
        self.again_bytes
    }

    /// The frames stand at these positions: the publications in them are told.
    pub fn tell_places(&mut self, records: &[Record], places: impl IntoIterator<Item = Position>) {
        let mut begin = 0;
        let Self { ends, begun, spans, .. } = self;
        for (end, place) in ends.iter().zip(places) {
            for record in &records[begin..end.record] {
                tell_place(record, place);
                note_parts(record, place, begun, spans);
            }
            begin = end.record;
        }
    }

    /// Messages whose first part is in these frames, and where that stands.
    pub fn begun(&self) -> &[(MessageNumber, Position)] {
        &self.begun
    }

    /// Messages with parts whose record is in these frames.
    pub fn spans(&self) -> &[Span] {
        &self.spans
    }

    fn last_end(&self) -> usize {
        self.ends.last().map_or(0, |end| end.byte)
    }

    fn clear(&mut self) {
        self.bytes.clear();
        self.bytes.shrink_to(BYTES_KEPT);
        self.ends.clear();
        self.again_bytes = 0;
        self.begun.clear();
        self.spans.clear();
    }
}

fn tell_place(record: &Record, position: Position) {
    let publication = |message: &Publication| message.place.set(position);
    match record {
        Record::Published(frame) => publication(&frame.message),
        Record::Part(part) => part.place.set(position),
        Record::Retained(message) | Record::GroupOwed { message, .. } => message.kept.set(position),
        _ => {}
    }
}

#[inline]
fn note_parts(
    record: &Record,
    position: Position,
    begun: &mut Vec<(MessageNumber, Position)>,
    spans: &mut Vec<Span>,
) {
    match record {
        Record::Part(part) if part.from == 0 => begun.push((part.message, position)),
        Record::Published(frame) => spans.extend(Span::of(&frame.message, position)),
        _ => {}
    }
}

fn says_again(record: &Record) -> bool {
    match record {
        Record::Moved(_) | Record::Retained(_) | Record::GroupOwed { .. } => true,
        Record::Session { change, .. } => matches!(change, SessionChange::Held { .. }),
        _ => false,
    }
}

/// A frame is long from here on.
const FRAME_BYTES: usize = 64 << 10;
/// Room that is kept for the next turn.
const BYTES_KEPT: usize = 1 << 20;
