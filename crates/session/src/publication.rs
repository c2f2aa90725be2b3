//! One published message, shared by everybody it is owed to.

use crate::{Instant, MemoryGauge, MemoryShare, Payload, Place, Position};
use noctule_codec::{Properties, Publish, QoS, Will};
use std::sync::Arc;

/// The number of a publication: unique on this broker and never used again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MessageNumber(pub u64);

/// A publication as it was accepted. It does not change while anybody refers to it; what differs between receivers
/// (QoS, packet id, flags, subscription identifiers) is kept beside the reference to it.
#[derive(Debug)]
pub struct Publication {
    /// Its number, in the order in which one shard accepted publications.
    pub number: MessageNumber,
    /// The topic name, aliases resolved.
    pub topic: String,
    /// The application message.
    pub payload: Payload,
    /// The properties that are handed on unchanged and in order [MQTT-3.3.2-15, -16, -17, -18, -20].
    pub properties: Properties<'static>,
    /// The QoS at which it was published.
    pub qos: QoS,
    /// The RETAIN flag with which it was published.
    pub retain: bool,
    /// When it was accepted.
    pub published_at: Instant,
    /// When it must no longer be delivered, unless delivery has begun [MQTT-3.3.2-5].
    pub expires_at: Option<Instant>,
    /// The client id of the publisher, for No Local [MQTT-3.8.3-3].
    pub publisher: Arc<str>,
    /// Where it was recorded when it was published, once it is.
    pub place: Place,
    /// Where it was recorded anew as the retained message of its topic.
    pub kept: Place,
    /// Where the journal has the payload, if that is too long to be recorded in one piece.
    pub parts: Option<Box<Parts>>,
    /// Its share of the broker's memory, where that is counted.
    pub share: Option<MemoryShare>,
}

/// A payload that was recorded in parts, in front of the record that gives them a meaning.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parts {
    /// Bytes of the payload.
    pub bytes: u64,
    /// Where its parts stand, in their order.
    pub places: Box<[Position]>,
}

impl Publication {
    /// One that has no content yet, to be filled.
    pub fn empty(memory: &MemoryGauge) -> Self {
        Self {
            number: MessageNumber(0),
            topic: String::new(),
            payload: Payload::EMPTY,
            properties: Properties::EMPTY,
            qos: QoS::AtMostOnce,
            retain: false,
            published_at: Instant::default(),
            expires_at: None,
            publisher: "".into(),
            place: Place::default(),
            kept: Place::default(),
            parts: None,
            share: Some(memory.take(0)),
        }
    }

    /// Becomes what a client's PUBLISH asks for; `topic` is the resolved topic name. It has no content before. A long
    /// payload is not copied if `packet` has just the bytes of the PUBLISH.
    pub fn fill(
        &mut self,
        number: MessageNumber,
        publish: &Publish<'_>,
        packet: Option<&Arc<Vec<u8>>>,
        topic: &str,
        publisher: &Arc<str>,
        now: Instant,
    ) {
        self.number = number;
        self.topic.push_str(topic);
        match packet {
            // The payload is the end of its packet [MQTT-3.3.3].
            Some(packet) => self.payload = Payload::shared(packet, packet.len() - publish.payload.len()),
            None => self.payload.extend_from_slice(publish.payload),
        }
        if !publish.properties.is_empty() {
            self.properties = publish.properties.forwarded().into_owned();
        }
        self.qos = publish.qos;
        self.retain = publish.retain;
        self.published_at = now;
        self.expires_at =
            publish.properties.message_expiry_interval().map(|seconds| now.plus_seconds(seconds));
        self.publisher = Arc::clone(publisher);
    }

    /// Becomes what a will asks for when it fires [MQTT-3.1.2-8]. Its expiry counts from then.
    pub fn fill_with_will(
        &mut self,
        number: MessageNumber,
        will: &StoredWill,
        publisher: &Arc<str>,
        now: Instant,
    ) {
        self.number = number;
        self.topic.push_str(&will.topic);
        self.payload.extend_from_slice(&will.payload);
        self.properties = will.properties.clone();
        self.qos = will.qos;
        self.retain = will.retain;
        self.published_at = now;
        self.expires_at = will.message_expiry_interval.map(|seconds| now.plus_seconds(seconds));
        self.publisher = Arc::clone(publisher);
    }

    /// Has no content any more, and room for the next. Says by how much the memory it takes has changed.
    #[must_use]
    #[inline]
    pub fn clear(&mut self) -> i64 {
        self.topic.clear();
        self.payload.clear();
        self.properties = Properties::EMPTY;
        self.parts = None;
        self.place.set(Position::NOWHERE);
        self.kept.set(Position::NOWHERE);
        self.share.as_mut().map_or(0, |share| share.recount(0))
    }

    /// Counts its content as memory. Says by how much the memory it takes has changed.
    #[must_use]
    pub fn recount(&mut self) -> i64 {
        let bytes = self.bytes();
        self.share.as_mut().map_or(0, |share| share.recount(bytes))
    }

    /// Bytes of the room for its topic name and payload.
    pub fn room_bytes(&self) -> usize {
        self.topic.capacity() + self.payload.capacity()
    }

    /// Where its content was recorded last, if it was.
    pub fn position(&self) -> Position {
        self.place.get().max(self.kept.get())
    }

    /// Whether the broker itself published it, which no client id can claim.
    pub fn is_of_broker(&self) -> bool {
        self.publisher.is_empty()
    }

    /// Whether it must no longer be delivered for the first time.
    pub fn is_expired(&self, now: Instant) -> bool {
        self.expires_at.is_some_and(|at| at <= now)
    }

    /// The Message Expiry Interval to send: the published one less the time it waited [MQTT-3.3.2-6].
    /// What was sent before it expired may be sent again; its interval is then 0.
    pub fn remaining_expiry_seconds(&self, now: Instant) -> Option<u32> {
        let millis = self.expires_at?.millis_since(now);
        Some(u32::try_from(millis.div_ceil(1000)).unwrap_or(u32::MAX))
    }

    /// Its [bytes](Self::bytes) as a queue's entry and the journal keep them, whether or not its payload is in memory.
    pub fn queue_bytes(&self) -> u32 {
        let elsewhere = self.payload_bytes() - self.payload.len() as u64;
        u32::try_from(self.bytes() + elsewhere).unwrap_or(u32::MAX)
    }

    /// What it costs to keep, in bytes: its content, as far as that is in memory, and a flat amount for the rest.
    #[inline]
    pub fn bytes(&self) -> u64 {
        (self.topic.len() + self.payload.len() + self.properties.as_bytes().len()) as u64 + FLAT_BYTES
    }

    /// Bytes of its payload, which may be in the journal alone.
    #[inline]
    pub fn payload_bytes(&self) -> u64 {
        match (self.payload.len(), &self.parts) {
            (0, Some(parts)) => parts.bytes,
            (bytes, _) => bytes as u64,
        }
    }

    /// Whether it has to be read from the journal before it can be sent.
    pub fn is_payload_missing(&self) -> bool {
        self.payload.is_empty() && self.payload_bytes() > 0
    }
}

/// A will as it is kept until it is published or dropped [MQTT-3.1.2-7].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredWill {
    /// Where it is published.
    pub topic: Box<str>,
    /// What is published.
    pub payload: Box<[u8]>,
    /// At which QoS.
    pub qos: QoS,
    /// Whether it becomes the retained message of its topic.
    pub retain: bool,
    /// Seconds between the end of the connection and its publication.
    pub delay_seconds: u32,
    /// Seconds for which it is worth delivering once published.
    pub message_expiry_interval: Option<u32>,
    /// The properties that are handed on unchanged.
    pub properties: Properties<'static>,
}

impl StoredWill {
    /// The will inside a CONNECT.
    pub fn new(will: &Will<'_>) -> Self {
        Self {
            topic: will.topic.into(),
            payload: will.payload.into(),
            qos: will.qos,
            retain: will.retain,
            delay_seconds: will.properties.will_delay_interval().unwrap_or(0),
            message_expiry_interval: will.properties.message_expiry_interval(),
            properties: will.properties.forwarded().into_owned(),
        }
    }

    /// What it costs to keep, in bytes.
    pub fn bytes(&self) -> u64 {
        (self.topic.len() + self.payload.len() + self.properties.as_bytes().len()) as u64 + FLAT_BYTES
    }
}

/// The flat cost of one publication in bytes: its fixed fields and the allocator's share.
const FLAT_BYTES: u64 = 128;
