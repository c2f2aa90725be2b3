//! Clients that live in the simulation: they have the client machine, a memory, a network that breaks, and a
//! ledger that writes down what was promised to whom.
//!
//! [`World`] is for stories in MQTT's words and for chaos; [`Sim`] is for tests that look at packets.

use super::client::{SimClient, Stream, Wanted};
use super::ledger::{Entry, Ledger};
use super::network::{Faults, Pipe};
use super::{Crash, Random, Sim, SimOptions};
use noctule_codec::{
    Properties, Property, ProtocolVersion, QoS, ReasonCode, SubscribeFilters, SubscriptionOptions,
    UnsubscribeFilters,
};
use noctule_engine::Next;
use noctule_session::Instant;
use noctule_session::client::{
    ClientWill, ConnectOptions, DisconnectCause, Event, Flush, Message, PublishOutcome, Token,
};
use std::sync::Arc;

/// Which client.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Handle(pub usize);

/// A broker and its network.
#[derive(Clone, Default)]
pub struct WorldOptions {
    /// The broker.
    pub sim: SimOptions,
    /// The network.
    pub faults: Faults,
}

/// A client.
#[derive(Clone, Debug)]
pub struct ClientOptions {
    /// Its identifier.
    pub client_id: Arc<str>,
    /// The version it speaks.
    pub version: ProtocolVersion,
    /// Its session outlives its connections.
    pub durable: bool,
    /// By so many seconds, in 5.0; otherwise, and with the highest number, without end.
    pub session_expiry_seconds: u32,
    /// Keep alive in seconds.
    pub keep_alive_seconds: u16,
    /// Publications it takes at a time; only 5.0 can say so.
    pub receive_maximum: Option<u16>,
    /// Topic aliases it takes; only 5.0 can say so.
    pub topic_alias_maximum: u16,
    /// It leaves a will, whose payload names the connection.
    pub will: Option<WillOptions>,
    /// It connects again by itself when a connection ends.
    pub reconnects: bool,
}

/// The will of every connection of a client.
#[derive(Clone, Debug)]
pub struct WillOptions {
    /// Where it is published.
    pub topic: Arc<str>,
    /// At which QoS.
    pub qos: QoS,
    /// Seconds until it is published; 5.0 only.
    pub delay_seconds: u32,
}

/// A broker, a network and clients.
pub struct World {
    /// The broker.
    pub sim: Sim,
    /// What was promised and what came.
    pub ledger: Ledger,
    faults: Faults,
    random: Random,
    clients: Vec<SimClient>,
    streams: Vec<Stream>,
    /// When the broker has ended last.
    crashed_at: Instant,
    /// After so many steps of the broker it ends like this.
    crash_in: Option<(usize, Crash)>,
    /// The journal may refuse what needs a record.
    pub may_refuse: bool,
    /// How often the power went while the broker read its journal.
    pub recoveries_cut: usize,
    /// How often the broker started at an earlier time of day than that at which it had ended.
    pub clocks_behind: usize,
}

impl Default for ClientOptions {
    fn default() -> Self {
        Self {
            client_id: "".into(),
            version: ProtocolVersion::V5,
            durable: false,
            session_expiry_seconds: u32::MAX,
            keep_alive_seconds: 0,
            receive_maximum: None,
            topic_alias_maximum: 0,
            will: None,
            reconnects: false,
        }
    }
}

impl ClientOptions {
    /// The CONNECT of the connection with this number.
    fn connect(&self, must_start_clean: bool, connection: u32) -> ConnectOptions {
        let mut properties = Properties::new();
        if self.durable {
            properties.push(Property::SessionExpiryInterval(self.session_expiry_seconds));
        }
        if let Some(receive_maximum) = self.receive_maximum {
            properties.push(Property::ReceiveMaximum(receive_maximum));
        }
        properties.push(Property::TopicAliasMaximum(self.topic_alias_maximum));
        ConnectOptions {
            version: self.version,
            client_id: self.client_id.as_ref().into(),
            // In 3.x this leaves no session behind, so `handle_connected` connects once more without it.
            clean_start: must_start_clean,
            keep_alive_seconds: self.keep_alive_seconds,
            will: self.will.as_ref().map(|will| ClientWill {
                topic: will.topic.as_ref().into(),
                payload: will_payload(&self.client_id, connection).as_ref().into(),
                qos: will.qos,
                retain: false,
                properties: Properties::new().with(Property::WillDelayInterval(will.delay_seconds)),
            }),
            properties,
            response_timeout_ms: 3_000,
            ..ConnectOptions::default()
        }
    }

    /// After how many seconds the session it leaves behind ends, if it ever does.
    fn expires_after_seconds(&self) -> Option<u32> {
        let seconds = self.session_expiry_seconds;
        (self.version == ProtocolVersion::V5 && seconds < u32::MAX).then_some(seconds)
    }

    /// Whether the connection leaves a session behind. In 3.x a clean start never does.
    fn leaves_session(&self, clean_start: bool) -> bool {
        self.durable && (self.version == ProtocolVersion::V5 || !clean_start)
    }
}

/// Telling a story.
impl World {
    /// A broker with one shard and a network without faults.
    pub fn new(seed: u64) -> Self {
        Self::with(WorldOptions {
            sim: SimOptions { seed, ..SimOptions::default() },
            faults: Faults::default(),
        })
    }

    /// A broker and a network like these.
    pub fn with(options: WorldOptions) -> Self {
        Self {
            random: Random::new(options.sim.seed ^ 0x5eed),
            sim: Sim::with(options.sim),
            ledger: Ledger::default(),
            faults: options.faults,
            clients: Vec::new(),
            streams: Vec::new(),
            crashed_at: Instant::default(),
            crash_in: None,
            may_refuse: false,
            recoveries_cut: 0,
            clocks_behind: 0,
        }
    }

    /// A connected 5.0 client whose session ends with its connection.
    pub fn connect(&mut self, client_id: &str) -> Handle {
        self.connect_with(ClientOptions { client_id: client_id.into(), ..ClientOptions::default() })
    }

    /// A connected 5.0 client whose session outlives its connections.
    pub fn connect_durable(&mut self, client_id: &str) -> Handle {
        self.connect_with(ClientOptions {
            client_id: client_id.into(),
            durable: true,
            ..ClientOptions::default()
        })
    }

    /// A client like this, which has begun to connect and, without faults, is connected.
    pub fn connect_with(&mut self, options: ClientOptions) -> Handle {
        let is_slow =
            self.faults.slow_reader_one_in > 0 && self.random.one_in(self.faults.slow_reader_one_in);
        let client = self.clients.len();
        self.ledger.write(Entry::Client {
            client,
            client_id: options.client_id.clone(),
            durable: options.durable,
        });
        self.clients.push(SimClient::new(options, is_slow));
        self.connect_again(Handle(client));
        self.settle();
        Handle(client)
    }

    /// Connects the client with this id again. What it knew it still knows.
    pub fn resume(&mut self, client_id: &str) -> Handle {
        let client = self.clients.iter().position(|client| *client.options.client_id == *client_id);
        let handle = Handle(client.expect("the story has such a client"));
        self.connect_again(handle);
        self.settle();
        handle
    }

    /// Asks for a subscription, now and whenever it is not known to exist.
    pub fn subscribe(&mut self, client: Handle, filter: &str, qos: QoS) {
        self.clients[client.0].want(filter, qos, true);
        self.settle();
    }

    /// Ends a subscription, now or as soon as there is a connection.
    pub fn unsubscribe(&mut self, client: Handle, filter: &str) {
        self.clients[client.0].want(filter, QoS::AtMostOnce, false);
        self.settle();
    }

    /// Publishes; QoS 0 only if the client is connected.
    pub fn publish(&mut self, client: Handle, topic: &str, payload: &str, qos: QoS) {
        self.publish_with(client, topic, payload, qos, false);
    }

    /// Publishes a retained message; an empty payload clears the retained message of the topic.
    pub fn publish_retained(&mut self, client: Handle, topic: &str, payload: &str, qos: QoS) {
        self.publish_with(client, topic, payload, qos, true);
    }

    /// Breaks the connection of a client, which both ends see at once.
    pub fn cut(&mut self, client: Handle) {
        if let Some(stream) = self.clients[client.0].stream {
            self.break_stream(stream);
            self.streams[stream].client_notices_at = Some(self.sim.now);
            self.streams[stream].broker_notices_at = Some(self.sim.now);
        }
        self.settle();
    }

    /// The broker ends, and with it every connection. Clients go on and try to connect.
    pub fn crash(&mut self, crash: Crash) {
        self.crash_in = None;
        self.crashed_at = self.sim.now;
        self.sim.crash(crash);
        self.write_with_time(Entry::Crashed { crash });
        for stream in 0..self.streams.len() {
            let is_current = self.clients[self.streams[stream].client].stream == Some(stream);
            let has_ended = crash == Crash::Stop && self.sim.wires[self.streams[stream].wire].has_said_all;
            if is_current && !self.streams[stream].is_broken && !has_ended {
                // What the broker has written last is in the kernel's hands.
                if self.random.one_in(2) {
                    self.pump_down(stream);
                }
                self.break_stream(stream);
            }
        }
    }

    /// The broker ends after so many of its steps, in the middle of whatever is going on then.
    pub fn crash_after(&mut self, steps: usize, crash: Crash) {
        self.crash_in = Some((steps, crash));
    }

    /// The broker starts again. If the power goes meanwhile, it starts once more.
    pub fn restart(&mut self) {
        self.restart_behind(0);
    }

    /// The same with a clock that was set back by so many milliseconds while the broker was down.
    ///
    /// # Panics
    /// If the journal cannot be read, or if the broker begins at another time than it should.
    pub fn restart_behind(&mut self, millis: u64) {
        let time_of_day = Instant::from_millis(self.sim.now.as_millis().saturating_sub(millis));
        self.sim.set_clock_back(millis);
        while let Err(cause) = self.sim.restart() {
            assert!(self.sim.is_power_off(), "the journal cannot be read: {cause}");
            self.sim.crash(Crash::PowerCut);
            self.write_with_time(Entry::Crashed { crash: Crash::PowerCut });
            self.sim.set_clock_back(millis);
            self.recoveries_cut += 1;
        }
        self.clocks_behind += usize::from(time_of_day < self.crashed_at);
        // Nothing happens at a time that the clock never shows.
        assert_eq!(
            self.sim.now,
            time_of_day.max(self.crashed_at),
            "downtime is what the clock says, or nothing"
        );
        self.settle();
    }

    /// The broker ends and is back after this time.
    pub fn crash_and_recover(&mut self, crash: Crash, millis: u64) {
        self.crash(crash);
        self.run_for(millis);
        self.restart();
    }

    /// Lets a client say DISCONNECT.
    pub fn disconnect(&mut self, client: Handle) {
        let machine = &mut self.clients[client.0].machine;
        if machine.disconnect(ReasonCode::NORMAL_DISCONNECTION, Properties::EMPTY).is_ok() {
            self.write_with_time(Entry::Leaving { client: client.0 });
        }
        self.settle();
    }

    /// Lets a client give up its connection and open another one, which the broker hears of first.
    pub fn take_over(&mut self, client: Handle) {
        self.give_up(client.0);
        self.connect_again(client);
        self.settle();
    }

    /// Lets a client discard its session and begin a new one.
    pub fn start_clean(&mut self, client: Handle) {
        self.give_up(client.0);
        self.clients[client.0].must_start_clean = true;
        self.connect_again(client);
        self.settle();
    }

    /// Lets time pass until a client's publications above QoS 0 are acknowledged; gives up after an hour.
    pub fn run_until_acked(&mut self, client: Handle) {
        self.run_until(|world| world.clients[client.0].unsettled.is_empty());
    }

    /// Lets time pass until this is so, an hour at most. Returns whether it is.
    pub fn run_until(&mut self, is_so: impl Fn(&Self) -> bool) -> bool {
        let end = self.sim.now + 3_600_000;
        while self.sim.now < end && !is_so(self) {
            self.run_for(50);
        }
        is_so(self)
    }

    /// Lets time pass.
    pub fn run_for(&mut self, millis: u64) {
        let end = self.sim.now + millis;
        loop {
            self.settle();
            let next = self.next_time().filter(|next| *next <= end);
            let Some(next) = next else { break };
            self.sim.now = next.max(self.sim.now);
            self.handle_timeouts();
        }
        self.sim.now = end;
        self.settle();
    }

    /// What a client has received since it was last asked, as topics and payloads.
    pub fn received(&mut self, client: Handle) -> Vec<(String, String)> {
        let received = self.clients[client.0].received.drain(..);
        received
            .map(|delivery| {
                let payload = String::from_utf8_lossy(&delivery.payload).into_owned();
                (delivery.topic.into_string(), payload)
            })
            .collect()
    }

    /// Whether CONNACK has come and the client has not heard of an end.
    pub fn is_connected(&self, client: Handle) -> bool {
        self.clients[client.0].machine.is_connected()
    }

    /// From now on connections do not break and nothing is late; connections that are broken stay so.
    pub fn calm(&mut self) {
        self.faults = Faults { mangle: self.faults.mangle, ..Faults::default() };
        for stream in &mut self.streams {
            stream.up.spare();
            stream.down.spare();
        }
        for client in &mut self.clients {
            client.is_slow = false;
        }
    }

    /// Whether every client is connected, every wish is confirmed, every publication is settled, nothing is
    /// on its way and the broker owes nothing to anybody who is connected.
    pub fn is_settled(&self) -> bool {
        if self.sim.is_down() {
            return false;
        }
        let is_settled = |client: &SimClient| {
            client.machine.is_connected()
                && client.unsettled.is_empty()
                && client.machine.session().inbound.is_empty()
                && client.wanted.iter().all(|wanted| wanted.is_confirmed)
        };
        self.clients.iter().all(is_settled)
            && self.clients.iter().filter_map(|client| client.stream).all(|stream| {
                let stream = &self.streams[stream];
                !stream.is_broken && stream.up.is_empty() && stream.down.is_empty()
            })
            && self.sim.sessions().all(|session| session.outbound.is_empty() && session.will_due.is_none())
    }

    /// Why [`is_settled`](Self::is_settled) is not, for a person.
    pub fn describe(&self) -> String {
        let clients = self.clients.iter().map(|client| {
            format!(
                "{}: connected {}, unsettled {}, inbound {}, wanted {:?}\n",
                client.options.client_id,
                client.machine.is_connected(),
                client.unsettled.len(),
                client.machine.session().inbound.len(),
                client.wanted.iter().filter(|wanted| !wanted.is_confirmed).collect::<Vec<_>>(),
            )
        });
        let sessions = self.sim.sessions().map(|session| {
            let owed = session.outbound.iter().map(|owed| (owed.number.0, owed.phase(), owed.packet_id()));
            format!(
                "session {}: wire {:?}, {} bytes queued, owes {:?}\n",
                session.client_id,
                session.link.as_ref().map(|link| link.connection.slot),
                session.link.as_ref().map_or(0, |link| link.output.bytes()),
                owed.collect::<Vec<_>>()
            )
        });
        let current = self.clients.iter().filter_map(|client| client.stream);
        let streams = current.map(|stream| {
            let stream = &self.streams[stream];
            let wire = &self.sim.wires[stream.wire];
            format!(
                "stream of {}: wire {}, broken {}, to broker {} bytes, from broker {} bytes, \
                 next {:?}, wants flush {}\n",
                stream.client,
                stream.wire,
                stream.is_broken,
                wire.to_broker.len(),
                wire.from_broker.len(),
                wire.next,
                wire.wants_flush,
            )
        });
        clients.chain(sessions).chain(streams).collect()
    }
}

/// What clients do.
impl World {
    fn write_with_time(&mut self, entry: Entry) {
        self.ledger.write(Entry::Time { now: self.sim.now });
        self.ledger.write(entry);
    }

    fn publish_with(&mut self, client: Handle, topic: &str, payload: &str, qos: QoS, retain: bool) {
        let now = self.sim.now;
        let state = &mut self.clients[client.0];
        let message =
            Message { topic, payload: payload.as_bytes(), qos, retain, properties: Properties::EMPTY };
        let Ok(token) = state.machine.publish(&message, now) else { return };
        let payload: Arc<[u8]> = payload.as_bytes().into();
        if qos > QoS::AtMostOnce {
            state.unsettled.push(token);
        }
        self.ledger.write(Entry::Publish {
            client: client.0,
            token,
            topic: topic.into(),
            payload,
            qos,
            retain,
            durability: self.sim.options.limits.durability_of(topic),
        });
        self.settle();
    }

    /// Opens a stream and says CONNECT.
    fn connect_again(&mut self, client: Handle) {
        self.give_up(client.0);
        let state = &mut self.clients[client.0];
        if self.sim.is_down() {
            let later = self.random.below(RECONNECT_MILLIS_MAX) as u64;
            state.connect_at = Some(self.sim.now + 1 + later);
            return;
        }
        state.connect_at = None;
        state.connections += 1;
        let options = state.options.connect(state.must_start_clean, state.connections);
        let will =
            options.will.as_ref().map(|will| (will.topic.as_ref().into(), will.payload.as_ref().into()));
        let delayed = state.options.will.as_ref().is_some_and(|will| will.delay_seconds > 0);
        let clean_start = options.clean_start;
        state.machine.connect(options, self.sim.now).expect("short options");
        let leaves_session = state.options.leaves_session(clean_start);
        let expires_after_seconds = state.options.expires_after_seconds();
        self.write_with_time(Entry::Connecting {
            client: client.0,
            clean_start,
            leaves_session,
            expires_after_seconds,
            will,
            delayed,
        });
        let wire = self.sim.open();
        let state = &self.clients[client.0];
        self.sim.wires[wire].version = state.options.version;
        if state.is_slow {
            self.sim.wires[wire].reads_at_most = Some(SLOW_READER_BYTES);
        }
        let (up, down) = self.draw_cuts();
        self.clients[client.0].stream = Some(self.streams.len());
        self.streams.push(Stream {
            client: client.0,
            wire,
            up: Pipe::new(up),
            down: Pipe::new(down),
            arrived: Vec::new(),
            broker_notices_at: None,
            client_notices_at: None,
            is_broken: false,
            reads_at: self.sim.now,
        });
    }

    /// After how many bytes the next connection is cut, in which direction.
    fn draw_cuts(&mut self) -> (Option<usize>, Option<usize>) {
        let faults = self.faults;
        if faults.spared_one_in == 0 || self.random.one_in(faults.spared_one_in) {
            return (None, None);
        }
        let bytes = 1 + self.random.below(faults.bytes_until_cut);
        if self.random.one_in(2) { (Some(bytes), None) } else { (None, Some(bytes)) }
    }

    /// The client turns away from its stream; the broker hears of it late, or never.
    fn give_up(&mut self, client: usize) {
        let Some(stream) = self.clients[client].stream.take() else { return };
        self.write_with_time(Entry::Ended { client });
        // A CONNECT that starts clean must not arrive after those that follow it, or it would discard what
        // they have begun.
        if !self.clients[client].machine.is_connected() {
            self.streams[stream].up.cut();
        }
        self.clients[client].machine.connection_lost();
        self.drain_events(client);
        if !self.streams[stream].is_broken {
            self.break_stream(stream);
            self.streams[stream].client_notices_at = None;
        }
        if self.faults == Faults::default() && self.streams[stream].broker_notices_at.is_none() {
            self.streams[stream].broker_notices_at = Some(self.sim.now);
        }
    }

    /// The connection is gone; draws when each end learns of it.
    fn break_stream(&mut self, stream: usize) {
        let (broker, client) = (self.draw_notice(), self.draw_notice());
        self.write_with_time(Entry::Broken { client: self.streams[stream].client });
        let stream = &mut self.streams[stream];
        stream.is_broken = true;
        stream.up.is_cut = true;
        stream.down.is_cut = true;
        stream.broker_notices_at = broker;
        stream.client_notices_at = client;
    }

    fn draw_notice(&mut self) -> Option<Instant> {
        if self.faults.notice_millis_max == 0 {
            return Some(self.sim.now);
        }
        let never = self.random.one_in(4);
        let later = self.sim.now + self.random.below(self.faults.notice_millis_max) as u64;
        (!never).then_some(later)
    }

    /// The client's stream has ended, as far as the client can see.
    fn client_lost(&mut self, client: usize) {
        let Some(stream) = self.clients[client].stream.take() else { return };
        self.write_with_time(Entry::Ended { client });
        self.clients[client].machine.connection_lost();
        self.drain_events(client);
        self.streams[stream].up.has_ended = true;
        if self.clients[client].options.reconnects {
            let later = self.random.below(RECONNECT_MILLIS_MAX) as u64;
            self.clients[client].connect_at = Some(self.sim.now + later);
        }
    }

    /// Asks for what is wanted and not yet asked for.
    fn ask(&mut self, client: usize) {
        let state = &mut self.clients[client];
        if !state.machine.is_connected() {
            return;
        }
        let now = self.sim.now;
        let is_due =
            |wanted: &&mut Wanted| wanted.asked.is_none() && wanted.again_at.is_none_or(|at| at <= now);
        for wanted in state.wanted.iter_mut().filter(is_due) {
            wanted.again_at = None;
            let filter = Arc::clone(&wanted.filter);
            let token = if wanted.is_wanted {
                let options = SubscriptionOptions { qos: wanted.qos, ..SubscriptionOptions::default() };
                let filters: SubscribeFilters<'_> = [(&*wanted.filter, options)].into_iter().collect();
                state.machine.subscribe(filters, Properties::EMPTY)
            } else {
                let filters: UnsubscribeFilters<'_> = [&*wanted.filter].into_iter().collect();
                state.machine.unsubscribe(filters, Properties::EMPTY)
            };
            let token = token.expect("the filters of tests are valid");
            wanted.asked = Some(token);
            self.ledger.write(match wanted.is_wanted {
                true => Entry::Subscribe { client, filter, request: token },
                false => Entry::Unsubscribe { client, filter, request: token },
            });
        }
    }

    fn drain_events(&mut self, client: usize) {
        while let Some(event) = self.clients[client].machine.poll_event() {
            self.handle_event(client, event);
        }
    }

    fn handle_event(&mut self, client: usize, event: Event) {
        match event {
            Event::Connected { session_present, .. } => self.handle_connected(client, session_present),
            Event::Message(delivery) => {
                self.ledger.write(Entry::Delivered { client, delivery: delivery.clone() });
                self.clients[client].received.push_back(delivery);
            }
            Event::Published { token, outcome, .. } => self.handle_published(client, token, outcome),
            Event::Subscribed { token, reason_codes, .. } => {
                let code = reason_codes.first().copied().unwrap_or(ReasonCode::UnspecifiedError);
                match granted(code) {
                    None if self.may_refuse => self.handle_refusal(client, token),
                    granted => self.handle_answer(client, token, granted),
                }
            }
            Event::Unsubscribed { token, reason_codes, .. } => {
                let is_refused = reason_codes.first() == Some(&ReasonCode::UnspecifiedError);
                match is_refused && self.may_refuse {
                    true => self.handle_refusal(client, token),
                    false => self.handle_answer(client, token, None),
                }
            }
            Event::Repeated { dup, same_connection, .. } => {
                if !dup || same_connection {
                    let what = format!("QoS 2 repeated with dup {dup}, same connection {same_connection}");
                    self.ledger.write(Entry::Wrong { client, what });
                }
            }
            Event::Disconnected { cause: DisconnectCause::Violation(violation) } => {
                if violation == noctule_session::client::Violation::UnknownSession {
                    // CONNACK of the connection that made the session was lost.
                    self.clients[client].must_start_clean = true;
                } else {
                    self.ledger.write(Entry::Wrong { client, what: violation.to_string() });
                }
            }
            Event::Disconnected { cause: DisconnectCause::Server { reason_code, .. } } => {
                let is_ordinary = matches!(
                    reason_code,
                    ReasonCode::SessionTakenOver
                        | ReasonCode::KeepAliveTimeout
                        | ReasonCode::ServerShuttingDown
                );
                if !is_ordinary {
                    let what = format!("the broker said DISCONNECT {reason_code}");
                    self.ledger.write(Entry::Wrong { client, what });
                }
            }
            Event::Refused { reason_code: ReasonCode::ServerUnavailable, .. } if self.may_refuse => {}
            // A broker that stops says so to who has not had CONNACK.
            Event::Refused { reason_code: ReasonCode::ServerBusy, .. } => {}
            Event::Refused { reason_code, .. } => {
                let what = format!("the broker refused CONNECT with {reason_code}");
                self.ledger.write(Entry::Wrong { client, what });
            }
            Event::Auth { .. } | Event::RequestLost { .. } | Event::Stray { .. } => {}
            Event::Disconnected { .. } => {}
        }
    }

    fn handle_connected(&mut self, client: usize, session_present: bool) {
        let state = &mut self.clients[client];
        let started_clean = state.must_start_clean;
        state.forget_requests();
        if !session_present {
            state.forget_subscriptions();
        }
        self.write_with_time(Entry::Connected { client, session_present });
        let state = &mut self.clients[client];
        if state.options.durable {
            state.must_start_clean = false;
            // In 3.x this clean session ends with its connection, so another one makes the durable session.
            if !state.options.leaves_session(started_clean) {
                self.give_up(client);
                self.connect_again(Handle(client));
            }
        }
    }

    fn handle_published(&mut self, client: usize, token: Token, outcome: PublishOutcome) {
        let unsettled = &mut self.clients[client].unsettled;
        let Some(place) = unsettled.iter().position(|waiting| *waiting == token) else { return };
        unsettled.remove(place);
        match outcome {
            PublishOutcome::Acknowledged(_) => self.ledger.write(Entry::Acknowledged { client, token }),
            PublishOutcome::Refused(ReasonCode::QuotaExceeded | ReasonCode::UnspecifiedError)
                if self.may_refuse =>
            {
                self.ledger.write(Entry::Refused { client, token });
            }
            outcome => {
                let what = format!("a publication ended as {outcome:?}");
                self.ledger.write(Entry::Wrong { client, what });
            }
        }
    }

    fn handle_answer(&mut self, client: usize, request: Token, granted: Option<QoS>) {
        let mut wanted = self.clients[client].wanted.iter_mut();
        // The wish may have changed since; then another request is on its way.
        if let Some(wanted) = wanted.find(|wanted| wanted.asked == Some(request)) {
            wanted.is_confirmed = true;
        }
        self.ledger.write(Entry::Answered { client, request, granted });
    }

    /// The broker could not record what was asked for. It is asked again later.
    fn handle_refusal(&mut self, client: usize, request: Token) {
        let again_at = self.sim.now + ASK_AGAIN_MILLIS;
        let mut wanted = self.clients[client].wanted.iter_mut();
        if let Some(wanted) = wanted.find(|wanted| wanted.asked == Some(request)) {
            wanted.asked = None;
            wanted.again_at = Some(again_at);
        }
    }
}

/// How bytes move and time passes.
impl World {
    /// Lets everything happen that can happen now.
    fn settle(&mut self) {
        loop {
            let mut has_moved = false;
            for client in 0..self.clients.len() {
                has_moved |= self.pump_client(client);
            }
            for stream in 0..self.streams.len() {
                has_moved |= self.pump_stream(stream);
            }
            for _ in 0..1 + self.random.below(8) {
                has_moved |= self.step_broker();
            }
            if !has_moved {
                return;
            }
        }
    }

    /// Lets the broker take a step, which may be its last.
    fn step_broker(&mut self) -> bool {
        let has_moved = self.sim.step();
        for what in self.sim.trace.drain(..) {
            self.ledger.write(Entry::Broker { what });
        }
        if self.sim.is_power_off() {
            self.crash(Crash::PowerCut);
            return true;
        }
        match &mut self.crash_in {
            Some((0, crash)) => {
                let crash = *crash;
                self.crash(crash);
                return true;
            }
            Some((steps, _)) if has_moved => *steps -= 1,
            _ => {}
        }
        has_moved
    }

    /// Gives a client what has arrived and sends what it writes.
    fn pump_client(&mut self, client: usize) -> bool {
        self.ask(client);
        let Some(stream) = self.clients[client].stream else { return false };
        let now = self.sim.now;
        let state = &mut self.clients[client];
        let mut has_moved = false;
        while let Some(mut bytes) = self.streams[stream].down.receive(now) {
            has_moved = true;
            let arrived = &mut self.streams[stream].arrived;
            arrived.append(&mut bytes);
            let consumed = state.machine.receive(arrived, now);
            arrived.drain(..consumed);
        }
        self.drain_events(client);
        // An event may have opened another stream.
        if self.clients[client].stream != Some(stream) {
            return true;
        }
        self.ask(client);
        let mut out = Vec::new();
        let flush = self.clients[client].machine.flush(now, usize::MAX, &mut out);
        self.drain_events(client);
        has_moved |= !out.is_empty();
        let version = self.clients[client].options.version;
        let state = &mut self.streams[stream];
        if let Some(mangle) = self.faults.mangle {
            out = state.up.mangle(&out, version, mangle);
        }
        state.up.send(out, now, &self.faults, &mut self.random);
        if flush == Flush::Close {
            self.client_lost(client);
        }
        has_moved
    }

    /// Moves the bytes of one connection between the network and the broker.
    fn pump_stream(&mut self, stream: usize) -> bool {
        let now = self.sim.now;
        let mut has_moved = false;
        let Stream { client, wire, ref up, .. } = self.streams[stream];
        let is_current = self.clients[client].stream == Some(stream);
        if !is_current && up.is_empty() && self.sim.is_closed(wire) {
            return false;
        }
        while let Some(bytes) = self.streams[stream].up.receive(now) {
            has_moved = true;
            if !self.sim.is_closed(wire) {
                self.sim.queue_bytes(wire, &bytes);
            }
        }
        has_moved |= self.pump_down(stream);
        self.look_for_ends(stream) || has_moved
    }

    fn pump_down(&mut self, stream: usize) -> bool {
        let now = self.sim.now;
        let state = &mut self.streams[stream];
        let wire = &mut self.sim.wires[state.wire];
        if wire.from_broker.is_empty() || state.reads_at > now {
            return false;
        }
        let client = &self.clients[state.client];
        if client.is_slow {
            state.reads_at = now + SLOW_READER_MILLIS;
        } else {
            wire.reads_at_most = None;
        }
        let mut bytes = std::mem::take(&mut wire.from_broker);
        if let Some(mangle) = self.faults.mangle {
            bytes = state.down.mangle(&bytes, client.options.version, mangle);
        }
        state.down.send(bytes, now, &self.faults, &mut self.random);
        true
    }

    /// Lets each end learn that the other has closed, or that the connection is gone.
    fn look_for_ends(&mut self, stream: usize) -> bool {
        let now = self.sim.now;
        let is_cut = self.streams[stream].up.is_cut || self.streams[stream].down.is_cut;
        if is_cut && !self.streams[stream].is_broken {
            self.break_stream(stream);
        }
        let state = &self.streams[stream];
        let (client, wire) = (state.client, state.wire);
        let is_current = self.clients[client].stream == Some(stream);
        let is_due = |at: Option<Instant>| at.is_some_and(|at| at <= now);
        let is_closed = self.sim.is_closed(wire);
        let has_all = is_closed && state.down.is_empty() && self.sim.wires[wire].from_broker.is_empty();
        let client_sees = is_due(state.client_notices_at) || (has_all && !state.is_broken);
        let broker_sees = is_due(state.broker_notices_at)
            || (state.up.has_ended && state.up.is_empty() && !state.is_broken);
        if is_current && client_sees {
            self.client_lost(client);
            return true;
        }
        if !is_closed && broker_sees && !self.sim.wires[wire].wants_to_write(self.sim.now) {
            self.sim.lose(wire);
            return true;
        }
        false
    }

    fn next_time(&self) -> Option<Instant> {
        let shards = self.sim.nodes.iter().filter_map(|node| node.shard.next_timeout());
        let retries = self.sim.journal.iter().filter_map(super::Journal::next_timeout);
        let clients =
            self.clients.iter().flat_map(|client| [client.machine.next_timeout(), client.connect_at]);
        let asked_again = self.clients.iter().flat_map(|client| &client.wanted).filter_map(|it| it.again_at);
        let streams = self.streams.iter().flat_map(|stream| {
            let is_current = self.clients[stream.client].stream.is_some();
            let reads = !self.sim.wires[stream.wire].from_broker.is_empty();
            let is_open = !self.sim.is_closed(stream.wire);
            [
                stream.up.next_arrival(),
                stream.down.next_arrival().filter(|_| is_current),
                stream.client_notices_at.filter(|_| is_current),
                stream.broker_notices_at.filter(|_| is_open),
                Some(stream.reads_at).filter(|_| reads && is_current),
            ]
        });
        let now = self.sim.now;
        let shards = shards.chain(retries).chain(asked_again);
        shards.chain(clients.flatten()).chain(streams.flatten()).filter(|at| *at > now).min()
    }

    fn handle_timeouts(&mut self) {
        let now = self.sim.now;
        for shard in 0..self.sim.nodes.len() {
            if self.sim.nodes[shard].shard.next_timeout().is_some_and(|at| at <= now) {
                self.sim.turn(shard, noctule_engine::Shard::handle_timeouts);
            }
        }
        for client in 0..self.clients.len() {
            self.clients[client].machine.handle_timeouts(now);
            self.drain_events(client);
            if self.clients[client].connect_at.is_some_and(|at| at <= now) {
                self.connect_again(Handle(client));
            }
        }
    }
}

impl Sim {
    /// The broker learns that a connection is gone.
    fn lose(&mut self, wire: usize) {
        let super::Wire { id, shard, .. } = self.wires[wire];
        self.wires[wire].close();
        self.wires[wire].next = Next::Close;
        self.turn(shard, |shard, turn| shard.lost(id, "the connection broke", turn));
    }
}

/// The payload of the will of one connection.
fn will_payload(client_id: &str, connection: u32) -> Arc<[u8]> {
    format!("will of {client_id}, connection {connection}").into_bytes().into()
}

fn granted(reason_code: ReasonCode) -> Option<QoS> {
    QoS::from_bits(reason_code.as_u8())
}

/// Bytes a slow reader lets lie before the broker has to wait.
const SLOW_READER_BYTES: usize = 64;
/// Time between two reads of a slow reader.
const SLOW_READER_MILLIS: u64 = 40;
/// Time after which a client asks again for what was refused.
const ASK_AGAIN_MILLIS: u64 = 300;
/// Longest time until a client connects again.
const RECONNECT_MILLIS_MAX: usize = 400;
