//! The receiving side of QoS 2: the packet identifiers that have been taken and not yet released.

use noctule_codec::PacketId;

/// Packet identifiers of QoS 2 publications between their PUBLISH and their PUBREL, kept sorted.
///
/// At most 65,535 of them exist, so the set needs no bound of its own. Where none was taken it is a pointer and no
/// more, because most sessions never take one.
///
/// A client that has lost its half of the session, a script that was killed for instance, takes identifiers for new
/// messages that the other half still knows. So as long as the broker runs it keeps a print of each publication: what
/// comes on a later connection with another one is no repetition.
#[derive(Clone, Debug, Default)]
#[expect(clippy::box_collection, reason = "the few that have some should not widen the many that have none")]
pub struct Inbound(Option<Box<Vec<Taken>>>);

#[derive(Clone, Copy, Debug)]
struct Taken {
    id: PacketId,
    /// Fifteen bits of a hash, 0 where it is not known, and [`OF_THIS_CONNECTION`].
    print: u16,
}

/// The identifier was taken on the present connection: whoever sends another message with it now is mistaken.
const OF_THIS_CONNECTION: u16 = 1 << 15;

impl Inbound {
    /// Whether the identifier has been taken and not released: another PUBLISH with it is a repetition,
    /// whatever its DUP flag says [MQTT-4.3.3-10].
    pub fn contains(&self, id: PacketId) -> bool {
        self.place(id).is_ok()
    }

    /// Whether the identifier was taken on an earlier connection by a publication with another print than this one,
    /// which says of itself that it is sent for the first time: then it is a new message.
    pub fn is_of_another(&self, id: PacketId, print: u16) -> bool {
        let taken = self.place(id).ok().and_then(|place| self.taken().get(place));
        taken.is_some_and(|taken| {
            !matches!(taken.print, 0 | OF_THIS_CONNECTION..) && taken.print != known(print)
        })
    }

    /// Takes the identifier of an accepted publication.
    pub fn insert(&mut self, id: PacketId) {
        if let Err(place) = self.place(id) {
            self.0.get_or_insert_default().insert(place, Taken { id, print: 0 });
        }
    }

    /// Keeps the print, any bits of a hash, of the publication that has taken the identifier on this connection.
    pub fn mark(&mut self, id: PacketId, print: u16) {
        let place = self.place(id).ok();
        if let Some(taken) = place.and_then(|place| self.0.as_mut()?.get_mut(place)) {
            taken.print = known(print) | OF_THIS_CONNECTION;
        }
    }

    /// The client comes back with another connection.
    pub fn begin_connection(&mut self) {
        self.0
            .iter_mut()
            .flat_map(|taken| taken.iter_mut())
            .for_each(|taken| taken.print &= !OF_THIS_CONNECTION);
    }

    /// Releases the identifier; the next PUBLISH with it is a new message [MQTT-4.3.3-12].
    /// Returns whether it had been taken.
    pub fn remove(&mut self, id: PacketId) -> bool {
        let place = self.place(id).ok();
        let removed = place.and_then(|place| Some(self.0.as_mut()?.remove(place)));
        removed.is_some()
    }

    /// Forgets all of them, because the peer's half of the session is gone.
    pub(crate) fn clear(&mut self) {
        self.0 = None;
    }

    /// Keeps no places if none is taken.
    pub(crate) fn give_back_room(&mut self) {
        self.0.take_if(|taken| taken.is_empty());
    }

    /// The identifiers that are taken.
    pub fn iter(&self) -> impl Iterator<Item = PacketId> {
        self.taken().iter().map(|taken| taken.id)
    }

    /// How many identifiers are taken.
    pub fn len(&self) -> usize {
        self.taken().len()
    }

    /// Whether none is taken.
    pub fn is_empty(&self) -> bool {
        self.taken().is_empty()
    }

    fn place(&self, id: PacketId) -> Result<usize, usize> {
        self.taken().binary_search_by_key(&id, |taken| taken.id)
    }

    fn taken(&self) -> &[Taken] {
        self.0.as_ref().map_or(&[], |taken| taken)
    }
}

/// A print that is not taken for an unknown one.
fn known(print: u16) -> u16 {
    (print & !OF_THIS_CONNECTION).max(1)
}

impl PartialEq for Inbound {
    fn eq(&self, other: &Self) -> bool {
        self.iter().eq(other.iter())
    }
}

impl Eq for Inbound {}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(n: u16) -> PacketId {
        PacketId::new(n).expect("test ids are not zero")
    }

    #[test]
    fn mqtt_4_3_3_12_a_released_id_is_a_new_message() {
        let mut inbound = Inbound::default();
        inbound.insert(id(7));
        inbound.insert(id(3));
        inbound.insert(id(7));
        assert!(inbound.contains(id(7)) && inbound.contains(id(3)) && !inbound.contains(id(4)));
        assert_eq!(inbound.len(), 2);
        assert!(inbound.remove(id(7)));
        assert!(!inbound.remove(id(7)));
        assert!(!inbound.contains(id(7)));
    }

    #[test]
    fn what_comes_on_a_later_connection_with_another_print_is_another_message() {
        let mut inbound = Inbound::default();
        for print in [0, 1, 5, u16::MAX] {
            inbound.insert(id(7));
            inbound.mark(id(7), print);
            assert!(!inbound.is_of_another(id(7), 9), "not on the same connection");
            inbound.begin_connection();
            assert!(!inbound.is_of_another(id(7), print) && inbound.is_of_another(id(7), 9));
            assert!(!inbound.is_of_another(id(8), 9), "nobody has taken it");
        }
        inbound.insert(id(3));
        inbound.begin_connection();
        assert!(!inbound.is_of_another(id(3), 9), "nothing is known of it");
        assert_eq!(size_of::<Taken>(), 4);
    }
}
