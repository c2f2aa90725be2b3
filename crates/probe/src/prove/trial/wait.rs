//! Letting the loop run until something is reached, and seeing that nothing moves any more.

use std::process::ExitStatus;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::super::error::ProveError;
use super::super::network::Network;
use super::super::peer::{Part, Stage};
use super::Trial;

/// How waiting ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Waited {
    /// What was waited for is there.
    Reached,
    /// Nothing has moved for too long.
    Stuck,
    /// The time has come.
    Due,
    /// The broker ended by itself.
    Ended(ExitStatus),
}

impl Trial<'_> {
    /// Waits until the broker has let in one more than these.
    pub(super) fn await_welcome(
        &mut self,
        welcomes: u64,
        deadline: Option<Duration>,
    ) -> Result<Waited, ProveError> {
        self.wait(self.options.start_patience, deadline, move |network| network.books.welcomes > welcomes)
    }

    /// Waits until everybody who is wanted is served; that is an error if it does not come to pass.
    pub(super) fn await_all_ready(&mut self) -> Result<(), ProveError> {
        match self.wait(self.options.start_patience, None, Network::is_complete)? {
            Waited::Reached => Ok(()),
            waited => Err(ProveError::NotServed(self.failure(waited))),
        }
    }

    /// Lets the loop run until something is reached, nothing has moved for `patience`, the deadline has come, or the
    /// broker has ended.
    pub(super) fn wait(
        &mut self,
        patience: Duration,
        deadline: Option<Duration>,
        is_reached: impl Fn(&Network) -> bool,
    ) -> Result<Waited, ProveError> {
        let mut activity = self.network.books.activity;
        self.moved_at = self.network.now();
        loop {
            if is_reached(&self.network) {
                return Ok(Waited::Reached);
            }
            if self.watch.interrupted.load(Ordering::Relaxed) {
                return Err(ProveError::Interrupted);
            }
            if let Some(status) = self.broker.ended() {
                return Ok(Waited::Ended(status));
            }
            let now = self.network.now();
            if deadline.is_some_and(|deadline| now >= deadline) {
                return Ok(Waited::Due);
            }
            if self.network.books.activity != activity {
                (activity, self.moved_at) = (self.network.books.activity, now);
            } else if now.saturating_sub(self.moved_at) > patience {
                return Ok(Waited::Stuck);
            }
            self.network.turn()?;
        }
    }

    /// What the broker did instead of what was waited for.
    pub(super) fn failure(&self, waited: Waited) -> String {
        match waited {
            Waited::Ended(status) => format!("it ended by itself: {status}"),
            _ => format!(
                "it did not serve for {} s; {}",
                self.options.start_patience.as_secs(),
                self.incidents()
            ),
        }
    }

    /// Refusals and the like, in one line.
    pub(super) fn incidents(&self) -> String {
        let incidents = &self.network.books.incidents;
        let refused = incidents.refused();
        let refused = refused.iter().map(|refused| format!("{} {}", refused.packet, refused.name));
        let happened = [incidents.disconnects(), incidents.violations(), incidents.notes()].concat();
        let all: Vec<String> = refused.chain(happened.into_iter().map(|happened| happened.what)).collect();
        if all.is_empty() { "it said nothing".to_owned() } else { all.join("; ") }
    }
}

impl Network {
    /// Everybody who is wanted is served, and everybody else has left.
    pub(super) fn is_complete(&self) -> bool {
        self.peers.iter().all(|peer| peer.stage == if peer.is_wanted { Stage::Ready } else { Stage::Away })
    }

    /// No publisher has anything in flight.
    pub(super) fn is_settled(&self) -> bool {
        self.peers.iter().all(|peer| match &peer.part {
            Part::Publisher(outbox) => outbox.in_flight() == 0,
            _ => true,
        })
    }

    /// The reader has a value on every topic that is as new as it must be.
    pub(super) fn has_read_retained(&self) -> bool {
        self.peers.iter().all(|peer| match &peer.part {
            Part::Reader(found, _) => self.books.retained.judge(found).is_kept(),
            _ => true,
        })
    }
}
