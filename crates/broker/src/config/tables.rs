//! From the `[[listener]]` tables of a file to the listeners of a [`Config`].

use super::key::Key;
use super::listener::{LISTENER_KEYS, ListenerConfig};
use super::load::{Origin, Table};
use super::places::Places;
use super::{Config, KEYS, Place, Problem};

/// Where the keys come from that a table sets, by their place in [`LISTENER_KEYS`].
pub(super) type ListenerOrigins = Vec<(usize, Origin)>;

/// Puts the listeners of `tables` into `config`, which is complete but for them. Says where their keys come from.
pub(super) fn resolve_tables(
    config: &mut Config,
    tables: Vec<Table>,
    origins: &[Origin],
    places: &mut Places,
    problems: &mut Vec<Problem>,
) -> Vec<ListenerOrigins> {
    let listen = KEYS.iter().position(|key| key.name == "listen").expect("it is a key");
    if !tables.is_empty() && origins[listen] == Origin::Default {
        config.listen.clear();
    }
    let mut all_origins = Vec::new();
    for table in tables {
        // A table with mistakes stops everything, so its place in the list does not matter.
        let index = config.listener_tables.len();
        for assignment in &table.assignments {
            places.note(Some(index), LISTENER_KEYS[assignment.key].name, assignment);
        }
        if let Some((listener, origins)) = resolve_table(config, table, problems) {
            config.listener_tables.push(listener);
            all_origins.push(origins);
        }
    }
    all_origins
}

fn resolve_table(
    config: &Config,
    table: Table,
    problems: &mut Vec<Problem>,
) -> Option<(ListenerConfig, ListenerOrigins)> {
    let (mut listener, mut origins) = (ListenerConfig::beginning(config), Vec::new());
    let mut places = Who { url: None, name: None };
    for assignment in table.assignments {
        let key: &Key<ListenerConfig> = &LISTENER_KEYS[assignment.key];
        match key.name {
            "listener.url" => places.url = Some(assignment.place.clone()),
            "listener.name" => places.name = Some(assignment.place.clone()),
            _ => {}
        }
        match key.assign(&mut listener, &assignment) {
            Ok(()) => origins.push((assignment.key, assignment.place.into())),
            Err(refused) => problems.extend(refused),
        }
    }
    if places.url.is_none() {
        let message = "a listener needs a URL; write for example url = \"tls://0.0.0.0:8883\"".into();
        problems.push(Problem { place: table.place.clone(), message });
    }
    listener.url.as_ref()?;
    problems.extend(clash(config, &listener, places, table.place));
    origins.sort_by_key(|(key, _)| *key);
    Some((listener, origins))
}

/// Where a table says who the listener is.
struct Who {
    url: Option<Place>,
    name: Option<Place>,
}

/// Two listeners in one place, or with one name.
fn clash(config: &Config, listener: &ListenerConfig, places: Who, table: Place) -> Option<Problem> {
    let others: Vec<ListenerConfig> = config.listeners().collect();
    let (url, name) = (listener.url(), listener.name());
    // Port 0 is another port each time.
    let is_taken = url.port() != Some(0) && others.iter().any(|other| other.url() == url);
    let (place, message) = if is_taken {
        (places.url, format!("listener.url: {:?}: it is there twice", url.to_string()))
    } else if places.name.is_some() && others.iter().any(|other| other.name() == name) {
        (places.name, format!("listener.name: {name:?}: another listener has this name"))
    } else {
        return None;
    };
    Some(Problem { place: place.unwrap_or(table), message })
}
