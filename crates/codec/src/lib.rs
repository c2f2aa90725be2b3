//! The wire format of MQTT 3.1, 3.1.1 and 5.0, and the one packet model that stands above it.
//!
//! Bytes go in through [`Decoder`], which checks a packet once and completely: flags, lengths, UTF-8,
//! property tables, reason codes. Above it nobody asks again. Packets go out through [`Packet::encode`].
//! The crate opens nothing and waits for nothing; it is the only place that knows version numbers.

mod ack;
mod auth;
mod connack;
mod connect;
mod decoder;
mod delivery;
mod disconnect;
mod encoder;
mod error;
mod filters;
mod packet;
mod properties;
mod property;
mod publish;
mod reason;
mod suback;
mod subscribe;
#[cfg(test)]
mod testing;
mod types;
mod unsuback;
mod unsubscribe;
mod utf8;
mod wire;

pub use decoder::Decoder;
pub use delivery::Delivery;
pub use error::{DecodeError, EncodeError};
pub use filters::{SubscribeFilters, UnsubscribeFilters};
pub use packet::{
    Ack, Auth, ConnAck, Connect, Disconnect, Packet, Publish, SubAck, Subscribe, UnsubAck, Unsubscribe, Will,
};
pub use properties::Properties;
pub use property::{PROPERTIES, Property, PropertyId, PropertyPlace, PropertyRule, PropertyType};
pub use reason::ReasonCode;
pub use types::{PacketId, PacketType, ProtocolVersion, QoS, RetainHandling, Role, SubscriptionOptions};
