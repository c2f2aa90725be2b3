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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Client, EVERY_VERSION, V3_1, V3_1_1, V5, assert_encodes, assert_same, frame};
    use crate::{Decoder, Packet, Property, PropertyId, ReasonCode};

    /// The least a client says.
    fn plain(version: ProtocolVersion) -> Connect<'static> {
        Connect {
            version,
            clean_start: true,
            keep_alive_seconds: 60,
            client_id: "c",
            will: None,
            user_name: None,
            password: None,
            properties: Properties::EMPTY,
        }
    }

    fn with_will(version: ProtocolVersion, qos: QoS, retain: bool) -> Connect<'static> {
        let will = Will { topic: "w/t", payload: b"gone", qos, retain, properties: Properties::EMPTY };
        Connect { will: Some(will), ..plain(version) }
    }

    fn decode(bytes: &[u8]) -> Result<Packet<'_>, DecodeError> {
        let decoded = Decoder::server(u32::MAX).decode(bytes)?;
        let (packet, len) = decoded.expect("the packet is whole");
        assert_eq!(len, bytes.len());
        Ok(packet)
    }

    /// A 3.1.1 CONNECT with these flags in front of this rest.
    fn v3_1_1(flags: u8, payload: &[u8]) -> Vec<u8> {
        frame(0x10, &[&b"\x00\x04MQTT\x04"[..], &[flags, 0, 60][..], payload].concat())
    }

    /// A 5.0 CONNECT with these flags in front of this rest.
    fn v5(flags: u8, payload: &[u8]) -> Vec<u8> {
        frame(0x10, &[&b"\x00\x04MQTT\x05"[..], &[flags, 0, 60][..], payload].concat())
    }

    #[track_caller]
    fn assert_refused(bytes: &[u8], error: DecodeError, reason_code: ReasonCode) {
        assert_eq!(decode(bytes), Err(error), "{bytes:02X?}");
        assert_eq!(error.reason_code(), reason_code, "{error}");
    }

    #[test]
    fn the_least_connect_of_each_version() {
        let bytes = [
            (V3_1, &b"\x10\x0F\x00\x06MQIsdp\x03\x02\x00\x3C\x00\x01c"[..]),
            (V3_1_1, b"\x10\x0D\x00\x04MQTT\x04\x02\x00\x3C\x00\x01c"),
            (V5, b"\x10\x0E\x00\x04MQTT\x05\x02\x00\x3C\x00\x00\x01c"),
        ];
        for (version, bytes) in bytes {
            assert_eq!(decode(bytes), Ok(plain(version).into()));
            // The second CONNECT of a connection reads the same; refusing it is the session's part.
            for first in EVERY_VERSION {
                assert_same(Client, first, bytes, plain(version));
            }
        }
    }

    #[test]
    fn every_field_of_a_v5_connect() {
        let will = Will {
            topic: "w",
            payload: &[0, 0xFF],
            qos: QoS::ExactlyOnce,
            retain: true,
            properties: Properties::new().with(Property::WillDelayInterval(5)),
        };
        let connect = Connect {
            version: V5,
            clean_start: false,
            keep_alive_seconds: 0xABCD,
            client_id: "id",
            will: Some(will),
            user_name: Some("user"),
            password: Some(&[0xFE, 0x00]),
            properties: Properties::new().with(Property::ReceiveMaximum(7)),
        };
        let bytes = [
            &b"\x10\x29\x00\x04MQTT\x05\xF4\xAB\xCD"[..],
            b"\x03\x21\x00\x07",
            b"\x00\x02id",
            b"\x05\x18\x00\x00\x00\x05\x00\x01w\x00\x02\x00\xFF",
            b"\x00\x04user",
            b"\x00\x02\xFE\x00",
        ];
        let bytes = bytes.concat();
        assert_eq!(decode(&bytes), Ok(connect.clone().into()));
        assert_encodes(V5, connect, &bytes);
    }

    #[test]
    fn every_combination_of_flags_that_is_allowed_reads_and_writes() {
        for version in EVERY_VERSION {
            for qos in [QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce] {
                for bits in 0..32_u8 {
                    let has = |bit: u8| bits & 1 << bit != 0;
                    let user_name = has(3).then_some("u");
                    let password = (has(4) && (version == V5 || has(3))).then_some(&b"p"[..]);
                    let will = with_will(version, qos, has(2)).will.filter(|_| has(1));
                    let connect =
                        Connect { clean_start: has(0), will, user_name, password, ..plain(version) };
                    let mut bytes = Vec::new();
                    Packet::from(connect.clone()).encode(version, &mut bytes).expect("it is short");
                    assert_eq!(decode(&bytes), Ok(connect.into()));
                }
            }
        }
    }

    #[test]
    fn mqtt_3_1_2_3_reserved_connect_flag() {
        let error = DecodeError::ConnectFlagReserved;
        assert_refused(&v3_1_1(0x03, b"\x00\x01c"), error, ReasonCode::MalformedPacket);
        assert_refused(&v5(0x03, b"\x00\x00\x01c"), error, ReasonCode::MalformedPacket);
    }

    #[test]
    fn mqtt_3_1_2_11_and_13_no_will_flags_without_a_will() {
        for flags in [0x08, 0x10, 0x18, 0x20, 0x38] {
            let error = DecodeError::WillFlagsWithoutWill;
            assert_refused(&v3_1_1(flags, b"\x00\x01c"), error, ReasonCode::MalformedPacket);
            assert_refused(&v5(flags, b"\x00\x00\x01c"), error, ReasonCode::MalformedPacket);
        }
    }

    #[test]
    fn mqtt_3_1_2_12_a_will_has_no_qos_3() {
        let will = b"\x00\x01c\x00\x01w\x00\x01p";
        assert_refused(&v3_1_1(0x1C, will), DecodeError::WillQoS, ReasonCode::MalformedPacket);
        let will = b"\x00\x00\x01c\x00\x00\x01w\x00\x01p";
        assert_refused(&v5(0x1C, will), DecodeError::WillQoS, ReasonCode::MalformedPacket);
    }

    #[test]
    fn mqtt311_3_1_2_22_a_password_needs_a_user_name_before_v5() {
        let error = DecodeError::PasswordWithoutUserName;
        assert_refused(&v3_1_1(0x42, b"\x00\x01c\x00\x01p"), error, ReasonCode::MalformedPacket);
        let v3_1 = frame(0x10, b"\x00\x06MQIsdp\x03\x42\x00\x3C\x00\x01c\x00\x01p");
        assert_refused(&v3_1, error, ReasonCode::MalformedPacket);

        let connect = Connect { password: Some(b"p"), ..plain(V5) };
        assert_eq!(decode(&v5(0x42, b"\x00\x00\x01c\x00\x01p")), Ok(connect.into()));
    }

    #[test]
    fn a_password_that_3_x_cannot_send_is_left_out() {
        let connect = Connect { password: Some(b"p"), ..plain(V3_1_1) };
        assert_encodes(V3_1_1, connect, &v3_1_1(0x02, b"\x00\x01c"));
    }

    /// [MQTT-3.1.2-9], [MQTT-3.1.2-17], [MQTT-3.1.2-19], [MQTT-3.1.3-1], [MQTT-3.1.3-3]
    #[test]
    fn mqtt_3_1_3_1_flagged_fields_are_there_and_in_order() {
        let cases: [(u8, &[u8], &str); 8] = [
            (0x02, b"", CLIENT_ID),
            (0x02, b"\x00", CLIENT_ID),
            (0x06, b"\x00\x01c", WILL_TOPIC),
            (0x06, b"\x00\x01c\x00\x01w", WILL_PAYLOAD),
            (0x82, b"\x00\x01c", USER_NAME),
            (0x86, b"\x00\x01c\x00\x01w\x00\x01p", USER_NAME),
            (0xC2, b"\x00\x01c\x00\x01u", PASSWORD),
            (0xC2, b"\x00\x01c\x00\x01u\x00\x02p", PASSWORD),
        ];
        for (flags, payload, field) in cases {
            let error = DecodeError::FieldBeyondEnd { field };
            assert_refused(&v3_1_1(flags, payload), error, ReasonCode::MalformedPacket);
        }
        let error = DecodeError::FieldBeyondEnd { field: "the property length" };
        assert_refused(&v5(0x06, b"\x00\x00\x01c"), error, ReasonCode::MalformedPacket);
    }

    /// [MQTT-3.1.2-16], [MQTT-3.1.2-18]
    #[test]
    fn mqtt_3_1_2_16_and_18_fields_without_their_flag_are_left_over() {
        for (flags, payload, bytes) in [
            (0x02, &b"\x00\x01c\x00\x01u"[..], 3),
            (0x82, b"\x00\x01c\x00\x01u\x00\x01p", 3),
            (0x02, b"\x00\x00!", 1),
        ] {
            let error = DecodeError::TrailingBytes { packet_type: PacketType::Connect, bytes };
            assert_refused(&v3_1_1(flags, payload), error, ReasonCode::MalformedPacket);
        }
    }

    #[test]
    fn a_body_that_ends_early_names_the_missing_field() {
        for (body, field) in [
            (&b""[..], PROTOCOL_NAME),
            (b"\x00\x04MQT", PROTOCOL_NAME),
            (b"\x00\x04MQTT", PROTOCOL_LEVEL),
            (b"\x00\x04MQTT\x04", "the connect flags"),
            (b"\x00\x04MQTT\x04\x02\x00", "the keep alive"),
            (b"\x00\x04MQTT\x05\x02\x00\x3C", "the property length"),
        ] {
            let error = DecodeError::FieldBeyondEnd { field };
            assert_refused(&frame(0x10, body), error, ReasonCode::MalformedPacket);
        }
    }

    /// [MQTT-3.1.3-4], [MQTT-3.1.3-11], [MQTT-3.1.3-12]
    #[test]
    fn mqtt_3_1_3_4_strings_are_utf8_without_nul() {
        for (flags, before, field) in
            [(0x02, &b""[..], CLIENT_ID), (0x06, b"\x00\x01c", WILL_TOPIC), (0x82, b"\x00\x01c", USER_NAME)]
        {
            let broken = v3_1_1(flags, &[before, b"\x00\x02\xED\xA0"].concat());
            assert_refused(&broken, DecodeError::NotUtf8 { field }, ReasonCode::MalformedPacket);
            let nul = v3_1_1(flags, &[before, b"\x00\x02a\x00"].concat());
            assert_refused(&nul, DecodeError::NulCharacter { field }, ReasonCode::MalformedPacket);
        }
        let error = DecodeError::NotUtf8 { field: PROTOCOL_NAME };
        assert_refused(&frame(0x10, b"\x00\x01\xFF\x04"), error, ReasonCode::MalformedPacket);
    }

    #[test]
    fn a_will_topic_is_a_topic_name() {
        for topic in [&b"\x00\x01#"[..], b"\x00\x03a/+"] {
            let error = DecodeError::WildcardInTopicName { field: WILL_TOPIC };
            let bytes = v3_1_1(0x06, &[b"\x00\x01c", topic, b"\x00\x01p"].concat());
            assert_refused(&bytes, error, ReasonCode::TopicNameInvalid);
        }
        // [MQTT-4.7.3-1]
        let error = DecodeError::TopicNameEmpty { field: WILL_TOPIC };
        assert_refused(&v3_1_1(0x06, b"\x00\x01c\x00\x00\x00\x01p"), error, ReasonCode::ProtocolError);
        assert_refused(&v5(0x06, b"\x00\x00\x01c\x00\x00\x00\x00\x01p"), error, ReasonCode::ProtocolError);
    }

    #[test]
    fn empty_fields_are_fields() {
        let will = Will { payload: b"", ..with_will(V3_1_1, QoS::AtMostOnce, false).will.expect("a will") };
        let connect = Connect {
            client_id: "",
            will: Some(will),
            user_name: Some(""),
            password: Some(b""),
            ..plain(V3_1_1)
        };
        let bytes = v3_1_1(0xC6, b"\x00\x00\x00\x03w/t\x00\x00\x00\x00\x00\x00");
        assert_eq!(decode(&bytes), Ok(connect.clone().into()));
        assert_encodes(V3_1_1, connect, &bytes);
    }

    #[test]
    fn client_ids_of_any_length_are_read() {
        let long = "x".repeat(65_535);
        for version in EVERY_VERSION {
            let connect = Connect { client_id: &long, ..plain(version) };
            let mut bytes = Vec::new();
            Packet::from(connect.clone()).encode(version, &mut bytes).expect("it fits");
            assert_eq!(decode(&bytes), Ok(connect.into()));
        }
    }

    #[test]
    fn authentication_data_needs_a_method() {
        let error = DecodeError::AuthenticationDataWithoutMethod;
        let data = b"\x04\x16\x00\x01d\x00\x01c";
        assert_refused(&v5(0x02, data), error, ReasonCode::ProtocolError);
        assert!(decode(&v5(0x02, b"\x08\x16\x00\x01d\x15\x00\x01m\x00\x01c")).is_ok());
        assert!(decode(&v5(0x02, b"\x04\x15\x00\x01m\x00\x01c")).is_ok());
    }

    #[test]
    fn connect_and_will_have_their_own_properties() {
        let delay = b"\x05\x18\x00\x00\x00\x05";
        let expiry = b"\x05\x11\x00\x00\x00\x05";
        let connect = |of_connect: &[u8], of_will: &[u8]| {
            v5(0x06, &[of_connect, b"\x00\x01c", of_will, b"\x00\x01w\x00\x01p"].concat())
        };
        assert!(decode(&connect(expiry, delay)).is_ok());
        for (bytes, property, place) in [
            (connect(delay, &[0]), PropertyId::WillDelayInterval, PropertyPlace::Packet(PacketType::Connect)),
            (connect(&[0], expiry), PropertyId::SessionExpiryInterval, PropertyPlace::Will),
        ] {
            let error = DecodeError::PropertyNotAllowed { property, place };
            assert_refused(&bytes, error, ReasonCode::MalformedPacket);
        }
    }

    #[test]
    fn session_expiry_reads_alike_in_all_versions() {
        let in_5 = Properties::new().with(Property::SessionExpiryInterval(9));
        for (connect, expected) in [
            (plain(V5), 0),
            (Connect { clean_start: false, ..plain(V5) }, 0),
            (Connect { properties: in_5, ..plain(V5) }, 9),
            (plain(V3_1), 0),
            (Connect { clean_start: false, ..plain(V3_1) }, u32::MAX),
            (plain(V3_1_1), 0),
            (Connect { clean_start: false, ..plain(V3_1_1) }, u32::MAX),
        ] {
            assert_eq!(connect.session_expiry_interval(), expected, "{connect:?}");
        }
    }

    /// A CONNECT of another protocol, shaped like 3.x or like 5.0 behind its level.
    fn foreign(name: &[u8], level: u8, is_shaped_like_v5: bool) -> Vec<u8> {
        let rest: &[u8] =
            if is_shaped_like_v5 { b"\x02\x00\x3C\x00\x00\x01c" } else { b"\x02\x00\x3C\x00\x01c" };
        frame(0x10, &[&(name.len() as u16).to_be_bytes(), name, &[level], rest].concat())
    }

    #[test]
    fn mqtt_3_1_2_2_an_unsupported_level_is_answered_in_its_own_shape() {
        let code = ReasonCode::UnsupportedProtocolVersion;
        // 0x84 is what mosquitto's bridges try first.
        for (name, level) in
            [("MQTT", 0), ("MQTT", 3), ("MQTT", 6), ("MQTT", 0x84), ("MQIsdp", 4), ("MQIsdp", 5)]
        {
            for (is_shaped_like_v5, answer) in [(true, V5), (false, V3_1_1)] {
                let bytes = foreign(name.as_bytes(), level, is_shaped_like_v5);
                assert_refused(&bytes, DecodeError::UnsupportedVersion { name, level, answer }, code);
            }
        }
        let broken = frame(0x10, b"\x00\x04MQTT\x06");
        let error = DecodeError::UnsupportedVersion { name: "MQTT", level: 6, answer: V3_1_1 };
        assert_refused(&broken, error, code);
    }

    #[test]
    fn mqtt_3_1_2_1_an_unknown_protocol_name_is_answered_only_in_v5() {
        let code = ReasonCode::UnsupportedProtocolVersion;
        for name in [&b"mqtt"[..], b"MQTTX", b"MQT", b"", b"mqisdp", "MQTT\u{FEFF}".as_bytes()] {
            for (is_shaped_like_v5, answer) in [(true, Some(V5)), (false, None)] {
                let error = DecodeError::UnknownProtocolName { level: 5, answer };
                assert_refused(&foreign(name, 5, is_shaped_like_v5), error, code);
            }
        }
    }
}
