//! Both ends of a connection, and what every test asks of them.

use noctule_codec::{
    Connect, DecodeError, Decoder, Packet, PacketType, Properties, ProtocolVersion, ReasonCode, Role,
};
use proptest::test_runner::Config;

pub(crate) const EVERY_VERSION: [ProtocolVersion; 3] =
    [ProtocolVersion::V3_1, ProtocolVersion::V3_1_1, ProtocolVersion::V5];

pub(crate) const BOTH_ENDS: [Role; 2] = [Role::Client, Role::Server];

/// A failing case is printed, becomes a test beside the code, and is kept nowhere else.
pub(crate) fn config(cases: u32) -> Config {
    Config { cases, failure_persistence: None, ..Config::default() }
}

/// What receives the packets of `sender` on a connection of this version.
pub(crate) fn receiver_of(sender: Role, version: ProtocolVersion) -> Decoder {
    if sender == Role::Server {
        return Decoder::client(version, u32::MAX);
    }
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
    let mut decoder = Decoder::server(u32::MAX);
    decoder.decode(&encode(&connect.into(), version)).expect("a valid CONNECT");
    assert_eq!(decoder.version(), Some(version));
    decoder
}

/// The packet in bytes; checks that it takes as many as it said.
#[track_caller]
pub(crate) fn encode(packet: &Packet<'_>, version: ProtocolVersion) -> Vec<u8> {
    let mut out = Vec::new();
    packet.encode(version, &mut out).expect("the packet can be written");
    assert_eq!(out.len(), packet.encoded_len(version), "{packet:?}");
    out
}

/// Whether a receiver of `version` can tell what was read: 3.1 reads the refusal of a later server, but has
/// no code to write it with.
fn is_writable(packet: &Packet<'_>, version: ProtocolVersion) -> bool {
    match packet {
        Packet::SubAck(suback) if version == ProtocolVersion::V3_1 => {
            !suback.reason_codes.contains(&ReasonCode::UnspecifiedError)
        }
        _ => true,
    }
}

/// What must hold for any bytes whatsoever. Returns what was read.
#[track_caller]
pub(crate) fn check_bytes<'a>(
    decoder: &Decoder,
    sender: Role,
    bytes: &'a [u8],
) -> Result<Option<(Packet<'a>, usize)>, DecodeError> {
    let mut after = decoder.clone();
    let decoded = after.decode(bytes);
    match &decoded {
        Ok(Some((packet, len))) => {
            assert!(*len <= bytes.len(), "more was consumed than given");
            assert_eq!(decoder.packet_len(bytes), Ok(Some(*len)));
            assert_eq!(
                decoder.clone().decode(&bytes[..*len]).as_ref(),
                decoded.as_ref(),
                "a look behind the end"
            );
            check_packet(packet, sender, after.version().expect("known by now"));
        }
        Ok(None) => {
            let expected = decoder.packet_len(bytes).expect("the same checks");
            assert!(expected.is_none_or(|len| len > bytes.len()), "a whole packet was not read");
        }
        Err(error) => {
            assert!(error.reason_code().is_error());
            assert!(!error.to_string().is_empty());
        }
    }
    decoded
}

/// What was read can be written, and then reads and writes the same.
fn check_packet(packet: &Packet<'_>, sender: Role, version: ProtocolVersion) {
    if !is_writable(packet, version) {
        return;
    }
    let bytes = encode(packet, version);
    let mut decoder = match packet.packet_type() {
        PacketType::Connect => Decoder::server(u32::MAX),
        _ => receiver_of(sender, version),
    };
    let again = decoder.decode(&bytes).expect("what was written is valid").expect("and whole");
    assert_eq!(again, (packet.clone(), bytes.len()));
    assert_eq!(encode(&again.0, version), bytes);
}
