//! The receiving half of a client's session, which the client keeps over every crash of the broker.
//!
//! It remembers the packet ids of QoS 2 that it has taken and that were not released yet. A PUBLISH with such an id is
//! the same one again and does not count [MQTT-4.3.3-10]; any other is new, so a broker that forgets an exchange is
//! seen to double. A slow client holds acknowledgements back, in order [MQTT-4.6.0-2] [MQTT-4.6.0-3], so that the
//! broker must queue.

use std::collections::{HashSet, VecDeque};

use noctule_codec::{Ack, Packet, PacketId, Properties, ProtocolVersion, QoS, ReasonCode};

use crate::frames;

/// What one subscriber receives.
#[derive(Debug)]
pub(crate) struct Inbox {
    version: ProtocolVersion,
    /// QoS 2: taken, and not released by PUBREL yet.
    unreleased: HashSet<PacketId>,
    /// Acknowledgements that are held back, oldest first.
    held: VecDeque<(QoS, PacketId)>,
    is_slow: bool,
}

impl Inbox {
    pub(crate) fn new(version: ProtocolVersion) -> Self {
        Self { version, unreleased: HashSet::new(), held: VecDeque::new(), is_slow: false }
    }

    /// Whether acknowledgements are held back until [`release_one`](Self::release_one).
    pub(crate) fn set_slow(&mut self, is_slow: bool, out: &mut Vec<u8>) {
        self.is_slow = is_slow;
        while !is_slow && self.release_one(out) {}
    }

    /// Answers a PUBLISH; returns whether it is new.
    pub(crate) fn take_publish(&mut self, qos: QoS, packet_id: Option<PacketId>, out: &mut Vec<u8>) -> bool {
        let Some(packet_id) = packet_id else { return true };
        match self.is_slow {
            true => self.held.push_back((qos, packet_id)),
            false => self.acknowledge(qos, packet_id, out),
        }
        qos != QoS::ExactlyOnce || self.unreleased.insert(packet_id)
    }

    /// Answers a PUBREL; after that the packet id means another publication [MQTT-4.3.3-12].
    pub(crate) fn take_pubrel(&mut self, packet_id: PacketId, out: &mut Vec<u8>) {
        self.unreleased.remove(&packet_id);
        frames::write(self.version, &Packet::PubComp(success(packet_id)), out);
    }

    /// Sends the oldest acknowledgement that is held back; returns whether there was one.
    pub(crate) fn release_one(&mut self, out: &mut Vec<u8>) -> bool {
        let Some((qos, packet_id)) = self.held.pop_front() else { return false };
        self.acknowledge(qos, packet_id, out);
        true
    }

    /// The connection is gone, and with it every answer that was not sent.
    pub(crate) fn disconnected(&mut self) {
        self.held.clear();
    }

    /// The broker has forgotten the session, so the client does too [MQTT-3.2.2-5].
    pub(crate) fn forget(&mut self) {
        self.unreleased.clear();
    }

    fn acknowledge(&self, qos: QoS, packet_id: PacketId, out: &mut Vec<u8>) {
        let packet = match qos {
            QoS::AtMostOnce => return,
            QoS::AtLeastOnce => Packet::PubAck(success(packet_id)),
            QoS::ExactlyOnce => Packet::PubRec(success(packet_id)),
        };
        frames::write(self.version, &packet, out);
    }
}

fn success(packet_id: PacketId) -> Ack<'static> {
    Ack { packet_id, reason_code: ReasonCode::Success, properties: Properties::EMPTY }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(number: u16) -> Option<PacketId> {
        PacketId::new(number)
    }

    fn take(inbox: &mut Inbox, qos: QoS, number: u16) -> (bool, Vec<u8>) {
        let mut out = Vec::new();
        (inbox.take_publish(qos, id(number), &mut out), out)
    }

    #[test]
    fn at_qos_2_an_id_is_one_publication_until_it_is_released() {
        let (mut inbox, mut out) = (Inbox::new(ProtocolVersion::V5), Vec::new());
        let pubrec = vec![0x50, 2, 0, 7];
        assert_eq!(take(&mut inbox, QoS::ExactlyOnce, 7), (true, pubrec.clone()));
        inbox.disconnected();
        assert_eq!(take(&mut inbox, QoS::ExactlyOnce, 7), (false, pubrec.clone()), "again after a crash");
        inbox.take_pubrel(id(7).expect("not 0"), &mut out);
        assert_eq!(out, [0x70, 2, 0, 7]);
        assert_eq!(take(&mut inbox, QoS::ExactlyOnce, 7), (true, pubrec), "another publication");
    }

    #[test]
    fn at_qos_1_everything_counts() {
        let mut inbox = Inbox::new(ProtocolVersion::V3_1_1);
        for _ in 0..2 {
            assert_eq!(take(&mut inbox, QoS::AtLeastOnce, 7), (true, vec![0x40, 2, 0, 7]));
        }
    }

    #[test]
    fn a_forgotten_session_has_no_ids() {
        let mut inbox = Inbox::new(ProtocolVersion::V5);
        take(&mut inbox, QoS::ExactlyOnce, 7);
        inbox.forget();
        assert!(take(&mut inbox, QoS::ExactlyOnce, 7).0);
    }

    #[test]
    fn a_slow_client_answers_in_order_one_at_a_time_and_what_it_holds_dies_with_the_connection() {
        let (mut inbox, mut out) = (Inbox::new(ProtocolVersion::V5), Vec::new());
        inbox.set_slow(true, &mut out);
        assert_eq!(take(&mut inbox, QoS::AtLeastOnce, 1), (true, vec![]));
        assert_eq!(take(&mut inbox, QoS::ExactlyOnce, 2), (true, vec![]));
        take(&mut inbox, QoS::AtLeastOnce, 3);
        assert!(inbox.release_one(&mut out));
        assert_eq!(out, [0x40, 2, 0, 1]);
        inbox.set_slow(false, &mut out);
        assert_eq!(out[4..], [0x50, 2, 0, 2, 0x40, 2, 0, 3]);

        inbox.set_slow(true, &mut out);
        take(&mut inbox, QoS::AtLeastOnce, 4);
        inbox.disconnected();
        assert!(!inbox.release_one(&mut out));
    }
}
