//! How long a session lives, and what of it a client finds again.

use noctule_codec::ProtocolVersion::{V3_1, V3_1_1, V5};
use noctule_codec::{Packet, Property, ProtocolVersion, Publish, QoS, ReasonCode};
use noctule_engine::Record;
use noctule_session::Limits;
use noctule_testkit::sim::{ConnectOptions, Sim, VERSIONS, ack, disconnect, disconnect_with_expiry, publish};
use std::collections::HashSet;

const FOR_EVER: u32 = u32::MAX;

fn durable(version: ProtocolVersion, seconds: u32) -> ConnectOptions<'static> {
    ConnectOptions::durable(version, "client", seconds)
}

fn clean(version: ProtocolVersion) -> ConnectOptions<'static> {
    ConnectOptions { version, client_id: "client", ..ConnectOptions::default() }
}

/// Whether a client with Clean Start 0 finds a session.
fn finds_session(sim: &mut Sim, version: ProtocolVersion) -> bool {
    let (_, connack) = sim.connack(&durable(version, FOR_EVER));
    assert_eq!(connack.reason_code, ReasonCode::Success);
    connack.session_present
}

#[test]
fn mqtt5_3_1_2_5_3_2_2_3_and_mqtt311_3_1_2_4_3_2_2_2_clean_start_0_resumes_the_session() {
    for version in VERSIONS {
        let mut sim = Sim::new();
        let wire = sim.connect_with(&durable(version, 100));
        sim.subscribe(wire, "t", QoS::AtLeastOnce);
        sim.cut(wire);
        let (wire, connack) = sim.connack(&durable(version, 100));
        // 3.1 does not say.
        assert_eq!(connack.session_present, version != V3_1);
        let publisher = sim.connect(V5, "publisher");
        sim.publish(publisher, "t", "p", QoS::AtLeastOnce);
        assert_eq!(sim.payloads(wire), ["p"], "{version:?}");
    }
}

#[test]
fn mqtt5_3_1_2_6_and_mqtt311_3_2_2_3_clean_start_0_without_a_session_creates_one() {
    for version in VERSIONS {
        let mut sim = Sim::new();
        let (wire, connack) = sim.connack(&durable(version, 100));
        assert!(!connack.session_present && !connack.reason_code.is_error());
        sim.cut(wire);
        assert_eq!(sim.stats().sessions, 1);
    }
}

#[test]
fn mqtt5_3_1_2_4_3_1_4_4_3_2_2_2_and_mqtt311_3_1_4_3_3_2_2_1_clean_start_1_discards_the_session() {
    for version in VERSIONS {
        let mut sim = Sim::new();
        let wire = sim.connect_with(&durable(version, 100));
        sim.subscribe(wire, "t", QoS::AtLeastOnce);
        sim.cut(wire);
        let publisher = sim.connect(V5, "publisher");
        sim.publish(publisher, "t", "old", QoS::AtLeastOnce);
        let (wire, connack) = sim.connack(&clean(version));
        assert!(!connack.session_present);
        sim.publish(publisher, "t", "new", QoS::AtLeastOnce);
        assert_eq!(sim.payloads(wire), [""; 0], "{version:?}");
        assert_eq!(sim.stats().subscriptions, 0);
    }
}

#[test]
fn mqtt311_3_1_2_6_a_clean_session_ends_with_its_connection() {
    for version in VERSIONS {
        let mut sim = Sim::new();
        let wire = sim.connect_with(&clean(version));
        sim.subscribe(wire, "t", QoS::AtLeastOnce);
        sim.cut(wire);
        assert_eq!((sim.stats().sessions, sim.stats().subscriptions), (0, 0));
        assert!(!finds_session(&mut sim, version));
    }
}

#[test]
fn mqtt5_clean_start_1_with_an_expiry_leaves_a_session() {
    let mut sim = Sim::new();
    let options = clean(V5).with(Property::SessionExpiryInterval(100));
    let wire = sim.connect_with(&options);
    sim.cut(wire);
    assert!(finds_session(&mut sim, V5));
}

#[test]
fn mqtt311_3_1_2_5_messages_of_qos_1_and_2_wait_for_the_offline_session() {
    for version in VERSIONS {
        let mut sim = Sim::new();
        let wire = sim.connect_with(&durable(version, 100));
        sim.subscribe(wire, "t", QoS::ExactlyOnce);
        sim.cut(wire);
        let publisher = sim.connect(V5, "publisher");
        sim.publish(publisher, "t", "0", QoS::AtMostOnce);
        sim.publish(publisher, "t", "1", QoS::AtLeastOnce);
        sim.publish(publisher, "t", "2", QoS::ExactlyOnce);
        let wire = sim.connect_with(&durable(version, 100));
        assert_eq!(sim.payloads(wire), ["1", "2"], "{version:?}");
    }
}

#[test]
fn mqtt311_3_1_2_7_retained_messages_outlive_sessions() {
    for version in VERSIONS {
        let mut sim = Sim::new();
        let wire = sim.connect_with(&clean(version));
        let retained = Publish { retain: true, ..publish("t", b"kept", QoS::AtMostOnce, 0) };
        sim.send(wire, &Packet::Publish(retained));
        sim.cut(wire);
        let watcher = sim.watch("t");
        assert_eq!(sim.payloads(watcher), ["kept"]);
    }
}

#[test]
fn mqtt5_3_1_2_23_and_4_1_0_2_a_session_lives_as_long_as_it_was_told_to() {
    for seconds in [1, 2, 59, 60, 61, 3_600, 1_000_000] {
        let millis = u64::from(seconds) * 1000;
        let mut sim = Sim::new();
        let wire = sim.connect_with(&durable(V5, seconds));
        sim.cut(wire);
        sim.advance(millis - 1);
        assert_eq!(sim.stats().sessions, 1, "{seconds} s");
        sim.advance(101);
        assert_eq!(sim.stats().sessions, 0, "{seconds} s");
        assert_eq!(sim.stats().sessions_expired, 1);
    }
}

#[test]
fn an_expiry_of_0xffffffff_is_for_ever() {
    let mut sim = Sim::new();
    let wire = sim.connect_with(&durable(V5, FOR_EVER));
    sim.cut(wire);
    sim.advance(u64::from(FOR_EVER) * 2_000);
    assert!(finds_session(&mut sim, V5));
}

#[test]
fn a_session_of_3_x_without_clean_session_is_for_ever() {
    for version in [V3_1, V3_1_1] {
        let mut sim = Sim::new();
        let wire = sim.connect_with(&durable(version, 0));
        sim.cut(wire);
        sim.advance(u64::from(FOR_EVER) * 2_000);
        assert_eq!(sim.stats().sessions, 1);
    }
}

#[test]
fn mqtt5_4_1_0_1_and_mqtt311_4_1_0_1_and_2_a_session_lasts_as_long_as_its_connection() {
    for (version, seconds) in [(V3_1, 0), (V3_1_1, 0), (V5, 0), (V5, 1)] {
        let mut sim = Sim::new();
        let wire = sim.connect_with(&durable(version, seconds));
        sim.subscribe(wire, "t", QoS::AtMostOnce);
        sim.advance(10_000_000);
        let publisher = sim.connect(V5, "publisher");
        sim.publish(publisher, "t", "p", QoS::AtMostOnce);
        assert_eq!(sim.payloads(wire), ["p"], "{version:?} {seconds}");
    }
}

#[test]
fn the_expiry_counts_from_the_end_of_the_last_connection() {
    let mut sim = Sim::new();
    for _ in 0..3 {
        let wire = sim.connect_with(&durable(V5, 10));
        sim.advance(30_000);
        sim.cut(wire);
        sim.advance(9_000);
    }
    assert_eq!(sim.stats().sessions, 1);
    sim.advance(1_100);
    assert_eq!(sim.stats().sessions, 0);
}

#[test]
fn a_resumed_session_has_the_expiry_of_its_last_connect() {
    let mut sim = Sim::new();
    let wire = sim.connect_with(&durable(V5, 1_000));
    sim.cut(wire);
    let wire = sim.connect_with(&durable(V5, 5));
    sim.cut(wire);
    sim.advance(5_100);
    assert_eq!(sim.stats().sessions, 0);
    let wire = sim.connect_with(&durable(V5, 5));
    sim.cut(wire);
    let wire = sim.connect_with(&durable(V5, 0));
    sim.cut(wire);
    assert_eq!(sim.stats().sessions, 0, "without an expiry it ends with its connection");
}

#[test]
fn disconnect_changes_the_session_expiry() {
    // (in CONNECT, in DISCONNECT, in force)
    for (asked, changed, in_force) in [(10, 20, 20), (10, 5, 5), (10, 0, 0), (0, 0, 0), (FOR_EVER, 3, 3)] {
        let mut sim = Sim::new();
        let wire = sim.connect_with(&durable(V5, asked));
        sim.send(wire, &disconnect_with_expiry(ReasonCode::NORMAL_DISCONNECTION, changed));
        assert!(sim.is_closed(wire));
        assert_eq!(sim.receive(wire), None, "a rightful DISCONNECT is not answered");
        if in_force > 0 {
            sim.advance(in_force * 1000 - 1);
            assert_eq!(sim.stats().sessions, 1, "{asked} {changed}");
            sim.advance(101);
        }
        assert_eq!(sim.stats().sessions, 0, "{asked} {changed}");
    }
}

#[test]
fn disconnect_cannot_raise_the_session_expiry_from_0() {
    for asked in [durable(V5, 0), clean(V5)] {
        let mut sim = Sim::new();
        let wire = sim.connect_with(&asked);
        sim.send(wire, &disconnect_with_expiry(ReasonCode::NORMAL_DISCONNECTION, 1));
        sim.expect_end(wire, ReasonCode::ProtocolError);
        assert_eq!(sim.stats().sessions, 0);
    }
}

#[test]
fn an_expiry_above_the_bound_is_capped_and_the_client_is_told() {
    let limits = Limits { session_expiry_seconds_max: 60, ..Limits::default() };
    for (asked, told) in [(0, None), (59, None), (60, None), (61, Some(60)), (FOR_EVER, Some(60))] {
        let mut sim = Sim::with_limits(limits.clone());
        let (wire, connack) = sim.connack(&durable(V5, asked));
        assert_eq!(connack.properties.session_expiry_interval(), told, "{asked}");
        sim.cut(wire);
        sim.advance(60_100);
        assert_eq!(sim.stats().sessions, 0, "{asked}");
    }
    // The bound holds for DISCONNECT too, and for 3.x, which cannot be told.
    let mut sim = Sim::with_limits(limits.clone());
    let wire = sim.connect_with(&durable(V5, 10));
    sim.send(wire, &disconnect_with_expiry(ReasonCode::NORMAL_DISCONNECTION, FOR_EVER));
    sim.advance(60_100);
    assert_eq!(sim.stats().sessions, 0);
    for version in [V3_1, V3_1_1] {
        let mut sim = Sim::with_limits(limits.clone());
        let wire = sim.connect_with(&durable(version, 0));
        sim.cut(wire);
        sim.advance(59_999);
        assert_eq!(sim.stats().sessions, 1);
        sim.advance(101);
        assert_eq!(sim.stats().sessions, 0);
    }
}

#[test]
fn mqtt5_3_1_3_2_and_mqtt311_3_1_3_2_the_client_id_names_the_session() {
    let mut sim = Sim::new();
    let wire = sim.connect_with(&ConnectOptions::durable(V5, "client", 100));
    sim.cut(wire);
    for client_id in ["Client", "client ", "clien", "client\u{feff}"] {
        let (_, connack) = sim.connack(&ConnectOptions::durable(V5, client_id, 100));
        assert!(!connack.session_present, "{client_id:?} is another client");
    }
    assert!(finds_session(&mut sim, V5));
}

#[test]
fn a_session_goes_on_in_another_version() {
    for from in VERSIONS {
        for to in VERSIONS {
            let mut sim = Sim::new();
            let wire = sim.connect_with(&durable(from, 100));
            sim.subscribe(wire, "t", QoS::AtLeastOnce);
            sim.cut(wire);
            let wire = sim.connect_with(&durable(to, 100));
            let publisher = sim.connect(V5, "publisher");
            sim.publish(publisher, "t", "p", QoS::AtLeastOnce);
            assert_eq!(sim.payloads(wire), ["p"], "{from:?} to {to:?}");
        }
    }
}

#[test]
fn bug_9_rmqtt_18_reconnect_with_queued_qos_1_and_2() {
    for version in VERSIONS {
        let mut sim = Sim::new();
        let wire = sim.connect_with(&durable(version, 100));
        sim.subscribe(wire, "t", QoS::ExactlyOnce);
        sim.cut(wire);
        let publisher = sim.connect(V5, "publisher");
        let sent: Vec<String> = (0..60).map(|n| n.to_string()).collect();
        for (n, payload) in sent.iter().enumerate() {
            let qos = if n % 2 == 0 { QoS::AtLeastOnce } else { QoS::ExactlyOnce };
            sim.publish(publisher, "t", payload, qos);
        }
        let wire = sim.connect_with(&durable(version, 100));
        // Order holds per topic and QoS [MQTT-4.6.0-5]; QoS 1 may overtake QoS 2.
        let (even, odd) = acknowledge_all(&mut sim, wire);
        assert_eq!(even, sent.iter().step_by(2).cloned().collect::<Vec<_>>(), "{version:?}");
        assert_eq!(odd, sent.iter().skip(1).step_by(2).cloned().collect::<Vec<_>>(), "{version:?}");
        sim.expect_alive(wire);
        sim.cut(wire);
        let wire = sim.connect_with(&durable(version, 100));
        assert_eq!(sim.payloads(wire), [""; 0], "nothing is owed any more");
    }
}

/// Acknowledges every delivery as its QoS demands, and lists the payloads of QoS 1 and of QoS 2.
fn acknowledge_all(sim: &mut Sim, wire: usize) -> (Vec<String>, Vec<String>) {
    let (mut of_qos_1, mut of_qos_2) = (Vec::new(), Vec::new());
    while let Some(packet) = sim.receive(wire) {
        match packet {
            Packet::Publish(publish) => {
                let payload = String::from_utf8_lossy(publish.payload).into_owned();
                let list = if publish.qos == QoS::ExactlyOnce { &mut of_qos_2 } else { &mut of_qos_1 };
                list.push(payload);
                let id = publish.packet_id.expect("above QoS 0").get();
                let answer = match publish.qos {
                    QoS::ExactlyOnce => Packet::PubRec(ack(id)),
                    _ => Packet::PubAck(ack(id)),
                };
                sim.send(wire, &answer);
            }
            Packet::PubRel(pubrel) => sim.send(wire, &Packet::PubComp(ack(pubrel.packet_id.get()))),
            packet => panic!("unexpected {packet:?}"),
        }
    }
    (of_qos_1, of_qos_2)
}

#[test]
fn the_journal_hears_of_the_end_of_every_session_it_has_heard_of() {
    let mut sim = Sim::new();
    let with_will = clean(V5).with_will(noctule_testkit::sim::will("w", "gone"));
    for (first, second) in [
        (durable(V5, 5), durable(V5, 0)),
        (durable(V5, 5), clean(V5)),
        (with_will.clone(), clean(V5)),
        (durable(V3_1_1, 0), clean(V3_1_1)),
    ] {
        let wire = sim.connect_with(&first);
        sim.cut(wire);
        let wire = sim.connect_with(&second);
        sim.send(wire, &disconnect(ReasonCode::NORMAL_DISCONNECTION));
    }
    let wire = sim.connect_with(&durable(V5, 5));
    sim.send(wire, &disconnect_with_expiry(ReasonCode::NORMAL_DISCONNECTION, 0));
    assert_eq!(sim.stats().sessions, 0);

    let mut open = HashSet::new();
    for record in &sim.records {
        match record {
            Record::SessionOpened { session, .. } => drop(open.insert(*session)),
            Record::SessionEnded { session } => assert!(open.remove(session), "{session:?} was never opened"),
            _ => {}
        }
    }
    assert_eq!(open, HashSet::new());
}
