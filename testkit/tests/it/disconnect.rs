//! How connections end: DISCONNECT, keep alive, shutdown; and PINGREQ and AUTH, which keep or end them.

use noctule_codec::ProtocolVersion::{V3_1, V3_1_1, V5};
use noctule_codec::{Disconnect, Packet, Properties, Property, QoS, ReasonCode};
use noctule_engine::Event;
use noctule_session::Limits;
use noctule_testkit::sim::{
    ConnectOptions, Sim, SimOptions, VERSIONS, disconnect, publish, raw, subscribe, will, will_after,
};

const NORMAL: ReasonCode = ReasonCode::NORMAL_DISCONNECTION;

#[test]
fn mqtt5_3_12_4_1_and_mqtt311_3_12_4_1_pingreq_gets_pingresp() {
    for version in VERSIONS {
        let mut sim = Sim::new();
        let wire = sim.connect(version, "a");
        for _ in 0..3 {
            sim.send(wire, &Packet::PingReq);
            assert_eq!(sim.wire(wire).unread(), [0xd0, 0]);
            assert_eq!(sim.expect(wire), Packet::PingResp);
        }
    }
}

#[test]
fn mqtt5_3_1_2_22_and_mqtt311_3_1_2_24_one_and_a_half_keep_alives_of_silence_end_the_connection() {
    for version in VERSIONS {
        for keep_alive_seconds in [1, 2, 60, 65_535] {
            let mut sim = Sim::new();
            let wire = sim.connect_with(&ConnectOptions {
                version,
                client_id: "a",
                keep_alive_seconds,
                ..ConnectOptions::default()
            });
            let silence = u64::from(keep_alive_seconds) * 1500;
            sim.advance(silence - 1);
            assert!(!sim.is_closed(wire), "{keep_alive_seconds}");
            sim.advance(101);
            sim.expect_end(wire, ReasonCode::KeepAliveTimeout);
        }
    }
}

/// It is whole packets that count, not their bytes.
#[test]
fn mqtt5_3_1_2_22_a_packet_that_never_ends_does_not_keep_the_connection_alive() {
    let mut sim = Sim::new();
    let options = ConnectOptions { client_id: "a", keep_alive_seconds: 10, ..ConnectOptions::default() };
    let wire = sim.connect_with(&options);
    sim.send_bytes(wire, &[0x30, 100]);
    for _ in 0..14 {
        sim.advance(1_000);
        sim.send_bytes(wire, &[0]);
    }
    assert!(!sim.is_closed(wire));
    sim.advance(1_100);
    sim.expect_end(wire, ReasonCode::KeepAliveTimeout);
}

#[test]
fn every_packet_of_the_client_keeps_the_connection_alive_and_no_packet_to_it() {
    let packets = [
        Packet::PingReq,
        Packet::Publish(publish("t", b"p", QoS::AtMostOnce, 0)),
        Packet::Publish(publish("t", b"p", QoS::AtLeastOnce, 1)),
        subscribe(1, &[("t", QoS::AtMostOnce)]),
    ];
    for packet in packets {
        let mut sim = Sim::new();
        let options = ConnectOptions { client_id: "a", keep_alive_seconds: 10, ..ConnectOptions::default() };
        let wire = sim.connect_with(&options);
        let publisher = sim.connect(V5, "publisher");
        for _ in 0..10 {
            sim.advance(14_900);
            sim.send(wire, &packet);
        }
        assert!(!sim.is_closed(wire), "{packet:?}");
        sim.advance(14_900);
        sim.publish(publisher, "t", "p", QoS::AtMostOnce);
        sim.advance(200);
        sim.expect_end(wire, ReasonCode::KeepAliveTimeout);
    }
}

#[test]
fn a_silent_client_is_noticed_by_its_neighbours_will_and_by_the_log() {
    let mut sim = Sim::new();
    let watcher = sim.watch("will");
    let options = ConnectOptions { client_id: "a", keep_alive_seconds: 2, ..ConnectOptions::default() };
    sim.connect_with(&options.with_will(will("will", "gone")));
    sim.advance(3_100);
    assert_eq!(sim.payloads(watcher), ["gone"]);
    let told = sim
        .events
        .iter()
        .any(|event| matches!(event, Event::Disconnected { reason_code: ReasonCode::KeepAliveTimeout, .. }));
    assert!(told, "{:?}", sim.events);
}

#[test]
fn mqtt5_3_14_1_1_and_mqtt311_3_14_1_1_the_reserved_bits_of_disconnect_are_zero() {
    for version in VERSIONS {
        for flags in 1..16 {
            let mut sim = Sim::new();
            let wire = sim.connect(version, "a");
            sim.send_bytes(wire, &[0xe0 | flags, 0]);
            sim.expect_end(wire, ReasonCode::MalformedPacket);
        }
    }
}

#[test]
fn disconnect_of_3_x_has_no_reason() {
    for version in [V3_1, V3_1_1] {
        let mut sim = Sim::new();
        let watcher = sim.watch("will");
        let options = ConnectOptions { version, client_id: "a", ..ConnectOptions::default() };
        let wire = sim.connect_with(&options.with_will(will("will", "gone")));
        sim.send_bytes(wire, &[0xe0, 1, 0]);
        sim.expect_end(wire, ReasonCode::MalformedPacket);
        assert_eq!(sim.payloads(watcher), ["gone"]);
    }
}

#[test]
fn mqtt5_3_14_2_1_a_client_uses_the_codes_that_are_listed_for_it() {
    let listed = [0x00, 0x04, 0x80, 0x81, 0x82, 0x83, 0x90, 0x93, 0x94, 0x95, 0x96, 0x97, 0x98, 0x99];
    for code in 0..=u8::MAX {
        for bytes in [raw(0xe0, &[code]), raw(0xe0, &[code, 0])] {
            let mut sim = Sim::new();
            let wire = sim.connect(V5, "a");
            sim.send_bytes(wire, &bytes);
            if listed.contains(&code) {
                assert!(sim.is_closed(wire));
                assert_eq!(sim.receive(wire), None, "{code:#04x} is not answered");
            } else {
                sim.expect_end(wire, ReasonCode::ProtocolError);
            }
        }
    }
}

#[test]
fn an_empty_disconnect_is_a_normal_one() {
    for version in VERSIONS {
        let mut sim = Sim::new();
        let wire = sim.connect(version, "a");
        sim.send_bytes(wire, &[0xe0, 0]);
        assert!(sim.is_closed(wire));
        assert_eq!(sim.receive(wire), None);
    }
}

#[test]
fn mqtt5_3_14_4_1_nothing_behind_disconnect_is_processed() {
    for version in VERSIONS {
        let mut sim = Sim::new();
        let watcher = sim.watch("#");
        let wire = sim.connect(version, "a");
        sim.queue(wire, &disconnect(NORMAL));
        sim.queue(wire, &Packet::Publish(publish("t", b"late", QoS::AtMostOnce, 0)));
        sim.queue(wire, &Packet::PingReq);
        sim.run();
        assert!(sim.is_closed(wire));
        assert_eq!(sim.receive(wire), None);
        assert_eq!(sim.payloads(watcher), [""; 0], "{version:?}");
    }
}

#[test]
fn what_came_before_disconnect_is_processed() {
    for version in VERSIONS {
        let mut sim = Sim::new();
        let watcher = sim.watch("t");
        let wire = sim.connect(version, "a");
        sim.queue(wire, &Packet::Publish(publish("t", b"last", QoS::AtLeastOnce, 1)));
        sim.queue(wire, &disconnect(NORMAL));
        sim.run();
        assert_eq!(sim.payloads(watcher), ["last"], "{version:?}");
    }
}

#[test]
fn mqtt5_3_14_2_2_a_servers_disconnect_has_no_session_expiry_and_a_reason_for_a_person() {
    let mut sim = Sim::new();
    let wire = sim.connect_with(&ConnectOptions::durable(V5, "a", 100));
    sim.send_bytes(wire, &[0x36, 0]);
    let Packet::Disconnect(disconnect) = sim.expect(wire) else { panic!("no DISCONNECT") };
    assert_eq!(disconnect.properties.session_expiry_interval(), None);
    assert!(disconnect.properties.reason_string().is_some_and(|reason| reason.contains("QoS")));
}

#[test]
fn mqtt5_3_14_2_3_disconnect_leaves_out_what_the_client_cannot_read() {
    // CONNACK needs some 20 bytes itself; DISCONNECT with its code takes three.
    let options = ConnectOptions { client_id: "a", ..ConnectOptions::default() };
    let mut sim = Sim::new();
    let wire = sim.connect_with(&options.with(Property::MaximumPacketSize(25)));
    sim.send_bytes(wire, &[0x36, 0]);
    assert_eq!(sim.wire(wire).unread(), [0xe0, 1, 0x81]);
    sim.expect_end(wire, ReasonCode::MalformedPacket);
}

#[test]
fn mqtt5_4_13_2_1_every_error_code_in_disconnect_closes() {
    let mut sim = Sim::new();
    let wire = sim.connect(V5, "a");
    let properties = Properties::new().with(Property::ReasonString("tired"));
    sim.send(wire, &Packet::Disconnect(Disconnect { reason_code: ReasonCode::UnspecifiedError, properties }));
    assert!(sim.is_closed(wire));
    assert_eq!(sim.stats().clients_connected, 0);
}

#[test]
fn mqtt5_3_15_1_1_the_flags_of_auth_are_zero() {
    for flags in 1..16 {
        let mut sim = Sim::new();
        let wire = sim.connect(V5, "a");
        sim.send_bytes(wire, &[0xf0 | flags, 0]);
        sim.expect_end(wire, ReasonCode::MalformedPacket);
    }
}

#[test]
fn mqtt5_3_15_2_1_auth_uses_the_codes_that_are_listed_for_a_client() {
    for code in 0..=u8::MAX {
        let mut sim = Sim::new();
        let wire = sim.connect(V5, "a");
        // With its method, so that only the code can be wrong; AUTH without a method in CONNECT always is.
        sim.send_bytes(wire, &raw(0xf0, &[code, 4, 0x15, 0, 1, b'x']));
        sim.expect_end(wire, ReasonCode::ProtocolError);
    }
}

#[test]
fn mqtt5_3_14_0_1_3_14_4_2_a_broker_that_stops_tells_5_0_clients_and_closes_all() {
    for shards in [1, 3] {
        for version in VERSIONS {
            let mut sim = Sim::with(SimOptions { shards, ..SimOptions::default() });
            let wires: Vec<usize> = (0..9).map(|n| sim.connect(version, &format!("c{n}"))).collect();
            let silent = sim.open();
            sim.shut_down();
            for wire in wires {
                sim.expect_end(wire, ReasonCode::ServerShuttingDown);
            }
            assert!(sim.is_closed(silent));
            assert_eq!(sim.receive(silent), None, "no DISCONNECT before CONNACK");
        }
    }
}

#[test]
fn mqtt5_3_14_4_1_nothing_follows_the_goodbye_of_a_broker_that_stops() {
    for shards in [1, 3] {
        let mut sim = Sim::with(SimOptions { shards, ..SimOptions::default() });
        let watchers: Vec<usize> = (0..6)
            .map(|n| {
                let wire = sim.connect(V5, &format!("watcher {n}"));
                sim.subscribe(wire, "will/#", QoS::AtMostOnce);
                wire
            })
            .collect();
        for n in 0..6 {
            let id = format!("mortal {n}");
            let options = ConnectOptions { client_id: &id, ..ConnectOptions::default() };
            sim.connect_with(&options.with_will(will("will/now", "gone")));
            let options = ConnectOptions::durable(V5, &id, 100);
            let id = format!("patient {n}");
            let options = ConnectOptions { client_id: &id, ..options };
            sim.connect_with(&options.with_will(will_after("will/later", "later", 50)));
        }
        sim.shut_down();
        for wire in watchers {
            let mut packets = sim.drain(wire);
            let last = packets.pop();
            assert!(
                matches!(&last, Some(Packet::Disconnect(it)) if it.reason_code == ReasonCode::ServerShuttingDown)
            );
            assert_eq!(packets.len(), 12, "all wills come first: kept in memory, every session ends now");
        }
    }
}

#[test]
fn a_broker_that_stops_reads_nothing_more() {
    let mut sim = Sim::new();
    let wire = sim.connect(V5, "a");
    sim.wire(wire).reads_at_most = Some(0);
    sim.shut_down();
    sim.send(wire, &Packet::Publish(publish("t", b"late", QoS::AtLeastOnce, 1)));
    assert_eq!(sim.stats().publishes_received, 0);
    sim.wire(wire).reads_at_most = None;
    sim.run();
    sim.expect_end(wire, ReasonCode::ServerShuttingDown);
}

#[test]
fn a_client_that_leaves_makes_room_at_once() {
    let mut sim = Sim::with_limits(Limits::default());
    for _ in 0..100 {
        let wire = sim.connect(V5, "a");
        sim.send(wire, &disconnect(NORMAL));
    }
    assert_eq!((sim.stats().clients_connected, sim.stats().sessions), (0, 0));
    assert_eq!(sim.directory().clients_maximum(), 1);
}
