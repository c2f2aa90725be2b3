//! The acknowledgements of QoS 1 and 2, as a broker's session answers them.

use crate::change::{DropReason, SessionChange, Settlement};
use crate::output::{AckKind, Outgoing};
use crate::{Link, Phase, Session, SessionEffects};
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
        // A resumed session may answer a delivery that was settled before the link broke. That is legal.
        let Some(owed) = self.outbound.find(packet_id) else { return Ok(()) };
        if owed.qos != QoS::AtLeastOnce {
            return Err(AckMismatch { kind: AckKind::PubAck, packet_id: packet_id.get() });
        }
        self.settle(packet_id, reason_code, fx);
        Ok(())
    }

    /// PUBREC moves a QoS 2 delivery to PUBREL; with an error it ends it and frees the place.
    pub fn handle_pubrec(
        &mut self,
        packet_id: PacketId,
        reason_code: ReasonCode,
        fx: &mut SessionEffects,
    ) -> Result<(), AckMismatch> {
        let Some(owed) = self.outbound.find(packet_id) else {
            if !reason_code.is_error() {
                self.send(Outgoing::Ack(AckKind::PubRel, packet_id, ReasonCode::PacketIdentifierNotFound));
            }
            return Ok(());
        };
        if owed.qos != QoS::ExactlyOnce {
            return Err(AckMismatch { kind: AckKind::PubRec, packet_id: packet_id.get() });
        }
        if reason_code.is_error() {
            self.settle(packet_id, reason_code, fx);
            return Ok(());
        }
        if owed.phase() == Phase::Sent {
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
        let Some(owed) = self.outbound.find(packet_id) else { return Ok(()) };
        if owed.phase() != Phase::Received {
            return Err(AckMismatch { kind: AckKind::PubComp, packet_id: packet_id.get() });
        }
        self.settle(packet_id, ReasonCode::Success, fx);
        Ok(())
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

    fn settle(&mut self, packet_id: PacketId, reason_code: ReasonCode, fx: &mut SessionEffects) {
        let Some(owed) = self.outbound.find(packet_id) else { return };
        let message = owed.number;
        let settlement = if reason_code.is_error() {
            fx.drops.extend(owed.message.clone().map(|message| (message, DropReason::RejectedByClient)));
            Settlement::Rejected(reason_code)
        } else {
            Settlement::Acknowledged
        };
        self.record(SessionChange::Settled { message, packet_id: Some(packet_id), settlement }, fx);
    }
}
