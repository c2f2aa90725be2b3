//! Arbitrary bytes for both ends and all versions.
//!
//! The first byte of the input chooses who decodes, the rest is the stream. Nothing may panic, nothing behind
//! a packet may be looked at, and what was read must read the same after it was written.
#![no_main]

use libfuzzer_sys::fuzz_target;
use noctule_codec::{Connect, Decoder, Packet, Properties, ProtocolVersion, ReasonCode};

const PACKET_BYTES_MAX: u32 = 1 << 20;

fuzz_target!(|input: &[u8]| {
    let Some((choice, stream)) = input.split_first() else { return };
    let mut decoder = decoder(*choice);
    let mut rest = stream;
    while let Some(len) = check_front(&mut decoder, *choice, rest) {
        rest = &rest[len..];
    }
});

/// Reads one packet; its length if there was one.
fn check_front(decoder: &mut Decoder, choice: u8, bytes: &[u8]) -> Option<usize> {
    let before = decoder.clone();
    let decoded = decoder.decode(bytes);
    if let Err(error) = decoded {
        assert!(error.reason_code().is_error() && !error.to_string().is_empty());
    }
    let (packet, len) = decoded.ok().flatten()?;
    assert!(len <= bytes.len());
    assert_eq!(before.packet_len(bytes), Ok(Some(len)));
    assert_eq!(before.clone().decode(&bytes[..len]), Ok(Some((packet.clone(), len))));
    assert_eq!(before.clone().decode(&bytes[..len - 1]), Ok(None));
    let version = decoder.version().expect("known with the first packet");
    check_packet(choice, &packet, version);
    Some(len)
}

/// decode(encode(packet)) = packet, and encode gives the same bytes again.
fn check_packet(choice: u8, packet: &Packet<'_>, version: ProtocolVersion) {
    if is_refusal_in_v3_1(packet, version) {
        return;
    }
    let bytes = encode(packet, version);
    let mut decoder = match packet {
        Packet::Connect(_) => Decoder::server(u32::MAX),
        _ if is_client(choice) => Decoder::client(version, u32::MAX),
        _ => server(version),
    };
    let (again, len) = decoder.decode(&bytes).expect("what was written is valid").expect("and whole");
    assert_eq!((&again, len), (packet, bytes.len()));
    assert_eq!(encode(&again, version), bytes);
}

/// 3.1 reads the refusal of a later server, but has no code to write it with.
fn is_refusal_in_v3_1(packet: &Packet<'_>, version: ProtocolVersion) -> bool {
    let refused = ReasonCode::UnspecifiedError;
    matches!(packet, Packet::SubAck(suback) if suback.reason_codes.contains(&refused))
        && version == ProtocolVersion::V3_1
}

fn encode(packet: &Packet<'_>, version: ProtocolVersion) -> Vec<u8> {
    let mut out = Vec::new();
    packet.encode(version, &mut out).expect("what was read can be written");
    assert_eq!(out.len(), packet.encoded_len(version));
    out
}

/// 0: a server before CONNECT. 1 to 3: a server after it. 4 to 6: a client.
fn decoder(choice: u8) -> Decoder {
    match choice % 7 {
        0 => Decoder::server(PACKET_BYTES_MAX),
        1 => server(ProtocolVersion::V3_1),
        2 => server(ProtocolVersion::V3_1_1),
        3 => server(ProtocolVersion::V5),
        4 => Decoder::client(ProtocolVersion::V3_1, PACKET_BYTES_MAX),
        5 => Decoder::client(ProtocolVersion::V3_1_1, PACKET_BYTES_MAX),
        _ => Decoder::client(ProtocolVersion::V5, PACKET_BYTES_MAX),
    }
}

fn is_client(choice: u8) -> bool {
    choice % 7 > 3
}

/// A server's decoder on a connection of this version.
fn server(version: ProtocolVersion) -> Decoder {
    let connect = Connect {
        version,
        clean_start: true,
        keep_alive_seconds: 0,
        client_id: "c",
        will: None,
        user_name: None,
        password: None,
        properties: Properties::EMPTY,
    };
    let mut decoder = Decoder::server(PACKET_BYTES_MAX);
    decoder.decode(&encode(&connect.into(), version)).expect("a valid CONNECT");
    decoder
}
