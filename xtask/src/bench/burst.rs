//! What memory is left of a burst when everything has gone again.

use std::time::Duration;

use anyhow::{Result, ensure};

use super::brokers::Broker;
use super::client::Client;
use super::lab::Lab;
use super::process::resident_bytes;
use super::table::{Cell, Table};

/// Resident memory before, during and after.
struct Burst {
    fresh: f64,
    before: f64,
    after_connections: f64,
    peak: f64,
    after: f64,
}

/// How much is done to the broker.
struct Extent {
    connections: &'static str,
    /// To each of the slow subscribers.
    messages: usize,
}

pub(super) fn measure(lab: &Lab<'_>) -> Result<Table> {
    let extent = match lab.options.is_quick {
        true => Extent { connections: "2000", messages: 128 },
        false => Extent { connections: "10000", messages: 2_048 },
    };
    let how = format!(
        "Resident memory in MiB. Before: after p2p QoS 1 with 200 connections. Then {} connections open and \
         close. Then {SUBSCRIBERS} connected subscribers do not read while {} messages of {} KiB, QoS 1, are \
         published to each; they read and acknowledge everything afterwards, and leave. After: {} s later, after \
         p2p again.",
        extent.connections,
        extent.messages,
        PAYLOAD_BYTES >> 10,
        SETTLE.as_secs(),
    );
    let columns = [
        "broker",
        "fresh",
        "before",
        "after the connections",
        "peak",
        "after",
        "after / before",
        "goal",
        "met",
    ];
    let mut table = Table::new("Memory after a burst", how, &columns);
    for broker in [Broker::noctule(lab, 1)?, Broker::mosquitto(lab)?] {
        let burst = burst(lab, &broker, &extent);
        table.push_or_tell(broker.name, burst.map(|burst| row(&broker, &burst)));
    }
    Ok(table)
}

fn burst(lab: &Lab<'_>, broker: &Broker, extent: &Extent) -> Result<Burst> {
    let fresh = resident_bytes(broker)?;
    work(lab, broker)?;
    let before = resident_bytes(broker)?;
    lab.say(&format!("{}: {} connections", broker.name, extent.connections));
    lab.measure(&["connections", "--connections", extent.connections, "--seconds", "1"], broker)?;
    settle();
    let after_connections = resident_bytes(broker)?;
    lab.say(&format!("{}: subscribers that do not read", broker.name));
    let peak = feed_slow_subscribers(broker, extent.messages)?;
    settle();
    work(lab, broker)?;
    Ok(Burst { fresh, before, after_connections, peak, after: resident_bytes(broker)? })
}

/// What a broker does on an ordinary day, so that its buffers are there.
fn work(lab: &Lab<'_>, broker: &Broker) -> Result<()> {
    lab.measure(&["p2p", "--qos", "1", "--seconds", "2"], broker).map(drop)
}

/// Says how much memory the broker had when everything had been published and nothing read.
fn feed_slow_subscribers(broker: &Broker, messages: usize) -> Result<f64> {
    let mut subscribers = Vec::new();
    for number in 0..SUBSCRIBERS {
        let mut client = Client::connect(broker.port, &format!("slow-{number}"))?;
        client.subscribe(&topic(number), 1)?;
        subscribers.push(client);
    }
    let mut publisher = Client::connect(broker.port, "quick")?;
    let payload = vec![7; PAYLOAD_BYTES];
    for _ in 0..messages {
        for number in 0..SUBSCRIBERS {
            publisher.publish(&topic(number), &payload)?;
        }
    }
    let peak = resident_bytes(broker)?;
    for (number, subscriber) in subscribers.iter_mut().enumerate() {
        for _ in 0..messages {
            let publication = subscriber.next_publication()?;
            ensure!(publication.payload == payload, "subscriber {number} got something else");
        }
    }
    Ok(peak)
}

fn topic(number: usize) -> String {
    format!("burst/{number}")
}

/// Waits until memory that is not needed any more has been given back.
#[expect(clippy::disallowed_methods, reason = "memory that is given back late tells nobody")]
pub(super) fn settle() {
    std::thread::sleep(SETTLE);
}

fn row(broker: &Broker, burst: &Burst) -> Vec<Cell> {
    let mebibytes = |bytes: f64| Cell::Number(bytes / f64::from(1 << 20), 1);
    let times = Cell::Times(burst.after / burst.before);
    let [goal, is_met] = match broker.name {
        "noctule" => [Cell::Times(GOAL), times.at_most(GOAL)],
        _ => [Cell::Nothing, Cell::Nothing],
    };
    vec![
        mebibytes(burst.fresh),
        mebibytes(burst.before),
        mebibytes(burst.after_connections),
        mebibytes(burst.peak),
        mebibytes(burst.after),
        times,
        goal,
        is_met,
    ]
}

const SUBSCRIBERS: usize = 8;
const PAYLOAD_BYTES: usize = 64 << 10;
/// Longer than any broker here keeps what it means to give back.
const SETTLE: Duration = Duration::from_secs(5);
const GOAL: f64 = 1.3;
