//! MQTT frames by hand, for the relay every cost is measured against and for its tests.
//!
//! The relay must cost next to nothing and must not change when the codec does, so it does not use it. What is here is
//! the least that two well-behaved peers need: no properties, no validation beyond bounds. Anything that is not a frame
//! is [`Malformed`], whatever the reason.

/// First byte of each frame the relay and its tests write or look for; PUBLISH carries its flags in the low bits.
pub mod first_byte {
    /// CONNECT.
    pub const CONNECT: u8 = 0x10;
    /// CONNACK.
    pub const CONNACK: u8 = 0x20;
    /// PUBLISH without its flags.
    pub const PUBLISH: u8 = 0x30;
    /// PUBACK.
    pub const PUBACK: u8 = 0x40;
    /// PUBREC.
    pub const PUBREC: u8 = 0x50;
    /// PUBREL with the flags it must have [MQTT-3.6.1-1].
    pub const PUBREL: u8 = 0x62;
    /// PUBCOMP.
    pub const PUBCOMP: u8 = 0x70;
    /// SUBSCRIBE with the flags it must have [MQTT-3.8.1-1].
    pub const SUBSCRIBE: u8 = 0x82;
    /// SUBACK.
    pub const SUBACK: u8 = 0x90;
    /// PINGREQ.
    pub const PINGREQ: u8 = 0xC0;
    /// PINGRESP.
    pub const PINGRESP: u8 = 0xD0;
    /// DISCONNECT.
    pub const DISCONNECT: u8 = 0xE0;
}

/// Protocol level of 3.1.1.
pub const LEVEL_3_1_1: u8 = 4;
/// Protocol level of 5.0.
pub const LEVEL_5: u8 = 5;

/// The bytes are not MQTT as the relay knows it.
#[derive(Debug, PartialEq, Eq)]
pub struct Malformed;

/// One whole control packet inside a buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frame<'a> {
    /// Everything, as it came.
    pub bytes: &'a [u8],
    /// What follows the fixed header.
    pub body: &'a [u8],
}

impl<'a> Frame<'a> {
    /// Cuts the first frame off a buffer by its length; none if it has not all arrived.
    pub fn cut(buffer: &'a [u8]) -> Result<Option<Self>, Malformed> {
        let Some((_, after_type)) = buffer.split_first() else { return Ok(None) };
        let Some((length, after_length)) = split_length(after_type)? else { return Ok(None) };
        let Some(body) = after_length.get(..length) else { return Ok(None) };
        let header = buffer.len() - after_length.len();
        Ok(Some(Self { bytes: &buffer[..header + length], body }))
    }

    /// Type and flags. For all but PUBLISH one of [`first_byte`].
    pub fn first_byte(&self) -> u8 {
        self.bytes[0]
    }

    /// True for a PUBLISH with any flags.
    pub fn is_publish(&self) -> bool {
        self.first_byte() & 0xF0 == first_byte::PUBLISH
    }

    /// The packet id of a frame that begins with one.
    pub fn packet_id(&self) -> Result<[u8; 2], Malformed> {
        self.body.first_chunk().copied().ok_or(Malformed)
    }
}

/// Cuts a byte stream into frames, wherever it was broken. Owns memory only while a frame is incomplete.
#[derive(Debug, Default)]
pub struct Assembler {
    partial: Vec<u8>,
}

impl Assembler {
    /// Hands over each whole frame, in order, and keeps the beginning of the next one.
    pub fn feed(
        &mut self,
        arrived: &[u8],
        each: impl FnMut(&Frame<'_>) -> Result<(), Malformed>,
    ) -> Result<(), Malformed> {
        if self.partial.is_empty() {
            self.partial = cut_all(arrived, each)?.to_vec();
        } else {
            self.partial.extend_from_slice(arrived);
            self.partial = cut_all(&self.partial, each)?.to_vec();
        }
        Ok(())
    }
}

fn cut_all(
    mut bytes: &[u8],
    mut each: impl FnMut(&Frame<'_>) -> Result<(), Malformed>,
) -> Result<&[u8], Malformed> {
    while let Some(frame) = Frame::cut(bytes)? {
        each(&frame)?;
        bytes = &bytes[frame.bytes.len()..];
    }
    Ok(bytes)
}

/// The parts of a PUBLISH.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Publish<'a> {
    /// 0, 1 or 2.
    pub qos: u8,
    /// The topic name.
    pub topic: &'a [u8],
    /// Of no meaning with QoS 0.
    pub packet_id: [u8; 2],
    /// With level 5 the properties and then the application message, else the latter alone.
    pub rest: &'a [u8],
}

impl<'a> Publish<'a> {
    /// Takes a PUBLISH frame apart.
    pub fn parse(frame: &Frame<'a>) -> Result<Self, Malformed> {
        let qos = (frame.first_byte() >> 1) & 3;
        let (topic, mut rest) = split_field(frame.body)?;
        let mut packet_id = [0; 2];
        if qos > 0 {
            (packet_id, rest) = rest.split_first_chunk().map(|(id, rest)| (*id, rest)).ok_or(Malformed)?;
        }
        Ok(Self { qos, topic, packet_id, rest })
    }
}

/// Splits off a field that begins with its two-byte length.
pub fn split_field(bytes: &[u8]) -> Result<(&[u8], &[u8]), Malformed> {
    let (length, rest) = bytes.split_first_chunk().ok_or(Malformed)?;
    rest.split_at_checked(u16::from_be_bytes(*length).into()).ok_or(Malformed)
}

/// Splits off properties, which begin with their length.
pub fn split_properties(bytes: &[u8]) -> Result<(&[u8], &[u8]), Malformed> {
    let (length, rest) = split_length(bytes)?.ok_or(Malformed)?;
    rest.split_at_checked(length).ok_or(Malformed)
}

/// Reads a variable byte integer; none if it goes on behind the end.
fn split_length(bytes: &[u8]) -> Result<Option<(usize, &[u8])>, Malformed> {
    let mut length = 0;
    for (index, &byte) in bytes.iter().enumerate().take(4) {
        length |= usize::from(byte & 0x7F) << (7 * index);
        if byte & 0x80 == 0 {
            return Ok(Some((length, &bytes[index + 1..])));
        }
    }
    if bytes.len() < 4 { Ok(None) } else { Err(Malformed) }
}

/// Appends a CONNECT with a clean start and no keep alive.
pub fn push_connect(out: &mut Vec<u8>, level: u8, client_id: &str) {
    let mut body = Vec::new();
    push_field(&mut body, b"MQTT");
    body.extend_from_slice(&[level, 0b10, 0, 0]);
    push_no_properties(&mut body, level);
    push_field(&mut body, client_id.as_bytes());
    push_frame(out, first_byte::CONNECT, &[&body]);
}

/// Appends a SUBSCRIBE that asks for the same QoS for every filter.
pub fn push_subscribe<'a>(
    out: &mut Vec<u8>,
    level: u8,
    packet_id: u16,
    filters: impl Iterator<Item = &'a str>,
    qos: u8,
) {
    let mut body = packet_id.to_be_bytes().to_vec();
    push_no_properties(&mut body, level);
    for filter in filters {
        push_field(&mut body, filter.as_bytes());
        body.push(qos);
    }
    push_frame(out, first_byte::SUBSCRIBE, &[&body]);
}

/// Appends a PUBLISH; the packet id is left out with QoS 0.
pub fn push_publish(out: &mut Vec<u8>, level: u8, topic: &str, qos: u8, packet_id: u16, payload: &[u8]) {
    let id = packet_id.to_be_bytes();
    let id = if qos > 0 { id.as_slice() } else { &[] };
    let properties: &[u8] = if level == LEVEL_5 { &[0] } else { &[] };
    let topic_length = length_bytes(topic.as_bytes());
    let body = [&topic_length, topic.as_bytes(), id, properties, payload];
    push_frame(out, first_byte::PUBLISH | qos << 1, &body);
}

/// Appends a PUBACK, PUBREC, PUBREL or PUBCOMP that says nothing but the packet id.
pub fn push_acknowledgement(out: &mut Vec<u8>, first_byte: u8, packet_id: [u8; 2]) {
    out.extend_from_slice(&[first_byte, 2, packet_id[0], packet_id[1]]);
}

/// Appends a frame whose body is these parts.
pub fn push_frame(out: &mut Vec<u8>, first_byte: u8, body: &[&[u8]]) {
    out.push(first_byte);
    let mut length: usize = body.iter().map(|part| part.len()).sum();
    while length >= 0x80 {
        out.push((length & 0x7F) as u8 | 0x80);
        length >>= 7;
    }
    out.push(length as u8);
    for part in body {
        out.extend_from_slice(part);
    }
}

fn push_no_properties(body: &mut Vec<u8>, level: u8) {
    if level == LEVEL_5 {
        body.push(0);
    }
}

fn push_field(body: &mut Vec<u8>, field: &[u8]) {
    body.extend_from_slice(&length_bytes(field));
    body.extend_from_slice(field);
}

fn length_bytes(field: &[u8]) -> [u8; 2] {
    u16::try_from(field.len()).expect("topics and clients have short names").to_be_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_cut_wherever_the_stream_breaks() {
        let mut stream = Vec::new();
        push_publish(&mut stream, LEVEL_3_1_1, "a/b", 1, 7, &[b'x'; 300]);
        let whole = stream.len();
        push_acknowledgement(&mut stream, first_byte::PUBACK, [0, 7]);

        for end in 0..whole {
            assert_eq!(Frame::cut(&stream[..end]), Ok(None), "after {end} bytes");
        }
        let first = Frame::cut(&stream).unwrap().unwrap();
        assert_eq!(first.bytes.len(), whole);
        let second = Frame::cut(&stream[whole..]).unwrap().unwrap();
        assert_eq!((second.first_byte(), second.packet_id()), (first_byte::PUBACK, Ok([0, 7])));
    }

    #[test]
    fn the_assembler_gives_the_same_frames_for_fragments_of_any_size() {
        let mut stream = Vec::new();
        for id in 0..5 {
            push_publish(&mut stream, LEVEL_5, "a/b", 2, id, &[b'x'; 200]);
            push_acknowledgement(&mut stream, first_byte::PUBREL, id.to_be_bytes());
        }
        for size in 1..stream.len() {
            let (mut assembler, mut joined, mut frames) = (Assembler::default(), Vec::new(), 0);
            for fragment in stream.chunks(size) {
                let each = |frame: &Frame<'_>| {
                    joined.extend_from_slice(frame.bytes);
                    frames += 1;
                    Ok(())
                };
                assembler.feed(fragment, each).unwrap();
            }
            assert_eq!((joined, frames), (stream.clone(), 10), "fragments of {size}");
        }
    }

    #[test]
    fn a_length_of_five_bytes_is_no_frame() {
        assert_eq!(Frame::cut(&[0x30, 0xFF, 0xFF, 0xFF, 0xFF, 0x01]), Err(Malformed));
        assert_eq!(Frame::cut(&[0x30, 0xFF, 0xFF, 0xFF]), Ok(None));
    }

    #[test]
    fn publish_comes_back_in_both_levels_and_every_qos() {
        for level in [LEVEL_3_1_1, LEVEL_5] {
            for qos in 0..=2 {
                let mut stream = Vec::new();
                push_publish(&mut stream, level, "topic", qos, 513, b"payload");
                let frame = Frame::cut(&stream).unwrap().unwrap();
                let publish = Publish::parse(&frame).unwrap();
                let payload =
                    if level == LEVEL_5 { split_properties(publish.rest).unwrap().1 } else { publish.rest };
                let packet_id = if qos > 0 { [2, 1] } else { [0, 0] };
                assert_eq!((publish.qos, publish.topic, publish.packet_id), (qos, &b"topic"[..], packet_id));
                assert_eq!(payload, b"payload");
            }
        }
    }

    #[test]
    fn a_publish_that_ends_too_early_is_malformed() {
        for body in [&[0][..], &[0, 3, b'a'], &[0, 1, b'a', 0]] {
            let mut stream = Vec::new();
            push_frame(&mut stream, first_byte::PUBLISH | 0b10, &[body]);
            let frame = Frame::cut(&stream).unwrap().unwrap();
            assert_eq!(Publish::parse(&frame), Err(Malformed), "{body:?}");
        }
    }
}
