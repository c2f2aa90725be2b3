//! The turn: one bounded round of everything the shard has to do.

use crate::config::Config;
use crate::ledger::Ledger;
use crate::signals::Signals;
use crate::sockets::{FIRST_TOKEN, Socket, Sockets};
use crate::sys::{Held, Sys};
use mio::event::Source as _;
use mio::{Events, Interest, Poll, Token};
use noctule_auth::AllowAll;
use noctule_engine::{Directory, Effects, Flush, Mail, Next, Received, Shard, ShardConfig, ShardId, Turn};
use noctule_session::{ConnectionId, Instant};
use noctule_transport::{AcceptError, Listener, Read};
use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::sync::Arc;
use std::time;
use tracing::{error, info, warn};

/// The shard with its sockets.
pub(crate) struct Runtime {
    poll: Poll,
    signals: Signals,
    listeners: Vec<Listening>,
    sockets: Sockets,
    shard: Shard,
    directory: Directory,
    fx: Effects,
    mailbox: VecDeque<Mail>,
    /// Sockets to read, or whose unread bytes are to be tried again.
    to_read: VecDeque<ConnectionId>,
    /// Connections to flush.
    to_flush: Vec<ConnectionId>,
    /// Connections that are not read before then.
    waiting: BTreeMap<Instant, Vec<ConnectionId>>,
    /// Sockets that close at the latest then.
    ending: VecDeque<(Instant, ConnectionId)>,
    sys: Option<SysRounds>,
    ledger: Ledger,
    connections_max: usize,
    /// How many connections may still be accepted, where their rate is limited.
    accepts: Option<Accepts>,
    surplus: u64,
    read_buffer: Vec<u8>,
    scratch: Vec<u8>,
    started: time::Instant,
    now: Instant,
}

struct Listening {
    listener: Listener,
    is_readable: bool,
    /// Out of open files: try again then.
    paused_until: Option<Instant>,
}

/// Connections accepted, at most so many a second.
struct Accepts {
    per_second: u32,
    left: u32,
    since: Instant,
}

struct SysRounds {
    sys: Sys,
    interval_millis: u64,
    next: Instant,
}

impl Runtime {
    /// A runtime with its listeners, ready to run.
    pub(crate) fn new(
        config: Config,
        listeners: Vec<Listener>,
        mut signals: Signals,
        connections_max: usize,
    ) -> io::Result<Self> {
        let poll = Poll::new()?;
        signals.register(poll.registry(), STOP, RELOAD)?;
        let mut listening = Vec::new();
        for (place, mut listener) in listeners.into_iter().enumerate() {
            listener.register(poll.registry(), Token(FIRST_LISTENER + place), Interest::READABLE)?;
            listening.push(Listening { listener, is_readable: true, paused_until: None });
        }
        let started = time::Instant::now();
        let now = Instant::from_millis(0);
        let sys = config.sys_interval.map(|interval| SysRounds {
            sys: Sys::new(started),
            interval_millis: u64::try_from(interval.as_millis()).unwrap_or(u64::MAX),
            next: now,
        });
        let shard_config = ShardConfig { id: ShardId(0), shards: 1, seed: seed() };
        Ok(Self {
            poll,
            signals,
            listeners: listening,
            sockets: Sockets::default(),
            shard: Shard::new(shard_config, Arc::new(config.limits), Arc::new(AllowAll)),
            directory: Directory::default(),
            fx: Effects::default(),
            mailbox: VecDeque::new(),
            to_read: VecDeque::new(),
            to_flush: Vec::new(),
            waiting: BTreeMap::new(),
            ending: VecDeque::new(),
            sys,
            ledger: Ledger::new(config.drop_ledger_entries_max, started),
            connections_max,
            accepts: config.connects_per_second_max.map(|per_second| Accepts::new(per_second, now)),
            surplus: 0,
            read_buffer: vec![0; READ_BYTES],
            scratch: Vec::with_capacity(FLUSH_BYTES),
            started,
            now,
        })
    }

    /// Works until the broker is told to stop, then stops in order.
    pub(crate) fn run(&mut self) -> io::Result<()> {
        let mut events = Events::with_capacity(EVENTS_PER_TURN);
        loop {
            self.wait(&mut events)?;
            if self.signals.take_stop() {
                info!("stopping: clients are told, wills are published");
                return self.stop(&mut events);
            }
            if self.signals.take_reload() {
                warn!("SIGHUP came, but reloading is not there yet; restart to change the configuration");
            }
            self.turn();
        }
    }

    /// One turn. What a client is told in it (the promises) leaves only after everything that was promised
    /// has been kept, and nothing is visible to others before that either.
    fn turn(&mut self) {
        self.accept();
        self.end_waits();
        self.read_sockets();
        self.receive_mail();
        self.handle_timeouts();
        self.publish_sys();
        self.carry_out();
        self.flush_connections();
        self.carry_out();
        self.close_ended();
    }

    /// Waits until something can be done.
    fn wait(&mut self, events: &mut Events) -> io::Result<()> {
        let timeout = self.time_to_wait();
        match self.poll.poll(events, timeout) {
            Err(error) if error.kind() != io::ErrorKind::Interrupted => return Err(error),
            _ => {}
        }
        self.now = self.clock();
        for event in events.iter() {
            let token = event.token();
            if let Some(listening) = self.listeners.get_mut(token.0.wrapping_sub(FIRST_LISTENER)) {
                listening.is_readable = true;
            }
            let Some(socket) = self.sockets.by_token(token) else { continue };
            let id = socket.id;
            if event.is_writable() && !socket.unsent.is_empty() {
                self.to_flush.push(id);
            }
            if event.is_readable() || event.is_read_closed() || event.is_error() {
                socket.is_readable = true;
                socket.is_read_closed |= event.is_read_closed() || event.is_error();
                queue(&mut self.to_read, socket);
            }
        }
        Ok(())
    }

    /// The time since the start; the only place where the broker looks at the clock for the shard.
    fn clock(&self) -> Instant {
        Instant::from_millis(u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX))
    }

    fn time_to_wait(&self) -> Option<time::Duration> {
        let has_work = !self.to_read.is_empty()
            || !self.to_flush.is_empty()
            || !self.mailbox.is_empty()
            || !self.fx.is_empty()
            || self
                .listeners
                .iter()
                .any(|listening| listening.is_readable && listening.paused_until.is_none());
        if has_work {
            return Some(time::Duration::ZERO);
        }
        let paused = self.listeners.iter().filter_map(|listening| listening.paused_until);
        let sys = self.sys.as_ref().map(|rounds| rounds.next);
        let ending = self.ending.front().map(|(at, _)| *at);
        let waiting = self.waiting.keys().next().copied();
        let due = paused.chain(self.shard.next_timeout()).chain(sys).chain(ending).chain(waiting).min()?;
        // One millisecond more than the difference, because both clocks are cut to whole ones.
        Some(time::Duration::from_millis((due.as_millis() + 1).saturating_sub(self.clock().as_millis())))
    }

    fn accept(&mut self) {
        for place in 0..self.listeners.len() {
            for _ in 0..ACCEPTS_PER_TURN {
                let listening = &mut self.listeners[place];
                if listening.paused_until.is_some_and(|until| until > self.now) || !listening.is_readable {
                    break;
                }
                listening.paused_until = self.accepts.as_mut().and_then(|accepts| accepts.pause(self.now));
                if listening.paused_until.is_some() {
                    break;
                }
                match listening.listener.accept() {
                    Ok(Some((stream, address))) => {
                        self.accepts.iter_mut().for_each(|accepts| accepts.left -= 1);
                        self.open(stream, &address.to_string());
                    }
                    Ok(None) => listening.is_readable = false,
                    Err(AcceptError::Exhausted(cause)) => {
                        warn!(%cause, "no connection can be accepted for now: out of open files");
                        listening.paused_until = Some(self.now + ACCEPT_PAUSE_MILLIS);
                    }
                    Err(AcceptError::Broken(cause)) => {
                        error!(%cause, address = %listening.listener.local_addr(), "a listener failed");
                        listening.paused_until = Some(self.now + ACCEPT_PAUSE_MILLIS);
                    }
                }
            }
        }
    }

    fn open(&mut self, stream: noctule_transport::Stream, address: &str) {
        let is_surplus = self.sockets.served() >= self.connections_max;
        if is_surplus {
            self.surplus += 1;
            if self.surplus.is_power_of_two() {
                warn!(refused = self.surplus, "connections are refused: limits.connections_max is reached");
            }
            // A few are told by CONNACK; beyond that there is no file to spare for politeness.
            if self.sockets.served() >= self.connections_max + SURPLUS_CONNECTIONS {
                return;
            }
        }
        let id = self.sockets.insert(stream);
        let Some(socket) = self.sockets.get_mut(id) else { return };
        let interests = Interest::READABLE | Interest::WRITABLE;
        if let Err(cause) = socket.stream.register(self.poll.registry(), Socket::token(id), interests) {
            error!(%cause, "a connection cannot be watched");
            return self.sockets.remove(id);
        }
        let mut turn = Turn { now: self.now, directory: &self.directory, fx: &mut self.fx };
        self.shard.open(id, address, is_surplus, &mut turn);
    }

    /// Lets connections be read again whose allowance has grown.
    fn end_waits(&mut self) {
        while let Some(first) = self.waiting.first_entry().filter(|first| *first.key() <= self.now) {
            for id in first.remove() {
                if let Some(socket) = self.sockets.get_mut(id) {
                    socket.next = Next::Yield;
                    queue(&mut self.to_read, socket);
                }
            }
        }
    }

    fn read_sockets(&mut self) {
        for _ in 0..self.to_read.len().min(READS_PER_TURN) {
            let Some(id) = self.to_read.pop_front() else { return };
            if let Err(cause) = self.read_socket(id) {
                self.lose(id, &cause.to_string());
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
        if socket.next != Next::Read || !socket.is_readable {
            return Ok(());
        }
        if socket.is_long() && self.directory.memory.bytes() > self.shard.limits().memory_bytes_max {
            self.lose(id, "the packet it sends does not fit into memory (limits.memory_bytes_max)");
            return Ok(());
        }
        match socket.stream.read(&mut self.read_buffer)? {
            Read::WouldBlock => socket.is_readable = false,
            Read::Closed => self.lose(id, "the client closed the connection without DISCONNECT"),
            Read::Bytes(length) => {
                // After a short read the kernel has nothing more, unless the peer has ended the stream.
                socket.is_readable = length == self.read_buffer.len() || socket.is_read_closed;
                if socket.unread.is_empty() {
                    self.give_read(id, length);
                } else {
                    socket.unread.extend_from_slice(&self.read_buffer[..length]);
                    self.give_unread(id);
                }
            }
        }
        Ok(())
    }

    /// Gives the shard what has just been read; only what is left over is copied.
    fn give_read(&mut self, id: ConnectionId, length: usize) {
        let buffer = std::mem::take(&mut self.read_buffer);
        let consumed = self.give(id, &buffer[..length]);
        if let Some(socket) = self.sockets.get_mut(id) {
            socket.keep_unread(buffer[consumed..length].to_vec(), &self.directory.memory);
        }
        self.read_buffer = buffer;
    }

    /// Gives the shard what was left over. A long packet that grows stays where it is.
    fn give_unread(&mut self, id: ConnectionId) {
        let Some(socket) = self.sockets.get_mut(id) else { return };
        let mut unread = std::mem::take(&mut socket.unread);
        let consumed = self.give(id, &unread);
        let Some(socket) = self.sockets.get_mut(id) else { return };
        match consumed < unread.len() {
            true => drop(unread.drain(..consumed)),
            false => unread = Vec::new(),
        }
        socket.keep_unread(unread, &self.directory.memory);
    }

    /// Gives the shard bytes and does what it wants next; says how many of them it used up.
    fn give(&mut self, id: ConnectionId, bytes: &[u8]) -> usize {
        let mut turn = Turn { now: self.now, directory: &self.directory, fx: &mut self.fx };
        let Received { consumed, next } = self.shard.receive(id, bytes, &mut turn);
        let Some(socket) = self.sockets.get_mut(id) else { return bytes.len() };
        socket.next = next;
        match next {
            Next::Yield => queue(&mut self.to_read, socket),
            Next::Read if socket.is_readable => queue(&mut self.to_read, socket),
            Next::Flush => self.to_flush.push(id),
            Next::Wait(until) => self.waiting.entry(until).or_default().push(id),
            // What follows the end of a connection is nobody's.
            Next::Close => return bytes.len(),
            // With one shard every client is at home.
            Next::Read | Next::Move(_) => {}
        }
        consumed
    }

    /// Throws away what a connection still sends, so that the kernel does not answer it with a reset that
    /// overtakes our last packet.
    fn discard(&mut self, id: ConnectionId) -> io::Result<()> {
        let Some(socket) = self.sockets.get_mut(id) else { return Ok(()) };
        match socket.stream.read(&mut self.read_buffer)? {
            Read::Closed => self.sockets.remove(id),
            Read::Bytes(_) => queue(&mut self.to_read, socket),
            Read::WouldBlock => socket.is_readable = false,
        }
        Ok(())
    }

    fn receive_mail(&mut self) {
        for _ in 0..self.mailbox.len().min(MAIL_PER_TURN) {
            let Some(mail) = self.mailbox.pop_front() else { return };
            let mut turn = Turn { now: self.now, directory: &self.directory, fx: &mut self.fx };
            self.shard.receive_mail(mail, &mut turn);
        }
    }

    fn handle_timeouts(&mut self) {
        let mut turn = Turn { now: self.now, directory: &self.directory, fx: &mut self.fx };
        self.shard.handle_timeouts(&mut turn);
    }

    fn publish_sys(&mut self) {
        let Some(rounds) = &mut self.sys else { return };
        if rounds.next > self.now {
            return;
        }
        rounds.next = self.now + rounds.interval_millis;
        let held = Held {
            retained_messages: self.directory.retained.len() as u64,
            retained_bytes: self.directory.retained_bytes(),
        };
        let said = rounds.sys.round(&self.shard.stats(), held, time::Instant::now());
        let mut turn = Turn { now: self.now, directory: &self.directory, fx: &mut self.fx };
        for (topic, value) in said {
            self.shard.publish_own(&topic, value.as_bytes(), true, &mut turn);
        }
    }

    /// Carries out what the shard decided: record, make visible, mail, and only then keep promises.
    fn carry_out(&mut self) {
        loop {
            // The journal is not there yet: with durability `memory` a record has its place at once.
            self.fx.records.clear();
            for change in self.fx.take_changes() {
                self.directory.apply(change);
            }
            self.mailbox.extend(self.fx.mail.drain(..).map(|(_, mail)| mail));
            if self.fx.promises.is_empty() {
                break;
            }
            for promise in std::mem::take(&mut self.fx.promises) {
                let mut turn = Turn { now: self.now, directory: &self.directory, fx: &mut self.fx };
                self.shard.release(promise, &mut turn);
            }
        }
        self.to_flush.append(&mut self.fx.dirty);
        self.ledger.record(&mut self.fx.drops);
        self.ledger.log(&mut self.fx.events, time::Instant::now());
    }

    fn flush_connections(&mut self) {
        for id in std::mem::take(&mut self.to_flush) {
            if let Err(cause) = self.flush_connection(id) {
                self.lose(id, &cause.to_string());
            }
        }
    }

    /// Sends what a connection has to send, as far as the kernel takes it.
    fn flush_connection(&mut self, id: ConnectionId) -> io::Result<()> {
        let Some(socket) = self.sockets.get_mut(id) else { return Ok(()) };
        if !socket.unsent.is_empty() {
            socket.send_rest()?;
        }
        if !socket.unsent.is_empty() || socket.is_ending {
            return self.end_when_sent(id);
        }
        self.scratch.clear();
        let mut turn = Turn { now: self.now, directory: &self.directory, fx: &mut self.fx };
        let flush = self.shard.flush(id, FLUSH_BYTES, &mut self.scratch, &mut turn);
        socket.send(&self.scratch)?;
        self.scratch.shrink_to(FLUSH_BYTES);
        if socket.next == Next::Flush && self.shard.wants_input(id) {
            socket.next = Next::Yield;
            queue(&mut self.to_read, socket);
        }
        match flush {
            Flush::More if socket.unsent.is_empty() => self.to_flush.push(id),
            Flush::More | Flush::Done => {}
            Flush::Close => {
                self.shard.forget(id);
                self.sockets.begin_ending(id);
                self.ending.push_back((self.now + ENDING_MILLIS_MAX, id));
                return self.end_when_sent(id);
            }
        }
        Ok(())
    }

    /// Ends sending on a connection whose last byte the kernel has taken.
    fn end_when_sent(&mut self, id: ConnectionId) -> io::Result<()> {
        let Some(socket) = self.sockets.get_mut(id) else { return Ok(()) };
        if !socket.is_ending || !socket.unsent.is_empty() {
            return Ok(());
        }
        socket.unread = Vec::new();
        socket.stream.shutdown()?;
        socket.is_readable = true;
        queue(&mut self.to_read, socket);
        Ok(())
    }

    /// The connection is gone; the shard decides what that means.
    fn lose(&mut self, id: ConnectionId, cause: &str) {
        let mut turn = Turn { now: self.now, directory: &self.directory, fx: &mut self.fx };
        self.shard.lost(id, cause, &mut turn);
        self.sockets.remove(id);
    }

    /// Closes connections whose peers did not close in time.
    fn close_ended(&mut self) {
        while self.ending.front().is_some_and(|(at, _)| *at <= self.now) {
            let Some((_, id)) = self.ending.pop_front() else { return };
            self.sockets.remove(id);
        }
    }

    /// Stops in order: nobody is accepted or read any more, wills are published, everybody gets what waits
    /// and a goodbye, as far as they read it in time.
    fn stop(&mut self, events: &mut Events) -> io::Result<()> {
        self.listeners.clear();
        let mut turn = Turn { now: self.now, directory: &self.directory, fx: &mut self.fx };
        self.shard.shut_down(&mut turn);
        let deadline = self.now + STOP_MILLIS_MAX;
        let mut unfinished = self.sockets.ids();
        while !unfinished.is_empty() && self.now < deadline {
            self.receive_mail();
            self.carry_out();
            self.flush_connections();
            unfinished.retain(|id| self.sockets.get_mut(*id).is_some_and(|socket| !socket.unsent.is_empty()));
            if !unfinished.is_empty() || !self.to_flush.is_empty() || !self.mailbox.is_empty() {
                self.poll.poll(events, Some(time::Duration::from_millis(STOP_POLL_MILLIS)))?;
                self.now = self.clock();
                self.to_flush.extend(&unfinished);
            }
        }
        info!("stopped");
        Ok(())
    }
}

impl Accepts {
    fn new(per_second: u32, now: Instant) -> Self {
        Self { per_second, left: per_second, since: now }
    }

    /// Until when nobody is accepted because this second's share is used up.
    fn pause(&mut self, now: Instant) -> Option<Instant> {
        if now >= self.since + 1000 {
            *self = Self::new(self.per_second, now);
        }
        (self.left == 0).then_some(self.since + 1000)
    }
}

/// Puts a socket on the list of those to read, once.
fn queue(to_read: &mut VecDeque<ConnectionId>, socket: &mut Socket) {
    if !socket.is_queued {
        socket.is_queued = true;
        to_read.push_back(socket.id);
    }
}

/// A number that differs from start to start, from the hasher that the standard library seeds.
fn seed() -> u64 {
    use std::hash::{BuildHasher as _, RandomState};
    RandomState::new().hash_one(std::process::id())
}

const STOP: Token = Token(0);
const RELOAD: Token = Token(1);
const FIRST_LISTENER: usize = 2;
const EVENTS_PER_TURN: usize = 1024;
const ACCEPTS_PER_TURN: usize = 64;
const READS_PER_TURN: usize = 1024;
const MAIL_PER_TURN: usize = 4096;
/// One read takes at most this, which bounds what one connection does in a turn.
const READ_BYTES: usize = 64 << 10;
/// One flush encodes about this much.
const FLUSH_BYTES: usize = 128 << 10;
/// Connections above the limit that are still told why by CONNACK.
const SURPLUS_CONNECTIONS: usize = 32;
const ACCEPT_PAUSE_MILLIS: u64 = 100;
/// A connection that has been told its end has this long to read it and close.
const ENDING_MILLIS_MAX: u64 = 2_000;
/// A stop waits this long for clients that do not read.
const STOP_MILLIS_MAX: u64 = 3_000;
const STOP_POLL_MILLIS: u64 = 5;
const _: () = assert!(FIRST_LISTENER < FIRST_TOKEN, "listeners and connections have tokens of their own");
