//! What waits for sessions that are away: its memory, and how soon it is there again after kill -9.

use std::time::Instant;

use anyhow::{Result, ensure};

use super::brokers::Broker;
use super::burst::settle;
use super::client::Client;
use super::lab::Lab;
use super::process::resident_bytes;
use super::table::{Cell, Table};

/// What a row is about.
struct Extent {
    name: &'static str,
    messages: usize,
    sessions: usize,
}

/// What was seen.
struct Figures {
    bytes_each: f64,
    start_seconds: f64,
    bytes_each_after: f64,
}

pub(super) fn measure(lab: &Lab<'_>) -> Result<Table> {
    let how = "Messages of 16 bytes, QoS 1, wait for durable sessions that are away, in equal parts. Resident memory \
               that they add, each, to sessions whose topics have been published to before (a kept route is no part \
               of a queue); then kill -9, the time until the broker is ready again, and the memory it has \
               then, each, beside that of an empty one.";
    let columns = [
        "case",
        "messages",
        "B each",
        "goal, B",
        "small enough",
        "start, s",
        "goal, s",
        "soon enough",
        "B each after it",
    ];
    let mut table = Table::new("Queued messages", how, &columns);
    for extent in extents(lab.options.is_quick) {
        lab.say(&format!("{} messages wait for {}", extent.messages, extent.name));
        table.push_or_tell(extent.name, figures(lab, &extent).map(|figures| row(&extent, &figures)));
    }
    Ok(table)
}

fn extents(is_quick: bool) -> [Extent; 2] {
    let (messages, sessions) = if is_quick { (100_000, 1_000) } else { (1_000_000, 100_000) };
    let many = if is_quick { "1,000 sessions" } else { "100,000 sessions" };
    [Extent { name: "one session", messages, sessions: 1 }, Extent { name: many, messages, sessions }]
}

fn row(extent: &Extent, figures: &Figures) -> Vec<Cell> {
    let (each, start) = (Cell::Number(figures.bytes_each, 1), Cell::Number(figures.start_seconds, 2));
    let [each_is_met, start_is_met] = [each.at_most(BYTES_EACH_GOAL), start.at_most(START_SECONDS_GOAL)];
    vec![
        Cell::Number(extent.messages as f64, 0),
        each,
        Cell::Number(BYTES_EACH_GOAL, 0),
        each_is_met,
        start,
        Cell::Number(START_SECONDS_GOAL, 0),
        start_is_met,
        Cell::Number(figures.bytes_each_after, 1),
    ]
}

fn figures(lab: &Lab<'_>, extent: &Extent) -> Result<Figures> {
    let broker = Broker::noctule(lab, 1)?;
    let empty = resident_bytes(&broker)?;
    open_sessions(broker.port, extent.sessions)?;
    let topics: Vec<String> = (0..extent.sessions).map(topic).collect();
    let mut publisher = Client::connect(broker.port, "publisher")?;
    // At QoS 0 nothing waits for anybody, but the routes of the topics are kept from then on.
    publisher.mention(&topics, PAYLOAD)?;
    let before = resident_bytes(&broker)?;
    publisher.publish_many(&topics, extent.messages, PAYLOAD)?;
    // A list that has outgrown its room, and a reclaim that is under way, are no part of what waits.
    settle();
    let messages = extent.messages as f64;
    let bytes_each = (resident_bytes(&broker)? - before) / messages;

    let sessions_bytes = before - empty;
    let begun = Instant::now();
    let broker = broker.kill_and_start_again(lab)?;
    let start_seconds = begun.elapsed().as_secs_f64();
    let bytes_each_after = (resident_bytes(&broker)? - empty - sessions_bytes) / messages;
    let mut first = Client::connect_durable(broker.port, &client_id(0))?;
    ensure!(first.next_publication()?.payload == PAYLOAD, "another message came back");
    Ok(Figures { bytes_each, start_seconds, bytes_each_after })
}

/// Sessions that are made and left, many at a time: each waits for the disk.
fn open_sessions(port: u16, sessions: usize) -> Result<()> {
    let numbers: Vec<usize> = (0..sessions).collect();
    for some in numbers.chunks(AT_ONCE) {
        let clients = some.iter().map(|number| Client::begin_durable(port, &client_id(*number)));
        let mut clients = clients.collect::<Result<Vec<_>>>()?;
        for (client, number) in clients.iter_mut().zip(some) {
            client.finish_connect()?;
            client.begin_subscribe(&topic(*number), 1)?;
        }
        clients.iter_mut().try_for_each(Client::finish_subscribe)?;
    }
    Ok(())
}

fn client_id(number: usize) -> String {
    format!("away-{number}")
}

fn topic(number: usize) -> String {
    format!("queued/{number}")
}

const PAYLOAD: &[u8] = b"0123456789abcdef";
const AT_ONCE: usize = 200;
const BYTES_EACH_GOAL: f64 = 64.0;
const START_SECONDS_GOAL: f64 = 2.0;
