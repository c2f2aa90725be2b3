//! The small values that packets are made of.

use crate::DecodeError;
use std::fmt;
use std::num::NonZeroU16;

/// Which of the three wire formats a connection speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ProtocolVersion {
    /// MQTT 3.1: protocol name `MQIsdp`, level 3.
    V3_1 = 3,
    /// MQTT 3.1.1: protocol name `MQTT`, level 4.
    V3_1_1 = 4,
    /// MQTT 5.0: protocol name `MQTT`, level 5.
    V5 = 5,
}

/// One of the two ends of a connection.
///
/// A bridge or a test plays the client, the broker plays the server [MQTT-7.0.0-1 of 3.1.1].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Role {
    /// The end that answers CONNECT.
    Server,
    /// The end that sends CONNECT.
    Client,
}

impl Role {
    /// The other end.
    #[must_use]
    pub const fn peer(self) -> Self {
        match self {
            Self::Server => Self::Client,
            Self::Client => Self::Server,
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Server => "server",
            Self::Client => "client",
        })
    }
}

/// The kind of a control packet: the upper four bits of its first byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
#[expect(missing_docs, reason = "the variants carry the names of the standard")]
pub enum PacketType {
    Connect = 1,
    ConnAck = 2,
    Publish = 3,
    PubAck = 4,
    PubRec = 5,
    PubRel = 6,
    PubComp = 7,
    Subscribe = 8,
    SubAck = 9,
    Unsubscribe = 10,
    UnsubAck = 11,
    PingReq = 12,
    PingResp = 13,
    Disconnect = 14,
    Auth = 15,
}

impl PacketType {
    /// The kind with this number; 0 is reserved.
    pub const fn from_bits(bits: u8) -> Option<Self> {
        Some(match bits {
            1 => Self::Connect,
            2 => Self::ConnAck,
            3 => Self::Publish,
            4 => Self::PubAck,
            5 => Self::PubRec,
            6 => Self::PubRel,
            7 => Self::PubComp,
            8 => Self::Subscribe,
            9 => Self::SubAck,
            10 => Self::Unsubscribe,
            11 => Self::UnsubAck,
            12 => Self::PingReq,
            13 => Self::PingResp,
            14 => Self::Disconnect,
            15 => Self::Auth,
            _ => return None,
        })
    }

    /// The name as the standard writes it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Connect => "CONNECT",
            Self::ConnAck => "CONNACK",
            Self::Publish => "PUBLISH",
            Self::PubAck => "PUBACK",
            Self::PubRec => "PUBREC",
            Self::PubRel => "PUBREL",
            Self::PubComp => "PUBCOMP",
            Self::Subscribe => "SUBSCRIBE",
            Self::SubAck => "SUBACK",
            Self::Unsubscribe => "UNSUBSCRIBE",
            Self::UnsubAck => "UNSUBACK",
            Self::PingReq => "PINGREQ",
            Self::PingResp => "PINGRESP",
            Self::Disconnect => "DISCONNECT",
            Self::Auth => "AUTH",
        }
    }

    /// Whether this end of a connection may send such a packet in this version.
    pub const fn may_be_sent_by(self, sender: Role, version: ProtocolVersion) -> bool {
        let is_v5 = matches!(version, ProtocolVersion::V5);
        match self {
            Self::Connect | Self::Subscribe | Self::Unsubscribe | Self::PingReq => {
                matches!(sender, Role::Client)
            }
            Self::ConnAck | Self::SubAck | Self::UnsubAck | Self::PingResp => matches!(sender, Role::Server),
            Self::Publish | Self::PubAck | Self::PubRec | Self::PubRel | Self::PubComp => true,
            Self::Disconnect => is_v5 || matches!(sender, Role::Client),
            Self::Auth => is_v5,
        }
    }
}

impl fmt::Display for PacketType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Quality of service of a publication, a subscription or a will.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum QoS {
    /// QoS 0.
    #[default]
    AtMostOnce = 0,
    /// QoS 1.
    AtLeastOnce = 1,
    /// QoS 2.
    ExactlyOnce = 2,
}

impl QoS {
    /// The QoS with this number, if there is one; 3 is reserved [MQTT-3.3.1-4].
    pub const fn from_bits(bits: u8) -> Option<Self> {
        match bits {
            0 => Some(Self::AtMostOnce),
            1 => Some(Self::AtLeastOnce),
            2 => Some(Self::ExactlyOnce),
            _ => None,
        }
    }
}

/// A packet identifier: 1 to 65,535 [MQTT-2.2.1-3].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PacketId(NonZeroU16);

impl PacketId {
    /// The packet identifier with this number; `None` for zero, which the wire forbids.
    pub const fn new(id: u16) -> Option<Self> {
        match NonZeroU16::new(id) {
            Some(id) => Some(Self(id)),
            None => None,
        }
    }

    /// The number on the wire.
    pub const fn get(self) -> u16 {
        self.0.get()
    }

    /// The identifier after this one; 65,535 is followed by 1.
    #[must_use]
    pub const fn next(self) -> Self {
        match NonZeroU16::new(self.0.get().wrapping_add(1)) {
            Some(id) => Self(id),
            None => Self(NonZeroU16::MIN),
        }
    }
}

/// When a SUBSCRIBE brings the retained messages that match it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum RetainHandling {
    /// 0: at every SUBSCRIBE [MQTT-3.3.1-9].
    #[default]
    Send = 0,
    /// 1: only if the subscription did not exist before [MQTT-3.3.1-10].
    SendIfNew = 1,
    /// 2: never [MQTT-3.3.1-11].
    DoNotSend = 2,
}

/// The options of one subscription. MQTT 3.x has only the QoS; the rest is then at its default.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct SubscriptionOptions {
    /// The highest QoS at which publications are delivered.
    pub qos: QoS,
    /// Publications of the subscriber's own client id are not delivered [MQTT-3.8.3-3].
    pub no_local: bool,
    /// The RETAIN flag is delivered as it was published [MQTT-3.3.1-13].
    pub retain_as_published: bool,
    /// When retained messages are sent.
    pub retain_handling: RetainHandling,
}

impl SubscriptionOptions {
    /// The options byte of a 5.0 SUBSCRIBE. 3.x writes its lowest two bits only.
    pub const fn bits(self) -> u8 {
        self.qos as u8
            | (self.no_local as u8) << 2
            | (self.retain_as_published as u8) << 3
            | (self.retain_handling as u8) << 4
    }

    /// Reads the options byte of one filter [MQTT-3.8.3-5].
    pub(crate) fn decode(bits: u8, version: ProtocolVersion) -> Result<Self, DecodeError> {
        let bits_known = if version == ProtocolVersion::V5 { 0b0011_1111 } else { 0b0000_0011 };
        if bits & !bits_known != 0 {
            return Err(DecodeError::SubscriptionOptionsReserved { bits });
        }
        let qos = QoS::from_bits(bits & 0b11).ok_or(DecodeError::SubscriptionQoS { version })?;
        let retain_handling = match bits >> 4 {
            0 => RetainHandling::Send,
            1 => RetainHandling::SendIfNew,
            2 => RetainHandling::DoNotSend,
            _ => return Err(DecodeError::RetainHandling),
        };
        Ok(Self {
            qos,
            no_local: bits & 0b100 != 0,
            retain_as_published: bits & 0b1000 != 0,
            retain_handling,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ReasonCode;
    use crate::testing::{Client, EVERY_VERSION, Server, V3_1, V3_1_1, V5};

    #[test]
    fn packet_types_have_the_numbers_1_to_15() {
        assert_eq!(PacketType::from_bits(0), None);
        for bits in 1..=15 {
            let packet_type = PacketType::from_bits(bits).expect("1 to 15 are packet types");
            assert_eq!(packet_type as u8, bits);
            assert_eq!(packet_type.to_string(), packet_type.name());
        }
        assert_eq!(PacketType::from_bits(16), None);
    }

    #[test]
    fn who_may_send_what() {
        use PacketType as Type;
        let cases: [(Type, [bool; 2], [bool; 2]); 15] = [
            //                  3.x: client, server   5.0: client, server
            (Type::Connect, [true, false], [true, false]),
            (Type::ConnAck, [false, true], [false, true]),
            (Type::Publish, [true, true], [true, true]),
            (Type::PubAck, [true, true], [true, true]),
            (Type::PubRec, [true, true], [true, true]),
            (Type::PubRel, [true, true], [true, true]),
            (Type::PubComp, [true, true], [true, true]),
            (Type::Subscribe, [true, false], [true, false]),
            (Type::SubAck, [false, true], [false, true]),
            (Type::Unsubscribe, [true, false], [true, false]),
            (Type::UnsubAck, [false, true], [false, true]),
            (Type::PingReq, [true, false], [true, false]),
            (Type::PingResp, [false, true], [false, true]),
            (Type::Disconnect, [true, false], [true, true]),
            (Type::Auth, [false, false], [true, true]),
        ];
        for (packet_type, in_3, in_5) in cases {
            for (version, expected) in [(V3_1, in_3), (V3_1_1, in_3), (V5, in_5)] {
                let found = [Client, Server].map(|sender| packet_type.may_be_sent_by(sender, version));
                assert_eq!(found, expected, "{packet_type} {version:?}");
            }
        }
    }

    #[test]
    fn the_peer_of_the_peer_is_oneself() {
        assert_eq!((Server.peer(), Client.peer()), (Client, Server));
        assert_eq!((Server.to_string(), Client.to_string()), ("server".into(), "client".into()));
    }

    #[test]
    fn mqtt_3_3_1_4_there_is_no_qos_3() {
        for qos in [QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce] {
            assert_eq!(QoS::from_bits(qos as u8), Some(qos));
        }
        assert_eq!((QoS::from_bits(3), QoS::from_bits(255)), (None, None));
    }

    #[test]
    fn mqtt_2_2_1_3_packet_identifiers_go_round_without_zero() {
        assert_eq!(PacketId::new(0), None);
        let after = |number| PacketId::new(number).map(|id| id.next().get());
        assert_eq!((after(1), after(65_534), after(65_535)), (Some(2), Some(65_535), Some(1)));
    }

    /// What the options byte of a SUBSCRIBE means, written down a second time.
    fn expected_in_v5(bits: u8) -> Result<SubscriptionOptions, DecodeError> {
        if bits >= 0x40 {
            return Err(DecodeError::SubscriptionOptionsReserved { bits });
        }
        let qos = match bits % 4 {
            0 => QoS::AtMostOnce,
            1 => QoS::AtLeastOnce,
            2 => QoS::ExactlyOnce,
            _ => return Err(DecodeError::SubscriptionQoS { version: V5 }),
        };
        let retain_handling = match bits / 16 {
            0 => RetainHandling::Send,
            1 => RetainHandling::SendIfNew,
            2 => RetainHandling::DoNotSend,
            _ => return Err(DecodeError::RetainHandling),
        };
        let no_local = [4, 5, 6, 12, 13, 14].contains(&(bits % 16));
        let retain_as_published = bits % 16 >= 8;
        Ok(SubscriptionOptions { qos, no_local, retain_as_published, retain_handling })
    }

    #[test]
    fn mqtt_3_8_3_5_every_options_byte_of_v5() {
        for bits in 0..=255 {
            let options = SubscriptionOptions::decode(bits, V5);
            assert_eq!(options, expected_in_v5(bits), "0x{bits:02X}");
            if let Ok(options) = options {
                assert_eq!(options.bits(), bits);
            }
        }
    }

    #[test]
    fn mqtt311_3_8_3_4_every_options_byte_of_v3_is_a_qos() {
        for version in [V3_1, V3_1_1] {
            for bits in 0..=255_u8 {
                let expected = match bits {
                    0..=2 => {
                        let qos = QoS::from_bits(bits).expect("0 to 2 are QoS");
                        Ok(SubscriptionOptions { qos, ..SubscriptionOptions::default() })
                    }
                    3 => Err(DecodeError::SubscriptionQoS { version }),
                    _ => Err(DecodeError::SubscriptionOptionsReserved { bits }),
                };
                assert_eq!(SubscriptionOptions::decode(bits, version), expected, "0x{bits:02X}");
            }
        }
    }

    #[test]
    fn only_v5_calls_qos_3_in_a_subscribe_a_protocol_error() {
        let expected = [ReasonCode::MalformedPacket, ReasonCode::MalformedPacket, ReasonCode::ProtocolError];
        let found = EVERY_VERSION.map(|version| DecodeError::SubscriptionQoS { version }.reason_code());
        assert_eq!(found, expected);
        assert_eq!(DecodeError::RetainHandling.reason_code(), ReasonCode::ProtocolError);
        let reserved = DecodeError::SubscriptionOptionsReserved { bits: 0x40 };
        assert_eq!(reserved.reason_code(), ReasonCode::MalformedPacket);
    }
}
