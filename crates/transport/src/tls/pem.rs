//! PEM files: what is in them, and what is wrong with them.

use std::path::{Path, PathBuf};
use std::{fmt, fs, io};

use rustls::pki_types::pem::{self, PemObject as _};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use thiserror::Error;

use super::Validity;

/// A file that cannot be used, and why.
#[derive(Debug, Error)]
#[error("{}: {reason}", path.display())]
pub struct CertificateError {
    /// The file.
    pub path: PathBuf,
    /// What is wrong with it.
    pub reason: Reason,
}

/// What is wrong with a file of certificates or keys.
#[derive(Debug, Error)]
pub enum Reason {
    /// It cannot be read.
    #[error("cannot be read: {0}")]
    Unreadable(#[source] io::Error),
    /// The PEM around something is broken.
    #[error("is not PEM as it should be: {0}")]
    NotPem(String),
    /// There is none.
    #[error("holds no certificate; one begins with -----BEGIN CERTIFICATE-----")]
    NoCertificate,
    /// There is none.
    #[error("holds no private key; one begins with -----BEGIN PRIVATE KEY-----")]
    NoKey,
    /// Nobody is there to type the password.
    #[error("the private key is encrypted; decrypt it with: openssl pkey -in FILE -out NEW_FILE")]
    EncryptedKey,
    /// A kind of key nobody uses for TLS.
    #[error(
        "the private key is of no kind that is supported (RSA from 2048 bits, ECDSA P-256, P-384, Ed25519): {0}"
    )]
    UnsupportedKey(String),
    /// The key is another one's.
    #[error("the private key does not belong to the certificate in {}", certificate.display())]
    KeyMismatch {
        /// The file of the certificate.
        certificate: PathBuf,
    },
    /// The key belongs to a certificate further down.
    #[error(
        "the server's own certificate must come first; the private key belongs to certificate {number} of this file"
    )]
    WrongOrder {
        /// Which one it belongs to, the first being 1.
        number: usize,
    },
    /// One certificate cannot be understood.
    #[error("certificate {number} cannot be understood: {reason}")]
    BadCertificate {
        /// Which one, the first being 1.
        number: usize,
        /// What is wrong.
        reason: String,
    },
    /// It is too late for it.
    #[error("the certificate has expired; it was {0}")]
    Expired(Validity),
    /// It is too early for it.
    #[error("the certificate is not valid yet; it is {0}. Is the clock of this machine right?")]
    NotValidYet(Validity),
}

impl Reason {
    pub(super) fn of(self, path: &Path) -> CertificateError {
        CertificateError { path: path.into(), reason: self }
    }
}

/// Reads a file, which names itself when that fails.
pub(super) fn read(path: &Path) -> Result<Vec<u8>, CertificateError> {
    fs::read(path).map_err(|error| Reason::Unreadable(error).of(path))
}

/// All certificates in `pem`, at least one.
pub(super) fn certificates(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, Reason> {
    let found = CertificateDer::pem_slice_iter(pem).collect::<Result<Vec<_>, _>>();
    match found.map_err(not_pem)? {
        none if none.is_empty() => Err(Reason::NoCertificate),
        some => Ok(some),
    }
}

/// The first private key in `pem`.
pub(super) fn key(pem: &[u8]) -> Result<PrivateKeyDer<'static>, Reason> {
    let is_encrypted =
        contains(pem, b"BEGIN ENCRYPTED PRIVATE KEY") || contains(pem, b"Proc-Type: 4,ENCRYPTED");
    match PrivateKeyDer::from_pem_slice(pem) {
        _ if is_encrypted => Err(Reason::EncryptedKey),
        Ok(key) => Ok(key),
        Err(pem::Error::NoItemsFound) => Err(Reason::NoKey),
        Err(error) => Err(not_pem(error)),
    }
}

fn not_pem(error: impl fmt::Display) -> Reason {
    Reason::NotPem(error.to_string())
}

fn contains(text: &[u8], part: &[u8]) -> bool {
    text.windows(part.len()).any(|window| window == part)
}
