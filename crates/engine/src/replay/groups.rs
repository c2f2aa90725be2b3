//! What shared groups are owed, and which of their members hold some of it.
//!
//! A group is known by its share name and filter. It may have had several numbers, and a number may be used before
//! the record that names it.

use hashbrown::HashMap;
use noctule_session::{GroupNumber, MessageNumber, Position, SessionNumber};

/// A shared group that a restart brings back.
#[derive(Debug)]
pub struct RememberedGroup {
    /// Its share name.
    pub share_name: Box<str>,
    /// Its filter.
    pub filter: Box<str>,
    /// The numbers that stand for it, in the order in which records told of them.
    pub numbers: Vec<GroupNumber>,
    /// What it is owed and no session that is remembered holds, in the order of the messages' numbers, with the
    /// position of the content.
    pub waiting: Vec<(MessageNumber, Position)>,
}

#[derive(Debug, Default)]
pub(super) struct Groups {
    groups: Vec<Group>,
    by_number: HashMap<GroupNumber, usize>,
    by_name: HashMap<(Box<str>, Box<str>), usize>,
}

#[derive(Debug, Default)]
struct Group {
    numbers: Vec<GroupNumber>,
    owed: HashMap<MessageNumber, OwedToGroup>,
}

#[derive(Clone, Copy, Debug, Default)]
struct OwedToGroup {
    holder: Option<SessionNumber>,
    position: Position,
}

impl Groups {
    /// A number stands for the group of this name.
    pub(super) fn name(&mut self, number: GroupNumber, share_name: Box<str>, filter: Box<str>) {
        let place = self.place(number);
        let named = *self.by_name.entry((share_name, filter)).or_insert(place);
        if named != place {
            self.merge(place, named);
        }
    }

    /// A group is owed a message with this content.
    pub(super) fn owe(&mut self, group: GroupNumber, message: MessageNumber, position: Position) {
        self.owed(group, message).position = position;
    }

    /// A member takes a message; returns where its content is.
    pub(super) fn give(
        &mut self,
        group: GroupNumber,
        message: MessageNumber,
        member: SessionNumber,
    ) -> Position {
        let owed = self.owed(group, message);
        owed.holder = Some(member);
        owed.position
    }

    /// A member holds a message, whose content is there.
    pub(super) fn hold(
        &mut self,
        group: GroupNumber,
        message: MessageNumber,
        member: SessionNumber,
        position: Position,
    ) {
        self.owed(group, message).join(OwedToGroup { holder: Some(member), position });
    }

    /// A message returns to its group; returns who held it.
    pub(super) fn give_back(&mut self, group: GroupNumber, message: MessageNumber) -> Option<SessionNumber> {
        let place = self.place(group);
        self.groups[place].owed.get_mut(&message)?.holder.take()
    }

    /// A group is no longer owed a message; returns who held it.
    pub(super) fn remove(&mut self, group: GroupNumber, message: MessageNumber) -> Option<SessionNumber> {
        let place = self.place(group);
        self.groups[place].owed.remove(&message)?.holder
    }

    /// A member has settled a message.
    pub(super) fn settle(&mut self, group: GroupNumber, message: MessageNumber, member: SessionNumber) {
        let place = self.place(group);
        let owed = &mut self.groups[place].owed;
        if owed.get(&message).is_some_and(|owed| owed.holder == Some(member)) {
            owed.remove(&message);
        }
    }

    /// The groups that have a name. What is held by a session that is not there waits again.
    pub(super) fn finish(mut self, is_there: impl Fn(SessionNumber) -> bool) -> Vec<RememberedGroup> {
        let mut named: Vec<_> = self.by_name.into_iter().collect();
        named.sort_unstable_by_key(|(_, place)| *place);
        let groups = named.into_iter().map(|((share_name, filter), place)| {
            let Group { numbers, owed } = std::mem::take(&mut self.groups[place]);
            let waits =
                |owed: &OwedToGroup| owed.position.is_somewhere() && !owed.holder.is_some_and(&is_there);
            let waiting = owed.into_iter().filter(|(_, owed)| waits(owed));
            let mut waiting: Vec<_> = waiting.map(|(message, owed)| (message, owed.position)).collect();
            waiting.sort_unstable();
            RememberedGroup { share_name, filter, numbers, waiting }
        });
        groups.collect()
    }

    fn owed(&mut self, group: GroupNumber, message: MessageNumber) -> &mut OwedToGroup {
        let place = self.place(group);
        self.groups[place].owed.entry(message).or_default()
    }

    /// The place of the group that a number stands for, which may be without a name yet.
    fn place(&mut self, number: GroupNumber) -> usize {
        *self.by_number.entry(number).or_insert_with(|| {
            self.groups.push(Group { numbers: vec![number], ..Group::default() });
            self.groups.len() - 1
        })
    }

    /// Two groups turn out to be one. A number has one name, so the first one had none before.
    fn merge(&mut self, from: usize, into: usize) {
        let Group { numbers, owed } = std::mem::take(&mut self.groups[from]);
        self.by_number.extend(numbers.iter().map(|number| (*number, into)));
        let group = &mut self.groups[into];
        group.numbers.extend(numbers);
        for (message, owed) in owed {
            group.owed.entry(message).or_default().join(owed);
        }
    }
}

impl OwedToGroup {
    /// Another record tells of the same; the content was moved to where the later one has it.
    fn join(&mut self, other: Self) {
        self.holder = other.holder.or(self.holder);
        self.position = self.position.max(other.position);
    }
}
