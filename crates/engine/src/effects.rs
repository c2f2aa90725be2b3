//! What a turn of the shard has brought about. [`Shard::end_turn`](crate::Shard::end_turn) has the runtime carry
//! it out in the one order that makes durability true.

use crate::admission::PasswordCheck;
use crate::groups::DebtChange;
use crate::journal::FiredWill;
use crate::retained::RetainedStaged;
use crate::{Change, Mail, Promise, Record, Request, ShardId};
use noctule_codec::{ProtocolVersion, ReasonCode};
use noctule_session::{ConnectionId, DropReason, Position, Publication};
use std::sync::Arc;

/// The effects of one turn. The buffers are meant to be reused.
#[derive(Debug, Default)]
pub struct Effects {
    /// To be appended to the journal, in order.
    pub records: Vec<Record>,
    /// To be made visible to every shard once the records have their place.
    pub changes: Vec<Change>,
    /// To be sent to other shards, and to this one, after that.
    pub mail: Vec<(ShardId, Mail)>,
    /// Packets that may leave once the records of this turn are durable, in order.
    pub promises: Vec<Promise>,
    /// Wills that may leave before that.
    pub(crate) wills: Vec<FiredWill>,
    /// Connections with something to send or to close, each once.
    pub dirty: Vec<ConnectionId>,
    /// Messages that will not be delivered.
    pub drops: Vec<Drop>,
    /// What an operator may want to read.
    pub events: Vec<Event>,
    /// What is wanted of who keeps the journal.
    pub requests: Vec<Request>,
    /// Passwords to be checked elsewhere; each is [answered](crate::Shard::answer_check).
    pub checks: Vec<PasswordCheck>,
    /// Retained messages to be recorded anew, if they are still retained when the turn ends.
    pub(crate) retained_again: Vec<Arc<Publication>>,
    /// What changes in what groups are owed.
    pub(crate) debts: Vec<DebtChange>,
    /// What groups are owed and stands before this is to be recorded anew.
    pub(crate) debts_again: Option<Position>,
    /// Everything that was to be recorded anew has been.
    pub(crate) is_restated: bool,
    /// Retained messages among `changes`.
    pub(crate) retained_staged: RetainedStaged,
    /// Bytes of `mail`.
    pub(crate) mail_bytes: u64,
    /// Deliveries, mail and filters of this turn.
    pub(crate) work: usize,
}

/// A message that was not delivered, for the ledger.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Drop {
    /// Whose delivery or publication it was.
    pub client_id: Arc<str>,
    /// The topic name.
    pub topic: Box<str>,
    /// Why.
    pub reason: DropReason,
    /// The rule that forbids it and where it is written, if it is that.
    pub rule: Option<Box<str>>,
}

/// Something that happened to a client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A client was let in.
    Connected {
        /// Its identifier.
        client_id: Arc<str>,
        /// Where it comes from.
        address: Arc<str>,
        /// The version it speaks.
        version: ProtocolVersion,
        /// Whether its session goes on.
        session_present: bool,
    },
    /// A CONNECT was refused, or a connection ended before one.
    Refused {
        /// The client identifier, as far as it is known.
        client_id: Box<str>,
        /// Where it comes from.
        address: Arc<str>,
        /// What it was told.
        reason_code: ReasonCode,
        /// Why, for a person.
        cause: String,
    },
    /// A connection ended.
    Disconnected {
        /// The client identifier.
        client_id: Arc<str>,
        /// Where it came from.
        address: Arc<str>,
        /// What it was told or what it said.
        reason_code: ReasonCode,
        /// Why, for a person.
        cause: String,
    },
    /// Two clients have one client id and take it from each other. It is told once.
    Contested {
        /// The client identifier.
        client_id: Arc<str>,
        /// Where the one that was connected comes from, and the one that is.
        addresses: [Arc<str>; 2],
    },
    /// A request of a connected client was refused, and the connection goes on.
    Denied {
        /// The client identifier.
        client_id: Arc<str>,
        /// What it was told.
        reason_code: ReasonCode,
        /// What it wanted and why it may not.
        cause: String,
    },
}

impl Effects {
    /// Lets empty lists keep little room. Called between turns, when all of them are.
    pub fn give_back_room(&mut self) {
        self.records.shrink_to(ROOM_KEPT);
        self.changes.shrink_to(ROOM_KEPT);
        self.mail.shrink_to(ROOM_KEPT);
        self.promises.shrink_to(ROOM_KEPT);
        self.wills.shrink_to(ROOM_KEPT);
        self.dirty.shrink_to(ROOM_KEPT);
        self.drops.shrink_to(ROOM_KEPT);
        self.events.shrink_to(ROOM_KEPT);
        self.requests.shrink_to(ROOM_KEPT);
        self.retained_again.shrink_to(ROOM_KEPT);
        self.debts.shrink_to(ROOM_KEPT);
    }

    /// Takes the changes to make visible.
    pub fn take_changes(&mut self) -> std::vec::Drain<'_, Change> {
        if !self.retained_staged.is_empty() {
            self.retained_staged = RetainedStaged::default();
        }
        self.work = 0;
        self.changes.drain(..)
    }

    /// Takes the mail to send.
    pub fn take_mail(&mut self) -> std::vec::Drain<'_, (ShardId, Mail)> {
        self.mail_bytes = 0;
        self.mail.drain(..)
    }

    pub(crate) fn mail_to(&mut self, shard: ShardId, mail: Mail) {
        self.mail_bytes += mail.bytes();
        self.work += 1;
        self.mail.push((shard, mail));
    }

    /// Lists a message that is not delivered. Of a queue of a million that ends at once, the first ones are enough
    /// for the ledger; all are counted.
    pub(crate) fn list_drop(
        &mut self,
        client_id: &Arc<str>,
        message: &Publication,
        reason: DropReason,
        rule: impl FnOnce() -> Option<Box<str>>,
    ) {
        if self.drops.len() < DROPS_PER_TURN {
            let (client_id, topic) = (Arc::clone(client_id), message.topic.as_str().into());
            self.drops.push(Drop { client_id, topic, reason, rule: rule() });
        }
    }

    /// Whether the turn has done so much that everything else is for the next one.
    pub fn is_turn_full(&self) -> bool {
        self.work >= WORK_PER_TURN
    }

    /// Whether something takes its place in the journal, or has to be changed as one step with that.
    pub(crate) fn has_to_append(&self) -> bool {
        !self.records.is_empty()
            || !self.retained_staged.is_empty()
            || !self.retained_again.is_empty()
            || !self.debts.is_empty()
            || self.debts_again.is_some()
            || self.is_restated
    }

    /// Whether something leaves once records are kept.
    pub(crate) fn has_leaving(&self) -> bool {
        !self.promises.is_empty() || !self.wills.is_empty()
    }

    /// Whether the turn left nothing to do.
    pub fn is_empty(&self) -> bool {
        self.records.is_empty()
            && self.changes.is_empty()
            && self.mail.is_empty()
            && self.promises.is_empty()
            && self.wills.is_empty()
            && self.dirty.is_empty()
            && self.drops.is_empty()
            && self.events.is_empty()
            && self.requests.is_empty()
            && self.checks.is_empty()
    }
}

/// Deliveries of a turn, about 10 ms of them with what they cost the kernel, so that nobody waits longer for
/// another client's fan-out.
const WORK_PER_TURN: usize = 16_384;
/// Drops that a turn lists for the ledger.
const DROPS_PER_TURN: usize = 10_000;

/// Entries that a list keeps room for after a burst.
const ROOM_KEPT: usize = 64;
