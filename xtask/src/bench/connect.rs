//! What it costs to connect, with a clean start and to a session that is still there.

use anyhow::Result;

use super::brokers::Broker;
use super::lab::{Lab, Report, median_of, troubles};
use super::table::{Cell, Table};

pub(super) fn measure(lab: &Lab<'_>) -> Result<Table> {
    let how = "16 clients at a time connect, disconnect, wait until the broker has closed the connection, and \
               begin again. CPU time of the broker per connection, from accept to close; most of it is the \
               kernel's.";
    let columns = ["what", "broker", "µs each", "per second", "p99 until CONNACK, µs"];
    let mut table = Table::new("Connecting", how, &columns);
    let brokers = [Broker::noctule(lab, 1)?, Broker::mosquitto(lab)?];
    let brokers = brokers.each_ref();
    for (title, flags) in [("clean start", &[][..]), ("reconnect to a session", &["--reconnect"])] {
        lab.say(title);
        let seconds = lab.options.seconds.to_string();
        let words = [&["connect-rate", "--seconds", &seconds], flags].concat();
        let reports = lab.compare(&words, brokers);
        for (broker, reports) in brokers.iter().zip(&reports) {
            table.notes.extend(troubles(broker, reports));
            table.push(title, row(broker, reports));
        }
    }
    Ok(table)
}

fn row(broker: &Broker, reports: &[Report]) -> Vec<Cell> {
    vec![
        Cell::text(broker.name),
        Cell::number(median_of(reports, "connect", "broker/cpu_us_per_message"), 1),
        Cell::number(median_of(reports, "connect", "per_second"), 0),
        Cell::number(median_of(reports, "connect", "latency_us/p99"), 0),
    ]
}
