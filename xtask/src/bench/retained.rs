//! What it costs to keep retained messages, and to hand them all to one `#`.

use anyhow::Result;

use super::brokers::Broker;
use super::lab::{Lab, Report, median_of, troubles};
use super::table::{Cell, Table};

pub(super) fn measure(lab: &Lab<'_>) -> Result<Table> {
    let how = "As many topics as messages, QoS 1; then one subscriber with one `#` filter receives all of them. \
               CPU time of the broker per message.";
    let columns =
        ["broker", "messages", "kept, µs each", "received, µs each", "goal", "met", "received, thousand/s"];
    let mut table = Table::new("Retained messages", how, &columns);
    let messages = if lab.options.is_quick { "10000" } else { "100000" };
    let brokers = [Broker::noctule(lab, 1)?, Broker::mosquitto(lab)?];
    let brokers = brokers.each_ref();
    let reports = lab.compare(&["retained", "--messages", messages], brokers);
    for (broker, reports) in brokers.iter().zip(&reports) {
        table.notes.extend(troubles(broker, reports));
        table.push(broker.name, row(broker, reports));
    }
    Ok(table)
}

fn row(broker: &Broker, reports: &[Report]) -> Vec<Cell> {
    let received = Cell::number(median_of(reports, "receive", COST), 2);
    let [goal, is_met] = match broker.name {
        "noctule" => [Cell::Number(GOAL, 1), received.at_most(GOAL)],
        _ => [Cell::Nothing, Cell::Nothing],
    };
    vec![
        Cell::number(median_of(reports, "receive", "messages"), 0),
        Cell::number(median_of(reports, "publish", COST), 2),
        received,
        goal,
        is_met,
        Cell::number(median_of(reports, "receive", "per_second").map(|rate| rate / 1e3), 0),
    ]
}

const COST: &str = "broker/cpu_us_per_message";
/// Microseconds each.
const GOAL: f64 = 0.9;
