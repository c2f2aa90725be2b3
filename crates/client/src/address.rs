//! Where the server is, as a user writes it.

use noctule_codec::ProtocolVersion;
use std::path::PathBuf;
use std::time::Duration;
use url::{Url, form_urlencoded};

/// What is wrong with the address of a server.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AddressError {
    /// It is no URL.
    #[error("{text} is no address of a server: {reason}; write for example mqtt://localhost:1883")]
    NotAUrl {
        /// What was written, without a password.
        text: String,
        /// What is wrong with it.
        reason: String,
    },
    /// It has a scheme that is not spoken.
    #[error("{scheme}:// is not spoken; mqtt, mqtts, ws, wss and unix are")]
    Scheme {
        /// The scheme.
        scheme: String,
    },
    /// This build does not speak it.
    #[error("{scheme}:// needs the feature {feature} of noctule-client")]
    Feature {
        /// The scheme.
        scheme: String,
        /// The feature to turn on.
        feature: &'static str,
    },
    /// It names no host.
    #[error("the address names no host")]
    NoHost,
    /// Part of it is no text.
    #[error("the {part} in the address is no UTF-8 once its percent signs are resolved")]
    NotText {
        /// Which part.
        part: &'static str,
    },
    /// A query key that means nothing.
    #[error("{key} in the address means nothing; keepalive, clientid, version, clean and expiry do")]
    Key {
        /// The key.
        key: String,
    },
    /// A query value that cannot be read.
    #[error("{key}={value} in the address cannot be read; {wanted} is wanted")]
    Value {
        /// The key.
        key: String,
        /// The value.
        value: String,
        /// What could stand there.
        wanted: &'static str,
    },
}

/// A place to dial, and what is spoken below MQTT.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Address {
    /// TCP, with TLS, WebSocket or both.
    Network { host: String, port: u16, tls: bool, websocket: Option<String> },
    /// A socket in the file system.
    Unix(PathBuf),
}

/// Everything an address can say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Written {
    pub(crate) address: Address,
    pub(crate) user_name: Option<String>,
    pub(crate) password: Option<Vec<u8>>,
    /// The path of mqtt:// and mqtts://; empty, or it ends with `/`.
    pub(crate) prefix: String,
    pub(crate) keep_alive_seconds: Option<u16>,
    pub(crate) client_id: Option<String>,
    pub(crate) version: Option<ProtocolVersion>,
    pub(crate) clean_start: Option<bool>,
    pub(crate) session_expiry: Option<Duration>,
}

impl Address {
    /// The port where nothing else is said.
    pub(crate) fn default_port(tls: bool, is_websocket: bool) -> u16 {
        match (tls, is_websocket) {
            (false, false) => 1883,
            (true, false) => 8883,
            (false, true) => 80,
            (true, true) => 443,
        }
    }

    /// What the query says to the server and not to this client.
    fn add_query(&mut self, pairs: &[&str]) {
        if let Self::Network { websocket: Some(path), .. } = self
            && !pairs.is_empty()
        {
            *path = format!("{path}?{}", pairs.join("&"));
        }
    }

    /// Host and port, or the path of a socket, for messages.
    pub(crate) fn place(&self) -> String {
        match self {
            Self::Network { host, port, .. } if host.contains(':') => format!("[{host}]:{port}"),
            Self::Network { host, port, .. } => format!("{host}:{port}"),
            Self::Unix(path) => path.display().to_string(),
        }
    }
}

impl Written {
    /// Reads what a user has written.
    pub(crate) fn parse(text: &str) -> Result<Self, AddressError> {
        if let Some(path) = text.strip_prefix("unix:") {
            let path = path.strip_prefix("//").unwrap_or(path);
            return Ok(Self::at(Address::Unix(path.into())));
        }
        let url = Url::parse(text).map_err(|error| not_a_url(text, &error.to_string()))?;
        let mut written = Self::at(network(&url)?);
        if !url.username().is_empty() {
            written.user_name = Some(decode(url.username(), "user name")?);
        }
        written.password = url.password().map(decode_bytes);
        if matches!(url.scheme(), "mqtt" | "mqtts") {
            written.prefix = prefix(&decode(url.path(), "path")?);
        }
        let mut others = Vec::new();
        for pair in url.query().unwrap_or("").split('&') {
            let Some((key, value)) = form_urlencoded::parse(pair.as_bytes()).next() else { continue };
            match written.set(&key, &value) {
                Err(AddressError::Key { .. }) if written.is_websocket() => others.push(pair),
                result => result?,
            }
        }
        written.address.add_query(&others);
        Ok(written)
    }

    fn is_websocket(&self) -> bool {
        matches!(self.address, Address::Network { websocket: Some(_), .. })
    }

    fn at(address: Address) -> Self {
        Self {
            address,
            user_name: None,
            password: None,
            prefix: String::new(),
            keep_alive_seconds: None,
            client_id: None,
            version: None,
            clean_start: None,
            session_expiry: None,
        }
    }

    fn set(&mut self, key: &str, value: &str) -> Result<(), AddressError> {
        let wrong = |wanted| AddressError::Value { key: key.to_owned(), value: value.to_owned(), wanted };
        match key {
            "keepalive" => {
                let seconds = value.parse().map_err(|_| wrong("a number of seconds up to 65535"))?;
                self.keep_alive_seconds = Some(seconds);
            }
            "clientid" => self.client_id = Some(value.to_owned()),
            "version" => self.version = Some(version(value).ok_or_else(|| wrong("5, 3.1.1 or 3.1"))?),
            "clean" => self.clean_start = Some(value.parse().map_err(|_| wrong("true or false"))?),
            "expiry" => {
                let seconds = value.parse::<u32>().map_err(|_| wrong("a number of seconds"))?;
                self.session_expiry = Some(Duration::from_secs(seconds.into()));
            }
            _ => return Err(AddressError::Key { key: key.to_owned() }),
        }
        Ok(())
    }
}

fn network(url: &Url) -> Result<Address, AddressError> {
    let (tls, is_websocket) = match url.scheme() {
        "mqtt" | "tcp" => (false, false),
        "mqtts" | "tls" | "ssl" => (true, false),
        "ws" => (false, true),
        "wss" => (true, true),
        scheme => return Err(AddressError::Scheme { scheme: scheme.to_owned() }),
    };
    let lacks = |feature| AddressError::Feature { scheme: url.scheme().to_owned(), feature };
    if tls && !cfg!(feature = "tls") {
        return Err(lacks("tls"));
    }
    if is_websocket && !cfg!(feature = "websocket") {
        return Err(lacks("websocket"));
    }
    let host = url.host_str().filter(|host| !host.is_empty()).ok_or(AddressError::NoHost)?;
    let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    let path = if matches!(url.path(), "" | "/") { "/mqtt" } else { url.path() };
    Ok(Address::Network {
        host: decode(host, "host")?,
        port: url.port().unwrap_or_else(|| Address::default_port(tls, is_websocket)),
        tls,
        websocket: is_websocket.then(|| path.to_owned()),
    })
}

/// The topics of a client whose address has a path are below that.
fn prefix(path: &str) -> String {
    match path.trim_matches('/') {
        "" => String::new(),
        path => format!("{path}/"),
    }
}

fn version(value: &str) -> Option<ProtocolVersion> {
    match value {
        "5" | "5.0" => Some(ProtocolVersion::V5),
        "3.1.1" | "4" => Some(ProtocolVersion::V3_1_1),
        "3.1" | "3" => Some(ProtocolVersion::V3_1),
        _ => None,
    }
}

/// Resolves percent signs in what is text.
pub(crate) fn decode(text: &str, part: &'static str) -> Result<String, AddressError> {
    String::from_utf8(decode_bytes(text)).map_err(|_| AddressError::NotText { part })
}

/// Resolves percent signs.
fn decode_bytes(text: &str) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, after @ ..] = rest {
        let escaped = (*first == b'%').then(|| after.get(..2)).flatten().and_then(hex);
        bytes.push(escaped.unwrap_or(*first));
        rest = if escaped.is_some() { &after[2..] } else { after };
    }
    bytes
}

fn hex(digits: &[u8]) -> Option<u8> {
    let digits = std::str::from_utf8(digits).ok().filter(|digits| !digits.starts_with('+'))?;
    u8::from_str_radix(digits, 16).ok()
}

/// What was written may have a password in it, which no message repeats.
pub(crate) fn not_a_url(text: &str, reason: &str) -> AddressError {
    let text = match (text.split_once("://"), text.rsplit_once('@')) {
        (Some((scheme, _)), Some((_, host))) => format!("{scheme}://…@{host}"),
        _ => text.to_owned(),
    };
    AddressError::NotAUrl { text, reason: reason.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn network(text: &str) -> (String, u16, bool, Option<String>) {
        match Written::parse(text).expect("an address").address {
            Address::Network { host, port, tls, websocket } => (host, port, tls, websocket),
            Address::Unix(path) => panic!("{path:?}"),
        }
    }

    #[test]
    fn the_scheme_says_what_is_spoken_and_on_which_port() {
        assert_eq!(network("mqtt://localhost"), ("localhost".into(), 1883, false, None));
        assert_eq!(network("mqtt://[::1]:1884"), ("::1".into(), 1884, false, None));
        #[cfg(feature = "tls")]
        assert_eq!(network("mqtts://h/x"), ("h".into(), 8883, true, None));
        #[cfg(feature = "websocket")]
        assert_eq!(network("ws://h"), ("h".into(), 80, false, Some("/mqtt".into())));
        #[cfg(all(feature = "tls", feature = "websocket"))]
        assert_eq!(network("wss://h:8/p/q"), ("h".into(), 8, true, Some("/p/q".into())));
        for unix in ["unix:/run/m.sock", "unix:///run/m.sock"] {
            let written = Written::parse(unix).expect("an address");
            assert_eq!(written.address, Address::Unix("/run/m.sock".into()));
        }
    }

    #[cfg(feature = "websocket")]
    #[test]
    fn a_query_of_websocket_is_the_servers_where_it_means_nothing_here() {
        let text = "ws://h/mqtt?token=a%2Bb&keepalive=30&sig=x%3D";
        assert_eq!(network(text).3.as_deref(), Some("/mqtt?token=a%2Bb&sig=x%3D"));
        assert_eq!(Written::parse(text).expect("an address").keep_alive_seconds, Some(30));
    }

    #[test]
    fn everything_else_can_be_said_too() {
        let text =
            "mqtt://us%65r:p%40ss@h/plant/7?keepalive=30&clientid=c&version=3.1.1&clean=false&expiry=60";
        let written = Written::parse(text).expect("an address");
        assert_eq!(
            (written.user_name.as_deref(), written.password.as_deref()),
            (Some("user"), Some(&b"p@ss"[..]))
        );
        assert_eq!((&*written.prefix, written.keep_alive_seconds), ("plant/7/", Some(30)));
        assert_eq!((written.client_id.as_deref(), written.clean_start), (Some("c"), Some(false)));
        assert_eq!(written.version, Some(ProtocolVersion::V3_1_1));
        assert_eq!(written.session_expiry, Some(Duration::from_secs(60)));
    }

    #[test]
    fn what_is_wrong_is_named_and_no_password_repeated() {
        let error = |text| Written::parse(text).expect_err("not an address");
        assert!(matches!(error("http://h"), AddressError::Scheme { .. }));
        assert!(matches!(error("mqtt:///x"), AddressError::NoHost));
        assert!(matches!(error("mqtt://h?keep_alive=3"), AddressError::Key { .. }));
        assert!(matches!(error("mqtt://h?keepalive=soon"), AddressError::Value { .. }));
        assert!(matches!(error("mqtt://u%ff@h"), AddressError::NotText { .. }));
        let message = error("mqtt://u:secret@h:port").to_string();
        assert!(!message.contains("secret") && message.contains("@h:port"), "{message}");
    }
}
