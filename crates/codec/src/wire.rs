//! Reading and writing the primitive values: integers, variable byte integers, strings, binary data.
//!
//! A [`Reader`] never looks past the slice it was given, and every read that would is an error that names
//! the field. Writers append to a `Vec`.

use crate::{DecodeError, EncodeError, PacketId, PacketType, utf8};

/// The largest number a variable byte integer can hold, and so the largest remaining length in bytes.
pub(crate) const VARIABLE_BYTE_INTEGER_MAX: u32 = 268_435_455;

/// The most bytes a variable byte integer takes.
pub(crate) const VARIABLE_BYTE_INTEGER_BYTES_MAX: usize = 4;

/// The unread part of a packet.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reader<'a> {
    bytes: &'a [u8],
}

impl<'a> Reader<'a> {
    pub(crate) const fn new(bytes: &'a [u8]) -> Self {
        Self { bytes }
    }

    pub(crate) const fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    pub(crate) const fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Everything that is left.
    pub(crate) const fn rest(&self) -> &'a [u8] {
        self.bytes
    }

    /// The fields of the packet must end where it ends.
    pub(crate) const fn finish(&self, packet_type: PacketType) -> Result<(), DecodeError> {
        match self.bytes.len() {
            0 => Ok(()),
            bytes => Err(DecodeError::TrailingBytes { packet_type, bytes }),
        }
    }

    pub(crate) fn take(&mut self, len: usize, field: &'static str) -> Result<&'a [u8], DecodeError> {
        let (taken, rest) = self.bytes.split_at_checked(len).ok_or(DecodeError::FieldBeyondEnd { field })?;
        self.bytes = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self, field: &'static str) -> Result<[u8; N], DecodeError> {
        let (taken, rest) = self.bytes.split_first_chunk().ok_or(DecodeError::FieldBeyondEnd { field })?;
        self.bytes = rest;
        Ok(*taken)
    }

    pub(crate) fn u8(&mut self, field: &'static str) -> Result<u8, DecodeError> {
        self.array(field).map(u8::from_be_bytes)
    }

    pub(crate) fn u16(&mut self, field: &'static str) -> Result<u16, DecodeError> {
        self.array(field).map(u16::from_be_bytes)
    }

    pub(crate) fn u32(&mut self, field: &'static str) -> Result<u32, DecodeError> {
        self.array(field).map(u32::from_be_bytes)
    }

    /// A variable byte integer in its shortest form [MQTT-1.5.5-1].
    pub(crate) fn variable_byte_integer(&mut self, field: &'static str) -> Result<u32, DecodeError> {
        let number = VariableByteInteger::parse(self.bytes, field)?;
        let number = number.ok_or(DecodeError::FieldBeyondEnd { field })?;
        if !number.is_shortest() {
            return Err(DecodeError::VariableByteIntegerNotShortest { field });
        }
        self.bytes = &self.bytes[number.bytes..];
        Ok(number.value)
    }

    /// Binary data behind a two-byte length.
    pub(crate) fn binary(&mut self, field: &'static str) -> Result<&'a [u8], DecodeError> {
        let len = self.u16(field)?;
        self.take(len.into(), field)
    }

    pub(crate) fn string(&mut self, field: &'static str) -> Result<&'a str, DecodeError> {
        utf8::text(self.binary(field)?, field)
    }

    pub(crate) fn topic_name(&mut self, field: &'static str) -> Result<&'a str, DecodeError> {
        utf8::topic_name(self.binary(field)?, field)
    }

    pub(crate) fn packet_id(&mut self, packet_type: PacketType) -> Result<PacketId, DecodeError> {
        let id = self.u16("the packet identifier")?;
        PacketId::new(id).ok_or(DecodeError::PacketIdZero { packet_type })
    }
}

/// A variable byte integer with the number of bytes it was written in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct VariableByteInteger {
    pub(crate) value: u32,
    pub(crate) bytes: usize,
}

impl VariableByteInteger {
    /// Reads from the front of `bytes`; `None` while its last byte has not come.
    pub(crate) fn parse(bytes: &[u8], field: &'static str) -> Result<Option<Self>, DecodeError> {
        let mut value = 0;
        for (place, &byte) in bytes.iter().take(VARIABLE_BYTE_INTEGER_BYTES_MAX).enumerate() {
            value |= u32::from(byte & 0x7F) << (7 * place);
            if byte & 0x80 == 0 {
                return Ok(Some(Self { value, bytes: place + 1 }));
            }
        }
        if bytes.len() >= VARIABLE_BYTE_INTEGER_BYTES_MAX {
            return Err(DecodeError::VariableByteIntegerTooLong { field });
        }
        Ok(None)
    }

    pub(crate) const fn is_shortest(self) -> bool {
        self.bytes == variable_byte_integer_len(self.value as usize)
    }
}

/// How many bytes a variable byte integer takes.
pub(crate) const fn variable_byte_integer_len(value: usize) -> usize {
    match value {
        0..=127 => 1,
        128..=16_383 => 2,
        16_384..=2_097_151 => 3,
        _ => 4,
    }
}

/// Appends a variable byte integer of at most [`VARIABLE_BYTE_INTEGER_MAX`].
pub(crate) fn put_variable_byte_integer(mut value: u32, out: &mut Vec<u8>) {
    debug_assert!(value <= VARIABLE_BYTE_INTEGER_MAX, "checked by whoever made the value");
    while value > 0x7F {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// How many bytes a string or binary field takes with its length.
pub(crate) const fn binary_len(bytes: &[u8]) -> usize {
    2 + bytes.len()
}

/// Appends binary data behind its two-byte length.
pub(crate) fn put_binary(bytes: &[u8], field: &'static str, out: &mut Vec<u8>) -> Result<(), EncodeError> {
    let too_long = EncodeError::FieldTooLong { field, bytes: bytes.len() };
    let len = u16::try_from(bytes.len()).map_err(|_| too_long)?;
    out.extend_from_slice(&len.to_be_bytes());
    out.extend_from_slice(bytes);
    Ok(())
}

/// Appends a string behind its two-byte length.
pub(crate) fn put_string(text: &str, field: &'static str, out: &mut Vec<u8>) -> Result<(), EncodeError> {
    put_binary(text.as_bytes(), field, out)
}

/// Appends a packet identifier.
pub(crate) fn put_packet_id(id: PacketId, out: &mut Vec<u8>) {
    out.extend_from_slice(&id.get().to_be_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ReasonCode;

    const BOUNDS: [(u32, &[u8]); 8] = [
        (0, &[0x00]),
        (127, &[0x7F]),
        (128, &[0x80, 0x01]),
        (16_383, &[0xFF, 0x7F]),
        (16_384, &[0x80, 0x80, 0x01]),
        (2_097_151, &[0xFF, 0xFF, 0x7F]),
        (2_097_152, &[0x80, 0x80, 0x80, 0x01]),
        (268_435_455, &[0xFF, 0xFF, 0xFF, 0x7F]),
    ];

    #[test]
    fn a_variable_byte_integer_takes_one_to_four_bytes() {
        for (value, bytes) in BOUNDS {
            let mut out = Vec::new();
            put_variable_byte_integer(value, &mut out);
            assert_eq!(out, bytes, "{value}");
            assert_eq!(variable_byte_integer_len(value as usize), bytes.len(), "{value}");

            let mut reader = Reader::new(bytes);
            assert_eq!(reader.variable_byte_integer("it"), Ok(value));
            assert!(reader.is_empty(), "{value}");
        }
    }

    #[test]
    fn a_variable_byte_integer_leaves_what_follows() {
        let mut reader = Reader::new(&[0x80, 0x01, 0x80]);
        assert_eq!(reader.variable_byte_integer("it"), Ok(128));
        assert_eq!(reader.rest(), [0x80]);
    }

    #[test]
    fn an_unfinished_variable_byte_integer_waits_for_more() {
        for (_, bytes) in BOUNDS {
            let unfinished = &bytes[..bytes.len() - 1];
            assert_eq!(VariableByteInteger::parse(unfinished, "it"), Ok(None));
            let error = Reader::new(unfinished).variable_byte_integer("it");
            assert_eq!(error, Err(DecodeError::FieldBeyondEnd { field: "it" }));
        }
    }

    #[test]
    fn a_fifth_byte_of_a_variable_byte_integer_is_refused_before_it_comes() {
        for bytes in [&[0x80_u8; 4][..], &[0xFF; 4], &[0x80, 0x80, 0x80, 0x80, 0x01], &[0xFF; 9]] {
            let error = DecodeError::VariableByteIntegerTooLong { field: "it" };
            assert_eq!(VariableByteInteger::parse(bytes, "it"), Err(error));
            assert_eq!(error.reason_code(), ReasonCode::MalformedPacket);
        }
    }

    #[test]
    fn mqtt_1_5_5_1_a_variable_byte_integer_is_as_short_as_possible() {
        let too_long: [(u32, &[u8]); 6] = [
            (0, &[0x80, 0x00]),
            (1, &[0x81, 0x00]),
            (127, &[0xFF, 0x00]),
            (127, &[0xFF, 0x80, 0x00]),
            (128, &[0x80, 0x81, 0x00]),
            (2_097_151, &[0xFF, 0xFF, 0xFF, 0x00]),
        ];
        for (value, bytes) in too_long {
            let parsed = VariableByteInteger::parse(bytes, "it");
            assert_eq!(parsed, Ok(Some(VariableByteInteger { value, bytes: bytes.len() })));
            let error = DecodeError::VariableByteIntegerNotShortest { field: "it" };
            assert_eq!(Reader::new(bytes).variable_byte_integer("it"), Err(error));
            assert_eq!(error.reason_code(), ReasonCode::MalformedPacket);
        }
    }

    #[test]
    fn integers_are_big_endian() {
        let mut reader = Reader::new(&[1, 2, 3, 4, 5, 6, 7]);
        assert_eq!(reader.u8("it"), Ok(0x01));
        assert_eq!(reader.u16("it"), Ok(0x0203));
        assert_eq!(reader.u32("it"), Ok(0x0405_0607));
        assert!(reader.is_empty());
    }

    #[test]
    fn no_read_goes_beyond_the_end() {
        type Read = for<'a> fn(&mut Reader<'a>) -> Result<(), DecodeError>;
        let reads: [(&[u8], Read); 9] = [
            (&[], |reader| reader.u8("it").map(drop)),
            (&[1], |reader| reader.u16("it").map(drop)),
            (&[1, 2, 3], |reader| reader.u32("it").map(drop)),
            (&[1, 2, 3], |reader| reader.take(4, "it").map(drop)),
            (&[], |reader| reader.binary("it").map(drop)),
            (&[0], |reader| reader.binary("it").map(drop)),
            (&[0, 2, b'a'], |reader| reader.binary("it").map(drop)),
            (&[0xFF, 0xFF, b'a'], |reader| reader.string("it").map(drop)),
            (&[0, 1], |reader| reader.topic_name("it").map(drop)),
        ];
        for (bytes, read) in reads {
            let mut reader = Reader::new(bytes);
            assert_eq!(read(&mut reader), Err(DecodeError::FieldBeyondEnd { field: "it" }), "{bytes:?}");
        }
    }

    #[test]
    fn strings_and_binary_data_stand_behind_their_length() {
        let mut out = Vec::new();
        put_string("héllo", "it", &mut out).expect("it is short");
        put_binary(&[0, 0xFF], "it", &mut out).expect("it is short");
        put_binary(&[], "it", &mut out).expect("it is short");
        assert_eq!(out, b"\x00\x06h\xC3\xA9llo\x00\x02\x00\xFF\x00\x00");

        let mut reader = Reader::new(&out);
        assert_eq!(reader.string("it"), Ok("héllo"));
        assert_eq!(reader.binary("it"), Ok(&[0, 0xFF][..]));
        assert_eq!(reader.binary("it"), Ok(&[][..]));
        assert!(reader.is_empty());
    }

    #[test]
    fn mqtt_4_7_3_3_a_field_has_at_most_65_535_bytes() {
        let mut out = Vec::new();
        put_binary(&[b'a'; 65_535], "it", &mut out).expect("it just fits");
        assert_eq!(out.len(), 65_537);
        assert_eq!(Reader::new(&out).binary("it").map(<[u8]>::len), Ok(65_535));

        let error = EncodeError::FieldTooLong { field: "it", bytes: 65_536 };
        assert_eq!(put_binary(&[b'a'; 65_536], "it", &mut out), Err(error));
        assert_eq!(out.len(), 65_537, "nothing was added");
    }

    #[test]
    fn mqtt_2_2_1_3_a_packet_identifier_is_not_zero() {
        let packet_type = PacketType::Subscribe;
        let error = DecodeError::PacketIdZero { packet_type };
        assert_eq!(Reader::new(&[0, 0]).packet_id(packet_type), Err(error));
        assert_eq!(error.reason_code(), ReasonCode::ProtocolError);

        for number in [1, 255, 256, 65_535] {
            let id = PacketId::new(number).expect("not zero");
            let mut out = Vec::new();
            put_packet_id(id, &mut out);
            assert_eq!(Reader::new(&out).packet_id(packet_type), Ok(id));
        }
    }

    #[test]
    fn a_packet_ends_with_its_last_field() {
        let packet_type = PacketType::PubAck;
        assert_eq!(Reader::new(&[]).finish(packet_type), Ok(()));
        let error = DecodeError::TrailingBytes { packet_type, bytes: 2 };
        assert_eq!(Reader::new(&[1, 2]).finish(packet_type), Err(error));
        assert_eq!(error.reason_code(), ReasonCode::MalformedPacket);
    }
}
