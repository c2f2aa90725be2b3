//! PINGREQ in time, and a server that does not answer.

use super::connection::Phase;
use super::{Client, DisconnectCause};
use crate::Instant;
use noctule_codec::Packet;

/// When something was last sent and heard on a connection.
#[derive(Debug)]
pub(super) struct KeepAlive {
    /// Time between PINGREQs; 0: none.
    interval_millis: u64,
    response_timeout_ms: u64,
    last_sent: Instant,
    last_heard: Instant,
    /// When the PINGREQ was queued that has not been answered.
    pinged_at: Option<Instant>,
}

impl KeepAlive {
    pub(super) fn new(response_timeout_ms: u64, now: Instant) -> Self {
        Self { interval_millis: 0, response_timeout_ms, last_sent: now, last_heard: now, pinged_at: None }
    }

    /// CONNACK has come, with the server's keep alive where it gives one [MQTT-3.1.2-21], [MQTT-3.2.2-21].
    pub(super) fn begin(&mut self, keep_alive_seconds: u16) {
        self.interval_millis = u64::from(keep_alive_seconds) * 1000 * PING_NUMERATOR / PING_DENOMINATOR;
    }

    pub(super) fn sent(&mut self, now: Instant) {
        self.last_sent = now;
    }

    pub(super) fn heard(&mut self, now: Instant) {
        self.last_heard = now;
    }

    /// When the next PINGREQ leaves: nothing has been sent for nearly a keep alive [MQTT-3.1.2-20], or
    /// nothing has been heard, since a client that only sends would not notice a dead connection.
    fn ping_due(&self) -> Option<Instant> {
        let is_wanted = self.interval_millis > 0 && self.pinged_at.is_none();
        is_wanted.then(|| self.last_sent.min(self.last_heard) + self.interval_millis)
    }

    /// When the server counts as gone. Whatever it sends is a sign of life.
    fn answer_due(&self) -> Option<Instant> {
        self.pinged_at.map(|pinged| pinged.max(self.last_heard) + self.response_timeout_ms)
    }

    fn connack_due(&self) -> Instant {
        self.last_heard + self.response_timeout_ms
    }
}

impl Client {
    /// When [`handle_timeouts`](Self::handle_timeouts) wants to be called next.
    pub fn next_timeout(&self) -> Option<Instant> {
        let connection = self.connection.as_ref()?;
        match connection.phase {
            Phase::Connecting => Some(connection.keep_alive.connack_due()),
            Phase::Connected => connection.keep_alive.answer_due().or(connection.keep_alive.ping_due()),
            Phase::Closing { .. } => None,
        }
    }

    /// Sends PINGREQ where it is due, and gives up a server that has not answered in time.
    pub fn handle_timeouts(&mut self, now: Instant) {
        let Some(connection) = self.connection.as_deref_mut() else { return };
        let is_due = |at: Option<Instant>| at.is_some_and(|at| at <= now);
        let keep_alive = &connection.keep_alive;
        match connection.phase {
            Phase::Connecting if keep_alive.connack_due() <= now => self.give_up(DisconnectCause::NoConnAck),
            Phase::Connected if is_due(keep_alive.answer_due()) => self.give_up(DisconnectCause::NoPingResp),
            Phase::Connected if is_due(keep_alive.ping_due()) => self.ping(now),
            _ => {}
        }
    }

    /// Sends PINGREQ, unless one is not answered yet or there is no connection.
    pub fn ping(&mut self, now: Instant) {
        let Some(connection) = self.connection.as_deref_mut().filter(|connection| connection.is_open())
        else {
            return;
        };
        if connection.keep_alive.pinged_at.is_none() {
            connection.keep_alive.pinged_at = Some(now);
            self.send(Packet::PingReq);
        }
    }

    pub(super) fn handle_pingresp(&mut self) {
        if let Some(connection) = self.connection.as_deref_mut() {
            connection.keep_alive.pinged_at = None;
        }
    }
}

/// PINGREQ leaves after nine tenths of the keep alive, so that it arrives within it.
const PING_NUMERATOR: u64 = 9;
const PING_DENOMINATOR: u64 = 10;
