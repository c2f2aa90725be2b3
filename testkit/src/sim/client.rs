//! A client of the simulation: the client machine with its own durable memory, and the stream it has now.

use super::network::Pipe;
use super::world::ClientOptions;
use noctule_session::Instant;
use noctule_session::client::{Client, Delivery, Token};
use std::collections::VecDeque;
use std::sync::Arc;

/// A client and what it remembers.
pub(super) struct SimClient {
    pub(super) options: ClientOptions,
    pub(super) machine: Client,
    pub(super) stream: Option<usize>,
    /// When it connects again by itself.
    pub(super) connect_at: Option<Instant>,
    /// The server may have a session that this client must not go on with.
    pub(super) must_start_clean: bool,
    /// Connections it has made.
    pub(super) connections: u32,
    /// Subscriptions it wants and whether they are confirmed.
    pub(super) wanted: Vec<Wanted>,
    /// Publications above QoS 0 that are not settled.
    pub(super) unsettled: Vec<Token>,
    pub(super) received: VecDeque<Delivery>,
    pub(super) is_slow: bool,
}

/// A subscription, or the wish to end one.
#[derive(Clone, Debug)]
pub(super) struct Wanted {
    pub(super) filter: Arc<str>,
    pub(super) qos: noctule_codec::QoS,
    pub(super) is_wanted: bool,
    pub(super) asked: Option<Token>,
    pub(super) is_confirmed: bool,
    /// It was refused and is asked for again then.
    pub(super) again_at: Option<Instant>,
}

/// A connection through the network.
pub(super) struct Stream {
    pub(super) client: usize,
    pub(super) wire: usize,
    pub(super) up: Pipe,
    pub(super) down: Pipe,
    /// Bytes of the broker's that have arrived and are not used up.
    pub(super) arrived: Vec<u8>,
    /// When the broker learns that the connection is gone.
    pub(super) broker_notices_at: Option<Instant>,
    /// When the client learns it.
    pub(super) client_notices_at: Option<Instant>,
    /// The cut has been seen and the two times above have been drawn.
    pub(super) is_broken: bool,
    /// A slow reader reads again then.
    pub(super) reads_at: Instant,
}

impl SimClient {
    pub(super) fn new(options: ClientOptions, is_slow: bool) -> Self {
        Self {
            must_start_clean: !options.durable,
            options,
            machine: Client::new(),
            stream: None,
            connect_at: None,
            connections: 0,
            wanted: Vec::new(),
            unsettled: Vec::new(),
            received: VecDeque::new(),
            is_slow,
        }
    }

    pub(super) fn want(&mut self, filter: &str, qos: noctule_codec::QoS, is_wanted: bool) {
        self.wanted.retain(|wanted| *wanted.filter != *filter);
        self.wanted.push(Wanted {
            filter: filter.into(),
            qos,
            is_wanted,
            asked: None,
            is_confirmed: false,
            again_at: None,
        });
    }

    pub(super) fn forget_requests(&mut self) {
        for wanted in self.wanted.iter_mut().filter(|wanted| !wanted.is_confirmed) {
            wanted.asked = None;
        }
    }

    /// Its session on the broker is a new one, without subscriptions.
    pub(super) fn forget_subscriptions(&mut self) {
        self.wanted.retain(|wanted| wanted.is_wanted);
        for wanted in &mut self.wanted {
            (wanted.asked, wanted.is_confirmed) = (None, false);
        }
    }
}
