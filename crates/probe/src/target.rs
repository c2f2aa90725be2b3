//! Where the broker is.

use std::fmt;
use std::net::{SocketAddr, TcpStream, ToSocketAddrs as _};
use std::str::FromStr;
use std::time::Duration;

use thiserror::Error;

use crate::Error;

/// `mqtt://HOST[:PORT]`: a broker reached over TCP.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    host: String,
    port: u16,
}

/// Why a text is no [`Target`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum TargetError {
    /// Another scheme, or none.
    #[error("write it as mqtt://HOST:PORT; plain TCP is all there is today")]
    Scheme,
    /// Nothing between the slashes and the port.
    #[error("the host is missing; write it as mqtt://HOST:PORT")]
    Host,
    /// Not a number from 1 to 65535.
    #[error("the port is a number from 1 to 65535")]
    Port,
}

impl Target {
    /// The first of the host's addresses that takes a connection. Blocks, at most five seconds per address.
    pub(crate) fn reach(&self) -> Result<SocketAddr, Error> {
        let host = self.host.trim_start_matches('[').trim_end_matches(']');
        let resolve = |source| Error::Resolve { host: self.host.clone(), source };
        let addresses: Vec<SocketAddr> = (host, self.port).to_socket_addrs().map_err(resolve)?.collect();
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
        let authority = text.strip_prefix("mqtt://").ok_or(TargetError::Scheme)?.trim_end_matches('/');
        let (host, port) = match authority.rsplit_once(':') {
            // The colons of an address without a port lie within its brackets.
            Some((host, port)) if !port.ends_with(']') => {
                (host, port.parse().map_err(|_| TargetError::Port)?)
            }
            _ => (authority, DEFAULT_PORT),
        };
        if host.is_empty() {
            return Err(TargetError::Host);
        }
        if port == 0 {
            return Err(TargetError::Port);
        }
        Ok(Self { host: host.to_owned(), port })
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "mqtt://{}:{}", self.host, self.port)
    }
}

/// The port registered for MQTT.
const DEFAULT_PORT: u16 = 1883;

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
            ("mqtts://localhost", TargetError::Scheme),
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
