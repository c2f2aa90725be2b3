//! How a record is written. Nothing is allocated but room in the buffer.

use super::wire::{self, Kind};
use super::{Frame, FrameTarget, PayloadPart, Record};
use core::net::IpAddr;
use noctule_auth::{Address, Certificate, Origin};
use noctule_codec::{PacketId, QoS};
use noctule_session::{
    Delivered, MessageNumber, Parts, Phase, Publication, SessionChange, SessionNumber, Settlement,
    StoredWill, Subscription, SubscriptionIds,
};

impl Record {
    /// Appends the bytes of this record. A retained message that a session is [owed](SessionChange::Owed) is
    /// written as [held](SessionChange::Held), with the position of its content.
    pub fn encode(&self, out: &mut Vec<u8>) {
        let start = out.len();
        out.extend_from_slice(&[self.kind() as u8, 0, 0, 0, 0]);
        self.put_content(out);
        let bytes = out.len() - start - wire::HEADER_BYTES;
        let bytes =
            u32::try_from(bytes).expect("a packet has 256 MiB at most, its receivers fit into memory");
        out[start + 1..start + wire::HEADER_BYTES].copy_from_slice(&bytes.to_le_bytes());
    }

    fn kind(&self) -> Kind {
        match self {
            Self::Published(_) => Kind::Published,
            Self::Part(_) => Kind::Part,
            Self::Moved(_) => Kind::Moved,
            Self::Retained(_) => Kind::Retained,
            Self::SessionOpened { .. } => Kind::SessionOpened,
            Self::Session { change, .. } => kind_of_change(change),
            Self::SessionDetached { .. } => Kind::SessionDetached,
            Self::SessionEnded { .. } => Kind::SessionEnded,
            Self::GroupNamed { .. } => Kind::GroupNamed,
            Self::GroupOwed { .. } => Kind::GroupOwed,
            Self::GroupTaken { .. } => Kind::GroupTaken,
            Self::GroupReturned { .. } => Kind::GroupReturned,
            Self::GroupDropped { .. } => Kind::GroupDropped,
        }
    }

    fn put_content(&self, out: &mut Vec<u8>) {
        match self {
            Self::Published(frame) => put_frame(frame, out),
            Self::Part(part) => put_part(part, out),
            Self::Moved(message) => put_publication(message, message.parts.as_deref(), out),
            Self::Retained(message) => put_publication(message, lasting_parts(message), out),
            Self::SessionOpened { session, client_id, user_name, origin } => {
                put_number(session.0, out);
                put_text(client_id, out);
                put_client(user_name.as_deref(), origin, out);
            }
            Self::Session { session, change } => {
                put_number(session.0, out);
                put_change(change, out);
            }
            Self::SessionDetached { session, at } => {
                put_number(session.0, out);
                put_number(at.as_millis(), out);
            }
            Self::SessionEnded { session } => put_number(session.0, out),
            Self::GroupNamed { group, share_name, filter } => {
                put_number(group.0, out);
                put_text(share_name, out);
                put_text(filter, out);
            }
            Self::GroupOwed { group, message } => {
                put_publication(message, lasting_parts(message), out);
                put_number(group.0, out);
            }
            Self::GroupTaken { session, delivered } => {
                put_number(session.0, out);
                put_delivered(delivered, out);
            }
            Self::GroupReturned { group, message } | Self::GroupDropped { group, message } => {
                put_number(group.0, out);
                put_number(message.0, out);
            }
        }
    }
}

/// Who has opened a session, and from where.
fn put_client(user_name: Option<&str>, origin: &Origin, out: &mut Vec<u8>) {
    let Origin { address, listener, certificate } = origin;
    let (kind, listener) = (wire::address_bits(*address), listener.name());
    let flags = [
        (user_name.is_some(), wire::HAS_USER_NAME),
        (!listener.is_empty(), wire::HAS_LISTENER),
        (certificate.is_some(), wire::HAS_CERTIFICATE),
    ];
    let flags = flags.into_iter().filter(|(is_set, _)| *is_set);
    out.push(flags.fold(kind << wire::ADDRESS_SHIFT, |flags, (_, flag)| flags | flag));
    user_name.iter().for_each(|user_name| put_text(user_name, out));
    match address {
        Address::Ip(IpAddr::V4(ip)) => out.extend_from_slice(&ip.octets()),
        Address::Ip(IpAddr::V6(ip)) => out.extend_from_slice(&ip.octets()),
        Address::Unknown | Address::Local => {}
    }
    if !listener.is_empty() {
        put_text(listener, out);
    }
    certificate.iter().for_each(|certificate| put_certificate(certificate, out));
}

fn put_certificate(certificate: &Certificate, out: &mut Vec<u8>) {
    let Certificate { common_name, subject, alternative_names, fingerprint } = certificate;
    let flag = |is_some, flag| if is_some { flag } else { 0 };
    out.push(flag(common_name.is_some(), wire::HAS_COMMON_NAME) | flag(subject.is_some(), wire::HAS_SUBJECT));
    common_name.iter().chain(subject).for_each(|name| put_text(name, out));
    put_number(alternative_names.len() as u64, out);
    alternative_names.iter().for_each(|name| put_text(name, out));
    put_text(fingerprint, out);
}

fn kind_of_change(change: &SessionChange) -> Kind {
    match change {
        SessionChange::Owed { .. } | SessionChange::Held { .. } => Kind::Held,
        SessionChange::IdsReserved { .. } => Kind::IdsReserved,
        SessionChange::Begun { .. } => Kind::Begun,
        SessionChange::Received { .. } => Kind::Received,
        SessionChange::Settled { .. } => Kind::Settled,
        SessionChange::InboundTaken { .. } => Kind::InboundTaken,
        SessionChange::InboundReleased { .. } => Kind::InboundReleased,
        SessionChange::Subscribed { .. } => Kind::Subscribed,
        SessionChange::RetainedSent { .. } => Kind::RetainedSent,
        SessionChange::RetainedGiven { .. } => Kind::RetainedGiven,
        SessionChange::Unsubscribed { .. } => Kind::Unsubscribed,
        SessionChange::ExpirySet { .. } => Kind::ExpirySet,
        SessionChange::WillSet { .. } => Kind::WillSet,
        SessionChange::Restarted => Kind::Restarted,
    }
}

fn put_change(change: &SessionChange, out: &mut Vec<u8>) {
    match change {
        SessionChange::Owed { message, qos, retain, subscription_ids, group } => {
            let flags = delivery_flags(*qos, *retain, subscription_ids, group.is_some(), Phase::Waiting);
            put_number(message.number.0, out);
            out.push(flags);
            put_number(message.queue_bytes().into(), out);
            put_subscription_ids(subscription_ids, out);
            group.iter().for_each(|group| put_number(group.0, out));
            put_number(message.position().0, out);
        }
        SessionChange::Held { delivered, position } => {
            put_delivered(delivered, out);
            put_number(position.0, out);
        }
        SessionChange::Begun { message, packet_id } => {
            put_number(message.0, out);
            put_packet_id(*packet_id, out);
        }
        SessionChange::Settled { message, packet_id, settlement } => {
            put_settled(*message, *packet_id, *settlement, out);
        }
        SessionChange::IdsReserved { up_to: packet_id }
        | SessionChange::Received { packet_id }
        | SessionChange::InboundTaken { packet_id }
        | SessionChange::InboundReleased { packet_id } => put_packet_id(*packet_id, out),
        SessionChange::Subscribed { filter, subscription, brings_retained } => {
            put_subscription(*subscription, *brings_retained, out);
            put_text(filter, out);
        }
        SessionChange::RetainedSent { filter } | SessionChange::Unsubscribed { filter } => {
            put_text(filter, out);
        }
        SessionChange::RetainedGiven { filter, messages } => {
            put_text(filter, out);
            put_number(messages.len() as u64, out);
            messages.iter().for_each(|message| put_number(message.0, out));
        }
        SessionChange::ExpirySet { session_expiry_interval } => {
            put_number((*session_expiry_interval).into(), out);
        }
        SessionChange::WillSet { will } => {
            out.push(will.is_some().into());
            will.iter().for_each(|will| put_will(will, out));
        }
        SessionChange::Restarted => {}
    }
}

fn put_frame(frame: &Frame, out: &mut Vec<u8>) {
    let Frame { message, inbound, retained, will_of, owed, groups } = frame;
    put_publication(message, message.parts.as_deref(), out);
    let mut flags = 0;
    flags |= if inbound.is_some() { wire::HAS_INBOUND } else { 0 };
    flags |= if *retained { wire::IS_RETAINED } else { 0 };
    flags |= if will_of.is_some() { wire::IS_WILL } else { 0 };
    out.push(flags);
    if let Some((session, packet_id)) = inbound {
        put_number(session.0, out);
        put_packet_id(*packet_id, out);
    }
    will_of.iter().for_each(|session| put_number(session.0, out));
    put_number(owed.len() as u64, out);
    owed.iter().for_each(|target| put_target(target, out));
    put_number(groups.len() as u64, out);
    groups.iter().for_each(|group| put_number(group.0, out));
}

fn put_target(target: &FrameTarget, out: &mut Vec<u8>) {
    let FrameTarget { session: SessionNumber(session), qos, retain, subscription_ids } = target;
    put_number(*session, out);
    out.push(delivery_flags(*qos, *retain, subscription_ids, false, Phase::Waiting));
    put_subscription_ids(subscription_ids, out);
}

fn put_part(part: &PayloadPart, out: &mut Vec<u8>) {
    let PayloadPart { message, from, bytes, .. } = part;
    put_number(message.0, out);
    put_number(*from, out);
    put_bytes(bytes, out);
}

/// What is said again of a message is said because its parts will be forgotten, unless they are all there is of it.
fn lasting_parts(message: &Publication) -> Option<&Parts> {
    message.parts.as_deref().filter(|_| message.is_payload_missing())
}

/// The number comes first, so that who looks for it need not read on.
fn put_publication(message: &Publication, parts: Option<&Parts>, out: &mut Vec<u8>) {
    let Publication { topic, payload, properties, publisher, .. } = message;
    let payload = if parts.is_some() { &[] } else { &payload[..] };
    let texts = topic.len() + payload.len() + properties.as_bytes().len() + publisher.len();
    out.reserve(texts + PUBLICATION_NUMBERS_BYTES);
    put_number(message.number.0, out);
    let in_parts = if parts.is_some() { wire::IN_PARTS } else { 0 };
    out.push(publication_flags(message.qos, message.retain, message.expires_at.is_some()) | in_parts);
    put_number(message.published_at.as_millis(), out);
    message.expires_at.iter().for_each(|at| put_number(at.as_millis(), out));
    put_text(publisher, out);
    put_text(topic, out);
    put_bytes(properties.as_bytes(), out);
    match parts {
        None => put_bytes(payload, out),
        Some(parts) => {
            put_number(parts.bytes, out);
            put_number(parts.places.len() as u64, out);
            parts.places.iter().for_each(|place| put_number(place.0, out));
        }
    }
}

fn put_will(will: &StoredWill, out: &mut Vec<u8>) {
    let StoredWill { topic, payload, qos, retain, delay_seconds, message_expiry_interval, properties } = will;
    out.push(publication_flags(*qos, *retain, message_expiry_interval.is_some()));
    put_number((*delay_seconds).into(), out);
    message_expiry_interval.iter().for_each(|seconds| put_number((*seconds).into(), out));
    put_text(topic, out);
    put_bytes(properties.as_bytes(), out);
    put_bytes(payload, out);
}

fn publication_flags(qos: QoS, retain: bool, expires: bool) -> u8 {
    qos as u8 | if retain { wire::RETAIN } else { 0 } | if expires { wire::EXPIRES } else { 0 }
}

fn put_delivered(delivered: &Delivered, out: &mut Vec<u8>) {
    let Delivered { number, bytes, qos, retain, subscription_ids, group, phase, packet_id, .. } = delivered;
    debug_assert!(*phase != Phase::Settled, "what is settled is not recorded as held");
    debug_assert_eq!(*phase == Phase::Waiting, packet_id.is_none(), "what was sent has a packet id");
    put_number(number.0, out);
    let maybe_sent = if delivered.is_maybe_sent { wire::MAYBE_SENT << wire::PHASE_SHIFT } else { 0 };
    out.push(delivery_flags(*qos, *retain, subscription_ids, group.is_some(), *phase) | maybe_sent);
    put_number((*bytes).into(), out);
    put_subscription_ids(subscription_ids, out);
    group.iter().for_each(|group| put_number(group.0, out));
    if *phase != Phase::Waiting {
        put_number(packet_id.map_or(0, PacketId::get).into(), out);
        put_number(delivered.behind.map_or(0, PacketId::get).into(), out);
    }
}

fn delivery_flags(qos: QoS, retain: bool, ids: &SubscriptionIds, has_group: bool, phase: Phase) -> u8 {
    let ids = ids.as_slice().len().min(2) as u8;
    qos as u8
        | if retain { wire::RETAIN } else { 0 }
        | ids << wire::IDS_SHIFT
        | if has_group { wire::HAS_GROUP } else { 0 }
        | wire::phase_bits(phase) << wire::PHASE_SHIFT
}

fn put_subscription_ids(ids: &SubscriptionIds, out: &mut Vec<u8>) {
    let ids = ids.as_slice();
    if ids.len() > 1 {
        put_number(ids.len() as u64, out);
    }
    ids.iter().for_each(|id| put_number((*id).into(), out));
}

fn put_settled(
    message: MessageNumber,
    packet_id: Option<PacketId>,
    settlement: Settlement,
    out: &mut Vec<u8>,
) {
    put_number(message.0, out);
    put_number(packet_id.map_or(0, PacketId::get).into(), out);
    match settlement {
        Settlement::Acknowledged => out.push(wire::ACKNOWLEDGED),
        Settlement::Rejected(reason_code) => out.extend([wire::REJECTED, reason_code.as_u8()]),
        Settlement::Sent => out.push(wire::SENT),
        Settlement::Dropped(reason) => out.extend([wire::DROPPED, wire::drop_reason_number(reason)]),
    }
}

fn put_subscription(subscription: Subscription, brings_retained: bool, out: &mut Vec<u8>) {
    let Subscription { options, id } = subscription;
    let brings_retained = if brings_retained { wire::BRINGS_RETAINED } else { 0 };
    let has_id = if id.is_some() { wire::HAS_ID } else { 0 };
    out.push(options.bits() | brings_retained | has_id);
    id.iter().for_each(|id| put_number((*id).into(), out));
}

fn put_packet_id(packet_id: PacketId, out: &mut Vec<u8>) {
    put_number(packet_id.get().into(), out);
}

fn put_text(text: &str, out: &mut Vec<u8>) {
    put_bytes(text.as_bytes(), out);
}

fn put_bytes(bytes: &[u8], out: &mut Vec<u8>) {
    put_number(bytes.len() as u64, out);
    out.extend_from_slice(bytes);
}

/// Seven bits a byte, the lowest first; all bytes but the last have the highest bit.
fn put_number(mut number: u64, out: &mut Vec<u8>) {
    while number > 0x7F {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

/// Room for the numbers of a publication beside its texts: three of them, four lengths and the flags.
const PUBLICATION_NUMBERS_BYTES: usize = 7 * wire::NUMBER_BYTES_MAX + 1;
