//! Input that wants to be too much: every bound holds, says so, and gives back what it held.

use noctule_auth::AllowAll;
use noctule_codec::ProtocolVersion::{V3_1, V3_1_1, V5};
use noctule_codec::{Packet, ProtocolVersion, QoS, ReasonCode, SubscribeFilters, SubscriptionOptions, Will};
use noctule_engine::{Directory, Effects, Next, Shard, ShardConfig, ShardId, Turn};
use noctule_session::{ConnectionId, DropReason, Instant, Limits};
use noctule_testkit::hot_path::Nowhere;
use noctule_testkit::sim::{
    ConnectOptions, Locks, Sim, SimOptions, VERSIONS, disconnect_with_expiry, publish, raw_connect, raw_text,
    subscribe, unsubscribe, will, will_after,
};
use std::sync::Arc;

fn deep(levels: usize) -> String {
    vec!["x"; levels].join("/")
}

#[test]
fn a_topic_of_10_000_levels_is_refused_and_the_connection_goes_on() {
    let topic = deep(10_000);
    for version in VERSIONS {
        let mut sim = Sim::new();
        let wire = sim.connect(version, "a");
        sim.send(wire, &Packet::Publish(publish(&topic, b"p", QoS::AtLeastOnce, 1)));
        let Packet::PubAck(puback) = sim.expect(wire) else { panic!("no PUBACK") };
        // 3.x has no code; the drop says what happened.
        let expected = if version == V5 { ReasonCode::TopicNameInvalid } else { ReasonCode::Success };
        assert_eq!(puback.reason_code, expected);
        assert_eq!(sim.drops[0].reason, DropReason::TopicNameInvalid);
        sim.expect_alive(wire);
    }
}

#[test]
fn a_filter_of_10_000_levels_is_refused_and_the_connection_goes_on() {
    for filter in
        [deep(10_000), vec!["+"; 10_000].join("/"), format!("{}/#", deep(10_000)), "/".repeat(60_000)]
    {
        let mut sim = Sim::new();
        let wire = sim.connect(V5, "a");
        sim.send(wire, &subscribe(1, &[(&filter, QoS::AtMostOnce), ("t", QoS::AtMostOnce)]));
        let Packet::SubAck(suback) = sim.expect(wire) else { panic!("no SUBACK") };
        assert_eq!(suback.reason_codes[..], [ReasonCode::TopicFilterInvalid, ReasonCode::GRANTED_QOS_0]);
        assert_eq!(sim.directory().filters.read(noctule_topic::index::FilterIndex::len), 1);
        sim.expect_alive(wire);
    }
}

#[test]
fn a_will_topic_of_10_000_levels_is_refused() {
    let topic = deep(10_000);
    let options = ConnectOptions { client_id: "a", ..ConnectOptions::default() };
    assert_eq!(Sim::new().refusal(&options.with_will(will(&topic, "p"))), ReasonCode::TopicNameInvalid);
}

#[test]
fn a_payload_above_the_bound_is_refused_and_the_connection_goes_on() {
    for version in VERSIONS {
        for qos in [QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce] {
            let mut sim = Sim::with_limits(Limits { payload_bytes_max: 10, ..Limits::default() });
            let panel = sim.connect(version, "panel");
            sim.send(panel, &subscribe(1, &[("t", QoS::AtMostOnce)]));
            sim.drain(panel);
            let wire = sim.connect(version, "a");
            sim.send(wire, &Packet::Publish(publish("t", &[b'x'; 11], qos, 1)));
            let code = match sim.receive(wire) {
                Some(Packet::PubAck(ack) | Packet::PubRec(ack)) => Some(ack.reason_code),
                _ => None,
            };
            // 3.x has no code; the drop says what happened.
            let refused =
                if version == V5 { ReasonCode::ImplementationSpecificError } else { ReasonCode::Success };
            assert_eq!(code, (qos > QoS::AtMostOnce).then_some(refused));
            assert_eq!(sim.drops[0].reason, DropReason::Oversize);
            assert_eq!(sim.drain(panel), []);
            sim.send(wire, &Packet::Publish(publish("t", &[b'x'; 10], QoS::AtMostOnce, 2)));
            assert_eq!(sim.drain(panel).len(), 1, "the bound is exact");
        }
    }
}

#[test]
fn a_will_above_the_bound_of_payloads_is_refused() {
    let mut sim = Sim::with_limits(Limits { payload_bytes_max: 3, ..Limits::default() });
    let options = ConnectOptions { client_id: "a", ..ConnectOptions::default() };
    assert_eq!(sim.refusal(&options.with_will(will("t", "four"))), ReasonCode::PacketTooLarge);
}

#[test]
fn the_bound_on_levels_is_exact() {
    for version in VERSIONS {
        let mut sim = Sim::with_limits(Limits { topic_levels_max: 10, ..Limits::default() });
        let watcher = sim.watch("#");
        let wire = sim.connect(version, "a");
        sim.publish(wire, &deep(10), "fits", QoS::AtLeastOnce);
        sim.publish(wire, &deep(11), "does not", QoS::AtLeastOnce);
        assert_eq!(sim.payloads(watcher), ["fits"]);
    }
}

#[test]
fn mqtt5_4_7_3_3_and_mqtt311_4_7_3_3_topics_and_filters_of_65_535_bytes_work() {
    let topic = "t".repeat(65_535);
    for version in VERSIONS {
        let mut sim = Sim::new();
        let wire = sim.connect(version, "a");
        sim.subscribe(wire, &topic, QoS::AtLeastOnce);
        let publisher = sim.connect(V5, "publisher");
        sim.publish(publisher, &topic, "p", QoS::AtLeastOnce);
        assert_eq!(sim.payloads(wire), ["p"], "{version:?}");
    }
}

#[test]
fn a_shorter_bound_on_topics_is_exact() {
    let mut sim = Sim::with_limits(Limits { topic_bytes_max: 8, ..Limits::default() });
    let wire = sim.connect(V5, "a");
    sim.send(wire, &subscribe(1, &[("12345678", QoS::AtMostOnce), ("123456789", QoS::AtMostOnce)]));
    let Packet::SubAck(suback) = sim.expect(wire) else { panic!("no SUBACK") };
    assert_eq!(suback.reason_codes[..], [ReasonCode::GRANTED_QOS_0, ReasonCode::TopicFilterInvalid]);
    for (topic, expected) in [("12345678", ReasonCode::Success), ("123456789", ReasonCode::TopicNameInvalid)]
    {
        sim.send(wire, &Packet::Publish(publish(topic, b"p", QoS::AtLeastOnce, 1)));
        let puback = sim.drain(wire).into_iter().find_map(|packet| match packet {
            Packet::PubAck(puback) => Some(puback.reason_code),
            _ => None,
        });
        assert_eq!(puback, Some(expected), "{topic}");
    }
}

/// Subscribes to all of these, and counts how many are granted and how many are refused with 0x97.
fn subscribe_all(sim: &mut Sim, wire: usize, filters: impl Iterator<Item = String>) -> (usize, usize) {
    let filters: Vec<String> = filters.collect();
    let (mut granted, mut refused) = (0, 0);
    for chunk in filters.chunks(50_000) {
        let list: SubscribeFilters<'_> =
            chunk.iter().map(|filter| (filter.as_str(), SubscriptionOptions::default())).collect();
        let Packet::Subscribe(subscribe) = subscribe(1, &[]) else { panic!("no SUBSCRIBE") };
        sim.send(wire, &Packet::Subscribe(noctule_codec::Subscribe { filters: list, ..subscribe }));
        let Packet::SubAck(suback) = sim.expect(wire) else { panic!("no SUBACK") };
        for code in suback.reason_codes.iter() {
            match code {
                ReasonCode::Success => granted += 1,
                ReasonCode::QuotaExceeded => refused += 1,
                code => panic!("{code:?}"),
            }
        }
    }
    (granted, refused)
}

#[test]
fn of_100_000_filters_a_session_gets_its_bound_and_gives_all_back_when_it_ends() {
    for shards in [1, 3] {
        let mut sim = Sim::with(SimOptions { shards, ..SimOptions::default() });
        let wire = sim.connect(V5, "greedy");
        let filters = (0..100_000).map(|n| format!("site/{}/sensor/{n}", n % 97));
        assert_eq!(subscribe_all(&mut sim, wire, filters), (65_536, 100_000 - 65_536));
        assert_eq!(sim.directory().filters.read(noctule_topic::index::FilterIndex::len), 65_536);
        assert_eq!(sim.stats().subscriptions, 65_536);
        // What is there can still be replaced.
        sim.send(wire, &subscribe(1, &[("site/0/sensor/0", QoS::AtLeastOnce)]));
        let Packet::SubAck(suback) = sim.expect(wire) else { panic!("no SUBACK") };
        assert_eq!(suback.reason_codes[..], [ReasonCode::GrantedQoS1]);
        sim.cut(wire);
        assert_eq!(
            (sim.directory().filters.read(noctule_topic::index::FilterIndex::len), sim.stats().subscriptions),
            (0, 0)
        );
        assert_eq!(sim.stats().sessions, 0);
    }
}

#[test]
fn many_filters_in_one_packet_cost_no_more_than_in_many() {
    // The client reads nothing, so that all retained messages of its subscriptions are still to come. A cost
    // that grows with the square of their number would be a minute here.
    let limits = Limits { output_bytes_max: 1, match_visits_per_second_max: 0, ..Limits::default() };
    let mut sim = Sim::with_limits(limits);
    let wire = sim.connect(V5, "greedy");
    sim.wire(wire).reads_at_most = Some(0);
    let names: Vec<String> = (0..60_000).map(|n| n.to_string()).collect();
    let wanted: Vec<(&str, QoS)> = names.iter().map(|name| (name.as_str(), QoS::AtMostOnce)).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    for packet in
        [subscribe(1, &wanted), subscribe(2, &wanted), unsubscribe(3, &names), subscribe(4, &wanted)]
    {
        sim.queue(wire, &packet);
    }
    sim.run();
    sim.wire(wire).reads_at_most = None;
    sim.run();
    assert_eq!(sim.drain(wire).len(), 4);
    assert_eq!(sim.directory().filters.read(noctule_topic::index::FilterIndex::len), 60_000);
}

#[test]
fn filters_with_wildcards_have_a_bound_of_their_own() {
    let mut sim = Sim::new();
    let wire = sim.connect(V5, "bomber");
    let filters = (0..20_000).map(|n| format!("a/+/+/+/{n}/#"));
    assert_eq!(subscribe_all(&mut sim, wire, filters), (16_384, 20_000 - 16_384));
    // The publisher beside it still gets through.
    let publisher = sim.connect(V5, "publisher");
    for n in 0..100 {
        sim.publish(publisher, &format!("a/b/c/d/{n}/e"), "p", QoS::AtLeastOnce);
    }
    assert_eq!(sim.payloads(wire).len(), 100);
    sim.cut(wire);
    assert_eq!(sim.directory().filters.read(noctule_topic::index::FilterIndex::len), 0);
}

#[test]
fn a_refused_filter_is_told_to_3_1_1_as_0x80_and_bounds_hold_in_every_version() {
    for version in [V3_1, V3_1_1] {
        let mut sim = Sim::with_limits(Limits { subscriptions_max: 1, ..Limits::default() });
        let wire = sim.connect(version, "a");
        sim.send(wire, &subscribe(1, &[("t", QoS::AtMostOnce), ("u", QoS::AtMostOnce)]));
        let codes = sim.wire(wire).unread()[4..].to_vec();
        match version {
            V3_1_1 => assert_eq!(codes, [0, 0x80]),
            _ => assert!(codes.iter().all(|code| *code < 3), "3.1 has no 0x80: {codes:02x?}"),
        }
        assert_eq!(sim.stats().subscriptions, 1);
    }
}

#[test]
fn shared_subscriptions_of_an_ended_session_leave_nothing_behind() {
    for shards in [1, 3] {
        let mut sim = Sim::with(SimOptions { shards, ..SimOptions::default() });
        let wire = sim.connect(V5, "a");
        let filters = (0..1_000).map(|n| format!("$share/g{n}/t/{n}"));
        assert_eq!(subscribe_all(&mut sim, wire, filters), (1_000, 0));
        assert_eq!(sim.directory().groups.read(noctule_engine::Groups::len), 1_000);
        sim.cut(wire);
        assert_eq!(sim.directory().groups.read(noctule_engine::Groups::len), 0);
        assert_eq!(sim.stats().shared_subscriptions, 0);
    }
}

#[test]
fn a_client_that_never_reads_is_not_answered_without_end() {
    let floods: [(&str, Vec<u8>); 3] = [
        ("PINGREQ", vec![0xc0, 0]),
        ("PUBLISH QoS 1", b"\x32\x06\0\x01t\0\x01\0".to_vec()),
        ("PUBREL", b"\x62\x02\0\x01".to_vec()),
    ];
    for (name, packet) in floods {
        let mut sim = Sim::with_limits(Limits { output_bytes_max: 10_000, ..Limits::default() });
        let wire = sim.connect(V5, "deaf");
        sim.wire(wire).reads_at_most = Some(0);
        let sent = 30_000;
        sim.send_bytes(wire, &packet.repeat(sent));
        let taken = sim.stats().packets_received;
        assert!(taken < 15_000, "{name}: {taken} packets were taken in");
        // Once it reads, it gets every answer.
        sim.wire(wire).reads_at_most = None;
        sim.run();
        assert_eq!(sim.drain(wire).len(), sent, "{name}");
    }
}

#[test]
fn a_gigabyte_of_qos_0_for_a_subscriber_that_never_reads_is_dropped_and_nobody_else_waits() {
    for version in [V3_1_1, V5] {
        let mut sim = Sim::new();
        let deaf = sim.connect(version, "deaf");
        sim.subscribe(deaf, "flood", QoS::AtMostOnce);
        sim.wire(deaf).reads_at_most = Some(0);
        let publisher = sim.connect(V5, "publisher");
        let neighbour = sim.connect(V5, "neighbour");
        sim.subscribe(neighbour, "calm", QoS::AtLeastOnce);
        let megabyte = vec![b'x'; 1 << 20];
        for n in 0..1024 {
            sim.send(publisher, &Packet::Publish(publish("flood", &megabyte, QoS::AtMostOnce, 0)));
            if n % 64 == 0 {
                sim.publish(publisher, "calm", "p", QoS::AtLeastOnce);
                assert_eq!(sim.payloads(neighbour).len(), 1, "a round trip completes meanwhile");
                sim.expect_alive(publisher);
            }
        }
        let dropped = sim.drops.iter().filter(|drop| drop.reason == DropReason::OutputFull).count();
        assert!(dropped >= 1022, "{dropped} of 1024 were dropped");
        assert_eq!(sim.stats().drops_total(), sim.drops.len() as u64, "every drop is counted");
        sim.wire(deaf).reads_at_most = None;
        sim.run();
        assert_eq!(sim.payloads(deaf).len(), 1024 - dropped, "what was kept arrives");
    }
}

#[test]
fn half_a_connect_costs_its_bytes_and_no_more_than_its_time() {
    let begun = raw_connect("MQTT", 4, 2, &raw_text("x".repeat(60_000)));
    let mut sim = Sim::new();
    let wires: Vec<usize> = (0..100).map(|_| sim.open()).collect();
    for wire in &wires {
        sim.send_bytes(*wire, &begun[..50_000]);
    }
    sim.advance(10_100);
    assert!(wires.iter().all(|wire| sim.is_closed(*wire)));
    assert_eq!(sim.stats().sessions, 0);
}

#[test]
fn a_packet_that_arrives_byte_by_byte_is_the_same_packet() {
    let version: ProtocolVersion = V5;
    let mut bytes = Vec::new();
    let long = "t".repeat(300);
    for packet in [
        noctule_testkit::sim::connect(version, "slow"),
        subscribe(1, &[(&long, QoS::AtLeastOnce)]),
        Packet::Publish(publish(&long, &[b'p'; 500], QoS::AtLeastOnce, 2)),
        Packet::PingReq,
    ] {
        packet.encode(version, &mut bytes).expect("it can be encoded");
    }
    let mut sim = Sim::new();
    let wire = sim.open();
    for byte in bytes {
        sim.send_bytes(wire, &[byte]);
    }
    let kinds: Vec<_> = sim.drain(wire).iter().map(|packet| packet.packet_type().name()).collect();
    assert_eq!(kinds, ["CONNACK", "SUBACK", "PUBLISH", "PUBACK", "PINGRESP"]);
}

/// Every mix of `a` and `+` over 14 levels: one publication visits all of their nodes.
#[test]
fn a_filter_bomb_costs_its_publisher_time_and_nobody_else() {
    let limits = Limits { match_visits_per_second_max: 100_000, ..Limits::default() };
    let mut sim = Sim::with_limits(limits);
    let bomber = sim.connect(V5, "bomber");
    let mixes = (0..1 << 14).map(|mix: u32| {
        let levels = (0..14).map(|level| if mix >> level & 1 == 0 { "a" } else { "+" });
        levels.collect::<Vec<_>>().join("/") + "/#"
    });
    assert_eq!(subscribe_all(&mut sim, bomber, mixes).0, 1 << 14);
    let bystander = sim.connect(V5, "bystander");
    sim.subscribe(bystander, "own", QoS::AtMostOnce);
    // The filters themselves have a price too.
    sim.advance(10_000);

    let before = sim.stats().publishes_received;
    for n in 0..20 {
        // A topic of its own each time, or the route would be searched for only once.
        let topic = ["a"; 14].join("/") + &format!("/{n}");
        sim.queue(bomber, &Packet::Publish(publish(&topic, b"", QoS::AtMostOnce, 0)));
    }
    sim.run();
    // Each visits some 32,000 nodes: a second's worth and one more are taken, the rest waits.
    assert_eq!(sim.stats().publishes_received - before, 4);
    assert_eq!(sim.publish(bystander, "own", "mine", QoS::AtMostOnce), ReasonCode::Success);
    assert_eq!(sim.payloads(bystander), ["mine"]);
    sim.advance(10_000);
    assert_eq!(sim.stats().publishes_received - before, 21, "nothing is lost");
}

#[test]
fn a_client_beyond_its_message_rate_is_read_later_and_loses_nothing() {
    let limits = Limits { messages_per_second_max: 10, ..Limits::default() };
    let mut sim = Sim::with_limits(limits);
    let client = sim.connect(V5, "fast");
    sim.subscribe(client, "t", QoS::AtMostOnce);
    for n in 0..40 {
        sim.queue(client, &Packet::Publish(publish("t", n.to_string().as_bytes(), QoS::AtMostOnce, 0)));
    }
    sim.run();
    assert_eq!(sim.payloads(client).len(), 11);
    sim.advance(1_000);
    assert_eq!(sim.payloads(client).len(), 10);
    sim.advance(2_000);
    assert_eq!(sim.payloads(client).last().map(String::as_str), Some("39"));
}

#[test]
fn a_client_without_a_session_is_refused_when_there_are_as_many_as_may_be() {
    for shards in 1..=3 {
        sessions_are_bounded_on(shards);
    }
}

/// The bound is for all shards together, however the client ids spread.
fn sessions_are_bounded_on(shards: u16) {
    let limits = Limits { sessions_max: 2, ..Limits::default() };
    let mut sim = Sim::with(SimOptions { limits, shards, ..SimOptions::default() });
    let away = ConnectOptions::durable(V5, "away", 100);
    let wire = sim.connect_with(&away);
    sim.cut(wire);
    sim.connect(V5, "here");
    let third = ConnectOptions { client_id: "third", ..ConnectOptions::default() };
    assert_eq!(sim.refusal(&third), ReasonCode::QuotaExceeded);
    // Who has a session comes back to it; what ends makes room.
    sim.connect_with(&away);
    sim.connect(V5, "here");
    let here = sim.connect(V5, "here");
    sim.cut(here);
    sim.connect_with(&third);
}

#[test]
fn publications_are_refused_while_memory_is_full_and_accepted_when_it_is_free_again() {
    let mut sim = Sim::with_limits(Limits { memory_bytes_max: 20_000, ..Limits::default() });
    let options = ConnectOptions::durable(V5, "away", 1000);
    let away = sim.connect_with(&options);
    sim.subscribe(away, "t", QoS::AtLeastOnce);
    sim.cut(away);
    let publisher = sim.connect(V5, "publisher");
    let before = sim.directory().memory.bytes();
    let payload = "x".repeat(1000);
    let codes: Vec<ReasonCode> =
        (0..20).map(|_| sim.publish(publisher, "t", &payload, QoS::AtLeastOnce)).collect();
    let accepted = codes.iter().take_while(|code| **code == ReasonCode::Success).count();
    assert!((8..16).contains(&accepted), "{accepted}");
    assert!(codes[accepted..].iter().all(|code| *code == ReasonCode::QuotaExceeded), "{codes:?}");
    assert_eq!(sim.drops.iter().filter(|drop| drop.reason == DropReason::MemoryFull).count(), 20 - accepted);
    let stranger = ConnectOptions { client_id: "stranger", ..ConnectOptions::default() };
    assert_eq!(sim.refusal(&stranger), ReasonCode::QuotaExceeded);

    let away = sim.connect_with(&options);
    assert_eq!(sim.deliveries(away).len(), accepted);
    // The simulator keeps every record, and a record refers to its publication.
    sim.records.clear();
    let queue = 64 * size_of::<noctule_session::Owed>() as u64;
    assert!(sim.directory().memory.bytes() <= before + queue, "what was delivered is given back");
    assert_eq!(sim.publish(publisher, "t", &payload, QoS::AtLeastOnce), ReasonCode::Success);
    for wire in [away, publisher] {
        sim.send(wire, &disconnect_with_expiry(ReasonCode::Success, 0));
    }
    sim.records.clear();
    sim.drops.clear();
    assert_eq!(sim.directory().memory.bytes(), 0, "all of it is given back");
}

/// What each receiver's queue takes counts too, not only the one publication that they share.
#[test]
fn the_queues_of_many_receivers_count_as_memory() {
    let limits = Limits { memory_bytes_max: 1 << 20, ..Limits::default() };
    let mut sim = Sim::with_limits(limits);
    for n in 0..100 {
        let name = format!("away-{n}");
        let away = sim.connect_with(&ConnectOptions::durable(V5, &name, 1000));
        sim.subscribe(away, "t", QoS::AtLeastOnce);
        sim.cut(away);
    }
    let publisher = sim.connect(V5, "publisher");
    let refused =
        (0..1000).find(|_| sim.publish(publisher, "t", "x", QoS::AtLeastOnce) == ReasonCode::QuotaExceeded);
    assert!(refused.is_some_and(|accepted| accepted < 300), "{refused:?}");
}

#[test]
fn wills_count_as_memory_and_are_refused_without_it() {
    let limits = Limits { memory_bytes_max: 1 << 20, ..Limits::default() };
    let mut sim = Sim::with_limits(limits);
    let payload = [b'w'; 60_000];
    let accepted = (0..100).take_while(|n| {
        let name = format!("client-{n}");
        let options = ConnectOptions::durable(V5, &name, u32::MAX);
        let last_word = Will { payload: &payload, ..will_after("will", "", u32::MAX) };
        let wire = sim.dial(&options.with_will(last_word));
        let is_let_in =
            matches!(sim.expect(wire), Packet::ConnAck(it) if it.reason_code == ReasonCode::Success);
        sim.cut(wire);
        is_let_in
    });
    assert!((14..18).contains(&accepted.count()));
    assert!(sim.directory().memory.bytes() <= 1 << 20);
}

#[test]
fn the_filters_of_a_session_are_bounded_in_bytes() {
    let limits = Limits { subscription_bytes_max: 100_000, ..Limits::default() };
    let mut sim = Sim::with_limits(limits);
    let client = sim.connect(V5, "client");
    let filters = (0..10).map(|n| format!("{n}/{}", "x".repeat(20_000)));
    assert_eq!(subscribe_all(&mut sim, client, filters), (4, 6));
    sim.send(client, &unsubscribe(9, &[&format!("0/{}", "x".repeat(20_000))]));
    sim.drain(client);
    assert_eq!(subscribe_all(&mut sim, client, [format!("7/{}", "x".repeat(20_000))].into_iter()), (1, 0));
}

/// A fan-out counts by its deliveries: after some thousands everything else waits for the next turn, so that
/// nobody waits longer for another client's publications.
#[test]
fn a_turn_is_bounded_by_the_deliveries_it_makes() {
    let (directory, mut fx) = (Directory::new::<Locks>(1), Effects::default());
    let config = ShardConfig { id: ShardId(0), shards: 1, seed: 1 };
    let mut shard = Shard::new(config, Arc::new(Limits::default()), Arc::new(AllowAll));
    let mut turn = Turn { now: Instant::from_millis(0), directory: &directory, fx: &mut fx };
    let encoded = |packet: &Packet<'_>| {
        let mut bytes = Vec::new();
        packet.encode(V5, &mut bytes).expect("it can be encoded");
        bytes
    };
    let mut ids = (0..101).map(|slot| ConnectionId { slot, generation: 1 });
    for id in ids.clone() {
        shard.open(id, "somewhere", false, &mut turn);
        shard.receive(id, &encoded(&noctule_testkit::sim::connect(V5, &id.slot.to_string())), &mut turn);
        shard.receive(id, &encoded(&subscribe(1, &[("t", QoS::AtMostOnce)])), &mut turn);
    }
    shard.end_turn(&mut Nowhere, &mut turn);
    let publications = encoded(&Packet::Publish(publish("t", b"", QoS::AtMostOnce, 0))).repeat(1000);
    let publisher = ids.next_back().expect("there are some");
    let received = shard.receive(publisher, &publications, &mut turn);
    assert_eq!(received.next, Next::Yield);
    let made = shard.stats().publishes_received * 101;
    assert!((10_000..30_000).contains(&made), "{made} deliveries in one turn");
}

/// A session with many subscriptions ends at once, and the index is told of it bit by bit.
#[test]
fn the_end_of_a_large_session_is_spread_over_turns() {
    let (directory, mut fx) = (Directory::new::<Locks>(1), Effects::default());
    let config = ShardConfig { id: ShardId(0), shards: 1, seed: 1 };
    let mut shard = Shard::new(config, Arc::new(Limits::default()), Arc::new(AllowAll));
    let mut turn = Turn { now: Instant::from_millis(0), directory: &directory, fx: &mut fx };
    let id = ConnectionId { slot: 0, generation: 1 };
    shard.open(id, "somewhere", false, &mut turn);
    let names: Vec<String> = (0..60_000).map(|n| n.to_string()).collect();
    let wanted: Vec<(&str, QoS)> = names.iter().map(|name| (name.as_str(), QoS::AtMostOnce)).collect();
    for packet in [noctule_testkit::sim::connect(V5, "large"), subscribe(1, &wanted)] {
        let mut bytes = Vec::new();
        packet.encode(V5, &mut bytes).expect("it can be encoded");
        shard.receive(id, &bytes, &mut turn);
        shard.end_turn(&mut Nowhere, &mut turn);
    }
    let len = || directory.filters.read(noctule_topic::FilterIndex::len);
    assert_eq!(len(), 60_000);
    shard.lost(id, "it broke", &mut turn);
    let mut turns = 0;
    while len() > 0 {
        let before = len();
        shard.end_turn(&mut Nowhere, &mut turn);
        assert!(before - len() <= 10_000, "{} in one turn", before - len());
        turns += 1;
        assert!(shard.next_timeout().is_some_and(|at| at <= turn.now) || len() == 0);
        shard.handle_timeouts(&mut turn);
    }
    assert!(turns > 6);
    assert_eq!((shard.stats().sessions, shard.stats().subscriptions), (0, 0));
}
