//! What the tables of cases in this crate are written with.

use crate::{Decoder, Packet, PacketId, ProtocolVersion, ReasonCode, Role};

pub(crate) use crate::ProtocolVersion::{V3_1, V3_1_1, V5};
pub(crate) use crate::Role::{Client, Server};

pub(crate) const EVERY_VERSION: [ProtocolVersion; 3] = [V3_1, V3_1_1, V5];

/// A packet with this first byte and body, in bytes.
pub(crate) fn frame(first_byte: u8, body: &[u8]) -> Vec<u8> {
    let mut bytes = vec![first_byte];
    crate::wire::put_variable_byte_integer(body.len() as u32, &mut bytes);
    bytes.extend_from_slice(body);
    bytes
}

/// What receives the packets of `sender` on a connection of this version.
pub(crate) fn decoder(sender: Role, version: ProtocolVersion) -> Decoder {
    if sender == Server {
        return Decoder::client(version, u32::MAX);
    }
    let connect: &[u8] = match version {
        V3_1 => b"\x10\x0F\x00\x06MQIsdp\x03\x02\x00\x00\x00\x01c",
        V3_1_1 => b"\x10\x0D\x00\x04MQTT\x04\x02\x00\x00\x00\x01c",
        V5 => b"\x10\x0E\x00\x04MQTT\x05\x02\x00\x00\x00\x00\x01c",
    };
    let mut decoder = Decoder::server(u32::MAX);
    let (_, bytes) = decoder.decode(connect).expect("the CONNECT is valid").expect("the CONNECT is whole");
    assert_eq!((bytes, decoder.version()), (connect.len(), Some(version)));
    decoder
}

pub(crate) fn id(number: u16) -> PacketId {
    PacketId::new(number).expect("tests use no packet identifier 0")
}

/// These bytes are this packet, read and written.
#[track_caller]
pub(crate) fn assert_same<'a>(
    sender: Role,
    version: ProtocolVersion,
    bytes: &[u8],
    packet: impl Into<Packet<'a>>,
) {
    let packet = packet.into();
    assert_decodes(sender, version, bytes, packet.clone());
    assert_encodes(version, packet, bytes);
}

/// These bytes are read as this packet. (Written, it may look another way.)
#[track_caller]
pub(crate) fn assert_decodes<'a>(
    sender: Role,
    version: ProtocolVersion,
    bytes: &[u8],
    packet: impl Into<Packet<'a>>,
) {
    let decoded = decoder(sender, version).decode(bytes);
    assert_eq!(decoded, Ok(Some((packet.into(), bytes.len()))), "{version:?} {bytes:02X?}");
}

/// This packet is written as these bytes. (Read, they may say less.)
#[track_caller]
pub(crate) fn assert_encodes<'a>(version: ProtocolVersion, packet: impl Into<Packet<'a>>, bytes: &[u8]) {
    let packet = packet.into();
    let mut out = Vec::new();
    packet.encode(version, &mut out).expect("the packet can be written");
    assert_eq!(out, bytes, "{version:?} {packet:?}");
    assert_eq!(packet.encoded_len(version), bytes.len(), "{version:?} {packet:?}");
}

/// These bytes break this rule, and the peer is told so by this code.
#[track_caller]
pub(crate) fn assert_refused(
    sender: Role,
    version: ProtocolVersion,
    bytes: &[u8],
    error: crate::DecodeError,
    reason_code: ReasonCode,
) {
    let decoded = decoder(sender, version).decode(bytes);
    assert_eq!(decoded, Err(error), "{version:?} {bytes:02X?}");
    assert_eq!(error.reason_code(), reason_code, "{error}");
}
