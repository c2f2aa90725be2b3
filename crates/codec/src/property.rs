//! The 27 properties of 5.0 and the one table that says everything about them.
//!
//! [`PROPERTIES`] holds for each property its number, name, type and range, where it may stand, where it may
//! repeat and which end may send it. Decoding, encoding and the documentation read this table; a rule about
//! a property is written nowhere else.

use crate::wire::{self, Reader, VARIABLE_BYTE_INTEGER_MAX};
use crate::{DecodeError, EncodeError, PacketType, QoS, Role};
use std::fmt;
use std::ops::RangeInclusive;

/// The number of a property.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
#[expect(missing_docs, reason = "the variants carry the names of the standard")]
pub enum PropertyId {
    PayloadFormatIndicator = 0x01,
    MessageExpiryInterval = 0x02,
    ContentType = 0x03,
    ResponseTopic = 0x08,
    CorrelationData = 0x09,
    SubscriptionIdentifier = 0x0B,
    SessionExpiryInterval = 0x11,
    AssignedClientIdentifier = 0x12,
    ServerKeepAlive = 0x13,
    AuthenticationMethod = 0x15,
    AuthenticationData = 0x16,
    RequestProblemInformation = 0x17,
    WillDelayInterval = 0x18,
    RequestResponseInformation = 0x19,
    ResponseInformation = 0x1A,
    ServerReference = 0x1C,
    ReasonString = 0x1F,
    ReceiveMaximum = 0x21,
    TopicAliasMaximum = 0x22,
    TopicAlias = 0x23,
    MaximumQoS = 0x24,
    RetainAvailable = 0x25,
    UserProperty = 0x26,
    MaximumPacketSize = 0x27,
    WildcardSubscriptionAvailable = 0x28,
    SubscriptionIdentifierAvailable = 0x29,
    SharedSubscriptionAvailable = 0x2A,
}

impl PropertyId {
    /// The property with this number. All numbers fit one byte of the variable byte integer they travel as.
    pub fn from_u8(id: u8) -> Option<Self> {
        PropertyRule::by_number(id).map(|rule| rule.id)
    }

    /// The number on the wire.
    pub const fn as_u8(self) -> u8 {
        self as u8
    }

    /// The name as the standard writes it.
    pub fn name(self) -> &'static str {
        self.rule().name
    }

    /// What the table says about this property.
    pub fn rule(self) -> &'static PropertyRule {
        PropertyRule::by_number(self as u8).expect("every PropertyId has its row in PROPERTIES")
    }
}

impl fmt::Display for PropertyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// One property with its value. Numbers of seconds are `u32` in seconds, sizes are in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the variants carry the names of the standard")]
pub enum Property<'a> {
    /// Whether the payload is UTF-8 text.
    PayloadFormatIndicator(bool),
    MessageExpiryInterval(u32),
    ContentType(&'a str),
    ResponseTopic(&'a str),
    CorrelationData(&'a [u8]),
    /// 1 to 268,435,455.
    SubscriptionIdentifier(u32),
    SessionExpiryInterval(u32),
    AssignedClientIdentifier(&'a str),
    ServerKeepAlive(u16),
    AuthenticationMethod(&'a str),
    AuthenticationData(&'a [u8]),
    RequestProblemInformation(bool),
    WillDelayInterval(u32),
    RequestResponseInformation(bool),
    ResponseInformation(&'a str),
    ServerReference(&'a str),
    ReasonString(&'a str),
    /// 1 to 65,535.
    ReceiveMaximum(u16),
    TopicAliasMaximum(u16),
    /// 1 to 65,535 [MQTT-3.3.2-8].
    TopicAlias(u16),
    /// QoS 0 or 1 [MQTT-3.2.2-9]. QoS 2 is what the absence of the property says, so pushing it adds nothing.
    MaximumQoS(QoS),
    RetainAvailable(bool),
    UserProperty(&'a str, &'a str),
    /// At least 1.
    MaximumPacketSize(u32),
    WildcardSubscriptionAvailable(bool),
    SubscriptionIdentifierAvailable(bool),
    SharedSubscriptionAvailable(bool),
}

/// Where a property section stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PropertyPlace {
    /// In the variable header of a packet.
    Packet(PacketType),
    /// In the will of a CONNECT.
    Will,
}

impl PropertyPlace {
    /// Every place where a property section can stand.
    pub const ALL: [Self; 14] = [
        Self::Packet(PacketType::Connect),
        Self::Will,
        Self::Packet(PacketType::ConnAck),
        Self::Packet(PacketType::Publish),
        Self::Packet(PacketType::PubAck),
        Self::Packet(PacketType::PubRec),
        Self::Packet(PacketType::PubRel),
        Self::Packet(PacketType::PubComp),
        Self::Packet(PacketType::Subscribe),
        Self::Packet(PacketType::SubAck),
        Self::Packet(PacketType::Unsubscribe),
        Self::Packet(PacketType::UnsubAck),
        Self::Packet(PacketType::Disconnect),
        Self::Packet(PacketType::Auth),
    ];

    const fn bit(self) -> u16 {
        match self {
            Self::Packet(packet_type) => 1 << packet_type as u16,
            Self::Will => WILL,
        }
    }
}

impl fmt::Display for PropertyPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Packet(packet_type) => packet_type.fmt(f),
            Self::Will => f.write_str("the will"),
        }
    }
}

/// The wire type of a property's value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the variants carry the names of the standard")]
pub enum PropertyType {
    Byte,
    TwoByteInteger,
    FourByteInteger,
    VariableByteInteger,
    Utf8String,
    /// A UTF-8 string that is a topic name: not empty, no wildcards [MQTT-3.3.2-14].
    TopicName,
    BinaryData,
    Utf8StringPair,
}

/// One row of [`PROPERTIES`].
#[derive(Clone, Debug)]
pub struct PropertyRule {
    /// Which property.
    pub id: PropertyId,
    /// Its name as the standard writes it.
    pub name: &'static str,
    /// Its wire type.
    pub property_type: PropertyType,
    min: u32,
    max: u32,
    places: u16,
    repeats_in: u16,
    server_only_in: u16,
    client_only_in: u16,
}

impl PropertyRule {
    /// The allowed numbers; `None` for strings and binary data.
    pub fn range(&self) -> Option<RangeInclusive<u32>> {
        use PropertyType::{BinaryData, TopicName, Utf8String, Utf8StringPair};
        match self.property_type {
            Utf8String | TopicName | BinaryData | Utf8StringPair => None,
            _ => Some(self.min..=self.max),
        }
    }

    /// Whether the property belongs to this place at all.
    pub const fn is_allowed_in(&self, place: PropertyPlace) -> bool {
        self.places & place.bit() != 0
    }

    /// Whether the property may stand there more than once.
    pub const fn may_repeat_in(&self, place: PropertyPlace) -> bool {
        self.repeats_in & place.bit() != 0
    }

    /// Whether this end of the connection may put the property there.
    pub const fn may_be_sent_by(&self, sender: Role, place: PropertyPlace) -> bool {
        let other_end_only = match sender {
            Role::Server => self.client_only_in,
            Role::Client => self.server_only_in,
        };
        other_end_only & place.bit() == 0
    }

    pub(crate) fn by_number(number: u8) -> Option<&'static Self> {
        let row = *ROW_OF_NUMBER.get(usize::from(number))?;
        PROPERTIES.get(usize::from(row))
    }

    /// Reads the number of the next property. A number above 127 would take two bytes and is none we know.
    pub(crate) fn read(reader: &mut Reader<'_>, place: PropertyPlace) -> Result<&'static Self, DecodeError> {
        let id = reader.u8("a property")?;
        Self::by_number(id).ok_or(DecodeError::PropertyUnknown { id, place })
    }

    /// Reads this property's value and checks its type, not its range.
    pub(crate) fn read_value<'a>(&self, reader: &mut Reader<'a>) -> Result<Value<'a>, DecodeError> {
        Ok(match self.property_type {
            PropertyType::Byte => Value::Number(reader.u8(self.name)?.into()),
            PropertyType::TwoByteInteger => Value::Number(reader.u16(self.name)?.into()),
            PropertyType::FourByteInteger => Value::Number(reader.u32(self.name)?),
            PropertyType::VariableByteInteger => Value::Number(reader.variable_byte_integer(self.name)?),
            PropertyType::Utf8String => Value::Text(reader.string(self.name)?),
            PropertyType::TopicName => Value::Text(non_empty(reader.topic_name(self.name)?, self.name)?),
            PropertyType::BinaryData => Value::Binary(reader.binary(self.name)?),
            PropertyType::Utf8StringPair => Value::Pair(reader.string(self.name)?, reader.string(self.name)?),
        })
    }

    /// Steps over this property's value without looking at it.
    pub(crate) fn skip_value(&self, reader: &mut Reader<'_>) -> Result<(), DecodeError> {
        match self.property_type {
            PropertyType::Byte => reader.take(1, self.name).map(drop),
            PropertyType::TwoByteInteger => reader.take(2, self.name).map(drop),
            PropertyType::FourByteInteger => reader.take(4, self.name).map(drop),
            PropertyType::VariableByteInteger => reader.variable_byte_integer(self.name).map(drop),
            PropertyType::Utf8String | PropertyType::TopicName | PropertyType::BinaryData => {
                reader.binary(self.name).map(drop)
            }
            PropertyType::Utf8StringPair => {
                reader.binary(self.name)?;
                reader.binary(self.name).map(drop)
            }
        }
    }

    /// The value of a number that is out of range.
    pub(crate) fn out_of_range(&self, value: Value<'_>) -> Option<u32> {
        match value {
            Value::Number(number) if number < self.min || number > self.max => Some(number),
            _ => None,
        }
    }

    const fn repeats_in(mut self, places: u16) -> Self {
        self.repeats_in = places;
        self
    }

    const fn server_only_in(mut self, places: u16) -> Self {
        self.server_only_in = places;
        self
    }

    const fn client_only_in(mut self, places: u16) -> Self {
        self.client_only_in = places;
        self
    }
}

/// A property's value as its wire type has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Value<'a> {
    Number(u32),
    Text(&'a str),
    Binary(&'a [u8]),
    Pair(&'a str, &'a str),
}

impl<'a> Property<'a> {
    /// The number of this property.
    pub const fn id(&self) -> PropertyId {
        self.parts().0
    }

    pub(crate) const fn parts(&self) -> (PropertyId, Value<'a>) {
        use PropertyId as Id;
        use Value::{Binary, Number, Pair, Text};
        match *self {
            Self::PayloadFormatIndicator(yes) => (Id::PayloadFormatIndicator, Number(yes as u32)),
            Self::MessageExpiryInterval(number) => (Id::MessageExpiryInterval, Number(number)),
            Self::ContentType(text) => (Id::ContentType, Text(text)),
            Self::ResponseTopic(text) => (Id::ResponseTopic, Text(text)),
            Self::CorrelationData(bytes) => (Id::CorrelationData, Binary(bytes)),
            Self::SubscriptionIdentifier(number) => (Id::SubscriptionIdentifier, Number(number)),
            Self::SessionExpiryInterval(number) => (Id::SessionExpiryInterval, Number(number)),
            Self::AssignedClientIdentifier(text) => (Id::AssignedClientIdentifier, Text(text)),
            Self::ServerKeepAlive(number) => (Id::ServerKeepAlive, Number(number as u32)),
            Self::AuthenticationMethod(text) => (Id::AuthenticationMethod, Text(text)),
            Self::AuthenticationData(bytes) => (Id::AuthenticationData, Binary(bytes)),
            Self::RequestProblemInformation(yes) => (Id::RequestProblemInformation, Number(yes as u32)),
            Self::WillDelayInterval(number) => (Id::WillDelayInterval, Number(number)),
            Self::RequestResponseInformation(yes) => (Id::RequestResponseInformation, Number(yes as u32)),
            Self::ResponseInformation(text) => (Id::ResponseInformation, Text(text)),
            Self::ServerReference(text) => (Id::ServerReference, Text(text)),
            Self::ReasonString(text) => (Id::ReasonString, Text(text)),
            Self::ReceiveMaximum(number) => (Id::ReceiveMaximum, Number(number as u32)),
            Self::TopicAliasMaximum(number) => (Id::TopicAliasMaximum, Number(number as u32)),
            Self::TopicAlias(number) => (Id::TopicAlias, Number(number as u32)),
            Self::MaximumQoS(qos) => (Id::MaximumQoS, Number(qos as u32)),
            Self::RetainAvailable(yes) => (Id::RetainAvailable, Number(yes as u32)),
            Self::UserProperty(name, value) => (Id::UserProperty, Pair(name, value)),
            Self::MaximumPacketSize(number) => (Id::MaximumPacketSize, Number(number)),
            Self::WildcardSubscriptionAvailable(yes) => {
                (Id::WildcardSubscriptionAvailable, Number(yes as u32))
            }
            Self::SubscriptionIdentifierAvailable(yes) => {
                (Id::SubscriptionIdentifierAvailable, Number(yes as u32))
            }
            Self::SharedSubscriptionAvailable(yes) => (Id::SharedSubscriptionAvailable, Number(yes as u32)),
        }
    }

    /// The property of these parts; `None` where the table gives it another type or range.
    pub(crate) fn from_parts(id: PropertyId, value: Value<'a>) -> Option<Self> {
        match value {
            Value::Number(number) => Self::from_number(id, number),
            Value::Text(text) => Self::from_text(id, text),
            Value::Binary(bytes) if id == PropertyId::CorrelationData => Some(Self::CorrelationData(bytes)),
            Value::Binary(bytes) if id == PropertyId::AuthenticationData => {
                Some(Self::AuthenticationData(bytes))
            }
            Value::Pair(name, value) if id == PropertyId::UserProperty => {
                Some(Self::UserProperty(name, value))
            }
            _ => None,
        }
    }

    fn from_number(id: PropertyId, number: u32) -> Option<Self> {
        let yes = number == 1;
        let short = u16::try_from(number);
        Some(match id {
            PropertyId::PayloadFormatIndicator => Self::PayloadFormatIndicator(yes),
            PropertyId::MessageExpiryInterval => Self::MessageExpiryInterval(number),
            PropertyId::SubscriptionIdentifier => Self::SubscriptionIdentifier(number),
            PropertyId::SessionExpiryInterval => Self::SessionExpiryInterval(number),
            PropertyId::ServerKeepAlive => Self::ServerKeepAlive(short.ok()?),
            PropertyId::RequestProblemInformation => Self::RequestProblemInformation(yes),
            PropertyId::WillDelayInterval => Self::WillDelayInterval(number),
            PropertyId::RequestResponseInformation => Self::RequestResponseInformation(yes),
            PropertyId::ReceiveMaximum => Self::ReceiveMaximum(short.ok()?),
            PropertyId::TopicAliasMaximum => Self::TopicAliasMaximum(short.ok()?),
            PropertyId::TopicAlias => Self::TopicAlias(short.ok()?),
            PropertyId::MaximumQoS => Self::MaximumQoS(QoS::from_bits(u8::try_from(number).ok()?)?),
            PropertyId::RetainAvailable => Self::RetainAvailable(yes),
            PropertyId::MaximumPacketSize => Self::MaximumPacketSize(number),
            PropertyId::WildcardSubscriptionAvailable => Self::WildcardSubscriptionAvailable(yes),
            PropertyId::SubscriptionIdentifierAvailable => Self::SubscriptionIdentifierAvailable(yes),
            PropertyId::SharedSubscriptionAvailable => Self::SharedSubscriptionAvailable(yes),
            _ => return None,
        })
    }

    fn from_text(id: PropertyId, text: &'a str) -> Option<Self> {
        Some(match id {
            PropertyId::ContentType => Self::ContentType(text),
            PropertyId::ResponseTopic => Self::ResponseTopic(text),
            PropertyId::AssignedClientIdentifier => Self::AssignedClientIdentifier(text),
            PropertyId::AuthenticationMethod => Self::AuthenticationMethod(text),
            PropertyId::ResponseInformation => Self::ResponseInformation(text),
            PropertyId::ServerReference => Self::ServerReference(text),
            PropertyId::ReasonString => Self::ReasonString(text),
            _ => return None,
        })
    }

    /// Appends number and value.
    pub(crate) fn write(&self, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        let (id, value) = self.parts();
        let rule = id.rule();
        if let Some(value) = rule.out_of_range(value) {
            return Err(EncodeError::PropertyValue { property: id, value });
        }
        out.push(id.as_u8());
        match value {
            Value::Number(number) => write_number(rule.property_type, number, out),
            Value::Text(text) => wire::put_string(text, rule.name, out)?,
            Value::Binary(bytes) => wire::put_binary(bytes, rule.name, out)?,
            Value::Pair(name, value) => {
                wire::put_string(name, rule.name, out)?;
                wire::put_string(value, rule.name, out)?;
            }
        }
        Ok(())
    }
}

/// Writes the low bytes of a number that the table has found in range.
fn write_number(property_type: PropertyType, number: u32, out: &mut Vec<u8>) {
    match property_type {
        PropertyType::Byte => out.push(number as u8),
        PropertyType::TwoByteInteger => out.extend_from_slice(&(number as u16).to_be_bytes()),
        PropertyType::VariableByteInteger => wire::put_variable_byte_integer(number, out),
        _ => out.extend_from_slice(&number.to_be_bytes()),
    }
}

/// A topic name has at least one character [MQTT-4.7.3-1].
fn non_empty<'a>(topic: &'a str, field: &'static str) -> Result<&'a str, DecodeError> {
    if topic.is_empty() { Err(DecodeError::TopicNameEmpty { field }) } else { Ok(topic) }
}

const fn text(id: PropertyId, name: &'static str, property_type: PropertyType, places: u16) -> PropertyRule {
    number(id, name, property_type, 0, 0, places)
}

const fn number(
    id: PropertyId,
    name: &'static str,
    property_type: PropertyType,
    min: u32,
    max: u32,
    places: u16,
) -> PropertyRule {
    PropertyRule {
        id,
        name,
        property_type,
        min,
        max,
        places,
        repeats_in: 0,
        server_only_in: 0,
        client_only_in: 0,
    }
}

const WILL: u16 = 1;
const CONNECT: u16 = 1 << PacketType::Connect as u16;
const CONNACK: u16 = 1 << PacketType::ConnAck as u16;
const PUBLISH: u16 = 1 << PacketType::Publish as u16;
const PUBLISH_ACKS: u16 = 1 << PacketType::PubAck as u16
    | 1 << PacketType::PubRec as u16
    | 1 << PacketType::PubRel as u16
    | 1 << PacketType::PubComp as u16;
const SUBSCRIBE: u16 = 1 << PacketType::Subscribe as u16;
const UNSUBSCRIBE: u16 = 1 << PacketType::Unsubscribe as u16;
const SUBACKS: u16 = 1 << PacketType::SubAck as u16 | 1 << PacketType::UnsubAck as u16;
const DISCONNECT: u16 = 1 << PacketType::Disconnect as u16;
const AUTH: u16 = 1 << PacketType::Auth as u16;
const EVERYWHERE: u16 =
    WILL | CONNECT | CONNACK | PUBLISH | PUBLISH_ACKS | SUBSCRIBE | UNSUBSCRIBE | SUBACKS | DISCONNECT | AUTH;
const EVERY_ANSWER: u16 = CONNACK | PUBLISH_ACKS | SUBACKS | DISCONNECT | AUTH;

/// Everything the standard says about a single property, in the order of their numbers (section 2.2.2.2).
#[rustfmt::skip]
pub static PROPERTIES: [PropertyRule; 27] = {
    use PropertyId as Id;
    use PropertyType::{BinaryData, Byte, FourByteInteger, TopicName, TwoByteInteger};
    use PropertyType::{Utf8String, Utf8StringPair, VariableByteInteger};
    const U16: u32 = u16::MAX as u32;
    const U32: u32 = u32::MAX;
    [
        number(Id::PayloadFormatIndicator, "Payload Format Indicator", Byte, 0, 1, PUBLISH | WILL),
        number(Id::MessageExpiryInterval, "Message Expiry Interval", FourByteInteger, 0, U32, PUBLISH | WILL),
        text(Id::ContentType, "Content Type", Utf8String, PUBLISH | WILL),
        text(Id::ResponseTopic, "Response Topic", TopicName, PUBLISH | WILL),
        text(Id::CorrelationData, "Correlation Data", BinaryData, PUBLISH | WILL),
        // A client subscribes with one identifier; a server delivers with those of all that matched [MQTT-3.3.4-4].
        number(Id::SubscriptionIdentifier, "Subscription Identifier", VariableByteInteger, 1, VARIABLE_BYTE_INTEGER_MAX,
               PUBLISH | SUBSCRIBE)
            .repeats_in(PUBLISH)
            .server_only_in(PUBLISH),
        number(Id::SessionExpiryInterval, "Session Expiry Interval", FourByteInteger, 0, U32,
               CONNECT | CONNACK | DISCONNECT)
            .client_only_in(DISCONNECT),
        text(Id::AssignedClientIdentifier, "Assigned Client Identifier", Utf8String, CONNACK),
        number(Id::ServerKeepAlive, "Server Keep Alive", TwoByteInteger, 0, U16, CONNACK),
        text(Id::AuthenticationMethod, "Authentication Method", Utf8String, CONNECT | CONNACK | AUTH),
        text(Id::AuthenticationData, "Authentication Data", BinaryData, CONNECT | CONNACK | AUTH),
        number(Id::RequestProblemInformation, "Request Problem Information", Byte, 0, 1, CONNECT),
        number(Id::WillDelayInterval, "Will Delay Interval", FourByteInteger, 0, U32, WILL),
        number(Id::RequestResponseInformation, "Request Response Information", Byte, 0, 1, CONNECT),
        text(Id::ResponseInformation, "Response Information", Utf8String, CONNACK),
        text(Id::ServerReference, "Server Reference", Utf8String, CONNACK | DISCONNECT),
        text(Id::ReasonString, "Reason String", Utf8String, EVERY_ANSWER),
        number(Id::ReceiveMaximum, "Receive Maximum", TwoByteInteger, 1, U16, CONNECT | CONNACK),
        number(Id::TopicAliasMaximum, "Topic Alias Maximum", TwoByteInteger, 0, U16, CONNECT | CONNACK),
        number(Id::TopicAlias, "Topic Alias", TwoByteInteger, 1, U16, PUBLISH),
        number(Id::MaximumQoS, "Maximum QoS", Byte, 0, 1, CONNACK),
        number(Id::RetainAvailable, "Retain Available", Byte, 0, 1, CONNACK),
        text(Id::UserProperty, "User Property", Utf8StringPair, EVERYWHERE).repeats_in(EVERYWHERE),
        number(Id::MaximumPacketSize, "Maximum Packet Size", FourByteInteger, 1, U32, CONNECT | CONNACK),
        number(Id::WildcardSubscriptionAvailable, "Wildcard Subscription Available", Byte, 0, 1, CONNACK),
        number(Id::SubscriptionIdentifierAvailable, "Subscription Identifier Available", Byte, 0, 1, CONNACK),
        number(Id::SharedSubscriptionAvailable, "Shared Subscription Available", Byte, 0, 1, CONNACK),
    ]
};

const NO_ROW: u8 = u8::MAX;

/// Where a number stands in [`PROPERTIES`].
static ROW_OF_NUMBER: [u8; 0x2B] = {
    let mut rows = [NO_ROW; 0x2B];
    let mut row = 0;
    while row < PROPERTIES.len() {
        rows[PROPERTIES[row].id as usize] = row as u8;
        row += 1;
    }
    rows
};

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Client, Server};

    /// Section 2.2.2.2, table 2-4, from the side of the packets.
    const ALLOWED: [(PropertyPlace, &[u8]); 14] = [
        (PropertyPlace::Packet(PacketType::Connect), &[0x11, 0x15, 0x16, 0x17, 0x19, 0x21, 0x22, 0x26, 0x27]),
        (PropertyPlace::Will, &[0x01, 0x02, 0x03, 0x08, 0x09, 0x18, 0x26]),
        (
            PropertyPlace::Packet(PacketType::ConnAck),
            &[
                0x11, 0x12, 0x13, 0x15, 0x16, 0x1A, 0x1C, 0x1F, 0x21, 0x22, 0x24, 0x25, 0x26, 0x27, 0x28,
                0x29, 0x2A,
            ],
        ),
        (PropertyPlace::Packet(PacketType::Publish), &[0x01, 0x02, 0x03, 0x08, 0x09, 0x0B, 0x23, 0x26]),
        (PropertyPlace::Packet(PacketType::PubAck), &[0x1F, 0x26]),
        (PropertyPlace::Packet(PacketType::PubRec), &[0x1F, 0x26]),
        (PropertyPlace::Packet(PacketType::PubRel), &[0x1F, 0x26]),
        (PropertyPlace::Packet(PacketType::PubComp), &[0x1F, 0x26]),
        (PropertyPlace::Packet(PacketType::Subscribe), &[0x0B, 0x26]),
        (PropertyPlace::Packet(PacketType::SubAck), &[0x1F, 0x26]),
        (PropertyPlace::Packet(PacketType::Unsubscribe), &[0x26]),
        (PropertyPlace::Packet(PacketType::UnsubAck), &[0x1F, 0x26]),
        (PropertyPlace::Packet(PacketType::Disconnect), &[0x11, 0x1C, 0x1F, 0x26]),
        (PropertyPlace::Packet(PacketType::Auth), &[0x15, 0x16, 0x1F, 0x26]),
    ];

    #[test]
    fn the_table_is_in_order_and_complete() {
        assert!(PROPERTIES.windows(2).all(|rows| rows[0].id.as_u8() < rows[1].id.as_u8()));
        for rule in &PROPERTIES {
            assert_eq!(PropertyId::from_u8(rule.id.as_u8()), Some(rule.id));
            assert_eq!(rule.id.rule().id, rule.id);
            assert_eq!(rule.id.to_string(), rule.name);
        }
        let known = (0..=255).filter_map(PropertyId::from_u8).count();
        assert_eq!(known, PROPERTIES.len(), "no number leads to two rows");
    }

    #[test]
    fn every_place_allows_its_properties_and_no_others() {
        assert_eq!(ALLOWED.map(|(place, _)| place), PropertyPlace::ALL);
        for (place, allowed) in ALLOWED {
            for rule in &PROPERTIES {
                let expected = allowed.contains(&rule.id.as_u8());
                assert_eq!(rule.is_allowed_in(place), expected, "{} in {place}", rule.name);
            }
        }
    }

    #[test]
    fn only_user_properties_repeat_and_the_identifiers_of_a_delivery() {
        for place in PropertyPlace::ALL {
            for rule in &PROPERTIES {
                let is_delivery = place == PropertyPlace::Packet(PacketType::Publish);
                let expected = rule.id == PropertyId::UserProperty
                    || (rule.id == PropertyId::SubscriptionIdentifier && is_delivery);
                assert_eq!(rule.may_repeat_in(place), expected, "{} in {place}", rule.name);
            }
        }
    }

    #[test]
    fn two_properties_go_one_way() {
        let one_way = |sender| {
            let mut found = Vec::new();
            for place in PropertyPlace::ALL {
                let refused = PROPERTIES.iter().filter(|rule| !rule.may_be_sent_by(sender, place));
                found.extend(refused.map(|rule| (rule.id, place)));
            }
            found
        };
        // [MQTT-3.3.4-6]
        let publish = PropertyPlace::Packet(PacketType::Publish);
        assert_eq!(one_way(Client), [(PropertyId::SubscriptionIdentifier, publish)]);
        // [MQTT-3.14.2-2]
        let disconnect = PropertyPlace::Packet(PacketType::Disconnect);
        assert_eq!(one_way(Server), [(PropertyId::SessionExpiryInterval, disconnect)]);
    }

    /// Every property at the ends of its range, and its wire form.
    fn cases() -> Vec<(Property<'static>, Vec<u8>)> {
        let mut cases: Vec<(Property<'_>, Vec<u8>)> = vec![
            (Property::ContentType("a/b"), b"\x03\x00\x03a/b".into()),
            (Property::ContentType(""), b"\x03\x00\x00".into()),
            (Property::ResponseTopic("é"), b"\x08\x00\x02\xC3\xA9".into()),
            (Property::CorrelationData(&[0, 0xFF]), b"\x09\x00\x02\x00\xFF".into()),
            (Property::AssignedClientIdentifier("id"), b"\x12\x00\x02id".into()),
            (Property::AuthenticationMethod("m"), b"\x15\x00\x01m".into()),
            (Property::AuthenticationData(b""), b"\x16\x00\x00".into()),
            (Property::ResponseInformation("r"), b"\x1A\x00\x01r".into()),
            (Property::ServerReference("s:1"), b"\x1C\x00\x03s:1".into()),
            (Property::ReasonString("why"), b"\x1F\x00\x03why".into()),
            (Property::UserProperty("", ""), b"\x26\x00\x00\x00\x00".into()),
            (Property::UserProperty("k", "vv"), b"\x26\x00\x01k\x00\x02vv".into()),
            (Property::SubscriptionIdentifier(1), vec![0x0B, 1]),
            (Property::SubscriptionIdentifier(268_435_455), vec![0x0B, 0xFF, 0xFF, 0xFF, 0x7F]),
            (Property::MaximumQoS(QoS::AtMostOnce), vec![0x24, 0]),
            (Property::MaximumQoS(QoS::AtLeastOnce), vec![0x24, 1]),
            (Property::ReceiveMaximum(1), vec![0x21, 0, 1]),
            (Property::ReceiveMaximum(65_535), vec![0x21, 0xFF, 0xFF]),
            (Property::TopicAlias(1), vec![0x23, 0, 1]),
            (Property::TopicAlias(65_535), vec![0x23, 0xFF, 0xFF]),
            (Property::ServerKeepAlive(0), vec![0x13, 0, 0]),
            (Property::ServerKeepAlive(0x1234), vec![0x13, 0x12, 0x34]),
            (Property::TopicAliasMaximum(0), vec![0x22, 0, 0]),
            (Property::TopicAliasMaximum(65_535), vec![0x22, 0xFF, 0xFF]),
            (Property::MaximumPacketSize(1), vec![0x27, 0, 0, 0, 1]),
            (Property::MaximumPacketSize(u32::MAX), vec![0x27, 0xFF, 0xFF, 0xFF, 0xFF]),
            (Property::MessageExpiryInterval(0), vec![0x02, 0, 0, 0, 0]),
            (Property::MessageExpiryInterval(u32::MAX), vec![0x02, 0xFF, 0xFF, 0xFF, 0xFF]),
            (Property::SessionExpiryInterval(0x0102_0304), vec![0x11, 1, 2, 3, 4]),
            (Property::WillDelayInterval(0), vec![0x18, 0, 0, 0, 0]),
        ];
        for yes in [false, true] {
            cases.extend([
                (Property::PayloadFormatIndicator(yes), vec![0x01, yes.into()]),
                (Property::RequestProblemInformation(yes), vec![0x17, yes.into()]),
                (Property::RequestResponseInformation(yes), vec![0x19, yes.into()]),
                (Property::RetainAvailable(yes), vec![0x25, yes.into()]),
                (Property::WildcardSubscriptionAvailable(yes), vec![0x28, yes.into()]),
                (Property::SubscriptionIdentifierAvailable(yes), vec![0x29, yes.into()]),
                (Property::SharedSubscriptionAvailable(yes), vec![0x2A, yes.into()]),
            ]);
        }
        cases
    }

    #[test]
    fn every_property_has_its_wire_form() {
        let cases = cases();
        for rule in &PROPERTIES {
            assert!(cases.iter().any(|(property, _)| property.id() == rule.id), "no case for {}", rule.name);
        }
        for (property, bytes) in cases {
            let mut out = Vec::new();
            property.write(&mut out).expect("the property is within its bounds");
            assert_eq!(out, bytes, "{property:?}");

            let mut reader = Reader::new(&bytes);
            let rule = PropertyRule::read(&mut reader, PropertyPlace::Will).expect("a known property");
            let mut skipping = reader;
            let value = rule.read_value(&mut reader).expect("a valid value");
            assert_eq!(rule.out_of_range(value), None);
            assert_eq!(Property::from_parts(rule.id, value), Some(property));
            assert!(reader.is_empty(), "{property:?}");

            assert_eq!(rule.skip_value(&mut skipping), Ok(()));
            assert!(skipping.is_empty(), "{property:?}");
        }
    }

    #[test]
    fn a_property_cut_short_is_refused_by_name() {
        for (property, bytes) in cases() {
            for end in 1..bytes.len() {
                let rule = property.id().rule();
                let error = Err(DecodeError::FieldBeyondEnd { field: rule.name });
                let cut = Reader::new(&bytes[1..end]);
                assert_eq!(rule.read_value(&mut cut.clone()).map(drop), error, "{property:?} {end}");
                assert_eq!(rule.skip_value(&mut cut.clone()), error, "{property:?} {end}");
            }
        }
    }

    #[test]
    fn a_value_of_another_type_makes_no_property() {
        for rule in &PROPERTIES {
            let wrong = match rule.property_type {
                PropertyType::BinaryData => Value::Text("text"),
                PropertyType::Utf8StringPair => Value::Number(1),
                PropertyType::Utf8String | PropertyType::TopicName => Value::Binary(b"binary"),
                _ => Value::Pair("a", "pair"),
            };
            assert_eq!(Property::from_parts(rule.id, wrong), None, "{}", rule.name);
        }
    }

    #[test]
    fn numbers_have_ranges_and_texts_do_not() {
        let range = |id: PropertyId| id.rule().range();
        assert_eq!(range(PropertyId::ReceiveMaximum), Some(1..=65_535));
        assert_eq!(range(PropertyId::MaximumQoS), Some(0..=1));
        assert_eq!(range(PropertyId::SubscriptionIdentifier), Some(1..=268_435_455));
        assert_eq!(range(PropertyId::SessionExpiryInterval), Some(0..=u32::MAX));
        assert_eq!(range(PropertyId::ResponseTopic), None);
        assert_eq!(range(PropertyId::UserProperty), None);
    }

    #[test]
    fn a_number_out_of_range_is_not_written() {
        let out_of_range = [
            Property::SubscriptionIdentifier(0),
            Property::SubscriptionIdentifier(268_435_456),
            Property::ReceiveMaximum(0),
            Property::TopicAlias(0),
            Property::MaximumPacketSize(0),
            Property::MaximumQoS(QoS::ExactlyOnce),
        ];
        for property in out_of_range {
            let mut out = Vec::new();
            let error = property.write(&mut out).expect_err("out of range");
            assert!(matches!(error, EncodeError::PropertyValue { property: id, .. } if id == property.id()));
            assert_eq!(out, [], "{property:?}");
        }
    }
}
