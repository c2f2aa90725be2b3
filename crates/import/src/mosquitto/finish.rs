//! Putting together what several options say, and writing it down.

use super::access::{DYNAMIC_SECURITY_FILE, problem_of};
use super::broker::INFLIGHT_KEYS;
use super::draft::{Draft, Listener};
use crate::settings::{Settings, Text, Value};
use crate::{Place, Problem};
use std::path::Path;

/// The text of a `noctule.toml`.
pub(super) fn finish(mut draft: Draft, file: &Path, problems: &mut Vec<Problem>) -> Text {
    let is_local_only = draft.is_local_only();
    let listeners = listeners(&mut draft, is_local_only, file, problems);
    let mut settings = std::mem::take(&mut draft.settings);
    settings.set_default("durability", "memory");
    set_data_dir(&draft.raw, &mut settings);
    set_log(&draft, &mut settings);
    problems.extend(problem_of(&draft.access));
    set_access(&draft, is_local_only, &mut settings);
    set_defaults(&mut settings);
    let mut text = Text::default();
    let origin = file.display().to_string().replace(char::is_control, "?");
    text.write_line(&format!("# Made from {origin}: each line says where it comes from."), None);
    text.write_sections(&settings);
    for (listener, place) in &listeners {
        text.write_table("listener", listener, place.as_ref());
    }
    text
}

/// What mosquitto does when nothing is said, where we would do otherwise and somebody would notice.
fn set_defaults(settings: &mut Settings) {
    for key in INFLIGHT_KEYS {
        settings.set_default(key, 20_u64);
    }
    settings.set_default("limits.queue_messages_max", 1000_u64);
    settings.set_default("limits.packet_bytes_max", PACKET_BYTES_MAX);
    settings.set_default("limits.keep_alive_max", KEEP_ALIVE_SECONDS_MAX);
}

/// The data folder stands beside the file that mosquitto would write, under its name: two brokers that share a folder
/// and differ in the file stay apart.
fn set_data_dir(raw: &Settings, settings: &mut Settings) {
    let (location, file) = (raw.text("persistence_location"), raw.text("persistence_file"));
    if location.is_none() && file.is_none() && settings.text("durability") == Some("memory") {
        return;
    }
    let name = format!("{}.noctule", file.unwrap_or("mosquitto.db"));
    let path = Path::new(location.unwrap_or(".")).join(name);
    let origin = raw.origin("persistence_location").or(raw.origin("persistence_file"));
    settings.set("data_dir", path.display().to_string(), origin.or(settings.origin("durability")));
}

fn set_log(draft: &Draft, settings: &mut Settings) {
    let log = &draft.log;
    if !log.places.is_empty() {
        settings.set("log_to", log.places.clone(), log.places_line.clone());
    }
    let origin = log.hides_connections.clone().or(log.level_line.clone()).or(log.places_line.clone());
    if origin.is_some() {
        settings.set("log", log.filter(), origin);
    }
}

/// Who may come in, unless each listener says so.
fn set_access(draft: &Draft, is_local_only: bool, settings: &mut Settings) {
    if !draft.per_listener {
        for (from, to) in ACCESS_KEYS {
            if let Some((value, origin)) = draft.access.get(from) {
                settings.set(to, value.clone(), origin.cloned());
            }
        }
    }
    let anonymous = if is_local_only { "loopback" } else { "never" };
    settings.set_default("access.anonymous", anonymous);
    settings.set_default("access.without_rules", "everything");
}

/// The listeners that mosquitto opens, each with the line that begins it.
fn listeners(
    draft: &mut Draft,
    is_local_only: bool,
    file: &Path,
    problems: &mut Vec<Problem>,
) -> Vec<(Settings, Option<Place>)> {
    let mut listeners = std::mem::take(&mut draft.listeners);
    let default = std::mem::take(&mut draft.default_listener);
    if listeners.is_empty() || default.is_wanted || default.port.is_some() || default.host.is_some() {
        listeners.insert(0, default);
    }
    let opened = listeners.into_iter().filter(|listener| !listener.is_refused);
    let finished: Vec<_> =
        opened.map(|listener| finish_listener(listener, draft, is_local_only, problems)).collect();
    if finished.is_empty() {
        let place = Place { file: file.into(), line: 1 };
        problems.push(Problem { place, message: "none of its listeners can be opened".into() });
    }
    finished
}

fn finish_listener(
    mut listener: Listener,
    draft: &Draft,
    is_local_only: bool,
    problems: &mut Vec<Problem>,
) -> (Settings, Option<Place>) {
    let mut settings = Settings::default();
    problems.extend(problem_of(&listener.access));
    let is_tls = has_tls(&listener, problems);
    settings.set("url", url(&listener, is_tls, is_local_only), listener.place.clone());
    if is_tls {
        set_tls(&mut listener, &mut settings, problems);
    }
    settings.set_defaults(&listener.settings);
    settings.set_defaults(&listener.access);
    if let Some((prefix, origin)) = draft.raw.get("clientid_prefixes") {
        settings.set("client_id_prefix", prefix.clone(), origin.cloned());
    }
    if !draft.per_listener {
        for key in LISTENER_ACCESS_KEYS {
            if let (false, Some((value, origin))) = (settings.has(key), draft.access.get(key)) {
                settings.set(key, value.clone(), origin.cloned());
            }
        }
    } else if !is_local_only {
        settings.set_default("anonymous", "never");
    }
    settings.set_default("assigned_client_id_prefix", "auto-");
    refuse_assigned_ids_without_prefix(&mut settings);
    if listener.raw.has("protocol") {
        settings.set_default("origins", Value::Texts(vec!["*".into()]));
    }
    (settings, listener.place)
}

/// To mosquitto `clientid_prefixes` are about the ids that it gives away, too.
fn refuse_assigned_ids_without_prefix(settings: &mut Settings) {
    let (Some(prefix), Some(assigned)) =
        (settings.text("client_id_prefix"), settings.text("assigned_client_id_prefix"))
    else {
        return;
    };
    if !assigned.starts_with(prefix) {
        let origin = settings.origin("client_id_prefix");
        settings.set("empty_client_id", false, origin);
    }
}

/// Whether the listener speaks TLS; a certificate without its key, or the other way round, is a mistake.
fn has_tls(listener: &Listener, problems: &mut Vec<Problem>) -> bool {
    let has = |key| listener.raw.has(key);
    for (one, other) in [("certfile", "keyfile"), ("keyfile", "certfile")] {
        if let (Some(place), false) = (listener.raw.origin(one), has(other)) {
            problems.push(Problem { place, message: format!("{one}: {other} is missing for this listener") });
        }
    }
    has("certfile") && has("keyfile") && !listener.is_unix
}

fn url(listener: &Listener, is_tls: bool, is_local_only: bool) -> String {
    if let (true, Some(path)) = (listener.is_unix, &listener.host) {
        return format!("unix:{path}");
    }
    let (scheme, path) = match (listener.raw.has("protocol"), is_tls) {
        (true, true) => ("wss", "/*"),
        (true, false) => ("ws", "/*"),
        (false, true) => ("tls", ""),
        (false, false) => ("tcp", ""),
    };
    let host = host(listener.host.as_deref(), listener.raw.text("socket_domain"), is_local_only);
    format!("{scheme}://{host}:{}{path}", listener.port.unwrap_or(DEFAULT_PORT))
}

/// The host of a URL, of one address family if that is asked for.
fn host(host: Option<&str>, family: Option<&str>, is_local_only: bool) -> String {
    let host = if is_local_only { Some("localhost") } else { host };
    match (host, family) {
        (None, None) => "*".into(),
        (None, Some("ipv6")) => "[::]".into(),
        (None, Some(_)) => "0.0.0.0".into(),
        (Some("localhost"), Some("ipv6")) => "[::1]".into(),
        (Some("localhost"), Some(_)) => "127.0.0.1".into(),
        (Some(address), _) if address.contains(':') && !address.starts_with('[') => format!("[{address}]"),
        (Some(host), _) => host.into(),
    }
}

fn set_tls(listener: &mut Listener, settings: &mut Settings, problems: &mut Vec<Problem>) {
    for (from, to) in [("certfile", "certificate"), ("keyfile", "key")] {
        let files = listener.raw.text(from).map(|file| vec![file.to_owned()]).unwrap_or_default();
        settings.set(to, files, listener.raw.origin(from));
    }
    if !listener.raw.is_on("require_certificate") {
        problems.extend(IDENTITIES.iter().filter_map(|(option, _)| identity_in_vain(listener, option)));
        return;
    }
    settings.set("client_certificates", "required", listener.raw.origin("require_certificate"));
    match (listener.raw.get("cafile"), listener.raw.get("capath")) {
        (Some(_), Some((_, Some(place)))) => {
            let message = "capath: this listener has a cafile, too; put all certificates in one of them";
            problems.push(Problem { place: place.clone(), message: message.into() });
        }
        (Some((path, origin)), _) | (None, Some((path, origin))) => {
            settings.set("client_ca", path.clone(), origin.cloned());
        }
        (None, None) => {}
    }
    for (from, name) in IDENTITIES {
        if listener.raw.is_on(from) {
            settings.set("certificate_name", name, listener.raw.origin(from));
            // A certificate without the name lets nobody in, neither with a password nor without.
            listener.settings.set("anonymous", "never", listener.raw.origin(from));
        }
    }
}

/// Without certificates no client has a name, and mosquitto lets none in.
fn identity_in_vain(listener: &Listener, option: &'static str) -> Option<Problem> {
    let place = listener.raw.origin(option).filter(|_| listener.raw.is_on(option))?;
    let message =
        format!("{option}: require_certificate is missing for this listener, so mosquitto lets nobody in");
    Some(Problem { place, message })
}

/// What of a certificate is the user name; of two the last one counts.
const IDENTITIES: [(&str, &str); 2] =
    [("use_subject_as_username", "subject"), ("use_identity_as_username", "common_name")];

/// Where mosquitto listens unless told otherwise.
const DEFAULT_PORT: u16 = 1883;

/// The longest packet of the wire format: mosquitto 2.0 takes them all.
const PACKET_BYTES_MAX: u64 = 5 + 268_435_455;

/// What mosquitto 2.0 grants at most.
const KEEP_ALIVE_SECONDS_MAX: u64 = 65_535;

/// Keys of a listener that are keys of all listeners, too.
const ACCESS_KEYS: [(&str, &str); 4] = [
    ("anonymous", "access.anonymous"),
    ("mosquitto_password_file", "access.mosquitto_password_file"),
    ("mosquitto_acl_file", "access.mosquitto_acl_file"),
    (DYNAMIC_SECURITY_FILE, "access.mosquitto_dynamic_security_file"),
];

/// Keys that only a listener has.
const LISTENER_ACCESS_KEYS: [&str; 2] = ["assigned_client_id_prefix", "empty_client_id"];
