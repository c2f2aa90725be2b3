//! What holds at one listener of the configuration: how its connections begin, and what their clients are offered.
//!
//! A gate never changes. Another configuration is another gate, which takes the place of the one before; connections
//! keep what they began with.

use crate::Error;
use crate::config::{ListenerConfig, TlsClients};
use crate::tls_files::{TlsFiles, TlsProblem};
use noctule_auth::Listener as ListenerName;
use noctule_session::{ConnectQueue, Meters, Rates, Terms};
use noctule_transport::{ListenUrl, Origins, Peer, ServerTls, Stream, WebSocketRules, WhatFollows};
use std::sync::Arc;
use std::time::SystemTime;
use tracing::{error, warn};

/// A listener of the configuration.
pub(crate) struct Gate {
    /// Counts its connections; none of another listener has it while there are some.
    pub(crate) number: u16,
    /// Where it listens, as the configuration says it.
    pub(crate) url: ListenUrl,
    pub(crate) name: ListenerName,
    pub(crate) terms: Arc<Terms>,
    pub(crate) connections_max: Option<u32>,
    /// What all its connections have left of their common rates, where these are limited.
    pub(crate) meters: Option<Arc<Meters>>,
    /// Where its clients wait for their turn to connect, where that is limited.
    pub(crate) queue: Option<Arc<ConnectQueue>>,
    /// Whether its TLS clients may show certificates.
    pub(crate) asks_certificates: bool,
    tls: Option<ServerTls>,
    websocket: Option<Arc<WebSocketRules>>,
}

impl Gate {
    /// What `config` says, with certificates and keys read.
    pub(crate) fn new(config: &ListenerConfig, number: u16) -> Result<Self, Error> {
        Ok(Self {
            number,
            url: config.url().clone(),
            name: config.name().as_str().into(),
            terms: Arc::new(config.terms()),
            connections_max: config.connections_max,
            meters: meters(config.rates),
            queue: queue(config.rates.connects_per_second_max),
            asks_certificates: config.tls.client_certificates != TlsClients::None,
            tls: tls(config)?,
            websocket: websocket(config),
        })
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
            stream.serve_websocket(Arc::clone(rules), noctule_codec::first_packet_len);
        }
        Some(stream)
    }
}

/// What all connections of a listener share of its rates, but for the one at which they come.
fn meters(rates: Rates) -> Option<Arc<Meters>> {
    let rates = Rates { connects_per_second_max: 0, ..rates };
    (!rates.are_unlimited()).then(|| Arc::new(Meters::new(rates)))
}

/// A queue for those who connect faster than this; 0: nobody does.
pub(crate) fn queue(per_second: u32) -> Option<Arc<ConnectQueue>> {
    (per_second > 0).then(|| Arc::new(ConnectQueue::new(per_second)))
}

/// How a listener speaks TLS, if it does; every file it names is read.
fn tls(config: &ListenerConfig) -> Result<Option<ServerTls>, Error> {
    let scheme = config.url().scheme();
    if !scheme.is_tls() {
        return Ok(None);
    }
    let TlsFiles { certificates, clients, warnings } =
        TlsFiles::load(config, SystemTime::now()).map_err(first)?;
    warnings.iter().for_each(|warning| warn!("{warning}"));
    let follows = if scheme.is_websocket() { WhatFollows::WebSocket } else { WhatFollows::Mqtt };
    Ok(Some(ServerTls::with_versions(&certificates, &clients, follows, config.tls.versions)?))
}

fn first(problems: Vec<TlsProblem>) -> Error {
    problems.into_iter().next().expect("what cannot be loaded has a problem").cause
}

fn websocket(config: &ListenerConfig) -> Option<Arc<WebSocketRules>> {
    let path = config.url().websocket_path()?.into();
    let origins = Origins::listed(config.origins.iter().cloned());
    Some(Arc::new(WebSocketRules { path, origins }))
}
