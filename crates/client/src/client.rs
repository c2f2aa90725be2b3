//! The client as its user holds it.

use crate::authentication::ReauthenticateError;
use crate::builder::{Builder, ConnectError};
use crate::disk::{self, Log};
use crate::driver;
use crate::error::SubscribeError;
use crate::message::Message;
use crate::payload::IntoPayload;
use crate::publish::Publish;
use crate::request::Requester;
use crate::shared::{Alive, Shared, Start};
use crate::state::{Metrics, State};
use crate::subscription::{IntoFilters, Subscribe};
use crate::watch::Watch;
use noctule_session::client::ServerLimits;
use std::sync::Arc;
use std::time::Duration;
use tokio::runtime::Handle;
use tracing::Instrument as _;

/// An MQTT client that looks after its connection by itself.
///
/// It is cheap to clone, and all clones are the same client. When the last clone and the last stream are dropped, it
/// writes what it can, says goodbye and ends; [`close`](Self::close) does that with more patience.
#[derive(Clone, Debug)]
pub struct Client {
    alive: Arc<Alive>,
}

impl Client {
    /// Connects with default options; see [`builder`](Self::builder).
    ///
    /// # Errors
    /// The address is not valid, or the first attempt has failed.
    pub async fn connect(address: &str) -> Result<Self, ConnectError> {
        Self::builder(address).connect().await
    }

    /// Begins to describe a client of the server at `address`:
    ///
    /// | Address | What is spoken |
    /// |---|---|
    /// | `mqtt://host` | MQTT over TCP, port 1883 |
    /// | `mqtts://host` | over TLS, port 8883 |
    /// | `ws://host/path` | over WebSocket, port 80, path `/mqtt` |
    /// | `wss://host/path` | over WebSocket and TLS, port 443 |
    /// | `unix:/path` | over a socket in the file system |
    ///
    /// Before the host may stand `user:password@`, behind it `:port`; as a query `keepalive` (seconds), `clientid`,
    /// `version` (`5`, `3.1.1`, `3.1`), `clean` (`true`, `false`) and `expiry` (seconds); with `ws` and `wss` the rest
    /// of the query is for the server. With `mqtt` and `mqtts` a path is a prefix: all topics and filters of this
    /// client are below it.
    pub fn builder(address: &str) -> Builder {
        Builder::new(address)
    }

    pub(crate) fn start(start: Start, log: Option<Log>, runtime: Handle) -> Self {
        let shared = Arc::new(Shared::new(start, runtime));
        if let Some(log) = log {
            shared.runtime.spawn(disk::run(Arc::clone(&shared), log).instrument(shared.span.clone()));
        }
        shared.runtime.spawn(driver::run(Arc::clone(&shared)).instrument(shared.span.clone()));
        Self { alive: Arc::new(Alive(shared)) }
    }

    /// Publishes a message, at QoS 1 unless the builder that is returned is told otherwise.
    ///
    /// Awaiting it waits for room in the outbox and gives a handle once this client has taken responsibility; the
    /// handle, awaited, gives the server's answer.
    ///
    /// ```no_run
    /// # async fn example(client: noctule_client::Client) -> Result<(), noctule_client::PublishError> {
    /// let handle = client.publish("line1/temp", "21.5").retain(true).await?; // this client has it
    /// let answer = handle.await?; // the server has it
    /// # Ok(()) }
    /// ```
    pub fn publish(&self, topic: &str, payload: impl IntoPayload) -> Publish {
        Publish::new(Arc::clone(&self.alive), topic, payload)
    }

    /// Subscribes to one topic filter or several, at QoS 1 unless the builder that is returned is told otherwise.
    ///
    /// ```no_run
    /// # async fn example(client: noctule_client::Client) -> Result<(), noctule_client::SubscribeError> {
    /// let mut readings = client.subscribe("line1/+").await?;
    /// while let Some(message) = readings.next().await {
    ///     println!("{}: {:?}", message.topic(), message.payload());
    /// }
    /// # Ok(()) }
    /// ```
    ///
    /// In 5.0 a message comes once to each stream with a filter that it answers. A 3.1.1 server may send one copy
    /// for each of several overlapping filters, and does not say for which; then each stream gets all of them.
    pub fn subscribe(&self, filters: impl IntoFilters) -> Subscribe {
        Subscribe::new(Arc::clone(&self.alive), filters)
    }

    /// Prepares to ask others and to get their answers: subscribes to a response topic of this client. 5.0 only.
    ///
    /// # Errors
    /// The server does not grant the response topic.
    pub async fn requester(&self) -> Result<Requester, SubscribeError> {
        Requester::new(self.clone()).await
    }

    /// Answers a request: a message to the response topic that it names, with the correlation data that it has.
    /// `None` where it names no response topic.
    pub fn reply(&self, request: &Message, payload: impl IntoPayload) -> Option<Publish> {
        let publish = self.publish(request.response_topic()?, payload).qos(request.qos());
        Some(match request.correlation_data() {
            Some(data) => publish.correlation_data(data),
            None => publish,
        })
    }

    /// Authenticates again by the method of [`Builder::authenticator`], without a new connection [MQTT-4.12.1-1].
    /// Dropping the future changes nothing.
    ///
    /// # Errors
    /// It cannot be begun, or the server is not content, which ends the connection.
    pub async fn reauthenticate(&self) -> Result<(), ReauthenticateError> {
        let content = self.shared().change(|core, _| core.reauthenticate())?;
        content.await.map_err(|_| ReauthenticateError::Ended)
    }

    /// What the client is doing about its connection, to be watched.
    pub fn state(&self) -> Watch<State> {
        Watch::new(self.shared().state.clone(), State::is_closed)
    }

    /// What the server has announced for the present connection: what it supports and how much it takes at a time, the
    /// keep alive and the session expiry in force. `None` while there is none.
    pub fn server(&self) -> Option<ServerLimits> {
        self.shared().with(|core, _| core.server().cloned())
    }

    /// Whether there is a connection now.
    pub fn is_connected(&self) -> bool {
        self.shared().state.borrow().is_connected()
    }

    /// What the client has done, in numbers.
    pub fn metrics(&self) -> Metrics {
        self.shared().metrics()
    }

    /// The same, to be watched: told whenever something has changed, the newest numbers only. While nobody watches,
    /// it costs nothing.
    pub fn watch_metrics(&self) -> Watch<Metrics> {
        Watch::new(self.shared().watch_metrics(), |_| false)
    }

    /// The client identifier.
    pub fn client_id(&self) -> String {
        self.shared().with(|core, _| core.client_id().to_owned())
    }

    /// Ends the client: what is owed is sent and its acknowledgements waited for, up to [`FLUSH`]; then it says
    /// DISCONNECT. Streams end; whoever still waits is told that the client is closed.
    pub async fn close(&self) {
        self.close_within(FLUSH).await;
    }

    /// The same, with so much patience, for the server and for an outbox on disk; that is free for another client when
    /// this returns. Dropping the future changes nothing: the client ends.
    pub async fn close_within(&self, flush: Duration) {
        self.shared().change(|core, now| core.close(flush, now));
        self.state().wait_for(State::is_closed).await;
        if let Some(disk) = &self.shared().disk {
            disk.freed().await;
        }
    }

    pub(crate) fn shared(&self) -> &Arc<Shared> {
        &self.alive.0
    }
}

/// How long [`Client::close`] waits for acknowledgements.
pub const FLUSH: Duration = Duration::from_secs(5);
