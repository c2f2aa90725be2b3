//! How a listener speaks TLS.

use std::sync::Arc;

use rustls::crypto::CryptoProvider;
use rustls::server::{ClientHello, NoServerSessionStorage, ResolvesServerCert, WebPkiClientVerifier};
use rustls::sign::CertifiedKey;
use rustls::version::{TLS12, TLS13};
use rustls::{RootCertStore, ServerConfig, SupportedProtocolVersion};
use thiserror::Error;

use super::{Authorities, Certificate, backend, provider};

/// How a listener speaks TLS. Cheap to clone; connections keep the one they began with.
#[derive(Clone, Debug)]
pub struct ServerTls {
    pub(crate) config: Arc<ServerConfig>,
}

/// What a client has to show.
#[derive(Clone, Debug)]
pub enum ClientCertificates {
    /// Nothing; it is not asked.
    NotAsked,
    /// A certificate that one of these signed, if it has one.
    Optional(Authorities),
    /// A certificate that one of these signed.
    Required(Authorities),
}

/// A version of TLS that is spoken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TlsVersion {
    /// TLS 1.2.
    #[default]
    Tls1_2,
    /// TLS 1.3.
    Tls1_3,
}

/// What is spoken inside, which a client may ask for by ALPN (a client that does not is welcome).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WhatFollows {
    /// MQTT: `mqtt`.
    Mqtt,
    /// WebSocket: `http/1.1`.
    WebSocket,
}

/// Why no TLS can be spoken with what was given.
#[derive(Debug, Error)]
pub enum TlsSetupError {
    /// A server has to show a certificate.
    #[error("TLS needs a certificate")]
    NoCertificate,
    /// The library refuses what was given.
    #[error("TLS cannot be set up: {0}")]
    Refused(String),
}

impl From<rustls::Error> for TlsSetupError {
    fn from(error: rustls::Error) -> Self {
        Self::Refused(error.to_string())
    }
}

impl ServerTls {
    /// A server with these certificates that speaks TLS 1.2 and 1.3. A client gets the first that is for the host it
    /// asks for and whose signature it understands; the first of all, if none is or it names no host.
    ///
    /// # Errors
    /// See [`TlsSetupError`].
    pub fn new(
        certificates: &[Certificate],
        clients: &ClientCertificates,
        follows: WhatFollows,
    ) -> Result<Self, TlsSetupError> {
        Self::with_versions(certificates, clients, follows, TlsVersion::Tls1_2)
    }

    /// The same, speaking no version before `oldest`.
    ///
    /// # Errors
    /// See [`TlsSetupError`].
    pub fn with_versions(
        certificates: &[Certificate],
        clients: &ClientCertificates,
        follows: WhatFollows,
        oldest: TlsVersion,
    ) -> Result<Self, TlsSetupError> {
        if certificates.is_empty() {
            return Err(TlsSetupError::NoCertificate);
        }
        let provider = provider();
        let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_protocol_versions(oldest.and_newer())?;
        let builder = match verifier(clients, &provider)? {
            None => builder.with_no_client_auth(),
            Some(verifier) => builder.with_client_cert_verifier(verifier),
        };
        let mut config = builder.with_cert_resolver(Arc::new(ByHost(certificates.to_vec())));
        config.alpn_protocols = vec![follows.alpn().into()];
        // A client that comes back brings what is needed to go on, sealed: nothing is kept here. The seal's key
        // belongs to this configuration, so whoever began under another one shows its certificate again.
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.ticketer = backend::Ticketer::new()?;
        config.send_tls13_tickets = 1;
        Ok(Self { config: Arc::new(config) })
    }
}

impl TlsVersion {
    fn and_newer(self) -> &'static [&'static SupportedProtocolVersion] {
        match self {
            Self::Tls1_2 => FROM_TLS_1_2,
            Self::Tls1_3 => FROM_TLS_1_3,
        }
    }
}

impl WhatFollows {
    pub(super) fn alpn(self) -> &'static [u8] {
        match self {
            Self::Mqtt => b"mqtt",
            Self::WebSocket => b"http/1.1",
        }
    }
}

/// Finds the certificate for the host that a client asks for.
#[derive(Debug)]
struct ByHost(Vec<Certificate>);

impl ResolvesServerCert for ByHost {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let host = hello.server_name();
        let fitting = self.0.iter().filter(|certificate| host.is_some_and(|host| certificate.is_for(host)));
        let mut in_order = fitting.chain(&self.0);
        let understood = in_order.find(|own| own.key.key.choose_scheme(hello.signature_schemes()).is_some());
        // With none rustls says what the client lacks.
        understood.or_else(|| self.0.first()).map(|own| Arc::clone(&own.key))
    }
}

static FROM_TLS_1_2: &[&SupportedProtocolVersion] = &[&TLS13, &TLS12];
static FROM_TLS_1_3: &[&SupportedProtocolVersion] = &[&TLS13];

type Verifier = Arc<dyn rustls::server::danger::ClientCertVerifier>;

fn verifier(
    clients: &ClientCertificates,
    provider: &Arc<CryptoProvider>,
) -> Result<Option<Verifier>, TlsSetupError> {
    let builder = |authorities: &Authorities| {
        let roots: Arc<RootCertStore> = Arc::clone(&authorities.roots);
        WebPkiClientVerifier::builder_with_provider(roots, Arc::clone(provider))
    };
    let verifier = match clients {
        ClientCertificates::NotAsked => return Ok(None),
        ClientCertificates::Optional(authorities) => builder(authorities).allow_unauthenticated().build(),
        ClientCertificates::Required(authorities) => builder(authorities).build(),
    };
    verifier.map(Some).map_err(|error| TlsSetupError::Refused(error.to_string()))
}
