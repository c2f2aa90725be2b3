//! What a run found, as text for people and as JSON for scripts. The fields are described where they are declared.

use std::fmt;
use std::time::Duration;

use serde::Serialize;

use crate::load::Findings;
use crate::options::{Options, Shape};

#[derive(Serialize)]
pub(crate) struct Report {
    shape: Shape,
    publishers: usize,
    subscribers: usize,
    qos: u8,
    window: u16,
    payload_bytes: usize,
    level: u8,
    /// Length of the measured part.
    seconds: f64,
    /// Messages published in the whole run.
    sent: u64,
    /// Copies that should have come, and that came.
    expected: u64,
    received: u64,
    lost: u64,
    /// Copies delivered per second.
    rate: f64,
    /// Messages in one write of a publisher: without this figure costs cannot be compared.
    messages_per_write: f64,
    latency: Latency,
    broker: Option<BrokerCost>,
}

/// Time from write to read, in microseconds.
#[derive(Serialize)]
struct Latency {
    p50: f64,
    p90: f64,
    p99: f64,
    p999: f64,
    max: f64,
}

#[derive(Serialize)]
struct BrokerCost {
    /// Processor time of the broker per delivered copy, in microseconds.
    cpu_us_per_message: f64,
    /// Processors used, 1.0 for one core.
    cores: f64,
    /// Share of it in user code, 0 to 1.
    user_share: f64,
}

impl Report {
    pub(crate) fn new(options: &Options, findings: &Findings) -> Self {
        let seconds = findings.duration.as_secs_f64();
        let received = findings.measured.received as f64;
        let quantile = |share| microseconds(findings.latency.quantile(share));
        Self {
            shape: options.shape,
            publishers: options.publishers(),
            subscribers: options.subscribers(),
            qos: options.qos,
            window: options.window(),
            payload_bytes: options.payload,
            level: options.level,
            seconds,
            sent: findings.total.sent,
            expected: findings.total.expected,
            received: findings.total.received,
            lost: findings.total.lost(),
            rate: received / seconds,
            messages_per_write: findings.measured.sent as f64 / findings.writes.max(1) as f64,
            latency: Latency {
                p50: quantile(0.5),
                p90: quantile(0.9),
                p99: quantile(0.99),
                p999: quantile(0.999),
                max: microseconds(findings.latency.max()),
            },
            broker: findings.broker.map(|cpu| BrokerCost {
                cpu_us_per_message: microseconds(cpu.total) / received.max(1.0),
                cores: cpu.total.as_secs_f64() / seconds,
                user_share: cpu.user_share(),
            }),
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shape = match self.shape {
            Shape::P2p => "p2p",
            Shape::FanOut => "fan-out",
            Shape::FanIn => "fan-in",
        };
        writeln!(
            f,
            "{shape} {} to {}, QoS {}, {} B, level {}, window {}, {:.1} messages per write",
            self.publishers,
            self.subscribers,
            self.qos,
            self.payload_bytes,
            self.level,
            self.window,
            self.messages_per_write
        )?;
        writeln!(f, "  messages  {} sent, {} delivered, {} lost", self.sent, self.received, self.lost)?;
        writeln!(f, "  rate      {:.0} delivered per second over {:.1} s", self.rate, self.seconds)?;
        let Latency { p50, p90, p99, p999, max } = self.latency;
        write!(
            f,
            "  latency   p50 {p50:.0}, p90 {p90:.0}, p99 {p99:.0}, p99.9 {p999:.0}, max {max:.0} microseconds"
        )?;
        if let Some(BrokerCost { cpu_us_per_message, cores, user_share }) = self.broker {
            write!(f, "\n  broker    {cpu_us_per_message:.3} CPU-us per delivered message, ")?;
            write!(f, "{cores:.2} cores, {:.0} % in user code", user_share * 100.0)?;
        }
        Ok(())
    }
}

fn microseconds(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e6
}
