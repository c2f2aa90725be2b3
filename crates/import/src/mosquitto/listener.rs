//! Options about listeners.

use super::became::Became;
use super::draft::{Draft, Listener};
use super::lines::Line;

type Taken = Result<Became, String>;

/// `listener PORT [HOST]`, or `listener 0 PATH`.
pub(super) fn listener(draft: &mut Draft, line: &Line) -> Taken {
    let text = line.text()?;
    let (port, host) = text.split_once([' ', '\t']).unwrap_or((text, ""));
    let host = host.trim();
    let port = port.parse().map_err(|_| format!("found {port:?}, allowed is a port from 0 to 65535"))?;
    let is_unix = port == 0;
    if is_unix && host.is_empty() {
        return Err("port 0 is a unix socket, whose path is missing".into());
    }
    let listener = Listener {
        place: Some(line.place.clone()),
        port: Some(port),
        host: (!host.is_empty()).then(|| host.into()),
        is_unix,
        ..Listener::default()
    };
    draft.begin_listener(line, listener);
    Ok(Became::translated("a table [[listener]] with listener.url"))
}

/// `port PORT` of the default listener.
pub(super) fn port(draft: &mut Draft, line: &Line) -> Taken {
    let port = line.number(1..=65_535)?;
    let listener = &mut draft.default_listener;
    listener.port = u16::try_from(port).ok();
    listener.place = Some(line.place.clone());
    Ok(Became::translated("a table [[listener]] with listener.url"))
}

/// `bind_address HOST` of the default listener.
pub(super) fn bind_address(draft: &mut Draft, line: &Line) -> Taken {
    let listener = &mut draft.default_listener;
    if listener.host.is_some() {
        return Err("it is there twice, which mosquitto does not take either".into());
    }
    listener.host = Some(line.word()?.into());
    listener.place.get_or_insert_with(|| line.place.clone());
    Ok(Became::translated("listener.url"))
}

/// `protocol mqtt`, `websockets` or `http_api`.
pub(super) fn protocol(draft: &mut Draft, line: &Line) -> Taken {
    let word = line.word()?;
    let listener = draft.listener(line);
    match word {
        "mqtt" => Ok(Became::kept("listener.url")),
        "websockets" => {
            listener.raw.take("protocol", word, line);
            listener.is_wanted = true;
            Ok(Became::translated("listener.url begins with ws:// or wss://, and takes every path"))
        }
        "http_api" => {
            listener.is_refused = true;
            let note = "there is no HTTP API like this; the listener is left out";
            Ok(Became::refused(note, false))
        }
        _ => Err(format!("found {word:?}, allowed is mqtt or websockets")),
    }
}

/// `socket_domain ipv4` or `ipv6`.
pub(super) fn socket_domain(draft: &mut Draft, line: &Line) -> Taken {
    let word = line.word()?;
    if !["ipv4", "ipv6"].contains(&word) {
        return Err(format!("found {word:?}, allowed is ipv4 or ipv6"));
    }
    let listener = draft.listener(line);
    listener.raw.take("socket_domain", word, line);
    listener.is_wanted = true;
    Ok(Became::translated("listener.url names an address of this family"))
}

/// `mount_point PREFIX`, not for the default listener.
pub(super) fn mount_point(draft: &mut Draft, line: &Line) -> Taken {
    if draft.is_about_default_listener(line) {
        return Err("it stands above the first `listener`, which mosquitto does not take either".into());
    }
    if line.text()?.contains(['+', '#']) {
        return Err(format!("{:?} has a wildcard", line.value));
    }
    let listener = draft.listener(line);
    Ok(Became::kept(format!("listener.{}", listener.settings.set_once("mount_point", line)?)))
}

/// `max_connections COUNT`, where a negative one is no limit.
pub(super) fn max_connections(draft: &mut Draft, line: &Line) -> Taken {
    let count = line.bound()?;
    let listener = draft.listener(line);
    listener.is_wanted |= count > 0;
    Ok(Became::kept(format!("listener.{}", listener.settings.take("connections_max", count, line))))
}

/// `max_qos 0`, `1` or `2`.
pub(super) fn max_qos(draft: &mut Draft, line: &Line) -> Taken {
    let qos = line.number(0..=2)?.unsigned_abs();
    let listener = draft.listener(line);
    listener.is_wanted |= qos < 2;
    Ok(Became::kept(format!("listener.{}", listener.settings.take("maximum_qos", qos, line))))
}

/// `max_topic_alias COUNT`.
pub(super) fn max_topic_alias(draft: &mut Draft, line: &Line) -> Taken {
    let count = line.number(0..=65_535)?.unsigned_abs();
    let listener = draft.listener(line);
    Ok(Became::kept(format!("listener.{}", listener.settings.take("topic_alias_maximum", count, line))))
}

/// `accept_protocol_versions 3, 4, 5`.
pub(super) fn accept_protocol_versions(draft: &mut Draft, line: &Line) -> Taken {
    let mut versions = Vec::new();
    for number in line.text()?.split(',').map(str::trim) {
        versions.push(match number {
            "3" => "3.1".to_owned(),
            "4" => "3.1.1".to_owned(),
            "5" => "5.0".to_owned(),
            _ => return Err(format!("found {number:?}, allowed are 3, 4 and 5 with commas between them")),
        });
    }
    let listener = draft.listener(line);
    Ok(Became::translated(format!("listener.{}", listener.settings.take("versions", versions, line))))
}

/// `use_username_as_clientid true`.
pub(super) fn use_username_as_clientid(draft: &mut Draft, line: &Line) -> Taken {
    let is_on = line.switch()?;
    let listener = draft.listener(line);
    listener.is_wanted |= is_on;
    let note = listener.settings.take("user_name_as_client_id", is_on, line);
    Ok(Became::kept(format!("listener.{note}")))
}

/// `websockets_origin ORIGIN`, any number of times.
pub(super) fn websockets_origin(draft: &mut Draft, line: &Line) -> Taken {
    let listener = draft.listener(line);
    let mut origins = match listener.settings.get("origins") {
        Some((crate::settings::Value::Texts(origins), _)) => origins.clone(),
        _ => Vec::new(),
    };
    origins.push(line.text()?.into());
    Ok(Became::kept(format!("listener.{}", listener.settings.take("origins", origins, line))))
}

/// A text about TLS, which is put together with the others at the end.
pub(super) fn tls_text(draft: &mut Draft, line: &Line, key: &'static str, becomes: &str) -> Taken {
    let listener = draft.listener(line);
    listener.raw.set_once(key, line)?;
    listener.is_wanted = true;
    Ok(Became::kept(format!("listener.{becomes}")))
}

/// A switch about TLS.
pub(super) fn tls_switch(draft: &mut Draft, line: &Line, key: &'static str, becomes: &str) -> Taken {
    let is_on = line.switch()?;
    let listener = draft.listener(line);
    listener.raw.take(key, is_on, line);
    listener.is_wanted |= is_on;
    Ok(Became::translated(format!("listener.{becomes}")))
}

/// `tls_version tlsv1.2`: the lowest one.
pub(super) fn tls_version(draft: &mut Draft, line: &Line) -> Taken {
    let (version, note) = match line.word()? {
        "tlsv1.3" => ("1.3", ""),
        "tlsv1.2" => ("1.2", ""),
        "tlsv1.1" | "tlsv1" => ("1.2", ": nothing older is spoken"),
        other => return Err(format!("found {other:?}, allowed is tlsv1.2 or tlsv1.3")),
    };
    let listener = draft.listener(line);
    listener.raw.set_once("tls_version", line)?;
    Ok(Became::translated(format!(
        "listener.{}{note}",
        listener.settings.take("tls_versions", version, line)
    )))
}
