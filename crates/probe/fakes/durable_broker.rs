//! A broker for the tests of `prove`: just enough MQTT to be killed and started again, and one fault on demand.
//!
//! `fake-durable-broker PORT DIR FAULT` listens on 127.0.0.1. Every event is a line in a journal before anybody hears
//! of it, and a start replays the journal, so `kill -9` costs it nothing. A fault is something the replay does not get
//! right. A thread per connection; one lock around the state; no bound on anything.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fs::{self, File};
use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::{env, process, thread};

use noctule_codec::{
    Ack, ConnAck, Decoder, Packet, PacketId, Properties, ProtocolVersion, Publish, QoS, ReasonCode, SubAck,
};

/// What the broker does wrong, if anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    None,
    /// Every seventh publication is not there any more after a restart.
    Lose,
    /// After a restart some exchanges of QoS 2 that were complete begin again.
    Double,
    /// One session is not there any more after a restart.
    Forget,
    /// After a restart each retained topic has the value before the last.
    Older,
    /// It starts once and never again.
    StayDown,
    /// It acknowledges no publication.
    Mute,
    /// It ends by itself in the midst of the load, and loses nothing by it.
    Faint,
}

/// Something that changes the state; a line in the journal.
#[derive(Clone, Debug)]
enum Event {
    Connect {
        client: String,
        version: ProtocolVersion,
        is_durable: bool,
        will: Option<Message>,
    },
    Subscribe {
        client: String,
        filter: String,
        qos: QoS,
    },
    Publish {
        client: String,
        packet_id: u16,
        message: Message,
    },
    Release {
        client: String,
        packet_id: u16,
    },
    Settle {
        client: String,
        answer: Answer,
        packet_id: u16,
    },
    Leave {
        client: String,
    },
    /// The will of a client that was connected when the broker was killed is published.
    Fire {
        client: String,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Answer {
    /// PUBACK.
    Acknowledged,
    /// PUBREC.
    Received,
    /// PUBCOMP.
    Complete,
}

#[derive(Clone, Debug)]
struct Message {
    qos: QoS,
    retain: bool,
    topic: String,
    payload: Vec<u8>,
}

struct Broker {
    fault: Fault,
    journal: File,
    is_replaying: bool,
    sessions: BTreeMap<String, Session>,
    /// The value of each topic, and the one before.
    retained: BTreeMap<String, (Message, Option<Message>)>,
    publications: u64,
}

struct Session {
    version: ProtocolVersion,
    is_durable: bool,
    socket: Option<TcpStream>,
    will: Option<Message>,
    filters: Vec<(String, QoS)>,
    /// QoS 2 ids of publications that were taken and not released yet.
    inbound: BTreeSet<u16>,
    owed: VecDeque<Owed>,
    last_packet_id: u16,
}

struct Owed {
    packet_id: u16,
    message: Message,
    is_released: bool,
}

fn main() {
    let arguments: Vec<String> = env::args().collect();
    let [_, port, folder, fault] = arguments.try_into().expect("PORT DIR FAULT");
    let fault = Fault::named(&fault).expect("a fault from the list");
    let path = Path::new(&folder).join("journal");
    let written = fs::read_to_string(&path).unwrap_or_default();
    if fault == Fault::StayDown && !written.is_empty() {
        process::exit(3);
    }
    let journal = File::options().create(true).append(true).open(&path).expect("a writable folder");
    let broker = Arc::new(Mutex::new(Broker::recover(fault, journal, &written)));
    let port: u16 = port.parse().expect("a port");
    let listener = TcpListener::bind(("127.0.0.1", port)).expect("a free port");
    for socket in listener.incoming() {
        let (socket, broker) = (socket.expect("a connection"), Arc::clone(&broker));
        thread::spawn(move || serve(socket, &broker));
    }
}

/// Serves one connection until it is over.
fn serve(mut socket: TcpStream, broker: &Mutex<Broker>) {
    socket.set_nodelay(true).expect("TCP has the option");
    let mut decoder = Decoder::server(1 << 20);
    let (mut received, mut buffer, mut client) = (Vec::new(), vec![0; 65_536], None);
    while let Ok(count @ 1..) = socket.read(&mut buffer) {
        received.extend_from_slice(&buffer[..count]);
        let mut at = 0;
        while let Some((packet, length)) = decoder.decode(&received[at..]).expect("the probe sends MQTT") {
            at += length;
            let mut broker = broker.lock().expect("no thread has panicked");
            if let Packet::Connect(connect) = &packet {
                client = Some(connect.client_id.to_owned());
            }
            let client = client.as_deref().expect("CONNECT comes first");
            if !broker.take(client, &packet, &socket) {
                let _ = socket.shutdown(Shutdown::Both);
                return;
            }
        }
        received.drain(..at);
    }
    if let Some(client) = client {
        broker.lock().expect("no thread has panicked").happen(Event::Leave { client });
    }
}

impl Broker {
    fn recover(fault: Fault, journal: File, written: &str) -> Self {
        let mut broker = Self {
            fault,
            journal,
            is_replaying: true,
            sessions: BTreeMap::new(),
            retained: BTreeMap::new(),
            publications: 0,
        };
        // The last line may be torn; nobody has heard of it.
        let whole = written.rfind('\n').map_or("", |end| &written[..=end]);
        for event in whole.lines().filter_map(Event::read) {
            broker.apply(event);
        }
        if fault == Fault::Older {
            for (last, before) in broker.retained.values_mut() {
                *last = before.take().unwrap_or_else(|| last.clone());
            }
        }
        broker.is_replaying = false;
        let due = broker.sessions.iter().filter(|(_, session)| session.will.is_some());
        let due: Vec<String> = due.map(|(client, _)| client.clone()).collect();
        due.into_iter().for_each(|client| broker.happen(Event::Fire { client }));
        broker.sessions.retain(|_, session| session.is_durable);
        broker
    }

    /// Takes a packet; returns whether the connection goes on.
    fn take(&mut self, client: &str, packet: &Packet<'_>, socket: &TcpStream) -> bool {
        let settle = |answer, ack: &Ack<'_>| Event::Settle {
            client: client.to_owned(),
            answer,
            packet_id: ack.packet_id.get(),
        };
        let client = client.to_owned();
        match packet {
            Packet::Connect(connect) => {
                let will = connect
                    .will
                    .as_ref()
                    .map(|will| Message::new(will.qos, will.retain, will.topic, will.payload));
                let is_durable = !connect.clean_start;
                let is_present = self.sessions.contains_key(&client) && is_durable;
                let version = connect.version;
                self.happen(Event::Connect { client: client.clone(), version, is_durable, will });
                self.welcome(&client, is_present, socket);
            }
            Packet::Subscribe(subscribe) => {
                let (filter, options) = subscribe.filters.iter().next().expect("the probe sends one filter");
                let (filter, qos) = (filter.to_owned(), options.qos);
                self.happen(Event::Subscribe { client: client.clone(), filter: filter.clone(), qos });
                let reason_codes = vec![ReasonCode::from_u8(qos as u8).expect("a granted QoS")].into();
                let properties = Properties::EMPTY;
                let packet_id = subscribe.packet_id;
                self.send(&client, &Packet::SubAck(SubAck { packet_id, properties, reason_codes }));
                self.send_retained(&client, &filter);
            }
            Packet::Publish(publish) => {
                let packet_id = publish.packet_id.expect("the probe publishes at QoS 1 and 2").get();
                let message = Message::new(publish.qos, publish.retain, publish.topic, publish.payload);
                self.happen(Event::Publish { client, packet_id, message });
            }
            Packet::PubRel(ack) => self.happen(Event::Release { client, packet_id: ack.packet_id.get() }),
            Packet::PubAck(ack) => self.happen(settle(Answer::Acknowledged, ack)),
            Packet::PubRec(ack) => self.happen(settle(Answer::Received, ack)),
            Packet::PubComp(ack) => self.happen(settle(Answer::Complete, ack)),
            Packet::PingReq => self.send(&client, &Packet::PingResp),
            Packet::Disconnect(_) => {
                self.happen(Event::Leave { client });
                return false;
            }
            other => panic!("the probe sent {other:?}"),
        }
        true
    }

    /// Writes an event down, then lets it happen.
    fn happen(&mut self, event: Event) {
        self.journal.write_all(event.line().as_bytes()).expect("a writable journal");
        self.apply(event);
    }

    fn apply(&mut self, event: Event) {
        match event {
            Event::Connect { client, version, is_durable, will } => {
                if self.is_replaying && self.fault == Fault::Forget && client.ends_with("online-1-0") {
                    return;
                }
                let session =
                    self.sessions.entry(client).or_insert_with(|| Session::new(version, is_durable));
                session.will = will;
            }
            Event::Subscribe { client, filter, qos } => {
                if let Some(session) = self.sessions.get_mut(&client) {
                    session.filters.push((filter, qos));
                }
            }
            Event::Publish { client, packet_id, message } => self.publish(&client, packet_id, &message),
            Event::Release { client, packet_id } => {
                if let Some(session) = self.sessions.get_mut(&client) {
                    session.inbound.remove(&packet_id);
                }
                self.send(&client, &Packet::PubComp(ack(packet_id)));
            }
            Event::Settle { client, answer, packet_id } => self.settle(&client, answer, packet_id),
            Event::Leave { client } => {
                if let Some(session) = self.sessions.get_mut(&client) {
                    (session.socket, session.will) = (None, None);
                    if !session.is_durable {
                        self.sessions.remove(&client);
                    }
                }
            }
            Event::Fire { client } => {
                let will = self.sessions.get_mut(&client).and_then(|session| session.will.take());
                if let Some(will) = will {
                    self.route(&will, false);
                }
            }
        }
    }

    fn publish(&mut self, client: &str, packet_id: u16, message: &Message) {
        let is_new = message.qos != QoS::ExactlyOnce
            || self.sessions.get_mut(client).is_none_or(|session| session.inbound.insert(packet_id));
        if is_new {
            self.publications += 1;
            if self.fault == Fault::Faint && !self.is_replaying && self.publications.is_multiple_of(150) {
                process::exit(5);
            }
            let is_lost =
                self.is_replaying && self.fault == Fault::Lose && self.publications.is_multiple_of(7);
            if message.retain {
                let before = self.retained.remove(&message.topic).map(|(last, _)| last);
                self.retained.insert(message.topic.clone(), (message.clone(), before));
            }
            self.route(message, is_lost);
        }
        match message.qos {
            _ if self.fault == Fault::Mute => {}
            QoS::ExactlyOnce => self.send(client, &Packet::PubRec(ack(packet_id))),
            _ => self.send(client, &Packet::PubAck(ack(packet_id))),
        }
    }

    /// Owes a message to whom it concerns. A lost one takes its packet ids with it, so that all others stay as they
    /// were.
    fn route(&mut self, message: &Message, is_lost: bool) {
        let mut receivers = Vec::new();
        let mut members = Vec::new();
        for (client, session) in &self.sessions {
            for (filter, qos) in &session.filters {
                match filter.strip_prefix("$share/prove/") {
                    Some(filter) if matches(filter, &message.topic) => members.push((client.clone(), *qos)),
                    None if matches(filter, &message.topic) => receivers.push((client.clone(), *qos)),
                    _ => {}
                }
            }
        }
        if !members.is_empty() {
            receivers.push(members.swap_remove(self.publications as usize % members.len()));
        }
        for (client, qos) in receivers {
            let session = self.sessions.get_mut(&client).expect("it was just there");
            let message = Message { qos: message.qos.min(qos), retain: false, ..message.clone() };
            session.last_packet_id = session.last_packet_id % u16::MAX + 1;
            let owed = Owed { packet_id: session.last_packet_id, message, is_released: false };
            if !is_lost {
                session.send_owed(&owed, false);
                session.owed.push_back(owed);
            }
        }
    }

    fn settle(&mut self, client: &str, answer: Answer, packet_id: u16) {
        if self.is_replaying
            && self.fault == Fault::Double
            && packet_id.is_multiple_of(16)
            && answer != Answer::Acknowledged
        {
            return;
        }
        let Some(session) = self.sessions.get_mut(client) else { return };
        if answer == Answer::Received {
            for owed in session.owed.iter_mut().filter(|owed| owed.packet_id == packet_id) {
                owed.is_released = true;
            }
            session.send(&Packet::PubRel(ack(packet_id)));
        } else {
            session.owed.retain(|owed| owed.packet_id != packet_id);
        }
    }

    /// CONNACK, and again what is owed [MQTT-4.4.0-1].
    fn welcome(&mut self, client: &str, session_present: bool, socket: &TcpStream) {
        let session = self.sessions.get_mut(client).expect("it has just connected");
        session.socket = Some(socket.try_clone().expect("a socket"));
        let (reason_code, properties) = (ReasonCode::Success, Properties::EMPTY);
        session.send(&Packet::ConnAck(ConnAck { session_present, reason_code, properties }));
        let owed = std::mem::take(&mut session.owed);
        owed.iter().for_each(|owed| session.send_owed(owed, true));
        session.owed = owed;
    }

    fn send_retained(&mut self, client: &str, filter: &str) {
        let found = self.retained.values().filter(|(last, _)| matches(filter, &last.topic));
        let found: Vec<Message> = found.map(|(last, _)| last.clone()).collect();
        let session = self.sessions.get_mut(client).expect("it has just subscribed");
        for message in found {
            session.send(&message.packet(QoS::AtMostOnce, None, false, true));
        }
    }

    /// A client that is not there hears nothing; neither does anybody while the journal is replayed.
    fn send(&mut self, client: &str, packet: &Packet<'_>) {
        if let Some(session) = self.sessions.get_mut(client) {
            session.send(packet);
        }
    }
}

impl Session {
    fn new(version: ProtocolVersion, is_durable: bool) -> Self {
        Self {
            version,
            is_durable,
            socket: None,
            will: None,
            filters: Vec::new(),
            inbound: BTreeSet::new(),
            owed: VecDeque::new(),
            last_packet_id: 0,
        }
    }

    fn send_owed(&mut self, owed: &Owed, dup: bool) {
        if owed.is_released {
            return self.send(&Packet::PubRel(ack(owed.packet_id)));
        }
        let packet_id = PacketId::new(owed.packet_id);
        self.send(&owed.message.packet(owed.message.qos, packet_id, dup, false));
    }

    fn send(&mut self, packet: &Packet<'_>) {
        if let Some(socket) = &mut self.socket {
            let mut bytes = Vec::new();
            packet.encode(self.version, &mut bytes).expect("a packet of the probe's, or an answer to it");
            // A client that has gone gets nothing.
            let _ = socket.write_all(&bytes);
        }
    }
}

impl Message {
    fn new(qos: QoS, retain: bool, topic: &str, payload: &[u8]) -> Self {
        Self { qos, retain, topic: topic.to_owned(), payload: payload.to_owned() }
    }

    fn packet(&self, qos: QoS, packet_id: Option<PacketId>, dup: bool, retain: bool) -> Packet<'_> {
        let (topic, payload, properties) = (&*self.topic, &*self.payload, Properties::EMPTY);
        Packet::Publish(Publish { dup, qos, retain, topic, packet_id, properties, payload })
    }

    fn fields(&self) -> String {
        let hex: String = self.payload.iter().map(|byte| format!("{byte:02x}")).collect();
        format!("{}\t{}\t{}\t{hex}", self.qos as u8, self.retain, self.topic)
    }

    fn read<'a>(mut fields: impl Iterator<Item = &'a str>) -> Option<Self> {
        let qos = QoS::from_bits(fields.next()?.parse().ok()?)?;
        let (retain, topic, hex) = (fields.next()?.parse().ok()?, fields.next()?.to_owned(), fields.next()?);
        let bytes = (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(hex.get(at..at + 2)?, 16).ok());
        Some(Self { qos, retain, topic, payload: bytes.collect::<Option<_>>()? })
    }
}

impl Event {
    fn line(&self) -> String {
        match self {
            Self::Connect { client, version, is_durable, will } => {
                let version = if *version == ProtocolVersion::V5 { 5 } else { 4 };
                let will = will.as_ref().map(Message::fields).unwrap_or_default();
                format!("connect\t{client}\t{version}\t{is_durable}\t{will}\n")
            }
            Self::Subscribe { client, filter, qos } => {
                format!("subscribe\t{client}\t{filter}\t{}\n", *qos as u8)
            }
            Self::Publish { client, packet_id, message } => {
                format!("publish\t{client}\t{packet_id}\t{}\n", message.fields())
            }
            Self::Release { client, packet_id } => format!("release\t{client}\t{packet_id}\n"),
            Self::Settle { client, answer, packet_id } => format!("{answer:?}\t{client}\t{packet_id}\n"),
            Self::Leave { client } => format!("leave\t{client}\n"),
            Self::Fire { client } => format!("fire\t{client}\n"),
        }
    }

    fn read(line: &str) -> Option<Self> {
        let mut fields = line.split('\t');
        let (kind, client) = (fields.next()?, fields.next()?.to_owned());
        let settle = |client, answer, packet_id: &str| {
            Some(Self::Settle { client, answer, packet_id: packet_id.parse().ok()? })
        };
        match kind {
            "connect" => {
                let version =
                    if fields.next()? == "5" { ProtocolVersion::V5 } else { ProtocolVersion::V3_1_1 };
                let is_durable = fields.next()?.parse().ok()?;
                Some(Self::Connect { client, version, is_durable, will: Message::read(fields) })
            }
            "subscribe" => {
                let filter = fields.next()?.to_owned();
                Some(Self::Subscribe { client, filter, qos: QoS::from_bits(fields.next()?.parse().ok()?)? })
            }
            "publish" => {
                let packet_id = fields.next()?.parse().ok()?;
                Some(Self::Publish { client, packet_id, message: Message::read(fields)? })
            }
            "release" => Some(Self::Release { client, packet_id: fields.next()?.parse().ok()? }),
            "Acknowledged" => settle(client, Answer::Acknowledged, fields.next()?),
            "Received" => settle(client, Answer::Received, fields.next()?),
            "Complete" => settle(client, Answer::Complete, fields.next()?),
            "leave" => Some(Self::Leave { client }),
            "fire" => Some(Self::Fire { client }),
            _ => None,
        }
    }
}

impl Fault {
    fn named(name: &str) -> Option<Self> {
        match name {
            "none" => Some(Self::None),
            "lose" => Some(Self::Lose),
            "double" => Some(Self::Double),
            "forget" => Some(Self::Forget),
            "older" => Some(Self::Older),
            "stay-down" => Some(Self::StayDown),
            "mute" => Some(Self::Mute),
            "faint" => Some(Self::Faint),
            _ => None,
        }
    }
}

fn ack(packet_id: u16) -> Ack<'static> {
    let packet_id = PacketId::new(packet_id).expect("ids of the journal are not 0");
    Ack { packet_id, reason_code: ReasonCode::Success, properties: Properties::EMPTY }
}

fn matches(filter: &str, topic: &str) -> bool {
    let (mut filters, mut levels) = (filter.split('/'), topic.split('/'));
    loop {
        match (filters.next(), levels.next()) {
            (Some("#"), _) | (None, None) => return true,
            (Some("+"), Some(_)) => {}
            (Some(filter), Some(level)) if filter == level => {}
            _ => return false,
        }
    }
}
