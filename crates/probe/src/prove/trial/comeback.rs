//! The way back after a kill: the broker starts, perhaps dies again, and everybody returns in order.
//!
//! Subscribers come first, and a fresh client that reads the retained values while nobody publishes. Publishers come
//! last and finish what was in flight.

use std::time::Duration;

use super::super::error::ProveError;
use super::super::network::Network;
use super::super::peer::Part;
use super::Trial;
use super::wait::Waited;

/// What became of a start after a kill.
enum Return {
    /// Everybody is back, and nothing that can come is still to come.
    Complete,
    /// The broker was killed on the way.
    Killed,
    /// It ended by itself or served nobody; the text says which.
    Ended(String),
}

/// A kill on the way back.
#[derive(Clone, Copy, Debug)]
enum Interruption {
    /// So long after the start, if nobody has been let in by then.
    Starting(Duration),
    /// So long after the first client was let in, if not all is as before by then.
    Resuming(Duration),
}

impl Trial<'_> {
    /// Starts the broker until everybody is back, with kills on the way as chance has it.
    pub(super) fn come_back(&mut self) -> Result<(), ProveError> {
        let (mut interruptions, mut failures) = (0, 0);
        loop {
            let interruption = if interruptions < INTERRUPTIONS_MAX { self.interruption() } else { None };
            interruptions += u32::from(interruption.is_some());
            match self.return_once(interruption)? {
                Return::Complete => return Ok(()),
                Return::Killed => {}
                // A port may have been taken meanwhile, or a lock of the killed process be there for a moment.
                Return::Ended(_) if failures < FAILURES_MAX => failures += 1,
                Return::Ended(why) => {
                    self.course.never_returned = Some(format!("{why}\n{}", self.broker.log_tail()));
                    return Ok(());
                }
            }
        }
    }

    /// Half of the starts are disturbed, half of these before the broker serves. A time may be longer than it takes, so
    /// that the end of it is met too; then nothing is disturbed.
    fn interruption(&mut self) -> Option<Interruption> {
        if self.dice.once_in(2) {
            return None;
        }
        Some(if self.dice.once_in(2) {
            Interruption::Starting(self.dice.between(Duration::ZERO, self.start_time * 3 / 2))
        } else {
            Interruption::Resuming(self.dice.between(Duration::ZERO, self.resume_time * 3 / 2))
        })
    }

    /// Starts the broker and lets everybody return.
    fn return_once(&mut self, interruption: Option<Interruption>) -> Result<Return, ProveError> {
        let welcomes = self.network.books.welcomes;
        self.want(|part| !matches!(part, Part::Publisher(_) | Part::Doomed { .. }));
        let started_at = self.network.now();
        self.start()?;
        let deadline = interruption.and_then(|interruption| interruption.while_starting(started_at));
        match self.await_welcome(welcomes, deadline)? {
            Waited::Reached => {}
            Waited::Due => {
                self.course.kills.while_starting += 1;
                self.kill()?;
                return Ok(Return::Killed);
            }
            failed @ (Waited::Stuck | Waited::Ended(_)) => return self.failed(failed),
        }
        let served_at = self.network.now();
        self.start_time = served_at - started_at;
        self.course.restarts.push(self.start_time);
        let deadline = interruption.and_then(|interruption| interruption.while_resuming(served_at));
        match self.resume(deadline)? {
            Waited::Due => {
                self.course.kills.while_returning += 1;
                self.kill()?;
                Ok(Return::Killed)
            }
            ended @ Waited::Ended(_) => self.failed(ended),
            Waited::Reached | Waited::Stuck => {
                self.resume_time = self.moved_at.saturating_sub(served_at);
                Ok(Return::Complete)
            }
        }
    }

    fn failed(&mut self, waited: Waited) -> Result<Return, ProveError> {
        self.kill()?;
        Ok(Return::Ended(self.failure(waited)))
    }

    /// Subscribers return, retained values are read, publishers finish what was in flight. Returns how that ended; what
    /// is still missing when nothing moves any more is written off.
    fn resume(&mut self, deadline: Option<Duration>) -> Result<Waited, ProveError> {
        let patience = self.options.patience;
        let waited =
            self.wait(patience, deadline, |network| network.is_complete() && network.has_read_retained())?;
        if matches!(waited, Waited::Due | Waited::Ended(_)) {
            return Ok(waited);
        }
        self.check_retained();
        self.want(|part| matches!(part, Part::Publisher(_)));
        let written_off = self.written_off;
        let waited = self.wait(patience, deadline, move |network| {
            network.is_complete() && network.is_settled() && network.books.deliveries.missing() <= written_off
        })?;
        if waited == Waited::Stuck {
            self.written_off = self.network.books.deliveries.missing();
        }
        Ok(waited)
    }

    /// Judges what the reader found, and lets it go.
    fn check_retained(&mut self) {
        let Network { peers, books, .. } = &mut self.network;
        for peer in peers.iter().filter(|peer| peer.is_ready()) {
            if let Part::Reader(found, _) = &peer.part {
                books.retained.check(found);
            }
        }
        self.dismiss(|part| matches!(part, Part::Reader(..)));
    }
}

impl Interruption {
    fn while_starting(self, started_at: Duration) -> Option<Duration> {
        match self {
            Self::Starting(after) => Some(started_at + after),
            Self::Resuming(_) => None,
        }
    }

    fn while_resuming(self, served_at: Duration) -> Option<Duration> {
        match self {
            Self::Starting(_) => None,
            Self::Resuming(after) => Some(served_at + after),
        }
    }
}

/// Kills on the way back in one round, at most.
const INTERRUPTIONS_MAX: u32 = 2;
/// A broker that fails more often than this after one kill under load does not come back.
const FAILURES_MAX: u32 = 2;
