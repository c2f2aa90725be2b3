//! Nanoseconds per packet: `cargo bench -p noctule-codec`.
//!
//! Each line is the best of several rounds, which is what repeats from run to run on a busy machine.
#![expect(clippy::print_stdout, reason = "a benchmark prints its figures")]
#![expect(clippy::disallowed_types, reason = "a benchmark reads the clock")]

use noctule_codec::{
    Connect, Decoder, Delivery, Packet, PacketId, Properties, Property, ProtocolVersion, Publish, QoS,
};
use std::hint::black_box;
use std::time::Instant;

const ROUNDS: u32 = 20;
const CALLS_PER_ROUND: u32 = 100_000;

const TOPIC: &str = "plant/hall-7/boiler/2/temperature/in";
const TOPIC_UTF8: &str = "werk/halle-7/kessel/2/rücklauf/wärme";

fn main() {
    for version in [ProtocolVersion::V3_1_1, ProtocolVersion::V5] {
        let publish = publish(TOPIC, Properties::EMPTY);
        decode(&format!("decode PUBLISH QoS 0, no properties, {version:?}"), version, &publish);
    }
    let v5 = ProtocolVersion::V5;
    decode(
        "decode PUBLISH QoS 0, no properties, topic with umlauts, V5",
        v5,
        &publish(TOPIC_UTF8, Properties::EMPTY),
    );
    decode("decode PUBLISH QoS 1, no properties, V5", v5, &at_least_once(publish(TOPIC, Properties::EMPTY)));
    let properties = Properties::new()
        .with(Property::MessageExpiryInterval(60))
        .with(Property::ContentType("application/json"))
        .with(Property::UserProperty("trace", "8f14e45fceea167a"));
    decode("decode PUBLISH QoS 0, three properties, V5", v5, &publish(TOPIC, properties.clone()));

    measure("Properties::forwarded of three", || {
        black_box(black_box(&properties).forwarded());
    });
    encode_delivery("encode Delivery QoS 1, no properties, V5", Properties::EMPTY);
    encode_delivery("encode Delivery QoS 1, two forwarded, V5", properties.forwarded());
}

fn publish<'a>(topic: &'a str, properties: Properties<'a>) -> Publish<'a> {
    Publish {
        dup: false,
        qos: QoS::AtMostOnce,
        retain: false,
        topic,
        packet_id: None,
        properties,
        payload: &[7; 64],
    }
}

fn at_least_once(publish: Publish<'_>) -> Publish<'_> {
    Publish { qos: QoS::AtLeastOnce, packet_id: PacketId::new(1), ..publish }
}

fn decode(name: &str, version: ProtocolVersion, publish: &Publish<'_>) {
    let mut bytes = Vec::new();
    Packet::from(publish.clone()).encode(version, &mut bytes).expect("the packet is small");
    let mut decoder = server(version);
    measure(name, || {
        black_box(decoder.decode(black_box(&bytes)).is_ok_and(|packet| packet.is_some()));
    });
}

fn encode_delivery(name: &str, forwarded: Properties<'_>) {
    let delivery = Delivery {
        topic: TOPIC,
        payload: &[7; 64],
        dup: false,
        qos: QoS::AtLeastOnce,
        retain: false,
        packet_id: PacketId::new(1),
        forwarded,
        message_expiry_interval: None,
        topic_alias: None,
        subscription_identifiers: &[],
    };
    let mut out = Vec::new();
    measure(name, || {
        out.clear();
        black_box(&delivery).encode(ProtocolVersion::V5, &mut out).expect("the packet is small");
        black_box(&out);
    });
}

/// A decoder that knows the version of its client.
fn server(version: ProtocolVersion) -> Decoder {
    let connect = Connect {
        version,
        clean_start: true,
        keep_alive_seconds: 0,
        client_id: "bench",
        will: None,
        user_name: None,
        password: None,
        properties: Properties::EMPTY,
    };
    let mut bytes = Vec::new();
    Packet::from(connect).encode(version, &mut bytes).expect("the packet is small");
    let mut decoder = Decoder::server(u32::MAX);
    decoder.decode(&bytes).expect("a valid CONNECT");
    decoder
}

fn measure(name: &str, mut call: impl FnMut()) {
    let mut nanoseconds_best = f64::INFINITY;
    for _ in 0..ROUNDS {
        let start = Instant::now();
        for _ in 0..CALLS_PER_ROUND {
            call();
        }
        let nanoseconds = start.elapsed().as_nanos() as f64 / f64::from(CALLS_PER_ROUND);
        nanoseconds_best = nanoseconds_best.min(nanoseconds);
    }
    println!("{nanoseconds_best:8.1} ns  {name}");
}
