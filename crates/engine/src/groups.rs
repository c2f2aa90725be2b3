//! Shared subscription groups, as all shards see them.
//!
//! A group is known by its share name and filter, and by a number that is never used again. Who routes to it
//! keeps its [`Roster`]: the members at that time, each with a mark that says whether it can be given messages
//! now. Members come and go by new rosters; the mark changes in place, so that a member whose window is full
//! makes no route stale.

use crate::directory::{Interest, Subscriber};
use crate::{Record, ShardId};
use hashbrown::HashMap;
use noctule_session::{GroupNumber, MessageNumber, Position, Publication};
use noctule_topic::{FilterIndex, MatchCursor, TopicFilter};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

/// The shared groups of all shards.
#[derive(Debug, Default)]
pub struct Groups {
    by_filter: FilterIndex<GroupNumber, ()>,
    numbers: HashMap<(Box<str>, Box<str>), GroupNumber>,
    groups: HashMap<GroupNumber, Group>,
}

/// What groups with durable members are owed, as the journal has it: whoever holds the message now, the group is
/// owed it until a member has settled it or it is given up.
#[derive(Debug, Default)]
pub struct GroupDebts {
    by_group: HashMap<(GroupNumber, MessageNumber), Arc<Publication>>,
}

/// A change of what a group is owed, in the order of the records.
#[derive(Debug)]
pub(crate) enum DebtChange {
    Owed(GroupNumber, Arc<Publication>),
    Done(GroupNumber, MessageNumber),
}

impl GroupDebts {
    /// How many messages groups are owed.
    pub(crate) fn len(&self) -> usize {
        self.by_group.len()
    }

    pub(crate) fn apply(&mut self, change: DebtChange) {
        match change {
            DebtChange::Owed(group, message) => {
                self.by_group.insert((group, message.number), message);
            }
            DebtChange::Done(group, message) => {
                self.by_group.remove(&(group, message));
            }
        }
        if self.by_group.capacity() > 4 * self.by_group.len().max(64) {
            self.by_group.shrink_to(2 * self.by_group.len());
        }
    }

    /// A message that a group is owed.
    pub(crate) fn get(&self, group: GroupNumber, message: MessageNumber) -> Option<Arc<Publication>> {
        self.by_group.get(&(group, message)).cloned()
    }

    /// What stands in the journal before this position, to be recorded there again.
    pub(crate) fn recorded_before(&self, before: Position) -> impl Iterator<Item = Record> {
        let is_before = move |message: &Publication| {
            let position = message.position();
            position.is_somewhere() && position < before
        };
        let old = self.by_group.iter().filter(move |(_, message)| is_before(message));
        old.map(|((group, _), message)| Record::GroupOwed { group: *group, message: Arc::clone(message) })
    }
}

#[derive(Debug)]
struct Group {
    home: ShardId,
    members: BTreeMap<Subscriber, Arc<Member>>,
    next: Arc<AtomicUsize>,
    /// Made when somebody asks, so that a thousand members who join together make one roster.
    roster: OnceLock<Arc<Roster>>,
}

/// The members of a group at one time.
#[derive(Debug)]
pub struct Roster {
    group: GroupNumber,
    members: Box<[Arc<Member>]>,
    /// A member outlives its connection, so what the group is owed is recorded.
    is_durable: bool,
    /// The place behind the member that got the last message; the same one for all rosters of the group.
    next: Arc<AtomicUsize>,
}

/// A member of a group.
#[derive(Debug)]
pub(crate) struct Member {
    pub(crate) subscriber: Subscriber,
    pub(crate) interest: Interest,
    is_available: AtomicBool,
}

impl Member {
    pub(crate) fn new(subscriber: Subscriber, interest: Interest, is_available: bool) -> Self {
        Self { subscriber, interest, is_available: AtomicBool::new(is_available) }
    }
}

impl Groups {
    /// Goes on with a search for the groups whose filter matches a topic; says whether it is complete.
    pub(crate) fn search(
        &self,
        cursor: &mut MatchCursor<GroupNumber>,
        steps_max: usize,
        found: &mut Vec<Arc<Roster>>,
    ) -> bool {
        cursor.advance(&self.by_filter, steps_max, |group, ()| found.extend(self.roster(group).cloned()))
    }

    /// The number of a group.
    pub fn number(&self, share_name: &str, filter: &str) -> Option<GroupNumber> {
        self.numbers.get(&(share_name.into(), filter.into())).copied()
    }

    /// How many groups there are.
    pub fn len(&self) -> usize {
        self.groups.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.groups.is_empty()
    }

    pub(crate) fn home(&self, group: GroupNumber) -> Option<ShardId> {
        self.groups.get(&group).map(|group| group.home)
    }

    /// The next available member in turn.
    pub(crate) fn pick(&self, group: GroupNumber) -> Option<Arc<Member>> {
        self.roster(group)?.pick().cloned()
    }

    pub(crate) fn interest(&self, group: GroupNumber, subscriber: Subscriber) -> Option<Interest> {
        self.groups.get(&group)?.members.get(&subscriber).map(|member| member.interest)
    }

    /// A group that is about to come back had this number.
    pub(crate) fn restore_number(&mut self, share_name: &str, filter: &str, number: GroupNumber) {
        self.numbers.insert((share_name.into(), filter.into()), number);
    }

    /// Whether what a group is owed is recorded.
    pub(crate) fn is_durable(&self, group: GroupNumber) -> bool {
        self.roster(group).is_some_and(|roster| roster.is_durable)
    }

    /// Lets a session join a group, which has this number unless it has another one already.
    pub(crate) fn join(
        &mut self,
        share_name: &str,
        filter: &TopicFilter,
        number: GroupNumber,
        home: ShardId,
        member: Member,
    ) {
        let number = *self.numbers.entry((share_name.into(), filter.as_str().into())).or_insert(number);
        let group = self.groups.entry(number).or_insert_with(|| {
            self.by_filter.insert(filter, number, ());
            Group { home, members: BTreeMap::new(), next: Arc::default(), roster: OnceLock::new() }
        });
        group.members.insert(member.subscriber, Arc::new(member));
        group.roster.take();
    }

    pub(crate) fn leave(&mut self, share_name: &str, filter: &TopicFilter, subscriber: Subscriber) {
        let Some(number) = self.number(share_name, filter.as_str()) else { return };
        let Some(group) = self.groups.get_mut(&number) else { return };
        group.members.remove(&subscriber);
        group.roster.take();
        if group.members.is_empty() {
            self.groups.remove(&number);
            self.numbers.remove(&(share_name.into(), filter.as_str().into()));
            self.by_filter.remove(filter.as_str(), number);
        }
    }

    pub(crate) fn set_available(&self, group: GroupNumber, subscriber: Subscriber, is_available: bool) {
        let member = self.groups.get(&group).and_then(|group| group.members.get(&subscriber));
        if let Some(member) = member {
            member.is_available.store(is_available, Ordering::Relaxed);
        }
    }

    fn roster(&self, number: GroupNumber) -> Option<&Arc<Roster>> {
        let group = self.groups.get(&number)?;
        Some(group.roster.get_or_init(|| {
            let members: Box<[Arc<Member>]> = group.members.values().cloned().collect();
            let is_durable = members.iter().any(|member| member.interest.durable);
            Arc::new(Roster { group: number, members, is_durable, next: Arc::clone(&group.next) })
        }))
    }
}

impl Roster {
    /// Whose members these are.
    pub fn group(&self) -> GroupNumber {
        self.group
    }

    /// Whether what the group is owed is recorded.
    pub(crate) fn is_durable(&self) -> bool {
        self.is_durable
    }

    /// The next available member in turn, whoever asks.
    pub(crate) fn pick(&self) -> Option<&Arc<Member>> {
        let count = self.members.len();
        let first = self.next.load(Ordering::Relaxed);
        let step = (0..count).find(|step| {
            self.members[first.wrapping_add(*step) % count].is_available.load(Ordering::Relaxed)
        })?;
        let place = first.wrapping_add(step) % count;
        self.next.store(place + 1, Ordering::Relaxed);
        Some(&self.members[place])
    }

    /// Bytes it takes, for who keeps it.
    pub(crate) fn bytes(&self) -> usize {
        size_of::<Self>() + self.members.len() * size_of::<Arc<Member>>()
    }
}
