//! An MQTT client for 3.1, 3.1.1 and 5.0.
//!
//! ```no_run
//! use noctule_client::Client;
//!
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let client = Client::connect("mqtt://localhost").await?;
//!
//! let mut greetings = client.subscribe("greetings/#").await?;
//! let handle = client.publish("greetings/world", "hello").await?; // this client is responsible for it
//! handle.await?; // the server has acknowledged it
//!
//! let message = greetings.next().await.expect("the client is not closed");
//! println!("{}: {}", message.topic(), message.text()?);
//! client.close().await;
//! # Ok(())
//! # }
//! ```
//!
//! The client looks after itself: a task of its own keeps the connection, answers, comes back with growing delays,
//! subscribes again where the server has forgotten, and sends again what is owed. Nobody polls it, and any future may
//! be dropped at any time; the types say what that means for each.
//!
//! - **Publishing.** [`Client::publish`] gives a [`PublishHandle`] once this client is responsible for the message,
//!   waiting while the outbox is full; the handle gives the server's own [`Answer`].
//! - **Subscribing.** [`Client::subscribe`] gives a [`Subscription`], a stream with a buffer of its own. A message is
//!   acknowledged when it is taken, or by hand ([`Subscribe::manual_acks`]). What happens when the buffer is full is
//!   said by [`Overflow`].
//! - **The connection.** [`Client::state`] is a watch. Two clients that fight over one client id find themselves in
//!   [`State::IdConflict`].
//!
//! - **Nothing hidden.** [`Connection`] is one connection that does only what it is told: for tools.
//! - **Without async.** [`blocking`] makes every future of this crate one that can be waited for.
//!
//! Beneath it is the machine of `noctule-session`, which the broker is made of too.

mod address;
mod authentication;
pub mod blocking;
mod builder;
mod client;
mod clock;
mod connection;
mod core;
mod disk;
mod driver;
mod error;
mod message;
mod options;
mod payload;
mod presence;
mod proxy;
mod publish;
mod request;
mod shared;
mod state;
mod subscription;
#[cfg(feature = "tls")]
mod tls;
mod typed;
mod watch;

pub use crate::core::{Backoff, IdConflict, Overflow, ServerReferences};
pub use address::AddressError;
pub use authentication::{AuthenticationError, AuthenticationExchange, Authenticator, ReauthenticateError};
pub use builder::{BuildError, Builder, ConnectError};
pub use client::{Client, FLUSH};
pub use connection::{Connection, Direction};
pub use disk::OutboxError;
pub use error::{ConnectionError, DialStep, PublishError, SubscribeError};
pub use message::Message;
pub use noctule_codec::{
    EncodeError, Properties, Property, ProtocolVersion, QoS, ReasonCode, RetainHandling,
};
pub use noctule_session::client as machine;
pub use noctule_session::client::{NotSent, ServerLimits, Violation};
#[cfg(feature = "json")]
pub use payload::Json;
pub use payload::{IntoPayload, PayloadError};
pub use presence::Presence;
pub use proxy::ProxyError;
pub use publish::{Answer, Publish, PublishHandle};
pub use request::{Request, RequestError, Requester};
pub use state::{Metrics, State};
pub use subscription::{IntoFilters, Subscribe, Subscription};
#[cfg(feature = "tls")]
pub use tls::TlsError;
pub use typed::{FromMessage, TypedMessage, TypedSubscription, Unreadable};
pub use watch::Watch;
