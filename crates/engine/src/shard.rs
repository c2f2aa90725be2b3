//! One shard: its connections, its sessions and everything they cause.
//!
//! Inputs come in as method calls with a [`Turn`] that holds the time, the directory and the effects. The
//! shard opens nothing, waits for nothing and reads no clock. What it does to sessions goes through
//! [`SessionChange`](noctule_session::SessionChange)s, what it does to the directory through
//! [`Change`](crate::Change)s; both are left in the effects for the runtime.

use crate::connection::{Connection, State};
use crate::directory::{Directory, Subscriber};
use crate::effects::{Drop, Effects, Event};
use crate::fight::Fights;
use crate::grace::Graces;
use crate::journal::Commits;
use crate::long::LongOnes;
use crate::mail::{Promise, ShardId, Then};
use crate::publications::Publications;
use crate::resident::Resident;
use crate::restate::Restating;
use crate::retained::RetainedSweep;
use crate::route::Target;
use crate::routes::Routes;
use crate::search::Searches;
use crate::sessions::Sessions;
use crate::share::Backlogs;
use crate::timers::{Timer, Timers};
use crate::{Mail, Record, Request, Stats};
use hashbrown::DefaultHashBuilder;
use noctule_auth::{Action, Authority, Decision};
use noctule_session::{
    ConnectionId, DropReason, Durability, Instant, Limits, Outgoing, Position, Publication, Session,
    SessionEffects, SessionNumber, Terms,
};
use std::collections::VecDeque;
use std::sync::Arc;

/// Which shard this is, of how many, and what makes its assigned client ids its own.
#[derive(Clone, Copy, Debug)]
pub struct ShardConfig {
    /// The number of this shard.
    pub id: ShardId,
    /// The number of shards, at least 1.
    pub shards: u16,
    /// A number that differs from start to start, part of assigned client ids.
    pub seed: u64,
}

/// What an input sees of the world while it is handled.
#[derive(Debug)]
pub struct Turn<'a> {
    /// The time.
    pub now: Instant,
    /// What all shards share; read here, changed by [`Effects::changes`].
    pub directory: &'a Directory,
    /// What the input brings about.
    pub fx: &'a mut Effects,
}

/// What carries out the effects of a turn.
pub trait Carrier {
    /// Gives records their place in the journal, in order, and leaves the list empty. Says where the journal
    /// reaches then: what waits for these records waits until everything up to there is kept.
    fn append(&mut self, records: &mut Vec<Record>) -> Position;
    /// Sends mail to shards, this one included, in order.
    fn send(&mut self, mail: std::vec::Drain<'_, (ShardId, Mail)>);
    /// Passes on what is wanted of who keeps the journal.
    fn ask(&mut self, requests: std::vec::Drain<'_, Request>);
}

/// A shard of the broker.
pub struct Shard {
    pub(crate) config: ShardConfig,
    pub(crate) limits: Arc<Limits>,
    /// What connections are offered whose listener says nothing else.
    pub(crate) terms: Arc<Terms>,
    pub(crate) authority: Arc<dyn Authority + Send + Sync>,
    /// How often another one has been set; what was worked out before has to be worked out anew.
    pub(crate) season: u32,
    /// By slot, boxed: the table doubles.
    pub(crate) connections: Vec<Option<Box<Connection>>>,
    pub(crate) sessions: Sessions,
    pub(crate) backlogs: Backlogs,
    pub(crate) timers: Timers,
    /// Subscriptions of sessions that have ended, which the index still has.
    pub(crate) leftovers: VecDeque<(Subscriber, Box<str>)>,
    pub(crate) stats: Stats,
    pub(crate) assigned_ids: u64,
    pub(crate) session_fx: SessionEffects,
    pub(crate) routes: Routes,
    pub(crate) publications: Publications,
    /// Makes the prints of QoS 2 publications.
    pub(crate) prints: DefaultHashBuilder,
    pub(crate) graces: Graces,
    pub(crate) fights: Fights,
    pub(crate) searches: Searches,
    pub(crate) retained_sweep: RetainedSweep,
    pub(crate) commits: Commits,
    /// Long publications that are being recorded.
    pub(crate) long: LongOnes,
    /// The packet that is being received, if its bytes may be kept.
    pub(crate) packet: Option<Arc<Vec<u8>>>,
    /// Sessions that may leave contents to the journal.
    pub(crate) letting_go: Vec<(SessionNumber, usize)>,
    pub(crate) restating: Option<Box<Restating>>,
    /// Other shards that have sent everything in front of what is being recorded anew.
    pub(crate) all_sent: u16,
}

impl Shard {
    /// A shard without connections or sessions.
    pub fn new(
        config: ShardConfig,
        limits: Arc<Limits>,
        authority: Arc<dyn Authority + Send + Sync>,
    ) -> Self {
        let bytes_max = limits.route_cache_bytes_max;
        let terms = Arc::new(Terms { limits: (*limits).clone(), ..Terms::default() });
        Self {
            config,
            limits,
            terms,
            authority,
            season: 0,
            connections: Vec::new(),
            sessions: Sessions::default(),
            backlogs: Backlogs::default(),
            timers: Timers::default(),
            leftovers: VecDeque::new(),
            stats: Stats::default(),
            assigned_ids: 0,
            session_fx: SessionEffects::default(),
            routes: Routes::new(bytes_max),
            publications: Publications::default(),
            prints: DefaultHashBuilder::default(),
            graces: Graces::default(),
            fights: Fights::default(),
            searches: Searches::default(),
            retained_sweep: RetainedSweep::default(),
            commits: Commits::default(),
            long: LongOnes::default(),
            packet: None,
            letting_go: Vec::new(),
            restating: None,
            all_sent: 0,
        }
    }

    /// Records payloads above this in parts of this length, in bytes, for a simulation whose messages are short.
    #[must_use]
    pub fn with_part_bytes(self, part_bytes: usize) -> Self {
        Self { long: LongOnes::with_part_bytes(part_bytes), ..self }
    }

    /// What has been counted since the start.
    pub fn stats(&self) -> Stats {
        let mut stats = self.stats;
        stats.sessions = self.sessions.len() as u64;
        stats
    }

    /// The limits in force.
    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    /// The shard where the session of a client id lives.
    pub fn home(&self, client_id: &str) -> ShardId {
        home(client_id, self.config.shards)
    }

    /// The sessions that live here, to look at.
    pub fn sessions(&self) -> impl Iterator<Item = &Session> {
        self.sessions.iter().map(|(_, resident)| &resident.session)
    }

    /// Handles mail from a shard.
    pub fn receive_mail(&mut self, mail: Mail, turn: &mut Turn<'_>) {
        match mail {
            Mail::Deliver { message, route, publisher } => {
                self.deliver_here(message, &route, publisher, turn);
            }
            Mail::Share { group, message, member, interest, has_more } => {
                self.receive_share(group, message, Target::new(member, &interest), has_more, turn);
            }
            Mail::Backlog { group, message } => self.receive_backlog(group, message, turn),
            Mail::Room { group, member, places } => self.receive_room(group, member, places, turn),
            Mail::Left { group } => self.end_empty_group(group, turn),
            Mail::Grace { from, ticket } => self.receive_grace(from, ticket, turn),
            Mail::Graced { ticket } => self.receive_graced(ticket, turn),
            Mail::AllSent => self.receive_all_sent(),
        }
    }

    /// Ends a turn: has everything carried out that it brought about. Nothing is visible to anybody before its
    /// record has its place, no mail leaves before that which it was routed by, and nobody is told anything
    /// before what he is told is true. What is left are connections to flush.
    pub fn end_turn(&mut self, carrier: &mut impl Carrier, turn: &mut Turn<'_>) {
        if !self.long.is_empty() {
            self.refuse_long(turn);
        }
        if self.restating.is_some() {
            self.restate_step(turn);
        }
        loop {
            self.publications.count(&turn.directory.memory);
            if turn.fx.has_to_append() {
                self.append(carrier, turn);
            }
            for change in turn.fx.take_changes() {
                turn.directory.apply(change);
            }
            carrier.send(turn.fx.take_mail());
            if !self.letting_go.is_empty() {
                self.let_go();
            }
            if !turn.fx.requests.is_empty() {
                carrier.ask(turn.fx.requests.drain(..));
            }
            if !turn.fx.has_leaving() || !self.leave_when_kept(turn) {
                return;
            }
        }
    }

    /// Appends the records of a turn. Those of retained messages take their place in the journal and in the tree
    /// as one step, so that both have the same last one; so do those of what groups are owed.
    fn append(&mut self, carrier: &mut impl Carrier, turn: &mut Turn<'_>) {
        let Turn { directory, fx, .. } = turn;
        let has_retained = !fx.retained_staged.is_empty() || !fx.retained_again.is_empty();
        let again = std::mem::take(&mut fx.retained_again);
        let (changes, records, appended) = (&mut fx.changes, &mut fx.records, &mut self.commits.appended);
        let debts_again = fx.debts_again.take();
        let has_debts = debts_again.is_some() || !fx.debts.is_empty();
        let debts = &mut fx.debts;
        let mut just_append = |records: &mut Vec<Record>| {
            if !records.is_empty() {
                *appended = carrier.append(records);
            }
        };
        let append = |records: &mut Vec<Record>| match has_debts {
            true => directory.change_debts(debts, debts_again, records, just_append),
            false => just_append(records),
        };
        match has_retained {
            true => directory.retain(changes, again, records, append),
            false => append(records),
        }
        self.commits.note_appended(self.limits.durability);
        if std::mem::take(&mut fx.is_restated) {
            fx.requests.push(Request::Restated { position: self.commits.appended });
        }
    }

    /// Keeps a promise: what it waited for has come about.
    pub(crate) fn release(&mut self, promise: Promise, turn: &mut Turn<'_>) {
        if matches!(promise.then, Then::PartKept) {
            return self.go_on_with_long(turn);
        }
        let Some(slot) = self.session_of(promise.connection) else { return };
        let Some(link) = self.sessions[slot].session.link.as_deref_mut() else { return };
        match (&promise.then, promise.packet) {
            (Then::IdsReserved, _) => self.sessions[slot].session.add_reserved_ids(),
            (_, None) => {}
            (Then::Open, Some(connack)) => link.output.release(connack),
            (Then::AckLeft, Some(ack)) => {
                link.acks_promised = link.acks_promised.saturating_sub(1);
                crate::publish::send_ack(link, ack);
            }
            (Then::Unsubscribed | Then::Subscribed, Some(ack)) => {
                link.subscriptions_promised = link.subscriptions_promised.saturating_sub(1);
                link.send(ack);
            }
            (Then::Nothing | Then::PartKept, Some(packet)) => link.keep_promise(packet),
        }
        if matches!(promise.then, Then::Subscribed) {
            self.sessions[slot].retained.open();
            self.ask_joined_groups(slot, turn);
        }
        if matches!(promise.then, Then::Subscribed | Then::Unsubscribed) {
            self.answer_waiting_ping(slot, turn);
        }
        self.mark_dirty(slot, turn);
    }

    /// When [`handle_timeouts`](Self::handle_timeouts) wants to be called next.
    pub fn next_timeout(&self) -> Option<Instant> {
        match self.leftovers.is_empty() {
            true => self.timers.next(),
            false => Some(Instant::from_millis(0)),
        }
    }

    /// Handles everything that is due.
    pub fn handle_timeouts(&mut self, turn: &mut Turn<'_>) {
        self.clear_leftovers(turn);
        for _ in 0..TIMEOUTS_PER_TURN {
            match self.timers.pop(turn.now) {
                Some(Timer::Connection(id)) => self.handle_connection_timeout(id, turn),
                Some(Timer::Rest(id)) => self.look_for_rest(id, turn.now),
                Some(Timer::Session { slot, number }) => {
                    let subscriber = Subscriber { home: self.config.id, slot, session: number };
                    self.handle_session_timeout(subscriber, turn);
                }
                Some(Timer::RetainedSweep) => self.sweep_retained(turn),
                None => return,
            }
        }
    }

    /// The session that a connection belongs to.
    pub(crate) fn session_of(&self, id: ConnectionId) -> Option<usize> {
        match self.connection(id)?.state {
            State::Connected { slot } => Some(slot),
            _ => None,
        }
    }

    pub(crate) fn connection(&self, id: ConnectionId) -> Option<&Connection> {
        self.connections.get(id.slot as usize)?.as_deref().filter(|connection| connection.id == id)
    }

    pub(crate) fn connection_mut(&mut self, id: ConnectionId) -> Option<&mut Connection> {
        self.connections.get_mut(id.slot as usize)?.as_deref_mut().filter(|connection| connection.id == id)
    }

    /// The session that an index entry names, if it is still that one.
    pub(crate) fn resident(&mut self, subscriber: Subscriber) -> Option<&mut Resident> {
        let resident = self.sessions.get_mut(subscriber.slot as usize)?;
        (resident.session.number == subscriber.session).then_some(resident)
    }

    pub(crate) fn subscriber(&self, slot: usize) -> Subscriber {
        Subscriber {
            home: self.config.id,
            slot: u32::try_from(slot).expect("connections are bounded by open files, sessions by memory"),
            session: self.sessions[slot].session.number,
        }
    }

    /// May the client of a session receive this? Most clients may receive everything, which is known before.
    #[inline(always)]
    pub(crate) fn may_receive(&mut self, slot: usize, topic: &str) -> bool {
        let standing = self.sessions[slot].standing;
        standing.is_of(self.season) && standing.reach().includes(topic)
            || self.is_delivery_allowed(slot, topic)
    }

    #[inline(never)]
    fn is_delivery_allowed(&mut self, slot: usize, topic: &str) -> bool {
        if !self.sessions[slot].standing.is_of(self.season) {
            self.renew_rights(slot);
        }
        self.authority.allows(&self.sessions[slot].identity, &Action::Receive { topic })
    }

    /// May the client of a session do that, and which rule says so?
    #[inline(never)]
    pub(crate) fn permit(&mut self, slot: usize, action: &Action<'_>) -> Decision {
        if !self.sessions[slot].standing.is_of(self.season) {
            self.renew_rights(slot);
        }
        self.authority.permit(&self.sessions[slot].identity, action)
    }

    /// Passes on what a call on a session has brought about.
    pub(crate) fn collect(&mut self, slot: usize, turn: &mut Turn<'_>) {
        self.sessions[slot].recount_queue();
        if self.session_fx.has_changes() {
            self.collect_changes(slot, turn);
        }
        if self.session_fx.has_used() {
            self.collect_used(slot, turn);
        }
        self.mark_dirty(slot, turn);
    }

    /// Passes on what is to be recorded, and what waits for that.
    fn collect_changes(&mut self, slot: usize, turn: &mut Turn<'_>) {
        let session = &self.sessions[slot].session;
        let number = session.number;
        if !self.session_fx.group_settled.is_empty() {
            let settled = self.session_fx.group_settled.drain(..);
            crate::share::end_debts(settled, session.is_durable(), turn);
        }
        let changes = self.session_fx.changes.drain(..);
        turn.fx.records.extend(changes.map(|change| Record::Session { session: number, change }));
        if let Some(link) = &session.link {
            let connection = link.connection;
            let promises = self.session_fx.promises.drain(..);
            let level = self.limits.durability;
            let promise = |packet| Promise::new(connection, Some(packet), Then::Nothing, level);
            turn.fx.promises.extend(promises.map(promise));
            if std::mem::take(&mut self.session_fx.reserves_ids) {
                turn.fx.promises.push(Promise::new(connection, None, Then::IdsReserved, level));
            }
        }
        self.session_fx.promises.clear();
    }

    /// Keeps the publications that a session is done with, and records the messages that it could not be given.
    pub(crate) fn collect_used(&mut self, slot: usize, turn: &mut Turn<'_>) {
        while let Some(message) = self.session_fx.done.pop() {
            self.publications.give_back(message);
        }
        if self.session_fx.drops.is_empty() && self.session_fx.lost == 0 {
            return;
        }
        self.list_drops(slot, turn);
    }

    #[cold]
    #[inline(never)]
    fn list_drops(&mut self, slot: usize, turn: &mut Turn<'_>) {
        for _ in 0..std::mem::take(&mut self.session_fx.lost) {
            self.stats.count_drop(DropReason::Damaged);
        }
        for (message, reason) in self.session_fx.drops.drain(..) {
            self.stats.count_drop(reason);
            let resident = &self.sessions[slot];
            let rule = || {
                let action = Action::Receive { topic: &message.topic };
                (reason == DropReason::NotAuthorized)
                    .then(|| self.authority.permit(&resident.identity, &action).told().into())
            };
            turn.fx.list_drop(&resident.session.client_id, &message, reason, rule);
            self.publications.give_back(message);
        }
    }

    /// Records a message that is not delivered to, or not accepted from, this client.
    pub(crate) fn drop_message(
        &mut self,
        client_id: &Arc<str>,
        message: &Publication,
        reason: DropReason,
        turn: &mut Turn<'_>,
    ) {
        self.stats.count_drop(reason);
        let (client_id, topic) = (Arc::clone(client_id), message.topic.as_str().into());
        turn.fx.drops.push(Drop { client_id, topic, reason, rule: None });
    }

    /// The same where the client has no right to it, as this rule says.
    pub(crate) fn drop_forbidden(
        &mut self,
        client_id: &Arc<str>,
        message: &Publication,
        rule: String,
        turn: &mut Turn<'_>,
    ) {
        let reason = DropReason::NotAuthorized;
        self.stats.count_drop(reason);
        let (client_id, topic) = (Arc::clone(client_id), message.topic.as_str().into());
        turn.fx.drops.push(Drop { client_id, topic, reason, rule: Some(rule.into()) });
    }

    /// Puts the connection of a session on the list to flush, once.
    pub(crate) fn mark_dirty(&mut self, slot: usize, turn: &mut Turn<'_>) {
        let Some(link) = &self.sessions[slot].session.link else { return };
        let id = link.connection;
        if let Some(connection) = self.connection_mut(id)
            && !connection.is_dirty
        {
            connection.is_dirty = true;
            turn.fx.dirty.push(id);
        }
    }

    /// Queues a packet for the client of a session.
    pub(crate) fn send(&mut self, slot: usize, packet: Outgoing, turn: &mut Turn<'_>) {
        self.sessions[slot].session.send(packet);
        self.mark_dirty(slot, turn);
    }

    /// Queues a packet that leaves once the records of this turn are durable.
    pub(crate) fn promise(&mut self, slot: usize, packet: Outgoing, then: Then, turn: &mut Turn<'_>) {
        self.promise_after(slot, packet, then, false, turn);
    }

    /// Queues a packet that leaves once the changes of this turn are durable and in force on every shard.
    pub(crate) fn promise_after_grace(
        &mut self,
        slot: usize,
        packet: Outgoing,
        then: Then,
        turn: &mut Turn<'_>,
    ) {
        self.promise_after(slot, packet, then, true, turn);
    }

    fn promise_after(
        &mut self,
        slot: usize,
        packet: Outgoing,
        then: Then,
        needs_grace: bool,
        turn: &mut Turn<'_>,
    ) {
        let session = &mut self.sessions[slot].session;
        let is_durable = session.is_durable();
        if let Some(link) = session.link.as_deref_mut() {
            let is_of_subscriptions = matches!(then, Then::Unsubscribed | Then::Subscribed);
            if is_of_subscriptions {
                link.subscriptions_promised = link.subscriptions_promised.saturating_add(1);
            }
            let waits = is_durable || !is_of_subscriptions;
            let level = if waits { self.limits.durability } else { Durability::Memory };
            let promise = Promise::new(link.connection, Some(packet), then, level);
            turn.fx.promises.push(Promise { needs_grace, ..promise });
        }
    }

    pub(crate) fn event(turn: &mut Turn<'_>, event: Event) {
        turn.fx.events.push(event);
    }
}

impl std::fmt::Debug for Shard {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shard").field("config", &self.config).field("sessions", &self.sessions.len()).finish()
    }
}

/// The shard where the session of a client id lives: the same on every start and every node.
pub fn home(client_id: &str, shards: u16) -> ShardId {
    ShardId(u16::try_from(fnv1a(client_id.as_bytes()) % u64::from(shards)).expect("less than the divisor"))
}

/// FNV-1a: fixed for ever, because it decides where sessions live.
pub(crate) fn fnv1a(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}

/// Timeouts handled in one turn, so that a million sessions that end together hold nobody up.
const TIMEOUTS_PER_TURN: usize = 1024;
