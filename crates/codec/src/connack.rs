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
