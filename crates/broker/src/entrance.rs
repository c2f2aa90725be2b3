//! The sockets that are listened on, each with the gate behind it.

use crate::Error;
use crate::config::Config;
use crate::gate::Gate;
use noctule_transport::Listener;
use std::sync::Arc;

/// A socket that is listened on. A listener of the configuration may have several, one for each address.
pub(crate) struct Entrance {
    pub(crate) listener: Listener,
    pub(crate) gate: Arc<Gate>,
}

impl Entrance {
    /// Opens every listener of the configuration.
    pub(crate) fn open_all(config: &Config) -> Result<Vec<Self>, Error> {
        let listeners: Vec<_> = config.listeners().collect();
        if listeners.len() > LISTENERS_MAX {
            return Err(Error::TooManyListeners { listeners: listeners.len() });
        }
        let mut entrances = Vec::new();
        for (listener, number) in listeners.iter().zip(0..) {
            entrances.extend(Self::open(Gate::new(listener, number)?)?);
        }
        Ok(entrances)
    }

    /// Opens one listener.
    pub(crate) fn open(gate: Gate) -> Result<Vec<Self>, Error> {
        let gate = Arc::new(gate);
        let listeners = Listener::bind(&gate.url)?;
        Ok(listeners.into_iter().map(|listener| Self { listener, gate: Arc::clone(&gate) }).collect())
    }
}

/// Listeners of a configuration, at most. Each may have a few sockets.
pub(crate) const LISTENERS_MAX: usize = 256;
