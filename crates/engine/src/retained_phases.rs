//! The retained messages that the subscriptions of one session still bring, in the order of the subscriptions.

use crate::filters_in_order::{FiltersInOrder, Place};
use crate::replay::Given;
use noctule_session::Subscription;
use noctule_topic::{RetainedCursor, TopicFilter};
use std::sync::Arc;

/// The retained messages that one subscription still brings.
#[derive(Debug)]
pub(crate) struct RetainedPhase {
    /// How far the look-up has come.
    pub(crate) cursor: RetainedCursor,
    /// The subscription.
    pub(crate) subscription: Subscription,
    /// What it brought before a restart, of which the cursor knows nothing.
    pub(crate) given: Given,
}

/// The phases of one session, at most one for a filter. A session without any keeps no room for them.
#[derive(Debug, Default)]
pub(crate) struct RetainedPhases(Option<Box<Phases>>);

#[derive(Debug, Default)]
struct Phases {
    /// By their filters as the client wrote them.
    list: FiltersInOrder<RetainedPhase>,
    /// The SUBACKs of the phases before this place have left.
    open_before: Place,
}

impl RetainedPhase {
    pub(crate) fn new(filter: &TopicFilter, subscription: Subscription) -> Self {
        Self { cursor: RetainedCursor::new(filter), subscription, given: Given::default() }
    }
}

impl RetainedPhases {
    /// Adds the phase of a filter at the end; one that the filter already has ends.
    pub(crate) fn push(&mut self, filter: &str, phase: RetainedPhase) {
        self.0.get_or_insert_default().list.push(filter, phase);
    }

    /// Ends the phase of a filter.
    pub(crate) fn remove(&mut self, filter: &str) {
        self.0.iter_mut().for_each(|phases| _ = phases.list.remove(filter));
        self.give_back_room();
    }

    /// The phase of a filter.
    pub(crate) fn get_mut(&mut self, filter: &str) -> Option<&mut RetainedPhase> {
        self.0.as_mut()?.list.get_mut(filter)
    }

    /// All of them with their filters, in their order. The first brings its messages before the second begins.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&Arc<str>, &RetainedPhase)> {
        self.0.iter().flat_map(|phases| phases.list.iter())
    }

    /// Whether none is left.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.as_ref().is_none_or(|phases| phases.list.is_empty())
    }

    /// Lets every phase there is follow its SUBACK, which has left.
    pub(crate) fn open(&mut self) {
        self.0.iter_mut().for_each(|phases| phases.open_before = phases.list.end());
    }

    /// Whether the first phase may send.
    pub(crate) fn has_open(&self) -> bool {
        let is_open = |phases: &Phases| phases.list.first().is_some_and(|first| first < phases.open_before);
        self.0.as_deref().is_some_and(is_open)
    }

    /// Takes out the first phase, if it may send: to be put back, or done with.
    pub(crate) fn take_open(&mut self) -> Option<(Place, Arc<str>, RetainedPhase)> {
        if !self.has_open() {
            return None;
        }
        self.0.as_mut()?.list.pop_first()
    }

    /// Puts a phase where it was.
    pub(crate) fn put_back(&mut self, place: Place, filter: Arc<str>, phase: RetainedPhase) {
        self.0.get_or_insert_default().list.put_back(place, filter, phase);
    }

    /// Gives back the room of phases once there is none; an empty B-tree keeps 1.6 KB.
    pub(crate) fn give_back_room(&mut self) {
        if self.is_empty() {
            self.0 = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn push(phases: &mut RetainedPhases, filter: &str, id: u32) {
        let subscription = Subscription { id: Some(id), ..Subscription::default() };
        let parsed = TopicFilter::parse(filter).expect("a filter");
        phases.push(filter, RetainedPhase::new(&parsed, subscription));
    }

    /// The identifiers of the phases that may send, in their order.
    fn take_all(phases: &mut RetainedPhases) -> Vec<u32> {
        std::iter::from_fn(|| phases.take_open()).filter_map(|(_, _, phase)| phase.subscription.id).collect()
    }

    #[test]
    fn a_phase_waits_for_its_suback() {
        let mut phases = RetainedPhases::default();
        push(&mut phases, "a", 1);
        assert!(take_all(&mut phases).is_empty());
        phases.open();
        push(&mut phases, "b", 2);
        assert_eq!(take_all(&mut phases), [1]);
        phases.open();
        assert_eq!(take_all(&mut phases), [2]);
        assert!(phases.is_empty());
    }

    #[test]
    fn a_filter_has_one_phase_and_the_last_one_counts() {
        let mut phases = RetainedPhases::default();
        for (filter, id) in [("a", 1), ("b", 2), ("a", 3), ("c", 4)] {
            push(&mut phases, filter, id);
        }
        phases.remove("c");
        phases.open();
        assert_eq!(take_all(&mut phases), [2, 3]);
        phases.give_back_room();
        assert!(phases.0.is_none(), "it keeps no room");
        push(&mut phases, "a", 1);
        phases.remove("a");
        assert!(phases.0.is_none(), "it keeps no room");
    }

    #[test]
    fn a_phase_that_is_not_done_stays_the_first_and_can_end() {
        let mut phases = RetainedPhases::default();
        push(&mut phases, "a", 1);
        push(&mut phases, "b", 2);
        phases.open();
        let (place, filter, first) = phases.take_open().expect("it is open");
        phases.put_back(place, filter, first);
        phases.get_mut("a").expect("it is there").subscription.id = Some(7);
        assert_eq!(take_all(&mut phases), [7, 2]);

        push(&mut phases, "a", 1);
        phases.open();
        let (place, filter, first) = phases.take_open().expect("it is open");
        phases.put_back(place, filter, first);
        phases.remove("a");
        assert!(take_all(&mut phases).is_empty());
    }
}
