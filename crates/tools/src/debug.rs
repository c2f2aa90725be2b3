//! `-d`: a line for each packet, as mosquitto's tools print it.

use crate::ending::connack_code;
use noctule_client::Direction;
use noctule_codec::{Packet, PacketId, ProtocolVersion, Publish, SubscriptionOptions};
use std::fmt::Write as _;

/// What has to be remembered between packets.
#[derive(Clone, Debug)]
pub(crate) struct Narrator {
    client_id: String,
    /// QoS 0 has no packet identifier; its publications are numbered all the same, in one row with requests.
    numbered: u16,
    version: ProtocolVersion,
    says_granted: bool,
}

impl Narrator {
    /// Tells of a client with this identifier, and with `says_granted` what was granted to it.
    pub(crate) fn new(client_id: &str, version: ProtocolVersion, says_granted: bool) -> Self {
        let client_id = if client_id.is_empty() { "(null)" } else { client_id };
        Self { client_id: client_id.to_owned(), numbered: 0, version, says_granted }
    }

    /// The lines about a packet.
    pub(crate) fn tell(&mut self, direction: Direction, packet: &Packet<'_>) -> String {
        let mut lines = String::new();
        // Writing to a string does not fail.
        let _ = match direction {
            Direction::Sent => self.tell_sent(packet, &mut lines),
            Direction::Received => self.tell_received(packet, &mut lines),
        };
        lines
    }

    fn tell_sent(&mut self, packet: &Packet<'_>, out: &mut String) -> std::fmt::Result {
        let id = &self.client_id;
        if matches!(packet, Packet::Publish(_) | Packet::Subscribe(_) | Packet::Unsubscribe(_)) {
            self.numbered = self.numbered.wrapping_add(1);
        }
        match packet {
            Packet::Publish(publish) => {
                let number = publish.packet_id.map_or(self.numbered, PacketId::get);
                writeln!(out, "Client {id} sending PUBLISH ({})", publication(publish, number))
            }
            Packet::Subscribe(subscribe) => {
                let number = subscribe.packet_id.get();
                subscribe.filters.iter().try_for_each(|(filter, options)| {
                    let (qos, more) = (options.qos as u8, options_byte(options));
                    let asked = format!("Topic: {filter}, QoS: {qos}, Options: 0x{more:02x}");
                    writeln!(out, "Client {id} sending SUBSCRIBE (Mid: {number}, {asked})")
                })
            }
            Packet::Unsubscribe(unsubscribe) => {
                let number = unsubscribe.packet_id.get();
                unsubscribe.filters.iter().try_for_each(|filter| {
                    writeln!(out, "Client {id} sending UNSUBSCRIBE (Mid: {number}, Topic: {filter})")
                })
            }
            Packet::PubAck(ack) => {
                writeln!(
                    out,
                    "Client {id} sending PUBACK (m{}, rc{})",
                    ack.packet_id.get(),
                    ack.reason_code.as_u8()
                )
            }
            Packet::PubRec(ack) => {
                writeln!(
                    out,
                    "Client {id} sending PUBREC (m{}, rc{})",
                    ack.packet_id.get(),
                    ack.reason_code.as_u8()
                )
            }
            Packet::PubRel(ack) => writeln!(out, "Client {id} sending PUBREL (m{})", ack.packet_id.get()),
            Packet::PubComp(ack) => writeln!(out, "Client {id} sending PUBCOMP (m{})", ack.packet_id.get()),
            other => writeln!(out, "Client {id} sending {}", other.packet_type()),
        }
    }

    fn tell_received(&mut self, packet: &Packet<'_>, out: &mut String) -> std::fmt::Result {
        if let Packet::ConnAck(connack) = packet
            && let Some(client_id) = connack.properties.assigned_client_identifier()
        {
            self.client_id = client_id.to_owned();
        }
        let id = &self.client_id;
        match packet {
            Packet::ConnAck(connack) => {
                let code = connack_code(self.version, connack.reason_code);
                writeln!(out, "Client {id} received CONNACK ({code})")
            }
            Packet::Publish(publish) => {
                let number = publish.packet_id.map_or(0, PacketId::get);
                writeln!(out, "Client {id} received PUBLISH ({})", publication(publish, number))
            }
            Packet::PubAck(ack) => {
                writeln!(
                    out,
                    "Client {id} received PUBACK (Mid: {}, RC:{})",
                    ack.packet_id.get(),
                    ack.reason_code.as_u8()
                )
            }
            Packet::PubComp(ack) => {
                writeln!(
                    out,
                    "Client {id} received PUBCOMP (Mid: {}, RC:{})",
                    ack.packet_id.get(),
                    ack.reason_code.as_u8()
                )
            }
            Packet::PubRec(ack) => {
                writeln!(out, "Client {id} received PUBREC (Mid: {})", ack.packet_id.get())
            }
            Packet::PubRel(ack) => {
                writeln!(out, "Client {id} received PUBREL (Mid: {})", ack.packet_id.get())
            }
            Packet::SubAck(suback) => {
                writeln!(out, "Client {id} received SUBACK")?;
                if !self.says_granted {
                    return Ok(());
                }
                let codes: Vec<String> =
                    suback.reason_codes.iter().map(|code| code.as_u8().to_string()).collect();
                writeln!(out, "Subscribed (mid: {}): {}", suback.packet_id.get(), codes.join(", "))
            }
            Packet::Disconnect(disconnect) => {
                writeln!(out, "Received DISCONNECT ({})", disconnect.reason_code.as_u8())
            }
            other => writeln!(out, "Client {id} received {}", other.packet_type()),
        }
    }
}

fn publication(publish: &Publish<'_>, number: u16) -> String {
    let (dup, qos, retain) = (u8::from(publish.dup), publish.qos as u8, u8::from(publish.retain));
    let (topic, bytes) = (publish.topic, publish.payload.len());
    format!("d{dup}, q{qos}, r{retain}, m{number}, '{topic}', ... ({bytes} bytes)")
}

/// The options of a subscription but for its QoS, as they stand on the wire.
fn options_byte(options: SubscriptionOptions) -> u8 {
    let handling = options.retain_handling as u8;
    u8::from(options.no_local) << 2 | u8::from(options.retain_as_published) << 3 | handling << 4
}
