//! Connections: bytes in, packets to their handlers, bytes out.

use crate::ShardId;
use crate::effects::Event;
use crate::handshake::{Arrival, Handshake};
use crate::mail::Violation;
use crate::shard::{Shard, Turn};
use crate::timers::Timer;
use noctule_codec::{Decoder, Packet, ReasonCode};
use noctule_session::{ConnectionId, Encoded, Instant, Publication};
use std::sync::Arc;

/// A connection from its acceptance to its end.
#[derive(Debug)]
pub(crate) struct Connection {
    pub(crate) id: ConnectionId,
    pub(crate) decoder: Decoder,
    pub(crate) state: State,
    /// The port at the other end; 0 where there is none. The address itself is that of the handshake, and then of
    /// the session's identity.
    port: u16,
    /// When its timer fires. One that fires earlier was armed before that one and means nothing any more.
    timer_at: Instant,
    pulse: Pulse,
    /// It stands on the list of connections to flush.
    pub(crate) is_dirty: bool,
}

/// What a connection takes with it to its home. It leaves before its CONNECT is used up, so this is little.
#[derive(Clone, Debug)]
pub struct Handover(Box<Handshake>);

/// How far a connection has come.
#[derive(Debug)]
pub(crate) enum State {
    /// CONNECT has not come, is held, or is not answered.
    Handshaking(Box<Handshake>),
    /// It belongs to this session.
    Connected {
        /// The session's place.
        slot: usize,
    },
    /// Nothing is read any more; these are its last bytes.
    Closing {
        /// CONNACK or DISCONNECT.
        #[expect(clippy::box_collection, reason = "the few that close should not widen all others")]
        last: Box<Vec<u8>>,
    },
}

/// Whether a connection keeps room for what it sends. A shard that serves a hundred thousand idle clients keeps
/// it for none of them, and one that is busy does not make it anew for each packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Pulse {
    /// It keeps no room, and nobody looks.
    Resting,
    /// It was flushed so often since it rested, which is too seldom to keep room.
    Stirring(u8),
    /// It was flushed since the last look, and keeps room.
    Busy,
    /// It was not flushed since the last look, and still keeps room.
    Quiet,
}

/// What became of bytes that were given to a shard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Received {
    /// How many of them have been used up.
    pub consumed: usize,
    /// What to do with the rest.
    pub next: Next,
}

/// What the runtime is to do with a connection next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// Read more; the rest is the beginning of a packet.
    Read,
    /// Give the rest again in the next turn, when the changes of this one are visible.
    Yield,
    /// Give the rest again, and read more, once the connection has been flushed.
    Flush,
    /// Give the rest again, and read more, at this time: the client has used up its allowance.
    Wait(Instant),
    /// Give the rest again, and read more, when there is less mail on its way: the client feeds a shard that
    /// has too much.
    Blocked,
    /// Hand the socket and all bytes that are not consumed to this shard, the client's home.
    Move(ShardId),
    /// Keep the rest until the [answer](Shard::answer_check) to a check of a password is there, then give it again.
    Held,
    /// Read nothing more; flush and close.
    Close,
}

/// What there is to write.
#[derive(Clone, Debug)]
pub enum Flush {
    /// Everything has been written to the buffer.
    Done,
    /// The buffer is full and there is more.
    More,
    /// The buffer ends with a PUBLISH but for its payload, which has to follow it; then there may be more.
    Payload(Arc<Publication>),
    /// Everything has been written to the buffer; close the connection once it is sent.
    Close,
}

impl Shard {
    /// Takes a connection that was accepted.
    pub fn arrive(&mut self, id: ConnectionId, arrival: Arrival, turn: &mut Turn<'_>) {
        self.take_in(id, Handover(Box::new(Handshake::new(arrival, turn.now))), turn);
    }

    /// Lets a connection go that was told [`Next::Move`].
    pub fn hand_over(&mut self, id: ConnectionId) -> Option<Handover> {
        let connection = self.connections.get_mut(id.slot as usize)?.take_if(|it| it.id == id)?;
        let State::Handshaking(handshake) = connection.state else { return None };
        Some(Handover(handshake))
    }

    /// Takes a connection that another shard has let go.
    pub fn take_in(&mut self, id: ConnectionId, handover: Handover, turn: &mut Turn<'_>) {
        let Handover(handshake) = handover;
        let (opened_at, due) = (handshake.opened_at, self.connect_due(&handshake));
        let packet_bytes_max = handshake.terms.limits.packet_bytes_max.min(CONNECT_BYTES_MAX);
        let slot = id.slot as usize;
        if self.connections.len() <= slot {
            self.connections.resize_with(slot + 1, || None);
        }
        self.connections[slot] = Some(Box::new(Connection {
            id,
            decoder: Decoder::server(packet_bytes_max),
            port: handshake.port(),
            state: State::Handshaking(handshake),
            timer_at: opened_at,
            pulse: Pulse::Resting,
            is_dirty: false,
        }));
        self.arm_connection(id, due, turn.now);
    }

    /// Gives bytes that came from a connection, the rest of earlier ones in front.
    pub fn receive(&mut self, id: ConnectionId, bytes: &[u8], turn: &mut Turn<'_>) -> Received {
        let mut consumed = 0;
        loop {
            let slot = match self.open_for_input(id, turn) {
                Ok(slot) => slot,
                Err(next) => return Received { consumed, next },
            };
            let Some(connection) = self.connection_mut(id) else {
                return Received { consumed, next: Next::Close };
            };
            // A packet is large for something that is moved, so it stays where it was decoded.
            let decoded = connection.decoder.decode(&bytes[consumed..]);
            let (packet, length) = match &decoded {
                Ok(Some((packet, length))) => (packet, *length),
                Ok(None) => return Received { consumed, next: Next::Read },
                Err(error) => {
                    self.refuse_bytes(id, error, turn);
                    return Received { consumed: bytes.len(), next: Next::Close };
                }
            };
            if let Some(slot) = slot
                && !self.hear(slot, matches!(packet, Packet::Publish(_)), length, turn.now)
            {
                return Received { consumed, next: Next::Flush };
            }
            match self.handle_packet(id, slot, packet, turn) {
                // The packet moves with its connection, or comes again, so it is not used up here.
                next @ (Next::Move(_) | Next::Held | Next::Wait(_)) => return Received { consumed, next },
                next => {
                    consumed += length;
                    self.stats.packets_received += 1;
                    self.stats.bytes_received += length as u64;
                    if next != Next::Read {
                        return Received { consumed, next };
                    }
                    if turn.fx.is_turn_full() {
                        return Received { consumed, next: Next::Yield };
                    }
                }
            }
        }
    }

    /// Gives a whole packet and nothing else, whose bytes are shared: its payload is not copied.
    pub fn receive_packet(
        &mut self,
        id: ConnectionId,
        packet: &Arc<Vec<u8>>,
        turn: &mut Turn<'_>,
    ) -> Received {
        self.packet = Some(Arc::clone(packet));
        let received = self.receive(id, packet, turn);
        self.packet = None;
        received
    }

    /// The length of the packet at the front of these bytes of a connection, if that is known.
    pub fn packet_bytes(&self, id: ConnectionId, bytes: &[u8]) -> Option<usize> {
        self.connection(id)?.decoder.packet_len(bytes).ok().flatten()
    }

    /// Where a connection comes from, as text; empty once it is closing.
    pub(crate) fn address_of(&self, id: ConnectionId) -> Arc<str> {
        let Some(connection) = self.connection(id) else { return "".into() };
        match &connection.state {
            State::Handshaking(handshake) => Arc::clone(&handshake.address),
            State::Connected { slot } => {
                self.sessions[*slot].identity.origin.address.with_port(connection.port).into()
            }
            State::Closing { .. } => "".into(),
        }
    }

    /// The socket is gone without a DISCONNECT.
    pub fn lost(&mut self, id: ConnectionId, cause: &str, turn: &mut Turn<'_>) {
        if let Some(slot) = self.session_of(id) {
            self.log_disconnect(slot, ReasonCode::UnspecifiedError, cause.to_owned(), turn);
            self.end_connection(slot, false, turn);
        }
        self.forget(id);
    }

    /// The connection has been closed, or moved away, and its slot may be reused.
    pub fn forget(&mut self, id: ConnectionId) {
        if self.connection(id).is_some() {
            self.connections[id.slot as usize] = None;
            self.shorten_connections();
        }
    }

    /// Gives back the end of the table where nobody is connected any more.
    fn shorten_connections(&mut self) {
        while self.connections.pop_if(|last| last.is_none()).is_some() {}
        if self.connections.capacity() > 4 * self.connections.len().max(SLOTS_KEPT) {
            self.connections.shrink_to(2 * self.connections.len());
        }
    }

    /// Writes what a connection has to send to the end of `out`, until that holds `bytes_max` bytes or more.
    pub fn flush(
        &mut self,
        id: ConnectionId,
        bytes_max: usize,
        out: &mut Vec<u8>,
        turn: &mut Turn<'_>,
    ) -> Flush {
        let Some(connection) = self.connection_mut(id) else { return Flush::Done };
        // What the session queues meanwhile is flushed here and need not be asked for, whether or not this
        // flush was; otherwise every flush would bring about the next one.
        connection.is_dirty = true;
        let flush = match &mut connection.state {
            State::Handshaking(_) => Flush::Done,
            State::Closing { last } => {
                let bytes = last.len() as u64;
                out.append(last);
                self.stats.bytes_sent += bytes;
                Flush::Close
            }
            State::Connected { slot } => {
                let slot = *slot;
                let keeps_room = self.stir(id, turn.now);
                let flush = self.flush_session(slot, bytes_max, out, turn);
                if !keeps_room {
                    self.sessions[slot].give_back_room();
                }
                flush
            }
        };
        if let Some(connection) = self.connection_mut(id) {
            connection.is_dirty = false;
        }
        flush
    }

    /// Whether a connection that was told [`Next::Flush`] may be read again.
    pub fn wants_input(&self, id: ConnectionId) -> bool {
        self.session_of(id).is_some_and(|slot| {
            self.has_room_for_answers(slot) && !self.is_long_under_way(slot) && !self.holds_publishes(slot)
        })
    }

    fn has_room_for_answers(&self, slot: usize) -> bool {
        let bytes_max = self.limits.output_bytes_max.saturating_add(CONTROL_BYTES_MAX);
        self.sessions[slot].session.link.as_ref().is_some_and(|link| link.output.bytes() < bytes_max)
    }

    fn flush_session(
        &mut self,
        slot: usize,
        bytes_max: usize,
        out: &mut Vec<u8>,
        turn: &mut Turn<'_>,
    ) -> Flush {
        let before = out.len();
        let mut long = None;
        loop {
            let Some(link) = self.sessions[slot].session.link.as_deref_mut() else { return Flush::Done };
            let fx = &mut self.session_fx;
            let Encoded { publishes, packets, payload_of } =
                link.output.encode_but_long(&mut link.wire, turn.now, bytes_max, out, fx);
            self.stats.publishes_sent += publishes;
            self.stats.packets_sent += packets;
            if payload_of.is_some() {
                long = payload_of;
                break;
            }
            if out.len() >= bytes_max {
                break;
            }
            self.transmit(slot, turn);
            if self.sessions[slot].session.link.as_ref().is_none_or(|link| link.output.is_empty()) {
                break;
            }
        }
        self.stats.bytes_sent += (out.len() - before) as u64;
        self.collect_used(slot, turn);
        if let Some(message) = long {
            self.stats.bytes_sent += message.payload.len() as u64;
            return Flush::Payload(message);
        }
        let link = self.sessions[slot].session.link.as_ref();
        if link.is_some_and(|link| link.output.is_over()) {
            return Flush::Close;
        }
        if self.has_more(slot) { Flush::More } else { Flush::Done }
    }

    /// A part of a long packet has come, which keeps its sender alive too: over a slow link a whole one can take longer
    /// than one and a half keep alives.
    pub fn hear_part(&mut self, id: ConnectionId, now: Instant) {
        if let Some(slot) = self.session_of(id) {
            self.sessions[slot].session.link.iter_mut().for_each(|link| link.last_heard = now);
        }
    }

    /// A whole packet has come, which keeps its sender alive [MQTT-3.1.2-22] and counts against its allowances.
    /// Says whether it may be handled.
    fn hear(&mut self, slot: usize, is_publish: bool, bytes: usize, now: Instant) -> bool {
        if is_publish && self.holds_publishes(slot) {
            return false;
        }
        let Some(link) = self.sessions[slot].session.link.as_deref_mut() else { return true };
        link.last_heard = now;
        link.pace.charge_packet(is_publish, bytes, &self.limits, now);
        true
    }

    /// Whether publications wait for something that is promised to their sender. What comes back of them follows
    /// the SUBACK of a SUBSCRIBE in front of them. And a client that fills its window while we owe it
    /// acknowledgements has done nothing wrong that we could see: it is answered before more is read, so that clients
    /// that do not heed a Receive Maximum (many do not) get along. For what the client owes, PUBREL, nobody waits.
    fn holds_publishes(&self, slot: usize) -> bool {
        let Some(link) = self.sessions[slot].session.link.as_deref() else { return false };
        link.subscriptions_promised > 0 || (link.acks_promised > 0 && self.is_window_full(slot))
    }

    /// The session of a connection that may be read, if CONNECT has come; otherwise what it must wait for.
    fn open_for_input(&mut self, id: ConnectionId, turn: &mut Turn<'_>) -> Result<Option<usize>, Next> {
        let slot = match self.connection(id).map(|connection| &connection.state) {
            Some(State::Handshaking(handshake)) if handshake.is_held() => return Err(Next::Held),
            Some(State::Handshaking(_)) => return Ok(None),
            Some(State::Connected { slot }) => *slot,
            Some(State::Closing { .. }) | None => return Err(Next::Close),
        };
        if self.sessions[slot].searching.is_some() {
            match self.go_on_searching(slot, turn) {
                Ok(true) => {}
                Ok(false) => return Err(Next::Yield),
                Err(violation) => {
                    self.close_session(slot, violation, turn);
                    return Err(Next::Close);
                }
            }
        }
        if self.is_long_under_way(slot) {
            return Err(Next::Flush);
        }
        let resident = &mut self.sessions[slot];
        let Some(link) = resident.session.link.as_deref_mut() else { return Err(Next::Close) };
        if link.output.is_finished() {
            return Err(Next::Close);
        }
        if let Some(pause) = link.pace.pause(&self.limits, turn.now) {
            return Err(self.heed_pause(slot, pause, turn));
        }
        if resident.blocked_on.is_some() && self.is_blocked(slot, turn) {
            return Err(Next::Blocked);
        }
        if self.has_room_for_answers(slot) { Ok(Some(slot)) } else { Err(Next::Flush) }
    }

    fn handle_packet(
        &mut self,
        id: ConnectionId,
        slot: Option<usize>,
        packet: &Packet<'_>,
        turn: &mut Turn<'_>,
    ) -> Next {
        let slot = match (slot, packet) {
            (Some(slot), _) => slot,
            (None, Packet::Connect(connect)) => return self.handle_connect(id, connect, turn),
            // The decoder lets nothing but CONNECT be the first packet.
            (None, _) => return Next::Close,
        };
        let result = match packet {
            Packet::Publish(publish) => self.handle_publish(slot, publish, turn).map(|()| {
                // Everything behind a publication waits that is not accepted yet.
                match self.sessions[slot].searching.is_some() {
                    true => Next::Yield,
                    false if self.is_long_under_way(slot) => Next::Flush,
                    false => Next::Read,
                }
            }),
            Packet::PubAck(ack) => self.handle_puback(slot, ack, turn).map(|()| Next::Read),
            Packet::PubRec(ack) => self.handle_pubrec(slot, ack, turn).map(|()| Next::Read),
            Packet::PubRel(ack) => {
                self.handle_pubrel(slot, ack, turn);
                Ok(Next::Read)
            }
            Packet::PubComp(ack) => self.handle_pubcomp(slot, ack, turn).map(|()| Next::Read),
            Packet::Subscribe(subscribe) => {
                self.handle_subscribe(slot, subscribe, turn).map(|()| Next::Yield)
            }
            Packet::Unsubscribe(unsubscribe) => {
                self.handle_unsubscribe(slot, unsubscribe, turn).map(|()| Next::Yield)
            }
            Packet::PingReq => {
                self.handle_pingreq(slot, turn);
                Ok(Next::Read)
            }
            Packet::Disconnect(disconnect) => {
                self.handle_disconnect(slot, disconnect, turn).map(|()| Next::Close)
            }
            Packet::Auth(auth) => self.handle_auth(auth).map(|()| Next::Read),
            Packet::Connect(_) => {
                Err(Violation::new(ReasonCode::ProtocolError, "a connection has one CONNECT [MQTT-3.1.0-2]"))
            }
            Packet::ConnAck(_) | Packet::SubAck(_) | Packet::UnsubAck(_) | Packet::PingResp => {
                Err(Violation::new(ReasonCode::ProtocolError, "only a server sends this packet"))
            }
        };
        result.unwrap_or_else(|violation| {
            self.close_session(slot, violation, turn);
            Next::Close
        })
    }

    /// A connection's time has come: it has not said CONNECT, or it has been silent for too long.
    pub(crate) fn handle_connection_timeout(&mut self, id: ConnectionId, turn: &mut Turn<'_>) {
        let connect_timeout = self.limits.connect_timeout_ms;
        let Some(connection) = self.connection(id).filter(|it| it.timer_at <= turn.now) else { return };
        match &connection.state {
            State::Handshaking(handshake) => {
                let due = self.connect_due(handshake);
                if due > turn.now {
                    return self.arm_connection(id, due, turn.now);
                }
                let address = Arc::clone(&handshake.address);
                let cause = match handshake.is_held() {
                    true => format!("its password was not checked within {connect_timeout} ms"),
                    false => format!("no CONNECT came within {connect_timeout} ms"),
                };
                let reason_code = ReasonCode::MaximumConnectTime;
                Self::event(turn, Event::Refused { client_id: Box::default(), address, reason_code, cause });
                self.close_with(id, Vec::new(), turn);
            }
            State::Connected { slot } => self.check_keep_alive(id, *slot, turn),
            State::Closing { .. } => {}
        }
    }

    /// Arms the timer of a connection anew.
    pub(crate) fn arm_connection(&mut self, id: ConnectionId, at: Instant, now: Instant) {
        let at = self.timers.arm(at, now, Timer::Connection(id));
        if let Some(connection) = self.connection_mut(id) {
            connection.timer_at = at;
        }
    }

    /// A connection is flushed; says whether it is busy enough to keep its room.
    fn stir(&mut self, id: ConnectionId, now: Instant) -> bool {
        let Some(connection) = self.connection_mut(id) else { return false };
        let before = connection.pulse;
        connection.pulse = match before {
            Pulse::Resting => Pulse::Stirring(1),
            Pulse::Stirring(flushes) if flushes < FLUSHES_BEFORE_BUSY => Pulse::Stirring(flushes + 1),
            Pulse::Stirring(_) | Pulse::Busy | Pulse::Quiet => Pulse::Busy,
        };
        let keeps_room = connection.pulse == Pulse::Busy;
        if before == Pulse::Resting {
            self.timers.arm(now + REST_MILLIS, now, Timer::Rest(id));
        }
        keeps_room
    }

    /// Lets a connection rest that was hardly flushed, or not at all since the last look.
    pub(crate) fn look_for_rest(&mut self, id: ConnectionId, now: Instant) {
        let Some(connection) = self.connection_mut(id) else { return };
        if connection.pulse == Pulse::Busy {
            connection.pulse = Pulse::Quiet;
            self.timers.arm(now + REST_MILLIS, now, Timer::Rest(id));
            return;
        }
        connection.pulse = Pulse::Resting;
        if let Some(slot) = self.session_of(id) {
            self.sessions[slot].give_back_room();
        }
    }

    /// Lets a connection send these bytes and nothing else.
    pub(crate) fn close_with(&mut self, id: ConnectionId, last: Vec<u8>, turn: &mut Turn<'_>) {
        let Some(connection) = self.connection_mut(id) else { return };
        connection.state = State::Closing { last: Box::new(last) };
        if !connection.is_dirty {
            connection.is_dirty = true;
            turn.fx.dirty.push(id);
        }
    }
}

/// The table of connections keeps room for so many.
const SLOTS_KEPT: usize = 256;
/// A busy connection that is not flushed for so long, or up to twice as long, gives back its room.
const REST_MILLIS: u64 = 2_000;
/// More flushes than these in that time make it busy: CONNACK and SUBACK do not, nor a message now and then.
const FLUSHES_BEFORE_BUSY: u8 = 4;
/// Bytes of answers beyond the output limit that one client can make us owe before it is not read any more.
const CONTROL_BYTES_MAX: u64 = 64 << 10;
/// The longest CONNECT, in bytes: room for all its fields at their longest, before anybody is known.
const CONNECT_BYTES_MAX: u32 = 1 << 20;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Directory, Effects, Guarded, Guards, ShardConfig};
    use noctule_auth::AllowAll;
    use noctule_session::{Limits, Outgoing};
    use std::fmt::Debug;

    /// Guards a directory that nobody changes.
    struct Unchanged;

    #[derive(Debug)]
    struct Value<T>(T);

    impl Guards for Unchanged {
        fn guard<T: Debug + Send + Sync + 'static>(value: T) -> Box<dyn Guarded<T>> {
            Box::new(Value(value))
        }
    }

    impl<T: Debug + Send + Sync> Guarded<T> for Value<T> {
        fn read(&self, look: &mut dyn FnMut(&T)) {
            look(&self.0);
        }

        fn change(&self, _: &mut dyn FnMut(&mut T)) {
            unreachable!("nobody subscribes here");
        }
    }

    const ID: ConnectionId = ConnectionId { slot: 0, generation: 1 };
    const CONNECT: &[u8] = b"\x10\x0d\0\x04MQTT\x04\x02\0\0\0\x01c";

    fn at(millis: u64) -> Instant {
        Instant::from_millis(millis)
    }

    /// A shard with one client, whose connection has not been flushed.
    fn connected(directory: &Directory) -> Shard {
        let config = ShardConfig { id: ShardId(0), shards: 1, seed: 1 };
        let mut shard = Shard::new(config, Arc::new(Limits::default()), Arc::new(AllowAll));
        let mut turn = Turn { now: at(0), directory, fx: &mut Effects::default() };
        shard.open(ID, "here", false, &mut turn);
        assert_eq!(shard.receive(ID, CONNECT, &mut turn).consumed, CONNECT.len());
        shard
    }

    /// Sends one packet and says whether room is kept for the next one.
    fn flush(shard: &mut Shard, directory: &Directory, now: Instant) -> bool {
        let mut turn = Turn { now, directory, fx: &mut Effects::default() };
        shard.send(0, Outgoing::PingResp, &mut turn);
        assert!(matches!(shard.flush(ID, usize::MAX, &mut Vec::new(), &mut turn), Flush::Done));
        keeps_room(shard)
    }

    fn keeps_room(shard: &Shard) -> bool {
        shard.sessions[0].session.link.as_ref().is_some_and(|link| link.output.keeps_room())
    }

    fn pass_time(shard: &mut Shard, directory: &Directory, now: Instant) {
        shard.handle_timeouts(&mut Turn { now, directory, fx: &mut Effects::default() });
    }

    #[test]
    fn room_is_kept_while_a_connection_is_busy() {
        let directory = Directory::new::<Unchanged>(1);
        let mut shard = connected(&directory);
        let kept: Vec<bool> = (0..6).map(|_| flush(&mut shard, &directory, at(0))).collect();
        assert_eq!(kept, [false, false, false, false, true, true]);
        pass_time(&mut shard, &directory, at(REST_MILLIS));
        assert!(keeps_room(&shard), "it was busy until now");
        assert!(flush(&mut shard, &directory, at(REST_MILLIS + 1)), "and still is");
        pass_time(&mut shard, &directory, at(2 * REST_MILLIS));
        pass_time(&mut shard, &directory, at(3 * REST_MILLIS));
        assert!(!keeps_room(&shard), "it has come to rest");
        assert_eq!(shard.next_timeout(), Some(at(10_000)), "nobody looks any more");
        assert!(!flush(&mut shard, &directory, at(4 * REST_MILLIS)));
    }

    #[test]
    fn a_packet_now_and_then_does_not_make_a_connection_busy() {
        let directory = Directory::new::<Unchanged>(1);
        let mut shard = connected(&directory);
        for time in 0..20 {
            let now = at(time * REST_MILLIS);
            pass_time(&mut shard, &directory, now);
            assert!(!flush(&mut shard, &directory, now));
        }
    }

    /// An idle connection is to take less than 1,000 bytes of the process, its topic and client id included.
    #[test]
    fn an_idle_connection_is_small() {
        assert!(size_of::<Connection>() <= 48);
        assert!(size_of::<crate::resident::Resident>() <= 320);
        assert!(size_of::<noctule_session::Link>() <= 96);
    }
}
