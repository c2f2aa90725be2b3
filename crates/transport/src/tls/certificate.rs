//! A server's or client's own certificate, with its key.

use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustls::InconsistentKeys;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{FromDer as _, X509Certificate};
use x509_parser::time::ASN1Time;

use super::pem::{self, CertificateError, Reason};
use super::provider;

/// A certificate that can be presented: its chain, its private key, the names it is for and how long it holds.
#[derive(Clone, Debug)]
pub struct Certificate {
    pub(super) key: Arc<CertifiedKey>,
    dns_names: Vec<String>,
    validity: Validity,
}

/// The time a certificate is valid in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Validity {
    not_before: ASN1Time,
    not_after: ASN1Time,
}

impl Certificate {
    /// Reads a chain of certificates, the own one first, and its private key; both may stand in one file.
    ///
    /// # Errors
    /// What is wrong with which file, the certificate being judged at the time `now`.
    pub fn load(chain: &Path, key: &Path, now: SystemTime) -> Result<Self, CertificateError> {
        let (chain_pem, key_pem) = (pem::read(chain)?, pem::read(key)?);
        Self::from_pem((chain, &chain_pem), (key, &key_pem), now)
    }

    /// As [`Certificate::load`], from what has been read already. The paths are for messages only.
    ///
    /// # Errors
    /// As [`Certificate::load`].
    pub fn from_pem(
        (chain_path, chain): (&Path, &[u8]),
        (key_path, key): (&Path, &[u8]),
        now: SystemTime,
    ) -> Result<Self, CertificateError> {
        let chain = pem::certificates(chain).map_err(|reason| reason.of(chain_path))?;
        let key = pem::key(key).map_err(|reason| reason.of(key_path))?;
        let (dns_names, validity) = check_chain(&chain, now).map_err(|reason| reason.of(chain_path))?;
        let key = pair(chain, &key).map_err(|refused| match refused {
            Reason::KeyMismatch { .. } => Reason::KeyMismatch { certificate: chain_path.into() }.of(key_path),
            Reason::UnsupportedKey(_) => refused.of(key_path),
            refused => refused.of(chain_path),
        })?;
        Ok(Self { key: Arc::new(key), dns_names, validity })
    }

    /// The host names it is for; some begin with `*.`.
    pub fn dns_names(&self) -> &[String] {
        &self.dns_names
    }

    /// How long it holds.
    pub fn validity(&self) -> Validity {
        self.validity
    }

    /// Whether it is for a host of this name (RFC 6125: a star stands for one whole label, the first).
    pub(super) fn is_for(&self, host: &str) -> bool {
        self.dns_names.iter().any(|name| match name.strip_prefix("*.") {
            Some(rest) => host.split_once('.').is_some_and(|(_, parent)| parent.eq_ignore_ascii_case(rest)),
            None => name.eq_ignore_ascii_case(host),
        })
    }
}

impl Validity {
    /// The first moment it holds.
    pub fn not_before(&self) -> SystemTime {
        system_time(self.not_before)
    }

    /// The last moment it holds.
    pub fn not_after(&self) -> SystemTime {
        system_time(self.not_after)
    }

    /// What speaks against it at the time `now`.
    pub(super) fn check(self, now: SystemTime) -> Result<Self, Reason> {
        if now < self.not_before() {
            return Err(Reason::NotValidYet(self));
        }
        if now > self.not_after() {
            return Err(Reason::Expired(self));
        }
        Ok(self)
    }
}

impl fmt::Display for Validity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "valid from {} to {}", self.not_before, self.not_after)
    }
}

/// Every certificate must be understood, and the own one be valid now.
fn check_chain(chain: &[CertificateDer<'_>], now: SystemTime) -> Result<(Vec<String>, Validity), Reason> {
    let mut own = None;
    for (index, der) in chain.iter().enumerate() {
        let certificate = parse(der, index + 1)?;
        if own.is_none() {
            own = Some((dns_names(&certificate), validity(&certificate).check(now)?));
        }
    }
    own.ok_or(Reason::NoCertificate)
}

/// Puts the key to the chain that it belongs to.
fn pair(chain: Vec<CertificateDer<'static>>, key: &PrivateKeyDer<'static>) -> Result<CertifiedKey, Reason> {
    let others: Vec<_> = chain.iter().skip(1).cloned().collect();
    match certified(chain, key) {
        Err(Reason::KeyMismatch { certificate }) => {
            let own = others.into_iter().position(|der| certified(vec![der], key).is_ok());
            Err(own.map_or(Reason::KeyMismatch { certificate }, |at| Reason::WrongOrder { number: at + 2 }))
        }
        outcome => outcome,
    }
}

fn certified(
    chain: Vec<CertificateDer<'static>>,
    key: &PrivateKeyDer<'static>,
) -> Result<CertifiedKey, Reason> {
    CertifiedKey::from_der(chain, key.clone_key(), &provider()).map_err(|error| match error {
        rustls::Error::InconsistentKeys(InconsistentKeys::KeyMismatch) => {
            Reason::KeyMismatch { certificate: "".into() }
        }
        rustls::Error::InvalidCertificate(reason) => {
            Reason::BadCertificate { number: 1, reason: reason.to_string() }
        }
        other => Reason::UnsupportedKey(other.to_string()),
    })
}

/// One certificate, the `number`th of its file.
pub(super) fn parse<'a>(der: &'a CertificateDer<'_>, number: usize) -> Result<X509Certificate<'a>, Reason> {
    match X509Certificate::from_der(der) {
        Ok((_, certificate)) => Ok(certificate),
        Err(error) => Err(Reason::BadCertificate { number, reason: error.to_string() }),
    }
}

pub(super) fn validity(certificate: &X509Certificate<'_>) -> Validity {
    let validity = certificate.validity();
    Validity { not_before: validity.not_before, not_after: validity.not_after }
}

fn dns_names(certificate: &X509Certificate<'_>) -> Vec<String> {
    let Ok(Some(names)) = certificate.subject_alternative_name() else { return Vec::new() };
    let names = names.value.general_names.iter();
    names
        .filter_map(|name| if let GeneralName::DNSName(name) = name { Some((*name).into()) } else { None })
        .collect()
}

/// Times before 1970 are 1970; no certificate is that old.
fn system_time(time: ASN1Time) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(u64::try_from(time.timestamp()).unwrap_or(0))
}
