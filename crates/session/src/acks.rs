//! The acknowledgements of QoS 1 and 2, as a broker's session answers them.

use crate::change::{DropReason, SessionChange, Settlement};
use crate::output::{AckKind, Outgoing};
use crate::{Link, Owed, Phase, Session, SessionEffects};
use noctule_codec::{PacketId, QoS, ReasonCode};

/// The peer answered a delivery with an acknowledgement that belongs to another QoS or another step.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{kind:?} does not answer the delivery with packet id {packet_id}")]
pub struct AckMismatch {
    /// What came.
    pub kind: AckKind,
    /// For which delivery.
    pub packet_id: u16,
}

impl Session {
    /// PUBACK ends a QoS 1 delivery, whatever its code says [MQTT-4.4.0-2].
    pub fn handle_puback(
        &mut self,
        packet_id: PacketId,
        reason_code: ReasonCode,
        fx: &mut SessionEffects,
    ) -> Result<(), AckMismatch> {
        let is_due = |owed: &Owed| owed.qos == QoS::AtLeastOnce;
        self.settle(packet_id, AckKind::PubAck, is_due, reason_code, fx)
    }

    /// PUBREC moves a QoS 2 delivery to PUBREL; with an error it ends it and frees the place.
    pub fn handle_pubrec(
        &mut self,
        packet_id: PacketId,
        reason_code: ReasonCode,
        fx: &mut SessionEffects,
    ) -> Result<(), AckMismatch> {
        let Some(owed) = self.outbound.find_mut(packet_id) else {
            if !reason_code.is_error() {
                self.send(Outgoing::Ack(AckKind::PubRel, packet_id, ReasonCode::PacketIdentifierNotFound));
            }
            return Ok(());
        };
        if owed.qos != QoS::ExactlyOnce {
            return Err(AckMismatch { kind: AckKind::PubRec, packet_id: packet_id.get() });
        }
        if reason_code.is_error() {
            return self.settle(packet_id, AckKind::PubRec, |_| true, reason_code, fx);
        }
        if owed.phase() == Phase::Sent {
            fx.done.extend(owed.take_message());
            self.record(SessionChange::Received { packet_id }, fx);
        }
        let pubrel = Outgoing::Ack(AckKind::PubRel, packet_id, ReasonCode::Success);
        self.send_after_record(pubrel, true, fx);
        Ok(())
    }

    /// PUBCOMP ends a QoS 2 delivery.
    pub fn handle_pubcomp(
        &mut self,
        packet_id: PacketId,
        fx: &mut SessionEffects,
    ) -> Result<(), AckMismatch> {
        let is_due = |owed: &Owed| owed.phase() == Phase::Received;
        self.settle(packet_id, AckKind::PubComp, is_due, ReasonCode::Success, fx)
    }

    /// PUBREL releases the id of a QoS 2 publication; PUBCOMP answers it, also when nothing is known of the
    /// id [MQTT-4.3.3-11]. In a resumed session that is no mistake: the id was released and the PUBCOMP lost
    /// with the earlier connection, and there are clients that take 0x92 for a failed publication.
    pub fn handle_pubrel(&mut self, packet_id: PacketId, fx: &mut SessionEffects) {
        let known = self.inbound.contains(packet_id);
        if known {
            self.record(SessionChange::InboundReleased { packet_id }, fx);
            self.link.as_deref_mut().map(Link::acknowledged);
        }
        let may_repeat = self.link.as_ref().is_some_and(|link| link.is_resumed);
        let reason_code =
            if known || may_repeat { ReasonCode::Success } else { ReasonCode::PacketIdentifierNotFound };
        self.send_after_record(Outgoing::Ack(AckKind::PubComp, packet_id, reason_code), true, fx);
    }

    /// Ends the delivery that an answer belongs to, if such an answer `is_due`.
    fn settle(
        &mut self,
        packet_id: PacketId,
        kind: AckKind,
        is_due: impl FnOnce(&Owed) -> bool,
        reason_code: ReasonCode,
        fx: &mut SessionEffects,
    ) -> Result<(), AckMismatch> {
        // A resumed session may answer a delivery that was settled before the link broke. That is legal.
        let Some(owed) = self.outbound.find_mut(packet_id) else { return Ok(()) };
        if !is_due(owed) {
            return Err(AckMismatch { kind, packet_id: packet_id.get() });
        }
        let (message, group, content) = (owed.number, owed.group(), owed.take_message());
        fx.group_settled.extend(group.map(|group| (group, message)));
        let settlement = if reason_code.is_error() {
            fx.drops.extend(content.map(|message| (message, DropReason::RejectedByClient)));
            Settlement::Rejected(reason_code)
        } else {
            fx.done.extend(content);
            Settlement::Acknowledged
        };
        self.record(SessionChange::Settled { message, packet_id: Some(packet_id), settlement }, fx);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{connected, id, offer};
    use crate::{Instant, Limits};

    /// A session with one delivery, sent, at this QoS under packet id 1.
    fn with_delivery(qos: QoS, is_received: bool) -> (Session, SessionEffects) {
        let (mut session, mut fx) = (connected(100), SessionEffects::default());
        session.offer(offer(1, qos), &Limits::default(), &mut fx);
        session.transmit(Instant::default(), &Limits::default(), &mut fx);
        if is_received {
            session.handle_pubrec(id(1), ReasonCode::Success, &mut fx).expect("it is due");
        }
        (session, SessionEffects::default())
    }

    fn answer(session: &mut Session, kind: AckKind, code: ReasonCode) -> (bool, SessionEffects) {
        let mut fx = SessionEffects::default();
        let result = match kind {
            AckKind::PubAck => session.handle_puback(id(1), code, &mut fx),
            AckKind::PubRec => session.handle_pubrec(id(1), code, &mut fx),
            AckKind::PubComp => session.handle_pubcomp(id(1), &mut fx),
            AckKind::PubRel => unreachable!("no delivery is answered by PUBREL"),
        };
        (result.is_ok(), fx)
    }

    #[test]
    fn what_answers_what() {
        use AckKind::{PubAck, PubComp, PubRec};
        use QoS::{AtLeastOnce, ExactlyOnce};
        // QoS, PUBREC seen, answer, whether it is right, whether the delivery is over then.
        let cases = [
            (AtLeastOnce, false, PubAck, true, true),
            (AtLeastOnce, false, PubRec, false, false),
            (AtLeastOnce, false, PubComp, false, false),
            (ExactlyOnce, false, PubAck, false, false),
            (ExactlyOnce, false, PubRec, true, false),
            (ExactlyOnce, false, PubComp, false, false),
            (ExactlyOnce, true, PubAck, false, false),
            (ExactlyOnce, true, PubRec, true, false),
            (ExactlyOnce, true, PubComp, true, true),
        ];
        for (qos, is_received, kind, is_right, is_over) in cases {
            let (mut session, _) = with_delivery(qos, is_received);
            let (accepted, _) = answer(&mut session, kind, ReasonCode::Success);
            assert_eq!((accepted, session.outbound.is_empty()), (is_right, is_over), "{qos:?} {kind:?}");
        }
    }

    #[test]
    fn mqtt_4_4_0_2_an_error_ends_the_delivery_and_names_the_message_while_it_is_there() {
        for (qos, is_received, kind, drops) in [
            (QoS::AtLeastOnce, false, AckKind::PubAck, 1),
            (QoS::ExactlyOnce, false, AckKind::PubRec, 1),
            (QoS::ExactlyOnce, true, AckKind::PubRec, 0),
        ] {
            let (mut session, _) = with_delivery(qos, is_received);
            let (accepted, fx) = answer(&mut session, kind, ReasonCode::QuotaExceeded);
            assert!(accepted && session.outbound.is_empty());
            assert_eq!(fx.drops.len(), drops);
            assert!(fx.promises.is_empty(), "no PUBREL");
            let settlement = Settlement::Rejected(ReasonCode::QuotaExceeded);
            assert!(matches!(
                fx.changes[..],
                [SessionChange::Settled { settlement: recorded, .. }] if recorded == settlement
            ));
        }
    }

    #[test]
    fn pubrel_waits_for_the_record_of_pubrec_and_a_repeated_one_too() {
        let (mut session, _) = with_delivery(QoS::ExactlyOnce, false);
        let (_, first) = answer(&mut session, AckKind::PubRec, ReasonCode::Success);
        assert!(matches!(first.changes[..], [SessionChange::Received { .. }]));
        let (_, second) = answer(&mut session, AckKind::PubRec, ReasonCode::Success);
        assert!(second.changes.is_empty());
        for fx in [first, second] {
            assert!(matches!(fx.promises[..], [Outgoing::Ack(AckKind::PubRel, _, ReasonCode::Success)]));
        }
    }

    #[test]
    fn pubcomp_waits_for_the_record_of_pubrel_also_for_an_id_that_is_gone() {
        let (mut session, mut fx) = (connected(100), SessionEffects::default());
        session.apply(&SessionChange::InboundTaken { packet_id: id(9) });
        session.handle_pubrel(id(9), &mut fx);
        session.handle_pubrel(id(9), &mut fx);
        assert!(matches!(fx.changes[..], [SessionChange::InboundReleased { .. }]));
        assert!(matches!(
            fx.promises[..],
            [
                Outgoing::Ack(AckKind::PubComp, _, ReasonCode::Success),
                Outgoing::Ack(AckKind::PubComp, _, ReasonCode::PacketIdentifierNotFound)
            ]
        ));
    }
}
