//! `noctule import mosquitto` and what `noctule serve --mosquitto` says about lines that it does not take.

use std::fs;
use std::path::PathBuf;

use noctule_codec::QoS::AtLeastOnce;
use serde_json::Value;

use super::brokers::{Kind, PATIENCE, Subject, until};
use super::client::{Client, Hello};
use crate::support::{folder, noctule, outcome};

fn with(test: &str, conf: &str) -> PathBuf {
    let folder = folder(&format!("importing_{test}"));
    fs::write(folder.join("mosquitto.conf"), conf).expect("a writable folder for tests");
    folder
}

const HOME: &str = "# At home\nlistener 1883\nallow_anonymous true\npersistence true\nuser mosquitto\n\
                    log_type all\nmax_queued_messages 100\nlistener 9001\nprotocol websockets\n";

#[test]
fn what_is_written_is_a_configuration() {
    let folder = with("home", HOME);
    let arguments =
        ["import", "mosquitto", "mosquitto.conf", "--output", "noctule.toml", "--report", "report.txt"];
    assert_eq!(outcome(&mut noctule(&folder, &arguments)), (0, String::new(), String::new()));
    let report = fs::read_to_string(folder.join("report.txt")).expect("a report");
    assert!(report.ends_with("8 lines: 1 kept, 6 translated, 1 no longer needed, 0 refused\n"), "{report}");
    let check = outcome(&mut noctule(&folder, &["config", "check", "noctule.toml"]));
    assert_eq!(check, (0, String::new(), String::new()));
    let (_, toml, report_again) = outcome(&mut noctule(&folder, &["import", "mosquitto", "mosquitto.conf"]));
    assert_eq!(toml, fs::read_to_string(folder.join("noctule.toml")).expect("a configuration"));
    assert_eq!(report_again, report);
}

#[test]
fn the_same_configuration_is_read_both_ways() {
    let folder = with("both_ways", HOME);
    outcome(&mut noctule(&folder, &["import", "mosquitto", "mosquitto.conf", "--output", "noctule.toml"]));
    let values = |arguments: &[&str]| {
        let (code, stdout, stderr) = outcome(&mut noctule(&folder, arguments));
        assert_eq!((code, stderr.as_str()), (0, ""));
        let lines =
            stdout.lines().map(|line| line.split("  # ").next().unwrap_or_default().trim_end().to_owned());
        lines.collect::<Vec<_>>()
    };
    let ours = values(&["config", "show", "--config", "noctule.toml"]);
    assert_eq!(values(&["config", "show", "--mosquitto", "mosquitto.conf"]), ours);
    let (_, shown, _) = outcome(&mut noctule(&folder, &["config", "show", "--mosquitto", "mosquitto.conf"]));
    let line = |key: &str| shown.lines().find(|line| line.starts_with(key)).unwrap_or_default().to_owned();
    assert!(line("queue_messages_max = 100").ends_with("# mosquitto.conf:7"), "{shown}");
    assert!(line("receive_maximum = 20").ends_with("# mosquitto.conf (by default)"), "{shown}");
}

#[test]
fn a_report_for_programs_is_one_object() {
    let folder = with("json", "listener 1883\nconnection cloud\nremote_password hunter2\n");
    let (code, _, stderr) =
        outcome(&mut noctule(&folder, &["import", "mosquitto", "mosquitto.conf", "-o", "json"]));
    assert_eq!(code, 0);
    let report: Value = serde_json::from_str(&stderr).expect("JSON");
    assert_eq!(report["summary"], "3 lines: 0 kept, 1 translated, 0 no longer needed, 2 refused");
    let line = &report["lines"][2];
    assert_eq!((&line["line"], &line["verdict"]), (&3.into(), &"refused".into()));
    assert_eq!((&line["text"], &line["stops_the_broker"]), (&"remote_password …".into(), &false.into()));
}

#[test]
fn mistakes_name_the_line_of_mosquitto() {
    let folder = with("mistakes", "listener 1883\nmax_packet_size 1\nmax_qos 5\nno_such_option\n");
    let (code, stdout, stderr) = outcome(&mut noctule(&folder, &["import", "mosquitto", "mosquitto.conf"]));
    assert_eq!((code, stdout.as_str()), (1, ""));
    assert_eq!(
        stderr,
        "mosquitto.conf:3: max_qos: found \"5\", allowed is a whole number from 0 to 2\n\
         mosquitto.conf:4: mosquitto knows no option \"no_such_option\"\n"
    );
    let (code, _, stderr) = outcome(&mut noctule(&folder, &["serve", "--mosquitto", "mosquitto.conf"]));
    assert_eq!(code, 2);
    let places: Vec<&str> =
        stderr.lines().filter_map(|line| line.split_once(": ").map(|(place, _)| place)).collect();
    assert_eq!(places, ["mosquitto.conf:2:1", "mosquitto.conf:3:1", "mosquitto.conf:4:1"], "{stderr}");
}

/// Without the line the broker would let in whom it kept out: it does not start.
#[test]
fn what_kept_somebody_out_stops_the_start() {
    for line in ["crlfile revoked.pem", "plugin auth.so", "psk_file keys", "enable_proxy_protocol 2"] {
        let folder = with("vital", &format!("listener 1883 127.0.0.1\n{line}\n"));
        let (code, _, stderr) = outcome(&mut noctule(&folder, &["serve", "--mosquitto", "mosquitto.conf"]));
        assert_eq!(code, 2, "{line}");
        assert!(stderr.starts_with(&format!("mosquitto.conf:2:1: {line:?} is refused: ")), "{stderr}");
        let (code, toml, _) = outcome(&mut noctule(&folder, &["import", "mosquitto", "mosquitto.conf"]));
        assert!(code == 1 && toml.contains("[[listener]]"), "{line}");
    }
}

#[test]
fn a_reload_reads_all_of_it_anew_and_says_what_needs_a_restart_or_is_refused() {
    let conf = "listener {PORT} 127.0.0.1\nallow_anonymous true\nacl_file rights\n";
    let rights = vec![("rights", "topic read a/#\n".to_owned())];
    let at = Subject::start(Kind::Noctule, "reload", conf, &rights);
    let write = |name: &str, text: &str| fs::write(at.folder.join(name), text).expect("a writable folder");
    let own = conf.replace("{PORT}", &at.ports[0].to_string());
    let reload = |line: &str, said: &str| {
        write("mosquitto.conf", &format!("{own}{line}"));
        at.hang_up();
        assert!(until(PATIENCE, || at.stderr().contains(said)), "{said:?} is missing in {}", at.stderr());
    };
    let mut client = Client::connected(&at, Hello::new("a").v5());
    let mut publishes = || client.publish("a/b", "", AtLeastOnce, false);
    assert_eq!(publishes(), "refused 0x87");
    write("rights", "topic readwrite a/#\n");
    let needs_a_restart = "need a restart; the rest is in force keys=\"log_to, log_time_format\"";
    reload("log_dest file broker.log\nlog_timestamp_format %H\n", needs_a_restart);
    assert!(until(PATIENCE, || publishes() == "acknowledged"), "the rest is in force");
    write("rights", "topic read a/#\n");
    reload(
        "crlfile revoked.pem\n",
        "the old one stays: mosquitto.conf:4:1: \"crlfile revoked.pem\" is refused",
    );
    assert_eq!(publishes(), "acknowledged", "nothing has changed");
}

#[test]
fn a_check_sees_what_a_start_would_see() {
    let folder = with("check", "listener 1883 127.0.0.1\nallow_anonymous true\nacl_file rights\n");
    let check = || outcome(&mut noctule(&folder, &["config", "check", "--mosquitto", "mosquitto.conf"]));
    let write = |name: &str, text: &str| fs::write(folder.join(name), text).expect("a writable folder");
    write("rights", "topic read a/#\n");
    assert_eq!(check(), (0, String::new(), String::new()));
    write("rights", "topic fly a/#\n");
    assert_eq!((check().0, check().2.starts_with("rights:1:7: \"fly\" is no kind of access")), (1, true));
    let tls = "listener 8883 127.0.0.1\nallow_anonymous true\ncertfile nowhere.pem\nkeyfile nowhere.key\n";
    for (conf, said) in [
        (tls, "mosquitto.conf:3:1: listener.certificate: nowhere.pem: cannot be read"),
        ("listener 1883\nmax_qos 5\n", "mosquitto.conf:2:1: max_qos: found \"5\""),
        ("listener 1883\ncrlfile x.pem\n", "mosquitto.conf:2:1: \"crlfile x.pem\" is refused"),
    ] {
        write("mosquitto.conf", conf);
        let (code, _, stderr) = check();
        assert!(code == 1 && stderr.starts_with(said), "{said:?}: {stderr}");
    }
}

#[test]
fn only_one_configuration_is_read() {
    let folder = with("conflict", HOME);
    let arguments = ["--mosquitto", "mosquitto.conf", "--config", "noctule.toml"];
    assert_eq!(outcome(&mut noctule(&folder, &arguments)).0, 2);
}
