//! How long a small acknowledgement waits while publications of 8 MiB go to a durable session beside it.

use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use super::brokers::Broker;
use super::lab::{Lab, Report, median};
use super::table::{Cell, Table};

/// What goes on beside the small messages.
struct Beside {
    name: &'static str,
    /// How the large messages are paced; none for no large messages.
    pace: Option<[&'static str; 2]>,
    /// They go through another broker, which keeps nothing: what they cost then is the machine's.
    is_elsewhere: bool,
    has_goal: bool,
}

const CASES: [Beside; 5] = [
    Beside { name: "nothing", pace: None, is_elsewhere: false, has_goal: false },
    Beside { name: "14 large ones a second", pace: GIGABIT, is_elsewhere: false, has_goal: true },
    Beside { name: "the same through another broker", pace: GIGABIT, is_elsewhere: true, has_goal: false },
    Beside { name: "one large one after the other", pace: ONE_BY_ONE, is_elsewhere: false, has_goal: true },
    Beside { name: "these through another broker", pace: ONE_BY_ONE, is_elsewhere: true, has_goal: false },
];

/// What was seen in a case: percentiles until PUBACK in microseconds, and large messages per second.
struct Figures {
    p50: f64,
    p99: f64,
    large_per_second: Option<f64>,
}

pub(super) fn measure(lab: &Lab<'_>) -> Result<Table> {
    let ranks = Ranks::find(lab);
    let how = format!(
        "4 publishers of 16 bytes at QoS 1, each with one message in flight, and as many connected subscribers with \
         durable sessions: time from PUBLISH to PUBACK, which waits for the sync. Beside them one publisher of 8 MiB \
         messages at QoS 1 with a durable subscriber, through the same broker or, to see what the machine alone makes \
         of it, through another one that keeps nothing. 14 a second is what a gigabit network brings. One shard, \
         durability `disk`; {}.",
        ranks.about()
    );
    let columns = [
        "beside them",
        "p50, µs",
        "p99, µs",
        "p99 against alone",
        "goal",
        "met",
        "8 MiB messages per second",
    ];
    let mut table = Table::new("Small messages beside large ones", how, &columns);
    let mut alone = None;
    for case in &CASES {
        lab.say(case.name);
        let rounds = (0..lab.options.rounds).map(|_| round(lab, case, &ranks)).collect::<Result<Vec<_>>>();
        let figures = rounds.map(|rounds| medians(&rounds));
        table.push_or_tell(case.name, figures.map(|figures| row(case, &figures, &mut alone)));
    }
    Ok(table)
}

fn medians(rounds: &[Figures]) -> Figures {
    let of = |figure: &dyn Fn(&Figures) -> f64| median(rounds.iter().map(figure).collect());
    let large = rounds.iter().filter_map(|round| round.large_per_second).collect::<Vec<_>>();
    let large_per_second = (!large.is_empty()).then(|| median(large));
    Figures { p50: of(&|round| round.p50), p99: of(&|round| round.p99), large_per_second }
}

/// The first case is what the others are compared with.
fn row(case: &Beside, figures: &Figures, alone: &mut Option<f64>) -> Vec<Cell> {
    let times = alone.map_or(Cell::Nothing, |alone| Cell::Times(figures.p99 / alone));
    alone.get_or_insert(figures.p99);
    let [goal, is_met] = match case.has_goal {
        true => [Cell::Times(GOAL), times.at_most(GOAL)],
        false => [Cell::Nothing, Cell::Nothing],
    };
    let large = figures.large_per_second.map_or(Cell::Nothing, |large| Cell::Number(large, 1));
    vec![Cell::Number(figures.p50, 0), Cell::Number(figures.p99, 0), times, goal, is_met, large]
}

fn round(lab: &Lab<'_>, case: &Beside, ranks: &Ranks) -> Result<Figures> {
    let broker = Broker::noctule_under(lab, &ranks.broker, "disk")?;
    let seconds = lab.options.seconds;
    let elsewhere =
        case.is_elsewhere.then(|| Broker::noctule_under(lab, &ranks.broker, "memory")).transpose()?;
    let flowing = case.pace.map(|pace| {
        let seconds = (seconds + 2.0).to_string();
        let words =
            [&ONE_TO_ONE[..], &pace, &["--payload", LARGE_BYTES, "--warm-up", "0", "--seconds", &seconds]];
        start(lab, &ranks.large, &words.concat(), elsewhere.as_ref().unwrap_or(&broker))
    });
    let flowing = flowing.transpose()?;
    let seconds = seconds.to_string();
    let words = ["--publishers", "4", "--subscribers", "4", "--window", "1", "--seconds", &seconds];
    let small = finish(start(lab, &ranks.small, &words, &broker)?)?;
    let large = flowing.map(finish).transpose()?;
    Ok(Figures {
        p50: small.phase("traffic", "ack_latency_us/p50")?,
        p99: small.phase("traffic", "ack_latency_us/p99")?,
        large_per_second: large.map(|large| large.phase("traffic", "per_second")).transpose()?,
    })
}

fn start(lab: &Lab<'_>, rank: &[String], words: &[&str], broker: &Broker) -> Result<Child> {
    let mut command: Command = lab.project.command(&rank[0]);
    command.args(&rank[1..]).arg(lab.project.release_binary());
    command.args(["bench", "p2p", "--qos", "1", "--durable", "--json", "--url", &broker.url()]);
    command.args(words).stdout(Stdio::piped()).spawn().context("cannot start the generator")
}

fn finish(generator: Child) -> Result<Report> {
    let output = generator.wait_with_output()?;
    let report: Value = serde_json::from_slice(&output.stdout).context("a generator gave no report")?;
    let report = Report(report);
    ensure!(report.trouble().is_none(), "a run was not clean: {}", report.trouble().unwrap_or_default());
    Ok(report)
}

/// With which priority the three programs run: what is asked for is how much the broker does, and on two cores the
/// generator of the large messages alone is busy enough to hold up the others.
struct Ranks {
    small: Vec<String>,
    broker: Vec<String>,
    large: Vec<String>,
}

impl Ranks {
    /// Real-time priorities, where the system permits them. The large messages' generator has none: the kernel's own
    /// threads, which finish what the disk does, must not wait for it.
    fn find(lab: &Lab<'_>) -> Self {
        let permitted = lab.project.command("chrt").args(["-f", "1", "true"]).stderr(Stdio::null()).status();
        let is_permitted = permitted.is_ok_and(|status| status.success());
        let under = |words: [&str; 3]| match is_permitted {
            true => words.map(str::to_owned).to_vec(),
            false => vec!["env".to_owned()],
        };
        Self {
            small: under(["chrt", "-f", "2"]),
            broker: under(["chrt", "-f", "1"]),
            large: under(["nice", "-n", "-10"]),
        }
    }

    fn about(&self) -> &'static str {
        match self.broker.len() > 1 {
            true => {
                "broker and small messages' generator at real-time priority, so that no other work is measured"
            }
            false => "without real-time priorities, so other work is measured too",
        }
    }
}

/// What a gigabit network brings.
const GIGABIT: Option<[&str; 2]> = Some(["--rate", "14"]);
const ONE_BY_ONE: Option<[&str; 2]> = Some(["--window", "1"]);
const ONE_TO_ONE: [&str; 4] = ["--publishers", "1", "--subscribers", "1"];
/// 8 MiB with everything around it, which is the longest packet that the broker takes unless it is told otherwise.
const LARGE_BYTES: &str = "8388000";
const GOAL: f64 = 4.0;
