//! Measures one phase: from [`Meter::start`] to [`Meter::stop`].

use std::time::Duration;

use crate::Error;
use crate::driver::{Driver, nanoseconds};
use crate::pace::Pace;
use crate::process::{CpuTime, Process, ProcessCost};
use crate::report::{OpenLoop, Phase};
use crate::traffic::Counts;

/// What the counters said when the phase began.
pub(super) struct Meter {
    name: &'static str,
    at: Duration,
    counts: Counts,
    writes: u64,
    broker: Option<CpuTime>,
    probe: CpuTime,
    awake: Duration,
}

impl Meter {
    pub(super) fn start(driver: &mut Driver<'_>, name: &'static str) -> Result<Self, Error> {
        driver.traffic.latencies.start();
        driver.traffic.ack_latencies.start();
        Ok(Self {
            name,
            counts: driver.traffic.counts,
            writes: driver.writes,
            broker: broker_cpu(driver)?,
            probe: CpuTime::own(),
            awake: driver.awake,
            at: driver.now(),
        })
    }

    /// What was sent since.
    pub(super) fn sent(&self, driver: &Driver<'_>) -> u64 {
        driver.traffic.counts.sent - self.counts.sent
    }

    /// What was received since.
    pub(super) fn received(&self, driver: &Driver<'_>) -> u64 {
        driver.traffic.counts.received - self.counts.received
    }

    /// Ends the phase, in which `messages` were dealt with, whatever counts as one.
    pub(super) fn stop(self, driver: &mut Driver<'_>, messages: u64) -> Phase {
        let duration = driver.now() - self.at;
        // A process that has gone meanwhile says nothing; its connections have ended, and the report says that.
        let cpu = self.broker.zip(broker_cpu(driver).ok().flatten());
        let cpu = cpu.map(|(before, after)| after.since(before));
        if let Some(process) = &mut driver.process {
            process.look();
        }
        let (sent, writes) = (self.sent(driver), driver.writes - self.writes);
        let seconds = duration.as_secs_f64();
        let probe_cores = CpuTime::own().since(self.probe).as_secs_f64() / seconds;
        Phase {
            name: self.name,
            seconds,
            messages,
            per_second: messages as f64 / seconds,
            sent,
            messages_per_write: (writes > 0 && sent > 0).then(|| sent as f64 / writes as f64),
            latency_us: driver.traffic.latencies.stop(),
            ack_latency_us: driver.traffic.ack_latencies.stop(),
            broker: cpu.map(|cpu| ProcessCost::new(cpu, duration, messages)),
            probe_cores,
            probe_busy: (probe_cores - (driver.awake - self.awake).as_secs_f64() / seconds).max(0.0),
            open_loop: open_loop(driver, sent, seconds),
        }
    }
}

fn open_loop(driver: &Driver<'_>, sent: u64, seconds: f64) -> Option<OpenLoop> {
    let Pace::Open(schedule) = driver.traffic.pace else { return None };
    let due = schedule.due(nanoseconds(driver.now()));
    let behind = due.saturating_sub(driver.traffic.counts.sent);
    // What falls due during the last turn has not been sent yet; ten milliseconds are more than a healthy turn takes.
    let is_kept =
        behind <= (schedule.rate / 100).max(u64::from(driver.traffic.load.publishers)).max(schedule.burst);
    let sent_per_second = sent as f64 / seconds;
    Some(OpenLoop { asked_per_second: schedule.rate, sent_per_second, behind, is_kept })
}

fn broker_cpu(driver: &Driver<'_>) -> Result<Option<CpuTime>, Error> {
    driver.process.as_ref().map(Process::cpu).transpose()
}
