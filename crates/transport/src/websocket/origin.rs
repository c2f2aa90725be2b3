//! Which web pages may connect.
//!
//! A browser lets every page open a WebSocket to every host, also to one's own machine or home network, and
//! says with `Origin` which page it was. Programs that are no browsers send none and are not asked.

use std::net::IpAddr;

/// The pages that may connect besides those of the same host.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Origins {
    listed: Vec<String>,
}

impl Origins {
    /// Lists pages: `https://panel.example` is one origin, `panel.example` a host whatever its scheme and port,
    /// `*` every page, `null` pages that hide where they come from (such as files).
    pub fn listed(origins: impl IntoIterator<Item = String>) -> Self {
        Self { listed: origins.into_iter().collect() }
    }

    /// Whether a page from `origin` may connect to `host`, which is what the browser was told to connect to.
    ///
    /// On a loopback address the page has to be of this machine: a page of any host whose name server points to
    /// 127.0.0.1 would be of the same host as the broker (DNS rebinding).
    pub(super) fn allow(&self, origin: &str, host: &str, is_loopback: bool) -> bool {
        let page = host_of(origin);
        let is_own = page.is_some_and(|page| {
            page.eq_ignore_ascii_case(without_port(host)) && (!is_loopback || is_this_machine(page))
        });
        is_own || self.listed.iter().any(|listed| is_meant(listed, origin, page))
    }
}

fn is_meant(listed: &str, origin: &str, page: Option<&str>) -> bool {
    listed == "*"
        || listed.eq_ignore_ascii_case(origin)
        || page.is_some_and(|page| page.eq_ignore_ascii_case(listed))
}

/// The host of an origin such as `https://panel.example:8443`.
fn host_of(origin: &str) -> Option<&str> {
    origin.split_once("://").map(|(_, authority)| without_port(authority))
}

fn without_port(authority: &str) -> &str {
    match authority.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => host,
        _ => authority,
    }
}

fn is_this_machine(host: &str) -> bool {
    let address = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
    host.eq_ignore_ascii_case("localhost") || address.is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_of_the_same_host_may_connect() {
        let none = Origins::default();
        for (origin, host, expected) in [
            ("http://broker.lan", "broker.lan:8083", true),
            ("http://broker.lan:18083", "BROKER.lan:8083", true),
            ("https://[2001:db8::1]:8443", "[2001:db8::1]:8084", true),
            ("https://[2001:db8::1]", "[2001:db8::1]", true),
            ("http://evil.example", "broker.lan:8083", false),
            ("http://broker.lan.evil.example", "broker.lan:8083", false),
            ("null", "null", false),
            ("", "", false),
        ] {
            assert_eq!(none.allow(origin, host, false), expected, "{origin} to {host}");
        }
    }

    #[test]
    fn on_loopback_a_page_has_to_be_of_this_machine() {
        let none = Origins::default();
        for (origin, host, expected) in [
            ("http://localhost:3000", "localhost:8083", true),
            ("http://127.0.0.1:3000", "127.0.0.1:8083", true),
            ("http://[::1]:3000", "[::1]:8083", true),
            ("http://localhost:3000", "127.0.0.1:8083", false),
            ("http://rebound.example", "rebound.example:8083", false),
        ] {
            assert_eq!(none.allow(origin, host, true), expected, "{origin} to {host}");
        }
    }

    #[test]
    fn listed_pages_may_connect() {
        for (listed, origin, expected) in [
            ("https://panel.example", "https://panel.example", true),
            ("https://panel.example", "HTTPS://PANEL.example", true),
            ("https://panel.example", "http://panel.example", false),
            ("https://panel.example", "https://panel.example:8443", false),
            ("panel.example", "http://panel.example:8080", true),
            ("panel.example", "http://my.panel.example", false),
            ("*", "http://evil.example", true),
            ("null", "null", true),
            ("", "http://evil.example", false),
        ] {
            let origins = Origins::listed([listed.to_owned()]);
            assert_eq!(origins.allow(origin, "broker.lan", true), expected, "{listed} and {origin}");
        }
    }
}
