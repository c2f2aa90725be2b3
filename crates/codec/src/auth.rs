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
