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
