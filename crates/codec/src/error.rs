//! What can be wrong with bytes from a peer, and what cannot be written.
//!
//! A [`DecodeError`] names one broken rule. It knows the reason code the peer is told and explains itself to
//! a person; nothing else in noctule turns a decoding rule into a number.

use crate::{PacketType, PropertyId, PropertyPlace, ProtocolVersion, ReasonCode, Role};

/// A peer broke a rule of the wire format. The connection ends [MQTT-4.13.1-1].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// [MQTT-3.1.0-1]: found with the first byte of a connection.
    #[error(
        "the first packet of a connection must be CONNECT, but its first byte is 0x{first_byte:02X}{}",
        looks_like(*first_byte)
    )]
    NotConnect {
        /// The first byte of the connection.
        first_byte: u8,
    },
    /// Packet type 0, and type 15 before 5.0.
    #[error("packet type {packet_type} is reserved in this version of MQTT")]
    PacketTypeReserved {
        /// The upper half of the first byte.
        packet_type: u8,
    },
    /// A packet that only the other end may send, such as a CONNACK from a client.
    #[error("{packet_type} must not be sent by a {sender} in this version of MQTT")]
    WrongDirection {
        /// What was sent.
        packet_type: PacketType,
        /// Who sent it.
        sender: Role,
    },
    /// [MQTT-2.1.3-1], [MQTT-3.6.1-1], [MQTT-3.8.1-1], [MQTT-3.10.1-1], [MQTT-3.14.1-1], [MQTT-3.15.1-1].
    #[error("the flags of {packet_type} must not be 0x{flags:X}{}", looks_like((*packet_type as u8) << 4 | flags))]
    FixedHeaderFlags {
        /// Whose flags.
        packet_type: PacketType,
        /// The lower half of the first byte.
        flags: u8,
    },
    /// [MQTT-3.3.1-4].
    #[error("PUBLISH has both QoS bits set")]
    PublishQoS,
    /// [MQTT-3.3.1-2].
    #[error("PUBLISH with QoS 0 has the DUP flag set")]
    DupWithQoS0,
    /// A fifth byte would follow in a variable byte integer, where four are the most.
    #[error("{field} is longer than four bytes")]
    VariableByteIntegerTooLong {
        /// Which number.
        field: &'static str,
    },
    /// [MQTT-1.5.5-1], 5.0 only.
    #[error("{field} is not written in as few bytes as possible")]
    VariableByteIntegerNotShortest {
        /// Which number.
        field: &'static str,
    },
    /// The packet is larger than this end accepts.
    #[error("a packet of {packet_bytes} bytes is above the maximum of {packet_bytes_max}")]
    PacketTooLarge {
        /// The packet with its fixed header, in bytes.
        packet_bytes: u32,
        /// What is accepted, in bytes.
        packet_bytes_max: u32,
    },
    /// A packet without variable parts has a different length.
    #[error("the remaining length of {packet_type} is {remaining_length} but must be {expected}")]
    RemainingLength {
        /// Whose length.
        packet_type: PacketType,
        /// What its fixed header says, in bytes.
        remaining_length: u32,
        /// The only right value, in bytes.
        expected: u32,
    },
    /// A field runs past the end of the packet or of the property section that holds it.
    #[error("{field} runs past the end of the packet")]
    FieldBeyondEnd {
        /// Which field.
        field: &'static str,
    },
    /// The fields end before the packet does.
    #[error("{packet_type} has {bytes} bytes after its last field")]
    TrailingBytes {
        /// Of which packet.
        packet_type: PacketType,
        /// How many bytes are left over.
        bytes: usize,
    },
    /// [MQTT-1.5.4-1]: broken UTF-8, including surrogates and overlong forms.
    #[error("{field} is not well-formed UTF-8")]
    NotUtf8 {
        /// Which string.
        field: &'static str,
    },
    /// [MQTT-1.5.4-2].
    #[error("{field} contains U+0000")]
    NulCharacter {
        /// Which string.
        field: &'static str,
    },
    /// [MQTT-2.2.1-3].
    #[error("the packet identifier of {packet_type} is 0")]
    PacketIdZero {
        /// Of which packet.
        packet_type: PacketType,
    },
    /// A number that is no property.
    #[error("there is no property 0x{id:02X} (found in {place})")]
    PropertyUnknown {
        /// The first byte of the property's number.
        id: u8,
        /// Where it was found.
        place: PropertyPlace,
    },
    /// A property that does not belong to this packet.
    #[error("the property {property} is not allowed in {place}")]
    PropertyNotAllowed {
        /// Which property.
        property: PropertyId,
        /// Where it was found.
        place: PropertyPlace,
    },
    /// A property that only the other end may put there [MQTT-3.3.4-6], [MQTT-3.14.2-2].
    #[error("the property {property} in {place} must not be sent by a {sender}")]
    PropertyWrongDirection {
        /// Which property.
        property: PropertyId,
        /// Where it was found.
        place: PropertyPlace,
        /// Who sent it.
        sender: Role,
    },
    /// A property stands twice where it may stand once.
    #[error("the property {property} appears more than once in {place}")]
    PropertyRepeated {
        /// Which property.
        property: PropertyId,
        /// Where it was found.
        place: PropertyPlace,
    },
    /// A value outside of the property's range, such as a Receive Maximum of 0.
    #[error("the property {property} must not have the value {value}")]
    PropertyValue {
        /// Which property.
        property: PropertyId,
        /// Its value.
        value: u32,
    },
    /// `MQTT` or `MQIsdp` with a level this broker does not speak [MQTT-3.1.2-2].
    #[error("level {level} of protocol {name} is not supported (supported are MQIsdp 3, MQTT 4 and MQTT 5)")]
    UnsupportedVersion {
        /// The protocol name.
        name: &'static str,
        /// The protocol level.
        level: u8,
        /// The version in whose shape a refusing CONNACK will be understood best: 5.0 where the rest of the
        /// packet reads as a 5.0 CONNECT, else 3.1.1.
        answer: ProtocolVersion,
    },
    /// Neither `MQTT` nor `MQIsdp` [MQTT-3.1.2-1].
    #[error("the protocol name is neither MQTT nor MQIsdp (level {level})")]
    UnknownProtocolName {
        /// The protocol level.
        level: u8,
        /// 5.0 where the rest of the packet reads as a 5.0 CONNECT; else there is no answer that would be
        /// understood, and the connection is closed without one.
        answer: Option<ProtocolVersion>,
    },
    /// [MQTT-3.1.2-3].
    #[error("the reserved flag of CONNECT is set")]
    ConnectFlagReserved,
    /// [MQTT-3.1.2-11], [MQTT-3.1.2-13].
    #[error("CONNECT has Will QoS or Will Retain set without a will")]
    WillFlagsWithoutWill,
    /// [MQTT-3.1.2-12].
    #[error("CONNECT has both Will QoS bits set")]
    WillQoS,
    /// [MQTT-3.1.2-22] of 3.1.1; 5.0 allows it.
    #[error("CONNECT has a password without a user name")]
    PasswordWithoutUserName,
    /// Authentication Data needs an Authentication Method.
    #[error("CONNECT has Authentication Data without an Authentication Method")]
    AuthenticationDataWithoutMethod,
    /// AUTH names its method.
    #[error("AUTH has no Authentication Method")]
    AuthenticationMethodMissing,
    /// [MQTT-3.2.2-1].
    #[error("CONNACK has reserved flags set: 0x{flags:02X}")]
    ConnAckFlags {
        /// The Connect Acknowledge Flags.
        flags: u8,
    },
    /// [MQTT-3.2.2-6].
    #[error("CONNACK refuses the connection but says that a session is present")]
    SessionPresentWithRefusal,
    /// A reason or return code that the standard does not list for this packet and sender.
    #[error("{packet_type} from a {sender} must not have the reason code 0x{code:02X}")]
    ReasonCodeNotAllowed {
        /// In which packet.
        packet_type: PacketType,
        /// Who sent it.
        sender: Role,
        /// The code.
        code: u8,
    },
    /// [MQTT-3.3.2-2], [MQTT-3.3.2-14].
    #[error("{field} contains the wildcard + or #, which only topic filters may have")]
    WildcardInTopicName {
        /// Which topic name.
        field: &'static str,
    },
    /// [MQTT-4.7.3-1]; a PUBLISH of 5.0 may leave its topic name empty where it has a topic alias.
    #[error("{field} is empty")]
    TopicNameEmpty {
        /// Which topic name.
        field: &'static str,
    },
    /// [MQTT-3.8.3-2], [MQTT-3.10.3-2].
    #[error("{packet_type} has no topic filter")]
    NoTopicFilter {
        /// SUBSCRIBE or UNSUBSCRIBE.
        packet_type: PacketType,
    },
    /// [MQTT-3.8.3-5].
    #[error("a SUBSCRIBE has reserved bits set in its options: 0x{bits:02X}")]
    SubscriptionOptionsReserved {
        /// The options byte.
        bits: u8,
    },
    /// Maximum QoS 3 in the options of a filter; [MQTT-3-8.3-4] of 3.1.1.
    #[error("a SUBSCRIBE asks for QoS 3")]
    SubscriptionQoS {
        /// 5.0 calls it a protocol error, the older versions call it malformed.
        version: ProtocolVersion,
    },
    /// Retain Handling 3.
    #[error("a SUBSCRIBE asks for Retain Handling 3")]
    RetainHandling,
}

impl DecodeError {
    /// The reason code the peer is told, where its version has reason codes.
    pub const fn reason_code(&self) -> ReasonCode {
        match self {
            Self::PacketTooLarge { .. } => ReasonCode::PacketTooLarge,
            Self::UnsupportedVersion { .. } | Self::UnknownProtocolName { .. } => {
                ReasonCode::UnsupportedProtocolVersion
            }
            Self::WildcardInTopicName { .. } => ReasonCode::TopicNameInvalid,
            Self::PropertyValue { property: PropertyId::TopicAlias, .. } => ReasonCode::TopicAliasInvalid,
            Self::NotConnect { .. }
            | Self::WrongDirection { .. }
            | Self::PacketIdZero { .. }
            | Self::PropertyWrongDirection { .. }
            | Self::PropertyRepeated { .. }
            | Self::PropertyValue { .. }
            | Self::AuthenticationDataWithoutMethod
            | Self::AuthenticationMethodMissing
            | Self::SessionPresentWithRefusal
            | Self::ReasonCodeNotAllowed { .. }
            | Self::TopicNameEmpty { .. }
            | Self::NoTopicFilter { .. }
            | Self::SubscriptionQoS { version: ProtocolVersion::V5 }
            | Self::RetainHandling => ReasonCode::ProtocolError,
            Self::PacketTypeReserved { .. }
            | Self::FixedHeaderFlags { .. }
            | Self::PublishQoS
            | Self::DupWithQoS0
            | Self::VariableByteIntegerTooLong { .. }
            | Self::VariableByteIntegerNotShortest { .. }
            | Self::RemainingLength { .. }
            | Self::FieldBeyondEnd { .. }
            | Self::TrailingBytes { .. }
            | Self::NotUtf8 { .. }
            | Self::NulCharacter { .. }
            | Self::PropertyUnknown { .. }
            | Self::PropertyNotAllowed { .. }
            | Self::ConnectFlagReserved
            | Self::WillFlagsWithoutWill
            | Self::WillQoS
            | Self::PasswordWithoutUserName
            | Self::ConnAckFlags { .. }
            | Self::SubscriptionOptionsReserved { .. }
            | Self::SubscriptionQoS { .. } => ReasonCode::MalformedPacket,
        }
    }
}

/// A packet that cannot be written. Nothing has been added to the output.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EncodeError {
    /// Larger than the receiver's Maximum Packet Size [MQTT-3.1.2-24], or than any packet can be.
    #[error("a packet of {packet_bytes} bytes is above the maximum of {packet_bytes_max}")]
    PacketTooLarge {
        /// The packet with its fixed header, in bytes.
        packet_bytes: usize,
        /// What is allowed, in bytes.
        packet_bytes_max: usize,
    },
    /// A string or binary field longer than its two-byte length can say [MQTT-4.7.3-3].
    #[error("{field} has {bytes} bytes, but 65,535 are the most")]
    FieldTooLong {
        /// Which field.
        field: &'static str,
        /// Its length in bytes.
        bytes: usize,
    },
    /// A value outside of the property's range.
    #[error("the property {property} must not have the value {value}")]
    PropertyValue {
        /// Which property.
        property: PropertyId,
        /// Its value.
        value: u32,
    },
    /// A PUBLISH above QoS 0 without a packet identifier [MQTT-2.2.1-3].
    #[error("a PUBLISH above QoS 0 needs a packet identifier")]
    PacketIdMissing,
}

/// A word for the reader of a log who has pointed something else at the MQTT port.
const fn looks_like(first_byte: u8) -> &'static str {
    match first_byte {
        0x16 => "; it looks like TLS",
        b'G' | b'P' | b'H' | b'O' | b'D' => "; it looks like HTTP",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a person reads in the log. Each message says which rule was broken by what.
    #[test]
    fn messages_are_for_people() {
        let cases = [
            (
                DecodeError::NotConnect { first_byte: b'G' },
                "the first packet of a connection must be CONNECT, but its first byte is 0x47; it looks like HTTP",
            ),
            (
                DecodeError::NotConnect { first_byte: 0xC0 },
                "the first packet of a connection must be CONNECT, but its first byte is 0xC0",
            ),
            (
                DecodeError::FixedHeaderFlags { packet_type: PacketType::Connect, flags: 6 },
                "the flags of CONNECT must not be 0x6; it looks like TLS",
            ),
            (
                DecodeError::FixedHeaderFlags { packet_type: PacketType::PubRel, flags: 0 },
                "the flags of PUBREL must not be 0x0",
            ),
            (
                DecodeError::WrongDirection { packet_type: PacketType::ConnAck, sender: Role::Client },
                "CONNACK must not be sent by a client in this version of MQTT",
            ),
            (
                DecodeError::PropertyNotAllowed {
                    property: PropertyId::WillDelayInterval,
                    place: PropertyPlace::Packet(PacketType::Publish),
                },
                "the property Will Delay Interval is not allowed in PUBLISH",
            ),
            (
                DecodeError::PropertyRepeated {
                    property: PropertyId::ContentType,
                    place: PropertyPlace::Will,
                },
                "the property Content Type appears more than once in the will",
            ),
            (
                DecodeError::PropertyValue { property: PropertyId::ReceiveMaximum, value: 0 },
                "the property Receive Maximum must not have the value 0",
            ),
            (
                DecodeError::UnsupportedVersion { name: "MQTT", level: 6, answer: ProtocolVersion::V5 },
                "level 6 of protocol MQTT is not supported (supported are MQIsdp 3, MQTT 4 and MQTT 5)",
            ),
            (
                DecodeError::ReasonCodeNotAllowed {
                    packet_type: PacketType::Disconnect,
                    sender: Role::Client,
                    code: 0x8E,
                },
                "DISCONNECT from a client must not have the reason code 0x8E",
            ),
            (
                DecodeError::PacketTooLarge { packet_bytes: 300, packet_bytes_max: 200 },
                "a packet of 300 bytes is above the maximum of 200",
            ),
        ];
        for (error, message) in cases {
            assert_eq!(error.to_string(), message);
        }
        let error = EncodeError::FieldTooLong { field: "the topic name", bytes: 70_000 };
        assert_eq!(error.to_string(), "the topic name has 70000 bytes, but 65,535 are the most");
    }

    #[test]
    fn errors_are_small_enough_to_pass_by_value() {
        assert!(size_of::<DecodeError>() <= 24);
        assert!(size_of::<EncodeError>() <= 32);
    }
}
