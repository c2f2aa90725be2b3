//! Being there and being gone, as one thing.

use noctule_codec::QoS;
use noctule_session::client::Message;

/// What the world is told about whether this client is there.
///
/// The client publishes the `online` message whenever it has connected. When it is gone without a word, the server
/// publishes the `offline` message as its will; when it is closed, it publishes that itself. Both are retained at
/// QoS 1, so that whoever asks later knows too.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Presence {
    topic: String,
    online: Vec<u8>,
    offline: Vec<u8>,
    qos: QoS,
    retain: bool,
}

impl Presence {
    /// Tells on `topic` with these two messages.
    pub fn new(topic: impl Into<String>, online: impl Into<Vec<u8>>, offline: impl Into<Vec<u8>>) -> Self {
        let (topic, online, offline) = (topic.into(), online.into(), offline.into());
        Self { topic, online, offline, qos: QoS::AtLeastOnce, retain: true }
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

    pub(crate) fn below(self, prefix: &str) -> Self {
        Self { topic: format!("{prefix}{}", self.topic), ..self }
    }

    pub(crate) fn topic(&self) -> &str {
        &self.topic
    }

    pub(crate) fn online(&self) -> &[u8] {
        &self.online
    }

    pub(crate) fn offline(&self) -> &[u8] {
        &self.offline
    }

    pub(crate) fn message<'a>(&'a self, payload: &'a [u8]) -> Message<'a> {
        Message { topic: &self.topic, payload, qos: self.qos, retain: self.retain, ..Message::default() }
    }
}
