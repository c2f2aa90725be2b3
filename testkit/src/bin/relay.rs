//! The reference relay: what moving MQTT messages costs before anything is decided.
//!
//! Every cost of the broker is stated as a multiple of this program on the same sockets in the same run, so it does the
//! least a broker can do: one thread, one readiness loop, frames cut by length and copied to whoever subscribed to
//! exactly that topic; one read per readiness, one write per connection and turn. It answers control packets without
//! keeping state, knows neither wildcards nor sessions, forwards with the publisher's QoS and packet id, and expects
//! that all its clients speak the same version. It is no broker; do not run it where strangers can reach it.

#![expect(clippy::print_stdout, reason = "a command talks to its user")]

use std::io::{self, ErrorKind, Read, Write};
use std::net::SocketAddr;

use anyhow::{Context, Result};
use clap::Parser;
use hashbrown::HashMap;
use mio::net::{TcpListener, TcpStream};
use mio::{Events, Interest, Poll, Token};
use noctule_testkit::open_files;
use noctule_testkit::wire::{self, Assembler, Frame, LEVEL_5, Malformed, Publish, first_byte};
use slab::Slab;

const LISTENER: Token = Token(usize::MAX);
const READ_BYTES: usize = 256 * 1024;

/// A connection that leaves this much unread is closed.
const OUTPUT_BYTES_MAX: usize = 64 * 1024 * 1024;

/// Forwards MQTT messages by topic and does nothing else: the measure of what a broker costs.
#[derive(Parser)]
struct Options {
    /// Address to listen on; port 0 takes a free one.
    #[arg(long, default_value = "127.0.0.1:1899", value_name = "ADDRESS")]
    listen: SocketAddr,
}

fn main() -> Result<()> {
    let options = Options::parse();
    open_files::raise_limit();
    let mut relay =
        Relay::listen(options.listen).with_context(|| format!("cannot listen on {}", options.listen))?;
    println!("relay ready: {}", relay.listener.local_addr()?);
    let mut events = Events::with_capacity(4096);
    loop {
        relay.turn(&mut events)?;
    }
}

struct Relay {
    poll: Poll,
    listener: TcpListener,
    connections: Connections,
    /// Exact topic to the connections that want it.
    subscribers: HashMap<Box<[u8]>, Vec<usize>>,
    read_buffer: Box<[u8]>,
}

#[derive(Default)]
struct Connections {
    slab: Slab<Connection>,
    /// Connections that may have something to write this turn; each once.
    dirty: Vec<usize>,
    /// Buffers of connections that have nothing to write, so an idle one owns none.
    spare_buffers: Vec<Vec<u8>>,
}

struct Connection {
    stream: TcpStream,
    level: u8,
    topics: Vec<Box<[u8]>>,
    assembler: Assembler,
    output: Vec<u8>,
    is_dirty: bool,
    /// The socket takes no more; an event says when it does again.
    is_blocked: bool,
}

/// Whether a connection goes on after what was just done with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Link {
    Open,
    Closed,
}

impl Relay {
    fn listen(address: SocketAddr) -> io::Result<Self> {
        let poll = Poll::new()?;
        let mut listener = TcpListener::bind(address)?;
        poll.registry().register(&mut listener, LISTENER, Interest::READABLE)?;
        Ok(Self {
            poll,
            listener,
            connections: Connections::default(),
            subscribers: HashMap::new(),
            read_buffer: vec![0; READ_BYTES].into_boxed_slice(),
        })
    }

    /// One turn: take what has arrived, then write each connection that got something once.
    fn turn(&mut self, events: &mut Events) -> io::Result<()> {
        match self.poll.poll(events, None) {
            Err(error) if error.kind() == ErrorKind::Interrupted => return Ok(()),
            result => result?,
        }
        for event in events.iter() {
            let Token(key) = event.token();
            if event.token() == LISTENER {
                self.accept();
                continue;
            }
            if event.is_readable() && self.read(key, event.is_read_closed()) == Link::Closed {
                self.close(key);
            }
            if event.is_writable() {
                self.connections.unblock(key);
            }
        }
        self.flush();
        Ok(())
    }

    fn flush(&mut self) {
        let mut dirty = std::mem::take(&mut self.connections.dirty);
        for key in dirty.drain(..) {
            if self.connections.flush(key) == Link::Closed {
                self.close(key);
            }
        }
        self.connections.dirty = dirty;
    }

    /// Takes every waiting connection; one that cannot be taken is the peer's or the machine's trouble, not ours.
    fn accept(&mut self) {
        while let Ok((mut stream, _)) = self.listener.accept() {
            let entry = self.connections.slab.vacant_entry();
            let interests = Interest::READABLE | Interest::WRITABLE;
            let registered = self.poll.registry().register(&mut stream, Token(entry.key()), interests);
            if stream.set_nodelay(true).and(registered).is_ok() {
                entry.insert(Connection::new(stream));
            }
        }
    }

    /// Reads once; again only if the buffer was filled or the peer has closed, because no further event would come.
    fn read(&mut self, key: usize, to_the_end: bool) -> Link {
        let mut buffer = std::mem::take(&mut self.read_buffer);
        let link = loop {
            let Some(connection) = self.connections.slab.get_mut(key) else { break Link::Open };
            match connection.stream.read(&mut buffer) {
                Ok(0) => break Link::Closed,
                Ok(count) => {
                    if self.take_bytes(key, &buffer[..count]).is_err() {
                        break Link::Closed;
                    }
                    if count < buffer.len() && !to_the_end {
                        break Link::Open;
                    }
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => break Link::Open,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => break Link::Closed,
            }
        };
        self.read_buffer = buffer;
        link
    }

    fn take_bytes(&mut self, key: usize, arrived: &[u8]) -> Result<(), Malformed> {
        let mut assembler = std::mem::take(&mut self.connections.slab[key].assembler);
        let result = assembler.feed(arrived, |frame| self.take_frame(key, frame));
        self.connections.slab[key].assembler = assembler;
        result
    }

    fn take_frame(&mut self, key: usize, frame: &Frame<'_>) -> Result<(), Malformed> {
        if frame.is_publish() {
            return self.forward(key, frame);
        }
        match frame.first_byte() {
            first_byte::CONNECT => self.answer_connect(key, frame),
            first_byte::SUBSCRIBE => self.answer_subscribe(key, frame),
            first_byte::PUBREC => self.acknowledge(key, first_byte::PUBREL, frame.packet_id()?),
            first_byte::PUBREL => self.acknowledge(key, first_byte::PUBCOMP, frame.packet_id()?),
            first_byte::PINGREQ => self.reply(key, first_byte::PINGRESP, &[]),
            first_byte::PUBACK | first_byte::PUBCOMP | first_byte::DISCONNECT => Ok(()),
            _ => Err(Malformed),
        }
    }

    fn forward(&mut self, key: usize, frame: &Frame<'_>) -> Result<(), Malformed> {
        let publish = Publish::parse(frame)?;
        if let Some(subscribers) = self.subscribers.get(publish.topic) {
            for &subscriber in subscribers {
                self.connections.output(subscriber).extend_from_slice(frame.bytes);
            }
        }
        match publish.qos {
            0 => Ok(()),
            1 => self.acknowledge(key, first_byte::PUBACK, publish.packet_id),
            2 => self.acknowledge(key, first_byte::PUBREC, publish.packet_id),
            _ => Err(Malformed),
        }
    }

    fn answer_connect(&mut self, key: usize, frame: &Frame<'_>) -> Result<(), Malformed> {
        let (_protocol_name, rest) = wire::split_field(frame.body)?;
        let level = *rest.first().ok_or(Malformed)?;
        self.connections.slab[key].level = level;
        let properties: &[u8] = if level == LEVEL_5 { &[0] } else { &[] };
        self.reply(key, first_byte::CONNACK, &[&[0, 0], properties])
    }

    fn answer_subscribe(&mut self, key: usize, frame: &Frame<'_>) -> Result<(), Malformed> {
        let packet_id = frame.packet_id()?;
        let mut rest = &frame.body[packet_id.len()..];
        let level = self.connections.slab[key].level;
        let mut properties: &[u8] = &[];
        if level == LEVEL_5 {
            (_, rest) = wire::split_properties(rest)?;
            properties = &[0];
        }
        let mut codes = Vec::new();
        while !rest.is_empty() {
            let (topic, after) = wire::split_field(rest)?;
            let (options, after) = after.split_first().ok_or(Malformed)?;
            self.subscribe(key, topic);
            codes.push(options & 3);
            rest = after;
        }
        self.reply(key, first_byte::SUBACK, &[&packet_id, properties, &codes])
    }

    fn subscribe(&mut self, key: usize, topic: &[u8]) {
        let subscribers = self.subscribers.entry(topic.into()).or_default();
        if !subscribers.contains(&key) {
            subscribers.push(key);
            self.connections.slab[key].topics.push(topic.into());
        }
    }

    fn acknowledge(&mut self, key: usize, first_byte: u8, packet_id: [u8; 2]) -> Result<(), Malformed> {
        self.reply(key, first_byte, &[&packet_id])
    }

    /// Answers with a result like every arm of the table above.
    fn reply(&mut self, key: usize, first_byte: u8, body: &[&[u8]]) -> Result<(), Malformed> {
        wire::push_frame(self.connections.output(key), first_byte, body);
        Ok(())
    }

    fn close(&mut self, key: usize) {
        let Some(connection) = self.connections.slab.try_remove(key) else { return };
        for topic in connection.topics {
            if let Some(subscribers) = self.subscribers.get_mut(&topic) {
                subscribers.retain(|&subscriber| subscriber != key);
                if subscribers.is_empty() {
                    self.subscribers.remove(&topic);
                }
            }
        }
    }
}

impl Connections {
    /// Where bytes for this connection go; they are written at the end of the turn.
    fn output(&mut self, key: usize) -> &mut Vec<u8> {
        let connection = &mut self.slab[key];
        if !connection.is_dirty {
            connection.is_dirty = true;
            self.dirty.push(key);
        }
        if connection.output.capacity() == 0 {
            connection.output = self.spare_buffers.pop().unwrap_or_default();
        }
        &mut connection.output
    }

    fn unblock(&mut self, key: usize) {
        let Some(connection) = self.slab.get_mut(key) else { return };
        connection.is_blocked = false;
        if !connection.is_dirty && !connection.output.is_empty() {
            connection.is_dirty = true;
            self.dirty.push(key);
        }
    }

    /// Writes once what this connection has to say.
    fn flush(&mut self, key: usize) -> Link {
        let Some(connection) = self.slab.get_mut(key) else { return Link::Open };
        connection.is_dirty = false;
        if !connection.is_blocked {
            match connection.stream.write(&connection.output) {
                Ok(count) if count == connection.output.len() => {
                    let mut buffer = std::mem::take(&mut connection.output);
                    buffer.clear();
                    self.spare_buffers.push(buffer);
                    return Link::Open;
                }
                Ok(count) => drop(connection.output.drain(..count)),
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(_) => return Link::Closed,
            }
            connection.is_blocked = true;
        }
        if connection.output.len() > OUTPUT_BYTES_MAX { Link::Closed } else { Link::Open }
    }
}

impl Connection {
    fn new(stream: TcpStream) -> Self {
        Self {
            stream,
            level: wire::LEVEL_3_1_1,
            topics: Vec::new(),
            assembler: Assembler::default(),
            output: Vec::new(),
            is_dirty: false,
            is_blocked: false,
        }
    }
}
