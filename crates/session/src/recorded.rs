//! What waits for a peer, as records tell of it after a restart: by number.
//!
//! Records come in the order of the journal, which says again at its end what counts of its beginning. So what
//! waits does not come in order, and a queue may be a million long. Once all records have been applied it becomes
//! the end of the list.

use crate::outbound::Delivered;
use crate::{MessageNumber, Owed};
use std::collections::BTreeMap;

/// Waiting deliveries by number; a message may be owed more than once.
#[derive(Clone, Debug)]
pub(crate) struct Recorded(BTreeMap<(MessageNumber, u32), Owed>);

impl Recorded {
    pub(crate) const fn new() -> Self {
        Self(BTreeMap::new())
    }

    /// The delivery that a record tells of again. A message may be owed several times, so it has to agree in
    /// everything.
    pub(crate) fn known(&mut self, delivered: &Delivered) -> Option<&mut Owed> {
        self.of(delivered.number).find(|owed| {
            owed.retain == delivered.retain
                && owed.group() == delivered.group
                && owed.subscription_ids() == delivered.subscription_ids
        })
    }

    pub(crate) fn insert(&mut self, owed: Owed) {
        let number = owed.number;
        let copies = self.0.range((number, 0)..=(number, u32::MAX)).next_back();
        let copy = copies.map_or(0, |((_, copy), _)| copy + 1);
        self.0.insert((number, copy), owed);
    }

    /// The first delivery of this message.
    pub(crate) fn find(&self, number: MessageNumber) -> Option<&Owed> {
        self.0.range((number, 0)..=(number, u32::MAX)).next().map(|(_, owed)| owed)
    }

    /// Takes out the first delivery of this message.
    pub(crate) fn take(&mut self, number: MessageNumber) -> Option<Owed> {
        let key = *self.0.range((number, 0)..=(number, u32::MAX)).next()?.0;
        self.0.remove(&key)
    }

    /// All of them in order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Owed> {
        self.0.values()
    }

    /// Whether there is none.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// All of them in order, to keep.
    pub(crate) fn into_owed(self) -> impl Iterator<Item = Owed> {
        self.0.into_values()
    }

    fn of(&mut self, number: MessageNumber) -> impl Iterator<Item = &mut Owed> {
        self.0.range_mut((number, 0)..=(number, u32::MAX)).map(|(_, owed)| owed)
    }
}
