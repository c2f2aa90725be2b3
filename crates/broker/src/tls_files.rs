//! The certificates and keys of a listener, read from their files; and everything that is wrong with them.

use crate::Error;
use crate::access::secrets::{SecretError, look_at};
use crate::config::{ListenerConfig, Tls, TlsClients};
use noctule_transport::{Authorities, Certificate, ClientCertificates};
use std::path::Path;
use std::time::SystemTime;

/// What a listener with TLS shows, and what it asks of its clients.
pub(crate) struct TlsFiles {
    pub(crate) certificates: Vec<Certificate>,
    pub(crate) clients: ClientCertificates,
    /// Keys that everybody can read.
    pub(crate) warnings: Vec<String>,
}

/// Why a listener cannot speak TLS.
pub(crate) struct TlsProblem {
    pub(crate) about: About,
    pub(crate) cause: Error,
}

/// The setting that is at fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum About {
    /// There is TLS at all.
    Url,
    /// Certificates, all of them or the one with this index.
    Certificate(Option<usize>),
    /// The key with this index.
    Key(usize),
    /// Whether clients show certificates.
    ClientCertificates,
    /// Who signs them.
    ClientCa,
}

impl TlsFiles {
    /// Reads every file that `listener` names; certificates are judged at the time `now`.
    ///
    /// # Errors
    /// Everything that is wrong, at least one thing.
    pub(crate) fn load(listener: &ListenerConfig, now: SystemTime) -> Result<Self, Vec<TlsProblem>> {
        let tls = &listener.tls;
        let mut problems = Vec::new();
        let mut problem = |about, cause| problems.push(TlsProblem { about, cause });
        if tls.certificate.is_empty() {
            problem(About::Url, Error::NoCertificate { url: listener.url().clone() });
        } else if tls.certificate.len() != tls.key.len() {
            let (certificates, keys) = (tls.certificate.len(), tls.key.len());
            problem(About::Certificate(None), Error::CertificatesWithoutKeys { certificates, keys });
        }
        let (mut certificates, mut warnings) = (Vec::new(), Vec::new());
        for (index, (chain, key)) in tls.certificate.iter().zip(&tls.key).enumerate() {
            match look_at(Path::new(key)) {
                Ok(warning) => warnings.extend(warning),
                Err(cause @ SecretError::ForeignLink { .. }) => {
                    problem(About::Key(index), Error::Key { path: key.into(), cause });
                    continue;
                }
                // Reading it says why.
                Err(SecretError::Unreadable(_)) => {}
            }
            match Certificate::load(Path::new(chain), Path::new(key), now) {
                Ok(certificate) => certificates.push(certificate),
                Err(cause) if cause.path == Path::new(key) && chain != key => {
                    problem(About::Key(index), cause.into());
                }
                Err(cause) => problem(About::Certificate(Some(index)), cause.into()),
            }
        }
        match client_certificates(tls, now) {
            Ok(clients) if problems.is_empty() => Ok(Self { certificates, clients, warnings }),
            Ok(_) => Err(problems),
            Err(refused) => {
                problems.push(refused);
                Err(problems)
            }
        }
    }
}

fn client_certificates(tls: &Tls, now: SystemTime) -> Result<ClientCertificates, TlsProblem> {
    if tls.client_certificates == TlsClients::None {
        return Ok(ClientCertificates::NotAsked);
    }
    if tls.client_ca.is_empty() {
        return Err(TlsProblem { about: About::ClientCertificates, cause: Error::NoClientCa });
    }
    let loaded = Authorities::load(Path::new(&tls.client_ca), now);
    let authorities = loaded.map_err(|cause| TlsProblem { about: About::ClientCa, cause: cause.into() })?;
    Ok(match tls.client_certificates {
        TlsClients::Required => ClientCertificates::Required(authorities),
        _ => ClientCertificates::Optional(authorities),
    })
}
