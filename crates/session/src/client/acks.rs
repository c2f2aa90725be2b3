//! The server's acknowledgements of this client's publications.

use super::Client;
use super::event::{Event, PublishOutcome, Token, Violation};
use crate::Instant;
use noctule_codec::{Ack, PacketId, PacketType, ReasonCode};

impl Client {
    pub(super) fn handle_puback(&mut self, ack: &Ack<'_>, now: Instant) -> Result<(), Violation> {
        let token = self.token_of(ack.packet_id);
        self.session.handle_puback(ack.packet_id, ack.reason_code, &mut self.fx)?;
        self.collect();
        self.settle(token, ack, PacketType::PubAck);
        self.transmit(now);
        Ok(())
    }

    pub(super) fn handle_pubrec(&mut self, ack: &Ack<'_>, now: Instant) -> Result<(), Violation> {
        let token = self.token_of(ack.packet_id);
        self.session.handle_pubrec(ack.packet_id, ack.reason_code, &mut self.fx)?;
        self.collect();
        // Only an error ends it here [MQTT-4.4.0-2]; otherwise PUBREL is on its way.
        if token.is_none() || ack.reason_code.is_error() {
            self.settle(token, ack, PacketType::PubRec);
        }
        self.transmit(now);
        Ok(())
    }

    pub(super) fn handle_pubcomp(&mut self, ack: &Ack<'_>, now: Instant) -> Result<(), Violation> {
        let token = self.token_of(ack.packet_id);
        self.session.handle_pubcomp(ack.packet_id, &mut self.fx)?;
        self.collect();
        self.settle(token, ack, PacketType::PubComp);
        self.transmit(now);
        Ok(())
    }

    fn token_of(&self, packet_id: PacketId) -> Option<Token> {
        self.session.outbound.find(packet_id).map(|owed| Token(owed.number.0))
    }

    fn settle(&mut self, token: Option<Token>, ack: &Ack<'_>, packet_type: PacketType) {
        let is_refused = ack.reason_code.is_error() && packet_type != PacketType::PubComp;
        self.events.push_back(match token {
            None => Event::Stray { packet_type, packet_id: ack.packet_id },
            Some(token) => Event::Published {
                token,
                packet_id: Some(ack.packet_id),
                outcome: outcome(is_refused, ack.reason_code),
                properties: ack.properties.borrow().into_owned(),
            },
        });
    }
}

/// A PUBCOMP with 0x92 says that the server has completed the exchange before, which is a success.
fn outcome(is_refused: bool, reason_code: ReasonCode) -> PublishOutcome {
    match is_refused {
        true => PublishOutcome::Refused(reason_code),
        false => PublishOutcome::Acknowledged(reason_code),
    }
}
