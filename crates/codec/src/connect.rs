//! CONNECT on the wire.

use crate::encoder::Body;
use crate::wire::{self, Reader};
use crate::{
    Connect, DecodeError, EncodeError, PacketType, Properties, PropertyPlace, ProtocolVersion, QoS, Role,
    Will,
};

const NAME: &str = "MQTT";
const NAME_3_1: &str = "MQIsdp";

const PROTOCOL_NAME: &str = "the protocol name";
const PROTOCOL_LEVEL: &str = "the protocol level";
const CLIENT_ID: &str = "the client identifier";
const WILL_TOPIC: &str = "the will topic";
const WILL_PAYLOAD: &str = "the will payload";
const USER_NAME: &str = "the user name";
const PASSWORD: &str = "the password";

/// The Connect Flags.
#[derive(Clone, Copy)]
struct Flags(u8);

impl Flags {
    const RESERVED: u8 = 0b0000_0001;
    const CLEAN_START: u8 = 0b0000_0010;
    const WILL: u8 = 0b0000_0100;
    const WILL_QOS_SHIFT: u8 = 3;
    const WILL_RETAIN: u8 = 0b0010_0000;
    const WILL_ANY: u8 = 0b0011_1100;
    const PASSWORD: u8 = 0b0100_0000;
    const USER_NAME: u8 = 0b1000_0000;

    fn decode(bits: u8, version: ProtocolVersion) -> Result<Self, DecodeError> {
        let flags = Self(bits);
        if flags.has(Self::RESERVED) {
            return Err(DecodeError::ConnectFlagReserved);
        }
        if !flags.has(Self::WILL) && bits & Self::WILL_ANY != 0 {
            return Err(DecodeError::WillFlagsWithoutWill);
        }
        flags.will_qos()?;
        if version != ProtocolVersion::V5 && flags.has(Self::PASSWORD) && !flags.has(Self::USER_NAME) {
            return Err(DecodeError::PasswordWithoutUserName);
        }
        Ok(flags)
    }

    const fn has(self, flag: u8) -> bool {
        self.0 & flag != 0
    }

    fn will_qos(self) -> Result<QoS, DecodeError> {
        QoS::from_bits(self.0 >> Self::WILL_QOS_SHIFT & 0b11).ok_or(DecodeError::WillQoS)
    }
}

impl<'a> Connect<'a> {
    /// Which version a CONNECT asks for.
    pub(crate) fn decode_version(mut body: Reader<'_>) -> Result<ProtocolVersion, DecodeError> {
        let name = body.string(PROTOCOL_NAME)?;
        let level = body.u8(PROTOCOL_LEVEL)?;
        match (name, level) {
            (NAME, 5) => Ok(ProtocolVersion::V5),
            (NAME, 4) => Ok(ProtocolVersion::V3_1_1),
            (NAME_3_1, 3) => Ok(ProtocolVersion::V3_1),
            _ => Err(unsupported(name, level, body)),
        }
    }

    pub(crate) fn decode(mut body: Reader<'a>) -> Result<Self, DecodeError> {
        let version = Self::decode_version(body)?;
        body.string(PROTOCOL_NAME)?;
        body.u8(PROTOCOL_LEVEL)?;
        Self::decode_after_level(body, version)
    }

    /// Payload fields come in a fixed order [MQTT-3.1.3-1].
    fn decode_after_level(mut body: Reader<'a>, version: ProtocolVersion) -> Result<Self, DecodeError> {
        let flags = Flags::decode(body.u8("the connect flags")?, version)?;
        let connect = Self {
            version,
            clean_start: flags.has(Flags::CLEAN_START),
            keep_alive_seconds: body.u16("the keep alive")?,
            properties: decode_properties(&mut body, version)?,
            client_id: body.string(CLIENT_ID)?,
            will: decode_will(&mut body, flags, version)?,
            user_name: flags.has(Flags::USER_NAME).then(|| body.string(USER_NAME)).transpose()?,
            password: flags.has(Flags::PASSWORD).then(|| body.binary(PASSWORD)).transpose()?,
        };
        body.finish(PacketType::Connect)?;
        Ok(connect)
    }

    fn flags(&self) -> u8 {
        let will = self.will.as_ref().map_or(0, |will| {
            let retain = if will.retain { Flags::WILL_RETAIN } else { 0 };
            Flags::WILL | (will.qos as u8) << Flags::WILL_QOS_SHIFT | retain
        });
        let clean_start = if self.clean_start { Flags::CLEAN_START } else { 0 };
        let user_name = if self.user_name.is_some() { Flags::USER_NAME } else { 0 };
        let password = if self.password().is_some() { Flags::PASSWORD } else { 0 };
        clean_start | will | user_name | password
    }

    /// The password, where this version may send it.
    fn password(&self) -> Option<&[u8]> {
        let is_allowed = self.version == ProtocolVersion::V5 || self.user_name.is_some();
        self.password.filter(|_| is_allowed)
    }

    fn protocol_name(&self) -> &'static str {
        match self.version {
            ProtocolVersion::V3_1 => NAME_3_1,
            ProtocolVersion::V3_1_1 | ProtocolVersion::V5 => NAME,
        }
    }
}

fn decode_properties<'a>(
    body: &mut Reader<'a>,
    version: ProtocolVersion,
) -> Result<Properties<'a>, DecodeError> {
    let place = PropertyPlace::Packet(PacketType::Connect);
    let properties = Properties::decode(body, version, place, Role::Client)?;
    if properties.authentication_data().is_some() && properties.authentication_method().is_none() {
        return Err(DecodeError::AuthenticationDataWithoutMethod);
    }
    Ok(properties)
}

/// Will properties, topic and payload stand there exactly with the will flag [MQTT-3.1.2-9].
fn decode_will<'a>(
    body: &mut Reader<'a>,
    flags: Flags,
    version: ProtocolVersion,
) -> Result<Option<Will<'a>>, DecodeError> {
    if !flags.has(Flags::WILL) {
        return Ok(None);
    }
    let properties = Properties::decode(body, version, PropertyPlace::Will, Role::Client)?;
    let topic = body.topic_name(WILL_TOPIC)?;
    if topic.is_empty() {
        return Err(DecodeError::TopicNameEmpty { field: WILL_TOPIC });
    }
    let payload = body.binary(WILL_PAYLOAD)?;
    Ok(Some(Will {
        topic,
        payload,
        qos: flags.will_qos()?,
        retain: flags.has(Flags::WILL_RETAIN),
        properties,
    }))
}

/// The error for a protocol we do not speak. `rest` is what follows the level.
fn unsupported(name: &str, level: u8, rest: Reader<'_>) -> DecodeError {
    let reads_as_v5 = Connect::decode_after_level(rest, ProtocolVersion::V5).is_ok();
    let name = match name {
        NAME => NAME,
        NAME_3_1 => NAME_3_1,
        _ => {
            let answer = reads_as_v5.then_some(ProtocolVersion::V5);
            return DecodeError::UnknownProtocolName { level, answer };
        }
    };
    let answer = if reads_as_v5 { ProtocolVersion::V5 } else { ProtocolVersion::V3_1_1 };
    DecodeError::UnsupportedVersion { name, level, answer }
}

/// A CONNECT says its version itself, so the version asked for is not looked at.
impl Body for Connect<'_> {
    fn len(&self, _version: ProtocolVersion) -> usize {
        let will = self.will.as_ref().map_or(0, |will| {
            will.properties.section_len(self.version)
                + wire::binary_len(will.topic.as_bytes())
                + wire::binary_len(will.payload)
        });
        wire::binary_len(self.protocol_name().as_bytes())
            + 4
            + self.properties.section_len(self.version)
            + wire::binary_len(self.client_id.as_bytes())
            + will
            + self.user_name.map_or(0, |name| wire::binary_len(name.as_bytes()))
            + self.password().map_or(0, wire::binary_len)
    }

    fn write(&self, _version: ProtocolVersion, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        wire::put_string(self.protocol_name(), PROTOCOL_NAME, out)?;
        out.extend_from_slice(&[self.version as u8, self.flags()]);
        out.extend_from_slice(&self.keep_alive_seconds.to_be_bytes());
        self.properties.write(self.version, out);
        wire::put_string(self.client_id, CLIENT_ID, out)?;
        if let Some(will) = &self.will {
            will.properties.write(self.version, out);
            wire::put_string(will.topic, WILL_TOPIC, out)?;
            wire::put_binary(will.payload, WILL_PAYLOAD, out)?;
        }
        if let Some(user_name) = self.user_name {
            wire::put_string(user_name, USER_NAME, out)?;
        }
        match self.password() {
            Some(password) => wire::put_binary(password, PASSWORD, out),
            None => Ok(()),
        }
    }
}
