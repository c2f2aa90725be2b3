//! What happened on a connection, as a line: for people, or as a JSON object.

use super::fields::{Fields, fields, push_bytes};
use super::tap::Side;
use crate::json::{Json, Layout};
use crate::settings::Settings;
use jiff::Zoned;
use noctule_codec::{DecodeError, Packet, PacketType, ProtocolVersion};

/// Something that the spy tells.
#[derive(Clone, Debug)]
pub(crate) enum Event<'a> {
    /// It has begun.
    Listening { on: &'a str, to: &'a str },
    /// A client has come.
    Opened { from: &'a str },
    /// The server cannot be reached; the client has been sent away.
    NoServer { error: &'a str },
    /// A packet has passed.
    Packet { side: Side, version: ProtocolVersion, packet: &'a Packet<'a>, bytes: usize },
    /// Bytes that are no valid packet have passed. What they are is there where it can be no secret.
    Malformed {
        side: Side,
        packet_type: Option<PacketType>,
        bytes: usize,
        error: DecodeError,
        raw: Option<&'a [u8]>,
    },
    /// A packet passes that is too large to be decoded.
    Large { side: Side, packet_type: Option<PacketType>, bytes: usize },
    /// Bytes have passed of which it is not known where a packet begins.
    Noise { side: Side, bytes: usize },
    /// One side has ended within a packet.
    CutOff { side: Side, bytes: usize, error: Option<DecodeError> },
    /// One side has said all it had to say.
    Closed { side: Side },
    /// Both have; so much has passed.
    Ended { client_bytes: u64, server_bytes: u64 },
}

/// How lines look.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Report {
    is_json: bool,
    payload_bytes_max: usize,
}

impl Report {
    pub(crate) fn new(settings: &Settings) -> Self {
        Self { is_json: settings.json, payload_bytes_max: settings.payload_bytes }
    }

    /// The line of an event, its end included. The spy itself is connection 0.
    pub(crate) fn line(self, now: &Zoned, connection: u64, event: &Event<'_>) -> String {
        let mut line = match self.is_json {
            true => self.json(now, connection, event),
            false => self.text(now, connection, event),
        };
        line.push('\n');
        line
    }

    fn json(self, now: &Zoned, connection: u64, event: &Event<'_>) -> String {
        let mut members = vec![
            ("time".to_owned(), Json::Text(now.strftime("%FT%T%.6f%:z").to_string())),
            ("connection".to_owned(), Json::integer(connection)),
            ("event".to_owned(), Json::Text(event.name().to_owned())),
        ];
        if let Some(side) = event.side() {
            members.push(("from".to_owned(), Json::Text(side.name().to_owned())));
        }
        members.extend(event.head());
        members.extend(self.details(event));
        let mut line = String::new();
        Json::Object(members).write(Layout::Plain, &mut line);
        line
    }

    fn text(self, now: &Zoned, connection: u64, event: &Event<'_>) -> String {
        let mut line = now.strftime("%H:%M:%S%.6f").to_string();
        if connection > 0 {
            line.push_str(&format!(" #{connection}"));
        }
        if let Some(side) = event.side() {
            line.push_str(&format!(" {}", side.arrow()));
        }
        line.push_str(&format!(" {}", event.words()));
        for (name, value) in self.details(event) {
            line.push_str(&format!(" {name}="));
            value.write(Layout::Plain, &mut line);
        }
        line
    }

    /// What a packet holds.
    fn details(self, event: &Event<'_>) -> Fields {
        match event {
            Event::Packet { packet, version, .. } => fields(packet, *version, self.payload_bytes_max),
            Event::Malformed { raw: Some(raw), .. } => {
                let mut fields = Fields::new();
                push_bytes(&mut fields, "raw", raw, self.payload_bytes_max);
                // The length of all has been said.
                fields.retain(|(name, _)| name != "raw_bytes");
                fields
            }
            _ => Fields::new(),
        }
    }
}

impl Event<'_> {
    fn name(&self) -> &'static str {
        match self {
            Self::Listening { .. } => "listening",
            Self::Opened { .. } => "opened",
            Self::NoServer { .. } => "no-server",
            Self::Packet { .. } => "packet",
            Self::Malformed { .. } => "malformed",
            Self::Large { .. } => "large",
            Self::Noise { .. } => "noise",
            Self::CutOff { .. } => "cut-off",
            Self::Closed { .. } => "closed",
            Self::Ended { .. } => "ended",
        }
    }

    fn side(&self) -> Option<Side> {
        match self {
            Self::Packet { side, .. }
            | Self::Malformed { side, .. }
            | Self::Large { side, .. }
            | Self::Noise { side, .. }
            | Self::CutOff { side, .. }
            | Self::Closed { side } => Some(*side),
            _ => None,
        }
    }

    /// For people.
    fn words(&self) -> String {
        match self {
            Self::Listening { on, to } => format!("listening on {on}, passing on to {to}"),
            Self::Opened { from } => format!("opened from {from}"),
            Self::NoServer { error } => format!("no way to the server: {error}"),
            Self::Packet { packet, bytes, .. } => format!("{} {bytes} B", packet.packet_type()),
            Self::Malformed { packet_type, bytes, error, .. } => {
                format!("MALFORMED {} {bytes} B: {error};", type_name(*packet_type))
            }
            Self::Large { packet_type, bytes, .. } => {
                format!("{} {bytes} B, too large to be decoded", type_name(*packet_type))
            }
            Self::Noise { bytes, .. } => format!("{bytes} B that are no packet"),
            Self::CutOff { bytes, error: Some(error), .. } => {
                format!("CUT OFF within a packet, after {bytes} B: {error}")
            }
            Self::CutOff { bytes, error: None, .. } => format!("CUT OFF within a packet, after {bytes} B"),
            Self::Closed { .. } => "closed".to_owned(),
            Self::Ended { client_bytes, server_bytes } => {
                format!("ended: {client_bytes} B from the client, {server_bytes} B from the server")
            }
        }
    }

    /// The same as members.
    fn head(&self) -> Fields {
        let text = |name: &str, text: &str| (name.to_owned(), Json::Text(text.to_owned()));
        let size = |bytes: &usize| ("bytes".to_owned(), Json::integer(*bytes as u64));
        match self {
            Self::Listening { on, to } => vec![text("on", on), text("to", to)],
            Self::Opened { from } => vec![text("address", from)],
            Self::NoServer { error } => vec![text("error", error)],
            Self::Packet { packet, bytes, .. } => {
                vec![text("packet", packet.packet_type().name()), size(bytes)]
            }
            Self::Malformed { packet_type, bytes, error, .. } => {
                vec![text("packet", type_name(*packet_type)), size(bytes), text("error", &error.to_string())]
            }
            Self::Large { packet_type, bytes, .. } => {
                vec![text("packet", type_name(*packet_type)), size(bytes)]
            }
            Self::Noise { bytes, .. } => vec![size(bytes)],
            Self::CutOff { bytes, error, .. } => {
                let error = error.map(|error| text("error", &error.to_string()));
                std::iter::once(size(bytes)).chain(error).collect()
            }
            Self::Closed { .. } => Vec::new(),
            Self::Ended { client_bytes, server_bytes } => vec![
                ("client_bytes".to_owned(), Json::integer(*client_bytes)),
                ("server_bytes".to_owned(), Json::integer(*server_bytes)),
            ],
        }
    }
}

impl Side {
    fn name(self) -> &'static str {
        match self {
            Self::Client => "client",
            Self::Server => "server",
        }
    }

    /// Clients stand on the left.
    fn arrow(self) -> &'static str {
        match self {
            Self::Client => "->",
            Self::Server => "<-",
        }
    }
}

fn type_name(packet_type: Option<PacketType>) -> &'static str {
    packet_type.map_or("packet", PacketType::name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use noctule_codec::{Properties, Publish, QoS};

    fn now() -> Zoned {
        "2026-03-05T07:08:09.5+01:00[Europe/Berlin]".parse().expect("a moment")
    }

    const TEXT: Report = Report { is_json: false, payload_bytes_max: 8 };
    const JSON: Report = Report { is_json: true, payload_bytes_max: 8 };

    #[test]
    fn a_packet_as_a_line() {
        let packet = Packet::Publish(Publish {
            dup: false,
            qos: QoS::AtMostOnce,
            retain: true,
            topic: "a b",
            packet_id: None,
            properties: Properties::EMPTY,
            payload: b"21\n",
        });
        let (side, version) = (Side::Client, ProtocolVersion::V5);
        let event = Event::Packet { side, version, packet: &packet, bytes: 11 };
        assert_eq!(
            TEXT.line(&now(), 3, &event),
            "07:08:09.500000 #3 -> PUBLISH 11 B topic=\"a b\" qos=0 retain=true dup=false payload_bytes=3 \
             payload=\"21\\n\"\n"
        );
        assert_eq!(
            JSON.line(&now(), 3, &event),
            concat!(
                r#"{"time":"2026-03-05T07:08:09.500000+01:00","connection":3,"event":"packet","from":"client","#,
                r#""packet":"PUBLISH","bytes":11,"topic":"a b","qos":0,"retain":true,"dup":false,"payload_bytes":3,"#,
                r#""payload":"21\n"}"#,
                "\n"
            )
        );
    }

    #[test]
    fn every_event_is_a_line_of_its_own_in_both_forms() {
        let side = Side::Server;
        let error = DecodeError::NotConnect { first_byte: 0 };
        let events = [
            Event::Listening { on: "127.0.0.1:1884", to: "mqtt://localhost:1883" },
            Event::Opened { from: "127.0.0.1:5" },
            Event::NoServer { error: "refused" },
            Event::Malformed { side, packet_type: None, bytes: 2, error, raw: Some(b"\xFF\n") },
            Event::Malformed { side, packet_type: Some(PacketType::Connect), bytes: 2, error, raw: None },
            Event::Large { side, packet_type: Some(PacketType::Publish), bytes: 99 },
            Event::Noise { side, bytes: 4 },
            Event::CutOff { side, bytes: 4, error: Some(error) },
            Event::CutOff { side, bytes: 4, error: None },
            Event::Closed { side },
            Event::Ended { client_bytes: 1, server_bytes: 2 },
        ];
        for event in events {
            let line = TEXT.line(&now(), 1, &event);
            assert!(line.starts_with("07:08:09.500000 #1 ") && line.matches('\n').count() == 1, "{line}");
            let line = JSON.line(&now(), 1, &event);
            let json: serde_json::Value = serde_json::from_str(&line).expect("JSON");
            assert_eq!((&json["connection"], &json["event"]), (&1.into(), &event.name().into()), "{line}");
        }
    }
}
