//! The retained messages that the subscriptions of a session still bring.
//!
//! They do so one after the other. So what was brought was brought by the first of them, and no other has a list: a
//! client can open 60,000 phases with one SUBSCRIBE.

use hashbrown::{HashMap, HashSet};
use noctule_session::MessageNumber;
use std::collections::BTreeMap;
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
    /// By their places in the order.
    filters: BTreeMap<u64, Arc<str>>,
    places: HashMap<Arc<str>, u64>,
    next: u64,
    /// What the first one has brought.
    given: HashSet<MessageNumber>,
}

impl Phases {
    /// Opens the phase of a filter, or begins it anew, behind all others.
    pub(super) fn open(&mut self, filter: &str) {
        let open = self.0.get_or_insert_default();
        open.remove(filter);
        open.push(filter);
    }

    /// A message was given to the session.
    pub(super) fn give(&mut self, message: MessageNumber) {
        self.0.iter_mut().for_each(|open| _ = open.given.insert(message));
    }

    /// The phase of a filter is open and has brought these messages. One that has brought any is the first.
    pub(super) fn go_on(&mut self, filter: &str, messages: &[MessageNumber]) {
        let open = self.0.get_or_insert_default();
        if !open.places.contains_key(filter) {
            open.push(filter);
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
        let filters = open.filters.into_values();
        filters
            .map(|filter| RememberedPhase { filter: (&*filter).into(), given: std::mem::take(&mut given) })
            .collect()
    }
}

impl Open {
    fn push(&mut self, filter: &str) {
        let filter: Arc<str> = filter.into();
        self.places.insert(Arc::clone(&filter), self.next);
        self.filters.insert(self.next, filter);
        self.next += 1;
    }

    fn remove(&mut self, filter: &str) {
        let Some(place) = self.places.remove(filter) else { return };
        if self.filters.first_key_value().is_some_and(|(first, _)| *first == place) {
            self.given = HashSet::new();
        }
        self.filters.remove(&place);
    }
}
