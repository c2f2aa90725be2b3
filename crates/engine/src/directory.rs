//! What all shards see alike: who wants which topics, the shared groups and the retained messages.
//!
//! A shard reads it while it handles inputs and changes it only by [`Change`]s, which the runtime applies
//! after the records of the turn have their place in the journal. So nothing is visible to another shard that
//! a crash could take back.
//!
//! Shards read and change it at the same time. How its parts are guarded is the runtime's choice
//! ([`Guarded`]); a shard looks at one part at a time, briefly, and keeps no look from one input to the next.
//! Numbers, counters and [generations](crate::Generations) need no guard.

use crate::generations::Generations;
use crate::groups::{DebtChange, GroupDebts, Groups, Member};
use crate::{Record, ShardId};
use noctule_codec::QoS;
use noctule_session::{
    GroupNumber, Instant, MemoryGauge, MessageNumber, MeterTable, Meters, Position, Publication, Rates,
    SessionNumber,
};
use noctule_topic::{FilterIndex, RetainedTree, TopicFilter};
use std::fmt::Debug;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};

/// A session as the index names it. The slot finds it, the number proves that it is still the same one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Subscriber {
    /// The shard where the session lives.
    pub home: ShardId,
    /// Its place there.
    pub slot: u32,
    /// Its number.
    pub session: SessionNumber,
}

/// What a subscriber wants of the topics that one filter matches: 8 bytes, of which there may be millions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Interest {
    /// The granted QoS.
    pub qos: QoS,
    /// The session's own publications are not for it [MQTT-3.8.3-3].
    pub no_local: bool,
    /// It wants the RETAIN flag as published [MQTT-3.3.1-13].
    pub retain_as_published: bool,
    /// The session outlives its connection, so what it is owed is recorded.
    pub durable: bool,
    /// The identifier of the subscription; 0: none.
    pub id: u32,
}

/// The state that all shards share.
#[derive(Debug)]
pub struct Directory {
    /// Subscriptions that are not shared.
    pub filters: Part<FilterIndex<Subscriber, Interest>>,
    /// Shared subscriptions.
    pub groups: Part<Groups>,
    /// What groups are owed and the journal knows of.
    pub debts: Part<GroupDebts>,
    /// The rates of users.
    users: Part<MeterTable<Box<str>>>,
    /// Retained messages by topic.
    pub retained: Part<RetainedTree<Arc<Publication>>>,
    /// Memory held by publications.
    pub memory: MemoryGauge,
    /// Bytes of the journal that sessions will need to come to an end with what they are owed.
    pub(crate) dues: MemoryGauge,
    /// Tells whether a route is still what the index says.
    pub generations: Generations,
    /// Bytes of mail on their way to each shard.
    pub mail: MailGauge,
    /// Whether the journal takes records.
    pub journal: JournalGauge,
    retained_messages: AtomicU64,
    retained_bytes: AtomicU64,
    sessions: AtomicU64,
    clients: AtomicU64,
    clients_maximum: AtomicU64,
    last_message: AtomicU64,
    last_session: AtomicU64,
    last_group: AtomicU64,
}

/// A value that several shards look at and change, each look and each change as one step.
pub trait Guarded<T>: Debug + Send + Sync {
    /// Shows the value. Others may look at it meanwhile; who wants to change it waits, so looks are brief.
    fn read(&self, look: &mut dyn FnMut(&T));
    /// Lets the value be changed while nobody looks.
    fn change(&self, change: &mut dyn FnMut(&mut T));
}

/// How a runtime guards the parts of the directory.
pub trait Guards {
    /// Guards a value.
    fn guard<T: Debug + Send + Sync + 'static>(value: T) -> Box<dyn Guarded<T>>;
}

/// A part of the directory behind its guard.
#[derive(Debug)]
pub struct Part<T>(Box<dyn Guarded<T>>);

/// Bytes of mail that have been sent to each shard and not been handled there.
#[derive(Debug)]
pub struct MailGauge(Box<[AtomicU64]>);

/// Tells whether the journal takes records.
#[derive(Debug, Default)]
pub struct JournalGauge(AtomicU8);

/// Whether the journal takes records.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum JournalState {
    /// It does.
    #[default]
    Open,
    /// It has no room but for what is needed to come to an end: acknowledgements and removals.
    Full,
    /// Its disk fails; what was recorded last is tried again.
    Failing,
}

impl JournalGauge {
    /// How it is.
    pub fn state(&self) -> JournalState {
        match self.0.load(Ordering::Relaxed) {
            0 => JournalState::Open,
            1 => JournalState::Full,
            _ => JournalState::Failing,
        }
    }

    /// Says how it is from now on.
    pub fn set(&self, state: JournalState) {
        self.0.store(state as u8, Ordering::Relaxed);
    }
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
        /// Its number, unless it has another one already.
        group: GroupNumber,
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
    Retain(Arc<Publication>),
    /// A retained message has expired and is forgotten, unless another has taken its place.
    Forget {
        /// The topic.
        topic: Box<str>,
        /// The message.
        message: MessageNumber,
    },
}

impl<T> Part<T> {
    /// What `look` sees.
    pub fn read<R>(&self, look: impl FnOnce(&T) -> R) -> R {
        let (mut look, mut seen) = (Some(look), None);
        self.0.read(&mut |value| seen = look.take().map(|look| look(value)));
        seen.expect("a guard shows its value once")
    }

    fn change<R>(&self, change: impl FnOnce(&mut T) -> R) -> R {
        let (mut change, mut done) = (Some(change), None);
        self.0.change(&mut |value| done = change.take().map(|change| change(value)));
        done.expect("a guard lets its value be changed once")
    }
}

impl MailGauge {
    /// Mail of so many bytes is on its way to a shard.
    pub fn sent(&self, to: ShardId, bytes: u64) {
        self.of(to).fetch_add(bytes, Ordering::SeqCst);
    }

    /// A shard has handled mail of so many bytes.
    pub fn handled(&self, by: ShardId, bytes: u64) {
        self.of(by).fetch_sub(bytes, Ordering::SeqCst);
    }

    /// Bytes on their way to a shard.
    pub fn bytes(&self, to: ShardId) -> u64 {
        self.of(to).load(Ordering::SeqCst)
    }

    fn of(&self, shard: ShardId) -> &AtomicU64 {
        &self.0[usize::from(shard.0)]
    }
}

impl Directory {
    /// An empty directory of so many shards.
    pub fn new<G: Guards>(shards: u16) -> Self {
        Self {
            filters: Part(G::guard(FilterIndex::default())),
            groups: Part(G::guard(Groups::default())),
            debts: Part(G::guard(GroupDebts::default())),
            retained: Part(G::guard(RetainedTree::default())),
            users: Part(G::guard(MeterTable::new(Rates::default()))),
            memory: MemoryGauge::default(),
            dues: MemoryGauge::default(),
            generations: Generations::default(),
            journal: JournalGauge::default(),
            mail: MailGauge((0..shards).map(|_| AtomicU64::new(0)).collect()),
            retained_messages: AtomicU64::new(0),
            retained_bytes: AtomicU64::new(0),
            sessions: AtomicU64::new(0),
            clients: AtomicU64::new(0),
            clients_maximum: AtomicU64::new(0),
            last_message: AtomicU64::new(0),
            last_session: AtomicU64::new(0),
            last_group: AtomicU64::new(0),
        }
    }

    /// Goes on with numbers above those of an earlier run.
    pub fn go_on_with_numbers(&self, last_message: u64, last_session: u64, last_group: u64) {
        self.last_group.fetch_max(last_group, Ordering::Relaxed);
        self.last_message.fetch_max(last_message, Ordering::Relaxed);
        self.last_session.fetch_max(last_session, Ordering::Relaxed);
    }

    /// A group had this number in an earlier run.
    pub fn restore_group(&self, share_name: &str, filter: &str, number: GroupNumber) {
        self.groups.change(|groups| groups.restore_number(share_name, filter, number));
    }

    /// Gives every user these rates who connects from now on.
    pub fn set_user_rates(&self, rates: Rates) {
        self.users.change(|users| users.set_rates(rates));
    }

    /// What the clients of a user have left of their rates; `None` where there are no limits.
    pub(crate) fn user_meters(&self, user: &str, now: Instant) -> Option<Arc<Meters>> {
        if self.users.read(MeterTable::is_unlimited) {
            return None;
        }
        self.users.change(|users| users.of(user.into(), now))
    }

    /// How many clients are connected.
    pub fn clients(&self) -> u64 {
        self.clients.load(Ordering::Relaxed)
    }

    /// A new message number, higher than all before.
    pub fn next_message(&self) -> MessageNumber {
        MessageNumber(self.last_message.fetch_add(1, Ordering::Relaxed) + 1)
    }

    /// A new session number, higher than all before.
    pub fn next_session(&self) -> SessionNumber {
        SessionNumber(self.last_session.fetch_add(1, Ordering::Relaxed) + 1)
    }

    /// A new group number, higher than all before.
    pub fn next_group(&self) -> GroupNumber {
        GroupNumber(self.last_group.fetch_add(1, Ordering::Relaxed) + 1)
    }

    /// How many retained messages clients have left; the broker's own are not counted.
    pub fn retained_messages(&self) -> u64 {
        self.retained_messages.load(Ordering::Relaxed)
    }

    /// Bytes of the journal that are still needed for what clients are owed to come to an end: for what is sent,
    /// acknowledged or dropped, and for saying once again meanwhile what is left.
    pub fn dues_bytes(&self) -> u64 {
        let of_groups = self.debts.read(|debts| debts.len() as u64);
        self.dues.bytes() + of_groups * DUES_OF_DELIVERY
    }

    /// Bytes of the retained messages that clients have left.
    pub fn retained_bytes(&self) -> u64 {
        self.retained_bytes.load(Ordering::Relaxed)
    }

    /// How many sessions there are on all shards.
    pub fn sessions(&self) -> u64 {
        self.sessions.load(Ordering::Relaxed)
    }

    pub(crate) fn session_opened(&self) {
        self.sessions.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn session_ended(&self) {
        self.sessions.fetch_sub(1, Ordering::Relaxed);
    }

    /// The most clients that were connected at once, to all shards.
    pub fn clients_maximum(&self) -> u64 {
        self.clients_maximum.load(Ordering::Relaxed)
    }

    pub(crate) fn client_connected(&self) {
        let clients = self.clients.fetch_add(1, Ordering::Relaxed) + 1;
        self.clients_maximum.fetch_max(clients, Ordering::Relaxed);
    }

    pub(crate) fn client_gone(&self) {
        self.clients.fetch_sub(1, Ordering::Relaxed);
    }

    /// Makes a change visible. What the index says of a topic changes before its generation does, so that a
    /// route found in between is looked up again and never kept.
    pub fn apply(&self, change: Change) {
        match change {
            Change::Subscribe { filter, subscriber, interest } => {
                self.filters.change(|filters| filters.insert(&filter, subscriber, interest));
                self.generations.advance(filter.as_str());
            }
            Change::Unsubscribe { filter, subscriber } => {
                self.filters.change(|filters| filters.remove(filter.as_str(), subscriber));
                self.generations.advance(filter.as_str());
            }
            Change::Join { share_name, filter, group, home, member, interest, is_available } => {
                self.groups.change(|groups| {
                    groups.join(
                        &share_name,
                        &filter,
                        group,
                        home,
                        Member::new(member, interest, is_available),
                    );
                });
                self.generations.advance(filter.as_str());
            }
            Change::Leave { share_name, filter, member } => {
                self.groups.change(|groups| groups.leave(&share_name, &filter, member));
                self.generations.advance(filter.as_str());
            }
            // Whether a member can be given messages is no part of a route.
            Change::Available { group, member, is_available } => {
                self.groups.read(|groups| groups.set_available(group, member, is_available));
            }
            Change::Retain(message) => {
                self.retained.change(|retained| self.retain_one(retained, message.clone()));
            }
            Change::Forget { topic, message } => self.forget(&topic, message),
        }
    }

    /// Appends records and makes the retained messages among the changes visible, while nobody else changes them:
    /// the last one in the journal is the last one in the tree. Of the messages to be recorded `again`, those
    /// that are still retained are, in front: the turn itself may replace them.
    pub(crate) fn retain(
        &self,
        changes: &mut Vec<Change>,
        again: Vec<Arc<Publication>>,
        records: &mut Vec<Record>,
        append: impl FnOnce(&mut Vec<Record>),
    ) {
        self.retained.change(|retained| {
            let is_retained = |message: &Arc<Publication>| {
                retained.get(&message.topic).is_some_and(|kept| kept.number == message.number)
            };
            records.splice(0..0, again.into_iter().filter(is_retained).map(Record::Retained));
            append(records);
            for message in changes.extract_if(.., |change| matches!(change, Change::Retain(_))) {
                if let Change::Retain(message) = message {
                    self.retain_one(retained, message);
                }
            }
        });
    }

    /// Appends records and changes what groups are owed, while nobody else does: what is recorded again of it
    /// says what is so at its place in the journal, in front of what the turn changes.
    pub(crate) fn change_debts(
        &self,
        changes: &mut Vec<DebtChange>,
        again: Option<Position>,
        records: &mut Vec<Record>,
        append: impl FnOnce(&mut Vec<Record>),
    ) {
        self.debts.change(|debts| {
            if let Some(before) = again {
                records.splice(0..0, debts.recorded_before(before));
            }
            append(records);
            changes.drain(..).for_each(|change| debts.apply(change));
        });
    }

    fn retain_one(&self, retained: &mut RetainedTree<Arc<Publication>>, message: Arc<Publication>) {
        let topic = message.topic.clone();
        let replaced = if message.payload.is_empty() {
            retained.remove(&topic)
        } else {
            self.count_retained(&message);
            retained.insert(&topic, message)
        };
        self.discount_retained(replaced);
    }

    fn forget(&self, topic: &str, number: MessageNumber) {
        self.retained.change(|retained| {
            if retained.get(topic).is_some_and(|kept| kept.number == number) {
                self.discount_retained(retained.remove(topic));
            }
        });
    }

    fn count_retained(&self, message: &Publication) {
        if !message.is_of_broker() {
            self.retained_messages.fetch_add(1, Ordering::Relaxed);
            self.retained_bytes.fetch_add(message.bytes(), Ordering::Relaxed);
        }
    }

    fn discount_retained(&self, removed: Option<Arc<Publication>>) {
        if let Some(message) = removed.filter(|message| !message.is_of_broker()) {
            self.retained_messages.fetch_sub(1, Ordering::Relaxed);
            self.retained_bytes.fetch_sub(message.bytes(), Ordering::Relaxed);
        }
    }
}

/// What a delivery may still take of the journal. Its packet id, PUBREC, settlement and, if it is said again, its
/// place: 98 bytes at most, and 24 more of a frame of their own where it comes alone.
pub(crate) const DUES_OF_DELIVERY: u64 = 128;
