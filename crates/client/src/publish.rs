//! Publishing: room in the outbox, responsibility, the server's answer.

use crate::error::PublishError;
use crate::payload::{IntoPayload, PayloadError};
use crate::shared::{Alive, Shared};
use bytes::Bytes;
use noctule_codec::{Properties, Property, QoS, ReasonCode};
use noctule_session::client::Message;
use std::future::{Future, IntoFuture};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

/// A message to be published; see [`Client::publish`](crate::Client::publish).
///
/// It is a future: awaited, it waits for room in the outbox and then takes responsibility for the message. Dropped
/// before that, nothing has happened.
#[derive(Debug)]
#[must_use = "a message is published when this is awaited"]
pub struct Publish {
    alive: Arc<Alive>,
    topic: String,
    payload: Result<Bytes, PayloadError>,
    qos: QoS,
    retain: bool,
    properties: Properties<'static>,
    error: Option<PublishError>,
    content_type: Option<&'static str>,
}

/// A message that this client is responsible for.
///
/// It is a future: awaited, it gives the server's answer. Dropped, the message goes its way all the same.
#[derive(Debug)]
pub struct PublishHandle(oneshot::Receiver<Result<Answer, PublishError>>);

/// The server's answer to a message: its PUBACK, or its PUBCOMP at QoS 2. For a QoS 0 message, that it was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    reason_code: ReasonCode,
    properties: Properties<'static>,
}

/// The bounds of what waits to be acknowledged.
#[derive(Debug)]
pub(crate) struct Outbox {
    messages: Arc<Semaphore>,
    bytes: Arc<Semaphore>,
    messages_max: usize,
    bytes_max: u32,
}

/// The place of one message in the outbox. Dropped, it is free again.
#[derive(Debug)]
pub(crate) struct Room {
    _message: OwnedSemaphorePermit,
    _bytes: OwnedSemaphorePermit,
}

impl Publish {
    pub(crate) fn new(alive: Arc<Alive>, topic: &str, payload: impl IntoPayload) -> Self {
        let topic = format!("{}{topic}", alive.0.options.prefix);
        let content_type = payload.content_type();
        Self {
            alive,
            topic,
            payload: payload.into_payload(),
            qos: QoS::AtLeastOnce,
            retain: false,
            properties: Properties::EMPTY,
            error: None,
            content_type,
        }
    }

    /// At which QoS; 1 unless this says otherwise.
    pub fn qos(self, qos: QoS) -> Self {
        Self { qos, ..self }
    }

    /// Whether it becomes the retained message of its topic; with an empty payload it clears that.
    pub fn retain(self, retain: bool) -> Self {
        Self { retain, ..self }
    }

    /// How long it is worth delivering: here, while it waits for a connection, and in 5.0 on the server. Whole
    /// seconds, rounded up.
    pub fn expiry(self, expiry: Duration) -> Self {
        let seconds = expiry.as_secs() + u64::from(expiry.subsec_nanos() > 0);
        let seconds = u32::try_from(seconds).unwrap_or(u32::MAX);
        self.property(Property::MessageExpiryInterval(seconds))
    }

    /// What the payload is, as a MIME type. 5.0 only.
    pub fn content_type(mut self, content_type: &str) -> Self {
        self.content_type = None;
        self.property(Property::ContentType(content_type))
    }

    /// Where an answer is to be published. 5.0 only.
    pub fn response_topic(self, topic: &str) -> Self {
        let topic = format!("{}{topic}", self.alive.0.options.prefix);
        self.property(Property::ResponseTopic(&topic))
    }

    /// What an answer has to repeat. 5.0 only.
    pub fn correlation_data(self, data: &[u8]) -> Self {
        self.property(Property::CorrelationData(data))
    }

    /// A name and a value for the receivers; more than one may have the same name. 5.0 only.
    pub fn user_property(self, name: &str, value: &str) -> Self {
        self.property(Property::UserProperty(name, value))
    }

    /// Any property of PUBLISH. Topic aliases are this client's own business.
    pub fn property(mut self, property: Property<'_>) -> Self {
        if let Err(error) = self.properties.try_push(property) {
            self.error.get_or_insert(PublishError::Property(error));
        }
        self
    }

    /// Takes responsibility at once or not at all. With an outbox on disk it does not wait for the disk.
    ///
    /// # Errors
    /// [`PublishError::OutboxFull`], and what awaiting it gives.
    pub fn try_now(self) -> Result<PublishHandle, PublishError> {
        let room = self.alive.0.outbox.try_room(self.bytes()).ok_or(PublishError::OutboxFull)?;
        self.hand_over(room)
    }

    async fn when_there_is_room(self) -> Result<PublishHandle, PublishError> {
        let shared = Arc::clone(&self.alive.0);
        let room = shared.outbox.room(self.bytes()).await.ok_or(PublishError::Closed)?;
        let is_remembered = self.qos > QoS::AtMostOnce;
        let handle = self.hand_over(room)?;
        if is_remembered {
            // Dropped here, the message goes its way, but nobody has been told that it will.
            return if shared.persisted_or_closed().await { Ok(handle) } else { Err(PublishError::Closed) };
        }
        Ok(handle)
    }

    /// Here responsibility changes hands.
    fn hand_over(mut self, room: Room) -> Result<PublishHandle, PublishError> {
        if let Some(content_type) = self.content_type.take() {
            self = self.property(Property::ContentType(content_type));
        }
        if let Some(error) = self.error {
            return Err(error);
        }
        let payload = self.payload.map_err(PublishError::Payload)?;
        let message = Message {
            topic: &self.topic,
            payload: &payload,
            qos: self.qos,
            retain: self.retain,
            properties: self.properties.borrow(),
        };
        let shared: &Shared = &self.alive.0;
        shared.change(|core, now| core.publish(&message, Some(room), now)).map(PublishHandle)
    }

    fn bytes(&self) -> usize {
        let payload = self.payload.as_ref().map_or(0, Bytes::len);
        self.topic.len() + payload + self.properties.as_bytes().len()
    }
}

impl IntoFuture for Publish {
    type Output = Result<PublishHandle, PublishError>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.when_there_is_room())
    }
}

impl Future for PublishHandle {
    type Output = Result<Answer, PublishError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let received = Pin::new(&mut self.0).poll(context);
        received.map(|received| received.unwrap_or(Err(PublishError::Closed)))
    }
}

impl Answer {
    pub(crate) fn new(reason_code: ReasonCode, properties: Properties<'static>) -> Self {
        Self { reason_code, properties }
    }

    /// Success, or [`ReasonCode::NoMatchingSubscribers`].
    pub fn reason_code(&self) -> ReasonCode {
        self.reason_code
    }

    /// What the server says in words.
    pub fn reason(&self) -> Option<&str> {
        self.properties.reason_string()
    }

    /// All its properties; none in 3.x.
    pub fn properties(&self) -> &Properties<'static> {
        &self.properties
    }
}

impl Outbox {
    pub(crate) fn new(messages_max: usize, bytes_max: u32) -> Self {
        let messages_max = messages_max.clamp(1, Semaphore::MAX_PERMITS);
        let messages = Arc::new(Semaphore::new(messages_max));
        let bytes_max = bytes_max.max(1);
        // A permit is a byte.
        let bytes = Arc::new(Semaphore::new(bytes_max as usize));
        Self { messages, bytes, messages_max, bytes_max }
    }

    /// Waits for room, first come, first served. `None` once it is closed.
    async fn room(&self, bytes: usize) -> Option<Room> {
        let message = Arc::clone(&self.messages).acquire_owned().await.ok()?;
        let bytes = Arc::clone(&self.bytes).acquire_many_owned(self.permits(bytes)).await.ok()?;
        Some(Room { _message: message, _bytes: bytes })
    }

    pub(crate) fn try_room(&self, bytes: usize) -> Option<Room> {
        let message = Arc::clone(&self.messages).try_acquire_owned().ok()?;
        let bytes = Arc::clone(&self.bytes).try_acquire_many_owned(self.permits(bytes)).ok()?;
        Some(Room { _message: message, _bytes: bytes })
    }

    /// Messages and bytes that have a place.
    pub(crate) fn used(&self) -> (u64, u64) {
        let messages = self.messages_max - self.messages.available_permits();
        let bytes = self.bytes_max as usize - self.bytes.available_permits();
        (messages as u64, bytes as u64)
    }

    /// Whoever waits for room is told that there will be none.
    pub(crate) fn close(&self) {
        self.messages.close();
        self.bytes.close();
    }

    /// A message above the bound has room when nothing else is there.
    fn permits(&self, bytes: usize) -> u32 {
        u32::try_from(bytes).unwrap_or(u32::MAX).min(self.bytes_max)
    }
}
