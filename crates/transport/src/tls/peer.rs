//! Who a certificate says the peer is.

use std::fmt::Write as _;
use std::net::IpAddr;

use thiserror::Error;
use x509_parser::extensions::GeneralName;
use x509_parser::objects::{oid_registry, oid2abbrev};
use x509_parser::prelude::{FromDer as _, X509Certificate};
use x509_parser::x509::X509Name;

use super::sha256;

/// The names in a peer's certificate, which an authority we believe has signed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerIdentity {
    /// The common name of the subject (CN), the first one.
    pub common_name: Option<String>,
    /// Host names (SAN).
    pub dns_names: Vec<String>,
    /// Mail addresses (SAN).
    pub emails: Vec<String>,
    /// URIs (SAN).
    pub uris: Vec<String>,
    /// Addresses (SAN).
    pub addresses: Vec<IpAddr>,
    /// The whole subject as RFC 4514 writes it, the last name first: `CN=sensor,O=plant`.
    pub subject: String,
    /// SHA-256 of the whole certificate.
    pub fingerprint: [u8; 32],
}

/// A certificate that TLS took and whose names cannot be read.
#[derive(Debug, Error)]
#[error("the names in the peer's certificate cannot be read: {0}")]
pub struct PeerIdentityError(String);

impl PeerIdentity {
    /// The names in a certificate in DER. Names that are no text, or have control characters in them, are left
    /// out: nobody can be meant by them.
    ///
    /// # Errors
    /// The certificate cannot be understood.
    pub fn from_der(der: &[u8]) -> Result<Self, PeerIdentityError> {
        let unreadable = |error: &dyn std::fmt::Display| PeerIdentityError(error.to_string());
        let (_, certificate) = X509Certificate::from_der(der).map_err(|error| unreadable(&error))?;
        let common_name =
            certificate.subject().iter_common_name().next().and_then(|name| text(name.as_str().ok()?));
        let mut identity = Self {
            common_name,
            dns_names: Vec::new(),
            emails: Vec::new(),
            uris: Vec::new(),
            addresses: Vec::new(),
            subject: subject(certificate.subject()),
            fingerprint: sha256(der),
        };
        let names = certificate.subject_alternative_name().map_err(|error| unreadable(&error))?;
        for name in names.iter().flat_map(|names| &names.value.general_names) {
            match name {
                GeneralName::DNSName(name) => identity.dns_names.extend(text(name)),
                GeneralName::RFC822Name(name) => identity.emails.extend(text(name)),
                GeneralName::URI(name) => identity.uris.extend(text(name)),
                GeneralName::IPAddress(bytes) => identity.addresses.extend(address(bytes)),
                _ => {}
            }
        }
        Ok(identity)
    }

    /// All alternative names as text: host names, then addresses, URIs and mail addresses.
    pub fn alternative_names(&self) -> impl Iterator<Item = String> {
        let addresses = self.addresses.iter().map(ToString::to_string);
        let names = self.uris.iter().chain(&self.emails).cloned();
        self.dns_names.iter().cloned().chain(addresses).chain(names)
    }

    /// The fingerprint in lower-case hexadecimal digits, as `openssl x509 -fingerprint -sha256` has it without colons.
    pub fn fingerprint_hex(&self) -> String {
        self.fingerprint.iter().fold(String::with_capacity(64), |mut text, byte| {
            write!(text, "{byte:02x}").expect("a string takes everything");
            text
        })
    }
}

fn address(bytes: &[u8]) -> Option<IpAddr> {
    match bytes.len() {
        4 => <[u8; 4]>::try_from(bytes).ok().map(IpAddr::from),
        _ => <[u8; 16]>::try_from(bytes).ok().map(IpAddr::from),
    }
}

/// A distinguished name as RFC 4514 writes it. Names that are no text are left out.
fn subject(name: &X509Name<'_>) -> String {
    let parts = name.iter_rdn().map(|parts| {
        let parts = parts.iter().filter_map(|part| {
            let oid = part.attr_type();
            let known = oid2abbrev(oid, oid_registry()).map(str::to_owned);
            let value = text(part.as_str().ok()?)?;
            Some(format!("{}={}", known.unwrap_or_else(|_| oid.to_id_string()), escaped(&value)))
        });
        parts.collect::<Vec<_>>().join("+")
    });
    let mut parts: Vec<String> = parts.filter(|part| !part.is_empty()).collect();
    parts.reverse();
    parts.join(",")
}

/// A value with what would end it made harmless (RFC 4514, 2.4).
fn escaped(value: &str) -> String {
    let mut text = String::with_capacity(value.len());
    let last = value.chars().count() - 1;
    for (index, character) in value.chars().enumerate() {
        let is_at_an_end = match character {
            ' ' => index == 0 || index == last,
            '#' => index == 0,
            _ => false,
        };
        if is_at_an_end || r#",+"\<>;"#.contains(character) {
            text.push('\\');
        }
        text.push(character);
    }
    text
}

/// A name that can be compared and shown.
fn text(name: &str) -> Option<String> {
    (!name.is_empty() && !name.chars().any(char::is_control)).then(|| name.into())
}
