//! What is written is read back.

use crate::generate::{connect, packet};
use crate::support::{BOTH_ENDS, EVERY_VERSION, config, encode, receiver_of};
use noctule_codec::{Decoder, EncodeError, Packet, Properties, PropertyId};
use proptest::prelude::*;
use proptest::test_runner::TestRunner;

#[test]
fn every_packet_is_read_as_it_was_written() {
    for version in EVERY_VERSION {
        for sender in BOTH_ENDS {
            let mut runner = TestRunner::new(config(600));
            let outcome = runner.run(&packet(sender, version), |packet| {
                let bytes = encode(&packet, version);
                let mut decoder = receiver_of(sender, version);
                prop_assert_eq!(decoder.decode(&bytes), Ok(Some((packet, bytes.len()))));
                Ok(())
            });
            outcome.unwrap_or_else(|failure| panic!("{version:?} from the {sender}: {failure}"));
        }
    }
}

#[test]
fn the_first_connect_is_read_as_it_was_written() {
    for version in EVERY_VERSION {
        let outcome = TestRunner::new(config(300)).run(&connect(version), |connect| {
            let packet = Packet::from(connect);
            let bytes = encode(&packet, version);
            let mut decoder = Decoder::server(u32::MAX);
            prop_assert_eq!(decoder.decode(&bytes), Ok(Some((packet, bytes.len()))));
            prop_assert_eq!(decoder.version(), Some(version));
            Ok(())
        });
        outcome.unwrap_or_else(|failure| panic!("{version:?}: {failure}"));
    }
}

/// A packet of 5.0 can be written for any version; what comes out is valid there.
#[test]
fn a_packet_of_v5_is_valid_in_every_version_that_has_it() {
    let v5 = noctule_codec::ProtocolVersion::V5;
    for version in EVERY_VERSION {
        for sender in BOTH_ENDS {
            let outcome = TestRunner::new(config(300)).run(&packet(sender, v5), |packet| {
                let is_aliased = matches!(&packet, Packet::Publish(publish) if publish.topic.is_empty());
                let bytes = encode(&packet, version);
                if !is_aliased && !bytes.is_empty() {
                    let read = receiver_of(sender, version).decode(&bytes);
                    let read = read.map(|read| read.map(|(read, len)| (read.packet_type(), len)));
                    prop_assert_eq!(read, Ok(Some((packet.packet_type(), bytes.len()))));
                }
                Ok(())
            });
            outcome.unwrap_or_else(|failure| panic!("{version:?} from the {sender}: {failure}"));
        }
    }
}

/// The properties of the packets that may be shortened.
fn answer_properties<'p>(packet: &'p Packet<'_>) -> Option<&'p Properties<'p>> {
    match packet {
        Packet::ConnAck(packet) => Some(&packet.properties),
        Packet::PubAck(ack) | Packet::PubRec(ack) | Packet::PubRel(ack) | Packet::PubComp(ack) => {
            Some(&ack.properties)
        }
        Packet::SubAck(packet) => Some(&packet.properties),
        Packet::UnsubAck(packet) => Some(&packet.properties),
        Packet::Disconnect(packet) => Some(&packet.properties),
        Packet::Auth(packet) => Some(&packet.properties),
        _ => None,
    }
}

fn without(properties: &Properties<'_>, left_out: &[PropertyId]) -> Properties<'static> {
    let kept = properties.iter().filter(|property| !left_out.contains(&property.id()));
    kept.fold(Properties::new(), Properties::with)
}

#[test]
fn a_bound_on_the_size_is_kept() {
    for version in EVERY_VERSION {
        for sender in BOTH_ENDS {
            let packets_and_shares = (packet(sender, version), 0..=110_u32);
            let outcome = TestRunner::new(config(400)).run(&packets_and_shares, |(packet, percent)| {
                let whole = encode(&packet, version);
                let packet_bytes_max = whole.len() as u32 * percent / 100;
                let mut out = b"before".to_vec();
                let outcome = packet.encode_within(version, packet_bytes_max, &mut out);
                prop_assert!(out.starts_with(b"before"));
                let written = &out[b"before".len()..];
                prop_assert!(written.len() <= packet_bytes_max as usize);

                if whole.len() <= packet_bytes_max as usize {
                    prop_assert_eq!((outcome, written), (Ok(()), &whole[..]), "nothing had to go");
                } else if outcome.is_err() {
                    let too_large = matches!(outcome, Err(EncodeError::PacketTooLarge { .. }));
                    prop_assert!(too_large && written.is_empty());
                } else {
                    let read = receiver_of(sender, version).decode(written);
                    let (read, len) = read.expect("valid").expect("whole");
                    prop_assert_eq!((read.packet_type(), len), (packet.packet_type(), written.len()));
                    let before = answer_properties(&packet).expect("only answers are shortened");
                    let after = answer_properties(&read).expect("the same kind");
                    let reason = without(before, &[PropertyId::ReasonString]);
                    let both = without(before, &[PropertyId::ReasonString, PropertyId::UserProperty]);
                    prop_assert!(*after == reason || *after == both, "{:?}", after);
                }
                Ok(())
            });
            outcome.unwrap_or_else(|failure| panic!("{version:?} from the {sender}: {failure}"));
        }
    }
}
