//! PUBLISH from one client to another, apart from what its QoS does.

use noctule_codec::{
    Packet, Properties, Property, ProtocolVersion, Publish, QoS, ReasonCode, SubscriptionOptions,
};
use noctule_testkit::sim::{
    EVERY_QOS, Sim, SimOptions, VERSIONS, in_many_worlds, payloads, publish, raw, texts,
};

use ProtocolVersion::{V3_1, V3_1_1, V5};
use QoS::{AtLeastOnce, AtMostOnce, ExactlyOnce};

#[test]
fn mqtt5_3_8_4_8_and_mqtt311_3_8_4_6_delivery_has_the_lower_of_published_and_granted_qos() {
    for publisher_version in VERSIONS {
        for version in VERSIONS {
            for published in EVERY_QOS {
                for granted in EVERY_QOS {
                    let mut sim = Sim::new();
                    let subscriber = sim.connect(version, "subscriber");
                    let publisher = sim.connect(publisher_version, "publisher");
                    sim.subscribe(subscriber, "a", granted);
                    sim.publish(publisher, "a", "x", published);
                    let deliveries = sim.deliveries(subscriber);
                    assert_eq!(texts(&deliveries), [("a", "x")]);
                    assert_eq!(deliveries[0].qos, published.min(granted));
                    assert!(!deliveries[0].dup && !deliveries[0].retain);
                    assert_eq!(deliveries[0].packet_id.is_some(), deliveries[0].qos > AtMostOnce);
                }
            }
        }
    }
}

#[test]
fn mqtt5_3_3_1_3_and_mqtt311_3_3_1_3_dup_of_the_publisher_is_not_passed_on() {
    for version in VERSIONS {
        for qos in [AtLeastOnce, ExactlyOnce] {
            let mut sim = Sim::new();
            let subscriber = sim.connect(version, "subscriber");
            let publisher = sim.connect(version, "publisher");
            sim.subscribe(subscriber, "a", qos);
            sim.exchange_publish(publisher, Publish { dup: true, ..publish("a", b"x", qos, 1) });
            assert!(!sim.expect_publish(subscriber).dup);
        }
    }
}

#[test]
fn mqtt5_4_3_1_1_2_2_1_2_and_mqtt311_3_3_1_2_4_3_1_1_2_3_1_5_qos_0_is_sent_without_dup_and_without_packet_id()
{
    for version in VERSIONS {
        let mut sim = Sim::new();
        let subscriber = sim.connect(version, "subscriber");
        let publisher = sim.connect(version, "publisher");
        sim.subscribe(subscriber, "a", AtMostOnce);
        sim.exchange_publish(publisher, Publish { dup: true, ..publish("a", b"x", ExactlyOnce, 1) });
        let delivery = sim.expect_publish(subscriber);
        assert_eq!((delivery.dup, delivery.qos, delivery.packet_id), (false, AtMostOnce, None));
    }
}

#[test]
fn mqtt5_3_3_4_1_2_2_1_5_and_mqtt311_3_3_4_1_2_3_1_6_publish_is_answered_as_its_qos_demands() {
    for version in VERSIONS {
        for (qos, id) in [(AtMostOnce, 0), (AtLeastOnce, 1), (ExactlyOnce, 2)] {
            let mut sim = Sim::new();
            let publisher = sim.connect(version, "publisher");
            sim.send(publisher, &Packet::Publish(publish("a", b"x", qos, id)));
            match (qos, sim.receive(publisher)) {
                (AtMostOnce, None) => {}
                (AtLeastOnce, Some(Packet::PubAck(ack))) => assert_eq!(ack.packet_id.get(), id),
                (ExactlyOnce, Some(Packet::PubRec(ack))) => assert_eq!(ack.packet_id.get(), id),
                (qos, packet) => panic!("{qos:?} was answered by {packet:?}"),
            }
            assert_eq!(sim.receive(publisher), None);
        }
    }
}

fn every_property() -> Properties<'static> {
    Properties::new()
        .with(Property::UserProperty("z", "1"))
        .with(Property::ContentType("text/plain"))
        .with(Property::UserProperty("a", "2"))
        .with(Property::PayloadFormatIndicator(true))
        .with(Property::CorrelationData(&[0, 255, 7]))
        .with(Property::UserProperty("z", "1"))
        .with(Property::ResponseTopic("answers/here"))
        .with(Property::UserProperty("", ""))
}

#[test]
fn mqtt5_3_3_2_4_15_16_17_18_20_properties_are_forwarded_unchanged_and_in_order() {
    for qos in EVERY_QOS {
        let mut sim = Sim::new();
        let subscriber = sim.connect(V5, "subscriber");
        let publisher = sim.connect(V5, "publisher");
        sim.subscribe(subscriber, "a", qos);
        let id = if qos == AtMostOnce { 0 } else { 1 };
        sim.exchange_publish(
            publisher,
            Publish { properties: every_property(), ..publish("a", b"x", qos, id) },
        );
        assert_eq!(sim.expect_publish(subscriber).properties, every_property());
    }
}

#[test]
fn properties_travel_from_5_0_to_5_0_and_nowhere_else() {
    for version in [V3_1, V3_1_1] {
        let mut sim = Sim::new();
        let old = sim.connect(version, "old");
        let new = sim.connect(V5, "new");
        sim.subscribe(old, "to/old", AtLeastOnce);
        sim.subscribe(new, "to/new", AtLeastOnce);
        let with_properties =
            |topic| Publish { properties: every_property(), ..publish(topic, b"x", AtMostOnce, 0) };
        sim.exchange_publish(new, with_properties("to/old"));
        sim.publish(old, "to/new", "y", AtMostOnce);
        assert_eq!(texts(&sim.deliveries(old)), [("to/old", "x")]);
        let delivery = sim.expect_publish(new);
        assert_eq!((delivery.payload, delivery.properties), (b"y".as_slice(), Properties::EMPTY));
    }
}

#[test]
fn a_topic_alias_of_the_publisher_is_not_passed_on() {
    let mut sim = Sim::new();
    let subscriber = sim.connect(V5, "subscriber");
    let publisher = sim.connect(V5, "publisher");
    sim.subscribe(subscriber, "a", AtMostOnce);
    let properties = Properties::new().with(Property::TopicAlias(3));
    sim.exchange_publish(publisher, Publish { properties, ..publish("a", b"x", AtMostOnce, 0) });
    assert_eq!(sim.expect_publish(subscriber).properties, Properties::EMPTY);
}

#[test]
fn mqtt5_3_4_2_1_3_5_2_1_code_0x10_says_that_nobody_is_subscribed() {
    for qos in [AtLeastOnce, ExactlyOnce] {
        let mut sim = Sim::new();
        let publisher = sim.connect(V5, "publisher");
        assert_eq!(sim.publish(publisher, "a", "x", qos), ReasonCode::NoMatchingSubscribers);
        let subscriber = sim.connect(V3_1_1, "subscriber");
        sim.subscribe(subscriber, "+", AtMostOnce);
        assert_eq!(sim.publish(publisher, "a", "x", qos), ReasonCode::Success);
        sim.cut(subscriber);
        assert_eq!(sim.publish(publisher, "a", "x", qos), ReasonCode::NoMatchingSubscribers);
        let member = sim.connect(V5, "member");
        sim.subscribe(member, "$share/g/a", AtMostOnce);
        assert_eq!(sim.publish(publisher, "a", "x", qos), ReasonCode::Success);
    }
}

#[test]
fn mqtt5_4_5_0_1_3_3_2_3_and_mqtt311_4_5_0_1_3_3_2_3_every_matching_session_gets_a_message_and_no_other() {
    in_many_worlds(20, |options| {
        let mut sim = Sim::with(options);
        let filters =
            ["a/b", "a/+", "a/#", "#", "+/b", "+/+", "a/b/#", "a", "a/c", "+", "a/b/+", "/a/b", "A/b"];
        let matches = 7;
        let subscribers: Vec<usize> = (0..filters.len())
            .map(|place| {
                let subscriber = sim.connect(VERSIONS[place % 3], &format!("subscriber-{place}"));
                sim.subscribe(subscriber, filters[place], ExactlyOnce);
                subscriber
            })
            .collect();
        let publisher = sim.connect(V5, "publisher");
        sim.publish(publisher, "a/b", "x", ExactlyOnce);
        for (place, subscriber) in subscribers.into_iter().enumerate() {
            let expected: &[_] = if place < matches { &[("a/b", "x")] } else { &[] };
            assert_eq!(texts(&sim.deliveries(subscriber)), expected, "{}", filters[place]);
        }
    });
}

#[test]
fn mqtt5_4_6_0_5_6_and_mqtt311_4_6_0_5_6_order_holds_per_publisher_topic_and_qos() {
    in_many_worlds(40, |options| {
        let mut sim = Sim::with(options);
        let subscriber = sim.connect(V5, "subscriber");
        sim.subscribe(subscriber, "#", ExactlyOnce);
        let durable = sim.connect(V3_1_1, "other");
        sim.subscribe(durable, "+/1", ExactlyOnce);
        let publishers = [sim.connect(V5, "p0"), sim.connect(V3_1_1, "p1"), sim.connect(V3_1, "p2")];
        for count in 1..=30_u16 {
            for (who, publisher) in publishers.into_iter().enumerate() {
                let qos = EVERY_QOS[usize::from(count) % 3];
                let topic = format!("{who}/{}", count % 2);
                let id = if qos == AtMostOnce { 0 } else { count };
                sim.queue(
                    publisher,
                    &Packet::Publish(publish(&topic, count.to_string().as_bytes(), qos, id)),
                );
            }
        }
        sim.run();
        let deliveries = sim.deliveries(subscriber);
        assert_eq!(deliveries.len(), 90);
        for topic in ["0/0", "0/1", "1/0", "1/1", "2/0", "2/1"] {
            for qos in EVERY_QOS {
                let of_this =
                    deliveries.iter().filter(|publish| publish.topic == topic && publish.qos == qos);
                let numbers: Vec<u16> = payloads(&of_this.cloned().collect::<Vec<_>>())
                    .into_iter()
                    .map(|text| text.parse().expect("the payloads are numbers"))
                    .collect();
                assert!(numbers.is_sorted() && numbers.len() == 5, "{topic} {qos:?}: {numbers:?}");
            }
        }
        assert_eq!(sim.deliveries(durable).len(), 45);
    });
}

#[test]
fn mqtt311_4_6_0_2_and_3_acknowledgements_leave_in_order_of_arrival() {
    in_many_worlds(20, |options| {
        let mut sim = Sim::with(options);
        let durable = sim.connect_with(&noctule_testkit::sim::ConnectOptions::durable(V3_1_1, "durable", 0));
        sim.subscribe(durable, "recorded", ExactlyOnce);
        let publisher = sim.connect(V3_1_1, "publisher");
        for id in 1..=40_u16 {
            let qos = if id % 2 == 0 { AtLeastOnce } else { ExactlyOnce };
            // What has a durable subscriber waits for its record; the rest does not.
            let topic = ["recorded", "nobody", "$SYS/refused"][usize::from(id / 2) % 3];
            sim.queue(publisher, &Packet::Publish(publish(topic, b"x", qos, id)));
        }
        sim.run();
        let answers = sim.drain(publisher);
        let ids_of =
            |wanted: fn(&Packet<'_>) -> Option<u16>| answers.iter().filter_map(wanted).collect::<Vec<_>>();
        let pubacks = ids_of(|packet| match packet {
            Packet::PubAck(ack) => Some(ack.packet_id.get()),
            _ => None,
        });
        let pubrecs = ids_of(|packet| match packet {
            Packet::PubRec(ack) => Some(ack.packet_id.get()),
            _ => None,
        });
        assert_eq!(pubacks, (1..=40).filter(|id| id % 2 == 0).collect::<Vec<u16>>());
        assert_eq!(pubrecs, (1..=40).filter(|id| id % 2 == 1).collect::<Vec<u16>>());
    });
}

#[test]
fn mqtt5_3_3_2_2_and_mqtt311_3_3_2_2_a_topic_name_with_wildcards_closes() {
    for version in VERSIONS {
        for topic in ["a/#", "+", "a/+/b", "a#"] {
            let mut sim = Sim::new();
            let publisher = sim.connect(version, "publisher");
            sim.send(publisher, &Packet::Publish(publish(topic, b"x", AtLeastOnce, 1)));
            sim.expect_end(publisher, ReasonCode::TopicNameInvalid);
        }
    }
}

#[test]
fn mqtt5_4_7_3_1_and_mqtt311_4_7_3_1_an_empty_topic_name_closes() {
    for version in VERSIONS {
        let mut sim = Sim::new();
        let publisher = sim.connect(version, "publisher");
        sim.send(publisher, &Packet::Publish(publish("", b"x", AtMostOnce, 0)));
        sim.expect_end(publisher, ReasonCode::ProtocolError);
    }
}

#[test]
fn mqtt5_3_3_4_6_a_client_publish_with_a_subscription_identifier_closes() {
    let mut sim = Sim::new();
    let publisher = sim.connect(V5, "publisher");
    let properties = Properties::new().with(Property::SubscriptionIdentifier(1));
    sim.send(publisher, &Packet::Publish(Publish { properties, ..publish("a", b"x", AtMostOnce, 0) }));
    sim.expect_end(publisher, ReasonCode::ProtocolError);
}

#[test]
fn mqtt5_3_3_2_14_a_response_topic_with_wildcards_closes() {
    let mut sim = Sim::new();
    let publisher = sim.connect(V5, "publisher");
    let properties = Properties::new().with(Property::ResponseTopic("a/+"));
    sim.send(publisher, &Packet::Publish(Publish { properties, ..publish("a", b"x", AtMostOnce, 0) }));
    sim.expect_end(publisher, ReasonCode::TopicNameInvalid);
}

/// Bug 12 of the list: emqx 8029.
#[test]
fn bug_12_a_property_that_may_stand_once_closes_when_it_stands_twice() {
    for property in [
        Property::PayloadFormatIndicator(true),
        Property::MessageExpiryInterval(1),
        Property::ContentType("a"),
        Property::ResponseTopic("a"),
        Property::CorrelationData(b"a"),
        Property::TopicAlias(1),
    ] {
        let mut sim = Sim::new();
        let publisher = sim.connect(V5, "publisher");
        let properties = Properties::new().with(property).with(property);
        sim.send(publisher, &Packet::Publish(Publish { properties, ..publish("a", b"x", AtMostOnce, 0) }));
        sim.expect_end(publisher, ReasonCode::ProtocolError);
    }
}

#[test]
fn mqtt5_3_2_2_11_a_qos_above_the_announced_maximum_closes() {
    for (maximum, published) in
        [(AtMostOnce, AtLeastOnce), (AtMostOnce, ExactlyOnce), (AtLeastOnce, ExactlyOnce)]
    {
        for version in VERSIONS {
            let mut sim =
                Sim::with_limits(noctule_session::Limits { maximum_qos: maximum, ..Default::default() });
            let publisher = sim.connect(version, "publisher");
            sim.send(publisher, &Packet::Publish(publish("a", b"x", published, 1)));
            sim.expect_end(publisher, ReasonCode::QoSNotSupported);
        }
    }
}

#[test]
fn mqtt5_3_2_2_14_a_retained_message_closes_where_retain_is_not_available() {
    for version in VERSIONS {
        let mut sim =
            Sim::with_limits(noctule_session::Limits { retain_available: false, ..Default::default() });
        let publisher = sim.connect(version, "publisher");
        sim.send(publisher, &Packet::Publish(Publish { retain: true, ..publish("a", b"x", AtMostOnce, 0) }));
        sim.expect_end(publisher, ReasonCode::RetainNotSupported);
    }
}

#[test]
fn topics_that_belong_to_the_broker_are_refused_and_recorded() {
    for (qos, id) in [(AtMostOnce, 0), (AtLeastOnce, 1), (ExactlyOnce, 2)] {
        let mut sim = Sim::new();
        let subscriber = sim.connect(V5, "subscriber");
        sim.subscribe(subscriber, "$SYS/#", ExactlyOnce);
        let publisher = sim.connect(V5, "publisher");
        let code = sim.exchange_publish(publisher, publish("$SYS/broker/uptime", b"x", qos, id));
        let expected = if qos == AtMostOnce { ReasonCode::Success } else { ReasonCode::TopicNameInvalid };
        assert_eq!(code, expected);
        assert_eq!(sim.receive(subscriber), None);
        assert_eq!(sim.drops.len(), 1);
        assert!(!sim.is_closed(publisher));
    }
}

#[test]
fn mqtt5_4_7_2_1_and_mqtt311_4_7_2_1_a_leading_wildcard_matches_no_dollar_topic() {
    for version in VERSIONS {
        let mut sim = Sim::new();
        let subscriber = sim.connect(version, "subscriber");
        for filter in ["#", "+/#", "+/b", "+", "$x/b", "$x/#", "$x/+"] {
            sim.subscribe(subscriber, filter, AtMostOnce);
        }
        sim.subscribe(subscriber, "$share/g/#", AtMostOnce);
        let publisher = sim.connect(version, "publisher");
        sim.publish(publisher, "$x/b", "1", AtMostOnce);
        assert_eq!(texts(&sim.deliveries(subscriber)), [("$x/b", "1")]);
        sim.publish(publisher, "$x", "2", AtMostOnce);
        assert_eq!(texts(&sim.deliveries(subscriber)), [("$x", "2")], "$x/# also matches its parent");
        sim.publish(publisher, "$y", "3", AtMostOnce);
        assert_eq!(sim.receive(subscriber), None);
    }
}

#[test]
fn mqtt5_4_7_3_4_and_mqtt311_4_7_3_4_empty_levels_and_case_are_taken_as_they_are() {
    let cases = [
        ("/a", "/a", true),
        ("/a", "a", false),
        ("/a", "+/+", true),
        ("/a", "/+", true),
        ("/a", "+", false),
        ("/", "+/+", true),
        ("/", "/", true),
        ("//", "+/+/+", true),
        ("//", "/#", true),
        ("a/", "a", false),
        ("a/", "a/+", true),
        ("a/", "a/", true),
        ("a//b", "a/+/b", true),
        ("a//b", "a/b", false),
        ("A", "a", false),
        ("a b", "a b", true),
        ("é", "é", true),
        ("e\u{301}", "é", false),
    ];
    for (topic, filter, expected) in cases {
        let mut sim = Sim::new();
        let client = sim.connect(V5, "client");
        sim.subscribe(client, filter, AtMostOnce);
        sim.publish(client, topic, "x", AtMostOnce);
        assert_eq!(!sim.deliveries(client).is_empty(), expected, "{topic:?} and {filter:?}");
    }
}

#[test]
fn mqtt5_3_3_1_12_and_mqtt311_3_3_1_9_an_established_subscription_gets_messages_without_retain() {
    for version in VERSIONS {
        for qos in EVERY_QOS {
            let mut sim = Sim::new();
            let subscriber = sim.connect(version, "subscriber");
            let publisher = sim.connect(version, "publisher");
            sim.subscribe(subscriber, "a", qos);
            sim.retain(publisher, "a", "x", qos);
            let deliveries = sim.deliveries(subscriber);
            assert_eq!(texts(&deliveries), [("a", "x")]);
            assert!(!deliveries[0].retain);
        }
    }
}

/// Bug 19 of the list, vernemq 2551: the flag survives the offline queue.
#[test]
fn bug_19_mqtt5_3_3_1_13_retain_as_published_keeps_the_flag_also_of_queued_messages() {
    let mut sim = Sim::with(SimOptions::default());
    let options = noctule_testkit::sim::ConnectOptions::durable(V5, "subscriber", 100);
    let subscriber = sim.connect_with(&options);
    let as_published =
        SubscriptionOptions { qos: AtLeastOnce, retain_as_published: true, ..SubscriptionOptions::default() };
    sim.subscribe_with(subscriber, "a", as_published, None);
    let publisher = sim.connect(V5, "publisher");
    sim.retain(publisher, "a", "1", AtLeastOnce);
    sim.publish(publisher, "a", "2", AtLeastOnce);
    let flags =
        |deliveries: &[Publish<'_>]| deliveries.iter().map(|publish| publish.retain).collect::<Vec<_>>();
    assert_eq!(flags(&sim.deliveries(subscriber)), [true, false]);

    sim.cut(subscriber);
    sim.retain(publisher, "a", "3", AtLeastOnce);
    sim.publish(publisher, "a", "4", AtLeastOnce);
    let subscriber = sim.connect_with(&options);
    let deliveries = sim.deliveries(subscriber);
    assert_eq!(payloads(&deliveries), ["3", "4"]);
    assert_eq!(flags(&deliveries), [true, false]);
}

#[test]
fn mqtt5_3_3_2_1_3_3_2_13_3_3_2_19_and_mqtt311_3_3_2_1_strings_that_are_not_utf_8_close() {
    for version in VERSIONS {
        let mut sim = Sim::new();
        let publisher = sim.connect(version, "publisher");
        let end: &[u8] = if version == V5 { &[0, b'x'] } else { b"x" };
        sim.send_bytes(publisher, &raw(0x30, &[&[0, 1, 0xFF], end].concat()));
        sim.expect_end(publisher, ReasonCode::MalformedPacket);
    }
    let (content_type, response_topic) = (0x03, 0x08);
    for property in [content_type, response_topic] {
        let mut sim = Sim::new();
        let publisher = sim.connect(V5, "publisher");
        sim.send_bytes(publisher, &raw(0x30, &[0, 1, b'a', 4, property, 0, 1, 0xFF, b'x']));
        sim.expect_end(publisher, ReasonCode::MalformedPacket);
    }
}

#[test]
fn mqtt5_3_4_2_1_3_5_2_1_3_6_2_1_3_7_2_1_an_acknowledgement_with_another_code_closes() {
    let (puback, pubrec, pubrel, pubcomp) = (0x40, 0x50, 0x62, 0x70);
    for (first_byte, code) in [
        (puback, 0x01),
        (puback, 0x92),
        (puback, 0xFF),
        (pubrec, 0x11),
        (pubrec, 0x92),
        (pubrel, 0x80),
        (pubrel, 0x10),
        (pubcomp, 0x80),
        (pubcomp, 0x97),
    ] {
        let mut sim = Sim::new();
        let client = sim.connect(V5, "client");
        sim.send_bytes(client, &raw(first_byte, &[0, 1, code]));
        sim.expect_end(client, ReasonCode::ProtocolError);
    }
}
