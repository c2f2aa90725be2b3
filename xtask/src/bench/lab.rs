//! What every part of the benchmark uses: where things are, and the generator.

use std::fs;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};

use super::Options;
use super::brokers::{Broker, GENERATOR_CORE};
use crate::project::Project;

/// Programs, a folder to work in, and the options of the run.
pub(super) struct Lab<'a> {
    pub(super) project: &'a Project,
    pub(super) options: &'a Options,
    /// Below the build folder; configuration and data of the brokers, and the tables.
    pub(super) folder: PathBuf,
}

/// The report of one run of the generator, as `docs/bench.md` describes it.
#[derive(Clone, Debug)]
pub(super) struct Report(pub(super) Value);

impl<'a> Lab<'a> {
    pub(super) fn new(project: &'a Project, options: &'a Options) -> Result<Self> {
        let folder = project.target().join("bench");
        if folder.exists() {
            fs::remove_dir_all(&folder).with_context(|| format!("cannot clear {}", folder.display()))?;
        }
        fs::create_dir_all(&folder).with_context(|| format!("cannot create {}", folder.display()))?;
        Ok(Self { project, options, folder })
    }

    /// Shows how far the run has come.
    #[expect(clippy::print_stderr, reason = "progress goes where it does not mix with the tables")]
    pub(super) fn say(&self, what: &str) {
        eprintln!("bench: {what}");
    }

    /// Lets the generator measure each broker once per round, in turn; the reports of each broker come by round.
    pub(super) fn compare<const N: usize>(&self, words: &[&str], brokers: [&Broker; N]) -> [Vec<Report>; N] {
        let mut reports = [const { Vec::new() }; N];
        for _ in 0..self.options.rounds {
            for (broker, reports) in brokers.iter().zip(&mut reports) {
                reports.push(self.measure_or_tell(words, broker));
            }
        }
        reports
    }

    /// Lets the generator measure a broker once. If that fails, the report has no figures and says why.
    pub(super) fn measure_or_tell(&self, words: &[&str], broker: &Broker) -> Report {
        self.measure(words, broker).unwrap_or_else(|error| Report(json!({ "failed": format!("{error:#}") })))
    }

    /// Lets the generator measure a broker once.
    pub(super) fn measure(&self, words: &[&str], broker: &Broker) -> Result<Report> {
        self.measure_under(&[], words, broker)
    }

    /// The same below a program that watches, such as `perf stat`.
    pub(super) fn measure_under(
        &self,
        watcher: &[String],
        words: &[&str],
        broker: &Broker,
    ) -> Result<Report> {
        let mut command = self.generator(watcher, words, broker);
        let output = command.stderr(Stdio::inherit()).output();
        let output = output.with_context(|| format!("cannot start {}", command.get_program().display()))?;
        match serde_json::from_slice(&output.stdout) {
            // An unclean run ends with 1 and has a report that says so.
            Ok(report) => Ok(Report(report)),
            Err(_) => {
                bail!("noctule bench {} against {} ended without a report", words.join(" "), broker.name)
            }
        }
    }

    /// Starts the generator and lets it run.
    pub(super) fn start(&self, words: &[&str], broker: &Broker) -> Result<Child> {
        self.generator(&[], words, broker)
            .stdout(Stdio::piped())
            .spawn()
            .context("cannot start the generator")
    }

    fn generator(&self, watcher: &[String], words: &[&str], broker: &Broker) -> Command {
        let mut line = watcher.to_vec();
        line.extend(["taskset", "-c", GENERATOR_CORE].map(str::to_owned));
        let mut command = self.project.command(&line[0]);
        command.args(&line[1..]).arg(self.project.release_binary()).arg("bench").args(words);
        command.args(["--json", "--url", &broker.url(), "--pid", &broker.pid().to_string()]);
        if let Some(authority) = broker.authority() {
            command.arg("--ca").arg(authority);
        }
        command
    }
}

impl Report {
    /// A figure of a phase, such as `broker/cpu_us_per_message` of `traffic`.
    pub(super) fn phase(&self, name: &str, figure: &str) -> Result<f64> {
        let phases = self.0["phases"].as_array().map(Vec::as_slice).unwrap_or_default();
        let phase = phases.iter().find(|phase| phase["name"] == name);
        let value = phase.and_then(|phase| phase.pointer(&format!("/{figure}"))).and_then(Value::as_f64);
        value.with_context(|| format!("no {figure} of {name}: {}", self.trouble().unwrap_or_default()))
    }

    /// A figure of the whole run, such as `memory/after`.
    pub(super) fn figure(&self, figure: &str) -> Result<f64> {
        let value = self.0.pointer(&format!("/{figure}")).and_then(Value::as_f64);
        value.with_context(|| format!("no {figure} in the report"))
    }

    /// What went wrong; none of a clean run.
    pub(super) fn trouble(&self) -> Option<String> {
        if self.0["is_clean"] == true {
            return None;
        }
        if let Some(failed) = self.0["failed"].as_str() {
            return Some(failed.to_owned());
        }
        let counts = ["lost", "duplicated", "out_of_order", "stray", "unanswered"];
        let counts = counts.iter().filter_map(|name| match self.0["messages"][name].as_u64() {
            Some(0) | None => None,
            Some(count) => Some(format!("{count} {name}")),
        });
        let lists = ["refused", "disconnects", "violations", "notes"];
        let lists = lists.iter().filter_map(|name| match self.0[name].as_array() {
            Some(list) if !list.is_empty() => Some(format!("{name}: {}", Value::from(list.clone()))),
            _ => None,
        });
        Some(counts.chain(lists).collect::<Vec<_>>().join(", "))
    }
}

/// The median of some figures; the mean of the two in the middle if their number is even.
pub(super) fn median(mut figures: Vec<f64>) -> f64 {
    figures.sort_by(f64::total_cmp);
    let middle = figures.len() / 2;
    match figures.len() {
        0 => f64::NAN,
        count if count % 2 == 1 => figures[middle],
        _ => f64::midpoint(figures[middle - 1], figures[middle]),
    }
}

/// The median over the rounds of a figure of a phase.
pub(super) fn median_of(reports: &[Report], phase: &str, figure: &str) -> Result<f64> {
    reports.iter().map(|report| report.phase(phase, figure)).collect::<Result<_>>().map(median)
}

/// The median over the rounds of the ratio to another broker in the same round.
pub(super) fn ratio_of(reports: &[Report], base: &[Report], phase: &str, figure: &str) -> Result<f64> {
    let ratio = |(report, base): (&Report, &Report)| {
        Ok(report.phase(phase, figure)? / base.phase(phase, figure)?.max(f64::MIN_POSITIVE))
    };
    reports.iter().zip(base).map(ratio).collect::<Result<_>>().map(median)
}

/// What went wrong in the rounds of a broker, for the notes of a row.
pub(super) fn troubles(broker: &Broker, reports: &[Report]) -> Option<String> {
    let troubles: Vec<String> = reports.iter().filter_map(Report::trouble).collect();
    let first = troubles.first()?;
    Some(format!("{}: {} of {} rounds not clean ({first})", broker.name, troubles.len(), reports.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_median_is_the_middle() {
        assert_eq!(median(vec![9.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(vec![4.0, 1.0, 2.0, 9.0]), 3.0);
        assert!(median(Vec::new()).is_nan());
    }

    #[test]
    fn figures_are_found_by_phase_and_their_absence_is_told() {
        let report = Report(json!({
            "is_clean": false,
            "phases": [{ "name": "traffic", "broker": { "cpu_us_per_message": 0.5 } }],
            "messages": { "lost": 3, "stray": 0 },
            "refused": [],
        }));
        assert_eq!(report.phase("traffic", "broker/cpu_us_per_message").unwrap(), 0.5);
        assert_eq!(report.figure("messages/lost").unwrap(), 3.0);
        assert_eq!(report.trouble().as_deref(), Some("3 lost"));
        let missing = report.phase("drain", "seconds").unwrap_err().to_string();
        assert!(missing.contains("drain") && missing.contains("3 lost"), "{missing}");
        assert_eq!(Report(json!({ "is_clean": true })).trouble(), None);
        assert_eq!(Report(json!({ "failed": "it ended" })).trouble().as_deref(), Some("it ended"));
    }

    #[test]
    fn a_ratio_is_taken_round_by_round() {
        let report = |cost: f64| Report(json!({ "phases": [{ "name": "traffic", "cost": cost }] }));
        let (fast, slow) =
            ([report(1.0), report(2.0), report(4.0)], [report(2.0), report(4.0), report(40.0)]);
        assert_eq!(ratio_of(&slow, &fast, "traffic", "cost").unwrap(), 2.0);
    }
}
