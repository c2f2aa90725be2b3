//! CONNECT: from the first packet to CONNACK.

use crate::admission::Refused;
use crate::connection::{Next, State};
use crate::effects::Event;
use crate::mail::{Then, Violation};
use crate::mount::{stored_will, whole_topic};
use crate::publish::Refusal;
use crate::resident::Resident;
use crate::shard::{Shard, Turn};
use crate::{Change, JournalState, Record, ShardId};
use noctule_auth::Identity;
use noctule_codec::{
    ConnAck, Connect, DecodeError, Packet, Properties, Property, ProtocolVersion, QoS, ReasonCode,
};
use noctule_session::{ConnectionId, Limits, Link, Outgoing, Session, SessionChange, StoredWill, Terms};
use std::sync::Arc;

impl Shard {
    /// Opens or resumes a session, or refuses the client.
    #[inline(never)]
    pub(crate) fn handle_connect(
        &mut self,
        id: ConnectionId,
        connect: &Connect<'_>,
        turn: &mut Turn<'_>,
    ) -> Next {
        let terms = self.terms_for(id);
        let (client_id, is_assigned) = self.client_id_for(id, connect, &terms);
        let client_id = &*client_id;
        let home = self.home(client_id);
        if home != self.config.id {
            return Next::Move(home);
        }
        match self.await_turn(id, turn.now) {
            Ok(None) => {}
            Ok(Some(until)) => return Next::Wait(until),
            Err(violation) => {
                self.refuse_connect(id, connect, violation.into(), turn);
                return Next::Close;
            }
        }
        if let Some(until) = self.delay_takeover(id, client_id, turn.now) {
            return Next::Wait(until);
        }
        let connack = self.connack(connect, client_id, is_assigned, &terms.limits);
        let checked = self.check_connect(id, connect, client_id, &terms, &connack).map_err(Refused::from);
        let admitted = checked.and_then(|()| self.admit(id, connect, client_id, &terms, turn));
        let admitted = match admitted {
            Ok(None) => return Next::Held,
            Ok(Some(identity)) => {
                let room = self.check_room_for(connect, &identity, turn);
                room.map(|()| identity).map_err(Refused::from)
            }
            Err(refused) => Err(refused),
        };
        match admitted {
            Ok(identity) => self.accept_connect(id, connect, identity, terms, connack, turn),
            Err(refused) => {
                self.refuse_connect(id, connect, refused, turn);
                return Next::Close;
            }
        }
        // What is pipelined behind CONNECT comes after its CONNACK, where that has to wait for records.
        Next::Yield
    }

    /// Answers bytes that are no packet: CONNACK before a session is open, DISCONNECT after.
    pub(crate) fn refuse_bytes(&mut self, id: ConnectionId, error: &DecodeError, turn: &mut Turn<'_>) {
        let mut violation = Violation::new(error.reason_code(), error.to_string());
        if let Some(slot) = self.session_of(id) {
            if matches!(error, DecodeError::PacketTooLarge { .. }) {
                violation.cause.push_str(" (limits.packet_bytes_max)");
            }
            // A second CONNECT is a protocol error also in a version we do not speak [MQTT-3.1.0-2], and
            // DISCONNECT has no word for that version [MQTT-3.14.2-1].
            if violation.reason_code == ReasonCode::UnsupportedProtocolVersion {
                violation.reason_code = ReasonCode::ProtocolError;
            }
            return self.close_session(slot, violation, turn);
        }
        let Some(connection) = self.connection(id) else { return };
        let version = answer(error).or(connection.decoder.version());
        let last = version.map(|version| self.refusal(version, u32::MAX, &violation));
        self.refuse(id, last.unwrap_or_default(), "", violation.into(), turn);
    }

    /// The checks of [MQTT-3.1.4-2] that need nobody's answer, in the order in which a client can do something about
    /// them. They say nothing of anybody else, since it is not known yet who asks.
    fn check_connect(
        &self,
        id: ConnectionId,
        connect: &Connect<'_>,
        client_id: &str,
        terms: &Terms,
        connack: &ConnAck<'static>,
    ) -> Result<(), Violation> {
        let limits = &self.limits;
        self.check_arrival(id, connect)?;
        if !limits.server_reference.is_empty() {
            let code =
                if limits.server_moved { ReasonCode::ServerMoved } else { ReasonCode::UseAnotherServer };
            return Err(Violation::new(
                code,
                format!("this server refers clients to {}", limits.server_reference),
            ));
        }
        self.check_client_id(id, connect, client_id, terms)?;
        if let Some(method) = connect.properties.authentication_method() {
            let cause = format!("the authentication method {method:?} is not known here");
            return Err(Violation::new(ReasonCode::BadAuthenticationMethod, cause));
        }
        self.check_will(connect, terms)?;
        check_connack(connect, connack)
    }

    /// Whether there is room for the session of a client that may come in, and whether its user's clients come slowly
    /// enough.
    fn check_room_for(
        &self,
        connect: &Connect<'_>,
        identity: &Identity,
        turn: &Turn<'_>,
    ) -> Result<(), Violation> {
        let client_id = &*identity.client_id;
        self.check_session_can_be_recorded(connect, client_id, turn)?;
        self.check_room(connect, client_id, turn)?;
        check_user_rate(identity, turn)
    }

    /// A session that outlives its connection, and a will, need a journal that takes records; so does the end of one.
    /// One that is full takes those of a client that comes for what it is owed: that makes room, and for a journal
    /// filled by queues nothing else does.
    fn check_session_can_be_recorded(
        &self,
        connect: &Connect<'_>,
        client_id: &str,
        turn: &Turn<'_>,
    ) -> Result<(), Violation> {
        let is_known = || self.sessions.find(client_id).is_some_and(|slot| self.sessions[slot].is_recorded);
        let is_recorded = self.session_expiry_interval(connect) > 0 || connect.will.is_some() || is_known();
        let state = turn.directory.journal.state();
        let makes_room = state == JournalState::Full && self.is_owed_something(client_id);
        match Refusal::of_journal(state) {
            Some(refusal) if is_recorded && !makes_room => {
                Err(Violation::new(ReasonCode::ServerUnavailable, refusal.cause))
            }
            _ => Ok(()),
        }
    }

    fn is_owed_something(&self, client_id: &str) -> bool {
        let slot = self.sessions.find(client_id);
        slot.is_some_and(|slot| !self.sessions[slot].session.outbound.is_empty())
    }

    /// A client without a session needs room for one, and a will needs some too.
    fn check_room(&self, connect: &Connect<'_>, client_id: &str, turn: &Turn<'_>) -> Result<(), Violation> {
        let has_session = self.sessions.find(client_id).is_some();
        let will_bytes = connect.will.as_ref().map_or(0, |will| StoredWill::new(will).bytes());
        let bytes = if has_session { will_bytes } else { will_bytes + SESSION_BYTES };
        if bytes > 0 && !self.has_memory(bytes, turn) {
            let cause = "the memory for messages and sessions is used up (limits.memory_bytes_max)";
            return Err(Violation::new(ReasonCode::QuotaExceeded, cause));
        }
        if has_session {
            return Ok(());
        }
        let limits = &self.limits;
        if turn.directory.sessions() >= u64::from(limits.sessions_max) {
            let cause = "there are as many sessions as there may be (limits.sessions_max)";
            return Err(Violation::new(ReasonCode::QuotaExceeded, cause));
        }
        Ok(())
    }

    fn check_will(&self, connect: &Connect<'_>, terms: &Terms) -> Result<(), Violation> {
        let Some(will) = &connect.will else { return Ok(()) };
        if will.qos > terms.limits.maximum_qos {
            return Err(Violation::new(
                ReasonCode::QoSNotSupported,
                "the will's QoS is above Maximum QoS [MQTT-3.2.2-12]",
            ));
        }
        if will.retain && !terms.limits.retain_available {
            return Err(Violation::new(
                ReasonCode::RetainNotSupported,
                "a retained will is not available [MQTT-3.2.2-13]",
            ));
        }
        self.check_payload(will.payload.len()).map_err(|refusal| {
            Violation::new(ReasonCode::PacketTooLarge, format!("the will: {}", refusal.cause))
        })?;
        self.check_topic_name(&whole_topic(&terms.mount_point, will.topic))
    }

    fn accept_connect(
        &mut self,
        id: ConnectionId,
        connect: &Connect<'_>,
        identity: Identity,
        terms: Arc<Terms>,
        connack: ConnAck<'static>,
        turn: &mut Turn<'_>,
    ) {
        let client_id = &*Arc::clone(&identity.client_id);
        self.take_over(id, client_id, turn);
        let resumed = self.session_to_resume(connect, client_id, turn);
        let session_present = resumed.is_some();
        let slot = match resumed {
            Some(slot) => self.identify(slot, identity),
            None => self.open_session(identity, turn),
        };
        let was_reindexed = self.attach(slot, id, connect, terms, turn);
        self.sessions[slot].session.link.iter_mut().for_each(|link| link.is_resumed = session_present);
        let connack = Packet::ConnAck(ConnAck { session_present, ..connack });
        let connack = Outgoing::Packet(Box::new(connack));
        let session = &self.sessions[slot].session;
        if was_reindexed {
            self.promise_after_grace(slot, connack, Then::Open, turn);
        } else if session.is_durable()
            || session.will.is_some()
            || self.has_wills_to_wait_for(turn)
            || self.commits.has_ended(client_id, self.limits.durability)
        {
            self.promise(slot, connack, Then::Open, turn);
        } else if let Some(link) = self.sessions[slot].session.link.as_deref_mut() {
            link.output.release(connack);
        }
        self.announce_availability(slot, true, turn);
        self.transmit(slot, turn);
        self.log_connect(slot, id, connect.version, session_present, turn);
    }

    /// The will of the connection before waits until it may leave; what this one publishes comes behind it.
    fn has_wills_to_wait_for(&self, turn: &Turn<'_>) -> bool {
        self.commits.has_wills() || !turn.fx.wills.is_empty()
    }

    /// Ends the connection that the client id still has [MQTT-3.1.4-3]. That may end its session as well, and
    /// publish its will, exactly as any other end of a connection does.
    fn take_over(&mut self, id: ConnectionId, client_id: &str, turn: &mut Turn<'_>) {
        let Some(slot) = self.sessions.find(client_id) else { return };
        if self.sessions[slot].session.link.is_some() {
            self.stats.takeovers += 1;
            self.note_takeover(slot, id, turn);
            let violation =
                Violation::new(ReasonCode::SessionTakenOver, "another connection uses this client id");
            self.close_session(slot, violation, turn);
        }
    }

    /// Discards the session where the client starts clean [MQTT-3.1.2-4]; otherwise says where it is, if there
    /// is one.
    fn session_to_resume(
        &mut self,
        connect: &Connect<'_>,
        client_id: &str,
        turn: &mut Turn<'_>,
    ) -> Option<usize> {
        let slot = self.sessions.find(client_id)?;
        if connect.clean_start {
            self.end_session(slot, turn);
            return None;
        }
        Some(slot)
    }

    fn open_session(&mut self, identity: Identity, turn: &mut Turn<'_>) -> usize {
        let number = turn.directory.next_session();
        let session = Session::new(number, Arc::clone(&identity.client_id));
        turn.directory.session_opened();
        let (memory, dues) = (&turn.directory.memory, &turn.directory.dues);
        let slot = self.sessions.insert(Resident::new(session, identity, memory, dues));
        self.renew_rights(slot);
        slot
    }

    /// Gives the session its connection, its expiry and its will. Says whether the index had to be told.
    fn attach(
        &mut self,
        slot: usize,
        id: ConnectionId,
        connect: &Connect<'_>,
        terms: Arc<Terms>,
        turn: &mut Turn<'_>,
    ) -> bool {
        let keep_alive_seconds = keep_alive_seconds(connect, &terms.limits);
        let session_expiry_interval = self.session_expiry_interval(connect);
        let will = connect.will.as_ref().map(|will| stored_will(&terms.mount_point, will));
        let packet_bytes_max = terms.limits.packet_bytes_max;
        let mut link = Link::new(id, connect, keep_alive_seconds, terms, turn.now);
        link.pace.share(self.shared_meters(id, slot, turn), &self.limits, turn.now);
        link.output.hold();
        let silence_millis_max = u64::from(link.silence_millis_max);
        let resident = &mut self.sessions[slot];
        resident.blocked_on = None;
        let session = &mut resident.session;
        let was_durable = session.is_durable();
        session.outbound.attach(link.receive_maximum);
        session.inbound.begin_connection();
        session.link = Some(Box::new(link));
        session.will_due = None;
        session.expires_at = None;
        // A SUBACK that died with the last connection is not sent again; what follows it is.
        resident.retained.open();
        session.apply(&SessionChange::ExpirySet { session_expiry_interval });
        self.record_attach(slot, will, turn);
        let is_to_reindex = was_durable != self.sessions[slot].session.is_durable();
        if is_to_reindex {
            self.reindex(slot, turn);
        }
        if let Some(connection) = self.connection_mut(id) {
            connection.state = State::Connected { slot };
            connection.decoder.set_packet_bytes_max(packet_bytes_max);
        }
        if silence_millis_max > 0 {
            self.arm_connection(id, turn.now + silence_millis_max, turn.now);
        }
        self.stats.connects += 1;
        self.stats.clients_connected += 1;
        turn.directory.client_connected();
        is_to_reindex
    }

    /// Records what a restart has to know: durable sessions, the wills of all, and that a session it knows is
    /// durable no longer.
    fn record_attach(&mut self, slot: usize, will: Option<Arc<StoredWill>>, turn: &mut Turn<'_>) {
        let resident = &mut self.sessions[slot];
        let session = &mut resident.session;
        if !resident.is_recorded {
            resident.recorded_at = self.commits.appended;
        }
        resident.is_recorded |= session.is_durable() || will.is_some();
        let ids = session.reserve_first_ids();
        let (number, session_expiry_interval) = (session.number, session.session_expiry_interval);
        let will = SessionChange::WillSet { will };
        session.apply(&will);
        resident.recount();
        let session = &resident.session;
        if resident.is_recorded {
            let opened = Record::SessionOpened {
                session: number,
                client_id: Arc::clone(&session.client_id),
                user_name: resident.identity.user_name.clone(),
                origin: Box::new(resident.identity.origin.clone()),
            };
            turn.fx.records.push(opened);
            let expiry = SessionChange::ExpirySet { session_expiry_interval };
            let changes = [expiry, will].into_iter().chain(ids);
            turn.fx.records.extend(changes.map(|change| Record::Session { session: number, change }));
        }
    }

    /// Tells the index anew whether what this session is owed has to be recorded.
    fn reindex(&mut self, slot: usize, turn: &mut Turn<'_>) {
        let subscriptions = self.sessions[slot].session.subscriptions.clone();
        for (filter, subscription) in subscriptions.iter() {
            self.stage_subscription(slot, filter, subscription, turn);
        }
    }

    /// The session expiry in force: what the client asked for, up to the bound.
    fn session_expiry_interval(&self, connect: &Connect<'_>) -> u32 {
        connect.session_expiry_interval().min(self.limits.session_expiry_seconds_max)
    }

    /// What the client is told when it is let in, but for whether its session goes on.
    fn connack(
        &self,
        connect: &Connect<'_>,
        client_id: &str,
        is_assigned: bool,
        limits: &Limits,
    ) -> ConnAck<'static> {
        let session_expiry_interval = self.session_expiry_interval(connect);
        let mut properties = Properties::new();
        if session_expiry_interval != connect.session_expiry_interval() {
            properties.push(Property::SessionExpiryInterval(session_expiry_interval));
        }
        if limits.receive_maximum < u16::MAX {
            properties.push(Property::ReceiveMaximum(limits.receive_maximum));
        }
        // A Maximum QoS of 2 is said by silence; the standard allows only 0 and 1 here [MQTT-3.2.2-9].
        if limits.maximum_qos < QoS::ExactlyOnce {
            properties.push(Property::MaximumQoS(limits.maximum_qos));
        }
        properties.push(Property::MaximumPacketSize(limits.packet_bytes_max));
        if is_assigned {
            properties.push(Property::AssignedClientIdentifier(client_id));
        }
        if limits.topic_alias_maximum > 0 {
            properties.push(Property::TopicAliasMaximum(limits.topic_alias_maximum));
        }
        let keep_alive_seconds = keep_alive_seconds(connect, limits);
        if keep_alive_seconds != connect.keep_alive_seconds {
            properties.push(Property::ServerKeepAlive(keep_alive_seconds));
        }
        let asks = connect.properties.request_response_information() == Some(true);
        if asks && !limits.response_information.is_empty() {
            properties.push(Property::ResponseInformation(&limits.response_information));
        }
        for (available, property) in [
            (limits.retain_available, Property::RetainAvailable(false)),
            (limits.wildcard_subscription_available, Property::WildcardSubscriptionAvailable(false)),
            (limits.subscription_identifiers_available, Property::SubscriptionIdentifierAvailable(false)),
            (limits.shared_subscription_available, Property::SharedSubscriptionAvailable(false)),
        ] {
            if !available {
                properties.push(property);
            }
        }
        let (session_present, reason_code) = (false, ReasonCode::Success);
        ConnAck { session_present, reason_code, properties: properties.into_owned() }
    }

    /// Refuses a CONNECT with CONNACK; nothing more is read from the connection [MQTT-3.1.4-6].
    fn refuse_connect(
        &mut self,
        id: ConnectionId,
        connect: &Connect<'_>,
        refused: Refused,
        turn: &mut Turn<'_>,
    ) {
        let last = self.refusal(connect.version, packet_bytes_max(connect), &refused.violation);
        self.refuse(id, last, connect.client_id, refused, turn);
    }

    fn refuse(
        &mut self,
        id: ConnectionId,
        last: Vec<u8>,
        client_id: &str,
        refused: Refused,
        turn: &mut Turn<'_>,
    ) {
        let address = self.address_of(id);
        self.stats.refused += 1;
        let Refused { violation: Violation { reason_code, .. }, cause } = refused;
        Self::event(turn, Event::Refused { client_id: client_id.into(), address, reason_code, cause });
        self.close_with(id, last, turn);
    }

    /// The CONNACK of a refusal in bytes; none where the version has no word for it, or where not even the
    /// bare code fits into the client's Maximum Packet Size [MQTT-3.1.2-24].
    pub(crate) fn refusal(
        &self,
        version: ProtocolVersion,
        packet_bytes_max: u32,
        violation: &Violation,
    ) -> Vec<u8> {
        let mut bytes = Vec::new();
        if has_connack(version, violation.reason_code) {
            let packet = self.refusal_packet(violation);
            // What cannot be written leaves the bytes empty.
            let _ = packet.encode_within(version, packet_bytes_max, &mut bytes);
        }
        bytes
    }

    fn refusal_packet(&self, violation: &Violation) -> Packet<'static> {
        let mut properties = Properties::new();
        if matches!(violation.reason_code, ReasonCode::UseAnotherServer | ReasonCode::ServerMoved) {
            properties.push(Property::ServerReference(&self.limits.server_reference));
        }
        properties.push(Property::ReasonString(&violation.cause));
        let (session_present, reason_code) = (false, violation.reason_code);
        Packet::ConnAck(ConnAck { session_present, reason_code, properties: properties.into_owned() })
    }

    fn log_connect(
        &mut self,
        slot: usize,
        id: ConnectionId,
        version: ProtocolVersion,
        session_present: bool,
        turn: &mut Turn<'_>,
    ) {
        let address = self.address_of(id);
        let client_id = Arc::clone(&self.sessions[slot].session.client_id);
        Self::event(turn, Event::Connected { client_id, address, version, session_present });
    }

    /// Stages one subscription of a session for the index.
    pub(crate) fn stage(&self, change: Change, turn: &mut Turn<'_>) {
        turn.fx.changes.push(change);
    }

    /// The shard that keeps the backlog of a shared group.
    pub(crate) fn group_home(&self, share_name: &str, filter: &str) -> ShardId {
        crate::shard::home(&format!("{share_name}/{filter}"), self.config.shards)
    }
}

/// A client that could not read its CONNACK would wait for ever, so it is refused [MQTT-3.1.2-24].
fn check_connack(connect: &Connect<'_>, connack: &ConnAck<'static>) -> Result<(), Violation> {
    let bytes = Packet::ConnAck(connack.clone()).encoded_len(connect.version);
    let bytes_max = packet_bytes_max(connect);
    if bytes <= bytes_max as usize {
        return Ok(());
    }
    let cause =
        format!("CONNACK takes {bytes} bytes and the client accepts {bytes_max} (Maximum Packet Size)");
    Err(Violation::new(ReasonCode::PacketTooLarge, cause))
}

/// The keep alive in force: the client's own, or the server's where that is set and lower [MQTT-3.2.2-22]. A 3.x
/// client cannot be told, so it keeps its own.
fn keep_alive_seconds(connect: &Connect<'_>, limits: &Limits) -> u16 {
    let (asked, max) = (connect.keep_alive_seconds, limits.keep_alive_seconds_max);
    let is_too_long = asked == 0 || asked > max;
    if connect.version == ProtocolVersion::V5 && max > 0 && is_too_long { max } else { asked }
}

fn packet_bytes_max(connect: &Connect<'_>) -> u32 {
    connect.properties.maximum_packet_size().unwrap_or(u32::MAX)
}

/// Whether a refusal is told: a malformed 3.x CONNECT is closed without CONNACK [MQTT-3.1.4-1, 3.1.1].
fn has_connack(version: ProtocolVersion, reason_code: ReasonCode) -> bool {
    version == ProtocolVersion::V5
        || !matches!(
            reason_code,
            ReasonCode::MalformedPacket
                | ReasonCode::ProtocolError
                | ReasonCode::PacketTooLarge
                | ReasonCode::TopicNameInvalid
                | ReasonCode::QoSNotSupported
                | ReasonCode::RetainNotSupported
        )
}

/// A user whose clients come too often is told so, once it is known that they are that user's.
fn check_user_rate(identity: &Identity, turn: &Turn<'_>) -> Result<(), Violation> {
    let meters = identity.user_name.as_deref().and_then(|user| turn.directory.user_meters(user, turn.now));
    if meters.is_none_or(|meters| meters.take_connect(turn.now)) {
        return Ok(());
    }
    let cause = "too many connections come from this user (limits.user_connects_per_second_max)";
    Err(Violation::new(ReasonCode::ConnectionRateExceeded, cause))
}

/// The version in which a client of an unknown version may understand a refusal.
fn answer(error: &DecodeError) -> Option<ProtocolVersion> {
    match error {
        DecodeError::UnsupportedVersion { answer, .. } => Some(*answer),
        DecodeError::UnknownProtocolName { answer, .. } => *answer,
        _ => None,
    }
}

/// A new session is let in only if there is memory for this much.
const SESSION_BYTES: u64 = 4096;
