//! However the bytes arrive, the packets are the same.

use crate::generate::{connect, packet};
use crate::support::{BOTH_ENDS, EVERY_VERSION, check_bytes, config, encode, receiver_of};
use noctule_codec::{Decoder, Packet};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::TestRunner;

#[test]
fn a_packet_is_read_when_its_last_byte_has_come() {
    for version in EVERY_VERSION {
        for sender in BOTH_ENDS {
            let outcome = TestRunner::new(config(100)).run(&packet(sender, version), |packet| {
                let bytes = encode(&packet, version);
                let decoder = receiver_of(sender, version);
                for end in 0..bytes.len() {
                    prop_assert_eq!(decoder.clone().decode(&bytes[..end]), Ok(None), "{} bytes", end);
                }
                prop_assert_eq!(check_bytes(&decoder, sender, &bytes), Ok(Some((packet, bytes.len()))));
                Ok(())
            });
            outcome.unwrap_or_else(|failure| panic!("{version:?} from the {sender}: {failure}"));
        }
    }
}

/// Reads a stream the way a runtime does: append what has come, take the whole packets off the front.
fn read_in_fragments(stream: &[u8], sizes: &[usize]) -> Vec<String> {
    let mut decoder = Decoder::server(u32::MAX);
    let mut buffer = Vec::new();
    let mut packets = Vec::new();
    let mut rest = stream;
    for size in sizes.iter().cycle() {
        let (fragment, later) = rest.split_at((*size).min(rest.len()));
        buffer.extend_from_slice(fragment);
        rest = later;
        while let Some((packet, len)) = decoder.decode(&buffer).expect("the stream is valid") {
            packets.push(format!("{packet:?}"));
            buffer.drain(..len);
        }
        if rest.is_empty() {
            break;
        }
    }
    assert!(buffer.is_empty(), "the stream ends with a packet");
    packets
}

#[test]
fn a_stream_cut_anywhere_gives_the_same_packets() {
    for version in EVERY_VERSION {
        let streams = (
            connect(version).prop_map(Packet::from),
            vec(packet(noctule_codec::Role::Client, version), 0..12),
            vec(1..100_usize, 1..20),
        );
        let outcome = TestRunner::new(config(200)).run(&streams, |(connect, packets, sizes)| {
            let packets = [vec![connect], packets].concat();
            let stream = packets.iter().flat_map(|packet| encode(packet, version)).collect::<Vec<_>>();
            let expected = packets.iter().map(|packet| format!("{packet:?}")).collect::<Vec<_>>();
            prop_assert_eq!(&read_in_fragments(&stream, &sizes), &expected);
            prop_assert_eq!(&read_in_fragments(&stream, &[1]), &expected);
            prop_assert_eq!(&read_in_fragments(&stream, &[usize::MAX]), &expected);
            Ok(())
        });
        outcome.unwrap_or_else(|failure| panic!("{version:?}: {failure}"));
    }
}
