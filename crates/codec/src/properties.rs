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
    fn only(&self, keep: impl Fn(PropertyId) -> bool) -> Properties<'_> {
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

    fn number(&self, id: PropertyId) -> Option<u32> {
        match self.values(id).next()? {
            Value::Number(number) => Some(number),
            _ => None,
        }
    }

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
        check(section, place, sender)?;
        Ok(Self(Cow::Borrowed(section)))
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
