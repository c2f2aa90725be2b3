//! TLS 1.2 and 1.3 by rustls, as a filter of bytes.
//!
//! [`ServerTls`] and [`ClientTls`] are configurations, made once and shared by connections: replacing one changes
//! what new connections get and touches no other. Certificates come from [`Certificate`] and [`Authorities`],
//! whose errors name the file, the reason and the dates.

mod authorities;
mod certificate;
mod client;
mod error;
mod peer;
mod pem;
mod server;
mod session;

use std::sync::Arc;

use rustls::crypto::CryptoProvider;

pub use authorities::Authorities;
pub use certificate::{Certificate, Validity};
pub use client::{ClientTls, ServerIdentity};
pub use error::{TlsError, TlsRole};
pub use peer::{PeerIdentity, PeerIdentityError};
pub use pem::{CertificateError, Reason};
pub use server::{ClientCertificates, ServerTls, TlsSetupError, TlsVersion, WhatFollows};
pub(crate) use session::{Opened, Tls};

/// Who computes. With both features aws-lc-rs does.
#[cfg(feature = "aws-lc-rs")]
use rustls::crypto::aws_lc_rs as backend;
#[cfg(all(feature = "ring", not(feature = "aws-lc-rs")))]
use rustls::crypto::ring as backend;
#[cfg(not(any(feature = "ring", feature = "aws-lc-rs")))]
compile_error!("TLS needs one of the features aws-lc-rs and ring");

fn provider() -> Arc<CryptoProvider> {
    Arc::new(backend::default_provider())
}

/// SHA-256 of `bytes`.
fn sha256(bytes: &[u8]) -> [u8; 32] {
    let suite = backend::cipher_suite::TLS13_AES_128_GCM_SHA256;
    let hash = suite.tls13().expect("a suite of TLS 1.3").common.hash_provider.hash(bytes);
    hash.as_ref().try_into().expect("SHA-256 has 32 bytes")
}

/// Fills `bytes` with what nobody can guess. Says whether that worked.
pub(crate) fn fill_random(bytes: &mut [u8]) -> bool {
    backend::default_provider().secure_random.fill(bytes).is_ok()
}
