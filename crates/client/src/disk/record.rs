//! The machine's changes as bytes. Times are times of day, which mean something to a later run.

use super::log::push;
use crate::clock::Clock;
use noctule_codec::{PacketId, PacketType, Properties, PropertyPlace, QoS, Role};
use noctule_session::{
    DropReason, MessageNumber, Place, Publication, SessionChange, Settlement, SubscriptionIds,
};
use std::sync::Arc;

/// Writes the records of these changes, as far as they are worth remembering.
pub(super) fn encode_all(changes: &[SessionChange], clock: &Clock) -> Vec<u8> {
    let mut out = Vec::new();
    for change in changes {
        encode(change, clock, &mut out);
    }
    out
}

fn encode(change: &SessionChange, clock: &Clock, out: &mut Vec<u8>) {
    match change {
        SessionChange::Owed { message, .. } => push(out, |out| encode_owed(message, clock, out)),
        SessionChange::Begun { message, packet_id } => {
            numbered(out, BEGUN, Some(*packet_id), message.0);
        }
        SessionChange::Received { packet_id } => numbered(out, RECEIVED, Some(*packet_id), 0),
        // QoS 0 was never recorded.
        SessionChange::Settled { settlement: Settlement::Sent, .. } => {}
        SessionChange::Settled { message, packet_id, .. } => numbered(out, SETTLED, *packet_id, message.0),
        SessionChange::InboundTaken { packet_id } => numbered(out, INBOUND_TAKEN, Some(*packet_id), 0),
        SessionChange::InboundReleased { packet_id } => numbered(out, INBOUND_RELEASED, Some(*packet_id), 0),
        SessionChange::ExpirySet { session_expiry_interval } => {
            numbered(out, EXPIRY_SET, None, u64::from(*session_expiry_interval));
        }
        SessionChange::Restarted => numbered(out, RESTARTED, None, 0),
        // A server's business.
        SessionChange::Held { .. }
        | SessionChange::IdsReserved { .. }
        | SessionChange::Subscribed { .. }
        | SessionChange::RetainedSent { .. }
        | SessionChange::RetainedGiven { .. }
        | SessionChange::Unsubscribed { .. }
        | SessionChange::WillSet { .. } => {}
    }
}

/// All records but one have a kind, a packet id (0: none) and a number.
fn numbered(out: &mut Vec<u8>, kind: u8, packet_id: Option<PacketId>, number: u64) {
    push(out, |out| {
        out.push(kind);
        out.extend(packet_id.map_or(0, PacketId::get).to_le_bytes());
        out.extend(number.to_le_bytes());
    });
}

fn encode_owed(message: &Publication, clock: &Clock, out: &mut Vec<u8>) {
    out.push(OWED);
    out.push(message.qos as u8);
    out.push(u8::from(message.retain));
    out.extend(message.number.0.to_le_bytes());
    out.extend(clock.time_of_day(message.published_at).to_le_bytes());
    out.extend(message.expires_at.map_or(0, |at| clock.time_of_day(at)).to_le_bytes());
    for bytes in [message.topic.as_bytes(), message.properties.as_bytes()] {
        let length = u32::try_from(bytes.len()).expect("a packet has less than 256 MiB");
        out.extend(length.to_le_bytes());
        out.extend_from_slice(bytes);
    }
    out.extend_from_slice(&message.payload);
}

/// Reads a record; nothing if it is none of ours.
pub(super) fn decode(body: &[u8], clock: &Clock) -> Option<SessionChange> {
    let mut body = Body(body);
    let kind = body.byte()?;
    if kind == OWED {
        return decode_owed(body, clock);
    }
    let (packet_id, number) = (PacketId::new(u16::from_le_bytes(body.take()?)), body.number()?);
    let message = MessageNumber(number);
    Some(match kind {
        BEGUN => SessionChange::Begun { message, packet_id: packet_id? },
        RECEIVED => SessionChange::Received { packet_id: packet_id? },
        SETTLED => {
            // How it ended was told to those who were there.
            let settlement = Settlement::Dropped(DropReason::SessionEnded);
            SessionChange::Settled { message, packet_id, settlement }
        }
        INBOUND_TAKEN => SessionChange::InboundTaken { packet_id: packet_id? },
        INBOUND_RELEASED => SessionChange::InboundReleased { packet_id: packet_id? },
        EXPIRY_SET => SessionChange::ExpirySet { session_expiry_interval: number.try_into().ok()? },
        RESTARTED => SessionChange::Restarted,
        _ => return None,
    })
}

fn decode_owed(mut body: Body<'_>, clock: &Clock) -> Option<SessionChange> {
    let (qos, retain) = (QoS::from_bits(body.byte()?)?, body.byte()? != 0);
    let (number, published, expires) = (MessageNumber(body.number()?), body.number()?, body.number()?);
    let topic = std::str::from_utf8(body.bytes()?).ok()?.to_owned();
    let place = PropertyPlace::Packet(PacketType::Publish);
    let properties = Properties::from_bytes(body.bytes()?, place, Role::Client).ok()?;
    let message = Publication {
        number,
        topic,
        payload: body.0.into(),
        properties: properties.into_owned(),
        qos,
        retain,
        published_at: clock.instant(published),
        expires_at: (expires > 0).then(|| clock.instant(expires)),
        publisher: "".into(),
        place: Place::default(),
        kept: Place::default(),
        parts: None,
        share: None,
    };
    let (message, subscription_ids) = (Arc::new(message), SubscriptionIds::None);
    Some(SessionChange::Owed { message, qos, retain, subscription_ids, group: None })
}

/// What is left of a record.
struct Body<'a>(&'a [u8]);

impl<'a> Body<'a> {
    fn byte(&mut self) -> Option<u8> {
        self.take::<1>().map(|[byte]| byte)
    }

    fn number(&mut self) -> Option<u64> {
        self.take().map(u64::from_le_bytes)
    }

    fn bytes(&mut self) -> Option<&'a [u8]> {
        let length = u32::from_le_bytes(self.take()?) as usize;
        let (bytes, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(bytes)
    }

    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (taken, rest) = self.0.split_first_chunk::<N>()?;
        self.0 = rest;
        Some(*taken)
    }
}

const OWED: u8 = 1;
const BEGUN: u8 = 2;
const RECEIVED: u8 = 3;
const SETTLED: u8 = 4;
const INBOUND_TAKEN: u8 = 5;
const INBOUND_RELEASED: u8 = 6;
const EXPIRY_SET: u8 = 7;
const RESTARTED: u8 = 8;

#[cfg(test)]
mod tests {
    use super::*;
    use noctule_codec::Property;
    use noctule_session::client::{Client, ConnectOptions, Message};

    #[test]
    fn a_client_comes_back_from_its_records() {
        let clock = Clock::start();
        let mut client = Client::recording();
        client
            .connect(ConnectOptions { client_id: "c".into(), ..ConnectOptions::default() }, clock.now())
            .expect("short");
        let properties =
            Properties::new().with(Property::MessageExpiryInterval(60)).with(Property::ContentType("x"));
        for (topic, qos, retain) in [("a", QoS::AtLeastOnce, false), ("b/c", QoS::ExactlyOnce, true)] {
            let message =
                Message { topic, payload: b"payload", qos, retain, properties: properties.borrow() };
            client.publish(&message, clock.now()).expect("taken");
        }
        let changes = client.take_changes();
        let bytes = encode_all(&changes, &clock);
        let mut rest = &bytes[..];
        let mut decoded = Vec::new();
        while let Some((length, after)) = rest.split_first_chunk::<4>() {
            let (body, after) = after.split_at(u32::from_le_bytes(*length) as usize);
            decoded.push(decode(body, &clock).expect("ours"));
            rest = &after[4..];
        }
        let restored = Client::restored("c", decoded);
        let content = |client: &Client| {
            let messages = client.session().outbound.iter().map(|owed| format!("{:?}", owed.message()));
            messages.collect::<Vec<_>>()
        };
        assert_eq!(content(&restored), content(&client));
        assert_eq!(restored.unsettled(), 2);
    }

    #[test]
    fn what_is_no_record_is_none() {
        let clock = Clock::start();
        for body in
            [&b""[..], b"\x09\0\0\0\0\0\0\0\0\0\0", b"\x02\0\0\0\0\0\0\0\0\0\0", b"\x01\x03", b"\x01\x01\0\0"]
        {
            assert!(decode(body, &clock).is_none(), "{body:?}");
        }
    }
}
