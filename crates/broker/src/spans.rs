//! Which contents stand in more than one place of the journal.
//!
//! A long payload is recorded in parts in front of the record that counts. The journal frees its oldest segment when
//! everything that still counts of it has been said again, and finds that by the places of records. So where parts
//! stand in the segment and their record behind it, what is said again has to reach up to that record; and while
//! parts have no record yet, their segment stays.

use noctule_engine::Span;
use noctule_session::{MessageNumber, Position};
use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// The contents of a running journal that stand in parts, of which there are as many as long messages.
#[derive(Debug, Default)]
pub struct Spans(Mutex<BTreeMap<(Position, MessageNumber), Option<Position>>>);

impl Spans {
    /// What a journal remembers.
    pub fn new(remembered: impl IntoIterator<Item = Span>) -> Self {
        let spans = Self::default();
        remembered.into_iter().for_each(|span| spans.end(span));
        spans
    }

    /// The first part of a content stands here; its record comes.
    pub(crate) fn begin(&self, message: MessageNumber, first: Position) {
        self.lock().entry((first, message)).or_default();
    }

    /// The record of a content has its place.
    pub(crate) fn end(&self, Span { message, first, record }: Span) {
        self.lock().insert((first, message), Some(record));
    }

    /// The record of this message does not come.
    pub fn abandon(&self, message: MessageNumber) {
        self.lock().retain(|(_, number), record| record.is_some() || *number != message);
    }

    /// Up to where everything has to be said again before what stands in front of `before` is freed; nothing if that
    /// cannot be freed yet.
    pub fn limit(&self, before: Position) -> Option<Position> {
        let spans = self.lock();
        let mut reached = spans.range(..(before, MessageNumber(0))).map(|(_, record)| *record);
        // One more than the place of the record, so that it counts as standing in front of it.
        reached.try_fold(before, |limit, record| Some(limit.max(Position(record?.0 + 1))))
    }

    /// What stands in front of this is free.
    pub fn forget(&self, before: Position) {
        let mut spans = self.lock();
        *spans = spans.split_off(&(before, MessageNumber(0)));
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<(Position, MessageNumber), Option<Position>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn span(message: u64, first: u64, record: u64) -> Span {
        Span { message: MessageNumber(message), first: Position(first), record: Position(record) }
    }

    #[test]
    fn what_is_said_again_reaches_up_to_the_record_of_parts_that_are_freed() {
        let spans = Spans::new([span(1, 10, 30), span(2, 20, 150), span(3, 110, 200)]);
        assert_eq!(spans.limit(Position(10)), Some(Position(10)));
        assert_eq!(spans.limit(Position(20)), Some(Position(31).max(Position(20))));
        assert_eq!(spans.limit(Position(100)), Some(Position(151)));
        spans.forget(Position(100));
        assert_eq!(spans.limit(Position(100)), Some(Position(100)));
        assert_eq!(spans.limit(Position(111)), Some(Position(201)));
    }

    #[test]
    fn parts_without_a_record_keep_their_segment_until_it_comes_or_is_given_up() {
        let spans = Spans::default();
        spans.begin(MessageNumber(1), Position(10));
        assert_eq!(spans.limit(Position(10)), Some(Position(10)));
        assert_eq!(spans.limit(Position(11)), None);
        spans.end(span(1, 10, 12));
        spans.abandon(MessageNumber(1));
        assert_eq!(spans.limit(Position(11)), Some(Position(13)));
        spans.begin(MessageNumber(2), Position(10));
        assert_eq!(spans.limit(Position(11)), None);
        spans.abandon(MessageNumber(2));
        assert_eq!(spans.limit(Position(11)), Some(Position(13)));
    }
}
