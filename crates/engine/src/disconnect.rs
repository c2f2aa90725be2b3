//! The end of connections and sessions, and what becomes of wills: all of it in one place.

use crate::connection::{Connection, State};
use crate::effects::Event;
use crate::mail::Violation;
use crate::shard::{Shard, Turn};
use crate::{Change, Mail, Record, Subscriber};
use noctule_auth::Action;
use noctule_codec::{Auth, Disconnect, Packet, Properties, Property, QoS, ReasonCode};
use noctule_session::{
    ConnectionId, DropReason, GroupNumber, Outgoing, Owed, Phase, Publication, SessionChange,
};
use noctule_topic::Subscription as ParsedSubscription;
use std::sync::Arc;

impl Shard {
    /// DISCONNECT: the client leaves in order. Only reason code 0 discards the will [MQTT-3.14.4-3].
    pub(crate) fn handle_disconnect(
        &mut self,
        slot: usize,
        disconnect: &Disconnect<'_>,
        turn: &mut Turn<'_>,
    ) -> Result<(), Violation> {
        if let Some(asked) = disconnect.properties.session_expiry_interval() {
            self.change_expiry(slot, asked, turn)?;
        }
        let Some(link) = &self.sessions[slot].session.link else { return Ok(()) };
        let connection = link.connection;
        let is_normal = disconnect.reason_code == ReasonCode::NORMAL_DISCONNECTION;
        let last = self.unsent(slot, turn);
        self.log_disconnect(slot, disconnect.reason_code, "the client said DISCONNECT".to_owned(), turn);
        self.end_connection(slot, is_normal, turn);
        self.close_with(connection, last, turn);
        Ok(())
    }

    fn change_expiry(&mut self, slot: usize, asked: u32, turn: &mut Turn<'_>) -> Result<(), Violation> {
        let session = &mut self.sessions[slot].session;
        let had_none = session.link.as_ref().is_some_and(|link| link.connect_expiry_interval == 0);
        if had_none && asked > 0 {
            let cause = "DISCONNECT cannot give a session expiry that CONNECT did not ask for";
            return Err(Violation::new(ReasonCode::ProtocolError, cause));
        }
        let session_expiry_interval = asked.min(self.limits.session_expiry_seconds_max);
        let change = SessionChange::ExpirySet { session_expiry_interval };
        session.apply(&change);
        turn.fx.records.push(Record::Session { session: session.number, change });
        Ok(())
    }

    /// AUTH belongs to an authentication method, and a client that names one is refused at CONNECT.
    pub(crate) fn handle_auth(&mut self, _: &Auth<'_>) -> Result<(), Violation> {
        let cause = "AUTH needs an authentication method, and CONNECT named none [MQTT-4.12.0-7]";
        Err(Violation::new(ReasonCode::ProtocolError, cause))
    }

    /// Ends a session's connection because of what the client did or what somebody else did to it.
    pub(crate) fn close_session(&mut self, slot: usize, violation: Violation, turn: &mut Turn<'_>) {
        let session = &mut self.sessions[slot].session;
        let Some(link) = session.link.as_deref_mut() else { return };
        let (connection, is_held) = (link.connection, link.output.is_held());
        let last = match is_held {
            true => self.late_refusal(slot, &violation),
            false => self.goodbye(slot, &violation, turn),
        };
        self.log_disconnect(slot, violation.reason_code, violation.cause, turn);
        self.end_connection(slot, false, turn);
        self.close_with(connection, last, turn);
    }

    /// CONNACK has not left, so there is no connection to end: the client is refused [MQTT-3.14.0-1].
    fn late_refusal(&self, slot: usize, violation: &Violation) -> Vec<u8> {
        let Some(link) = &self.sessions[slot].session.link else { return Vec::new() };
        let refusal = Violation::new(connack_code(violation.reason_code), violation.cause.clone());
        self.refusal(link.wire.version, link.wire.packet_bytes_max, &refusal)
    }

    /// What has been answered and not sent, and DISCONNECT behind it.
    fn goodbye(&mut self, slot: usize, violation: &Violation, turn: &mut Turn<'_>) -> Vec<u8> {
        let mut last = self.unsent(slot, turn);
        if let Some(link) = self.sessions[slot].session.link.as_deref_mut() {
            let disconnect = Outgoing::Packet(Box::new(disconnect_packet(violation)));
            link.wire.encode(&disconnect, turn.now, &mut last);
        }
        last
    }

    /// What a connection that ends has not been sent yet, CONNACK before all [MQTT-3.2.0-1].
    fn unsent(&mut self, slot: usize, turn: &mut Turn<'_>) -> Vec<u8> {
        let mut last = Vec::new();
        if let Some(link) = self.sessions[slot].session.link.as_deref_mut() {
            link.output.encode(&mut link.wire, turn.now, LAST_BYTES_MAX, &mut last, &mut self.session_fx);
            self.collect_used(slot, turn);
        }
        last
    }

    /// The one place where a connection ends. A will is published unless the end was normal
    /// [MQTT-3.1.2-8, -10]: at once, or after its delay where the session lives that long.
    pub(crate) fn end_connection(&mut self, slot: usize, is_normal: bool, turn: &mut Turn<'_>) {
        self.end_search(slot, turn);
        self.end_long(slot, turn);
        let session = &mut self.sessions[slot].session;
        if session.link.take().is_none() {
            return;
        }
        self.stats.clients_connected -= 1;
        turn.directory.client_gone();
        let number = session.number;
        let expiry = session.session_expiry_interval;
        session.expires_at = (expiry < u32::MAX).then(|| turn.now.plus_seconds(expiry));
        if session.is_durable() {
            turn.fx.records.push(Record::SessionDetached { session: number, at: turn.now });
        }
        if is_normal {
            self.drop_will(slot, turn);
        }
        self.announce_availability(slot, false, turn);
        let session = &mut self.sessions[slot].session;
        let delay = session.will.as_ref().map(|will| will.delay_seconds);
        session.will_due = delay.map(|delay| turn.now.plus_seconds(delay));
        if delay == Some(0) {
            self.fire_will(slot, turn);
        }
        if expiry == 0 {
            return self.end_session(slot, turn);
        }
        let me = self.subscriber(slot);
        self.let_go_later(slot);
        let resident = &mut self.sessions[slot];
        resident.give_back_room();
        resident.arm(me, turn.now, &mut self.timers);
    }

    /// The one place where a session ends. A will that still waits is published now [MQTT-3.1.2-8].
    pub(crate) fn end_session(&mut self, slot: usize, turn: &mut Turn<'_>) {
        self.fire_will(slot, turn);
        let me = self.subscriber(slot);
        let resident = self.sessions.remove(slot);
        turn.directory.session_ended();
        let session = resident.session;
        if resident.is_recorded {
            turn.fx.records.push(Record::SessionEnded { session: session.number });
            self.commits.note_end(&session.client_id);
        }
        for owed in session.outbound.iter() {
            // A message that a group gave goes back to it, unless its delivery at QoS 2 has begun
            // [MQTT-4.8.2-5].
            let may_return = owed.qos < QoS::ExactlyOnce || owed.phase() == Phase::Waiting;
            if let Some(group) = owed.group().filter(|_| resident.is_recorded && !may_return) {
                crate::share::end_debt(group, owed.number, turn);
            }
            let returns_to = owed.group().filter(|_| may_return);
            match (returns_to, content_to_return(returns_to, owed, turn)) {
                (Some(group), Some(message)) => self.return_to_group(group, message, turn),
                (None, Some(message)) => {
                    self.drop_message(&session.client_id, &message, DropReason::SessionEnded, turn);
                }
                // What the journal has is not read back to be listed; it is counted.
                (_, None) if owed.is_missing() => self.stats.count_drop(DropReason::SessionEnded),
                (_, None) => {}
            }
        }
        // An entry for a session that has ended is void, so the index can be told bit by bit.
        self.leftovers.extend(session.subscriptions.into_filters().map(|filter| (me, filter)));
        self.clear_leftovers(turn);
    }

    /// Tells the index of subscriptions whose sessions have ended, as many as a turn has time for.
    pub(crate) fn clear_leftovers(&mut self, turn: &mut Turn<'_>) {
        while !turn.fx.is_turn_full() {
            let Some((subscriber, filter)) = self.leftovers.pop_front() else {
                return self.leftovers.shrink_to(LEFTOVERS_KEPT);
            };
            turn.fx.work += WORK_PER_REMOVAL;
            self.stage_removal(subscriber, &filter, turn);
        }
    }

    /// Stages the end of one subscription; `filter` is as the client wrote it.
    pub(crate) fn stage_removal(&mut self, subscriber: Subscriber, filter: &str, turn: &mut Turn<'_>) {
        let parsed = ParsedSubscription::parse(filter).expect("only valid filters become subscriptions");
        self.stats.subscriptions -= 1;
        let Some(share_name) = parsed.share_name else {
            return self.stage(Change::Unsubscribe { filter: parsed.filter, subscriber }, turn);
        };
        self.stats.shared_subscriptions -= 1;
        let home = self.group_home(&share_name, parsed.filter.as_str());
        if let Some(group) =
            turn.directory.groups.read(|groups| groups.number(&share_name, parsed.filter.as_str()))
        {
            turn.fx.mail_to(home, Mail::Left { group });
        }
        self.stage(Change::Leave { share_name, filter: parsed.filter, member: subscriber }, turn);
    }

    /// A session without connection: its will or its own end is due.
    pub(crate) fn handle_session_timeout(&mut self, subscriber: Subscriber, turn: &mut Turn<'_>) {
        let Some(resident) = self.resident(subscriber) else { return };
        resident.disarm();
        if resident.session.link.is_some() {
            return;
        }
        let slot = subscriber.slot as usize;
        let is_due = |at: Option<noctule_session::Instant>| at.is_some_and(|at| at <= turn.now);
        let (will_is_due, is_over) = (is_due(resident.session.will_due), is_due(resident.session.expires_at));
        if is_over {
            self.stats.sessions_expired += 1;
            return self.end_session(slot, turn);
        }
        if will_is_due {
            self.fire_will(slot, turn);
        }
        self.sessions[slot].arm(subscriber, turn.now, &mut self.timers);
    }

    /// One and a half keep alives of silence end the connection [MQTT-3.1.2-22].
    pub(crate) fn check_keep_alive(&mut self, id: ConnectionId, slot: usize, turn: &mut Turn<'_>) {
        let Some(link) = &self.sessions[slot].session.link else { return };
        if link.connection != id || link.silence_millis_max == 0 {
            return;
        }
        let silence_millis_max = u64::from(link.silence_millis_max);
        // A client that is not read because it was too fast, or feeds a shard that is, cannot be heard.
        if self.sessions[slot].blocked_on.is_some() {
            return self.arm_connection(id, turn.now + silence_millis_max, turn.now);
        }
        let heard = link.pace.paused_until(turn.now).unwrap_or(link.last_heard);
        let due = heard + silence_millis_max;
        if due > turn.now {
            return self.arm_connection(id, due, turn.now);
        }
        let cause = format!("nothing came for {silence_millis_max} ms");
        self.close_session(slot, Violation::new(ReasonCode::KeepAliveTimeout, cause), turn);
    }

    /// Publishes the will of a session, if it still has one.
    pub(crate) fn fire_will(&mut self, slot: usize, turn: &mut Turn<'_>) {
        let resident = &mut self.sessions[slot];
        let Some(will) = resident.session.will.clone() else { return };
        resident.session.will_due = None;
        resident.session.apply(&SessionChange::WillSet { will: None });
        resident.recount();
        let publisher = Arc::clone(&resident.session.client_id);
        let number = turn.directory.next_message();
        let fill = |message: &mut Publication| message.fill_with_will(number, &will, &publisher, turn.now);
        let message = self.publications.make(&turn.directory.memory, fill);
        let action = Action::Will { topic: &will.topic, qos: will.qos, retain: will.retain };
        let decision = self.permit(slot, &action);
        if !decision.allowed {
            self.record_will_end(slot, turn);
            return self.drop_forbidden(&publisher, &message, decision.told(), turn);
        }
        if message.retain && !self.has_retained_room(&message, turn) {
            self.record_will_end(slot, turn);
            return self.drop_message(&publisher, &message, DropReason::RetainedFull, turn);
        }
        let session = self.sessions[slot].session.number;
        self.publish(message, crate::publish::Origin::Will(session), turn);
    }

    fn drop_will(&mut self, slot: usize, turn: &mut Turn<'_>) {
        let session = &mut self.sessions[slot].session;
        if session.will.is_some() {
            session.apply(&SessionChange::WillSet { will: None });
            self.sessions[slot].recount();
            self.record_will_end(slot, turn);
        }
    }

    fn record_will_end(&mut self, slot: usize, turn: &mut Turn<'_>) {
        let session = self.sessions[slot].session.number;
        turn.fx.records.push(Record::Session { session, change: SessionChange::WillSet { will: None } });
    }

    /// Publishes all wills, while there is somebody to receive them: kept in memory, every session ends with the
    /// broker, and no will waits longer than its session [MQTT-3.1.2-8]. The runtime lets every shard do so,
    /// and delivers the mail, before the first one is [shut down](Self::shut_down).
    pub fn fire_last_wills(&mut self, turn: &mut Turn<'_>) {
        for slot in self.sessions.iter().map(|(slot, _)| slot).collect::<Vec<_>>() {
            self.fire_will(slot, turn);
        }
    }

    /// Ends every connection because the broker stops. 5.0 clients are told 0x8B behind what they are still to
    /// receive; nothing is read any more. Where everything `is_remembered`, sessions and wills go on after the next
    /// start, and their time counts from now.
    pub fn shut_down(&mut self, is_remembered: bool, turn: &mut Turn<'_>) {
        if !is_remembered {
            self.fire_last_wills(turn);
        }
        for slot in self.connected_slots() {
            let resident = &self.sessions[slot];
            if is_remembered && resident.is_recorded {
                let session = resident.session.number;
                turn.fx.records.push(Record::SessionDetached { session, at: turn.now });
            }
            self.say_goodbye(slot, turn);
        }
        let is_handshaking = |connection: &&Connection| matches!(connection.state, State::Handshaking(_));
        let connections = self.connections.iter().flatten().map(|connection| &**connection);
        let handshaking = connections.filter(is_handshaking);
        for id in handshaking.map(|connection| connection.id).collect::<Vec<_>>() {
            self.close_with(id, Vec::new(), turn);
        }
    }

    pub(crate) fn connected_slots(&self) -> Vec<usize> {
        let connected = self.sessions.iter().filter(|(_, resident)| resident.session.link.is_some());
        connected.map(|(slot, _)| slot).collect()
    }

    fn say_goodbye(&mut self, slot: usize, turn: &mut Turn<'_>) {
        let violation = Violation::new(ReasonCode::ServerShuttingDown, "the broker is stopping");
        if let Some(link) = self.sessions[slot].session.link.as_deref_mut() {
            link.output.finish(Outgoing::Packet(Box::new(disconnect_packet(&violation))));
            self.mark_dirty(slot, turn);
        }
    }

    pub(crate) fn log_disconnect(
        &mut self,
        slot: usize,
        reason_code: ReasonCode,
        cause: String,
        turn: &mut Turn<'_>,
    ) {
        let session = &self.sessions[slot].session;
        let Some(link) = &session.link else { return };
        let address = self.address_of(link.connection);
        let client_id = Arc::clone(&session.client_id);
        Self::event(turn, Event::Disconnected { client_id, address, reason_code, cause });
    }
}

/// The content of what a session is owed at its end. What returns to a group is as the group has it: the session may
/// have left its own to the journal, or know an older place of it.
fn content_to_return(group: Option<GroupNumber>, owed: &Owed, turn: &Turn<'_>) -> Option<Arc<Publication>> {
    let of_group = group.and_then(|group| turn.directory.debts.read(|debts| debts.get(group, owed.number)));
    of_group.or_else(|| owed.message().cloned())
}

fn disconnect_packet(violation: &Violation) -> Packet<'static> {
    let properties = Properties::new().with(Property::ReasonString(&violation.cause)).into_owned();
    Packet::Disconnect(Disconnect { reason_code: violation.reason_code, properties })
}

/// What a client is told whose CONNACK has not left: the same code where CONNACK knows it, and otherwise that
/// it may come again.
fn connack_code(reason_code: ReasonCode) -> ReasonCode {
    match reason_code {
        ReasonCode::MalformedPacket
        | ReasonCode::ProtocolError
        | ReasonCode::PacketTooLarge
        | ReasonCode::NotAuthorized
        | ReasonCode::TopicNameInvalid
        | ReasonCode::QuotaExceeded
        | ReasonCode::RetainNotSupported
        | ReasonCode::QoSNotSupported => reason_code,
        _ => ReasonCode::ServerBusy,
    }
}

/// What the removal of a subscription counts for in a turn, in deliveries.
const WORK_PER_REMOVAL: usize = 4;
/// Once nothing is left over, room is kept for so many subscriptions.
const LEFTOVERS_KEPT: usize = 256;
/// Of what a connection that ends has not been sent yet, about this much still is.
const LAST_BYTES_MAX: usize = 64 << 10;
