//! What waits for a peer, as records tell of it after a restart: by number.
//!
//! Records come in the order of the journal, which says again at its end what counts of its beginning. So what
//! waits does not come in order, and a queue may be a million long. Once all records have been applied it becomes
//! the end of the list.

use crate::outbound::{Delivered, make_room};
use crate::{MessageNumber, Owed};
use std::collections::{BTreeMap, VecDeque};

/// Waiting deliveries by number; a message may be owed more than once.
///
/// Nearly all of them join one end, what is new the last and what was said again, from the last one to the first,
/// the front. They stand where they will stay, so that a start takes no memory that it only gives back in part.
#[derive(Clone, Debug)]
pub(crate) struct Recorded {
    in_order: VecDeque<Owed>,
    /// The others: what a later round said again belongs behind what an earlier one did.
    between: BTreeMap<(MessageNumber, u32), Owed>,
}

impl Recorded {
    pub(crate) const fn new() -> Self {
        Self { in_order: VecDeque::new(), between: BTreeMap::new() }
    }

    /// The delivery that a record tells of again. A message may be owed several times, so it has to agree in
    /// everything.
    pub(crate) fn known(&mut self, delivered: &Delivered) -> Option<&mut Owed> {
        let number = delivered.number;
        let first = self.place(number);
        let in_order = self.in_order.range_mut(first..).take_while(|owed| owed.number == number);
        let between = self.between.range_mut((number, 0)..=(number, u32::MAX)).map(|(_, owed)| owed);
        in_order.chain(between).find(|owed| {
            owed.retain == delivered.retain
                && owed.group() == delivered.group
                && owed.subscription_ids() == delivered.subscription_ids
        })
    }

    pub(crate) fn insert(&mut self, owed: Owed) {
        let number = owed.number;
        let joins_end = self.in_order.back().is_none_or(|last| last.number <= number);
        let joins_front = self.in_order.front().is_some_and(|first| number < first.number);
        if joins_end || joins_front {
            make_room(&mut self.in_order);
        }
        match (joins_end, joins_front) {
            (true, _) => self.in_order.push_back(owed),
            (false, true) => self.in_order.push_front(owed),
            (false, false) => {
                let copies = self.between.range((number, 0)..=(number, u32::MAX)).next_back();
                let copy = copies.map_or(0, |((_, copy), _)| copy + 1);
                self.between.insert((number, copy), owed);
            }
        }
    }

    /// The first delivery of this message.
    pub(crate) fn find(&self, number: MessageNumber) -> Option<&Owed> {
        let in_order = self.in_order.get(self.place(number)).filter(|owed| owed.number == number);
        in_order.or_else(|| self.between.get(&self.key_between(number)?))
    }

    /// Takes out the first delivery of this message.
    pub(crate) fn take(&mut self, number: MessageNumber) -> Option<Owed> {
        let place = self.place(number);
        if self.in_order.get(place).is_some_and(|owed| owed.number == number) {
            return self.in_order.remove(place);
        }
        let key = self.key_between(number)?;
        self.between.remove(&key)
    }

    /// All of them, in no particular order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Owed> {
        self.in_order.iter().chain(self.between.values())
    }

    /// All of them in order, to keep.
    pub(crate) fn into_owed(self) -> VecDeque<Owed> {
        let Self { mut in_order, between } = self;
        if !between.is_empty() {
            in_order.reserve_exact(between.len());
            in_order.extend(between.into_values());
            in_order.make_contiguous().sort_by_key(|owed| owed.number);
        }
        in_order
    }

    /// The place of the first delivery of this message among those in order, or where it would be.
    ///
    /// What a record tells of is nearly always new, and a search of a long list is the most of a start: it reads
    /// memory here and there.
    fn place(&self, number: MessageNumber) -> usize {
        if self.in_order.back().is_none_or(|last| last.number < number) {
            return self.in_order.len();
        }
        self.in_order.partition_point(|owed| owed.number < number)
    }

    /// The first delivery of this message among the others.
    fn key_between(&self, number: MessageNumber) -> Option<(MessageNumber, u32)> {
        self.between.range((number, 0)..=(number, u32::MAX)).next().map(|(key, _)| *key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::message;
    use crate::{Publication, SubscriptionIds};
    use noctule_codec::QoS;
    use proptest::prelude::*;
    use std::sync::Arc;

    fn owed(number: u64, retain: bool) -> Owed {
        let message = Arc::new(Publication { number: MessageNumber(number), ..message(1) });
        Owed::new(message, QoS::AtLeastOnce, retain, SubscriptionIds::None)
    }

    /// What is told apart: the number, and which copy it is.
    fn seen(owed: &Owed) -> (u64, bool) {
        (owed.number.0, owed.retain)
    }

    proptest! {
        #[test]
        fn whatever_the_order_of_the_records_it_is_sorted_in_the_end(
            steps in prop::collection::vec((0..12_u64, prop::option::weighted(0.8, any::<bool>())), 0..60),
        ) {
            let mut recorded = Recorded::new();
            let mut model: Vec<(u64, bool)> = Vec::new();
            for (number, retain) in steps {
                let found = recorded.find(MessageNumber(number)).map(seen);
                prop_assert_eq!(found.is_some(), model.iter().any(|(other, _)| *other == number));
                match retain {
                    Some(retain) => {
                        let delivered = owed(number, retain).delivered();
                        let is_known = recorded.known(&delivered).is_some();
                        prop_assert_eq!(is_known, model.contains(&(number, retain)));
                        recorded.insert(owed(number, retain));
                        model.push((number, retain));
                    }
                    None => {
                        let taken = recorded.take(MessageNumber(number)).as_ref().map(seen);
                        prop_assert_eq!(taken, found);
                        let place = model.iter().position(|other| Some(*other) == found);
                        place.map(|place| model.remove(place));
                    }
                }
                prop_assert_eq!(recorded.iter().count(), model.len());
            }
            let kept: Vec<u64> = recorded.into_owed().iter().map(|owed| owed.number.0).collect();
            let mut expected: Vec<u64> = model.iter().map(|(number, _)| *number).collect();
            expected.sort_unstable();
            prop_assert_eq!(kept, expected);
        }
    }
}
