//! What was promised to whom and what came: written while a world runs, judged when it has settled.
//!
//! The judge knows nothing of the broker. It has the log of what clients saw, in one order, and the standard.
//! Where a client cannot know whether the broker has heard it (a request without its answer, a publication
//! without its acknowledgement), either outcome is right.
//!
//! Payloads name publications, so every payload of a judged world is used once; empty ones clear retained
//! messages and are not judged as deliveries.

use super::Crash;
use noctule_codec::QoS;
use noctule_session::client::{Delivery, Token};
use noctule_session::{Durability, Instant};
use noctule_topic::{Subscription as FilterText, matches};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// One thing that a client did or saw.
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "the fields say what they are")]
pub enum Entry {
    /// What follows happens at this time.
    Time { now: Instant },
    /// A client exists.
    Client { client: usize, client_id: Arc<str>, durable: bool },
    /// It says CONNECT.
    Connecting {
        client: usize,
        clean_start: bool,
        leaves_session: bool,
        expires_after_seconds: Option<u32>,
        will: Option<(Arc<str>, Arc<[u8]>)>,
        delayed: bool,
    },
    /// CONNACK has come.
    Connected { client: usize, session_present: bool },
    /// It says DISCONNECT.
    Leaving { client: usize },
    /// It has heard of the end of its connection, or turns away from it.
    Ended { client: usize },
    /// Its connection is broken; either end may hear of it from now on.
    Broken { client: usize },
    /// It publishes what so much is promised of.
    Publish {
        client: usize,
        token: Token,
        topic: Arc<str>,
        payload: Arc<[u8]>,
        qos: QoS,
        retain: bool,
        durability: Durability,
    },
    /// PUBACK or PUBCOMP has come.
    Acknowledged { client: usize, token: Token },
    /// The broker has not accepted a publication, because it could not record it.
    Refused { client: usize, token: Token },
    /// What the broker did, which no client sees.
    Broker { what: String },
    /// The broker has ended; who heard of it did so later.
    Crashed { crash: Crash },
    /// It says SUBSCRIBE.
    Subscribe { client: usize, filter: Arc<str>, request: Token },
    /// It says UNSUBSCRIBE.
    Unsubscribe { client: usize, filter: Arc<str>, request: Token },
    /// SUBACK or UNSUBACK has come.
    Answered { client: usize, request: Token, granted: Option<QoS> },
    /// A message has come.
    Delivered { client: usize, delivery: Delivery },
    /// Something happened that must not.
    Wrong { client: usize, what: String },
}

/// A promise that was not kept.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fault {
    /// A client saw something that no broker may do.
    Wrong(String),
    /// An acknowledged publication did not reach somebody it was owed to.
    Lost(String),
    /// A publication came more often than it may.
    Duplicate(String),
    /// A publication came behind a later one.
    Disorder(String),
    /// A message that nobody published, or at another topic or a higher QoS.
    Invented(String),
    /// A message for somebody who did not subscribe.
    NotSubscribed(String),
    /// A publication was never acknowledged.
    Unacknowledged(String),
    /// A will was published too often or not at all.
    Will(String),
    /// A retained message that is not the last one.
    Retained(String),
    /// A session that was there although its time was over.
    Expired(String),
}

/// The log.
#[derive(Clone, Debug, Default)]
pub struct Ledger {
    /// Everything, in the order in which it happened.
    pub entries: Vec<Entry>,
}

impl std::fmt::Display for Entry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        match self {
            Self::Publish { client, token, topic, payload, qos, retain, durability } => {
                let (token, payload, level) = (token.0, text(payload), durability.name());
                write!(
                    f,
                    "{client} publishes {token}: {payload:?} on {topic}, {qos:?}, retain {retain}, {level}"
                )
            }
            Self::Time { now } => write!(f, "at {}", now.as_millis()),
            Self::Acknowledged { client, token } => write!(f, "{client} has {} acknowledged", token.0),
            Self::Delivered {
                client,
                delivery: Delivery { topic, payload, qos, dup, retain, packet_id, .. },
            } => {
                let payload = text(payload);
                let id = packet_id.map_or(0, noctule_codec::PacketId::get);
                write!(f, "{client} got {payload:?} on {topic}, {qos:?}, dup {dup}, retain {retain}, id {id}")
            }
            Self::Connecting { client, clean_start, will, .. } => {
                let will = will.as_ref().map(|(_, payload)| text(payload));
                write!(f, "{client} says CONNECT, clean start {clean_start}, will {will:?}")
            }
            Self::Broker { what } => write!(f, "{what}"),
            entry => write!(f, "{entry:?}"),
        }
    }
}

impl Ledger {
    pub(super) fn write(&mut self, entry: Entry) {
        self.entries.push(entry);
    }

    /// Judges a world that has settled. `watcher` is a durable client that has wanted every will at QoS 2
    /// since before anybody had one.
    pub fn check(&self, watcher: Option<usize>) -> Vec<Fault> {
        let mut book = Book::read(&self.entries);
        book.check_acknowledged();
        book.check_deliveries();
        book.check_owed();
        book.check_groups();
        if let Some(watcher) = watcher {
            book.check_wills(watcher);
        }
        book.faults.sort();
        book.faults
    }

    /// How many sessions had to be gone when their clients came back after a crash, and were.
    pub fn expired_sessions(&self) -> usize {
        Book::read(&self.entries).expired_sessions
    }

    /// Judges what a client that came after everything had settled was given as retained messages.
    pub fn check_retained(&self, newcomer: usize) -> Vec<Fault> {
        Book::read(&self.entries).check_retained(newcomer)
    }
}

/// A publication as its publisher saw it. Times are places in the log.
#[derive(Debug)]
struct Publication {
    payload: Arc<[u8]>,
    publisher: usize,
    token: Token,
    topic: Arc<str>,
    qos: QoS,
    retain: bool,
    durability: Durability,
    began: usize,
    acknowledged: Option<usize>,
    /// How often the publisher may have had it routed.
    copies: usize,
    /// How often a crash may have taken back that it was routed, after somebody had it who did not wait.
    crashes: usize,
    /// The broker has said that it does not take it.
    is_refused: bool,
}

/// A subscription between two changes.
#[derive(Debug)]
struct Interval {
    filter: Arc<str>,
    share: Option<Box<str>>,
    request: Token,
    asked: usize,
    granted: Option<(usize, QoS)>,
    end_asked: Option<(usize, Token)>,
    /// From here on nothing new may be routed to it.
    ended: Option<usize>,
    /// Its session has ended, or may have, with everything it was owed.
    is_void: bool,
}

#[derive(Debug, Default)]
struct Subscriber {
    client_id: Arc<str>,
    durable: bool,
    intervals: Vec<Interval>,
    /// Where each of its connections began.
    connections: Vec<usize>,
    /// Where its session may have been lost.
    session_ends: Vec<usize>,
    /// The connection it makes leaves a session.
    leaves_session: bool,
    /// CONNACK has told it of a session that must not be lost.
    has_session: bool,
    /// After how long without a connection that may end.
    expires_after_seconds: Option<u32>,
    /// CONNACK has come on the connection it has or had last, and when that may have ended, if it may.
    is_acknowledged: bool,
    ended_from: Option<Instant>,
    /// When the last connection before that one may have ended on which CONNACK had come.
    last_ended_from: Option<Instant>,
    /// When the broker has ended, if that was since it said CONNECT last.
    crashed_at: Option<Instant>,
    /// Its session must have ended before it said CONNECT.
    must_be_gone: bool,
    deliveries: Vec<(usize, Delivery)>,
}

#[derive(Debug)]
struct Will {
    client: usize,
    topic: Arc<str>,
    payload: Arc<[u8]>,
    delayed: bool,
    is_connected: bool,
    is_leaving: bool,
    has_ended: bool,
}

#[derive(Debug, Default)]
struct Book {
    publications: Vec<Publication>,
    by_payload: BTreeMap<Arc<[u8]>, usize>,
    clients: BTreeMap<usize, Subscriber>,
    wills: Vec<Will>,
    /// Where the broker has ended, and how.
    crashes: Vec<(usize, Crash)>,
    faults: Vec<Fault>,
    /// Sessions that had to be gone when their clients came back after a crash, and were.
    expired_sessions: usize,
    now: Instant,
}

/// Reading the log.
impl Book {
    fn read(entries: &[Entry]) -> Self {
        let mut book = Self::default();
        for (at, entry) in entries.iter().enumerate() {
            book.enter(at, entry);
        }
        book
    }

    fn enter(&mut self, at: usize, entry: &Entry) {
        match entry {
            Entry::Time { now } => self.now = *now,
            Entry::Client { client, client_id, durable } => {
                let subscriber = self.clients.entry(*client).or_default();
                (subscriber.client_id, subscriber.durable) = (Arc::clone(client_id), *durable);
            }
            Entry::Connecting {
                client,
                clean_start,
                leaves_session,
                expires_after_seconds,
                will,
                delayed,
            } => {
                if *clean_start {
                    self.end_session(*client, at);
                }
                let now = self.now;
                let subscriber = self.client(*client);
                subscriber.connecting(now);
                subscriber.has_session &= !clean_start;
                subscriber.leaves_session = *leaves_session;
                subscriber.expires_after_seconds = *expires_after_seconds;
                self.leave_will(*client, will.clone(), *delayed);
            }
            Entry::Connected { client, session_present } => self.connected(*client, *session_present, at),
            Entry::Leaving { client } => {
                self.may_have_ended(*client);
                self.last_will(*client, |will| will.is_leaving = true);
            }
            Entry::Ended { client } => {
                self.may_have_ended(*client);
                self.last_will(*client, |will| will.has_ended = true);
            }
            Entry::Broken { client } => self.may_have_ended(*client),
            Entry::Publish { .. } => self.publish(entry, at),
            Entry::Acknowledged { client, token } => {
                self.answered(*client, *token, |publication| publication.acknowledged = Some(at));
            }
            Entry::Refused { client, token } => {
                self.answered(*client, *token, |publication| publication.is_refused = true);
            }
            Entry::Broker { .. } => {}
            Entry::Crashed { crash } => self.crashed(at, *crash),
            Entry::Subscribe { client, filter, request } => self.subscribe(*client, filter, *request, at),
            Entry::Unsubscribe { client, filter, request } => self.begin_end(*client, filter, *request, at),
            Entry::Answered { client, request, granted } => self.answer(*client, *request, *granted, at),
            Entry::Delivered { client, delivery } => {
                self.client(*client).deliveries.push((at, delivery.clone()));
            }
            Entry::Wrong { client, what } => {
                let client_id = Arc::clone(&self.client(*client).client_id);
                self.faults.push(Fault::Wrong(format!("{client_id}: {what}")));
            }
        }
    }

    fn leave_will(&mut self, client: usize, will: Option<(Arc<str>, Arc<[u8]>)>, delayed: bool) {
        self.wills.extend(will.map(|(topic, payload)| Will {
            client,
            topic,
            payload,
            delayed,
            is_connected: false,
            is_leaving: false,
            has_ended: false,
        }));
    }

    fn publish(&mut self, entry: &Entry, at: usize) {
        let Entry::Publish { client, token, topic, payload, qos, retain, durability } = entry else { return };
        self.by_payload.insert(Arc::clone(payload), self.publications.len());
        self.publications.push(Publication {
            payload: Arc::clone(payload),
            publisher: *client,
            token: *token,
            topic: Arc::clone(topic),
            qos: *qos,
            retain: *retain,
            durability: *durability,
            began: at,
            acknowledged: None,
            copies: 1,
            crashes: 0,
            is_refused: false,
        });
    }

    /// The broker has answered a publication.
    fn answered(&mut self, publisher: usize, token: Token, change: impl FnOnce(&mut Publication)) {
        let is_it = |it: &&mut Publication| it.publisher == publisher && it.token == token;
        if let Some(publication) = self.publications.iter_mut().find(is_it) {
            change(publication);
        }
    }

    fn client(&mut self, client: usize) -> &mut Subscriber {
        self.clients.entry(client).or_default()
    }

    fn last_will(&mut self, client: usize, change: impl FnOnce(&mut Will)) {
        if let Some(will) = self.wills.iter_mut().rev().find(|will| will.client == client) {
            change(will);
        }
    }

    fn connected(&mut self, client: usize, session_present: bool, at: usize) {
        self.last_will(client, |will| will.is_connected = true);
        let now = self.now;
        let subscriber = self.client(client);
        subscriber.connections.push(at);
        let what = format!("the session of {}", subscriber.client_id);
        let may_have_expired = subscriber.may_have_expired(now);
        let must_be_there = subscriber.has_session && !may_have_expired;
        let must_be_gone = subscriber.must_be_gone;
        subscriber.has_session = subscriber.leaves_session;
        subscriber.is_acknowledged = true;
        self.expired_sessions += usize::from(must_be_gone && !session_present);
        match session_present {
            true if must_be_gone => self.faults.push(Fault::Expired(what)),
            false if must_be_there => self.faults.push(Fault::Lost(what)),
            _ => {}
        }
        if !session_present {
            self.end_session(client, at);
        } else if may_have_expired {
            self.doubt_session(client, at);
        }
        // What is not acknowledged is sent again: as a repetition, or as new where the session is lost.
        let repeats = |publication: &&mut Publication| {
            let is_waiting = publication.publisher == client && publication.acknowledged.is_none();
            is_waiting && (publication.qos == QoS::AtLeastOnce || !session_present || may_have_expired)
        };
        for publication in self.publications.iter_mut().filter(repeats) {
            publication.copies += 1;
        }
    }

    /// The connection of a client may end from now on.
    fn may_have_ended(&mut self, client: usize) {
        let now = self.now;
        self.client(client).ended_from.get_or_insert(now);
    }

    /// Every connection has ended, also for those who have not heard of it.
    fn crashed(&mut self, at: usize, crash: Crash) {
        self.crashes.push((at, crash));
        for subscriber in self.clients.values_mut() {
            subscriber.ended_from.get_or_insert(self.now);
            subscriber.crashed_at = Some(self.now);
        }
        self.wills.iter_mut().for_each(|will| will.has_ended = true);
        let is_waiting = |publication: &&mut Publication| publication.acknowledged.is_none();
        for publication in self.publications.iter_mut().filter(is_waiting) {
            publication.crashes += 1;
        }
    }

    fn end_session(&mut self, client: usize, at: usize) {
        let subscriber = self.client(client);
        subscriber.session_ends.push(at);
        for interval in subscriber.intervals.iter_mut().filter(|interval| interval.ended.is_none()) {
            interval.ended = Some(at);
        }
        for interval in &mut subscriber.intervals {
            interval.is_void = true;
        }
    }

    /// The session may be another one than its client thinks: it has expired, and CONNACK of the connection that made
    /// the next one was lost.
    fn doubt_session(&mut self, client: usize, at: usize) {
        let subscriber = self.client(client);
        subscriber.session_ends.push(at);
        subscriber.intervals.iter_mut().for_each(|interval| interval.is_void = true);
    }

    fn subscribe(&mut self, client: usize, filter: &Arc<str>, request: Token, at: usize) {
        // A subscription that is replaced ends when its successor begins.
        self.begin_end(client, filter, request, at);
        let parsed = FilterText::parse(filter).expect("the filters of tests are valid");
        self.client(client).intervals.push(Interval {
            filter: parsed.filter.as_str().into(),
            share: parsed.share_name.map(|_| filter.as_ref().into()),
            request,
            asked: at,
            granted: None,
            end_asked: None,
            ended: None,
            is_void: false,
        });
    }

    fn begin_end(&mut self, client: usize, filter: &str, request: Token, at: usize) {
        let parsed = FilterText::parse(filter).expect("the filters of tests are valid");
        let share: Option<Box<str>> = parsed.share_name.map(|_| filter.into());
        let is_it = |interval: &&mut Interval| {
            *interval.filter == *parsed.filter.as_str() && interval.share == share && interval.ended.is_none()
        };
        for interval in self.client(client).intervals.iter_mut().filter(is_it) {
            // An earlier end that was never answered may have happened then already.
            let since = interval.end_asked.map_or(at, |(since, _)| since);
            interval.end_asked = Some((since, request));
        }
    }

    fn answer(&mut self, client: usize, request: Token, granted: Option<QoS>, at: usize) {
        for interval in &mut self.client(client).intervals {
            if interval.request == request {
                interval.granted = granted.map(|qos| (at, qos));
            }
            if interval.end_asked.is_some_and(|(_, token)| token == request) && interval.ended.is_none() {
                interval.ended = Some(at);
            }
        }
    }
}

/// Judging.
impl Book {
    /// What has settled is acknowledged.
    fn check_acknowledged(&mut self) {
        for publication in &self.publications {
            let is_answered = publication.acknowledged.is_some() || publication.is_refused;
            if publication.qos > QoS::AtMostOnce && !is_answered {
                self.faults.push(Fault::Unacknowledged(publication.name()));
            }
        }
    }

    /// Every single delivery is one that may be, as often as it may be, and in order.
    fn check_deliveries(&mut self) {
        let will_payloads: BTreeSet<_> = self.wills.iter().map(|will| Arc::clone(&will.payload)).collect();
        let mut faults = Vec::new();
        for subscriber in self.clients.values() {
            let mut order = BTreeMap::new();
            let mut counts = BTreeMap::new();
            let mut kept = BTreeMap::new();
            for (at, delivery) in &subscriber.deliveries {
                if delivery.payload.is_empty() || will_payloads.contains(delivery.payload.as_ref()) {
                    continue;
                }
                let Some(&number) = self.by_payload.get(delivery.payload.as_ref()) else {
                    faults.push(Fault::Invented(subscriber.got(delivery)));
                    continue;
                };
                let publication = &self.publications[number];
                subscriber.check_right(publication, delivery, *at, &mut faults);
                let is_routed_once = self.is_routed_once(&publication.topic);
                if publication.retain && is_routed_once {
                    subscriber.check_kept(number, delivery, *at, &mut kept, &mut faults);
                }
                if !delivery.retain {
                    subscriber.check_count(publication, delivery, *at, &mut counts, &mut faults);
                    subscriber.check_order(number, publication, delivery, &mut order, &mut faults);
                }
            }
        }
        self.faults.append(&mut faults);
    }

    /// No publication on this topic was repeated, or may have come to nothing, so their order is certain.
    fn is_routed_once(&self, topic: &str) -> bool {
        let is_once = |publication: &Publication| {
            publication.copies == 1 && publication.crashes == 0 && !self.may_be_lost(publication)
        };
        self.publications.iter().all(|publication| *publication.topic != *topic || is_once(publication))
    }

    /// Every acknowledged publication has reached every durable session whose subscription was certain while
    /// it was on its way.
    fn check_owed(&mut self) {
        for publication in self.publications.iter().filter(|publication| publication.is_judged()) {
            for subscriber in self.clients.values().filter(|subscriber| subscriber.durable) {
                let mut intervals = subscriber.intervals.iter();
                let is_owed =
                    intervals.any(|interval| interval.share.is_none() && interval.is_certain(publication));
                if is_owed && !subscriber.has(publication) && !self.may_be_lost(publication) {
                    let what = format!("{} to {}", publication.name(), subscriber.client_id);
                    self.faults.push(Fault::Lost(what));
                }
            }
        }
    }

    /// Every acknowledged publication has reached one member of every shared group, and no more than one while
    /// no member's session ended.
    fn check_groups(&mut self) {
        let shares: BTreeSet<Box<str>> = self
            .clients
            .values()
            .flat_map(|client| &client.intervals)
            .filter_map(|it| it.share.clone())
            .collect();
        for share in &shares {
            for publication in &self.publications {
                let fault = self.check_group(share, publication);
                self.faults.extend(fault);
            }
        }
    }

    fn check_group(&self, share: &str, publication: &Publication) -> Option<Fault> {
        let of_group = |interval: &&Interval| interval.share.as_deref() == Some(share);
        let members: Vec<_> = self
            .clients
            .values()
            .filter(|client| client.intervals.iter().any(|interval| of_group(&interval)))
            .collect();
        let has_certain = members.iter().any(|member| {
            let mut intervals = member.intervals.iter().filter(of_group);
            member.durable && intervals.any(|interval| interval.is_certain(publication))
        });
        let session_ends = members.iter().flat_map(|member| &member.session_ends);
        let ends = session_ends.filter(|end| **end > publication.began).count();
        let having = members.iter().filter(|member| member.has(publication)).count();
        // Transient members take messages with them to their end, so nothing is certain where there are any.
        let is_owed = publication.is_judged()
            && !self.may_be_lost(publication)
            && has_certain
            && members.iter().all(|member| member.durable);
        let what = || format!("{} in {share}", publication.name());
        if is_owed && ends == 0 && having == 0 {
            return Some(Fault::Lost(what()));
        }
        // A delivery at QoS 1 returns to the group when its session ends; one at QoS 2 that has begun does not.
        let may_return = members.iter().any(|member| member.has_at(publication, QoS::AtLeastOnce));
        // One at QoS 1 does not wait for a record, so a crash may take it back.
        let most = publication.copies + if may_return { ends + self.crashes_since(publication) } else { 0 };
        (having > most).then(|| Fault::Duplicate(format!("{} for {having} members", what())))
    }

    fn crashes_since(&self, publication: &Publication) -> usize {
        self.crashes.iter().filter(|(at, _)| *at > publication.began).count()
    }

    /// Less was promised of it than a crash since then takes.
    fn may_be_lost(&self, publication: &Publication) -> bool {
        let is_taken = |crash| match publication.durability {
            Durability::Memory => true,
            Durability::Os => crash == Crash::PowerCut,
            Durability::Disk => false,
        };
        self.crashes.iter().any(|(at, crash)| *at > publication.began && is_taken(*crash))
    }

    /// A will is published once for a connection that ended without DISCONNECT, and not for one that lasts.
    fn check_wills(&mut self, watcher: usize) {
        let Some(watcher) = self.clients.get(&watcher) else { return };
        for will in &self.wills {
            let came = watcher.deliveries.iter().filter(|(_, delivery)| *delivery.payload == *will.payload);
            let (came, topics) = came.fold((0, true), |(count, topics), (_, delivery)| {
                (count + 1, topics && *delivery.topic == *will.topic)
            });
            let expected = match () {
                () if !will.is_connected || will.is_leaving || will.delayed => 0..=1,
                () if will.has_ended => 1..=1,
                () => 0..=0,
            };
            if !expected.contains(&came) || !topics {
                let payload = String::from_utf8_lossy(&will.payload).into_owned();
                self.faults.push(Fault::Will(format!("{payload:?} came {came} times, not {expected:?}")));
            }
        }
    }

    /// A newcomer was given the last value of every topic it asked for, and nothing else.
    fn check_retained(&self, newcomer: usize) -> Vec<Fault> {
        let mut last: BTreeMap<&str, &Publication> = BTreeMap::new();
        let is_taken = |publication: &&Publication| publication.retain && !publication.is_refused;
        for publication in self.publications.iter().filter(is_taken) {
            last.insert(&publication.topic, publication);
        }
        let uncertain: BTreeSet<&str> =
            last.values().filter(|it| self.may_be_lost(it)).map(|it| &*it.topic).collect();
        last.retain(|_, publication| !publication.payload.is_empty());
        let subscriber = &self.clients[&newcomer];
        let mut got: BTreeMap<&str, &Delivery> = BTreeMap::new();
        let mut faults = Vec::new();
        for (_, delivery) in &subscriber.deliveries {
            if !delivery.retain || got.insert(&delivery.topic, delivery).is_some() {
                faults.push(Fault::Retained(format!("{} not once as retained", subscriber.got(delivery))));
            }
        }
        // One that was taken, unknown to its publisher, before it was refused may have stayed.
        let maybe = |publication: &&Publication| {
            publication.retain && publication.is_refused && !publication.is_surely_refused()
        };
        for publication in self.publications.iter().filter(maybe) {
            let topic = &*publication.topic;
            let kept = got.get(topic).map_or(&[][..], |delivery| &delivery.payload);
            if *kept == *publication.payload
                && last.get(topic).is_none_or(|last| last.began < publication.began)
            {
                got.remove(topic);
                last.remove(topic);
            }
        }
        // Where the last one may be lost, any earlier one may be there again, or none.
        last.retain(|topic, _| !uncertain.contains(topic));
        got.retain(|topic, delivery| {
            let mut earlier = self.publications.iter().filter(|it| it.retain && *it.topic == **topic);
            !uncertain.contains(topic) || !earlier.any(|it| *it.payload == *delivery.payload)
        });
        for (topic, publication) in &last {
            match got.remove(topic) {
                Some(delivery) if *delivery.payload == *publication.payload => {}
                got => faults.push(Fault::Retained(format!(
                    "{}, but {} got {:?}",
                    publication.name(),
                    subscriber.client_id,
                    got.map(|delivery| String::from_utf8_lossy(&delivery.payload).into_owned())
                ))),
            }
        }
        faults.extend(got.values().map(|delivery| Fault::Retained(subscriber.got(delivery))));
        faults
    }
}

impl Publication {
    fn name(&self) -> String {
        let payload = String::from_utf8_lossy(&self.payload);
        format!("{payload:?} on {:?} at {:?} by {}", self.topic, self.qos, self.publisher)
    }

    /// It was refused, and no earlier copy of it may have been taken.
    fn is_surely_refused(&self) -> bool {
        self.is_refused && self.copies == 1 && self.crashes == 0
    }

    /// Acknowledged above QoS 0, and not there to clear.
    fn is_judged(&self) -> bool {
        self.qos > QoS::AtMostOnce && self.acknowledged.is_some() && !self.payload.is_empty()
    }
}

impl Interval {
    /// The subscription was in force, above QoS 0, during the whole way of the publication.
    fn is_certain(&self, publication: &Publication) -> bool {
        let Some(acknowledged) = publication.acknowledged else { return false };
        let is_granted =
            self.granted.is_some_and(|(since, qos)| since < publication.began && qos > QoS::AtMostOnce);
        let lasts = self.end_asked.is_none_or(|(end, _)| end > acknowledged)
            && self.ended.is_none_or(|end| end > acknowledged);
        is_granted && lasts && !self.is_void && matches(&self.filter, &publication.topic)
    }

    /// The subscription may have been in force at some point of the publication's way.
    fn is_possible(&self, publication: &Publication) -> bool {
        self.asked < publication.acknowledged.unwrap_or(usize::MAX)
            && self.ended.is_none_or(|end| end > publication.began)
            && matches(&self.filter, &publication.topic)
    }
}

/// What was delivered how often at a QoS, which a subscription may change: in all, first sent, and per connection.
type Counts = BTreeMap<(Arc<[u8]>, QoS), (usize, usize, BTreeMap<usize, usize>)>;
/// The last publication by publisher, topic and QoS of the delivery, and what has come at all.
/// The last publication by topic, as live and as retained message, and the session it was for.
type Kept = BTreeMap<(Box<str>, usize), (usize, usize)>;
type Order = BTreeMap<(usize, Arc<str>, QoS, bool), (usize, BTreeSet<usize>)>;

impl Subscriber {
    /// It says CONNECT. If no connection can have been there since the broker ended, the session has been without one
    /// since then at the latest.
    fn connecting(&mut self, now: Instant) {
        let ended_from = self.ended_from.take();
        if std::mem::take(&mut self.is_acknowledged) {
            self.last_ended_from = ended_from;
        }
        let crashed_at = self.crashed_at.take();
        let over = crashed_at.zip(self.expires_after_seconds).map(|(at, seconds)| at.plus_seconds(seconds));
        self.must_be_gone = over.is_some_and(|over| over + TIMERS_LATE_MILLIS < now);
    }

    /// Its session may have been without a connection for so long that it has ended.
    fn may_have_expired(&self, now: Instant) -> bool {
        let over = self.last_ended_from.zip(self.expires_after_seconds);
        over.is_some_and(|(from, seconds)| from.plus_seconds(seconds) <= now)
    }

    fn got(&self, delivery: &Delivery) -> String {
        let payload = String::from_utf8_lossy(&delivery.payload);
        let Delivery { topic, qos, dup, retain, packet_id, .. } = delivery;
        format!(
            "{} got {payload:?} on {topic:?} at {qos:?}, dup {dup}, retain {retain}, id {packet_id:?}",
            self.client_id
        )
    }

    fn has(&self, publication: &Publication) -> bool {
        self.deliveries.iter().any(|(_, delivery)| delivery.payload[..] == publication.payload[..])
    }

    fn has_at(&self, publication: &Publication, qos: QoS) -> bool {
        let is_it = |delivery: &Delivery| delivery.payload[..] == publication.payload[..];
        self.deliveries.iter().any(|(_, delivery)| is_it(delivery) && delivery.qos == qos)
    }

    fn check_right(
        &self,
        publication: &Publication,
        delivery: &Delivery,
        at: usize,
        faults: &mut Vec<Fault>,
    ) {
        if *delivery.topic != *publication.topic
            || delivery.qos > publication.qos
            || (delivery.retain && !publication.retain)
            || publication.is_surely_refused()
        {
            faults.push(Fault::Invented(format!("{}, but it is {}", self.got(delivery), publication.name())));
        }
        let mut intervals = self.intervals.iter();
        let is_subscribed = match delivery.retain {
            true => intervals.any(|it| it.asked < at && matches(&it.filter, &delivery.topic)),
            // A group may have kept the message for whoever joins it.
            false => intervals.any(|it| {
                it.is_possible(publication)
                    || (it.share.is_some() && it.asked < at && matches(&it.filter, &delivery.topic))
            }),
        };
        if !is_subscribed {
            faults.push(Fault::NotSubscribed(self.got(delivery)));
        }
    }

    fn check_count(
        &self,
        publication: &Publication,
        delivery: &Delivery,
        at: usize,
        counts: &mut Counts,
        faults: &mut Vec<Fault>,
    ) {
        let connection = self.connections.iter().filter(|began| **began < at).count();
        let (all, first, per_connection) =
            counts.entry((Arc::clone(&publication.payload), delivery.qos)).or_default();
        let here = per_connection.entry(connection).or_default();
        *all += 1;
        *here += 1;
        *first += usize::from(!delivery.dup);
        // What does not wait for a record may be followed by a copy that the publisher sent after a crash.
        let routed = publication.copies + publication.crashes;
        let is_too_often = match delivery.qos {
            QoS::AtLeastOnce => *here > routed || *first > routed,
            QoS::ExactlyOnce if self.durable => *all > publication.copies,
            QoS::AtMostOnce | QoS::ExactlyOnce => *all > routed,
        };
        // A message of a group comes again from a member whose session ended, to whoever is left.
        let is_shared = self.intervals.iter().any(|interval| interval.share.is_some());
        if is_too_often && !(is_shared && delivery.qos == QoS::AtLeastOnce) {
            let cause = format!("{}, {all} times, of {} copies", self.got(delivery), publication.copies);
            faults.push(Fault::Duplicate(cause));
        }
    }

    /// A retained message is never older than a live one that was sent before it, and no live one that comes
    /// for the first time is older than a retained one. A topic of retained messages has one publisher.
    fn check_kept(
        &self,
        number: usize,
        delivery: &Delivery,
        at: usize,
        kept: &mut Kept,
        faults: &mut Vec<Fault>,
    ) {
        let session = self.session_ends.iter().filter(|end| **end < at).count();
        let (live, retained) = kept.entry((delivery.topic.clone(), session)).or_default();
        let (this, other) = if delivery.retain { (retained, live) } else { (live, retained) };
        if number < *other && number > *this && !delivery.dup {
            faults.push(Fault::Disorder(format!("{} behind a later one", self.got(delivery))));
        }
        *this = (*this).max(number);
    }

    /// First deliveries keep the order of their publisher, per topic and QoS [MQTT-4.6.0-5]. A publication
    /// that was routed twice may come late: its first copy may have been for nobody.
    fn check_order(
        &self,
        number: usize,
        publication: &Publication,
        delivery: &Delivery,
        order: &mut Order,
        faults: &mut Vec<Fault>,
    ) {
        let is_shared = self.intervals.iter().any(|interval| interval.share.is_some());
        // QoS 0 waits for no window and may overtake what does.
        let waits = publication.qos > QoS::AtMostOnce;
        let key = (publication.publisher, Arc::clone(&publication.topic), delivery.qos, waits);
        let (last, seen) = order.entry(key).or_default();
        let is_first = seen.insert(number);
        let is_routed_once = publication.copies == 1 && publication.crashes == 0;
        if is_first && number < *last && is_routed_once && !is_shared {
            faults.push(Fault::Disorder(self.got(delivery)));
        }
        *last = (*last).max(number);
    }
}

/// Timers fire so late at most.
const TIMERS_LATE_MILLIS: u64 = 100;
