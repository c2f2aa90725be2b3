//! What a client is doing, to be watched.

use crate::core::IdConflict;
use crate::error::ConnectionError;
use noctule_codec::Properties;
use std::time::Duration;

/// What a client is doing about its connection.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum State {
    /// An attempt is under way.
    Connecting,
    /// The server has let this client in.
    Connected {
        /// The server has kept the session, with its subscriptions and what it owes.
        session_present: bool,
        /// What else CONNACK says; nothing in 3.x. What follows from it is in
        /// [`Client::server`](crate::Client::server).
        properties: Properties<'static>,
    },
    /// There was a connection or an attempt; the next attempt comes.
    Waiting {
        /// How long from the beginning of this state.
        retry_in: Duration,
        /// Why it ended.
        cause: ConnectionError,
    },
    /// Another client seems to use this client id, and the two throw each other out. Give each its own. The next
    /// attempt comes, but not soon.
    IdConflict {
        /// What speaks for it.
        evidence: IdConflict,
        /// How long from the beginning of this state.
        retry_in: Duration,
        /// The client id.
        client_id: String,
    },
    /// Nothing more happens.
    Closed {
        /// Why, if this client was not asked to.
        cause: Option<ConnectionError>,
    },
}

impl State {
    /// Whether the server has let this client in.
    pub fn is_connected(&self) -> bool {
        matches!(self, Self::Connected { .. })
    }

    /// Whether nothing more happens.
    pub fn is_closed(&self) -> bool {
        matches!(self, Self::Closed { .. })
    }
}

/// What a client has done, in numbers since it was made, and what it has now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Metrics {
    /// Attempts to connect.
    pub attempts: u64,
    /// Connections that the server has let in.
    pub connections: u64,
    /// Packets of MQTT written.
    pub packets_sent: u64,
    /// Bytes of MQTT written; TLS and WebSocket add theirs.
    pub bytes_sent: u64,
    /// Packets of MQTT read.
    pub packets_received: u64,
    /// Bytes of MQTT read.
    pub bytes_received: u64,
    /// Messages taken from the application.
    pub published: u64,
    /// Messages above QoS 0 that the server has acknowledged.
    pub acknowledged: u64,
    /// Messages that were refused by the server or could not be sent.
    pub failed: u64,
    /// Messages above QoS 0 that are owed now.
    pub unsettled: u64,
    /// Those of them that were sent and are not acknowledged.
    pub in_flight: u64,
    /// Messages that have a place in the outbox now, QoS 0 on its way included.
    pub outbox_messages: u64,
    /// The bytes they take there, of [`Builder::outbox`](crate::Builder::outbox).
    pub outbox_bytes: u64,
    /// Messages from the server.
    pub received: u64,
    /// Messages that the server sent again and that were not delivered again.
    pub repeated: u64,
    /// Messages dropped because a stream's buffer was full.
    pub overflowed: u64,
    /// Messages that no stream wanted.
    pub unclaimed: u64,
}

impl Metrics {
    /// Connections after the first one.
    pub fn reconnections(&self) -> u64 {
        self.connections.saturating_sub(1)
    }

    /// Messages that came and that no stream has got.
    pub fn dropped(&self) -> u64 {
        self.overflowed + self.unclaimed
    }
}
