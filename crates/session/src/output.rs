//! What waits to be sent on one connection: references and small answers, made into bytes at the last moment.

use crate::alias::AliasUse;
use crate::{AliasesOut, DropReason, Instant, Publication, SessionEffects, SubscriptionIds};
use noctule_codec::{
    Ack, Delivery, EncodeError, Packet, PacketId, Properties, ProtocolVersion, QoS, ReasonCode,
};
use std::collections::VecDeque;
use std::sync::Arc;

/// The four acknowledgements of a publication.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the variants carry the names of the standard")]
pub enum AckKind {
    PubAck,
    PubRec,
    PubRel,
    PubComp,
}

/// One packet that waits to be sent.
#[derive(Clone, Debug)]
pub enum Outgoing {
    /// A PUBLISH, as a reference to its publication.
    Publish(OutgoingPublish),
    /// An acknowledgement without properties.
    Ack(AckKind, PacketId, ReasonCode),
    /// PINGRESP.
    PingResp,
    /// Any other packet.
    Packet(Box<Packet<'static>>),
    /// A packet that is bytes already: CONNECT, whose fields borrow from its options.
    Bytes(Box<[u8]>),
}

/// A PUBLISH that waits to be sent.
#[derive(Clone, Debug)]
pub struct OutgoingPublish {
    /// The publication.
    pub message: Arc<Publication>,
    /// Present above QoS 0.
    pub packet_id: Option<PacketId>,
    /// The QoS of this delivery.
    pub qos: QoS,
    /// It was sent before on another connection [MQTT-3.3.1-1].
    pub dup: bool,
    /// The RETAIN flag of this delivery.
    pub retain: bool,
    /// The subscriptions it answers.
    pub subscription_ids: SubscriptionIds,
}

/// What the peer of one connection can read.
#[derive(Debug)]
pub struct Wire {
    /// The version it speaks.
    pub version: ProtocolVersion,
    /// The longest packet it accepts, in bytes [MQTT-3.1.2-24].
    pub packet_bytes_max: u32,
    /// Aliases towards it.
    pub aliases: AliasesOut,
    /// Bytes at the front of every topic name that it does not see.
    pub mount_bytes: u16,
}

/// What [`Output::encode_but_long`] has written.
#[derive(Debug, Default)]
pub struct Encoded {
    /// PUBLISH packets.
    pub publishes: u64,
    /// Packets in all.
    pub packets: u64,
    /// The last packet is a PUBLISH whose payload has to follow.
    pub payload_of: Option<Arc<Publication>>,
}

/// A queue of outgoing packets with its size in bytes. While a connection rests it has no queue.
#[derive(Debug, Default)]
pub struct Output {
    waiting: Option<Box<Waiting>>,
    held: bool,
    finished: bool,
    /// The PINGRESP that does not leave yet.
    pub held_ping: HeldPing,
}

/// A PINGRESP that does not leave yet. There is one at most, so that a flood of pings takes no memory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum HeldPing {
    /// There is none.
    #[default]
    None,
    /// Until what comes for the session is there.
    Waiting,
    /// Behind deliveries that were promised.
    Promised,
}

#[derive(Debug, Default)]
struct Waiting {
    queue: VecDeque<Outgoing>,
    bytes: u64,
}

impl Outgoing {
    /// An estimate of its size on the wire that is never far below it.
    fn bytes(&self) -> u64 {
        match self {
            Self::Publish(publish) => {
                publish.message.bytes() + 5 * publish.subscription_ids.as_slice().len() as u64
            }
            Self::Ack(..) => 8,
            Self::PingResp => 8,
            Self::Packet(packet) => packet.encoded_len(ProtocolVersion::V5) as u64 + 64,
            Self::Bytes(bytes) => bytes.len() as u64,
        }
    }
}

impl OutgoingPublish {
    /// Whether it expired while it waited for the peer to read: at QoS 0 its delivery has not begun.
    fn is_expired(&self, now: Instant) -> bool {
        self.qos == QoS::AtMostOnce && self.message.is_expired(now)
    }

    #[inline(always)]
    fn delivery<'a>(&'a self, alias: AliasUse, mount_bytes: u16, now: Instant) -> Delivery<'a> {
        let name = match mount_bytes {
            0 => &*self.message.topic,
            bytes => self.topic_behind(bytes),
        };
        let (topic, topic_alias) = match alias {
            AliasUse::None => (name, None),
            AliasUse::Introduce(alias) => (name, Some(alias)),
            AliasUse::Known(alias) => ("", Some(alias)),
        };
        Delivery {
            topic,
            topic_alias,
            payload: &self.message.payload,
            forwarded: self.message.properties.borrow(),
            dup: self.dup,
            qos: self.qos,
            retain: self.retain,
            packet_id: self.packet_id,
            message_expiry_interval: self.message.remaining_expiry_seconds(now),
            subscription_identifiers: self.subscription_ids.as_slice(),
        }
    }

    #[cold]
    fn topic_behind(&self, mount_bytes: u16) -> &str {
        self.message.topic.get(usize::from(mount_bytes)..).unwrap_or_default()
    }

    /// Bytes of this PUBLISH with its topic name written out.
    pub fn encoded_len(&self, version: ProtocolVersion, now: Instant) -> usize {
        self.delivery(AliasUse::None, 0, now).encoded_len(version)
    }
}

impl Output {
    /// Adds a packet at the end, unless the last one is there already.
    pub fn push(&mut self, outgoing: Outgoing) {
        if self.finished {
            return;
        }
        let waiting = self.waiting.get_or_insert_default();
        waiting.bytes += outgoing.bytes();
        waiting.queue.push_back(outgoing);
    }

    /// Adds the last packet, a DISCONNECT: nothing follows it [MQTT-3.14.4-1].
    pub fn finish(&mut self, last: Outgoing) {
        self.push(last);
        self.finished = true;
    }

    /// Whether the last packet has been added.
    pub fn is_finished(&self) -> bool {
        self.finished
    }

    /// Whether the last packet has left, so that the connection is to be closed [MQTT-3.14.4-2].
    pub fn is_over(&self) -> bool {
        self.finished && !self.held && self.has_nothing()
    }

    /// Holds everything back until [`release`](Self::release): CONNACK is the first packet [MQTT-3.2.0-1].
    pub fn hold(&mut self) {
        self.held = true;
    }

    /// Puts CONNACK in front and lets the queue go.
    pub fn release(&mut self, connack: Outgoing) {
        let waiting = self.waiting.get_or_insert_default();
        waiting.bytes += connack.bytes();
        waiting.queue.push_front(connack);
        self.held = false;
    }

    /// Whether CONNACK has yet to leave.
    pub fn is_held(&self) -> bool {
        self.held
    }

    /// Bytes that wait, estimated.
    pub fn bytes(&self) -> u64 {
        self.waiting.as_ref().map_or(0, |waiting| waiting.bytes)
    }

    /// Whether nothing can be sent now.
    pub fn is_empty(&self) -> bool {
        self.held || self.has_nothing()
    }

    /// Encodes packets from the front until `out` holds at least `bytes_max` or the queue is empty.
    /// Returns how many PUBLISH packets and packets in all it wrote, and leaves in `fx` what has expired and
    /// what it is done with.
    pub fn encode(
        &mut self,
        wire: &mut Wire,
        now: Instant,
        bytes_max: usize,
        out: &mut Vec<u8>,
        fx: &mut SessionEffects,
    ) -> (u64, u64) {
        let Encoded { publishes, packets, .. } = self.encode_some(wire, now, bytes_max, u64::MAX, out, fx);
        (publishes, packets)
    }

    /// The same, but ends behind the head of a PUBLISH of more than 64 KiB, so that its payload need not be copied.
    pub fn encode_but_long(
        &mut self,
        wire: &mut Wire,
        now: Instant,
        bytes_max: usize,
        out: &mut Vec<u8>,
        fx: &mut SessionEffects,
    ) -> Encoded {
        self.encode_some(wire, now, bytes_max, COPIED_BYTES_MAX, out, fx)
    }

    #[inline]
    fn encode_some(
        &mut self,
        wire: &mut Wire,
        now: Instant,
        bytes_max: usize,
        copied_bytes_max: u64,
        out: &mut Vec<u8>,
        fx: &mut SessionEffects,
    ) -> Encoded {
        let (mut publishes, mut packets, mut payload_of) = (0, 0, None);
        let Some(waiting) = self.waiting.as_deref_mut().filter(|_| !self.held) else {
            return Encoded::default();
        };
        while out.len() < bytes_max {
            let Some(outgoing) = waiting.queue.pop_front() else { break };
            let bytes = outgoing.bytes();
            waiting.bytes -= bytes;
            if let Outgoing::Publish(publish) = &outgoing
                && publish.is_expired(now)
            {
                fx.drops.push((Arc::clone(&publish.message), DropReason::Expired));
                continue;
            }
            packets += 1;
            if bytes > copied_bytes_max
                && let Outgoing::Publish(publish) = outgoing
            {
                publishes += 1;
                wire.encode_head(&publish, now, out);
                payload_of = Some(publish.message);
                break;
            }
            wire.encode(&outgoing, now, out);
            if let Outgoing::Publish(publish) = outgoing {
                publishes += 1;
                fx.done.push(publish.message);
            }
        }
        if waiting.queue.capacity() > CAPACITY_KEPT {
            self.give_back_room();
        }
        Encoded { publishes, packets, payload_of }
    }

    /// Whether it has a queue, be it empty.
    pub fn keeps_room(&self) -> bool {
        self.waiting.is_some()
    }

    /// Keeps no queue if nothing waits.
    pub(crate) fn give_back_room(&mut self) {
        if self.has_nothing() {
            self.waiting = None;
        }
    }

    fn has_nothing(&self) -> bool {
        self.waiting.as_ref().is_none_or(|waiting| waiting.queue.is_empty())
    }
}

impl Wire {
    /// What a peer can read that knows topics by their whole names.
    pub fn new(version: ProtocolVersion, packet_bytes_max: u32, aliases: AliasesOut) -> Self {
        Self { version, packet_bytes_max, aliases, mount_bytes: 0 }
    }

    /// Writes one packet, leaving out what would make it too long for the peer. An answer that cannot be made
    /// short enough is not sent, which is what the standard asks for.
    pub fn encode(&mut self, outgoing: &Outgoing, now: Instant, out: &mut Vec<u8>) {
        let result = match outgoing {
            Outgoing::Publish(publish) => self.encode_publish(publish, now, out),
            Outgoing::Ack(kind, packet_id, reason_code) => {
                ack(*kind, *packet_id, *reason_code).encode_within(self.version, self.packet_bytes_max, out)
            }
            Outgoing::PingResp => Packet::PingResp.encode_within(self.version, self.packet_bytes_max, out),
            Outgoing::Packet(packet) => packet.encode_within(self.version, self.packet_bytes_max, out),
            Outgoing::Bytes(bytes) => {
                out.extend_from_slice(bytes);
                Ok(())
            }
        };
        debug_assert!(
            result.is_ok() || !matches!(outgoing, Outgoing::Publish(_)),
            "an oversize delivery is decided when it takes its window place"
        );
    }

    /// Whether there is nothing that the peer cannot read.
    #[inline(always)]
    pub(crate) fn takes_everything(&self) -> bool {
        self.mount_bytes == 0 && self.packet_bytes_max == u32::MAX
    }

    /// Whether the peer does not accept a PUBLISH of this length. Most peers accept any.
    pub(crate) fn is_oversize(&self, publish: &OutgoingPublish, now: Instant) -> bool {
        self.packet_bytes_max < u32::MAX
            && publish.delivery(AliasUse::None, self.mount_bytes, now).encoded_len(self.version)
                > self.packet_bytes_max as usize
    }

    fn encode_publish(
        &mut self,
        publish: &OutgoingPublish,
        now: Instant,
        out: &mut Vec<u8>,
    ) -> Result<(), EncodeError> {
        self.write_publish(publish, now, |delivery, version| delivery.encode(version, out))
    }

    /// Writes a PUBLISH up to its payload.
    #[cold]
    fn encode_head(&mut self, publish: &OutgoingPublish, now: Instant, out: &mut Vec<u8>) {
        let write = |delivery: &Delivery<'_>, version| delivery.encode_head(version, out);
        let result = self.write_publish(publish, now, write);
        debug_assert!(result.is_ok(), "an oversize delivery is decided when it takes its window place");
    }

    /// Has a PUBLISH written, with an alias where the peer has room for that.
    #[inline]
    fn write_publish(
        &mut self,
        publish: &OutgoingPublish,
        now: Instant,
        write: impl FnOnce(&Delivery<'_>, ProtocolVersion) -> Result<(), EncodeError>,
    ) -> Result<(), EncodeError> {
        let alias = self.aliases.assign(&publish.message.topic);
        let delivery = publish.delivery(alias, self.mount_bytes, now);
        if self.packet_bytes_max == u32::MAX
            || delivery.encoded_len(self.version) <= self.packet_bytes_max as usize
        {
            return write(&delivery, self.version);
        }
        // The three bytes that introduce an alias may be the ones that do not fit.
        if let AliasUse::Introduce(alias) = alias {
            self.aliases.forget(alias);
        }
        write(&publish.delivery(AliasUse::None, self.mount_bytes, now), self.version)
    }
}

fn ack(kind: AckKind, packet_id: PacketId, reason_code: ReasonCode) -> Packet<'static> {
    let ack = Ack { packet_id, reason_code, properties: Properties::EMPTY };
    match kind {
        AckKind::PubAck => Packet::PubAck(ack),
        AckKind::PubRec => Packet::PubRec(ack),
        AckKind::PubRel => Packet::PubRel(ack),
        AckKind::PubComp => Packet::PubComp(ack),
    }
}

/// The payload of a publication up to this length is copied behind its head: that costs less than sending it apart.
const COPIED_BYTES_MAX: u64 = 64 << 10;
/// An empty queue keeps at most this many places.
const CAPACITY_KEPT: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;

    /// What a 5.0 peer without limits is sent.
    fn sent(output: &mut Output) -> Vec<u8> {
        let (version, packet_bytes_max) = (ProtocolVersion::V5, u32::MAX);
        let mut wire = Wire::new(version, packet_bytes_max, AliasesOut::new(0));
        let mut out = Vec::new();
        output.encode(&mut wire, Instant::default(), usize::MAX, &mut out, &mut SessionEffects::default());
        out
    }

    fn disconnect() -> Outgoing {
        let (reason_code, properties) = (ReasonCode::ServerShuttingDown, Properties::EMPTY);
        let packet = noctule_codec::Disconnect { reason_code, properties };
        Outgoing::Packet(Box::new(packet.into()))
    }

    fn publish(expires_at: Option<Instant>, qos: QoS) -> Outgoing {
        let message = Arc::new(Publication { expires_at, ..crate::testing::message(1) });
        let packet_id = (qos > QoS::AtMostOnce).then(|| PacketId::new(1).expect("not zero"));
        let (dup, retain, subscription_ids) = (false, false, SubscriptionIds::None);
        Outgoing::Publish(OutgoingPublish { message, packet_id, qos, dup, retain, subscription_ids })
    }

    #[test]
    fn mqtt_3_3_2_5_qos_0_expires_in_the_output_and_what_was_begun_does_not() {
        let soon = Some(Instant::from_millis(10));
        for (qos, now, is_sent) in
            [(QoS::AtMostOnce, 9, true), (QoS::AtMostOnce, 10, false), (QoS::AtLeastOnce, 10, true)]
        {
            let mut output = Output::default();
            output.push(publish(soon, qos));
            let (version, packet_bytes_max) = (ProtocolVersion::V5, u32::MAX);
            let mut wire = Wire::new(version, packet_bytes_max, AliasesOut::new(0));
            let (mut out, mut fx) = (Vec::new(), SessionEffects::default());
            let counts = output.encode(&mut wire, Instant::from_millis(now), usize::MAX, &mut out, &mut fx);
            assert_eq!(counts, if is_sent { (1, 1) } else { (0, 0) });
            assert_eq!((out.is_empty(), fx.drops.is_empty()), (!is_sent, is_sent));
            assert_eq!(output.bytes(), 0);
        }
    }

    #[test]
    fn encoding_stops_at_the_bound_and_goes_on_later() {
        let mut output = Output::default();
        for _ in 0..10 {
            output.push(publish(None, QoS::AtMostOnce));
        }
        let waiting = output.bytes();
        let (version, packet_bytes_max) = (ProtocolVersion::V5, u32::MAX);
        let mut wire = Wire::new(version, packet_bytes_max, AliasesOut::new(0));
        let mut out = Vec::new();
        assert_eq!(
            output.encode(&mut wire, Instant::default(), 1, &mut out, &mut SessionEffects::default()),
            (1, 1)
        );
        assert_eq!(output.bytes() * 10, waiting * 9);
        assert!(waiting >= 10 * out.len() as u64, "the estimate is never below what is sent");
        let rest = output.encode(
            &mut wire,
            Instant::default(),
            usize::MAX,
            &mut out,
            &mut SessionEffects::default(),
        );
        assert_eq!((rest, output.is_empty()), ((9, 9), true));
    }

    #[test]
    fn a_long_payload_is_left_to_who_sends_the_rest() {
        let mut output = Output::default();
        let Outgoing::Publish(short) = publish(None, QoS::AtMostOnce) else { return };
        let payload = crate::Payload::from(vec![7; COPIED_BYTES_MAX as usize]);
        let message = Arc::new(Publication { payload, ..crate::testing::message(2) });
        let long = OutgoingPublish { message: Arc::clone(&message), ..short.clone() };
        output.push(Outgoing::Publish(long.clone()));
        output.push(Outgoing::Publish(short));
        let mut whole = Vec::new();
        long.delivery(AliasUse::None, 0, Instant::default()).encode(ProtocolVersion::V5, &mut whole).unwrap();
        let (version, packet_bytes_max) = (ProtocolVersion::V5, u32::MAX);
        let mut wire = Wire::new(version, packet_bytes_max, AliasesOut::new(0));
        let (mut out, mut fx) = (Vec::new(), SessionEffects::default());
        let mut encode = |out: &mut Vec<u8>| {
            output.encode_but_long(&mut wire, Instant::default(), usize::MAX, out, &mut fx)
        };
        let Encoded { publishes, packets, payload_of } = encode(&mut out);
        assert_eq!((publishes, packets), (1, 1));
        out.extend_from_slice(&payload_of.expect("it is long").payload);
        assert_eq!(out, whole);
        let rest = encode(&mut out);
        assert_eq!((rest.publishes, rest.payload_of.is_none()), (1, true), "what follows is short");
    }

    #[test]
    fn mqtt_3_1_2_24_an_alias_is_used_only_where_it_fits() {
        let (version, aliases) = (ProtocolVersion::V5, AliasesOut::new(1));
        // Two bytes of header, the topic behind its length, no properties, the payload.
        let packet_bytes_max = 2 + 2 + 5 + 1 + 7;
        let mut wire = Wire::new(version, packet_bytes_max, aliases);
        let mut lengths = Vec::new();
        for _ in 0..2 {
            let mut out = Vec::new();
            wire.encode(&publish(None, QoS::AtMostOnce), Instant::default(), &mut out);
            lengths.push(out.len());
        }
        assert_eq!(lengths, [17, 17], "the introduction does not fit, so nothing is introduced");
        wire.packet_bytes_max = 20;
        for expected in [20, 15] {
            let mut out = Vec::new();
            wire.encode(&publish(None, QoS::AtMostOnce), Instant::default(), &mut out);
            assert_eq!(out.len(), expected);
        }
    }

    const PINGRESP: [u8; 2] = [0xd0, 0];
    const DISCONNECT: [u8; 3] = [0xe0, 1, 0x8b];

    #[test]
    fn mqtt_3_14_4_1_nothing_is_sent_behind_the_last_packet() {
        let mut output = Output::default();
        output.push(Outgoing::PingResp);
        output.finish(disconnect());
        output.push(Outgoing::PingResp);
        output.finish(disconnect());
        assert!(output.is_finished() && !output.is_over());
        assert_eq!(sent(&mut output), [&PINGRESP[..], &DISCONNECT].concat());
        assert!(output.is_over());
    }

    #[test]
    fn mqtt_3_2_0_1_what_is_held_back_follows_connack() {
        let mut output = Output::default();
        output.hold();
        output.push(Outgoing::PingResp);
        output.finish(disconnect());
        assert_eq!(sent(&mut output), []);
        assert!(output.is_empty() && !output.is_over(), "it is held, not over");
        output.release(Outgoing::Ack(
            AckKind::PubAck,
            PacketId::new(1).expect("not zero"),
            ReasonCode::Success,
        ));
        assert_eq!(sent(&mut output), [&[0x40, 2, 0, 1], &PINGRESP[..], &DISCONNECT].concat());
        assert!(output.is_over());
    }
}
