//! The sessions of a shard, by place and by client id.
//!
//! A million sessions may come and go, so the tables hold only where a session is: what doubles, and what stays
//! when sessions are gone, are a few bytes for each. The client id is read where the session has it.

use crate::resident::Resident;
use hashbrown::{DefaultHashBuilder, HashTable};
use std::hash::BuildHasher as _;
use std::ops::{Index, IndexMut};

/// Sessions by place; a place is used again when its session has ended.
#[derive(Debug, Default)]
pub(crate) struct Sessions {
    residents: Residents,
    /// Places by the hash of the client id.
    places: HashTable<u32>,
    hasher: DefaultHashBuilder,
}

/// The table of places: a pointer for each.
#[derive(Debug, Default)]
struct Residents {
    places: Vec<Option<Box<Resident>>>,
    /// Those without a session.
    free: Vec<u32>,
}

impl Sessions {
    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.residents.len()
    }

    /// The session at a place, if there is one.
    pub(crate) fn get_mut(&mut self, slot: usize) -> Option<&mut Resident> {
        self.residents.places.get_mut(slot)?.as_deref_mut()
    }

    /// The first place from this one on that has a session.
    pub(crate) fn next_from(&self, slot: usize) -> Option<usize> {
        let places = &self.residents.places;
        (slot..places.len()).find(|slot| places[*slot].is_some())
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
        let place = residents.insert(Box::new(resident));
        places.insert_unique(hash, place, |place| hash_of(*place, residents, hasher));
        place as usize
    }

    /// Takes out the session at a place, which there is.
    pub(crate) fn remove(&mut self, slot: usize) -> Resident {
        let Self { residents, places, hasher } = self;
        let resident = residents.remove(slot);
        let hash = hasher.hash_one(&*resident.session.client_id);
        if let Ok(entry) = places.find_entry(hash, |place| *place as usize == slot) {
            entry.remove();
        }
        // Half of the room stays free, so that the next sessions do not grow the table at once.
        if places.len() < places.capacity() / 8 {
            places.shrink_to(places.len() * 2, |place| hash_of(*place, residents, hasher));
        }
        *resident
    }

    /// All of them with their places, to change.
    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = (usize, &mut Resident)> {
        let places = self.residents.places.iter_mut().enumerate();
        places.filter_map(|(slot, resident)| Some((slot, resident.as_deref_mut()?)))
    }

    /// All of them with their places.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (usize, &Resident)> {
        let places = self.residents.places.iter().enumerate();
        places.filter_map(|(slot, resident)| Some((slot, resident.as_deref()?)))
    }
}

impl Index<usize> for Sessions {
    type Output = Resident;

    fn index(&self, slot: usize) -> &Resident {
        self.residents.at(slot)
    }
}

impl IndexMut<usize> for Sessions {
    fn index_mut(&mut self, slot: usize) -> &mut Resident {
        self.residents.places[slot].as_deref_mut().expect(HAS_SESSION)
    }
}

impl Residents {
    fn len(&self) -> usize {
        self.places.len() - self.free.len()
    }

    fn at(&self, slot: usize) -> &Resident {
        self.places[slot].as_deref().expect(HAS_SESSION)
    }

    fn insert(&mut self, resident: Box<Resident>) -> u32 {
        let place = self.free.pop().unwrap_or_else(|| {
            self.places.push(None);
            u32::try_from(self.places.len() - 1).expect("sessions are bounded by memory")
        });
        self.places[place as usize] = Some(resident);
        place
    }

    fn remove(&mut self, slot: usize) -> Box<Resident> {
        let resident = self.places[slot].take().expect(HAS_SESSION);
        self.free.push(u32::try_from(slot).expect("a place was a u32 when it was given away"));
        if self.free.len() == self.places.len() {
            *self = Self::default();
        }
        resident
    }
}

fn hash_of(place: u32, residents: &Residents, hasher: &DefaultHashBuilder) -> u64 {
    hasher.hash_one(&*residents.at(place as usize).session.client_id)
}

const HAS_SESSION: &str = "places are given out while they have a session";

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
