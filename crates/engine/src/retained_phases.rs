//! The retained messages that the subscriptions of one session still bring, in the order of the subscriptions.
//!
//! A client can have as many phases as subscriptions, and it changes one with a few bytes. So nothing here
//! looks at all of them: a SUBSCRIBE of 60,000 filters costs 60,000 steps.

use crate::replay::Given;
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
    /// What it brought before a restart, of which the cursor knows nothing.
    pub(crate) given: Given,
}

/// Where a phase stands in the order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Place(u64);

/// The phases of one session, at most one for a filter. A session without any keeps no room for them.
#[derive(Debug, Default)]
pub(crate) struct RetainedPhases(Option<Box<Phases>>);

#[derive(Debug, Default)]
struct Phases {
    by_place: BTreeMap<Place, RetainedPhase>,
    places: HashMap<Arc<str>, Place>,
    next: u64,
    /// The SUBACKs of the phases before this place have left.
    open_before: u64,
}

impl RetainedPhase {
    pub(crate) fn new(text: &str, filter: &TopicFilter, subscription: Subscription) -> Self {
        let cursor = RetainedCursor::new(filter);
        Self { filter: text.into(), cursor, subscription, given: Given::default() }
    }

    pub(crate) fn filter(&self) -> &Arc<str> {
        &self.filter
    }

    pub(crate) fn into_filter(self) -> Box<str> {
        (&*self.filter).into()
    }
}

impl RetainedPhases {
    /// Adds a phase at the end; one that its filter already has ends.
    pub(crate) fn push(&mut self, phase: RetainedPhase) {
        let phases = self.0.get_or_insert_default();
        phases.remove(&phase.filter);
        let place = Place(phases.next);
        phases.next += 1;
        phases.put_back(place, phase);
    }

    /// Ends the phase of a filter.
    pub(crate) fn remove(&mut self, filter: &str) {
        self.0.iter_mut().for_each(|phases| phases.remove(filter));
        self.give_back_room();
    }

    /// The phase of a filter.
    pub(crate) fn get_mut(&mut self, filter: &str) -> Option<&mut RetainedPhase> {
        let phases = self.0.as_mut()?;
        phases.by_place.get_mut(phases.places.get(filter)?)
    }

    /// All of them in their order. The first brings its messages before the second begins.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &RetainedPhase> {
        self.0.iter().flat_map(|phases| phases.by_place.values())
    }

    /// Whether none is left.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.as_ref().is_none_or(|phases| phases.by_place.is_empty())
    }

    /// Lets every phase there is follow its SUBACK, which has left.
    pub(crate) fn open(&mut self) {
        self.0.iter_mut().for_each(|phases| phases.open_before = phases.next);
    }

    /// Whether the first phase may send.
    pub(crate) fn has_open(&self) -> bool {
        let first = |phases: &Phases| phases.by_place.first_key_value().map(|(place, _)| place.0);
        self.0.as_ref().is_some_and(|phases| first(phases).is_some_and(|first| first < phases.open_before))
    }

    /// Takes out the first phase, if it may send: to be put back, or done with.
    pub(crate) fn take_open(&mut self) -> Option<(Place, RetainedPhase)> {
        if !self.has_open() {
            return None;
        }
        let phases = self.0.as_mut()?;
        let (place, phase) = phases.by_place.pop_first()?;
        phases.places.remove(&phase.filter);
        Some((place, phase))
    }

    /// Puts a phase where it was.
    pub(crate) fn put_back(&mut self, place: Place, phase: RetainedPhase) {
        self.0.get_or_insert_default().put_back(place, phase);
    }

    /// Gives back the room of phases once there is none; an empty B-tree keeps 1.6 KB.
    pub(crate) fn give_back_room(&mut self) {
        if self.is_empty() {
            self.0 = None;
        }
    }
}

impl Phases {
    fn remove(&mut self, filter: &str) {
        if let Some(place) = self.places.remove(filter) {
            self.by_place.remove(&place);
        }
    }

    fn put_back(&mut self, place: Place, phase: RetainedPhase) {
        self.places.insert(Arc::clone(&phase.filter), place);
        self.by_place.insert(place, phase);
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
        assert!(take_all(&mut phases).is_empty());
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
        phases.give_back_room();
        assert!(phases.0.is_none(), "it keeps no room");
        phases.push(phase("a", 1));
        phases.remove("a");
        assert!(phases.0.is_none(), "it keeps no room");
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
        assert!(take_all(&mut phases).is_empty());
    }
}
