//! What a promise costs: the same load with every durability, in one run.

use std::fs::OpenOptions;
use std::os::unix::fs::FileExt as _;
use std::time::Instant;

use anyhow::{Context, Result, anyhow};

use super::brokers::Broker;
use super::lab::{Lab, Report, median, median_of, troubles};
use super::process::journal_written;
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
        Cell::Number((after.bytes_all() - before.bytes_all()) / messages, 0),
        Cell::Number(messages / (after.writes - before.writes), 1),
    ])
}

pub(super) fn delay(lab: &Lab<'_>) -> Result<Table> {
    let how = format!(
        "Time from when a PUBLISH was due until its PUBACK came: p2p QoS 1, 16 bytes, {CLIENTS} publishers and \
         {CLIENTS} durable subscribers, in an open loop of {BURST} messages at a time. Saturation is what `disk` \
         reaches with the same connections and 1,000 outstanding. The sync is one write and one fdatasync of as many \
         bytes as a commit had, one after the other in the same folder right after. Who comes at any time while they \
         run, and waits for the rest of one and for the next, waits for the disk alone: that is the least there is. \
         Where the generator was busy for more than {:.0} % of the time, it is a part of the figure.",
        GENERATOR_BUSY_MAX * 100.0
    );
    let columns = [
        "load",
        "rate, thousand/s",
        "generator busy, %",
        "p50 memory, µs",
        "p50 disk, µs",
        "p99 memory, µs",
        "p99 disk, µs",
        "difference",
        "bytes per commit",
        "p99 of a sync, µs",
        "times",
        "goal",
        "met",
        "p99 of the least wait, µs",
        "times that",
    ];
    let mut table = Table::new("Delay of a promise", &how, &columns);
    let saturation = saturation(lab);
    for (name, share) in [("half of saturation", 0.5), ("a quarter", 0.25), ("a tenth", 0.1)] {
        lab.say(name);
        let row = match &saturation {
            Ok(saturation) => delay_row(lab, saturation * share, &mut table.notes),
            Err(cause) => Err(anyhow!("the saturation is not known: {cause:#}")),
        };
        table.push_or_tell(name, row);
    }
    Ok(table)
}

/// Messages per second with `disk` and 1,000 outstanding.
fn saturation(lab: &Lab<'_>) -> Result<f64> {
    let broker = Broker::noctule_with(lab, "disk")?;
    lab.measure(&online(CLIENTS, WINDOW_OF_1000), &broker)?.phase("traffic", "per_second")
}

fn delay_row(lab: &Lab<'_>, rate: f64, notes: &mut Vec<String>) -> Result<Vec<Cell>> {
    let [memory, disk] = [Broker::noctule_with(lab, "memory")?, Broker::noctule_with(lab, "disk")?];
    let (rate_word, seconds) = (format!("{rate:.0}"), DELAY_SECONDS.max(lab.options.seconds).to_string());
    let words = ["p2p", "--qos", "1", "--durable", "--publishers", CLIENTS, "--subscribers", CLIENTS];
    let words = [&words[..], &["--seconds", &seconds, "--rate", &rate_word, "--burst", BURST]].concat();
    let before = journal_written(&disk)?;
    let reports = lab.compare(&words, [&memory, &disk]);
    let after = journal_written(&disk)?;
    notes.extend(
        [&memory, &disk].iter().zip(&reports).filter_map(|(broker, reports)| troubles(broker, reports)),
    );
    let figures = |figure| -> Result<[f64; 2]> {
        Ok([median_of(&reports[0], "traffic", figure)?, median_of(&reports[1], "traffic", figure)?])
    };
    let [p50_memory, p50_disk] = figures("ack_latency_us/p50")?;
    let [p99_memory, p99_disk] = figures("ack_latency_us/p99")?;
    let busy = figures("probe_busy")?.into_iter().fold(0.0, f64::max);
    if busy > GENERATOR_BUSY_MAX {
        notes.push(format!("{:.0} thousand/s: the generator was full", rate / 1e3));
    }
    let commit_bytes = (after.bytes - before.bytes) / (after.writes - before.writes).max(1.0);
    let sync = syncs(lab, commit_bytes as usize)?;
    let times = Cell::Times((p99_disk - p99_memory) / sync.p99);
    let is_met = times.at_most(DELAY_GOAL);
    Ok(vec![
        Cell::Number(rate / 1e3, 0),
        Cell::Number(busy * 100.0, 0),
        Cell::Number(p50_memory, 0),
        Cell::Number(p50_disk, 0),
        Cell::Number(p99_memory, 0),
        Cell::Number(p99_disk, 0),
        Cell::Number(p99_disk - p99_memory, 0),
        Cell::Number(commit_bytes, 0),
        Cell::Number(sync.p99, 0),
        times,
        Cell::Times(DELAY_GOAL),
        is_met,
        Cell::Number(sync.wait_p99, 0),
        Cell::Times((p99_disk - p99_memory) / sync.wait_p99),
    ])
}

/// Microseconds that ninety-nine of a hundred do not exceed: medians of some rounds.
struct Syncs {
    /// A write with its sync.
    p99: f64,
    /// What somebody waits who comes at any time, for the rest of one and for the next.
    wait_p99: f64,
}

/// Writes as many bytes as a commit has to blocks that have been written before, and syncs them, again and again.
fn syncs(lab: &Lab<'_>, bytes: usize) -> Result<Syncs> {
    let path = lab.folder.join("sync");
    let file =
        OpenOptions::new().create(true).truncate(true).write(true).open(&path).context("cannot write")?;
    let batch = vec![1; bytes];
    let places = (SYNC_FILE_BYTES / batch.len().max(1)).max(1);
    file.write_all_at(&vec![0; SYNC_FILE_BYTES + batch.len()], 0)?;
    file.sync_all()?;
    let (mut p99s, mut wait_p99s) = (Vec::new(), Vec::new());
    for _ in 0..SYNC_ROUNDS {
        let (round, mut times) = (Instant::now(), Vec::new());
        while round.elapsed().as_secs_f64() < DELAY_SECONDS {
            let begun = Instant::now();
            file.write_all_at(&batch, (times.len() % places * batch.len()) as u64)?;
            file.sync_data()?;
            times.push(begun.elapsed().as_secs_f64() * 1e6);
        }
        wait_p99s.push(p99(waits(&times)));
        p99s.push(p99(times));
    }
    Ok(Syncs { p99: median(p99s), wait_p99: median(wait_p99s) })
}

/// The waits of those who come at even distances while these syncs run, one after the other.
fn waits(syncs: &[f64]) -> Vec<f64> {
    let mut waits = Vec::new();
    for pair in syncs.windows(2) {
        let comers = (pair[0] / COMER_EVERY_US).ceil();
        waits.extend((0..comers as usize).map(|comer| pair[0] * (1.0 - comer as f64 / comers) + pair[1]));
    }
    waits
}

fn p99(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() * 99 / 100).copied().unwrap_or(f64::NAN)
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

/// Few enough that the generator has time to spare: each publisher has five of a hundred messages in one write.
const CLIENTS: &str = "20";
const WINDOW_OF_1000: &str = "50";
const BURST: &str = "100";
const GENERATOR_BUSY_MAX: f64 = 0.8;
const DELAY_SECONDS: f64 = 4.0;
const DELAY_GOAL: f64 = 3.0;
const SYNC_FILE_BYTES: usize = 64 << 20;
const SYNC_ROUNDS: usize = 5;
const COMER_EVERY_US: f64 = 10.0;
