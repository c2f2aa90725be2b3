//! Long publications, which are recorded in parts before they are accepted.
//!
//! One record of 8 MiB would hold up every acknowledgement for as long as the disk needs for it. So the payload goes
//! to the journal in parts, one of each shard at a time: the next follows when the one before it is kept, and what
//! others wait for stands in between. Only when all parts have their place is the publication accepted, in a turn
//! like any other: its record says where they stand. Parts without that record mean nothing.
//!
//! Meanwhile the publisher is not read, so that everything it causes comes behind. If its connection ends the
//! publication has not been accepted; if the journal takes nothing any more it is refused.

use crate::journal::Request;
use crate::mail::{Promise, Then, Violation};
use crate::publish::{Origin, Refusal};
use crate::record::PayloadPart;
use crate::route::Route;
use crate::shard::{Shard, Turn};
use crate::{JournalState, Record};
use noctule_codec::{PacketId, QoS};
use noctule_session::{ConnectionId, Durability, Parts, Place, Publication};
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

/// The long publications of a shard that are not accepted yet.
#[derive(Debug)]
pub(crate) struct LongOnes {
    /// A payload above this is recorded in parts of this length.
    part_bytes: usize,
    by_slot: BTreeMap<usize, Long>,
    /// The slots whose next parts are to be recorded, in turn. A part of the first is under way.
    turns: VecDeque<usize>,
    is_part_under_way: bool,
}

/// A publication of which not all parts are in the journal.
#[derive(Debug)]
pub(crate) struct Long {
    message: Arc<Publication>,
    packet_id: Option<PacketId>,
    connection: ConnectionId,
    /// What its parts wait for.
    level: Durability,
    /// Bytes of its payload that have been recorded, and where.
    recorded: usize,
    places: Vec<Arc<Place>>,
}

impl LongOnes {
    pub(crate) fn with_part_bytes(part_bytes: usize) -> Self {
        let part_bytes = part_bytes.max(1);
        Self { part_bytes, by_slot: BTreeMap::new(), turns: VecDeque::new(), is_part_under_way: false }
    }

    /// Whether there is none.
    pub(crate) fn is_empty(&self) -> bool {
        self.by_slot.is_empty()
    }

    /// Whether a publication is too long to be recorded in one piece, and not recorded in parts.
    #[inline]
    pub(crate) fn is_long(&self, message: &Publication) -> bool {
        message.payload.len() > self.part_bytes && message.parts.is_none()
    }

    /// The next part, and what follows when it is kept.
    fn next_part(&mut self) -> Option<(PayloadPart, Promise)> {
        let long = loop {
            let slot = self.turns.front()?;
            match self.by_slot.get_mut(slot) {
                Some(long) => break long,
                // Its connection has ended.
                None => drop(self.turns.pop_front()),
            }
        };
        let then = Promise::new(long.connection, None, Then::PartKept, long.level);
        Some((long.next_part(self.part_bytes), then))
    }
}

impl Default for LongOnes {
    fn default() -> Self {
        Self::with_part_bytes(PART_BYTES)
    }
}

impl Long {
    fn has_more(&self) -> bool {
        self.recorded < self.message.payload.len()
    }

    fn next_part(&mut self, part_bytes: usize) -> PayloadPart {
        let Self { message, recorded, places, .. } = self;
        let end = message.payload.len().min(*recorded + part_bytes);
        let place = Arc::<Place>::default();
        places.push(Arc::clone(&place));
        let bytes = message.payload.slice(*recorded..end);
        let from = std::mem::replace(recorded, end) as u64;
        PayloadPart { message: message.number, from, bytes, place }
    }
}

impl Shard {
    /// What the parts of a long publication have to wait for, if it has to be recorded.
    #[cold]
    pub(crate) fn has_to_come_in_parts(
        &self,
        slot: usize,
        message: &Publication,
        packet_id: Option<PacketId>,
        route: &Route,
    ) -> Option<Durability> {
        let session = &self.sessions[slot].session;
        let inbound = packet_id.filter(|_| message.qos == QoS::ExactlyOnce && session.is_durable());
        let level = self.has_to_be_recorded(message, Origin::Client(session.number, inbound), route)?;
        (level > Durability::Memory).then_some(level)
    }

    /// Has a publication recorded in parts, and accepted then.
    pub(crate) fn begin_long(
        &mut self,
        slot: usize,
        message: Arc<Publication>,
        packet_id: Option<PacketId>,
        level: Durability,
        turn: &mut Turn<'_>,
    ) {
        let connection = self.sessions[slot].session.link.as_ref().map(|link| link.connection);
        let Some(connection) = connection else { return };
        let long = Long { message, packet_id, connection, level, recorded: 0, places: Vec::new() };
        self.long.by_slot.insert(slot, long);
        self.long.turns.push_back(slot);
        self.record_part(turn);
    }

    /// Whether a publication of this session has yet to be recorded in parts.
    pub(crate) fn is_long_under_way(&self, slot: usize) -> bool {
        !self.long.is_empty() && self.long.by_slot.contains_key(&slot)
    }

    /// A part is kept: accepts the publication if it was the last one, and records the next part of another.
    pub(crate) fn go_on_with_long(&mut self, turn: &mut Turn<'_>) {
        self.long.is_part_under_way = false;
        if let Some(slot) = self.long.turns.pop_front() {
            match self.long.by_slot.get(&slot).map(Long::has_more) {
                Some(true) => self.long.turns.push_back(slot),
                Some(false) => {
                    let accepted = self.accept_long(slot, turn);
                    self.read_again(slot, accepted, turn);
                }
                None => {}
            }
        }
        self.record_part(turn);
    }

    /// The connection ends: a publication that was not accepted is not acknowledged, so it is the client's again.
    pub(crate) fn end_long(&mut self, slot: usize, turn: &mut Turn<'_>) {
        if let Some(long) = self.long.by_slot.remove(&slot) {
            turn.fx.requests.push(Request::Abandoned { message: long.message.number });
        }
    }

    /// Refuses what is not accepted yet if the journal takes no more.
    pub(crate) fn refuse_long(&mut self, turn: &mut Turn<'_>) {
        let state = turn.directory.journal.state();
        if state == JournalState::Open {
            return;
        }
        for (slot, long) in std::mem::take(&mut self.long.by_slot) {
            let Some(refusal) = Refusal::of_journal(state) else { continue };
            let Long { message, packet_id, .. } = long;
            turn.fx.requests.push(Request::Abandoned { message: message.number });
            let refused = self.refuse_publish(slot, packet_id, &message, refusal, turn);
            self.read_again(slot, refused, turn);
        }
    }

    /// Lets the publisher be read again, unless it comes to its end.
    fn read_again(&mut self, slot: usize, outcome: Result<(), Violation>, turn: &mut Turn<'_>) {
        match outcome {
            Ok(()) => self.mark_dirty(slot, turn),
            Err(violation) => self.close_session(slot, violation, turn),
        }
    }

    /// Records a part of the publication whose turn it is.
    fn record_part(&mut self, turn: &mut Turn<'_>) {
        if self.long.is_part_under_way {
            return;
        }
        let Some((part, promise)) = self.long.next_part() else { return };
        turn.fx.records.push(Record::Part(part));
        turn.fx.promises.push(promise);
        self.long.is_part_under_way = true;
    }

    /// Accepts a publication whose parts have their places, on the route that it has by now.
    fn accept_long(&mut self, slot: usize, turn: &mut Turn<'_>) -> Result<(), Violation> {
        let Some(Long { mut message, packet_id, places, .. }) = self.long.by_slot.remove(&slot) else {
            return Ok(());
        };
        let places = places.iter().map(|place| place.get()).collect();
        let bytes = message.payload.len() as u64;
        let publication = Arc::get_mut(&mut message).expect("nobody has it who has not accepted it");
        publication.parts = Some(Box::new(Parts { bytes, places }));
        let known = self.look_up_route(slot, &message, turn);
        self.take_publish_on(known, slot, message, packet_id, turn)
    }
}

/// A short record that waits for the disk behind a part of this length waits two to three times as long as alone.
const PART_BYTES: usize = 128 << 10;
