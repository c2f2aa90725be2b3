//! The retained messages that the subscriptions of one session still bring, in the order of the subscriptions.
//!
//! A client can have as many phases as subscriptions, and it changes one with a few bytes. So nothing here
//! looks at all of them: a SUBSCRIBE of 60,000 filters costs 60,000 steps.

use hashbrown::HashMap;
use noctule_session::Subscription;
use noctule_topic::{RetainedCursor, TopicFilter};
use std::collections::BTreeMap;
use std::sync::Arc;

/// The retained messages that one subscription still brings.
#[derive(Debug)]
pub(crate) struct RetainedPhase {
    /// The filter as the client wrote it.
    filter: Arc<str>,
    /// How far the look-up has come.
    pub(crate) cursor: RetainedCursor,
    /// The subscription.
    pub(crate) subscription: Subscription,
}

/// Where a phase stands in the order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Place(u64);

/// The phases of one session, at most one for a filter.
#[derive(Debug, Default)]
pub(crate) struct RetainedPhases {
    phases: BTreeMap<Place, RetainedPhase>,
    places: HashMap<Arc<str>, Place>,
    next: u64,
    /// The SUBACKs of the phases before this place have left.
    open_before: u64,
}

impl RetainedPhase {
    pub(crate) fn new(text: &str, filter: &TopicFilter, subscription: Subscription) -> Self {
        Self { filter: text.into(), cursor: RetainedCursor::new(filter), subscription }
    }
}

impl RetainedPhases {
    /// Adds a phase at the end; one that its filter already has ends.
    pub(crate) fn push(&mut self, phase: RetainedPhase) {
        self.remove(&phase.filter);
        let place = Place(self.next);
        self.next += 1;
        self.put_back(place, phase);
    }

    /// Ends the phase of a filter.
    pub(crate) fn remove(&mut self, filter: &str) {
        if let Some(place) = self.places.remove(filter) {
            self.phases.remove(&place);
        }
    }

    /// The phase of a filter.
    pub(crate) fn get_mut(&mut self, filter: &str) -> Option<&mut RetainedPhase> {
        self.phases.get_mut(self.places.get(filter)?)
    }

    /// Whether none is left.
    pub(crate) fn is_empty(&self) -> bool {
        self.phases.is_empty()
    }

    /// Lets every phase there is follow its SUBACK, which has left.
    pub(crate) fn open(&mut self) {
        self.open_before = self.next;
    }

    /// Whether the first phase may send.
    pub(crate) fn has_open(&self) -> bool {
        self.phases.first_key_value().is_some_and(|(place, _)| place.0 < self.open_before)
    }

    /// Takes out the first phase, if it may send.
    pub(crate) fn take_open(&mut self) -> Option<(Place, RetainedPhase)> {
        if !self.has_open() {
            return None;
        }
        let (place, phase) = self.phases.pop_first()?;
        self.places.remove(&phase.filter);
        Some((place, phase))
    }

    /// Puts a phase where it was.
    pub(crate) fn put_back(&mut self, place: Place, phase: RetainedPhase) {
        self.places.insert(Arc::clone(&phase.filter), place);
        self.phases.insert(place, phase);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn phase(filter: &str, id: u32) -> RetainedPhase {
        let subscription = Subscription { id: Some(id), ..Subscription::default() };
        RetainedPhase::new(filter, &TopicFilter::parse(filter).expect("a filter"), subscription)
    }

    /// The identifiers of the phases that may send, in their order.
    fn take_all(phases: &mut RetainedPhases) -> Vec<u32> {
        std::iter::from_fn(|| phases.take_open()).filter_map(|(_, phase)| phase.subscription.id).collect()
    }

    #[test]
    fn a_phase_waits_for_its_suback() {
        let mut phases = RetainedPhases::default();
        phases.push(phase("a", 1));
        assert_eq!(take_all(&mut phases), []);
        phases.open();
        phases.push(phase("b", 2));
        assert_eq!(take_all(&mut phases), [1]);
        phases.open();
        assert_eq!(take_all(&mut phases), [2]);
        assert!(phases.is_empty());
    }

    #[test]
    fn a_filter_has_one_phase_and_the_last_one_counts() {
        let mut phases = RetainedPhases::default();
        for (filter, id) in [("a", 1), ("b", 2), ("a", 3), ("c", 4)] {
            phases.push(phase(filter, id));
        }
        phases.remove("c");
        phases.open();
        assert_eq!(take_all(&mut phases), [2, 3]);
        assert!(phases.places.is_empty());
    }

    #[test]
    fn a_phase_that_is_not_done_stays_the_first_and_can_end() {
        let mut phases = RetainedPhases::default();
        phases.push(phase("a", 1));
        phases.push(phase("b", 2));
        phases.open();
        let (place, first) = phases.take_open().expect("it is open");
        phases.put_back(place, first);
        phases.get_mut("a").expect("it is there").subscription.id = Some(7);
        assert_eq!(take_all(&mut phases), [7, 2]);

        phases.push(phase("a", 1));
        phases.open();
        let (place, first) = phases.take_open().expect("it is open");
        phases.put_back(place, first);
        phases.remove("a");
        assert_eq!(take_all(&mut phases), []);
    }
}
