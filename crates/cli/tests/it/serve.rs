//! `noctule serve`: the ready line, logs, and starts that fail.

use std::fs;
use std::net::TcpListener;
use std::path::Path;
use std::process::Command;

use crate::support::{Broker, folder, noctule, outcome};

fn serve(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = noctule(folder, arguments);
    command.args(["--listen", "tcp://127.0.0.1:0"]);
    command
}

#[test]
fn a_data_directory_that_is_a_file_is_named() {
    let folder = folder("data_file");
    fs::write(folder.join("taken"), "").expect("a writable folder");
    let (code, stdout, stderr) = outcome(&mut noctule(&folder, &["--log", "off", "--data-dir", "taken"]));
    assert_eq!((code, stdout.as_str()), (1, ""));
    assert!(stderr.contains("the data directory taken is not a directory"), "{stderr}");
}

#[test]
fn what_keeps_nothing_goes_on_without_a_data_directory() {
    let folder = folder("no_data_dir");
    fs::write(folder.join("taken"), "").expect("a writable folder");
    let arguments = ["--data-dir", "taken", "--durability", "memory"];
    let mut broker = Broker::start(&mut serve(&folder, &arguments));
    assert!(broker.ready().contains(" ready: "));
}

#[test]
fn the_ready_line_is_all_there_is_on_standard_output() {
    let folder = folder("ready");
    for arguments in [&[][..], &["serve"]] {
        let mut broker = Broker::start(&mut serve(&folder, arguments));
        let line = broker.ready();
        let start = format!("noctule {} ready: mqtt tcp://127.0.0.1:", env!("CARGO_PKG_VERSION"));
        let port = line.strip_prefix(&start).unwrap_or_else(|| panic!("{line}"));
        assert!(port.parse::<u16>().is_ok_and(|port| port != 0), "{line}");
        assert_eq!(broker.end().0, "");
    }
}

#[test]
fn a_taken_port_is_one_line_and_exit_code_1() {
    let folder = folder("taken");
    let other = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = other.local_addr().expect("an address");
    let url = format!("tcp://{address}");
    let (code, stdout, stderr) = outcome(&mut noctule(&folder, &["--log", "off", "--listen", &url]));
    let expected = format!(
        "noctule: {address} is already in use; stop the program that listens there or choose another port\n"
    );
    assert_eq!((code, stdout.as_str(), stderr), (1, "", expected));
}

#[test]
fn a_wrong_configuration_is_exit_code_2() {
    let folder = folder("wrong_configuration");
    let arguments = ["--http", "127.0.0.1:18083", "--shards", "257", "--set", "limits.receive_maximum=0"];
    let expected = "--http: found \"127.0.0.1:18083\", allowed is \"off\" (the HTTP API is not there yet)\n\
                    --shards: found \"257\", allowed is a whole number from 0 to 256\n\
                    --set limits.receive_maximum: found \"0\", allowed is a whole number from 1 to 65535\n";
    assert_eq!(outcome(&mut serve(&folder, &arguments)), (2, String::new(), expected.into()));
}

#[test]
fn warnings_are_logged_and_stop_nothing() {
    let folder = folder("warnings");
    fs::write(folder.join("noctule.toml"), "not read").unwrap();
    let mut broker = Broker::start(serve(&folder, &[]).env("NOCTULE_PORT", "1"));
    broker.ready();
    let (_, log) = broker.end();
    assert!(log.contains(" WARN noctule::serve: NOCTULE_PORT is no setting and has no effect\n"), "{log}");
    assert!(log.contains("start with --config noctule.toml to use it\n"), "{log}");
    assert!(!log.contains('\u{1b}'), "colours outside a terminal: {log}");
}

#[test]
fn logs_are_json_on_request() {
    let folder = folder("json");
    let mut command = serve(&folder, &["--log-format", "json"]);
    let mut broker = Broker::start(command.env("NOCTULE_PORT", "1"));
    broker.ready();
    let (_, log) = broker.end();
    let line = log.lines().next().expect("a line");
    let entry: serde_json::Value = serde_json::from_str(line).expect("JSON");
    assert_eq!(entry["level"], "WARN");
    assert_eq!(entry["message"], "NOCTULE_PORT is no setting and has no effect");
}

#[test]
fn the_log_filter_holds() {
    let folder = folder("filter");
    let mut command = serve(&folder, &["--log", "trace,noctule=error"]);
    let mut broker = Broker::start(command.env("NOCTULE_PORT", "1"));
    broker.ready();
    let (_, log) = broker.end();
    assert!(!log.contains("NOCTULE_PORT"), "{log}");
}

#[test]
fn log_lines_go_where_they_are_wanted_and_look_so() {
    let folder = folder("log_to");
    let places = "log_to=stderr,file:broker.log";
    let arguments = ["--set", places, "--set", "log_time_format=[%Y-%m-%d]", "--set", "log=info"];
    let mut broker = Broker::start(&mut serve(&folder, &arguments));
    broker.ready();
    let (_, stderr) = broker.end();
    let file = fs::read_to_string(folder.join("broker.log")).expect("a log");
    assert_eq!(stderr, file);
    let first = file.lines().next().expect("a line");
    let (date, rest) = first.split_once(']').expect("a date");
    assert!(date.len() == "[2020-01-01".len() && date.starts_with("[20"), "{first}");
    assert!(rest.trim_start().starts_with("INFO "), "{first}");
}

#[test]
fn the_time_of_a_log_line_may_be_left_out() {
    let folder = folder("log_without_time");
    let arguments = ["--set", "log_to=stdout", "--set", "log_time_format=none"];
    let mut broker = Broker::start(&mut serve(&folder, &arguments));
    let first = broker.line();
    assert!(first.trim_start().starts_with("INFO noctule_broker"), "{first}");
    assert_eq!(broker.end().1, "");
}

#[test]
fn a_log_is_opened_anew_when_it_has_been_moved_away() {
    let folder = folder("log_moved");
    let mut broker = Broker::start(&mut serve(&folder, &["--set", "log_to=file:broker.log"]));
    broker.ready();
    fs::rename(folder.join("broker.log"), folder.join("broker.log.1")).expect("a log");
    let process = rustix::process::Pid::from_child(&broker.child);
    rustix::process::kill_process(process, rustix::process::Signal::HUP).expect("a running broker");
    broker.end();
    let anew = fs::read_to_string(folder.join("broker.log")).expect("a log");
    assert!(anew.contains("stopped"), "{anew}");
}

#[test]
fn a_log_that_cannot_be_written_is_named() {
    let folder = folder("log_nowhere");
    let (code, stdout, stderr) = outcome(&mut serve(&folder, &["--set", "log_to=file:nowhere/broker.log"]));
    assert_eq!((code, stdout.as_str()), (2, ""));
    assert!(stderr.starts_with("noctule: the log cannot be written to nowhere/broker.log: "), "{stderr}");
}
