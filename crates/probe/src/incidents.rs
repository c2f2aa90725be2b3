//! What went wrong besides lost messages: refusals, disconnects, broken rules. Counted by kind, so that ten thousand
//! equal incidents are one line.

use std::collections::BTreeMap;

use noctule_codec::{PacketType, ReasonCode};
use serde::Serialize;

/// Everything that went wrong in a run.
#[derive(Debug, Default)]
pub(crate) struct Incidents {
    refused: BTreeMap<(&'static str, u8), u64>,
    disconnects: BTreeMap<String, u64>,
    violations: BTreeMap<String, u64>,
    notes: BTreeMap<String, u64>,
}

/// Something the broker refused, with a reason code of 0x80 or above. The return codes of 3.x are given as the reason
/// codes of 5.0 that mean the same.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Refused {
    /// The packet that said so: `CONNACK`, `SUBACK`, `PUBACK`, `PUBREC`.
    pub packet: &'static str,
    /// The reason code.
    pub reason_code: u8,
    /// Its name in the standard.
    pub name: &'static str,
    /// How often.
    pub count: u64,
}

/// Something that happened, and how often.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Happened {
    /// What happened.
    pub what: String,
    /// How often.
    pub count: u64,
}

impl Incidents {
    pub(crate) fn refuse(&mut self, packet: PacketType, code: ReasonCode) {
        *self.refused.entry((packet.name(), code.as_u8())).or_default() += 1;
    }

    /// A connection ended that should not have.
    pub(crate) fn disconnect(&mut self, why: String) {
        *self.disconnects.entry(why).or_default() += 1;
    }

    /// The broker did what MQTT does not allow.
    pub(crate) fn violate(&mut self, what: String) {
        *self.violations.entry(what).or_default() += 1;
    }

    /// Worth knowing, and no fault.
    pub(crate) fn note(&mut self, what: String) {
        *self.notes.entry(what).or_default() += 1;
    }

    pub(crate) fn refused(&self) -> Vec<Refused> {
        let refused = self.refused.iter().map(|(&(packet, code), &count)| {
            let name = ReasonCode::from_u8(code).map_or("unknown", ReasonCode::name);
            Refused { packet, reason_code: code, name, count }
        });
        refused.collect()
    }

    pub(crate) fn disconnects(&self) -> Vec<Happened> {
        happened(&self.disconnects)
    }

    pub(crate) fn violations(&self) -> Vec<Happened> {
        happened(&self.violations)
    }

    pub(crate) fn notes(&self) -> Vec<Happened> {
        happened(&self.notes)
    }
}

fn happened(counts: &BTreeMap<String, u64>) -> Vec<Happened> {
    counts.iter().map(|(what, &count)| Happened { what: what.clone(), count }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_incidents_are_counted_together() {
        let mut incidents = Incidents::default();
        incidents.refuse(PacketType::ConnAck, ReasonCode::NotAuthorized);
        incidents.refuse(PacketType::PubAck, ReasonCode::QuotaExceeded);
        incidents.refuse(PacketType::ConnAck, ReasonCode::NotAuthorized);
        let found = incidents.refused();
        let expected = [("CONNACK", 0x87, "Not authorized", 2), ("PUBACK", 0x97, "Quota exceeded", 1)];
        let expected =
            expected.map(|(packet, reason_code, name, count)| Refused { packet, reason_code, name, count });
        assert_eq!(found, expected);

        incidents.disconnect("reset".into());
        incidents.disconnect("reset".into());
        assert_eq!(incidents.disconnects(), [Happened { what: "reset".into(), count: 2 }]);
        assert!(incidents.violations().is_empty() && incidents.notes().is_empty());
    }
}
