//! A client's end of a connection, and the packets that tests write most.

use noctule_codec::{
    Connect, Decoder, Packet, PacketId, Properties, Property, ProtocolVersion, Publish, QoS, Subscribe,
    SubscribeFilters, SubscriptionOptions, Unsubscribe, UnsubscribeFilters, Will,
};
use noctule_engine::Next;
use noctule_session::{ConnectionId, Instant};

/// A client's end of a connection.
#[derive(Debug)]
pub struct Wire {
    /// The version in which test packets are written and answers are read.
    pub version: ProtocolVersion,
    /// Bytes that the client reads before it stops; `None`: it reads everything.
    pub reads_at_most: Option<usize>,
    pub(super) id: ConnectionId,
    pub(super) shard: usize,
    pub(super) to_broker: Vec<u8>,
    /// How many of these the broker has seen already.
    pub(super) arrived: usize,
    pub(super) from_broker: Vec<u8>,
    /// How many of these have been read as packets.
    pub(super) taken: usize,
    pub(super) next: Next,
    pub(super) wants_flush: bool,
    pub(super) is_closed: bool,
    /// The broker has closed it behind its last word.
    pub(super) has_said_all: bool,
}

impl Wire {
    pub(super) fn new(id: ConnectionId, shard: usize) -> Self {
        Self {
            version: ProtocolVersion::V5,
            reads_at_most: None,
            id,
            shard,
            to_broker: Vec::new(),
            arrived: 0,
            from_broker: Vec::new(),
            taken: 0,
            next: Next::Read,
            wants_flush: false,
            is_closed: false,
            has_said_all: false,
        }
    }

    /// Bytes the broker sent that nobody has read as packets.
    pub fn unread(&self) -> &[u8] {
        &self.from_broker[self.taken..]
    }

    /// Takes the bytes the broker sent that nobody has read as packets.
    pub fn take_unread(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.from_broker)
    }

    pub(super) fn wants_to_write(&self, now: Instant) -> bool {
        let has_bytes = match self.next {
            Next::Read => self.to_broker.len() > self.arrived,
            Next::Yield => true,
            Next::Wait(until) => until <= now && !self.to_broker.is_empty(),
            Next::Flush | Next::Blocked | Next::Held | Next::Move(_) | Next::Close => false,
        };
        has_bytes && !self.is_closed
    }

    /// When the broker goes on reading a client that was too fast.
    pub(super) fn waits_until(&self) -> Option<Instant> {
        match self.next {
            Next::Wait(until) if !self.is_closed && !self.to_broker.is_empty() => Some(until),
            _ => None,
        }
    }

    pub(super) fn room(&self) -> usize {
        self.reads_at_most.map_or(BYTES_PER_FLUSH, |most| most.saturating_sub(self.unread().len()))
    }

    pub(super) fn can_read(&self) -> bool {
        self.room() > 0 && !self.is_closed
    }

    pub(super) fn close(&mut self) {
        self.is_closed = true;
        self.wants_flush = false;
        self.to_broker.clear();
    }

    /// Takes the next packet from what the broker sent. Its bytes live as long as the test process.
    pub(super) fn receive(&mut self) -> Option<Packet<'static>> {
        let mut decoder = Decoder::client(self.version, u32::MAX);
        let length = decoder.packet_len(self.unread()).expect("the broker sends well-formed headers")?;
        if self.unread().len() < length {
            return None;
        }
        let bytes: &'static [u8] = self.unread()[..length].to_vec().leak();
        self.taken += length;
        if self.taken == self.from_broker.len() {
            self.from_broker.clear();
            self.taken = 0;
        }
        let decoded = decoder.decode(bytes);
        let decoded = decoded.unwrap_or_else(|error| panic!("the broker sent {bytes:02x?}: {error}"));
        Some(decoded.expect("the packet is complete").0)
    }
}

/// What a CONNECT says.
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "the fields carry the names of the standard")]
pub struct ConnectOptions<'a> {
    pub version: ProtocolVersion,
    pub client_id: &'a str,
    pub clean_start: bool,
    pub keep_alive_seconds: u16,
    pub will: Option<Will<'a>>,
    pub user_name: Option<&'a str>,
    pub password: Option<&'a [u8]>,
    pub properties: Properties<'a>,
}

impl Default for ConnectOptions<'_> {
    fn default() -> Self {
        Self {
            version: ProtocolVersion::V5,
            client_id: "",
            clean_start: true,
            keep_alive_seconds: 0,
            will: None,
            user_name: None,
            password: None,
            properties: Properties::EMPTY,
        }
    }
}

impl<'a> ConnectOptions<'a> {
    /// A client whose session outlives its connection: in 5.0 by this many seconds, in 3.x for ever.
    pub fn durable(version: ProtocolVersion, client_id: &'a str, expiry_seconds: u32) -> Self {
        let properties = match version {
            ProtocolVersion::V5 => Properties::new().with(Property::SessionExpiryInterval(expiry_seconds)),
            _ => Properties::EMPTY,
        };
        Self { version, client_id, clean_start: false, properties, ..Self::default() }
    }

    /// The same with a will.
    #[must_use]
    pub fn with_will(self, will: Will<'a>) -> Self {
        Self { will: Some(will), ..self }
    }

    /// The same with one more property.
    #[must_use]
    pub fn with(self, property: Property<'_>) -> Self {
        Self { properties: self.properties.into_owned().with(property), ..self }
    }

    /// The packet.
    pub fn packet(&self) -> Connect<'a> {
        Connect {
            version: self.version,
            clean_start: self.clean_start,
            keep_alive_seconds: self.keep_alive_seconds,
            client_id: self.client_id,
            will: self.will.clone(),
            user_name: self.user_name,
            password: self.password,
            properties: self.properties.clone(),
        }
    }
}

/// A CONNECT with a clean session.
pub fn connect(version: ProtocolVersion, client_id: &str) -> Packet<'_> {
    Packet::Connect(ConnectOptions { version, client_id, ..ConnectOptions::default() }.packet())
}

/// A PUBLISH; `packet_id` 0 stands for none, which is QoS 0.
pub fn publish<'a>(topic: &'a str, payload: &'a [u8], qos: QoS, packet_id: u16) -> Publish<'a> {
    Publish {
        dup: false,
        qos,
        retain: false,
        topic,
        packet_id: PacketId::new(packet_id),
        properties: Properties::EMPTY,
        payload,
    }
}

/// The filter list of a SUBSCRIBE with these QoS.
pub fn filters(wanted: &[(&str, QoS)]) -> SubscribeFilters<'static> {
    let mut filters = SubscribeFilters::default();
    for (filter, qos) in wanted {
        filters.push(filter, SubscriptionOptions { qos: *qos, ..SubscriptionOptions::default() });
    }
    filters.into_owned()
}

/// A SUBSCRIBE.
pub fn subscribe(packet_id: u16, wanted: &[(&str, QoS)]) -> Packet<'static> {
    let packet_id = PacketId::new(packet_id).expect("test ids are not zero");
    Packet::Subscribe(Subscribe { packet_id, properties: Properties::EMPTY, filters: filters(wanted) })
}

/// An UNSUBSCRIBE.
pub fn unsubscribe(packet_id: u16, wanted: &[&str]) -> Packet<'static> {
    let packet_id = PacketId::new(packet_id).expect("test ids are not zero");
    let mut filters = UnsubscribeFilters::default();
    for filter in wanted {
        filters.push(filter);
    }
    Packet::Unsubscribe(Unsubscribe {
        packet_id,
        properties: Properties::EMPTY,
        filters: filters.into_owned(),
    })
}

const BYTES_PER_FLUSH: usize = 64 << 10;
