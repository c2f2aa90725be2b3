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
