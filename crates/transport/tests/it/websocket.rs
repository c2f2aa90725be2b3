//! WebSocket against tungstenite's client, which is driven by a thread and blocks.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::sync::Arc;
use std::thread;

use noctule_transport::{Origins, Read, Stream, WebSocketRules, Write};
use tungstenite::client::IntoClientRequest as _;
use tungstenite::http::HeaderValue;
use tungstenite::protocol::frame::coding::CloseCode;
use tungstenite::{Bytes, Message, WebSocket};

use crate::support::{pair, serve};

const READ_BYTES: usize = 64 << 10;

fn served() -> (TcpStream, Stream) {
    served_at("/mqtt")
}

fn served_at(path: &str) -> (TcpStream, Stream) {
    let (socket, mut stream) = pair();
    let rules = WebSocketRules { path: path.into(), origins: Origins::default() };
    stream.serve_websocket(Arc::new(rules), |_| None);
    (socket, stream)
}

fn connect(socket: TcpStream) -> WebSocket<TcpStream> {
    let mut request = "ws://localhost/mqtt".into_client_request().unwrap();
    request.headers_mut().insert("Sec-WebSocket-Protocol", HeaderValue::from_static("mqtt"));
    let (websocket, response) = tungstenite::client(request, socket).unwrap();
    assert_eq!(response.headers()["Sec-WebSocket-Protocol"], "mqtt");
    websocket
}

#[test]
fn a_star_is_every_path_and_no_path_the_usual_one() {
    for (path, asked, is_served) in [
        ("/mqtt", "/mqtt", true),
        ("/*", "/mqtt", true),
        ("/other", "/mqtt", false),
        ("/mqtt", "", true),
        ("/mqtt", "/", true),
        ("/mqtt", "/ws", false),
        ("/other", "/", false),
        ("/*", "/ws", true),
    ] {
        let (socket, mut stream) = served_at(path);
        let client = thread::spawn(move || {
            let mut request = format!("ws://localhost{asked}").into_client_request().unwrap();
            request.headers_mut().insert("Sec-WebSocket-Protocol", HeaderValue::from_static("mqtt"));
            tungstenite::client(request, socket).is_ok()
        });
        let _ = serve(&mut stream, READ_BYTES, |_, _, ended| ended);
        drop(stream);
        assert_eq!(client.join().unwrap(), is_served, "{asked:?} at {path}");
    }
}

#[test]
fn mqtt_6_0_0_4_bytes_pass_both_ways_and_each_write_is_one_frame() {
    let (socket, mut stream) = served();
    let client = thread::spawn(move || {
        let mut websocket = connect(socket);
        websocket.send(Message::binary(b"ca".as_slice())).unwrap();
        websocket.send(Message::Ping(Bytes::from_static(b"?"))).unwrap();
        websocket.send(Message::binary(vec![b'l'; 100_000])).unwrap();
        let mut received = Vec::new();
        while received.len() < 3 {
            received.push(websocket.read().unwrap());
        }
        websocket.close(None).unwrap();
        while websocket.read().is_ok() {}
        received
    });
    let mut has_answered = false;
    let ended = serve(&mut stream, READ_BYTES, |stream, received, ended| {
        if received.len() == 100_002 && !has_answered {
            has_answered = true;
            assert_eq!(stream.write(b"one").unwrap(), Write::Bytes(3));
            assert_eq!(stream.write(&[7; 70_000]).unwrap(), Write::Bytes(70_000));
        }
        ended
    });
    assert_eq!(ended.unwrap(), Read::Closed);
    // A client waits for the server to close.
    drop(stream);
    let one = Message::binary(b"one".as_slice());
    let received = client.join().unwrap();
    assert_eq!(received, [Message::Pong(Bytes::from_static(b"?")), one, Message::binary(vec![7; 70_000])]);
}

#[test]
fn a_shutdown_says_goodbye() {
    let (socket, mut stream) = served();
    let client = thread::spawn(move || {
        let mut websocket = connect(socket);
        let goodbye = websocket.read().unwrap();
        assert!(websocket.read().is_err());
        goodbye
    });
    let mut has_shut_down = false;
    let ended = serve(&mut stream, READ_BYTES, |stream, _, ended| {
        if stream.is_open() && !has_shut_down {
            has_shut_down = true;
            stream.shutdown().unwrap();
        }
        ended
    });
    assert_eq!(ended.unwrap(), Read::Closed);
    drop(stream);
    let Message::Close(Some(goodbye)) = client.join().unwrap() else { panic!("no close frame") };
    assert_eq!(goodbye.code, CloseCode::Normal);
}

#[test]
fn mqtt_6_0_0_1_text_is_refused_and_the_client_is_told_why() {
    let (socket, mut stream) = served();
    let client = thread::spawn(move || {
        let mut websocket = connect(socket);
        websocket.send(Message::text("hello")).unwrap();
        websocket.read().unwrap()
    });
    let error = serve(&mut stream, READ_BYTES, |_, _, ended| ended).expect_err("text").to_string();
    assert_eq!(error, "WebSocket: a text frame came; MQTT comes in binary ones [MQTT-6.0.0-1]");
    let Message::Close(Some(close)) = client.join().unwrap() else { panic!("no close frame") };
    assert_eq!(close.code, CloseCode::Unsupported);
}

#[test]
fn a_wrong_request_is_answered_in_words() {
    let long = format!("GET /mqtt HTTP/1.1\r\nHost: a\r\nCookie: {}", "x".repeat(8 << 10));
    for (request, said) in [
        ("GET /a HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\n\r\n", "MQTT is not at /a but at /mqtt"),
        ("GET /mqtt HTTP/1.1\r\nHost: a\r\n\r\n", "this is an MQTT broker"),
        (&long, "the request is longer than 8192 bytes"),
    ] {
        let (mut socket, mut stream) = served();
        socket.write_all(request.as_bytes()).unwrap();
        let error = serve(&mut stream, READ_BYTES, |_, _, ended| ended).expect_err(said).to_string();
        assert!(error.contains(said), "{error}");
        drop(stream);
        let mut answer = String::new();
        socket.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 4") && answer.contains(said), "{answer}");
    }
}

#[test]
fn a_client_that_asks_for_no_websocket_is_told_of_at_once() {
    for (first, said) in [("\x10\x0d", "MQTT without WebSocket"), ("\x16\x03\x01", "TLS")] {
        let (mut socket, mut stream) = served();
        socket.write_all(first.as_bytes()).unwrap();
        let error = serve(&mut stream, READ_BYTES, |_, _, ended| ended).expect_err(said).to_string();
        assert_eq!(error, format!("WebSocket: the client speaks {said}; it needs WebSocket to connect here"));
    }
}

#[test]
fn a_page_of_another_host_is_refused() {
    let (socket, mut stream) = served();
    let client = thread::spawn(move || {
        let mut request = "ws://localhost/mqtt".into_client_request().unwrap();
        request.headers_mut().insert("Sec-WebSocket-Protocol", HeaderValue::from_static("mqtt"));
        request.headers_mut().insert("Origin", HeaderValue::from_static("http://evil.example"));
        tungstenite::client(request, socket).map(drop).unwrap_err().to_string()
    });
    let error = serve(&mut stream, READ_BYTES, |_, _, ended| ended).expect_err("evil").to_string();
    assert!(error.contains("\"http://evil.example\" may not connect"), "{error}");
    assert!(client.join().unwrap().contains("403"));
}
