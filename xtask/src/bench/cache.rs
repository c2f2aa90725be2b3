//! How often a route is kept while other clients connect and subscribe as fast as they can.

use std::process::Child;

use anyhow::{Context, Result, ensure};

use super::brokers::Broker;
use super::client::Client;
use super::lab::Lab;
use super::table::{Cell, Table};

/// What is done to the broker meanwhile.
struct Disturbance {
    title: &'static str,
    words: &'static [&'static str],
    /// The phase that counts what was done.
    phase: &'static str,
}

const DISTURBANCES: [Disturbance; 3] = [
    Disturbance { title: "nothing else", words: &[], phase: "" },
    Disturbance {
        title: "connections with a subscription each",
        words: &["connections", "--connections", "2000", "--seconds", "0.01"],
        phase: "open",
    },
    Disturbance {
        title: "wildcard filters",
        words: &[
            "wildcard",
            "--filters",
            "10000",
            "--publishers",
            "1",
            "--subscribers",
            "1",
            "--seconds",
            "0.01",
            "--warm-up",
            "0",
        ],
        phase: "subscribe",
    },
];

pub(super) fn measure(lab: &Lab<'_>) -> Result<Table> {
    let how = "100 publishers to 100 subscribers on 1,000 topics, QoS 0, while another generator on the same \
               core opens and closes what the first column says, again and again. From \
               `$SYS/broker/routes/hits` and `misses`; the first publication of each topic is a miss too.";
    let columns = ["meanwhile", "made meanwhile", "hits", "misses", "hits, %", "goal, %", "met"];
    let mut table = Table::new("Kept routes", how, &columns);
    for disturbance in &DISTURBANCES {
        lab.say(disturbance.title);
        table.push_or_tell(disturbance.title, row(lab, disturbance));
    }
    Ok(table)
}

fn row(lab: &Lab<'_>, disturbance: &Disturbance) -> Result<Vec<Cell>> {
    let broker = Broker::noctule(lab, 1)?;
    let seconds = (lab.options.seconds * 3.0).to_string();
    let words = ["p2p", "--topics", "1000", "--qos", "0", "--seconds", &seconds];
    let mut traffic = lab.start(&words, &broker)?;
    let made = disturb_until_the_end_of(&mut traffic, lab, disturbance, &broker);
    let status = traffic.wait()?;
    ensure!(status.success(), "the traffic was not clean: {status}");
    let (hits, misses) = counts(&broker)?;
    let percent = 100.0 * hits / (hits + misses).max(1.0);
    let (hits, misses) = (Cell::Number(hits, 0), Cell::Number(misses, 0));
    Ok(vec![
        Cell::Number(made?, 0),
        hits,
        misses,
        Cell::Number(percent, 3),
        Cell::Number(GOAL, 0),
        Cell::Met(percent >= GOAL),
    ])
}

/// Says how many connections or filters were made.
fn disturb_until_the_end_of(
    traffic: &mut Child,
    lab: &Lab<'_>,
    disturbance: &Disturbance,
    broker: &Broker,
) -> Result<f64> {
    let mut made = 0.0;
    while !disturbance.words.is_empty() && traffic.try_wait()?.is_none() {
        made += lab.measure(disturbance.words, broker)?.phase(disturbance.phase, "messages")?;
    }
    Ok(made)
}

/// The counters. First comes what is retained, and two rounds later everything has been counted in.
fn counts(broker: &Broker) -> Result<(f64, f64)> {
    let mut watcher = Client::connect(broker.port, "watcher")?;
    watcher.subscribe("$SYS/broker/#", 0)?;
    let (mut hits, mut misses, mut uptimes) = (None, None, 0);
    while uptimes < 3 {
        let publication = watcher.next_publication()?;
        let number = String::from_utf8_lossy(&publication.payload).parse().ok();
        match publication.topic.as_str() {
            "$SYS/broker/uptime" => uptimes += 1,
            "$SYS/broker/routes/hits" => hits = number,
            "$SYS/broker/routes/misses" => misses = number,
            _ => {}
        }
    }
    Ok((hits.context("no hits in $SYS")?, misses.context("no misses in $SYS")?))
}

/// Percent.
const GOAL: f64 = 95.0;
