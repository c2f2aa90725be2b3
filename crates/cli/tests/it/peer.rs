//! A client on a real socket that says exactly what a test wants.

use std::io::{self, ErrorKind, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use noctule_codec::{
    Connect, Decoder, Packet, PacketId, Properties, ProtocolVersion, Publish, QoS, ReasonCode, Subscribe,
    SubscribeFilters, SubscriptionOptions,
};

/// A connection that speaks MQTT 5.0, or what it was told to speak.
pub(crate) struct Peer {
    pub(crate) socket: TcpStream,
    version: ProtocolVersion,
    received: Vec<u8>,
}

impl Peer {
    /// A connection on which nothing has been said.
    pub(crate) fn dial(address: SocketAddr) -> Self {
        let socket = TcpStream::connect(address).expect("the broker listens");
        socket.set_read_timeout(Some(PATIENCE)).expect("a socket");
        socket.set_nodelay(true).expect("a socket");
        Self { socket, version: ProtocolVersion::V5, received: Vec::new() }
    }

    /// Speaks another version from here on.
    pub(crate) fn speaking(self, version: ProtocolVersion) -> Self {
        Self { version, ..self }
    }

    /// A connection whose CONNECT was accepted.
    pub(crate) fn connect(address: SocketAddr, client_id: &str) -> Self {
        let mut peer = Self::dial(address);
        peer.send(&connect(client_id));
        let answer =
            peer.receive(|packet| matches!(packet, Packet::ConnAck(ack) if !ack.reason_code.is_error()));
        assert_eq!(answer, Some(true), "CONNECT of {client_id}");
        peer
    }

    /// A connection whose CONNECT says who it is, or how that was refused.
    pub(crate) fn connect_as(
        address: SocketAddr,
        version: ProtocolVersion,
        client_id: &str,
        user: Option<(&str, &str)>,
    ) -> Result<Self, ReasonCode> {
        let mut connect = connect(client_id);
        if let Packet::Connect(connect) = &mut connect {
            connect.version = version;
            connect.user_name = user.map(|(name, _)| name);
            connect.password = user.map(|(_, password)| password.as_bytes());
        }
        let mut peer = Self::dial(address).speaking(version);
        peer.send(&connect);
        let code = peer.receive(|packet| match packet {
            Packet::ConnAck(connack) => connack.reason_code,
            packet => panic!("CONNECT was answered by {packet:?}"),
        });
        match code.expect("CONNACK before the end") {
            ReasonCode::Success => Ok(peer),
            code => Err(code),
        }
    }

    /// Everything that comes before the answer to a PINGREQ, as far as `look` has something to say of it.
    pub(crate) fn drain<T>(&mut self, look: impl Fn(&Packet<'_>) -> Option<T>) -> Vec<T> {
        self.send(&Packet::PingReq);
        let mut seen = Vec::new();
        while let Some(found) = self.receive(|packet| match packet {
            Packet::PingResp => None,
            packet => Some(look(packet)),
        }) {
            match found {
                Some(found) => seen.extend(found),
                None => break,
            }
        }
        seen
    }

    pub(crate) fn send(&mut self, packet: &Packet<'_>) {
        self.socket.write_all(&encoded_as(self.version, packet)).expect("the broker reads");
    }

    /// Sends a packet, unless the broker has closed the connection.
    pub(crate) fn send_unless_closed(&mut self, packet: &Packet<'_>) {
        let _ = self.socket.write_all(&encoded_as(self.version, packet));
    }

    /// Looks at the next packet; `None` once the broker has closed the connection in order.
    pub(crate) fn receive<T>(&mut self, look: impl FnOnce(&Packet<'_>) -> T) -> Option<T> {
        loop {
            let mut decoder = Decoder::client(self.version, u32::MAX);
            if let Some((packet, length)) = decoder.decode(&self.received).expect("the broker sends packets")
            {
                let seen = look(&packet);
                self.received.drain(..length);
                return Some(seen);
            }
            let mut buffer = [0; 65_536];
            match self.socket.read(&mut buffer) {
                Ok(0) => return None,
                Err(error) if is_reset(&error) => return None,
                // A read with a time limit is not begun again when a signal comes between.
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Ok(length) => self.received.extend_from_slice(&buffer[..length]),
                Err(error) => panic!("the broker sent nothing: {error}"),
            }
        }
    }

    /// Subscribes at QoS 0.
    pub(crate) fn subscribe(&mut self, filter: &str) {
        let mut filters = SubscribeFilters::default();
        filters.push(filter, SubscriptionOptions::default());
        let packet_id = PacketId::new(1).expect("not zero");
        self.send(&Packet::Subscribe(Subscribe { packet_id, properties: Properties::EMPTY, filters }));
        assert_eq!(self.receive(|packet| matches!(packet, Packet::SubAck(_))), Some(true));
    }

    /// A publication goes to the broker and comes back.
    pub(crate) fn round_trip(&mut self, topic: &str) {
        self.send(&Packet::Publish(publish(topic, b"ping")));
        let came =
            self.receive(|packet| matches!(packet, Packet::Publish(publish) if publish.topic == topic));
        assert_eq!(came, Some(true), "the round trip of {topic}");
    }

    /// Whether the broker closes the connection, within the patience of a test, whatever it says before.
    pub(crate) fn is_closed(&mut self) -> bool {
        let mut buffer = [0; 65_536];
        loop {
            match self.socket.read(&mut buffer) {
                Ok(0) => return true,
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return is_reset(&error),
            }
        }
    }
}

pub(crate) fn connect(client_id: &str) -> Packet<'_> {
    Packet::Connect(Connect {
        version: ProtocolVersion::V5,
        clean_start: true,
        keep_alive_seconds: 0,
        client_id,
        will: None,
        user_name: None,
        password: None,
        properties: Properties::EMPTY,
    })
}

pub(crate) fn publish<'a>(topic: &'a str, payload: &'a [u8]) -> Publish<'a> {
    Publish {
        dup: false,
        qos: QoS::AtMostOnce,
        retain: false,
        topic,
        packet_id: None,
        properties: Properties::EMPTY,
        payload,
    }
}

pub(crate) fn encoded(packet: &Packet<'_>) -> Vec<u8> {
    encoded_as(ProtocolVersion::V5, packet)
}

fn encoded_as(version: ProtocolVersion, packet: &Packet<'_>) -> Vec<u8> {
    let mut bytes = Vec::new();
    packet.encode(version, &mut bytes).expect("test packets can be encoded");
    bytes
}

fn is_reset(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::ConnectionReset | ErrorKind::BrokenPipe)
}

/// How long a test waits for the broker before it fails.
const PATIENCE: Duration = Duration::from_secs(30);
