//! What is in a packet: every field with its name and value, but for secrets.

use crate::ending::connack_code;
use crate::format::property_name;
use crate::json::Json;
use noctule_codec::{
    Ack, Connect, Packet, Properties, Property, PropertyId, ProtocolVersion, Publish, ReasonCode,
    SubscriptionOptions, Will,
};

/// Names and values, in the order in which they are shown.
pub(crate) type Fields = Vec<(String, Json)>;

/// The fields of a packet of this version. Of a payload so many bytes are shown.
pub(crate) fn fields(packet: &Packet<'_>, version: ProtocolVersion, payload_bytes_max: usize) -> Fields {
    let mut fields = Fields::new();
    match packet {
        Packet::Connect(connect) => push_connect(connect, payload_bytes_max, &mut fields),
        Packet::ConnAck(connack) => {
            push(&mut fields, "session_present", Json::Bool(connack.session_present));
            let code = connack_code(version, connack.reason_code);
            push(&mut fields, "reason_code", Json::integer(code));
            push(&mut fields, "reason", text(connack.reason_code.name()));
            push_properties(&mut fields, &connack.properties);
        }
        Packet::Publish(publish) => push_publish(publish, payload_bytes_max, &mut fields),
        Packet::PubAck(ack) | Packet::PubRec(ack) | Packet::PubRel(ack) | Packet::PubComp(ack) => {
            push_ack(ack, version, &mut fields);
        }
        Packet::Subscribe(subscribe) => {
            push(&mut fields, "packet_id", Json::integer(subscribe.packet_id.get()));
            let filters = subscribe.filters.iter();
            let filters = filters.map(|(filter, options)| subscription(filter, options, version)).collect();
            push(&mut fields, "filters", Json::Array(filters));
            push_properties(&mut fields, &subscribe.properties);
        }
        Packet::SubAck(suback) => {
            push(&mut fields, "packet_id", Json::integer(suback.packet_id.get()));
            push_reasons(&mut fields, &suback.reason_codes);
            push_properties(&mut fields, &suback.properties);
        }
        Packet::Unsubscribe(unsubscribe) => {
            push(&mut fields, "packet_id", Json::integer(unsubscribe.packet_id.get()));
            push(&mut fields, "filters", Json::Array(unsubscribe.filters.iter().map(text).collect()));
            push_properties(&mut fields, &unsubscribe.properties);
        }
        Packet::UnsubAck(unsuback) => {
            push(&mut fields, "packet_id", Json::integer(unsuback.packet_id.get()));
            // 3.x has none.
            if !unsuback.reason_codes.is_empty() {
                push_reasons(&mut fields, &unsuback.reason_codes);
            }
            push_properties(&mut fields, &unsuback.properties);
        }
        Packet::PingReq | Packet::PingResp => {}
        Packet::Disconnect(disconnect) => {
            push_reason(&mut fields, disconnect.reason_code, version);
            push_properties(&mut fields, &disconnect.properties);
        }
        Packet::Auth(auth) => {
            push_reason(&mut fields, auth.reason_code, version);
            push_properties(&mut fields, &auth.properties);
        }
    }
    fields
}

/// The beginning of some bytes: as text where they are text, else in hexadecimal. The mark behind it says that more
/// follows.
pub(crate) fn push_bytes(fields: &mut Fields, name: &str, bytes: &[u8], bytes_max: usize) {
    push(fields, &format!("{name}_bytes"), Json::integer(bytes.len() as u64));
    if bytes.is_empty() || bytes_max == 0 {
        return;
    }
    let mark = if bytes.len() > bytes_max { MORE } else { "" };
    match std::str::from_utf8(bytes) {
        Ok(all) => {
            let shown = &all[..all.floor_char_boundary(bytes_max)];
            push(fields, name, Json::Text(format!("{shown}{mark}")));
        }
        Err(_) => {
            let shown = &bytes[..bytes.len().min(bytes_max)];
            push(fields, &format!("{name}_hex"), Json::Text(format!("{}{mark}", hex(shown))));
        }
    }
}

fn push_connect(connect: &Connect<'_>, payload_bytes_max: usize, fields: &mut Fields) {
    push(fields, "version", text(version_name(connect.version)));
    push(fields, "client_id", text(connect.client_id));
    push(fields, "clean_start", Json::Bool(connect.clean_start));
    push(fields, "keep_alive_seconds", Json::integer(connect.keep_alive_seconds));
    if let Some(user_name) = connect.user_name {
        push(fields, "user_name", text(user_name));
    }
    if connect.password.is_some() {
        push(fields, "password", text(HIDDEN));
    }
    if let Some(will) = &connect.will {
        push(fields, "will", will_json(will, payload_bytes_max));
    }
    push_properties(fields, &connect.properties);
}

fn will_json(will: &Will<'_>, payload_bytes_max: usize) -> Json {
    let mut fields = Fields::new();
    push(&mut fields, "topic", text(will.topic));
    push(&mut fields, "qos", Json::integer(will.qos as u8));
    push(&mut fields, "retain", Json::Bool(will.retain));
    push_properties(&mut fields, &will.properties);
    push_bytes(&mut fields, "payload", will.payload, payload_bytes_max);
    Json::Object(fields)
}

fn push_publish(publish: &Publish<'_>, payload_bytes_max: usize, fields: &mut Fields) {
    push(fields, "topic", text(publish.topic));
    push(fields, "qos", Json::integer(publish.qos as u8));
    push(fields, "retain", Json::Bool(publish.retain));
    push(fields, "dup", Json::Bool(publish.dup));
    if let Some(packet_id) = publish.packet_id {
        push(fields, "packet_id", Json::integer(packet_id.get()));
    }
    push_properties(fields, &publish.properties);
    push_bytes(fields, "payload", publish.payload, payload_bytes_max);
}

fn push_ack(ack: &Ack<'_>, version: ProtocolVersion, fields: &mut Fields) {
    push(fields, "packet_id", Json::integer(ack.packet_id.get()));
    push_reason(fields, ack.reason_code, version);
    push_properties(fields, &ack.properties);
}

/// Acknowledgements and DISCONNECT say why in 5.0 only.
fn push_reason(fields: &mut Fields, reason_code: ReasonCode, version: ProtocolVersion) {
    if version == ProtocolVersion::V5 {
        push(fields, "reason_code", Json::integer(reason_code.as_u8()));
        push(fields, "reason", text(reason_code.name()));
    }
}

fn push_reasons(fields: &mut Fields, reason_codes: &[ReasonCode]) {
    let codes = reason_codes.iter().map(|code| Json::integer(code.as_u8())).collect();
    push(fields, "reason_codes", Json::Array(codes));
    let names = reason_codes.iter().map(|code| text(code.name())).collect();
    push(fields, "reasons", Json::Array(names));
}

fn subscription(filter: &str, options: SubscriptionOptions, version: ProtocolVersion) -> Json {
    let mut fields = Fields::new();
    push(&mut fields, "filter", text(filter));
    push(&mut fields, "qos", Json::integer(options.qos as u8));
    if version == ProtocolVersion::V5 {
        push(&mut fields, "no_local", Json::Bool(options.no_local));
        push(&mut fields, "retain_as_published", Json::Bool(options.retain_as_published));
        push(&mut fields, "retain_handling", Json::integer(options.retain_handling as u8));
    }
    Json::Object(fields)
}

/// Properties under the names of `-D`. What may come more than once is a list.
fn push_properties(fields: &mut Fields, properties: &Properties<'_>) {
    let mut members = Fields::new();
    for property in properties.iter() {
        let (id, value) = property_json(property);
        let name = property_name(id);
        if !matches!(id, PropertyId::UserProperty | PropertyId::SubscriptionIdentifier) {
            members.push((name, value));
            continue;
        }
        match members.iter_mut().find(|(other, _)| *other == name) {
            Some((_, Json::Array(values))) => values.push(value),
            _ => members.push((name, Json::Array(vec![value]))),
        }
    }
    if !members.is_empty() {
        push(fields, "properties", Json::Object(members));
    }
}

fn property_json(property: Property<'_>) -> (PropertyId, Json) {
    use PropertyId as Id;
    match property {
        Property::PayloadFormatIndicator(value) => {
            (Id::PayloadFormatIndicator, Json::integer(u8::from(value)))
        }
        Property::MessageExpiryInterval(value) => (Id::MessageExpiryInterval, Json::integer(value)),
        Property::ContentType(value) => (Id::ContentType, text(value)),
        Property::ResponseTopic(value) => (Id::ResponseTopic, text(value)),
        Property::CorrelationData(value) => (Id::CorrelationData, bytes_json(value)),
        Property::SubscriptionIdentifier(value) => (Id::SubscriptionIdentifier, Json::integer(value)),
        Property::SessionExpiryInterval(value) => (Id::SessionExpiryInterval, Json::integer(value)),
        Property::AssignedClientIdentifier(value) => (Id::AssignedClientIdentifier, text(value)),
        Property::ServerKeepAlive(value) => (Id::ServerKeepAlive, Json::integer(value)),
        Property::AuthenticationMethod(value) => (Id::AuthenticationMethod, text(value)),
        Property::AuthenticationData(_) => (Id::AuthenticationData, text(HIDDEN)),
        Property::RequestProblemInformation(value) => (Id::RequestProblemInformation, Json::Bool(value)),
        Property::WillDelayInterval(value) => (Id::WillDelayInterval, Json::integer(value)),
        Property::RequestResponseInformation(value) => (Id::RequestResponseInformation, Json::Bool(value)),
        Property::ResponseInformation(value) => (Id::ResponseInformation, text(value)),
        Property::ServerReference(value) => (Id::ServerReference, text(value)),
        Property::ReasonString(value) => (Id::ReasonString, text(value)),
        Property::ReceiveMaximum(value) => (Id::ReceiveMaximum, Json::integer(value)),
        Property::TopicAliasMaximum(value) => (Id::TopicAliasMaximum, Json::integer(value)),
        Property::TopicAlias(value) => (Id::TopicAlias, Json::integer(value)),
        Property::MaximumQoS(value) => (Id::MaximumQoS, Json::integer(value as u8)),
        Property::RetainAvailable(value) => (Id::RetainAvailable, Json::Bool(value)),
        Property::UserProperty(name, value) => (Id::UserProperty, Json::Array(vec![text(name), text(value)])),
        Property::MaximumPacketSize(value) => (Id::MaximumPacketSize, Json::integer(value)),
        Property::WildcardSubscriptionAvailable(value) => {
            (Id::WildcardSubscriptionAvailable, Json::Bool(value))
        }
        Property::SubscriptionIdentifierAvailable(value) => {
            (Id::SubscriptionIdentifierAvailable, Json::Bool(value))
        }
        Property::SharedSubscriptionAvailable(value) => (Id::SharedSubscriptionAvailable, Json::Bool(value)),
    }
}

/// Text where it is text, else hexadecimal behind its mark.
fn bytes_json(bytes: &[u8]) -> Json {
    match std::str::from_utf8(bytes) {
        Ok(value) => text(value),
        Err(_) => Json::Text(format!("0x{}", hex(bytes))),
    }
}

fn push(fields: &mut Fields, name: &str, value: Json) {
    fields.push((name.to_owned(), value));
}

fn text(text: &str) -> Json {
    Json::Text(text.to_owned())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn version_name(version: ProtocolVersion) -> &'static str {
    match version {
        ProtocolVersion::V3_1 => "3.1",
        ProtocolVersion::V3_1_1 => "3.1.1",
        ProtocolVersion::V5 => "5.0",
    }
}

/// What stands for a secret.
const HIDDEN: &str = "(hidden)";
/// What says that there is more.
const MORE: &str = "…";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json::Layout;
    use noctule_codec::{PacketId, QoS, SubscribeFilters};

    fn shown(packet: &Packet<'_>, version: ProtocolVersion) -> String {
        let mut out = String::new();
        Json::Object(fields(packet, version, 4)).write(Layout::Compact, &mut out);
        out
    }

    fn publish(payload: &[u8]) -> String {
        let mut fields = Fields::new();
        push_bytes(&mut fields, "payload", payload, 4);
        let mut out = String::new();
        Json::Object(fields).write(Layout::Compact, &mut out);
        out
    }

    #[test]
    fn secrets_are_hidden() {
        let properties = Properties::EMPTY
            .with(Property::AuthenticationMethod("SCRAM"))
            .with(Property::AuthenticationData(b"secret"));
        let connect = Connect {
            version: ProtocolVersion::V5,
            clean_start: true,
            keep_alive_seconds: 60,
            client_id: "c",
            will: Some(Will {
                topic: "w",
                payload: b"gone",
                qos: QoS::AtLeastOnce,
                retain: true,
                properties: Properties::EMPTY,
            }),
            user_name: Some("u"),
            password: Some(b"secret"),
            properties,
        };
        let line = shown(&Packet::Connect(connect), ProtocolVersion::V5);
        assert!(!line.contains("secret"), "{line}");
        assert_eq!(
            line,
            concat!(
                r#"{"version":"5.0","client_id":"c","clean_start":true,"keep_alive_seconds":60,"user_name":"u","#,
                r#""password":"(hidden)","will":{"topic":"w","qos":1,"retain":true,"payload_bytes":4,"#,
                r#""payload":"gone"},"properties":{"authentication-method":"SCRAM","authentication-data":"(hidden)"}}"#
            )
        );
    }

    #[test]
    fn payloads_are_cut_where_a_character_ends() {
        let cases: [(&[u8], &str); 6] = [
            (b"", r#"{"payload_bytes":0}"#),
            (b"abcd", r#"{"payload_bytes":4,"payload":"abcd"}"#),
            (b"abcde", r#"{"payload_bytes":5,"payload":"abcd…"}"#),
            ("abcü".as_bytes(), r#"{"payload_bytes":5,"payload":"abc…"}"#),
            (b"\xFF\x00", r#"{"payload_bytes":2,"payload_hex":"ff00"}"#),
            (b"\xFF\x00\x01\x02\x03", r#"{"payload_bytes":5,"payload_hex":"ff000102…"}"#),
        ];
        for (payload, line) in cases {
            assert_eq!(publish(payload), line);
        }
    }

    #[test]
    fn older_versions_show_only_what_they_have() {
        let packet_id = PacketId::new(7).expect("not 0");
        let ack = Ack { packet_id, reason_code: ReasonCode::Success, properties: Properties::EMPTY };
        assert_eq!(shown(&Packet::PubAck(ack.clone()), ProtocolVersion::V3_1_1), r#"{"packet_id":7}"#);
        assert_eq!(
            shown(&Packet::PubAck(ack), ProtocolVersion::V5),
            r#"{"packet_id":7,"reason_code":0,"reason":"Success"}"#
        );
        let mut filters = SubscribeFilters::new();
        filters.push("a/#", SubscriptionOptions::default());
        let properties =
            Properties::EMPTY.with(Property::UserProperty("a", "1")).with(Property::UserProperty("b", "2"));
        let subscribe = noctule_codec::Subscribe { packet_id, properties, filters };
        assert_eq!(
            shown(&Packet::Subscribe(subscribe.clone()), ProtocolVersion::V3_1_1),
            concat!(
                r#"{"packet_id":7,"filters":[{"filter":"a/#","qos":0}],"#,
                r#""properties":{"user-property":[["a","1"],["b","2"]]}}"#
            )
        );
        let line = shown(&Packet::Subscribe(subscribe), ProtocolVersion::V5);
        assert!(
            line.contains(r#""no_local":false,"retain_as_published":false,"retain_handling":0"#),
            "{line}"
        );
    }
}
