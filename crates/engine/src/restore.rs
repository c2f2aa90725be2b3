//! Coming back: what a journal remembers becomes sessions, subscriptions, groups and retained messages again.
//!
//! It happens before any connection is accepted. Each session is given to its home; the changes of the directory
//! are staged as if the session had just asked for them, and take effect at the end of the turn.

use crate::groups::DebtChange;
use crate::replay::{Given, RememberedGroup, RememberedSession};
use crate::resident::Resident;
use crate::retained_phases::RetainedPhase;
use crate::shard::{Shard, Turn, home};
use crate::subscribe::SHARE;
use crate::{Change, Directory, Mail, Record, Remembered, ShardId};
use noctule_auth::Identity;
use noctule_session::{GroupNumber, Instant, MessageNumber, Position, Publication, SessionChange};
use noctule_topic::{Subscription as FilterText, TopicFilter};
use std::sync::Arc;

/// The machine around the shards while they come back.
pub trait Restorer {
    /// Lets a shard work for a turn of its own.
    fn turn(&mut self, shard: ShardId, work: impl FnOnce(&mut Shard, &mut Turn<'_>));
    /// Reads a message from the journal, if that still has it.
    fn read(&mut self, message: MessageNumber, position: Position) -> Option<Arc<Publication>>;
}

/// The times that a start of the broker goes by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Start {
    /// When connections were lost that nobody has seen end: the end of the last run, as far as it is known.
    pub lost_at: Instant,
    /// When the broker goes on. Never before `lost_at`: a clock that was set back makes no time run backwards.
    pub now: Instant,
}

impl Start {
    /// After a run whose last record is of the time `latest`, and whose last sign of life is as old as that.
    pub fn new(latest: Instant, last_alive: Instant, time_of_day: Instant) -> Self {
        let lost_at = latest.max(last_alive);
        Self { lost_at, now: time_of_day.max(lost_at) }
    }
}

impl Remembered {
    /// Gives everything back. What was connected when the broker ended without a word counts as lost at `lost_at`.
    pub fn restore(self, directory: &Directory, shards: u16, lost_at: Instant, machine: &mut impl Restorer) {
        directory.go_on_with_numbers(self.last_message, self.last_session, self.last_group);
        for group in &self.groups {
            directory.restore_group(&group.share_name, &group.filter, group.number());
        }
        let mut held = Vec::new();
        for mut session in self.sessions {
            let owed = session.session.outbound.iter();
            held.extend(owed.filter_map(|owed| Some((owed.group()?, owed.number, owed.position()))));
            session.detached_at = session.detached_at.filter(|_| !session.is_connected);
            let home = home(&session.session.client_id, shards);
            machine.turn(home, |shard, turn| shard.restore(session, lost_at, turn));
        }
        for message in self.retained {
            let Some(message) = with_payload(message, machine) else { continue };
            machine.turn(ShardId(0), |shard, turn| shard.restore_retained(message, turn));
        }
        for (group, number, position) in held {
            if let Some(message) = machine.read(number, position) {
                machine.turn(ShardId(0), |_, turn| restore_debt(group, message, turn));
            }
        }
        for group in self.groups {
            let number = group.number();
            for (message, position) in group.waiting {
                if let Some(message) = machine.read(message, position) {
                    machine.turn(ShardId(0), |_, turn| restore_group_message(number, message, turn));
                }
            }
        }
        // Now there is somebody to receive the wills whose time has come, and no client to be taken for back in time.
        for shard in (0..shards).map(ShardId) {
            let mut next = Some(0);
            while let Some(from) = next {
                machine.turn(shard, |shard, turn| next = shard.catch_up(from, turn));
            }
        }
    }
}

impl RememberedGroup {
    /// The number it goes on with.
    fn number(&self) -> GroupNumber {
        self.numbers.iter().copied().max().unwrap_or(GroupNumber(0))
    }
}

impl Shard {
    /// Takes a session back whose home this is. What was connected when the broker stopped without a word counts
    /// as lost at `lost_at`; its will and its expiry count from there.
    fn restore(&mut self, remembered: RememberedSession, lost_at: Instant, turn: &mut Turn<'_>) {
        let RememberedSession { mut session, user_name, origin, is_connected, detached_at, retained_phases } =
            remembered;
        // The broker ended while this one took the place of another.
        if let Some(replaced) = self.sessions.find(&session.client_id) {
            self.end_session(replaced, turn);
        }
        let detached_at = detached_at.unwrap_or(lost_at);
        let expiry = session.session_expiry_interval;
        session.expires_at = (expiry < u32::MAX).then(|| detached_at.plus_seconds(expiry));
        session.will_due = session.will.as_ref().map(|will| detached_at.plus_seconds(will.delay_seconds));
        let mut identity = Identity::new(Arc::clone(&session.client_id), user_name);
        identity.origin = origin;
        let mut resident = Resident::new(session, identity, &turn.directory.memory, &turn.directory.dues);
        resident.is_recorded = true;
        resident.recorded_at = Position(1);
        turn.directory.session_opened();
        let slot = self.sessions.insert(resident);
        self.renew_rights(slot);
        // The rules may have changed while the broker was down.
        let resident = &mut self.sessions[slot];
        resident.asks_again = resident.session.outbound.waiting_len() > 0;
        let me = self.subscriber(slot);
        if is_connected {
            self.record_loss(slot, detached_at, turn);
        }
        self.restore_subscriptions(slot, turn);
        for phase in retained_phases {
            self.restore_phase(slot, &phase.filter, phase.given);
        }
        self.sessions[slot].arm(me, turn.now, &mut self.timers);
    }

    /// Records that a session lost its connection with the broker, so that after another crash its time still counts
    /// from the first one, and what its client may have is still known.
    fn record_loss(&self, slot: usize, at: Instant, turn: &mut Turn<'_>) {
        let session = &self.sessions[slot].session;
        let maybe_sent = session.outbound.iter().filter(|owed| owed.is_maybe_sent());
        let held = maybe_sent.map(|owed| SessionChange::Held {
            delivered: Box::new(owed.delivered()),
            position: owed.position(),
        });
        let session = session.number;
        turn.fx.records.extend(held.map(|change| Record::Session { session, change }));
        turn.fx.records.push(Record::SessionDetached { session, at });
    }

    /// Publishes wills and ends sessions whose time came while the broker was down, a slice of them from this place
    /// on. Says where the next slice begins.
    fn catch_up(&mut self, from: usize, turn: &mut Turn<'_>) -> Option<usize> {
        let mut next = from;
        for _ in 0..SESSIONS_PER_SLICE {
            let slot = self.sessions.next_from(next)?;
            next = slot + 1;
            if self.sessions[slot].due().is_some_and(|due| due <= turn.now) {
                self.handle_session_timeout(self.subscriber(slot), turn);
            }
        }
        Some(next)
    }

    fn restore_subscriptions(&mut self, slot: usize, turn: &mut Turn<'_>) {
        let subscriptions = self.sessions[slot].session.subscriptions.clone();
        for (text, subscription) in subscriptions.iter() {
            let is_shared = text.starts_with(SHARE);
            self.stage_subscription(slot, text, subscription, turn);
            self.count_subscription(slot, is_shared, true);
        }
    }

    fn restore_phase(&mut self, slot: usize, text: &str, given: Given) {
        let resident = &mut self.sessions[slot];
        let Some(subscription) = resident.session.subscriptions.get(text) else { return };
        let Ok(parsed) = FilterText::check(text) else { return };
        let Ok(filter) = TopicFilter::parse(parsed.filter()) else { return };
        resident.retained.push(text, RetainedPhase { given, ..RetainedPhase::new(&filter, subscription) });
    }

    /// Takes a retained message back, unless it has expired.
    fn restore_retained(&mut self, mut message: Arc<Publication>, turn: &mut Turn<'_>) {
        if message.is_expired(turn.now) {
            return;
        }
        if message.expires_at.is_some() {
            self.sweep_later(turn);
        }
        if let Some(message) = Arc::get_mut(&mut message) {
            message.share = Some(turn.directory.memory.take(message.bytes()));
        }
        turn.fx.changes.push(Change::Retain(message));
    }
}

/// A message with its payload, which may stand in parts elsewhere in the journal.
fn with_payload(message: Arc<Publication>, machine: &mut impl Restorer) -> Option<Arc<Publication>> {
    if !message.is_payload_missing() {
        return Some(message);
    }
    let kept = message.kept.get();
    let message = machine.read(message.number, kept)?;
    message.kept.set(kept);
    Some(message)
}

/// Takes back a message that a group is owed and that a member holds.
fn restore_debt(group: GroupNumber, message: Arc<Publication>, turn: &mut Turn<'_>) {
    turn.fx.debts.push(DebtChange::Owed(group, message));
}

/// Takes back a message that a group is owed and that no member holds. Its members are there.
fn restore_group_message(group: GroupNumber, message: Arc<Publication>, turn: &mut Turn<'_>) {
    restore_debt(group, Arc::clone(&message), turn);
    if let Some(home) = turn.directory.groups.read(|groups| groups.home(group)) {
        turn.fx.mail_to(home, Mail::Backlog { group, message });
    }
}

/// Sessions that are looked at in one turn of the recovery.
const SESSIONS_PER_SLICE: usize = 1024;
