//! The listeners: who is let in, how fast, and what happens when there is no room.

use crate::entrance::Entrance;
use crate::gate::{Gate, queue};
use crate::reload::Reloaded;
use crate::shared::Shared;
use crate::sockets::FIRST_TOKEN;
use mio::event::Source as _;
use mio::{Interest, Registry, Token};
use noctule_engine::ArrivalRefusal;
use noctule_session::{ConnectQueue, Instant, MeterTable, Meters, Rates};
use noctule_transport::{AcceptError, Peer, Stream};
use std::io;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;
use tracing::{error, warn};

/// The listeners of the broker.
pub(crate) struct Accepting {
    /// By token; where a listener has ended there is none.
    listeners: Vec<Option<Listening>>,
    connections_max: usize,
    /// Where all clients wait for their turn to connect, where that is limited.
    queue: Option<Arc<ConnectQueue>>,
    /// The rates of addresses.
    addresses: MeterTable<IpAddr>,
    /// How many of those that come too fast are told so.
    told: Rate,
    refused: u64,
}

/// A connection that has been accepted.
pub(crate) struct Accepted {
    pub(crate) stream: Stream,
    pub(crate) peer: Peer,
    pub(crate) gate: Arc<Gate>,
    /// Why its CONNECT is to be refused.
    pub(crate) refusal: Option<ArrivalRefusal>,
    /// The rates that it shares with others.
    pub(crate) meters: Vec<Arc<Meters>>,
    /// Where its CONNECT has to wait for its turn.
    pub(crate) queues: Vec<Arc<ConnectQueue>>,
}

struct Listening {
    entrance: Entrance,
    is_readable: bool,
    /// Out of open files: try again then.
    paused_until: Option<Instant>,
}

/// A connection that is too many.
struct Surplus {
    /// There is a file to spare to tell its client.
    is_told: bool,
    refusal: ArrivalRefusal,
    /// The key that says how many there may be.
    key: &'static str,
}

/// At most so many a second.
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
        connects_per_second_max: u32,
        address_rates: Rates,
    ) -> io::Result<Self> {
        let start = Instant::from_millis(0);
        let mut accepting = Self {
            listeners: Vec::new(),
            connections_max,
            queue: queue(connects_per_second_max),
            addresses: MeterTable::new(address_rates),
            told: Rate::new(TOLD_PER_SECOND_MAX, start),
            refused: 0,
        };
        for entrance in entrances {
            accepting.listen(entrance, registry)?;
        }
        Ok(accepting)
    }

    /// The gates of all listeners, each once.
    pub(crate) fn gates(&self) -> Vec<Arc<Gate>> {
        let mut gates: Vec<Arc<Gate>> = Vec::new();
        for Listening { entrance, .. } in self.listeners.iter().flatten() {
            if gates.iter().all(|gate| gate.number != entrance.gate.number) {
                gates.push(Arc::clone(&entrance.gate));
            }
        }
        gates
    }

    /// Lets connections in as another configuration says, from now on.
    pub(crate) fn reload(&mut self, reloaded: Reloaded, registry: &Registry) {
        let Reloaded { listeners, connections_max, connects_per_second_max, address_rates, .. } = reloaded;
        self.connections_max = connections_max;
        self.set_pace(connects_per_second_max);
        self.addresses.set_rates(address_rates);
        for place in &mut self.listeners {
            let Some(Listening { entrance, .. }) = place else { continue };
            match listeners.gates.iter().find(|gate| gate.number == entrance.gate.number) {
                Some(gate) => entrance.gate = Arc::clone(gate),
                None => *place = None,
            }
        }
        for entrance in listeners.opened {
            if let Err(cause) = self.listen(entrance, registry) {
                error!(%cause, "a listener cannot be watched");
            }
        }
    }

    /// Lets so many in a second; those who wait already keep their turns.
    fn set_pace(&mut self, connects_per_second_max: u32) {
        let pace = self.queue.as_ref().map_or(0, |queue| queue.per_second());
        if pace != u64::from(connects_per_second_max) {
            self.queue = queue(connects_per_second_max);
        }
    }

    fn listen(&mut self, mut entrance: Entrance, registry: &Registry) -> io::Result<()> {
        let free = self.listeners.iter().position(Option::is_none);
        let place = free.unwrap_or(self.listeners.len());
        if FIRST_LISTENER + place >= FIRST_TOKEN {
            return Err(io::Error::other("there are too many addresses to listen on"));
        }
        entrance.listener.register(registry, Token(FIRST_LISTENER + place), Interest::READABLE)?;
        if free.is_none() {
            self.listeners.push(None);
        }
        self.listeners[place] = Some(Listening { entrance, is_readable: true, paused_until: None });
        Ok(())
    }

    /// Somebody may be waiting at the listener with this token, if there is one.
    pub(crate) fn notice(&mut self, token: Token) {
        if let Some(Some(listening)) = self.listeners.get_mut(token.0.wrapping_sub(FIRST_LISTENER)) {
            listening.is_readable = true;
        }
    }

    /// Whether somebody may be waiting who can be let in now.
    pub(crate) fn has_work(&self) -> bool {
        self.listeners
            .iter()
            .flatten()
            .any(|listening| listening.is_readable && listening.paused_until.is_none())
    }

    /// When a listener that rests is to be tried again.
    pub(crate) fn next_try(&self) -> Option<Instant> {
        self.listeners.iter().flatten().filter_map(|listening| listening.paused_until).min()
    }

    /// The connections of one turn.
    pub(crate) fn accept(&mut self, now: Instant, shared: &Shared) -> Vec<Accepted> {
        let mut accepted = Vec::new();
        for place in 0..self.listeners.len() {
            for _ in 0..ACCEPTS_PER_TURN {
                let Some((stream, peer, gate)) = self.accept_at(place, now) else { break };
                let Some(stream) = gate.furnish(stream, peer) else { continue };
                accepted.extend(self.admit(stream, peer, gate, now, shared));
            }
        }
        accepted
    }

    /// Stops listening.
    pub(crate) fn close(&mut self) {
        self.listeners.clear();
    }

    fn accept_at(&mut self, place: usize, now: Instant) -> Option<(Stream, Peer, Arc<Gate>)> {
        let listening = self.listeners[place].as_mut()?;
        if listening.paused_until.is_some_and(|until| until > now) || !listening.is_readable {
            return None;
        }
        listening.paused_until = None;
        match listening.entrance.listener.accept() {
            Ok(Some((stream, peer))) => return Some((stream, peer, Arc::clone(&listening.entrance.gate))),
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
    fn admit(
        &mut self,
        stream: Stream,
        peer: Peer,
        gate: Arc<Gate>,
        now: Instant,
        shared: &Shared,
    ) -> Option<Accepted> {
        let address = peer.address().map(|address| network(address.ip()));
        let of_address = address.and_then(|address| self.addresses.of(address, now));
        let haste = self.haste_of(of_address.as_deref(), now);
        let surplus = self.surplus_of(&gate, shared).or(haste);
        if let Some(Surplus { is_told, key, .. }) = &surplus {
            self.refused += 1;
            if self.refused.is_power_of_two() {
                let (refused, listener) = (self.refused, gate.name.name());
                warn!(refused, listener, %peer, "connections are refused: {key} is reached");
            }
            if !is_told {
                return None;
            }
        }
        shared.begin_serving(gate.number);
        let meters = of_address.into_iter().chain(gate.meters.clone()).collect();
        let refusal = surplus.map(|surplus| surplus.refusal);
        // Whoever is refused anyhow takes nobody's turn.
        let queues = gate.queue.clone().into_iter().chain(self.queue.clone());
        let queues = queues.filter(|_| refusal.is_none()).collect();
        Some(Accepted { stream, peer, gate, refusal, meters, queues })
    }

    /// Whether connections come too fast from this address.
    fn haste_of(&mut self, address: Option<&Meters>, now: Instant) -> Option<Surplus> {
        if address.is_none_or(|meters| meters.take_connect(now)) {
            return None;
        }
        let (refusal, key) = (ArrivalRefusal::AddressTooFast, "limits.address_connects_per_second_max");
        Some(Surplus { is_told: self.told.take(now), refusal, key })
    }

    /// By how much there are too many connections already.
    fn surplus_of(&self, gate: &Gate, shared: &Shared) -> Option<Surplus> {
        let beyond = |served: usize, max: usize| served.checked_sub(max);
        if let Some(connections) = beyond(shared.served(), self.connections_max) {
            let (refusal, key) = (ArrivalRefusal::BrokerFull, "limits.connections_max");
            return Some(Surplus { is_told: connections < SURPLUS_CONNECTIONS, refusal, key });
        }
        let max = usize::try_from(gate.connections_max?).unwrap_or(usize::MAX);
        let connections = beyond(shared.served_at(gate.number), max)?;
        let (refusal, key) = (ArrivalRefusal::ListenerFull, "listener.connections_max");
        Some(Surplus { is_told: connections < SURPLUS_CONNECTIONS, refusal, key })
    }
}

impl Rate {
    fn new(per_second: u32, now: Instant) -> Self {
        Self { per_second, left: per_second, since: now }
    }

    /// Takes one of this second's share, if there is one left.
    fn take(&mut self, now: Instant) -> bool {
        if now >= self.since + 1000 {
            *self = Self::new(self.per_second, now);
        }
        let has_one = self.left > 0;
        self.left -= u32::from(has_one);
        has_one
    }
}

/// Whose connections count as those of one address: anybody has a network of 64 bits of IPv6.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => Ipv6Addr::from(u128::from(address) & !u128::from(u64::MAX)).into(),
        address => address,
    }
}

/// Tokens below this are not the listeners'.
pub(crate) const FIRST_LISTENER: usize = 8;
const ACCEPTS_PER_TURN: usize = 64;
/// Connections above the limit that are still told why by CONNACK.
const SURPLUS_CONNECTIONS: usize = 32;
const PAUSE_MILLIS: u64 = 100;
/// Connections that come too fast and are told so by CONNACK.
const TOLD_PER_SECOND_MAX: u32 = 64;
