//! The client role: an MQTT client without sockets, clocks or threads, on the same session as the broker.
//!
//! A runtime opens a byte stream and carries bytes; the [`Client`] decides. The shape of its life:
//!
//! ```text
//!   connect ─> flush ─> bytes to the server          handle_timeouts, at next_timeout
//!   bytes from the server ─> receive ─> poll_event   publish, subscribe, unsubscribe, disconnect
//!   the stream ended ─> connection_lost              after each of them: flush
//! ```
//!
//! Invariants:
//! - What outlives a connection is in the [`Session`] and changes only by [`Session::apply`]. A recording
//!   client leaves every change in [`Client::take_changes`]; [`Client::restored`] applies them again. A
//!   runtime that keeps them makes them durable before it sends what the next flush writes.
//! - Nothing but CONNECT (and AUTH, where it names a method) is sent before CONNACK, so that the server's
//!   limits are known when the first PUBLISH leaves.
//! - A publication above QoS 0 is owed from [`Client::publish`] until its [`Event::Published`], over any
//!   number of connections; requests and QoS 0 die with their connection.
//! - What the server does against the standard ends the connection with a [`Violation`] that names the rule.

mod acks;
mod connection;
mod delivery;
mod event;
mod handshake;
mod keep_alive;
mod options;
mod publish;
mod requests;
mod stored;
#[cfg(test)]
mod tests;
mod unanswered;

pub use connection::{Flush, ServerLimits};
pub use event::{Delivery, DisconnectCause, Event, NotSent, PublishOutcome, Receipt, Token, Violation};
pub use options::{ClientWill, ConnectOptions};
pub use publish::{Message, PublishError};
pub use requests::RequestError;

use crate::change::{DropReason, SessionChange};
use crate::{Instant, Limits, Outbound, Outgoing, Phase, Session, SessionEffects, SessionNumber};
use connection::{Connection, Phase as Stage};
use noctule_codec::{Disconnect, Packet, PacketId, Properties, Property, ProtocolVersion, ReasonCode};
use std::collections::VecDeque;
use unanswered::Unanswered;

/// An MQTT client.
#[derive(Debug)]
pub struct Client {
    session: Session,
    connection: Option<Box<Connection>>,
    limits: Limits,
    last_token: u64,
    last_receipt: u64,
    /// Deliveries of earlier connections that the application still has.
    held: Unanswered,
    events: VecDeque<Event>,
    fx: SessionEffects,
    changes: Vec<SessionChange>,
    traffic: Traffic,
}

/// What has passed between a client and its servers, over all connections.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Traffic {
    /// Packets written.
    pub packets_sent: u64,
    /// Bytes written.
    pub bytes_sent: u64,
    /// Whole packets that have come, but for those behind the last one of a connection.
    pub packets_received: u64,
    /// Their bytes.
    pub bytes_received: u64,
}

impl Client {
    /// A client without a session. It keeps its state in memory only.
    pub fn new() -> Self {
        let mut session = Session::new(SessionNumber::default(), "".into());
        session.outbound = Outbound::with_ids_up_to(LAST_PUBLISH_ID);
        Self {
            session,
            connection: None,
            limits: Limits { queue_bytes_max: u64::MAX, ..Limits::default() },
            last_token: 0,
            last_receipt: 0,
            held: Unanswered::default(),
            events: VecDeque::new(),
            fx: SessionEffects::default(),
            changes: Vec::new(),
            traffic: Traffic::default(),
        }
    }

    /// A client that leaves every change of its state in [`take_changes`](Self::take_changes).
    pub fn recording() -> Self {
        let mut client = Self::new();
        client.fx.records_all = true;
        client
    }

    /// A recording client with the state that these changes describe, in the order in which
    /// [`take_changes`](Self::take_changes) gave them. `client_id` is the one they were made under.
    pub fn restored(client_id: &str, changes: impl IntoIterator<Item = SessionChange>) -> Self {
        let mut client = Self::recording();
        client.session.client_id = client_id.into();
        for change in changes {
            if let SessionChange::Owed { message, .. } = &change {
                client.last_token = client.last_token.max(message.number.0);
            }
            client.session.apply(&change);
        }
        client
    }

    /// The changes since the last call. They have to be durable before the bytes of a later flush are sent.
    pub fn take_changes(&mut self) -> Vec<SessionChange> {
        std::mem::take(&mut self.changes)
    }

    /// The session, to look at.
    pub fn session(&self) -> &Session {
        &self.session
    }

    /// The client identifier: the one of the last [`connect`](Self::connect), or the one the server has
    /// assigned. To come back to a session under an assigned one, connect with it.
    pub fn client_id(&self) -> &str {
        &self.session.client_id
    }

    /// Whether CONNACK has come and the connection has not ended.
    pub fn is_connected(&self) -> bool {
        self.connection.as_ref().is_some_and(|connection| connection.is_open())
    }

    /// What the server has announced; `None` while not connected.
    pub fn server(&self) -> Option<&ServerLimits> {
        self.connection
            .as_ref()
            .filter(|connection| connection.is_open())
            .map(|connection| &connection.server)
    }

    /// Publications above QoS 0 that are not settled.
    pub fn unsettled(&self) -> usize {
        self.session.outbound.len()
    }

    /// How many of them have been sent, or are to be sent again.
    pub fn in_flight(&self) -> usize {
        self.session.outbound.len() - self.session.outbound.waiting_len()
    }

    /// What has passed so far.
    pub fn traffic(&self) -> Traffic {
        self.traffic
    }

    /// Tells what has happened, in order.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// Takes bytes that came from the server, the rest of earlier ones in front, and returns how many of them
    /// are used up. What stays is the beginning of a packet.
    pub fn receive(&mut self, bytes: &[u8], now: Instant) -> usize {
        if let Some(connection) = self.connection.as_deref_mut().filter(|_| !bytes.is_empty()) {
            // A long packet is a sign of life before it is complete.
            connection.keep_alive.heard(now);
        }
        let mut consumed = 0;
        loop {
            // After the last packet nothing more is read.
            let Some(connection) = self.connection.as_deref_mut().filter(|it| !it.is_closing()) else {
                return bytes.len();
            };
            match connection.decoder.decode(&bytes[consumed..]) {
                Ok(Some((packet, length))) => {
                    consumed += length;
                    self.traffic.packets_received += 1;
                    self.traffic.bytes_received += length as u64;
                    self.handle_packet(&packet, now);
                }
                Ok(None) => return consumed,
                Err(error) => {
                    self.fail(Violation::Malformed(error));
                    return bytes.len();
                }
            }
        }
    }

    /// Takes a packet that came from the server.
    pub fn handle_packet(&mut self, packet: &Packet<'_>, now: Instant) {
        let Some(connection) = self.connection.as_deref_mut() else { return };
        if connection.is_closing() {
            return;
        }
        connection.keep_alive.heard(now);
        let is_open = connection.is_open();
        let result = match packet {
            Packet::ConnAck(connack) => self.handle_connack(connack, now),
            Packet::Auth(auth) => self.handle_auth(auth),
            _ if !is_open => Err(Violation::FirstPacket { packet_type: packet.packet_type() }),
            Packet::Publish(publish) => self.handle_publish(publish),
            Packet::PubAck(ack) => self.handle_puback(ack, now),
            Packet::PubRec(ack) => self.handle_pubrec(ack, now),
            Packet::PubRel(ack) => {
                self.handle_pubrel(ack);
                Ok(())
            }
            Packet::PubComp(ack) => self.handle_pubcomp(ack, now),
            Packet::SubAck(suback) => self.handle_suback(suback),
            Packet::UnsubAck(unsuback) => self.handle_unsuback(unsuback),
            Packet::PingResp => {
                self.handle_pingresp();
                Ok(())
            }
            Packet::Disconnect(disconnect) => {
                self.handle_disconnect(disconnect);
                Ok(())
            }
            Packet::Connect(_) | Packet::Subscribe(_) | Packet::Unsubscribe(_) | Packet::PingReq => {
                Err(Violation::WrongDirection { packet_type: packet.packet_type() })
            }
        };
        if let Err(violation) = result {
            self.fail(violation);
        }
    }

    /// Writes what there is to send to the end of `out`, until that holds `bytes_max` bytes or more.
    pub fn flush(&mut self, now: Instant, bytes_max: usize, out: &mut Vec<u8>) -> Flush {
        let before = out.len();
        let is_full = self.encode(now, bytes_max, out);
        let Some(connection) = self.connection.as_deref_mut() else { return Flush::Done };
        connection.acks_queued = 0;
        self.traffic.bytes_sent += (out.len() - before) as u64;
        if out.len() > before {
            connection.keep_alive.sent(now);
        }
        if is_full {
            return Flush::More;
        }
        let sent = connection.qos0.drain(..);
        self.events.extend(sent.map(|token| Event::published(token, PublishOutcome::Sent)));
        if !connection.is_closing() {
            return Flush::Done;
        }
        self.drop_connection();
        Flush::Close
    }

    /// The stream to the server has ended, by whoever's wish.
    pub fn connection_lost(&mut self) {
        if self.connection.as_ref().is_some_and(|connection| !connection.is_closing()) {
            self.close(DisconnectCause::ConnectionLost);
        }
        self.drop_connection();
    }

    /// Says DISCONNECT behind everything that is queued, and nothing after it [MQTT-3.14.4-1]. The next
    /// flush that has written everything asks to close the stream [MQTT-3.14.4-2].
    ///
    /// A Session Expiry Interval among the properties changes that of the session; it cannot raise it from 0.
    ///
    /// # Errors
    ///
    /// [`RequestError::NotConnected`], and [`RequestError::SessionExpiryRaised`].
    pub fn disconnect(
        &mut self,
        reason_code: ReasonCode,
        properties: Properties<'_>,
    ) -> Result<(), RequestError> {
        if !self.is_connected() {
            return Err(RequestError::NotConnected);
        }
        if let Some(session_expiry_interval) = properties.session_expiry_interval() {
            if session_expiry_interval > 0 && !self.session.is_durable() {
                return Err(RequestError::SessionExpiryRaised);
            }
            self.record(SessionChange::ExpirySet { session_expiry_interval });
        }
        let properties = properties.into_owned();
        self.send(Packet::Disconnect(Disconnect { reason_code, properties }));
        if let Some(connection) = self.connection.as_deref_mut() {
            connection.phase = Stage::Closing { cause: Some(DisconnectCause::Requested) };
        }
        Ok(())
    }

    /// The server says why it ends the connection; the client closes it too.
    fn handle_disconnect(&mut self, disconnect: &Disconnect<'_>) {
        let reason_code = disconnect.reason_code;
        let properties = disconnect.properties.borrow().into_owned();
        self.abandon_output();
        self.close(DisconnectCause::Server { reason_code, properties });
    }

    /// Ends the connection because of what the server did. A 5.0 server is told why [MQTT-4.13.2-1].
    fn fail(&mut self, violation: Violation) {
        let is_told = self.is_connected() && self.version() == Some(ProtocolVersion::V5);
        self.abandon_output();
        if is_told {
            let properties = Properties::new().with(Property::ReasonString(&violation.to_string()));
            let (reason_code, properties) = (violation.reason_code(), properties.into_owned());
            self.send(Packet::Disconnect(Disconnect { reason_code, properties }));
        }
        self.close(DisconnectCause::Violation(violation));
    }

    /// The one place where a connection ends for the application: what dies with it is reported first.
    fn close(&mut self, cause: DisconnectCause) {
        let Some(connection) = self.connection.as_deref_mut() else { return };
        let unsent = connection.qos0.drain(..);
        let outcome = PublishOutcome::NotSent(NotSent::ConnectionEnded);
        self.events.extend(unsent.map(|token| Event::published(token, outcome)));
        let unanswered = connection.requests.take();
        self.events.extend(unanswered.into_iter().map(|token| Event::RequestLost { token }));
        self.events.push_back(Event::Disconnected { cause });
        connection.phase = Stage::Closing { cause: None };
    }

    /// Lets go of the stream. A session without expiry ends here [MQTT-3.1.2-23]; what was not acknowledged
    /// is owed to the next one.
    fn drop_connection(&mut self) {
        let Some(connection) = self.connection.as_deref_mut() else { return };
        if let Stage::Closing { cause } = &mut connection.phase
            && let Some(cause) = cause.take()
        {
            self.close(cause);
        }
        if let Some(connection) = self.connection.take() {
            self.held.absorb(connection.unanswered);
        }
        self.session.link = None;
        if !self.session.is_durable() {
            self.discard_session();
        }
    }

    /// Forgets what belongs to the server's half of the session [MQTT-3.2.2-5].
    fn discard_session(&mut self) {
        // PUBREC has handed the message over, whatever becomes of PUBREL.
        let received = self.session.outbound.iter().filter(|owed| owed.phase() == Phase::Received);
        let outcome = PublishOutcome::Acknowledged(ReasonCode::Success);
        self.events.extend(received.map(|owed| Event::published(Token(owed.number.0), outcome)));
        self.held = Unanswered::default();
        self.record(SessionChange::Restarted);
    }

    /// Sends what the server's window has room for.
    fn transmit(&mut self, now: Instant) {
        while self.is_connected()
            && self.session.has_output_room(&self.limits)
            && self.session.transmit_next(now, &self.limits, &mut self.fx)
        {
            self.collect();
        }
        self.collect();
    }

    /// Encodes into `out`; `true` when it is full.
    fn encode(&mut self, now: Instant, bytes_max: usize, out: &mut Vec<u8>) -> bool {
        loop {
            let Some(link) = self.session.link.as_deref_mut() else { return false };
            let (_, packets) = link.output.encode(&mut link.wire, now, bytes_max, out, &mut self.fx);
            self.traffic.packets_sent += packets;
            self.collect();
            let Some(link) = self.session.link.as_deref() else { return false };
            if out.len() >= bytes_max && !link.output.is_empty() {
                return true;
            }
            self.transmit(now);
            if self.session.link.as_ref().is_none_or(|link| link.output.is_empty()) {
                return false;
            }
        }
    }

    /// Passes on what a call on the session has brought about.
    fn collect(&mut self) {
        self.fx.done.clear();
        for packet in self.fx.promises.drain(..) {
            // The runtime makes changes durable before it sends, so nothing waits here.
            if let Some(link) = self.session.link.as_deref_mut() {
                link.keep_promise(packet);
            }
        }
        self.changes.append(&mut self.fx.changes);
        if !self.fx.records_all {
            self.changes.clear();
        }
        for (message, reason) in self.fx.drops.drain(..) {
            let reason = match reason {
                DropReason::Oversize => NotSent::PacketTooLarge,
                DropReason::OutputFull => NotSent::OutputFull,
                // The acknowledgement that refused it is reported by itself.
                DropReason::RejectedByClient => continue,
                _ => NotSent::Expired,
            };
            let (token, outcome) = (Token(message.number.0), PublishOutcome::NotSent(reason));
            if let Some(connection) = self.connection.as_deref_mut() {
                connection.qos0.retain(|waiting| *waiting != token);
            }
            self.events.push_back(Event::published(token, outcome));
        }
    }

    fn record(&mut self, change: SessionChange) {
        self.session.record(change, &mut self.fx);
        self.collect();
    }

    fn send(&mut self, packet: Packet<'static>) {
        self.session.send(Outgoing::Packet(Box::new(packet)));
    }

    fn abandon_output(&mut self) {
        if let Some(link) = self.session.link.as_deref_mut() {
            link.output = crate::Output::default();
        }
    }

    fn version(&self) -> Option<ProtocolVersion> {
        self.session.link.as_ref().map(|link| link.wire.version)
    }

    fn next_token(&mut self) -> Token {
        self.last_token += 1;
        Token(self.last_token)
    }
}

impl Default for Client {
    fn default() -> Self {
        Self::new()
    }
}

/// Publications use packet ids up to this one; those above belong to SUBSCRIBE and UNSUBSCRIBE, so that the
/// two never meet [MQTT-2.2.1-3].
const LAST_PUBLISH_ID: PacketId = PacketId::new(0xEFFF).expect("it is not zero");
