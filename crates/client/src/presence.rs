//! Being there and being gone, as one thing.

use noctule_codec::{EncodeError, Properties, Property, QoS};
use noctule_session::client::Message;
use std::time::Duration;

/// What the world is told about whether this client is there.
///
/// The client publishes the `online` message whenever it has connected. When it is gone without a word, the server
/// publishes the `offline` message as its will; when it is closed, it publishes that itself. Both are retained at
/// QoS 1, so that whoever asks later knows too.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Presence {
    topic: String,
    /// Nothing where there is a will alone.
    online: Option<Vec<u8>>,
    offline: Vec<u8>,
    qos: QoS,
    retain: bool,
    properties: Properties<'static>,
    error: Option<EncodeError>,
}

impl Presence {
    /// Tells on `topic` with these two messages.
    pub fn new(topic: impl Into<String>, online: impl Into<Vec<u8>>, offline: impl Into<Vec<u8>>) -> Self {
        Self { online: Some(online.into()), ..Self::will(topic, offline) }
    }

    /// A will and no more: nothing is told when this client connects, and nothing when it is closed.
    pub fn will(topic: impl Into<String>, payload: impl Into<Vec<u8>>) -> Self {
        Self {
            topic: topic.into(),
            online: None,
            offline: payload.into(),
            qos: QoS::AtLeastOnce,
            retain: true,
            properties: Properties::EMPTY,
            error: None,
        }
    }

    /// At another QoS.
    #[must_use]
    pub fn qos(self, qos: QoS) -> Self {
        Self { qos, ..self }
    }

    /// Retained or not.
    #[must_use]
    pub fn retain(self, retain: bool) -> Self {
        Self { retain, ..self }
    }

    /// How long the server waits for this client to come back before it publishes the will, in whole seconds; not at
    /// all unless this says otherwise. 5.0 only.
    #[must_use]
    pub fn delay(self, delay: Duration) -> Self {
        let seconds = u32::try_from(delay.as_secs()).unwrap_or(u32::MAX);
        self.property(Property::WillDelayInterval(seconds))
    }

    /// Any property of these messages, such as [`Property::ContentType`]. 5.0 only.
    #[must_use]
    pub fn property(mut self, property: Property<'_>) -> Self {
        if let Err(error) = self.properties.try_push(property) {
            self.error.get_or_insert(error);
        }
        self
    }

    pub(crate) fn below(self, prefix: &str) -> Self {
        Self { topic: format!("{prefix}{}", self.topic), ..self }
    }

    pub(crate) fn topic(&self) -> &str {
        &self.topic
    }

    /// What cannot be sent of it.
    pub(crate) fn error(&self) -> Option<EncodeError> {
        self.error
    }

    pub(crate) fn online(&self) -> Option<&[u8]> {
        self.online.as_deref()
    }

    pub(crate) fn offline(&self) -> &[u8] {
        &self.offline
    }

    pub(crate) fn message<'a>(&'a self, payload: &'a [u8]) -> Message<'a> {
        let properties = self.properties.borrow();
        Message { topic: &self.topic, payload, qos: self.qos, retain: self.retain, properties }
    }
}
