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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Property;
    use crate::testing::{
        Client, Server, V3_1, V3_1_1, V5, assert_decodes, assert_encodes, assert_refused, assert_same, frame,
    };

    fn disconnect(reason_code: ReasonCode, properties: Properties<'static>) -> Disconnect<'static> {
        Disconnect { reason_code, properties }
    }

    fn normal() -> Disconnect<'static> {
        disconnect(ReasonCode::NORMAL_DISCONNECTION, Properties::EMPTY)
    }

    #[test]
    fn a_normal_disconnect_is_empty_in_every_version() {
        for version in [V3_1, V3_1_1, V5] {
            assert_same(Client, version, b"\xE0\x00", normal());
        }
    }

    #[test]
    fn the_reason_alone_and_with_properties() {
        let packet = disconnect(ReasonCode::DisconnectWithWill, Properties::EMPTY);
        assert_same(Client, V5, b"\xE0\x01\x04", packet);
        let packet = disconnect(ReasonCode::SessionTakenOver, Properties::EMPTY);
        assert_same(Server, V5, b"\xE0\x01\x8E", packet);
        let properties = Properties::new().with(Property::ServerReference("s"));
        let packet = disconnect(ReasonCode::ServerMoved, properties);
        assert_same(Server, V5, &frame(0xE0, b"\x9D\x04\x1C\x00\x01s"), packet);
        let properties = Properties::new().with(Property::SessionExpiryInterval(0));
        let packet = disconnect(ReasonCode::NORMAL_DISCONNECTION, properties);
        assert_same(Client, V5, &frame(0xE0, b"\x00\x05\x11\x00\x00\x00\x00"), packet);
    }

    #[test]
    fn the_long_forms_of_the_same_are_read() {
        for sender in [Client, Server] {
            assert_decodes(sender, V5, b"\xE0\x01\x00", normal());
            assert_decodes(sender, V5, b"\xE0\x02\x00\x00", normal());
        }
        let packet = disconnect(ReasonCode::DisconnectWithWill, Properties::EMPTY);
        assert_decodes(Client, V5, b"\xE0\x02\x04\x00", packet);
    }

    #[test]
    fn the_older_versions_know_only_the_normal_one_of_a_client() {
        for version in [V3_1, V3_1_1] {
            let properties = Properties::new().with(Property::SessionExpiryInterval(0));
            assert_encodes(version, disconnect(ReasonCode::NORMAL_DISCONNECTION, properties), b"\xE0\x00");
            for code in [ReasonCode::DisconnectWithWill, ReasonCode::SessionTakenOver] {
                assert_encodes(version, disconnect(code, Properties::EMPTY), b"");
            }
            let (packet_type, sender) = (PacketType::Disconnect, Server);
            let error = DecodeError::WrongDirection { packet_type, sender };
            assert_refused(Server, version, b"\xE0", error, ReasonCode::ProtocolError);
            let error = DecodeError::RemainingLength { packet_type, remaining_length: 1, expected: 0 };
            assert_refused(Client, version, b"\xE0\x01", error, ReasonCode::MalformedPacket);
        }
    }

    #[test]
    fn mqtt_3_14_1_1_the_flags_are_zero() {
        for flags in 1..16 {
            let error = DecodeError::FixedHeaderFlags { packet_type: PacketType::Disconnect, flags };
            for version in [V3_1_1, V5] {
                assert_refused(Client, version, &[0xE0 | flags], error, ReasonCode::MalformedPacket);
            }
        }
    }

    #[test]
    fn what_is_cut_short_or_left_over_is_malformed() {
        let packet_type = PacketType::Disconnect;
        for (body, error) in [
            (&b"\x00\x01"[..], DecodeError::FieldBeyondEnd { field: "the property section" }),
            (b"\x00\x80", DecodeError::FieldBeyondEnd { field: "the property length" }),
            (b"\x00\x00!", DecodeError::TrailingBytes { packet_type, bytes: 1 }),
        ] {
            assert_refused(Client, V5, &frame(0xE0, body), error, ReasonCode::MalformedPacket);
        }
    }
}
