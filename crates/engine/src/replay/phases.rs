//! The retained messages that the subscriptions of a session still bring.
//!
//! They do so one after the other. So what was brought was brought by the first of them, and no other has a list: a
//! client can open 60,000 phases with one SUBSCRIBE.

use crate::filters_in_order::FiltersInOrder;
use hashbrown::HashSet;
use noctule_session::MessageNumber;
use std::sync::Arc;

/// A subscription that still brings retained messages.
#[derive(Debug)]
pub struct RememberedPhase {
    /// The filter as the client wrote it.
    pub filter: Box<str>,
    /// What it has brought already.
    pub given: Given,
}

/// The messages that a phase has brought.
#[derive(Clone, Debug, Default)]
pub struct Given(Option<Arc<HashSet<MessageNumber>>>);

impl Given {
    /// Whether this message is one of them.
    pub fn contains(&self, message: MessageNumber) -> bool {
        self.0.as_ref().is_some_and(|given| given.contains(&message))
    }

    /// All of them, in no particular order.
    pub fn iter(&self) -> impl Iterator<Item = MessageNumber> {
        self.0.iter().flat_map(|given| given.iter().copied())
    }
}

/// The open phases of one session. Without any it keeps nothing.
#[derive(Debug, Default)]
pub(super) struct Phases(Option<Box<Open>>);

#[derive(Debug, Default)]
struct Open {
    filters: FiltersInOrder<()>,
    /// What the first one has brought.
    given: HashSet<MessageNumber>,
}

impl Phases {
    /// Opens the phase of a filter, or begins it anew, behind all others.
    pub(super) fn open(&mut self, filter: &str) {
        let open = self.0.get_or_insert_default();
        open.remove(filter);
        open.filters.push(filter, ());
    }

    /// A message was given to the session.
    pub(super) fn give(&mut self, message: MessageNumber) {
        self.0.iter_mut().for_each(|open| _ = open.given.insert(message));
    }

    /// The phase of a filter is open and has brought these messages. One that has brought any is the first.
    pub(super) fn go_on(&mut self, filter: &str, messages: &[MessageNumber]) {
        let open = self.0.get_or_insert_default();
        if !open.filters.contains(filter) {
            open.filters.push(filter, ());
        }
        open.given.extend(messages);
    }

    /// Ends the phase of a filter.
    pub(super) fn end(&mut self, filter: &str) {
        let Some(open) = &mut self.0 else { return };
        open.remove(filter);
        if open.filters.is_empty() {
            self.0 = None;
        }
    }

    /// The phases that are open, in the order in which they were opened.
    pub(super) fn finish(self) -> Vec<RememberedPhase> {
        let Some(open) = self.0 else { return Vec::new() };
        let mut given = Given(Some(Arc::new(open.given)));
        let phase = |filter: &Arc<str>| RememberedPhase {
            filter: (&**filter).into(),
            given: std::mem::take(&mut given),
        };
        open.filters.iter().map(|(filter, ())| filter).map(phase).collect()
    }
}

impl Open {
    fn remove(&mut self, filter: &str) {
        if self.filters.remove(filter) {
            self.given = HashSet::new();
        }
    }
}
