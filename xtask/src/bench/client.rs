//! The least of an MQTT 3.1.1 client: what the generator cannot play, a subscriber that does not read and a reader of
//! `$SYS`. It waits for each answer.

use std::io::{BufReader, Read as _, Write as _};
use std::net::{Ipv4Addr, TcpStream};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};

/// A connected client.
#[derive(Debug)]
pub(super) struct Client {
    stream: BufReader<TcpStream>,
}

/// A message that came.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Publication {
    pub(super) topic: String,
    pub(super) payload: Vec<u8>,
    /// Of QoS 1, to be acknowledged.
    packet_id: Option<[u8; 2]>,
}

impl Client {
    /// Connects with a clean session and no keep alive.
    pub(super) fn connect(port: u16, client_id: &str) -> Result<Self> {
        let mut client = Self::begin(port, client_id, CLEAN_SESSION)?;
        client.finish_connect()?;
        Ok(client)
    }

    /// Connects with a session that is kept.
    pub(super) fn connect_durable(port: u16, client_id: &str) -> Result<Self> {
        let mut client = Self::begin_durable(port, client_id)?;
        client.finish_connect()?;
        Ok(client)
    }

    /// Asks for a session that is kept, and does not wait.
    pub(super) fn begin_durable(port: u16, client_id: &str) -> Result<Self> {
        Self::begin(port, client_id, 0)
    }

    fn begin(port: u16, client_id: &str, flags: u8) -> Result<Self> {
        let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        let mut client = Self { stream: BufReader::new(stream) };
        client.send(CONNECT, &[&field(b"MQTT"), &[4, flags, 0, 0], &field(client_id.as_bytes())])?;
        Ok(client)
    }

    pub(super) fn finish_connect(&mut self) -> Result<()> {
        self.expect(CONNACK)
    }

    pub(super) fn subscribe(&mut self, filter: &str, qos: u8) -> Result<()> {
        self.begin_subscribe(filter, qos)?;
        self.finish_subscribe()
    }

    /// Asks for a subscription, and does not wait.
    pub(super) fn begin_subscribe(&mut self, filter: &str, qos: u8) -> Result<()> {
        self.send(SUBSCRIBE, &[&PACKET_ID, &field(filter.as_bytes()), &[qos]])
    }

    pub(super) fn finish_subscribe(&mut self) -> Result<()> {
        self.expect(SUBACK)
    }

    /// Publishes so many messages with QoS 1, to each topic in turn, many at a time.
    pub(super) fn publish_many(&mut self, topics: &[String], messages: usize, payload: &[u8]) -> Result<()> {
        self.publish_with(PUBLISH | 2, topics, messages, payload)
    }

    /// Publishes one message with QoS 0 to each topic, and waits until the broker has taken them.
    pub(super) fn mention(&mut self, topics: &[String], payload: &[u8]) -> Result<()> {
        for topic in topics {
            self.send(PUBLISH, &[&field(topic.as_bytes()), payload])?;
        }
        self.publish_many(&["nobody".to_owned()], 1, payload)
    }

    /// Publishes one retained message with QoS 1 to each topic, many at a time.
    pub(super) fn retain_many(&mut self, topics: &[String], payload: &[u8]) -> Result<()> {
        self.publish_with(PUBLISH | 3, topics, topics.len(), payload)
    }

    fn publish_with(&mut self, first: u8, topics: &[String], messages: usize, payload: &[u8]) -> Result<()> {
        let mut topics = topics.iter().cycle();
        let mut left = messages;
        while left > 0 {
            let some = left.min(WINDOW.into());
            for (packet_id, topic) in (1..=WINDOW).take(some).zip(&mut topics) {
                let parts = [&field(topic.as_bytes())[..], &packet_id.to_be_bytes(), payload];
                self.send(first, &parts)?;
            }
            for _ in 0..some {
                self.expect(PUBACK)?;
            }
            left -= some;
        }
        Ok(())
    }

    /// Publishes with QoS 1 and waits until that is acknowledged.
    pub(super) fn publish(&mut self, topic: &str, payload: &[u8]) -> Result<()> {
        self.send(PUBLISH | 2, &[&field(topic.as_bytes()), &PACKET_ID, payload])?;
        self.expect(PUBACK)
    }

    /// Waits for a message, and acknowledges it if it is of QoS 1.
    pub(super) fn next_publication(&mut self) -> Result<Publication> {
        let (first, body) = self.packet()?;
        ensure!(first & 0xF0 == PUBLISH, "a packet of type {first:#x} instead of PUBLISH");
        let publication = Publication::parse(first, &body).context("a PUBLISH that is cut short")?;
        if let Some(packet_id) = publication.packet_id {
            self.send(PUBACK, &[&packet_id])?;
        }
        Ok(publication)
    }

    fn expect(&mut self, kind: u8) -> Result<()> {
        let (first, body) = self.packet()?;
        ensure!(first == kind, "a packet of type {first:#x} instead of {kind:#x}");
        ensure!(kind != CONNACK || body.last() == Some(&0), "the connection was refused");
        Ok(())
    }

    fn send(&mut self, first: u8, parts: &[&[u8]]) -> Result<()> {
        let body = parts.concat();
        let mut packet = vec![first];
        let mut length = body.len();
        while length >= 0x80 {
            packet.push((length & 0x7F) as u8 | 0x80);
            length >>= 7;
        }
        packet.push(length as u8);
        packet.extend(body);
        Ok(self.stream.get_mut().write_all(&packet)?)
    }

    fn packet(&mut self) -> Result<(u8, Vec<u8>)> {
        let first = self.byte()?;
        let mut length = 0;
        for place in 0.. {
            let byte = self.byte()?;
            length |= usize::from(byte & 0x7F) << (7 * place);
            if byte & 0x80 == 0 {
                break;
            }
            if place == 3 {
                bail!("a length of more than four bytes");
            }
        }
        let mut body = vec![0; length];
        self.stream.read_exact(&mut body)?;
        Ok((first, body))
    }

    fn byte(&mut self) -> Result<u8> {
        let mut byte = [0];
        self.stream.read_exact(&mut byte).context("the broker sent nothing more")?;
        Ok(byte[0])
    }
}

impl Publication {
    fn parse(first: u8, body: &[u8]) -> Option<Self> {
        let (length, rest) = body.split_first_chunk()?;
        let (topic, mut rest) = rest.split_at_checked(usize::from(u16::from_be_bytes(*length)))?;
        let mut packet_id = None;
        if first & 6 > 0 {
            let (id, after) = rest.split_first_chunk()?;
            (packet_id, rest) = (Some(*id), after);
        }
        Some(Self { topic: String::from_utf8_lossy(topic).into_owned(), payload: rest.to_vec(), packet_id })
    }
}

fn field(bytes: &[u8]) -> Vec<u8> {
    let length = u16::try_from(bytes.len()).expect("topics and client ids are short");
    [&length.to_be_bytes(), bytes].concat()
}

const CONNECT: u8 = 0x10;
const CONNACK: u8 = 0x20;
const PUBLISH: u8 = 0x30;
const PUBACK: u8 = 0x40;
const SUBSCRIBE: u8 = 0x82;
const SUBACK: u8 = 0x90;
const CLEAN_SESSION: u8 = 2;
/// As many as the broker accepts at a time.
const WINDOW: u16 = 1_000;
/// One is enough for who waits for each answer.
const PACKET_ID: [u8; 2] = [0, 1];
/// Without an answer for this long the broker has failed.
const PATIENCE: Duration = Duration::from_secs(20);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_publication_is_taken_apart() {
        let body = b"\x00\x01t\x00\x07payload";
        let publication = Publication::parse(PUBLISH | 2, body).expect("whole");
        assert_eq!((publication.topic.as_str(), publication.packet_id), ("t", Some([0, 7])));
        assert_eq!(publication.payload, b"payload");
        assert_eq!(Publication::parse(PUBLISH, b"\x00\x01tx").expect("whole").payload, b"x");
        assert_eq!(Publication::parse(PUBLISH | 2, b"\x00\x01t\x00"), None);
    }
}
