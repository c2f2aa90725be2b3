//! CONNECT, CONNACK and AUTH.

use super::connection::{Connection, Phase, ServerLimits};
use super::event::{Event, Violation};
use super::keep_alive::KeepAlive;
use super::requests::{RequestError, Requests};
use super::unanswered::Unanswered;
use super::{Client, ConnectOptions, DisconnectCause};
use crate::change::SessionChange;
use crate::{AliasesOut, Inbound, Instant, Link, Outgoing};
use noctule_codec::{Auth, ConnAck, Decoder, EncodeError, Packet, Properties, ProtocolVersion, ReasonCode};
use std::collections::VecDeque;

impl Client {
    /// Begins a connection on a stream that has just been opened. The next flush writes CONNECT
    /// [MQTT-3.1.0-1].
    ///
    /// With `clean_start`, or with another client id than before, the session is discarded here and now:
    /// what was not acknowledged is sent as new. An earlier connection that is still there is given up.
    ///
    /// # Errors
    ///
    /// [`EncodeError`] where a field of the options is too long for its packet; nothing has changed then.
    pub fn connect(&mut self, options: ConnectOptions, now: Instant) -> Result<(), EncodeError> {
        let mut bytes = Vec::new();
        Packet::Connect(options.connect()).encode(options.version, &mut bytes)?;
        self.connection_lost();
        if options.clean_start || *options.client_id != *self.session.client_id {
            self.discard_session();
            self.record(SessionChange::ExpirySet { session_expiry_interval: 0 });
        }
        self.session.client_id = options.client_id.as_ref().into();
        self.limits.output_bytes_max = options.output_bytes_max;
        let mut link = Link::to_server(options.version, now);
        link.send(Outgoing::Bytes(bytes.into()));
        self.session.link = Some(Box::new(link));
        self.connection = Some(Box::new(Connection {
            phase: Phase::Connecting,
            decoder: Decoder::client(options.version, options.packet_bytes_max()),
            server: ServerLimits::announced(&Properties::EMPTY, &options),
            keep_alive: KeepAlive::new(options.response_timeout_ms, now),
            requests: Requests::default(),
            unanswered: Unanswered::default(),
            received: Inbound::default(),
            acks_queued: 0,
            qos0: VecDeque::new(),
            options,
        }));
        Ok(())
    }

    /// Answers a step of the server's, or begins a re-authentication [MQTT-4.12.0-3], [MQTT-4.12.1-1]. The
    /// properties name the method of CONNECT.
    ///
    /// # Errors
    ///
    /// [`RequestError::NotConnected`] without a connection, [`RequestError::NoAuthenticationMethod`] where
    /// the properties name another method than CONNECT did, or CONNECT none [MQTT-4.12.0-7], and
    /// [`RequestError::AuthReasonCode`] where the code says something else than the client may.
    pub fn auth(&mut self, reason_code: ReasonCode, properties: Properties<'_>) -> Result<(), RequestError> {
        let connection = self.connection.as_ref().filter(|connection| !connection.is_closing());
        let connection = connection.ok_or(RequestError::NotConnected)?;
        let method = connection.options.properties.authentication_method();
        if method.is_none() || method != properties.authentication_method() {
            return Err(RequestError::NoAuthenticationMethod);
        }
        let begins_anew = reason_code == ReasonCode::ReAuthenticate && connection.is_open();
        if reason_code != ReasonCode::ContinueAuthentication && !begins_anew {
            return Err(RequestError::AuthReasonCode);
        }
        self.send(Packet::Auth(Auth { reason_code, properties: properties.into_owned() }));
        Ok(())
    }

    pub(super) fn handle_auth(&mut self, auth: &Auth<'_>) -> Result<(), Violation> {
        let Some(connection) = &self.connection else { return Ok(()) };
        let method = connection.options.properties.authentication_method();
        if method.is_none() || method != auth.properties.authentication_method() {
            return Err(Violation::UnexpectedAuth);
        }
        let (reason_code, properties) = (auth.reason_code, auth.properties.borrow().into_owned());
        self.events.push_back(Event::Auth { reason_code, properties });
        Ok(())
    }

    pub(super) fn handle_connack(&mut self, connack: &ConnAck<'_>, now: Instant) -> Result<(), Violation> {
        let Some(connection) = self.connection.as_deref_mut() else { return Ok(()) };
        if connection.is_open() {
            return Err(Violation::SecondConnAck);
        }
        let properties = connack.properties.borrow().into_owned();
        if connack.reason_code.is_error() {
            self.events.push_back(Event::Refused { reason_code: connack.reason_code, properties });
            connection.phase = Phase::Closing { cause: None };
            return Ok(());
        }
        let session_present = self.check_session_present(connack.session_present)?;
        self.events.push_back(Event::Connected { session_present, properties });
        if !session_present {
            self.discard_session();
        }
        self.open(&connack.properties, now);
        Ok(())
    }

    /// Whether the session goes on. 3.1 does not say; there a session that was kept is still there.
    fn check_session_present(&self, announced: bool) -> Result<bool, Violation> {
        let Some(connection) = &self.connection else { return Ok(announced) };
        let options = &connection.options;
        let is_known = self.session.is_durable();
        if options.version == ProtocolVersion::V3_1 {
            return Ok(is_known);
        }
        match announced {
            true if options.clean_start => Err(Violation::SessionPresentAfterCleanStart),
            true if !is_known && !options.resume_unknown_session => Err(Violation::UnknownSession),
            announced => Ok(announced),
        }
    }

    /// Takes over what the server has announced and sends what was waiting for it.
    fn open(&mut self, connack: &Properties<'_>, now: Instant) {
        let Some(connection) = self.connection.as_deref_mut() else { return };
        let server = ServerLimits::announced(connack, &connection.options);
        let receive_maximum = server.receive_maximum.min(connection.options.inflight_messages_max);
        let alias_maximum = server.topic_alias_maximum.min(connection.options.topic_alias_maximum_out);
        if let Some(link) = self.session.link.as_deref_mut() {
            link.wire.packet_bytes_max = server.packet_bytes_max;
            link.wire.aliases = AliasesOut::new(alias_maximum);
        }
        if let Some(client_id) = connack.assigned_client_identifier() {
            self.session.client_id = client_id.into();
        }
        self.session.outbound.attach(receive_maximum);
        connection.keep_alive.begin(server.keep_alive_seconds);
        connection.phase = Phase::Connected;
        let session_expiry_interval = server.session_expiry_interval;
        connection.server = server;
        self.record(SessionChange::ExpirySet { session_expiry_interval });
        self.drop_unsupported();
        self.transmit(now);
    }

    /// CONNACK or a sign of life has not come in time.
    pub(super) fn give_up(&mut self, cause: DisconnectCause) {
        self.abandon_output();
        self.close(cause);
    }
}
