//! AUTH on the wire; 5.0 only.

use crate::decoder::Origin;
use crate::encoder::Body;
use crate::reason::ReasonCodes;
use crate::wire::Reader;
use crate::{
    Auth, DecodeError, EncodeError, PacketType, Properties, PropertyPlace, ProtocolVersion, ReasonCode,
};

/// [MQTT-3.15.2-1]
const REASON_CODES: ReasonCodes = ReasonCodes {
    packet_type: PacketType::Auth,
    from_either: &[ReasonCode::ContinueAuthentication],
    from_server: &[ReasonCode::Success],
    from_client: &[ReasonCode::ReAuthenticate],
};

impl<'a> Auth<'a> {
    /// An empty AUTH is Success without properties. Any other has to name its method.
    pub(crate) fn decode(mut body: Reader<'a>, origin: Origin) -> Result<Self, DecodeError> {
        let is_empty = body.is_empty();
        let code = if is_empty { ReasonCode::Success.as_u8() } else { body.u8("the reason code")? };
        let reason_code = REASON_CODES.decode(code, origin.sender)?;
        let properties = if body.is_empty() {
            Properties::EMPTY
        } else {
            let place = PropertyPlace::Packet(PacketType::Auth);
            Properties::decode(&mut body, origin.version, place, origin.sender)?
        };
        body.finish(PacketType::Auth)?;
        if !is_empty && properties.authentication_method().is_none() {
            return Err(DecodeError::AuthenticationMethodMissing);
        }
        Ok(Self { reason_code, properties })
    }

    fn is_empty(&self) -> bool {
        self.reason_code == ReasonCode::Success && self.properties.is_empty()
    }
}

impl Body for Auth<'_> {
    fn len(&self, version: ProtocolVersion) -> usize {
        if self.is_empty() { 0 } else { 1 + self.properties.section_len(version) }
    }

    fn write(&self, version: ProtocolVersion, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        if !self.is_empty() {
            out.push(self.reason_code.as_u8());
            self.properties.write(version, out);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{
        Client, Server, V3_1, V3_1_1, V5, assert_decodes, assert_encodes, assert_refused, assert_same, frame,
    };
    use crate::{Property, PropertyId};

    fn auth(reason_code: ReasonCode) -> Auth<'static> {
        let properties = Properties::new().with(Property::AuthenticationMethod("m"));
        Auth { reason_code, properties }
    }

    #[test]
    fn steps_in_both_directions() {
        let bytes = |code: u8| frame(0xF0, &[&[code, 4][..], b"\x15\x00\x01m"].concat());
        assert_same(Server, V5, &bytes(0x18), auth(ReasonCode::ContinueAuthentication));
        assert_same(Client, V5, &bytes(0x18), auth(ReasonCode::ContinueAuthentication));
        assert_same(Client, V5, &bytes(0x19), auth(ReasonCode::ReAuthenticate));
        assert_same(Server, V5, &bytes(0x00), auth(ReasonCode::Success));
    }

    #[test]
    fn success_without_properties_is_empty() {
        let success = Auth { reason_code: ReasonCode::Success, properties: Properties::EMPTY };
        assert_same(Server, V5, b"\xF0\x00", success);
        let (packet_type, sender) = (PacketType::Auth, Client);
        let error = DecodeError::ReasonCodeNotAllowed { packet_type, sender, code: 0 };
        assert_refused(Client, V5, b"\xF0\x00", error, ReasonCode::ProtocolError);
    }

    #[test]
    fn the_method_is_named() {
        let error = DecodeError::AuthenticationMethodMissing;
        for body in [&b"\x18"[..], b"\x18\x00", b"\x18\x04\x16\x00\x01d"] {
            assert_refused(Client, V5, &frame(0xF0, body), error, ReasonCode::ProtocolError);
        }
    }

    #[test]
    fn data_goes_with_the_method() {
        let packet = auth(ReasonCode::ContinueAuthentication);
        let packet =
            Auth { properties: packet.properties.with(Property::AuthenticationData(b"\x00")), ..packet };
        assert_decodes(Client, V5, &frame(0xF0, b"\x18\x08\x15\x00\x01m\x16\x00\x01\x00"), packet);

        let property = PropertyId::AuthenticationMethod;
        let error =
            DecodeError::PropertyRepeated { property, place: PropertyPlace::Packet(PacketType::Auth) };
        let twice = frame(0xF0, b"\x18\x08\x15\x00\x01m\x15\x00\x01m");
        assert_refused(Client, V5, &twice, error, ReasonCode::ProtocolError);
    }

    #[test]
    fn mqtt_3_15_1_1_the_flags_are_zero() {
        for flags in 1..16 {
            let error = DecodeError::FixedHeaderFlags { packet_type: PacketType::Auth, flags };
            assert_refused(Client, V5, &[0xF0 | flags], error, ReasonCode::MalformedPacket);
        }
    }

    #[test]
    fn the_older_versions_have_no_auth() {
        for version in [V3_1, V3_1_1] {
            assert_encodes(version, auth(ReasonCode::ContinueAuthentication), b"");
            for sender in [Client, Server] {
                let error = DecodeError::PacketTypeReserved { packet_type: 15 };
                assert_refused(sender, version, b"\xF0", error, ReasonCode::MalformedPacket);
            }
        }
    }

    #[test]
    fn what_is_left_over_is_malformed() {
        let error = DecodeError::TrailingBytes { packet_type: PacketType::Auth, bytes: 1 };
        let bytes = frame(0xF0, b"\x18\x04\x15\x00\x01m!");
        assert_refused(Client, V5, &bytes, error, ReasonCode::MalformedPacket);
    }
}
