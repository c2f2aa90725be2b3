//! One connection of a run: its bytes, what it is there for, and how far its handshake is.

use std::time::Duration;
use std::vec::IntoIter;

use noctule_codec::{PacketId, ProtocolVersion};
use noctule_transport::Stream;

use crate::connection::Connection;
use crate::frames::FIRST_PACKET_ID;

/// One connection.
#[derive(Debug)]
pub(crate) struct Client {
    pub(crate) connection: Connection,
    pub(crate) stage: Stage,
    pub(crate) role: Role,
    /// When its connection was begun, since the run began.
    pub(crate) dialled_at: Duration,
    /// The broker had a session for it.
    pub(crate) session_present: bool,
}

/// How far a connection is.
#[derive(Debug)]
pub(crate) enum Stage {
    /// CONNECT is on its way.
    Greeting { filters: IntoIter<String> },
    /// A SUBSCRIBE is on its way, with more filters to follow.
    Subscribing { filters: IntoIter<String>, packet_id: PacketId, is_refused: bool },
    /// Messages may flow.
    Ready,
    /// DISCONNECT is on its way since then, the broker is to close.
    Leaving { since: Duration },
    /// There is no connection any more.
    Ended,
}

/// What a connection is there for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    /// Publishes, by number.
    Publisher(u32),
    /// Receives, by number.
    Subscriber(u32),
    /// Is just there.
    Idle,
}

impl Client {
    /// A client without a connection.
    pub(crate) fn new(version: ProtocolVersion, role: Role, dialled_at: Duration) -> Self {
        Self {
            connection: Connection::new(version),
            stage: Stage::Ended,
            role,
            dialled_at,
            session_present: false,
        }
    }

    /// Begins the handshake on a stream that may not be connected yet.
    pub(crate) fn greet(&mut self, stream: Stream, filters: Vec<String>, connect: Vec<u8>) {
        self.connection.open(stream, connect);
        self.stage = Stage::Greeting { filters: filters.into_iter() };
    }

    /// Closes the socket.
    pub(crate) fn end(&mut self) {
        self.connection.close();
        self.stage = Stage::Ended;
    }

    pub(crate) fn is_ready(&self) -> bool {
        matches!(self.stage, Stage::Ready)
    }

    pub(crate) fn is_ended(&self) -> bool {
        matches!(self.stage, Stage::Ended)
    }

    pub(crate) fn is_in_handshake(&self) -> bool {
        matches!(self.stage, Stage::Greeting { .. } | Stage::Subscribing { .. })
    }
}

impl Stage {
    /// The next SUBSCRIBE's filters, and the stage that waits for its answer; `Ready` when there are none.
    pub(crate) fn next_filters(&mut self) -> Option<(Vec<String>, PacketId)> {
        let (filters, packet_id, is_refused) = match std::mem::replace(self, Self::Ready) {
            Self::Greeting { filters } => (filters, FIRST_PACKET_ID, false),
            Self::Subscribing { filters, packet_id, is_refused } => (filters, packet_id.next(), is_refused),
            other => {
                *self = other;
                return None;
            }
        };
        let mut filters = filters;
        let chunk: Vec<String> = filters.by_ref().take(FILTERS_PER_SUBSCRIBE).collect();
        if chunk.is_empty() {
            return None;
        }
        *self = Self::Subscribing { filters, packet_id, is_refused };
        Some((chunk, packet_id))
    }
}

/// Filters in one SUBSCRIBE; some brokers refuse packets in which a thousand filters of ours fit.
const FILTERS_PER_SUBSCRIBE: usize = 200;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters_go_out_in_chunks_and_then_all_is_ready() {
        let filters: Vec<String> = (0..401).map(|number| number.to_string()).collect();
        let mut stage = Stage::Greeting { filters: filters.clone().into_iter() };
        let (mut sent, mut chunks) = (Vec::new(), Vec::new());
        while let Some((chunk, packet_id)) = stage.next_filters() {
            chunks.push((chunk.len(), packet_id.get()));
            sent.extend(chunk);
        }
        assert_eq!((sent, chunks), (filters, vec![(200, 1), (200, 2), (1, 3)]));
        assert!(matches!(stage, Stage::Ready));
    }

    #[test]
    fn a_stage_that_is_over_is_not_changed() {
        let mut stage = Stage::Ended;
        assert!(stage.next_filters().is_none());
        assert!(matches!(stage, Stage::Ended));
    }
}
