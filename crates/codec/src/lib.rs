//! The wire format of MQTT 3.1, 3.1.1 and 5.0, and the one packet model that stands above it.
//!
//! Bytes go in through [`Decoder`], which checks a packet once and completely: flags, lengths, UTF-8,
//! property tables, reason codes. Above it nobody asks again. Packets go out through [`Packet::encode`].
//! The crate opens nothing and waits for nothing; it is the only place that knows version numbers.

mod filters;
mod packet;
mod property;
mod reason;
mod types;

pub use filters::{SubscribeFilters, UnsubscribeFilters};
pub use packet::{
    Ack, Auth, ConnAck, Connect, Disconnect, Packet, Publish, SubAck, Subscribe, UnsubAck, Unsubscribe, Will,
};
pub use property::{Properties, Property, PropertyId};
pub use reason::ReasonCode;
pub use types::{PacketId, ProtocolVersion, QoS, RetainHandling, SubscriptionOptions};
