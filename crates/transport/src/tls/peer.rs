//! Who a certificate says the peer is.

use std::fmt::Write as _;

use thiserror::Error;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{FromDer as _, X509Certificate};

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
            fingerprint: sha256(der),
        };
        let names = certificate.subject_alternative_name().map_err(|error| unreadable(&error))?;
        for name in names.iter().flat_map(|names| &names.value.general_names) {
            match name {
                GeneralName::DNSName(name) => identity.dns_names.extend(text(name)),
                GeneralName::RFC822Name(name) => identity.emails.extend(text(name)),
                GeneralName::URI(name) => identity.uris.extend(text(name)),
                _ => {}
            }
        }
        Ok(identity)
    }

    /// The fingerprint in lower-case hexadecimal digits, as `openssl x509 -fingerprint -sha256` has it without colons.
    pub fn fingerprint_hex(&self) -> String {
        self.fingerprint.iter().fold(String::with_capacity(64), |mut text, byte| {
            write!(text, "{byte:02x}").expect("a string takes everything");
            text
        })
    }
}

/// A name that can be compared and shown.
fn text(name: &str) -> Option<String> {
    (!name.is_empty() && !name.chars().any(char::is_control)).then(|| name.into())
}
