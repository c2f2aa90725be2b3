//! The authorities whose signatures are believed.

use std::fs;
use std::path::{Path, PathBuf};
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
    /// Reads a file of certificates, or those of a folder that end in `.pem` or `.crt` or are named as
    /// `openssl rehash` does it.
    ///
    /// An authority whose time is over is left out as long as another one remains, because such files hold
    /// many and get old.
    ///
    /// # Errors
    /// What is wrong with the file.
    pub fn load(path: &Path, now: SystemTime) -> Result<Self, CertificateError> {
        if !path.is_dir() {
            return Self::from_pem(path, &pem::read(path)?, now);
        }
        let unreadable = |error| Reason::Unreadable(error).of(path);
        let entries = fs::read_dir(path).map_err(unreadable)?.collect::<Result<Vec<_>, _>>();
        let mut files: Vec<PathBuf> = entries.map_err(unreadable)?.iter().map(fs::DirEntry::path).collect();
        files.retain(|file| is_of_certificates(file));
        files.sort_unstable();
        let texts = files.iter().map(|file| pem::read(file)).collect::<Result<Vec<_>, _>>()?;
        Self::from_pem(path, &texts.join(&b'\n'), now)
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

/// Whether a file of a folder is one of certificates. `openssl rehash` makes names like `5ed36f99.0`.
fn is_of_certificates(file: &Path) -> bool {
    let name = file.file_stem().and_then(|name| name.to_str()).unwrap_or_default();
    let is_hash = name.len() == 8 && name.bytes().all(|byte| byte.is_ascii_hexdigit());
    match file.extension().and_then(|extension| extension.to_str()) {
        Some("pem" | "crt") => true,
        Some(number) => is_hash && number.bytes().all(|byte| byte.is_ascii_digit()),
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_of_certificates_are_told_by_their_names() {
        for (name, expected) in [
            ("ca.pem", true),
            ("ca.crt", true),
            ("5ed36f99.0", true),
            ("5ed36f99.r0", false),
            ("notes.1", false),
            ("ca.key", false),
            ("README", false),
        ] {
            assert_eq!(is_of_certificates(Path::new(name)), expected, "{name}");
        }
    }
}
