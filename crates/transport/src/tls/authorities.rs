//! The authorities whose signatures are believed.

use std::path::Path;
use std::sync::Arc;
use std::time::SystemTime;

use rustls::RootCertStore;

use super::certificate::{parse, validity};
use super::pem::{self, CertificateError, Reason};

/// Certificates of authorities; what one of them signed is believed.
#[derive(Clone, Debug)]
pub struct Authorities {
    pub(super) roots: Arc<RootCertStore>,
}

impl Authorities {
    /// Reads a file of certificates.
    ///
    /// An authority whose time is over is left out as long as another one remains, because such files hold
    /// many and get old.
    ///
    /// # Errors
    /// What is wrong with the file.
    pub fn load(path: &Path, now: SystemTime) -> Result<Self, CertificateError> {
        Self::from_pem(path, &pem::read(path)?, now)
    }

    /// As [`Authorities::load`], from what has been read already. The path is for messages only.
    ///
    /// # Errors
    /// As [`Authorities::load`].
    pub fn from_pem(path: &Path, text: &[u8], now: SystemTime) -> Result<Self, CertificateError> {
        Self::parse(text, now).map_err(|reason| reason.of(path))
    }

    fn parse(text: &[u8], now: SystemTime) -> Result<Self, Reason> {
        let mut roots = RootCertStore::empty();
        let mut untimely = None;
        for (index, der) in pem::certificates(text)?.into_iter().enumerate() {
            let number = index + 1;
            match validity(&parse(&der, number)?).check(now) {
                Err(reason) => untimely = untimely.or(Some(reason)),
                Ok(_) => roots
                    .add(der)
                    .map_err(|error| Reason::BadCertificate { number, reason: error.to_string() })?,
            }
        }
        match untimely {
            Some(reason) if roots.is_empty() => Err(reason),
            _ => Ok(Self { roots: Arc::new(roots) }),
        }
    }
}
