//! Who a client is: the names it goes by and where it comes from.

use crate::rules::{Grants, Names};
use core::net::{IpAddr, Ipv4Addr};
use std::fmt;
use std::sync::Arc;

/// A client that has been let in.
///
/// It is made when the client connects and kept as long as its session, so that rights are decided the same way for a
/// message that comes later and for a will. Two identities are equal if they are the same client from the same place;
/// what has been worked out about their rights does not matter.
#[derive(Clone)]
pub struct Identity {
    /// The client identifier.
    pub client_id: Arc<str>,
    /// User name, or what stands for it in a certificate.
    pub user_name: Option<Box<str>>,
    /// The groups of that user.
    pub groups: Groups,
    /// Where the client comes from.
    pub origin: Origin,
    /// What the rules say about it, if they have been gone through.
    pub(crate) grants: Option<Arc<Grants>>,
}

/// Where a connection comes from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Origin {
    /// The address of the other end.
    pub address: Address,
    /// The listener that took the connection.
    pub listener: Listener,
    /// The certificate that the client has shown and that was found valid.
    pub certificate: Option<Arc<Certificate>>,
}

/// The groups of a user. They are shared: a copy is a pointer, since every session has one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Groups(Option<Arc<Box<[Box<str>]>>>);

/// The name of a listener, empty where it has none. It is shared like [`Groups`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Listener(Option<Arc<Box<str>>>);

/// The other end of a connection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Address {
    /// Not known: no rule about addresses is about it.
    #[default]
    Unknown,
    /// A socket of this machine's file system.
    Local,
    /// An IP address; IPv4 addresses that are written as IPv6 count as IPv4.
    Ip(IpAddr),
}

/// The names in a client's certificate that has been verified.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Certificate {
    /// The common name of the subject.
    pub common_name: Option<Box<str>>,
    /// The whole subject, as RFC 4514 writes it: `CN=sensor,O=plant`.
    pub subject: Option<Box<str>>,
    /// The alternative names of the subject: DNS names, addresses, URIs and e-mail addresses as text.
    pub alternative_names: Box<[Box<str>]>,
    /// SHA-256 of the certificate, 64 lower-case hexadecimal digits.
    pub fingerprint: Box<str>,
}

impl Identity {
    /// A client of which nothing else is known.
    pub fn new(client_id: impl Into<Arc<str>>, user_name: Option<Box<str>>) -> Self {
        Self {
            client_id: client_id.into(),
            user_name,
            groups: Groups::default(),
            origin: Origin::default(),
            grants: None,
        }
    }

    /// What rules may be filled with.
    pub(crate) fn names(&self) -> Names<'_> {
        Names { user: self.user_name.as_deref(), client: &self.client_id }
    }
}

impl Groups {
    /// The groups.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        self.0.iter().flat_map(|groups| groups.iter()).map(|group| &**group)
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_none()
    }
}

impl<S: Into<Box<str>>> FromIterator<S> for Groups {
    fn from_iter<I: IntoIterator<Item = S>>(groups: I) -> Self {
        let groups: Box<[Box<str>]> = groups.into_iter().map(Into::into).collect();
        Self((!groups.is_empty()).then(|| Arc::new(groups)))
    }
}

impl Listener {
    /// The name.
    pub fn name(&self) -> &str {
        self.0.as_ref().map_or("", |name| name)
    }
}

impl From<&str> for Listener {
    fn from(name: &str) -> Self {
        Self((!name.is_empty()).then(|| Arc::new(name.into())))
    }
}

impl PartialEq for Identity {
    fn eq(&self, other: &Self) -> bool {
        self.client_id == other.client_id
            && self.user_name == other.user_name
            && self.groups == other.groups
            && self.origin == other.origin
    }
}

impl Eq for Identity {}

impl fmt::Debug for Identity {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { client_id, user_name, groups, origin, grants: _ } = self;
        let mut debug = formatter.debug_struct("Identity");
        debug.field("client_id", client_id).field("user_name", user_name);
        debug.field("groups", groups).field("origin", origin).finish_non_exhaustive()
    }
}

impl Address {
    /// Reads an address as the runtime writes it: `IP`, `IP:PORT`, `[IP]:PORT`, `unix` or `unix:…`. Anything else is
    /// unknown.
    pub fn parse(text: &str) -> Self {
        if text == "unix" || text.starts_with("unix:") {
            return Self::Local;
        }
        let socket = text.parse().map(|socket: core::net::SocketAddr| socket.ip());
        socket.or_else(|_| text.parse()).map_or(Self::Unknown, Self::from)
    }

    /// The address with a port, as the runtime writes it; only IP addresses have ports.
    pub fn with_port(&self, port: u16) -> String {
        match self {
            Self::Ip(ip) => core::net::SocketAddr::new(*ip, port).to_string(),
            Self::Local => "unix".to_owned(),
            Self::Unknown => self.to_string(),
        }
    }

    /// Whether the other end is on this machine.
    pub fn is_this_machine(&self) -> bool {
        match self {
            Self::Unknown => false,
            Self::Local => true,
            Self::Ip(ip) => ip.is_loopback(),
        }
    }
}

impl From<IpAddr> for Address {
    fn from(ip: IpAddr) -> Self {
        Self::Ip(ip.to_canonical())
    }
}

impl From<Ipv4Addr> for Address {
    fn from(ip: Ipv4Addr) -> Self {
        Self::Ip(ip.into())
    }
}

impl fmt::Display for Address {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown => formatter.write_str("an unknown address"),
            Self::Local => formatter.write_str("a local socket"),
            Self::Ip(ip) => ip.fmt(formatter),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_as_the_runtime_writes_them() {
        let cases = [
            ("127.0.0.1:1883", "127.0.0.1", true),
            ("[::1]:1883", "::1", true),
            ("[::ffff:127.0.0.1]:9", "127.0.0.1", true),
            ("::ffff:10.0.0.1", "10.0.0.1", false),
            ("192.168.1.2", "192.168.1.2", false),
            ("unix:/run/noctule.sock", "a local socket", true),
            ("unix", "a local socket", true),
            ("sim-3", "an unknown address", false),
            ("", "an unknown address", false),
        ];
        for (text, shown, is_this_machine) in cases {
            let address = Address::parse(text);
            assert_eq!((address.to_string().as_str(), address.is_this_machine()), (shown, is_this_machine));
        }
    }

    #[test]
    fn an_address_with_its_port_is_written_as_it_was_read() {
        for text in ["127.0.0.1:1883", "[::1]:1883", "unix"] {
            assert_eq!(Address::parse(text).with_port(1883), text);
        }
        assert_eq!(Address::Unknown.with_port(7), "an unknown address");
    }
}
