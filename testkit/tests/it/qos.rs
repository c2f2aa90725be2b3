//! QoS 1 and 2, both directions, within one connection and over several.

use noctule_codec::{Packet, ProtocolVersion, Publish, QoS, ReasonCode};
use noctule_session::DropReason;
use noctule_testkit::sim::{
    ConnectOptions, Random, Sim, VERSIONS, ack, ack_with, in_many_worlds, payloads, publish, subscribe,
    texts, unsubscribe,
};
use std::collections::BTreeSet;

use ProtocolVersion::{V3_1, V3_1_1, V5};
use QoS::{AtLeastOnce, AtMostOnce, ExactlyOnce};

const FOREVER: u32 = u32::MAX;

fn durable<'a>(version: ProtocolVersion, client_id: &'a str) -> ConnectOptions<'a> {
    ConnectOptions::durable(version, client_id, FOREVER)
}

fn ids(deliveries: &[Publish<'_>]) -> Vec<u16> {
    deliveries.iter().filter_map(|publish| publish.packet_id).map(noctule_codec::PacketId::get).collect()
}

/// Everything that has come, without answering it.
#[track_caller]
fn unanswered(sim: &mut Sim, wire: usize) -> Vec<Publish<'static>> {
    let packets = sim.drain(wire).into_iter();
    packets
        .map(|packet| match packet {
            Packet::Publish(publish) => publish,
            packet => panic!("{packet:?} is no PUBLISH"),
        })
        .collect()
}

// What clients publish.

/// Bugs 6 and 7 of the list: mosquitto 3602 and 3599, rmqtt 456.
#[test]
fn bug_6_and_bug_7_mqtt5_4_3_3_8_10_and_mqtt311_4_3_3_2_a_repeated_id_gets_pubrec_and_is_delivered_once() {
    for version in VERSIONS {
        for dups in [[false, true, true], [false, false, false], [true, false, true]] {
            let mut sim = Sim::new();
            let subscriber = sim.connect(V5, "subscriber");
            sim.subscribe(subscriber, "a", ExactlyOnce);
            let publisher = sim.connect(version, "publisher");
            for dup in dups {
                sim.send(publisher, &Packet::Publish(Publish { dup, ..publish("a", b"x", ExactlyOnce, 9) }));
                assert_eq!(sim.expect(publisher), Packet::PubRec(ack(9)));
            }
            sim.send(publisher, &Packet::PubRel(ack(9)));
            assert_eq!(sim.expect(publisher), Packet::PubComp(ack(9)));
            assert_eq!(payloads(&sim.deliveries(subscriber)), ["x"]);
        }
    }
}

#[test]
fn mqtt5_4_3_3_12_and_mqtt311_4_3_3_2_after_pubcomp_the_same_id_is_a_new_message() {
    for version in VERSIONS {
        let mut sim = Sim::new();
        let subscriber = sim.connect(V5, "subscriber");
        sim.subscribe(subscriber, "a", ExactlyOnce);
        let publisher = sim.connect(version, "publisher");
        for payload in ["1", "2", "3"] {
            // DUP says nothing about this: the receiver had let go of the id.
            let again = Publish { dup: true, ..publish("a", payload.as_bytes(), ExactlyOnce, 7) };
            sim.exchange_publish(publisher, again);
        }
        assert_eq!(payloads(&sim.deliveries(subscriber)), ["1", "2", "3"]);
    }
}

#[test]
fn mqtt5_4_3_2_4_5_and_mqtt311_4_3_2_2_after_puback_the_same_id_is_a_new_message() {
    for version in VERSIONS {
        let mut sim = Sim::new();
        let subscriber = sim.connect(V5, "subscriber");
        sim.subscribe(subscriber, "a", AtLeastOnce);
        let publisher = sim.connect(version, "publisher");
        for payload in ["1", "2", "3"] {
            let again = Publish { dup: true, ..publish("a", payload.as_bytes(), AtLeastOnce, 7) };
            sim.send(publisher, &Packet::Publish(again));
            assert!(matches!(sim.expect(publisher), Packet::PubAck(ack) if ack.packet_id.get() == 7));
        }
        assert_eq!(payloads(&sim.deliveries(subscriber)), ["1", "2", "3"]);
    }
}

#[test]
fn mqtt5_4_3_3_9_after_an_error_pubrec_the_same_id_is_a_new_message() {
    let mut sim = Sim::new();
    let client = sim.connect(V5, "client");
    sim.subscribe(client, "a", AtMostOnce);
    let refused = publish("$SYS/a", b"1", ExactlyOnce, 7);
    assert_eq!(sim.exchange_publish(client, refused), ReasonCode::TopicNameInvalid);
    sim.send(client, &Packet::Publish(publish("a", b"2", ExactlyOnce, 7)));
    let answers = sim.drain(client);
    assert!(answers.contains(&Packet::PubRec(ack(7))), "{answers:?}");
    assert!(
        answers.iter().any(|packet| matches!(packet, Packet::Publish(publish) if publish.payload == b"2"))
    );
}

#[test]
fn mqtt5_4_3_3_11_pubrel_of_an_unknown_id_gets_pubcomp() {
    for version in VERSIONS {
        let mut sim = Sim::new();
        let publisher = sim.connect(version, "publisher");
        sim.send(publisher, &Packet::PubRel(ack(3)));
        let expected = if version == V5 { ReasonCode::PacketIdentifierNotFound } else { ReasonCode::Success };
        assert_eq!(sim.expect(publisher), Packet::PubComp(ack_with(3, expected)));
    }
}

/// The PUBCOMP was lost with the earlier connection. 0x92 would tell some clients that they had failed.
#[test]
fn a_pubrel_that_comes_again_after_a_reconnect_gets_success() {
    for version in VERSIONS {
        let mut sim = Sim::new();
        let options = ConnectOptions::durable(version, "publisher", 100);
        let publisher = sim.connect_with(&options);
        sim.publish(publisher, "t", "once", ExactlyOnce);
        sim.cut(publisher);
        let publisher = sim.connect_with(&options);
        sim.send(publisher, &Packet::PubRel(ack(60_002)));
        assert_eq!(sim.expect(publisher), Packet::PubComp(ack(60_002)));
    }
}

/// A QoS 2 delivery to a durable session waits for its record; what comes behind it waits with it.
#[test]
fn deliveries_of_one_publisher_stay_in_order_whatever_their_qos() {
    for version in VERSIONS {
        let mut sim = Sim::new();
        let subscriber = sim.connect_with(&ConnectOptions::durable(version, "subscriber", 100));
        sim.subscribe(subscriber, "t", ExactlyOnce);
        let publisher = sim.connect(V5, "publisher");
        for (place, qos) in
            [ExactlyOnce, AtMostOnce, AtLeastOnce, ExactlyOnce, AtMostOnce].into_iter().enumerate()
        {
            let packet_id = if qos == AtMostOnce { 0 } else { place as u16 + 1 };
            sim.queue(publisher, &Packet::Publish(publish("t", &[b'0' + place as u8], qos, packet_id)));
        }
        sim.run();
        let received = std::iter::from_fn(|| sim.receive(subscriber)).map(|packet| match packet {
            Packet::Publish(publish) => publish.payload[0] - b'0',
            packet => panic!("{packet:?} is no PUBLISH"),
        });
        assert_eq!(received.collect::<Vec<_>>(), [0, 1, 2, 3, 4], "{version:?}");
    }
}

#[test]
fn qos_2_is_routed_at_publish() {
    for version in VERSIONS {
        let mut sim = Sim::new();
        let subscriber = sim.connect(V5, "subscriber");
        sim.subscribe(subscriber, "a", ExactlyOnce);
        let publisher = sim.connect(version, "publisher");
        sim.send(publisher, &Packet::Publish(publish("a", b"x", ExactlyOnce, 7)));
        assert_eq!(payloads(&sim.deliveries(subscriber)), ["x"]);
    }
}

#[test]
fn mqtt5_2_2_1_3_an_id_that_waits_for_pubrel_is_in_use() {
    for packet in [
        Packet::Publish(publish("a", b"2", AtLeastOnce, 7)),
        subscribe(7, &[("b", AtMostOnce), ("c", AtMostOnce)]),
        unsubscribe(7, &["a"]),
    ] {
        let mut sim = Sim::new();
        let subscriber = sim.connect(V5, "subscriber");
        sim.subscribe(subscriber, "a", AtMostOnce);
        let client = sim.connect(V5, "client");
        sim.send(client, &Packet::Publish(publish("a", b"1", ExactlyOnce, 7)));
        sim.drain(client);
        sim.send(client, &packet);
        match sim.expect(client) {
            Packet::PubAck(ack) => assert_eq!(ack.reason_code, ReasonCode::PacketIdentifierInUse),
            Packet::SubAck(suback) => {
                assert_eq!(suback.reason_codes[..], [ReasonCode::PacketIdentifierInUse; 2]);
            }
            Packet::UnsubAck(unsuback) => {
                assert_eq!(unsuback.reason_codes[..], [ReasonCode::PacketIdentifierInUse]);
            }
            answer => panic!("{packet:?} was answered by {answer:?}"),
        }
        assert_eq!(payloads(&sim.deliveries(subscriber)), ["1"]);
    }
}

/// 3.x has no way to say so. A client whose state is gone, but not its session, begins with the same ids again.
#[test]
fn a_client_of_3_x_that_has_lost_its_state_is_not_shut_out() {
    for version in [V3_1, V3_1_1] {
        let mut sim = Sim::new();
        let client = sim.connect_with(&durable(version, "client"));
        sim.send(client, &Packet::Publish(publish("a", b"1", ExactlyOnce, 1)));
        sim.cut(client);
        let client = sim.connect_with(&durable(version, "client"));
        sim.drain(client);
        sim.send(client, &subscribe(1, &[("a", AtMostOnce)]));
        assert!(matches!(sim.expect(client), Packet::SubAck(_)));
        sim.send(client, &Packet::Publish(publish("a", b"2", AtLeastOnce, 1)));
        assert!(sim.drain(client).contains(&Packet::PubAck(ack(1))));
        sim.send(client, &unsubscribe(1, &["a"]));
        assert!(matches!(sim.expect(client), Packet::UnsubAck(_)));
        sim.send(client, &Packet::PubRel(ack(1)));
        assert_eq!(sim.expect(client), Packet::PubComp(ack(1)));
    }
}

#[test]
fn mqtt5_4_3_3_10_an_id_stays_taken_over_a_reconnect_until_the_session_ends() {
    for version in VERSIONS {
        let mut sim = Sim::new();
        let subscriber = sim.connect(V5, "subscriber");
        sim.subscribe(subscriber, "a", ExactlyOnce);
        let publisher = sim.connect_with(&durable(version, "publisher"));
        sim.send(publisher, &Packet::Publish(publish("a", b"1", ExactlyOnce, 7)));
        sim.cut(publisher);
        let publisher = sim.connect_with(&durable(version, "publisher"));
        let again = Publish { dup: true, ..publish("a", b"1", ExactlyOnce, 7) };
        sim.exchange_publish(publisher, again.clone());
        assert_eq!(payloads(&sim.deliveries(subscriber)), ["1"]);

        sim.send(publisher, &Packet::Publish(publish("a", b"2", ExactlyOnce, 8)));
        sim.cut(publisher);
        let publisher = sim.connect(version, "publisher");
        sim.exchange_publish(publisher, publish("a", b"3", ExactlyOnce, 8));
        assert_eq!(payloads(&sim.deliveries(subscriber)), ["2", "3"]);
    }
}

// What clients receive.

#[test]
fn mqtt5_4_4_0_1_4_3_2_2_4_3_3_2_and_mqtt311_4_3_2_1_nothing_is_sent_again_on_the_same_connection() {
    for version in VERSIONS {
        let mut sim = Sim::new();
        let subscriber = sim.connect(version, "subscriber");
        sim.subscribe(subscriber, "a", ExactlyOnce);
        let publisher = sim.connect(V5, "publisher");
        sim.publish(publisher, "a", "1", AtLeastOnce);
        sim.publish(publisher, "a", "2", ExactlyOnce);
        sim.publish(publisher, "a", "3", ExactlyOnce);
        let sent = unanswered(&mut sim, subscriber);
        assert!(sent.iter().all(|publish| !publish.dup), "[MQTT-4.3.2-2] [MQTT-4.3.3-2]");
        let third = sent[2].packet_id.expect("QoS 2 has an id").get();
        sim.send(subscriber, &Packet::PubRec(ack(third)));
        assert_eq!(sim.expect(subscriber), Packet::PubRel(ack(third)));
        sim.advance(10 * 3_600_000);
        assert_eq!(sim.drain(subscriber), []);
    }
}

/// Bugs 8 and 15 of the list: bifromq 281, NanoNNG 1462.
#[test]
fn bug_8_and_bug_15_mqtt5_3_3_1_1_4_4_0_1_and_mqtt311_3_3_1_1_4_4_0_1_4_6_0_1_a_resumed_session_resends() {
    for version in VERSIONS {
        for qos in [AtLeastOnce, ExactlyOnce] {
            let mut sim = Sim::new();
            let subscriber = sim.connect_with(&durable(version, "subscriber"));
            sim.subscribe(subscriber, "a", qos);
            let publisher = sim.connect(V5, "publisher");
            for payload in ["1", "2", "3"] {
                sim.publish(publisher, "a", payload, qos);
            }
            let first = unanswered(&mut sim, subscriber);
            sim.cut(subscriber);
            sim.publish(publisher, "a", "4", qos);

            let subscriber = sim.connect_with(&durable(version, "subscriber"));
            let second = unanswered(&mut sim, subscriber);
            assert_eq!(payloads(&second), ["1", "2", "3", "4"], "[MQTT-4.6.0-1]");
            let dups: Vec<bool> = second.iter().map(|publish| publish.dup).collect();
            assert_eq!(dups, [true, true, true, false]);
            assert_eq!(ids(&second)[..3], ids(&first), "again with the same ids");
            assert!(!ids(&first).contains(&ids(&second)[3]));
        }
    }
}

/// Bug 9 of the list: rmqtt 18.
#[test]
fn bug_9_mqtt5_3_1_2_5_and_mqtt311_3_1_2_5_an_offline_session_keeps_qos_1_and_2_and_not_qos_0() {
    for version in VERSIONS {
        let mut sim = Sim::new();
        let subscriber = sim.connect_with(&durable(version, "subscriber"));
        sim.subscribe(subscriber, "a", ExactlyOnce);
        sim.cut(subscriber);
        let publisher = sim.connect(V5, "publisher");
        for (payload, qos) in [("1", AtLeastOnce), ("0", AtMostOnce), ("2", ExactlyOnce), ("3", AtLeastOnce)]
        {
            sim.publish(publisher, "a", payload, qos);
        }
        let subscriber = sim.connect_with(&durable(version, "subscriber"));
        let deliveries = sim.deliveries(subscriber);
        assert!(deliveries.iter().all(|publish| !publish.dup));
        assert_eq!(payloads(&deliveries), ["1", "2", "3"]);
    }
}

#[test]
fn qos_0_waits_for_an_offline_session_where_that_is_configured() {
    let mut sim = Sim::with_limits(noctule_session::Limits { queue_qos0: true, ..Default::default() });
    let subscriber = sim.connect_with(&durable(V5, "subscriber"));
    sim.subscribe(subscriber, "a", ExactlyOnce);
    sim.cut(subscriber);
    let publisher = sim.connect(V5, "publisher");
    for (payload, qos) in [("1", AtMostOnce), ("2", AtLeastOnce), ("3", AtMostOnce)] {
        sim.publish(publisher, "a", payload, qos);
    }
    let subscriber = sim.connect_with(&durable(V5, "subscriber"));
    assert_eq!(payloads(&sim.deliveries(subscriber)), ["1", "2", "3"]);
}

/// Bug 7 of the list: rmqtt 456.
#[test]
fn bug_7_mqtt5_4_3_3_3_4_5_6_and_mqtt311_4_3_3_1_after_pubrec_only_pubrel_is_owed() {
    for version in VERSIONS {
        let mut sim = Sim::new();
        let subscriber = sim.connect_with(&durable(version, "subscriber"));
        sim.subscribe(subscriber, "a", ExactlyOnce);
        let publisher = sim.connect(V5, "publisher");
        sim.publish(publisher, "a", "1", ExactlyOnce);
        let id = ids(&unanswered(&mut sim, subscriber))[0];
        sim.send(subscriber, &Packet::PubRec(ack(id)));
        assert_eq!(sim.expect(subscriber), Packet::PubRel(ack(id)));

        for _ in 0..2 {
            sim.cut(subscriber);
            let subscriber = sim.connect_with(&durable(version, "subscriber"));
            assert_eq!(sim.drain(subscriber), [Packet::PubRel(ack(id))]);
        }
        let subscriber = sim.connect_with(&durable(version, "subscriber"));
        assert_eq!(sim.drain(subscriber), [Packet::PubRel(ack(id))]);
        sim.send(subscriber, &Packet::PubComp(ack(id)));
        sim.cut(subscriber);
        let subscriber = sim.connect_with(&durable(version, "subscriber"));
        assert_eq!(sim.drain(subscriber), []);
    }
}

#[test]
fn mqtt5_4_3_3_5_pubcomp_0x92_ends_a_delivery_too() {
    let mut sim = Sim::new();
    let subscriber = sim.connect_with(&durable(V5, "subscriber"));
    sim.subscribe(subscriber, "a", ExactlyOnce);
    let publisher = sim.connect(V5, "publisher");
    sim.publish(publisher, "a", "1", ExactlyOnce);
    let id = ids(&unanswered(&mut sim, subscriber))[0];
    sim.send(subscriber, &Packet::PubRec(ack(id)));
    sim.cut(subscriber);
    let subscriber = sim.connect_with(&durable(V5, "subscriber"));
    assert_eq!(sim.drain(subscriber), [Packet::PubRel(ack(id))]);
    sim.send(subscriber, &Packet::PubComp(ack_with(id, ReasonCode::PacketIdentifierNotFound)));
    sim.cut(subscriber);
    let subscriber = sim.connect_with(&durable(V5, "subscriber"));
    assert_eq!(sim.drain(subscriber), []);
}

#[test]
fn a_repeated_pubrec_gets_pubrel_again() {
    for version in VERSIONS {
        let mut sim = Sim::new();
        let subscriber = sim.connect(version, "subscriber");
        sim.subscribe(subscriber, "a", ExactlyOnce);
        let publisher = sim.connect(V5, "publisher");
        sim.publish(publisher, "a", "1", ExactlyOnce);
        let id = ids(&unanswered(&mut sim, subscriber))[0];
        for _ in 0..3 {
            sim.send(subscriber, &Packet::PubRec(ack(id)));
            assert_eq!(sim.drain(subscriber), [Packet::PubRel(ack(id))]);
        }
    }
}

#[test]
fn mqtt5_4_4_0_2_an_error_acknowledgement_ends_a_delivery_and_is_recorded() {
    for (qos, answer) in [
        (AtLeastOnce, Packet::PubAck as fn(_) -> Packet<'static>),
        (ExactlyOnce, Packet::PubRec as fn(_) -> Packet<'static>),
    ] {
        let mut sim = Sim::new();
        let options = durable(V5, "subscriber").with(noctule_codec::Property::ReceiveMaximum(1));
        let subscriber = sim.connect_with(&options);
        sim.subscribe(subscriber, "a", qos);
        let publisher = sim.connect(V5, "publisher");
        sim.publish(publisher, "a", "1", qos);
        sim.publish(publisher, "a", "2", qos);
        let first = unanswered(&mut sim, subscriber);
        assert_eq!(payloads(&first), ["1"]);
        sim.send(subscriber, &answer(ack_with(ids(&first)[0], ReasonCode::QuotaExceeded)));
        assert_eq!(payloads(&unanswered(&mut sim, subscriber)), ["2"], "the place in the window is free");
        assert_eq!(sim.drops.len(), 1);
        assert_eq!(
            (&*sim.drops[0].client_id, sim.drops[0].reason),
            ("subscriber", DropReason::RejectedByClient)
        );

        sim.cut(subscriber);
        let subscriber = sim.connect_with(&options);
        assert_eq!(payloads(&unanswered(&mut sim, subscriber)), ["2"]);
    }
}

#[test]
fn acknowledgements_of_unknown_ids_are_no_error() {
    for version in VERSIONS {
        let mut sim = Sim::new();
        let client = sim.connect(version, "client");
        sim.send(client, &Packet::PubAck(ack(5)));
        sim.send(client, &Packet::PubComp(ack(5)));
        assert_eq!(sim.drain(client), []);
        sim.send(client, &Packet::PubRec(ack(5)));
        let code = if version == V5 { ReasonCode::PacketIdentifierNotFound } else { ReasonCode::Success };
        assert_eq!(sim.drain(client), [Packet::PubRel(ack_with(5, code))]);
        if version == V5 {
            sim.send(client, &Packet::PubRec(ack_with(5, ReasonCode::UnspecifiedError)));
            assert_eq!(sim.drain(client), [], "a refusal needs no PUBREL");
        }
        assert!(!sim.is_closed(client));
    }
}

#[test]
fn mqtt5_2_2_1_5_an_acknowledgement_of_the_wrong_kind_closes() {
    for version in VERSIONS {
        for (qos, answer) in [
            (AtLeastOnce, Packet::PubRec as fn(_) -> Packet<'static>),
            (AtLeastOnce, Packet::PubComp),
            (ExactlyOnce, Packet::PubAck),
            (ExactlyOnce, Packet::PubComp),
        ] {
            let mut sim = Sim::new();
            let subscriber = sim.connect(version, "subscriber");
            sim.subscribe(subscriber, "a", qos);
            let publisher = sim.connect(V5, "publisher");
            sim.publish(publisher, "a", "1", qos);
            let id = ids(&unanswered(&mut sim, subscriber))[0];
            sim.send(subscriber, &answer(ack(id)));
            sim.expect_end(subscriber, ReasonCode::ProtocolError);
        }
    }
}

/// Bug 16 of the list, emqx 16296: the ids wrap around while the first one is still unacknowledged.
#[test]
fn bug_16_mqtt5_2_2_1_4_4_3_2_1_4_3_3_1_and_mqtt311_2_3_1_4_an_id_in_use_is_never_given_again() {
    for qos in [AtLeastOnce, ExactlyOnce] {
        let mut sim = Sim::new();
        let subscriber = sim.connect(V5, "subscriber");
        sim.subscribe(subscriber, "a", qos);
        let publisher = sim.connect(V5, "publisher");
        sim.publish(publisher, "a", "held", qos);
        let held = ids(&unanswered(&mut sim, subscriber))[0];
        let mut given = BTreeSet::new();
        for round in 0..700 {
            for id in 1..=100 {
                sim.queue(publisher, &Packet::Publish(publish("a", b"x", AtLeastOnce, id)));
            }
            sim.run();
            sim.drain(publisher);
            for delivery in sim.deliveries(subscriber) {
                let id = delivery.packet_id.expect("above QoS 0").get();
                assert_ne!(id, held, "round {round}");
                given.insert(id);
            }
        }
        assert_eq!(given.len(), 65_534, "every other id has been used");
    }
}

#[test]
fn mqtt5_4_6_0_4_and_mqtt311_4_6_0_4_pubrels_leave_in_the_order_of_pubrecs() {
    for version in VERSIONS {
        let mut sim = Sim::new();
        let subscriber = sim.connect_with(&durable(version, "subscriber"));
        sim.subscribe(subscriber, "a", ExactlyOnce);
        let publisher = sim.connect(V5, "publisher");
        for payload in ["1", "2", "3", "4"] {
            sim.publish(publisher, "a", payload, ExactlyOnce);
        }
        let ids = ids(&unanswered(&mut sim, subscriber));
        let order = [ids[2], ids[0], ids[3], ids[1]];
        for id in order {
            sim.queue(subscriber, &Packet::PubRec(ack(id)));
        }
        sim.run();
        assert_eq!(sim.drain(subscriber), order.map(|id| Packet::PubRel(ack(id))));
    }
}

#[test]
fn mqtt5_4_3_2_3_acknowledgements_may_come_in_any_order() {
    for version in VERSIONS {
        let mut sim = Sim::new();
        let subscriber = sim.connect_with(&durable(version, "subscriber"));
        sim.subscribe(subscriber, "a", AtLeastOnce);
        let publisher = sim.connect(V5, "publisher");
        for payload in ["1", "2", "3", "4", "5"] {
            sim.publish(publisher, "a", payload, AtLeastOnce);
        }
        let sent = ids(&unanswered(&mut sim, subscriber));
        for place in [3, 1] {
            sim.send(subscriber, &Packet::PubAck(ack(sent[place])));
        }
        sim.cut(subscriber);
        let subscriber = sim.connect_with(&durable(version, "subscriber"));
        assert_eq!(payloads(&sim.deliveries(subscriber)), ["1", "3", "5"]);
    }
}

#[test]
fn mqtt311_3_1_2_6_and_mqtt5_3_1_2_4_a_clean_start_owes_nothing() {
    for version in VERSIONS {
        let mut sim = Sim::new();
        let subscriber = sim.connect_with(&durable(version, "subscriber"));
        sim.subscribe(subscriber, "a", ExactlyOnce);
        let publisher = sim.connect(V5, "publisher");
        sim.publish(publisher, "a", "1", ExactlyOnce);
        sim.cut(subscriber);
        sim.publish(publisher, "a", "2", ExactlyOnce);
        let subscriber = sim.connect(version, "subscriber");
        assert_eq!(sim.drain(subscriber), []);
        let ended = sim.drops.iter().filter(|drop| drop.reason == DropReason::SessionEnded).count();
        assert_eq!(ended, 2);
        assert_eq!(sim.publish(publisher, "a", "3", AtLeastOnce), ReasonCode::NoMatchingSubscribers);
    }
}

/// A receiver as the standard describes it, which keeps its half of the session over lost connections.
struct Receiver {
    version: ProtocolVersion,
    wire: usize,
    unreleased: BTreeSet<u16>,
    got: Vec<(QoS, u32)>,
    sent_before: BTreeSet<u16>,
}

impl Receiver {
    /// Reads at most so many packets and answers them.
    fn work(&mut self, sim: &mut Sim, random: &mut Random, packets: usize) {
        for _ in 0..packets {
            let Some(packet) = sim.receive(self.wire) else { return };
            match packet {
                Packet::Publish(publish) => self.take(sim, &publish),
                Packet::PubRel(released) => {
                    self.unreleased.remove(&released.packet_id.get());
                    self.sent_before.remove(&released.packet_id.get());
                    sim.queue(self.wire, &Packet::PubComp(ack(released.packet_id.get())));
                }
                packet => panic!("{packet:?} came among deliveries"),
            }
            if random.one_in(3) {
                sim.run();
            }
        }
    }

    fn take(&mut self, sim: &mut Sim, publish: &Publish<'_>) {
        let id = publish.packet_id.expect("above QoS 0").get();
        let number = str::from_utf8(publish.payload).expect("text").parse().expect("a number");
        assert!(publish.dup || !self.sent_before.contains(&id), "id {id} is sent again without DUP");
        if publish.qos == AtLeastOnce {
            self.got.push((AtLeastOnce, number));
        } else if self.unreleased.insert(id) {
            self.got.push((ExactlyOnce, number));
        }
        self.sent_before.insert(id);
        sim.acknowledge(self.wire, publish);
        if publish.qos == AtLeastOnce {
            self.sent_before.remove(&id);
        }
    }

    fn reconnect(&mut self, sim: &mut Sim, random: &mut Random) {
        sim.cut(self.wire);
        let options = durable(self.version, "receiver");
        let receive_maximum = 1 + u16::try_from(random.below(5)).expect("small");
        self.wire = match self.version {
            V5 => sim.connect_with(&options.with(noctule_codec::Property::ReceiveMaximum(receive_maximum))),
            _ => sim.connect_with(&options),
        };
    }
}

#[test]
fn mqtt5_4_1_0_1_qos_1_comes_at_least_once_and_qos_2_exactly_once_whatever_breaks() {
    for version in VERSIONS {
        in_many_worlds(40, |options| {
            let mut random = Random::new(options.seed);
            let mut sim = Sim::with(options);
            let wire = sim.connect_with(&durable(version, "receiver"));
            sim.subscribe(wire, "a/#", ExactlyOnce);
            let mut receiver = Receiver {
                version,
                wire,
                unreleased: BTreeSet::new(),
                got: Vec::new(),
                sent_before: BTreeSet::new(),
            };
            let publisher = sim.connect(V5, "publisher");
            for number in 0..60_u32 {
                let qos = if number % 2 == 0 { AtLeastOnce } else { ExactlyOnce };
                sim.publish(publisher, "a/b", &number.to_string(), qos);
                match random.below(4) {
                    0 => receiver.reconnect(&mut sim, &mut random),
                    _ => {
                        let packets = random.below(6);
                        receiver.work(&mut sim, &mut random, packets);
                    }
                }
            }
            receiver.reconnect(&mut sim, &mut random);
            for _ in 0..200 {
                receiver.work(&mut sim, &mut random, 10);
                sim.run();
            }
            let of = |qos| receiver.got.iter().filter(move |(got, _)| *got == qos).map(|(_, number)| *number);
            let exactly: Vec<u32> = of(ExactlyOnce).collect();
            assert_eq!(exactly, (0..60).filter(|number| number % 2 == 1).collect::<Vec<_>>());
            let at_least: BTreeSet<u32> = of(AtLeastOnce).collect();
            assert_eq!(at_least.len(), 30);
            // Without its repetitions QoS 1 is in order as well.
            let mut seen = BTreeSet::new();
            assert!(of(AtLeastOnce).filter(|number| seen.insert(*number)).is_sorted());
        });
    }
}

#[test]
fn a_publisher_that_breaks_off_and_repeats_has_its_qos_2_messages_published_once() {
    for version in VERSIONS {
        in_many_worlds(40, |options| {
            let mut random = Random::new(options.seed);
            let mut sim = Sim::with(options);
            let subscriber = sim.connect(V5, "subscriber");
            sim.subscribe(subscriber, "a", ExactlyOnce);
            let mut publisher = sim.connect_with(&durable(version, "publisher"));
            let mut deliveries = Vec::new();
            for number in 0..30_u16 {
                // One id is enough: each message is complete before the next begins.
                let (mut is_received, mut tries) = (false, 0);
                loop {
                    match is_received {
                        false => {
                            let payload = number.to_string();
                            let publish = publish("a", payload.as_bytes(), ExactlyOnce, 1);
                            sim.queue(publisher, &Packet::Publish(Publish { dup: tries > 0, ..publish }));
                        }
                        true => sim.queue(publisher, &Packet::PubRel(ack(1))),
                    }
                    tries += 1;
                    if random.one_in(2) {
                        sim.run();
                    }
                    if random.one_in(3) {
                        sim.cut(publisher);
                        publisher = sim.connect_with(&durable(version, "publisher"));
                        continue;
                    }
                    sim.run();
                    match sim.expect(publisher) {
                        Packet::PubRec(_) => is_received = true,
                        Packet::PubComp(_) => break,
                        packet => panic!("{packet:?} answers neither PUBLISH nor PUBREL"),
                    }
                    assert_eq!(sim.drain(publisher), []);
                }
                deliveries.extend(sim.deliveries(subscriber));
            }
            let expected: Vec<String> = (0..30).map(|number: u16| number.to_string()).collect();
            assert_eq!(payloads(&deliveries), expected);
        });
    }
}

/// Bug 25 of the list, mosquitto 1322: the newest value wins although its publisher repeats an older one.
#[test]
fn bug_25_a_repeated_qos_2_publish_does_not_bring_back_an_old_retained_value() {
    for version in VERSIONS {
        let mut sim = Sim::new();
        let old = sim.connect_with(&durable(version, "old"));
        let first = Publish { retain: true, ..publish("a", b"old", ExactlyOnce, 1) };
        sim.send(old, &Packet::Publish(first.clone()));
        sim.cut(old);
        let new = sim.connect(V5, "new");
        sim.retain(new, "a", "new", ExactlyOnce);
        let old = sim.connect_with(&durable(version, "old"));
        sim.exchange_publish(old, Publish { dup: true, ..first });
        let subscriber = sim.connect(V5, "subscriber");
        sim.subscribe(subscriber, "a", AtMostOnce);
        assert_eq!(texts(&sim.deliveries(subscriber)), [("a", "new")]);
    }
}

/// A script that was killed begins with packet id 1 again. Whatever it publishes must not be acknowledged and lost.
#[test]
fn what_a_client_publishes_that_has_lost_its_state_is_not_taken_for_what_it_published_before() {
    for version in VERSIONS {
        let mut sim = Sim::new();
        let subscriber = sim.connect(V5, "subscriber");
        sim.subscribe(subscriber, "#", ExactlyOnce);
        let script = sim.connect_with(&durable(version, "script"));
        let first = publish("a", b"first", ExactlyOnce, 1);
        sim.send(script, &Packet::Publish(first.clone()));
        sim.cut(script);
        assert_eq!(texts(&sim.deliveries(subscriber)), [("a", "first")]);
        let others = [publish("a", b"second", ExactlyOnce, 1), publish("b", b"second", ExactlyOnce, 1)];
        for other in others {
            let script = sim.connect_with(&durable(version, "script"));
            sim.send(script, &Packet::Publish(Publish { dup: true, ..other.clone() }));
            assert_eq!(texts(&sim.deliveries(subscriber)), [], "who repeats says so");
            sim.send(script, &Packet::Publish(other.clone()));
            assert_eq!(texts(&sim.deliveries(subscriber)), [(other.topic, "second")]);
            // It is repeated with and without DUP, on this connection and on the next.
            sim.send(script, &Packet::Publish(other.clone()));
            sim.send(script, &Packet::Publish(publish("c", b"a mistake", ExactlyOnce, 1)));
            sim.cut(script);
            let script = sim.connect_with(&durable(version, "script"));
            sim.send(script, &Packet::Publish(other.clone()));
            sim.send(script, &Packet::Publish(Publish { dup: true, ..other }));
            assert_eq!(texts(&sim.deliveries(subscriber)), []);
            sim.cut(script);
        }
        let script = sim.connect_with(&durable(version, "script"));
        sim.exchange_publish(script, publish("b", b"second", ExactlyOnce, 1));
        assert_eq!(texts(&sim.deliveries(subscriber)), []);
        assert!(sim.sessions().all(|session| session.inbound.is_empty()));
    }
}
