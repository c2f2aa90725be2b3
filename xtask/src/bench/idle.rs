//! What a connection weighs that says nothing.

use anyhow::Result;

use super::brokers::{Broker, Door};
use super::lab::{Lab, Report, troubles};
use super::table::{Cell, Table};

/// Resident memory per connection, from a fresh process.
pub(super) fn measure(lab: &Lab<'_>) -> Result<Table> {
    let how = "Connections with a session and one subscription to a topic of their own; growth of the resident \
               memory of a fresh process. Sockets live in the kernel and are not in it. TLS is 1.3, and most of its \
               clients go on with what an earlier connection has agreed on.";
    let columns = ["broker", "through", "connections", "bytes each", "goal", "met", "CPU in silence, cores"];
    let mut table = Table::new("Idle connections", how, &columns);
    let doors = [
        (Door::Tcp, "TCP", TCP_BYTES_GOAL),
        (Door::WebSocket, "WebSocket", TCP_BYTES_GOAL + WEBSOCKET_BYTES_GOAL),
        (Door::Tls, "TLS", TLS_BYTES_GOAL),
        (Door::WebSocketInTls, "WebSocket in TLS", TLS_BYTES_GOAL + WEBSOCKET_BYTES_GOAL),
    ];
    for (door, through, goal) in doors {
        weigh(lab, &Broker::noctule_behind(lab, door)?, through, Some(goal), &mut table);
    }
    weigh(lab, &Broker::mosquitto(lab)?, "TCP", None, &mut table);
    Ok(table)
}

fn weigh(lab: &Lab<'_>, broker: &Broker, through: &str, goal: Option<f64>, table: &mut Table) {
    let connections = if lab.options.is_quick { "2000" } else { "10000" };
    let report =
        lab.measure_or_tell(&["connections", "--connections", connections, "--seconds", "5"], broker);
    table.notes.extend(troubles(broker, std::slice::from_ref(&report)));
    let bytes = Cell::number(bytes_each(&report), 0);
    let is_met = goal.map_or(Cell::Nothing, |goal| bytes.at_most(goal));
    let cells = vec![
        Cell::text(through),
        Cell::number(report.figure("connections"), 0),
        bytes,
        goal.map_or(Cell::Nothing, |goal| Cell::Number(goal, 0)),
        is_met,
        Cell::number(report.phase("hold", "broker/cores"), 4),
    ];
    table.push(broker.name, cells);
}

fn bytes_each(report: &Report) -> Result<f64> {
    let grown = report.figure("memory/after")? - report.figure("memory/before")?;
    Ok(grown / report.figure("connections")?.max(1.0))
}

const TCP_BYTES_GOAL: f64 = 1_000.0;
/// Beyond what it would be without.
const WEBSOCKET_BYTES_GOAL: f64 = 200.0;
const TLS_BYTES_GOAL: f64 = 4_000.0;
