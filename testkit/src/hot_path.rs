//! The hot path without a machine: one shard in memory that is given the bytes its clients would send, and emptied
//! in the order in which the runtime empties it.
//!
//! It is for counting what a message costs where clocks are not steady enough: instructions and allocations
//! (`examples/instructions.rs`, `examples/allocations.rs`). Its own share is small: acknowledgements are written by
//! hand, a few bytes each, and at QoS 0 nothing is looked at. [`HotPath::round`] owes nothing to anybody when it
//! returns, so rounds can be repeated for ever.

use crate::sim::{self, Locks};
use crate::wire::{self, LEVEL_3_1_1, first_byte};
use noctule_auth::Access;
use noctule_codec::{Delivery, Packet, PacketId, Properties, ProtocolVersion, QoS};
use noctule_engine::{Carrier, Directory, Effects, Mail, Record, Request, Shard, ShardConfig, ShardId, Turn};
use noctule_session::{ConnectionId, Instant, Limits, Position};
use std::hint::black_box;
use std::sync::Arc;

/// What is repeated.
#[derive(Clone, Copy, Debug)]
pub struct Workload {
    /// How it is called in tables and on command lines.
    pub name: &'static str,
    /// What a message is in it.
    pub about: &'static str,
    kind: Kind,
}

#[derive(Clone, Copy, Debug)]
enum Kind {
    /// The decoder alone reads a PUBLISH of QoS 0.
    Decode,
    /// The encoder alone writes a delivery of QoS 0.
    Encode,
    /// A publisher's messages go through the shard.
    Publish(Shape),
}

/// Who publishes how to whom.
#[derive(Clone, Copy, Debug)]
struct Shape {
    qos: QoS,
    subscribers: u32,
    /// Messages in one read.
    batch: u16,
    routes: Routes,
}

/// Whether the shard may keep the routes it has found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Routes {
    Kept,
    /// Each publication is matched, among [`FILTERS`] wildcard filters that lie on its way.
    Searched,
}

impl Workload {
    /// All of them.
    pub const ALL: [Self; 11] = [
        Self { name: "decode", about: "PUBLISH of 57 bytes, QoS 0, read by the codec", kind: Kind::Decode },
        Self { name: "encode", about: "the same, written by the codec", kind: Kind::Encode },
        publish("nobody", "16 in one read, for nobody; route kept", QoS::AtMostOnce, 0, 16),
        Self {
            name: "nobody-searched",
            about: "the same; the route searched for among 1,000 wildcard filters",
            kind: Kind::Publish(Shape {
                qos: QoS::AtMostOnce,
                subscribers: 0,
                batch: 16,
                routes: Routes::Searched,
            }),
        },
        publish("p2p-qos0", "16 in one read, for one subscriber", QoS::AtMostOnce, 1, 16),
        publish("p2p-qos1", "the same with QoS 1, both ends acknowledged", QoS::AtLeastOnce, 1, 16),
        publish("p2p-qos2", "the same with QoS 2", QoS::ExactlyOnce, 1, 16),
        publish("p2p-qos0-single", "one in a read, for one subscriber", QoS::AtMostOnce, 1, 1),
        publish("p2p-qos1-single", "the same with QoS 1", QoS::AtLeastOnce, 1, 1),
        publish("fan-out-qos0", "8 in one read for 100 subscribers, per copy", QoS::AtMostOnce, 100, 8),
        publish("fan-out-qos1", "the same with QoS 1", QoS::AtLeastOnce, 100, 8),
    ];

    /// The one of this name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|workload| workload.name == name)
    }

    /// Gets ready to deal with messages: connections are there, subscriptions made.
    pub fn prepare(self) -> Prepared {
        match self.kind {
            Kind::Decode => Prepared::Decode,
            Kind::Encode => Prepared::Encode,
            Kind::Publish(shape) => Prepared::Publish(Box::new(HotPath::new(shape))),
        }
    }
}

const fn publish(
    name: &'static str,
    about: &'static str,
    qos: QoS,
    subscribers: u32,
    batch: u16,
) -> Workload {
    let routes = Routes::Kept;
    Workload { name, about, kind: Kind::Publish(Shape { qos, subscribers, batch, routes }) }
}

/// A workload that can begin.
#[derive(Debug)]
pub enum Prepared {
    /// The codec reads.
    Decode,
    /// The codec writes.
    Encode,
    /// A shard works.
    Publish(Box<HotPath>),
}

impl Prepared {
    /// Deals with so many messages or a few more, and says how many it were. In a fan-out each copy counts.
    pub fn run(&mut self, messages: u64) -> u64 {
        match self {
            Self::Decode => decode(messages),
            Self::Encode => encode(messages),
            Self::Publish(path) => {
                let rounds = messages.div_ceil(path.per_round);
                (0..rounds).for_each(|_| path.round());
                rounds * path.per_round
            }
        }
    }
}

/// A shard with a publisher, its subscribers and what the runtime would keep for them.
#[derive(Debug)]
pub struct HotPath {
    shard: Shard,
    directory: Directory,
    fx: Effects,
    /// By slot; the publisher is the first.
    clients: Vec<Client>,
    /// What the publisher sends in a round.
    publishes: Vec<u8>,
    qos: QoS,
    per_round: u64,
    out: Vec<u8>,
    dirty: Vec<ConnectionId>,
}

#[derive(Debug, Default)]
struct Client {
    /// Acknowledgements it owes.
    answers: Vec<u8>,
}

impl HotPath {
    fn new(shape: Shape) -> Self {
        let config = ShardConfig { id: ShardId(0), shards: 1, seed: 1 };
        let mut limits = Limits::default();
        if shape.routes == Routes::Searched {
            limits.route_cache_bytes_max = 0;
            // The allowance would pause a publisher whose every publication is searched for at one moment.
            limits.match_visits_per_second_max = 0;
        }
        let mut path = Self {
            shard: Shard::new(config, Arc::new(limits), Arc::new(Access::unconfigured())),
            directory: Directory::new::<Locks>(1),
            fx: Effects::default(),
            clients: Vec::new(),
            publishes: publishes(shape),
            qos: shape.qos,
            per_round: u64::from(shape.subscribers.max(1)) * u64::from(shape.batch),
            out: Vec::with_capacity(FLUSH_BYTES),
            dirty: Vec::new(),
        };
        path.open("publisher", &[]);
        for number in 0..shape.subscribers {
            path.open(&format!("subscriber-{number}"), &[TOPIC.to_owned()]);
        }
        if shape.routes == Routes::Searched {
            let filters: Vec<String> =
                (0..FILTERS).map(|number| format!("bench/00000001/+/{number:09}/#")).collect();
            path.open("bystander", &filters);
        }
        path
    }

    /// The publisher sends a batch, and everybody answers until nothing is owed.
    ///
    /// # Panics
    /// If the shard delivers more or less than it should: a cost of something else is of no use.
    pub fn round(&mut self) {
        let publishes = std::mem::take(&mut self.publishes);
        let mut copies = self.give(0, &publishes);
        self.publishes = publishes;
        while !self.dirty.is_empty() {
            copies += self.flush_all();
            copies += self.answer_all();
        }
        let expected = if self.qos > QoS::AtMostOnce { self.per_round } else { 0 };
        assert_eq!(copies, expected, "as many copies as there are subscribers");
    }

    fn open(&mut self, client_id: &str, filters: &[String]) {
        let slot = self.clients.len();
        self.clients.push(Client::default());
        let mut turn = Turn { now: NOW, directory: &self.directory, fx: &mut self.fx };
        self.shard.open(id(slot), "127.0.0.1:1", false, &mut turn);
        let mut bytes = Vec::new();
        wire::push_connect(&mut bytes, LEVEL_3_1_1, client_id);
        if !filters.is_empty() {
            let filters = filters.iter().map(String::as_str);
            wire::push_subscribe(&mut bytes, LEVEL_3_1_1, 1, filters, 2);
        }
        self.give(slot, &bytes);
        self.flush_all();
    }

    /// Gives bytes in as many turns as the shard wants, and says how many copies were flushed meanwhile.
    fn give(&mut self, slot: usize, mut bytes: &[u8]) -> u64 {
        let mut copies = 0;
        loop {
            let mut turn = Turn { now: NOW, directory: &self.directory, fx: &mut self.fx };
            let received = self.shard.receive(id(slot), bytes, &mut turn);
            self.end_turn();
            bytes = &bytes[received.consumed..];
            if bytes.is_empty() {
                return copies;
            }
            copies += self.flush_all();
        }
    }

    /// The end of a turn, as the runtime does it with durability `memory`.
    fn end_turn(&mut self) {
        let mut turn = Turn { now: NOW, directory: &self.directory, fx: &mut self.fx };
        self.shard.end_turn(&mut Nowhere, &mut turn);
        self.dirty.append(&mut self.fx.dirty);
        self.fx.events.clear();
        assert!(self.fx.drops.is_empty(), "nothing is dropped");
    }

    /// Flushes each connection that has something to send, and says how many copies that were.
    fn flush_all(&mut self) -> u64 {
        let mut copies = 0;
        let mut dirty = std::mem::take(&mut self.dirty);
        for id in dirty.drain(..) {
            self.out.clear();
            let mut turn = Turn { now: NOW, directory: &self.directory, fx: &mut self.fx };
            self.shard.flush(id, FLUSH_BYTES, &mut self.out, &mut turn);
            if self.qos > QoS::AtMostOnce {
                copies += answer(&self.out, &mut self.clients[id.slot as usize].answers);
            }
            black_box(&self.out);
        }
        self.dirty = dirty;
        self.end_turn();
        copies
    }

    fn answer_all(&mut self) -> u64 {
        let mut copies = 0;
        for slot in 0..self.clients.len() {
            if self.clients[slot].answers.is_empty() {
                continue;
            }
            let mut answers = std::mem::take(&mut self.clients[slot].answers);
            copies += self.give(slot, &answers);
            answers.clear();
            // What it owes by now goes behind, in the room that is there already.
            answers.append(&mut self.clients[slot].answers);
            self.clients[slot].answers = answers;
        }
        copies
    }
}

/// Where records and mail go: one shard has nobody to write to, and its journal is memory.
#[derive(Debug)]
pub struct Nowhere;

impl Carrier for Nowhere {
    fn append(&mut self, records: &mut Vec<Record>) -> Position {
        records.clear();
        Position::NOWHERE
    }

    fn ask(&mut self, requests: std::vec::Drain<'_, Request>) {
        assert_eq!(requests.count(), 0, "nothing was left to a journal");
    }

    fn send(&mut self, mail: std::vec::Drain<'_, (ShardId, Mail)>) {
        assert_eq!(mail.count(), 0, "one shard has nobody to write to");
    }
}

/// Writes the acknowledgements that these packets ask for, and counts the PUBLISH packets among them. All packets of
/// the hot path are shorter than 128 bytes, so their length is one byte.
fn answer(mut packets: &[u8], answers: &mut Vec<u8>) -> u64 {
    let mut copies = 0;
    while let [kind, length, rest @ ..] = packets {
        let (body, after) = rest.split_at(usize::from(*length));
        packets = after;
        let id_at = if kind & 0xF0 == first_byte::PUBLISH { 2 + TOPIC.len() } else { 0 };
        let reply = match (kind & 0xF0, kind & 6) {
            (first_byte::PUBLISH, 2) => first_byte::PUBACK,
            (first_byte::PUBLISH, 4) => first_byte::PUBREC,
            (first_byte::PUBREC, _) => first_byte::PUBREL,
            (PUBREL_KIND, _) => first_byte::PUBCOMP,
            _ => continue,
        };
        copies += u64::from(id_at > 0);
        wire::push_acknowledgement(answers, reply, [body[id_at], body[id_at + 1]]);
    }
    copies
}

fn publishes(shape: Shape) -> Vec<u8> {
    let mut bytes = Vec::new();
    for packet_id in 1..=shape.batch {
        wire::push_publish(&mut bytes, LEVEL_3_1_1, TOPIC, shape.qos as u8, packet_id, &PAYLOAD);
    }
    bytes
}

fn decode(messages: u64) -> u64 {
    let mut decoder = noctule_codec::Decoder::server(u32::MAX);
    let mut connect = Vec::new();
    sim::connect(ProtocolVersion::V3_1_1, "decode")
        .encode(ProtocolVersion::V3_1_1, &mut connect)
        .expect("short");
    decoder.decode(&connect).expect("a valid CONNECT");
    let mut bytes = Vec::new();
    wire::push_publish(&mut bytes, LEVEL_3_1_1, TOPIC, 0, 0, &PAYLOAD);
    for _ in 0..messages {
        let decoded = decoder.decode(black_box(&bytes)).expect("a valid PUBLISH");
        assert!(matches!(black_box(decoded), Some((Packet::Publish(_), _))));
    }
    messages
}

fn encode(messages: u64) -> u64 {
    let delivery = Delivery {
        topic: TOPIC,
        payload: &PAYLOAD,
        dup: false,
        qos: QoS::AtMostOnce,
        retain: false,
        packet_id: None::<PacketId>,
        forwarded: Properties::EMPTY,
        message_expiry_interval: None,
        topic_alias: None,
        subscription_identifiers: &[],
    };
    let mut out = Vec::with_capacity(64);
    for _ in 0..messages {
        out.clear();
        black_box(&delivery).encode(ProtocolVersion::V3_1_1, &mut out).expect("short");
        black_box(&out);
    }
    messages
}

fn id(slot: usize) -> ConnectionId {
    ConnectionId { slot: u32::try_from(slot).expect("few connections"), generation: 1 }
}

/// 36 bytes, as topics in the field are, and as `noctule bench` has them.
const TOPIC: &str = "bench/00000001/000000001/temperature";
const PAYLOAD: [u8; 16] = [7; 16];
const FILTERS: u32 = 1_000;
/// PUBREL without its flags.
const PUBREL_KIND: u8 = first_byte::PUBREL & 0xF0;
const FLUSH_BYTES: usize = 128 << 10;
const NOW: Instant = Instant::from_millis(1_000_000);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_workload_deals_with_what_it_counts() {
        for workload in Workload::ALL {
            let mut prepared = workload.prepare();
            let messages = prepared.run(1_000);
            assert!((1_000..2_000).contains(&messages), "{}: {messages}", workload.name);
            let Prepared::Publish(path) = prepared else { continue };
            let stats = path.shard.stats();
            let (searched, sent) = (workload.name.ends_with("searched"), stats.publishes_sent);
            assert_eq!(
                sent,
                if workload.name.starts_with("nobody") { 0 } else { messages },
                "{}",
                workload.name
            );
            let misses = if searched { messages } else { 1 };
            assert_eq!(stats.route_misses, misses, "{}", workload.name);
        }
    }

    #[test]
    fn names_find_their_workloads() {
        for workload in Workload::ALL {
            assert_eq!(Workload::named(workload.name).map(|found| found.about), Some(workload.about));
        }
        assert!(Workload::named("nothing").is_none());
    }
}
