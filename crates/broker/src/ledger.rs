//! What was not delivered and why, and what is worth a line in the log.

use noctule_codec::ReasonCode;
use noctule_engine::{Drop, Event};
use std::collections::VecDeque;
use std::time::{Duration, Instant};
use tracing::{debug, info, warn};

/// The newest drops, bounded, and a log that a hostile client cannot flood.
#[derive(Debug)]
pub(crate) struct Ledger {
    drops: VecDeque<Drop>,
    entries_max: usize,
    lines: LineLimit,
    /// Clients that may not come in: anybody can cause such a line, as often as he likes.
    refusals: LineLimit,
}

/// So many lines in a period, and how many there would have been.
#[derive(Debug)]
struct LineLimit {
    what: &'static str,
    period: Duration,
    lines_max: u32,
    since: Instant,
    written: u32,
    suppressed: u64,
}

impl Ledger {
    /// An empty ledger that remembers this many drops.
    pub(crate) fn new(entries_max: u32, now: Instant) -> Self {
        let lines = LineLimit::new("client events", LINES_PERIOD, LINES_PER_PERIOD, now);
        let refusals = LineLimit::new("refused clients", REFUSALS_PERIOD, REFUSALS_PER_PERIOD, now);
        Self { drops: VecDeque::new(), entries_max: entries_max as usize, lines, refusals }
    }

    /// Remembers drops, forgetting the oldest beyond the bound.
    pub(crate) fn record(&mut self, drops: &mut Vec<Drop>) {
        for drop in drops.drain(..) {
            let Drop { client_id, topic, reason, rule } = &drop;
            debug!(?client_id, ?topic, reason = reason.name(), ?rule, "message dropped");
            self.drops.push_back(drop);
        }
        let surplus = self.drops.len().saturating_sub(self.entries_max);
        self.drops.drain(..surplus);
    }

    /// Writes what happened to clients. Names that clients choose are quoted, so that they cannot forge lines.
    pub(crate) fn log(&mut self, events: &mut Vec<Event>, now: Instant) {
        for event in events.drain(..) {
            let lines = if is_refusal_of_a_stranger(&event) { &mut self.refusals } else { &mut self.lines };
            if lines.allows(now) {
                log_event(&event);
            }
        }
    }

    /// The remembered drops, oldest first.
    #[cfg(test)]
    fn drops(&self) -> impl Iterator<Item = &Drop> {
        self.drops.iter()
    }
}

impl LineLimit {
    fn new(what: &'static str, period: Duration, lines_max: u32, since: Instant) -> Self {
        Self { what, period, lines_max, since, written: 0, suppressed: 0 }
    }

    fn allows(&mut self, now: Instant) -> bool {
        if now.duration_since(self.since) >= self.period {
            if self.suppressed > 0 {
                warn!(lines = self.suppressed, "{} were not logged because there were too many", self.what);
            }
            (self.since, self.written, self.suppressed) = (now, 0, 0);
        }
        self.written = self.written.saturating_add(1);
        let allowed = self.written <= self.lines_max;
        self.suppressed += u64::from(!allowed);
        allowed
    }
}

/// Whether somebody was not let in because of who he is, or is not.
fn is_refusal_of_a_stranger(event: &Event) -> bool {
    let Event::Refused { reason_code, .. } = event else { return false };
    matches!(
        reason_code,
        ReasonCode::BadUserNameOrPassword
            | ReasonCode::NotAuthorized
            | ReasonCode::ConnectionRateExceeded
            | ReasonCode::ServerBusy
    )
}

fn log_event(event: &Event) {
    match event {
        Event::Connected { client_id, address, version, session_present } => {
            info!(?client_id, %address, ?version, session_present, "client connected");
        }
        Event::Refused { client_id, address, reason_code, cause } => {
            let client_id = &client_id[..client_id.floor_char_boundary(CLIENT_ID_BYTES_SHOWN)];
            warn!(?client_id, %address, %reason_code, ?cause, "client refused");
        }
        Event::Disconnected { client_id, address, reason_code, cause } => {
            info!(?client_id, %address, %reason_code, ?cause, "client disconnected");
        }
        Event::Denied { client_id, reason_code, cause } => {
            warn!(?client_id, %reason_code, ?cause, "request refused");
        }
    }
}

/// Of the client id of a stranger, so much is logged.
const CLIENT_ID_BYTES_SHOWN: usize = 256;
const LINES_PER_PERIOD: u32 = 1000;
const LINES_PERIOD: Duration = Duration::from_secs(1);
const REFUSALS_PER_PERIOD: u32 = 120;
const REFUSALS_PERIOD: Duration = Duration::from_secs(60);

#[cfg(test)]
mod tests {
    use super::*;
    use noctule_session::DropReason;

    #[test]
    fn the_newest_drops_are_remembered_up_to_the_bound() {
        let mut ledger = Ledger::new(3, Instant::now());
        let drop = |n: usize| Drop {
            client_id: "c".into(),
            topic: format!("t/{n}").into(),
            reason: DropReason::Expired,
            rule: None,
        };
        ledger.record(&mut (0..5).map(drop).collect());
        let topics: Vec<&str> = ledger.drops().map(|drop| &*drop.topic).collect();
        assert_eq!(topics, ["t/2", "t/3", "t/4"]);
    }

    #[test]
    fn a_flood_of_events_is_cut_and_counted() {
        let now = Instant::now();
        let mut lines = LineLimit::new("lines", LINES_PERIOD, LINES_PER_PERIOD, now);
        let allowed = (0..LINES_PER_PERIOD + 50).filter(|_| lines.allows(now)).count();
        assert_eq!((allowed as u32, lines.suppressed), (LINES_PER_PERIOD, 50));
        assert!(lines.allows(now + LINES_PERIOD));
    }
}
