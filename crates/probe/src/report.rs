//! What a run found. The fields are the JSON schema, which `docs/bench.md` describes; a change that breaks a reader
//! raises [`SCHEMA`].

use noctule_codec::ProtocolVersion;
use serde::Serialize;

use crate::driver::Driver;
use crate::incidents::{Happened, Refused};
use crate::latency::Latency;
use crate::process::{Memory, Process, ProcessCost};
use crate::{Options, Scenario};

/// Everything a run found.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// Version of this structure.
    pub schema: u32,
    /// What was measured.
    pub scenario: Scenario,
    /// The broker.
    pub url: String,
    /// What was asked for.
    pub setup: Setup,
    /// What was measured, phase by phase.
    pub phases: Vec<Phase>,
    /// What became of the messages of the whole run, warm-up included.
    pub messages: Messages,
    /// Refusals by packet and reason code.
    pub refused: Vec<Refused>,
    /// Connections that ended although they should not have, by cause.
    pub disconnects: Vec<Happened>,
    /// What the broker did against the standard.
    pub violations: Vec<Happened>,
    /// What is worth knowing and no fault.
    pub notes: Vec<Happened>,
    /// Resident memory of the broker; none without a process to look at.
    pub memory: Option<Memory>,
    /// Connections that were open at the end.
    pub connections: u64,
    /// Nothing was lost, duplicated, out of order, refused, disconnected or against the standard.
    pub is_clean: bool,
}

/// What was asked for. Fields that do not apply to the scenario are at their defaults.
#[derive(Clone, Debug, Serialize)]
pub struct Setup {
    /// `3.1`, `3.1.1` or `5.0`.
    pub mqtt: &'static str,
    /// 0, 1 or 2.
    pub qos: u8,
    /// Size of a payload.
    pub payload_bytes: usize,
    /// Publishing connections.
    pub publishers: u32,
    /// Receiving connections.
    pub subscribers: u32,
    /// Topics.
    pub topics: u32,
    /// Messages in flight per publisher, in a closed loop.
    pub window: Option<u16>,
    /// Messages per second, in an open loop.
    pub rate: Option<u64>,
    /// How many of them are due at the same time, in an open loop.
    pub burst: Option<u32>,
    /// Length of the measured part.
    pub seconds: f64,
    /// Length of the part before it.
    pub warm_up_seconds: f64,
    /// Connections, in `connections`.
    pub connections: Option<u32>,
    /// Messages, in `retained` and `queue`.
    pub messages: Option<u32>,
    /// Filters, in `wildcard`.
    pub filters: Option<u32>,
    /// Whether the subscribers' sessions outlived their connections.
    pub durable: Option<bool>,
    /// Sessions are taken up, in `connect-rate`.
    pub reconnect: Option<bool>,
    /// Threads of the broker that publishers and their subscribers are kept apart on, if that was asked for.
    pub homes_apart: Option<u16>,
}

/// One measured part of a run.
#[derive(Clone, Debug, Serialize)]
pub struct Phase {
    /// `traffic`; `subscribe` (filters); `open`, `hold` (connections); `connect`; `publish`, `receive` (retained);
    /// `fill`, `drain` (queue).
    pub name: &'static str,
    /// How long it took.
    pub seconds: f64,
    /// What was dealt with: copies delivered, messages accepted (`publish`, `fill`), filters or connections.
    pub messages: u64,
    /// The same per second.
    pub per_second: f64,
    /// Messages written by publishers.
    pub sent: u64,
    /// Messages in one write of a publisher: without this figure costs cannot be compared.
    pub messages_per_write: Option<f64>,
    /// In microseconds, from when a message was meant to be sent until a copy was read; in `connect` from dialling to
    /// CONNACK.
    pub latency_us: Option<Latency>,
    /// In microseconds, from when a message was meant to be sent until it was acknowledged: PUBACK, or PUBCOMP at
    /// QoS 2.
    pub ack_latency_us: Option<Latency>,
    /// What the broker's process used.
    pub broker: Option<ProcessCost>,
    /// Processors the probe used.
    pub probe_cores: f64,
    /// The same without the time it spent awake for the next message of an open loop; near 1.0 it was the bottleneck.
    pub probe_busy: f64,
    /// How well the schedule was kept, in an open loop.
    pub open_loop: Option<OpenLoop>,
}

/// How well an open loop kept its schedule.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct OpenLoop {
    /// What was asked for.
    pub asked_per_second: u64,
    /// What was sent.
    pub sent_per_second: f64,
    /// Messages that were due at the end and not sent.
    pub behind: u64,
    /// Fewer than ten milliseconds' worth were behind.
    pub is_kept: bool,
}

/// What became of the messages.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Messages {
    /// Messages published.
    pub sent: u64,
    /// Copies owed to receivers; none for messages the broker refused.
    pub expected: u64,
    /// Copies that came, each once.
    pub received: u64,
    /// Copies that were owed and did not come.
    pub lost: u64,
    /// Copies that came again.
    pub duplicated: u64,
    /// Copies that came after a later message of the same publisher and topic.
    pub out_of_order: u64,
    /// Publications that are not the probe's or not for this subscriber, or whose payload was changed.
    pub stray: u64,
    /// Messages the broker never answered for (QoS 1 and 2).
    pub unanswered: u64,
    /// Times nothing came for so long that what was in flight was given up.
    pub stalls: u64,
}

/// Version of the JSON structure.
pub(crate) const SCHEMA: u32 = 1;

impl Report {
    pub(crate) fn new(driver: &Driver<'_>, phases: Vec<Phase>) -> Self {
        let mut report = Self {
            schema: SCHEMA,
            scenario: driver.options.scenario,
            url: driver.options.target.to_string(),
            setup: Setup::new(driver.options),
            phases,
            messages: Messages::new(driver),
            refused: driver.incidents.refused(),
            disconnects: driver.incidents.disconnects(),
            violations: driver.incidents.violations(),
            notes: driver.incidents.notes(),
            memory: driver.process.as_ref().map(Process::memory),
            connections: driver.open_count as u64,
            is_clean: false,
        };
        report.is_clean = report.messages.is_clean()
            && report.refused.is_empty()
            && report.disconnects.is_empty()
            && report.violations.is_empty()
            && !report.phases.is_empty();
        report
    }

    /// Growth of the broker's memory per connection that was open at the end, in bytes; for `connections`.
    pub fn memory_per_connection(&self) -> Option<f64> {
        let memory =
            self.memory.filter(|_| self.scenario == Scenario::Connections && self.connections > 0)?;
        Some((memory.after as f64 - memory.before as f64) / self.connections as f64)
    }
}

impl Setup {
    fn new(options: &Options) -> Self {
        let scenario = options.scenario;
        let only = |scenarios: &[Scenario]| scenarios.contains(&scenario);
        Self {
            mqtt: match options.version {
                ProtocolVersion::V3_1 => "3.1",
                ProtocolVersion::V3_1_1 => "3.1.1",
                ProtocolVersion::V5 => "5.0",
            },
            qos: options.qos as u8,
            payload_bytes: options.payload_bytes,
            publishers: options.publishers,
            subscribers: options.subscribers,
            topics: options.topics(),
            window: options.rate.is_none().then_some(options.window),
            rate: options.rate,
            burst: options.rate.map(|_| options.burst),
            seconds: options.duration.as_secs_f64(),
            warm_up_seconds: options.warm_up.as_secs_f64(),
            connections: only(&[Scenario::Connections]).then_some(options.connections),
            messages: only(&[Scenario::Retained, Scenario::Queue]).then_some(options.messages),
            filters: only(&[Scenario::Wildcard]).then_some(options.filters),
            durable: only(Scenario::STEADY).then_some(options.durable),
            reconnect: only(&[Scenario::ConnectRate]).then_some(options.reconnect),
            homes_apart: options.homes_apart,
        }
    }
}

impl Messages {
    fn new(driver: &Driver<'_>) -> Self {
        let traffic = &driver.traffic;
        let counts = &traffic.counts;
        Self {
            sent: counts.sent,
            expected: counts.expected,
            received: counts.received,
            lost: traffic.lost(),
            duplicated: traffic.duplicated(),
            out_of_order: traffic.out_of_order(),
            stray: counts.stray,
            unanswered: traffic.unanswered(),
            stalls: counts.stalls,
        }
    }

    fn is_clean(&self) -> bool {
        [self.lost, self.duplicated, self.out_of_order, self.stray, self.unanswered] == [0; 5]
    }
}
