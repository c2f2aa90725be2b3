//! What goes with what, and what a value means: the checks behind the words.

use crate::ending::Ending;
use crate::flags::{Wrong, filter, name, port, text};
use crate::numbers::leading_integer;
use crate::parse::Stop;
use crate::program::Tool;
use crate::properties::PLACES;
use crate::settings::{Payload, Settings};
use noctule_codec::{PacketType, PropertyId, PropertyPlace, ProtocolVersion};

/// Checks settings that are complete, in the order in which mosquitto's tools do.
pub(crate) fn check(settings: &mut Settings) -> Result<(), Stop> {
    check_will(settings)?;
    check_tls(settings)?;
    check_session(settings)?;
    check_file(settings)?;
    if settings.tool == Tool::Sub && settings.filters.is_empty() && settings.filters_left.is_empty() {
        return Err(wrong("You must specify a topic to subscribe to.").into());
    }
    check_properties(settings)?;
    match settings.tool {
        Tool::Pub => check_publishing(settings),
        Tool::Sub => check_subscribing(settings),
        Tool::Request => check_request(settings),
        Tool::Replay => check_replay(settings),
        Tool::Record | Tool::Spy | Tool::Tree | Tool::Top => Ok(()),
    }
}

/// A tool that has a file needs it. One that listens hears everything if it is not told what.
fn check_file(settings: &mut Settings) -> Result<(), Wrong> {
    if settings.tool.has_file() && settings.file.is_none() {
        return Err(wrong("A file must be given; - is standard input or output."));
    }
    if settings.tool.is_watching() && settings.filters.is_empty() {
        settings.filters.push("#".to_owned());
    }
    Ok(())
}

fn check_will(settings: &Settings) -> Result<(), Wrong> {
    let will = &settings.will;
    match (&will.topic, &will.payload, will.retain) {
        (None, Some(_), _) => Err(wrong("Will payload given, but no will topic given.")),
        (None, None, true) => Err(wrong("Will retain given, but no will topic given.")),
        _ => Ok(()),
    }
}

fn check_tls(settings: &Settings) -> Result<(), Wrong> {
    let tls = &settings.tls;
    if tls.certificate.is_some() != tls.key.is_some() {
        return Err(wrong("Both certfile and keyfile must be provided if one of them is set."));
    }
    if tls.key_form.is_some() && tls.key.is_none() {
        return Err(wrong("If keyform is set, keyfile must be also specified."));
    }
    if tls.engine_password.is_some() && (tls.engine.is_none() || tls.key_form.is_none()) {
        return Err(wrong(
            "when using tls-engine-kpass-sha1, both tls-engine and keyform must also be provided.",
        ));
    }
    if tls.psk.is_some() && (tls.ca_file.is_some() || tls.ca_folder.is_some()) {
        return Err(wrong("Only one of --psk or --cafile/--capath may be used at once."));
    }
    if tls.psk.is_some() && tls.psk_identity.is_none() {
        return Err(wrong("--psk-identity required if --psk used."));
    }
    Ok(())
}

/// A session that is kept needs a name by which it is found again. In MQTT 5 it also says for how long.
fn check_session(settings: &mut Settings) -> Result<(), Wrong> {
    let is_nameless = settings.client_id.is_none();
    if settings.version != ProtocolVersion::V5 {
        return match settings.clean_session || !is_nameless {
            true => Ok(()),
            false => Err(wrong("You must provide a client id if you are using the -c option.")),
        };
    }
    let unsaid = if settings.clean_session { 0 } else { u32::MAX };
    let seconds = settings.session_expiry.unwrap_or(unsaid);
    if seconds == u32::MAX && is_nameless {
        return Err(wrong(
            "You must provide a client id if you are using an infinite session expiry interval.",
        ));
    }
    if seconds > 0 {
        let words = ["connect", "session-expiry-interval", &seconds.to_string()];
        settings.properties.add(&words.map(|word| word.as_bytes().to_vec()))?;
    }
    Ok(())
}

fn check_properties(settings: &Settings) -> Result<(), Stop> {
    for (place, name) in PLACES {
        let section = settings.properties.section(place);
        section.map_err(|error| Stop::Usage(format!("Error in {name} properties: {error}")))?;
    }
    Ok(())
}

fn check_publishing(settings: &Settings) -> Result<(), Stop> {
    match settings.topic.is_none() || settings.payload == Payload::Unsaid {
        true => Err(wrong("Both topic and message must be supplied.").into()),
        false => Ok(()),
    }
}

fn check_subscribing(settings: &Settings) -> Result<(), Stop> {
    match settings.no_retained && settings.retained_only {
        true => Err(Stop::Failed("\nError: Combining '-R' and '--retained-only' makes no sense.".to_owned())),
        false => Ok(()),
    }
}

fn check_request(settings: &Settings) -> Result<(), Stop> {
    let is_complete =
        settings.topic.is_some() && settings.payload != Payload::Unsaid && settings.response_topic.is_some();
    if !is_complete {
        return Err(wrong("All of topic, message, and response topic must be supplied.").into());
    }
    let publish = PropertyPlace::Packet(PacketType::Publish);
    match settings.properties.has(publish, PropertyId::ResponseTopic) {
        true => Err(Stop::Failed("Error in PUBLISH properties: Duplicate response topic.".to_owned())),
        false => Ok(()),
    }
}

fn check_replay(settings: &Settings) -> Result<(), Stop> {
    let publish = PropertyPlace::Packet(PacketType::Publish);
    match settings.properties.checked(publish).is_empty() {
        true => Ok(()),
        false => {
            Err(wrong("A recording has the properties of its messages; -D publish cannot be used.").into())
        }
    }
}

/// What is said in order, but cannot be had. Whoever wants to hear of no failure does not hear of these either.
pub(crate) fn check_possible(settings: &Settings) -> Result<(), Ending> {
    let tls = &settings.tls;
    let failed = |text: &str| Err(Ending::failed(text));
    if settings.client_id.as_deref() == Some("") {
        return failed(if settings.tool == Tool::Pub {
            "Invalid id."
        } else {
            "Invalid id and/or clean_session."
        });
    }
    if settings.password.is_some() && settings.user_name.is_none() && settings.version != ProtocolVersion::V5
    {
        return failed("Problem setting username and/or password.");
    }
    if tls.psk.is_some() {
        return failed(
            "TLS-PSK is not supported: use certificates (--cafile, --cert, --key) or a password (-u, -P).",
        );
    }
    if let Some(engine) = &tls.engine {
        return failed(&format!("Problem setting TLS engine, is {engine} a valid engine?"));
    }
    if tls.key_form.as_deref().is_some_and(|form| form != "pem") {
        return failed("Problem setting key form, it must be one of 'pem' or 'engine'.");
    }
    // The lowest version; 1.1 is not spoken, but what is above it is.
    if tls.version.as_deref().is_some_and(|version| !["tlsv1.3", "tlsv1.2", "tlsv1.1"].contains(&version)) {
        return failed("Problem setting TLS options, check the options are valid.");
    }
    Ok(())
}

/// `-L`: everything about the broker, and a topic.
pub(crate) fn url(settings: &mut Settings, word: &[u8]) -> Result<(), Wrong> {
    let url = text(word);
    let (scheme, rest) = scheme(&url)?;
    let (server, topic) = match rest.split_once('/') {
        Some(parts) => parts,
        None if settings.tool.needs_topic() => {
            return Err(wrong("Invalid URL for -L argument specified - topic missing."));
        }
        None => (rest, ""),
    };
    set_scheme(settings, scheme);
    match settings.tool {
        Tool::Sub => settings.filters.push(filter("-L topic", "subscription", topic.as_bytes())?),
        Tool::Pub | Tool::Request => settings.topic = Some(name("-L topic", "publish", topic.as_bytes())?),
        _ if topic.is_empty() => {}
        Tool::Record | Tool::Tree | Tool::Top => {
            settings.filters.push(filter("-L topic", "subscription", topic.as_bytes())?);
        }
        Tool::Replay | Tool::Spy => {
            return Err(wrong("The URL for -L names a topic, which is not needed here."));
        }
    }
    let (login, place) = server.split_once('@').map_or((None, server), |(login, place)| (Some(login), place));
    if let Some(login) = login {
        let (user_name, password) =
            login.split_once(':').map_or((login, None), |(name, password)| (name, Some(password)));
        settings.user_name = Some(user_name.to_owned());
        if let Some(password) = password {
            (settings.password, settings.password_place) = (Some(password.as_bytes().to_vec()), None);
        }
    }
    set_place(settings, place, scheme)
}

/// `--to`: where the broker is, and no more.
pub(crate) fn server(settings: &mut Settings, word: &[u8]) -> Result<(), Wrong> {
    let url = text(word);
    let (scheme, rest) = scheme(&url)?;
    let place = rest.strip_suffix('/').unwrap_or(rest);
    if place.is_empty() || place.contains(['/', '@']) {
        return Err(wrong(
            "The URL for --to names the broker only; user, password and topics are the clients' own.",
        ));
    }
    set_scheme(settings, scheme);
    set_place(settings, place, scheme)
}

/// What the scheme of a URL says: the port without one written, TLS, WebSocket.
#[derive(Clone, Copy)]
struct Scheme {
    port: u16,
    is_tls: bool,
    is_websocket: bool,
}

fn scheme(url: &str) -> Result<(Scheme, &str), Wrong> {
    let (scheme, rest) = url.split_once("://").unwrap_or(("", url));
    let (port, is_tls, is_websocket) = match scheme.to_ascii_lowercase().as_str() {
        "mqtt" => (1883, false, false),
        "mqtts" => (8883, true, false),
        "ws" => (1883, false, true),
        "wss" => (8883, true, true),
        _ => return Err(wrong("unsupported URL scheme.")),
    };
    Ok((Scheme { port, is_tls, is_websocket }, rest))
}

fn set_scheme(settings: &mut Settings, scheme: Scheme) {
    settings.tls.system_roots |= scheme.is_tls;
    settings.is_websocket |= scheme.is_websocket;
}

fn set_place(settings: &mut Settings, place: &str, scheme: Scheme) -> Result<(), Wrong> {
    let (host, written_port) = host_and_port(place);
    settings.host = Some(host.to_owned());
    settings.port = Some(written_port.map_or(Ok(scheme.port), |digits| port(digits.as_bytes()))?);
    Ok(())
}

/// The port is behind the last colon, unless that belongs to an address of IPv6 in brackets.
fn host_and_port(place: &str) -> (&str, Option<&str>) {
    if let Some((address, rest)) = place.strip_prefix('[').and_then(|place| place.split_once(']')) {
        return (address, rest.strip_prefix(':'));
    }
    place.split_once(':').map_or((place, None), |(host, port)| (host, Some(port)))
}

/// `--proxy`, in the words of the library.
pub(crate) fn proxy(word: &[u8]) -> Result<String, Wrong> {
    let url = text(word);
    let rest = url.strip_prefix("socks5h://");
    let rest = rest.ok_or_else(|| Wrong(format!("Unsupported proxy protocol: {url}")))?;
    let place = rest.rsplit_once('@').map_or(rest, |(_, place)| place);
    let (host, port) = host_and_port(place);
    if host.is_empty() {
        return Err(wrong("Invalid proxy."));
    }
    if let Some(digits) = port {
        let port = leading_integer(digits.as_bytes());
        if !(1..=65_535).contains(&port) {
            return Err(Wrong(format!("Invalid proxy port {port}")));
        }
    }
    Ok(format!("socks5://{rest}"))
}

fn wrong(text: &str) -> Wrong {
    Wrong(text.to_owned())
}
