//! CONNECT and CONNACK in the three versions.

use noctule_auth::{Action, Authority, Credentials, Decision, Identity};
use noctule_codec::ProtocolVersion::{V3_1, V3_1_1, V5};
use noctule_codec::{Auth, Packet, Properties, Property, ProtocolVersion, QoS, ReasonCode};
use noctule_session::Limits;
use noctule_testkit::sim::{
    ConnectOptions, Sim, SimOptions, VERSIONS, connect, publish, raw_connect, raw_text, subscribe, will,
};
use std::sync::{Arc, Mutex};

fn options(version: ProtocolVersion, client_id: &str) -> ConnectOptions<'_> {
    ConnectOptions { version, client_id, ..ConnectOptions::default() }
}

/// What the broker answers to these bytes on a new connection, and whether it closes.
fn answer(bytes: &[u8]) -> (Vec<u8>, bool) {
    let mut sim = Sim::new();
    let wire = sim.open();
    sim.send_bytes(wire, bytes);
    (sim.wire(wire).unread().to_vec(), sim.is_closed(wire))
}

#[test]
fn mqtt5_3_1_0_1_and_mqtt311_3_1_0_1_the_first_packet_is_connect() {
    for first_byte in (0..=u8::MAX).filter(|byte| byte >> 4 != 1) {
        assert_eq!(answer(&[first_byte]), (Vec::new(), true), "first byte {first_byte:#04x}");
    }
}

#[test]
fn mqtt5_3_1_0_2_and_mqtt311_3_1_0_2_a_second_connect_ends_the_connection() {
    for version in VERSIONS {
        for second in VERSIONS {
            let mut sim = Sim::new();
            let wire = sim.connect(version, "a");
            let mut bytes = Vec::new();
            connect(second, "b").encode(second, &mut bytes).expect("it can be encoded");
            sim.send_bytes(wire, &bytes);
            sim.expect_end(wire, ReasonCode::ProtocolError);
        }
    }
}

#[test]
fn mqtt5_3_1_0_2_a_second_connect_is_a_protocol_error_whatever_its_version() {
    for second in [raw_connect("MQTT", 6, 2, &raw_text("a")), raw_connect("XMPP", 5, 2, b"")] {
        let mut sim = Sim::new();
        let wire = sim.connect(V5, "a");
        sim.send_bytes(wire, &second);
        sim.expect_end(wire, ReasonCode::ProtocolError);
    }
}

#[test]
fn mqtt5_3_1_2_1_and_mqtt311_3_1_2_1_another_protocol_name_is_refused() {
    let v5 = [b"\0".as_slice(), &raw_text("a")].concat();
    for name in ["mqtt", "MQTT ", "MQT", "HTTP", "", "MQIsdp"] {
        let (bytes, is_closed) = answer(&raw_connect(name, 5, 2, &v5));
        assert!(is_closed, "{name:?}");
        assert!(bytes.starts_with(&[0x20]) && bytes[3] == 0x84, "{name:?} was answered by {bytes:02x?}");
    }
    // What does not even read as a 5.0 CONNECT gets no answer.
    assert_eq!(answer(&raw_connect("HTTP", 1, 2, b"")), (Vec::new(), true));
}

#[test]
fn mqtt5_3_1_2_2_and_mqtt311_3_1_2_2_another_level_is_refused_in_a_shape_the_client_can_read() {
    for level in [0, 1, 2, 3, 6, 0x84, 0xff] {
        assert_eq!(answer(&raw_connect("MQTT", level, 2, &raw_text("abc"))), (vec![0x20, 2, 0, 1], true));
        let v5 = [b"\0".as_slice(), &raw_text("abc")].concat();
        let (bytes, is_closed) = answer(&raw_connect("MQTT", level, 2, &v5));
        assert!(is_closed && bytes[2..4] == [0, 0x84], "level {level} was answered by {bytes:02x?}");
    }
    for level in [0, 2, 4, 5] {
        let rest = if level == 5 { [b"\0".as_slice(), &raw_text("abc")].concat() } else { raw_text("abc") };
        let (bytes, is_closed) = answer(&raw_connect("MQIsdp", level, 2, &rest));
        assert!(is_closed && matches!(bytes[3], 1 | 0x84), "level {level} was answered by {bytes:02x?}");
    }
}

#[test]
fn mqtt5_3_1_2_3_and_mqtt311_3_1_2_3_the_reserved_flag_is_zero() {
    malformed_connects(&[(0b11, b"")]);
}

#[test]
fn mqtt5_3_1_2_11_13_and_mqtt311_3_1_2_11_13_15_without_a_will_its_flags_are_zero() {
    malformed_connects(&[(0b0010_0010, b""), (0b0000_1010, b""), (0b0001_0010, b""), (0b0001_1010, b"")]);
}

#[test]
fn mqtt5_3_1_2_12_and_mqtt311_3_1_2_14_the_will_qos_is_never_3() {
    malformed_connects(&[(0b0001_1110, b"\0\x01t\0\x01p")]);
}

#[test]
fn mqtt5_3_1_2_9_and_mqtt311_3_1_2_9_a_will_has_a_topic_and_a_payload() {
    malformed_connects(&[(0b0000_0110, b""), (0b0000_0110, b"\0\x01t"), (0b0000_0110, b"\0\x01t\0\x02p")]);
}

#[test]
fn mqtt5_3_1_2_17_19_and_mqtt311_3_1_2_19_21_a_field_stands_where_its_flag_is_set() {
    malformed_connects(&[(0b1000_0010, b""), (0b1100_0010, b"\0\x01u")]);
}

#[test]
fn mqtt5_3_1_2_16_18_and_mqtt311_3_1_2_18_20_a_field_is_absent_where_its_flag_is_not_set() {
    malformed_connects(&[(0b0000_0010, b"\0\x01u"), (0b1000_0010, b"\0\x01u\0\x01p")]);
}

/// A CONNECT with these flags and fields behind the client id is malformed: 5.0 is told 0x81, 3.x is closed
/// without an answer [MQTT-3.1.4-1].
fn malformed_connects(cases: &[(u8, &[u8])]) {
    for (flags, fields) in cases {
        for (name, level) in [("MQIsdp", 3), ("MQTT", 4)] {
            let rest = [&raw_text("abc"), *fields].concat();
            assert_eq!(answer(&raw_connect(name, level, *flags, &rest)), (Vec::new(), true), "{flags:#010b}");
        }
        // In 5.0 a will begins with its properties.
        let fields = if flags & 0b100 == 0 { fields.to_vec() } else { [b"\0", *fields].concat() };
        let rest = [b"\0".as_slice(), &raw_text("abc"), &fields].concat();
        let (bytes, is_closed) = answer(&raw_connect("MQTT", 5, *flags, &rest));
        assert!(is_closed && bytes[..1] == [0x20] && bytes[2..4] == [0, 0x81], "{flags:#010b}: {bytes:02x?}");
    }
}

#[test]
fn mqtt311_3_1_2_22_a_password_needs_a_user_name_but_not_in_5_0() {
    for (name, level) in [("MQIsdp", 3), ("MQTT", 4)] {
        let rest = [raw_text("abc"), raw_text("secret")].concat();
        assert_eq!(answer(&raw_connect(name, level, 0b0100_0010, &rest)), (Vec::new(), true));
    }
    let rest = [b"\0".to_vec(), raw_text("abc"), raw_text("secret")].concat();
    let (bytes, is_closed) = answer(&raw_connect("MQTT", 5, 0b0100_0010, &rest));
    assert!(!is_closed && bytes[2..4] == [0, 0], "{bytes:02x?}");
}

/// Client id, user name and password of a CONNECT.
type Seen = (String, Option<String>, Option<Vec<u8>>);

/// Remembers who wanted to connect, and refuses those whose name says so.
#[derive(Default)]
struct Doorman {
    seen: Mutex<Vec<Seen>>,
}

impl Authority for Doorman {
    fn connect(&self, credentials: &Credentials<'_>) -> Decision {
        let Credentials { client_id, user_name, password, .. } = *credentials;
        let seen = (client_id.to_owned(), user_name.map(str::to_owned), password.map(<[u8]>::to_vec));
        self.seen.lock().expect("no test panics here").push(seen);
        match client_id.contains("intruder") {
            true => Decision::deny("no intruders", "the test"),
            false => Decision::allow("all others", "the test"),
        }
    }

    fn permit(&self, _: &Identity, action: &Action<'_>) -> Decision {
        match action {
            Action::Will { topic, .. } if topic.starts_with("secret") => {
                Decision::deny("no secrets", "the test")
            }
            _ => Decision::allow("everything else", "the test"),
        }
    }
}

fn guarded(doorman: &Arc<Doorman>) -> Sim {
    Sim::with(SimOptions { authority: Arc::clone(doorman) as _, ..SimOptions::default() })
}

#[test]
fn mqtt5_3_1_3_1_and_mqtt311_3_1_3_1_the_fields_of_the_payload_come_in_their_order() {
    for version in VERSIONS {
        let doorman = Arc::new(Doorman::default());
        let mut sim = guarded(&doorman);
        let watcher = sim.watch("t");
        let options = ConnectOptions {
            user_name: Some("user"),
            password: Some(b"pass"),
            will: Some(will("t", "p")),
            ..options(version, "id")
        };
        let wire = sim.connect_with(&options);
        sim.cut(wire);
        let expected = ("id".to_owned(), Some("user".to_owned()), Some(b"pass".to_vec()));
        assert_eq!(doorman.seen.lock().expect("no panic").last(), Some(&expected), "{version:?}");
        assert_eq!(sim.payloads(watcher), ["p"], "{version:?}");
    }
}

#[test]
fn mqtt5_3_1_4_2_a_client_that_may_not_connect_is_refused() {
    for (version, with_name, without) in [
        (V3_1, ReasonCode::BadUserNameOrPassword, ReasonCode::NotAuthorized),
        (V3_1_1, ReasonCode::BadUserNameOrPassword, ReasonCode::NotAuthorized),
        (V5, ReasonCode::BadUserNameOrPassword, ReasonCode::NotAuthorized),
    ] {
        let mut sim = guarded(&Arc::default());
        assert_eq!(sim.refusal(&options(version, "intruder")), without);
        assert_eq!(
            sim.refusal(&ConnectOptions { user_name: Some("u"), ..options(version, "intruder") }),
            with_name
        );
        assert_eq!(sim.stats().refused, 2);
        assert_eq!(sim.stats().sessions, 0);
    }
}

#[test]
fn mqtt5_3_1_4_2_a_will_that_may_not_be_published_is_refused() {
    for version in VERSIONS {
        let mut sim = guarded(&Arc::default());
        let options = options(version, "a").with_will(will("secret/plan", "p"));
        assert_eq!(sim.refusal(&options), ReasonCode::NotAuthorized, "{version:?}");
    }
}

#[test]
fn mqtt5_3_1_4_6_and_mqtt311_3_1_4_5_nothing_is_processed_after_a_refusal() {
    for version in VERSIONS {
        let mut sim = guarded(&Arc::default());
        let watcher = sim.watch("#");
        let wire = sim.open();
        sim.queue(wire, &connect(version, "intruder"));
        sim.queue(wire, &Packet::Publish(publish("t", b"p", QoS::AtMostOnce, 0)));
        sim.queue(wire, &Packet::PingReq);
        sim.run();
        assert!(matches!(sim.expect(wire), Packet::ConnAck(connack) if connack.reason_code.is_error()));
        assert_eq!(sim.receive(wire), None);
        assert!(sim.is_closed(wire));
        assert_eq!(sim.payloads(watcher), [""; 0]);
    }
}

#[test]
fn mqtt5_3_2_0_1_and_mqtt311_3_2_0_1_packets_behind_connect_are_processed_and_connack_comes_first() {
    for shards in [1, 3] {
        for version in VERSIONS {
            for seed in 0..20 {
                let shuffled = seed > 0;
                let mut sim = Sim::with(SimOptions { seed, shards, shuffled, ..SimOptions::default() });
                let wire = sim.open();
                sim.queue(wire, &connect(version, "eager"));
                sim.queue(wire, &subscribe(1, &[("t", QoS::AtLeastOnce)]));
                sim.queue(wire, &Packet::Publish(publish("t", b"p", QoS::AtLeastOnce, 2)));
                sim.queue(wire, &Packet::PingReq);
                sim.run();
                assert!(matches!(sim.expect(wire), Packet::ConnAck(_)));
                assert!(matches!(sim.expect(wire), Packet::SubAck(_)));
                let rest = sim.drain(wire);
                for is_there in [
                    |packet: &Packet<'_>| matches!(packet, Packet::Publish(_)),
                    |packet: &Packet<'_>| matches!(packet, Packet::PubAck(_)),
                    |packet: &Packet<'_>| matches!(packet, Packet::PingResp),
                ] {
                    assert_eq!(rest.iter().filter(|packet| is_there(packet)).count(), 1, "{rest:?}");
                }
            }
        }
    }
}

#[test]
fn a_connection_that_does_not_say_connect_is_closed_in_time() {
    for begun in [b"".as_slice(), b"\x10", b"\x10\x20\0\x04MQT"] {
        let limits = Limits { connect_timeout_ms: 3_000, ..Limits::default() };
        let mut sim = Sim::with_limits(limits);
        let wire = sim.open();
        sim.send_bytes(wire, begun);
        sim.advance(2_999);
        assert!(!sim.is_closed(wire));
        sim.advance(101);
        assert!(sim.is_closed(wire));
        assert_eq!(sim.wire(wire).unread(), b"", "before CONNACK there is nothing to say");
    }
}

#[test]
fn connect_byte_by_byte_does_not_extend_its_time() {
    let mut sim = Sim::new();
    let wire = sim.open();
    let bytes = raw_connect("MQTT", 4, 2, &raw_text("a client id of some length"));
    for byte in bytes {
        sim.send_bytes(wire, &[byte]);
        sim.advance(300);
    }
    assert!(sim.is_closed(wire), "10 seconds have passed");
}

#[test]
fn a_client_that_has_connected_is_no_longer_bound_by_the_connect_time() {
    for version in VERSIONS {
        let mut sim = Sim::new();
        let wire = sim.connect(version, "a");
        sim.advance(3_600_000);
        sim.expect_alive(wire);
    }
}

#[test]
fn mqtt5_3_1_3_5_and_mqtt311_3_1_3_5_ids_of_1_to_23_digits_and_letters_are_accepted() {
    for version in VERSIONS {
        let mut sim = Sim::new();
        sim.connect(version, "0");
        sim.connect(version, "0123456789abcdefghijklm");
        sim.connect(version, "nopqrstuvwxyzABCDEFGHIJ");
        sim.connect(version, "KLMNOPQRSTUVWXYZ");
        assert_eq!(sim.stats().clients_connected, 4);
    }
}

#[test]
fn longer_ids_and_other_characters_are_accepted_too() {
    let long = "x".repeat(65_535);
    for version in VERSIONS {
        for client_id in [&long, "späte Fledermaus/1", "\u{feff}", "\u{10ffff}", "+/#", "$SYS/x"] {
            let mut sim = Sim::new();
            sim.connect(version, client_id);
        }
    }
}

#[test]
fn mqtt5_3_1_3_8_and_mqtt311_3_1_3_9_an_id_above_the_bound_is_refused() {
    for version in VERSIONS {
        let mut sim = Sim::with_limits(Limits { client_id_bytes_max: 23, ..Limits::default() });
        sim.connect(version, &"x".repeat(23));
        assert_eq!(
            sim.refusal(&options(version, &"x".repeat(24))),
            ReasonCode::ClientIdentifierNotValid,
            "{version:?}"
        );
    }
}

#[test]
fn mqtt5_3_1_3_3_3_1_4_1_and_mqtt311_3_1_3_3_3_1_4_1_the_client_id_is_present() {
    assert_eq!(answer(&raw_connect("MQTT", 4, 2, b"")), (Vec::new(), true));
    let (bytes, is_closed) = answer(&raw_connect("MQTT", 5, 2, b"\0"));
    assert!(is_closed && bytes[2..4] == [0, 0x81], "{bytes:02x?}");
}

#[test]
fn mqtt5_3_1_3_6_7_and_3_2_2_16_an_empty_id_gets_an_assigned_one_no_other_session_uses() {
    for shards in [1, 3] {
        let mut sim = Sim::with(SimOptions { shards, ..SimOptions::default() });
        let mut assigned = Vec::new();
        for clean_start in [true, false, true, true, false] {
            let (wire, connack) = sim.connack(&ConnectOptions { clean_start, ..options(V5, "") });
            assert_eq!(connack.reason_code, ReasonCode::Success);
            assert!(!connack.session_present);
            let id = connack.properties.assigned_client_identifier().expect("it is assigned").to_owned();
            assert!(!assigned.contains(&id), "{id} is assigned twice");
            assigned.push(id);
            sim.expect_alive(wire);
        }
        // The id is a proper one: the client can come back under it and take over.
        let (_, connack) = sim.connack(&options(V5, &assigned[0]));
        assert_eq!(connack.properties.assigned_client_identifier(), None);
        assert_eq!(sim.stats().takeovers, 1);
    }
}

#[test]
fn mqtt311_3_1_3_6_7_8_an_empty_id_needs_a_clean_session() {
    let mut sim = Sim::new();
    let first = sim.connect(V3_1_1, "");
    let second = sim.connect(V3_1_1, "");
    sim.expect_alive(first);
    sim.expect_alive(second);
    let options = ConnectOptions { clean_start: false, ..options(V3_1_1, "") };
    assert_eq!(sim.refusal(&options), ReasonCode::ClientIdentifierNotValid);
}

#[test]
fn mqtt_3_1_has_no_empty_client_id() {
    for clean_start in [true, false] {
        let options = ConnectOptions { clean_start, ..options(V3_1, "") };
        assert_eq!(Sim::new().refusal(&options), ReasonCode::ClientIdentifierNotValid);
    }
}

#[test]
fn mqtt5_3_1_4_5_3_2_0_2_3_2_2_1_and_mqtt311_3_1_4_4_an_accepted_connect_gets_one_connack() {
    for version in VERSIONS {
        let mut sim = Sim::new();
        let wire = sim.dial(&options(version, "a"));
        assert_eq!(sim.wire(wire).unread()[0], 0x20);
        // The flags with their reserved bits, and the code.
        assert_eq!(sim.wire(wire).unread()[2..4], [0, 0]);
        sim.drain(wire);
        sim.advance(1_000);
        assert_eq!(sim.receive(wire), None);
    }
}

#[test]
fn mqtt311_3_2_2_6_what_no_return_code_fits_is_closed_without_connack() {
    let limits = Limits { maximum_qos: QoS::AtLeastOnce, retain_available: false, ..Limits::default() };
    for version in [V3_1, V3_1_1] {
        for (qos, retain) in [(QoS::ExactlyOnce, false), (QoS::AtMostOnce, true)] {
            let mut sim = Sim::with_limits(limits.clone());
            let will = noctule_codec::Will { qos, retain, ..will("t", "p") };
            let wire = sim.dial(&options(version, "a").with_will(will));
            assert_eq!(sim.receive(wire), None);
            assert!(sim.is_closed(wire));
        }
    }
}

#[test]
fn mqtt5_3_2_2_12_13_a_will_beyond_the_announced_features_is_refused() {
    let limits = Limits { maximum_qos: QoS::AtLeastOnce, retain_available: false, ..Limits::default() };
    for (qos, retain, expected) in [
        (QoS::ExactlyOnce, false, ReasonCode::QoSNotSupported),
        (QoS::AtMostOnce, true, ReasonCode::RetainNotSupported),
    ] {
        let will = noctule_codec::Will { qos, retain, ..will("t", "p") };
        let mut sim = Sim::with_limits(limits.clone());
        assert_eq!(sim.refusal(&options(V5, "a").with_will(will)), expected);
    }
    let will = noctule_codec::Will { qos: QoS::AtLeastOnce, ..will("t", "p") };
    Sim::with_limits(limits).connect_with(&options(V5, "a").with_will(will));
}

#[test]
fn mqtt5_3_2_2_9_connack_announces_what_is_configured() {
    let limits = Limits {
        maximum_qos: QoS::AtLeastOnce,
        retain_available: false,
        wildcard_subscription_available: false,
        subscription_identifiers_available: false,
        shared_subscription_available: false,
        receive_maximum: 7,
        packet_bytes_max: 1234,
        topic_alias_maximum: 3,
        ..Limits::default()
    };
    let (_, connack) = Sim::with_limits(limits).connack(&options(V5, "a"));
    let properties = connack.properties;
    assert_eq!(properties.maximum_qos(), Some(QoS::AtLeastOnce));
    assert_eq!(properties.retain_available(), Some(false));
    assert_eq!(properties.wildcard_subscription_available(), Some(false));
    assert_eq!(properties.subscription_identifier_available(), Some(false));
    assert_eq!(properties.shared_subscription_available(), Some(false));
    assert_eq!(properties.receive_maximum(), Some(7));
    assert_eq!(properties.maximum_packet_size(), Some(1234));
    assert_eq!(properties.topic_alias_maximum(), Some(3));
}

#[test]
fn gmqtt_108_maximum_qos_2_is_said_by_silence() {
    let (_, connack) = Sim::new().connack(&options(V5, "a"));
    assert_eq!(connack.properties.maximum_qos(), None);
    assert_eq!(connack.properties.retain_available(), None);
    assert_eq!(connack.properties.shared_subscription_available(), None);
}

#[test]
fn mqtt5_3_2_2_11_14_features_that_are_off_end_the_connection_of_who_uses_them() {
    let limits = Limits { maximum_qos: QoS::AtLeastOnce, retain_available: false, ..Limits::default() };
    let over_qos = publish("t", b"p", QoS::ExactlyOnce, 1);
    let retained = noctule_codec::Publish { retain: true, ..publish("t", b"p", QoS::AtMostOnce, 0) };
    for version in VERSIONS {
        for (packet, expected) in
            [(&over_qos, ReasonCode::QoSNotSupported), (&retained, ReasonCode::RetainNotSupported)]
        {
            let mut sim = Sim::with_limits(limits.clone());
            let wire = sim.connect(version, "a");
            sim.send(wire, &Packet::Publish(packet.clone()));
            sim.expect_end(wire, expected);
        }
    }
}

#[test]
fn mqtt5_3_2_2_10_subscriptions_of_any_qos_are_granted_what_there_is() {
    let mut sim = Sim::with_limits(Limits { maximum_qos: QoS::AtMostOnce, ..Limits::default() });
    let wire = sim.connect(V5, "a");
    sim.send(wire, &subscribe(1, &[("t", QoS::ExactlyOnce), ("u", QoS::AtLeastOnce)]));
    let Packet::SubAck(suback) = sim.expect(wire) else { panic!("no SUBACK") };
    assert_eq!(suback.reason_codes[..], [ReasonCode::GRANTED_QOS_0; 2]);
}

#[test]
fn mqtt5_3_1_2_28_response_information_is_given_to_who_asks() {
    let limits = Limits { response_information: "reply/here".to_owned(), ..Limits::default() };
    let mut sim = Sim::with_limits(limits);
    let asks = |yes| options(V5, "a").with(Property::RequestResponseInformation(yes));
    let (_, connack) = sim.connack(&asks(true));
    assert_eq!(connack.properties.response_information(), Some("reply/here"));
    for options in [asks(false), options(V5, "a")] {
        let (_, connack) = sim.connack(&options);
        assert_eq!(connack.properties.response_information(), None);
    }
}

#[test]
fn mqtt5_3_1_2_29_without_problem_information_acknowledgements_explain_nothing() {
    for (asks, expected) in [(Some(false), false), (Some(true), true), (None, true)] {
        let limits = Limits { retained_messages_max: 1, ..Limits::default() };
        let mut sim = Sim::with_limits(limits);
        let mut options = options(V5, "a");
        if let Some(asks) = asks {
            options = options.with(Property::RequestProblemInformation(asks));
        }
        let wire = sim.connect_with(&options);
        let retained =
            |topic| noctule_codec::Publish { retain: true, ..publish(topic, b"p", QoS::AtLeastOnce, 1) };
        sim.send(wire, &Packet::Publish(retained("a")));
        sim.send(wire, &Packet::Publish(retained("b")));
        sim.expect(wire);
        let Packet::PubAck(puback) = sim.expect(wire) else { panic!("no PUBACK") };
        assert_eq!(puback.reason_code, ReasonCode::QuotaExceeded);
        assert_eq!(puback.properties.reason_string().is_some(), expected, "{asks:?}");
        // DISCONNECT may always explain itself.
        sim.send(wire, &connect(V5, "a"));
        let Packet::Disconnect(disconnect) = sim.expect(wire) else { panic!("no DISCONNECT") };
        assert!(disconnect.properties.reason_string().is_some());
    }
}

#[test]
fn a_server_that_has_moved_refers_clients_there() {
    for (server_moved, expected) in [(false, ReasonCode::UseAnotherServer), (true, ReasonCode::ServerMoved)] {
        let limits = Limits { server_reference: "other:1883".to_owned(), server_moved, ..Limits::default() };
        let mut sim = Sim::with_limits(limits);
        let (wire, connack) = sim.connack(&options(V5, "a"));
        assert_eq!(connack.reason_code, expected);
        assert_eq!(connack.properties.server_reference(), Some("other:1883"));
        assert!(sim.is_closed(wire));
        for version in [V3_1, V3_1_1] {
            assert_eq!(sim.refusal(&options(version, "a")), ReasonCode::ServerUnavailable);
        }
    }
}

#[test]
fn mqtt5_3_2_2_6_7_and_mqtt311_3_2_2_4_5_a_refusal_has_no_session_and_closes() {
    // `refusal` asserts both; here a session is there to be mentioned.
    for version in VERSIONS {
        let mut sim = Sim::with_limits(Limits { maximum_qos: QoS::AtLeastOnce, ..Limits::default() });
        let durable = ConnectOptions::durable(version, "a", 100);
        let wire = sim.connect_with(&durable);
        sim.cut(wire);
        if version == V5 {
            let will = noctule_codec::Will { qos: QoS::ExactlyOnce, ..will("t", "p") };
            assert_eq!(sim.refusal(&durable.clone().with_will(will)), ReasonCode::QoSNotSupported);
        }
        assert_eq!(sim.stats().sessions, 1, "a refused CONNECT leaves the session alone");
        let (_, connack) = sim.connack(&durable);
        assert_eq!(connack.session_present, version != V3_1);
    }
}

#[test]
fn mqtt5_3_2_2_19_a_refusal_fits_the_clients_maximum_packet_size() {
    let mut sim = Sim::with_limits(Limits { client_id_bytes_max: 3, ..Limits::default() });
    for bytes_max in [1, 4, 5, 20, 40, 200] {
        let options = options(V5, "long").with(Property::MaximumPacketSize(bytes_max));
        let wire = sim.dial(&options);
        assert!(sim.is_closed(wire));
        assert!(sim.wire(wire).unread().len() <= bytes_max as usize, "{bytes_max}");
        // Five bytes are a CONNACK with its code.
        match sim.receive(wire) {
            Some(Packet::ConnAck(connack)) => {
                assert_eq!(connack.reason_code, ReasonCode::ClientIdentifierNotValid);
            }
            packet => assert!(packet.is_none() && bytes_max < 5, "{bytes_max}: {packet:?}"),
        }
    }
}

/// The bound is for the names that clients choose; what the broker gave away stays theirs.
#[test]
fn mqtt5_3_1_3_7_an_assigned_id_is_welcome_again_however_short_ids_must_be() {
    let mut sim = Sim::with_limits(Limits { client_id_bytes_max: 3, ..Limits::default() });
    let (wire, connack) = sim.connack(&ConnectOptions::durable(V5, "", 60));
    let id = connack.properties.assigned_client_identifier().expect("it is assigned").to_owned();
    sim.cut(wire);
    let (_, connack) = sim.connack(&ConnectOptions::durable(V5, &id, 60));
    assert_eq!((connack.reason_code, connack.session_present), (ReasonCode::Success, true));
}

#[test]
fn mqtt5_2_2_2_1_no_properties_is_a_length_of_zero() {
    let mut sim = Sim::with_limits(Limits { client_id_bytes_max: 3, ..Limits::default() });
    let wire = sim.dial(&options(V5, "long").with(Property::MaximumPacketSize(5)));
    assert_eq!(sim.wire(wire).unread(), [0x20, 3, 0, 0x85, 0]);
}

#[test]
fn mqtt5_3_1_2_24_a_client_that_cannot_read_its_connack_is_refused() {
    for bytes_max in 1..40 {
        let mut sim = Sim::with_limits(Limits { receive_maximum: 1024, ..Limits::default() });
        let wire = sim.dial(&options(V5, "a").with(Property::MaximumPacketSize(bytes_max)));
        assert!(sim.wire(wire).unread().len() <= bytes_max as usize);
        match sim.receive(wire) {
            Some(Packet::ConnAck(connack)) if connack.reason_code == ReasonCode::Success => {
                assert!(!sim.is_closed(wire));
                assert_eq!(connack.properties.receive_maximum(), Some(1024), "limits are announced whole");
            }
            Some(Packet::ConnAck(connack)) => {
                assert_eq!(connack.reason_code, ReasonCode::PacketTooLarge);
                assert!(sim.is_closed(wire) && sim.stats().sessions == 0);
            }
            packet => assert!(packet.is_none() && sim.is_closed(wire), "{bytes_max}: {packet:?}"),
        }
    }
}

#[test]
fn mqtt5_3_1_2_24_25_an_oversize_message_is_dropped_and_the_next_one_comes() {
    let mut sim = Sim::new();
    let wire = sim.connect_with(&options(V5, "a").with(Property::MaximumPacketSize(60)));
    sim.subscribe(wire, "t", QoS::AtLeastOnce);
    let publisher = sim.connect(V5, "b");
    for payload in ["small", &"x".repeat(100), "again"] {
        sim.publish(publisher, "t", payload, QoS::AtLeastOnce);
    }
    assert_eq!(sim.payloads(wire), ["small", "again"]);
    assert_eq!(sim.drops.len(), 1);
    // DISCONNECT leaves out its reason string where that is too long.
    sim.send(wire, &connect(V5, "a"));
    assert!(sim.wire(wire).unread().len() <= 60);
    sim.expect_end(wire, ReasonCode::ProtocolError);
}

#[test]
fn a_packet_above_the_announced_maximum_ends_the_connection() {
    for version in VERSIONS {
        let mut sim = Sim::with_limits(Limits { packet_bytes_max: 100, ..Limits::default() });
        let wire = sim.connect(version, "a");
        let fits = publish("t", &[b'x'; 90], QoS::AtMostOnce, 0);
        sim.send(wire, &Packet::Publish(fits));
        sim.expect_alive(wire);
        // Its header is enough; the broker does not wait for 256 MiB.
        sim.send_bytes(wire, &[0x30, 0xff, 0xff, 0xff, 0x7f]);
        sim.expect_end(wire, ReasonCode::PacketTooLarge);
        let wire = sim.open();
        sim.send_bytes(wire, &[0x10, 0xff, 0xff, 0xff, 0x7f]);
        assert!(sim.is_closed(wire));
    }
}

#[test]
fn mqtt5_3_1_2_26_27_aliases_go_only_to_clients_that_allow_them() {
    for (alias_maximum, expected) in [(None, 0), (Some(0), 0), (Some(1), 1), (Some(2), 2)] {
        let mut sim = Sim::new();
        let mut options = options(V5, "a");
        if let Some(alias_maximum) = alias_maximum {
            options = options.with(Property::TopicAliasMaximum(alias_maximum));
        }
        let wire = sim.connect_with(&options);
        sim.subscribe(wire, "#", QoS::AtMostOnce);
        let publisher = sim.connect(V5, "b");
        for topic in ["t", "u", "v", "t", "u", "v"] {
            sim.publish(publisher, topic, "p", QoS::AtMostOnce);
        }
        let aliases = sim.drain(wire).into_iter().filter_map(|packet| match packet {
            Packet::Publish(publish) => publish.properties.topic_alias(),
            _ => None,
        });
        assert_eq!(aliases.max().unwrap_or(0), expected, "{alias_maximum:?}");
    }
}

#[test]
fn mqtt5_3_2_2_21_22_the_keep_alive_in_force() {
    // (the configured maximum, what the client asks, what it is told)
    for (max, asked, told) in
        [(0, 0, None), (0, 50, None), (60, 50, None), (60, 60, None), (60, 61, Some(60)), (60, 0, Some(60))]
    {
        let limits = Limits { keep_alive_seconds_max: max, ..Limits::default() };
        let options = |version| ConnectOptions { keep_alive_seconds: asked, ..options(version, "a") };
        let mut sim = Sim::with_limits(limits.clone());
        let (wire, connack) = sim.connack(&options(V5));
        assert_eq!(connack.properties.server_keep_alive(), told, "{max} {asked}");
        silence_ends(&mut sim, wire, told.unwrap_or(asked));
        // 3.x cannot be told, so it keeps its own.
        for version in [V3_1, V3_1_1] {
            let mut sim = Sim::with_limits(limits.clone());
            let wire = sim.connect_with(&options(version));
            silence_ends(&mut sim, wire, asked);
        }
    }
}

/// One and a half keep alives of silence end the connection, and not a moment less.
fn silence_ends(sim: &mut Sim, wire: usize, keep_alive_seconds: u16) {
    if keep_alive_seconds == 0 {
        sim.advance(200_000_000);
        return sim.expect_alive(wire);
    }
    sim.advance(u64::from(keep_alive_seconds) * 1500 - 1);
    assert!(!sim.is_closed(wire));
    sim.advance(101);
    sim.expect_end(wire, ReasonCode::KeepAliveTimeout);
}

#[test]
fn mqtt5_4_12_0_1_4_an_authentication_method_is_refused_as_long_as_there_is_none() {
    let options = options(V5, "a").with(Property::AuthenticationMethod("SCRAM-SHA-1"));
    assert_eq!(Sim::new().refusal(&options), ReasonCode::BadAuthenticationMethod);
    let with_data = options.with(Property::AuthenticationData(b"n,,n=user"));
    assert_eq!(Sim::new().refusal(&with_data), ReasonCode::BadAuthenticationMethod);
}

#[test]
fn an_authentication_method_of_any_length_is_refused_in_words_that_fit() {
    let method = "\u{1}".repeat(65_535);
    let options = options(V5, "a").with(Property::AuthenticationMethod(&method));
    assert_eq!(Sim::new().refusal(&options), ReasonCode::BadAuthenticationMethod);
    let topic = format!("secret/{}", "\u{1}".repeat(65_000));
    let mut sim = guarded(&Arc::default());
    let options = ConnectOptions::default().with_will(will(&topic, "p"));
    assert_eq!(sim.refusal(&options), ReasonCode::NotAuthorized);
}

#[test]
fn authentication_data_needs_a_method() {
    let options = options(V5, "a").with(Property::AuthenticationData(b"x"));
    assert_eq!(Sim::new().refusal(&options), ReasonCode::ProtocolError);
}

#[test]
fn mqtt5_4_12_0_6_7_who_named_no_method_neither_gets_nor_sends_auth() {
    let mut sim = Sim::new();
    let (wire, connack) = sim.connack(&options(V5, "a"));
    assert_eq!(connack.properties.authentication_method(), None);
    let properties = Properties::new().with(Property::AuthenticationMethod("x"));
    let auth = Auth { reason_code: ReasonCode::ReAuthenticate, properties };
    sim.send(wire, &Packet::Auth(auth));
    sim.expect_end(wire, ReasonCode::ProtocolError);
}

#[test]
fn auth_does_not_exist_before_5_0() {
    for version in [V3_1, V3_1_1] {
        let mut sim = Sim::new();
        let wire = sim.connect(version, "a");
        sim.send_bytes(wire, &[0xf0, 0]);
        sim.expect_end(wire, ReasonCode::MalformedPacket);
    }
}
