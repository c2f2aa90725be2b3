//! How a record is read. Bytes that no record has are an error, whatever they are: nothing here panics, and
//! nothing is allocated for what is not there.

use super::wire::{self, Kind};
use super::{Frame, FrameTarget, PayloadPart, Record};
use core::net::IpAddr;
use noctule_auth::{Address, Certificate, Origin};
use noctule_codec::{
    DecodeError, PacketId, PacketType, Properties, PropertyPlace, QoS, ReasonCode, RetainHandling, Role,
    SubscriptionOptions,
};
use noctule_session::{
    Delivered, GroupNumber, Instant, MessageNumber, Parts, Payload, Phase, Place, Position, Publication,
    SessionChange, SessionNumber, Settlement, StoredWill, Subscription, SubscriptionIds,
};
use std::sync::Arc;

/// Bytes that are no record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RecordError {
    /// The bytes end within a record, or a field goes beyond the end of its record.
    #[error("the bytes end before the record does")]
    Truncated,
    /// No record is of this kind. A later version may know it.
    #[error("no record is of kind {kind}")]
    UnknownKind {
        /// The first byte of the record.
        kind: u8,
    },
    /// A number is out of the range of its field, or flags are set that mean nothing.
    #[error("{field} has a value that it cannot have")]
    Value {
        /// Which field.
        field: &'static str,
    },
    /// A text is not UTF-8.
    #[error("{field} is not UTF-8")]
    Text {
        /// Which field.
        field: &'static str,
    },
    /// The properties of a publication or a will are not what a client can have sent.
    #[error("the properties of a message are damaged: {0}")]
    Properties(#[from] DecodeError),
    /// The record is longer than its content.
    #[error("{bytes} bytes of the record belong to nothing")]
    TrailingBytes {
        /// How many.
        bytes: usize,
    },
}

impl Record {
    /// Reads the first record of these bytes; what follows it is returned beside it. Publications stand nowhere
    /// yet and count nowhere as memory.
    pub fn decode(bytes: &[u8]) -> Result<(Self, &[u8]), RecordError> {
        let (kind, content, rest) = split_first(bytes)?;
        let mut reader = Reader(content);
        let record = reader.record(kind)?;
        reader.finish()?;
        Ok((record, rest))
    }
}

/// Finds the content of a message in the body of a frame: records behind each other. What the records say of
/// other messages is not read.
pub fn content(body: &[u8], number: MessageNumber) -> Result<Option<Publication>, RecordError> {
    let found = find(body, number)?;
    found.map(|(_, content)| Reader(content).publication()).transpose()
}

/// Finds the content of a message in the body of a frame, as [`content`] does, and appends it to `out` as a
/// [`Record::Moved`]. Says whether it was there; else nothing is appended.
pub fn moved_bytes(body: &[u8], number: MessageNumber, out: &mut Vec<u8>) -> Result<bool, RecordError> {
    let Some((_, content)) = find(body, number)? else { return Ok(false) };
    let mut behind = Reader(content);
    behind.skip_publication()?;
    let publication = &content[..content.len() - behind.0.len()];
    let bytes = u32::try_from(publication.len()).map_err(|_| RecordError::Value { field: "a length" })?;
    out.push(Kind::Moved as u8);
    out.extend_from_slice(&bytes.to_le_bytes());
    out.extend_from_slice(publication);
    Ok(true)
}

/// Whether the payload of a message whose content is in the body of a frame stands in parts elsewhere, so that
/// [`moved_bytes`] does not move it.
pub fn is_in_parts(body: &[u8], number: MessageNumber) -> Result<bool, RecordError> {
    let Some((_, content)) = find(body, number)? else { return Ok(false) };
    let mut reader = Reader(content);
    reader.message()?;
    Ok(reader.publication_flags()? & wire::IN_PARTS != 0)
}

/// Whether the body of a frame says of a message whose content is in it that a single session is owed it, and nobody
/// else ever was or will be.
pub fn has_one_receiver(body: &[u8], number: MessageNumber) -> Result<bool, RecordError> {
    let Some((Kind::Published, content)) = find(body, number)? else { return Ok(false) };
    let mut reader = Reader(content);
    reader.skip_publication()?;
    let flags = reader.frame_flags()?;
    reader.inbound(flags)?;
    reader.will_of(flags)?;
    let is_owed_to_one = reader.number()? == 1 && reader.target().is_ok() && reader.number()? == 0;
    Ok(is_owed_to_one && flags & wire::IS_RETAINED == 0)
}

/// Finds the part of a payload that begins at this place of it in the body of a frame.
pub fn part(mut body: &[u8], number: MessageNumber, from: u64) -> Result<Option<&[u8]>, RecordError> {
    while !body.is_empty() {
        let (kind, content, rest) = split_first(body)?;
        let mut reader = Reader(content);
        if kind == Kind::Part && reader.message()? == number && reader.number()? == from {
            return reader.bytes().map(Some);
        }
        body = rest;
    }
    Ok(None)
}

/// Where the contents of messages begin in the body of a frame: [`content`] and [`moved_bytes`] find each at once in
/// the bytes from there on.
pub fn contents(body: &[u8]) -> Result<Vec<(MessageNumber, usize)>, RecordError> {
    let (mut rest, mut found) = (body, Vec::new());
    while !rest.is_empty() {
        let (kind, content, behind) = split_first(rest)?;
        if kind.has_content() {
            found.push((Reader(content).message()?, body.len() - rest.len()));
        }
        rest = behind;
    }
    Ok(found)
}

/// The kind and the content of the first record that begins with this message.
fn find(mut body: &[u8], number: MessageNumber) -> Result<Option<(Kind, &[u8])>, RecordError> {
    while !body.is_empty() {
        let (kind, content, rest) = split_first(body)?;
        if kind.has_content() && Reader(content).message()? == number {
            return Ok(Some((kind, content)));
        }
        body = rest;
    }
    Ok(None)
}

/// The kind and the content of the first record, and the bytes behind it.
pub(super) fn split_first(bytes: &[u8]) -> Result<(Kind, &[u8], &[u8]), RecordError> {
    let (kind, bytes) = bytes.split_first().ok_or(RecordError::Truncated)?;
    let kind = Kind::from_u8(*kind).ok_or(RecordError::UnknownKind { kind: *kind })?;
    let (length, bytes) = bytes.split_first_chunk().ok_or(RecordError::Truncated)?;
    let length = usize::try_from(u32::from_le_bytes(*length)).map_err(|_| RecordError::Truncated)?;
    let (content, rest) = bytes.split_at_checked(length).ok_or(RecordError::Truncated)?;
    Ok((kind, content, rest))
}

/// The content of a record, as far as it has not been read.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn record(&mut self, kind: Kind) -> Result<Record, RecordError> {
        Ok(match kind {
            Kind::Published => Record::Published(Box::new(self.frame()?)),
            Kind::Part => Record::Part(self.part()?),
            Kind::Moved => Record::Moved(Arc::new(self.publication()?)),
            Kind::Retained => Record::Retained(Arc::new(self.publication()?)),
            Kind::SessionOpened => self.session_opened()?,
            Kind::SessionDetached => {
                Record::SessionDetached { session: self.session()?, at: self.instant()? }
            }
            Kind::SessionEnded => Record::SessionEnded { session: self.session()? },
            Kind::GroupNamed => Record::GroupNamed {
                group: self.group()?,
                share_name: self.text("a share name")?.into(),
                filter: self.text("a filter")?.into(),
            },
            Kind::GroupOwed => {
                Record::GroupOwed { message: Arc::new(self.publication()?), group: self.group()? }
            }
            Kind::GroupTaken => Record::GroupTaken { session: self.session()?, delivered: self.delivered()? },
            Kind::GroupReturned => Record::GroupReturned { group: self.group()?, message: self.message()? },
            Kind::GroupDropped => Record::GroupDropped { group: self.group()?, message: self.message()? },
            _ => Record::Session { session: self.session()?, change: self.change(kind)? },
        })
    }

    fn session_opened(&mut self) -> Result<Record, RecordError> {
        let (session, client_id) = (self.session()?, self.text("a client id")?.into());
        let flags = self.flags(wire::OPENED, "a session's flags")?;
        let user_name = self.text_if(flags & wire::HAS_USER_NAME != 0, "a user name")?;
        let origin = Box::new(self.origin(flags)?);
        Ok(Record::SessionOpened { session, client_id, user_name, origin })
    }

    /// Where a client came from.
    fn origin(&mut self, flags: u8) -> Result<Origin, RecordError> {
        let address = match flags >> wire::ADDRESS_SHIFT & 0b11 {
            0 => Address::Unknown,
            1 => Address::Local,
            2 => Address::Ip(IpAddr::from(self.array::<4>()?)),
            _ => Address::Ip(IpAddr::from(self.array::<16>()?)),
        };
        let listener = self.text_if(flags & wire::HAS_LISTENER != 0, "a listener")?;
        let has_certificate = flags & wire::HAS_CERTIFICATE != 0;
        let certificate = has_certificate.then(|| self.certificate()).transpose()?;
        Ok(Origin {
            address,
            listener: listener.as_deref().unwrap_or_default().into(),
            certificate: certificate.map(Arc::new),
        })
    }

    fn certificate(&mut self) -> Result<Certificate, RecordError> {
        let flags = self.flags(wire::HAS_COMMON_NAME | wire::HAS_SUBJECT, "a certificate's flags")?;
        Ok(Certificate {
            common_name: self.text_if(flags & wire::HAS_COMMON_NAME != 0, "a common name")?,
            subject: self.text_if(flags & wire::HAS_SUBJECT != 0, "a subject")?,
            alternative_names: self.list(1, |reader| Ok(reader.text("an alternative name")?.into()))?.into(),
            fingerprint: self.text("a fingerprint")?.into(),
        })
    }

    fn text_if(&mut self, is_there: bool, field: &'static str) -> Result<Option<Box<str>>, RecordError> {
        is_there.then(|| self.text(field).map(Into::into)).transpose()
    }

    fn change(&mut self, kind: Kind) -> Result<SessionChange, RecordError> {
        Ok(match kind {
            Kind::Held => {
                SessionChange::Held { delivered: Box::new(self.delivered()?), position: self.position()? }
            }
            Kind::IdsReserved => SessionChange::IdsReserved { up_to: self.packet_id()? },
            Kind::Begun => SessionChange::Begun { message: self.message()?, packet_id: self.packet_id()? },
            Kind::Received => SessionChange::Received { packet_id: self.packet_id()? },
            Kind::Settled => SessionChange::Settled {
                message: self.message()?,
                packet_id: PacketId::new(self.number_within(PACKET_ID)?),
                settlement: self.settlement()?,
            },
            Kind::InboundTaken => SessionChange::InboundTaken { packet_id: self.packet_id()? },
            Kind::InboundReleased => SessionChange::InboundReleased { packet_id: self.packet_id()? },
            Kind::Subscribed => self.subscribed()?,
            Kind::RetainedSent => SessionChange::RetainedSent { filter: self.text("a filter")?.into() },
            Kind::RetainedGiven => SessionChange::RetainedGiven {
                filter: self.text("a filter")?.into(),
                messages: self.list(1, Self::message)?.into(),
            },
            Kind::Unsubscribed => SessionChange::Unsubscribed { filter: self.text("a filter")?.into() },
            Kind::ExpirySet => {
                let session_expiry_interval = self.number_within("a session expiry")?;
                SessionChange::ExpirySet { session_expiry_interval }
            }
            Kind::WillSet => SessionChange::WillSet {
                will: match self.flag("a will's flag")? {
                    true => Some(Arc::new(self.will()?)),
                    false => None,
                },
            },
            Kind::Restarted => SessionChange::Restarted,
            kind => return Err(RecordError::UnknownKind { kind: kind as u8 }),
        })
    }

    fn frame(&mut self) -> Result<Frame, RecordError> {
        let message = Arc::new(self.publication()?);
        let flags = self.frame_flags()?;
        let inbound = self.inbound(flags)?;
        let will_of = self.will_of(flags)?;
        Ok(Frame {
            message,
            inbound,
            retained: flags & wire::IS_RETAINED != 0,
            will_of,
            owed: self.list(TARGET_BYTES_MIN, Self::target)?,
            groups: self.list(1, Self::group)?,
        })
    }

    fn frame_flags(&mut self) -> Result<u8, RecordError> {
        self.flags(wire::HAS_INBOUND | wire::IS_RETAINED | wire::IS_WILL, "a frame's flags")
    }

    /// The packet id that a publication came under.
    fn inbound(&mut self, flags: u8) -> Result<Option<(SessionNumber, PacketId)>, RecordError> {
        let has_inbound = flags & wire::HAS_INBOUND != 0;
        if has_inbound { Ok(Some((self.session()?, self.packet_id()?))) } else { Ok(None) }
    }

    /// The session whose will it is.
    fn will_of(&mut self, flags: u8) -> Result<Option<SessionNumber>, RecordError> {
        if flags & wire::IS_WILL != 0 { self.session().map(Some) } else { Ok(None) }
    }

    fn target(&mut self) -> Result<FrameTarget, RecordError> {
        let session = self.session()?;
        let flags = self.flags(wire::QOS | wire::RETAIN | IDS, "a target's flags")?;
        Ok(FrameTarget {
            session,
            qos: qos(flags)?,
            retain: flags & wire::RETAIN != 0,
            subscription_ids: self.subscription_ids(flags)?,
        })
    }

    fn part(&mut self) -> Result<PayloadPart, RecordError> {
        let (message, from) = (self.message()?, self.number()?);
        Ok(PayloadPart { message, from, bytes: self.bytes()?.into(), place: Arc::default() })
    }

    fn publication(&mut self) -> Result<Publication, RecordError> {
        let number = self.message()?;
        let flags = self.publication_flags()?;
        let is_in_parts = flags & wire::IN_PARTS != 0;
        Ok(Publication {
            number,
            qos: qos(flags)?,
            retain: flags & wire::RETAIN != 0,
            published_at: self.instant()?,
            expires_at: match flags & wire::EXPIRES != 0 {
                true => Some(self.instant()?),
                false => None,
            },
            publisher: self.text("a publisher")?.into(),
            topic: self.text("a topic")?.to_owned(),
            properties: self.properties(PropertyPlace::Packet(PacketType::Publish))?,
            payload: if is_in_parts { Payload::EMPTY } else { self.bytes()?.into() },
            parts: if is_in_parts { Some(Box::new(self.parts()?)) } else { None },
            place: Place::default(),
            kept: Place::default(),
            share: None,
        })
    }

    fn parts(&mut self) -> Result<Parts, RecordError> {
        let bytes = self.number()?;
        let places: Box<[Position]> = self.list(1, Self::position)?.into();
        // Without places it stands in an index, which does not say where the payload is.
        if bytes > 0 { Ok(Parts { bytes, places }) } else { Err(RecordError::Value { field: "parts" }) }
    }

    /// Passes over a publication without looking at what it says.
    fn skip_publication(&mut self) -> Result<(), RecordError> {
        self.message()?;
        let flags = self.publication_flags()?;
        let times = if flags & wire::EXPIRES != 0 { 2 } else { 1 };
        (0..times).try_for_each(|_| self.instant().map(drop))?;
        // Publisher, topic, properties.
        (0..3).try_for_each(|_| self.bytes().map(drop))?;
        if flags & wire::IN_PARTS != 0 { self.parts().map(drop) } else { self.bytes().map(drop) }
    }

    fn will(&mut self) -> Result<StoredWill, RecordError> {
        let flags = self.flags(wire::QOS | wire::RETAIN | wire::EXPIRES, "a will's flags")?;
        Ok(StoredWill {
            qos: qos(flags)?,
            retain: flags & wire::RETAIN != 0,
            delay_seconds: self.number_within("a will delay")?,
            message_expiry_interval: match flags & wire::EXPIRES != 0 {
                true => Some(self.number_within("a message expiry")?),
                false => None,
            },
            topic: self.text("a topic")?.into(),
            properties: self.properties(PropertyPlace::Will)?,
            payload: self.bytes()?.into(),
        })
    }

    fn publication_flags(&mut self) -> Result<u8, RecordError> {
        self.flags(wire::QOS | wire::RETAIN | wire::EXPIRES | wire::IN_PARTS, "a message's flags")
    }

    fn properties(&mut self, place: PropertyPlace) -> Result<Properties<'static>, RecordError> {
        Ok(Properties::from_bytes(self.bytes()?, place, Role::Client)?.into_owned())
    }

    fn delivered(&mut self) -> Result<Delivered, RecordError> {
        let number = self.message()?;
        let flags = self.u8()?;
        let phase = wire::phase_from_bits(flags >> wire::PHASE_SHIFT);
        Ok(Delivered {
            number,
            qos: qos(flags)?,
            retain: flags & wire::RETAIN != 0,
            bytes: self.number_within("a size")?,
            subscription_ids: self.subscription_ids(flags)?,
            group: match flags & wire::HAS_GROUP != 0 {
                true => Some(self.group()?),
                false => None,
            },
            phase,
            packet_id: match phase {
                Phase::Waiting => None,
                _ => Some(self.packet_id()?),
            },
            behind: match phase {
                Phase::Waiting => None,
                _ => PacketId::new(self.number_within(PACKET_ID)?),
            },
            is_maybe_sent: flags >> wire::PHASE_SHIFT == wire::MAYBE_SENT,
        })
    }

    fn subscription_ids(&mut self, flags: u8) -> Result<SubscriptionIds, RecordError> {
        let id = |reader: &mut Self| reader.number_within("a subscription identifier");
        Ok(match (flags & IDS) >> wire::IDS_SHIFT {
            0 => SubscriptionIds::None,
            1 => SubscriptionIds::One(id(self)?),
            2 => SubscriptionIds::Many(self.list(1, id)?.into()),
            _ => return Err(RecordError::Value { field: "subscription identifiers" }),
        })
    }

    fn settlement(&mut self) -> Result<Settlement, RecordError> {
        Ok(match self.u8()? {
            wire::ACKNOWLEDGED => Settlement::Acknowledged,
            wire::REJECTED => {
                let reason_code = ReasonCode::from_u8(self.u8()?);
                Settlement::Rejected(reason_code.ok_or(RecordError::Value { field: "a reason code" })?)
            }
            wire::SENT => Settlement::Sent,
            wire::DROPPED => {
                let reason = wire::drop_reason_from_number(self.u8()?);
                Settlement::Dropped(reason.ok_or(RecordError::Value { field: "a reason to drop" })?)
            }
            _ => return Err(RecordError::Value { field: "a settlement" }),
        })
    }

    fn subscribed(&mut self) -> Result<SessionChange, RecordError> {
        let flags = self.u8()?;
        let id = match flags & wire::HAS_ID != 0 {
            true => Some(self.number_within("a subscription identifier")?),
            false => None,
        };
        Ok(SessionChange::Subscribed {
            subscription: Subscription { options: options(flags & wire::OPTIONS)?, id },
            brings_retained: flags & wire::BRINGS_RETAINED != 0,
            filter: self.text("a filter")?.into(),
        })
    }

    fn session(&mut self) -> Result<SessionNumber, RecordError> {
        self.number().map(SessionNumber)
    }

    fn message(&mut self) -> Result<MessageNumber, RecordError> {
        self.number().map(MessageNumber)
    }

    fn group(&mut self) -> Result<GroupNumber, RecordError> {
        self.number().map(GroupNumber)
    }

    fn position(&mut self) -> Result<Position, RecordError> {
        self.number().map(Position)
    }

    fn instant(&mut self) -> Result<Instant, RecordError> {
        self.number().map(Instant::from_millis)
    }

    fn packet_id(&mut self) -> Result<PacketId, RecordError> {
        PacketId::new(self.number_within(PACKET_ID)?).ok_or(RecordError::Value { field: PACKET_ID })
    }

    /// Entries behind their count, of which each takes at least so many bytes: for as many as there can be, and
    /// no more, there is room from the beginning.
    fn list<T>(
        &mut self,
        bytes_min: usize,
        entry: impl Fn(&mut Self) -> Result<T, RecordError>,
    ) -> Result<Vec<T>, RecordError> {
        let count = self.length()?;
        if count > self.0.len() / bytes_min {
            return Err(RecordError::Truncated);
        }
        let mut entries = Vec::with_capacity(count);
        for _ in 0..count {
            entries.push(entry(self)?);
        }
        Ok(entries)
    }

    fn text(&mut self, field: &'static str) -> Result<&'a str, RecordError> {
        std::str::from_utf8(self.bytes()?).map_err(|_| RecordError::Text { field })
    }

    fn bytes(&mut self) -> Result<&'a [u8], RecordError> {
        let length = self.length()?;
        let (taken, rest) = self.0.split_at_checked(length).ok_or(RecordError::Truncated)?;
        self.0 = rest;
        Ok(taken)
    }

    fn length(&mut self) -> Result<usize, RecordError> {
        usize::try_from(self.number()?).map_err(|_| RecordError::Truncated)
    }

    /// A number that has to fit its type.
    fn number_within<T: TryFrom<u64>>(&mut self, field: &'static str) -> Result<T, RecordError> {
        T::try_from(self.number()?).map_err(|_| RecordError::Value { field })
    }

    /// Seven bits a byte, the lowest first.
    fn number(&mut self) -> Result<u64, RecordError> {
        let mut number = 0;
        for place in 0..wire::NUMBER_BYTES_MAX {
            let byte = self.u8()?;
            let bits = u64::from(byte & 0x7F);
            let shifted = bits << (7 * place);
            if shifted >> (7 * place) != bits {
                break;
            }
            number |= shifted;
            if byte & 0x80 == 0 {
                return Ok(number);
            }
        }
        Err(RecordError::Value { field: "a number" })
    }

    fn flag(&mut self, field: &'static str) -> Result<bool, RecordError> {
        Ok(self.flags(1, field)? == 1)
    }

    /// A byte of which only these bits may be set.
    fn flags(&mut self, known: u8, field: &'static str) -> Result<u8, RecordError> {
        let flags = self.u8()?;
        if flags & !known == 0 { Ok(flags) } else { Err(RecordError::Value { field }) }
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], RecordError> {
        let (taken, rest) = self.0.split_first_chunk().ok_or(RecordError::Truncated)?;
        self.0 = rest;
        Ok(*taken)
    }

    fn u8(&mut self) -> Result<u8, RecordError> {
        let (byte, rest) = self.0.split_first().ok_or(RecordError::Truncated)?;
        self.0 = rest;
        Ok(*byte)
    }

    fn finish(&self) -> Result<(), RecordError> {
        match self.0.len() {
            0 => Ok(()),
            bytes => Err(RecordError::TrailingBytes { bytes }),
        }
    }
}

fn qos(flags: u8) -> Result<QoS, RecordError> {
    QoS::from_bits(flags & wire::QOS).ok_or(RecordError::Value { field: "a QoS" })
}

fn options(bits: u8) -> Result<SubscriptionOptions, RecordError> {
    let retain_handling = match bits >> 4 {
        0 => RetainHandling::Send,
        1 => RetainHandling::SendIfNew,
        2 => RetainHandling::DoNotSend,
        _ => return Err(RecordError::Value { field: "a retain handling" }),
    };
    Ok(SubscriptionOptions {
        qos: qos(bits)?,
        no_local: bits & 0b100 != 0,
        retain_as_published: bits & 0b1000 != 0,
        retain_handling,
    })
}

const PACKET_ID: &str = "a packet id";
/// The bits of a delivery or a target that say how many subscription identifiers it has.
const IDS: u8 = 0b11 << wire::IDS_SHIFT;
/// A target has at least a session and its flags.
const TARGET_BYTES_MIN: usize = 2;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::brief;
    use crate::record::testing::{publication, records};
    use noctule_session::DropReason;
    use proptest::prelude::*;

    fn encoded(record: &Record) -> Vec<u8> {
        let mut bytes = Vec::new();
        record.encode(&mut bytes);
        bytes
    }

    /// All fields of a record, to be compared.
    fn shown(record: &Record) -> String {
        format!("{record:?}")
    }

    proptest! {
        #[test]
        fn every_field_of_every_record_comes_back(
            record in records(),
            behind in prop::collection::vec(any::<u8>(), 0..9),
        ) {
            let mut bytes = encoded(&record);
            bytes.extend(&behind);
            let (again, rest) = Record::decode(&bytes).expect("it was encoded");
            prop_assert_eq!(shown(&again), shown(&record));
            prop_assert_eq!(rest, &behind[..]);
        }

        #[test]
        fn a_record_that_ends_early_is_no_record(record in records()) {
            let bytes = encoded(&record);
            for length in 0..bytes.len() {
                prop_assert_eq!(Record::decode(&bytes[..length]).err(), Some(RecordError::Truncated));
                // The same with a length that fits.
                if let Some(content) = length.checked_sub(wire::HEADER_BYTES) {
                    let mut shorter = bytes[..length].to_vec();
                    shorter[1..wire::HEADER_BYTES].copy_from_slice(&u32::try_from(content)?.to_le_bytes());
                    prop_assert!(Record::decode(&shorter).is_err(), "{} of {} bytes", length, bytes.len());
                }
            }
        }

        #[test]
        fn made_brief_a_record_says_all_but_its_payload(records in prop::collection::vec(records(), 0..12)) {
            let mut body = Vec::new();
            records.iter().for_each(|record| record.encode(&mut body));
            let mut made = b"before".to_vec();
            brief(&body, &mut made).expect("the body is whole");
            let mut rest = made.strip_prefix(b"before").expect("it is appended");
            for record in &records {
                let (again, behind) = Record::decode(rest).expect("it was made");
                prop_assert_eq!(shown(&again), shown(&without_payload(record)));
                rest = behind;
            }
            prop_assert!(rest.is_empty());
        }

        #[test]
        fn arbitrary_bytes_are_a_record_or_an_error(
            kind in 0..48_u8,
            content in prop::collection::vec(any::<u8>(), 0..64),
        ) {
            let mut bytes = vec![kind];
            bytes.extend(u32::try_from(content.len())?.to_le_bytes());
            bytes.extend(content);
            for bytes in [&bytes[..], &bytes[5..]] {
                let _ = Record::decode(bytes);
                let _ = content_of_any(bytes);
            }
        }

        #[test]
        fn a_flipped_bit_is_a_record_or_an_error(
            record in records(),
            place in any::<prop::sample::Index>(),
            bit in 0..8,
        ) {
            let mut bytes = encoded(&record);
            let place = place.index(bytes.len());
            bytes[place] ^= 1_u8 << bit;
            let _ = Record::decode(&bytes);
            let _ = content_of_any(&bytes);
        }

        #[test]
        fn the_content_of_a_message_is_found_in_a_frame(records in prop::collection::vec(records(), 0..12)) {
            let mut body = Vec::new();
            records.iter().for_each(|record| record.encode(&mut body));
            for number in (0..NUMBERS_LOOKED_FOR).map(MessageNumber) {
                let expected = records.iter().find_map(|record| content_with(record, number));
                let found = content(&body, number).expect("the body is whole");
                prop_assert_eq!(format!("{found:?}"), format!("{:?}", expected.map(|message| &**message)));

                let mut moved = b"before".to_vec();
                prop_assert_eq!(moved_bytes(&body, number, &mut moved), Ok(expected.is_some()));
                let mut expected_bytes = b"before".to_vec();
                expected.into_iter().for_each(|message| Record::Moved(Arc::clone(message)).encode(&mut expected_bytes));
                prop_assert_eq!(moved, expected_bytes);

                let expects_one = records.iter().find(|record| content_with(record, number).is_some());
                let expects_one = expects_one.is_some_and(is_for_one_session);
                prop_assert_eq!(has_one_receiver(&body, number), Ok(expects_one));
            }
        }
    }

    /// Numbers of generated records are small, so that these meet some of them.
    const NUMBERS_LOOKED_FOR: u64 = 20;

    fn content_of_any(body: &[u8]) -> Result<bool, RecordError> {
        content(body, MessageNumber(1))?;
        moved_bytes(body, MessageNumber(1), &mut Vec::new())
    }

    fn without_payload(record: &Record) -> Record {
        let left_out = |message: &Arc<Publication>| {
            let copy = content(&encoded(&Record::Moved(Arc::clone(message))), message.number);
            let mut message = copy.expect("it is whole").expect("it is there");
            if !message.payload.is_empty() {
                let bytes = message.payload.len() as u64;
                message.parts = Some(Box::new(Parts { bytes, places: Box::default() }));
                message.payload = Payload::EMPTY;
            }
            Arc::new(message)
        };
        match record {
            Record::Published(frame) if !frame.retained => {
                Record::Published(Box::new(Frame { message: left_out(&frame.message), ..(**frame).clone() }))
            }
            Record::Moved(message) => Record::Moved(left_out(message)),
            Record::GroupOwed { group, message } => {
                Record::GroupOwed { group: *group, message: left_out(message) }
            }
            Record::Part(part) => Record::Part(PayloadPart { bytes: Payload::EMPTY, ..part.clone() }),
            other => other.clone(),
        }
    }

    fn content_with(record: &Record, number: MessageNumber) -> Option<&Arc<Publication>> {
        let message = match record {
            Record::Published(frame) => &frame.message,
            Record::Moved(message) | Record::Retained(message) | Record::GroupOwed { message, .. } => message,
            _ => return None,
        };
        (message.number == number).then_some(message)
    }

    fn is_for_one_session(record: &Record) -> bool {
        let Record::Published(frame) = record else { return false };
        frame.owed.len() == 1 && frame.groups.is_empty() && !frame.retained
    }

    #[test]
    fn what_is_looked_up_does_not_touch_the_rest() {
        // The other message is damaged, which nobody sees who does not want it.
        let mut body = encoded(&Record::Moved(Arc::new(publication(7))));
        let last = body.len() - 1;
        body[wire::HEADER_BYTES + 1] = 0xFF;
        body[last] = 0xFF;
        Record::Moved(Arc::new(publication(8))).encode(&mut body);
        assert_eq!(content(&body, MessageNumber(8)).expect("it is whole").expect("it is there").number.0, 8);
        assert_eq!(content(&body, MessageNumber(9)).expect("not read").map(|_| ()), None);
        assert_eq!(
            content(&body, MessageNumber(7)).err(),
            Some(RecordError::Value { field: "a message's flags" })
        );
    }

    #[test]
    fn a_retained_message_that_a_session_is_owed_is_written_as_held() {
        let message = Arc::new(publication(7));
        let change = |message: &Arc<Publication>| SessionChange::Owed {
            message: Arc::clone(message),
            qos: QoS::AtLeastOnce,
            retain: true,
            subscription_ids: [3, 4].into_iter().collect(),
            group: None,
        };
        for (place, kept, position) in [(0, 0, 0), (5, 0, 5), (5, 9, 9)] {
            message.place.set(Position(place));
            message.kept.set(Position(kept));
            let bytes = encoded(&Record::Session { session: SessionNumber(1), change: change(&message) });
            let delivered = Delivered {
                number: MessageNumber(7),
                bytes: u32::try_from(message.bytes()).expect("it is short"),
                qos: QoS::AtLeastOnce,
                retain: true,
                subscription_ids: [3, 4].into_iter().collect(),
                group: None,
                phase: Phase::Waiting,
                packet_id: None,
                behind: None,
                is_maybe_sent: false,
            };
            let held = SessionChange::Held { delivered: Box::new(delivered), position: Position(position) };
            assert_eq!(bytes, encoded(&Record::Session { session: SessionNumber(1), change: held }));
        }
    }

    #[test]
    fn the_bytes_are_as_the_page_on_the_journal_has_them() {
        let session = SessionNumber(300);
        let packet_id = PacketId::new(200).expect("not zero");
        let frame = Frame {
            message: Arc::new(Publication {
                topic: "a/b".into(),
                payload: b"hi"[..].into(),
                publisher: "me".into(),
                qos: QoS::AtLeastOnce,
                published_at: Instant::from_millis(1000),
                expires_at: Some(Instant::from_millis(2000)),
                ..publication(7)
            }),
            inbound: Some((session, packet_id)),
            retained: true,
            will_of: None,
            owed: vec![FrameTarget {
                session,
                qos: QoS::AtLeastOnce,
                retain: true,
                subscription_ids: SubscriptionIds::One(9),
            }],
            groups: vec![GroupNumber(4)],
        };
        let change = |change| Record::Session { session, change };
        let settlement = Settlement::Dropped(DropReason::QueueFull);
        let settled = SessionChange::Settled { message: MessageNumber(7), packet_id: None, settlement };
        let parts = Parts { bytes: 300, places: [Position(5), Position(300)].into() };
        let in_parts =
            Publication { payload: Payload::EMPTY, parts: Some(Box::new(parts)), ..publication(7) };
        let cases: [(Record, &[u8]); 6] = [
            (Record::Part(a_part(7, 300, b"hi")), b"\x04\x06\0\0\0\x07\xAC\x02\x02hi"),
            (
                Record::Moved(Arc::new(in_parts)),
                b"\x02\x0E\0\0\0\x07\x12\x07\x01p\x01t\0\xAC\x02\x02\x05\xAC\x02",
            ),
            (
                Record::Published(Box::new(frame)),
                b"\x01\x1D\0\0\0\x07\x09\xE8\x07\xD0\x0F\x02me\x03a/b\0\x02hi\x03\xAC\x02\xC8\x01\
                  \x01\xAC\x02\x0D\x09\x01\x04",
            ),
            (Record::SessionEnded { session }, b"\x07\x02\0\0\0\xAC\x02"),
            (
                change(SessionChange::Begun { message: MessageNumber(7), packet_id }),
                b"\x22\x05\0\0\0\xAC\x02\x07\xC8\x01",
            ),
            (change(settled), b"\x24\x06\0\0\0\xAC\x02\x07\0\x03\x02"),
        ];
        for (record, bytes) in cases {
            assert_eq!(encoded(&record), bytes, "{record:?}");
        }
    }

    fn a_part(message: u64, from: u64, bytes: &[u8]) -> PayloadPart {
        PayloadPart { message: MessageNumber(message), from, bytes: bytes.into(), place: Arc::default() }
    }

    #[test]
    fn a_part_is_found_by_its_message_and_its_place_in_that() {
        let parts = [a_part(7, 0, b"one"), a_part(8, 3, b"other's"), a_part(7, 3, b"two")];
        let body: Vec<u8> = parts.into_iter().flat_map(|part| encoded(&Record::Part(part))).collect();
        let found = |number, from| part(&body, MessageNumber(number), from).expect("it is whole");
        assert_eq!([found(7, 0), found(7, 3), found(8, 3)], [&b"one"[..], b"two", b"other's"].map(Some));
        assert_eq!([found(7, 1), found(9, 0)], [None, None]);
        assert_eq!(
            content(&body, MessageNumber(7)).expect("it is whole").map(|_| ()),
            None,
            "a part is no content"
        );
    }

    #[test]
    fn a_record_says_whether_its_payload_is_elsewhere() {
        let parts = Some(Box::new(Parts { bytes: 3, places: [Position(5)].into() }));
        let long = Publication { payload: Payload::EMPTY, parts: parts.clone(), ..publication(7) };
        let mut body = encoded(&Record::Moved(Arc::new(long)));
        Record::Moved(Arc::new(publication(8))).encode(&mut body);
        for (number, expected) in [(7, true), (8, false), (9, false)] {
            assert_eq!(is_in_parts(&body, MessageNumber(number)), Ok(expected));
        }
        // Where the payload is at hand, its old parts are not named again.
        let retained = Arc::new(Publication { parts, ..publication(7) });
        let group = GroupNumber(1);
        for record in
            [Record::Retained(Arc::clone(&retained)), Record::GroupOwed { group, message: retained }]
        {
            assert_eq!(is_in_parts(&encoded(&record), MessageNumber(7)), Ok(false), "{record:?}");
        }
    }

    #[test]
    fn what_no_record_has_is_named() {
        let bytes = |kind: u8, content: &[u8]| {
            let mut bytes = vec![kind];
            bytes.extend(u32::try_from(content.len()).expect("it is short").to_le_bytes());
            bytes.extend(content);
            bytes
        };
        let value = |field| RecordError::Value { field };
        let cases: [(u8, &[u8], RecordError); 9] = [
            (0, b"", RecordError::UnknownKind { kind: 0 }),
            (13, b"", RecordError::UnknownKind { kind: 13 }),
            (46, b"", RecordError::UnknownKind { kind: 46 }),
            (7, b"\x01\x02\x03", RecordError::TrailingBytes { bytes: 2 }),
            (7, b"\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\x02", value("a number")),
            (7, b"\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x01", value("a number")),
            (40, b"\x01\x02\xC3\x28", RecordError::Text { field: "a filter" }),
            (34, b"\x01\x01\0", value("a packet id")),
            (36, b"\x01\x01\x01\x01\x03", value("a reason code")),
        ];
        for (kind, content, error) in cases {
            assert_eq!(Record::decode(&bytes(kind, content)).err(), Some(error), "{kind} {content:?}");
        }
        assert_eq!(wire::drop_reason_from_number(14), None);
        for kind in 0..=u8::MAX {
            assert!(Kind::from_u8(kind).is_none_or(|found| found as u8 == kind));
        }
        for reason in DropReason::ALL {
            assert_eq!(wire::drop_reason_from_number(wire::drop_reason_number(reason)), Some(reason));
        }
    }

    #[test]
    fn a_list_is_not_longer_than_its_record() {
        // A frame that says it is owed to 2^63 sessions.
        let mut bytes = encoded(&Record::Moved(Arc::new(publication(7))));
        bytes[0] = Kind::Published as u8;
        bytes.extend([0, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0x7F]);
        let length = u32::try_from(bytes.len() - wire::HEADER_BYTES).expect("it is short");
        bytes[1..wire::HEADER_BYTES].copy_from_slice(&length.to_le_bytes());
        assert_eq!(Record::decode(&bytes).err(), Some(RecordError::Truncated));
    }
}
