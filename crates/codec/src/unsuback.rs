//! UNSUBACK on the wire.

use crate::decoder::Origin;
use crate::encoder::Body;
use crate::reason::ReasonCodes;
use crate::wire::{self, Reader};
use crate::{
    DecodeError, EncodeError, PacketType, Properties, PropertyPlace, ProtocolVersion, ReasonCode, UnsubAck,
};

/// [MQTT-3.11.3-2]
const REASON_CODES: ReasonCodes = ReasonCodes {
    packet_type: PacketType::UnsubAck,
    from_either: &[],
    from_server: &[
        ReasonCode::Success,
        ReasonCode::NoSubscriptionExisted,
        ReasonCode::UnspecifiedError,
        ReasonCode::ImplementationSpecificError,
        ReasonCode::NotAuthorized,
        ReasonCode::TopicFilterInvalid,
        ReasonCode::PacketIdentifierInUse,
    ],
    from_client: &[],
};

impl<'a> UnsubAck<'a> {
    /// In 3.x the length has been checked, so that no code is left to read.
    pub(crate) fn decode(mut body: Reader<'a>, origin: Origin) -> Result<Self, DecodeError> {
        let place = PropertyPlace::Packet(PacketType::UnsubAck);
        let packet_id = body.packet_id(PacketType::UnsubAck)?;
        let properties = Properties::decode(&mut body, origin.version, place, origin.sender)?;
        let reason_codes = body.rest().iter().map(|code| REASON_CODES.decode(*code, origin.sender));
        Ok(Self { packet_id, properties, reason_codes: reason_codes.collect::<Result<_, _>>()? })
    }
}

impl Body for UnsubAck<'_> {
    fn len(&self, version: ProtocolVersion) -> usize {
        match version {
            ProtocolVersion::V5 => 2 + self.properties.section_len(version) + self.reason_codes.len(),
            ProtocolVersion::V3_1 | ProtocolVersion::V3_1_1 => 2,
        }
    }

    fn write(&self, version: ProtocolVersion, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        wire::put_packet_id(self.packet_id, out);
        if version == ProtocolVersion::V5 {
            self.properties.write(version, out);
            out.extend(self.reason_codes.iter().map(|reason_code| reason_code.as_u8()));
        }
        Ok(())
    }
}
