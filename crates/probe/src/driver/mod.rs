//! The readiness loop around all connections: one thread, edge-triggered, one read buffer, one write per connection and
//! turn.
//!
//! A scenario opens connections (`handshake`), lets the loop run until something is reached (`wait`), and looks at what
//! happened. The driver reads the clock once per turn and once per read and passes the time on as a value.

mod handshake;
mod wait;

use std::collections::VecDeque;
use std::io::ErrorKind;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use mio::{Events, Poll, Token};
use noctule_codec::Packet;
use noctule_transport::Read;

use crate::client::{Client, Role, Stage};
use crate::frames;
use crate::incidents::Incidents;
use crate::incoming::{Incoming, Recogniser};
use crate::process::Process;
use crate::progress::Progress;
use crate::traffic::Traffic;
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
    /// Time spent awake for a message that was not due yet, while there was nothing else to do.
    pub(crate) awake: Duration,
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
            awake: Duration::ZERO,
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

    /// Adds bytes to what a client has to write.
    pub(crate) fn send(&mut self, index: usize, bytes: &[u8]) {
        self.clients[index].connection.output.bytes.extend_from_slice(bytes);
        self.mark_dirty(index);
    }

    /// Says goodbye on every connection and closes it.
    pub(crate) fn close(&mut self) {
        let farewell = frames::disconnect(self.options.version);
        for client in self.clients.iter_mut().filter(|client| client.is_ready()) {
            client.connection.finish(&farewell);
        }
    }

    /// Publishes what may be sent, writes each connection once, waits, and takes what has arrived.
    pub(crate) fn turn(&mut self) -> Result<(), Error> {
        let now = self.now();
        self.traffic.publish(nanoseconds(now), &mut self.clients, &mut self.dirty);
        let mut is_idle = self.dirty.is_empty();
        self.flush();
        self.look(now);

        let mut events = std::mem::replace(&mut self.events, Events::with_capacity(0));
        let time_to_wait = self.time_to_wait();
        match self.poll.poll(&mut events, Some(time_to_wait)) {
            Err(error) if error.kind() != ErrorKind::Interrupted => return Err(error.into()),
            _ => {}
        }
        is_idle &= events.is_empty() && time_to_wait.is_zero();
        if is_idle {
            self.awake += self.now().saturating_sub(now);
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
            client.connection.output.is_dirty = false;
            let is_publisher = matches!(client.role, Role::Publisher(_));
            match client.connection.flush() {
                Ok(wrote) => self.writes += u64::from(wrote && is_publisher),
                Err(error) => self.lose(index, error.to_string()),
            }
        }
        self.dirty = dirty;
    }

    fn unblock(&mut self, index: usize) {
        self.clients[index].connection.output.is_blocked = false;
        self.mark_dirty(index);
        if let Client { role: Role::Publisher(publisher), stage: Stage::Ready, .. } = self.clients[index] {
            self.traffic.mark_ready(publisher);
        }
    }

    fn mark_dirty(&mut self, index: usize) {
        let output = &mut self.clients[index].connection.output;
        if !output.is_dirty {
            output.is_dirty = true;
            self.dirty.push(index);
        }
    }

    /// Reads once; again only if the buffer was filled or the broker has closed, because no further event would come.
    fn read(&mut self, index: usize, to_the_end: bool) {
        let mut buffer = std::mem::take(&mut self.read_buffer);
        loop {
            match self.clients[index].connection.read(&mut buffer) {
                Ok(Read::Bytes { length, more }) => {
                    self.take_bytes(index, &buffer[..length]);
                    if !more && !to_the_end {
                        break;
                    }
                }
                // Who dials is not greeted.
                Ok(Read::WouldBlock | Read::Hello) => break,
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
        if !self.clients[index].connection.output.is_empty() {
            self.mark_dirty(index);
        }
    }

    fn take_bytes(&mut self, index: usize, bytes: &[u8]) {
        let now = nanoseconds(self.now());
        let mut at = 0;
        loop {
            at += self.take_usual(index, &bytes[at..], now);
            match self.clients[index].connection.decode(&bytes[at..]) {
                Ok(Some((packet, length))) => {
                    at += length;
                    self.take_packet(index, &packet, now);
                }
                Ok(None) => return self.clients[index].connection.keep(&bytes[at..]),
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
            let output = &mut client.connection.output.bytes;
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
                let output = &mut client.connection.output.bytes;
                self.traffic.take(client.role, &incoming, now, output, &mut self.incidents);
            }
        }
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
        if let Some(stream) = client.connection.stream_mut() {
            // Closing takes the socket out of the poll as well.
            let _ = self.poll.registry().deregister(stream);
        }
        client.end();
        self.open_count -= 1;
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
