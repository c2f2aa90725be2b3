//! SUBACK on the wire.

use crate::decoder::Origin;
use crate::encoder::Body;
use crate::reason::ReasonCodes;
use crate::wire::{self, Reader};
use crate::{
    DecodeError, EncodeError, PacketType, Properties, PropertyPlace, ProtocolVersion, ReasonCode, SubAck,
};

/// [MQTT-3.9.3-2]
const REASON_CODES: ReasonCodes = ReasonCodes {
    packet_type: PacketType::SubAck,
    from_either: &[],
    from_server: &[
        ReasonCode::GRANTED_QOS_0,
        ReasonCode::GrantedQoS1,
        ReasonCode::GrantedQoS2,
        ReasonCode::UnspecifiedError,
        ReasonCode::ImplementationSpecificError,
        ReasonCode::NotAuthorized,
        ReasonCode::TopicFilterInvalid,
        ReasonCode::PacketIdentifierInUse,
        ReasonCode::QuotaExceeded,
        ReasonCode::SharedSubscriptionsNotSupported,
        ReasonCode::SubscriptionIdentifiersNotSupported,
        ReasonCode::WildcardSubscriptionsNotSupported,
    ],
    from_client: &[],
};

/// The return codes of 3.1.1. 3.1 lists no failure, but servers of its time answer with one.
const RETURN_CODES: ReasonCodes = ReasonCodes {
    packet_type: PacketType::SubAck,
    from_either: &[],
    from_server: &[
        ReasonCode::GRANTED_QOS_0,
        ReasonCode::GrantedQoS1,
        ReasonCode::GrantedQoS2,
        ReasonCode::UnspecifiedError,
    ],
    from_client: &[],
};

impl<'a> SubAck<'a> {
    pub(crate) fn decode(mut body: Reader<'a>, origin: Origin) -> Result<Self, DecodeError> {
        let codes = match origin.version {
            ProtocolVersion::V5 => REASON_CODES,
            ProtocolVersion::V3_1 | ProtocolVersion::V3_1_1 => RETURN_CODES,
        };
        let place = PropertyPlace::Packet(PacketType::SubAck);
        let packet_id = body.packet_id(PacketType::SubAck)?;
        let properties = Properties::decode(&mut body, origin.version, place, origin.sender)?;
        let reason_codes = body.rest().iter().map(|code| codes.decode(*code, origin.sender));
        Ok(Self { packet_id, properties, reason_codes: reason_codes.collect::<Result<_, _>>()? })
    }
}

/// The code as this version has it. 3.1 cannot say no; the least it can grant is QoS 0.
const fn code(reason_code: ReasonCode, version: ProtocolVersion) -> u8 {
    match version {
        ProtocolVersion::V3_1 if reason_code.is_error() => ReasonCode::GRANTED_QOS_0.as_u8(),
        ProtocolVersion::V3_1_1 if reason_code.is_error() => ReasonCode::UnspecifiedError.as_u8(),
        _ => reason_code.as_u8(),
    }
}

impl Body for SubAck<'_> {
    fn len(&self, version: ProtocolVersion) -> usize {
        2 + self.properties.section_len(version) + self.reason_codes.len()
    }

    fn write(&self, version: ProtocolVersion, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        wire::put_packet_id(self.packet_id, out);
        self.properties.write(version, out);
        out.extend(self.reason_codes.iter().map(|reason_code| code(*reason_code, version)));
        Ok(())
    }
}
