//! Durability by topic: what is promised of a publication decides whether it is recorded.

use noctule_codec::ProtocolVersion::V5;
use noctule_codec::{Packet, QoS, ReasonCode};
use noctule_engine::Record;
use noctule_session::{Durability, Limits, SessionChange};
use noctule_testkit::sim::{ConnectOptions, Sim, ack, disconnect, publish, subscribe};

/// A broker that writes nothing of `fleeting/#`, with an offline durable subscriber to everything and a connected
/// durable publisher. What was recorded until then is forgotten.
fn sim() -> (Sim, usize) {
    let rules = ["fleeting/#=memory", "kernel/#=os", "#=disk"];
    let rules = rules.iter().map(|rule| rule.parse().expect("a rule")).collect();
    let mut sim = Sim::with_limits(Limits { durability_rules: rules, ..Limits::default() });
    let panel = sim.connect_with(&ConnectOptions::durable(V5, "panel", 100));
    sim.send(panel, &subscribe(1, &[("#", QoS::ExactlyOnce)]));
    sim.send(panel, &disconnect(ReasonCode::NORMAL_DISCONNECTION));
    let sensor = sim.connect_with(&ConnectOptions::durable(V5, "sensor", 100));
    sim.records.clear();
    (sim, sensor)
}

#[test]
fn nothing_is_recorded_of_what_is_promised_in_memory_alone() {
    for (qos, retain) in [(QoS::AtMostOnce, true), (QoS::AtLeastOnce, false), (QoS::AtLeastOnce, true)] {
        let (mut sim, sensor) = sim();
        let id = if qos == QoS::AtMostOnce { 0 } else { 1 };
        let mut publication = publish("fleeting/t", b"81", qos, id);
        publication.retain = retain;
        sim.send(sensor, &Packet::Publish(publication));
        assert!(sim.records.is_empty(), "{qos:?} {retain}: {:?}", sim.records);
    }
}

#[test]
fn a_packet_id_is_remembered_whatever_the_message_is_worth() {
    let (mut sim, sensor) = sim();
    sim.send(sensor, &Packet::Publish(publish("fleeting/t", b"81", QoS::ExactlyOnce, 7)));
    let [Record::Session { change: SessionChange::InboundTaken { packet_id }, .. }] = &sim.records[..] else {
        panic!("{:?}", sim.records)
    };
    assert_eq!(packet_id.get(), 7);
    assert!(matches!(sim.expect(sensor), Packet::PubRec(ack) if ack.packet_id.get() == 7));
}

#[test]
fn other_rules_record_as_ever() {
    for topic in ["kernel/t", "t"] {
        let (mut sim, sensor) = sim();
        sim.send(sensor, &Packet::Publish(publish(topic, b"81", QoS::AtLeastOnce, 1)));
        assert!(matches!(&sim.records[..], [Record::Published(frame)] if frame.owed.len() == 1), "{topic}");
    }
}

#[test]
fn the_first_rule_counts_and_memory_knows_no_other() {
    let rules = ["a/b=os", "a/#=memory"].map(|rule| rule.parse().expect("a rule")).to_vec();
    let mut limits = Limits { durability_rules: rules, ..Limits::default() };
    let levels = |limits: &Limits| ["a/b", "a/c", "b"].map(|topic| limits.durability_of(topic));
    assert_eq!(levels(&limits), [Durability::Os, Durability::Memory, Durability::Disk]);
    limits.durability = Durability::Memory;
    assert_eq!(levels(&limits), [Durability::Memory; 3]);
}

#[test]
fn a_durable_session_is_owed_what_is_promised_in_memory_while_the_broker_runs() {
    let (mut sim, sensor) = sim();
    sim.send(sensor, &Packet::Publish(publish("fleeting/t", b"81", QoS::AtLeastOnce, 1)));
    sim.expect(sensor);
    let panel = sim.connect_with(&ConnectOptions::durable(V5, "panel", 100));
    let Packet::Publish(delivery) = sim.expect(panel) else { panic!("it is owed a message") };
    assert_eq!(delivery.topic, "fleeting/t");
    let packet_id = delivery.packet_id.expect("QoS 1").get();
    sim.send(panel, &Packet::PubAck(ack(packet_id)));
    assert!(sim.sessions().all(|session| session.outbound.is_empty()));
}
