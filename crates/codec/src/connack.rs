//! CONNACK on the wire, with the return codes of 3.x.

use crate::decoder::Origin;
use crate::encoder::Body;
use crate::reason::ReasonCodes;
use crate::wire::Reader;
use crate::{
    ConnAck, DecodeError, EncodeError, PacketType, Properties, PropertyPlace, ProtocolVersion, ReasonCode,
    Role,
};

/// [MQTT-3.2.2-8]
const REASON_CODES: ReasonCodes = ReasonCodes {
    packet_type: PacketType::ConnAck,
    from_either: &[],
    from_server: &[
        ReasonCode::Success,
        ReasonCode::UnspecifiedError,
        ReasonCode::MalformedPacket,
        ReasonCode::ProtocolError,
        ReasonCode::ImplementationSpecificError,
        ReasonCode::UnsupportedProtocolVersion,
        ReasonCode::ClientIdentifierNotValid,
        ReasonCode::BadUserNameOrPassword,
        ReasonCode::NotAuthorized,
        ReasonCode::ServerUnavailable,
        ReasonCode::ServerBusy,
        ReasonCode::Banned,
        ReasonCode::BadAuthenticationMethod,
        ReasonCode::TopicNameInvalid,
        ReasonCode::PacketTooLarge,
        ReasonCode::QuotaExceeded,
        ReasonCode::PayloadFormatInvalid,
        ReasonCode::RetainNotSupported,
        ReasonCode::QoSNotSupported,
        ReasonCode::UseAnotherServer,
        ReasonCode::ServerMoved,
        ReasonCode::ConnectionRateExceeded,
    ],
    from_client: &[],
};

const SESSION_PRESENT: u8 = 0b0000_0001;

impl<'a> ConnAck<'a> {
    pub(crate) fn decode(mut body: Reader<'a>, origin: Origin) -> Result<Self, DecodeError> {
        let flags = body.u8("the connect acknowledge flags")?;
        let session_present = decode_flags(flags, origin.version)?;
        let code = body.u8("the reason code")?;
        let is_refusal_of_v5 = body.is_empty() && code == return_code(ReasonCode::UnsupportedProtocolVersion);
        let (reason_code, properties) = if origin.version != ProtocolVersion::V5 || is_refusal_of_v5 {
            // A server that has never heard of 5.0 refuses it in its own shape.
            (from_return_code(code)?, Properties::EMPTY)
        } else {
            let place = PropertyPlace::Packet(PacketType::ConnAck);
            let reason_code = REASON_CODES.decode(code, origin.sender)?;
            (reason_code, Properties::decode(&mut body, origin.version, place, origin.sender)?)
        };
        body.finish(PacketType::ConnAck)?;
        if session_present && reason_code.is_error() {
            return Err(DecodeError::SessionPresentWithRefusal);
        }
        Ok(Self { session_present, reason_code, properties })
    }
}

/// Bits 7 to 1 are reserved [MQTT-3.2.2-1]; 3.1 does not use the byte at all.
fn decode_flags(flags: u8, version: ProtocolVersion) -> Result<bool, DecodeError> {
    match flags {
        _ if version == ProtocolVersion::V3_1 => Ok(false),
        0 => Ok(false),
        SESSION_PRESENT => Ok(true),
        _ => Err(DecodeError::ConnAckFlags { flags }),
    }
}

/// The return code of 3.x that comes closest.
const fn return_code(reason_code: ReasonCode) -> u8 {
    match reason_code {
        ReasonCode::Success => 0,
        ReasonCode::UnsupportedProtocolVersion => 1,
        ReasonCode::ClientIdentifierNotValid => 2,
        ReasonCode::BadUserNameOrPassword => 4,
        ReasonCode::NotAuthorized | ReasonCode::Banned | ReasonCode::BadAuthenticationMethod => 5,
        _ => 3,
    }
}

fn from_return_code(code: u8) -> Result<ReasonCode, DecodeError> {
    Ok(match code {
        0 => ReasonCode::Success,
        1 => ReasonCode::UnsupportedProtocolVersion,
        2 => ReasonCode::ClientIdentifierNotValid,
        3 => ReasonCode::ServerUnavailable,
        4 => ReasonCode::BadUserNameOrPassword,
        5 => ReasonCode::NotAuthorized,
        _ => {
            let (packet_type, sender) = (PacketType::ConnAck, Role::Server);
            return Err(DecodeError::ReasonCodeNotAllowed { packet_type, sender, code });
        }
    })
}

impl Body for ConnAck<'_> {
    fn len(&self, version: ProtocolVersion) -> usize {
        2 + self.properties.section_len(version)
    }

    /// A refusal never says that a session is present [MQTT-3.2.2-6].
    fn write(&self, version: ProtocolVersion, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        let says_session_present = version != ProtocolVersion::V3_1 && !self.reason_code.is_error();
        let flags = if self.session_present && says_session_present { SESSION_PRESENT } else { 0 };
        let code = match version {
            ProtocolVersion::V5 => self.reason_code.as_u8(),
            _ => return_code(self.reason_code),
        };
        out.extend_from_slice(&[flags, code]);
        self.properties.write(version, out);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Property;
    use crate::testing::{
        Server, V3_1, V3_1_1, V5, assert_decodes, assert_encodes, assert_refused, assert_same, frame,
    };

    fn connack(session_present: bool, reason_code: ReasonCode) -> ConnAck<'static> {
        ConnAck { session_present, reason_code, properties: Properties::EMPTY }
    }

    #[test]
    fn success_in_each_version() {
        assert_same(Server, V5, b"\x20\x03\x00\x00\x00", connack(false, ReasonCode::Success));
        assert_same(Server, V5, b"\x20\x03\x01\x00\x00", connack(true, ReasonCode::Success));
        assert_same(Server, V3_1_1, b"\x20\x02\x00\x00", connack(false, ReasonCode::Success));
        assert_same(Server, V3_1_1, b"\x20\x02\x01\x00", connack(true, ReasonCode::Success));
        assert_same(Server, V3_1, b"\x20\x02\x00\x00", connack(false, ReasonCode::Success));
    }

    #[test]
    fn a_v3_1_connack_says_nothing_of_the_session() {
        assert_encodes(V3_1, connack(true, ReasonCode::Success), b"\x20\x02\x00\x00");
        for unused in [0x01, 0xFF] {
            assert_decodes(Server, V3_1, &[0x20, 2, unused, 0], connack(false, ReasonCode::Success));
        }
    }

    #[test]
    fn properties_follow_in_v5_and_are_left_out_before() {
        let properties = Properties::new().with(Property::TopicAliasMaximum(10));
        let packet = ConnAck { properties, ..connack(false, ReasonCode::Success) };
        assert_same(Server, V5, b"\x20\x06\x00\x00\x03\x22\x00\x0A", packet.clone());
        assert_encodes(V3_1_1, packet, b"\x20\x02\x00\x00");
    }

    #[test]
    fn every_refusal_becomes_the_nearest_return_code() {
        let nearest = |code: ReasonCode| match code.as_u8() {
            0x84 => 1,
            0x85 => 2,
            0x86 => 4,
            0x87 | 0x8A | 0x8C => 5,
            _ => 3,
        };
        for code in (0x80..=0xFF).filter_map(ReasonCode::from_u8) {
            for version in [V3_1, V3_1_1] {
                assert_encodes(version, connack(false, code), &[0x20, 2, 0, nearest(code)]);
            }
        }
    }

    #[test]
    fn every_return_code_becomes_a_reason_code() {
        let codes =
            [0x00, 0x84, 0x85, 0x88, 0x86, 0x87].map(|code| ReasonCode::from_u8(code).expect("a code"));
        for version in [V3_1, V3_1_1] {
            for (return_code, reason_code) in (0..).zip(codes) {
                assert_same(Server, version, &[0x20, 2, 0, return_code], connack(false, reason_code));
            }
            for code in 6..=255 {
                let (packet_type, sender) = (PacketType::ConnAck, Server);
                let error = DecodeError::ReasonCodeNotAllowed { packet_type, sender, code };
                assert_refused(Server, version, &[0x20, 2, 0, code], error, ReasonCode::ProtocolError);
            }
        }
    }

    #[test]
    fn an_old_server_refuses_v5_in_its_own_shape() {
        let refused = connack(false, ReasonCode::UnsupportedProtocolVersion);
        assert_decodes(Server, V5, b"\x20\x02\x00\x01", refused);
        for code in [0x00, 0x84] {
            let error = DecodeError::FieldBeyondEnd { field: "the property length" };
            assert_refused(Server, V5, &[0x20, 2, 0, code], error, ReasonCode::MalformedPacket);
        }
    }

    #[test]
    fn mqtt_3_2_2_1_reserved_acknowledge_flags() {
        for flags in 2..=255 {
            let error = DecodeError::ConnAckFlags { flags };
            assert_refused(Server, V5, &[0x20, 3, flags, 0, 0], error, ReasonCode::MalformedPacket);
            assert_refused(Server, V3_1_1, &[0x20, 2, flags, 0], error, ReasonCode::MalformedPacket);
        }
    }

    #[test]
    fn mqtt_3_2_2_6_a_refusal_has_no_session() {
        let error = DecodeError::SessionPresentWithRefusal;
        assert_refused(Server, V5, b"\x20\x03\x01\x87\x00", error, ReasonCode::ProtocolError);
        assert_refused(Server, V3_1_1, b"\x20\x02\x01\x05", error, ReasonCode::ProtocolError);
        assert_encodes(V5, connack(true, ReasonCode::NotAuthorized), b"\x20\x03\x00\x87\x00");
        assert_encodes(V3_1_1, connack(true, ReasonCode::NotAuthorized), b"\x20\x02\x00\x05");
    }

    #[test]
    fn the_body_has_its_length() {
        let error = DecodeError::TrailingBytes { packet_type: PacketType::ConnAck, bytes: 1 };
        assert_refused(Server, V5, &frame(0x20, b"\x00\x00\x00!"), error, ReasonCode::MalformedPacket);
        for remaining_length in [0, 1, 3] {
            let packet_type = PacketType::ConnAck;
            let error = DecodeError::RemainingLength { packet_type, remaining_length, expected: 2 };
            assert_refused(
                Server,
                V3_1_1,
                &[0x20, remaining_length as u8],
                error,
                ReasonCode::MalformedPacket,
            );
        }
        for (bytes, field) in
            [(&b"\x20\x00"[..], "the connect acknowledge flags"), (b"\x20\x01\x00", "the reason code")]
        {
            let error = DecodeError::FieldBeyondEnd { field };
            assert_refused(Server, V5, bytes, error, ReasonCode::MalformedPacket);
        }
    }
}
