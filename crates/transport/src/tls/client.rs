//! How a client speaks TLS.

use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{ClientConfig, Resumption, WebPkiServerVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::sign::SingleCertAndKey;
use rustls::{DigitallySignedStruct, SignatureScheme};

use super::{Authorities, Certificate, TlsSetupError, WhatFollows, provider};

/// How a client speaks TLS. Cheap to clone.
#[derive(Clone, Debug)]
pub struct ClientTls {
    pub(crate) config: Arc<ClientConfig>,
}

/// What makes a client believe in a server.
#[derive(Clone, Debug)]
pub enum ServerIdentity {
    /// A certificate for its host name that one of these signed.
    SignedBy(Authorities),
    /// Nothing: whoever answers is believed. For tests on one's own machine only.
    Unchecked,
}

impl ClientTls {
    /// A client that believes `server` and shows `own`, if it is asked.
    ///
    /// # Errors
    /// See [`TlsSetupError`].
    pub fn new(
        server: &ServerIdentity,
        own: Option<&Certificate>,
        follows: WhatFollows,
    ) -> Result<Self, TlsSetupError> {
        let provider = provider();
        let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()?
            .dangerous()
            .with_custom_certificate_verifier(verifier(server, &provider)?);
        let mut config = match own {
            None => builder.with_no_client_auth(),
            Some(own) => {
                builder.with_client_cert_resolver(Arc::new(SingleCertAndKey::from(Arc::clone(&own.key))))
            }
        };
        config.alpn_protocols = vec![follows.alpn().into()];
        config.resumption = Resumption::in_memory_sessions(SESSIONS_MAX);
        Ok(Self { config: Arc::new(config) })
    }
}

pub(super) fn verifier(
    server: &ServerIdentity,
    provider: &Arc<CryptoProvider>,
) -> Result<Arc<dyn ServerCertVerifier>, TlsSetupError> {
    match server {
        ServerIdentity::Unchecked => Ok(Arc::new(Anybody(Arc::clone(provider)))),
        ServerIdentity::SignedBy(authorities) => {
            let roots = Arc::clone(&authorities.roots);
            let built = WebPkiServerVerifier::builder_with_provider(roots, Arc::clone(provider)).build();
            built.map(|verifier| verifier as _).map_err(|error| TlsSetupError::Refused(error.to_string()))
        }
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

/// Servers whose sessions are remembered to be resumed.
const SESSIONS_MAX: usize = 64;
