//! A listener with what is spoken there: TLS, WebSocket, both or neither.

use crate::Error;
use crate::config::{Config, TlsClients};
use noctule_transport::{
    Authorities, Certificate, ClientCertificates, ListenUrl, Listener, Origins, Peer, ServerTls, Stream,
    WebSocketRules, WhatFollows,
};
use std::path::Path;
use std::sync::Arc;
use std::time::SystemTime;
use tracing::error;

/// A listener, and how its connections begin.
pub(crate) struct Entrance {
    pub(crate) listener: Listener,
    tls: Option<ServerTls>,
    websocket: Option<Arc<WebSocketRules>>,
}

impl Entrance {
    /// Opens every listener of the configuration.
    pub(crate) fn open_all(config: &Config) -> Result<Vec<Self>, Error> {
        let mut entrances = Vec::new();
        for url in &config.listen {
            let (tls, websocket) = (tls(config, url)?, websocket(config, url));
            for listener in Listener::bind(url)? {
                entrances.push(Self { listener, tls: tls.clone(), websocket: websocket.clone() });
            }
        }
        Ok(entrances)
    }

    /// Puts what is spoken here before a connection; `None` where that cannot begin.
    pub(crate) fn furnish(&self, mut stream: Stream, peer: Peer) -> Option<Stream> {
        if let Some(tls) = &self.tls
            && let Err(cause) = stream.serve_tls(tls)
        {
            error!(%cause, %peer, "TLS cannot begin");
            return None;
        }
        if let Some(rules) = &self.websocket {
            stream.serve_websocket(Arc::clone(rules));
        }
        Some(stream)
    }
}

fn tls(config: &Config, url: &ListenUrl) -> Result<Option<ServerTls>, Error> {
    if !url.scheme().is_tls() {
        return Ok(None);
    }
    let settings = &config.tls;
    if settings.certificate.is_empty() {
        return Err(Error::NoCertificate { url: url.clone() });
    }
    if settings.certificate.len() != settings.key.len() {
        let (certificates, keys) = (settings.certificate.len(), settings.key.len());
        return Err(Error::CertificatesWithoutKeys { certificates, keys });
    }
    let now = SystemTime::now();
    let pairs = settings.certificate.iter().zip(&settings.key);
    let certificates = pairs.map(|(chain, key)| Certificate::load(Path::new(chain), Path::new(key), now));
    let certificates = certificates.collect::<Result<Vec<_>, _>>()?;
    let follows = if url.scheme().is_websocket() { WhatFollows::WebSocket } else { WhatFollows::Mqtt };
    let clients = client_certificates(config, now)?;
    Ok(Some(ServerTls::new(&certificates, &clients, follows)?))
}

fn client_certificates(config: &Config, now: SystemTime) -> Result<ClientCertificates, Error> {
    let authorities = || match config.tls.client_ca.as_str() {
        "" => Err(Error::NoClientCa),
        path => Ok(Authorities::load(Path::new(path), now)?),
    };
    Ok(match config.tls.client_certificates {
        TlsClients::None => ClientCertificates::NotAsked,
        TlsClients::Optional => ClientCertificates::Optional(authorities()?),
        TlsClients::Required => ClientCertificates::Required(authorities()?),
    })
}

fn websocket(config: &Config, url: &ListenUrl) -> Option<Arc<WebSocketRules>> {
    let path = url.websocket_path()?.into();
    let origins = Origins::listed(config.websocket_origins.iter().cloned());
    Some(Arc::new(WebSocketRules { path, origins }))
}
