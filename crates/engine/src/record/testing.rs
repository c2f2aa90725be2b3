//! Records for tests: any of them, with small numbers that meet often.

use super::{Frame, FrameTarget, PayloadPart, Record};
use noctule_auth::{Address, Certificate, Origin};
use noctule_codec::{PacketId, Properties, Property, QoS, ReasonCode, RetainHandling, SubscriptionOptions};
use noctule_session::{
    Delivered, DropReason, GroupNumber, Instant, MessageNumber, Parts, Payload, Phase, Place, Position,
    Publication, SessionChange, SessionNumber, Settlement, StoredWill, Subscription, SubscriptionIds,
};
use proptest::option;
use proptest::prelude::*;
use std::sync::Arc;

/// A publication of four letters.
pub(crate) fn publication(number: u64) -> Publication {
    Publication {
        number: MessageNumber(number),
        topic: "t".into(),
        payload: b"m"[..].into(),
        properties: Properties::EMPTY,
        qos: QoS::ExactlyOnce,
        retain: false,
        published_at: Instant::from_millis(number),
        expires_at: None,
        publisher: "p".into(),
        place: Place::default(),
        kept: Place::default(),
        parts: None,
        share: None,
    }
}

/// Any record that an engine may leave and a journal gives back unchanged.
pub(crate) fn records() -> impl Strategy<Value = Record> {
    prop_oneof![
        6 => frame().prop_map(|frame| Record::Published(Box::new(frame))),
        1 => part().prop_map(Record::Part),
        1 => any_publication().prop_map(|message| Record::Moved(message.into())),
        1 => any_publication().prop_map(|message| Record::Retained(message.into())),
        1 => session_opened(),
        8 => (session(), change()).prop_map(|(session, change)| Record::Session { session, change }),
        1 => (session(), instant()).prop_map(|(session, at)| Record::SessionDetached { session, at }),
        1 => session().prop_map(|session| Record::SessionEnded { session }),
        1 => group_named(),
        1 => (group(), any_publication())
            .prop_map(|(group, message)| Record::GroupOwed { group, message: message.into() }),
        1 => (session(), delivered()).prop_map(|(session, delivered)| Record::GroupTaken { session, delivered }),
        1 => (group(), message()).prop_map(|(group, message)| Record::GroupReturned { group, message }),
        1 => (group(), message()).prop_map(|(group, message)| Record::GroupDropped { group, message }),
    ]
}

fn part() -> impl Strategy<Value = PayloadPart> {
    (message(), any::<u32>(), bytes()).prop_map(|(message, from, bytes)| PayloadPart {
        message,
        from: from.into(),
        bytes: bytes.into(),
        place: Arc::default(),
    })
}

fn parts() -> impl Strategy<Value = Parts> {
    (1..u64::MAX, prop::collection::vec(position(), 1..4))
        .prop_map(|(bytes, places)| Parts { bytes, places: places.into() })
}

fn session_opened() -> impl Strategy<Value = Record> {
    (session(), text(), option::of(text()), origin()).prop_map(|(session, client_id, user_name, origin)| {
        let (client_id, user_name) = (client_id.into(), user_name.map(Into::into));
        Record::SessionOpened { session, client_id, user_name, origin: Box::new(origin) }
    })
}

fn origin() -> impl Strategy<Value = Origin> {
    let address = prop_oneof![
        Just(Address::Unknown),
        Just(Address::Local),
        any::<[u8; 4]>().prop_map(|ip| Address::Ip(ip.into())),
        any::<[u8; 16]>().prop_map(|ip| Address::Ip(ip.into())),
    ];
    (address, text(), option::of(certificate())).prop_map(|(address, listener, certificate)| Origin {
        address,
        listener: listener.as_str().into(),
        certificate: certificate.map(Arc::new),
    })
}

fn certificate() -> impl Strategy<Value = Certificate> {
    let names = prop::collection::vec(text(), 0..3);
    (option::of(text()), option::of(text()), names, text()).prop_map(
        |(common_name, subject, alternative_names, fingerprint)| Certificate {
            common_name: common_name.map(Into::into),
            subject: subject.map(Into::into),
            alternative_names: alternative_names.into_iter().map(Into::into).collect(),
            fingerprint: fingerprint.into(),
        },
    )
}

fn group_named() -> impl Strategy<Value = Record> {
    (group(), text(), text()).prop_map(|(group, share_name, filter)| Record::GroupNamed {
        group,
        share_name: share_name.into(),
        filter: filter.into(),
    })
}

fn frame() -> impl Strategy<Value = Frame> {
    (
        any_publication(),
        option::of((session(), packet_id())),
        any::<bool>(),
        option::of(session()),
        prop::collection::vec(target(), 0..4),
        prop::collection::vec(group(), 0..3),
    )
        .prop_map(|(message, inbound, retained, will_of, owed, groups)| Frame {
            message: message.into(),
            inbound,
            retained,
            will_of,
            owed,
            groups,
        })
}

fn target() -> impl Strategy<Value = FrameTarget> {
    (session(), qos(), any::<bool>(), subscription_ids()).prop_map(
        |(session, qos, retain, subscription_ids)| FrameTarget { session, qos, retain, subscription_ids },
    )
}

fn any_publication() -> impl Strategy<Value = Publication> {
    let texts = (text(), bytes(), properties(), text(), option::weighted(0.2, parts()));
    (message(), texts, qos(), any::<bool>(), instant(), option::of(instant())).prop_map(
        |(number, (topic, payload, properties, publisher, parts), qos, retain, published_at, expires_at)| {
            let payload = if parts.is_some() { Payload::EMPTY } else { payload.into() };
            Publication {
                parts: parts.map(Box::new),
                number,
                topic,
                payload,
                properties,
                qos,
                retain,
                published_at,
                expires_at,
                publisher: publisher.into(),
                ..publication(0)
            }
        },
    )
}

fn properties() -> impl Strategy<Value = Properties<'static>> {
    let user = prop::collection::vec((text(), text()), 0..3);
    (option::of(any::<bool>()), option::of(text()), option::of(bytes()), user).prop_map(
        |(is_text, content_type, correlation_data, user)| {
            let mut properties = Properties::new();
            is_text.into_iter().for_each(|yes| properties.push(Property::PayloadFormatIndicator(yes)));
            content_type.iter().for_each(|text| properties.push(Property::ContentType(text)));
            correlation_data.iter().for_each(|bytes| properties.push(Property::CorrelationData(bytes)));
            user.iter().for_each(|(name, value)| properties.push(Property::UserProperty(name, value)));
            properties
        },
    )
}

fn change() -> impl Strategy<Value = SessionChange> {
    prop_oneof![
        held(),
        packet_id().prop_map(|up_to| SessionChange::IdsReserved { up_to }),
        (message(), packet_id()).prop_map(|(message, packet_id)| SessionChange::Begun { message, packet_id }),
        packet_id().prop_map(|packet_id| SessionChange::Received { packet_id }),
        settled(),
        packet_id().prop_map(|packet_id| SessionChange::InboundTaken { packet_id }),
        packet_id().prop_map(|packet_id| SessionChange::InboundReleased { packet_id }),
        subscribed(),
        text().prop_map(|filter| SessionChange::RetainedSent { filter: filter.into() }),
        (text(), prop::collection::vec(message(), 0..4)).prop_map(|(filter, messages)| {
            SessionChange::RetainedGiven { filter: filter.into(), messages: messages.into() }
        }),
        text().prop_map(|filter| SessionChange::Unsubscribed { filter: filter.into() }),
        any::<u32>().prop_map(|session_expiry_interval| SessionChange::ExpirySet { session_expiry_interval }),
        option::of(will()).prop_map(|will| SessionChange::WillSet { will: will.map(Into::into) }),
        Just(SessionChange::Restarted),
    ]
}

fn held() -> impl Strategy<Value = SessionChange> {
    (delivered(), position())
        .prop_map(|(delivered, position)| SessionChange::Held { delivered: Box::new(delivered), position })
}

fn settled() -> impl Strategy<Value = SessionChange> {
    let settlement = prop_oneof![
        Just(Settlement::Acknowledged),
        (0..=u8::MAX)
            .prop_filter_map("a reason code", |code| Some(Settlement::Rejected(ReasonCode::from_u8(code)?))),
        Just(Settlement::Sent),
        prop::sample::select(DropReason::ALL.to_vec()).prop_map(Settlement::Dropped),
    ];
    (message(), option::of(packet_id()), settlement).prop_map(|(message, packet_id, settlement)| {
        SessionChange::Settled { message, packet_id, settlement }
    })
}

fn subscribed() -> impl Strategy<Value = SessionChange> {
    let handling = [RetainHandling::Send, RetainHandling::SendIfNew, RetainHandling::DoNotSend];
    let flags = (any::<bool>(), any::<bool>(), any::<bool>());
    let handling = prop::sample::select(handling.to_vec());
    (text(), qos(), flags, handling, option::of(any::<u32>())).prop_map(
        |(filter, qos, (no_local, retain_as_published, brings_retained), retain_handling, id)| {
            let options = SubscriptionOptions { qos, no_local, retain_as_published, retain_handling };
            let subscription = Subscription { options, id };
            SessionChange::Subscribed { filter: filter.into(), subscription, brings_retained }
        },
    )
}

fn will() -> impl Strategy<Value = StoredWill> {
    let texts = (text(), bytes(), properties());
    (texts, qos(), any::<bool>(), any::<u32>(), option::of(any::<u32>())).prop_map(
        |((topic, payload, properties), qos, retain, delay_seconds, message_expiry_interval)| StoredWill {
            topic: topic.into(),
            payload: payload.into(),
            qos,
            retain,
            delay_seconds,
            message_expiry_interval,
            properties,
        },
    )
}

fn delivered() -> impl Strategy<Value = Delivered> {
    let phase = prop_oneof![
        any::<bool>().prop_map(|is_maybe_sent| (Phase::Waiting, None, None, is_maybe_sent)),
        (packet_id(), option::of(packet_id())).prop_map(|(id, it)| (Phase::Sent, Some(id), it, false)),
        (packet_id(), option::of(packet_id())).prop_map(|(id, it)| (Phase::Received, Some(id), it, false)),
    ];
    (message(), any::<u32>(), qos(), any::<bool>(), subscription_ids(), option::of(group()), phase).prop_map(
        |(number, bytes, qos, retain, subscription_ids, group, (phase, packet_id, behind, is_maybe_sent))| {
            Delivered {
                number,
                bytes,
                qos,
                retain,
                subscription_ids,
                group,
                phase,
                packet_id,
                behind,
                is_maybe_sent,
            }
        },
    )
}

fn subscription_ids() -> impl Strategy<Value = SubscriptionIds> {
    prop::collection::vec(any::<u32>(), 0..4).prop_map(SubscriptionIds::from_iter)
}

/// Mostly small, and as large as may be.
fn number() -> impl Strategy<Value = u64> {
    prop_oneof![8 => 0..20_u64, 1 => any::<u64>()]
}

fn session() -> impl Strategy<Value = SessionNumber> {
    number().prop_map(SessionNumber)
}

fn message() -> impl Strategy<Value = MessageNumber> {
    number().prop_map(MessageNumber)
}

fn group() -> impl Strategy<Value = GroupNumber> {
    number().prop_map(GroupNumber)
}

fn position() -> impl Strategy<Value = Position> {
    number().prop_map(Position)
}

fn instant() -> impl Strategy<Value = Instant> {
    number().prop_map(Instant::from_millis)
}

fn packet_id() -> impl Strategy<Value = PacketId> {
    (1..=u16::MAX).prop_map(|id| PacketId::new(id).expect("not zero"))
}

fn qos() -> impl Strategy<Value = QoS> {
    prop::sample::select(vec![QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce])
}

fn text() -> impl Strategy<Value = String> {
    "[a-zé/]{0,4}"
}

fn bytes() -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(any::<u8>(), 0..5)
}
