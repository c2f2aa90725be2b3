//! The property section of a packet, kept in wire form.
//!
//! A section is checked once, when it is decoded or when a property is pushed; after that its bytes are known
//! to be a sequence of whole, valid properties. Most packets have none or one or two, so a getter scans them:
//! that costs less than spreading 27 fields over every packet, keeps the order of user properties
//! [MQTT-3.3.2-18], and lets a publication's properties travel from publisher to subscriber as one slice.

use crate::property::{PropertyRule, Value};
use crate::wire::{self, Reader};
use crate::{DecodeError, EncodeError, Property, PropertyId, PropertyPlace, ProtocolVersion, QoS, Role};
use std::borrow::Cow;
use std::fmt;

/// One packet's property section in wire form, without its length; borrowed or owned.
///
/// It is empty in 3.x. An empty section costs a length check per getter.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Properties<'a>(Cow<'a, [u8]>);

impl<'a> Properties<'a> {
    /// No properties.
    pub const EMPTY: Self = Self(Cow::Borrowed(&[]));

    /// No properties.
    pub const fn new() -> Self {
        Self::EMPTY
    }

    /// A section in wire form without its length, as [`as_bytes`](Self::as_bytes) gives it. It must be one that
    /// this end may put there.
    pub fn from_bytes(section: &'a [u8], place: PropertyPlace, sender: Role) -> Result<Self, DecodeError> {
        check(section, place, sender)?;
        Ok(Self(Cow::Borrowed(section)))
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The section in wire form, without its length.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The same section without a copy.
    pub fn borrow(&self) -> Properties<'_> {
        Properties(Cow::Borrowed(&self.0))
    }

    /// The same section independent of the bytes it was read from.
    pub fn into_owned(self) -> Properties<'static> {
        Properties(Cow::Owned(self.0.into_owned()))
    }

    /// The properties in their order.
    pub fn iter(&self) -> impl Iterator<Item = Property<'_>> {
        let mut reader = Reader::new(&self.0);
        std::iter::from_fn(move || {
            if reader.is_empty() {
                return None;
            }
            let rule = next_rule(&mut reader)?;
            let value = rule.read_value(&mut reader).ok()?;
            Property::from_parts(rule.id, value)
        })
    }

    /// Adds a property at the end. Whether it belongs into the packet is the caller's to know.
    ///
    /// # Panics
    ///
    /// Where [`try_push`](Self::try_push) fails. A value taken from a decoded packet never does.
    pub fn push(&mut self, property: Property<'_>) {
        self.try_push(property).expect("the value of a property is within its bounds");
    }

    /// Adds a property at the end, unless a string is above 65,535 bytes or a number out of its range; then
    /// nothing is added.
    pub fn try_push(&mut self, property: Property<'_>) -> Result<(), EncodeError> {
        if property == Property::MaximumQoS(QoS::ExactlyOnce) {
            return Ok(());
        }
        let bytes = self.0.to_mut();
        let bytes_before = bytes.len();
        property.write(bytes).inspect_err(|_| bytes.truncate(bytes_before))
    }

    /// This section with one property more, as [`push`](Self::push) adds it.
    #[must_use]
    pub fn with(mut self, property: Property<'_>) -> Self {
        self.push(property);
        self
    }

    /// The part of a PUBLISH's or a will's properties that a server hands on unaltered and in order: payload
    /// format indicator, content type, response topic, correlation data and user properties [MQTT-3.3.2-4],
    /// [MQTT-3.3.2-15], [MQTT-3.3.2-16], [MQTT-3.3.2-17], [MQTT-3.3.2-18], [MQTT-3.3.2-20].
    ///
    /// Copies only where something between them has to be left out.
    pub fn forwarded(&self) -> Properties<'_> {
        self.only(|id| {
            matches!(
                id,
                PropertyId::PayloadFormatIndicator
                    | PropertyId::ContentType
                    | PropertyId::ResponseTopic
                    | PropertyId::CorrelationData
                    | PropertyId::UserProperty
            )
        })
    }

    /// This section without any property of one kind.
    pub(crate) fn without(&self, left_out: PropertyId) -> Properties<'_> {
        self.only(|id| id != left_out)
    }

    /// The properties that `keep` wants, in their order.
    #[inline]
    fn only(&self, keep: impl Fn(PropertyId) -> bool) -> Properties<'_> {
        if self.is_empty() {
            return Properties::EMPTY;
        }
        let kept = || self.wire_properties().filter(|(id, _, _)| keep(*id));
        let Some((_, start, _)) = kept().next() else { return Properties::EMPTY };
        let (end, kept_bytes) =
            kept().fold((start, 0), |(_, bytes), (_, start, end)| (end, bytes + end - start));
        let span = &self.0[start..end];
        if kept_bytes == span.len() {
            return Properties(Cow::Borrowed(span));
        }
        let mut copy = Vec::with_capacity(kept_bytes);
        kept().for_each(|(_, start, end)| copy.extend_from_slice(&self.0[start..end]));
        Properties(Cow::Owned(copy))
    }

    /// Each property's number and where it starts and ends in the section.
    fn wire_properties(&self) -> impl Iterator<Item = (PropertyId, usize, usize)> {
        let mut reader = Reader::new(&self.0);
        std::iter::from_fn(move || {
            let start = self.0.len() - reader.len();
            let rule = next_rule(&mut reader)?;
            rule.skip_value(&mut reader).ok()?;
            Some((rule.id, start, self.0.len() - reader.len()))
        })
    }

    fn values(&self, id: PropertyId) -> impl Iterator<Item = Value<'_>> {
        let mut reader = Reader::new(&self.0);
        std::iter::from_fn(move || {
            while !reader.is_empty() {
                let rule = next_rule(&mut reader)?;
                if rule.id == id {
                    return rule.read_value(&mut reader).ok();
                }
                rule.skip_value(&mut reader).ok()?;
            }
            None
        })
    }

    #[inline]
    fn number(&self, id: PropertyId) -> Option<u32> {
        if self.is_empty() {
            return None;
        }
        match self.values(id).next()? {
            Value::Number(number) => Some(number),
            _ => None,
        }
    }

    #[inline]
    fn short(&self, id: PropertyId) -> Option<u16> {
        self.number(id).and_then(|number| u16::try_from(number).ok())
    }

    fn flag(&self, id: PropertyId) -> Option<bool> {
        self.number(id).map(|number| number == 1)
    }

    fn text(&self, id: PropertyId) -> Option<&str> {
        match self.values(id).next()? {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }

    fn binary(&self, id: PropertyId) -> Option<&[u8]> {
        match self.values(id).next()? {
            Value::Binary(bytes) => Some(bytes),
            _ => None,
        }
    }
}

/// One getter per property; `None` where the section does not have it.
impl Properties<'_> {
    /// Whether the payload is declared to be UTF-8 text.
    pub fn payload_format_indicator(&self) -> Option<bool> {
        self.flag(PropertyId::PayloadFormatIndicator)
    }

    /// Lifetime of the message in seconds.
    pub fn message_expiry_interval(&self) -> Option<u32> {
        self.number(PropertyId::MessageExpiryInterval)
    }

    /// What the payload is, in the application's words.
    pub fn content_type(&self) -> Option<&str> {
        self.text(PropertyId::ContentType)
    }

    /// The topic name for an answer, without wildcards [MQTT-3.3.2-14].
    pub fn response_topic(&self) -> Option<&str> {
        self.text(PropertyId::ResponseTopic)
    }

    /// What tells the requester which request an answer belongs to.
    pub fn correlation_data(&self) -> Option<&[u8]> {
        self.binary(PropertyId::CorrelationData)
    }

    /// The first identifier; a SUBSCRIBE has at most one.
    pub fn subscription_identifier(&self) -> Option<u32> {
        self.number(PropertyId::SubscriptionIdentifier)
    }

    /// All identifiers of a PUBLISH, in their order.
    pub fn subscription_identifiers(&self) -> impl Iterator<Item = u32> {
        self.values(PropertyId::SubscriptionIdentifier).filter_map(|value| match value {
            Value::Number(number) => Some(number),
            _ => None,
        })
    }

    /// How long the session outlives its connection, in seconds; `u32::MAX` means for ever.
    pub fn session_expiry_interval(&self) -> Option<u32> {
        self.number(PropertyId::SessionExpiryInterval)
    }

    /// The client identifier the server has chosen.
    pub fn assigned_client_identifier(&self) -> Option<&str> {
        self.text(PropertyId::AssignedClientIdentifier)
    }

    /// The keep alive the server wants instead of the client's, in seconds.
    pub fn server_keep_alive(&self) -> Option<u16> {
        self.short(PropertyId::ServerKeepAlive)
    }

    /// The name of the method of enhanced authentication.
    pub fn authentication_method(&self) -> Option<&str> {
        self.text(PropertyId::AuthenticationMethod)
    }

    /// What the authentication method exchanges.
    pub fn authentication_data(&self) -> Option<&[u8]> {
        self.binary(PropertyId::AuthenticationData)
    }

    /// Whether the client wants reason strings and user properties on failures; it does by default.
    pub fn request_problem_information(&self) -> Option<bool> {
        self.flag(PropertyId::RequestProblemInformation)
    }

    /// Time between the end of the connection and the will, in seconds.
    pub fn will_delay_interval(&self) -> Option<u32> {
        self.number(PropertyId::WillDelayInterval)
    }

    /// Whether the client wants Response Information.
    pub fn request_response_information(&self) -> Option<bool> {
        self.flag(PropertyId::RequestResponseInformation)
    }

    /// The basis of a response topic, by the server's convention.
    pub fn response_information(&self) -> Option<&str> {
        self.text(PropertyId::ResponseInformation)
    }

    /// Another server to use.
    pub fn server_reference(&self) -> Option<&str> {
        self.text(PropertyId::ServerReference)
    }

    /// A sentence for a person.
    pub fn reason_string(&self) -> Option<&str> {
        self.text(PropertyId::ReasonString)
    }

    /// How many publications above QoS 0 the sender takes at a time, 1 to 65,535; 65,535 by default.
    pub fn receive_maximum(&self) -> Option<u16> {
        self.short(PropertyId::ReceiveMaximum)
    }

    /// The highest topic alias the sender takes; 0, the default, is none.
    pub fn topic_alias_maximum(&self) -> Option<u16> {
        self.short(PropertyId::TopicAliasMaximum)
    }

    /// The number that stands for the topic name, from 1.
    pub fn topic_alias(&self) -> Option<u16> {
        self.short(PropertyId::TopicAlias)
    }

    /// The highest QoS the server takes, 0 or 1; 2 by default.
    pub fn maximum_qos(&self) -> Option<QoS> {
        self.number(PropertyId::MaximumQoS).and_then(|bits| QoS::from_bits(bits as u8))
    }

    /// Whether the server keeps retained messages; it does by default.
    pub fn retain_available(&self) -> Option<bool> {
        self.flag(PropertyId::RetainAvailable)
    }

    /// Names and values of the user's, in their order.
    pub fn user_properties(&self) -> impl Iterator<Item = (&str, &str)> {
        self.values(PropertyId::UserProperty).filter_map(|value| match value {
            Value::Pair(name, value) => Some((name, value)),
            _ => None,
        })
    }

    /// The largest packet the sender takes, in bytes, from 1; without limit by default.
    pub fn maximum_packet_size(&self) -> Option<u32> {
        self.number(PropertyId::MaximumPacketSize)
    }

    /// Whether the server takes filters with wildcards; it does by default.
    pub fn wildcard_subscription_available(&self) -> Option<bool> {
        self.flag(PropertyId::WildcardSubscriptionAvailable)
    }

    /// Whether the server takes subscription identifiers; it does by default.
    pub fn subscription_identifier_available(&self) -> Option<bool> {
        self.flag(PropertyId::SubscriptionIdentifierAvailable)
    }

    /// Whether the server takes shared subscriptions; it does by default.
    pub fn shared_subscription_available(&self) -> Option<bool> {
        self.flag(PropertyId::SharedSubscriptionAvailable)
    }
}

/// On the wire.
impl<'a> Properties<'a> {
    /// Reads a section with its length; in 3.x there is none and nothing is read.
    pub(crate) fn decode(
        reader: &mut Reader<'a>,
        version: ProtocolVersion,
        place: PropertyPlace,
        sender: Role,
    ) -> Result<Self, DecodeError> {
        if version != ProtocolVersion::V5 {
            return Ok(Self::EMPTY);
        }
        let len = reader.variable_byte_integer("the property length")?;
        let section = reader.take(len as usize, "the property section")?;
        Self::from_bytes(section, place, sender)
    }

    /// How many bytes the section takes with its length; in 3.x there is none.
    pub(crate) fn section_len(&self, version: ProtocolVersion) -> usize {
        match version {
            ProtocolVersion::V5 => wire::variable_byte_integer_len(self.0.len()) + self.0.len(),
            _ => 0,
        }
    }

    /// Appends the section with its length [MQTT-2.2.2-1]; in 3.x nothing.
    pub(crate) fn write(&self, version: ProtocolVersion, out: &mut Vec<u8>) {
        if version == ProtocolVersion::V5 {
            wire::put_variable_byte_integer(self.0.len() as u32, out);
            out.extend_from_slice(&self.0);
        }
    }
}

impl fmt::Debug for Properties<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

/// Every property of the section belongs here, is whole and in range, and stands as often as it may.
fn check(section: &[u8], place: PropertyPlace, sender: Role) -> Result<(), DecodeError> {
    let mut reader = Reader::new(section);
    let mut seen = 0_u64;
    while !reader.is_empty() {
        let rule = PropertyRule::read(&mut reader, place)?;
        let property = rule.id;
        if !rule.is_allowed_in(place) {
            return Err(DecodeError::PropertyNotAllowed { property, place });
        }
        if !rule.may_be_sent_by(sender, place) {
            return Err(DecodeError::PropertyWrongDirection { property, place, sender });
        }
        let bit = 1 << property as u8;
        if seen & bit != 0 && !rule.may_repeat_in(place) {
            return Err(DecodeError::PropertyRepeated { property, place });
        }
        seen |= bit;
        let value = rule.read_value(&mut reader)?;
        if let Some(value) = rule.out_of_range(value) {
            return Err(DecodeError::PropertyValue { property, value });
        }
    }
    Ok(())
}

/// The next property of a section that has been checked; `None` at its end.
fn next_rule(reader: &mut Reader<'_>) -> Option<&'static PropertyRule> {
    PropertyRule::by_number(reader.u8("a property").ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Client, Server, V3_1, V3_1_1, V5};
    use crate::{PROPERTIES, PacketType, PropertyType, ReasonCode};

    const PUBLISH: PropertyPlace = PropertyPlace::Packet(PacketType::Publish);
    const CONNECT: PropertyPlace = PropertyPlace::Packet(PacketType::Connect);
    const CONNACK: PropertyPlace = PropertyPlace::Packet(PacketType::ConnAck);
    const DISCONNECT: PropertyPlace = PropertyPlace::Packet(PacketType::Disconnect);

    /// Everything a broker hands on.
    fn forwardable() -> Properties<'static> {
        Properties::new()
            .with(Property::UserProperty("b", "1"))
            .with(Property::PayloadFormatIndicator(true))
            .with(Property::UserProperty("a", "2"))
            .with(Property::ContentType("text/plain"))
            .with(Property::ResponseTopic("answer/here"))
            .with(Property::CorrelationData(&[1, 0, 2]))
            .with(Property::UserProperty("b", "3"))
    }

    fn decode(section: &[u8], place: PropertyPlace, sender: Role) -> Result<Properties<'_>, DecodeError> {
        let mut bytes = Vec::new();
        wire::put_variable_byte_integer(section.len() as u32, &mut bytes);
        bytes.extend_from_slice(section);
        bytes.push(0xEE);
        let mut reader = Reader::new(&bytes);
        let properties = Properties::decode(&mut reader, V5, place, sender)?;
        assert_eq!(reader.rest(), [0xEE], "what follows the section is left alone");
        Ok(properties.into_owned())
    }

    #[track_caller]
    fn assert_refused(
        section: &[u8],
        place: PropertyPlace,
        sender: Role,
        error: DecodeError,
        reason_code: ReasonCode,
    ) {
        assert_eq!(decode(section, place, sender), Err(error));
        assert_eq!(error.reason_code(), reason_code, "{error}");
    }

    #[test]
    fn mqtt_2_2_2_1_no_properties_are_a_length_of_zero() {
        let mut out = Vec::new();
        Properties::EMPTY.write(V5, &mut out);
        assert_eq!(out, [0]);
        assert_eq!(Properties::EMPTY.section_len(V5), 1);
        assert_eq!(decode(&[], PUBLISH, Client), Ok(Properties::EMPTY));
    }

    #[test]
    fn the_older_versions_have_no_section() {
        for version in [V3_1, V3_1_1] {
            let mut out = Vec::new();
            forwardable().write(version, &mut out);
            assert_eq!((out.len(), forwardable().section_len(version)), (0, 0));

            let mut reader = Reader::new(&[0x02, 0x01, 0x00]);
            let properties = Properties::decode(&mut reader, version, PUBLISH, Client);
            assert_eq!(properties, Ok(Properties::EMPTY));
            assert_eq!(reader.len(), 3, "nothing was read");
        }
    }

    #[test]
    fn the_length_of_a_section_takes_as_many_bytes_as_it_needs() {
        for (value_bytes, section_len) in [(122, 128), (123, 130), (16_378, 16_385), (16_379, 16_387)] {
            let name = "n".repeat(value_bytes);
            let properties = Properties::new().with(Property::UserProperty(&name, ""));
            assert_eq!(properties.section_len(V5), section_len);
            let mut out = Vec::new();
            properties.write(V5, &mut out);
            assert_eq!(out.len(), section_len);
            let read = Properties::decode(&mut Reader::new(&out), V5, PUBLISH, Client);
            assert_eq!(read, Ok(properties));
        }
    }

    #[test]
    fn a_section_beyond_the_end_of_the_packet_is_malformed() {
        for (bytes, field) in [
            (&[][..], "the property length"),
            (&[0x80], "the property length"),
            (&[1], "the property section"),
            (&[3, 0x01, 0x00], "the property section"),
        ] {
            let read = Properties::decode(&mut Reader::new(bytes), V5, PUBLISH, Client);
            assert_eq!(read, Err(DecodeError::FieldBeyondEnd { field }));
        }
        let error = DecodeError::VariableByteIntegerNotShortest { field: "the property length" };
        assert_eq!(Properties::decode(&mut Reader::new(&[0x80, 0]), V5, PUBLISH, Client), Err(error));
    }

    #[test]
    fn a_property_beyond_the_end_of_its_section_is_malformed() {
        let error = DecodeError::FieldBeyondEnd { field: "Message Expiry Interval" };
        assert_refused(&[0x02, 0, 0, 0], PUBLISH, Client, error, ReasonCode::MalformedPacket);
        let error = DecodeError::FieldBeyondEnd { field: "User Property" };
        assert_refused(b"\x26\x00\x01k", PUBLISH, Client, error, ReasonCode::MalformedPacket);
    }

    #[test]
    fn an_unknown_property_is_malformed_wherever_it_stands() {
        for place in PropertyPlace::ALL {
            for id in (0..=255).filter(|id| PropertyId::from_u8(*id).is_none()) {
                let error = DecodeError::PropertyUnknown { id, place };
                assert_refused(&[id, 0, 0], place, Client, error, ReasonCode::MalformedPacket);
            }
        }
    }

    #[test]
    fn a_property_of_another_packet_is_malformed() {
        for place in PropertyPlace::ALL {
            for rule in PROPERTIES.iter().filter(|rule| !rule.is_allowed_in(place)) {
                let error = DecodeError::PropertyNotAllowed { property: rule.id, place };
                assert_refused(&[rule.id.as_u8()], place, Client, error, ReasonCode::MalformedPacket);
            }
        }
    }

    /// A valid property of this kind in wire form.
    fn valid(id: PropertyId) -> &'static [u8] {
        match id.rule().property_type {
            PropertyType::Byte => &[1],
            PropertyType::TwoByteInteger => &[0, 1],
            PropertyType::FourByteInteger => &[0, 0, 0, 1],
            PropertyType::VariableByteInteger => &[1],
            PropertyType::Utf8String | PropertyType::TopicName | PropertyType::BinaryData => b"\x00\x01a",
            PropertyType::Utf8StringPair => b"\x00\x01a\x00\x01b",
        }
    }

    #[test]
    fn a_property_stands_once_unless_the_table_lets_it_repeat() {
        for place in PropertyPlace::ALL {
            for rule in PROPERTIES.iter().filter(|rule| rule.is_allowed_in(place)) {
                let sender = if rule.may_be_sent_by(Client, place) { Client } else { Server };
                let once = [&[rule.id.as_u8()], valid(rule.id)].concat();
                let between: &[u8] = b"\x26\x00\x00\x00\x00";
                let twice = [&once, between, &once].concat();
                assert!(decode(&once, place, sender).is_ok(), "{} in {place}", rule.name);

                let read = decode(&twice, place, sender);
                if rule.may_repeat_in(place) {
                    assert_eq!(read.map(|properties| properties.iter().count()), Ok(3));
                } else {
                    let error = DecodeError::PropertyRepeated { property: rule.id, place };
                    assert_eq!(read, Err(error));
                    assert_eq!(error.reason_code(), ReasonCode::ProtocolError);
                }
            }
        }
    }

    #[test]
    fn numbers_out_of_range_are_protocol_errors() {
        let cases: [(&[u8], PropertyPlace, u32, PropertyId); 14] = [
            (&[0x01, 2], PUBLISH, 2, PropertyId::PayloadFormatIndicator),
            (&[0x01, 255], PropertyPlace::Will, 255, PropertyId::PayloadFormatIndicator),
            (&[0x0B, 0], PropertyPlace::Packet(PacketType::Subscribe), 0, PropertyId::SubscriptionIdentifier),
            (&[0x17, 2], CONNECT, 2, PropertyId::RequestProblemInformation),
            (&[0x19, 2], CONNECT, 2, PropertyId::RequestResponseInformation),
            (&[0x21, 0, 0], CONNECT, 0, PropertyId::ReceiveMaximum),
            (&[0x21, 0, 0], CONNACK, 0, PropertyId::ReceiveMaximum),
            (&[0x24, 2], CONNACK, 2, PropertyId::MaximumQoS),
            (&[0x25, 2], CONNACK, 2, PropertyId::RetainAvailable),
            (&[0x27, 0, 0, 0, 0], CONNECT, 0, PropertyId::MaximumPacketSize),
            (&[0x27, 0, 0, 0, 0], CONNACK, 0, PropertyId::MaximumPacketSize),
            (&[0x28, 2], CONNACK, 2, PropertyId::WildcardSubscriptionAvailable),
            (&[0x29, 2], CONNACK, 2, PropertyId::SubscriptionIdentifierAvailable),
            (&[0x2A, 2], CONNACK, 2, PropertyId::SharedSubscriptionAvailable),
        ];
        for (section, place, value, property) in cases {
            let sender = if place == CONNACK { Server } else { Client };
            let error = DecodeError::PropertyValue { property, value };
            assert_refused(section, place, sender, error, ReasonCode::ProtocolError);
        }
    }

    #[test]
    fn mqtt_3_3_2_8_a_topic_alias_of_zero_has_its_own_code() {
        let error = DecodeError::PropertyValue { property: PropertyId::TopicAlias, value: 0 };
        for sender in [Client, Server] {
            assert_refused(&[0x23, 0, 0], PUBLISH, sender, error, ReasonCode::TopicAliasInvalid);
        }
    }

    #[test]
    fn mqtt_3_3_4_6_a_client_publishes_without_subscription_identifier() {
        let property = PropertyId::SubscriptionIdentifier;
        let error = DecodeError::PropertyWrongDirection { property, place: PUBLISH, sender: Client };
        assert_refused(&[0x0B, 1], PUBLISH, Client, error, ReasonCode::ProtocolError);
        assert!(decode(&[0x0B, 1, 0x0B, 2], PUBLISH, Server).is_ok());
    }

    #[test]
    fn mqtt_3_14_2_2_a_server_disconnects_without_session_expiry() {
        let property = PropertyId::SessionExpiryInterval;
        let error = DecodeError::PropertyWrongDirection { property, place: DISCONNECT, sender: Server };
        assert_refused(&[0x11, 0, 0, 0, 1], DISCONNECT, Server, error, ReasonCode::ProtocolError);
        assert!(decode(&[0x11, 0, 0, 0, 1], DISCONNECT, Client).is_ok());
    }

    #[test]
    fn mqtt_3_3_2_14_a_response_topic_has_no_wildcards() {
        let field = "Response Topic";
        for section in [&b"\x08\x00\x03a/#"[..], b"\x08\x00\x01+"] {
            for place in [PUBLISH, PropertyPlace::Will] {
                let error = DecodeError::WildcardInTopicName { field };
                assert_refused(section, place, Client, error, ReasonCode::TopicNameInvalid);
            }
        }
        let error = DecodeError::TopicNameEmpty { field };
        assert_refused(b"\x08\x00\x00", PUBLISH, Client, error, ReasonCode::ProtocolError);
    }

    #[test]
    fn mqtt_1_5_7_1_both_halves_of_a_user_property_are_text() {
        let field = "User Property";
        for section in [&b"\x26\x00\x01\xFF\x00\x01v"[..], b"\x26\x00\x01k\x00\x01\xFF"] {
            let error = DecodeError::NotUtf8 { field };
            assert_refused(section, PUBLISH, Client, error, ReasonCode::MalformedPacket);
        }
        for section in [&b"\x26\x00\x01\0\x00\x01v"[..], b"\x26\x00\x01k\x00\x01\0"] {
            let error = DecodeError::NulCharacter { field };
            assert_refused(section, PUBLISH, Client, error, ReasonCode::MalformedPacket);
        }
    }

    #[test]
    fn mqtt_3_3_2_19_texts_are_text_and_binary_data_is_anything() {
        let error = DecodeError::NotUtf8 { field: "Content Type" };
        assert_refused(b"\x03\x00\x01\xFF", PUBLISH, Client, error, ReasonCode::MalformedPacket);
        let read = decode(b"\x09\x00\x02\xFF\x00", PUBLISH, Client);
        assert_eq!(read.as_ref().map(Properties::correlation_data), Ok(Some(&[0xFF, 0][..])));
    }

    #[test]
    fn every_getter_finds_its_property_and_no_other() {
        let connack = Properties::new()
            .with(Property::SessionExpiryInterval(u32::MAX))
            .with(Property::AssignedClientIdentifier("assigned"))
            .with(Property::ServerKeepAlive(30))
            .with(Property::AuthenticationMethod("method"))
            .with(Property::AuthenticationData(b"data"))
            .with(Property::ResponseInformation("information"))
            .with(Property::ServerReference("elsewhere"))
            .with(Property::ReasonString("reason"))
            .with(Property::ReceiveMaximum(20))
            .with(Property::TopicAliasMaximum(10))
            .with(Property::MaximumQoS(QoS::AtLeastOnce))
            .with(Property::RetainAvailable(false))
            .with(Property::MaximumPacketSize(1_000_000))
            .with(Property::WildcardSubscriptionAvailable(false))
            .with(Property::SubscriptionIdentifierAvailable(true))
            .with(Property::SharedSubscriptionAvailable(false));
        assert_eq!(connack.session_expiry_interval(), Some(u32::MAX));
        assert_eq!(connack.assigned_client_identifier(), Some("assigned"));
        assert_eq!(connack.server_keep_alive(), Some(30));
        assert_eq!(connack.authentication_method(), Some("method"));
        assert_eq!(connack.authentication_data(), Some(&b"data"[..]));
        assert_eq!(connack.response_information(), Some("information"));
        assert_eq!(connack.server_reference(), Some("elsewhere"));
        assert_eq!(connack.reason_string(), Some("reason"));
        assert_eq!(connack.receive_maximum(), Some(20));
        assert_eq!(connack.topic_alias_maximum(), Some(10));
        assert_eq!(connack.maximum_qos(), Some(QoS::AtLeastOnce));
        assert_eq!(connack.retain_available(), Some(false));
        assert_eq!(connack.maximum_packet_size(), Some(1_000_000));
        assert_eq!(connack.wildcard_subscription_available(), Some(false));
        assert_eq!(connack.subscription_identifier_available(), Some(true));
        assert_eq!(connack.shared_subscription_available(), Some(false));

        let rest = forwardable()
            .with(Property::MessageExpiryInterval(7))
            .with(Property::SubscriptionIdentifier(5))
            .with(Property::SubscriptionIdentifier(300))
            .with(Property::RequestProblemInformation(false))
            .with(Property::WillDelayInterval(9))
            .with(Property::RequestResponseInformation(true))
            .with(Property::TopicAlias(11));
        assert_eq!(rest.payload_format_indicator(), Some(true));
        assert_eq!(rest.message_expiry_interval(), Some(7));
        assert_eq!(rest.content_type(), Some("text/plain"));
        assert_eq!(rest.response_topic(), Some("answer/here"));
        assert_eq!(rest.correlation_data(), Some(&[1, 0, 2][..]));
        assert_eq!(rest.subscription_identifier(), Some(5));
        assert_eq!(rest.subscription_identifiers().collect::<Vec<_>>(), [5, 300]);
        assert_eq!(rest.request_problem_information(), Some(false));
        assert_eq!(rest.will_delay_interval(), Some(9));
        assert_eq!(rest.request_response_information(), Some(true));
        assert_eq!(rest.topic_alias(), Some(11));
        assert_eq!(rest.user_properties().collect::<Vec<_>>(), [("b", "1"), ("a", "2"), ("b", "3")]);

        for (here, there) in [(&connack, &rest), (&rest, &connack)] {
            for property in here.iter() {
                assert_eq!(there.values(property.id()).next(), None, "{property:?}");
            }
            assert_eq!(here.iter().collect::<Vec<_>>().len(), if here == &rest { 14 } else { 16 });
        }
        assert_eq!(Properties::EMPTY.iter().next(), None);
    }

    #[test]
    fn mqtt_3_3_2_18_properties_keep_their_order() {
        let properties = forwardable();
        let order = properties.iter().map(|property| property.id().as_u8()).collect::<Vec<_>>();
        assert_eq!(order, [0x26, 0x01, 0x26, 0x03, 0x08, 0x09, 0x26]);
        let mut copy = Properties::new();
        properties.iter().for_each(|property| copy.push(property));
        assert_eq!(copy, properties);
        assert_eq!(copy.borrow(), properties);
        assert_eq!(copy.into_owned(), properties);
    }

    #[test]
    fn what_is_forwarded_is_borrowed_where_nothing_lies_between() {
        let forwardable = forwardable();
        let expiry = || Properties::new().with(Property::MessageExpiryInterval(1));
        let joined = |parts: &[&Properties<'_>]| {
            let bytes = parts.iter().flat_map(|part| part.as_bytes().iter().copied());
            Properties(Cow::Owned(bytes.collect()))
        };
        let alias = Properties::new().with(Property::TopicAlias(3)).with(Property::SubscriptionIdentifier(4));
        let delay = Properties::new().with(Property::WillDelayInterval(5));
        for whole in [
            forwardable.clone(),
            joined(&[&expiry(), &forwardable]),
            joined(&[&forwardable, &alias]),
            joined(&[&expiry(), &delay, &forwardable, &alias]),
        ] {
            let forwarded = whole.forwarded();
            assert_eq!(forwarded, forwardable);
            assert!(matches!(forwarded.0, Cow::Borrowed(_)), "{whole:?}");
        }

        let between = joined(&[&forwardable, &expiry(), &forwardable, &alias]);
        assert_eq!(between.forwarded(), joined(&[&forwardable, &forwardable]));
        assert!(matches!(between.forwarded().0, Cow::Owned(_)));

        for nothing in [&Properties::EMPTY, &expiry(), &alias, &joined(&[&expiry(), &delay])] {
            assert_eq!(nothing.forwarded(), Properties::EMPTY, "{nothing:?}");
        }
    }

    #[test]
    fn one_kind_can_be_left_out() {
        let properties = forwardable().with(Property::ReasonString("why"));
        assert_eq!(properties.without(PropertyId::ReasonString), forwardable());
        let without = properties.without(PropertyId::UserProperty);
        assert_eq!((without.user_properties().count(), without.iter().count()), (0, 5));
        assert_eq!(properties.without(PropertyId::TopicAlias), properties);
    }

    #[test]
    fn a_push_that_fails_adds_nothing() {
        let too_long = "x".repeat(65_536);
        let mut properties = forwardable();
        let refused = [
            (
                Property::UserProperty("fits", &too_long),
                EncodeError::FieldTooLong { field: "User Property", bytes: 65_536 },
            ),
            (
                Property::ReasonString(&too_long),
                EncodeError::FieldTooLong { field: "Reason String", bytes: 65_536 },
            ),
            (
                Property::TopicAlias(0),
                EncodeError::PropertyValue { property: PropertyId::TopicAlias, value: 0 },
            ),
        ];
        for (property, error) in refused {
            assert_eq!(properties.try_push(property), Err(error));
            assert_eq!(properties, forwardable());
        }
    }

    #[test]
    #[should_panic(expected = "within its bounds")]
    fn push_is_for_values_known_to_fit() {
        Properties::new().push(Property::MaximumPacketSize(0));
    }

    #[test]
    fn mqtt_3_2_2_9_a_maximum_of_qos_2_is_said_by_saying_nothing() {
        assert_eq!(Properties::new().with(Property::MaximumQoS(QoS::ExactlyOnce)), Properties::EMPTY);
        let properties = Properties::new().with(Property::MaximumQoS(QoS::AtMostOnce));
        assert_eq!(properties.maximum_qos(), Some(QoS::AtMostOnce));
    }

    #[test]
    fn debug_lists_properties() {
        let properties =
            Properties::new().with(Property::TopicAlias(3)).with(Property::UserProperty("k", "v"));
        assert_eq!(format!("{properties:?}"), r#"[TopicAlias(3), UserProperty("k", "v")]"#);
    }
}
