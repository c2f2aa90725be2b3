//! Bounds and features of the broker as the protocol sees them.
//!
//! Everything a client can grow has a bound here. The configuration fills this in; the code below it only
//! reads. A limit of `0` means "no limit" only where its comment says so.

use crate::{Durability, DurabilityRule};
use noctule_codec::QoS;

/// What clients may use and how much of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// What an acknowledgement promises.
    pub durability: Durability,
    /// What is promised of publications on some topics, and of their retained values; the first rule about a topic
    /// counts. Sessions follow `durability`, and where that is memory everything is.
    pub durability_rules: Vec<DurabilityRule>,
    /// Time between a connection and its complete CONNECT, in milliseconds.
    pub connect_timeout_ms: u64,
    /// Longest time that a client which connects in a storm waits for its turn, in milliseconds; whoever would have to
    /// wait longer is refused.
    pub connect_wait_ms_max: u64,
    /// Longest packet accepted, in bytes; announced as Maximum Packet Size.
    pub packet_bytes_max: u32,
    /// Longest payload accepted, in bytes; a longer publication is refused, and its connection goes on. `0`: as long as
    /// its packet may be.
    pub payload_bytes_max: u64,
    /// Unacknowledged QoS 1 and 2 publications accepted from one client; announced as Receive Maximum. With `u16::MAX`
    /// nobody can exceed it, and it is what 3.x clients have anyway.
    pub receive_maximum: u16,
    /// Unacknowledged QoS 1 and 2 deliveries to one 5.0 client, if its Receive Maximum allows as many.
    pub inflight_messages_max: u16,
    /// The same for 3.x clients, which cannot say what they can take.
    pub inflight_messages_max_v3: u16,
    /// Topic aliases accepted from one client; announced as Topic Alias Maximum.
    pub topic_alias_maximum: u16,
    /// Topic aliases used towards one client, if its Topic Alias Maximum allows as many.
    pub topic_alias_maximum_out: u16,
    /// Longest keep alive granted, in seconds; a 5.0 client that asks for more (or for none) gets a Server
    /// Keep Alive. `0`: no limit.
    pub keep_alive_seconds_max: u16,
    /// Longest time a session outlives its connection, in seconds, also for 3.x; `u32::MAX`: for ever.
    pub session_expiry_seconds_max: u32,
    /// Messages waiting for one session; what is in flight is not counted. `0`: no limit by count.
    pub queue_messages_max: u64,
    /// Bytes of messages waiting for one session or in flight to it.
    pub queue_bytes_max: u64,
    /// Age after which a waiting message is dropped, in seconds. `0`: no limit.
    pub queue_age_seconds_max: u32,
    /// Whether QoS 0 publications wait for offline sessions.
    pub queue_qos0: bool,
    /// Bytes waiting to be sent on one connection; above it QoS 0 deliveries are dropped.
    pub output_bytes_max: u64,
    /// Retained messages kept. `0`: no limit by count.
    pub retained_messages_max: u64,
    /// Bytes of retained messages kept, topics and properties included.
    pub retained_bytes_max: u64,
    /// Subscriptions of one session.
    pub subscriptions_max: u32,
    /// Subscriptions with wildcards of one session.
    pub wildcard_subscriptions_max: u32,
    /// Levels of a topic name or filter.
    pub topic_levels_max: u16,
    /// Bytes of a topic name or filter.
    pub topic_bytes_max: u16,
    /// PUBLISH packets of one client in a second; beyond it the client is not read. `0`: no limit.
    pub messages_per_second_max: u32,
    /// Bytes of one client in a second; beyond it the client is not read. `0`: no limit.
    pub bytes_per_second_max: u64,
    /// Nodes of the filter index that one client's publications may visit in a second beyond the ordinary;
    /// beyond it the client is not read. `0`: no limit.
    pub match_visits_per_second_max: u32,
    /// Milliseconds for which a client may be over its rates without a break; then it is disconnected. `0`: any.
    pub rate_pause_ms_max: u64,
    /// Takeovers of one client id in a minute that are not delayed. `0`: all.
    pub takeovers_undelayed_max: u32,
    /// Bytes of the filters of one session.
    pub subscription_bytes_max: u64,
    /// Bytes of routes that each shard keeps, so that it need not search for them again.
    pub route_cache_bytes_max: u64,
    /// Bytes of mail on their way to one shard; above it the publishers that feed that shard are not read.
    pub mailbox_bytes_max: u64,
    /// Sessions, connected or not.
    pub sessions_max: u32,
    /// Bytes of publications and sessions kept; above it no more are accepted. `0`: no limit.
    pub memory_bytes_max: u64,
    /// Client identifiers longer than this are refused, in bytes.
    pub client_id_bytes_max: u16,
    /// Highest QoS of publications accepted and delivered.
    pub maximum_qos: QoS,
    /// Whether retained messages are accepted.
    pub retain_available: bool,
    /// Whether filters may have wildcards.
    pub wildcard_subscription_available: bool,
    /// Whether subscription identifiers are accepted.
    pub subscription_identifiers_available: bool,
    /// Whether `$share/…` is accepted.
    pub shared_subscription_available: bool,
    /// Answer to Request Response Information, a topic prefix; empty: none.
    pub response_information: String,
    /// Where every client is sent instead of being served; empty: nowhere.
    pub server_reference: String,
    /// Whether `server_reference` is for good (0x9D) or for now (0x9C).
    pub server_moved: bool,
    /// A 3.x client whose publication is refused is disconnected instead of being acknowledged.
    pub disconnect_refused_v3: bool,
}

impl Limits {
    /// What is promised of a publication on this topic.
    pub fn durability_of(&self, topic: &str) -> Durability {
        let rule = self.durability_rules.iter().find(|rule| rule.is_about(topic));
        match (self.durability, rule) {
            (Durability::Memory, _) | (_, None) => self.durability,
            (_, Some(rule)) => rule.level,
        }
    }

    /// Whether a restart knows of sessions, and not of a publication on this topic.
    pub fn is_forgotten(&self, topic: &str) -> bool {
        self.durability > Durability::Memory && self.durability_of(topic) == Durability::Memory
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            durability: Durability::Disk,
            durability_rules: Vec::new(),
            connect_timeout_ms: 10_000,
            connect_wait_ms_max: 5_000,
            packet_bytes_max: 8 << 20,
            payload_bytes_max: 0,
            receive_maximum: u16::MAX,
            inflight_messages_max: 1024,
            inflight_messages_max_v3: 20,
            topic_alias_maximum: 32,
            topic_alias_maximum_out: 32,
            keep_alive_seconds_max: 0,
            session_expiry_seconds_max: u32::MAX,
            queue_messages_max: 0,
            queue_bytes_max: 256 << 20,
            queue_age_seconds_max: 0,
            queue_qos0: false,
            output_bytes_max: 1 << 20,
            retained_messages_max: 0,
            retained_bytes_max: 1 << 30,
            subscriptions_max: 65_536,
            wildcard_subscriptions_max: 16_384,
            topic_levels_max: 128,
            topic_bytes_max: u16::MAX,
            messages_per_second_max: 0,
            bytes_per_second_max: 0,
            match_visits_per_second_max: 1_000_000,
            rate_pause_ms_max: 0,
            takeovers_undelayed_max: 10,
            subscription_bytes_max: 16 << 20,
            route_cache_bytes_max: 64 << 20,
            mailbox_bytes_max: 16 << 20,
            sessions_max: 1_000_000,
            memory_bytes_max: 0,
            client_id_bytes_max: u16::MAX,
            maximum_qos: QoS::ExactlyOnce,
            retain_available: true,
            wildcard_subscription_available: true,
            subscription_identifiers_available: true,
            shared_subscription_available: true,
            response_information: String::new(),
            server_reference: String::new(),
            server_moved: false,
            disconnect_refused_v3: false,
        }
    }
}
