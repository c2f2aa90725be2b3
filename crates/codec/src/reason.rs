//! The reason codes of MQTT 5.0, which stand for every outcome above the wire.

use crate::{DecodeError, PacketType, Role};
use std::fmt;

/// A reason code. Codes from 0x80 are failures; which packets may carry which is known to the decoder.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
#[expect(missing_docs, reason = "the variants carry the names of the standard")]
pub enum ReasonCode {
    Success = 0x00,
    GrantedQoS1 = 0x01,
    GrantedQoS2 = 0x02,
    DisconnectWithWill = 0x04,
    NoMatchingSubscribers = 0x10,
    NoSubscriptionExisted = 0x11,
    ContinueAuthentication = 0x18,
    ReAuthenticate = 0x19,
    UnspecifiedError = 0x80,
    MalformedPacket = 0x81,
    ProtocolError = 0x82,
    ImplementationSpecificError = 0x83,
    UnsupportedProtocolVersion = 0x84,
    ClientIdentifierNotValid = 0x85,
    BadUserNameOrPassword = 0x86,
    NotAuthorized = 0x87,
    ServerUnavailable = 0x88,
    ServerBusy = 0x89,
    Banned = 0x8A,
    ServerShuttingDown = 0x8B,
    BadAuthenticationMethod = 0x8C,
    KeepAliveTimeout = 0x8D,
    SessionTakenOver = 0x8E,
    TopicFilterInvalid = 0x8F,
    TopicNameInvalid = 0x90,
    PacketIdentifierInUse = 0x91,
    PacketIdentifierNotFound = 0x92,
    ReceiveMaximumExceeded = 0x93,
    TopicAliasInvalid = 0x94,
    PacketTooLarge = 0x95,
    MessageRateTooHigh = 0x96,
    QuotaExceeded = 0x97,
    AdministrativeAction = 0x98,
    PayloadFormatInvalid = 0x99,
    RetainNotSupported = 0x9A,
    QoSNotSupported = 0x9B,
    UseAnotherServer = 0x9C,
    ServerMoved = 0x9D,
    SharedSubscriptionsNotSupported = 0x9E,
    ConnectionRateExceeded = 0x9F,
    MaximumConnectTime = 0xA0,
    SubscriptionIdentifiersNotSupported = 0xA1,
    WildcardSubscriptionsNotSupported = 0xA2,
}

impl ReasonCode {
    /// Success as DISCONNECT calls it.
    pub const NORMAL_DISCONNECTION: Self = Self::Success;
    /// Success as SUBACK calls it.
    pub const GRANTED_QOS_0: Self = Self::Success;

    /// The code with this number, if 5.0 knows it.
    pub const fn from_u8(code: u8) -> Option<Self> {
        Some(match code {
            0x00 => Self::Success,
            0x01 => Self::GrantedQoS1,
            0x02 => Self::GrantedQoS2,
            0x04 => Self::DisconnectWithWill,
            0x10 => Self::NoMatchingSubscribers,
            0x11 => Self::NoSubscriptionExisted,
            0x18 => Self::ContinueAuthentication,
            0x19 => Self::ReAuthenticate,
            0x80 => Self::UnspecifiedError,
            0x81 => Self::MalformedPacket,
            0x82 => Self::ProtocolError,
            0x83 => Self::ImplementationSpecificError,
            0x84 => Self::UnsupportedProtocolVersion,
            0x85 => Self::ClientIdentifierNotValid,
            0x86 => Self::BadUserNameOrPassword,
            0x87 => Self::NotAuthorized,
            0x88 => Self::ServerUnavailable,
            0x89 => Self::ServerBusy,
            0x8A => Self::Banned,
            0x8B => Self::ServerShuttingDown,
            0x8C => Self::BadAuthenticationMethod,
            0x8D => Self::KeepAliveTimeout,
            0x8E => Self::SessionTakenOver,
            0x8F => Self::TopicFilterInvalid,
            0x90 => Self::TopicNameInvalid,
            0x91 => Self::PacketIdentifierInUse,
            0x92 => Self::PacketIdentifierNotFound,
            0x93 => Self::ReceiveMaximumExceeded,
            0x94 => Self::TopicAliasInvalid,
            0x95 => Self::PacketTooLarge,
            0x96 => Self::MessageRateTooHigh,
            0x97 => Self::QuotaExceeded,
            0x98 => Self::AdministrativeAction,
            0x99 => Self::PayloadFormatInvalid,
            0x9A => Self::RetainNotSupported,
            0x9B => Self::QoSNotSupported,
            0x9C => Self::UseAnotherServer,
            0x9D => Self::ServerMoved,
            0x9E => Self::SharedSubscriptionsNotSupported,
            0x9F => Self::ConnectionRateExceeded,
            0xA0 => Self::MaximumConnectTime,
            0xA1 => Self::SubscriptionIdentifiersNotSupported,
            0xA2 => Self::WildcardSubscriptionsNotSupported,
            _ => return None,
        })
    }

    /// The number on the wire.
    pub const fn as_u8(self) -> u8 {
        self as u8
    }

    /// Whether this is a failure: the operation was not done, or the connection ends.
    pub const fn is_error(self) -> bool {
        self as u8 >= 0x80
    }

    /// The name the standard gives.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Success => "Success",
            Self::GrantedQoS1 => "Granted QoS 1",
            Self::GrantedQoS2 => "Granted QoS 2",
            Self::DisconnectWithWill => "Disconnect with Will Message",
            Self::NoMatchingSubscribers => "No matching subscribers",
            Self::NoSubscriptionExisted => "No subscription existed",
            Self::ContinueAuthentication => "Continue authentication",
            Self::ReAuthenticate => "Re-authenticate",
            Self::UnspecifiedError => "Unspecified error",
            Self::MalformedPacket => "Malformed Packet",
            Self::ProtocolError => "Protocol Error",
            Self::ImplementationSpecificError => "Implementation specific error",
            Self::UnsupportedProtocolVersion => "Unsupported Protocol Version",
            Self::ClientIdentifierNotValid => "Client Identifier not valid",
            Self::BadUserNameOrPassword => "Bad User Name or Password",
            Self::NotAuthorized => "Not authorized",
            Self::ServerUnavailable => "Server unavailable",
            Self::ServerBusy => "Server busy",
            Self::Banned => "Banned",
            Self::ServerShuttingDown => "Server shutting down",
            Self::BadAuthenticationMethod => "Bad authentication method",
            Self::KeepAliveTimeout => "Keep Alive timeout",
            Self::SessionTakenOver => "Session taken over",
            Self::TopicFilterInvalid => "Topic Filter invalid",
            Self::TopicNameInvalid => "Topic Name invalid",
            Self::PacketIdentifierInUse => "Packet Identifier in use",
            Self::PacketIdentifierNotFound => "Packet Identifier not found",
            Self::ReceiveMaximumExceeded => "Receive Maximum exceeded",
            Self::TopicAliasInvalid => "Topic Alias invalid",
            Self::PacketTooLarge => "Packet too large",
            Self::MessageRateTooHigh => "Message rate too high",
            Self::QuotaExceeded => "Quota exceeded",
            Self::AdministrativeAction => "Administrative action",
            Self::PayloadFormatInvalid => "Payload format invalid",
            Self::RetainNotSupported => "Retain not supported",
            Self::QoSNotSupported => "QoS not supported",
            Self::UseAnotherServer => "Use another server",
            Self::ServerMoved => "Server moved",
            Self::SharedSubscriptionsNotSupported => "Shared Subscriptions not supported",
            Self::ConnectionRateExceeded => "Connection rate exceeded",
            Self::MaximumConnectTime => "Maximum connect time",
            Self::SubscriptionIdentifiersNotSupported => "Subscription Identifiers not supported",
            Self::WildcardSubscriptionsNotSupported => "Wildcard Subscriptions not supported",
        }
    }
}

impl fmt::Display for ReasonCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "0x{:02X} {}", self.as_u8(), self.name())
    }
}

/// The reason codes of one kind of packet, by who may send them.
pub(crate) struct ReasonCodes {
    pub(crate) packet_type: PacketType,
    pub(crate) from_either: &'static [ReasonCode],
    pub(crate) from_server: &'static [ReasonCode],
    pub(crate) from_client: &'static [ReasonCode],
}

impl ReasonCodes {
    /// The code with this number, if this sender may use it in this packet.
    pub(crate) fn decode(&self, code: u8, sender: Role) -> Result<ReasonCode, DecodeError> {
        let from_this_end = match sender {
            Role::Server => self.from_server,
            Role::Client => self.from_client,
        };
        ReasonCode::from_u8(code)
            .filter(|code| self.from_either.contains(code) || from_this_end.contains(code))
            .ok_or(DecodeError::ReasonCodeNotAllowed { packet_type: self.packet_type, sender, code })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Client, Server, V5, decoder, frame};
    use crate::{Properties, Property};
    use std::collections::BTreeSet;

    /// Section 2.4, table 2-6: which packets may carry a code. `<` marks what only a client may send and `>`
    /// what only a server may; packets that go one way have no mark.
    const CODES: [(u8, &str); 43] = [
        (0x00, "CONNACK PUBACK PUBREC PUBREL PUBCOMP SUBACK UNSUBACK DISCONNECT >AUTH"),
        (0x01, "SUBACK"),
        (0x02, "SUBACK"),
        (0x04, "<DISCONNECT"),
        (0x10, ">PUBACK >PUBREC"),
        (0x11, "UNSUBACK"),
        (0x18, "AUTH"),
        (0x19, "<AUTH"),
        (0x80, "CONNACK PUBACK PUBREC SUBACK UNSUBACK DISCONNECT"),
        (0x81, "CONNACK DISCONNECT"),
        (0x82, "CONNACK DISCONNECT"),
        (0x83, "CONNACK PUBACK PUBREC SUBACK UNSUBACK DISCONNECT"),
        (0x84, "CONNACK"),
        (0x85, "CONNACK"),
        (0x86, "CONNACK"),
        (0x87, "CONNACK PUBACK PUBREC SUBACK UNSUBACK >DISCONNECT"),
        (0x88, "CONNACK"),
        (0x89, "CONNACK >DISCONNECT"),
        (0x8A, "CONNACK"),
        (0x8B, ">DISCONNECT"),
        (0x8C, "CONNACK >DISCONNECT"),
        (0x8D, ">DISCONNECT"),
        (0x8E, ">DISCONNECT"),
        (0x8F, "SUBACK UNSUBACK >DISCONNECT"),
        (0x90, "CONNACK PUBACK PUBREC DISCONNECT"),
        (0x91, "PUBACK PUBREC SUBACK UNSUBACK"),
        (0x92, "PUBREL PUBCOMP"),
        (0x93, "DISCONNECT"),
        (0x94, "DISCONNECT"),
        (0x95, "CONNACK DISCONNECT"),
        (0x96, "DISCONNECT"),
        (0x97, "CONNACK PUBACK PUBREC SUBACK DISCONNECT"),
        (0x98, "DISCONNECT"),
        (0x99, "CONNACK PUBACK PUBREC DISCONNECT"),
        (0x9A, "CONNACK >DISCONNECT"),
        (0x9B, "CONNACK >DISCONNECT"),
        (0x9C, "CONNACK >DISCONNECT"),
        (0x9D, "CONNACK >DISCONNECT"),
        (0x9E, "SUBACK >DISCONNECT"),
        (0x9F, "CONNACK >DISCONNECT"),
        (0xA0, ">DISCONNECT"),
        (0xA1, "SUBACK >DISCONNECT"),
        (0xA2, "SUBACK >DISCONNECT"),
    ];

    fn packets_of(code: u8) -> &'static str {
        CODES.iter().find(|row| row.0 == code).map_or("", |row| row.1)
    }

    fn is_listed(code: u8, packet_type: PacketType, sender: Role) -> bool {
        packets_of(code).split(' ').any(|packet| match packet.split_at_checked(1) {
            Some((">", name)) => name == packet_type.name() && sender == Server,
            Some(("<", name)) => name == packet_type.name() && sender == Client,
            _ => packet == packet_type.name(),
        })
    }

    /// A 5.0 packet of this type with this code and nothing else wrong.
    fn packet_with(code: u8, packet_type: PacketType) -> Vec<u8> {
        let flags = if packet_type == PacketType::PubRel { 2 } else { 0 };
        let body = match packet_type {
            PacketType::ConnAck => vec![0, code, 0],
            PacketType::SubAck | PacketType::UnsubAck => vec![0, 1, 0, code],
            PacketType::Disconnect => vec![code, 0],
            PacketType::Auth => {
                let method = Properties::new().with(Property::AuthenticationMethod("m"));
                [&[code, method.as_bytes().len() as u8], method.as_bytes()].concat()
            }
            _ => vec![0, 1, code, 0],
        };
        frame((packet_type as u8) << 4 | flags, &body)
    }

    #[test]
    fn every_packet_takes_its_listed_reason_codes_and_no_others() {
        // [MQTT-3.2.2-8], [MQTT-3.4.2-1], [MQTT-3.5.2-1], [MQTT-3.6.2-1], [MQTT-3.7.2-1], [MQTT-3.9.3-2],
        // [MQTT-3.11.3-2], [MQTT-3.14.2-1], [MQTT-3.15.2-1]
        use PacketType::{Auth, ConnAck, Disconnect, PubAck, PubComp, PubRec, PubRel, SubAck, UnsubAck};
        let from_server = [ConnAck, PubAck, PubRec, PubRel, PubComp, SubAck, UnsubAck, Disconnect, Auth];
        let from_client = [PubAck, PubRec, PubRel, PubComp, Disconnect, Auth];
        let of = |sender, types: &[PacketType]| types.iter().map(|kind| (sender, *kind)).collect::<Vec<_>>();
        for (sender, packet_type) in [of(Server, &from_server), of(Client, &from_client)].concat() {
            for code in 0..=255 {
                let bytes = packet_with(code, packet_type);
                let expected = match is_listed(code, packet_type, sender) {
                    true => Ok(bytes.len()),
                    false => Err(DecodeError::ReasonCodeNotAllowed { packet_type, sender, code }),
                };
                let found = decoder(sender, V5).decode(&bytes);
                let found = found.map(|packet| packet.expect("the packet is whole").1);
                assert_eq!(found, expected, "{packet_type} from a {sender} with 0x{code:02X}");
            }
        }
        let packet_type = PacketType::PubAck;
        let error = DecodeError::ReasonCodeNotAllowed { packet_type, sender: Client, code: 3 };
        assert_eq!(error.reason_code(), ReasonCode::ProtocolError);
    }

    #[test]
    fn numbers_and_codes_are_one_to_one() {
        for number in 0..=255 {
            let code = ReasonCode::from_u8(number);
            assert_eq!(code.is_some(), !packets_of(number).is_empty(), "0x{number:02X}");
            if let Some(code) = code {
                assert_eq!((code.as_u8(), code.is_error()), (number, number >= 0x80));
            }
        }
    }

    #[test]
    fn every_code_has_its_own_name() {
        let names = (0..=255).filter_map(ReasonCode::from_u8).map(ReasonCode::name);
        assert_eq!(names.collect::<BTreeSet<_>>().len(), CODES.len());
        assert_eq!(ReasonCode::SessionTakenOver.to_string(), "0x8E Session taken over");
    }
}
