//! Both ends are ours: what we dial and what we accept, with every filter.

use std::sync::Arc;
use std::time::SystemTime;

use mio::event::Source as _;
use mio::{Events, Interest, Poll, Token};
use noctule_transport::{
    Certificate, ClientCertificates, ClientTls, Origins, Read, ServerIdentity, ServerTls, Stream,
    WebSocketRules, WhatFollows, Write,
};

use crate::certificates::Authority;
use crate::support::{accept, bind, local_addr};

/// Two streams connected with each other.
fn connected() -> (Stream, Stream) {
    let mut listeners = bind("tcp://127.0.0.1:0");
    let dialled = Stream::dial(local_addr(&listeners[0]), None).unwrap();
    (dialled, accept(&mut listeners[0]).0)
}

/// What both ends have read when one has said `call`, the other `echo`, and both have shut down; or how the
/// first of them failed.
fn converse(mut streams: [Stream; 2]) -> Result<[Vec<u8>; 2], (usize, String)> {
    let (mut poll, mut events) = (Poll::new().unwrap(), Events::with_capacity(8));
    for (at, stream) in streams.iter_mut().enumerate() {
        stream.register(poll.registry(), Token(at), Interest::READABLE | Interest::WRITABLE).unwrap();
    }
    let mut buffer = vec![0; 64 << 10];
    let (mut received, mut unsaid) = ([Vec::new(), Vec::new()], [b"call".as_slice(), b"echo"]);
    let mut is_closed = [false; 2];
    while is_closed != [true; 2] {
        let mut has_moved = false;
        for at in 0..2 {
            let stream = &mut streams[at];
            let mut step = || -> std::io::Result<bool> {
                let mut has_moved = false;
                stream.flush()?;
                if !is_closed[at] {
                    match stream.read(&mut buffer)? {
                        Read::Bytes { length, .. } => {
                            received[at].extend_from_slice(&buffer[..length]);
                            has_moved = true;
                        }
                        Read::Hello => {
                            stream.answer_hello()?;
                            has_moved = true;
                        }
                        Read::WouldBlock => {}
                        Read::Closed => {
                            stream.shutdown()?;
                            is_closed[at] = true;
                            has_moved = true;
                        }
                    }
                }
                // The second speaks when it has been spoken to.
                let may_speak = !unsaid[at].is_empty() && (at == 0 || received[at] == b"call");
                if may_speak && let Write::Bytes(taken) = stream.write(unsaid[at])? {
                    unsaid[at] = &unsaid[at][taken..];
                    has_moved = true;
                }
                if at == 0 && received[0] == b"echo" {
                    stream.shutdown()?;
                }
                Ok(has_moved)
            };
            has_moved |= step().map_err(|error| (at, error.to_string()))?;
        }
        if !has_moved {
            poll.poll(&mut events, Some(std::time::Duration::from_secs(20))).unwrap();
            assert!(!events.is_empty(), "nothing happens any more");
        }
    }
    Ok(received)
}

fn server_tls(authority: &Authority, clients: &ClientCertificates, follows: WhatFollows) -> ServerTls {
    ServerTls::new(&[authority.sign(&["broker.lan"]).certificate()], clients, follows).unwrap()
}

fn rules() -> Arc<WebSocketRules> {
    Arc::new(WebSocketRules { path: "/mqtt".into(), origins: Origins::default() })
}

#[test]
fn every_combination_carries_bytes_and_ends() {
    let authority = Authority::new("test");
    let believed = ServerIdentity::SignedBy(authority.authorities());
    for (with_tls, with_websocket) in [(false, false), (true, false), (false, true), (true, true)] {
        let (mut dialled, mut accepted) = connected();
        let follows = if with_websocket { WhatFollows::WebSocket } else { WhatFollows::Mqtt };
        if with_tls {
            accepted.serve_tls(&server_tls(&authority, &ClientCertificates::NotAsked, follows)).unwrap();
            dialled.dial_tls(&ClientTls::new(&believed, None, follows).unwrap(), "broker.lan").unwrap();
        }
        if with_websocket {
            accepted.serve_websocket(rules(), |_| None);
            dialled.dial_websocket("broker.lan:8084", "/mqtt");
        }
        let received = converse([dialled, accepted]).unwrap();
        assert_eq!(
            received,
            [b"echo".to_vec(), b"call".to_vec()],
            "tls {with_tls}, websocket {with_websocket}"
        );
    }
}

#[test]
fn a_server_is_believed_only_with_the_right_certificate() {
    let (authority, foreign) = (Authority::new("ours"), Authority::new("theirs"));
    let tls = server_tls(&authority, &ClientCertificates::NotAsked, WhatFollows::Mqtt);
    let ours = ServerIdentity::SignedBy(authority.authorities());
    let theirs = ServerIdentity::SignedBy(foreign.authorities());
    for (believed, host, expected) in [
        (&ours, "broker.lan", Ok(())),
        (&ours, "other.lan", Err("TLS: the certificate of the server is for another host: ")),
        (&theirs, "broker.lan", Err("TLS: the certificate of the server is not signed by an authority")),
        (&ServerIdentity::Unchecked, "other.lan", Ok(())),
    ] {
        let (mut dialled, mut accepted) = connected();
        accepted.serve_tls(&tls).unwrap();
        dialled.dial_tls(&ClientTls::new(believed, None, WhatFollows::Mqtt).unwrap(), host).unwrap();
        match (converse([dialled, accepted]), expected) {
            (Ok(_), Ok(())) => {}
            (Err((0, error)), Err(said)) => assert!(error.starts_with(said), "{error}"),
            (outcome, _) => panic!("{host}: {outcome:?}"),
        }
    }
}

#[test]
fn a_client_shows_its_certificate() {
    let authority = Authority::new("test");
    let required = ClientCertificates::Required(authority.authorities());
    let own: Certificate = authority.sign(&["sensor.lan"]).certificate();
    assert!(own.validity().not_after() > SystemTime::now());
    let (mut dialled, mut accepted) = connected();
    accepted.serve_tls(&server_tls(&authority, &required, WhatFollows::Mqtt)).unwrap();
    let believed = ServerIdentity::SignedBy(authority.authorities());
    let tls = ClientTls::new(&believed, Some(&own), WhatFollows::Mqtt).unwrap();
    dialled.dial_tls(&tls, "broker.lan").unwrap();
    converse([dialled, accepted]).unwrap();
}

#[test]
fn a_websocket_is_asked_for_before_anything_is_read() {
    let (mut dialled, mut accepted) = connected();
    dialled.dial_websocket("broker.lan:8083", "/mqtt");
    accepted.serve_websocket(rules(), |_| None);
    assert_eq!(dialled.write(b"call").unwrap(), Write::WouldBlock);
    let mut buffer = vec![0; 64 << 10];
    while accepted.read(&mut buffer).unwrap() == Read::WouldBlock {}
    assert!(accepted.is_open() && !dialled.is_open(), "the request is there, the answer on its way");
}

#[test]
fn a_server_that_speaks_something_else_is_recognised() {
    let (mut dialled, mut accepted) = connected();
    dialled.dial_websocket("broker.lan:8083", "/elsewhere");
    accepted.serve_websocket(rules(), |_| None);
    let (at, error) = converse([dialled, accepted]).expect_err("the wrong path");
    assert!(at == 1 && error.contains("MQTT is not at /elsewhere but at /mqtt"), "{error}");
}
