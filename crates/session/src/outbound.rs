//! The sending side of QoS 1 and 2, one machine for every version and for both roles.
//!
//! Everything a peer is owed stands in one list in the order in which it will be sent. Each entry passes
//! through [`Phase`]; a connection walks the list with a cursor, first sending again what an earlier
//! connection left unsettled, then what has waited:
//!
//! ```text
//!   settled | sent again on this connection | not yet sent again | waiting
//!   --------+-------------------------------+--------------------+---------
//!           ^ front                         ^ cursor             ^ new entries join at the end
//! ```
//!
//! What an entry *is* (phase, packet id) belongs to the session and changes only through
//! [`Session::apply`](crate::Session::apply). What a connection *did* (cursor, quota) dies with it.

use crate::recorded::Recorded;
use crate::{MessageNumber, Position, Publication};
use noctule_codec::{PacketId, QoS};
use std::collections::VecDeque;
use std::sync::Arc;

/// The number of a shared subscription group.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct GroupNumber(pub u64);

/// How far the delivery of one message has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Never sent. It may expire.
    Waiting,
    /// Sent on this or an earlier connection under its packet id, and not answered.
    Sent,
    /// PUBREC has come; only the PUBREL is owed [MQTT-4.3.3-6].
    Received,
    /// Acknowledged, refused, expired or dropped; the place is empty.
    Settled,
}

/// The identifiers of the subscriptions that a delivery answers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum SubscriptionIds {
    /// None of them has one.
    #[default]
    None,
    /// One of them has one.
    One(u32),
    /// Several of them have one.
    Many(Box<[u32]>),
}

/// A message owed to a peer: 48 bytes, of which there may be millions.
#[derive(Clone, Debug)]
pub struct Owed {
    /// The publication, while it is in memory and can still be needed.
    message: Option<Arc<Publication>>,
    /// Where the journal has its content; what records this delivery stands there or behind it. Nowhere: as its
    /// publication says, or not at all.
    position: Position,
    /// The number of the publication.
    pub number: MessageNumber,
    /// What few deliveries have.
    extra: Option<Box<Extra>>,
    /// The only subscription with an identifier; 0: none, or several.
    subscription_id: u32,
    /// Bytes of the publication, as they count for the queue.
    bytes: u32,
    packet_id: Option<PacketId>,
    /// The QoS of this delivery.
    pub qos: QoS,
    /// The RETAIN flag of this delivery.
    pub retain: bool,
    phase: Phase,
    holds_quota: bool,
    /// Its content cannot be left to the journal.
    stays: bool,
    /// A crash came between, and the peer may have it.
    is_maybe_sent: bool,
}

#[derive(Clone, Debug, Default)]
struct Extra {
    /// Several subscriptions with identifiers.
    subscription_ids: Box<[u32]>,
    /// The shared group that gave it to this session.
    group: Option<GroupNumber>,
}

/// A delivery as its record has it: everything but the content.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delivered {
    /// The number of the publication.
    pub number: MessageNumber,
    /// Bytes of the publication, as they count for the queue.
    pub bytes: u32,
    /// The QoS of this delivery.
    pub qos: QoS,
    /// The RETAIN flag of this delivery.
    pub retain: bool,
    /// The subscriptions it answers.
    pub subscription_ids: SubscriptionIds,
    /// The shared group that gave it to this session.
    pub group: Option<GroupNumber>,
    /// How far it has come.
    pub phase: Phase,
    /// Its packet identifier, once it has been sent.
    pub packet_id: Option<PacketId>,
    /// The packet identifier of the one that was sent before it; none: it was the first.
    pub behind: Option<PacketId>,
    /// It waits, and a crash came between: the peer may have it.
    pub is_maybe_sent: bool,
}

/// Content that is needed and not in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Missing {
    /// Of which publication.
    pub number: MessageNumber,
    /// Where the journal has it.
    pub position: Position,
}

/// The list of what one peer is owed, and how far its current connection has come. While nothing is owed and the
/// session rests there is no list.
#[derive(Clone, Debug)]
pub struct Outbound {
    list: Option<Box<List>>,
    /// The ids in use run from that of the first entry to the one before `next_id`.
    ids_run: bool,
    next_id: PacketId,
    last_id: PacketId,
    quota: u16,
    quota_max: u16,
    ids: Ids,
}

/// The packet ids that may be given away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ids {
    /// All of them: nobody remembers this session after a crash.
    All,
    /// So many more: the journal knows that they may be in use. After a crash new ones begin behind them, so
    /// that a late acknowledgement never settles another message.
    Reserved(u16),
}

#[derive(Clone, Debug)]
struct List {
    entries: VecDeque<Owed>,
    /// What waits behind them, while the list is made of records; a box, because most of the time there is none.
    recorded: Option<Box<Recorded>>,
    /// Bytes of the publications that the entries refer to.
    bytes: u64,
    /// Entries that are not settled.
    owed: u32,
    settled: u32,
    /// Entries that have a packet id.
    begun: u32,
    cursor: u32,
}

impl SubscriptionIds {
    /// The identifiers, in ascending order.
    pub fn as_slice(&self) -> &[u32] {
        match self {
            Self::None => &[],
            Self::One(id) => std::slice::from_ref(id),
            Self::Many(ids) => ids,
        }
    }
}

/// The identifiers of the subscriptions that match, one for each, also where several have the same
/// [MQTT-3.3.4-4].
impl FromIterator<u32> for SubscriptionIds {
    fn from_iter<I: IntoIterator<Item = u32>>(ids: I) -> Self {
        let mut ids = ids.into_iter();
        match (ids.next(), ids.next()) {
            (None, _) => Self::None,
            (Some(one), None) => Self::One(one),
            (Some(one), Some(other)) => {
                let mut all: Vec<u32> = [one, other].into_iter().chain(ids).collect();
                all.sort_unstable();
                Self::Many(all.into())
            }
        }
    }
}

impl Owed {
    /// A message that has not been sent.
    #[inline]
    pub fn new(message: Arc<Publication>, qos: QoS, retain: bool, subscription_ids: SubscriptionIds) -> Self {
        let bare = Self::without_content(message.number, message.queue_bytes(), qos, retain);
        // A retained message may have been recorded anew; only that is sure to be still there.
        let position = message.kept.get();
        let mut owed = Self { position, message: Some(message), ..bare };
        owed.set_subscription_ids(subscription_ids);
        owed
    }

    /// Its content, and what records it, is where the publication was recorded.
    pub(crate) fn stand_with_publication(&mut self) {
        self.position = Position::NOWHERE;
    }

    /// A delivery as a record has it, whose content is at this position.
    pub fn recorded(delivered: Delivered, position: Position) -> Self {
        let mut owed =
            Self::without_content(delivered.number, delivered.bytes, delivered.qos, delivered.retain);
        owed.set_subscription_ids(delivered.subscription_ids);
        owed.set_group(delivered.group);
        let Delivered { phase, packet_id, is_maybe_sent, .. } = delivered;
        Self { phase, packet_id, position, is_maybe_sent, ..owed }
    }

    fn without_content(number: MessageNumber, bytes: u32, qos: QoS, retain: bool) -> Self {
        Self {
            message: None,
            position: Position::NOWHERE,
            number,
            extra: None,
            subscription_id: 0,
            bytes,
            packet_id: None,
            qos,
            retain,
            phase: Phase::Waiting,
            holds_quota: false,
            is_maybe_sent: false,
            stays: false,
        }
    }

    /// The publication, while it is in memory and can still be needed.
    pub fn message(&self) -> Option<&Arc<Publication>> {
        self.message.as_ref()
    }

    /// The subscriptions it answers.
    pub fn subscription_ids(&self) -> SubscriptionIds {
        match (&self.extra, self.subscription_id) {
            (Some(extra), 0) if !extra.subscription_ids.is_empty() => {
                SubscriptionIds::Many(extra.subscription_ids.clone())
            }
            (_, 0) => SubscriptionIds::None,
            (_, id) => SubscriptionIds::One(id),
        }
    }

    /// The shared group that gave it to this session.
    pub fn group(&self) -> Option<GroupNumber> {
        self.extra.as_ref().and_then(|extra| extra.group)
    }

    /// How far it has come.
    pub fn phase(&self) -> Phase {
        self.phase
    }

    /// Its packet identifier, once it has been sent at QoS 1 or 2.
    pub fn packet_id(&self) -> Option<PacketId> {
        self.packet_id
    }

    /// Whether the peer may have it although nothing says that it was sent: the broker crashed meanwhile.
    pub fn is_maybe_sent(&self) -> bool {
        self.is_maybe_sent
    }

    /// Where the journal has its content, and everything that records this delivery stands behind.
    pub fn position(&self) -> Position {
        match &self.message {
            Some(message) if !self.position.is_somewhere() => message.place.get(),
            _ => self.position,
        }
    }

    /// What a record says of it.
    pub fn delivered(&self) -> Delivered {
        Delivered {
            number: self.number,
            bytes: self.bytes,
            qos: self.qos,
            retain: self.retain,
            subscription_ids: self.subscription_ids(),
            group: self.group(),
            phase: self.phase,
            packet_id: self.packet_id,
            behind: None,
            is_maybe_sent: self.is_maybe_sent && self.phase == Phase::Waiting,
        }
    }

    pub(crate) fn set_group(&mut self, group: Option<GroupNumber>) {
        if group.is_some() {
            self.extra.get_or_insert_default().group = group;
        }
    }

    fn set_subscription_ids(&mut self, ids: SubscriptionIds) {
        match ids {
            SubscriptionIds::None => {}
            SubscriptionIds::One(id) => self.subscription_id = id,
            SubscriptionIds::Many(ids) => self.extra.get_or_insert_default().subscription_ids = ids,
        }
    }

    /// The packet id of a QoS 2 delivery that has begun. The client keeps it until PUBREL, and would take the next
    /// message under it for this one; so such a delivery is completed even if nobody has its content any more.
    pub fn exchange(&self) -> Option<PacketId> {
        self.packet_id.filter(|_| self.qos == QoS::ExactlyOnce)
    }

    /// Whether it is owed and the journal has to know of it.
    fn is_recorded(&self) -> bool {
        self.phase != Phase::Settled && (self.exchange().is_some() || self.position().is_somewhere())
    }

    /// Whether its content is needed and stands in the journal.
    pub fn is_content_recorded(&self) -> bool {
        matches!(self.phase, Phase::Waiting | Phase::Sent) && self.position().is_somewhere()
    }

    /// Whether it is owed and stands in the journal before this position.
    fn is_recorded_before(&self, limit: Position) -> bool {
        self.is_recorded() && self.position() < limit
    }

    /// Whether its content is needed and nobody has it any more.
    pub fn is_lost(&self) -> bool {
        self.is_missing() && !self.position.is_somewhere()
    }

    /// Whether its content is needed and has to be read first.
    pub fn is_missing(&self) -> bool {
        self.message.is_none() && matches!(self.phase, Phase::Waiting | Phase::Sent)
    }
}

impl Default for Outbound {
    fn default() -> Self {
        Self {
            list: None,
            ids_run: true,
            next_id: FIRST_ID,
            last_id: LAST_ID,
            quota: 0,
            quota_max: 0,
            ids: Ids::All,
        }
    }
}

impl Default for List {
    fn default() -> Self {
        Self::new()
    }
}

impl Outbound {
    /// An empty list that uses no packet id above this one, because its owner needs the rest.
    pub fn with_ids_up_to(last_id: PacketId) -> Self {
        Self { last_id, ..Self::default() }
    }

    /// Begins a connection whose peer accepts this many unacknowledged messages [MQTT-4.9.0-1].
    pub fn attach(&mut self, receive_maximum: u16) {
        self.quota = receive_maximum;
        self.quota_max = receive_maximum;
        let Some(list) = &mut self.list else { return };
        list.cursor = 0;
        for entry in &mut list.entries {
            entry.holds_quota = false;
        }
    }

    /// Adds a message at the end.
    pub(crate) fn push(&mut self, owed: Owed) {
        let list = self.list.get_or_insert_default();
        list.owed += 1;
        list.bytes += u64::from(owed.bytes);
        make_room(&mut list.entries);
        list.entries.push_back(owed);
    }

    /// The message to send next on this connection, if there is one.
    pub fn front(&mut self) -> Option<&Owed> {
        let List { entries, cursor, .. } = self.list.as_deref_mut()?;
        while entries.get(*cursor as usize).is_some_and(|entry| entry.phase == Phase::Settled) {
            *cursor += 1;
        }
        entries.get(*cursor as usize)
    }

    /// Passes over the message that [`front`](Self::front) showed: it has been sent on this connection.
    /// A PUBLISH above QoS 0 takes a place in the peer's window; a PUBREL does not.
    pub fn advance(&mut self) {
        let Some(List { entries, cursor, .. }) = self.list.as_deref_mut() else { return };
        if let Some(entry) = entries.get_mut(*cursor as usize) {
            if entry.phase == Phase::Sent {
                debug_assert!(self.quota > 0, "nothing is sent above the peer's Receive Maximum");
                entry.holds_quota = true;
                self.quota = self.quota.saturating_sub(1);
            }
            *cursor += 1;
        }
    }

    /// How many more messages the peer's window has room for [MQTT-4.9.0-2].
    pub fn quota(&self) -> u16 {
        self.quota
    }

    /// The unsettled delivery with this packet id.
    pub fn find(&self, id: PacketId) -> Option<&Owed> {
        let list = self.list();
        list.position(id).map(|place| &list.entries[place])
    }

    /// The same, for one that is about to be settled or to need its content no more.
    pub(crate) fn find_mut(&mut self, id: PacketId) -> Option<&mut Owed> {
        let list = self.list.as_deref_mut()?;
        let place = list.position(id)?;
        list.entries.get_mut(place)
    }

    /// The delivery of this message that is the next to be sent or dropped of those that wait, in a list that is
    /// made of records.
    pub fn find_waiting(&self, number: MessageNumber) -> Option<&Owed> {
        let list = self.list();
        list.recorded().find(number).or_else(|| list.waiting(number).map(|place| &list.entries[place]))
    }

    /// A packet identifier that no unsettled delivery uses [MQTT-2.2.1-4]; `None` while all are in use.
    ///
    /// A window holds fewer, but a peer that answers every PUBLISH with PUBREC and breaks the connection
    /// before PUBCOMP can come by one window of them per connection.
    #[inline]
    pub fn free_packet_id(&self) -> Option<PacketId> {
        let list = self.list();
        if list.begun >= u32::from(self.last_id.get()) || self.ids == Ids::Reserved(0) {
            return None;
        }
        let mut id = self.next_id;
        let first_id = list.entries.front().and_then(|entry| entry.packet_id);
        if self.ids_run && first_id != Some(id) {
            return Some(id);
        }
        while list.position(id).is_some() {
            id = self.id_after(id);
        }
        Some(id)
    }

    /// A waiting delivery of `number` has been given this packet id: it joins the begun ones, which stand
    /// before all that wait. While connected it is the one at the cursor and stays where it is; a journal may
    /// bring publications of several shards in another order than that in which they arrived.
    #[inline]
    pub(crate) fn begin(&mut self, number: MessageNumber, packet_id: PacketId) {
        let Some(list) = &mut self.list else { return };
        if let Some(recorded) = &mut list.recorded
            && let Some(owed) = recorded.take(number)
        {
            list.entries.push_back(owed);
        }
        let Some(place) = list.waiting(number) else { return };
        let first = if place == list.cursor() { place } else { list.first_waiting() };
        if place != first
            && let Some(entry) = list.entries.remove(place)
        {
            list.entries.insert(first, entry);
        }
        let entry = &mut list.entries[first];
        entry.phase = Phase::Sent;
        entry.packet_id = Some(packet_id);
        self.ids_run = list.begun == 0 || (self.ids_run && packet_id == self.next_id);
        list.begun += 1;
        self.next_id = self.id_after(packet_id);
        if let Ids::Reserved(left) = &mut self.ids {
            *left = left.saturating_sub(1);
        }
    }

    /// The last of the packet ids that are to be reserved next.
    pub(crate) fn ids_to_reserve(&self) -> PacketId {
        self.id_ahead(self.ids_left() + u32::from(ID_BLOCK))
    }

    /// The last of the packet ids that are reserved.
    pub fn last_reserved_id(&self) -> PacketId {
        self.id_ahead(self.ids_left())
    }

    fn ids_left(&self) -> u32 {
        match self.ids {
            Ids::All => 0,
            Ids::Reserved(left) => u32::from(left),
        }
    }

    /// The last of the next so many packet ids.
    fn id_ahead(&self, ids: u32) -> PacketId {
        let last = u32::from(self.last_id.get());
        let id = (u32::from(self.next_id.get()) + ids + last - 2) % last + 1;
        u16::try_from(id).ok().and_then(PacketId::new).unwrap_or(self.last_id)
    }

    /// From now on only ids are given away that the journal knows of, a first block of them; or all.
    pub(crate) fn reserve_first_ids(&mut self, is_durable: bool) {
        self.ids = if is_durable { Ids::Reserved(ID_BLOCK) } else { Ids::All };
    }

    /// Another block of ids is known to the journal.
    pub(crate) fn add_reserved_ids(&mut self) {
        if let Ids::Reserved(left) = &mut self.ids {
            *left = left.saturating_add(ID_BLOCK);
        }
    }

    /// Whether it is time to reserve another block.
    pub(crate) fn is_short_of_ids(&self) -> bool {
        matches!(self.ids, Ids::Reserved(left) if left <= ID_BLOCK / 2)
    }

    /// All ids up to this one may be in use; the broker has forgotten which.
    pub(crate) fn pass_over_ids(&mut self, up_to: PacketId) {
        self.next_id = self.id_after(up_to);
        self.ids_run = self.list().begun == 0;
    }

    /// Adds a delivery that a record tells of, or brings the one it is up to date, whose content stands at `position`,
    /// or where it was known to stand if that is nowhere. Only for a list that is made
    /// of records: there, what waits stands in the order of the numbers, behind what was sent. What was sent and is
    /// known keeps its place [MQTT-4.6.0-1]; what is not known was sent behind the one that the record names.
    pub(crate) fn hold(&mut self, delivered: Delivered, position: Position) {
        let list = self.list.get_or_insert_default();
        let known = list.begun_place(&delivered);
        let mut position = position;
        if let Some(place) = known {
            position = position.or(list.entries[place].position);
            list.take_out(place);
        } else if let Some(known) = list.recorded_mut().known(&delivered) {
            if delivered.phase == Phase::Waiting {
                known.position = position.or(known.position);
                known.is_maybe_sent |= delivered.is_maybe_sent;
                return;
            }
            list.settle_recorded(delivered.number);
        }
        let behind = delivered.behind.and_then(|id| list.position(id));
        let owed = Owed::recorded(delivered, position);
        list.owed += 1;
        list.bytes += u64::from(owed.bytes);
        if owed.phase == Phase::Waiting {
            return list.recorded_mut().insert(owed);
        }
        list.begun += 1;
        let place = known.or_else(|| behind.map(|place| place + 1)).unwrap_or(0);
        list.entries.insert(place, owed);
        self.ids_run = false;
    }

    /// All records have been applied: what waits takes its place in the list.
    pub(crate) fn end_of_records(&mut self) {
        let Some(list) = &mut self.list else { return };
        let Some(recorded) = list.recorded.take() else { return };
        let mut waiting = recorded.into_owed();
        if list.entries.is_empty() {
            list.entries = waiting;
        } else {
            list.entries.reserve_exact(waiting.len());
            list.entries.append(&mut waiting);
        }
    }

    /// The broker crashed while the peer was connected: it may have been sent QoS 1 deliveries whose marks are lost.
    /// Settlements may be lost as well, so the peer's window does not bound them, but the reserved ids do.
    pub(crate) fn suspect(&mut self) {
        let Some(list) = &mut self.list else { return };
        let waiting = list.entries.iter_mut().filter(|entry| entry.phase == Phase::Waiting);
        for entry in waiting.take(IDS_RESERVED_MAX).filter(|entry| entry.qos == QoS::AtLeastOnce) {
            entry.is_maybe_sent = true;
        }
    }

    /// Lets go of the contents that the journal has. While there is a connection, what it sends next stays.
    pub(crate) fn let_go(&mut self, is_connected: bool, done: &mut Vec<Arc<Publication>>) {
        done.extend(self.come_since(is_connected).filter_map(Owed::let_go));
    }

    /// The entries that may let go of their contents: from the last one back to the first that has done so, or
    /// could not. A queue of which the journal has nothing is walked over once, not with each message.
    fn come_since(&mut self, is_connected: bool) -> impl Iterator<Item = &mut Owed> {
        let list = self.list.as_deref_mut();
        let kept = list.as_ref().filter(|_| is_connected).map_or(0, |list| list.cursor() + LOADED_AT_ONCE);
        let entries = list.into_iter().flat_map(move |list| list.entries.iter_mut().skip(kept).rev());
        entries.take_while(|entry| entry.message.is_some() && !entry.stays)
    }

    /// The contents that are missing from the next delivery of this connection on.
    pub fn missing(&self) -> Vec<Missing> {
        let list = self.list();
        let ahead = list.entries.iter().skip(list.cursor()).take(LOADED_AT_ONCE);
        let missing = ahead.filter(|entry| entry.is_missing());
        let mut bytes = 0;
        let missing = missing.take_while(|entry| {
            let fits = bytes == 0 || bytes + u64::from(entry.bytes) <= LOADED_BYTES;
            bytes += u64::from(entry.bytes);
            fits
        });
        missing.map(|entry| Missing { number: entry.number, position: entry.position }).collect()
    }

    /// Whether the next delivery of this connection waits for its content.
    pub fn is_front_missing(&mut self) -> bool {
        self.front().is_some_and(Owed::is_missing)
    }

    /// Whether any delivery has its content in the journal alone.
    pub fn has_missing(&self) -> bool {
        self.list().entries.iter().any(Owed::is_missing)
    }

    /// Content that was missing is there.
    pub fn load(&mut self, message: &Arc<Publication>) {
        let Some(list) = &mut self.list else { return };
        let cursor = list.cursor();
        let ahead = list.entries.iter_mut().skip(cursor).take(LOADED_AT_ONCE);
        for entry in ahead.filter(|entry| entry.number == message.number && entry.is_missing()) {
            entry.message = Some(Arc::clone(message));
        }
    }

    /// Content that was missing is not where it was looked for. Unless it has been moved meanwhile, it is lost.
    pub fn lose(&mut self, missing: Missing) {
        let Some(list) = &mut self.list else { return };
        let cursor = list.cursor();
        let ahead = list.entries.iter_mut().skip(cursor).take(LOADED_AT_ONCE);
        let is_it = |entry: &&mut Owed| entry.number == missing.number && entry.position == missing.position;
        for entry in ahead.filter(is_it).filter(|entry| entry.is_missing()) {
            entry.position = Position::NOWHERE;
        }
    }

    /// What is owed and stands in the journal before this position, by its place in the list, from the place
    /// `below` down.
    pub fn recorded_before(&self, limit: Position, below: usize) -> impl Iterator<Item = (usize, &Owed)> {
        let entries = &self.list().entries;
        let entries = entries.range(..below.min(entries.len())).enumerate().rev();
        entries.filter(move |(_, entry)| entry.is_recorded_before(limit))
    }

    /// Says of the last so many deliveries in front of the place `below` that stood before `limit` where they stand
    /// now: of what was sent in the order of sending, then of what waits from the last to the first, so that each
    /// joins the front after a restart. A delivery whose content is needed has to have a place.
    pub fn move_up(
        &mut self,
        limit: Position,
        below: usize,
        deliveries_max: usize,
        place: impl Fn(MessageNumber) -> Option<Position>,
        mut say: impl FnMut(Delivered, Position),
    ) {
        let Some(list) = &mut self.list else { return };
        let below = below.min(list.entries.len());
        let mut old = (0..below).rev().filter(|place| list.entries[*place].is_recorded_before(limit));
        let Some(first) = old.by_ref().take(deliveries_max).last() else { return };
        // Who reads this without what stands before the limit knows nothing of what is old and is said later, or not.
        let is_young = |entry: &Owed| entry.is_recorded() && !entry.is_recorded_before(limit);
        let mut young = list.entries.range(..first).rev().filter(|entry| is_young(entry));
        let mut behind = young.next().and_then(|entry| entry.packet_id);
        let mut move_one = |entry: &mut Owed, behind: Option<PacketId>| {
            let position = match (entry.is_content_recorded(), entry.position().is_somewhere()) {
                (true, _) => place(entry.number),
                (false, true) => Some(limit),
                (false, false) => Some(Position::NOWHERE),
            };
            let position = position.filter(|_| entry.is_recorded_before(limit));
            if let Some(position) = position {
                say(Delivered { behind, ..entry.delivered() }, position);
                entry.position = position;
            }
            position.is_some()
        };
        let begun = list.entries.range_mut(first..below).filter(|entry| entry.phase != Phase::Waiting);
        for entry in begun.filter(|entry| entry.is_recorded()) {
            if is_young(entry) || move_one(entry, behind) {
                behind = entry.packet_id;
            }
        }
        let waiting = list.entries.range_mut(first..below).rev();
        for entry in waiting.filter(|entry| entry.is_recorded() && entry.phase == Phase::Waiting) {
            move_one(entry, None);
        }
    }

    /// The peer has forgotten everything: what it has not acknowledged is to be sent as new, what it has
    /// received is done [MQTT-3.2.2-5].
    pub(crate) fn restart(&mut self) {
        self.ids_run = true;
        let Some(list) = &mut self.list else { return };
        for entry in &mut list.entries {
            entry.packet_id = None;
            entry.holds_quota = false;
            match entry.phase {
                Phase::Sent => entry.phase = Phase::Waiting,
                Phase::Received => {
                    entry.phase = Phase::Settled;
                    list.settled += 1;
                    list.owed -= 1;
                }
                Phase::Waiting | Phase::Settled => {}
            }
        }
        list.begun = 0;
        list.cursor = 0;
        self.sweep();
    }

    /// PUBREC has come: the content is no longer needed, the window place stays taken until PUBCOMP.
    pub(crate) fn receive(&mut self, packet_id: PacketId) {
        let Some(list) = &mut self.list else { return };
        if let Some(place) = list.position(packet_id) {
            let entry = &mut list.entries[place];
            list.bytes -= u64::from(std::mem::take(&mut entry.bytes));
            entry.take_message();
            entry.phase = Phase::Received;
        }
    }

    /// The delivery is over, whatever its outcome; its window place is free.
    #[inline]
    pub(crate) fn settle(&mut self, number: MessageNumber, packet_id: Option<PacketId>) {
        let Some(list) = &mut self.list else { return };
        if packet_id.is_none() && list.settle_recorded(number) {
            return;
        }
        let place = match packet_id {
            Some(id) => list.position(id),
            None => list.waiting(number),
        };
        let Some(place) = place else { return };
        let entry = &mut list.entries[place];
        if entry.holds_quota {
            self.quota = (self.quota + 1).min(self.quota_max);
        }
        list.bytes -= u64::from(std::mem::take(&mut entry.bytes));
        list.owed -= 1;
        list.begun -= u32::from(entry.phase != Phase::Waiting);
        entry.message = None;
        entry.extra = None;
        entry.holds_quota = false;
        entry.phase = Phase::Settled;
        list.settled += 1;
        self.sweep();
    }

    /// How many messages are owed.
    pub fn len(&self) -> usize {
        self.list().owed as usize
    }

    /// How many of them have never been sent.
    pub fn waiting_len(&self) -> usize {
        (self.list().owed - self.list().begun) as usize
    }

    /// Whether nothing is owed.
    pub fn is_empty(&self) -> bool {
        self.list().owed == 0
    }

    /// Bytes of the publications that are owed.
    pub fn bytes(&self) -> u64 {
        self.list().bytes
    }

    /// How many deliveries the list has room for.
    pub fn places(&self) -> u32 {
        u32::try_from(self.list().entries.capacity()).unwrap_or(u32::MAX)
    }

    /// Bytes of the list itself, without the publications.
    pub fn room_bytes(&self) -> u64 {
        u64::from(self.places()) * size_of::<Owed>() as u64
    }

    /// Whether this connection has sent everything it can be sent again or for the first time.
    pub fn is_drained(&mut self) -> bool {
        self.front().is_none()
    }

    /// Everything owed, in order; while the list is made of records, what waits comes behind the rest in any order.
    pub fn iter(&self) -> impl Iterator<Item = &Owed> {
        let list = self.list();
        list.entries.iter().filter(|entry| entry.phase != Phase::Settled).chain(list.recorded().iter())
    }

    /// Keeps no list if nothing is owed.
    pub(crate) fn give_back_room(&mut self) {
        // While the list is made of records, what waits stands behind the entries.
        if self.list().entries.is_empty() && self.list().owed == 0 {
            self.list = None;
        }
    }

    fn list(&self) -> &List {
        self.list.as_deref().unwrap_or(&NO_LIST)
    }

    fn id_after(&self, id: PacketId) -> PacketId {
        if id >= self.last_id { FIRST_ID } else { id.next() }
    }

    /// Closes up the list.
    fn sweep(&mut self) {
        let Some(list) = &mut self.list else { return };
        list.sweep();
        if list.entries.capacity() > CAPACITY_KEPT {
            self.give_back_room();
        }
    }
}

impl Owed {
    /// Lets go of the content, if the journal has it and no group may want it back.
    fn let_go(&mut self) -> Option<Arc<Publication>> {
        let position = self.position();
        self.stays = !position.is_somewhere() || self.group().is_some();
        if self.stays { None } else { self.take_message() }
    }

    /// Takes the content. Where it is recorded is still known.
    pub(crate) fn take_message(&mut self) -> Option<Arc<Publication>> {
        self.position = self.position();
        self.message.take()
    }
}

impl List {
    const fn new() -> Self {
        Self { entries: VecDeque::new(), recorded: None, bytes: 0, owed: 0, settled: 0, begun: 0, cursor: 0 }
    }

    /// The place of the next delivery of this connection.
    fn cursor(&self) -> usize {
        self.cursor as usize
    }

    /// What waits, while the list is made of records.
    fn recorded(&self) -> &Recorded {
        self.recorded.as_deref().unwrap_or(&NONE_RECORDED)
    }

    fn recorded_mut(&mut self) -> &mut Recorded {
        self.recorded.get_or_insert_with(|| Box::new(Recorded::new()))
    }

    /// The place of the unsettled delivery with this packet id.
    ///
    /// Identifiers are given in sequence, so the distance from the front is nearly always the place.
    fn position(&self, id: PacketId) -> Option<usize> {
        let is_it = |entry: &Owed| {
            entry.packet_id == Some(id) && !matches!(entry.phase, Phase::Settled | Phase::Waiting)
        };
        let front = self.entries.front()?.packet_id?;
        let guess = usize::from(id.get().wrapping_sub(front.get()));
        if self.entries.get(guess).is_some_and(is_it) {
            return Some(guess);
        }
        // Begun deliveries stand before all waiting ones, so the search ends at the first waiting one.
        let begun = self
            .entries
            .iter()
            .take_while(|entry| entry.phase != Phase::Waiting || entry.packet_id.is_some());
        begun.enumerate().find(|(_, entry)| is_it(entry)).map(|(place, _)| place)
    }

    /// The place of the first waiting delivery of this message: the cursor while connected. In a list that is
    /// made of records, what waits stands in order.
    fn waiting(&self, number: MessageNumber) -> Option<usize> {
        let is_it = |entry: &Owed| entry.number == number && entry.phase == Phase::Waiting;
        if self.entries.get(self.cursor()).is_some_and(is_it) {
            return Some(self.cursor());
        }
        self.waiting_places(number).last()
    }

    /// The place of the begun delivery that a record tells of again: it is known by its packet id.
    fn begun_place(&self, delivered: &Delivered) -> Option<usize> {
        let place = self.position(delivered.packet_id?)?;
        (self.entries[place].number == delivered.number).then_some(place)
    }

    /// Ends the first delivery of this message that waits in a list that is made of records, if there is one.
    fn settle_recorded(&mut self, number: MessageNumber) -> bool {
        let owed = self.recorded.as_mut().and_then(|recorded| recorded.take(number));
        self.bytes -= owed.as_ref().map_or(0, |owed| u64::from(owed.bytes));
        self.owed -= u32::from(owed.is_some());
        owed.is_some()
    }

    /// The places of the waiting deliveries of this message, the last one first, where the waiting ones stand in
    /// order.
    fn waiting_places(&self, number: MessageNumber) -> impl Iterator<Item = usize> {
        let places = (0..self.place_behind(number)).rev();
        let places = places.take_while(move |place| self.entries[*place].number == number);
        places.filter(|place| self.entries[*place].phase == Phase::Waiting)
    }

    /// The place behind the waiting deliveries of this message, where the waiting ones stand in order.
    fn place_behind(&self, number: MessageNumber) -> usize {
        let (mut from, mut to) = (self.first_waiting(), self.entries.len());
        while from < to {
            let middle = usize::midpoint(from, to);
            match self.entries[middle].number <= number {
                true => from = middle + 1,
                false => to = middle,
            }
        }
        from
    }

    /// Removes an unsettled entry.
    fn take_out(&mut self, place: usize) {
        let Some(entry) = self.entries.remove(place) else { return };
        self.owed -= 1;
        self.bytes -= u64::from(entry.bytes);
        self.begun -= u32::from(entry.phase != Phase::Waiting);
    }

    /// The place of the first waiting delivery: all that are begun stand before it, and some that are settled.
    fn first_waiting(&self) -> usize {
        let mut places = self.begun as usize..self.entries.len();
        let first = places.find(|place| self.entries[*place].phase == Phase::Waiting);
        first.unwrap_or(self.entries.len())
    }

    /// Removes settled entries from the front, and all of them once they outnumber the rest.
    fn sweep(&mut self) {
        while self.entries.front().is_some_and(|entry| entry.phase == Phase::Settled) {
            self.entries.pop_front();
            self.settled -= 1;
            self.cursor = self.cursor.saturating_sub(1);
        }
        if self.settled > SETTLED_MAX.max(self.owed) {
            let passed = self.entries.iter().take(self.cursor());
            self.cursor -= passed.filter(|entry| entry.phase == Phase::Settled).count() as u32;
            self.entries.retain(|entry| entry.phase != Phase::Settled);
            self.settled = 0;
        }
    }
}

/// Makes room for another entry. A list does not double: one long list, or a hundred thousand short ones, may be
/// all that the broker's memory is for.
pub(crate) fn make_room(entries: &mut VecDeque<Owed>) {
    let len = entries.len();
    if len == entries.capacity() {
        entries.reserve_exact((len / GROWN_PART).max(GROWN_MIN));
    }
}

/// What is read where there is no list.
static NO_LIST: List = List::new();
static NONE_RECORDED: Recorded = Recorded::new();
/// Settled entries that may stand between unsettled ones before the list is closed up.
const SETTLED_MAX: u32 = 64;
/// A list that is full grows by an eighth, or by two places.
const GROWN_PART: usize = 8;
const GROWN_MIN: usize = 2;
/// An empty list keeps at most this many places.
const CAPACITY_KEPT: usize = 64;
/// Packet ids are reserved so many at a time, the next ones when half of them are left.
const ID_BLOCK: u16 = 1024;
/// Another block is reserved when half of one is left.
const IDS_RESERVED_MAX: usize = ID_BLOCK as usize * 3 / 2;
/// Contents that are read back at once, and their bytes.
const LOADED_AT_ONCE: usize = 256;
const LOADED_BYTES: u64 = 1 << 20;
const FIRST_ID: PacketId = PacketId::new(1).expect("1 is not zero");
const LAST_ID: PacketId = PacketId::new(u16::MAX).expect("65,535 is not zero");

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Instant;
    use noctule_codec::Properties;
    use proptest::prelude::*;

    fn message(number: u64) -> Arc<Publication> {
        Arc::new(Publication {
            number: MessageNumber(number),
            topic: "t".into(),
            payload: crate::Payload::EMPTY,
            properties: Properties::EMPTY,
            qos: QoS::ExactlyOnce,
            retain: false,
            published_at: Instant::default(),
            expires_at: None,
            publisher: "".into(),
            place: crate::Place::default(),
            kept: crate::Place::default(),
            parts: None,
            share: None,
        })
    }

    fn owing(numbers: impl IntoIterator<Item = u64>) -> Outbound {
        let mut outbound = Outbound::default();
        for number in numbers {
            outbound.push(Owed::new(message(number), QoS::ExactlyOnce, false, SubscriptionIds::None));
        }
        outbound
    }

    fn begin_next(outbound: &mut Outbound) -> Option<PacketId> {
        let number = outbound.front()?.number;
        let id = outbound.free_packet_id()?;
        outbound.begin(number, id);
        outbound.advance();
        Some(id)
    }

    #[test]
    fn a_delivery_takes_48_bytes() {
        assert_eq!(size_of::<Owed>(), 48);
        assert_eq!(size_of::<List>(), 64, "there is one for each session that is owed something");
    }

    #[test]
    fn a_queue_that_the_journal_does_not_have_is_walked_over_once() {
        let (mut outbound, mut done) = (owing(1..=100), Vec::new());
        assert_eq!(outbound.come_since(false).count(), 100);
        outbound.let_go(false, &mut done);
        assert_eq!((outbound.come_since(false).count(), done.len()), (0, 0));
        let recorded = message(101);
        recorded.place.set(Position(7));
        outbound.push(Owed::new(recorded, QoS::ExactlyOnce, false, SubscriptionIds::None));
        assert_eq!(outbound.come_since(false).count(), 1);
        outbound.let_go(false, &mut done);
        assert_eq!((outbound.come_since(false).count(), done.len()), (0, 1));
    }

    #[test]
    fn a_peer_that_never_completes_qos_2_uses_up_the_ids_and_nothing_worse() {
        let mut outbound = owing(0..70_000);
        for _ in 0..70 {
            outbound.attach(1000);
            while outbound.front().is_some_and(|owed| owed.phase() == Phase::Received) {
                outbound.advance();
            }
            while outbound.quota() > 0
                && let Some(id) = begin_next(&mut outbound)
            {
                outbound.receive(id);
            }
        }
        assert_eq!(outbound.free_packet_id(), None);
        outbound.settle(MessageNumber(6), PacketId::new(7));
        assert_eq!(outbound.free_packet_id(), PacketId::new(7));
    }

    #[test]
    fn a_delivery_that_begins_out_of_turn_joins_the_begun_ones() {
        let mut outbound = owing([1, 2, 3]);
        let (first, second) = (PacketId::new(1).expect("1"), PacketId::new(2).expect("2"));
        outbound.begin(MessageNumber(3), first);
        outbound.begin(MessageNumber(1), second);
        assert_eq!(outbound.iter().map(|owed| owed.number.0).collect::<Vec<_>>(), [3, 1, 2]);
        outbound.settle(MessageNumber(3), Some(first));
        assert_eq!(outbound.find(second).map(|owed| owed.number.0), Some(1));
        assert_eq!(outbound.len(), 2);
    }

    #[test]
    fn what_waits_for_pubcomp_is_still_recorded_somewhere() {
        let mut outbound = Outbound::default();
        outbound.attach(10);
        let publication = message(1);
        publication.place.set(Position(5));
        outbound.push(Owed::new(publication, QoS::ExactlyOnce, false, SubscriptionIds::None));
        let packet_id = begin_next(&mut outbound).expect("there is room");
        drop(outbound.find_mut(packet_id).and_then(Owed::take_message));
        outbound.receive(packet_id);
        let numbers = |limit| outbound.recorded_before(Position(limit), usize::MAX).count();
        assert_eq!((numbers(5), numbers(6)), (0, 1));
    }

    /// One delivery stays open while the ids go round, and what was sent later may stand further in front in the
    /// journal. Whatever is said again of that keeps its place.
    #[test]
    fn what_was_said_again_is_sent_again_in_the_order_in_which_it_was_sent() {
        let packet_id = |id| PacketId::new(id).expect("not zero");
        let mut live = Outbound::with_ids_up_to(packet_id(4));
        live.attach(10);
        // Nothing is known of the fourth: its topic is promised nothing.
        for (number, position) in [(1, 10), (2, 30), (3, 20), (4, 0), (5, 15), (6, 50)] {
            let publication = message(number);
            publication.place.set(Position(position));
            live.push(Owed::new(publication, QoS::AtLeastOnce, false, SubscriptionIds::None));
            let id = begin_next(&mut live).expect("an id is free");
            if [1, 3].contains(&number) {
                live.settle(MessageNumber(number), Some(id));
            }
        }
        let order = |outbound: &Outbound| {
            let recorded = outbound.iter().filter(|owed| owed.is_recorded());
            recorded.map(|owed| (owed.number.0, owed.packet_id.map(PacketId::get))).collect::<Vec<_>>()
        };
        assert_eq!(order(&live), [(2, Some(2)), (5, Some(1)), (6, Some(3))]);
        for limit in [0, 16, 31, 51].map(Position) {
            let mut again = Outbound::default();
            for owed in live.iter().filter(|owed| owed.is_recorded() && !owed.is_recorded_before(limit)) {
                let waiting = Delivered { phase: Phase::Waiting, packet_id: None, ..owed.delivered() };
                again.hold(waiting, owed.position());
                again.begin(owed.number, owed.packet_id.expect("it was sent"));
            }
            // Two at a time, from the last ones on.
            let mut moved = live.clone();
            while moved.recorded_before(limit, usize::MAX).next().is_some() {
                let say = |delivered, position| again.hold(delivered, position);
                moved.move_up(limit, usize::MAX, 2, |_| Some(Position(100)), say);
            }
            again.end_of_records();
            assert_eq!(order(&again), order(&live), "{limit:?}");
        }
    }

    proptest! {
        /// A window may hold more than is said at once. Between finding a batch and saying it some is acknowledged.
        #[test]
        fn what_is_said_again_in_batches_keeps_the_order_in_which_it_was_sent(
            sent in prop::collection::vec(1..100_u64, 1..20),
            acknowledged in prop::collection::vec(prop::option::of(any::<prop::sample::Index>()), 20),
            limit in (1..100_u64).prop_map(Position),
            batch in 1..4_usize,
        ) {
            let (mut live, mut again) = (Outbound::default(), Outbound::default());
            live.attach(u16::MAX);
            for (number, position) in (1..).zip(&sent) {
                let publication = message(number);
                publication.place.set(Position(*position));
                let qos = if number % 2 == 0 { QoS::AtLeastOnce } else { QoS::ExactlyOnce };
                live.push(Owed::new(publication, qos, false, SubscriptionIds::None));
                let packet_id = begin_next(&mut live).expect("ids are free");
                if *position >= limit.0 {
                    again.hold(held(number, None, None), Position(*position));
                    again.begin(MessageNumber(number), packet_id);
                }
            }
            let (mut below, mut acknowledged) = (usize::MAX, acknowledged.into_iter());
            loop {
                let found = live.recorded_before(limit, below).take(batch);
                let found: Vec<_> = found.map(|(place, owed)| (place, owed.number)).collect();
                let Some((first, _)) = found.last() else { break };
                if let Some(index) = acknowledged.next().flatten() {
                    let begun: Vec<_> = live.iter().map(|owed| (owed.number, owed.packet_id)).collect();
                    let (number, packet_id) = *index.get(&begun);
                    live.settle(number, packet_id);
                    again.settle(number, packet_id);
                }
                let place = |number| found.iter().any(|found| found.1 == number).then_some(Position(100));
                let mut ended = 0;
                live.move_up(limit, below, found.len(), place, |delivered, position| {
                    ended += u32::from(delivered.phase == Phase::Settled);
                    again.hold(delivered, position);
                });
                prop_assert_eq!(ended, 0);
                below = *first;
            }
            let order = |outbound: &Outbound| {
                outbound.iter().map(|owed| (owed.number.0, owed.packet_id)).collect::<Vec<_>>()
            };
            prop_assert_eq!(order(&again), order(&live));
        }
    }

    #[test]
    fn what_waits_is_said_again_from_the_last_to_the_first_behind_what_was_sent() {
        let mut outbound = Outbound::default();
        outbound.attach(10);
        for number in 1..=5 {
            let publication = message(number);
            publication.place.set(Position(10 + number));
            outbound.push(Owed::new(publication, QoS::AtLeastOnce, false, SubscriptionIds::None));
        }
        begin_next(&mut outbound).and_then(|_| begin_next(&mut outbound)).expect("ids are free");
        let mut said = Vec::new();
        let say = |delivered: Delivered, _| said.push(delivered.number.0);
        outbound.move_up(Position(20), usize::MAX, 5, |_| Some(Position(100)), say);
        assert_eq!(said, [1, 2, 5, 4, 3]);
    }

    #[test]
    fn what_was_said_again_earlier_keeps_its_place_in_front_of_what_was_sent_later() {
        let mut again = Outbound::default();
        again.hold(held(7, Some(1), None), Position(11));
        let behind = PacketId::new(1);
        again.hold(Delivered { behind, ..held(3, Some(2), None) }, Position(12));
        again.hold(held(7, Some(1), None), Position(13));
        assert_eq!(again.iter().map(|owed| owed.number.0).collect::<Vec<_>>(), [7, 3]);
    }

    #[test]
    fn ids_stay_within_what_the_owner_left() {
        let mut outbound = Outbound::with_ids_up_to(PacketId::new(3).expect("3"));
        outbound.attach(10);
        for number in 0..5 {
            outbound.push(Owed::new(message(number), QoS::AtLeastOnce, false, SubscriptionIds::None));
        }
        let ids: Vec<_> = std::iter::from_fn(|| begin_next(&mut outbound)).map(PacketId::get).collect();
        assert_eq!(ids, [1, 2, 3]);
        outbound.settle(MessageNumber(0), PacketId::new(1));
        assert_eq!(outbound.free_packet_id(), PacketId::new(1));
    }

    fn held(number: u64, packet_id: Option<u16>, group: Option<u64>) -> Delivered {
        Delivered {
            number: MessageNumber(number),
            bytes: 100,
            qos: QoS::ExactlyOnce,
            retain: false,
            subscription_ids: SubscriptionIds::None,
            group: group.map(GroupNumber),
            phase: packet_id.map_or(Phase::Waiting, |_| Phase::Sent),
            packet_id: packet_id.and_then(PacketId::new),
            behind: None,
            is_maybe_sent: false,
        }
    }

    /// Number, packet id and group of everything owed, made of these records.
    fn made_of(records: &[Delivered]) -> Vec<(u64, Option<u16>, Option<u64>)> {
        let mut outbound = Outbound::default();
        for (record, position) in records.iter().zip(1..) {
            outbound.hold(record.clone(), Position(position));
        }
        let list = outbound.list();
        assert_eq!(list.owed as usize, outbound.iter().count());
        assert_eq!(list.begun as usize, outbound.iter().filter(|owed| owed.packet_id.is_some()).count());
        assert_eq!(list.bytes, 100 * u64::from(list.owed));
        let owed = outbound.iter();
        owed.map(|owed| (owed.number.0, owed.packet_id.map(PacketId::get), owed.group().map(|group| group.0)))
            .collect()
    }

    #[test]
    fn a_record_that_says_a_delivery_again_replaces_it() {
        for (records, owed) in [
            (vec![held(1, None, None), held(1, None, None)], vec![(1, None, None)]),
            (vec![held(1, None, None), held(1, Some(5), None)], vec![(1, Some(5), None)]),
            (vec![held(1, Some(5), None), held(1, Some(5), None)], vec![(1, Some(5), None)]),
        ] {
            assert_eq!(made_of(&records), owed);
        }
    }

    #[test]
    fn a_message_that_is_owed_twice_is_held_twice() {
        let several = Delivered { subscription_ids: SubscriptionIds::One(7), ..held(1, None, None) };
        let retained = Delivered { retain: true, ..held(1, None, None) };
        let begun = held(1, Some(5), None);
        for other in [several, retained, held(1, None, Some(3)), begun.clone()] {
            assert_eq!(made_of(&[other, held(1, None, None)]).len(), 2);
        }
        assert_eq!(made_of(&[held(1, Some(6), None), begun]), [(1, Some(5), None), (1, Some(6), None)]);
    }

    #[test]
    fn records_in_any_order_make_a_list_in_order() {
        let records =
            [held(7, None, None), held(5, Some(2), None), held(6, None, None), held(3, Some(1), None)];
        let owed = [(3, Some(1), None), (5, Some(2), None), (6, None, None), (7, None, None)];
        assert_eq!(made_of(&records), owed);
    }

    /// The same list as one would write it without regard to cost: what is settled is gone.
    #[derive(Debug, Default)]
    struct Model {
        entries: Vec<ModelEntry>,
        quota: usize,
        quota_max: usize,
    }

    #[derive(Debug)]
    struct ModelEntry {
        number: u64,
        phase: Phase,
        id: Option<PacketId>,
        is_sent_here: bool,
        holds_quota: bool,
    }

    impl Model {
        fn next(&mut self) -> Option<&mut ModelEntry> {
            self.entries.iter_mut().find(|entry| !entry.is_sent_here)
        }

        fn begun(&self, choice: usize) -> Option<usize> {
            let begun = self.entries.iter().filter(|entry| entry.phase != Phase::Waiting).count();
            (begun > 0).then(|| choice % begun)
        }

        fn settle(&mut self, place: usize) {
            if self.entries.remove(place).holds_quota {
                self.quota = (self.quota + 1).min(self.quota_max);
            }
        }
    }

    #[derive(Clone, Copy, Debug)]
    enum Step {
        Push(u64),
        Send,
        Drop,
        Receive(usize),
        Settle(usize),
        Attach(u16),
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let step = prop_oneof![
            4 => (0..8_u64).prop_map(Step::Push),
            8 => Just(Step::Send),
            1 => Just(Step::Drop),
            2 => any::<usize>().prop_map(Step::Receive),
            5 => any::<usize>().prop_map(Step::Settle),
            1 => (1..5_u16).prop_map(Step::Attach),
        ];
        prop::collection::vec(step, 0..400)
    }

    fn take(step: Step, outbound: &mut Outbound, model: &mut Model) {
        match step {
            Step::Push(number) => {
                outbound.push(Owed::new(message(number), QoS::ExactlyOnce, false, SubscriptionIds::None));
                let (phase, id) = (Phase::Waiting, None);
                model.entries.push(ModelEntry { number, phase, id, is_sent_here: false, holds_quota: false });
            }
            Step::Send => send_next(outbound, model),
            Step::Drop => {
                let place = model.entries.iter().position(|entry| entry.phase == Phase::Waiting);
                let is_next = model.next().is_some_and(|entry| entry.phase == Phase::Waiting);
                if let Some(place) = place.filter(|_| is_next) {
                    outbound.settle(MessageNumber(model.entries[place].number), None);
                    model.settle(place);
                }
            }
            Step::Receive(choice) => {
                if let Some(place) = model.begun(choice) {
                    model.entries[place].phase = Phase::Received;
                    outbound.receive(model.entries[place].id.expect("begun"));
                }
            }
            Step::Settle(choice) => {
                if let Some(place) = model.begun(choice) {
                    let entry = &model.entries[place];
                    outbound.settle(MessageNumber(entry.number), entry.id);
                    model.settle(place);
                }
            }
            Step::Attach(receive_maximum) => {
                outbound.attach(receive_maximum);
                (model.quota, model.quota_max) = (receive_maximum.into(), receive_maximum.into());
                for entry in &mut model.entries {
                    (entry.is_sent_here, entry.holds_quota) = (false, false);
                }
            }
        }
    }

    fn send_next(outbound: &mut Outbound, model: &mut Model) {
        let quota = model.quota;
        let ids: Vec<_> = model.entries.iter().filter_map(|entry| entry.id).collect();
        let shown = outbound.front().map(|owed| (owed.number.0, owed.phase()));
        let next = model.next();
        assert_eq!(shown, next.as_ref().map(|entry| (entry.number, entry.phase)));
        let Some(next) = next else { return };
        if next.phase != Phase::Received && quota == 0 {
            return;
        }
        if next.phase == Phase::Waiting {
            let all_in_use = ids.len() == usize::from(outbound.last_id.get());
            let Some(id) = outbound.free_packet_id() else { return assert!(all_in_use) };
            assert!(!ids.contains(&id) && id <= outbound.last_id, "{id:?} is in use");
            outbound.begin(MessageNumber(next.number), id);
            (next.phase, next.id) = (Phase::Sent, Some(id));
        }
        outbound.advance();
        next.is_sent_here = true;
        next.holds_quota = next.phase == Phase::Sent;
        model.quota -= usize::from(next.holds_quota);
    }

    fn check(outbound: &mut Outbound, model: &mut Model) {
        let owed: Vec<_> =
            outbound.iter().map(|owed| (owed.number.0, owed.phase(), owed.packet_id())).collect();
        let expected: Vec<_> =
            model.entries.iter().map(|entry| (entry.number, entry.phase, entry.id)).collect();
        assert_eq!(owed, expected);
        assert_eq!((outbound.len(), outbound.is_empty()), (expected.len(), expected.is_empty()));
        let of_phase = |phase| expected.iter().filter(|(_, other, _)| *other == phase).count();
        assert_eq!(outbound.waiting_len(), of_phase(Phase::Waiting));
        let held = expected.len() - of_phase(Phase::Received);
        assert_eq!(outbound.bytes(), held as u64 * message(0).bytes(), "after PUBREC the content is let go");
        assert_eq!(usize::from(outbound.quota()), model.quota);
        assert_eq!(outbound.is_drained(), model.next().is_none());
        for (number, _, id) in expected {
            if let Some(id) = id {
                assert_eq!(outbound.find(id).map(|owed| owed.number.0), Some(number));
            }
        }
    }

    proptest! {
        #[test]
        fn the_list_agrees_with_a_simple_one(last_id in 4..20_u16, steps in steps()) {
            // With few ids they wrap around often, and may all be in use.
            let last_id = PacketId::new(last_id).expect("not zero");
            let mut outbound = Outbound { last_id, ..Outbound::default() };
            let mut model = Model::default();
            for step in steps {
                take(step, &mut outbound, &mut model);
                check(&mut outbound, &mut model);
            }
        }
    }
}
