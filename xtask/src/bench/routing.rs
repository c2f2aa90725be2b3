//! The cells of routing: what a delivered message costs, as a multiple of the relay.

use anyhow::Result;

use super::brokers::Broker;
use super::lab::{Lab, Report, median_of, ratio_of, troubles};
use super::table::{Cell, Table};

/// One cell and its goal.
struct Routing {
    name: &'static str,
    title: &'static str,
    /// The generator's words.
    words: &'static [&'static str],
    goal: f64,
}

const ROUTING: [Routing; 9] = [
    cell("p2p-qos0", "p2p QoS 0, window 16", &["p2p", "--qos", "0", "--window", "16"], 1.5),
    cell("p2p-qos1", "p2p QoS 1, window 16", &["p2p", "--qos", "1", "--window", "16"], 1.8),
    cell("p2p-qos2", "p2p QoS 2, window 16", &["p2p", "--qos", "2", "--window", "16"], 1.8),
    cell("p2p-qos0-single", "p2p QoS 0, window 1", &["p2p", "--qos", "0", "--window", "1"], 1.1),
    cell("p2p-qos1-single", "p2p QoS 1, window 1", &["p2p", "--qos", "1", "--window", "1"], 1.1),
    cell("fan-out-qos0", "fan-out QoS 0, window 8", &["fan-out", "--qos", "0"], 1.2),
    cell("fan-out-qos1", "fan-out QoS 1, window 8", &["fan-out", "--qos", "1"], 1.5),
    cell("fan-in-qos0", "fan-in QoS 0, window 4", &["fan-in", "--qos", "0"], 1.3),
    cell("fan-in-qos1", "fan-in QoS 1, window 4", &["fan-in", "--qos", "1"], 1.8),
];

/// Their names.
pub(super) const CELLS: &[&str] = &{
    let mut names = [""; ROUTING.len()];
    let mut at = 0;
    while at < names.len() {
        names[at] = ROUTING[at].name;
        at += 1;
    }
    names
};

const fn cell(name: &'static str, title: &'static str, words: &'static [&'static str], goal: f64) -> Routing {
    Routing { name, title, words, goal }
}

/// Relay, noctule and Mosquitto, in turn.
pub(super) fn measure(lab: &Lab<'_>) -> Result<Table> {
    let how = "CPU time of the broker per delivered message. p2p: 100 publishers to 100 subscribers on topics of \
               their own; fan-out: 1 to 1,000; fan-in: 1,000 to 1. A broker that gets more messages in one \
               write has less to do for each.";
    let columns = [
        "cell",
        "relay, messages per write",
        "noctule, messages per write",
        "relay, µs",
        "noctule",
        "goal",
        "met",
        "noctule, thousand/s",
        "Mosquitto",
        "Mosquitto, thousand/s",
    ];
    let mut table = Table::new("Routing", how, &columns);
    let brokers = [Broker::relay(lab)?, Broker::noctule(lab, 1)?, Broker::mosquitto(lab)?];
    let brokers = brokers.each_ref();
    for cell in ROUTING.iter().filter(|cell| lab.options.wants_cell("routing", cell.name)) {
        lab.say(cell.title);
        let seconds = lab.options.seconds.to_string();
        let words = [cell.words, &["--seconds", &seconds]].concat();
        let reports = lab.compare(&words, brokers);
        let notes = brokers.iter().zip(&reports).filter_map(|(broker, reports)| troubles(broker, reports));
        table.notes.extend(notes.map(|note| format!("{}: {note}.", cell.title)));
        table.push(cell.title, row(cell, &reports));
    }
    Ok(table)
}

fn row(cell: &Routing, [relay, noctule, mosquitto]: &[Vec<Report>; 3]) -> Vec<Cell> {
    let times = Cell::times(ratio_of(noctule, relay, "traffic", COST));
    let is_met = times.at_most(cell.goal);
    let thousand_per_second =
        |reports| Cell::number(median_of(reports, "traffic", "per_second").map(|rate| rate / 1e3), 0);
    vec![
        Cell::number(median_of(relay, "traffic", "messages_per_write"), 1),
        Cell::number(median_of(noctule, "traffic", "messages_per_write"), 1),
        Cell::number(median_of(relay, "traffic", COST), 2),
        times,
        Cell::Times(cell.goal),
        is_met,
        thousand_per_second(noctule),
        Cell::times(ratio_of(mosquitto, relay, "traffic", COST)),
        thousand_per_second(mosquitto),
    ]
}

const COST: &str = "broker/cpu_us_per_message";
