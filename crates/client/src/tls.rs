//! TLS by rustls: whom to believe, and what to show.

use crate::address::Address;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, aws_lc_rs, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::version::TLS13;
use rustls::{ALL_VERSIONS, ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use rustls::{SupportedCipherSuite, SupportedProtocolVersion};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// What the builder was told about TLS.
#[derive(Clone, Debug, Default)]
pub(crate) struct TlsOptions {
    pub(crate) ca_file: Option<PathBuf>,
    pub(crate) ca_folder: Option<PathBuf>,
    pub(crate) system_roots: bool,
    pub(crate) accepts_any_name: bool,
    pub(crate) is_1_3_only: bool,
    pub(crate) alpn: Option<Vec<u8>>,
    /// Names of ciphers, separated by colons.
    pub(crate) ciphers: Option<String>,
    pub(crate) own: Option<(PathBuf, PathBuf)>,
    pub(crate) accepts_any: bool,
    pub(crate) config: Option<Arc<ClientConfig>>,
}

/// Why TLS cannot be set up.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TlsError {
    /// A file cannot be read as what it should be.
    #[error("{path} cannot be used: {reason}")]
    File {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The system trusts nobody that could be read.
    #[error("the system has no certificates of authorities ({reason}); name a file with ca_file")]
    NoRoots {
        /// What went wrong.
        reason: String,
    },
    /// rustls refuses the whole.
    #[error("TLS cannot be set up: {0}")]
    Setup(String),
}

/// How this client speaks TLS.
#[derive(Clone)]
pub(crate) struct Tls(TlsConnector);

impl Tls {
    /// Speaks TLS over a way that is open.
    pub(crate) async fn connect<S>(&self, host: &str, way: S) -> io::Result<TlsStream<S>>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let name = ServerName::try_from(host.to_owned())
            .map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))?;
        self.0.connect(name, way).await
    }
}

impl std::fmt::Debug for Tls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tls").finish_non_exhaustive()
    }
}

impl TlsOptions {
    /// Makes the configuration, where the address needs one.
    pub(crate) fn build(&self, address: &Address) -> Result<Option<Tls>, TlsError> {
        match address {
            Address::Network { tls: true, websocket, .. } => {
                let config = match &self.config {
                    Some(config) => Arc::clone(config),
                    None => Arc::new(self.config(websocket.is_some())?),
                };
                Ok(Some(Tls(config.into())))
            }
            _ => Ok(None),
        }
    }

    fn config(&self, is_websocket: bool) -> Result<ClientConfig, TlsError> {
        let provider = Arc::new(self.provider()?);
        let versions: &[&SupportedProtocolVersion] = if self.is_1_3_only { &[&TLS13] } else { ALL_VERSIONS };
        let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
            .with_protocol_versions(versions)
            .map_err(|error| TlsError::Setup(error.to_string()))?
            .dangerous()
            .with_custom_certificate_verifier(self.verifier(&provider)?);
        let mut config = match &self.own {
            None => builder.with_no_client_auth(),
            Some((certificate, key)) => builder
                .with_client_auth_cert(certificates(certificate)?, private_key(key)?)
                .map_err(|error| unusable(certificate, &error))?,
        };
        config.alpn_protocols = self.protocols(is_websocket)?;
        Ok(config)
    }

    /// The protocol that is named to the server; an empty one would not be written, but end the program.
    fn protocols(&self, is_websocket: bool) -> Result<Vec<Vec<u8>>, TlsError> {
        match &self.alpn {
            None if is_websocket => Ok(vec![b"http/1.1".into()]),
            None => Ok(vec![b"mqtt".into()]),
            Some(protocol) if protocol.is_empty() => Ok(Vec::new()),
            Some(protocol) if protocol.len() > PROTOCOL_BYTES_MAX => Err(TlsError::Setup(format!(
                "the protocol to ask for (ALPN) has {} bytes, but {PROTOCOL_BYTES_MAX} are the most",
                protocol.len()
            ))),
            Some(protocol) => Ok(vec![protocol.clone()]),
        }
    }

    fn provider(&self) -> Result<CryptoProvider, TlsError> {
        let mut provider = aws_lc_rs::default_provider();
        if let Some(list) = &self.ciphers {
            provider.cipher_suites.retain(|suite| suite.tls13().is_some() || is_listed(*suite, list));
            if !provider.cipher_suites.iter().any(|suite| suite.tls13().is_none()) {
                return Err(TlsError::Setup(format!("none of the ciphers {list} is spoken")));
            }
        }
        Ok(provider)
    }

    fn verifier(&self, provider: &Arc<CryptoProvider>) -> Result<Arc<dyn ServerCertVerifier>, TlsError> {
        if self.accepts_any {
            return Ok(Arc::new(Anybody(Arc::clone(provider))));
        }
        let roots = Arc::new(self.roots()?);
        let built = WebPkiServerVerifier::builder_with_provider(roots, Arc::clone(provider)).build();
        let verifier = built.map_err(|error| TlsError::Setup(error.to_string()))?;
        Ok(if self.accepts_any_name { Arc::new(AnyName(verifier)) } else { verifier })
    }

    /// Whom to believe: those that were named, and the system's where nobody was or where it was said.
    fn roots(&self) -> Result<RootCertStore, TlsError> {
        let mut roots = RootCertStore::empty();
        if let Some(path) = &self.ca_file {
            add_file(path, &mut roots)?;
        }
        if let Some(path) = &self.ca_folder {
            add_folder(path, &mut roots)?;
        }
        let nobody_is_named = self.ca_file.is_none() && self.ca_folder.is_none();
        if nobody_is_named || self.system_roots {
            add_system(&mut roots)?;
        }
        Ok(roots)
    }
}

/// Whether a list of names has this cipher. OpenSSL writes `ECDHE-RSA-AES128-GCM-SHA256` for what the standard calls
/// `TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256`, and has names for groups of them.
fn is_listed(suite: SupportedCipherSuite, list: &str) -> bool {
    let plain = |name: &str| name.to_ascii_uppercase().replace(['-', '_'], "");
    let own =
        plain(&format!("{:?}", suite.suite())).replace("TLS", "").replace("WITH", "").replace("SHA256", "");
    list.split(':').any(|name| match name.to_ascii_uppercase().as_str() {
        "ALL" | "DEFAULT" | "HIGH" | "ECDHE" | "EECDH" => true,
        _ => plain(name).replace("TLS", "").replace("WITH", "").replace("SHA256", "") == own,
    })
}

fn add_file(path: &Path, roots: &mut RootCertStore) -> Result<(), TlsError> {
    for certificate in certificates(path)? {
        roots.add(certificate).map_err(|error| unusable(path, &error))?;
    }
    Ok(())
}

fn add_folder(path: &Path, roots: &mut RootCertStore) -> Result<(), TlsError> {
    let entries = std::fs::read_dir(path).map_err(|error| unusable(path, &error))?;
    let files = entries.filter_map(Result::ok).map(|entry| entry.path()).filter(|path| path.is_file());
    let mut added = 0;
    for certificates in files.filter_map(|file| certificates(&file).ok()) {
        added += roots.add_parsable_certificates(certificates).0;
    }
    if added == 0 {
        return Err(unusable(path, &"no file in it has a certificate"));
    }
    Ok(())
}

fn add_system(roots: &mut RootCertStore) -> Result<(), TlsError> {
    let found = rustls_native_certs::load_native_certs();
    // Among hundreds some are always too odd to be read.
    let (added, _) = roots.add_parsable_certificates(found.certs);
    if added == 0 {
        let reason = found.errors.first().map_or_else(|| "none found".to_owned(), ToString::to_string);
        return Err(TlsError::NoRoots { reason });
    }
    Ok(())
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let read = CertificateDer::pem_file_iter(path).map_err(|error| unusable(path, &error))?;
    let certificates: Result<Vec<_>, _> = read.collect();
    let certificates = certificates.map_err(|error| unusable(path, &error))?;
    if certificates.is_empty() {
        return Err(unusable(path, &"it has no certificate"));
    }
    Ok(certificates)
}

fn private_key(path: &Path) -> Result<PrivateKeyDer<'static>, TlsError> {
    PrivateKeyDer::from_pem_file(path).map_err(|error| unusable(path, &error))
}

fn unusable(path: &Path, reason: &impl ToString) -> TlsError {
    TlsError::File { path: path.to_owned(), reason: reason.to_string() }
}

/// Believes whom the other believes, whatever name the certificate was made out to.
#[derive(Debug)]
struct AnyName(Arc<WebPkiServerVerifier>);

impl ServerCertVerifier for AnyName {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        use rustls::CertificateError::{NotValidForName, NotValidForNameContext};
        // The name is looked at last, so everything else has been found right.
        match self.0.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now) {
            Err(rustls::Error::InvalidCertificate(NotValidForName | NotValidForNameContext { .. })) => {
                Ok(ServerCertVerified::assertion())
            }
            verified => verified,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.0.verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.0.verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.supported_verify_schemes()
    }
}

/// Believes every certificate, but not that somebody else's was used.
#[derive(Debug)]
struct Anybody(Arc<CryptoProvider>);

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signature, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signature, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

/// The length of a protocol is written in one byte (RFC 7301).
const PROTOCOL_BYTES_MAX: usize = u8::MAX as usize;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_protocol_that_is_named() {
        let protocols = |alpn: Option<&[u8]>, is_websocket| {
            let settings = TlsOptions { alpn: alpn.map(<[u8]>::to_vec), ..TlsOptions::default() };
            settings.protocols(is_websocket).map_err(|error| error.to_string())
        };
        assert_eq!(protocols(None, false), Ok(vec![b"mqtt".to_vec()]));
        assert_eq!(protocols(None, true), Ok(vec![b"http/1.1".to_vec()]));
        assert_eq!(protocols(Some(b"x"), true), Ok(vec![b"x".to_vec()]));
        assert_eq!(protocols(Some(b""), false), Ok(Vec::new()));
        assert!(protocols(Some(&[b'x'; 255]), false).is_ok());
        assert!(protocols(Some(&[b'x'; 256]), false).is_err_and(|error| error.contains("255")));
    }
}
