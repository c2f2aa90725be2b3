//! Streams: who wants which messages, and what has come for whom.
//!
//! Invariants:
//! - A message goes to each stream once, however many of its filters match.
//! - Messages of a session that this client has resumed without knowing it wait for a stream to come, until the
//!   grace is over; then what nobody wants is released at once.

use super::filters::{Filter, Filters, Standing, StreamId};
use super::inbox::{Bounds, Inbox};
use crate::error::SubscribeError;
use crate::message::Arrived;
use crate::options::Options;
use crate::state::Metrics;
use noctule_codec::{
    Properties, Property, QoS, ReasonCode, SubscribeFilters, SubscriptionOptions, UnsubscribeFilters,
};
use noctule_session::Instant;
use noctule_session::client::{Client as Machine, Delivery, RequestError, Token};
use noctule_topic::{Subscription, matches};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::task::{Poll, Waker};

/// What somebody wants to subscribe to.
#[derive(Clone, Debug)]
pub(crate) struct Wish {
    /// Each with a QoS of its own, or that of the options.
    pub(crate) filters: Vec<(String, Option<QoS>)>,
    pub(crate) options: SubscriptionOptions,
    pub(crate) properties: Properties<'static>,
    pub(crate) bounds: Bounds,
}

/// All streams of one client.
#[derive(Debug)]
pub(crate) struct Streams {
    options: Arc<Options>,
    filters: Filters,
    streams: BTreeMap<StreamId, Stream>,
    last_id: u64,
    /// Messages that no stream wants yet, and until when they wait.
    unclaimed: Vec<Arrived>,
    grace_until: Option<Instant>,
    is_closed: bool,
}

#[derive(Debug)]
struct Stream {
    inbox: Inbox,
    /// Its filters that the server has not refused.
    filters: Vec<u32>,
    /// Those of them that the server has not answered for the first time.
    unanswered: Vec<u32>,
    refused: Option<SubscribeError>,
}

impl Streams {
    pub(crate) fn new(options: Arc<Options>) -> Self {
        Self {
            options,
            filters: Filters::default(),
            streams: BTreeMap::new(),
            last_id: 0,
            unclaimed: Vec::new(),
            grace_until: None,
            is_closed: false,
        }
    }

    /// Makes a stream. The server is asked when there is a connection.
    pub(crate) fn open(&mut self, wish: &Wish) -> Result<StreamId, SubscribeError> {
        if self.is_closed {
            return Err(SubscribeError::Closed);
        }
        check(&wish.filters)?;
        self.last_id += 1;
        let stream = StreamId(self.last_id);
        let mut filters = Vec::new();
        for (text, qos) in &wish.filters {
            let options = SubscriptionOptions { qos: qos.unwrap_or(wish.options.qos), ..wish.options };
            let wanted = self.filters.want(text, options, &wish.properties, stream);
            let id = wanted.map_err(|source| invalid(text, source))?;
            if !filters.contains(&id) {
                filters.push(id);
            }
        }
        let unanswered = filters.clone();
        let inbox = Inbox::new(wish.bounds);
        self.streams.insert(stream, Stream { inbox, filters, unanswered, refused: None });
        Ok(stream)
    }

    /// Whether the server has granted every filter.
    pub(crate) fn poll_open(&mut self, stream: StreamId, waker: &Waker) -> Poll<Result<(), SubscribeError>> {
        let Some(stream) = self.streams.get_mut(&stream) else {
            return Poll::Ready(Err(SubscribeError::Closed));
        };
        if let Some(error) = &stream.refused {
            return Poll::Ready(Err(error.clone()));
        }
        if stream.unanswered.is_empty() {
            return Poll::Ready(Ok(()));
        }
        if self.is_closed {
            return Poll::Ready(Err(SubscribeError::Closed));
        }
        stream.inbox.set_waker(waker);
        Poll::Pending
    }

    /// The next message of a stream; nothing more comes after `None`.
    pub(crate) fn poll_next(&mut self, stream: StreamId, waker: &Waker) -> Poll<Option<Arrived>> {
        let Some(stream) = self.streams.get_mut(&stream) else { return Poll::Ready(None) };
        if let Some(message) = stream.inbox.take() {
            return Poll::Ready(Some(message));
        }
        if self.is_closed || stream.filters.is_empty() {
            return Poll::Ready(None);
        }
        stream.inbox.set_waker(waker);
        Poll::Pending
    }

    /// Why a stream has lost a filter, and how many messages its buffer had no room for.
    pub(crate) fn status(&self, stream: StreamId) -> (Option<SubscribeError>, u64) {
        let stream = self.streams.get(&stream);
        stream.map_or((None, 0), |stream| (stream.refused.clone(), stream.inbox.dropped()))
    }

    /// The lowest QoS that was granted to one of its filters.
    pub(crate) fn granted_qos(&self, stream: StreamId) -> Option<QoS> {
        let filters = self.streams.get(&stream)?.filters.iter();
        filters.filter_map(|id| self.filters.get(*id)?.granted).min()
    }

    /// A stream is gone. What it had is returned, to be released.
    #[must_use]
    pub(crate) fn drop_stream(&mut self, id: StreamId) -> Vec<Arrived> {
        let Some(mut stream) = self.streams.remove(&id) else { return Vec::new() };
        for filter in &stream.filters {
            self.filters.leave(*filter, id);
        }
        stream.inbox.drain().into()
    }

    /// A connection has begun.
    pub(crate) fn connected(&mut self, session_present: bool, grace_until: Option<Instant>) {
        self.filters.connected(session_present);
        self.grace_until = grace_until.or(self.grace_until);
    }

    pub(crate) fn grace_until(&self) -> Option<Instant> {
        self.grace_until
    }

    /// From now on what nobody wants is released at once.
    pub(crate) fn end_grace(&mut self, now: Instant, machine: &mut Machine, metrics: &mut Metrics) {
        if self.grace_until.is_none_or(|until| until > now) {
            return;
        }
        self.grace_until = None;
        for message in std::mem::take(&mut self.unclaimed) {
            drop_unclaimed(&message, machine, metrics);
        }
    }

    /// Gives a message to everybody who wants it.
    pub(crate) fn deliver(&mut self, delivery: Delivery, machine: &mut Machine, metrics: &mut Metrics) {
        let named: Vec<u32> = delivery.properties.subscription_identifiers().collect();
        let filters = self.filters.matching(&delivery.topic, &named);
        let wanted_by = filters.iter().filter_map(|id| self.filters.get(*id));
        let mut streams: Vec<StreamId> = wanted_by.flat_map(|filter| &filter.streams).copied().collect();
        streams.sort_unstable();
        streams.dedup();
        let message = Arrived::new(delivery, &self.options.prefix, streams.len());
        if streams.is_empty() {
            // Under a filter that is being left, nobody waits for it.
            let may_wait = filters.is_empty() && self.grace_until.is_some();
            return self.keep_unclaimed(message, may_wait, machine, metrics);
        }
        for stream in streams {
            let Some(stream) = self.streams.get_mut(&stream) else { continue };
            for released in stream.inbox.offer(message.clone()) {
                metrics.overflowed += 1;
                release(&released, machine);
            }
        }
    }

    /// Gives a new stream what has waited for it.
    pub(crate) fn claim(&mut self, id: StreamId, wish: &Wish, machine: &mut Machine, metrics: &mut Metrics) {
        let Some(stream) = self.streams.get_mut(&id) else { return };
        let texts = wish.filters.iter().map(|(text, _)| text);
        let filters: Vec<_> = texts.filter_map(|text| Subscription::check(text).ok()).collect();
        let is_wanted = |message: &Arrived| filters.iter().any(|it| matches(it.filter(), message.topic()));
        let (claimed, kept) = std::mem::take(&mut self.unclaimed).into_iter().partition(is_wanted);
        self.unclaimed = kept;
        let claimed: Vec<Arrived> = claimed;
        for message in claimed {
            for released in stream.inbox.offer(message) {
                metrics.overflowed += 1;
                release(&released, machine);
            }
        }
    }

    fn keep_unclaimed(
        &mut self,
        message: Arrived,
        may_wait: bool,
        machine: &mut Machine,
        metrics: &mut Metrics,
    ) {
        let has_room = message.qos() > QoS::AtMostOnce || self.unclaimed.len() < UNCLAIMED_QOS0_MAX;
        if may_wait && has_room {
            self.unclaimed.push(message);
        } else {
            drop_unclaimed(&message, machine, metrics);
        }
    }

    /// Asks the server for what is wanted and not known to it. Returns whether anything was asked or refused.
    pub(crate) fn ask(&mut self, machine: &mut Machine) -> bool {
        if !machine.is_connected() {
            return false;
        }
        let (mut last, mut has_asked) = (None, false);
        while let Some((id, filter)) = self.filters.next_due(last) {
            last = Some(id);
            let result = match filter.standing {
                Standing::Leaving => unsubscribe(machine, &filter.text).map(Standing::Left),
                _ => subscribe(machine, id, filter).map(Standing::Asked),
            };
            match result {
                Ok(standing) => self.filters.stand(id, standing),
                // The next answer makes room.
                Err(RequestError::TooManyRequests | RequestError::NotConnected) => return has_asked,
                Err(source) => {
                    let filter = self.text(id);
                    self.refuse(id, &SubscribeError::NotAsked { filter, source });
                }
            }
            has_asked = true;
        }
        has_asked
    }

    /// SUBACK has come.
    pub(crate) fn subscribed(&mut self, token: Token, reason_code: ReasonCode, reason: Option<String>) {
        let Some(id) = self.filters.answered(token) else { return };
        if reason_code.is_error() {
            let filter = self.text(id);
            return self.refuse(id, &SubscribeError::Refused { filter, reason_code, reason });
        }
        self.filters.granted(id, reason_code);
        let streams = self.filters.get(id).map(|filter| filter.streams.clone()).unwrap_or_default();
        for stream in streams {
            let Some(stream) = self.streams.get_mut(&stream) else { continue };
            stream.unanswered.retain(|unanswered| *unanswered != id);
            stream.inbox.wake();
        }
    }

    /// UNSUBACK has come.
    pub(crate) fn unsubscribed(&mut self, token: Token) {
        if let Some(id) = self.filters.answered(token) {
            self.filters.remove(id);
        }
    }

    /// Nothing more comes.
    pub(crate) fn close(&mut self) {
        self.is_closed = true;
        self.unclaimed.clear();
        self.streams.values_mut().for_each(|stream| stream.inbox.wake());
    }

    /// A filter that the server does not grant; its streams go on with the others they have.
    fn refuse(&mut self, id: u32, error: &SubscribeError) {
        let streams = self.filters.get(id).map(|filter| filter.streams.clone()).unwrap_or_default();
        self.filters.remove(id);
        for stream in streams {
            let Some(stream) = self.streams.get_mut(&stream) else { continue };
            stream.filters.retain(|filter| *filter != id);
            stream.unanswered.retain(|filter| *filter != id);
            stream.refused = Some(error.clone());
            stream.inbox.wake();
        }
    }

    fn text(&self, id: u32) -> String {
        self.filters.get(id).map(|filter| filter.text.to_string()).unwrap_or_default()
    }
}

/// Acknowledges a message if nobody else has it.
pub(super) fn release(message: &Arrived, machine: &mut Machine) {
    if let Some(receipt) = message.release() {
        machine.acknowledge(receipt, ReasonCode::Success);
    }
}

fn drop_unclaimed(message: &Arrived, machine: &mut Machine, metrics: &mut Metrics) {
    tracing::debug!(topic = message.topic(), "no stream wants this message");
    metrics.unclaimed += 1;
    release(message, machine);
}

fn check(filters: &[(String, Option<QoS>)]) -> Result<(), SubscribeError> {
    if filters.is_empty() {
        return Err(SubscribeError::NoFilter);
    }
    for (text, _) in filters {
        Subscription::check(text).map_err(|source| invalid(text, source))?;
    }
    Ok(())
}

fn invalid(text: &str, source: noctule_topic::FilterError) -> SubscribeError {
    SubscribeError::Filter { filter: text.to_owned(), source }
}

fn subscribe(machine: &mut Machine, id: u32, filter: &Filter) -> Result<Token, RequestError> {
    let mut properties = filter.properties.clone();
    if machine.server().is_some_and(|server| server.subscription_identifiers_available) {
        properties.push(Property::SubscriptionIdentifier(id));
    }
    let filters: SubscribeFilters<'_> = [(&*filter.text, filter.options)].into_iter().collect();
    machine.subscribe(filters, properties)
}

fn unsubscribe(machine: &mut Machine, text: &str) -> Result<Token, RequestError> {
    machine.unsubscribe([text].into_iter().collect::<UnsubscribeFilters<'_>>(), Properties::EMPTY)
}

/// QoS 0 messages that wait for a stream to come.
const UNCLAIMED_QOS0_MAX: usize = 256;
