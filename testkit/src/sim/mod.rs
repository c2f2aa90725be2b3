//! A broker in memory: shards, mail, clock and network are values, and a seed decides what happens next.
//!
//! Tests talk to it on the wire: a [`Wire`] is a connection on which a test writes packets or bytes and reads
//! what the broker answers. Nothing waits; [`Sim::advance`] is how time passes.

mod client;
mod crash;
mod expect;
mod journal;
mod ledger;
mod locks;
mod network;
mod random;
mod replay;
mod talk;
mod wire;
mod world;

pub use expect::{
    VERSIONS, ack, disconnect, disconnect_with_expiry, raw, raw_connect, raw_text, will, will_after,
};
pub use journal::Crash;
pub use ledger::{Entry, Fault, Ledger};
pub use locks::Locks;
pub use network::{Faults, Mangle};
pub use noctule_session::Durability;
pub use random::Random;
pub use replay::{check_remembered, check_replay};
pub use talk::{EVERY_QOS, ack_with, in_many_worlds, payloads, subscribe_with, texts};
pub use wire::{ConnectOptions, Wire, connect, filters, publish, subscribe, unsubscribe};
pub use world::{ClientOptions, Handle, WillOptions, World, WorldOptions};

use journal::{FromJournal, Journal, JournalStep};
use noctule_auth::{AllowAll, Authority, Listener};
use noctule_codec::{Packet, ProtocolVersion};
use noctule_engine::{
    Arrival, Carrier, CheckAnswer, Directory, Drop, Effects, Event, Flush, Mail, Next, PasswordCheck, Record,
    Request, Shard, ShardId, Stats, Turn,
};
use noctule_session::{ConnectQueue, ConnectionId, Instant, Limits, Meters, Position, Rates, Session, Terms};
use noctule_store::simulated::SimulatedDisk;
use std::collections::VecDeque;
use std::sync::Arc;

/// How a simulated broker is set up.
#[derive(Clone)]
pub struct SimOptions {
    /// Decides every choice the simulation makes.
    pub seed: u64,
    /// Number of shards.
    pub shards: u16,
    /// The broker's limits.
    pub limits: Limits,
    /// Whether bytes arrive in pieces and steps happen in an order that the seed decides. Otherwise
    /// everything that can happen happens at once and in order.
    pub shuffled: bool,
    /// Who may do what.
    pub authority: Arc<dyn Authority + Send + Sync>,
    /// What an acknowledgement promises. Without a journal the limits may say more, and nothing waits for it.
    pub durability: Durability,
    /// The journal's sizes: by default so small that segments fill and are freed all the time.
    pub journal: noctule_store::Options,
    /// Payloads above this are recorded in parts of this length.
    pub part_bytes: usize,
    /// The oldest segment is freed after so many new bytes of records.
    pub reclaim_after_bytes: u64,
    /// Whether what is recorded is written down for a person.
    pub is_traced: bool,
}

/// A broker with its clients' connections.
pub struct Sim {
    options: SimOptions,
    random: Random,
    now: Instant,
    directory: Arc<Directory>,
    /// None while the broker is down.
    nodes: Vec<Node>,
    disk: SimulatedDisk,
    journal: Option<Journal>,
    /// The call of the disk at which the power goes.
    power_until: u64,
    lives: u64,
    segments_freed_before: usize,
    /// When the broker's last life ended.
    ended_at: Instant,
    /// The time of day is so many milliseconds behind when the broker starts next.
    clock_behind_millis: u64,
    /// Nobody is read any more.
    is_stopping: bool,
    /// The disk takes its time: the journal does nothing.
    is_journal_held: bool,
    wires: Vec<Wire>,
    /// Messages the broker dropped, in order.
    pub drops: Vec<Drop>,
    /// What an operator would read, in order.
    pub events: Vec<Event>,
    /// Passwords that are to be checked, in order.
    pub checks: Vec<PasswordCheck>,
    /// Everything the broker recorded, in order.
    pub records: Vec<Record>,
    /// The most bytes that were on their way to one shard.
    pub mail_bytes_peak: u64,
    /// What was recorded, if it is to be written down.
    trace: Vec<String>,
}

struct Node {
    shard: Shard,
    mailbox: VecDeque<Parcel>,
    /// How far it has heard that the kernel has the journal, and the disk.
    heard: (Position, Position),
    /// What the inputs of its turn have brought about and nobody sees yet.
    fx: Effects,
}

impl Node {
    /// Whether the journal has got somewhere that the shard waits for. It looks when a turn begins.
    fn has_to_hear(&self, (written, durable): (Position, Position)) -> bool {
        let hears = |level, heard, committed| self.shard.waits_for(level).is_some() && heard < committed;
        self.fx.is_empty()
            && (hears(Durability::Os, self.heard.0, written)
                || hears(Durability::Disk, self.heard.1, durable))
    }
}

/// What comes to a shard.
enum Parcel {
    Mail(Mail),
    FromJournal(FromJournal),
}

impl Default for SimOptions {
    fn default() -> Self {
        Self {
            seed: 1,
            shards: 1,
            limits: Limits::default(),
            shuffled: false,
            authority: Arc::new(AllowAll),
            durability: Durability::Memory,
            journal: noctule_store::Options {
                segment_bytes: 16 << 10,
                first_segment_bytes: 8 << 10,
                journal_bytes_max: 0,
                read_whole_bytes_max: 0,
                index_share: 1,
            },
            part_bytes: 256,
            reclaim_after_bytes: 2 << 10,
            is_traced: false,
        }
    }
}

impl Sim {
    /// A broker with one shard and default limits.
    pub fn new() -> Self {
        Self::with(SimOptions::default())
    }

    /// A broker with one shard and these limits.
    pub fn with_limits(limits: Limits) -> Self {
        Self::with(SimOptions { limits, ..SimOptions::default() })
    }

    /// A broker set up like this.
    pub fn with(options: SimOptions) -> Self {
        let mut options = options;
        if options.durability > Durability::Memory {
            options.limits.durability = options.durability;
        }
        let mut sim = Self {
            random: Random::new(options.seed),
            now: Instant::from_millis(1_000_000),
            directory: Arc::new(Directory::new::<Locks>(options.shards)),
            nodes: Vec::new(),
            disk: SimulatedDisk::new(options.seed),
            journal: None,
            power_until: u64::MAX,
            lives: 0,
            segments_freed_before: 0,
            ended_at: Instant::default(),
            clock_behind_millis: 0,
            is_stopping: false,
            is_journal_held: false,
            wires: Vec::new(),
            drops: Vec::new(),
            events: Vec::new(),
            checks: Vec::new(),
            records: Vec::new(),
            mail_bytes_peak: 0,
            trace: Vec::new(),
            options,
        };
        sim.restart().expect("an empty disk can be read");
        sim
    }

    /// Opens a connection. It arrives at a shard that the seed decides.
    pub fn open(&mut self) -> usize {
        let shard = self.random.below(self.nodes.len());
        let wire = self.wires.len();
        let id = ConnectionId { slot: u32::try_from(wire).expect("few connections"), generation: 1 };
        self.wires.push(Wire::new(id, shard));
        self.turn(shard, |shard, turn| shard.open(id, &format!("127.0.0.1:{wire}"), false, turn));
        wire
    }

    /// Gives every user these rates who connects from now on.
    pub fn set_user_rates(&mut self, rates: Rates) {
        self.directory.set_user_rates(rates);
    }

    /// Opens a connection to a listener that offers something of its own.
    pub fn open_on(&mut self, terms: &Arc<Terms>) -> usize {
        self.open_sharing(terms, Vec::new())
    }

    /// The same, where it shares these rates with others.
    pub fn open_sharing(&mut self, terms: &Arc<Terms>, meters: Vec<Arc<Meters>>) -> usize {
        self.open_behind(terms, meters, Vec::new())
    }

    /// The same, where it has to wait for its turn in these queues.
    pub fn open_behind(
        &mut self,
        terms: &Arc<Terms>,
        meters: Vec<Arc<Meters>>,
        queues: Vec<Arc<ConnectQueue>>,
    ) -> usize {
        let wire = self.open();
        let Wire { id, shard, .. } = self.wires[wire];
        let arrival = Arrival {
            address: format!("127.0.0.1:{wire}").into(),
            listener: Listener::default(),
            terms: Arc::clone(terms),
            refusal: None,
            meters,
            queues,
        };
        self.turn(shard, |shard, turn| shard.arrive(id, arrival, turn));
        wire
    }

    /// Writes bytes on a connection and lets the broker work.
    pub fn send_bytes(&mut self, wire: usize, bytes: &[u8]) {
        self.queue_bytes(wire, bytes);
        self.run();
    }

    /// Writes bytes on a connection; they arrive with the next [`run`](Self::run).
    pub fn queue_bytes(&mut self, wire: usize, bytes: &[u8]) {
        self.wires[wire].to_broker.extend_from_slice(bytes);
    }

    /// Writes a packet on a connection and lets the broker work.
    pub fn send(&mut self, wire: usize, packet: &Packet<'_>) {
        self.queue(wire, packet);
        self.run();
    }

    /// Writes a packet on a connection; it arrives with the next [`run`](Self::run).
    pub fn queue(&mut self, wire: usize, packet: &Packet<'_>) {
        if let Packet::Connect(connect) = packet {
            self.wires[wire].version = connect.version;
        }
        let mut bytes = Vec::new();
        packet
            .encode(self.wires[wire].version, &mut bytes)
            .expect("test packets are of a length that can be encoded");
        self.queue_bytes(wire, &bytes);
    }

    /// The next packet the broker sent, if there is one.
    pub fn receive(&mut self, wire: usize) -> Option<Packet<'static>> {
        self.wires[wire].receive()
    }

    /// The next packet the broker sent; there must be one.
    #[track_caller]
    pub fn expect(&mut self, wire: usize) -> Packet<'static> {
        self.receive(wire)
            .unwrap_or_else(|| panic!("the broker sent nothing to {wire}; events {:?}", self.events))
    }

    /// All packets the broker sent and nobody has read.
    pub fn drain(&mut self, wire: usize) -> Vec<Packet<'static>> {
        std::iter::from_fn(|| self.receive(wire)).collect()
    }

    /// Whether the broker has closed the connection.
    pub fn is_closed(&self, wire: usize) -> bool {
        self.wires[wire].is_closed
    }

    /// A connection as it is.
    pub fn wire(&mut self, wire: usize) -> &mut Wire {
        &mut self.wires[wire]
    }

    /// Opens a connection and says CONNECT; the CONNACK is left to be read.
    pub fn dial(&mut self, options: &ConnectOptions<'_>) -> usize {
        let wire = self.open();
        self.send(wire, &Packet::Connect(options.packet()));
        wire
    }

    /// Opens a connection of this version with a clean session, and expects to be let in.
    #[track_caller]
    pub fn connect(&mut self, version: ProtocolVersion, client_id: &str) -> usize {
        self.connect_with(&ConnectOptions { version, client_id, ..ConnectOptions::default() })
    }

    /// Opens a connection like this, and expects to be let in.
    #[track_caller]
    pub fn connect_with(&mut self, options: &ConnectOptions<'_>) -> usize {
        let wire = self.dial(options);
        match self.expect(wire) {
            Packet::ConnAck(connack) if !connack.reason_code.is_error() => wire,
            packet => panic!("CONNECT was answered by {packet:?}"),
        }
    }

    /// Breaks a connection without a DISCONNECT.
    pub fn cut(&mut self, wire: usize) {
        let Wire { id, shard, is_closed, .. } = self.wires[wire];
        if !is_closed {
            self.wires[wire].close();
            self.turn(shard, |shard, turn| shard.lost(id, "the connection broke", turn));
            self.run();
        }
    }

    /// Gives the answer to a check of a password, and lets the broker work.
    pub fn answer_check(&mut self, id: ConnectionId, answer: CheckAnswer) {
        let wire = id.slot as usize;
        let mut waits = false;
        self.turn(self.wires[wire].shard, |shard, _| waits = shard.answer_check(id, answer));
        if waits && !self.wires[wire].is_closed {
            self.wires[wire].next = Next::Yield;
        }
        self.run();
    }

    /// Has this one decide about clients from now on, after restarts too.
    pub fn set_authority(&mut self, authority: &Arc<dyn Authority + Send + Sync>) {
        self.options.authority = Arc::clone(authority);
        for shard in 0..self.nodes.len() {
            self.turn(shard, |shard, turn| shard.set_authority(Arc::clone(authority), turn));
        }
        self.run();
    }

    /// Lets time pass in small steps, so that timers fire in their order.
    pub fn advance(&mut self, millis: u64) {
        let end = self.now + millis;
        self.run();
        while self.now < end {
            let timeouts = self.nodes.iter().filter_map(|node| node.shard.next_timeout());
            let retries = self.journal.iter().filter_map(Journal::next_timeout);
            let next = timeouts.chain(retries).chain(self.wires.iter().filter_map(Wire::waits_until)).min();
            self.now = next.map_or(end, |next| next.max(self.now).min(end));
            for shard in 0..self.nodes.len() {
                self.turn(shard, Shard::handle_timeouts);
            }
            self.run();
            if next.is_none_or(|next| next >= end) {
                break;
            }
        }
        self.now = end;
    }

    /// The time.
    pub fn now(&self) -> Instant {
        self.now
    }

    /// Stops the broker in order, of which nothing is remembered.
    pub fn shut_down(&mut self) {
        for shard in 0..self.nodes.len() {
            self.turn(shard, Shard::fire_last_wills);
        }
        self.run();
        for shard in 0..self.nodes.len() {
            self.turn(shard, |shard, turn| shard.shut_down(false, turn));
        }
        self.run();
    }

    /// The sessions of all shards.
    pub fn sessions(&self) -> impl Iterator<Item = &Session> {
        self.nodes.iter().flat_map(|node| node.shard.sessions())
    }

    /// The counters of all shards.
    pub fn stats(&self) -> Stats {
        let mut sum = Stats::default();
        for node in &self.nodes {
            sum.add(&node.shard.stats());
        }
        sum
    }

    /// What all shards share.
    pub fn directory(&self) -> &Directory {
        &self.directory
    }

    /// Publishes on behalf of the broker.
    pub fn publish_own(&mut self, topic: &str, payload: &[u8]) {
        self.turn(0, |shard, turn| shard.publish_own(topic, payload, true, turn));
        self.run();
    }

    /// Lets the broker work until nothing is left to do.
    pub fn run(&mut self) {
        let steps = (0..STEPS_MAX).take_while(|_| self.step()).count();
        assert!(steps < STEPS_MAX, "the broker does not come to rest");
    }

    /// Lets the broker work as long as this holds and there is something to do.
    pub fn run_while(&mut self, holds: impl Fn(&Self) -> bool) {
        while holds(self) && self.step() {}
    }

    /// Lets the broker take so many steps, or as many as there are.
    pub fn run_steps(&mut self, steps: usize) {
        let _ = (0..steps).all(|_| self.step());
    }

    /// One thing that can happen: bytes arrive, mail arrives, a connection is flushed, a commit is done.
    fn step(&mut self) -> bool {
        self.step_of(|_| true)
    }

    /// One thing of these that can happen.
    fn step_of(&mut self, is_meant: impl Fn(Step) -> bool) -> bool {
        let mut steps = self.steps();
        steps.retain(|step| is_meant(*step));
        if steps.is_empty() {
            return false;
        }
        let choice = if self.options.shuffled { self.random.below(steps.len()) } else { 0 };
        match steps[choice] {
            Step::Bytes(wire) => self.deliver_bytes(wire),
            Step::Flush(wire) => self.flush(wire),
            Step::Parcel(shard) => self.deliver_parcel(shard),
            Step::EndTurn(shard) => self.end_turn(shard),
            Step::Timeouts(shard) => self.turn(shard, Shard::handle_timeouts),
            Step::Hear(shard) => self.hear_of_commit(shard),
            Step::Journal(step) => self.take_journal_step(step),
        }
        true
    }

    /// Everything that can happen, in the order in which it does where the seed does not decide.
    fn steps(&self) -> Vec<Step> {
        let mut steps = Vec::new();
        if self.is_down() || self.is_power_off() {
            return steps;
        }
        for (wire, state) in self.wires.iter().enumerate().filter(|(_, state)| !state.is_closed) {
            // What was told to wait for the next turn does, and nothing is sent before a turn has ended.
            let is_between_turns = self.nodes[state.shard].fx.is_empty();
            let wants_to_write = !self.is_stopping && state.wants_to_write(self.now);
            if wants_to_write && (is_between_turns || state.next == Next::Read) {
                steps.push(Step::Bytes(wire));
            }
            if state.wants_flush && state.can_read() && is_between_turns {
                steps.push(Step::Flush(wire));
            }
        }
        for (shard, node) in self.nodes.iter().enumerate() {
            if !node.fx.is_empty() || node.shard.has_to_restate() {
                steps.push(Step::EndTurn(shard));
            } else if node.shard.next_timeout().is_some_and(|at| at <= self.now) {
                steps.push(Step::Timeouts(shard));
            }
        }
        let mailboxes = self.nodes.iter().enumerate().filter(|(_, node)| !node.mailbox.is_empty());
        steps.extend(mailboxes.map(|(shard, _)| Step::Parcel(shard)));
        if let Some(journal) = self.journal.as_ref().filter(|_| !self.is_journal_held) {
            let committed = journal.committed();
            let shards = self.nodes.iter().enumerate().filter(|(_, node)| node.has_to_hear(committed));
            steps.extend(shards.map(|(shard, _)| Step::Hear(shard)));
            let waits = self.nodes.iter().any(|node| node.shard.waits_for(Durability::Disk).is_some());
            steps.extend(journal.steps(self.now, waits).map(Step::Journal));
        }
        steps
    }

    fn deliver_bytes(&mut self, wire: usize) {
        let Wire { id, shard, .. } = self.wires[wire];
        let waiting = std::mem::take(&mut self.wires[wire].to_broker);
        let mut arrived = waiting.len();
        if self.options.shuffled {
            let old = self.wires[wire].arrived;
            arrived = old + self.random.below(waiting.len() - old + 1);
        }
        let mut received = None;
        self.turn(shard, |shard, turn| received = Some(shard.receive(id, &waiting[..arrived], turn)));
        let received = received.expect("the turn ran");
        let state = &mut self.wires[wire];
        state.to_broker = waiting[received.consumed..].to_vec();
        state.arrived = arrived - received.consumed;
        state.next = received.next;
        match received.next {
            Next::Move(home) => {
                let handover = self.nodes[shard].shard.hand_over(id).expect("it has no session yet");
                let home = usize::from(home.0);
                self.wires[wire].shard = home;
                self.wires[wire].next = Next::Yield;
                self.turn(home, |shard, turn| shard.take_in(id, handover, turn));
            }
            Next::Flush => self.wires[wire].wants_flush = true,
            Next::Read | Next::Yield | Next::Wait(_) | Next::Blocked | Next::Held | Next::Close => {}
        }
    }

    fn flush(&mut self, wire: usize) {
        let Wire { id, shard, .. } = self.wires[wire];
        let mut out = Vec::new();
        let mut flush = Flush::Done;
        let bytes_max = self.wires[wire].room();
        self.wires[wire].wants_flush = false;
        self.turn(shard, |shard, turn| flush = shard.flush(id, bytes_max, &mut out, turn));
        let wants_input = self.nodes[shard].shard.wants_input(id);
        let state = &mut self.wires[wire];
        state.from_broker.extend_from_slice(&out);
        if let Flush::Payload(message) = &flush {
            state.from_broker.extend_from_slice(&message.payload);
        }
        // A promise that the turn kept may have marked the connection again.
        state.wants_flush |= matches!(flush, Flush::More | Flush::Payload(_));
        if state.next == Next::Flush && wants_input {
            state.next = Next::Yield;
        }
        if matches!(flush, Flush::Close) {
            state.close();
            state.has_said_all = true;
            self.nodes[shard].shard.forget(id);
        }
    }

    fn deliver_parcel(&mut self, shard: usize) {
        match self.nodes[shard].mailbox.pop_front() {
            Some(Parcel::Mail(mail)) => self.deliver_mail(shard, mail),
            Some(Parcel::FromJournal(FromJournal::Contents(subscriber, contents))) => {
                self.turn(shard, |shard, turn| shard.receive_contents(subscriber, contents, turn));
            }
            Some(Parcel::FromJournal(FromJournal::Unreadable(subscriber))) => {
                self.turn(shard, |shard, turn| shard.delay_contents(subscriber, turn));
            }
            Some(Parcel::FromJournal(FromJournal::Places(places))) => {
                self.turn(shard, |shard, _| shard.receive_places(places));
            }
            Some(Parcel::FromJournal(FromJournal::Restate(before))) => {
                self.turn(shard, |shard, _| shard.restate(before));
            }
            None => {}
        }
    }

    fn deliver_mail(&mut self, shard: usize, mail: Mail) {
        self.directory.mail.handled(shard_id(shard), mail.bytes());
        self.turn(shard, |shard, turn| shard.receive_mail(mail, turn));
        for wire in self.wires.iter_mut().filter(|wire| wire.next == Next::Blocked) {
            wire.next = Next::Yield;
        }
    }

    /// A shard learns how far the journal is, which it does when a turn begins.
    fn hear_of_commit(&mut self, shard: usize) {
        let Some((written, durable)) = self.journal.as_ref().map(Journal::committed) else { return };
        self.nodes[shard].heard = (written, durable);
        self.turn(shard, |shard, turn| shard.committed(written, durable, turn));
    }

    fn take_journal_step(&mut self, step: JournalStep) {
        if self.options.is_traced {
            let committed = self.journal.as_ref().map(Journal::committed);
            self.trace.push(format!("the journal's {step:?} after {committed:?}"));
        }
        let Self { journal: Some(journal), nodes, directory, now, .. } = self else { return };
        journal.take_step(step, *now, directory, |shard, parcel| {
            nodes[usize::from(shard.0)].mailbox.push_back(Parcel::FromJournal(parcel));
        });
    }

    /// One input of a turn. The turn ends here, or at a time that the seed decides, so that other shards can
    /// work in the middle of it.
    fn turn(&mut self, shard: usize, work: impl FnOnce(&mut Shard, &mut Turn<'_>)) {
        let node = &mut self.nodes[shard];
        let mut turn = Turn { now: self.now, directory: &self.directory, fx: &mut node.fx };
        work(&mut node.shard, &mut turn);
        if !self.options.shuffled {
            self.end_turn(shard);
        }
    }

    fn end_turn(&mut self, shard: usize) {
        let mut fx = std::mem::take(&mut self.nodes[shard].fx);
        let Self { journal, records, trace, options, .. } = self;
        let mut carried = Carried {
            shard: shard_id(shard),
            journal: journal.as_mut(),
            records,
            mail: Vec::new(),
            trace: options.is_traced.then_some(trace),
        };
        let mut turn = Turn { now: self.now, directory: &self.directory, fx: &mut fx };
        self.nodes[shard].shard.end_turn(&mut carried, &mut turn);
        for (home, mail) in carried.mail {
            self.directory.mail.sent(home, mail.bytes());
            self.mail_bytes_peak = self.mail_bytes_peak.max(self.directory.mail.bytes(home));
            self.nodes[usize::from(home.0)].mailbox.push_back(Parcel::Mail(mail));
        }
        for id in fx.dirty.drain(..) {
            if let Some(wire) = self.wires.get_mut(id.slot as usize) {
                wire.wants_flush = true;
            }
        }
        self.drops.append(&mut fx.drops);
        self.events.append(&mut fx.events);
        self.checks.append(&mut fx.checks);
        self.nodes[shard].fx = fx;
    }
}

/// What the end of a turn hands to the machine.
struct Carried<'a> {
    shard: ShardId,
    journal: Option<&'a mut Journal>,
    /// Kept where there is no journal, to be looked at.
    records: &'a mut Vec<Record>,
    mail: Vec<(ShardId, Mail)>,
    trace: Option<&'a mut Vec<String>>,
}

impl Carrier for Carried<'_> {
    fn append(&mut self, records: &mut Vec<Record>) -> Position {
        if let Some(trace) = &mut self.trace {
            trace.extend(records.iter().map(|record| format!("shard {} records {record:?}", self.shard.0)));
        }
        match &mut self.journal {
            Some(journal) => journal.append(records),
            None => {
                self.records.append(records);
                Position::NOWHERE
            }
        }
    }

    fn ask(&mut self, requests: std::vec::Drain<'_, Request>) {
        for request in requests {
            let journal = self.journal.as_mut().expect("nothing is left to a journal that is not there");
            journal.ask(self.shard, request);
        }
    }

    fn send(&mut self, mail: std::vec::Drain<'_, (ShardId, Mail)>) {
        self.mail.extend(mail);
    }
}

fn shard_id(shard: usize) -> ShardId {
    ShardId(u16::try_from(shard).expect("few shards"))
}

impl Default for Sim {
    fn default() -> Self {
        Self::new()
    }
}

#[derive(Clone, Copy)]
enum Step {
    Bytes(usize),
    Flush(usize),
    Parcel(usize),
    EndTurn(usize),
    Timeouts(usize),
    /// A shard hears how far the journal is.
    Hear(usize),
    Journal(JournalStep),
}

/// Steps after which a broker that was given nothing more to do should have come to rest.
const STEPS_MAX: usize = 1_000_000;
