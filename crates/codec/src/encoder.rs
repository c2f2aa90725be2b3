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
pub const fn packet_len(body_len: usize) -> usize {
    1 + wire::variable_byte_integer_len(body_len) + body_len
}

/// Appends the fixed header of a packet with so many bytes behind it, or nothing.
pub(crate) fn write_fixed_header(
    first_byte: u8,
    body_len: usize,
    out: &mut Vec<u8>,
) -> Result<(), EncodeError> {
    let packet_bytes = packet_len(body_len);
    if packet_bytes > PACKET_BYTES_MAX {
        return Err(EncodeError::PacketTooLarge { packet_bytes, packet_bytes_max: PACKET_BYTES_MAX });
    }
    out.push(first_byte);
    wire::put_variable_byte_integer(body_len as u32, out);
    Ok(())
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{EVERY_VERSION, Server, V3_1, V3_1_1, V5, decoder, id};
    use crate::{Ack, Auth, ConnAck, Connect, Disconnect, Property, Publish, QoS, SubAck, UnsubAck};

    fn explained() -> Properties<'static> {
        Properties::new()
            .with(Property::UserProperty("k", "1"))
            .with(Property::ReasonString("because"))
            .with(Property::UserProperty("k", "2"))
    }

    fn user_properties() -> Properties<'static> {
        Properties::new().with(Property::UserProperty("k", "1")).with(Property::UserProperty("k", "2"))
    }

    /// Every answer, with these properties beside what it needs.
    fn answers(properties: &Properties<'static>) -> [Packet<'static>; 9] {
        let ack = |reason_code| Ack { packet_id: id(9), reason_code, properties: properties.clone() };
        let method = properties.clone().with(Property::AuthenticationMethod("m"));
        let codes = || vec![ReasonCode::NotAuthorized].into();
        [
            Packet::ConnAck(ConnAck {
                session_present: false,
                reason_code: ReasonCode::NotAuthorized,
                properties: properties.clone(),
            }),
            Packet::PubAck(ack(ReasonCode::NotAuthorized)),
            Packet::PubRec(ack(ReasonCode::NotAuthorized)),
            Packet::PubRel(ack(ReasonCode::PacketIdentifierNotFound)),
            Packet::PubComp(ack(ReasonCode::PacketIdentifierNotFound)),
            Packet::SubAck(SubAck {
                packet_id: id(9),
                properties: properties.clone(),
                reason_codes: codes(),
            }),
            Packet::UnsubAck(UnsubAck {
                packet_id: id(9),
                properties: properties.clone(),
                reason_codes: codes(),
            }),
            Packet::Disconnect(Disconnect {
                reason_code: ReasonCode::NotAuthorized,
                properties: properties.clone(),
            }),
            Packet::Auth(Auth { reason_code: ReasonCode::ContinueAuthentication, properties: method }),
        ]
    }

    fn publish(payload: &[u8]) -> Packet<'_> {
        Packet::Publish(Publish {
            dup: false,
            qos: QoS::AtMostOnce,
            retain: false,
            topic: "t",
            packet_id: None,
            properties: user_properties(),
            payload,
        })
    }

    /// What is written within this many bytes, read again.
    #[track_caller]
    fn within(packet: &Packet<'_>, packet_bytes_max: usize) -> Packet<'static> {
        let mut out = Vec::new();
        packet.encode_within(V5, packet_bytes_max as u32, &mut out).expect("it fits");
        assert!(out.len() <= packet_bytes_max, "{packet:?}");
        let read = decoder(Server, V5).decode(&out).expect("valid").expect("whole").0;
        let same = answers(&explained()).into_iter().chain(answers(&user_properties()));
        let mut same = same.chain(answers(&Properties::EMPTY));
        same.find(|same| *same == read).expect("one of the three")
    }

    /// [MQTT-3.2.2-19], [MQTT-3.2.2-20], [MQTT-3.4.2-2], [MQTT-3.4.2-3] and their like for every answer.
    #[test]
    fn mqtt_3_2_2_19_reason_string_and_then_user_properties_make_room() {
        let (explained, short, bare) =
            (answers(&explained()), answers(&user_properties()), answers(&Properties::EMPTY));
        for ((explained, short), bare) in explained.iter().zip(&short).zip(&bare) {
            let len = |packet: &Packet<'_>| packet.encoded_len(V5);
            assert_eq!(within(explained, len(explained)), *explained);
            assert_eq!(within(explained, len(explained) - 1), *short);
            assert_eq!(within(explained, len(short)), *short);
            assert_eq!(within(explained, len(short) - 1), *bare);
            assert_eq!(within(explained, len(bare)), *bare);

            let packet_bytes_max = len(bare) - 1;
            let mut out = b"before".to_vec();
            let error = EncodeError::PacketTooLarge { packet_bytes: len(bare), packet_bytes_max };
            assert_eq!(explained.encode_within(V5, packet_bytes_max as u32, &mut out), Err(error));
            assert_eq!(out, b"before", "nothing was added");
        }
    }

    #[test]
    fn mqtt_3_3_2_17_a_publication_is_never_shortened() {
        let packet = publish(b"payload");
        let packet_bytes = packet.encoded_len(V5);
        let mut out = Vec::new();
        packet.encode_within(V5, packet_bytes as u32, &mut out).expect("it fits");
        assert_eq!(out.len(), packet_bytes);

        let packet_bytes_max = packet_bytes - 1;
        let error = EncodeError::PacketTooLarge { packet_bytes, packet_bytes_max };
        assert_eq!(packet.encode_within(V5, packet_bytes_max as u32, &mut out), Err(error));
        assert_eq!(out.len(), packet_bytes, "nothing was added");
    }

    #[test]
    fn nothing_fits_within_nothing_but_a_packet_that_is_not_written() {
        for packet in [Packet::PingReq, Packet::PingResp] {
            assert!(packet.encode_within(V5, 1, &mut Vec::new()).is_err());
            assert!(packet.encode_within(V5, 2, &mut Vec::new()).is_ok());
        }
        let taken_over = Disconnect { reason_code: ReasonCode::SessionTakenOver, properties: explained() };
        let mut out = Vec::new();
        assert_eq!(Packet::from(taken_over).encode_within(V3_1_1, 0, &mut out), Ok(()));
        assert_eq!(out, b"");
    }

    #[test]
    fn the_older_versions_carry_no_properties() {
        for version in [V3_1, V3_1_1] {
            for (with, without) in answers(&explained()).iter().zip(&answers(&Properties::EMPTY)) {
                let (mut bytes_with, mut bytes_without) = (Vec::new(), Vec::new());
                with.encode(version, &mut bytes_with).expect("it fits");
                without.encode(version, &mut bytes_without).expect("it fits");
                assert_eq!(bytes_with, bytes_without, "{with:?}");
                assert_eq!(with.encoded_len(version), bytes_with.len(), "{with:?}");
            }
        }
    }

    #[test]
    fn a_packet_is_appended() {
        let mut out = b"before".to_vec();
        for version in EVERY_VERSION {
            Packet::PingResp.encode(version, &mut out).expect("it fits");
        }
        assert_eq!(out, b"before\xD0\x00\xD0\x00\xD0\x00");
    }

    #[test]
    fn the_length_takes_as_many_bytes_as_it_needs() {
        // Topic, property section and payload: 2 + 1 + 15 + payload.
        for (payload_bytes, packet_bytes) in [(109, 129), (110, 131), (16_365, 16_386), (16_366, 16_388)] {
            let payload = vec![7; payload_bytes];
            let mut out = Vec::new();
            publish(&payload).encode(V5, &mut out).expect("it fits");
            assert_eq!((out.len(), publish(&payload).encoded_len(V5)), (packet_bytes, packet_bytes));
        }
    }

    #[test]
    fn no_packet_is_larger_than_its_length_can_say() {
        // 268,435,455 bytes of body: topic "t" takes 3, the properties 15. The zeros are never touched.
        let zeros = vec![0; 268_435_456];
        let largest = publish(&zeros[..268_435_455 - 18]);
        assert_eq!(largest.encoded_len(V5), PACKET_BYTES_MAX);

        let too_large = publish(&zeros[..268_435_455 - 17]);
        let error = EncodeError::PacketTooLarge {
            packet_bytes: PACKET_BYTES_MAX + 1,
            packet_bytes_max: PACKET_BYTES_MAX,
        };
        let mut out = Vec::new();
        assert_eq!(too_large.encode(V5, &mut out), Err(error));
        assert_eq!(out.capacity(), 0, "no room was made for it");
        // In 3.1.1 the same publication has no properties and fits.
        assert!(too_large.encoded_len(V3_1_1) < PACKET_BYTES_MAX);
    }

    #[test]
    fn a_field_that_is_too_long_leaves_nothing_behind() {
        let long = "x".repeat(65_536);
        let connect = Connect {
            version: V5,
            clean_start: true,
            keep_alive_seconds: 0,
            client_id: &long,
            will: None,
            user_name: None,
            password: None,
            properties: Properties::EMPTY,
        };
        let error = EncodeError::FieldTooLong { field: "the client identifier", bytes: 65_536 };
        let mut out = b"before".to_vec();
        assert_eq!(Packet::from(connect).encode(V5, &mut out), Err(error));
        assert_eq!(out, b"before");
    }
}
