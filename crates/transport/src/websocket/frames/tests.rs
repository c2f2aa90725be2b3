//! Frames as they come: split anywhere, and against the rules.

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;

const MASK: [u8; 4] = [0x6d, 0xb6, 0x00, 0x80];

/// A frame as a client sends it.
fn masked(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![first];
    match payload.len() {
        short @ 0..126 => frame.push(0x80 | u8::try_from(short).unwrap()),
        middle @ 126..65536 => {
            frame.push(0x80 | 126);
            frame.extend_from_slice(&u16::try_from(middle).unwrap().to_be_bytes());
        }
        long => {
            frame.push(0x80 | 127);
            frame.extend_from_slice(&(long as u64).to_be_bytes());
        }
    }
    frame.extend_from_slice(&MASK);
    frame.extend(payload.iter().zip(MASK.iter().cycle()).map(|(byte, mask)| byte ^ mask));
    frame
}

/// What comes of bytes that arrive in these pieces: the payload, the answer, and how it ended.
fn receive(role: Role, pieces: &[&[u8]]) -> (Vec<u8>, Vec<u8>, Result<bool, WebSocketError>) {
    let (mut frames, mut payload, mut out) = (Frames::new(role, None), Vec::new(), Vec::new());
    for piece in pieces {
        let mut piece = piece.to_vec();
        match frames.receive(&mut piece, 0, &mut out) {
            Err(error) => return (payload, out, Err(error)),
            Ok(Unframed { length, is_closed }) => {
                payload.extend_from_slice(&piece[..length]);
                if is_closed {
                    return (payload, out, Ok(true));
                }
            }
        }
    }
    (payload, out, Ok(false))
}

#[test]
fn one_message_may_come_in_many_frames_and_many_pieces() {
    let mut bytes = masked(0x02, b"one ");
    bytes.extend(masked(0x89, b"ping"));
    bytes.extend(masked(0x00, b""));
    bytes.extend(masked(0x80, &[b'x'; 300]));
    bytes.extend(masked(0x82, b" two"));
    let expected = [b"one ".as_slice(), &[b'x'; 300], b" two"].concat();
    let pong = b"\x8a\x04ping";

    let single: Vec<&[u8]> = bytes.chunks(1).collect();
    assert_eq!(receive(Role::Server, &single), (expected.clone(), pong.to_vec(), Ok(false)));
    for split in 0..bytes.len() {
        let (first, second) = bytes.split_at(split);
        let received = receive(Role::Server, &[first, second]);
        assert_eq!(received, (expected.clone(), pong.to_vec(), Ok(false)), "split at {split}");
    }
}

#[test]
fn what_is_against_the_rules_is_told_with_its_number() {
    let nothing_but_a_close = |code: u16| [b"\x88\x02".as_slice(), &code.to_be_bytes()].concat();
    let mut endless = vec![0x82, 0xff];
    endless.extend_from_slice(&(1_u64 << 63).to_be_bytes());
    endless.extend_from_slice(&MASK);
    let inside = [masked(0x02, b"a"), masked(0x82, b"b")].concat();
    let empty = masked(0x02, b"").into_iter().chain(masked(0x00, b"").repeat(32)).collect::<Vec<_>>();
    for (what, bytes, code) in [
        ("text", masked(0x81, b"hello"), 1003),
        ("unmasked", b"\x82\x01a".to_vec(), 1002),
        ("extension", masked(0xc2, b"a"), 1002),
        ("unknown data", masked(0x83, b"a"), 1002),
        ("unknown control", masked(0x8b, b"a"), 1002),
        ("ping in parts", masked(0x09, b"a"), 1002),
        ("long ping", masked(0x89, &[0; 126]), 1002),
        ("nothing to continue", masked(0x80, b"a"), 1002),
        ("message inside a message", inside, 1002),
        ("endless", endless, 1002),
        ("empty frames", empty, 1008),
    ] {
        let single: Vec<&[u8]> = bytes.chunks(1).collect();
        for pieces in [vec![bytes.as_slice()], single] {
            let (_, out, ended) = receive(Role::Server, &pieces);
            assert_eq!(ended.unwrap_err().close_code(), Some(code), "{what}");
            assert_eq!(out, nothing_but_a_close(code), "{what}");
        }
    }
}

#[test]
fn a_frame_may_say_any_length_and_keeps_nothing() {
    let mut frames = Frames::new(Role::Server, None);
    let mut bytes = vec![0x82, 0xff];
    bytes.extend_from_slice(&i64::MAX.to_be_bytes());
    bytes.extend_from_slice(&[0; 4]);
    bytes.extend_from_slice(b"beginning");
    let received = frames.receive(&mut bytes, 0, &mut Vec::new()).unwrap();
    assert_eq!(&bytes[..received.length], b"beginning");
    assert!(frames.control.is_none());
}

#[test]
fn a_few_empty_frames_are_no_harm() {
    let empty = [masked(0x02, b""), masked(0x00, b"").repeat(31), masked(0x80, b"a")].concat();
    assert_eq!(receive(Role::Server, &[&empty.repeat(3)]).0, b"aaa");
}

#[test]
fn a_close_is_answered_once_and_ends_everything() {
    let close = masked(0x88, &[0x03, 0xe8, b'b', b'y', b'e']);
    let bytes = [masked(0x82, b"last"), close, masked(0x82, b"nobody's")].concat();
    let (payload, out, ended) = receive(Role::Server, &[&bytes]);
    assert_eq!((payload.as_slice(), ended), (b"last".as_slice(), Ok(true)));
    assert_eq!(out, b"\x88\x02\x03\xe8");

    let mut frames = Frames::new(Role::Server, None);
    let mut out = Vec::new();
    frames.close(&mut out);
    frames.frame(b"too late", &mut out);
    frames.close(&mut out);
    assert!(frames.receive(&mut masked(0x88, b""), 0, &mut out).unwrap().is_closed);
    assert_eq!(out, b"\x88\x02\x03\xe8");
}

#[test]
fn pings_are_answered_only_to_those_who_read() {
    let pings = masked(0x89, &[7; 125]).repeat(1000);
    let (_, out, _) = receive(Role::Server, &[&pings]);
    assert!(!out.is_empty() && out.len() <= PONG_BACKLOG_BYTES_MAX + 127, "{} bytes", out.len());

    let (mut frames, mut out) = (Frames::new(Role::Server, None), Vec::new());
    frames.receive(&mut masked(0x89, b"a"), PONG_BACKLOG_BYTES_MAX + 1, &mut out).unwrap();
    assert!(out.is_empty());
}

/// Of packets that begin with a letter and the number of bytes behind that.
fn lettered(bytes: &[u8]) -> Option<usize> {
    bytes.get(1).map(|length| 2 + usize::from(*length))
}

#[test]
fn each_packet_has_a_frame() {
    let (mut frames, mut out) = (Frames::new(Role::Server, Some(lettered)), Vec::new());
    assert_eq!(frames.frame(b"a\x01xb\0c\x02xy", &mut out), 9);
    assert_eq!(out, b"\x82\x03a\x01x\x82\x02b\0\x82\x04c\x02xy");
}

#[test]
fn a_packet_that_comes_in_parts_stands_alone() {
    let (mut frames, mut out) = (Frames::new(Role::Server, Some(lettered)), Vec::new());
    // Where the next packet begins is known, but not where it ends.
    assert_eq!(frames.frame(b"a\x01xb", &mut out), 3);
    assert_eq!(frames.frame(b"b\x03x", &mut out), 3);
    assert_eq!(frames.frame(b"yzc\0", &mut out), 4);
    assert_eq!(out, b"\x82\x03a\x01x\x82\x03b\x03x\x82\x02yz\x82\x02c\0");
}

proptest! {
    /// What one side frames, the other unframes, whatever the pieces.
    #[test]
    fn what_is_sent_arrives(
        messages in vec(vec(any::<u8>(), 0..200), 0..8),
        piece in 1_usize..64,
        is_client in any::<bool>(),
    ) {
        let (from, to) = if is_client { (Role::Client, Role::Server) } else { (Role::Server, Role::Client) };
        let (mut frames, mut bytes) = (Frames::new(from, None), Vec::new());
        for message in &messages {
            prop_assert_eq!(frames.frame(message, &mut bytes), message.len());
        }
        let pieces: Vec<&[u8]> = bytes.chunks(piece).collect();
        prop_assert_eq!(receive(to, &pieces), (messages.concat(), Vec::new(), Ok(false)));
    }

    /// Nothing makes it panic, and it says the same whatever the pieces.
    #[test]
    fn arbitrary_bytes_mean_the_same_in_any_pieces(bytes in vec(any::<u8>(), 0..300), piece in 1_usize..40) {
        let whole = receive(Role::Server, &[&bytes]);
        let pieces: Vec<&[u8]> = bytes.chunks(piece).collect();
        let split = receive(Role::Server, &pieces);
        prop_assert_eq!(split.2.is_err(), whole.2.is_err());
        prop_assert_eq!(split.1, whole.1);
        // A broken frame takes along what came with it.
        if whole.2.is_ok() {
            prop_assert_eq!(split.0, whole.0);
        }
    }
}
