//! SUBSCRIBE and UNSUBSCRIBE.

use noctule_codec::{
    Packet, Property, ProtocolVersion, QoS, ReasonCode, SubAck, SubscriptionOptions, UnsubAck,
};
use noctule_session::Limits;
use noctule_testkit::sim::{
    ConnectOptions, EVERY_QOS, Random, Sim, VERSIONS, in_many_worlds, payloads, publish, raw, subscribe,
    subscribe_with, texts, unsubscribe,
};
use std::collections::{BTreeMap, BTreeSet};

use ProtocolVersion::{V3_1, V3_1_1, V5};
use QoS::{AtLeastOnce, AtMostOnce, ExactlyOnce};

const GRANTED: [ReasonCode; 3] =
    [ReasonCode::GRANTED_QOS_0, ReasonCode::GrantedQoS1, ReasonCode::GrantedQoS2];

#[track_caller]
fn suback(sim: &mut Sim, wire: usize) -> SubAck<'static> {
    match sim.expect(wire) {
        Packet::SubAck(suback) => suback,
        packet => panic!("SUBSCRIBE was answered by {packet:?}"),
    }
}

#[track_caller]
fn unsubscribed(sim: &mut Sim, wire: usize, packet_id: u16, filters: &[&str]) -> UnsubAck<'static> {
    sim.send(wire, &unsubscribe(packet_id, filters));
    match sim.expect(wire) {
        Packet::UnsubAck(unsuback) => unsuback,
        packet => panic!("UNSUBSCRIBE was answered by {packet:?}"),
    }
}

/// What a 5.0 client is told when a filter or feature is refused, in the words of its version.
fn refused(version: ProtocolVersion, code: ReasonCode) -> ReasonCode {
    match version {
        // 3.1 cannot refuse; the least it can say is QoS 0.
        V3_1 => ReasonCode::GRANTED_QOS_0,
        V3_1_1 => ReasonCode::UnspecifiedError,
        V5 => code,
    }
}

#[test]
fn mqtt5_2_2_1_6_3_8_4_1_2_5_6_7_3_9_3_1_and_mqtt311_2_3_1_7_3_8_4_1_2_4_5_3_9_3_1_one_suback_with_a_code_per_filter()
 {
    for version in VERSIONS {
        let mut sim = Sim::new();
        let client = sim.connect(version, "client");
        for packet_id in [1, 65_535] {
            let wanted = [("a", ExactlyOnce), ("b/+", AtMostOnce), ("#", AtLeastOnce), ("a", AtLeastOnce)];
            sim.send(client, &subscribe(packet_id, &wanted));
            let suback = suback(&mut sim, client);
            assert_eq!(suback.packet_id.get(), packet_id);
            assert_eq!(suback.reason_codes[..], [GRANTED[2], GRANTED[0], GRANTED[1], GRANTED[1]]);
            assert_eq!(sim.drain(client), []);
        }
    }
}

#[test]
fn mqtt5_3_10_4_4_5_6_3_11_3_1_2_and_mqtt311_3_10_4_4_5_6_one_unsuback_with_a_code_per_filter() {
    for version in VERSIONS {
        let mut sim = Sim::new();
        let client = sim.connect(version, "client");
        sim.subscribe(client, "a", AtMostOnce);
        sim.subscribe(client, "$share/g/a", AtMostOnce);
        let unsuback = unsubscribed(&mut sim, client, 77, &["b", "a", "a", "$share/g/a", "$share/h/a"]);
        assert_eq!(unsuback.packet_id.get(), 77);
        let (gone, none) = (ReasonCode::Success, ReasonCode::NoSubscriptionExisted);
        let expected: &[_] = if version == V5 { &[none, gone, none, gone, none] } else { &[] };
        assert_eq!(&unsuback.reason_codes[..], expected);
        assert_eq!(sim.drain(client), []);
    }
}

/// A client that could not read its SUBACK would wait for it for ever.
#[test]
fn mqtt5_3_1_2_24_more_filters_than_the_answer_has_room_for_change_nothing() {
    let filters: Vec<String> = (0..40).map(|n| n.to_string()).collect();
    let wanted: Vec<(&str, QoS)> = filters.iter().map(|filter| (filter.as_str(), AtMostOnce)).collect();
    let names: Vec<&str> = filters.iter().map(String::as_str).collect();
    let options = ConnectOptions::durable(V5, "client", 100).with(Property::MaximumPacketSize(40));
    let mut sim = Sim::new();
    let client = sim.connect_with(&options);
    sim.send(client, &subscribe(1, &wanted[..35]));
    assert!(matches!(sim.expect(client), Packet::SubAck(suback) if suback.reason_codes.len() == 35));
    sim.send(client, &subscribe(2, &wanted[..36]));
    sim.expect_end(client, ReasonCode::PacketTooLarge);
    assert_eq!(sim.stats().subscriptions, 35);
    let client = sim.connect_with(&options);
    sim.send(client, &unsubscribe(3, &names[..36]));
    sim.expect_end(client, ReasonCode::PacketTooLarge);
    assert_eq!(sim.stats().subscriptions, 35);
}

#[test]
fn mqtt5_4_7_1_1_2_4_7_3_1_4_8_2_1_2_and_mqtt311_4_7_1_2_3_a_wrong_filter_closes_and_changes_nothing() {
    let wrong = [
        "",
        "a/#/b",
        "#/",
        "##",
        "a#",
        "#a",
        "a+",
        "+a",
        "a/b+/c",
        "a/+b",
        "$share/",
        "$share//a",
        "$share/g",
        "$share/g/",
        "$share/+/a",
        "$share/#/a",
        "$share/g+/a",
        "$share/g/a#",
    ];
    for version in VERSIONS {
        for filter in wrong {
            let mut sim = Sim::new();
            let durable = ConnectOptions::durable(version, "client", 100);
            let client = sim.connect_with(&durable);
            sim.send(client, &subscribe(1, &[("fine", AtMostOnce), (filter, AtMostOnce)]));
            sim.expect_end(client, ReasonCode::TopicFilterInvalid);
            assert_eq!(sim.stats().subscriptions, 0, "{filter}");

            let client = sim.connect_with(&durable);
            sim.subscribe(client, "fine", AtMostOnce);
            sim.send(client, &unsubscribe(1, &["fine", filter]));
            sim.expect_end(client, ReasonCode::TopicFilterInvalid);
            assert_eq!(sim.stats().subscriptions, 1, "{filter}");
        }
    }
}

/// Bug 14 of the list: nanomq 1883.
#[test]
fn bug_14_every_right_filter_is_granted() {
    for version in VERSIONS {
        let mut sim = Sim::new();
        let client = sim.connect(version, "client");
        for filter in [
            "#",
            "+",
            "/",
            "//",
            "+/+",
            "/+",
            "a/",
            "a/+/#",
            "+/a/#",
            "$x/#",
            "$share/g/#",
            "$share/g/+/a",
            "$share/g//",
            "$share/group name/a",
            "$shared/x",
            "share/x",
            "$SYS/#",
            "\u{feff}a",
        ] {
            sim.subscribe(client, filter, ExactlyOnce);
        }
    }
}

#[test]
fn mqtt5_3_8_3_2_3_10_3_2_and_mqtt311_3_8_3_3_3_10_3_2_a_packet_without_filters_closes() {
    for version in VERSIONS {
        for first_byte in [0x82, 0xA2] {
            let mut sim = Sim::new();
            let client = sim.connect(version, "client");
            let bytes: &[u8] = if version == V5 { &[first_byte, 3, 0, 1, 0] } else { &[first_byte, 2, 0, 1] };
            sim.send_bytes(client, bytes);
            sim.expect_end(client, ReasonCode::ProtocolError);
        }
    }
}

#[test]
fn mqtt5_3_8_1_1_3_10_1_1_and_mqtt311_3_8_1_1_3_10_1_1_wrong_flags_close() {
    for version in [V3_1_1, V5] {
        for first_byte in [0x80, 0x8A, 0x83, 0xA0, 0xA6] {
            let mut sim = Sim::new();
            let client = sim.connect(version, "client");
            sim.send_bytes(client, &[first_byte, 6, 0, 1, 0, 1, b'a', 0]);
            sim.expect_end(client, ReasonCode::MalformedPacket);
        }
    }
}

#[test]
fn mqtt5_3_8_3_5_and_mqtt311_3_8_3_4_wrong_subscription_options_close() {
    let cases: &[(ProtocolVersion, u8, ReasonCode)] = &[
        (V3_1_1, 0x03, ReasonCode::MalformedPacket),
        (V3_1_1, 0x04, ReasonCode::MalformedPacket),
        (V3_1_1, 0x80, ReasonCode::MalformedPacket),
        (V5, 0x03, ReasonCode::ProtocolError),
        (V5, 0x30, ReasonCode::ProtocolError),
        (V5, 0x40, ReasonCode::MalformedPacket),
        (V5, 0x80, ReasonCode::MalformedPacket),
    ];
    for &(version, options, code) in cases {
        let mut sim = Sim::new();
        let client = sim.connect(version, "client");
        let properties: &[u8] = if version == V5 { &[0] } else { &[] };
        let body = [&[0, 1], properties, &[0, 1, b'a', options]].concat();
        let length = u8::try_from(body.len()).expect("short");
        sim.send_bytes(client, &[&[0x82, length], &body[..]].concat());
        sim.expect_end(client, code);
    }
}

#[test]
fn mqtt5_2_2_1_3_and_mqtt311_2_3_1_1_packet_id_0_closes() {
    for version in VERSIONS {
        let end: &[u8] = if version == V5 { &[0] } else { &[] };
        let publish = raw(0x32, &[&[0, 1, b'a', 0, 0], end].concat());
        let mut sim = Sim::new();
        let client = sim.connect(version, "client");
        sim.send_bytes(client, &publish);
        sim.expect_end(client, ReasonCode::ProtocolError);
        for (first_byte, option) in [(0x82, &[0_u8] as &[u8]), (0xA2, &[])] {
            let mut sim = Sim::new();
            let client = sim.connect(version, "client");
            let properties: &[u8] = if version == V5 { &[0] } else { &[] };
            let body = [&[0, 0], properties, &[0, 1, b'a'], option].concat();
            let length = u8::try_from(body.len()).expect("short");
            sim.send_bytes(client, &[&[first_byte, length], &body[..]].concat());
            sim.expect_end(client, ReasonCode::ProtocolError);
        }
    }
}

#[test]
fn mqtt5_3_8_4_3_and_mqtt311_3_8_4_3_the_same_filter_replaces_the_subscription() {
    for version in VERSIONS {
        let mut sim = Sim::new();
        let client = sim.connect(version, "client");
        let publisher = sim.connect(V5, "publisher");
        for qos in [ExactlyOnce, AtMostOnce, AtLeastOnce] {
            sim.subscribe(client, "a/+", qos);
            sim.publish(publisher, "a/b", "x", ExactlyOnce);
            let deliveries = sim.deliveries(client);
            assert_eq!(deliveries.len(), 1);
            assert_eq!(deliveries[0].qos, qos);
        }
        assert_eq!(sim.stats().subscriptions, 1);
    }
}

#[test]
fn mqtt5_3_8_4_4_and_mqtt311_3_8_4_3_replacing_a_subscription_loses_and_doubles_no_message() {
    for version in VERSIONS {
        in_many_worlds(20, |options| {
            let mut sim = Sim::with(options);
            let client = sim.connect(version, "client");
            sim.subscribe(client, "a", AtLeastOnce);
            let publisher = sim.connect(V5, "publisher");
            for count in 1..=50_u16 {
                let payload = count.to_string();
                sim.queue(publisher, &Packet::Publish(publish("a", payload.as_bytes(), AtLeastOnce, count)));
                sim.queue(client, &subscribe(count, &[("a", EVERY_QOS[1 + usize::from(count % 2)])]));
            }
            sim.run();
            let mut got: Vec<u16> = Vec::new();
            while let Some(packet) = sim.receive(client) {
                if let Packet::Publish(publish) = packet {
                    got.push(str::from_utf8(publish.payload).expect("text").parse().expect("a number"));
                    sim.acknowledge(client, &publish);
                    sim.run();
                }
            }
            assert_eq!(got, (1..=50).collect::<Vec<u16>>());
        });
    }
}

#[test]
fn mqtt5_3_10_4_1_2_and_mqtt311_3_10_4_1_2_only_an_equal_filter_is_removed() {
    for version in VERSIONS {
        let mut sim = Sim::new();
        let client = sim.connect(version, "client");
        sim.subscribe(client, "a/+", AtMostOnce);
        unsubscribed(&mut sim, client, 1, &["a/b", "a/#", "#", "+/+", "a/+/", "A/+", "$share/g/a/+"]);
        sim.publish(client, "a/b", "x", AtMostOnce);
        assert_eq!(sim.deliveries(client).len(), 1);
        unsubscribed(&mut sim, client, 1, &["a/+"]);
        sim.publish(client, "a/b", "x", AtMostOnce);
        assert_eq!(sim.deliveries(client), [], "[MQTT-3.10.4-2]");
    }
}

#[test]
fn mqtt5_3_10_4_3_and_mqtt311_3_10_4_3_what_was_begun_is_completed_after_unsubscribe() {
    for version in VERSIONS {
        for qos in [AtLeastOnce, ExactlyOnce] {
            let mut sim = Sim::new();
            let durable = ConnectOptions::durable(version, "client", 100);
            let client = sim.connect_with(&durable);
            sim.subscribe(client, "a", qos);
            let publisher = sim.connect(V5, "publisher");
            sim.publish(publisher, "a", "x", qos);
            assert!(matches!(sim.expect(client), Packet::Publish(_)));
            unsubscribed(&mut sim, client, 1, &["a"]);
            sim.publish(publisher, "a", "too late", qos);
            sim.cut(client);
            let client = sim.connect_with(&durable);
            assert_eq!(payloads(&sim.deliveries(client)), ["x"]);
        }
    }
}

#[test]
fn mqtt5_3_3_4_2_4_and_mqtt311_3_3_5_1_overlapping_subscriptions_give_one_copy_at_the_highest_qos() {
    for version in VERSIONS {
        for order in [[0, 1, 2], [2, 1, 0], [1, 2, 0]] {
            let mut sim = Sim::new();
            let client = sim.connect(version, "client");
            for (filter, place) in ["a/b", "a/+", "#"].into_iter().zip(order) {
                sim.subscribe(client, filter, EVERY_QOS[place]);
            }
            sim.publish(client, "unrelated/x/y", "x", AtMostOnce);
            sim.deliveries(client);
            let publisher = sim.connect(V5, "publisher");
            sim.publish(publisher, "a/b", "x", ExactlyOnce);
            let deliveries = sim.deliveries(client);
            assert_eq!(texts(&deliveries), [("a/b", "x")]);
            assert_eq!(deliveries[0].qos, ExactlyOnce);
        }
    }
}

fn ids(sim: &mut Sim, wire: usize) -> Vec<Vec<u32>> {
    let deliveries = sim.deliveries(wire);
    let ids = deliveries.iter().map(|publish| publish.properties.subscription_identifiers().collect());
    ids.collect()
}

#[test]
fn mqtt5_3_3_4_3_4_5_a_delivery_lists_the_identifiers_of_all_subscriptions_it_answers() {
    let mut sim = Sim::new();
    let durable = ConnectOptions::durable(V5, "client", 100);
    let client = sim.connect_with(&durable);
    let options = SubscriptionOptions { qos: AtLeastOnce, ..SubscriptionOptions::default() };
    for (filter, id) in
        [("a/b", Some(300)), ("a/+", Some(1)), ("#", None), ("+/b", Some(1)), ("other", Some(9))]
    {
        sim.subscribe_with(client, filter, options, id);
    }
    let publisher = sim.connect(V5, "publisher");
    sim.publish(publisher, "a/b", "x", AtLeastOnce);
    assert_eq!(ids(&mut sim, client), [[1, 1, 300]]);
    sim.publish(publisher, "c", "x", AtLeastOnce);
    assert_eq!(ids(&mut sim, client), [[] as [u32; 0]]);

    // They wait with the message, and belong to the time of the message.
    sim.cut(client);
    sim.publish(publisher, "a/b", "x", AtLeastOnce);
    let client = sim.connect_with(&durable);
    assert_eq!(ids(&mut sim, client), [[1, 1, 300]]);

    // Replacing a subscription replaces its identifier, also by none.
    sim.subscribe_with(client, "a/b", options, None);
    sim.subscribe_with(client, "a/+", options, Some(268_435_455));
    sim.publish(publisher, "a/b", "x", AtLeastOnce);
    assert_eq!(ids(&mut sim, client), [[1, 268_435_455]]);

    // A shared subscription brings its own copy with its own identifier.
    sim.subscribe_with(client, "$share/g/a/b", options, Some(5));
    sim.publish(publisher, "a/b", "x", AtLeastOnce);
    let mut copies = ids(&mut sim, client);
    copies.sort();
    assert_eq!(copies, [vec![1, 268_435_455], vec![5]]);
}

#[test]
fn a_subscription_identifier_of_0_closes() {
    let mut sim = Sim::new();
    let client = sim.connect(V5, "client");
    sim.send_bytes(client, &[0x82, 9, 0, 1, 2, 0x0B, 0, 0, 1, b'a', 0]);
    sim.expect_end(client, ReasonCode::ProtocolError);
}

#[test]
fn mqtt5_3_8_3_3_no_local_keeps_a_message_from_its_own_publisher() {
    in_many_worlds(5, |options| {
        let mut sim = Sim::with(options);
        let durable = ConnectOptions::durable(V5, "client", 100);
        let client = sim.connect_with(&durable);
        let other = sim.connect(V5, "other");
        let no_local = SubscriptionOptions { no_local: true, ..SubscriptionOptions::default() };
        sim.subscribe_with(client, "a", no_local, None);
        for (publisher, expected) in [(client, 0), (other, 1)] {
            sim.publish(publisher, "a", "x", AtMostOnce);
            assert_eq!(sim.deliveries(client).len(), expected);
        }
        // It is a matter of the client id, not of the connection.
        sim.cut(client);
        let client = sim.connect_with(&durable);
        sim.publish(client, "a", "x", AtMostOnce);
        assert_eq!(sim.deliveries(client), []);
        // Another subscription without it still brings the message.
        sim.subscribe_with(client, "+", SubscriptionOptions::default(), Some(4));
        sim.publish(client, "a", "x", AtMostOnce);
        assert_eq!(ids(&mut sim, client), [[4]]);
    });
}

/// Bug 12 of the list: mosquitto 3319.
#[test]
fn bug_12_mqtt5_3_8_3_4_no_local_on_a_shared_subscription_closes() {
    let mut sim = Sim::new();
    let client = sim.connect(V5, "client");
    let no_local = SubscriptionOptions { no_local: true, ..SubscriptionOptions::default() };
    sim.send(client, &subscribe_with(1, "$share/g/a", no_local, None));
    sim.expect_end(client, ReasonCode::ProtocolError);
}

#[test]
fn mqtt5_3_2_2_10_any_qos_may_be_asked_for_and_the_maximum_is_granted() {
    for version in VERSIONS {
        let mut sim = Sim::with_limits(Limits { maximum_qos: AtLeastOnce, ..Limits::default() });
        let client = sim.connect(version, "client");
        let wanted = [("a", AtMostOnce), ("b", AtLeastOnce), ("c", ExactlyOnce)];
        assert_eq!(sim.subscribe_all(client, &wanted), [GRANTED[0], GRANTED[1], GRANTED[1]]);
    }
}

#[test]
fn mqtt5_4_13_1_1_and_mqtt311_3_8_3_2_what_is_announced_as_not_available_is_refused() {
    let off = [
        (
            Limits { wildcard_subscription_available: false, ..Limits::default() },
            subscribe(1, &[("a", AtMostOnce), ("a/+", AtMostOnce)]),
            ReasonCode::WildcardSubscriptionsNotSupported,
        ),
        (
            Limits { shared_subscription_available: false, ..Limits::default() },
            subscribe(1, &[("a", AtMostOnce), ("$share/g/a", AtMostOnce)]),
            ReasonCode::SharedSubscriptionsNotSupported,
        ),
    ];
    for (limits, packet, code) in off {
        for version in VERSIONS {
            let mut sim = Sim::with_limits(limits.clone());
            let client = sim.connect(version, "client");
            sim.send(client, &packet);
            if version == V5 {
                sim.expect_end(client, code);
                continue;
            }
            let codes = suback(&mut sim, client).reason_codes;
            assert_eq!(codes[..], [GRANTED[0], refused(version, code)]);
            assert_eq!(sim.stats().subscriptions, 1);
        }
    }
    let limits = Limits { subscription_identifiers_available: false, ..Limits::default() };
    let mut sim = Sim::with_limits(limits);
    let client = sim.connect(V5, "client");
    sim.send(client, &subscribe_with(1, "a", SubscriptionOptions::default(), Some(1)));
    sim.expect_end(client, ReasonCode::SubscriptionIdentifiersNotSupported);
}

#[test]
fn bounds_on_subscriptions_refuse_with_their_code_and_the_rest_is_granted() {
    let limits = Limits {
        subscriptions_max: 4,
        wildcard_subscriptions_max: 2,
        topic_levels_max: 3,
        topic_bytes_max: 10,
        ..Limits::default()
    };
    for version in VERSIONS {
        let mut sim = Sim::with_limits(limits.clone());
        let client = sim.connect(version, "client");
        let full = refused(version, ReasonCode::QuotaExceeded);
        let invalid = refused(version, ReasonCode::TopicFilterInvalid);
        let granted = GRANTED[0];
        for (filter, expected) in [
            ("a/b/c", granted),
            ("a/b/c/d", invalid),
            ("0123456789", granted),
            ("0123456789x", invalid),
            ("+/1", granted),
            ("+/2", granted),
            ("+/3", full),
            ("b", full),
            ("+/1", granted),
            ("a/b/c", granted),
        ] {
            assert_eq!(sim.subscribe_all(client, &[(filter, AtMostOnce)]), [expected], "{filter}");
        }
        unsubscribed(&mut sim, client, 1, &["+/1", "0123456789"]);
        assert_eq!(sim.subscribe_all(client, &[("+/3", AtMostOnce), ("b", AtMostOnce)]), [granted; 2]);
    }
}

#[test]
fn a_hundred_thousand_filters_are_granted_up_to_the_bound_and_go_with_their_session() {
    let limits =
        Limits { subscriptions_max: 60_000, wildcard_subscriptions_max: 10_000, ..Limits::default() };
    let mut sim = Sim::with_limits(limits);
    let client = sim.connect(V5, "client");
    let (mut granted, mut refused) = (0, 0);
    for block in 0..100 {
        let filters: Vec<String> = (0..1000)
            .map(
                |count| {
                    if block % 5 == 0 { format!("{block}/+/{count}") } else { format!("{block}/x/{count}") }
                },
            )
            .collect();
        let wanted: Vec<(&str, QoS)> = filters.iter().map(|filter| (filter.as_str(), AtMostOnce)).collect();
        for code in sim.subscribe_all(client, &wanted) {
            match code {
                ReasonCode::Success => granted += 1,
                ReasonCode::QuotaExceeded => refused += 1,
                code => panic!("{code}"),
            }
        }
    }
    assert_eq!((granted, refused), (60_000, 40_000));
    assert_eq!(sim.directory().filters.read(noctule_topic::index::FilterIndex::len), 60_000);
    sim.cut(client);
    assert_eq!(
        (sim.directory().filters.read(noctule_topic::index::FilterIndex::len), sim.stats().subscriptions),
        (0, 0)
    );
}

#[test]
fn a_subscription_is_in_force_for_what_comes_behind_its_subscribe() {
    for version in VERSIONS {
        in_many_worlds(10, |options| {
            let mut sim = Sim::with(options);
            let client = sim.connect(version, "client");
            sim.queue(client, &subscribe(1, &[("a", AtMostOnce)]));
            sim.queue(client, &Packet::Publish(publish("a", b"1", AtMostOnce, 0)));
            sim.queue(client, &unsubscribe(2, &["a"]));
            sim.queue(client, &Packet::Publish(publish("a", b"2", AtMostOnce, 0)));
            sim.run();
            let packets = sim.drain(client);
            assert!(
                matches!(&packets[..], [Packet::SubAck(_), Packet::Publish(publish), Packet::UnsubAck(_)]
                    if publish.payload == b"1"),
                "{packets:?}"
            );
        });
    }
}

/// Bug 8 of the list, bifromq 281: once SUBACK is there, every publication arrives.
#[test]
fn bug_8_after_suback_nothing_is_missed() {
    in_many_worlds(40, |options| {
        let mut sim = Sim::with(options);
        let publishers: Vec<usize> = (0..4).map(|who| sim.connect(V5, &format!("publisher-{who}"))).collect();
        for round in 0..10 {
            let client = sim.connect(V3_1_1, &format!("client-{round}"));
            sim.subscribe(client, "a/+", AtLeastOnce);
            for publisher in &publishers {
                sim.queue(*publisher, &Packet::Publish(publish("a/b", b"x", AtMostOnce, 0)));
            }
            sim.run();
            assert_eq!(sim.deliveries(client).len(), 4);
        }
    });
}

/// Ten lines instead of an index.
fn matches(filter: &str, topic: &str) -> bool {
    let (mut levels, mut words) = (filter.split('/'), topic.split('/'));
    loop {
        match (levels.next(), words.next()) {
            (Some("#"), _) | (None, None) => return true,
            (Some("+"), Some(_)) => {}
            (Some(level), Some(word)) if level == word => {}
            _ => return false,
        }
    }
}

#[test]
fn who_gets_what_agrees_with_a_simple_matcher_after_any_changes() {
    let filters =
        ["a", "a/b", "a/+", "+/b", "#", "a/#", "+", "+/+", "a/b/c", "a/+/c", "+/b/#", "/", "+/", "b/"];
    let topics = ["a", "a/b", "b", "b/", "/", "a/b/c", "a/x/c", "b/b", "x"];
    in_many_worlds(40, |options| {
        let mut random = Random::new(options.seed + 77);
        let mut sim = Sim::with(options);
        let mut clients: Vec<(usize, BTreeMap<&str, QoS>)> = (0..5)
            .map(|who| (sim.connect(VERSIONS[who % 3], &format!("client-{who}")), BTreeMap::new()))
            .collect();
        let publisher = sim.connect(V5, "publisher");
        for _ in 0..60 {
            let who = random.below(clients.len());
            let (client, subscriptions) = &mut clients[who];
            let filter = filters[random.below(filters.len())];
            if random.one_in(3) {
                unsubscribed(&mut sim, *client, 1, &[filter]);
                subscriptions.remove(filter);
            } else {
                let qos = EVERY_QOS[random.below(3)];
                sim.subscribe(*client, filter, qos);
                subscriptions.insert(filter, qos);
            }
            let topic = topics[random.below(topics.len())];
            let qos = EVERY_QOS[random.below(3)];
            sim.publish(publisher, topic, "x", qos);
            for (client, subscriptions) in &clients {
                let granted = subscriptions.iter().filter(|(filter, _)| matches(filter, topic));
                let expected: Vec<QoS> =
                    granted.map(|(_, granted)| qos.min(*granted)).max().into_iter().collect();
                let got: Vec<QoS> = sim.deliveries(*client).iter().map(|publish| publish.qos).collect();
                assert_eq!(got, expected, "{topic} for {subscriptions:?}");
            }
        }
        let held: BTreeSet<usize> = clients.iter().map(|(_, subscriptions)| subscriptions.len()).collect();
        assert!(held.len() > 1);
    });
}

#[test]
fn nothing_that_was_routed_before_arrives_behind_unsuback() {
    in_many_worlds(200, |options| {
        let mut sim = Sim::with(options);
        let panel = sim.connect(V5, "panel");
        sim.subscribe(panel, "a", AtLeastOnce);
        let sensors: Vec<_> = (0..4).map(|n| sim.connect(V5, &format!("sensor {n}"))).collect();
        for sensor in sensors {
            sim.queue(sensor, &Packet::Publish(publish("a", b"m", AtLeastOnce, 1)));
        }
        sim.queue(panel, &unsubscribe(2, &["a"]));
        sim.run();
        let packets = sim.drain(panel);
        assert!(matches!(packets.last(), Some(Packet::UnsubAck(_))), "{packets:?}");
    });
}
