//! What the machine is and what ran on it: figures are worth little without.

use std::fs;
use std::process::Command;

use serde_json::{Value, json};

use super::Options;
use crate::project::Project;

/// Facts in the order in which they are told.
pub(super) fn read(project: &Project, options: &Options) -> Value {
    let of = |program: &str, arguments: &[&str]| first_line(project.command(program).args(arguments));
    let mut sources = of("git", &["rev-parse", "--short", "HEAD"]);
    if !of("git", &["status", "--porcelain", "--untracked-files=no"]).is_empty() {
        sources += " with changes";
    }
    let cpus = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let of_cpu =
        |key: &str| cpus.lines().find(|line| line.starts_with(key)).and_then(|line| line.split(": ").nth(1));
    let cores = cpus.lines().filter(|line| line.starts_with("processor")).count();
    json!({
        "date": of("date", &["+%F"]),
        "sources": sources,
        "mosquitto": of("mosquitto", &["-h"]),
        "rustc": of("rustc", &["--version"]),
        "kernel": fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default().trim(),
        "processor": of_cpu("model name").unwrap_or("unknown"),
        "cores": cores,
        "load": fs::read_to_string("/proc/loadavg").unwrap_or_default().split(' ').next(),
        "is_virtual": of_cpu("flags").is_some_and(|flags| flags.contains("hypervisor")),
        "seconds": options.seconds,
        "rounds": options.rounds,
    })
}

/// The facts as a paragraph.
pub(super) fn text(facts: &Value) -> String {
    let of = |name: &str| facts[name].to_string().replace('"', "");
    let kind = if facts["is_virtual"] == true { "virtual cores" } else { "cores" };
    format!(
        "{}, sources {}; {} {kind} ({}), Linux {}, {}, {}; loopback TCP, MQTT 3.1.1, payload 16 bytes, durability \
         `disk`, permissions asked. Brokers on core 0, the generator on core 1; {} s per cell after 1 s of warming \
         up, median of {} rounds in turn. Load average at the start, which is other work: {}. × is a \
         multiple of the CPU time of the relay in the same round.\n",
        of("date"),
        of("sources"),
        of("cores"),
        of("processor"),
        of("kernel"),
        of("mosquitto"),
        of("rustc"),
        of("seconds"),
        of("rounds"),
        of("load"),
    )
}

/// The first line a program prints; nothing if it cannot be started.
fn first_line(command: &mut Command) -> String {
    let output = command.output().map(|output| output.stdout).unwrap_or_default();
    String::from_utf8_lossy(&output).lines().next().unwrap_or_default().trim().to_owned()
}
