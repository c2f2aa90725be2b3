//! The listeners: who is let in, how fast, and what happens when there is no room.

use crate::entrance::Entrance;
use crate::shared::Shared;
use mio::event::Source as _;
use mio::{Interest, Registry, Token};
use noctule_session::Instant;
use noctule_transport::{AcceptError, Peer, Stream};
use std::io;
use tracing::{error, warn};

/// The listeners of the broker.
pub(crate) struct Accepting {
    listeners: Vec<Listening>,
    connections_max: usize,
    /// How many connections may still be accepted, where their rate is limited.
    rate: Option<Rate>,
    surplus: u64,
}

/// A connection that has been accepted.
pub(crate) struct Accepted {
    pub(crate) stream: Stream,
    pub(crate) peer: Peer,
    /// There are as many connections as there may be.
    pub(crate) is_surplus: bool,
}

struct Listening {
    entrance: Entrance,
    is_readable: bool,
    /// Out of open files: try again then.
    paused_until: Option<Instant>,
}

/// Connections accepted, at most so many a second.
struct Rate {
    per_second: u32,
    left: u32,
    since: Instant,
}

impl Accepting {
    /// These listeners, registered under tokens of their own.
    pub(crate) fn new(
        entrances: Vec<Entrance>,
        registry: &Registry,
        connections_max: usize,
        per_second_max: Option<u32>,
    ) -> io::Result<Self> {
        let mut listening = Vec::new();
        for (place, mut entrance) in entrances.into_iter().enumerate() {
            entrance.listener.register(registry, Token(FIRST_LISTENER + place), Interest::READABLE)?;
            listening.push(Listening { entrance, is_readable: true, paused_until: None });
        }
        let rate = per_second_max.map(|per_second| Rate::new(per_second, Instant::from_millis(0)));
        Ok(Self { listeners: listening, connections_max, rate, surplus: 0 })
    }

    /// Somebody may be waiting at the listener with this token, if there is one.
    pub(crate) fn notice(&mut self, token: Token) {
        if let Some(listening) = self.listeners.get_mut(token.0.wrapping_sub(FIRST_LISTENER)) {
            listening.is_readable = true;
        }
    }

    /// Whether somebody may be waiting who can be let in now.
    pub(crate) fn has_work(&self) -> bool {
        self.listeners.iter().any(|listening| listening.is_readable && listening.paused_until.is_none())
    }

    /// When a listener that rests is to be tried again.
    pub(crate) fn next_try(&self) -> Option<Instant> {
        self.listeners.iter().filter_map(|listening| listening.paused_until).min()
    }

    /// The connections of one turn.
    pub(crate) fn accept(&mut self, now: Instant, shared: &Shared) -> Vec<Accepted> {
        let mut accepted = Vec::new();
        for place in 0..self.listeners.len() {
            for _ in 0..ACCEPTS_PER_TURN {
                let Some((stream, peer)) = self.accept_at(place, now) else { break };
                let Some(stream) = self.listeners[place].entrance.furnish(stream, peer) else { continue };
                accepted.extend(self.admit(stream, peer, shared));
            }
        }
        accepted
    }

    /// Stops listening.
    pub(crate) fn close(&mut self) {
        self.listeners.clear();
    }

    fn accept_at(&mut self, place: usize, now: Instant) -> Option<(Stream, Peer)> {
        let listening = &mut self.listeners[place];
        if listening.paused_until.is_some_and(|until| until > now) || !listening.is_readable {
            return None;
        }
        listening.paused_until = self.rate.as_mut().and_then(|rate| rate.pause(now));
        if listening.paused_until.is_some() {
            return None;
        }
        match listening.entrance.listener.accept() {
            Ok(Some(connection)) => {
                self.rate.iter_mut().for_each(|rate| rate.left -= 1);
                return Some(connection);
            }
            Ok(None) => listening.is_readable = false,
            Err(AcceptError::Exhausted(cause)) => {
                warn!(%cause, "no connection can be accepted for now: out of open files");
                listening.paused_until = Some(now + PAUSE_MILLIS);
            }
            Err(AcceptError::Broken(cause)) => {
                error!(%cause, listener = %listening.entrance.listener.url(), "a listener failed");
                listening.paused_until = Some(now + PAUSE_MILLIS);
            }
        }
        None
    }

    /// Lets a connection in. A few that are too many are told so by CONNACK; beyond that there is no file to
    /// spare for politeness.
    fn admit(&mut self, stream: Stream, peer: Peer, shared: &Shared) -> Option<Accepted> {
        let served = shared.served();
        let is_surplus = served >= self.connections_max;
        if is_surplus {
            self.surplus += 1;
            if self.surplus.is_power_of_two() {
                warn!(refused = self.surplus, "connections are refused: limits.connections_max is reached");
            }
            if served >= self.connections_max + SURPLUS_CONNECTIONS {
                return None;
            }
        }
        shared.begin_serving();
        Some(Accepted { stream, peer, is_surplus })
    }
}

impl Rate {
    fn new(per_second: u32, now: Instant) -> Self {
        Self { per_second, left: per_second, since: now }
    }

    /// Until when nobody is accepted because this second's share is used up.
    fn pause(&mut self, now: Instant) -> Option<Instant> {
        if now >= self.since + 1000 {
            *self = Self::new(self.per_second, now);
        }
        (self.left == 0).then_some(self.since + 1000)
    }
}

/// Tokens below this are not the listeners'.
pub(crate) const FIRST_LISTENER: usize = 8;
const ACCEPTS_PER_TURN: usize = 64;
/// Connections above the limit that are still told why by CONNACK.
const SURPLUS_CONNECTIONS: usize = 32;
const PAUSE_MILLIS: u64 = 100;
