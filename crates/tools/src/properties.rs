//! `-D`: properties of MQTT 5 as words.

use crate::flags::{self, Wrong, text};
use crate::format::property_name;
use crate::numbers::leading_integer;
use noctule_codec::{PROPERTIES, PacketType, Properties, Property, PropertyId, PropertyPlace, PropertyRule};

/// The properties that a command line asks for, packet by packet.
#[derive(Clone, Debug, Default)]
pub(crate) struct PropertyLists {
    entries: Vec<Entry>,
}

#[derive(Clone, Debug)]
struct Entry {
    place: PropertyPlace,
    rule: &'static PropertyRule,
    value: Value,
}

/// A value as it was said, which may still be out of the range of its property.
#[derive(Clone, Debug)]
enum Value {
    Number(u32),
    Text(String),
    Data(Vec<u8>),
    Pair(String, String),
}

impl PropertyLists {
    /// Takes the words behind `-D`; gives how many those are.
    pub(crate) fn add(&mut self, words: &[Vec<u8>]) -> Result<usize, Wrong> {
        let [packet, name, value, more @ ..] = words else { return Err(too_few()) };
        let (packet, name) = (text(packet), text(name));
        let place = place(&packet).ok_or_else(|| wrong("Invalid command given in --property argument."))?;
        let rule = PROPERTIES.iter().find(|rule| name.eq_ignore_ascii_case(&property_name(rule.id)));
        let rule = rule.ok_or_else(|| wrong("Invalid property name given in --property argument."))?;
        if !rule.is_allowed_in(place) {
            return Err(Wrong(format!("{name} property not allowed for {packet} in --property argument.")));
        }
        if rule.id == PropertyId::UserProperty && more.is_empty() {
            return Err(too_few());
        }
        if !is_settable(place, rule.id) {
            return Err(Wrong(format!("{name} property not supported for {packet} in --property argument.")));
        }
        let (value, used) = match (rule.id, more) {
            (PropertyId::UserProperty, [second, ..]) => (Value::Pair(utf8(value)?, utf8(second)?), 4),
            (id, _) => (read(rule, id, value, &name)?, 3),
        };
        self.entries.push(Entry { place, rule, value });
        Ok(used)
    }

    /// Whether one of these was asked for.
    pub(crate) fn has(&self, place: PropertyPlace, id: PropertyId) -> bool {
        self.entries.iter().any(|entry| entry.place == place && entry.rule.id == id)
    }

    /// The section of one packet, once all have been found right.
    pub(crate) fn checked(&self, place: PropertyPlace) -> Properties<'static> {
        self.section(place).unwrap_or_default()
    }

    /// The section of one packet.
    ///
    /// # Errors
    /// A number is out of its range, or a property stands there twice that may not.
    pub(crate) fn section(&self, place: PropertyPlace) -> Result<Properties<'static>, &'static str> {
        let mut section = Properties::EMPTY;
        let mut told: Vec<PropertyId> = Vec::new();
        for Entry { rule, value, .. } in self.entries.iter().filter(|entry| entry.place == place) {
            if told.contains(&rule.id) && !rule.may_repeat_in(place) {
                return Err("Duplicate property in property list");
            }
            told.push(rule.id);
            let property = property(rule, value).ok_or(BROKEN)?;
            section.try_push(property).map_err(|_| BROKEN)?;
        }
        Ok(section)
    }
}

/// The packets whose properties can be said, and how errors call them, in the order in which they are checked.
pub(crate) const PLACES: [(PropertyPlace, &str); 6] = [
    (PropertyPlace::Packet(PacketType::Connect), "CONNECT"),
    (PropertyPlace::Packet(PacketType::Publish), "PUBLISH"),
    (PropertyPlace::Packet(PacketType::Subscribe), "SUBSCRIBE"),
    (PropertyPlace::Packet(PacketType::Unsubscribe), "UNSUBSCRIBE"),
    (PropertyPlace::Packet(PacketType::Disconnect), "DISCONNECT"),
    (PropertyPlace::Will, "Will"),
];

fn wrong(text: &str) -> Wrong {
    Wrong(text.to_owned())
}

fn too_few() -> Wrong {
    wrong("--property argument given but not enough arguments specified.")
}

fn utf8(word: &[u8]) -> Result<String, Wrong> {
    flags::utf8("--property", word)
}

/// The packets that can be named, among them some that a client does not send or that take none.
fn place(packet: &str) -> Option<PropertyPlace> {
    PropertyPlace::ALL.into_iter().find(|place| match place {
        PropertyPlace::Packet(PacketType::SubAck | PacketType::UnsubAck) => false,
        PropertyPlace::Packet(packet_type) => packet.eq_ignore_ascii_case(&packet_type.to_string()),
        PropertyPlace::Will => packet.eq_ignore_ascii_case("will"),
    })
}

/// A client's own answers carry no properties, and which subscriptions a message answers is the server's to say.
fn is_settable(place: PropertyPlace, id: PropertyId) -> bool {
    let is_publish = place == PropertyPlace::Packet(PacketType::Publish);
    PLACES.iter().any(|(own, _)| *own == place) && !(is_publish && id == PropertyId::SubscriptionIdentifier)
}

fn read(rule: &PropertyRule, id: PropertyId, word: &[u8], name: &str) -> Result<Value, Wrong> {
    use noctule_codec::PropertyType::{Byte, TwoByteInteger, VariableByteInteger};
    let max = match rule.property_type {
        Byte => u8::MAX.into(),
        TwoByteInteger => u16::MAX.into(),
        VariableByteInteger => VARIABLE_BYTE_INTEGER_MAX,
        _ if rule.range().is_some() => u32::MAX,
        _ if id == PropertyId::CorrelationData || id == PropertyId::AuthenticationData => {
            return in_length(word, name).map(|()| Value::Data(word.to_vec()));
        }
        _ => return in_length(word, name).and_then(|()| utf8(word).map(Value::Text)),
    };
    let number = leading_integer(word);
    let value = u32::try_from(number).ok().filter(|value| *value <= max);
    let out_of_range = || Wrong(format!("Property value ({number}) out of range for property {name}."));
    value.map(Value::Number).ok_or_else(out_of_range)
}

fn in_length(word: &[u8], name: &str) -> Result<(), Wrong> {
    match word.len() <= u16::MAX.into() {
        true => Ok(()),
        false => Err(Wrong(format!("Property value too long for property {name}."))),
    }
}

/// The property of these parts, if the value is in its range.
fn property<'a>(rule: &PropertyRule, value: &'a Value) -> Option<Property<'a>> {
    use PropertyId as Id;
    let number = match value {
        Value::Number(number) => *number,
        Value::Pair(name, value) => return Some(Property::UserProperty(name, value)),
        Value::Data(data) if rule.id == Id::CorrelationData => return Some(Property::CorrelationData(data)),
        Value::Data(data) => return Some(Property::AuthenticationData(data)),
        Value::Text(text) => {
            return match rule.id {
                Id::ContentType => Some(Property::ContentType(text)),
                Id::ResponseTopic => Some(Property::ResponseTopic(text)),
                Id::AuthenticationMethod => Some(Property::AuthenticationMethod(text)),
                Id::ReasonString => Some(Property::ReasonString(text)),
                _ => None,
            };
        }
    };
    if !rule.range()?.contains(&number) {
        return None;
    }
    let short = u16::try_from(number);
    Some(match rule.id {
        Id::PayloadFormatIndicator => Property::PayloadFormatIndicator(number == 1),
        Id::MessageExpiryInterval => Property::MessageExpiryInterval(number),
        Id::SubscriptionIdentifier => Property::SubscriptionIdentifier(number),
        Id::SessionExpiryInterval => Property::SessionExpiryInterval(number),
        Id::RequestProblemInformation => Property::RequestProblemInformation(number == 1),
        Id::RequestResponseInformation => Property::RequestResponseInformation(number == 1),
        Id::WillDelayInterval => Property::WillDelayInterval(number),
        Id::ReceiveMaximum => Property::ReceiveMaximum(short.ok()?),
        Id::TopicAliasMaximum => Property::TopicAliasMaximum(short.ok()?),
        Id::TopicAlias => Property::TopicAlias(short.ok()?),
        Id::MaximumPacketSize => Property::MaximumPacketSize(number),
        _ => return None,
    })
}

/// How mosquitto calls a value that no broker may be sent.
const BROKEN: &str = "A network protocol error occurred when communicating with the broker.";
/// The highest number that a variable byte integer holds.
const VARIABLE_BYTE_INTEGER_MAX: u32 = 268_435_455;

#[cfg(test)]
mod tests {
    use super::*;

    fn add(words: &str) -> Result<usize, String> {
        let words: Vec<Vec<u8>> = words.split(' ').map(|word| word.as_bytes().to_vec()).collect();
        PropertyLists::default().add(&words).map_err(|Wrong(text)| text)
    }

    #[test]
    fn words_become_properties() {
        let mut lists = PropertyLists::default();
        for words in ["publish user-property k v", "PUBLISH Content-Type a/b", "connect receive-maximum 7"] {
            let words: Vec<Vec<u8>> = words.split(' ').map(|word| word.as_bytes().to_vec()).collect();
            assert_eq!(lists.add(&words), Ok(words.len()));
        }
        let publish = lists.section(PropertyPlace::Packet(PacketType::Publish)).expect("valid");
        let expected = [Property::UserProperty("k", "v"), Property::ContentType("a/b")];
        assert!(publish.iter().eq(expected));
        let connect = lists.section(PropertyPlace::Packet(PacketType::Connect)).expect("valid");
        assert_eq!(connect.receive_maximum(), Some(7));
    }

    #[test]
    fn wrong_words_are_named() {
        let cases = [
            ("publish", "--property argument given but not enough arguments specified."),
            ("publish user-property a", "--property argument given but not enough arguments specified."),
            ("bogus user-property a b", "Invalid command given in --property argument."),
            ("publish bogus a", "Invalid property name given in --property argument."),
            (
                "publish receive-maximum 1",
                "receive-maximum property not allowed for publish in --property argument.",
            ),
            (
                "puback reason-string 4",
                "reason-string property not supported for puback in --property argument.",
            ),
            (
                "publish subscription-identifier 4",
                "subscription-identifier property not supported for publish in --property argument.",
            ),
            (
                "connect receive-maximum 70000",
                "Property value (70000) out of range for property receive-maximum.",
            ),
            (
                "connect session-expiry-interval -1",
                "Property value (-1) out of range for property session-expiry-interval.",
            ),
        ];
        for (words, error) in cases {
            assert_eq!(add(words), Err(error.to_owned()), "{words}");
        }
    }

    #[test]
    fn what_no_packet_may_hold_is_refused() {
        for (words, error) in [
            (["connect receive-maximum 0", "connect topic-alias-maximum 3"], BROKEN),
            (["connect request-problem-information 2", "connect topic-alias-maximum 3"], BROKEN),
            (
                ["connect topic-alias-maximum 1", "connect topic-alias-maximum 3"],
                "Duplicate property in property list",
            ),
        ] {
            let mut lists = PropertyLists::default();
            for words in words {
                let words: Vec<Vec<u8>> = words.split(' ').map(|word| word.as_bytes().to_vec()).collect();
                lists.add(&words).expect("words");
            }
            assert_eq!(lists.section(PropertyPlace::Packet(PacketType::Connect)), Err(error));
        }
    }
}
