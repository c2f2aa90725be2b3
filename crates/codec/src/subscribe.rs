//! SUBSCRIBE on the wire.

use crate::decoder::Origin;
use crate::encoder::Body;
use crate::wire::{self, Reader};
use crate::{
    DecodeError, EncodeError, PacketType, Properties, PropertyPlace, ProtocolVersion, Subscribe,
    SubscribeFilters,
};

impl<'a> Subscribe<'a> {
    pub(crate) fn decode(mut body: Reader<'a>, origin: Origin) -> Result<Self, DecodeError> {
        let place = PropertyPlace::Packet(PacketType::Subscribe);
        Ok(Self {
            packet_id: body.packet_id(PacketType::Subscribe)?,
            properties: Properties::decode(&mut body, origin.version, place, origin.sender)?,
            filters: SubscribeFilters::decode(body.rest(), origin.version)?,
        })
    }
}

impl Body for Subscribe<'_> {
    fn len(&self, version: ProtocolVersion) -> usize {
        2 + self.properties.section_len(version) + self.filters.wire_len()
    }

    fn write(&self, version: ProtocolVersion, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        wire::put_packet_id(self.packet_id, out);
        self.properties.write(version, out);
        self.filters.write(version, out)
    }
}
