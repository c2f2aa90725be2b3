//! Letting the loop run until something is reached, and seeing that nothing moves any more.

use std::time::Duration;

use noctule_codec::QoS;

use super::{Driver, nanoseconds};
use crate::Error;
use crate::frames;
use crate::pace::Pace;
use crate::traffic::Counts;

impl Driver<'_> {
    /// Lets the publishers send; an open loop's schedule begins now.
    pub(crate) fn start_traffic(&mut self) {
        if let Pace::Open(schedule) = &mut self.traffic.pace {
            schedule.start = nanoseconds(self.started.elapsed());
        }
        self.moved = (0, self.now());
        self.traffic.start(None);
    }

    /// Lets the publishers send this many messages in all.
    pub(crate) fn start_counted_traffic(&mut self, messages: u64) {
        self.moved = (0, self.now());
        self.traffic.start(Some(messages));
    }

    /// Turns until `position` has reached `total`, which is what the progress bar shows. Gives up, and returns false,
    /// when it has not moved for `patience` or no connection is left.
    pub(crate) fn run_until(
        &mut self,
        what: &str,
        total: u64,
        patience: Option<Duration>,
        position: impl Fn(&Self) -> u64,
    ) -> Result<bool, Error> {
        self.progress.begin(what, total);
        let (mut last, mut moved_at) = (position(self), self.now());
        loop {
            let current = position(self);
            self.progress.set(current.min(total));
            if current >= total {
                return Ok(true);
            }
            if current != last {
                (last, moved_at) = (current, self.now());
            }
            let is_stuck = patience.is_some_and(|patience| self.now() > moved_at + patience);
            if is_stuck || self.open_count == 0 {
                return Ok(false);
            }
            self.turn()?;
        }
    }

    /// Waits until this many messages have been sent and the broker has answered for all that it must.
    pub(crate) fn await_sent(&mut self, what: &str, messages: u64) -> Result<bool, Error> {
        let patience = Some(self.options.patience);
        let is_acknowledged = self.options.qos != QoS::AtMostOnce;
        self.run_until(what, messages, patience, move |driver| {
            let counts = &driver.traffic.counts;
            if is_acknowledged { counts.settled } else { counts.sent }
        })
    }

    /// Waits until every copy that is owed has come and every message is answered for.
    pub(crate) fn await_all(&mut self, what: &str) -> Result<bool, Error> {
        let patience = Some(self.options.patience);
        let Counts { expected, sent, .. } = self.traffic.counts;
        let is_acknowledged = self.options.qos != QoS::AtMostOnce;
        let answers = if is_acknowledged { sent } else { 0 };
        self.run_until(what, expected + answers, patience, move |driver| {
            let counts = &driver.traffic.counts;
            // Copies of a message that was refused meanwhile are not owed any more.
            let forgiven = expected.saturating_sub(counts.expected);
            let answered = if is_acknowledged { counts.settled } else { 0 };
            counts.received + forgiven + answered
        })
    }

    /// Waits until the broker has answered a PINGREQ on every connection [MQTT-3.12.4-1]: what it had written before
    /// that has then been read.
    pub(crate) fn settle(&mut self) -> Result<(), Error> {
        let ping = frames::ping(self.options.version);
        let before = self.traffic.counts.pongs;
        let ready = (0..self.clients.len()).filter(|&index| self.clients[index].is_ready());
        let ready: Vec<usize> = ready.collect();
        ready.iter().for_each(|&index| self.send(index, &ping));
        let patience = self.options.patience;
        let is_answered = self.run_until("settle", ready.len() as u64, Some(patience), |driver| {
            let lost = ready.iter().filter(|&&index| !driver.clients[index].is_ready()).count() as u64;
            driver.traffic.counts.pongs - before + lost
        })?;
        if !is_answered && self.open_count > 0 {
            self.incidents.violate(format!("left PINGREQs unanswered for {:.1} s", patience.as_secs_f64()));
        }
        Ok(())
    }

    /// Looks now and then at memory and at whether anything moves.
    pub(super) fn look(&mut self, now: Duration) {
        if now < self.looked_at + LOOK_EVERY {
            return;
        }
        self.looked_at = now;
        if let Some(process) = &mut self.process {
            process.look();
        }
        self.close_for_the_broker(now);
        let counts = &self.traffic.counts;
        let position = counts.received + counts.settled;
        if position != self.moved.0 || !self.traffic.is_waiting() {
            self.moved = (position, now);
        } else if now > self.moved.1 + self.options.patience {
            self.traffic.give_up_waiting();
            self.moved = (position, now);
        }
    }
}

const LOOK_EVERY: Duration = Duration::from_millis(100);
