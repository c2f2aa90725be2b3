//! The receiving side of QoS 2: the packet identifiers that have been taken and not yet released.

use noctule_codec::PacketId;

/// Packet identifiers of QoS 2 publications between their PUBLISH and their PUBREL, kept sorted.
///
/// At most 65,535 of them exist, so the set needs no bound of its own. Where none was taken it is a pointer and no
/// more, because most sessions never take one.
#[derive(Clone, Debug, Default)]
#[expect(clippy::box_collection, reason = "the few that have some should not widen the many that have none")]
pub struct Inbound(Option<Box<Vec<PacketId>>>);

impl Inbound {
    /// Whether the identifier has been taken and not released: another PUBLISH with it is a repetition,
    /// whatever its DUP flag says [MQTT-4.3.3-10].
    pub fn contains(&self, id: PacketId) -> bool {
        self.ids().binary_search(&id).is_ok()
    }

    /// Takes the identifier of an accepted publication.
    pub fn insert(&mut self, id: PacketId) {
        let ids = self.0.get_or_insert_default();
        if let Err(place) = ids.binary_search(&id) {
            ids.insert(place, id);
        }
    }

    /// Releases the identifier; the next PUBLISH with it is a new message [MQTT-4.3.3-12].
    /// Returns whether it had been taken.
    pub fn remove(&mut self, id: PacketId) -> bool {
        let Some(ids) = &mut self.0 else { return false };
        let place = ids.binary_search(&id);
        place.is_ok_and(|place| ids.remove(place) == id)
    }

    /// Forgets all of them, because the peer's half of the session is gone.
    pub(crate) fn clear(&mut self) {
        self.0 = None;
    }

    /// Keeps no places if none is taken.
    pub(crate) fn give_back_room(&mut self) {
        self.0.take_if(|ids| ids.is_empty());
    }

    /// The identifiers that are taken.
    pub fn iter(&self) -> impl Iterator<Item = PacketId> {
        self.ids().iter().copied()
    }

    /// How many identifiers are taken.
    pub fn len(&self) -> usize {
        self.ids().len()
    }

    /// Whether none is taken.
    pub fn is_empty(&self) -> bool {
        self.ids().is_empty()
    }

    fn ids(&self) -> &[PacketId] {
        self.0.as_ref().map_or(&[], |ids| ids)
    }
}

impl PartialEq for Inbound {
    fn eq(&self, other: &Self) -> bool {
        self.ids() == other.ids()
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
}
