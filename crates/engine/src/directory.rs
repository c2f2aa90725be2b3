//! What all shards see alike: who wants which topics, the shared groups and the retained messages.
//!
//! A shard reads it while it handles inputs and changes it only by [`Change`]s, which the runtime applies
//! after the records of the turn have their place in the journal. So nothing is visible to another shard that
//! a crash could take back.

use crate::ShardId;
use crate::share::Groups;
use noctule_codec::SubscriptionOptions;
use noctule_session::{GroupNumber, Instant, MemoryGauge, MessageNumber, Publication, SessionNumber};
use noctule_topic::{FilterIndex, RetainedTree, TopicFilter};
use std::cell::Cell;
use std::sync::Arc;

/// A session as the index names it. The slot finds it, the number proves that it is still the same one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Subscriber {
    /// The shard where the session lives.
    pub home: ShardId,
    /// Its place there.
    pub slot: u32,
    /// Its number.
    pub session: SessionNumber,
}

/// What a subscriber wants of the topics that one filter matches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Interest {
    /// The options of the subscription.
    pub options: SubscriptionOptions,
    /// Its identifier; 0: none.
    pub id: u32,
    /// The session outlives its connection, so what it is owed is recorded.
    pub durable: bool,
}

/// The state that all shards share.
#[derive(Debug, Default)]
pub struct Directory {
    /// Subscriptions that are not shared.
    pub filters: FilterIndex<Subscriber, Interest>,
    /// Shared subscriptions.
    pub groups: Groups,
    /// Retained messages by topic.
    pub retained: RetainedTree<Arc<Publication>>,
    /// Memory held by publications.
    pub memory: MemoryGauge,
    retained_messages: u64,
    retained_bytes: u64,
    last_message: Cell<u64>,
    last_session: Cell<u64>,
}

/// A change of the directory, as one step.
#[derive(Clone, Debug)]
pub enum Change {
    /// A subscription is made or replaced.
    Subscribe {
        /// The filter.
        filter: TopicFilter,
        /// Whose.
        subscriber: Subscriber,
        /// How.
        interest: Interest,
    },
    /// A subscription ends.
    Unsubscribe {
        /// The filter.
        filter: TopicFilter,
        /// Whose.
        subscriber: Subscriber,
    },
    /// A session joins a shared group, or its options there are replaced.
    Join {
        /// The share name.
        share_name: Box<str>,
        /// The filter.
        filter: TopicFilter,
        /// The shard that keeps the group's backlog.
        home: ShardId,
        /// Who.
        member: Subscriber,
        /// How.
        interest: Interest,
        /// Whether it can be given messages now.
        is_available: bool,
    },
    /// A session leaves a shared group; an empty group ends.
    Leave {
        /// The share name.
        share_name: Box<str>,
        /// The filter.
        filter: TopicFilter,
        /// Who.
        member: Subscriber,
    },
    /// A member of a shared group can, or cannot, be given messages.
    Available {
        /// The group.
        group: GroupNumber,
        /// Who.
        member: Subscriber,
        /// Whether it can.
        is_available: bool,
    },
    /// A publication becomes the retained message of its topic, or clears it where its payload is empty.
    /// It counts only if its number is higher than that of the message it replaces.
    Retain(Arc<Publication>),
    /// A retained message has expired and is forgotten, unless another has taken its place.
    Forget {
        /// The topic.
        topic: Box<str>,
        /// The message.
        message: MessageNumber,
    },
}

impl Directory {
    /// A new message number, higher than all before.
    pub fn next_message(&self) -> MessageNumber {
        self.last_message.set(self.last_message.get() + 1);
        MessageNumber(self.last_message.get())
    }

    /// A new session number, higher than all before.
    pub fn next_session(&self) -> SessionNumber {
        self.last_session.set(self.last_session.get() + 1);
        SessionNumber(self.last_session.get())
    }

    /// The retained message of a topic, unless it has expired.
    pub fn retained_message(&self, topic: &str, now: Instant) -> Option<&Arc<Publication>> {
        self.retained.get(topic).filter(|message| !message.is_expired(now))
    }

    /// How many retained messages clients have left; the broker's own are not counted.
    pub fn retained_messages(&self) -> u64 {
        self.retained_messages
    }

    /// Bytes of the retained messages that clients have left.
    pub fn retained_bytes(&self) -> u64 {
        self.retained_bytes
    }

    /// Makes a change visible.
    pub fn apply(&mut self, change: Change) {
        match change {
            Change::Subscribe { filter, subscriber, interest } => {
                self.filters.insert(&filter, subscriber, interest);
            }
            Change::Unsubscribe { filter, subscriber } => {
                self.filters.remove(filter.as_str(), subscriber);
            }
            Change::Join { share_name, filter, home, member, interest, is_available } => {
                self.groups.join(&share_name, &filter, home, member, interest, is_available);
            }
            Change::Leave { share_name, filter, member } => self.groups.leave(&share_name, &filter, member),
            Change::Available { group, member, is_available } => {
                self.groups.set_available(group, member, is_available);
            }
            Change::Retain(message) => self.retain(message),
            Change::Forget { topic, message } => self.forget(&topic, message),
        }
    }

    fn retain(&mut self, message: Arc<Publication>) {
        if self.retained.get(&message.topic).is_some_and(|kept| kept.number >= message.number) {
            return;
        }
        let topic = message.topic.clone();
        let replaced = if message.payload.is_empty() {
            self.retained.remove(&topic)
        } else {
            self.count_retained(&message);
            self.retained.insert(&topic, message)
        };
        self.discount_retained(replaced);
    }

    fn forget(&mut self, topic: &str, number: MessageNumber) {
        if self.retained.get(topic).is_some_and(|kept| kept.number == number) {
            let removed = self.retained.remove(topic);
            self.discount_retained(removed);
        }
    }

    fn count_retained(&mut self, message: &Publication) {
        if !message.is_of_broker() {
            self.retained_messages += 1;
            self.retained_bytes += message.bytes();
        }
    }

    fn discount_retained(&mut self, removed: Option<Arc<Publication>>) {
        if let Some(message) = removed.filter(|message| !message.is_of_broker()) {
            self.retained_messages -= 1;
            self.retained_bytes -= message.bytes();
        }
    }
}
