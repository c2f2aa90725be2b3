//! The retained message of each topic: the one with the highest number, whatever the order of the records. That a
//! topic was cleared is remembered with its number for the same reason.

use hashbrown::HashMap;
use noctule_session::{MessageNumber, Position, Publication};
use std::sync::Arc;

#[derive(Debug, Default)]
pub(super) struct Retained {
    by_topic: HashMap<Box<str>, Version>,
}

#[derive(Debug)]
struct Version {
    number: MessageNumber,
    /// `None`: there is no retained message since.
    message: Option<Arc<Publication>>,
}

impl Retained {
    /// A publication became the retained message of its topic, or cleared it by its empty payload
    /// [MQTT-3.3.1-6]. The record that says so is here.
    pub(super) fn set(&mut self, message: &Arc<Publication>, position: Position) {
        if message.payload.is_empty() {
            return self.clear(&message.topic, message.number);
        }
        message.place.set(position);
        message.kept.set(position);
        self.replace(&message.topic, Version { number: message.number, message: Some(Arc::clone(message)) });
    }

    /// A topic has no retained message since this publication.
    pub(super) fn clear(&mut self, topic: &str, number: MessageNumber) {
        self.replace(topic, Version { number, message: None });
    }

    fn replace(&mut self, topic: &str, version: Version) {
        match self.by_topic.get_mut(topic) {
            Some(known) if known.number > version.number => {}
            Some(known) => *known = version,
            None => drop(self.by_topic.insert(topic.into(), version)),
        }
    }

    /// The retained messages in the order of their numbers.
    pub(super) fn finish(self) -> Vec<Arc<Publication>> {
        let messages = self.by_topic.into_values().filter_map(|version| version.message);
        let mut messages: Vec<_> = messages.collect();
        messages.sort_unstable_by_key(|message| message.number);
        messages
    }
}
