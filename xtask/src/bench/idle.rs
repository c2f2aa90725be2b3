//! What a connection weighs that says nothing.

use anyhow::Result;

use super::brokers::Broker;
use super::lab::{Lab, Report, troubles};
use super::table::{Cell, Table};

/// Resident memory per connection, from a fresh process.
pub(super) fn measure(lab: &Lab<'_>) -> Result<Table> {
    let how = "Connections with a session and one subscription to a topic of their own; growth of the resident \
               memory of a fresh process. Sockets live in the kernel and are not in it.";
    let columns = ["broker", "connections", "bytes each", "goal", "met", "CPU in silence, cores"];
    let mut table = Table::new("Idle connections", how, &columns);
    let connections = if lab.options.is_quick { "2000" } else { "10000" };
    for broker in [Broker::noctule(lab, 1)?, Broker::mosquitto(lab)?] {
        let report =
            lab.measure_or_tell(&["connections", "--connections", connections, "--seconds", "5"], &broker);
        table.notes.extend(troubles(&broker, std::slice::from_ref(&report)));
        table.push(broker.name, row(&broker, &report));
    }
    Ok(table)
}

fn row(broker: &Broker, report: &Report) -> Vec<Cell> {
    let bytes = Cell::number(bytes_each(report), 0);
    let [goal, is_met] = match broker.name {
        "noctule" => [Cell::Number(BYTES_GOAL, 0), bytes.at_most(BYTES_GOAL)],
        _ => [Cell::Nothing, Cell::Nothing],
    };
    let connections = Cell::number(report.figure("connections"), 0);
    vec![connections, bytes, goal, is_met, Cell::number(report.phase("hold", "broker/cores"), 4)]
}

fn bytes_each(report: &Report) -> Result<f64> {
    let grown = report.figure("memory/after")? - report.figure("memory/before")?;
    Ok(grown / report.figure("connections")?.max(1.0))
}

const BYTES_GOAL: f64 = 1_000.0;
