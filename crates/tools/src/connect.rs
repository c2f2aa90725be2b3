//! From settings to a connection: the address, TLS, and what CONNECT says.

use crate::debug::Narrator;
use crate::ending::Ending;
use crate::program::Tool;
use crate::record::STANDARD_STREAM;
use crate::settings::{PORT_TLS, Settings};
use crate::world::{Output, World};
use noctule_client::machine::{ClientWill, ConnectOptions, Event};
use noctule_client::{Builder, Client, Connection};
use noctule_codec::{PacketType, Properties, Property, PropertyId, PropertyPlace, ProtocolVersion};
use std::io::Write as _;
use std::path::Path;
use std::time::Duration;

/// Opens the connection that the settings describe. CONNECT is on its way then, not answered.
pub(crate) async fn connect(settings: &Settings, world: &World) -> Result<Connection, Ending> {
    let options = options(settings, world);
    let narrator = settings.debug.then(|| {
        let says_granted = settings.tool == Tool::Sub && !settings.quiet;
        Narrator::new(&options.client_id, settings.version, says_granted)
    });
    let opened = builder(settings).open(options).await;
    let mut connection =
        opened.map_err(|error| Ending::unconnected(&error, settings.tls.ca_folder.as_deref()))?;
    if let Some(mut narrator) = narrator {
        let mut stdout = debug_stream(settings, world);
        // Who does not read debug lines is not told of it by one more.
        connection.observe(move |direction, packet| {
            let _ = stdout.write_all(narrator.tell(direction, packet).as_bytes());
            let _ = stdout.flush();
        });
    }
    Ok(connection)
}

/// How it ends when the server does not let this client in, or wants a step of authentication that no tool knows.
pub(crate) fn turned_away(event: &Event, settings: &Settings, connection: &mut Connection) -> Option<Ending> {
    match event {
        Event::Refused { reason_code, .. } => {
            Some(Ending::refused(settings.tool, settings.version, *reason_code))
        }
        Event::Auth { properties, .. } => {
            connection.close();
            Some(Ending::asked_to_authenticate(properties.authentication_method()))
        }
        _ => None,
    }
}

/// Debug lines go to standard output, unless a recording goes there.
fn debug_stream(settings: &Settings, world: &World) -> Output {
    let is_taken =
        settings.tool == Tool::Record && settings.file.as_deref() == Some(Path::new(STANDARD_STREAM));
    if is_taken { world.stderr.clone() } else { world.stdout.clone() }
}

/// Where the server is, and the way there.
pub(crate) fn builder(settings: &Settings) -> Builder {
    let mut builder =
        Client::builder(&address(settings)).nodelay(settings.nodelay).connect_timeout(CONNECT_TIMEOUT);
    if let Some(bind) = &settings.bind {
        builder = builder.bind(bind);
    }
    if let Some(proxy) = &settings.proxy {
        builder = builder.proxy(proxy);
    }
    if settings.is_tls() { with_tls(builder, settings) } else { builder }
}

/// The address as the library reads it. Port 0 makes the host the path of a socket.
pub(crate) fn address(settings: &Settings) -> String {
    let host = settings.host.as_deref().unwrap_or("localhost");
    let port = settings.port.unwrap_or(if settings.is_tls() { PORT_TLS } else { 1883 });
    if port == 0 {
        return format!("unix:{host}");
    }
    let scheme = match (settings.is_tls(), settings.is_websocket) {
        (false, false) => "mqtt",
        (true, false) => "mqtts",
        (false, true) => "ws",
        (true, true) => "wss",
    };
    format!("{scheme}://{}:{port}", in_url(host))
}

/// A host that nothing of can be taken for another part of a URL.
fn in_url(host: &str) -> String {
    if host.contains(':') {
        return format!("[{host}]");
    }
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    let escaped = |byte: u8| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") };
    host.bytes().map(escaped).collect()
}

fn with_tls(mut builder: Builder, settings: &Settings) -> Builder {
    let tls = &settings.tls;
    if let Some(path) = &tls.ca_file {
        builder = builder.ca_file(path);
    }
    if let Some(path) = &tls.ca_folder {
        builder = builder.ca_folder(path);
    }
    if let (Some(certificate), Some(key)) = (&tls.certificate, &tls.key) {
        builder = builder.client_certificate(certificate, key);
    }
    if let Some(list) = &tls.ciphers {
        builder = builder.ciphers(list);
    }
    if let Some(protocol) = &tls.alpn {
        builder = builder.alpn(protocol);
    }
    if tls.system_roots {
        builder = builder.system_roots();
    }
    if tls.insecure {
        builder = builder.dangerously_accept_any_name();
    }
    if tls.version.as_deref() == Some("tlsv1.3") {
        builder = builder.tls13_only();
    }
    builder
}

/// What CONNECT says, and what the machine goes by.
fn options(settings: &Settings, world: &World) -> ConnectOptions {
    let publish = PropertyPlace::Packet(PacketType::Publish);
    let uses_alias = settings.properties.has(publish, PropertyId::TopicAlias);
    ConnectOptions {
        version: settings.version,
        client_id: client_id(settings, world).into(),
        clean_start: settings.clean_session,
        keep_alive_seconds: settings.keep_alive_seconds,
        will: will(settings),
        user_name: settings.user_name.as_deref().map(Into::into),
        password: settings.password.as_deref().map(Into::into),
        properties: connect_properties(settings),
        response_timeout_ms: RESPONSE_TIMEOUT_MS,
        // A broker that sends more than it may is borne with, as mosquitto's tools do.
        receive_excess: u16::MAX,
        inflight_messages_max: settings.inflight_max,
        output_bytes_max: u64::MAX,
        topic_alias_maximum_out: u16::from(uses_alias),
        manual_acks: true,
        resume_unknown_session: true,
    }
}

/// In MQTT 5 the server gives a name to who has none; in 3.1 somebody without a name is not let in.
fn client_id(settings: &Settings, world: &World) -> String {
    match (&settings.client_id, &settings.client_id_prefix) {
        (Some(client_id), _) => client_id.clone(),
        (None, Some(prefix)) => format!("{prefix}{}", world.process_id),
        (None, None) if settings.version == ProtocolVersion::V3_1 => {
            format!("mosq-{:016x}", (world.random)())
        }
        (None, None) => String::new(),
    }
}

/// The properties that were asked for. Without a Receive Maximum among them it is that of mosquitto's tools, or less
/// where fewer messages are wanted.
fn connect_properties(settings: &Settings) -> Properties<'static> {
    let connect = PropertyPlace::Packet(PacketType::Connect);
    let mut properties = settings.properties.checked(connect);
    if properties.receive_maximum().is_none() {
        let wanted = settings.count.and_then(|count| u16::try_from(count).ok()).unwrap_or(u16::MAX);
        let wanted = if settings.tool == Tool::Request { 1 } else { wanted };
        properties.push(Property::ReceiveMaximum(wanted.min(RECEIVE_MAXIMUM)));
    }
    properties
}

fn will(settings: &Settings) -> Option<ClientWill> {
    let will = &settings.will;
    Some(ClientWill {
        topic: will.topic.as_deref()?.into(),
        payload: will.payload.as_deref().unwrap_or_default().into(),
        qos: will.qos,
        retain: will.retain,
        properties: settings.properties.checked(PropertyPlace::Will),
    })
}

/// How long the way to the server may take to open; somebody watches, and has `-W` or Ctrl-C.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(60);
/// How long the server may take to answer CONNECT or a ping.
const RESPONSE_TIMEOUT_MS: u64 = 60_000;
/// Messages above QoS 0 that may be on their way to this client.
const RECEIVE_MAXIMUM: u16 = 20;
