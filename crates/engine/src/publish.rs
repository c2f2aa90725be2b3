//! PUBLISH: from the client's packet to everybody it is owed to.
//!
//! A publication is matched once, here, on the publisher's shard. The result says who gets it, and whether a
//! journal has to know before the publisher is answered.

use crate::effects::Event;
use crate::groups::DebtChange;
use crate::journal::{FiredWill, Request};
use crate::mail::{Promise, Then, Violation};
use crate::record::Frame;
use crate::route::Route;
use crate::routes::{Asked, Kind, Known};
use crate::shard::{Shard, Turn};
use crate::{Change, JournalState, Record};
use noctule_auth::Action;
use noctule_codec::{Ack, Packet, PacketId, Properties, Property, ProtocolVersion, Publish, QoS, ReasonCode};
use noctule_session::{
    AckKind, AliasesIn, DropReason, Durability, Link, Outgoing, Publication, SessionChange, SessionNumber,
};
use std::hash::BuildHasher as _;
use std::sync::Arc;

/// Whose publication it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Origin {
    /// A client's, with the packet id of QoS 2.
    Client(SessionNumber, Option<PacketId>),
    /// The will of a session.
    Will(SessionNumber),
    /// The broker's own.
    Broker,
}

impl Origin {
    /// The session that publishes, for No Local.
    fn session(self) -> Option<SessionNumber> {
        match self {
            Self::Client(session, _) | Self::Will(session) => Some(session),
            Self::Broker => None,
        }
    }
}

/// A publication that is not accepted: the code for its acknowledgement, the reason for the ledger.
pub(crate) struct Refusal {
    pub(crate) reason_code: ReasonCode,
    pub(crate) reason: DropReason,
    pub(crate) cause: String,
}

impl Shard {
    /// Accepts a publication, refuses it, or recognises a repetition.
    pub(crate) fn handle_publish(
        &mut self,
        slot: usize,
        publish: &Publish<'_>,
        turn: &mut Turn<'_>,
    ) -> Result<(), Violation> {
        self.stats.publishes_received += 1;
        self.stats.publish_bytes_received += publish.payload.len() as u64;
        self.check_publish(slot, publish)?;
        let message = self.resolve_publication(slot, publish, turn)?;
        if let Some(packet_id) = publish.packet_id {
            let is_reused = match publish.qos {
                QoS::ExactlyOnce => self.is_repetition(slot, packet_id, publish.dup, &message),
                _ => self.refuses_id(slot, packet_id),
            };
            if is_reused {
                return self.answer_reused_id(slot, publish.qos, packet_id, turn);
            }
            self.check_receive_maximum(slot)?;
        }
        let known = self.look_up_route(slot, &message, turn);
        if let Err(refusal) = self.check_acceptable(slot, &message, &known, turn) {
            return self.refuse_publish(slot, publish.packet_id, &message, refusal, turn);
        }
        self.take_publish_on(known, slot, message, publish.packet_id, turn)
    }

    /// Accepts a publication on its route, once that is known.
    #[inline(always)]
    pub(crate) fn take_publish_on(
        &mut self,
        known: Known,
        slot: usize,
        message: Arc<Publication>,
        packet_id: Option<PacketId>,
        turn: &mut Turn<'_>,
    ) -> Result<(), Violation> {
        match known.route {
            Some(route) => self.take_publish(slot, message, packet_id, &route, turn),
            None => self.search_route(slot, message, packet_id, turn),
        }
    }

    /// Accepts a publication whose route is known, unless it would have to be recorded and cannot be.
    #[inline(always)]
    pub(crate) fn take_publish(
        &mut self,
        slot: usize,
        message: Arc<Publication>,
        packet_id: Option<PacketId>,
        route: &Arc<Route>,
        turn: &mut Turn<'_>,
    ) -> Result<(), Violation> {
        let state = turn.directory.journal.state();
        if state != JournalState::Open
            && let Some(refusal) = Refusal::of_journal(state)
        {
            let session = &self.sessions[slot].session;
            let is_taken = message.qos == QoS::ExactlyOnce && session.is_durable();
            let origin = Origin::Client(session.number, packet_id.filter(|_| is_taken));
            if self.has_to_be_recorded(&message, origin, route).is_some() {
                return self.refuse_publish(slot, packet_id, &message, refusal, turn);
            }
        }
        if self.long.is_long(&message)
            && let Some(level) = self.has_to_come_in_parts(slot, &message, packet_id, route)
        {
            self.begin_long(slot, message, packet_id, level, turn);
            return Ok(());
        }
        self.accept_publish(slot, message, packet_id, route, turn);
        Ok(())
    }

    /// Publishes on behalf of the broker itself.
    pub fn publish_own(&mut self, topic: &str, payload: &[u8], retain: bool, turn: &mut Turn<'_>) {
        let number = turn.directory.next_message();
        let message = self.publications.make(&turn.directory.memory, |message| {
            message.number = number;
            message.topic.push_str(topic);
            message.payload.extend_from_slice(payload);
            message.qos = QoS::AtMostOnce;
            message.retain = retain;
            message.published_at = turn.now;
            message.expires_at = None;
            message.publisher = "".into();
        });
        self.publish(message, Origin::Broker, turn);
    }

    /// Publishes what no client asks for now: a will, or the broker's own.
    pub(crate) fn publish(&mut self, message: Arc<Publication>, origin: Origin, turn: &mut Turn<'_>) {
        let asked = Asked { rights: None, topic: &message.topic };
        let known = self.routes.look_up(turn.directory, asked, Kind(message.qos, message.retain), 0);
        let route = known.route.unwrap_or_else(|| {
            let mut search = self.routes.search(turn.directory, asked.topic);
            while !search.advance(turn.directory) {}
            self.routes.found(asked, search)
        });
        self.publish_on(&route, message, origin, turn);
    }

    /// What the announced limits forbid ends the connection.
    #[inline]
    fn check_publish(&self, slot: usize, publish: &Publish<'_>) -> Result<(), Violation> {
        if publish.qos == QoS::AtMostOnce && !publish.retain {
            return Ok(());
        }
        let offered = self.offered(slot);
        if publish.qos > offered.maximum_qos {
            return Err(Violation::new(
                ReasonCode::QoSNotSupported,
                "the QoS is above Maximum QoS [MQTT-3.2.2-11]",
            ));
        }
        if publish.retain && !offered.retain_available {
            return Err(Violation::new(
                ReasonCode::RetainNotSupported,
                "retained messages are not available here [MQTT-3.2.2-14]",
            ));
        }
        Ok(())
    }

    /// The publication with its whole topic name, which a topic alias may stand for.
    fn resolve_publication(
        &mut self,
        slot: usize,
        publish: &Publish<'_>,
        turn: &Turn<'_>,
    ) -> Result<Arc<Publication>, Violation> {
        let session = &mut self.sessions[slot].session;
        let Some(link) = session.link.as_deref_mut() else {
            return Err(Violation::new(ReasonCode::UnspecifiedError, "the connection has ended"));
        };
        let Link { terms, aliases_in, .. } = link;
        let terms = terms.as_deref().unwrap_or(&self.terms);
        let topic = match publish.properties.topic_alias() {
            None => publish.topic,
            Some(alias) => resolve_alias(aliases_in, alias, publish.topic, terms.limits.topic_alias_maximum)?,
        };
        let (number, publisher) = (turn.directory.next_message(), &session.client_id);
        let packet = self.packet.as_ref();
        let memory = &turn.directory.memory;
        let fill =
            |message: &mut Publication| message.fill(number, publish, packet, topic, publisher, turn.now);
        if terms.mount_point.is_empty() {
            return Ok(self.publications.make(memory, fill));
        }
        Ok(self.publications.make(memory, |message| {
            message.topic.push_str(&terms.mount_point);
            fill(message);
        }))
    }

    /// Whether a publication at QoS 2 has come before. One that says it is sent for the first time, on another
    /// connection and with other content, comes of a client that has lost its half of the session; taken for a
    /// repetition it would be acknowledged and lost.
    #[inline]
    fn is_repetition(&self, slot: usize, packet_id: PacketId, dup: bool, message: &Publication) -> bool {
        let inbound = &self.sessions[slot].session.inbound;
        inbound.contains(packet_id) && (dup || !inbound.is_of_another(packet_id, self.print(message)))
    }

    /// What distinguishes a publication from others: some bits of a hash of its topic, its length and its beginning.
    fn print(&self, message: &Publication) -> u16 {
        let payload = &*message.payload;
        let beginning = &payload[..payload.len().min(PRINTED_BYTES_MAX)];
        self.prints.hash_one((message.topic.as_str(), payload.len(), beginning)) as u16
    }

    /// A packet id that waits for PUBREL: the same QoS 2 publication again, which is answered and not
    /// repeated [MQTT-4.3.3-10], or a mistake of the client's.
    fn answer_reused_id(
        &mut self,
        slot: usize,
        qos: QoS,
        packet_id: PacketId,
        turn: &mut Turn<'_>,
    ) -> Result<(), Violation> {
        if qos == QoS::ExactlyOnce {
            let waits_for = self.limits.durability;
            self.acknowledge(slot, ack(qos, packet_id, ReasonCode::Success), waits_for, turn);
            return Ok(());
        }
        self.check_receive_maximum(slot)?;
        let ack = ack(qos, packet_id, ReasonCode::PacketIdentifierInUse);
        self.acknowledge(slot, ack, Durability::Memory, turn);
        Ok(())
    }

    /// Whether a packet id waits for its PUBREL and the client can be told so. In 3.x nothing says it, and a client
    /// that has lost its half of the session would be closed again and again: its packet is taken for what it is.
    pub(crate) fn refuses_id(&self, slot: usize, packet_id: PacketId) -> bool {
        let session = &self.sessions[slot].session;
        let can_be_told = session.link.as_ref().is_none_or(|link| link.wire.version == ProtocolVersion::V5);
        can_be_told && session.inbound.contains(packet_id)
    }

    /// A client keeps within the announced Receive Maximum [MQTT-3.3.4-7].
    fn check_receive_maximum(&mut self, slot: usize) -> Result<(), Violation> {
        if self.is_window_full(slot) {
            let receive_maximum = self.offered(slot).receive_maximum;
            let cause = format!(
                "it has not released {receive_maximum} QoS 2 publications and sent another \
                 (limits.receive_maximum)"
            );
            return Err(Violation::new(ReasonCode::ReceiveMaximumExceeded, cause));
        }
        if let Some(link) = self.sessions[slot].session.link.as_deref_mut() {
            link.unacknowledged = link.unacknowledged.saturating_add(1);
        }
        Ok(())
    }

    /// Whether as many publications of a client are unacknowledged as it may have. 3.x knows no such limit.
    #[inline]
    pub(crate) fn is_window_full(&self, slot: usize) -> bool {
        let Some(link) = self.sessions[slot].session.link.as_deref() else { return false };
        link.wire.version == ProtocolVersion::V5 && link.unacknowledged >= self.offered(slot).receive_maximum
    }

    /// What is known of a publication and its like.
    #[inline(always)]
    pub(crate) fn look_up_route(&mut self, slot: usize, message: &Publication, turn: &Turn<'_>) -> Known {
        if !self.sessions[slot].standing.is_of(self.season) {
            self.renew_rights(slot);
        }
        let asked = Asked { rights: self.sessions[slot].standing.rights(), topic: &message.topic };
        let kind = Kind(message.qos, message.retain);
        let known = self.routes.look_up(turn.directory, asked, kind, self.rights_generation());
        self.stats.route_hits += u64::from(known.route.is_some());
        self.stats.route_misses += u64::from(known.route.is_none());
        known
    }

    /// Whether the publication is accepted. One that was accepted before, from anybody with the same rights, is
    /// accepted again without asking, as long as the rights have not changed.
    fn check_acceptable(
        &mut self,
        slot: usize,
        message: &Publication,
        known: &Known,
        turn: &Turn<'_>,
    ) -> Result<(), Refusal> {
        self.check_payload(message.payload.len())?;
        self.check_message_room(message, turn)?;
        if !known.is_accepted {
            self.check_may_publish(slot, message)?;
            self.remember_acceptance(slot, message);
        }
        Ok(())
    }

    /// Accepts the like of this publication without asking again, once their route is kept.
    pub(crate) fn remember_acceptance(&mut self, slot: usize, message: &Publication) {
        let rights = self.sessions[slot].standing.rights();
        if rights.is_some() {
            let asked = Asked { rights, topic: &message.topic };
            self.routes.accept(asked, Kind(message.qos, message.retain), self.rights_generation());
        }
    }

    /// Changes whenever a publication may be decided otherwise than before.
    fn rights_generation(&self) -> u64 {
        self.authority.generation().wrapping_add(u64::from(self.season) << 32)
    }

    fn check_may_publish(&self, slot: usize, message: &Publication) -> Result<(), Refusal> {
        self.check_topic_name(&message.topic).map_err(|violation| Refusal {
            reason_code: violation.reason_code,
            reason: DropReason::TopicNameInvalid,
            cause: violation.cause,
        })?;
        let action = Action::Publish { topic: &message.topic, qos: message.qos, retain: message.retain };
        let identity = &self.sessions[slot].identity;
        if self.authority.allows(identity, &action) {
            return Ok(());
        }
        Err(Refusal {
            reason_code: ReasonCode::NotAuthorized,
            reason: DropReason::NotAuthorized,
            cause: self.authority.permit(identity, &action).told(),
        })
    }

    /// A payload within the broker's bound. Packet too large would say it better, but stands in no acknowledgement
    /// [MQTT-3.4.2-1].
    pub(crate) fn check_payload(&self, bytes: usize) -> Result<(), Refusal> {
        let bytes_max = self.limits.payload_bytes_max;
        if bytes_max == 0 || bytes as u64 <= bytes_max {
            return Ok(());
        }
        Err(Refusal {
            reason_code: ReasonCode::ImplementationSpecificError,
            reason: DropReason::Oversize,
            cause: format!("its payload of {bytes} bytes is too long (limits.payload_bytes_max)"),
        })
    }

    fn check_message_room(&self, message: &Publication, turn: &Turn<'_>) -> Result<(), Refusal> {
        if !self.has_memory_room(message, turn) {
            return Err(Refusal {
                reason_code: ReasonCode::QuotaExceeded,
                reason: DropReason::MemoryFull,
                cause: "there is no memory for more messages (limits.memory_bytes_max)".to_owned(),
            });
        }
        if message.retain && !self.has_retained_room(message, turn) {
            return Err(Refusal {
                reason_code: ReasonCode::QuotaExceeded,
                reason: DropReason::RetainedFull,
                cause: "there is no room for more retained messages (limits.retained_messages_max, \
                        limits.retained_bytes_max)"
                    .to_owned(),
            });
        }
        Ok(())
    }

    /// Whether there is memory for another publication. Clearing a retained message always is possible, since
    /// it gives memory back.
    fn has_memory_room(&self, message: &Publication, turn: &Turn<'_>) -> bool {
        (message.retain && message.payload.is_empty()) || self.has_memory(message.bytes(), turn)
    }

    /// Whether so many bytes more fit into the memory for messages and sessions.
    pub(crate) fn has_memory(&self, bytes: u64, turn: &Turn<'_>) -> bool {
        let bytes_max = self.limits.memory_bytes_max;
        let taken = turn.directory.memory.bytes().saturating_add_signed(self.publications.uncounted());
        bytes_max == 0 || taken + bytes <= bytes_max
    }

    /// A topic name within the broker's bounds. `$SYS` is the broker's own, `$share` no topic at all.
    pub(crate) fn check_topic_name(&self, topic: &str) -> Result<(), Violation> {
        let limits = &self.limits;
        let refuse = |cause: String| Err(Violation::new(ReasonCode::TopicNameInvalid, cause));
        if topic.len() > usize::from(limits.topic_bytes_max) {
            return refuse(format!("the topic name is longer than {} bytes", limits.topic_bytes_max));
        }
        if topic.bytes().filter(|byte| *byte == b'/').count() >= usize::from(limits.topic_levels_max) {
            return refuse(format!("the topic name has more than {} levels", limits.topic_levels_max));
        }
        if topic.starts_with("$SYS/") || topic.starts_with("$share/") {
            return refuse(format!(
                "topics below {:?} belong to the broker",
                &topic[..topic.find('/').unwrap_or(0)]
            ));
        }
        Ok(())
    }

    pub(crate) fn accept_publish(
        &mut self,
        slot: usize,
        message: Arc<Publication>,
        packet_id: Option<PacketId>,
        route: &Arc<Route>,
        turn: &mut Turn<'_>,
    ) {
        let taken = packet_id.filter(|_| message.qos == QoS::ExactlyOnce);
        if let Some(packet_id) = taken {
            let print = self.print(&message);
            let session = &mut self.sessions[slot].session;
            session.apply(&SessionChange::InboundTaken { packet_id });
            session.inbound.mark(packet_id, print);
        }
        let session = &self.sessions[slot].session;
        let (qos, publisher) = (message.qos, session.number);
        let inbound = taken.filter(|_| session.is_durable());
        let waits_for = self.publish_on(route, message, Origin::Client(publisher, inbound), turn);
        self.block_if_full(slot, route, turn);
        if let Some(packet_id) = packet_id {
            let code = match route.reaches_anybody(Some(publisher)) {
                true => ReasonCode::Success,
                false => ReasonCode::NoMatchingSubscribers,
            };
            self.acknowledge(slot, ack(qos, packet_id, code), waits_for, turn);
        }
    }

    /// Refuses a publication: 5.0 by its acknowledgement, 3.x by the plain one or by closing, as configured
    /// [MQTT-3.3.5-2, 3.1.1].
    pub(crate) fn refuse_publish(
        &mut self,
        slot: usize,
        packet_id: Option<PacketId>,
        message: &Publication,
        refusal: Refusal,
        turn: &mut Turn<'_>,
    ) -> Result<(), Violation> {
        let Refusal { reason_code, reason, cause } = refusal;
        abandon_parts(message, turn);
        let session = &self.sessions[slot].session;
        let client_id = Arc::clone(&session.client_id);
        let Some(link) = &session.link else { return Ok(()) };
        let (version, wants_reason) = (link.wire.version, link.request_problem_information);
        match reason {
            DropReason::NotAuthorized => self.drop_forbidden(&client_id, message, cause.clone(), turn),
            _ => self.drop_message(&client_id, message, reason, turn),
        }
        let event_cause = format!("a publication on {:?} is refused: {cause}", message.topic);
        Self::event(turn, Event::Denied { client_id, reason_code, cause: event_cause.clone() });
        // An acknowledgement would be a promise that cannot be kept.
        let would_promise = reason == DropReason::JournalFull && packet_id.is_some();
        if version < ProtocolVersion::V5 && (self.limits.disconnect_refused_v3 || would_promise) {
            return Err(Violation::new(reason_code, event_cause));
        }
        let Some(packet_id) = packet_id else { return Ok(()) };
        if version == ProtocolVersion::V5 {
            let ack = refusing_ack(message.qos, packet_id, reason_code, wants_reason.then_some(&*cause));
            self.acknowledge(slot, ack, Durability::Memory, turn);
            return Ok(());
        }
        // 3.x cannot be told. Its QoS 2 goes on with PUBREL, so the id is taken, and PUBREC waits for that.
        let is_taken = message.qos == QoS::ExactlyOnce;
        if is_taken {
            self.record_session(slot, SessionChange::InboundTaken { packet_id }, turn);
        }
        let waits_for = if is_taken { self.limits.durability } else { Durability::Memory };
        self.acknowledge(slot, ack(message.qos, packet_id, ReasonCode::Success), waits_for, turn);
        Ok(())
    }

    /// Answers a publication, accepted or refused. PUBACKs of one connection leave in order of arrival
    /// [MQTT-4.6.0-2], so one that need not wait does wait behind one that must.
    fn acknowledge(&mut self, slot: usize, ack: Outgoing, waits_for: Durability, turn: &mut Turn<'_>) {
        let Some(link) = self.sessions[slot].session.link.as_deref_mut() else { return };
        if waits_for == Durability::Memory && link.acks_promised == 0 {
            send_ack(link, ack);
            return self.mark_dirty(slot, turn);
        }
        // One that waits for less than the one in front of it waits for as much.
        let level = if link.acks_promised == 0 { waits_for } else { waits_for.max(link.acks_wait_for) };
        link.acks_wait_for = level;
        link.acks_promised = link.acks_promised.saturating_add(1);
        let promise = Promise::new(link.connection, Some(ack), Then::AckLeft, level);
        turn.fx.promises.push(promise);
    }

    /// Gives a publication to everybody it is owed to, here and on other shards. Says what its acknowledgement
    /// waits for: that the record of it is that safe. Memory: nothing.
    fn publish_on(
        &mut self,
        route: &Arc<Route>,
        message: Arc<Publication>,
        origin: Origin,
        turn: &mut Turn<'_>,
    ) -> Durability {
        let publisher = origin.session();
        let waits_for = self.record_publication(&message, origin, route, turn);
        if message.retain {
            turn.fx.retained_staged.stage(&message, turn.directory);
            turn.fx.changes.push(Change::Retain(Arc::clone(&message)));
            if message.expires_at.is_some() {
                self.sweep_later(turn);
            }
        }
        if let Origin::Will(_) = origin {
            let route = Arc::clone(route);
            turn.fx.wills.push(FiredWill { message, route, publisher });
        } else {
            self.deliver_publication(route, message, publisher, turn);
        }
        waits_for
    }

    /// Gives a publication to the sessions and groups of its route.
    #[inline(always)]
    pub(crate) fn deliver_publication(
        &mut self,
        route: &Arc<Route>,
        message: Arc<Publication>,
        publisher: Option<SessionNumber>,
        turn: &mut Turn<'_>,
    ) {
        if route.groups.is_empty() {
            return self.deliver_route(message, route, publisher, turn);
        }
        self.deliver_route(Arc::clone(&message), route, publisher, turn);
        for roster in &route.groups {
            self.share(roster, &message, turn);
        }
        self.publications.give_back(message);
    }

    /// Whether a restart has to know of a publication, and what is promised of it then.
    pub(crate) fn has_to_be_recorded(
        &self,
        message: &Publication,
        origin: Origin,
        route: &Route,
    ) -> Option<Durability> {
        let is_known_by_id = matches!(origin, Origin::Client(_, Some(_)) | Origin::Will(_));
        // What the broker says of itself is said again after a restart.
        let is_kept = message.retain && origin != Origin::Broker;
        if !is_known_by_id && !is_kept && !route.owes_durable(message.qos, origin.session()) {
            return None;
        }
        let level = self.limits.durability_of(&message.topic);
        (is_known_by_id || level > Durability::Memory).then_some(level)
    }

    /// Leaves the record of a publication in the effects, if a restart has to know of it. Says how safe that has to
    /// be before the publication is acknowledged.
    fn record_publication(
        &self,
        message: &Arc<Publication>,
        origin: Origin,
        route: &Route,
        turn: &mut Turn<'_>,
    ) -> Durability {
        let Some(level) = self.has_to_be_recorded(message, origin, route) else {
            abandon_parts(message, turn);
            return Durability::Memory;
        };
        let (inbound, will_of) = match origin {
            Origin::Client(session, packet_id) => (packet_id.map(|packet_id| (session, packet_id)), None),
            Origin::Will(session) => (None, Some(session)),
            Origin::Broker => (None, None),
        };
        if level == Durability::Memory {
            abandon_parts(message, turn);
            // The publication is forgotten, its id and the will it was are not.
            let taken =
                inbound.map(|(session, packet_id)| (session, SessionChange::InboundTaken { packet_id }));
            let ended = will_of.map(|session| (session, SessionChange::WillSet { will: None }));
            let changes = taken.into_iter().chain(ended);
            turn.fx.records.extend(changes.map(|(session, change)| Record::Session { session, change }));
            return self.limits.durability;
        }
        let qos = message.qos;
        let groups = route.groups.iter().filter(|roster| qos > QoS::AtMostOnce && roster.is_durable());
        let groups: Vec<_> = groups.map(|roster| roster.group()).collect();
        turn.fx.debts.extend(groups.iter().map(|group| DebtChange::Owed(*group, Arc::clone(message))));
        turn.fx.records.push(Record::Published(Box::new(Frame {
            message: Arc::clone(message),
            inbound,
            retained: message.retain,
            will_of,
            owed: route.durable(message, origin.session()),
            groups,
        })));
        // The id is the session's, which follows the level of sessions.
        if inbound.is_some() { level.max(self.limits.durability) } else { level }
    }

    /// Whether another retained message fits the bounds. Clearing one always does, and replacing one by one
    /// that is no longer.
    pub(crate) fn has_retained_room(&self, message: &Publication, turn: &Turn<'_>) -> bool {
        if message.payload.is_empty() {
            return true;
        }
        let limits = &self.limits;
        let (messages, bytes) = turn.fx.retained_staged.totals_with(message, turn.directory);
        bytes <= limits.retained_bytes_max
            && (limits.retained_messages_max == 0 || messages <= limits.retained_messages_max)
    }
}

/// No record will say where the parts of a publication stand.
#[inline]
fn abandon_parts(message: &Publication, turn: &mut Turn<'_>) {
    if message.parts.is_some() {
        turn.fx.requests.push(Request::Abandoned { message: message.number });
    }
}

/// The topic name that a topic alias stands for, or is given with.
fn resolve_alias<'a>(
    aliases: &'a mut AliasesIn,
    alias: u16,
    topic: &str,
    alias_maximum: u16,
) -> Result<&'a str, Violation> {
    if alias > alias_maximum {
        let cause = format!("topic alias {alias} is above the announced maximum of {alias_maximum}");
        return Err(Violation::new(ReasonCode::TopicAliasInvalid, cause));
    }
    if !topic.is_empty() {
        aliases.set(alias, topic);
    }
    aliases.get(alias).ok_or_else(|| {
        let cause = format!("topic alias {alias} stands for no topic yet on this connection");
        Violation::new(ReasonCode::ProtocolError, cause)
    })
}

/// Sends PUBACK or PUBREC. All but a successful PUBREC end the exchange and give the client its place back.
pub(crate) fn send_ack(link: &mut Link, ack: Outgoing) {
    let goes_on = match &ack {
        Outgoing::Ack(kind, _, code) => *kind == AckKind::PubRec && !code.is_error(),
        Outgoing::Packet(packet) => {
            matches!(&**packet, Packet::PubRec(ack) if !ack.reason_code.is_error())
        }
        _ => false,
    };
    if !goes_on {
        link.acknowledged();
    }
    link.send(ack);
}

/// PUBACK or PUBREC that says no.
fn refusing_ack(qos: QoS, packet_id: PacketId, reason_code: ReasonCode, cause: Option<&str>) -> Outgoing {
    let properties = cause.map_or(Properties::EMPTY, |cause| {
        Properties::new().with(Property::ReasonString(cause)).into_owned()
    });
    let ack = Ack { packet_id, reason_code, properties };
    Outgoing::Packet(Box::new(match qos {
        QoS::ExactlyOnce => Packet::PubRec(ack),
        _ => Packet::PubAck(ack),
    }))
}

/// PUBACK or PUBREC without properties.
fn ack(qos: QoS, packet_id: PacketId, reason_code: ReasonCode) -> Outgoing {
    let kind = if qos == QoS::ExactlyOnce { AckKind::PubRec } else { AckKind::PubAck };
    Outgoing::Ack(kind, packet_id, reason_code)
}

/// So much of a payload goes into its print.
const PRINTED_BYTES_MAX: usize = 4 << 10;
