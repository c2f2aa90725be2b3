//! Bytes that no honest peer sends.

use crate::generate::{connect, packet};
use crate::support::{BOTH_ENDS, EVERY_VERSION, check_bytes, config, encode, receiver_of};
use noctule_codec::{Decoder, Packet, Role};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::TestRunner;

/// Every decoder there is: one that has seen nothing, and one per end and version.
fn every_decoder() -> Vec<(Decoder, Role)> {
    let mut decoders = vec![(Decoder::server(u32::MAX), Role::Client)];
    for version in EVERY_VERSION {
        decoders.extend(BOTH_ENDS.map(|sender| (receiver_of(sender, version), sender)));
    }
    decoders
}

/// An error is found with the byte that causes it or later, never taken back, and is the same however much
/// follows; a packet is there with its last byte.
fn check_every_prefix(decoder: &Decoder, sender: Role, bytes: &[u8]) {
    let whole = check_bytes(decoder, sender, bytes);
    let mut is_settled = false;
    for end in 0..=bytes.len() {
        let prefix = decoder.clone().decode(&bytes[..end]);
        assert!(prefix == Ok(None) || prefix == whole, "{end} bytes: {prefix:?}, then {whole:?}");
        assert!(!is_settled || prefix == whole, "{end} bytes: taken back");
        is_settled |= prefix != Ok(None);
    }
}

#[test]
fn every_start_of_a_packet() {
    for (decoder, sender) in every_decoder() {
        for first_byte in 0..=255 {
            for second_byte in 0..=255 {
                check_every_prefix(&decoder, sender, &[first_byte, second_byte, 0, 1]);
            }
        }
    }
}

proptest! {
    #![proptest_config(config(2_000))]

    #[test]
    fn arbitrary_bytes(bytes in vec(any::<u8>(), 0..64)) {
        for (decoder, sender) in every_decoder() {
            check_every_prefix(&decoder, sender, &bytes);
        }
    }

    /// As above, but the fixed header is right, so that the bodies are reached.
    #[test]
    fn arbitrary_bodies(packet_type in 1..=15_u8, qos_bits in 0..=2_u8, body in vec(any::<u8>(), 0..100)) {
        let flags = match packet_type {
            3 => qos_bits << 1,
            6 | 8 | 10 => 0b0010,
            _ => 0,
        };
        let bytes = [&[packet_type << 4 | flags, body.len() as u8], &body[..]].concat();
        for (decoder, sender) in every_decoder() {
            check_every_prefix(&decoder, sender, &bytes);
        }
    }

    /// As above, with a valid name and level and a body of small numbers, which are plausible lengths.
    #[test]
    fn arbitrary_connects(level in 3..=6_u8, body in vec(0..8_u8, 0..60)) {
        let name: &[u8] = if level == 3 { b"\x00\x06MQIsdp" } else { b"\x00\x04MQTT" };
        let body = [name, &[level], &body].concat();
        let bytes = [&[0x10, body.len() as u8], &body[..]].concat();
        check_every_prefix(&Decoder::server(u32::MAX), Role::Client, &bytes);
    }
}

/// Each byte with each of its bits flipped, and as the least and the most it can be. A CONNECT with all its
/// properties has over a thousand bytes, so few packets make many cases.
fn check_every_mutation(decoder: &Decoder, sender: Role, bytes: &[u8]) {
    let mut mutated = bytes.to_vec();
    for place in 0..bytes.len() {
        let flipped = (0..8).map(|bit| bytes[place] ^ 1 << bit);
        for byte in flipped.chain([0x00, 0xFF]) {
            mutated[place] = byte;
            let _: Result<_, _> = check_bytes(decoder, sender, &mutated);
        }
        mutated[place] = bytes[place];
    }
}

#[test]
fn valid_packets_with_one_byte_changed() {
    for version in EVERY_VERSION {
        for sender in BOTH_ENDS {
            let outcome = TestRunner::new(config(10)).run(&packet(sender, version), |packet| {
                check_every_mutation(&receiver_of(sender, version), sender, &encode(&packet, version));
                Ok(())
            });
            outcome.unwrap_or_else(|failure| panic!("{version:?} from the {sender}: {failure}"));
        }
    }
}

#[test]
fn valid_connects_with_one_byte_changed() {
    for version in EVERY_VERSION {
        let outcome = TestRunner::new(config(4)).run(&connect(version), |connect| {
            let bytes = encode(&Packet::from(connect), version);
            check_every_mutation(&Decoder::server(u32::MAX), Role::Client, &bytes);
            Ok(())
        });
        outcome.unwrap_or_else(|failure| panic!("{version:?}: {failure}"));
    }
}

#[test]
fn valid_packets_cut_or_spliced() {
    for version in EVERY_VERSION {
        for sender in BOTH_ENDS {
            let pairs =
                (packet(sender, version), packet(sender, version), any::<[proptest::sample::Index; 2]>());
            let outcome = TestRunner::new(config(200)).run(&pairs, |(first, second, [cut, from])| {
                let (first, second) = (encode(&first, version), encode(&second, version));
                let spliced =
                    [&first[..cut.index(first.len() + 1)], &second[from.index(second.len() + 1)..]].concat();
                check_every_prefix(&receiver_of(sender, version), sender, &spliced);
                Ok(())
            });
            outcome.unwrap_or_else(|failure| panic!("{version:?} from the {sender}: {failure}"));
        }
    }
}
