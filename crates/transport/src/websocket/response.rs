//! The server's answer to the request for a WebSocket.

use tungstenite::handshake::machine::TryParse as _;
use tungstenite::handshake::server::{Request, create_response, write_response};
use tungstenite::http::HeaderValue;
use tungstenite::http::header::{HOST, ORIGIN, SEC_WEBSOCKET_PROTOCOL, UPGRADE};

use super::{WebSocketError, WebSocketRules};
use crate::listen_url::WEBSOCKET_PATH;

/// Answers a complete head that asks for a WebSocket.
///
/// # Errors
/// The request is not taken, and nothing was written.
pub(super) fn respond(
    head: &[u8],
    rules: &WebSocketRules,
    is_loopback: bool,
    out: &mut Vec<u8>,
) -> Result<(), WebSocketError> {
    let request = match Request::try_parse(head) {
        Ok(Some((_, request))) => request,
        Ok(None) => return Err(refused(400, "the request is not complete")),
        Err(error) => return Err(refused(400, error)),
    };
    if !request.headers().contains_key(UPGRADE) {
        return Err(refused(426, "this is an MQTT broker; connect an MQTT client over WebSocket"));
    }
    check_path(&request, rules)?;
    check_origin(&request, rules, is_loopback)?;
    let protocol = sub_protocol(&request)?;
    let mut response = create_response(&request).map_err(|error| refused(400, error))?;
    response.headers_mut().insert(SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(protocol));
    write_response(out, &response).map_err(|error| refused(400, error))
}

/// Says no, in a form that a person who looks with a browser can read as well.
pub(super) fn refuse(status: u16, why: &str, out: &mut Vec<u8>) {
    let status_text = match status {
        403 => "Forbidden",
        404 => "Not Found",
        426 => "Upgrade Required",
        431 => "Request Header Fields Too Large",
        _ => "Bad Request",
    };
    let upgrade = if status == 426 { "Upgrade: websocket\r\n" } else { "" };
    let length = why.len() + 1;
    out.extend_from_slice(
        format!(
            "HTTP/1.1 {status} {status_text}\r\n{upgrade}Sec-WebSocket-Version: 13\r\nConnection: close\r\n\
             Content-Type: text/plain; charset=utf-8\r\nX-Content-Type-Options: nosniff\r\n\
             Content-Length: {length}\r\n\r\n{why}\n"
        )
        .as_bytes(),
    );
}

fn check_path(request: &Request, rules: &WebSocketRules) -> Result<(), WebSocketError> {
    let path = request.uri().path();
    if rules.path == EVERY_PATH || path == rules.path || (path == NO_PATH && rules.path == WEBSOCKET_PATH) {
        return Ok(());
    }
    Err(refused(404, format_args!("MQTT is not at {path} but at {}", rules.path)))
}

fn check_origin(request: &Request, rules: &WebSocketRules, is_loopback: bool) -> Result<(), WebSocketError> {
    let Some(origin) = request.headers().get(ORIGIN) else { return Ok(()) };
    let origin = String::from_utf8_lossy(origin.as_bytes());
    let host = request.headers().get(HOST).map(|host| String::from_utf8_lossy(host.as_bytes()));
    if rules.origins.allow(&origin, &host.unwrap_or_default(), is_loopback) {
        return Ok(());
    }
    Err(refused(
        403,
        format_args!("pages from {origin:?} may not connect; allow them with websocket.origins"),
    ))
}

/// The first offered sub-protocol that is MQTT [MQTT-6.0.0-3], [MQTT-6.0.0-4].
fn sub_protocol(request: &Request) -> Result<&'static str, WebSocketError> {
    let lines = request.headers().get_all(SEC_WEBSOCKET_PROTOCOL).iter();
    let mut offered =
        lines.filter_map(|line| line.to_str().ok()).flat_map(|line| line.split(',')).map(str::trim);
    let ours = offered.find_map(|name| SUB_PROTOCOLS.into_iter().find(|ours| *ours == name));
    ours.ok_or_else(|| refused(400, "the client has to offer the sub-protocol mqtt [MQTT-6.0.0-3]"))
}

fn refused(status: u16, why: impl std::fmt::Display) -> WebSocketError {
    WebSocketError::Refused { status, why: why.to_string() }
}

/// The path of a listener that takes every path.
const EVERY_PATH: &str = "/*";

/// What is asked for where a URL has no path. `mqtt.connect('ws://localhost:8083')` of MQTT.js means the usual one.
const NO_PATH: &str = "/";

/// `mqttv3.1` is what clients of MQTT 3.1 say.
const SUB_PROTOCOLS: [&str; 2] = ["mqtt", "mqttv3.1"];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Origins;

    const GOOD: &str = "GET /mqtt HTTP/1.1\r\nHost: broker.lan:8083\r\nUpgrade: websocket\r\n\
        Connection: keep-alive, Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
        Sec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: chat, mqtt\r\n\r\n";

    fn answer(request: &str) -> (Result<(), WebSocketError>, String) {
        let rules = WebSocketRules { path: "/mqtt".into(), origins: Origins::default() };
        let mut out = Vec::new();
        let taken = respond(request.as_bytes(), &rules, false, &mut out);
        if let Err(WebSocketError::Refused { status, why }) = &taken {
            assert!(out.is_empty());
            refuse(*status, why, &mut out);
        }
        (taken, String::from_utf8(out).unwrap())
    }

    fn status(request: &str) -> u16 {
        match answer(request) {
            (Ok(()), text) => {
                assert!(text.starts_with("HTTP/1.1 101 "), "{text}");
                101
            }
            (Err(WebSocketError::Refused { status, why }), text) => {
                assert!(text.starts_with(&format!("HTTP/1.1 {status} ")), "{text}");
                assert!(text.ends_with(&format!("\r\n\r\n{why}\n")), "{text}");
                status
            }
            (Err(other), _) => panic!("{other}"),
        }
    }

    #[test]
    fn a_good_request_is_taken_with_the_sub_protocol() {
        let (taken, text) = answer(GOOD);
        taken.unwrap();
        let text = text.to_ascii_lowercase();
        assert!(text.starts_with("http/1.1 101 "), "{text}");
        // The key and its answer are the example of RFC 6455 §1.3.
        assert!(text.contains("sec-websocket-accept: s3pplmbitxaq9kygzzhzrbk+xoo="), "{text}");
        assert!(text.contains("sec-websocket-protocol: mqtt\r\n"), "{text}");
        assert!(text.ends_with("\r\n\r\n"), "{text}");
    }

    #[test]
    fn requests_are_judged() {
        for (from, to, expected) in [
            ("chat, mqtt", "mqttv3.1", 101),
            ("chat, mqtt\r\n", "chat\r\nSec-WebSocket-Protocol: mqtt\r\n", 101),
            ("/mqtt HTTP", "/mqtt?token=1 HTTP", 101),
            ("Host", "Origin: http://broker.lan\r\nHost", 101),
            ("Host", "Origin: http://evil.example\r\nHost", 403),
            ("Host: broker.lan:8083\r\n", "Origin: http://broker.lan\r\n", 403),
            ("/mqtt HTTP", "/ HTTP", 101),
            ("/mqtt HTTP", "/mqtt/more HTTP", 404),
            ("/mqtt HTTP", "/mqtt/ HTTP", 404),
            ("chat, mqtt", "chat", 400),
            ("Sec-WebSocket-Protocol: chat, mqtt\r\n", "", 400),
            ("Version: 13", "Version: 8", 400),
            ("dGhlIHNhbXBsZSBub25jZQ==", "short", 400),
            ("GET", "POST", 400),
            ("HTTP/1.1", "HTTP/1.0", 400),
            ("Upgrade: websocket\r\n", "", 426),
            ("Upgrade: websocket\r\n", "Upgrade: h2c\r\n", 400),
            ("GET /mqtt", "\u{10}\u{1}", 400),
        ] {
            assert!(GOOD.contains(from));
            assert_eq!(status(&GOOD.replacen(from, to, 1)), expected, "{from:?} to {to:?}");
        }
    }

    #[test]
    fn nobody_writes_into_our_answer() {
        let (_, text) = answer(&GOOD.replace("/mqtt HTTP", "/<script>%0d%0aSet-Cookie:%20a HTTP"));
        assert!(!text.contains("\r\nSet-Cookie"), "{text}");
    }
}
