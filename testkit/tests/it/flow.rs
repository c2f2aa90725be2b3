//! Flow control: how many publications may be unacknowledged, in both directions.

use noctule_codec::{Packet, Property, ProtocolVersion, Publish, QoS, ReasonCode};
use noctule_session::Limits;
use noctule_testkit::sim::{
    ConnectOptions, Sim, VERSIONS, ack, ack_with, in_many_worlds, payloads, publish, subscribe,
};

use ProtocolVersion::{V3_1, V3_1_1, V5};
use QoS::{AtLeastOnce, AtMostOnce, ExactlyOnce};

fn limited(client_id: &str, receive_maximum: u16) -> ConnectOptions<'_> {
    ConnectOptions::durable(V5, client_id, 1000).with(Property::ReceiveMaximum(receive_maximum))
}

fn publishes(packets: Vec<Packet<'static>>) -> Vec<Publish<'static>> {
    let publish = |packet| match packet {
        Packet::Publish(publish) => Some(publish),
        _ => None,
    };
    packets.into_iter().filter_map(publish).collect()
}

fn id(publish: &Publish<'_>) -> u16 {
    publish.packet_id.expect("above QoS 0").get()
}

// Towards the client.

#[test]
fn mqtt5_3_3_4_9_and_4_9_0_1_2_the_receive_maximum_of_the_client_is_never_exceeded() {
    for qos in [AtLeastOnce, ExactlyOnce] {
        for maximum in [1, 2, 7] {
            in_many_worlds(5, |options| {
                let mut sim = Sim::with(options);
                let subscriber = sim.connect_with(&limited("subscriber", maximum));
                sim.subscribe(subscriber, "a", qos);
                let publisher = sim.connect(V5, "publisher");
                for count in 0..20 {
                    sim.publish(publisher, "a", &count.to_string(), qos);
                }
                let mut got = Vec::new();
                while got.len() < 20 {
                    let window = publishes(sim.drain(subscriber));
                    let expected = usize::from(maximum).min(20 - got.len());
                    assert_eq!(window.len(), expected, "the window is full, and not more than full");
                    for publish in &window {
                        sim.acknowledge(subscriber, publish);
                        sim.run();
                        if qos == ExactlyOnce {
                            assert_eq!(sim.drain(subscriber), [Packet::PubRel(ack(id(publish)))]);
                        }
                    }
                    if qos == ExactlyOnce {
                        for publish in &window {
                            sim.queue(subscriber, &Packet::PubComp(ack(id(publish))));
                        }
                        sim.run();
                    }
                    got.extend(window);
                }
                assert_eq!(payloads(&got), (0..20).map(|count| count.to_string()).collect::<Vec<_>>());
            });
        }
    }
}

#[test]
fn a_3_x_client_and_a_5_0_client_without_receive_maximum_have_the_configured_window() {
    for version in VERSIONS {
        let limits = Limits { inflight_messages_max: 5, inflight_messages_max_v3: 3, ..Limits::default() };
        let mut sim = Sim::with_limits(limits);
        let subscriber = sim.connect(version, "subscriber");
        sim.subscribe(subscriber, "a", AtLeastOnce);
        let publisher = sim.connect(V5, "publisher");
        for count in 0..10 {
            sim.publish(publisher, "a", &count.to_string(), AtLeastOnce);
        }
        let window = if version == V5 { 5 } else { 3 };
        assert_eq!(publishes(sim.drain(subscriber)).len(), window);
    }
}

#[test]
fn mqtt5_4_9_0_3_and_3_3_4_10_other_packets_go_on_at_zero_quota() {
    let mut sim = Sim::new();
    let subscriber = sim.connect_with(&limited("subscriber", 1));
    sim.subscribe(subscriber, "a", AtLeastOnce);
    let publisher = sim.connect(V5, "publisher");
    sim.publish(publisher, "a", "1", AtLeastOnce);
    sim.publish(publisher, "a", "2", AtLeastOnce);
    let first = sim.expect_publish(subscriber);

    sim.send(subscriber, &Packet::PingReq);
    assert_eq!(sim.drain(subscriber), [Packet::PingResp]);
    sim.send(subscriber, &subscribe(9, &[("b", AtMostOnce)]));
    assert!(matches!(sim.drain(subscriber)[..], [Packet::SubAck(_)]));
    sim.publish(publisher, "b", "0", AtMostOnce);
    assert_eq!(payloads(&publishes(sim.drain(subscriber))), ["0"], "QoS 0 may go on");
    sim.send(subscriber, &Packet::Publish(publish("c", b"x", AtLeastOnce, 3)));
    assert!(matches!(sim.drain(subscriber)[..], [Packet::PubAck(_)]));
    sim.send(subscriber, &Packet::Publish(publish("c", b"x", ExactlyOnce, 4)));
    assert!(matches!(sim.drain(subscriber)[..], [Packet::PubRec(_)]));
    sim.send(subscriber, &Packet::PubRel(ack(4)));
    assert!(matches!(sim.drain(subscriber)[..], [Packet::PubComp(_)]));

    sim.send(subscriber, &Packet::PubAck(ack(id(&first))));
    assert_eq!(payloads(&sim.deliveries(subscriber)), ["2"]);
}

#[test]
fn mqtt5_4_9_0_2_pubrec_frees_no_place_unless_it_is_an_error() {
    let mut sim = Sim::new();
    let subscriber = sim.connect_with(&limited("subscriber", 1));
    sim.subscribe(subscriber, "a", ExactlyOnce);
    let publisher = sim.connect(V5, "publisher");
    for payload in ["1", "2", "3"] {
        sim.publish(publisher, "a", payload, ExactlyOnce);
    }
    let first = sim.expect_publish(subscriber);
    sim.send(subscriber, &Packet::PubRec(ack(id(&first))));
    assert_eq!(sim.drain(subscriber), [Packet::PubRel(ack(id(&first)))]);
    sim.send(subscriber, &Packet::PubComp(ack(id(&first))));
    let second = sim.expect_publish(subscriber);
    sim.send(subscriber, &Packet::PubRec(ack_with(id(&second), ReasonCode::UnspecifiedError)));
    assert_eq!(payloads(&publishes(sim.drain(subscriber))), ["3"]);
}

#[test]
fn mqtt5_4_9_0_1_a_resumed_session_keeps_within_a_smaller_receive_maximum() {
    for qos in [AtLeastOnce, ExactlyOnce] {
        let mut sim = Sim::new();
        let subscriber = sim.connect_with(&limited("subscriber", 10));
        sim.subscribe(subscriber, "a", qos);
        let publisher = sim.connect(V5, "publisher");
        for count in 0..15 {
            sim.publish(publisher, "a", &count.to_string(), qos);
        }
        assert_eq!(publishes(sim.drain(subscriber)).len(), 10);
        sim.cut(subscriber);

        let subscriber = sim.connect_with(&limited("subscriber", 2));
        let window = publishes(sim.drain(subscriber));
        assert_eq!(payloads(&window), ["0", "1"]);
        for publish in &window {
            sim.acknowledge(subscriber, publish);
        }
        sim.run();
        let rest = sim.deliveries(subscriber);
        let expected: Vec<String> = (2..15).map(|count| count.to_string()).collect();
        assert_eq!(payloads(&rest), expected);
        let dups: Vec<bool> = rest.iter().map(|publish| publish.dup).collect();
        assert_eq!(dups, (2..15).map(|count| count < 10).collect::<Vec<_>>());
    }
}

#[test]
fn owed_pubrels_need_no_place_in_the_window() {
    let mut sim = Sim::new();
    let subscriber = sim.connect_with(&limited("subscriber", 5));
    sim.subscribe(subscriber, "a", ExactlyOnce);
    let publisher = sim.connect(V5, "publisher");
    for count in 0..5 {
        sim.publish(publisher, "a", &count.to_string(), ExactlyOnce);
    }
    let window = publishes(sim.drain(subscriber));
    for publish in &window[..4] {
        sim.send(subscriber, &Packet::PubRec(ack(id(publish))));
    }
    sim.cut(subscriber);
    let subscriber = sim.connect_with(&limited("subscriber", 1));
    let packets = sim.drain(subscriber);
    assert_eq!(packets.len(), 5);
    for (packet, publish) in packets[..4].iter().zip(&window) {
        assert_eq!(*packet, Packet::PubRel(ack(id(publish))));
    }
    assert!(matches!(&packets[4], Packet::Publish(publish) if publish.dup && publish.payload == b"4"));
}

// From the client.

fn announced(receive_maximum: u16) -> Sim {
    Sim::with_limits(Limits { receive_maximum, ..Limits::default() })
}

#[test]
fn mqtt5_3_3_4_7_more_than_the_announced_receive_maximum_closes_with_0x93() {
    for version in VERSIONS {
        let mut sim = announced(3);
        let publisher = sim.connect(version, "publisher");
        for id in 1..=3 {
            sim.send(publisher, &Packet::Publish(publish("a", b"x", ExactlyOnce, id)));
        }
        assert_eq!(sim.drain(publisher).len(), 3);
        sim.send(publisher, &Packet::Publish(publish("a", b"x", ExactlyOnce, 4)));
        match version {
            V5 => sim.expect_end(publisher, ReasonCode::ReceiveMaximumExceeded),
            V3_1 | V3_1_1 => assert!(matches!(sim.drain(publisher)[..], [Packet::PubRec(_)])),
        }
    }
}

#[test]
fn mqtt5_3_3_4_7_what_is_answered_or_released_counts_no_more() {
    let mut sim = announced(2);
    let publisher = sim.connect(V5, "publisher");
    for id in 1..=10 {
        sim.exchange_publish(publisher, publish("a", b"x", ExactlyOnce, id));
        sim.exchange_publish(publisher, publish("a", b"x", AtLeastOnce, id));
        // An error PUBREC ends it as well.
        sim.exchange_publish(publisher, publish("$SYS/a", b"x", ExactlyOnce, id));
    }
    sim.send(publisher, &Packet::Publish(publish("a", b"x", ExactlyOnce, 1)));
    // A repetition is no further publication.
    for _ in 0..5 {
        sim.send(publisher, &Packet::Publish(Publish { dup: true, ..publish("a", b"x", ExactlyOnce, 1) }));
    }
    sim.send(publisher, &Packet::Publish(publish("a", b"x", ExactlyOnce, 2)));
    assert!(!sim.is_closed(publisher));
}

#[test]
fn mqtt5_3_3_4_7_a_client_may_use_its_whole_window_at_once() {
    for qos in [AtLeastOnce, ExactlyOnce] {
        let mut sim = announced(10);
        let publisher = sim.connect_with(&ConnectOptions::durable(V5, "publisher", 100));
        let subscriber = sim.connect_with(&ConnectOptions::durable(V5, "subscriber", 100));
        sim.subscribe(subscriber, "a", ExactlyOnce);
        for id in 1..=10 {
            sim.queue(publisher, &Packet::Publish(publish("a", b"x", qos, id)));
        }
        sim.run();
        assert_eq!(sim.drain(publisher).len(), 10);
        assert!(!sim.is_closed(publisher), "{:?}", sim.events);
    }
}

/// MQTT.js publishes as fast as it is asked to, whatever Receive Maximum it was told. A broker that waits for its
/// disk must not close it for that: what is unacknowledged waits for us.
#[test]
fn mqtt5_3_3_4_7_whoever_waits_for_our_acknowledgements_has_not_exceeded_its_window() {
    let mut sim = announced(3);
    let publisher = sim.connect(V5, "publisher");
    let subscriber = sim.connect_with(&ConnectOptions::durable(V5, "subscriber", 100));
    sim.subscribe(subscriber, "a", AtLeastOnce);
    for id in 1..=100 {
        sim.queue(publisher, &Packet::Publish(publish("a", &id.to_string().into_bytes(), AtLeastOnce, id)));
    }
    sim.run();
    let expected: Vec<_> = (1..=100).map(|id| Packet::PubAck(ack(id))).collect();
    assert_eq!(sim.drain(publisher), expected);
    assert!(!sim.is_closed(publisher), "{:?}", sim.events);
    assert_eq!(sim.payloads(subscriber), (1..=100).map(|id| id.to_string()).collect::<Vec<_>>());
}

/// What MQTT.js does with a loop of publications at QoS 2: each PUBREL stands behind all of them.
#[test]
fn a_burst_at_qos_2_is_nobodys_mistake_by_default() {
    for version in VERSIONS {
        let mut sim = Sim::new();
        let publisher = sim.connect(version, "publisher");
        for id in 1..=5000 {
            sim.queue(publisher, &Packet::Publish(publish("a", b"x", ExactlyOnce, id)));
        }
        for id in 1..=5000 {
            sim.queue(publisher, &Packet::PubRel(ack(id)));
        }
        sim.run();
        assert_eq!(sim.drain(publisher).len(), 10_000);
        assert!(!sim.is_closed(publisher), "{:?}", sim.events);
    }
}

/// The PUBRECs leave, the PUBRELs stand behind what the client has sent too many: only closing helps.
#[test]
fn mqtt5_3_3_4_7_publications_that_wait_for_the_client_fill_its_window() {
    let mut sim = announced(3);
    let publisher = sim.connect_with(&ConnectOptions::durable(V5, "publisher", 100));
    for id in 1..=4 {
        sim.queue(publisher, &Packet::Publish(publish("a", b"x", ExactlyOnce, id)));
    }
    sim.run();
    for _ in 1..=3 {
        assert!(matches!(sim.expect(publisher), Packet::PubRec(_)));
    }
    sim.expect_end(publisher, ReasonCode::ReceiveMaximumExceeded);
}

/// Bug 8 of the list, bifromq 281: a PUBREL that a resumed session owes is known, not 0x92.
#[test]
fn bug_8_mqtt5_4_9_0_1_a_new_connection_begins_with_the_whole_window() {
    let mut sim = announced(3);
    let durable = ConnectOptions::durable(V5, "publisher", 100);
    let publisher = sim.connect_with(&durable);
    for id in 1..=3 {
        sim.send(publisher, &Packet::Publish(publish("a", b"x", ExactlyOnce, id)));
    }
    sim.cut(publisher);
    // The client has got its PUBRECs and owes three PUBRELs, which need no place in its window.
    let publisher = sim.connect_with(&durable);
    for id in 11..=13 {
        sim.send(publisher, &Packet::Publish(publish("a", b"x", ExactlyOnce, id)));
        assert!(matches!(sim.expect(publisher), Packet::PubRec(_)));
    }
    for id in [1, 2, 3, 11, 12, 13] {
        sim.send(publisher, &Packet::PubRel(ack(id)));
        assert_eq!(sim.expect(publisher), Packet::PubComp(ack(id)));
    }
    for id in 1..=3 {
        sim.send(publisher, &Packet::Publish(publish("a", b"x", ExactlyOnce, id)));
    }
    assert_eq!(sim.drain(publisher).len(), 3);
    sim.send(publisher, &Packet::Publish(publish("a", b"x", ExactlyOnce, 4)));
    sim.expect_end(publisher, ReasonCode::ReceiveMaximumExceeded);
}
