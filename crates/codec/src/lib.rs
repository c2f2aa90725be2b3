//! The wire format of MQTT 3.1, 3.1.1 and 5.0, and the one packet model that stands above it.
//!
//! Bytes go in through [`Decoder`], which checks a packet once and completely: flags, lengths, UTF-8,
//! property tables, reason codes. Above it nobody asks again. Packets go out through [`Packet::encode`].
//! The crate opens nothing and waits for nothing; it is the only place that knows version numbers.
//!
//! One packet, one file: `connect.rs`, `publish.rs` and so on hold how a packet is read and how it is written.
//! `decoder.rs` has the fixed header and the early errors, `encoder.rs` the fixed header and the size bounds,
//! `property.rs` the one table of properties, `wire.rs` and `utf8.rs` the primitives.
//! `docs/design/codec.md` says why it is this way.
//!
//! ```
//! use noctule_codec::{Decoder, Packet, ProtocolVersion};
//!
//! let mut decoder = Decoder::server(1_048_576);
//! let received = b"\x10\x0D\x00\x04MQTT\x04\x02\x00\x3C\x00\x01c\xC0\x00";
//!
//! let (connect, len) = decoder.decode(received)?.expect("all of the CONNECT is there");
//! assert!(matches!(connect, Packet::Connect(connect) if connect.client_id == "c"));
//! assert_eq!(decoder.version(), Some(ProtocolVersion::V3_1_1));
//!
//! let (ping, _) = decoder.decode(&received[len..])?.expect("all of the PINGREQ is there");
//! assert_eq!(ping, Packet::PingReq);
//!
//! let mut answer = Vec::new();
//! Packet::PingResp.encode(ProtocolVersion::V3_1_1, &mut answer)?;
//! assert_eq!(answer, b"\xD0\x00");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

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

pub use decoder::{Decoder, first_packet_len};
pub use delivery::Delivery;
pub use encoder::packet_len;
pub use error::{DecodeError, EncodeError};
pub use filters::{SubscribeFilters, UnsubscribeFilters};
pub use packet::{
    Ack, Auth, ConnAck, Connect, Disconnect, Packet, Publish, SubAck, Subscribe, UnsubAck, Unsubscribe, Will,
};
pub use properties::Properties;
pub use property::{PROPERTIES, Property, PropertyId, PropertyPlace, PropertyRule, PropertyType};
pub use reason::ReasonCode;
pub use types::{PacketId, PacketType, ProtocolVersion, QoS, RetainHandling, Role, SubscriptionOptions};
