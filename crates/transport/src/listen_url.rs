//! Where to listen, as an operator writes it: `tcp://HOST:PORT`, `tls://`, `ws://`, `wss://` or `unix:PATH`.
//!
//! What has been parsed can be bound as far as its form goes: the scheme works, the port is a number, the host
//! is an address or a name with the characters of a name, and a socket's path has the length of one. Whether
//! this machine has the address shows when it is bound.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::str::FromStr;

use thiserror::Error;

/// A place to listen.
///
/// ```
/// let url: noctule_transport::ListenUrl = "ws://localhost:8083".parse()?;
/// assert_eq!((url.port(), url.websocket_path()), (Some(8083), Some("/mqtt")));
/// # Ok::<(), noctule_transport::ListenUrlError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ListenUrl {
    scheme: Scheme,
    place: Place,
}

/// What is spoken below MQTT.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Scheme {
    /// MQTT over TCP.
    Tcp,
    /// MQTT over TLS over TCP.
    Tls,
    /// MQTT over WebSocket over TCP.
    Ws,
    /// MQTT over WebSocket over TLS over TCP.
    Wss,
    /// MQTT over a socket in the file system.
    Unix,
}

/// The machine's side of a [`ListenUrl`].
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Host {
    /// `localhost`: 127.0.0.1 and ::1, whatever a name service says.
    Localhost,
    /// `*`: all addresses of this machine, of both families.
    Any,
    /// One address.
    Address(IpAddr),
    /// A name; every address it resolves to, asked when the listener is bound.
    Name(String),
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Place {
    /// The path is that of a WebSocket, and empty otherwise.
    Network {
        host: Host,
        port: u16,
        path: String,
    },
    File(PathBuf),
}

/// Why a text is no [`ListenUrl`].
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ListenUrlError {
    /// There is no `://` (or, for unix sockets, no `unix:`).
    #[error("a scheme is missing; write for example tcp://localhost:1883")]
    NoScheme,
    /// A scheme nobody knows.
    #[error("unknown scheme {scheme:?}; known are tcp, tls, ws, wss and unix, as in tcp://localhost:1883")]
    UnknownScheme {
        /// The scheme as written.
        scheme: String,
    },
    /// Nothing stands between `://` and the port.
    #[error("the host is missing; write for example tcp://localhost:1883")]
    NoHost,
    /// The host is neither an address nor made of the characters of a name.
    #[error(
        "{host:?} is neither an address nor a host name; an IPv6 address stands in brackets, as in [::1]"
    )]
    BadHost {
        /// The host as written.
        host: String,
    },
    /// No `:PORT` at the end.
    #[error("the port is missing; write for example tcp://localhost:1883")]
    NoPort,
    /// The port is no number from 0 to 65535.
    #[error("{port:?} is no port; allowed is 0 (any free one) to 65535")]
    BadPort {
        /// The port as written.
        port: String,
    },
    /// Something follows the port of a place that has no path, or the path of one that has.
    #[error("{rest:?} has no meaning for {scheme}")]
    Trailing {
        /// What follows.
        rest: String,
        /// The scheme.
        scheme: Scheme,
    },
    /// The path of a WebSocket has characters that no request can ask for.
    #[error("{path:?} is no path of a URL; write for example ws://localhost:8083/mqtt")]
    BadPath {
        /// The path as written.
        path: String,
    },
    /// The path of a socket is missing, too long for the kernel, or a URL with a host.
    #[error(
        "{path:?} is no path of a socket; write for example unix:/run/noctule.sock, with at most 107 bytes"
    )]
    BadSocketPath {
        /// The path as written.
        path: String,
    },
}

impl ListenUrl {
    /// The place `tcp://HOST:PORT`; port 0 stands for any free one.
    pub fn tcp(host: Host, port: u16) -> Self {
        Self { scheme: Scheme::Tcp, place: Place::Network { host, port, path: String::new() } }
    }

    /// What is spoken there.
    pub fn scheme(&self) -> Scheme {
        self.scheme
    }

    /// Where on this machine; `None` for a unix socket.
    pub fn host(&self) -> Option<&Host> {
        match &self.place {
            Place::Network { host, .. } => Some(host),
            Place::File(_) => None,
        }
    }

    /// The port, 0 for any free one; `None` for a unix socket.
    pub fn port(&self) -> Option<u16> {
        match self.place {
            Place::Network { port, .. } => Some(port),
            Place::File(_) => None,
        }
    }

    /// What a WebSocket asks for: `/mqtt` unless the URL says otherwise; `None` without WebSocket.
    pub fn websocket_path(&self) -> Option<&str> {
        match &self.place {
            Place::Network { path, .. } if self.scheme.is_websocket() => Some(path),
            _ => None,
        }
    }

    /// The file of a unix socket.
    pub fn socket_path(&self) -> Option<&Path> {
        match &self.place {
            Place::Network { .. } => None,
            Place::File(path) => Some(path),
        }
    }

    /// Whether only one of the two can be listened on: they have the same host and port or the same file, whatever is
    /// spoken there.
    pub fn is_in_place_of(&self, other: &Self) -> bool {
        match (&self.place, &other.place) {
            (Place::File(path), Place::File(other)) => path == other,
            (
                Place::Network { host, port, .. },
                Place::Network { host: other_host, port: other_port, .. },
            ) => (host, port) == (other_host, other_port),
            _ => false,
        }
    }

    /// The same, at the one address that has been bound.
    pub(crate) fn at(&self, address: SocketAddr) -> Self {
        let path = self.websocket_path().unwrap_or_default().into();
        let place = Place::Network { host: Host::Address(address.ip()), port: address.port(), path };
        Self { scheme: self.scheme, place }
    }
}

impl Scheme {
    /// Whether there is TLS below.
    pub fn is_tls(self) -> bool {
        matches!(self, Self::Tls | Self::Wss)
    }

    /// Whether there is a WebSocket below.
    pub fn is_websocket(self) -> bool {
        matches!(self, Self::Ws | Self::Wss)
    }
}

impl FromStr for ListenUrl {
    type Err = ListenUrlError;

    fn from_str(text: &str) -> Result<Self, ListenUrlError> {
        let (scheme, rest) = split_scheme(text)?;
        if scheme == Scheme::Unix {
            return Ok(Self { scheme, place: Place::File(parse_socket_path(rest)?) });
        }
        let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
        let (authority, rest) = rest.split_at(end);
        let path = parse_path(scheme, rest)?;
        let (host, port) = split_port(authority)?;
        Ok(Self { scheme, place: Place::Network { host: parse_host(host)?, port: parse_port(port)?, path } })
    }
}

impl fmt::Display for ListenUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.place {
            Place::Network { host, port, path } => write!(f, "{}://{host}:{port}{path}", self.scheme),
            Place::File(path) => write!(f, "{}:{}", self.scheme, path.display()),
        }
    }
}

impl fmt::Display for Scheme {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Tcp => "tcp",
            Self::Tls => "tls",
            Self::Ws => "ws",
            Self::Wss => "wss",
            Self::Unix => "unix",
        })
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Localhost => f.write_str("localhost"),
            Self::Any => f.write_str("*"),
            Self::Address(IpAddr::V4(address)) => write!(f, "{address}"),
            Self::Address(IpAddr::V6(address)) => write!(f, "[{address}]"),
            Self::Name(name) => f.write_str(name),
        }
    }
}

/// The scheme and what follows it. Schemes have no case (RFC 3986 §3.1).
fn split_scheme(text: &str) -> Result<(Scheme, &str), ListenUrlError> {
    // A unix socket is written with or without slashes: `unix:/run/noctule.sock`.
    if text.get(..5).is_some_and(|start| start.eq_ignore_ascii_case("unix:")) {
        return Ok((Scheme::Unix, &text[5..]));
    }
    let (scheme, rest) = text.split_once("://").ok_or(ListenUrlError::NoScheme)?;
    match scheme.to_ascii_lowercase().as_str() {
        "tcp" => Ok((Scheme::Tcp, rest)),
        "tls" => Ok((Scheme::Tls, rest)),
        "ws" => Ok((Scheme::Ws, rest)),
        "wss" => Ok((Scheme::Wss, rest)),
        _ => Err(ListenUrlError::UnknownScheme { scheme: scheme.into() }),
    }
}

/// A path of the file system, with `//` before it or without.
fn parse_socket_path(text: &str) -> Result<PathBuf, ListenUrlError> {
    let bad = || ListenUrlError::BadSocketPath { path: text.into() };
    let path = match text.strip_prefix("//") {
        // `unix://run/noctule.sock` would be the host `run`.
        Some(path) if !path.starts_with('/') => return Err(bad()),
        Some(path) => path,
        None => text,
    };
    if path.is_empty() || path.ends_with('/') || path.len() > SOCKET_PATH_BYTES_MAX || path.contains('\0') {
        return Err(bad());
    }
    Ok(path.into())
}

/// The path of a WebSocket; nobody else has one.
fn parse_path(scheme: Scheme, rest: &str) -> Result<String, ListenUrlError> {
    if !scheme.is_websocket() {
        return match rest {
            "" | "/" => Ok(String::new()),
            _ => Err(ListenUrlError::Trailing { rest: rest.into(), scheme }),
        };
    }
    match rest.find(['?', '#']) {
        Some(at) => Err(ListenUrlError::Trailing { rest: rest[at..].into(), scheme }),
        None if rest.is_empty() => Ok(WEBSOCKET_PATH.into()),
        None if rest.bytes().all(|byte| byte.is_ascii_graphic()) => Ok(rest.into()),
        None => Err(ListenUrlError::BadPath { path: rest.into() }),
    }
}

/// `HOST:PORT` as host and port; colons inside brackets belong to the host.
fn split_port(authority: &str) -> Result<(&str, &str), ListenUrlError> {
    match authority.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => Ok((host, port)),
        _ => Err(ListenUrlError::NoPort),
    }
}

fn parse_host(host: &str) -> Result<Host, ListenUrlError> {
    if host.is_empty() {
        return Err(ListenUrlError::NoHost);
    }
    let bad = || ListenUrlError::BadHost { host: host.into() };
    if let Some(inner) = host.strip_prefix('[') {
        let inner = inner.strip_suffix(']').ok_or_else(bad)?;
        let address: Ipv6Addr = inner.parse().map_err(|_| bad())?;
        return Ok(Host::Address(address.into()));
    }
    if let Ok(address) = host.parse::<Ipv4Addr>() {
        return Ok(Host::Address(address.into()));
    }
    if host == "*" {
        return Ok(Host::Any);
    }
    if host.eq_ignore_ascii_case("localhost") {
        return Ok(Host::Localhost);
    }
    if is_host_name(host) { Ok(Host::Name(host.into())) } else { Err(bad()) }
}

/// Whether a name service can be asked for this. A name of digits and dots only is a mistyped address.
fn is_host_name(host: &str) -> bool {
    host.len() <= HOST_NAME_BYTES_MAX
        && host.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_'))
        && host.bytes().any(|byte| byte.is_ascii_alphabetic())
        && !host.starts_with(['.', '-'])
}

fn parse_port(port: &str) -> Result<u16, ListenUrlError> {
    let bad = || ListenUrlError::BadPort { port: port.into() };
    // `u16::from_str` would also take a sign.
    if port.is_empty() || !port.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(bad());
    }
    port.parse().map_err(|_| bad())
}

/// Longest name a name service knows, in bytes (RFC 1035 §2.3.4 without the closing dot).
const HOST_NAME_BYTES_MAX: usize = 253;

/// Longest path of a socket: 108 bytes in `sockaddr_un` with the closing NUL (unix(7)).
const SOCKET_PATH_BYTES_MAX: usize = 107;

/// What clients of MQTT over WebSocket ask for unless told otherwise.
pub(crate) const WEBSOCKET_PATH: &str = "/mqtt";

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<ListenUrl, ListenUrlError> {
        text.parse()
    }

    fn host(text: &str) -> Host {
        parse(text).unwrap().host().unwrap().clone()
    }

    #[test]
    fn good_urls_keep_their_form() {
        for (text, shown) in [
            ("tcp://localhost:1883", "tcp://localhost:1883"),
            ("TCP://LocalHost:0", "tcp://localhost:0"),
            ("tcp://127.0.0.1:1883/", "tcp://127.0.0.1:1883"),
            ("tcp://0.0.0.0:65535", "tcp://0.0.0.0:65535"),
            ("tcp://[::1]:1883", "tcp://[::1]:1883"),
            ("tcp://[::]:1", "tcp://[::]:1"),
            ("tcp://*:1883", "tcp://*:1883"),
            ("ws://*:8083/*", "ws://*:8083/*"),
            ("tcp://[2001:DB8::1]:1883", "tcp://[2001:db8::1]:1883"),
            ("tcp://broker-1.my_lab.example:1883", "tcp://broker-1.my_lab.example:1883"),
            ("TLS://[::]:8883", "tls://[::]:8883"),
            ("ws://localhost:8083", "ws://localhost:8083/mqtt"),
            ("ws://localhost:8083/", "ws://localhost:8083/"),
            ("wss://localhost:8084/a/b", "wss://localhost:8084/a/b"),
            ("unix:/run/noctule.sock", "unix:/run/noctule.sock"),
            ("UNIX:///run/noctule.sock", "unix:/run/noctule.sock"),
            ("unix:noctule.sock", "unix:noctule.sock"),
        ] {
            let url = parse(text).unwrap_or_else(|error| panic!("{text}: {error}"));
            assert_eq!(url.to_string(), shown);
            assert_eq!(parse(shown), Ok(url), "what is shown is read back");
        }
    }

    #[test]
    fn hosts_are_told_apart() {
        assert_eq!(host("tcp://localhost:1"), Host::Localhost);
        assert_eq!(host("tcp://*:1"), Host::Any);
        assert_eq!(host("wss://[::1]:1"), Host::Address(Ipv6Addr::LOCALHOST.into()));
        assert_eq!(host("tls://127.0.0.1:1"), Host::Address(Ipv4Addr::LOCALHOST.into()));
        assert_eq!(host("ws://localhost.lan:1/x"), Host::Name("localhost.lan".into()));
    }

    #[test]
    fn a_unix_socket_has_a_path_and_no_port() {
        let url = parse("unix:/run/noctule.sock").unwrap();
        assert_eq!(url.socket_path(), Some(Path::new("/run/noctule.sock")));
        assert_eq!((url.host(), url.port(), url.websocket_path()), (None, None, None));
    }

    #[test]
    fn only_a_websocket_has_a_path_to_ask_for() {
        assert_eq!(parse("ws://localhost:1").unwrap().websocket_path(), Some("/mqtt"));
        assert_eq!(parse("wss://localhost:1/x").unwrap().websocket_path(), Some("/x"));
        assert_eq!(parse("tls://localhost:1").unwrap().websocket_path(), None);
    }

    #[test]
    fn bad_urls_say_what_is_wrong() {
        use ListenUrlError as E;
        for (text, error) in [
            ("", E::NoScheme),
            ("1883", E::NoScheme),
            ("localhost:1883", E::NoScheme),
            ("é", E::NoScheme),
            ("mqtt://localhost:1883", E::UnknownScheme { scheme: "mqtt".into() }),
            ("://localhost:1883", E::UnknownScheme { scheme: String::new() }),
            ("tcp://", E::NoPort),
            ("tcp://localhost", E::NoPort),
            ("tcp://[::1]", E::NoPort),
            ("tcp://:1883", E::NoHost),
            ("tcp://localhost:", E::BadPort { port: String::new() }),
            ("tcp://localhost:65536", E::BadPort { port: "65536".into() }),
            ("tcp://localhost:+1", E::BadPort { port: "+1".into() }),
            ("tcp://localhost:mqtt", E::BadPort { port: "mqtt".into() }),
            ("tcp://localhost:1883/mqtt", E::Trailing { rest: "/mqtt".into(), scheme: Scheme::Tcp }),
            ("tls://localhost:1883?a", E::Trailing { rest: "?a".into(), scheme: Scheme::Tls }),
            ("ws://localhost:1883/a?b", E::Trailing { rest: "?b".into(), scheme: Scheme::Ws }),
            ("ws://localhost:1883/a b", E::BadPath { path: "/a b".into() }),
            ("ws://localhost:1883/é", E::BadPath { path: "/é".into() }),
            ("unix:", E::BadSocketPath { path: String::new() }),
            ("unix://run/x.sock", E::BadSocketPath { path: "//run/x.sock".into() }),
            ("unix:/run/", E::BadSocketPath { path: "/run/".into() }),
            ("unix:/a\0b", E::BadSocketPath { path: "/a\0b".into() }),
            ("tcp://::1:1883", E::BadHost { host: "::1".into() }),
            ("tcp://[::1:1883", E::BadHost { host: "[::1".into() }),
            ("tcp://[127.0.0.1]:1883", E::BadHost { host: "[127.0.0.1]".into() }),
            ("tcp://127.0.0.256:1883", E::BadHost { host: "127.0.0.256".into() }),
            ("tcp://*.lan:1883", E::BadHost { host: "*.lan".into() }),
            ("tcp://me@localhost:1883", E::BadHost { host: "me@localhost".into() }),
            ("tcp://-a:1883", E::BadHost { host: "-a".into() }),
        ] {
            assert_eq!(parse(text), Err(error), "{text}");
        }
    }

    #[test]
    fn a_host_name_has_253_bytes_at_most() {
        let longest = "a".repeat(253);
        assert!(parse(&format!("tcp://{longest}:1")).is_ok());
        assert!(parse(&format!("tcp://{longest}a:1")).is_err());
    }

    #[test]
    fn a_socket_path_has_107_bytes_at_most() {
        let longest = format!("/{}", "a".repeat(106));
        assert!(parse(&format!("unix:{longest}")).is_ok());
        assert!(parse(&format!("unix:{longest}a")).is_err());
    }
}
