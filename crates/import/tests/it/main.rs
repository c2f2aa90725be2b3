//! Reading `mosquitto.conf`, from the file to the text and the report.

use noctule_import::mosquitto::{KnownOption, OPTIONS, import, options_page};
use noctule_import::{Import, Verdict};
use std::fs;
use std::path::{Path, PathBuf};

/// A fresh folder with a `mosquitto.conf`.
fn file(test: &str, text: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(test);
    if folder.exists() {
        fs::remove_dir_all(&folder).expect("a folder of this test");
    }
    fs::create_dir_all(&folder).expect("a writable folder for tests");
    let path = folder.join("mosquitto.conf");
    fs::write(&path, text).expect("a writable folder for tests");
    path
}

fn read(test: &str, text: &str) -> Import {
    import(&file(test, text))
}

/// The settings of a table, as `key = value`, without where they come from. The first table is called by the empty
/// name, and each `[[listener]]` by its number.
fn settings(import: &Import, table: &str) -> Vec<String> {
    let mut current = String::new();
    let mut listeners = 0;
    let mut found = Vec::new();
    for line in import.toml.lines() {
        if line == "[[listener]]" {
            listeners += 1;
            current = format!("listener {listeners}");
        } else if let Some(section) = line.strip_prefix('[') {
            current = section.trim_end_matches(']').to_owned();
        } else if let Some((setting, _)) = line.split_once("  # ").filter(|_| current == table) {
            found.push(setting.to_owned());
        }
    }
    found
}

/// What a file with this line sets in a table that it does not set without.
fn effect(test: &str, before: &str, line: &str, table: &str) -> Vec<String> {
    let without = settings(&read(test, before), table);
    let with = read(test, &format!("{before}{line}\n"));
    assert_eq!(with.problems, [], "{line}");
    settings(&with, table).into_iter().filter(|setting| !without.contains(setting)).collect()
}

#[test]
fn an_empty_file_means_what_it_means_to_mosquitto() {
    let import = read("empty", "# nothing\n\n");
    assert_eq!(import.problems, []);
    assert_eq!(import.report.entries, []);
    assert_eq!(settings(&import, ""), ["durability = \"memory\""]);
    assert_eq!(settings(&import, "access"), ["anonymous = \"loopback\"", "without_rules = \"everything\""]);
    assert_eq!(
        settings(&import, "limits"),
        [
            "inflight_messages_max = 20",
            "inflight_messages_max_v3 = 20",
            "receive_maximum = 20",
            "queue_messages_max = 1000",
            "packet_bytes_max = 268435460",
            "keep_alive_max = 65535",
        ]
    );
    let listener = ["url = \"tcp://localhost:1883\"", "assigned_client_id_prefix = \"auto-\""];
    assert_eq!(settings(&import, "listener 1"), listener);
    assert_eq!(import.toml.lines().count(), import.origins.len());
}

#[test]
fn options_of_the_broker_become_keys() {
    for (line, table, expected) in [
        ("persistence true", "", &["durability = \"disk\"", "data_dir = \"./mosquitto.db.noctule\""][..]),
        (
            "persistence_location /var/lib/mosquitto/",
            "",
            &["data_dir = \"/var/lib/mosquitto/mosquitto.db.noctule\""],
        ),
        ("persistence_file a.db", "", &["data_dir = \"./a.db.noctule\""]),
        ("persistent_client_expiration 14d", "limits", &["session_expiry_max = \"1209600s\""]),
        ("retain_available false", "mqtt", &["retain_available = false"]),
        ("queue_qos0_messages true", "limits", &["queue_qos0 = true"]),
        ("max_queued_messages 5", "limits", &["queue_messages_max = 5"]),
        ("max_queued_bytes 5000", "limits", &["queue_bytes_max = 5000"]),
        ("max_queued_bytes 5", "limits", &["queue_bytes_max = 1024"]),
        ("max_queued_bytes 0", "limits", &[]),
        ("max_packet_size 100", "limits", &["packet_bytes_max = 100"]),
        ("message_size_limit 10", "limits", &["payload_bytes_max = 10"]),
        ("max_keepalive 30", "limits", &["keep_alive_max = 30"]),
        ("memory_limit 1000000", "limits", &["memory_bytes_max = 1000000"]),
        ("global_max_clients 7", "limits", &["sessions_max = 7"]),
        ("global_max_connections -1", "limits", &["connections_max = 0"]),
        ("max_topic_alias_broker 3", "limits", &["topic_alias_maximum_out = 3"]),
        ("log_dest stdout", "", &["log_to = [\"stdout\"]", "log = \"info\""]),
        ("log_dest file /var/log/a b.log", "", &["log_to = [\"file:/var/log/a b.log\"]", "log = \"info\""]),
        ("log_dest syslog", "", &["log_to = [\"stderr\"]", "log = \"info\""]),
        ("log_dest none", "", &["log = \"off\""]),
        ("log_type error", "", &["log = \"error\""]),
        ("log_type all", "", &["log = \"debug\""]),
        ("connection_messages false", "", &["log = \"info,noctule_broker::ledger=warn\""]),
        ("log_timestamp false", "", &["log_time_format = \"none\""]),
        ("log_timestamp_format %Y %m", "", &["log_time_format = \"%Y %m\""]),
        ("sys_interval 0", "", &["sys_interval = 0"]),
    ] {
        assert_eq!(effect("broker", "", line, table), expected, "{line}");
    }
    let keys = ["inflight_messages_max = 3", "inflight_messages_max_v3 = 3", "receive_maximum = 3"];
    assert_eq!(effect("broker", "", "max_inflight_messages 3", "limits"), keys);
}

#[test]
fn log_options_add_up() {
    let import = read(
        "log",
        "log_dest none\nlog_dest stderr\nlog_dest file a.log\nlog_type none\nlog_type error\nlog_type warning\n\
         connection_messages false\n",
    );
    assert_eq!(import.problems, []);
    let settings = settings(&import, "");
    assert!(settings.contains(&"log_to = [\"stderr\", \"file:a.log\"]".into()), "{settings:?}");
    assert!(settings.contains(&"log = \"warn\"".into()), "{settings:?}");
}

#[test]
fn listeners_are_urls() {
    for (lines, urls) in [
        ("listener 1884", &["tcp://*:1884"][..]),
        ("listener 1884 192.0.2.1", &["tcp://192.0.2.1:1884"]),
        ("listener 1884 ::1", &["tcp://[::1]:1884"]),
        ("listener 1884 broker.lan", &["tcp://broker.lan:1884"]),
        ("listener 0 /run/mosquitto.sock", &["unix:/run/mosquitto.sock"]),
        ("listener 9001\nprotocol websockets", &["ws://*:9001/*"]),
        ("listener 8883\ncertfile a.pem\nkeyfile a.key", &["tls://*:8883"]),
        ("listener 8884\nprotocol websockets\ncertfile a.pem\nkeyfile a.key", &["wss://*:8884/*"]),
        ("listener 1884\nsocket_domain ipv4", &["tcp://0.0.0.0:1884"]),
        ("listener 1884\nsocket_domain ipv6", &["tcp://[::]:1884"]),
        ("listener 1884 localhost\nsocket_domain ipv6", &["tcp://[::1]:1884"]),
        ("port 1884", &["tcp://*:1884"]),
        ("bind_address 127.0.0.1", &["tcp://127.0.0.1:1883"]),
        ("listener 1885\nport 1884\nlistener 1886", &["tcp://*:1884", "tcp://*:1885", "tcp://*:1886"]),
        ("max_qos 1\nlistener 1885", &["tcp://*:1883", "tcp://*:1885"]),
        ("max_topic_alias 1\nlistener 1885", &["tcp://*:1885"]),
        ("listener 1884\nprotocol http_api\nlistener 1885", &["tcp://*:1885"]),
    ] {
        let import = read("urls", lines);
        assert_eq!(import.problems, [], "{lines}");
        let found: Vec<String> = import
            .toml
            .lines()
            .filter_map(|line| line.strip_prefix("url = \"")?.split('"').next().map(str::to_owned))
            .collect();
        assert_eq!(found, urls, "{lines}");
    }
}

#[test]
fn options_of_a_listener_are_about_the_one_above() {
    let two = "listener 1\nlistener 2\n";
    for (line, expected) in [
        ("max_connections 5", "connections_max = 5"),
        ("max_connections -1", "connections_max = 0"),
        ("mount_point a/", "mount_point = \"a/\""),
        ("max_qos 1", "maximum_qos = 1"),
        ("max_topic_alias 4", "topic_alias_maximum = 4"),
        ("accept_protocol_versions 3, 4,5", "versions = [\"3.1\", \"3.1.1\", \"5.0\"]"),
        ("use_username_as_clientid true", "user_name_as_client_id = true"),
        ("listener_allow_anonymous true", "anonymous = \"always\""),
        ("listener_auto_id_prefix x", "assigned_client_id_prefix = \"x\""),
        ("websockets_origin https://a", "origins = [\"https://a\"]"),
        ("tls_version tlsv1.3", "tls_versions = \"1.3\""),
    ] {
        assert_eq!(effect("listener", two, line, "listener 2"), [expected], "{line}");
        assert_eq!(effect("listener", two, line, "listener 1"), [""; 0], "{line}");
    }
    for (line, expected) in [
        ("auto_id_prefix x", "assigned_client_id_prefix = \"x\""),
        ("allow_zero_length_clientid false", "empty_client_id = false"),
    ] {
        for listener in ["listener 1", "listener 2"] {
            assert_eq!(effect("listener", two, line, listener), [expected], "{line}");
        }
    }
    // It is about the ids that mosquitto gives away, too, and those begin with `auto-`.
    let prefixes = effect("listener", two, "clientid_prefixes x-", "listener 2");
    assert_eq!(prefixes, ["client_id_prefix = \"x-\"", "empty_client_id = false"]);
    assert_eq!(effect("listener", two, "clientid_prefixes au", "listener 2"), ["client_id_prefix = \"au\""]);
}

#[test]
fn who_may_come_in_is_said_once_or_by_listener() {
    let all = "listener 1\nlistener 2\n";
    for (line, expected) in [
        ("allow_anonymous true", "anonymous = \"always\""),
        ("password_file p", "mosquitto_password_file = \"p\""),
        ("acl_file a", "mosquitto_acl_file = \"a\""),
    ] {
        assert_eq!(effect("access", all, line, "access"), [expected]);
        assert_eq!(effect("access", all, line, "listener 2"), [""; 0]);
        let each = format!("per_listener_settings true\n{all}");
        assert_eq!(effect("access", &each, line, "access"), [""; 0]);
        assert_eq!(effect("access", &each, line, "listener 2"), [expected]);
        assert_eq!(effect("access", &each, line, "listener 1"), [""; 0]);
    }
    let import = read("access", &format!("per_listener_settings true\n{all}"));
    for listener in ["listener 1", "listener 2"] {
        assert!(settings(&import, listener).contains(&"anonymous = \"never\"".into()));
    }
}

#[test]
fn tls_is_put_together_from_its_options() {
    let import = read(
        "tls",
        "listener 8883\ncafile ca.pem\ncertfile a.pem\nkeyfile a.key\nrequire_certificate true\n\
         use_subject_as_username true\nuse_identity_as_username true\nallow_anonymous true\n",
    );
    assert_eq!(import.problems, []);
    let expected = [
        "url = \"tls://*:8883\"",
        "certificate = [\"a.pem\"]",
        "key = [\"a.key\"]",
        "client_certificates = \"required\"",
        "client_ca = \"ca.pem\"",
        "certificate_name = \"common_name\"",
        "anonymous = \"never\"",
        "assigned_client_id_prefix = \"auto-\"",
    ];
    assert_eq!(settings(&import, "listener 1"), expected);
    let without = read("tls", "listener 8883\ncafile ca.pem\ncertfile a.pem\nkeyfile a.key\n");
    assert!(
        !without.toml.contains("client_ca"),
        "mosquitto asks for no certificate, so there is nothing to check"
    );
    let folder =
        read("tls", "listener 8883\ncapath ca\ncertfile a.pem\nkeyfile a.key\nrequire_certificate true\n");
    assert!(folder.toml.contains("client_ca = \"ca\""));
}

#[test]
fn included_files_begin_at_the_default_listener() {
    let path = file("included", "include_dir DIR/conf.d\nlistener 1\ninclude_dir DIR/conf.d\nmax_qos 0\n");
    let folder = path.parent().expect("a folder");
    fs::create_dir(folder.join("conf.d")).expect("a writable folder for tests");
    fs::write(folder.join("conf.d/b.conf"), "listener 3\nmax_qos 1\n").expect("a writable folder for tests");
    fs::write(folder.join("conf.d/A.conf"), "port 2\ninclude_dir nowhere\n")
        .expect("a writable folder for tests");
    fs::write(folder.join("conf.d/c.txt"), "not read\n").expect("a writable folder for tests");
    let text = fs::read_to_string(&path).expect("a file").replace("DIR", folder.to_str().expect("UTF-8"));
    fs::write(&path, text.replacen("include_dir", "#", 1)).expect("a writable folder for tests");
    let import = import(&path);
    assert_eq!(import.problems, []);
    for (listener, expected) in [
        ("listener 1", &["url = \"tcp://*:2\""][..]),
        ("listener 2", &["url = \"tcp://*:1\"", "maximum_qos = 0"]),
        ("listener 3", &["url = \"tcp://*:3\"", "maximum_qos = 1"]),
    ] {
        let settings = settings(&import, listener);
        assert_eq!(settings[..expected.len()], *expected);
    }
    let places: Vec<String> = import
        .report
        .entries
        .iter()
        .map(|entry| {
            format!("{}:{}", entry.place.file.file_name().unwrap().to_string_lossy(), entry.place.line)
        })
        .collect();
    let expected = [
        "mosquitto.conf:2",
        "mosquitto.conf:3",
        "A.conf:1",
        "A.conf:2",
        "b.conf:1",
        "b.conf:2",
        "mosquitto.conf:4",
    ];
    assert_eq!(places, expected);
}

#[test]
fn mistakes_are_named_with_their_lines() {
    for (line, said) in [
        ("lisener 1883", "mosquitto knows no option \"lisener\""),
        (" # no comment", "mosquitto knows no option \"#\""),
        ("listener", "listener: a value is missing"),
        ("listener x", "listener: found \"x\", allowed is a port from 0 to 65535"),
        ("listener 0", "listener: port 0 is a unix socket, whose path is missing"),
        ("persistence yes", "persistence: found \"yes\", allowed is true or false"),
        ("max_qos 3", "max_qos: found \"3\", allowed is a whole number from 0 to 2"),
        (
            "mount_point a/",
            "mount_point: it stands above the first `listener`, which mosquitto does not take either",
        ),
        ("log_dest file", "log_dest: the path of the file is missing"),
        (
            "log_dest paper",
            "log_dest: found \"paper\", allowed is none, stderr, stdout, syslog, topic or file PATH",
        ),
        ("plugin_opt_x 1", "plugin_opt_x: there is no plugin above it"),
        (
            "plugin mosquitto_dynamic_security.so",
            "plugin: plugin_opt_config_file is missing; mosquitto starts all the same, and lets everybody do \
             everything",
        ),
        ("certfile a.pem", "certfile: keyfile is missing for this listener"),
        ("include_dir nowhere", "nowhere cannot be read: No such file or directory (os error 2)"),
    ] {
        let import = read("mistakes", &format!("# one\n{line}\n"));
        let said_at: Vec<(usize, &str)> =
            import.problems.iter().map(|problem| (problem.place.line, problem.message.as_str())).collect();
        assert_eq!(said_at, [(2, said)], "{line}");
    }
    for option in ["use_identity_as_username", "use_subject_as_username"] {
        let lines = "listener 1\ncertfile a.pem\nkeyfile a.key\ncafile ca.pem\n";
        let import = read("mistakes", &format!("{lines}{option} true\n"));
        let said: Vec<&str> = import.problems.iter().map(|problem| problem.message.as_str()).collect();
        let expected = format!(
            "{option}: require_certificate is missing for this listener, so mosquitto lets nobody in"
        );
        assert_eq!((said, import.problems[0].place.line), (vec![expected.as_str()], 5));
        let off = read("mistakes", &format!("{lines}{option} false\n"));
        assert_eq!(off.problems, []);
    }
    let twice = read("mistakes", "password_file a\nlistener 1\npassword_file b\n");
    assert_eq!(twice.problems.len(), 1);
    let late = read("mistakes", "allow_anonymous true\nper_listener_settings true\n");
    assert_eq!(late.problems.len(), 1);
    let missing = import(Path::new("nowhere/mosquitto.conf"));
    assert!(missing.problems[0].message.starts_with("nowhere/mosquitto.conf cannot be read"));
}

#[test]
fn what_is_refused_says_whether_the_broker_may_start_without_it() {
    for (lines, is_vital) in [
        ("crlfile a.crl", true),
        ("psk_hint a", true),
        ("auth_plugin go-auth.so", true),
        ("listener 1\nenable_proxy_protocol 2", true),
        ("listener 1\nbind_interface eth0", true),
        ("connection cloud", false),
        ("upgrade_outgoing_qos true", false),
        ("log_dest topic", false),
    ] {
        let import = read("refused", lines);
        assert_eq!(import.problems, [], "{lines}");
        let refused: Vec<bool> = import.report.refused().map(|entry| entry.is_vital).collect();
        assert_eq!(refused, [is_vital], "{lines}");
    }
    assert_eq!(read("refused", "upgrade_outgoing_qos false\n").report.entries[0].verdict, Verdict::Kept);
}

#[test]
fn plugins_that_read_files_are_understood() {
    let import = read(
        "plugins",
        "listener 1\nplugin /usr/lib/mosquitto_password_file.so\nplugin_opt_password_file p\n\
         global_plugin /usr/lib/mosquitto_acl_file.so\nplugin_opt_acl_file a\n",
    );
    assert_eq!(import.report.refused().count(), 0);
    let access = settings(&import, "access");
    assert_eq!(access[..2], ["mosquitto_password_file = \"p\"", "mosquitto_acl_file = \"a\""]);
    let import = read(
        "plugins",
        "per_listener_settings true\nlistener 1\nlistener 2\nplugin /usr/lib/mosquitto_dynamic_security.so\n\
         plugin_opt_config_file ds.json\n",
    );
    assert_eq!((import.report.refused().count(), import.problems.len()), (0, 0));
    let with_it =
        import.toml.split("[[listener]]").map(|table| table.contains("security_file = \"ds.json\""));
    assert_eq!(with_it.collect::<Vec<_>>(), [false, false, true]);
}

#[test]
fn secrets_do_not_stand_in_the_report() {
    let import =
        read("secrets", "connection c\nremote_password hunter2\nbridge_psk hunter2\nauth_opt_x hunter2\n");
    let shown = format!("{}{:?}", import.report, import.problems);
    assert!(!shown.contains("hunter2"), "{shown}");
    assert!(shown.contains("remote_password …"), "{shown}");
}

#[test]
fn a_report_is_for_reading() {
    let import = read("report", "listener 1883\nuser mosquitto\nconnection cloud\nmax_qos 1\n");
    let report = import.report.to_string();
    let lines: Vec<&str> = report.lines().collect();
    assert!(lines[0].ends_with("mosquitto.conf:1: listener 1883"), "{report}");
    assert_eq!(lines[1], "    translated: a table [[listener]] with listener.url");
    assert!(lines[3].starts_with("    no longer needed: "), "{report}");
    assert_eq!(lines[5], "    refused: connections to other brokers are not there yet");
    assert_eq!(lines[7], "    kept: listener.maximum_qos = 1");
    assert_eq!(lines[8], "4 lines: 1 kept, 1 translated, 1 no longer needed, 1 refused");
}

#[test]
fn the_page_names_every_option() {
    let page = options_page();
    for option in OPTIONS {
        assert!(page.contains(&format!("| `{}` |", option.name)), "{}", option.name);
    }
    assert!(KnownOption::by_name("listener").is_some_and(KnownOption::is_honoured));
    assert!(KnownOption::by_name("crlfile").is_some_and(|option| !option.is_honoured()));
}

#[test]
fn the_documentation_has_the_table() {
    let page = include_str!("../../../../docs/mosquitto.md");
    let (_, table) = page.split_once("## All options\n").expect("the page has the table");
    assert!(
        table.trim() == options_page().trim(),
        "the table of docs/mosquitto.md has to be:\n{}",
        options_page()
    );
}
