//! Packets of every kind, for both ends and all versions.
//!
//! Texts and payloads are slices of fixed pools, so that packets need no owner. The pools hold what tends to
//! go wrong: empty fields, characters of one to four bytes, byte-order marks, the last code point, control
//! characters, and lengths on both sides of 127.

use noctule_codec::{
    Ack, Auth, ConnAck, Connect, Disconnect, PROPERTIES, Packet, PacketId, PacketType, Properties, Property,
    PropertyId, PropertyPlace, PropertyRule, ProtocolVersion, Publish, QoS, ReasonCode, RetainHandling, Role,
    SubAck, Subscribe, SubscriptionOptions, UnsubAck, Unsubscribe, Will,
};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;
use std::borrow::Cow;

const TEXTS: &str = "plant/hall-7/boiler/2/temperature/in/größe/温度/🦇/\u{FEFF}\u{10FFFF}\u{FFFF}\u{1}\u{7F}\u{80}/\
    a-long-stretch-without-anything-special-so-that-lengths-on-both-sides-of-one-hundred-and-twenty-seven-occur/\
    and-another-one-so-that-two-of-them-are-longer-than-that//$SYS/$share/end";

const FILTERS: [&str; 9] = ["#", "+", "a/+/b", "+/#", "", "$share/g/a/#", "$SYS/#", "größe/#", "a//b"];

static PAYLOADS: [u8; 512] = {
    let mut bytes = [0; 512];
    let mut place = 0;
    while place < bytes.len() {
        bytes[place] = (place * 7) as u8;
        place += 1;
    }
    bytes
};

/// Any packet this end may send, in the one form in which this version can express it.
pub(crate) fn packet(sender: Role, version: ProtocolVersion) -> BoxedStrategy<Packet<'static>> {
    let both_ends = prop_oneof![
        2 => publish(sender, version),
        1 => acknowledgement(sender, version),
        1 => disconnect_or_auth(sender, version),
    ];
    match sender {
        Role::Client => prop_oneof![
            4 => both_ends,
            1 => connect(version).prop_map(Packet::from),
            1 => subscribe(version),
            1 => unsubscribe(version),
            1 => Just(Packet::PingReq),
        ]
        .boxed(),
        Role::Server => prop_oneof![
            4 => both_ends,
            1 => connack(version),
            1 => suback(version),
            1 => unsuback(version),
            1 => Just(Packet::PingResp),
        ]
        .boxed(),
    }
}

pub(crate) fn connect(version: ProtocolVersion) -> impl Strategy<Value = Connect<'static>> {
    let fields = (any::<bool>(), any::<u16>(), text(), option::of(will(version)));
    let login = (option::of(text()), option::of(binary()));
    let properties = properties(PropertyPlace::Packet(PacketType::Connect), Role::Client, version);
    (fields, login, properties).prop_map(move |(fields, (user_name, password), properties)| {
        let (clean_start, keep_alive_seconds, client_id, will) = fields;
        let password = password.filter(|_| user_name.is_some() || version == ProtocolVersion::V5);
        let properties = with_method(properties);
        Connect { version, clean_start, keep_alive_seconds, client_id, will, user_name, password, properties }
    })
}

fn will(version: ProtocolVersion) -> impl Strategy<Value = Will<'static>> {
    let properties = properties(PropertyPlace::Will, Role::Client, version);
    (topic(), binary(), qos(), any::<bool>(), properties).prop_map(
        |(topic, payload, qos, retain, properties)| Will { topic, payload, qos, retain, properties },
    )
}

pub(crate) fn publish(sender: Role, version: ProtocolVersion) -> BoxedStrategy<Packet<'static>> {
    let properties = properties(PropertyPlace::Packet(PacketType::Publish), sender, version);
    let flags = (any::<bool>(), qos(), any::<bool>(), packet_id());
    let fields = (topic(), any::<bool>(), properties, binary());
    let publish = (flags, fields).prop_map(|(flags, (topic, is_aliased, properties, payload))| {
        let (dup, qos, retain, packet_id) = flags;
        let is_counted = qos != QoS::AtMostOnce;
        Publish {
            dup: dup && is_counted,
            qos,
            retain,
            topic: if is_aliased && properties.topic_alias().is_some() { "" } else { topic },
            packet_id: Some(packet_id).filter(|_| is_counted),
            properties,
            payload,
        }
    });
    publish.prop_map(Packet::from).boxed()
}

fn acknowledgement(sender: Role, version: ProtocolVersion) -> BoxedStrategy<Packet<'static>> {
    type Kind = fn(Ack<'static>) -> Packet<'static>;
    let kinds: [(PacketType, Kind, &[ReasonCode]); 4] = [
        (PacketType::PubAck, Packet::PubAck, &[ReasonCode::Success, ReasonCode::QuotaExceeded]),
        (PacketType::PubRec, Packet::PubRec, &[ReasonCode::Success, ReasonCode::NotAuthorized]),
        (PacketType::PubRel, Packet::PubRel, &[ReasonCode::Success, ReasonCode::PacketIdentifierNotFound]),
        (PacketType::PubComp, Packet::PubComp, &[ReasonCode::Success, ReasonCode::PacketIdentifierNotFound]),
    ];
    let ack = select(kinds.to_vec()).prop_flat_map(move |(packet_type, kind, codes)| {
        let properties = properties(PropertyPlace::Packet(packet_type), sender, version);
        let codes = select(only_success_before_v5(codes, version));
        (packet_id(), codes, properties).prop_map(move |(packet_id, reason_code, properties)| {
            kind(Ack { packet_id, reason_code, properties })
        })
    });
    ack.boxed()
}

fn only_success_before_v5(codes: &[ReasonCode], version: ProtocolVersion) -> Vec<ReasonCode> {
    let kept = if version == ProtocolVersion::V5 { codes.len() } else { 1 };
    codes[..kept].to_vec()
}

fn disconnect_or_auth(sender: Role, version: ProtocolVersion) -> BoxedStrategy<Packet<'static>> {
    let normal = Packet::from(Disconnect {
        reason_code: ReasonCode::NORMAL_DISCONNECTION,
        properties: Properties::EMPTY,
    });
    match (sender, version) {
        (_, ProtocolVersion::V5) => prop_oneof![disconnect(sender), auth(sender)].boxed(),
        (Role::Client, _) => Just(normal).boxed(),
        // A server of 3.x has neither; it closes.
        (Role::Server, _) => Just(Packet::PingResp).boxed(),
    }
}

fn disconnect(sender: Role) -> BoxedStrategy<Packet<'static>> {
    let codes = match sender {
        Role::Client => vec![ReasonCode::NORMAL_DISCONNECTION, ReasonCode::DisconnectWithWill],
        Role::Server => vec![ReasonCode::SessionTakenOver, ReasonCode::ServerMoved],
    };
    let properties = properties(PropertyPlace::Packet(PacketType::Disconnect), sender, ProtocolVersion::V5);
    let disconnect = (select(codes), properties)
        .prop_map(|(reason_code, properties)| Packet::from(Disconnect { reason_code, properties }));
    disconnect.boxed()
}

fn auth(sender: Role) -> BoxedStrategy<Packet<'static>> {
    let codes = match sender {
        Role::Client => vec![ReasonCode::ContinueAuthentication, ReasonCode::ReAuthenticate],
        Role::Server => vec![ReasonCode::ContinueAuthentication, ReasonCode::Success],
    };
    let properties = properties(PropertyPlace::Packet(PacketType::Auth), sender, ProtocolVersion::V5);
    let auth = (select(codes), properties).prop_map(|(reason_code, mut properties)| {
        if properties.authentication_method().is_none() {
            properties.push(Property::AuthenticationMethod("SCRAM"));
        }
        Packet::from(Auth { reason_code, properties })
    });
    auth.boxed()
}

fn connack(version: ProtocolVersion) -> BoxedStrategy<Packet<'static>> {
    let codes = match version {
        ProtocolVersion::V5 => vec![ReasonCode::Success, ReasonCode::Banned, ReasonCode::ServerMoved],
        // The reason codes that each return code stands for.
        _ => [0x00, 0x84, 0x85, 0x86, 0x87, 0x88].into_iter().filter_map(ReasonCode::from_u8).collect(),
    };
    let properties = properties(PropertyPlace::Packet(PacketType::ConnAck), Role::Server, version);
    let connack = (any::<bool>(), select(codes), properties).prop_map(move |fields| {
        let (session_present, reason_code, properties) = fields;
        let says_session_present = version != ProtocolVersion::V3_1 && !reason_code.is_error();
        let session_present = session_present && says_session_present;
        Packet::from(ConnAck { session_present, reason_code, properties })
    });
    connack.boxed()
}

fn subscribe(version: ProtocolVersion) -> BoxedStrategy<Packet<'static>> {
    let properties = properties(PropertyPlace::Packet(PacketType::Subscribe), Role::Client, version);
    let filters = vec((select(FILTERS.to_vec()), options(version)), 1..8);
    let subscribe = (packet_id(), properties, filters).prop_map(|(packet_id, properties, filters)| {
        Packet::from(Subscribe { packet_id, properties, filters: filters.into_iter().collect() })
    });
    subscribe.boxed()
}

fn options(version: ProtocolVersion) -> BoxedStrategy<SubscriptionOptions> {
    let handling = [RetainHandling::Send, RetainHandling::SendIfNew, RetainHandling::DoNotSend];
    let in_5 = (qos(), any::<bool>(), any::<bool>(), select(handling.to_vec())).prop_map(
        |(qos, no_local, retain_as_published, retain_handling)| SubscriptionOptions {
            qos,
            no_local,
            retain_as_published,
            retain_handling,
        },
    );
    match version {
        ProtocolVersion::V5 => in_5.boxed(),
        _ => qos().prop_map(|qos| SubscriptionOptions { qos, ..SubscriptionOptions::default() }).boxed(),
    }
}

fn suback(version: ProtocolVersion) -> BoxedStrategy<Packet<'static>> {
    let codes: &[u8] = match version {
        ProtocolVersion::V3_1 => &[0, 1, 2],
        ProtocolVersion::V3_1_1 => &[0, 1, 2, 0x80],
        ProtocolVersion::V5 => &[0, 1, 2, 0x80, 0x87, 0x8F, 0x97, 0x9E, 0xA1, 0xA2],
    };
    let properties = properties(PropertyPlace::Packet(PacketType::SubAck), Role::Server, version);
    let suback = (packet_id(), properties, reason_codes(codes)).prop_map(|(packet_id, properties, codes)| {
        Packet::from(SubAck { packet_id, properties, reason_codes: codes })
    });
    suback.boxed()
}

fn unsubscribe(version: ProtocolVersion) -> BoxedStrategy<Packet<'static>> {
    let properties = properties(PropertyPlace::Packet(PacketType::Unsubscribe), Role::Client, version);
    let filters = vec(select(FILTERS.to_vec()), 1..8);
    let unsubscribe = (packet_id(), properties, filters).prop_map(|(packet_id, properties, filters)| {
        Packet::from(Unsubscribe { packet_id, properties, filters: filters.into_iter().collect() })
    });
    unsubscribe.boxed()
}

fn unsuback(version: ProtocolVersion) -> BoxedStrategy<Packet<'static>> {
    let properties = properties(PropertyPlace::Packet(PacketType::UnsubAck), Role::Server, version);
    let unsuback = (packet_id(), properties, reason_codes(&[0x00, 0x11, 0x87])).prop_map(
        move |(packet_id, properties, codes)| {
            let reason_codes = if version == ProtocolVersion::V5 { codes } else { Cow::Borrowed(&[][..]) };
            Packet::from(UnsubAck { packet_id, properties, reason_codes })
        },
    );
    unsuback.boxed()
}

fn reason_codes(codes: &[u8]) -> impl Strategy<Value = Cow<'static, [ReasonCode]>> + use<> {
    let codes = codes.iter().copied().filter_map(ReasonCode::from_u8).collect::<Vec<_>>();
    vec(select(codes), 1..8).prop_map(Cow::Owned)
}

/// Any section this end may put there: each property at most once, those that repeat up to four times.
pub(crate) fn properties(
    place: PropertyPlace,
    sender: Role,
    version: ProtocolVersion,
) -> BoxedStrategy<Properties<'static>> {
    if version != ProtocolVersion::V5 {
        return Just(Properties::EMPTY).boxed();
    }
    let allowed = PROPERTIES
        .iter()
        .filter(|rule| rule.is_allowed_in(place) && rule.may_be_sent_by(sender, place))
        .flat_map(|rule| std::iter::repeat_n(rule, if rule.may_repeat_in(place) { 4 } else { 1 }))
        .collect::<Vec<_>>();
    let count = allowed.len();
    let chosen = Just(allowed).prop_shuffle().prop_flat_map(move |rules| {
        (0..=count)
            .prop_flat_map(move |count| rules[..count].iter().map(|rule| property(rule)).collect::<Vec<_>>())
    });
    let some = chosen.prop_map(|list| list.into_iter().fold(Properties::new(), Properties::with));
    prop_oneof![1 => Just(Properties::EMPTY), 2 => some].boxed()
}

/// A value for this property, from all of its range.
fn property(rule: &PropertyRule) -> BoxedStrategy<Property<'static>> {
    use PropertyId as Id;
    let range = rule.range().unwrap_or(0..=0);
    let (min, max) = (*range.start(), *range.end());
    let number = || prop_oneof![Just(min), Just(max), min..=max];
    let short = || number().prop_map(|number| number as u16);
    match rule.id {
        Id::PayloadFormatIndicator => any::<bool>().prop_map(Property::PayloadFormatIndicator).boxed(),
        Id::MessageExpiryInterval => number().prop_map(Property::MessageExpiryInterval).boxed(),
        Id::ContentType => text().prop_map(Property::ContentType).boxed(),
        Id::ResponseTopic => topic().prop_map(Property::ResponseTopic).boxed(),
        Id::CorrelationData => binary().prop_map(Property::CorrelationData).boxed(),
        Id::SubscriptionIdentifier => number().prop_map(Property::SubscriptionIdentifier).boxed(),
        Id::SessionExpiryInterval => number().prop_map(Property::SessionExpiryInterval).boxed(),
        Id::AssignedClientIdentifier => text().prop_map(Property::AssignedClientIdentifier).boxed(),
        Id::ServerKeepAlive => short().prop_map(Property::ServerKeepAlive).boxed(),
        Id::AuthenticationMethod => text().prop_map(Property::AuthenticationMethod).boxed(),
        Id::AuthenticationData => binary().prop_map(Property::AuthenticationData).boxed(),
        Id::RequestProblemInformation => any::<bool>().prop_map(Property::RequestProblemInformation).boxed(),
        Id::WillDelayInterval => number().prop_map(Property::WillDelayInterval).boxed(),
        Id::RequestResponseInformation => {
            any::<bool>().prop_map(Property::RequestResponseInformation).boxed()
        }
        Id::ResponseInformation => text().prop_map(Property::ResponseInformation).boxed(),
        Id::ServerReference => text().prop_map(Property::ServerReference).boxed(),
        Id::ReasonString => text().prop_map(Property::ReasonString).boxed(),
        Id::ReceiveMaximum => short().prop_map(Property::ReceiveMaximum).boxed(),
        Id::TopicAliasMaximum => short().prop_map(Property::TopicAliasMaximum).boxed(),
        Id::TopicAlias => short().prop_map(Property::TopicAlias).boxed(),
        Id::MaximumQoS => {
            select(vec![QoS::AtMostOnce, QoS::AtLeastOnce]).prop_map(Property::MaximumQoS).boxed()
        }
        Id::RetainAvailable => any::<bool>().prop_map(Property::RetainAvailable).boxed(),
        Id::UserProperty => {
            (text(), text()).prop_map(|(name, value)| Property::UserProperty(name, value)).boxed()
        }
        Id::MaximumPacketSize => number().prop_map(Property::MaximumPacketSize).boxed(),
        Id::WildcardSubscriptionAvailable => {
            any::<bool>().prop_map(Property::WildcardSubscriptionAvailable).boxed()
        }
        Id::SubscriptionIdentifierAvailable => {
            any::<bool>().prop_map(Property::SubscriptionIdentifierAvailable).boxed()
        }
        Id::SharedSubscriptionAvailable => {
            any::<bool>().prop_map(Property::SharedSubscriptionAvailable).boxed()
        }
    }
}

/// CONNECT must not carry authentication data without a method.
fn with_method(properties: Properties<'static>) -> Properties<'static> {
    match (properties.authentication_data(), properties.authentication_method()) {
        (Some(_), None) => properties.with(Property::AuthenticationMethod("SCRAM")),
        _ => properties,
    }
}

/// A slice of the pool, empty ones included.
pub(crate) fn text() -> impl Strategy<Value = &'static str> {
    let boundaries = TEXTS.char_indices().map(|(place, _)| place).collect::<Vec<_>>();
    (select(boundaries.clone()), select(boundaries)).prop_map(|(a, b)| &TEXTS[a.min(b)..a.max(b)])
}

/// A slice of the pool that is not empty.
pub(crate) fn topic() -> impl Strategy<Value = &'static str> {
    text().prop_map(|text| if text.is_empty() { "/" } else { text })
}

pub(crate) fn binary() -> impl Strategy<Value = &'static [u8]> {
    (0..PAYLOADS.len(), 0..PAYLOADS.len()).prop_map(|(a, b)| &PAYLOADS[a.min(b)..a.max(b)])
}

pub(crate) fn qos() -> impl Strategy<Value = QoS> {
    select(vec![QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce])
}

pub(crate) fn packet_id() -> impl Strategy<Value = PacketId> {
    prop_oneof![Just(1), Just(65_535), 1..=u16::MAX]
        .prop_map(|number| PacketId::new(number).expect("the range begins with 1"))
}
