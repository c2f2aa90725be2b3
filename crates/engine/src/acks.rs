//! PUBACK, PUBREC, PUBREL and PUBCOMP: the session answers them, the shard goes on sending.

use crate::mail::Violation;
use crate::shard::{Shard, Turn};
use noctule_codec::{Ack, ReasonCode};
use noctule_session::AckMismatch;

impl Shard {
    pub(crate) fn handle_puback(
        &mut self,
        slot: usize,
        ack: &Ack<'_>,
        turn: &mut Turn<'_>,
    ) -> Result<(), Violation> {
        let session = &mut self.sessions[slot].session;
        let result = session.handle_puback(ack.packet_id, ack.reason_code, &mut self.session_fx);
        self.after_answer(slot, result, turn)
    }

    pub(crate) fn handle_pubrec(
        &mut self,
        slot: usize,
        ack: &Ack<'_>,
        turn: &mut Turn<'_>,
    ) -> Result<(), Violation> {
        let session = &mut self.sessions[slot].session;
        let result = session.handle_pubrec(ack.packet_id, ack.reason_code, &mut self.session_fx);
        self.after_answer(slot, result, turn)
    }

    pub(crate) fn handle_pubrel(&mut self, slot: usize, ack: &Ack<'_>, turn: &mut Turn<'_>) {
        self.sessions[slot].session.handle_pubrel(ack.packet_id, &mut self.session_fx);
        self.collect(slot, turn);
    }

    pub(crate) fn handle_pubcomp(
        &mut self,
        slot: usize,
        ack: &Ack<'_>,
        turn: &mut Turn<'_>,
    ) -> Result<(), Violation> {
        let session = &mut self.sessions[slot].session;
        let result = session.handle_pubcomp(ack.packet_id, &mut self.session_fx);
        self.after_answer(slot, result, turn)
    }

    /// Goes on sending, because an answer may have freed a place; one that does not fit ends the connection.
    fn after_answer(
        &mut self,
        slot: usize,
        result: Result<(), AckMismatch>,
        turn: &mut Turn<'_>,
    ) -> Result<(), Violation> {
        self.transmit(slot, turn);
        result.map_err(|mismatch| Violation::new(ReasonCode::ProtocolError, mismatch.to_string()))
    }
}
