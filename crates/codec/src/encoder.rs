//! From packets to bytes.
//!
//! A packet is written in the version of its receiver. What that version cannot express is left out: property
//! sections, reason codes of acknowledgements, or the whole packet where it does not exist. What is written
//! is trusted to keep the rules the decoder checks; the lengths alone are checked here.

use crate::wire::{self, VARIABLE_BYTE_INTEGER_BYTES_MAX, VARIABLE_BYTE_INTEGER_MAX};
use crate::{EncodeError, Packet, PacketType, Properties, PropertyId, ProtocolVersion, ReasonCode};

/// The most bytes a packet can have.
const PACKET_BYTES_MAX: usize = 1 + VARIABLE_BYTE_INTEGER_BYTES_MAX + VARIABLE_BYTE_INTEGER_MAX as usize;

/// The part of a packet behind its fixed header.
pub(crate) trait Body {
    /// Exactly what `write` will append, in bytes.
    fn len(&self, version: ProtocolVersion) -> usize;

    /// Appends the body.
    fn write(&self, version: ProtocolVersion, out: &mut Vec<u8>) -> Result<(), EncodeError>;
}

impl Packet<'_> {
    /// Appends the packet to `out`. A CONNECT is written in its own version, every other packet in `version`.
    ///
    /// Writes nothing for a packet that 3.x does not have: AUTH, and a DISCONNECT with another reason than
    /// Normal disconnection, which is all that a 3.x DISCONNECT can mean.
    pub fn encode(&self, version: ProtocolVersion, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        if !self.is_expressible(version) {
            return Ok(());
        }
        let (first_byte, body) = self.parts();
        write_packet(first_byte, body, version, out)
    }

    /// How many bytes [`encode`](Self::encode) appends, or would append if the packet were not too large.
    pub fn encoded_len(&self, version: ProtocolVersion) -> usize {
        if !self.is_expressible(version) {
            return 0;
        }
        let (_, body) = self.parts();
        packet_len(body.len(version))
    }

    /// Appends the packet in no more than `packet_bytes_max` bytes, the receiver's Maximum Packet Size.
    ///
    /// Where an answer (CONNACK, an acknowledgement, DISCONNECT, AUTH) is too large, its reason string is left
    /// out, and if that does not help its user properties too [MQTT-3.2.2-19], [MQTT-3.2.2-20] and the like
    /// for the other packets. Other packets are written whole or not at all [MQTT-3.1.2-24].
    pub fn encode_within(
        &self,
        version: ProtocolVersion,
        packet_bytes_max: u32,
        out: &mut Vec<u8>,
    ) -> Result<(), EncodeError> {
        let packet_bytes_max = packet_bytes_max as usize;
        if self.encoded_len(version) <= packet_bytes_max {
            return self.encode(version, out);
        }
        let mut shorter = self.clone();
        for left_out in [PropertyId::ReasonString, PropertyId::UserProperty] {
            if let Some(properties) = shorter.answer_properties_mut() {
                *properties = properties.without(left_out).into_owned();
            }
            if shorter.encoded_len(version) <= packet_bytes_max {
                return shorter.encode(version, out);
            }
        }
        Err(EncodeError::PacketTooLarge { packet_bytes: shorter.encoded_len(version), packet_bytes_max })
    }

    fn is_expressible(&self, version: ProtocolVersion) -> bool {
        match self {
            Self::Auth(_) => version == ProtocolVersion::V5,
            Self::Disconnect(packet) => {
                version == ProtocolVersion::V5 || packet.reason_code == ReasonCode::NORMAL_DISCONNECTION
            }
            _ => true,
        }
    }

    fn parts(&self) -> (u8, &dyn Body) {
        const FLAGS_OF_QOS_1: u8 = 0b0010;
        match self {
            Self::Connect(packet) => (first_byte(PacketType::Connect, 0), packet),
            Self::ConnAck(packet) => (first_byte(PacketType::ConnAck, 0), packet),
            Self::Publish(packet) => (packet.first_byte(), packet),
            Self::PubAck(packet) => (first_byte(PacketType::PubAck, 0), packet),
            Self::PubRec(packet) => (first_byte(PacketType::PubRec, 0), packet),
            Self::PubRel(packet) => (first_byte(PacketType::PubRel, FLAGS_OF_QOS_1), packet),
            Self::PubComp(packet) => (first_byte(PacketType::PubComp, 0), packet),
            Self::Subscribe(packet) => (first_byte(PacketType::Subscribe, FLAGS_OF_QOS_1), packet),
            Self::SubAck(packet) => (first_byte(PacketType::SubAck, 0), packet),
            Self::Unsubscribe(packet) => (first_byte(PacketType::Unsubscribe, FLAGS_OF_QOS_1), packet),
            Self::UnsubAck(packet) => (first_byte(PacketType::UnsubAck, 0), packet),
            Self::PingReq => (first_byte(PacketType::PingReq, 0), &NoBody),
            Self::PingResp => (first_byte(PacketType::PingResp, 0), &NoBody),
            Self::Disconnect(packet) => (first_byte(PacketType::Disconnect, 0), packet),
            Self::Auth(packet) => (first_byte(PacketType::Auth, 0), packet),
        }
    }
}

impl<'a> Packet<'a> {
    /// The properties of a packet in which reason string and user properties are only there to help a person.
    fn answer_properties_mut(&mut self) -> Option<&mut Properties<'a>> {
        match self {
            Self::ConnAck(packet) => Some(&mut packet.properties),
            Self::PubAck(ack) | Self::PubRec(ack) | Self::PubRel(ack) | Self::PubComp(ack) => {
                Some(&mut ack.properties)
            }
            Self::SubAck(packet) => Some(&mut packet.properties),
            Self::UnsubAck(packet) => Some(&mut packet.properties),
            Self::Disconnect(packet) => Some(&mut packet.properties),
            Self::Auth(packet) => Some(&mut packet.properties),
            Self::Connect(_) | Self::Publish(_) | Self::Subscribe(_) | Self::Unsubscribe(_) => None,
            Self::PingReq | Self::PingResp => None,
        }
    }
}

/// The first byte of a packet.
pub(crate) const fn first_byte(packet_type: PacketType, flags: u8) -> u8 {
    (packet_type as u8) << 4 | flags
}

/// A whole packet in bytes.
pub(crate) const fn packet_len(body_len: usize) -> usize {
    1 + wire::variable_byte_integer_len(body_len) + body_len
}

/// Appends fixed header and body, or nothing.
pub(crate) fn write_packet(
    first_byte: u8,
    body: &(impl Body + ?Sized),
    version: ProtocolVersion,
    out: &mut Vec<u8>,
) -> Result<(), EncodeError> {
    let body_len = body.len(version);
    let packet_bytes = packet_len(body_len);
    if packet_bytes > PACKET_BYTES_MAX {
        return Err(EncodeError::PacketTooLarge { packet_bytes, packet_bytes_max: PACKET_BYTES_MAX });
    }
    let start = out.len();
    out.reserve(packet_bytes);
    out.push(first_byte);
    wire::put_variable_byte_integer(body_len as u32, out);
    body.write(version, out).inspect_err(|_| out.truncate(start))?;
    debug_assert_eq!(out.len() - start, packet_bytes, "a body knows its own length");
    Ok(())
}

/// PINGREQ and PINGRESP.
struct NoBody;

impl Body for NoBody {
    fn len(&self, _version: ProtocolVersion) -> usize {
        0
    }

    fn write(&self, _version: ProtocolVersion, _out: &mut Vec<u8>) -> Result<(), EncodeError> {
        Ok(())
    }
}
