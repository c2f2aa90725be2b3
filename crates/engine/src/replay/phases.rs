//! The retained messages that the subscriptions of a session still bring.
//!
//! Each message that was brought counts for all phases open at that time, because its record names none. A client
//! can open 60,000 phases with one SUBSCRIBE, so none of them has a list of its own: all share one, which says of
//! each message when it was given last.

use hashbrown::HashMap;
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

/// The messages that were given to a session since a phase began.
#[derive(Clone, Debug)]
pub struct Given {
    all: Arc<HashMap<MessageNumber, u64>>,
    since: u64,
}

impl Given {
    /// Whether this message is one of them.
    pub fn contains(&self, message: MessageNumber) -> bool {
        self.all.get(&message).is_some_and(|at| *at > self.since)
    }
}

/// The open phases of one session. Without any it keeps nothing.
#[derive(Debug, Default)]
pub(super) struct Phases(Option<Box<Open>>);

#[derive(Debug, Default)]
struct Open {
    /// When each was opened.
    since: HashMap<Box<str>, u64>,
    /// When each message was given last.
    given: HashMap<MessageNumber, u64>,
    /// Counts what is opened and given.
    now: u64,
}

impl Phases {
    /// Opens the phase of a filter, or begins it anew, behind all others.
    pub(super) fn open(&mut self, filter: &str) {
        let open = self.0.get_or_insert_default();
        open.now += 1;
        open.since.insert(filter.into(), open.now);
    }

    /// A message was given to the session.
    pub(super) fn give(&mut self, message: MessageNumber) {
        let Some(open) = &mut self.0 else { return };
        open.now += 1;
        open.given.insert(message, open.now);
    }

    /// Ends the phase of a filter.
    pub(super) fn end(&mut self, filter: &str) {
        let Some(open) = &mut self.0 else { return };
        open.since.remove(filter);
        if open.since.is_empty() {
            self.0 = None;
        }
    }

    /// The phases that are open, in the order in which they were opened.
    pub(super) fn finish(self) -> Vec<RememberedPhase> {
        let Some(open) = self.0 else { return Vec::new() };
        let all = Arc::new(open.given);
        let phase =
            |(filter, since)| RememberedPhase { filter, given: Given { all: Arc::clone(&all), since } };
        let mut phases: Vec<_> = open.since.into_iter().map(phase).collect();
        phases.sort_unstable_by_key(|phase| phase.given.since);
        phases
    }
}
