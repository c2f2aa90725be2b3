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
            PacketType::Connect => Connect::decode(body)?.into(),
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

/// The length in bytes of the packet at the front of `bytes`, which is taken to be one, as soon as its fixed header is
/// complete.
pub fn first_packet_len(bytes: &[u8]) -> Option<usize> {
    let remaining_length = VariableByteInteger::parse(bytes.get(1..)?, REMAINING_LENGTH).ok()??;
    Some(1 + remaining_length.bytes + remaining_length.value as usize)
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{
        Client, EVERY_VERSION, Server, V3_1, V3_1_1, V5, assert_decodes, assert_refused, decoder, frame, id,
    };
    use crate::{Properties, ReasonCode};

    const CONNECT_V5: &[u8] = b"\x10\x0E\x00\x04MQTT\x05\x02\x00\x3C\x00\x00\x01c";
    const CONNECT_V3_1_1: &[u8] = b"\x10\x0D\x00\x04MQTT\x04\x02\x00\x3C\x00\x01c";

    fn puback(number: u16) -> Packet<'static> {
        Packet::PubAck(Ack {
            packet_id: id(number),
            reason_code: ReasonCode::Success,
            properties: Properties::EMPTY,
        })
    }

    #[test]
    fn mqtt_3_1_0_1_the_first_packet_is_connect() {
        for first_byte in (0..=255).filter(|byte| byte >> 4 != 1) {
            let error = DecodeError::NotConnect { first_byte };
            assert_eq!(Decoder::server(u32::MAX).decode(&[first_byte]), Err(error));
            assert_eq!(error.reason_code(), ReasonCode::ProtocolError);
        }
    }

    #[test]
    fn mqtt_2_1_3_1_connect_has_no_flags() {
        for flags in 1..16 {
            let error = DecodeError::FixedHeaderFlags { packet_type: PacketType::Connect, flags };
            assert_eq!(Decoder::server(u32::MAX).decode(&[0x10 | flags]), Err(error));
            assert_eq!(error.reason_code(), ReasonCode::MalformedPacket);
            assert_refused(Client, V3_1_1, &[0x10 | flags], error, ReasonCode::MalformedPacket);
        }
    }

    #[test]
    fn mqtt_2_1_3_1_the_other_packets_have_fixed_flags_too() {
        let of_clients = [(0x40, 0), (0x50, 0), (0x60, 2), (0x70, 0), (0xC0, 0)];
        let of_servers =
            [(0x20, 0), (0x40, 0), (0x50, 0), (0x60, 2), (0x70, 0), (0x90, 0), (0xB0, 0), (0xD0, 0)];
        for (sender, packets) in [(Client, &of_clients[..]), (Server, &of_servers[..])] {
            for (type_bits, right) in packets {
                for flags in (0..16).filter(|flags| flags != right) {
                    let packet_type = PacketType::from_bits(type_bits >> 4).expect("a packet type");
                    let error = DecodeError::FixedHeaderFlags { packet_type, flags };
                    let bytes = [type_bits | flags];
                    assert_refused(sender, V5, &bytes, error, ReasonCode::MalformedPacket);
                    assert_refused(sender, V3_1_1, &bytes, error, ReasonCode::MalformedPacket);
                }
            }
        }
    }

    /// [MQTT-3.6.1-1], and what 3.1 did instead.
    #[test]
    fn mqtt_3_6_1_1_v3_1_may_send_pubrel_again_with_dup() {
        let packet = Packet::PubRel(Ack {
            packet_id: id(1),
            reason_code: ReasonCode::Success,
            properties: Properties::EMPTY,
        });
        for sender in [Client, Server] {
            assert_decodes(sender, V3_1, &[0x6A, 2, 0, 1], packet.clone());
        }
        for flags in (0..16).filter(|flags| ![0b0010, 0b1010].contains(flags)) {
            let error = DecodeError::FixedHeaderFlags { packet_type: PacketType::PubRel, flags };
            assert_refused(Client, V3_1, &[0x60 | flags], error, ReasonCode::MalformedPacket);
        }
    }

    #[test]
    fn packet_type_0_is_reserved() {
        for version in EVERY_VERSION {
            for sender in [Client, Server] {
                let error = DecodeError::PacketTypeReserved { packet_type: 0 };
                assert_refused(sender, version, &[0x00], error, ReasonCode::MalformedPacket);
            }
        }
    }

    /// A CONNACK from a client once crashed mosquitto (its issue 2163).
    #[test]
    fn packets_of_the_other_end_are_refused_at_the_first_byte() {
        use PacketType::{ConnAck, Connect, PingReq, PingResp, SubAck, Subscribe, UnsubAck, Unsubscribe};
        for (sender, types) in [
            (Client, [ConnAck, SubAck, UnsubAck, PingResp]),
            (Server, [Connect, Subscribe, Unsubscribe, PingReq]),
        ] {
            for packet_type in types {
                for version in EVERY_VERSION {
                    let error = DecodeError::WrongDirection { packet_type, sender };
                    let bytes = [(packet_type as u8) << 4];
                    assert_refused(sender, version, &bytes, error, ReasonCode::ProtocolError);
                }
            }
        }
    }

    #[test]
    fn pings_are_empty() {
        for version in EVERY_VERSION {
            assert_decodes(Client, version, b"\xC0\x00", Packet::PingReq);
            assert_decodes(Server, version, b"\xD0\x00", Packet::PingResp);
            for (sender, first_byte, packet_type) in
                [(Client, 0xC0, PacketType::PingReq), (Server, 0xD0, PacketType::PingResp)]
            {
                let error = DecodeError::RemainingLength { packet_type, remaining_length: 1, expected: 0 };
                assert_refused(sender, version, &[first_byte, 1], error, ReasonCode::MalformedPacket);
            }
        }
    }

    #[test]
    fn a_server_learns_the_version_from_connect() {
        for (bytes, version) in [(CONNECT_V5, V5), (CONNECT_V3_1_1, V3_1_1)] {
            let mut decoder = Decoder::server(u32::MAX);
            assert_eq!(decoder.version(), None);
            for end in 0..bytes.len() {
                assert_eq!(decoder.decode(&bytes[..end]), Ok(None));
                assert_eq!(decoder.version(), None, "the CONNECT has not come yet");
            }
            decoder.decode(bytes).expect("a valid CONNECT");
            assert_eq!(decoder.version(), Some(version));
        }
        assert_eq!(Decoder::client(V3_1, 100).version(), Some(V3_1));
    }

    #[test]
    fn a_second_connect_does_not_change_the_version() {
        let mut decoder = decoder(Client, V5);
        let second = decoder.decode(CONNECT_V3_1_1).expect("it reads").expect("it is whole");
        assert_eq!(second.0.packet_type(), PacketType::Connect);
        assert_eq!(decoder.version(), Some(V5));
    }

    #[test]
    fn after_a_broken_connect_the_version_says_how_to_refuse() {
        let broken = |level: u8| frame(0x10, &[b"\x00\x04MQTT", &[level][..], b"\x03\x00\x00"].concat());
        for (level, version) in [(5, Some(V5)), (4, Some(V3_1_1)), (6, None)] {
            let mut decoder = Decoder::server(u32::MAX);
            assert!(decoder.decode(&broken(level)).is_err());
            assert_eq!(decoder.version(), version, "level {level}");
        }
    }

    #[test]
    fn packets_behind_one_another_are_read_one_by_one() {
        let stream = [CONNECT_V3_1_1, b"\x40\x02\x00\x01", b"\x40\x02\x00\x02", b"\x40"].concat();
        let mut decoder = Decoder::server(u32::MAX);
        let (_, connect_bytes) = decoder.decode(&stream).expect("valid").expect("whole");
        assert_eq!(connect_bytes, CONNECT_V3_1_1.len());
        let rest = &stream[connect_bytes..];
        assert_eq!(decoder.decode(rest), Ok(Some((puback(1), 4))));
        assert_eq!(decoder.decode(&rest[4..]), Ok(Some((puback(2), 4))));
        assert_eq!(decoder.decode(&rest[8..]), Ok(None));
        assert_eq!(decoder.decode(&[]), Ok(None));
    }

    #[test]
    fn the_length_is_known_with_the_fixed_header() {
        let decoder = decoder(Client, V5);
        for (bytes, expected) in [
            (&b""[..], None),
            (b"\x30", None),
            (b"\x30\x80", None),
            (b"\x30\x80\x80\x80", None),
            (b"\x30\x05", Some(7)),
            (b"\x30\x80\x01", Some(131)),
            (b"\x30\xFF\xFF\xFF\x7F", Some(268_435_460)),
            (b"\x30\x05and much more", Some(7)),
        ] {
            assert_eq!(decoder.packet_len(bytes), Ok(expected), "{bytes:02X?}");
        }
        assert!(decoder.packet_len(b"\x31\xFF\xFF\xFF\xFF").is_err());
        assert!(decoder.packet_len(b"\x20").is_err());
    }

    #[test]
    fn a_fifth_length_byte_is_refused_before_it_comes() {
        let error = DecodeError::VariableByteIntegerTooLong { field: REMAINING_LENGTH };
        for version in EVERY_VERSION {
            let bytes = b"\x30\x80\x80\x80\x80";
            assert_refused(Client, version, bytes, error, ReasonCode::MalformedPacket);
            assert_eq!(decoder(Client, version).decode(&bytes[..4]), Ok(None));
        }
        assert_eq!(Decoder::server(u32::MAX).decode(b"\x10\xFF\xFF\xFF\xFF"), Err(error));
    }

    #[test]
    fn mqtt_1_5_5_1_the_remaining_length_is_as_short_as_possible_in_v5() {
        let error = DecodeError::VariableByteIntegerNotShortest { field: REMAINING_LENGTH };
        assert_refused(Client, V5, b"\xC0\x80\x00", error, ReasonCode::MalformedPacket);
        assert_refused(Server, V5, b"\x40\x82\x80\x00", error, ReasonCode::MalformedPacket);
        // 3.1 and 3.1.1 do not ask for it.
        for version in [V3_1, V3_1_1] {
            assert_decodes(Client, version, b"\xC0\x80\x00", Packet::PingReq);
            assert_decodes(Client, version, b"\x40\x82\x80\x00\x00\x07", puback(7));
        }
    }

    #[test]
    fn mqtt_1_5_5_1_and_so_is_that_of_the_first_connect() {
        let padded = |connect: &[u8]| [&[0x10, connect[1] | 0x80, 0x00], &connect[2..]].concat();
        let bytes = padded(CONNECT_V3_1_1);
        let mut decoder = Decoder::server(u32::MAX);
        assert!(matches!(decoder.decode(&bytes), Ok(Some((Packet::Connect(_), 16)))));

        let mut decoder = Decoder::server(u32::MAX);
        let error = DecodeError::VariableByteIntegerNotShortest { field: REMAINING_LENGTH };
        assert_eq!(decoder.decode(&padded(CONNECT_V5)), Err(error));
        assert_eq!(decoder.version(), Some(V5));
    }

    #[test]
    fn mqtt_3_1_2_24_a_packet_above_the_maximum_is_refused_with_its_length() {
        let mut decoder = Decoder::server(20);
        decoder.decode(CONNECT_V5).expect("a valid CONNECT");
        for (bytes, packet_bytes) in [(&b"\x30\x13"[..], 21), (b"\x30\xFF\xFF\xFF\x7F", 268_435_460)] {
            let error = DecodeError::PacketTooLarge { packet_bytes, packet_bytes_max: 20 };
            assert_eq!(decoder.decode(bytes), Err(error));
            assert_eq!(decoder.packet_len(bytes), Err(error));
            assert_eq!(error.reason_code(), ReasonCode::PacketTooLarge);
        }
        assert_eq!(decoder.decode(b"\x30\x12"), Ok(None), "20 bytes are allowed");
        decoder.set_packet_bytes_max(21);
        assert_eq!(decoder.decode(b"\x30\x13"), Ok(None));
    }

    #[test]
    fn a_connect_above_the_maximum_leaves_the_version_unknown() {
        let mut decoder = Decoder::server(15);
        let error = DecodeError::PacketTooLarge { packet_bytes: 16, packet_bytes_max: 15 };
        assert_eq!(decoder.decode(&CONNECT_V5[..2]), Err(error));
        assert_eq!(decoder.version(), None);
    }

    #[test]
    fn nothing_behind_the_packet_is_looked_at() {
        let mut decoder = decoder(Client, V5);
        for garbage in [&b"\xFF\xFF\xFF"[..], b"\x00", b"\x10\x00"] {
            let bytes = [b"\x40\x02\x00\x01", garbage].concat();
            assert_eq!(decoder.decode(&bytes), Ok(Some((puback(1), 4))));
        }
    }

    #[test]
    fn what_lies_within_the_length_belongs_to_the_packet() {
        // The topic claims two bytes more than the packet has; they are there, but they are the next packet's.
        let bytes = b"\x30\x04\x00\x04ab\xC0\x00";
        let error = DecodeError::FieldBeyondEnd { field: "the topic name" };
        assert_refused(Client, V3_1_1, bytes, error, ReasonCode::MalformedPacket);
    }
}
