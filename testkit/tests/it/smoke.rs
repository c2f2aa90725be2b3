//! Hello world in every version and QoS, before anything finer.

use noctule_codec::{Ack, Packet, Properties, ProtocolVersion, QoS, ReasonCode};
use noctule_testkit::sim::{Sim, SimOptions, publish, subscribe};

const VERSIONS: [ProtocolVersion; 3] = [ProtocolVersion::V3_1, ProtocolVersion::V3_1_1, ProtocolVersion::V5];
const QOS: [QoS; 3] = [QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce];

#[test]
fn hello_world_in_every_version_and_qos_on_one_and_three_shards() {
    for shards in [1, 3] {
        for version in VERSIONS {
            for qos in QOS {
                for seed in 0..20 {
                    hello_world(shards, version, qos, seed);
                }
            }
        }
    }
}

fn hello_world(shards: u16, version: ProtocolVersion, qos: QoS, seed: u64) {
    let mut sim = Sim::with(SimOptions { seed, shards, shuffled: seed > 0, ..SimOptions::default() });
    let subscriber = sim.connect(version, "subscriber");
    let publisher = sim.connect(version, "publisher");
    sim.send(subscriber, &subscribe(1, &[("hello/#", QoS::ExactlyOnce)]));
    assert!(
        matches!(sim.expect(subscriber), Packet::SubAck(suback) if suback.reason_codes[..] == [ReasonCode::GrantedQoS2])
    );

    let id = if qos == QoS::AtMostOnce { 0 } else { 7 };
    sim.send(publisher, &Packet::Publish(publish("hello/world", b"hi", qos, id)));
    match (qos, sim.receive(publisher)) {
        (QoS::AtMostOnce, None) => {}
        (QoS::AtLeastOnce, Some(Packet::PubAck(ack))) => assert_eq!(ack.packet_id.get(), 7),
        (QoS::ExactlyOnce, Some(Packet::PubRec(ack))) => {
            let pubrel = Ack {
                packet_id: ack.packet_id,
                reason_code: ReasonCode::Success,
                properties: Properties::EMPTY,
            };
            sim.send(publisher, &Packet::PubRel(pubrel));
            assert!(matches!(sim.expect(publisher), Packet::PubComp(_)));
        }
        (qos, packet) => panic!("{qos:?} was answered by {packet:?}"),
    }
    let Packet::Publish(publish) = sim.expect(subscriber) else { panic!("no PUBLISH") };
    assert_eq!((publish.topic, publish.payload, publish.qos), ("hello/world", b"hi".as_slice(), qos));
    assert_eq!(sim.receive(subscriber), None);
}
