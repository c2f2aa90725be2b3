//! The packet identifiers of one publisher: as many as it may have messages in flight.

use noctule_codec::PacketId;

/// The packet identifiers of one publisher, and what they are used for.
#[derive(Debug)]
pub(crate) struct PacketIds {
    max: u16,
    /// Used before and free again.
    free: Vec<u16>,
    /// By identifier: the message in flight. The first entry stands for 0, which is none.
    used_for: Vec<Option<InFlight>>,
}

/// A message that has not been acknowledged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct InFlight {
    /// Its flow.
    pub(crate) flow: u32,
    /// When it was meant to be sent, in nanoseconds.
    pub(crate) sent_at: u64,
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

    /// An identifier that is not in use, for this message; none if all are.
    pub(crate) fn take(&mut self, flow: u32, sent_at: u64) -> Option<PacketId> {
        let number = self.free.pop().or_else(|| self.fresh())?;
        self.used_for[usize::from(number)] = Some(InFlight { flow, sent_at });
        PacketId::new(number)
    }

    /// The message this identifier was used for; none if it was not in use.
    pub(crate) fn free(&mut self, packet_id: PacketId) -> Option<InFlight> {
        let number = packet_id.get();
        let message = self.used_for.get_mut(usize::from(number))?.take()?;
        self.free.push(number);
        Some(message)
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
        let message = |flow| InFlight { flow, sent_at: u64::from(flow) * 100 };
        let [first, second] = [7, 8].map(|flow| ids.take(flow, u64::from(flow) * 100).expect("two are free"));
        assert_ne!(first, second);
        assert_eq!(ids.take(9, 900), None, "all are in use");
        assert_eq!((ids.free(second), ids.free(second)), (Some(message(8)), None));
        assert_eq!((ids.take(9, 900), ids.free(second)), (Some(second), Some(message(9))));
        assert_eq!(ids.free(first), Some(message(7)));
        assert_eq!(ids.free(PacketId::new(3).expect("not 0")), None);
    }

    #[test]
    fn a_limit_holds_from_the_beginning() {
        let mut ids = PacketIds::new(100);
        ids.limit(1);
        ids.limit(50);
        assert!(ids.take(0, 0).is_some() && ids.take(0, 0).is_none());
    }

    #[test]
    fn there_are_at_most_65535() {
        let mut ids = PacketIds::new(u16::MAX);
        assert_eq!((0..70_000).map_while(|flow| ids.take(flow, 0)).count(), 65_535);
    }
}
