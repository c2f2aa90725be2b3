//! What a promise costs: the same load with every durability, in one run.

use std::fs::OpenOptions;
use std::os::unix::fs::FileExt as _;
use std::time::Instant;

use anyhow::{Context, Result};

use super::brokers::Broker;
use super::lab::{Lab, Report, median, median_of, troubles};
use super::process::{Written, journal_written};
use super::table::{Cell, Table};

/// A load with so many messages outstanding.
struct Load {
    name: &'static str,
    words: &'static [&'static str],
    /// The phase that counts.
    phase: &'static str,
    /// Of the throughput with `memory`, with `disk`.
    goal: Option<f64>,
}

const LOADS: &[Load] = &[
    Load { name: "online, 1 outstanding", words: &ONLINE_1, phase: "traffic", goal: None },
    Load { name: "online, 100", words: &ONLINE_100, phase: "traffic", goal: None },
    Load { name: "online, 1,000", words: &ONLINE_1000, phase: "traffic", goal: Some(0.5) },
    Load {
        name: "offline, 1",
        words: &["queue", "--messages", "10000", "--window", "1"],
        phase: "fill",
        goal: None,
    },
    Load {
        name: "offline, 100",
        words: &[
            "queue",
            "--messages",
            "100000",
            "--window",
            "100",
            "--subscribers",
            "100",
            "--topics",
            "100",
        ],
        phase: "fill",
        goal: None,
    },
    Load {
        name: "offline, 1,000",
        words: &[
            "queue",
            "--messages",
            "400000",
            "--window",
            "1000",
            "--subscribers",
            "100",
            "--topics",
            "100",
        ],
        phase: "fill",
        goal: Some(0.5),
    },
];

pub(super) fn measure(lab: &Lab<'_>) -> Result<Table> {
    let how = "QoS 1, 16 bytes, to durable sessions: connected ones (p2p, window times publishers outstanding), or \
               ones that are away (the fill of `queue`). The journal's share of a message with `disk`, and how many \
               it wrote, and synced, at a time.";
    let columns = [
        "load",
        "memory, thousand/s",
        "os, thousand/s",
        "disk, thousand/s",
        "disk : memory",
        "goal",
        "met",
        "memory, CPU-µs",
        "os, CPU-µs",
        "disk, CPU-µs",
        "journal bytes each",
        "messages per write",
    ];
    let mut table = Table::new("Durability", how, &columns);
    for load in LOADS {
        lab.say(load.name);
        let row = row(lab, load, &mut table.notes);
        table.push_or_tell(load.name, row);
    }
    Ok(table)
}

fn row(lab: &Lab<'_>, load: &Load, notes: &mut Vec<String>) -> Result<Vec<Cell>> {
    let brokers = [
        Broker::noctule_with(lab, "memory")?,
        Broker::noctule_with(lab, "os")?,
        Broker::noctule_with(lab, "disk")?,
    ];
    let before = journal_written(&brokers[2])?;
    let reports = lab.compare(load.words, brokers.each_ref());
    let after = journal_written(&brokers[2])?;
    for (broker, reports) in brokers.iter().zip(&reports) {
        notes.extend(troubles(broker, reports));
    }
    let [memory, os, disk] = &reports;
    let rate = |reports: &[Report]| median_of(reports, load.phase, "per_second");
    let cost =
        |reports: &[Report]| Cell::number(median_of(reports, load.phase, "broker/cpu_us_per_message"), 2);
    let thousands = |reports: &[Report]| Cell::number(rate(reports).map(|rate| rate / 1e3), 1);
    let share = Cell::Number(rate(disk)? / rate(memory)?, 2);
    let [goal, is_met] = match load.goal {
        Some(goal) => [Cell::Number(goal, 2), share.at_least(goal)],
        None => [Cell::Nothing, Cell::Nothing],
    };
    let messages: f64 = disk.iter().map(|report| report.figure("messages/sent")).sum::<Result<f64>>()?;
    Ok(vec![
        thousands(memory),
        thousands(os),
        thousands(disk),
        share,
        goal,
        is_met,
        cost(memory),
        cost(os),
        cost(disk),
        Cell::Number((after.bytes - before.bytes) / messages, 0),
        Cell::Number(messages / (after.writes - before.writes), 1),
    ])
}

pub(super) fn delay(lab: &Lab<'_>) -> Result<Table> {
    let how = "p2p QoS 1, 16 bytes, 100 durable subscribers, in an open loop at half of the rate that `disk` \
               reaches with 1,000 outstanding. The sync is one write and one fdatasync of as many bytes as a \
               commit had, measured in the same folder right after.";
    let columns = [
        "rate, thousand/s",
        "p99 memory, µs",
        "p99 disk, µs",
        "difference",
        "p99 of a sync, µs",
        "times",
        "goal",
        "met",
    ];
    let mut table = Table::new("Delay of a promise", how, &[&["load"], &columns[..]].concat());
    let row = delay_row(lab, &mut table.notes);
    table.push_or_tell("half of saturation", row);
    Ok(table)
}

fn delay_row(lab: &Lab<'_>, notes: &mut Vec<String>) -> Result<Vec<Cell>> {
    let [memory, disk] = [Broker::noctule_with(lab, "memory")?, Broker::noctule_with(lab, "disk")?];
    let rate = lab.measure(&ONLINE_1000, &disk)?.phase("traffic", "per_second")? / 2.0;
    let words = ["p2p", "--qos", "1", "--durable", "--seconds", "4", "--rate", &format!("{rate:.0}")]
        .map(str::to_owned);
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let before = journal_written(&disk)?;
    let reports = lab.compare(&words, [&memory, &disk]);
    let after = journal_written(&disk)?;
    notes.extend(
        [&memory, &disk].iter().zip(&reports).filter_map(|(broker, reports)| troubles(broker, reports)),
    );
    let [p99_memory, p99_disk] =
        [median_of(&reports[0], "traffic", P99)?, median_of(&reports[1], "traffic", P99)?];
    let sync = sync_p99(lab, &before, &after)?;
    let times = Cell::Times((p99_disk - p99_memory) / sync);
    let is_met = times.at_most(DELAY_GOAL);
    Ok(vec![
        Cell::Number(rate / 1e3, 0),
        Cell::Number(p99_memory, 0),
        Cell::Number(p99_disk, 0),
        Cell::Number(p99_disk - p99_memory, 0),
        Cell::Number(sync, 0),
        times,
        Cell::Times(DELAY_GOAL),
        is_met,
    ])
}

/// Microseconds that ninety-nine of a hundred writes with a sync do not exceed; each of the bytes of a commit, to
/// blocks that have been written before. The median of some hundreds.
fn sync_p99(lab: &Lab<'_>, before: &Written, after: &Written) -> Result<f64> {
    let bytes = (after.bytes - before.bytes) / (after.writes - before.writes).max(1.0);
    let path = lab.folder.join("sync");
    let file =
        OpenOptions::new().create(true).truncate(true).write(true).open(&path).context("cannot write")?;
    let batch = vec![1; bytes as usize];
    let places = (SYNC_FILE_BYTES / batch.len().max(1)).max(1);
    file.write_all_at(&vec![0; SYNC_FILE_BYTES + batch.len()], 0)?;
    file.sync_all()?;
    let mut rounds = Vec::new();
    for _ in 0..SYNC_ROUNDS {
        let mut times = Vec::new();
        for place in 0..SYNCS {
            let begun = Instant::now();
            file.write_all_at(&batch, (place % places * batch.len()) as u64)?;
            file.sync_data()?;
            times.push(begun.elapsed().as_secs_f64() * 1e6);
        }
        times.sort_by(f64::total_cmp);
        rounds.push(times[SYNCS * 99 / 100]);
    }
    Ok(median(rounds))
}

const ONLINE_1: [&str; 12] = online("1", "1");
const ONLINE_100: [&str; 12] = online("100", "1");
const ONLINE_1000: [&str; 12] = online("100", "10");

const fn online(clients: &'static str, window: &'static str) -> [&'static str; 12] {
    let seconds = "3";
    [
        "p2p",
        "--qos",
        "1",
        "--durable",
        "--publishers",
        clients,
        "--subscribers",
        clients,
        "--window",
        window,
        "--seconds",
        seconds,
    ]
}

const P99: &str = "latency_us/p99";
const DELAY_GOAL: f64 = 3.0;
const SYNC_FILE_BYTES: usize = 64 << 20;
const SYNC_ROUNDS: usize = 5;
const SYNCS: usize = 1_000;
