//! The readiness loop around all connections: one thread, edge-triggered, one read buffer, one write per connection and
//! turn.
//!
//! A scenario opens connections, lets the loop run until something is reached, and looks at what happened. The driver
//! reads the clock once per turn and once per read and passes the time on as a value.

use std::collections::VecDeque;
use std::io::ErrorKind;
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use mio::{Events, Interest, Poll, Token};
use noctule_codec::{ConnAck, Packet, PacketType, QoS, SubAck};
use noctule_transport::{Read, Stream};

use crate::client::{Client, Role, Stage};
use crate::frames::{self, Introduction};
use crate::incidents::Incidents;
use crate::incoming::{Incoming, Recogniser};
use crate::pace::Pace;
use crate::process::Process;
use crate::progress::Progress;
use crate::traffic::{Counts, Traffic};
use crate::{Error, Options};

/// The loop and everything it drives.
pub(crate) struct Driver<'a> {
    pub(crate) options: &'a Options,
    target: SocketAddr,
    poll: Poll,
    events: Events,
    /// Publishers first, so that their numbers are the same.
    pub(crate) clients: Vec<Client>,
    /// Clients that may have something to write; each once.
    dirty: Vec<usize>,
    read_buffer: Vec<u8>,
    recogniser: Recogniser,
    started: Instant,
    pub(crate) traffic: Traffic,
    pub(crate) incidents: Incidents,
    pub(crate) process: Option<Process>,
    pub(crate) progress: Progress,
    /// What became of connections since a scenario last looked.
    pub(crate) happenings: Vec<Happening>,
    /// Writes of publishers.
    pub(crate) writes: u64,
    /// Connections that exist now, in whatever stage.
    pub(crate) open_count: usize,
    /// Who said DISCONNECT when, in that order.
    leaving: VecDeque<(usize, Duration)>,
    dialled: usize,
    looked_at: Duration,
    /// What had been received and settled when that last changed, and when that was.
    moved: (u64, Duration),
}

/// Something became of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Happening {
    /// The handshake is complete.
    Ready { client: usize, at: Duration },
    /// The handshake ended in a refusal or a closed connection.
    Failed,
    /// The broker closed a connection after DISCONNECT.
    Left { client: usize },
}

/// Who is to be connected.
#[derive(Debug)]
pub(crate) struct Guest {
    pub(crate) role: Role,
    pub(crate) client_id: String,
    pub(crate) filters: Vec<String>,
    pub(crate) is_durable: bool,
}

impl<'a> Driver<'a> {
    pub(crate) fn new(options: &'a Options, traffic: Traffic) -> Result<Self, Error> {
        Ok(Self {
            options,
            target: options.target.reach()?,
            poll: Poll::new()?,
            events: Events::with_capacity(EVENTS_PER_TURN),
            clients: Vec::new(),
            dirty: Vec::new(),
            read_buffer: vec![0; READ_BYTES],
            recogniser: Recogniser::new(options.version, &traffic.load),
            started: Instant::now(),
            traffic,
            incidents: Incidents::default(),
            process: options.pid.map(Process::watch).transpose()?,
            progress: Progress::new(),
            happenings: Vec::new(),
            writes: 0,
            open_count: 0,
            leaving: VecDeque::new(),
            dialled: 0,
            looked_at: Duration::ZERO,
            moved: (0, Duration::ZERO),
        })
    }

    /// Time since the run began.
    pub(crate) fn now(&self) -> Duration {
        self.started.elapsed()
    }

    /// Connects these many guests, several at a time, and waits until each is ready or has failed. Returns whether
    /// all are ready.
    pub(crate) fn open(
        &mut self,
        what: &str,
        count: u64,
        guest: impl Fn(u64) -> Guest,
    ) -> Result<bool, Error> {
        self.progress.begin(what, count);
        let (mut begun, mut ready, mut failed) = (0, 0, 0);
        let mut changed_at = self.now();
        while ready + failed < count {
            while begun < count && begun - ready - failed < HANDSHAKES_AT_ONCE {
                self.dial(self.clients.len(), guest(begun))?;
                begun += 1;
            }
            self.turn()?;
            for happening in std::mem::take(&mut self.happenings) {
                match happening {
                    Happening::Ready { .. } => ready += 1,
                    Happening::Failed => failed += 1,
                    Happening::Left { .. } => continue,
                }
                changed_at = self.now();
            }
            self.progress.set(ready);
            if self.now() > changed_at + HANDSHAKE_PATIENCE {
                self.give_up_handshakes();
            }
        }
        Ok(failed == 0)
    }

    /// Begins the connection of a guest in this place, which is a new one or one whose connection has ended.
    pub(crate) fn dial(&mut self, place: usize, guest: Guest) -> Result<(), Error> {
        let version = self.options.version;
        let mut client = Client::new(version, guest.role, self.now());
        if let Some(mut stream) = self.begin_connection()? {
            let interests = Interest::READABLE | Interest::WRITABLE;
            self.poll.registry().register(&mut stream, Token(place), interests)?;
            let connect = frames::connect(&Introduction {
                version,
                client_id: &guest.client_id,
                is_durable: guest.is_durable,
                user_name: self.options.user_name.as_deref(),
                password: self.options.password.as_deref(),
            });
            client.greet(stream, guest.filters, connect);
            self.open_count += 1;
        }
        match self.clients.get_mut(place) {
            Some(ended) => *ended = client,
            None => self.clients.push(client),
        }
        Ok(())
    }

    /// None if the broker takes no connection any more; that is for the report. What this machine lacks is an error.
    fn begin_connection(&mut self) -> Result<Option<Stream>, Error> {
        let source = self.next_source();
        let error = match Stream::dial(self.target, source) {
            Ok(stream) => return Ok(Some(stream)),
            Err(error) => error,
        };
        match error.kind() {
            ErrorKind::AddrNotAvailable | ErrorKind::AddrInUse => {
                Err(Error::NoPort { address: source, source: error })
            }
            ErrorKind::ConnectionRefused | ErrorKind::ConnectionReset | ErrorKind::TimedOut => {
                self.incidents.disconnect(format!("before CONNACK: {error}"));
                self.happenings.push(Happening::Failed);
                Ok(None)
            }
            _ => Err(Error::Machine(error)),
        }
    }

    /// Ends this connection in order; the broker is to close it.
    pub(crate) fn leave(&mut self, index: usize) {
        let since = self.now();
        let client = &mut self.clients[index];
        if client.is_ready() {
            client.stage = Stage::Leaving { since };
            client.output.bytes.extend(frames::disconnect(self.options.version));
            self.leaving.push_back((index, since));
            self.mark_dirty(index);
        }
    }

    /// Adds bytes to what a client has to write.
    pub(crate) fn send(&mut self, index: usize, bytes: &[u8]) {
        self.clients[index].output.bytes.extend_from_slice(bytes);
        self.mark_dirty(index);
    }

    /// Turns until `position` has reached `total`, which is what the progress bar shows. Gives up, and returns false,
    /// when it has not moved for `patience` or no connection is left.
    pub(crate) fn run_until(
        &mut self,
        what: &str,
        total: u64,
        patience: Option<Duration>,
        position: impl Fn(&Self) -> u64,
    ) -> Result<bool, Error> {
        self.progress.begin(what, total);
        let (mut last, mut moved_at) = (position(self), self.now());
        loop {
            let current = position(self);
            self.progress.set(current.min(total));
            if current >= total {
                return Ok(true);
            }
            if current != last {
                (last, moved_at) = (current, self.now());
            }
            let is_stuck = patience.is_some_and(|patience| self.now() > moved_at + patience);
            if is_stuck || self.open_count == 0 {
                return Ok(false);
            }
            self.turn()?;
        }
    }

    /// Lets the publishers send; an open loop's schedule begins now.
    pub(crate) fn start_traffic(&mut self) {
        if let Pace::Open(schedule) = &mut self.traffic.pace {
            schedule.start = nanoseconds(self.started.elapsed());
        }
        self.moved = (0, self.now());
        self.traffic.start(None);
    }

    /// Lets the publishers send this many messages in all.
    pub(crate) fn start_counted_traffic(&mut self, messages: u64) {
        self.moved = (0, self.now());
        self.traffic.start(Some(messages));
    }

    /// Waits until this many messages have been sent and the broker has answered for all that it must.
    pub(crate) fn await_sent(&mut self, what: &str, messages: u64) -> Result<bool, Error> {
        let patience = Some(self.options.patience);
        let is_acknowledged = self.options.qos != QoS::AtMostOnce;
        self.run_until(what, messages, patience, move |driver| {
            let counts = &driver.traffic.counts;
            if is_acknowledged { counts.settled } else { counts.sent }
        })
    }

    /// Waits until every copy that is owed has come and every message is answered for.
    pub(crate) fn await_all(&mut self, what: &str) -> Result<bool, Error> {
        let patience = Some(self.options.patience);
        let Counts { expected, sent, .. } = self.traffic.counts;
        let is_acknowledged = self.options.qos != QoS::AtMostOnce;
        let answers = if is_acknowledged { sent } else { 0 };
        self.run_until(what, expected + answers, patience, move |driver| {
            let counts = &driver.traffic.counts;
            // Copies of a message that was refused meanwhile are not owed any more.
            let forgiven = expected.saturating_sub(counts.expected);
            let answered = if is_acknowledged { counts.settled } else { 0 };
            counts.received + forgiven + answered
        })
    }

    /// Waits until the broker has answered a PINGREQ on every connection: what it had written before that has then
    /// been read. Returns false if an answer did not come in time.
    pub(crate) fn settle(&mut self) -> Result<bool, Error> {
        let ping = frames::ping(self.options.version);
        let before = self.traffic.counts.pongs;
        let ready = (0..self.clients.len()).filter(|&index| self.clients[index].is_ready());
        let ready: Vec<usize> = ready.collect();
        ready.iter().for_each(|&index| self.send(index, &ping));
        let total = ready.len() as u64;
        self.run_until("settle", total, Some(self.options.patience), move |driver| {
            let lost = ready.iter().filter(|&&index| !driver.clients[index].is_ready()).count() as u64;
            driver.traffic.counts.pongs - before + lost
        })
    }

    /// Says goodbye on every connection and closes it.
    pub(crate) fn close(&mut self) {
        let farewell = frames::disconnect(self.options.version);
        for client in self.clients.iter_mut().filter(|client| client.is_ready()) {
            client.finish(&farewell);
        }
    }

    /// Publishes what may be sent, writes each connection once, waits, and takes what has arrived.
    pub(crate) fn turn(&mut self) -> Result<(), Error> {
        let now = self.now();
        self.traffic.publish(nanoseconds(now), &mut self.clients, &mut self.dirty);
        self.flush();
        self.look(now);

        let mut events = std::mem::replace(&mut self.events, Events::with_capacity(0));
        match self.poll.poll(&mut events, Some(self.time_to_wait())) {
            Err(error) if error.kind() != ErrorKind::Interrupted => return Err(error.into()),
            _ => {}
        }
        for event in events.iter() {
            let Token(index) = event.token();
            if event.is_writable() {
                self.unblock(index);
            }
            if event.is_readable() {
                self.read(index, event.is_read_closed());
            }
        }
        self.events = events;
        Ok(())
    }

    /// Readiness has steps of a millisecond, so the last one before a message is due is spent awake.
    fn time_to_wait(&self) -> Duration {
        let Some(due) = self.traffic.next_due() else { return TURN_MAX };
        let left = Duration::from_nanos(due).saturating_sub(self.now());
        match left.checked_sub(AWAKE) {
            Some(sleep) => sleep.min(TURN_MAX),
            None => Duration::ZERO,
        }
    }

    fn flush(&mut self) {
        let mut dirty = std::mem::take(&mut self.dirty);
        for index in dirty.drain(..) {
            let client = &mut self.clients[index];
            client.output.is_dirty = false;
            let is_publisher = matches!(client.role, Role::Publisher(_));
            match client.flush() {
                Ok(wrote) => self.writes += u64::from(wrote && is_publisher),
                Err(error) => self.lose(index, error.to_string()),
            }
        }
        self.dirty = dirty;
    }

    /// Looks now and then at memory and at whether anything moves.
    fn look(&mut self, now: Duration) {
        if now < self.looked_at + LOOK_EVERY {
            return;
        }
        self.looked_at = now;
        if let Some(process) = &mut self.process {
            process.look();
        }
        self.close_for_the_broker(now);
        let counts = &self.traffic.counts;
        let position = counts.received + counts.settled;
        if position != self.moved.0 || !self.traffic.is_waiting() {
            self.moved = (position, now);
        } else if now > self.moved.1 + self.options.patience {
            self.traffic.give_up_waiting();
            self.moved = (position, now);
        }
    }

    /// Closes what the broker should have closed after DISCONNECT.
    fn close_for_the_broker(&mut self, now: Duration) {
        while let Some((index, left_at)) = self.leaving.pop_front_if(|(_, at)| now > *at + LEAVE_PATIENCE) {
            // The place may have been taken again since.
            if matches!(self.clients[index].stage, Stage::Leaving { since } if since == left_at) {
                self.incidents.note("left a connection open after DISCONNECT".to_owned());
                self.closed(index);
            }
        }
    }

    fn unblock(&mut self, index: usize) {
        self.clients[index].output.is_blocked = false;
        self.mark_dirty(index);
        if let Client { role: Role::Publisher(publisher), stage: Stage::Ready, .. } = self.clients[index] {
            self.traffic.mark_ready(publisher);
        }
    }

    fn mark_dirty(&mut self, index: usize) {
        let output = &mut self.clients[index].output;
        if !output.is_dirty {
            output.is_dirty = true;
            self.dirty.push(index);
        }
    }

    /// Reads once; again only if the buffer was filled or the broker has closed, because no further event would come.
    fn read(&mut self, index: usize, to_the_end: bool) {
        let mut buffer = std::mem::take(&mut self.read_buffer);
        loop {
            match self.clients[index].read(&mut buffer) {
                Ok(Read::Bytes(count)) => {
                    self.take_bytes(index, &buffer[..count]);
                    if count < buffer.len() && !to_the_end {
                        break;
                    }
                }
                Ok(Read::WouldBlock) => break,
                Ok(Read::Closed) => {
                    self.closed(index);
                    break;
                }
                Err(error) => {
                    self.lose(index, error.to_string());
                    break;
                }
            }
        }
        self.read_buffer = buffer;
        if !self.clients[index].output.is_empty() {
            self.mark_dirty(index);
        }
    }

    fn take_bytes(&mut self, index: usize, bytes: &[u8]) {
        let now = nanoseconds(self.now());
        let mut at = 0;
        loop {
            at += self.take_usual(index, &bytes[at..], now);
            match self.clients[index].decode(&bytes[at..]) {
                Ok(Some((packet, length))) => {
                    at += length;
                    self.take_packet(index, &packet, now);
                }
                Ok(None) => return self.clients[index].keep(&bytes[at..]),
                Err(error) => {
                    self.incidents.violate(format!("sent what is not MQTT: {error}"));
                    return self.end(index);
                }
            }
            if self.clients[index].is_ended() {
                return;
            }
        }
    }

    /// Takes the packets at the front of `bytes` that need no codec, and returns how many bytes they were.
    fn take_usual(&mut self, index: usize, bytes: &[u8], now: u64) -> usize {
        let client = &mut self.clients[index];
        let mut at = 0;
        while client.is_ready()
            && let Some((incoming, length)) = self.recogniser.read(&bytes[at..])
        {
            at += length;
            let output = &mut client.output.bytes;
            self.traffic.take(client.role, &incoming, now, output, &mut self.incidents);
        }
        at
    }

    fn take_packet(&mut self, index: usize, packet: &Packet<'_>, now: u64) {
        let client = &mut self.clients[index];
        match (&client.stage, packet) {
            (Stage::Greeting { .. }, Packet::ConnAck(connack)) => self.take_connack(index, connack),
            (Stage::Subscribing { .. }, Packet::SubAck(suback)) => self.take_suback(index, suback),
            (_, Packet::Disconnect(disconnect)) => {
                self.lose(index, format!("DISCONNECT {}", disconnect.reason_code));
            }
            (Stage::Greeting { .. }, _) => {
                self.incidents.violate("sent something else before CONNACK".to_owned());
                self.end(index);
            }
            _ => {
                let incoming = Incoming::new(packet, &self.traffic.load);
                let output = &mut client.output.bytes;
                self.traffic.take(client.role, &incoming, now, output, &mut self.incidents);
            }
        }
    }

    fn take_connack(&mut self, index: usize, connack: &ConnAck<'_>) {
        if connack.reason_code.is_error() {
            self.incidents.refuse(PacketType::ConnAck, connack.reason_code);
            return self.end(index);
        }
        self.clients[index].session_present = connack.session_present;
        let properties = &connack.properties;
        if let (Some(maximum), Role::Publisher(publisher)) =
            (properties.receive_maximum(), self.clients[index].role)
        {
            self.traffic.limit_in_flight(publisher, maximum);
        }
        if let Some(seconds) = properties.server_keep_alive().filter(|&seconds| seconds > 0) {
            self.incidents
                .note(format!("the broker asks for a packet every {seconds} s; the probe sends none"));
        }
        self.subscribe_next(index);
    }

    fn take_suback(&mut self, index: usize, suback: &SubAck<'_>) {
        let asked = self.options.qos;
        for &code in suback.reason_codes.iter() {
            if code.is_error() {
                self.incidents.refuse(PacketType::SubAck, code);
                if let Stage::Subscribing { is_refused, .. } = &mut self.clients[index].stage {
                    *is_refused = true;
                }
            } else if code.as_u8() < asked as u8 {
                let (granted, asked) = (code.as_u8(), asked as u8);
                self.incidents.note(format!("granted QoS {granted} where QoS {asked} was asked for"));
            }
        }
        self.subscribe_next(index);
    }

    /// Asks for the next filters, or ends the handshake when there are none.
    fn subscribe_next(&mut self, index: usize) {
        let at = self.now();
        let client = &mut self.clients[index];
        let is_refused = matches!(client.stage, Stage::Subscribing { is_refused: true, .. });
        if let Some((filters, packet_id)) = client.stage.next_filters() {
            let bytes = frames::subscribe(self.options.version, packet_id, &filters, self.options.qos);
            client.output.bytes.extend(bytes);
            return;
        }
        let happening = if is_refused { Happening::Failed } else { Happening::Ready { client: index, at } };
        self.happenings.push(happening);
    }

    fn closed(&mut self, index: usize) {
        if matches!(self.clients[index].stage, Stage::Leaving { .. }) {
            self.happenings.push(Happening::Left { client: index });
            return self.end(index);
        }
        self.lose(index, "closed by the broker without a word".to_owned());
    }

    /// A connection ended that should not have.
    fn lose(&mut self, index: usize, why: String) {
        match self.clients[index].stage {
            Stage::Ended => return,
            // A broker that resets the connection after DISCONNECT has done its duty.
            Stage::Leaving { .. } => return self.closed(index),
            Stage::Greeting { .. } => self.incidents.disconnect(format!("before CONNACK: {why}")),
            Stage::Subscribing { .. } => self.incidents.disconnect(format!("before SUBACK: {why}")),
            Stage::Ready => self.incidents.disconnect(why),
        }
        self.end(index);
    }

    fn end(&mut self, index: usize) {
        let client = &mut self.clients[index];
        if client.is_ended() {
            return;
        }
        if client.is_in_handshake() {
            self.happenings.push(Happening::Failed);
        }
        if let Role::Publisher(publisher) = client.role {
            self.traffic.publisher_gone(publisher);
        }
        if let Some(stream) = client.stream_mut() {
            // Closing takes the socket out of the poll as well.
            let _ = self.poll.registry().deregister(stream);
        }
        client.end();
        self.open_count -= 1;
    }

    fn give_up_handshakes(&mut self) {
        for index in 0..self.clients.len() {
            if self.clients[index].is_in_handshake() {
                self.lose(index, format!("no answer within {} s", HANDSHAKE_PATIENCE.as_secs()));
            }
        }
    }

    fn next_source(&mut self) -> Option<IpAddr> {
        let sources = &self.options.sources;
        let source = *sources.get(self.dialled % sources.len().max(1))?;
        self.dialled += 1;
        Some(source)
    }
}

pub(crate) fn nanoseconds(duration: Duration) -> u64 {
    duration.as_nanos() as u64
}

const EVENTS_PER_TURN: usize = 4096;
const READ_BYTES: usize = 256 * 1024;

/// A turn waits no longer than this, so that phases end in time.
const TURN_MAX: Duration = Duration::from_millis(10);
const AWAKE: Duration = Duration::from_millis(1);

const LOOK_EVERY: Duration = Duration::from_millis(100);

/// A broker should close a connection once it has read DISCONNECT; the probe waits for this long.
const LEAVE_PATIENCE: Duration = Duration::from_millis(200);

/// More would fill the queue of connections that brokers have not yet accepted, often 128 or less.
const HANDSHAKES_AT_ONCE: u64 = 64;
const HANDSHAKE_PATIENCE: Duration = Duration::from_secs(10);
