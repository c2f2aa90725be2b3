//! `cargo xtask bench`: the broker beside the reference relay and Debian's Mosquitto, in one run on one machine.
//!
//! Each broker runs on the first core and the generator (`noctule bench`) on the second, round by round and in turn, so
//! that what else the machine does meets all of them. A [`Part`] makes one table. What could not be measured stands in
//! its table with the reason: a run never looks better because something was left out.

mod brokers;
mod burst;
mod cache;
mod client;
mod connect;
mod durability;
mod facts;
mod filters;
mod idle;
mod lab;
mod large;
mod options;
mod process;
mod queued;
mod retained;
mod routing;
mod shards;
mod space;
mod steady;
mod table;

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use serde_json::json;

use crate::project::{self, Project};
use crate::setup;
use lab::Lab;
pub(crate) use options::Options;
use table::Table;

/// One table of the result.
struct Part {
    /// What `--only` calls it, beside the names of its cells.
    name: &'static str,
    /// Names of single cells, where they can be chosen.
    cells: &'static [&'static str],
    run: fn(&Lab<'_>) -> Result<Table>,
}

/// All tables in their order.
const PARTS: &[Part] = &[
    Part { name: "routing", cells: routing::CELLS, run: routing::measure },
    Part { name: "filters", cells: &[], run: filters::measure },
    Part { name: "idle", cells: &[], run: idle::measure },
    Part { name: "durability", cells: &[], run: durability::measure },
    Part { name: "delay", cells: &[], run: durability::delay },
    Part { name: "space", cells: &[], run: space::measure },
    Part { name: "queued", cells: &[], run: queued::measure },
    Part { name: "large", cells: &[], run: large::measure },
    Part { name: "retained", cells: &[], run: retained::measure },
    Part { name: "connect", cells: &[], run: connect::measure },
    Part { name: "shards", cells: &[], run: shards::measure },
    Part { name: "cache", cells: &[], run: cache::measure },
    Part { name: "syscalls", cells: &[], run: steady::syscalls },
    Part { name: "allocations", cells: &[], run: steady::allocations },
    Part { name: "burst", cells: &[], run: burst::measure },
];

/// Builds what is needed, measures, prints the tables and writes them to the build folder and, if asked, as JSON.
pub(crate) fn run(project: &Project, options: &Options) -> Result<()> {
    setup::install_programs(project, setup::MOSQUITTO)?;
    build(project)?;
    let lab = Lab::new(project, options)?;
    let facts = facts::read(project, options);
    let chosen: Vec<&Part> = PARTS.iter().filter(|part| options.wants(part.name, part.cells)).collect();
    let mut tables = Vec::new();
    for (number, part) in chosen.iter().enumerate() {
        lab.say(&format!("[{}/{}] {}", number + 1, chosen.len(), part.name));
        // The other tables are worth having although one could not be made.
        tables.push((part.run)(&lab).unwrap_or_else(|error| Table::not_measured(part.name, &error)));
    }
    let text = tables.iter().fold(facts::text(&facts), |text, table| format!("{text}\n{table}"));
    println!("{text}");
    write(&lab.folder.join("tables.md"), &text)?;
    if let Some(file) = &options.json {
        let tables: Vec<_> = tables.iter().map(Table::json).collect();
        write(Path::new(file), &json!({ "schema": 1, "facts": facts, "tables": tables }).to_string())?;
    }
    Ok(())
}

fn build(project: &Project) -> Result<()> {
    let packages = ["build", "--release", "--package", "noctule", "--package", "noctule-testkit"];
    project::run(&mut project.cargo(packages))?;
    let example = ["build", "--release", "--package", "noctule-testkit", "--example", "allocations"];
    project::run(&mut project.cargo(example))
}

fn write(path: &Path, text: &str) -> Result<()> {
    fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))?;
    println!("written: {}", path.display());
    Ok(())
}
