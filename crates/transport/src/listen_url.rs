//! Where to listen, as an operator writes it: `tcp://HOST:PORT`.
//!
//! What has been parsed can be bound as far as its form goes: the scheme works, the port is a number and the
//! host is an address or a name with the characters of a name. Whether this machine has the address shows
//! when it is bound.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use thiserror::Error;

/// A place to listen.
///
/// ```
/// let url: noctule_transport::ListenUrl = "tcp://localhost:1883".parse()?;
/// assert_eq!(url.port(), 1883);
/// # Ok::<(), noctule_transport::ListenUrlError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ListenUrl {
    host: Host,
    port: u16,
}

/// The machine's side of a [`ListenUrl`].
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Host {
    /// `localhost`: 127.0.0.1 and ::1, whatever a name service says.
    Localhost,
    /// One address.
    Address(IpAddr),
    /// A name; every address it resolves to, asked when the listener is bound.
    Name(String),
}

/// Why a text is no [`ListenUrl`].
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ListenUrlError {
    /// There is no `://` (or, for unix sockets, no `unix:`).
    #[error("a scheme is missing; write for example tcp://localhost:1883")]
    NoScheme,
    /// A scheme that will work in a later version.
    #[error("{scheme} is not there yet; tcp is")]
    NotThereYet {
        /// The scheme as noctule will call it.
        scheme: &'static str,
    },
    /// A scheme nobody knows.
    #[error("unknown scheme {scheme:?}; tcp is there, as in tcp://localhost:1883")]
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
    /// Something follows the port.
    #[error("{rest:?} after the port has no meaning for tcp")]
    Trailing {
        /// What follows.
        rest: String,
    },
}

impl ListenUrl {
    /// The place `tcp://HOST:PORT`; port 0 stands for any free one.
    pub fn tcp(host: Host, port: u16) -> Self {
        Self { host, port }
    }

    /// Where on this machine.
    pub fn host(&self) -> &Host {
        &self.host
    }

    /// The port; 0 is any free one.
    pub fn port(&self) -> u16 {
        self.port
    }
}

impl FromStr for ListenUrl {
    type Err = ListenUrlError;

    fn from_str(text: &str) -> Result<Self, ListenUrlError> {
        let authority = strip_scheme(text)?;
        let end = authority.find(['/', '?', '#']).unwrap_or(authority.len());
        let (authority, rest) = authority.split_at(end);
        if !rest.is_empty() && rest != "/" {
            return Err(ListenUrlError::Trailing { rest: rest.into() });
        }
        let (host, port) = split_port(authority)?;
        Ok(Self { host: parse_host(host)?, port: parse_port(port)? })
    }
}

impl fmt::Display for ListenUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "tcp://{}:{}", self.host, self.port)
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Localhost => f.write_str("localhost"),
            Self::Address(IpAddr::V4(address)) => write!(f, "{address}"),
            Self::Address(IpAddr::V6(address)) => write!(f, "[{address}]"),
            Self::Name(name) => f.write_str(name),
        }
    }
}

/// What follows the scheme, if it is one that works. Schemes have no case (RFC 3986 §3.1).
fn strip_scheme(text: &str) -> Result<&str, ListenUrlError> {
    // A unix socket is written with or without slashes: `unix:/run/noctule.sock`.
    if text.get(..5).is_some_and(|start| start.eq_ignore_ascii_case("unix:")) {
        return Err(ListenUrlError::NotThereYet { scheme: "unix" });
    }
    let (scheme, rest) = text.split_once("://").ok_or(ListenUrlError::NoScheme)?;
    match scheme.to_ascii_lowercase().as_str() {
        "tcp" => Ok(rest),
        "tls" => Err(ListenUrlError::NotThereYet { scheme: "tls" }),
        "ws" => Err(ListenUrlError::NotThereYet { scheme: "ws" }),
        "wss" => Err(ListenUrlError::NotThereYet { scheme: "wss" }),
        _ => Err(ListenUrlError::UnknownScheme { scheme: scheme.into() }),
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

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<ListenUrl, ListenUrlError> {
        text.parse()
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
            ("tcp://[2001:DB8::1]:1883", "tcp://[2001:db8::1]:1883"),
            ("tcp://broker-1.my_lab.example:1883", "tcp://broker-1.my_lab.example:1883"),
        ] {
            let url = parse(text).unwrap_or_else(|error| panic!("{text}: {error}"));
            assert_eq!(url.to_string(), shown);
            assert_eq!(parse(shown), Ok(url), "what is shown is read back");
        }
    }

    #[test]
    fn hosts_are_told_apart() {
        assert_eq!(*parse("tcp://localhost:1").unwrap().host(), Host::Localhost);
        assert_eq!(*parse("tcp://[::1]:1").unwrap().host(), Host::Address(Ipv6Addr::LOCALHOST.into()));
        assert_eq!(*parse("tcp://127.0.0.1:1").unwrap().host(), Host::Address(Ipv4Addr::LOCALHOST.into()));
        assert_eq!(*parse("tcp://localhost.lan:1").unwrap().host(), Host::Name("localhost.lan".into()));
    }

    #[test]
    fn later_schemes_are_known_and_refused() {
        for (text, scheme) in [
            ("tls://localhost:8883", "tls"),
            ("ws://localhost:8083", "ws"),
            ("wss://localhost:8084", "wss"),
            ("unix:/run/noctule.sock", "unix"),
            ("UNIX:///run/noctule.sock", "unix"),
        ] {
            assert_eq!(parse(text), Err(ListenUrlError::NotThereYet { scheme }));
        }
        let error = parse("tls://localhost:8883").unwrap_err();
        assert_eq!(error.to_string(), "tls is not there yet; tcp is");
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
            ("tcp://localhost:1883/mqtt", E::Trailing { rest: "/mqtt".into() }),
            ("tcp://localhost:1883?a", E::Trailing { rest: "?a".into() }),
            ("tcp://::1:1883", E::BadHost { host: "::1".into() }),
            ("tcp://[::1:1883", E::BadHost { host: "[::1".into() }),
            ("tcp://[127.0.0.1]:1883", E::BadHost { host: "[127.0.0.1]".into() }),
            ("tcp://127.0.0.256:1883", E::BadHost { host: "127.0.0.256".into() }),
            ("tcp://*:1883", E::BadHost { host: "*".into() }),
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
}
