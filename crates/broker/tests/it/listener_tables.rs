//! `[[listener]]`: what tables say, and what is said about mistakes in them.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use noctule_broker::config::{
    AnonymousClients, Argument, CertificateField, Key, ListenerConfig, Loaded, Problems, Sources, check_file,
    load, show,
};
use rcgen::{CertificateParams, KeyPair, date_time_ymd};

/// A folder of its own for one test.
fn folder(test: &str) -> PathBuf {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(test);
    let _ = fs::remove_dir_all(&path);
    fs::create_dir_all(&path).expect("a writable folder for tests");
    path
}

fn from_file(test: &str, text: &str) -> Result<Loaded, Problems> {
    let path = folder(test).join("noctule.toml");
    fs::write(&path, text).expect("a writable folder for tests");
    load(&Sources { file: Some(path), ..Sources::default() })
}

/// What is said about a text, without the name of the file.
fn said(test: &str, text: &str) -> Vec<String> {
    lines(&from_file(test, text).expect_err("mistakes"), &folder(test))
}

fn lines(problems: &Problems, folder: &Path) -> Vec<String> {
    let folder = format!("{}/", folder.display());
    problems.to_string().lines().map(|line| line.replace(&folder, "").replace("noctule.toml:", "")).collect()
}

const TABLES: &str = r#"
[tls]
certificate = ["all.pem"]
key = ["all.key"]

[limits]
packet_bytes_max = "1MiB"

[[listener]]
url = "tls://0.0.0.0:8883"

[[listener]]
url = "wss://127.0.0.1:8084/chat"
name = "web"
anonymous = "always"
users = ["web.users"]
certificate = ["web.pem"]
key = ["web.key"]
client_certificates = "optional"
client_ca = "ca.pem"
certificate_name = "common_name"
tls_versions = "1.3"
origins = ["https://panel.example"]
mount_point = "web/"
connections_max = 10
messages_per_second_max = 100
versions = ["3.1.1", "5.0"]
client_id_prefix = "web-"
user_name_as_client_id = true
assigned_client_id_prefix = "web-auto-"
empty_client_id = false
maximum_qos = 1
retain_available = false
topic_alias_maximum = 0
packet_bytes_max = 4096
inflight_messages_max_v3 = 1
keep_alive_max = "60s"
"#;

#[test]
fn a_table_says_what_differs_and_takes_the_rest_from_the_configuration() {
    let config = from_file("tables", TABLES).expect("a good file").config;
    assert!(config.listen.is_empty(), "nobody asked for the default");
    let listeners: Vec<_> = config.listeners().collect();
    let [plain, web] = listeners.as_slice() else { panic!("{} listeners", listeners.len()) };

    assert_eq!(
        (plain.url().to_string(), plain.name()),
        ("tls://0.0.0.0:8883".into(), plain.url().to_string())
    );
    assert_eq!(
        (plain.tls.certificate.as_slice(), plain.limits.packet_bytes_max),
        (&["all.pem".into()][..], 1 << 20)
    );
    assert_eq!((plain.anonymous, plain.certificate_name, plain.connections_max), (None, None, None));
    assert!(plain.empty_client_id);

    assert_eq!((web.name().as_str(), web.mount_point.as_str()), ("web", "web/"));
    assert_eq!(web.anonymous, Some(AnonymousClients::Always));
    assert_eq!(web.certificate_name, Some(CertificateField::CommonName));
    assert_eq!(
        (web.access.users.as_slice(), web.tls.key.as_slice()),
        (&["web.users".into()][..], &["web.key".into()][..])
    );
    assert_eq!((web.connections_max, web.rates.messages_per_second_max), (Some(10), 100));
    assert_eq!((web.versions.v3_1, web.versions.v3_1_1, web.versions.v5), (false, true, true));
    let limits = &web.limits;
    assert_eq!(
        (limits.maximum_qos as u8, limits.retain_available, limits.packet_bytes_max),
        (1, false, 4096)
    );
    assert_eq!((limits.inflight_messages_max_v3, limits.keep_alive_seconds_max), (1, 60));
    assert!(web.user_name_as_client_id && !web.empty_client_id);
}

#[test]
fn what_is_shown_has_the_tables_and_is_a_file_of_the_same_meaning() {
    let loaded = from_file("shown_tables", TABLES).expect("a good file");
    let shown = show(&loaded);
    assert!(shown.contains("\n[[listener]]\nurl = \"tls://0.0.0.0:8883\" "), "{shown}");
    assert!(shown.contains("\nversions = [\"3.1.1\", \"5.0\"] "), "{shown}");
    let again = from_file("shown_again", &shown).expect("what is shown is a good file");
    assert_eq!(again.config, loaded.config);
}

#[test]
fn listeners_of_a_mosquitto_conf_are_tables_and_come_from_its_lines() {
    let path = folder("tables_of_mosquitto").join("mosquitto.conf");
    let text = "listener 1884 127.0.0.1\nallow_anonymous true\nlistener 8083 127.0.0.1\nprotocol websockets\n\
                mount_point hall/\nmax_connections 10\n";
    fs::write(&path, text).expect("a writable folder for tests");
    let loaded = load(&Sources { mosquitto: Some(path.clone()), ..Sources::default() }).expect("good lines");
    let listeners: Vec<_> = loaded.config.listeners().collect();
    assert_eq!(
        listeners.iter().map(ListenerConfig::name).collect::<Vec<_>>(),
        ["tcp://127.0.0.1:1884", "ws://127.0.0.1:8083/*"]
    );
    assert_eq!((listeners[1].mount_point.as_str(), listeners[1].connections_max), ("hall/", Some(10)));
    let shown = show(&loaded);
    let came = |setting: &str| shown.lines().find(|line| line.starts_with(setting)).unwrap_or_default();
    for (setting, line) in [("url = \"ws:", 3), ("mount_point", 5), ("connections_max = 10", 6)] {
        assert!(came(setting).ends_with(&format!("{}:{line}", path.display())), "{shown}");
    }
}

#[test]
fn listeners_of_the_command_line_stand_beside_tables() {
    let path = folder("beside").join("noctule.toml");
    fs::write(&path, "[[listener]]\nurl = \"tcp://127.0.0.1:1\"\n").expect("a writable folder for tests");
    let listen = Key::by_name("listen").expect("a key");
    let command_line = vec![Argument::Flag(listen, vec!["tcp://127.0.0.1:2".into()])];
    let loaded =
        load(&Sources { file: Some(path), command_line, ..Sources::default() }).expect("good sources");
    let urls: Vec<String> = loaded.config.listeners().map(|listener| listener.url().to_string()).collect();
    assert_eq!(urls, ["tcp://127.0.0.1:2", "tcp://127.0.0.1:1"]);
}

#[test]
fn mistakes_in_tables_name_line_column_and_what_is_allowed() {
    for (test, text, expected) in [
        (
            "no_url",
            "\n[[listener]]\nname = \"a\"",
            "2:1: a listener needs a URL; write for example url = \"tls://0.0.0.0:8883\"",
        ),
        (
            "typo",
            "[[listener]]\nurl = \"tcp://[::1]:1\"\nmountpoint = \"a/\"",
            "3:1: there is no key listener.mountpoint; did you mean listener.mount_point?",
        ),
        (
            "foreign_key",
            "[[listener]]\nurl = \"tcp://[::1]:1\"\nbackground = \"a/\"",
            "3:1: there is no key listener.background; docs/configuration.md lists those of [[listener]]",
        ),
        (
            "one_table",
            "[listener]\nurl = \"tcp://[::1]:1\"",
            "1:1: listener: found a table, allowed are tables that begin with [[listener]]",
        ),
        (
            "bad_url",
            "[[listener]]\nurl = \"mqtts://[::1]:1\"",
            "2:7: listener.url: \"mqtts://[::1]:1\": unknown scheme \"mqtts\"; known are tcp, tls, ws, wss and \
             unix, as in tcp://localhost:1883",
        ),
        (
            "wildcard",
            "[[listener]]\nurl = \"tcp://[::1]:1\"\nmount_point = \"a/#/\"",
            "3:15: listener.mount_point: found \"a/#/\", allowed is the start of a topic: no wildcard, at most \
             1024 bytes",
        ),
        (
            "version",
            "[[listener]]\nurl = \"tcp://[::1]:1\"\nversions = [\"3.1.1\", \"4\"]",
            "3:22: listener.versions: \"4\": not a version of MQTT such as \"3.1.1\"",
        ),
        (
            "word",
            "[[listener]]\nurl = \"tcp://[::1]:1\"\nanonymous = \"yes\"",
            "3:13: listener.anonymous: found \"yes\", allowed is \"never\", \"loopback\" or \"always\"",
        ),
        (
            "twice",
            "listen = [\"tcp://[::1]:1\"]\n[[listener]]\nurl = \"tcp://[::1]:1\"",
            "3:7: listener.url: \"tcp://[::1]:1\": it is there twice",
        ),
        (
            "name_twice",
            "[[listener]]\nurl = \"tcp://[::1]:1\"\nname = \"a\"\n[[listener]]\nurl = \"tcp://[::1]:2\"\nname = \"a\"",
            "6:8: listener.name: \"a\": another listener has this name",
        ),
        (
            "several",
            "[[listener]]\nurl = 7\nmaximum_qos = 3\n[[listener]]\n",
            "2:7: listener.url: 7: not a URL such as \"tcp://localhost:1883\"|3:15: listener.maximum_qos: found 3, \
             allowed is a whole number from 0 to 2|4:1: a listener needs a URL; write for example url = \
             \"tls://0.0.0.0:8883\"",
        ),
    ] {
        assert_eq!(said(&format!("table_{test}"), text).join("|"), expected, "{test}");
    }
}

/// Certificates of a test: one that is good, and those that are not.
fn certify(folder: &Path) {
    let key = KeyPair::generate().expect("a key");
    let write = |name: &str, text: &str| fs::write(folder.join(name), text).expect("a writable folder");
    let sign = |years: [i32; 2]| {
        let mut params = CertificateParams::new(vec!["broker.lan".to_owned()]).expect("a name");
        params.not_before = date_time_ymd(years[0], 1, 1);
        params.not_after = date_time_ymd(years[1], 1, 1);
        params.self_signed(&key).expect("a certificate").pem()
    };
    write("good.pem", &sign([2020, 2080]));
    write("old.pem", &sign([2001, 2002]));
    write("new.pem", &sign([2070, 2080]));
    write("good.key", &key.serialize_pem());
    write("other.key", &KeyPair::generate().expect("a key").serialize_pem());
    write("empty.pem", "");
}

#[test]
fn a_check_reads_certificates_and_keys_and_names_file_reason_and_validity() {
    let folder = folder("checked_certificates");
    certify(&folder);
    let path = |name: &str| folder.join(name).display().to_string();
    let pair = |certificate: &str, key: &str| {
        format!("certificate = [{:?}]\nkey = [{:?}]\n", path(certificate), path(key))
    };
    let check = |text: &str| {
        let file = folder.join("noctule.toml");
        fs::write(&file, text).expect("a writable folder for tests");
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_780_000_000);
        check_file(&file, now).err().map(|problems| lines(&problems, &folder)).unwrap_or_default()
    };
    let table = |rest: &str| format!("[[listener]]\nurl = \"tls://127.0.0.1:8883\"\n{rest}");

    assert_eq!(check(&table(&pair("good.pem", "good.key"))), [""; 0]);
    for (text, place, parts) in [
        (table(""), "2:7: listener.url: ", vec!["tls://127.0.0.1:8883 needs a certificate"]),
        (
            table(&pair("old.pem", "good.key")),
            "3:16: listener.certificate: ",
            vec!["old.pem: the certificate has expired", "2001", "2002"],
        ),
        (
            table(&pair("new.pem", "good.key")),
            "3:16: listener.certificate: ",
            vec!["new.pem: the certificate is not valid yet", "2070", "2080"],
        ),
        (
            table(&pair("good.pem", "other.key")),
            "4:8: listener.key: ",
            vec!["other.key: the private key does not belong to the certificate in", "good.pem"],
        ),
        (
            table(&pair("absent.pem", "good.key")),
            "3:16: listener.certificate: ",
            vec!["absent.pem: cannot be read"],
        ),
        (
            table(&format!("certificate = [{:?}]", path("good.pem"))),
            "3:15: listener.certificate: ",
            vec!["names 1 files and tls.key 0"],
        ),
        (
            table(&format!("client_certificates = \"required\"\n{}", pair("good.pem", "good.key"))),
            "3:23: listener.client_certificates: ",
            vec!["name its file in tls.client_ca"],
        ),
        (
            table(&format!(
                "client_certificates = \"required\"\nclient_ca = {:?}\n{}",
                path("empty.pem"),
                pair("good.pem", "good.key")
            )),
            "4:13: listener.client_ca: ",
            vec!["empty.pem: holds no certificate"],
        ),
        (
            format!("listen = [\"tls://127.0.0.1:8883\"]\n[tls]\n{}", pair("old.pem", "good.key")),
            "3:16: tls.certificate: ",
            vec!["old.pem: the certificate has expired"],
        ),
        (
            "listen = [\"tcp://127.0.0.1:1883\", \"tls://127.0.0.1:8883\"]\n".into(),
            "1:35: listen: ",
            vec!["tls://127.0.0.1:8883 needs a certificate"],
        ),
    ] {
        let lines = check(&text);
        assert_eq!(lines.len(), 1, "{lines:?}");
        assert!(lines[0].starts_with(place), "{:?} should begin {place:?}", lines[0]);
        for part in parts {
            assert!(lines[0].contains(part), "{:?} should say {part:?}", lines[0]);
        }
    }
}
