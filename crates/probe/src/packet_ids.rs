//! The packet identifiers of one publisher: as many as it may have messages in flight.

use noctule_codec::PacketId;

/// The packet identifiers of one publisher, and what they are used for.
#[derive(Debug)]
pub(crate) struct PacketIds {
    max: u16,
    /// Used before and free again.
    free: Vec<u16>,
    /// By identifier: the flow of the message in flight. The first entry stands for 0, which is none.
    used_for: Vec<Option<u32>>,
}

impl PacketIds {
    /// Identifiers 1 to `max`; memory grows with those in use.
    pub(crate) fn new(max: u16) -> Self {
        Self { max, free: Vec::new(), used_for: vec![None] }
    }

    /// Uses no identifier above this one from here on.
    pub(crate) fn limit(&mut self, max: u16) {
        self.max = self.max.min(max);
    }

    /// An identifier that is not in use, for a message of this flow; none if all are.
    pub(crate) fn take(&mut self, flow: u32) -> Option<PacketId> {
        let number = self.free.pop().or_else(|| self.fresh())?;
        self.used_for[usize::from(number)] = Some(flow);
        PacketId::new(number)
    }

    /// The flow this identifier was used for; none if it was not in use.
    pub(crate) fn free(&mut self, packet_id: PacketId) -> Option<u32> {
        let number = packet_id.get();
        let flow = self.used_for.get_mut(usize::from(number))?.take()?;
        self.free.push(number);
        Some(flow)
    }

    fn fresh(&mut self) -> Option<u16> {
        let number = u16::try_from(self.used_for.len()).ok().filter(|&number| number <= self.max)?;
        self.used_for.push(None);
        Some(number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_identifier_is_used_once_at_a_time_and_says_what_for() {
        let mut ids = PacketIds::new(2);
        let [first, second] = [7, 8].map(|flow| ids.take(flow).expect("two are free"));
        assert_ne!(first, second);
        assert_eq!(ids.take(9), None, "all are in use");
        assert_eq!((ids.free(second), ids.free(second)), (Some(8), None));
        assert_eq!((ids.take(9), ids.free(second)), (Some(second), Some(9)));
        assert_eq!(ids.free(first), Some(7));
        assert_eq!(ids.free(PacketId::new(3).expect("not 0")), None);
    }

    #[test]
    fn a_limit_holds_from_the_beginning() {
        let mut ids = PacketIds::new(100);
        ids.limit(1);
        ids.limit(50);
        assert!(ids.take(0).is_some() && ids.take(0).is_none());
    }

    #[test]
    fn there_are_at_most_65535() {
        let mut ids = PacketIds::new(u16::MAX);
        assert_eq!((0..70_000).map_while(|flow| ids.take(flow)).count(), 65_535);
    }
}
