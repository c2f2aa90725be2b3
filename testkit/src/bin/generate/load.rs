//! The load itself: one thread, one readiness loop, as many connections as asked for.
//!
//! Closed loop: a publisher has at most its window of messages under way. A message is under way until the broker has
//! acknowledged it (QoS 1 and 2) and every subscriber has received its copy, which the generator sees because it plays
//! both sides. So nothing piles up in the broker, and what is measured is the broker at the pace it can keep.

use std::io::ErrorKind;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use mio::{Events, Interest, Poll, Token};

use crate::client::Client;
use crate::cpu::CpuTime;
use crate::histogram::Histogram;
use crate::options::Options;
use crate::traffic::{Counts, Traffic};

const READ_BYTES: usize = 256 * 1024;

/// Without any delivery for this long, what is under way counts as lost.
const STALL: Duration = Duration::from_secs(1);

/// What a run found.
pub(crate) struct Findings {
    /// The whole run, to the last message.
    pub(crate) total: Counts,
    /// Between warm-up and end, as is everything below.
    pub(crate) measured: Counts,
    pub(crate) duration: Duration,
    /// Writes of publishers.
    pub(crate) writes: u64,
    /// From handing a message to the socket until a copy was read.
    pub(crate) latency: Histogram,
    pub(crate) broker: Option<CpuTime>,
}

/// Opens all connections, runs the load and closes them.
pub(crate) fn run(options: &Options) -> Result<Findings> {
    let mut load = Load::open(options)?;
    load.drive(options.warm_up())?;

    let (started, counts, writes) = (Instant::now(), load.traffic.counts, load.writes);
    let broker = broker_time(options)?;
    load.traffic.latency = Histogram::new();
    load.drive(options.measured())?;
    let duration = started.elapsed();
    let broker = broker.zip(broker_time(options)?).map(|(before, after)| after - before);
    let (measured, writes) = (load.traffic.counts.since(&counts), load.writes - writes);
    let latency = std::mem::replace(&mut load.traffic.latency, Histogram::new());

    load.drain()?;
    Ok(Findings { total: load.traffic.counts, measured, duration, writes, latency, broker })
}

fn broker_time(options: &Options) -> Result<Option<CpuTime>> {
    options.pid.map(CpuTime::of_process).transpose()
}

struct Load {
    poll: Poll,
    events: Events,
    /// Publishers first, then subscribers.
    clients: Vec<Client>,
    publishers: usize,
    traffic: Traffic,
    /// Connections with something to write.
    dirty: Vec<usize>,
    read_buffer: Box<[u8]>,
    writes: u64,
    started: Instant,
    last_delivery: Instant,
    is_sending: bool,
}

impl Load {
    fn open(options: &Options) -> Result<Self> {
        let poll = Poll::new()?;
        let topics: Vec<String> = (0..options.publishers()).map(topic).collect();
        let mut clients = open_clients(options, &topics)?;
        for (index, client) in clients.iter_mut().enumerate() {
            let interests = Interest::READABLE | Interest::WRITABLE;
            poll.registry().register(&mut client.stream, Token(index), interests)?;
        }
        Ok(Self {
            poll,
            events: Events::with_capacity(4096),
            clients,
            publishers: topics.len(),
            traffic: Traffic::new(options, &topics),
            dirty: Vec::new(),
            read_buffer: vec![0; READ_BYTES].into_boxed_slice(),
            writes: 0,
            started: Instant::now(),
            last_delivery: Instant::now(),
            is_sending: true,
        })
    }

    /// Keeps every window full for this long.
    fn drive(&mut self, duration: Duration) -> Result<()> {
        let end = Instant::now() + duration;
        loop {
            let now = Instant::now();
            if now >= end {
                return Ok(());
            }
            if now > self.last_delivery + STALL {
                self.traffic.give_up_waiting();
                self.last_delivery = now;
            }
            self.turn(STALL.min(end - now))?;
        }
    }

    /// Sends nothing new and waits for what is under way.
    fn drain(&mut self) -> Result<()> {
        self.is_sending = false;
        self.last_delivery = Instant::now();
        while self.traffic.counts.lost() > 0 && self.last_delivery.elapsed() < STALL {
            self.turn(STALL)?;
        }
        Ok(())
    }

    /// Takes what has arrived, publishes where there is room, and writes each connection once.
    fn turn(&mut self, timeout: Duration) -> Result<()> {
        if self.is_sending {
            self.publish();
        }
        self.flush()?;
        let mut events = std::mem::replace(&mut self.events, Events::with_capacity(0));
        match self.poll.poll(&mut events, Some(timeout)) {
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            result => result.context("cannot wait for readiness")?,
        }
        for event in events.iter() {
            let Token(index) = event.token();
            if event.is_writable() {
                self.clients[index].unblock();
                self.dirty.push(index);
            }
            if event.is_readable() {
                self.read(index)?;
            }
        }
        self.events = events;
        Ok(())
    }

    fn publish(&mut self) {
        let now = self.started.elapsed();
        while let Some(publisher) = self.traffic.next_ready() {
            self.traffic.fill_window(publisher, now, &mut self.clients[publisher].output);
            self.dirty.push(publisher);
        }
    }

    /// Reads once; again only if the buffer was filled, because no further event would come.
    fn read(&mut self, index: usize) -> Result<()> {
        let received = self.traffic.counts.received;
        while let Some(count) = self.clients[index].read(&mut self.read_buffer)? {
            let now = self.started.elapsed();
            let traffic = &mut self.traffic;
            self.clients[index]
                .take(&self.read_buffer[..count], |frame, output| traffic.take(index, frame, now, output))?;
            if count < self.read_buffer.len() {
                break;
            }
        }
        if self.traffic.counts.received > received {
            self.last_delivery = Instant::now();
        }
        self.dirty.push(index);
        Ok(())
    }

    fn flush(&mut self) -> Result<()> {
        for index in self.dirty.drain(..) {
            let wrote = self.clients[index].flush()?;
            self.writes += u64::from(wrote && index < self.publishers);
        }
        Ok(())
    }
}

fn open_clients(options: &Options, topics: &[String]) -> Result<Vec<Client>> {
    let open = |role: &str, index: usize, filters: &[&str]| {
        let client_id = format!("generate-{}-{role}-{index}", std::process::id());
        Client::open(options.connect, options.level, &client_id, filters, options.qos)
    };
    let mut clients = Vec::new();
    for index in 0..options.publishers() {
        clients.push(open("publisher", index, &[])?);
    }
    for index in 0..options.subscribers() {
        let filters: Vec<&str> = topics[options.sources(index)].iter().map(String::as_str).collect();
        clients.push(open("subscriber", index, &filters)?);
    }
    Ok(clients)
}

/// 36 bytes, as topics in the field are; of this run alone, so that two generators do not meet.
fn topic(publisher: usize) -> String {
    format!("generate/{:010}/{publisher:05}/temperature", std::process::id())
}
