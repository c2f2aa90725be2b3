//! What the journal writes, and how much room it takes, while most of what is published is soon done with.

use std::fs;

use anyhow::Result;

use super::brokers::Broker;
use super::client::Client;
use super::lab::Lab;
use super::process::journal_written;
use super::table::{Cell, Table};

pub(super) fn measure(lab: &Lab<'_>) -> Result<Table> {
    let how = "Messages of 4 KiB, QoS 1. Some are retained and stay as they are; then 4 publishers to 4 connected \
               subscribers with durable sessions, window 50. Written: what the journal's threads wrote meanwhile, \
               reclaim and the fill of new files included, as a multiple of the payloads published. Held: the \
               segments afterwards.";
    let columns = [
        "retained",
        "published, MiB",
        "written, MiB",
        "written / published",
        "goal",
        "little enough",
        "held, MiB",
        "goal, MiB",
        "small enough",
    ];
    let mut table = Table::new("Space of the journal", how, &columns);
    for retained_mebibytes in [16, 64, 256] {
        let name = format!("{retained_mebibytes} MiB");
        lab.say(&format!("{name} retained"));
        table.push_or_tell(&name, row(lab, f64::from(retained_mebibytes)));
    }
    Ok(table)
}

fn row(lab: &Lab<'_>, retained_mebibytes: f64) -> Result<Vec<Cell>> {
    let broker = Broker::noctule(lab, 1)?;
    let messages = (retained_mebibytes * MEBIBYTE / PAYLOAD_BYTES as f64) as usize;
    let topics: Vec<String> = (0..messages).map(|number| format!("kept/{number}")).collect();
    Client::connect(broker.port, "keeper")?.retain_many(&topics, &[b'r'; PAYLOAD_BYTES])?;
    let before = journal_written(&broker)?.bytes_all();
    let (seconds, payload) = (CHURN_SECONDS.max(lab.options.seconds).to_string(), PAYLOAD_BYTES.to_string());
    let words =
        ["p2p", "--qos", "1", "--durable", "--payload", &payload, "--publishers", "4", "--subscribers", "4"];
    let words = [&words[..], &["--window", "50", "--seconds", &seconds]].concat();
    let report = lab.measure(&words, &broker)?;
    let published = report.figure("messages/sent")? * PAYLOAD_BYTES as f64 / MEBIBYTE;
    let written = (journal_written(&broker)?.bytes_all() - before) / MEBIBYTE;
    let (times, held) = (Cell::Times(written / published), Cell::Number(segments_mebibytes(&broker)?, 0));
    let room = 2.0 * retained_mebibytes + 3.0 * SEGMENT_MEBIBYTES;
    let (times_met, held_met) = (times.at_most(WRITTEN_GOAL), held.at_most(room));
    Ok(vec![
        Cell::Number(published, 0),
        Cell::Number(written, 0),
        times,
        Cell::Times(WRITTEN_GOAL),
        times_met,
        held,
        Cell::Number(room, 0),
        held_met,
    ])
}

fn segments_mebibytes(broker: &Broker) -> Result<f64> {
    let mut bytes = 0;
    for file in fs::read_dir(broker.journal()?)? {
        let file = file?;
        if file.path().extension().is_some_and(|extension| extension == "seg" || extension == "idx") {
            bytes += file.metadata()?.len();
        }
    }
    Ok(bytes as f64 / MEBIBYTE)
}

const PAYLOAD_BYTES: usize = 4096;
const MEBIBYTE: f64 = 1_048_576.0;
/// The size that segments grow to.
const SEGMENT_MEBIBYTES: f64 = 64.0;
/// Long enough for the journal to turn ten times.
const CHURN_SECONDS: f64 = 20.0;
const WRITTEN_GOAL: f64 = 2.2;
