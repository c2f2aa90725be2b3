//! The connections as the machine sees them: a stream, bytes that are not a packet yet, bytes that the kernel
//! has not taken yet.

use mio::Token;
use noctule_engine::Next;
use noctule_session::{ConnectionId, MemoryGauge, MemoryShare, Publication};
use noctule_transport::{Stream, Write};
use std::sync::Arc;
use std::{io, mem};

use crate::pauses::Pauses;

/// One connection's socket and buffers. Idle ones own no buffer.
#[derive(Debug)]
pub(crate) struct Socket {
    pub(crate) stream: Stream,
    pub(crate) id: ConnectionId,
    /// The number of its listener.
    pub(crate) listener: u16,
    /// What waits on either way, while something does.
    waiting: Option<Box<Waiting>>,
    /// What the engine wants next.
    pub(crate) next: Next,
    /// Whether its client waits for the kernel.
    pub(crate) pauses: Pauses,
    /// The kernel may have more to read.
    pub(crate) is_readable: bool,
    /// The peer has finished sending, so reading goes on until the end is seen.
    pub(crate) is_read_closed: bool,
    /// Its client may have shown a certificate, of which the shard does not know yet.
    pub(crate) is_to_be_identified: bool,
    /// Its TLS client has said hello and waits for the answer.
    pub(crate) is_greeting: bool,
    /// It stands on the list of sockets to read.
    pub(crate) is_queued: bool,
    /// Everything has been said; what still comes is thrown away until the peer closes.
    pub(crate) is_ending: bool,
}

/// A socket on its way to another shard, with what it has sent and nobody has used.
pub(crate) struct Moving {
    pub(crate) stream: Stream,
    pub(crate) listener: u16,
    waiting: Option<Box<Waiting>>,
}

/// Bytes that wait. Most connections have none most of the time, so they stand apart.
#[derive(Debug, Default)]
struct Waiting {
    /// Bytes received that are not used up.
    unread: Vec<u8>,
    /// What is known of a long packet that is not complete.
    long: Option<LongPacket>,
    /// Bytes encoded that the kernel has not taken.
    unsent: Vec<u8>,
    /// The payload behind them, which is not copied.
    payload: Option<LongPayload>,
}

/// A long packet of which some bytes have come.
#[derive(Debug)]
struct LongPacket {
    /// What it takes of the broker's memory.
    _share: MemoryShare,
    /// Bytes it will have.
    bytes: usize,
    /// Bytes it had when the client was heard of last.
    heard_bytes: usize,
}

/// A long payload of which some bytes have been sent.
#[derive(Debug)]
struct LongPayload {
    message: Arc<Publication>,
    sent: usize,
}

/// How far a socket has come with what was to be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sent {
    /// The kernel has everything.
    All,
    /// There is more, for another turn.
    Some,
    /// The kernel takes no more for now.
    Blocked,
}

/// Sockets by slot. A slot is reused with another generation, so that late events find nobody; generations are counted
/// over all slots, so that a slot may go and come again.
#[derive(Debug, Default)]
pub(crate) struct Sockets {
    /// Boxed, because the table doubles.
    slots: Vec<Option<Box<Socket>>>,
    /// Slots below the end of the table that nobody has.
    free: Vec<u32>,
    generation: u32,
}

impl Moving {
    /// A connection that has just been accepted.
    pub(crate) fn new(stream: Stream, listener: u16) -> Self {
        Self { stream, listener, waiting: None }
    }
}

impl Sockets {
    /// Takes a socket and gives it a name.
    pub(crate) fn insert(&mut self, Moving { stream, listener, waiting }: Moving) -> ConnectionId {
        let slot = self.free.pop().unwrap_or_else(|| {
            self.slots.push(None);
            u32::try_from(self.slots.len() - 1).expect("fewer connections than open files")
        });
        self.generation = self.generation.wrapping_add(1);
        let id = ConnectionId { slot, generation: self.generation };
        self.slots[slot as usize] = Some(Box::new(Socket {
            stream,
            id,
            listener,
            waiting,
            next: Next::Read,
            pauses: Pauses::default(),
            is_readable: false,
            is_read_closed: false,
            is_to_be_identified: false,
            is_greeting: false,
            is_queued: false,
            is_ending: false,
        }));
        id
    }

    /// Takes a socket out, to give it to another shard.
    pub(crate) fn take(&mut self, id: ConnectionId) -> Option<Moving> {
        self.get_mut(id)?;
        self.free.push(id.slot);
        let Socket { stream, listener, waiting, .. } = *self.slots[id.slot as usize].take()?;
        Some(Moving { stream, listener, waiting })
    }

    pub(crate) fn get_mut(&mut self, id: ConnectionId) -> Option<&mut Socket> {
        self.slots.get_mut(id.slot as usize)?.as_deref_mut().filter(|socket| socket.id == id)
    }

    /// The socket that an event speaks of.
    pub(crate) fn by_token(&mut self, token: Token) -> Option<&mut Socket> {
        self.slots.get_mut(token.0.checked_sub(FIRST_TOKEN)?)?.as_deref_mut()
    }

    /// Closes a connection's socket. Says by which listener it was still served.
    pub(crate) fn remove(&mut self, id: ConnectionId) -> Option<u16> {
        let socket = self.get_mut(id)?;
        let served_by = (!socket.is_ending).then_some(socket.listener);
        self.slots[id.slot as usize] = None;
        self.free.push(id.slot);
        served_by
    }

    /// Gives back the end of the table where nobody is connected any more.
    pub(crate) fn give_back_room(&mut self) {
        while self.slots.pop_if(|last| last.is_none()).is_some() {}
        let slots = self.slots.len();
        self.free.retain(|slot| (*slot as usize) < slots);
        self.slots.shrink_to(slots + slots / 4);
        self.free.shrink_to(self.free.len() * 2);
    }

    /// The names of all connections.
    pub(crate) fn ids(&self) -> Vec<ConnectionId> {
        self.slots.iter().flatten().map(|socket| socket.id).collect()
    }
}

impl Socket {
    /// The token of a connection.
    pub(crate) fn token(id: ConnectionId) -> Token {
        Token(id.slot as usize + FIRST_TOKEN)
    }

    /// Whether it has received bytes that are not used up.
    pub(crate) fn has_unread(&self) -> bool {
        self.waiting.as_ref().is_some_and(|waiting| !waiting.unread.is_empty())
    }

    /// Adds bytes to those that are not used up.
    pub(crate) fn add_unread(&mut self, bytes: &[u8]) {
        self.waiting().unread.extend_from_slice(bytes);
    }

    /// All bytes that are not used up; some of them are to be kept again.
    pub(crate) fn take_unread(&mut self) -> Vec<u8> {
        self.waiting.as_mut().map_or_else(Vec::new, |waiting| mem::take(&mut waiting.unread))
    }

    /// Keeps bytes that are not a packet yet.
    pub(crate) fn keep_unread(&mut self, unread: Vec<u8>) {
        if self.waiting.is_some() || !unread.is_empty() {
            let waiting = self.waiting();
            (waiting.unread, waiting.long) = (unread, None);
            self.forget_nothing();
        }
    }

    /// Keeps a long packet that is complete.
    pub(crate) fn keep_packet(&mut self, packet: Vec<u8>) {
        self.waiting().unread = packet;
    }

    /// Keeps the beginning of a packet of this length. A long one counts as the broker's memory, has room for all of
    /// it, so that it is not copied while it grows, and ends with it.
    pub(crate) fn keep_beginning(&mut self, mut unread: Vec<u8>, packet_bytes: usize, gauge: &MemoryGauge) {
        if unread.len() <= UNREAD_BYTES_FREE || packet_bytes <= unread.len() {
            return self.keep_unread(unread);
        }
        unread.reserve_exact(packet_bytes - unread.len());
        let share = gauge.take(packet_bytes as u64);
        let waiting = self.waiting();
        waiting.long = Some(LongPacket { _share: share, bytes: packet_bytes, heard_bytes: unread.len() });
        waiting.unread = unread;
    }

    /// Whether it holds a long packet that is not complete.
    pub(crate) fn is_long(&self) -> bool {
        self.waiting.as_ref().is_some_and(|waiting| waiting.long.is_some())
    }

    /// How many bytes the long packet still has to get.
    pub(crate) fn missing_bytes(&self) -> Option<usize> {
        let Waiting { unread, long, .. } = self.waiting.as_deref()?;
        long.as_ref().map(|long| long.bytes.saturating_sub(unread.len()))
    }

    /// Whether so much of the long packet has come that its client is still there; asked again, what comes from now
    /// on decides.
    pub(crate) fn is_heard(&mut self) -> bool {
        let Some(Waiting { unread, long: Some(long), .. }) = self.waiting.as_deref_mut() else {
            return false;
        };
        let is_heard = unread.len() - long.heard_bytes >= HEARD_BYTES;
        if is_heard {
            long.heard_bytes = unread.len();
        }
        is_heard
    }

    /// Whether something waits for the kernel.
    pub(crate) fn has_unsent(&self) -> bool {
        let is_unsent = |waiting: &Waiting| !waiting.unsent.is_empty() || waiting.payload.is_some();
        self.waiting.as_deref().is_some_and(is_unsent)
    }

    /// Whether bytes wait for the kernel, here or in the stream.
    pub(crate) fn wants_write(&self) -> bool {
        self.has_unsent() || self.stream.wants_write()
    }

    /// Writes `bytes` behind what the kernel has not taken, keeping what it does not take now.
    pub(crate) fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        debug_assert!(!self.has_unsent(), "what is unsent goes first");
        let sent = write_all(&mut self.stream, bytes)?;
        if sent < bytes.len() {
            self.waiting().unsent = bytes[sent..].to_vec();
        }
        Ok(())
    }

    /// Has the payload of this message follow what has been given to [`send`](Self::send).
    pub(crate) fn send_payload(&mut self, message: Arc<Publication>) {
        self.waiting().payload = Some(LongPayload { message, sent: 0 });
    }

    /// Writes what the kernel had not taken, and some of a long payload behind it.
    pub(crate) fn send_rest(&mut self) -> io::Result<Sent> {
        let Some(waiting) = &mut self.waiting else { return Ok(Sent::All) };
        let sent = waiting.send(&mut self.stream);
        self.forget_nothing();
        sent
    }

    fn waiting(&mut self) -> &mut Waiting {
        self.waiting.get_or_insert_default()
    }

    /// Keeps no place for what waits if nothing does.
    fn forget_nothing(&mut self) {
        self.waiting.take_if(|waiting| waiting.is_nothing());
    }
}

impl Waiting {
    fn is_nothing(&self) -> bool {
        let Self { unread, long, unsent, payload } = self;
        unread.is_empty() && long.is_none() && unsent.is_empty() && payload.is_none()
    }

    /// Writes what the kernel had not taken, and some of a long payload behind it.
    fn send(&mut self, stream: &mut Stream) -> io::Result<Sent> {
        let sent = write_all(stream, &self.unsent)?;
        if sent < self.unsent.len() {
            self.unsent.drain(..sent);
            return Ok(Sent::Blocked);
        }
        // A buffer that grew in a burst is given back.
        self.unsent = Vec::new();
        let Some(LongPayload { message, sent }) = &mut self.payload else { return Ok(Sent::All) };
        let end = message.payload.len().min(*sent + PAYLOAD_BYTES_PER_TURN);
        *sent += write_all(stream, &message.payload[*sent..end])?;
        match *sent {
            sent if sent == message.payload.len() => {
                self.payload = None;
                Ok(Sent::All)
            }
            sent if sent == end => Ok(Sent::Some),
            _ => Ok(Sent::Blocked),
        }
    }
}

/// Writes until the kernel takes no more; says how much it took.
fn write_all(stream: &mut Stream, bytes: &[u8]) -> io::Result<usize> {
    let mut sent = 0;
    while sent < bytes.len() {
        match stream.write(&bytes[sent..])? {
            Write::Bytes(taken) => sent += taken,
            Write::WouldBlock => break,
        }
    }
    Ok(sent)
}

/// Tokens below this belong to the signals and listeners.
pub(crate) const FIRST_TOKEN: usize = 1024;
/// So much of a long payload is sent at a time, so that nobody else waits for longer than that takes.
const PAYLOAD_BYTES_PER_TURN: usize = 128 << 10;
/// An incomplete packet up to this length is not counted as the broker's memory.
const UNREAD_BYTES_FREE: usize = 64 << 10;
/// So much of a long packet keeps a connection alive as a packet does.
const HEARD_BYTES: usize = 1 << 10;

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;

    #[test]
    fn the_table_gives_back_its_end_and_late_events_find_nobody() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("it is bound");
        let socket = || Moving::new(Stream::dial(address, None).expect("it listens"), 0);
        let mut sockets = Sockets::default();
        let ids: Vec<ConnectionId> = (0..100).map(|_| sockets.insert(socket())).collect();
        ids.iter().filter(|id| id.slot != 10).for_each(|id| assert_eq!(sockets.remove(*id), Some(0)));
        sockets.give_back_room();
        assert!(sockets.slots.capacity() < 20 && sockets.free.capacity() < 40);
        assert_eq!(sockets.ids(), [ids[10]]);
        let again: Vec<ConnectionId> = (0..20).map(|_| sockets.insert(socket())).collect();
        assert!(again.iter().all(|id| sockets.get_mut(*id).is_some()));
        assert!(ids.iter().filter(|id| id.slot != 10).all(|id| sockets.get_mut(*id).is_none()));
    }

    /// What an idle connection costs here. In debug builds mio remembers the poll that a socket is registered with.
    #[test]
    fn an_idle_socket_is_small() {
        let of_mio = if cfg!(debug_assertions) { 16 } else { 0 };
        assert!(size_of::<Socket>() <= 64 + of_mio);
    }
}
