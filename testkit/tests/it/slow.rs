//! Clients that do not read, and the bounds of what waits for them.

use noctule_codec::{Packet, Property, ProtocolVersion, QoS, ReasonCode};
use noctule_session::{DropReason, Limits};
use noctule_testkit::sim::{
    ConnectOptions, Sim, VERSIONS, ack, in_many_worlds, payloads, publish, subscribe, unsubscribe,
};

use ProtocolVersion::{V3_1_1, V5};
use QoS::{AtLeastOnce, AtMostOnce, ExactlyOnce};

#[test]
fn a_subscriber_that_never_reads_holds_nobody_up() {
    in_many_worlds(3, |options| {
        let limits = Limits { output_bytes_max: 10_000, ..Limits::default() };
        let mut sim = Sim::with(noctule_testkit::sim::SimOptions { limits, ..options });
        let slow = sim.connect(V5, "slow");
        sim.subscribe(slow, "#", AtMostOnce);
        sim.wire(slow).reads_at_most = Some(0);
        let fast = sim.connect(V3_1_1, "fast");
        sim.subscribe(fast, "a", AtMostOnce);
        let publisher = sim.connect(V5, "publisher");
        let payload = "x".repeat(1000);
        for _ in 0..500 {
            assert_eq!(sim.publish(publisher, "a", &payload, AtLeastOnce), ReasonCode::Success);
            assert_eq!(sim.deliveries(fast).len(), 1);
        }
        let dropped = sim.drops.len();
        assert!(dropped > 480, "{dropped}");
        assert!(
            sim.drops
                .iter()
                .all(|drop| { (&*drop.client_id, drop.reason) == ("slow", DropReason::OutputFull) })
        );
        assert_eq!(sim.stats().drops_total(), dropped as u64);

        sim.wire(slow).reads_at_most = None;
        sim.run();
        assert_eq!(sim.deliveries(slow).len() + dropped, 500, "every message is delivered or accounted for");
    });
}

#[test]
fn a_single_message_larger_than_the_output_limit_is_delivered() {
    let mut sim = Sim::with_limits(Limits { output_bytes_max: 100, ..Limits::default() });
    let subscriber = sim.connect(V5, "subscriber");
    sim.subscribe(subscriber, "a", ExactlyOnce);
    let publisher = sim.connect(V5, "publisher");
    for qos in [AtMostOnce, AtLeastOnce, ExactlyOnce] {
        sim.publish(publisher, "a", &"x".repeat(5000), qos);
        assert_eq!(sim.deliveries(subscriber).len(), 1);
    }
}

#[test]
fn qos_1_waits_for_a_client_that_does_not_read_and_loses_nothing() {
    for version in VERSIONS {
        let mut sim = Sim::with_limits(Limits { output_bytes_max: 2000, ..Limits::default() });
        let slow = sim.connect(version, "slow");
        sim.subscribe(slow, "a", AtLeastOnce);
        sim.wire(slow).reads_at_most = Some(0);
        let publisher = sim.connect(V5, "publisher");
        for count in 0..200 {
            sim.publish(publisher, "a", &count.to_string(), AtLeastOnce);
        }
        sim.wire(slow).reads_at_most = Some(50);
        sim.run();
        let expected: Vec<String> = (0..200).map(|count| count.to_string()).collect();
        assert_eq!(payloads(&sim.deliveries(slow)), expected);
        assert_eq!(sim.drops, []);
    }
}

#[test]
fn the_queue_of_a_session_is_bounded_by_count_and_bytes() {
    let by_count = Limits { queue_messages_max: 5, ..Limits::default() };
    // A message costs its topic, its payload and 128 bytes.
    let by_bytes = Limits { queue_bytes_max: 5 * (128 + 1 + 100), ..Limits::default() };
    for limits in [by_count, by_bytes] {
        for version in VERSIONS {
            let mut sim = Sim::with_limits(limits.clone());
            let durable = ConnectOptions::durable(version, "offline", 100);
            let offline = sim.connect_with(&durable);
            sim.subscribe(offline, "a", AtLeastOnce);
            sim.cut(offline);
            let publisher = sim.connect(V5, "publisher");
            for count in 0..8 {
                let code = sim.publish(publisher, "a", &format!("{count:0100}"), AtLeastOnce);
                assert_eq!(code, ReasonCode::Success, "the publisher is not refused");
            }
            assert_eq!(sim.drops.len(), 3);
            assert!(sim.drops.iter().all(|drop| drop.reason == DropReason::QueueFull));
            let offline = sim.connect_with(&durable);
            let numbers: Vec<u32> = payloads(&sim.deliveries(offline))
                .into_iter()
                .map(|payload| payload.parse().expect("a number"))
                .collect();
            assert_eq!(numbers, [0, 1, 2, 3, 4], "the oldest are kept");
        }
    }
}

#[test]
fn what_is_in_flight_does_not_count_as_waiting() {
    let limits = Limits { queue_messages_max: 2, ..Limits::default() };
    let mut sim = Sim::with_limits(limits);
    let options = ConnectOptions { client_id: "subscriber", ..ConnectOptions::default() };
    let subscriber = sim.connect_with(&options.with(Property::ReceiveMaximum(5)));
    sim.subscribe(subscriber, "a", AtLeastOnce);
    let publisher = sim.connect(V5, "publisher");
    for count in 0..10 {
        sim.publish(publisher, "a", &count.to_string(), AtLeastOnce);
    }
    assert_eq!(sim.drops.len(), 3);
    assert_eq!(payloads(&sim.deliveries(subscriber)), ["0", "1", "2", "3", "4", "5", "6"]);
}

#[test]
fn mqtt5_3_1_2_24_25_a_message_above_the_maximum_packet_size_counts_as_sent_and_is_recorded() {
    for qos in [AtMostOnce, AtLeastOnce, ExactlyOnce] {
        let mut sim = Sim::new();
        let durable = ConnectOptions::durable(V5, "small", 100)
            .with(Property::MaximumPacketSize(60))
            .with(Property::ReceiveMaximum(1));
        let small = sim.connect_with(&durable);
        sim.subscribe(small, "a", qos);
        let publisher = sim.connect(V5, "publisher");
        sim.publish(publisher, "a", &"x".repeat(100), qos);
        sim.publish(publisher, "a", "fits", qos);
        assert_eq!(payloads(&sim.deliveries(small)), ["fits"], "the window is not used up");
        let drops: Vec<_> = sim.drops.iter().map(|drop| (&*drop.client_id, drop.reason)).collect();
        assert_eq!(drops, [("small", DropReason::Oversize)]);

        // Also what waited, or was sent when the client could read more.
        sim.cut(small);
        sim.publish(publisher, "a", &"y".repeat(100), qos);
        sim.publish(publisher, "a", "fits too", qos);
        let small = sim.connect_with(&durable);
        let expected: &[&str] = if qos == AtMostOnce { &[] } else { &["fits too"] };
        assert_eq!(payloads(&sim.deliveries(small)), expected);
    }
}

#[test]
fn mqtt5_3_1_2_25_what_a_resumed_client_can_read_no_more_counts_as_sent() {
    for qos in [AtLeastOnce, ExactlyOnce] {
        let mut sim = Sim::new();
        let durable = ConnectOptions::durable(V5, "client", 100);
        let client = sim.connect_with(&durable);
        sim.subscribe(client, "a", qos);
        let publisher = sim.connect(V5, "publisher");
        sim.publish(publisher, "a", &"x".repeat(100), qos);
        sim.publish(publisher, "a", "fits", qos);
        assert_eq!(sim.drain(client).len(), 2);
        sim.cut(client);
        let client = sim.connect_with(&durable.clone().with(Property::MaximumPacketSize(60)));
        let again = sim.deliveries(client);
        assert_eq!(payloads(&again), ["fits"]);
        assert!(again[0].dup);
        assert_eq!(sim.drops[0].reason, DropReason::Oversize);
        sim.cut(client);
        let client = sim.connect_with(&durable);
        assert_eq!(sim.drain(client), []);
    }
}

#[test]
fn mqtt5_3_4_2_2_and_3_5_2_2_a_reason_string_that_does_not_fit_is_left_out() {
    for (maximum, has_reason) in [(20, false), (1000, true)] {
        for (qos, id) in [(AtLeastOnce, 1), (ExactlyOnce, 2)] {
            let mut sim = Sim::new();
            let options = ConnectOptions { client_id: "publisher", ..ConnectOptions::default() };
            let publisher = sim.dial(&options.with(Property::MaximumPacketSize(maximum)));
            sim.drain(publisher);
            sim.send(publisher, &Packet::Publish(publish("$SYS/a", b"x", qos, id)));
            let ack = match sim.expect(publisher) {
                Packet::PubAck(ack) | Packet::PubRec(ack) => ack,
                packet => panic!("{packet:?} is no acknowledgement"),
            };
            assert_eq!(ack.reason_code, ReasonCode::TopicNameInvalid);
            assert_eq!(ack.properties.reason_string().is_some(), has_reason);
        }
    }
}

#[test]
fn mqtt5_3_1_2_29_no_reason_string_on_an_acknowledgement_for_a_client_that_wants_none() {
    let mut sim = Sim::new();
    let options = ConnectOptions { client_id: "publisher", ..ConnectOptions::default() };
    let publisher = sim.connect_with(&options.with(Property::RequestProblemInformation(false)));
    for (qos, id) in [(AtLeastOnce, 1), (ExactlyOnce, 2)] {
        sim.send(publisher, &Packet::Publish(publish("$SYS/a", b"x", qos, id)));
        match sim.expect(publisher) {
            Packet::PubAck(ack) | Packet::PubRec(ack) => assert!(ack.properties.is_empty()),
            packet => panic!("{packet:?} is no acknowledgement"),
        }
    }
}

#[test]
fn a_client_that_asks_without_reading_is_not_read_any_more() {
    let mut sim = Sim::with_limits(Limits { output_bytes_max: 1000, ..Limits::default() });
    let client = sim.connect(V5, "client");
    sim.wire(client).reads_at_most = Some(0);
    for _ in 0..100_000 {
        sim.queue(client, &Packet::PingReq);
    }
    sim.run();
    assert!(sim.stats().packets_received < 20_000, "answers that wait are bounded");
    sim.wire(client).reads_at_most = None;
    sim.run();
    assert_eq!(sim.drain(client).len(), 100_000, "and none is lost");
}

#[test]
fn mqtt5_3_4_2_3_3_5_2_3_3_6_2_2_3_3_7_2_2_3_3_9_2_1_2_3_11_2_1_2_no_answer_is_above_the_maximum() {
    let maximum = 20;
    let mut sim = Sim::new();
    let options = ConnectOptions { client_id: "client", ..ConnectOptions::default() };
    let client = sim.connect_with(&options.with(Property::MaximumPacketSize(maximum)));
    for (qos, id) in [(AtLeastOnce, 1), (ExactlyOnce, 2)] {
        for topic in ["fine", "$SYS/refused"] {
            sim.queue(client, &Packet::Publish(publish(topic, b"x", qos, id)));
            sim.queue(client, &Packet::PubRel(ack(id)));
        }
    }
    sim.queue(client, &Packet::PubRec(ack(9)));
    sim.queue(client, &subscribe(3, &[("a", AtMostOnce), ("$SYS/#", AtMostOnce)]));
    sim.queue(client, &unsubscribe(4, &["a", "none"]));
    sim.run();
    let answers = sim.drain(client);
    assert_eq!(answers.len(), 11, "{answers:?}");
    for answer in answers {
        assert!(answer.encoded_len(V5) <= maximum as usize, "{answer:?}");
    }
}

#[test]
fn a_flush_does_not_ask_for_the_next_one() {
    let mut sim = Sim::new();
    let slow = sim.connect(V5, "slow");
    sim.subscribe(slow, "#", AtMostOnce);
    sim.wire(slow).reads_at_most = Some(10);
    for _ in 0..5 {
        sim.publish_own("a", b"more than ten bytes");
    }
    sim.wire(slow).reads_at_most = None;
    // The connection is flushed now because there was more, not because anybody asked. It must come to rest.
    sim.run();
    assert_eq!(sim.deliveries(slow).len(), 5);
}
