//! Sharing: who of a group gets a message, and what waits when nobody can take it.
//!
//! The publisher's shard picks a member that is available and mails its home. Where none is, or the home has
//! no room, the message goes to the group's backlog, which lives on one shard and serves members as they
//! report room.

use crate::groups::{DebtChange, Roster};
use crate::mail::Mail;
use crate::route::Target;
use crate::shard::{Shard, Turn};
use crate::{Change, Record, Subscriber};
use hashbrown::HashMap;
use noctule_auth::Action;
use noctule_codec::QoS;
use noctule_session::{
    Delivered, DropReason, Durability, GroupNumber, MemoryGauge, MemoryShare, MessageNumber, Offer, Phase,
    Publication,
};
use noctule_topic::Subscription as FilterText;
use std::collections::VecDeque;
use std::sync::Arc;

/// Messages that wait for a member of their group, on the shard that is the group's home.
#[derive(Debug, Default)]
pub(crate) struct Backlogs {
    by_group: HashMap<GroupNumber, Backlog>,
}

#[derive(Debug)]
struct Backlog {
    /// In the order of their numbers.
    messages: VecDeque<Arc<Publication>>,
    bytes: u64,
    /// What the list itself takes of the broker's memory.
    share: MemoryShare,
}

impl Backlog {
    fn new(memory: &MemoryGauge) -> Self {
        Self { messages: VecDeque::new(), bytes: 0, share: memory.take(0) }
    }

    fn insert(&mut self, message: Arc<Publication>) {
        self.bytes += message.bytes();
        let place = self.messages.partition_point(|waiting| waiting.number < message.number);
        self.messages.insert(place, message);
        self.share.resize((self.messages.capacity() * size_of::<Arc<Publication>>()) as u64);
    }

    fn pop(&mut self) -> Option<Arc<Publication>> {
        let message = self.messages.pop_front()?;
        self.bytes -= message.bytes();
        Some(message)
    }
}

impl Shard {
    /// Gives a publication to one member of a group, or to its backlog.
    pub(crate) fn share(&mut self, roster: &Roster, message: &Arc<Publication>, turn: &mut Turn<'_>) {
        let (group, message) = (roster.group(), Arc::clone(message));
        match roster.pick() {
            Some(member) => {
                let (member, interest) = (member.subscriber, member.interest);
                if member.home == self.config.id {
                    return self.receive_share(group, message, Target::new(member, &interest), false, turn);
                }
                let mail = Mail::Share { group, message, member, interest, has_more: false };
                turn.fx.mail_to(member.home, mail);
            }
            None => self.return_to_group(group, message, turn),
        }
    }

    /// Sends a message to its group's backlog. QoS 0 waits for nobody.
    pub(crate) fn return_to_group(
        &mut self,
        group: GroupNumber,
        message: Arc<Publication>,
        turn: &mut Turn<'_>,
    ) {
        if message.qos == QoS::AtMostOnce {
            return;
        }
        if is_durable(group, turn) {
            turn.fx.records.push(Record::GroupReturned { group, message: message.number });
        }
        match turn.directory.groups.read(|groups| groups.home(group)) {
            Some(home) => turn.fx.mail_to(home, Mail::Backlog { group, message }),
            None => self.drop_of_group(group, &message, DropReason::GroupEnded, turn),
        }
    }

    /// A group gives a message to a session of this shard, which takes it only if it can send it at once:
    /// what was never sent stays with the group.
    pub(crate) fn receive_share(
        &mut self,
        group: GroupNumber,
        message: Arc<Publication>,
        target: Target,
        has_more: bool,
        turn: &mut Turn<'_>,
    ) {
        let limits = Arc::clone(&self.limits);
        let qos = message.qos.min(target.qos);
        let slot = target.subscriber.slot as usize;
        let Some(resident) = self.resident(target.subscriber) else {
            return self.return_to_group(group, message, turn);
        };
        let has_room = match qos {
            QoS::AtMostOnce => resident.session.link.is_some(),
            _ => resident.session.has_window_room(&limits),
        };
        if has_more || !has_room {
            remember(&mut resident.sharing().hungry, group);
        }
        if !has_room {
            remember(&mut resident.sharing().busy, group);
            let member = target.subscriber;
            turn.fx.changes.push(Change::Available { group, member, is_available: false });
            return self.return_to_group(group, message, turn);
        }
        if !self.may_receive(slot, &message.topic) {
            let client_id = Arc::clone(&self.sessions[slot].session.client_id);
            record_end(group, &message, turn);
            let decision = self.permit(slot, &Action::Receive { topic: &message.topic });
            self.drop_forbidden(&client_id, &message, decision.told(), turn);
            return self.ask_for_more(slot, turn);
        }
        let retain = message.retain && target.retain_as_published;
        let subscription_ids = target.subscription_ids;
        let session = &self.sessions[slot].session;
        if qos == QoS::AtMostOnce {
            // It is sent and forgotten, whatever the group was owed.
            record_end(group, &message, turn);
        } else if session.is_durable() {
            let (bytes, phase) = (message.queue_bytes(), Phase::Waiting);
            let (number, ids) = (message.number, subscription_ids.clone());
            let delivered = Delivered {
                number,
                bytes,
                qos,
                retain,
                subscription_ids: ids,
                group: Some(group),
                phase,
                packet_id: None,
                behind: None,
                is_maybe_sent: false,
            };
            turn.fx.records.push(Record::GroupTaken { session: session.number, delivered });
        } else if qos == QoS::ExactlyOnce && is_durable(group, turn) {
            // After a crash nobody knows of this member, so nobody else may be given what it may have begun
            // [MQTT-4.8.2-5].
            end_debt(group, message.number, turn);
            self.session_fx.waits_for_group = true;
        }
        self.offer(slot, Offer { message, qos, retain, subscription_ids, group: Some(group) }, turn);
        self.session_fx.waits_for_group = false;
    }

    /// Asks the groups that have more for this session, now that it has room again.
    pub(crate) fn ask_for_more(&mut self, slot: usize, turn: &mut Turn<'_>) {
        let resident = &mut self.sessions[slot];
        let Some(sharing) = &mut resident.sharing else { return };
        if sharing.hungry.is_empty() || !resident.session.has_window_room(&self.limits) {
            return;
        }
        let places = resident.session.outbound.quota();
        let hungry = std::mem::take(&mut sharing.hungry);
        let busy = std::mem::take(&mut sharing.busy);
        let member = self.subscriber(slot);
        for group in busy {
            turn.fx.changes.push(Change::Available { group, member, is_available: true });
        }
        for group in hungry {
            if let Some(home) = turn.directory.groups.read(|groups| groups.home(group)) {
                turn.fx.mail_to(home, Mail::Room { group, member, places });
            }
        }
    }

    /// Asks the groups that a session has joined for what waits there, now that they know of it.
    pub(crate) fn ask_joined_groups(&mut self, slot: usize, turn: &mut Turn<'_>) {
        let Some(sharing) = &mut self.sessions[slot].sharing else { return };
        if sharing.joined.is_empty() {
            return;
        }
        for text in std::mem::take(&mut sharing.joined) {
            let group = group_of(&text, turn);
            group.into_iter().for_each(|group| remember(&mut sharing.hungry, group));
        }
        self.ask_for_more(slot, turn);
    }

    /// Tells the groups of a session that it has come or gone.
    pub(crate) fn announce_availability(&mut self, slot: usize, is_available: bool, turn: &mut Turn<'_>) {
        let resident = &mut self.sessions[slot];
        let Some(sharing) = resident.sharing.as_deref_mut().filter(|sharing| sharing.subscriptions > 0)
        else {
            return;
        };
        let filters = resident.session.subscriptions.filters();
        let groups: Vec<GroupNumber> = filters.filter_map(|text| group_of(text, turn)).collect();
        sharing.busy.clear();
        sharing.hungry = if is_available { groups.clone() } else { Vec::new() };
        let member = self.subscriber(slot);
        let change = |group| Change::Available { group, member, is_available };
        turn.fx.changes.extend(groups.into_iter().map(change));
    }

    /// A message joins the backlog of a group that lives here.
    pub(crate) fn receive_backlog(
        &mut self,
        group: GroupNumber,
        message: Arc<Publication>,
        turn: &mut Turn<'_>,
    ) {
        if turn.directory.groups.read(|groups| groups.home(group)).is_none() {
            return self.drop_of_group(group, &message, DropReason::GroupEnded, turn);
        }
        let limits = &self.limits;
        let backlog =
            self.backlogs.by_group.entry(group).or_insert_with(|| Backlog::new(&turn.directory.memory));
        let is_full = backlog.bytes + message.bytes() > limits.queue_bytes_max
            || (limits.queue_messages_max > 0 && backlog.messages.len() as u64 >= limits.queue_messages_max);
        if is_full {
            return self.drop_of_group(group, &message, DropReason::QueueFull, turn);
        }
        backlog.insert(message);
        // Somebody may have become available since the message was turned away.
        let member = turn.directory.groups.read(|groups| groups.pick(group));
        if let Some(member) = member {
            self.receive_room(group, member.subscriber, 1, turn);
        }
    }

    /// A member can take more: serve it from the backlog.
    pub(crate) fn receive_room(
        &mut self,
        group: GroupNumber,
        member: Subscriber,
        places: u16,
        turn: &mut Turn<'_>,
    ) {
        let interest = turn.directory.groups.read(|groups| groups.interest(group, member));
        let Some(interest) = interest else { return };
        for _ in 0..places {
            let Some(backlog) = self.backlogs.by_group.get_mut(&group) else { return };
            let Some(message) = backlog.pop() else { return };
            let has_more = !backlog.messages.is_empty();
            if !has_more {
                self.backlogs.by_group.remove(&group);
            }
            if message.is_expired(turn.now) {
                self.drop_of_group(group, &message, DropReason::Expired, turn);
                continue;
            }
            if interest.durable {
                self.record_debt(group, &message, turn);
            }
            turn.fx.mail_to(member.home, Mail::Share { group, message, member, interest, has_more });
        }
    }

    /// Records that a group is owed a message that came before the group had a member worth recording it for.
    fn record_debt(&self, group: GroupNumber, message: &Arc<Publication>, turn: &mut Turn<'_>) {
        let is_known = turn.directory.debts.read(|debts| debts.get(group, message.number).is_some());
        if !is_known && self.limits.durability_of(&message.topic) > Durability::Memory {
            turn.fx.records.push(Record::GroupOwed { group, message: Arc::clone(message) });
            turn.fx.debts.push(DebtChange::Owed(group, Arc::clone(message)));
        }
    }

    /// A member has left; the backlog of a group without members ends with it.
    pub(crate) fn end_empty_group(&mut self, group: GroupNumber, turn: &mut Turn<'_>) {
        if turn.directory.groups.read(|groups| groups.home(group)).is_some() {
            return;
        }
        let Some(backlog) = self.backlogs.by_group.remove(&group) else { return };
        for message in backlog.messages {
            self.drop_of_group(group, &message, DropReason::GroupEnded, turn);
        }
    }

    fn drop_of_group(
        &mut self,
        group: GroupNumber,
        message: &Publication,
        reason: DropReason,
        turn: &mut Turn<'_>,
    ) {
        record_end(group, message, turn);
        self.drop_message(&message.publisher, message, reason, turn);
    }
}

/// Whether what a group is owed is recorded.
fn is_durable(group: GroupNumber, turn: &Turn<'_>) -> bool {
    turn.directory.groups.read(|groups| groups.is_durable(group))
}

/// Records that a group is done with a message, if the journal knows that it was owed it.
fn record_end(group: GroupNumber, message: &Publication, turn: &mut Turn<'_>) {
    // The last durable member may have left since the message was recorded.
    if message.qos > QoS::AtMostOnce && (message.place.get().is_somewhere() || is_durable(group, turn)) {
        end_debt(group, message.number, turn);
    }
}

/// Records that groups are done with messages that a member has settled, as far as the journal knows of them.
///
/// A durable member's settlement is recorded as well. But reclaim may forget that the session held the message
/// before it forgets that the group was owed it, and from then on the settlement says nothing of the group.
pub(crate) fn end_debts(
    settled: impl Iterator<Item = (GroupNumber, MessageNumber)>,
    is_member_durable: bool,
    turn: &mut Turn<'_>,
) {
    for (group, message) in settled {
        if is_member_durable || is_durable(group, turn) {
            end_debt(group, message, turn);
        }
    }
}

/// Records that a group is done with a message that the journal knows it was owed.
pub(crate) fn end_debt(group: GroupNumber, message: MessageNumber, turn: &mut Turn<'_>) {
    turn.fx.records.push(Record::GroupDropped { group, message });
    turn.fx.debts.push(DebtChange::Done(group, message));
}

/// The group of a shared subscription, written as in SUBSCRIBE.
fn group_of(text: &str, turn: &Turn<'_>) -> Option<GroupNumber> {
    let parsed = FilterText::parse(text).ok()?;
    let share_name = parsed.share_name?;
    turn.directory.groups.read(|groups| groups.number(&share_name, parsed.filter.as_str()))
}

fn remember(groups: &mut Vec<GroupNumber>, group: GroupNumber) {
    if !groups.contains(&group) {
        groups.push(group);
    }
}
