//! SUBSCRIBE and UNSUBSCRIBE.

use super::event::{Event, Token, Violation};
use super::{Client, LAST_PUBLISH_ID, ServerLimits};
use noctule_codec::{
    Packet, PacketId, PacketType, Properties, SubAck, Subscribe, SubscribeFilters, UnsubAck, Unsubscribe,
    UnsubscribeFilters,
};
use noctule_topic::{FilterError, Subscription as FilterText};
use std::collections::BTreeMap;

/// Why a request was not made. Nothing has been sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RequestError {
    /// There is no connection.
    #[error("there is no connection")]
    NotConnected,
    /// A request has at least one filter [MQTT-3.8.3-2], [MQTT-3.10.3-2].
    #[error("the request has no topic filter")]
    NoFilter,
    /// [MQTT-4.7.1-1], [MQTT-4.7.1-2], [MQTT-4.8.2-1], [MQTT-4.8.2-2].
    #[error("a topic filter is not valid: {0}")]
    Filter(FilterError),
    /// No Local on a shared subscription [MQTT-3.8.3-4].
    #[error("a shared subscription cannot have No Local")]
    NoLocalOnShared,
    /// The server has said that it does not support this.
    #[error("the server supports no {0}")]
    NotSupported(&'static str),
    /// The request is above the server's Maximum Packet Size [MQTT-3.2.2-15].
    #[error("the request is above the server's Maximum Packet Size")]
    PacketTooLarge,
    /// 4096 requests wait for an answer.
    #[error("too many requests wait for an answer")]
    TooManyRequests,
    /// DISCONNECT cannot give a session expiry to a session that has none.
    #[error("the session ends with its connection, which DISCONNECT cannot change")]
    SessionExpiryRaised,
    /// AUTH goes on with 0x18 [MQTT-4.12.0-3]; once connected it may begin anew with 0x19 [MQTT-4.12.1-1].
    #[error("AUTH says 0x18 to go on and, once connected, 0x19 to begin anew")]
    AuthReasonCode,
    /// AUTH needs the authentication method of CONNECT [MQTT-4.12.0-7].
    #[error("AUTH needs the authentication method that CONNECT named")]
    NoAuthenticationMethod,
}

/// Requests that wait for their answer.
#[derive(Debug, Default)]
pub(super) struct Requests {
    waiting: BTreeMap<PacketId, Request>,
    /// Requests made on this connection.
    made: u16,
}

#[derive(Clone, Copy, Debug)]
struct Request {
    token: Token,
    packet_type: PacketType,
    filters: usize,
}

impl Requests {
    /// Takes all that have not been answered, in the order in which they were made.
    pub(super) fn take(&mut self) -> Vec<Token> {
        let waiting = std::mem::take(&mut self.waiting);
        let mut tokens: Vec<_> = waiting.into_values().map(|request| request.token).collect();
        tokens.sort_unstable();
        tokens
    }

    /// An id that no waiting request has, from the range that publications leave alone.
    fn free_packet_id(&mut self) -> Option<PacketId> {
        if self.waiting.len() >= usize::from(REQUESTS_MAX) {
            return None;
        }
        (0..REQUESTS_MAX).find_map(|_| {
            let offset = self.made % REQUESTS_MAX;
            self.made = offset + 1;
            let id = PacketId::new(LAST_PUBLISH_ID.get() + 1 + offset)?;
            (!self.waiting.contains_key(&id)).then_some(id)
        })
    }

    fn answer(&mut self, packet_id: PacketId, packet_type: PacketType) -> Option<Request> {
        self.waiting.get(&packet_id).filter(|request| request.packet_type == packet_type)?;
        self.waiting.remove(&packet_id)
    }
}

impl Client {
    /// Asks for subscriptions. [`Event::Subscribed`] brings the answer, or [`Event::RequestLost`] tells that
    /// the connection ended before it came.
    ///
    /// # Errors
    ///
    /// [`RequestError`].
    pub fn subscribe(
        &mut self,
        filters: SubscribeFilters<'_>,
        properties: Properties<'_>,
    ) -> Result<Token, RequestError> {
        let server = self.server().ok_or(RequestError::NotConnected)?;
        check_filters(&filters, &properties, server)?;
        let count = filters.len();
        let (filters, properties) = (filters.into_owned(), properties.into_owned());
        self.request(PacketType::Subscribe, count, |packet_id| {
            Packet::Subscribe(Subscribe { packet_id, properties, filters })
        })
    }

    /// Asks to end subscriptions. [`Event::Unsubscribed`] brings the answer, or [`Event::RequestLost`].
    ///
    /// # Errors
    ///
    /// [`RequestError`].
    pub fn unsubscribe(
        &mut self,
        filters: UnsubscribeFilters<'_>,
        properties: Properties<'_>,
    ) -> Result<Token, RequestError> {
        self.server().ok_or(RequestError::NotConnected)?;
        for filter in filters.iter() {
            FilterText::parse(filter).map_err(RequestError::Filter)?;
        }
        let count = filters.len();
        let (filters, properties) = (filters.into_owned(), properties.into_owned());
        self.request(PacketType::Unsubscribe, count, |packet_id| {
            Packet::Unsubscribe(Unsubscribe { packet_id, properties, filters })
        })
    }

    fn request(
        &mut self,
        packet_type: PacketType,
        filters: usize,
        packet: impl FnOnce(PacketId) -> Packet<'static>,
    ) -> Result<Token, RequestError> {
        if filters == 0 {
            return Err(RequestError::NoFilter);
        }
        let version = self.version().ok_or(RequestError::NotConnected)?;
        let connection = self.connection.as_deref_mut().ok_or(RequestError::NotConnected)?;
        let packet_id = connection.requests.free_packet_id().ok_or(RequestError::TooManyRequests)?;
        let packet = packet(packet_id);
        if packet.encoded_len(version) > connection.server.packet_bytes_max as usize {
            return Err(RequestError::PacketTooLarge);
        }
        let token = self.next_token();
        if let Some(connection) = self.connection.as_deref_mut() {
            connection.requests.waiting.insert(packet_id, Request { token, packet_type, filters });
        }
        self.send(packet);
        Ok(token)
    }

    pub(super) fn handle_suback(&mut self, suback: &SubAck<'_>) -> Result<(), Violation> {
        let request = self.answered(suback.packet_id, PacketType::Subscribe, PacketType::SubAck)?;
        let reason_codes = suback.reason_codes.to_vec();
        check_count(&request, reason_codes.len(), PacketType::SubAck)?;
        let properties = suback.properties.borrow().into_owned();
        self.events.push_back(Event::Subscribed { token: request.token, reason_codes, properties });
        Ok(())
    }

    pub(super) fn handle_unsuback(&mut self, unsuback: &UnsubAck<'_>) -> Result<(), Violation> {
        let request = self.answered(unsuback.packet_id, PacketType::Unsubscribe, PacketType::UnsubAck)?;
        let reason_codes = unsuback.reason_codes.to_vec();
        if self.version() == Some(noctule_codec::ProtocolVersion::V5) {
            check_count(&request, reason_codes.len(), PacketType::UnsubAck)?;
        }
        let properties = unsuback.properties.borrow().into_owned();
        self.events.push_back(Event::Unsubscribed { token: request.token, reason_codes, properties });
        Ok(())
    }

    fn answered(
        &mut self,
        packet_id: PacketId,
        asked: PacketType,
        packet_type: PacketType,
    ) -> Result<Request, Violation> {
        let requests = self.connection.as_deref_mut().map(|connection| &mut connection.requests);
        let unknown = Violation::UnknownRequest { packet_type, packet_id: packet_id.get() };
        requests.and_then(|requests| requests.answer(packet_id, asked)).ok_or(unknown)
    }
}

fn check_filters(
    filters: &SubscribeFilters<'_>,
    properties: &Properties<'_>,
    server: &ServerLimits,
) -> Result<(), RequestError> {
    if properties.subscription_identifier().is_some() && !server.subscription_identifiers_available {
        return Err(RequestError::NotSupported("subscription identifiers"));
    }
    for (filter, options) in filters.iter() {
        let parsed = FilterText::parse(filter).map_err(RequestError::Filter)?;
        if parsed.share_name.is_some() && options.no_local {
            return Err(RequestError::NoLocalOnShared);
        }
        if parsed.share_name.is_some() && !server.shared_subscription_available {
            return Err(RequestError::NotSupported("shared subscriptions"));
        }
        if parsed.filter.has_wildcards() && !server.wildcard_subscription_available {
            return Err(RequestError::NotSupported("filters with wildcards"));
        }
    }
    Ok(())
}

fn check_count(request: &Request, reason_codes: usize, packet_type: PacketType) -> Result<(), Violation> {
    let filters = request.filters;
    if reason_codes == filters {
        return Ok(());
    }
    Err(Violation::ReasonCodeCount { packet_type, reason_codes, filters })
}

/// Requests that may wait for an answer at once: the packet ids that publications leave alone.
const REQUESTS_MAX: u16 = u16::MAX - LAST_PUBLISH_ID.get();
