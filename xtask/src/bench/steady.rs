//! What a message needs in the steady state beside time: system calls and allocations.

use std::fs;

use anyhow::{Context, Result, ensure};

use super::brokers::Broker;
use super::lab::Lab;
use super::table::{Cell, Table};

/// A load, and how many system calls a message may take.
struct Load {
    title: &'static str,
    words: &'static [&'static str],
    goal: Option<f64>,
}

const LOADS: [Load; 4] = [
    Load { title: "p2p QoS 0, window 16", words: &["p2p", "--qos", "0", "--window", "16"], goal: Some(0.15) },
    Load { title: "p2p QoS 1, window 16", words: &["p2p", "--qos", "1", "--window", "16"], goal: None },
    Load { title: "fan-out QoS 0, window 8", words: &["fan-out", "--qos", "0"], goal: None },
    Load { title: "p2p QoS 0, window 1", words: &["p2p", "--qos", "0", "--window", "1"], goal: Some(2.1) },
];

/// System calls of the broker while the generator runs, divided by the copies that were delivered.
pub(super) fn syscalls(lab: &Lab<'_>) -> Result<Table> {
    let how = "Counted by `perf stat -e raw_syscalls:sys_enter -p PID` from the first connection to the last, \
               which adds about ten per connection; it needs root or CAP_PERFMON.";
    let columns = ["cell", "relay", "noctule", "goal", "met", "Mosquitto"];
    let mut table = Table::new("System calls per delivered message", how, &columns);
    let brokers = [Broker::relay(lab)?, Broker::noctule(lab, 1)?, Broker::mosquitto(lab)?];
    for load in &LOADS {
        lab.say(load.title);
        table.push(load.title, syscall_row(lab, load, &brokers));
    }
    Ok(table)
}

fn syscall_row(lab: &Lab<'_>, load: &Load, brokers: &[Broker; 3]) -> Vec<Cell> {
    let calls = brokers.each_ref().map(|broker| Cell::number(calls_per_message(lab, load, broker), 3));
    let [relay, noctule, mosquitto] = calls;
    let [goal, is_met] = match load.goal {
        Some(goal) => [Cell::Number(goal, 2), noctule.at_most(goal)],
        None => [Cell::Nothing, Cell::Nothing],
    };
    vec![relay, noctule, goal, is_met, mosquitto]
}

fn calls_per_message(lab: &Lab<'_>, load: &Load, broker: &Broker) -> Result<f64> {
    let counts = lab.folder.join("perf.csv");
    let pid = broker.pid().to_string();
    let file = counts.to_string_lossy();
    let watcher = ["perf", "stat", "-x", ",", "-e", "raw_syscalls:sys_enter", "-p", &pid, "-o", &file, "--"];
    let seconds = (lab.options.seconds * 2.0).to_string();
    let words = [load.words, &["--seconds", &seconds]].concat();
    let report = lab.measure_under(&watcher.map(str::to_owned), &words, broker)?;
    let text = fs::read_to_string(&counts).context("perf counted nothing")?;
    let calls = counted(&text).with_context(|| format!("perf could not count: {text}"))?;
    Ok(calls / report.figure("messages/received")?)
}

/// The count in the first field of the line that names the event.
fn counted(text: &str) -> Option<f64> {
    let line = text.lines().find(|line| line.contains("raw_syscalls:sys_enter"))?;
    line.split(',').next()?.parse().ok()
}

/// Allocations per message of codec, session and engine, without sockets.
pub(super) fn allocations(lab: &Lab<'_>) -> Result<Table> {
    let how = "One shard in memory, driven through turns as the runtime drives it, 100,000 messages after 20,000 \
               of warming up (`cargo run --release -p noctule-testkit --example allocations`). Growing a \
               block counts too.";
    let columns = ["workload", "allocations per message", "bytes per message", "goal", "met"];
    let mut table = Table::new("Allocations per message", how, &columns);
    let output = lab.project.command(lab.project.target().join("release/examples/allocations")).output()?;
    ensure!(output.status.success(), "the example ended with {}", output.status);
    for line in String::from_utf8_lossy(&output.stdout).lines() {
        let words: Vec<&str> = line.split(' ').collect();
        let [name, allocations, bytes] = words[..] else { continue };
        table.push_or_tell(name, allocation_row(name, allocations, bytes));
    }
    Ok(table)
}

fn allocation_row(name: &str, allocations: &str, bytes: &str) -> Result<Vec<Cell>> {
    let (allocations, bytes): (f64, f64) = (allocations.parse()?, bytes.parse()?);
    let allocations = Cell::Number(allocations, 3);
    let is_met = allocations.at_most(ALLOCATIONS_NEGLIGIBLE);
    let mut row = vec![allocations, Cell::Number(bytes, 1)];
    // In the steady state routes are known.
    if !name.ends_with("searched") {
        row.extend([Cell::Number(0.0, 0), is_met]);
    }
    Ok(row)
}

/// A table that still grows now and then is no allocation per message.
const ALLOCATIONS_NEGLIGIBLE: f64 = 0.001;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn perf_is_understood_and_its_silence_too() {
        let text = "# started on\n\n3021,,raw_syscalls:sys_enter,7009,100.00,,\n";
        assert_eq!(counted(text), Some(3021.0));
        assert_eq!(counted("<not supported>,,raw_syscalls:sys_enter,0,100.00,,"), None);
        assert_eq!(counted(""), None);
    }
}
