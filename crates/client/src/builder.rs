//! How a client is told what it is to be.

use crate::address::{AddressError, Written};
use crate::authentication::{Authenticator, Method};
use crate::client::Client;
use crate::clock::Clock;
use crate::connection::Connection;
use crate::core::{Backoff, ServerReferences};
use crate::disk::{DiskOptions, Log, OutboxError, Stored};
use crate::driver;
use crate::error::ConnectionError;
use crate::options::Options;
use crate::presence::Presence;
use crate::proxy::{Proxy, ProxyError};
use crate::publish::Outbox;
use crate::shared::Start;
use crate::state::State;
use noctule_codec::{EncodeError, Properties, Property, ProtocolVersion};
use noctule_session::client::ConnectOptions;
use noctule_topic::{NameError, TopicName};
use std::hash::{BuildHasher as _, Hasher as _, RandomState};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::runtime::Handle;

/// Everything a client can be told; made by [`Client::builder`].
#[derive(Clone, Debug)]
#[must_use = "a builder does nothing until it connects"]
pub struct Builder {
    written: Result<Written, AddressError>,
    connect: ConnectOptions,
    session_expiry: Duration,
    receive_maximum: u16,
    packet_bytes_max: u32,
    properties: Properties<'static>,
    property_error: Option<EncodeError>,
    authenticator: Option<Method>,
    server_references: ServerReferences,
    presence: Option<Presence>,
    backoff: Backoff,
    connect_timeout: Duration,
    outbox_messages_max: usize,
    outbox_bytes_max: u32,
    disk: Option<DiskOptions>,
    outbox_ttl_ms: u64,
    unclaimed_grace: Duration,
    proxy: Option<String>,
    bind: Option<String>,
    #[cfg(feature = "websocket")]
    headers: Vec<(String, String)>,
    nodelay: bool,
    #[cfg(feature = "tls")]
    tls: crate::tls::TlsOptions,
}

/// Why a client cannot be made as it was told.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BuildError {
    /// The address of the server.
    #[error(transparent)]
    Address(#[from] AddressError),
    /// The prefix in the address or the topic of the presence.
    #[error("{topic} is not a valid topic name: {source}")]
    Topic {
        /// The topic.
        topic: String,
        /// The rule it breaks.
        source: NameError,
    },
    /// A property of CONNECT.
    #[error("a property cannot be sent: {0}")]
    Property(EncodeError),
    /// The outbox on disk.
    #[error(transparent)]
    Outbox(#[from] OutboxError),
    /// An outbox on disk belongs to a client id, and none was given.
    #[error("an outbox on disk needs a client id, by which a later run finds its session again")]
    OutboxWithoutClientId,
    /// The address of the proxy.
    #[error(transparent)]
    Proxy(#[from] ProxyError),
    /// A header of the upgrade to WebSocket.
    #[cfg(feature = "websocket")]
    #[error("the header {name} cannot be sent")]
    Header {
        /// Its name.
        name: String,
    },
    /// A certificate or a key.
    #[cfg(feature = "tls")]
    #[error(transparent)]
    Tls(#[from] crate::tls::TlsError),
    /// There is no tokio runtime.
    #[error("a client needs a tokio runtime; make it inside one, or use noctule_client::blocking")]
    NoRuntime,
}

/// Why [`Builder::connect`] has given no client.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConnectError {
    /// The client cannot be made as it was told.
    #[error(transparent)]
    Build(#[from] BuildError),
    /// There is no connection.
    #[error(transparent)]
    Connection(#[from] ConnectionError),
}

impl Builder {
    pub(crate) fn new(address: &str) -> Self {
        Self {
            written: Written::parse(address),
            connect: ConnectOptions {
                manual_acks: true,
                // The outbox is the bound.
                output_bytes_max: u64::MAX,
                // Ending the connection would only make the server send everything again.
                receive_excess: u16::MAX,
                ..ConnectOptions::default()
            },
            session_expiry: SESSION_EXPIRY,
            receive_maximum: RECEIVE_MAXIMUM,
            packet_bytes_max: PACKET_BYTES_MAX,
            properties: Properties::EMPTY,
            property_error: None,
            authenticator: None,
            server_references: ServerReferences::default(),
            presence: None,
            backoff: Backoff::default(),
            connect_timeout: CONNECT_TIMEOUT,
            outbox_messages_max: OUTBOX_MESSAGES_MAX,
            outbox_bytes_max: OUTBOX_BYTES_MAX,
            disk: None,
            outbox_ttl_ms: u64::MAX,
            unclaimed_grace: UNCLAIMED_GRACE,
            proxy: None,
            bind: None,
            #[cfg(feature = "websocket")]
            headers: Vec::new(),
            nodelay: true,
            #[cfg(feature = "tls")]
            tls: crate::tls::TlsOptions::default(),
        }
    }

    /// The client identifier. Without one, or with an empty one, the client makes one up.
    pub fn client_id(self, client_id: &str) -> Self {
        self.write(|written| written.client_id = Some(client_id.to_owned()))
    }

    /// User name and password, which may be any bytes; they come before those of the address.
    pub fn credentials(self, user_name: &str, password: impl AsRef<[u8]>) -> Self {
        self.write(|written| {
            written.user_name = Some(user_name.to_owned());
            written.password = Some(password.as_ref().to_owned());
        })
    }

    /// Authenticates by a method of its own [MQTT-4.12.0-3], beside user name and password or instead of them. 5.0
    /// only: with it no older version is fallen back to.
    pub fn authenticator(mut self, authenticator: impl Authenticator) -> Self {
        self.authenticator = Some(Method(Arc::new(authenticator)));
        self
    }

    /// What becomes of a server's wish that this client uses another one; unless this says otherwise, nothing.
    pub fn server_references(mut self, server_references: ServerReferences) -> Self {
        self.server_references = server_references;
        self
    }

    /// The version to speak. Without one it is 5.0, and 3.1.1 with a server that has never heard of that.
    pub fn version(self, version: ProtocolVersion) -> Self {
        self.write(|written| written.version = Some(version))
    }

    /// Whether an earlier session under this client id is discarded; it is unless this says otherwise.
    ///
    /// `false` takes the session up that an earlier run has left on the server, with its subscriptions and what
    /// it owes. The standard wants a client without memory of that run to refuse it [MQTT-3.2.2-4]; who says
    /// `false` here wants it all the same. In 3.x `true` also means that no session outlives a connection.
    pub fn clean_start(self, clean_start: bool) -> Self {
        self.write(|written| written.clean_start = Some(clean_start))
    }

    /// How long the server keeps the session when there is no connection, in whole seconds: five minutes unless
    /// this says otherwise. 5.0 only.
    pub fn session_expiry(self, session_expiry: Duration) -> Self {
        self.write(|written| written.session_expiry = Some(session_expiry))
    }

    /// The longest silence, in whole seconds up to 65,535; one minute unless this says otherwise, none with zero.
    pub fn keep_alive(self, keep_alive: Duration) -> Self {
        let seconds = u16::try_from(keep_alive.as_secs()).unwrap_or(u16::MAX);
        self.write(|written| written.keep_alive_seconds = Some(seconds))
    }

    /// What the world is told about whether this client is there.
    pub fn presence(mut self, presence: Presence) -> Self {
        self.presence = Some(presence);
        self
    }

    /// How long to wait before connecting again.
    pub fn backoff(mut self, backoff: Backoff) -> Self {
        self.backoff = backoff;
        self
    }

    /// How long the way to the server may take to open; ten seconds unless this says otherwise.
    pub fn connect_timeout(mut self, connect_timeout: Duration) -> Self {
        self.connect_timeout = connect_timeout;
        self
    }

    /// Reaches the server through a proxy: `http://host:port` (CONNECT) or `socks5://host:port`, with
    /// `user:password@` in front of the host where the proxy wants that. It resolves the server's name.
    pub fn proxy(mut self, address: &str) -> Self {
        self.proxy = Some(address.to_owned());
        self
    }

    /// Connects from this address or name of this machine, where it has several.
    pub fn bind(mut self, address: &str) -> Self {
        self.bind = Some(address.to_owned());
        self
    }

    /// Whether small packets leave at once instead of waiting for more (`TCP_NODELAY`); they do unless this says
    /// otherwise.
    pub fn nodelay(mut self, nodelay: bool) -> Self {
        self.nodelay = nodelay;
        self
    }

    /// How long to wait for CONNACK, and for a sign of life after PINGREQ; ten seconds unless this says otherwise.
    pub fn response_timeout(mut self, response_timeout: Duration) -> Self {
        self.connect.response_timeout_ms = u64::try_from(response_timeout.as_millis()).unwrap_or(u64::MAX);
        self
    }

    /// How much may wait to be acknowledged, in messages and in bytes: 10,000 and 64 MiB unless this says
    /// otherwise. [`publish`](Client::publish) waits above that.
    pub fn outbox(mut self, messages_max: usize, bytes_max: u32) -> Self {
        self.outbox_messages_max = messages_max;
        self.outbox_bytes_max = bytes_max;
        self
    }

    /// Keeps the outbox in this folder too, so that what this client is responsible for survives the process and the
    /// machine: [`publish`](Client::publish) returns once the message is on disk, and a later run with the same client
    /// id and folder sends what this one has not. It is made if it is not there, and one client at a time uses it;
    /// opening it reads a file, which blocks. With it [`clean_start`](Self::clean_start) is `false` unless it is said.
    ///
    /// While the disk refuses, nothing is sent, and `publish` waits.
    pub fn outbox_on_disk(mut self, folder: impl Into<PathBuf>) -> Self {
        self.disk = Some(DiskOptions { folder: folder.into() });
        self
    }

    /// How long a message may wait to be sent for the first time, also while no process is there; as long as it takes
    /// unless this says otherwise. It is dropped at the next attempt to connect, and its handle says so.
    pub fn outbox_ttl(mut self, ttl: Duration) -> Self {
        self.outbox_ttl_ms = u64::try_from(ttl.as_millis()).unwrap_or(u64::MAX);
        self
    }

    /// How many messages above QoS 0 may be on their way to the server, if that allows as many; 1024 unless this
    /// says otherwise.
    pub fn inflight_max(mut self, messages: u16) -> Self {
        self.connect.inflight_messages_max = messages.max(1);
        self
    }

    /// How many messages above QoS 0 the server may have sent that are not acknowledged; 256 unless this says
    /// otherwise. 5.0 only. A server that sends more is borne with, Mosquitto 2.0 for one.
    pub fn receive_maximum(mut self, messages: u16) -> Self {
        self.receive_maximum = messages.max(1);
        self
    }

    /// The longest packet that is read, in bytes; 16 MiB unless this says otherwise. A 5.0 server is told; a
    /// longer one ends the connection.
    pub fn packet_bytes_max(mut self, bytes: u32) -> Self {
        self.packet_bytes_max = bytes.max(1);
        self
    }

    /// A name and a value for the server. 5.0 only.
    pub fn user_property(self, name: &str, value: &str) -> Self {
        self.property(Property::UserProperty(name, value))
    }

    /// Any property of CONNECT, such as [`Property::RequestResponseInformation`], instead of what this client would
    /// say. 5.0 only.
    pub fn property(mut self, property: Property<'_>) -> Self {
        if let Err(error) = self.properties.try_push(property) {
            self.property_error.get_or_insert(error);
        }
        self
    }

    /// How long messages of a session that this client has taken up wait for a stream that wants them; 30 seconds
    /// unless this says otherwise. After that they are acknowledged and dropped.
    pub fn unclaimed_grace(mut self, unclaimed_grace: Duration) -> Self {
        self.unclaimed_grace = unclaimed_grace;
        self
    }

    /// Connects, and gives the client once the server has let it in. From then on the client comes back by itself.
    ///
    /// # Errors
    /// Why the first attempt has failed.
    pub async fn connect(self) -> Result<Client, ConnectError> {
        self.connect_on(runtime()?).await
    }

    pub(crate) async fn connect_on(self, runtime: Handle) -> Result<Client, ConnectError> {
        let client = self.start(true, runtime)?;
        match client.state().wait_for(|state| !matches!(state, State::Connecting)).await {
            Some(State::Closed { cause: Some(cause) }) => Err(cause.into()),
            Some(State::Closed { cause: None }) | None => Err(ConnectionError::Closed.into()),
            Some(_) => Ok(client),
        }
    }

    /// Opens one connection that does only what it is told; see [`Connection`]. What CONNECT says is `connect` alone:
    /// of this builder and its address only the way to the server counts.
    ///
    /// # Errors
    /// There is no way to the server, or `connect` cannot be written.
    pub async fn open(self, connect: ConnectOptions) -> Result<Connection, ConnectError> {
        let options = Options { connect, ..self.options(true)? };
        Ok(Connection::open(options).await?)
    }

    /// Opens the way to the server and says nothing on it: a stream of bytes on top of TCP, TLS, WebSocket and proxies,
    /// for who speaks MQTT by other means or passes it on.
    ///
    /// # Errors
    /// There is no way to the server.
    pub async fn dial(self) -> Result<impl AsyncRead + AsyncWrite + Send + Unpin + use<>, ConnectError> {
        let options = self.options(true)?;
        Ok(driver::open(&options, &options.address).await?)
    }

    /// Gives the client at once, which goes on trying until it is closed. What is published above QoS 0 meanwhile
    /// waits.
    ///
    /// # Errors
    /// The client cannot be made as it was told.
    pub fn connect_in_background(self) -> Result<Client, BuildError> {
        self.start(false, runtime()?)
    }

    pub(crate) fn start(self, gives_up_at_once: bool, runtime: Handle) -> Result<Client, BuildError> {
        let outbox = Outbox::new(self.outbox_messages_max, self.outbox_bytes_max);
        let (options, clock) = (Arc::new(self.options(gives_up_at_once)?), Clock::start());
        let (log, changes) = match &options.disk {
            None => (None, Vec::new()),
            Some(disk) => {
                let Stored { log, changes } = Log::open(&disk.folder, &options.connect.client_id, &clock)?;
                (Some(log), changes)
            }
        };
        Ok(Client::start(Start { options, outbox, clock, changes }, log, runtime))
    }

    pub(crate) fn options(self, gives_up_at_once: bool) -> Result<Options, BuildError> {
        let written = self.written?;
        let presence = self.presence.map(|presence| presence.below(&written.prefix));
        check_topics(&written.prefix, presence.as_ref())?;
        let session_expiry = written.session_expiry.unwrap_or(self.session_expiry);
        let property_error = self.property_error.or(presence.as_ref().and_then(Presence::error));
        if let Some(error) = property_error {
            return Err(BuildError::Property(error));
        }
        let window = (self.receive_maximum, self.packet_bytes_max);
        let properties = with_defaults(self.properties, session_expiry, window);
        let client_id = written.client_id.filter(|client_id| !client_id.is_empty());
        let is_id_made_up = client_id.is_none();
        if is_id_made_up && self.disk.is_some() {
            return Err(BuildError::OutboxWithoutClientId);
        }
        Ok(Options {
            #[cfg(feature = "tls")]
            tls: self.tls.build(&written.address)?,
            address: written.address,
            prefix: written.prefix,
            version: written.version,
            connect: ConnectOptions {
                client_id: client_id.unwrap_or_else(made_up_client_id).into(),
                clean_start: written.clean_start.unwrap_or(self.disk.is_none()),
                keep_alive_seconds: written.keep_alive_seconds.unwrap_or(self.connect.keep_alive_seconds),
                user_name: written.user_name.map(Into::into),
                password: written.password.map(Into::into),
                properties,
                ..self.connect
            },
            authenticator: self.authenticator,
            server_references: self.server_references,
            presence,
            backoff: self.backoff,
            connect_timeout: self.connect_timeout,
            disk: self.disk,
            outbox_ttl_ms: self.outbox_ttl_ms,
            proxy: self.proxy.as_deref().map(Proxy::parse).transpose()?,
            bind: self.bind,
            #[cfg(feature = "websocket")]
            headers: self.headers.iter().map(header).collect::<Result<_, _>>()?,
            nodelay: self.nodelay,
            gives_up_at_once,
            is_id_made_up,
            unclaimed_grace_ms: u64::try_from(self.unclaimed_grace.as_millis()).unwrap_or(u64::MAX),
        })
    }

    fn write(mut self, write: impl FnOnce(&mut Written)) -> Self {
        if let Ok(written) = &mut self.written {
            write(written);
        }
        self
    }
}

#[cfg(feature = "tls")]
impl Builder {
    /// Believes servers whose certificate is signed by one in this file, instead of those the system trusts.
    pub fn ca_file(mut self, path: impl Into<PathBuf>) -> Self {
        self.tls.ca_file = Some(path.into());
        self
    }

    /// Shows this certificate with its chain, if the server asks. Both files are PEM.
    pub fn client_certificate(mut self, certificate: impl Into<PathBuf>, key: impl Into<PathBuf>) -> Self {
        self.tls.own = Some((certificate.into(), key.into()));
        self
    }

    /// Believes whoever answers, which keeps nobody from reading and changing everything. For tests on one's own
    /// machine.
    pub fn dangerously_accept_any_certificate(mut self) -> Self {
        self.tls.accepts_any = true;
        self
    }

    /// Believes servers whose certificate is signed by one in a file of this folder; also those in
    /// [`ca_file`](Self::ca_file), if that is said too. Files that hold no certificate are passed over.
    pub fn ca_folder(mut self, path: impl Into<PathBuf>) -> Self {
        self.tls.ca_folder = Some(path.into());
        self
    }

    /// Believes those whom the system trusts too, besides [`ca_file`](Self::ca_file) and
    /// [`ca_folder`](Self::ca_folder).
    pub fn system_roots(mut self) -> Self {
        self.tls.system_roots = true;
        self
    }

    /// Believes a trusted certificate also if it was made out to another name, so that whoever has any may answer.
    pub fn dangerously_accept_any_name(mut self) -> Self {
        self.tls.accepts_any_name = true;
        self
    }

    /// Speaks TLS 1.3 only; 1.2 too unless this is said.
    pub fn tls13_only(mut self) -> Self {
        self.tls.is_1_3_only = true;
        self
    }

    /// Names this protocol to the server (ALPN) instead of `mqtt` or, with WebSocket, `http/1.1`. An empty one names
    /// none; it has at most 255 bytes.
    pub fn alpn(mut self, protocol: &[u8]) -> Self {
        self.tls.alpn = Some(protocol.to_vec());
        self
    }

    /// Uses only those ciphers of TLS 1.2 that are in this list, separated by colons, by the names of OpenSSL or of the
    /// standard. TLS 1.3 keeps its own.
    pub fn ciphers(mut self, list: &str) -> Self {
        self.tls.ciphers = Some(list.to_owned());
        self
    }

    /// Takes this configuration of rustls instead of all the above.
    pub fn tls_config(mut self, config: Arc<rustls::ClientConfig>) -> Self {
        self.tls.config = Some(config);
        self
    }
}

#[cfg(feature = "websocket")]
impl Builder {
    /// A header of the upgrade to WebSocket, such as a token that a gateway in front of the server asks for; more than
    /// one may have the same name.
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }
}

#[cfg(feature = "websocket")]
fn header((name, value): &(String, String)) -> Result<driver::Header, BuildError> {
    driver::header(name, value).ok_or_else(|| BuildError::Header { name: name.clone() })
}

fn runtime() -> Result<Handle, BuildError> {
    Handle::try_current().map_err(|_| BuildError::NoRuntime)
}

fn check_topics(prefix: &str, presence: Option<&Presence>) -> Result<(), BuildError> {
    for topic in [prefix, presence.map_or("", Presence::topic)] {
        if !topic.is_empty() {
            let invalid = |source| BuildError::Topic { topic: topic.to_owned(), source };
            TopicName::check(topic).map_err(invalid)?;
        }
    }
    Ok(())
}

/// The properties of CONNECT: those the user has given, and the others that this client goes by.
fn with_defaults(
    mut properties: Properties<'static>,
    session_expiry: Duration,
    (receive_maximum, packet_bytes_max): (u16, u32),
) -> Properties<'static> {
    if properties.session_expiry_interval().is_none() {
        let seconds = u32::try_from(session_expiry.as_secs()).unwrap_or(u32::MAX);
        properties.push(Property::SessionExpiryInterval(seconds));
    }
    if properties.receive_maximum().is_none() {
        properties.push(Property::ReceiveMaximum(receive_maximum));
    }
    if properties.maximum_packet_size().is_none() {
        properties.push(Property::MaximumPacketSize(packet_bytes_max));
    }
    if properties.topic_alias_maximum().is_none() {
        properties.push(Property::TopicAliasMaximum(TOPIC_ALIAS_MAXIMUM));
    }
    properties
}

/// A client id that nobody else has: 20 characters, which every server takes [MQTT-3.1.3-5].
fn made_up_client_id() -> String {
    let mut hasher = RandomState::new().build_hasher();
    hasher.write_u32(std::process::id());
    format!("noct{:016x}", hasher.finish())
}

/// How long the server keeps the session without a connection, unless told otherwise.
const SESSION_EXPIRY: Duration = Duration::from_secs(5 * 60);
/// Messages above QoS 0 that the server may have outstanding, unless told otherwise.
const RECEIVE_MAXIMUM: u16 = 256;
/// The longest packet, unless told otherwise. Twice what noctule takes by default.
const PACKET_BYTES_MAX: u32 = 16 << 20;
/// Topic names that the server may abbreviate. Each costs what the name has.
const TOPIC_ALIAS_MAXIMUM: u16 = 32;
/// Time for the way to the server to open, unless told otherwise.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// Messages in the outbox, unless told otherwise.
const OUTBOX_MESSAGES_MAX: usize = 10_000;
/// Bytes in the outbox, unless told otherwise.
const OUTBOX_BYTES_MAX: u32 = 64 << 20;
/// How long messages wait for a stream, unless told otherwise.
const UNCLAIMED_GRACE: Duration = Duration::from_secs(30);
