//! What is promised outlives the broker: what waits for the disk before it leaves, and what is there afterwards.

use noctule_codec::{Packet, PacketId, Properties, Property, ProtocolVersion, Publish, QoS, ReasonCode};
use noctule_codec::{SubscriptionOptions, Will};
use noctule_session::Limits;
use noctule_testkit::sim::{
    ConnectOptions, Crash, Durability, Sim, SimOptions, VERSIONS, ack, connect, disconnect,
    disconnect_with_expiry, payloads, publish, subscribe, subscribe_with, texts, will, will_after,
};

use ProtocolVersion::{V3_1_1, V5};
use QoS::{AtLeastOnce, AtMostOnce, ExactlyOnce};

const CRASHES: [Crash; 3] = [Crash::Kill, Crash::PowerCut, Crash::Stop];

fn options(seed: u64, shards: u16) -> SimOptions {
    SimOptions { seed, shards, shuffled: seed > 0, durability: Durability::Disk, ..SimOptions::default() }
}

/// A broker with a journal, in order and on one shard.
fn sim() -> Sim {
    Sim::with(options(0, 1))
}

/// Plays a story with every kind of end, on one and three shards, in order and shuffled.
fn with_every_end(story: impl Fn(&mut Sim, Crash)) {
    for crash in CRASHES {
        for (seed, shards) in [(0, 1), (0, 3), (1, 1), (2, 3)] {
            story(&mut Sim::with(options(seed, shards)), crash);
        }
    }
}

/// A client whose session outlives its connection, connected.
#[track_caller]
fn durable(sim: &mut Sim, client_id: &str) -> usize {
    sim.connect_with(&ConnectOptions::durable(V5, client_id, 3600))
}

/// The same again, whose session must be there.
#[track_caller]
fn resume(sim: &mut Sim, client_id: &str) -> usize {
    let (wire, connack) = sim.connack(&ConnectOptions::durable(V5, client_id, 3600));
    assert!(connack.session_present, "the session of {client_id} is lost");
    wire
}

/// A durable client that has subscribed and gone.
#[track_caller]
fn away(sim: &mut Sim, client_id: &str, filter: &str, qos: QoS) {
    let wire = durable(sim, client_id);
    sim.subscribe(wire, filter, qos);
    sim.send(wire, &disconnect(ReasonCode::NORMAL_DISCONNECTION));
}

/// Others write so much that what stands in the journal is said again, and again.
#[track_caller]
fn keep_busy(sim: &mut Sim) {
    let sensor = sim.connect(V5, "busy sensor");
    let busy = durable(sim, "busy");
    sim.subscribe(busy, "new", ExactlyOnce);
    for _ in 0..100 {
        sim.publish(sensor, "new", &".".repeat(200), ExactlyOnce);
        assert_eq!(sim.deliveries(busy).len(), 1);
    }
    assert!(sim.segments_freed() > 2);
}

fn retained<'a>(topic: &'a str, payload: &'a [u8]) -> Publish<'a> {
    Publish { retain: true, ..publish(topic, payload, AtLeastOnce, 9) }
}

mod waiting {
    use super::*;

    #[test]
    fn puback_leaves_when_the_disk_has_the_message() {
        let mut sim = sim();
        away(&mut sim, "panel", "a/#", AtLeastOnce);
        let sensor = sim.connect(V5, "sensor");
        sim.hold_journal(true);
        sim.send(sensor, &Packet::Publish(publish("a/x", b"1", AtLeastOnce, 1)));
        assert_eq!(sim.receive(sensor), None);
        sim.hold_journal(false);
        assert!(matches!(sim.expect(sensor), Packet::PubAck(_)));
    }

    #[test]
    fn puback_leaves_at_once_where_nothing_has_to_be_recorded() {
        let mut sim = sim();
        let panel = sim.connect(V5, "panel");
        sim.subscribe(panel, "a/#", AtLeastOnce);
        away(&mut sim, "archive", "b/#", AtMostOnce);
        let sensor = sim.connect(V5, "sensor");
        sim.hold_journal(true);
        for topic in ["a/x", "b/x", "c/x"] {
            sim.publish(sensor, topic, "1", AtLeastOnce);
        }
    }

    #[test]
    fn pubacks_keep_their_order() {
        let mut sim = sim();
        away(&mut sim, "panel", "a/#", AtLeastOnce);
        let sensor = sim.connect(V5, "sensor");
        sim.hold_journal(true);
        sim.send(sensor, &Packet::Publish(publish("a/x", b"1", AtLeastOnce, 1)));
        sim.send(sensor, &Packet::Publish(publish("b/x", b"2", AtLeastOnce, 2)));
        assert_eq!(sim.receive(sensor), None);
        sim.hold_journal(false);
        for id in [1, 2] {
            assert!(matches!(sim.expect(sensor), Packet::PubAck(ack) if ack.packet_id.get() == id));
        }
    }

    #[test]
    fn pubrec_and_pubcomp_leave_when_the_disk_has_the_id_and_its_end() {
        let mut sim = sim();
        let sensor = durable(&mut sim, "sensor");
        let message = || Packet::Publish(publish("a/x", b"1", ExactlyOnce, 7));
        sim.hold_journal(true);
        sim.send(sensor, &message());
        // The same once more waits for the same record.
        sim.send(sensor, &message());
        assert_eq!(sim.receive(sensor), None);
        sim.hold_journal(false);
        assert!(matches!(sim.drain(sensor)[..], [Packet::PubRec(_), Packet::PubRec(_)]));

        sim.hold_journal(true);
        sim.send(sensor, &Packet::PubRel(ack(7)));
        sim.send(sensor, &Packet::PubRel(ack(7)));
        assert_eq!(sim.receive(sensor), None);
        sim.hold_journal(false);
        assert!(matches!(sim.drain(sensor)[..], [Packet::PubComp(_), Packet::PubComp(_)]));
    }

    #[test]
    fn a_delivery_at_qos_2_leaves_when_the_disk_has_its_id() {
        for (qos, leaves) in [(AtMostOnce, true), (AtLeastOnce, true), (ExactlyOnce, false)] {
            let mut sim = sim();
            let panel = durable(&mut sim, "panel");
            sim.subscribe(panel, "#", ExactlyOnce);
            let sensor = sim.connect(V5, "sensor");
            sim.hold_journal(true);
            let id = if qos == AtMostOnce { 0 } else { 1 };
            sim.send(sensor, &Packet::Publish(publish("a", b"1", qos, id)));
            assert_eq!(!sim.payloads(panel).is_empty(), leaves, "{qos:?}");
            sim.hold_journal(false);
            assert_eq!(!sim.payloads(panel).is_empty(), !leaves, "{qos:?}");
        }
    }

    #[test]
    fn what_follows_a_delivery_that_waits_keeps_behind_it() {
        let mut sim = sim();
        let panel = durable(&mut sim, "panel");
        sim.subscribe(panel, "#", ExactlyOnce);
        let sensor = sim.connect(V5, "sensor");
        sim.hold_journal(true);
        sim.send(sensor, &Packet::Publish(publish("a", b"1", ExactlyOnce, 1)));
        sim.send(sensor, &Packet::Publish(publish("a", b"2", AtMostOnce, 0)));
        assert_eq!(sim.payloads(panel), [""; 0]);
        sim.hold_journal(false);
        assert_eq!(sim.payloads(panel), ["1", "2"]);
    }

    #[test]
    fn pubrel_leaves_when_the_disk_has_the_pubrec() {
        let mut sim = sim();
        let panel = durable(&mut sim, "panel");
        sim.subscribe(panel, "#", ExactlyOnce);
        let sensor = sim.connect(V5, "sensor");
        sim.publish(sensor, "a", "1", ExactlyOnce);
        let id = sim.expect_publish(panel).packet_id.expect("QoS 2").get();
        sim.hold_journal(true);
        sim.send(panel, &Packet::PubRec(ack(id)));
        assert_eq!(sim.receive(panel), None);
        sim.hold_journal(false);
        assert!(matches!(sim.expect(panel), Packet::PubRel(released) if released.packet_id.get() == id));
    }

    #[test]
    fn suback_unsuback_and_connack_of_a_durable_session_wait() {
        let mut sim = sim();
        let wire = sim.open();
        sim.hold_journal(true);
        sim.send(wire, &Packet::Connect(ConnectOptions::durable(V5, "c", 60).packet()));
        assert_eq!(sim.receive(wire), None);
        sim.hold_journal(false);
        assert!(matches!(sim.expect(wire), Packet::ConnAck(_)));
        sim.hold_journal(true);
        sim.send(wire, &subscribe(1, &[("a", AtLeastOnce)]));
        assert_eq!(sim.receive(wire), None);
        sim.hold_journal(false);
        assert!(matches!(sim.expect(wire), Packet::SubAck(_)));
        sim.hold_journal(true);
        sim.send(wire, &noctule_testkit::sim::unsubscribe(2, &["a"]));
        assert_eq!(sim.receive(wire), None);
        sim.hold_journal(false);
        assert!(matches!(sim.expect(wire), Packet::UnsubAck(_)));
    }

    #[test]
    fn clean_sessions_wait_for_nothing() {
        for version in VERSIONS {
            let mut sim = sim();
            sim.hold_journal(true);
            let wire = sim.open();
            sim.send(wire, &connect(version, "c"));
            assert!(matches!(sim.expect(wire), Packet::ConnAck(_)));
            sim.subscribe(wire, "a", ExactlyOnce);
            let sensor = sim.connect(version, "sensor");
            sim.publish(sensor, "a", "1", ExactlyOnce);
            assert_eq!(payloads(&sim.deliveries(wire)), ["1"]);
        }
    }

    #[test]
    fn connack_without_a_session_waits_until_the_disk_knows_of_its_end() {
        for version in VERSIONS {
            let mut sim = sim();
            let wire = sim.connect_with(&ConnectOptions::durable(version, "c", 60));
            sim.subscribe(wire, "a", AtLeastOnce);
            sim.hold_journal(true);
            let clean = ConnectOptions { version, client_id: "c", ..ConnectOptions::default() };
            let first = sim.dial(&clean);
            assert_eq!(sim.receive(first), None);
            // Nor does the next one hear of it earlier, though it finds no session.
            sim.cut(first);
            let second = sim.dial(&clean);
            assert_eq!(sim.receive(second), None);
            sim.connect(version, "somebody else");
            sim.hold_journal(false);
            assert!(matches!(sim.expect(second), Packet::ConnAck(_)));
            sim.crash_and_restart(Crash::PowerCut);
            assert_eq!(sim.sessions().count(), 0);
        }
    }

    #[test]
    fn connack_of_a_client_with_a_will_waits_for_the_will() {
        let mut sim = sim();
        sim.hold_journal(true);
        let options = ConnectOptions { client_id: "c", ..ConnectOptions::default() };
        let wire = sim.dial(&options.with_will(will("w", "gone")));
        assert_eq!(sim.receive(wire), None);
        sim.hold_journal(false);
        assert!(matches!(sim.expect(wire), Packet::ConnAck(_)));
    }

    #[test]
    fn a_will_leaves_when_the_disk_knows_that_it_has() {
        let mut sim = sim();
        let watcher = sim.watch("w");
        let options = ConnectOptions { client_id: "c", ..ConnectOptions::default() };
        let wire = sim.connect_with(&options.with_will(will("w", "gone")));
        sim.hold_journal(true);
        sim.cut(wire);
        assert_eq!(sim.receive(watcher), None);
        sim.hold_journal(false);
        assert_eq!(sim.payloads(watcher), ["gone"]);
    }
}

mod sessions {
    use super::*;

    #[test]
    fn an_acknowledged_message_is_there_after_every_end() {
        with_every_end(|sim, crash| {
            away(sim, "panel", "a/+", ExactlyOnce);
            let sensor = sim.connect(V5, "sensor");
            sim.publish(sensor, "a/1", "one", AtLeastOnce);
            sim.publish(sensor, "a/2", "two", ExactlyOnce);
            sim.crash_and_restart(crash);
            let panel = resume(sim, "panel");
            let deliveries = sim.deliveries(panel);
            assert_eq!(texts(&deliveries), [("a/1", "one"), ("a/2", "two")]);
            assert!(deliveries.iter().all(|publish| !publish.dup), "they were surely never sent");
        });
    }

    #[test]
    fn a_message_keeps_its_properties() {
        with_every_end(|sim, crash| {
            away(sim, "panel", "a", AtLeastOnce);
            let sensor = sim.connect(V5, "sensor");
            let properties = Properties::new()
                .with(Property::ContentType("text/plain"))
                .with(Property::ResponseTopic("answer"))
                .with(Property::CorrelationData(b"17"))
                .with(Property::UserProperty("k", "v"))
                .into_owned();
            let message = Publish { properties: properties.clone(), ..publish("a", b"1", AtLeastOnce, 1) };
            sim.exchange_publish(sensor, message);
            sim.crash_and_restart(crash);
            let panel = resume(sim, "panel");
            assert_eq!(sim.expect_publish(panel).properties.as_bytes(), properties.as_bytes());
        });
    }

    #[test]
    fn subscriptions_keep_their_options() {
        with_every_end(|sim, crash| {
            let panel = durable(sim, "panel");
            let own =
                SubscriptionOptions { qos: AtLeastOnce, no_local: true, ..SubscriptionOptions::default() };
            sim.subscribe_with(panel, "a/#", own, Some(7));
            let as_published =
                SubscriptionOptions { qos: ExactlyOnce, retain_as_published: true, ..Default::default() };
            sim.subscribe_with(panel, "b/#", as_published, Some(8));
            sim.subscribe(panel, "c", AtLeastOnce);
            sim.send(panel, &noctule_testkit::sim::unsubscribe(1, &["c"]));
            sim.crash_and_restart(crash);

            let panel = resume(sim, "panel");
            sim.publish(panel, "a/own", "1", AtLeastOnce);
            let sensor = sim.connect(V5, "sensor");
            sim.publish(sensor, "c", "2", AtLeastOnce);
            sim.publish(sensor, "a/other", "3", ExactlyOnce);
            sim.retain(sensor, "b/x", "4", ExactlyOnce);
            let deliveries = sim.deliveries(panel);
            assert_eq!(texts(&deliveries), [("a/other", "3"), ("b/x", "4")]);
            let seen = deliveries.iter().map(|publish| {
                (publish.qos, publish.retain, publish.properties.subscription_identifiers().next())
            });
            let expected = [(AtLeastOnce, false, Some(7)), (ExactlyOnce, true, Some(8))];
            assert_eq!(seen.collect::<Vec<_>>(), expected);
        });
    }

    #[test]
    fn a_session_that_ended_stays_ended() {
        with_every_end(|sim, crash| {
            away(sim, "panel", "a", AtLeastOnce);
            let clean = ConnectOptions { client_id: "panel", ..ConnectOptions::default() };
            let wire = sim.connect_with(&clean);
            sim.send(wire, &disconnect(ReasonCode::NORMAL_DISCONNECTION));
            let brief = durable(sim, "brief");
            sim.send(brief, &disconnect_with_expiry(ReasonCode::Success, 0));
            sim.crash_and_restart(crash);
            assert_eq!(sim.sessions().count(), 0);
            let (_, connack) = sim.connack(&ConnectOptions::durable(V5, "panel", 60));
            assert!(!connack.session_present);
        });
    }

    #[test]
    fn sessions_expire_while_the_broker_is_down() {
        with_every_end(|sim, crash| {
            for (client_id, seconds) in [("short", 10), ("long", 1000)] {
                sim.connect_with(&ConnectOptions::durable(V5, client_id, seconds));
            }
            let gone = sim.connect_with(&ConnectOptions::durable(V5, "gone", 20));
            sim.cut(gone);
            sim.advance(5_000);
            sim.crash(crash);
            sim.advance(16_000);
            sim.restart().expect("it can be read");
            sim.run();
            let mut left: Vec<_> = sim.sessions().map(|session| session.client_id.to_string()).collect();
            left.sort_unstable();
            assert_eq!(left, ["long"]);
        });
    }

    #[test]
    fn a_clock_that_was_set_back_between_two_runs_counts_as_no_time() {
        with_every_end(|sim, crash| {
            sim.connect_with(&ConnectOptions::durable(V5, "c", 20));
            sim.crash(crash);
            sim.advance(1_000);
            sim.set_clock_back(3_600_000);
            sim.restart().expect("it can be read");
            sim.advance(19_000);
            assert_eq!(sim.sessions().count(), 1);
            sim.advance(1_500);
            assert_eq!(sim.sessions().count(), 0);
        });
    }

    #[test]
    fn expiry_counts_from_the_first_of_two_crashes() {
        with_every_end(|sim, crash| {
            sim.connect_with(&ConnectOptions::durable(V5, "c", 20));
            for seconds in [15, 10] {
                sim.crash(crash);
                sim.advance(seconds * 1000);
                sim.restart().expect("it can be read");
                sim.run();
            }
            assert_eq!(sim.sessions().count(), 0);
        });
    }

    #[test]
    fn a_message_expires_while_the_broker_is_down_unless_it_may_have_been_sent() {
        with_every_end(|sim, crash| {
            away(sim, "away", "a", AtLeastOnce);
            let panel = durable(sim, "panel");
            sim.subscribe(panel, "a", AtLeastOnce);
            let sensor = sim.connect(V5, "sensor");
            for (payload, seconds, id) in [("short", 10, 1), ("long", 100, 2)] {
                let properties = Properties::new().with(Property::MessageExpiryInterval(seconds));
                let message = publish("a", payload.as_bytes(), AtLeastOnce, id);
                sim.exchange_publish(sensor, Publish { properties: properties.into_owned(), ..message });
            }
            assert_eq!(sim.payloads(panel), ["short", "long"]);
            sim.crash(crash);
            sim.advance(20_000);
            sim.restart().expect("it can be read");
            sim.run();

            let wire = resume(sim, "away");
            let deliveries = sim.deliveries(wire);
            assert_eq!(payloads(&deliveries), ["long"]);
            let left = deliveries[0].properties.message_expiry_interval().expect("it has one");
            assert!((79..=80).contains(&left), "{left} seconds are left");
            let panel = resume(sim, "panel");
            let deliveries = sim.deliveries(panel);
            assert_eq!(payloads(&deliveries), ["short", "long"]);
            assert!(deliveries.iter().all(|publish| publish.dup), "{deliveries:?}");
        });
    }

    #[test]
    fn an_assigned_client_id_stays_its_owners() {
        with_every_end(|sim, crash| {
            let assigned = |sim: &mut Sim| {
                let (_, connack) =
                    sim.connack(&ConnectOptions { clean_start: true, ..ConnectOptions::durable(V5, "", 60) });
                connack.properties.assigned_client_identifier().expect("it is assigned").to_owned()
            };
            let first = assigned(sim);
            sim.crash_and_restart(crash);
            assert_ne!(assigned(sim), first);
            resume(sim, &first);
        });
    }
}

mod in_flight {
    use super::*;

    #[test]
    fn what_was_sent_comes_again_with_dup_and_its_id() {
        for qos in [AtLeastOnce, ExactlyOnce] {
            with_every_end(|sim, crash| {
                let panel = durable(sim, "panel");
                sim.subscribe(panel, "a", qos);
                let sensor = sim.connect(V5, "sensor");
                sim.publish(sensor, "a", "1", qos);
                let first = sim.expect_publish(panel);
                sim.crash_and_restart(crash);
                let panel = resume(sim, "panel");
                let again = sim.expect_publish(panel);
                assert_eq!((again.dup, again.packet_id), (true, first.packet_id));
                sim.acknowledge(panel, &again);
                sim.run();
                assert!(sim.deliveries(panel).is_empty());
            });
        }
    }

    #[test]
    fn what_was_sent_and_not_marked_comes_with_dup_over_any_number_of_crashes() {
        for crashes in 1..4 {
            let mut sim = sim();
            let panel = sim.connect_with(&one_at_a_time("panel"));
            sim.subscribe(panel, "a", AtLeastOnce);
            let sensor = sim.connect(V5, "sensor");
            for payload in ["1", "2", "3"] {
                sim.publish(sensor, "a", payload, AtLeastOnce);
            }
            let first = sim.expect_publish(panel);
            sim.hold_journal(true);
            sim.acknowledge(panel, &first);
            sim.run();
            let second = sim.expect_publish(panel);
            for _ in 0..crashes {
                sim.crash_and_restart(Crash::Kill);
            }
            let (panel, _) = sim.connack(&one_at_a_time("panel"));
            let deliveries = sim.deliveries(panel);
            let seen: Vec<_> = deliveries.iter().map(|publish| (publish.payload, publish.dup)).collect();
            // Of the third nobody knows that the window was closed to it.
            assert_eq!(seen, [(&b"1"[..], true), (b"2", true), (b"3", true)]);
            assert_ne!(deliveries[1].packet_id, second.packet_id, "a late PUBACK settles nothing else");
        }
    }

    fn one_at_a_time(client_id: &str) -> ConnectOptions<'_> {
        ConnectOptions::durable(V5, client_id, 3600).with(Property::ReceiveMaximum(1))
    }

    #[test]
    fn a_received_message_is_not_sent_again() {
        with_every_end(|sim, crash| {
            let panel = durable(sim, "panel");
            sim.subscribe(panel, "a", ExactlyOnce);
            let sensor = sim.connect(V5, "sensor");
            sim.publish(sensor, "a", "1", ExactlyOnce);
            let id = sim.expect_publish(panel).packet_id.expect("QoS 2").get();
            sim.send(panel, &Packet::PubRec(ack(id)));
            assert!(matches!(sim.expect(panel), Packet::PubRel(_)));
            sim.crash_and_restart(crash);
            let panel = resume(sim, "panel");
            assert!(matches!(sim.expect(panel), Packet::PubRel(released) if released.packet_id.get() == id));
            sim.send(panel, &Packet::PubComp(ack(id)));
            assert_eq!(sim.receive(panel), None);
            assert!(sim.sessions().all(|session| session.outbound.is_empty()));
        });
    }

    /// The client keeps the packet id until PUBREL, and takes the next message under it for the one it has.
    #[test]
    fn a_qos_2_exchange_is_completed_though_its_message_is_promised_nothing() {
        let is_busy_and_received = [(false, false), (false, true), (true, false), (true, true)];
        for (crash, (is_busy, is_received)) in
            CRASHES.into_iter().flat_map(|crash| is_busy_and_received.map(|cases| (crash, cases)))
        {
            let durability_rules = vec!["fleeting/#=memory".parse().expect("a rule")];
            let limits = Limits { durability_rules, ..Limits::default() };
            let mut sim = Sim::with(SimOptions { limits, ..options(0, 1) });
            let sensor = sim.connect(V5, "sensor");
            let panel = durable(&mut sim, "panel");
            sim.subscribe(panel, "fleeting/#", ExactlyOnce);
            sim.publish(sensor, "fleeting/t", "1", ExactlyOnce);
            let id = sim.expect_publish(panel).packet_id.expect("QoS 2");
            if is_received {
                sim.send(panel, &Packet::PubRec(ack(id.get())));
                assert!(matches!(sim.expect(panel), Packet::PubRel(_)));
            }
            if is_busy {
                keep_busy(&mut sim);
            }
            assert_eq!(sim.check_journal(), Ok(()));
            for _ in 0..2 {
                sim.crash_and_restart(crash);
                let panel = resume(&mut sim, "panel");
                assert!(matches!(sim.expect(panel), Packet::PubRel(release) if release.packet_id == id));
            }
            sim.crash_and_restart(crash);
            let panel = resume(&mut sim, "panel");
            sim.expect(panel);
            sim.send(panel, &Packet::PubComp(ack(id.get())));
            sim.crash_and_restart(crash);
            let panel = resume(&mut sim, "panel");
            assert_eq!(sim.receive(panel), None, "the id is free");
        }
    }

    /// What is at QoS 1 and promised nothing is forgotten, and so is what was never sent.
    #[test]
    fn nothing_is_left_of_other_messages_that_are_promised_nothing() {
        for crash in CRASHES {
            let durability_rules = vec!["fleeting/#=memory".parse().expect("a rule")];
            let limits = Limits { durability_rules, ..Limits::default() };
            let mut sim = Sim::with(SimOptions { limits, ..options(0, 1) });
            let sensor = sim.connect(V5, "sensor");
            let panel = sim.connect_with(&one_at_a_time("panel"));
            sim.subscribe(panel, "fleeting/#", ExactlyOnce);
            sim.publish(sensor, "fleeting/sent", "1", AtLeastOnce);
            sim.publish(sensor, "fleeting/waiting", "2", ExactlyOnce);
            assert_eq!(sim.expect_publish(panel).topic, "fleeting/sent");
            sim.crash_and_restart(crash);
            let panel = resume(&mut sim, "panel");
            assert_eq!(sim.receive(panel), None);
            assert!(sim.sessions().all(|session| session.outbound.is_empty()));
        }
    }

    #[test]
    fn a_pubrec_that_the_disk_does_not_have_is_asked_for_again() {
        let mut sim = sim();
        let panel = durable(&mut sim, "panel");
        sim.subscribe(panel, "a", ExactlyOnce);
        let sensor = sim.connect(V5, "sensor");
        sim.publish(sensor, "a", "1", ExactlyOnce);
        let first = sim.expect_publish(panel);
        sim.hold_journal(true);
        sim.send(panel, &Packet::PubRec(ack(first.packet_id.expect("QoS 2").get())));
        sim.crash_and_restart(Crash::Kill);
        let panel = resume(&mut sim, "panel");
        let again = sim.expect_publish(panel);
        assert_eq!((again.dup, again.packet_id), (true, first.packet_id), "the client knows it by its id");
    }

    #[test]
    fn a_publication_under_a_known_id_is_not_taken_twice() {
        with_every_end(|sim, crash| {
            away(sim, "panel", "a", ExactlyOnce);
            let sensor = durable(sim, "sensor");
            let message = || publish("a", b"1", ExactlyOnce, 7);
            sim.send(sensor, &Packet::Publish(message()));
            assert!(matches!(sim.expect(sensor), Packet::PubRec(_)));
            sim.crash_and_restart(crash);
            let sensor = resume(sim, "sensor");
            for dup in [true, false] {
                sim.send(sensor, &Packet::Publish(Publish { dup, ..message() }));
                assert!(matches!(sim.expect(sensor), Packet::PubRec(_)));
            }
            sim.send(sensor, &Packet::PubRel(ack(7)));
            assert!(matches!(sim.expect(sensor), Packet::PubComp(_)));
            sim.crash_and_restart(crash);
            let sensor = resume(sim, "sensor");
            sim.send(sensor, &Packet::PubRel(ack(7)));
            assert!(matches!(sim.expect(sensor), Packet::PubComp(done) if !done.reason_code.is_error()));
            assert_eq!(sim.exchange_publish(sensor, message()), ReasonCode::Success, "the id is free");
            let panel = resume(sim, "panel");
            assert_eq!(payloads(&sim.deliveries(panel)), ["1", "1"]);
        });
    }

    #[test]
    fn new_deliveries_have_ids_that_no_late_answer_knows() {
        with_every_end(|sim, crash| {
            let panel = durable(sim, "panel");
            sim.subscribe(panel, "a", AtLeastOnce);
            let sensor = sim.connect(V5, "sensor");
            sim.publish(sensor, "a", "1", AtLeastOnce);
            let first = sim.expect_publish(panel);
            sim.acknowledge(panel, &first);
            sim.run();
            sim.crash_and_restart(crash);
            let panel = resume(sim, "panel");
            let sensor = sim.connect(V5, "sensor");
            sim.publish(sensor, "a", "2", AtLeastOnce);
            let second = sim.expect_publish(panel);
            assert!(second.packet_id > first.packet_id.and_then(|id| PacketId::new(id.get() + 1000)));
            sim.acknowledge(panel, &first);
            sim.run();
            assert_eq!(sim.sessions().map(|session| session.outbound.len()).sum::<usize>(), 1);
        });
    }

    /// The first block of ids is reserved with the CONNECT, the others on the way.
    #[test]
    fn ids_of_later_blocks_are_not_used_again_after_a_crash_either() {
        // Reclaim would say them again.
        let mut sim = Sim::with(SimOptions { reclaim_after_bytes: u64::MAX, ..options(0, 1) });
        let panel = durable(&mut sim, "panel");
        sim.subscribe(panel, "a", AtLeastOnce);
        let sensor = sim.connect(V5, "sensor");
        let mut last = None;
        for _ in 0..1_500 {
            sim.publish(sensor, "a", "1", AtLeastOnce);
            let delivery = sim.expect_publish(panel);
            sim.acknowledge(panel, &delivery);
            last = delivery.packet_id;
        }
        sim.crash_and_restart(Crash::PowerCut);
        let panel = resume(&mut sim, "panel");
        let sensor = sim.connect(V5, "sensor");
        sim.publish(sensor, "a", "2", AtLeastOnce);
        // What the disk did not hear the end of comes again.
        let mut deliveries = std::iter::repeat_with(|| sim.expect_publish(panel));
        let new = deliveries.find(|delivery| delivery.payload == b"2").expect("it comes");
        assert!(new.packet_id > last);
    }

    #[test]
    fn packet_ids_go_round_over_many_crashes() {
        let mut sim = sim();
        let panel = durable(&mut sim, "panel");
        sim.subscribe(panel, "a", ExactlyOnce);
        for round in 0..70 {
            sim.crash_and_restart(CRASHES[round % 3]);
            let panel = resume(&mut sim, "panel");
            let sensor = sim.connect(V5, "sensor");
            sim.publish(sensor, "a", "1", ExactlyOnce);
            assert_eq!(payloads(&sim.deliveries(panel)), ["1"], "round {round}");
        }
    }
}

mod retention {
    use super::*;

    #[test]
    fn retained_messages_and_their_ends_are_there() {
        with_every_end(|sim, crash| {
            let sensor = sim.connect(V5, "sensor");
            for (topic, payload) in [("a", "old"), ("a", "new"), ("b", "gone"), ("b", ""), ("c", "kept")] {
                sim.retain(sensor, topic, payload, AtLeastOnce);
            }
            sim.retain(sensor, "d", "at QoS 0", AtMostOnce);
            sim.run();
            sim.crash_and_restart(crash);
            let watcher = sim.connect(V5, "watcher");
            sim.subscribe(watcher, "#", ExactlyOnce);
            let mut found = texts(&sim.deliveries(watcher));
            found.sort_unstable();
            assert_eq!(found, [("a", "new"), ("c", "kept"), ("d", "at QoS 0")]);
            assert_eq!(sim.directory().retained_messages(), 3);
        });
    }

    #[test]
    fn retained_messages_expire_while_the_broker_is_down() {
        with_every_end(|sim, crash| {
            let sensor = sim.connect(V5, "sensor");
            for (topic, seconds) in [("short", 10), ("long", 100)] {
                let properties = Properties::new().with(Property::MessageExpiryInterval(seconds));
                let message = Publish { properties: properties.into_owned(), ..retained(topic, b"1") };
                sim.exchange_publish(sensor, message);
            }
            sim.crash(crash);
            sim.advance(50_000);
            sim.restart().expect("it can be read");
            sim.run();
            let watcher = sim.connect(V5, "watcher");
            sim.subscribe(watcher, "#", AtLeastOnce);
            let deliveries = sim.deliveries(watcher);
            assert_eq!(texts(&deliveries), [("long", "1")]);
            assert_eq!(deliveries[0].properties.message_expiry_interval(), Some(50));
        });
    }

    /// A durable subscriber that takes two deliveries at a time.
    fn two_at_a_time() -> ConnectOptions<'static> {
        ConnectOptions::durable(V5, "panel", 60).with(Property::ReceiveMaximum(2))
    }

    /// The topics of the first two of six retained messages, which a subscriber has not brought to an end.
    fn bring_two_of_six(sim: &mut Sim) -> Vec<&'static str> {
        let sensor = sim.connect(V5, "sensor");
        for number in 0..6 {
            sim.retain(sensor, &format!("a/{number}"), "1", ExactlyOnce);
        }
        let panel = sim.connect_with(&two_at_a_time());
        sim.subscribe(panel, "a/#", ExactlyOnce);
        let mut topics = Vec::new();
        for publish in [sim.expect_publish(panel), sim.expect_publish(panel)] {
            topics.push(publish.topic);
            let id = publish.packet_id.expect("QoS 2").get();
            sim.send(panel, &Packet::PubRec(ack(id)));
            sim.expect(panel);
        }
        topics
    }

    /// With what the subscriber gets when it comes again, in order.
    fn bring_the_rest(sim: &mut Sim, mut topics: Vec<&'static str>) -> Vec<&'static str> {
        let (panel, _) = sim.connack(&two_at_a_time());
        topics.extend(texts(&sim.deliveries(panel)).iter().map(|(topic, _)| *topic));
        topics.sort_unstable();
        topics
    }

    #[test]
    fn a_subscription_goes_on_bringing_retained_messages() {
        with_every_end(|sim, crash| {
            let seen = bring_two_of_six(sim);
            sim.crash_and_restart(crash);
            let seen = bring_the_rest(sim, seen);
            assert_eq!(seen, ["a/0", "a/1", "a/2", "a/3", "a/4", "a/5"], "each once");
        });
    }

    #[test]
    fn a_subscription_goes_on_bringing_retained_messages_when_its_record_was_said_again() {
        with_every_end(|sim, crash| {
            let seen = bring_two_of_six(sim);
            keep_busy(sim);
            sim.crash_and_restart(crash);
            let seen = bring_the_rest(sim, seen);
            assert_eq!(seen, ["a/0", "a/1", "a/2", "a/3", "a/4", "a/5"], "each once");
        });
    }

    /// Completes so many deliveries: their topics and the subscriptions that they answer.
    fn complete(sim: &mut Sim, wire: usize, deliveries: usize) -> Vec<(&'static str, Option<u32>)> {
        let mut completed = Vec::new();
        while completed.len() < deliveries
            && let Some(packet) = sim.receive(wire)
        {
            match packet {
                Packet::Publish(publish) => {
                    let id = publish.packet_id.expect("QoS 2").get();
                    completed.push((publish.topic, publish.properties.subscription_identifiers().next()));
                    sim.send(wire, &Packet::PubRec(ack(id)));
                }
                Packet::PubRel(release) => sim.send(wire, &Packet::PubComp(ack(release.packet_id.get()))),
                _ => {}
            }
        }
        completed
    }

    #[test]
    fn each_of_two_subscriptions_brings_each_retained_message_once_over_many_crashes() {
        with_every_end(|sim, crash| {
            let sensor = sim.connect(V5, "sensor");
            let topics: Vec<String> = (0..12).map(|number| format!("a/{number}")).collect();
            for topic in &topics {
                sim.retain(sensor, topic, "1", ExactlyOnce);
            }
            let mut panel = sim.connect_with(&two_at_a_time());
            let options = SubscriptionOptions { qos: ExactlyOnce, ..Default::default() };
            sim.send(panel, &subscribe_with(1, "+/+", options, Some(1)));
            sim.send(panel, &subscribe_with(2, "a/#", options, Some(2)));
            let mut seen = Vec::new();
            for round in 0..10 {
                seen.extend(complete(sim, panel, 3));
                if round % 3 == 1 {
                    keep_busy(sim);
                }
                sim.crash_and_restart(crash);
                panel = sim.connack(&two_at_a_time()).0;
            }
            seen.extend(complete(sim, panel, usize::MAX));
            seen.sort_unstable();
            let expected = topics.iter().flat_map(|topic| [1, 2].map(|id| (topic.as_str(), Some(id))));
            let mut expected: Vec<_> = expected.collect();
            expected.sort_unstable();
            assert_eq!(seen, expected);
        });
    }
}

mod wills {
    use super::*;

    #[test]
    fn wills_of_all_who_were_connected_are_published_once() {
        for qos in [AtMostOnce, AtLeastOnce, ExactlyOnce] {
            with_every_end(|sim, crash| {
                away(sim, "watcher", "w/#", ExactlyOnce);
                for (client_id, version) in [("clean", V3_1_1), ("five", V5)] {
                    let topic = format!("w/{client_id}");
                    let options = ConnectOptions { client_id, version, ..ConnectOptions::default() };
                    sim.connect_with(&options.with_will(Will { qos, retain: true, ..will(&topic, "gone") }));
                }
                let leaving = ConnectOptions::durable(V5, "leaving", 60).with_will(will("w/leaving", "gone"));
                let leaving = sim.connect_with(&leaving);
                sim.send(leaving, &disconnect(ReasonCode::NORMAL_DISCONNECTION));
                for _ in 0..2 {
                    sim.crash_and_restart(crash);
                }
                let newcomer = sim.connect(V5, "newcomer");
                sim.subscribe(newcomer, "w/#", AtLeastOnce);
                let mut kept = texts(&sim.deliveries(newcomer));
                kept.sort_unstable();
                assert_eq!(kept, [("w/clean", "gone"), ("w/five", "gone")]);
                let watcher = resume(sim, "watcher");
                let expected: &[_] = if qos == AtMostOnce { &[] } else { &kept };
                let mut came = texts(&sim.deliveries(watcher));
                came.sort_unstable();
                assert_eq!(came, expected);
            });
        }
    }

    #[test]
    fn a_will_delay_goes_on_while_the_broker_is_down() {
        with_every_end(|sim, crash| {
            away(sim, "watcher", "w", AtLeastOnce);
            let with_delay = |client_id, seconds| {
                let will = Will { qos: AtLeastOnce, ..will_after("w", client_id, seconds) };
                ConnectOptions::durable(V5, client_id, 3600).with_will(will)
            };
            sim.connect_with(&with_delay("early", 10));
            sim.connect_with(&with_delay("back in time", 30));
            sim.connect_with(&with_delay("late", 30));
            for _ in 0..2 {
                sim.crash(crash);
                sim.advance(10_000);
                sim.restart().expect("it can be read");
                sim.run();
            }
            resume(sim, "back in time");
            let watcher = resume(sim, "watcher");
            assert_eq!(payloads(&sim.deliveries(watcher)), ["early"]);
            sim.advance(10_500);
            assert_eq!(payloads(&sim.deliveries(watcher)), ["late"]);
        });
    }

    #[test]
    fn a_client_that_comes_back_at_once_does_not_take_its_will_away() {
        with_every_end(|sim, crash| {
            away(sim, "watcher", "w", AtLeastOnce);
            let options = ConnectOptions::durable(V5, "c", 60)
                .with_will(Will { qos: AtLeastOnce, ..will("w", "gone") });
            sim.connect_with(&options);
            sim.crash_and_restart(crash);
            sim.connect_with(&ConnectOptions { will: None, ..options });
            let watcher = resume(sim, "watcher");
            assert_eq!(payloads(&sim.deliveries(watcher)), ["gone"]);
        });
    }
}

mod groups {
    use super::*;

    const JOBS: &str = "$share/workers/job";

    #[test]
    fn a_group_of_members_who_are_away_is_still_owed_its_messages() {
        with_every_end(|sim, crash| {
            away(sim, "one", JOBS, ExactlyOnce);
            away(sim, "two", JOBS, ExactlyOnce);
            let sensor = sim.connect(V5, "sensor");
            for payload in ["1", "2", "3"] {
                sim.publish(sensor, "job", payload, ExactlyOnce);
            }
            sim.crash_and_restart(crash);
            let two = resume(sim, "two");
            assert_eq!(payloads(&sim.deliveries(two)), ["1", "2", "3"]);
            let one = resume(sim, "one");
            assert!(sim.deliveries(one).is_empty());
        });
    }

    #[test]
    fn a_message_that_a_member_has_begun_stays_with_it() {
        with_every_end(|sim, crash| {
            let one = durable(sim, "one");
            sim.subscribe(one, JOBS, ExactlyOnce);
            let sensor = sim.connect(V5, "sensor");
            sim.publish(sensor, "job", "1", ExactlyOnce);
            let first = sim.expect_publish(one);
            away(sim, "two", JOBS, ExactlyOnce);
            sim.crash_and_restart(crash);
            let two = resume(sim, "two");
            assert!(sim.deliveries(two).is_empty());
            let one = resume(sim, "one");
            let again = sim.expect_publish(one);
            assert_eq!((again.dup, again.packet_id), (true, first.packet_id));
        });
    }

    #[test]
    fn what_a_member_held_goes_to_another_when_its_session_ends_after_a_crash() {
        for (qos, expected) in [(AtLeastOnce, &["1"][..]), (ExactlyOnce, &[])] {
            with_every_end(|sim, crash| {
                let one = durable(sim, "one");
                sim.subscribe(one, JOBS, qos);
                let sensor = sim.connect(V5, "sensor");
                sim.publish(sensor, "job", "1", qos);
                sim.expect_publish(one);
                away(sim, "two", JOBS, qos);
                sim.crash_and_restart(crash);
                // The session starts anew; its messages were left to the journal.
                sim.connect(V5, "one");
                let two = resume(sim, "two");
                assert_eq!(payloads(&sim.deliveries(two)), expected, "{qos:?}");
                sim.crash_and_restart(crash);
                let two = resume(sim, "two");
                assert!(sim.deliveries(two).is_empty());
            });
        }
    }

    #[test]
    fn a_member_that_leaves_no_session_takes_a_qos_2_message_with_it() {
        with_every_end(|sim, crash| {
            let passing = sim.connect(V5, "passing");
            sim.subscribe(passing, JOBS, ExactlyOnce);
            away(sim, "two", JOBS, ExactlyOnce);
            let sensor = sim.connect(V5, "sensor");
            sim.publish(sensor, "job", "1", ExactlyOnce);
            sim.expect_publish(passing);
            sim.crash_and_restart(crash);
            let two = resume(sim, "two");
            assert!(sim.deliveries(two).is_empty(), "[MQTT-4.8.2-5]");
        });
    }
}

mod ends {
    use super::*;

    #[test]
    fn a_stop_loses_nothing_and_says_nothing_twice() {
        for shards in [1, 3] {
            let mut sim = Sim::with(options(3, shards));
            let panel = durable(&mut sim, "panel");
            sim.subscribe(panel, "a", ExactlyOnce);
            let sensor = sim.connect(V5, "sensor");
            for qos in [AtLeastOnce, ExactlyOnce] {
                sim.publish(sensor, "a", "1", qos);
            }
            assert_eq!(sim.deliveries(panel).len(), 2);
            sim.crash(Crash::Stop);
            let last = sim.drain(panel).pop();
            assert!(
                matches!(last, Some(Packet::Disconnect(it)) if it.reason_code == ReasonCode::ServerShuttingDown)
            );
            let report = sim.restart().expect("it can be read");
            assert_eq!(report.torn, None);
            sim.run();
            let panel = resume(&mut sim, "panel");
            assert_eq!(sim.receive(panel), None);
        }
    }

    #[test]
    fn a_power_cut_at_every_call_of_the_recovery_loses_nothing() {
        for calls in 0..60 {
            let mut sim = Sim::with(options(0, 3));
            away(&mut sim, "panel", "a", AtLeastOnce);
            let sensor = sim.connect(V5, "sensor");
            for _ in 0..40 {
                sim.publish(sensor, "a", &".".repeat(200), AtLeastOnce);
            }
            sim.crash(Crash::PowerCut);
            sim.cut_power_after(calls);
            while sim.restart().is_err() || sim.is_power_off() {
                sim.crash(Crash::PowerCut);
            }
            // Where the recovery made fewer calls, the power goes now.
            sim.run();
            sim.crash_and_restart(Crash::PowerCut);
            let panel = resume(&mut sim, "panel");
            assert_eq!(sim.deliveries(panel).len(), 40, "after {calls} calls");
        }
    }

    #[test]
    fn the_journal_gives_space_back_and_forgets_nothing() {
        with_every_end(|sim, crash| {
            let keeper = sim.connect(V5, "keeper");
            sim.retain(keeper, "kept", "value", AtLeastOnce);
            away(sim, "archive", "old/#", ExactlyOnce);
            sim.publish(keeper, "old/1", "first", ExactlyOnce);
            let panel = durable(sim, "panel");
            sim.subscribe(panel, "new", ExactlyOnce);
            for number in 0..200 {
                sim.publish(keeper, "new", &format!("{number}{}", ".".repeat(200)), ExactlyOnce);
                assert_eq!(sim.deliveries(panel).len(), 1);
            }
            assert!(sim.segments_freed() > 4, "{} segments were freed", sim.segments_freed());
            assert_eq!(sim.check_journal(), Ok(()));
            sim.crash_and_restart(crash);
            let archive = resume(sim, "archive");
            assert_eq!(texts(&sim.deliveries(archive)), [("old/1", "first")]);
            let watcher = sim.connect(V5, "watcher");
            sim.subscribe(watcher, "kept", AtLeastOnce);
            assert_eq!(texts(&sim.deliveries(watcher)), [("kept", "value")]);
        });
    }
}
