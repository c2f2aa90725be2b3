//! Deliveries that wait for their acknowledgement, and the order in which these leave.
//!
//! Invariants:
//! - PUBACKs leave in the order in which their publications came [MQTT-4.6.0-2], PUBRECs likewise
//!   [MQTT-4.6.0-3]. One that is given early waits for those before it.
//! - What the application has in its hands is not delivered a second time: the server sends it again in a resumed
//!   session, and the [`Receipt`] of the first time is good for that. It is void once the session is gone.
//! - A QoS 2 publication counts as taken from the moment its acknowledgement is given, on whatever connection.

use super::Client;
use super::event::Receipt;
use crate::change::SessionChange;
use crate::{AckKind, Outgoing};
use noctule_codec::{PacketId, ReasonCode};
use std::collections::VecDeque;

/// Deliveries that have not been answered.
#[derive(Debug, Default)]
pub(super) struct Unanswered {
    pubacks: VecDeque<Answer>,
    pubrecs: VecDeque<Answer>,
}

/// An answer that is due.
#[derive(Clone, Copy, Debug)]
pub(super) struct Answer {
    packet_id: PacketId,
    /// By which the application knows it; nothing where it need not answer.
    receipt: Option<Receipt>,
    /// What it says, once it may leave.
    reason_code: Option<ReasonCode>,
    /// The application has let go of it, so that it is to be delivered again.
    is_abandoned: bool,
}

impl Answer {
    pub(super) const fn new(packet_id: PacketId, receipt: Option<Receipt>) -> Self {
        Self { packet_id, receipt, reason_code: None, is_abandoned: false }
    }
}

impl Unanswered {
    pub(super) fn contains(&self, kind: AckKind, packet_id: PacketId) -> bool {
        self.of(kind).iter().any(|answer| answer.packet_id == packet_id)
    }

    /// QoS 1 deliveries among them, which take a place in this client's window each.
    pub(super) fn pubacks(&self) -> usize {
        self.pubacks.len()
    }

    pub(super) fn remove(&mut self, kind: AckKind, packet_id: PacketId) -> Option<Answer> {
        let answers = self.of_mut(kind);
        let place = answers.iter().position(|answer| answer.packet_id == packet_id)?;
        answers.remove(place)
    }

    pub(super) fn push(&mut self, kind: AckKind, answer: Answer) {
        self.of_mut(kind).push_back(answer);
    }

    /// Takes in what another connection has left, as far as the application still has it.
    pub(super) fn absorb(&mut self, mut others: Self) {
        for kind in [AckKind::PubAck, AckKind::PubRec] {
            let kept = others.of_mut(kind).drain(..).filter(|it| it.receipt.is_some() && !it.is_abandoned);
            self.of_mut(kind).extend(kept);
        }
    }

    fn find(&mut self, receipt: Receipt) -> Option<(AckKind, &mut Answer)> {
        let is_it = |answer: &&mut Answer| answer.receipt == Some(receipt) && answer.reason_code.is_none();
        let puback = self.pubacks.iter_mut().find(is_it).map(|answer| (AckKind::PubAck, answer));
        puback.or_else(|| self.pubrecs.iter_mut().find(is_it).map(|answer| (AckKind::PubRec, answer)))
    }

    /// The next of this kind that may leave.
    fn pop(&mut self, kind: AckKind) -> Option<(PacketId, ReasonCode)> {
        let answers = self.of_mut(kind);
        let reason_code = answers.front()?.reason_code?;
        answers.pop_front().map(|answer| (answer.packet_id, reason_code))
    }

    fn of(&self, kind: AckKind) -> &VecDeque<Answer> {
        if kind == AckKind::PubRec { &self.pubrecs } else { &self.pubacks }
    }

    fn of_mut(&mut self, kind: AckKind) -> &mut VecDeque<Answer> {
        if kind == AckKind::PubRec { &mut self.pubrecs } else { &mut self.pubacks }
    }
}

impl Client {
    /// Acknowledges a delivery, or refuses it with an error code, which a 3.x server is not told. Returns
    /// whether there was something to acknowledge: not twice, and not once the session it came in is gone.
    ///
    /// It leaves once everything that came before it at the same QoS is acknowledged; after the end of the
    /// connection it came on, once the server has sent it again.
    pub fn acknowledge(&mut self, receipt: Receipt, reason_code: ReasonCode) -> bool {
        let connection = self.connection.as_deref_mut();
        let present = connection.and_then(|connection| connection.unanswered.find(receipt));
        let Some((kind, answer)) = present.or_else(|| self.held.find(receipt)) else { return false };
        answer.reason_code = Some(reason_code);
        let packet_id = answer.packet_id;
        self.note_taken(kind, packet_id, reason_code);
        self.send_answers();
        true
    }

    /// Lets go of a delivery without acknowledging it: a resumed session delivers it again. On this connection it
    /// holds back the acknowledgements behind it.
    pub fn abandon(&mut self, receipt: Receipt) {
        let connection = self.connection.as_deref_mut();
        let present = connection.and_then(|connection| connection.unanswered.find(receipt));
        if let Some((_, answer)) = present {
            answer.is_abandoned = true;
        } else if let Some((kind, answer)) = self.held.find(receipt) {
            let packet_id = answer.packet_id;
            self.held.remove(kind, packet_id);
        }
    }

    /// Answers at once, in the place that is next.
    pub(super) fn answer(&mut self, kind: AckKind, packet_id: PacketId, reason_code: ReasonCode) {
        let answer = Answer { reason_code: Some(reason_code), ..Answer::new(packet_id, None) };
        self.note_taken(kind, packet_id, reason_code);
        if let Some(connection) = self.connection.as_deref_mut() {
            connection.unanswered.push(kind, answer);
        }
        self.send_answers();
    }

    /// Sends every answer that waits for no other.
    pub(super) fn send_answers(&mut self) {
        for kind in [AckKind::PubAck, AckKind::PubRec] {
            while let Some((packet_id, reason_code)) = self.next_answer(kind) {
                self.session.send(Outgoing::Ack(kind, packet_id, reason_code));
                self.count_answer(kind, packet_id, reason_code);
            }
        }
    }

    fn next_answer(&mut self, kind: AckKind) -> Option<(PacketId, ReasonCode)> {
        self.connection.as_deref_mut().filter(|connection| connection.is_open())?.unanswered.pop(kind)
    }

    fn note_taken(&mut self, kind: AckKind, packet_id: PacketId, reason_code: ReasonCode) {
        let is_taken = kind == AckKind::PubRec && !reason_code.is_error();
        if is_taken && !self.session.inbound.contains(packet_id) {
            self.record(SessionChange::InboundTaken { packet_id });
        }
    }

    fn count_answer(&mut self, kind: AckKind, packet_id: PacketId, reason_code: ReasonCode) {
        let Some(connection) = self.connection.as_deref_mut() else { return };
        match kind {
            // An error ends the exchange and frees the id [MQTT-4.3.3-9].
            AckKind::PubRec if reason_code.is_error() => {
                connection.received.remove(packet_id);
                connection.acks_queued += 1;
            }
            AckKind::PubRec => {}
            _ => connection.acks_queued += 1,
        }
    }
}
