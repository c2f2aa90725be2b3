//! Reports for people.

use std::fmt::{self, Display, Formatter};

use crate::compare::{Comparison, MedianPhase};
use crate::report::{OpenLoop, Phase, Report};
use crate::{Latency, Scenario, Setup};

impl Display for Report {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        writeln!(f, "{} at {}: {}", self.scenario.name(), self.url, Headline(self.scenario, &self.setup))?;
        for phase in &self.phases {
            write_phase(f, phase, self.scenario)?;
        }
        self.write_messages(f)?;
        self.write_memory(f)?;
        for refused in &self.refused {
            let (packet, name, count) = (refused.packet, refused.name, refused.count);
            writeln!(f, "  REFUSED       {packet} 0x{:02X} {name}, {count} times", refused.reason_code)?;
        }
        for (label, list) in
            [("DISCONNECTED", &self.disconnects), ("VIOLATION", &self.violations), ("note", &self.notes)]
        {
            for happened in list {
                writeln!(f, "  {label:<13} {}, {} times", happened.what, happened.count)?;
            }
        }
        let verdict = if self.is_clean {
            "clean: nothing lost, duplicated, out of order, refused or disconnected"
        } else {
            "NOT CLEAN: see above"
        };
        write!(f, "  {verdict}")
    }
}

impl Report {
    fn write_messages(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let messages = &self.messages;
        if messages.sent == 0 {
            return Ok(());
        }
        writeln!(
            f,
            "  messages      {} sent, {} copies owed, {} received",
            messages.sent, messages.expected, messages.received
        )?;
        for (label, count, what) in [
            ("LOST", messages.lost, "copies that were owed did not come"),
            ("DUPLICATED", messages.duplicated, "copies came again"),
            ("OUT OF ORDER", messages.out_of_order, "copies came after a later message"),
            ("STRAY", messages.stray, "publications were not ours, not for this subscriber, or changed"),
            ("UNANSWERED", messages.unanswered, "messages were never acknowledged"),
            ("stalls", messages.stalls, "times nothing came and what was in flight was given up"),
        ] {
            if count > 0 {
                writeln!(f, "  {label:<13} {count} {what}")?;
            }
        }
        Ok(())
    }

    fn write_memory(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Some(memory) = self.memory else { return Ok(()) };
        let [before, peak, after] = [memory.before, memory.peak, memory.after].map(mebibytes);
        write!(f, "  memory        {before:.1} MiB before, {peak:.1} peak, {after:.1} after")?;
        match self.memory_per_connection() {
            Some(bytes) => writeln!(f, ", {bytes:.0} bytes per connection"),
            None => writeln!(f),
        }
    }
}

/// What was asked for, in one line.
struct Headline<'a>(Scenario, &'a Setup);

impl Display for Headline<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Self(scenario, setup) = self;
        write!(f, "MQTT {}", setup.mqtt)?;
        match scenario {
            Scenario::Connections => return write!(f, ", {} connections", setup.connections.unwrap_or(0)),
            Scenario::ConnectRate => {
                let what = if setup.reconnect == Some(true) { "reconnects" } else { "connects" };
                return write!(f, ", {} {what} at a time", setup.window.unwrap_or(0));
            }
            _ => {}
        }
        write!(
            f,
            ", QoS {}, {} B, {} to {}",
            setup.qos, setup.payload_bytes, setup.publishers, setup.subscribers
        )?;
        write!(f, ", {} topics", setup.topics)?;
        if setup.durable == Some(true) {
            write!(f, ", durable sessions")?;
        }
        if let Some(filters) = setup.filters {
            write!(f, ", {filters} wildcard filters")?;
        }
        if let Some(messages) = setup.messages {
            write!(f, ", {messages} messages")?;
        }
        match (setup.rate, setup.window) {
            (Some(rate), _) => write!(f, ", open loop, {rate} messages/s"),
            (None, Some(window)) => write!(f, ", closed loop, window {window}"),
            (None, None) => Ok(()),
        }
    }
}

fn write_phase(f: &mut Formatter<'_>, phase: &Phase, scenario: Scenario) -> fmt::Result {
    let unit = unit(phase.name, scenario);
    write!(f, "  {:<13} {} {unit} in {:.2} s", phase.name, phase.messages, phase.seconds)?;
    if phase.name != "hold" {
        write!(f, ", {:.0} per second", phase.per_second)?;
    }
    if let Some(messages) = phase.messages_per_write {
        write!(f, ", {messages:.1} messages per write")?;
    }
    writeln!(f)?;
    for (what, latency) in [("latency", phase.latency_us), ("ack latency", phase.ack_latency_us)] {
        let Some(Latency { p50, p90, p99, p999, max, .. }) = latency else { continue };
        writeln!(
            f,
            "    {what:<12}p50 {p50:.0}, p90 {p90:.0}, p99 {p99:.0}, p99.9 {p999:.0}, max {max:.0} microseconds"
        )?;
    }
    if let Some(broker) = phase.broker {
        write!(f, "    broker      {:.2} cores", broker.cores)?;
        if phase.name != "hold" {
            write!(f, ", {:.3} CPU-microseconds per {}", broker.cpu_us_per_message, singular(unit))?;
        }
        writeln!(f)?;
    }
    if let Some(open_loop) = phase.open_loop {
        write_open_loop(f, open_loop)?;
    }
    if phase.probe_busy > PROBE_CORES_BUSY {
        writeln!(f, "    probe       {:.2} cores: the probe may have been the bottleneck", phase.probe_busy)?;
    }
    Ok(())
}

fn write_open_loop(f: &mut Formatter<'_>, open_loop: OpenLoop) -> fmt::Result {
    let OpenLoop { asked_per_second, sent_per_second, behind, is_kept } = open_loop;
    if is_kept {
        return writeln!(f, "    rate        kept: {sent_per_second:.0} sent per second");
    }
    writeln!(
        f,
        "    rate        COULD NOT KEEP {asked_per_second} per second: {sent_per_second:.0} sent, {behind} behind"
    )
}

fn unit(phase: &str, scenario: Scenario) -> &'static str {
    match (phase, scenario) {
        ("subscribe", _) => "filters",
        ("open" | "hold", _) => "connections",
        ("connect", _) => "connects",
        ("publish" | "fill", _) => "messages accepted",
        _ => "copies delivered",
    }
}

fn singular(unit: &str) -> &'static str {
    match unit {
        "filters" => "filter",
        "connections" | "connects" => "connection",
        _ => "message",
    }
}

fn mebibytes(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}

impl Display for Comparison {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{}, median of {} rounds, ratios to {}",
            self.scenario.name(),
            self.rounds,
            self.baseline()
        )?;
        for phase in self.phase_names() {
            writeln!(
                f,
                "\n{phase:<16} {:>12} {:>7} {:>12} {:>7} {:>10} {:>7} {:>10}",
                "per second", "ratio", "CPU us/msg", "ratio", "p50 us", "ratio", "p99 us"
            )?;
            for (name, median) in self.medians_of(phase) {
                write_median(f, name, median)?;
            }
        }
        for (name, rounds) in self.late() {
            writeln!(f, "  {name} COULD NOT KEEP the rate in {rounds} of {} rounds", self.rounds)?;
        }
        for (name, round) in self.unclean() {
            write!(f, "\n{name}, round {}:\n{}\n", round.0 + 1, round.1)?;
        }
        Ok(())
    }
}

fn write_median(f: &mut Formatter<'_>, name: &str, phase: &MedianPhase) -> fmt::Result {
    let ratio = |ratio: Option<f64>| ratio.map_or("-".to_owned(), |ratio| format!("x {ratio:.2}"));
    let figure =
        |value: Option<f64>, digits: usize| value.map_or("-".to_owned(), |value| format!("{value:.digits$}"));
    writeln!(
        f,
        "  {name:<14} {:>12.0} {:>7} {:>12} {:>7} {:>10} {:>7} {:>10}",
        phase.per_second.value,
        ratio(phase.per_second.ratio),
        figure(phase.cpu_us_per_message.map(|median| median.value), 3),
        ratio(phase.cpu_us_per_message.and_then(|median| median.ratio)),
        figure(phase.latency_p50_us.map(|median| median.value), 0),
        ratio(phase.latency_p50_us.and_then(|median| median.ratio)),
        figure(phase.latency_p99_us.map(|median| median.value), 0),
    )
}

/// Above this the probe has no time to spare.
const PROBE_CORES_BUSY: f64 = 0.95;
