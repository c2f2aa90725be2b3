//! The sessions of a shard, by place and by client id.
//!
//! A million sessions may come and go, so the tables hold only where a session is: what doubles, and what stays
//! when sessions are gone, are a few bytes for each. The client id is read where the session has it.

use crate::resident::Resident;
use hashbrown::{DefaultHashBuilder, HashTable};
use slab::Slab;
use std::hash::BuildHasher as _;
use std::ops::{Index, IndexMut};

/// Sessions by place; a place is used again when its session has ended.
#[derive(Debug, Default)]
pub(crate) struct Sessions {
    residents: Slab<Box<Resident>>,
    /// Places by the hash of the client id.
    places: HashTable<u32>,
    hasher: DefaultHashBuilder,
}

impl Sessions {
    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.residents.len()
    }

    /// The session at a place, if there is one.
    pub(crate) fn get_mut(&mut self, slot: usize) -> Option<&mut Resident> {
        self.residents.get_mut(slot).map(|resident| &mut **resident)
    }

    /// The first place from this one on that has a session.
    pub(crate) fn next_from(&self, slot: usize) -> Option<usize> {
        (slot..self.residents.capacity()).find(|slot| self.residents.contains(*slot))
    }

    /// The place of a client's session.
    pub(crate) fn find(&self, client_id: &str) -> Option<usize> {
        let is_it = |place: &u32| *self[*place as usize].session.client_id == *client_id;
        self.places.find(self.hasher.hash_one(client_id), is_it).map(|place| *place as usize)
    }

    /// Takes the session of a client that has none, and gives it a place.
    pub(crate) fn insert(&mut self, resident: Resident) -> usize {
        debug_assert!(self.find(&resident.session.client_id).is_none(), "a client has one session");
        let Self { residents, places, hasher } = self;
        let hash = hasher.hash_one(&*resident.session.client_id);
        let slot = residents.insert(Box::new(resident));
        let place = u32::try_from(slot).expect("sessions are bounded by memory");
        places.insert_unique(hash, place, |place| hash_of(*place, residents, hasher));
        slot
    }

    /// Takes out the session at a place, which there is.
    pub(crate) fn remove(&mut self, slot: usize) -> Resident {
        let Self { residents, places, hasher } = self;
        let hash = hasher.hash_one(&*residents[slot].session.client_id);
        if let Ok(entry) = places.find_entry(hash, |place| *place as usize == slot) {
            entry.remove();
        }
        let resident = residents.remove(slot);
        if residents.is_empty() {
            *residents = Slab::new();
        }
        // Half of the room stays free, so that the next sessions do not grow the table at once.
        if places.len() < places.capacity() / 8 {
            places.shrink_to(places.len() * 2, |place| hash_of(*place, residents, hasher));
        }
        *resident
    }

    /// All of them with their places, to change.
    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = (usize, &mut Resident)> {
        self.residents.iter_mut().map(|(slot, resident)| (slot, &mut **resident))
    }

    /// All of them with their places.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (usize, &Resident)> {
        self.residents.iter().map(|(slot, resident)| (slot, &**resident))
    }
}

impl Index<usize> for Sessions {
    type Output = Resident;

    fn index(&self, slot: usize) -> &Resident {
        &self.residents[slot]
    }
}

impl IndexMut<usize> for Sessions {
    fn index_mut(&mut self, slot: usize) -> &mut Resident {
        &mut self.residents[slot]
    }
}

fn hash_of(place: u32, residents: &Slab<Box<Resident>>, hasher: &DefaultHashBuilder) -> u64 {
    hasher.hash_one(&*residents[place as usize].session.client_id)
}

#[cfg(test)]
mod tests {
    use super::*;
    use noctule_auth::Identity;
    use noctule_session::{MemoryGauge, Session, SessionNumber};

    fn resident(number: u64) -> Resident {
        let client_id: std::sync::Arc<str> = format!("client-{number}").into();
        let identity = Identity::new(client_id.clone(), None);
        let gauge = MemoryGauge::default();
        Resident::new(Session::new(SessionNumber(number), client_id), identity, &gauge, &gauge)
    }

    #[test]
    fn a_session_is_found_by_its_client_id_until_it_is_removed() {
        let mut sessions = Sessions::default();
        let slots: Vec<usize> = (0..1_000).map(|number| sessions.insert(resident(number))).collect();
        for slot in &slots[..990] {
            let client_id = sessions.remove(*slot).session.client_id;
            assert_eq!(sessions.find(&client_id), None);
        }
        assert_eq!((sessions.len(), sessions.iter().count()), (10, 10));
        for (number, slot) in (0..).zip(&slots).skip(990) {
            assert_eq!(sessions.find(&format!("client-{number}")), Some(*slot));
            assert_eq!(sessions[*slot].session.number, SessionNumber(number));
        }
        assert!(sessions.places.capacity() < 200, "the table gives its memory back");
        let slot = sessions.insert(resident(5));
        assert!(slots.contains(&slot), "places are used again");
        assert_eq!(sessions.find("client-5"), Some(slot));
    }
}
