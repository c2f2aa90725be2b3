//! The readiness loop around all clients of a run: sockets, bytes and time.
//!
//! Each client says whether it is wanted; the loop dials those that are and are away, lets those go that are not, and
//! carries bytes between the sockets and the clients. What packets mean is decided in `peer`.

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use mio::{Events, Interest, Poll, Token};
use noctule_transport::{Read, Stream};

use super::books::Books;
use super::cast::Topics;
use super::peer::{Onward, Part, Peer, Stage};
use crate::driver::nanoseconds;

/// All clients and what connects them with the broker.
pub(crate) struct Network {
    poll: Poll,
    events: Events,
    read_buffer: Vec<u8>,
    started: Instant,
    pub(crate) peers: Vec<Peer>,
    pub(crate) topics: Topics,
    pub(crate) books: Books,
    /// Where the broker listens; none while there is no broker.
    address: Option<SocketAddr>,
    /// When slow subscribers answer next.
    slow_at: Duration,
}

impl Network {
    pub(crate) fn new(peers: Vec<Peer>, topics: Topics, books: Books) -> std::io::Result<Self> {
        Ok(Self {
            poll: Poll::new()?,
            events: Events::with_capacity(EVENTS_PER_TURN),
            read_buffer: vec![0; READ_BYTES],
            started: Instant::now(),
            peers,
            topics,
            books,
            address: None,
            slow_at: Duration::ZERO,
        })
    }

    /// Time since the run began.
    pub(crate) fn now(&self) -> Duration {
        self.started.elapsed()
    }

    /// There is a broker at this address from now on.
    pub(crate) fn broker_is_at(&mut self, address: SocketAddr) {
        self.address = Some(address);
    }

    /// The broker was killed: reads what it had written, to the end of each connection, and dials no more. What came
    /// out of the broker is a promise, whenever it is read.
    pub(crate) fn read_to_the_end(&mut self) -> std::io::Result<()> {
        self.address = None;
        let patience = self.now() + END_PATIENCE;
        while self.now() < patience && self.peers.iter().any(|peer| peer.stage != Stage::Away) {
            self.turn()?;
        }
        (0..self.peers.len()).for_each(|index| self.hang_up(index));
        Ok(())
    }

    /// Dials, publishes, writes each connection once, waits a little, and takes what has arrived.
    pub(crate) fn turn(&mut self) -> std::io::Result<()> {
        let now = self.now();
        let gives_slow_answers = now >= self.slow_at;
        if gives_slow_answers {
            self.slow_at = now + SLOW_ANSWER_EVERY;
        }
        for index in 0..self.peers.len() {
            self.follow_wish(index, now)?;
            self.peers[index].tend(nanoseconds(now), gives_slow_answers, &mut self.books);
            self.flush(index);
        }
        let mut events = std::mem::replace(&mut self.events, Events::with_capacity(0));
        match self.poll.poll(&mut events, Some(TURN_MAX)) {
            Err(error) if error.kind() != ErrorKind::Interrupted => return Err(error),
            _ => {}
        }
        for event in events.iter() {
            let Token(index) = event.token();
            if event.is_writable() {
                self.peers[index].connection.output.is_blocked = false;
            }
            if event.is_readable() {
                self.read(index);
            }
        }
        self.events = events;
        Ok(())
    }

    /// Dials who is wanted and away; lets go who is not wanted.
    fn follow_wish(&mut self, index: usize, now: Duration) -> std::io::Result<()> {
        let peer = &mut self.peers[index];
        match (peer.is_wanted, peer.stage) {
            (true, Stage::Away) if now >= peer.retry_at => self.dial(index, now),
            (false, Stage::Ready) => {
                peer.say_goodbye(now);
                Ok(())
            }
            (false, Stage::Leaving { since }) if now > since + LEAVE_PATIENCE => {
                self.hang_up(index);
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn dial(&mut self, index: usize, now: Duration) -> std::io::Result<()> {
        let Some(address) = self.address else { return Ok(()) };
        let peer = &mut self.peers[index];
        let mut stream = match Stream::dial(address, None) {
            Ok(stream) => stream,
            // Nobody listens yet.
            Err(error) if error.kind() == ErrorKind::ConnectionRefused => {
                peer.retry_at = now + DIAL_AGAIN_AFTER;
                return Ok(());
            }
            Err(error) => return Err(error),
        };
        let interests = Interest::READABLE | Interest::WRITABLE;
        self.poll.registry().register(&mut stream, Token(index), interests)?;
        if let Part::Reader(found, _) = &mut peer.part {
            found.clear();
        }
        let greeting = peer.greeting();
        peer.connection.open(stream, greeting);
        peer.stage = Stage::Greeting;
        Ok(())
    }

    fn flush(&mut self, index: usize) {
        // What goes wrong with writing shows at the next read, after what can still be read.
        let _ = self.peers[index].connection.flush();
    }

    /// Reads until nothing is left, because no further event would come.
    fn read(&mut self, index: usize) {
        let mut buffer = std::mem::take(&mut self.read_buffer);
        loop {
            match self.peers[index].connection.read(&mut buffer) {
                Ok(Read::Bytes { length, .. }) => self.take_bytes(index, &buffer[..length]),
                Ok(Read::WouldBlock | Read::Hello) => break,
                Ok(Read::Closed) => {
                    self.ended(index, "closed by the broker without a word");
                    break;
                }
                Err(error) => {
                    self.ended(index, &error.to_string());
                    break;
                }
            }
        }
        self.read_buffer = buffer;
    }

    fn take_bytes(&mut self, index: usize, bytes: &[u8]) {
        let now = self.now();
        let peer = &mut self.peers[index];
        let mut at = 0;
        loop {
            match peer.connection.decode(&bytes[at..]) {
                Ok(Some((packet, length))) => {
                    at += length;
                    if peer.take(&packet, now, &self.topics, &mut self.books) == Onward::HangUp {
                        return self.hang_up(index);
                    }
                }
                Ok(None) => return peer.connection.keep(&bytes[at..]),
                Err(error) => {
                    self.books.incidents.violate(format!("sent what is not MQTT: {error}"));
                    return self.hang_up(index);
                }
            }
        }
    }

    /// The broker's end of a connection is closed. Nobody is to blame while the broker is not there, has not let the
    /// client in yet, or was told goodbye.
    fn ended(&mut self, index: usize, why: &str) {
        let is_expected = matches!(self.peers[index].stage, Stage::Greeting | Stage::Leaving { .. });
        if self.address.is_some() && !is_expected {
            self.books.incidents.disconnect(why.to_owned());
        }
        self.hang_up(index);
    }

    fn hang_up(&mut self, index: usize) {
        let retry_at = self.now() + DIAL_AGAIN_AFTER;
        let peer = &mut self.peers[index];
        if let Some(stream) = peer.connection.stream_mut() {
            // Closing takes the socket out of the poll as well.
            let _ = self.poll.registry().deregister(stream);
        }
        peer.hang_up(retry_at);
    }
}

const EVENTS_PER_TURN: usize = 256;
const READ_BYTES: usize = 64 * 1024;

/// A turn waits no longer than this, so that kills come in time.
const TURN_MAX: Duration = Duration::from_millis(1);

/// A slow subscriber answers once in this time: far fewer than are sent to it.
const SLOW_ANSWER_EVERY: Duration = Duration::from_millis(10);
const DIAL_AGAIN_AFTER: Duration = Duration::from_millis(5);

/// A broker should close a connection once it has read DISCONNECT; the probe waits for this long.
const LEAVE_PATIENCE: Duration = Duration::from_millis(200);

/// A killed process has its sockets closed by the kernel at once.
const END_PATIENCE: Duration = Duration::from_secs(1);
