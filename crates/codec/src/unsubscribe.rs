//! UNSUBSCRIBE on the wire.

use crate::decoder::Origin;
use crate::encoder::Body;
use crate::wire::{self, Reader};
use crate::{
    DecodeError, EncodeError, PacketType, Properties, PropertyPlace, ProtocolVersion, Unsubscribe,
    UnsubscribeFilters,
};

impl<'a> Unsubscribe<'a> {
    pub(crate) fn decode(mut body: Reader<'a>, origin: Origin) -> Result<Self, DecodeError> {
        let place = PropertyPlace::Packet(PacketType::Unsubscribe);
        Ok(Self {
            packet_id: body.packet_id(PacketType::Unsubscribe)?,
            properties: Properties::decode(&mut body, origin.version, place, origin.sender)?,
            filters: UnsubscribeFilters::decode(body.rest())?,
        })
    }
}

impl Body for Unsubscribe<'_> {
    fn len(&self, version: ProtocolVersion) -> usize {
        2 + self.properties.section_len(version) + self.filters.as_bytes().len()
    }

    fn write(&self, version: ProtocolVersion, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        wire::put_packet_id(self.packet_id, out);
        self.properties.write(version, out);
        out.extend_from_slice(self.filters.as_bytes());
        Ok(())
    }
}
