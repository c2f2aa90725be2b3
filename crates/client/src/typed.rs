//! Subscriptions whose messages are read as one type.

use crate::message::Message;
use crate::payload::PayloadError;
use crate::subscription::Subscription;
use bytes::Bytes;
use futures_core::Stream;
use std::marker::PhantomData;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

/// Something that a message can be read as.
pub trait FromMessage: Sized {
    /// Reads it.
    ///
    /// # Errors
    /// What it is not.
    fn from_message(message: &Message) -> Result<Self, PayloadError>;
}

/// A subscription whose messages are read as `T`; made by [`Subscription::typed`].
#[derive(Debug)]
pub struct TypedSubscription<T> {
    messages: Subscription,
    reads: PhantomData<fn() -> T>,
}

/// A message and what it was read as.
#[derive(Debug)]
#[non_exhaustive]
pub struct TypedMessage<T> {
    /// What it says.
    pub value: T,
    /// The message, to know its topic or to acknowledge it by hand.
    pub message: Message,
}

/// A message that is no `T`. With acknowledgements by hand it can still be refused.
#[derive(Debug, thiserror::Error)]
#[error("a message on {} cannot be read: {error}", message.topic())]
#[non_exhaustive]
pub struct Unreadable {
    /// The message.
    pub message: Message,
    /// Why.
    pub error: PayloadError,
}

impl Subscription {
    /// Reads its messages as `T`: as `Json` of something (feature `json`), as text, or as what implements
    /// [`FromMessage`].
    pub fn typed<T: FromMessage>(self) -> TypedSubscription<T> {
        TypedSubscription { messages: self, reads: PhantomData }
    }
}

impl<T: FromMessage> TypedSubscription<T> {
    /// The next message; `None` when no more comes. Dropping the future takes nothing. One that cannot be read does
    /// not end the stream.
    pub async fn next(&mut self) -> Option<Result<TypedMessage<T>, Unreadable>> {
        self.messages.next().await.map(read)
    }

    /// The messages as they come.
    pub fn into_inner(self) -> Subscription {
        self.messages
    }
}

impl<T: FromMessage> Stream for TypedSubscription<T> {
    type Item = Result<TypedMessage<T>, Unreadable>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        Pin::new(&mut self.messages).poll_next(context).map(|message| message.map(read))
    }
}

fn read<T: FromMessage>(message: Message) -> Result<TypedMessage<T>, Unreadable> {
    match T::from_message(&message) {
        Ok(value) => Ok(TypedMessage { value, message }),
        Err(error) => Err(Unreadable { message, error }),
    }
}

impl FromMessage for Bytes {
    fn from_message(message: &Message) -> Result<Self, PayloadError> {
        Ok(message.payload().clone())
    }
}

impl FromMessage for String {
    fn from_message(message: &Message) -> Result<Self, PayloadError> {
        message.text().map(str::to_owned).map_err(|error| Arc::new(error) as PayloadError)
    }
}

#[cfg(feature = "json")]
impl<T: serde::de::DeserializeOwned> FromMessage for crate::Json<T> {
    fn from_message(message: &Message) -> Result<Self, PayloadError> {
        message.json().map(Self).map_err(|error| Arc::new(error) as PayloadError)
    }
}
