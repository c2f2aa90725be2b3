//! TLS against rustls' own client, which is driven by a thread and blocks.

use std::io::{self, Read as _, Write as _};
use std::net::{Shutdown, TcpStream};
use std::sync::Arc;
use std::thread::{self, JoinHandle};

use noctule_transport::{ClientCertificates, Read, ServerTls, Stream, WRITE_BYTES_MAX, WhatFollows, Write};
use rcgen::{BasicConstraints, CertificateParams, IsCa, KeyPair};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned, SupportedProtocolVersion, version};

use crate::certificates::{Authority, Signed};
use crate::support::{pair, serve, wait_for};

type Client = StreamOwned<ClientConnection, TcpStream>;

struct Wishes {
    versions: &'static [&'static SupportedProtocolVersion],
    host: &'static str,
    alpn: Vec<Vec<u8>>,
}

const BOTH: &[&SupportedProtocolVersion] = &[&version::TLS13, &version::TLS12];
const EACH: [&[&SupportedProtocolVersion]; 2] = [&[&version::TLS13], &[&version::TLS12]];
const READ_BYTES: usize = 64 << 10;

fn wishes() -> Wishes {
    Wishes { versions: BOTH, host: "broker.lan", alpn: Vec::new() }
}

fn config(authority: &Authority, own: Option<&Signed>, wishes: &Wishes) -> Arc<ClientConfig> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(authority.pem.as_bytes()).unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(wishes.versions)
        .unwrap()
        .with_root_certificates(roots);
    let mut config = match own {
        None => builder.with_no_client_auth(),
        Some(own) => {
            let chain = vec![CertificateDer::from_pem_slice(own.pem.as_bytes()).unwrap()];
            let key = PrivateKeyDer::from_pem_slice(own.key.as_bytes()).unwrap();
            builder.with_client_auth_cert(chain, key).unwrap()
        }
    };
    config.alpn_protocols = wishes.alpn.clone();
    Arc::new(config)
}

fn client(socket: TcpStream, config: Arc<ClientConfig>, host: &'static str) -> Client {
    let connection = ClientConnection::new(config, host.try_into().unwrap()).unwrap();
    StreamOwned::new(connection, socket)
}

/// A server with one certificate, and the end of a client that `talks` on its own thread.
fn session<T: Send + 'static>(
    wishes: &Wishes,
    talk: impl FnOnce(&mut Client) -> T + Send + 'static,
) -> (Stream, JoinHandle<T>) {
    let authority = Authority::new("test");
    let certificates = [authority.sign(&["broker.lan"]).certificate()];
    let tls = ServerTls::new(&certificates, &ClientCertificates::NotAsked, WhatFollows::Mqtt).unwrap();
    start(&tls, config(&authority, None, wishes), wishes.host, talk)
}

fn start<T: Send + 'static>(
    tls: &ServerTls,
    config: Arc<ClientConfig>,
    host: &'static str,
    talk: impl FnOnce(&mut Client) -> T + Send + 'static,
) -> (Stream, JoinHandle<T>) {
    let (socket, mut stream) = pair();
    stream.serve_tls(tls).unwrap();
    (stream, thread::spawn(move || talk(&mut client(socket, config, host))))
}

fn echo(client: &mut Client) -> io::Result<Vec<u8>> {
    client.write_all(b"call")?;
    let mut answer = vec![0; 4];
    client.read_exact(&mut answer)?;
    Ok(answer)
}

/// Answers `call` with `echo`.
fn answer(stream: &mut Stream) {
    serve(stream, READ_BYTES, |stream, received, ended| {
        assert!(ended.is_none(), "{ended:?}");
        (received == b"call").then(|| assert_eq!(stream.write(b"echo").unwrap(), Write::Bytes(4)))
    });
}

/// How a connection fails.
fn failure(stream: &mut Stream) -> String {
    serve(stream, READ_BYTES, |_, _, ended| ended).expect_err("it has to fail").to_string()
}

#[test]
fn bytes_pass_both_ways_with_both_versions() {
    for versions in EACH {
        let (mut stream, client) = session(&Wishes { versions, ..wishes() }, |client| echo(client).unwrap());
        answer(&mut stream);
        assert!(stream.is_open() && !stream.wants_write());
        assert_eq!(stream.peer_identity().unwrap(), None);
        assert_eq!(stream.application_protocol(), None);
        assert_eq!(client.join().unwrap(), b"echo");
    }
}

#[test]
fn a_megabyte_passes_both_ways_whatever_the_buffer() {
    const TOTAL: usize = 1 << 20;
    for buffer_bytes in [READ_BYTES, 8 << 10, 100] {
        let (mut stream, client) = session(&wishes(), |client| {
            let sent: Vec<u8> = (0..TOTAL).map(|at| (at % 251) as u8).collect();
            client.write_all(&sent).unwrap();
            let mut received = vec![0; TOTAL];
            client.read_exact(&mut received).unwrap();
            assert!(received == sent);
        });
        let mut sent = 0;
        serve(&mut stream, buffer_bytes, |stream, received, ended| {
            assert!(ended.is_none(), "{ended:?}");
            while sent < received.len() {
                match stream.write(&received[sent..]).unwrap() {
                    Write::Bytes(taken) => {
                        assert!(taken <= WRITE_BYTES_MAX);
                        sent += taken;
                    }
                    Write::WouldBlock => break,
                }
            }
            (sent == TOTAL && !stream.wants_write()).then_some(())
        });
        client.join().unwrap();
    }
}

#[test]
fn a_close_is_told_and_heard() {
    let (mut stream, client) = session(&wishes(), |client| {
        client.write_all(b"last").unwrap();
        client.conn.send_close_notify();
        client.flush().unwrap();
        let mut rest = Vec::new();
        // Without close_notify this would be an error.
        client.read_to_end(&mut rest).unwrap();
        rest
    });
    serve(&mut stream, READ_BYTES, |stream, received, ended| {
        ended.map(|read| {
            assert_eq!(read.unwrap(), Read::Closed);
            assert_eq!(received, b"last");
            assert_eq!(stream.write(b"bye").unwrap(), Write::Bytes(3));
            stream.shutdown().unwrap();
        })
    });
    assert_eq!(client.join().unwrap(), b"bye");
}

#[test]
fn a_peer_that_goes_without_a_word_has_closed() {
    let (mut stream, client) = session(&wishes(), |client| {
        client.write_all(b"last").unwrap();
        // What it has not read would make the kernel send a reset.
        client.sock.shutdown(Shutdown::Write).unwrap();
        io::copy(&mut client.sock, &mut io::sink()).unwrap();
    });
    let read =
        serve(&mut stream, READ_BYTES, |_, received, ended| ended.inspect(|_| assert_eq!(received, b"last")));
    assert_eq!(read.unwrap(), Read::Closed);
    drop(stream);
    client.join().unwrap();
}

#[test]
fn a_hello_waits_until_it_is_answered() {
    let (mut stream, client) = session(&wishes(), |client| echo(client).unwrap());
    let mut buffer = vec![0; READ_BYTES];
    wait_for(&mut stream, mio::Interest::READABLE, |stream| match stream.read(&mut buffer).unwrap() {
        Read::Hello => Some(()),
        Read::Bytes { length: 0, .. } | Read::WouldBlock => None,
        other => panic!("{other:?}"),
    });
    for _ in 0..3 {
        assert_eq!(stream.read(&mut buffer).unwrap(), Read::Hello);
        assert_eq!(stream.write(b"too early").unwrap(), Write::WouldBlock);
    }
    assert!(!stream.is_open());
    answer(&mut stream);
    assert_eq!(client.join().unwrap(), b"echo");
}

#[test]
fn a_client_gets_the_certificate_of_the_host_it_asks_for() {
    let authority = Authority::new("test");
    let certificates =
        [&["a.lan"], &["*.b.lan"], &["C.lan"]].map(|hosts: &[&str; 1]| authority.sign(hosts).certificate());
    let tls = ServerTls::new(&certificates, &ClientCertificates::NotAsked, WhatFollows::Mqtt).unwrap();
    for host in ["a.lan", "x.b.lan", "c.lan"] {
        let (mut stream, client) =
            start(&tls, config(&authority, None, &wishes()), host, |client| echo(client).unwrap());
        answer(&mut stream);
        assert_eq!(client.join().unwrap(), b"echo", "{host}");
    }
    // A star stands for one label, and who asks for no known host gets the first.
    for host in ["x.y.b.lan", "d.lan"] {
        let (mut stream, client) =
            start(&tls, config(&authority, None, &wishes()), host, |client| echo(client).unwrap_err());
        assert!(failure(&mut stream).contains("the client does not trust our certificate"));
        let error = client.join().unwrap().to_string();
        assert!(error.contains("not valid for name"), "{error}");
    }
}

#[test]
fn alpn_is_mqtt_or_nothing() {
    let offer = |names: &[&str]| names.iter().map(|name| name.as_bytes().to_vec()).collect();
    let (mut stream, client) =
        session(&Wishes { alpn: offer(&["h2", "mqtt"]), ..wishes() }, |client| echo(client).unwrap());
    answer(&mut stream);
    assert_eq!(stream.application_protocol(), Some(b"mqtt".as_slice()));
    client.join().unwrap();

    let (mut stream, client) =
        session(&Wishes { alpn: offer(&["h2"]), ..wishes() }, |client| echo(client).unwrap_err());
    assert!(failure(&mut stream).contains("ALPN"));
    assert!(client.join().unwrap().to_string().contains("NoApplicationProtocol"));
}

fn params(host: &str) -> CertificateParams {
    CertificateParams::new(vec![host.to_owned()]).unwrap()
}

fn self_signed(params: &CertificateParams) -> Signed {
    let key = KeyPair::generate().unwrap();
    Signed { pem: params.self_signed(&key).unwrap().pem(), key: key.serialize_pem() }
}

#[test]
fn client_certificates_are_asked_for_judged_and_read() {
    let (authority, foreign) = (Authority::new("ours"), Authority::new("theirs"));
    let own = [authority.sign(&["broker.lan"]).certificate()];
    let required = ClientCertificates::Required(authority.authorities());
    let optional = ClientCertificates::Optional(authority.authorities());
    let sensor = || authority.sign(&["sensor.lan"]);
    let (mut old, mut new) = (params("sensor.lan"), params("sensor.lan"));
    old.not_after = rcgen::date_time_ymd(2020, 1, 1);
    new.not_before = rcgen::date_time_ymd(4000, 1, 1);
    let mut by_itself = params("sensor.lan");
    let alone = self_signed(&by_itself);
    by_itself.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    for (clients, shown, expected) in [
        (&required, Some(sensor()), Ok(Some("sensor.lan"))),
        (&optional, Some(authority.sign_params(&old)), Err("has expired")),
        (&required, Some(authority.sign_params(&new)), Err("is not valid yet")),
        (&required, Some(alone), Err("is not signed by an authority")),
        (&optional, Some(self_signed(&by_itself)), Err("is that of an authority or self-signed")),
        (&optional, Some(sensor()), Ok(Some("sensor.lan"))),
        (&optional, None, Ok(None)),
        (&ClientCertificates::NotAsked, Some(sensor()), Ok(None)),
        (&required, None, Err("the client presents no certificate")),
        (&required, Some(foreign.sign(&["sensor.lan"])), Err("is not signed by an authority")),
        (&optional, Some(foreign.sign(&["sensor.lan"])), Err("is not signed by an authority")),
    ] {
        for versions in EACH {
            let tls = ServerTls::new(&own, clients, WhatFollows::Mqtt).unwrap();
            let config = config(&authority, shown.as_ref(), &Wishes { versions, ..wishes() });
            let (mut stream, client) = start(&tls, config, "broker.lan", |client| echo(client).ok());
            match expected {
                Ok(name) => {
                    answer(&mut stream);
                    let identity = stream.peer_identity().unwrap();
                    assert_eq!(identity.map(|identity| identity.dns_names.concat()).as_deref(), name);
                }
                Err(said) => {
                    let told = failure(&mut stream);
                    assert!(told.contains(said), "{told}");
                }
            }
            drop(stream);
            assert_eq!(client.join().unwrap().is_some(), expected.is_ok());
        }
    }
}

#[test]
fn who_speaks_no_tls_is_recognised() {
    let authority = Authority::new("test");
    let own = [authority.sign(&["broker.lan"]).certificate()];
    let tls = ServerTls::new(&own, &ClientCertificates::NotAsked, WhatFollows::Mqtt).unwrap();
    for (sent, said) in [
        (b"\x10\x0c\0\x04MQTT\x04\x02\0\x3c\0\0".as_slice(), "TLS: the client speaks MQTT without TLS"),
        (b"GET / HTTP/1.1\r\n\r\n", "TLS: the client speaks HTTP without TLS"),
        (b"\0\0\0\0\0\0", "TLS: the client speaks something else"),
    ] {
        let (mut socket, mut stream) = pair();
        stream.serve_tls(&tls).unwrap();
        socket.write_all(sent).unwrap();
        let told = failure(&mut stream);
        assert!(told.starts_with(said), "{told}");
    }
}

#[test]
fn what_a_hostile_client_sends_ends_its_connection_only() {
    let authority = Authority::new("test");
    let own = [authority.sign(&["broker.lan"]).certificate()];
    let tls = ServerTls::new(&own, &ClientCertificates::NotAsked, WhatFollows::Mqtt).unwrap();
    let record = |kind: u8, body: &[u8]| {
        let length = u16::try_from(body.len()).unwrap().to_be_bytes();
        [&[kind, 3, 1, length[0], length[1]], body].concat()
    };
    for (what, sent) in [
        ("an empty handshake", record(22, b"")),
        ("a hello of garbage", record(22, &[1, 0, 0, 4, 0xff, 0xff, 0xff, 0xff])),
        ("a record that is too long", [&[22, 3, 1, 0xff, 0xff], vec![0; 70_000].as_slice()].concat()),
        ("an alert", record(21, &[2, 40])),
        ("data before the handshake", record(23, &[0; 64])),
        ("endless change cipher spec", record(20, &[1]).repeat(1000)),
    ] {
        let (mut socket, mut stream) = pair();
        stream.serve_tls(&tls).unwrap();
        let sender = thread::spawn(move || {
            socket.write_all(&sent).ok();
            socket
        });
        let ended = serve(&mut stream, READ_BYTES, |_, _, ended| ended);
        assert!(ended.is_err(), "{what}: {ended:?}");
        sender.join().unwrap();
    }
}

#[test]
fn a_certificate_can_be_replaced_under_its_connections() {
    let (old, new) = (Authority::new("old"), Authority::new("new"));
    let tls = |authority: &Authority| {
        let own = [authority.sign(&["broker.lan"]).certificate()];
        ServerTls::new(&own, &ClientCertificates::NotAsked, WhatFollows::Mqtt).unwrap()
    };
    let mut current = tls(&old);
    let (mut first, first_client) = start(&current, config(&old, None, &wishes()), "broker.lan", |client| {
        echo(client).unwrap();
        echo(client).unwrap()
    });
    answer(&mut first);
    current = tls(&new);
    let (mut second, second_client) =
        start(&current, config(&new, None, &wishes()), "broker.lan", |client| echo(client).unwrap());
    answer(&mut second);
    answer(&mut first);
    assert_eq!(
        (first_client.join().unwrap(), second_client.join().unwrap()),
        (b"echo".to_vec(), b"echo".to_vec())
    );
}

#[test]
fn a_session_can_be_resumed() {
    let authority = Authority::new("test");
    let own = [authority.sign(&["broker.lan"]).certificate()];
    let required = ClientCertificates::Required(authority.authorities());
    let tls = ServerTls::new(&own, &required, WhatFollows::Mqtt).unwrap();
    let config = config(&authority, Some(&authority.sign(&["sensor.lan"])), &wishes());
    for expected in [rustls::HandshakeKind::Full, rustls::HandshakeKind::Resumed] {
        let (mut stream, client) = start(&tls, Arc::clone(&config), "broker.lan", |client| {
            echo(client).unwrap();
            client.conn.handshake_kind()
        });
        answer(&mut stream);
        assert_eq!(stream.peer_identity().unwrap().expect("still known").dns_names, ["sensor.lan"]);
        assert_eq!(client.join().unwrap(), Some(expected));
    }
}
