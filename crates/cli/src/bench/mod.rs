//! `noctule bench`: reads the flags, lets the probe run, prints what it found.

mod command;

use clap::ArgMatches;
use noctule_probe::{Comparison, Options, QoS, Report, Rival, Scenario, Target, compare, run};

use crate::failure::Failure;
use crate::values::{number, parse, print, seconds, set, text, usage, version};

pub(crate) use command::command;

/// Measures, prints the report, and fails if something was lost or refused.
pub(crate) fn bench(matches: &ArgMatches) -> Result<(), Failure> {
    let (name, matches) = matches.subcommand().expect("clap asks for a scenario");
    let scenario = Scenario::ALL.into_iter().find(|scenario| scenario.name() == name);
    let scenario = scenario.expect("clap refuses scenarios that are not declared");
    let options = options(scenario, matches)?;
    let rivals = rivals(&options, matches)?;
    let as_json = matches.get_flag(command::JSON);
    let is_clean = match rivals {
        None => {
            let report: Report = run(&options)?;
            print(&report, as_json)?;
            report.is_clean
        }
        Some(rivals) => {
            let rounds = number(matches, command::ROUNDS)?.unwrap_or(ROUNDS);
            let comparison: Comparison = compare(&options, &rivals, rounds)?;
            print(&comparison, as_json)?;
            comparison.is_clean
        }
    };
    if is_clean { Ok(()) } else { Err(Failure::Unclean) }
}

fn options(scenario: Scenario, matches: &ArgMatches) -> Result<Options, Failure> {
    let target = parse(command::URL, text(matches, command::URL).unwrap_or(command::DEFAULT_URL))?;
    let mut options = Options::new(scenario, target);
    options.pid = number(matches, command::PID)?;
    set(&mut options.publishers, number(matches, command::PUBLISHERS)?);
    set(&mut options.subscribers, number(matches, command::SUBSCRIBERS)?);
    options.topics = number(matches, command::TOPICS)?;
    set(&mut options.connections, number(matches, command::CONNECTIONS)?);
    set(&mut options.messages, number(matches, command::MESSAGES)?);
    set(&mut options.filters, number(matches, command::FILTERS)?);
    set(&mut options.payload_bytes, number(matches, command::PAYLOAD)?);
    set(&mut options.window, number(matches, command::WINDOW)?);
    set(&mut options.window, number(matches, command::AT_A_TIME)?);
    options.rate = number(matches, command::RATE)?;
    set(&mut options.burst, number(matches, command::BURST)?);
    set(&mut options.qos, text(matches, command::QOS).map(qos).transpose()?);
    set(&mut options.version, text(matches, command::MQTT).map(version).transpose()?);
    set(&mut options.duration, seconds(matches, command::SECONDS)?);
    set(&mut options.warm_up, seconds(matches, command::WARM_UP)?);
    options.durable = Scenario::STEADY.contains(&scenario) && matches.get_flag(command::DURABLE);
    options.reconnect = scenario == Scenario::ConnectRate && matches.get_flag(command::RECONNECT);
    options.homes_apart = number(matches, command::HOMES_APART)?;
    options.user_name = text(matches, command::USER).map(str::to_owned);
    options.password = text(matches, command::PASSWORD).map(str::to_owned);
    let sources =
        text(matches, command::SOURCE).unwrap_or_default().split(',').filter(|part| !part.is_empty());
    options.sources = sources.map(|address| parse(command::SOURCE, address)).collect::<Result<_, _>>()?;
    if options.rate.is_some() && text(matches, command::WINDOW).is_some() {
        return Err(usage("--rate is an open loop and --window a closed one; give one of them"));
    }
    Ok(options)
}

/// The brokers of a comparison, the one at `--url` first; none without `--vs`.
fn rivals(options: &Options, matches: &ArgMatches) -> Result<Option<Vec<Rival>>, Failure> {
    let Some(others) = matches.get_many::<String>(command::VS) else {
        for flag in [command::ROUNDS, command::NAME] {
            if text(matches, flag).is_some() {
                return Err(usage(&format!("--{flag} is for comparisons; add --vs NAME=URL")));
            }
        }
        return Ok(None);
    };
    let name = text(matches, command::NAME).unwrap_or("broker").to_owned();
    let first = Rival { name, target: options.target.clone(), pid: options.pid };
    let others = others.map(|text| rival(text)).collect::<Result<Vec<_>, _>>()?;
    Ok(Some([vec![first], others].concat()))
}

/// `NAME=URL[,pid=PID]`.
fn rival(text: &str) -> Result<Rival, Failure> {
    let (name, rest) = text
        .split_once('=')
        .filter(|(name, _)| !name.is_empty())
        .ok_or_else(|| usage(&format!("--vs {text}: write it as NAME=mqtt://HOST:PORT[,pid=PID]")))?;
    let (url, pid) = match rest.split_once(",pid=") {
        Some((url, pid)) => (url, Some(parse(command::VS, pid)?)),
        None => (rest, None),
    };
    let target: Target = parse(command::VS, url)?;
    Ok(Rival { name: name.to_owned(), target, pid })
}

fn qos(text: &str) -> Result<QoS, Failure> {
    let qos = text.parse().ok().and_then(QoS::from_bits);
    qos.ok_or_else(|| usage(&format!("--qos {text}: it is 0, 1 or 2")))
}

/// Rounds of a comparison.
const ROUNDS: u32 = 3;
