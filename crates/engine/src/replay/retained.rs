//! The retained message of each topic: the last one in the journal. A record of one takes its place in the journal
//! and in the tree as one step, so the order of the journal is the order in which the tree had them.

use hashbrown::HashMap;
use noctule_session::{Position, Publication};
use std::sync::Arc;

#[derive(Debug, Default)]
pub(super) struct Retained {
    by_topic: HashMap<Box<str>, Arc<Publication>>,
}

impl Retained {
    /// A publication became the retained message of its topic, or cleared it by its empty payload
    /// [MQTT-3.3.1-6]. The record that says so is here.
    pub(super) fn set(&mut self, message: &Arc<Publication>, position: Position) {
        if message.payload_bytes() == 0 {
            self.by_topic.remove(message.topic.as_str());
            return;
        }
        message.place.set(position);
        message.kept.set(position);
        match self.by_topic.get_mut(message.topic.as_str()) {
            Some(known) => *known = Arc::clone(message),
            None => drop(self.by_topic.insert(message.topic.as_str().into(), Arc::clone(message))),
        }
    }

    /// The retained messages in the order of their numbers.
    pub(super) fn finish(self) -> Vec<Arc<Publication>> {
        let mut messages: Vec<_> = self.by_topic.into_values().collect();
        messages.sort_unstable_by_key(|message| message.number);
        messages
    }
}
