//! `openssl s_client` as a stranger to our TLS. It has to be there: Debian package `openssl`.

use std::fs;
use std::io::Write as _;
use std::process::{Child, Command, Stdio};

use noctule_transport::{ClientCertificates, Listener, Read, ServerTls, Stream, WhatFollows, Write};
use tempfile::TempDir;

use crate::certificates::{Authority, Signed};
use crate::support::{accept, bind, local_addr, serve};

/// Writes a file and says where it is.
fn file(folder: &TempDir, name: &str, text: &str) -> String {
    let path = folder.path().join(name);
    fs::write(&path, text).unwrap();
    path.to_str().unwrap().to_owned()
}

fn s_client(listener: &Listener, arguments: &[&str]) -> Child {
    Command::new("openssl")
        .args(["s_client", "-quiet", "-no_ign_eof", "-connect", &local_addr(listener).to_string()])
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("openssl has to be installed (Debian package openssl)")
}

struct Server {
    listener: Listener,
    tls: ServerTls,
}

impl Server {
    fn new(certificate: &Signed, clients: &ClientCertificates) -> Self {
        let tls = ServerTls::new(&[certificate.certificate()], clients, WhatFollows::Mqtt).unwrap();
        Self { listener: bind("tcp://127.0.0.1:0").remove(0), tls }
    }

    fn accept(&mut self) -> Stream {
        let (mut stream, _) = accept(&mut self.listener);
        stream.serve_tls(&self.tls).unwrap();
        stream
    }
}

fn answer(stream: &mut Stream) {
    serve(stream, 64 << 10, |stream, received, ended| {
        assert!(ended.is_none(), "{ended:?}");
        (received == b"call\n").then(|| assert_eq!(stream.write(b"echo\n").unwrap(), Write::Bytes(5)))
    });
    stream.shutdown().unwrap();
}

#[test]
fn openssl_speaks_both_versions_and_checks_the_certificate() {
    let folder = tempfile::tempdir().unwrap();
    let authority = Authority::new("test");
    let ca = file(&folder, "ca.pem", &authority.pem);
    let mut server = Server::new(&authority.sign(&["broker.lan"]), &ClientCertificates::NotAsked);
    for version in ["-tls1_3", "-tls1_2"] {
        let name = ["-servername", "broker.lan", "-verify_hostname", "broker.lan", "-verify_return_error"];
        let mut client = s_client(
            &server.listener,
            &[&[version, "-CAfile", &ca, "-alpn", "mqtt"], name.as_slice()].concat(),
        );
        client.stdin.as_mut().unwrap().write_all(b"call\n").unwrap();
        answer(&mut server.accept());
        let output = client.wait_with_output().unwrap();
        assert_eq!(output.stdout, b"echo\n", "{version}: {}", String::from_utf8_lossy(&output.stderr));
    }
}

#[test]
fn openssl_shows_a_client_certificate() {
    let folder = tempfile::tempdir().unwrap();
    let authority = Authority::new("test");
    let own = authority.sign(&["sensor.lan"]);
    let (ca, pem) = (file(&folder, "ca.pem", &authority.pem), file(&folder, "own.pem", &own.pem));
    let key = file(&folder, "own.key", &own.key);
    let required = ClientCertificates::Required(authority.authorities());
    let mut server = Server::new(&authority.sign(&["broker.lan"]), &required);
    let mut client = s_client(&server.listener, &["-CAfile", &ca, "-cert", &pem, "-key", &key]);
    client.stdin.as_mut().unwrap().write_all(b"call\n").unwrap();
    let mut stream = server.accept();
    answer(&mut stream);
    let fingerprint = stream.peer_identity().unwrap().expect("a certificate").fingerprint_hex();
    client.wait_with_output().unwrap();

    let output =
        Command::new("openssl").args(["x509", "-noout", "-fingerprint", "-sha256", "-in", &pem]).output();
    let output = String::from_utf8(output.unwrap().stdout).unwrap();
    let expected = output.trim().rsplit('=').next().unwrap().replace(':', "").to_ascii_lowercase();
    assert_eq!(fingerprint, expected);
}

#[test]
fn tls_1_1_is_refused_clearly_on_both_sides() {
    let authority = Authority::new("test");
    let mut server = Server::new(&authority.sign(&["broker.lan"]), &ClientCertificates::NotAsked);
    let mut client = s_client(&server.listener, &["-tls1_1", "-cipher", "DEFAULT:@SECLEVEL=0"]);
    drop(client.stdin.take());
    let mut stream = server.accept();
    let error = serve(&mut stream, 64 << 10, |_, _, ended| ended).expect_err("an old version").to_string();
    assert_eq!(error, "TLS: the client has no version above TLS 1.1; it needs TLS 1.2 or 1.3");
    drop(stream);
    let told = String::from_utf8_lossy(&client.wait_with_output().unwrap().stderr).into_owned();
    assert!(told.contains("protocol version"), "{told}");
}

#[test]
fn a_client_that_distrusts_us_is_understood() {
    let folder = tempfile::tempdir().unwrap();
    let (authority, foreign) = (Authority::new("ours"), Authority::new("theirs"));
    let ca = file(&folder, "ca.pem", &foreign.pem);
    let mut server = Server::new(&authority.sign(&["broker.lan"]), &ClientCertificates::NotAsked);
    let client = s_client(&server.listener, &["-CAfile", &ca, "-verify_return_error"]);
    let mut stream = server.accept();
    let ended = serve(&mut stream, 64 << 10, |_, _, ended| ended);
    let error = ended.map(|read| assert_ne!(read, Read::Closed)).expect_err("distrust").to_string();
    assert!(error.contains("the client does not trust our certificate"), "{error}");
    client.wait_with_output().unwrap();
}
