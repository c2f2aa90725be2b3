//! Connect storms: after a power cut everybody comes back at once.
//!
//! Clients that come faster than they are let in get a turn each in the [queues](ConnectQueue) of the broker and of
//! their listener. Their CONNECT waits for it where it came in, before anybody asks who they are, so a storm is let in
//! at the pace and in its order, and what passwords, sessions and takeovers cost is spread out too. The time for
//! CONNECT begins anew with the turn. Whoever would have to wait too long is told at once that it is to come again.

use crate::mail::Violation;
use crate::shard::Shard;
use noctule_codec::ReasonCode;
use noctule_session::{ConnectQueue, ConnectionId, Instant};
use std::sync::Arc;

impl Shard {
    /// Until when CONNECT has to wait for its turn; `None`: it is its turn.
    pub(crate) fn await_turn(
        &mut self,
        id: ConnectionId,
        now: Instant,
    ) -> Result<Option<Instant>, Violation> {
        let wait_millis_max = self.limits.connect_wait_ms_max;
        let Some(handshake) = self.handshake_mut(id) else { return Ok(None) };
        let queues = std::mem::take(&mut handshake.queues);
        if queues.is_empty() {
            return Ok(handshake.turn_at.filter(|turn_at| *turn_at > now));
        }
        let turn_at = last_turn(&queues, now, wait_millis_max).ok_or_else(full)?;
        handshake.turn_at = Some(turn_at);
        if turn_at <= now {
            return Ok(None);
        }
        self.stats.connects_delayed += 1;
        Ok(Some(turn_at))
    }
}

/// When it is somebody's turn in all of these queues; `None`: one of them is full.
fn last_turn(queues: &[Arc<ConnectQueue>], now: Instant, wait_millis_max: u64) -> Option<Instant> {
    queues.iter().try_fold(now, |last, queue| Some(last.max(queue.turn(now, wait_millis_max)?)))
}

fn full() -> Violation {
    let cause = "too many clients connect at once, come again later (limits.connect_wait_max)";
    Violation::new(ReasonCode::ConnectionRateExceeded, cause)
}
