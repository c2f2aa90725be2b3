//! What one listener offers its clients, where listeners differ.
//!
//! A connection keeps the terms it began with: CONNACK has announced them, and another configuration must not make a
//! client break a promise that it never heard of.

use crate::Limits;
use noctule_codec::ProtocolVersion;

/// What holds for the connections of one listener.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Terms {
    /// Bounds and features of a connection, as CONNACK announces them. What the broker has only once (memory, sessions,
    /// queues, retained messages, durability) is not read from here.
    pub limits: Limits,
    /// Versions that are accepted.
    pub versions: Versions,
    /// Which client identifiers are accepted, and which are given away.
    pub client_ids: ClientIds,
    /// Put before every topic of the clients and taken off again; empty: nothing.
    pub mount_point: Box<str>,
}

/// A choice of protocol versions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Versions {
    /// MQTT 3.1.
    pub v3_1: bool,
    /// MQTT 3.1.1.
    pub v3_1_1: bool,
    /// MQTT 5.0.
    pub v5: bool,
}

/// Rules about client identifiers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientIds {
    /// How those that clients choose have to begin.
    pub prefix: Box<str>,
    /// The user name takes the place of the client identifier.
    pub are_user_names: bool,
    /// How those that the broker gives away begin; empty: as the broker likes.
    pub assigned_prefix: Box<str>,
    /// Whether a client may ask for one, by an empty one.
    pub may_be_empty: bool,
}

impl Versions {
    /// Whether this version is one of them.
    pub fn have(self, version: ProtocolVersion) -> bool {
        match version {
            ProtocolVersion::V3_1 => self.v3_1,
            ProtocolVersion::V3_1_1 => self.v3_1_1,
            ProtocolVersion::V5 => self.v5,
        }
    }

    /// How a version is written.
    pub fn name(version: ProtocolVersion) -> &'static str {
        match version {
            ProtocolVersion::V3_1 => "3.1",
            ProtocolVersion::V3_1_1 => "3.1.1",
            ProtocolVersion::V5 => "5.0",
        }
    }
}

impl Default for Versions {
    fn default() -> Self {
        Self { v3_1: true, v3_1_1: true, v5: true }
    }
}

impl Default for ClientIds {
    fn default() -> Self {
        Self { prefix: "".into(), are_user_names: false, assigned_prefix: "".into(), may_be_empty: true }
    }
}
