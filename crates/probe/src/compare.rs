//! Several brokers in one run: round by round, so that what the machine does meanwhile meets all of them.

use serde::Serialize;

use crate::report::SCHEMA;
use crate::{Error, Options, Phase, Report, Scenario, Target, run};

/// A broker to compare.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rival {
    /// How it is called in the report.
    pub name: String,
    /// Where it is.
    pub target: Target,
    /// Its process on this machine.
    pub pid: Option<u32>,
}

/// What the comparison found.
#[derive(Clone, Debug, Serialize)]
pub struct Comparison {
    /// Version of this structure.
    pub schema: u32,
    /// What was measured.
    pub scenario: Scenario,
    /// How often each broker was measured.
    pub rounds: u32,
    /// The brokers; ratios are to the first.
    pub brokers: Vec<Compared>,
    /// Every report is clean.
    pub is_clean: bool,
}

/// One broker of a comparison.
#[derive(Clone, Debug, Serialize)]
pub struct Compared {
    /// Its name.
    pub name: String,
    /// Its address.
    pub url: String,
    /// Medians over the rounds, phase by phase.
    pub medians: Vec<MedianPhase>,
    /// The reports of its rounds.
    pub reports: Vec<Report>,
}

/// Medians of one phase.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct MedianPhase {
    /// The phase.
    pub phase: &'static str,
    /// Messages, connections or filters per second.
    pub per_second: Median,
    /// Processor time of the broker per message, in microseconds.
    pub cpu_us_per_message: Option<Median>,
    /// Half of the messages took at most this, in microseconds.
    pub latency_p50_us: Option<Median>,
    /// 99 % of the messages took at most this, in microseconds.
    pub latency_p99_us: Option<Median>,
}

/// A median, and how it relates to the first broker's.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Median {
    /// The median.
    pub value: f64,
    /// This value divided by the first broker's; none if that has none.
    pub ratio: Option<f64>,
}

/// Measures each broker once per round, in turn.
///
/// # Errors
/// As [`run`]. A broker that cannot be reached ends the comparison.
pub fn compare(options: &Options, rivals: &[Rival], rounds: u32) -> Result<Comparison, Error> {
    if rivals.is_empty() || rounds == 0 {
        return Err(Error::Usage("a comparison has at least one broker and one round".to_owned()));
    }
    let mut reports = vec![Vec::new(); rivals.len()];
    for _ in 0..rounds {
        for (rival, reports) in rivals.iter().zip(&mut reports) {
            let options = Options { target: rival.target.clone(), pid: rival.pid, ..options.clone() };
            reports.push(run(&options)?);
        }
    }
    Ok(Comparison::new(options.scenario, rivals, reports))
}

impl Comparison {
    fn new(scenario: Scenario, rivals: &[Rival], reports: Vec<Vec<Report>>) -> Self {
        let rounds = reports.first().map_or(0, Vec::len) as u32;
        let is_clean = reports.iter().flatten().all(|report| report.is_clean);
        let baseline = reports.first().map(|reports| medians(reports, &[])).unwrap_or_default();
        let brokers = rivals.iter().zip(reports).map(|(rival, reports)| Compared {
            name: rival.name.clone(),
            url: rival.target.to_string(),
            medians: medians(&reports, &baseline),
            reports,
        });
        Self { schema: SCHEMA, scenario, rounds, brokers: brokers.collect(), is_clean }
    }

    pub(crate) fn baseline(&self) -> &str {
        self.brokers.first().map_or("", |broker| &broker.name)
    }

    pub(crate) fn phase_names(&self) -> Vec<&'static str> {
        let longest = self.brokers.iter().max_by_key(|broker| broker.medians.len());
        longest.into_iter().flat_map(|broker| broker.medians.iter().map(|median| median.phase)).collect()
    }

    pub(crate) fn medians_of(&self, phase: &str) -> impl Iterator<Item = (&str, &MedianPhase)> {
        self.brokers.iter().filter_map(move |broker| {
            let median = broker.medians.iter().find(|median| median.phase == phase)?;
            Some((broker.name.as_str(), median))
        })
    }

    /// The brokers with which the rate was not kept, and in how many rounds.
    pub(crate) fn late(&self) -> impl Iterator<Item = (&str, usize)> {
        let is_late = |report: &&Report| {
            report.phases.iter().filter_map(|phase| phase.open_loop).any(|open_loop| !open_loop.is_kept)
        };
        let counts = self
            .brokers
            .iter()
            .map(move |broker| (broker.name.as_str(), broker.reports.iter().filter(is_late).count()));
        counts.filter(|(_, rounds)| *rounds > 0)
    }

    pub(crate) fn unclean(&self) -> impl Iterator<Item = (&str, (usize, &Report))> {
        self.brokers.iter().flat_map(|broker| {
            let unclean = broker.reports.iter().enumerate().filter(|(_, report)| !report.is_clean);
            unclean.map(|round| (broker.name.as_str(), round))
        })
    }
}

/// The medians of the phases these reports have, with ratios to the baseline's.
fn medians(reports: &[Report], baseline: &[MedianPhase]) -> Vec<MedianPhase> {
    let longest = reports.iter().max_by_key(|report| report.phases.len());
    let names = longest.into_iter().flat_map(|report| report.phases.iter().map(|phase| phase.name));
    let of = |name: &'static str| {
        let phases: Vec<&Phase> =
            reports.iter().flat_map(|report| &report.phases).filter(|phase| phase.name == name).collect();
        let base = baseline.iter().find(|median| median.phase == name);
        Some(MedianPhase {
            phase: name,
            per_second: median(
                phases.iter().map(|phase| phase.per_second),
                base.map(|base| base.per_second),
            )?,
            cpu_us_per_message: median(
                phases.iter().filter_map(|phase| Some(phase.broker?.cpu_us_per_message)),
                base.and_then(|base| base.cpu_us_per_message),
            ),
            latency_p50_us: median(
                phases.iter().filter_map(|phase| Some(phase.latency_us?.p50)),
                base.and_then(|base| base.latency_p50_us),
            ),
            latency_p99_us: median(
                phases.iter().filter_map(|phase| Some(phase.latency_us?.p99)),
                base.and_then(|base| base.latency_p99_us),
            ),
        })
    };
    names.filter_map(of).collect()
}

/// The middle value, or the mean of the two in the middle.
fn median(values: impl Iterator<Item = f64>, baseline: Option<Median>) -> Option<Median> {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    let value = match values.len() {
        0 => return None,
        count if count % 2 == 1 => values[middle],
        _ => f64::midpoint(values[middle - 1], values[middle]),
    };
    let ratio = baseline.filter(|baseline| baseline.value > 0.0).map(|baseline| value / baseline.value);
    Some(Median { value, ratio })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn middle(values: &[f64], baseline: Option<f64>) -> Option<Median> {
        let baseline = baseline.map(|value| Median { value, ratio: None });
        median(values.iter().copied(), baseline)
    }

    #[test]
    fn the_median_is_in_the_middle_and_the_ratio_is_to_the_baseline() {
        assert_eq!(middle(&[], None), None);
        assert_eq!(middle(&[3.0, 1.0, 2.0], None), Some(Median { value: 2.0, ratio: None }));
        assert_eq!(middle(&[4.0, 1.0, 2.0, 3.0], Some(5.0)), Some(Median { value: 2.5, ratio: Some(0.5) }));
        assert_eq!(middle(&[1.0], Some(0.0)), Some(Median { value: 1.0, ratio: None }));
    }
}
