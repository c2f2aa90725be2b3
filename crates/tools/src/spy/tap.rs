//! Finds the packets in what passes. Pure: bytes in, events out; it never stops, whatever comes.
//!
//! Invariants:
//! - Every byte belongs to exactly one event, or to the beginning of a packet that is still to come.
//! - Bytes that may hold a password are in no event: nothing raw of a CONNECT or AUTH, and nothing raw from a client
//!   before its CONNECT was read.

use super::report::Event;
use noctule_codec::{DecodeError, Decoder, Packet, PacketType, ProtocolVersion};

/// Who speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    /// The client that has connected to the spy.
    Client,
    /// The server that the spy has connected to.
    Server,
}

/// Both sides of one connection.
#[derive(Debug)]
pub(crate) struct Conversation {
    client: Tap,
    server: Tap,
    decoder: Decoder,
    /// The client's CONNECT was read in order.
    is_connect_read: bool,
}

/// What one side has said and what has not been told yet.
#[derive(Debug, Default)]
struct Tap {
    buffer: Vec<u8>,
    state: State,
}

#[derive(Debug, Default, PartialEq, Eq)]
enum State {
    /// The buffer begins with a packet.
    #[default]
    Framed,
    /// A packet that has been told of passes: how long it is, and how much is still to come.
    Passing { length: usize, rest: usize },
    /// Where packets begin is not known any more.
    Lost,
}

/// What the first bytes of a packet say of its length.
#[derive(Debug, PartialEq, Eq)]
enum Frame {
    Unknown,
    Bytes(usize),
    /// The length has no end.
    Broken,
}

impl Conversation {
    pub(crate) fn new() -> Self {
        let (client, server) = (Tap::default(), Tap::default());
        Self { client, server, decoder: Decoder::server(u32::MAX), is_connect_read: false }
    }

    /// One side says something.
    pub(crate) fn hear(&mut self, side: Side, bytes: &[u8], show: &mut dyn FnMut(Event<'_>)) {
        let mut tap = std::mem::take(self.tap(side));
        tap.buffer.extend_from_slice(bytes);
        let mut consumed = 0;
        while let Some(length) = self.step(side, &mut tap.state, &tap.buffer[consumed..], show) {
            consumed += length;
        }
        tap.buffer.drain(..consumed);
        *self.tap(side) = tap;
    }

    /// One side has ended. A packet that it has begun is told of.
    pub(crate) fn end(&mut self, side: Side, show: &mut dyn FnMut(Event<'_>)) {
        let tap = std::mem::take(self.tap(side));
        match tap.state {
            State::Passing { length, rest } => {
                show(Event::CutOff { side, bytes: length - rest, error: None });
            }
            _ if tap.buffer.is_empty() => {}
            _ => {
                let error = self.decode(side, &tap.buffer).err();
                show(Event::CutOff { side, bytes: tap.buffer.len(), error });
            }
        }
    }

    fn tap(&mut self, side: Side) -> &mut Tap {
        match side {
            Side::Client => &mut self.client,
            Side::Server => &mut self.server,
        }
    }

    /// Tells of what the bytes begin with; gives how many that were, or `None` if more have to come.
    fn step(
        &mut self,
        side: Side,
        state: &mut State,
        bytes: &[u8],
        show: &mut dyn FnMut(Event<'_>),
    ) -> Option<usize> {
        if bytes.is_empty() {
            return None;
        }
        match (&mut *state, frame(bytes)) {
            (State::Passing { rest, .. }, _) => {
                let passed = bytes.len().min(*rest);
                *rest -= passed;
                if *rest == 0 {
                    *state = State::Framed;
                }
                Some(passed)
            }
            (State::Lost, _) => {
                show(Event::Noise { side, bytes: bytes.len() });
                Some(bytes.len())
            }
            (State::Framed, Frame::Unknown) => None,
            (State::Framed, Frame::Bytes(length)) if length > PACKET_BYTES_MAX => {
                show(Event::Large { side, packet_type: packet_type(bytes), bytes: length });
                *state = State::Passing { length, rest: length };
                Some(0)
            }
            (State::Framed, Frame::Bytes(length)) => {
                let packet = bytes.get(..length)?;
                self.tell(side, packet, show);
                Some(length)
            }
            (State::Framed, Frame::Broken) => {
                self.tell(side, bytes, show);
                *state = State::Lost;
                Some(bytes.len())
            }
        }
    }

    fn tell(&mut self, side: Side, bytes: &[u8], show: &mut dyn FnMut(Event<'_>)) {
        match self.decode(side, bytes) {
            Ok(Some(packet)) => {
                let is_connect = matches!(packet, Packet::Connect(_));
                let version = self.version();
                show(Event::Packet { side, version, packet: &packet, bytes: bytes.len() });
                self.is_connect_read |= is_connect;
            }
            Ok(None) => show(Event::Noise { side, bytes: bytes.len() }),
            Err(error) => {
                let raw = self.may_be_shown(side, bytes).then_some(bytes);
                let packet_type = packet_type(bytes);
                show(Event::Malformed { side, packet_type, bytes: bytes.len(), error, raw });
            }
        }
    }

    /// A decoder has no memory but the version, so it goes on after an error.
    fn decode<'a>(&mut self, side: Side, bytes: &'a [u8]) -> Result<Option<Packet<'a>>, DecodeError> {
        let decoded = match side {
            Side::Client => self.decoder.decode(bytes),
            Side::Server => Decoder::client(self.version(), u32::MAX).decode(bytes),
        };
        decoded.map(|packet| packet.map(|(packet, _)| packet))
    }

    /// A server that answers a CONNECT nobody could read is taken to speak 3.1.1.
    fn version(&self) -> ProtocolVersion {
        self.decoder.version().unwrap_or(ProtocolVersion::V3_1_1)
    }

    fn may_be_shown(&self, side: Side, bytes: &[u8]) -> bool {
        let may_be_secret = matches!(packet_type(bytes), Some(PacketType::Connect | PacketType::Auth));
        !may_be_secret && (side == Side::Server || self.is_connect_read)
    }
}

fn packet_type(bytes: &[u8]) -> Option<PacketType> {
    bytes.first().and_then(|first| PacketType::from_bits(first >> 4))
}

/// Reads the fixed header, whatever the packet type and flags are.
fn frame(bytes: &[u8]) -> Frame {
    let mut length = 0_usize;
    for (place, byte) in bytes.iter().skip(1).take(LENGTH_BYTES_MAX).enumerate() {
        length |= usize::from(byte & 0x7F) << (7 * place);
        if byte & 0x80 == 0 {
            return Frame::Bytes(2 + place + length);
        }
    }
    if bytes.len() > LENGTH_BYTES_MAX { Frame::Broken } else { Frame::Unknown }
}

/// The length of a packet has so many bytes at most.
const LENGTH_BYTES_MAX: usize = 4;
/// The largest packet that is kept until it is whole, to be decoded. Larger ones are told of by their length.
const PACKET_BYTES_MAX: usize = 16 * 1024 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    /// What was told, in words.
    fn told(conversation: &mut Conversation, side: Side, bytes: &[u8]) -> Vec<String> {
        let mut lines = Vec::new();
        conversation.hear(side, bytes, &mut |event| lines.push(short(&event)));
        lines
    }

    fn short(event: &Event<'_>) -> String {
        match event {
            Event::Packet { packet, bytes, .. } => format!("{} {bytes}", packet.packet_type()),
            Event::Malformed { bytes, error, raw, .. } => {
                format!("malformed {bytes}, {}: {error}", if raw.is_some() { "shown" } else { "hidden" })
            }
            Event::Large { bytes, .. } => format!("large {bytes}"),
            Event::Noise { bytes, .. } => format!("noise {bytes}"),
            Event::CutOff { bytes, error, .. } => format!("cut off {bytes} {}", error.is_some()),
            other => panic!("{other:?} is not told of bytes"),
        }
    }

    const CONNECT: &[u8] = b"\x10\x0D\x00\x04MQTT\x05\x02\x00\x3C\x00\x00\x00";

    #[test]
    fn packets_are_found_however_they_are_cut() {
        let stream = [CONNECT, b"\xC0\x00", b"\x30\x05\x00\x01t\x00x"].concat();
        for size in 1..=stream.len() {
            let mut conversation = Conversation::new();
            let mut lines = Vec::new();
            for chunk in stream.chunks(size) {
                lines.extend(told(&mut conversation, Side::Client, chunk));
            }
            assert_eq!(lines, ["CONNECT 15", "PINGREQ 2", "PUBLISH 7"], "{size}");
        }
    }

    #[test]
    fn both_sides_speak_the_version_of_connect() {
        let mut conversation = Conversation::new();
        told(&mut conversation, Side::Client, CONNECT);
        assert_eq!(told(&mut conversation, Side::Server, b"\x20\x03\x00\x00\x00"), ["CONNACK 5"]);
        let mut conversation = Conversation::new();
        assert_eq!(told(&mut conversation, Side::Server, b"\x20\x02\x00\x01"), ["CONNACK 4"]);
    }

    #[test]
    fn a_malformed_packet_is_named_and_the_next_one_read() {
        let mut conversation = Conversation::new();
        told(&mut conversation, Side::Client, CONNECT);
        let lines = told(&mut conversation, Side::Client, b"\x36\x03\x00\x01t\xC0\x00");
        assert_eq!(lines.len(), 2, "{lines:?}");
        assert!(lines[0].starts_with("malformed 5, shown: "), "{lines:?}");
        assert_eq!(lines[1], "PINGREQ 2");
    }

    #[test]
    fn what_may_hold_a_password_is_never_shown() {
        let mut conversation = Conversation::new();
        // The password is longer than the packet says, so that it goes on behind it.
        let broken = b"\x10\x12\x00\x04MQTT\x04\xC2\x00\x3C\x00\x00\x00\x01u\x00\x09s";
        let lines = told(&mut conversation, Side::Client, broken);
        assert!(lines[0].starts_with("malformed 20, hidden: "), "{lines:?}");
        let lines = told(&mut conversation, Side::Client, b"e\x03cre");
        assert!(lines[0].starts_with("malformed 5, hidden: "), "{lines:?}");

        let mut conversation = Conversation::new();
        told(&mut conversation, Side::Client, CONNECT);
        let lines = told(&mut conversation, Side::Client, b"\xF0\x03\xFFpw");
        assert!(lines[0].starts_with("malformed 5, hidden: "), "{lines:?}");
    }

    #[test]
    fn without_a_length_nothing_is_a_packet_any_more() {
        let mut conversation = Conversation::new();
        told(&mut conversation, Side::Client, CONNECT);
        let lines = told(&mut conversation, Side::Client, b"\x30\xFF\xFF\xFF\xFF\x01rest");
        assert!(lines.len() == 1 && lines[0].starts_with("malformed 10, "), "{lines:?}");
        assert_eq!(told(&mut conversation, Side::Client, b"\xC0\x00"), ["noise 2"]);
    }

    #[test]
    fn a_large_packet_is_told_of_by_its_length_and_passed() {
        let mut conversation = Conversation::new();
        told(&mut conversation, Side::Client, CONNECT);
        let length = 32 << 20;
        // 2^25 in bytes of seven bits.
        let lines = told(&mut conversation, Side::Client, b"\x30\x80\x80\x80\x10");
        assert_eq!(lines, [format!("large {}", length + 5)]);
        let chunk = vec![b'x'; 1 << 20];
        for _ in 0..32 {
            assert!(told(&mut conversation, Side::Client, &chunk).is_empty());
            assert!(conversation.client.buffer.capacity() < 4 << 20, "what passes is not kept");
        }
        assert_eq!(told(&mut conversation, Side::Client, b"\xC0\x00"), ["PINGREQ 2"]);
        told(&mut conversation, Side::Client, b"\x30\x80\x80\x80\x10 and no more");
        let mut lines = Vec::new();
        conversation.end(Side::Client, &mut |event| lines.push(short(&event)));
        assert_eq!(lines, ["cut off 17 false"]);
    }

    #[test]
    fn a_packet_that_does_not_end_is_told_of_at_the_end() {
        for (bytes, line) in
            [(&b"\xC0"[..], Some("cut off 1 false")), (b"\x37", Some("cut off 1 true")), (b"", None)]
        {
            let mut conversation = Conversation::new();
            told(&mut conversation, Side::Client, CONNECT);
            assert!(told(&mut conversation, Side::Client, bytes).is_empty());
            let mut lines = Vec::new();
            conversation.end(Side::Client, &mut |event| lines.push(short(&event)));
            assert_eq!(lines.first().map(String::as_str), line);
        }
    }
}
