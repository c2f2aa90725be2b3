//! DISCONNECT on the wire.

use crate::decoder::Origin;
use crate::encoder::Body;
use crate::reason::ReasonCodes;
use crate::wire::Reader;
use crate::{
    DecodeError, Disconnect, EncodeError, PacketType, Properties, PropertyPlace, ProtocolVersion, ReasonCode,
};

/// [MQTT-3.14.2-1]
const REASON_CODES: ReasonCodes = ReasonCodes {
    packet_type: PacketType::Disconnect,
    from_either: &[
        // The table gives it to the client alone, but an empty DISCONNECT means it, whoever sends that.
        ReasonCode::NORMAL_DISCONNECTION,
        ReasonCode::UnspecifiedError,
        ReasonCode::MalformedPacket,
        ReasonCode::ProtocolError,
        ReasonCode::ImplementationSpecificError,
        ReasonCode::TopicNameInvalid,
        ReasonCode::ReceiveMaximumExceeded,
        ReasonCode::TopicAliasInvalid,
        ReasonCode::PacketTooLarge,
        ReasonCode::MessageRateTooHigh,
        ReasonCode::QuotaExceeded,
        ReasonCode::AdministrativeAction,
        ReasonCode::PayloadFormatInvalid,
    ],
    from_server: &[
        ReasonCode::NotAuthorized,
        ReasonCode::ServerBusy,
        ReasonCode::ServerShuttingDown,
        // Listed for DISCONNECT in section 2.4, for a re-authentication that fails.
        ReasonCode::BadAuthenticationMethod,
        ReasonCode::KeepAliveTimeout,
        ReasonCode::SessionTakenOver,
        ReasonCode::TopicFilterInvalid,
        ReasonCode::RetainNotSupported,
        ReasonCode::QoSNotSupported,
        ReasonCode::UseAnotherServer,
        ReasonCode::ServerMoved,
        ReasonCode::SharedSubscriptionsNotSupported,
        ReasonCode::ConnectionRateExceeded,
        ReasonCode::MaximumConnectTime,
        ReasonCode::SubscriptionIdentifiersNotSupported,
        ReasonCode::WildcardSubscriptionsNotSupported,
    ],
    from_client: &[ReasonCode::DisconnectWithWill],
};

impl<'a> Disconnect<'a> {
    /// Reason code and properties may be missing from the end; in 3.x they always are.
    pub(crate) fn decode(mut body: Reader<'a>, origin: Origin) -> Result<Self, DecodeError> {
        let mut packet =
            Self { reason_code: ReasonCode::NORMAL_DISCONNECTION, properties: Properties::EMPTY };
        if !body.is_empty() {
            packet.reason_code = REASON_CODES.decode(body.u8("the reason code")?, origin.sender)?;
        }
        if !body.is_empty() {
            let place = PropertyPlace::Packet(PacketType::Disconnect);
            packet.properties = Properties::decode(&mut body, origin.version, place, origin.sender)?;
        }
        body.finish(PacketType::Disconnect)?;
        Ok(packet)
    }
}

/// A packet without properties ends before them, and one without a reason ends before that.
impl Body for Disconnect<'_> {
    fn len(&self, version: ProtocolVersion) -> usize {
        match version {
            ProtocolVersion::V3_1 | ProtocolVersion::V3_1_1 => 0,
            ProtocolVersion::V5 if !self.properties.is_empty() => 1 + self.properties.section_len(version),
            ProtocolVersion::V5 if self.reason_code == ReasonCode::NORMAL_DISCONNECTION => 0,
            ProtocolVersion::V5 => 1,
        }
    }

    fn write(&self, version: ProtocolVersion, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        if Body::len(self, version) > 0 {
            out.push(self.reason_code.as_u8());
        }
        if Body::len(self, version) > 1 {
            self.properties.write(version, out);
        }
        Ok(())
    }
}
