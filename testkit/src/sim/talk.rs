//! Whole exchanges, so that tests can say what a client does instead of which packets that takes.

use super::{Sim, SimOptions, ack, filters, publish};
use noctule_codec::{
    Ack, Packet, PacketId, Properties, Property, Publish, QoS, ReasonCode, Subscribe, SubscribeFilters,
    SubscriptionOptions,
};

/// Every QoS.
pub const EVERY_QOS: [QoS; 3] = [QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce];

/// Plays a scenario on one and on three shards, each in order and with this many shuffled schedules. The
/// set-up of a scenario that fails is printed.
pub fn in_many_worlds(seeds: u64, scenario: impl Fn(SimOptions)) {
    for shards in [1, 2, 3] {
        for seed in 0..=seeds {
            let _told_on_failure = SetUp { seed, shards };
            scenario(SimOptions { seed, shards, shuffled: seed > 0, ..SimOptions::default() });
        }
    }
}

struct SetUp {
    seed: u64,
    shards: u16,
}

impl Drop for SetUp {
    #[expect(clippy::print_stderr, reason = "the seed belongs beside the message of the failed test")]
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("failed with seed {} on {} shards", self.seed, self.shards);
        }
    }
}

/// The fields of an acknowledgement with a reason code.
pub fn ack_with(packet_id: u16, reason_code: ReasonCode) -> Ack<'static> {
    let packet_id = PacketId::new(packet_id).expect("test ids are not zero");
    Ack { packet_id, reason_code, properties: Properties::EMPTY }
}

/// A SUBSCRIBE for one filter with all its options.
pub fn subscribe_with(
    packet_id: u16,
    filter: &str,
    options: SubscriptionOptions,
    id: Option<u32>,
) -> Packet<'static> {
    let mut filters = SubscribeFilters::new();
    filters.push(filter, options);
    let packet_id = PacketId::new(packet_id).expect("test ids are not zero");
    let properties = id.map_or(Properties::EMPTY, |id| {
        Properties::new().with(Property::SubscriptionIdentifier(id)).into_owned()
    });
    Packet::Subscribe(Subscribe { packet_id, properties, filters: filters.into_owned() })
}

/// Topic and payload of each delivery, as text.
pub fn texts(deliveries: &[Publish<'static>]) -> Vec<(&'static str, &'static str)> {
    deliveries.iter().map(|publish| (publish.topic, payload_text(publish))).collect()
}

/// The payload of each delivery, as text.
pub fn payloads(deliveries: &[Publish<'static>]) -> Vec<&'static str> {
    deliveries.iter().map(payload_text).collect()
}

fn payload_text(publish: &Publish<'static>) -> &'static str {
    str::from_utf8(publish.payload).expect("test payloads are text")
}

impl Sim {
    /// Subscribes to a filter and expects to be granted this QoS.
    #[track_caller]
    pub fn subscribe(&mut self, wire: usize, filter: &str, qos: QoS) {
        let granted = self.subscribe_all(wire, &[(filter, qos)]);
        assert_eq!(granted[0].as_u8(), qos as u8, "{filter} is granted {granted:?}");
    }

    /// Subscribes to filters with one SUBSCRIBE, and says what SUBACK answers.
    #[track_caller]
    pub fn subscribe_all(&mut self, wire: usize, wanted: &[(&str, QoS)]) -> Vec<ReasonCode> {
        let packet_id = PacketId::new(SUBSCRIBE_ID).expect("not zero");
        let packet = Subscribe { packet_id, properties: Properties::EMPTY, filters: filters(wanted) };
        self.exchange_subscribe(wire, &Packet::Subscribe(packet))
    }

    /// Subscribes with all options of 5.0, and says what SUBACK answers.
    #[track_caller]
    pub fn subscribe_with(
        &mut self,
        wire: usize,
        filter: &str,
        options: SubscriptionOptions,
        id: Option<u32>,
    ) -> ReasonCode {
        self.exchange_subscribe(wire, &subscribe_with(SUBSCRIBE_ID, filter, options, id))[0]
    }

    #[track_caller]
    fn exchange_subscribe(&mut self, wire: usize, packet: &Packet<'_>) -> Vec<ReasonCode> {
        self.send(wire, packet);
        match self.expect(wire) {
            Packet::SubAck(suback) => suback.reason_codes.to_vec(),
            packet => panic!("SUBSCRIBE was answered by {packet:?}"),
        }
    }

    /// Publishes, completes the exchange of its QoS, and says what PUBACK or PUBREC answered.
    #[track_caller]
    pub fn publish(&mut self, wire: usize, topic: &str, payload: &str, qos: QoS) -> ReasonCode {
        let packet_id = if qos == QoS::AtMostOnce { 0 } else { PUBLISH_ID };
        self.exchange_publish(wire, publish(topic, payload.as_bytes(), qos, packet_id))
    }

    /// Publishes a retained message as [`publish`](Self::publish) does.
    #[track_caller]
    pub fn retain(&mut self, wire: usize, topic: &str, payload: &str, qos: QoS) -> ReasonCode {
        let packet_id = if qos == QoS::AtMostOnce { 0 } else { PUBLISH_ID };
        let publish = publish(topic, payload.as_bytes(), qos, packet_id);
        self.exchange_publish(wire, Publish { retain: true, ..publish })
    }

    /// Publishes this, completes the exchange of its QoS, and says what PUBACK or PUBREC answered.
    #[track_caller]
    pub fn exchange_publish(&mut self, wire: usize, publish: Publish<'_>) -> ReasonCode {
        let qos = publish.qos;
        self.send(wire, &Packet::Publish(publish));
        match (qos, if qos == QoS::AtMostOnce { None } else { Some(self.expect(wire)) }) {
            (QoS::AtMostOnce, _) => ReasonCode::Success,
            (QoS::AtLeastOnce, Some(Packet::PubAck(ack))) => ack.reason_code,
            (QoS::ExactlyOnce, Some(Packet::PubRec(ack))) if ack.reason_code.is_error() => ack.reason_code,
            (QoS::ExactlyOnce, Some(Packet::PubRec(received))) => {
                self.send(wire, &Packet::PubRel(ack(received.packet_id.get())));
                assert!(
                    matches!(self.expect(wire), Packet::PubComp(done) if done.packet_id == received.packet_id)
                );
                received.reason_code
            }
            (qos, packet) => panic!("PUBLISH at {qos:?} was answered by {packet:?}"),
        }
    }

    /// The next packet, which must be a PUBLISH; it is not acknowledged.
    #[track_caller]
    pub fn expect_publish(&mut self, wire: usize) -> Publish<'static> {
        match self.expect(wire) {
            Packet::Publish(publish) => publish,
            packet => panic!("{packet:?} is no PUBLISH"),
        }
    }

    /// Every PUBLISH there is and that comes when the ones before are acknowledged.
    #[track_caller]
    pub fn deliveries(&mut self, wire: usize) -> Vec<Publish<'static>> {
        let mut deliveries = Vec::new();
        while let Some(packet) = self.receive(wire) {
            match packet {
                Packet::Publish(publish) => {
                    self.acknowledge(wire, &publish);
                    deliveries.push(publish);
                }
                Packet::PubRel(released) => {
                    self.queue(wire, &Packet::PubComp(ack(released.packet_id.get())));
                }
                packet => panic!("{packet:?} came among deliveries"),
            }
            if self.wire(wire).unread().is_empty() {
                self.run();
            }
        }
        deliveries
    }

    /// Answers a delivery as its QoS demands; the answer arrives with the next [`run`](Self::run).
    pub fn acknowledge(&mut self, wire: usize, publish: &Publish<'_>) {
        match (publish.qos, publish.packet_id) {
            (QoS::AtLeastOnce, Some(id)) => self.queue(wire, &Packet::PubAck(ack(id.get()))),
            (QoS::ExactlyOnce, Some(id)) => self.queue(wire, &Packet::PubRec(ack(id.get()))),
            _ => {}
        }
    }
}

/// The packet id of every SUBSCRIBE and PUBLISH here. One that is answered before the next is sent is free.
const SUBSCRIBE_ID: u16 = 60_001;
const PUBLISH_ID: u16 = 60_002;
