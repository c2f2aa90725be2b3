//! What the application asked for, and what is to be done about it: no socket, no clock.
//!
//! The core owns the machine (`noctule_session::client`). It turns the machine's events into answers for those who
//! wait, into messages in the buffers of streams, and into the next step after a connection has ended. Who calls it
//! passes the time; random numbers come in as arguments.
//!
//! Invariants:
//! - Every call leaves no event behind: [`Core::digest`] is the last line of each that can cause one.
//! - What somebody waits for is answered, or its sender is dropped, by the time the core is closed.

mod authentication;
mod comeback;
mod elsewhere;
mod filters;
mod inbox;
mod streams;
#[cfg(test)]
mod tests;

pub use comeback::{Backoff, IdConflict};
pub use elsewhere::ServerReferences;
pub(crate) use filters::StreamId;
pub(crate) use inbox::Bounds;
pub use inbox::Overflow;
pub(crate) use streams::Wish;

use crate::address::Address;
use crate::error::{ConnectionError, PublishError, SubscribeError, reason_of};
use crate::message::{Arrived, Holders};
use crate::options::Options;
use crate::publish::{Answer, Room};
use crate::state::{Metrics, State};
use authentication::Authentication;
use comeback::{Comeback, Ending, Wait};
use elsewhere::Whereabouts;
use noctule_codec::{PacketId, Properties, Property, ProtocolVersion, QoS, ReasonCode};
use noctule_session::client::{
    Client as Machine, DisconnectCause, Event, Flush, Message, PublishOutcome, ServerLimits, Token,
};
use noctule_session::{Instant, SessionChange};
use std::collections::HashMap;
use std::sync::Arc;
use std::task::{Poll, Waker};
use std::time::Duration;
use streams::Streams;
use tokio::sync::{oneshot, watch};
use tracing::Span;
use tracing::field::Empty;

/// A client without its driver.
#[derive(Debug)]
pub(crate) struct Core {
    machine: Machine,
    /// How many changes of the machine have been taken.
    recorded: u64,
    options: Arc<Options>,
    /// The version to speak, which a server that has never heard of 5.0 changes.
    version: ProtocolVersion,
    streams: Streams,
    publishing: HashMap<Token, Publishing>,
    comeback: Comeback,
    whereabouts: Whereabouts,
    authentication: Authentication,
    /// The present connection is to end without another word.
    is_given_up: bool,
    /// Why the present connection or attempt has ended.
    cause: Option<ConnectionError>,
    closing: Option<Closing>,
    /// The birth message that is not settled.
    birth: Option<Token>,
    state: watch::Sender<State>,
    metrics: Metrics,
    /// What is told of this client belongs there.
    span: Span,
}

/// A publication that is not settled.
#[derive(Debug)]
struct Publishing {
    /// Lasts from the moment this client is responsible until the server's answer. No payload is told.
    span: Span,
    /// Who asked, if that was in this run.
    answer: Option<oneshot::Sender<Result<Answer, PublishError>>>,
    /// Its place in the outbox, given back when it is settled.
    _room: Option<Room>,
}

/// Somebody has asked to end.
#[derive(Debug)]
struct Closing {
    /// Until then it waits for what is owed.
    deadline: Instant,
    /// That time is over.
    is_overdue: bool,
    is_said: bool,
}

/// What comes after a connection or an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Next {
    /// Nothing.
    Stop,
    /// Another attempt, after this wait.
    TryAgain { millis: u64 },
}

impl Core {
    /// A core with what an earlier run has left, which is nothing without an outbox on disk.
    pub(crate) fn new(
        options: Arc<Options>,
        state: watch::Sender<State>,
        changes: Vec<SessionChange>,
        span: Span,
    ) -> Self {
        let machine = match options.disk {
            Some(_) => Machine::restored(&options.connect.client_id, changes),
            None => Machine::new(),
        };
        Self {
            machine,
            recorded: 0,
            version: options.version.unwrap_or(ProtocolVersion::V5),
            streams: Streams::new(Arc::clone(&options)),
            publishing: HashMap::new(),
            comeback: Comeback::new(options.backoff),
            whereabouts: Whereabouts::new(options.server_references.clone()),
            authentication: Authentication::default(),
            is_given_up: false,
            cause: None,
            closing: None,
            birth: None,
            state,
            metrics: Metrics::default(),
            span,
            options,
        }
    }

    /// Owes a message to the server. The receiver gets the server's answer.
    pub(crate) fn publish(
        &mut self,
        message: &Message<'_>,
        room: Option<Room>,
        now: Instant,
    ) -> Result<oneshot::Receiver<Result<Answer, PublishError>>, PublishError> {
        if self.closing.is_some() || self.is_closed() {
            return Err(PublishError::Closed);
        }
        let token = self.machine.publish(message, now)?;
        let (answer, receiver) = oneshot::channel();
        let span = self.publish_span(message);
        self.publishing.insert(token, Publishing { span, answer: Some(answer), _room: room });
        self.metrics.published += 1;
        self.digest(now);
        Ok(receiver)
    }

    /// What an earlier run has left takes its place in the outbox, as far as there is room.
    pub(crate) fn adopt(&mut self, mut room: impl FnMut(usize) -> Option<Room>) {
        for owed in self.machine.session().outbound.iter() {
            let bytes = owed.message().map_or(0, |message| message.topic.len() + message.payload.len());
            let publishing = Publishing { span: Span::none(), answer: None, _room: room(bytes) };
            self.publishing.insert(Token(owed.number.0), publishing);
        }
    }

    /// The changes since the last call, and how many there were in all.
    pub(crate) fn take_changes(&mut self) -> (u64, Vec<SessionChange>) {
        self.recorded = self.position();
        (self.recorded, self.machine.take_changes())
    }

    /// How many changes there were in all.
    pub(crate) fn position(&self) -> u64 {
        self.recorded + self.machine.changes_len() as u64
    }

    /// See [`Machine::snapshot`].
    pub(crate) fn snapshot(&self) -> Vec<SessionChange> {
        self.machine.snapshot()
    }

    /// A message taken by hand is acknowledged or refused. Returns whether the server will be told.
    pub(crate) fn answer(&mut self, holders: &Holders, reason_code: ReasonCode) -> bool {
        let receipt = match reason_code.is_error() {
            true => Some(holders.receipt()),
            false => holders.release(),
        };
        receipt.is_none_or(|receipt| self.machine.acknowledge(receipt, reason_code))
    }

    /// A message taken by hand was dropped without an answer.
    pub(crate) fn abandon(&mut self, holders: &Holders) {
        self.machine.abandon(holders.receipt());
    }

    /// Asks to end: what is owed may still be sent for so long, then DISCONNECT follows.
    pub(crate) fn close(&mut self, flush: Duration, now: Instant) {
        if self.closing.is_some() || self.is_closed() {
            return;
        }
        self.say_farewell(now);
        let millis = u64::try_from(flush.as_millis()).unwrap_or(u64::MAX);
        self.closing = Some(Closing { deadline: now + millis, is_overdue: false, is_said: false });
        self.digest(now);
    }

    /// Begins an attempt on a way to the server that is open.
    pub(crate) fn begin(&mut self, now: Instant) -> Result<(), ConnectionError> {
        let (version, connections) = (self.version, self.metrics.connections);
        let says_credentials = self.whereabouts.says_credentials();
        let mut options = self.options.connect_options(&self.machine, version, connections, says_credentials);
        self.is_given_up = false;
        options.properties = self.begin_authentication(options.properties)?;
        self.machine.connect(options, now).map_err(ConnectionError::Options)?;
        self.digest(now);
        Ok(())
    }

    /// Where the next attempt goes.
    pub(crate) fn address(&self) -> Address {
        self.whereabouts.address(&self.options.address)
    }

    /// See [`Machine::receive`].
    pub(crate) fn receive(&mut self, bytes: &[u8], now: Instant) -> usize {
        let consumed = self.machine.receive(bytes, now);
        self.digest(now);
        consumed
    }

    /// See [`Machine::flush`].
    pub(crate) fn flush(&mut self, now: Instant, bytes_max: usize, out: &mut Vec<u8>) -> Flush {
        self.say_goodbye_when_due(now);
        let flush = self.machine.flush(now, bytes_max, out);
        self.digest(now);
        flush
    }

    /// When [`handle_timeouts`](Self::handle_timeouts) wants to be called next.
    pub(crate) fn next_timeout(&self) -> Option<Instant> {
        let closing = self.closing.as_ref().map(|closing| match closing.is_overdue {
            true => closing.deadline + LAST_WORDS_MS,
            false => closing.deadline,
        });
        [self.machine.next_timeout(), closing, self.streams.grace_until()].into_iter().flatten().min()
    }

    pub(crate) fn handle_timeouts(&mut self, now: Instant) {
        self.machine.handle_timeouts(now);
        self.streams.end_grace(now, &mut self.machine, &mut self.metrics);
        if let Some(closing) = &mut self.closing {
            closing.is_overdue |= closing.deadline <= now;
        }
        self.digest(now);
    }

    /// Whether it is closed and there is no use in waiting for the server any longer: it has not let this client
    /// in, or it does not read.
    pub(crate) fn gives_up(&self, now: Instant) -> bool {
        if self.is_given_up {
            return true;
        }
        let Some(closing) = &self.closing else { return false };
        let is_over = self.patience_ends().is_some_and(|end| end <= now);
        is_over || (!closing.is_said && !self.machine.is_connected() && self.is_closing_done(now))
    }

    /// The attempt has come to nothing, or the stream has ended: with this error, or in order.
    pub(crate) fn lost(&mut self, error: Option<ConnectionError>, now: Instant) {
        self.machine.connection_lost();
        self.digest(now);
        if let Some(error) = error
            && self.cause.as_ref().is_none_or(is_plain_loss)
        {
            self.cause = Some(error);
        }
    }

    /// What to do now that there is no connection.
    pub(crate) fn next(&mut self, now: Instant, random: u64) -> Next {
        let cause = self.cause.take().unwrap_or(ConnectionError::Lost { source: None });
        if self.is_closing_done(now) {
            self.end(None);
            return Next::Stop;
        }
        if self.falls_back(&cause) {
            self.version = ProtocolVersion::V3_1_1;
            return Next::TryAgain { millis: 0 };
        }
        let ending = self.ending(&cause, now);
        if self.metrics.connections == 0 && self.options.gives_up_at_once && ending != Ending::Referred {
            self.end(Some(cause));
            return Next::Stop;
        }
        let wait = self.comeback.ended(ending, now, random);
        self.announce_wait(wait, cause);
        Next::TryAgain { millis: wait.millis }
    }

    /// Whether closing has nothing to wait for while there is no connection.
    pub(crate) fn is_closing_done(&self, now: Instant) -> bool {
        let Some(closing) = &self.closing else { return false };
        closing.is_said || closing.deadline <= now || self.machine.unsettled() == 0
    }

    /// When it ends whatever is left to do, once somebody has asked it to.
    pub(crate) fn patience_ends(&self) -> Option<Instant> {
        self.closing.as_ref().map(|closing| closing.deadline + LAST_WORDS_MS)
    }

    /// The attempt begins, as far as others can see.
    /// Returns its number, beginning at one.
    pub(crate) fn announce_attempt(&mut self, now: Instant) -> u64 {
        self.metrics.attempts += 1;
        self.machine.expire(self.options.outbox_ttl_ms, now);
        self.digest(now);
        self.state.send_replace(State::Connecting);
        self.metrics.attempts
    }

    /// Makes a stream and asks the server for its filters.
    pub(crate) fn subscribe(&mut self, wish: &Wish, now: Instant) -> Result<StreamId, SubscribeError> {
        if self.closing.is_some() {
            return Err(SubscribeError::Closed);
        }
        let stream = self.streams.open(wish)?;
        self.streams.claim(stream, wish, &mut self.machine, &mut self.metrics);
        self.digest(now);
        Ok(stream)
    }

    /// See [`Streams::poll_open`].
    pub(crate) fn poll_open(&mut self, stream: StreamId, waker: &Waker) -> Poll<Result<(), SubscribeError>> {
        self.streams.poll_open(stream, waker)
    }

    /// The next message of a stream, which is acknowledged with that unless it `is_by_hand`.
    pub(crate) fn poll_next(
        &mut self,
        stream: StreamId,
        is_by_hand: bool,
        waker: &Waker,
    ) -> Poll<Option<Arrived>> {
        let polled = self.streams.poll_next(stream, waker);
        if let Poll::Ready(Some(message)) = &polled
            && !is_by_hand
        {
            streams::release(message, &mut self.machine);
        }
        polled
    }

    /// See [`Streams::status`].
    pub(crate) fn stream_status(&self, stream: StreamId) -> (Option<SubscribeError>, u64) {
        self.streams.status(stream)
    }

    /// See [`Streams::granted_qos`].
    pub(crate) fn granted_qos(&self, stream: StreamId) -> Option<QoS> {
        self.streams.granted_qos(stream)
    }

    /// A stream is gone: what it had is acknowledged, and the server is told about filters that nobody wants now.
    pub(crate) fn drop_stream(&mut self, stream: StreamId, now: Instant) {
        for message in self.streams.drop_stream(stream) {
            streams::release(&message, &mut self.machine);
        }
        self.digest(now);
    }

    /// All but what the outbox knows.
    pub(crate) fn metrics(&self) -> Metrics {
        let traffic = self.machine.traffic();
        Metrics {
            packets_sent: traffic.packets_sent,
            bytes_sent: traffic.bytes_sent,
            packets_received: traffic.packets_received,
            bytes_received: traffic.bytes_received,
            unsettled: self.machine.unsettled() as u64,
            in_flight: self.machine.in_flight() as u64,
            ..self.metrics
        }
    }

    pub(crate) fn server(&self) -> Option<&ServerLimits> {
        self.machine.server()
    }

    pub(crate) fn client_id(&self) -> &str {
        match self.machine.client_id() {
            "" => &self.options.connect.client_id,
            client_id => client_id,
        }
    }

    fn is_closed(&self) -> bool {
        self.state.borrow().is_closed()
    }

    /// Nothing more happens: everybody who waits is told, once.
    pub(crate) fn end(&mut self, cause: Option<ConnectionError>) {
        if self.is_closed() {
            return;
        }
        self.span.in_scope(|| match &cause {
            Some(cause) => tracing::info!(%cause, "closed"),
            None => tracing::info!("closed"),
        });
        self.state.send_replace(State::Closed { cause });
        self.publishing.clear();
        self.authentication = Authentication::default();
        self.streams.close();
    }

    fn announce_wait(&mut self, wait: Wait, cause: ConnectionError) {
        let retry_in = Duration::from_millis(wait.millis);
        let state = match wait.conflict {
            Some(evidence) => {
                let client_id = self.client_id().to_owned();
                tracing::warn!(
                    client_id,
                    "another client seems to use this client id; give each client its own"
                );
                State::IdConflict { evidence, retry_in, client_id }
            }
            None => {
                tracing::info!(%cause, ?retry_in, "no connection");
                State::Waiting { retry_in, cause }
            }
        };
        self.state.send_replace(state);
    }

    /// A server that has never heard of 5.0 is asked for 3.1.1, unless the user wants 5.0.
    fn falls_back(&self, cause: &ConnectionError) -> bool {
        let is_refused = matches!(
            cause,
            ConnectionError::Refused { reason_code: ReasonCode::UnsupportedProtocolVersion, .. }
        );
        // Who has to authenticate by a method of 5.0 does not go without it.
        let is_free = self.options.version.is_none() && self.options.authenticator.is_none();
        is_refused && is_free && self.version == ProtocolVersion::V5
    }

    /// How the present connection or attempt has ended, and where that leads.
    fn ending(&mut self, cause: &ConnectionError, now: Instant) -> Ending {
        if self.comeback.has_lasted(now) {
            self.whereabouts.settled();
        }
        if let ConnectionError::UseAnotherServer { is_for_good, server_reference, .. } = cause
            && self.whereabouts.refer(server_reference.as_deref(), *is_for_good)
        {
            let server = self.address().place();
            let says_credentials = self.whereabouts.says_credentials();
            tracing::info!(
                server,
                says_credentials,
                is_for_good,
                "going to the server that this one has named"
            );
            return Ending::Referred;
        }
        self.whereabouts.ended(self.comeback.has_connected());
        ending(cause)
    }

    /// Says DISCONNECT once nothing is owed any more, or the time for that is over.
    fn say_goodbye_when_due(&mut self, now: Instant) {
        let Some(closing) = &mut self.closing else { return };
        let is_due = closing.deadline <= now || self.machine.unsettled() == 0;
        if closing.is_said || !is_due || !self.machine.is_connected() {
            return;
        }
        closing.is_said = true;
        let mut properties = Properties::new();
        if self.version == ProtocolVersion::V5 && self.options.ends_session_at_close() {
            properties.push(Property::SessionExpiryInterval(0));
        }
        // It is connected and lowers the expiry, so neither of the two errors can come.
        let _ = self.machine.disconnect(ReasonCode::NORMAL_DISCONNECTION, properties);
    }

    /// Takes every event of the machine, and asks the server for what the streams want.
    fn digest(&mut self, now: Instant) {
        loop {
            while let Some(event) = self.machine.poll_event() {
                self.take(event, now);
            }
            if !self.streams.ask(&mut self.machine) {
                return;
            }
        }
    }

    fn take(&mut self, event: Event, now: Instant) {
        match event {
            Event::Connected { session_present, properties } => {
                if self.finish_authentication(properties.authentication_data()) {
                    self.connected(session_present, properties, now);
                }
            }
            Event::Refused { reason_code, properties } => {
                self.cause = Some(ConnectionError::refused(reason_code, &properties));
            }
            Event::Message(delivery) if self.is_given_up => {
                delivery.receipt.into_iter().for_each(|receipt| self.machine.abandon(receipt));
            }
            Event::Message(delivery) => {
                self.metrics.received += 1;
                self.streams.deliver(delivery, &mut self.machine, &mut self.metrics);
            }
            Event::Published { token, packet_id, outcome, properties } => {
                self.settle(token, packet_id, outcome, properties);
            }
            Event::Subscribed { token, reason_codes, properties } => {
                let code = reason_codes.first().copied().unwrap_or(ReasonCode::UnspecifiedError);
                self.streams.subscribed(token, code, reason_of(&properties));
            }
            Event::Unsubscribed { token, .. } => self.streams.unsubscribed(token),
            Event::Repeated { .. } => self.metrics.repeated += 1,
            Event::Disconnected { cause } => self.disconnected(cause),
            Event::Auth { reason_code, properties } => self.authenticate(reason_code, &properties),
            // A lost request is made again by the next connection.
            Event::RequestLost { .. } => {}
            Event::Stray { packet_type, packet_id } => {
                tracing::debug!(%packet_type, packet_id = packet_id.get(), "an answer to nothing");
            }
        }
    }

    fn connected(&mut self, session_present: bool, properties: Properties<'static>, now: Instant) {
        self.metrics.connections += 1;
        self.comeback.connected(now);
        self.cause = None;
        let is_first = self.metrics.connections == 1;
        let grace = (is_first && session_present).then(|| now + self.options.unclaimed_grace_ms);
        self.streams.connected(session_present, grace);
        tracing::info!(client_id = self.client_id(), session_present, "connected");
        self.state.send_replace(State::Connected { session_present, properties });
        self.say_hello(now);
    }

    fn disconnected(&mut self, cause: DisconnectCause) {
        self.authentication = Authentication::default();
        if !self.is_given_up {
            self.cause = Some(cause.into());
        }
    }

    /// The birth message, unless an earlier one is still owed.
    fn say_hello(&mut self, now: Instant) {
        let Some(presence) = self.options.presence.as_ref().filter(|_| self.birth.is_none()) else { return };
        let Some(online) = presence.online() else { return };
        self.birth = self.machine.publish(&presence.message(online), now).ok();
    }

    /// A will is for those who go without a word; who says DISCONNECT tells it himself.
    fn say_farewell(&mut self, now: Instant) {
        let Some(presence) = self.options.presence.as_ref().filter(|it| it.online().is_some()) else {
            return;
        };
        if self.machine.is_connected() {
            let offline = presence.message(presence.offline());
            if let Err(error) = self.machine.publish(&offline, now) {
                tracing::debug!(%error, "the offline message was not taken");
            }
        }
    }

    fn publish_span(&self, message: &Message<'_>) -> Span {
        tracing::debug_span!(
            parent: &self.span,
            "publish",
            topic = message.topic,
            qos = message.qos as u8,
            retain = message.retain,
            payload_bytes = message.payload.len(),
            packet_id = Empty,
            outcome = Empty,
        )
    }

    fn settle(
        &mut self,
        token: Token,
        packet_id: Option<PacketId>,
        outcome: PublishOutcome,
        properties: Properties<'static>,
    ) {
        if self.birth == Some(token) {
            self.birth = None;
        }
        match outcome {
            PublishOutcome::Acknowledged(_) => self.metrics.acknowledged += 1,
            PublishOutcome::Sent => {}
            PublishOutcome::Refused(_) | PublishOutcome::NotSent(_) => self.metrics.failed += 1,
        }
        let Some(publishing) = self.publishing.remove(&token) else { return };
        publishing.end_span(packet_id, outcome);
        let result = match outcome {
            PublishOutcome::Sent => Ok(Answer::new(ReasonCode::Success, properties)),
            PublishOutcome::Acknowledged(reason_code) => Ok(Answer::new(reason_code, properties)),
            PublishOutcome::Refused(reason_code) => {
                Err(PublishError::Refused { reason_code, reason: reason_of(&properties) })
            }
            PublishOutcome::NotSent(reason) => Err(PublishError::NotSent(reason)),
        };
        // Whoever asked may not be there any more.
        let _ = publishing.answer.map(|answer| answer.send(result));
    }
}

impl Publishing {
    fn end_span(&self, packet_id: Option<PacketId>, outcome: PublishOutcome) {
        if self.span.is_disabled() {
            return;
        }
        if let Some(packet_id) = packet_id {
            self.span.record("packet_id", packet_id.get());
        }
        self.span.record("outcome", tracing::field::debug(outcome));
        self.span.in_scope(|| tracing::debug!("settled"));
    }
}

/// Time for DISCONNECT, and what is written in front of it, to leave.
const LAST_WORDS_MS: u64 = 2_000;

/// Whether the machine only says that the stream ended, which the driver may know more of.
fn is_plain_loss(cause: &ConnectionError) -> bool {
    matches!(cause, ConnectionError::Lost { source: None })
}

fn ending(cause: &ConnectionError) -> Ending {
    match cause {
        ConnectionError::Disconnected { reason_code: ReasonCode::SessionTakenOver, .. } => Ending::TakenOver,
        ConnectionError::Dial { .. }
        | ConnectionError::Timeout { .. }
        | ConnectionError::Refused { .. }
        | ConnectionError::Authentication(_)
        | ConnectionError::NoConnAck
        | ConnectionError::Options(_) => Ending::NeverConnected,
        _ => Ending::Lost,
    }
}
