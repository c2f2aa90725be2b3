//! Loading the configuration: precedence, origins, and what is said about mistakes.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use noctule_broker::config::{
    Argument, Config, Key, Loaded, LogFormat, Place, Problems, Sources, check_file, load, reference, show,
};

/// A file of its own for one test. Problems name it by its whole path, which [`said`] cuts.
fn file(test: &str, text: &str) -> PathBuf {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{test}.toml"));
    fs::write(&path, text).expect("a writable folder for tests");
    path
}

fn from_file(test: &str, text: &str) -> Result<Loaded, Problems> {
    load(&Sources { file: Some(file(test, text)), ..Sources::default() })
}

fn from_environment(variables: &[(&str, &str)]) -> Result<Loaded, Problems> {
    load(&Sources { environment: environment(variables), ..Sources::default() })
}

fn from_command_line(command_line: Vec<Argument>) -> Result<Loaded, Problems> {
    load(&Sources { command_line, ..Sources::default() })
}

fn environment(variables: &[(&str, &str)]) -> Vec<(std::ffi::OsString, std::ffi::OsString)> {
    variables.iter().map(|(name, value)| (name.into(), value.into())).collect()
}

fn flag(key: &str, value: &str) -> Argument {
    Argument::Flag(Key::by_name(key).expect("a key"), vec![value.into()])
}

fn set(text: &str) -> Argument {
    Argument::Set(text.into())
}

/// What is said, line by line, with file names without their folder.
fn said(result: Result<Loaded, Problems>) -> Vec<String> {
    let problems = result.expect_err("mistakes");
    let folder = format!("{}/", env!("CARGO_TARGET_TMPDIR"));
    problems.to_string().lines().map(|line| line.replace(&folder, "")).collect()
}

#[test]
fn without_sources_everything_is_default() {
    let loaded = load(&Sources::default()).expect("nothing to be wrong");
    assert_eq!(loaded.config, Config::default());
    assert_eq!(loaded.file, None);
    assert!(loaded.settings().all(|setting| setting.origin.to_string() == "default"));
}

#[test]
fn a_file_sets_every_type() {
    let config = from_file(
        "every_type",
        r#"
        listen = ["tcp://127.0.0.1:1", "tcp://[::1]:2"]
        data_dir = "/var/lib/noctule"
        log = "warn,noctule_broker=debug"
        log_format = "json"
        sys_interval = 0
        mqtt.maximum_qos = 1
        [limits]
        connect_timeout = "500ms"
        packet_bytes_max = "256 MiB"
        output_bytes_max = 65_536
        keep_alive_max = "5m"
        session_expiry_max = "7d"
        queue_qos0 = true
        connections_max = 0x10
        "#,
    )
    .expect("a good file")
    .config;
    let urls: Vec<String> = config.listen.iter().map(ToString::to_string).collect();
    assert_eq!(urls, ["tcp://127.0.0.1:1", "tcp://[::1]:2"]);
    assert_eq!(config.data_dir, Path::new("/var/lib/noctule"));
    assert_eq!(config.log.to_string(), "warn,noctule_broker=debug");
    assert_eq!(config.log_format, LogFormat::Json);
    assert_eq!(config.sys_interval, None);
    assert_eq!(config.limits.maximum_qos as u8, 1);
    assert_eq!(config.limits.connect_timeout_ms, 500);
    assert_eq!(config.limits.packet_bytes_max, 256 << 20);
    assert_eq!(config.limits.output_bytes_max, 65_536);
    assert_eq!(config.limits.keep_alive_seconds_max, 300);
    assert_eq!(config.limits.session_expiry_seconds_max, 604_800);
    assert!(config.limits.queue_qos0);
    assert_eq!(config.connections_max, Some(16));
}

#[test]
fn the_environment_sets_every_type() {
    let config = from_environment(&[
        ("NOCTULE_LISTEN", "tcp://127.0.0.1:1, tcp://[::1]:2"),
        ("NOCTULE_DATA_DIR", "/var/lib/noctule"),
        ("NOCTULE_SYS_INTERVAL", "5m"),
        ("NOCTULE_MQTT_RETAIN_AVAILABLE", "false"),
        ("NOCTULE_LIMITS_PACKET_BYTES_MAX", "1MiB"),
        ("NOCTULE_LIMITS_RECEIVE_MAXIMUM", "7"),
        ("NOCTULE_LIMITS_SESSION_EXPIRY_MAX", "forever"),
        ("PATH", "/bin"),
    ])
    .expect("a good environment")
    .config;
    assert_eq!(config.listen.len(), 2);
    assert_eq!(config.data_dir, Path::new("/var/lib/noctule"));
    assert_eq!(config.sys_interval, Some(Duration::from_secs(300)));
    assert!(!config.limits.retain_available);
    assert_eq!(config.limits.packet_bytes_max, 1 << 20);
    assert_eq!(config.limits.receive_maximum, 7);
    assert_eq!(config.limits.session_expiry_seconds_max, u32::MAX);
}

#[test]
fn the_command_line_sets_every_type() {
    let listen = Key::by_name("listen").expect("a key");
    let config = from_command_line(vec![
        Argument::Flag(listen, vec!["tcp://127.0.0.1:1".into(), "tcp://[::1]:2".into()]),
        flag("log_format", "json"),
        set("limits.packet_bytes_max = 1MiB"),
        set("limits.queue_qos0=true"),
        set("mqtt.response_information=a=b"),
    ])
    .expect("a good command line")
    .config;
    assert_eq!(config.listen.len(), 2);
    assert_eq!(config.log_format, LogFormat::Json);
    assert_eq!(config.limits.packet_bytes_max, 1 << 20);
    assert!(config.limits.queue_qos0);
    assert_eq!(config.limits.response_information, "a=b");
}

#[test]
fn command_line_over_environment_over_file_over_default() {
    let path = file(
        "precedence",
        "[limits]\nreceive_maximum = 1\nsubscriptions_max = 1\n\ntopic_levels_max = 1\n# the end\n",
    );
    let loaded = load(&Sources {
        mosquitto: None,
        file: Some(path.clone()),
        environment: environment(&[
            ("NOCTULE_LIMITS_RECEIVE_MAXIMUM", "2"),
            ("NOCTULE_LIMITS_SUBSCRIPTIONS_MAX", "2"),
        ]),
        command_line: vec![set("limits.receive_maximum=3"), flag("data_dir", "/x")],
    })
    .expect("good sources");
    let came = |name: &str| {
        let setting = loaded.settings().find(|setting| setting.key.name == name).expect("a key");
        format!("{} from {}", setting.value.plain(), setting.origin)
    };
    assert_eq!(came("limits.receive_maximum"), "3 from --set limits.receive_maximum");
    assert_eq!(came("limits.subscriptions_max"), "2 from NOCTULE_LIMITS_SUBSCRIPTIONS_MAX");
    assert_eq!(came("limits.topic_levels_max"), format!("1 from {}:5", path.display()));
    assert_eq!(came("limits.topic_bytes_max"), "65535B from default");
    assert_eq!(came("data_dir"), "/x from --data-dir");
}

#[test]
fn the_environment_may_name_the_file_and_the_command_line_another() {
    let one = file("named_one", "log = \"warn\"");
    let two = file("named_two", "log = \"error\"");
    let mut sources =
        Sources { environment: vec![("NOCTULE_CONFIG".into(), one.clone().into())], ..Sources::default() };
    let loaded = load(&sources).expect("a good file");
    assert_eq!((loaded.config.log.to_string().as_str(), loaded.file), ("warn", Some(one)));
    sources.file = Some(two.clone());
    let loaded = load(&sources).expect("a good file");
    assert_eq!((loaded.config.log.to_string().as_str(), loaded.file), ("error", Some(two)));
}

#[test]
fn a_variable_set_to_nothing_is_not_set() {
    let loaded = from_environment(&[("NOCTULE_SHARDS", ""), ("NOCTULE_CONFIG", "")]).expect("nothing set");
    assert_eq!(loaded.config, Config::default());
}

#[test]
fn mistakes_in_a_file_name_line_column_and_what_is_allowed() {
    for (test, text, expected) in [
        (
            "typo",
            "\n[limits]\n  packet_byte_max = 1",
            "typo.toml:3:3: there is no key limits.packet_byte_max; did you mean limits.packet_bytes_max?",
        ),
        ("typo_table", "[limit]\na = 1", "typo_table.toml:1:2: there is no key limit; did you mean limits?"),
        (
            "foreign",
            "allow_anonymous = true",
            "foreign.toml:1:1: there is no key allow_anonymous; `noctule config show` lists all of them",
        ),
        (
            "wrong_section",
            "receive_maximum = 1",
            "wrong_section.toml:1:1: there is no key receive_maximum; did you mean limits.receive_maximum?",
        ),
        ("not_a_table", "limits = 3", "not_a_table.toml:1:10: limits: found 3, allowed is a table of keys"),
        (
            "no_table",
            "[shards]\na = 1",
            "no_table.toml:1:1: shards: found a table, allowed is a whole number from 0 to 256",
        ),
        (
            "type",
            "[limits]\nreceive_maximum = \"many\"",
            "type.toml:2:19: limits.receive_maximum: found \"many\", allowed is a whole number from 1 to 65535",
        ),
        (
            "range",
            "limits.receive_maximum = 65536",
            "range.toml:1:26: limits.receive_maximum: found 65536, allowed is a whole number from 1 to 65535",
        ),
        (
            "negative",
            "limits.receive_maximum = -1",
            "negative.toml:1:26: limits.receive_maximum: found -1, allowed is a whole number from 1 to 65535",
        ),
        (
            "fraction",
            "sys_interval = 1.5",
            "fraction.toml:1:16: sys_interval: found the fraction 1.5, allowed is a duration from 0s \
             to 1d, written like \"10s\"",
        ),
        (
            "date",
            "sys_interval = 1979-05-27",
            "date.toml:1:16: sys_interval: found the date 1979-05-27, allowed is a duration from 0s \
             to 1d, written like \"10s\"",
        ),
        (
            "quoted_boolean",
            "limits.queue_qos0 = \"true\"",
            "quoted_boolean.toml:1:21: limits.queue_qos0: found \"true\", allowed is true or false",
        ),
        (
            "size",
            "limits.packet_bytes_max = \"8MB\"",
            "size.toml:1:27: limits.packet_bytes_max: found \"8MB\", allowed is a size from 64B to 268435460B, \
             written like \"8MiB\"",
        ),
        (
            "duration",
            "limits.keep_alive_max = \"1500ms\"",
            "duration.toml:1:25: limits.keep_alive_max: found \"1500ms\", allowed is a duration in whole seconds \
             from 0s to 65535s, written like \"10s\"",
        ),
        (
            "lifetime",
            "limits.session_expiry_max = \"always\"",
            "lifetime.toml:1:29: limits.session_expiry_max: found \"always\", allowed is a duration in whole \
             seconds, written like \"7d\", or \"forever\"",
        ),
        (
            "word",
            "log_format = \"xml\"",
            "word.toml:1:14: log_format: found \"xml\", allowed is \"text\" or \"json\"",
        ),
        (
            "log",
            "log = \"loud\"",
            "log.toml:1:7: log: \"loud\" is no level; allowed are off, error, warn, info, debug, trace",
        ),
        (
            "topic_prefix",
            "mqtt.response_information = \"a/#\"",
            "topic_prefix.toml:1:29: mqtt.response_information: found \"a/#\", allowed is the start of a topic: no \
             wildcard, at most 65535 bytes",
        ),
        ("path", "data_dir = \"\"", "path.toml:1:12: data_dir: found \"\", allowed is a path"),
        (
            "no_listener",
            "listen = []",
            "no_listener.toml:1:10: listen: found an array, allowed is an array of at least one URL, like \
             [\"tcp://localhost:1883\"]",
        ),
        (
            "listen_text",
            "listen = \"tcp://localhost:1883\"",
            "listen_text.toml:1:10: listen: found \"tcp://localhost:1883\", allowed is an array of at least one \
             URL, like [\"tcp://localhost:1883\"]",
        ),
        (
            "listen_twice",
            "listen = [\"tcp://localhost:1883\", \"tcp://LOCALHOST:1883\"]",
            "listen_twice.toml:1:35: listen: \"tcp://LOCALHOST:1883\": it is there twice",
        ),
        (
            "http",
            "http = \"127.0.0.1:18083\"",
            "http.toml:1:8: http: found \"127.0.0.1:18083\", allowed is \"off\" (the HTTP API is not there yet)",
        ),
        (
            "durability",
            "durability = \"tape\"",
            "durability.toml:1:14: durability: found \"tape\", allowed is \"disk\", \"os\" or \"memory\"",
        ),
        (
            "rules",
            "durability_rules = [\"a/#=disk\", \"a/#/b=os\"]",
            "rules.toml:1:33: durability_rules: \"a/#/b=os\": `#` stands in level 1 of the topic filter and \
             is not the last one",
        ),
        (
            "shards",
            "shards = 257",
            "shards.toml:1:10: shards: found 257, allowed is a whole number from 0 to 256",
        ),
        // Columns count characters, not bytes.
        (
            "column",
            "x.\"é\" = 1\nlimits.\"receive_maximum\" = 0",
            "column.toml:1:1: there is no key x; `noctule config show` lists all of them|\
             column.toml:2:28: limits.receive_maximum: found 0, allowed is a whole number from 1 to 65535",
        ),
        (
            "after_umlaut",
            "listen = [\"tcp://ä:1\", 7]",
            "after_umlaut.toml:1:11: listen: \"tcp://ä:1\": \"ä\" is neither an address nor a host name; an IPv6 \
             address stands in brackets, as in [::1]|\
             after_umlaut.toml:1:24: listen: 7: not a URL such as \"tcp://localhost:1883\"",
        ),
    ] {
        assert_eq!(said(from_file(test, text)).join("|"), expected, "{test}");
    }
}

#[test]
fn what_is_not_toml_names_line_and_column() {
    for (test, text, places) in [
        ("unfinished", "shards = 1\nlog = ", vec!["2:7"]),
        ("twice", "shards = 1\nshards = 1", vec!["2:1"]),
        ("several", "log = \nshards = 1 2\nhttp = \"off", vec!["1:7", "2:10", "3:12"]),
    ] {
        let lines = said(from_file(test, text));
        let starts: Vec<String> =
            places.iter().map(|place| format!("{test}.toml:{place}: not TOML: ")).collect();
        assert_eq!(lines.len(), starts.len(), "{lines:?}");
        for (line, start) in lines.iter().zip(starts) {
            assert!(line.starts_with(&start) && line.len() > start.len(), "{line}");
        }
    }
}

#[test]
fn a_file_that_cannot_be_read_is_named() {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join("absent.toml");
    let problems = check_file(&path, SystemTime::now()).expect_err("no such file");
    assert_eq!(problems.as_slice()[0].place, Place::WholeFile(path.clone()));
    let expected = format!("{}: the file cannot be read: No such file", path.display());
    assert!(problems.to_string().starts_with(&expected), "{problems}");

    fs::write(path.with_file_name("latin1.toml"), b"log = \"\xe4\"").expect("a writable folder for tests");
    assert!(check_file(&path.with_file_name("latin1.toml"), SystemTime::now()).is_err());
}

#[test]
fn mistakes_in_the_environment_name_the_variable() {
    assert_eq!(
        said(from_environment(&[
            ("NOCTULE_LIMITS_RECEIVE_MAXIMUM", "0"),
            ("NOCTULE_DURABILTY", "memory"),
            ("NOCTULE_LISTEN", "tcp://localhost:1883,mqtts://localhost:8883"),
        ])),
        [
            "NOCTULE_DURABILTY: there is no such setting; did you mean NOCTULE_DURABILITY?",
            "NOCTULE_LIMITS_RECEIVE_MAXIMUM: found \"0\", allowed is a whole number from 1 to 65535",
            "NOCTULE_LISTEN: \"mqtts://localhost:8883\": unknown scheme \"mqtts\"; known are tcp, tls, ws, wss and \
             unix, as in tcp://localhost:1883",
        ]
    );
}

#[test]
fn variables_of_others_are_left_alone_with_a_word() {
    let loaded = from_environment(&[("NOCTULE_PORT", "tcp://10.0.0.1:1883")]).expect("no mistake");
    assert_eq!(loaded.warnings, ["NOCTULE_PORT is no setting and has no effect"]);
    assert_eq!(loaded.config, Config::default());
}

#[cfg(unix)]
#[test]
fn a_variable_that_is_not_utf8_is_refused() {
    use std::os::unix::ffi::OsStringExt as _;
    let value = std::ffi::OsString::from_vec(vec![0xFF]);
    let sources = Sources { environment: vec![("NOCTULE_LOG".into(), value)], ..Sources::default() };
    assert_eq!(said(load(&sources)), ["NOCTULE_LOG: the value is not UTF-8"]);
}

#[test]
fn mistakes_on_the_command_line_name_the_flag() {
    assert_eq!(
        said(from_command_line(vec![
            flag("shards", "two"),
            set("limits.receive_maximum=0"),
            set("limits.recieve_maximum=1"),
            set("limits.queue_qos0"),
            set("shards=1"),
        ])),
        [
            "--set limits.recieve_maximum: there is no key limits.recieve_maximum; did you mean \
             limits.receive_maximum?",
            "--set limits.queue_qos0: a value is missing; write --set KEY=VALUE",
            "--set shards: shards is set twice on the command line",
            "--shards: found \"two\", allowed is a whole number from 0 to 256",
            "--set limits.receive_maximum: found \"0\", allowed is a whole number from 1 to 65535",
        ]
    );
}

/// A mistake that is overridden today bites on the day the other source goes away.
#[test]
fn all_mistakes_of_all_sources_are_reported_at_once() {
    let sources = Sources {
        mosquitto: None,
        file: Some(file("all", "shards = 257\nlgo = \"info\"\n")),
        environment: environment(&[("NOCTULE_SHARDS", "many")]),
        command_line: vec![flag("shards", "1"), flag("log", "loud")],
    };
    assert_eq!(
        said(load(&sources)),
        [
            "all.toml:1:10: shards: found 257, allowed is a whole number from 0 to 256",
            "all.toml:2:1: there is no key lgo; did you mean log?",
            "NOCTULE_SHARDS: found \"many\", allowed is a whole number from 0 to 256",
            "--log: \"loud\" is no level; allowed are off, error, warn, info, debug, trace",
        ]
    );
}

#[test]
fn what_is_shown_is_a_file_of_the_same_meaning() {
    let loaded = from_command_line(vec![
        flag("listen", "tcp://127.0.0.1:0,tcp://[::1]:0"),
        flag("data_dir", "a \"quoted\" \\ path # with\ta tab"),
        flag("log", "warn,a=trace"),
        set("sys_interval=1500ms"),
        set("mqtt.maximum_qos=0"),
        set("limits.session_expiry_max=1h"),
        set("limits.packet_bytes_max=1000"),
    ])
    .expect("a good command line");
    let again = from_file("shown", &show(&loaded)).expect("what is shown is a good file");
    assert_eq!(again.config, loaded.config);
}

#[test]
fn the_documentation_page_is_up_to_date() {
    let page = include_str!("../../../../docs/configuration.md");
    assert!(page == reference(), "run: cargo run -- config reference > docs/configuration.md");
}
