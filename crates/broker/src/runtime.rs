//! One shard's thread: the turn, one bounded round of everything it has to do.

use crate::accepting::{Accepted, Accepting, FIRST_LISTENER};
use crate::access::pool::PasswordPool;
use crate::archive::Scratch;
use crate::journal::Journal;
use crate::memory::{self, Settling};
use crate::reload::{Reloaded, Reloading};
use crate::shared::{Parcel, Shared};
use crate::signals::Signals;
use crate::sockets::{FIRST_TOKEN, Moving, Sent, Socket, Sockets};
use crate::sys::SysRounds;
use mio::event::Source as _;
use mio::{Events, Interest, Poll, Token};
use noctule_auth::Certificate;
use noctule_engine::{
    Arrival, Carrier, CheckAnswer, Effects, Flush, Handover, Mail, Next, Received, Record, Request, Shard,
    ShardConfig, ShardId, Turn,
};
use noctule_session::{ConnectionId, Durability, Instant, Position};
use noctule_transport::{PeerIdentity, Read};
use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::sync::Arc;
use std::time;
use tracing::{error, info, warn};

/// A shard with its sockets, on a thread of its own.
pub(crate) struct Runtime {
    poll: Poll,
    shared: Arc<Shared>,
    me: ShardId,
    /// What only the first shard does.
    front: Option<Front>,
    sockets: Sockets,
    shard: Shard,
    fx: Effects,
    /// Parcels taken from the mailbox, and from this shard to itself.
    inbox: VecDeque<Parcel>,
    /// Mail to other shards, collected in a turn.
    outboxes: Vec<Vec<Parcel>>,
    /// Sockets to read, or whose unread bytes are to be tried again.
    to_read: VecDeque<ConnectionId>,
    /// Connections whose TLS clients wait for an answer to their hello.
    hellos: VecDeque<ConnectionId>,
    /// Connections to flush.
    to_flush: Vec<ConnectionId>,
    /// Connections that are not read before then.
    waiting: BTreeMap<Instant, Vec<ConnectionId>>,
    /// Connections that are not read before there is less mail on its way.
    blocked: Vec<ConnectionId>,
    /// Sockets that close at the latest then.
    ending: VecDeque<(Instant, ConnectionId)>,
    settling: Settling,
    is_told_to_stop: bool,
    /// Other shards that have not published their last wills.
    wills_missing: u16,
    read_buffer: Vec<u8>,
    scratch: Vec<u8>,
    journal: Option<Arc<Journal>>,
    record_scratch: Scratch,
    now: Instant,
}

/// What one shard does for all: it listens for clients and signals and publishes `$SYS`.
pub(crate) struct Front {
    pub(crate) accepting: Accepting,
    pub(crate) signals: Signals,
    pub(crate) sys: Option<SysRounds>,
    pub(crate) reloading: Option<Reloading>,
}

impl Runtime {
    /// The runtime of a shard, ready to run.
    pub(crate) fn new(
        me: ShardId,
        poll: Poll,
        shared: Arc<Shared>,
        journal: Option<Arc<Journal>>,
        front: Option<Front>,
    ) -> Self {
        let config = ShardConfig { id: me, shards: shared.shards(), seed: shared.seed };
        let shard = Shard::new(config, Arc::clone(&shared.limits), shared.access());
        Self {
            poll,
            me,
            front,
            sockets: Sockets::default(),
            shard,
            fx: Effects::default(),
            inbox: VecDeque::new(),
            outboxes: (0..shared.shards()).map(|_| Vec::new()).collect(),
            to_read: VecDeque::new(),
            hellos: VecDeque::new(),
            to_flush: Vec::new(),
            waiting: BTreeMap::new(),
            blocked: Vec::new(),
            ending: VecDeque::new(),
            settling: Settling::default(),
            is_told_to_stop: false,
            wills_missing: shared.shards() - 1,
            read_buffer: vec![0; READ_BYTES],
            scratch: Vec::with_capacity(FLUSH_BYTES),
            journal,
            record_scratch: Scratch::default(),
            now: shared.now(),
            shared,
        }
    }

    /// Works until the broker is told to stop, then stops in order.
    pub(crate) fn run(&mut self) -> io::Result<()> {
        let mut events = Events::with_capacity(EVENTS_PER_TURN);
        while !self.is_told_to_stop {
            self.wait(&mut events)?;
            self.heed_signals();
            self.turn();
        }
        self.stop(&mut events)
    }

    /// Tells the other shards' threads to stop.
    pub(crate) fn stop_others(&self) {
        self.shared.stop_others(self.me);
    }

    /// One turn. What a client is told in it (the promises) leaves only after everything that was promised
    /// has been kept, and nothing is visible to others before that either.
    fn turn(&mut self) {
        self.hear_of_commits();
        self.accept();
        self.end_waits();
        self.read_sockets();
        self.answer_hello();
        self.receive_parcels();
        self.handle_timeouts();
        self.publish_sys();
        self.carry_out();
        self.flush_connections();
        self.carry_out();
        self.close_ended();
        self.settle();
    }

    /// Gives the shard something to do before it serves anybody, and carries it out.
    pub(crate) fn prepare(&mut self, work: impl FnOnce(&mut Shard, &mut Turn<'_>)) {
        let mut turn = Turn { now: self.now, directory: &self.shared.directory, fx: &mut self.fx };
        work(&mut self.shard, &mut turn);
        self.carry_out();
    }

    /// Lets leave what waited for the journal.
    fn hear_of_commits(&mut self) {
        let waits = waits_for_journal(&self.shard);
        let Some(journal) = self.journal.as_ref().filter(|_| waits) else { return };
        let (written, durable) = journal.committed();
        let mut turn = Turn { now: self.now, directory: &self.shared.directory, fx: &mut self.fx };
        self.shard.committed(written, durable, &mut turn);
    }

    /// Lets memory go that a burst has left, if it is time: the room of lists, and then what the allocator keeps.
    fn settle(&mut self) {
        if !self.settling.is_time(self.now) {
            return;
        }
        self.sockets.give_back_room();
        self.fx.give_back_room();
        self.inbox.shrink_to(ROOM_KEPT);
        self.outboxes.iter_mut().for_each(|outbox| outbox.shrink_to(ROOM_KEPT));
        for list in [&mut self.to_read, &mut self.hellos] {
            list.shrink_to(ROOM_KEPT);
        }
        self.to_flush.shrink_to(ROOM_KEPT);
        self.blocked.shrink_to(ROOM_KEPT);
        self.ending.shrink_to(ROOM_KEPT);
        memory::release_freed();
    }

    fn heed_signals(&mut self) {
        let Some(front) = &mut self.front else { return };
        if front.signals.take_stop() {
            info!("stopping: clients are told, wills are published");
            self.is_told_to_stop = true;
            self.shared.stop_others(self.me);
        }
        let is_due = front.reloading.as_mut().is_some_and(|reloading| reloading.take_due(self.now));
        if front.signals.take_reload() || is_due {
            self.begin_reload();
        }
    }

    fn reload_soon(&mut self) {
        let reloading = self.front.as_mut().and_then(|front| front.reloading.as_mut());
        reloading.into_iter().for_each(|reloading| reloading.begin_soon(self.now));
    }

    /// Has the configuration read anew; what comes of it comes by mail.
    fn begin_reload(&mut self) {
        let Some(front) = &mut self.front else { return };
        match &mut front.reloading {
            Some(reloading) => reloading.begin(front.accepting.gates(), &self.shared),
            None => warn!("SIGHUP came, but there is no configuration to be read anew"),
        }
    }

    /// Has another configuration in force, if it was not refused.
    fn finish_reload(&mut self, reloaded: Option<Box<Reloaded>>) {
        let Some(front) = &mut self.front else { return };
        if let Some(reloaded) = reloaded {
            self.shared.set_access(reloaded.access.clone(), reloaded.attempts_per_minute_max);
            // New listeners are read before the mailbox is, and nobody may come in there by old settings.
            let mut turn = Turn { now: self.now, directory: &self.shared.directory, fx: &mut self.fx };
            self.shard.set_authority(self.shared.access(), &mut turn);
            self.shared.set_limits(&reloaded.limits, reloaded.drop_ledger_entries_max);
            self.shared.directory.set_user_rates(reloaded.user_rates);
            set_sys_interval(&mut front.sys, reloaded.sys_interval);
            front.accepting.reload(*reloaded, self.poll.registry());
            info!("the configuration has been reloaded");
        }
        if front.reloading.as_mut().is_some_and(Reloading::end) {
            self.begin_reload();
        }
    }

    /// Waits until something can be done.
    fn wait(&mut self, events: &mut Events) -> io::Result<()> {
        let mailbox = self.shared.mailbox(self.me);
        let mut timeout = self.time_to_wait();
        if timeout != Some(time::Duration::ZERO) && !mailbox.fall_asleep() {
            timeout = Some(time::Duration::ZERO);
        }
        self.poll(events, timeout)?;
        self.shared.mailbox(self.me).wake_up();
        let mut gone = Vec::new();
        for event in events.iter() {
            let token = event.token();
            self.front.iter_mut().for_each(|front| front.accepting.notice(token));
            let Some(socket) = self.sockets.by_token(token) else { continue };
            let id = socket.id;
            // Nobody reads a connection whose CONNECT is held, so nobody else would notice.
            if socket.next == Next::Held && (event.is_error() || event.is_write_closed()) {
                gone.push(id);
            }
            if event.is_writable() && socket.wants_write() {
                self.to_flush.push(id);
            }
            if event.is_readable() || event.is_read_closed() || event.is_error() {
                socket.is_readable = true;
                socket.is_read_closed |= event.is_read_closed() || event.is_error();
                queue(&mut self.to_read, socket);
            }
        }
        gone.into_iter()
            .for_each(|id| self.lose(id, "the client closed the connection before it was let in"));
        Ok(())
    }

    /// Waits for events and looks at the clock. A signal may end the wait early.
    fn poll(&mut self, events: &mut Events, timeout: Option<time::Duration>) -> io::Result<()> {
        let polled = self.poll.poll(events, timeout);
        self.now = self.clock();
        match polled {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {
                events.clear();
                Ok(())
            }
            polled => polled,
        }
    }

    fn clock(&self) -> Instant {
        self.shared.now()
    }

    fn time_to_wait(&self) -> Option<time::Duration> {
        let front = self.front.as_ref();
        let has_work = !self.to_read.is_empty()
            || !self.hellos.is_empty()
            || !self.to_flush.is_empty()
            || !self.inbox.is_empty()
            || !self.fx.is_empty()
            || self.shard.has_to_restate()
            || front.is_some_and(|front| front.accepting.has_work());
        if has_work {
            return Some(time::Duration::ZERO);
        }
        let accepting = front.and_then(|front| front.accepting.next_try());
        let sys = front.and_then(|front| front.sys.as_ref()).map(SysRounds::next);
        let reload = front.and_then(|front| front.reloading.as_ref()?.due());
        let ending = self.ending.front().map(|(at, _)| *at);
        let waiting = self.waiting.keys().next().copied();
        // Nobody tells when mail has become less, which is rare and takes a while.
        let blocked = (!self.blocked.is_empty()).then(|| self.now + BLOCKED_MILLIS);
        let own = [waiting, blocked, self.shard.next_timeout(), self.settling.due()];
        let due = [accepting, sys, reload, ending].into_iter().chain(own);
        let due = due.flatten().min()?;
        // One millisecond more than the difference, because both clocks are cut to whole ones.
        Some(time::Duration::from_millis((due.as_millis() + 1).saturating_sub(self.clock().as_millis())))
    }

    fn accept(&mut self) {
        let Some(front) = &mut self.front else { return };
        for accepted in front.accepting.accept(self.now, &self.shared) {
            let Accepted { stream, peer, gate, refusal, meters, queues } = accepted;
            let Some(id) = self.insert(Moving::new(stream, gate.number)) else { continue };
            if let Some(socket) = self.sockets.get_mut(id) {
                socket.is_to_be_identified = gate.asks_certificates;
            }
            let arrival = Arrival {
                address: peer.to_string().into(),
                listener: gate.name.clone(),
                terms: Arc::clone(&gate.terms),
                refusal,
                meters,
                queues,
            };
            let mut turn = Turn { now: self.now, directory: &self.shared.directory, fx: &mut self.fx };
            self.shard.arrive(id, arrival, &mut turn);
        }
    }

    /// Gives a socket a name and watches it.
    fn insert(&mut self, socket: Moving) -> Option<ConnectionId> {
        let id = self.sockets.insert(socket);
        let socket = self.sockets.get_mut(id)?;
        let interests = Interest::READABLE | Interest::WRITABLE;
        match socket.stream.register(self.poll.registry(), Socket::token(id), interests) {
            Ok(()) => Some(id),
            Err(cause) => {
                error!(%cause, "a connection cannot be watched");
                self.remove(id);
                None
            }
        }
    }

    fn remove(&mut self, id: ConnectionId) {
        self.settling.work(self.now);
        if self.sockets.get_mut(id).is_some_and(|socket| socket.next == Next::Held) {
            self.shared.passwords.forget(self.me, id);
        }
        if let Some(listener) = self.sockets.remove(id) {
            self.shared.end_serving(listener);
        }
    }

    /// Gives a connection to the shard where its client is at home, with every byte that is not used up.
    fn move_away(&mut self, id: ConnectionId, home: ShardId) {
        let (Some(mut socket), Some(handover)) = (self.sockets.take(id), self.shard.hand_over(id)) else {
            return;
        };
        if let Err(cause) = socket.stream.deregister(self.poll.registry()) {
            error!(%cause, "a connection cannot be moved");
            return self.shared.end_serving(socket.listener);
        }
        self.outboxes[usize::from(home.0)].push(Parcel::Connection(Box::new((socket, handover))));
    }

    /// Takes a connection whose client is at home here.
    fn take_in(&mut self, socket: Moving, handover: Handover) {
        let Some(id) = self.insert(socket) else { return };
        let mut turn = Turn { now: self.now, directory: &self.shared.directory, fx: &mut self.fx };
        self.shard.take_in(id, handover, &mut turn);
        if let Some(socket) = self.sockets.get_mut(id) {
            // Its filters may know of more than the kernel does.
            socket.is_readable = true;
            socket.next = Next::Yield;
            queue(&mut self.to_read, socket);
        }
    }

    /// Lets connections be read again whose allowance has grown, or that were blocked.
    fn end_waits(&mut self) {
        while let Some(first) = self.waiting.first_entry().filter(|first| *first.key() <= self.now) {
            for id in first.remove() {
                if let Some(socket) = self.sockets.get_mut(id) {
                    socket.next = Next::Yield;
                    queue(&mut self.to_read, socket);
                }
            }
        }
        for id in std::mem::take(&mut self.blocked) {
            if let Some(socket) = self.sockets.get_mut(id) {
                socket.next = Next::Yield;
                queue(&mut self.to_read, socket);
            }
        }
    }

    fn read_sockets(&mut self) {
        for _ in 0..self.to_read.len().min(READS_PER_TURN) {
            let Some(id) = self.to_read.pop_front() else { return };
            if let Err(cause) = self.read_socket(id) {
                self.fail(id, &cause);
            }
            if let Some(Next::Move(home)) = self.sockets.get_mut(id).map(|socket| socket.next) {
                self.move_away(id, home);
            }
        }
    }

    /// Reads once, and gives the shard what there is.
    fn read_socket(&mut self, id: ConnectionId) -> io::Result<()> {
        let Some(socket) = self.sockets.get_mut(id) else { return Ok(()) };
        socket.is_queued = false;
        if socket.is_ending {
            return self.discard(id);
        }
        if socket.next == Next::Yield {
            // What waited for the last turn goes first.
            self.give_unread(id);
            return Ok(());
        }
        if socket.next != Next::Read || !socket.is_readable || socket.is_greeting {
            return Ok(());
        }
        if socket.is_long() && self.shared.is_memory_short() {
            self.lose(id, "the packet it sends does not fit into memory (limits.memory_bytes_max)");
            return Ok(());
        }
        // A long packet is read to its end and no further, so that its bytes can be kept as they are.
        let length_max = socket.missing_bytes().map_or(READ_BYTES, |missing| missing.min(READ_BYTES));
        match socket.stream.read(&mut self.read_buffer[..length_max])? {
            Read::WouldBlock => socket.is_readable = false,
            Read::Closed => self.lose(id, "the client closed the connection without DISCONNECT"),
            Read::Hello => {
                socket.is_greeting = true;
                self.hellos.push_back(id);
            }
            Read::Bytes { length, more } => {
                // After a short read the kernel has nothing more, unless the peer has ended the stream.
                socket.is_readable = more || socket.is_read_closed;
                let is_to_be_identified = length > 0 && std::mem::take(&mut socket.is_to_be_identified);
                if length == 0 {
                    // Only TLS or WebSocket was spoken.
                    if socket.is_readable {
                        queue(&mut self.to_read, socket);
                    }
                    return Ok(());
                }
                if socket.pauses.hear(self.now) && length <= HELD_BACK_BYTES_MAX {
                    socket.stream.acknowledge_at_once();
                }
                let is_first = !socket.has_unread();
                if is_to_be_identified {
                    self.identify(id)?;
                }
                match is_first {
                    true => self.give_read(id, length),
                    false => self.add_read(id, length),
                }
            }
        }
        Ok(())
    }

    /// Tells the shard who a client's certificate says it is, before anything that the client itself says.
    fn identify(&mut self, id: ConnectionId) -> io::Result<()> {
        let Some(socket) = self.sockets.get_mut(id) else { return Ok(()) };
        let identity = socket.stream.peer_identity().map_err(io::Error::other)?;
        if let (Some(identity), Some(origin)) = (identity, self.shard.origin_mut(id)) {
            origin.certificate = Some(Arc::new(certificate(&identity)));
        }
        Ok(())
    }

    /// Answers one TLS client. An answer costs a private-key operation, with an RSA key of 2,048 bits about a
    /// millisecond; between two of them everybody else is served, which is what a turn does.
    fn answer_hello(&mut self) {
        while let Some(id) = self.hellos.pop_front() {
            let Some(socket) = self.sockets.get_mut(id) else { continue };
            socket.is_greeting = false;
            match socket.stream.answer_hello() {
                Ok(()) => queue(&mut self.to_read, socket),
                Err(cause) => self.fail(id, &cause),
            }
            return;
        }
    }

    /// Gives the shard what has just been read; only what is left over is copied.
    fn give_read(&mut self, id: ConnectionId, length: usize) {
        let buffer = std::mem::take(&mut self.read_buffer);
        let consumed = self.give(id, &buffer[..length]);
        self.keep_unread(id, buffer[consumed..length].to_vec());
        self.read_buffer = buffer;
    }

    /// Gives the shard what was left over and what has just been read, unless that is a part of a long packet.
    fn add_read(&mut self, id: ConnectionId, length: usize) {
        let Some(socket) = self.sockets.get_mut(id) else { return };
        socket.add_unread(&self.read_buffer[..length]);
        if socket.is_heard() {
            self.shard.hear_part(id, self.now);
        }
        match socket.missing_bytes() {
            Some(missing) if missing > 0 && socket.is_readable => queue(&mut self.to_read, socket),
            Some(missing) if missing > 0 => {}
            _ => self.give_unread(id),
        }
    }

    /// Gives the shard what was left over. A long packet that grows stays where it is.
    fn give_unread(&mut self, id: ConnectionId) {
        let Some(socket) = self.sockets.get_mut(id) else { return };
        let is_packet = socket.missing_bytes() == Some(0);
        let mut unread = socket.take_unread();
        if is_packet {
            return self.give_packet(id, unread);
        }
        let consumed = self.give(id, &unread);
        match consumed < unread.len() {
            true => drop(unread.drain(..consumed)),
            false => unread = Vec::new(),
        }
        self.keep_unread(id, unread);
    }

    /// Gives the shard a long packet, whose bytes it may keep.
    fn give_packet(&mut self, id: ConnectionId, packet: Vec<u8>) {
        let packet = Arc::new(packet);
        let mut turn = Turn { now: self.now, directory: &self.shared.directory, fx: &mut self.fx };
        let received = self.shard.receive_packet(id, &packet, &mut turn);
        let consumed = self.heed(id, received, packet.len());
        let Some(socket) = self.sockets.get_mut(id).filter(|_| consumed == 0) else {
            return self.keep_unread(id, Vec::new());
        };
        // It is given again later, as it is.
        if let Ok(packet) = Arc::try_unwrap(packet) {
            socket.keep_packet(packet);
        }
    }

    /// Keeps what the shard has not used up.
    fn keep_unread(&mut self, id: ConnectionId, unread: Vec<u8>) {
        let Some(socket) = self.sockets.get_mut(id) else { return };
        let is_beginning = socket.next == Next::Read && !unread.is_empty();
        match self.shard.packet_bytes(id, &unread).filter(|_| is_beginning) {
            Some(bytes) => socket.keep_beginning(unread, bytes, &self.shared.directory.memory),
            None => socket.keep_unread(unread),
        }
    }

    /// Gives the shard bytes and does what it wants next; says how many of them it used up.
    fn give(&mut self, id: ConnectionId, bytes: &[u8]) -> usize {
        let mut turn = Turn { now: self.now, directory: &self.shared.directory, fx: &mut self.fx };
        let received = self.shard.receive(id, bytes, &mut turn);
        self.heed(id, received, bytes.len())
    }

    /// Does what the shard wants with a connection; says how many of the bytes it was given are used up.
    fn heed(&mut self, id: ConnectionId, Received { consumed, next }: Received, bytes: usize) -> usize {
        let Some(socket) = self.sockets.get_mut(id) else { return bytes };
        socket.next = next;
        match next {
            Next::Yield => queue(&mut self.to_read, socket),
            Next::Read if socket.is_readable => queue(&mut self.to_read, socket),
            Next::Flush => self.to_flush.push(id),
            Next::Wait(until) => self.waiting.entry(until).or_default().push(id),
            Next::Blocked => self.blocked.push(id),
            // What follows the end of a connection is nobody's.
            Next::Close => return bytes,
            Next::Read | Next::Held | Next::Move(_) => {}
        }
        consumed
    }

    /// A password has been checked: CONNECT is given again, if it still waits.
    fn go_on_with_connect(&mut self, id: ConnectionId, answer: CheckAnswer) {
        let waits = self.shard.answer_check(id, answer);
        if let Some(socket) = self.sockets.get_mut(id).filter(|_| waits) {
            socket.next = Next::Yield;
            queue(&mut self.to_read, socket);
        }
    }

    /// Throws away what a connection still sends, so that the kernel does not answer it with a reset that
    /// overtakes our last packet.
    fn discard(&mut self, id: ConnectionId) -> io::Result<()> {
        let Some(socket) = self.sockets.get_mut(id) else { return Ok(()) };
        match socket.stream.read(&mut self.read_buffer)? {
            Read::Closed | Read::Hello => self.remove(id),
            Read::Bytes { .. } => queue(&mut self.to_read, socket),
            Read::WouldBlock => socket.is_readable = false,
        }
        Ok(())
    }

    fn receive_parcels(&mut self) {
        self.shared.mailbox(self.me).take(&mut self.inbox);
        let mut bytes = 0;
        for _ in 0..self.inbox.len().min(PARCELS_PER_TURN) {
            if self.fx.is_turn_full() {
                break;
            }
            let Some(parcel) = self.inbox.pop_front() else { break };
            match parcel {
                Parcel::Mail(mail) => {
                    bytes += mail.bytes();
                    let mut turn =
                        Turn { now: self.now, directory: &self.shared.directory, fx: &mut self.fx };
                    self.shard.receive_mail(mail, &mut turn);
                }
                Parcel::Connection(arrival) => self.take_in(arrival.0, arrival.1),
                Parcel::AskStats(from) => {
                    let stats = Box::new(self.shard.stats());
                    self.outboxes[usize::from(from.0)].push(Parcel::Stats(stats));
                }
                Parcel::Stats(stats) => self.add_stats(&stats),
                Parcel::Checked(checked) => self.go_on_with_connect(checked.0, checked.1),
                Parcel::Access(access) => {
                    let mut turn =
                        Turn { now: self.now, directory: &self.shared.directory, fx: &mut self.fx };
                    self.shard.set_authority(access, &mut turn);
                }
                // The turn looks how far the journal is.
                Parcel::Committed => {}
                Parcel::Contents(contents) => {
                    let (subscriber, contents) = *contents;
                    let mut turn =
                        Turn { now: self.now, directory: &self.shared.directory, fx: &mut self.fx };
                    self.shard.receive_contents(subscriber, contents, &mut turn);
                }
                Parcel::Unreadable(subscriber) => {
                    let mut turn =
                        Turn { now: self.now, directory: &self.shared.directory, fx: &mut self.fx };
                    self.shard.delay_contents(subscriber, &mut turn);
                }
                Parcel::Restate(before) => self.shard.restate(before),
                Parcel::Places(places) => self.shard.receive_places(places),
                Parcel::FilesChanged => self.reload_soon(),
                Parcel::Reloaded(reloaded) => self.finish_reload(reloaded),
                Parcel::Limits(limits) => self.shard.set_limits(limits, self.now),
                Parcel::Stop => self.is_told_to_stop = true,
                Parcel::LastWills => self.wills_missing = self.wills_missing.saturating_sub(1),
            }
        }
        if bytes > 0 {
            self.shared.directory.mail.handled(self.me, bytes);
        }
    }

    fn handle_timeouts(&mut self) {
        let mut turn = Turn { now: self.now, directory: &self.shared.directory, fx: &mut self.fx };
        self.shard.handle_timeouts(&mut turn);
    }

    /// Begins a round of `$SYS` when it is due: every shard is asked what it has counted.
    fn publish_sys(&mut self) {
        let Some(rounds) = self.front.as_mut().and_then(|front| front.sys.as_mut()) else { return };
        if !rounds.begin(self.now, self.shared.shards()) {
            return;
        }
        for shard in self.shared.others(self.me) {
            self.outboxes[usize::from(shard.0)].push(Parcel::AskStats(self.me));
        }
        self.add_stats(&self.shard.stats());
    }

    /// Counts in what a shard has counted, and publishes the sum when it was the last one.
    fn add_stats(&mut self, stats: &noctule_engine::Stats) {
        let Some(rounds) = self.front.as_mut().and_then(|front| front.sys.as_mut()) else { return };
        let said = rounds.add(stats, &self.shared.directory);
        let mut turn = Turn { now: self.now, directory: &self.shared.directory, fx: &mut self.fx };
        for (topic, value) in said {
            self.shard.publish_own(&topic, value.as_bytes(), true, &mut turn);
        }
    }

    /// Carries out what the shard decided.
    fn carry_out(&mut self) {
        let mut carried = Carried {
            me: self.me,
            parcels: &mut self.outboxes,
            journal: self.journal.as_deref(),
            scratch: &mut self.record_scratch,
            has_appended: false,
        };
        let mut turn = Turn { now: self.now, directory: &self.shared.directory, fx: &mut self.fx };
        self.shard.end_turn(&mut carried, &mut turn);
        let has_appended = carried.has_appended;
        if let Some(journal) = &self.journal
            && (has_appended || waits_for_journal(&self.shard))
        {
            journal.ring(self.me, &self.shard);
        }
        self.send_parcels();
        self.to_flush.append(&mut self.fx.dirty);
        for check in self.fx.checks.drain(..) {
            PasswordPool::check(&self.shared, self.me, check);
        }
        if !self.fx.drops.is_empty() || !self.fx.events.is_empty() {
            let mut ledger = self.shared.ledger();
            ledger.record(&mut self.fx.drops);
            ledger.log(&mut self.fx.events, time::Instant::now());
        }
    }

    /// Hands each shard what is for it, in one go.
    fn send_parcels(&mut self) {
        for (place, outbox) in self.outboxes.iter_mut().enumerate().filter(|(_, outbox)| !outbox.is_empty()) {
            let shard = ShardId(u16::try_from(place).expect("shards are counted in 16 bits"));
            let bytes = outbox.iter().map(Parcel::mail_bytes).sum();
            self.shared.directory.mail.sent(shard, bytes);
            if shard == self.me {
                self.inbox.extend(outbox.drain(..));
            } else {
                self.shared.mailbox(shard).put(outbox.drain(..));
            }
        }
    }

    fn flush_connections(&mut self) {
        if !self.to_flush.is_empty() {
            self.settling.work(self.now);
        }
        for id in std::mem::take(&mut self.to_flush) {
            if let Err(cause) = self.flush_connection(id) {
                self.lose(id, &cause.to_string());
            }
        }
    }

    /// Sends what a connection has to send, as far as the kernel takes it.
    fn flush_connection(&mut self, id: ConnectionId) -> io::Result<()> {
        let Some(socket) = self.sockets.get_mut(id) else { return Ok(()) };
        if !socket.stream.flush()? {
            return Ok(());
        }
        if socket.has_unsent() && socket.send_rest()? == Sent::Some {
            self.to_flush.push(id);
            return Ok(());
        }
        if socket.has_unsent() || socket.is_ending {
            return self.end_when_sent(id);
        }
        self.scratch.clear();
        let mut turn = Turn { now: self.now, directory: &self.shared.directory, fx: &mut self.fx };
        let flush = self.shard.flush(id, FLUSH_BYTES, &mut self.scratch, &mut turn);
        socket.send(&self.scratch)?;
        self.scratch.shrink_to(FLUSH_BYTES);
        if socket.next == Next::Flush && self.shard.wants_input(id) {
            socket.next = Next::Yield;
            queue(&mut self.to_read, socket);
        }
        match flush {
            Flush::More if !socket.has_unsent() => self.to_flush.push(id),
            Flush::More | Flush::Done => {}
            Flush::Payload(message) => {
                socket.send_payload(message);
                self.to_flush.push(id);
            }
            Flush::Close => {
                self.shard.forget(id);
                socket.is_ending = true;
                self.shared.end_serving(socket.listener);
                self.ending.push_back((self.now + ENDING_MILLIS_MAX, id));
                return self.end_when_sent(id);
            }
        }
        Ok(())
    }

    /// Ends sending on a connection whose last byte the kernel has taken.
    fn end_when_sent(&mut self, id: ConnectionId) -> io::Result<()> {
        let Some(socket) = self.sockets.get_mut(id) else { return Ok(()) };
        if !socket.is_ending || socket.has_unsent() {
            return Ok(());
        }
        socket.keep_unread(Vec::new());
        socket.stream.shutdown()?;
        socket.is_readable = true;
        queue(&mut self.to_read, socket);
        Ok(())
    }

    /// A connection broke. If its client speaks TLS or WebSocket in a way that we do not, the log says so.
    fn fail(&mut self, id: ConnectionId, cause: &io::Error) {
        let text = cause.to_string();
        if cause.kind() == io::ErrorKind::InvalidData {
            let mut turn = Turn { now: self.now, directory: &self.shared.directory, fx: &mut self.fx };
            self.shard.refused_below(id, &text, &mut turn);
        }
        self.lose(id, &text);
    }

    /// The connection is gone; the shard decides what that means.
    fn lose(&mut self, id: ConnectionId, cause: &str) {
        let mut turn = Turn { now: self.now, directory: &self.shared.directory, fx: &mut self.fx };
        self.shard.lost(id, cause, &mut turn);
        self.remove(id);
    }

    /// Closes connections whose peers did not close in time.
    fn close_ended(&mut self) {
        while self.ending.front().is_some_and(|(at, _)| *at <= self.now) {
            let Some((_, id)) = self.ending.pop_front() else { return };
            self.remove(id);
        }
    }

    /// Stops in order: nobody is accepted or read any more, wills are published, everybody gets what waits
    /// and a goodbye, as far as they read it in time.
    fn stop(&mut self, events: &mut Events) -> io::Result<()> {
        self.front.iter_mut().for_each(|front| front.accepting.close());
        let deadline = self.now + STOP_MILLIS_MAX;
        if self.journal.is_none() {
            self.publish_last_wills();
        }
        while self.journal.is_none() && self.wills_missing > 0 && self.now < deadline {
            self.rest_while_stopping(events)?;
            self.receive_parcels();
            self.carry_out();
            self.flush_connections();
        }
        while waits_for_journal(&self.shard) && self.now < deadline {
            self.rest_while_stopping(events)?;
            self.receive_parcels();
            self.hear_of_commits();
            self.carry_out();
            self.flush_connections();
        }
        let mut turn = Turn { now: self.now, directory: &self.shared.directory, fx: &mut self.fx };
        self.shard.shut_down(self.journal.is_some(), &mut turn);
        let mut unfinished = self.sockets.ids();
        while !unfinished.is_empty() && self.now < deadline {
            self.receive_parcels();
            self.carry_out();
            self.flush_connections();
            unfinished.retain(|id| self.sockets.get_mut(*id).is_some_and(|socket| socket.wants_write()));
            if !unfinished.is_empty() || !self.to_flush.is_empty() || !self.inbox.is_empty() {
                self.rest_while_stopping(events)?;
                self.to_flush.extend(&unfinished);
            }
        }
        Ok(())
    }

    /// Publishes the wills of this shard, and says so behind them to every other one.
    fn publish_last_wills(&mut self) {
        let mut turn = Turn { now: self.now, directory: &self.shared.directory, fx: &mut self.fx };
        self.shard.fire_last_wills(&mut turn);
        self.carry_out();
        for shard in self.shared.others(self.me) {
            self.shared.mailbox(shard).put([Parcel::LastWills]);
        }
    }

    fn rest_while_stopping(&mut self, events: &mut Events) -> io::Result<()> {
        self.poll(events, Some(time::Duration::from_millis(STOP_POLL_MILLIS)))
    }
}

/// Appends the records of a turn, and collects its mail by receiver.
struct Carried<'a> {
    me: ShardId,
    parcels: &'a mut [Vec<Parcel>],
    journal: Option<&'a Journal>,
    scratch: &'a mut Scratch,
    has_appended: bool,
}

impl Carrier for Carried<'_> {
    fn append(&mut self, records: &mut Vec<Record>) -> Position {
        let Some(journal) = self.journal else {
            // With durability `memory` nothing is remembered, and nothing waits.
            records.clear();
            return Position::NOWHERE;
        };
        self.has_appended = true;
        journal.append(records, self.scratch)
    }

    fn ask(&mut self, requests: std::vec::Drain<'_, Request>) {
        for request in requests {
            self.journal.iter().for_each(|journal| journal.ask(self.me, request.clone()));
        }
    }

    fn send(&mut self, mail: std::vec::Drain<'_, (ShardId, Mail)>) {
        for (home, mail) in mail {
            self.parcels[usize::from(home.0)].push(Parcel::Mail(mail));
        }
    }
}

fn set_sys_interval(sys: &mut Option<SysRounds>, interval: Option<time::Duration>) {
    match (sys.as_mut(), interval) {
        (Some(rounds), Some(interval)) => rounds.set_interval(interval),
        (_, interval) => *sys = interval.map(SysRounds::new),
    }
}

/// What the decisions about a client know of its certificate.
fn certificate(identity: &PeerIdentity) -> Certificate {
    Certificate {
        common_name: identity.common_name.as_deref().map(Into::into),
        subject: (!identity.subject.is_empty()).then(|| identity.subject.as_str().into()),
        alternative_names: identity.alternative_names().map(Into::into).collect(),
        fingerprint: identity.fingerprint_hex().into(),
    }
}

/// Whether a shard is to be told how far the journal is.
fn waits_for_journal(shard: &Shard) -> bool {
    [Durability::Os, Durability::Disk].into_iter().any(|level| shard.waits_for(level).is_some())
}

/// Puts a socket on the list of those to read, once.
fn queue(to_read: &mut VecDeque<ConnectionId>, socket: &mut Socket) {
    if !socket.is_queued {
        socket.is_queued = true;
        to_read.push_back(socket.id);
    }
}

/// The token of the mailbox's waker.
pub(crate) const MAILBOX: Token = Token(2);
const EVENTS_PER_TURN: usize = 1024;
const READS_PER_TURN: usize = 1024;
const PARCELS_PER_TURN: usize = 4096;
/// What a list holds at most when a burst is over, if it does not have to hold more.
const ROOM_KEPT: usize = 256;
/// One read takes at most this, which bounds what one connection does in a turn.
const READ_BYTES: usize = 64 << 10;
/// What a kernel holds back is less than a segment.
const HELD_BACK_BYTES_MAX: usize = 1500;
/// One flush encodes about this much.
const FLUSH_BYTES: usize = 128 << 10;
/// A connection that has been told its end has this long to read it and close.
const ENDING_MILLIS_MAX: u64 = 2_000;
/// Whoever is blocked by too much mail is tried again so often.
const BLOCKED_MILLIS: u64 = 1;
/// A stop waits this long for clients that do not read.
const STOP_MILLIS_MAX: u64 = 3_000;
const STOP_POLL_MILLIS: u64 = 5;
const _: () = assert!(FIRST_LISTENER < FIRST_TOKEN, "listeners and connections have tokens of their own");

#[cfg(test)]
mod tests;
