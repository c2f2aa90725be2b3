//! What a client says in CONNECT.

use noctule_codec::{Connect, Properties, ProtocolVersion, QoS, Will};

/// How to connect. The properties of CONNECT are also what the client itself goes by: Receive Maximum, Maximum
/// Packet Size and Topic Alias Maximum are what it lets the server do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConnectOptions {
    /// The version to speak.
    pub version: ProtocolVersion,
    /// The client identifier; empty asks the server for one, in 3.1.1 only with `clean_start`.
    pub client_id: Box<str>,
    /// Whether an earlier session is discarded, here and on the server [MQTT-3.1.2-4].
    pub clean_start: bool,
    /// Longest silence in seconds; 0 turns PINGREQ off.
    pub keep_alive_seconds: u16,
    /// What the server publishes when the connection ends without a normal DISCONNECT.
    pub will: Option<ClientWill>,
    /// User name.
    pub user_name: Option<Box<str>>,
    /// Password; 3.x needs a user name with it [MQTT-3.1.2-22 of 3.1.1].
    pub password: Option<Box<[u8]>>,
    /// Properties of CONNECT; 3.x leaves them out.
    pub properties: Properties<'static>,
    /// How long to wait for CONNACK and for a sign of life after PINGREQ, in milliseconds.
    pub response_timeout_ms: u64,
    /// How many publications above its Receive Maximum a client bears with before it ends the connection with 0x93.
    /// Mosquitto 2.0 sends more than it may once acknowledgements come in a burst.
    pub receive_excess: u16,
    /// Unacknowledged publications at a time, if the server's Receive Maximum allows as many.
    pub inflight_messages_max: u16,
    /// Bytes that may wait to be sent; above it QoS 0 publications are dropped and others wait.
    pub output_bytes_max: u64,
    /// Topic aliases towards the server, if its Topic Alias Maximum allows as many.
    pub topic_alias_maximum_out: u16,
    /// Acknowledgements are the application's to give, by [`Client::acknowledge`](super::Client::acknowledge).
    pub manual_acks: bool,
    /// Goes on when the server has a session that this client knows nothing of. The standard closes
    /// [MQTT-3.2.2-4]; tools that keep nothing between two runs want the server's half all the same.
    pub resume_unknown_session: bool,
}

/// A will as a client gives it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientWill {
    /// Where it is published.
    pub topic: Box<str>,
    /// What is published.
    pub payload: Box<[u8]>,
    /// At which QoS.
    pub qos: QoS,
    /// Whether it becomes the retained message of its topic.
    pub retain: bool,
    /// Its properties, Will Delay Interval among them; 3.x leaves them out.
    pub properties: Properties<'static>,
}

impl Default for ConnectOptions {
    fn default() -> Self {
        Self {
            version: ProtocolVersion::V5,
            client_id: "".into(),
            clean_start: true,
            keep_alive_seconds: 60,
            will: None,
            user_name: None,
            password: None,
            properties: Properties::EMPTY,
            response_timeout_ms: 10_000,
            receive_excess: 0,
            inflight_messages_max: 1024,
            output_bytes_max: 1 << 20,
            topic_alias_maximum_out: 32,
            manual_acks: false,
            resume_unknown_session: false,
        }
    }
}

impl ConnectOptions {
    /// The CONNECT.
    pub(super) fn connect(&self) -> Connect<'_> {
        Connect {
            version: self.version,
            clean_start: self.clean_start,
            keep_alive_seconds: self.keep_alive_seconds,
            client_id: &self.client_id,
            will: self.will.as_ref().map(ClientWill::packet),
            user_name: self.user_name.as_deref(),
            password: self.password.as_deref(),
            properties: self.properties.borrow(),
        }
    }

    pub(super) fn receive_maximum(&self) -> u16 {
        match self.version {
            ProtocolVersion::V5 => self.properties.receive_maximum().unwrap_or(u16::MAX),
            _ => u16::MAX,
        }
    }

    pub(super) fn packet_bytes_max(&self) -> u32 {
        self.properties.maximum_packet_size().unwrap_or(u32::MAX)
    }

    pub(super) fn topic_alias_maximum(&self) -> u16 {
        self.properties.topic_alias_maximum().unwrap_or(0)
    }
}

impl ClientWill {
    fn packet(&self) -> Will<'_> {
        Will {
            topic: &self.topic,
            payload: &self.payload,
            qos: self.qos,
            retain: self.retain,
            properties: self.properties.borrow(),
        }
    }
}
