//! A connection before its CONNECT: what it brings along from where it was accepted.

use crate::Event;
use crate::admission::Stage;
use crate::connection::{Next, State};
use crate::mail::Violation;
use crate::shard::{Shard, Turn};
use noctule_auth::{Address, Listener, Origin};
use noctule_codec::{Connect, ReasonCode};
use noctule_session::{ConnectQueue, ConnectionId, Instant, Limits, Meters, Pause, Terms, Versions};
use std::sync::Arc;

/// A connection that has just been accepted.
#[derive(Clone, Debug)]
pub struct Arrival {
    /// Where it comes from, as text.
    pub address: Arc<str>,
    /// The listener that accepted it, as rules name it.
    pub listener: Listener,
    /// What that listener offers.
    pub terms: Arc<Terms>,
    /// Why its CONNECT is to be refused, if that is known already.
    pub refusal: Option<ArrivalRefusal>,
    /// The rates that it shares with other connections of its address and its listener.
    pub meters: Vec<Arc<Meters>>,
    /// Where its CONNECT has to wait for its turn: the queue of its listener, and that of the broker.
    pub queues: Vec<Arc<ConnectQueue>>,
}

/// Why a connection that was accepted is refused as soon as its client can be told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ArrivalRefusal {
    /// The broker has as many connections as it may have.
    BrokerFull,
    /// Its listener has as many connections as it may have.
    ListenerFull,
    /// Too many connections come from its address.
    AddressTooFast,
}

/// A connection whose CONNECT has not come or is not answered.
#[derive(Clone, Debug)]
pub(crate) struct Handshake {
    /// When the connection was accepted.
    pub(crate) opened_at: Instant,
    /// Where it comes from.
    pub(crate) origin: Origin,
    /// The client id that it was given, if it asked for one.
    pub(crate) assigned: Option<Box<str>>,
    /// How far its password is.
    pub(crate) stage: Stage,
    /// What its listener offers.
    pub(crate) terms: Arc<Terms>,
    pub(crate) refusal: Option<ArrivalRefusal>,
    pub(crate) meters: Vec<Arc<Meters>>,
    /// The queues in which its CONNECT has no turn yet.
    pub(crate) queues: Vec<Arc<ConnectQueue>>,
    /// The turn of its CONNECT, which is not looked at before.
    pub(crate) turn_at: Option<Instant>,
    /// Its CONNECT has come and may not take over a session before then.
    pub(crate) waits_until: Option<Instant>,
}

impl Handshake {
    pub(crate) fn new(arrival: Arrival, opened_at: Instant) -> (Arc<str>, Self) {
        let Arrival { address, listener, terms, refusal, meters, queues } = arrival;
        let origin = Origin { address: Address::parse(&address), listener, certificate: None };
        let handshake = Self {
            opened_at,
            origin,
            assigned: None,
            stage: Stage::Unasked,
            terms,
            refusal,
            meters,
            queues,
            turn_at: None,
            waits_until: None,
        };
        (address, handshake)
    }

    /// Whether CONNECT waits for the check of its password.
    pub(crate) fn is_held(&self) -> bool {
        matches!(self.stage, Stage::Held { .. })
    }
}

impl ArrivalRefusal {
    fn violation(self) -> Violation {
        let (reason_code, cause) = match self {
            Self::BrokerFull => (
                ReasonCode::QuotaExceeded,
                "there are as many connections as there may be (limits.connections_max)",
            ),
            Self::ListenerFull => (
                ReasonCode::QuotaExceeded,
                "this listener has as many connections as it may have (listener.connections_max)",
            ),
            Self::AddressTooFast => (
                ReasonCode::ConnectionRateExceeded,
                "too many connections come from this address (limits.address_connects_per_second_max)",
            ),
        };
        Violation::new(reason_code, cause)
    }
}

impl Shard {
    /// Where a connection comes from, as long as its client has not been let in: the certificate is set when TLS has
    /// found it valid.
    pub fn origin_mut(&mut self, id: ConnectionId) -> Option<&mut Origin> {
        self.handshake_mut(id).map(|handshake| &mut handshake.origin)
    }

    /// A connection broke before its CONNECT because of what stands below MQTT: TLS or WebSocket. It is to be
    /// [lost](Self::lost) as well.
    pub fn refused_below(&mut self, id: ConnectionId, cause: &str, turn: &mut Turn<'_>) {
        let Some(connection) = self.connection(id).filter(|_| self.handshake(id).is_some()) else { return };
        let (address, reason_code) = (Arc::clone(&connection.address), ReasonCode::UnspecifiedError);
        self.stats.refused += 1;
        let cause = cause.to_owned();
        Self::event(turn, Event::Refused { client_id: Box::default(), address, reason_code, cause });
    }

    /// Has other limits in force from now on. What a connection was told when it began stays as it is; how fast its
    /// client may go is counted anew.
    pub fn set_limits(&mut self, limits: Arc<Limits>, now: Instant) {
        let paces = |limits: &Limits| {
            let Limits { messages_per_second_max, bytes_per_second_max, match_visits_per_second_max, .. } =
                limits;
            (*messages_per_second_max, *bytes_per_second_max, *match_visits_per_second_max)
        };
        let is_paced_alike = paces(&limits) == paces(&self.limits);
        self.terms = Arc::new(Terms { limits: (*limits).clone(), ..Terms::default() });
        self.limits = limits;
        if is_paced_alike {
            return;
        }
        for (_, resident) in self.sessions.iter_mut() {
            let link = resident.session.link.iter_mut();
            link.for_each(|link| link.pace.restart(&self.limits, now));
        }
    }

    pub(crate) fn handshake(&self, id: ConnectionId) -> Option<&Handshake> {
        match &self.connection(id)?.state {
            State::Handshaking(handshake) => Some(handshake),
            _ => None,
        }
    }

    pub(crate) fn handshake_mut(&mut self, id: ConnectionId) -> Option<&mut Handshake> {
        match &mut self.connection_mut(id)?.state {
            State::Handshaking(handshake) => Some(handshake),
            _ => None,
        }
    }

    /// The rates that a connection shares with others: those of its address, of its listener, and of its user.
    pub(crate) fn shared_meters(&self, id: ConnectionId, slot: usize, turn: &Turn<'_>) -> Vec<Arc<Meters>> {
        let mut meters = self.handshake(id).map(|handshake| handshake.meters.clone()).unwrap_or_default();
        let user_name = self.sessions[slot].identity.user_name.as_deref();
        meters.extend(user_name.and_then(|user| turn.directory.user_meters(user, turn.now)));
        meters
    }

    /// A client is over its rates: it is not read until they have caught up, and goes if that never lasts.
    #[cold]
    pub(crate) fn heed_pause(&mut self, slot: usize, pause: Pause, turn: &mut Turn<'_>) -> Next {
        self.stats.pauses += 1;
        if !pause.is_too_long {
            return Next::Wait(pause.until);
        }
        let cause = "it has been over its rates for too long (limits.rate_pause_max)";
        self.close_session(slot, Violation::new(ReasonCode::MessageRateTooHigh, cause), turn);
        Next::Close
    }

    /// What the listener of a connection offers, before its CONNECT is answered.
    pub(crate) fn terms_for(&self, id: ConnectionId) -> Arc<Terms> {
        Arc::clone(self.handshake(id).map_or(&self.terms, |handshake| &handshake.terms))
    }

    /// What the listener of a session's connection offers.
    pub(crate) fn terms_of(&self, slot: usize) -> Arc<Terms> {
        let link = self.sessions[slot].session.link.as_deref();
        Arc::clone(link.and_then(|link| link.terms.as_ref()).unwrap_or(&self.terms))
    }

    /// What the client of a session was told that it may use.
    #[inline]
    pub(crate) fn offered(&self, slot: usize) -> &Limits {
        let link = self.sessions[slot].session.link.as_deref();
        link.and_then(|link| link.terms.as_deref()).map_or(&self.limits, |terms| &terms.limits)
    }

    /// What speaks against a client before anybody asks who it is: there is no room for it where it comes in, or its
    /// version is not for that listener.
    pub(crate) fn check_arrival(&self, id: ConnectionId, connect: &Connect<'_>) -> Result<(), Violation> {
        let Some(handshake) = self.handshake(id) else { return Ok(()) };
        if let Some(refusal) = handshake.refusal {
            return Err(refusal.violation());
        }
        if !handshake.terms.versions.have(connect.version) {
            let version = Versions::name(connect.version);
            let cause = format!("this listener does not accept MQTT {version} (listener.versions)");
            return Err(Violation::new(ReasonCode::UnsupportedProtocolVersion, cause));
        }
        Ok(())
    }

    /// A connection whose CONNECT waits is not too slow.
    pub(crate) fn connect_due(&self, handshake: &Handshake) -> Instant {
        let due = handshake.opened_at + self.limits.connect_timeout_ms;
        let until = handshake.turn_at.max(handshake.waits_until);
        until.map_or(due, |until| due.max(until + self.limits.connect_timeout_ms))
    }

    /// Takes a connection that was accepted where nothing special holds. One that is surplus has its CONNECT answered
    /// with 0x97.
    pub fn open(&mut self, id: ConnectionId, address: &str, is_surplus: bool, turn: &mut Turn<'_>) {
        let arrival = Arrival {
            address: address.into(),
            listener: Listener::default(),
            terms: Arc::clone(&self.terms),
            refusal: is_surplus.then_some(ArrivalRefusal::BrokerFull),
            meters: Vec::new(),
            queues: Vec::new(),
        };
        self.arrive(id, arrival, turn);
    }
}
