//! `noctule tls init`: from nothing to a listener with TLS that a client trusts.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;

use crate::support::{Broker, folder, noctule, outcome};

/// The lines of what was printed that begin with four blanks: what is to be copied.
fn copied(printed: &str) -> Vec<&str> {
    printed.lines().filter_map(|line| line.strip_prefix("    ")).collect()
}

fn files(folder: &Path) -> Vec<(String, u32)> {
    let entries = fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry"));
    let mut files: Vec<_> = entries
        .map(|entry| {
            let mode = entry.metadata().expect("a file").permissions().mode() & 0o777;
            (entry.file_name().into_string().expect("UTF-8"), mode)
        })
        .collect();
    files.sort();
    files
}

#[test]
fn what_it_prints_makes_a_broker_and_a_client_that_trust_each_other() {
    let folder = folder("tls_init");
    let arguments = ["tls", "init", "--name", "localhost", "--name", "127.0.0.1", "--days", "30"];
    let (code, printed, stderr) = outcome(&mut noctule(&folder, &arguments));
    assert_eq!((code, stderr.as_str()), (0, ""));
    let expected = [("ca.key", 0o600), ("ca.pem", 0o644), ("server.key", 0o600), ("server.pem", 0o644)];
    assert_eq!(files(&folder.join("tls")), expected.map(|(name, mode)| (name.to_owned(), mode)));

    let lines = copied(&printed);
    let (command, table) = lines.split_last().expect("lines to be copied");
    let table = table.join("\n").replace("0.0.0.0:8883", "127.0.0.1:0");
    fs::write(folder.join("noctule.toml"), &table).expect("a writable folder for tests");
    assert_eq!(outcome(&mut noctule(&folder, &["config", "check", "noctule.toml"])).0, 0, "{table}");
    let mut broker = Broker::start(&mut noctule(&folder, &["--config", "noctule.toml", "--log", "warn"]));
    let ready = broker.ready();
    let (_, port) = ready.rsplit_once("tls://127.0.0.1:").unwrap_or_else(|| panic!("{ready}"));

    let command = command.replace("8883", port);
    let mut words = command.split(' ');
    assert_eq!(words.next(), Some("mosquitto_sub"));
    let words: Vec<&str> = words.collect();
    let tool = |name: &str, more: &[&str]| {
        let output = Command::new(name).current_dir(&folder).args(&words).args(more).output();
        output.expect("mosquitto's clients have to be installed (Debian package mosquitto-clients)")
    };
    let said = tool("mosquitto_pub", &["-r", "-m", "hello"]);
    assert!(said.status.success(), "{}", String::from_utf8_lossy(&said.stderr));
    let heard = tool("mosquitto_sub", &["-C", "1", "-W", "20"]);
    assert_eq!(heard.stdout.trim_ascii(), b"hello", "{}", String::from_utf8_lossy(&heard.stderr));
}

#[test]
fn openssl_finds_nothing_wrong_with_it() {
    let folder = folder("tls_init_openssl");
    let (code, _, stderr) = outcome(&mut noctule(&folder, &["tls", "init", "--dir", "."]));
    assert_eq!(code, 0, "{stderr}");
    let openssl = |arguments: &[&str]| {
        let output = Command::new("openssl").current_dir(&folder).args(arguments).output();
        let output = output.expect("openssl has to be installed (Debian package openssl)");
        let text = [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
        assert!(output.status.success(), "{text:?}");
        text.concat()
    };
    openssl(&["verify", "-x509_strict", "-purpose", "sslserver", "-CAfile", "ca.pem", "server.pem"]);
    for name in ["localhost", "127.0.0.1"] {
        let which = if name == "localhost" { "-verify_hostname" } else { "-verify_ip" };
        openssl(&["verify", "-CAfile", "ca.pem", which, name, "server.pem"]);
    }
    let dates = openssl(&["x509", "-noout", "-in", "server.pem", "-checkend", &(700 * 86_400).to_string()]);
    assert!(dates.contains("will not expire"), "{dates}");
}

#[test]
fn nothing_is_overwritten_unless_that_is_asked_for() {
    let folder = folder("tls_init_twice");
    let init = |more: &[&str]| outcome(&mut noctule(&folder, &[&["tls", "init"], more].concat()));
    let read = || fs::read(folder.join("tls/server.key")).expect("a key");
    assert_eq!(init(&[]).0, 0);
    let first = read();
    fs::remove_file(folder.join("tls/ca.pem")).expect("a file");
    let (code, stdout, stderr) = init(&[]);
    assert_eq!((code, stdout.as_str()), (1, ""));
    let expected = "noctule: tls/ca.key is there already; choose another folder with --dir, or replace it with \
                    --force\n";
    assert_eq!(stderr, expected);
    assert!(!folder.join("tls/ca.pem").exists(), "all or nothing");
    assert_eq!(read(), first);
    assert_eq!(init(&["--force"]).0, 0);
    assert_ne!(read(), first);
    assert_eq!(files(&folder.join("tls")).len(), 4, "nothing is left beside");
}

#[test]
fn what_cannot_be_asked_for_is_refused() {
    let folder = folder("tls_init_refused");
    for (arguments, said) in [
        (["--name", "a b"], "noctule: --name a b: it is neither a host name nor an address\n"),
        (["--days", "0"], "noctule: --days 0: it is a number from 1 to 36500\n"),
        (["--days", "soon"], "noctule: --days soon: it is a whole number that is not too large\n"),
    ] {
        let (code, _, stderr) = outcome(&mut noctule(&folder, &[&["tls", "init"], &arguments[..]].concat()));
        assert_eq!((code, stderr.as_str()), (2, said));
        assert!(!folder.join("tls").exists());
    }
}
