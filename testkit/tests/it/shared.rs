//! Shared subscriptions, for clients of every version.

use noctule_codec::{
    Packet, Properties, Property, ProtocolVersion, Publish, QoS, ReasonCode, SubscriptionOptions,
};
use noctule_session::{DropReason, Limits};
use noctule_testkit::sim::{
    ConnectOptions, EVERY_QOS, Random, Sim, SimOptions, VERSIONS, ack, ack_with, in_many_worlds, payloads,
    publish, texts, unsubscribe,
};
use std::collections::{BTreeMap, BTreeSet};

use ProtocolVersion::{V3_1_1, V5};
use QoS::{AtLeastOnce, AtMostOnce, ExactlyOnce};

fn durable(version: ProtocolVersion, client_id: &str) -> ConnectOptions<'_> {
    ConnectOptions::durable(version, client_id, 100)
}

/// A member of the group `$share/g/a` whose session outlives its connection by 100 s in 5.0.
fn member(sim: &mut Sim, version: ProtocolVersion, client_id: &str, qos: QoS) -> usize {
    let member = sim.connect_with(&durable(version, client_id));
    sim.subscribe(member, "$share/g/a", qos);
    member
}

fn publish_numbers(sim: &mut Sim, publisher: usize, numbers: std::ops::Range<u32>, qos: QoS) {
    for number in numbers {
        sim.publish(publisher, "a", &number.to_string(), qos);
    }
}

/// The packet ids of what came, which stays unacknowledged.
fn unanswered(sim: &mut Sim, wire: usize) -> Vec<Publish<'static>> {
    let publish = |packet| match packet {
        Packet::Publish(publish) => publish,
        packet => panic!("{packet:?} is no PUBLISH"),
    };
    sim.drain(wire).into_iter().map(publish).collect()
}

fn id(publish: &Publish<'_>) -> u16 {
    publish.packet_id.expect("above QoS 0").get()
}

#[test]
fn a_group_shares_its_messages_evenly() {
    for qos in EVERY_QOS {
        in_many_worlds(10, |options| {
            let mut sim = Sim::with(options);
            let members = VERSIONS
                .map(|version| member(&mut sim, version, &format!("member {version:?}"), ExactlyOnce));
            let publishers = [sim.connect(V5, "one"), sim.connect(V3_1_1, "two")];
            for number in 0..30 {
                sim.publish(publishers[number % 2], "a", &number.to_string(), qos);
            }
            let mut all = Vec::new();
            for member in members {
                let deliveries = sim.deliveries(member);
                assert_eq!(deliveries.len(), 10);
                assert!(deliveries.iter().all(|publish| publish.qos == qos && !publish.dup));
                all.extend(payloads(&deliveries));
            }
            assert_eq!(all.into_iter().collect::<BTreeSet<_>>().len(), 30);
        });
    }
}

#[test]
fn mqtt5_4_8_2_3_the_granted_qos_of_the_member_counts() {
    for version in VERSIONS {
        for granted in EVERY_QOS {
            let mut sim = Sim::new();
            let member = member(&mut sim, version, "member", granted);
            let publisher = sim.connect(V5, "publisher");
            sim.publish(publisher, "a", "x", ExactlyOnce);
            let deliveries = sim.deliveries(member);
            assert_eq!((deliveries.len(), deliveries[0].qos), (1, granted));
        }
    }
}

#[test]
fn each_matching_group_and_each_other_subscription_gets_its_own_copy() {
    in_many_worlds(5, |options| {
        let mut sim = Sim::with(options);
        let client = sim.connect(V5, "client");
        let filters = ["$share/g/a/b", "$share/h/a/b", "$share/g/a/+", "$share/g/#", "a/b", "#"];
        for filter in filters {
            sim.subscribe(client, filter, AtLeastOnce);
        }
        let other = sim.connect(V3_1_1, "other");
        sim.subscribe(other, "$share/i/+/b", AtLeastOnce);
        let publisher = sim.connect(V5, "publisher");
        sim.publish(publisher, "a/b", "x", AtLeastOnce);
        assert_eq!(texts(&sim.deliveries(client)), [("a/b", "x"); 5], "four groups, and one for the rest");
        assert_eq!(texts(&sim.deliveries(other)), [("a/b", "x")]);
    });
}

/// Bug 22 of the list: emqx 5063.
#[test]
fn bug_22_a_member_that_has_gone_gets_nothing_and_nothing_is_lost() {
    for ends_by in ["a cut", "DISCONNECT", "UNSUBSCRIBE", "a clean start"] {
        in_many_worlds(5, |options| {
            let mut sim = Sim::with(options);
            let stays = member(&mut sim, V5, "stays", AtLeastOnce);
            let goes = sim.connect(V5, "goes");
            sim.subscribe(goes, "$share/g/a", AtLeastOnce);
            let publisher = sim.connect(V5, "publisher");
            publish_numbers(&mut sim, publisher, 0..10, AtLeastOnce);
            assert_eq!((sim.deliveries(stays).len(), sim.deliveries(goes).len()), (5, 5));
            match ends_by {
                "a cut" => sim.cut(goes),
                "DISCONNECT" => {
                    let (reason_code, properties) = (ReasonCode::Success, Properties::EMPTY);
                    let disconnect = noctule_codec::Disconnect { reason_code, properties };
                    sim.send(goes, &Packet::Disconnect(disconnect));
                }
                "UNSUBSCRIBE" => {
                    sim.send(goes, &unsubscribe(1, &["$share/g/a"]));
                    assert!(matches!(sim.expect(goes), Packet::UnsubAck(_)));
                }
                _ => drop(sim.connect(V5, "goes")),
            }
            publish_numbers(&mut sim, publisher, 10..40, AtLeastOnce);
            assert_eq!(sim.deliveries(stays).len(), 30, "{ends_by}");
        });
    }
}

#[test]
fn messages_go_to_members_that_are_online() {
    for version in VERSIONS {
        let mut sim = Sim::new();
        let stays = member(&mut sim, version, "stays", AtLeastOnce);
        let away = member(&mut sim, version, "away", AtLeastOnce);
        let publisher = sim.connect(V5, "publisher");
        sim.cut(away);
        publish_numbers(&mut sim, publisher, 0..10, AtLeastOnce);
        assert_eq!(sim.deliveries(stays).len(), 10);
        let away = sim.connect_with(&durable(version, "away"));
        assert_eq!(sim.deliveries(away), []);
        publish_numbers(&mut sim, publisher, 10..20, AtLeastOnce);
        assert_eq!((sim.deliveries(stays).len(), sim.deliveries(away).len()), (5, 5));
    }
}

#[test]
fn while_all_members_are_offline_their_group_keeps_qos_1_and_2() {
    for version in VERSIONS {
        in_many_worlds(5, |options| {
            let mut sim = Sim::with(options);
            let first = member(&mut sim, version, "first", ExactlyOnce);
            let second = member(&mut sim, version, "second", ExactlyOnce);
            sim.cut(first);
            sim.cut(second);
            let publisher = sim.connect(V5, "publisher");
            for (number, qos) in EVERY_QOS.into_iter().cycle().take(9).enumerate() {
                sim.publish(publisher, "a", &number.to_string(), qos);
            }
            let second = sim.connect_with(&durable(version, "second"));
            let deliveries = sim.deliveries(second);
            let of = |qos| {
                payloads(&deliveries.iter().filter(|publish| publish.qos == qos).cloned().collect::<Vec<_>>())
            };
            assert_eq!((of(AtLeastOnce), of(ExactlyOnce)), (vec!["1", "4", "7"], vec!["2", "5", "8"]));
            assert!(deliveries.iter().all(|publish| !publish.dup));
            let first = sim.connect_with(&durable(version, "first"));
            assert_eq!(sim.deliveries(first), []);
        });
    }
}

#[test]
fn a_new_member_is_served_what_waits_for_its_group() {
    for qos in [AtMostOnce, AtLeastOnce, ExactlyOnce] {
        in_many_worlds(5, |options| {
            let mut sim = Sim::with(options);
            let away = member(&mut sim, V5, "away", ExactlyOnce);
            sim.cut(away);
            let publisher = sim.connect(V5, "publisher");
            publish_numbers(&mut sim, publisher, 0..50, ExactlyOnce);
            let new = sim.connect(V3_1_1, "new");
            sim.subscribe(new, "$share/g/a", qos);
            assert_eq!(sim.deliveries(new).len(), 50, "{qos:?}");
        });
    }
}

#[test]
fn a_member_with_a_full_window_is_passed_over_and_asks_again_when_it_has_room() {
    in_many_worlds(10, |options| {
        let mut sim = Sim::with(options);
        let mut members = Vec::new();
        for client_id in ["one", "two", "three"] {
            let options = durable(V5, client_id).with(Property::ReceiveMaximum(2));
            let member = sim.connect_with(&options);
            sim.subscribe(member, "$share/g/a", AtLeastOnce);
            members.push(member);
        }
        let publisher = sim.connect(V5, "publisher");
        publish_numbers(&mut sim, publisher, 0..20, AtLeastOnce);
        let mut got = BTreeSet::new();
        for &member in &members {
            let window = unanswered(&mut sim, member);
            assert_eq!(window.len(), 2);
            got.extend(payloads(&window));
        }
        // The first two never answer; the third serves all that waits.
        let third = members[2];
        sim.cut(third);
        let third = sim.connect_with(&durable(V5, "three").with(Property::ReceiveMaximum(2)));
        got.extend(payloads(&sim.deliveries(third)));
        assert_eq!(got.len(), 20);
        assert_eq!(sim.drops, []);
    });
}

#[test]
fn a_member_that_does_not_read_is_passed_over() {
    let limits = Limits { output_bytes_max: 1000, ..Limits::default() };
    let mut sim = Sim::with_limits(limits);
    let slow = member(&mut sim, V5, "slow", AtLeastOnce);
    let fast = member(&mut sim, V5, "fast", AtLeastOnce);
    sim.wire(slow).reads_at_most = Some(0);
    let publisher = sim.connect(V5, "publisher");
    publish_numbers(&mut sim, publisher, 0..100, AtLeastOnce);
    let got = sim.deliveries(fast).len();
    assert!(got > 85, "{got}");
    sim.wire(slow).reads_at_most = None;
    sim.run();
    assert_eq!(sim.deliveries(slow).len() + got, 100);
}

#[test]
fn the_backlog_of_a_group_is_bounded_like_a_queue() {
    let by_count = Limits { queue_messages_max: 5, ..Limits::default() };
    let by_bytes = Limits { queue_bytes_max: 5 * (128 + 2) + 1, ..Limits::default() };
    for limits in [by_count, by_bytes] {
        let mut sim = Sim::with_limits(limits);
        let away = member(&mut sim, V5, "away", AtLeastOnce);
        sim.cut(away);
        let publisher = sim.connect(V5, "publisher");
        publish_numbers(&mut sim, publisher, 0..8, AtLeastOnce);
        assert_eq!(sim.drops.iter().filter(|drop| drop.reason == DropReason::QueueFull).count(), 3);
        let away = sim.connect_with(&durable(V5, "away"));
        assert_eq!(payloads(&sim.deliveries(away)), ["0", "1", "2", "3", "4"]);
    }
}

#[test]
fn a_message_expires_in_the_backlog() {
    let mut sim = Sim::new();
    let away = member(&mut sim, V5, "away", AtLeastOnce);
    sim.cut(away);
    let publisher = sim.connect(V5, "publisher");
    for (payload, seconds) in [("short", 5), ("long", 60)] {
        let properties = Properties::new().with(Property::MessageExpiryInterval(seconds));
        let publish = Publish { properties, ..publish("a", payload.as_bytes(), AtLeastOnce, 1) };
        sim.exchange_publish(publisher, publish);
    }
    sim.advance(6_000);
    let away = sim.connect_with(&durable(V5, "away"));
    let deliveries = sim.deliveries(away);
    assert_eq!(payloads(&deliveries), ["long"]);
    assert_eq!(deliveries[0].properties.message_expiry_interval(), Some(54));
    assert_eq!(sim.drops[0].reason, DropReason::Expired);
}

#[test]
fn mqtt5_4_8_2_4_a_begun_delivery_is_finished_with_the_member_that_returns() {
    for version in VERSIONS {
        for qos in [AtLeastOnce, ExactlyOnce] {
            let mut sim = Sim::new();
            let away = member(&mut sim, version, "away", qos);
            let publisher = sim.connect(V5, "publisher");
            sim.publish(publisher, "a", "begun", qos);
            let first = unanswered(&mut sim, away);
            let other = member(&mut sim, V5, "other", qos);
            sim.cut(away);
            assert_eq!(sim.drain(other), [], "it stays while its session lives");
            let away = sim.connect_with(&durable(version, "away"));
            let again = sim.expect_publish(away);
            assert_eq!(
                (again.payload, again.dup, again.packet_id),
                (b"begun".as_slice(), true, first[0].packet_id)
            );
        }
    }
}

#[test]
fn sent_qos_1_moves_to_another_member_when_its_session_ends() {
    in_many_worlds(5, |options| {
        for ends_at_once in [false, true] {
            let mut sim = Sim::with(options.clone());
            let away = match ends_at_once {
                true => sim.connect(V5, "away"),
                false => sim.connect_with(&durable(V5, "away")),
            };
            sim.subscribe(away, "$share/g/a", AtLeastOnce);
            let publisher = sim.connect(V5, "publisher");
            publish_numbers(&mut sim, publisher, 0..3, AtLeastOnce);
            assert_eq!(unanswered(&mut sim, away).len(), 3);
            let other = member(&mut sim, V3_1_1, "other", AtLeastOnce);
            sim.cut(away);
            if !ends_at_once {
                assert_eq!(sim.drain(other), []);
                sim.advance(101_000);
            }
            let moved = sim.deliveries(other);
            assert_eq!(payloads(&moved), ["0", "1", "2"]);
            assert!(moved.iter().all(|publish| !publish.dup), "to this member it is the first time");
        }
    });
}

#[test]
fn mqtt5_4_8_2_5_begun_qos_2_never_moves() {
    for has_pubrec in [false, true] {
        let mut sim = Sim::new();
        let away = sim.connect(V5, "away");
        sim.subscribe(away, "$share/g/a", ExactlyOnce);
        let publisher = sim.connect(V5, "publisher");
        sim.publish(publisher, "a", "begun", ExactlyOnce);
        let first = sim.expect_publish(away);
        if has_pubrec {
            sim.send(away, &Packet::PubRec(ack(id(&first))));
        }
        let other = member(&mut sim, V5, "other", ExactlyOnce);
        sim.cut(away);
        assert_eq!(sim.drain(other), []);
        let ended = sim.drops.iter().filter(|drop| drop.reason == DropReason::SessionEnded).count();
        assert_eq!(ended, usize::from(!has_pubrec), "after PUBREC the message is the client's");
    }
}

#[test]
fn mqtt5_4_8_2_6_an_error_acknowledgement_ends_the_message_for_the_group() {
    for (qos, answer) in [
        (AtLeastOnce, Packet::PubAck as fn(_) -> Packet<'static>),
        (ExactlyOnce, Packet::PubRec as fn(_) -> Packet<'static>),
    ] {
        let mut sim = Sim::new();
        let refuses = member(&mut sim, V5, "refuses", qos);
        let publisher = sim.connect(V5, "publisher");
        sim.publish(publisher, "a", "x", qos);
        let first = sim.expect_publish(refuses);
        let other = member(&mut sim, V5, "other", qos);
        sim.send(refuses, &answer(ack_with(id(&first), ReasonCode::UnspecifiedError)));
        sim.cut(refuses);
        sim.advance(200_000);
        assert_eq!(sim.drain(other), []);
        assert_eq!(sim.drops.len(), 1);
        assert_eq!(sim.drops[0].reason, DropReason::RejectedByClient);
    }
}

#[test]
fn a_group_ends_with_its_last_member_and_so_does_its_backlog() {
    let mut sim = Sim::with(SimOptions { shards: 3, ..SimOptions::default() });
    let away = member(&mut sim, V5, "away", AtLeastOnce);
    sim.cut(away);
    let publisher = sim.connect(V5, "publisher");
    publish_numbers(&mut sim, publisher, 0..4, AtLeastOnce);
    sim.advance(101_000);
    assert!(sim.directory().groups.read(noctule_engine::Groups::is_empty));
    assert_eq!(sim.drops.iter().filter(|drop| drop.reason == DropReason::GroupEnded).count(), 4);
    assert_eq!(sim.publish(publisher, "a", "x", AtLeastOnce), ReasonCode::NoMatchingSubscribers);
    let new = member(&mut sim, V5, "new", AtLeastOnce);
    assert_eq!(sim.drain(new), []);
}

#[test]
fn replacing_a_shared_subscription_keeps_the_membership() {
    let mut sim = Sim::new();
    let one = member(&mut sim, V5, "one", AtLeastOnce);
    let two = member(&mut sim, V5, "two", AtLeastOnce);
    let options =
        SubscriptionOptions { qos: AtMostOnce, retain_as_published: true, ..SubscriptionOptions::default() };
    sim.subscribe_with(one, "$share/g/a", options, Some(9));
    let publisher = sim.connect(V5, "publisher");
    for number in 0..10 {
        sim.retain(publisher, "a", &number.to_string(), AtLeastOnce);
    }
    let of_one = sim.deliveries(one);
    assert_eq!((of_one.len(), sim.deliveries(two).len()), (5, 5));
    for publish in of_one {
        assert_eq!((publish.qos, publish.retain), (AtMostOnce, true));
        assert_eq!(publish.properties.subscription_identifiers().collect::<Vec<_>>(), [9]);
    }
}

#[test]
fn filters_and_names_of_groups_are_taken_exactly() {
    let mut sim = Sim::new();
    let client = sim.connect(V5, "client");
    for filter in ["$share/g/a", "$share/G/a", "$share/g/a/", "$share/g//a"] {
        sim.subscribe(client, filter, AtMostOnce);
    }
    assert_eq!(sim.directory().groups.read(noctule_engine::Groups::len), 4);
    let publisher = sim.connect(V5, "publisher");
    for (topic, copies) in [("a", 2), ("a/", 1), ("/a", 1)] {
        sim.publish(publisher, topic, "x", AtMostOnce);
        assert_eq!(sim.deliveries(client).len(), copies, "{topic}");
    }
}

#[test]
fn whatever_members_do_every_message_reaches_one_or_is_accounted_for() {
    for qos in [AtLeastOnce, ExactlyOnce] {
        in_many_worlds(40, |options| {
            let mut random = Random::new(options.seed + 5);
            let mut sim = Sim::with(options);
            let names = ["one", "two", "three"];
            let connect = |sim: &mut Sim, random: &mut Random, place: usize| {
                let receive_maximum = 1 + u16::try_from(random.below(3)).expect("small");
                let options = durable(V5, names[place]).with(Property::ReceiveMaximum(receive_maximum));
                sim.connect_with(&options)
            };
            let mut members: Vec<usize> = (0..3).map(|place| connect(&mut sim, &mut random, place)).collect();
            for &member in &members {
                sim.subscribe(member, "$share/g/a", qos);
            }
            let publisher = sim.connect(V5, "publisher");
            let mut got: BTreeMap<&str, usize> = BTreeMap::new();
            let take = |sim: &mut Sim, member: usize, most: usize, got: &mut BTreeMap<&str, usize>| {
                for _ in 0..most {
                    match sim.receive(member) {
                        Some(Packet::Publish(publish)) => {
                            // A repetition is the same message, which this client knows by its id.
                            if !publish.dup {
                                *got.entry(str::from_utf8(publish.payload).expect("text")).or_default() += 1;
                            }
                            sim.acknowledge(member, &publish);
                        }
                        Some(Packet::PubRel(released)) => {
                            sim.queue(member, &Packet::PubComp(ack(released.packet_id.get())));
                        }
                        _ => {}
                    }
                }
                sim.run();
            };
            for number in 0..80_u32 {
                sim.publish(publisher, "a", &number.to_string(), qos);
                let place = random.below(3);
                match random.below(6) {
                    0 => {
                        // What has come is read before the connection breaks, so no first copy is lost.
                        take(&mut sim, members[place], 50, &mut got);
                        sim.cut(members[place]);
                        take(&mut sim, members[place], 50, &mut got);
                        members[place] = connect(&mut sim, &mut random, place);
                    }
                    _ => take(&mut sim, members[place], random.below(4), &mut got),
                }
            }
            for _ in 0..100 {
                for &member in &members {
                    take(&mut sim, member, 50, &mut got);
                }
            }
            assert_eq!(sim.drops, []);
            let expected: BTreeMap<String, usize> =
                (0..80).map(|number: u32| (number.to_string(), 1)).collect();
            assert_eq!(
                got.into_iter().map(|(text, count)| (text.to_owned(), count)).collect::<BTreeMap<_, _>>(),
                expected
            );
        });
    }
}
