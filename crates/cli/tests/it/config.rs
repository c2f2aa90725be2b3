//! `noctule config`.

use std::fs;
use std::process::Stdio;

use serde_json::{Value, json};

use crate::support::{folder, noctule, outcome};

/// Everything `config show` prints: one line per source of a value, the rest as it is by default.
const SHOWN: &str = r#"listen = ["tcp://localhost:1883"]          # default
data_dir = "/srv/noctule"                  # --data-dir
http = "off"                               # default
durability = "disk"                        # default
durability_rules = []                      # default
shards = 0                                 # default
pin_shards = false                         # default
log = "info"                               # default
log_format = "text"                        # default
log_to = ["stderr"]                        # default
log_time_format = ""                       # default
reload_on_change = false                   # default
sys_interval = "10s"                       # default

[tls]
certificate = []                           # default
key = []                                   # default
versions = "1.2"                           # default
client_certificates = "none"               # default
client_ca = ""                             # default

[websocket]
origins = []                               # default

[access]
anonymous = "loopback"                     # default
users = []                                 # default
rules = ""                                 # default
without_rules = "first_level"              # default
mosquitto_password_file = ""               # default
mosquitto_acl_file = ""                    # default
mosquitto_dynamic_security_file = ""       # default
certificate_name = "none"                  # default
attempts_per_minute_max = 30               # default

[mqtt]
maximum_qos = 2                            # default
retain_available = false                   # noctule.toml:4
wildcard_subscription_available = true     # default
subscription_identifiers_available = true  # default
shared_subscription_available = true       # default
response_information = ""                  # default
server_reference = ""                      # default
server_moved = false                       # default

[limits]
connections_max = 0                        # default
connects_per_second_max = 0                # default
connect_wait_max = "5s"                    # default
sessions_max = 1000000                     # default
journal_bytes_max = "0B"                   # default
memory_bytes_max = "0B"                    # default
messages_per_second_max = 0                # default
bytes_per_second_max = "0B"                # default
address_connects_per_second_max = 0        # default
address_messages_per_second_max = 0        # default
address_bytes_per_second_max = "0B"        # default
user_connects_per_second_max = 0           # default
user_messages_per_second_max = 0           # default
user_bytes_per_second_max = "0B"           # default
rate_pause_max = "0s"                      # default
takeovers_undelayed_max = 10               # default
match_visits_per_second_max = 1000000      # default
subscription_bytes_max = "16MiB"           # default
route_cache_bytes_max = "64MiB"            # default
mailbox_bytes_max = "16MiB"                # default
connect_timeout = "5s"                     # --set limits.connect_timeout
packet_bytes_max = "1MiB"                  # NOCTULE_LIMITS_PACKET_BYTES_MAX
payload_bytes_max = "0B"                   # default
receive_maximum = 65535                    # default
inflight_messages_max = 1024               # default
inflight_messages_max_v3 = 20              # default
topic_alias_maximum = 32                   # default
topic_alias_maximum_out = 32               # default
keep_alive_max = "0s"                      # default
session_expiry_max = "forever"             # default
queue_messages_max = 0                     # default
queue_bytes_max = "256MiB"                 # default
queue_age_max = "0s"                       # default
queue_qos0 = false                         # default
output_bytes_max = "1MiB"                  # default
retained_messages_max = 0                  # default
retained_bytes_max = "1GiB"                # default
subscriptions_max = 65536                  # default
wildcard_subscriptions_max = 16384         # default
topic_levels_max = 128                     # default
topic_bytes_max = "65535B"                 # default
client_id_bytes_max = "65535B"             # default
disconnect_refused_v3 = false              # default
drop_ledger_entries_max = 10000            # default
"#;

const SHOW: [&str; 8] = [
    "config",
    "show",
    "--config",
    "noctule.toml",
    "--data-dir",
    "/srv/noctule",
    "--set",
    "limits.connect_timeout=5s",
];

const FILE: &str =
    "# A house with small packets\n\n[mqtt]\nretain_available = false\n[limits]\npacket_bytes_max = 100\n";

#[test]
fn show_prints_every_value_and_where_it_came_from() {
    let folder = folder("show");
    fs::write(folder.join("noctule.toml"), FILE).unwrap();
    let mut command = noctule(&folder, &SHOW);
    command.env("NOCTULE_LIMITS_PACKET_BYTES_MAX", "1MiB");
    assert_eq!(outcome(&mut command), (0, SHOWN.into(), String::new()));
}

#[test]
fn show_json_has_numbers_with_units() {
    let folder = folder("show_json");
    fs::write(folder.join("noctule.toml"), FILE).unwrap();
    let mut command = noctule(&folder, &SHOW);
    command.args(["--json", "--set", "sys_interval=1500ms"]).env("NOCTULE_LIMITS_PACKET_BYTES_MAX", "1MiB");
    let (code, stdout, stderr) = outcome(&mut command);
    assert_eq!((code, stderr.as_str()), (0, ""));
    let settings: Value = serde_json::from_str(&stdout).expect("JSON");
    for (key, expected) in [
        ("listen", json!({ "value": ["tcp://localhost:1883"], "origin": { "from": "default" } })),
        (
            "mqtt.retain_available",
            json!({ "value": false, "origin": { "from": "file", "file": "noctule.toml", "line": 4 } }),
        ),
        (
            "limits.packet_bytes_max",
            json!({ "value": 1_048_576, "unit": "bytes", "origin": {
                "from": "environment", "variable": "NOCTULE_LIMITS_PACKET_BYTES_MAX" } }),
        ),
        (
            "limits.connect_timeout",
            json!({ "value": 5, "unit": "seconds", "origin": {
                "from": "command line", "flag": "--set limits.connect_timeout" } }),
        ),
        (
            "sys_interval",
            json!({ "value": 1.5, "unit": "seconds", "origin": {
                "from": "command line", "flag": "--set sys_interval" } }),
        ),
        (
            "limits.session_expiry_max",
            json!({ "value": "forever", "unit": "seconds", "origin": { "from": "default" } }),
        ),
    ] {
        assert_eq!(settings[key], expected, "{key}");
    }
    let keys = settings.as_object().expect("an object").len();
    assert_eq!(keys, SHOWN.lines().filter(|line| line.contains(" = ")).count());
}

#[test]
fn show_reads_the_file_the_environment_names_and_no_other() {
    let folder = folder("show_file");
    fs::write(folder.join("noctule.toml"), "log = \"warn\"").unwrap();
    let (_, stdout, _) = outcome(&mut noctule(&folder, &["config", "show"]));
    assert!(stdout.contains("log = \"info\" "), "{stdout}");
    let mut command = noctule(&folder, &["config", "show"]);
    let (_, stdout, _) = outcome(command.env("NOCTULE_CONFIG", "noctule.toml"));
    assert!(stdout.contains("log = \"warn\" "), "{stdout}");
}

#[test]
fn show_refuses_what_serve_refuses() {
    let folder = folder("show_bad");
    let (code, stdout, stderr) = outcome(&mut noctule(&folder, &["config", "show", "--durability", "tape"]));
    let expected = "--durability: found \"tape\", allowed is \"disk\", \"os\" or \"memory\"\n";
    assert_eq!((code, stdout.as_str(), stderr.as_str()), (2, "", expected));
}

#[test]
fn show_tells_of_variables_that_do_nothing() {
    let folder = folder("show_warning");
    let mut command = noctule(&folder, &["config", "show"]);
    let (code, _, stderr) = outcome(command.env("NOCTULE_PORT", "1"));
    assert_eq!((code, stderr.as_str()), (0, "noctule: NOCTULE_PORT is no setting and has no effect\n"));
}

#[test]
fn show_ends_well_when_nobody_reads_on() {
    let folder = folder("show_pipe");
    let mut child = noctule(&folder, &["config", "show"])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the binary");
    drop(child.stdout.take());
    let output = child.wait_with_output().expect("an end");
    assert_eq!((output.status.code(), output.stderr.as_slice()), (Some(0), &b""[..]));
}

#[test]
fn check_is_silent_about_a_good_file() {
    let folder = folder("check_good");
    fs::write(folder.join("noctule.toml"), FILE).unwrap();
    let mut command = noctule(&folder, &["config", "check", "noctule.toml"]);
    // The environment is not what is checked.
    command.env("NOCTULE_SHARDS", "many");
    assert_eq!(outcome(&mut command), (0, String::new(), String::new()));
}

#[test]
fn check_reports_all_mistakes_and_exits_with_1() {
    let folder = folder("check_bad");
    fs::write(folder.join("my.toml"), "shards = 257\n[limits]\npacket_byte_max = 1\n").unwrap();
    let expected = "my.toml:1:10: shards: found 257, allowed is a whole number from 0 to 256\n\
                    my.toml:3:1: there is no key limits.packet_byte_max; did you mean limits.packet_bytes_max?\n";
    let command = &mut noctule(&folder, &["config", "check", "my.toml"]);
    assert_eq!(outcome(command), (1, String::new(), expected.into()));

    let (code, _, stderr) = outcome(&mut noctule(&folder, &["config", "check", "absent.toml"]));
    assert_eq!(code, 1);
    assert!(stderr.starts_with("absent.toml: the file cannot be read: "), "{stderr}");
}

#[test]
fn reference_is_the_documentation_page() {
    let folder = folder("reference");
    let page = include_str!("../../../../docs/configuration.md");
    assert_eq!(outcome(&mut noctule(&folder, &["config", "reference"])), (0, page.into(), String::new()));
}
