//! Where to go: to the server of the address, or to another one that a server has named (Server Reference).
//!
//! Invariants:
//! - Another server is gone to only where the policy allows it. User name, password and authentication go with this
//!   client only to hosts that the policy names.
//! - What is spoken stays the same: a TLS client stays one, and the other server proves that it is the host that was
//!   named.
//! - No more than [`HOPS_MAX`] servers in a row are gone to unless a connection has lasted.

use crate::address::Address;

/// What becomes of a server's wish that this client uses another server (0x9C, 0x9D). 5.0 only.
///
/// After 0x9C the next connection goes there, and the one after that to the address of this client again. After 0x9D
/// all do, as long as the other server can be reached. With [`Ignore`](Self::Ignore), and where the other server is
/// not allowed, this client comes back to its own address after a while.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum ServerReferences {
    /// They are told and not followed.
    #[default]
    Ignore,
    /// They are followed to these hosts, with user name, password and authentication. `*.broker.example` stands for
    /// every host below that name.
    Within(Vec<String>),
    /// They are followed to any host, where this client says neither user name nor password and does not authenticate.
    /// A client certificate is shown to whoever asks for it, as always.
    WithoutCredentials,
}

/// Where the next connection goes.
#[derive(Debug)]
pub(super) struct Whereabouts {
    policy: ServerReferences,
    elsewhere: Option<Elsewhere>,
    hops: u32,
}

/// Another server than that of the address.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Elsewhere {
    host: String,
    /// `None`: the one that the scheme of the address has.
    port: Option<u16>,
    is_for_good: bool,
}

impl Whereabouts {
    pub(super) fn new(policy: ServerReferences) -> Self {
        Self { policy, elsewhere: None, hops: 0 }
    }

    /// Where the next attempt goes.
    pub(super) fn address(&self, own: &Address) -> Address {
        match (&self.elsewhere, own) {
            (Some(Elsewhere { host, port, .. }), Address::Network { tls, websocket, .. }) => {
                Address::Network {
                    host: host.clone(),
                    port: port.unwrap_or_else(|| Address::default_port(*tls, websocket.is_some())),
                    tls: *tls,
                    websocket: websocket.clone(),
                }
            }
            _ => own.clone(),
        }
    }

    /// Whether the server there is told user name and password.
    pub(super) fn says_credentials(&self) -> bool {
        self.elsewhere.is_none() || self.policy != ServerReferences::WithoutCredentials
    }

    /// A server has named others, with spaces between them. Returns whether one of them is gone to.
    pub(super) fn refer(&mut self, reference: Option<&str>, is_for_good: bool) -> bool {
        let named = reference.unwrap_or_default().split(' ').filter_map(parse);
        let chosen = named.into_iter().find(|(host, _)| self.policy.allows(host));
        let Some((host, port)) = chosen.filter(|_| self.hops < HOPS_MAX) else { return false };
        self.hops += 1;
        self.elsewhere = Some(Elsewhere { host: host.to_owned(), port, is_for_good });
        true
    }

    /// A connection or an attempt has ended for another reason.
    pub(super) fn ended(&mut self, has_connected: bool) {
        self.elsewhere.take_if(|elsewhere| !elsewhere.is_for_good || !has_connected);
    }

    /// A connection has lasted.
    pub(super) fn settled(&mut self) {
        self.hops = 0;
    }
}

impl ServerReferences {
    fn allows(&self, host: &str) -> bool {
        match self {
            Self::Ignore => false,
            Self::Within(hosts) => hosts.iter().any(|pattern| is_within(host, pattern)),
            Self::WithoutCredentials => true,
        }
    }
}

fn is_within(host: &str, pattern: &str) -> bool {
    let Some(parent) = pattern.strip_prefix('*') else { return host.eq_ignore_ascii_case(pattern) };
    let below = host.len().checked_sub(parent.len()).and_then(|bytes| host.split_at_checked(bytes));
    parent.starts_with('.')
        && below.is_some_and(|(name, end)| !name.is_empty() && end.eq_ignore_ascii_case(parent))
}

/// `host`, `host:port`, `[host]` or `[host]:port`.
fn parse(reference: &str) -> Option<(&str, Option<u16>)> {
    let (host, rest) = match reference.strip_prefix('[') {
        Some(inside) => inside.split_once(']')?,
        None => reference.split_at(reference.find(':').unwrap_or(reference.len())),
    };
    let port = match rest.strip_prefix(':') {
        Some(port) => Some(port.parse().ok().filter(|port| *port > 0)?),
        None if rest.is_empty() => None,
        None => return None,
    };
    (!host.is_empty()).then_some((host, port))
}

/// How many servers in a row are gone to.
const HOPS_MAX: u32 = 5;

#[cfg(test)]
mod tests {
    use super::*;

    fn own() -> Address {
        Address::Network { host: "own".into(), port: 1999, tls: true, websocket: None }
    }

    fn place(whereabouts: &Whereabouts) -> String {
        whereabouts.address(&own()).place()
    }

    #[test]
    fn a_reference_is_a_host_with_or_without_a_port() {
        assert_eq!(parse("b"), Some(("b", None)));
        assert_eq!(parse("b:1884"), Some(("b", Some(1884))));
        assert_eq!(parse("[::1]:1884"), Some(("::1", Some(1884))));
        assert_eq!(parse("[::1]"), Some(("::1", None)));
        for text in ["", ":1", "b:", "b:0", "b:99999", "b:x", "[::1", "[]:1", "[::1]x"] {
            assert_eq!(parse(text), None, "{text}");
        }
    }

    #[test]
    fn nothing_is_followed_unless_it_is_allowed() {
        let mut whereabouts = Whereabouts::new(ServerReferences::default());
        assert!(!whereabouts.refer(Some("other:1"), true));
        assert_eq!(place(&whereabouts), "own:1999");
        let within = ["other".into(), "*.lan".into()];
        let mut whereabouts = Whereabouts::new(ServerReferences::Within(within.into()));
        for host in ["evil", "lan", ".lan", "xlan", "other.evil", "evil-other", "a.lan.evil"] {
            assert!(!whereabouts.refer(Some(host), true), "{host}");
        }
        assert!(whereabouts.refer(Some("evil OTHER:7"), true), "the first that is allowed");
        assert_eq!((place(&whereabouts), whereabouts.says_credentials()), ("OTHER:7".into(), true));
        assert!(whereabouts.refer(Some("a.b.LAN"), true));
        assert_eq!(place(&whereabouts), "a.b.LAN:8883", "the port of the scheme");
        assert!(!whereabouts.refer(None, true), "a server need not say which");
    }

    #[test]
    fn strangers_are_told_no_credentials() {
        let mut whereabouts = Whereabouts::new(ServerReferences::WithoutCredentials);
        assert!(whereabouts.says_credentials());
        assert!(whereabouts.refer(Some("stranger"), false));
        assert!(!whereabouts.says_credentials());
        whereabouts.ended(true);
        assert!(whereabouts.says_credentials(), "at home again");
    }

    #[test]
    fn for_a_while_is_one_connection_and_for_good_as_long_as_it_is_there() {
        let mut whereabouts = Whereabouts::new(ServerReferences::WithoutCredentials);
        assert!(whereabouts.refer(Some("b"), false));
        whereabouts.ended(true);
        assert_eq!(place(&whereabouts), "own:1999");
        assert!(whereabouts.refer(Some("c"), true));
        whereabouts.ended(true);
        assert_eq!(place(&whereabouts), "c:8883");
        whereabouts.ended(false);
        assert_eq!(place(&whereabouts), "own:1999");
    }

    #[test]
    fn servers_that_send_it_around_are_left() {
        let mut whereabouts = Whereabouts::new(ServerReferences::WithoutCredentials);
        let followed = (0..9).filter(|_| whereabouts.refer(Some("b"), false)).count();
        assert_eq!(followed, HOPS_MAX as usize);
        whereabouts.settled();
        assert!(whereabouts.refer(Some("b"), false));
    }
}
