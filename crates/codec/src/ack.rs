//! PUBACK, PUBREC, PUBREL and PUBCOMP on the wire: one shape, different reason codes.

use crate::decoder::Origin;
use crate::encoder::Body;
use crate::reason::ReasonCodes;
use crate::wire::{self, Reader};
use crate::{
    Ack, DecodeError, EncodeError, PacketType, Properties, PropertyPlace, ProtocolVersion, ReasonCode,
};

/// PUBACK [MQTT-3.4.2-1] and PUBREC [MQTT-3.5.2-1].
const fn codes_of_receipt(packet_type: PacketType) -> ReasonCodes {
    ReasonCodes {
        packet_type,
        from_either: &[
            ReasonCode::Success,
            ReasonCode::UnspecifiedError,
            ReasonCode::ImplementationSpecificError,
            ReasonCode::NotAuthorized,
            ReasonCode::TopicNameInvalid,
            ReasonCode::PacketIdentifierInUse,
            ReasonCode::QuotaExceeded,
            ReasonCode::PayloadFormatInvalid,
        ],
        from_server: &[ReasonCode::NoMatchingSubscribers],
        from_client: &[],
    }
}

/// PUBREL [MQTT-3.6.2-1] and PUBCOMP [MQTT-3.7.2-1].
const fn codes_of_release(packet_type: PacketType) -> ReasonCodes {
    ReasonCodes {
        packet_type,
        from_either: &[ReasonCode::Success, ReasonCode::PacketIdentifierNotFound],
        from_server: &[],
        from_client: &[],
    }
}

impl<'a> Ack<'a> {
    /// Reason code and properties may be missing from the end; then they are Success and none.
    pub(crate) fn decode(
        packet_type: PacketType,
        mut body: Reader<'a>,
        origin: Origin,
    ) -> Result<Self, DecodeError> {
        let mut ack = Self {
            packet_id: body.packet_id(packet_type)?,
            reason_code: ReasonCode::Success,
            properties: Properties::EMPTY,
        };
        if !body.is_empty() && origin.version == ProtocolVersion::V5 {
            let codes = match packet_type {
                PacketType::PubAck | PacketType::PubRec => codes_of_receipt(packet_type),
                _ => codes_of_release(packet_type),
            };
            ack.reason_code = codes.decode(body.u8("the reason code")?, origin.sender)?;
        }
        if !body.is_empty() {
            let place = PropertyPlace::Packet(packet_type);
            ack.properties = Properties::decode(&mut body, origin.version, place, origin.sender)?;
        }
        body.finish(packet_type)?;
        Ok(ack)
    }
}

impl Body for Ack<'_> {
    fn len(&self, version: ProtocolVersion) -> usize {
        match self.form(version) {
            Form::Id => 2,
            Form::IdAndCode => 3,
            Form::Whole => 3 + self.properties.section_len(version),
        }
    }

    fn write(&self, version: ProtocolVersion, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        wire::put_packet_id(self.packet_id, out);
        let form = self.form(version);
        if form != Form::Id {
            out.push(self.reason_code.as_u8());
        }
        if form == Form::Whole {
            self.properties.write(version, out);
        }
        Ok(())
    }
}

/// How much of an acknowledgement is written.
#[derive(PartialEq)]
enum Form {
    Id,
    IdAndCode,
    Whole,
}

impl Ack<'_> {
    fn form(&self, version: ProtocolVersion) -> Form {
        match version {
            ProtocolVersion::V3_1 | ProtocolVersion::V3_1_1 => Form::Id,
            ProtocolVersion::V5 if !self.properties.is_empty() => Form::Whole,
            ProtocolVersion::V5 if self.reason_code == ReasonCode::Success => Form::Id,
            ProtocolVersion::V5 => Form::IdAndCode,
        }
    }
}
