//! Where the keys of a configuration were set, for what turns out to be wrong only when files are read.

use super::Place;
use super::load::Assignment;

/// The places of all keys that were set.
#[derive(Clone, Debug, Default)]
pub(super) struct Places(Vec<Set>);

#[derive(Clone, Debug)]
struct Set {
    /// The listener in whose table it is.
    table: Option<usize>,
    key: &'static str,
    place: Place,
    elements: Vec<Place>,
}

impl Places {
    /// Notes that a key was set, in the table of this listener or in none.
    pub(super) fn note(&mut self, table: Option<usize>, key: &'static str, assignment: &Assignment) {
        let (place, elements) = (assignment.place.clone(), assignment.elements.clone());
        self.0.push(Set { table, key, place, elements });
    }

    /// Where a key was set at last, or one of its elements.
    pub(super) fn get(&self, table: Option<usize>, key: &str, element: Option<usize>) -> Option<&Place> {
        let set = self.0.iter().rfind(|set| set.table == table && set.key == key)?;
        Some(element.and_then(|element| set.elements.get(element)).unwrap_or(&set.place))
    }
}
