//! Two shards against one, with every message crossing from one to the other.
//!
//! The generator needs the other core, so both shards share one: throughput cannot show what is gained, processor time
//! shows what it costs.

use std::time::Duration;

use anyhow::{Context, Result};

use super::brokers::Broker;
use super::lab::{Lab, median_of, ratio_of, troubles};
use super::process::{thread_times, used_between};
use super::table::{Cell, Table};

pub(super) fn measure(lab: &Lab<'_>) -> Result<Table> {
    let how = "p2p, window 16, client ids chosen so that publisher and subscriber of every topic live on \
               different shards (`--homes-apart 2`). Both shards' threads on core 0. The split is the \
               processor time of the two threads.";
    let columns = [
        "cell",
        "1 shard, µs",
        "2 shards, µs",
        "2 against 1",
        "goal",
        "met",
        "busier thread / other",
        "goal of split",
        "split met",
    ];
    let mut table = Table::new("Two shards", how, &columns);
    let brokers = [Broker::noctule(lab, 1)?, Broker::noctule(lab, 2)?];
    for qos in ["0", "1", "2"] {
        let title = format!("p2p QoS {qos}");
        lab.say(&title);
        let row = row(lab, brokers.each_ref(), qos, &mut table.notes);
        table.push_or_tell(&title, row);
    }
    Ok(table)
}

fn row(lab: &Lab<'_>, brokers: [&Broker; 2], qos: &str, notes: &mut Vec<String>) -> Result<Vec<Cell>> {
    let seconds = lab.options.seconds.to_string();
    let words = ["p2p", "--qos", qos, "--homes-apart", "2", "--seconds", &seconds];
    let before = thread_times(brokers[1])?;
    let reports = lab.compare(&words, brokers);
    let used = used_between(&before, &thread_times(brokers[1])?);
    for (broker, reports) in brokers.iter().zip(&reports) {
        notes.extend(troubles(broker, reports));
    }
    let [one, two] = reports;
    let times = Cell::times(ratio_of(&two, &one, "traffic", COST));
    let split = Cell::times(split(&used).context("the broker has fewer than two threads"));
    let (times_met, split_met) = (times.at_most(GOAL), split.at_most(SPLIT_GOAL));
    Ok(vec![
        Cell::number(median_of(&one, "traffic", COST), 2),
        Cell::number(median_of(&two, "traffic", COST), 2),
        times,
        Cell::Times(GOAL),
        times_met,
        split,
        Cell::Times(SPLIT_GOAL),
        split_met,
    ])
}

/// The two busiest threads are the shards'.
fn split(used: &[Duration]) -> Option<f64> {
    let [busier, other, ..] = used else { return None };
    Some(busier.as_secs_f64() / other.as_secs_f64().max(f64::MIN_POSITIVE))
}

const COST: &str = "broker/cpu_us_per_message";
const GOAL: f64 = 1.1;
const SPLIT_GOAL: f64 = 1.1;
