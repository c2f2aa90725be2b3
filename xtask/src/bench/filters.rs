//! What a message costs through many wildcard filters, and what a filter weighs.

use anyhow::Result;

use super::brokers::Broker;
use super::lab::{Lab, Report, median_of, ratio_of, troubles};
use super::table::{Cell, Table};

/// A broker that is measured with one number of filters.
struct Sized {
    filters: u32,
    broker: Broker,
    reports: Vec<Report>,
}

/// Each number of filters has a broker of its own, so that memory is that of a fresh process; rounds are taken in turn.
pub(super) fn measure(lab: &Lab<'_>) -> Result<Table> {
    let how = "p2p QoS 0, window 16, through filters `bench/RUN/+/NUMBER/#` that lie on the way and match \
               nothing. Memory is the growth of a fresh process beyond that with 1,000 filters.";
    let columns = [
        "filters",
        "broker",
        "µs per message",
        "against 1,000 filters",
        "goal of cost",
        "cost met",
        "bytes per filter",
        "goal of bytes",
        "bytes met",
        "µs per subscription",
    ];
    let mut table = Table::new("Wildcard filters", how, &columns);
    for start in [|lab: &Lab<'_>| Broker::noctule(lab, 1), Broker::mosquitto] {
        let sizes = measure_sizes(lab, start)?;
        for size in &sizes {
            table.notes.extend(troubles(&size.broker, &size.reports));
            table.push(&Cell::Number(f64::from(size.filters), 0).to_string(), row(size, &sizes[0]));
        }
    }
    if lab.options.is_quick {
        table.notes.push("1,000,000 filters: not measured in a quick run.".to_owned());
    }
    Ok(table)
}

fn measure_sizes(lab: &Lab<'_>, start: impl Fn(&Lab<'_>) -> Result<Broker>) -> Result<Vec<Sized>> {
    let numbers: &[u32] = if lab.options.is_quick { &SIZES[..2] } else { &SIZES };
    let sized = |filters: &u32| Ok(Sized { filters: *filters, broker: start(lab)?, reports: Vec::new() });
    let mut sizes: Vec<Sized> = numbers.iter().map(sized).collect::<Result<_>>()?;
    for round in 0..lab.options.rounds.min(ROUNDS_MAX) {
        for size in &mut sizes {
            lab.say(&format!("{} with {} filters, round {}", size.broker.name, size.filters, round + 1));
            let (filters, seconds) = (size.filters.to_string(), lab.options.seconds.to_string());
            let words = ["wildcard", "--filters", &filters, "--seconds", &seconds];
            size.reports.push(lab.measure_or_tell(&words, &size.broker));
        }
    }
    Ok(sizes)
}

fn row(size: &Sized, least: &Sized) -> Vec<Cell> {
    let times = Cell::times(ratio_of(&size.reports, &least.reports, "traffic", COST));
    let bytes = match size.filters - least.filters {
        0 => Cell::Nothing,
        more => Cell::number(grown_beyond(size, least).map(|bytes| bytes / f64::from(more)), 0),
    };
    let goals = match (size.broker.name, size.filters) {
        ("noctule", 1_000_000) => [
            [Cell::Times(COST_GOAL), times.at_most(COST_GOAL)],
            [Cell::Number(BYTES_GOAL, 0), bytes.at_most(BYTES_GOAL)],
        ],
        _ => [const { [Cell::Nothing, Cell::Nothing] }; 2],
    };
    let [[times_goal, times_met], [bytes_goal, bytes_met]] = goals;
    vec![
        Cell::text(size.broker.name),
        Cell::number(median_of(&size.reports, "traffic", COST), 2),
        times,
        times_goal,
        times_met,
        bytes,
        bytes_goal,
        bytes_met,
        Cell::number(median_of(&size.reports, "subscribe", COST), 2),
    ]
}

fn grown_beyond(size: &Sized, least: &Sized) -> Result<f64> {
    Ok(grown(size)? - grown(least)?)
}

/// In the first round, when the process was fresh.
fn grown(size: &Sized) -> Result<f64> {
    Ok(size.reports[0].figure("memory/after")? - size.reports[0].figure("memory/before")?)
}

const SIZES: [u32; 3] = [1_000, 100_000, 1_000_000];
/// A million subscriptions take a while.
const ROUNDS_MAX: usize = 3;
const COST: &str = "broker/cpu_us_per_message";
const COST_GOAL: f64 = 1.5;
const BYTES_GOAL: f64 = 200.0;
