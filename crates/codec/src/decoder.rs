//! From bytes to packets.
//!
//! The decoder reads one packet from the front of the bytes it is shown and keeps nothing but the version of
//! the connection. It reports an error as early as the bytes allow: what the first byte or the length says
//! wrong is known before the body comes, so nobody waits for, or makes room for, a body that will be refused.
//! Decoding borrows and does not allocate. The one exception is the list of reason codes in the SUBACK or
//! UNSUBACK a client receives.

use crate::wire::{Reader, VariableByteInteger};
use crate::{
    Ack, Auth, ConnAck, Connect, DecodeError, Disconnect, Packet, PacketType, ProtocolVersion, Publish, QoS,
    Role, SubAck, Subscribe, UnsubAck, Unsubscribe,
};

const REMAINING_LENGTH: &str = "the remaining length";

/// Reads the packets one end of a connection receives.
///
/// After an error the connection is over; what further calls return is of no use.
#[derive(Clone, Debug)]
pub struct Decoder {
    role: Role,
    version: Option<ProtocolVersion>,
    packet_bytes_max: u32,
}

/// Who sent a packet, in which version: what the bodies are judged by.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Origin {
    pub(crate) sender: Role,
    pub(crate) version: ProtocolVersion,
}

/// What the first two to five bytes of a packet say, once all of them are there and have been checked.
#[derive(Clone, Copy, Debug)]
struct FixedHeader {
    packet_type: PacketType,
    flags: u8,
    remaining_length: VariableByteInteger,
}

impl Decoder {
    /// A decoder for what a server receives. It takes the version from the first packet, which must be
    /// CONNECT [MQTT-3.1.0-1]. Packets above `packet_bytes_max` bytes, fixed header included, are refused.
    pub const fn server(packet_bytes_max: u32) -> Self {
        Self { role: Role::Server, version: None, packet_bytes_max }
    }

    /// A decoder for what a client of this version receives.
    pub const fn client(version: ProtocolVersion, packet_bytes_max: u32) -> Self {
        Self { role: Role::Client, version: Some(version), packet_bytes_max }
    }

    /// The version of the connection. For a server it is known once a CONNECT has come whose protocol name
    /// and level are supported, even where something behind them is wrong: so it says after an error in which
    /// shape to refuse. [`DecodeError::UnsupportedVersion`] brings its own answer.
    pub const fn version(&self) -> Option<ProtocolVersion> {
        self.version
    }

    /// Changes the largest packet that is accepted, in bytes, fixed header included.
    pub const fn set_packet_bytes_max(&mut self, packet_bytes_max: u32) {
        self.packet_bytes_max = packet_bytes_max;
    }

    /// One packet from the front of `bytes` with its length in bytes; `None` while it is incomplete.
    ///
    /// Never looks behind the end that the packet's own header gives.
    pub fn decode<'a>(&mut self, bytes: &'a [u8]) -> Result<Option<(Packet<'a>, usize)>, DecodeError> {
        let Some(header) = self.fixed_header(bytes)? else { return Ok(None) };
        let (start, end) = (header.len(), header.packet_len());
        let Some(body) = bytes.get(start..end) else { return Ok(None) };
        let packet = self.body(header, Reader::new(body))?;
        Ok(Some((packet, end)))
    }

    /// The length in bytes of the packet at the front of `bytes`, as soon as its fixed header is complete; so
    /// a runtime can make room for the rest.
    pub fn packet_len(&self, bytes: &[u8]) -> Result<Option<usize>, DecodeError> {
        Ok(self.fixed_header(bytes)?.map(FixedHeader::packet_len))
    }

    fn fixed_header(&self, bytes: &[u8]) -> Result<Option<FixedHeader>, DecodeError> {
        let Some((&first_byte, length_bytes)) = bytes.split_first() else { return Ok(None) };
        let (packet_type, flags) = self.first_byte(first_byte)?;
        let Some(remaining_length) = VariableByteInteger::parse(length_bytes, REMAINING_LENGTH)? else {
            return Ok(None);
        };
        let header = FixedHeader { packet_type, flags, remaining_length };
        self.check_length(header)?;
        Ok(Some(header))
    }

    /// What the very first byte of a packet can have wrong.
    fn first_byte(&self, first_byte: u8) -> Result<(PacketType, u8), DecodeError> {
        let (type_bits, flags) = (first_byte >> 4, first_byte & 0x0F);
        let Some(version) = self.version else {
            if type_bits != PacketType::Connect as u8 {
                return Err(DecodeError::NotConnect { first_byte });
            }
            check_flags(PacketType::Connect, flags, ProtocolVersion::V5)?;
            return Ok((PacketType::Connect, flags));
        };
        let reserved = DecodeError::PacketTypeReserved { packet_type: type_bits };
        let packet_type = PacketType::from_bits(type_bits).ok_or(reserved)?;
        if packet_type == PacketType::Auth && version != ProtocolVersion::V5 {
            return Err(reserved);
        }
        let sender = self.role.peer();
        if !packet_type.may_be_sent_by(sender, version) {
            return Err(DecodeError::WrongDirection { packet_type, sender });
        }
        check_flags(packet_type, flags, version)?;
        Ok((packet_type, flags))
    }

    /// What the length can have wrong.
    fn check_length(&self, header: FixedHeader) -> Result<(), DecodeError> {
        // 3.x asks for no shortest form. While the version is unknown, CONNECT is given the benefit.
        if self.version == Some(ProtocolVersion::V5) && !header.remaining_length.is_shortest() {
            return Err(DecodeError::VariableByteIntegerNotShortest { field: REMAINING_LENGTH });
        }
        let packet_bytes = header.packet_len() as u32;
        let packet_bytes_max = self.packet_bytes_max;
        if packet_bytes > packet_bytes_max {
            return Err(DecodeError::PacketTooLarge { packet_bytes, packet_bytes_max });
        }
        let packet_type = header.packet_type;
        let remaining_length = header.remaining_length.value;
        match self.version.and_then(|version| fixed_remaining_length(packet_type, version)) {
            Some(expected) if expected != remaining_length => {
                Err(DecodeError::RemainingLength { packet_type, remaining_length, expected })
            }
            _ => Ok(()),
        }
    }

    fn body<'a>(&mut self, header: FixedHeader, body: Reader<'a>) -> Result<Packet<'a>, DecodeError> {
        let Some(version) = self.version else { return self.first_connect(header, body) };
        let origin = Origin { sender: self.role.peer(), version };
        let packet_type = header.packet_type;
        Ok(match packet_type {
            PacketType::Publish => Publish::decode(header.flags, body, origin)?.into(),
            PacketType::PubAck => Packet::PubAck(Ack::decode(packet_type, body, origin)?),
            PacketType::PubRec => Packet::PubRec(Ack::decode(packet_type, body, origin)?),
            PacketType::PubRel => Packet::PubRel(Ack::decode(packet_type, body, origin)?),
            PacketType::PubComp => Packet::PubComp(Ack::decode(packet_type, body, origin)?),
            PacketType::PingReq => Packet::PingReq,
            PacketType::PingResp => Packet::PingResp,
            PacketType::Connect => return Err(DecodeError::SecondConnect),
            PacketType::ConnAck => ConnAck::decode(body, origin)?.into(),
            PacketType::Subscribe => Subscribe::decode(body, origin)?.into(),
            PacketType::SubAck => SubAck::decode(body, origin)?.into(),
            PacketType::Unsubscribe => Unsubscribe::decode(body, origin)?.into(),
            PacketType::UnsubAck => UnsubAck::decode(body, origin)?.into(),
            PacketType::Disconnect => Disconnect::decode(body, origin)?.into(),
            PacketType::Auth => Auth::decode(body, origin)?.into(),
        })
    }

    /// The CONNECT that decides the version.
    fn first_connect<'a>(
        &mut self,
        header: FixedHeader,
        body: Reader<'a>,
    ) -> Result<Packet<'a>, DecodeError> {
        let version = Connect::decode_version(body)?;
        self.version = Some(version);
        if version == ProtocolVersion::V5 && !header.remaining_length.is_shortest() {
            return Err(DecodeError::VariableByteIntegerNotShortest { field: REMAINING_LENGTH });
        }
        Ok(Connect::decode(body)?.into())
    }
}

impl FixedHeader {
    /// The fixed header itself, in bytes.
    const fn len(self) -> usize {
        1 + self.remaining_length.bytes
    }

    /// The whole packet, in bytes.
    const fn packet_len(self) -> usize {
        self.len() + self.remaining_length.value as usize
    }
}

/// The lower half of the first byte [MQTT-2.1.3-1].
fn check_flags(packet_type: PacketType, flags: u8, version: ProtocolVersion) -> Result<(), DecodeError> {
    use PacketType::{PubRel, Publish, Subscribe, Unsubscribe};
    let is_right = match packet_type {
        Publish => return check_publish_flags(flags),
        // 3.1 sends these three at QoS 1, with DUP when it sends them again.
        PubRel | Subscribe | Unsubscribe if version == ProtocolVersion::V3_1 => flags & 0b0111 == 0b0010,
        PubRel | Subscribe | Unsubscribe => flags == 0b0010,
        _ => flags == 0,
    };
    if is_right { Ok(()) } else { Err(DecodeError::FixedHeaderFlags { packet_type, flags }) }
}

fn check_publish_flags(flags: u8) -> Result<(), DecodeError> {
    match QoS::from_bits(flags >> 1 & 0b11) {
        None => Err(DecodeError::PublishQoS),
        Some(QoS::AtMostOnce) if flags & 0b1000 != 0 => Err(DecodeError::DupWithQoS0),
        Some(_) => Ok(()),
    }
}

/// The remaining length of the packets that have no variable part in this version.
const fn fixed_remaining_length(packet_type: PacketType, version: ProtocolVersion) -> Option<u32> {
    use PacketType as Type;
    match (packet_type, version) {
        (Type::PingReq | Type::PingResp, _) => Some(0),
        (_, ProtocolVersion::V5) => None,
        (Type::Disconnect, _) => Some(0),
        (Type::ConnAck | Type::UnsubAck, _) => Some(2),
        (Type::PubAck | Type::PubRec | Type::PubRel | Type::PubComp, _) => Some(2),
        _ => None,
    }
}
