//! What a name or an address has to look like for a rule to be about it.

use crate::identity::Address;
use core::net::IpAddr;

/// A name, or how a name begins: `sensor-7`, `sensor-*`, `*`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NamePattern {
    /// This name.
    Exact(Box<str>),
    /// Every name that begins like this.
    Prefix(Box<str>),
}

/// Addresses a rule is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AddressPattern {
    /// This machine: 127.0.0.0/8, ::1, and sockets of its file system.
    ThisMachine,
    /// Addresses that agree in their first bits.
    Network {
        /// The network, with all other bits zero.
        ip: IpAddr,
        /// How many bits have to agree: 0 to 32 for IPv4, 0 to 128 for IPv6.
        bits: u8,
    },
}

impl NamePattern {
    /// Reads `name`, `prefix*` or `*`.
    ///
    /// # Errors
    /// A `*` stands elsewhere than at the end.
    pub fn parse(text: &str) -> Result<Self, String> {
        let (name, is_prefix) = text.strip_suffix('*').map_or((text, false), |prefix| (prefix, true));
        match (name.contains('*'), is_prefix) {
            (true, _) => Err(format!("`*` in {text:?} can only be the last character")),
            (false, true) => Ok(Self::Prefix(name.into())),
            (false, false) => Ok(Self::Exact(name.into())),
        }
    }

    /// Whether it stands for this name.
    pub fn matches(&self, name: &str) -> bool {
        match self {
            Self::Exact(exact) => **exact == *name,
            Self::Prefix(prefix) => name.starts_with(&**prefix),
        }
    }
}

impl AddressPattern {
    /// Reads an address, a network (`10.0.0.0/8`, `fd00::/8`) or `loopback`.
    ///
    /// # Errors
    /// It is none of them, or the network has bits beyond its length.
    pub fn parse(text: &str) -> Result<Self, String> {
        if text == "loopback" {
            return Ok(Self::ThisMachine);
        }
        let (ip, bits) = text.split_once('/').map_or((text, None), |(ip, bits)| (ip, Some(bits)));
        let not_understood =
            || format!("{text:?} is no address: write 10.0.0.7, 10.0.0.0/8, fd00::/8 or loopback");
        let ip: IpAddr = ip.parse().map_err(|_| not_understood())?;
        let bits_max = if ip.is_ipv4() { 32 } else { 128 };
        let bits = bits.map_or(Ok(bits_max), str::parse).map_err(|_| not_understood())?;
        if bits > bits_max {
            return Err(format!("{text:?} asks for {bits} bits of {bits_max}"));
        }
        let network = first_bits(ip, bits);
        if network != ip {
            return Err(format!("{text:?} has bits beyond /{bits}: write {network}/{bits}"));
        }
        Ok(Self::Network { ip, bits })
    }

    /// Whether it stands for this address.
    pub fn matches(&self, address: &Address) -> bool {
        match (self, address) {
            (Self::ThisMachine, address) => address.is_this_machine(),
            (Self::Network { ip, bits }, Address::Ip(other)) => first_bits(*other, *bits) == *ip,
            (Self::Network { .. }, Address::Local | Address::Unknown) => false,
        }
    }
}

/// The address with all but its first bits zero.
fn first_bits(ip: IpAddr, bits: u8) -> IpAddr {
    let bits = u32::from(bits);
    match ip {
        IpAddr::V4(ip) => IpAddr::V4((u32::from(ip) & !u32::MAX.checked_shr(bits).unwrap_or(0)).into()),
        IpAddr::V6(ip) => IpAddr::V6((u128::from(ip) & !u128::MAX.checked_shr(bits).unwrap_or(0)).into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_match_exactly_or_by_their_beginning() {
        let cases = [
            ("a", "a", true),
            ("a", "ab", false),
            ("a*", "a", true),
            ("a*", "ab", true),
            ("a*", "b", false),
            ("*", "", true),
            ("*", "anything", true),
        ];
        for (pattern, name, expected) in cases {
            assert_eq!(NamePattern::parse(pattern).unwrap().matches(name), expected, "{pattern} {name}");
        }
        for wrong in ["a*b", "*a", "**"] {
            assert!(NamePattern::parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn networks_match_by_their_first_bits() {
        let cases = [
            ("10.0.0.0/8", "10.255.0.1", true),
            ("10.0.0.0/8", "11.0.0.0", false),
            ("10.0.0.7", "10.0.0.7", true),
            ("10.0.0.7", "10.0.0.6", false),
            ("10.0.0.6/31", "10.0.0.7", true),
            ("0.0.0.0/0", "1.2.3.4", true),
            ("0.0.0.0/0", "::2", false),
            ("::/0", "1.2.3.4", false),
            ("10.0.0.0/8", "::ffff:10.1.1.1", true),
            ("fd00::/8", "fd12::1", true),
            ("fd00::/8", "fe80::1", false),
            ("loopback", "127.8.8.8", true),
            ("loopback", "::1", true),
            ("loopback", "unix:/x", true),
            ("loopback", "10.0.0.1", false),
            ("0.0.0.0/0", "unix:/x", false),
            ("0.0.0.0/0", "somewhere", false),
        ];
        for (pattern, address, expected) in cases {
            let matched = AddressPattern::parse(pattern).unwrap().matches(&Address::parse(address));
            assert_eq!(matched, expected, "{pattern} {address}");
        }
        for wrong in ["", "10.0.0.1/8", "10.0.0.0/33", "::/129", "10.0.0.0/-1", "host", "10.0.0.0/"] {
            assert!(AddressPattern::parse(wrong).is_err(), "{wrong}");
        }
    }
}
