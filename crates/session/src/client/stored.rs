//! What a client leaves for a later run, and what it stops owing while nobody is there.

use super::event::{Event, NotSent, PublishOutcome, Token};
use super::publish::{Message, publication};
use super::{Client, Phase};
use crate::change::{DropReason, SessionChange, Settlement};
use crate::{Instant, Owed, SubscriptionIds};
use noctule_codec::QoS;
use std::sync::Arc;

impl Client {
    /// How many changes [`take_changes`](Self::take_changes) would give.
    pub fn changes_len(&self) -> usize {
        self.changes.len()
    }

    /// Changes that make the present state out of nothing, for [`restored`](Self::restored).
    pub fn snapshot(&self) -> Vec<SessionChange> {
        let session_expiry_interval = self.session.session_expiry_interval;
        let mut changes = vec![SessionChange::ExpirySet { session_expiry_interval }];
        changes
            .extend(self.session.inbound.iter().map(|packet_id| SessionChange::InboundTaken { packet_id }));
        changes.extend(self.session.outbound.iter().map(owed));
        for owed in self.session.outbound.iter() {
            let Some(packet_id) = owed.packet_id() else { continue };
            changes.push(SessionChange::Begun { message: owed.number, packet_id });
            if owed.phase() == Phase::Received {
                changes.push(SessionChange::Received { packet_id });
            }
        }
        changes
    }

    /// Stops owing what has expired, and what has waited longer than so many milliseconds, retained messages too.
    /// What was sent once is owed whatever its age [MQTT-4.3.3-7].
    pub fn expire(&mut self, waiting_ms_max: u64, now: Instant) {
        let is_over = |owed: &&Owed| {
            let waits = owed.phase() == Phase::Waiting;
            waits
                && owed.message().is_some_and(|message| {
                    message.is_expired(now) || now.millis_since(message.published_at) > waiting_ms_max
                })
        };
        let over: Vec<_> = self.session.outbound.iter().filter(is_over).map(|owed| owed.number).collect();
        for message in over {
            let settlement = Settlement::Dropped(DropReason::Expired);
            self.record(SessionChange::Settled { message, packet_id: None, settlement });
            let outcome = PublishOutcome::NotSent(NotSent::Expired);
            self.events.push_back(Event::published(Token(message.0), outcome));
        }
    }
}

/// A message that is owed. After PUBREC its content is of no use to anybody and gone.
fn owed(owed: &Owed) -> SessionChange {
    let nothing = || {
        let message = Message { qos: QoS::ExactlyOnce, ..Message::default() };
        Arc::new(publication(owed.number, &message, Instant::default()))
    };
    SessionChange::Owed {
        message: owed.message().cloned().unwrap_or_else(nothing),
        qos: owed.qos,
        retain: owed.retain,
        subscription_ids: SubscriptionIds::None,
        group: None,
    }
}
