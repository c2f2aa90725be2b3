//! What breaks the rules of the wire: 5.0 is told the code, 3.x is closed, and the neighbours go on.

use noctule_codec::ProtocolVersion::{V3_1, V3_1_1, V5};
use noctule_codec::{Packet, ProtocolVersion, QoS, ReasonCode};
use noctule_testkit::sim::{Sim, VERSIONS, publish, raw, raw_connect, raw_text};

const MALFORMED: ReasonCode = ReasonCode::MalformedPacket;
const PROTOCOL_ERROR: ReasonCode = ReasonCode::ProtocolError;

/// These bytes end a connection of this version with this code, and nobody else's.
#[track_caller]
fn ends(version: ProtocolVersion, bytes: &[u8], reason_code: ReasonCode) {
    let mut sim = Sim::new();
    let neighbour = sim.connect(V5, "neighbour");
    let wire = sim.connect(version, "a");
    sim.send_bytes(wire, bytes);
    assert!(sim.is_closed(wire), "{version:?} goes on after {bytes:02x?}");
    sim.expect_end(wire, reason_code);
    sim.expect_alive(neighbour);
}

/// A connection of this version goes on after these bytes.
#[track_caller]
fn goes_on(version: ProtocolVersion, bytes: &[u8]) {
    let mut sim = Sim::new();
    let wire = sim.connect(version, "a");
    sim.send_bytes(wire, bytes);
    sim.expect_alive(wire);
}

/// The flags that the standard lists for each packet type; PUBLISH has a rule of its own.
const LISTED_FLAGS: [(u8, u8); 12] =
    [(1, 0), (2, 0), (4, 0), (5, 0), (6, 2), (7, 0), (8, 2), (9, 0), (10, 2), (11, 0), (12, 0), (13, 0)];

#[test]
fn mqtt5_2_1_3_1_and_mqtt311_2_2_2_1_2_other_flags_than_the_listed_end_the_connection() {
    for (packet_type, listed) in LISTED_FLAGS {
        for flags in (0..16).filter(|flags| *flags != listed) {
            // Whether a server's packet is refused for its flags or its direction does not matter.
            let is_servers = matches!(packet_type, 2 | 9 | 11 | 13);
            let code = if is_servers { PROTOCOL_ERROR } else { MALFORMED };
            ends(V5, &[packet_type << 4 | flags, 0], code);
            ends(V3_1_1, &[packet_type << 4 | flags, 0], code);
        }
    }
}

#[test]
fn mqtt5_3_6_1_1_3_8_1_1_3_10_1_1_and_mqtt311_3_6_1_1_3_8_1_1_3_10_1_1_flags_0010() {
    for (first_byte, body) in [(0x60, b"\0\x01".to_vec()), (0x80, subscription()), (0xa0, subscription())] {
        for version in [V3_1_1, V5] {
            for flags in (0..16).filter(|flags| *flags != 2) {
                ends(version, &raw(first_byte | flags, &body), MALFORMED);
            }
        }
    }
}

fn subscription() -> Vec<u8> {
    [b"\0\x01".to_vec(), raw_text("t"), vec![0]].concat()
}

#[test]
fn mqtt_3_1_may_repeat_pubrel_and_subscribe_with_dup() {
    goes_on(V3_1, &raw(0x6a, b"\0\x01"));
    goes_on(V3_1, &raw(0x8a, &subscription()));
}

#[test]
fn mqtt5_3_3_1_4_and_mqtt311_3_3_1_4_qos_3_ends_the_connection() {
    for version in VERSIONS {
        for first_byte in [0x36, 0x37, 0x3e, 0x3f] {
            ends(version, &raw(first_byte, b"\0\x01t\0\x01"), MALFORMED);
        }
    }
}

#[test]
fn mqtt5_3_3_1_2_and_mqtt311_3_3_1_2_dup_belongs_to_qos_above_0() {
    for version in [V3_1_1, V5] {
        ends(version, &raw(0x38, b"\0\x01t\0"), MALFORMED);
    }
}

#[test]
fn packet_type_0_is_reserved() {
    for version in VERSIONS {
        ends(version, &[0, 0], MALFORMED);
    }
}

#[test]
fn bug_24_mosquitto_2163_a_connack_from_a_client() {
    for bytes in [&[0x20, 2, 0, 0][..], &[0x20, 3, 0, 0, 0], &[0x20, 0], &[0x20]] {
        for version in VERSIONS {
            let mut sim = Sim::new();
            let wire = sim.connect(version, "a");
            sim.send_bytes(wire, bytes);
            sim.expect_end(wire, PROTOCOL_ERROR);
        }
        let mut sim = Sim::new();
        let wire = sim.open();
        sim.send_bytes(wire, bytes);
        assert!(sim.is_closed(wire));
        assert_eq!(sim.wire(wire).unread(), b"");
    }
}

#[test]
fn what_only_a_server_sends_ends_the_connection() {
    for version in VERSIONS {
        for bytes in [&[0x20, 2, 0, 0][..], &[0x90, 3, 0, 1, 0], &[0xb0, 2, 0, 1], &[0xd0, 0]] {
            ends(version, bytes, PROTOCOL_ERROR);
        }
    }
}

#[test]
fn mqtt5_1_5_5_1_a_variable_byte_integer_is_as_short_as_can_be() {
    ends(V5, &[0xc0, 0x80, 0], MALFORMED);
    ends(V5, &[0x30, 0x84, 0, 0, 1, b't', 0], MALFORMED);
    // A property length, and a subscription identifier.
    ends(V5, &raw(0x30, &[0, 1, b't', 0x80, 0]), MALFORMED);
    ends(V5, &raw(0x82, &[0, 1, 3, 0x0b, 0x81, 0, 0, 1, b't', 0]), MALFORMED);
    // The older versions do not ask for it.
    for version in [V3_1, V3_1_1] {
        goes_on(version, &[0xc0, 0x80, 0]);
    }
}

#[test]
fn a_variable_byte_integer_has_four_bytes_at_most() {
    for version in VERSIONS {
        ends(version, &[0x30, 0x80, 0x80, 0x80, 0x80], MALFORMED);
        ends(version, &[0x30, 0xff, 0xff, 0xff, 0xff, 0x7f], MALFORMED);
    }
    ends(V5, &raw(0x30, &[0, 1, b't', 0xff, 0xff, 0xff, 0xff, 1]), MALFORMED);
}

#[test]
fn mqtt5_4_13_1_1_malformed_packets_and_protocol_errors_end_the_connection_with_their_code() {
    let text = |body: &[u8]| body.to_vec();
    let cases: Vec<(&str, u8, Vec<u8>, ReasonCode)> = vec![
        ("PINGREQ with a body", 0xc0, text(b"x"), MALFORMED),
        ("PUBLISH without topic", 0x30, text(b""), MALFORMED),
        ("PUBLISH with half a topic", 0x30, text(b"\0\x05ab"), MALFORMED),
        ("PUBLISH without properties", 0x30, text(b"\0\x01t"), MALFORMED),
        ("PUBLISH with an empty topic", 0x30, text(b"\0\0\0p"), PROTOCOL_ERROR),
        ("PUBLISH with +", 0x30, text(b"\0\x03a/+\0"), ReasonCode::TopicNameInvalid),
        ("PUBLISH with #", 0x30, text(b"\0\x01#\0"), ReasonCode::TopicNameInvalid),
        ("PUBLISH with packet id 0", 0x32, text(b"\0\x01t\0\0\0"), PROTOCOL_ERROR),
        ("PUBLISH without packet id", 0x32, text(b"\0\x01t"), MALFORMED),
        ("PUBLISH with half a packet id", 0x34, text(b"\0\x01t\0"), MALFORMED),
        ("PUBLISH with a property past its end", 0x30, text(b"\0\x01t\x03\x01"), MALFORMED),
        ("PUBLISH with half a property", 0x30, text(b"\0\x01t\x02\x02\0"), MALFORMED),
        (
            "PUBLISH with a wild response topic",
            0x30,
            text(b"\0\x01t\x04\x08\0\x01#"),
            ReasonCode::TopicNameInvalid,
        ),
        ("PUBLISH with an empty response topic", 0x30, text(b"\0\x01t\x03\x08\0\0"), PROTOCOL_ERROR),
        ("PUBLISH with alias 0", 0x30, text(b"\0\x01t\x03\x23\0\0"), ReasonCode::TopicAliasInvalid),
        (
            "PUBLISH with an alias too high",
            0x30,
            text(b"\0\x01t\x03\x23\0\x21"),
            ReasonCode::TopicAliasInvalid,
        ),
        ("PUBLISH with an unknown alias", 0x30, text(b"\0\0\x03\x23\0\x01"), PROTOCOL_ERROR),
        ("PUBACK without packet id", 0x40, text(b""), MALFORMED),
        ("PUBACK with half a packet id", 0x40, text(b"\0"), MALFORMED),
        ("PUBACK with packet id 0", 0x40, text(b"\0\0"), PROTOCOL_ERROR),
        ("PUBACK with another packet's code", 0x40, text(b"\0\x01\x92"), PROTOCOL_ERROR),
        ("PUBREC with the server's code", 0x50, text(b"\0\x01\x10"), PROTOCOL_ERROR),
        ("PUBREL with packet id 0", 0x62, text(b"\0\0"), PROTOCOL_ERROR),
        ("PUBREL with another packet's code", 0x62, text(b"\0\x01\x80"), PROTOCOL_ERROR),
        ("PUBCOMP with another packet's code", 0x70, text(b"\0\x01\x91"), PROTOCOL_ERROR),
        ("PUBCOMP with too much behind it", 0x70, text(b"\0\x01\0\0x"), MALFORMED),
        ("SUBSCRIBE without filters", 0x82, text(b"\0\x01\0"), PROTOCOL_ERROR),
        ("SUBSCRIBE without packet id", 0x82, text(b""), MALFORMED),
        ("SUBSCRIBE with packet id 0", 0x82, text(b"\0\0\0\0\x01t\0"), PROTOCOL_ERROR),
        ("SUBSCRIBE without options", 0x82, text(b"\0\x01\0\0\x01t"), MALFORMED),
        ("SUBSCRIBE with reserved bit 6", 0x82, text(b"\0\x01\0\0\x01t\x40"), MALFORMED),
        ("SUBSCRIBE with reserved bit 7", 0x82, text(b"\0\x01\0\0\x01t\x80"), MALFORMED),
        ("SUBSCRIBE with QoS 3", 0x82, text(b"\0\x01\0\0\x01t\x03"), PROTOCOL_ERROR),
        ("SUBSCRIBE with Retain Handling 3", 0x82, text(b"\0\x01\0\0\x01t\x30"), PROTOCOL_ERROR),
        ("SUBSCRIBE with identifier 0", 0x82, text(b"\0\x01\x02\x0b\0\0\x01t\0"), PROTOCOL_ERROR),
        ("SUBSCRIBE with a second filter cut off", 0x82, text(b"\0\x01\0\0\x01t\0\0\x05u"), MALFORMED),
        ("UNSUBSCRIBE without filters", 0xa2, text(b"\0\x01\0"), PROTOCOL_ERROR),
        ("UNSUBSCRIBE with packet id 0", 0xa2, text(b"\0\0\0\0\x01t"), PROTOCOL_ERROR),
        ("UNSUBSCRIBE with half a filter", 0xa2, text(b"\0\x01\0\0\x05t"), MALFORMED),
        ("DISCONNECT with too much behind it", 0xe0, text(b"\0\0x"), MALFORMED),
        ("AUTH without method", 0xf0, text(b"\x18\0"), PROTOCOL_ERROR),
    ];
    for (name, first_byte, body, code) in cases {
        let mut sim = Sim::new();
        let wire = sim.connect(V5, "a");
        sim.send_bytes(wire, &raw(first_byte, &body));
        assert!(sim.is_closed(wire), "{name}");
        let told = sim.expect(wire);
        assert!(matches!(&told, Packet::Disconnect(it) if it.reason_code == code), "{name}: {told:?}");
    }
}

#[test]
fn mqtt5_4_7_0_1_4_7_3_1_2_and_mqtt311_4_7_1_1_4_7_3_1_2_topic_names_are_not_empty_nor_wild() {
    let invalid_name = ReasonCode::TopicNameInvalid;
    for (topic, code) in
        [("", PROTOCOL_ERROR), ("+", invalid_name), ("a/#", invalid_name), ("a\0", MALFORMED)]
    {
        for version in VERSIONS {
            let no_properties: &[u8] = if version == V5 { b"\0" } else { b"" };
            ends(version, &raw(0x30, &[&raw_text(topic), no_properties].concat()), code);
        }
    }
}

#[test]
fn mqtt5_4_7_3_1_and_mqtt311_4_7_3_1_a_filter_is_not_empty() {
    for version in VERSIONS {
        let no_properties: &[u8] = if version == V5 { b"\0" } else { b"" };
        let body = [b"\0\x01", no_properties, b"\0\0"].concat();
        ends(version, &raw(0x82, &[&body[..], b"\0"].concat()), ReasonCode::TopicFilterInvalid);
        ends(version, &raw(0xa2, &body), ReasonCode::TopicFilterInvalid);
    }
}

#[test]
fn mqtt311_4_8_0_1_a_violation_closes_without_a_word() {
    let cases: [(u8, &[u8]); 17] = [
        (0xc0, b"x"),
        (0x30, b""),
        (0x30, b"\0\x05ab"),
        (0x30, b"\0\0p"),
        (0x30, b"\0\x03a/+"),
        (0x32, b"\0\x01t\0\0"),
        (0x32, b"\0\x01t\0"),
        (0x40, b"\0"),
        (0x40, b"\0\0"),
        (0x40, b"\0\x01\0"),
        (0x82, b"\0\x01"),
        (0x82, b"\0\0\0\x01t\0"),
        (0x82, b"\0\x01\0\x01t"),
        (0x82, b"\0\x01\0\x01t\x03"),
        (0x82, b"\0\x01\0\x01t\x04"),
        (0xa2, b"\0\x01"),
        (0xe0, b"\0"),
    ];
    for version in [V3_1, V3_1_1] {
        for (first_byte, body) in cases {
            ends(version, &raw(first_byte, body), MALFORMED);
        }
    }
}

/// Bytes that are no text: U+0000, surrogates, overlong forms, beyond U+10FFFF, cut off, never valid.
const NOT_TEXT: [&[u8]; 11] = [
    b"a\0",
    b"\0",
    b"\xed\xa0\x80",
    b"\xed\xbf\xbf",
    b"\xc0\x80",
    b"\xe0\x80\xaf",
    b"\xf4\x90\x80\x80",
    b"\xe2\x82",
    b"a\x80",
    b"\xff",
    b"\xf8\x88\x80\x80\x80",
];

#[test]
fn mqtt5_1_5_4_1_2_and_mqtt311_1_5_3_1_2_text_is_utf_8_without_u_0000() {
    for wrong in NOT_TEXT {
        let field = raw_text(wrong);
        for version in VERSIONS {
            let no_properties: &[u8] = if version == V5 { b"\0" } else { b"" };
            ends(version, &raw(0x30, &[&field, no_properties].concat()), MALFORMED);
            ends(version, &raw(0x82, &[b"\0\x01", no_properties, &field, b"\0"].concat()), MALFORMED);
            ends(version, &raw(0xa2, &[b"\0\x01", no_properties, &field].concat()), MALFORMED);
        }
    }
}

#[test]
fn mqtt5_1_5_4_1_and_1_5_7_1_the_text_of_properties_is_utf_8() {
    for wrong in NOT_TEXT {
        let (wrong, right) = (raw_text(wrong), raw_text("x"));
        for property in [
            [b"\x03", &wrong[..]].concat(),
            [b"\x08", &wrong[..]].concat(),
            [b"\x26", &wrong[..], &right].concat(),
            [b"\x26", &right[..], &wrong].concat(),
        ] {
            let length = u8::try_from(property.len()).expect("short");
            let body = [b"\0\x01t".as_slice(), &[length], &property].concat();
            ends(V5, &raw(0x30, &body), MALFORMED);
        }
    }
}

#[test]
fn mqtt5_3_1_3_4_11_12_and_mqtt311_3_1_3_4_10_11_the_text_of_connect_is_utf_8() {
    for wrong in NOT_TEXT {
        let (wrong, right) = (raw_text(wrong), raw_text("x"));
        for (flags, fields) in [
            (0b0000_0010, vec![&wrong]),
            (0b0000_0110, vec![&right, &wrong, &right]),
            (0b1000_0010, vec![&right, &wrong]),
        ] {
            for (name, level) in [("MQIsdp", 3), ("MQTT", 4), ("MQTT", 5)] {
                let mut rest = Vec::new();
                for (place, field) in fields.iter().enumerate() {
                    // 5.0 has properties before the client id and before the will topic.
                    if level == 5 && (place == 0 || place == 1 && flags & 0b100 != 0) {
                        rest.push(0);
                    }
                    rest.extend_from_slice(field);
                }
                let mut sim = Sim::new();
                let wire = sim.open();
                sim.send_bytes(wire, &raw_connect(name, level, flags, &rest));
                assert!(sim.is_closed(wire));
                let answer = sim.wire(wire).unread();
                match level {
                    5 => assert_eq!((answer[0], answer[3]), (0x20, 0x81)),
                    _ => assert_eq!(answer, b"", "a malformed 3.x CONNECT gets no CONNACK"),
                }
            }
        }
    }
}

#[test]
fn every_other_character_is_text() {
    for text in ["\u{10ffff}", "\u{ffff}", "\u{fdd0}", "\u{1}", "\u{7f}", "\u{d7ff}\u{e000}", "€", " "] {
        for version in VERSIONS {
            let mut sim = Sim::new();
            let watcher = sim.watch(text);
            let wire = sim.connect(version, text);
            sim.publish(wire, text, "p", QoS::AtLeastOnce);
            assert_eq!(sim.payloads(watcher), ["p"], "{text:?}");
        }
    }
}

#[test]
fn mqtt5_1_5_4_3_and_mqtt311_1_5_3_3_a_byte_order_mark_is_kept() {
    for version in VERSIONS {
        let mut sim = Sim::new();
        let watcher = sim.watch("#");
        let bare = sim.connect(version, "bare");
        sim.subscribe(bare, "t", QoS::AtMostOnce);
        let publisher = sim.connect(version, "publisher");
        sim.send(publisher, &Packet::Publish(publish("\u{feff}t", b"p", QoS::AtMostOnce, 0)));
        let Packet::Publish(publish) = sim.expect(watcher) else { panic!("no PUBLISH") };
        assert_eq!(publish.topic, "\u{feff}t");
        assert_eq!(sim.receive(bare), None);
    }
}

/// The packets of a client that have properties, and the properties the standard lists for each; last, those
/// that exist but may not come from a client.
#[rustfmt::skip]
const LISTED_PROPERTIES: [(&str, &[u8], &[u8]); 10] = [
    ("CONNECT", &[0x11, 0x15, 0x17, 0x19, 0x21, 0x22, 0x26, 0x27], &[0x16]),
    ("will", &[0x01, 0x02, 0x03, 0x08, 0x09, 0x18, 0x26], &[]),
    ("PUBLISH", &[0x01, 0x02, 0x03, 0x08, 0x09, 0x23, 0x26], &[0x0b]),
    ("PUBACK", &[0x1f, 0x26], &[]),
    ("PUBREC", &[0x1f, 0x26], &[]),
    ("PUBREL", &[0x1f, 0x26], &[]),
    ("PUBCOMP", &[0x1f, 0x26], &[]),
    ("SUBSCRIBE", &[0x0b, 0x26], &[]),
    ("UNSUBSCRIBE", &[0x26], &[]),
    ("DISCONNECT", &[0x11, 0x1c, 0x1f, 0x26], &[]),
];

/// A property with a value that is right for its type.
fn property(id: u8) -> Vec<u8> {
    let value: &[u8] = match id {
        0x01 | 0x17 | 0x19 | 0x24 | 0x25 | 0x28 | 0x29 | 0x2a | 0x0b => &[1],
        0x13 | 0x21 | 0x22 | 0x23 => &[0, 1],
        0x02 | 0x11 | 0x18 | 0x27 => &[0, 0, 1, 0],
        0x26 => &[0, 1, b'n', 0, 1, b'v'],
        _ => &[0, 1, b'x'],
    };
    [&[id], value].concat()
}

/// What a client is told that sends this packet with these properties; `None`: the connection goes on, or
/// ends as the packet asks for.
fn told(packet: &str, properties: &[u8]) -> Option<ReasonCode> {
    let section = [&[u8::try_from(properties.len()).expect("short")], properties].concat();
    let bytes = match packet {
        "CONNECT" => raw_connect("MQTT", 5, 2, &[&section, &raw_text("a")[..]].concat()),
        "will" => {
            let rest = [b"\0", &raw_text("a")[..], &section, b"\0\x01t\0\x01p"].concat();
            raw_connect("MQTT", 5, 6, &rest)
        }
        "PUBLISH" => raw(0x30, &[b"\0\x01t", &section[..]].concat()),
        "PUBACK" => raw(0x40, &[b"\0\x01\0", &section[..]].concat()),
        "PUBREC" => raw(0x50, &[b"\0\x01\0", &section[..]].concat()),
        "PUBREL" => raw(0x62, &[b"\0\x01\0", &section[..]].concat()),
        "PUBCOMP" => raw(0x70, &[b"\0\x01\0", &section[..]].concat()),
        "SUBSCRIBE" => raw(0x82, &[b"\0\x01", &section[..], b"\0\x01t\0"].concat()),
        "UNSUBSCRIBE" => raw(0xa2, &[b"\0\x01", &section[..], b"\0\x01t"].concat()),
        _ => raw(0xe0, &[b"\0", &section[..]].concat()),
    };
    let mut sim = Sim::new();
    let wire = match packet {
        "CONNECT" | "will" => sim.open(),
        _ => sim.connect_with(&noctule_testkit::sim::ConnectOptions::durable(V5, "a", 100)),
    };
    sim.send_bytes(wire, &bytes);
    let told = sim.drain(wire).into_iter().find_map(|packet| match packet {
        Packet::ConnAck(connack) => Some(connack.reason_code).filter(|code| code.is_error()),
        Packet::Disconnect(disconnect) => Some(disconnect.reason_code),
        _ => None,
    });
    assert_eq!(sim.is_closed(wire), told.is_some() || packet == "DISCONNECT", "{packet} {properties:02x?}");
    told
}

#[test]
fn every_property_stands_where_the_standard_lists_it_and_nowhere_else() {
    for (packet, listed, forbidden_to_clients) in LISTED_PROPERTIES {
        for id in 0..0x7f {
            let expected = match id {
                // No authentication method is known here, but it belongs into CONNECT.
                0x15 if packet == "CONNECT" => Some(ReasonCode::BadAuthenticationMethod),
                _ if listed.contains(&id) => None,
                _ if forbidden_to_clients.contains(&id) => Some(PROTOCOL_ERROR),
                _ => Some(MALFORMED),
            };
            assert_eq!(told(packet, &property(id)), expected, "{packet} with {id:#04x}");
        }
    }
}

#[test]
fn bug_12_mosquitto_3319_no_property_but_the_users_stands_twice() {
    for (packet, listed, _) in LISTED_PROPERTIES {
        for id in listed.iter().copied() {
            let expected = (id != 0x26).then_some(PROTOCOL_ERROR);
            assert_eq!(told(packet, &property(id).repeat(2)), expected, "{packet} with {id:#04x} twice");
        }
    }
}

#[test]
fn bug_12_nanomq_626_a_clients_publish_has_no_subscription_identifier() {
    assert_eq!(told("PUBLISH", &property(0x0b)), Some(PROTOCOL_ERROR));
}

#[test]
fn bug_12_emqx_8029_no_local_on_a_shared_subscription_is_a_protocol_error() {
    let filter = [b"\0\x01\0".as_slice(), &raw_text("$share/g/t"), b"\x04"].concat();
    ends(V5, &raw(0x82, &filter), PROTOCOL_ERROR);
}

#[test]
fn the_values_of_properties_are_in_their_ranges() {
    for (packet, property, expected) in [
        ("CONNECT", &[0x21, 0, 0][..], PROTOCOL_ERROR),
        ("CONNECT", &[0x27, 0, 0, 0, 0], PROTOCOL_ERROR),
        ("CONNECT", &[0x17, 2], PROTOCOL_ERROR),
        ("CONNECT", &[0x19, 2], PROTOCOL_ERROR),
        ("will", &[0x01, 2], PROTOCOL_ERROR),
        ("PUBLISH", &[0x01, 2], PROTOCOL_ERROR),
        ("PUBLISH", &[0x23, 0, 0], ReasonCode::TopicAliasInvalid),
        ("SUBSCRIBE", &[0x0b, 0], PROTOCOL_ERROR),
    ] {
        assert_eq!(told(packet, property), Some(expected), "{packet} with {property:02x?}");
    }
}

#[test]
fn a_property_that_is_cut_off_is_malformed() {
    for (packet, listed, _) in LISTED_PROPERTIES {
        for id in listed.iter().copied() {
            let whole = property(id);
            for length in 1..whole.len() {
                assert_eq!(
                    told(packet, &whole[..length]),
                    Some(MALFORMED),
                    "{packet}: {:02x?}",
                    &whole[..length]
                );
            }
        }
    }
}

#[test]
fn any_single_byte_in_place_of_a_connect_byte_is_answered_or_waited_for_and_never_worse() {
    let good = raw_connect("MQTT", 5, 0xc6, b"\0\0\x01a\0\0\x01t\0\x01p\0\x01u\0\x01w");
    for place in 0..good.len() {
        for byte in 0..=u8::MAX {
            let mut bytes = good.clone();
            bytes[place] = byte;
            let mut sim = Sim::new();
            let wire = sim.open();
            sim.send_bytes(wire, &bytes);
            sim.advance(11_000);
            assert!(sim.is_closed(wire) || sim.stats().clients_connected == 1, "{bytes:02x?}");
        }
    }
}
