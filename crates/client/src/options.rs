//! Everything a client can be told, checked when it is built.

use crate::address::Address;
use crate::authentication::Method;
use crate::core::{Backoff, ServerReferences};
use crate::disk::DiskOptions;
#[cfg(feature = "websocket")]
use crate::driver::Header;
use crate::presence::Presence;
use crate::proxy::Proxy;
use noctule_codec::ProtocolVersion;
use noctule_session::client::{Client as Machine, ClientWill, ConnectOptions};
use std::time::Duration;

/// What the builder has gathered.
#[derive(Debug)]
pub(crate) struct Options {
    pub(crate) address: Address,
    /// Topics and filters are below this; empty, or it ends with `/`.
    pub(crate) prefix: String,
    /// The version to speak; without one 5.0, and 3.1.1 with a server that knows no 5.0.
    pub(crate) version: Option<ProtocolVersion>,
    /// What CONNECT says, but for what [`Options::connect_options`] decides.
    pub(crate) connect: ConnectOptions,
    pub(crate) authenticator: Option<Method>,
    pub(crate) server_references: ServerReferences,
    pub(crate) presence: Option<Presence>,
    pub(crate) backoff: Backoff,
    /// Time for the way to the server to open.
    pub(crate) connect_timeout: Duration,
    pub(crate) proxy: Option<Proxy>,
    /// The address or name to connect from, if not any.
    pub(crate) bind: Option<String>,
    /// What the upgrade to WebSocket says besides.
    #[cfg(feature = "websocket")]
    pub(crate) headers: Vec<Header>,
    /// Small packets leave at once.
    pub(crate) nodelay: bool,
    /// The first attempt is the last, if it fails.
    pub(crate) gives_up_at_once: bool,
    /// The client id was made up, so that nobody can come back to its session.
    pub(crate) is_id_made_up: bool,
    /// Where the outbox survives the process, if it does.
    pub(crate) disk: Option<DiskOptions>,
    /// How long a message may wait to be sent for the first time.
    pub(crate) outbox_ttl_ms: u64,
    /// How long messages of a resumed session wait for a stream that wants them.
    pub(crate) unclaimed_grace_ms: u64,
    #[cfg(feature = "tls")]
    pub(crate) tls: Option<crate::tls::Tls>,
}

impl Options {
    /// What the next CONNECT says, after so many connections.
    ///
    /// In 5.0 only the first one starts clean: the session that begins with it is the one to come back to. In 3.x
    /// a session that was started clean ends with its connection, so each one does.
    pub(crate) fn connect_options(
        &self,
        machine: &Machine,
        version: ProtocolVersion,
        connections: u64,
        says_credentials: bool,
    ) -> ConnectOptions {
        let is_first = connections == 0;
        let client_id = match &*self.connect.client_id {
            "" => machine.client_id().into(),
            client_id => client_id.into(),
        };
        ConnectOptions {
            version,
            client_id,
            clean_start: self.connect.clean_start && (is_first || version != ProtocolVersion::V5),
            user_name: self.connect.user_name.clone().filter(|_| says_credentials),
            password: self.connect.password.clone().filter(|_| says_credentials),
            will: self.presence.as_ref().map(|presence| self.will(presence)),
            // Tools and services that keep nothing between two runs want the server's half all the same.
            resume_unknown_session: is_first && !self.connect.clean_start,
            ..self.connect.clone()
        }
    }

    /// Whether the session is of no use to anybody once this client is closed.
    pub(crate) fn ends_session_at_close(&self) -> bool {
        self.is_id_made_up && self.connect.properties.session_expiry_interval().unwrap_or(0) > 0
    }

    fn will(&self, presence: &Presence) -> ClientWill {
        let message = presence.message(presence.offline());
        ClientWill {
            topic: message.topic.into(),
            payload: message.payload.into(),
            qos: message.qos,
            retain: message.retain,
            properties: message.properties.into_owned(),
        }
    }
}
