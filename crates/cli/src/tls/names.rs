//! The names under which other machines may know this one.

use std::net::{IpAddr, UdpSocket};

/// The host name, the addresses it is reached by from outside as far as the routes tell, and the loopback.
pub(super) fn of_this_machine() -> Vec<String> {
    let uname = rustix::system::uname();
    let host = uname.nodename().to_string_lossy().into_owned();
    let mut names = Vec::new();
    if is_host_name(&host) {
        names.push(host);
    }
    names.extend(["0.0.0.0:0", "[::]:0"].into_iter().filter_map(outward_address).map(|ip| ip.to_string()));
    names.extend(["localhost", "127.0.0.1", "::1"].map(str::to_owned));
    let mut known = Vec::new();
    names.retain(|name| {
        let is_new = !known.contains(name);
        known.push(name.clone());
        is_new
    });
    names
}

/// The address this machine would send from to a distant one. Nothing is sent: a socket of this kind only looks at the
/// routes.
fn outward_address(any: &str) -> Option<IpAddr> {
    let socket = UdpSocket::bind(any).ok()?;
    // Addresses for documentation (RFC 5737, RFC 3849), which nobody has.
    let distant = if any.starts_with('[') { "[2001:db8::1]:9" } else { "192.0.2.1:9" };
    socket.connect(distant).ok()?;
    let address = socket.local_addr().ok()?.ip();
    (!address.is_unspecified() && !address.is_loopback()).then_some(address)
}

/// Whether a certificate can be for a host of this name.
pub(super) fn is_host_name(name: &str) -> bool {
    let is_label = |label: &str| {
        !label.is_empty()
            && label.len() <= 63
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
    };
    name.len() <= 253 && name.strip_prefix("*.").unwrap_or(name).split('.').all(is_label)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn host_names_are_told_from_what_cannot_be_one() {
        for name in ["broker", "broker.lan", "a-b.c_d.e1", "*.iot.lan"] {
            assert!(is_host_name(name), "{name}");
        }
        for name in ["", ".", "broker.", "a..b", "ä.lan", "a b", "a.*.lan", "a/b"] {
            assert!(!is_host_name(name), "{name:?}");
        }
    }

    #[test]
    fn this_machine_is_localhost_at_least() {
        let names = of_this_machine();
        for name in ["localhost", "127.0.0.1", "::1"] {
            assert_eq!(names.iter().filter(|known| *known == name).count(), 1, "{names:?}");
        }
    }
}
