//! What a client knows of its current connection and forgets with it.

use super::event::DisconnectCause;
use super::keep_alive::KeepAlive;
use super::requests::Requests;
use super::unanswered::Unanswered;
use super::{ConnectOptions, Token};
use crate::Inbound;
use noctule_codec::{Decoder, Properties, ProtocolVersion, QoS};
use std::collections::VecDeque;

/// What there is to do after a flush.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flush {
    /// Everything has been written to the buffer.
    Done,
    /// The buffer is full and there is more.
    More,
    /// Everything has been written to the buffer; close the stream once it is sent.
    Close,
}

/// What a server announces in CONNACK, with the standard's defaults where it says nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerLimits {
    /// Unacknowledged publications it takes at a time.
    pub receive_maximum: u16,
    /// The longest packet it takes, in bytes.
    pub packet_bytes_max: u32,
    /// The highest topic alias it takes; 0: none.
    pub topic_alias_maximum: u16,
    /// The highest QoS it takes.
    pub maximum_qos: QoS,
    /// Whether it keeps retained messages.
    pub retain_available: bool,
    /// Whether it takes filters with wildcards.
    pub wildcard_subscription_available: bool,
    /// Whether it takes subscription identifiers.
    pub subscription_identifiers_available: bool,
    /// Whether it takes shared subscriptions.
    pub shared_subscription_available: bool,
    /// The keep alive in force, in seconds; 0: none.
    pub keep_alive_seconds: u16,
    /// How long the session outlives the connection, in seconds; `u32::MAX`: for ever.
    pub session_expiry_interval: u32,
}

/// A connection from CONNECT to its end.
#[derive(Debug)]
pub(super) struct Connection {
    pub(super) phase: Phase,
    pub(super) options: ConnectOptions,
    pub(super) decoder: Decoder,
    pub(super) server: ServerLimits,
    pub(super) keep_alive: KeepAlive,
    pub(super) requests: Requests,
    /// Deliveries that have not been answered.
    pub(super) unanswered: Unanswered,
    /// QoS 2 publications that came on this connection and have not been completed.
    pub(super) received: Inbound,
    /// PUBACKs and PUBCOMPs that free a place in this client's window and have not been flushed.
    pub(super) acks_queued: usize,
    /// QoS 0 publications that have not been flushed.
    pub(super) qos0: VecDeque<Token>,
}

/// How far a connection has come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// CONNECT is on its way.
    Connecting,
    /// CONNACK has come.
    Connected,
    /// Nothing is read any more; what is queued is still sent.
    Closing {
        /// What the application is told once that is written, if it has not been told yet.
        cause: Option<DisconnectCause>,
    },
}

impl Connection {
    pub(super) fn is_open(&self) -> bool {
        self.phase == Phase::Connected
    }

    pub(super) fn is_closing(&self) -> bool {
        matches!(self.phase, Phase::Closing { .. })
    }
}

impl ServerLimits {
    /// What CONNACK says to a client that asked with these options.
    pub(super) fn announced(connack: &Properties<'_>, options: &ConnectOptions) -> Self {
        let asked = options.connect().session_expiry_interval();
        Self {
            receive_maximum: connack.receive_maximum().unwrap_or(u16::MAX),
            packet_bytes_max: connack.maximum_packet_size().unwrap_or(u32::MAX),
            topic_alias_maximum: match options.version {
                ProtocolVersion::V5 => connack.topic_alias_maximum().unwrap_or(0),
                _ => 0,
            },
            maximum_qos: connack.maximum_qos().unwrap_or(QoS::ExactlyOnce),
            retain_available: connack.retain_available().unwrap_or(true),
            wildcard_subscription_available: connack.wildcard_subscription_available().unwrap_or(true),
            subscription_identifiers_available: connack.subscription_identifier_available().unwrap_or(true),
            shared_subscription_available: connack.shared_subscription_available().unwrap_or(true),
            keep_alive_seconds: connack.server_keep_alive().unwrap_or(options.keep_alive_seconds),
            session_expiry_interval: connack.session_expiry_interval().unwrap_or(asked),
        }
    }
}
