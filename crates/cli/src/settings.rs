//! `noctule config`: shows, checks and documents the configuration.

use std::io::{self, Write as _};
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use clap::ArgMatches;
use noctule_broker::config::{
    self, ListenerSetting, Loaded, Origin, Setting, Value, check_file, check_mosquitto_file, load,
};
use serde_json::{Map, json};

use crate::command::{FILE, JSON, MOSQUITTO, sources};
use crate::failure::Failure;

/// Prints the effective configuration; warnings go to standard error.
pub(crate) fn show(matches: &ArgMatches) -> Result<(), Failure> {
    let loaded = load(&sources(matches)).map_err(Failure::Configuration)?;
    for warning in &loaded.warnings {
        writeln!(io::stderr(), "noctule: {warning}")?;
    }
    let text = if matches.get_flag(JSON) { show_json(&loaded) } else { config::show(&loaded) };
    print(&text)
}

/// Checks one file by itself, without environment and flags, and the certificates that it names.
pub(crate) fn check(matches: &ArgMatches) -> Result<(), Failure> {
    let now = SystemTime::now();
    let checked = match matches.get_one::<PathBuf>(MOSQUITTO) {
        Some(file) => check_mosquitto_file(file, now),
        None => check_file(matches.get_one::<PathBuf>(FILE).expect("clap requires one of them"), now),
    };
    checked.map_err(Failure::Check)
}

/// Prints `docs/configuration.md`.
pub(crate) fn reference() -> Result<(), Failure> {
    print(&config::reference())
}

fn print(text: &str) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes())?;
    Ok(out.flush()?)
}

/// One object with a member per key. Sizes are in bytes and durations in seconds.
fn show_json(loaded: &Loaded) -> String {
    let mut settings: Map<String, serde_json::Value> =
        loaded.settings().map(|setting| (setting.key.name.to_owned(), setting_json(&setting))).collect();
    let tables: Vec<serde_json::Value> = loaded.listener_settings().map(|table| table_json(&table)).collect();
    if !tables.is_empty() {
        settings.insert("listener".into(), tables.into());
    }
    format!("{:#}\n", serde_json::Value::from(settings))
}

/// One object with a member per key that the table of a listener sets.
fn table_json(table: &[ListenerSetting<'_>]) -> serde_json::Value {
    let member = |setting: &ListenerSetting<'_>| {
        (setting.key.name_in_section().to_owned(), value_and_origin_json(&setting.value, setting.origin))
    };
    table.iter().map(member).collect::<Map<_, _>>().into()
}

fn setting_json(setting: &Setting<'_>) -> serde_json::Value {
    value_and_origin_json(&setting.value, setting.origin)
}

fn value_and_origin_json(value: &Value, origin: &Origin) -> serde_json::Value {
    let origin = origin_json(origin);
    let (value, unit) = value_json(value);
    match unit {
        Some(unit) => json!({ "value": value, "unit": unit, "origin": origin }),
        None => json!({ "value": value, "origin": origin }),
    }
}

fn value_json(value: &Value) -> (serde_json::Value, Option<&'static str>) {
    match value {
        Value::Boolean(switch) => (json!(switch), None),
        Value::Number(number) => (json!(number), None),
        Value::Size(bytes) => (json!(bytes), Some("bytes")),
        Value::Duration(duration) => (seconds_json(*duration), Some("seconds")),
        Value::Forever => (json!("forever"), Some("seconds")),
        Value::Text(text) => (json!(text), None),
        Value::List(items) => (json!(items), None),
    }
}

/// A whole number where it is one.
fn seconds_json(duration: Duration) -> serde_json::Value {
    match duration.subsec_nanos() {
        0 => json!(duration.as_secs()),
        _ => json!(duration.as_secs_f64()),
    }
}

fn origin_json(origin: &Origin) -> serde_json::Value {
    match origin {
        Origin::Default => json!({ "from": "default" }),
        Origin::File { path, line } => {
            json!({ "from": "file", "file": path.display().to_string(), "line": line })
        }
        Origin::Implied(path) => {
            json!({ "from": "default of mosquitto", "file": path.display().to_string() })
        }
        Origin::Environment(name) => json!({ "from": "environment", "variable": name }),
        Origin::CommandLine(flag) => json!({ "from": "command line", "flag": flag }),
    }
}
