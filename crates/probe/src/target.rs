//! Where the broker is.

use std::fmt;
use std::net::{SocketAddr, TcpStream, ToSocketAddrs as _};
use std::str::FromStr;
use std::time::Duration;

use thiserror::Error;

use noctule_transport::{Authorities, ClientTls, ServerIdentity, Stream, WhatFollows};

use crate::Error;

/// `SCHEME://HOST[:PORT][/PATH]`: where a broker is, and through what it is reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    scheme: Scheme,
    host: String,
    port: u16,
    /// Where the WebSocket is; only WebSocket has one.
    path: String,
}

/// What is spoken below MQTT.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Scheme {
    Mqtt,
    Mqtts,
    Ws,
    Wss,
}

/// Why a text is no [`Target`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum TargetError {
    /// Another scheme, or none.
    #[error("write it as mqtt://HOST:PORT, mqtts://HOST:PORT, ws://HOST:PORT/PATH or wss://HOST:PORT/PATH")]
    Scheme,
    /// Nothing between the slashes and the port.
    #[error("the host is missing; write it as mqtt://HOST:PORT")]
    Host,
    /// Something behind the port where no path is.
    #[error("only ws:// and wss:// have a path")]
    Path,
    /// Not a number from 1 to 65535.
    #[error("the port is a number from 1 to 65535")]
    Port,
}

impl Target {
    /// Whether it is reached through TLS.
    pub fn is_tls(&self) -> bool {
        matches!(self.scheme, Scheme::Mqtts | Scheme::Wss)
    }

    /// Whether it is reached through WebSocket.
    fn is_websocket(&self) -> bool {
        matches!(self.scheme, Scheme::Ws | Scheme::Wss)
    }

    /// How TLS is spoken with it, if it is.
    pub(crate) fn tls(&self, signers: &Authorities) -> Result<ClientTls, Error> {
        let follows = if self.is_websocket() { WhatFollows::WebSocket } else { WhatFollows::Mqtt };
        let tls = ClientTls::new(&ServerIdentity::SignedBy(signers.clone()), None, follows);
        tls.map_err(|error| Error::Tls(error.to_string()))
    }

    /// Has a stream that was dialled speak what is below MQTT. `tls` is used if [`is_tls`](Self::is_tls).
    pub(crate) fn prepare(&self, stream: &mut Stream, tls: Option<&ClientTls>) -> Result<(), Error> {
        if let Some(tls) = tls.filter(|_| self.is_tls()) {
            stream.dial_tls(tls, self.bare_host()).map_err(|error| Error::Tls(error.to_string()))?;
        }
        if self.is_websocket() {
            stream.dial_websocket(&format!("{}:{}", self.host, self.port), &self.path);
        }
        Ok(())
    }

    /// The host as certificates and name services have it.
    fn bare_host(&self) -> &str {
        self.host.trim_start_matches('[').trim_end_matches(']')
    }

    /// The first of the host's addresses that takes a connection. Blocks, at most five seconds per address.
    pub(crate) fn reach(&self) -> Result<SocketAddr, Error> {
        let resolve = |source| Error::Resolve { host: self.host.clone(), source };
        let addresses: Vec<SocketAddr> =
            (self.bare_host(), self.port).to_socket_addrs().map_err(resolve)?.collect();
        let mut failure = resolve(std::io::ErrorKind::NotFound.into());
        for address in addresses {
            match TcpStream::connect_timeout(&address, REACH_TIMEOUT) {
                Ok(_) => return Ok(address),
                Err(source) => failure = Error::Unreachable { address, source },
            }
        }
        Err(failure)
    }
}

impl FromStr for Target {
    type Err = TargetError;

    fn from_str(text: &str) -> Result<Self, TargetError> {
        let (scheme, rest) = text.split_once("://").ok_or(TargetError::Scheme)?;
        let scheme = Scheme::ALL.into_iter().find(|it| it.name() == scheme).ok_or(TargetError::Scheme)?;
        let (authority, path) = rest.find('/').map_or((rest, ""), |at| rest.split_at(at));
        let path = match scheme {
            Scheme::Ws | Scheme::Wss if path.is_empty() => DEFAULT_PATH,
            Scheme::Ws | Scheme::Wss => path,
            Scheme::Mqtt | Scheme::Mqtts if path.len() <= 1 => "",
            Scheme::Mqtt | Scheme::Mqtts => return Err(TargetError::Path),
        };
        let (host, port) = match authority.rsplit_once(':') {
            // The colons of an address without a port lie within its brackets.
            Some((host, port)) if !port.ends_with(']') => {
                (host, port.parse().map_err(|_| TargetError::Port)?)
            }
            _ => (authority, scheme.default_port()),
        };
        if host.is_empty() {
            return Err(TargetError::Host);
        }
        if port == 0 {
            return Err(TargetError::Port);
        }
        Ok(Self { scheme, host: host.to_owned(), port, path: path.to_owned() })
    }
}

impl Scheme {
    const ALL: [Self; 4] = [Self::Mqtt, Self::Mqtts, Self::Ws, Self::Wss];

    const fn name(self) -> &'static str {
        match self {
            Self::Mqtt => "mqtt",
            Self::Mqtts => "mqtts",
            Self::Ws => "ws",
            Self::Wss => "wss",
        }
    }

    /// The ports that are registered for MQTT and for the web.
    const fn default_port(self) -> u16 {
        match self {
            Self::Mqtt => 1883,
            Self::Mqtts => 8883,
            Self::Ws => 80,
            Self::Wss => 443,
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}:{}{}", self.scheme.name(), self.host, self.port, self.path)
    }
}

/// Where brokers speak MQTT over WebSocket if nobody says otherwise.
const DEFAULT_PATH: &str = "/mqtt";

const REACH_TIMEOUT: Duration = Duration::from_secs(5);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_and_ports_are_read() {
        for (text, shown) in [
            ("mqtt://localhost:1899", "mqtt://localhost:1899"),
            ("mqtt://broker", "mqtt://broker:1883"),
            ("mqtt://[::1]", "mqtt://[::1]:1883"),
            ("mqtt://[::1]:7/", "mqtt://[::1]:7"),
            ("mqtts://broker", "mqtts://broker:8883"),
            ("ws://broker", "ws://broker:80/mqtt"),
            ("ws://broker:8080/a/b", "ws://broker:8080/a/b"),
            ("wss://[::1]/", "wss://[::1]:443/"),
        ] {
            assert_eq!(
                text.parse::<Target>().map(|target| target.to_string()),
                Ok(shown.to_owned()),
                "{text}"
            );
        }
    }

    #[test]
    fn what_is_no_target_says_why() {
        for (text, error) in [
            ("localhost:1883", TargetError::Scheme),
            ("http://localhost", TargetError::Scheme),
            ("mqtt://a:1/path", TargetError::Path),
            ("mqtt://:1883", TargetError::Host),
            ("mqtt://", TargetError::Host),
            ("mqtt://a:b", TargetError::Port),
            ("mqtt://a:0", TargetError::Port),
            ("mqtt://a:65536", TargetError::Port),
        ] {
            assert_eq!(text.parse::<Target>(), Err(error), "{text}");
        }
    }
}
