//! Publishing: from the application's message to the list of what the server is owed.

use super::event::{Event, NotSent, PublishOutcome, Token};
use super::{Client, ServerLimits};
use crate::change::{SessionChange, Settlement};
use crate::{Instant, MessageNumber, Offer, OutgoingPublish, Owed, Publication, SubscriptionIds};
use noctule_codec::{Properties, QoS};
use noctule_topic::{NameError, TopicName};
use std::sync::Arc;

/// A message to publish.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Message<'a> {
    /// The topic name, without wildcards.
    pub topic: &'a str,
    /// The application message.
    pub payload: &'a [u8],
    /// At which QoS.
    pub qos: QoS,
    /// Whether it becomes the retained message of its topic; with an empty payload it clears that.
    pub retain: bool,
    /// Its properties. Message Expiry Interval counts from now, and what is left of it is sent. Topic Alias
    /// and Subscription Identifier are the client's own business and are left out [MQTT-3.3.4-6].
    pub properties: Properties<'a>,
}

/// Why a message was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PublishError {
    /// QoS 0 is not kept for a later connection.
    #[error("a QoS 0 message needs a connection")]
    NotConnected,
    /// [MQTT-4.7.0-1], [MQTT-4.7.3-1], [MQTT-4.7.3-2], [MQTT-4.7.3-3].
    #[error("the topic name is not valid: {0}")]
    Topic(NameError),
    /// [MQTT-3.3.2-14].
    #[error("the response topic is empty, has wildcards or is no text")]
    ResponseTopic,
    /// The connected server would not take it.
    #[error("the server does not take it: {0:?}")]
    NotAccepted(NotSent),
}

impl Client {
    /// Owes a message to the server and sends it when the server's window has room [MQTT-4.9.0-2]. Its
    /// [`Event::Published`] tells how it ended.
    ///
    /// Above QoS 0 it needs no connection and survives the end of one. QoS 0 never waits for the window
    /// [MQTT-4.9.0-3].
    ///
    /// # Errors
    ///
    /// [`PublishError`]; the message is not owed then and there is no event.
    pub fn publish(&mut self, message: &Message<'_>, now: Instant) -> Result<Token, PublishError> {
        TopicName::check(message.topic).map_err(PublishError::Topic)?;
        check_response_topic(&message.properties)?;
        if message.qos == QoS::AtMostOnce && !self.is_connected() {
            return Err(PublishError::NotConnected);
        }
        let number = MessageNumber(self.last_token + 1);
        let message = Arc::new(publication(number, message, now));
        self.check_accepted(&message, now).map_err(PublishError::NotAccepted)?;
        let token = self.next_token();
        self.owe(token, message);
        self.transmit(now);
        Ok(token)
    }

    fn owe(&mut self, token: Token, message: Arc<Publication>) {
        let (qos, retain) = (message.qos, message.retain);
        let subscription_ids = SubscriptionIds::None;
        if qos > QoS::AtMostOnce {
            return self.record(SessionChange::Owed { message, qos, retain, subscription_ids, group: None });
        }
        let offer = Offer { message, qos, retain, subscription_ids, group: None };
        self.session.offer(offer, &self.limits, &mut self.fx);
        if self.fx.drops.is_empty()
            && let Some(connection) = self.connection.as_deref_mut()
        {
            connection.qos0.push_back(token);
        }
    }

    /// Whether the server, while there is one, would take the message.
    fn check_accepted(&self, message: &Arc<Publication>, now: Instant) -> Result<(), NotSent> {
        let (Some(server), Some(version)) = (self.server(), self.version()) else { return Ok(()) };
        check_supported(message, server)?;
        let (qos, packet_id) = (message.qos, self.session.outbound.free_packet_id());
        let publish = OutgoingPublish {
            message: Arc::clone(message),
            packet_id,
            qos,
            dup: false,
            retain: message.retain,
            subscription_ids: SubscriptionIds::None,
        };
        match publish.encoded_len(version, now) <= server.packet_bytes_max as usize {
            true => Ok(()),
            false => Err(NotSent::PacketTooLarge),
        }
    }

    /// Gives up what is owed but not supported by the server that has just announced itself.
    pub(super) fn drop_unsupported(&mut self) {
        let Some(server) = self.server().cloned() else { return };
        let reason_of = |owed: &Owed| check_supported(owed.message()?, &server).err();
        let owed = self.session.outbound.iter();
        let dropped: Vec<_> = owed
            .filter_map(|owed| reason_of(owed).map(|reason| (owed.number, owed.packet_id(), reason)))
            .collect();
        for (message, packet_id, reason) in dropped {
            let settlement = Settlement::Dropped(crate::DropReason::RejectedByClient);
            self.record(SessionChange::Settled { message, packet_id, settlement });
            let (token, outcome) = (Token(message.0), PublishOutcome::NotSent(reason));
            self.events.push_back(Event::published(token, outcome));
        }
    }
}

fn check_supported(message: &Publication, server: &ServerLimits) -> Result<(), NotSent> {
    if message.qos > server.maximum_qos {
        return Err(NotSent::QoSNotSupported);
    }
    if message.retain && !server.retain_available {
        return Err(NotSent::RetainNotSupported);
    }
    Ok(())
}

/// A response topic is a topic name. A property section cannot be read past one that is not.
fn check_response_topic(properties: &Properties<'_>) -> Result<(), PublishError> {
    let readable = properties.iter().fold(Properties::new(), Properties::with);
    let is_readable = readable.as_bytes() == properties.as_bytes();
    let is_valid = properties.response_topic().is_none_or(|topic| TopicName::check(topic).is_ok());
    if is_readable && is_valid { Ok(()) } else { Err(PublishError::ResponseTopic) }
}

pub(super) fn publication(number: MessageNumber, message: &Message<'_>, now: Instant) -> Publication {
    let expiry = message.properties.message_expiry_interval();
    Publication {
        number,
        topic: message.topic.into(),
        payload: message.payload.into(),
        properties: message.properties.forwarded().into_owned(),
        qos: message.qos,
        retain: message.retain,
        published_at: now,
        expires_at: expiry.map(|seconds| now.plus_seconds(seconds)),
        publisher: "".into(),
        place: crate::Place::default(),
        kept: crate::Place::default(),
        parts: None,
        share: None,
    }
}
