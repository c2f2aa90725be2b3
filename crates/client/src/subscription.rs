//! Subscribing: filters, and the stream of messages that match them.

use crate::core::{Bounds, Overflow, StreamId, Wish};
use crate::error::SubscribeError;
use crate::message::Message;
use crate::shared::Alive;
use futures_core::Stream;
use noctule_codec::{EncodeError, Properties, Property, QoS, RetainHandling, SubscriptionOptions};
use std::future::{Future, IntoFuture, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

/// What is to be subscribed; see [`Client::subscribe`](crate::Client::subscribe).
///
/// It is a future: awaited, it gives the [`Subscription`] once the server has granted every filter, over a new
/// connection if it has to. Dropped before that, it takes everything back.
#[derive(Debug)]
#[must_use = "filters are subscribed when this is awaited"]
pub struct Subscribe {
    alive: Arc<Alive>,
    wish: Wish,
    error: Option<EncodeError>,
    is_by_hand: bool,
}

/// The messages that match some filters, as a stream. Dropped, it unsubscribes from those that nobody else wants.
///
/// It outlives connections: the client subscribes again where the server has forgotten. It ends when the client is
/// closed, or when the server has refused all its filters.
#[derive(Debug)]
pub struct Subscription {
    alive: Arc<Alive>,
    stream: StreamId,
    is_by_hand: bool,
}

/// One topic filter or several, with a QoS of their own or that of the [`Subscribe`].
pub trait IntoFilters {
    /// The filters.
    fn into_filters(self) -> Vec<(String, Option<QoS>)>;
}

macro_rules! into_filters {
    ([$($len:ident)?] $filters:ty, $self:ident => $list:expr) => {
        impl$(<const $len: usize>)? IntoFilters for $filters {
            fn into_filters($self) -> Vec<(String, Option<QoS>)> {
                $list.iter().map(|filter| (filter.to_string(), None)).collect()
            }
        }
    };
}

into_filters!([] &str, self => [self]);
into_filters!([] &String, self => [self]);
into_filters!([] String, self => [self]);
into_filters!([] &[&str], self => self);
into_filters!([] &[String], self => self);
into_filters!([] Vec<&str>, self => self);
into_filters!([] Vec<String>, self => self);
into_filters!([N] [&str; N], self => self);
into_filters!([N] &[&str; N], self => self);
into_filters!([N] [String; N], self => self);

/// Filters with a QoS each.
impl<const N: usize> IntoFilters for [(&str, QoS); N] {
    fn into_filters(self) -> Vec<(String, Option<QoS>)> {
        self.as_slice().into_filters()
    }
}

/// Filters with a QoS each.
impl IntoFilters for &[(&str, QoS)] {
    fn into_filters(self) -> Vec<(String, Option<QoS>)> {
        self.iter().map(|(filter, qos)| ((*filter).to_owned(), Some(*qos))).collect()
    }
}

impl Subscribe {
    pub(crate) fn new(alive: Arc<Alive>, filters: impl IntoFilters) -> Self {
        let prefix = &alive.0.options.prefix;
        let below = |(filter, qos): (String, _)| (below(prefix, &filter), qos);
        let filters = filters.into_filters().into_iter().map(below).collect();
        let bounds = Bounds { messages_max: 1024, bytes_max: 16 << 20, overflow: Overflow::default() };
        let options = SubscriptionOptions { qos: QoS::AtLeastOnce, ..SubscriptionOptions::default() };
        let wish = Wish { filters, options, bounds, properties: Properties::EMPTY };
        Self { alive, wish, error: None, is_by_hand: false }
    }

    /// The highest QoS at which messages come; 1 unless this says otherwise. Filters that were given with one keep
    /// theirs.
    pub fn qos(mut self, qos: QoS) -> Self {
        self.wish.options.qos = qos;
        self
    }

    /// Without what this client publishes itself. 5.0 only.
    pub fn no_local(mut self) -> Self {
        self.wish.options.no_local = true;
        self
    }

    /// The retain flag as it was published, and not only on retained messages that were there before. 5.0 only.
    pub fn retain_as_published(mut self) -> Self {
        self.wish.options.retain_as_published = true;
        self
    }

    /// Whether retained messages come; they do unless this says otherwise. 5.0 only.
    pub fn retain_handling(mut self, retain_handling: RetainHandling) -> Self {
        self.wish.options.retain_handling = retain_handling;
        self
    }

    /// A name and a value for the server, in each SUBSCRIBE. 5.0 only.
    pub fn user_property(mut self, name: &str, value: &str) -> Self {
        if let Err(error) = self.wish.properties.try_push(Property::UserProperty(name, value)) {
            self.error.get_or_insert(error);
        }
        self
    }

    /// Messages wait for [`Message::ack`] instead of being acknowledged when they are taken.
    pub fn manual_acks(mut self) -> Self {
        self.is_by_hand = true;
        self
    }

    /// How much waits to be taken, in messages and in bytes: 1024 and 16 MiB unless this says otherwise.
    pub fn buffer(mut self, messages_max: usize, bytes_max: usize) -> Self {
        self.wish.bounds = Bounds { messages_max, bytes_max, ..self.wish.bounds };
        self
    }

    /// What happens when more comes.
    pub fn overflow(mut self, overflow: Overflow) -> Self {
        self.wish.bounds.overflow = overflow;
        self
    }

    /// Makes the stream without waiting for the server. A refusal shows as the end of the stream and in
    /// [`Subscription::refused`].
    ///
    /// # Errors
    /// A filter or property that is not valid, or [`SubscribeError::Closed`].
    pub fn begin(self) -> Result<Subscription, SubscribeError> {
        if let Some(error) = self.error {
            return Err(SubscribeError::Property(error));
        }
        let stream = self.alive.0.change(|core, now| core.subscribe(&self.wish, now))?;
        Ok(Subscription { alive: self.alive, stream, is_by_hand: self.is_by_hand })
    }

    async fn granted(self) -> Result<Subscription, SubscribeError> {
        // From here on dropping this future drops the stream, which takes everything back.
        let subscription = self.begin()?;
        let (shared, stream) = (&subscription.alive.0, subscription.stream);
        poll_fn(|context| shared.with(|core, _| core.poll_open(stream, context.waker()))).await?;
        Ok(subscription)
    }
}

impl IntoFuture for Subscribe {
    type Output = Result<Subscription, SubscribeError>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.granted())
    }
}

impl Subscription {
    /// The next message; `None` when no more comes. Dropping the future takes nothing.
    pub async fn next(&mut self) -> Option<Message> {
        poll_fn(|context| self.poll(context)).await
    }

    /// Why the server has refused a filter: at the beginning, or when it was subscribed again.
    pub fn refused(&self) -> Option<SubscribeError> {
        self.alive.0.with(|core, _| core.stream_status(self.stream).0)
    }

    /// The lowest QoS that the server has granted to one of its filters; `None` while it has answered none. What comes
    /// is at most as high as it was published.
    pub fn granted_qos(&self) -> Option<QoS> {
        self.alive.0.with(|core, _| core.granted_qos(self.stream))
    }

    /// How many messages were dropped because the buffer was full.
    pub fn dropped(&self) -> u64 {
        self.alive.0.with(|core, _| core.stream_status(self.stream).1)
    }

    fn poll(&mut self, context: &mut Context<'_>) -> Poll<Option<Message>> {
        let (shared, stream, is_by_hand) = (&self.alive.0, self.stream, self.is_by_hand);
        let waker = context.waker();
        // What is taken is acknowledged with that, which the driver has to send.
        let polled = match shared.with(|core, _| core.poll_next(stream, is_by_hand, waker)) {
            Poll::Pending => return Poll::Pending,
            Poll::Ready(polled) => polled,
        };
        let Some(arrived) = polled else { return Poll::Ready(None) };
        if is_by_hand {
            return Poll::Ready(Some(Message::by_hand(arrived, Arc::clone(shared))));
        }
        if arrived.qos() > QoS::AtMostOnce {
            shared.wake();
        }
        Poll::Ready(Some(Message::taken(arrived)))
    }
}

impl Stream for Subscription {
    type Item = Message;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Message>> {
        self.poll(context)
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        self.alive.0.change(|core, now| core.drop_stream(self.stream, now));
    }
}

/// A filter below the prefix of a client. The share name stays in front.
fn below(prefix: &str, filter: &str) -> String {
    let shared = filter.strip_prefix("$share/").and_then(|rest| rest.split_once('/'));
    match shared {
        Some((name, filter)) => format!("$share/{name}/{prefix}{filter}"),
        None => format!("{prefix}{filter}"),
    }
}
