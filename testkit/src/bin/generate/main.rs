//! The generator: drives a broker with MQTT messages and says how fast, how late and at what cost.
//!
//! It plays all publishers and all subscribers in one thread, so a second core is enough for it. Give it the broker's
//! `--pid` to have the cost, and compare only runs with the same window and the same messages per write.

#![expect(clippy::print_stdout, reason = "a command talks to its user")]

mod client;
mod cpu;
mod histogram;
mod load;
mod options;
mod report;
mod traffic;

use anyhow::Result;
use clap::Parser;
use noctule_testkit::open_files;
use options::Options;
use report::Report;

fn main() -> Result<()> {
    let options = Options::parse();
    options.check()?;
    open_files::raise_limit();
    let findings = load::run(&options)?;
    let report = Report::new(&options, &findings);
    if options.json {
        println!("{}", serde_json::to_string(&report)?);
    } else {
        println!("{report}");
    }
    Ok(())
}
