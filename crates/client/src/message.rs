//! A message from the server, as streams share it and as the application gets it.

use crate::shared::Shared;
use bytes::Bytes;
use noctule_codec::{Properties, QoS, ReasonCode};
use noctule_session::client::{Delivery, Receipt};
use std::fmt;
use std::str::Utf8Error;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

/// A message that has come on a subscription.
///
/// With [`manual_acks`](crate::Subscribe::manual_acks) it waits for [`ack`](Self::ack) or
/// [`reject`](Self::reject); otherwise it was acknowledged when it was taken from its stream.
pub struct Message {
    content: Arc<Content>,
    hand: Option<Hand>,
}

/// What acknowledging by hand needs.
struct Hand {
    shared: Arc<Shared>,
    holders: Arc<Holders>,
    is_done: AtomicBool,
}

/// What all streams that have a message share.
#[derive(Debug)]
struct Content {
    topic: Box<str>,
    /// Bytes of the topic that belong to the prefix of this client.
    prefix_bytes: usize,
    payload: Bytes,
    qos: QoS,
    retain: bool,
    dup: bool,
    properties: Properties<'static>,
}

/// How many streams have yet to release a message above QoS 0.
#[derive(Debug)]
pub(crate) struct Holders {
    receipt: Receipt,
    left: AtomicUsize,
}

/// A message in the buffer of a stream.
#[derive(Clone, Debug)]
pub(crate) struct Arrived {
    content: Arc<Content>,
    holders: Option<Arc<Holders>>,
}

impl Message {
    pub(crate) fn taken(arrived: Arrived) -> Self {
        Self { content: arrived.content, hand: None }
    }

    pub(crate) fn by_hand(arrived: Arrived, shared: Arc<Shared>) -> Self {
        let hand = |holders| Hand { shared, holders, is_done: AtomicBool::new(false) };
        Self { content: arrived.content, hand: arrived.holders.map(hand) }
    }

    /// The topic name, without the prefix of this client.
    pub fn topic(&self) -> &str {
        &self.content.topic[self.content.prefix_bytes..]
    }

    /// The application message. Cloning it copies nothing.
    pub fn payload(&self) -> &Bytes {
        &self.content.payload
    }

    /// The application message as text.
    ///
    /// # Errors
    /// It is not UTF-8.
    pub fn text(&self) -> Result<&str, Utf8Error> {
        std::str::from_utf8(&self.content.payload)
    }

    /// The application message as JSON.
    ///
    /// # Errors
    /// It is no JSON, or not that of a `T`.
    #[cfg(feature = "json")]
    pub fn json<'a, T: serde::Deserialize<'a>>(&'a self) -> Result<T, serde_json::Error> {
        serde_json::from_slice(&self.content.payload)
    }

    /// The QoS of this delivery.
    pub fn qos(&self) -> QoS {
        self.content.qos
    }

    /// Whether it is the retained message of its topic, which was there before the subscription.
    pub fn retain(&self) -> bool {
        self.content.retain
    }

    /// Whether the server may have sent it before.
    pub fn dup(&self) -> bool {
        self.content.dup
    }

    /// All its properties; none in 3.x.
    pub fn properties(&self) -> &Properties<'static> {
        &self.content.properties
    }

    /// What the payload is, as its publisher says.
    pub fn content_type(&self) -> Option<&str> {
        self.content.properties.content_type()
    }

    /// Where an answer is to be published, without the prefix of this client if it begins with that.
    pub fn response_topic(&self) -> Option<&str> {
        let prefix = &self.content.topic[..self.content.prefix_bytes];
        let topic = self.content.properties.response_topic()?;
        Some(topic.strip_prefix(prefix).unwrap_or(topic))
    }

    /// What an answer has to repeat.
    pub fn correlation_data(&self) -> Option<&[u8]> {
        self.content.properties.correlation_data()
    }

    /// Names and values that its publisher has added, in their order.
    pub fn user_properties(&self) -> impl Iterator<Item = (&str, &str)> {
        self.content.properties.user_properties()
    }

    /// Acknowledges it, where that is done by hand. Returns whether the server will be told: not for QoS 0, not
    /// twice, and not once the session it came in is gone. Over a new connection of the same session it counts.
    ///
    /// Acknowledgements leave in the order in which messages came [MQTT-4.6.0-2], so one that is not given holds
    /// back all later ones of its connection. A message that is dropped without one is delivered again over the next
    /// connection.
    pub fn ack(&self) -> bool {
        self.answer(ReasonCode::Success)
    }

    /// Refuses it with an error code, of which a 3.x server is not told: there it counts as acknowledged. It does
    /// not come again. Returns what [`ack`](Self::ack) returns.
    pub fn reject(&self, reason_code: ReasonCode) -> bool {
        self.answer(reason_code)
    }

    fn answer(&self, reason_code: ReasonCode) -> bool {
        let Some(hand) = &self.hand else { return false };
        if hand.is_done.swap(true, Ordering::Relaxed) {
            return false;
        }
        hand.shared.change(|core, _| core.answer(&hand.holders, reason_code))
    }
}

impl Drop for Hand {
    fn drop(&mut self) {
        if !self.is_done.load(Ordering::Relaxed) {
            self.shared.with(|core, _| core.abandon(&self.holders));
        }
    }
}

impl fmt::Debug for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let waits = self.hand.as_ref().is_some_and(|hand| !hand.is_done.load(Ordering::Relaxed));
        f.debug_struct("Message")
            .field("topic", &self.topic())
            .field("payload", &self.content.payload)
            .field("qos", &self.content.qos)
            .field("retain", &self.content.retain)
            .field("waits_for_ack", &waits)
            .finish_non_exhaustive()
    }
}

impl Arrived {
    /// A delivery that so many streams have, at least one. Topics of a client with a prefix begin with it.
    pub(crate) fn new(delivery: Delivery, prefix: &str, streams: usize) -> Self {
        let holders = |receipt| Arc::new(Holders { receipt, left: AtomicUsize::new(streams.max(1)) });
        let content = Content {
            prefix_bytes: if delivery.topic.starts_with(prefix) { prefix.len() } else { 0 },
            topic: delivery.topic,
            payload: Vec::from(delivery.payload).into(),
            qos: delivery.qos,
            retain: delivery.retain,
            dup: delivery.dup,
            properties: delivery.properties,
        };
        Self { content: Arc::new(content), holders: delivery.receipt.map(holders) }
    }

    /// The whole topic name.
    pub(crate) fn topic(&self) -> &str {
        &self.content.topic
    }

    pub(crate) fn qos(&self) -> QoS {
        self.content.qos
    }

    /// What it costs to keep, in bytes.
    pub(crate) fn bytes(&self) -> usize {
        self.content.topic.len() + self.content.payload.len() + self.content.properties.as_bytes().len()
    }

    /// What is to be acknowledged now that one stream more is done with it.
    pub(crate) fn release(&self) -> Option<Receipt> {
        self.holders.as_ref()?.release()
    }

    #[cfg(test)]
    pub(crate) fn for_test(topic: &str, qos: QoS) -> Self {
        let delivery = Delivery {
            topic: topic.into(),
            payload: Box::default(),
            qos,
            retain: false,
            dup: false,
            packet_id: None,
            receipt: None,
            properties: Properties::EMPTY,
        };
        Self::new(delivery, "", 1)
    }
}

impl Holders {
    /// What is to be acknowledged if this was the last of them.
    pub(crate) fn release(&self) -> Option<Receipt> {
        // A count of its own; what it guards is behind the lock of the core.
        let before = self.left.fetch_sub(1, Ordering::Relaxed);
        (before == 1).then_some(self.receipt)
    }

    /// What is to be refused, whoever else has it.
    pub(crate) fn receipt(&self) -> Receipt {
        self.receipt
    }
}
